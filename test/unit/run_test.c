/* SPDX-License-Identifier: MIT */
/*
 * Slots lie where classes say, are taken in order and given back once; tails are made, found and
 * unmade in every order; large blocks keep their states and ends.
 *
 * The tests call the run functions themselves, without stores: a run made here is in no list. Where
 * everything is walked, runs have been unmade or belong to stores.
 */
#include "core/option.h"
#include "core/run.h"
#include "front/pool.h"
#include "sim/port.h"
#include "unit/fits.h"

#define PAGE   ((size_t)4096)
#define NUMBER 7 /* any tag number: stands for a live block */

static void start(void)
{
    expool_trim(); /* starts the pool */
    CHECK(exp_range.bytes != 0);
}

static struct exp_span *make(unsigned pool, size_t bytes)
{
    struct exp_span *run = exp_run_make(0, pool, exp_class_of(bytes));
    if (!CHECK(run != NULL)) {
        exit(1);
    }
    CHECK_EQUAL(run->class_index, exp_class_of(bytes));
    CHECK_EQUAL(run->pool, pool);
    CHECK(exp_run_empty(run));
    return run;
}

/* Take slots: entry 0 is the first taken. */
static size_t take(struct exp_span *run, struct exp_run_entry *entries, size_t count)
{
    struct exp_run_entry downward[EXP_CLASS_SLOTS_MAX];
    size_t taken = exp_run_take(run, &downward[EXP_CLASS_SLOTS_MAX - 1], count);
    for (size_t index = 0; index < taken; index++) {
        entries[index] = downward[EXP_CLASS_SLOTS_MAX - 1 - index];
    }
    return taken;
}

static struct exp_span *give(const struct exp_run_entry *entry, unsigned class_index)
{
    return exp_run_give(exp_run_entry_block(entry), class_index);
}

static struct exp_span *large(unsigned pool, size_t bytes, size_t alignment, bool donate)
{
    struct exp_span *span = exp_run_large_make(0, pool, bytes, alignment, donate);
    if (!CHECK(span != NULL)) {
        exit(1);
    }
    *exp_run_large_state(span) = NUMBER;
    return span;
}

static void large_free(struct exp_span *span)
{
    *exp_run_large_state(span) = EXP_STATE_FREE;
    exp_run_large_unmake(span);
}

static void test_run_every_class_and_pool_places_slots_by_class(void)
{
    start();
    for (unsigned index = EXP_CLASS_SMALL; index < EXP_CLASS_COUNT; index++) {
        const struct exp_class *class = &exp_classes[index];
        for (unsigned pool = 0; pool < 3; pool++) {
            struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
            struct exp_span *run = make(pool, class->size_bytes);
            size_t count = take(run, entries, EXP_CLASS_SLOTS_MAX);
            CHECK_EQUAL(count, run->slots - run->slots_taboo);
            CHECK_EQUAL(run->slots_free, 0);
            uintptr_t before = 0;
            for (size_t slot = 0; slot < count; slot++) {
                uintptr_t block = (uintptr_t)exp_run_entry_block(&entries[slot]);
                CHECK_EQUAL(block % exp_class_alignment(index), 0);
                CHECK(block >= before);
                /* None across a page unless it starts one. */
                CHECK(block % PAGE + class->size_bytes <= PAGE || block % PAGE == 0);
                before = block + class->size_bytes;
                struct exp_run_place place = exp_run_find((void *)block);
                CHECK_EQUAL(place.what, EXP_RUN_FREED);
                CHECK(place.state == entries[slot].state);
                *entries[slot].state = NUMBER;
                place = exp_run_find((void *)block);
                CHECK_EQUAL(place.what, EXP_RUN_LIVE);
                CHECK(place.span == run && place.state == entries[slot].state);
                CHECK_EQUAL(place.size_bytes, class->size_bytes);
                CHECK_EQUAL(place.pool, pool);
                place = exp_run_find((void *)(block + class->size_bytes - 1));
                CHECK(place.what == EXP_RUN_INSIDE || place.what == EXP_RUN_INTERIOR);
            }
            for (size_t slot = 0; slot < count; slot++) {
                *entries[slot].state = EXP_STATE_FREE;
                CHECK(give(&entries[slot], index) == run);
            }
            CHECK(exp_run_empty(run));
            uintptr_t page = (uintptr_t)exp_range_page(run->page);
            exp_run_unmake(run);
            CHECK(exp_run_find((void *)page).what == EXP_RUN_FREED);
            CHECK_FITS();
        }
    }
    for (unsigned pool = 0; pool < 3; pool++) {
        CHECK_EQUAL(exp_span.counts[pool].pages_used, 0);
    }
}

