/* SPDX-License-Identifier: MIT */
/*
 * Owners come and go, keep caches of their own, hand their rows on, and notice a slot that two of
 * them freed at once.
 *
 * Processors of the simulated port stand for threads. What two threads do in one instant is done by
 * hand: the second one's push of the same entry into its own cache.
 */
#include "front/pool.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG        UINT32_C(0x54636241) /* AbcT */
#define STOP_HEAP  UINT32_C(0x13a)
#define DAMAGE_TWO UINT64_C(0x11)

static struct exp_cache *cache_of(size_t bytes)
{
    return &exp_port_owner()->caches[EXP_POOL_PAGED << EXP_CLASS_BITS | exp_class_of(bytes)];
}

static size_t cached(size_t bytes)
{
    return (size_t)(cache_of(bytes)->top - cache_of(bytes)->bottom);
}

static void *allocate(size_t bytes)
{
    void *block = ExAllocatePool2(FLAG_PAGED, bytes, TAG);
    if (!CHECK(block != NULL)) {
        exit(1);
    }
    return block;
}

/* What a second thread does that frees a block in the same instant: its cache gets the slot, too.
 */
static void free_again(void *block, size_t bytes)
{
    struct exp_cache *cache = cache_of(bytes);
    CHECK(cache->top < cache->end);
    *cache->top++ = (struct exp_run_entry){ (uintptr_t)block, exp_run_find(block).state };
}

static uint64_t rows_count(void)
{
    return exp_tag_region()->section[EXPOOL_SECTION_ROWS].count;
}

static size_t owners_made(void)
{
    size_t count = 0;
    for (struct exp_owner *owner = exp_owner_first(); owner != NULL; owner = owner->next) {
        count++;
    }
    return count;
}

UNIT_DEED allocate_stops(size_t bytes)
{
    return UNIT_STOPS(ExAllocatePool2(FLAG_PAGED, bytes, TAG));
}

UNIT_DEED free_stops(void *block)
{
    return UNIT_STOPS(ExFreePool(block));
}

static void test_owner_each_processor_has_its_own_caches(void)
{
    void *block[SIM_PROCESSORS];
    for (uint32_t processor = 0; processor < SIM_PROCESSORS; processor++) {
        sim_processor_set(processor);
        CHECK(!sim_processor_owned(processor));
        block[processor] = allocate(64);
        CHECK(sim_processor_owned(processor));
        CHECK_EQUAL(exp_tag_region()->owners, processor + 1);
        CHECK(cached(64) != 0);
    }
    CHECK_EQUAL(owners_made(), SIM_PROCESSORS);
    CHECK_FITS();
    /* A block goes where it is freed, not where it came from. */
    sim_processor_set(0);
    size_t before = cached(64);
    sim_processor_set(5);
    size_t there = cached(64);
    ExFreePool(block[0]);
    CHECK_EQUAL(cached(64), there + 1);
    CHECK(allocate(64) == block[0]);
    sim_processor_set(0);
    CHECK_EQUAL(cached(64), before);
    CHECK_FITS();
}

static void test_owner_exit_gives_full_caches_back(void)
{
    static void *block[2000];
    static const size_t sizes[] = { 16, 64, 500, 2048, 3000, 4096, 6000, 20000 };
    for (int index = 0; index < 2000; index++) {
        block[index] = allocate(sizes[index % 8]);
    }
    for (int index = 0; index < 2000; index++) {
        ExFreePoolWithTag(block[index], TAG);
    }
    size_t full = 0;
    for (int index = 0; index < 8; index++) {
        full += cached(sizes[index]);
    }
    CHECK(full > 100);
    CHECK_FITS();
    struct exp_owner *owner = exp_port_owner();
    sim_processor_exit();
    CHECK(!owner->named);
    CHECK_EQUAL(exp_tag_region()->owners, 0);
    for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
        CHECK(owner->caches[bin].top == owner->caches[bin].bottom);
    }
    CHECK_FITS();
    exp_store_trim(); /* nothing is live and nothing cached: every page goes */
    for (unsigned pool = 0; pool < 3; pool++) {
        CHECK_EQUAL(exp_span.counts[pool].pages_used, 0);
    }
    CHECK_FITS();
}

