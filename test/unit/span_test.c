/* SPDX-License-Identifier: MIT */
/*
 * Pages are found, split, merged, aged and given back as span.h says.
 *
 * The tests call the span functions themselves, on a pool that has been started and serves no
 * blocks. A page's contents tell whether "zero" is true; the simulated port tells what was asked of
 * it. A span taken here has no class: before everything is walked it is given back, or made large
 * by hand.
 */
#include "core/option.h"
#include "core/span.h"
#include "sim/port.h"
#include "unit/fits.h"

enum {
    NONPAGED,
    EXECUTE,
    PAGED
};
#define PAGE ((size_t)4096)

static void start(void)
{
    expool_trim(); /* starts the pool */
    CHECK(exp_range.bytes != 0);
}

static struct exp_span *take(unsigned pool, size_t pages)
{
    struct exp_span *span = exp_span_take(0, pool, pages);
    if (!CHECK(span != NULL)) {
        exit(1);
    }
    CHECK_EQUAL(span->pages, pages);
    CHECK_EQUAL(span->pool, pool);
    span->class_index = EXP_CLASS_LARGE;
    for (size_t page = 0; page < pages; page++) {
        CHECK(exp_span_of(span->page + page) == span);
    }
    return span;
}

static void give(struct exp_span *span)
{
    exp_lock_acquire(&exp_span.lock);
    exp_span_give(span);
    exp_lock_release(&exp_span.lock);
}

static unsigned char *bytes_of(const struct exp_span *span)
{
    return exp_range_page(span->page);
}

static void dirty(const struct exp_span *span)
{
    memset(bytes_of(span), 0x5a, span->pages * PAGE);
}

static bool reads_zero(const struct exp_span *span)
{
    const unsigned char *bytes = bytes_of(span);
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, span->pages * PAGE - 1) == 0;
}

static uint64_t pages_dirty(void)
{
    return exp_span.counts[0].pages_dirty + exp_span.counts[1].pages_dirty +
           exp_span.counts[2].pages_dirty;
}

/* The free span that a page lies in, first or last. */
static struct exp_span *free_at(size_t page)
{
    struct exp_span *span = exp_span_of(page);
    CHECK_EQUAL(span->use, EXP_SPAN_FREE);
    return span;
}

static void test_span_take_first_grows_one_chunk_and_splits_it(void)
{
    start();
    for (unsigned pool = NONPAGED; pool <= PAGED; pool++) {
        struct exp_span *span = take(pool, 3);
        CHECK_EQUAL(exp_span.chunks_grown, pool + 1);
        CHECK(span->zero && reads_zero(span));
        CHECK_EQUAL(exp_span.counts[pool].pages_used, 3);
        CHECK_EQUAL(exp_span.counts[pool].pages_used_peak, 3);
        struct exp_span *rest = free_at(span->page + 3);
        CHECK_EQUAL(rest->pages, exp_range.chunk_pages - 3);
        CHECK(rest->zero);
        CHECK_EQUAL(sim_access(bytes_of(span)),
                    pool == EXECUTE ? EXP_PORT_READ_WRITE_EXECUTE : EXP_PORT_READ_WRITE);
        give(span);
        CHECK_EQUAL(exp_span.counts[pool].pages_used, 0);
        CHECK_EQUAL(exp_span.counts[pool].pages_used_peak, 3);
        CHECK_FITS();
    }
}

static void test_span_take_more_than_a_chunk_spans_chunks(void)
{
    start();
    size_t pages = exp_range.chunk_pages * 2 + 7;
    struct exp_span *span = take(PAGED, pages);
    CHECK_EQUAL(exp_span.chunks_grown, 3);
    dirty(span);
    give(span);
    CHECK_FITS();
    /* The next chunk is a neighbour: what is free there merges across the border. */
    exp_span_purge(true);
    CHECK_EQUAL(free_at(span->page)->pages, exp_range.chunk_pages * 3);
    CHECK_FITS();
}

