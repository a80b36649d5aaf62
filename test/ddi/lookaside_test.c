/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists (api 138 - 153): what init leaves, who is called when, LIFO and depths,
 * callbacks, failures, flush and delete, 8 threads, tuning, and copies of the process.
 *
 * A driver's callbacks count and remember their arguments in `driver`; their entries are pool
 * blocks. Tuning is done by hand: the first test calls ExAdjustLookasideDepth, after which the
 * lists leave it to the program.
 */
#include "ddi_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <wdm.h>

enum {
    TAG = 'kooL',
    BYTES = 100,
    DEPTH = 4
};

/* What the callbacks saw last, and how often. */
static struct {
    atomic_uint allocates;
    atomic_uint frees;
    POOL_TYPE type;
    SIZE_T bytes;
    ULONG tag;
    KIRQL irql;
    PLOOKASIDE_LIST_EX list;
    PVOID freed;
    bool fail;
    LOOKASIDE_LIST_EX *other; /* used by the callbacks when not NULL */
} driver;

static PVOID driver_allocate(POOL_TYPE type, SIZE_T bytes, ULONG tag)
{
    driver.allocates++;
    driver.type = type;
    driver.bytes = bytes;
    driver.tag = tag;
    driver.irql = KeGetCurrentIrql();
    return driver.fail ? NULL : ExAllocatePoolWithTag(type, bytes, tag);
}

static VOID driver_free(PVOID block)
{
    driver.frees++;
    driver.freed = block;
    driver.irql = KeGetCurrentIrql();
    ExFreePool(block);
}

static PVOID driver_allocate_ex(POOL_TYPE type, SIZE_T bytes, ULONG tag, PLOOKASIDE_LIST_EX list)
{
    driver.list = list;
    if (driver.other != NULL) {
        ExFreeToLookasideListEx(driver.other, ExAllocateFromLookasideListEx(driver.other));
    }
    return driver_allocate(type, bytes, tag);
}

static VOID driver_free_ex(PVOID block, PLOOKASIDE_LIST_EX list)
{
    driver.list = list;
    driver_free(block);
}

/* For several threads at once. */
static PVOID count_allocate_ex(POOL_TYPE type, SIZE_T bytes, ULONG tag, PLOOKASIDE_LIST_EX list)
{
    (void)list;
    driver.allocates++;
    return ExAllocatePoolWithTag(type, bytes, tag);
}

static VOID count_free_ex(PVOID block, PLOOKASIDE_LIST_EX list)
{
    (void)list;
    driver.frees++;
    ExFreePool(block);
}

static PVOID raising_allocate(POOL_TYPE type, SIZE_T bytes, ULONG tag)
{
    driver.allocates++;
    (void)bytes;
    return ExAllocatePoolWithTag(type, (SIZE_T)1 << 60, tag);
}

static void driver_forget(void)
{
    memset(&driver, 0, sizeof(driver));
}

static LOOKASIDE_LIST_EX list_ex;
static LOOKASIDE_LIST_EX list_second;
static NPAGED_LOOKASIDE_LIST list_nonpaged;
static PAGED_LOOKASIDE_LIST list_paged;

static void init_ex(LOOKASIDE_LIST_EX *list, POOL_TYPE type)
{
    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(
                  list, driver_allocate_ex, driver_free_ex, type, 0, BYTES, TAG, 0));
}

static void init_counted(LOOKASIDE_LIST_EX *list, POOL_TYPE type)
{
    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(
                  list, count_allocate_ex, count_free_ex, type, 0, BYTES, TAG, 0));
}

#define CHECK_FRESH(l)                                                                             \
    do {                                                                                           \
        DDI_EQUAL(4, (l)->Depth);                                                                  \
        DDI_EQUAL(256, (l)->MaximumDepth);                                                         \
        DDI_EQUAL(0, (l)->TotalAllocates);                                                         \
        DDI_EQUAL(0, (l)->AllocateMisses);                                                         \
        DDI_EQUAL(0, (l)->TotalFrees);                                                             \
        DDI_EQUAL(0, (l)->FreeMisses);                                                             \
        DDI_EQUAL(0, (l)->LastTotalAllocates);                                                     \
        DDI_EQUAL(0, (l)->LastAllocateMisses);                                                     \
        DDI_EQUAL(0, ExQueryDepthSList(&(l)->ListHead));                                           \
        DDI_EQUAL(BYTES, (l)->Size);                                                               \
        DDI_EQUAL(TAG, (l)->Tag);                                                                  \
    } while (0)

