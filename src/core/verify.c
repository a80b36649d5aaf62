/* SPDX-License-Identifier: MIT */
/*
 * This file owns no part of the pool; it reads all of it. The invariants it checks stand in the
 * essays of the files that keep them.
 *
 * The walk starts from what cannot lie by itself, the table of chunks: from the first page of each
 * stretch of one pool's chunks, span follows span without a gap until the stretch ends. Each span
 * is looked at whole on the way (its pages' owners and map entries; a run's bits, states and
 * counts; its tails), and what it adds to a sum is noted. Then every list is walked, each step
 * checked before it is followed: a link must lie in a record, point back, and the list must end
 * before all records have passed. Last come the sums: records, pages, lists against what the spans
 * said, slots of a bin against store, caches and live blocks, and rows against live blocks, for a
 * window of tag numbers at a time since nothing is allocated.
 *
 * Pages of a tail: span_of names the tail's run, whose parent is the span that the page lies in;
 * when the parent has gone the run owns its page (parent 0), and its first places stay closed.
 *
 * Nothing is changed. Steps are bounded by pages in chunks, records times slots, and tag numbers.
 */
#include "core/verify.h"

enum {
    VERIFY_NUMBERS = 2048, /* tag numbers of one window */
    VERIFY_CLASS_MASK = (1 << EXP_CLASS_BITS) - 1,
};

/* What one bin's runs add up to. */
struct bin_sums {
    uint64_t slots;
    uint64_t free;
    uint64_t cached;
    uint64_t live;
    uint64_t
        away; /* sum over slots neither in the store nor live of mix(), less that over caches */
    uint32_t runs_free; /* runs with free slots */
    uint32_t runs_empty;
};

/* Under the lock of the shared owner, which exp_owner_hold takes. */
static struct {
    struct exp_verify_fault *fault;
    uint32_t records;  /* records ever taken; index 0 is nobody's */
    uint32_t reached;  /* records that pages lead to */
    uint32_t free;     /* free spans */
    uint32_t dirty;    /* of them dirty */
    uint32_t offering; /* used spans that are members of a list of tails on offer */
    uint64_t pages_used[3];
    uint64_t pages_dirty[3];
    struct bin_sums bins[EXP_PORT_NODES_MAX][EXP_BIN_COUNT]; /* by node; caches' slots, too */
    struct exp_tag_live live[VERIFY_NUMBERS * 2];
    struct exp_tag_live rows[VERIFY_NUMBERS * 2];
} exp_verify;

static const char *const verify_words[EXP_VERIFY_WHAT_COUNT] = {
    [EXP_VERIFY_FITS] = "everything fits",
    [EXP_VERIFY_CHUNK] = "a chunk of no pool",
    [EXP_VERIFY_PAGE] = "a page where a span should start",
    [EXP_VERIFY_PAGE_OWNER] = "a page whose owner is not its span",
    [EXP_VERIFY_MAP] = "a map entry",
    [EXP_VERIFY_NEIGHBOURS] = "two free neighbours of one set",
    [EXP_VERIFY_RECORD] = "records that no page leads to",
    [EXP_VERIFY_FREE_LIST] = "a bin of free spans",
    [EXP_VERIFY_FREE_WORD] = "the bit of a bin of free spans",
    [EXP_VERIFY_DIRTY_LIST] = "the list of dirty spans",
    [EXP_VERIFY_UNUSED_LIST] = "the list of unused records",
    [EXP_VERIFY_PAGES_USED] = "the count of used pages",
    [EXP_VERIFY_PAGES_DIRTY] = "the count of dirty pages",
    [EXP_VERIFY_CLASS] = "class and places of a run",
    [EXP_VERIFY_HELD] = "what a large block holds",
    [EXP_VERIFY_STATE] = "a state that its place does not allow",
    [EXP_VERIFY_HOLE] = "a hole",
    [EXP_VERIFY_FRESH] = "the first slot never handed out",
    [EXP_VERIFY_BITS] = "a bit where no free slot is",
    [EXP_VERIFY_SLOTS_FREE] = "the count of free slots",
    [EXP_VERIFY_QUARTER] = "the quarter of a run",
    [EXP_VERIFY_RUN_LIST] = "a list of runs",
    [EXP_VERIFY_EMPTY] = "the count of empty runs",
    [EXP_VERIFY_TAIL] = "a tail and its block",
    [EXP_VERIFY_OFFER] = "a list of tails on offer",
    [EXP_VERIFY_CACHE] = "a cache",
    [EXP_VERIFY_CACHED] = "a slot in a cache or batch",
    [EXP_VERIFY_SLOTS] = "slots in store, cached and live",
    [EXP_VERIFY_ROW] = "an owner's row",
    [EXP_VERIFY_ROW_BLOCKS] = "blocks of a tag",
    [EXP_VERIFY_ROW_BYTES] = "bytes of a tag",
};

