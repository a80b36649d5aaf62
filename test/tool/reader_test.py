# SPDX-License-Identifier: MIT
"""The tools against regions made by hand: exact output, and regions that lie.

Method: a child process holds a memory file with chosen contents and sleeps; the tools look at it.
Whatever a region says, a tool must end in time, with the documented exit status and without a byte
on the terminal that is not printable ASCII.
"""
import csv
import io
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import unittest

import region
from region import EXPOOL, POOLMON, Region, Target, ToolTest, call

# Users that nothing else runs as, so that "the only process" is the one of the test.
LONELY_USER = 20000 + os.getpid() % 20000
OTHER_USER = LONELY_USER + 20000


def needs_root(function):
    """Skip, and say why, where other users cannot run programs of this build folder."""
    def check(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to start processes of other users")
        try:
            call(EXPOOL, "--version", user=LONELY_USER)
        except PermissionError:
            self.skipTest("other users cannot run programs of the build folder")
        function(self)
    check.__doc__ = function.__doc__
    return check


SAMPLE_TITLES = " Tag  Type     Allocs            Frees            Diff   Bytes       Per Alloc"
SAMPLE_ROW = " Wait Nonp    3971107 (   0)   3971077 (   0)       30    8456 (     0)    281"
SAMPLE_HEADER = """\
 Memory:  260620K Avail:   96364K  PageFlts:     0   InRam Krnl: 1916K P:17856K
 Commit: 203500K Limit: 640916K Peak: 260632K            Pool N: 8332K P:27220K
 System pool information
"""


def sample():
    """Three tags in two pools; the first has the numbers of the published row."""
    made = Region()
    made.add(b"Wait", 0, 3971107, 3971077, 8456 + 1000, 1000)
    python = made.add(b"pyth", 1, 900, 300, 50000, 20000, b"/usr/bin/python3.11")
    made.add(b"libc", 1, 10, 10, 640, 640, b"/lib/libc.so.6")
    made.rows.append((python * 2 + 1, 100, 200, 5000, 5000))  # another thread's row of the same tag
    made.rows.append((region.UNUSED_KEY, 7, 7, 7, 7))
    made.pools = [[3, 9, 1 << 20, 1, 0], [0, 0, region.UNLIMITED, 0, 0],
                  [40, 50, region.UNLIMITED, 5, 2]]
    made.generation, made.owners, made.purged, made.chunks = 2, 4, 11, 6
    made.options = b"tag=module\nseed=5\n"
    made.conditions = [1, 1, 2]
    return made


class StatTest(ToolTest):
    def test_stat_text_is_exact(self):
        with Target(sample()) as pid:
            result = call(EXPOOL, "stat", pid)
        text = re.sub(r"up \d+:\d\d:\d\d", "up 0:00:00", result.stdout)
        self.expect(result, 0, stderr="")
        self.assertEqual(text, """\
Process    %d target, up 0:00:00, threads on the pool 4, fork generation 2
Options    tag=module, seed=5
System     6 chunks of 4 MiB taken, 11 pages given back
Events     LowNonPagedPoolCondition, HighPagedPoolCondition

Pool              Pages         Peak        Dirty     Failures          Limit bytes
nonpaged              3            9            1            0              1048576
executable            0            0            0            0            unlimited
paged                40           50            5            2            unlimited

Tag   Type      Allocs      Frees       Diff        Bytes Per Alloc  Module
pyth  Paged       1000        500        500        30000        60  /usr/bin/python3.11
Wait  Nonp     3971107    3971077         30         8456       281
libc  Paged         10         10          0            0         0  /lib/libc.so.6
TOTAL Both     3972117    3971587        530        38456        72
""" % pid)

    def test_stat_json_is_exact(self):
        made = sample()
        made.stop = [0xC2, 7, 2**64 - 1, 0, 1]
        with Target(made) as pid:
            result = call(EXPOOL, "stat", "--json", pid)
        self.expect(result, 0, stderr="")
        value = json.loads(result.stdout)
        self.assertGreaterEqual(value.pop("uptime_ms"), 0)
        unlimited = {"dirty_pages": 0, "failures": 0, "limit_bytes": None}
        self.assertEqual(value, {
            "pid": pid, "name": "target", "generation": 2, "owners": 4, "page_bytes": 4096,
            "purged_pages": 11, "grown_chunks": 6,
            "stop": {"code": 0xC2, "parameters": [7, 2**64 - 1, 0, 1]},
            "events": ["LowNonPagedPoolCondition", "HighPagedPoolCondition"],
            "options": {"tag": "module", "seed": "5"},
            "pools": [
                {"pool": "nonpaged", "pages": 3, "pages_peak": 9, "dirty_pages": 1,
                 "failures": 0, "limit_bytes": 1048576},
                {"pool": "executable", "pages": 0, "pages_peak": 0, **unlimited},
                {"pool": "paged", "pages": 40, "pages_peak": 50, "dirty_pages": 5,
                 "failures": 2, "limit_bytes": None}],
            "tags": [
                {"tag": "pyth", "pool": "paged", "allocs": 1000, "frees": 500, "diff": 500,
                 "bytes": 30000, "module": "/usr/bin/python3.11"},
                {"tag": "Wait", "pool": "nonpaged", "allocs": 3971107, "frees": 3971077,
                 "diff": 30, "bytes": 8456, "module": None},
                {"tag": "libc", "pool": "paged", "allocs": 10, "frees": 10, "diff": 0,
                 "bytes": 0, "module": "/lib/libc.so.6"}]})

    def test_stat_csv_is_exact(self):
        with Target(sample()) as pid:
            result = call(EXPOOL, "stat", pid, "--csv", "--sort", "tag")
        self.expect(result, 0, stderr="", stdout="""\
tag,pool,allocs,frees,diff,bytes,module
Wait,nonpaged,3971107,3971077,30,8456,
libc,paged,10,10,0,0,/lib/libc.so.6
pyth,paged,1000,500,500,30000,/usr/bin/python3.11
""")

    def test_stat_sorts_by_each_key(self):
        made = Region()
        for name, allocs, frees, bytes_in in ((b"aaaa", 5, 1, 1), (b"bbbb", 9, 8, 2),
                                              (b"cccc", 7, 6, 9), (b"dddd", 7, 2, 3)):
            made.add(name, 1, allocs, frees, bytes_in, 0)
        orders = {"allocs": "bcda", "frees": "bcda", "diff": "dabc", "bytes": "cdba",
                  "tag": "abcd"}
        with Target(made) as pid:
            for key, order in orders.items():
                result = call(EXPOOL, "stat", "--csv", "--sort=" + key, pid)
                self.expect(result, 0)
                first = "".join(line[0] for line in result.stdout.splitlines()[1:])
                self.assertEqual(first, order, key)

    def test_stat_frees_beyond_allocs_clamp_to_zero(self):
        made = Region()
        made.add(b"back", 1, 3, 4, 10, 20)
        with Target(made) as pid:
            result = call(EXPOOL, "stat", "--csv", pid)
        self.expect(result, 0, stdout="tag,pool,allocs,frees,diff,bytes,module\n"
                                      "back,paged,3,4,0,0,\n")

    def test_stat_largest_numbers_stay_integers(self):
        made = Region()
        made.add(b"huge", 1, 2**64 - 1, 0, 2**64 - 1, 0)
        with Target(made) as pid:
            value = json.loads(call(EXPOOL, "stat", "--json", pid).stdout)
            text = call(EXPOOL, "stat", pid)
        self.expect(text, 0)
        self.assertEqual(value["tags"][0]["bytes"], 2**64 - 1)
        lines = text.stdout.splitlines()[-3:]
        self.assertEqual(lines[0].index("Allocs") + 6, lines[1].index("18446744073709551615") + 20)

    def test_stat_many_rows_are_summed_across_pieces(self):
        made = Region()
        made.size = made.region_bytes = 1 << 22
        number = made.add(b"many", 0, 1, 0, 16, 0)
        made.rows = [(number * 2, 3, 1, 48, 16)] * 10001
        with Target(made) as pid:
            result = call(EXPOOL, "stat", "--csv", pid)
        self.expect(result, 0, stdout="tag,pool,allocs,frees,diff,bytes,module\n"
                                      "many,nonpaged,30003,10001,20002,320032,\n")


class PoolmonTest(ToolTest):
    def table(self, made, *switches):
        """Lines of the table after the three that depend on the machine."""
        with Target(made) as pid:
            result = call(POOLMON, "--once", pid, *switches)
        self.expect(result, 0, stderr="")
        lines = result.stdout.splitlines()
        self.assertRegex(lines[0], r"^ Memory:[ \d]{8,}K Avail:[ \d]{8,}K  PageFlts:     0"
                                   r"   InRam Krnl:[ \d]{5,}K P:  180K$")
        self.assertRegex(lines[1], r"^ Commit:    196K Limit:[ \d]{7,}K Peak:    236K"
                                   r"            Pool N:   12K P:  160K$")
        self.assertEqual(lines[2], " System pool information")
        self.assertEqual(lines[3], SAMPLE_TITLES)
        return lines[4:]

    def test_once_prints_the_published_row(self):
        self.assertEqual(self.table(sample()), [
            SAMPLE_ROW,
            " libc Paged        10 (   0)        10 (   0)        0       0 (     0)      0",
            " pyth Paged      1000 (   0)       500 (   0)      500   30000 (     0)     60"])

    def test_once_totals(self):
        self.assertEqual(self.table(sample(), "/e")[3:], [
            "TOTAL Nonp    3971107 (   0)   3971077 (   0)       30    8456 (     0)    281",
            "TOTAL Paged      1010 (   0)       510 (   0)      500   30000 (     0)     60",
            "TOTAL Both    3972117 (   0)   3971587 (   0)      530   38456 (     0)     72"])

    def test_once_merges_equal_tags_of_one_pool(self):
        made = sample()
        made.add(b"libc", 1, 5, 1, 64, 0, b"/opt/libc.so.6")
        made.add(b"libc", 0, 1, 0, 16, 0)
        rows = [line for line in self.table(made) if line.startswith(" libc")]
        self.assertEqual(rows, [
            " libc Nonp          1 (   0)         0 (   0)        1      16 (     0)     16",
            " libc Paged        15 (   0)        11 (   0)        4      64 (     0)     16"])

    def test_once_pool_switches(self):
        tags = {(): "Wlp", ("/p",): "W", ("-p", "/p"): "lp", ("/p", "/p", "/p"): "Wlp"}
        for switches, expected in tags.items():
            rows = self.table(sample(), *switches)
            self.assertEqual("".join(row[1] for row in rows), expected, switches)

    def test_once_sort_switches_in_both_forms(self):
        orders = {"t": "Wlp", "a": "Wpl", "f": "Wpl", "d": "pWl", "b": "pWl", "m": "Wpl"}
        for letter, expected in orders.items():
            for form in "/-":
                rows = self.table(sample(), form + letter)
                self.assertEqual("".join(row[1] for row in rows), expected, form + letter)

    def test_limits_of_both_pools_are_the_limit(self):
        made = sample()
        made.pools[2][2] = 3 << 20
        with Target(made) as pid:
            result = call(POOLMON, "--once", pid)
        self.expect(result, 0)
        self.assertIn(" Limit:   4096K ", result.stdout)

    def test_without_once_is_refused_in_one_sentence(self):
        self.expect(call(POOLMON), 2, stdout="", stderr="add --once\n")

    def test_unknown_switches_are_usage(self):
        for words in (["/z"], ["-n"], ["/iTag"], ["--interval=5"], ["abc"], ["1", "2"], ["0"]):
            self.expect(call(POOLMON, "--once", *words), 2, stdout="", stderr="poolmon: ")


class TableTest(ToolTest):
    """The formatting alone, fed with the published numbers through a small C program."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.driver = os.path.join(cls.folder.name, "table_driver")
        source = region.SOURCE
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-Wall", "-Werror",
                        "-I" + os.path.join(source, "tools"), "-o", cls.driver,
                        os.path.join(source, "test/tool/table_driver.c"),
                        os.path.join(source, "tools/poolmon/table.c")], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_sample_equals_the_published_text(self):
        self.expect(call(self.driver, "sample"), 0,
                    stdout=SAMPLE_HEADER + SAMPLE_TITLES + "\n" + SAMPLE_ROW + "\n")

    def test_wide_numbers_widen_their_columns(self):
        result = call(self.driver, "wide")
        self.expect(result, 0)
        titles, huge, tiny = result.stdout.splitlines()[3:]
        self.assertEqual(huge, " Huge Paged 18446744073709551615 (123456)         5 (   7) "
                               "18446744073709551610 18446744073709551615 (-12345678)      1")
        self.assertEqual(tiny, " Tiny Nonp                     1 (     0)         0 (   0) "
                               "                   1                   16 (       16)     16")

        def end(line, word):
            return line.index(word) + len(word)

        self.assertEqual(end(titles, "Bytes"), end(huge, " 18446744073709551615 (-") - 3)
        self.assertEqual(end(titles, "Diff"), end(huge, "18446744073709551610"))


class HostileTest(ToolTest):
    def refused(self, made, words):
        """Every tool says that the region is damaged, and how."""
        with Target(made) as pid:
            for command in ([EXPOOL, "stat", pid], [EXPOOL, "stat", "--json", pid],
                            [POOLMON, "--once", pid]):
                result = call(*command)
                self.expect(result, 1, stdout="", stderr="the region of process %d is damaged: "
                            % pid)
                self.assertIn(words, result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1)
            listed = call(EXPOOL, "list", "--json")
        self.assertEqual(listed.returncode, 1)
        self.assertIn("process %d is damaged" % pid, listed.stderr)
        self.assertNotIn(pid, [entry["pid"] for entry in json.loads(listed.stdout)])

    def test_wrong_magic(self):
        made = sample()
        made.magic ^= 1
        self.refused(made, "magic number is 0x4e47524c4f4f5059")

    def test_wrong_version(self):
        made = sample()
        made.version = 2
        self.refused(made, "version 2 and this program reads version 1")

    def test_wrong_header_and_page_sizes(self):
        made = sample()
        made.header_bytes -= 8
        self.refused(made, "header has")
        made = sample()
        made.page_bytes = 0
        self.refused(made, "pages of 0")

    def test_truncated_file(self):
        for size in (0, 1, region.HEADER.size - 1):
            made = sample()
            made.size = size
            self.refused(made, "shorter than its header")
        for size in (region.HEADER.size, 8192):
            made = sample()
            made.size = size
            self.refused(made, "its file has %d" % size)

    def test_region_smaller_than_header(self):
        made = sample()
        made.region_bytes = 10
        self.refused(made, "claims 10 bytes")

    def test_count_beyond_capacity(self):
        for section in region.SECTIONS:
            made = sample()
            made.bend(section, "count", 1000)
            self.refused(made, "counts 1000 entries and has room for")

    def test_offset_out_of_the_file(self):
        for section in region.SECTIONS:
            for offset in (0, region.HEADER.size - 1, 1 << 20, 2**63, 2**64 - 8):
                made = sample()
                made.bend(section, "offset", offset)
                self.refused(made, "lies outside the region")

    def test_overflowing_capacity(self):
        for section in region.SECTIONS:
            for capacity in (2**64 - 1, 2**61, 2**59 + 1, 2**32):
                made = sample()
                made.bend(section, "capacity", capacity)
                self.refused(made, "lies outside the region")

    def test_wrong_entry_sizes(self):
        for section in region.SECTIONS:
            for entry_bytes in (0, 3, 2**64 - 1):
                made = sample()
                made.bend(section, "entry_bytes", entry_bytes)
                self.refused(made, "entries of section")

    def test_counts_beyond_what_is_read(self):
        """A sparse file may be larger than memory; the tables of the reader are not."""
        for section in region.SECTIONS:
            made = sample()
            made.bend(section, "count", 2**40)
            made.bend(section, "capacity", 2**40)
            made.region_bytes = 2**50
            with SparseTarget(made) as pid:
                result = call(EXPOOL, "stat", pid)
                self.expect(result, 1, stdout="", stderr="at most")

    def test_largest_counts_end_in_time(self):
        """The most rows that are read, all zero: keys of number 0, which name no tag, no allocs."""
        made = sample()
        made.options = b""
        made.region_bytes = 2**50
        made.bend("rows", "offset", 1 << 40)
        made.bend("keys", "offset", 1 << 41)
        for section in ("rows", "keys"):
            made.bend(section, "count", 1 << 24)
            made.bend(section, "capacity", 1 << 24)
        with SparseTarget(made) as pid:
            self.expect(call(EXPOOL, "stat", "--csv", pid), 0,
                        stdout="tag,pool,allocs,frees,diff,bytes,module\n")

    def test_rows_without_a_tag_are_told(self):
        made = Region()
        made.add(b"good", 1, 1, 0, 16, 0)
        for key in (0, 1, 20, 2**31, region.UNUSED_KEY - 1):
            made.rows.append((key, 1, 0, 1, 0))
        with Target(made) as pid:
            result = call(EXPOOL, "stat", "--csv", pid)
        self.expect(result, 1, stdout="tag,pool,allocs,frees,diff,bytes,module\n"
                                      "good,paged,1,0,1,16,\n",
                    stderr="5 rows name no tag")

    def test_module_index_out_of_the_table(self):
        made = Region()
        made.add(b"modu", 1, 1, 0, 16, 0, b"/bin/x")
        for number in (2, 2**32 - 1):
            made.tags[1] = (made.tags[1][0], number)
            with Target(made) as pid:
                result = call(EXPOOL, "stat", "--csv", pid)
            self.expect(result, 0, stdout="tag,pool,allocs,frees,diff,bytes,module\n"
                                          "modu,paged,1,0,1,16,\n")

    def test_control_characters_never_leave(self):
        """Checked for every byte by ToolTest.expect; here, what stands in their place."""
        made = Region()
        path = b"/tmp/\x1b[2J\x07\n\r\x9b\xff\xe2\x80\xae\"q\",\\u"
        made.add(b"\x1b[2J", 1, 1, 0, 16, 0, path)
        made.add(b"a\x00\xff\x7f", 0, 1, 0, 16, 0)
        made.options = b"seed=\x1b[31m\nplain\n=\n\n\xff"
        with Target(made, name=b"\x1b]0;x\x07\n") as pid:
            text = call(EXPOOL, "stat", pid)
            value = call(EXPOOL, "stat", "--json", pid)
            rows = call(EXPOOL, "stat", "--csv", pid)
            table = call(POOLMON, "--once", pid)
            listed = call(EXPOOL, "list")
            listed_json = call(EXPOOL, "list", "--json")
        for result in (text, value, rows, table):
            self.expect(result, 0)
        for result in (listed, listed_json):
            self.expect(result, result.returncode)  # others' processes may be damaged ones
        shown = "/tmp/\\x1b[2J\\x07\\x0a\\x0d\\x9b\\xff\\xe2\\x80\\xae\"q\",\\\\u"
        self.assertIn("  " + shown + "\n", text.stdout)
        self.assertIn("Options    seed=\\x1b[31m, plain, =, \\xff\n", text.stdout)
        self.assertIn("\\x1b]0;x\\x07\\x0a\n", listed.stdout)
        parsed = json.loads(value.stdout)
        self.assertEqual(parsed["tags"][0]["module"],
                         "/tmp/\x1b[2J\x07\n\r\ufffd\ufffd\u202e\"q\",\\u")
        self.assertEqual(parsed["options"], {"seed": "\x1b[31m", "plain": "", "": "",
                                             "\ufffd": ""})
        self.assertEqual(parsed["name"], "\x1b]0;x\x07\n")
        self.assertEqual(list(csv.reader(io.StringIO(rows.stdout)))[1][6], shown)
        self.assertEqual([line[1:5] for line in table.stdout.splitlines()[4:]], [".[2J", "a..."])

    def test_json_strings_follow_utf8_strictly(self):
        cases = {b"\xc3\xa9": "\u00e9", b"\xe2\x82\xac": "\u20ac",
                 b"\xf0\x9f\x98\x80": "\U0001f600",
                 b"\xc0\xaf": "\ufffd" * 2, b"\xe0\x80\xaf": "\ufffd" * 3,
                 b"\xed\xa0\x80": "\ufffd" * 3, b"\xf4\x90\x80\x80": "\ufffd" * 4,
                 b"\xf5a": "\ufffda", b"\xe2\x82": "\ufffd" * 2, b"\x80": "\ufffd",
                 b"\x7f\x01": "\x7f\x01"}
        made = Region()
        for path in cases:
            made.add(b"utf8", 1, 1, 0, 16, 0, b"/" + path)
        with Target(made) as pid:
            result = call(EXPOOL, "stat", "--json", pid)
        self.expect(result, 0)
        got = sorted(entry["module"] for entry in json.loads(result.stdout)["tags"])
        self.assertEqual(got, sorted("/" + text for text in cases.values()))

    def test_module_path_without_end_is_cut(self):
        made = Region()
        made.add(b"long", 1, 1, 0, 16, 0, b"x" * 248)
        with Target(made) as pid:
            result = call(EXPOOL, "stat", "--json", pid)
        self.expect(result, 0)
        self.assertEqual(json.loads(result.stdout)["tags"][0]["module"], "x" * 247)

    def test_random_damage_never_kills_a_tool(self):
        """Flip bytes of the header and the tables; status 0 or 1, clean text, no signal."""
        seed = int(os.environ.get("EXPOOL_SEED", "1"))
        source = random.Random(seed)
        for _ in range(60):
            made = DamagedRegion(source)
            with Target(made) as pid:
                for command in ([EXPOOL, "stat", "--json", pid], [POOLMON, "--once", pid]):
                    result = call(*command)
                    self.assertIn(result.returncode, (0, 1, 3), "seed %d: %s" % (seed, result))
                    self.expect(result, result.returncode)
                    if command[0] == EXPOOL and result.stdout:
                        json.loads(result.stdout)


class DamagedRegion:
    """A good region with some bytes changed."""

    def __init__(self, random):
        self.random = random

    def bytes(self, pid):
        data = bytearray(sample().bytes(pid))
        for _ in range(self.random.randrange(1, 6)):
            place = self.random.choice((self.random.randrange(region.HEADER.size),
                                        self.random.randrange(4096, 4096 * 6)))
            data[place] = self.random.choice((0, 0xFF, 0x80, self.random.randrange(256)))
        return bytes(data)


class SparseTarget(Target):
    """A region file of the size its header claims, mostly holes."""

    def child(self, tell):
        real, made = os.write, self.regions[0]

        def write(descriptor, data):
            if descriptor != tell:
                os.ftruncate(descriptor, made.region_bytes)
            return real(descriptor, data)
        os.write = write
        super().child(tell)


class TargetTest(ToolTest):
    def test_process_without_region_is_absent(self):
        with Target() as pid:
            for command in ([EXPOOL, "stat", pid], [POOLMON, "--once", pid]):
                self.expect(call(*command), 3, stdout="",
                            stderr="process %d is not running on expool\n" % pid)

    def test_region_of_another_process_is_not_this_ones(self):
        """A child between fork and its own region, or a reader, holds a descriptor as well."""
        made = sample()
        made.pid = 1
        with Target(made) as pid:
            self.expect(call(EXPOOL, "stat", pid), 3, stdout="", stderr="not running on expool")

    def test_own_region_is_found_among_others(self):
        other, broken, own = sample(), sample(), sample()
        other.pid, broken.magic, own.generation = 1, 0, 77
        with Target(other, broken, own) as pid:
            result = call(EXPOOL, "stat", "--json", pid)
        self.expect(result, 0)
        self.assertEqual(json.loads(result.stdout)["generation"], 77)

    def test_process_that_is_gone(self):
        with Target(sample()) as pid:
            pass
        for command in ([EXPOOL, "stat", pid], [POOLMON, "--once", pid]):
            self.expect(call(*command), 3, stdout="", stderr="process %d is gone\n" % pid)

    def test_process_that_has_ended_and_waits(self):
        target = Target(sample())
        with target as pid:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            self.expect(call(EXPOOL, "stat", pid), 3, stdout="", stderr="is gone\n")

    @needs_root
    def test_process_of_another_user(self):
        with Target(sample(), user=OTHER_USER) as pid:
            for command in ([EXPOOL, "stat", pid], [POOLMON, "--once", pid]):
                for user in (0, LONELY_USER):
                    result = call(*command, user=user)
                    self.expect(result, 3, stdout="", stderr="process %d belongs to user " % pid)
                    self.assertIn("(%d)" % OTHER_USER, result.stderr)
                    self.assertEqual(result.stderr.count("\n"), 1)

    @needs_root
    def test_process_that_may_not_be_looked_at(self):
        with Target(sample(), user=LONELY_USER, open_to_user=False) as pid:
            self.expect(call(EXPOOL, "stat", pid, user=LONELY_USER), 3, stdout="",
                        stderr="process %d does not let its user look at it\n" % pid)

    @needs_root
    def test_without_process_id(self):
        def run(*words):
            return call(*words, user=LONELY_USER)
        for command in ([EXPOOL, "stat"], [POOLMON, "--once"]):
            self.expect(run(*command), 3, stdout="",
                        stderr="no process of this user runs on expool")
        self.expect(run(EXPOOL, "list"), 0, stdout="", stderr="no process of this user")
        self.expect(run(EXPOOL, "list", "--json"), 0, stdout="[]\n", stderr="")
        with Target(sample(), user=LONELY_USER) as first:
            result = run(EXPOOL, "stat", "--json")
            self.expect(result, 0)
            self.assertEqual(json.loads(result.stdout)["pid"], first)
            self.expect(run(POOLMON, "--once"), 0)
            with Target(sample(), user=LONELY_USER, name=b"se\x1bcond") as second:
                for command in ([EXPOOL, "stat"], [POOLMON, "--once"]):
                    result = run(*command)
                    self.expect(result, 2, stdout="", stderr="2 processes of this user")
                    self.assertIn("%8d  target\n" % first, result.stderr)
                    self.assertIn("%8d  se\\x1bcond\n" % second, result.stderr)
                listed = json.loads(run(EXPOOL, "list", "--json").stdout)
        self.assertEqual([entry["pid"] for entry in listed], sorted((first, second)))

    def test_list_shows_a_process(self):
        with Target(sample(), name=b"listed") as pid:
            value = call(EXPOOL, "list", "--json")
            text = call(EXPOOL, "list")
        entry = [entry for entry in json.loads(value.stdout) if entry["pid"] == pid][0]
        self.assertLess(entry.pop("uptime_ms"), 60000)
        self.assertEqual(entry, {"pid": pid, "name": "listed", "bytes": 38456, "pages": 43})
        self.assertRegex(text.stdout, r"(?m)^ *%d +0:00:\d\d +38456 +43  listed$" % pid)

    def test_looking_does_nothing_to_the_target(self):
        """A sleeping target is neither woken nor stopped: its switches and its time stay."""
        def state(pid):
            with open("/proc/%d/status" % pid) as file:
                status = file.read()
            with open("/proc/%d/stat" % pid) as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (re.findall(r"\w*ctxt_switches:\s*\d+|State:\s*\w|TracerPid:\s*\d+", status),
                    fields[11:13])
        with Target(sample()) as pid:
            while state(pid)[0][0].split()[-1] != "S":
                pass
            before = state(pid)
            for _ in range(20):
                self.expect(call(EXPOOL, "stat", pid), 0)
                self.expect(call(POOLMON, "--once", pid), 0)
            self.assertEqual(state(pid), before)
            self.assertIn("TracerPid:\t0", before[0])


class UsageTest(ToolTest):
    def test_help_is_one_screen_with_two_examples(self):
        for command in ([EXPOOL], [EXPOOL, "run"], [EXPOOL, "stat"], [EXPOOL, "list"], [POOLMON]):
            result = call(*command, "--help")
            self.expect(result, 0, stderr="")
            lines = result.stdout.splitlines()
            self.assertTrue(lines[0].startswith("usage: "), lines[0])
            self.assertLessEqual(len(lines), 24)
            self.assertLessEqual(max(map(len, lines)), 99)
            self.assertEqual(len(lines) - lines.index("Examples:") - 1, 2)

    def test_version_names_the_command(self):
        for command in ([EXPOOL], [EXPOOL, "run"], [EXPOOL, "stat"], [EXPOOL, "list"], [POOLMON]):
            result = call(*command, "--version")
            self.expect(result, 0, stderr="")
            self.assertRegex(result.stdout, r"^(expool|expool \w+|poolmon) \d+\.\d+\.\d+\n$")

    def test_bad_words_are_usage_errors(self):
        for words in ([], ["nothing"], ["stat", "--nothing"], ["stat", "x"], ["stat", "0"],
                      ["stat", "-5"], ["stat", "99999999999"], ["stat", "1", "2"],
                      ["stat", "--sort", "size", "1"], ["stat", "--json", "--csv", "1"],
                      ["list", "1"], ["list", "--csv"], ["\x1b[2J"]):
            result = call(EXPOOL, *words)
            self.expect(result, 2, stdout="")
            self.assertNotEqual(result.stderr, "", words)

    def test_full_output_is_a_problem(self):
        with Target(sample()) as pid:
            for command in ([EXPOOL, "stat", pid], [EXPOOL, "list"], [POOLMON, "--once", pid],
                            [EXPOOL, "--help"]):
                with open("/dev/full", "w") as full:
                    result = subprocess.run([str(word) for word in command], stdout=full,
                                            stderr=subprocess.PIPE, encoding="ascii")
                self.assertEqual(result.returncode, 1)
                self.assertIn("standard output cannot be written", result.stderr)


if __name__ == "__main__":
    region.main(needed=(EXPOOL, POOLMON))