static void test_init_leaves_depth_4_and_no_counts(void)
{
    static const USHORT depths[] = { 0, 20 };

    ExAdjustLookasideDepth(); /* from now on by hand */
    for (size_t i = 0; i < 2; ++i) {
        memset(&list_ex, 0xA5, sizeof(list_ex));
        memset(&list_nonpaged, 0xA5, sizeof(list_nonpaged));
        memset(&list_paged, 0xA5, sizeof(list_paged));
        DDI_EQUAL(STATUS_SUCCESS,
                  ExInitializeLookasideListEx(
                      &list_ex, NULL, NULL, NonPagedPoolNx, 0, BYTES, TAG, depths[i]));
        ExInitializeNPagedLookasideList(&list_nonpaged, NULL, NULL, 0, BYTES, TAG, depths[i]);
        ExInitializePagedLookasideList(&list_paged, NULL, NULL, 0, BYTES, TAG, depths[i]);
        CHECK_FRESH(&list_ex.L);
        CHECK_FRESH(&list_nonpaged.L);
        CHECK_FRESH(&list_paged.L);
        ExDeletePagedLookasideList(&list_paged);
        ExDeleteLookasideListEx(&list_ex);
        ExDeleteNPagedLookasideList(&list_nonpaged);
    }
    DDI_EQUAL(0, ddi_row(TAG, 0).allocs);
    DDI_EQUAL(0, ddi_row(TAG, 1).allocs);
}

static void test_type_of_old_lists_is_pool_and_flags(void)
{
    ExInitializeNPagedLookasideList(&list_nonpaged, NULL, NULL, POOL_NX_ALLOCATION, BYTES, TAG, 0);
    DDI_EQUAL(512, list_nonpaged.L.Type);
    ExDeleteNPagedLookasideList(&list_nonpaged);
    ExInitializeNPagedLookasideList(&list_nonpaged, NULL, NULL, 0, BYTES, TAG, 0);
    DDI_EQUAL(0, list_nonpaged.L.Type);
    ExDeleteNPagedLookasideList(&list_nonpaged);
    ExInitializePagedLookasideList(&list_paged, NULL, NULL, POOL_NX_ALLOCATION, BYTES, TAG, 0);
    DDI_EQUAL(513, list_paged.L.Type);
    ExDeletePagedLookasideList(&list_paged);
    ExInitializePagedLookasideList(
        &list_paged, NULL, NULL, POOL_RAISE_IF_ALLOCATION_FAILURE, BYTES, TAG, 0);
    DDI_EQUAL(17, list_paged.L.Type);
    ExDeletePagedLookasideList(&list_paged);
}

static NTSTATUS init_status(POOL_TYPE type, ULONG flags)
{
    return ExInitializeLookasideListEx(&list_ex, NULL, NULL, type, flags, BYTES, TAG, 0);
}

static void test_ex_flags_become_bits_of_type_and_bad_ones_are_refused(void)
{
    static const POOL_TYPE good[] = {
        NonPagedPool, PagedPool, NonPagedPoolNx, NonPagedPoolNxCacheAligned, PagedPoolSession
    };
    static const int bad[] = { 2, 3, 6, 7, 34, 64, 128, 2048, 513 | 0x40000000 };
    LOOKASIDE_LIST_EX before;

    for (size_t i = 0; i < ARRAYSIZE(good); ++i) {
        DDI_EQUAL(STATUS_SUCCESS, init_status(good[i], 0));
        DDI_EQUAL(good[i], list_ex.L.Type);
        ExDeleteLookasideListEx(&list_ex);
        DDI_EQUAL(STATUS_SUCCESS, init_status(good[i], EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL));
        DDI_EQUAL(good[i] | POOL_RAISE_IF_ALLOCATION_FAILURE, list_ex.L.Type);
        ExDeleteLookasideListEx(&list_ex);
        DDI_EQUAL(STATUS_SUCCESS, init_status(good[i], EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE));
        DDI_EQUAL(good[i] | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, list_ex.L.Type);
        ExDeleteLookasideListEx(&list_ex);
    }
    memset(&list_ex, 0x5A, sizeof(list_ex));
    memcpy(&before, &list_ex, sizeof(before));
    DDI_EQUAL(0xC00000F3u, (uint32_t)init_status(PagedPool, 3));
    DDI_EQUAL(0xC00000F3u, (uint32_t)init_status(PagedPool, 4));
    DDI_EQUAL(0xC00000F3u, (uint32_t)init_status(PagedPool, 0x80000000u));
    for (size_t i = 0; i < ARRAYSIZE(bad); ++i) {
        DDI_TRUE_FOR((uint32_t)init_status((POOL_TYPE)bad[i], 0) == 0xC00000F2u, bad[i]);
    }
    DDI_EQUAL(0, memcmp(&before, &list_ex, sizeof(before)));
}

