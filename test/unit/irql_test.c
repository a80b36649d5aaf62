/* SPDX-License-Identifier: MIT */
/*
 * IRQL: raising, lowering, what each level may allocate and free, and that the level belongs to
 * the processor. Every refusal is a stop with exact parameters that changes nothing.
 *
 * source: spec/api.md 2.3, 2.8, 2.9, 9.26; 10.2 statement 23, 10.3 32 - 33, 10.4 49, 10.8 98,
 * 10.18 187
 */
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/unit_test.h"

#define TAG UINT32_C(0x6c717249) /* 'lqrI', shows Irql */

enum { DEED_ALLOCATE_IRQL = 0x08, DEED_FREE_IRQL = 0x09 };

static unsigned char raised(unsigned char irql)
{
    unsigned char former = 0xff;
    KeRaiseIrql(irql, &former);
    return former;
}

UNIT_DEED raise_stops(unsigned char irql)
{
    return UNIT_STOPS(raised(irql));
}

UNIT_DEED lower_stops(unsigned char irql)
{
    return UNIT_STOPS(KeLowerIrql(irql));
}

UNIT_DEED allocate_stops(uint64_t flags, size_t bytes)
{
    return UNIT_STOPS(ExFreePool(ExAllocatePool2(flags, bytes, TAG)));
}

UNIT_DEED allocate_with_tag_stops(int type, size_t bytes)
{
    return UNIT_STOPS(ExFreePool(ExAllocatePoolWithTag(type, bytes, TAG)));
}

UNIT_DEED free_stops(void *block, uint32_t tag)
{
    return UNIT_STOPS(ExFreePoolWithTag(block, tag));
}

static void test_irql_raise_and_lower_returns_former(void)
{
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_PASSIVE);
    CHECK_EQUAL(raised(IRQL_APC), IRQL_PASSIVE);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_APC);
    CHECK_EQUAL(raised(IRQL_APC), IRQL_APC); /* to the same level is no misuse */
    CHECK_EQUAL(KeRaiseIrqlToDpcLevel(), IRQL_APC);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_DISPATCH);
    CHECK_EQUAL(raised(IRQL_HIGH), IRQL_DISPATCH);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_HIGH);
    KeLowerIrql(IRQL_HIGH);
    KeLowerIrql(IRQL_APC);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_APC);
    KeLowerIrql(IRQL_PASSIVE);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_PASSIVE);
}

static void test_irql_misuse_stops_and_level_stays(void)
{
    raised(IRQL_DISPATCH);
    CHECK(raise_stops(IRQL_APC));
    CHECK_EQUAL(unit.stop.code, STOP_IRQL_NOT_GREATER);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_DISPATCH);
    CHECK(lower_stops(IRQL_HIGH));
    CHECK_EQUAL(unit.stop.code, STOP_IRQL_NOT_LESS);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_DISPATCH);
    KeLowerIrql(IRQL_PASSIVE);
    CHECK(lower_stops(IRQL_APC));
    CHECK_EQUAL(unit.stop.code, STOP_IRQL_NOT_LESS);
    CHECK_EQUAL(KeGetCurrentIrql(), IRQL_PASSIVE);
    sim_check_rest();
}

static uint64_t rows_sum(void)
{
    struct expool_tag_row rows[16];
    size_t count = expool_tags(rows, 16);
    uint64_t sum = count;
    for (size_t index = 0; index < count && index < 16; index++) {
        sum += rows[index].allocs + 3 * rows[index].frees + 7 * rows[index].bytes;
    }
    return sum;
}

