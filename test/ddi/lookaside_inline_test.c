/* SPDX-License-Identifier: MIT */
/*
 * Allocate and free in line (EXP_WDK_LOOKASIDE_INLINE): the same answers as the library's
 * functions, and both on one list, by two threads of each (api 142, 143, 150).
 */
#define EXP_WDK_LOOKASIDE_INLINE 1
#include "ddi_test.h"

#include <pthread.h>
#include <wdm.h>

enum {
    TAG = 'nilL',
    BYTES = 48,
    STEPS = 20000
};

/* The library's functions, whose names are taken in this file. */
PVOID library_allocate_ex(PLOOKASIDE_LIST_EX list) __asm__("ExAllocateFromLookasideListEx");
VOID library_free_ex(PLOOKASIDE_LIST_EX list, PVOID entry) __asm__("ExFreeToLookasideListEx");
PVOID library_allocate(PNPAGED_LOOKASIDE_LIST list) __asm__("ExAllocateFromNPagedLookasideList");
VOID library_free(PNPAGED_LOOKASIDE_LIST list, PVOID entry) __asm__("ExFreeToNPagedLookasideList");

static void test_inline_forms_and_functions_share_a_list(void)
{
    static NPAGED_LOOKASIDE_LIST list;
    PVOID entries[5];

    ExAdjustLookasideDepth(); /* from now on by hand */
    ExInitializeNPagedLookasideList(&list, NULL, NULL, POOL_NX_ALLOCATION, BYTES, TAG, 0);
    for (size_t i = 0; i < 5; ++i) {
        entries[i] =
            i % 2 == 0 ? ExAllocateFromNPagedLookasideList(&list) : library_allocate(&list);
    }
    DDI_EQUAL(5, list.L.TotalAllocates);
    DDI_EQUAL(5, list.L.AllocateMisses);
    for (size_t i = 0; i < 4; ++i) {
        if (i % 2 == 0) {
            library_free(&list, entries[i]);
        } else {
            ExFreeToNPagedLookasideList(&list, entries[i]);
        }
    }
    ExFreeToNPagedLookasideList(&list, entries[4]);
    DDI_EQUAL(5, list.L.TotalFrees);
    DDI_EQUAL(1, list.L.FreeMisses);
    DDI_EQUAL(4, ExQueryDepthSList(&list.L.ListHead));
    DDI_TRUE(ExAllocateFromNPagedLookasideList(&list) == entries[3]);
    DDI_TRUE(library_allocate(&list) == entries[2]);
    DDI_EQUAL(5, list.L.AllocateMisses);
    ExFreeToNPagedLookasideList(&list, entries[2]);
    ExFreeToNPagedLookasideList(&list, entries[3]);
    ExDeleteNPagedLookasideList(&list);
    DDI_EQUAL(0, ddi_live(TAG, 0));
}

static void test_inline_forms_of_paged_lists_work(void)
{
    static PAGED_LOOKASIDE_LIST list;
    PVOID entry;

    ExInitializePagedLookasideList(&list, NULL, NULL, 0, BYTES, TAG, 0);
    entry = ExAllocateFromPagedLookasideList(&list);
    DDI_TRUE(entry != NULL);
    ExFreeToPagedLookasideList(&list, entry);
    DDI_TRUE(ExAllocateFromPagedLookasideList(&list) == entry);
    ExFreeToPagedLookasideList(&list, entry);
    DDI_EQUAL(2, list.L.TotalAllocates);
    DDI_EQUAL(1, list.L.AllocateMisses);
    DDI_EQUAL(2, list.L.TotalFrees);
    ExDeletePagedLookasideList(&list);
    DDI_EQUAL(0, ddi_live(TAG, 1));
}

static LOOKASIDE_LIST_EX shared;

static void *mixed(void *context)
{
    uint64_t random = (uintptr_t)context;
    PVOID held[6] = { NULL };

    for (int step = 0; step < STEPS; ++step) {
        uint64_t choice = ddi_random(&random) >> 32;
        PVOID *place = &held[choice % 6];

        if (*place == NULL) {
            *place = choice % 4 < 2 ? ExAllocateFromLookasideListEx(&shared)
                                    : library_allocate_ex(&shared);
            memset(*place, (int)(uintptr_t)context, BYTES);
        } else {
            DDI_TRUE(ddi_all_bytes(*place, BYTES, (uint8_t)(uintptr_t)context));
            if (choice % 4 < 2) {
                ExFreeToLookasideListEx(&shared, *place);
            } else {
                library_free_ex(&shared, *place);
            }
            *place = NULL;
        }
    }
    for (size_t i = 0; i < 6; ++i) {
        if (held[i] != NULL) {
            ExFreeToLookasideListEx(&shared, held[i]);
        }
    }
    return NULL;
}

static void test_both_forms_by_threads_lose_nothing(void)
{
    pthread_t threads[4];

    DDI_EQUAL(STATUS_SUCCESS,
              ExInitializeLookasideListEx(&shared, NULL, NULL, NonPagedPoolNx, 0, BYTES, TAG, 0));
    for (size_t i = 0; i < 4; ++i) {
        DDI_EQUAL(0, pthread_create(&threads[i], NULL, mixed, (void *)(uintptr_t)(i + 1)));
    }
    for (size_t i = 0; i < 4; ++i) {
        pthread_join(threads[i], NULL);
    }
    DDI_EQUAL(shared.L.TotalAllocates, shared.L.TotalFrees);
    DDI_EQUAL(shared.L.AllocateMisses - shared.L.FreeMisses, ExQueryDepthSList(&shared.L.ListHead));
    DDI_EQUAL(ExQueryDepthSList(&shared.L.ListHead), ddi_live(TAG, 0));
    ExDeleteLookasideListEx(&shared);
    DDI_EQUAL(0, ddi_live(TAG, 0));
}

static const struct ddi_test tests[] = {
    DDI_TEST("142,143", test_inline_forms_and_functions_share_a_list),
    DDI_TEST("142", test_inline_forms_of_paged_lists_work),
    DDI_TEST("150", test_both_forms_by_threads_lose_nothing),
};

DDI_MAIN(tests)
