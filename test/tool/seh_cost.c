/* SPDX-License-Identifier: MIT */
/*
 * One kind of guarded block, again and again, for counting instructions: seh_test.py runs it under
 * callgrind with two numbers of passes and divides the difference.
 *
 *     seh_cost KIND PASSES     KIND: p plain, e __except, f __finally, r a raise and its handler
 */
#include <stdlib.h>
#include <wdm.h>

DECLSPEC_NOINLINE static LONG work(LONG value)
{
    __asm__ volatile("" : "+r"(value));
    return value + 1;
}

DECLSPEC_NOINLINE static LONG run_plain(LONG value)
{
    volatile LONG result = 0;
    result = work(value);
    return result;
}

DECLSPEC_NOINLINE static LONG run_except(LONG value)
{
    volatile LONG result = 0;
    __try {
        result = work(value);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        result = -1;
    }
    return result;
}

DECLSPEC_NOINLINE static LONG run_finally(LONG value)
{
    volatile LONG result = 0;
    __try {
        result = work(value);
    } __finally {
        ++result;
    }
    return result;
}

DECLSPEC_NOINLINE static LONG run_raise(LONG value)
{
    volatile LONG result = 0;
    __try {
        ExRaiseStatus(value);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        result = -1;
    }
    return result;
}

int main(int argc, char **argv)
{
    LONG (*run)(LONG) = run_plain;
    LONG passes = argc > 2 ? atoi(argv[2]) : 0;
    volatile LONG sum = 0;

    switch (argc > 1 ? argv[1][0] : 'p') {
    case 'e':
        run = run_except;
        break;
    case 'f':
        run = run_finally;
        break;
    case 'r':
        run = run_raise;
        break;
    default:
        break;
    }
    for (LONG i = 0; i < passes; ++i) {
        sum += run(i);
    }
    return sum == 1;
}
