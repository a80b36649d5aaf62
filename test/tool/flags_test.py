#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A POOL_TYPE where POOL_FLAGS belong is told at compile time, and nothing else is.

Method: wrong and right calls stand one to a line in a file, which each compiler compiles as C and
as C++, without and with optimisation; the lines it names in its warnings are compared with the
lines that are wrong. A compiler that is not there is left out, and at least one must be there.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD, SOURCE = os.environ["EXPOOL_BUILD"], os.environ["EXPOOL_SOURCE"]
FLAGS = ["-Wall", "-Wextra", "-fshort-wchar", "-fms-extensions", "-Wno-multichar",
         "-Wno-unknown-pragmas", f"-I{SOURCE}/include/wdk"]
COMPILERS = [(name, language) for name, language in (
    ("gcc", "c"), ("clang", "c"), ("g++", "c++"), ("clang++", "c++")) if shutil.which(name)]

HEAD = """#include <ntifs.h>
struct request { POOL_TYPE type; POOL_FLAGS flags; };
extern struct request *request;
extern POOL_TYPE type;
extern const POOL_TYPE constant_type;
extern volatile POOL_TYPE volatile_type;
extern POOL_TYPE types[4];
extern POOL_FLAGS flags;
extern ULONG64 wide;
extern ULONG narrow;
extern int number;
POOL_FLAGS get_flags(void);
POOL_TYPE get_type(void);
enum mine { MINE = 0x40 };
extern enum mine mine;
void use(PVOID block);
void body(void);
void body(void)
{
    const POOL_FLAGS local = POOL_FLAG_PAGED;
"""

WRONG = [
    "PagedPool", "NonPagedPool", "NonPagedPoolNx", "NonPagedPoolNxCacheAligned",
    "PagedPoolCacheAligned", "PagedPool | POOL_ZERO_ALLOCATION",
    "NonPagedPoolNx | POOL_FLAG_SESSION",
    "(POOL_TYPE)1", "type", "constant_type", "volatile_type", "types[2]", "request->type",
    "get_type()", "1", "0", "512", "0u", "1ull",
    "POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED", "POOL_FLAG_UNINITIALIZED",
    "POOL_FLAG_RAISE_ON_FAILURE",
    "POOL_FLAG_PAGED | POOL_FLAG_RESERVED1", "POOL_FLAG_NON_PAGED | 0x80000000u",
]
RIGHT = [
    "POOL_FLAG_PAGED", "POOL_FLAG_NON_PAGED", "POOL_FLAG_NON_PAGED_EXECUTE",
    "POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED | POOL_FLAG_RAISE_ON_FAILURE",
    "POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL", "POOL_FLAG_PAGED | POOL_FLAG_OPTIONAL_END",
    "0x40", "0x100", "256u", "(ULONG)POOL_FLAG_PAGED", "MINE", "mine", "flags", "wide", "narrow",
    "number", "local", "request->flags", "get_flags()", "flags | POOL_FLAG_PAGED",
    "number ? POOL_FLAG_PAGED : POOL_FLAG_NON_PAGED", "flags++", "narrow & ~1u",
    "(flags |= POOL_FLAG_USE_QUOTA, flags)",
]
PLAIN = [  # the function itself
    "use((ExAllocatePool2)(PagedPool, 1, 1));",
    "{ PVOID (*p)(POOL_FLAGS, SIZE_T, ULONG) = ExAllocatePool2; use(p(1, 1, 1)); }",
    "{ PVOID (*p)(POOL_FLAGS, SIZE_T, ULONG) = &ExAllocatePool2; use(p(1, 1, 1)); }",
    "use((ExAllocatePool3)(PagedPool, 1, 1, NULL, 0));",
    "use(ExAllocatePoolWithTag(PagedPool, 1, 1));",
    "use(ExAllocatePoolZero(NonPagedPoolNx, 1, 1));",
]

RUN = """#include <wdm.h>
static int calls;
static POOL_FLAGS once(void) { calls++; return POOL_FLAG_PAGED; }
int main(void)
{
    PVOID (*pointer)(POOL_FLAGS, SIZE_T, ULONG) = ExAllocatePool2;
    PVOID block = ExAllocatePool2(once(), 100, 'galF');
    PVOID other = pointer(POOL_FLAG_NON_PAGED, 100, 'galF');
    if (block == NULL || other == NULL || calls != 1) return 1;
    if (ExAllocatePool2(PagedPool, 100, 'galF') != NULL) return 2;
    if ((ExAllocatePool2)(NonPagedPoolNx, 100, 'galF') != NULL) return 3;
    ExFreePoolWithTag(block, 'galF');
    ExFreePoolWithTag(other, 'galF');
    return 0;
}
"""


class Flags(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.assertTrue(COMPILERS)

    def compile(self, compiler, language, level, text):
        """Lines of text that the compiler says something of."""
        path = os.path.join(self.folder.name, "driver.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run(
            [compiler, "-x", language, level, *FLAGS, "-c", path, "-o", path + ".o"],
            stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.words = done.stderr
        return {int(line) for line in re.findall(r"driver\.c:(\d+):", done.stderr)}

    def check(self, routine):
        lines = [f"    use({routine % flags});" for flags in WRONG + RIGHT]
        lines += [f"    {line}" for line in PLAIN] + ["    (void)local;", "}", ""]
        text = HEAD + "\n".join(lines)
        first = HEAD.count("\n") + 1
        names = dict(enumerate(lines, first))
        for compiler, language in COMPILERS:
            for level in ("-O0", "-O2"):
                with self.subTest(compiler=compiler, level=level):
                    told = self.compile(compiler, language, level, text)
                    self.assertEqual([names[n] for n in range(first, first + len(WRONG))],
                                     [names.get(n, n) for n in sorted(told)])
                    self.assertEqual(len(WRONG), len(re.findall(r":\d+: warning: ", self.words)))
                    self.assertIn("this is a POOL_TYPE or names none", self.words)

    def test_flags_of_pool2_are_checked_when_compiled(self):
        self.check("ExAllocatePool2(%s, 100, 'galF')")

    def test_flags_of_pool3_are_checked_when_compiled(self):
        self.check("ExAllocatePool3(%s, 100, 'galF', NULL, 0)")

    def test_a_told_call_still_compiles_and_fails_as_documented(self):
        for compiler, language in COMPILERS:
            for level in ("-O0", "-O2"):
                with self.subTest(compiler=compiler, level=level):
                    self.compile(compiler, language, level, RUN)
                    program = os.path.join(self.folder.name, "driver")
                    subprocess.run([compiler, program + ".c.o", "-o", program, f"-L{BUILD}",
                                    f"-Wl,-rpath,{BUILD}", "-lexpool"], check=True)
                    self.assertEqual(0, subprocess.run([program], check=False).returncode)


if __name__ == "__main__":
    unittest.main()
