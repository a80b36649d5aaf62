/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 when it fails (api 24 to 35), and which error wins when several apply.
 *
 * A raise has no handler in this issue and is seen as stop 0x1E with the status. Failures for want
 * of memory are made in both ways: a limit on the pool, and a refused request for pages.
 */
#include "ddi_test.h"

#include <wdm.h>

enum {
    TAG = 'liaF'
};
enum {
    NEVER_USED_TAG = 'vreN'
};

static void *allocate(POOL_FLAGS flags, size_t bytes, uint32_t tag)
{
    return ddi_opaque(ExAllocatePool2(flags, ddi_size(bytes), tag));
}

/* The call returns NULL and, with RAISE_ON_FAILURE, raises the status. */
static void fails(int line, POOL_FLAGS flags, size_t bytes, uint32_t tag, NTSTATUS status)
{
    struct ddi_stop stop;
    void *volatile block = &stop;

    DDI_CATCH(&stop, block = allocate(flags, bytes, tag));
    ddi_no_stop(__FILE__, line, &stop);
    ddi_equal(__FILE__, line, "block", 0, (uintptr_t)block);
    DDI_CATCH(&stop, block = allocate(flags | POOL_FLAG_RAISE_ON_FAILURE, bytes, tag));
    ddi_stop_is(__FILE__,
                line,
                &stop,
                KMODE_EXCEPTION_NOT_HANDLED,
                (uint32_t)status,
                DDI_ANY,
                DDI_ANY,
                DDI_ANY);
}

static void test_pool2_tag_zero_fails_or_raises(void)
{
    fails(__LINE__, POOL_FLAG_PAGED, 100, 0, STATUS_INVALID_PARAMETER);
    fails(__LINE__, POOL_FLAG_NON_PAGED, 5000, 0, STATUS_INVALID_PARAMETER);
    fails(__LINE__, POOL_FLAG_NON_PAGED_EXECUTE, 0, 0, STATUS_INVALID_PARAMETER);
}

static void test_pool2_not_exactly_one_pool_fails(void)
{
    const POOL_FLAGS n = POOL_FLAG_NON_PAGED;
    const POOL_FLAGS x = POOL_FLAG_NON_PAGED_EXECUTE;
    const POOL_FLAGS p = POOL_FLAG_PAGED;
    const POOL_FLAGS none[] = {
        0, POOL_FLAG_UNINITIALIZED, POOL_FLAG_CACHE_ALIGNED, POOL_FLAG_SPECIAL_POOL
    };
    const POOL_FLAGS several[] = { n | x, n | p, x | p, n | x | p };

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); ++i) {
        fails(__LINE__, none[i], 100, TAG, STATUS_INVALID_PARAMETER);
    }
    for (size_t i = 0; i < sizeof(several) / sizeof(several[0]); ++i) {
        fails(__LINE__, several[i], 100, TAG, STATUS_INVALID_PARAMETER);
    }
}

static void test_pool2_given_a_pool_type_fails(void)
{
    fails(__LINE__, PagedPool, 100, TAG, STATUS_INVALID_PARAMETER);
    fails(__LINE__, NonPagedPoolNx, 100, TAG, STATUS_INVALID_PARAMETER);
    fails(__LINE__, NonPagedPool, 100, TAG, STATUS_INVALID_PARAMETER);
}

static void test_pool2_each_reserved_or_unknown_required_bit_fails(void)
{
    static const POOL_FLAGS pools[] = { POOL_FLAG_PAGED,
                                        POOL_FLAG_NON_PAGED,
                                        POOL_FLAG_NON_PAGED_EXECUTE };

    for (int pool = 0; pool < 3; ++pool) {
        fails(__LINE__, pools[pool] | POOL_FLAG_RESERVED1, 100, TAG, STATUS_INVALID_PARAMETER);
        fails(__LINE__, pools[pool] | POOL_FLAG_RESERVED2, 100, TAG, STATUS_INVALID_PARAMETER);
        fails(__LINE__, pools[pool] | POOL_FLAG_RESERVED3, 100, TAG, STATUS_INVALID_PARAMETER);
        for (int bit = 11; bit < 32; ++bit) {
            fails(__LINE__, pools[pool] | UINT64_C(1) << bit, 100, TAG, STATUS_INVALID_PARAMETER);
        }
    }
}

