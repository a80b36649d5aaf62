/* SPDX-License-Identifier: MIT */
/*
 * This file owns how slots lie in spans, and their states.
 *
 *   run of a small class (48 bytes, 3 pages)      states of one page: k slots, then a hole
 *   | s0 s1 ... s84 .| s0 s1 ... s84 .| ... |     | st0 st1 ... st84 HOLE |
 *
 *   block with a tail (5 KiB)                     map of the last page: class of the tail
 *   | page 0         | 1024 | s4 s5 ... s15  |    states: taboo x 4, st4 ... st15, HOLE
 *
 * The map entry of a page says bin and first state in one word; a later page of a block says how
 * many pages back it starts. Slots of a tail lie where they would lie in a whole page, so that one
 * division serves both; the places that the block covers have the state of a hole for as long.
 * One-page blocks with a tail ("first part") keep their own entry until the tail is taken; then the
 * entry is the tail's, and the block is found through the tail's parent.
 *
 * States are taken in extents, whose size depends only on the class and on one page or many; an
 * extent that comes back is kept for its class, so that a hole stays a hole and a stale address
 * never reads another kind of word.
 *
 * Invariants: slots_free = bits set + slots - slots_fresh, slots_fresh >= slots_taboo; a slot whose
 * bit is set has state 0; a tail's run is unmade before its page is given, and a parent that goes
 * first leaves the page to its tail.
 *
 * Locks: slots, bits and counts under the store lock of the bin; tails and extents under the span
 * lock.
 */
#include "core/run.h"

#include <expool/port.h>

#include "core/option.h"
#include "core/side.h"

enum {
    RUN_TAIL_BINS = 4,          /* tails on offer by KiB */
    RUN_TAIL_BYTES_MIN = 256,   /* a shorter rest is not offered */
    RUN_TAIL_SLOT_BYTES = 1024, /* largest class served from tails */
    RUN_BIG_STEPS = 1024,       /* spans and slots looked at while the lock is held once */
};

/* Under the span lock. */
static struct {
    struct exp_link extents[1 << EXP_CLASS_BITS][2]; /* holders of free states; 1 = one page */
    struct exp_link tails[EXP_PORT_NODES_MAX][3][RUN_TAIL_BINS]; /* parents, by ->age */
} run_lists;

void exp_run_start(void)
{
    for (unsigned index = 0; index < exp_range.nodes * 3; index++) {
        for (unsigned bin = 0; bin < RUN_TAIL_BINS; bin++) {
            exp_list_init(&run_lists.tails[index / 3][index % 3][bin]);
        }
    }
    for (unsigned class_index = 0; class_index < 1 << EXP_CLASS_BITS; class_index++) {
        exp_list_init(&run_lists.extents[class_index][0]);
        exp_list_init(&run_lists.extents[class_index][1]);
    }
}

/* States for slots of a class in pages; 0: no memory. */
static uint32_t states_take(unsigned class_index, size_t pages, size_t count)
{
    struct exp_link *list = &run_lists.extents[class_index][pages == 1];
    if (!exp_list_empty(list)) {
        struct exp_span *holder = EXP_CONTAINER(list->next, struct exp_span, link);
        if (holder->state_count >= count) {
            uint32_t first = holder->first_state;
            exp_list_remove(&holder->link);
            exp_span_record_give(holder);
            return first;
        }
    }
    if (exp_range.state_table.used_bytes == 0 &&
        exp_range_table_take(&exp_range.state_table, sizeof(uint16_t)) == NULL) {
        return 0; /* index 0 is nobody's */
    }
    uint16_t *states = exp_range_table_take(&exp_range.state_table, count * sizeof(uint16_t));
    return states == NULL ? 0 : (uint32_t)(states - exp_range.states);
}

static void states_give(unsigned class_index, size_t pages, uint32_t first, size_t count)
{
    struct exp_span *holder = exp_span_record_take();
    if (holder != NULL) {
        holder->use = EXP_SPAN_NONE;
        holder->first_state = first;
        holder->state_count = (uint16_t)count;
        exp_list_push_front(&run_lists.extents[class_index][pages == 1], &holder->link);
    }
}

static size_t state_count_of(const struct exp_class *class, size_t pages)
{
    if (class->page_slots != 0) {
        return pages * (class->page_slots + 1u);
    }
    return class->slot_pages == 0 ? 1 : pages / class->slot_pages;
}

