/* SPDX-License-Identifier: MIT */
/*
 * This file owns the address range: its reservation, the tables in its head, its chunks, and a
 * small heap for the pool's own structures.
 *
 * The largest of a list of sizes is reserved that the system grants and whose map can be committed;
 * the map and the table of page owners are committed whole (addresses, not memory: an untouched
 * page of them costs nothing), so that a free may look up any address of the range without asking
 * whether its chunk exists. States and span records are committed step by step, as they are used.
 *
 * Chunks: paged pool grows from the low end, the nonpaged pools from the high end, and a chunk is
 * left free between two pools while there is room, so that a block's end never touches another
 * protection. Chunks are never unmapped, and with several nodes each is one node's for good: its
 * pages come from there while that node has memory (docs/decisions/0011-numa.md).
 *
 * The heap serves powers of two from 64 bytes. Freed pieces are chained through their own first
 * word, which is safe here: they lie in the head, where no block is. One half of it reads as zero
 * after a fork.
 *
 * Locks: the span lock guards chunks, states and records; the heap has its own (EXP_RANK_HEAP).
 * Nothing here knows slots or tags.
 */
#include "core/range.h"

#include <expool/port.h>
#include <expool/region.h>

#include "core/lock.h"

enum {
    RANGE_HEAP_CLASSES = 20, /* 64 bytes .. 32 MiB */
    RANGE_HEAP_SHIFT = 6,
};

#define RANGE_STEP_BYTES      ((size_t)65536)
#define RANGE_STATE_BYTES_MAX ((size_t)6 << 30)

static const size_t range_sizes[] = {
    (size_t)256 << 30, (size_t)64 << 30,  (size_t)16 << 30, (size_t)4 << 30,  (size_t)1 << 30,
    (size_t)256 << 20, (size_t)128 << 20, (size_t)64 << 20, (size_t)48 << 20, (size_t)32 << 20,
    (size_t)24 << 20,  (size_t)16 << 20,  (size_t)12 << 20, (size_t)8 << 20,
};

#define RANGE_SIZES (sizeof(range_sizes) / sizeof(range_sizes[0]))

struct heap {
    struct exp_range_table table;
    void *free[RANGE_HEAP_CLASSES]; /* chains through the first word */
};

struct exp_range exp_range;

static struct {
    struct exp_lock lock; /* guards heap[] */
    struct heap heap[EXP_RANGE_HEAP_COUNT];
    char *reserved; /* kept when a start fails, for the next try */
    size_t reserved_bytes;
    char *wiped; /* what the port was asked to wipe */
} exp_range_heaps = { .lock = { 0, EXP_RANK_HEAP } };

/* Cut the next part of bytes, whole pages, off the head. */
static void *cut(size_t *offset_bytes, size_t bytes)
{
    void *part = exp_range.base + *offset_bytes;
    *offset_bytes += exp_round_up(bytes, RANGE_STEP_BYTES);
    return part;
}

static void cut_table(struct exp_range_table *table, size_t *offset_bytes, size_t bytes)
{
    *table = (struct exp_range_table){ .capacity_bytes = exp_round_up(bytes, RANGE_STEP_BYTES) };
    table->start = cut(offset_bytes, bytes);
}

static bool lay_out(void)
{
    size_t pages = exp_range.bytes >> EXP_PAGE_SHIFT;
    exp_range.chunk_pages = exp_range.bytes >= ((size_t)1 << 30) ? 1024 : 64;
    size_t chunk_bytes = exp_range.chunk_pages << EXP_PAGE_SHIFT;
    exp_range.chunk_count = exp_range.bytes / chunk_bytes;

    size_t head = 0;
    (void)cut(&head, pages * sizeof(uint64_t)); /* the map: exp_range_map */
    exp_range.span_of = cut(&head, pages * sizeof(uint32_t));
    exp_range.chunks = cut(&head, exp_range.chunk_count);
    size_t tables_bytes = head;
    /* Within 8 GiB of the base, since an index of 32 bits counts words from there. */
    cut_table(&exp_range.state_table, &head, exp_min(exp_range.bytes / 8, RANGE_STATE_BYTES_MAX));
    exp_range.states = exp_range_states();
    cut_table(&exp_range.span_table, &head, exp_range.bytes / 16);
    for (int index = 0; index < EXP_RANGE_HEAP_COUNT; index++) {
        struct heap *heap = &exp_range_heaps.heap[index];
        *heap = (struct heap){ 0 };
        cut_table(&heap->table, &head, exp_range.bytes / 64);
    }
    exp_range.chunk_first = head / chunk_bytes + 2; /* at least one chunk of gap */
    return exp_range.chunk_first < exp_range.chunk_count &&
           exp_port_commit(exp_range.base, tables_bytes, EXP_PORT_READ_WRITE, false);
}

/* The largest reservation that the system grants; it is asked once. */
static bool reserve(void)
{
    for (size_t index = 0; index < RANGE_SIZES && exp_range_heaps.reserved == NULL; index++) {
        size_t bytes = range_sizes[index];
        exp_range_heaps.reserved = exp_port_reserve(bytes, exp_min(bytes, (size_t)4 << 20));
        exp_range_heaps.reserved_bytes = bytes;
    }
    return exp_range_heaps.reserved != NULL;
}

bool exp_range_start(void)
{
    for (size_t index = 0; reserve() && index < RANGE_SIZES; index++) {
        if (range_sizes[index] > exp_range_heaps.reserved_bytes) {
            continue;
        }
        exp_range =
            (struct exp_range){ .base = exp_range_heaps.reserved, .bytes = range_sizes[index] };
        if (lay_out()) {
            exp_range.nodes = exp_port_nodes();
            struct heap *wiped = &exp_range_heaps.heap[EXP_RANGE_WIPED];
            if (exp_range_heaps.wiped != wiped->table.start) {
                exp_range_heaps.wiped = wiped->table.start;
                /* A system that cannot has the port call exp_owner_child instead. */
                (void)exp_port_wipe(wiped->table.start, wiped->table.capacity_bytes);
            }
            return true;
        }
    }
    exp_range = (struct exp_range){ 0 };
    return false;
}

