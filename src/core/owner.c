/* SPDX-License-Identifier: MIT */
/*
 * This file owns the owners: birth, caches, private tables, death, and what a fork leaves of them.
 *
 * An owner lies in our own heap, which survives a fork; its tag tables and its table from number to
 * row lie in the wiped half, so that the first call in a copy of the process finds them empty and
 * comes here by the slow path, whatever way the copy was made. `alive` is the word that tells.
 *
 * A column that the IRQL forbids has its table replaced by an empty one as large, so that the fast
 * paths of calls with a tag learn it from the lookup they make anyway.
 *
 * Caches start small and double when they are refilled or flushed often, up to a number of slots, a
 * number of bytes, and a sum over all caches of the owner and of all owners. A refill takes half a
 * cache, a flush gives the older half.
 *
 * A private tag table is a hash with one place for each tag to be found on the fast path and linear
 * probing behind it; it grows until few tags lie off their first place. The fast path looks at the
 * first place only; every other lookup is here.
 *
 * A dead owner keeps its rows and goes to the next thread that is born, so rows grow with the
 * largest number of threads alive at once, not with the number ever born.
 *
 * Threads without an owner (before the first can be made, after their last destructor, or when
 * memory is short) share one, behind a lock, without caches.
 */
#include "core/owner.h"

#include "core/option.h"

enum {
    OWNER_CACHE_SLOTS_START = 31, /* with the guard a power of two */
    OWNER_CACHE_SLOTS_MAX = 1023,
    OWNER_CACHE_BYTES_MAX = 256 << 10, /* of one cache */
    OWNER_BYTES_MAX = 2 << 20,         /* of all caches of one owner */
    OWNER_VISITS_GROW = 2,             /* refills and flushes until a cache doubles */
    OWNER_TAG_BITS_START = 6,
    OWNER_TAG_BITS_MAX = 16,
    OWNER_ALIVE = 1, /* values of the word alive; 0: just copied */
    OWNER_MENDING = 2,
    OWNER_ROW_OF_START = 128,
    OWNER_LOCKS_MAX = 8,
};

#define OWNER_ALL_BYTES_MAX ((uint64_t)64 << 20) /* of the caches of all owners */

/* An empty table as large as the largest; never written, so it costs addresses only. */
static struct exp_owner_tag none_tags[1 << OWNER_TAG_BITS_MAX];

static uint16_t none_state = EXP_STATE_HOLE;
static struct exp_run_entry none_entry = { 0, &none_state };

struct exp_owner exp_owner_none = {
    .caches = { [0 ... EXP_BIN_COUNT - 1] = { .top = &none_entry + 1,
                                              .end = &none_entry + 1,
                                              .bottom = &none_entry + 1 } },
    .tags = { none_tags, none_tags },
};

EXP_EXPORT uint32_t exp_wdk_generation;

static struct {
    struct exp_lock lock;   /* EXP_RANK_OWNERS: the list, named, start */
    struct exp_owner *list; /* all owners ever made */
    struct exp_owner common;
    struct exp_lock common_lock; /* EXP_RANK_COMMON */
    uint32_t *alive;             /* atomic, on a wiped page: 0 in a copy of the process */
    struct exp_owner *survivor;  /* in a copy, until mended: the owner of the thread that forked */
    uint32_t started;            /* atomic: 1 = the pool serves */
    uint64_t cached_bytes_max;   /* atomic: over all owners */
    uint64_t owners;
    void *locks[OWNER_LOCKS_MAX]; /* atomic, from NULL once: exp_owner_at_child */
} exp_owners = {
    .lock = { 0, EXP_RANK_OWNERS },
    .common_lock = { 0, EXP_RANK_COMMON },
};

/* Mask for offsets of places in a table of 2^bits. */
static uint32_t tag_mask(unsigned bits)
{
    return (uint32_t)(((UINT32_C(1) << bits) - 1) * sizeof(struct exp_owner_tag));
}

/*
 * Let the fast paths find a row: by tag, and by number unless a free must look closer (protected
 * tags, numbers that no state can hold).
 */
