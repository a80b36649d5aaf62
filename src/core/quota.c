/* SPDX-License-Identifier: MIT */
/*
 * This file owns the counters of processes. A charge is one compare-and-swap against the limit, so
 * eight threads at one limit never pass it, not even for a moment; a return never goes below zero.
 *
 * System and Idle are always there and have no references. In the copy of a process a charge that
 * another thread had just made for a block it did not finish stays charged: that thread is gone.
 *
 * It does not know blocks, threads or who is current.
 */
#include "core/quota.h"

#include "base/atomic.h"

struct expool_process exp_quota_system = {
    .limit_bytes = { UINT64_MAX, UINT64_MAX },
    .name = "System",
    .everlasting = true,
};

struct expool_process exp_quota_idle = {
    .limit_bytes = { UINT64_MAX, UINT64_MAX },
    .name = "Idle",
    .everlasting = true,
};

struct expool_process *exp_quota_create(const char *name, size_t paged_bytes, size_t nonpaged_bytes)
{
    struct expool_process *process = exp_range_heap_take(EXP_RANGE_KEPT, sizeof(*process));
    if (process == NULL) {
        return NULL;
    }
    size_t length = 0;
    while (name != NULL && name[length] != '\0' && length < EXP_QUOTA_NAME_BYTES - 1) {
        process->name[length] = name[length];
        length++;
    }
    process->limit_bytes[0] = nonpaged_bytes == SIZE_MAX ? UINT64_MAX : nonpaged_bytes;
    process->limit_bytes[1] = paged_bytes == SIZE_MAX ? UINT64_MAX : paged_bytes;
    process->references = 1;
    process->mark = EXP_QUOTA_MARK;
    return process;
}

bool exp_quota_known(const struct expool_process *process)
{
    size_t head_bytes = (exp_range.chunk_first * exp_range.chunk_pages) << EXP_PAGE_SHIFT;
    return exp_range_offset(process) < head_bytes && (uintptr_t)process % EXP_LINE_BYTES == 0 &&
           process->mark == EXP_QUOTA_MARK;
}

void exp_quota_hold(struct expool_process *process)
{
    if (!process->everlasting) {
        (void)exp_atomic_add(&process->references, 1);
    }
}

void exp_quota_release(struct expool_process *process)
{
    if (!process->everlasting && exp_atomic_sub_release(&process->references, 1) == 1) {
        process->mark = 0;
        exp_range_heap_give(EXP_RANGE_KEPT, process, sizeof(*process));
    }
}

bool exp_quota_charge(struct expool_process *process, unsigned column, uint64_t bytes)
{
    uint64_t limit = process->limit_bytes[column];
    uint64_t used = exp_atomic_load(&process->used_bytes[column]);
    do {
        if (bytes > limit || used > limit - bytes) {
            return false;
        }
    } while (!exp_atomic_try_swap(&process->used_bytes[column], &used, used + bytes));
    return true;
}

uint64_t exp_quota_return(struct expool_process *process, unsigned column, uint64_t bytes)
{
    uint64_t used = exp_atomic_load(&process->used_bytes[column]);
    do {
        if (bytes > used) {
            return bytes - used;
        }
    } while (!exp_atomic_try_swap(&process->used_bytes[column], &used, used - bytes));
    return 0;
}
