/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists, and who asks about them: queries, and the verifier. The routines themselves are
 * declared in wdmlook.h.
 */
#ifndef EXP_LOOKASIDE_H
#define EXP_LOOKASIDE_H

#include "front/pool.h"

/* One live list; counters wrap. */
struct exp_lookaside_row {
    uint16_t depth, depth_max; /* entries it may keep: now, and at most */
    uint32_t total_allocates, allocate_misses, total_frees, free_misses;
    uint32_t type; /* POOL_TYPE */
    uint32_t tag;
    uint32_t size_bytes; /* of an entry */
};

/*
 * Copy what the live lists say, in the order in which they were initialized. The numbers of one row
 * are of one moment.
 *
 *   rows      capacity entries, may be NULL when capacity is 0
 *   returns   the true number of lists, also when more than capacity
 *   irql      <= DISPATCH
 *   locks     takes EXP_RANK_LOOKASIDE and each list's own
 *   source    spec/api.md 8.5
 */
size_t exp_lookaside_rows(struct exp_lookaside_row *rows, size_t capacity);

/*
 * Allocations that lists served from what they kept, of all lists ever; wraps.
 *
 *   nonpaged, paged   receive the number by pool; not NULL
 *   irql, locks       as exp_lookaside_rows
 *   source            spec/api.md 8.6, class 2
 */
void exp_lookaside_hits(uint32_t *nonpaged, uint32_t *paged);

/*
 * A live list that begins in [start, start + bytes), which is about to be freed.
 *
 *   returns   its address; NULL: none. When there is no list at all one load
 *   irql      any
 *   locks     takes EXP_RANK_LOOKASIDE
 *   source    spec/api.md 5.3
 */
const void *exp_lookaside_inside(const void *start, size_t bytes);

/*
 * Somebody may leave a driver's Free by longjmp: end what a look of this thread has under way.
 *
 *   irql     <= DISPATCH
 *   locks    takes EXP_RANK_LOOKASIDE and the list's own
 *   source   docs/decisions/0009-lookaside.md
 */
void exp_lookaside_forget(void);

#endif