/* Bytes at the end of the block's last page that are not the block's. */
static size_t tail_bytes_of(const struct exp_span *span)
{
    if (span->class_index == EXP_CLASS_LARGE) {
        return ((size_t)span->pages << EXP_PAGE_SHIFT) - (size_t)span->held_bytes;
    }
    return exp_classes[span->class_index].tail_bytes;
}

/* Pages from one slot to the next. */
static size_t slot_pages_of(const struct exp_span *span)
{
    return span->class_index == EXP_CLASS_LARGE ? span->pages
                                                : exp_classes[span->class_index].slot_pages;
}

/* Let small classes find a block's span when one of its slots has a tail that nobody uses. */
static void tail_offer(struct exp_span *parent)
{
    size_t bytes = tail_bytes_of(parent);
    size_t slots = parent->pages / slot_pages_of(parent);
    if (bytes >= RUN_TAIL_BYTES_MIN && parent->tails < slots && !exp_list_member(&parent->age) &&
        exp_option_value(EXP_OPTION_TAIL_REUSE) != 0) {
        exp_list_push_front(&run_lists.tails[parent->node][parent->pool][bytes / 1024],
                            &parent->age);
    }
}

static void tail_withdraw(struct exp_span *parent)
{
    if (exp_list_member(&parent->age)) {
        exp_list_remove(&parent->age);
    }
}

static uint64_t interior_entry(const struct exp_span *span, size_t distance)
{
    unsigned bin = (unsigned)span->pool << EXP_CLASS_BITS | EXP_CLASS_INTERIOR;
    return exp_range_entry((uint32_t)distance, bin);
}

/* Entry of the first page of slot number slot of a page class, or of a large block. */
static uint64_t first_entry(const struct exp_span *span, size_t slot)
{
    unsigned bin = (unsigned)span->pool << EXP_CLASS_BITS | span->class_index;
    return exp_range_entry(span->first_state + (uint32_t)slot, bin);
}

static void map_small(struct exp_span *run, const struct exp_class *class)
{
    unsigned bin = (unsigned)run->pool << EXP_CLASS_BITS | run->class_index;
    unsigned stride = class->page_slots + 1u;
    for (size_t index = 0; index < run->pages; index++) {
        uint32_t first = run->first_state + (uint32_t)(index * stride);
        exp_atomic_store(&exp_range.states[first + class->page_slots], EXP_STATE_HOLE);
        for (unsigned taboo = 0; taboo < run->slots_taboo; taboo++) {
            exp_atomic_store(&exp_range.states[first + taboo], EXP_STATE_HOLE);
        }
        exp_range_map_set(run->page + index, 1, exp_range_entry(first, bin));
    }
}

static void map_pages(const struct exp_span *span, size_t slot_pages)
{
    size_t slot = 0;
    for (size_t page = 0; page < span->pages; page += slot_pages, slot++) {
        exp_range_map_set(span->page + page, 1, first_entry(span, slot));
        for (size_t distance = 1; distance < slot_pages; distance++) {
            exp_range_map_set(span->page + page + distance, 1, interior_entry(span, distance));
        }
    }
}

static void fill_record(struct exp_span *run, unsigned class_index, uint32_t first_state)
{
    run->class_index = (uint8_t)class_index;
    run->first_state = first_state;
    run->slots_fresh = run->slots_taboo;
    run->slots_free = (uint16_t)(run->slots - run->slots_taboo);
    for (unsigned word = 0; word < EXP_SPAN_WORDS; word++) {
        run->bits[word] = 0;
    }
}

/* Last page of the first slot whose tail nobody uses; there is one. */
static uint32_t tail_page_of(const struct exp_span *parent)
{
    uint32_t step = (uint32_t)slot_pages_of(parent);
    uint32_t page = parent->page + step - 1;
    while (exp_span_of(page) != parent) {
        page += step;
    }
    return page;
}

