/* SPDX-License-Identifier: MIT */
/*
 * This file owns the pages of all pools: which are used, which are free, and which of the free ones
 * the system has back.
 *
 * Free spans lie in bins by length, in two sets a pool and node: dirty ones, whose contents are old
 * and whose memory is present, and clean ones, which read as zero and cost nothing. A free span
 * merges with free neighbours of the same set only, so that zero pages stay known as such. A
 * request takes the best fit of the dirty set, then of the clean set; when neither fits but much is
 * dirty, everything dirty is given back, merges, and is tried again; then the pool grows by chunks
 * of the node. Only when that fails, which means that no address space or no memory at all is left,
 * other nodes' free pages are taken.
 *
 * Purge: dirty spans hang in a list, oldest first. Slow paths look at the clock once in many visits
 * and give back what is older than purge_ms; above a cap (a share of what is used) the oldest go at
 * once, since nobody may ever call again. The lock is released around the system's work: meanwhile
 * the span is EXP_SPAN_MOVING, in no list, and nobody merges with it.
 *
 * Invariants: span_of of a free span's first and last page names it; two free neighbours of one
 * pool, node and set do not exist; a span lies in chunks of one node; pages_used + free pages =
 * pages of the pool's chunks.
 *
 * Conditions: each limit has a gate, which counts the used pages of its pools and knows between
 * which counts nothing happens. A count that leaves that stretch makes a condition begin or end:
 * then, and only then, is the system called with the lock held, so that waiters wake and
 * descriptors change at exactly that page and in that order.
 *
 * One lock (EXP_RANK_SPAN). Nothing here knows slots, tags or states.
 */
#include "core/span.h"

#include <expool/port.h>

#include "core/option.h"

enum {
    SPAN_EXACT_BINS = 64,
    SPAN_BINS = SPAN_EXACT_BINS + 4 * 20 + 4,
    SPAN_WORDS = (SPAN_BINS + 63) / 64,
    SPAN_SEARCH_MAX = 64, /* spans looked at in one bin of mixed lengths */
    SPAN_VISITS = 64,     /* slow visits between two looks at the clock */
    SPAN_PURGE_BATCH = 32,
    SPAN_PURGE_WAITS = 1000, /* purges of others that one request waits for, at most */
    SPAN_HUGE_CHUNKS = 4,    /* a pool that has grown so far asks for huge pages */
};

#define SPAN_DIRTY_KEPT_PAGES ((size_t)4096) /* dirty pages that the cap never touches */

struct set {
    uint64_t words[SPAN_WORDS]; /* bit = bin is not empty */
    struct exp_link bins[SPAN_BINS];
};

struct exp_span_state exp_span = { .lock = { 0, EXP_RANK_SPAN } };

/* Under exp_span.lock, except visits. */
static struct {
    struct exp_link dirty; /* all dirty spans by age, oldest first */
    struct exp_link unused;
    uint32_t chunks_of[3];
    uint64_t now_ms;
    uint32_t purging; /* atomic: spans in no list because they are given back right now */
    uint32_t visits;  /* atomic, lossy */
    /* Node, pool; 0 dirty, 1 clean. Last, so that nodes that do not exist cost no memory. */
    struct set sets[EXP_PORT_NODES_MAX][3][2];
} span_lists;

/* Gate of a pool. */
static unsigned gate_of(unsigned pool)
{
    return pool == EXPOOL_REGION_PAGED;
}

EXP_STATIC_ASSERT(EXPOOL_REGION_LOW == 1 << EXP_SPAN_LOW_NONPAGED &&
                      EXPOOL_REGION_HIGH == 1 << EXP_SPAN_HIGH_NONPAGED && EXP_SPAN_LOW_PAGED == 2,
                  "two bits a gate");

/* Bits EXPOOL_REGION_... of a pool. */
static uint32_t conditions_of(unsigned pool)
{
    return exp_span.conditions >> (2 * gate_of(pool)) & 3;
}

/*
 * Copy the counts to the statistics region, which nobody here ever reads back.
 */
