/* SPDX-License-Identifier: MIT */
/*
 * KeGetCurrentIrql and its family. The level lies in the owner; with it goes what is blocked, by
 * which the fast paths learn that the level forbids a pool without comparing levels.
 *
 * A thread whose owner cannot be made shares one and stays at PASSIVE_LEVEL: it could not remember.
 */
#include "front/irql.h"

#include "core/stop.h"
#include "front/pool.h"

#include <wdm.h>

EXP_STATIC_ASSERT(EXP_POOL_IRQL_PASSIVE == PASSIVE_LEVEL, "spec/api.md 1.10");
EXP_STATIC_ASSERT(EXP_POOL_IRQL_APC == APC_LEVEL, "spec/api.md 1.10");
EXP_STATIC_ASSERT(EXP_POOL_IRQL_DISPATCH == DISPATCH_LEVEL, "spec/api.md 1.10");

/* What goes with a level. */
static void set(uint8_t level)
{
    struct exp_owner *owner = exp_owner_enter();
    owner->irql = level;
    exp_owner_block(owner, 0, level > exp_pool_irql_max(EXP_POOL_NONPAGED));
    exp_owner_block(owner, 1, level > exp_pool_irql_max(EXP_POOL_PAGED));
    exp_owner_leave(owner);
}

uint8_t exp_irql_raise(uint8_t level, const void *caller)
{
    struct exp_stop_about about = { .caller = caller };
    uint8_t old = (uint8_t)exp_pool_irql();
    if (level < old) {
        exp_stop_now(EXP_STOP_IRQL_NOT_GREATER_OR_EQUAL, level, old, 0, (uintptr_t)caller, &about);
    }
    set(level);
    return old;
}

void exp_irql_judge_lower(uint8_t level, const void *caller)
{
    struct exp_stop_about about = { .caller = caller };
    unsigned old = exp_pool_irql();
    if (level > old) {
        exp_stop_now(EXP_STOP_IRQL_NOT_LESS_OR_EQUAL, level, old, 0, (uintptr_t)caller, &about);
    }
}

void exp_irql_lower(uint8_t level)
{
    set(level);
}

EXP_EXPORT KIRQL KeGetCurrentIrql(VOID)
{
    return (KIRQL)exp_pool_irql();
}

EXP_EXPORT VOID KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql)
{
    KIRQL old = exp_irql_raise(NewIrql, __builtin_return_address(0));
    *OldIrql = old;
}

EXP_EXPORT VOID KeLowerIrql(KIRQL NewIrql)
{
    exp_irql_judge_lower(NewIrql, __builtin_return_address(0));
    exp_irql_lower(NewIrql);
}

EXP_EXPORT KIRQL KeRaiseIrqlToDpcLevel(VOID)
{
    return exp_irql_raise(DISPATCH_LEVEL, __builtin_return_address(0));
}