static void test_run_take_low_addresses_first_and_used_before_fresh(void)
{
    start();
    struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
    struct exp_run_entry again[EXP_CLASS_SLOTS_MAX];
    struct exp_span *run = make(EXP_POOL_PAGED, 64);
    uintptr_t first = (uintptr_t)exp_range_page(run->page);
    CHECK_EQUAL(take(run, entries, 100), 100);
    for (size_t slot = 0; slot < 100; slot++) {
        CHECK_EQUAL(entries[slot].block & ~(uintptr_t)EXP_RUN_ZERO, first + slot * 64);
        CHECK_EQUAL(entries[slot].block & EXP_RUN_ZERO, EXP_RUN_ZERO); /* pages of a new chunk */
    }
    CHECK_EQUAL(run->slots_fresh, 100);
    CHECK(give(&entries[70], run->class_index) == run);
    CHECK(give(&entries[3], run->class_index) == run);
    CHECK(give(&entries[64], run->class_index) == run);
    CHECK_EQUAL(run->slots_free, run->slots - 97);
    CHECK_EQUAL(take(run, again, 5), 5);
    CHECK_EQUAL(again[0].block, first + 3 * 64); /* no longer known to be zero */
    CHECK_EQUAL(again[1].block, first + 64 * 64);
    CHECK_EQUAL(again[2].block, first + 70 * 64);
    CHECK_EQUAL(again[3].block, (first + 100 * 64) | EXP_RUN_ZERO);
    CHECK_EQUAL(again[4].block, (first + 101 * 64) | EXP_RUN_ZERO);
    CHECK_EQUAL(run->slots_fresh, 102);
    CHECK_EQUAL(take(run, again, EXP_CLASS_SLOTS_MAX), run->slots - 102);
    CHECK_EQUAL(take(run, again, 1), 0);
    CHECK_EQUAL(run->slots_free, 0);
}

static void test_run_make_in_used_pages_is_not_zero(void)
{
    start();
    struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
    struct exp_span *run = make(EXP_POOL_PAGED, 1024);
    CHECK(run->zero);
    exp_run_unmake(run);
    run = make(EXP_POOL_PAGED, 1024); /* the pages that just came back */
    CHECK(!run->zero);
    CHECK_EQUAL(take(run, entries, 1), 1);
    CHECK_EQUAL(entries[0].block & EXP_RUN_ZERO, 0);
    CHECK(give(&entries[0], run->class_index) == run);
    exp_run_unmake(run);
    exp_span_purge(true);
    run = make(EXP_POOL_PAGED, 1024);
    CHECK(run->zero);
    exp_run_unmake(run);
    CHECK_FITS();
}

