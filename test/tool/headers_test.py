#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Driver code of every kind compiles with the driver headers and without a word, also as C++.

Method: small files are compiled with all warnings as errors; where it matters what they do they are
linked, with the routines under test in the library, and run.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

BUILD, SOURCE = os.environ["EXPOOL_BUILD"], os.environ["EXPOOL_SOURCE"]
FLAGS = ["-O1", "-Wall", "-Wextra", "-Werror", "-fshort-wchar", "-fms-extensions",
         "-Wno-multichar", "-Wno-unknown-pragmas", f"-I{SOURCE}/include/wdk"]
COMPILERS = [(name, standard) for name, standards in (
    ("gcc", ("gnu11", "gnu17")), ("clang", ("gnu11", "gnu17")),
    ("g++", ("gnu++11", "gnu++17", "gnu++20")), ("clang++", ("gnu++11", "gnu++17", "gnu++20")))
    if shutil.which(name) for standard in standards]
OPTIONS = [[], ["-DDBG=1"], ["-DPOOL_NX_OPTIN=1"], ["-DPOOL_NX_OPTIN_AUTO=1"],
           ["-DPOOL_ZERO_DOWN_LEVEL_SUPPORT"]]

EVERYTHING = """
VOID body(PUNICODE_STRING text, PFAST_MUTEX mutex, PKSPIN_LOCK lock);
VOID body(PUNICODE_STRING text, PFAST_MUTEX mutex, PKSPIN_LOCK lock)
{
    static UNICODE_STRING name = RTL_CONSTANT_STRING(L"name");
    DECLARE_CONST_UNICODE_STRING(other, L"other");
    KLOCK_QUEUE_HANDLE handle;
    KIRQL old;
    LONG count = 0;
    PVOID block = ExAllocatePool2(POOL_FLAG_PAGED, 10, 'tseT');

    PAGED_CODE();
    NT_ASSERT(block != NULL);
    NT_ASSERTMSG("no block", block != NULL);
    (void)NT_VERIFY(block != NULL);
    KdPrint(("%wZ %p\\n", &name, block));
    KdPrintEx((DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "%u\\n", 1u));
    RtlZeroMemory(block, 10);
    ExFreePool(block);
    block = ExAllocatePoolZero(NonPagedPool, 10, 'tseT');
    ExFreePoolWithTag(block, 'tseT');
    KeAcquireSpinLock(lock, &old);
    InterlockedIncrement(&count);
    KeReleaseSpinLock(lock, old);
    KeAcquireInStackQueuedSpinLock(lock, &handle);
    KeReleaseInStackQueuedSpinLock(&handle);
    ExAcquireFastMutex(mutex);
    RtlCopyUnicodeString(text, &name);
    (void)RtlAppendUnicodeStringToString(text, &other);
    ExReleaseFastMutex(mutex);
    DbgPrint("%wZ\\n", text);
    if (count > 1) KeBugCheckEx(0xE2, 1, 2, 3, 4);
}
"""

FAMILY = """
VOID family(PEPROCESS process, HANDLE *pool, POOL_EXTENDED_PARAMETER *parameter);
VOID family(PEPROCESS process, HANDLE *pool, POOL_EXTENDED_PARAMETER *parameter)
{
    PVOID block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 10, 'tseT', parameter, 1);
    ExFreePool2(block, 'tseT', parameter, 1);
    block = ExAllocatePoolQuotaZero(PagedPool, 10, 'tseT');
    block = ExAllocatePoolQuotaUninitialized(PagedPool, 10, 'tseT');
    block = ExAllocatePoolPriorityZero(PagedPool, 10, 'tseT', LowPoolPriority);
    block = ExAllocatePoolPriorityUninitialized(PagedPool, 10, 'tseT', HighPoolPriority);
    block = ExAllocatePoolWithQuota(PagedPool, 10);
    block = FsRtlAllocatePool(PagedPool, 10);
    block = FsRtlAllocatePoolWithTag(NonPagedPoolNx, 10, 'tseT');
    block = FsRtlAllocatePoolWithQuota(PagedPool, 10);
    block = FsRtlAllocatePoolWithQuotaTag(PagedPool, 10, 'tseT');
    PsChargePoolQuota(process, PagedPool, 10);
    if (PsChargeProcessPoolQuota(PsGetCurrentProcess(), NonPagedPoolNx, 10) == STATUS_SUCCESS)
        PsReturnPoolQuota(PsInitialSystemProcess, PagedPool, 10);
    if (ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, 'tseT', NULL, pool) == STATUS_SUCCESS &&
        ExSecurePoolValidate(*pool, 'tseT', block, 1) &&
        ExSecurePoolUpdate(*pool, 'tseT', block, 1, 0, 1, block) == STATUS_SUCCESS)
        ExDestroyPool(*pool);
    if (MmQuerySystemSize() == MmSmallSystem)
        ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
}
"""

