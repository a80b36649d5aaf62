# SPDX-License-Identifier: MIT
"""expool run, as far as it is about starting: environment, exit statuses, messages.

Method: an empty library stands in for the real one, through EXPOOL_LIBRARY or by its place on disk,
and the program that is run prints what it was given.
"""
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

import region
from region import EXPOOL, ToolTest, call

SHOW = "import os; print(os.environ.get('LD_PRELOAD'), os.environ.get('EXPOOL_OPTIONS'), sep='|')"


class RunTest(ToolTest):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = os.path.realpath(holder.name)
        cls.library = cls.build("libempty.so", "-shared", "-fPIC", text="int expool_test_empty;")

    @classmethod
    def build(cls, name, *flags, text):
        path = os.path.join(cls.folder, name)
        subprocess.run([os.environ.get("CC", "cc"), *flags, "-x", "c", "-", "-o", path],
                       input=text.encode(), check=True)
        return path

    def run_tool(self, *words, env=None, **more):
        return call(EXPOOL, "run", *words,
                    env={"EXPOOL_LIBRARY": self.library, **(env or {})}, **more)

    def shown(self, *words, env=None, **more):
        """(LD_PRELOAD, EXPOOL_OPTIONS) of the program."""
        result = self.run_tool(*words, "--", sys.executable, "-c", SHOW, env=env, **more)
        self.expect(result, 0, stderr="")
        self.assertEqual(result.stderr, "")
        return tuple(result.stdout.rstrip("\n").split("|"))

    def test_environment_without_options(self):
        self.assertEqual(self.shown(), (self.library, "None"))

    def test_preload_goes_first_and_only_once(self):
        other = self.build("libother.so", "-shared", "-fPIC", text="int expool_test_other;")
        ours = self.library
        for former in (other, other + ":" + ours, ours + " " + other, "::" + other + " "):
            self.assertEqual(self.shown(env={"LD_PRELOAD": former}), (ours + ":" + other, "None"))

    def test_options_are_merged_and_later_names_win(self):
        self.assertEqual(
            self.shown("-o", "seed=7", "--tag", "ABCD", "-opurge_ms=1", "--tag=module",
                       env={"EXPOOL_OPTIONS": "seed=1,paged_limit=1G,,tags=x"}),
            (self.library, "paged_limit=1G,tags=x,seed=7,purge_ms=1,tag=module"))

    def test_former_options_alone_stay_as_they_are(self):
        self.assertEqual(self.shown(env={"EXPOOL_OPTIONS": "a=1,,b"})[1], "a=1,,b")

    def test_tag_may_hold_any_printable_character_but_the_comma(self):
        for tag in ("Ab 1", "a=b=", "????"):
            self.assertEqual(self.shown("--tag", tag)[1], "tag=" + tag)

    def test_report_goes_to_stderr_or_a_file_seen_from_here(self):
        self.assertEqual(self.shown("--report")[1], "report=stderr")
        self.assertEqual(self.shown("--report=stderr")[1], "report=stderr")
        self.assertEqual(self.shown("--report=off")[1], "report=off")
        self.assertEqual(self.shown("--report=/x/t.%p")[1], "report=/x/t.%p")
        self.assertEqual(self.shown("--report=t", cwd=self.folder)[1],
                         "report=%s/t" % self.folder)

    def test_bad_options_are_usage_and_start_nothing(self):
        for words, part in ((["--tag", "caller"], "--tag caller is not available in this version"),
                            (["--tag", "abc"], "exactly four"),
                            (["--tag", "abcde"], "exactly four"), (["--tag", ""], "exactly four"),
                            (["--tag", "a\x1bbc"], "exactly four"),
                            (["--tag", "a,bc"], "exactly four"), (["-o", "seed"], "name=value"),
                            (["-o", "=1"], "name=value"), (["-o", "seed=1,tag=x"], "comma"),
                            (["--report="], "file name"), (["--report=a,b"], "comma"),
                            (["--nothing"], "--nothing"), (["-o"], "argument")):
            result = self.run_tool(*words, "--", "echo", "started")
            if words == ["-o"]:
                result = self.run_tool(*words)
            self.expect(result, 2, stdout="", stderr=part)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_program_is_missing(self):
        for words in ([], ["--"], ["--tag", "ABCD"]):
            self.expect(self.run_tool(*words), 2, stdout="", stderr="a program is missing")

    def test_program_words_are_not_read_as_options(self):
        result = self.run_tool("echo", "-o", "--help", "--tag")
        self.expect(result, 0, stdout="-o --help --tag\n", stderr="")

    def test_program_cannot_be_run(self):
        plain = os.path.join(self.folder, "plain")
        with open(plain, "w") as file:
            file.write("x")
        for program, status, part in (("/nowhere/x", 127, "No such file or directory"),
                                      ("no-such-program-here", 127, "No such file or directory"),
                                      (plain, 126, "Permission denied"),
                                      (self.folder, 126, "Permission denied")):
            result = self.run_tool("--", program)
            self.expect(result, status, stdout="", stderr="'%s' cannot be run: %s\n"
                        % (program, part))

    def test_exit_status_and_signal_are_the_programs(self):
        for status in (0, 1, 3, 77, 255):
            self.expect(self.run_tool("--", "sh", "-c", "exit %d" % status), status, stdout="")
        for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGKILL):
            result = self.run_tool("--", "sh", "-c", "kill -%d $$" % number)
            self.assertEqual(result.returncode, -number)

    def test_process_id_stays(self):
        process = subprocess.Popen([EXPOOL, "run", "--", "sh", "-c", "echo $$"],
                                   stdout=subprocess.PIPE,
                                   env={**os.environ, "EXPOOL_LIBRARY": self.library})
        self.assertEqual(int(process.communicate()[0]), process.pid)

    def test_library_is_found_by_its_place(self):
        """Beside the command as in a build folder; else under lib, lib64 or lib/TRIPLET."""
        for place in ("bin", "lib", "lib64", "lib/x86_64-any-gnu"):
            prefix = os.path.join(self.folder, "prefix[*]",
                                  place.replace("/", "_"))
            os.makedirs(os.path.join(prefix, "bin"))
            os.makedirs(os.path.join(prefix, place), exist_ok=True)
            command = shutil.copy(EXPOOL, os.path.join(prefix, "bin"))
            library = os.path.join(prefix, place, "libexpool-malloc.so")
            shutil.copy(self.library, library)
            result = call(command, "run", "--", sys.executable, "-c", SHOW)
            self.expect(result, 0, stdout=library + "|None\n")

    def test_library_is_missing(self):
        lonely = os.path.join(self.folder, "lonely")
        os.mkdir(lonely)
        command = shutil.copy(EXPOOL, lonely)
        self.expect(call(command, "run", "--", "echo", "started"), 2, stdout="",
                    stderr="libexpool-malloc.so is not beside this command")
        self.expect(self.run_tool("--", "echo", "started", env={"EXPOOL_LIBRARY": "/nowhere.so"}),
                    2, stdout="", stderr="EXPOOL_LIBRARY names '/nowhere.so': No such file")

    def test_library_path_that_the_loader_would_split(self):
        """The loader would ignore such a library and run the program on another malloc."""
        for name in ("a b", "a:b", "a$LIB"):
            folder = os.path.join(self.folder, name)
            os.mkdir(folder)
            library = shutil.copy(self.library, folder)
            result = self.run_tool("--", "echo", "started", env={"EXPOOL_LIBRARY": library})
            self.expect(result, 2, stdout="", stderr="cannot be preloaded")

    def test_program_without_a_loader_is_told(self):
        try:
            static = self.build("static", "-static", text="int main(void) { return 5; }")
        except subprocess.CalledProcessError:
            self.skipTest("this compiler cannot link statically")
        words = "is linked statically and will not run on the pool"
        self.expect(self.run_tool("--", static), 5, stdout="", stderr=words)
        path = {"PATH": "/nowhere:" + self.folder}
        self.expect(self.run_tool("--", "static", env=path), 5, stdout="", stderr=words)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to make a program of another user")
    def test_program_that_gains_privileges_is_told(self):
        program = self.build("gains", text="int main(void) { return 6; }")
        os.chown(program, 1, 1)
        os.chmod(program, 0o755 | stat.S_ISUID)
        self.expect(self.run_tool("--", program), 6, stdout="",
                    stderr="gains privileges and will not run on the pool")


if __name__ == "__main__":
    region.main(needed=(EXPOOL,))