static void test_span_give_merges_previous_next_and_both(void)
{
    start();
    struct exp_span *span[5];
    for (int index = 0; index < 5; index++) {
        span[index] = take(PAGED, 2 + (size_t)index);
        CHECK(index == 0 || span[index]->page == span[index - 1]->page + span[index - 1]->pages);
    }
    size_t first = span[0]->page;
    give(span[0]);
    CHECK_EQUAL(free_at(first)->pages, 2);
    give(span[1]); /* previous */
    CHECK_EQUAL(free_at(first)->pages, 5);
    CHECK(free_at(first + 4) == free_at(first));
    size_t fourth = span[3]->page;
    give(span[3]);
    CHECK_EQUAL(free_at(fourth)->pages, 5);
    size_t third = span[2]->page;
    give(span[2]); /* both */
    CHECK_EQUAL(free_at(first)->pages, 2 + 3 + 4 + 5);
    CHECK(free_at(fourth + 4) == free_at(first));
    CHECK(exp_span_of(third) != NULL);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_dirty, 14);
    give(span[4]);
    CHECK_EQUAL(free_at(first)->pages, 20);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_dirty, 20);
    CHECK_FITS();
    /* Next alone. */
    struct exp_span *low = take(PAGED, 10);
    CHECK_EQUAL(low->page, first);
    give(low);
    CHECK_EQUAL(free_at(first)->pages, 20);
    CHECK_FITS();
}

static void test_span_give_dirty_beside_clean_stays_apart(void)
{
    start();
    struct exp_span *span = take(PAGED, 4);
    size_t page = span->page;
    dirty(span);
    give(span);
    CHECK_EQUAL(free_at(page)->pages, 4);
    CHECK(!free_at(page)->zero);
    CHECK(free_at(page + 4)->zero);
    CHECK_EQUAL(pages_dirty(), 4);
    CHECK_FITS();
    exp_span_purge(true); /* both are clean now and become one */
    CHECK_EQUAL(free_at(page)->pages, exp_range.chunk_pages);
    CHECK(free_at(page)->zero && reads_zero(free_at(page)));
    CHECK_EQUAL(pages_dirty(), 0);
    CHECK_EQUAL(exp_span.pages_purged, 4);
    CHECK_FITS();
}

static void test_span_give_marks_pages_freed_with_class(void)
{
    start();
    struct exp_span *span = take(EXECUTE, 2);
    size_t page = span->page;
    span->class_index = 41;
    give(span);
    for (size_t index = 0; index < 2; index++) {
        CHECK_EQUAL(exp_range_map()[page + index],
                    exp_range_entry(41, EXECUTE << EXP_CLASS_BITS | EXP_CLASS_FREED));
    }
    CHECK_EQUAL(exp_range_map()[page + 2], 0);
    CHECK_FITS();
}

static void test_span_take_prefers_dirty_then_best_fit(void)
{
    start();
    /* Holes of 100, 70, 90 and 3 pages between spans that stay. */
    static const size_t holes[] = { 100, 70, 90, 3 };
    struct exp_span *hole[4];
    struct exp_span *wall[4];
    size_t page[4];
    for (int index = 0; index < 4; index++) {
        hole[index] = take(PAGED, holes[index]);
        page[index] = hole[index]->page;
        wall[index] = take(PAGED, 1);
    }
    for (int index = 0; index < 4; index++) {
        dirty(hole[index]);
        give(hole[index]);
    }
    struct exp_span *small = take(PAGED, 2);
    CHECK_EQUAL(small->page, page[3]);
    CHECK(!small->zero);
    struct exp_span *big = take(PAGED, 65); /* 70 and, in another bin, 90 and 100 fit */
    CHECK_EQUAL(big->page, page[1]);
    struct exp_span *next = take(PAGED, 85);
    CHECK_EQUAL(next->page, page[2]);
    struct exp_span *last = take(PAGED, 100);
    CHECK_EQUAL(last->page, page[0]);
    struct exp_span *clean = take(PAGED, 110); /* none of the dirty ones holds it */
    CHECK(clean->zero && reads_zero(clean));
    struct exp_span *all[] = { small, big, next, last, clean, wall[0], wall[1], wall[2], wall[3] };
    for (size_t index = 0; index < sizeof(all) / sizeof(all[0]); index++) {
        give(all[index]);
    }
    CHECK_FITS();
}

