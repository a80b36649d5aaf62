# SPDX-License-Identifier: MIT
"""The programs of the benchmark: real work in real programs, with the allocator brought by
LD_PRELOAD.

A program is prepared once (its input is made in a folder of its own) and then run many times,
once per allocator and round. What is measured is the processor time (user and system) of the
program and its children, and the largest resident size of any of them, as wait4 reports them:
never the time of the load generator. A program whose exit status is not 0, or that is not
installed, has no number.
"""

import os
import shutil
import socket
import subprocess
import textwrap
import time

LIBC = "libc.so.6"
SEARCH = "/usr/bin:/usr/local/bin:/bin:/usr/sbin:" + os.environ.get("PATH", "")


class Missing(Exception):
    """The program is not installed; the text says which."""


def need(name):
    """Return the path of a program, or raise Missing."""
    path = shutil.which(name, path=SEARCH)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


def spawn(argv, folder, library, extra_env):
    """Start argv with library preloaded (None: nothing), its output thrown away."""
    env = {"PATH": SEARCH, "HOME": folder, "LC_ALL": "C", **extra_env}
    if library:
        env["LD_PRELOAD"] = library
    return subprocess.Popen(
        argv,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def reap(process, limit_s=300):
    """Wait for the program; return its CPU seconds and peak resident MiB."""
    end = time.monotonic() + limit_s
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > end:
            process.kill()
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    talk = process.stderr.read().decode(errors="replace").strip()
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}: {talk[-400:]}")
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}


class Program:
    """One program: prepare(folder) once, then run(library) as often as wanted."""

    name = ""
    extra_env = {}

    def prepare(self, folder, quick):
        raise NotImplementedError

    def run(self, library):
        return reap(spawn(self.argv, self.folder, library, self.extra_env))


CPLUSPLUS_HEADERS = """
    algorithm array bitset chrono complex deque filesystem forward_list functional future iomanip
    iostream iterator list locale map memory mutex numeric optional ostream queue random regex set
    sstream stack string string_view thread tuple unordered_map unordered_set variant vector
""".split()


def cplusplus_text(class_count):
    """A C++ file: many standard headers, and class_count classes with templates of their own."""
    lines = [f"#include <{header}>" for header in CPLUSPLUS_HEADERS]
    for i in range(class_count):
        lines.append(
            textwrap.dedent(
                f"""
            struct item{i} {{ std::string name; int key[{i % 7 + 1}]; double weight; }};
            struct box{i} {{
                std::map<std::string, std::vector<item{i}>> rows;
                std::unordered_map<int, std::shared_ptr<item{i}>> index;
                void put(item{i} value) {{
                    index[value.key[0]] = std::make_shared<item{i}>(value);
                    rows[value.name].push_back(std::move(value));
                }}
                double sum() const {{
                    double total = 0;
                    for (const auto &[name, items] : rows)
                        for (const auto &one : items)
                            total += one.weight * one.key[0] + name.size();
                    return total;
                }}
                std::vector<item{i}> sorted() const {{
                    std::vector<item{i}> all;
                    for (const auto &row : rows)
                        all.insert(all.end(), row.second.begin(), row.second.end());
                    std::sort(all.begin(), all.end(), [](const item{i} &a, const item{i} &b) {{
                        return std::tie(a.name, a.weight) < std::tie(b.name, b.weight); }});
                    return all;
                }}
            }};
            double use{i}() {{
                box{i} b;
                b.put({{"x{i}", {{{i}}}, {i}.5}});
                return b.sum() + b.sorted().size();
            }}
            """
            )
        )
    return "\n".join(lines) + "\n"


class Compiler(Program):
    name = "cc1plus -O2, large file"

    def prepare(self, folder, quick):
        gxx = need("g++")
        self.folder = folder
        source = os.path.join(folder, "large.cpp")
        with open(source, "w", encoding="ascii") as file:
            file.write(cplusplus_text(2 if quick else 12))
        asked = subprocess.run(
            [gxx, "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True
        )
        text = os.path.join(folder, "large.ii")
        subprocess.run([gxx, "-std=c++17", "-E", source, "-o", text], check=True)
        compiler = asked.stdout.strip()
        options = ["-quiet", "-std=c++17", "-O2", "-fpreprocessed"]
        self.argv = [compiler, *options, text, "-o", "large.s"]


PYTHON_SCRIPT = """
import json, re, sys
n = int(sys.argv[1])
words = [f"word{i * 7919 % n}-{i}" for i in range(n)]
index = {}
for i, word in enumerate(words):
    index.setdefault(word[:6], []).append((i, word, float(i)))
rows = [{"id": i, "name": w, "tags": w.split("-"), "nested": {"a": [i, i + 1], "b": str(i)}}
        for i, w in enumerate(words[: n // 4])]
for _ in range(3):
    rows = json.loads(json.dumps(rows))
class Node:
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None
root = Node(n // 2)
for i in range(n // 4):
    key, node = i * 7919 % n, root
    while True:
        side = "left" if key < node.key else "right"
        below = getattr(node, side)
        if below is None:
            setattr(node, side, Node(key)); break
        node = below
text = " ".join(words)
found = re.findall(r"(\\w+)-(\\d+)", text)
table = sorted(((b, a) for a, b in found), key=lambda pair: pair[0])
print(len(table), len(index), sum(row["nested"]["a"][1] for row in rows))
"""


class Python(Program):
    name = "python3, objects by malloc"
    extra_env = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "1"}

    def prepare(self, folder, quick):
        self.folder = folder
        python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else need("python3")
        self.argv = [python, "-c", PYTHON_SCRIPT, "60000" if quick else "200000"]