static void mirror(void)
{
    struct expool_region_header *region = exp_span.region;
    if (region == NULL) {
        return;
    }
    for (unsigned pool = 0; pool < 3; pool++) {
        const struct exp_span_counts *counts = &exp_span.counts[pool];
        exp_atomic_store(&region->pool[pool].pages, counts->pages_used);
        exp_atomic_store(&region->pool[pool].pages_peak, counts->pages_used_peak);
        exp_atomic_store(&region->pool[pool].dirty_pages, counts->pages_dirty);
        exp_atomic_store(&region->pool[pool].failures, counts->failures);
        exp_atomic_store(&region->pool[pool].conditions, conditions_of(pool));
    }
    exp_atomic_store(&region->purged_pages, exp_span.pages_purged);
    exp_atomic_store(&region->grown_chunks, exp_span.chunks_grown);
}

static void leave(void)
{
    mirror();
    exp_lock_release(&exp_span.lock);
}

static unsigned bin_of(size_t pages)
{
    if (pages < SPAN_EXACT_BINS) {
        return (unsigned)pages;
    }
    unsigned high = exp_bit_highest(pages);
    unsigned bin = SPAN_EXACT_BINS + (high - 6) * 4 + (unsigned)((pages >> (high - 2)) & 3);
    return bin < SPAN_BINS ? bin : SPAN_BINS - 1;
}

/* The lists of nodes that do not exist are never touched. */
static void list_reset(void)
{
    for (unsigned index = 0; index < exp_range.nodes * 6; index++) {
        struct set *set = &span_lists.sets[index / 6][index / 2 % 3][index % 2];
        for (unsigned bin = 0; bin < SPAN_BINS; bin++) {
            exp_list_init(&set->bins[bin]);
        }
        for (unsigned word = 0; word < SPAN_WORDS; word++) {
            set->words[word] = 0;
        }
    }
    exp_list_init(&span_lists.dirty);
    exp_list_init(&span_lists.unused);
}

bool exp_span_start(void)
{
    list_reset();
    exp_span_conditions_renew();
    /* Record 0 is nobody's, so that index 0 means none. */
    return exp_range_table_take(&exp_range.span_table, sizeof(struct exp_span)) != NULL;
}

struct exp_span *exp_span_record_take(void)
{
    if (!exp_list_empty(&span_lists.unused)) {
        struct exp_span *span = EXP_CONTAINER(span_lists.unused.next, struct exp_span, link);
        exp_list_remove(&span->link);
        return span;
    }
    return exp_range_table_take(&exp_range.span_table, sizeof(struct exp_span));
}

void exp_span_record_give(struct exp_span *span)
{
    span->use = EXP_SPAN_NONE;
    exp_list_push_front(&span_lists.unused, &span->link);
}

/* First and last page name their span: a neighbour that is put looks there. */
static void name_ends(const struct exp_span *span)
{
    exp_atomic_store_release(&exp_range.span_of[span->page], exp_span_index(span));
    exp_atomic_store_release(&exp_range.span_of[span->page + span->pages - 1],
                             exp_span_index(span));
}

static struct set *set_of(const struct exp_span *span)
{
    return &span_lists.sets[span->node][span->pool][span->zero];
}

static void put(struct exp_span *span)
{
    struct set *set = set_of(span);
    unsigned bin = bin_of(span->pages);
    span->use = EXP_SPAN_FREE;
    exp_list_push_front(&set->bins[bin], &span->link);
    set->words[bin / 64] |= (uint64_t)1 << (bin % 64);
    name_ends(span);
    if (!span->zero) {
        span->freed_ms = (uint32_t)span_lists.now_ms;
        exp_list_push_back(&span_lists.dirty, &span->age);
        exp_span.counts[span->pool].pages_dirty += span->pages;
    }
}

static void unput(struct exp_span *span)
{
    struct set *set = set_of(span);
    unsigned bin = bin_of(span->pages);
    span->use = EXP_SPAN_MOVING;
    exp_list_remove(&span->link);
    if (exp_list_empty(&set->bins[bin])) {
        set->words[bin / 64] &= ~((uint64_t)1 << (bin % 64));
    }
    if (!span->zero) {
        exp_list_remove(&span->age);
        exp_span.counts[span->pool].pages_dirty -= span->pages;
    }
}

