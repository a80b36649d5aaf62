/* SPDX-License-Identifier: MIT */
/*
 * The classic table of poolmon: numbers in, text out. Knows nothing of where the numbers come from.
 */
#ifndef EXP_TABLE_H
#define EXP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The first two lines. Everything in KiB but page_faults. */
struct exp_table_header {
    uint64_t memory_kib;
    uint64_t available_kib;
    uint64_t page_faults; /* since the last refresh */
    uint64_t resident_kernel_kib;
    uint64_t resident_paged_kib;
    uint64_t commit_kib;
    uint64_t commit_limit_kib;
    uint64_t commit_peak_kib;
    uint64_t nonpaged_kib;
    uint64_t paged_kib;
};

/* One tag in one pool. */
struct exp_table_row {
    char tag[5]; /* printable, NUL-terminated */
    bool paged;
    uint64_t allocs;
    uint64_t frees;
    uint64_t diff;
    uint64_t bytes;
    uint64_t allocs_change; /* since the last refresh */
    uint64_t frees_change;
    int64_t bytes_change;
};

enum exp_table_sort {
    EXP_TABLE_TAG, /* ascending; all others descending, ties by tag and pool */
    EXP_TABLE_ALLOCS,
    EXP_TABLE_FREES,
    EXP_TABLE_DIFF,
    EXP_TABLE_BYTES,
    EXP_TABLE_PER_ALLOC,
};

/*
 * Make one row of all rows that show the same tag and pool.
 *
 *   rows      reordered; the first ones are the result
 *   returns   rows left
 *   source    spec/diagnostics.md 4.3: one row per tag and type
 */
size_t exp_table_merge(struct exp_table_row *rows, size_t count);

/* Sort rows in place. */
void exp_table_sort(struct exp_table_row *rows, size_t count, enum exp_table_sort sort);

/*
 * Print header lines, column titles and rows; columns grow with their widest number.
 *
 *   totals    append rows TOTAL for the nonpaged, the paged and both columns
 *   source    spec/diagnostics.md 4.3
 */
void exp_table_print(FILE *file,
                     const struct exp_table_header *header,
                     const struct exp_table_row *rows,
                     size_t count,
                     bool totals);

#endif