/* Allocate pages until one request is refused; what is left must be whole and usable. */
static void refuse_one_page_request(POOL_FLAGS flags, size_t bytes, bool raise)
{
    enum {
        BLOCKS = 40000
    };
    static void *block[BLOCKS + 1];
    struct ddi_stop stop = { 0 };
    const size_t blocks = bytes < 4096 ? BLOCKS : ((size_t)128 << 20) / bytes;
    volatile size_t count = 0;
    volatile bool failed = false;

    (void)expool_set("front_cache", "0");
    expool_trim();
    expool_fail_page_request(1);
    while (count < blocks && !failed) {
        if (raise) {
            DDI_CATCH(&stop,
                      block[count] = allocate(flags | POOL_FLAG_RAISE_ON_FAILURE, bytes, TAG));
            failed = stop.caught;
        } else {
            block[count] = allocate(flags, bytes, TAG);
            failed = block[count] == NULL;
        }
        count = count + !failed;
    }
    DDI_TRUE_FOR(failed, bytes);
    if (raise && failed) {
        DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    }
    block[count] = allocate(flags, bytes, TAG);
    DDI_TRUE_FOR(block[count] != NULL, bytes); /* once only */
    for (size_t i = 0; i <= count; ++i) {
        if (block[i] != NULL) {
            memset(block[i], 0x77, bytes);
            ExFreePoolWithTag(block[i], TAG);
        }
    }
    expool_fail_page_request(0);
    (void)expool_set("front_cache", "1");
}

static void test_pool2_refused_pages_fail_or_raise(void)
{
    static const POOL_FLAGS pools[] = { POOL_FLAG_PAGED,
                                        POOL_FLAG_NON_PAGED,
                                        POOL_FLAG_NON_PAGED_EXECUTE };
    static const size_t sizes[] = { 64, 3000, 4096, 6000, 100000 };

    for (int pool = 0; pool < 3; ++pool) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
            refuse_one_page_request(pools[pool], sizes[i], false);
            refuse_one_page_request(pools[pool], sizes[i], true);
        }
    }
}

/* Fill a limited pool with blocks of one size, then free one and ask again. */
static void fill_to_the_limit(POOL_FLAGS flags, const char *option, size_t bytes)
{
    enum {
        BLOCKS = 4096,
        LIMIT = 4 << 20
    };
    static void *block[BLOCKS];
    struct ddi_stop stop;
    volatile size_t count = 0;

    expool_trim();
    DDI_EQUAL(0, expool_set(option, "4M"));
    while (count < BLOCKS && (block[count] = allocate(flags, bytes, TAG)) != NULL) {
        count = count + 1;
    }
    if (DDI_TRUE_FOR(count < BLOCKS && count > 0, bytes)) {
        DDI_TRUE_FOR(count * bytes <= LIMIT, bytes);
        DDI_TRUE_FOR(allocate(flags, bytes, TAG) == NULL, bytes);
        DDI_CATCH(&stop, (void)allocate(flags | POOL_FLAG_RAISE_ON_FAILURE, bytes, TAG));
        DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
        ExFreePoolWithTag(block[count / 2], TAG);
        block[count / 2] = allocate(flags, bytes, TAG);
        DDI_TRUE_FOR(block[count / 2] != NULL, bytes);
        DDI_TRUE_FOR(allocate(flags, bytes, TAG) == NULL, bytes);
    }
    for (size_t i = 0; i < count; ++i) {
        if (block[i] != NULL) {
            ExFreePoolWithTag(block[i], TAG);
        }
    }
    DDI_EQUAL(0, expool_set(option, "unlimited"));
}

static void test_pool2_over_the_limit_fails_until_a_block_is_freed(void)
{
    static const size_t sizes[] = { 4096, 10000, 65536, 200000, 1 << 20 };
    void *block;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        fill_to_the_limit(POOL_FLAG_PAGED, "paged_limit", sizes[i]);
        fill_to_the_limit(POOL_FLAG_NON_PAGED, "nonpaged_limit", sizes[i]);
        fill_to_the_limit(POOL_FLAG_NON_PAGED_EXECUTE, "nonpaged_limit", sizes[i]);
    }
    DDI_EQUAL(0, expool_set("paged_limit", "1M"));
    block = allocate(POOL_FLAG_NON_PAGED, 4 << 20, TAG); /* the other pool's limit is not ours */
    DDI_TRUE(block != NULL);
    ExFreePool(block);
    fails(__LINE__, POOL_FLAG_PAGED, 4 << 20, TAG, STATUS_INSUFFICIENT_RESOURCES);
    DDI_EQUAL(0, expool_set("paged_limit", "unlimited"));
}