static void test_first_allocate_counts_a_miss_and_calls_allocate(void)
{
    PVOID entry;

    driver_forget();
    ExInitializeNPagedLookasideList(
        &list_nonpaged, driver_allocate, driver_free, POOL_NX_ALLOCATION, BYTES, TAG, 0);
    entry = ExAllocateFromNPagedLookasideList(&list_nonpaged);
    DDI_TRUE(entry != NULL);
    DDI_EQUAL(1, list_nonpaged.L.TotalAllocates);
    DDI_EQUAL(1, list_nonpaged.L.AllocateMisses);
    DDI_EQUAL(1, driver.allocates);
    DDI_EQUAL(512, driver.type);
    DDI_EQUAL(BYTES, driver.bytes);
    DDI_EQUAL(TAG, driver.tag);
    ExFreeToNPagedLookasideList(&list_nonpaged, entry);
    ExDeleteNPagedLookasideList(&list_nonpaged);
}

static void test_entries_come_back_newest_first_without_a_callback(void)
{
    PVOID first;
    PVOID second;

    driver_forget();
    ExInitializePagedLookasideList(&list_paged, driver_allocate, driver_free, 0, BYTES, TAG, 0);
    first = ExAllocateFromPagedLookasideList(&list_paged);
    second = ExAllocateFromPagedLookasideList(&list_paged);
    memset(first, 1, BYTES);
    ExFreeToPagedLookasideList(&list_paged, first);
    ExFreeToPagedLookasideList(&list_paged, second);
    DDI_EQUAL(2, ExQueryDepthSList(&list_paged.L.ListHead));
    DDI_TRUE(ExAllocateFromPagedLookasideList(&list_paged) == second);
    DDI_TRUE(ExAllocateFromPagedLookasideList(&list_paged) == first);
    DDI_TRUE(ddi_all_bytes((uint8_t *)first + sizeof(PVOID), BYTES - sizeof(PVOID), 1));
    DDI_EQUAL(2, driver.allocates);
    DDI_EQUAL(0, driver.frees);
    DDI_EQUAL(4, list_paged.L.TotalAllocates);
    DDI_EQUAL(2, list_paged.L.AllocateMisses);
    DDI_EQUAL(2, list_paged.L.TotalFrees);
    DDI_EQUAL(0, list_paged.L.FreeMisses);
    ExFreeToPagedLookasideList(&list_paged, first);
    ExFreeToPagedLookasideList(&list_paged, second);
    ExDeletePagedLookasideList(&list_paged);
    DDI_EQUAL(2, driver.frees);
}

static void test_a_full_list_has_entries_freed(void)
{
    PVOID entries[5];

    driver_forget();
    init_ex(&list_ex, PagedPool);
    for (size_t i = 0; i < 5; ++i) {
        entries[i] = ExAllocateFromLookasideListEx(&list_ex);
    }
    for (size_t i = 0; i < 5; ++i) {
        ExFreeToLookasideListEx(&list_ex, entries[i]);
    }
    DDI_EQUAL(4, ExQueryDepthSList(&list_ex.L.ListHead));
    DDI_EQUAL(5, list_ex.L.TotalFrees);
    DDI_EQUAL(1, list_ex.L.FreeMisses);
    DDI_EQUAL(1, driver.frees);
    DDI_TRUE(driver.freed == entries[4]);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(5, driver.frees);
}

struct owner {
    int number;
    LOOKASIDE_LIST_EX list;
};

static void test_ex_callbacks_are_told_the_list(void)
{
    struct owner owner = { .number = 7 };
    PVOID entry;

    driver_forget();
    init_ex(&owner.list, NonPagedPoolNx);
    entry = ExAllocateFromLookasideListEx(&owner.list);
    DDI_TRUE(driver.list == &owner.list);
    DDI_EQUAL(7, CONTAINING_RECORD(driver.list, struct owner, list)->number);
    ExFreeToLookasideListEx(&owner.list, entry);
    driver.list = NULL;
    ExFlushLookasideListEx(&owner.list);
    DDI_TRUE(driver.list == &owner.list);
    ExDeleteLookasideListEx(&owner.list);
}

static void test_callbacks_run_at_the_callers_irql_and_use_other_lists(void)
{
    static LOOKASIDE_LIST_EX other;
    PVOID entries[5];

    driver_forget();
    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(&other, NULL, NULL, NonPagedPoolNx, 0, BYTES, TAG, 0));
    init_ex(&list_ex, NonPagedPoolNx);
    driver.other = &other;
    for (KIRQL irql = PASSIVE_LEVEL; irql <= DISPATCH_LEVEL; ++irql) {
        KIRQL old;

        KeRaiseIrql(irql, &old);
        for (size_t i = 0; i < 5; ++i) {
            driver.irql = 0xFF;
            entries[i] = ExAllocateFromLookasideListEx(&list_ex);
            DDI_EQUAL(irql, driver.irql);
        }
        driver.irql = 0xFF;
        for (size_t i = 0; i < 5; ++i) {
            ExFreeToLookasideListEx(&list_ex, entries[i]);
        }
        DDI_EQUAL(irql, driver.irql);
        driver.irql = 0xFF;
        ExFlushLookasideListEx(&list_ex);
        DDI_EQUAL(irql, driver.irql);
        DDI_EQUAL(irql, KeGetCurrentIrql());
        KeLowerIrql(old);
    }
    DDI_EQUAL(15, other.L.TotalAllocates);
    DDI_EQUAL(1, other.L.AllocateMisses);
    ExDeleteLookasideListEx(&list_ex);
    ExDeleteLookasideListEx(&other);
}

