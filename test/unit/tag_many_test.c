/* SPDX-License-Identifier: MIT */
/*
 * As many tags as anyone makes: every one is counted exactly, and a full table refuses new ones
 * only.
 *
 * links: linux, whose range has room for the tables; the simulated port's largest has not.
 * source: product.md 6; issue "the pool, end to end"
 */
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
 * More tags than a state can name. Blocks whose number is too large have pages of their own; every
 * count stays exact, and every block gives its tag back.
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
    RUN_FRESH(test_tag_table_full_refuses_new_tags_only);
    return unit_end();
}
