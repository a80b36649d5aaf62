# SPDX-License-Identifier: MIT
"""The tools against real programs that run on the pool.

Method: a small program (live_driver.c) allocates known numbers of blocks in steps, and the tools
must show exactly these; Python stands for programs of many modules.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import region
from region import EXPOOL, LIBRARY, POOLMON, ToolTest, call

PYTHON_SLEEPER = "import sys, ssl, json; kept = [str(n) for n in range(50000)]; " \
                 "sys.stdout.write('+'); sys.stdout.flush(); sys.stdin.read()"


class Running:
    """A program under expool run; a context manager that gives itself when the program is ready."""

    def __init__(self, *words, options=()):
        self.words = [EXPOOL, "run", *options, "--", *words]

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0)
        self.pid = self.process.pid
        self.ready()
        return self

    def ready(self):
        byte = self.process.stdout.read(1)
        if byte == b"":
            self.__exit__()
            raise RuntimeError("the program ended: %s" % self.process.returncode)
        return byte

    def step(self):
        self.process.stdin.write(b"+")
        self.ready()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class LiveTest(ToolTest):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = os.path.realpath(holder.name)
        cls.driver = os.path.join(cls.folder, "live_driver")
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-Wall", "-O1", "-pthread",
                        os.path.join(region.SOURCE, "test/tool/live_driver.c"), "-o", cls.driver],
                       check=True)

    def stat(self, pid):
        result = call(EXPOOL, "stat", "--json", pid)
        self.expect(result, 0, stderr="")
        self.assertEqual(result.stderr, "")
        return json.loads(result.stdout)

    def row(self, pid, module):
        """The one row of a module."""
        rows = [row for row in self.stat(pid)["tags"] if row["module"] is not None
                and os.path.basename(row["module"]) == module]
        self.assertEqual(len(rows), 1, rows)
        return rows[0]

    def test_blocks_are_counted_exactly(self):
        for count, size in ((1000, 100), (300, 3000), (50, 20000), (3, 5 << 20)):
            with Running(self.driver, "blocks", str(count), str(size)) as program:
                before = self.row(program.pid, "live_driver")
                program.step()
                held = self.row(program.pid, "live_driver")
                program.step()
                after = self.row(program.pid, "live_driver")
                self.assertEqual(held["allocs"] - before["allocs"], count)
                self.assertEqual(held["frees"], before["frees"])
                grown = held["bytes"] - before["bytes"]
                self.assertGreaterEqual(grown, count * size)
                self.assertLessEqual(grown, count * (size + size // 2 + 4096))
                self.assertEqual(after["allocs"], held["allocs"])
                self.assertEqual(after["frees"] - held["frees"], count)
                self.assertEqual(after["bytes"], before["bytes"])

    def test_every_tool_shows_the_same(self):
        with Running(self.driver, "blocks", "10", "200") as program:
            program.step()
            rows = self.stat(program.pid)["tags"]
            lines = call(EXPOOL, "stat", "--csv", program.pid).stdout.splitlines()
            self.assertEqual(len(lines), len(rows) + 1)
            for line, row in zip(lines[1:], rows):
                self.assertTrue(line.startswith("%s,%s,%d,%d,%d,%d," % (
                    row["tag"], row["pool"], row["allocs"], row["frees"], row["diff"],
                    row["bytes"])), line)
            result = call(POOLMON, "--once", program.pid, "/e")
            self.expect(result, 0, stderr="")
            total = re.findall(r"\d+", result.stdout.splitlines()[-1])
            self.assertEqual([int(total[index]) for index in (0, 2, 4, 5)],
                             [sum(row[key] for row in rows)
                              for key in ("allocs", "frees", "diff", "bytes")])
            listed = [entry for entry in json.loads(call(EXPOOL, "list", "--json").stdout)
                      if entry["pid"] == program.pid]
            self.assertEqual([(entry["name"], entry["bytes"]) for entry in listed],
                             [("live_driver", sum(row["bytes"] for row in rows))])

    def test_python_shows_its_modules(self):
        with Running(sys.executable, "-c", PYTHON_SLEEPER) as program:
            value = self.stat(program.pid)
            modules = {os.path.basename(row["module"]) for row in value["tags"] if row["module"]}
            self.assertTrue([name for name in modules if "python" in name], modules)
            self.assertTrue([name for name in modules if name.startswith("libc.so")], modules)
            self.assertTrue([name for name in modules if name.startswith("libcrypto")], modules)
            for row in value["tags"]:
                self.assertGreaterEqual(row["allocs"], row["frees"])
                self.assertEqual(row["diff"], row["allocs"] - row["frees"])
                self.assertEqual(row["pool"], "paged")
            held = sum(row["bytes"] for row in value["tags"])
            paged = [pool for pool in value["pools"] if pool["pool"] == "paged"][0]
            self.assertGreater(held, 1 << 20)
            self.assertGreaterEqual(paged["pages"] * 4096, held)
            self.assertGreaterEqual(paged["pages_peak"], paged["pages"])
            self.assertEqual(value["generation"], 0)
            self.assertIsNone(value["stop"])

    def test_reading_while_threads_run_is_consistent(self):
        with Running(self.driver, "churn", "4") as program:
            former = {}
            end = time.monotonic() + 3
            while time.monotonic() < end:
                for row in self.stat(program.pid)["tags"]:
                    self.assertGreaterEqual(row["allocs"], row["frees"])
                    self.assertEqual(row["diff"], row["allocs"] - row["frees"])
                    key = row["tag"], row["module"]
                    old = former.get(key, (0, 0))
                    self.assertGreaterEqual(row["allocs"], old[0])
                    self.assertGreaterEqual(row["frees"], old[1])
                    former[key] = row["allocs"], row["frees"]

    def test_fork_gets_its_own_region(self):
        with Running(self.driver, "fork") as program:
            child = only_child(program.pid)
            # The first digit was taken as the sign of readiness.
            self.assertEqual(str(child)[1:] + "\n", program.process.stdout.readline().decode())
            parent_row = self.row(program.pid, "live_driver")
            child_row = self.row(child, "live_driver")
            self.assertEqual(child_row["allocs"], parent_row["allocs"] + 1)
            self.assertGreaterEqual(child_row["bytes"], parent_row["bytes"] + 7000)
            self.assertEqual(self.stat(child)["generation"],
                             self.stat(program.pid)["generation"] + 1)

    def test_children_run_on_the_pool(self):
        script = "%s blocks 7 100; exit 5" % self.driver
        with Running("sh", "-c", script) as program:
            row = self.row(only_child(program.pid), "live_driver")
            self.assertGreaterEqual(row["allocs"], 1)
            program.process.stdin.write(b"+++")
            self.assertEqual(program.process.wait(), 5)

    def test_one_tag_for_all_blocks(self):
        with Running(self.driver, "blocks", "7", "100", options=["--tag", "A1 ?"]) as program:
            program.step()
            value = self.stat(program.pid)
            self.assertEqual({row["tag"] for row in value["tags"]}, {"A1 ?"})
            self.assertEqual(value["options"]["tag"], "A1 ?")

    def test_exit_status_output_and_signals_are_the_programs(self):
        code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(%d)"
        for status in (0, 1, 42):
            result = call(EXPOOL, "run", "--", sys.executable, "-c", code % status)
            self.expect(result, status, stdout="out\n")
            self.assertEqual(result.stderr, "err\n")
        code = "import os, signal; os.kill(os.getpid(), signal.%s)"
        for name in ("SIGTERM", "SIGKILL"):
            result = call(EXPOOL, "run", "--", sys.executable, "-c", code % name)
            self.assertEqual(result.returncode, -getattr(signal, name))

    def test_process_that_is_gone(self):
        with Running(self.driver, "blocks", "7", "100") as program:
            self.stat(program.pid)
        self.expect(call(EXPOOL, "stat", program.pid), 3, stdout="", stderr="is gone")

    def test_unknown_and_bad_options_end_with_status_2(self):
        for option, part in (("no_such_option=1", "no_such_option"), ("seed=abc", "seed"),
                             ("front_cache=2", "front_cache"), ("paged_limit=1X", "paged_limit")):
            result = call(EXPOOL, "run", "-o", option, "--", "echo", "started")
            self.expect(result, 2, stdout="", stderr=part)
            if part == "no_such_option":
                for name in manual_options():
                    self.assertIn(name, result.stderr)

    def test_manual_has_every_option_and_its_default(self):
        with Running(self.driver, "blocks", "7", "100") as program:
            options = self.stat(program.pid)["options"]
        manual = manual_options()
        self.assertEqual(set(manual), set(options))
        manual.pop("seed")  # 0 takes a random one; what was taken is shown
        options.pop("seed")
        # On in builds with assertions, as the manual says.
        self.assertEqual(manual.pop("guard"), "0")
        self.assertIn(options.pop("guard"), ("0", "1"))
        self.assertEqual(manual, options)

    def test_report_on_stderr(self):
        code = "import sys; print('out'); sys.exit(3)"
        result = call(EXPOOL, "run", "--report", "--", sys.executable, "-c", code)
        self.expect(result, 3, stdout="out\n", stderr="Paged")

    def test_report_into_a_file_for_each_process(self):
        """A parent and a child that both end by exit(); _exit(), as in dash, leaves no table."""
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'pass']); sys.exit(4)"
        result = call(EXPOOL, "run", "--report=table.%p", "--", sys.executable, "-c", code,
                      cwd=self.folder)
        self.expect(result, 4, stdout="")
        self.assertEqual(result.stderr, "")
        tables = [name for name in os.listdir(self.folder) if name.startswith("table.")]
        self.assertEqual(len(tables), 2, tables)
        for name in tables:
            self.assertRegex(name, r"^table\.\d+$")
            with open(os.path.join(self.folder, name)) as file:
                self.assertIn("Paged", file.read())


def only_child(pid):
    """Process id of the first child of a process."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return int(file.read().split()[0])


def manual_options():
    """Names and defaults of expool(7)."""
    with open(os.path.join(region.SOURCE, "man", "expool.7")) as file:
        return dict(re.findall(r'^\.BR (\w+) ", default " (\w+)', file.read(), re.M))


if __name__ == "__main__":
    region.main(needed=(EXPOOL, POOLMON, LIBRARY))
