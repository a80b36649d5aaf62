/* SPDX-License-Identifier: MIT */
/*
 * Slots of one class in a span, large blocks, and tails: the rest of a big block's last page that
 * serves small ones.
 *
 * A slot is in one of three places: in the store (its bit is set, or it was never handed out), in a
 * cache (bit clear, state 0), or with a caller (bit clear, state = tag number).
 */
#ifndef EXP_RUN_H
#define EXP_RUN_H

#include "core/span.h"

enum {
    EXP_RUN_ZERO = 1
};

/* A free slot on its way. */
struct exp_run_entry {
    uintptr_t block; /* its address, | EXP_RUN_ZERO when it is known to be zero */
    uint16_t *state;
};

EXP_INLINE void *exp_run_entry_block(const struct exp_run_entry *entry)
{
    return (void *)(entry->block & ~(uintptr_t)EXP_RUN_ZERO);
}

/* What an address in the range is. */
enum exp_run_what {
    EXP_RUN_NEVER,    /* page never handed out, or ours */
    EXP_RUN_FREED,    /* in a span that came back; or start of a slot that is free */
    EXP_RUN_INSIDE,   /* inside a slot, or between slots */
    EXP_RUN_INTERIOR, /* in a later page of a live block of several pages */
    EXP_RUN_LIVE,     /* start of a live block */
};

struct exp_run_place {
    enum exp_run_what what;
    struct exp_span *span; /* INSIDE, INTERIOR, LIVE and FREED slots; else NULL */
    uint16_t *state;       /* LIVE, and the start of a FREED slot */
    unsigned class_index;  /* class of the block, or that the page had */
    unsigned pool;
    size_t size_bytes;   /* LIVE: what the block holds */
    size_t offset_bytes; /* INTERIOR: bytes from the block's start */
};

/* Make the empty lists; called once after exp_span_start. */
void exp_run_start(void);

/*
 * Make a run of free slots, in a tail on offer when the class is small, else in new pages.
 *
 *   node      as for exp_span_take; a tail is of that node always
 *   returns   NULL: no page could be had
 *   locks     takes the span lock
 *   owns      the caller, until exp_run_unmake
 *   source    spec/api.md 4.6, 4.7; design.md 4, Split pages
 */
EXP_MUST_USE struct exp_span *exp_run_make(unsigned node, unsigned pool, unsigned class_index);

/* Take an empty run apart. locks: caller holds its store's lock; takes the span lock. */
void exp_run_unmake(struct exp_span *run);

/*
 * Take up to count free slots, low addresses first, used ones before fresh ones.
 *
 *   last      entries are written downward from here, the first taken at last[0]
 *   returns   slots taken
 *   locks     caller holds the store lock
 */
size_t exp_run_take(struct exp_span *run, struct exp_run_entry *last, size_t count);

/*
 * Put one slot back.
 *
 *   class_index  class of the slot
 *   returns   its run; NULL: the slot is in the store already (freed by two threads at once)
 *   locks     caller holds the store lock of its bin
 */
struct exp_span *exp_run_give(const void *block, unsigned class_index);

/* All slots of a run are in the store. locks: caller holds the store lock. */
EXP_INLINE bool exp_run_empty(const struct exp_span *run)
{
    return run->slots_free == run->slots - run->slots_taboo;
}

/*
 * Make a block of its own pages.
 *
 *   node        as for exp_span_take
 *   bytes       any size; also for an aligned or secure block of a small size
 *   alignment   power of two
 *   donate      offer the rest of the last page to small blocks
 *   returns     its span (state free, ->held_bytes set), or NULL
 *   locks       takes the span lock
 */
EXP_MUST_USE struct exp_span *exp_run_large_make(
    unsigned node, unsigned pool, size_t bytes, size_t alignment, bool donate);

/* Give a large block's pages back; its state is free. locks: takes the span lock. */
void exp_run_large_unmake(struct exp_span *large);

/*
 * Change what a live large block holds without moving it.
 *
 *   returns   false: it would have to move; nothing has changed
 *   locks     takes the span lock
 */
EXP_MUST_USE bool exp_run_large_resize(struct exp_span *large, size_t bytes);

/* State of a large block. */
EXP_INLINE uint16_t *exp_run_large_state(const struct exp_span *large)
{
    return exp_range.states + large->first_state;
}

/*
 * What address is; any address inside the range. What it says of a live block holds while that
 * lives.
 *
 *   irql    <= DISPATCH
 *   locks   takes the span lock, under which runs, blocks and tails come and go
 */
struct exp_run_place exp_run_find(const void *address);

/* A live block of whole pages. */
struct exp_run_big {
    void *block;
    size_t span_bytes; /* pages it lies in */
    uint32_t number;   /* of its tag */
    unsigned pool;
};

#define EXP_RUN_BIG_START ((size_t)0)
#define EXP_RUN_BIG_END   SIZE_MAX

/*
 * Copy some of the live blocks that hold a page or more, by rising address. A block that lives from
 * the first call to the last is copied once; no address is copied twice.
 *
 *   where      in: EXP_RUN_BIG_START, or what the last call left; out: EXP_RUN_BIG_END when all of
 *              the range has been seen
 *   blocks     capacity entries
 *   returns    blocks copied; 0 does not mean the end
 *   irql       <= DISPATCH
 *   locks      takes the span lock, for a bounded number of steps
 *   source     spec/api.md 8.3, 4.9 (span)
 */
size_t exp_run_copy_big(size_t *where, struct exp_run_big *blocks, size_t capacity);

/* In the copy of a process, when the span lock was held: offer tails anew, from the records. */
void exp_run_child(bool torn);

/*
 * Make bits and counts of a run anew from its states: a slot is in the store when its state is
 * free. For a store whose lock was held over fork; slots in the caches of lost threads come back
 * this way.
 */
void exp_run_rebuild(struct exp_span *run);

/* For verify.h: blocks that offer tails of a node and pool, by ->age and KiB; NULL: no such bin. */
struct exp_link *exp_run_offers(unsigned node, unsigned pool, unsigned bin);

#endif
