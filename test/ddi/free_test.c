/* SPDX-License-Identifier: MIT */
/*
 * Freeing, and what a wrong free stops with (api 89 to 98, 102), and ExQueryPoolBlockSize (api
 * 103, 105).
 *
 * Every wrong free is tried on a live neighbourhood: afterwards the block it was about must still
 * be there, with its bytes, and be freeable.
 */
#include "ddi_test.h"

#include <wdm.h>

enum {
    TAG = 'eerF',
    OTHER = 'htO',
    PROTECTED = 'torP'
};

static const POOL_FLAGS kinds[] = {
    POOL_FLAG_NON_PAGED,
    POOL_FLAG_PAGED,
    POOL_FLAG_NON_PAGED_EXECUTE,
};
static const POOL_TYPE types[] = { NonPagedPoolNx, PagedPool, NonPagedPoolExecute };
enum {
    KINDS = 3
};

static const size_t sizes[] = { 1, 16, 100, 1000, 3000, 4095, 4096, 4097, 12288, 100000, 1 << 20 };
enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0])
};

static uint8_t *allocate(POOL_FLAGS flags, size_t bytes, uint32_t tag)
{
    uint8_t *block = ddi_opaque(ExAllocatePool2(flags, bytes, tag));

    if (DDI_TRUE(block != NULL)) {
        memset(block, 0x6B, bytes);
    }
    return block;
}

/* Freeing address with tag stops as given, and leaves block (bytes, right) alone. */
static void refuses(int line,
                    void *address,
                    uint32_t tag,
                    const uint64_t parameter[4],
                    uint8_t *block,
                    size_t bytes,
                    uint32_t right)
{
    struct ddi_stop stop;
    struct expool_tag_row before = ddi_row(right & 0x7FFFFFFF, 1);
    struct expool_tag_row after;

    DDI_CATCH(&stop, ExFreePoolWithTag(address, tag));
    ddi_stop_is(__FILE__,
                line,
                &stop,
                BAD_POOL_CALLER,
                parameter[0],
                parameter[1],
                parameter[2],
                parameter[3]);
    after = ddi_row(right & 0x7FFFFFFF, 1);
    ddi_equal(__FILE__, line, "frees", before.frees, after.frees);
    if (block != NULL) {
        ddi_true(__FILE__, line, "the block is untouched", ddi_all_bytes(block, bytes, 0x6B));
        DDI_CATCH(&stop, ExFreePoolWithTag(block, right));
        ddi_no_stop(__FILE__, line, &stop);
    }
}

#define REFUSES(address, tag, p1, p2, p3, p4, block, bytes, right)                                 \
    refuses(__LINE__,                                                                              \
            (address),                                                                             \
            (tag),                                                                                 \
            (const uint64_t[4]){ (uint64_t)(p1), (uint64_t)(p2), (uint64_t)(p3), (uint64_t)(p4) }, \
            (block),                                                                               \
            (bytes),                                                                               \
            (right))

/* ExFreePool takes the block. */
static void frees(int line, void *block)
{
    struct ddi_stop stop;

    ddi_true(__FILE__, line, "a block was allocated", ddi_opaque(block) != NULL);
    DDI_CATCH(&stop, (ExFreePool)(block));
    ddi_no_stop(__FILE__, line, &stop);
}

static void test_free_takes_blocks_of_every_routine(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            frees(__LINE__, ExAllocatePool2(kinds[kind], sizes[i], TAG));
            frees(__LINE__, ExAllocatePoolWithTag(types[kind], sizes[i], TAG));
            frees(__LINE__, (ExAllocatePool)(types[kind], sizes[i]));
            frees(__LINE__, ExAllocatePoolZero(types[kind], sizes[i], TAG));
            frees(__LINE__, ExAllocatePoolUninitialized(types[kind], sizes[i], TAG));
        }
    }
}

