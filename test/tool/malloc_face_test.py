# SPDX-License-Identifier: MIT
"""The malloc replacement against libc's own malloc.

Method: every program is compiled once and run twice, on libc's malloc and with
libexpool-malloc.so in front. Exit status and output must be the same; what the programs print is
made to be the same on every right malloc. malloc_module.c alone runs on the pool only, and its
counts are written here.
"""
import os
import resource
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

SOURCE = Path(os.environ.get("EXPOOL_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("EXPOOL_BUILD", SOURCE / "build/free"))
LIBRARY = BUILD / "libexpool-malloc.so"
PROGRAMS = SOURCE / "test/programs"
SECONDS = 100
CC = os.environ.get("CC", "gcc")
CXX = os.environ.get("CXX", "g++")
# no -O2 trick may take a call of malloc away
C_FLAGS = ["-std=gnu17", "-O1", "-g", "-Wall", "-fno-builtin", "-pthread",
           f"-I{SOURCE / 'include'}"]
CXX_FLAGS = ["-std=c++17", "-O1", "-g", "-fno-builtin", "-pthread", "-w"]


def compile_program(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{command}\n{done.stderr}")


class MallocFaceTest(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        if not LIBRARY.exists():
            raise RuntimeError(f"{LIBRARY} is not built")
        cls.folder = tempfile.TemporaryDirectory(prefix="malloc_face_")
        cls.built = {}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def place(self, name):
        return Path(self.folder.name) / name

    def program(self, source, *flags, name=None):
        """Path of the program made from a source of test/programs."""
        path = self.place(name or Path(source).stem)
        if path not in self.built:
            if source.endswith(".cpp"):
                command = [CXX, *CXX_FLAGS]
            else:
                command = [CC, *C_FLAGS]
            compile_program([*command, PROGRAMS / source, "-o", path, *flags])
            self.built[path] = True
        return path

    def library(self, name, salt):
        """Path of a library made from malloc_plugin.c."""
        return self.program("malloc_plugin.c", "-shared", "-fPIC", f"-DPLUGIN_SALT={salt}",
                            name=name)

    def run_one(self, pool, arguments, options=None, address_space=None, extra=None):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("LD_", "EXPOOL_", "MALLOC_", "GLIBC_TUN"))}
        environment.update(extra or {})
        if pool:
            environment["LD_PRELOAD"] = str(LIBRARY)
            if options:
                environment["EXPOOL_OPTIONS"] = options

        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if address_space:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        done = subprocess.run([str(a) for a in arguments], env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                              preexec_fn=limit)
        self.assertNotIn("cannot be preloaded", done.stderr)
        return done

    def compare(self, *arguments, status=0, address_space=None, options=None, environment=None):
        """Run on libc's malloc and on the pool; returns both."""
        libc, pool = (self.run_one(is_pool, arguments, options, address_space,
                                   environment(is_pool) if environment else None)
                      for is_pool in (False, True))
        self.assertEqual(libc.returncode, status, f"on libc: {libc.stdout}{libc.stderr}")
        self.assertEqual(pool.returncode, status, f"on the pool: {pool.stdout}{pool.stderr}")
        self.assertEqual(libc.stdout.splitlines(), pool.stdout.splitlines())
        return libc, pool

    def test_contract_every_function_same_lines(self):
        def environment(pool):
            return {"MALLOC_INFO_FILE": str(self.place(f"info{int(pool)}.xml"))}

        libc, pool = self.compare(self.program("malloc_contract.c"), environment=environment)
        self.assertGreater(len(pool.stdout.splitlines()), 400)
        for done in (libc, pool):
            self.assertIn("in use bytes", done.stderr)
        for i in range(2):
            root = xml.etree.ElementTree.parse(self.place(f"info{i}.xml")).getroot()
            self.assertEqual((root.tag, root.get("version")), ("malloc", "1"))
            self.assertGreater(int(root.find("system[@type='current']").get("size")), 0)

    def test_contract_front_cache_off_same_lines(self):
        extra = {"MALLOC_INFO_FILE": str(self.place("info2.xml"))}
        self.compare(self.program("malloc_contract.c"), options="front_cache=0",
                     environment=lambda pool: extra)

    def test_cxx_every_form_same_lines(self):
        self.compare(self.program("malloc_cxx.cpp"))

    def test_cxx_static_runtime_same_lines(self):
        self.compare(self.program("malloc_cxx.cpp", "-static-libstdc++", "-static-libgcc",
                                  name="malloc_cxx_static"))

    def test_cxx_replaced_basic_forms_used_by_all(self):
        self.compare(self.program("malloc_replaced.cpp"))

    def test_cxx_runtime_only_in_plugin_throws(self):
        source = self.place("hidden.cpp")
        source.write_text(
            '#include <new>\n#include <cstdint>\n'
            'extern "C" int hidden() {\n'
            '  volatile std::size_t much = PTRDIFF_MAX;\n'
            '  try { operator delete(operator new(much)); }\n'
            '  catch (std::bad_alloc &) { return 1; }\n'
            '  return 0;\n}\n')
        host = self.place("host.c")
        host.write_text(
            '#include <dlfcn.h>\n#include <stdio.h>\n'
            'int main(int n, char **v) {\n'
            '  void *h = dlopen(v[1], RTLD_NOW | RTLD_LOCAL);\n'
            '  int (*f)(void) = (int (*)(void))dlsym(h, "hidden");\n'
            '  printf("%d\\n", f());\n  return n != 2;\n}\n')
        compile_program([CXX, *CXX_FLAGS, "-shared", "-fPIC", source, "-o",
                         self.place("hidden.so")])
        compile_program([CC, *C_FLAGS, host, "-o", self.place("host")])
        libc, _ = self.compare(self.place("host"), self.place("hidden.so"))
        self.assertEqual(libc.stdout, "1\n")

    def test_life_constructors_threads_plugins_exit(self):
        for _ in range(3):
            self.compare(self.program("malloc_life.c"), self.library("libalpha.so", 1),
                         self.library("libbeta.so", 2), status=7)

    def test_fork_against_threads_children_end(self):
        self.compare(self.program("malloc_fork.c"), "threads")

    def test_fork_against_stdio_children_end(self):
        self.compare(self.program("malloc_fork.c"), "stdio")

    def test_fork_against_loader_children_end(self):
        self.compare(self.program("malloc_fork.c"), "loader", self.library("libalpha.so", 1))

    def test_fork_in_signal_handler_returns(self):
        self.compare(self.program("malloc_fork.c"), "signal")

    def test_fork_deep_every_generation_allocates(self):
        self.compare(self.program("malloc_fork.c"), "deep")

    def test_spawn_vfork_system_popen_same_lines(self):
        self.compare(self.program("malloc_fork.c"), "spawn")

    def test_limit_64_mib_starts_and_serves(self):
        self.compare(self.program("malloc_poor.c"), address_space=64 << 20)

    def test_static_program_not_disturbed(self):
        self.compare(self.program("malloc_poor.c", "-static", name="malloc_poor_static"),
                     address_space=64 << 20)

    def test_module_calls_counted_to_caller(self):
        """Each library allocates 64 blocks in its constructor and 2 * 10 when called."""
        done = self.run_one(True, [self.program("malloc_module.c"),
                                   self.library("libalpha.so", 1), self.library("libbeta.so", 2),
                                   self.library("libalpha.so", 1), self.library("libx-1.2.so", 1)])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            "program: 'mall' +20 -20",
            "strdup: 'libc' +10 -10",
            "code of no file: 'Anon' +10 -10",
            "kept block: 'mall' +1 -0",
            "grown and freed: 'mall' +1 -2",
            "library 0, same page 1: 'alph' +84 -84",
            "library 1, same page 1: 'beta' +84 -84",
            "library 2, same page 1: 'alph' +84 -84",
            "library 3, same page 1: 'libx' +84 -84",
        ])

    def test_module_same_four_characters_told_apart(self):
        done = self.run_one(True, [self.program("malloc_module.c"), self.library("libalpha.so", 1),
                                   self.library("libalphabet.so", 2)])
        self.assertEqual(done.returncode, 0, done.stderr)
        first, second = done.stdout.splitlines()[-2:]
        self.assertEqual(first, "library 0, same page 1: 'alph' +84 -84")
        self.assertRegex(second, r"^library 1, same page 1: 'a[^']{3}' \+84 -84$")
        self.assertNotIn("'alph'", second)

    def test_module_option_tag_counts_all_to_one(self):
        done = self.run_one(True, [self.program("malloc_module.c"),
                                   self.library("libalpha.so", 1)], options="tag=Mine")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "program: 'Mine' +20 -20")
        self.assertEqual(lines[1], "strdup: 'Mine' +10 -10")
        self.assertEqual({line.split("'")[1] for line in lines}, {"Mine"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
