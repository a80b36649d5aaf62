/* SPDX-License-Identifier: MIT */
/*
 * Tags get numbers, modules get tags of their own, rows count exactly, whatever their number.
 *
 * The registry is called directly; rows are counted through the doors, on several processors, and
 * read back as expool_tags gives them and as another process would read the region.
 */
#include "core/tag.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG UINT32_C(0x54636241) /* AbcT */

static void start(void)
{
    expool_trim(); /* starts the pool */
    CHECK(exp_tag_region() != NULL);
}

static const struct expool_region_tag *region_tag(uint32_t number)
{
    const struct expool_region_header *region = exp_tag_region();
    const struct expool_region_section *section = &region->section[EXPOOL_SECTION_TAGS];
    CHECK(number < section->count);
    return (const struct expool_region_tag *)((const char *)region + section->offset) + number;
}

static const struct expool_region_module *region_module(uint32_t index)
{
    const struct expool_region_header *region = exp_tag_region();
    const struct expool_region_section *section = &region->section[EXPOOL_SECTION_MODULES];
    CHECK(index < section->count);
    return (const struct expool_region_module *)((const char *)region + section->offset) + index;
}

/* The row of a tag and pool as expool_tags gives it; all zero when there is none. */
static struct expool_tag_row row_of(uint32_t tag, uint32_t pool)
{
    static struct expool_tag_row rows[64];
    size_t count = expool_tags(rows, 64);
    CHECK(count <= 64);
    for (size_t index = 0; index < count && index < 64; index++) {
        if (rows[index].tag == tag && rows[index].pool == pool) {
            return rows[index];
        }
    }
    return (struct expool_tag_row){ 0 };
}

static void test_tag_register_same_tag_gets_same_number(void)
{
    start();
    uint32_t first = exp_tag_register(TAG);
    uint32_t second = exp_tag_register(TAG + 1);
    CHECK(first != 0 && second != 0 && first != second);
    CHECK_EQUAL(exp_tag_register(TAG), first);
    CHECK_EQUAL(exp_tag_register(TAG + 1), second);
    CHECK_EQUAL(exp_tag_of(first), TAG);
    CHECK_EQUAL(exp_tag_of(second), TAG + 1);
    CHECK_EQUAL(exp_tag_of(0), 0);
    CHECK_EQUAL(exp_tag_of(exp_tag_count()), 0);
    CHECK_EQUAL(exp_tag_of(UINT32_MAX), 0);
    CHECK_EQUAL(region_tag(first)->tag, TAG);
    CHECK_EQUAL(region_tag(first)->module, 0);
    CHECK_FITS();
}

static void test_tag_register_protected_counts_in_the_plain_row(void)
{
    start();
    uint32_t guarded = exp_tag_register(TAG | EXP_TAG_PROTECTED);
    uint32_t plain = exp_tag_register(TAG);
    CHECK(guarded != plain);
    CHECK_EQUAL(exp_tag_of(guarded), TAG | EXP_TAG_PROTECTED);
    CHECK_EQUAL(exp_tag_of(plain), TAG);
    CHECK_EQUAL(exp_tag_row_number(guarded), plain);
    CHECK_EQUAL(exp_tag_row_number(plain), plain);
    CHECK_EQUAL(region_tag(guarded)->tag, TAG); /* the top bit is no part of the name */
    void *block[3];
    block[0] = ExAllocatePool2(FLAG_PAGED, 100, TAG);
    block[1] = ExAllocatePool2(FLAG_PAGED, 100, TAG | TAG_PROTECTED);
    block[2] = ExAllocatePool2(FLAG_PAGED, 100, TAG | TAG_PROTECTED);
    struct expool_tag_row row = row_of(TAG, 1);
    CHECK_EQUAL(row.allocs, 3);
    CHECK_EQUAL(row.bytes, 3 * 112);
    CHECK_EQUAL(row_of(TAG | TAG_PROTECTED, 1).allocs, 0);
    CHECK_FITS();
    ExFreePoolWithTag(block[0], TAG);
    ExFreePoolWithTag(block[1], TAG | TAG_PROTECTED);
    row = row_of(TAG, 1);
    CHECK_EQUAL(row.frees, 2);
    CHECK_EQUAL(row.bytes, 112);
    CHECK_FITS();
}

