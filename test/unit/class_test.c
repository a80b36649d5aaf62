/* SPDX-License-Identifier: MIT */
/*
 * The tables of size classes against their definition, for every size and every offset of a page.
 *
 * The exactness product decides at every free whether an offset starts a slot; a wrong answer
 * would let a wild free through. So it is compared with a division, for each class and each of
 * the 4 096 offsets.
 *
 * source: design.md 2 and 3
 */
#include "core/class.h"

#include "unit/unit_test.h"

static void test_class_of_every_size_is_smallest_that_fits(void)
{
    for (size_t bytes = 0; bytes <= EXP_CLASS_BYTES_MAX; bytes++) {
        unsigned class_index = exp_class_of(bytes);
        size_t wanted = bytes == 0 ? 1 : bytes;
        bool fits = class_index >= EXP_CLASS_SMALL && class_index < EXP_CLASS_COUNT &&
                    exp_classes[class_index].size_bytes >= wanted;
        bool smallest = class_index == EXP_CLASS_SMALL ||
                        exp_classes[class_index - 1].size_bytes < wanted;
        if (!fits || !smallest) {
            CHECK_EQUAL(class_index, bytes); /* says which size */
        }
        unit.checks++;
    }
}

static void test_class_sizes_rise_in_granules(void)
{
    for (unsigned index = EXP_CLASS_SMALL; index < EXP_CLASS_COUNT; index++) {
        CHECK_EQUAL(exp_classes[index].size_bytes % EXP_GRANULE, 0);
        if (index > EXP_CLASS_SMALL) {
            CHECK(exp_classes[index].size_bytes > exp_classes[index - 1].size_bytes);
        }
    }
    CHECK_EQUAL(exp_classes[EXP_CLASS_SMALL].size_bytes, 16);
    CHECK_EQUAL(exp_classes[EXP_CLASS_COUNT - 1].size_bytes, EXP_CLASS_BYTES_MAX);
    CHECK_EQUAL(exp_classes[EXP_CLASS_PAGE].size_bytes, EXP_PAGE_BYTES);
}

static void test_class_small_slots_stay_in_page(void)
{
    for (unsigned index = EXP_CLASS_SMALL; index < EXP_CLASS_FIRST_PART; index++) {
        const struct exp_class *row = &exp_classes[index];
        CHECK_EQUAL(row->page_slots, EXP_PAGE_BYTES / row->size_bytes);
        CHECK_EQUAL(row->slot_pages, 1);
    }
}

static void test_class_product_is_exact_at_every_offset(void)
{
    for (unsigned index = EXP_CLASS_SMALL; index < EXP_CLASS_FIRST_PART; index++) {
        const struct exp_class *row = &exp_classes[index];
        for (uint32_t offset = 0; offset < EXP_PAGE_BYTES; offset++) {
            uint64_t product = (uint64_t)offset * row->multiplier;
            bool start = (uint32_t)product < row->multiplier;
            if (start != (offset % row->size_bytes == 0) ||
                (start && product >> 32 != offset / row->size_bytes)) {
                CHECK_EQUAL(offset, index); /* says where */
            }
            unit.checks++;
        }
    }
}

static void test_class_page_block_starts_page_only(void)
{
    for (unsigned index = EXP_CLASS_FIRST_PART; index < EXP_CLASS_COUNT; index++) {
        const struct exp_class *row = &exp_classes[index];
        for (uint32_t offset = 0; offset < EXP_PAGE_BYTES; offset++) {
            bool start = (uint32_t)((uint64_t)offset * row->multiplier) < row->multiplier;
            CHECK_EQUAL(start, offset == 0);
        }
        CHECK_EQUAL(row->size_bytes + row->tail_bytes, (size_t)row->slot_pages * EXP_PAGE_BYTES);
    }
}

static void test_class_nothing_starts_in_other_pages(void)
{
    CHECK_EQUAL(exp_classes[EXP_CLASS_NEVER].multiplier, 0);
    CHECK_EQUAL(exp_classes[EXP_CLASS_FREED].multiplier, 0);
    CHECK_EQUAL(exp_classes[EXP_CLASS_INTERIOR].multiplier, 0);
}

static void test_class_aligned_slots_are_aligned(void)
{
    for (size_t alignment = 16; alignment <= EXP_PAGE_BYTES; alignment *= 2) {
        for (size_t bytes = 0; bytes <= 5000; bytes++) {
            unsigned index = exp_class_of_aligned(bytes, alignment);
            size_t size_bytes = exp_classes[index].size_bytes;
            bool aligned = size_bytes % alignment == 0 || index >= EXP_CLASS_FIRST_PART;
            if (size_bytes < bytes || !aligned) {
                CHECK_EQUAL(bytes, alignment);
            }
            unit.checks++;
        }
    }
    CHECK_EQUAL(exp_class_of_aligned(EXP_CLASS_BYTES_MAX + 1, 64), EXP_CLASS_LARGE);
}

int main(void)
{
    RUN(test_class_of_every_size_is_smallest_that_fits);
    RUN(test_class_sizes_rise_in_granules);
    RUN(test_class_small_slots_stay_in_page);
    RUN(test_class_product_is_exact_at_every_offset);
    RUN(test_class_page_block_starts_page_only);
    RUN(test_class_nothing_starts_in_other_pages);
    RUN(test_class_aligned_slots_are_aligned);
    return unit_end();
}
