/* SPDX-License-Identifier: MIT */
/*
 * PEPROCESS: which process is current for a thread, and the routines that charge one by hand.
 *
 * The current process lies in the owner. A thread whose owner cannot be made shares one and stays
 * in System: it could not remember. A thread holds a reference to the process it is in.
 */
#include "front/pool.h"
#include "front/seh.h"

#include <wdm.h>

EXP_EXPORT PEPROCESS PsInitialSystemProcess = &exp_quota_system;

EXP_EXPORT struct expool_process *expool_process_create(const char *name,
                                                        size_t paged_quota_bytes,
                                                        size_t nonpaged_quota_bytes)
{
    exp_owner_notice();
    if (exp_range.bytes == 0) {
        return NULL;
    }
    return exp_quota_create(name, paged_quota_bytes, nonpaged_quota_bytes);
}

EXP_EXPORT void expool_process_release(struct expool_process *process)
{
    exp_owner_notice();
    exp_quota_release(process);
}

EXP_EXPORT struct expool_process *expool_process_idle(void)
{
    return &exp_quota_idle;
}

EXP_EXPORT struct expool_process *expool_process_enter(struct expool_process *process)
{
    struct expool_process *former = NULL;
    struct exp_owner *owner = exp_owner_enter();
    if (owner == exp_port_owner()) {
        former = owner->process;
        if (process != NULL) {
            exp_quota_hold(process);
        }
        exp_atomic_store_release(&owner->process, process);
    }
    exp_owner_leave(owner);
    if (former != NULL) {
        exp_quota_release(former);
    }
    return former;
}

EXP_EXPORT void expool_process_usage(const struct expool_process *process,
                                     struct expool_usage *usage)
{
    exp_owner_notice(); /* in a copy of the process, lost threads let go first */
    usage->nonpaged_bytes = exp_atomic_load(&process->used_bytes[0]);
    usage->paged_bytes = exp_atomic_load(&process->used_bytes[1]);
    usage->references = exp_atomic_load(&process->references);
}

EXP_EXPORT PEPROCESS PsGetCurrentProcess(VOID)
{
    return exp_owner_process();
}

static NTSTATUS charge(PEPROCESS process, POOL_TYPE type, ULONG_PTR amount)
{
    unsigned column = ((uint32_t)type & PagedPool) != 0;
    return process->everlasting || exp_quota_charge(process, column, amount)
               ? STATUS_SUCCESS
               : STATUS_QUOTA_EXCEEDED;
}

EXP_EXPORT NTSTATUS PsChargeProcessPoolQuota(PEPROCESS Process,
                                             POOL_TYPE PoolType,
                                             ULONG_PTR Amount)
{
    return charge(Process, PoolType, Amount);
}

EXP_EXPORT VOID PsChargePoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount)
{
    NTSTATUS status = charge(Process, PoolType, Amount);
    if (!NT_SUCCESS(status)) {
        struct exp_stop_about about = { .size_bytes = Amount,
                                        .caller = __builtin_return_address(0) };
        exp_seh_raise((uint32_t)status, about.caller, &about);
    }
}

EXP_EXPORT VOID PsReturnPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount)
{
    unsigned column = ((uint32_t)PoolType & PagedPool) != 0;
    if (!Process->everlasting && exp_quota_return(Process, column, Amount) != 0) {
        struct exp_stop_about about = { .size_bytes = Amount,
                                        .caller = __builtin_return_address(0) };
        exp_seh_raise((uint32_t)STATUS_QUOTA_EXCEEDED, about.caller, &about);
    }
}
