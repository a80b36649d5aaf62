/* SPDX-License-Identifier: MIT */
/*
 * Does everything fit? One walk over all that the pool keeps, while it rests: pages, lists, runs,
 * states, stores, caches, tails, and the rows of all tags against what is live. The first thing
 * that contradicts another is named; nothing is changed or mended.
 */
#ifndef EXP_VERIFY_H
#define EXP_VERIFY_H

#include "core/owner.h"

/* What does not fit; beside each the address, what is expected and what was found. */
enum exp_verify_what {
    EXP_VERIFY_FITS,
    EXP_VERIFY_CHUNK, /* chunk: highest value it may have, value */
    EXP_VERIFY_PAGE,  /* page no span starts at though the one before ends: page, record index */
    EXP_VERIFY_PAGE_OWNER,  /* page: index of its span, what the table of owners says */
    EXP_VERIFY_MAP,         /* page: map entry expected, found */
    EXP_VERIFY_NEIGHBOURS,  /* second of two free spans that should be one: pages of both */
    EXP_VERIFY_RECORD,      /* record no page leads to: records that pages lead to, that exist */
    EXP_VERIFY_FREE_LIST,   /* span or list head: bin, what was found */
    EXP_VERIFY_FREE_WORD,   /* list head: 1 when its bit should be set, bit */
    EXP_VERIFY_DIRTY_LIST,  /* span or list head: expected, found */
    EXP_VERIFY_UNUSED_LIST, /* record or list head: EXP_SPAN_NONE, what was found */
    EXP_VERIFY_PAGES_USED,  /* count of a pool: sum over spans, count */
    EXP_VERIFY_PAGES_DIRTY, /* count of a pool: sum over spans, count */
    EXP_VERIFY_CLASS,       /* span: number of places its class and pages make, places it says */
    EXP_VERIFY_HELD,        /* large span: most bytes that its pages hold, bytes it says */
    EXP_VERIFY_STATE,       /* slot: state that its place allows, state */
    EXP_VERIFY_HOLE,        /* page: EXP_STATE_HOLE, state found after its slots */
    EXP_VERIFY_FRESH,       /* span: most, slots_fresh */
    EXP_VERIFY_BITS,        /* slot: 0, its bit */
    EXP_VERIFY_SLOTS_FREE,  /* span: slots found free, slots_free */
    EXP_VERIFY_QUARTER,     /* span: quarter by slots_free, quarter it says */
    EXP_VERIFY_RUN_LIST,    /* span or list head: bin or count, what was found */
    EXP_VERIFY_EMPTY,       /* list heads of a store: empty runs, what the store says */
    EXP_VERIFY_TAIL,        /* span: see verify.c */
    EXP_VERIFY_OFFER,       /* span or list head of tails on offer: expected, found */
    EXP_VERIFY_CACHE,       /* cache: entries it may have, entries */
    EXP_VERIFY_CACHED,      /* slot in a cache or batch: bin or state, what was found */
    EXP_VERIFY_SLOTS, /* lists of a store: slots of the bin; in store, cached and live together */
    EXP_VERIFY_ROW,   /* row an owner has: key, key found */
    EXP_VERIFY_ROW_BLOCKS, /* NULL: live blocks of a key, what its rows say; ->key */
    EXP_VERIFY_ROW_BYTES,  /* NULL: live bytes of a key, what its rows say; ->key */
    EXP_VERIFY_WHAT_COUNT
};

struct exp_verify_fault {
    enum exp_verify_what what;
    const void *address;
    uint64_t expected;
    uint64_t found;
    uint32_t key; /* EXP_VERIFY_ROW_...: tag number * 2 + column */
};

/*
 * Walk the whole pool.
 *
 *   fault     receives the first thing that does not fit; what is EXP_VERIFY_FITS when nothing does
 *   returns   true: everything fits, or the pool has not been used yet
 *   irql      <= DISPATCH
 *   locks     takes all of them but tag and heap, by rank, stores in order of nodes, bins: the only
 *             place that holds two of one rank; the caller holds none
 *   owns      all owners are idle meanwhile; not for a copy of a process that was made while
 *             another thread held the span lock (what was free is forgotten there), nor after
 *             memory for a record or a row ran out during a free (pages stay used, a count is lost)
 *   source    docs/house.md; the invariants in the essays of span.c, run.c and store.c
 */
EXP_MUST_USE bool exp_verify_all(struct exp_verify_fault *fault);

/* Words for a fault. irql: any. */
const char *exp_verify_words(enum exp_verify_what what);

#endif
