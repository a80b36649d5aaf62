/* SPDX-License-Identifier: MIT */
/*
 * Every cause of spec/api.md 2.8 at every allocating door (api 35, 80, 167, 184 and 24 to 34, 42 to
 * 49, 66 to 68): how the call ends, and that it leaves nothing behind.
 *
 * One table has the doors, one the causes. Each pair is tried in each kind of pool and with every
 * choice of the bits 8, 16 and 0x20. Before and after the call a snapshot is taken: the rows of the
 * tag, the number of rows, the charge and the references of the process, the IRQL, the pages in
 * use, the standard events of the pools. Then a plain block is allocated in each pool, which needs
 * every lock that could have stayed.
 */
#include "doors.h"

#include <ntifs.h>

enum {
    TAG = 'rtaM',
    NONE_TAG = 'enoN',
    QUOTA_BYTES = 8192,
    SMALL_BYTES = 3000, /* a page of its own in every class table */
    LARGE_BYTES = 200000
};

enum family {
    LEGACY, /* NULL; bit 16 raises */
    QUOTA,  /* raises; bit 8 quiets quota and memory, bit 16 lets memory raise again */
    FLAGS   /* NULL; 0x20 raises */
};

static void *low_by_parameter(uint64_t flags, size_t bytes, uint32_t tag)
{
    POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterPriority,
                                      .Priority = LowPoolPriority };

    return ddi_opaque(ExAllocatePool3(flags, bytes, tag, &entry, 1));
}

DOOR(door_fsrtl, FsRtlAllocatePoolWithTag((POOL_TYPE)bits, bytes, tag))
DOOR(door_fsrtl_quota, FsRtlAllocatePoolWithQuotaTag((POOL_TYPE)bits, bytes, tag))

struct row {
    const char *name;
    door *call;
    enum family family;
    uint64_t adds;   /* bits that the door itself or this row adds */
    uint64_t strips; /* bits that the door takes away before */
    bool own_tag;    /* None, whatever is asked for */
    bool refusable;  /* its priority can be refused */
    bool pays;       /* charges quota */
    bool parameters; /* has extended parameters */
};

static const struct row doors[] = {
    { .name = "ExAllocatePool", .call = door_pool, .own_tag = true },
    { .name = "ExAllocatePoolWithTag", .call = door_with_tag },
    { .name = "ExAllocatePoolZero", .call = door_zero, .adds = POOL_ZERO_ALLOCATION },
    { .name = "ExAllocatePoolUninitialized", .call = door_uninitialized },
    { .name = "WithTagPriority, low", .call = door_low, .refusable = true },
    { .name = "WithTagPriority, normal", .call = door_normal, .refusable = true },
    { .name = "WithTagPriority, high", .call = door_high },
    { .name = "ExAllocatePoolPriorityZero",
      .call = door_low_zero,
      .adds = POOL_ZERO_ALLOCATION,
      .refusable = true },
    { .name = "ExAllocatePoolPriorityUninitialized",
      .call = door_low_uninitialized,
      .refusable = true },
    { .name = "ExAllocatePoolWithQuota",
      .call = door_quota,
      .family = QUOTA,
      .own_tag = true,
      .pays = true },
    { .name = "ExAllocatePoolWithQuotaTag", .call = door_quota_tag, .family = QUOTA, .pays = true },
    { .name = "ExAllocatePoolQuotaZero",
      .call = door_quota_zero,
      .family = QUOTA,
      .adds = POOL_ZERO_ALLOCATION,
      .pays = true },
    { .name = "ExAllocatePoolQuotaUninitialized",
      .call = door_quota_uninitialized,
      .family = QUOTA,
      .pays = true },
    { .name = "FsRtlAllocatePoolWithTag",
      .call = door_fsrtl,
      .adds = POOL_RAISE_IF_ALLOCATION_FAILURE,
      .strips = POOL_QUOTA_FAIL_INSTEAD_OF_RAISE },
    { .name = "FsRtlAllocatePoolWithQuotaTag",
      .call = door_fsrtl_quota,
      .family = QUOTA,
      .adds = POOL_RAISE_IF_ALLOCATION_FAILURE,
      .strips = POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
      .pays = true },
    { .name = "ExAllocatePool2", .call = door_pool2, .family = FLAGS },
    { .name = "ExAllocatePool2, uninitialized",
      .call = door_pool2,
      .family = FLAGS,
      .adds = POOL_FLAG_UNINITIALIZED },
    { .name = "ExAllocatePool2, quota",
      .call = door_pool2,
      .family = FLAGS,
      .adds = POOL_FLAG_USE_QUOTA,
      .pays = true },
    { .name = "ExAllocatePool3", .call = door_pool3, .family = FLAGS },
    { .name = "ExAllocatePool3, quota",
      .call = door_pool3,
      .family = FLAGS,
      .adds = POOL_FLAG_USE_QUOTA,
      .pays = true },
    { .name = "ExAllocatePool3, low",
      .call = low_by_parameter,
      .family = FLAGS,
      .refusable = true,
      .parameters = true },
    { .name = "ExAllocatePool3, low, quota",
      .call = low_by_parameter,
      .family = FLAGS,
      .adds = POOL_FLAG_USE_QUOTA,
      .refusable = true,
      .pays = true,
      .parameters = true },
};

