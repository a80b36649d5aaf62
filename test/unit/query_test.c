/* SPDX-License-Identifier: MIT */
/*
 * Queries where memory is short: no memory to copy a table to is an answer, and the next query
 * works again; a pool that could not be started is empty; a table of many tags is told whole.
 *
 * NtQuerySystemInformation is called by hand, with plain types; test/ddi/query_test.c checks what
 * it tells. Each case runs in a forked child, where the core is as new.
 */
#include "core/range.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG        UINT32_C(0x54636241) /* AbcT */
#define MANY       3000u
#define GUARD      0xb6
/* What a copy of so many rows takes. */
#define COPY_BYTES ((size_t)MANY * sizeof(struct expool_tag_row))
#define MISMATCH   UINT32_C(0xc0000004)
#define NO_ROOM    UINT32_C(0xc000009a)

enum {
    CLASS_PERFORMANCE = 2,
    CLASS_TAGS = 22,
    CLASS_BIG = 66,
    CLASS_SESSION = 67,
    CLASS_TAGS2 = 255
};

uint32_t NtQuerySystemInformation(int class, void *reply, uint32_t length, uint32_t *told);

static unsigned char reply[8 + (MANY + 1) * 56];

static uint32_t count_at(size_t offset)
{
    uint32_t count;
    memcpy(&count, reply + offset, sizeof(count));
    return count;
}

static bool untouched(void)
{
    for (size_t index = 0; index < sizeof(reply); index++) {
        if (reply[index] != GUARD) {
            return false;
        }
    }
    return true;
}

static void make_tags(void)
{
    for (uint32_t index = 0; index < MANY; index++) {
        CHECK(ExAllocatePool2(index % 2 ? FLAG_PAGED : FLAG_NON_PAGED, 16, TAG + index) != NULL);
    }
}

static void test_query_many_tags_are_told_whole(void)
{
    uint32_t told = 0;
    make_tags();
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_TAGS2, reply, 0x40, &told), MISMATCH);
    CHECK_EQUAL(told, 8 + MANY * 56);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_TAGS2, reply, told, &told), 0);
    CHECK_EQUAL(count_at(0), MANY);
    for (uint32_t index = 0; index < MANY; index++) {
        const unsigned char *entry = reply + 8 + (size_t)index * 56;
        uint64_t column[2];
        uint32_t tag;
        memcpy(&tag, entry, sizeof(tag));
        memcpy(&column[1], entry + 8, sizeof(column[1]));
        memcpy(&column[0], entry + 32, sizeof(column[0]));
        CHECK_EQUAL(tag, TAG + index);
        CHECK_EQUAL(column[index % 2], 1);
        CHECK_EQUAL(column[1 - index % 2], 0);
    }
    CHECK_FITS();
}

static void test_query_without_memory_says_so_and_writes_nothing(void)
{
    static const int classes[] = { CLASS_TAGS, CLASS_TAGS2 };
    uint32_t told = 7;
    make_tags();
    for (size_t index = 0; index < 2; index++) {
        memset(reply, GUARD, sizeof(reply));
        sim_fail(SIM_COMMIT, 1, 1000000);
        while (exp_range_heap_take(EXP_RANGE_KEPT, COPY_BYTES) != NULL) {
        } /* what the core has in stock is used up */
        CHECK_EQUAL(NtQuerySystemInformation(classes[index], reply, sizeof(reply), &told), NO_ROOM);
        CHECK(sim_failures_of(SIM_COMMIT) != 0);
        CHECK_EQUAL(told, 0);
        CHECK(untouched());
        sim_fail(SIM_COMMIT, 0, 0);
    }
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_TAGS, reply, sizeof(reply), &told), 0);
    CHECK_EQUAL(count_at(0), MANY);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_TAGS2, reply, sizeof(reply), &told), 0);
    CHECK_EQUAL(count_at(0), MANY);
    CHECK_FITS();
}

/* What needs no memory is answered without. */
static void test_query_without_memory_tells_pages_and_big_blocks(void)
{
    uint32_t told;
    void *block = ExAllocatePool2(FLAG_PAGED, 8192, TAG);
    CHECK(block != NULL);
    uint64_t before = sim_calls_fallible();
    sim_fail_any(1, 1000000);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_PERFORMANCE, reply, 0x178, &told), 0);
    CHECK_EQUAL(count_at(0x78), 1); /* PagedPoolAllocs */
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_BIG, reply, sizeof(reply), &told), 0);
    CHECK_EQUAL(count_at(0), 1);
    CHECK(memcmp(reply + 8, &block, sizeof(block)) == 0);
    CHECK_EQUAL(sim_calls_fallible(), before);
}

/* The machine's pages are the port's word, cut to 32 bits; without it they are 0. */
static void test_query_performance_tells_the_machine(void)
{
    struct exp_port_memory memory = { .available_bytes = (uint64_t)77 << 12,
                                      .commit_bytes = ((uint64_t)55 << 12) + 4095,
                                      .commit_limit_bytes = UINT64_MAX };
    uint32_t told;
    memset(reply, GUARD, sizeof(reply));
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_PERFORMANCE, reply, 0x138, &told), 0);
    CHECK_EQUAL(count_at(0x2c) + count_at(0x30) + count_at(0x34) + count_at(0x38), 0);
    sim_memory_set(&memory);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_PERFORMANCE, reply, 0x138, &told), 0);
    CHECK_EQUAL(count_at(0x2c), 77);
    CHECK_EQUAL(count_at(0x30), 55);
    CHECK_EQUAL(count_at(0x34), UINT32_MAX);
}

static void test_query_of_a_pool_that_cannot_start_finds_it_empty(void)
{
    uint32_t told;
    sim_fail(SIM_RESERVE, 1, 1000000);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_TAGS, reply, sizeof(reply), &told), 0);
    CHECK_EQUAL(exp_range.bytes, 0);
    CHECK_EQUAL(count_at(0), 0);
    CHECK_EQUAL(told, 8);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_TAGS, reply, 8, &told), MISMATCH);
    CHECK_EQUAL(told, 0x30);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_BIG, reply, sizeof(reply), &told), 0);
    CHECK_EQUAL(count_at(0), 0);
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_SESSION, reply, sizeof(reply), &told), 0);
    CHECK_EQUAL(count_at(12), 0);
    memset(reply, GUARD, sizeof(reply));
    CHECK_EQUAL(NtQuerySystemInformation(CLASS_PERFORMANCE, reply, 0x138, &told), 0);
    CHECK_EQUAL(count_at(0x70), 0); /* PagedPoolPages */
    CHECK_EQUAL(count_at(0x78), 0);
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_query_many_tags_are_told_whole);
    RUN_FRESH(test_query_without_memory_says_so_and_writes_nothing);
    RUN_FRESH(test_query_without_memory_tells_pages_and_big_blocks);
    RUN_FRESH(test_query_performance_tells_the_machine);
    RUN_FRESH(test_query_of_a_pool_that_cannot_start_finds_it_empty);
    return unit_end();
}
