/* SPDX-License-Identifier: MIT */
/*
 * As many tags as anyone makes: every one is counted exactly, and a full table refuses new ones
 * only.
 *
 * links: linux, whose range has room for the tables; the simulated port's largest has not.
 * source: product.md 6; issue "the pool, end to end"
 */
#include "core/run.h"
#include "core/tag.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG  UINT32_C(0x54636241) /* AbcT */
#define MANY 200000u

static void start(void)
{
    expool_trim(); /* starts the pool */
    CHECK(exp_tag_region() != NULL);
}

/*
 * More tags than a state can name. Numbers that are too large lie in side records; every count
 * stays exact, and every block gives its tag back.
 */
static void test_tag_200000_tags_count_exactly(void)
{
    start();
    static void *kept[MANY / 997 + 1];
    uint64_t allocs = 0;
    for (uint32_t index = 0; index < MANY; index++) {
        uint32_t tag = TAG + index * 3;
        void *block = ExAllocatePool2(index % 2 ? FLAG_PAGED : FLAG_NON_PAGED, 48, tag);
        if (!CHECK(block != NULL)) {
            return;
        }
        if (index % 997 == 0) {
            kept[index / 997] = block;
        } else {
            ExFreePoolWithTag(block, tag);
        }
    }
    CHECK_EQUAL(exp_tag_count(), MANY + 1);
    CHECK_FITS();
    static struct expool_tag_row rows[MANY];
    CHECK_EQUAL(expool_tags(rows, MANY), MANY);
    for (uint32_t index = 0; index < MANY; index++) {
        bool live = index % 997 == 0;
        allocs += rows[index].allocs;
        if (rows[index].tag != TAG + index * 3 || rows[index].pool != index % 2 ||
            rows[index].allocs != 1 || rows[index].frees != !live ||
            (rows[index].bytes != 0) != live) {
            CHECK_EQUAL(rows[index].tag, TAG + index * 3);
            CHECK_EQUAL(rows[index].allocs, 1);
            CHECK_EQUAL(rows[index].frees, !live);
            CHECK_EQUAL(rows[index].bytes != 0, live);
        }
    }
    CHECK_EQUAL(allocs, MANY);
    for (uint32_t index = 0; index < MANY; index += 997) {
        ExFreePoolWithTag(kept[index / 997], TAG + index * 3);
    }
    CHECK_EQUAL(expool_tags(rows, MANY), MANY);
    for (uint32_t index = 0; index < MANY; index += 997) {
        CHECK_EQUAL(rows[index].frees, 1);
        CHECK_EQUAL(rows[index].bytes, 0);
    }
    CHECK_FITS();
}

/* A number that does not fit a state is told with its block all the same. */
static void test_tag_of_big_blocks_is_told_beyond_a_state(void)
{
    static const size_t sizes[] = { 4096, 8192, 100000 };
    start();
    void *block[3];
    uint32_t number[3];
    for (uint32_t index = 0; index <= EXP_STATE_NUMBER_MAX; index++) {
        (void)exp_tag_register(TAG + index);
    }
    for (size_t index = 0; index < 3; index++) {
        uint32_t tag = TAG + EXP_STATE_NUMBER_MAX + 1 + (uint32_t)index;
        block[index] = ExAllocatePool2(FLAG_PAGED, sizes[index], tag);
        CHECK(block[index] != NULL);
        number[index] = exp_tag_register(tag);
        CHECK(number[index] > EXP_STATE_NUMBER_MAX);
    }
    size_t seen = 0;
    for (size_t where = EXP_RUN_BIG_START; where != EXP_RUN_BIG_END;) {
        struct exp_run_big big;
        if (exp_run_copy_big(&where, &big, 1) == 0) {
            continue;
        }
        for (size_t index = 0; index < 3; index++) {
            if (big.block == block[index]) {
                CHECK_EQUAL(big.number, number[index]);
                seen++;
            }
        }
    }
    CHECK_EQUAL(seen, 3);
}

/* Not one more than the table holds; what has a number keeps working. */
static void test_tag_table_full_refuses_new_tags_only(void)
{
    start();
    uint32_t capacity = (uint32_t)exp_tag_region()->section[EXPOOL_SECTION_TAGS].capacity;
    uint32_t tag = 1;
    while (exp_tag_register(tag) != 0 && tag <= capacity) {
        tag++;
    }
    CHECK_EQUAL(exp_tag_count(), capacity);
    CHECK(ExAllocatePool2(FLAG_PAGED, 100, tag + 1) == NULL);
    CHECK(ExAllocatePool2(FLAG_PAGED, 100000, tag + 1) == NULL);
    void *block = ExAllocatePool2(FLAG_PAGED, 100, 1);
    void *wide = ExAllocatePool2(FLAG_PAGED, 100, tag - 1);
    CHECK(block != NULL && wide != NULL);
    CHECK_FITS();
    ExFreePoolWithTag(block, 1);
    ExFreePoolWithTag(wide, tag - 1);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_tag_200000_tags_count_exactly);
    RUN_FRESH(test_tag_of_big_blocks_is_told_beyond_a_state);
    RUN_FRESH(test_tag_table_full_refuses_new_tags_only);
    return unit_end();
}