/* An empty paged list asks the pool, which judges the IRQL; one with entries does not. */
static void test_paged_list_at_dispatch_stops_when_it_must_ask_the_pool(void)
{
    struct ddi_stop stop;
    PVOID entry;

    ExInitializePagedLookasideList(&list_paged, NULL, NULL, 0, BYTES, TAG, 0);
    (void)KeRaiseIrqlToDpcLevel();
    DDI_CATCH(&stop, (void)ExAllocateFromPagedLookasideList(&list_paged));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, BYTES);
    KeLowerIrql(PASSIVE_LEVEL);
    entry = ExAllocateFromPagedLookasideList(&list_paged);
    ExFreeToPagedLookasideList(&list_paged, entry);
    (void)KeRaiseIrqlToDpcLevel();
    DDI_TRUE(ExAllocateFromPagedLookasideList(&list_paged) == entry);
    ExFreeToPagedLookasideList(&list_paged, entry);
    KeLowerIrql(PASSIVE_LEVEL);
    ExDeletePagedLookasideList(&list_paged);
}

static void test_failing_allocate_gives_null(void)
{
    driver_forget();
    init_ex(&list_ex, PagedPool);
    driver.fail = true;
    DDI_TRUE(ExAllocateFromLookasideListEx(&list_ex) == NULL);
    DDI_EQUAL(1, list_ex.L.TotalAllocates);
    DDI_EQUAL(1, list_ex.L.AllocateMisses);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(&list_ex,
                                          NULL,
                                          NULL,
                                          PagedPool,
                                          EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
                                          1 << 20,
                                          TAG,
                                          0));
    (void)expool_set("paged_limit", "1");
    DDI_TRUE(ExAllocateFromLookasideListEx(&list_ex) == NULL);
    (void)expool_set("paged_limit", "unlimited");
    ExDeleteLookasideListEx(&list_ex);
}

static void test_raise_on_fail_raises_what_allocate_raises(void)
{
    struct ddi_stop stop;

    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(&list_ex,
                                          NULL,
                                          NULL,
                                          PagedPool,
                                          EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
                                          1 << 20,
                                          TAG,
                                          0));
    (void)expool_set("paged_limit", "1");
    DDI_CATCH(&stop, (void)ExAllocateFromLookasideListEx(&list_ex));
    (void)expool_set("paged_limit", "unlimited");
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    ExDeleteLookasideListEx(&list_ex);

    driver_forget();
    ExInitializePagedLookasideList(&list_paged,
                                   raising_allocate,
                                   driver_free,
                                   POOL_RAISE_IF_ALLOCATION_FAILURE,
                                   BYTES,
                                   TAG,
                                   0);
    DDI_CATCH(&stop, (void)ExAllocateFromPagedLookasideList(&list_paged));
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    DDI_EQUAL(1, driver.allocates);
    ExDeletePagedLookasideList(&list_paged);
}

static void test_null_callbacks_are_the_pool(void)
{
    PVOID entries[2];

    ExInitializeNPagedLookasideList(&list_nonpaged, NULL, NULL, POOL_NX_ALLOCATION, 24, 'nooL', 0);
    ExInitializePagedLookasideList(&list_paged, NULL, NULL, 0, 24, 'pooL', 0);
    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(&list_ex, NULL, NULL, PagedPool, 0, 24, 'xooL', 0));
    DDI_TRUE(list_nonpaged.L.Allocate == ExAllocatePoolWithTag);
    DDI_TRUE(list_nonpaged.L.Free == ExFreePool);
    DDI_TRUE(list_paged.L.Allocate == ExAllocatePoolWithTag);
    DDI_TRUE(list_paged.L.Free == ExFreePool);
    DDI_TRUE(list_ex.L.AllocateEx != NULL && list_ex.L.FreeEx != NULL);
    for (size_t i = 0; i < 2; ++i) {
        entries[i] = ExAllocateFromNPagedLookasideList(&list_nonpaged);
        DDI_EQUAL(0, (uintptr_t)entries[i] % 16);
    }
    DDI_EQUAL(2, ddi_live('nooL', 0));
    ExFreeToNPagedLookasideList(&list_nonpaged, entries[0]);
    DDI_EQUAL(2, ddi_live('nooL', 0));
    ExFreePoolWithTag(entries[1], 'nooL'); /* an entry is a block of the pool */
    entries[0] = ExAllocateFromPagedLookasideList(&list_paged);
    entries[1] = ExAllocateFromLookasideListEx(&list_ex);
    DDI_EQUAL(0, (uintptr_t)entries[0] % 16);
    DDI_EQUAL(0, (uintptr_t)entries[1] % 16);
    DDI_EQUAL(1, ddi_live('pooL', 1));
    DDI_EQUAL(1, ddi_live('xooL', 1));
    ExFreeToPagedLookasideList(&list_paged, entries[0]);
    ExFreeToLookasideListEx(&list_ex, entries[1]);
    ExDeleteNPagedLookasideList(&list_nonpaged);
    ExDeletePagedLookasideList(&list_paged);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(0, ddi_live('nooL', 0));
    DDI_EQUAL(0, ddi_live('pooL', 1));
    DDI_EQUAL(0, ddi_live('xooL', 1));
}

