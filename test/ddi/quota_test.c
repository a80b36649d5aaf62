/* SPDX-License-Identifier: MIT */
/*
 * Quota (api 36, 37, 61 to 77, 104): who pays, how much, what a refusal leaves, and how long a
 * process object lives.
 *
 * What a block costs is compared with the held bytes of its tag's row, which count the same bytes
 * (spec/api.md 4, 9.17). Every test ends with all processes uncharged and held by nobody but their
 * creator.
 */
#include "doors.h"

#include <pthread.h>
#include <sys/wait.h>

enum {
    TAG = 'touQ',
    OTHER_TAG = 'rhtO',
    PROTECTED_TAG = (int)('torP' | PROTECTED_POOL)
};

static const size_t charged_sizes[] = { 0, 1, 16, 100, 600, 1024, 2048, 2049, 3000, 4080, 4095 };

/* Bytes a process is charged with for one kind of pool: column 0 nonpaged, 1 paged. */
static uint64_t charged(const struct expool_process *process, uint32_t column)
{
    struct expool_usage usage = door_usage(process);

    return column != 0 ? usage.paged_bytes : usage.nonpaged_bytes;
}

/* A block costs exactly what its row counts, in its column only, and gives it back. */
static void costs_what_it_holds(
    struct expool_process *process, door *call, uint64_t bits, uint32_t column, size_t bytes)
{
    uint64_t held_before = ddi_row(TAG, column).bytes;
    struct door_end end = door_try(call, bits, bytes, TAG);
    uint64_t held = ddi_row(TAG, column).bytes - held_before;

    if (!DOOR_GIVES_BLOCK(end)) {
        return;
    }
    DDI_TRUE_FOR(held >= bytes && held <= 4096, bytes);
    DDI_EQUAL(held, charged(process, column));
    DDI_EQUAL(0, charged(process, 1 - column));
    DDI_EQUAL(3, door_usage(process).references);
    ddi_opaque(memset(end.block, 0x5A, bytes));
    ExFreePoolWithTag(end.block, TAG);
    DDI_EQUAL(0, charged(process, column));
    DDI_EQUAL(2, door_usage(process).references);
    DDI_EQUAL(held_before, ddi_row(TAG, column).bytes);
}

static void test_quota_block_costs_what_it_holds_and_returns_it(void)
{
    static const struct {
        door *call;
        uint64_t bits;
        uint32_t column;
    } doors[] = {
        { door_quota_tag, NonPagedPoolNx, 0 },
        { door_quota_tag, NonPagedPoolExecute, 0 },
        { door_quota_tag, PagedPool, 1 },
        { door_quota_tag, PagedPoolCacheAligned, 1 },
        { door_quota_tag, NonPagedPoolNxCacheAligned, 0 },
        { door_quota_tag, NonPagedPoolSessionNx, 0 },
        { door_quota_tag, PagedPoolSession, 1 },
        { door_quota_tag, PagedPool | POOL_COLD_ALLOCATION, 1 },
        { door_quota_zero, PagedPool, 1 },
        { door_quota_uninitialized, NonPagedPoolNx, 0 },
    };
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);

    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); ++i) {
        for (size_t j = 0; j < sizeof(charged_sizes) / sizeof(charged_sizes[0]); ++j) {
            costs_what_it_holds(
                process, doors[i].call, doors[i].bits, doors[i].column, charged_sizes[j]);
        }
    }
    door_process_end(process);
}

static void test_pool2_use_quota_charges_and_returns(void)
{
    static const struct {
        POOL_FLAGS flags;
        uint32_t column;
    } kinds[] = {
        { POOL_FLAG_NON_PAGED, 0 },
        { POOL_FLAG_NON_PAGED_EXECUTE, 0 },
        { POOL_FLAG_PAGED, 1 },
        { POOL_FLAG_PAGED | POOL_FLAG_CACHE_ALIGNED, 1 },
        { POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, 1 },
        { POOL_FLAG_NON_PAGED | POOL_FLAG_SESSION, 0 },
        { POOL_FLAG_PAGED | POOL_FLAG_SESSION | POOL_FLAG_CACHE_ALIGNED, 1 },
    };
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        for (size_t j = 0; j < sizeof(charged_sizes) / sizeof(charged_sizes[0]); ++j) {
            POOL_FLAGS flags = kinds[i].flags | POOL_FLAG_USE_QUOTA;

            costs_what_it_holds(process, door_pool2, flags, kinds[i].column, charged_sizes[j]);
            costs_what_it_holds(process, door_pool3, flags, kinds[i].column, charged_sizes[j]);
        }
    }
    door_process_end(process);
}

