/* SPDX-License-Identifier: MIT */
/*
 * This file owns what lies between the owners' caches and the runs.
 *
 * Each store keeps its runs that have free slots in four lists by how full they are; a request
 * takes from the fullest first, so that empty runs come about and their pages can go. Full runs are
 * in no list. One empty run is kept for reuse; a further one is taken apart.
 *
 * Batches are whole pieces of a cache that were flushed: they wait in the store as they are, so
 * that an owner that frees what another allocates costs no look at a run. A refill takes batches
 * first. A slot in a batch counts as cached: its bit is clear.
 *
 * Every node has its own stores: a run and a batch are in that of their node. A cache may hold
 * slots of several nodes, so what it gives is sorted first (with one node nothing is looked at).
 *
 * Invariants: a run with slots_free > 0 is in exactly one list, by its quarter; a run with none is
 * in no list; empty counts the runs whose slots are all free.
 *
 * Locks: one for each store (EXP_RANK_STORE), held for at most one batch or one run's bits at a
 * time, and never two at once. New pages are asked for without it, so two threads may make a run
 * each; both are used.
 */
#include "core/store.h"

#include <expool/port.h>

enum {
    STORE_QUARTERS = 4,
    STORE_FULL = 4, /* ->quarter of a run in no list */
    STORE_BATCHES = 8,
    STORE_BATCH_SLOTS = 64,
    STORE_EMPTY_KEPT = 1,
};

struct batch {
    uint32_t count;
    struct exp_run_entry entries[STORE_BATCH_SLOTS];
};

struct exp_store {
    struct exp_lock lock;
    struct exp_link runs[STORE_QUARTERS]; /* 0 = fullest */
    uint32_t empty;
    uint32_t batch_count;
    struct batch *batches[STORE_BATCHES]; /* [0, batch_count) are in use; made on first need */
} EXP_ALIGNED(EXP_LINE_BYTES);

/* Those of nodes that do not exist are never touched. */
static struct exp_store exp_stores[EXP_PORT_NODES_MAX][EXP_BIN_COUNT];

static void store_reset(struct exp_store *store)
{
    store->lock.rank = EXP_RANK_STORE;
    store->empty = 0;
    store->batch_count = 0;
    for (unsigned quarter = 0; quarter < STORE_QUARTERS; quarter++) {
        exp_list_init(&store->runs[quarter]);
    }
}

void exp_store_start(void)
{
    for (unsigned index = 0; index < exp_range.nodes * 3; index++) {
        for (unsigned class_index = 0; class_index < EXP_CLASS_COUNT; class_index++) {
            store_reset(&exp_stores[index / 3][index % 3 << EXP_CLASS_BITS | class_index]);
        }
    }
}

/* Put a run where its number of free slots belongs. */
static void file(struct exp_store *store, struct exp_span *run)
{
    unsigned quarter = run->slots_free == 0 ? STORE_FULL : (run->slots_free * 4u - 1) / run->slots;
    bool listed = exp_list_member(&run->link);
    if (listed && quarter == run->quarter) {
        return;
    }
    if (listed) {
        exp_list_remove(&run->link);
    }
    run->quarter = (uint8_t)quarter;
    if (quarter != STORE_FULL) {
        exp_list_push_front(&store->runs[quarter], &run->link);
    }
}

static struct exp_span *fullest(struct exp_store *store)
{
    for (unsigned quarter = 0; quarter < STORE_QUARTERS; quarter++) {
        if (!exp_list_empty(&store->runs[quarter])) {
            return EXP_CONTAINER(store->runs[quarter].next, struct exp_span, link);
        }
    }
    return NULL;
}

static size_t take_batches(struct exp_store *store, struct exp_run_entry *entries, size_t count)
{
    size_t taken = 0;
    while (store->batch_count > 0 && taken < count) {
        struct batch *batch = store->batches[store->batch_count - 1];
        size_t part = exp_min(batch->count, count - taken);
        batch->count -= (uint32_t)part;
        __builtin_memcpy(entries + taken, batch->entries + batch->count, part * sizeof(*entries));
        taken += part;
        if (batch->count == 0) {
            store->batch_count--;
        }
    }
    return taken;
}