/* A run in the tail of some block of a node, or NULL. Span lock held. */
static struct exp_span *make_in_tail(unsigned node, unsigned pool, unsigned class_index)
{
    const struct exp_class *class = &exp_classes[class_index];
    struct exp_span *parent = NULL;
    size_t taboo = 0;
    for (int bin = RUN_TAIL_BINS - 1; bin >= 0 && parent == NULL; bin--) {
        struct exp_link *list = &run_lists.tails[node][pool][bin];
        if (!exp_list_empty(list)) {
            parent = EXP_CONTAINER(list->next, struct exp_span, age);
            size_t start = EXP_PAGE_BYTES - tail_bytes_of(parent);
            taboo = (start + class->size_bytes - 1) / class->size_bytes;
            parent = taboo < class->page_slots ? parent : NULL;
        }
    }
    struct exp_span *run = parent == NULL ? NULL : exp_span_record_take();
    if (run == NULL) {
        return NULL;
    }
    uint32_t first_state = states_take(class_index, 1, class->page_slots + 1u);
    if (first_state == 0) {
        exp_span_record_give(run);
        return NULL;
    }
    run->page = tail_page_of(parent);
    run->pages = 1;
    run->pool = (uint8_t)pool;
    run->node = (uint8_t)node;
    run->zero = false;
    run->slots = class->page_slots;
    run->slots_taboo = (uint16_t)taboo;
    run->tails = 0;
    run->parent = exp_span_index(parent);
    parent->tails++;
    if (parent->tails == parent->pages / slot_pages_of(parent)) {
        exp_list_remove(&parent->age);
    }
    fill_record(run, class_index, first_state);
    exp_atomic_store_release(&exp_range.span_of[run->page], exp_span_index(run));
    map_small(run, class);
    run->use = EXP_SPAN_RUN; /* last: a copy of the process sees it whole or not at all */
    return run;
}

/* Pages of a new run: in a pool with a limit no more than one slot or one page needs. */
static size_t pages_wanted(unsigned pool, const struct exp_class *class)
{
    bool limited = exp_option_value(pool == 2 ? EXP_OPTION_PAGED_LIMIT
                                              : EXP_OPTION_NONPAGED_LIMIT) != UINT64_MAX;
    return limited ? class->slot_pages : class->run_pages;
}

struct exp_span *exp_run_make(unsigned node, unsigned pool, unsigned class_index)
{
    const struct exp_class *class = &exp_classes[class_index];
    if (class->size_bytes <= RUN_TAIL_SLOT_BYTES) {
        exp_lock_acquire(&exp_span.lock);
        struct exp_span *run = make_in_tail(node & ~EXP_SPAN_NODE_ONLY, pool, class_index);
        exp_lock_release(&exp_span.lock);
        if (run != NULL) {
            return run;
        }
    }
    size_t pages = pages_wanted(pool, class);
    struct exp_span *run = exp_span_take(node, pool, pages);
    if (run == NULL) {
        return NULL;
    }
    exp_lock_acquire(&exp_span.lock);
    uint32_t first_state = states_take(class_index, pages, state_count_of(class, pages));
    if (first_state == 0) {
        run->class_index = (uint8_t)class_index;
        exp_span_give(run);
        exp_lock_release(&exp_span.lock);
        return NULL;
    }
    size_t slots = class->page_slots != 0 ? pages * class->page_slots : pages / class->slot_pages;
    run->slots = (uint16_t)slots;
    fill_record(run, class_index, first_state);
    if (class->page_slots != 0) {
        map_small(run, class);
    } else {
        map_pages(run, class->slot_pages);
        tail_offer(run);
    }
    run->use = EXP_SPAN_RUN;
    exp_lock_release(&exp_span.lock);
    return run;
}

/* The run of a tail goes, its block stays. Span lock held. */
static void unmake_tail(struct exp_span *run)
{
    struct exp_span *parent = exp_span_at(run->parent);
    size_t slot_pages = slot_pages_of(parent);
    size_t slot = (run->page - parent->page) / slot_pages;
    size_t distance = (run->page - parent->page) % slot_pages;
    uint64_t entry = distance == 0 ? first_entry(parent, slot) : interior_entry(parent, distance);
    exp_atomic_store_release(&exp_range.span_of[run->page], run->parent);
    exp_range_map_set(run->page, 1, entry);
    parent->tails--;
    exp_span_record_give(run);
    tail_offer(parent);
}

