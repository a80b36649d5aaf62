/* SPDX-License-Identifier: MIT */
/*
 * Priorities (api 54 to 60, 112): which level is refused at which number of free pages.
 *
 * The numbers are those of spec/api.md 3.2 and section 6: with F free pages of the pool, R pages of
 * the request (1 for small ones) and L the pool's low threshold, Low is refused when F - R < L,
 * Normal when F - R < L / 4. The pool is filled to some thousand pages and its limit moved over
 * every page around both thresholds, where L is a share of the limit and where it is at its cap.
 */
#include "doors.h"

enum {
    TAG = 'oirP',
    PAGE = 4096
};

static const EX_POOL_PRIORITY all_nine[] = {
    LowPoolPriority,    LowPoolPrioritySpecialPoolOverrun,    LowPoolPrioritySpecialPoolUnderrun,
    NormalPoolPriority, NormalPoolPrioritySpecialPoolOverrun, NormalPoolPrioritySpecialPoolUnderrun,
    HighPoolPriority,   HighPoolPrioritySpecialPoolOverrun,   HighPoolPrioritySpecialPoolUnderrun,
};

/* One kind of pool, and its threshold: a share of the limit, at most cap pages. */
struct kind {
    POOL_FLAGS flags;
    POOL_TYPE type;
    const char *option;
    uint64_t share;
    uint64_t cap_pages;
};

static const struct kind kinds[] = {
    { POOL_FLAG_NON_PAGED, NonPagedPoolNx, "nonpaged_limit", 3, 2048 },
    { POOL_FLAG_NON_PAGED_EXECUTE, NonPagedPoolExecute, "nonpaged_limit", 3, 2048 },
    { POOL_FLAG_PAGED, PagedPool, "paged_limit", 5, 7680 },
};
enum {
    KINDS = sizeof(kinds) / sizeof(kinds[0])
};

static uint64_t pages_used(const struct kind *kind)
{
    struct expool_region_header header;

    if (!DDI_TRUE(ddi_region(&header))) {
        exit(1);
    }
    return kind->type == PagedPool ? header.pool[2].pages
                                   : header.pool[0].pages + header.pool[1].pages;
}

static void limit_set(const struct kind *kind, uint64_t pages, uint64_t bytes_more)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)(pages * PAGE + bytes_more));
    DDI_EQUAL(0, expool_set(kind->option, text));
}

/* ExAllocatePool3 with one priority, as a door. */
static EX_POOL_PRIORITY given;

static void *with_parameter(uint64_t flags, size_t bytes, uint32_t tag)
{
    POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterPriority, .Priority = given };

    return ddi_opaque(ExAllocatePool3(flags, bytes, tag, &entry, 1));
}

static void *with_priority(uint64_t type, size_t bytes, uint32_t tag)
{
    return ddi_opaque(ExAllocatePoolWithTagPriority((POOL_TYPE)type, bytes, tag, given));
}

/* One of the two doors at a level: serves, or refuses both quietly and by a raise. */
static void door_does(const struct kind *kind, bool flags, size_t bytes, bool serves)
{
    door *call = flags ? with_parameter : with_priority;
    uint64_t bits = flags ? kind->flags | POOL_FLAG_UNINITIALIZED : (uint64_t)kind->type;
    uint64_t raise =
        flags ? (uint64_t)POOL_FLAG_RAISE_ON_FAILURE : POOL_RAISE_IF_ALLOCATION_FAILURE;
    struct door_end end = door_try(call, bits, bytes, TAG);

    if (serves) {
        DOOR_GIVES_BLOCK(end);
    } else {
        DOOR_GIVES_NULL(end);
        DOOR_RAISES(door_try(call, bits | raise, bytes, TAG), STATUS_INSUFFICIENT_RESOURCES);
    }
    if (end.block != NULL) {
        ExFreePoolWithTag(end.block, TAG);
    }
}

static void level_does(const struct kind *kind, EX_POOL_PRIORITY level, size_t bytes, bool serves)
{
    given = level;
    door_does(kind, false, bytes, serves);
    door_does(kind, true, bytes, serves);
}

static uint64_t low_of(const struct kind *kind, uint64_t limit_pages)
{
    uint64_t low = limit_pages / kind->share;

    return low < kind->cap_pages ? low : kind->cap_pages;
}

