#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that docs/compatibility.md and the tests tell the same.

Usage: check_compatibility.py [FOLDER]     FOLDER: the project, by default the one of this script

Prints "file:line: error: ..." for each difference and exits 1.

1. The table has each statement of the sections it covers once, in order.
2. A statement that is "later" names no test, every other one names some.
3. Every named file is in the tree, every named test is defined in it.
4. A test of test/ddi/ stands in the row of every number that its DDI_TEST names, and in no other.
"""

import re
import sys
from pathlib import Path

TABLE = "docs/compatibility.md"
STATEMENTS = range(1, 189)
STATES = ("yes", "partly", "later")
HEAD_ROW = re.compile(r"\| (\d+) \| (\w+) \| [^|]+ \|")
TEST_ROW = re.compile(r"\| \| \| `([^`]+)`(?: (\w+))? \|")
DDI_TEST = re.compile(r'DDI_TEST\("([^"]*)",\s*(\w+)\)')


def numbers_of(text):
    """The statements of "46,47" or "94-98"; none for other words."""
    numbers = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found:
            numbers |= set(range(int(found.group(1)), int(found.group(2) or found.group(1)) + 1))
    return numbers


class Check:
    """One run: what the table says, what the tests say, and the errors."""

    def __init__(self, root):
        self.root = root
        self.errors = []
        self.rows = []     # (line, number, state, [(line, file, test)])

    def error(self, file, line, words):
        self.errors.append(f"{file}:{line}: error: {words}")

    def read_table(self):
        lines = (self.root / TABLE).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            head, test = HEAD_ROW.fullmatch(line), TEST_ROW.fullmatch(line)
            if head:
                self.rows.append((number, int(head.group(1)), head.group(2), []))
            elif test and self.rows:
                self.rows[-1][3].append((number, test.group(1), test.group(2)))
            elif line.startswith("|") and not re.match(r"\|(?: No\. \||---\|)", line):
                self.error(TABLE, number, "a row of no known form")

    def check_statements(self):
        told = [row[1] for row in self.rows]
        for number in sorted(set(STATEMENTS) ^ set(told)):
            self.error(TABLE, 1, f"statement {number} is "
                       + ("missing" if number in STATEMENTS else "not one of its sections"))
        if sorted(set(told)) != told:
            self.error(TABLE, 1, "statements stand twice or out of order")
        for line, number, state, tests in self.rows:
            if state not in STATES:
                self.error(TABLE, line, f"statement {number}: no such state: {state}")
            elif (state == "later") == bool(tests):
                self.error(TABLE, line, f"statement {number} is {state} and names "
                           + ("tests" if tests else "no test"))

    def check_named(self):
        for _, number, _, tests in self.rows:
            for line, file, test in tests:
                path = self.root / file
                if not path.is_file():
                    self.error(TABLE, line, f"statement {number}: {file} is not in the tree")
                elif test is None and not file.startswith("test/crime/"):
                    self.error(TABLE, line, f"statement {number}: {file} without a test's name")
                elif test and not re.search(rf"^\s*(?:static void|def) {test}\(", path.read_text(
                        encoding="utf-8"), re.MULTILINE):
                    self.error(TABLE, line, f"statement {number}: {file} has no {test}")

    def check_driver_tests(self):
        told = {(file, test, number) for _, number, _, tests in self.rows
                for _, file, test in tests if file.startswith("test/ddi/")}
        shown = set()
        for path in sorted(self.root.glob("test/ddi/*_test.c")):
            file = path.relative_to(self.root).as_posix()
            for words, test in DDI_TEST.findall(path.read_text(encoding="utf-8")):
                shown |= {(file, test, number) for number in numbers_of(words)}
        for file, test, number in sorted(shown - told):
            self.error(file, 1, f"{test} names statement {number}, "
                       "the table does not name it there")
        for file, test, number in sorted(told - shown):
            self.error(TABLE, 1, f"statement {number} names {test}, which does not name it")
        if not shown:
            self.error("test/ddi", 1, "no test names a statement")


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    check = Check(root)
    check.read_table()
    check.check_statements()
    check.check_named()
    check.check_driver_tests()
    for error in check.errors:
        print(error)
    tests = sum(len(row[3]) for row in check.rows)
    print(f"{len(check.rows)} statements, {tests} tests named, {len(check.errors)} errors")
    return 1 if check.errors else 0


if __name__ == "__main__":
    sys.exit(main())