/* Nothing but the top bit: a tag of its own, that counts in its own row. */
static void test_tag_register_top_bit_alone_is_a_tag(void)
{
    start();
    uint32_t number = exp_tag_register(EXP_TAG_PROTECTED);
    CHECK(number != 0);
    CHECK_EQUAL(exp_tag_of(number), EXP_TAG_PROTECTED);
    CHECK_EQUAL(exp_tag_row_number(number), number);
    CHECK_EQUAL(exp_tag_register(EXP_TAG_PROTECTED), number);
    CHECK_FITS();
}

static void test_tag_register_module_names_are_unique(void)
{
    start();
    uint32_t pyth = UINT32_C(0x68747970); /* pyth */
    uint32_t first = exp_tag_register_module(pyth, "/usr/bin/python3");
    CHECK_EQUAL(exp_tag_of(first), pyth);
    CHECK_EQUAL(exp_tag_register_module(pyth, "/usr/bin/python3"), first);
    char path[64];
    for (int index = 1; index < 120; index++) {
        char name[5] = "pyth";
        char digits[4];
        int length = snprintf(digits, sizeof(digits), "%d", index);
        memcpy(name + 4 - length, digits, (size_t)length);
        snprintf(path, sizeof(path), "/opt/%d/python3", index);
        uint32_t number = exp_tag_register_module(pyth, path);
        uint32_t tag;
        memcpy(&tag, name, 4);
        CHECK_EQUAL(exp_tag_of(number), tag);
        CHECK_EQUAL(region_tag(number)->module, index + 1);
        CHECK_TEXT(region_module((uint32_t)index)->path, path);
        CHECK_EQUAL(region_module((uint32_t)index)->number, number);
        CHECK_EQUAL(exp_tag_register_module(pyth, path), number);
    }
    /* Without a path: whoever has the tag. */
    CHECK_EQUAL(exp_tag_register_module(pyth, NULL), first);
    /* A driver's tag that a module would like: the module gets another. */
    uint32_t driver = exp_tag_register(TAG);
    uint32_t module = exp_tag_register_module(TAG, "/lib/AbcT.so");
    CHECK(module != driver && module != 0);
    CHECK_EQUAL(exp_tag_of(module), (TAG & 0xffffff) | (uint32_t)'1' << 24);
    CHECK_FITS();
}

static void test_tag_register_module_long_paths_keep_their_ends(void)
{
    start();
    static char path[600];
    memset(path, 'a', sizeof(path) - 1);
    memcpy(path + 590, "/x.so", 5);
    path[595] = '\0';
    uint32_t first = exp_tag_register_module(TAG, path);
    const struct expool_region_module *module = region_module(0);
    CHECK_EQUAL(strlen(module->path), sizeof(module->path) - 1);
    CHECK_TEXT(module->path, path + 595 - (sizeof(module->path) - 1));
    CHECK_EQUAL(exp_tag_register_module(TAG, path), first);
    path[594] = 'p'; /* another end: another module */
    CHECK(exp_tag_register_module(TAG, path) != first);
    CHECK_EQUAL(exp_tag_register_module(TAG, ""), exp_tag_register_module(TAG, ""));
    CHECK_FITS();
}

/* More modules than the table holds: each still gets a number, the table stays as it is. */
static void test_tag_register_module_table_full_gives_tags_all_the_same(void)
{
    start();
    uint64_t capacity = exp_tag_region()->section[EXPOOL_SECTION_MODULES].capacity;
    char path[64];
    for (unsigned index = 0; index < capacity + 20; index++) {
        snprintf(path, sizeof(path), "/lib/%u.so", index);
        CHECK(exp_tag_register_module(UINT32_C(0x2e6f732e) + index, path) != 0);
    }
    CHECK_EQUAL(exp_tag_region()->section[EXPOOL_SECTION_MODULES].count, capacity);
    CHECK_FITS();
}

