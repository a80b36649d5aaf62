/* SPDX-License-Identifier: MIT */
/*
 * The naive model of the pool that the fuzzers hold beside it.
 *
 * It knows three things about every live block, none of them from the pool: where its bytes are
 * (one bit per 16 bytes of address space, so that an overlap is a bit already set), what they hold
 * (a pattern without a zero byte, so that whatever is freed is dirty), and what it adds to the
 * counters of its tag.
 *
 *   bits      a table of two levels by address; words change by atomic operations, so that any
 *             thread may set and clear; cleared before the free, set after the allocation
 *   users     per page: how many live blocks of which pool touch it. Two pools on one page would
 *             mix protections (spec/api.md 4.7, 10.12 statement 137)
 *   counts    per thread, tag and column: allocs, frees, and the least and most bytes that may be
 *             held. The two differ only for blocks above a page with a fractional last page, whose
 *             rest the pool may or may not have given away. Sums over threads are exact at rest
 *
 * A difference ends the program with the seed and the index of the operation.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <expool.h>

#include "core/verify.h"
#include "unit/doors.h"

#define MODEL_PAGE        ((size_t)4096)
#define MODEL_TAGS        600u
#define MODEL_LEAF_PAGES  512u
#define MODEL_ADDRESS_MAX (UINT64_C(1) << 48)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MODEL_SANITIZED 1
#else
#define MODEL_SANITIZED 0
#endif

enum model_pool { MODEL_NONPAGED, MODEL_EXECUTE, MODEL_PAGED };

enum model_door { MODEL_POOL2, MODEL_WITH_TAG, MODEL_POOL };

struct model_block {
    unsigned char *address;
    size_t bytes;      /* requested */
    size_t size_bytes; /* ExQueryPoolBlockSize */
    size_t held_least, held_most;
    uint64_t seed; /* of the pattern */
    uint32_t tag;  /* as given, with its top bit */
    uint16_t tag_index;
    uint8_t pool; /* enum model_pool */
};

struct model_request {
    enum model_door door;
    enum model_pool pool;
    uint64_t flags; /* beside the pool: of Pool2, or bits OR-ed into the type */
    size_t bytes;
    uint16_t tag_index; /* 0 = None; not looked at by MODEL_POOL */
    bool protect;       /* tag with its top bit */
};

struct model_count {
    uint64_t allocs, frees;
    uint64_t held_least, held_most; /* wrap: only sums over threads mean something */
};

/* What one thread knows; the bits are shared by all. */
struct model {
    uint64_t seed;
    uint64_t operation; /* index, for the message */
    uint32_t thread;
    uint64_t random_state;
    uint64_t live_bytes; /* of blocks this thread allocated and has not given away */
    struct model_count count[MODEL_TAGS][2];
};

struct model_leaf {
    uint64_t bits[MODEL_LEAF_PAGES][4]; /* atomic */
    uint32_t users[MODEL_LEAF_PAGES];   /* atomic: blocks << 2 | pool */
};

struct model_branch {
    struct model_leaf *leaf[4096]; /* atomic: 2 MiB each */
};

static struct {
    struct model_branch *branch[1u << 15]; /* atomic: 8 GiB each */
} model_map;

/* Tell what differs, with all that repeats it, and end. */
_Noreturn __attribute__((format(printf, 2, 3), noinline, cold)) static void
model_fail(const struct model *model, const char *words, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "model: seed %llu thread %u operation %llu: ", (unsigned long long)model->seed,
            model->thread, (unsigned long long)model->operation);
    va_start(arguments, words);
    vfprintf(stderr, words, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    abort();
}

static inline uint64_t model_random(struct model *model)
{
    uint64_t state = model->random_state += UINT64_C(0x9e3779b97f4a7c15);
    state = (state ^ (state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    state = (state ^ (state >> 27)) * UINT64_C(0x94d049bb133111eb);
    return state ^ (state >> 31);
}

/* A number below bound. */
static inline uint64_t model_below(struct model *model, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)model_random(model) * bound) >> 64);
}

/* True once in times. */
static inline bool model_once_in(struct model *model, uint64_t times)
{
    return model_below(model, times) == 0;
}

static inline void model_start(struct model *model, uint64_t seed, uint32_t thread)
{
    memset(model, 0, sizeof(*model));
    model->seed = seed;
    model->thread = thread;
    model->random_state = seed * UINT64_C(0x2545f4914f6cdd1d) + thread;
    model_random(model);
}

