/* SPDX-License-Identifier: MIT */
/*
 * The slow half of the walk, and the malloc face.
 *
 * Allocate: owner -> class -> cache or store (which asks runs, spans, the range and the port) ->
 * number and row of the tag -> state -> counts -> zero. Everything that can fail comes before the
 * first thing that a reader could see; what was taken goes back by one label.
 *
 * Free: whose address is it (range, map, exactness, state) -> IRQL -> tag -> state -> counts ->
 * cache. The checks come first and stop with no lock held: the shared owner's lock is released
 * before a stop.
 *
 * Blocks above 64 KiB, and blocks whose tag number does not fit a state, have pages of their own
 * and are always freed here. A request that finds no memory flushes what this thread and the stores
 * keep and tries once more, unless the failure was asked for.
 */
#include "front/pool.h"

#include "core/option.h"
#include "core/stop.h"

enum {
    POOL_TYPE_NONPAGED_EXECUTE = 0,
    POOL_TYPE_PAGED = 1,
    POOL_TYPE_NONPAGED_NX = 512,
};

#define POOL_MOVE_BYTES ((size_t)4 << 20) /* from here a large block moves without copying */

static uint32_t pool_type(unsigned pool)
{
    return pool == EXP_POOL_PAGED     ? POOL_TYPE_PAGED
           : pool == EXP_POOL_EXECUTE ? POOL_TYPE_NONPAGED_EXECUTE
                                      : POOL_TYPE_NONPAGED_NX;
}

const char *exp_pool_name(unsigned pool)
{
    return pool == EXP_POOL_PAGED     ? "paged pool"
           : pool == EXP_POOL_EXECUTE ? "nonpaged pool, executable"
                                      : "nonpaged pool";
}

/* A slot was free in two places: it is isolated already, nothing else has changed. */
static _Noreturn void stop_freed_by_two(const void *slot, const void *caller)
{
    struct exp_stop_about about = { .block = slot, .caller = caller };
    exp_stop_now(EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION,
                 EXP_STOP_HEAP_DOUBLE_FREE,
                 (uintptr_t)exp_range.base,
                 (uintptr_t)slot,
                 0,
                 &about);
}

/* What an allocation found on its way. */
struct taken {
    void *block;
    uint16_t *state;
    struct exp_span *large; /* NULL: a slot of bin */
    unsigned bin;
    size_t held_bytes;
    bool zero;
    const void *damaged; /* a slot that was in use though free */
};

static bool take_slot(struct exp_owner *owner, unsigned bin, struct taken *taken)
{
    struct exp_run_entry entry;
    if (!exp_owner_take(owner, bin, &entry)) {
        return false;
    }
    taken->block = exp_run_entry_block(&entry);
    taken->state = entry.state;
    taken->large = NULL;
    taken->bin = bin;
    taken->held_bytes = exp_classes[bin & ((1u << EXP_CLASS_BITS) - 1)].size_bytes;
    taken->zero = (entry.block & EXP_RUN_ZERO) != 0;
    if (exp_atomic_load(taken->state) != EXP_STATE_FREE) {
        taken->damaged = taken->block;
        return false;
    }
    return true;
}

static bool take_large(
    unsigned pool, size_t bytes, size_t alignment, bool donate, struct taken *taken)
{
    struct exp_span *large = exp_run_large_make(pool, bytes, alignment, donate);
    if (large == NULL) {
        return false;
    }
    taken->block = exp_range_page(large->page);
    taken->state = exp_run_large_state(large);
    taken->large = large;
    taken->held_bytes = (size_t)large->held_bytes;
    taken->zero = large->zero;
    return true;
}

/* One try at memory for a request. */
static bool take(struct exp_owner *owner,
                 unsigned pool,
                 size_t bytes,
                 size_t alignment,
                 bool donate,
                 struct taken *taken)
{
    if (bytes > EXP_CLASS_BYTES_MAX || alignment > EXP_PAGE_BYTES) {
        return take_large(pool, bytes, alignment, donate, taken);
    }
    return take_slot(owner, pool << EXP_CLASS_BITS | exp_class_of_aligned(bytes, alignment), taken);
}

static void give_back(struct exp_owner *owner, const struct taken *taken, void **twice)
{
    if (taken->large != NULL) {
        exp_run_large_unmake(taken->large);
    } else {
        struct exp_run_entry entry = { (uintptr_t)taken->block, taken->state };
        *twice = exp_owner_give(owner, taken->bin, &entry);
    }
}

static void trim_for(struct exp_owner *owner)
{
    (void)exp_owner_flush(owner);
    exp_store_trim();
    exp_span_purge(true);
}

