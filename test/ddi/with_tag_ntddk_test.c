/* SPDX-License-Identifier: MIT */
/*
 * The names that ntddk.h changes (api 51, 89): ExAllocatePool supplies "Ddk ", ExFreePool is a
 * macro, and both functions stay reachable behind them.
 */
#include "ddi_test.h"

#include <ntddk.h>

enum {
    DDK = ' kdD',
    NONE = 'enoN'
};

#ifndef ExFreePool
#error "ntddk.h must define the macro ExFreePool"
#endif

static void test_ntddk_pool_macro_counts_under_ddk(void)
{
    struct expool_tag_row before = ddi_row(DDK, 1);
    void *block = ddi_opaque(ExAllocatePool(PagedPool, 100));

    DDI_TRUE(block != NULL);
    DDI_EQUAL(before.allocs + 1, ddi_row(DDK, 1).allocs);
    ExFreePool(block);
    DDI_EQUAL(before.frees + 1, ddi_row(DDK, 1).frees);
}

static void test_ntddk_functions_are_reachable_in_parentheses(void)
{
    struct expool_tag_row before = ddi_row(NONE, 0);
    void *block = ddi_opaque((ExAllocatePool)(NonPagedPoolNx, 100));

    DDI_TRUE(block != NULL);
    DDI_EQUAL(before.allocs + 1, ddi_row(NONE, 0).allocs);
    (ExFreePool)(block);
    DDI_EQUAL(before.frees + 1, ddi_row(NONE, 0).frees);
}

#undef ExAllocatePool
#undef ExFreePool

static void test_ntddk_functions_are_reachable_after_undef(void)
{
    VOID (*free_function)(PVOID) = ExFreePool;
    struct expool_tag_row before = ddi_row(NONE, 1);
    void *block = ddi_opaque(ExAllocatePool(PagedPool, 5000));

    DDI_TRUE(block != NULL);
    DDI_EQUAL(before.allocs + 1, ddi_row(NONE, 1).allocs);
    free_function(block);
    DDI_EQUAL(before.frees + 1, ddi_row(NONE, 1).frees);
}

static const struct ddi_test tests[] = {
    DDI_TEST("51", test_ntddk_pool_macro_counts_under_ddk),
    DDI_TEST("50", test_ntddk_functions_are_reachable_in_parentheses),
    DDI_TEST("50", test_ntddk_functions_are_reachable_after_undef),
};

DDI_MAIN(tests)