/* Slots out of runs, written downward from last. */
static size_t take_runs(struct exp_store *store, struct exp_run_entry *last, size_t count)
{
    size_t taken = 0;
    while (taken < count) {
        struct exp_span *run = fullest(store);
        if (run == NULL) {
            break;
        }
        store->empty -= exp_run_empty(run);
        taken += exp_run_take(run, last - taken, count - taken);
        file(store, run);
    }
    return taken;
}

/* What a store has: out of batches, or else out of runs; a new run, if any, is filed first. */
static size_t take_present(struct exp_store *store,
                           struct exp_span *run,
                           struct exp_run_entry *entries,
                           size_t count)
{
    exp_lock_acquire(&store->lock);
    if (run != NULL) {
        store->empty++;
        file(store, run);
    }
    size_t batched = take_batches(store, entries, count);
    size_t taken = batched != 0 ? 0 : take_runs(store, entries + count - 1, count);
    exp_lock_release(&store->lock);
    if (taken != 0 && taken < count) {
        __builtin_memmove(entries, entries + count - taken, taken * sizeof(*entries));
    }
    return batched + taken;
}

size_t exp_store_take(unsigned node, unsigned bin, struct exp_run_entry *entries, size_t count)
{
    unsigned own = node & ~EXP_SPAN_NODE_ONLY;
    unsigned class_index = bin & ((1u << EXP_CLASS_BITS) - 1);
    size_t taken = take_present(&exp_stores[own][bin], NULL, entries, count);
    if (taken != 0) {
        return taken;
    }
    struct exp_span *run = exp_run_make(node, bin >> EXP_CLASS_BITS, class_index);
    if (run != NULL) {
        return take_present(&exp_stores[run->node][bin], run, entries, count);
    }
    for (unsigned other = 0; taken == 0 && own == node && other < exp_range.nodes; other++) {
        taken = other != own ? take_present(&exp_stores[other][bin], NULL, entries, count) : 0;
    }
    return taken;
}

/* Room for one more batch, or NULL. */
static struct batch *batch_place(struct exp_store *store)
{
    if (store->batch_count == STORE_BATCHES) {
        return NULL;
    }
    struct batch **place = &store->batches[store->batch_count];
    if (*place == NULL) {
        *place = exp_range_heap_take(EXP_RANGE_KEPT, sizeof(struct batch));
    }
    return *place;
}

static size_t give_batches(struct exp_store *store,
                           const struct exp_run_entry *entries,
                           size_t count)
{
    size_t given = 0;
    while (count - given >= STORE_BATCH_SLOTS) {
        struct batch *batch = batch_place(store);
        if (batch == NULL) {
            break;
        }
        __builtin_memcpy(batch->entries, entries + given, sizeof(batch->entries));
        batch->count = STORE_BATCH_SLOTS;
        store->batch_count++;
        given += STORE_BATCH_SLOTS;
    }
    return given;
}

static void *give_runs(struct exp_store *store, const struct exp_run_entry *entries, size_t count)
{
    unsigned class_index = (unsigned)(store - exp_stores[0]) & ((1u << EXP_CLASS_BITS) - 1);
    void *twice = NULL;
    for (size_t index = 0; index < count; index++) {
        void *block = exp_run_entry_block(&entries[index]);
        struct exp_span *run = exp_run_give(block, class_index);
        if (run == NULL) {
            twice = block;
            continue;
        }
        bool empty = exp_run_empty(run);
        if (empty && store->empty >= STORE_EMPTY_KEPT) {
            if (exp_list_member(&run->link)) {
                exp_list_remove(&run->link);
            }
            exp_run_unmake(run);
            continue;
        }
        store->empty += empty;
        file(store, run);
    }
    return twice;
}

/* Slots of one node. */
static void *give(struct exp_store *store,
                  const struct exp_run_entry *entries,
                  size_t count,
                  bool to_batch)
{
    exp_lock_acquire(&store->lock);
    size_t batched = to_batch ? give_batches(store, entries, count) : 0;
    void *twice = give_runs(store, entries + batched, count - batched);
    exp_lock_release(&store->lock);
    return twice;
}

