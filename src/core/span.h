/* SPDX-License-Identifier: MIT */
/*
 * Consecutive pages of one pool: found, split, merged, kept for reuse, given back to the system.
 *
 * Every page that a pool has taken into use belongs to exactly one span; exp_range.span_of finds
 * its record from its first and its last page always, and from every page while the span is used.
 */
#ifndef EXP_SPAN_H
#define EXP_SPAN_H

#include <expool/region.h>

#include "base/list.h"
#include "core/lock.h"
#include "core/range.h"

enum exp_span_use {
    EXP_SPAN_NONE,   /* the record is in the list of unused records */
    EXP_SPAN_FREE,   /* pages nobody uses */
    EXP_SPAN_MOVING, /* free, in no list: being taken, split or given back */
    EXP_SPAN_RUN,    /* slots of one class */
    EXP_SPAN_LARGE,  /* one block above 16 pages, or a wide one */
};

/* Most whole words of a run's bitmap. */
#define EXP_SPAN_WORDS (EXP_CLASS_SLOTS_MAX / 64)

/* With a node's index: that node or nothing. Without it the others are asked, too. */
#define EXP_SPAN_NODE_ONLY 0x100u

struct exp_span {
    struct exp_link link; /* store's list of runs; free list; or list of unused records */
    struct exp_link age;  /* free and dirty: oldest first; run: list of tails on offer */

    /* Under the span lock; constant while used. */
    uint32_t page;  /* first page */
    uint32_t pages; /* at least 1 */
    uint8_t use;    /* enum exp_span_use */
    uint8_t pool;
    bool zero;       /* all pages read as zero (free), or did when the span was taken */
    uint8_t quarter; /* run: which list of its store, EXP_RUN_... ; under the store lock */

    /* Run and large. */
    uint8_t class_index;
    uint8_t node;         /* like pool: under the span lock; constant while used */
    uint16_t slots;       /* places for slots; constant while used */
    uint16_t slots_taboo; /* the first places, where a block lies whose tail this run is; else 0 */
    uint16_t slots_free;  /* under the store lock: bits set, and slots never handed out */
    uint16_t slots_fresh; /* under the store lock: slots from here on were never handed out */
    uint16_t state_count;
    uint32_t first_state;
    uint16_t tails;  /* under the span lock: of our slots, whose last page has a tail's run */
    uint32_t parent; /* under the span lock: span in one of whose slots' rest this run lies, or 0 */
    uint32_t freed_ms;   /* free: when it became so, low bits of the clock */
    uint64_t held_bytes; /* large: what the block holds */

    uint64_t bits[EXP_SPAN_WORDS]; /* run, under the store lock: 1 = slot is in the store */
};

/* Counts of one pool; under the span lock, mirrored in the statistics region. */
struct exp_span_counts {
    uint64_t pages_used;
    uint64_t pages_used_peak;
    uint64_t pages_dirty;
    uint64_t failures; /* requests for pages refused */
};

/* Bits of exp_span.conditions and numbers of exp_port_condition; event.h counts on from here. */
enum exp_span_condition {
    EXP_SPAN_LOW_NONPAGED,
    EXP_SPAN_HIGH_NONPAGED,
    EXP_SPAN_LOW_PAGED,
    EXP_SPAN_HIGH_PAGED,
    EXP_SPAN_CONDITIONS
};

/* What a limit leaves to the pools under it: gate 0 both nonpaged pools, gate 1 the paged one. */
struct exp_span_gate {
    uint64_t pages_used;  /* atomic; written under the span lock: sum over its pools */
    uint64_t pages_limit; /* these three atomic, from the options; UINT64_MAX = unlimited */
    uint64_t pages_low;   /* Low holds while no more pages than this are free */
    uint64_t pages_high;  /* High holds while no fewer than this are free */
    uint64_t used_least;  /* under the span lock: while pages_used stays between these two, both */
    uint64_t used_most;   /* included, no condition begins or ends */
};

struct exp_span_state {
    struct exp_lock lock; /* EXP_RANK_SPAN, IRQL <= DISPATCH: all spans, chunks, tails */
    struct exp_span_counts counts[3];
    struct exp_span_gate gates[2];
    uint32_t conditions;                 /* atomic, written under the lock */
    uint32_t begun[EXP_SPAN_CONDITIONS]; /* the same: how often each began; waiters sleep on it */
    uint64_t pages_purged;
    uint64_t chunks_grown;
    uint64_t fail_request;               /* the nth request from now fails; 0 = off */
    uint64_t failures_injected;          /* atomic: how often that came true */
    struct expool_region_header *region; /* where the counts are copied to; NULL before it exists */
};

