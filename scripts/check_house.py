#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house that a machine keeps.

    check_house.py [--source DIR] [BUILD]

Prints "file:line: error: ..." for each broken rule and exits 1. docs/house.md has the list that is
the order; this file has the rules. Without BUILD, objects and libraries are not checked.

Texts are looked at in two masked forms, in which every line and column stays where it was: "code"
has no comments, "bare" has neither comments, strings nor directives. Nothing is parsed further than
that: a declaration is what stands between two semicolons outside of all braces.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 1000

FREESTANDING_ROOMS = ("src/base", "src/core", "src/guard", "src/front")
DRIVER_HEADERS = ("wdm.h", "ntddk.h", "ntifs.h")  # all that driver code includes
FREESTANDING_HEADERS = {"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h",
                        "stddef.h", "stdint.h", "stdnoreturn.h"}
WDK_FLAGS = ["-fshort-wchar", "-fms-extensions", "-Wno-multichar", "-Wno-unknown-pragmas"]
PORT_INCLUDER = "include/expool/port.h"
PORT_INLINES = "src/linux/owner_inline.h"
COMPILER_CALLS = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_"}
LIBC_NAMES = ("libc.so.", "ld-linux")

# Rooms below the order, and what each may see besides system headers and itself.
SHORT_LISTS = {
    "src/linux": ("include/expool.h", "include/expool/", "src/base/", "src/core/", "src/guard/"),
    "src/preload": ("include/", "src/"),
    "tools/expool": ("include/",),
    "tools/poolmon": ("include/", "tools/expool/reader.h"),
    "examples": tuple("include/wdk/" + name for name in DRIVER_HEADERS),
}

OS_NAME = re.compile(
    r"\b(linux|__linux__|glibc|__GLIBC__|posix|unix|_WIN32|pthread_\w+|mmap|munmap|mprotect|"
    r"madvise|mremap|memfd_create|futex|syscall|ioctl|getpid|gettid|sigaction|errno|"
    r"sys/\w+\.h|unistd\.h)\b")
NT_NAME = re.compile(
    r"\b(Ex(Allocate|Free|Query)\w+|Ke(Get|Raise|Lower)\w+|POOL_FLAG_\w+|NTSTATUS|STATUS_[A-Z]\w+|"
    r"SIZE_T|PVOID|ULONG(64)?|ULONG_PTR|BOOLEAN|KIRQL|POOL_TYPE)\b")
DEAD_CODE = re.compile(
    r"^\s*(//\s*(?P<line>.*?)|/\*\s*(?P<block>.*?)\s*\*/)\s*$")
DEAD_STATEMENT = re.compile(
    r"^(\w[\w\->.\[\]]*\s*(=|\()[^;]*;|(return|if|for|while|goto)\b.*[;{]|"
    r"#\s*(include|define)\b.*)$")
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
DIRECTIVE_IF = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b\s*(.*)$")
INCLUDE = re.compile(r"^\s*#\s*include\s+(?:<([^>]+)>|\"([^\"]+)\"|(\w+))")
TOKENS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
DIRECTIVES = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)


def blank(text):
    """The same lines and columns with nothing in them."""
    return re.sub(r"[^\n]", " ", text)


def mask_comments(text):
    return TOKENS.sub(lambda m: blank(m[0]) if m[0].startswith("/") else m[0], text)


def mask_all(text):
    text = TOKENS.sub(lambda m: blank(m[0]), text)
    text = DIRECTIVES.sub(lambda m: blank(m[0]), text)
    return re.sub(r"\bextern\s+\{", lambda m: blank(m[0]), text)


def undefined_in(thing):
    run = subprocess.run(["nm", "-u", "--format=just-symbols", thing], text=True,
                         capture_output=True, check=True)
    return set(run.stdout.split())


class Function:
    def __init__(self, name, first_line, last_line, defined, inline):
        self.name = name
        self.first_line = first_line
        self.last_line = last_line
        self.defined = defined
        self.inline = inline