static void test_free_with_tag_zero_takes_any_unprotected_block(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            struct ddi_stop stop;
            uint8_t *block = allocate(kinds[kind], sizes[i], TAG);

            DDI_CATCH(&stop, ExFreePoolWithTag(block, 0));
            DDI_NO_STOP(&stop);
        }
    }
}

static void test_free_with_wrong_tag_stops_for_every_size(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            uint8_t *block = allocate(kinds[kind], sizes[i], TAG);

            REFUSES(block, OTHER, 0x0A, block, TAG, OTHER, block, sizes[i], TAG);
        }
    }
}

/* The comparison leaves out the top bit of the given tag (api.md 2.4). */
static void test_free_with_top_bit_given_takes_an_unprotected_block(void)
{
    struct ddi_stop stop;
    uint8_t *block = allocate(POOL_FLAG_PAGED, 100, TAG);

    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG | PROTECTED_POOL));
    DDI_NO_STOP(&stop);
}

/* Wrong only by a tag that exists elsewhere, as well as by one that nobody ever used. */
static void test_free_with_wrong_known_tag_stops(void)
{
    uint8_t *other = allocate(POOL_FLAG_PAGED, 100, OTHER);
    uint8_t *block = allocate(POOL_FLAG_PAGED, 100, TAG);

    REFUSES(block, OTHER, 0x0A, block, TAG, OTHER, NULL, 0, TAG);
    REFUSES(block, 'wonK', 0x0A, block, TAG, 'wonK', block, 100, TAG);
    ExFreePoolWithTag(other, OTHER);
}

static void test_free_protected_needs_its_tag(void)
{
    const uint32_t tag = PROTECTED | PROTECTED_POOL;

    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            uint8_t *a = allocate(kinds[kind], sizes[i], tag);
            uint8_t *b = allocate(kinds[kind], sizes[i], tag);
            struct ddi_stop stop;

            REFUSES(a, 0, 0x0A, a, tag, 0, NULL, 0, tag);
            REFUSES(a, OTHER, 0x0A, a, tag, OTHER, NULL, 0, tag);
            DDI_CATCH(&stop, ExFreePool(a));
            DDI_STOP(&stop, BAD_POOL_CALLER, 0x0A, a, tag, 0);
            DDI_CATCH(&stop, ExFreePoolWithTag(a, tag));
            DDI_NO_STOP(&stop);
            DDI_CATCH(&stop, ExFreePoolWithTag(b, PROTECTED));
            DDI_NO_STOP(&stop);
        }
    }
}

static void test_protected_tag_is_counted_without_its_top_bit(void)
{
    struct expool_tag_row before = ddi_row(PROTECTED, 1);
    uint8_t *a = allocate(POOL_FLAG_PAGED, 100, PROTECTED | PROTECTED_POOL);
    uint8_t *b = allocate(POOL_FLAG_PAGED, 100, PROTECTED);
    struct expool_tag_row during = ddi_row(PROTECTED, 1);

    DDI_EQUAL(2, during.allocs - before.allocs);
    DDI_TRUE(during.bytes >= before.bytes + 200);
    DDI_EQUAL(0, ddi_row(PROTECTED | PROTECTED_POOL, 1).allocs);
    ExFreePoolWithTag(a, PROTECTED | PROTECTED_POOL);
    ExFreePool(b);
    DDI_EQUAL(2, ddi_row(PROTECTED, 1).frees - before.frees);
    DDI_EQUAL(before.bytes, ddi_row(PROTECTED, 1).bytes);
}

static void test_free_null_or_misaligned_stops(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, ExFreePool(NULL));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x46, 0, 0, 0);
    DDI_CATCH(&stop, ExFreePoolWithTag(NULL, TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x46, 0, 0, 0);
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 4; i < SIZES; ++i) {
            for (int offset = 1; offset < 16; ++offset) {
                uint8_t *block = allocate(kinds[kind], sizes[i], TAG);

                REFUSES(block + offset, TAG, 0x46, block + offset, 0, 0, block, sizes[i], TAG);
            }
        }
    }
}