/* Blocks of one size up to a limit of exactly so many; one more is refused in every way. */
static void fill_the_quota(door *call, uint64_t bits, uint64_t quiet, uint64_t loud, size_t bytes)
{
    enum {
        BLOCKS = 5
    };
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    uint32_t column = bits == PagedPool || (bits & POOL_FLAG_PAGED) != 0;
    void *block[BLOCKS];
    uint64_t cost;

    block[0] = door_try(call, bits | quiet, bytes, TAG).block;
    cost = charged(process, column);
    ExFreePoolWithTag(block[0], TAG);
    door_process_end(process);

    process = door_process((size_t)cost * BLOCKS, (size_t)cost * BLOCKS);
    for (int i = 0; i < BLOCKS; ++i) {
        struct door_end end = door_try(call, bits | quiet, bytes, TAG);

        DOOR_GIVES_BLOCK(end);
        block[i] = end.block;
    }
    DDI_EQUAL(cost * BLOCKS, charged(process, column));
    DOOR_GIVES_NULL(door_try(call, bits | quiet, bytes, TAG));
    DOOR_RAISES(door_try(call, bits | loud, bytes, TAG), STATUS_QUOTA_EXCEEDED);
    DOOR_GIVES_NULL(door_try(call, bits | quiet, 1, TAG)); /* not even one byte */
    DDI_EQUAL(cost * BLOCKS, charged(process, column));
    DDI_EQUAL(2 + BLOCKS, door_usage(process).references);
    DDI_EQUAL(BLOCKS, ddi_live(TAG, column));

    ExFreePoolWithTag(block[2], TAG);
    block[2] = door_try(call, bits | loud, bytes, TAG).block;
    DDI_TRUE(block[2] != NULL);
    for (int i = 0; i < BLOCKS; ++i) {
        ExFreePoolWithTag(block[i], TAG);
    }
    door_process_end(process);
}

static void test_quota_over_the_limit_raises_or_gives_null(void)
{
    static const size_t sizes[] = { 16, 100, 3000, 4095 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        fill_the_quota(door_quota_tag, PagedPool, POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 0, sizes[i]);
        fill_the_quota(
            door_quota_tag, NonPagedPoolNx, POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 0, sizes[i]);
        fill_the_quota(door_quota_zero, PagedPool, POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 0, sizes[i]);
        /* Bits 8 and 16: the refused charge is quiet. */
        fill_the_quota(door_quota_tag,
                       PagedPool,
                       POOL_QUOTA_FAIL_INSTEAD_OF_RAISE | POOL_RAISE_IF_ALLOCATION_FAILURE,
                       POOL_RAISE_IF_ALLOCATION_FAILURE,
                       sizes[i]);
    }
}

static void test_pool2_use_quota_over_the_limit_gives_null_or_raises(void)
{
    static const size_t sizes[] = { 16, 100, 3000, 4095 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        fill_the_quota(door_pool2,
                       POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA,
                       0,
                       POOL_FLAG_RAISE_ON_FAILURE,
                       sizes[i]);
        fill_the_quota(door_pool3,
                       POOL_FLAG_NON_PAGED | POOL_FLAG_USE_QUOTA,
                       0,
                       POOL_FLAG_RAISE_ON_FAILURE,
                       sizes[i]);
    }
}

static void *free_in_thread(void *block)
{
    DDI_EQUAL((uintptr_t)PsInitialSystemProcess, (uintptr_t)PsGetCurrentProcess());
    ExFreePoolWithTag(block, TAG);
    return NULL;
}

static void test_quota_returns_to_the_payer_whoever_frees(void)
{
    struct expool_process *payer = door_process(SIZE_MAX, SIZE_MAX);
    void *mine = door_try(door_quota_tag, PagedPool, 100, TAG).block;
    void *theirs = door_try(door_quota_tag, NonPagedPoolNx, 3000, TAG).block;
    struct expool_process *other = expool_process_create("other", SIZE_MAX, SIZE_MAX);
    pthread_t thread;

    DDI_TRUE(other != NULL && mine != NULL && theirs != NULL);
    DDI_EQUAL((uintptr_t)payer, (uintptr_t)expool_process_enter(other));
    DDI_TRUE(charged(payer, 0) >= 3000 && charged(payer, 1) >= 100);
    DDI_EQUAL(3, door_usage(payer).references); /* creator and two blocks */
    ExFreePoolWithTag(mine, TAG);
    DDI_EQUAL(0, charged(payer, 1));
    DDI_EQUAL(0, charged(other, 1));
    DDI_EQUAL(0, pthread_create(&thread, NULL, free_in_thread, theirs));
    pthread_join(thread, NULL);
    DDI_EQUAL(0, charged(payer, 0));
    DDI_EQUAL(0, charged(other, 0));
    door_process_end(other);
    door_process_end(payer);
}

