/* SPDX-License-Identifier: MIT */
/*
 * The harness of the unit tests: checks that tell expected and got, and a way to catch a stop.
 *
 *     static void test_subject_situation_outcome(void) { CHECK_EQUAL(got, expected); }
 *     int main(void) { RUN(test_subject_situation_outcome); return unit_end(); }
 *
 * A check that fails is printed and counted; the test goes on, UNIT_FAILURES_MAX end the program.
 * UNIT_STOPS(statement) is true when the statement stopped; unit.stop holds code and parameters.
 */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <expool.h>

#define UNIT_FAILURES_MAX 20u

/* State of the harness; one thread. */
static struct {
    unsigned checks;
    unsigned failures;
    const char *test;
    bool catching;
    jmp_buf jump;
    struct expool_stop stop; /* of the last caught stop; report is not kept */
    char stop_report[256];   /* its beginning */
} unit;

static inline void unit_failed(const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s: ", file, line, unit.test != NULL ? unit.test : "main");
    unit.failures++;
}

static inline void unit_limit(void)
{
    if (unit.failures >= UNIT_FAILURES_MAX) {
        fprintf(stderr, "too many failures\n");
        exit(1);
    }
}

static inline void unit_equal(
    const char *file, int line, const char *words, uint64_t got, uint64_t expected)
{
    unit.checks++;
    if (got != expected) {
        unit_failed(file, line);
        fprintf(stderr, "%s: expected 0x%llx (%lld), got 0x%llx (%lld)\n", words,
                (unsigned long long)expected, (long long)expected, (unsigned long long)got,
                (long long)got);
        unit_limit();
    }
}

static inline void unit_text(
    const char *file, int line, const char *words, const char *got, const char *expected)
{
    unit.checks++;
    if (strcmp(got, expected) != 0) {
        unit_failed(file, line);
        fprintf(stderr, "%s: expected \"%s\", got \"%s\"\n", words, expected, got);
        unit_limit();
    }
}

static inline bool unit_true(const char *file, int line, const char *words, bool holds)
{
    unit.checks++;
    if (!holds) {
        unit_failed(file, line);
        fprintf(stderr, "expected: %s\n", words);
        unit_limit();
    }
    return holds;
}

/* Both sides as 64-bit numbers; pointers are cast by the caller. */
#define CHECK_EQUAL(got, expected) \
    unit_equal(__FILE__, __LINE__, #got, (uint64_t)(got), (uint64_t)(expected))
#define CHECK_TEXT(got, expected) unit_text(__FILE__, __LINE__, #got, (got), (expected))
#define CHECK(condition)          unit_true(__FILE__, __LINE__, #condition, (condition))

static inline void unit_on_stop(const struct expool_stop *stop, void *context)
{
    (void)context;
    if (!unit.catching) {
        return; /* the default follows: report and abort */
    }
    unit.stop = *stop;
    unit.stop.report = NULL;
    snprintf(unit.stop_report, sizeof(unit.stop_report), "%s", stop->report);
    unit.catching = false;
    longjmp(unit.jump, 1);
}

/*
 * Evaluate a statement; true when it stopped. Install unit_on_stop first (unit_start). Use it in
 * small functions marked UNIT_DEED, so that no variable of a caller is in reach of the longjmp.
 */
#define UNIT_DEED __attribute__((noinline)) static bool
#define UNIT_STOPS(statement)              \
    (unit.catching = true,                 \
     setjmp(unit.jump) != 0 ? true : ({    \
         statement;                        \
         unit.catching = false;            \
         false;                            \
     }))

/* A deed that must stop, with all of its parameters. */
#define CHECK_STOP(deed, code_expected, p1, p2, p3, p4)           \
    do {                                                          \
        if (CHECK(deed)) {                                        \
            CHECK_EQUAL(unit.stop.code, (code_expected));         \
            CHECK_EQUAL(unit.stop.parameter[0], (uint64_t)(p1));  \
            CHECK_EQUAL(unit.stop.parameter[1], (uint64_t)(p2));  \
            CHECK_EQUAL(unit.stop.parameter[2], (uint64_t)(p3));  \
            CHECK_EQUAL(unit.stop.parameter[3], (uint64_t)(p4));  \
        }                                                         \
    } while (0)

/* Caches and fast paths are looked at from inside: no guarded blocks, in checked builds either. */
static inline void unit_start(void)
{
    (void)expool_set("guard", "0");
    expool_on_stop(unit_on_stop, NULL);
}

#define RUN(test_function)          \
    do {                            \
        unit.test = #test_function; \
        test_function();            \
    } while (0)

static inline int unit_end(void)
{
    printf("%u checks, %u failures\n", unit.checks, unit.failures);
    return unit.failures == 0 && unit.checks != 0 ? 0 : 1;
}

#endif