/* Give pages [first, end) of a span that is taken apart, by a record of their own. */
static void give_part(const struct exp_span *span, size_t first, size_t end)
{
    struct exp_span *part = first == end ? NULL : exp_span_record_take();
    if (part != NULL) { /* without memory for a record the pages stay used */
        part->use = EXP_SPAN_MOVING;
        part->page = (uint32_t)first;
        part->pages = (uint32_t)(end - first);
        part->pool = span->pool;
        part->node = span->node;
        part->class_index = span->class_index;
        exp_span_give(part);
    }
}

/*
 * Give the pages of a span whose slots are all free. Pages with a tail's run stay, each owned by
 * that run from now on.
 */
static void give_pages(struct exp_span *span)
{
    tail_withdraw(span);
    if (span->tails == 0) {
        exp_span_give(span);
        return;
    }
    size_t first = span->page;
    size_t end = first + span->pages;
    for (size_t page = first; page < end; page++) {
        struct exp_span *run = exp_span_of(page);
        if (run != span) {
            run->parent = 0;
            give_part(span, first, page);
            first = page + 1;
        }
    }
    give_part(span, first, end);
    exp_span_record_give(span);
}

void exp_run_unmake(struct exp_span *run)
{
    const struct exp_class *class = &exp_classes[run->class_index];
    exp_lock_acquire(&exp_span.lock);
    run->use = EXP_SPAN_MOVING;
    size_t count = state_count_of(class, run->pages);
    uint32_t first_state = run->first_state;
    for (unsigned taboo = 0; taboo < run->slots_taboo; taboo++) {
        exp_atomic_store(&exp_range.states[first_state + taboo], EXP_STATE_FREE);
    }
    if (exp_option_value(EXP_OPTION_GUARD) != 0) {
        exp_side_forget(&exp_range.states[first_state], count);
    }
    unsigned class_index = run->class_index;
    size_t pages = run->pages;
    if (run->parent != 0) {
        unmake_tail(run);
    } else {
        give_pages(run);
    }
    states_give(class_index, pages, first_state, count);
    exp_lock_release(&exp_span.lock);
}

/* Page and offset of a slot, and its state. */
static void slot_entry(const struct exp_span *run,
                       const struct exp_class *class,
                       unsigned slot,
                       struct exp_run_entry *entry)
{
    uint32_t state = run->first_state + slot;
    char *block = exp_range_page(run->page);
    if (class->page_slots != 0) {
        unsigned page = slot / class->page_slots;
        block +=
            page * EXP_PAGE_BYTES + (size_t)(slot - page * class->page_slots) * class->size_bytes;
        state += page;
    } else {
        block += (size_t)slot * class->slot_pages * EXP_PAGE_BYTES;
    }
    entry->block = (uintptr_t)block;
    entry->state = &exp_range.states[state];
}

size_t exp_run_take(struct exp_span *run, struct exp_run_entry *last, size_t count)
{
    const struct exp_class *class = &exp_classes[run->class_index];
    size_t taken = 0;
    for (unsigned word = 0; word < EXP_SPAN_WORDS && taken < count; word++) {
        uint64_t bits = run->bits[word];
        while (bits != 0 && taken < count) {
            unsigned slot = word * 64 + exp_bit_lowest(bits);
            bits &= bits - 1;
            slot_entry(run, class, slot, last - taken);
            taken++;
        }
        run->bits[word] = bits;
    }
    while (taken < count && run->slots_fresh < run->slots) {
        slot_entry(run, class, run->slots_fresh, last - taken);
        (last - taken)->block |= run->zero ? EXP_RUN_ZERO : 0;
        run->slots_fresh++;
        taken++;
    }
    run->slots_free = (uint16_t)(run->slots_free - taken);
    return taken;
}

/* Span of a block that is the start of a slot. */
static struct exp_span *run_of(size_t page, unsigned class_index)
{
    if (class_index < EXP_CLASS_FIRST_PART || class_index >= EXP_CLASS_PAGE) {
        return exp_span_of(page);
    }
    /* A first part shares its page with a tail's run, which may come and go. */
    exp_lock_acquire(&exp_span.lock);
    struct exp_span *run = exp_span_of(page);
    run = run->parent != 0 ? exp_span_at(run->parent) : run;
    exp_lock_release(&exp_span.lock);
    return run;
}

