#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a stop says beside its parameters: other rules, JSON, a seed that repeats the addresses.

Method: small driver programs are built with the driver flags and run; their stderr and JSON are
compared.
"""

import json
import os
import subprocess
import tempfile
import unittest

BUILD, SOURCE = os.environ["EXPOOL_BUILD"], os.environ["EXPOOL_SOURCE"]
FLAGS = ["-fshort-wchar", "-fms-extensions", "-Wno-multichar", "-Wno-unknown-pragmas"]
HEAD = "#include <ntifs.h>\nint main(void) { KIRQL old; "

ALLOCATE = HEAD + "KeRaiseIrql(2, &old); ExAllocatePoolWithTag(PagedPool | 2, 100, 0); }"
FREE = HEAD + (
    "PVOID p = ExAllocatePool2(POOL_FLAG_PAGED, 40, 'eerF'); KeRaiseIrql(2, &old); "
    "ExFreePoolWithTag(p, 'guoR'); }"
)
TWICE = HEAD + (
    "PVOID p = ExAllocatePool2(POOL_FLAG_PAGED, 40, 'eerF'); old = 0; (void)old; "
    "ExFreePoolWithTag(p, 'eerF'); ExFreePoolWithTag(p, 'eerF'); }"
)


class Stop(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="expool-stop-")
        self.addCleanup(self.folder.cleanup)

    def stop(self, text, options):
        source, program = (os.path.join(self.folder.name, name) for name in ("a.c", "a"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(
            ["cc", *FLAGS, f"-I{SOURCE}/include/wdk", f"-I{SOURCE}/include", source, "-o", program]
            + [f"-L{BUILD}", "-lexpool", f"-Wl,-rpath,{BUILD}"],
            check=True,
        )
        env = dict(os.environ, EXPOOL_OPTIONS=options)
        done = subprocess.run([program], env=env, capture_output=True, text=True, check=False)
        self.assertEqual(-6, done.returncode, done.stderr)
        return done.stderr

    def test_allocation_breaking_three_rules_names_the_others(self):
        report = self.stop(ALLOCATE, "")
        self.assertTrue(report.startswith("*** STOP: 0x000000C2 (0x0000000000000008,"), report)
        others = report[report.index("ADDITIONAL_VIOLATIONS:\n") :].splitlines()[1:3]
        self.assertEqual(["0xC2/0x9A", "0xC2/0x9B"], [line.split()[0] for line in others])

    def test_free_breaking_two_rules_names_the_other(self):
        report = self.stop(FREE, "")
        self.assertTrue(report.startswith("*** STOP: 0x000000C2 (0x0000000000000009,"), report)
        self.assertIn("ADDITIONAL_VIOLATIONS:\n  0xC2/0x0A", report)

    def test_one_rule_broken_names_no_other(self):
        self.assertNotIn("ADDITIONAL_VIOLATIONS", self.stop(TWICE, ""))

    def test_stop_json_holds_the_same_stop(self):
        path = os.path.join(self.folder.name, "stop.json")
        report = self.stop(TWICE, f"stop_json={path}")
        with open(path, encoding="utf-8") as file:
            stop = json.load(file)
        self.assertEqual((0xC2, "BAD_POOL_CALLER", report), (
            stop["code"], stop["name"], stop["report"]))
        words = ",".join(f"0x{value:016X}" for value in stop["parameters"])
        self.assertTrue(report.startswith(f"*** STOP: 0x000000C2 ({words})\n"), report)

    def test_seed_repeats_the_addresses(self):
        first, second = (self.stop(TWICE, "seed=12345").splitlines() for _ in range(2))
        self.assertEqual(first[0], second[0])
        self.assertIn("  seed:  12345", first)
        self.assertNotEqual(first[0], self.stop(TWICE, "seed=54321").splitlines()[0])


if __name__ == "__main__":
    unittest.main()
