/* SPDX-License-Identifier: MIT */
/*
 * Every cause of spec/api.md 2.9 at every freeing door (api 91 to 98, 101, 128, 129, 102): the stop
 * with its parameters, and that it leaves everything as it was.
 *
 * Each pair is tried with plain blocks and with blocks that a process pays for, of each pool. After
 * the stop rows, charge, references and IRQL are as before, the block still holds its bytes, and
 * then it is freed as it should be.
 */
#include "doors.h"

enum {
    TAG = 'mrtF',
    OTHER_TAG = 'rhtO',
    PROTECTED_TAG = (int)('torP' | PROTECTED_POOL),
    COOKIE = 11
};

/* The doors, by number. */
enum free_door {
    FREE_POOL,
    FREE_WITH_TAG,
    FREE_WITH_TAG_ZERO,
    FREE_POOL2,
    FREE_POOL2_TAG_ZERO,
    FREE_DOORS
};

static const char *const door_names[] = { "ExFreePool",
                                          "ExFreePoolWithTag",
                                          "ExFreePoolWithTag, tag 0",
                                          "ExFreePool2",
                                          "ExFreePool2, tag 0" };

static bool tells_tag(enum free_door door)
{
    return door == FREE_WITH_TAG || door == FREE_POOL2;
}

static void free_by(enum free_door door, void *block, uint32_t tag)
{
    switch (door) {
    case FREE_POOL:
        (ExFreePool)(block);
        break;
    case FREE_WITH_TAG:
        ExFreePoolWithTag(block, tag);
        break;
    case FREE_WITH_TAG_ZERO:
        ExFreePoolWithTag(block, 0);
        break;
    case FREE_POOL2:
        ExFreePool2(block, tag, NULL, 0);
        break;
    default:
        ExFreePool2(block, 0, NULL, 0);
        break;
    }
}

static struct ddi_stop stop_of(enum free_door door, void *block, uint32_t tag)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, free_by(door, ddi_opaque(block), tag));
    return stop;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static const struct kind {
    POOL_FLAGS flags;
    uint64_t type;
    uint32_t column;
} kinds[] = {
    { POOL_FLAG_NON_PAGED, NonPagedPoolNx, 0 },
    { POOL_FLAG_NON_PAGED_EXECUTE, NonPagedPoolExecute, 0 },
    { POOL_FLAG_PAGED, PagedPool, 1 },
    { POOL_FLAG_NON_PAGED | POOL_FLAG_USE_QUOTA, NonPagedPoolNx, 0 },
    { POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_USE_QUOTA, NonPagedPoolExecute, 0 },
    { POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, PagedPool, 1 },
    { POOL_FLAG_PAGED | POOL_FLAG_SESSION, PagedPool, 1 },
};
enum {
    KINDS = sizeof(kinds) / sizeof(kinds[0])
};

static const size_t sizes[] = { 1, 100, 3000, 4095, 4096, 9000, 200000 };
enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0])
};

static struct expool_process *process;

/* What a stop must leave alone. */
struct snapshot {
    struct expool_tag_row row[2];
    size_t rows;
    struct expool_usage usage;
    KIRQL irql;
};

static struct snapshot snapshot_of(uint32_t tag)
{
    struct snapshot snapshot;

    memset(&snapshot, 0, sizeof(snapshot));
    snapshot.row[0] = ddi_row(tag & ~PROTECTED_POOL, 0);
    snapshot.row[1] = ddi_row(tag & ~PROTECTED_POOL, 1);
    snapshot.rows = expool_tags(NULL, 0);
    snapshot.usage = door_usage(process);
    snapshot.irql = KeGetCurrentIrql();
    return snapshot;
}

static void unchanged(const struct snapshot *before, uint32_t tag)
{
    struct snapshot after = snapshot_of(tag);

    DDI_EQUAL(0, memcmp(before->row, after.row, sizeof(after.row)));
    DDI_EQUAL(before->rows, after.rows);
    DDI_EQUAL(before->usage.paged_bytes, after.usage.paged_bytes);
    DDI_EQUAL(before->usage.nonpaged_bytes, after.usage.nonpaged_bytes);
    DDI_EQUAL(before->usage.references, after.usage.references);
    DDI_EQUAL(before->irql, after.irql);
}

/* ---- the loop over doors, kinds and sizes ---------------------------------------------------- */

struct attempt {
    enum free_door door;
    const struct kind *kind;
    size_t bytes;
    uint32_t tag; /* of the block */
    uint8_t *block;
};

static void attempt_one(struct attempt *attempt, void (*deed)(struct attempt *attempt))
{
    unsigned failures = ddi_failures;
    struct ddi_stop stop;

    attempt->block = door_try(door_pool2, attempt->kind->flags, attempt->bytes, attempt->tag).block;
    if (!DDI_TRUE(attempt->block != NULL)) {
        return;
    }
    memset(attempt->block, 0x6B, attempt->bytes);
    deed(attempt);
    if (attempt->block != NULL) {
        DDI_TRUE_FOR(ddi_all_bytes(attempt->block, attempt->bytes, 0x6B), attempt->bytes);
        stop = stop_of(FREE_WITH_TAG, attempt->block, attempt->tag);
        DDI_NO_STOP(&stop);
    }
    if (failures != ddi_failures) {
        printf("    %s: %zu bytes, flags 0x%llx\n",
               door_names[attempt->door],
               attempt->bytes,
               (unsigned long long)attempt->kind->flags);
    }
}

