/* SPDX-License-Identifier: MIT */
/*
 * Whose address is this? The one range that all pools live in, its page map and its states.
 *
 * The range is reserved once. Its head holds everything of ours; the rest is chunks for the pools:
 *
 *     base                                                                      base + bytes
 *     | map | owners of pages | chunk table | spans | states | heap, heap | gap | chunks ...  |
 *
 * No pointer inside a block is ever followed, and no pointer of ours lies in reach of a block.
 */
#ifndef EXP_RANGE_H
#define EXP_RANGE_H

#include "base/atomic.h"
#include "core/class.h"

/* State of a slot: EXP_STATE_FREE, a tag number, or one of the reserved values. */
enum {
    EXP_STATE_FREE = 0,
    EXP_STATE_NUMBER_MAX = 65000,
    EXP_STATE_WIDE = 0xfffe, /* a rare block: the tag number lies in side.h */
    EXP_STATE_HOLE = 0xffff, /* end of a page: no slot */
};

/*
 * Map entry of one page, read by every free in one load:
 *   bits 0..31   index of the page's first state; EXP_CLASS_FREED: the former class;
 *                EXP_CLASS_INTERIOR: pages back to the block's first page
 *   bits 56..63  bin
 */
EXP_INLINE uint64_t exp_range_entry(uint32_t first_state, unsigned bin)
{
    return (uint64_t)bin << 56 | first_state;
}

EXP_INLINE uint32_t exp_range_entry_state(uint64_t entry)
{
    return (uint32_t)entry;
}

EXP_INLINE size_t exp_range_entry_bin(uint64_t entry)
{
    return (size_t)(entry >> 56);
}

/* A table in the head that grows at its end; under the span lock. */
struct exp_range_table {
    char *start;
    size_t used_bytes;
    size_t committed_bytes;
    size_t capacity_bytes;
};

/* Constant after exp_range_start except where said. */
struct exp_range {
    char *base;        /* NULL before start: then nothing is inside */
    size_t bytes;      /* 0 before start */
    uint16_t *states;  /* = base: an index of a state counts from there; atomic, relaxed */
    uint32_t *span_of; /* index of a span, a page; under the span lock, or by who holds a block */
    uint8_t *chunks; /* exp_range_chunk(), 0 = free; a used one is constant, under the span lock */
    size_t chunk_pages;
    size_t chunk_first; /* first chunk for pools; before it lies the head */
    size_t chunk_count;
    unsigned nodes; /* 1 .. EXP_PORT_NODES_MAX; one: nobody asks for a node */
    struct exp_range_table state_table;
    struct exp_range_table span_table; /* records of span.h */
};

extern EXP_HIDDEN struct exp_range exp_range;

/* Which part of our own memory an allocation comes from. */
enum exp_range_heap {
    EXP_RANGE_KEPT,  /* survives a fork */
    EXP_RANGE_WIPED, /* reads as zero in the copy of a process */
    EXP_RANGE_HEAP_COUNT
};

/*
 * Reserve the range and make its tables usable.
 *
 *   returns   false: the system grants not even the smallest range
 *   irql      PASSIVE; called once, by one thread
 *   source    design.md 4, poor hosts
 */
bool exp_range_start(void);

/* Offset of address in the range; not below exp_range.bytes when it lies outside. */
EXP_INLINE size_t exp_range_offset(const void *address)
{
    return (size_t)((uintptr_t)address - (uintptr_t)exp_range.base);
}

/* Address of a page of the range. */
EXP_INLINE void *exp_range_page(size_t page)
{
    return exp_range.base + (page << EXP_PAGE_SHIFT);
}

/*
 * The page map, which lies at the very start: one entry a page; atomic, relaxed, published by
 * handing out a block.
 */
EXP_INLINE uint64_t *exp_range_map(void)
{
    return (uint64_t *)(void *)exp_range.base;
}

/* States by index: the map and the states have one base, which a free needs once. */
EXP_INLINE uint16_t *exp_range_states(void)
{
    return (uint16_t *)(void *)exp_range.base;
}

/* What the table says of a chunk that a pool has taken on a node. */
EXP_INLINE uint8_t exp_range_chunk(unsigned node, unsigned pool)
{
    return (uint8_t)(1 + pool + 3 * node);
}

/* Node that the pages of a block's chunk are asked from. locks: none, the caller holds the block.
 */
EXP_INLINE unsigned exp_range_node_of(const void *address)
{
    size_t chunk = (exp_range_offset(address) >> EXP_PAGE_SHIFT) / exp_range.chunk_pages;
    return (exp_range.chunks[chunk] - 1u) / 3;
}

/* Set the entries of pages [page, page + count). */
void exp_range_map_set(size_t page, size_t count, uint64_t entry);

/*
 * Take count consecutive chunks for a pool, commit them and wish for memory of a node.
 *
 *   huge      ask for huge pages
 *   returns   index of the first, or SIZE_MAX: no address space or no memory
 *   locks     caller holds the span lock
 */
size_t exp_range_chunks_take(size_t count, unsigned node, unsigned pool, bool huge);

/*
 * Take the next bytes of a table of the head, zeroed.
 *
 *   returns   NULL: the table is full or there is no memory
 *   locks     caller holds the span lock
 */
void *exp_range_table_take(struct exp_range_table *table, size_t bytes);

/*
 * Memory for our own structures, zeroed, never below 64-byte alignment.
 *
 *   bytes     at most 32 MiB; rounded up to a power of two
 *   returns   NULL: no memory, or no range
 *   locks     takes the heap lock (EXP_RANK_HEAP)
 *   owns      the caller, until exp_range_heap_give with the same heap and bytes
 */
void *exp_range_heap_take(enum exp_range_heap heap, size_t bytes);

/* Give memory of exp_range_heap_take back for another structure. */
void exp_range_heap_give(enum exp_range_heap heap, void *memory, size_t bytes);

/* In the copy of a process: reset the heap lock; lists that were torn are forgotten. */
void exp_range_child(void);

#endif