static void test_pool2_limit_holds_for_nonpaged_pools_together(void)
{
    void *execute;
    void *nonpaged;

    expool_trim();
    DDI_EQUAL(0, expool_set("nonpaged_limit", "4M"));
    execute = allocate(POOL_FLAG_NON_PAGED_EXECUTE, 3 << 20, TAG);
    DDI_TRUE(execute != NULL);
    DDI_TRUE(allocate(POOL_FLAG_NON_PAGED, 3 << 20, TAG) == NULL);
    ExFreePool(execute);
    nonpaged = allocate(POOL_FLAG_NON_PAGED, 3 << 20, TAG);
    DDI_TRUE(nonpaged != NULL);
    ExFreePool(nonpaged);
}

static void test_pool2_sizes_that_overflow_fail(void)
{
    static const size_t sizes[] = { SIZE_MAX,         SIZE_MAX - 1,    SIZE_MAX - 15,
                                    SIZE_MAX - 4094,  SIZE_MAX - 4095, SIZE_MAX - 4096,
                                    SIZE_MAX / 2 + 1, SIZE_MAX / 2,    SIZE_MAX / 4 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        fails(__LINE__, POOL_FLAG_PAGED, sizes[i], TAG, STATUS_INSUFFICIENT_RESOURCES);
        fails(__LINE__, POOL_FLAG_NON_PAGED, sizes[i], TAG, STATUS_INSUFFICIENT_RESOURCES);
        fails(__LINE__,
              POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_CACHE_ALIGNED,
              sizes[i],
              TAG,
              STATUS_INSUFFICIENT_RESOURCES);
    }
}

static void test_pool2_paged_at_dispatch_stops(void)
{
    static const size_t sizes[] = { 0, 1, 100, 4096, 100000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        struct ddi_stop stop;
        KIRQL old;

        KeRaiseIrql(DISPATCH_LEVEL, &old);
        DDI_CATCH(&stop, (void)allocate(POOL_FLAG_PAGED, sizes[i], TAG));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, sizes[i]);
        KeLowerIrql(old);
        KeRaiseIrql(APC_LEVEL, &old);
        DDI_CATCH(&stop, ExFreePool(allocate(POOL_FLAG_PAGED, sizes[i], TAG)));
        DDI_NO_STOP(&stop);
        KeLowerIrql(old);
    }
}

static void test_pool2_nonpaged_above_dispatch_stops(void)
{
    for (KIRQL level = 3; level <= HIGH_LEVEL; ++level) {
        struct ddi_stop stop;
        KIRQL old;

        KeRaiseIrql(level, &old);
        DDI_CATCH(&stop, (void)allocate(POOL_FLAG_NON_PAGED, 100, TAG));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, level, NonPagedPoolNx, 100);
        DDI_CATCH(&stop, (void)allocate(POOL_FLAG_NON_PAGED_EXECUTE, 5000, TAG));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, level, NonPagedPoolExecute, 5000);
        DDI_CATCH(&stop, (void)allocate(POOL_FLAG_PAGED, 100, TAG));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, level, PagedPool, 100);
        KeLowerIrql(old);
    }
}

static void test_pool2_tag_big_stops(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, (void)allocate(POOL_FLAG_PAGED, 100, ' GIB'));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x9C, PagedPool, 100, DDI_ANY);
    DDI_CATCH(&stop, (void)allocate(POOL_FLAG_NON_PAGED, 5000, ' GIB'));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x9C, NonPagedPoolNx, 5000, DDI_ANY);
    DDI_CATCH(&stop, (void)allocate(POOL_FLAG_NON_PAGED_EXECUTE, 0, ' GIB'));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x9C, NonPagedPoolExecute, 0, DDI_ANY);
}