static void row_enter(struct exp_owner *owner, uint32_t number, unsigned column)
{
    struct expool_region_row *row = owner->row_kept[number * 2 + column];
    uint32_t tag = exp_tag_of(number);
    if (number > EXP_STATE_NUMBER_MAX) {
        return;
    }
    if ((tag & EXP_TAG_PROTECTED) == 0) {
        owner->row_of[column][number] = row;
    }
    struct exp_owner_tag *tags = owner->tags_kept[column];
    size_t mask = owner->tag_mask / sizeof(*tags);
    if (owner->tag_count[column] >= mask / 2) {
        return; /* the table could not grow: found by the slow path */
    }
    owner->tag_count[column]++;
    size_t place = (size_t)(exp_owner_place(owner, column, tag) - owner->tags[column]);
    while (tags[place].tag != 0) {
        place = (place + 1) & mask;
    }
    tags[place] = (struct exp_owner_tag){ tag, (uint16_t)number, row };
}

/* Fill all tables of the fast paths from row_kept. */
static void tables_fill(struct exp_owner *owner)
{
    size_t table_bytes = owner->tag_mask + sizeof(struct exp_owner_tag);
    for (unsigned column = 0; column < 2; column++) {
        owner->tag_count[column] = 0;
        __builtin_memset(owner->tags_kept[column], 0, table_bytes);
        __builtin_memset(
            owner->row_of[column], 0, owner->row_numbers * sizeof(*owner->row_of[column]));
    }
    for (uint32_t index = 0; index < owner->row_of_count; index++) {
        if (owner->row_kept[index] != NULL) {
            row_enter(owner, index / 2, index % 2);
        }
    }
    owner->refresh = false;
}

/* One piece of memory is the tables of both columns. */
static void rows_set(struct exp_owner *owner, struct expool_region_row **row_of, size_t count)
{
    owner->row_of[0] = row_of;
    owner->row_of[1] = row_of + count / 2;
    owner->row_numbers = count / 2;
    owner->row_of_count = (uint32_t)count;
}

static bool owner_tables(struct exp_owner *owner)
{
    owner->tag_mask = tag_mask(OWNER_TAG_BITS_START);
    for (unsigned column = 0; column < 2; column++) {
        owner->tags[column] = exp_range_heap_take(
            EXP_RANGE_WIPED, sizeof(struct exp_owner_tag) << OWNER_TAG_BITS_START);
        owner->tags_kept[column] = owner->tags[column];
    }
    struct expool_region_row **row_of =
        exp_range_heap_take(EXP_RANGE_WIPED, OWNER_ROW_OF_START * sizeof(*row_of));
    owner->row_kept =
        exp_range_heap_take(EXP_RANGE_KEPT, OWNER_ROW_OF_START * sizeof(*owner->row_kept));
    if (row_of == NULL || owner->row_kept == NULL || owner->tags[0] == NULL ||
        owner->tags[1] == NULL) {
        return false;
    }
    rows_set(owner, row_of, OWNER_ROW_OF_START);
    exp_owner_block(owner, 0, false);
    exp_owner_block(owner, 1, false);
    for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
        const struct exp_class *class = &exp_classes[bin & ((1u << EXP_CLASS_BITS) - 1)];
        owner->caches[bin].multiplier = class->multiplier;
        owner->caches[bin].size_bytes = class->size_bytes;
        owner->caches[bin].top = &none_entry + 1;
        owner->caches[bin].end = &none_entry + 1;
        owner->caches[bin].bottom = &none_entry + 1;
    }
    return true;
}

/*
 * Everything that a first call needs. Owners lock held.
 *
 *   returns   1; 0: something could not be had, and the next call tries again
 */
static uint32_t start(void)
{
    uint32_t started = 0;
    if (exp_range_start() && exp_span_start()) {
        exp_run_start();
        exp_store_start();
        exp_owners.alive = exp_range_heap_take(EXP_RANGE_WIPED, sizeof(uint32_t));
        if (exp_tag_start() && exp_owners.alive != NULL && owner_tables(&exp_owners.common)) {
            *exp_owners.alive = OWNER_ALIVE;
            exp_owners.common.named = true;
            exp_span.region = exp_tag_region();
            exp_tag_publish_options();
            started = 1;
        }
    }
    if (started != 1) {
        exp_range = (struct exp_range){ 0 }; /* nothing is inside: every request gets NULL */
    }
    return started;
}