static void test_free_inside_a_small_block_stops(void)
{
    static const size_t small[] = {
        32, 48, 100, 144, 500, 1000, 1360, 2000, 2048, 2500, 3000, 4000
    };

    for (int kind = 0; kind < KINDS; ++kind) {
        for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); ++i) {
            for (size_t offset = 16; offset < small[i]; offset += 16) {
                uint8_t *block = allocate(kinds[kind], small[i], TAG);

                REFUSES(block + offset, TAG, 0x99, block + offset, 0, 0, block, small[i], TAG);
            }
        }
    }
}

static void test_free_in_a_later_page_of_a_block_stops(void)
{
    static const size_t big[] = { 4097, 5120, 8192, 9000, 12288, 20000, 65536, 100000, 1 << 20 };

    for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); ++i) {
        for (size_t offset = PAGE_SIZE; offset < big[i] && offset < 20 * PAGE_SIZE;
             offset += PAGE_SIZE) {
            uint8_t *block = allocate(POOL_FLAG_PAGED, big[i], TAG);

            REFUSES(block + offset, TAG, 0x41286, 0, 0, offset, block, big[i], TAG);
            block = allocate(POOL_FLAG_NON_PAGED, big[i], TAG);
            REFUSES(block + offset, TAG, 0x99, block + offset, 0, 0, block, big[i], TAG);
            block = allocate(POOL_FLAG_NON_PAGED_EXECUTE, big[i], TAG);
            REFUSES(block + offset, TAG, 0x99, block + offset, 0, 0, block, big[i], TAG);
        }
    }
}

/* The same with small blocks in the rest of the last page, and in the rest of a split page. */
static void test_free_beside_a_tail_in_use_stops(void)
{
    enum {
        BIGS = 64,
        SMALLS = 3000
    };
    static uint8_t *big[BIGS];
    static uint8_t *part[BIGS];
    static uint8_t *small[SMALLS];

    for (int i = 0; i < BIGS; ++i) {
        big[i] = allocate(POOL_FLAG_PAGED, PAGE_SIZE + 1, TAG);
        part[i] = allocate(POOL_FLAG_PAGED, 2500, TAG);
    }
    for (int i = 0; i < SMALLS; ++i) {
        small[i] = allocate(POOL_FLAG_PAGED, 16 + (size_t)(i % 8) * 32, TAG);
    }
    for (int i = 0; i < BIGS; ++i) {
        uint8_t *page = big[i] + PAGE_SIZE;

        REFUSES(page, TAG, 0x41286, 0, 0, PAGE_SIZE, big[i], PAGE_SIZE + 1, TAG);
        REFUSES(part[i] + 16, TAG, 0x99, part[i] + 16, 0, 0, NULL, 0, TAG);
        REFUSES(part[i] + 2048, TAG, 0x99, part[i] + 2048, 0, 0, part[i], 2500, TAG);
    }
    for (int i = 0; i < SMALLS; ++i) {
        DDI_TRUE(ddi_all_bytes(small[i], 16 + (size_t)(i % 8) * 32, 0x6B));
        ExFreePoolWithTag(small[i], TAG);
    }
}

