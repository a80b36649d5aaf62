# SPDX-License-Identifier: MIT
"""Run a program twice, as it is and on the pool, and compare what can be seen of it.

Both runs start in a fresh folder of the same name (it is removed afterwards), so that no
path differs. Compared are stdout, exit status and the files that a case names; stderr where it
is asked for.

The run on the pool must really be on the pool. While it runs, a watcher looks at the program
and all its descendants through /proc: one of them must hold the statistics region, and the
counters in it, read from outside as any reader would, must show at least as many allocations as
the case demands. A program that ran on libc's heap fails the test, whatever it printed.

Environment: EXPOOL_BUILD is the build under test. EXPOOL_LIBRARY, a path, preloads another
library instead and asks only that it is mapped: to develop the tests themselves.
"""

import atexit
import glob
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED = 77
SOURCE = os.environ.get("EXPOOL_SOURCE") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
BUILD = os.environ.get("EXPOOL_BUILD") or os.path.join(SOURCE, "build", "free")
STAND_IN = os.environ.get("EXPOOL_LIBRARY")
REGION_LINK = "/memfd:expool-region"
SEARCH = os.pathsep.join(
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", os.environ.get("PATH", "")]
)


def skip(sentence):
    print(f"skipped: {sentence}")
    sys.exit(SKIPPED)


def need(name):
    """Path of an installed program; the test is skipped when there is none."""
    path = shutil.which(name, path=SEARCH)
    if path is None:
        skip(f"{name} is not installed")
    return path


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


def pool_command(argv):
    """The command line, and the environment's addition, that runs argv on the pool."""
    if STAND_IN:
        return argv, {"LD_PRELOAD": STAND_IN}
    command = os.path.join(BUILD, "expool")
    if not os.path.exists(command):
        fail(f"{command} does not exist")
    return [command, "run", "--", *argv], {}


# ---- the region, read from outside (include/expool/region.h) ----

HEADER = struct.Struct("<QIIQIIQQ")  # magic .. generation
POOL_BYTES = 8 * 8
SECTION = struct.Struct("<QQQQ")  # offset, count, capacity, entry_bytes
MAGIC = 0x4E47524C4F4F5058
LOOKS_MOST = 5  # runs of a program that nobody could watch long enough
ROWS = 2  # EXPOOL_SECTION_ROWS: allocs, frees, bytes in, bytes out


