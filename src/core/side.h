/* SPDX-License-Identifier: MIT */
/*
 * Side records: what a state of 16 bits cannot say of a rare block.
 *
 * A block whose state is EXP_STATE_WIDE has a record here, found by the index of its state: tag
 * numbers that no state holds, who pays quota, session and secure blocks, and guarded ends. A block
 * without one costs nothing.
 */
#ifndef EXP_SIDE_H
#define EXP_SIDE_H

#include "core/range.h"

/* Kinds of rare blocks, or-ed. */
enum exp_side_kind {
    EXP_SIDE_QUOTA = 1,   /* who is the struct expool_process that pays */
    EXP_SIDE_SESSION = 2, /* counted in the session table, too */
    EXP_SIDE_SECURE = 4,  /* who is secure.c's record; only ExFreePool2 frees it */
    EXP_SIDE_GUARD = 8,   /* slack bytes after the caller's hold a pattern */
    EXP_SIDE_FREED = 16,  /* alone, of a free slot: who is its address, all of it holds a pattern */
};

/*
 * Written by whoever holds the block. Who asks for an address that may be nobody's or another's by
 * now (ExSecurePoolValidate) reads it at any moment: each word is atomic, relaxed.
 */
struct exp_side {
    uint32_t number;      /* tag number */
    uint16_t kind;        /* enum exp_side_kind; 0: only the number is rare */
    uint16_t slack_bytes; /* GUARD: bytes held after the caller's last */
    void *who;
};

/*
 * Record for the slot of a state, made when it is the first of its neighbourhood.
 *
 *   state     of a slot that the caller has taken
 *   returns   NULL: no memory
 *   irql      <= DISPATCH
 *   locks     may take EXP_RANK_HEAP
 *   owns      range; good for as long as the process lives, its contents while the caller has the
 *             slot
 */
EXP_MUST_USE struct exp_side *exp_side_make(const uint16_t *state);

/* Record of a block whose state is EXP_STATE_WIDE; NULL: that state was never set by us. irql: any;
 * locks: none. */
struct exp_side *exp_side_of(const uint16_t *state);

/*
 * What the records of states [first, first + count) say of free slots is true no more: their run
 * goes. irql: any; locks: the caller has the slots.
 */
void exp_side_forget(const uint16_t *first, size_t count);

/* Tag number of a live block, given its state and the state's value. irql: any; locks: none. */
EXP_INLINE uint32_t exp_side_number(const uint16_t *state, uint32_t value)
{
    return value == EXP_STATE_WIDE ? exp_atomic_load(&exp_side_of(state)->number) : value;
}

#endif
