/* SPDX-License-Identifier: MIT */
/* Assertions of a checked driver: a false one stops, and a test can catch it. */
#define DBG 1
#include "ddi_test.h"

static struct ddi_stop caught;

static void test_assert_that_holds_does_nothing(void)
{
    volatile int evaluated = 0;
    DDI_CATCH(&caught, NT_ASSERT(++evaluated == 1));
    DDI_NO_STOP(&caught);
    DDI_EQUAL(1, evaluated);
    DDI_EQUAL(TRUE, NT_VERIFY(evaluated == 1));
    PAGED_CODE();
}

static void test_assert_that_fails_stops_with_its_status(void)
{
    DDI_CATCH(&caught, NT_ASSERT(KeGetCurrentIrql() == DISPATCH_LEVEL));
    DDI_STOP(&caught, KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_ASSERTION_FAILURE, DDI_ANY, 0, 0);
    DDI_CATCH(&caught, NT_ASSERTMSG("words", FALSE));
    DDI_STOP(&caught, KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_ASSERTION_FAILURE, DDI_ANY, 0, 0);
    DDI_CATCH(&caught, (void)NT_VERIFY(FALSE));
    DDI_STOP(&caught, KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_ASSERTION_FAILURE, DDI_ANY, 0, 0);
}

static void test_paged_code_at_dispatch_stops(void)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&caught, PAGED_CODE());
    KeLowerIrql(old);
    DDI_STOP(&caught, KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_ASSERTION_FAILURE, DDI_ANY, 0, 0);
}

static const struct ddi_test tests[] = {
    DDI_TEST("companions", test_assert_that_holds_does_nothing),
    DDI_TEST("companions", test_assert_that_fails_stops_with_its_status),
    DDI_TEST("companions", test_paged_code_at_dispatch_stops),
};

DDI_MAIN(tests)
