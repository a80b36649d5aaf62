#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare expool with other allocators: loops, memory, programs, all in one run, taking turns.

Question: on this machine, now, how do our malloc (preloaded) and our pool (ExAllocatePool2 with
ExFreePoolWithTag) stand to glibc, to Debian's mimalloc and to the best peer of each row?

Method: every row is measured in a process of its own, once per allocator and round, the order
of allocators rotated from round to round, so that a slow minute of the machine hits all of
them. A value is the median over the rounds; what is reported is the ratio of medians, smaller
is better, with the spread (min .. max) of our own rounds over their median beside it.
Nanoseconds are a side column: they belong to this machine. Before any number is believed, each
library must be seen mapped in the process.

"asked" is the ratio that design.md section 1 gives for its prototype E over mimalloc 2.3.
"""

import argparse
import contextlib
import fnmatch
import glob
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import workloads

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
POOL = "expool pool"
OURS = "expool malloc"
PEERS = {  # name: file names, the first one found is taken
    "mimalloc": ["libmimalloc.so.2.0", "libmimalloc.so.2"],
    "jemalloc": ["libjemalloc.so.2"],
    "tcmalloc": ["libtcmalloc_minimal.so.4"],
}
WDK_FLAGS = ["-fshort-wchar", "-fms-extensions", "-Wno-multichar", "-Wno-unknown-pragmas"]


class Row:
    """One loop: what is asked for it, and which printed value counts."""

    def __init__(
        self,
        name,
        kind,
        a,
        b=1,
        key="ns",
        asked=None,
        pool=True,
        malloc=True,
        peers_of=None,
        rare=False,
        unit="ns",
    ):
        self.name, self.kind, self.a, self.b, self.key = name, kind, a, b, key
        self.asked = asked  # (value of E, value of mimalloc 2.3), or None
        self.pool = pool  # the pool has this door
        self.malloc = malloc  # False: only the pool runs, its peers are those of row peers_of
        self.peers_of = peers_of
        self.rare = rare  # only with --large
        self.unit = unit

    def command(self):
        return (self.kind, str(self.a), str(self.b))


def loop_rows():
    rows = []
    for bytes_, asked in (
        (16, (4.3, 4.9)),
        (256, (4.3, 6.3)),
        (1024, (4.3, 6.4)),
        (3000, (4.3, 10)),
    ):
        rows.append(Row(f"one block {bytes_}", "one", bytes_, asked=asked))
    for bytes_, asked in (
        (16, (4.8, 6.1)),
        (256, (5.6, 7.8)),
        (1024, (7.4, 10)),
        (3000, (23, 32)),
    ):
        rows.append(Row(f"one block zeroed {bytes_}", "zeroed", bytes_, asked=asked))
    for bytes_, asked in (
        (16, (4.5, 3.9)),
        (256, (5.0, 5.6)),
        (1024, (5.6, 9.5)),
        (3000, (16, 21)),
    ):
        rows.append(Row(f"1000 allocs 1000 frees {bytes_}", "batch", bytes_, asked=asked))
    for name, kind, count, one, many, rare in (
        ("replace 1e3 live", "replace", 1000, (7.4, 5.4), (11, 5.4), False),
        ("replace 1e5 live", "replace", 100000, (30, 26), (36, 26), False),
        ("replace 1e5 live, not touched", "untouched", 100000, (12.7, 22.6), (17, 22.6), False),
        ("replace 1e6 live", "replace", 1000000, None, None, False),
        ("replace 1e7 live", "replace", 10000000, (204, 386), None, True),
    ):
        rows.append(Row(name, kind, count, asked=one, rare=rare))
        rows.append(
            Row(
                name + ", 1000 tags",
                kind,
                count,
                1000,
                asked=many,
                rare=rare,
                malloc=False,
                peers_of=name,
            )
        )
    for bytes_, asked in ((64, (7.5, 15.6)), (1024, (8.1, 31))):
        rows.append(Row(f"freed by another thread {bytes_}", "handover", bytes_, asked=asked))
        rows.append(
            Row(
                f"freed by another thread {bytes_}: alloc",
                "handover",
                bytes_,
                key="allocate_ns",
                asked=(2.8, 3.6) if bytes_ == 64 else (3.3, 14),
            )
        )
        rows.append(
            Row(
                f"freed by another thread {bytes_}: free",
                "handover",
                bytes_,
                key="free_ns",
                asked=(4.7, 12) if bytes_ == 64 else (4.8, 17),
            )
        )
    rows.append(Row("1 thread, own set of 1e4", "threads", 1))
    rows.append(Row("2 threads, own sets of 1e4", "threads", 2))
    rows.append(Row("realloc +64 B to 16 KiB", "grow", 0, pool=False))
    rows.append(Row("realloc x1.5 to 1 MiB", "grow", 1, pool=False))
    rows.append(
        Row(
            "resident / requested, 1e6 blocks",
            "memory",
            0,
            key="ratio",
            asked=(1.100, 1.096),
            unit="x",
        )
    )
    rows.append(
        Row(
            "resident / requested, 4000 tags",
            "memory",
            0,
            4000,
            key="ratio",
            malloc=False,
            asked=(1.104, 1.096),
            peers_of="resident / requested, 1e6 blocks",
            unit="x",
        )
    )
    rows.append(Row("resident after freeing all", "memory", 0, key="freed_mib", unit="MiB"))
    rows.append(
        Row("the same, 1 s and 1000 calls later", "memory", 0, key="settled_mib", unit="MiB")
    )
    return rows


def say(text):
    print(text, file=sys.stderr, flush=True)


def find_library(names):
    """Path of the first of these library files that the system has, or None."""
    listed = subprocess.run(
        ["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False
    ).stdout
    for name in names:
        for line in listed.splitlines():
            if line.split(" ")[0].strip() == name and "=>" in line:
                return line.split("=>")[1].strip()
        found = sorted(glob.glob(f"/usr/lib/*/{name}") + glob.glob(f"/usr/lib/{name}"))
        if found:
            return found[0]
    return None


def find_built(build, name):
    """A library of the build, wherever CMake put it."""
    found = sorted(glob.glob(os.path.join(build, "**", name), recursive=True), key=len)
    return os.path.realpath(found[0]) if found else None


def allocators(options):
    """Ordered {name: library path or None}; what is missing is said."""
    chosen = {"glibc": None}
    for name, files in PEERS.items():
        path = find_library(files)
        if path:
            chosen[name] = path
        else:
            say(f"bench: {name} is missing ({files[0]}): its columns are left out")
    for extra in options.lib:
        name, _, path = extra.partition("=")
        if not path or not os.path.exists(path):
            raise SystemExit(f"bench: --lib {extra}: no such library")
        chosen[name] = os.path.abspath(path)
    ours = find_built(options.build, "libexpool-malloc.so")
    if ours:
        chosen[OURS] = ours
    else:
        say("bench: libexpool-malloc.so is missing in the build: no malloc column")
    return chosen


def compile_loops(options, folder):
    """Build the two loop programs; return {"malloc": path, "pool": path or None}."""
    cc = shlex.split(os.environ.get("CC", "cc"))
    base = [*cc, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-fno-builtin", "-pthread"]
    made = {"malloc": os.path.join(folder, "loops"), "pool": None}
    subprocess.run([*base, os.path.join(HERE, "loops.c"), "-o", made["malloc"]], check=True)
    library = find_built(options.build, "libexpool.so")
    if library is None:
        say("bench: libexpool.so is missing in the build: no pool column")
        return made
    made["pool"] = os.path.join(folder, "pool")
    where = os.path.dirname(library)
    subprocess.run(
        [
            *base,
            *WDK_FLAGS,
            "-I",
            os.path.join(SOURCE, "include", "wdk"),
            "-I",
            os.path.join(SOURCE, "include"),
            os.path.join(HERE, "pool.c"),
            library,
            f"-Wl,-rpath,{where}",
            "-o",
            made["pool"],
        ],
        check=True,
    )
    return made


class Bench:
    """All measurements of one run: value[row name][allocator] is a list, one entry a round."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.libraries = allocators(options)
        self.program = compile_loops(options, folder)
        self.value = {}
        self.failure = {}
        self.ms = 40 if options.quick else 150

    def loop(self, allocator, command):
        """Run one loop under one allocator; return its printed values."""
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        if allocator == POOL:
            argv = [self.program["pool"]]
        else:
            argv = [self.program["malloc"]]
            if self.libraries[allocator]:
                env["LD_PRELOAD"] = self.libraries[allocator]
        done = subprocess.run(
            [*argv, *command, str(self.ms)],
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"exit status {done.returncode}: {done.stderr.strip()[-400:]}")
        return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}

    def verify_libraries(self):
        """A library that is not mapped would make its column glibc's: refuse to go on."""
        for name, path in self.libraries.items():
            if path is None:
                continue
            try:
                seen = self.loop(name, ("mapped", os.path.basename(path), "0"))
                if seen["mapped"] == 1:
                    continue
                problem = "was not mapped"
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                problem = str(error)
            raise SystemExit(f"bench: {path}: {problem}")

    def note(self, row_name, allocator, value):
        self.value.setdefault(row_name, {}).setdefault(allocator, []).append(value)

    def fail(self, row_name, allocator, error):
        say(f"bench: {row_name}: {allocator}: {error}")
        self.failure.setdefault(row_name, {})[allocator] = str(error)

    def measure_rows(self, rows, turn):
        """One round over the loops; rows that share a process are measured by one."""
        names = [*self.libraries, *([POOL] if self.program["pool"] else [])]
        names = names[turn % len(names) :] + names[: turn % len(names)]
        shared = {}
        for row in rows:
            shared.setdefault(row.command(), []).append(row)
        for command, together in shared.items():
            for name in names:
                wanted = [
                    row
                    for row in together
                    if (row.pool if name == POOL else row.malloc)
                    and name not in self.failure.get(row.name, {})
                ]
                if not wanted:
                    continue
                try:
                    values = self.loop(name, command)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    for row in wanted:
                        self.fail(row.name, name, error)
                    continue
                for row in wanted:
                    self.note(row.name, name, values[row.key])

    def measure_programs(self, prepared, turn):
        names = list(self.libraries)
        names = names[turn % len(names) :] + names[: turn % len(names)]
        for program in prepared:
            for name in names:
                if name in self.failure.get(program.name, {}):
                    continue
                try:
                    values = program.run(self.libraries[name])
                except (RuntimeError, subprocess.SubprocessError, OSError) as error:
                    self.fail(program.name, name, error)
                    continue
                self.note(f"{program.name}: CPU", name, values["cpu_s"])
                self.note(f"{program.name}: peak memory", name, values["peak_mib"])

    def prepare_programs(self, wanted):
        prepared = []
        for kind in workloads.ALL:
            program = kind()
            if not fnmatch.fnmatch(program.name, wanted):
                continue
            folder = os.path.join(self.folder, kind.__name__)
            os.mkdir(folder)
            try:
                program.prepare(folder, self.options.quick)
                prepared.append(program)
            except workloads.Missing as missing:
                say(f"bench: {program.name}: {missing}: left out")
        return prepared