static void attempt_all(uint32_t tag, void (*deed)(struct attempt *attempt))
{
    process = door_process(SIZE_MAX, SIZE_MAX);
    for (int door = 0; door < FREE_DOORS; ++door) {
        for (size_t kind = 0; kind < KINDS; ++kind) {
            for (size_t size = 0; size < SIZES; ++size) {
                struct attempt attempt = { .door = (enum free_door)door,
                                           .kind = &kinds[kind],
                                           .bytes = sizes[size],
                                           .tag = tag };

                attempt_one(&attempt, deed);
            }
        }
    }
    door_process_end(process);
}

/* A free that must stop with these parameters and change nothing. */
static void stops(const struct attempt *attempt,
                  void *address,
                  uint64_t p1,
                  uint64_t p2,
                  uint64_t p3,
                  uint64_t p4)
{
    struct snapshot before = snapshot_of(attempt->tag);
    struct ddi_stop stop = stop_of(attempt->door, address, attempt->tag);

    DDI_STOP(&stop, BAD_POOL_CALLER, p1, p2, p3, p4);
    unchanged(&before, attempt->tag);
}

/* ---- causes ---------------------------------------------------------------------------------- */

static void deed_null_or_misaligned(struct attempt *attempt)
{
    stops(attempt, NULL, 0x46, 0, 0, 0);
    for (int offset = 1; offset < 16; offset += 7) {
        stops(attempt, attempt->block + offset, 0x46, (uintptr_t)attempt->block + offset, 0, 0);
    }
}

static void deed_outside(struct attempt *attempt)
{
    static _Alignas(16) uint8_t global[64];
    _Alignas(16) uint8_t local[64];

    stops(attempt, global, 0x40, (uintptr_t)global, DDI_ANY, 0);
    stops(attempt, local, 0x40, (uintptr_t)local, DDI_ANY, 0);
}

static void deed_inside(struct attempt *attempt)
{
    bool paged = attempt->kind->column != 0;

    for (size_t offset = 16; offset < attempt->bytes; offset = offset * 3 / 16 * 16) {
        bool page = offset >= 4096;
        uint64_t address = (uintptr_t)attempt->block + offset;

        if (page && paged) {
            stops(attempt, attempt->block + offset, 0x41286, DDI_ANY, DDI_ANY, DDI_ANY);
        } else {
            stops(attempt, attempt->block + offset, 0x99, address, 0, 0);
        }
    }
    if (attempt->bytes > 4096) {
        if (paged) {
            stops(attempt, attempt->block + 4096, 0x41286, DDI_ANY, DDI_ANY, 4096);
        } else {
            stops(attempt, attempt->block + 4096, 0x99, (uintptr_t)attempt->block + 4096, 0, 0);
        }
    }
}

static void deed_freed(struct attempt *attempt)
{
    uint64_t address = (uintptr_t)attempt->block;
    struct ddi_stop first = stop_of(FREE_WITH_TAG, attempt->block, attempt->tag);

    DDI_NO_STOP(&first);
    if (attempt->bytes < 4095) {
        stops(attempt, attempt->block, 0x07, 0, DDI_ANY, address);
    } else if (attempt->kind->column != 0) {
        stops(attempt, attempt->block, 0x50, address, DDI_ANY, DDI_ANY);
    } else {
        stops(attempt, attempt->block, 0x44, address, DDI_ANY, DDI_ANY);
    }
    attempt->block = NULL;
}

static void deed_irql(struct attempt *attempt)
{
    KIRQL level = attempt->kind->column != 0 ? DISPATCH_LEVEL : 3;
    KIRQL old;

    KeRaiseIrql(level, &old);
    stops(attempt, attempt->block, 0x09, level, attempt->kind->type, (uintptr_t)attempt->block);
    KeLowerIrql(old);
}

/* At a wrong IRQL and with a wrong tag: IRQL wins. */
static void deed_wrong_tag(struct attempt *attempt)
{
    struct snapshot before = snapshot_of(attempt->tag);
    struct ddi_stop stop;
    KIRQL old;

    if (!tells_tag(attempt->door)) {
        return;
    }
    stop = stop_of(attempt->door, attempt->block, OTHER_TAG);
    DDI_STOP(
        &stop, BAD_POOL_CALLER, 0x0A, (uintptr_t)attempt->block, attempt->tag, (uint32_t)OTHER_TAG);
    unchanged(&before, attempt->tag);
    KeRaiseIrql(HIGH_LEVEL, &old);
    stop = stop_of(attempt->door, attempt->block, OTHER_TAG);
    DDI_STOP(
        &stop, BAD_POOL_CALLER, 0x09, HIGH_LEVEL, attempt->kind->type, (uintptr_t)attempt->block);
    KeLowerIrql(old);
    unchanged(&before, attempt->tag);
}