/* A dead owner, or a new one, or NULL. */
static struct exp_owner *owner_find(void)
{
    exp_lock_acquire(&exp_owners.lock);
    struct exp_owner *owner = exp_owners.list;
    while (owner != NULL && owner->named) {
        owner = owner->next;
    }
    if (owner == NULL) {
        owner = exp_range_heap_take(EXP_RANGE_KEPT, sizeof(*owner));
        if (owner != NULL && owner_tables(owner)) {
            owner->next = exp_owners.list;
            exp_owners.list = owner;
        } else {
            owner = NULL; /* memory for our own structures has run out for good */
        }
    }
    if (owner != NULL) {
        owner->named = true;
        exp_owners.owners++;
        exp_atomic_store(&exp_tag_region()->owners, exp_owners.owners);
    }
    exp_lock_release(&exp_owners.lock);
    if (owner != NULL && owner->refresh) {
        tables_fill(owner);
    }
    return owner;
}

/* The first thread of a copy that comes here mends, others wait. */
static void mend_once(void)
{
    if (exp_atomic_try_acquire(exp_owners.alive, 0, OWNER_MENDING)) {
        exp_owner_child();
        exp_atomic_store_release(exp_owners.alive, OWNER_ALIVE);
        exp_port_wake(exp_owners.alive);
    }
    while (exp_atomic_load_acquire(exp_owners.alive) != OWNER_ALIVE) {
        exp_port_wait(exp_owners.alive, OWNER_MENDING, UINT64_MAX);
        exp_port_wake(exp_owners.alive);
    }
}

void exp_owner_notice(void)
{
    if (EXP_UNLIKELY(exp_atomic_load_acquire(&exp_owners.started) == 0)) {
        exp_lock_acquire(&exp_owners.lock);
        if (exp_owners.started == 0) {
            exp_atomic_store_release(&exp_owners.started, start());
        }
        exp_lock_release(&exp_owners.lock);
    }
    if (exp_atomic_load(&exp_owners.started) == 1 &&
        EXP_UNLIKELY(exp_atomic_load_acquire(exp_owners.alive) != OWNER_ALIVE)) {
        mend_once();
    }
}

void exp_owner_forked(void)
{
    if (exp_owners.started == 0) {
        /* Another thread may have been starting the pool: begin anew. */
        (void)exp_lock_reset(&exp_owners.lock);
        exp_range = (struct exp_range){ 0 };
    }
    exp_owners.survivor = exp_port_owner();
    exp_atomic_add(&exp_wdk_generation, 1);
}

struct exp_owner *exp_owner_enter(void)
{
    exp_owner_notice();
    exp_port_pin();
    struct exp_owner *owner = exp_port_owner();
    if (EXP_LIKELY(owner != &exp_owner_none)) {
        return owner;
    }
    if (exp_atomic_load(&exp_owners.started) == 1) {
        owner = owner_find();
        if (owner != NULL && exp_port_owner_set(owner)) {
            return owner;
        }
        if (owner != NULL) {
            exp_owner_exit(owner);
        }
    }
    exp_lock_acquire(&exp_owners.common_lock);
    return &exp_owners.common;
}

void exp_owner_leave(struct exp_owner *owner)
{
    if (owner == &exp_owners.common) {
        exp_lock_release(&exp_owners.common_lock);
    }
    exp_port_unpin();
}

/* Most slots that a cache of this size of block may have. */
static uint32_t slots_max(size_t size_bytes)
{
    size_t slots = exp_min(OWNER_CACHE_BYTES_MAX / size_bytes, OWNER_CACHE_SLOTS_MAX);
    unsigned bits = exp_bit_highest(exp_max(slots, 7) + 1);
    return (UINT32_C(1) << bits) - 1;
}

/*
 * Give all entries of a cache to the store. The cache forgets them first: a copy of the process
 * that is made meanwhile must not find them in both places.
 */
static void *cache_empty(struct exp_owner *owner, unsigned bin)
{
    struct exp_cache *cache = &owner->caches[bin];
    size_t count = (size_t)(cache->top - cache->bottom);
    if (count == 0) {
        return NULL;
    }
    exp_atomic_store_release(&cache->top, cache->bottom);
    return exp_store_give(bin, cache->bottom, count, false);
}