static void test_run_give_twice_is_found_and_changes_nothing(void)
{
    start();
    static const size_t sizes[] = { 16, 48, 640, 2048, 3000, 4096, 6000, 12000, 65536 };
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        struct exp_run_entry entries[3];
        struct exp_span *run = make(EXP_POOL_NONPAGED, sizes[index]);
        size_t count = take(run, entries, 3);
        CHECK(count != 0);
        CHECK(give(&entries[0], run->class_index) == run);
        uint16_t slots_free = run->slots_free;
        CHECK(give(&entries[0], run->class_index) == NULL);
        CHECK_EQUAL(run->slots_free, slots_free);
        for (size_t slot = 1; slot < count; slot++) {
            CHECK(give(&entries[slot], run->class_index) == run);
            CHECK(give(&entries[slot], run->class_index) == NULL);
        }
        CHECK(exp_run_empty(run));
        exp_run_unmake(run);
    }
    CHECK_FITS();
}

static void test_run_states_reused_keep_holes_for_their_class(void)
{
    start();
    struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
    struct exp_span *run = make(EXP_POOL_PAGED, 96);
    uint32_t first_state = run->first_state;
    uint16_t slots = run->slots;
    size_t count = take(run, entries, slots);
    for (size_t slot = 0; slot < count; slot++) {
        CHECK(give(&entries[slot], run->class_index) == run);
    }
    exp_run_unmake(run);
    struct exp_span *other = make(EXP_POOL_PAGED, 112); /* another class: other states */
    CHECK(other->first_state != first_state);
    run = make(EXP_POOL_EXECUTE, 96);
    CHECK_EQUAL(run->first_state, first_state);
    CHECK_EQUAL(exp_range.states[first_state + exp_classes[run->class_index].page_slots],
                EXP_STATE_HOLE);
    /* The bytes behind the last slot of a page are the start of nothing. */
    struct exp_run_place place = exp_run_find((char *)exp_range_page(run->page) + 42 * 96);
    CHECK_EQUAL(place.what, EXP_RUN_INSIDE);
    exp_run_unmake(run);
    exp_run_unmake(other);
    CHECK_FITS();
}

static void test_run_limited_pool_takes_the_fewest_pages(void)
{
    start();
    CHECK_EQUAL(expool_set("nonpaged_limit", "1M"), 0);
    for (unsigned index = EXP_CLASS_SMALL; index < EXP_CLASS_COUNT; index++) {
        struct exp_span *run = make(EXP_POOL_NONPAGED, exp_classes[index].size_bytes);
        CHECK_EQUAL(run->pages, exp_classes[index].slot_pages);
        exp_run_unmake(run);
        run = make(EXP_POOL_PAGED, exp_classes[index].size_bytes); /* not limited */
        CHECK_EQUAL(run->pages, exp_classes[index].run_pages);
        exp_run_unmake(run);
    }
    CHECK_FITS();
}

/* ---- tails ---- */

/* A block of a class with a rest, live. */
static void *tail_parent(size_t bytes, struct exp_span **parent)
{
    struct exp_run_entry entry;
    *parent = make(EXP_POOL_PAGED, bytes);
    CHECK_EQUAL(take(*parent, &entry, 1), 1);
    *entry.state = NUMBER;
    return exp_run_entry_block(&entry);
}

static void tail_parent_free(void *block, struct exp_span *parent)
{
    *exp_run_find(block).state = EXP_STATE_FREE;
    CHECK(exp_run_give(block, parent->class_index) == parent);
    exp_run_unmake(parent);
}