def function_of(head, first_line, last_line, defined):
    """The function that a declaration's head declares, or None."""
    inline = re.search(r"\binline\b|\bEXP_INLINE\b", head) is not None
    head = ATTRIBUTE.sub(" ", head)
    head = re.sub(r"\b(EXP|EXPOOL)_[A-Z_]+\b(\s*\([^()]*\))?", " ", head)
    if re.match(r"\s*(typedef|_Static_assert|C_ASSERT)\b", head):
        return None
    match = re.search(r"(\w+)\s*\(", head)
    if not match or "=" in head[:match.start()] or "{" in head[:match.start()]:
        return None
    before = head[:match.start()].strip()
    if not before or match[1] in ("void", "int", "bool", "char", "sizeof"):
        return None
    return Function(match[1], first_line, last_line, defined, inline)


def list_functions(bare):
    """Functions declared or defined outside of all braces."""
    functions = []
    depth = 0
    head_start = 0
    body = None
    for place, character in ((m.start(), m[0]) for m in re.finditer(r"[{};]", bare)):
        if character == "{":
            if depth == 0:
                head = bare[head_start:place]
                is_body = head.rstrip().endswith(")") and "=" not in head
                body = head if is_body else None
            depth += 1
            continue
        if character == "}" and depth == 0:  # of extern "C"
            head_start = place + 1
        if character == "}":
            depth = max(depth - 1, 0)
        ends = depth == 0 and (character == ";" or body is not None)
        if not ends:
            continue
        head = body if body is not None else bare[head_start:place]
        skipped = len(head) - len(head.lstrip())
        first_line = bare.count("\n", 0, head_start + skipped) + 1
        last_line = bare.count("\n", 0, place) + 1
        function = function_of(head, first_line, last_line, body is not None)
        if function:
            functions.append(function)
        head_start = place + 1
        body = None
    return functions


