/* SPDX-License-Identifier: MIT */
/*
 * Session blocks are counted by tag and pool, apart from the ordinary rows, in memory of ours and
 * as another process reads them; what has no room is left out for good; a copy of the process keeps
 * the counts. Totals are the sums of all ordinary rows.
 *
 * The counting is called directly, as the walk calls it. Each case runs in a forked child, where
 * the core is as new.
 */
#include "core/tag.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG      UINT32_C(0x54636241) /* AbcT */
#define MANY     5000u
#define ROWS_MAX (2 * MANY)

static struct expool_tag_row rows[ROWS_MAX];

static void start(void)
{
    expool_trim(); /* starts the pool */
    CHECK(exp_tag_region() != NULL);
}

static const struct expool_region_section *section(void)
{
    return &exp_tag_region()->section[EXPOOL_SECTION_SESSION];
}

/* An entry as another process finds it. */
static const struct expool_region_session *shown(size_t index)
{
    CHECK(index < section()->count);
    CHECK_EQUAL(section()->entry_bytes, sizeof(struct expool_region_session));
    return (const struct expool_region_session *)((const char *)exp_tag_region() +
                                                  section()->offset) +
           index;
}

static void check_row(
    size_t index, uint32_t tag, uint32_t pool, uint64_t allocs, uint64_t frees, uint64_t bytes)
{
    CHECK_EQUAL(rows[index].tag, tag);
    CHECK_EQUAL(rows[index].pool, pool);
    CHECK_EQUAL(rows[index].allocs, allocs);
    CHECK_EQUAL(rows[index].frees, frees);
    CHECK_EQUAL(rows[index].bytes, bytes);
}

static void test_session_nothing_counted_has_no_rows(void)
{
    start();
    CHECK_EQUAL(exp_tag_session_rows(NULL, 0), 0);
    CHECK_EQUAL(section()->count, 0);
    (void)exp_tag_register(TAG);
    exp_tag_session_count(exp_tag_register(TAG), 1, false, 16); /* a free makes no row */
    CHECK_EQUAL(exp_tag_session_rows(NULL, 0), 0);
}

static void test_session_counts_by_tag_and_pool_and_shows_them(void)
{
    start();
    uint32_t first = exp_tag_register(TAG);
    uint32_t second = exp_tag_register(TAG + 1);
    exp_tag_session_count(second, 1, true, 64);
    exp_tag_session_count(first, 0, true, 4096);
    exp_tag_session_count(first, 1, true, 32);
    exp_tag_session_count(second, 1, true, 100);
    exp_tag_session_count(second, 1, false, 64);
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), 3);
    check_row(0, TAG + 1, 1, 2, 1, 100);
    check_row(1, TAG, 0, 1, 0, 4096);
    check_row(2, TAG, 1, 1, 0, 32);
    CHECK_EQUAL(section()->count, 4);
    CHECK_EQUAL(shown(0)->allocs, 0); /* second, nonpaged: room, never used */
    CHECK_EQUAL(shown(1)->tag, TAG + 1);
    CHECK_EQUAL(shown(1)->pool, 1);
    CHECK_EQUAL(shown(1)->allocs, 2);
    CHECK_EQUAL(shown(1)->frees, 1);
    CHECK_EQUAL(shown(1)->bytes_in, 164);
    CHECK_EQUAL(shown(1)->bytes_out, 64);
    CHECK_EQUAL(expool_tags(rows, ROWS_MAX), 0); /* the ordinary rows are another's business */
    CHECK_FITS();
}

static void test_session_row_stays_when_all_is_freed(void)
{
    start();
    uint32_t number = exp_tag_register(TAG);
    exp_tag_session_count(number, 0, true, 48);
    exp_tag_session_count(number, 0, false, 48);
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), 1);
    check_row(0, TAG, 0, 1, 1, 0);
}

static void test_session_protected_tag_counts_in_the_plain_row(void)
{
    start();
    uint32_t guarded = exp_tag_register(TAG | EXP_TAG_PROTECTED);
    uint32_t plain = exp_tag_register(TAG);
    exp_tag_session_count(guarded, 1, true, 16);
    exp_tag_session_count(plain, 1, true, 16);
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), 1);
    check_row(0, TAG, 1, 2, 0, 32);
}

static void test_session_rows_beyond_the_capacity_are_told_only(void)
{
    start();
    exp_tag_session_count(exp_tag_register(TAG), 0, true, 16);
    exp_tag_session_count(exp_tag_register(TAG), 1, true, 16);
    memset(rows, 0xee, sizeof(rows));
    CHECK_EQUAL(exp_tag_session_rows(rows, 1), 2);
    CHECK_EQUAL(rows[0].tag, TAG);
    CHECK_EQUAL(rows[1].tag, 0xeeeeeeee);
}

