#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python3's own test modules for its heaviest areas say the same on the pool as without.

Method: each module's tests run verbosely under "python3 -m unittest" or "-m test"; the verdict
of every single test, their number and the exit status are compared. PYTHONMALLOC=malloc takes
python's own block allocator out of the way, so that every object is a block of the allocator
under test. A second pass leaves it in, as python3 normally runs, for a program over many
modules.

Two tests of POSIXProcessTestCase are left out: they list a child's open descriptors and count
them, and a process on the pool has one more, that of its statistics region (product.md section
6). They fail under any tool that holds a descriptor; all other tests of the class run. Only where
other users cannot reach the build (a folder of root's), "test_user" is left out as well: its child
becomes another user, and the loader tells that it cannot preload the library.

A machine whose name "localhost" means nothing does not run the tests of sockets.
"""

import os
import re
import socket
import stat
import subprocess

import programs

# Module, and its runner: some need regrtest ("test") to find their tests.
MODULES = [
    ("test_json", "unittest"),
    ("test_re", "unittest"),
    ("test_dict", "unittest"),
    ("test_list", "unittest"),
    ("test_set", "unittest"),
    ("test_unicode", "unittest"),
    ("test_bytes", "unittest"),
    ("test_collections", "unittest"),
    ("test_pickle", "unittest"),
    ("test_zlib", "unittest"),
    ("test_array", "unittest"),
    ("test_itertools", "unittest"),
    ("test_gc", "unittest"),
    ("test_weakref", "unittest"),
    ("test_threading", "unittest"),
    ("test_decimal", "test"),
    ("test_xml_etree", "test"),
    ("test_ast", "unittest"),
    ("test_asyncio.test_streams", "unittest"),
    ("test_asyncio.test_futures", "unittest"),
    ("test_memoryview", "unittest"),
]

SUBPROCESS_SCRIPT = """
import sys, unittest
left_out = {"test_close_fds_when_max_fd_is_lowered", "test_pass_fds_redirected", *sys.argv[1:]}
found = unittest.defaultTestLoader.loadTestsFromName("test.test_subprocess.POSIXProcessTestCase")
chosen = unittest.TestSuite(test for test in found if test._testMethodName not in left_out)
assert chosen.countTestCases() == found.countTestCases() - len(left_out)
sys.exit(not unittest.TextTestRunner(verbosity=2).run(chosen).wasSuccessful())
"""

SQLITE_SCRIPT = """
import sqlite3, hashlib
base = sqlite3.connect(":memory:")
base.execute("create table item(id integer primary key, name text, body blob)")
base.executemany("insert into item values(?, ?, ?)",
                 ((i, f"name{i * 7919 % 50000}", bytes([i % 256]) * (i % 300))
                  for i in range(50000)))
base.create_function("twice", 1, lambda text: text + text)
base.create_aggregate("joined", 1, type("Joined", (), {
    "__init__": lambda self: setattr(self, "all", []),
    "step": lambda self, value: self.all.append(value),
    "finalize": lambda self: hashlib.sha256("".join(sorted(self.all)).encode()).hexdigest()}))
print(base.execute("select joined(twice(name)), sum(length(body)) from item").fetchone())
print(hashlib.sha256("\\n".join(base.iterdump()).encode()).hexdigest())
"""

STARTUP_SCRIPT = """
import asyncio, concurrent.futures, ctypes, decimal, email, hashlib, html.parser, http.client, json
import logging, multiprocessing, sqlite3, ssl, unittest, urllib.request, zipfile
import xml.etree.ElementTree
def work(seed):
    table = {str(i): [i, {"k": i}] for i in range(seed, seed + 20000)}
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
with concurrent.futures.ThreadPoolExecutor(4) as threads:
    print(*threads.map(work, range(8)), sep="\\n")
with multiprocessing.get_context("fork").Pool(3) as processes:
    print(*processes.map(work, range(8)), sep="\\n")
"""


def verdicts(text):
    """The verdict of every test, in order, and their number; times and addresses are left out."""
    kept = []
    for line in text.decode(errors="replace").splitlines():
        line = re.sub(r"0x[0-9a-f]+", "0x", line)
        found = re.search(
            r"^(.*) \.\.\. (ok|FAIL|ERROR|expected failure|unexpected success|skipped\b.*)$", line
        )
        ran = re.match(r"Ran \d+ tests", line)
        if found or ran:
            kept.append(found.group(0) if found else ran.group(0))
        elif re.match(r"(OK|FAILED)\b", line):
            kept.append(line)
    return "\n".join(kept).encode()


def others_reach(path):
    """Whether any user may read a file: all folders above it can be entered."""
    path = os.path.realpath(path)
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


def has_localhost():
    try:
        socket.getaddrinfo("localhost", 0)
    except OSError:
        print("note: localhost means nothing here, the tests of sockets are left out")
        return False
    return True


def tests_ran(outcome):
    return b"Ran 0 tests" not in outcome.stdout + outcome.stderr and re.search(
        rb"Ran \d+ tests", outcome.stdout + outcome.stderr
    )


def main():
    python = programs.need("python3")
    probe = subprocess.run(
        [python, "-c", "import test.test_json"],
        capture_output=True,
        check=False,
        env={"PATH": programs.SEARCH},
    )
    if probe.returncode != 0:
        programs.skip("python3's own test modules (libpython3-testsuite) are not installed")
    suite = programs.Suite()
    environment = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "7"}
    runs = [
        (module, ["-m", runner, "-v", module if runner == "test" else f"test.{module}"])
        for module, runner in MODULES
        if module != "test_asyncio.test_streams" or has_localhost()
    ]
    alone = [] if others_reach(programs.BUILD) else ["test_user"]
    runs.append(("test_subprocess.POSIXProcessTestCase", ["-c", SUBPROCESS_SCRIPT, *alone]))
    for module, arguments in runs:
        for outcome in suite.compare(
            f"python3 {module}",
            [python, *arguments],
            env=environment,
            normal=verdicts,
            stderr=True,
            limit_s=90,
            allocations=10000,
        ):
            if not tests_ran(outcome):
                suite.fail(f"python3 {module}", "ran no test")
    suite.compare(
        "python3 sqlite3 script", [python, "-c", SQLITE_SCRIPT], env=environment, allocations=10000
    )
    suite.compare(
        "python3 threads and forks, own block allocator",
        [python, "-c", STARTUP_SCRIPT],
        env={"PYTHONHASHSEED": "7"},
    )
    suite.finish()


if __name__ == "__main__":
    main()