static void test_span_take_best_fit_in_one_bin(void)
{
    start();
    /* 80 and 90 pages share a bin (80 .. 95); the later one lies in front. */
    CHECK_EQUAL(exp_span_bin_of(80), exp_span_bin_of(90));
    struct exp_span *ninety = take(PAGED, 90);
    struct exp_span *wall = take(PAGED, 1);
    struct exp_span *eighty = take(PAGED, 80);
    struct exp_span *end = take(PAGED, 1);
    size_t page = eighty->page;
    give(eighty);
    give(ninety);
    struct exp_span *span = take(PAGED, 80);
    CHECK_EQUAL(span->page, page);
    give(span);
    span = take(PAGED, 81); /* the first of its bin would do, were it large enough */
    CHECK_EQUAL(span->page + 90, wall->page);
    give(span);
    give(wall);
    give(end);
    CHECK_FITS();
}

static void test_span_take_purges_when_dirty_pieces_would_do_together(void)
{
    start();
    size_t third = exp_range.chunk_pages / 3;
    struct exp_span *low = take(PAGED, third);
    struct exp_span *middle = take(PAGED, third / 2);
    struct exp_span *high = take(PAGED, third);
    size_t page = low->page;
    CHECK_EQUAL(exp_span.chunks_grown, 1);
    dirty(low);
    dirty(middle);
    dirty(high);
    give(middle);
    exp_span_purge(true); /* the middle is clean, what lies around it becomes dirty */
    give(low);
    give(high);
    CHECK_EQUAL(free_at(page)->pages, third);
    CHECK_FITS();
    struct exp_span *span = take(PAGED, 2 * third); /* fits nowhere, but as much is dirty */
    CHECK_EQUAL(span->page, page);
    CHECK(span->zero && reads_zero(span));
    CHECK_EQUAL(exp_span.chunks_grown, 1);
    CHECK_EQUAL(exp_span.pages_purged, 2 * third + third / 2);
    CHECK_EQUAL(pages_dirty(), 0);
    dirty(span);
    give(span);
    span = take(PAGED, 2 * third + 10); /* more than is dirty: new pages */
    CHECK_EQUAL(exp_span.chunks_grown, 2);
    CHECK_EQUAL(pages_dirty(), 2 * third);
    give(span);
    CHECK_FITS();
}

static void test_span_purge_by_age_obeys_the_clock(void)
{
    start();
    exp_span_purge(false); /* learns the time */
    struct exp_span *early = take(PAGED, 3);
    struct exp_span *wall = take(PAGED, 1);
    struct exp_span *late = take(PAGED, 5);
    struct exp_span *end = take(PAGED, 1);
    give(early);
    sim_clock_advance_ms(300);
    exp_span_purge(false);
    CHECK_EQUAL(pages_dirty(), 3);
    give(late);
    CHECK_EQUAL(pages_dirty(), 8);
    sim_clock_advance_ms(199);
    exp_span_purge(false);
    CHECK_EQUAL(pages_dirty(), 8); /* 499 ms old: not yet */
    sim_clock_advance_ms(1);
    exp_span_purge(false);
    CHECK_EQUAL(pages_dirty(), 5);
    CHECK_EQUAL(exp_span.pages_purged, 3);
    sim_clock_advance_ms(299);
    exp_span_purge(false);
    CHECK_EQUAL(pages_dirty(), 5);
    sim_clock_advance_ms(1);
    exp_span_purge(false);
    CHECK_EQUAL(pages_dirty(), 0);
    give(wall);
    give(end);
    CHECK_EQUAL(expool_set("purge_ms", "10"), 0);
    sim_clock_advance_ms(10);
    exp_span_purge(false);
    CHECK_EQUAL(pages_dirty(), 0);
    CHECK_FITS();
}