/* Free span of span's pool and node and of a set that covers page, which is next to it; or NULL. */
static struct exp_span *free_neighbour(const struct exp_span *span, size_t page, bool zero)
{
    size_t chunk = page / exp_range.chunk_pages;
    if (chunk >= exp_range.chunk_count ||
        exp_range.chunks[chunk] != exp_range_chunk(span->node, span->pool)) {
        return NULL;
    }
    struct exp_span *neighbour = exp_span_of(page);
    if (neighbour->use != EXP_SPAN_FREE || neighbour->zero != zero) {
        return NULL;
    }
    EXP_ASSERT(page == neighbour->page || page == (size_t)neighbour->page + neighbour->pages - 1);
    return neighbour;
}

static void put_merged(struct exp_span *span)
{
    struct exp_span *before = free_neighbour(span, span->page - 1, span->zero);
    if (before != NULL) {
        unput(before);
        before->pages += span->pages;
        exp_span_record_give(span);
        span = before;
    }
    struct exp_span *after = free_neighbour(span, span->page + span->pages, span->zero);
    if (after != NULL) {
        unput(after);
        span->pages += after->pages;
        exp_span_record_give(after);
    }
    put(span);
}

/* Best fit of one set among a bounded number of spans, or NULL. */
static struct exp_span *find(unsigned node, unsigned pool, unsigned clean, size_t pages)
{
    struct set *set = &span_lists.sets[node][pool][clean];
    unsigned bin = bin_of(pages);
    if (bin >= SPAN_EXACT_BINS) {
        struct exp_span *best = NULL;
        int looked = 0;
        for (struct exp_link *link = set->bins[bin].next;
             link != &set->bins[bin] && looked < SPAN_SEARCH_MAX;
             link = link->next, looked++) {
            struct exp_span *span = EXP_CONTAINER(link, struct exp_span, link);
            if (span->pages >= pages && (best == NULL || span->pages < best->pages)) {
                best = span;
            }
        }
        if (best != NULL) {
            return best;
        }
        bin++;
    }
    for (unsigned word = bin / 64; word < SPAN_WORDS; word++) {
        uint64_t bits = set->words[word];
        if (word == bin / 64) {
            bits &= ~(uint64_t)0 << (bin % 64);
        }
        if (bits != 0) {
            unsigned found = word * 64 + exp_bit_lowest(bits);
            return EXP_CONTAINER(set->bins[found].next, struct exp_span, link);
        }
    }
    return NULL;
}

/* Give one dirty span back; the lock is released meanwhile unless the caller needs it held. */
static void purge_one(struct exp_span *span, bool hold)
{
    unput(span);
    if (!hold) {
        exp_atomic_store(&span_lists.purging, span_lists.purging + 1);
        exp_lock_release(&exp_span.lock);
    }
    bool zero =
        exp_port_decommit(exp_range_page(span->page), (size_t)span->pages << EXP_PAGE_SHIFT);
    if (!hold) {
        exp_lock_acquire(&exp_span.lock);
        exp_atomic_store(&span_lists.purging, span_lists.purging - 1);
        exp_port_wake(&span_lists.purging);
    }
    span->zero = zero;
    exp_span.pages_purged += zero ? span->pages : 0;
    put_merged(span);
}

static bool grow(unsigned node, unsigned pool, size_t pages)
{
    size_t chunks = (pages + exp_range.chunk_pages - 1) / exp_range.chunk_pages;
    struct exp_span *span = exp_span_record_take();
    if (span == NULL) {
        return false;
    }
    bool huge = exp_option_value(EXP_OPTION_HUGEPAGES) != 0 &&
                span_lists.chunks_of[pool] + chunks > SPAN_HUGE_CHUNKS;
    size_t first = exp_range_chunks_take(chunks, node, pool, huge);
    if (first == SIZE_MAX) {
        exp_span_record_give(span);
        return false;
    }
    span_lists.chunks_of[pool] += (uint32_t)chunks;
    exp_span.chunks_grown += chunks;
    span->page = (uint32_t)(first * exp_range.chunk_pages);
    span->pages = (uint32_t)(chunks * exp_range.chunk_pages);
    span->pool = (uint8_t)pool;
    span->node = (uint8_t)node;
    span->zero = true;
    put_merged(span);
    return true;
}