/* Of slots of several nodes, those of one. */
static void *give_sorted(
    unsigned node, unsigned bin, const struct exp_run_entry *entries, size_t count, bool to_batch)
{
    struct exp_run_entry part[STORE_BATCH_SLOTS];
    size_t part_count = 0;
    void *twice = NULL;
    for (size_t index = 0; index < count; index++) {
        if (exp_range_node_of(exp_run_entry_block(&entries[index])) == node) {
            part[part_count++] = entries[index];
        }
        if (part_count == STORE_BATCH_SLOTS || (part_count != 0 && index + 1 == count)) {
            void *found = give(&exp_stores[node][bin], part, part_count, to_batch);
            twice = twice != NULL ? twice : found;
            part_count = 0;
        }
    }
    return twice;
}

void *exp_store_give(unsigned bin, const struct exp_run_entry *entries, size_t count, bool to_batch)
{
    if (EXP_LIKELY(exp_range.nodes == 1)) {
        return give(&exp_stores[0][bin], entries, count, to_batch);
    }
    uint32_t present = 0; /* nodes that there are slots of */
    for (size_t index = 0; index < count; index++) {
        present |= UINT32_C(1) << exp_range_node_of(exp_run_entry_block(&entries[index]));
    }
    void *twice = NULL;
    for (unsigned node = 0; present >> node != 0; node++) {
        if (present >> node == 1 && (present & (present - 1)) == 0) {
            return give(&exp_stores[node][bin], entries, count, to_batch);
        }
        if ((present >> node & 1) != 0) {
            void *found = give_sorted(node, bin, entries, count, to_batch);
            twice = twice != NULL ? twice : found;
        }
    }
    return twice;
}

static void trim(struct exp_store *store)
{
    exp_lock_acquire(&store->lock);
    while (store->batch_count > 0) {
        struct batch *batch = store->batches[--store->batch_count];
        /* What was freed twice shows when it is handed out; a trim is not the place to stop. */
        (void)give_runs(store, batch->entries, batch->count);
    }
    for (unsigned quarter = 0; quarter < STORE_QUARTERS; quarter++) {
        struct exp_link *list = &store->runs[quarter];
        for (struct exp_link *link = list->next; store->empty > 0 && link != list;) {
            struct exp_span *run = EXP_CONTAINER(link, struct exp_span, link);
            link = link->next;
            if (exp_run_empty(run)) {
                store->empty--;
                exp_list_remove(&run->link);
                exp_run_unmake(run);
            }
        }
    }
    exp_lock_release(&store->lock);
}

void exp_store_trim(void)
{
    /* Large classes last: their pages may hold the runs of small ones. */
    for (unsigned index = 0; index < exp_range.nodes * 3; index++) {
        for (unsigned class_index = EXP_CLASS_SMALL; class_index < EXP_CLASS_COUNT; class_index++) {
            trim(&exp_stores[index / 3][index % 3 << EXP_CLASS_BITS | class_index]);
        }
    }
}

/* All runs of a store, found from the records. */
static void rebuild(unsigned node, unsigned bin)
{
    struct exp_store *store = &exp_stores[node][bin];
    struct exp_span *end =
        (struct exp_span *)(void *)(exp_range.span_table.start + exp_range.span_table.used_bytes);
    store_reset(store);
    for (struct exp_span *run = exp_span_at(1); run < end; run++) {
        unsigned run_bin = (unsigned)run->pool << EXP_CLASS_BITS | run->class_index;
        if (run->use == EXP_SPAN_RUN && run_bin == bin && run->node == node) {
            exp_run_rebuild(run);
            run->link.next = NULL;
            store->empty += exp_run_empty(run);
            file(store, run);
        }
    }
}

bool exp_store_child(unsigned bin)
{
    bool torn = false;
    for (unsigned node = 0; node < exp_range.nodes; node++) {
        torn |= exp_lock_reset(&exp_stores[node][bin].lock);
    }
    for (unsigned node = 0; torn && node < exp_range.nodes; node++) {
        rebuild(node, bin);
    }
    return torn;
}

void exp_store_view(unsigned node, unsigned bin, struct exp_store_view *view)
{
    struct exp_store *store = &exp_stores[node][bin];
    *view = (struct exp_store_view){
        .lock = &store->lock,
        .runs = store->runs,
        .quarters = STORE_QUARTERS,
        .empty = &store->empty,
        .batch_count = store->batch_count,
    };
}

struct exp_run_entry *exp_store_batch(unsigned node, unsigned bin, unsigned index, size_t *count)
{
    struct batch *batch = exp_stores[node][bin].batches[index];
    *count = batch->count;
    return batch->entries;
}