static void test_flush_and_delete_free_what_is_kept_once(void)
{
    PVOID entries[4];

    driver_forget();
    init_ex(&list_ex, PagedPool);
    for (int round = 0; round < 2; ++round) {
        for (size_t i = 0; i < 4; ++i) {
            entries[i] = ExAllocateFromLookasideListEx(&list_ex);
        }
        for (size_t i = 0; i < 4; ++i) {
            ExFreeToLookasideListEx(&list_ex, entries[i]);
        }
        DDI_EQUAL(4, ExQueryDepthSList(&list_ex.L.ListHead));
        if (round == 0) {
            ExFlushLookasideListEx(&list_ex);
            DDI_EQUAL(4, driver.frees);
            DDI_EQUAL(0, ExQueryDepthSList(&list_ex.L.ListHead));
        }
    }
    DDI_EQUAL(8, driver.allocates);
    DDI_EQUAL(0, list_ex.L.FreeMisses);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(8, driver.frees);
    DDI_EQUAL(0, ddi_live(TAG, 1));
}

static void test_delete_leaves_entries_that_are_held(void)
{
    PVOID held;

    ExInitializeNPagedLookasideList(&list_nonpaged, NULL, NULL, POOL_NX_ALLOCATION, BYTES, TAG, 0);
    held = ExAllocateFromNPagedLookasideList(&list_nonpaged);
    ExFreeToNPagedLookasideList(&list_nonpaged, ExAllocateFromNPagedLookasideList(&list_nonpaged));
    memset(held, 0x77, BYTES);
    ExDeleteNPagedLookasideList(&list_nonpaged);
    DDI_EQUAL(1, ddi_live(TAG, 0));
    DDI_TRUE(ddi_all_bytes(held, BYTES, 0x77));
    ExFreePoolWithTag(held, TAG);
    DDI_EQUAL(0, ddi_live(TAG, 0));
}

/* ---- threads --------------------------------------------------------------------------------- */

enum {
    THREADS = 8,
    STEPS = 20000,
    HELD = 6
};

static atomic_uint damaged;
static atomic_bool hammering;

/* Allocate and free at random, and know one's own entries by their bytes. */
static void hammer_step(LOOKASIDE_LIST_EX *list, PVOID *held, uint64_t *random)
{
    size_t place = ddi_random(random) % HELD;

    if (held[place] != NULL) {
        damaged += !ddi_all_bytes(held[place], BYTES, (uint8_t)((uintptr_t)held >> 4));
        ExFreeToLookasideListEx(list, held[place]);
        held[place] = NULL;
        return;
    }
    held[place] = ddi_opaque(ExAllocateFromLookasideListEx(list));
    memset(held[place], (uint8_t)((uintptr_t)held >> 4), BYTES);
}

struct hammer {
    pthread_t thread;
    uint64_t allocates;
    uint64_t seed;
    PVOID held[HELD];
};

static void *hammer(void *context)
{
    struct hammer *self = context;

    for (int step = 0; step < STEPS; ++step) {
        hammer_step(&list_ex, self->held, &self->seed);
    }
    for (size_t i = 0; i < HELD; ++i) {
        if (self->held[i] != NULL) {
            ExFreeToLookasideListEx(&list_ex, self->held[i]);
        }
    }
    return NULL;
}

static void test_8_threads_lose_nothing_and_counters_sum_up(void)
{
    static struct hammer hammers[THREADS];
    uint64_t seed = ddi_seed(0x138153);
    ULONG kept;

    driver_forget();
    damaged = 0;
    init_counted(&list_ex, NonPagedPoolNx);
    for (size_t i = 0; i < THREADS; ++i) {
        hammers[i] = (struct hammer){ .seed = seed + i };
        DDI_EQUAL(0, pthread_create(&hammers[i].thread, NULL, hammer, &hammers[i]));
    }
    for (int i = 0; i < 200; ++i) {
        ExAdjustLookasideDepth();
    }
    for (size_t i = 0; i < THREADS; ++i) {
        pthread_join(hammers[i].thread, NULL);
    }
    kept = ExQueryDepthSList(&list_ex.L.ListHead);
    DDI_EQUAL(0, damaged);
    DDI_EQUAL(list_ex.L.TotalAllocates, list_ex.L.TotalFrees);
    DDI_EQUAL(list_ex.L.AllocateMisses, driver.allocates);
    DDI_EQUAL(driver.allocates - driver.frees, kept);
    DDI_EQUAL(kept, ddi_live(TAG, 0));
    DDI_TRUE(list_ex.L.TotalAllocates >= THREADS * STEPS / 2);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(driver.allocates, driver.frees);
    DDI_EQUAL(0, ddi_live(TAG, 0));
}

