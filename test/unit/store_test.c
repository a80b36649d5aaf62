/* SPDX-License-Identifier: MIT */
/*
 * The store hands out the fullest run first, keeps one empty run, and passes whole batches from one
 * owner to another.
 *
 * The tests call the store themselves. Slots that are out stand for cached ones, which the walk
 * over everything counts; so it is asked after they are back.
 */
#include "core/store.h"
#include "sim/port.h"
#include "unit/fits.h"

enum {
    BIN = 2 << EXP_CLASS_BITS | 31,
    SLOTS = 64
}; /* paged, 1024 bytes: 64 slots a run */

static void start(void)
{
    expool_trim(); /* starts the pool */
    CHECK(exp_range.bytes != 0);
    CHECK_EQUAL(exp_classes[31].page_slots * exp_classes[31].run_pages, SLOTS);
}

/* Slots, the one to be used first at entries[0]. */
static void take(unsigned bin, struct exp_run_entry *entries, size_t count)
{
    for (size_t got = 0; got < count;) {
        struct exp_run_entry upward[512];
        size_t taken = exp_store_take(0, bin, upward, exp_min(count - got, 512));
        if (!CHECK(taken != 0 && taken <= count - got)) {
            exit(1);
        }
        while (taken != 0) {
            entries[got++] = upward[--taken];
        }
    }
}

static void give(unsigned bin, const struct exp_run_entry *entries, size_t count)
{
    CHECK(exp_store_give(bin, entries, count, false) == NULL);
}

static struct exp_span *run_of(const struct exp_run_entry *entry)
{
    return exp_span_of(exp_range_offset(exp_run_entry_block(entry)) >> EXP_PAGE_SHIFT);
}

static uint32_t empty_of(unsigned bin)
{
    struct exp_store_view view;
    exp_store_view(0, bin, &view);
    return *view.empty;
}

static uint32_t batches_of(unsigned bin)
{
    struct exp_store_view view;
    exp_store_view(0, bin, &view);
    return view.batch_count;
}

static void test_store_take_gives_lowest_address_for_first_use(void)
{
    struct exp_run_entry entries[40];
    start();
    CHECK_EQUAL(exp_store_take(0, BIN, entries, 40), 40);
    for (int index = 1; index < 40; index++) {
        CHECK((uintptr_t)exp_run_entry_block(&entries[index]) <
              (uintptr_t)exp_run_entry_block(&entries[index - 1]));
    }
    /* What is left of the run comes first, moved to the start; another run is the next call's. */
    struct exp_run_entry more[40];
    CHECK_EQUAL(exp_store_take(0, BIN, more, 40), 24);
    CHECK(run_of(&more[0]) == run_of(&entries[0]));
    CHECK_EQUAL((uintptr_t)exp_run_entry_block(&more[23]) - 1024,
                (uintptr_t)exp_run_entry_block(&entries[0]));
    CHECK_EQUAL(exp_store_take(0, BIN, more + 24, 1), 1);
    CHECK(run_of(&more[24]) != run_of(&entries[0]));
    give(BIN, entries, 40);
    give(BIN, more, 25);
    CHECK_FITS();
}

static void test_store_take_prefers_the_fullest_run(void)
{
    struct exp_run_entry entries[SLOTS * 3];
    start();
    take(BIN, entries, SLOTS * 3);
    struct exp_span *run[3];
    for (int index = 0; index < 3; index++) {
        run[index] = run_of(&entries[index * SLOTS]);
        CHECK_EQUAL(run[index]->slots_free, 0);
        CHECK(!exp_list_member(&run[index]->link));
    }
    /* 60 free slots, 10 free slots, 30 free slots: the last given lies in front of its list. */
    give(BIN, entries + SLOTS, 10);
    give(BIN, entries + 2 * SLOTS, 30);
    give(BIN, entries, 60);
    CHECK_EQUAL(run[0]->quarter, 3);
    CHECK_EQUAL(run[1]->quarter, 0);
    CHECK_EQUAL(run[2]->quarter, 1);
    struct exp_run_entry again[100];
    take(BIN, again, 100);
    for (int index = 0; index < 100; index++) {
        CHECK(run_of(&again[index]) == run[index < 10 ? 1 : index < 40 ? 2 : 0]);
    }
    give(BIN, again, 100);
    give(BIN, entries + 60, 4);
    give(BIN, entries + SLOTS + 10, SLOTS - 10);
    give(BIN, entries + 2 * SLOTS + 30, SLOTS - 30);
    CHECK_FITS();
}

