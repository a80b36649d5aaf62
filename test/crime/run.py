#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run every crime in a folder and compare its stop with what it has to be.

    run.py FOLDER [NAME...]

A crime prints on stdout what its stop has to be (see crime.h) and then does its deed. It passes
when

 * it dies of SIGABRT,
 * stderr starts with exactly the first line of product.md 5, and holds that line once,
 * code and four parameters equal the expectation, and code and kind equal the table below, so that
   a program cannot quietly expect something else,
 * the second line is the name of the code, the third a sentence, every parameter is explained, and
   the words it was told to contain are there,
 * the report is whole: it ends in a line end, and nothing follows.

Every name in the table must have a program, and every program a row. Exit status: 0 all passed,
1 not, 2 usage.
"""

import os
import re
import resource
import signal
import subprocess
import sys

TIMEOUT_S = 60

POOL = 0xC2
VERIFIER = 0xC4
RAISE = 0x1E
NO_MEMORY = 0xC000009A
NO_QUOTA = 0xC0000044
BAD_PARAMETER = 0xC000000D
MISALIGNED = 0x80000002

NAMES = {
    0x09: "IRQL_NOT_GREATER_OR_EQUAL",
    0x0A: "IRQL_NOT_LESS_OR_EQUAL",
    0x10: "SPIN_LOCK_NOT_OWNED",
    0x19: "BAD_POOL_HEADER",
    0x1E: "KMODE_EXCEPTION_NOT_HANDLED",
    0x21: "QUOTA_UNDERFLOW",
    0xC2: "BAD_POOL_CALLER",
    0xC4: "DRIVER_VERIFIER_DETECTED_VIOLATION",
    0xE2: "UNKNOWN",
}

# program: code, first parameter (None: an address)
# source: spec/api.md 2.8, 2.9; product.md 8; spec/diagnostics.md 1.5
CRIMES = {
    "allocate_tag_zero": (POOL, 0x9B),
    "allocate_tag_zero_wrapper": (POOL, 0x9B),
    "allocate_tag_big": (POOL, 0x9C),
    "allocate2_tag_big": (POOL, 0x9C),
    "allocate_must_succeed": (POOL, 0x9A),
    "allocate_paged_at_dispatch": (POOL, 0x08),
    "allocate_with_tag_paged_at_dispatch": (POOL, 0x08),
    "allocate_nonpaged_at_irql_3": (POOL, 0x08),
    "raise_on_tag_zero": (RAISE, BAD_PARAMETER),
    "raise_on_bad_flags": (RAISE, BAD_PARAMETER),
    "raise_on_impossible_size": (RAISE, NO_MEMORY),
    "raise_on_limit": (RAISE, NO_MEMORY),
    "raise_on_limit_with_tag": (RAISE, NO_MEMORY),
    "raise_on_refused_pages": (RAISE, NO_MEMORY),
    "raise_on_misaligned_lookaside": (RAISE, MISALIGNED),
    "raise_status_unhandled": (RAISE, 0xE0001234),
    "raise_continued_unhandled": (RAISE, 0xC0000025),
    "seh_return_from_guarded": (RAISE, 0xC0000029),
    "seh_return_from_finally": (RAISE, 0xC0000029),
    "free_null": (POOL, 0x46),
    "free_misaligned": (POOL, 0x46),
    "free_stack": (POOL, 0x40),
    "free_global": (POOL, 0x40),
    "free_never_handed_out": (POOL, 0x42),
    "free_interior_small": (POOL, 0x99),
    "free_interior_page_nonpaged": (POOL, 0x99),
    "free_interior_page_paged": (POOL, 0x41286),
    "free_interior_large": (POOL, 0x41286),
    "free_twice_small": (POOL, 0x07),
    "free_twice_small_nonpaged": (POOL, 0x07),
    "free_twice_page_nonpaged": (POOL, 0x44),
    "free_twice_page_paged": (POOL, 0x50),
    "free_with_wrong_tag": (POOL, 0x0A),
    "free_with_wrong_tag_page": (POOL, 0x0A),
    "free_with_wrong_tag_large": (POOL, 0x0A),
    "free_protected_without_tag": (POOL, 0x0A),
    "free_protected_with_wrong_tag": (POOL, 0x0A),
    "free_block_with_lookaside": (VERIFIER, 0xCC),
    "free_paged_at_dispatch": (POOL, 0x09),
    "free_nonpaged_at_irql_3": (POOL, 0x09),
    "free_secure": (POOL, 0x99),
    "free_secure_with_tag": (POOL, 0x99),
    "free_secure_with_wrong_cookie": (POOL, 0x99),
    "free_secure_not_freeable": (POOL, 0x99),
    "free_pool2_with_priority": (POOL, 0x99),
    "free_pool2_without_array": (POOL, 0x99),
    "destroy_pool_with_blocks": (POOL, 0x99),
    "destroy_pool_twice": (POOL, 0x99),
    "free_without_charge": (0x21, None),
    "free_overrun": (0x19, 0x21),
    "charge_idle": (0xC4, 0x10A),
    "raise_on_quota": (RAISE, NO_QUOTA),
    "raise_on_return_beyond": (RAISE, NO_QUOTA),
    "raise_irql_downward": (0x09, 1),
    "lower_irql_upward": (0x0A, 2),
    "acquire_spin_lock_above_dispatch": (0x09, 2),
    "acquire_fast_mutex_at_dispatch": (0x09, 1),
    "release_spin_lock_free": (0x10, None),
    "bug_check": (0xE2, 1),
    "wait_at_dispatch": (0x0A, None),
    "create_event_at_dispatch": (0x0A, None),
    "stop_together": (POOL, 0x99),
}

# a program that is run once for each of these arguments
ARGUMENTS = {
    "allocate_must_succeed": ["2", "3", "6", "7", "34", "35", "38"],
    "stop_together": ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
}

HEAD = re.compile(
    r"\*\*\* STOP: 0x([0-9A-F]{8}) "
    r"\(0x([0-9A-F]{16}),0x([0-9A-F]{16}),0x([0-9A-F]{16}),0x([0-9A-F]{16})\)"
)


def fits(expected, got):
    """Whether one parameter is as the expectation says."""
    if expected == "*":
        return True
    if "-" in expected:
        low, high = (int(word, 16) for word in expected.split("-"))
        return low <= got <= high
    return got in [int(word, 16) for word in expected.split(",")]


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def expectation_of(lines, name, faults):
    """The parameters and words a crime announced; None when it announced nothing."""
    expects = [line.split()[1:] for line in lines if line.startswith("expect ")]
    tells = [line[len("tell "):] for line in lines if line.startswith("tell ")]
    other = [line for line in lines if not line.startswith(("expect ", "tell "))]
    if other:
        faults.append("stdout says: " + " / ".join(other))
    if len(expects) != 1 or len(expects[0]) != 5:
        faults.append("no expectation on stdout")
        return None, tells
    code, first = CRIMES[name]
    if int(expects[0][0], 16) != code or first not in (
            None, int(expects[0][1], 16)):
        faults.append("the program expects %s/%s, the table %X/%X"
                      % (expects[0][0], expects[0][1], code, first or 0))
    if int(expects[0][0], 16) != code or first not in (None, int(expects[0][1], 16)):
        faults.append("the program expects %s/%s, the table %X/%s"
                      % (expects[0][0], expects[0][1], code, first))
    return expects[0], tells


def judge_report(report, expected, tells, faults):
    """Compare the text on stderr with the expectation."""
    lines = report.split("\n")
    head = HEAD.fullmatch(lines[0])
    if head is None:
        faults.append("first line is not a stop's: %r" % lines[0])
        return
    got = [int(word, 16) for word in head.groups()]
    if expected is not None:
        wanted = [int(expected[0], 16)] + expected[1:]
        if got[0] != wanted[0]:
            faults.append("code: expected %X, got %X" % (wanted[0], got[0]))
        for index in range(1, 5):
            if not fits(wanted[index], got[index]):
                faults.append("parameter %d: expected %s, got %016X"
                              % (index, wanted[index], got[index]))
    if report.count("*** STOP:") != 1:
        faults.append("%d reports instead of one" % report.count("*** STOP:"))
    name = NAMES.get(got[0])
    if len(lines) < 2 or lines[1] != name:
        faults.append("second line: expected %s, got %r" % (name, lines[1:2]))
    if len(lines) < 3 or not re.fullmatch(r"[A-Z].*\s.*\s.*\.", lines[2]):
        faults.append("third line is not a sentence: %r" % lines[2:3])
    for index in range(1, 5):
        if not re.search(r"(?m)^ *parameter %d: 0x%016X  \S" % (index, got[index]), report):
            faults.append("parameter %d is not explained" % index)
    if not report.endswith("\n") or report.endswith("\n\n\n"):
        faults.append("the report does not end in a line end")
    words = " ".join(report.split()) + " "
    for tell in tells:
        if tell + " " not in words:
            faults.append("the report does not say %r" % tell)


def run(folder, name, argument):
    """Run one crime; the list of what is wrong is returned."""
    faults = []
    command = [os.path.join(folder, name)] + ([argument] if argument else [])
    environment = {key: value for key, value in os.environ.items() if key != "EXPOOL_OPTIONS"}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, preexec_fn=no_core,
                              env=environment, check=False)
    except subprocess.TimeoutExpired:
        return ["still running after %d s" % TIMEOUT_S]
    except OSError as error:
        return [str(error)]
    report = done.stderr.decode("utf-8", "replace")
    expected, tells = expectation_of(done.stdout.decode("utf-8", "replace").splitlines(), name,
                                     faults)
    if done.returncode != -signal.SIGABRT:
        faults.append("expected death by SIGABRT, got exit status %d" % done.returncode)
    judge_report(report, expected, tells, faults)
    return faults


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        print("usage: run.py FOLDER [NAME...]", file=sys.stderr)
        return 2
    folder = sys.argv[1]
    chosen = sys.argv[2:] or sorted(CRIMES)
    passed = 0
    failed = 0
    if not sys.argv[2:]:
        here = os.path.dirname(os.path.abspath(__file__))
        for file in sorted(os.listdir(here)):
            if file.endswith(".c") and file[:-2] not in CRIMES:
                print("%s FAILED\n    has no row in the table" % file[:-2])
                failed += 1
    for name in chosen:
        for argument in ARGUMENTS.get(name, [""]):
            title = (name + " " + argument).strip()
            faults = run(folder, name, argument) if name in CRIMES else ["has no row in the table"]
            if faults:
                failed += 1
                print("%s FAILED\n    %s" % (title, "\n    ".join(faults)))
            else:
                passed += 1
                print("%s ok" % title)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
