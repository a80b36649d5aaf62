/* SPDX-License-Identifier: MIT */
/*
 * Sequenced lists: order, depth, the older names, a head left inside by a thread of another
 * process, and four threads that push, pop, flush, and free what they popped.
 *
 * The stress frees popped entries to the pool with the front caches off, so that the memory of an
 * entry goes back while others pop; a read of it after that would fault or be a race.
 */
#include "ddi_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <wdm.h>

enum {
    THREADS = 4,
    STEPS = 30000,
    TAG = 'tsLS'
};

struct item {
    SLIST_ENTRY link;
    uint64_t value;
};

static SLIST_HEADER head; /* all zeroes: an empty list */

static void test_list_is_last_in_first_out_and_counts(void)
{
    static struct item items[3];
    PSLIST_ENTRY entry;

    DDI_EQUAL(0, QueryDepthSList(&head));
    DDI_TRUE(InterlockedPopEntrySList(&head) == NULL);
    InitializeSListHead(&head);
    DDI_TRUE(InterlockedPushEntrySList(&head, &items[0].link) == NULL);
    DDI_TRUE(InterlockedPushEntrySList(&head, &items[1].link) == &items[0].link);
    DDI_TRUE(InterlockedPushEntrySList(&head, &items[2].link) == &items[1].link);
    DDI_EQUAL(3, ExQueryDepthSList(&head));
#if defined(__LP64__)
    DDI_EQUAL(3, head.HeaderX64.Depth);
    DDI_TRUE((PVOID)((ULONG_PTR)head.HeaderX64.NextEntry << 4) == &items[2].link);
#endif
    DDI_TRUE(InterlockedPopEntrySList(&head) == &items[2].link);
    DDI_EQUAL(2, ExQueryDepthSList(&head));
    entry = InterlockedFlushSList(&head);
    DDI_TRUE(entry == &items[1].link);
    DDI_TRUE(entry->Next == &items[0].link);
    DDI_TRUE(entry->Next->Next == NULL);
    DDI_EQUAL(0, ExQueryDepthSList(&head));
    DDI_TRUE(InterlockedFlushSList(&head) == NULL);
    DDI_TRUE(InterlockedPopEntrySList(&head) == NULL);
}

static void test_older_names_take_a_lock_that_they_leave_alone(void)
{
    static struct item items[2];
    KSPIN_LOCK lock = 77;

    ExInitializeSListHead(&head);
    DDI_TRUE(ExInterlockedPushEntrySList(&head, &items[0].link, &lock) == NULL);
    DDI_TRUE(ExInterlockedPushEntrySList(&head, &items[1].link, &lock) == &items[0].link);
    DDI_TRUE(ExInterlockedPopEntrySList(&head, &lock) == &items[1].link);
    DDI_TRUE(ExInterlockedFlushSList(&head) == &items[0].link);
    DDI_EQUAL(77, lock);
}

/* What a fork can leave: somebody of the former process is inside, and had not counted yet. */
static void test_holder_of_another_process_is_passed_and_entries_counted(void)
{
    static struct item items[3];
    ULONG former = (exp_wdk_generation - 1) << EXP_WDK_SLIST_GENERATION;

    InitializeSListHead(&head);
    for (size_t i = 0; i < 3; ++i) {
        (void)InterlockedPushEntrySList(&head, &items[i].link);
    }
    head.exp_wdk.State = 2 | EXP_WDK_SLIST_HELD | EXP_WDK_SLIST_WAITED | former;
    DDI_TRUE(InterlockedPopEntrySList(&head) == &items[2].link);
    DDI_EQUAL(2, ExQueryDepthSList(&head));
    head.exp_wdk.State = 2 | EXP_WDK_SLIST_HELD | former;
    DDI_TRUE(InterlockedFlushSList(&head) == &items[1].link);
    DDI_EQUAL(0, head.exp_wdk.State);
}

static atomic_uint_least64_t pushed;
static atomic_uint_least64_t popped;
static atomic_uint_least64_t count;

static void take_out(PSLIST_ENTRY entry)
{
    popped += CONTAINING_RECORD(entry, struct item, link)->value;
    count--;
    ExFreePoolWithTag(entry, TAG);
}

static void *stress(void *context)
{
    uint64_t random = (uintptr_t)context;

    for (int step = 0; step < STEPS; ++step) {
        uint64_t choice = ddi_random(&random) >> 32;
        PSLIST_ENTRY entry;

        if (choice % 2 == 0) {
            struct item *item =
                ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*item), TAG));

            item->value = choice;
            pushed += choice;
            count++;
            (void)InterlockedPushEntrySList(&head, &item->link);
        } else if (choice % 64 != 1) {
            entry = InterlockedPopEntrySList(&head);
            if (entry != NULL) {
                take_out(entry);
            }
        } else {
            entry = InterlockedFlushSList(&head);
            while (entry != NULL) {
                PSLIST_ENTRY next = entry->Next;

                take_out(entry);
                entry = next;
            }
        }
    }
    return NULL;
}

static void test_threads_lose_nothing_and_may_free_what_they_pop(void)
{
    uint64_t seed = ddi_seed(0x51157);
    pthread_t threads[THREADS];
    PSLIST_ENTRY entry;

    InitializeSListHead(&head);
    (void)expool_set("front_cache", "0");
    for (size_t i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_create(&threads[i], NULL, stress, (void *)(uintptr_t)(seed + i)));
    }
    for (size_t i = 0; i < THREADS; ++i) {
        pthread_join(threads[i], NULL);
    }
    DDI_EQUAL(count, ExQueryDepthSList(&head));
    while ((entry = InterlockedPopEntrySList(&head)) != NULL) {
        take_out(entry);
    }
    DDI_EQUAL(0, count);
    DDI_EQUAL(pushed, popped);
    DDI_EQUAL(0, ExQueryDepthSList(&head));
    DDI_EQUAL(0, ddi_live(TAG, 0));
}

static const struct ddi_test tests[] = {
    DDI_TEST("lists", test_list_is_last_in_first_out_and_counts),
    DDI_TEST("lists", test_older_names_take_a_lock_that_they_leave_alone),
    DDI_TEST("lists", test_holder_of_another_process_is_passed_and_entries_counted),
    DDI_TEST("lists", test_threads_lose_nothing_and_may_free_what_they_pop),
};

DDI_MAIN(tests)