/* Bytes that the limit of a pool leaves, in pages. */
static size_t pages_left(unsigned pool)
{
    bool paged = pool == 2;
    uint64_t limit = exp_option_value(paged ? EXP_OPTION_PAGED_LIMIT : EXP_OPTION_NONPAGED_LIMIT);
    uint64_t used = paged ? exp_span.counts[2].pages_used
                          : exp_span.counts[0].pages_used + exp_span.counts[1].pages_used;
    limit >>= EXP_PAGE_SHIFT;
    return limit > used ? (size_t)(limit - used) : 0;
}

/* This request is the one that was asked to fail. */
static bool injected(void)
{
    if (exp_span.fail_request == 0 || --exp_span.fail_request != 0) {
        return false;
    }
    exp_atomic_add(&exp_span.failures_injected, 1);
    return true;
}

/* A fit among a node's free spans; what is dirty there goes back when nothing fits without. */
static struct exp_span *find_on(unsigned node, unsigned pool, size_t pages)
{
    struct exp_span *span = find(node, pool, 0, pages);
    span = span != NULL ? span : find(node, pool, 1, pages);
    if (span == NULL && exp_span.counts[pool].pages_dirty >= pages) {
        struct exp_link *link = span_lists.dirty.next;
        while (link != &span_lists.dirty) {
            struct exp_span *dirty = EXP_CONTAINER(link, struct exp_span, age);
            link = link->next;
            if (dirty->pool == pool && dirty->node == node) {
                purge_one(dirty, true);
                if (!dirty->zero) {
                    break; /* the system keeps them: no use to go on */
                }
            }
        }
        span = find(node, pool, 1, pages);
    }
    return span;
}

static struct exp_span *find_or_grow(unsigned node, unsigned pool, size_t pages)
{
    unsigned own = node & ~EXP_SPAN_NODE_ONLY;
    struct exp_span *span = find_on(own, pool, pages);
    if (span == NULL && grow(own, pool, pages)) {
        span = find(own, pool, 1, pages);
    }
    for (unsigned other = 0; span == NULL && own == node && other < exp_range.nodes; other++) {
        span = other != own ? find_on(other, pool, pages) : NULL;
    }
    return span;
}

/* Keep the first pages of a span that is in no list; put the rest back. False: no record. */
static bool trim_end(struct exp_span *span, size_t pages)
{
    if (span->pages == pages) {
        return true;
    }
    struct exp_span *rest = exp_span_record_take();
    if (rest == NULL) {
        return false;
    }
    rest->page = span->page + (uint32_t)pages;
    rest->pages = span->pages - (uint32_t)pages;
    rest->pool = span->pool;
    rest->node = span->node;
    rest->zero = span->zero;
    span->pages = (uint32_t)pages;
    name_ends(span);
    put_merged(rest);
    return true;
}

/* Put the first pages of a span that is in no list back. */
static bool trim_start(struct exp_span *span, size_t pages)
{
    if (pages == 0) {
        return true;
    }
    struct exp_span *rest = exp_span_record_take();
    if (rest == NULL) {
        return false;
    }
    rest->page = span->page;
    rest->pages = (uint32_t)pages;
    rest->pool = span->pool;
    rest->node = span->node;
    rest->zero = span->zero;
    span->page += (uint32_t)pages;
    span->pages -= (uint32_t)pages;
    name_ends(span);
    put_merged(rest);
    return true;
}

/*
 * Say which conditions of a gate hold, and between which counts that stays so: High below the first
 * of two counts, Low from the second on, neither between them.
 */
