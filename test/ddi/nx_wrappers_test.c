/* SPDX-License-Identifier: MIT */
/*
 * The wrappers, and the names of nonpaged pool without any opt-in (api 79, 80, 84).
 *
 * This file is one image with POOL_ZERO_DOWN_LEVEL_SUPPORT off; nx_optin_auto_test.c,
 * nx_optin_test.c and nx_optout_test.c are images with the other definitions.
 */
#include "ddi_test.h"
#include "nx_wrappers.h"

#include <wdm.h>

enum {
    BY_DEFAULT = NonPagedPool,
    ALIGNED_BY_DEFAULT = NonPagedPoolCacheAligned
};
C_ASSERT(BY_DEFAULT == 0 && ALIGNED_BY_DEFAULT == 4);

static void test_globals_start_as_documented(void)
{
    DDI_EQUAL(NonPagedPoolExecute, ExDefaultNonPagedPoolType);
    DDI_EQUAL(0, ExDefaultMdlProtection);
    DDI_EQUAL(FALSE, ExPoolZeroingNativelySupported);
}

static void test_zero_wrapper_zeroes_before_and_after_initialization(void)
{
    check_zero_wrapper();
    ExInitializeDriverRuntime(0);
    DDI_EQUAL(NonPagedPoolExecute, ExDefaultNonPagedPoolType);
    DDI_EQUAL(0, ExDefaultMdlProtection);
    check_zero_wrapper();
}

/* One failure cause, once through each routine: same block or NULL, same stop. */
static void compare(int type, size_t bytes, uint32_t tag, KIRQL level)
{
    struct ddi_stop plain;
    struct ddi_stop wrapped;
    void *volatile plain_block = NULL;
    void *volatile wrapped_block = NULL;
    KIRQL old;

    KeRaiseIrql(level, &old);
    DDI_CATCH(&plain, plain_block = ExAllocatePoolWithTag((POOL_TYPE)type, bytes, tag));
    DDI_CATCH(&wrapped, wrapped_block = ExAllocatePoolUninitialized((POOL_TYPE)type, bytes, tag));
    KeLowerIrql(old);
    DDI_EQUAL(plain.caught, wrapped.caught);
    DDI_EQUAL(plain.code, wrapped.code);
    for (int i = 0; i < 3; ++i) { /* the fourth may be a caller's address */
        if (plain.code != KMODE_EXCEPTION_NOT_HANDLED || i == 0) {
            DDI_EQUAL(plain.parameter[i], wrapped.parameter[i]);
        }
    }
    DDI_TRUE(ddi_opaque(plain_block) == NULL && ddi_opaque(wrapped_block) == NULL);
}

static void test_uninitialized_wrapper_fails_as_with_tag(void)
{
    const uint32_t tag = 'tinU';

    compare(PagedPool, ddi_size(SIZE_MAX), tag, PASSIVE_LEVEL);
    compare(PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, ddi_size(SIZE_MAX), tag, PASSIVE_LEVEL);
    compare(PagedPool, 100, 0, PASSIVE_LEVEL);
    compare(PagedPool, 100, ' GIB', PASSIVE_LEVEL);
    compare(NonPagedPoolMustSucceed, 100, tag, PASSIVE_LEVEL);
    compare(PagedPool, 100, tag, DISPATCH_LEVEL);
    compare(NonPagedPoolNx, 100, tag, DISPATCH_LEVEL + 1);
    DDI_EQUAL(0, expool_set("paged_limit", "1M"));
    compare(PagedPool, 2 << 20, tag, PASSIVE_LEVEL);
    compare(PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, 2 << 20, tag, PASSIVE_LEVEL);
}

static void test_uninitialized_wrapper_succeeds_under_its_tag(void)
{
    struct expool_tag_row before = ddi_row('tinU', 1);
    uint8_t *block = ddi_opaque(ExAllocatePoolUninitialized(PagedPool, 123, 'tinU'));

    DDI_TRUE(block != NULL);
    DDI_EQUAL(before.allocs + 1, ddi_row('tinU', 1).allocs);
    ExFreePoolWithTag(block, 'tinU');
}

static const struct ddi_test tests[] = {
    DDI_TEST("82,85", test_globals_start_as_documented),
    DDI_TEST("79", test_zero_wrapper_zeroes_before_and_after_initialization),
    DDI_TEST("80", test_uninitialized_wrapper_fails_as_with_tag),
    DDI_TEST("80", test_uninitialized_wrapper_succeeds_under_its_tag),
};

DDI_MAIN(tests)