static void test_span_tick_looks_at_the_clock_now_and_then(void)
{
    start();
    exp_span_purge(false);
    give(take(PAGED, 3));
    sim_clock_advance_ms(1000);
    uint64_t looks = sim_calls(SIM_CLOCK);
    for (int visit = 0; visit < 1000; visit++) {
        exp_span_tick();
    }
    CHECK(sim_calls(SIM_CLOCK) > looks);
    CHECK(sim_calls(SIM_CLOCK) - looks < 100);
    CHECK_EQUAL(pages_dirty(), 0);
    CHECK_FITS();
}

static void test_span_purge_refused_keeps_pages_dirty_and_ends(void)
{
    start();
    struct exp_span *span[4];
    for (int index = 0; index < 4; index++) {
        span[index] = take(PAGED, 2);
        dirty(span[index]);
    }
    size_t page = span[0]->page;
    give(span[0]);
    give(span[2]);
    sim_decommit_refuse(true);
    uint64_t calls = sim_calls(SIM_DECOMMIT);
    exp_span_purge(true);
    CHECK_EQUAL(sim_calls(SIM_DECOMMIT), calls + 1); /* one refusal is enough for now */
    CHECK_EQUAL(pages_dirty(), 4);
    CHECK_EQUAL(exp_span.pages_purged, 0);
    CHECK(!free_at(page)->zero);
    give(span[1]);
    CHECK_EQUAL(pages_dirty(), 6);
    struct exp_span *again = take(PAGED, 6);
    CHECK_EQUAL(again->page, page);
    CHECK(!again->zero); /* full of garbage, and known to be */
    CHECK(!reads_zero(again));
    give(again);
    give(span[3]);
    sim_decommit_refuse(false);
    exp_span_purge(true);
    CHECK_EQUAL(pages_dirty(), 0);
    CHECK_EQUAL(exp_span.pages_purged, 8);
    CHECK(reads_zero(free_at(page)));
    CHECK_FITS();
}

static void test_span_take_refused_purge_grows_instead(void)
{
    start();
    size_t chunk = exp_range.chunk_pages;
    struct exp_span *low = take(PAGED, chunk - 1);
    struct exp_span *high = take(PAGED, 1);
    dirty(low);
    dirty(high);
    give(low);
    sim_decommit_refuse(true);
    struct exp_span *span = take(PAGED, chunk);
    CHECK(span->zero && reads_zero(span)); /* the new chunk */
    CHECK_EQUAL(exp_span.chunks_grown, 2);
    CHECK_EQUAL(pages_dirty(), chunk - 1);
    give(high);
    give(span);
    CHECK_FITS();
}

static void test_span_take_aligned_trims_both_ends(void)
{
    start();
    for (size_t alignment = PAGE; alignment <= ((size_t)16 << 20); alignment *= 2) {
        struct exp_span *odd = take(PAGED, 1);
        struct exp_span *span = exp_span_take_aligned(0, PAGED, 3, alignment);
        if (CHECK(span != NULL)) {
            CHECK_EQUAL(span->pages, 3);
            CHECK_EQUAL((uintptr_t)bytes_of(span) % alignment, 0);
            CHECK(reads_zero(span) || !span->zero);
            span->class_index = EXP_CLASS_LARGE;
            give(span);
        }
        give(odd);
        CHECK_FITS();
    }
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 0);
    CHECK(exp_span_take_aligned(0, PAGED, 1, (size_t)1 << 63) == NULL);
    CHECK(exp_span_take_aligned(0, PAGED, SIZE_MAX >> 12, PAGE) == NULL);
    CHECK(exp_span_take_aligned(0, PAGED, SIZE_MAX, (size_t)1 << 40) == NULL);
    CHECK_EQUAL(exp_span.counts[PAGED].failures, 3);
    CHECK_FITS();
}