/* Free by every routine, also the one that knows no tag. */
static void test_quota_is_returned_by_every_free_routine(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);

    for (int routine = 0; routine < 4; ++routine) {
        void *block = door_try(door_quota_tag, PagedPool, 200, TAG).block;

        DDI_TRUE_FOR(charged(process, 1) >= 200, routine);
        if (routine == 0) {
            ExFreePool(block);
        } else if (routine == 1) {
            ExFreePoolWithTag(block, TAG);
        } else if (routine == 2) {
            ExFreePoolWithTag(block, 0);
        } else {
            ExFreePool2(block, TAG, NULL, 0);
        }
        DDI_EQUAL(0, charged(process, 1));
    }
    door_process_end(process);
}

static void test_quota_block_holds_a_reference(void)
{
    enum {
        BLOCKS = 300
    };
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    void *block[BLOCKS];

    for (int i = 0; i < BLOCKS; ++i) {
        block[i] = door_try(door_quota_tag, PagedPool, (size_t)i * 13, TAG).block;
        DDI_EQUAL(2 + i + 1, door_usage(process).references);
    }
    for (int i = 0; i < BLOCKS; ++i) {
        ExFreePoolWithTag(block[i], TAG);
        DDI_EQUAL(2 + BLOCKS - i - 1, door_usage(process).references);
    }
    door_process_end(process);
}

static void test_quota_page_and_more_is_not_charged(void)
{
    static const size_t sizes[] = { 4096, 4097, 5000, 8192, 65536, 100000, 1 << 20 };
    struct expool_process *process = door_process(0, 0);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        for (int paged = 0; paged < 2; ++paged) {
            struct door_end end =
                door_try(door_quota_tag, paged ? PagedPool : NonPagedPoolNx, sizes[i], TAG);
            BOOLEAN charge = TRUE;

            DOOR_GIVES_BLOCK(end);
            DDI_EQUAL(0, (uintptr_t)end.block % 4096);
            DDI_EQUAL(0, charged(process, 0) + charged(process, 1));
            DDI_EQUAL(2, door_usage(process).references);
            DDI_TRUE_FOR(ExQueryPoolBlockSize(end.block, &charge) >= sizes[i], sizes[i]);
            DDI_EQUAL(FALSE, charge);
            ExFreePoolWithTag(end.block, TAG);
        }
    }
    door_process_end(process);
}

static void test_quota_page_less_one_is_charged_within_one_page(void)
{
    struct expool_process *process = door_process(4096, 4096);
    struct door_end end = door_try(door_quota_tag, PagedPool, 4095, TAG);

    if (DOOR_GIVES_BLOCK(end)) {
        uintptr_t first = (uintptr_t)end.block;

        DDI_EQUAL(first / 4096, (first + 4094) / 4096);
        DDI_EQUAL(4096, charged(process, 1));
        DOOR_RAISES(door_try(door_quota_tag, PagedPool, 1, TAG), STATUS_QUOTA_EXCEEDED);
        ExFreePoolWithTag(end.block, TAG);
    }
    door_process_end(process);
}

static void test_query_block_size_knows_quota(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    void *paid = door_try(door_quota_tag, PagedPool, 16, TAG).block;
    void *free_of_charge = door_try(door_with_tag, PagedPool, 16, TAG).block;
    BOOLEAN charge = FALSE;

    DDI_TRUE(ExQueryPoolBlockSize(paid, &charge) >= 16);
    DDI_EQUAL(TRUE, charge);
    DDI_TRUE(ExQueryPoolBlockSize(free_of_charge, &charge) >= 16);
    DDI_EQUAL(FALSE, charge);
    ExFreePoolWithTag(paid, TAG);
    ExFreePoolWithTag(free_of_charge, TAG);
    door_process_end(process);
}

/* Allocate until memory is refused; how that shows is returned. Nothing else may have changed. */
static struct door_end until_no_memory(struct expool_process *process, door *call, uint64_t bits)
{
    enum {
        BLOCKS = 4096
    };
    static void *block[BLOCKS];
    struct door_end end = { 0 };
    size_t count = 0;
    struct expool_usage usage;
    uint64_t allocs;

    (void)expool_set("front_cache", "0");
    expool_trim();
    (void)expool_set("paged_limit", "0");
    do {
        usage = door_usage(process);
        allocs = ddi_row(TAG, 1).allocs;
        end = door_try(call, bits, 3000, TAG);
        block[count] = end.block;
    } while (end.block != NULL && ++count < BLOCKS);
    DDI_TRUE(count < BLOCKS);
    DDI_EQUAL(usage.paged_bytes, door_usage(process).paged_bytes);
    DDI_EQUAL(usage.references, door_usage(process).references);
    DDI_EQUAL(allocs, ddi_row(TAG, 1).allocs);
    (void)expool_set("paged_limit", "unlimited");
    for (size_t i = 0; i < count; ++i) {
        ExFreePoolWithTag(block[i], TAG);
    }
    (void)expool_set("front_cache", "1");
    return end;
}

