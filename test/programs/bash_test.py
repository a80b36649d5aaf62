#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bash scripts that fork thousands of times, on the pool as without: subshells, pipes, traps."""

import programs

FORKS = r"""
declare -A table; total=0
for i in {1..1500}; do
    value=$(echo $((i * 7919 % 1009)))          # a fork each
    table[$value]+="$i,"; total=$((total + value))
done
for key in "${!table[@]}"; do echo "$key=${table[$key]}"; done | sort | sha256sum
( exit 7 ); echo "$total $?"
for i in {1..300}; do
    ( x=$(printf 'a%.0s' $(seq 1 $((i % 50 + 1)))); y=${x//a/bc}; exit ${#y} ) || r+=",$?"
done; echo "$r"
"""

PIPES = r"""
for i in {1..150}; do
    seq 1 200 | sed 's/1/one/g' | sort -r | uniq | head -n 3 | tr '\n' ' '
done | sha256sum
diff <(seq 1 1000 | grep 7) <(seq 1 1000 | awk '/7/') && echo equal
mapfile -t lines < <(find /usr/include -maxdepth 1 -name '*.h' | sort)
echo "${#lines[@]} ${lines[0]}"
cat <<END | awk '{ n += NF; a[NR % 100] = a[NR % 100] $0 } END { print n, length(a[7]) }'
$(for i in {1..3000}; do echo "row $i of a here document"; done)
END
seq 1 200000 | sort --parallel=2 -S 8M -R --random-source=<(yes) | sort -n | tail -n 1
seq 1 60 | xargs -P 2 -n 1 sh -c 'exit 0' && echo all
"""

JOBS = r"""
trap 'echo bye; exit 9' EXIT; trap 'echo got usr1' USR1
for i in {1..60}; do ( sleep 0.0$((i % 9 + 1)); exit $((i % 5)) ) & pids+=($!); done
for p in "${pids[@]}"; do wait "$p"; s+="$?"; done; echo "$s"
kill -USR1 $$; big=$(head -c 3000000 /dev/zero | tr '\0' 'q'); echo "${#big} ${big:1000000:3}"
f() { local n=$1; ((n == 0)) && return 3; f $((n - 1)); }; f 800; echo "$?"
arr=(); for i in {1..30000}; do arr[i * 3]="v$i"; done
unset 'arr[30]'; echo "${#arr[@]} ${arr[3000]}"
re='^v([0-9]+)$'; c=0
for v in "${arr[@]}"; do [[ $v =~ $re ]] && ((c += BASH_REMATCH[1] % 2)); done; echo "$c"
"""


def main():
    bash = programs.need("bash")
    suite = programs.Suite()
    for name, script, status in (
        ("2000 forks", FORKS, 0),
        ("pipes", PIPES, 0),
        ("jobs and traps", JOBS, 9),
    ):
        suite.compare(
            f"bash {name}",
            [bash, "-c", script],
            stderr=True,
            status=status,
            allocations=1000,
            limit_s=90,
        )
    suite.finish()


if __name__ == "__main__":
    main()
