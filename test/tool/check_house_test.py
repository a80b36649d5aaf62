#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The house check can fail: each rule, broken on purpose, gives its complaint and no other.

Method: copy the tree, put beside it a small build folder whose libraries are made from the list of
exports, and run the check. Then break every rule in the copy, run it again, and compare what is new
with what is expected, line by line; whatever else the tree is guilty of is in both runs.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(os.environ.get("EXPOOL_SOURCE", Path(__file__).resolve().parents[2]))
COMPILER = os.environ.get("CC", "cc")
COPIED = ("include", "src", "docs", "scripts", "tools", "examples", "Makefile", "CMakeLists.txt")
ROOMS = ("base", "core", "guard", "front")


def lines_of_function(name, line_count):
    """A C function that is line_count lines long."""
    body = "    value += 1;\n" * (line_count - 5)
    return f"static int {name}(int value)\n{{\n    value += 2;\n{body}    return value;\n}}\n"


# What is appended to a file (in a header: before its last #endif), and the complaint it must give.
DAMAGES = [
    ("src/base/base.h", '#include "core/range.h"',
     "src/core/range.h stands below src/base/base.h in docs/house.md"),
    ("src/core/range.c", "#include <stdio.h>", "<stdio.h> is no freestanding header"),
    ("src/core/range.c", "#include <wdm.h>", "include/wdk/wdm.h: only the front knows NT"),
    ("src/core/range.c", '#include "core/nowhere.h"', '"core/nowhere.h" is no file of the project'),
    ("src/core/range.c", "#include EXP_PORT_HEADER",
     "only include/expool/port.h includes EXP_PORT_HEADER"),
    ("src/linux/memory.c", '#include "front/pool.h"', "src/linux may not see src/front/pool.h"),
    ("tools/expool/main.c", '#include "core/range.h"', "tools/expool may not see src/core/range.h"),
    ("include/wdk/wdm.h", '#include "../../src/base/list.h"',
     "driver headers may not see src/base/list.h"),
    ("examples/packet_queue.c", "#include <expool.h>", "examples may not see include/expool.h"),
    ("examples/packet_queue.c", "#include <wdmsync.h>",
     "examples may not see include/wdk/wdmsync.h"),
    ("examples/packet_queue.c", "#include <string.h>", "<string.h> is no driver header"),
    ("src/core/extra.c", "", "src/core/extra.h is not in the list of docs/house.md"),
    ("src/linux/extra.c", "", "not in the list of docs/house.md, line of src/linux/"),
    ("include/expool/region.h", "struct expool_region_outer { struct nowhere inner; };",
     r"does not compile alone: .*incomplete type"),
    ("src/core/range.c", "#ifdef RANGE_FAST\n#endif", "#ifdef outside base.h, atomic.h"),
    ("src/base/base.h", "#if 0\n#endif", "#if 0"),
    ("src/core/span.c", "static int (*span_map)(void) = mmap;",
     "name of an operating system: mmap"),
    ("src/core/span.c", "static ULONG span_count;", "NT name outside the front: ULONG"),
    ("src/core/range.h", "/* Told. */\nvoid exp_span_stray(void);",
     "exp_span_stray is declared in range.h and is not named exp_range_..."),
    ("src/core/range.h", "\nvoid exp_range_untold(void);", "exp_range_untold has no contract"),
    ("src/base/format.h", "\nvoid exp_format_untold(void);", "exp_format_untold has no contract"),
    ("include/expool.h", "\n/* Told. */\nvoid stray_host(void);",
     "stray_host is declared in expool.h and is not named expool_..."),
    ("src/core/lock.c", "/* " + "x" * 95 + " */", "101 columns, more than 100"),
    ("src/core/lock.c", "/*\tx */", "tab"),
    ("src/core/lock.c", "/* FIX" + "ME later */", "FIX" + "ME"),
    ("src/core/lock.c", "// lock_take(lock);", "commented-out code"),
    ("src/core/lock.c", "/* return 1; */", "commented-out code"),
    ("src/core/lock.c", lines_of_function("lock_long", 71), "lock_long has 71 lines, more than 70"),
    ("src/base/long.c", "\n" * 1001, r"\d+ lines, more than 1000"),
    ("src/base/long.c", "", "does not open with its SPDX line"),
    ("src/base/long.c", "", "src/base/long.h is not in the list of docs/house.md"),
    ("docs/house.md", "", "src/core/ghost.h is listed but is not there"),
    ("attic", "", "folder is not in the list of docs/house.md"),
    ("src/core/range.c", "", "needs printf, which is not declared in include/expool/port.h"),
    ("CMakeLists.txt", "", "libexpool.so needs libm.so.6, which is not libc"),
    ("CMakeLists.txt", "", "not built: libexpool-malloc.so"),
    ("scripts/exports.txt", "", "libexpool.so does not show ExFreePool$"),
    ("scripts/exports.txt", "", "libexpool.so shows stray_name, which is not listed"),
]
# Just inside the rules: these must stay without a complaint.
GOOD = [
    ("src/core/lock.c", "/* " + "x" * 94 + " */"),
    ("src/core/lock.c", lines_of_function("lock_just_short_enough", 70)),
    ("src/core/lock.c", "/* The word mmap may be said; so may ULONG. */"),
    ("src/core/range.h", "/* Told. */\nint exp_range_told(\n    int a,\n    int b);"),
]