static void test_quota_without_memory_raises_or_gives_null(void)
{
    static const uint64_t quiet = POOL_QUOTA_FAIL_INSTEAD_OF_RAISE;
    static const uint64_t both =
        POOL_QUOTA_FAIL_INSTEAD_OF_RAISE | POOL_RAISE_IF_ALLOCATION_FAILURE;
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);

    DOOR_RAISES(until_no_memory(process, door_quota_tag, PagedPool), STATUS_INSUFFICIENT_RESOURCES);
    DOOR_RAISES(
        until_no_memory(process, door_quota_tag, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE),
        STATUS_INSUFFICIENT_RESOURCES);
    DOOR_GIVES_NULL(until_no_memory(process, door_quota_tag, PagedPool | quiet));
    DOOR_RAISES(until_no_memory(process, door_quota_tag, PagedPool | both),
                STATUS_INSUFFICIENT_RESOURCES);
    DOOR_GIVES_NULL(until_no_memory(process, door_pool2, POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA));
    DOOR_RAISES(until_no_memory(process,
                                door_pool2,
                                POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA | POOL_FLAG_RAISE_ON_FAILURE),
                STATUS_INSUFFICIENT_RESOURCES);
    door_process_end(process);
}

static void test_quota_bits_8_and_16_each_govern_their_own_check(void)
{
    static const uint64_t both =
        POOL_QUOTA_FAIL_INSTEAD_OF_RAISE | POOL_RAISE_IF_ALLOCATION_FAILURE;
    struct expool_process *process = door_process(64, 64);

    DOOR_GIVES_NULL(door_try(door_quota_tag, PagedPool | both, 100, TAG));
    DOOR_RAISES(door_try(door_quota_tag, PagedPool | both, SIZE_MAX, TAG),
                STATUS_INSUFFICIENT_RESOURCES);
    DOOR_RAISES(door_try(door_quota_tag, PagedPool, SIZE_MAX, TAG), STATUS_INSUFFICIENT_RESOURCES);
    DOOR_GIVES_NULL(door_try(
        door_quota_tag, PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, SIZE_MAX / 2 + 1, TAG));
    door_process_end(process);
}

static void test_quota_system_never_pays(void)
{
    struct expool_usage before = door_usage((struct expool_process *)PsInitialSystemProcess);
    struct expool_usage after;
    struct door_end end;

    (void)expool_process_enter(NULL);
    DDI_EQUAL((uintptr_t)PsInitialSystemProcess, (uintptr_t)PsGetCurrentProcess());
    end = door_try(door_quota_tag, PagedPool, 1000, TAG);
    DOOR_GIVES_BLOCK(end);
    if (end.block != NULL) {
        BOOLEAN charge = TRUE;

        (void)ExQueryPoolBlockSize(end.block, &charge);
        DDI_EQUAL(FALSE, charge);
    }
    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)PsChargeProcessPoolQuota(PsInitialSystemProcess, PagedPool, SIZE_MAX));
    PsReturnPoolQuota(PsInitialSystemProcess, PagedPool, 1);
    PsChargePoolQuota(PsInitialSystemProcess, NonPagedPoolNx, SIZE_MAX);
    after = door_usage((struct expool_process *)PsInitialSystemProcess);
    DDI_EQUAL(0, memcmp(&before, &after, sizeof(before)));
    ExFreePoolWithTag(end.block, TAG);
}

static void test_quota_idle_does_not_pay_without_the_verifier(void)
{
    struct door_end end;

    DDI_EQUAL(0, (uintptr_t)expool_process_enter(expool_process_idle()));
    DDI_EQUAL((uintptr_t)expool_process_idle(), (uintptr_t)PsGetCurrentProcess());
    end = door_try(door_quota_tag, PagedPool, 1000, TAG);
    DOOR_GIVES_BLOCK(end);
    DDI_EQUAL(0, door_usage(expool_process_idle()).paged_bytes);
    ExFreePoolWithTag(end.block, TAG);
    DDI_EQUAL((uintptr_t)expool_process_idle(), (uintptr_t)expool_process_enter(NULL));
}

