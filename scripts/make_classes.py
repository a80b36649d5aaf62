#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints src/core/class.c: the size classes and the table from bytes to class."""

SMALL = [16 * i for i in range(1, 9)] + [
    144, 160, 176, 192, 208, 224, 240, 256, 272, 288, 304, 336, 368, 400, 448,
    512, 576, 672, 816, 1024, 1360, 2048]
FIRST_PART = [2560, 3072, 3584]
PAGE_QUARTERS = [4, 5, 6, 7, 8, 10, 12, 14] + [4 * i for i in range(4, 17)]
FIRST, FIRST_PAGE_CLASS, COUNT = 4, 37, 58
HEAD = """/* SPDX-License-Identifier: MIT */
/*
 * The tables of class.h, made by scripts/make_classes.py: change them there.
 *
 * Small sizes are multiples of 16 up to 128, then the largest multiples of 16 of which k fit a
 * page; page sizes are quarters up to 2 pages, halves up to 4, then whole pages, so that a block's
 * span is always its size rounded up to pages. source: design.md 2;
 * docs/decisions/0002-size-classes.md
 */
#include "core/class.h"

/* clang-format off */
const struct exp_class exp_classes[1 << EXP_CLASS_BITS] = {
"""
TAIL = """};
/* clang-format on */

unsigned exp_class_of_aligned(size_t bytes, size_t alignment)
{
    if (bytes > EXP_CLASS_BYTES_MAX) {
        return EXP_CLASS_LARGE;
    }
    unsigned class_index = exp_class_of(bytes);
    while (exp_class_alignment(class_index) < alignment) {
        class_index++;
    }
    return class_index;
}
"""


def rows():
    table = [None] * FIRST
    for size in SMALL:
        slots = 4096 // size
        table.append((size, -(-2**32 // size), slots, 1, min(16, 256 // slots), 0))
    for size in FIRST_PART:
        table.append((size, 1, 0, 1, 16, 4096 - size))
    for quarters in PAGE_QUARTERS:
        size = quarters * 1024
        pages = -(-size // 4096)
        tail = pages * 4096 - size
        run = max(1, 16 // pages) * pages
        table.append((size, 1, 0, pages, run, tail))
    assert len(table) == COUNT
    return table


def class_of(table, size):
    first = FIRST_PAGE_CLASS if size > FIRST_PART[-1] else FIRST
    return next(i for i in range(first, COUNT) if table[i][0] >= size)


def main():
    table = rows()
    print(HEAD, end="")
    for index, row in enumerate(table):
        if row:
            print("    [%2d] = { %5d, %9du, %3d, %2d, %2d, %4d }," % ((index,) + row))
    print("};\n\nconst uint8_t exp_class_by_granules[EXP_CLASS_BYTES_MAX / EXP_GRANULE + 1] = {")
    by_granules = [class_of(table, 16 * granules) for granules in range(65536 // 16 + 1)]
    for start in range(0, len(by_granules), 24):
        print("    " + ", ".join(str(value) for value in by_granules[start:start + 24]) + ",")
    print(TAIL, end="")


if __name__ == "__main__":
    main()
