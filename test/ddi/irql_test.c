/* SPDX-License-Identifier: MIT */
/*
 * IRQL of a thread (api.md 2.12 and 9.26; the acceptance list relies on it in 23, 32, 33, 49, 98).
 */
#include "ddi_test.h"

#include <pthread.h>
#include <wdm.h>

static void test_irql_goes_up_and_comes_back(void)
{
    KIRQL first = 99;
    KIRQL second = 99;

    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    KeRaiseIrql(APC_LEVEL, &first);
    DDI_EQUAL(PASSIVE_LEVEL, first);
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    KeRaiseIrql(APC_LEVEL, &second); /* the same level is no lowering */
    DDI_EQUAL(APC_LEVEL, second);
    DDI_EQUAL(APC_LEVEL, KeRaiseIrqlToDpcLevel());
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(DISPATCH_LEVEL, KeRaiseIrqlToDpcLevel());
    KeLowerIrql(DISPATCH_LEVEL);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(first);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
}

static void *look(void *argument)
{
    KIRQL *level = argument;

    *level = KeGetCurrentIrql();
    KeRaiseIrql(HIGH_LEVEL, level + 1);
    return NULL;
}

static void test_irql_belongs_to_its_thread(void)
{
    KIRQL level[2] = { 99, 99 };
    KIRQL old = KeRaiseIrqlToDpcLevel();
    pthread_t thread;

    DDI_EQUAL(0, pthread_create(&thread, NULL, look, level));
    DDI_EQUAL(0, pthread_join(thread, NULL));
    DDI_EQUAL(PASSIVE_LEVEL, level[0]);
    DDI_EQUAL(PASSIVE_LEVEL, level[1]);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(old);
}

static void test_irql_raised_downward_stops(void)
{
    struct ddi_stop stop;
    KIRQL old;
    KIRQL unused = 99;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, KeRaiseIrql(APC_LEVEL, &unused));
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, APC_LEVEL, DISPATCH_LEVEL, DDI_ANY, DDI_ANY);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(99, unused);
    KeLowerIrql(old);
    KeRaiseIrql(HIGH_LEVEL, &old);
    DDI_CATCH(&stop, (void)KeRaiseIrqlToDpcLevel());
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, DISPATCH_LEVEL, HIGH_LEVEL, DDI_ANY, DDI_ANY);
    DDI_EQUAL(HIGH_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(old);
}

static void test_irql_lowered_upward_stops(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, KeLowerIrql(DISPATCH_LEVEL));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, DISPATCH_LEVEL, PASSIVE_LEVEL, DDI_ANY, DDI_ANY);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
}

static const struct ddi_test tests[] = {
    DDI_TEST("(2.12)", test_irql_goes_up_and_comes_back),
    DDI_TEST("(2.12)", test_irql_belongs_to_its_thread),
    DDI_TEST("(2.12)", test_irql_raised_downward_stops),
    DDI_TEST("(2.12)", test_irql_lowered_upward_stops),
};

DDI_MAIN(tests)
