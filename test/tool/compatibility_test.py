#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/compatibility.md and the tests tell the same, and the check that says so can fail.

Method: run scripts/check_compatibility.py on the project; then on a copy in which one thing at a
time is wrong, where it must give exactly the complaint that the damage deserves.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(os.environ.get("EXPOOL_SOURCE", Path(__file__).resolve().parents[2]))
TABLE = "docs/compatibility.md"
COPIED = ("docs", "scripts", "test/ddi", "test/crime", "test/unit", "test/tool",
          "test/fuzz", "test/numa")

# file, its text, what is put there instead, a part of the complaint
DAMAGES = [
    (TABLE, "| 180 | later |", "| 180 | yes |", "statement 180 is yes and names no test"),
    (TABLE, "| 8 | yes |", "| 8 | later |", "statement 8 is later and names tests"),
    (TABLE, "| 8 | yes |", "| 8 | soon |", "statement 8: no such state: soon"),
    (TABLE, "| 183 | later | Tag without letter or digit: stop C2/9D |\n", "",
     "statement 183 is missing"),
    (TABLE, "| 183 | later |", "| 203 | later |", "statement 203 is not one of its sections"),
    (TABLE, "`test/crime/free_null.c`", "`test/crime/free_nil.c`", "free_nil.c is not in the tree"),
    (TABLE, "test_irql_allocate_at_dispatch_makes_no_blocking_call", "test_irql_nothing",
     "irql_test.c has no test_irql_nothing"),
    (TABLE, "| | | `test/ddi/pool2_test.c` test_pool2_recycled_memory_is_zero |\n", "",
     "test_pool2_recycled_memory_is_zero names statement 9, the table does not name it there"),
    ("test/ddi/pool2_test.c", 'DDI_TEST("9", test_pool2_recycled_memory_is_zero)',
     'DDI_TEST("(9)", test_pool2_recycled_memory_is_zero)',
     "statement 9 names test_pool2_recycled_memory_is_zero, which does not name it"),
    (TABLE, "| 23 | yes |", "| 23 |", "a row of no known form"),
]


def check(folder):
    """Exit status and output of the check."""
    done = subprocess.run(
        [sys.executable, SOURCE / "scripts/check_compatibility.py", folder],
        capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    faults = 0
    status, words = check(SOURCE)
    print(words, end="")
    faults += status != 0
    with tempfile.TemporaryDirectory(prefix="expool-compatibility-") as scratch:
        for name in COPIED:
            shutil.copytree(SOURCE / name, Path(scratch) / name)
        for name, old, new, complaint in DAMAGES:
            path = Path(scratch) / name
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(old, new), encoding="utf-8")
            status, words = check(scratch)
            path.write_text(text, encoding="utf-8")
            if old not in text or status != 1 or complaint not in words:
                print(f"damage {old!r} -> {new!r}: expected {complaint!r}, "
                      f"got exit status {status}:\n{words}")
                faults += 1
    print(f"{len(DAMAGES)} damages, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