/* An empty cache loses its array: from now on every call of this bin is slow. */
static void cache_drop(struct exp_owner *owner, unsigned bin)
{
    struct exp_cache *cache = &owner->caches[bin];
    size_t capacity = (size_t)(cache->end - cache->bottom);
    if (capacity == 0) {
        return;
    }
    struct exp_run_entry *array = cache->bottom - 1;
    uint64_t bytes = (uint64_t)capacity * cache->size_bytes;
    cache->bottom = &none_entry + 1;
    cache->end = &none_entry + 1;
    exp_atomic_store_release(&cache->top, &none_entry + 1);
    owner->cached_bytes_max -= (uint32_t)bytes;
    exp_atomic_sub(&exp_owners.cached_bytes_max, bytes);
    exp_range_heap_give(EXP_RANGE_KEPT, array, (capacity + 1) * sizeof(*array));
}

/* A cache's array becomes as large as capacity; its entries stay. */
static bool cache_resize(struct exp_owner *owner, struct exp_cache *cache, uint32_t capacity)
{
    uint32_t old = (uint32_t)(cache->end - cache->bottom);
    size_t used = (size_t)(cache->top - cache->bottom);
    uint64_t more_bytes = (uint64_t)(capacity - old) * cache->size_bytes;
    bool first = old == 0;
    if (!first && (owner->cached_bytes_max + more_bytes > OWNER_BYTES_MAX ||
                   exp_atomic_load(&exp_owners.cached_bytes_max) > OWNER_ALL_BYTES_MAX)) {
        return false;
    }
    struct exp_run_entry *entries =
        exp_range_heap_take(EXP_RANGE_KEPT, (capacity + 1) * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    entries[0] = none_entry;
    struct exp_run_entry *old_bottom = cache->bottom;
    if (!first) {
        __builtin_memcpy(entries + 1, old_bottom, used * sizeof(*entries));
    }
    cache->bottom = entries + 1;
    cache->end = cache->bottom + capacity;
    exp_atomic_store_release(&cache->top, cache->bottom + used);
    if (!first) {
        exp_range_heap_give(EXP_RANGE_KEPT, old_bottom - 1, (old + 1) * sizeof(*entries));
    }
    owner->cached_bytes_max += (uint32_t)more_bytes;
    exp_atomic_add(&exp_owners.cached_bytes_max, more_bytes);
    return true;
}

/* Make or grow a cache when it is visited; false: the owner has no cache for this bin. */
static bool cache_ready(struct exp_owner *owner, unsigned bin)
{
    struct exp_cache *cache = &owner->caches[bin];
    if (owner == &exp_owners.common) {
        return false;
    }
    if (exp_option_value(EXP_OPTION_FRONT_CACHE) == 0) {
        (void)cache_empty(owner, bin); /* what was freed twice shows when it is handed out */
        cache_drop(owner, bin);
        return false;
    }
    uint32_t capacity = (uint32_t)(cache->end - cache->bottom);
    uint32_t most = slots_max(cache->size_bytes);
    if (capacity == 0) {
        return cache_resize(owner, cache, (uint32_t)exp_min(OWNER_CACHE_SLOTS_START, most));
    }
    owner->visits[bin]++;
    if (owner->visits[bin] >= OWNER_VISITS_GROW && capacity < most) {
        owner->visits[bin] = 0;
        (void)cache_resize(owner, cache, (uint32_t)exp_min(capacity * 2 + 1, most));
    }
    return true;
}

bool exp_owner_take(struct exp_owner *owner, unsigned bin, struct exp_run_entry *entry)
{
    struct exp_cache *cache = &owner->caches[bin];
    if (cache->top == cache->bottom) {
        if (!cache_ready(owner, bin)) {
            return exp_store_take(exp_owner_node(), bin, entry, 1) == 1;
        }
        size_t half = (size_t)(cache->end - cache->bottom) / 2;
        size_t taken = exp_store_take(exp_owner_node(), bin, cache->bottom, half);
        if (taken == 0) {
            return false;
        }
        cache->top = cache->bottom + taken;
    }
    cache->top--;
    *entry = *cache->top;
    return true;
}

void *exp_owner_give(struct exp_owner *owner, unsigned bin, const struct exp_run_entry *entry)
{
    struct exp_cache *cache = &owner->caches[bin];
    void *twice = NULL;
    if (cache->top == cache->end) {
        if (!cache_ready(owner, bin)) {
            return exp_store_give(bin, entry, 1, false);
        }
        if (cache->top == cache->end) {
            size_t half = (size_t)(cache->end - cache->bottom) / 2;
            size_t rest = (size_t)(cache->end - cache->bottom) - half;
            exp_atomic_store_release(&cache->top, cache->bottom);
            twice = exp_store_give(bin, cache->bottom, half, true);
            __builtin_memmove(cache->bottom, cache->bottom + half, rest * sizeof(*entry));
            exp_atomic_store_release(&cache->top, cache->bottom + rest);
        }
    }
    *cache->top = *entry;
    cache->top++;
    return twice;
}

/* Twice the places for tags: both columns share the shift. */
static void tags_grow(struct exp_owner *owner)
{
    unsigned bits = exp_bit_highest(owner->tag_mask / sizeof(struct exp_owner_tag) + 1);
    size_t most = exp_max(owner->tag_count[0], owner->tag_count[1]);
    if (most * 8 < (UINT32_C(1) << bits) || bits == OWNER_TAG_BITS_MAX) {
        return;
    }
    struct exp_owner_tag *tags[2];
    size_t bytes = sizeof(struct exp_owner_tag) << bits;
    tags[0] = exp_range_heap_take(EXP_RANGE_WIPED, bytes * 2);
    tags[1] = tags[0] == NULL ? NULL : exp_range_heap_take(EXP_RANGE_WIPED, bytes * 2);
    if (tags[1] == NULL) {
        if (tags[0] != NULL) {
            exp_range_heap_give(EXP_RANGE_WIPED, tags[0], bytes * 2);
        }
        return;
    }
    for (unsigned column = 0; column < 2; column++) {
        struct exp_owner_tag *old = owner->tags_kept[column];
        owner->tags_kept[column] = tags[column];
        exp_owner_block(owner, column, owner->blocked[column]);
        tags[column] = old;
    }
    owner->tag_mask = tag_mask(bits + 1);
    tables_fill(owner);
    exp_range_heap_give(EXP_RANGE_WIPED, tags[0], bytes);
    exp_range_heap_give(EXP_RANGE_WIPED, tags[1], bytes);
}

/* Room for rows of a number. */
static bool rows_grow(struct exp_owner *owner, uint32_t number)
{
    size_t count = owner->row_of_count;
    while (number * 2 + 1 >= count) {
        count *= 2;
    }
    if (count == owner->row_of_count) {
        return true;
    }
    size_t half = owner->row_numbers;
    size_t old_bytes = owner->row_of_count * sizeof(*owner->row_kept);
    size_t bytes = count * sizeof(*owner->row_kept);
    struct expool_region_row **row_of = exp_range_heap_take(EXP_RANGE_WIPED, bytes);
    struct expool_region_row **row_kept = exp_range_heap_take(EXP_RANGE_KEPT, bytes);
    if (row_of == NULL || row_kept == NULL) {
        if (row_of != NULL) {
            exp_range_heap_give(EXP_RANGE_WIPED, row_of, bytes);
        }
        if (row_kept != NULL) {
            exp_range_heap_give(EXP_RANGE_KEPT, row_kept, bytes);
        }
        return false;
    }
    __builtin_memcpy(row_of, owner->row_of[0], half * sizeof(*row_of));
    __builtin_memcpy(row_of + count / 2, owner->row_of[1], half * sizeof(*row_of));
    __builtin_memcpy(row_kept, owner->row_kept, old_bytes);
    struct expool_region_row **old_of = owner->row_of[0];
    struct expool_region_row **old_kept = owner->row_kept;
    owner->row_kept = row_kept;
    rows_set(owner, row_of, count);
    exp_range_heap_give(EXP_RANGE_WIPED, old_of, old_bytes);
    exp_range_heap_give(EXP_RANGE_KEPT, old_kept, old_bytes);
    return true;
}

static struct expool_region_row *row_make(struct exp_owner *owner, uint32_t number, unsigned column)
{
    uint32_t index = number * 2 + column;
    if (index < owner->row_of_count && owner->row_kept[index] != NULL) {
        return owner->row_kept[index];
    }
    if (!rows_grow(owner, number)) {
        return NULL;
    }
    struct expool_region_row *row = exp_tag_row_make(&owner->slab, number, column);
    if (row == NULL) {
        return NULL;
    }
    tags_grow(owner);
    owner->row_kept[index] = row;
    row_enter(owner, number, column);
    return row;
}

/* The shared owner's row, made before any other's: a free that finds no memory can count there. */
static struct expool_region_row *common_row(uint32_t number, unsigned column)
{
    exp_lock_acquire(&exp_owners.common_lock);
    struct expool_region_row *row = row_make(&exp_owners.common, number, column);
    exp_lock_release(&exp_owners.common_lock);
    return row;
}

struct expool_region_row *exp_owner_row(struct exp_owner *owner, uint32_t number, unsigned column)
{
    uint32_t index = number * 2 + column;
    if (index < owner->row_of_count && owner->row_kept[index] != NULL) {
        return owner->row_kept[index];
    }
    if (owner != &exp_owners.common && common_row(number, column) == NULL) {
        return NULL;
    }
    return row_make(owner, number, column);
}

void exp_owner_count_free(struct exp_owner *owner, uint32_t number, unsigned column, size_t bytes)
{
    struct expool_region_row *row = exp_owner_row(owner, number, column);
    bool shared = row == NULL && owner != &exp_owners.common;
    if (shared) {
        exp_lock_acquire(&exp_owners.common_lock);
        row = exp_owners.common.row_kept[number * 2 + column];
    }
    if (row != NULL) {
        exp_counter_add(&row->frees, 1);
        exp_counter_add(&row->bytes_out, bytes);
    }
    if (shared) {
        exp_lock_release(&exp_owners.common_lock);
    }
}

const struct exp_owner_tag *exp_owner_probe(const struct exp_owner *owner,
                                            unsigned column,
                                            uint32_t tag)
{
    const struct exp_owner_tag *tags = owner->tags[column];
    size_t mask = owner->tag_mask / sizeof(*tags);
    size_t place = (size_t)(exp_owner_place(owner, column, tag) - tags);
    while (tags[place].tag != 0 && tags[place].tag != tag) {
        place = (place + 1) & mask;
    }
    return &tags[place];
}

void exp_owner_block(struct exp_owner *owner, unsigned column, bool blocked)
{
    blocked = blocked || exp_option_value(EXP_OPTION_GUARD) != 0 ||
              exp_option_value(EXP_OPTION_VERIFIER) != 0;
    owner->blocked[column] = blocked;
    owner->tags[column] = blocked ? none_tags : owner->tags_kept[column];
}

void *exp_owner_flush(struct exp_owner *owner)
{
    void *twice = NULL;
    for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
        void *found = cache_empty(owner, bin);
        twice = twice != NULL ? twice : found;
        if (exp_option_value(EXP_OPTION_FRONT_CACHE) == 0) {
            cache_drop(owner, bin);
        }
    }
    return twice;
}

