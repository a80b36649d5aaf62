/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists from inside, over the simulated port, whose clock obeys: what queries and the
 * verifier are told, when lists look at themselves, whose Free such a look calls, and what a copy
 * of the process finds.
 *
 * source: spec/api.md 5.3, 5.4, 8.5, 10.13 statement 151; docs/decisions/0009-lookaside.md
 */
#include "front/lookaside.h"
#include "sim/port.h"
#include "unit/unit_test.h"

#include <wdk/wdm.h>

enum {
    TAG = 'koLU',
    BYTES = 40,
    BURST = 64
};

static unsigned frees;

static VOID counted_free(PVOID block)
{
    frees++;
    ExFreePool(block);
}

static PAGED_LOOKASIDE_LIST plain; /* the pool's callbacks */
static PAGED_LOOKASIDE_LIST told;  /* a driver's Free */

static void burst(PAGED_LOOKASIDE_LIST *list, size_t count)
{
    static PVOID entries[BURST];
    for (size_t index = 0; index < count; index++) {
        entries[index] = ExAllocateFromPagedLookasideList(list);
    }
    for (size_t index = 0; index < count; index++) {
        ExFreeToPagedLookasideList(list, entries[index]);
    }
}

static void begin(void)
{
    frees = 0;
    ExInitializePagedLookasideList(&plain, NULL, NULL, 0, BYTES, TAG, 0);
    ExInitializePagedLookasideList(&told, NULL, counted_free, 0, BYTES, TAG, 0);
}

static void end(void)
{
    ExDeletePagedLookasideList(&plain);
    ExDeletePagedLookasideList(&told);
}

static void test_lookaside_rows_tell_every_list_in_order(void)
{
    struct exp_lookaside_row rows[3] = { 0 };
    CHECK_EQUAL(exp_lookaside_rows(NULL, 0), 0);
    begin();
    burst(&plain, 6);
    burst(&told, 1);
    CHECK_EQUAL(exp_lookaside_rows(NULL, 0), 2);
    CHECK_EQUAL(exp_lookaside_rows(rows, 1), 2);
    CHECK_EQUAL(rows[0].total_allocates, 6);
    CHECK_EQUAL(rows[1].total_allocates, 0); /* beyond capacity */
    CHECK_EQUAL(exp_lookaside_rows(rows, 3), 2);
    CHECK_EQUAL(rows[0].depth, 4);
    CHECK_EQUAL(rows[0].depth_max, 256);
    CHECK_EQUAL(rows[0].allocate_misses, 6);
    CHECK_EQUAL(rows[0].total_frees, 6);
    CHECK_EQUAL(rows[0].free_misses, 2);
    CHECK_EQUAL(rows[0].type, PagedPool);
    CHECK_EQUAL(rows[0].tag, TAG);
    CHECK_EQUAL(rows[0].size_bytes, BYTES);
    CHECK_EQUAL(rows[1].total_allocates, 1);
    CHECK_EQUAL(rows[2].total_allocates, 0);
    ExDeletePagedLookasideList(&plain);
    CHECK_EQUAL(exp_lookaside_rows(rows, 3), 1);
    CHECK_EQUAL(rows[0].total_allocates, 1);
    ExDeletePagedLookasideList(&told);
    CHECK_EQUAL(exp_lookaside_rows(rows, 3), 0);
}

static void test_lookaside_hits_are_those_of_all_lists_ever(void)
{
    uint32_t nonpaged[2];
    uint32_t paged[2];
    NPAGED_LOOKASIDE_LIST other;
    exp_lookaside_hits(&nonpaged[0], &paged[0]);
    begin();
    burst(&plain, 3);
    burst(&plain, 5); /* 3 hits */
    ExInitializeNPagedLookasideList(&other, NULL, NULL, POOL_NX_ALLOCATION, BYTES, TAG, 0);
    ExFreeToNPagedLookasideList(&other, ExAllocateFromNPagedLookasideList(&other));
    ExFreeToNPagedLookasideList(&other, ExAllocateFromNPagedLookasideList(&other)); /* 1 hit */
    exp_lookaside_hits(&nonpaged[1], &paged[1]);
    CHECK_EQUAL(paged[1] - paged[0], 3);
    CHECK_EQUAL(nonpaged[1] - nonpaged[0], 1);
    ExDeleteNPagedLookasideList(&other);
    end();
    exp_lookaside_hits(&nonpaged[1], &paged[1]);
    CHECK_EQUAL(paged[1] - paged[0], 3);
    CHECK_EQUAL(nonpaged[1] - nonpaged[0], 1);
}

