/* SPDX-License-Identifier: MIT */
/*
 * How one call of an allocating routine ends: a block, NULL, a raise or a stop; and the processes
 * that pay.
 *
 * door_try runs a routine inside a guarded block inside the net for stops, so that a test can say
 * which of the four it expects. A door takes what its routine takes, the bits being a POOL_TYPE or
 * POOL_FLAGS.
 */
#ifndef EXP_DDI_DOORS_H
#define EXP_DDI_DOORS_H

#include "ddi_test.h"

typedef void *door(uint64_t bits, size_t bytes, uint32_t tag);

struct door_end {
    void *block;
    NTSTATUS raised; /* STATUS_SUCCESS: nothing was raised */
    struct ddi_stop stop;
};

#define DOOR(name, call)                                                                           \
    __attribute__((unused)) static void *name(uint64_t bits, size_t bytes, uint32_t tag)           \
    {                                                                                              \
        return ddi_opaque(call);                                                                   \
    }

DOOR(door_pool2, ExAllocatePool2(bits, bytes, tag))
DOOR(door_pool3, ExAllocatePool3(bits, bytes, tag, NULL, 0))
DOOR(door_with_tag, ExAllocatePoolWithTag((POOL_TYPE)bits, bytes, tag))
DOOR(door_zero, ExAllocatePoolZero((POOL_TYPE)bits, bytes, tag))
DOOR(door_uninitialized, ExAllocatePoolUninitialized((POOL_TYPE)bits, bytes, tag))
DOOR(door_quota_tag, ExAllocatePoolWithQuotaTag((POOL_TYPE)bits, bytes, tag))
DOOR(door_quota_zero, ExAllocatePoolQuotaZero((POOL_TYPE)bits, bytes, tag))
DOOR(door_quota_uninitialized, ExAllocatePoolQuotaUninitialized((POOL_TYPE)bits, bytes, tag))
DOOR(door_low, ExAllocatePoolWithTagPriority((POOL_TYPE)bits, bytes, tag, LowPoolPriority))
DOOR(door_normal, ExAllocatePoolWithTagPriority((POOL_TYPE)bits, bytes, tag, NormalPoolPriority))
DOOR(door_high, ExAllocatePoolWithTagPriority((POOL_TYPE)bits, bytes, tag, HighPoolPriority))
DOOR(door_low_zero, ExAllocatePoolPriorityZero((POOL_TYPE)bits, bytes, tag, LowPoolPriority))
DOOR(door_low_uninitialized,
     ExAllocatePoolPriorityUninitialized((POOL_TYPE)bits, bytes, tag, LowPoolPriority))
/* These two know their tag: None. */
DOOR(door_pool, ((void)tag, (ExAllocatePool)((POOL_TYPE)bits, bytes)))
DOOR(door_quota, ((void)tag, (ExAllocatePoolWithQuota)((POOL_TYPE)bits, bytes)))

/* The call inside a guarded block. */
__attribute__((unused)) static struct door_end door_guarded(door *call,
                                                            uint64_t bits,
                                                            size_t bytes,
                                                            uint32_t tag)
{
    void *volatile block = NULL;
    volatile NTSTATUS raised = STATUS_SUCCESS;

    __try {
        block = call(bits, ddi_size(bytes), tag);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        raised = GetExceptionCode();
    }
    return (struct door_end){ .block = block, .raised = raised };
}

__attribute__((unused)) static struct door_end door_try(door *call,
                                                        uint64_t bits,
                                                        size_t bytes,
                                                        uint32_t tag)
{
    volatile struct door_end end = { 0 };
    struct ddi_stop stop;

    DDI_CATCH(&stop, {
        struct door_end inner = door_guarded(call, bits, bytes, tag);
        end.block = inner.block;
        end.raised = inner.raised;
    });
    return (struct door_end){ .block = end.block, .raised = end.raised, .stop = stop };
}

#define DOOR_GIVES_NULL(end)     door_fails(__FILE__, __LINE__, (end), STATUS_SUCCESS)
#define DOOR_RAISES(end, status) door_fails(__FILE__, __LINE__, (end), (status))
#define DOOR_GIVES_BLOCK(end)    door_serves(__FILE__, __LINE__, (end))

/* No block, no stop, and just this raise; STATUS_SUCCESS: none. */
__attribute__((unused)) static bool door_fails(const char *file,
                                               int line,
                                               struct door_end end,
                                               NTSTATUS status)
{
    bool right = ddi_no_stop(file, line, &end.stop);

    right = ddi_equal(file, line, "block", 0, (uintptr_t)end.block) && right;
    return ddi_equal(file, line, "raised", (uint32_t)status, (uint32_t)end.raised) && right;
}

__attribute__((unused)) static bool door_serves(const char *file, int line, struct door_end end)
{
    bool right = ddi_no_stop(file, line, &end.stop);

    right = ddi_equal(file, line, "raised", STATUS_SUCCESS, (uint32_t)end.raised) && right;
    return ddi_true(file, line, "block != NULL", end.block != NULL) && right;
}

/* ---- processes ------------------------------------------------------------------------------- */

__attribute__((unused)) static struct expool_usage door_usage(const struct expool_process *process)
{
    struct expool_usage usage;

    expool_process_usage(process, &usage);
    return usage;
}

/* A process that is current for this thread; door_process_end undoes both. */
__attribute__((unused)) static struct expool_process *door_process(size_t paged, size_t nonpaged)
{
    struct expool_process *process = expool_process_create("payer", paged, nonpaged);

    if (!ddi_true(__FILE__, __LINE__, "a process", process != NULL)) {
        exit(1);
    }
    (void)expool_process_enter(process);
    return process;
}

/* All that was charged is back and nobody but the creator and this thread holds it. */
__attribute__((unused)) static void door_process_end(struct expool_process *process)
{
    struct expool_usage usage;

    (void)expool_process_enter(NULL);
    usage = door_usage(process);
    ddi_equal(__FILE__, __LINE__, "paged bytes at the end", 0, usage.paged_bytes);
    ddi_equal(__FILE__, __LINE__, "nonpaged bytes at the end", 0, usage.nonpaged_bytes);
    ddi_equal(__FILE__, __LINE__, "references at the end", 1, usage.references);
    expool_process_release(process);
}

#endif