/* ---- depths ---------------------------------------------------------------------------------- */

/* Allocate count entries, free them all. */
static void burst(LOOKASIDE_LIST_EX *list, size_t count)
{
    static PVOID entries[512];

    for (size_t i = 0; i < count; ++i) {
        entries[i] = ExAllocateFromLookasideListEx(list);
    }
    for (size_t i = 0; i < count; ++i) {
        ExFreeToLookasideListEx(list, entries[i]);
    }
}

static void check_depths(LOOKASIDE_LIST_EX *list, bool told)
{
    static const USHORT busy[] = { 8, 16, 32, 64, 128, 256, 256, 256 };
    static const USHORT idle[] = { 130, 67, 35, 19, 11, 7, 5, 4, 4 };

    for (size_t i = 0; i < ARRAYSIZE(busy); ++i) {
        burst(list, 400);
        ExAdjustLookasideDepth();
        DDI_TRUE_FOR(list->L.Depth == busy[i], list->L.Depth);
    }
    burst(list, 400);
    ExAdjustLookasideDepth();
    DDI_EQUAL(256, list->L.Depth);
    DDI_EQUAL(256, ExQueryDepthSList(&list->L.ListHead));
    DDI_EQUAL(256, ddi_live(TAG, 1));
    driver.frees = 0;
    for (size_t i = 0; i < ARRAYSIZE(idle); ++i) {
        expool_adjust_lookaside();
        DDI_TRUE_FOR(list->L.Depth == idle[i], list->L.Depth);
        /* What the depth before allowed is still there, the rest has gone. */
        DDI_EQUAL(i == 0 ? 256 : idle[i - 1], ExQueryDepthSList(&list->L.ListHead));
    }
    DDI_EQUAL(4, ddi_live(TAG, 1));
    DDI_EQUAL(told ? 252 : 0, driver.frees);
}

static void test_busy_list_keeps_more_and_idle_one_returns_to_4(void)
{
    driver_forget();
    init_ex(&list_ex, PagedPool);
    check_depths(&list_ex, true);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(&list_ex, NULL, NULL, PagedPool, 0, BYTES, TAG, 0));
    check_depths(&list_ex, false);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(0, ddi_live(TAG, 1));
}

static void test_few_misses_leave_the_depth(void)
{
    driver_forget();
    init_ex(&list_ex, PagedPool);
    burst(&list_ex, 1); /* a miss */
    for (int i = 0; i < 15; ++i) {
        burst(&list_ex, 1);
    }
    ExAdjustLookasideDepth(); /* 1 of 16 is not more than 1 of 16 */
    DDI_EQUAL(4, list_ex.L.Depth);
    burst(&list_ex, 2); /* 1 of 2 is */
    ExAdjustLookasideDepth();
    DDI_EQUAL(8, list_ex.L.Depth);
    ExDeleteLookasideListEx(&list_ex);
}

static void test_surplus_of_paged_lists_waits_for_a_lower_irql(void)
{
    driver_forget();
    init_ex(&list_ex, PagedPool);
    for (int i = 0; i < 3; ++i) {
        burst(&list_ex, 400);
        ExAdjustLookasideDepth();
    }
    burst(&list_ex, 400);
    DDI_EQUAL(32, ExQueryDepthSList(&list_ex.L.ListHead));
    ExAdjustLookasideDepth();
    (void)KeRaiseIrqlToDpcLevel();
    for (int i = 0; i < 10; ++i) {
        ExAdjustLookasideDepth();
    }
    KeLowerIrql(PASSIVE_LEVEL);
    DDI_EQUAL(4, list_ex.L.Depth);
    DDI_EQUAL(32, ExQueryDepthSList(&list_ex.L.ListHead));
    ExAdjustLookasideDepth();
    DDI_EQUAL(4, ExQueryDepthSList(&list_ex.L.ListHead));
    ExDeleteLookasideListEx(&list_ex);
}

static void *adjust_for_ever(void *context)
{
    (void)context;
    while (hammering) {
        ExAdjustLookasideDepth();
    }
    return NULL;
}

/* A Free that needs its list and takes its time: the list must be there while a look calls it. */
static VOID free_of_owner(PVOID block, PLOOKASIDE_LIST_EX list)
{
    for (int i = 0; i < 3; ++i) {
        sched_yield();
    }
    damaged += CONTAINING_RECORD(list, struct owner, list)->number != 7;
    ExFreePool(block);
}