static EXP_COLD void gate_judge(unsigned index)
{
    struct exp_span_gate *gate = &exp_span.gates[index];
    uint64_t used = gate->pages_used;
    uint64_t limit = gate->pages_limit;
    uint64_t high_end = limit >= gate->pages_high ? limit - gate->pages_high + 1 : 0;
    uint64_t low_from = limit - gate->pages_low;
    if (limit == UINT64_MAX) {
        high_end = UINT64_MAX;
        low_from = UINT64_MAX;
    }
    bool high = used < high_end;
    bool low = used >= low_from;
    gate->used_least = low ? low_from : high ? 0 : high_end;
    gate->used_most = low ? UINT64_MAX : (high ? high_end : low_from) - 1;
    uint32_t bits = (low ? EXPOOL_REGION_LOW : 0u) | (high ? EXPOOL_REGION_HIGH : 0u);
    uint32_t former = exp_span.conditions;
    uint32_t now = (former & ~(UINT32_C(3) << (2 * index))) | bits << (2 * index);
    if (now == former) {
        return;
    }
    exp_atomic_store_release(&exp_span.conditions, now);
    for (unsigned condition = 2 * index; condition < 2 * index + 2; condition++) {
        bool holds = (now >> condition & 1) != 0;
        if (((now ^ former) >> condition & 1) == 0) {
            continue;
        }
        if (holds) {
            exp_atomic_add(&exp_span.begun[condition], 1);
            exp_port_wake_all(&exp_span.begun[condition]);
        }
        exp_port_condition(condition, holds);
    }
}

/* The gate of a pool after its count has changed. */
static void gate_count(unsigned pool, uint64_t pages_used)
{
    struct exp_span_gate *gate = &exp_span.gates[gate_of(pool)];
    exp_atomic_store(&gate->pages_used, pages_used);
    if (EXP_UNLIKELY(pages_used < gate->used_least || pages_used > gate->used_most)) {
        gate_judge(gate_of(pool));
    }
}

/* Thresholds in pages: a share of the limit, at most so many, or what the options say. */
static void gate_renew(unsigned index)
{
    static const struct {
        enum exp_option limit, low, high;
        uint64_t low_most, low_share, high_most, high_share, high_of;
    } rules[2] = {
        { EXP_OPTION_NONPAGED_LIMIT,
          EXP_OPTION_LOW_NONPAGED,
          EXP_OPTION_HIGH_NONPAGED,
          2048,
          3,
          5120,
          1,
          2 },
        { EXP_OPTION_PAGED_LIMIT,
          EXP_OPTION_LOW_PAGED,
          EXP_OPTION_HIGH_PAGED,
          7680,
          5,
          15360,
          2,
          5 },
    };
    struct exp_span_gate *gate = &exp_span.gates[index];
    uint64_t limit = exp_option_value(rules[index].limit);
    uint64_t low = exp_option_value(rules[index].low);
    uint64_t high = exp_option_value(rules[index].high);
    bool unlimited = limit == UINT64_MAX;
    limit >>= EXP_PAGE_SHIFT;
    low = low != EXP_OPTION_AUTO ? low >> EXP_PAGE_SHIFT
                                 : exp_min(rules[index].low_most, limit / rules[index].low_share);
    high = high != EXP_OPTION_AUTO
               ? (high >> EXP_PAGE_SHIFT) + ((high & EXP_PAGE_MASK) != 0)
               : exp_min(rules[index].high_most,
                         limit * rules[index].high_share / rules[index].high_of);
    low = exp_min(low, limit);
    exp_atomic_store(&gate->pages_limit, unlimited ? UINT64_MAX : limit);
    exp_atomic_store(&gate->pages_low, low);
    exp_atomic_store(&gate->pages_high, exp_max(high, low + 1));
    gate_judge(index);
}

void exp_span_conditions_renew(void)
{
    exp_lock_acquire(&exp_span.lock);
    gate_renew(0);
    gate_renew(1);
    leave();
}

void exp_span_conditions_tell(void)
{
    exp_lock_acquire(&exp_span.lock);
    for (unsigned condition = 0; condition < EXP_SPAN_CONDITIONS; condition++) {
        exp_port_condition(condition, (exp_span.conditions >> condition & 1) != 0);
    }
    exp_lock_release(&exp_span.lock);
}

size_t exp_span_pages_free(unsigned pool)
{
    const struct exp_span_gate *gate = &exp_span.gates[gate_of(pool)];
    uint64_t limit = exp_atomic_load(&gate->pages_limit);
    uint64_t used = exp_atomic_load(&gate->pages_used);
    return limit == UINT64_MAX ? SIZE_MAX : limit > used ? (size_t)(limit - used) : 0;
}

size_t exp_span_low_pages(unsigned pool)
{
    return (size_t)exp_atomic_load(&exp_span.gates[gate_of(pool)].pages_low);
}

