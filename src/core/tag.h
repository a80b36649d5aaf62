/* SPDX-License-Identifier: MIT */
/*
 * Tags: a number for each, rows of counters for each (owner, tag, column), and the statistics
 * region that other processes read. Numbers are never reused; a row, once made, stays.
 *
 * The allocator never uses what it reads back from the region: tags and numbers are kept privately,
 * and rows are only added to.
 */
#ifndef EXP_TAG_H
#define EXP_TAG_H

#include <expool.h>
#include <expool/region.h>

#include "base/base.h"

/* Largest tag number; 0 is no number. */
#define EXP_TAG_NUMBER_MAX ((uint32_t)1 << 18)

/* The top bit: not part of the name (spec/api.md 1.13, 2.4). */
#define EXP_TAG_PROTECTED UINT32_C(0x80000000)

/* Rows that an owner has taken ahead for itself, so that two owners never share a line. */
struct exp_tag_slab {
    uint32_t next; /* index of the next row */
    uint32_t end;
    uint32_t taken; /* rows so far; the next slab is about as large */
};

/* Make the region and the empty tables. Returns false: no memory. Called once. */
bool exp_tag_start(void);

/* The statistics region of this process; NULL before exp_tag_start. */
struct expool_region_header *exp_tag_region(void);

/*
 * Number of a tag, registered on first use.
 *
 *   tag       not 0; with its top bit it has a number of its own and counts in the row without it
 *   returns   0: the table is full or there is no memory
 *   irql      <= DISPATCH
 *   locks     takes EXP_RANK_TAG
 */
uint32_t exp_tag_register(uint32_t tag);

/*
 * Number of the tag that stands for a module.
 *
 *   tag       four characters; made unique when another module or caller has them already
 *   path      file name kept in the module table; may be NULL
 *   returns   the same number for the same path every time; 0: no memory
 *   locks     takes EXP_RANK_TAG
 */
uint32_t exp_tag_register_module(uint32_t tag, const char *path);

/* Tag of a number, with its top bit if it has one. irql: any; locks: none. */
uint32_t exp_tag_of(uint32_t number);

/*
 * A new row for a number and a column (0 nonpaged, 1 paged).
 *
 *   slab      the owner's; only the owner uses it
 *   returns   NULL: the table is full or there is no memory
 *   locks     takes EXP_RANK_TAG
 */
struct expool_region_row *exp_tag_row_make(struct exp_tag_slab *slab,
                                           uint32_t number,
                                           unsigned column);

/* expool_tags. locks: takes EXP_RANK_TAG. */
size_t exp_tag_rows(struct expool_tag_row *rows, size_t capacity);

/* Sums over all tags: totals[0] nonpaged, [1] paged; tag is 0. locks: takes EXP_RANK_TAG. */
void exp_tag_totals(struct expool_tag_row totals[2]);

/*
 * Count a session block that was allocated or freed, beside its ordinary row. A tag for which there
 * was no room when its first session block came is never counted here.
 *
 *   number    tag number of the block, in use
 *   column    0 nonpaged, 1 paged
 *   bytes     held bytes
 *   irql      <= DISPATCH
 *   locks     takes EXP_RANK_TAG
 *   source    spec/api.md 8.6 (class 67), 9.14; docs/decisions/0001-region-layout.md
 */
void exp_tag_session_count(uint32_t number, unsigned column, bool allocated, size_t bytes);

/*
 * Copy the rows of session blocks: both columns of a tag together, nonpaged first, tags in the
 * order of their first session block; rows never used are left out.
 *
 *   rows      capacity entries, may be NULL when capacity is 0
 *   returns   the true number of rows, also when more than capacity
 *   locks     takes EXP_RANK_TAG
 */
size_t exp_tag_session_rows(struct expool_tag_row *rows, size_t capacity);

/* Write the options in force into the region. locks: takes EXP_RANK_TAG. */
void exp_tag_publish_options(void);

/* Live blocks of one number and column, counted in the copy of a process. */
struct exp_tag_live {
    uint64_t blocks;
    uint64_t bytes;
};

/* Numbers in use: 1 .. count - 1. */
uint32_t exp_tag_count(void);

/*
 * In the copy of a process: make a region of its own and set its rows so that allocs - frees and
 * bytes are what is live here.
 *
 *   live   exp_tag_count() * 2 counts, index number * 2 + column, changed; NULL: leave the copied
 *          rows
 */
void exp_tag_child(struct exp_tag_live *live);

/* In the copy of a process, after exp_tag_child: forget what its parent did with a slab's rows
 * since. */
void exp_tag_child_slab(const struct exp_tag_slab *slab);

/* In the copy of a process, before anything else: reset the lock. */
void exp_tag_child_lock(void);

/* Number whose rows a number (in use) counts in: that of its tag without the top bit. irql: any. */
uint32_t exp_tag_row_number(uint32_t number);

/* For verify.h: row by index and its key; NULL: no such row. A key of ~0: not yet used. */
const struct expool_region_row *exp_tag_row_at(uint32_t index, uint32_t *key);

#endif