/* Tags: None, then m000, m001, ... */
static inline uint32_t model_tag(uint32_t index)
{
    if (index == 0) {
        return TAG_NONE;
    }
    return (uint32_t)'m' | ('0' + index / 100 % 10) << 8 | ('0' + index / 10 % 10) << 16 |
           (uint32_t)('0' + index % 10) << 24;
}

/* Index of a tag, or MODEL_TAGS. */
static inline uint32_t model_tag_index(uint32_t tag)
{
    if (tag == TAG_NONE) {
        return 0;
    }
    uint32_t index = 0;
    for (unsigned shift = 8; shift < 32; shift += 8) {
        uint32_t digit = (tag >> shift & 0xff) - '0';
        if (digit > 9) {
            return MODEL_TAGS;
        }
        index = index * 10 + digit;
    }
    return (tag & 0xff) == 'm' && index < MODEL_TAGS ? index : MODEL_TAGS;
}

/* A size of 0 .. 1 MiB and more, mostly small and mostly at an edge of something. */
static inline size_t model_size(struct model *model)
{
    uint64_t dice = model_below(model, 1000);
    if (dice < 500) {
        return model_below(model, 1u << (4 + model_below(model, 9)));
    }
    if (dice < 620) {
        return model_below(model, 48);
    }
    if (dice < 800) {
        size_t slots = 1 + model_below(model, 64); /* most bytes with so many slots in a page */
        return MODEL_PAGE / slots / 16 * 16 + model_below(model, 3) - (slots < 64);
    }
    if (dice < 880) {
        return 2032 + model_below(model, 2064);
    }
    if (dice < 940) {
        return 4064 + model_below(model, 48);
    }
    if (dice < 975) {
        return MODEL_PAGE * (1 + model_below(model, 6)) + model_below(model, 3) * 1025 - 2;
    }
    if (dice < 996) {
        return MODEL_PAGE * (1 + model_below(model, 18)) + model_below(model, 65) - 32;
    }
    if (dice < 999 || !model_once_in(model, 4)) {
        return 60000 + model_below(model, 80000);
    }
    return ((size_t)1 << 20) - 64 + model_below(model, 128) + (model_below(model, 4) << 18);
}

