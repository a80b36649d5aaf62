/* SPDX-License-Identifier: MIT */
/*
 * Exceptions: who handles, in which order, how blocks are left, what filters may answer.
 *
 * Method: seh_log.h. test/tool/seh_test.py runs this same file, and seh_inside_test.c, from gcc and
 * clang at every level of optimisation.
 */
#include "seh_log.h"

#include <wdm.h>

enum {
    FEW = 10
};

static LONG resume(PEXCEPTION_POINTERS pointers)
{
    (void)pointers;
    note('r');
    return EXCEPTION_CONTINUE_EXECUTION;
}

static LONG five(PEXCEPTION_POINTERS pointers)
{
    (void)pointers;
    return 5;
}

/* ---- handlers -------------------------------------------------------------------------------- */

static void test_seh_handler_runs_once_with_the_status(void)
{
    const POOL_FLAGS flags = POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE;
    volatile int count = 0;
    volatile NTSTATUS status = 0;

    __try {
        (void)ddi_opaque(ExAllocatePool2(flags, MAXSIZE_T / 2, SEH_TAG));
        note('?');
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        ++count;
        status = GetExceptionCode();
    }
    DDI_EQUAL(STATUS_INSUFFICIENT_RESOURCES, status);
    __try {
        (void)ddi_opaque(ExAllocatePool2(flags, 100, 0));
        note('?');
    } __except (1) {
        ++count;
        status = GetExceptionCode();
    }
    DDI_EQUAL(STATUS_INVALID_PARAMETER, status);
    __try {
        POOL_TYPE type = (POOL_TYPE)(PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE);
        (void)ddi_opaque(ExAllocatePoolWithTag(type, MAXSIZE_T / 2, SEH_TAG));
        note('?');
    } __except (1) {
        ++count;
        status = GetExceptionCode();
    }
    DDI_EQUAL(STATUS_INSUFFICIENT_RESOURCES, status);
    DDI_EQUAL(3, count);
    LOG_IS("");
}

static void test_seh_handler_does_not_run_without_an_exception(void)
{
    __try {
        note('a');
    } __except (yes) {
        note('?');
    }
    LOG_IS("a");
}

static void test_seh_raising_routines_raise_their_status(void)
{
    volatile NTSTATUS status[3] = { 0 };

    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        status[0] = GetExceptionCode();
    }
    __try {
        ExRaiseAccessViolation();
    } __except (1) {
        status[1] = GetExceptionCode();
    }
    __try {
        ExRaiseDatatypeMisalignment();
    } __except (1) {
        status[2] = GetExceptionCode();
    }
    DDI_EQUAL(OWN_STATUS, status[0]);
    DDI_EQUAL(0xC0000005, (ULONG)status[1]);
    DDI_EQUAL(0x80000002, (ULONG)status[2]);
}

static EXCEPTION_RECORD record_seen;
static void *context_seen;

static LONG look(PEXCEPTION_POINTERS pointers)
{
    record_seen = *pointers->ExceptionRecord;
    context_seen = pointers->ContextRecord;
    return EXCEPTION_EXECUTE_HANDLER;
}

static void check_record(void)
{
    DDI_EQUAL(OWN_STATUS, record_seen.ExceptionCode);
    DDI_EQUAL(EXCEPTION_NONCONTINUABLE, record_seen.ExceptionFlags);
    DDI_EQUAL(0, record_seen.NumberParameters);
    DDI_TRUE(record_seen.ExceptionAddress != NULL);
    DDI_TRUE(record_seen.ExceptionRecord == NULL && context_seen == NULL);
    memset(&record_seen, 0, sizeof(record_seen));
    context_seen = &record_seen;
}

static void test_seh_filter_sees_the_record(void)
{
    context_seen = &record_seen;
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (look) {
        check_record();
    }
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (look(GetExceptionInformation())) {
        check_record();
    }
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (GetExceptionCode() == OWN_STATUS ? 1 : 0) {
        note('h');
    }
    LOG_IS("h");
}

/* ---- the way outward ------------------------------------------------------------------------- */

static void innermost(void)
{
    __try {
        note('1');
        ExRaiseStatus(OWN_STATUS);
    } __except (no) {
        note('?');
    }
    note('?');
}

static void middle(void)
{
    __try {
        __try {
            note('2');
            innermost();
        } __except (EXCEPTION_CONTINUE_SEARCH) {
            note('?');
        }
    } __finally {
        note(AbnormalTermination() ? 'F' : 'f');
    }
}

