#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gcc and g++ on the pool make the same object files, byte for byte, and the same messages.

Method: C: every file of this project's core and front, compiled with -O2; C++: the benchmark's
generated file of many standard headers; an archive and a linked program that runs; wrong
programs, whose messages and exit status are compared. The driver, cc1, cc1plus, as, collect2
and ld all run on the pool.
"""

import glob
import os
import sys

import programs

sys.path.insert(0, os.path.join(programs.SOURCE, "bench"))
import workloads  # noqa: E402  (found through the path above)

FUNCTIONS = 400

MANY_C = (
    "\n".join(
        f"struct s{i} {{ int a[{i % 13 + 1}]; double b; }}; "
        f"static int f{i}(struct s{i} *p, int n) {{ int t = {i}; for (int k = 0; k < n; k++) "
        f"t += p->a[k % {i % 13 + 1}] * {i * 37 % 101} ^ (t >> {i % 5 + 1}); return t; }}"
        for i in range(FUNCTIONS)
    )
    + "\n#include <stdio.h>\nint main(void) { unsigned t = 0;\n"
    + "\n".join(
        f"{{ struct s{i} s = {{{{ {i} }}, {i}.5}}; t = t * 31 + f{i}(&s, {i % 20}); }}"
        for i in range(FUNCTIONS)
    )
    + '\nprintf("%u\\n", t); return 0; }\n'
)

WRONG_CPLUSPLUS = """#include <map>
#include <string>
#include <vector>
struct thing { int x; };
int main() {
    std::map<std::string, std::vector<thing>> table;
    std::map<thing, int> wrong; wrong[thing{1}] = 2;
    table.insert(5); return table["x"] + undeclared;
}
"""


def writer(texts):
    """A setup function that writes files into the run's folder."""

    def write(folder):
        for name, text in texts.items():
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)

    return write


def main():
    gcc, gxx = programs.need("gcc"), programs.need("g++")
    suite = programs.Suite()
    source = programs.SOURCE
    ours = sorted(glob.glob(f"{source}/src/core/*.c") + glob.glob(f"{source}/src/front/*.c"))
    flags = [
        "-std=gnu17",
        "-O2",
        "-g",
        "-ffreestanding",
        "-fshort-wchar",
        "-fms-extensions",
        "-Wno-multichar",
        f"-I{source}/include",
        f"-I{source}/src",
        f"-I{source}/include/wdk",
        '-DEXP_PORT_HEADER="linux/owner_inline.h"',
    ]
    objects = [os.path.basename(path)[:-2] + ".o" for path in ours]
    suite.compare(
        "gcc, this project's core",
        [gcc, *flags, "-c", *ours],
        files=objects,
        stderr=True,
        limit_s=90,
        allocations=10000,
    )
    suite.compare(
        "gcc, many functions, linked and run",
        [
            "/bin/sh",
            "-c",
            f"{gcc} -O2 -c many.c && ar rcD many.a many.o && "
            f"{gcc} -Wl,--build-id=none many.o -o many && ./many",
        ],
        setup=writer({"many.c": MANY_C}),
        files=["many.o", "many.a", "many"],
        stderr=True,
        limit_s=90,
        allocations=10000,
    )
    suite.compare(
        "g++ -O2, large file",
        [gxx, "-std=c++17", "-O2", "-c", "large.cpp", "-o", "large.o"],
        setup=writer({"large.cpp": workloads.cplusplus_text(3)}),
        files=["large.o"],
        stderr=True,
        limit_s=120,
        allocations=10000,
    )
    suite.compare(
        "g++ -flto",
        [
            "/bin/sh",
            "-c",
            f"{gxx} -O2 -flto=2 -frandom-seed=1 -x c++ -c two.cpp -o two.o && "
            f"{gxx} -O2 -flto=2 -frandom-seed=1 -Wl,--build-id=none two.o -o two && ./two",
        ],
        setup=writer(
            {
                "two.cpp": workloads.cplusplus_text(1)
                + "#include <cstdio>\nint main() { std::printf(\"%g\\n\", use0()); }\n"
            }
        ),
        limit_s=90,
        stderr=True,
        allocations=10000,
    )
    suite.compare(
        "g++ messages",
        [gxx, "-c", "wrong.cpp"],
        setup=writer({"wrong.cpp": WRONG_CPLUSPLUS}),
        stderr=True,
        status=1,
        allocations=10000,
    )
    suite.finish()


if __name__ == "__main__":
    main()