static void test_tag_rows_of_many_processors_add_up(void)
{
    start();
    void *block[600];
    for (unsigned index = 0; index < 600; index++) {
        sim_processor_set(index % SIM_PROCESSORS);
        block[index] = ExAllocatePool2(
            index % 2 ? FLAG_PAGED : FLAG_NON_PAGED, 1 + index * 7, TAG + index % 5);
        CHECK(block[index] != NULL);
    }
    CHECK_FITS();
    uint64_t bytes[5][2] = { { 0 } };
    for (unsigned index = 0; index < 600; index++) {
        bytes[index % 5][index % 2] += exp_run_find(block[index]).size_bytes;
    }
    for (unsigned tag = 0; tag < 5; tag++) {
        for (unsigned pool = 0; pool < 2; pool++) {
            struct expool_tag_row row = row_of(TAG + tag, pool);
            CHECK_EQUAL(row.allocs, 60);
            CHECK_EQUAL(row.frees, 0);
            CHECK_EQUAL(row.bytes, bytes[tag][pool]);
        }
    }
    for (unsigned index = 0; index < 600; index++) {
        sim_processor_set((index * 3 + 1) % SIM_PROCESSORS); /* freed elsewhere */
        ExFreePoolWithTag(block[index], index % 3 ? TAG + index % 5 : 0);
    }
    for (unsigned tag = 0; tag < 5; tag++) {
        for (unsigned pool = 0; pool < 2; pool++) {
            struct expool_tag_row row = row_of(TAG + tag, pool);
            CHECK_EQUAL(row.allocs, 60);
            CHECK_EQUAL(row.frees, 60);
            CHECK_EQUAL(row.bytes, 0);
        }
    }
    CHECK_FITS();
}

static void test_tag_rows_are_ordered_and_counted_beyond_capacity(void)
{
    start();
    for (uint32_t tag = 0; tag < 10; tag++) {
        ExFreePool(ExAllocatePool2(FLAG_PAGED, 16, TAG + tag));
        ExFreePool(ExAllocatePool2(FLAG_NON_PAGED, 16, TAG + tag));
    }
    exp_tag_register(TAG + 100); /* never used: left out */
    struct expool_tag_row rows[20];
    CHECK_EQUAL(expool_tags(NULL, 0), 20);
    memset(rows, 0x5a, sizeof(rows));
    CHECK_EQUAL(expool_tags(rows, 3), 20);
    CHECK_EQUAL(rows[3].tag, 0x5a5a5a5a);
    CHECK_EQUAL(expool_tags(rows, 20), 20);
    for (uint32_t index = 0; index < 20; index++) {
        CHECK_EQUAL(rows[index].tag, TAG + index / 2);
        CHECK_EQUAL(rows[index].pool, index % 2);
        CHECK_EQUAL(rows[index].allocs, 1);
    }
    CHECK_FITS();
}

static void test_tag_register_without_memory_fails_and_recovers(void)
{
    start();
    uint32_t tag = TAG;
    sim_fail(SIM_REGION_COMMIT, 1, 1);
    while (exp_tag_register(tag) != 0 && tag < TAG + 10000) {
        tag++;
    }
    CHECK(tag < TAG + 10000); /* the section grew, and could not */
    CHECK_EQUAL(sim_failures(), 1);
    uint32_t number = exp_tag_register(tag);
    CHECK_EQUAL(number, tag - TAG + 1);
    CHECK_EQUAL(exp_tag_register(TAG), 1);
    /* The same with the private tables. */
    sim_fail(SIM_COMMIT, 1, 1);
    uint32_t tag_end = tag + 100000;
    while (tag < tag_end && exp_tag_register(++tag) != 0) {
    }
    CHECK(tag < tag_end);
    CHECK(exp_tag_register(tag) != 0);
    CHECK_EQUAL(exp_tag_of(exp_tag_register(tag)), tag);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_tag_register_same_tag_gets_same_number);
    RUN_FRESH(test_tag_register_protected_counts_in_the_plain_row);
    RUN_FRESH(test_tag_register_top_bit_alone_is_a_tag);
    RUN_FRESH(test_tag_register_module_names_are_unique);
    RUN_FRESH(test_tag_register_module_long_paths_keep_their_ends);
    RUN_FRESH(test_tag_register_module_table_full_gives_tags_all_the_same);
    RUN_FRESH(test_tag_rows_of_many_processors_add_up);
    RUN_FRESH(test_tag_rows_are_ordered_and_counted_beyond_capacity);
    RUN_FRESH(test_tag_register_without_memory_fails_and_recovers);
    return unit_end();
}
