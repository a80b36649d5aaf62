/* SPDX-License-Identifier: MIT */
/*
 * Damage on purpose: what no block can reach is overwritten by hand, and the pool stops with 0x13A
 * before it believes a word of it. Mended, it serves on.
 *
 * source: spec/api.md 10.8 statements 100, 102; product.md 8.5
 */
#include "core/side.h"
#include "front/pool.h"
#include "unit/doors.h"
#include "unit/unit_test.h"

#define TAG UINT32_C(0x676d6144) /* 'gmaD', shows Damg */

enum {
    STOP_HEAP = 0x13a,
    HEAP_INTERNAL = 0x10,
    HEAP_DOUBLE_FREE = 0x11,
    BYTES = 112
};

static struct {
    void *block;
} test;

UNIT_DEED free_it(void)
{
    return UNIT_STOPS(ExFreePoolWithTag(test.block, TAG));
}

UNIT_DEED free_it_without_tag(void)
{
    return UNIT_STOPS(ExFreePool(test.block));
}

UNIT_DEED ask_its_size(void)
{
    unsigned char quota;
    return UNIT_STOPS((void)ExQueryPoolBlockSize(test.block, &quota));
}

UNIT_DEED allocate_again(void)
{
    return UNIT_STOPS(test.block = ExAllocatePool2(FLAG_PAGED, BYTES, TAG));
}

/* A state of a live block that cannot be, at every door that believes states. */
static void state_that_cannot_be(uint16_t value)
{
    test.block = ExAllocatePool2(FLAG_PAGED, BYTES, TAG);
    uint16_t *state = exp_run_find(test.block).state;
    uint16_t kept = *state;
    uint64_t base = (uintptr_t)exp_range.base;
    struct expool_tag_row before, after;
    (void)expool_tags(&before, 1);
    *state = value;
    CHECK_STOP(free_it(), STOP_HEAP, HEAP_INTERNAL, base, (uintptr_t)state, 0);
    CHECK_STOP(free_it_without_tag(), STOP_HEAP, HEAP_INTERNAL, base, (uintptr_t)state, 0);
    CHECK_STOP(ask_its_size(), STOP_HEAP, HEAP_INTERNAL, base, (uintptr_t)state, 0);
    CHECK_EQUAL(*state, value);
    *state = kept;
    (void)expool_tags(&after, 1);
    CHECK_EQUAL(after.frees, before.frees);
    CHECK_EQUAL(after.bytes, before.bytes);
    ExFreePoolWithTag(test.block, TAG);
}

static void test_damage_state_of_no_tag_stops(void)
{
    state_that_cannot_be(EXP_STATE_NUMBER_MAX);
    state_that_cannot_be(40000);
}

static void test_damage_rare_state_without_a_record_stops(void)
{
    state_that_cannot_be(EXP_STATE_WIDE);
}

static void test_damage_record_of_no_tag_stops(void)
{
    test.block = ExAllocatePoolWithTag(TYPE_PAGED | TYPE_SESSION, BYTES, TAG);
    uint16_t *state = exp_run_find(test.block).state;
    struct exp_side *side = exp_side_of(state);
    CHECK_EQUAL(*state, EXP_STATE_WIDE);
    uint32_t kept = side->number;
    uint64_t base = (uintptr_t)exp_range.base;
    side->number = EXP_TAG_NUMBER_MAX;
    CHECK_STOP(free_it(), STOP_HEAP, HEAP_INTERNAL, base, (uintptr_t)state, 0);
    side->number = 0;
    CHECK_STOP(free_it_without_tag(), STOP_HEAP, HEAP_INTERNAL, base, (uintptr_t)state, 0);
    side->number = kept;
    ExFreePoolWithTag(test.block, TAG);
}

static void test_damage_free_slot_in_use_stops_and_is_not_handed_out(void)
{
    void *slot = ExAllocatePool2(FLAG_PAGED, BYTES, TAG);
    uint16_t *state = exp_run_find(slot).state;
    ExFreePoolWithTag(slot, TAG); /* the next one to be handed out */
    *state = 1;
    uint64_t base = (uintptr_t)exp_range.base;
    CHECK_STOP(allocate_again(), STOP_HEAP, HEAP_DOUBLE_FREE, base, (uintptr_t)slot, 0);
    CHECK(!allocate_again());
    CHECK(test.block != NULL && test.block != slot);
    ExFreePoolWithTag(test.block, TAG);
}

/* The owner of a charge is believed when it can be a process, and never followed before. */
static void test_damage_owner_of_a_charge_stops(void)
{
    static uint64_t no_process[16];
    struct expool_process *process = expool_process_create("payer", SIZE_MAX, SIZE_MAX);
    (void)expool_process_enter(process);
    test.block = ExAllocatePool2(FLAG_PAGED | 1, BYTES, TAG);
    (void)expool_process_enter(NULL);
    struct exp_side *side = exp_side_of(exp_run_find(test.block).state);
    uint64_t block = (uintptr_t)test.block;
    void *bad[] = { NULL, no_process, (void *)16, (char *)process + 8, exp_range.base };
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        side->who = bad[index];
        CHECK_STOP(free_it(), STOP_POOL, 0x0d, block, TAG, (uintptr_t)bad[index]);
        CHECK_STOP(free_it_without_tag(), STOP_POOL, 0x0d, block, TAG, (uintptr_t)bad[index]);
    }
    side->who = process;
    struct expool_usage usage;
    expool_process_usage(process, &usage);
    CHECK_EQUAL(usage.paged_bytes, BYTES);
    ExFreePoolWithTag(test.block, TAG);
    expool_process_usage(process, &usage);
    CHECK_EQUAL(usage.paged_bytes, 0);
    CHECK_EQUAL(usage.references, 1);
    expool_process_release(process);
}

int main(void)
{
    unit_start();
    RUN(test_damage_state_of_no_tag_stops);
    RUN(test_damage_rare_state_without_a_record_stops);
    RUN(test_damage_record_of_no_tag_stops);
    RUN(test_damage_free_slot_in_use_stops_and_is_not_handed_out);
    RUN(test_damage_owner_of_a_charge_stops);
    return unit_end();
}
