#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fast paths keep their instruction budgets (design.md section 3), with a tenth of allowance.

Method: bench/instructions.py --gate counts by callgrind; small, middle and large small classes.
A build with assertions has no budget, and without valgrind nothing can be counted: both are
said and skipped.
"""

import os
import re
import shutil
import subprocess
import sys

SKIPPED = 77


def main():
    build, source = os.environ["EXPOOL_BUILD"], os.environ["EXPOOL_SOURCE"]
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed")
        return SKIPPED
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        cache = file.read()
    if re.search(r"^EXPOOL_CHECKED:\w+=(ON|1|TRUE)$", cache, re.MULTILINE):
        print("skipped: assertions are compiled in, budgets are for builds without")
        return SKIPPED
    if re.search(r"^CMAKE_C_COMPILER:\w+=.*clang", cache, re.MULTILINE):
        print("skipped: the budgets are counted for gcc")
        return SKIPPED
    return subprocess.run(
        [
            sys.executable,
            os.path.join(source, "bench", "instructions.py"),
            "--gate",
            "--no-peers",
            "--sizes",
            "16,256,3000",
            "--build",
            build,
        ],
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