static void deed_protected(struct attempt *attempt)
{
    if (!tells_tag(attempt->door)) {
        stops(attempt, attempt->block, 0x0A, (uintptr_t)attempt->block, attempt->tag, 0);
    }
    deed_wrong_tag(attempt);
}

/* The charge of a block is drained by hand; 10 bytes of it are left. */
static void deed_charge_missing(struct attempt *attempt)
{
    uint64_t cost = attempt->kind->column != 0 ? door_usage(process).paged_bytes
                                               : door_usage(process).nonpaged_bytes;
    struct snapshot before;
    struct ddi_stop stop;

    if (cost == 0) {
        return; /* nobody pays for this one */
    }
    PsReturnPoolQuota((PEPROCESS)process, (POOL_TYPE)attempt->kind->type, cost - 10);
    before = snapshot_of(attempt->tag);
    stop = stop_of(attempt->door, attempt->block, attempt->tag);
    DDI_STOP(&stop, QUOTA_UNDERFLOW, (uintptr_t)process, attempt->kind->column, cost, cost - 10);
    unchanged(&before, attempt->tag);
    PsChargePoolQuota((PEPROCESS)process, (POOL_TYPE)attempt->kind->type, cost - 10);
}

static void deed_nothing(struct attempt *attempt)
{
    struct ddi_stop stop = stop_of(attempt->door, attempt->block, attempt->tag);

    DDI_NO_STOP(&stop);
    DDI_EQUAL(0, door_usage(process).paged_bytes + door_usage(process).nonpaged_bytes);
    attempt->block = NULL;
}

static void test_free_matrix_right_frees_do_not_stop(void)
{
    attempt_all(TAG, deed_nothing);
}

static void test_free_matrix_null_and_misaligned(void)
{
    attempt_all(TAG, deed_null_or_misaligned);
}

static void test_free_matrix_outside_the_pools(void)
{
    attempt_all(TAG, deed_outside);
}

static void test_free_matrix_inside_a_block(void)
{
    attempt_all(TAG, deed_inside);
}

static void test_free_matrix_freed_already(void)
{
    attempt_all(TAG, deed_freed);
}

static void test_free_matrix_irql(void)
{
    attempt_all(TAG, deed_irql);
}

static void test_free_matrix_wrong_tag(void)
{
    attempt_all(TAG, deed_wrong_tag);
}

static void test_free_matrix_protected_tag(void)
{
    attempt_all((uint32_t)PROTECTED_TAG, deed_protected);
}

static void test_free_matrix_charge_missing(void)
{
    attempt_all(TAG, deed_charge_missing);
}

/* ---- secure blocks --------------------------------------------------------------------------- */

static void test_free_matrix_secure_block_at_every_plain_door(void)
{
    HANDLE handle = NULL;

    process = door_process(SIZE_MAX, SIZE_MAX);
    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, NULL, &handle));
    for (size_t size = 0; size < SIZES; ++size) {
        POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolHandle = handle,
                                                    .Cookie = COOKIE,
                                                    .SecurePoolFlags = SECURE_POOL_FLAGS_FREEABLE };
        POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterSecurePool,
                                          .SecurePoolParams = &secure };
        uint8_t *block =
            ddi_opaque(ExAllocatePool3(POOL_FLAG_NON_PAGED, sizes[size], TAG, &entry, 1));

        for (int door = 0; door < FREE_DOORS; ++door) {
            struct snapshot before = snapshot_of(TAG);
            struct ddi_stop stop = stop_of((enum free_door)door, block, TAG);
            KIRQL old;

            DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
            stop = stop_of((enum free_door)door, block, OTHER_TAG);
            DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
            KeRaiseIrql(HIGH_LEVEL, &old); /* identity is judged before IRQL */
            stop = stop_of((enum free_door)door, block, TAG);
            DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
            KeLowerIrql(old);
            unchanged(&before, TAG);
        }
        DDI_EQUAL(1, ExSecurePoolValidate(handle, TAG, block, COOKIE));
        secure.SecurePoolFlags = 0;
        ExFreePool2(block, TAG, &entry, 1);
    }
    ExDestroyPool(handle);
    door_process_end(process);
}

static const struct ddi_test tests[] = {
    DDI_TEST("21,61,89", test_free_matrix_right_frees_do_not_stop),
    DDI_TEST("94", test_free_matrix_null_and_misaligned),
    DDI_TEST("95", test_free_matrix_outside_the_pools),
    DDI_TEST("94,97", test_free_matrix_inside_a_block),
    DDI_TEST("96", test_free_matrix_freed_already),
    DDI_TEST("98", test_free_matrix_irql),
    DDI_TEST("91", test_free_matrix_wrong_tag),
    DDI_TEST("92", test_free_matrix_protected_tag),
    DDI_TEST("76", test_free_matrix_charge_missing),
    DDI_TEST("129", test_free_matrix_secure_block_at_every_plain_door),
};

DDI_MAIN(tests)