static void test_seh_filter_zero_passes_to_the_function_around(void)
{
    __try {
        note('3');
        middle();
    } __except (yes) {
        note('h');
        DDI_EQUAL(OWN_STATUS, GetExceptionCode());
    }
    LOG_IS("321nyFh");
}

static void test_seh_expression_is_evaluated_after_the_finally_inside(void)
{
    __try {
        __try {
            middle();
        } __except (say(0, 'e')) {
            note('?');
        }
    } __except (say(1, 'E')) {
        note('h');
    }
    LOG_IS("21nFeEh");
}

static void test_seh_functions_outside_of_an_expression_are_asked_after_it(void)
{
    __try {
        __try {
            __try {
                ExRaiseStatus(OWN_STATUS);
            } __finally {
                note('f');
            }
        } __except (say(0, 'e')) {
            note('?');
        }
    } __except (yes) {
        note('h');
    }
    LOG_IS("feyh");
}

static void test_seh_pointer_to_a_filter_is_asked_in_order(void)
{
    EXP_WDK_FILTER *filter = yes;

    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __finally {
            note('f');
        }
    } __except (filter) {
        note('h');
    }
    LOG_IS("yfh");
}

/* ---- __finally and __leave ------------------------------------------------------------------- */

static void test_seh_finally_runs_on_every_exit(void)
{
    volatile int abnormal[3] = { 7, 7, 7 };

    __try {
        note('a');
    } __finally {
        abnormal[0] = AbnormalTermination();
    }
    __try {
        __leave;
    } __finally {
        abnormal[1] = AbnormalTermination();
    }
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __finally {
            abnormal[2] = AbnormalTermination();
        }
        note('?');
    } __except (1) {
        note('h');
    }
    DDI_EQUAL(0, abnormal[0]);
    DDI_EQUAL(0, abnormal[1]);
    DDI_EQUAL(1, abnormal[2]);
    LOG_IS("ah");
}

static void test_seh_finally_blocks_run_from_inner_to_outer(void)
{
    __try {
        __try {
            __try {
                __try {
                    ExRaiseStatus(OWN_STATUS);
                } __finally {
                    note('1');
                }
                note('?');
            } __except (0) {
                note('?');
            }
        } __finally {
            note('2');
        }
    } __except (1) {
        note('h');
    }
    LOG_IS("12h");
}

static void test_seh_leave_from_loops_and_switch_is_a_normal_end(void)
{
    int changed = 0; /* no exception: need not be volatile */

    for (int how = 0; how < 4; ++how) {
        __try {
            note((char)('0' + how));
            for (;;) {
                do {
                    switch (how) {
                    case 0:
                        changed += 1;
                        __leave;
                    case 1:
                        while (1) {
                            changed += 10;
                            __leave;
                        }
                    default:
                        __try {
                            changed += 100;
                            __leave;
                        } __finally {
                            note(AbnormalTermination() ? '?' : 'i');
                        }
                        changed += 1000;
                        __leave;
                    }
                } while (1);
            }
        } __finally {
            note(AbnormalTermination() ? '?' : 'f');
        }
    }
    DDI_EQUAL(2211, changed);
    LOG_IS("0f1f2if3if");
}

static void test_seh_leave_in_a_handler_ends_the_block_around(void)
{
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __except (1) {
            note('h');
            __leave;
        }
        note('?');
    } __except (1) {
        note('?');
    }
    LOG_IS("h");
}

/* ---- loops and returns of the driver --------------------------------------------------------- */

static int return_from(int how)
{
    __try {
        if (how == 0) {
            return 10;
        }
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        return 11;
    }
    return 12;
}

static void test_seh_break_continue_return_and_goto_are_the_drivers(void)
{
    volatile int passes = 0;
    volatile int handled = 0;

    for (int i = 0; i < FEW; ++i) {
        __try {
            ++passes;
            if (i == 1) {
                continue;
            }
            if (i == 5) {
                break;
            }
            ExRaiseStatus(OWN_STATUS);
        } __except (1) {
            ++handled;
            if (i == 2) {
                continue;
            }
            if (i == 4) {
                goto middle;
            }
        }
        note((char)('0' + i));
    middle:;
    }
    DDI_EQUAL(6, passes);
    DDI_EQUAL(4, handled);
    for (int i = 0; i < FEW; ++i) {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __except (1) {
            break;
        }
        note('?');
    }
    LOG_IS("03");
    DDI_EQUAL(10, return_from(0));
    DDI_EQUAL(11, return_from(1));
}

