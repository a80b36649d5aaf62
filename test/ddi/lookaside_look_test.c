/* SPDX-License-Identifier: MIT */
/*
 * Looks that call a driver's Free which does more than free: it raises, stops, catches its stop, or
 * looks itself. Whatever it does, no mark stays behind that a delete would wait for, no list is
 * touched that may be gone, and no entry is lost.
 *
 * source: api.md 5.3, 5.4; docs/decisions/0009-lookaside.md
 */
#include "ddi_test.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    TAG = 'kooL',
    BYTES = 48
};

struct owner {
    LOOKASIDE_LIST_EX list;
    int number; /* 7 while the list lives */
};

static unsigned damaged;

/* Allocate count entries, free them all. */
static void burst(LOOKASIDE_LIST_EX *list, size_t count)
{
    static PVOID entries[64];

    for (size_t i = 0; i < count; ++i) {
        entries[i] = ExAllocateFromLookasideListEx(list);
    }
    for (size_t i = 0; i < count; ++i) {
        ExFreeToLookasideListEx(list, entries[i]);
    }
}

/* A list whose next look has 4 entries to free, by a Free that does the deed for the second. */
static enum deed {
    DEED_NONE,
    DEED_RAISE,
    DEED_STOP,
    DEED_LOOK,
    DEED_CATCH
} deed;
static unsigned deed_frees;
static PVOID deed_block; /* was not freed */
static LOOKASIDE_LIST_EX *deed_list;
static atomic_uint deleted;

static void *delete_list(void *context)
{
    ExDeleteLookasideListEx(context);
    deleted = 1;
    return NULL;
}

/* Does a delete by another thread end in so many milliseconds? */
static bool delete_ends(pthread_t *deleter, unsigned wait_ms)
{
    deleted = 0;
    DDI_EQUAL(0, pthread_create(deleter, NULL, delete_list, deed_list));
    for (unsigned ms = 0; ms < wait_ms && deleted == 0; ++ms) {
        usleep(1000);
    }
    return deleted != 0;
}

static pthread_t deed_deleter;

static VOID free_with_deed(PVOID block, PLOOKASIDE_LIST_EX list)
{
    struct ddi_stop stop;

    if (deed == DEED_NONE || ++deed_frees != 2) {
        damaged += CONTAINING_RECORD(list, struct owner, list)->number != 7;
        ExFreePool(block);
        return;
    }
    deed_block = block;
    switch (deed) {
    case DEED_RAISE:
        ExRaiseStatus(STATUS_UNSUCCESSFUL);
    case DEED_STOP:
        ExFreePoolWithTag(block, TAG + 1);
        break;
    case DEED_CATCH:
        DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG + 1));
        DDI_EQUAL(0xC2, stop.code);
        DDI_TRUE(delete_ends(&deed_deleter, 10000));
        CONTAINING_RECORD(list, struct owner, list)->number = 0;
        break;
    default:
        ExAdjustLookasideDepth();
        DDI_TRUE(!delete_ends(&deed_deleter, 50));
        break;
    }
}

static void make_surplus(struct owner *owner)
{
    deed = DEED_NONE;
    deed_frees = 0;
    deed_list = &owner->list;
    owner->number = 7;
    DDI_EQUAL(
        STATUS_SUCCESS,
        ExInitializeLookasideListEx(deed_list, NULL, free_with_deed, PagedPool, 0, BYTES, TAG, 0));
    burst(deed_list, 40);
    ExAdjustLookasideDepth(); /* depth 8 */
    burst(deed_list, 40);
    deed_list->L.Depth = 4;
}

static void test_a_free_that_raises_or_stops_ends_the_look_that_has_called_it(void)
{
    for (deed = DEED_RAISE; deed <= DEED_STOP; ++deed) {
        static struct owner owner;
        struct ddi_stop stop = { 0 };
        enum deed now = deed;
        volatile NTSTATUS raised = 0;

        make_surplus(&owner);
        deed = now;
        __try {
            DDI_CATCH(&stop, ExAdjustLookasideDepth());
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            raised = GetExceptionCode();
        }
        DDI_EQUAL(deed == DEED_RAISE ? STATUS_UNSUCCESSFUL : 0, raised);
        DDI_EQUAL(deed == DEED_STOP, stop.caught);
        DDI_EQUAL(6, ExQueryDepthSList(&owner.list.L.ListHead)); /* 2 came back */
        DDI_TRUE(delete_ends(&deed_deleter, 10000));
        pthread_join(deed_deleter, NULL);
        DDI_EQUAL(1, ddi_live(TAG, 1));
        ExFreePoolWithTag(deed_block, TAG);
    }
}

static void test_a_free_that_catches_its_stop_may_lose_its_list(void)
{
    static struct owner owner;

    damaged = 0;
    make_surplus(&owner);
    deed = DEED_CATCH;
    ExAdjustLookasideDepth();
    pthread_join(deed_deleter, NULL);
    DDI_EQUAL(0, damaged);
    DDI_EQUAL(1, ddi_live(TAG, 1));
    ExFreePoolWithTag(deed_block, TAG);
}

static LOOKASIDE_LIST_EX list_second;

static VOID plain_free(PVOID block, PLOOKASIDE_LIST_EX list)
{
    (void)list;
    ExFreePool(block);
}

static void test_a_look_from_inside_a_free_leaves_the_list_marked(void)
{
    static struct owner owner;

    damaged = 0;
    make_surplus(&owner);
    DDI_EQUAL(
        STATUS_SUCCESS,
        ExInitializeLookasideListEx(&list_second, NULL, plain_free, PagedPool, 0, BYTES, TAG, 0));
    burst(&list_second, 4);
    list_second.L.Depth = 2;
    deed = DEED_LOOK;
    ExAdjustLookasideDepth();
    pthread_join(deed_deleter, NULL);
    DDI_EQUAL(0, damaged);
    ExDeleteLookasideListEx(&list_second);
    DDI_EQUAL(1, ddi_live(TAG, 1));
    ExFreePoolWithTag(deed_block, TAG);
}

static const struct ddi_test tests[] = {
    DDI_TEST("lists", test_a_free_that_raises_or_stops_ends_the_look_that_has_called_it),
    DDI_TEST("lists", test_a_free_that_catches_its_stop_may_lose_its_list),
    DDI_TEST("lists", test_a_look_from_inside_a_free_leaves_the_list_marked),
};

DDI_MAIN(tests)
