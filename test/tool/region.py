# SPDX-License-Identifier: MIT
"""A statistics region made by hand, and the processes and tools around it.

Offsets are computed here from the layout as documented in include/expool/region.h, not taken from a
compiled header: a change of the layout without a new version must fail these tests.
"""
import ctypes
import os
import signal
import struct
import subprocess
import sys
import time
import unittest

BUILD = os.environ.get("EXPOOL_BUILD", "")
SOURCE = os.environ.get("EXPOOL_SOURCE", "")
EXPOOL = os.path.join(BUILD, "expool")
POOLMON = os.path.join(BUILD, "poolmon")
LIBRARY = os.path.join(BUILD, "libexpool-malloc.so")

MAGIC = 0x4E47524C4F4F5058
UNLIMITED = 2**64 - 1
UNUSED_KEY = 2**32 - 1
SECTIONS = ("tags", "modules", "rows", "keys", "options")
ENTRY = struct.Struct("<QQQQ")
HEADER = struct.Struct("<QIIQIIQQ" + "8Q" * 3 + "4Q" * 8 + "5Q" + "5Q")


def tag(text):
    return struct.unpack("<I", text)[0]


class Region:
    """Contents of a region file; every field may be bent before bytes() is called."""

    def __init__(self):
        self.magic, self.version, self.header_bytes = MAGIC, 1, HEADER.size
        self.size, self.region_bytes, self.page_bytes = 1 << 20, 1 << 20, 4096
        self.pid, self.generation = 0, 0
        self.pools = [[0, 0, UNLIMITED, 0, 0] for _ in range(3)]
        self.conditions = [0, 0, 0]
        self.purged, self.chunks, self.owners, self.stop = 0, 0, 1, [0] * 5
        self.options = b"tag=module\n"
        self.tags, self.modules, self.rows = [(0, 0)], [], []
        self.bent = {}

    def add(self, text, pool, allocs, frees, bytes_in, bytes_out, module=None):
        """One tag number with one row; returns the number."""
        number = 0
        if module is not None:
            self.modules.append((module, len(self.tags)))
            number = len(self.modules)
        self.tags.append((tag(text), number))
        self.rows.append(((len(self.tags) - 1) * 2 + pool, allocs, frees, bytes_in, bytes_out))
        return len(self.tags) - 1

    def bend(self, section, field, value):
        """Put value in place of a section's offset, count, capacity or entry_bytes."""
        self.bent[section, field] = value

    def bytes(self, pid):
        contents = {
            "tags": b"".join(struct.pack("<II", *entry) for entry in self.tags),
            "modules": b"".join(struct.pack("<248sII", path, number, 0)
                                for path, number in self.modules),
            "rows": b"".join(struct.pack("<QQQQ", *row[1:]) for row in self.rows),
            "keys": b"".join(struct.pack("<I", row[0]) for row in self.rows),
            "options": self.options,
        }
        entry_bytes = {"tags": 8, "modules": 256, "rows": 32, "keys": 4, "options": 1}
        offset, sections, body = 4096, [], {}
        for name in SECTIONS:
            count = len(contents[name]) // entry_bytes[name]
            fields = {"offset": offset, "count": count, "capacity": max(count, 8) * 4,
                      "entry_bytes": entry_bytes[name]}
            body[offset] = contents[name]
            offset += (fields["capacity"] * entry_bytes[name] + 4095) // 4096 * 4096
            for field in fields:
                fields[field] = self.bent.get((name, field), fields[field])
            sections += [fields["offset"], fields["count"], fields["capacity"],
                         fields["entry_bytes"]]
        sections += [0] * (4 * (8 - len(SECTIONS)))
        pools = [word for pool, bits in zip(self.pools, self.conditions)
                 for word in pool + [bits, 0, 0]]
        data = bytearray(self.size)
        data[:HEADER.size] = HEADER.pack(
            self.magic, self.version, self.header_bytes, self.region_bytes, self.page_bytes,
            self.pid or pid, 0, self.generation, *pools, *sections, self.purged, self.chunks,
            self.owners, 0, 0, *self.stop)
        for offset, content in body.items():
            data[offset:offset + len(content)] = content
        return bytes(data[:self.size])


class Target:
    """A child process that holds regions and sleeps; the context is its process id."""

    def __init__(self, *regions, name=b"target", user=None, open_to_user=True):
        self.regions, self.name, self.user = regions, name, user
        self.open_to_user = open_to_user

    def __enter__(self):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.child(tell)
            finally:
                os._exit(99)
        os.close(tell)
        answer = os.read(ready, 1)
        os.close(ready)
        if answer != b"+":
            os.waitpid(self.pid, 0)
            raise RuntimeError("the target process could not start")
        return self.pid

    def child(self, tell):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with open("/proc/self/comm", "wb") as comm:
            comm.write(self.name)
        for region in self.regions:
            descriptor = os.memfd_create("expool-region")
            os.write(descriptor, region.bytes(os.getpid()))
        if self.user is not None:
            os.setresuid(self.user, self.user, self.user)
            if self.open_to_user:
                ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, lost by the change
        os.write(tell, b"+")
        while True:
            time.sleep(1000)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def call(*words, **more):
    """Run a tool; the result has returncode, and stdout and stderr as text."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("EXPOOL_OPTIONS", "LD_PRELOAD", "EXPOOL_LIBRARY")}
    environment.update(more.pop("env", {}))
    return subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=environment, encoding="latin-1", **more)


class ToolTest(unittest.TestCase):
    maxDiff = None

    def expect(self, result, status, stdout=None, stderr=None):
        """Compare a finished call; stderr is one sentence that contains the given words."""
        shown = "stdout:\n%s\nstderr:\n%s" % (result.stdout, result.stderr)
        self.assertEqual(result.returncode, status, shown)
        if stdout is not None:
            self.assertEqual(result.stdout, stdout)
        if stderr is not None:
            self.assertIn(stderr, result.stderr)
        for stream in (result.stdout, result.stderr):
            strange = [c for c in stream if not (c == "\n" or " " <= c <= "~")]
            self.assertEqual(strange, [], shown)


def main(needed=()):
    """Run the tests of the calling script, when the build has what they need."""
    for path in needed:
        if not os.path.exists(path):
            print("skipped: there is no %s in the build folder" % os.path.basename(path))
            sys.exit(77)
    unittest.main(verbosity=2)