static void test_owner_exit_hands_rows_and_caches_to_the_next(void)
{
    void *block = allocate(64);
    struct exp_owner *owner = exp_port_owner();
    struct expool_region_row *row = owner->row_kept[exp_tag_register(TAG) * 2 + 1];
    CHECK_EQUAL(row->allocs, 1);
    uint64_t rows = rows_count();
    for (uint32_t life = 0; life < 100; life++) {
        sim_processor_exit();
        sim_processor_set(life % SIM_PROCESSORS);
        ExFreePoolWithTag(block, TAG);
        block = allocate(64);
        CHECK(exp_port_owner() == owner);
        CHECK_EQUAL(row->allocs, life + 2);
        CHECK_EQUAL(row->frees, life + 1);
    }
    CHECK_EQUAL(rows_count(), rows);
    CHECK_EQUAL(owners_made(), 1);
    struct expool_tag_row sums[4];
    CHECK_EQUAL(expool_tags(sums, 4), 1);
    CHECK_EQUAL(sums[0].allocs, 101);
    CHECK_EQUAL(sums[0].frees, 100);
    CHECK_EQUAL(sums[0].bytes, 64);
    CHECK_FITS();
}

/* Rows grow with the processors alive at once, not with those ever born. */
static void test_owner_births_and_deaths_keep_rows_and_owners_few(void)
{
    uint64_t rows = 0;
    for (uint32_t round = 0; round < 30; round++) {
        void *block[4];
        for (uint32_t processor = 0; processor < 4; processor++) {
            sim_processor_set(processor);
            block[processor] = allocate(100 + processor * 1000);
        }
        CHECK_EQUAL(exp_tag_region()->owners, 4);
        for (uint32_t processor = 0; processor < 4; processor++) {
            sim_processor_set(processor);
            ExFreePool(block[3 - processor]);
            sim_processor_exit();
        }
        CHECK_EQUAL(exp_tag_region()->owners, 0);
        rows = rows == 0 ? rows_count() : rows;
        CHECK_EQUAL(rows_count(), rows);
        CHECK_FITS();
    }
    CHECK_EQUAL(owners_made(), 4);
}

static void test_owner_refused_shares_one_without_caches(void)
{
    sim_fail(SIM_OWNER_SET, 1, UINT64_MAX / 2);
    void *block[50];
    for (int index = 0; index < 50; index++) {
        block[index] = allocate(index % 2 ? 100 : 5000);
        CHECK(!sim_processor_owned(0));
    }
    CHECK_FITS();
    for (int index = 0; index < 50; index++) {
        CHECK(exp_run_find(block[index]).what == EXP_RUN_LIVE);
        ExFreePoolWithTag(block[index], TAG);
    }
    CHECK(!sim_processor_owned(0));
    struct expool_tag_row row;
    CHECK_EQUAL(expool_tags(&row, 1), 1);
    CHECK_EQUAL(row.allocs, 50);
    CHECK_EQUAL(row.frees, 50);
    CHECK_EQUAL(row.bytes, 0);
    CHECK_EQUAL(exp_tag_region()->owners, 0);
    CHECK_FITS();
    sim_fail(SIM_OWNER_SET, 0, 0);
    ExFreePool(allocate(64));
    CHECK(sim_processor_owned(0));
    CHECK_FITS();
}

static void test_owner_front_cache_off_keeps_nothing(void)
{
    ExFreePool(allocate(64));
    CHECK(cached(64) != 0);
    CHECK_EQUAL(expool_set("front_cache", "0"), 0);
    CHECK_EQUAL(cached(64), 0);
    CHECK_FITS();
    sim_processor_set(1);
    void *block = allocate(64);
    ExFreePool(block);
    CHECK_EQUAL(cached(64), 0);
    CHECK(allocate(64) == block);
    CHECK_FITS();
}