static void test_quota_paged_and_nonpaged_are_apart(void)
{
    struct expool_process *process = door_process(200, SIZE_MAX);
    void *nonpaged = door_try(door_quota_tag, NonPagedPoolNx, 4000, TAG).block;
    void *executable = door_try(door_quota_tag, NonPagedPoolExecute, 4000, TAG).block;
    void *paged = door_try(door_quota_tag, PagedPool, 64, TAG).block;

    DDI_TRUE(nonpaged != NULL && executable != NULL && paged != NULL);
    DDI_TRUE(charged(process, 0) >= 8000 && charged(process, 1) < 200);
    DOOR_RAISES(door_try(door_quota_tag, PagedPool, 400, TAG), STATUS_QUOTA_EXCEEDED);
    ExFreePool(nonpaged);
    DOOR_RAISES(door_try(door_quota_tag, PagedPool, 400, TAG), STATUS_QUOTA_EXCEEDED);
    ExFreePool(paged);
    DDI_EQUAL(0, charged(process, 1));
    DDI_TRUE(charged(process, 0) >= 4000);
    ExFreePool(executable);
    door_process_end(process);
}

static void test_with_quota_is_with_quota_tag_under_none(void)
{
    struct expool_process *process = door_process(100, 100);
    uint64_t live = ddi_live('enoN', 1);
    struct door_end end = door_try(door_quota, PagedPool, 50, 0);

    DOOR_GIVES_BLOCK(end);
    DDI_EQUAL(live + 1, ddi_live('enoN', 1));
    DDI_TRUE(charged(process, 1) >= 50);
    DOOR_RAISES(door_try(door_quota, PagedPool, 90, 0), STATUS_QUOTA_EXCEEDED);
    DOOR_GIVES_NULL(door_try(door_quota, PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 90, 0));
    DOOR_RAISES(door_try(door_quota, PagedPool, SIZE_MAX, 0), STATUS_INSUFFICIENT_RESOURCES);
    ExFreePoolWithTag(end.block, 'enoN');
    door_process_end(process);
}

/* Dirt in recycled memory does not show through QuotaZero. */
static void test_quota_zero_zeroes_recycled_memory(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);

    for (size_t i = 0; i < sizeof(charged_sizes) / sizeof(charged_sizes[0]); ++i) {
        size_t bytes = charged_sizes[i];
        void *block = door_try(door_quota_uninitialized, PagedPool, bytes, TAG).block;

        memset(block, 0xEE, bytes);
        ExFreePool(block);
        block = door_try(door_quota_zero, PagedPool, bytes, TAG).block;
        DDI_TRUE_FOR(ddi_all_bytes(block, bytes, 0), bytes);
        memset(block, 0xEE, bytes);
        ExFreePool(block);
        block = door_try(door_pool2, POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, bytes, TAG).block;
        DDI_TRUE_FOR(ddi_all_bytes(block, bytes, 0), bytes);
        ExFreePool(block);
    }
    door_process_end(process);
}

static void test_quota_wrappers_keep_the_raising_rules(void)
{
    static door *const wrappers[] = { door_quota_zero, door_quota_uninitialized };
    struct expool_process *process = door_process(10, 10);

    for (int i = 0; i < 2; ++i) {
        DOOR_RAISES(door_try(wrappers[i], PagedPool, 100, TAG), STATUS_QUOTA_EXCEEDED);
        DOOR_RAISES(door_try(wrappers[i], PagedPool, SIZE_MAX, TAG), STATUS_INSUFFICIENT_RESOURCES);
        DOOR_GIVES_NULL(
            door_try(wrappers[i], PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 100, TAG));
        DOOR_GIVES_NULL(
            door_try(wrappers[i], PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, SIZE_MAX, TAG));
    }
    door_process_end(process);
}

static void test_quota_at_dispatch_only_nonpaged_succeeds(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    struct door_end end;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    end = door_try(door_quota_tag, NonPagedPoolNx, 100, TAG);
    DOOR_GIVES_BLOCK(end);
    DDI_TRUE(charged(process, 0) >= 100);
    ExFreePoolWithTag(end.block, TAG);
    DDI_EQUAL(0, charged(process, 0));
    end = door_try(door_quota_tag, PagedPool, 100, TAG);
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, 100);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(old);
    door_process_end(process);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static NTSTATUS raised_by_charge(PEPROCESS process, POOL_TYPE type, ULONG_PTR amount)
{
    volatile NTSTATUS raised = STATUS_SUCCESS;

    __try {
        PsChargePoolQuota(process, type, amount);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        raised = GetExceptionCode();
    }
    return raised;
}

static NTSTATUS raised_by_return(PEPROCESS process, POOL_TYPE type, ULONG_PTR amount)
{
    volatile NTSTATUS raised = STATUS_SUCCESS;

    __try {
        PsReturnPoolQuota(process, type, amount);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        raised = GetExceptionCode();
    }
    return raised;
}