static atomic_uint inside; /* 1: a slow Free is under way, 2: it has ended */

static VOID slow_free(PVOID block, PLOOKASIDE_LIST_EX list)
{
    if (hammering && inside == 0) {
        inside = 1;
        usleep(50000);
        damaged += CONTAINING_RECORD(list, struct owner, list)->number != 7;
        inside = 2;
    }
    ExFreePool(block);
}

static void test_delete_waits_for_a_free_that_a_look_has_called(void)
{
    struct owner owner = { .number = 7 };
    pthread_t adjuster;

    damaged = 0;
    inside = 0;
    hammering = false;
    DDI_EQUAL(
        STATUS_SUCCESS,
        ExInitializeLookasideListEx(&owner.list, NULL, slow_free, PagedPool, 0, BYTES, TAG, 0));
    burst(&owner.list, 40);
    ExAdjustLookasideDepth(); /* depth 8 */
    burst(&owner.list, 40);
    ExAdjustLookasideDepth();
    ExAdjustLookasideDepth(); /* depth 10, 8 entries */
    burst(&owner.list, 40);
    hammering = true;
    DDI_EQUAL(0, pthread_create(&adjuster, NULL, adjust_for_ever, NULL));
    while (inside == 0) {
        sched_yield();
    }
    ExDeleteLookasideListEx(&owner.list);
    DDI_EQUAL(2, inside);
    owner.number = 0;
    hammering = false;
    pthread_join(adjuster, NULL);
    DDI_EQUAL(0, damaged);
    DDI_EQUAL(0, ddi_live(TAG, 1));
}

static void test_lists_that_come_and_go_while_another_thread_adjusts(void)
{
    pthread_t adjuster;

    damaged = 0;
    hammering = true;
    DDI_EQUAL(0, pthread_create(&adjuster, NULL, adjust_for_ever, NULL));
    for (int round = 0; round < 300; ++round) {
        struct owner *owner = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*owner), 'nwOL');

        owner->number = 7;
        DDI_EQUAL(STATUS_SUCCESS,
                  ExInitializeLookasideListEx(
                      &owner->list, NULL, free_of_owner, PagedPool, 0, BYTES, TAG, 0));
        burst(&owner->list, 40);
        burst(&owner->list, 40);
        for (int i = 0; i < round % 16; ++i) {
            sched_yield(); /* nothing happens: looks shrink it */
        }
        ExDeleteLookasideListEx(&owner->list);
        owner->number = 0;
        ExFreePoolWithTag(owner, 'nwOL');
    }
    hammering = false;
    pthread_join(adjuster, NULL);
    DDI_EQUAL(0, damaged);
    DDI_EQUAL(0, ddi_live(TAG, 1));
}

static void test_size_below_a_pointer_is_a_pointers(void)
{
    PVOID entry;

    for (SIZE_T bytes = 0; bytes < 2; ++bytes) {
        driver_forget();
        ExInitializePagedLookasideList(&list_paged, driver_allocate, driver_free, 0, bytes, TAG, 0);
        DDI_EQUAL(LOOKASIDE_MINIMUM_BLOCK_SIZE, list_paged.L.Size);
        entry = ExAllocateFromPagedLookasideList(&list_paged);
        DDI_EQUAL(LOOKASIDE_MINIMUM_BLOCK_SIZE, driver.bytes);
        memset(entry, 0xFF, LOOKASIDE_MINIMUM_BLOCK_SIZE);
        ExFreeToPagedLookasideList(&list_paged, entry);
        DDI_TRUE(ExAllocateFromPagedLookasideList(&list_paged) == entry);
        ExFreeToPagedLookasideList(&list_paged, entry);
        ExDeletePagedLookasideList(&list_paged);
    }
    ExInitializePagedLookasideList(&list_paged, NULL, NULL, 0, (SIZE_T)1 << 32, TAG, 0);
    DDI_EQUAL(MAXULONG, list_paged.L.Size); /* not 0 */
    ExDeletePagedLookasideList(&list_paged);
}

static void test_misaligned_list_raises(void)
{
    static char storage[sizeof(NPAGED_LOOKASIDE_LIST) + 64] DECLSPEC_ALIGN(64);
    PVOID misaligned = ddi_opaque(storage + 8);
    struct ddi_stop stop;

    DDI_CATCH(&stop, (void)ExInitializeLookasideListEx(misaligned, NULL, NULL, 0, 0, 8, TAG, 0));
    DDI_RAISES(&stop, STATUS_DATATYPE_MISALIGNMENT);
    DDI_CATCH(&stop, ExInitializeNPagedLookasideList(misaligned, NULL, NULL, 0, 8, TAG, 0));
    DDI_RAISES(&stop, STATUS_DATATYPE_MISALIGNMENT);
    DDI_CATCH(&stop, ExInitializePagedLookasideList(misaligned, NULL, NULL, 0, 8, TAG, 0));
    DDI_RAISES(&stop, STATUS_DATATYPE_MISALIGNMENT);
    DDI_TRUE(ddi_all_bytes(storage, sizeof(storage), 0));
    ExAdjustLookasideDepth(); /* none of them is in the chain */
}