/* What the next thread must not find: level, guarded blocks, exceptions. */
static void forget_thread(struct exp_owner *owner)
{
    owner->irql = 0;
    owner->frames = NULL;
    struct expool_process *process = owner->process;
    /* First: a copy of the process that is made in between must not let go of it once more. */
    exp_atomic_store_release(&owner->process, NULL);
    if (process != NULL) {
        exp_quota_release(process);
    }
    owner->flight_count = 0;
    owner->handled_count = 0;
    exp_owner_block(owner, 0, false);
    exp_owner_block(owner, 1, false);
}

void exp_owner_exit(struct exp_owner *owner)
{
    exp_owner_notice();
    /* A slot freed twice is left alone and shows when it is handed out. */
    (void)exp_owner_flush(owner);
    forget_thread(owner);
    exp_lock_acquire(&exp_owners.lock);
    owner->named = false;
    exp_owners.owners--;
    exp_atomic_store(&exp_tag_region()->owners, exp_owners.owners);
    exp_lock_release(&exp_owners.lock);
}

/* What is live in this process, by number and column. */
static void count_live(struct exp_tag_live *live, uint32_t number_count)
{
    struct exp_span *end =
        (struct exp_span *)(void *)(exp_range.span_table.start + exp_range.span_table.used_bytes);
    for (struct exp_span *span = exp_span_at(1); span < end; span++) {
        if (span->use != EXP_SPAN_RUN && span->use != EXP_SPAN_LARGE) {
            continue;
        }
        bool large = span->use == EXP_SPAN_LARGE;
        const struct exp_class *class = &exp_classes[span->class_index];
        size_t size_bytes = large ? (size_t)span->held_bytes : class->size_bytes;
        size_t count = large ? 1 : span->slots;
        count += class->page_slots == 0 ? 0 : span->slots / class->page_slots;
        for (size_t index = 0; index < count; index++) {
            uint32_t number = exp_atomic_load(&exp_range.states[span->first_state + index]);
            if (number == EXP_STATE_WIDE) {
                number = exp_side_of(&exp_range.states[span->first_state + index])->number;
            } else if (number > EXP_STATE_NUMBER_MAX) {
                continue;
            }
            if (number != 0 && number < number_count) {
                live[number * 2 + (span->pool >> 1)].blocks++;
                live[number * 2 + (span->pool >> 1)].bytes += size_bytes;
            }
        }
    }
}