def ratio(left, right):
    return left / right if left is not None and right else None


def result_row(bench, name, unit, asked=None, peers_of=None):
    """Everything the table and the data file say about one row."""
    values = bench.value.get(name, {})
    medians = {who: statistics.median(list_) for who, list_ in values.items() if list_}
    spread = {who: (min(list_), max(list_)) for who, list_ in values.items() if list_}
    peers = dict(medians)
    if peers_of:
        peers = {who: statistics.median(v) for who, v in bench.value.get(peers_of, {}).items()}
    peers = {who: value for who, value in peers.items() if who not in (OURS, POOL)}
    positive = {who: value for who, value in peers.items() if value > 0}
    best = min(positive, key=positive.get) if positive else None
    out = {
        "row": name,
        "unit": unit,
        "median": medians,
        "spread": spread,
        "peers": peers,
        "best_peer": best,
        "rounds": max((len(v) for v in values.values()), default=0),
        "asked_over_mimalloc": round(asked[0] / asked[1], 3) if asked else None,
        "failures": bench.failure.get(name, {}),
        "ratio": {},
    }
    for who in (OURS, POOL):
        if who in medians:
            out["ratio"][who] = {
                "glibc": ratio(medians[who], peers.get("glibc")),
                "mimalloc": ratio(medians[who], peers.get("mimalloc")),
                "best": ratio(medians[who], positive.get(best)),
            }
    return out


