/* SPDX-License-Identifier: MIT */
/*
 * The pool routines of file systems: those of the pool, but every failure raises (api 87, 88).
 */
#include "ddi_test.h"

#include <ntifs.h>

enum {
    TAG = 'lRsF'
};

static void test_fsrtl_with_tag_raises_on_every_failure_of_memory(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, FsRtlAllocatePoolWithTag(PagedPool, ddi_size(SIZE_MAX), TAG));
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    DDI_EQUAL(0, expool_set("nonpaged_limit", "1M"));
    DDI_CATCH(&stop, FsRtlAllocatePoolWithTag(NonPagedPoolNx, 2 << 20, TAG));
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    DDI_CATCH(&stop,
              FsRtlAllocatePoolWithTag(
                  (POOL_TYPE)(NonPagedPoolNx | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), 2 << 20, TAG));
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
}

static void test_fsrtl_with_tag_is_with_tag_otherwise(void)
{
    static const POOL_TYPE types[] = { PagedPool, NonPagedPoolNx, NonPagedPoolExecute };
    struct ddi_stop stop;
    KIRQL old;

    for (size_t t = 0; t < ARRAYSIZE(types); ++t) {
        uint32_t pool = types[t] == PagedPool;
        uint64_t live = ddi_live(TAG, pool);
        uint8_t *block = ddi_opaque(FsRtlAllocatePoolWithTag(types[t], 5000, TAG));

        DDI_TRUE(block != NULL && (uintptr_t)block % PAGE_SIZE == 0);
        DDI_EQUAL(live + 1, ddi_live(TAG, pool));
        ExFreePoolWithTag(block, TAG);
        block = ddi_opaque(
            FsRtlAllocatePoolWithTag((POOL_TYPE)(types[t] | POOL_ZERO_ALLOCATION), 100, TAG));
        DDI_TRUE(block != NULL && ddi_all_bytes(block, 100, 0));
        ExFreePoolWithTag(block, TAG);
    }
    DDI_CATCH(&stop, FsRtlAllocatePoolWithTag(PagedPool, 100, 0));
    DDI_STOP(
        &stop, BAD_POOL_CALLER, 0x9B, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, 100, DDI_ANY);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ExFreePoolWithTag(FsRtlAllocatePoolWithTag(NonPagedPoolNx, 100, TAG), TAG);
    DDI_CATCH(&stop, FsRtlAllocatePoolWithTag(PagedPool, 100, TAG));
    KeLowerIrql(old);
    DDI_STOP(&stop,
             BAD_POOL_CALLER,
             0x08,
             DISPATCH_LEVEL,
             PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE,
             100);
}

static void test_fsrtl_without_tag_uses_fsrt(void)
{
    uint64_t live = ddi_live('trSF', 1);
    struct ddi_stop stop;
    PVOID block = FsRtlAllocatePool(PagedPool, 100);

    DDI_EQUAL(live + 1, ddi_live('trSF', 1));
    ExFreePoolWithTag(block, 'trSF');
    DDI_EQUAL(live, ddi_live('trSF', 1));
    DDI_EQUAL(0, expool_set("paged_limit", "1M"));
    DDI_CATCH(&stop, FsRtlAllocatePool(PagedPool, 2 << 20));
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
}

static void test_fsrtl_with_quota_raises_also_where_null_is_asked_for(void)
{
    struct expool_process *process = expool_process_create("fsrtl", 100, 100);
    struct expool_process *before = expool_process_enter(process);
    struct expool_usage usage;
    struct ddi_stop stop;
    uint64_t live = ddi_live('trSF', 1);
    PVOID block;

    DDI_CATCH(&stop, FsRtlAllocatePoolWithQuotaTag(PagedPool, 200, TAG));
    DDI_RAISES(&stop, STATUS_QUOTA_EXCEEDED);
    DDI_CATCH(&stop,
              FsRtlAllocatePoolWithQuotaTag(
                  (POOL_TYPE)(NonPagedPoolNx | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), 200, TAG));
    DDI_RAISES(&stop, STATUS_QUOTA_EXCEEDED);
    DDI_CATCH(&stop, FsRtlAllocatePoolWithQuota(PagedPool, 200));
    DDI_RAISES(&stop, STATUS_QUOTA_EXCEEDED);
    block = FsRtlAllocatePoolWithQuota(PagedPool, 50);
    DDI_TRUE(block != NULL);
    DDI_EQUAL(live + 1, ddi_live('trSF', 1));
    expool_process_usage(process, &usage);
    DDI_TRUE_FOR(usage.paged_bytes >= 50, usage.paged_bytes);
    ExFreePool(block);
    expool_process_usage(process, &usage);
    DDI_EQUAL(0, usage.paged_bytes);
    expool_process_enter(before);
    expool_process_release(process);
}

static const struct ddi_test tests[] = {
    DDI_TEST("87", test_fsrtl_with_tag_raises_on_every_failure_of_memory),
    DDI_TEST("87", test_fsrtl_with_tag_is_with_tag_otherwise),
    DDI_TEST("(2.12)", test_fsrtl_with_quota_raises_also_where_null_is_asked_for),
    DDI_TEST("88", test_fsrtl_without_tag_uses_fsrt),
};

DDI_MAIN(tests)