static void test_run_tail_every_pair_of_classes_is_made_and_unmade(void)
{
    start();
    for (unsigned big = EXP_CLASS_FIRST_PART; big < EXP_CLASS_COUNT; big++) {
        size_t rest_bytes = exp_classes[big].tail_bytes;
        for (unsigned small = EXP_CLASS_SMALL; rest_bytes != 0 && small < EXP_CLASS_FIRST_PART;
             small++) {
            const struct exp_class *class = &exp_classes[small];
            struct exp_span *parent;
            char *block = tail_parent(exp_classes[big].size_bytes, &parent);
            struct exp_span *run = make(EXP_POOL_PAGED, class->size_bytes);
            size_t start_bytes = PAGE - rest_bytes;
            size_t closed = (start_bytes + class->size_bytes - 1) / class->size_bytes;
            bool wanted = class->size_bytes <= 1024 && closed < class->page_slots;
            CHECK_EQUAL(run->parent != 0, wanted);
            if (run->parent != 0) {
                CHECK(exp_span_at(run->parent) == parent);
                CHECK_EQUAL(parent->tails, 1);
                CHECK_EQUAL(run->slots_taboo, closed);
                struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
                size_t count = take(run, entries, EXP_CLASS_SLOTS_MAX);
                CHECK_EQUAL(count, class->page_slots - closed);
                char *page = block + exp_round_up(exp_classes[big].size_bytes, PAGE) - PAGE;
                CHECK(page + start_bytes <= (char *)exp_run_entry_block(&entries[0]));
                CHECK((char *)exp_run_entry_block(&entries[count - 1]) + class->size_bytes <=
                      page + PAGE);
                for (size_t slot = 0; slot < count; slot++) {
                    CHECK_EQUAL(entries[slot].block & EXP_RUN_ZERO, 0);
                    *entries[slot].state = NUMBER;
                    CHECK_EQUAL(exp_run_find(exp_run_entry_block(&entries[slot])).what,
                                EXP_RUN_LIVE);
                    *entries[slot].state = EXP_STATE_FREE;
                    CHECK(give(&entries[slot], small) == run);
                }
            }
            struct exp_run_place place = exp_run_find(block);
            CHECK_EQUAL(place.what, EXP_RUN_LIVE); /* found beside its tail */
            CHECK(place.span == parent);
            place = exp_run_find(block + 16);
            CHECK(place.what == EXP_RUN_INSIDE);
            exp_run_unmake(run);
            CHECK_EQUAL(parent->tails, 0);
            tail_parent_free(block, parent);
            CHECK_FITS();
        }
    }
    CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_used, 0);
}

/* All tails of a run with many slots are given out, one page each, and withdrawn when it goes. */
static void test_run_tail_one_for_each_slot(void)
{
    start();
    static const size_t sizes[] = { 2560, 3072, 3584, 5120, 10240, 14336 };
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        struct exp_span *parent;
        struct exp_span *tails[17];
        void *block = tail_parent(sizes[index], &parent);
        size_t slots = parent->slots;
        for (size_t slot = 0; slot < slots; slot++) {
            tails[slot] = make(EXP_POOL_PAGED, 16 + 16 * (slot % 4));
            CHECK(exp_span_at(tails[slot]->parent) == parent);
            size_t slot_pages = exp_classes[parent->class_index].slot_pages;
            CHECK_EQUAL(tails[slot]->page, parent->page + (slot + 1) * slot_pages - 1);
        }
        CHECK_EQUAL(parent->tails, slots);
        tails[slots] = make(EXP_POOL_PAGED, 16); /* no tail is left */
        CHECK_EQUAL(tails[slots]->parent, 0);
        exp_run_unmake(tails[slots]);
        struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
        CHECK_EQUAL(take(parent, entries, slots), slots - 1);
        for (size_t slot = 0; slot + 1 < slots; slot++) {
            struct exp_run_place place = exp_run_find(exp_run_entry_block(&entries[slot]));
            CHECK(place.state == entries[slot].state);
            CHECK(give(&entries[slot], parent->class_index) == parent);
        }
        exp_run_unmake(tails[slots / 2]);
        struct exp_span *again = make(EXP_POOL_PAGED, 96); /* the one that is free */
        CHECK_EQUAL(again->parent, exp_span_index(parent));
        exp_run_unmake(again);
        for (size_t slot = 0; slot < slots; slot++) {
            if (slot != slots / 2) {
                exp_run_unmake(tails[slot]);
            }
        }
        CHECK_EQUAL(parent->tails, 0);
        tail_parent_free(block, parent);
        CHECK_FITS();
    }
    CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_used, 0);
}