static void test_store_give_keeps_one_empty_run_and_returns_others(void)
{
    struct exp_run_entry entries[SLOTS * 3];
    start();
    take(BIN, entries, SLOTS * 3);
    size_t run_pages = exp_classes[31].run_pages;
    CHECK_EQUAL(exp_span.counts[2].pages_used, 3 * run_pages);
    struct exp_span *kept = run_of(&entries[0]);
    give(BIN, entries, SLOTS);
    CHECK_EQUAL(empty_of(BIN), 1);
    CHECK_EQUAL(exp_span.counts[2].pages_used, 3 * run_pages);
    give(BIN, entries + SLOTS, SLOTS);
    CHECK_EQUAL(empty_of(BIN), 1);
    CHECK_EQUAL(exp_span.counts[2].pages_used, 2 * run_pages);
    CHECK_EQUAL(exp_run_find(exp_run_entry_block(&entries[SLOTS])).span == NULL, true);
    struct exp_run_entry one;
    take(BIN, &one, 1);
    CHECK(run_of(&one) == kept); /* reused */
    CHECK_EQUAL(empty_of(BIN), 0);
    give(BIN, &one, 1);
    give(BIN, entries + 2 * SLOTS, SLOTS);
    CHECK_EQUAL(empty_of(BIN), 1);
    CHECK_FITS();
    exp_store_trim();
    CHECK_EQUAL(empty_of(BIN), 0);
    CHECK_EQUAL(exp_span.counts[2].pages_used, 0);
    CHECK_FITS();
}

static void test_store_give_twice_returns_the_slot_and_keeps_the_rest(void)
{
    struct exp_run_entry entries[8];
    start();
    take(BIN, entries, 8);
    struct exp_span *run = run_of(&entries[0]);
    give(BIN, &entries[3], 1);
    uint16_t slots_free = run->slots_free;
    CHECK(exp_store_give(BIN, entries, 8, false) == exp_run_entry_block(&entries[3]));
    CHECK_EQUAL(run->slots_free, slots_free + 7);
    CHECK_FITS();
}

static void test_store_batches_pass_whole_between_owners(void)
{
    struct exp_run_entry entries[64 * 9 + 5];
    struct exp_run_entry other[64 * 8];
    start();
    take(BIN, entries, 64 * 9 + 5);
    struct exp_span *run = run_of(&entries[0]);
    CHECK(exp_store_give(BIN, entries, 64 + 5, true) == NULL);
    CHECK_EQUAL(batches_of(BIN), 1); /* one whole batch waits, five slots went home */
    CHECK_EQUAL(run->slots_free, 0);
    CHECK_EQUAL(run_of(&entries[64])->slots_free, 5);
    for (int batch = 1; batch < 8; batch++) {
        CHECK(exp_store_give(BIN, entries + batch * 64 + 5, 64, true) == NULL);
    }
    CHECK_EQUAL(batches_of(BIN), 8);
    CHECK(exp_store_give(BIN, entries + 8 * 64 + 5, 64, true) == NULL);
    CHECK_EQUAL(batches_of(BIN), 8); /* no more may wait: these go home */
    CHECK_FITS();
    /* The other owner's refill: exactly what was given, before any run is asked, newest first. */
    CHECK_EQUAL(exp_store_take(0, BIN, other, 31), 31);
    CHECK(memcmp(other, entries + 7 * 64 + 5 + 33, 31 * sizeof(*other)) == 0);
    CHECK_EQUAL(exp_store_take(0, BIN, other + 31, 64 * 8 - 31), 64 * 8 - 31);
    CHECK(memcmp(other + 31, entries + 7 * 64 + 5, 33 * sizeof(*other)) == 0);
    CHECK_EQUAL(batches_of(BIN), 0);
    CHECK_EQUAL(memcmp(other + 64 * 7, entries, 64 * sizeof(*other)), 0);
    give(BIN, other, 64 * 8);
    CHECK_FITS();
}