/* A level at the limit that is set, with nothing kept back in caches. */
static void level_is_as_told(const struct kind *kind,
                             EX_POOL_PRIORITY level,
                             size_t bytes,
                             uint64_t limit_pages)
{
    uint64_t low = low_of(kind, limit_pages);
    int64_t keep = (int64_t)(level == LowPoolPriority      ? low
                             : level == NormalPoolPriority ? low / 4
                                                           : 0);
    int64_t request = bytes == 0 ? 1 : (int64_t)((bytes + PAGE - 1) / PAGE);

    given = level;
    for (int flags = 0; flags < 2; ++flags) {
        int64_t rest;

        expool_trim();
        rest = (int64_t)limit_pages - (int64_t)pages_used(kind) - request;
        door_does(kind, flags != 0, bytes, rest >= keep);
    }
}

/* Fill the pool to so many pages and move the limit over all that matters. */
static void thresholds_are_exact(const struct kind *kind, uint64_t filled_pages)
{
    static const size_t sizes[] = { 0, 100, PAGE, PAGE + 1, 9 * PAGE, 40 * PAGE };
    static const EX_POOL_PRIORITY levels[] = { LowPoolPriority,
                                               NormalPoolPriority,
                                               HighPoolPriority };
    void *filler;
    uint64_t used;

    DDI_EQUAL(0, expool_set("front_cache", "0"));
    expool_trim();
    filler =
        door_try(
            door_pool2, kind->flags | POOL_FLAG_UNINITIALIZED, (size_t)filled_pages * PAGE, TAG)
            .block;
    DDI_TRUE(filler != NULL);
    used = pages_used(kind);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        uint64_t request = sizes[i] == 0 ? 1 : (sizes[i] + PAGE - 1) / PAGE;

        for (int level = 0; level < 3; ++level) {
            /* The first limit that serves, and its neighbours. */
            uint64_t divisor = level == 0 ? 1 : 4;
            uint64_t limit = used + request;

            while (level < 2 && limit - used - request < low_of(kind, limit) / divisor) {
                ++limit;
            }
            for (uint64_t at = limit - 3; at <= limit + 3; ++at) {
                limit_set(kind, at, at % 2 != 0 ? PAGE - 1 : 0); /* not a whole page more */
                level_is_as_told(kind, levels[level], sizes[i], at);
            }
        }
    }
    DDI_EQUAL(0, expool_set(kind->option, "unlimited"));
    ExFreePoolWithTag(filler, TAG);
}

static void test_priority_thresholds_are_exact_where_low_is_a_share(void)
{
    for (size_t i = 0; i < KINDS; ++i) {
        thresholds_are_exact(&kinds[i], 1000);
    }
}

static void test_priority_thresholds_are_exact_where_low_is_at_its_cap(void)
{
    thresholds_are_exact(&kinds[0], 4500);
    thresholds_are_exact(&kinds[2], 31000);
}

/* Over the whole way from empty to full, High and plain WithTag say the same. */
static void test_priority_high_serves_whenever_with_tag_does(void)
{
    enum {
        BLOCKS = 600
    };
    static void *block[BLOCKS];
    const struct kind *kind = &kinds[2];
    size_t count = 0;
    bool full = false;

    expool_trim();
    limit_set(kind, pages_used(kind) + 256, 0);
    while (!full && count + 2 <= BLOCKS) {
        static const size_t sizes[] = { 3000, 4096, 9000 };
        size_t bytes = sizes[count / 2 % 3];

        block[count] = door_try(door_with_tag, kind->type, bytes, TAG).block;
        if (block[count] != NULL) {
            ExFreePoolWithTag(block[count], TAG);
        }
        given = HighPoolPriority;
        full = block[count] == NULL;
        block[count] = door_try(with_priority, kind->type, bytes, TAG).block;
        DDI_EQUAL(full, block[count] == NULL);
        count += !full;
    }
    DDI_TRUE(full);
    for (size_t i = 0; i < count; ++i) {
        ExFreePoolWithTag(block[i], TAG);
    }
}

static void test_priority_without_a_limit_nothing_is_refused(void)
{
    void *filler =
        door_try(door_pool2, POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, 1 << 28, TAG).block;

    for (size_t i = 0; i < KINDS; ++i) {
        level_does(&kinds[i], LowPoolPriority, 100, true);
        level_does(&kinds[i], LowPoolPriority, 40 << 20, true);
        level_does(&kinds[i], NormalPoolPriority, 5000, true);
        level_does(&kinds[i], HighPoolPriority, 5000, true);
    }
    ExFreePoolWithTag(filler, TAG);
}

