#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The C programs of README.md, docs/porting.md and docs/drivers.md build and print as shown there,
and the code that docs/drivers.md and docs/fast-paths.md quote is the sources'.

Method: install the build into a folder of its own, so that pkg-config finds the installed files as
a user would. Each block that starts with ```c opens with a comment that has its file name; a block
after it that is not C is a session: lines that start with "$ " are run as they stand, the others
are the expected output. Settings hold for the commands after them; EXPOOL is the source folder. A
block whose file name has a folder is no program but an excerpt: its words stand there in a row.
Addresses differ from run to run: numbers above 2^40 and offsets in a module are compared as words.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
PROGRAMS = {
    "README.md": ["notes.c", "wrong.c"],
    "docs/porting.md": ["owner_inline.h", "kernel.c"],
    "docs/drivers.md": ["examples/name_cache.c", "cache_test.c", "examples/packet_queue.c"],
}
QUOTES = {"docs/fast-paths.md": "src/front/pool.h"}


def blocks_of(text):
    """Every fenced block of the text: (language, body)."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_addresses(line):
    """The line with addresses as words; a tag or a code stays what it is."""
    line = re.sub(r"\+0x[0-9A-F]{8}\b", "+OFFSET", line)
    line = re.sub(r"^  seed:  [1-9]\d+$", "  seed:  NUMBER", line)
    return re.sub(
        r"0x([0-9A-F]{16})\b",
        lambda found: "ADDRESS" if int(found.group(1), 16) >> 40 else found.group(0),
        line,
    )


def comparable(lines):
    """The lines without addresses and without a shell's own word about a signal."""
    return [without_addresses(line) for line in lines if not line.startswith("Aborted")]


def session_of(body):
    """The commands of a session, each with the settings before it and the lines it printed."""
    commands, settings = [], ""
    for line in body.splitlines():
        if re.match(r"\$ [A-Z]+=", line):
            settings += line[2:] + "\n"
        elif line.startswith("$ "):
            commands.append((settings + line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands


def run_session(body, folder, environment):
    """Run a session; the list of what is wrong is returned."""
    faults = []
    for command, shown in session_of(body):
        done = subprocess.run(
            ["sh", "-c", command + " 2>&1"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=240,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
            check=False,
        )
        expected, got = comparable(shown), comparable(done.stdout.splitlines())
        # 134 from a shell that waited, -6 from one that became the program
        if done.returncode not in ((134, -6) if "Aborted" in shown else (0,)):
            faults.append(f"{command}: exit status {done.returncode}")
        if expected != got:
            faults.append(f"{command}:\n  expected {expected}\n  got      {got}")
    return faults


def words_of(code):
    """The words of C code without its comments."""
    return re.sub(r"/\*.*?\*/", " ", code, flags=re.DOTALL).split()


def check_quotes(document, quoted):
    """Every function in the C blocks of document stands in the file quoted; what is wrong."""
    with open(document, encoding="utf-8") as file:
        blocks = [body for language, body in blocks_of(file.read()) if language == "c"]
    with open(quoted, encoding="utf-8") as file:
        source = " ".join(words_of(file.read()))
    functions = re.split(r"(?<=^}\n)", "".join(blocks), flags=re.MULTILINE)
    functions = [" ".join(words_of(part)) for part in functions if part.strip()]
    faults = [f"{quoted} has no such function: {part}" for part in functions if part not in source]
    return faults if functions else ["quotes nothing"]


def environment_of(prefix, source):
    """Where pkg-config and the loader find what was installed under prefix."""
    for folder, _, files in os.walk(prefix):
        if "expool-wdk.pc" in files:
            return {
                "PATH": os.environ["PATH"],
                "LC_ALL": "C",
                "EXPOOL_OPTIONS": "guard=0",  # as in the documents, in checked builds too
                "EXPOOL": source,
                "PKG_CONFIG_PATH": folder,
                "LD_LIBRARY_PATH": os.path.dirname(folder),
            }
    raise RuntimeError("expool-wdk.pc was not installed")


def check_excerpt(name, body, source):
    """Whether the words of an excerpt stand in the file that it names; what is wrong."""
    with open(os.path.join(source, name), encoding="utf-8") as file:
        if " ".join(words_of(body)) in " ".join(words_of(file.read())):
            return []
    return [f"{name} has no such lines: {body}"]


def check_document(path, expected, folder, environment):
    """Write the programs of one document, run its sessions; the list of what is wrong."""
    with open(path, encoding="utf-8") as file:
        blocks = blocks_of(file.read())
    faults, seen = [], []
    os.mkdir(folder)
    for (language, body), (language_after, after) in zip(blocks, [*blocks[1:], ("c", "")]):
        if language != "c":
            continue
        name = re.match(r"/\* (\w+(?:/\w+)*\.[ch]) \*/\n", body)
        if name is None:
            faults.append(f"a C block without a file name: {body[:40]!r}")
            continue
        seen.append(name.group(1))
        if "/" in name.group(1):
            faults += check_excerpt(name.group(1), body, environment["EXPOOL"])
            continue
        with open(os.path.join(folder, name.group(1)), "w", encoding="utf-8") as file:
            file.write(body)
        if language_after != "c":
            faults += run_session(after, folder, environment)
    if seen != expected:
        faults.append(f"programs: expected {expected}, got {seen}")
    return faults


def main():
    if shutil.which("pkg-config") is None:
        print("skipped: pkg-config is not installed")
        return SKIPPED
    build, source = os.environ["EXPOOL_BUILD"], os.environ["EXPOOL_SOURCE"]
    failed = False
    with tempfile.TemporaryDirectory(prefix="expool-readme-") as scratch:
        prefix = os.path.join(scratch, "installed")
        subprocess.run(
            ["cmake", "--install", build, "--prefix", prefix],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        environment = environment_of(prefix, source)
        for name, programs in PROGRAMS.items():
            folder = os.path.join(scratch, name.replace("/", "-"))
            faults = check_document(os.path.join(source, name), programs, folder, environment)
            print(f"{name}: {len(programs)} files, {len(faults)} faults")
            for fault in faults:
                print(f"{name}: {fault}")
                failed = True
    for name, quoted in QUOTES.items():
        for fault in check_quotes(os.path.join(source, name), os.path.join(source, quoted)):
            print(f"{name}: {fault}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