/* A cache doubles when it is visited often, up to a number of bytes and of slots. */
static void test_owner_caches_grow_and_are_bounded(void)
{
    static void *block[20000];
    static const size_t sizes[] = { 16, 256, 4096, 65536 };
    for (int size = 0; size < 4; size++) {
        size_t count = size < 2 ? 20000 : size == 2 ? 2000 : 100;
        for (int round = 0; round < 4; round++) {
            for (size_t index = 0; index < count; index++) {
                block[index] = allocate(sizes[size]);
            }
            for (size_t index = 0; index < count; index++) {
                ExFreePool(block[index]);
            }
        }
        struct exp_cache *cache = cache_of(sizes[size]);
        size_t slots = (size_t)(cache->end - cache->bottom);
        CHECK(slots >= 7 && slots <= 1023);
        CHECK(slots <= 7 || slots * sizes[size] <= (size_t)256 << 10);
        CHECK(cache->bottom[-1].state != NULL && *cache->bottom[-1].state != EXP_STATE_FREE);
    }
    CHECK_EQUAL(cache_of(16)->end - cache_of(16)->bottom, 1023);
    CHECK_FITS();
}

/* Found when the second of two owners hands the slot out: the first caller keeps it. */
static void test_owner_freed_by_two_is_found_at_hand_out(void)
{
    static const size_t sizes[] = { 16, 100, 2048, 3000, 4096, 20000 };
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        size_t bytes = sizes[index];
        sim_processor_set(1);
        void *there = allocate(bytes); /* so that this one has a cache */
        sim_processor_set(0);
        void *block = allocate(bytes);
        ExFreePoolWithTag(block, TAG);
        sim_processor_set(1);
        free_again(block, bytes);
        struct exp_verify_fault fault;
        CHECK(!exp_verify_all(&fault)); /* one slot too many is seen at rest, too */
        CHECK_EQUAL(fault.what, EXP_VERIFY_SLOTS);
        sim_processor_set(0);
        CHECK(allocate(bytes) == block);
        sim_processor_set(1);
        CHECK_STOP(allocate_stops(bytes),
                   STOP_HEAP,
                   DAMAGE_TWO,
                   (uintptr_t)exp_range.base,
                   (uintptr_t)block,
                   0);
        /* The slot is isolated: everything fits again, and the pool serves. */
        CHECK_FITS();
        void *other = allocate(bytes);
        CHECK(other != block);
        CHECK_EQUAL(exp_run_find(block).what, EXP_RUN_LIVE);
        ExFreePoolWithTag(other, TAG);
        ExFreePoolWithTag(block, TAG);
        ExFreePoolWithTag(there, TAG);
        CHECK_FITS();
    }
}

/* Found when the second owner's cache is flushed into a store that has the slot already. */
static void test_owner_freed_by_two_is_found_at_flush(void)
{
    static void *many[2000];
    enum {
        BYTES = 2048
    };
    for (int index = 0; index < 2000; index++) {
        sim_processor_set(index % 2);
        many[index] = allocate(BYTES);
    }
    sim_processor_set(0);
    ExFreePoolWithTag(many[1000], TAG);
    expool_trim(); /* in the store; its neighbours are live, so its run stays */
    sim_processor_set(1);
    free_again(many[1000], BYTES);
    void *found = NULL;
    for (int index = 0; index < 900 && found == NULL; index += 7) {
        if (free_stops(many[index])) {
            CHECK_EQUAL(unit.stop.code, STOP_HEAP);
            CHECK_EQUAL(unit.stop.parameter[0], DAMAGE_TWO);
            CHECK_EQUAL(unit.stop.parameter[1], (uintptr_t)exp_range.base);
            CHECK_EQUAL(unit.stop.parameter[2], (uintptr_t)many[1000]);
            CHECK_EQUAL(unit.stop.parameter[3], 0);
            found = many[index];
        }
    }
    CHECK(found != NULL);
    CHECK_FITS();
    /* The slot is in the store once: of all that is handed out now, no two are the same. */
    static void *again[2000];
    int twice = 0;
    for (int index = 0; index < 600; index++) {
        again[index] = allocate(BYTES);
        twice += again[index] == many[1000];
    }
    CHECK(twice <= 1);
    CHECK_FITS();
}

/* An owner that ends, or a trim, is no place to stop: the second entry is dropped without a word.
 */