static void test_lookaside_inside_finds_a_list_by_its_first_byte(void)
{
    enum {
        PLACE = 192
    };
    char *block = ExAllocatePoolWithTag(NonPagedPoolNx, 1024, TAG);
    PLOOKASIDE_LIST_EX list = (PLOOKASIDE_LIST_EX)(void *)(block + PLACE);
    CHECK(exp_lookaside_inside(block, 1024) == NULL);
    CHECK_EQUAL(ExInitializeLookasideListEx(list, NULL, NULL, PagedPool, 0, BYTES, TAG, 0), 0);
    CHECK(exp_lookaside_inside(list, 1) == list);
    CHECK(exp_lookaside_inside(block, PLACE + 1) == list);
    CHECK(exp_lookaside_inside(block, PLACE) == NULL);
    CHECK(exp_lookaside_inside(block + PLACE + 1, 1024 - PLACE - 1) == NULL);
    ExDeleteLookasideListEx(list);
    CHECK(exp_lookaside_inside(block, 1024) == NULL);
    ExFreePool(block);
}

static void test_lookaside_misses_look_once_a_second(void)
{
    begin();
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 4); /* the second is not over */
    sim_clock_advance_ms(999);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 4);
    sim_clock_advance_ms(1);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 8);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 8);
    sim_clock_advance_ms(5000);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 16); /* one look, however late */
    CHECK_EQUAL(expool_set("lookaside_tuning", "0"), 0);
    sim_clock_advance_ms(5000);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 16);
    CHECK_EQUAL(expool_set("lookaside_tuning", "1"), 0);
    end();
}

static void test_lookaside_look_by_a_miss_calls_no_drivers_free(void)
{
    begin();
    for (int second = 0; second < 4; second++) {
        burst(&told, BURST);
        burst(&plain, BURST);
        sim_clock_advance_ms(1000);
    }
    burst(&told, BURST);
    burst(&plain, BURST);
    CHECK_EQUAL(told.L.Depth, 64);
    CHECK_EQUAL(ExQueryDepthSList(&told.L.ListHead), 64);
    frees = 0;
    for (int second = 0; second < 20; second++) {
        PAGED_LOOKASIDE_LIST other;
        sim_clock_advance_ms(1000);
        ExInitializePagedLookasideList(&other, NULL, NULL, 0, BYTES, TAG, 0);
        burst(&other, 16); /* 16 misses look */
        ExDeletePagedLookasideList(&other);
    }
    CHECK_EQUAL(told.L.Depth, 4);
    CHECK_EQUAL(ExQueryDepthSList(&told.L.ListHead), 64);
    CHECK_EQUAL(frees, 0);
    CHECK_EQUAL(plain.L.Depth, 4);
    CHECK_EQUAL(ExQueryDepthSList(&plain.L.ListHead), 4);
    end();
    CHECK_EQUAL(frees, 64);
}

static void test_lookaside_a_program_with_a_timer_is_left_to_it(void)
{
    begin();
    burst(&plain, BURST);
    expool_adjust_lookaside();
    CHECK_EQUAL(plain.L.Depth, 8);
    sim_clock_advance_ms(5000);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 8);
    end();
}

static void test_lookaside_child_mends_the_chain_and_looks_by_itself_again(void)
{
    begin();
    expool_adjust_lookaside();
    told.L.ListEntry.Blink = NULL; /* another thread was entering it */
    sim_child();
    CHECK_EQUAL(exp_lookaside_rows(NULL, 0), 2);
    CHECK_EQUAL(exp_wdk_generation, 1);
    CHECK(told.L.ListEntry.Blink == &plain.L.ListEntry);
    sim_clock_advance_ms(5000);
    burst(&plain, BURST);
    CHECK_EQUAL(plain.L.Depth, 8);
    end();
    CHECK_EQUAL(exp_lookaside_rows(NULL, 0), 0);
}

int main(void)
{
    unit_start();
    RUN(test_lookaside_rows_tell_every_list_in_order);
    RUN(test_lookaside_hits_are_those_of_all_lists_ever);
    RUN(test_lookaside_inside_finds_a_list_by_its_first_byte);
    RUN(test_lookaside_misses_look_once_a_second);
    RUN(test_lookaside_look_by_a_miss_calls_no_drivers_free);
    RUN(test_lookaside_a_program_with_a_timer_is_left_to_it);
    RUN(test_lookaside_child_mends_the_chain_and_looks_by_itself_again);
    sim_check_rest();
    return unit_end();
}