struct exp_span *exp_run_give(const void *block, unsigned class_index)
{
    const struct exp_class *class = &exp_classes[class_index];
    size_t offset = exp_range_offset(block);
    size_t page = offset >> EXP_PAGE_SHIFT;
    struct exp_span *run = run_of(page, class_index);
    size_t index = page - run->page;
    size_t inside = offset & EXP_PAGE_MASK;
    unsigned slot = (unsigned)(class->page_slots != 0
                                   ? index * class->page_slots + (inside * class->multiplier >> 32)
                                   : index / class->slot_pages);
    if (run->use != EXP_SPAN_RUN || run->class_index != class_index || index >= run->pages ||
        slot < run->slots_taboo || slot >= run->slots_fresh) {
        return NULL; /* the slot came back before, and its run has gone since */
    }
    uint64_t bit = (uint64_t)1 << (slot % 64);
    if ((run->bits[slot / 64] & bit) != 0) {
        return NULL;
    }
    run->bits[slot / 64] |= bit;
    run->slots_free++;
    return run;
}

struct exp_span *exp_run_large_make(
    unsigned node, unsigned pool, size_t bytes, size_t alignment, bool donate)
{
    size_t rounded;
    if (exp_add_overflows(bytes, EXP_PAGE_MASK, &rounded)) {
        return NULL;
    }
    size_t pages = exp_max(rounded >> EXP_PAGE_SHIFT, 1);
    struct exp_span *large = exp_span_take_aligned(node, pool, pages, alignment);
    if (large == NULL) {
        return NULL;
    }
    exp_lock_acquire(&exp_span.lock);
    large->class_index = EXP_CLASS_LARGE;
    large->first_state = states_take(EXP_CLASS_LARGE, 1, 1);
    if (large->first_state == 0) {
        exp_span_give(large);
        exp_lock_release(&exp_span.lock);
        return NULL;
    }
    size_t tail_bytes = (pages << EXP_PAGE_SHIFT) - exp_round_up(bytes, EXP_GRANULE);
    donate = donate && pages > 1 && tail_bytes >= RUN_TAIL_BYTES_MIN &&
             exp_option_value(EXP_OPTION_TAIL_REUSE) != 0;
    large->held_bytes = (pages << EXP_PAGE_SHIFT) - (donate ? tail_bytes : 0);
    map_pages(large, pages);
    tail_offer(large);
    large->use = EXP_SPAN_LARGE;
    exp_lock_release(&exp_span.lock);
    return large;
}

void exp_run_large_unmake(struct exp_span *large)
{
    uint32_t first_state = large->first_state;
    exp_lock_acquire(&exp_span.lock);
    large->use = EXP_SPAN_MOVING;
    give_pages(large);
    states_give(EXP_CLASS_LARGE, 1, first_state, 1);
    exp_lock_release(&exp_span.lock);
}

/* Keep the first pages of a large block. Span lock held. */
static void large_shrink(struct exp_span *large, size_t pages)
{
    size_t rest = large->pages - pages;
    struct exp_span *second = rest == 0 ? NULL : exp_span_split(large, rest);
    if (second != NULL) {
        exp_span_give(second);
    }
}

bool exp_run_large_resize(struct exp_span *large, size_t bytes)
{
    size_t rounded;
    if (exp_add_overflows(bytes, EXP_PAGE_MASK, &rounded)) {
        return false;
    }
    size_t pages = exp_max(rounded >> EXP_PAGE_SHIFT, 1);
    size_t old_pages = large->pages;

    exp_lock_acquire(&exp_span.lock);
    uint64_t old_held = large->held_bytes;
    if (large->tails != 0) {
        exp_lock_release(&exp_span.lock);
        return bytes <= old_held; /* the rest of its last page is another's */
    }
    tail_withdraw(large);
    large->held_bytes = (uint64_t)old_pages << EXP_PAGE_SHIFT;
    if (pages <= old_pages) {
        large_shrink(large, pages);
        large->held_bytes = (uint64_t)large->pages << EXP_PAGE_SHIFT;
    }
    exp_lock_release(&exp_span.lock);
    if (pages <= old_pages) {
        return true;
    }
    bool extended = exp_span_extend(large, pages - old_pages);
    exp_lock_acquire(&exp_span.lock);
    if (extended) {
        for (size_t distance = old_pages; distance < pages; distance++) {
            exp_range_map_set(large->page + distance, 1, interior_entry(large, distance));
        }
        large->held_bytes = (uint64_t)pages << EXP_PAGE_SHIFT;
    } else {
        large->held_bytes = old_held;
        tail_offer(large);
    }
    exp_lock_release(&exp_span.lock);
    return extended;
}