/* Caches of threads that are not in this copy: free slots go back to the stores. */
static void recover(struct exp_owner *owner, const bool *torn)
{
    for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
        struct exp_cache *cache = &owner->caches[bin];
        struct exp_run_entry *top = cache->top;
        cache->top = cache->bottom;
        bool whole = cache->bottom <= top && top <= cache->end && !torn[bin];
        for (struct exp_run_entry *entry = cache->bottom; whole && entry < top; entry++) {
            if (exp_atomic_load(entry->state) == EXP_STATE_FREE) {
                (void)exp_store_give(bin, entry, 1, false);
            }
        }
    }
}

static void child_region(void)
{
    uint32_t count = exp_tag_count();
    size_t bytes = (size_t)count * 2 * sizeof(struct exp_tag_live);
    struct exp_tag_live *live = exp_range_heap_take(EXP_RANGE_KEPT, bytes);
    if (live != NULL) {
        count_live(live, count);
    }
    exp_tag_child(live);
    exp_tag_child_slab(&exp_owners.common.slab);
    for (struct exp_owner *owner = exp_owners.list; owner != NULL; owner = owner->next) {
        exp_tag_child_slab(&owner->slab);
    }
    if (live != NULL) {
        exp_range_heap_give(EXP_RANGE_KEPT, live, bytes);
    }
}