/* Memory for a request, after a trim if need be. */
static bool take_or_trim(struct exp_owner *owner,
                         unsigned pool,
                         size_t bytes,
                         size_t alignment,
                         bool donate,
                         struct taken *taken)
{
    uint64_t injected = exp_atomic_load(&exp_span.failures_injected);
    if (take(owner, pool, bytes, alignment, donate, taken)) {
        return true;
    }
    if (taken->damaged != NULL || bytes > exp_range.bytes ||
        injected != exp_atomic_load(&exp_span.failures_injected)) {
        return false;
    }
    trim_for(owner);
    return take(owner, pool, bytes, alignment, donate, taken);
}

struct request {
    unsigned pool;
    size_t bytes;
    size_t alignment;
    uint32_t tag; /* 0: number is given */
    uint32_t number;
    bool zero;
    bool donate;
};

/* Number and row of the payer; the number moves to a block of its own pages when it is too large.
 */
static struct expool_region_row *payer(struct exp_owner *owner,
                                       const struct request *request,
                                       struct taken *taken,
                                       uint32_t *number)
{
    *number = request->tag != 0 ? exp_tag_register(request->tag) : request->number;
    if (*number == 0) {
        return NULL;
    }
    if (*number > EXP_STATE_NUMBER_MAX && taken->large == NULL) {
        void *twice = NULL;
        give_back(owner, taken, &twice);
        taken->block = NULL;
        if (twice != NULL ||
            !take_large(request->pool, request->bytes, request->alignment, false, taken)) {
            taken->block = NULL;
            return NULL;
        }
    }
    return exp_owner_row(owner, *number, request->pool >> 1);
}

static void *allocate(const struct request *request, const void *caller)
{
    struct taken taken = { 0 };
    struct expool_region_row *row = NULL;
    uint32_t number = 0;
    void *twice = NULL;
    struct exp_owner *owner = exp_owner_enter();
    if (EXP_UNLIKELY(exp_range.bytes == 0)) {
        exp_owner_leave(owner);
        return NULL;
    }
    if (take_or_trim(
            owner, request->pool, request->bytes, request->alignment, request->donate, &taken)) {
        row = payer(owner, request, &taken, &number);
        if (row == NULL && taken.block != NULL) {
            give_back(owner, &taken, &twice);
        }
    }
    if (row != NULL) {
        bool wide = number > EXP_STATE_NUMBER_MAX;
        if (wide) {
            taken.large->number = number;
        }
        exp_atomic_store(taken.state, (uint16_t)(wide ? EXP_STATE_WIDE : number));
        exp_counter_add(&row->allocs, 1);
        exp_counter_add(&row->bytes_in, taken.held_bytes);
    }
    exp_owner_leave(owner);
    twice = taken.damaged != NULL ? (void *)(uintptr_t)taken.damaged : twice;
    if (EXP_UNLIKELY(twice != NULL)) {
        stop_freed_by_two(twice, caller);
    }
    exp_span_tick();
    if (row == NULL) {
        return NULL;
    }
    if (request->zero && !taken.zero) {
        __builtin_memset(taken.block, 0, request->bytes);
    }
    return taken.block;
}

void *exp_pool_allocate(
    unsigned pool, size_t bytes, uint32_t tag, unsigned want, const void *caller)
{
    struct exp_pool_got got;
    bool zero = (want & EXP_POOL_ZERO) != 0;
    if ((want & EXP_POOL_CACHE_ALIGNED) == 0) {
        exp_port_pin();
        struct exp_owner *owner = exp_port_owner();
        bool done = exp_pool_allocate_at(
            owner, pool, bytes, tag, exp_owner_probe(owner, pool >> 1, tag), &got);
        exp_port_unpin();
        if (done) {
            return zero && !got.zero ? exp_pool_zero(got.block, bytes) : got.block;
        }
    }
    struct request request = {
        .pool = pool,
        .bytes = bytes,
        .alignment = (want & EXP_POOL_CACHE_ALIGNED) != 0 ? EXP_POOL_CACHE_LINE : EXP_GRANULE,
        .tag = tag,
        .zero = zero,
        .donate = true,
    };
    return allocate(&request, caller);
}