/* A block's start, given its span: live or free. */
static struct exp_run_place place_start(struct exp_span *span,
                                        uint16_t *state,
                                        struct exp_run_place place)
{
    place.span = span;
    place.state = state;
    place.class_index = span->class_index;
    place.size_bytes = span->class_index == EXP_CLASS_LARGE
                           ? (size_t)span->held_bytes
                           : exp_classes[span->class_index].size_bytes;
    uint16_t value = exp_atomic_load(state);
    place.what = value == EXP_STATE_FREE   ? EXP_RUN_FREED
                 : value == EXP_STATE_HOLE ? EXP_RUN_INSIDE
                                           : EXP_RUN_LIVE;
    return place;
}

static struct exp_run_place find_interior(size_t page,
                                          size_t distance,
                                          size_t inside,
                                          struct exp_run_place place)
{
    uint64_t entry = exp_atomic_load(&exp_range_map()[page - distance]);
    uint16_t *state = &exp_range.states[exp_range_entry_state(entry)];
    place = place_start(exp_span_of(page - distance), state, place);
    place.offset_bytes = (distance << EXP_PAGE_SHIFT) + inside;
    place.what = place.what == EXP_RUN_LIVE ? EXP_RUN_INTERIOR : EXP_RUN_FREED;
    place.state = NULL;
    return place;
}

/* Before the tail of a page: a first part, or the end of a block of several pages. */
static struct exp_run_place find_head(struct exp_span *tail,
                                      size_t page,
                                      size_t inside,
                                      struct exp_run_place place)
{
    if (tail->parent == 0) {
        place.what = EXP_RUN_FREED;
        place.class_index = EXP_CLASS_PAGE;
        return place;
    }
    struct exp_span *parent = exp_span_at(tail->parent);
    size_t slot_pages = slot_pages_of(parent);
    size_t slot = (page - parent->page) / slot_pages;
    size_t distance = (page - parent->page) % slot_pages;
    if (distance != 0) {
        return find_interior(page, distance, inside, place);
    }
    place = place_start(parent, &exp_range.states[parent->first_state + slot], place);
    if (inside != 0) {
        place.what = EXP_RUN_INSIDE;
        place.state = NULL;
    }
    return place;
}

/* exp_run_find with the span lock held. */
static struct exp_run_place find_locked(const void *address)
{
    size_t offset = exp_range_offset(address);
    size_t page = offset >> EXP_PAGE_SHIFT;
    size_t inside = offset & EXP_PAGE_MASK;
    uint64_t entry = exp_atomic_load(&exp_range_map()[page]);
    unsigned bin = (unsigned)exp_range_entry_bin(entry);
    unsigned class_index = bin & ((1u << EXP_CLASS_BITS) - 1);
    struct exp_run_place place = { .what = EXP_RUN_NEVER,
                                   .class_index = class_index,
                                   .pool = bin >> EXP_CLASS_BITS };
    switch (class_index) {
    case EXP_CLASS_NEVER:
        return place;
    case EXP_CLASS_FREED:
        place.what = EXP_RUN_FREED;
        place.class_index = exp_range_entry_state(entry);
        return place;
    case EXP_CLASS_INTERIOR:
        return find_interior(page, exp_range_entry_state(entry), inside, place);
    default:
        break;
    }
    struct exp_span *span = exp_span_of(page);
    const struct exp_class *class = &exp_classes[class_index];
    if (inside < (size_t)span->slots_taboo * class->size_bytes) {
        return find_head(span, page, inside, place);
    }
    uint32_t multiplier = class_index == EXP_CLASS_LARGE ? 1 : class->multiplier;
    uint64_t product = (uint64_t)inside * multiplier;
    if ((uint32_t)product >= multiplier) {
        place.what = EXP_RUN_INSIDE;
        place.span = span;
        return place;
    }
    uint16_t *state = &exp_range.states[exp_range_entry_state(entry) + (product >> 32)];
    return place_start(span, state, place);
}

struct exp_run_place exp_run_find(const void *address)
{
    exp_lock_acquire(&exp_span.lock);
    struct exp_run_place place = find_locked(address);
    exp_lock_release(&exp_span.lock);
    return place;
}

