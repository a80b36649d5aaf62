/* SPDX-License-Identifier: MIT */
/*
 * For tests that see the core: CHECK_FITS() walks the whole pool and tells what does not fit;
 * RUN_FRESH runs a test in a forked child, where the core and the simulated port are as new.
 */
#ifndef UNIT_FITS_H
#define UNIT_FITS_H

#include "core/verify.h"
#include "unit/unit_test.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static inline bool fits(const char *file, int line)
{
    struct exp_verify_fault fault;
    bool whole = exp_verify_all(&fault);
    unit.checks++;
    if (!whole) {
        unit_failed(file, line);
        fprintf(stderr,
                "%s at %p: expected 0x%llx (%lld), found 0x%llx (%lld), key %u\n",
                exp_verify_words(fault.what),
                fault.address,
                (unsigned long long)fault.expected,
                (long long)fault.expected,
                (unsigned long long)fault.found,
                (long long)fault.found,
                fault.key);
        unit_limit();
    }
    return whole;
}

#define CHECK_FITS() fits(__FILE__, __LINE__)

/* Every child must have made checks, and none may have failed. */
static inline void run_fresh(const char *name, void (*body)(void))
{
    unit.test = name;
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child == 0) {
        unit.failures = 0;
        unit.checks = 0;
        body();
        _exit(unit.failures == 0 && unit.checks != 0 ? 0 : 1);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    CHECK_EQUAL(status, 0);
}

#define RUN_FRESH(test_function) run_fresh(#test_function, test_function)

#endif
