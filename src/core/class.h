/* SPDX-License-Identifier: MIT */
/*
 * Size classes: how many bytes a block of n bytes holds, and how slots of that size lie in pages.
 *
 *   small       16 .. 2048: k slots in every page, none across a page
 *   first part  2560, 3072, 3584: one slot at the start of a page; the rest is a tail
 *   page        1 .. 16 pages, some with a fractional last page whose rest is a tail
 *   large       above 16 pages: a span of its own
 *
 * A bin is a class of one pool: bin = pool << 6 | class. All tables are constant.
 */
#ifndef EXP_CLASS_H
#define EXP_CLASS_H

#include "base/base.h"

enum {
    EXP_CLASS_NEVER,    /* page never handed out */
    EXP_CLASS_FREED,    /* page of a span that was handed out and came back */
    EXP_CLASS_INTERIOR, /* later page of a block */
    EXP_CLASS_LARGE,    /* first page of a block of pages of its own: above 16, aligned, secure */
    EXP_CLASS_SMALL,    /* first of the small classes */
    EXP_CLASS_FIRST_PART = 34,
    EXP_CLASS_PAGE = 37,
    EXP_CLASS_COUNT = 58,

    EXP_CLASS_BITS = 6,
    EXP_BIN_COUNT = 3 << EXP_CLASS_BITS,
};

/* Largest block of a class; above it a block is a span of its own. */
#define EXP_CLASS_BYTES_MAX ((size_t)65536)
/* Most slots of one run. */
#define EXP_CLASS_SLOTS_MAX 256

struct exp_class {
    uint32_t size_bytes; /* what a block holds */
    uint32_t
        multiplier; /* 2^32 / size rounded up; 1 for one block a page; 0: never a block's start */
    uint16_t page_slots; /* slots in one page; 0: slots of slot_pages pages */
    uint8_t slot_pages;  /* pages of one slot; 1 when slots share a page */
    uint8_t run_pages;   /* pages that the store asks for at once */
    uint16_t tail_bytes; /* rest of the last page of a slot */
};

extern EXP_HIDDEN const struct exp_class exp_classes[1 << EXP_CLASS_BITS];
extern EXP_HIDDEN const uint8_t exp_class_by_granules[EXP_CLASS_BYTES_MAX / EXP_GRANULE + 1];

/* Class of a block of bytes <= EXP_CLASS_BYTES_MAX; 0 bytes are the smallest class. */
EXP_INLINE unsigned exp_class_of(size_t bytes)
{
    return exp_class_by_granules[(bytes + EXP_GRANULE - 1) / EXP_GRANULE];
}

/* Largest power of two, at most a page, that divides the address of every slot of a class. */
EXP_INLINE size_t exp_class_alignment(unsigned class_index)
{
    size_t size_bytes = exp_classes[class_index].size_bytes;
    if (class_index >= EXP_CLASS_FIRST_PART) {
        return EXP_PAGE_BYTES;
    }
    return size_bytes & -size_bytes;
}

/*
 * Smallest class whose every slot starts at a multiple of alignment.
 *
 *   bytes       any
 *   alignment   a power of two, at most EXP_PAGE_BYTES
 *   returns     the class; EXP_CLASS_LARGE when bytes is above EXP_CLASS_BYTES_MAX
 */
unsigned exp_class_of_aligned(size_t bytes, size_t alignment);

#endif