def cell(number, digits=2):
    return "-" if number is None else f"{number:.{digits}f}"


def spread_text(result, who):
    """Our own rounds over their median, so that a reader sees how far a ratio may be noise."""
    if who not in result["spread"] or not result["median"][who]:
        return "-"
    low, high = result["spread"][who]
    middle = result["median"][who]
    return f"{low / middle:.2f}-{high / middle:.2f}"


def table_text(results, allocator_names):
    """The table: ratios first, absolute medians beside them."""
    ratios = ["/glibc", "/mimal.", "/best", "spread"]
    head = f"{'row':<41}{'asked':>7} |" + "".join(f"{r:>10}" for r in ratios) + " |"
    head += "".join(f"{r:>10}" for r in ratios) + f" | {'best peer':<9} |"
    absolute = [OURS, POOL, *[n for n in allocator_names if n != OURS]]
    short = {OURS: "malloc", POOL: "pool"}
    head += "".join(f"{short.get(n, n)[:9]:>10}" for n in absolute) + "  unit"
    over = f"{'':<41}{'/mimal.':>7} |{'our malloc':^40} |{'our pool':^40} | {'':<9} |"
    over += f"{'medians (this machine only)':^{10 * len(absolute)}}"
    lines = [over, head, "-" * len(head)]
    for result in results:
        line = f"{result['row']:<41}{cell(result['asked_over_mimalloc']):>7} |"
        for who in (OURS, POOL):
            of = result["ratio"].get(who, {})
            failed = who in result["failures"]
            cells = [cell(of.get(peer)) for peer in ("glibc", "mimalloc", "best")]
            cells = ["FAILED"] * 3 if failed else cells
            line += "".join(f"{c:>10}" for c in [*cells, spread_text(result, who)]) + " |"
        line += f" {result['best_peer'] or '-':<9} |"
        shown = {**result["peers"], **result["median"]}
        line += "".join(f"{cell(shown.get(n)):>10}" for n in absolute) + f"  {result['unit']}"
        lines.append(line)
    return "\n".join(lines)