SYSTEM = ["signal.h", "ucontext.h", "pthread.h", "stdio.h", "stdlib.h", "unistd.h", "poll.h",
          "sys/mman.h", "sys/stat.h", "sys/wait.h", "netinet/in.h", "linux/fs.h", "linux/loop.h",
          "linux/perf_event.h"]
FIELD = "struct context { unsigned char __reserved[16]; };\n"  # signal.h has it on arm64

ONE = """#define POOL_NX_OPTIN 1
#define POOL_ZERO_DOWN_LEVEL_SUPPORT
#include <wdm.h>
void start(void);
void start(void) { ExInitializeDriverRuntime(DrvRtPoolNxOptIn); }
"""
OTHER = """#define POOL_NX_OPTIN 1
#include <ntddk.h>
void start(void);
int seen(void);
int seen(void)
{
    return NonPagedPool == 512 && ExDefaultMdlProtection == 0x40000000 &&
           ExPoolZeroingNativelySupported;
}
"""
MAIN = """#include <ntifs.h>
void start(void);
int seen(void);
int main(void)
{
    int before = ExDefaultNonPagedPoolType == 0 && !seen();
    start();
    return before && seen() && ExDefaultNonPagedPoolType == NonPagedPoolNx ? 0 : 1;
}
"""
LIBRARY = """#include <wdm.h>
__attribute__((visibility("default"))) int library_type(void);
int library_type(void) { return ExDefaultNonPagedPoolType; }
"""
PROGRAM = """#include <wdm.h>
int library_type(void);
int main(void)
{
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    return ExDefaultNonPagedPoolType == 512 && library_type() == 0 ? 0 : 1;
}
"""


class Headers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.assertTrue(COMPILERS)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def compile(self, compiler, standard, options, text, name):
        language = "c++" if "++" in standard else "c"
        done = subprocess.run([compiler, "-x", language, f"-std={standard}", *FLAGS, *options,
                               "-fPIC", "-c", "-", "-o", self.path(name)], input=text,
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_each_header_compiles_as_c_and_cxx_without_a_warning(self):
        for compiler, standard in COMPILERS:
            for header in ("wdm.h", "ntddk.h", "ntifs.h"):
                with self.subTest(compiler=compiler, standard=standard, header=header):
                    self.compile(compiler, standard, [], f"#include <{header}>\n" + EVERYTHING,
                                 "one.o")

    def test_headers_are_silent_under_warnings_that_drivers_add(self):
        more = ["-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wcast-align",
                "-Wcast-qual"]
        for compiler, standard in COMPILERS:
            for options in OPTIONS:
                with self.subTest(compiler=compiler, standard=standard, options=options):
                    self.compile(compiler, standard, options + more, "#include <ntifs.h>\n",
                                 "one.o")

    def test_every_way_to_build_a_driver_compiles(self):
        for compiler, standard in COMPILERS:
            for options in OPTIONS:
                with self.subTest(compiler=compiler, standard=standard, options=options):
                    self.compile(compiler, standard, options,
                                 "#include <ntifs.h>\n" + EVERYTHING + FAMILY, "one.o")

    def test_headers_of_the_system_may_follow(self):
        text = "#include <ntifs.h>\n" + "".join(f"#include <{name}>\n" for name in SYSTEM)
        for compiler, standard in COMPILERS:
            with self.subTest(compiler=compiler, standard=standard):
                self.compile(compiler, standard, [], text + FIELD, "one.o")

    def link_and_run(self, compiler, objects, *more):
        program = self.path("program")
        subprocess.run([compiler, *[self.path(name) for name in objects], *more, "-o", program,
                        f"-L{BUILD}", f"-Wl,-rpath,{BUILD}:{self.folder.name}", "-lexpool"],
                       check=True)
        return subprocess.run([program], check=False).returncode

    def test_all_files_of_a_driver_share_one_copy_of_its_globals(self):
        for compiler, standard in COMPILERS:
            with self.subTest(compiler=compiler, standard=standard):
                for name, text in (("one.o", ONE), ("other.o", OTHER), ("main.o", MAIN)):
                    self.compile(compiler, standard, [], text, name)
                self.assertEqual(0, self.link_and_run(compiler, ["main.o", "other.o", "one.o"]))

    def test_two_images_have_their_own_globals(self):
        for compiler, standard in COMPILERS:
            if "++" in standard:
                continue
            with self.subTest(compiler=compiler, standard=standard):
                self.compile(compiler, standard, [], LIBRARY, "library.o")
                subprocess.run([compiler, "-shared", self.path("library.o"), "-o",
                                self.path("libdriver.so"), f"-L{BUILD}", "-lexpool"], check=True)
                self.compile(compiler, standard, [], PROGRAM, "main.o")
                self.assertEqual(0, self.link_and_run(compiler, ["main.o"],
                                                      self.path("libdriver.so")))


if __name__ == "__main__":
    unittest.main()