static void test_free_outside_the_pool_stops(void)
{
    static uint8_t global[64] __attribute__((aligned(16)));
    uint8_t local[64] __attribute__((aligned(16)));
    uint8_t *heap = malloc(100000);
    uint8_t *block = allocate(POOL_FLAG_PAGED, 100, TAG);
    struct expool_region_header header;
    uint64_t lowest = DDI_ANY;

    if (DDI_TRUE(ddi_region(&header))) {
        lowest = header.range_base;
    }
    REFUSES(local, TAG, 0x40, local, lowest, 0, NULL, 0, TAG);
    REFUSES(local + 3, 0, 0x40, local + 3, lowest, 0, NULL, 0, TAG);
    REFUSES(global, TAG, 0x40, global, lowest, 0, NULL, 0, TAG);
    REFUSES(heap, TAG, 0x40, heap, lowest, 0, NULL, 0, TAG);
    REFUSES((void *)(uintptr_t)&ddi_main, TAG, 0x40, &ddi_main, lowest, 0, NULL, 0, TAG);
    REFUSES((void *)16, TAG, 0x40, 16, lowest, 0, NULL, 0, TAG);
    REFUSES((void *)0xFFFFFFFFFFFFFFF0, TAG, 0x40, 0xFFFFFFFFFFFFFFF0, lowest, 0, NULL, 0, TAG);
    ExFreePoolWithTag(block, TAG);
    free(heap);
}

static void test_free_of_an_address_never_handed_out_stops(void)
{
    struct expool_region_header header;
    uint8_t *last;

    ExFreePoolWithTag(allocate(POOL_FLAG_PAGED, 100, TAG), TAG);
    if (!DDI_TRUE(ddi_region(&header)) || !DDI_TRUE(header.range_base != 0)) {
        return;
    }
    last = (uint8_t *)(uintptr_t)(header.range_base + header.range_bytes - PAGE_SIZE);
    REFUSES(last, TAG, 0x42, last, 0, 0, NULL, 0, TAG);
    REFUSES(last + 16, 0, 0x42, last + 16, 0, 0, NULL, 0, TAG);
    last = (uint8_t *)(uintptr_t)header.range_base; /* the pool's own head: nobody's block either */
    REFUSES(last, TAG, 0x42, last, 0, 0, NULL, 0, TAG);
    REFUSES(last + 16, 0, 0x42, last + 16, 0, 0, NULL, 0, TAG);
}

/* A second free, at once and after n other blocks of that size came and went. */
static void test_free_small_block_twice_stops(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; sizes[i] < 4000; ++i) {
            uint8_t *keep = allocate(kinds[kind], sizes[i], TAG);
            uint8_t *block = allocate(kinds[kind], sizes[i], TAG);

            ExFreePoolWithTag(block, TAG);
            REFUSES(block, TAG, 0x07, 0, DDI_ANY, block, NULL, 0, TAG);
            REFUSES(block, 0, 0x07, 0, DDI_ANY, block, NULL, 0, TAG);
            REFUSES(block, OTHER, 0x07, 0, DDI_ANY, block, NULL, 0, TAG);
            ExFreePoolWithTag(keep, TAG);
        }
    }
}

static void test_free_page_block_twice_stops(void)
{
    static const size_t big[] = { 4096, 4097, 8192, 20000, 65536, 65537, 1 << 20, 5 << 20 };

    for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); ++i) {
        for (int trim = 0; trim < 2; ++trim) {
            uint8_t *nonpaged = allocate(POOL_FLAG_NON_PAGED, big[i], TAG);
            uint8_t *execute = allocate(POOL_FLAG_NON_PAGED_EXECUTE, big[i], TAG);
            uint8_t *paged = allocate(POOL_FLAG_PAGED, big[i], TAG);
            struct expool_region_header header;
            uint64_t page = DDI_ANY;
            uint64_t bytes = DDI_ANY;

            if (DDI_TRUE(ddi_region(&header))) {
                page = ((uintptr_t)paged - header.range_base) / PAGE_SIZE;
                bytes = header.range_bytes;
            }
            ExFreePoolWithTag(nonpaged, TAG);
            ExFreePoolWithTag(execute, TAG);
            ExFreePoolWithTag(paged, TAG);
            if (trim != 0) {
                expool_trim();
            }
            REFUSES(nonpaged, TAG, 0x44, nonpaged, DDI_ANY, 0, NULL, 0, TAG);
            REFUSES(execute, 0, 0x44, execute, DDI_ANY, 0, NULL, 0, TAG);
            REFUSES(paged, TAG, 0x50, paged, page, bytes, NULL, 0, TAG);
            REFUSES(paged, OTHER, 0x50, paged, page, bytes, NULL, 0, TAG);
        }
    }
}

