/* SPDX-License-Identifier: MIT */
/*
 * POOL_NX_OPTOUT in a file cancels either opt-in there (api 84).
 */
#define POOL_NX_OPTIN      1
#define POOL_NX_OPTIN_AUTO 1
#define POOL_NX_OPTOUT     1
#include "ddi_test.h"

#include <wdm.h>

enum {
    BY_DEFAULT = NonPagedPool,
    ALIGNED_BY_DEFAULT = NonPagedPoolCacheAligned
};
C_ASSERT(BY_DEFAULT == 0 && ALIGNED_BY_DEFAULT == 4);

static void test_optout_keeps_the_names_executable(void)
{
    DDI_EQUAL(0, NonPagedPool);
    DDI_EQUAL(4, NonPagedPoolCacheAligned);
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    DDI_EQUAL(0, NonPagedPool);
    DDI_EQUAL(4, NonPagedPoolCacheAligned);
    DDI_EQUAL(512, ExDefaultNonPagedPoolType);
}

static const struct ddi_test tests[] = {
    DDI_TEST("84", test_optout_keeps_the_names_executable),
};

DDI_MAIN(tests)