/* ---- a copy of the process ------------------------------------------------------------------- */

static void *hammer_for_ever(void *context)
{
    uint64_t random = (uintptr_t)context;
    PVOID held[HELD] = { NULL };
    LOOKASIDE_LIST_EX list;

    while (hammering) {
        for (int step = 0; step < 50; ++step) {
            hammer_step(&list_ex, held, &random);
        }
        init_counted(&list, PagedPool); /* the chain changes all the time */
        ExDeleteLookasideListEx(&list);
    }
    for (size_t i = 0; i < HELD; ++i) {
        if (held[i] != NULL) {
            ExFreeToLookasideListEx(&list_ex, held[i]);
        }
    }
    return NULL;
}

/* In the child: its other threads may have been inside of anything. */
static int use_in_child(void)
{
    PVOID entries[16];

    alarm(30);
    for (size_t i = 0; i < 16; ++i) {
        entries[i] = ExAllocateFromLookasideListEx(&list_ex);
        for (size_t j = 0; j < i; ++j) {
            if (entries[i] == NULL || entries[i] == entries[j]) {
                return 1;
            }
        }
    }
    for (size_t i = 0; i < 16; ++i) {
        ExFreeToLookasideListEx(&list_ex, entries[i]);
    }
    init_counted(&list_second, PagedPool);
    ExAdjustLookasideDepth();
    ExDeleteLookasideListEx(&list_second);
    ExDeleteLookasideListEx(&list_ex);
    return ExQueryDepthSList(&list_ex.L.ListHead);
}

static void test_copy_of_a_process_does_not_wait_for_threads_it_has_not(void)
{
    pthread_t threads[3];

    driver_forget();
    damaged = 0;
    init_counted(&list_ex, PagedPool);
    hammering = true;
    for (size_t i = 0; i < 3; ++i) {
        DDI_EQUAL(0,
                  pthread_create(&threads[i], NULL, hammer_for_ever, (void *)(uintptr_t)(i + 1)));
    }
    for (int round = 0; round < 40; ++round) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            _exit(use_in_child());
        }
        DDI_TRUE(child > 0 && waitpid(child, &status, 0) == child);
        DDI_TRUE_FOR(status == 0, status);
    }
    hammering = false;
    for (size_t i = 0; i < 3; ++i) {
        pthread_join(threads[i], NULL);
    }
    DDI_EQUAL(0, damaged);
    ExDeleteLookasideListEx(&list_ex);
    DDI_EQUAL(0, ddi_live(TAG, 1));
}

static const struct ddi_test tests[] = {
    DDI_TEST("138", test_init_leaves_depth_4_and_no_counts),
    DDI_TEST("139", test_type_of_old_lists_is_pool_and_flags),
    DDI_TEST("140", test_ex_flags_become_bits_of_type_and_bad_ones_are_refused),
    DDI_TEST("141", test_first_allocate_counts_a_miss_and_calls_allocate),
    DDI_TEST("142", test_entries_come_back_newest_first_without_a_callback),
    DDI_TEST("143", test_a_full_list_has_entries_freed),
    DDI_TEST("144", test_ex_callbacks_are_told_the_list),
    DDI_TEST("145", test_callbacks_run_at_the_callers_irql_and_use_other_lists),
    DDI_TEST("145", test_paged_list_at_dispatch_stops_when_it_must_ask_the_pool),
    DDI_TEST("146", test_failing_allocate_gives_null),
    DDI_TEST("146", test_raise_on_fail_raises_what_allocate_raises),
    DDI_TEST("147", test_null_callbacks_are_the_pool),
    DDI_TEST("148", test_flush_and_delete_free_what_is_kept_once),
    DDI_TEST("149", test_delete_leaves_entries_that_are_held),
    DDI_TEST("150", test_8_threads_lose_nothing_and_counters_sum_up),
    DDI_TEST("151", test_busy_list_keeps_more_and_idle_one_returns_to_4),
    DDI_TEST("151", test_few_misses_leave_the_depth),
    DDI_TEST("151", test_surplus_of_paged_lists_waits_for_a_lower_irql),
    DDI_TEST("151", test_delete_waits_for_a_free_that_a_look_has_called),
    DDI_TEST("151", test_lists_that_come_and_go_while_another_thread_adjusts),
    DDI_TEST("152", test_size_below_a_pointer_is_a_pointers),
    DDI_TEST("153", test_misaligned_list_raises),
    DDI_TEST("lists", test_copy_of_a_process_does_not_wait_for_threads_it_has_not),
};

DDI_MAIN(tests)