/* Step 1 and 2 of a free: address and state. Returns only for the start of a live block. */
static struct exp_run_place judge_address(const void *block, const void *caller)
{
    exp_owner_notice();
    uint64_t address = (uintptr_t)block;
    struct exp_stop_about about = { .block = block, .caller = caller };
    if (block == NULL) {
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INVALID, 0, 0, 0, &about);
    }
    if (exp_range_offset(block) >= exp_range.bytes) {
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER,
                     EXP_STOP_FREE_OUTSIDE,
                     address,
                     (uintptr_t)exp_range.base,
                     0,
                     &about);
    }
    if (address % EXP_GRANULE != 0) {
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INVALID, address, 0, 0, &about);
    }
    struct exp_run_place place = exp_run_find(block);
    bool paged = place.pool == EXP_POOL_PAGED;
    about.pool = exp_pool_name(place.pool);
    switch (place.what) {
    case EXP_RUN_LIVE:
        return place;
    case EXP_RUN_NEVER:
        about.pool = NULL;
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_NEVER, address, 0, 0, &about);
    case EXP_RUN_FREED:
        if (place.class_index >= EXP_CLASS_SMALL && place.class_index < EXP_CLASS_PAGE) {
            exp_stop_now(EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREED_TWICE, 0, 0, address, &about);
        }
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER,
                     paged ? EXP_STOP_FREED_PAGE_PAGED : EXP_STOP_FREED_PAGE_NONPAGED,
                     address,
                     paged ? exp_range_offset(block) >> EXP_PAGE_SHIFT : 0,
                     paged ? exp_range.bytes : 0,
                     &about);
    case EXP_RUN_INTERIOR:
        if (paged) {
            exp_stop_now(EXP_STOP_BAD_POOL_CALLER,
                         EXP_STOP_FREE_INTERIOR_PAGE,
                         0,
                         0,
                         place.offset_bytes,
                         &about);
        }
        break;
    case EXP_RUN_INSIDE:
        break;
    }
    exp_stop_now(EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INTERIOR, address, 0, 0, &about);
}

/* Number of the tag of a live block. */
static uint32_t number_of(const struct exp_run_place *place)
{
    uint32_t number = exp_atomic_load(place->state);
    return number == EXP_STATE_WIDE ? place->span->number : number;
}

/* Step 3 and 4: IRQL and tag (spec/api.md 2.4, 2.9). */
static void judge_rights(const void *block,
                         const struct exp_run_place *place,
                         uint32_t tag,
                         const void *caller)
{
    uint32_t stored = exp_tag_of(number_of(place));
    unsigned irql = exp_pool_irql();
    struct exp_stop_about about = { .block = block,
                                    .pool = exp_pool_name(place->pool),
                                    .size_bytes = place->size_bytes,
                                    .tag = stored,
                                    .caller = caller };
    bool guarded = (stored & EXP_TAG_PROTECTED) != 0;
    bool same = ((stored ^ tag) & ~EXP_TAG_PROTECTED) == 0;
    bool wrong_tag = tag == 0 ? guarded : !same;
    if (irql > exp_pool_irql_max(place->pool)) {
        about.additional[0] = wrong_tag ? EXP_STOP_WRONG_TAG : 0;
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER,
                     EXP_STOP_FREE_IRQL,
                     irql,
                     pool_type(place->pool),
                     (uintptr_t)block,
                     &about);
    }
    if (wrong_tag) {
        exp_stop_now(
            EXP_STOP_BAD_POOL_CALLER, EXP_STOP_WRONG_TAG, (uintptr_t)block, stored, tag, &about);
    }
}

/* The block is live and may be freed: nothing can fail any more. */
static void free_judged(void *block, const struct exp_run_place *place, const void *caller)
{
    void *twice = NULL;
    unsigned column = place->pool >> 1;
    uint32_t number = number_of(place);
    struct exp_owner *owner = exp_owner_enter();
    /* Slow enough to afford what the fast path cannot: one of two frees of a block wins. */
    if (exp_atomic_exchange(place->state, (uint16_t)EXP_STATE_FREE) == EXP_STATE_FREE) {
        exp_owner_leave(owner);
        stop_freed_by_two(block, caller);
    }
    exp_owner_count_free(owner, number, column, place->size_bytes);
    if (place->class_index == EXP_CLASS_LARGE) {
        exp_run_large_unmake(place->span);
    } else {
        unsigned bin = place->pool << EXP_CLASS_BITS | place->class_index;
        struct exp_run_entry entry = { (uintptr_t)block, place->state };
        twice = exp_owner_give(owner, bin, &entry);
    }
    exp_owner_leave(owner);
    if (EXP_UNLIKELY(twice != NULL)) {
        stop_freed_by_two(twice, caller);
    }
    exp_span_tick();
}

void exp_pool_free(void *block, uint32_t tag, const void *caller)
{
    if (tag != 0 && exp_pool_try_free(block, tag, true)) {
        return; /* only the tag's place in the owner's table was unusual */
    }
    struct exp_run_place place = judge_address(block, caller);
    judge_rights(block, &place, tag, caller);
    free_judged(block, &place, caller);
}