/* spec/diagnostics.md 1.7: flags and tag 0 only fail the call; IRQL before tag BIG. */
static void test_pool2_first_error_wins(void)
{
    struct ddi_stop stop;
    void *volatile block = &stop;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, block = allocate(POOL_FLAG_PAGED | POOL_FLAG_RESERVED1, 100, TAG));
    DDI_NO_STOP(&stop);
    DDI_TRUE(block == NULL);
    DDI_CATCH(&stop, block = allocate(POOL_FLAG_PAGED, 100, ' GIB'));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, 100);
    DDI_CATCH(&stop, block = allocate(POOL_FLAG_PAGED, SIZE_MAX, TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, SIZE_MAX);
    KeLowerIrql(old);
    DDI_CATCH(&stop, block = allocate(POOL_FLAG_PAGED, SIZE_MAX, ' GIB'));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x9C, PagedPool, SIZE_MAX, DDI_ANY);
    DDI_CATCH(&stop, block = allocate(POOL_FLAG_RESERVED1, 100, ' GIB'));
    DDI_NO_STOP(&stop);
    DDI_TRUE(block == NULL);
}

/* The whole tag table before and after every kind of failure, under a tag nobody ever used. */
static void test_pool2_failed_call_leaves_no_trace(void)
{
    static struct expool_tag_row before[DDI_ROWS_MAX];
    static struct expool_tag_row after[DDI_ROWS_MAX];
    struct expool_region_header region_before;
    struct expool_region_header region_after;
    struct ddi_stop stop;
    KIRQL old;
    size_t count = expool_tags(before, DDI_ROWS_MAX);
    bool region = ddi_region(&region_before);

    (void)allocate(POOL_FLAG_PAGED, SIZE_MAX, NEVER_USED_TAG);
    (void)allocate(POOL_FLAG_NON_PAGED, SIZE_MAX / 2, NEVER_USED_TAG);
    (void)allocate(0, 100, NEVER_USED_TAG);
    (void)allocate(POOL_FLAG_PAGED | POOL_FLAG_RESERVED3, 100, NEVER_USED_TAG);
    (void)allocate(POOL_FLAG_PAGED, 100, 0);
    (void)expool_set("paged_limit", "0");
    (void)allocate(POOL_FLAG_PAGED, 1 << 20, NEVER_USED_TAG);
    (void)expool_set("paged_limit", "unlimited");
    DDI_CATCH(
        &stop,
        (void)allocate(POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE, SIZE_MAX, NEVER_USED_TAG));
    DDI_TRUE(stop.caught);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, (void)allocate(POOL_FLAG_PAGED, 100, NEVER_USED_TAG));
    DDI_TRUE(stop.caught);
    KeLowerIrql(old);

    DDI_EQUAL(count, expool_tags(after, DDI_ROWS_MAX));
    DDI_TRUE(count <= DDI_ROWS_MAX && memcmp(before, after, count * sizeof(before[0])) == 0);
    if (region && DDI_TRUE(ddi_region(&region_after))) {
        for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; ++pool) {
            DDI_EQUAL(region_before.pool[pool].pages, region_after.pool[pool].pages);
        }
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("35", test_pool2_failed_call_leaves_no_trace),
    DDI_TEST("24", test_pool2_tag_zero_fails_or_raises),
    DDI_TEST("25,28", test_pool2_not_exactly_one_pool_fails),
    DDI_TEST("26,28", test_pool2_given_a_pool_type_fails),
    DDI_TEST("27,28", test_pool2_each_reserved_or_unknown_required_bit_fails),
    DDI_TEST("29", test_pool2_refused_pages_fail_or_raise),
    DDI_TEST("30", test_pool2_over_the_limit_fails_until_a_block_is_freed),
    DDI_TEST("30", test_pool2_limit_holds_for_nonpaged_pools_together),
    DDI_TEST("31", test_pool2_sizes_that_overflow_fail),
    DDI_TEST("32", test_pool2_paged_at_dispatch_stops),
    DDI_TEST("33", test_pool2_nonpaged_above_dispatch_stops),
    DDI_TEST("34", test_pool2_tag_big_stops),
    DDI_TEST("24-34", test_pool2_first_error_wins),
};

DDI_MAIN(tests)
