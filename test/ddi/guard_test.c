/* SPDX-License-Identifier: MIT */
/*
 * Guarded blocks (api 99, 89, 103): bytes past the end of a block are judged when it is freed.
 *
 * The option is set before the pool starts; in a checked build that is how it stands anyway.
 */
#include "doors.h"

enum {
    TAG = 'drGT'
};

static const size_t sizes[] = { 0,    1,    15,   16,   17,    100,   1000,  1024,  2000,
                                2032, 2033, 2047, 2048, 2049,  3000,  4000,  4080,  4095,
                                4096, 4097, 5000, 8192, 12345, 65535, 65536, 65537, 100001 };
enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0])
};

/* All bytes of the caller's may be written, by every routine; the free finds nothing. */
static void test_guard_is_not_in_the_callers_bytes(void)
{
    static const struct {
        door *call;
        uint64_t bits;
    } doors[] = {
        { door_pool2, POOL_FLAG_PAGED },
        { door_pool2, POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED },
        { door_pool2, POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_UNINITIALIZED },
        { door_pool2, POOL_FLAG_PAGED | POOL_FLAG_SESSION },
        { door_pool3, POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA },
        { door_with_tag, NonPagedPoolNx },
        { door_zero, PagedPool | POOL_COLD_ALLOCATION },
        { door_low, NonPagedPoolNxCacheAligned },
        { door_quota_tag, PagedPool },
        { door_quota_zero, PagedPoolSession },
        { door_quota, NonPagedPoolNx },
        { door_pool, PagedPool },
    };
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);

    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); ++i) {
        for (size_t j = 0; j < SIZES; ++j) {
            struct door_end end = door_try(doors[i].call, doors[i].bits, sizes[j], TAG);
            struct ddi_stop stop;

            if (DOOR_GIVES_BLOCK(end)) {
                ddi_opaque(memset(end.block, 0xA5, sizes[j]));
                DDI_CATCH(&stop, ExFreePool(end.block));
                DDI_TRUE_FOR(!stop.caught, sizes[j]);
            }
        }
    }
    door_process_end(process);
}

/* Byte n + distance of a block of n bytes is changed; its free says so, and what it found. */
static void overrun_is_found(POOL_FLAGS flags, size_t bytes, size_t distance, uint8_t value)
{
    uint8_t *block = door_try(door_pool2, flags, bytes, TAG).block;
    uint64_t live = ddi_live(TAG, (flags & POOL_FLAG_PAGED) != 0);
    struct ddi_stop stop;
    uint8_t former = block[bytes + distance];

    block[bytes + distance] = value;
    DDI_CATCH(&stop, ExFreePoolWithTag(ddi_opaque(block), TAG));
    DDI_STOP(&stop, BAD_POOL_HEADER, 0x21, (uintptr_t)block, bytes, value);
    DDI_EQUAL(live, ddi_live(TAG, (flags & POOL_FLAG_PAGED) != 0));
    block[bytes + distance] = former;
    DDI_CATCH(&stop, ExFreePoolWithTag(ddi_opaque(block), TAG)); /* it was left as it was */
    DDI_TRUE_FOR(!stop.caught, bytes);
}

static void test_guard_finds_a_byte_past_the_end(void)
{
    for (size_t bytes = 0; bytes <= 2048; bytes += bytes < 80 ? 1 : 37) {
        overrun_is_found(POOL_FLAG_PAGED, bytes, 0, 0x00);
        overrun_is_found(POOL_FLAG_NON_PAGED, bytes, 0, 0xFF);
        overrun_is_found(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, bytes, 0, 0x41);
    }
    overrun_is_found(POOL_FLAG_PAGED, 100, 5, 0x01);
    overrun_is_found(POOL_FLAG_PAGED, 2049, 0, 0x01);
    overrun_is_found(POOL_FLAG_PAGED, 4000, 95, 0x01);
    overrun_is_found(POOL_FLAG_NON_PAGED, 4097, 14, 0x01);
    overrun_is_found(POOL_FLAG_PAGED, 100001, 0, 0x01);
}

static void test_guard_judges_quota_blocks_before_it_returns_the_charge(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    uint8_t *block = door_try(door_quota_tag, PagedPool, 100, TAG).block;
    uint64_t cost = door_usage(process).paged_bytes;
    uint8_t former = block[100];
    struct ddi_stop stop;

    block[100] = 1;
    DDI_CATCH(&stop, ExFreePoolWithTag(ddi_opaque(block), TAG));
    DDI_STOP(&stop, BAD_POOL_HEADER, 0x21, (uintptr_t)block, 100, 1);
    DDI_EQUAL(cost, door_usage(process).paged_bytes);
    block[100] = former;
    ExFreePoolWithTag(ddi_opaque(block), TAG);
    door_process_end(process);
}