/* More tags than have room: those that came first are counted, the others never. */
static void test_session_full_table_leaves_new_tags_out(void)
{
    start();
    size_t room = section()->capacity / 2;
    CHECK(room > 16 && room < MANY);
    for (uint32_t index = 0; index < MANY; index++) {
        exp_tag_session_count(exp_tag_register(TAG + index), 1, true, 16 + index);
    }
    for (uint32_t index = 0; index < MANY; index += 2) {
        exp_tag_session_count(exp_tag_register(TAG + index), 1, false, 16 + index);
    }
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), room);
    for (uint32_t index = 0; index < room; index++) {
        bool freed = index % 2 == 0;
        check_row(index, TAG + index, 1, 1, freed, freed ? 0 : 16 + index);
    }
}

/* No memory when a tag's first session block comes: the tag is left out, others are not. */
static void test_session_without_memory_is_left_out_for_good(void)
{
    start();
    uint32_t first = exp_tag_register(TAG);
    uint32_t second = exp_tag_register(TAG + 1);
    sim_fail(SIM_REGION_COMMIT, 1, 1);
    exp_tag_session_count(first, 0, true, 16);
    CHECK_EQUAL(sim_failures_of(SIM_REGION_COMMIT), 1);
    exp_tag_session_count(first, 0, true, 16);
    exp_tag_session_count(first, 0, false, 16);
    exp_tag_session_count(second, 0, true, 32);
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), 1);
    check_row(0, TAG + 1, 0, 1, 0, 32);
}

static void test_session_copy_of_the_process_keeps_the_counts(void)
{
    start();
    uint32_t number = exp_tag_register(TAG);
    exp_tag_session_count(number, 1, true, 64);
    sim_child();
    expool_trim();
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), 1);
    check_row(0, TAG, 1, 1, 0, 64);
    exp_tag_session_count(number, 1, false, 64);
    exp_tag_session_count(exp_tag_register(TAG + 1), 0, true, 16);
    CHECK_EQUAL(exp_tag_session_rows(rows, ROWS_MAX), 2);
    check_row(0, TAG, 1, 1, 1, 0);
    CHECK_EQUAL(section()->count, 4);
    CHECK_EQUAL(shown(1)->frees, 1);
    CHECK_EQUAL(shown(2)->tag, TAG + 1);
    CHECK_FITS();
}

static void test_totals_are_the_sums_of_all_rows(void)
{
    struct expool_tag_row totals[2];
    start();
    exp_tag_totals(totals);
    CHECK_EQUAL(totals[0].allocs + totals[1].allocs + totals[0].bytes + totals[1].bytes, 0);
    for (uint32_t index = 0; index < 20; index++) {
        sim_processor_set(index % 3);
        void *paged = ExAllocatePool2(FLAG_PAGED, 64, TAG + index % 5);
        CHECK(ExAllocatePool2(FLAG_NON_PAGED_EXECUTE, 4096, TAG + index % 3) != NULL);
        CHECK(ExAllocatePool2(FLAG_NON_PAGED, 32, TAG) != NULL);
        sim_processor_set(3);
        ExFreePool(paged);
    }
    exp_tag_totals(totals);
    CHECK_EQUAL(totals[0].allocs, 40);
    CHECK_EQUAL(totals[0].frees, 0);
    CHECK_EQUAL(totals[0].bytes, 20 * (4096 + 32));
    CHECK_EQUAL(totals[1].allocs, 20);
    CHECK_EQUAL(totals[1].frees, 20);
    CHECK_EQUAL(totals[1].bytes, 0);
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_session_nothing_counted_has_no_rows);
    RUN_FRESH(test_session_counts_by_tag_and_pool_and_shows_them);
    RUN_FRESH(test_session_row_stays_when_all_is_freed);
    RUN_FRESH(test_session_protected_tag_counts_in_the_plain_row);
    RUN_FRESH(test_session_rows_beyond_the_capacity_are_told_only);
    RUN_FRESH(test_session_full_table_leaves_new_tags_out);
    RUN_FRESH(test_session_without_memory_is_left_out_for_good);
    RUN_FRESH(test_session_copy_of_the_process_keeps_the_counts);
    RUN_FRESH(test_totals_are_the_sums_of_all_rows);
    return unit_end();
}