static void test_charge_by_hand_over_the_limit_raises_and_charges_nothing(void)
{
    struct expool_process *process = expool_process_create("payer", 1000, 500);

    DDI_EQUAL((uint32_t)STATUS_SUCCESS, (uint32_t)raised_by_charge(process, PagedPool, 600));
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED, (uint32_t)raised_by_charge(process, PagedPool, 401));
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED,
              (uint32_t)raised_by_charge(process, PagedPool, SIZE_MAX));
    DDI_EQUAL(600, charged(process, 1));
    DDI_EQUAL((uint32_t)STATUS_SUCCESS, (uint32_t)raised_by_charge(process, PagedPool, 400));
    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)raised_by_charge(process, NonPagedPoolNxCacheAligned, 500));
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED,
              (uint32_t)raised_by_charge(process, NonPagedPoolExecute, 1));
    DDI_EQUAL(1000, charged(process, 1));
    DDI_EQUAL(500, charged(process, 0));
    DDI_EQUAL(1, door_usage(process).references);
    PsReturnPoolQuota(process, PagedPoolCacheAligned, 1000);
    PsReturnPoolQuota(process, NonPagedPoolNx, 500);
    door_process_end(process);
}

static void test_return_by_hand_beyond_the_charge_raises_and_returns_nothing(void)
{
    struct expool_process *process = expool_process_create("payer", 1000, 1000);

    PsChargePoolQuota(process, PagedPool, 300);
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED, (uint32_t)raised_by_return(process, PagedPool, 301));
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED,
              (uint32_t)raised_by_return(process, NonPagedPoolNx, 1));
    DDI_EQUAL(300, charged(process, 1));
    DDI_EQUAL((uint32_t)STATUS_SUCCESS, (uint32_t)raised_by_return(process, PagedPool, 300));
    DDI_EQUAL((uint32_t)STATUS_SUCCESS, (uint32_t)raised_by_return(process, PagedPool, 0));
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED, (uint32_t)raised_by_return(process, PagedPool, 1));
    door_process_end(process);
}

static void test_charge_by_hand_tells_by_status(void)
{
    struct expool_process *process = expool_process_create("payer", 1000, SIZE_MAX);

    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)PsChargeProcessPoolQuota(process, PagedPool, 1000));
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED,
              (uint32_t)PsChargeProcessPoolQuota(process, PagedPool, 1));
    DDI_EQUAL(1000, charged(process, 1));
    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)PsChargeProcessPoolQuota(process, NonPagedPoolNx, (size_t)1 << 40));
    DDI_EQUAL((uint64_t)1 << 40, charged(process, 0));
    PsReturnPoolQuota(process, PagedPool, 1000);
    PsReturnPoolQuota(process, NonPagedPoolNx, (size_t)1 << 40);
    door_process_end(process);
}

/* Blocks and charges by hand share one limit. */
static void test_charge_by_hand_and_blocks_share_the_limit(void)
{
    struct expool_process *process = door_process(4096, 4096);
    struct door_end end;

    PsChargePoolQuota(process, PagedPool, 4000);
    DOOR_RAISES(door_try(door_quota_tag, PagedPool, 100, TAG), STATUS_QUOTA_EXCEEDED);
    PsReturnPoolQuota(process, PagedPool, 4000);
    end = door_try(door_quota_tag, PagedPool, 4095, TAG);
    DOOR_GIVES_BLOCK(end);
    DDI_EQUAL((uint32_t)STATUS_QUOTA_EXCEEDED, (uint32_t)raised_by_charge(process, PagedPool, 1));
    ExFreePoolWithTag(end.block, TAG);
    door_process_end(process);
}

/* The charge of a block was returned by hand: its free finds it missing and changes nothing. */
static void test_free_that_finds_its_charge_missing_stops(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    void *block = door_try(door_quota_tag, PagedPool, 100, TAG).block;
    uint64_t cost = charged(process, 1);
    struct ddi_stop stop;

    PsReturnPoolQuota(process, PagedPool, cost - 10);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG));
    DDI_STOP(&stop, QUOTA_UNDERFLOW, (uintptr_t)process, 1, cost, cost - 10);
    DDI_EQUAL(10, charged(process, 1));
    DDI_EQUAL(3, door_usage(process).references);
    DDI_EQUAL(1, ddi_live(TAG, 1));
    PsChargePoolQuota(process, PagedPool, cost - 10);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG)); /* it is still there, and free to go */
    DDI_NO_STOP(&stop);
    DDI_EQUAL(0, ddi_live(TAG, 1));
    door_process_end(process);
}

/* ---- tags and wrong frees -------------------------------------------------------------------- */