static void test_seh_block_left_early_catches_nothing_any_more(void)
{
    __try {
        (void)return_from(0);
        for (;;) {
            __try {
                break;
            } __except (yes) {
                note('?');
            }
        }
        __try {
            goto out;
        } __except (yes) {
            note('?');
        }
    out:
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        note('h');
    }
    LOG_IS("h");
}

static void test_seh_statement_without_braces_around(void)
{
    for (int how = 0; how < 2; ++how) {
        switch (how)
        case 0:
            __try {
                ExRaiseStatus(OWN_STATUS);
            } __except (1) {
                note('h');
            }
    }
    LOG_IS("h");
}

/* ---- answers that noncontinuable exceptions do not take -------------------------------------- */

#define CODE_OF(filter)                                                                            \
    __try {                                                                                        \
        __try {                                                                                    \
            (void)ddi_opaque(ExAllocatePool2(                                                      \
                POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE, MAXSIZE_T / 2, SEH_TAG));            \
        } __except (filter) {                                                                      \
            note('?');                                                                             \
        }                                                                                          \
    } __except (1) {                                                                               \
        status = GetExceptionCode();                                                               \
    }

static void test_seh_filter_minus_one_is_noncontinuable(void)
{
    volatile NTSTATUS status = 0;

    CODE_OF(-1)
    DDI_EQUAL(0xC0000025, (ULONG)status);
    status = 0;
    CODE_OF(resume)
    DDI_EQUAL(0xC0000025, (ULONG)status);
    status = 0;
    CODE_OF(say(-1, 'e'))
    DDI_EQUAL(0xC0000025, (ULONG)status);
    LOG_IS("re");
}

static void test_seh_filter_of_another_value_is_an_invalid_disposition(void)
{
    volatile NTSTATUS status = 0;

    CODE_OF(5)
    DDI_EQUAL(0xC0000026, (ULONG)status);
    status = 0;
    CODE_OF(five)
    DDI_EQUAL(0xC0000026, (ULONG)status);
    status = 0;
    CODE_OF(say(-2, 'e'))
    DDI_EQUAL(0xC0000026, (ULONG)status);
    LOG_IS("e");
}

static void test_seh_refused_answer_still_runs_the_finally_blocks(void)
{
    __try {
        __try {
            __try {
                ExRaiseStatus(OWN_STATUS);
            } __finally {
                note('f');
            }
        } __except (resume) {
            note('?');
        }
    } __except (yes) {
        note(GetExceptionCode() == STATUS_NONCONTINUABLE_EXCEPTION ? 'h' : '?');
    }
    LOG_IS("ryfh");
}

static const struct ddi_test tests[] = {
    DDI_TEST("162", test_seh_handler_runs_once_with_the_status),
    DDI_TEST("162", test_seh_handler_does_not_run_without_an_exception),
    DDI_TEST("162", test_seh_raising_routines_raise_their_status),
    DDI_TEST("162", test_seh_filter_sees_the_record),
    DDI_TEST("162", test_seh_break_continue_return_and_goto_are_the_drivers),
    DDI_TEST("162", test_seh_statement_without_braces_around),
    DDI_TEST("163", test_seh_filter_zero_passes_to_the_function_around),
    DDI_TEST("163", test_seh_expression_is_evaluated_after_the_finally_inside),
    DDI_TEST("163", test_seh_functions_outside_of_an_expression_are_asked_after_it),
    DDI_TEST("163", test_seh_pointer_to_a_filter_is_asked_in_order),
    DDI_TEST("163", test_seh_block_left_early_catches_nothing_any_more),
    DDI_TEST("164", test_seh_finally_runs_on_every_exit),
    DDI_TEST("164", test_seh_finally_blocks_run_from_inner_to_outer),
    DDI_TEST("164", test_seh_leave_from_loops_and_switch_is_a_normal_end),
    DDI_TEST("164", test_seh_leave_in_a_handler_ends_the_block_around),
    DDI_TEST("165", test_seh_filter_minus_one_is_noncontinuable),
    DDI_TEST("165", test_seh_filter_of_another_value_is_an_invalid_disposition),
    DDI_TEST("165", test_seh_refused_answer_still_runs_the_finally_blocks),
};

DDI_MAIN(tests)