static inline size_t model_round(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static inline uint64_t model_word(uint64_t seed, size_t index)
{
    return (seed + index * UINT64_C(0x9e3779b97f4a7c15)) | UINT64_C(0x0101010101010101);
}

/* Fill a block with its pattern: no byte of it is zero. */
static inline void model_fill(const struct model_block *block)
{
    size_t words = block->bytes / 8;
    uint64_t *word = (uint64_t *)(void *)block->address;
    for (size_t index = 0; index < words; index++) {
        word[index] = model_word(block->seed, index);
    }
    uint64_t last = model_word(block->seed, words);
    memcpy(block->address + words * 8, &last, block->bytes % 8);
}

/* The block still holds what was written. */
static inline void model_verify(const struct model *model, const struct model_block *block)
{
    size_t words = block->bytes / 8;
    const uint64_t *word = (const uint64_t *)(const void *)block->address;
    uint64_t wrong = 0;
    for (size_t index = 0; index < words; index++) {
        wrong |= word[index] ^ model_word(block->seed, index);
    }
    uint64_t last = model_word(block->seed, words);
    if (wrong != 0 || memcmp(block->address + words * 8, &last, block->bytes % 8) != 0) {
        size_t at = 0;
        while (at < words && word[at] == model_word(block->seed, at)) {
            at++;
        }
        model_fail(model, "block %p of %zu bytes, pool %u: contents changed near byte %zu",
                   (void *)block->address, block->bytes, block->pool, at * 8);
    }
}

static inline void model_check_zero(const struct model *model, const struct model_block *block)
{
    size_t words = block->bytes / 8;
    const uint64_t *word = (const uint64_t *)(const void *)block->address;
    uint64_t wrong = 0;
    for (size_t index = 0; index < words; index++) {
        wrong |= word[index];
    }
    for (size_t index = words * 8; index < block->bytes; index++) {
        wrong |= block->address[index];
    }
    if (wrong != 0) {
        size_t at = 0;
        while (block->address[at] == 0) {
            at++;
        }
        model_fail(model, "block %p of %zu bytes, pool %u: byte %zu is 0x%02x, promised zero",
                   (void *)block->address, block->bytes, block->pool, at, block->address[at]);
    }
}

/* One table of the map, made on first use by whoever comes first. */
static inline void *model_table(void **place, size_t bytes)
{
    void *table = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (table == NULL) {
        void *fresh = calloc(1, bytes);
        if (fresh == NULL) {
            abort();
        }
        if (__atomic_compare_exchange_n(place, &table, fresh, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            return fresh;
        }
        free(fresh);
    }
    return table;
}

static inline struct model_leaf *model_leaf(const struct model *model, uint64_t address)
{
    if (address >= MODEL_ADDRESS_MAX) {
        model_fail(model, "address 0x%llx is no address", (unsigned long long)address);
    }
    struct model_branch *branch =
        model_table((void **)&model_map.branch[address >> 33], sizeof(struct model_branch));
    return model_table((void **)&branch->leaf[address >> 21 & 4095], sizeof(struct model_leaf));
}

/* One page more or less of a block; all live blocks of a page are of one pool. */
static inline void model_page_use(const struct model *model,
                                  const struct model_block *block,
                                  uint32_t *users,
                                  int step)
{
    uint32_t former = __atomic_load_n(users, __ATOMIC_RELAXED);
    uint32_t next;
    do {
        if (former >> 2 != 0 && (former & 3) != block->pool) {
            model_fail(model, "block %p of %zu bytes, pool %u: its page serves pool %u too",
                       (void *)block->address, block->bytes, block->pool, former & 3);
        }
        next = (uint32_t)((int)(former >> 2) + step) << 2 | block->pool;
    } while (!__atomic_compare_exchange_n(users, &former, next, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
}

/* Set or clear the bits of a block; every one must have been the opposite. */
static inline void model_mark(const struct model *model, const struct model_block *block, bool live)
{
    uint64_t granule = (uint64_t)(uintptr_t)block->address / 16;
    uint64_t end = granule + (block->bytes == 0 ? 1 : model_round(block->bytes, 16) / 16);
    uint64_t page_done = UINT64_MAX;
    while (granule < end) {
        struct model_leaf *leaf = model_leaf(model, granule * 16);
        size_t page = granule / 256 % MODEL_LEAF_PAGES;
        uint64_t stop = (granule / 64 + 1) * 64;
        uint64_t count = (stop < end ? stop : end) - granule;
        uint64_t mask = (count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1) << granule % 64;
        uint64_t *word = &leaf->bits[page][granule / 64 % 4];
        uint64_t former = live ? __atomic_fetch_or(word, mask, __ATOMIC_RELAXED)
                               : __atomic_fetch_and(word, ~mask, __ATOMIC_RELAXED);
        if ((live ? former : ~former) & mask) {
            model_fail(model, "block %p of %zu bytes, pool %u: %s near %p",
                       (void *)block->address, block->bytes, block->pool,
                       live ? "overlaps a live block" : "the model lost a bit",
                       (void *)(uintptr_t)(granule * 16));
        }
        if (granule / 256 != page_done) {
            page_done = granule / 256;
            model_page_use(model, block, &leaf->users[page], live ? 1 : -1);
        }
        granule += count;
    }
}

static inline void *model_call(const struct model_request *request, uint32_t tag)
{
    static const uint64_t pool_flags[] = {FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED};
    static const int pool_types[] = {TYPE_NX, TYPE_EXECUTE, TYPE_PAGED};
    int type = pool_types[request->pool] | (int)request->flags;
    switch (request->door) {
    case MODEL_POOL2:
        return ExAllocatePool2(pool_flags[request->pool] | request->flags, request->bytes, tag);
    case MODEL_WITH_TAG:
        return ExAllocatePoolWithTag(type, request->bytes, tag);
    default:
        return ExAllocatePool(type, request->bytes);
    }
}

/* Placement: spec/api.md 4.1 - 4.3, 2.7; statements 11 - 14. */
static inline void
model_check_place(const struct model *model, const struct model_block *block, bool line_aligned)
{
    uintptr_t address = (uintptr_t)block->address;
    size_t bytes = block->bytes;
    bool right = address % 16 == 0;
    if (bytes >= MODEL_PAGE) {
        right = address % MODEL_PAGE == 0;
    } else if (bytes > 0) {
        right = right && address / MODEL_PAGE == (address + bytes - 1) / MODEL_PAGE;
    }
    if (!right || (line_aligned && address % 64 != 0)) {
        model_fail(model, "block %p of %zu bytes%s: wrong place", (void *)block->address, bytes,
                   line_aligned ? ", cache aligned" : "");
    }
}

/* Sizes: spec/api.md section 4 (requested, held, span); statements 103, 105. */
static inline void model_size_block(const struct model *model, struct model_block *block)
{
    unsigned char charged = 2;
    size_t span = model_round(block->bytes, MODEL_PAGE);
    block->size_bytes = ExQueryPoolBlockSize(block->address, &charged);
    block->held_least = block->size_bytes;
    block->held_most = block->size_bytes;
    bool right = block->size_bytes >= block->bytes && block->size_bytes >= 1;
    if (block->bytes > MODEL_PAGE) {
        block->held_least = model_round(block->bytes, 16);
        right = block->size_bytes == span;
    } else if (block->bytes == MODEL_PAGE) {
        right = block->size_bytes == MODEL_PAGE;
    } else {
        right = right && block->size_bytes <= MODEL_PAGE;
    }
    if (!right || charged != 0) {
        model_fail(model, "block %p of %zu bytes: ExQueryPoolBlockSize says %zu, charged %u",
                   (void *)block->address, block->bytes, block->size_bytes, charged);
    }
}

/*
 * Allocate through a door, check everything that is promised, fill, count.
 *
 *   returns   false: the pool said NULL; the model is as before
 */
static inline bool model_allocate(struct model *model,
                                  const struct model_request *request,
                                  struct model_block *block)
{
    block->tag_index = request->door == MODEL_POOL ? 0 : request->tag_index;
    bool protect = request->protect && request->door != MODEL_POOL;
    block->tag = model_tag(block->tag_index) | (protect ? TAG_PROTECTED : 0);
    block->bytes = request->bytes;
    block->pool = (uint8_t)request->pool;
    block->address = model_call(request, block->tag);
    if (block->address == NULL) {
        return false;
    }
    bool pool2 = request->door == MODEL_POOL2;
    bool zero = pool2 ? !(request->flags & FLAG_UNINITIALIZED) : request->flags & TYPE_ZERO;
    uint64_t line_bit = pool2 ? FLAG_CACHE_ALIGNED : TYPE_CACHE_ALIGNED;
    model_check_place(model, block, request->flags & line_bit);
    model_mark(model, block, true);
    if (zero) {
        model_check_zero(model, block);
    }
    block->seed = model_random(model);
    model_fill(block);
    model_size_block(model, block);
    struct model_count *count = &model->count[block->tag_index][block->pool == MODEL_PAGED];
    count->allocs++;
    count->held_least += block->held_least;
    count->held_most += block->held_most;
    model->live_bytes += block->size_bytes;
    return true;
}

/* Free a block, wherever it came from, by one of the ways its tag allows. */
static inline void model_free(struct model *model, const struct model_block *block)
{
    model_verify(model, block);
    model_mark(model, block, false);
    struct model_count *count = &model->count[block->tag_index][block->pool == MODEL_PAGED];
    count->frees++;
    count->held_least -= block->held_least;
    count->held_most -= block->held_most;
    model->live_bytes -= block->size_bytes;
    uint64_t way = model_below(model, 8);
    if (block->tag & TAG_PROTECTED) {
        ExFreePoolWithTag(block->address, block->tag ^ (way & 1 ? TAG_PROTECTED : 0));
    } else if (way < 3) {
        ExFreePool(block->address);
    } else if (way < 4) {
        ExFreePoolWithTag(block->address, 0);
    } else {
        ExFreePoolWithTag(block->address, block->tag | (way == 4 ? TAG_PROTECTED : 0));
    }
}

/* A request that may be asked for at any time: all doors, pools and flags. */
static inline void model_request_any(struct model *model, struct model_request *request)
{
    static const uint64_t type_bits[] = {TYPE_CACHE_ALIGNED, TYPE_SESSION, TYPE_COLD, TYPE_ZERO,
                                         TYPE_QUOTA_FAIL};
    static const uint64_t pool2_bits[] = {FLAG_CACHE_ALIGNED, FLAG_SESSION, FLAG_SPECIAL_POOL,
                                          FLAG_UNKNOWN_OPTIONAL, FLAG_UNINITIALIZED};
    uint64_t door = model_below(model, 16);
    request->door = door < 9 ? MODEL_POOL2 : door < 15 ? MODEL_WITH_TAG : MODEL_POOL;
    request->pool = (enum model_pool)(model_below(model, 5) % 3);
    request->bytes = model_size(model);
    /* Few tags get most blocks, every tag some. */
    uint64_t spread = UINT64_C(1) << model_below(model, 10);
    request->tag_index = (uint16_t)(model_below(model, spread) % MODEL_TAGS);
    request->protect = model_once_in(model, 32);
    request->flags = 0;
    if (model_once_in(model, 4)) {
        uint64_t one = model_below(model, 5);
        uint64_t other = model_below(model, 5);
        const uint64_t *bits = request->door == MODEL_POOL2 ? pool2_bits : type_bits;
        request->flags = bits[one] | bits[other];
    }
    if (request->door == MODEL_POOL2 && model_once_in(model, 3)) {
        request->flags |= FLAG_UNINITIALIZED;
    }
    bool paged_type = request->door == MODEL_WITH_TAG && request->pool == MODEL_PAGED;
    if (paged_type && model_once_in(model, 8)) {
        request->flags |= TYPE_NX; /* legal, and means paged pool (statement 41) */
    }
}

/* Requests that must fail and leave no trace: statements 24 - 27, 31. */
static inline void model_refused(struct model *model)
{
    static const uint64_t wrong_flags[] = {0, 1, 512, FLAG_NON_PAGED | FLAG_PAGED,
                                           FLAG_PAGED | FLAG_NON_PAGED_EXECUTE,
                                           FLAG_PAGED | FLAG_RESERVED1, FLAG_NON_PAGED | 0x200,
                                           FLAG_PAGED | 0x400, FLAG_PAGED | 0x800,
                                           FLAG_NON_PAGED | 0x80000000u};
    static const size_t wrong_sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095,
                                         SIZE_MAX - 4096, SIZE_MAX / 2 + 1, SIZE_MAX / 2};
    uint32_t tag = model_tag((uint32_t)model_below(model, MODEL_TAGS));
    size_t bytes = wrong_sizes[model_below(model, 6)];
    uint64_t kind = model_below(model, 4);
    void *block = NULL;
    if (kind == 0) {
        block = ExAllocatePool2(wrong_flags[model_below(model, 10)], 64, tag);
    } else if (kind == 1) {
        block = ExAllocatePool2(FLAG_PAGED, 64, 0);
    } else if (kind == 2) {
        block = ExAllocatePool2(FLAG_NON_PAGED, bytes, tag);
    } else {
        block = ExAllocatePoolWithTag(TYPE_PAGED, bytes, tag);
    }
    if (block != NULL) {
        model_fail(model, "a request that must fail (kind %llu) was served",
                   (unsigned long long)kind);
    }
}

/* The pool's own walk over all that it keeps; nobody uses the pool meanwhile. */
static inline void model_check_inside(const struct model *model)
{
    struct exp_verify_fault fault;
    if (!exp_verify_all(&fault)) {
        model_fail(model, "inside: %s at %p: expected 0x%llx, found 0x%llx (key %u)",
                   exp_verify_words(fault.what), fault.address, (unsigned long long)fault.expected,
                   (unsigned long long)fault.found, fault.key);
    }
}

/* Compare what the pool counts with the sum over models; nobody else uses the pool meanwhile. */
static inline void model_check_counts(struct model *const *models, size_t model_total)
{
    static struct expool_tag_row rows[2 * MODEL_TAGS + 64];
    static bool seen[MODEL_TAGS][2];
    const struct model *first = models[0];
    size_t capacity = sizeof(rows) / sizeof(rows[0]);
    size_t row_count = expool_tags(rows, capacity);
    if (row_count > capacity) {
        model_fail(first, "%zu tag rows, more than were ever used", row_count);
    }
    memset(seen, 0, sizeof(seen));
    for (size_t index = 0; index < row_count + 2 * MODEL_TAGS; index++) {
        /* First what the pool has, then what it has not. */
        struct expool_tag_row row = {0};
        uint32_t tag_index = (uint32_t)(index - row_count) / 2;
        uint32_t column = (uint32_t)(index - row_count) % 2;
        if (index < row_count) {
            row = rows[index];
            tag_index = model_tag_index(row.tag);
            column = row.pool;
            if (tag_index == MODEL_TAGS || column > 1 || seen[tag_index][column]) {
                model_fail(first, "tag row 0x%08x pool %u: unknown, or there twice", row.tag,
                           row.pool);
            }
            seen[tag_index][column] = true;
        } else if (seen[tag_index][column]) {
            continue;
        }
        struct model_count sum = {0};
        for (size_t which = 0; which < model_total; which++) {
            const struct model_count *count = &models[which]->count[tag_index][column];
            sum.allocs += count->allocs;
            sum.frees += count->frees;
            sum.held_least += count->held_least;
            sum.held_most += count->held_most;
        }
        if (row.allocs != sum.allocs || row.frees != sum.frees || row.bytes < sum.held_least ||
            row.bytes > sum.held_most) {
            model_fail(first,
                       "tag %u pool %u: pool says %llu allocs %llu frees %llu bytes, "
                       "model %llu %llu %llu..%llu",
                       tag_index, column, (unsigned long long)row.allocs,
                       (unsigned long long)row.frees, (unsigned long long)row.bytes,
                       (unsigned long long)sum.allocs, (unsigned long long)sum.frees,
                       (unsigned long long)sum.held_least, (unsigned long long)sum.held_most);
        }
    }
}

#endif