static void test_span_take_over_limit_fails_and_counts(void)
{
    start();
    CHECK_EQUAL(expool_set("paged_limit", "40K"), 0);
    struct exp_span *six = take(PAGED, 6);
    CHECK(exp_span_take(0, PAGED, 5) == NULL);
    CHECK_EQUAL(exp_span.counts[PAGED].failures, 1);
    struct exp_span *four = take(PAGED, 4);
    CHECK(exp_span_take(0, PAGED, 1) == NULL);
    struct exp_span *other = take(NONPAGED, 100); /* another pool's limit is its own */
    give(four);
    four = take(PAGED, 4);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 10);
    CHECK_EQUAL(expool_set("paged_limit", "4K"), 0); /* below what is used: refuses, no more */
    CHECK(exp_span_take(0, PAGED, 1) == NULL);
    give(six);
    give(four);
    struct exp_span *one = take(PAGED, 1);
    give(one);
    give(other);
    CHECK_EQUAL(expool_set("nonpaged_limit", "8K"), 0); /* both nonpaged pools together */
    one = take(NONPAGED, 1);
    other = take(EXECUTE, 1);
    CHECK(exp_span_take(0, NONPAGED, 1) == NULL);
    CHECK(exp_span_take(0, EXECUTE, 1) == NULL);
    give(one);
    give(other);
    CHECK_EQUAL(expool_set("paged_limit", "0"), 0);
    CHECK(exp_span_take(0, PAGED, 1) == NULL);
    CHECK_FITS();
}

static void test_span_take_injected_failure_fails_once(void)
{
    start();
    expool_fail_page_request(3);
    struct exp_span *first = take(PAGED, 1);
    struct exp_span *second = take(NONPAGED, 1);
    CHECK(exp_span_take(0, PAGED, 1) == NULL);
    CHECK_EQUAL(exp_span.failures_injected, 1);
    CHECK_EQUAL(exp_span.counts[PAGED].failures, 1);
    struct exp_span *third = take(PAGED, 1);
    expool_fail_page_request(1);
    expool_fail_page_request(0); /* off again */
    struct exp_span *fourth = take(PAGED, 1);
    CHECK_EQUAL(exp_span.failures_injected, 1);
    give(first);
    give(second);
    give(third);
    give(fourth);
    CHECK_FITS();
}

static void test_span_take_without_memory_fails_and_recovers(void)
{
    start();
    sim_fail(SIM_COMMIT, 1, 1);
    CHECK(exp_span_take(0, PAGED, 1) == NULL);
    CHECK_EQUAL(exp_span.chunks_grown, 0);
    CHECK_FITS();
    struct exp_span *span = take(PAGED, 1);
    give(span);
    CHECK_FITS();
}

static void test_span_extend_grows_into_dirty_and_clean_neighbours(void)
{
    start();
    struct exp_span *span = take(PAGED, 20);
    struct exp_span *next = take(PAGED, 4);
    struct exp_span *wall = take(PAGED, 1);
    CHECK(!exp_span_extend(span, 1)); /* used */
    CHECK_EQUAL(span->pages, 20);
    dirty(next);
    give(next);
    CHECK(!exp_span_extend(span, 5)); /* too short */
    CHECK_EQUAL(pages_dirty(), 4);
    CHECK(exp_span_extend(span, 3));
    CHECK_EQUAL(span->pages, 23);
    CHECK_EQUAL(pages_dirty(), 1);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 24);
    CHECK(exp_span_of(span->page + 22) == span);
    CHECK(exp_span_extend(span, 1)); /* to the last page */
    CHECK_EQUAL(pages_dirty(), 0);
    CHECK(!exp_span_extend(span, 1));
    CHECK(exp_span_extend(wall, 10)); /* clean pages */
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 35);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used_peak, 35);
    CHECK_EQUAL(expool_set("paged_limit", "144K"), 0);
    CHECK(!exp_span_extend(wall, 2)); /* 36 pages at most */
    CHECK(exp_span_extend(wall, 1));
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 36);
    give(span);
    give(wall);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 0);
    CHECK_FITS();
}