PERL_SCRIPT = r"""
my $n = shift; my (%count, @rows, %tree);
for my $i (0 .. $n) {
    my $w = "key" . ($i * 7919 % $n);
    $count{$w} .= "$i,";
    push @rows, [$i, $w, {a => $i, b => "$w-$i"}];
}
for my $row (@rows) {
    my ($i, $w, $h) = @$row;
    push @{ $tree{ $i % 1000 }{ substr($w, 0, 5) } }, join(":", $h->{b}, split(/-/, $h->{b}));
}
my @sorted = sort { $a->[1] cmp $b->[1] } @rows;
my $text = join " ", map { $_->[1] } @sorted;
my %seen; $seen{$1}++ while $text =~ /(\w+)/g;
my $sum = 0;
for my $k (sort keys %tree) { $sum += scalar @{ $tree{$k}{$_} } for keys %{ $tree{$k} } }
print "$sum ", scalar(keys %seen), "\n";
"""


class Perl(Program):
    name = "perl, hashes and strings"
    extra_env = {"PERL_HASH_SEED": "0"}

    def prepare(self, folder, quick):
        self.folder = folder
        self.argv = [need("perl"), "-e", PERL_SCRIPT, "60000" if quick else "250000"]


SQLITE_SCRIPT = """
create table item(id integer primary key, name text, value real, body blob);
insert into item select value, 'name' || (value * 7919 % {n}), value * 1.5, zeroblob(value % 200)
  from generate_series(1, {n});
create index item_name on item(name);
create table pair as select a.id as one, b.id as two, a.name || b.name as both
  from item a join item b on b.id = a.id * 3 % {n} + 1;
select count(*), sum(length(both)) from pair;
select count(*) from (select name, group_concat(id) from item group by name order by 2);
select substr(both, 1, 6) as k, count(*), max(both) from pair
  group by k order by 2 desc, 1 limit 50;
update item set body = randomblob(length(body) + 10) where id % 3 = 0;
delete from item where id % 5 = 0;
select count(*) from item;
"""


class Sqlite(Program):
    name = "sqlite3, in memory"

    def prepare(self, folder, quick):
        self.folder = folder
        script = SQLITE_SCRIPT.format(n=60000 if quick else 250000)
        self.argv = [need("sqlite3"), ":memory:", script]


class Redis(Program):
    """The server is measured; redis-benchmark is the load and runs without any preload."""

    name = "redis-server, SET/GET/LPUSH/HSET"

    def prepare(self, folder, quick):
        self.folder = folder
        self.server = need("redis-server")
        self.load = need("redis-benchmark")
        self.client = need("redis-cli")
        self.requests = "40000" if quick else "200000"

    def run(self, library):
        path = os.path.join(self.folder, "redis.sock")
        # Debian's server is linked with jemalloc: to measure glibc its names must come first too.
        process = spawn(
            [
                self.server,
                "--port",
                "0",
                "--unixsocket",
                path,
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                self.folder,
                "--daemonize",
                "no",
            ],
            self.folder,
            library or LIBC,
            {},
        )
        try:
            self.wait_ready(process, path)
            subprocess.run(
                [
                    self.load,
                    "-s",
                    path,
                    "-q",
                    "-n",
                    self.requests,
                    "-c",
                    "20",
                    "-P",
                    "16",
                    "-r",
                    "100000",
                    "-d",
                    "100",
                    "-t",
                    "set,get,lpush,lpop,hset,sadd,zadd",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=240,
                check=True,
            )
            subprocess.run(
                [self.client, "-s", path, "shutdown", "nosave"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
            return reap(process, 60)
        finally:
            if process.returncode is None:
                process.kill()

    @staticmethod
    def wait_ready(process, path):
        end = time.monotonic() + 20
        while (
            time.monotonic() < end
            and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        ):
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(path)
                    return
            except OSError:
                time.sleep(0.02)
        process.kill()
        raise RuntimeError("redis-server did not open its socket")


ALL = [Compiler, Python, Perl, Sqlite, Redis]