static void test_free_at_too_high_irql_stops(void)
{
    for (int i = 0; i < SIZES; ++i) {
        uint8_t *paged = allocate(POOL_FLAG_PAGED, sizes[i], TAG);
        uint8_t *nonpaged = allocate(POOL_FLAG_NON_PAGED, sizes[i], TAG);
        uint8_t *execute = allocate(POOL_FLAG_NON_PAGED_EXECUTE, sizes[i], TAG);
        struct ddi_stop stop;
        KIRQL old;

        KeRaiseIrql(DISPATCH_LEVEL, &old);
        DDI_CATCH(&stop, ExFreePoolWithTag(paged, TAG));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, DISPATCH_LEVEL, PagedPool, paged);
        DDI_CATCH(&stop, ExFreePool(paged));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, DISPATCH_LEVEL, PagedPool, paged);
        DDI_CATCH(&stop, ExFreePoolWithTag(paged, OTHER)); /* IRQL before tag */
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, DISPATCH_LEVEL, PagedPool, paged);
        KeLowerIrql(old);
        KeRaiseIrql(3, &old);
        DDI_CATCH(&stop, ExFreePoolWithTag(nonpaged, TAG));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, 3, NonPagedPoolNx, nonpaged);
        DDI_CATCH(&stop, ExFreePool(execute));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, 3, NonPagedPoolExecute, execute);
        KeLowerIrql(DISPATCH_LEVEL);
        DDI_CATCH(&stop, ExFreePoolWithTag(nonpaged, TAG));
        DDI_NO_STOP(&stop);
        DDI_CATCH(&stop, ExFreePool(execute));
        DDI_NO_STOP(&stop);
        KeLowerIrql(old);
        KeRaiseIrql(APC_LEVEL, &old);
        DDI_CATCH(&stop, ExFreePoolWithTag(paged, TAG));
        DDI_NO_STOP(&stop);
        KeLowerIrql(old);
    }
}

/* spec/diagnostics.md 1.7: address, then state, then IRQL, then tag. */
static void test_free_first_error_wins(void)
{
    uint8_t *block = allocate(POOL_FLAG_PAGED, 100, TAG);
    uint8_t *dead = allocate(POOL_FLAG_PAGED, 100, TAG);
    struct ddi_stop stop;
    KIRQL old;

    ExFreePoolWithTag(dead, TAG);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, ExFreePoolWithTag(NULL, OTHER));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x46, 0, 0, 0);
    DDI_CATCH(&stop, ExFreePoolWithTag(block + 16, OTHER));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, block + 16, 0, 0);
    DDI_CATCH(&stop, ExFreePoolWithTag(dead, OTHER));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x07, 0, DDI_ANY, dead);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, OTHER));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, DISPATCH_LEVEL, PagedPool, block);
    KeLowerIrql(old);
    ExFreePoolWithTag(block, TAG);
}

