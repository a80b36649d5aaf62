/* SPDX-License-Identifier: MIT */
/*
 * The walk: the only place that knows the order of steps of an allocation and of a free. Both fast
 * paths stand here, on one screen; each ends either in a block or, before it has changed anything,
 * in "slow".
 *
 * The malloc face (exp_pool_face_*) serves from paged pool, knows no IRQL, no page rule and no tag
 * check, and names the payer by tag number instead of by tag.
 */
#ifndef EXP_POOL_H
#define EXP_POOL_H

#include "core/owner.h"
#include "core/stop.h"

/* Pools; the numbers equal enum expool_region_pool_index, column of a tag row = pool >> 1. */
enum exp_pool {
    EXP_POOL_NONPAGED,
    EXP_POOL_EXECUTE,
    EXP_POOL_PAGED,
};

/* What a request wants beside bytes. */
enum exp_pool_want {
    EXP_POOL_ZERO = 1,
    EXP_POOL_CACHE_ALIGNED = 2,
    EXP_POOL_COLD = 4,       /* the end of its last page is offered to nobody */
    EXP_POOL_SESSION = 8,    /* the same, and counted for the session */
    EXP_POOL_SECURE = 16,    /* read-only pages of its own; freed only by exp_pool_free_secure */
    EXP_POOL_NODE = 32,      /* memory of the request's node */
    EXP_POOL_NODE_ONLY = 64, /* or none at all */
};

/* A request on its way through the slow half. */
struct exp_pool_request {
    unsigned pool;
    unsigned want; /* enum exp_pool_want, or-ed */
    size_t bytes;
    size_t alignment;               /* power of two; 0 = that of the class */
    uint32_t node;                  /* NODE: its index */
    uint32_t tag;                   /* 0: number says who is counted */
    uint32_t number;                /* tag number of the malloc face */
    struct expool_process *process; /* pays quota; NULL = nobody */
    void *secure;                   /* SECURE: its record */
    const void *contents;           /* SECURE: its bytes; NULL = zeros */
    const void *caller;             /* return address of the public routine, for a report */
};

/* Why a request got nothing. */
enum exp_pool_outcome {
    EXP_POOL_SERVED,
    EXP_POOL_NO_QUOTA,
    EXP_POOL_NO_MEMORY,
};

/* Levels of spec/api.md 1.10 that the pool knows; irql.c asserts that they equal those of wdm.h. */
enum exp_pool_irql {
    EXP_POOL_IRQL_PASSIVE = 0,
    EXP_POOL_IRQL_APC = 1,
    EXP_POOL_IRQL_DISPATCH = 2,
};

/* Highest IRQL at which a pool may be used (spec/api.md 2.3). */
EXP_INLINE unsigned exp_pool_irql_max(unsigned pool)
{
    return pool == EXP_POOL_PAGED ? EXP_POOL_IRQL_APC : EXP_POOL_IRQL_DISPATCH;
}

enum {
    EXP_POOL_ZERO_INLINE_BYTES = 128,
    EXP_POOL_CACHE_LINE = 64
};

/*
 * Zero bytes rounded up to the granule, at least one granule; every class holds that much.
 *
 *   returns   block, so that the call of memset can be a fast path's last
 */
EXP_INLINE void *exp_pool_zero(void *block, size_t bytes)
{
    typedef long long granule __attribute__((vector_size(16), may_alias));
    if (bytes > EXP_POOL_ZERO_INLINE_BYTES) {
        return __builtin_memset(block, 0, bytes);
    }
    granule *end = (granule *)((char *)block + bytes);
    granule *at = block;
    do {
        *at++ = (granule){ 0 };
    } while (at < end);
    return block;
}

/* A block by the fast path, not yet zeroed. */
struct exp_pool_got {
    void *block;
    bool zero; /* it reads as zero already */
};

/* What is counted and handed over once nothing can fail any more. */
EXP_INLINE void exp_pool_hand_out(struct exp_cache *cache,
                                  struct exp_run_entry *entry,
                                  uint32_t number,
                                  struct expool_region_row *row,
                                  struct exp_pool_got *got)
{
    got->block = exp_run_entry_block(entry);
    got->zero = (entry->block & EXP_RUN_ZERO) != 0;
    cache->top = entry;
    exp_atomic_store(entry->state, (uint16_t)number);
    exp_counter_add(&row->allocs, 1);
    exp_counter_add(&row->bytes_in, cache->size_bytes);
}

/*
 * Allocate by the fast path.
 *
 *   place     where the owner's table may hold the tag
 *   returns   false: nothing has changed and the slow path must decide
 */