extern EXP_HIDDEN struct exp_span_state exp_span;

/* Span record by index (not 0). */
EXP_INLINE struct exp_span *exp_span_at(uint32_t index)
{
    return (struct exp_span *)(void *)exp_range.span_table.start + index;
}

/* Index of a record. */
EXP_INLINE uint32_t exp_span_index(const struct exp_span *span)
{
    return (uint32_t)(span - (struct exp_span *)(void *)exp_range.span_table.start);
}

/* Span that a page in use belongs to. irql: any; locks: none when the caller holds a block of it.
 */
EXP_INLINE struct exp_span *exp_span_of(size_t page)
{
    return exp_span_at(exp_atomic_load_acquire(&exp_range.span_of[page]));
}

/* Make the empty lists; called once after exp_range_start. */
bool exp_span_start(void);

/*
 * Take pages for a pool.
 *
 *   node      whose pages are preferred; | EXP_SPAN_NODE_ONLY: no others. Where the memory then
 *             comes from is the system's choice: exp_port_settle tells
 *   pages     at least 1
 *   returns   a span of exactly that many pages, ->zero says whether they read as zero; its map
 *             entries are still EXP_CLASS_NEVER or EXP_CLASS_FREED. NULL: limit, address space,
 *             memory, or a failure asked for by exp_span.fail_request
 *   locks     takes the span lock
 *   owns      the caller, until exp_span_give
 *   source    design.md 4, Spans; spec/api.md 2.8 (memory, pool limit)
 */
EXP_MUST_USE struct exp_span *exp_span_take(unsigned node, unsigned pool, size_t pages);

/* The same with the address of the first page a multiple of alignment (a power of two). */
EXP_MUST_USE struct exp_span *exp_span_take_aligned(unsigned node,
                                                    unsigned pool,
                                                    size_t pages,
                                                    size_t alignment);

/*
 * Give pages back. Their map entries become EXP_CLASS_FREED, remembering the class they had.
 *
 *   locks   caller holds the span lock
 */
void exp_span_give(struct exp_span *span);

/*
 * Cut a used span in two and return the second part, of pages pages.
 *
 *   returns   NULL: no record could be had; nothing has changed
 *   locks     caller holds the span lock
 */
EXP_MUST_USE struct exp_span *exp_span_split(struct exp_span *span, size_t pages);

/*
 * Grow a used span at its end into free neighbours.
 *
 *   returns   false: the pages after it are not free, or the limit refuses; nothing has changed
 *   locks     takes the span lock
 */
EXP_MUST_USE bool exp_span_extend(struct exp_span *span, size_t more_pages);

/*
 * Give free pages back to the system: those free for longer than purge_ms, or all.
 *
 *   locks     takes and releases the span lock; none held by the caller
 */
void exp_span_purge(bool all);

/*
 * Read limits and thresholds from the options again, and say which conditions hold now.
 *
 *   locks     takes the span lock
 *   source    spec/api.md 6; docs/decisions/0010-events.md
 */
void exp_span_conditions_renew(void);

/* Tell the port each condition as it is. locks: takes the span lock. */
void exp_span_conditions_tell(void);

/* Pages that the limit of a pool leaves; SIZE_MAX = unlimited. irql: any; locks: none. */
size_t exp_span_pages_free(unsigned pool);

/* Free pages at which a pool's Low condition begins. irql: any; locks: none. */
size_t exp_span_low_pages(unsigned pool);

/* What a slow path does now and then: looks at the clock, purges what is old. */
void exp_span_tick(void);

/* A record for a run that lies in another span's last page; NULL: no memory. locks: span lock held.
 */
struct exp_span *exp_span_record_take(void);

/* The opposite. */
void exp_span_record_give(struct exp_span *span);

/* In the copy of a process: reset the lock; when it was held, make all lists anew from the records.
 */
void exp_span_child(void);

/* One bin of free spans, as verify.h sees it; under the span lock. */
struct exp_span_bin {
    struct exp_link *spans; /* by ->link */
    uint64_t *word;         /* word of the set's map of bins, and the bit of this one */
    uint64_t mask;
};

/*
 * For verify.h: a bin of the clean (zero) or dirty spans of a node and pool; false: there is no
 * such bin.
 */
bool exp_span_bin_at(
    unsigned node, unsigned pool, bool zero, unsigned bin, struct exp_span_bin *view);

/* For verify.h: the bin that free spans of pages lie in. */
unsigned exp_span_bin_of(size_t pages);

/* For verify.h: all dirty spans by ->age, oldest first; all unused records by ->link. */
struct exp_link *exp_span_dirty(void);
struct exp_link *exp_span_unused(void);

#endif