static void test_run_tail_parent_goes_first_and_page_stays(void)
{
    start();
    static const size_t sizes[] = { 2560, 3584, 5120, 6144, 14336 };
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        struct exp_span *parent;
        struct exp_run_entry entry;
        char *block = tail_parent(sizes[index], &parent);
        size_t parent_pages = parent->pages;
        struct exp_span *run = make(EXP_POOL_PAGED, 64);
        CHECK_EQUAL(run->parent, exp_span_index(parent));
        CHECK_EQUAL(take(run, &entry, 1), 1);
        *entry.state = NUMBER;
        tail_parent_free(block, parent);
        CHECK_EQUAL(run->parent, 0);
        CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_used, 1);
        CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_dirty, parent_pages - 1);
        CHECK(exp_span_of(run->page) == run);
        CHECK_EQUAL(exp_run_find(block).what, EXP_RUN_FREED);
        CHECK_EQUAL(exp_run_find(exp_run_entry_block(&entry)).what, EXP_RUN_LIVE);
        CHECK_EQUAL(exp_run_find(exp_range_page(run->page)).what, EXP_RUN_FREED);
        *entry.state = EXP_STATE_FREE;
        CHECK(give(&entry, run->class_index) == run);
        CHECK(exp_run_empty(run));
        exp_run_unmake(run);
        CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_used, 0);
        CHECK_FITS();
    }
}

/* A tail that outlived its block, unmade: its states have no hole that the next user does not want.
 */
static void test_run_tail_states_open_again_for_whole_pages(void)
{
    start();
    struct exp_span *parent;
    void *block = tail_parent(3072, &parent);
    struct exp_span *run = make(EXP_POOL_PAGED, 16); /* one-page runs, as tails */
    uint32_t first_state = run->first_state;
    CHECK_EQUAL(run->slots_taboo, 192);
    exp_run_unmake(run);
    CHECK_EQUAL(expool_set("tail_reuse", "0"), 0);
    tail_parent_free(block, parent);
    run = make(EXP_POOL_PAGED, 16);
    CHECK_EQUAL(run->first_state, first_state);
    CHECK_EQUAL(run->slots_taboo, 0);
    struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
    CHECK_EQUAL(take(run, entries, EXP_CLASS_SLOTS_MAX), 256);
    for (size_t slot = 0; slot < 256; slot++) {
        CHECK_EQUAL(*entries[slot].state, EXP_STATE_FREE);
        CHECK(give(&entries[slot], run->class_index) == run);
    }
    exp_run_unmake(run);
    CHECK_FITS();
}

static void test_run_tail_not_offered_when_reuse_is_off(void)
{
    start();
    CHECK_EQUAL(expool_set("tail_reuse", "0"), 0);
    struct exp_span *parent;
    void *block = tail_parent(5120, &parent);
    struct exp_span *run = make(EXP_POOL_PAGED, 64);
    CHECK_EQUAL(run->parent, 0);
    CHECK(!exp_list_member(&parent->age));
    exp_run_unmake(run);
    tail_parent_free(block, parent);
    CHECK_FITS();
}

/* ---- large ---- */

static void test_run_large_states_and_interior_pages(void)
{
    start();
    for (size_t alignment = PAGE; alignment <= (size_t)1 << 20; alignment *= 16) {
        struct exp_span *span = large(EXP_POOL_PAGED, 70000, alignment, false);
        char *block = exp_range_page(span->page);
        CHECK_EQUAL((uintptr_t)block % alignment, 0);
        CHECK_EQUAL(span->held_bytes, 73728);
        CHECK_EQUAL(exp_run_find(block).what, EXP_RUN_LIVE);
        CHECK_EQUAL(exp_run_find(block).size_bytes, 73728);
        CHECK_EQUAL(exp_run_find(block + 16).what, EXP_RUN_INSIDE);
        struct exp_run_place place = exp_run_find(block + 17 * PAGE + 4095);
        CHECK_EQUAL(place.what, EXP_RUN_INTERIOR);
        CHECK_EQUAL(place.offset_bytes, 17 * PAGE + 4095);
        large_free(span);
        CHECK_EQUAL(exp_run_find(block).what, EXP_RUN_FREED);
        CHECK_EQUAL(exp_run_find(block + 17 * PAGE).what, EXP_RUN_FREED);
        CHECK_FITS();
    }
    CHECK(exp_run_large_make(0, EXP_POOL_PAGED, SIZE_MAX, PAGE, true) == NULL);
    CHECK(exp_run_large_make(0, EXP_POOL_PAGED, SIZE_MAX - PAGE, PAGE, true) == NULL);
    CHECK_FITS();
}