static void test_store_trim_takes_batches_home(void)
{
    struct exp_run_entry entries[128];
    start();
    take(BIN, entries, 128);
    CHECK(exp_store_give(BIN, entries, 128, true) == NULL);
    CHECK_EQUAL(batches_of(BIN), 2);
    CHECK(exp_span.counts[2].pages_used != 0);
    CHECK_FITS();
    exp_store_trim();
    CHECK_EQUAL(batches_of(BIN), 0);
    CHECK_EQUAL(exp_span.counts[2].pages_used, 0);
    CHECK_FITS();
}

static void test_store_batch_without_memory_goes_home(void)
{
    struct exp_run_entry entries[64];
    start();
    take(BIN, entries, 64);
    /* Use up what the heap has committed, then let it fail. */
    sim_fail(SIM_COMMIT, 1, UINT64_MAX / 2);
    while (exp_range_heap_take(EXP_RANGE_KEPT, 1024) != NULL) {
    }
    CHECK(exp_store_give(BIN, entries, 64, true) == NULL);
    CHECK_EQUAL(batches_of(BIN), 0);
    CHECK_EQUAL(empty_of(BIN), 1);
    sim_fail(SIM_COMMIT, 0, 0);
    CHECK_FITS();
}

static void test_store_take_without_pages_returns_none(void)
{
    struct exp_run_entry entries[4];
    start();
    CHECK_EQUAL(expool_set("paged_limit", "0"), 0);
    CHECK_EQUAL(exp_store_take(0, BIN, entries, 4), 0);
    CHECK_FITS();
    CHECK_EQUAL(expool_set("paged_limit", "4K"), 0);
    CHECK_EQUAL(exp_store_take(0, BIN, entries, 4), 4);
    struct exp_run_entry more[4];
    CHECK_EQUAL(exp_store_take(0, BIN, more, 4), 0);
    give(BIN, entries, 4);
    CHECK_FITS();
}

/* A run in a tail is empty when the places that are its own are free. */
static void test_store_empty_tail_run_is_returned(void)
{
    enum {
        PARENT = 2 << EXP_CLASS_BITS | EXP_CLASS_FIRST_PART,
        SMALL = 2 << EXP_CLASS_BITS | 7
    };
    struct exp_run_entry block;
    struct exp_run_entry entries[512];
    start();
    take(PARENT, &block, 1);
    /* 16 tails of 24 places each; two whole ones of other runs stay out of it. */
    take(SMALL, entries, 24 * 3);
    struct exp_span *run[3];
    for (int index = 0; index < 3; index++) {
        run[index] = run_of(&entries[24 * index]);
        CHECK(run[index]->parent != 0);
        CHECK_EQUAL(run[index]->slots_taboo, 40);
    }
    CHECK_EQUAL(exp_span_at(run[0]->parent)->tails, 3);
    give(SMALL, entries, 24);
    CHECK_EQUAL(empty_of(SMALL), 1);
    give(SMALL, entries + 24, 24);
    CHECK_EQUAL(empty_of(SMALL), 1);
    CHECK_EQUAL(exp_span_at(run[0]->parent)->tails, 2);
    give(SMALL, entries + 48, 23);
    CHECK_EQUAL(run[2]->quarter, (23 * 4 - 1) / 64);
    give(SMALL, entries + 71, 1);
    give(PARENT, &block, 1);
    CHECK_FITS();
    exp_store_trim();
    CHECK_EQUAL(exp_span.counts[2].pages_used, 0);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_store_take_gives_lowest_address_for_first_use);
    RUN_FRESH(test_store_take_prefers_the_fullest_run);
    RUN_FRESH(test_store_give_keeps_one_empty_run_and_returns_others);
    RUN_FRESH(test_store_give_twice_returns_the_slot_and_keeps_the_rest);
    RUN_FRESH(test_store_batches_pass_whole_between_owners);
    RUN_FRESH(test_store_trim_takes_batches_home);
    RUN_FRESH(test_store_batch_without_memory_goes_home);
    RUN_FRESH(test_store_take_without_pages_returns_none);
    RUN_FRESH(test_store_empty_tail_run_is_returned);
    return unit_end();
}