EXP_INLINE bool exp_pool_allocate_at(struct exp_owner *owner,
                                     unsigned pool,
                                     size_t bytes,
                                     uint32_t tag,
                                     const struct exp_owner_tag *place,
                                     struct exp_pool_got *got)
{
    if (EXP_UNLIKELY(bytes > EXP_CLASS_BYTES_MAX)) {
        return false;
    }
    struct exp_cache *cache = owner->caches + (pool << EXP_CLASS_BITS) + exp_class_of(bytes);
    struct exp_run_entry *entry = cache->top - 1;
    if (EXP_UNLIKELY(place->tag != tag || tag == 0)) {
        return false; /* a tag not seen here before, no tag, or an IRQL that forbids the pool */
    }
    if (EXP_UNLIKELY(exp_atomic_peek(entry->state) != EXP_STATE_FREE)) {
        return false; /* no slot left, or one that was freed twice */
    }
    exp_pool_hand_out(cache, entry, place->number, place->row, got);
    return true;
}

/* The same with the tag at its first place, which it nearly always is. */
EXP_INLINE bool exp_pool_try_allocate(unsigned pool,
                                      size_t bytes,
                                      uint32_t tag,
                                      struct exp_pool_got *got)
{
    exp_port_pin();
    struct exp_owner *owner = exp_port_owner();
    bool done =
        exp_pool_allocate_at(owner, pool, bytes, tag, exp_owner_place(owner, pool >> 1, tag), got);
    exp_port_unpin();
    return done;
}

/* A block's start as the fast path sees it. */
struct exp_pool_start {
    struct exp_cache *cache; /* of its bin, in the caller's owner */
    uint16_t *state;
    size_t column;
};

/* False: not the start of a slot that the fast path may free. */
EXP_INLINE bool exp_pool_find_start(struct exp_owner *owner,
                                    const void *block,
                                    struct exp_pool_start *start)
{
    size_t offset = exp_range_offset(block);
    if (EXP_UNLIKELY(offset >= exp_range.bytes)) {
        return false;
    }
    uint64_t entry = exp_atomic_load(&exp_range_map()[offset >> EXP_PAGE_SHIFT]);
    size_t bin = exp_range_entry_bin(entry);
    struct exp_cache *cache = &owner->caches[bin];
    uint32_t multiplier = cache->multiplier;
    uint64_t product = (uint64_t)(offset & EXP_PAGE_MASK) * multiplier;
    if (EXP_UNLIKELY((uint32_t)product >= multiplier)) {
        return false;
    }
    start->cache = cache;
    start->column = bin >> (EXP_CLASS_BITS + 1);
    start->state = exp_range_states() + exp_range_entry_state(entry) + (product >> 32);
    return true;
}

/* What is counted and kept once nothing can fail any more. */
EXP_INLINE void exp_pool_take_in(const struct exp_pool_start *start,
                                 void *block,
                                 struct exp_run_entry *top,
                                 struct expool_region_row *row)
{
    exp_atomic_store(start->state, EXP_STATE_FREE);
    exp_counter_add(&row->frees, 1);
    exp_counter_add(&row->bytes_out, start->cache->size_bytes);
    top->block = (uintptr_t)block;
    top->state = start->state;
    /* After the entry: what a fork finds below top is whole. */
    exp_atomic_store_release(&start->cache->top, top + 1);
}

/*
 * Free by the fast path, comparing the tag (not 0); the caller has pinned its owner.
 *
 *   probe     look for the tag wherever it lies, not only at its first place
 *   returns   false: nothing has changed and the slow path must decide
 */
EXP_INLINE bool exp_pool_free_at(void *block, uint32_t tag, bool probe)
{
    struct exp_owner *owner = exp_port_owner();
    struct exp_pool_start start;
    if (EXP_UNLIKELY(!exp_pool_find_start(owner, block, &start))) {
        return false;
    }
    const struct exp_owner_tag *place = probe ? exp_owner_probe(owner, start.column, tag)
                                              : exp_owner_place(owner, start.column, tag);
    struct exp_run_entry *top = start.cache->top;
    if (EXP_UNLIKELY(place->tag != tag || exp_atomic_peek(start.state) != place->number ||
                     top == start.cache->end)) {
        return false;
    }
    exp_pool_take_in(&start, block, top, place->row);
    return true;
}

/* The same without a tag: whatever the state says pays. IRQL is judged only when asked. */
EXP_INLINE bool exp_pool_free_any_at(void *block, bool irql)
{
    struct exp_owner *owner = exp_port_owner();
    struct exp_pool_start start;
    if (EXP_UNLIKELY(!exp_pool_find_start(owner, block, &start))) {
        return false;
    }
    size_t number = exp_atomic_peek(start.state);
    struct exp_run_entry *top = start.cache->top;
    if (EXP_UNLIKELY(number >= owner->row_numbers || top == start.cache->end ||
                     (irql && owner->blocked[start.column]))) {
        return false;
    }
    struct expool_region_row *row = owner->row_of[start.column][number];
    if (EXP_UNLIKELY(row == NULL)) {
        return false; /* free already, a payer not seen here before, or one to look at closer */
    }
    exp_pool_take_in(&start, block, top, row);
    return true;
}

/* exp_pool_free_at, pinned. */
EXP_INLINE bool exp_pool_try_free(void *block, uint32_t tag, bool probe)
{
    exp_port_pin();
    bool done = exp_pool_free_at(block, tag, probe);
    exp_port_unpin();
    return done;
}