static void test_run_large_donates_its_rest(void)
{
    start();
    struct exp_span *span = large(EXP_POOL_NONPAGED, 17 * PAGE + 1000, PAGE, true);
    CHECK_EQUAL(span->held_bytes, 17 * PAGE + 1008);
    struct exp_span *run = make(EXP_POOL_NONPAGED, 64);
    CHECK(exp_span_at(run->parent) == span);
    CHECK_EQUAL(run->page, span->page + 17);
    CHECK_EQUAL(run->slots_taboo, 16);
    struct exp_run_entry entry;
    CHECK_EQUAL(take(run, &entry, 1), 1);
    *entry.state = NUMBER;
    char *block = exp_range_page(span->page);
    CHECK_EQUAL(exp_run_find(block).what, EXP_RUN_LIVE);
    struct exp_run_place place = exp_run_find(block + 17 * PAGE + 16);
    CHECK_EQUAL(place.what, EXP_RUN_INTERIOR); /* the block's part of the shared page */
    CHECK_EQUAL(place.offset_bytes, 17 * PAGE + 16);
    large_free(span); /* the tail stays */
    CHECK_EQUAL(exp_span.counts[EXP_POOL_NONPAGED].pages_used, 1);
    CHECK_EQUAL(exp_run_find(exp_run_entry_block(&entry)).what, EXP_RUN_LIVE);
    *entry.state = EXP_STATE_FREE;
    CHECK(give(&entry, run->class_index) == run);
    exp_run_unmake(run);
    CHECK_FITS();
}

static void test_run_large_resize_in_place_or_not_at_all(void)
{
    start();
    struct exp_span *span = large(EXP_POOL_PAGED, 20 * PAGE, PAGE, false);
    struct exp_span *wall = large(EXP_POOL_PAGED, 17 * PAGE, PAGE, false);
    char *block = exp_range_page(span->page);
    CHECK(!exp_run_large_resize(span, 21 * PAGE)); /* the wall */
    CHECK_EQUAL(span->held_bytes, 20 * PAGE);
    CHECK(exp_run_large_resize(span, 18 * PAGE - 5));
    CHECK_EQUAL(span->held_bytes, 18 * PAGE);
    CHECK_EQUAL(exp_run_find(block + 18 * PAGE).what, EXP_RUN_FREED);
    CHECK(exp_run_large_resize(span, 20 * PAGE));
    CHECK_EQUAL(span->held_bytes, 20 * PAGE);
    struct exp_run_place place = exp_run_find(block + 19 * PAGE);
    CHECK_EQUAL(place.what, EXP_RUN_INTERIOR);
    CHECK_EQUAL(place.offset_bytes, 19 * PAGE);
    CHECK(!exp_run_large_resize(span, SIZE_MAX));
    CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_used, 37);
    large_free(wall);
    CHECK(exp_run_large_resize(span, 30 * PAGE));
    CHECK_EQUAL(exp_span.counts[EXP_POOL_PAGED].pages_used, 30);
    large_free(span);
    CHECK_FITS();
}