/* Ten thousand stops of all kinds, and the pool serves as before and counts as before. */
static void test_stop_left_by_longjmp_leaves_the_pool_usable(void)
{
    struct expool_tag_row before = ddi_row(TAG, 1);
    struct expool_tag_row after;
    uint8_t *volatile block[64];
    struct ddi_stop stop;

    for (int n = 0; n < 64; ++n) {
        block[n] = allocate(POOL_FLAG_PAGED, 40 * (size_t)n + 40, TAG);
    }
    for (volatile int step = 0; step < 10000; step = step + 1) {
        const int n = step % 64;

        switch (step % 5) {
        case 0:
            DDI_CATCH(&stop, ExFreePoolWithTag(block[n], OTHER));
            break;
        case 1:
            DDI_CATCH(&stop, ExFreePool(block[n] + 16));
            break;
        case 2:
            DDI_CATCH(&stop, ExFreePool(NULL));
            break;
        case 3:
            DDI_CATCH(&stop, (void)ExAllocatePoolWithTag(PagedPool, 100, 0));
            break;
        default:
            DDI_CATCH(&stop, (void)(ExAllocatePool2)(POOL_FLAG_RAISE_ON_FAILURE, 100, TAG));
            break;
        }
        if (!DDI_TRUE_FOR(stop.caught, step)) {
            return;
        }
    }
    for (int n = 0; n < 64; ++n) {
        DDI_TRUE(ddi_all_bytes(block[n], 40 * (size_t)n + 40, 0x6B));
        ExFreePoolWithTag(block[n], TAG);
    }
    after = ddi_row(TAG, 1);
    DDI_EQUAL(64, after.allocs - before.allocs);
    DDI_EQUAL(64, after.frees - before.frees);
    DDI_EQUAL(before.bytes, after.bytes);
}

static void test_query_block_size_covers_small_requests(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (size_t bytes = 0; bytes < PAGE_SIZE; ++bytes) {
            uint8_t *block = allocate(kinds[kind], bytes, TAG);
            BOOLEAN charged = 7;

            DDI_TRUE_FOR(ExQueryPoolBlockSize(block, &charged) >= bytes, bytes);
            DDI_TRUE_FOR(ExQueryPoolBlockSize(block, &charged) <= PAGE_SIZE, bytes);
            DDI_EQUAL(FALSE, charged);
            ExFreePoolWithTag(block, TAG);
        }
    }
}

static void test_query_block_size_is_page_rounded_from_a_page_up(void)
{
    static const size_t big[] = { PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE, 5000,         20000,
                                  65536,     65537,         1 << 20,       (1 << 20) + 1 };

    for (int kind = 0; kind < KINDS; ++kind) {
        for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); ++i) {
            uint8_t *block = allocate(kinds[kind], big[i], TAG);
            BOOLEAN charged = 7;

            DDI_EQUAL(ROUND_TO_PAGES(big[i]), ExQueryPoolBlockSize(block, &charged));
            DDI_EQUAL(FALSE, charged);
            ExFreePoolWithTag(block, TAG);
        }
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("89", test_free_takes_blocks_of_every_routine),
    DDI_TEST("90", test_free_with_tag_zero_takes_any_unprotected_block),
    DDI_TEST("91", test_free_with_wrong_tag_stops_for_every_size),
    DDI_TEST("91", test_free_with_wrong_known_tag_stops),
    DDI_TEST("92", test_free_with_top_bit_given_takes_an_unprotected_block),
    DDI_TEST("92", test_free_protected_needs_its_tag),
    DDI_TEST("93", test_protected_tag_is_counted_without_its_top_bit),
    DDI_TEST("94", test_free_null_or_misaligned_stops),
    DDI_TEST("94", test_free_inside_a_small_block_stops),
    DDI_TEST("95", test_free_outside_the_pool_stops),
    DDI_TEST("95", test_free_of_an_address_never_handed_out_stops),
    DDI_TEST("96", test_free_small_block_twice_stops),
    DDI_TEST("96", test_free_page_block_twice_stops),
    DDI_TEST("97", test_free_in_a_later_page_of_a_block_stops),
    DDI_TEST("94,97", test_free_beside_a_tail_in_use_stops),
    DDI_TEST("98", test_free_at_too_high_irql_stops),
    DDI_TEST("94-98", test_free_first_error_wins),
    DDI_TEST("102", test_stop_left_by_longjmp_leaves_the_pool_usable),
    DDI_TEST("103", test_query_block_size_covers_small_requests),
    DDI_TEST("105", test_query_block_size_is_page_rounded_from_a_page_up),
};

DDI_MAIN(tests)
