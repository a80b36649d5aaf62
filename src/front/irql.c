/* SPDX-License-Identifier: MIT */
/*
 * KeGetCurrentIrql and its family. The level lies in the owner; with it goes what is blocked, by
 * which the fast paths learn that the level forbids a pool without comparing levels.
 *
 * A thread whose owner cannot be made shares one and stays at PASSIVE_LEVEL: it could not remember.
 */
#include "core/stop.h"
#include "front/pool.h"

#include <wdm.h>

EXP_STATIC_ASSERT(EXP_POOL_IRQL_PASSIVE == PASSIVE_LEVEL, "spec/api.md 1.10");
EXP_STATIC_ASSERT(EXP_POOL_IRQL_APC == APC_LEVEL, "spec/api.md 1.10");
EXP_STATIC_ASSERT(EXP_POOL_IRQL_DISPATCH == DISPATCH_LEVEL, "spec/api.md 1.10");

static void set(KIRQL level)
{
    struct exp_owner *owner = exp_owner_enter();
    owner->irql = level;
    exp_owner_block(owner, 0, level > exp_pool_irql_max(EXP_POOL_NONPAGED));
    exp_owner_block(owner, 1, level > exp_pool_irql_max(EXP_POOL_PAGED));
    exp_owner_leave(owner);
}

EXP_EXPORT KIRQL KeGetCurrentIrql(VOID)
{
    return (KIRQL)exp_pool_irql();
}

EXP_EXPORT VOID KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql)
{
    const void *caller = __builtin_return_address(0);
    struct exp_stop_about about = { .caller = caller };
    KIRQL old = KeGetCurrentIrql();
    if (NewIrql < old) {
        exp_stop_now(
            EXP_STOP_IRQL_NOT_GREATER_OR_EQUAL, NewIrql, old, 0, (uintptr_t)caller, &about);
    }
    *OldIrql = old;
    set(NewIrql);
}

EXP_EXPORT VOID KeLowerIrql(KIRQL NewIrql)
{
    const void *caller = __builtin_return_address(0);
    struct exp_stop_about about = { .caller = caller };
    KIRQL old = KeGetCurrentIrql();
    if (NewIrql > old) {
        exp_stop_now(EXP_STOP_IRQL_NOT_LESS_OR_EQUAL, NewIrql, old, 0, (uintptr_t)caller, &about);
    }
    set(NewIrql);
}

EXP_EXPORT KIRQL KeRaiseIrqlToDpcLevel(VOID)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    return old;
}