size_t exp_pool_block_size(const void *block, bool span, const void *caller)
{
    struct exp_run_place place = judge_address(block, caller);
    if (span && place.size_bytes >= EXP_PAGE_BYTES) {
        return exp_round_up(place.size_bytes, EXP_PAGE_BYTES);
    }
    return place.size_bytes;
}

void exp_pool_trim(void)
{
    struct exp_owner *owner = exp_owner_enter();
    if (exp_range.bytes != 0) {
        trim_for(owner);
    }
    exp_owner_leave(owner);
}

unsigned exp_pool_irql(void)
{
    return exp_port_owner()->irql;
}

void *exp_pool_face_allocate(size_t bytes, uint32_t number, bool zero)
{
    struct request request = {
        .pool = EXP_POOL_PAGED,
        .bytes = bytes,
        .alignment = EXP_GRANULE,
        .number = number,
        .zero = zero,
    };
    return allocate(&request, __builtin_return_address(0));
}

void *exp_pool_face_allocate_aligned(size_t bytes, size_t alignment, uint32_t number)
{
    struct request request = {
        .pool = EXP_POOL_PAGED,
        .bytes = bytes,
        .alignment = exp_max(alignment, EXP_GRANULE),
        .number = number,
    };
    return allocate(&request, __builtin_return_address(0));
}

void exp_pool_face_free(void *block)
{
    const void *caller = __builtin_return_address(0);
    struct exp_run_place place = judge_address(block, caller);
    free_judged(block, &place, caller);
}

/* A live large block grows or shrinks where it lies, or its pages move. NULL: neither. */
static void *resize_large(void *block, struct exp_run_place *place, size_t bytes)
{
    size_t old_bytes = place->size_bytes;
    struct exp_span *large = place->span;
    if (bytes <= EXP_CLASS_BYTES_MAX || !exp_run_large_resize(large, bytes)) {
        return NULL;
    }
    struct exp_owner *owner = exp_owner_enter();
    struct expool_region_row *row = exp_owner_row(owner, number_of(place), place->pool >> 1);
    size_t new_bytes = (size_t)large->held_bytes;
    if (row != NULL && new_bytes > old_bytes) {
        exp_counter_add(&row->bytes_in, new_bytes - old_bytes);
    } else if (row != NULL) {
        exp_counter_add(&row->bytes_out, old_bytes - new_bytes);
    }
    exp_owner_leave(owner);
    return block;
}

/* Contents of a block into another: pages move where the system can, else bytes are copied. */
static void move_contents(void *to, void *from, size_t from_held, size_t bytes)
{
    if (bytes >= POOL_MOVE_BYTES && from_held % EXP_PAGE_BYTES == 0 &&
        exp_port_move(to, from, from_held)) {
        return;
    }
    __builtin_memcpy(to, from, bytes);
}

/* A small block whose class still fits: nothing to do. Only blocks that the fast path could free.
 */
static bool keeps_class(const void *block, size_t bytes)
{
    struct exp_owner *owner = exp_port_owner();
    struct exp_pool_start start;
    return exp_pool_find_start(owner, block, &start) &&
           exp_atomic_load(start.state) - 1u < EXP_STATE_NUMBER_MAX &&
           bytes <= start.cache->size_bytes && bytes >= start.cache->size_bytes / 2;
}

void *exp_pool_face_resize(void *block, size_t bytes, uint32_t number)
{
    if (EXP_LIKELY(keeps_class(block, bytes))) {
        return block;
    }
    const void *caller = __builtin_return_address(0);
    struct exp_run_place place = judge_address(block, caller);
    size_t held = place.size_bytes;
    if (place.class_index == EXP_CLASS_LARGE) {
        void *same = resize_large(block, &place, bytes);
        if (same != NULL) {
            return same;
        }
    } else if (bytes <= held && bytes >= held / 2) {
        return block;
    }
    struct exp_pool_got got;
    void *other = exp_pool_face_try(bytes, number, &got)
                      ? got.block
                      : exp_pool_face_allocate(bytes, number, false);
    if (other == NULL) {
        return bytes <= held ? block : NULL;
    }
    move_contents(other, block, held, exp_min(held, bytes));
    if (!exp_pool_try_free_any(block, false)) {
        free_judged(block, &place, caller);
    }
    return other;
}

size_t exp_pool_face_size(const void *block)
{
    struct exp_owner *owner = exp_port_owner();
    struct exp_pool_start start;
    if (EXP_LIKELY(exp_pool_find_start(owner, block, &start) &&
                   exp_atomic_load(start.state) - 1u < EXP_STATE_NUMBER_MAX)) {
        return start.cache->size_bytes;
    }
    return exp_pool_block_size(block, false, __builtin_return_address(0));
}