void exp_owner_child(void)
{
    static bool torn[EXP_BIN_COUNT];
    bool told = exp_owners.survivor != NULL; /* by exp_owner_forked */
    struct exp_owner *self = told ? exp_owners.survivor : exp_port_owner();

    exp_atomic_add(&exp_wdk_generation, told ? 0 : 1);
    exp_owners.survivor = NULL;
    (void)exp_lock_reset(&exp_owners.lock);
    (void)exp_lock_reset(&exp_owners.common_lock);
    for (unsigned index = 0; index < OWNER_LOCKS_MAX && exp_owners.locks[index] != NULL; index++) {
        (void)exp_lock_reset(exp_owners.locks[index]);
    }
    exp_range_child();
    exp_tag_child_lock();
    bool spans_torn = exp_span.lock.word != 0;
    exp_span_child();
    exp_run_child(spans_torn);
    for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
        torn[bin] = exp_store_child(bin);
        struct exp_cache *cache = &self->caches[bin];
        if (torn[bin]) {
            cache->top = cache->bottom;
        }
    }
    child_region();
    exp_owners.owners = self != &exp_owner_none;
    exp_atomic_store(&exp_tag_region()->owners, exp_owners.owners);
    for (struct exp_owner *owner = exp_owners.list; owner != NULL; owner = owner->next) {
        owner->refresh = true;
        if (owner == self) {
            tables_fill(owner);
        } else if (owner->named) {
            recover(owner, torn);
            forget_thread(owner);
            owner->named = false;
        }
    }
    tables_fill(&exp_owners.common);
}

void exp_owner_at_child(struct exp_lock *lock)
{
    for (unsigned index = 0; index < OWNER_LOCKS_MAX; index++) {
        void *known = exp_atomic_load_acquire(&exp_owners.locks[index]);
        if (known == lock ||
            (known == NULL && exp_atomic_try_publish(&exp_owners.locks[index], lock)) ||
            exp_atomic_load_acquire(&exp_owners.locks[index]) == lock) {
            return;
        }
    }
    EXP_ASSERT(false);
}

uint32_t exp_owner_forks(void)
{
    return exp_atomic_load(&exp_wdk_generation);
}

struct exp_owner *exp_owner_first(void)
{
    return exp_owners.list;
}

void exp_owner_hold(void)
{
    exp_lock_acquire(&exp_owners.common_lock);
    exp_lock_acquire(&exp_owners.lock);
}

void exp_owner_release(void)
{
    exp_lock_release(&exp_owners.lock);
    exp_lock_release(&exp_owners.common_lock);
}