void exp_run_child(bool torn)
{
    if (!torn) {
        return;
    }
    exp_run_start();
    struct exp_span *end =
        (struct exp_span *)(void *)(exp_range.span_table.start + exp_range.span_table.used_bytes);
    for (struct exp_span *span = exp_span_at(1); span < end; span++) {
        if (span->use == EXP_SPAN_RUN || span->use == EXP_SPAN_LARGE) {
            span->age.next = NULL;
            tail_offer(span);
        }
    }
}

void exp_run_rebuild(struct exp_span *run)
{
    const struct exp_class *class = &exp_classes[run->class_index];
    run->slots_free = 0;
    run->slots_fresh = run->slots;
    for (unsigned slot = 0; slot < run->slots; slot++) {
        struct exp_run_entry entry;
        slot_entry(run, class, slot, &entry);
        uint64_t bit = (uint64_t)1 << (slot % 64);
        run->bits[slot / 64] &= ~bit;
        if (slot >= run->slots_taboo && exp_atomic_load(entry.state) == EXP_STATE_FREE) {
            run->bits[slot / 64] |= bit;
            run->slots_free++;
        }
    }
}

struct exp_link *exp_run_offers(unsigned node, unsigned pool, unsigned bin)
{
    return bin < RUN_TAIL_BINS ? &run_lists.tails[node][pool][bin] : NULL;
}

/* The block in a slot of whole pages; false: it is free. Span lock held. */
static bool big_at(const struct exp_span *span, size_t slot, struct exp_run_big *big)
{
    size_t slot_pages = slot_pages_of(span);
    const uint16_t *place = &exp_range.states[span->first_state + slot];
    uint32_t state = exp_atomic_load_acquire(place);
    if (state == EXP_STATE_FREE || state == EXP_STATE_HOLE) {
        return false;
    }
    big->block = exp_range_page(span->page + slot * slot_pages);
    big->span_bytes = span->use == EXP_SPAN_LARGE
                          ? exp_round_up((size_t)span->held_bytes, EXP_PAGE_BYTES)
                          : slot_pages << EXP_PAGE_SHIFT;
    big->number = exp_side_number(place, state);
    big->pool = span->pool;
    return true;
}

/* Span in use or free that has a page, or NULL: the middle of a free one has old names. */
static const struct exp_span *span_with(size_t page)
{
    const struct exp_span *span = exp_span_of(page);
    bool has = span->use != EXP_SPAN_NONE && page >= span->page && page - span->page < span->pages;
    return has ? span : NULL;
}

/*
 * Where the walk stands is a page. Since nobody can know what became of that page between two
 * calls, each step asks anew whose it is, and passes over what it knows to be of one span.
 */
size_t exp_run_copy_big(size_t *where, struct exp_run_big *blocks, size_t capacity)
{
    size_t chunk_pages = exp_range.chunk_pages;
    size_t end = exp_range.chunk_count * chunk_pages;
    size_t page = exp_max(*where, exp_range.chunk_first * chunk_pages);
    size_t count = 0;
    exp_lock_acquire(&exp_span.lock);
    for (int step = 0; step < RUN_BIG_STEPS && page < end && count < capacity; step++) {
        size_t chunk = page / chunk_pages;
        const struct exp_span *span = exp_range.chunks[chunk] == 0 ? NULL : span_with(page);
        if (span == NULL) {
            page = exp_range.chunks[chunk] == 0 ? (chunk + 1) * chunk_pages : page + 1;
        } else if ((span->use != EXP_SPAN_RUN && span->use != EXP_SPAN_LARGE) ||
                   (span->class_index < EXP_CLASS_PAGE && span->class_index != EXP_CLASS_LARGE)) {
            page = (size_t)span->page + span->pages;
        } else {
            size_t slot_pages = slot_pages_of(span);
            size_t slot = (page - span->page) / slot_pages;
            bool first = page == span->page + slot * slot_pages;
            count += first && big_at(span, slot, &blocks[count]) ? 1 : 0;
            page = span->page + (slot + 1) * slot_pages;
        }
    }
    exp_lock_release(&exp_span.lock);
    *where = page < end ? page : EXP_RUN_BIG_END;
    return count;
}