static void test_span_split_makes_two_that_can_be_given_alone(void)
{
    start();
    struct exp_span *span = take(PAGED, 9);
    size_t page = span->page;
    exp_lock_acquire(&exp_span.lock);
    struct exp_span *second = exp_span_split(span, 4);
    exp_lock_release(&exp_span.lock);
    if (!CHECK(second != NULL)) {
        return;
    }
    CHECK_EQUAL(span->pages, 5);
    CHECK_EQUAL(second->page, page + 5);
    CHECK_EQUAL(second->pages, 4);
    for (size_t index = 0; index < 9; index++) {
        CHECK(exp_span_of(page + index) == (index < 5 ? span : second));
    }
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 9);
    give(second);
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 5);
    give(span);
    CHECK_EQUAL(free_at(page)->pages, 9);
    CHECK_FITS();
}

static void test_span_pools_never_merge_across_their_border(void)
{
    /* So little address space that chunks of two pools must touch. */
    sim_start(1, (size_t)8 << 20);
    start();
    struct exp_span *taken[2000];
    unsigned count = 0;
    for (unsigned pool = NONPAGED; count < 2000; pool = (pool + 1) % 3) {
        struct exp_span *span = exp_span_take(0, pool, exp_range.chunk_pages / 2 + 1);
        if (span == NULL) {
            break;
        }
        span->class_index = EXP_CLASS_LARGE;
        taken[count++] = span;
    }
    CHECK(count >= 10);
    bool touching = false;
    for (size_t chunk = exp_range.chunk_first + 1; chunk < exp_range.chunk_count; chunk++) {
        uint8_t before = exp_range.chunks[chunk - 1];
        touching |=
            before != 0 && exp_range.chunks[chunk] != 0 && before != exp_range.chunks[chunk];
    }
    CHECK(touching);
    while (count != 0) {
        give(taken[--count]);
    }
    CHECK_FITS();
    exp_span_purge(true);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_span_take_first_grows_one_chunk_and_splits_it);
    RUN_FRESH(test_span_take_more_than_a_chunk_spans_chunks);
    RUN_FRESH(test_span_give_merges_previous_next_and_both);
    RUN_FRESH(test_span_give_dirty_beside_clean_stays_apart);
    RUN_FRESH(test_span_give_marks_pages_freed_with_class);
    RUN_FRESH(test_span_take_prefers_dirty_then_best_fit);
    RUN_FRESH(test_span_take_best_fit_in_one_bin);
    RUN_FRESH(test_span_take_purges_when_dirty_pieces_would_do_together);
    RUN_FRESH(test_span_purge_by_age_obeys_the_clock);
    RUN_FRESH(test_span_tick_looks_at_the_clock_now_and_then);
    RUN_FRESH(test_span_purge_refused_keeps_pages_dirty_and_ends);
    RUN_FRESH(test_span_take_refused_purge_grows_instead);
    RUN_FRESH(test_span_take_aligned_trims_both_ends);
    RUN_FRESH(test_span_take_over_limit_fails_and_counts);
    RUN_FRESH(test_span_take_injected_failure_fails_once);
    RUN_FRESH(test_span_take_without_memory_fails_and_recovers);
    RUN_FRESH(test_span_extend_grows_into_dirty_and_clean_neighbours);
    RUN_FRESH(test_span_split_makes_two_that_can_be_given_alone);
    RUN_FRESH(test_span_pools_never_merge_across_their_border);
    return unit_end();
}