/* What ExQueryPoolBlockSize tells of a small block is the caller's to use. */
static void test_query_block_size_leaves_the_guard_out(void)
{
    for (size_t bytes = 0; bytes < 4096; bytes += 7) {
        void *block = door_try(door_pool2, POOL_FLAG_PAGED, bytes, TAG).block;
        BOOLEAN quota = TRUE;
        size_t usable = ExQueryPoolBlockSize(block, &quota);
        struct ddi_stop stop;

        DDI_TRUE_FOR(usable >= bytes, bytes);
        DDI_EQUAL(FALSE, quota);
        ddi_opaque(memset(block, 0x3C, usable));
        DDI_CATCH(&stop, ExFreePool(block));
        DDI_TRUE_FOR(!stop.caught, bytes);
    }
}

static void test_guard_sizes_that_overflow_fail(void)
{
    for (size_t less = 0; less < 70; ++less) {
        DOOR_GIVES_NULL(door_try(door_pool2, POOL_FLAG_PAGED, SIZE_MAX - less, TAG));
        DOOR_GIVES_NULL(door_try(
            door_pool2, POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, SIZE_MAX - less, TAG));
        DOOR_GIVES_NULL(door_try(door_with_tag, PagedPoolSession, SIZE_MAX - less, TAG));
    }
}

/* A byte of a freed slot is written; who gets the slot next is told, and nobody has it. */
static void freed_byte_is_found(POOL_FLAGS flags, size_t bytes, size_t place)
{
    uint8_t *block = door_try(door_pool2, flags, bytes, TAG).block;
    uint64_t live = ddi_live(TAG, (flags & POOL_FLAG_PAGED) != 0);
    volatile PVOID again = NULL;
    struct ddi_stop stop;

    ExFreePoolWithTag(ddi_opaque(block), TAG);
    block = ddi_opaque(block);
    block[place] ^= 0x40;
    DDI_CATCH(&stop, again = ExAllocatePool2(flags, bytes, TAG));
    DDI_STOP(&stop, DRIVER_CAUGHT_MODIFYING_FREED_POOL, (uintptr_t)block + place, 1, 0, 0);
    DDI_EQUAL(live - 1, ddi_live(TAG, (flags & POOL_FLAG_PAGED) != 0));
    again = ExAllocatePool2(flags, bytes, TAG);
    DDI_TRUE(again != NULL && again != block);
    ExFreePoolWithTag(again, TAG);
}

static void test_guard_finds_a_byte_written_after_the_free(void)
{
    freed_byte_is_found(POOL_FLAG_PAGED, 100, 0);
    freed_byte_is_found(POOL_FLAG_NON_PAGED, 16, 15);
    freed_byte_is_found(POOL_FLAG_NON_PAGED_EXECUTE, 2000, 1000);
    freed_byte_is_found(POOL_FLAG_PAGED | POOL_FLAG_SESSION, 4096, 4095);
    freed_byte_is_found(POOL_FLAG_NON_PAGED, 9000, 8999);
}

/* Slots whose pages went and came back, in other classes too, are not taken for changed ones. */
static void test_guard_forgets_slots_whose_pages_went(void)
{
    static PVOID blocks[2000];
    struct ddi_stop stop;

    for (int round = 0; round < 6; ++round) {
        for (size_t i = 0; i < 2000; ++i) {
            blocks[i] = ExAllocatePool2(
                POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, sizes[(i + (size_t)round) % SIZES], TAG);
            DDI_TRUE(blocks[i] != NULL);
        }
        for (size_t i = 0; i < 2000; ++i) {
            memset(blocks[i], (int)i, sizes[(i + (size_t)round) % SIZES]);
            DDI_CATCH(&stop, ExFreePool(blocks[i]));
            DDI_TRUE_FOR(!stop.caught, i);
        }
        expool_trim();
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("89", test_guard_is_not_in_the_callers_bytes),
    DDI_TEST("99", test_guard_finds_a_byte_past_the_end),
    DDI_TEST("99", test_guard_judges_quota_blocks_before_it_returns_the_charge),
    DDI_TEST("103", test_query_block_size_leaves_the_guard_out),
    DDI_TEST("31", test_guard_sizes_that_overflow_fail),
    DDI_TEST("99", test_guard_finds_a_byte_written_after_the_free),
    DDI_TEST("99", test_guard_forgets_slots_whose_pages_went),
};

int main(int argc, char **argv)
{
    if (expool_set("guard", "1") != 0) {
        printf("the option guard is too late\n");
        return 1;
    }
    return ddi_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