void exp_range_map_set(size_t page, size_t count, uint64_t entry)
{
    for (size_t index = 0; index < count; index++) {
        exp_atomic_store(&exp_range_map()[page + index], entry);
    }
}

/* Chunks [first, first + count) are free, and their neighbours are not another pool's. */
static bool chunks_fit(size_t first, size_t count, unsigned pool, bool guard)
{
    for (size_t index = first; index < first + count; index++) {
        if (exp_range.chunks[index] != 0) {
            return false;
        }
    }
    if (!guard) {
        return true;
    }
    uint8_t before = exp_range.chunks[first - 1];
    uint8_t after = first + count < exp_range.chunk_count ? exp_range.chunks[first + count] : 0;
    return (before == 0 || (before - 1u) % 3 == pool) && (after == 0 || (after - 1u) % 3 == pool);
}

static size_t chunks_find(size_t count, unsigned pool, bool guard)
{
    size_t places = exp_range.chunk_count - exp_range.chunk_first;
    if (count > places) {
        return SIZE_MAX;
    }
    places -= count - 1;
    bool upward = pool == EXPOOL_REGION_PAGED;
    for (size_t step = 0; step < places; step++) {
        size_t first = exp_range.chunk_first + (upward ? step : places - 1 - step);
        if (chunks_fit(first, count, pool, guard)) {
            return first;
        }
    }
    return SIZE_MAX;
}

size_t exp_range_chunks_take(size_t count, unsigned node, unsigned pool, bool huge)
{
    size_t first = chunks_find(count, pool, true);
    if (first == SIZE_MAX) {
        first = chunks_find(count, pool, false);
    }
    if (first == SIZE_MAX) {
        return SIZE_MAX;
    }
    size_t chunk_bytes = exp_range.chunk_pages << EXP_PAGE_SHIFT;
    enum exp_port_access access =
        pool == EXPOOL_REGION_NONPAGED_EXECUTE ? EXP_PORT_READ_WRITE_EXECUTE : EXP_PORT_READ_WRITE;
    if (!exp_port_commit(exp_range.base + first * chunk_bytes, count * chunk_bytes, access, huge)) {
        return SIZE_MAX;
    }
    if (exp_range.nodes > 1) {
        exp_port_bind(exp_range.base + first * chunk_bytes, count * chunk_bytes, node);
    }
    for (size_t index = first; index < first + count; index++) {
        exp_range.chunks[index] = exp_range_chunk(node, pool);
    }
    return first;
}

void *exp_range_table_take(struct exp_range_table *table, size_t bytes)
{
    size_t end = table->used_bytes + bytes;
    if (end > table->committed_bytes) {
        size_t want = exp_round_up(end, RANGE_STEP_BYTES);
        if (want > table->capacity_bytes || !exp_port_commit(table->start + table->committed_bytes,
                                                             want - table->committed_bytes,
                                                             EXP_PORT_READ_WRITE,
                                                             false)) {
            return NULL;
        }
        table->committed_bytes = want;
    }
    void *part = table->start + table->used_bytes;
    table->used_bytes = end;
    return part;
}

static unsigned heap_class(size_t bytes)
{
    unsigned shift = bytes <= 64 ? RANGE_HEAP_SHIFT : exp_bit_highest(bytes - 1) + 1;
    return shift - RANGE_HEAP_SHIFT;
}

void *exp_range_heap_take(enum exp_range_heap which, size_t bytes)
{
    unsigned index = heap_class(bytes);
    EXP_ASSERT(index < RANGE_HEAP_CLASSES);
    struct heap *heap = &exp_range_heaps.heap[which];
    bytes = (size_t)1 << (index + RANGE_HEAP_SHIFT);
    if (EXP_UNLIKELY(exp_range.bytes == 0)) {
        return NULL; /* a start has failed: the next one lays the heap out anew */
    }
    exp_lock_acquire(&exp_range_heaps.lock);
    void *memory = heap->free[index];
    bool recycled = memory != NULL;
    if (recycled) {
        heap->free[index] = *(void **)memory;
    } else {
        if (bytes >= EXP_PAGE_BYTES) {
            heap->table.used_bytes = exp_round_up(heap->table.used_bytes, EXP_PAGE_BYTES);
        }
        memory = exp_range_table_take(&heap->table, bytes);
    }
    exp_lock_release(&exp_range_heaps.lock);
    if (recycled) {
        __builtin_memset(memory, 0, bytes);
    }
    return memory;
}

void exp_range_heap_give(enum exp_range_heap which, void *memory, size_t bytes)
{
    struct heap *heap = &exp_range_heaps.heap[which];
    unsigned index = heap_class(bytes);
    exp_lock_acquire(&exp_range_heaps.lock);
    *(void **)memory = heap->free[index];
    heap->free[index] = memory;
    exp_lock_release(&exp_range_heaps.lock);
}

void exp_range_child(void)
{
    bool torn = exp_lock_reset(&exp_range_heaps.lock);
    for (unsigned index = 0; index < RANGE_HEAP_CLASSES; index++) {
        /* The wiped half lost its chains with its contents; a torn chain is not worth the risk. */
        exp_range_heaps.heap[EXP_RANGE_WIPED].free[index] = NULL;
        if (torn) {
            exp_range_heaps.heap[EXP_RANGE_KEPT].free[index] = NULL;
        }
    }
}