static void test_quota_wrong_free_returns_nothing(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    void *block = door_try(door_quota_tag, PagedPool, 100, TAG).block;
    void *guarded = door_try(door_quota_tag, PagedPool, 100, (uint32_t)PROTECTED_TAG).block;
    uint64_t cost = charged(process, 1);
    struct ddi_stop stop;
    KIRQL old;

    DDI_CATCH(&stop, ExFreePoolWithTag(block, OTHER_TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x0A, (uintptr_t)block, (uint32_t)TAG, (uint32_t)OTHER_TAG);
    DDI_CATCH(&stop, ExFreePool(guarded));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x0A, (uintptr_t)guarded, (uint32_t)PROTECTED_TAG, 0);
    DDI_CATCH(&stop, ExFreePoolWithTag((char *)block + 16, TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block + 16, 0, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, DISPATCH_LEVEL, PagedPool, (uintptr_t)block);
    KeLowerIrql(old);
    DDI_EQUAL(cost, charged(process, 1));
    DDI_EQUAL(4, door_usage(process).references);
    ExFreePoolWithTag(block, TAG);
    ExFreePoolWithTag(guarded, (uint32_t)PROTECTED_TAG);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG)); /* twice */
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x07, 0, DDI_ANY, (uintptr_t)block);
    door_process_end(process);
}

/* ---- life of a process object ---------------------------------------------------------------- */

static void *hold_in_thread(void *process)
{
    void *block;

    DDI_EQUAL((uintptr_t)PsInitialSystemProcess, (uintptr_t)PsGetCurrentProcess());
    DDI_EQUAL(0, (uintptr_t)expool_process_enter(process));
    DDI_EQUAL((uintptr_t)process, (uintptr_t)PsGetCurrentProcess());
    DDI_EQUAL(2, door_usage(process).references);
    block = door_try(door_quota_tag, PagedPool, 100, TAG).block;
    DDI_EQUAL(3, door_usage(process).references);
    return block; /* the thread ends inside the process */
}

static void test_process_is_held_by_creator_threads_and_blocks(void)
{
    struct expool_process *process = expool_process_create("a name of more than 15", 1000, 1000);
    struct expool_process *other = expool_process_create(NULL, SIZE_MAX, SIZE_MAX);
    pthread_t thread;
    void *block;

    DDI_EQUAL(1, door_usage(process).references);
    DDI_EQUAL(0, pthread_create(&thread, NULL, hold_in_thread, process));
    pthread_join(thread, &block);
    DDI_EQUAL(2, door_usage(process).references); /* creator, block */
    DDI_TRUE(charged(process, 1) >= 100);

    DDI_EQUAL(0, (uintptr_t)expool_process_enter(process));
    DDI_EQUAL(3, door_usage(process).references);
    DDI_EQUAL((uintptr_t)process, (uintptr_t)expool_process_enter(process)); /* once more */
    DDI_EQUAL(3, door_usage(process).references);
    DDI_EQUAL((uintptr_t)process, (uintptr_t)expool_process_enter(other));
    DDI_EQUAL(2, door_usage(process).references);
    DDI_EQUAL((uintptr_t)other, (uintptr_t)expool_process_enter(NULL));

    expool_process_release(other);
    ExFreePoolWithTag(block, TAG);
    door_process_end(process);
}

/* The creator goes first: the last block takes the object along, and not before. */
static void test_process_outlives_its_creator_for_its_blocks(void)
{
    for (int round = 0; round < 1000; ++round) {
        struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
        void *first = door_try(door_quota_tag, PagedPool, 100, TAG).block;
        void *last = door_try(door_quota_tag, NonPagedPoolNx, 200, TAG).block;

        (void)expool_process_enter(NULL);
        expool_process_release(process);
        DDI_EQUAL(2, door_usage(process).references);
        ExFreePoolWithTag(first, TAG);
        DDI_EQUAL(1, door_usage(process).references);
        DDI_TRUE(charged(process, 0) >= 200);
        ExFreePoolWithTag(last, TAG);
    }
}

/* In the copy of a process: charges and holders as before, less the threads that are not there. */
static void test_process_is_whole_in_a_fork(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    void *block[100];
    int status = -1;
    pid_t child;

    for (int i = 0; i < 100; ++i) {
        block[i] = door_try(door_quota_tag, PagedPool, (size_t)i * 40, TAG).block;
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        ddi_failures = 0;
        DDI_EQUAL(102, door_usage(process).references);
        for (int i = 0; i < 100; ++i) {
            ExFreePoolWithTag(block[i], TAG);
        }
        DDI_EQUAL(0, charged(process, 1));
        DDI_EQUAL(2, door_usage(process).references);
        ExFreePool(door_try(door_quota_tag, PagedPool, 4000, TAG).block);
        door_process_end(process);
        _exit(ddi_failures != 0);
    }
    DDI_EQUAL(child, waitpid(child, &status, 0));
    DDI_EQUAL(0, status);
    DDI_EQUAL(102, door_usage(process).references);
    for (int i = 0; i < 100; ++i) {
        ExFreePoolWithTag(block[i], TAG);
    }
    door_process_end(process);
}

