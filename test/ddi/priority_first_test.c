/* SPDX-License-Identifier: MIT */
/*
 * Priorities before anything else (api 57): the call that starts the pool names the lowest one, and
 * no pool has a limit.
 */
#include "ddi_test.h"

#include <wdm.h>

enum {
    TAG = 'tsrF'
};

static void test_first_call_of_all_may_have_low_priority(void)
{
    void *block = ExAllocatePoolWithTagPriority(PagedPool, 100, TAG, LowPoolPriority);

    DDI_TRUE(block != NULL);
    if (block != NULL) {
        ExFreePoolWithTag(block, TAG);
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("57", test_first_call_of_all_may_have_low_priority),
};

DDI_MAIN(tests)