/* run.h: "false: it would have to move; nothing has changed", also when a rest was on offer. */
static void test_run_large_resize_refused_changes_nothing(void)
{
    start();
    struct exp_span *span = large(EXP_POOL_PAGED, 17 * PAGE + 1000, PAGE, true);
    struct exp_span *wall = large(EXP_POOL_PAGED, 17 * PAGE, PAGE, false);
    uint64_t held_bytes = span->held_bytes;
    CHECK(!exp_run_large_resize(span, 19 * PAGE));
    CHECK_EQUAL(span->held_bytes, held_bytes);
    struct exp_span *run = make(EXP_POOL_PAGED, 64); /* still on offer */
    CHECK_EQUAL(run->parent, exp_span_index(span));
    exp_run_unmake(run);
    large_free(span);
    large_free(wall);
    CHECK_FITS();
}

static void test_run_make_without_memory_for_states_gives_pages_back(void)
{
    start();
    /* Each call that brings memory fails once, at every place of a sequence that needs new tables.
     */
    for (uint64_t nth = 1; nth < 12; nth++) {
        static struct exp_span *made[2000];
        size_t count = 0;
        sim_fail(SIM_COMMIT, nth, 1);
        uint64_t calls = sim_calls(SIM_COMMIT);
        for (size_t index = 0; sim_calls(SIM_COMMIT) < calls + nth && index < 2000; index++) {
            struct exp_span *run = exp_run_make(0, index % 3, EXP_CLASS_SMALL + index % 20);
            if (run != NULL) {
                made[count++] = run;
            }
        }
        sim_fail(SIM_COMMIT, 0, 0);
        CHECK_EQUAL(sim_failures(), nth);
        while (count != 0) {
            exp_run_unmake(made[--count]);
        }
        CHECK_FITS();
    }
}

static void test_run_rebuild_finds_free_slots_by_state(void)
{
    start();
    struct exp_run_entry entries[EXP_CLASS_SLOTS_MAX];
    struct exp_span *run = make(EXP_POOL_PAGED, 512);
    size_t slots = run->slots;
    CHECK_EQUAL(take(run, entries, 20), 20);
    for (size_t slot = 0; slot < 20; slot += 2) {
        *entries[slot].state = NUMBER;
    }
    exp_run_rebuild(run);
    CHECK_EQUAL(run->slots_free, slots - 10);
    CHECK_EQUAL(run->slots_fresh, slots);
    for (size_t slot = 0; slot < 20; slot += 2) {
        *entries[slot].state = EXP_STATE_FREE;
        CHECK(give(&entries[slot], run->class_index) == run);
        CHECK(give(&entries[slot + 1], run->class_index) == NULL); /* it came back */
    }
    CHECK(exp_run_empty(run));
    exp_run_unmake(run);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_run_every_class_and_pool_places_slots_by_class);
    RUN_FRESH(test_run_take_low_addresses_first_and_used_before_fresh);
    RUN_FRESH(test_run_make_in_used_pages_is_not_zero);
    RUN_FRESH(test_run_give_twice_is_found_and_changes_nothing);
    RUN_FRESH(test_run_states_reused_keep_holes_for_their_class);
    RUN_FRESH(test_run_limited_pool_takes_the_fewest_pages);
    RUN_FRESH(test_run_tail_every_pair_of_classes_is_made_and_unmade);
    RUN_FRESH(test_run_tail_one_for_each_slot);
    RUN_FRESH(test_run_tail_parent_goes_first_and_page_stays);
    RUN_FRESH(test_run_tail_states_open_again_for_whole_pages);
    RUN_FRESH(test_run_tail_not_offered_when_reuse_is_off);
    RUN_FRESH(test_run_large_states_and_interior_pages);
    RUN_FRESH(test_run_large_donates_its_rest);
    RUN_FRESH(test_run_large_resize_in_place_or_not_at_all);
    RUN_FRESH(test_run_large_resize_refused_changes_nothing);
    RUN_FRESH(test_run_make_without_memory_for_states_gives_pages_back);
    RUN_FRESH(test_run_rebuild_finds_free_slots_by_state);
    return unit_end();
}