/* The same pool for each family. */
static const struct kind {
    uint64_t type;
    uint64_t flags;
    uint64_t type_of_flags; /* in a stop */
    uint32_t column;
} kinds[] = {
    { NonPagedPoolNx, POOL_FLAG_NON_PAGED, NonPagedPoolNx, 0 },
    { NonPagedPoolExecute, POOL_FLAG_NON_PAGED_EXECUTE, NonPagedPoolExecute, 0 },
    { PagedPool, POOL_FLAG_PAGED, PagedPool, 1 },
    { NonPagedPoolNxCacheAligned,
      POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
      NonPagedPoolNx,
      0 },
    { PagedPoolSession, POOL_FLAG_PAGED | POOL_FLAG_SESSION, PagedPool, 1 },
};

/* One call and how it ended. */
struct attempt {
    const struct row *door;
    const struct kind *kind;
    uint64_t bits;  /* as given to the door */
    uint64_t means; /* what the door makes of them */
    uint64_t type;  /* as a stop names it */
    size_t bytes;
    uint32_t tag;
    struct door_end end;
};

static struct expool_process *process;

static bool raises_memory(const struct attempt *attempt)
{
    switch (attempt->door->family) {
    case LEGACY:
        return (attempt->means & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0;
    case QUOTA:
        return (attempt->means & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE) == 0 ||
               (attempt->means & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0;
    default:
        return (attempt->means & POOL_FLAG_RAISE_ON_FAILURE) != 0;
    }
}

static bool raises_quota(const struct attempt *attempt)
{
    return attempt->door->family == QUOTA ? (attempt->means & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE) == 0
                                          : (attempt->means & POOL_FLAG_RAISE_ON_FAILURE) != 0;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

struct snapshot {
    struct expool_tag_row row[2][2]; /* of TAG and None, by column */
    size_t rows;
    struct expool_usage usage;
    uint64_t pages[EXPOOL_REGION_POOL_COUNT];
    uint32_t events; /* a bit for each that is signaled */
    KIRQL irql;
};

static uint32_t events_signaled(void)
{
    static UNICODE_STRING names[] = {
        RTL_CONSTANT_STRING(L"\\KernelObjects\\LowPagedPoolCondition"),
        RTL_CONSTANT_STRING(L"\\KernelObjects\\HighPagedPoolCondition"),
        RTL_CONSTANT_STRING(L"\\KernelObjects\\LowNonPagedPoolCondition"),
        RTL_CONSTANT_STRING(L"\\KernelObjects\\HighNonPagedPoolCondition"),
    };
    static PKEVENT events[RTL_NUMBER_OF(names)];
    uint32_t signaled = 0;

    for (size_t i = 0; i < RTL_NUMBER_OF(names); ++i) {
        HANDLE handle;

        if (events[i] == NULL) {
            events[i] = IoCreateNotificationEvent(&names[i], &handle); /* stays open */
        }
        if (DDI_TRUE_FOR(events[i] != NULL, i) && KeReadStateEvent(events[i]) != 0) {
            signaled |= UINT32_C(1) << i;
        }
    }
    return signaled;
}

static void snapshot_take(struct snapshot *snapshot)
{
    struct expool_region_header header;

    memset(snapshot, 0, sizeof(*snapshot));
    expool_trim(); /* what caches keep is not in use, and a failing call gives it back, too */
    for (uint32_t column = 0; column < 2; ++column) {
        snapshot->row[0][column] = ddi_row(TAG, column);
        snapshot->row[1][column] = ddi_row(NONE_TAG, column);
    }
    snapshot->rows = expool_tags(NULL, 0);
    snapshot->usage = door_usage(process);
    snapshot->events = events_signaled();
    if (ddi_region(&header)) {
        for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; ++pool) {
            snapshot->pages[pool] = header.pool[pool].pages;
        }
    }
    snapshot->irql = KeGetCurrentIrql();
}

static void all_pools_work(void)
{
    static const POOL_FLAGS flags[] = { POOL_FLAG_NON_PAGED,
                                        POOL_FLAG_NON_PAGED_EXECUTE,
                                        POOL_FLAG_PAGED };

    for (int pool = 0; pool < 3; ++pool) {
        for (size_t bytes = 100; bytes <= LARGE_BYTES; bytes *= 44) {
            void *block = door_try(door_pool2, flags[pool], bytes, TAG).block;

            if (DDI_TRUE_FOR(block != NULL, bytes)) {
                ExFreePoolWithTag(block, TAG);
            }
        }
    }
}

/* Which pair of the tables is at fault. */
static void name_pair(const struct attempt *attempt, const char *cause)
{
    printf("    %s: %s, bits 0x%llx, %zu bytes\n",
           cause,
           attempt->door->name,
           (unsigned long long)attempt->bits,
           attempt->bytes);
}

/* ---- causes ---------------------------------------------------------------------------------- */

struct cause {
    const char *name;
    size_t bytes;
    uint32_t tag;
    uint64_t bits; /* more bits, of a POOL_TYPE or of POOL_FLAGS */
    KIRQL irql;    /* above PASSIVE: raised to one above what the pool allows */
    bool (*applies)(const struct attempt *attempt);
    void (*make)(const struct attempt *attempt);
    void (*judge)(const struct attempt *attempt);
};

static bool to_all(const struct attempt *attempt)
{
    (void)attempt;
    return true;
}

static bool to_payers(const struct attempt *attempt)
{
    return attempt->door->pays;
}

static bool to_refusable(const struct attempt *attempt)
{
    return attempt->door->refusable;
}

static bool to_tags(const struct attempt *attempt)
{
    return !attempt->door->own_tag;
}

static bool to_types(const struct attempt *attempt)
{
    return attempt->door->family != FLAGS;
}

static bool to_flags(const struct attempt *attempt)
{
    return attempt->door->family == FLAGS;
}

static void make_nothing(const struct attempt *attempt)
{
    (void)attempt;
}

static void make_no_pages(const struct attempt *attempt)
{
    (void)attempt;
    expool_fail_page_request(1);
}

static void make_limit(const struct attempt *attempt)
{
    (void)expool_set(attempt->kind->column != 0 ? "paged_limit" : "nonpaged_limit", "0");
}

/* The memory is there, in a page with a free slot; only the priority stands against it. */
static void *neighbour;

static void make_low(const struct attempt *attempt)
{
    neighbour = attempt->door->family == FLAGS ? door_pool2(attempt->kind->flags, 100, TAG)
                                               : door_with_tag(attempt->kind->type, 100, TAG);
    make_limit(attempt);
}

/* Charged by hand up to the limit. */
static void make_quota_full(const struct attempt *attempt)
{
    POOL_TYPE type = attempt->kind->column != 0 ? PagedPool : NonPagedPoolNx;

    PsChargePoolQuota((PEPROCESS)process, type, QUOTA_BYTES);
}

static void judge_memory(const struct attempt *attempt)
{
    door_fails(__FILE__,
               __LINE__,
               attempt->end,
               raises_memory(attempt) ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS);
}

static void judge_quota(const struct attempt *attempt)
{
    door_fails(__FILE__,
               __LINE__,
               attempt->end,
               raises_quota(attempt) ? STATUS_QUOTA_EXCEEDED : STATUS_SUCCESS);
}

static void judge_arguments(const struct attempt *attempt)
{
    door_fails(__FILE__,
               __LINE__,
               attempt->end,
               raises_memory(attempt) ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS);
}

static void judge_tag_zero(const struct attempt *attempt)
{
    if (attempt->door->family == FLAGS) {
        judge_arguments(attempt);
        return;
    }
    DDI_STOP(&attempt->end.stop, BAD_POOL_CALLER, 0x9B, attempt->type, attempt->bytes, DDI_ANY);
}

static void judge_tag_big(const struct attempt *attempt)
{
    DDI_STOP(&attempt->end.stop, BAD_POOL_CALLER, 0x9C, attempt->type, attempt->bytes, DDI_ANY);
}

static void judge_must_succeed(const struct attempt *attempt)
{
    DDI_STOP(&attempt->end.stop,
             BAD_POOL_CALLER,
             0x9A,
             attempt->type,
             attempt->bytes,
             attempt->door->own_tag ? (uint32_t)NONE_TAG : attempt->tag);
}

static void judge_irql(const struct attempt *attempt)
{
    DDI_STOP(&attempt->end.stop,
             BAD_POOL_CALLER,
             0x08,
             KeGetCurrentIrql(),
             attempt->type,
             attempt->bytes);
}

static const struct cause causes[] = {
    { "no page, small", SMALL_BYTES, TAG, 0, 0, to_all, make_no_pages, judge_memory },
    { "no page, large", LARGE_BYTES, TAG, 0, 0, to_all, make_no_pages, judge_memory },
    { "limit, small", SMALL_BYTES, TAG, 0, 0, to_all, make_limit, judge_memory },
    { "limit, large", LARGE_BYTES, TAG, 0, 0, to_all, make_limit, judge_memory },
    { "overflow", SIZE_MAX, TAG, 0, 0, to_all, make_nothing, judge_memory },
    { "overflow by a page", SIZE_MAX - 4094, TAG, 0, 0, to_all, make_nothing, judge_memory },
    { "half of everything", SIZE_MAX / 2 + 1, TAG, 0, 0, to_all, make_nothing, judge_memory },
    { "priority", 100, TAG, 0, 0, to_refusable, make_low, judge_memory },
    { "quota", SMALL_BYTES, TAG, 0, 0, to_payers, make_quota_full, judge_quota },
    { "quota, 0 bytes", 0, TAG, 0, 0, to_payers, make_quota_full, judge_quota },
    { "tag 0", 100, 0, 0, 0, to_tags, make_nothing, judge_tag_zero },
    { "tag BIG", 100, ' GIB', 0, 0, to_tags, make_nothing, judge_tag_big },
    { "tag BIG, large", LARGE_BYTES, ' GIB', 0, 0, to_tags, make_nothing, judge_tag_big },
    { "must succeed", 100, TAG, 2, 0, to_types, make_nothing, judge_must_succeed },
    { "must succeed, large", LARGE_BYTES, TAG, 2, 0, to_types, make_nothing, judge_must_succeed },
    { "reserved flag 1", 100, TAG, 0x10, 0, to_flags, make_nothing, judge_arguments },
    { "reserved flag 2", 100, TAG, 0x200, 0, to_flags, make_nothing, judge_arguments },
    { "reserved flag 3", 100, TAG, 0x400, 0, to_flags, make_nothing, judge_arguments },
    { "unknown flag", 100, TAG, 0x40000000, 0, to_flags, make_nothing, judge_arguments },
    { "two pools", 100, TAG, 0x1C0, 0, to_flags, make_nothing, judge_arguments },
    { "IRQL", 100, TAG, 0, 1, to_all, make_nothing, judge_irql },
    { "IRQL, large", LARGE_BYTES, TAG, 0, 1, to_all, make_nothing, judge_irql },
    { "IRQL, impossible size", SIZE_MAX, TAG, 0, 1, to_all, make_nothing, judge_irql },
};
enum {
    DOORS = sizeof(doors) / sizeof(doors[0]),
    KINDS = sizeof(kinds) / sizeof(kinds[0]),
    CAUSES = sizeof(causes) / sizeof(causes[0])
};

/* Undo what a cause made. */
static void unmake(const struct attempt *attempt, const struct cause *cause)
{
    expool_fail_page_request(0);
    (void)expool_set("paged_limit", "unlimited");
    (void)expool_set("nonpaged_limit", "unlimited");
    if (cause->make == make_quota_full) {
        PsReturnPoolQuota((PEPROCESS)process,
                          attempt->kind->column != 0 ? PagedPool : NonPagedPoolNx,
                          QUOTA_BYTES);
    }
    if (neighbour != NULL) {
        ExFreePoolWithTag(neighbour, TAG);
        neighbour = NULL;
    }
}

/* One cause at one door, in one pool, with one choice of bits. */
static void attempt_one(const struct cause *cause, struct attempt *attempt)
{
    struct snapshot before;
    struct snapshot after;
    unsigned failures = ddi_failures;
    KIRQL level = attempt->kind->column != 0 ? DISPATCH_LEVEL : 3;
    KIRQL old;

    cause->make(attempt);
    expool_fail_page_request(0);
    snapshot_take(&before);
    if (cause->make == make_no_pages) {
        expool_fail_page_request(1);
    }
    KeRaiseIrql(cause->irql != 0 ? level : PASSIVE_LEVEL, &old);
    attempt->end = door_try(attempt->door->call, attempt->bits, attempt->bytes, attempt->tag);
    cause->judge(attempt);
    DDI_EQUAL(cause->irql != 0 ? level : PASSIVE_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(old);
    expool_fail_page_request(0);
    snapshot_take(&after);
    DDI_TRUE(memcmp(before.row, after.row, sizeof(before.row)) == 0);
    DDI_EQUAL(before.rows, after.rows);
    DDI_EQUAL(before.events, after.events);
    DDI_EQUAL(before.usage.paged_bytes, after.usage.paged_bytes);
    DDI_EQUAL(before.usage.nonpaged_bytes, after.usage.nonpaged_bytes);
    DDI_EQUAL(before.usage.references, after.usage.references);
    for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; ++pool) {
        DDI_EQUAL(before.pages[pool], after.pages[pool]);
    }
    unmake(attempt, cause);
    all_pools_work();
    if (ddi_failures != failures) {
        name_pair(attempt, cause->name);
    }
}

/* Bits that choose between NULL and a raise, by family. */
static const uint64_t choices[3][4] = {
    [LEGACY] = { 0, 8, 16, 24 },
    [QUOTA] = { 0, 8, 16, 24 },
    [FLAGS] = { 0, 0x20, 0, 0x20 },
};

static void attempt_all(const struct cause *cause)
{
    for (size_t door = 0; door < DOORS; ++door) {
        for (size_t kind = 0; kind < KINDS; ++kind) {
            bool flags = doors[door].family == FLAGS;

            for (int choice = 0; choice < (flags ? 2 : 4); ++choice) {
                struct attempt attempt = { .door = &doors[door],
                                           .kind = &kinds[kind],
                                           .bytes = cause->bytes,
                                           .tag = cause->tag };

                attempt.bits = (flags ? kinds[kind].flags : kinds[kind].type) | cause->bits |
                               choices[doors[door].family][choice] | doors[door].adds;
                attempt.means = (attempt.bits & ~doors[door].strips) | doors[door].adds;
                attempt.type = flags ? kinds[kind].type_of_flags : attempt.means;
                if (cause->applies(&attempt)) {
                    attempt_one(cause, &attempt);
                }
            }
        }
    }
}

static void attempt_causes(bool (*chosen)(const struct cause *cause))
{
    (void)expool_set("front_cache", "0"); /* so that every failure is reached at the first call */
    process = door_process(QUOTA_BYTES, QUOTA_BYTES);
    all_pools_work();
    for (size_t cause = 0; cause < CAUSES; ++cause) {
        if (chosen(&causes[cause])) {
            attempt_all(&causes[cause]);
        }
    }
    door_process_end(process);
}

static bool is_memory(const struct cause *cause)
{
    return cause->judge == judge_memory && cause->make != make_low;
}

static bool is_priority(const struct cause *cause)
{
    return cause->make == make_low;
}

static bool is_quota(const struct cause *cause)
{
    return cause->judge == judge_quota;
}

static bool is_argument(const struct cause *cause)
{
    return cause->judge == judge_arguments || cause->judge == judge_tag_zero;
}

static bool is_stop(const struct cause *cause)
{
    return cause->judge == judge_tag_big || cause->judge == judge_must_succeed ||
           cause->judge == judge_irql;
}

static void test_matrix_memory_at_every_door(void)
{
    attempt_causes(is_memory);
}

static void test_matrix_priority_at_every_door(void)
{
    attempt_causes(is_priority);
}

static void test_matrix_quota_at_every_door(void)
{
    attempt_causes(is_quota);
}

static void test_matrix_arguments_at_every_door(void)
{
    attempt_causes(is_argument);
}

static void test_matrix_stops_at_every_door(void)
{
    attempt_causes(is_stop);
}

static void test_matrix_zero_bytes_succeed_at_every_door(void)
{
    process = door_process(QUOTA_BYTES, QUOTA_BYTES);
    for (size_t door = 0; door < DOORS; ++door) {
        for (size_t kind = 0; kind < KINDS; ++kind) {
            uint64_t bits = doors[door].family == FLAGS ? kinds[kind].flags : kinds[kind].type;
            struct door_end end = door_try(doors[door].call, bits | doors[door].adds, 0, TAG);

            if (DOOR_GIVES_BLOCK(end)) {
                DDI_EQUAL(doors[door].pays, door_usage(process).references == 3);
                ExFreePool(end.block);
            }
        }
    }
    door_process_end(process);
}

/* ---- which of two causes wins (spec/api.md 2.8, order) --------------------------------------- */

static void test_matrix_first_of_two_causes_wins(void)
{
    struct door_end end;
    KIRQL old;

    process = door_process(64, 64);
    /* Arguments before everything. */
    KeRaiseIrql(HIGH_LEVEL, &old);
    DOOR_RAISES(door_try(door_pool2,
                         POOL_FLAG_PAGED | POOL_FLAG_RESERVED1 | POOL_FLAG_USE_QUOTA |
                             POOL_FLAG_RAISE_ON_FAILURE,
                         100,
                         ' GIB'),
                STATUS_INVALID_PARAMETER);
    DOOR_GIVES_NULL(door_try(door_pool2, POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, 100, 0));
    /* Stops before quota. */
    end = door_try(door_quota_tag, PagedPool, 100, TAG);
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x08, HIGH_LEVEL, PagedPool, 100);
    KeLowerIrql(old);
    end = door_try(door_quota_tag, PagedPool, 100, 0);
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x9B, PagedPool, 100, DDI_ANY);
    end = door_try(door_quota_tag, PagedPool | 2, 100, ' GIB');
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x9A, PagedPool | 2, 100, ' GIB');
    /* Priority before quota. */
    (void)expool_set("paged_limit", "0");
    DOOR_RAISES(door_try(low_by_parameter,
                         POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA | POOL_FLAG_RAISE_ON_FAILURE,
                         100,
                         TAG),
                STATUS_INSUFFICIENT_RESOURCES);
    /* Quota before memory. */
    DOOR_RAISES(door_try(door_quota_tag, PagedPool, 3000, TAG), STATUS_QUOTA_EXCEEDED);
    DOOR_GIVES_NULL(door_try(door_quota_tag, PagedPool | 8 | 16, 3000, TAG));
    (void)expool_set("paged_limit", "unlimited");
    door_process_end(process);
}

static const struct ddi_test tests[] = {
    DDI_TEST("29,30,31,35,42,67,68,80,87,167,184", test_matrix_memory_at_every_door),
    DDI_TEST("35,58,112,167,184", test_matrix_priority_at_every_door),
    DDI_TEST("35,36,66,68,87,167,184", test_matrix_quota_at_every_door),
    DDI_TEST("24,25,27,28,35,47,80,167,184", test_matrix_arguments_at_every_door),
    DDI_TEST("32,33,34,46,47,49,80,184", test_matrix_stops_at_every_door),
    DDI_TEST("19,48", test_matrix_zero_bytes_succeed_at_every_door),
    DDI_TEST("24-36,66-68", test_matrix_first_of_two_causes_wins),
};

DDI_MAIN(tests)
