/* SPDX-License-Identifier: MIT */
/*
 * What the tests of exceptions share: a log of letters, and filters that write to it. Blocks and
 * filters note one letter each, and the log is compared as a whole; '?' is what must not be
 * reached.
 */
#ifndef EXP_SEH_LOG_H
#define EXP_SEH_LOG_H

#include "ddi_test.h"

enum {
    SEH_TAG = 'eheS',
    OWN_STATUS = (int)0xE0000001, /* statuses of this test's own */
    OWN_STATUS_2 = (int)0xE0000002,
    LOG_BYTES = 64
};

static char seh_log[LOG_BYTES];

__attribute__((unused)) static void note(char letter)
{
    size_t length = strlen(seh_log);
    if (length < sizeof(seh_log) - 1) {
        seh_log[length] = letter;
        seh_log[length + 1] = '\0';
    }
}

#define LOG_IS(text) log_is(__FILE__, __LINE__, text)

__attribute__((unused)) static void log_is(const char *file, int line, const char *expected)
{
    if (strcmp(seh_log, expected) != 0 && ddi_fail()) {
        printf("%s:%d: log: expected \"%s\", got \"%s\"\n", file, line, expected, seh_log);
    }
    memset(seh_log, 0, sizeof(seh_log));
}

__attribute__((unused)) static LONG no(PEXCEPTION_POINTERS pointers)
{
    (void)pointers;
    note('n');
    return EXCEPTION_CONTINUE_SEARCH;
}

__attribute__((unused)) static LONG yes(PEXCEPTION_POINTERS pointers)
{
    (void)pointers;
    note('y');
    return EXCEPTION_EXECUTE_HANDLER;
}

__attribute__((unused)) static LONG say(LONG answer, char letter)
{
    note(letter);
    return answer;
}

#endif