def compile_shared(path, names, *flags):
    text = "".join(f"void {name}(void);\nvoid {name}(void) {{}}\n" for name in names)
    subprocess.run([COMPILER, "-shared", "-fPIC", "-fno-builtin", "-w", "-o", path, "-x", "c", "-",
                    "-x", "none", *flags], input=text, text=True, check=True)


def compile_object(build, source, text):
    target = build / "CMakeFiles/expool-core.dir" / (source + ".o")
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([COMPILER, "-c", "-o", target, "-x", "c", "-"], input=text, text=True,
                   check=True)


def read_exports():
    text = (SOURCE / "scripts/exports.txt").read_text()
    sections = dict(re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S))
    return {name: body.split() for name, body in sections.items()}


def make_build(copy, build):
    for room in ROOMS:
        for source in sorted((copy / "src" / room).glob("*.c")):
            compile_object(build, source.relative_to(copy).as_posix(),
                           "void *memcpy(void *, const void *, unsigned long);\n"
                           f"void *f_{source.stem}(void *a) {{ return memcpy(a, a, 9); }}\n")
    exports = read_exports()
    compile_shared(build / "libexpool.so", exports["ddi"] + exports["host"])
    compile_shared(build / "libexpool-malloc.so", sum(exports.values(), []))


def damage_build(copy, build):
    for source in ("src/core/extra.c", "src/base/long.c"):
        compile_object(build, source, "")
    compile_object(build, "src/core/range.c",
                   "int printf(const char *, ...);\nint f_range(void) { return printf(\"\"); }\n")
    exports = read_exports()
    names = [n for n in exports["ddi"] + exports["host"] if n != "ExFreePool"]
    compile_shared(build / "libexpool.so", names + ["stray_name"], "-Wl,--no-as-needed", "-lm")
    (build / "libexpool-malloc.so").unlink()


def append(copy, path, text):
    file = copy / path
    old = file.read_text() if file.exists() else ""
    if not old and path.endswith(".c") and "long" not in path:
        old = "/* SPDX-License-Identifier: MIT */\n"
    if path.endswith(".h"):
        head, guard = old[:old.rindex("#endif")], old[old.rindex("#endif"):]
        file.write_text(head + text + "\n" + guard)
    else:
        file.write_text(old + text + "\n" if text or not old else old)


def damage_tree(copy):
    for path, text in GOOD + [d[:2] for d in DAMAGES]:
        if path.endswith((".c", ".h")):
            append(copy, path, text)
    house = copy / "docs/house.md"
    house.write_text(house.read_text().replace(
        "src/core/class.h", "src/core/ghost.h   nothing\nsrc/core/class.h", 1))
    (copy / "attic").mkdir()


def run_check(copy, build):
    """The check's complaints without line numbers, each with how often it came; its exit status."""
    run = subprocess.run([sys.executable, copy / "scripts/check_house.py", build], text=True,
                         capture_output=True, check=False)
    if run.returncode not in (0, 1) or "Traceback" in run.stderr:
        sys.exit(f"the check broke down:\n{run.stderr}")
    counts = {}
    for line in run.stdout.splitlines():
        match = re.fullmatch(r"([^:]+):\d+: error: (.*)", line)
        if not match:
            sys.exit(f"not of the form file:line: error: words\n{line}")
        counts[match.groups()] = counts.get(match.groups(), 0) + 1
    if bool(counts) != (run.returncode == 1):
        sys.exit(f"exit status {run.returncode} with {len(counts)} complaints")
    return counts


def is_expected(complaint):
    path, words = complaint
    if words.startswith("does not compile alone"):
        return path.endswith(".h")  # headers that include a damaged one suffer with it
    return any(path == p and matches(expected, words) for p, _, expected in DAMAGES)


def matches(expected, words):
    return words.startswith(expected) or re.match(expected, words) is not None


def main():
    with tempfile.TemporaryDirectory() as scratch:
        copy, build = Path(scratch) / "tree", Path(scratch) / "build"
        copy.mkdir()
        build.mkdir()
        for name in COPIED:
            if (SOURCE / name).is_dir():
                shutil.copytree(SOURCE / name, copy / name,
                                ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(SOURCE / name, copy / name)
        for name in ("test", "bench", "man"):
            (copy / name).mkdir()
        make_build(copy, build)
        before = run_check(copy, build)
        damage_tree(copy)
        damage_build(copy, build)
        after = run_check(copy, build)
    new = [c for c in after if after[c] > before.get(c, 0)]
    failures = 0
    for path, _, expected in DAMAGES:
        if not any(path == p and matches(expected, words) for p, words in new):
            print(f"expected but not said: {path}: {expected}")
            failures += 1
    for complaint in new:
        if not is_expected(complaint):
            print(f"said but not expected: {complaint[0]}: {complaint[1]}")
            failures += 1
    print(f"{len(DAMAGES)} damages, {len(new)} new complaints, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
