/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists with the option verifier: they keep nothing, so that every free reaches the pool
 * and what it knows of misuse, and they are not tuned (spec/api.md 5.4).
 */
#include "ddi_test.h"

#include <wdm.h>

enum {
    TAG = 'vooL',
    BYTES = 64
};

static void test_verified_list_keeps_nothing_and_is_never_tuned(void)
{
    static PAGED_LOOKASIDE_LIST list;
    PVOID entry;

    DDI_EQUAL(0, expool_set("verifier", "1"));
    ExInitializePagedLookasideList(&list, NULL, NULL, 0, BYTES, TAG, 0);
    DDI_TRUE(expool_set("verifier", "0") != 0); /* settled by the first list */
    DDI_EQUAL(0, list.L.Depth);
    DDI_EQUAL(256, list.L.MaximumDepth);
    for (ULONG round = 1; round <= 40; ++round) {
        entry = ExAllocateFromPagedLookasideList(&list);
        DDI_EQUAL(1, ddi_live(TAG, 1));
        ExFreeToPagedLookasideList(&list, entry);
        DDI_EQUAL(0, ddi_live(TAG, 1));
        DDI_EQUAL(round, list.L.AllocateMisses);
        DDI_EQUAL(round, list.L.FreeMisses);
        ExAdjustLookasideDepth();
        DDI_EQUAL(0, list.L.Depth);
    }
    ExDeletePagedLookasideList(&list);
}

static const struct ddi_test tests[] = {
    DDI_TEST("lists", test_verified_list_keeps_nothing_and_is_never_tuned),
};

DDI_MAIN(tests)