static void count_used(unsigned pool, size_t pages)
{
    struct exp_span_counts *counts = &exp_span.counts[pool];
    counts->pages_used += pages;
    gate_count(pool, exp_span.gates[gate_of(pool)].pages_used + pages);
    if (counts->pages_used > counts->pages_used_peak) {
        counts->pages_used_peak = counts->pages_used;
    }
}

/* Count a span as used; it says so itself when its user has filled in the rest of the record. */
static void use(struct exp_span *span)
{
    uint32_t index = exp_span_index(span);
    for (size_t page = span->page; page < (size_t)span->page + span->pages; page++) {
        exp_atomic_store_release(&exp_range.span_of[page], index);
    }
    span->slots = 0;
    span->slots_taboo = 0;
    span->tails = 0;
    span->parent = 0;
    count_used(span->pool, span->pages);
}

static struct exp_span *take_locked(unsigned node, unsigned pool, size_t pages, size_t alignment)
{
    size_t extra = alignment > EXP_PAGE_BYTES ? (alignment >> EXP_PAGE_SHIFT) - 1 : 0;
    if (pages > pages_left(pool) || pages + extra > exp_range.bytes >> EXP_PAGE_SHIFT) {
        return NULL;
    }
    struct exp_span *span = find_or_grow(node, pool, pages + extra);
    if (span == NULL) {
        return NULL;
    }
    unput(span);
    uintptr_t start = (uintptr_t)exp_range_page(span->page);
    size_t before = extra == 0 ? 0 : (exp_round_up(start, alignment) - start) >> EXP_PAGE_SHIFT;
    if (!trim_start(span, before) || !trim_end(span, pages)) {
        put_merged(span);
        return NULL;
    }
    use(span);
    return span;
}

struct exp_span *exp_span_take_aligned(unsigned node, unsigned pool, size_t pages, size_t alignment)
{
    exp_lock_acquire(&exp_span.lock);
    bool fails = injected();
    struct exp_span *span = fails ? NULL : take_locked(node, pool, pages, alignment);
    for (int wait = 0; span == NULL && !fails && wait < SPAN_PURGE_WAITS; wait++) {
        uint32_t purging = span_lists.purging;
        if (purging == 0 || pages > pages_left(pool)) {
            break;
        }
        /* What is being given back by another thread may be what is missing. */
        exp_lock_release(&exp_span.lock);
        exp_port_wait(&span_lists.purging, purging, UINT64_MAX);
        exp_port_wake(&span_lists.purging);
        exp_lock_acquire(&exp_span.lock);
        span = take_locked(node, pool, pages, alignment);
    }
    if (span == NULL) {
        exp_span.counts[pool].failures++;
    }
    leave();
    return span;
}

struct exp_span *exp_span_take(unsigned node, unsigned pool, size_t pages)
{
    return exp_span_take_aligned(node, pool, pages, EXP_PAGE_BYTES);
}

void exp_span_give(struct exp_span *span)
{
    unsigned bin = (unsigned)span->pool << EXP_CLASS_BITS | EXP_CLASS_FREED;
    exp_range_map_set(span->page, span->pages, exp_range_entry(span->class_index, bin));
    exp_span.counts[span->pool].pages_used -= span->pages;
    gate_count(span->pool, exp_span.gates[gate_of(span->pool)].pages_used - span->pages);
    span->zero = false;
    put_merged(span);
    mirror();
}

struct exp_span *exp_span_split(struct exp_span *span, size_t pages)
{
    struct exp_span *second = exp_span_record_take();
    if (second == NULL) {
        return NULL;
    }
    second->page = span->page + span->pages - (uint32_t)pages;
    second->pages = (uint32_t)pages;
    second->pool = span->pool;
    second->node = span->node;
    second->class_index = span->class_index;
    second->use = span->use;
    second->slots_taboo = 0;
    second->tails = 0;
    second->parent = 0;
    span->pages -= (uint32_t)pages;
    uint32_t index = exp_span_index(second);
    for (size_t page = second->page; page < (size_t)second->page + pages; page++) {
        exp_atomic_store_release(&exp_range.span_of[page], index);
    }
    return second;
}