/* Sizes of every kind: slot, first part, page, pages, span. */
static const size_t sizes[] = {1, 100, 3000, 4096, 20000, 100000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void test_irql_allocate_paged_above_apc_stops(void)
{
    for (int index = 0; index < SIZES; index++) {
        raised(IRQL_APC);
        void *block = ExAllocatePool2(FLAG_PAGED, sizes[index], TAG);
        CHECK(block != NULL);
        ExFreePool(block);
        uint64_t before = rows_sum();
        for (unsigned char irql = IRQL_DISPATCH; irql <= IRQL_HIGH; irql++) {
            raised(irql);
            CHECK_STOP(allocate_stops(FLAG_PAGED, sizes[index]), STOP_POOL,
                       DEED_ALLOCATE_IRQL, irql, TYPE_PAGED, sizes[index]);
            CHECK_STOP(allocate_with_tag_stops(TYPE_PAGED, sizes[index]), STOP_POOL,
                       DEED_ALLOCATE_IRQL, irql, TYPE_PAGED, sizes[index]);
        }
        CHECK_EQUAL(rows_sum(), before);
        KeLowerIrql(IRQL_PASSIVE);
    }
}

static void test_irql_allocate_nonpaged_at_dispatch_serves_above_stops(void)
{
    for (int index = 0; index < SIZES; index++) {
        raised(IRQL_DISPATCH);
        void *block = ExAllocatePool2(FLAG_NON_PAGED, sizes[index], TAG);
        void *other = ExAllocatePoolWithTag(TYPE_EXECUTE, sizes[index], TAG);
        CHECK(block != NULL && other != NULL);
        ExFreePoolWithTag(block, TAG);
        ExFreePool(other);
        uint64_t before = rows_sum();
        for (unsigned char irql = IRQL_DISPATCH + 1; irql <= IRQL_HIGH; irql++) {
            raised(irql);
            CHECK_STOP(allocate_stops(FLAG_NON_PAGED, sizes[index]), STOP_POOL,
                       DEED_ALLOCATE_IRQL, irql, TYPE_NX, sizes[index]);
            CHECK_STOP(allocate_stops(FLAG_NON_PAGED_EXECUTE, sizes[index]), STOP_POOL,
                       DEED_ALLOCATE_IRQL, irql, TYPE_EXECUTE, sizes[index]);
        }
        CHECK_EQUAL(rows_sum(), before);
        KeLowerIrql(IRQL_PASSIVE);
    }
}

static void test_irql_free_too_high_stops_and_block_stays(void)
{
    for (int index = 0; index < SIZES; index++) {
        unsigned char *paged = ExAllocatePool2(FLAG_PAGED, sizes[index], TAG);
        unsigned char *nonpaged = ExAllocatePool2(FLAG_NON_PAGED, sizes[index], TAG);
        paged[0] = 0x5a;
        nonpaged[0] = 0x5b;
        uint64_t before = rows_sum();
        raised(IRQL_DISPATCH);
        CHECK_STOP(free_stops(paged, 0), STOP_POOL, DEED_FREE_IRQL, IRQL_DISPATCH, TYPE_PAGED,
                   (uintptr_t)paged);
        /* The level is judged before the tag: spec/diagnostics.md 1.7. */
        CHECK_STOP(free_stops(paged, TAG + 1), STOP_POOL, DEED_FREE_IRQL, IRQL_DISPATCH,
                   TYPE_PAGED, (uintptr_t)paged);
        raised(IRQL_DISPATCH + 1);
        CHECK_STOP(free_stops(nonpaged, TAG), STOP_POOL, DEED_FREE_IRQL, IRQL_DISPATCH + 1,
                   TYPE_NX, (uintptr_t)nonpaged);
        CHECK_EQUAL(rows_sum(), before);
        CHECK_EQUAL(paged[0], 0x5a);
        CHECK_EQUAL(nonpaged[0], 0x5b);
        KeLowerIrql(IRQL_DISPATCH);
        ExFreePoolWithTag(nonpaged, TAG);
        KeLowerIrql(IRQL_APC);
        ExFreePoolWithTag(paged, TAG);
        KeLowerIrql(IRQL_PASSIVE);
    }
    sim_check_rest();
}

static void test_irql_belongs_to_the_processor(void)
{
    for (uint32_t processor = 0; processor < SIM_PROCESSORS; processor++) {
        sim_processor_set(processor);
        CHECK_EQUAL(KeGetCurrentIrql(), IRQL_PASSIVE);
        raised((unsigned char)(processor % 3));
    }
    for (uint32_t processor = 0; processor < SIM_PROCESSORS; processor++) {
        sim_processor_set(processor);
        CHECK_EQUAL(KeGetCurrentIrql(), processor % 3);
        bool dispatch = processor % 3 == IRQL_DISPATCH;
        CHECK_EQUAL(allocate_stops(FLAG_PAGED, 64), dispatch);
        KeLowerIrql(IRQL_PASSIVE);
        sim_processor_exit();
    }
    sim_processor_set(0);
}

/* Statement 187: nothing here may sleep or reserve; sizes that need new pages included. */
static void test_irql_allocate_at_dispatch_makes_no_blocking_call(void)
{
    void *blocks[200];
    ExFreePool(ExAllocatePool2(FLAG_NON_PAGED, 1, TAG));
    uint64_t waits = sim_calls(SIM_WAIT);
    uint64_t reserves = sim_calls(SIM_RESERVE);
    uint64_t commits = sim_calls(SIM_COMMIT);
    raised(IRQL_DISPATCH);
    for (int index = 0; index < 200; index++) {
        blocks[index] = ExAllocatePool2(FLAG_NON_PAGED, sizes[index % SIZES] + (size_t)index, TAG);
        CHECK(blocks[index] != NULL);
    }
    for (int index = 0; index < 200; index++) {
        ExFreePoolWithTag(blocks[index], TAG);
    }
    expool_trim();
    KeLowerIrql(IRQL_PASSIVE);
    CHECK_EQUAL(sim_calls(SIM_WAIT), waits);
    CHECK_EQUAL(sim_calls(SIM_RESERVE), reserves);
    CHECK(sim_calls(SIM_COMMIT) > commits);
}

int main(void)
{
    unit_start();
    RUN(test_irql_raise_and_lower_returns_former);
    RUN(test_irql_misuse_stops_and_level_stays);
    RUN(test_irql_allocate_paged_above_apc_stops);
    RUN(test_irql_allocate_nonpaged_at_dispatch_serves_above_stops);
    RUN(test_irql_free_too_high_stops_and_block_stays);
    RUN(test_irql_belongs_to_the_processor);
    RUN(test_irql_allocate_at_dispatch_makes_no_blocking_call);
    return unit_end();
}