const char *exp_verify_words(enum exp_verify_what what)
{
    return what < EXP_VERIFY_WHAT_COUNT ? verify_words[what] : "unknown";
}

static bool wrong(enum exp_verify_what what, const void *address, uint64_t expected, uint64_t found)
{
    *exp_verify.fault = (struct exp_verify_fault){
        .what = what, .address = address, .expected = expected, .found = found
    };
    return false;
}

static bool same(enum exp_verify_what what, const void *address, uint64_t expected, uint64_t found)
{
    return expected == found || wrong(what, address, expected, found);
}

static struct exp_span *record_at(uint32_t index)
{
    return index != 0 && index < exp_verify.records ? exp_span_at(index) : NULL;
}

static unsigned bin_of(const struct exp_span *span)
{
    return (unsigned)span->pool << EXP_CLASS_BITS | span->class_index;
}

static const struct exp_class *class_of(const struct exp_span *span)
{
    return &exp_classes[span->class_index & VERIFY_CLASS_MASK];
}

static bool used(const struct exp_span *span)
{
    return span->use == EXP_SPAN_RUN || span->use == EXP_SPAN_LARGE;
}

/* A number for a slot, so that one listed twice does not make up for another that is lost. */
static uint64_t mix(const uint16_t *state)
{
    uint64_t word = (uint64_t)(state - exp_range.states) * UINT64_C(0x9e3779b97f4a7c15);
    return (word ^ word >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* ---- lists ---- */

struct walk {
    enum exp_verify_what what;
    const struct exp_link *head;
    const struct exp_link *link; /* where it stands */
    size_t field_bytes;          /* offset of the link in a record */
    uint32_t steps;
};

static struct walk walk_start(enum exp_verify_what what,
                              const struct exp_link *head,
                              size_t field_bytes)
{
    return (struct walk){ .what = what, .head = head, .link = head, .field_bytes = field_bytes };
}

/* The next record of a list; *span NULL: its end. False: what follows may not be followed. */
static bool walk_next(struct walk *walk, struct exp_span **span)
{
    const struct exp_link *next = walk->link->next;
    *span = NULL;
    if (next != walk->head) {
        uintptr_t offset_bytes =
            (uintptr_t)next - walk->field_bytes - (uintptr_t)exp_range.span_table.start;
        uint64_t index = offset_bytes / sizeof(struct exp_span);
        if (index == 0 || index >= exp_verify.records ||
            offset_bytes % sizeof(struct exp_span) != 0 || walk->steps >= exp_verify.records) {
            return wrong(walk->what, walk->link, exp_verify.records, index);
        }
        *span = exp_span_at((uint32_t)index);
        walk->steps++;
    }
    if (next->previous != walk->link) {
        return wrong(walk->what, next, (uintptr_t)walk->link, (uintptr_t)next->previous);
    }
    walk->link = next;
    return true;
}

/* ---- spans ---- */

static bool verify_free(const struct exp_span *span)
{
    uint32_t index = exp_span_index(span);
    size_t last = (size_t)span->page + span->pages - 1;
    exp_verify.free++;
    if (!same(EXP_VERIFY_PAGE_OWNER, exp_range_page(last), index, exp_range.span_of[last]) ||
        !same(EXP_VERIFY_FREE_LIST, span, 1, exp_list_member(&span->link)) ||
        !same(EXP_VERIFY_DIRTY_LIST, span, !span->zero, exp_list_member(&span->age))) {
        return false;
    }
    for (size_t page = span->page; page <= last; page++) {
        uint64_t entry = exp_atomic_load(&exp_range_map()[page]);
        unsigned bin = (unsigned)span->pool << EXP_CLASS_BITS | EXP_CLASS_FREED;
        bool freed =
            exp_range_entry_bin(entry) == bin && exp_range_entry_state(entry) < EXP_CLASS_COUNT;
        if (entry != 0 && !freed) {
            return wrong(EXP_VERIFY_MAP, exp_range_page(page), exp_range_entry(0, bin), entry);
        }
    }
    if (!span->zero) {
        exp_verify.dirty++;
        exp_verify.pages_dirty[span->pool] += span->pages;
    }
    return true;
}

/* Pages from one slot of a used span to the next. */
static size_t slot_pages_of(const struct exp_span *span)
{
    return span->use == EXP_SPAN_LARGE ? span->pages : class_of(span)->slot_pages;
}

/* Map entry of a page of a used span, counted from the span's first. */
static uint64_t entry_of(const struct exp_span *span, size_t page)
{
    const struct exp_class *class = class_of(span);
    size_t slot_pages = slot_pages_of(span);
    if (span->use == EXP_SPAN_RUN && class->page_slots != 0) {
        return exp_range_entry(span->first_state + (uint32_t)page * (class->page_slots + 1u),
                               bin_of(span));
    }
    if (page % slot_pages != 0) {
        return exp_range_entry((uint32_t)(page % slot_pages),
                               (unsigned)span->pool << EXP_CLASS_BITS | EXP_CLASS_INTERIOR);
    }
    return exp_range_entry(span->first_state + (uint32_t)(page / slot_pages), bin_of(span));
}

static size_t tail_bytes_of(const struct exp_span *span)
{
    return span->use == EXP_SPAN_LARGE
               ? ((size_t)span->pages << EXP_PAGE_SHIFT) - (size_t)span->held_bytes
               : class_of(span)->tail_bytes;
}

/* State of a slot: which word, whatever it says. */
static const uint16_t *state_at(const struct exp_span *run, size_t slot)
{
    unsigned page_slots = class_of(run)->page_slots;
    size_t holes = page_slots != 0 ? slot / page_slots : 0;
    return &exp_range.states[run->first_state + slot + holes];
}

static const void *slot_at(const struct exp_span *run, size_t slot)
{
    const struct exp_class *class = class_of(run);
    if (class->page_slots == 0) {
        return exp_range_page(run->page + slot * class->slot_pages);
    }
    return (char *)exp_range_page(run->page + slot / class->page_slots) +
           slot % class->page_slots * class->size_bytes;
}

/* Number of states of a used span. */
static size_t state_count_of(const struct exp_span *span)
{
    unsigned page_slots = class_of(span)->page_slots;
    if (span->use == EXP_SPAN_LARGE) {
        return 1;
    }
    return span->slots + (page_slots != 0 ? span->slots / page_slots : 0u);
}

/* The states of a span lie in their table, whose first word is nobody's. */
static bool states_exist(const struct exp_span *span)
{
    const struct exp_range_table *table = &exp_range.state_table;
    uint64_t start = (uintptr_t)table->start - (uintptr_t)exp_range.states;
    uint64_t first = (uint64_t)span->first_state * sizeof(uint16_t);
    uint64_t bytes = state_count_of(span) * sizeof(uint16_t);
    return first > start && first + bytes <= start + table->used_bytes;
}

/* A state that means a live block in a slot: the tag number there, or in the side record. */
static bool names_tag(const uint16_t *state, uint16_t value)
{
    if (value == EXP_STATE_WIDE) {
        const struct exp_side *side = exp_side_of(state);
        return side != NULL && side->number != 0 && side->number < exp_tag_count();
    }
    return value <= EXP_STATE_NUMBER_MAX && value < exp_tag_count();
}

/* One slot of a run; what it is goes into the sums. */
static bool verify_slot(const struct exp_span *run, size_t slot, struct bin_sums *sums)
{
    uint16_t state = exp_atomic_load(state_at(run, slot));
    bool bit = (run->bits[slot / 64] >> (slot % 64) & 1) != 0;
    if (slot < run->slots_taboo) {
        return same(EXP_VERIFY_STATE, slot_at(run, slot), EXP_STATE_HOLE, state) &&
               same(EXP_VERIFY_BITS, slot_at(run, slot), 0, bit);
    }
    if (bit && slot >= run->slots_fresh) {
        return wrong(EXP_VERIFY_BITS, slot_at(run, slot), 0, 1);
    }
    if (bit || slot >= run->slots_fresh) {
        sums->free++;
        return same(EXP_VERIFY_STATE, slot_at(run, slot), EXP_STATE_FREE, state);
    }
    sums->live += state != EXP_STATE_FREE;
    sums->away += state == EXP_STATE_FREE ? mix(state_at(run, slot)) : 0;
    return state == EXP_STATE_FREE || names_tag(state_at(run, slot), state) ||
           wrong(EXP_VERIFY_STATE, slot_at(run, slot), exp_tag_count() - 1, state);
}

/* Bits, states and counts of a run, and the places of a tail's. */
static bool verify_run(const struct exp_span *run)
{
    if (run->class_index < EXP_CLASS_SMALL || run->class_index >= EXP_CLASS_COUNT) {
        return wrong(EXP_VERIFY_CLASS, run, EXP_CLASS_COUNT, run->class_index);
    }
    const struct exp_class *class = class_of(run);
    size_t slots = class->page_slots != 0 ? (size_t)run->pages * class->page_slots
                                          : run->pages / class->slot_pages;
    if (slots > EXP_CLASS_SLOTS_MAX || !states_exist(run)) {
        return wrong(EXP_VERIFY_CLASS, run, EXP_CLASS_SLOTS_MAX, slots);
    }
    if (!same(EXP_VERIFY_CLASS, run, slots, run->slots)) {
        return false;
    }
    if (run->slots_fresh < run->slots_taboo || run->slots_fresh > slots) {
        return wrong(EXP_VERIFY_FRESH, run, slots, run->slots_fresh);
    }
    struct bin_sums sums = { .slots = slots - run->slots_taboo };
    for (size_t slot = 0; slot < slots; slot++) {
        if (!verify_slot(run, slot, &sums)) {
            return false;
        }
    }
    for (size_t slot = slots; slot < EXP_CLASS_SLOTS_MAX; slot++) {
        if ((run->bits[slot / 64] >> (slot % 64) & 1) != 0) {
            return wrong(EXP_VERIFY_BITS, run, 0, slot);
        }
    }
    for (size_t page = 1; class->page_slots != 0 && page <= run->pages; page++) {
        uint16_t hole = exp_range.states[run->first_state + page * (class->page_slots + 1u) - 1];
        if (!same(EXP_VERIFY_HOLE, exp_range_page(run->page + page - 1), EXP_STATE_HOLE, hole)) {
            return false;
        }
    }
    if (!same(EXP_VERIFY_SLOTS_FREE, run, sums.free, run->slots_free) ||
        !same(EXP_VERIFY_RUN_LIST, run, sums.free != 0, exp_list_member(&run->link))) {
        return false;
    }
    struct bin_sums *bin = &exp_verify.bins[run->node][bin_of(run)];
    bin->slots += sums.slots;
    bin->free += sums.free;
    bin->live += sums.live;
    bin->away += sums.away;
    bin->runs_free += sums.free != 0;
    bin->runs_empty += sums.free == sums.slots;
    return true;
}

static bool verify_large(const struct exp_span *large)
{
    uint64_t most = (uint64_t)large->pages << EXP_PAGE_SHIFT;
    if (!same(EXP_VERIFY_CLASS, large, EXP_CLASS_LARGE, large->class_index)) {
        return false;
    }
    if (!states_exist(large)) {
        return wrong(EXP_VERIFY_CLASS, large, 1, large->first_state);
    }
    if (large->held_bytes > most || large->held_bytes + EXP_PAGE_BYTES <= most ||
        large->held_bytes % EXP_GRANULE != 0) {
        return wrong(EXP_VERIFY_HELD, large, most, large->held_bytes);
    }
    uint16_t state = exp_atomic_load(exp_run_large_state(large));
    return (state != EXP_STATE_FREE && names_tag(exp_run_large_state(large), state)) ||
           wrong(EXP_VERIFY_STATE, exp_range_page(large->page), exp_tag_count() - 1, state);
}

/* The run of a tail: one page, at the end of one of the parent's slots, closed where the slot is.
 */
static bool verify_tail(const struct exp_span *parent, const struct exp_span *run, size_t page)
{
    size_t tail_bytes = tail_bytes_of(parent);
    size_t slot_pages = slot_pages_of(parent);
    const struct exp_class *class = class_of(run);
    if (run->use != EXP_SPAN_RUN || run->parent != exp_span_index(parent) || run->pages != 1 ||
        run->page != parent->page + page || run->pool != parent->pool ||
        run->node != parent->node || run->tails != 0) {
        return wrong(EXP_VERIFY_TAIL, run, exp_span_index(parent), run->parent);
    }
    if (tail_bytes == 0 || page % slot_pages != slot_pages - 1 || class->page_slots == 0) {
        return wrong(EXP_VERIFY_TAIL, run, 0, tail_bytes);
    }
    size_t closed = (EXP_PAGE_BYTES - tail_bytes + class->size_bytes - 1) / class->size_bytes;
    if (!same(EXP_VERIFY_TAIL, run, closed, run->slots_taboo)) {
        return false;
    }
    exp_verify.reached++;
    uint64_t entry = exp_atomic_load(&exp_range_map()[run->page]);
    return same(EXP_VERIFY_MAP, exp_range_page(run->page), entry_of(run, 0), entry) &&
           same(EXP_VERIFY_OFFER, run, 0, exp_list_member(&run->age)) && verify_run(run);
}

static bool verify_used(const struct exp_span *span)
{
    uint32_t index = exp_span_index(span);
    size_t tails = 0;
    bool large = span->use == EXP_SPAN_LARGE;
    if (large ? !verify_large(span) : !verify_run(span)) {
        return false;
    }
    if (!large && span->slots_taboo != 0 && (span->pages != 1 || span->tails != 0)) {
        return wrong(EXP_VERIFY_TAIL, span, 0, span->slots_taboo);
    }
    for (size_t page = 0; page < span->pages; page++) {
        void *address = exp_range_page(span->page + page);
        uint32_t owner = exp_range.span_of[span->page + page];
        if (owner != index) {
            struct exp_span *run = record_at(owner);
            if (run == NULL || !used(run)) {
                return wrong(EXP_VERIFY_PAGE_OWNER, address, index, owner);
            }
            if (!verify_tail(span, run, page)) {
                return false;
            }
            tails++;
            continue;
        }
        uint64_t entry = exp_atomic_load(&exp_range_map()[span->page + page]);
        if (!same(EXP_VERIFY_MAP, address, entry_of(span, page), entry)) {
            return false;
        }
    }
    exp_verify.pages_used[span->pool] += span->pages;
    exp_verify.offering += exp_list_member(&span->age);
    return same(EXP_VERIFY_TAIL, span, tails, span->tails);
}

/* Span follows span in pages [page, end), chunks of one node and pool. */
static bool verify_stretch(uint8_t chunk, size_t page, size_t end)
{
    const struct exp_span *before = NULL;
    while (page < end) {
        uint32_t index = exp_range.span_of[page];
        struct exp_span *span = record_at(index);
        if (span != NULL && span->use == EXP_SPAN_RUN && span->parent != 0) {
            span = record_at(span->parent); /* a tail in a slot of one page */
        }
        if (span == NULL || (span->use != EXP_SPAN_FREE && !used(span)) || span->page != page ||
            span->pages == 0 || span->pages > end - page ||
            span->pool >= EXPOOL_REGION_POOL_COUNT ||
            exp_range_chunk(span->node, span->pool) != chunk) {
            return wrong(EXP_VERIFY_PAGE, exp_range_page(page), page, index);
        }
        bool free = span->use == EXP_SPAN_FREE;
        if (free && before != NULL && before->use == EXP_SPAN_FREE && before->zero == span->zero) {
            return wrong(EXP_VERIFY_NEIGHBOURS, span, before->pages, span->pages);
        }
        exp_verify.reached++;
        if (free ? !verify_free(span) : !verify_used(span)) {
            return false;
        }
        before = span;
        page += span->pages;
    }
    return true;
}

static bool verify_chunks(void)
{
    size_t end;
    for (size_t chunk = 0; chunk < exp_range.chunk_count; chunk = end) {
        uint8_t owner = exp_range.chunks[chunk];
        for (end = chunk + 1; end < exp_range.chunk_count && exp_range.chunks[end] == owner;) {
            end++;
        }
        unsigned most =
            chunk < exp_range.chunk_first ? 0 : exp_range.nodes * EXPOOL_REGION_POOL_COUNT;
        if (owner > most) {
            return wrong(EXP_VERIFY_CHUNK, &exp_range.chunks[chunk], most, owner);
        }
        if (owner != 0 &&
            !verify_stretch(owner, chunk * exp_range.chunk_pages, end * exp_range.chunk_pages)) {
            return false;
        }
    }
    return true;
}

/* Records that are in use are those that pages led to; counts are sums. */
static bool verify_sums(void)
{
    uint32_t records = 0;
    for (uint32_t index = 1; index < exp_verify.records; index++) {
        records += exp_span_at(index)->use != EXP_SPAN_NONE;
    }
    if (!same(EXP_VERIFY_RECORD, exp_range.span_table.start, exp_verify.reached, records)) {
        return false;
    }
    for (unsigned pool = 0; pool < EXPOOL_REGION_POOL_COUNT; pool++) {
        const struct exp_span_counts *counts = &exp_span.counts[pool];
        if (!same(EXP_VERIFY_PAGES_USED, counts, exp_verify.pages_used[pool], counts->pages_used) ||
            !same(EXP_VERIFY_PAGES_DIRTY,
                  counts,
                  exp_verify.pages_dirty[pool],
                  counts->pages_dirty)) {
            return false;
        }
        if (counts->pages_used_peak < counts->pages_used) {
            return wrong(
                EXP_VERIFY_PAGES_USED, counts, counts->pages_used, counts->pages_used_peak);
        }
    }
    const uint64_t *used = exp_verify.pages_used;
    const uint64_t sums[2] = { used[0] + used[1], used[2] };
    for (unsigned index = 0; index < 2; index++) {
        const struct exp_span_gate *gate = &exp_span.gates[index];
        if (!same(EXP_VERIFY_PAGES_USED, gate, sums[index], gate->pages_used)) {
            return false;
        }
        if (sums[index] < gate->used_least || sums[index] > gate->used_most) {
            return wrong(EXP_VERIFY_PAGES_USED, gate, sums[index], gate->used_least);
        }
    }
    return true;
}

static bool verify_free_bin(unsigned node, unsigned pool, bool zero, unsigned bin, uint32_t *listed)
{
    struct exp_span_bin view;
    struct exp_span *span;
    (void)exp_span_bin_at(node, pool, zero, bin, &view);
    struct walk walk =
        walk_start(EXP_VERIFY_FREE_LIST, view.spans, offsetof(struct exp_span, link));
    bool marked = (*view.word & view.mask) != 0;
    if (!same(EXP_VERIFY_FREE_WORD, view.spans, !exp_list_empty(view.spans), marked)) {
        return false;
    }
    while (walk_next(&walk, &span)) {
        if (span == NULL) {
            *listed += walk.steps;
            return true;
        }
        if (span->use != EXP_SPAN_FREE || span->pool != pool || span->node != node ||
            span->zero != zero || exp_span_bin_of(span->pages) != bin) {
            return wrong(EXP_VERIFY_FREE_LIST, span, bin, exp_span_bin_of(span->pages));
        }
    }
    return false;
}

static bool verify_free_lists(void)
{
    uint32_t listed = 0;
    struct exp_span_bin view;
    for (unsigned set = 0; set < exp_range.nodes * 2 * EXPOOL_REGION_POOL_COUNT; set++) {
        unsigned node = set / (2 * EXPOOL_REGION_POOL_COUNT);
        unsigned pool = set / 2 % EXPOOL_REGION_POOL_COUNT;
        for (unsigned bin = 0; exp_span_bin_at(node, pool, set % 2, bin, &view); bin++) {
            if (!verify_free_bin(node, pool, set % 2, bin, &listed)) {
                return false;
            }
        }
    }
    return same(EXP_VERIFY_FREE_LIST, NULL, exp_verify.free, listed);
}

static bool verify_dirty_list(void)
{
    struct exp_link *head = exp_span_dirty();
    struct exp_span *span;
    const struct exp_span *before = NULL;
    struct walk walk = walk_start(EXP_VERIFY_DIRTY_LIST, head, offsetof(struct exp_span, age));
    while (walk_next(&walk, &span)) {
        if (span == NULL) {
            return same(EXP_VERIFY_DIRTY_LIST, head, exp_verify.dirty, walk.steps);
        }
        if (span->use != EXP_SPAN_FREE || span->zero) {
            return wrong(EXP_VERIFY_DIRTY_LIST, span, EXP_SPAN_FREE, span->use);
        }
        if (before != NULL && (int32_t)(span->freed_ms - before->freed_ms) < 0) {
            return wrong(EXP_VERIFY_DIRTY_LIST, span, before->freed_ms, span->freed_ms);
        }
        before = span;
    }
    return false;
}

static bool verify_unused_list(void)
{
    struct exp_span *span;
    struct walk walk =
        walk_start(EXP_VERIFY_UNUSED_LIST, exp_span_unused(), offsetof(struct exp_span, link));
    while (walk_next(&walk, &span)) {
        if (span == NULL) {
            return true;
        }
        if (!same(EXP_VERIFY_UNUSED_LIST, span, EXP_SPAN_NONE, span->use)) {
            return false;
        }
    }
    return false;
}

static bool verify_offers(void)
{
    uint32_t listed = 0;
    for (unsigned set = 0; set < exp_range.nodes * EXPOOL_REGION_POOL_COUNT; set++) {
        unsigned node = set / EXPOOL_REGION_POOL_COUNT;
        unsigned pool = set % EXPOOL_REGION_POOL_COUNT;
        struct exp_link *head;
        for (unsigned bin = 0; (head = exp_run_offers(node, pool, bin)) != NULL; bin++) {
            struct exp_span *span;
            struct walk walk = walk_start(EXP_VERIFY_OFFER, head, offsetof(struct exp_span, age));
            do {
                if (!walk_next(&walk, &span)) {
                    return false;
                }
                if (span != NULL && (!used(span) || span->pool != pool || span->node != node ||
                                     tail_bytes_of(span) / 1024 != bin)) {
                    return wrong(EXP_VERIFY_OFFER, span, bin, tail_bytes_of(span) / 1024);
                }
                if (span != NULL && span->tails >= span->pages / slot_pages_of(span)) {
                    return wrong(
                        EXP_VERIFY_OFFER, span, span->pages / slot_pages_of(span), span->tails);
                }
            } while (span != NULL);
            listed += walk.steps;
        }
    }
    return same(EXP_VERIFY_OFFER, NULL, exp_verify.offering, listed);
}

/* ---- stores and caches ---- */

/*
 * A free slot outside the runs: where it lies is its bin's, and its bit and state say so. Of which
 * node it may be is a mask.
 */
static bool verify_entry(const struct exp_run_entry *entry, unsigned bin, uint32_t nodes)
{
    const void *block = exp_run_entry_block(entry);
    const struct exp_class *class = &exp_classes[bin & VERIFY_CLASS_MASK];
    size_t offset = exp_range_offset(block);
    if (offset >= exp_range.bytes) {
        return wrong(EXP_VERIFY_CACHED, block, exp_range.bytes, offset);
    }
    size_t page = offset >> EXP_PAGE_SHIFT;
    size_t inside = offset & EXP_PAGE_MASK;
    struct exp_span *run = record_at(exp_range.span_of[page]);
    if (run != NULL && run->use == EXP_SPAN_RUN && run->parent != 0 && bin_of(run) != bin) {
        run = record_at(run->parent);
    }
    if (run == NULL || run->use != EXP_SPAN_RUN || bin_of(run) != bin ||
        (nodes >> run->node & 1) == 0 || page < run->page || page - run->page >= run->pages) {
        return wrong(EXP_VERIFY_CACHED, block, bin, run == NULL ? 0 : bin_of(run));
    }
    size_t slot = class->page_slots != 0
                      ? (page - run->page) * class->page_slots + inside / class->size_bytes
                      : (page - run->page) / class->slot_pages;
    if (slot >= run->slots || slot_at(run, slot) != block || state_at(run, slot) != entry->state) {
        return wrong(EXP_VERIFY_CACHED, block, run->slots, slot);
    }
    if (slot < run->slots_taboo || slot >= run->slots_fresh ||
        (run->bits[slot / 64] >> (slot % 64) & 1) != 0) {
        return wrong(EXP_VERIFY_CACHED, block, run->slots_fresh, slot);
    }
    exp_verify.bins[run->node][bin].cached++;
    exp_verify.bins[run->node][bin].away -= mix(entry->state);
    return same(EXP_VERIFY_CACHED, block, EXP_STATE_FREE, exp_atomic_load(entry->state));
}

static bool verify_entries(const struct exp_run_entry *entries,
                           size_t count,
                           unsigned bin,
                           uint32_t nodes)
{
    for (size_t index = 0; index < count; index++) {
        if (!verify_entry(&entries[index], bin, nodes)) {
            return false;
        }
    }
    return true;
}

/* The lists of a store hold exactly the runs with free slots, each by how full it is. */
static bool verify_store(unsigned node, unsigned bin)
{
    const struct bin_sums *sums = &exp_verify.bins[node][bin];
    struct exp_store_view view;
    uint32_t listed = 0;
    exp_store_view(node, bin, &view);
    for (unsigned quarter = 0; quarter < view.quarters; quarter++) {
        struct exp_span *run;
        struct walk walk =
            walk_start(EXP_VERIFY_RUN_LIST, &view.runs[quarter], offsetof(struct exp_span, link));
        do {
            if (!walk_next(&walk, &run)) {
                return false;
            }
            if (run != NULL &&
                (run->use != EXP_SPAN_RUN || bin_of(run) != bin || run->node != node)) {
                return wrong(EXP_VERIFY_RUN_LIST, run, bin, bin_of(run));
            }
            unsigned by_count =
                run == NULL ? quarter : (run->slots_free * view.quarters - 1) / run->slots;
            if (run != NULL && (by_count != quarter || run->quarter != quarter)) {
                return wrong(EXP_VERIFY_QUARTER, run, by_count, run->quarter);
            }
        } while (run != NULL);
        listed += walk.steps;
    }
    if (!same(EXP_VERIFY_RUN_LIST, view.runs, sums->runs_free, listed) ||
        !same(EXP_VERIFY_EMPTY, view.runs, sums->runs_empty, *view.empty)) {
        return false;
    }
    for (unsigned index = 0; index < view.batch_count; index++) {
        size_t count;
        const struct exp_run_entry *entries = exp_store_batch(node, bin, index, &count);
        if (!verify_entries(entries, count, bin, UINT32_C(1) << node)) {
            return false;
        }
    }
    return true;
}

static bool verify_owner(const struct exp_owner *owner)
{
    for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
        const struct exp_cache *cache = &owner->caches[bin];
        ptrdiff_t capacity = cache->end - cache->bottom;
        ptrdiff_t count = cache->top - cache->bottom;
        if (capacity < 0 || count < 0 || count > (owner->named ? capacity : 0)) {
            return wrong(EXP_VERIFY_CACHE, cache, (uint64_t)capacity, (uint64_t)count);
        }
        if (exp_atomic_load(cache->bottom[-1].state) == EXP_STATE_FREE) {
            return wrong(EXP_VERIFY_CACHE, cache->bottom - 1, EXP_STATE_HOLE, EXP_STATE_FREE);
        }
        if (!verify_entries(cache->bottom, (size_t)count, bin, UINT32_MAX)) {
            return false;
        }
    }
    uint32_t key;
    const struct expool_region_row *rows = exp_tag_row_at(0, &key);
    for (uint32_t index = 0; index < owner->row_of_count; index++) {
        const struct expool_region_row *row = owner->row_kept[index];
        uint32_t expected = exp_tag_row_number(index / 2) * 2 + index % 2;
        if (row == NULL) {
            continue;
        }
        uint32_t place = (uint32_t)(((uintptr_t)row - (uintptr_t)rows) / sizeof(*rows));
        if (rows == NULL || exp_tag_row_at(place, &key) != row || key != expected) {
            return wrong(EXP_VERIFY_ROW, row, expected, key);
        }
    }
    return true;
}

static bool verify_slots(void)
{
    for (unsigned index = 0; index < exp_range.nodes * EXP_BIN_COUNT; index++) {
        const struct bin_sums *sums =
            &exp_verify.bins[index / EXP_BIN_COUNT][index % EXP_BIN_COUNT];
        uint64_t found = sums->free + sums->cached + sums->live;
        if (found != sums->slots || sums->away != 0) {
            struct exp_store_view view;
            exp_store_view(index / EXP_BIN_COUNT, index % EXP_BIN_COUNT, &view);
            return wrong(EXP_VERIFY_SLOTS, view.runs, sums->slots, found);
        }
    }
    return true;
}

/* ---- rows ---- */

/* Place of a live block's payer in the window that starts at first; outside: none. */
static struct exp_tag_live *payer(uint32_t number, unsigned pool, uint32_t first)
{
    uint32_t row_number = exp_tag_row_number(number);
    bool inside = row_number >= first && row_number - first < VERIFY_NUMBERS;
    return inside ? &exp_verify.live[(row_number - first) * 2 + (pool >> 1)] : NULL;
}

/* Live blocks of the window, from the states of all spans. */
static void count_live(uint32_t first)
{
    for (uint32_t index = 1; index < exp_verify.records; index++) {
        const struct exp_span *span = exp_span_at(index);
        size_t states = used(span) ? state_count_of(span) : 0;
        bool large = span->use == EXP_SPAN_LARGE;
        for (size_t state = 0; state < states; state++) {
            uint32_t number = exp_atomic_load(&exp_range.states[span->first_state + state]);
            if (number == EXP_STATE_FREE || number == EXP_STATE_HOLE) {
                continue;
            }
            number = exp_side_number(&exp_range.states[span->first_state + state], number);
            struct exp_tag_live *live = payer(number, span->pool, first);
            if (live != NULL) {
                live->blocks++;
                live->bytes += large ? span->held_bytes : class_of(span)->size_bytes;
            }
        }
    }
}

/* What the rows of the window say. */
static void count_rows(uint32_t first)
{
    const struct expool_region_row *row;
    uint32_t key;
    for (uint32_t index = 0; (row = exp_tag_row_at(index, &key)) != NULL; index++) {
        uint32_t place = key - first * 2;
        if (key >= first * 2 && place < VERIFY_NUMBERS * 2) {
            struct exp_tag_live *sums = &exp_verify.rows[place];
            sums->blocks += exp_atomic_load(&row->allocs) - exp_atomic_load(&row->frees);
            sums->bytes += exp_atomic_load(&row->bytes_in) - exp_atomic_load(&row->bytes_out);
        }
    }
}

static bool verify_rows(uint32_t first)
{
    __builtin_memset(exp_verify.live, 0, sizeof(exp_verify.live));
    __builtin_memset(exp_verify.rows, 0, sizeof(exp_verify.rows));
    count_live(first);
    count_rows(first);
    for (uint32_t place = 0; place < VERIFY_NUMBERS * 2; place++) {
        const struct exp_tag_live *live = &exp_verify.live[place];
        const struct exp_tag_live *rows = &exp_verify.rows[place];
        if (!same(EXP_VERIFY_ROW_BLOCKS, NULL, live->blocks, rows->blocks) ||
            !same(EXP_VERIFY_ROW_BYTES, NULL, live->bytes, rows->bytes)) {
            exp_verify.fault->key = first * 2 + place;
            return false;
        }
    }
    return true;
}

/* ---- all of it ---- */

static bool verify_locked(void)
{
    if (!verify_chunks() || !verify_sums() || !verify_free_lists() || !verify_dirty_list() ||
        !verify_unused_list() || !verify_offers()) {
        return false;
    }
    for (unsigned index = 0; index < exp_range.nodes * EXP_BIN_COUNT; index++) {
        unsigned class_index = index & VERIFY_CLASS_MASK;
        if (class_index >= EXP_CLASS_SMALL && class_index < EXP_CLASS_COUNT &&
            !verify_store(index / EXP_BIN_COUNT, index % EXP_BIN_COUNT)) {
            return false;
        }
    }
    for (const struct exp_owner *owner = exp_owner_first(); owner != NULL; owner = owner->next) {
        if (!verify_owner(owner)) {
            return false;
        }
    }
    if (!verify_slots()) {
        return false;
    }
    for (uint32_t first = 0; first < exp_tag_count(); first += VERIFY_NUMBERS) {
        if (!verify_rows(first)) {
            return false;
        }
    }
    return true;
}

static void lock_all(bool acquire)
{
    for (unsigned index = 0; index < exp_range.nodes * EXP_BIN_COUNT; index++) {
        struct exp_store_view view;
        exp_store_view(index / EXP_BIN_COUNT, index % EXP_BIN_COUNT, &view);
        if (acquire) {
            exp_lock_acquire(view.lock);
        } else {
            exp_lock_release(view.lock);
        }
    }
    if (acquire) {
        exp_lock_acquire(&exp_span.lock);
    } else {
        exp_lock_release(&exp_span.lock);
    }
}

bool exp_verify_all(struct exp_verify_fault *fault)
{
    *fault = (struct exp_verify_fault){ .what = EXP_VERIFY_FITS };
    exp_owner_hold();
    lock_all(true);
    __builtin_memset(&exp_verify, 0, sizeof(exp_verify));
    exp_verify.fault = fault;
    exp_verify.records = (uint32_t)(exp_range.span_table.used_bytes / sizeof(struct exp_span));
    bool fits = exp_range.bytes == 0 || verify_locked();
    lock_all(false);
    exp_owner_release();
    return fits;
}
