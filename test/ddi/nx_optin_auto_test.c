/* SPDX-License-Identifier: MIT */
/*
 * An image with POOL_NX_OPTIN_AUTO and POOL_ZERO_DOWN_LEVEL_SUPPORT (api 79, 81, 86).
 */
#define POOL_NX_OPTIN_AUTO 1
#define POOL_ZERO_DOWN_LEVEL_SUPPORT
#include "ddi_test.h"
#include "nx_wrappers.h"

#include <wdm.h>

enum {
    BY_DEFAULT = NonPagedPool,
    ALIGNED_BY_DEFAULT = NonPagedPoolCacheAligned
};
C_ASSERT(BY_DEFAULT == 512 && ALIGNED_BY_DEFAULT == 516);

static void test_optin_auto_makes_the_names_no_execute_constants(void)
{
    DDI_EQUAL(512, BY_DEFAULT);
    DDI_EQUAL(516, ALIGNED_BY_DEFAULT);
    switch (512) {
    case NonPagedPool: /* a constant, or this does not compile */
        break;
    default:
        DDI_TRUE(!"NonPagedPool is 512");
    }
}

static void test_zero_wrapper_zeroes_on_both_paths_of_down_level_support(void)
{
    DDI_EQUAL(FALSE, ExPoolZeroingNativelySupported);
    check_zero_wrapper(); /* by hand */
    ExInitializeDriverRuntime(0);
    DDI_EQUAL(TRUE, ExPoolZeroingNativelySupported);
    check_zero_wrapper(); /* by bit */
}

static void test_optin_auto_makes_lookaside_lists_no_execute(void)
{
    static NPAGED_LOOKASIDE_LIST list;

    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 64, 'nItO', 0);
    DDI_EQUAL(512, list.L.Type);
    ExDeleteNPagedLookasideList(&list);
}

static const struct ddi_test tests[] = {
    DDI_TEST("81", test_optin_auto_makes_the_names_no_execute_constants),
    DDI_TEST("86", test_optin_auto_makes_lookaside_lists_no_execute),
    DDI_TEST("79", test_zero_wrapper_zeroes_on_both_paths_of_down_level_support),
};

DDI_MAIN(tests)