bool exp_span_extend(struct exp_span *span, size_t more_pages)
{
    exp_lock_acquire(&exp_span.lock);
    size_t next = (size_t)span->page + span->pages;
    struct exp_span *after = free_neighbour(span, next, false);
    after = after != NULL ? after : free_neighbour(span, next, true);
    bool fits = after != NULL && after->pages >= more_pages && pages_left(span->pool) >= more_pages;
    if (fits) {
        unput(after);
        fits = trim_end(after, more_pages);
        if (!fits) {
            put_merged(after);
        }
    }
    if (fits) {
        for (size_t page = next; page < next + more_pages; page++) {
            exp_atomic_store_release(&exp_range.span_of[page], exp_span_index(span));
        }
        span->pages += (uint32_t)more_pages;
        count_used(span->pool, more_pages);
        exp_span_record_give(after);
    }
    leave();
    return fits;
}

/* Dirty pages above which the oldest go back at once. */
static uint64_t dirty_cap(void)
{
    uint64_t used = 0;
    for (unsigned pool = 0; pool < 3; pool++) {
        used += exp_span.counts[pool].pages_used;
    }
    return SPAN_DIRTY_KEPT_PAGES + used / 4;
}

void exp_span_purge(bool all)
{
    exp_lock_acquire(&exp_span.lock);
    span_lists.now_ms = exp_port_clock_ms();
    uint32_t age_ms = (uint32_t)exp_option_value(EXP_OPTION_PURGE_MS);
    for (int count = 0; all || count < SPAN_PURGE_BATCH; count++) {
        if (exp_list_empty(&span_lists.dirty)) {
            break;
        }
        struct exp_span *oldest = EXP_CONTAINER(span_lists.dirty.next, struct exp_span, age);
        uint64_t dirty = 0;
        for (unsigned pool = 0; pool < 3; pool++) {
            dirty += exp_span.counts[pool].pages_dirty;
        }
        bool old = (uint32_t)span_lists.now_ms - oldest->freed_ms >= age_ms;
        if (!all && !old && dirty <= dirty_cap()) {
            break;
        }
        purge_one(oldest, false);
        if (!oldest->zero) {
            break; /* the system keeps them: try again another time */
        }
    }
    leave();
}

void exp_span_tick(void)
{
    uint32_t visits = exp_atomic_load(&span_lists.visits) + 1;
    exp_atomic_store(&span_lists.visits, visits);
    if (visits % SPAN_VISITS == 0) {
        exp_span_purge(false);
    }
}

void exp_span_child(void)
{
    if (!exp_lock_reset(&exp_span.lock) && span_lists.purging == 0) {
        return;
    }
    /* Another thread was inside: what is free is forgotten, what is used stays as it is. */
    struct exp_span *end =
        (struct exp_span *)(void *)(exp_range.span_table.start + exp_range.span_table.used_bytes);
    for (struct exp_span *span = exp_span_at(1); span < end; span++) {
        if (span->use == EXP_SPAN_FREE || span->use == EXP_SPAN_MOVING) {
            span->use = EXP_SPAN_NONE;
            span->link.next = NULL;
            span->age.next = NULL;
        }
    }
    span_lists.purging = 0;
    const struct exp_span_counts *counts = exp_span.counts;
    gate_count(EXPOOL_REGION_NONPAGED, counts[0].pages_used + counts[1].pages_used);
    gate_count(EXPOOL_REGION_PAGED, counts[2].pages_used);
    gate_judge(0);
    gate_judge(1);
    for (unsigned pool = 0; pool < 3; pool++) {
        exp_span.counts[pool].pages_dirty = 0;
    }
    list_reset();
}

bool exp_span_bin_at(
    unsigned node, unsigned pool, bool zero, unsigned bin, struct exp_span_bin *view)
{
    if (bin >= SPAN_BINS) {
        return false;
    }
    struct set *set = &span_lists.sets[node][pool][zero];
    *view = (struct exp_span_bin){
        .spans = &set->bins[bin],
        .word = &set->words[bin / 64],
        .mask = (uint64_t)1 << (bin % 64),
    };
    return true;
}

unsigned exp_span_bin_of(size_t pages)
{
    return bin_of(pages);
}

struct exp_link *exp_span_dirty(void)
{
    return &span_lists.dirty;
}

struct exp_link *exp_span_unused(void)
{
    return &span_lists.unused;
}