def machine():
    model = "unknown processor"
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        model = models[0] if models else model
    return f"{model}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start"


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="example: bench.py --quick --rows 'one block*'"
    )
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds of short loops and small inputs"
    )
    parser.add_argument(
        "--large", action="store_true", help="also 1e7 live blocks (4 GiB of memory)"
    )
    parser.add_argument("--rounds", type=int, help="default 5; 3 with --quick")
    parser.add_argument(
        "--build", default=os.environ.get("EXPOOL_BUILD", os.path.join(SOURCE, "build", "free"))
    )
    parser.add_argument(
        "--rows", default="*", metavar="PATTERN", help="only rows whose name matches"
    )
    parser.add_argument(
        "--lib", action="append", default=[], metavar="NAME=PATH", help="another peer"
    )
    parser.add_argument("--no-programs", action="store_true")
    parser.add_argument(
        "--out",
        default=os.path.join(HERE, "results", "latest"),
        help="results go to OUT.txt and OUT.json",
    )
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (3 if options.quick else 5)
    return options


def collect(bench, rows, prepared):
    results = [result_row(bench, row.name, row.unit, row.asked, row.peers_of) for row in rows]
    for program in prepared:
        for suffix, unit in (("CPU", "s"), ("peak memory", "MiB")):
            result = result_row(bench, f"{program.name}: {suffix}", unit)
            result["failures"] = bench.failure.get(program.name, {})
            results.append(result)
    return results


def geometric_means(results):
    """Our malloc over the best peer of each row, loops and programs apart."""
    lines = []
    for title, chosen, who in (
        ("loops, our malloc / best peer", lambda r: r["unit"] == "ns", OURS),
        ("loops, our pool / best peer", lambda r: r["unit"] == "ns", POOL),
        ("programs, CPU, our malloc / best peer", lambda r: r["row"].endswith(": CPU"), OURS),
    ):
        found = [
            r["ratio"][who]["best"]
            for r in results
            if chosen(r) and r["ratio"].get(who, {}).get("best")
        ]
        if found:
            lines.append(
                f"geometric mean, {title}: {statistics.geometric_mean(found):.3f} "
                f"({len(found)} rows, worst {max(found):.2f})"
            )
    return "\n".join(lines)


def main(argv):
    options = parse(argv)
    rows = [
        row
        for row in loop_rows()
        if fnmatch.fnmatch(row.name, options.rows) and (options.large or not row.rare)
    ]
    begin = time.monotonic()
    machine_text = machine()
    with tempfile.TemporaryDirectory(prefix="expool-bench-") as folder:
        bench = Bench(options, folder)
        bench.verify_libraries()
        needed = {row.peers_of for row in rows if row.peers_of} - {row.name for row in rows}
        rows = [row for row in loop_rows() if row.name in needed] + rows
        prepared = [] if options.no_programs else bench.prepare_programs(options.rows)
        for turn in range(options.rounds):
            bench.measure_rows(rows, turn)
            bench.measure_programs(prepared, turn)
            say(f"bench: round {turn + 1} of {options.rounds}, {time.monotonic() - begin:.0f} s")
        results = collect(bench, rows, prepared)
        names = list(bench.libraries)
    if not results:
        raise SystemExit(f"bench: no row matches {options.rows!r}")
    text = (
        f"{machine_text}\n{options.rounds} rounds{', quick' if options.quick else ''}; ratios of "
        f"medians, smaller is better; asked: design.md section 1, E over mimalloc 2.3\n\n"
        f"{table_text(results, names)}\n\n{geometric_means(results)}\n"
    )
    print(text)
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    with open(options.out + ".txt", "w", encoding="utf-8") as file:
        file.write(text)
    with open(options.out + ".json", "w", encoding="utf-8") as file:
        json.dump(
            {
                "machine": machine_text,
                "rounds": options.rounds,
                "quick": options.quick,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "rows": results,
            },
            file,
            indent=1,
        )
    say(f"bench: written to {options.out}.txt and .json")
    return 1 if any(who in r["failures"] for r in results for who in (OURS, POOL)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