/* exp_pool_free_any_at, pinned. */
EXP_INLINE bool exp_pool_try_free_any(void *block, bool irql)
{
    exp_port_pin();
    bool done = exp_pool_free_any_at(block, irql);
    exp_port_unpin();
    return done;
}

/*
 * Allocate, by the slow path and in its whole order: class, cache or store, run or span, tag number
 * and row, state, counts, zero.
 *
 *   request   bytes: any, 0 gives a block of the smallest size; tag: not 0
 *   outcome   receives why there is none; quota is judged before memory
 *   returns   NULL: quota, limit, address space, memory; nothing has changed but counts of failures
 *   irql      judged by the caller
 *   stops     0x13A when a free slot is found in use
 *   source    spec/api.md 2.5 .. 2.8, 2.11, 4; design.md 3
 */
void *exp_pool_allocate(const struct exp_pool_request *request, enum exp_pool_outcome *outcome);

/*
 * Free, by the slow path: judges address, state, IRQL and tag in the order of
 * spec/diagnostics.md 1.7, stops before anything is changed, else frees.
 *
 *   tag      0: not compared, except with a protected tag
 *   irql     the current one is judged against the block's pool
 *   caller   return address of the public routine, for the report
 */
void exp_pool_free(void *block, uint32_t tag, const void *caller);

/*
 * What a block can hold.
 *
 *   span     page blocks: size rounded up to pages; else the block's size
 *   quota    receives whether a process pays for it; may be NULL
 *   stops    as exp_pool_free for an address that is not a live block's start
 */
size_t exp_pool_block_size(const void *block, bool span, bool *quota, const void *caller);

/*
 * The record that a secure block was allocated with.
 *
 *   tag       receives its tag
 *   returns   NULL: not the start of a live secure block, whatever else it is
 *   irql      <= DISPATCH; locks: takes the span lock
 */
void *exp_pool_secure_record(const void *block, uint32_t *tag);

/*
 * Free a secure block, writable again and judged by exp_pool_judge.
 *
 *   block   the start of a live secure block
 */
void exp_pool_free_secure(void *block, const void *caller);

/*
 * Judge address, kind, IRQL and tag of a free, and change nothing.
 *
 *   secure   through the door of secure blocks; else one is the wrong kind
 *   about    receives what a report says of the block
 */
void exp_pool_judge(
    const void *block, uint32_t tag, bool secure, const void *caller, struct exp_stop_about *about);

/* Flush the caller's caches, give back what can be given back. */
void exp_pool_trim(void);

/* Name of a pool in reports. */
const char *exp_pool_name(unsigned pool);

/* IRQL of the calling thread. */
unsigned exp_pool_irql(void);

/*
 * Allocate for the malloc face by the fast path.
 *
 *   number    tag number of the payer; 0 ends in the slow path
 *   returns   false: nothing has changed, exp_pool_face_allocate must decide
 */
EXP_INLINE bool exp_pool_face_try(size_t bytes, uint32_t number, struct exp_pool_got *got)
{
    struct exp_owner *owner = exp_port_owner();
    if (EXP_UNLIKELY(bytes > EXP_CLASS_BYTES_MAX || number >= owner->row_numbers)) {
        return false;
    }
    struct expool_region_row *row = owner->row_of[1][number];
    struct exp_cache *cache =
        owner->caches + (EXP_POOL_PAGED << EXP_CLASS_BITS) + exp_class_of(bytes);
    struct exp_run_entry *entry = cache->top - 1;
    if (EXP_UNLIKELY(row == NULL || exp_atomic_peek(entry->state) != EXP_STATE_FREE)) {
        return false;
    }
    exp_pool_hand_out(cache, entry, number, row, got);
    return true;
}

/*
 * Allocate for the malloc face by the slow path.
 *
 *   bytes     any; 0 gives a block of the smallest size
 *   number    tag number of the payer (exp_tag_register)
 *   zero      all bytes read as zero, else contents are unspecified
 *   returns   16-byte aligned block, or NULL; errno is the caller's business and is not changed
 *   source    design.md 3; product.md 8.9
 */
void *exp_pool_face_allocate(size_t bytes, uint32_t number, bool zero);

/* The same with a power-of-two alignment of any size. */
void *exp_pool_face_allocate_aligned(size_t bytes, size_t alignment, uint32_t number);

/* Free a block of any pool by the slow path; not NULL. Stops 0xC2 on anything that is not a live
 * block's start. */
void exp_pool_face_free(void *block);

/*
 * Change the size of a block, in place where possible.
 *
 *   block     live block, not NULL
 *   bytes     not 0
 *   returns   the block or its new place, the first min(old, new) bytes kept; NULL: block unchanged
 */
void *exp_pool_face_resize(void *block, size_t bytes, uint32_t number);

/* Bytes that may be written at block (malloc_usable_size); stops 0xC2 when block is not live. */
size_t exp_pool_face_size(const void *block);

#endif
