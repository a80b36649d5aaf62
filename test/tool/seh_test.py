# SPDX-License-Identifier: MIT
"""Exceptions as a driver's compiler sees them: gcc and clang, at every level of optimisation.

Method: the tests of test/ddi/seh_*test.c and the program of docs/exceptions.md are compiled with
the flags of a driver and all warnings as errors, and run; what must not compile is tried too. The
numbers of instructions in docs/exceptions.md are counted by callgrind.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ["EXPOOL_SOURCE"]
BUILD = os.environ["EXPOOL_BUILD"]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
LEVELS = ["-O0", "-O1", "-O2", "-O3"]
DRIVER_FLAGS = ["-fshort-wchar", "-fms-extensions", "-Wno-multichar", "-Wno-unknown-pragmas"]
FLAGS = ["-std=gnu17", "-Wall", "-Wextra", "-Werror", *DRIVER_FLAGS,
         "-I" + os.path.join(SOURCE, "include"), "-I" + os.path.join(SOURCE, "include/wdk")]
LIBRARY = ["-L" + BUILD, "-lexpool", "-pthread", "-Wl,-rpath," + BUILD]
PASSES = 10000

# What stands in the braces of "void test(void) { ... }" and must not compile.
REFUSED = {
    "a code where no statement is around": "(void)GetExceptionCode();",
    "a code after its statement": "__try { } __except (1) { } (void)GetExceptionCode();",
    "__leave outside of a block": "__leave;",
    "__leave in the block's own handler": "__try { } __except (1) { __leave; }",
    "information in a handler": "__try { } __except (1) { (void)GetExceptionInformation(); }",
    "termination in a guarded block": "__try { (void)AbnormalTermination(); } __finally { }",
    "a block without handler": "__try { }",
    "a handler without block": "{ } __except (1) { }",
    "both": "__try { } __except (1) { } __finally { }",
}

# A function that ends with a statement whose every way returns.
RETURNS = """#include <wdm.h>
LONG first(LONG value);
LONG second(LONG value);
LONG first(LONG value)
{
    __try { if (value != 0) ExRaiseStatus(value); return 1; }
    __except (EXCEPTION_EXECUTE_HANDLER) { return GetExceptionCode(); }
}
LONG second(LONG value)
{
    __try { __try { return first(value); } __except (1) { return 1; } }
    __except (GetExceptionCode() == 3) { return 2; }
}
int main(void) { return first(7) == 7 && second(0) == 1 ? 0 : 1; }
"""


def blocks_of(document):
    """Every fenced block: (language, body)."""
    with open(os.path.join(SOURCE, document), encoding="utf-8") as file:
        return re.findall(r"^```(\w*)\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


class SehTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="expool-seh-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = holder.name

    def compile(self, compiler, level, source, *more):
        """(program, what the compiler said); source is a path, or text with a line end."""
        program = os.path.join(self.folder, "program")
        if "\n" in source:
            path = os.path.join(self.folder, "source.c")
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
            source = path
        done = subprocess.run([compiler, level, *FLAGS, *more, source, "-o", program, *LIBRARY],
                              capture_output=True, text=True, check=False)
        return (program if done.returncode == 0 else None), done.stderr

    def run_everywhere(self, source):
        """What the program prints, from each compiler at each level."""
        for compiler in COMPILERS:
            for level in LEVELS:
                program, words = self.compile(compiler, level, source)
                self.assertEqual((program is not None, words), (True, ""), (compiler, level))
                done = subprocess.run([program], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, (compiler, level, done.stdout, done.stderr))
                yield done.stdout

    def test_there_is_a_compiler(self):
        self.assertTrue(COMPILERS)

    def test_every_compiler_and_level_passes_the_tests_of_the_rules(self):
        for output in self.run_everywhere(os.path.join(SOURCE, "test/ddi/seh_test.c")):
            self.assertIn(" 0 failed", output)

    def test_every_compiler_and_level_passes_the_tests_of_the_inside(self):
        for output in self.run_everywhere(os.path.join(SOURCE, "test/ddi/seh_inside_test.c")):
            self.assertIn(" 0 failed", output)

    def test_program_of_the_document_prints_what_stands_there(self):
        blocks = blocks_of("docs/exceptions.md")
        place = [language for language, _ in blocks].index("c")
        for output in self.run_everywhere(blocks[place][1]):
            self.assertEqual(output, blocks[place + 1][1])

    def test_a_function_whose_guarded_block_and_handler_return_has_no_other_end(self):
        for compiler in COMPILERS:
            for level in LEVELS[1:] if compiler == "gcc" else LEVELS:
                program, words = self.compile(compiler, level, RETURNS)
                self.assertEqual(words, "", (compiler, level))
                self.assertEqual(subprocess.run([program], check=False).returncode, 0)

    def test_mistakes_do_not_compile(self):
        program = "#include <wdm.h>\nvoid test(void) { %s }\nint main(void) { return 0; }\n"
        for compiler in COMPILERS:
            self.assertIsNotNone(self.compile(compiler, "-O1", program % "")[0])
            for what, body in REFUSED.items():
                self.assertIsNone(self.compile(compiler, "-O1", program % body)[0],
                                  (compiler, what))

    def test_cpp_sees_the_routines_and_none_of_the_keywords(self):
        """The C++ library has its own __try."""
        text = ("#include <wdm.h>\n#include <new>\n#include <vector>\n#ifdef __try\n#undef __try\n"
                "#endif\nint main() { if (0) { ExRaiseStatus(STATUS_NO_MEMORY); } return 0; }\n")
        for compiler in [name for name in ("g++", "clang++") if shutil.which(name)]:
            path = os.path.join(self.folder, "source.cpp")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            flags = [flag for flag in FLAGS if not flag.startswith("-std")]
            done = subprocess.run([compiler, *flags, path, "-o", path + ".out", *LIBRARY],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), compiler)

    def count(self, program, kind):
        """Instructions of one pass."""
        counts = []
        for passes in (PASSES, 2 * PASSES):
            done = subprocess.run(["valgrind", "--tool=callgrind",
                                   "--callgrind-out-file=" + os.devnull, program, kind,
                                   str(passes)], capture_output=True, text=True, check=True)
            counts.append(int(re.search(r"Collected : (\d+)", done.stderr).group(1)))
        return (counts[1] - counts[0]) / PASSES

    def test_cost_is_what_the_document_says(self):
        with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
            cache = file.read()
        if (shutil.which("valgrind") is None or "gcc" not in COMPILERS
                or re.search(r"^CMAKE_C_COMPILER:\w+=.*clang", cache, re.MULTILINE)
                or re.search(r"^EXPOOL_CHECKED:\w+=(ON|1|TRUE)$", cache, re.MULTILINE)):
            self.skipTest("counted for gcc without assertions, by valgrind")
        with open(os.path.join(SOURCE, "docs/exceptions.md"), encoding="utf-8") as file:
            told = re.findall(r"^\| [^|]+ \| `(\w)` \| (\d+) \|$", file.read(), re.MULTILINE)
        self.assertEqual([kind for kind, _ in told], ["e", "f", "r"])
        program, words = self.compile("gcc", "-O2", os.path.join(SOURCE, "test/tool/seh_cost.c"))
        self.assertEqual(words, "")
        plain = self.count(program, "p")
        for kind, number in told:
            got = self.count(program, kind) - plain
            self.assertLess(abs(got - int(number)), 0.1 * int(number) + 3, (kind, got))


if __name__ == "__main__":
    unittest.main()