def region_allocations(path):
    """Allocations counted in the region behind a /proc/PID/fd link; 0 when it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            start = file.read(4096)
            if len(start) < 4096:
                return 0  # just being made
            magic, version = HEADER.unpack_from(start)[:2]
            if magic != MAGIC or version != 1:
                return 0
            at = HEADER.size + 3 * POOL_BYTES + ROWS * SECTION.size
            offset, count, capacity, entry_bytes = SECTION.unpack_from(start, at)
            if count > capacity or entry_bytes < 8 or count > 1 << 22:
                return 0
            file.seek(offset)
            data = file.read(count * entry_bytes)
    except OSError:
        return 0
    return sum(
        struct.unpack_from("<Q", data, place)[0]
        for place in range(0, len(data) - entry_bytes + 1, entry_bytes)
    )


def descendants(root):
    """Process ids of root and everything below it."""
    parent = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                words = file.read().rpartition(")")[2].split()
            parent[int(path.split("/")[2])] = int(words[1])
        except (OSError, IndexError):
            continue
    family = {root}
    grown = True
    while grown:
        more = {pid for pid, above in parent.items() if above in family} - family
        family |= more
        grown = bool(more)
    return family


def seen_on_pool(pid):
    """Allocations that this process is seen to have made on the pool; a stand-in counts as many."""
    if STAND_IN:
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                return (
                    1 << 40 if os.path.basename(os.path.realpath(STAND_IN)) in file.read() else 0
                )
        except OSError:
            return 0
    best = 0
    for link in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            if os.readlink(link).startswith(REGION_LINK):
                best = max(best, region_allocations(link))
        except OSError:
            continue
    return best


class Watcher(threading.Thread):
    """Watches a running program until enough allocations were seen, or it ended."""

    def __init__(self, pid, wanted):
        super().__init__(daemon=True)
        self.pid, self.wanted, self.seen, self.over = pid, wanted, 0, False

    def run(self):
        while not self.over and self.seen < self.wanted:
            for pid in descendants(self.pid) - {os.getpid()}:
                self.seen = max(self.seen, seen_on_pool(pid))
            time.sleep(0.01)


# ---- running ----


class Outcome:
    """What one run showed."""

    def __init__(self, status, stdout, stderr, files, seconds):
        self.status, self.stdout, self.stderr, self.files, self.seconds = (
            status,
            stdout,
            stderr,
            files,
            seconds,
        )


def stop_group(process):
    """End the program and what it started: it leads a process group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_once(argv, folder, env, stdin, limit_s, files, watch=0):
    """Run to the end or the limit; returns (Outcome, allocations seen on the pool)."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=env,
            stdout=out,
            stderr=err,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            start_new_session=True,
        )
        watcher = Watcher(process.pid, watch) if watch else None
        if watcher:
            watcher.start()
        try:
            process.communicate(stdin, timeout=limit_s)
            status = process.returncode
        except subprocess.TimeoutExpired:
            stop_group(process)
            process.communicate()
            status = f"no end after {limit_s} s"
        finally:
            stop_group(process)
            if watcher:
                watcher.over = True
                watcher.join()
        out.seek(0)
        err.seek(0)
        kept = {}
        for name in files:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, "rb") as file:
                    kept[name] = file.read()
            else:
                kept[name] = None
        outcome = Outcome(status, out.read(), err.read(), kept, time.monotonic() - begin)
    return outcome, watcher.seen if watcher else 0


def first_difference(left, right):
    """A few lines that say where two byte strings part."""
    if left is None or right is None:
        return (
            f"without: {'absent' if left is None else 'present'}, on the pool: "
            f"{'absent' if right is None else 'present'}"
        )
    a, b = left.splitlines(), right.splitlines()
    for number, (one, two) in enumerate(zip(a, b)):
        if one != two:
            return f"line {number + 1}\n  without: {one[:300]!r}\n  on the pool: {two[:300]!r}"
    longer = a if len(a) > len(b) else b
    who = "without" if longer is a else "on the pool"
    return (
        f"{len(a)} lines without, {len(b)} on the pool; first extra {who}: "
        f"{longer[min(len(a), len(b))][:300]!r}"
        if longer
        else "empty"
    )


class Suite:
    """The cases of one test file: compare() each, then finish()."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="expool-programs-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.failures = []
        self.cases = 0

    def environment(self, extra):
        """A small, equal environment for both runs."""
        env = {
            "PATH": SEARCH,
            "HOME": self.folder,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "dumb",
        }
        env.update(extra)
        return env

    def compare(
        self,
        name,
        argv,
        *,
        stdin=None,
        env=None,
        files=(),
        setup=None,
        normal=None,
        stderr=False,
        status=0,
        limit_s=60,
        allocations=1000,
    ):
        """Run argv both ways and compare.

        setup(folder) prepares each run's folder; normal(bytes) takes times and the like out of
        stdout and stderr before they are compared; status is what the program must end with
        when it runs as it is. allocations: at least so many must be counted in one process on
        the pool; a short program that was over before anybody looked is run again for that."""
        self.cases += 1
        normal = normal or (lambda text: text)
        outcome, seen = {}, 0
        for on_pool in (False, *[True] * LOOKS_MOST):
            if on_pool in outcome and seen >= allocations:
                break
            folder = os.path.join(self.folder, "work")
            os.mkdir(folder)
            if setup:
                setup(folder)
            command, addition = pool_command(argv) if on_pool else (argv, {})
            outcome[on_pool], seen_now = run_once(
                command,
                folder,
                self.environment({**(env or {}), **addition}),
                stdin,
                limit_s,
                files,
                allocations if on_pool else 0,
            )
            seen = max(seen, seen_now)
            shutil.rmtree(folder)
        self.judge(name, outcome, seen, normal, stderr, status, allocations)
        return outcome[False], outcome[True]

    def judge(self, name, outcome, seen, normal, stderr, status, allocations):
        """Compare two outcomes; every difference is a failure of its own."""
        plain, pooled = outcome[False], outcome[True]
        before = len(self.failures)
        if plain.status != status:
            self.fail(
                name,
                f"without the pool it ends with {plain.status}, not {status}: "
                f"{(plain.stderr or plain.stdout)[-600:].decode(errors='replace')}",
            )
        if pooled.status != plain.status:
            self.fail(
                name,
                f"status {plain.status} without, {pooled.status} on the pool: "
                f"{pooled.stderr[-2000:].decode(errors='replace')}",
            )
        if normal(plain.stdout) != normal(pooled.stdout):
            self.fail(
                name, f"stdout: {first_difference(normal(plain.stdout), normal(pooled.stdout))}"
            )
        if stderr and normal(plain.stderr) != normal(pooled.stderr):
            self.fail(
                name, f"stderr: {first_difference(normal(plain.stderr), normal(pooled.stderr))}"
            )
        for file in plain.files:
            if plain.files[file] is None or plain.files[file] != pooled.files[file]:
                self.fail(
                    name, f"file {file}: {first_difference(plain.files[file], pooled.files[file])}"
                )
        if seen < allocations:
            self.fail(
                name, f"not on the pool: {seen} allocations seen there, expected {allocations}"
            )
        verdict = "ok" if len(self.failures) == before else "FAILED"
        print(
            f"{verdict}: {name} ({plain.seconds:.1f} s, on the pool {pooled.seconds:.1f} s, "
            f"{'stand-in' if STAND_IN else seen} allocations seen)",
            flush=True,
        )

    def fail(self, name, sentence):
        self.failures.append(name)
        print(f"FAILED: {name}: {sentence}", flush=True)

    def finish(self):
        """End the test file with its exit status."""
        if self.cases == 0:
            fail("no case ran")
        print(f"{self.cases} cases, {len(set(self.failures))} failed")
        sys.exit(1 if self.failures else 0)