static void test_owner_freed_by_two_is_dropped_at_exit(void)
{
    static void *many[100];
    for (int index = 0; index < 100; index++) {
        many[index] = allocate(512);
    }
    sim_processor_set(1);
    void *there = allocate(512);
    sim_processor_set(0);
    ExFreePool(many[50]);
    expool_trim();
    sim_processor_set(1);
    free_again(many[50], 512);
    sim_processor_exit();
    CHECK_FITS();
    ExFreePool(there);
    CHECK_FITS();
}

/* The second entry outlives the slot's run, whose pages serve a larger class by then. */
static void test_owner_freed_by_two_is_dropped_after_pages_were_reused(void)
{
    static char *many[200];
    enum {
        BYTES = 2048,
        BIG_BYTES = 65536
    };
    sim_processor_set(1);
    CHECK(allocate(BYTES) != NULL);
    sim_processor_set(0);
    for (int index = 0; index < 200; index++) {
        many[index] = allocate(BYTES);
    }
    char *block = many[150];
    struct exp_run_entry entry = { (uintptr_t)block, exp_run_find(block).state };
    for (int index = 0; index < 200; index++) {
        ExFreePool(many[index]);
    }
    sim_processor_exit();
    exp_store_trim();
    char *over = NULL;
    for (int index = 0; index < 60 && over == NULL; index++) {
        char *big = allocate(BIG_BYTES);
        over = block >= big && block < big + BIG_BYTES ? big : NULL;
    }
    CHECK(over != NULL);
    CHECK_FITS();
    sim_processor_set(1);
    *cache_of(BYTES)->top++ = entry;
    sim_processor_exit(); /* flushes */
    CHECK_EQUAL(exp_run_find(over).what, EXP_RUN_LIVE);
    CHECK_FITS();
}

/* In the copy of a process the caches of lost processors come back, and rows say what is live. */
static void test_owner_copy_brings_back_lost_caches(void)
{
    static void *many[900];
    for (int index = 0; index < 900; index++) {
        sim_processor_set((uint32_t)index % 3);
        many[index] = allocate(16 + (size_t)index * 5);
    }
    for (int index = 0; index < 900; index += 2) {
        sim_processor_set((uint32_t)(index + 1) % 3);
        ExFreePool(many[index]);
    }
    CHECK_FITS();
    sim_processor_set(1);
    sim_child();
    ExFreePool(allocate(64)); /* the first call notices */
    CHECK_EQUAL(exp_tag_region()->owners, 1);
    CHECK_EQUAL(exp_tag_region()->generation, 1);
    CHECK_FITS();
    sim_processor_set(2); /* a new thread of the copy */
    for (int index = 1; index < 900; index += 2) {
        ExFreePoolWithTag(many[index], TAG);
    }
    struct expool_tag_row row;
    CHECK_EQUAL(expool_tags(&row, 1), 1);
    CHECK_EQUAL(row.bytes, 0);
    CHECK_EQUAL(row.allocs, row.frees);
    CHECK_FITS();
    sim_processor_exit();
    sim_processor_set(1);
    sim_processor_exit();
    exp_store_trim();
    for (unsigned pool = 0; pool < 3; pool++) {
        CHECK_EQUAL(exp_span.counts[pool].pages_used, 0);
    }
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_owner_each_processor_has_its_own_caches);
    RUN_FRESH(test_owner_exit_gives_full_caches_back);
    RUN_FRESH(test_owner_exit_hands_rows_and_caches_to_the_next);
    RUN_FRESH(test_owner_births_and_deaths_keep_rows_and_owners_few);
    RUN_FRESH(test_owner_refused_shares_one_without_caches);
    RUN_FRESH(test_owner_front_cache_off_keeps_nothing);
    RUN_FRESH(test_owner_caches_grow_and_are_bounded);
    RUN_FRESH(test_owner_freed_by_two_is_found_at_hand_out);
    RUN_FRESH(test_owner_freed_by_two_is_found_at_flush);
    RUN_FRESH(test_owner_freed_by_two_is_dropped_at_exit);
    RUN_FRESH(test_owner_freed_by_two_is_dropped_after_pages_were_reused);
    RUN_FRESH(test_owner_copy_brings_back_lost_caches);
    return unit_end();
}