/* ---- many threads ---------------------------------------------------------------------------- */

enum {
    THREADS = 8,
    ROUNDS = 20000
};

static void *churn_in_thread(void *process)
{
    void *block[4] = { NULL };
    uint64_t dice = (uintptr_t)&block | 1;

    (void)expool_process_enter(process);
    for (int i = 0; i < ROUNDS; ++i) {
        uint64_t random = ddi_random(&dice);
        void **place = &block[random % 4];

        if (random % 3 == 0) {
            if (NT_SUCCESS(PsChargeProcessPoolQuota(process, PagedPool, random >> 52))) {
                PsReturnPoolQuota(process, PagedPool, random >> 52);
            }
        } else if (*place != NULL) {
            ExFreePoolWithTag(*place, TAG);
            *place = NULL;
        } else {
            *place = ddi_opaque(ExAllocatePoolWithQuotaTag(
                PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, random >> 52, TAG));
        }
    }
    for (int i = 0; i < 4; ++i) {
        if (block[i] != NULL) {
            ExFreePoolWithTag(block[i], TAG);
        }
    }
    return NULL;
}

static void test_quota_of_many_threads_ends_where_it_began(void)
{
    struct expool_process *process = expool_process_create("payer", 40000, 0);
    pthread_t thread[THREADS];

    PsChargePoolQuota(process, PagedPool, 777);
    for (int i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_create(&thread[i], NULL, churn_in_thread, process));
    }
    for (int i = 0; i < THREADS; ++i) {
        pthread_join(thread[i], NULL);
    }
    DDI_EQUAL(777, charged(process, 1));
    PsReturnPoolQuota(process, PagedPool, 777);
    door_process_end(process);
}

static const struct ddi_test tests[] = {
    DDI_TEST("36", test_pool2_use_quota_over_the_limit_gives_null_or_raises),
    DDI_TEST("37", test_pool2_use_quota_charges_and_returns),
    DDI_TEST("61", test_quota_block_costs_what_it_holds_and_returns_it),
    DDI_TEST("61", test_quota_is_returned_by_every_free_routine),
    DDI_TEST("62", test_quota_returns_to_the_payer_whoever_frees),
    DDI_TEST("63", test_quota_block_holds_a_reference),
    DDI_TEST("63", test_process_is_held_by_creator_threads_and_blocks),
    DDI_TEST("63", test_process_outlives_its_creator_for_its_blocks),
    DDI_TEST("63,186", test_process_is_whole_in_a_fork),
    DDI_TEST("64,105", test_quota_page_and_more_is_not_charged),
    DDI_TEST("65", test_quota_page_less_one_is_charged_within_one_page),
    DDI_TEST("66", test_quota_over_the_limit_raises_or_gives_null),
    DDI_TEST("67,68", test_quota_without_memory_raises_or_gives_null),
    DDI_TEST("68", test_quota_bits_8_and_16_each_govern_their_own_check),
    DDI_TEST("69", test_quota_system_never_pays),
    DDI_TEST("69", test_quota_idle_does_not_pay_without_the_verifier),
    DDI_TEST("70", test_quota_paged_and_nonpaged_are_apart),
    DDI_TEST("71", test_with_quota_is_with_quota_tag_under_none),
    DDI_TEST("72", test_quota_zero_zeroes_recycled_memory),
    DDI_TEST("72", test_quota_wrappers_keep_the_raising_rules),
    DDI_TEST("73", test_quota_at_dispatch_only_nonpaged_succeeds),
    DDI_TEST("74", test_quota_of_many_threads_ends_where_it_began),
    DDI_TEST("75", test_charge_by_hand_over_the_limit_raises_and_charges_nothing),
    DDI_TEST("75", test_charge_by_hand_and_blocks_share_the_limit),
    DDI_TEST("76", test_return_by_hand_beyond_the_charge_raises_and_returns_nothing),
    DDI_TEST("76", test_free_that_finds_its_charge_missing_stops),
    DDI_TEST("77", test_charge_by_hand_tells_by_status),
    DDI_TEST("91,92", test_quota_wrong_free_returns_nothing),
    DDI_TEST("104", test_query_block_size_knows_quota),
};

DDI_MAIN(tests)