class House:
    def __init__(self, source, build):
        self.source = source
        self.build = build
        self.error_count = 0
        self.order = []     # paths as docs/house.md lists them; a room ends in "/"
        self.words = {}     # path -> its words there
        self.order_line = {}
        self.compiler = os.environ.get("CC", "cc")

    def error(self, path, line, words):
        print(f"{path}:{line}: error: {words}")
        self.error_count += 1

    def read(self, path):
        return (self.source / path).read_text(encoding="utf-8", errors="replace")

    def files(self, *patterns):
        found = set()
        for pattern in patterns:
            found.update(p.relative_to(self.source).as_posix() for p in self.source.glob(pattern))
        return sorted(found)

    # ---- the list ----

    def read_order(self):
        inside = False
        for number, line in enumerate(self.read("docs/house.md").splitlines(), 1):
            if line.startswith("```"):
                if inside:
                    return
                inside = True
            elif inside and line.strip():
                words = line.split()
                paths = [w for w in words if w.endswith("/")] if words[0] == "test/" else words[:1]
                for path in paths:
                    self.order.append(path)
                    self.words[path] = line[len(words[0]):]
                    self.order_line[path] = number

    def place(self, path):
        """Index in the order of a file, or of the room that stands for it; None: not listed."""
        if path in self.words:
            return self.order.index(path)
        for index, entry in enumerate(self.order):
            if entry.endswith("/") and path.startswith(entry):
                return index
        return None

    def check_tree(self):
        """Rule 2, second half: the tree on disk equals the list."""
        for path in self.order:
            if not (self.source / path).exists():
                self.error("docs/house.md", self.order_line[path],
                           f"{path} is listed but is not there")
        for path in self.files("src/**/*.[ch]", "include/**/*.h"):
            own = path[:-1] + "h"
            room = os.path.dirname(path) + "/"
            if own in self.words:
                continue
            if room in self.words:
                names = re.findall(r"\b\w+\.[ch]\b", self.words[room])
                source = os.path.basename(path)[:-1] + "c"
                if room.startswith("src/") and not {os.path.basename(path), source} & set(names):
                    self.error(path, 1, f"not in the list of docs/house.md, line of {room}")
            else:
                self.error(path, 1, f"{own} is not in the list of docs/house.md")
        for path in [p for p in self.order if p.startswith("src/") and p.endswith("/")]:
            for name in re.findall(r"\b\w+\.[ch]\b", self.words[path]):
                if not (self.source / path / name).exists():
                    self.error("docs/house.md", self.order_line[path],
                               f"{path}{name} is listed but is not there")
        tops = {p.split("/")[0] for p in self.order}
        for entry in sorted(self.source.iterdir()):
            if entry.is_dir() and not entry.name.startswith(".") and entry.name != "build":
                if entry.name not in tops:
                    self.error(entry.name, 1, "folder is not in the list of docs/house.md")

    # ---- rule 1: includes point up the list ----

    def resolve(self, path, name, quoted):
        """The file of the project that an include means; None: a system header."""
        tries = ["include/" + name, "include/wdk/" + name]
        if quoted:
            tries = [os.path.normpath(f"{os.path.dirname(path)}/{name}"), "src/" + name,
                     "tools/" + name] + tries
        for candidate in tries:
            if (self.source / candidate).is_file():
                return candidate
        return None

    def why_not(self, path, target):
        """Why path may not include target, or None."""
        room = os.path.dirname(path)
        if room in SHORT_LISTS:
            if target.startswith(SHORT_LISTS[room]) or os.path.dirname(target) == room:
                return None
            return f"{room} may not see {target}"
        if room == "include/wdk":
            return None if target.startswith("include/") else f"driver headers may not see {target}"
        if target.startswith("include/wdk/") and room != "src/front":
            return f"{target}: only the front knows NT"
        own = self.place(path[:-1] + "h")
        theirs = self.place(target)
        if own is None:
            return None  # check_tree has complained
        if theirs is None:
            return f"{target} is not in the list of docs/house.md"
        if theirs > own or (theirs == own and path.endswith(".h")):
            return f"{target} stands below {path[:-1]}h in docs/house.md"
        return None

    def check_includes(self, path, code):
        room = os.path.dirname(path)
        for number, line in enumerate(code.splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            angled, quoted, macro = match.groups()
            if macro:
                if path != PORT_INCLUDER:
                    self.error(path, number, f"only {PORT_INCLUDER} includes {macro}")
                continue
            target = self.resolve(path, angled or quoted, quoted is not None)
            if target:
                reason = self.why_not(path, target)
                if reason:
                    self.error(path, number, reason)
            elif quoted:
                self.error(path, number, f'"{quoted}" is no file of the project')
            elif room in FREESTANDING_ROOMS and angled not in FREESTANDING_HEADERS:
                self.error(path, number, f"<{angled}> is no freestanding header")
            elif room == "examples":
                self.error(path, number, f"<{angled}> is no driver header")

    # ---- rule 5: variants and names of systems ----

    def check_conditions(self, path, code):
        allowed = (path in ("src/base/base.h", "src/base/atomic.h")
                   or path.startswith(("src/linux/", "include/")))
        lines = code.splitlines()
        guard = None
        for number, line in enumerate(lines, 1):
            match = DIRECTIVE_IF.match(line)
            if not match:
                continue
            word, rest = match.groups()
            if word == "if" and rest.strip() == "0":
                self.error(path, number, "#if 0")
            first = guard is None
            guard = guard or rest.strip()
            following = lines[number].split() if number < len(lines) else []
            if (path.endswith(".h") and first and word == "ifndef"
                    and following[:2] == ["#define", rest.strip()]):
                continue
            if not allowed:
                self.error(path, number,
                           f"#{word} outside base.h, atomic.h, src/linux and public headers")

    def check_names_of_systems(self, path, code):
        freestanding = path.startswith(FREESTANDING_ROOMS)
        if not freestanding and not path.startswith("include/"):
            return
        for number, line in enumerate(code.splitlines(), 1):
            match = OS_NAME.search(line)
            if match:
                self.error(path, number, f"name of an operating system: {match[0]}")
            words = re.sub(r'"[^"]*"', '""', line)  # a report may name what it reports
            match = NT_NAME.search(words) if freestanding else None
            if match and not path.startswith("src/front/"):
                self.error(path, number, f"NT name outside the front: {match[0]}")

    # ---- rule 6: names and contracts ----

    def check_contracts(self, path, text, functions, exported):
        room, stem = os.path.dirname(path), Path(path).stem
        prefix = "exp_" if room == "src/base" else f"exp_{stem}_"
        if path == PORT_INLINES or path == "include/expool/port.h":
            prefix = "exp_port_"
        if path == "include/expool.h":
            prefix = "expool_"
        lines = text.splitlines()
        told_line = 0  # last line of the last declaration that has its words
        for function in functions:
            if function.name not in exported and not function.name.startswith(prefix):
                self.error(path, function.first_line,
                           f"{function.name} is declared in {stem}.h and is not named {prefix}...")
            above = lines[function.first_line - 2].strip() if function.first_line > 1 else ""
            told = above.endswith("*/") or told_line == function.first_line - 1
            if told:
                told_line = function.last_line
            elif not function.inline or (room != "src/base"
                                         and function.last_line - function.first_line > 3):
                # the one statement of an accessor, and the words of base, say with their body all
                self.error(path, function.first_line, f"{function.name} has no contract")

    # ---- rule 7: shape ----

    def check_lines(self, path, text):
        lines = text.splitlines()
        c_file = path.endswith((".c", ".h"))
        if c_file and (not lines or lines[0] != "/* SPDX-License-Identifier: MIT */"):
            self.error(path, 1, "does not open with its SPDX line")
        if len(lines) > FILE_LINES_MAX:
            self.error(path, len(lines), f"{len(lines)} lines, more than {FILE_LINES_MAX}")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS_MAX:
                self.error(path, number, f"{len(line)} columns, more than {LINE_COLUMNS_MAX}")
            if "\t" in line and os.path.basename(path) != "Makefile":
                self.error(path, number, "tab")
            if "FIX" + "ME" in line:
                self.error(path, number, "FIX" + "ME")
            match = DEAD_CODE.match(line) if c_file else None
            if match and DEAD_STATEMENT.match(match["line"] or match["block"] or ""):
                self.error(path, number, "commented-out code")

    def check_lengths(self, path, functions):
        for function in functions:
            length = function.last_line - function.first_line + 1
            if function.defined and length > FUNCTION_LINES_MAX:
                self.error(path, function.first_line,
                           f"{function.name} has {length} lines, more than {FUNCTION_LINES_MAX}")

    def check_texts(self, exported):
        kinds = [f"{top}/**/*.{kind}" for kind in ("c", "h", "py", "sh")
                 for top in ("src", "examples", "test", "tools", "bench", "scripts")]
        every = self.files("include/**/*.h", *kinds, "Makefile", "CMakeLists.txt", ".ci/run")
        for path in every:
            text = self.read(path)
            self.check_lines(path, text)
            if not path.endswith((".c", ".h")):
                continue
            code = mask_comments(text)
            functions = list_functions(mask_all(text))
            self.check_lengths(path, functions)
            if path.startswith(("src/", "tools/", "include/", "examples/")):
                self.check_includes(path, code)
                self.check_conditions(path, code)
                self.check_names_of_systems(path, code)
            elif re.search(r"^\s*#\s*if\s+0\b", code, re.M):
                line = code.count("\n", 0, re.search(r"^\s*#\s*if\s+0\b", code, re.M).end()) + 1
                self.error(path, line, "#if 0")
            if path.endswith(".h") and path.startswith(("src/", "include/expool")):
                self.check_contracts(path, text, functions, exported)

    # ---- rule 2, first half: each header compiles alone ----

    def check_headers_alone(self):
        for path in self.files("include/**/*.h", "src/**/*.h", "tools/**/*.h", "examples/*.h"):
            room = os.path.dirname(path)
            flags = ["-std=gnu17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c"]
            if path.startswith(("include/wdk", "examples")):
                flags += WDK_FLAGS + ["-Iinclude/wdk", "-Iinclude"]
            elif path.startswith("tools"):
                flags += ["-Iinclude", "-Itools"]
            else:
                flags += ["-Iinclude", "-Isrc", '-DEXP_PORT_HEADER="linux/owner_inline.h"']
            if room in FREESTANDING_ROOMS:
                flags += ["-ffreestanding"]
            if room == "src/front":
                flags += WDK_FLAGS + ["-Iinclude/wdk"]
            run = subprocess.run([self.compiler, *flags, "-"], input=f'#include "{path}"\n',
                                 text=True, cwd=self.source, capture_output=True, check=False)
            if run.returncode != 0:
                told = [line for line in run.stderr.splitlines() if "error:" in line]
                first = told[0] if told else run.stderr.strip()
                self.error(path, 1, f"does not compile alone: {first}")

    # ---- rules 3 and 4: what is built ----

    def read_exports(self):
        sections, section = {}, None
        for number, line in enumerate(self.read("scripts/exports.txt").splitlines(), 1):
            match = re.fullmatch(r"\[(\w+)\]", line)
            if match:
                section = sections.setdefault(match[1], {})
            elif re.fullmatch(r"\w+", line):
                section[line] = number
        return sections

    def port_names(self):
        port = mask_comments(self.read("include/expool/port.h"))
        inlines = ATTRIBUTE.sub(" ", mask_comments(self.read(PORT_INLINES)))
        names = set(re.findall(r"\b(exp_port_\w+)\s*\(", port))
        for declaration in re.findall(r"\bextern\b([^;(]*);", inlines):
            names.add(re.findall(r"\w+", declaration)[-1])
            if "_Thread_local" in declaration:
                names.add("__tls_get_addr")
        return names

    def check_freestanding(self):
        folder = self.build / "CMakeFiles/expool-core.dir"
        objects = [folder / (path + ".o") for room in FREESTANDING_ROOMS
                   for path in self.files(room + "/*.c")]
        absent = [o for o in objects if not o.exists()]
        if absent or not objects:
            self.error("CMakeLists.txt", 1, f"not built: {absent[0] if absent else folder}")
            return
        with tempfile.TemporaryDirectory() as scratch:
            whole = Path(scratch) / "core.o"
            subprocess.run(["ld", "-r", "-o", whole, *objects], check=True)
            allowed = self.port_names() | COMPILER_CALLS
            for name in sorted(undefined_in(whole) - allowed):
                user = next(o for o in objects if name in undefined_in(o))
                self.error(user.relative_to(folder).as_posix()[:-2], 1,
                           f"needs {name}, which is not declared in include/expool/port.h")

    def check_library(self, library, expected):
        """Rule 4 for one library; expected: name -> its line in scripts/exports.txt."""
        path = self.build / library
        if not path.exists():
            self.error("CMakeLists.txt", 1, f"not built: {library}")
            return
        rows = subprocess.run(["nm", "-D", "--defined-only", path], text=True, capture_output=True,
                              check=True).stdout.split("\n")
        shown = {row.split()[2].split("@")[0] for row in rows if row}
        for name in sorted(expected.keys() - shown):
            self.error("scripts/exports.txt", expected[name], f"{library} does not show {name}")
        for name in sorted(shown - expected.keys()):
            self.error("scripts/exports.txt", 1, f"{library} shows {name}, which is not listed")
        dynamic = subprocess.run(["readelf", "-d", path], text=True, capture_output=True,
                                 check=True).stdout
        for needed in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
            if not needed.startswith(LIBC_NAMES):
                self.error("CMakeLists.txt", 1, f"{library} needs {needed}, which is not libc")

    def check(self):
        self.read_order()
        sections = self.read_exports()
        every = {name: line for section in sections.values() for name, line in section.items()}
        self.check_tree()
        self.check_texts(every.keys())
        self.check_headers_alone()
        if self.build:
            self.check_freestanding()
            self.check_library("libexpool.so", {**sections["ddi"], **sections["host"]})
            self.check_library("libexpool-malloc.so", every)


def main():
    parser = argparse.ArgumentParser(description="Check the rules of the house (docs/house.md).")
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("build", type=Path, nargs="?", help="build folder, for what is built")
    options = parser.parse_args()
    house = House(options.source.resolve(), options.build and options.build.resolve())
    house.check()
    if house.error_count:
        print(f"check_house: {house.error_count} errors", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
