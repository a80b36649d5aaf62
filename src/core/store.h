/* SPDX-License-Identifier: MIT */
/*
 * Per node and bin (class of a pool): the runs that have free slots, and batches of slots on their
 * way from an owner that frees to one that allocates.
 */
#ifndef EXP_STORE_H
#define EXP_STORE_H

#include "core/run.h"

/* Make the empty stores; called once after exp_run_start. */
void exp_store_start(void);

/*
 * Move free slots of one bin out of a node's store, or of new pages of that node; out of other
 * nodes' when there are none. All slots of one call are of one node.
 *
 *   node      | EXP_SPAN_NODE_ONLY: no other node
 *   entries   receives them; the last one is to be used first (lowest address)
 *   count     at least 1
 *   returns   slots moved, at most count; 0: no page could be had
 *   irql      <= DISPATCH
 *   locks     takes EXP_RANK_STORE, EXP_RANK_SPAN
 *   owns      the caller owns the slots until exp_store_give
 */
EXP_MUST_USE size_t exp_store_take(unsigned node,
                                   unsigned bin,
                                   struct exp_run_entry *entries,
                                   size_t count);

/*
 * Give free slots back, each to the store of its own node.
 *
 *   entries   of this bin; states are free
 *   to_batch  whole batches may wait in the store as they are
 *   returns   NULL; or a slot that was in the store already: two threads freed it at once. It is
 *             left alone, all others are given
 *   irql      <= DISPATCH
 *   locks     takes EXP_RANK_STORE, EXP_RANK_SPAN
 */
void *exp_store_give(unsigned bin,
                     const struct exp_run_entry *entries,
                     size_t count,
                     bool to_batch);

/* Put batches back into runs and give the pages of empty runs back. locks: as above, one at a time.
 */
void exp_store_trim(void);

/*
 * In the copy of a process: reset the locks of all stores of a bin.
 *
 *   returns   true: another thread was inside one, and they were made anew: every slot whose state
 *             is free is in them now, so what caches held of this bin must be forgotten
 */
EXP_MUST_USE bool exp_store_child(unsigned bin);

/* What verify.h sees of a store; the caller holds its lock. */
struct exp_store_view {
    struct exp_lock *lock;
    struct exp_link *runs; /* quarters lists by ->link, fullest first */
    unsigned quarters;     /* ->quarter of a run in no list, too */
    uint32_t *empty;
    uint32_t batch_count;
};

/* For verify.h: a node's store of a bin. locks: none; what the view points at is under its lock. */
void exp_store_view(unsigned node, unsigned bin, struct exp_store_view *view);

/* For verify.h: entries of one waiting batch. locks: caller holds the store lock. */
struct exp_run_entry *exp_store_batch(unsigned node, unsigned bin, unsigned index, size_t *count);

#endif