static void test_priority_other_pools_limit_is_not_ours(void)
{
    DDI_EQUAL(0, expool_set("nonpaged_limit", "0"));
    level_does(&kinds[2], LowPoolPriority, 100000, true);
    level_does(&kinds[0], LowPoolPriority, 100, false);
    DDI_EQUAL(0, expool_set("nonpaged_limit", "unlimited"));
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    level_does(&kinds[0], LowPoolPriority, 100000, true);
    level_does(&kinds[2], NormalPoolPriority, 100, false);
}

static void test_priority_all_nine_values_are_accepted(void)
{
    for (size_t i = 0; i < sizeof(all_nine) / sizeof(all_nine[0]); ++i) {
        for (size_t j = 0; j < KINDS; ++j) {
            level_does(&kinds[j], all_nine[i], 100, true);
            level_does(&kinds[j], all_nine[i], 5000, true);
        }
    }
}

/* The bits for special pool change nothing about the level. */
static void test_priority_placement_bits_do_not_change_the_level(void)
{
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    for (size_t i = 0; i < 6; ++i) {
        level_does(&kinds[2], all_nine[i], 100, false);
    }
    DDI_EQUAL(0, expool_set("paged_limit", "unlimited"));
}

/* Of the legacy value only 0x30 counts, and 0x30 itself is High. */
static void test_priority_legacy_value_is_masked(void)
{
    void *block;

    block = door_try(door_with_tag, PagedPool, 100, TAG).block; /* a page with free slots */
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    given = (EX_POOL_PRIORITY)0x30;
    ExFreePoolWithTag(door_try(with_priority, PagedPool, 100, TAG).block, TAG);
    given = (EX_POOL_PRIORITY)0xFFFFFFFF;
    ExFreePoolWithTag(door_try(with_priority, PagedPool, 100, TAG).block, TAG);
    given = (EX_POOL_PRIORITY)0xFFFFFFCF;
    DOOR_GIVES_NULL(door_try(with_priority, PagedPool, 100, TAG));
    given = (EX_POOL_PRIORITY)0x1F;
    DOOR_GIVES_NULL(door_try(with_priority, PagedPool, 100, TAG));
    DDI_EQUAL(0, expool_set("paged_limit", "unlimited"));
    ExFreePoolWithTag(block, TAG);
}

static void test_priority_zero_zeroes_recycled_memory(void)
{
    static const size_t sizes[] = { 1, 16, 100, 2000, 4095, 4096, 5000, 100000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        void *block = door_try(door_low_uninitialized, PagedPool, sizes[i], TAG).block;

        memset(block, 0xEE, sizes[i]);
        ExFreePoolWithTag(block, TAG);
        block = door_try(door_low_zero, PagedPool, sizes[i], TAG).block;
        DDI_TRUE_FOR(ddi_all_bytes(block, sizes[i], 0), sizes[i]);
        ExFreePoolWithTag(block, TAG);
    }
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    DOOR_GIVES_NULL(door_try(door_low_zero, PagedPool, 100, TAG));
    DOOR_GIVES_NULL(door_try(door_low_uninitialized, PagedPool, 100, TAG));
    DOOR_RAISES(door_try(door_low_zero, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, 100, TAG),
                STATUS_INSUFFICIENT_RESOURCES);
    DOOR_RAISES(
        door_try(door_low_uninitialized, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, 100, TAG),
        STATUS_INSUFFICIENT_RESOURCES);
}

static const struct ddi_test tests[] = {
    DDI_TEST("54", test_priority_high_serves_whenever_with_tag_does),
    DDI_TEST("55,56,58,112", test_priority_thresholds_are_exact_where_low_is_a_share),
    DDI_TEST("55,56,58,112", test_priority_thresholds_are_exact_where_low_is_at_its_cap),
    DDI_TEST("57,112", test_priority_without_a_limit_nothing_is_refused),
    DDI_TEST("58", test_priority_other_pools_limit_is_not_ours),
    DDI_TEST("59", test_priority_all_nine_values_are_accepted),
    DDI_TEST("59", test_priority_placement_bits_do_not_change_the_level),
    DDI_TEST("59", test_priority_legacy_value_is_masked),
    DDI_TEST("60", test_priority_zero_zeroes_recycled_memory),
};

DDI_MAIN(tests)
