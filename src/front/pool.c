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
 * Blocks above 64 KiB have pages of their own; they and rare blocks (core/side.h) are always freed
 * here. A request that finds no memory flushes what this thread and the stores keep and tries once
 * more, unless the failure was asked for.
 */
#include "front/pool.h"

#include "core/option.h"
#include "core/stop.h"

enum {
    POOL_TYPE_NONPAGED_EXECUTE = 0,
    POOL_TYPE_PAGED = 1,
    POOL_TYPE_NONPAGED_NX = 512,
};

enum {
    POOL_GUARD_BYTE = 0xB5, /* what a guarded block's slack holds */
    POOL_WRITTEN = 1,       /* parameter 2 of 0xC6 */
    POOL_FREED_BYTE = 0xFB  /* what a guarded slot holds while it is free */
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

/* The malloc face serves too: it fills paged slots without a word. Atomic. */
static bool pool_face_used;

/* What an allocation found on its way. */
struct taken {
    void *block;
    uint16_t *state;
    struct exp_span *large; /* NULL: a slot of bin */
    unsigned bin;
    size_t held_bytes;
    bool zero;
    const void *damaged; /* a slot that was in use though free */
    const void *changed; /* first byte that was written while the slot was free */
};

/* Node that memory is to come from, as exp_store_take and exp_run_large_make want it. */
static unsigned node_of(const struct exp_pool_request *request)
{
    if ((request->want & EXP_POOL_NODE) == 0) {
        return exp_owner_node();
    }
    bool only = (request->want & EXP_POOL_NODE_ONLY) != 0;
    return request->node | (only ? EXP_SPAN_NODE_ONLY : 0u);
}

/* A slot of a node's store without the cache, which holds slots of any node, or from the cache. */
static bool take_entry(struct exp_owner *owner,
                       const struct exp_pool_request *request,
                       unsigned bin,
                       struct exp_run_entry *entry)
{
    if ((request->want & EXP_POOL_NODE) != 0) {
        return exp_store_take(node_of(request), bin, entry, 1) == 1;
    }
    return exp_owner_take(owner, bin, entry);
}

static bool take_slot(struct exp_owner *owner,
                      const struct exp_pool_request *request,
                      unsigned bin,
                      struct taken *taken)
{
    struct exp_run_entry entry;
    if (!take_entry(owner, request, bin, &entry)) {
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

static bool take_large(const struct exp_pool_request *request,
                       size_t bytes,
                       size_t alignment,
                       bool donate,
                       struct taken *taken)
{
    struct exp_span *large =
        exp_run_large_make(node_of(request), request->pool, bytes, alignment, donate);
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

/* Bytes that a guarded request asks for, so that at least one byte after the caller's is ours. */
static size_t guarded_bytes(const struct exp_pool_request *request, size_t alignment)
{
    size_t bytes = request->bytes;
    bool small = bytes + EXP_GRANULE <= exp_classes[EXP_CLASS_FIRST_PART - 1].size_bytes;
    return small && exp_classes[exp_class_of_aligned(bytes, alignment)].size_bytes == bytes
               ? bytes + EXP_GRANULE
               : bytes;
}

/* A request as the stores see it. */
struct grant {
    size_t bytes;
    size_t alignment;
    unsigned kind; /* enum exp_side_kind */
    bool donate;
    bool own_pages;
    uint64_t charge_bytes;
    uint32_t number;
    struct expool_region_row *row;
    struct exp_side *side;
};

static void grant_start(struct grant *grant, const struct exp_pool_request *request)
{
    unsigned want = request->want;
    bool aligned = (want & EXP_POOL_CACHE_ALIGNED) != 0;
    bool face = request->tag == 0;
    bool keeps_end = (want & (EXP_POOL_COLD | EXP_POOL_SESSION | EXP_POOL_SECURE)) != 0;
    bool guard = !face && exp_option_value(EXP_OPTION_GUARD) != 0 && (want & EXP_POOL_SECURE) == 0;
    size_t least = aligned ? EXP_POOL_CACHE_LINE : EXP_GRANULE;
    *grant = (struct grant){
        .bytes = request->bytes,
        .alignment = exp_max(request->alignment, least),
        .donate = !face && !keeps_end,
        .own_pages = (want & EXP_POOL_SECURE) != 0,
        .kind = (request->process != NULL ? EXP_SIDE_QUOTA : 0u) |
                ((want & EXP_POOL_SESSION) != 0 ? EXP_SIDE_SESSION : 0u) |
                ((want & EXP_POOL_SECURE) != 0 ? EXP_SIDE_SECURE : 0u) |
                (guard ? EXP_SIDE_GUARD : 0u),
    };
    if (guard && grant->alignment <= EXP_POOL_CACHE_LINE) {
        grant->bytes = guarded_bytes(request, grant->alignment);
    }
    if (keeps_end && grant->bytes > EXP_PAGE_BYTES && grant->bytes <= EXP_CLASS_BYTES_MAX) {
        grant->bytes = exp_round_up(grant->bytes, EXP_PAGE_BYTES);
    }
    if (request->process != NULL) {
        grant->charge_bytes =
            exp_classes[exp_class_of_aligned(grant->bytes, grant->alignment)].size_bytes;
    }
}

/* One try at memory. */
static bool take(struct exp_owner *owner,
                 const struct exp_pool_request *request,
                 const struct grant *grant,
                 struct taken *taken)
{
    if (grant->own_pages || grant->bytes > EXP_CLASS_BYTES_MAX ||
        grant->alignment > EXP_PAGE_BYTES) {
        return take_large(request, grant->bytes, grant->alignment, grant->donate, taken);
    }
    unsigned class_index = exp_class_of_aligned(grant->bytes, grant->alignment);
    return take_slot(owner, request, request->pool << EXP_CLASS_BITS | class_index, taken);
}

/* The same, after a trim if need be. */
static bool take_or_trim(struct exp_owner *owner,
                         const struct exp_pool_request *request,
                         const struct grant *grant,
                         struct taken *taken)
{
    uint64_t injected = exp_atomic_load(&exp_span.failures_injected);
    if (take(owner, request, grant, taken)) {
        return true;
    }
    if (taken->damaged != NULL || grant->bytes > exp_range.bytes ||
        injected != exp_atomic_load(&exp_span.failures_injected)) {
        return false;
    }
    trim_for(owner);
    return take(owner, request, grant, taken);
}

/*
 * The block's pages get memory of the node that was asked for, now, while it can still be refused:
 * to let the system bind them would let it end the process when the node has none.
 */
static bool settle(struct exp_owner *owner,
                   const struct exp_pool_request *request,
                   const struct taken *taken)
{
    if ((request->want & EXP_POOL_NODE) == 0 || exp_range.nodes == 1) {
        return true;
    }
    uintptr_t start = (uintptr_t)taken->block & ~EXP_PAGE_MASK;
    size_t bytes =
        exp_round_up((uintptr_t)taken->block + taken->held_bytes, EXP_PAGE_BYTES) - start;
    bool settled = exp_port_settle((void *)start, bytes, request->node);
    if (settled || (request->want & EXP_POOL_NODE_ONLY) == 0) {
        return true;
    }
    trim_for(owner); /* free memory that we keep may be what the node lacks */
    return exp_port_settle((void *)start, bytes, request->node);
}

/* A guarded slot becomes free: whoever writes to it from now on shows when it is taken again. */
static void mark_freed(void *block, const struct exp_run_place *place)
{
    struct exp_side *side = exp_side_of(place->state);
    __builtin_memset(block, POOL_FREED_BYTE, place->size_bytes);
    exp_atomic_store(&side->kind, EXP_SIDE_FREED);
    exp_atomic_store(&side->who, block);
}

/*
 * A slot that was marked holds what it held then. A changed one is isolated like one that was freed
 * twice: it is in no list, and nobody gets it.
 */
static bool untouched(const struct exp_pool_request *request, struct taken *taken)
{
    bool shared = request->pool == EXP_POOL_PAGED && exp_atomic_load(&pool_face_used);
    const struct exp_side *side = taken->large != NULL ? NULL : exp_side_of(taken->state);
    if (side == NULL || shared || exp_atomic_load(&side->kind) != EXP_SIDE_FREED ||
        exp_atomic_load(&side->who) != taken->block) {
        return true;
    }
    const unsigned char *end = (const unsigned char *)taken->block + taken->held_bytes;
    for (const unsigned char *at = taken->block; at < end; at++) {
        if (*at != POOL_FREED_BYTE) {
            taken->changed = at;
            return false;
        }
    }
    return true;
}

/* Number, row and side record for what was taken; false: no memory for one of them. */
static bool enter_books(struct exp_owner *owner,
                        const struct exp_pool_request *request,
                        const struct taken *taken,
                        struct grant *grant)
{
    grant->number = request->tag != 0 ? exp_tag_register(request->tag) : request->number;
    if (grant->number == 0) {
        return false;
    }
    grant->row = exp_owner_row(owner, grant->number, request->pool >> 1);
    if (grant->row == NULL) {
        return false;
    }
    if (grant->kind != 0 || grant->number > EXP_STATE_NUMBER_MAX) {
        grant->side = exp_side_make(taken->state);
        return grant->side != NULL;
    }
    return true;
}

/* Bytes after the caller's own. */
static size_t guard_bytes(const struct exp_pool_request *request, const struct taken *taken)
{
    return taken->held_bytes - request->bytes;
}

/*
 * A secure block gets its contents and becomes read-only before anybody sees it. False: the system
 * refuses.
 */
static bool seal(const struct exp_pool_request *request, const struct taken *taken)
{
    if ((request->want & EXP_POOL_SECURE) == 0) {
        return true;
    }
    size_t bytes = exp_round_up(exp_max(request->bytes, 1), EXP_PAGE_BYTES);
    if (request->contents != NULL) {
        __builtin_memcpy(taken->block, request->contents, request->bytes);
    } else if (!taken->zero) {
        __builtin_memset(taken->block, 0, request->bytes);
    }
    if (!exp_port_commit(taken->block, bytes, EXP_PORT_READ, false)) {
        (void)exp_port_commit(taken->block, bytes, EXP_PORT_READ_WRITE, false);
        return false;
    }
    return true;
}

/* Nothing can fail any more: record, state, counts. */
static void commit(const struct exp_pool_request *request,
                   const struct taken *taken,
                   const struct grant *grant)
{
    if (grant->side != NULL) {
        bool guard = (grant->kind & EXP_SIDE_GUARD) != 0;
        void *who = request->process != NULL ? (void *)request->process : request->secure;
        exp_atomic_store(&grant->side->kind, (uint16_t)grant->kind);
        exp_atomic_store(&grant->side->slack_bytes,
                         (uint16_t)(guard ? guard_bytes(request, taken) : 0));
        exp_atomic_store(&grant->side->who, who);
        exp_atomic_store(&grant->side->number, grant->number);
    }
    exp_atomic_store_release(taken->state,
                             (uint16_t)(grant->side != NULL ? EXP_STATE_WIDE : grant->number));
    exp_counter_add(&grant->row->allocs, 1);
    exp_counter_add(&grant->row->bytes_in, taken->held_bytes);
    if ((grant->kind & EXP_SIDE_SESSION) != 0) {
        exp_tag_session_count(grant->number, request->pool >> 1, true, taken->held_bytes);
    }
    if (request->process != NULL) {
        exp_quota_hold(request->process);
    }
}

/* Contents that the caller may rely on, and the pattern after them. */
static void *fill(const struct exp_pool_request *request,
                  const struct taken *taken,
                  const struct grant *grant)
{
    if ((request->want & EXP_POOL_ZERO) != 0 && !taken->zero) {
        __builtin_memset(taken->block, 0, request->bytes);
    }
    if ((grant->kind & EXP_SIDE_GUARD) != 0) {
        size_t bytes = guard_bytes(request, taken);
        char *end = (char *)taken->block + taken->held_bytes;
        __builtin_memset(end - bytes, POOL_GUARD_BYTE, bytes);
    }
    return taken->block;
}

static _Noreturn void stop_changed_when_free(const struct taken *taken, const void *caller)
{
    struct exp_stop_about about = { .block = taken->block,
                                    .size_bytes = taken->held_bytes,
                                    .caller = caller };
    exp_stop_now(
        EXP_STOP_MODIFYING_FREED_POOL, (uintptr_t)taken->changed, POOL_WRITTEN, 0, 0, &about);
}

static void *allocate(const struct exp_pool_request *request, enum exp_pool_outcome *outcome)
{
    struct taken taken = { 0 };
    struct grant grant;
    void *twice = NULL;
    bool served = false;
    grant_start(&grant, request);
    *outcome = EXP_POOL_NO_MEMORY;
    struct exp_owner *owner = exp_owner_enter();
    if (EXP_UNLIKELY(exp_range.bytes == 0)) {
        exp_owner_leave(owner);
        return NULL;
    }
    if (request->process != NULL &&
        !exp_quota_charge(request->process, request->pool >> 1, grant.charge_bytes)) {
        exp_owner_leave(owner);
        *outcome = EXP_POOL_NO_QUOTA;
        return NULL;
    }
    if (take_or_trim(owner, request, &grant, &taken) &&
        ((grant.kind & EXP_SIDE_GUARD) == 0 || untouched(request, &taken))) {
        served = settle(owner, request, &taken) && enter_books(owner, request, &taken, &grant) &&
                 seal(request, &taken);
        if (served) {
            commit(request, &taken, &grant);
        } else {
            give_back(owner, &taken, &twice);
        }
    }
    if (!served && request->process != NULL) {
        (void)exp_quota_return(request->process, request->pool >> 1, grant.charge_bytes);
    }
    exp_owner_leave(owner);
    twice = taken.damaged != NULL ? (void *)(uintptr_t)taken.damaged : twice;
    if (EXP_UNLIKELY(twice != NULL)) {
        stop_freed_by_two(twice, request->caller);
    }
    if (EXP_UNLIKELY(taken.changed != NULL)) {
        stop_changed_when_free(&taken, request->caller);
    }
    exp_span_tick();
    if (!served) {
        return NULL;
    }
    *outcome = EXP_POOL_SERVED;
    return fill(request, &taken, &grant);
}

void *exp_pool_allocate(const struct exp_pool_request *request, enum exp_pool_outcome *outcome)
{
    struct exp_pool_got got;
    bool zero = (request->want & EXP_POOL_ZERO) != 0;
    if ((request->want & ~(unsigned)EXP_POOL_ZERO) == 0 && request->process == NULL) {
        exp_port_pin();
        struct exp_owner *owner = exp_port_owner();
        bool done = exp_pool_allocate_at(owner,
                                         request->pool,
                                         request->bytes,
                                         request->tag,
                                         exp_owner_probe(owner, request->pool >> 1, request->tag),
                                         &got);
        exp_port_unpin();
        if (done) {
            *outcome = EXP_POOL_SERVED;
            return zero && !got.zero ? exp_pool_zero(got.block, request->bytes) : got.block;
        }
    }
    return allocate(request, outcome);
}

/* A state that says live names a tag that there is, itself or by its record. */
static bool believable(const uint16_t *state)
{
    uint16_t value = exp_atomic_load_acquire(state);
    const struct exp_side *side = value == EXP_STATE_WIDE ? exp_side_of(state) : NULL;
    uint32_t number = side != NULL ? exp_atomic_load(&side->number) : value;
    /* FREE: another thread has freed it since, which shows later. */
    return number < exp_tag_count() && (value != EXP_STATE_WIDE || number != 0);
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
        if (EXP_UNLIKELY(!believable(place.state))) {
            exp_stop_now(EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION,
                         EXP_STOP_HEAP_INTERNAL,
                         (uintptr_t)exp_range.base,
                         (uintptr_t)place.state,
                         0,
                         &about);
        }
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

/* Number, kind and payer of a live block. */
static struct exp_side books_of(const struct exp_run_place *place)
{
    uint16_t value = exp_atomic_load_acquire(place->state);
    if (value == EXP_STATE_WIDE) {
        struct exp_side *side = exp_side_of(place->state);
        return (struct exp_side){
            .number = exp_atomic_load(&side->number),
            .kind = exp_atomic_load(&side->kind),
            .slack_bytes = exp_atomic_load(&side->slack_bytes),
            .who = exp_atomic_load(&side->who),
        };
    }
    return (struct exp_side){ .number = value };
}

/* What the state of a block with these books is while it lives. */
static uint16_t state_of(const struct exp_side *books)
{
    bool wide = books->kind != 0 || books->number > EXP_STATE_NUMBER_MAX;
    return (uint16_t)(wide ? EXP_STATE_WIDE : books->number);
}

static struct exp_stop_about about_of(const void *block,
                                      const struct exp_run_place *place,
                                      const struct exp_side *books,
                                      const void *caller)
{
    return (struct exp_stop_about){
        .block = block,
        .pool = exp_pool_name(place->pool),
        .size_bytes = place->size_bytes - books->slack_bytes,
        .tag = exp_tag_of(books->number),
        .caller = caller,
    };
}

/* Bytes of a block that its user may write: all but the guard. */
static size_t usable_bytes(const struct exp_run_place *place, const struct exp_side *books)
{
    return place->size_bytes - books->slack_bytes;
}

/* Step 3 and 4: IRQL and tag (spec/api.md 2.4, 2.9). */
static void judge_rights(const void *block,
                         const struct exp_run_place *place,
                         const struct exp_side *books,
                         uint32_t tag,
                         const void *caller)
{
    if (EXP_UNLIKELY(books->number == 0)) {
        stop_freed_by_two(block, caller); /* since its state was judged */
    }
    uint32_t stored = exp_tag_of(books->number);
    unsigned irql = exp_pool_irql();
    struct exp_stop_about about = about_of(block, place, books, caller);
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

/* Step 5: the bytes after the caller's are as they were (spec/api.md 2.9, checked builds). */
static void judge_guard(const void *block,
                        const struct exp_run_place *place,
                        const struct exp_side *books,
                        const void *caller)
{
    const unsigned char *end = (const unsigned char *)block + place->size_bytes;
    for (const unsigned char *at = end - books->slack_bytes; at < end; at++) {
        if (*at != POOL_GUARD_BYTE) {
            struct exp_stop_about about = about_of(block, place, books, caller);
            exp_stop_now(EXP_STOP_BAD_POOL_HEADER,
                         EXP_STOP_HEADER_GUARD,
                         (uintptr_t)block,
                         place->size_bytes - books->slack_bytes,
                         *at,
                         &about);
        }
    }
}

/*
 * Step 6: the process that pays gets its charge back. When the charge is missing the block, whose
 * state says free already, stays live.
 */
static void return_charge(const void *block,
                          const struct exp_run_place *place,
                          const struct exp_side *books,
                          const void *caller)
{
    unsigned column = place->pool >> 1;
    uint64_t missing = exp_quota_return(books->who, column, place->size_bytes);
    if (missing != 0) {
        struct exp_stop_about about = about_of(block, place, books, caller);
        exp_atomic_store_release(place->state, (uint16_t)EXP_STATE_WIDE);
        exp_stop_now(EXP_STOP_QUOTA_UNDERFLOW,
                     (uintptr_t)books->who,
                     column,
                     place->size_bytes,
                     missing,
                     &about);
    }
}

/* The block is live and may be freed: nothing can fail any more. */
static void free_judged(void *block,
                        const struct exp_run_place *place,
                        const struct exp_side *books,
                        const void *caller)
{
    void *twice = NULL;
    unsigned column = place->pool >> 1;
    if ((books->kind & EXP_SIDE_GUARD) != 0) {
        judge_guard(block, place, books, caller);
    }
    if ((books->kind & EXP_SIDE_QUOTA) != 0 && !exp_quota_known(books->who)) {
        struct exp_stop_about about = about_of(block, place, books, caller);
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER,
                     EXP_STOP_QUOTA_OWNER,
                     (uintptr_t)block,
                     about.tag,
                     (uintptr_t)books->who,
                     &about);
    }
    /* Slow enough to afford what the fast path cannot: one of two frees of a block wins, and the
     * other one neither returns a charge nor touches a process that may be gone, also when the slot
     * is an ordinary block again by then. */
    if (books->number == 0 ||
        !exp_atomic_try_state(place->state, state_of(books), (uint16_t)EXP_STATE_FREE)) {
        stop_freed_by_two(block, caller);
    }
    if ((books->kind & EXP_SIDE_QUOTA) != 0) {
        return_charge(block, place, books, caller);
    }
    struct exp_owner *owner = exp_owner_enter();
    exp_owner_count_free(owner, books->number, column, place->size_bytes);
    if ((books->kind & EXP_SIDE_SESSION) != 0) {
        exp_tag_session_count(books->number, column, false, place->size_bytes);
    }
    if (place->class_index == EXP_CLASS_LARGE) {
        exp_run_large_unmake(place->span);
    } else {
        unsigned bin = place->pool << EXP_CLASS_BITS | place->class_index;
        struct exp_run_entry entry = { (uintptr_t)block, place->state };
        if ((books->kind & EXP_SIDE_GUARD) != 0) {
            mark_freed(block, place);
        }
        twice = exp_owner_give(owner, bin, &entry);
    }
    exp_owner_leave(owner);
    if ((books->kind & EXP_SIDE_QUOTA) != 0) {
        exp_quota_release(books->who);
    }
    if (EXP_UNLIKELY(twice != NULL)) {
        stop_freed_by_two(twice, caller);
    }
    exp_span_tick();
}

/* A secure block has a door of its own. */
static void judge_kind(const void *block,
                       const struct exp_run_place *place,
                       const struct exp_side *books,
                       const void *caller)
{
    if ((books->kind & EXP_SIDE_SECURE) != 0) {
        struct exp_stop_about about = about_of(block, place, books, caller);
        exp_stop_now(
            EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INTERIOR, (uintptr_t)block, 0, 0, &about);
    }
}

void exp_pool_free(void *block, uint32_t tag, const void *caller)
{
    if (tag != 0 && exp_pool_try_free(block, tag, true)) {
        return; /* only the tag's place in the owner's table was unusual */
    }
    struct exp_run_place place = judge_address(block, caller);
    struct exp_side books = books_of(&place);
    judge_kind(block, &place, &books, caller);
    judge_rights(block, &place, &books, tag, caller);
    free_judged(block, &place, &books, caller);
}

void *exp_pool_secure_record(const void *block, uint32_t *tag)
{
    exp_owner_notice();
    if (exp_range_offset(block) >= exp_range.bytes || (uintptr_t)block % EXP_GRANULE != 0) {
        return NULL;
    }
    struct exp_run_place place = exp_run_find(block);
    if (place.what != EXP_RUN_LIVE) {
        return NULL;
    }
    struct exp_side books = books_of(&place);
    *tag = exp_tag_of(books.number);
    return (books.kind & EXP_SIDE_SECURE) != 0 ? books.who : NULL;
}

void exp_pool_judge(
    const void *block, uint32_t tag, bool secure, const void *caller, struct exp_stop_about *about)
{
    struct exp_run_place place = judge_address(block, caller);
    struct exp_side books = books_of(&place);
    if (!secure) {
        judge_kind(block, &place, &books, caller);
    }
    judge_rights(block, &place, &books, tag, caller);
    *about = about_of(block, &place, &books, caller);
}

void exp_pool_free_secure(void *block, const void *caller)
{
    struct exp_run_place place = judge_address(block, caller);
    struct exp_side books = books_of(&place);
    free_judged(block, &place, &books, caller);
}

size_t exp_pool_block_size(const void *block, bool span, bool *quota, const void *caller)
{
    struct exp_run_place place = judge_address(block, caller);
    struct exp_side books = books_of(&place);
    size_t usable = usable_bytes(&place, &books);
    if (quota != NULL) {
        *quota = (books.kind & EXP_SIDE_QUOTA) != 0;
    }
    return span && usable >= EXP_PAGE_BYTES ? exp_round_up(usable, EXP_PAGE_BYTES) : usable;
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
    exp_atomic_store(&pool_face_used, true);
    enum exp_pool_outcome outcome;
    struct exp_pool_request request = {
        .pool = EXP_POOL_PAGED,
        .want = zero ? EXP_POOL_ZERO : 0u,
        .bytes = bytes,
        .number = number,
        .caller = __builtin_return_address(0),
    };
    return allocate(&request, &outcome);
}

void *exp_pool_face_allocate_aligned(size_t bytes, size_t alignment, uint32_t number)
{
    exp_atomic_store(&pool_face_used, true);
    enum exp_pool_outcome outcome;
    struct exp_pool_request request = {
        .pool = EXP_POOL_PAGED,
        .bytes = bytes,
        .alignment = alignment,
        .number = number,
        .caller = __builtin_return_address(0),
    };
    return allocate(&request, &outcome);
}

void exp_pool_face_free(void *block)
{
    const void *caller = __builtin_return_address(0);
    struct exp_run_place place = judge_address(block, caller);
    struct exp_side books = books_of(&place);
    judge_kind(block, &place, &books, caller);
    free_judged(block, &place, &books, caller);
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
    struct expool_region_row *row = exp_owner_row(owner, books_of(place).number, place->pool >> 1);
    size_t new_bytes = (size_t)large->held_bytes;
    if (row != NULL && new_bytes > old_bytes) {
        exp_counter_add(&row->bytes_in, new_bytes - old_bytes);
    } else if (row != NULL) {
        exp_counter_add(&row->bytes_out, old_bytes - new_bytes);
    }
    exp_owner_leave(owner);
    return block;
}

/*
 * Contents of a block into one of paged pool: pages move where the system can, else bytes are
 * copied. Pages take along what may be done with them, so those of an executable block stay.
 */
static void move_contents(void *to, void *from, const struct exp_run_place *place, size_t bytes)
{
    size_t held = place->size_bytes;
    if (bytes >= POOL_MOVE_BYTES && bytes == held && held % EXP_PAGE_BYTES == 0 &&
        place->pool != EXP_POOL_EXECUTE) {
        bool moved = exp_port_move(to, from, held);
        if (exp_range.nodes > 1) {
            exp_port_bind(to, held, exp_range_node_of(to)); /* the wish moved, or was lost */
        }
        if (moved) {
            return;
        }
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
    struct exp_side books = books_of(&place);
    judge_kind(block, &place, &books, caller);
    size_t held = usable_bytes(&place, &books);
    if (place.class_index == EXP_CLASS_LARGE && books.kind == 0) {
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
    move_contents(other, block, &place, exp_min(held, bytes));
    if (!exp_pool_try_free_any(block, false)) {
        free_judged(block, &place, &books, caller);
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
    return exp_pool_block_size(block, false, NULL, __builtin_return_address(0));
}
