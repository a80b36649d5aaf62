/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool3 (api 106 to 111, 113 to 115, 117, 118): what an array of extended parameters may
 * say, and that a refused one leaves nothing behind.
 *
 * Priorities themselves are priority_test.c's, secure entries secure_test.c's. How many nodes the
 * host has is not known here: index 0 is always there, and an index no host reaches never.
 */
#include "doors.h"

enum {
    TAG = '3loP',
    NODE_BEYOND = 0x00FFFFFF
};

/* What door_entries gives. */
static const POOL_EXTENDED_PARAMETER *given;
static ULONG given_count;

DOOR(door_entries, ExAllocatePool3(bits, bytes, tag, given, given_count))

static POOL_EXTENDED_PARAMETER priority(EX_POOL_PRIORITY value)
{
    return (POOL_EXTENDED_PARAMETER){ .Type = PoolExtendedParameterPriority, .Priority = value };
}

static POOL_EXTENDED_PARAMETER node(POOL_NODE_REQUIREMENT value)
{
    return (POOL_EXTENDED_PARAMETER){ .Type = PoolExtendedParameterNumaNode,
                                      .PreferredNode = value };
}

static POOL_EXTENDED_PARAMETER optional(POOL_EXTENDED_PARAMETER entry)
{
    entry.Optional = 1;
    return entry;
}

/* The array is refused: NULL, or the raise, and no trace in the tag's row. */
static bool refused(POOL_FLAGS flags, const POOL_EXTENDED_PARAMETER *entries, ULONG count)
{
    uint32_t column = (flags & POOL_FLAG_PAGED) != 0;
    struct expool_tag_row before = ddi_row(TAG, column);
    struct expool_tag_row after;
    bool right;

    given = entries;
    given_count = count;
    right = DOOR_GIVES_NULL(door_try(door_entries, flags, 100, TAG));
    right = DOOR_RAISES(door_try(door_entries, flags | POOL_FLAG_RAISE_ON_FAILURE, 100, TAG),
                        STATUS_INVALID_PARAMETER) &&
            right;
    after = ddi_row(TAG, column);
    return DDI_EQUAL(0, memcmp(&before, &after, sizeof(before))) && right;
}

static bool served(POOL_FLAGS flags, const POOL_EXTENDED_PARAMETER *entries, ULONG count)
{
    struct door_end end;
    bool right;

    given = entries;
    given_count = count;
    end = door_try(door_entries, flags, 100, TAG);
    right = DOOR_GIVES_BLOCK(end);
    if (end.block != NULL) {
        DDI_TRUE(ddi_all_bytes(end.block, 100, 0));
        ExFreePoolWithTag(end.block, TAG);
    }
    return right;
}

static void test_pool3_without_parameters_serves_as_pool2(void)
{
    static const POOL_FLAGS flags[] = {
        POOL_FLAG_NON_PAGED,
        POOL_FLAG_NON_PAGED_EXECUTE,
        POOL_FLAG_PAGED,
        POOL_FLAG_PAGED | POOL_FLAG_CACHE_ALIGNED,
        POOL_FLAG_NON_PAGED | POOL_FLAG_SESSION,
        POOL_FLAG_NON_PAGED | POOL_FLAG_SPECIAL_POOL,
        POOL_FLAG_PAGED | UINT64_C(0xFFFFFFFF00000000),
        POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA,
    };
    static const size_t sizes[] = { 0, 1, 16, 100, 2000, 4095, 4096, 4097, 12345, 1 << 20 };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); ++j) {
            size_t bytes = sizes[j];
            struct door_end dirty =
                door_try(door_pool3, flags[i] | POOL_FLAG_UNINITIALIZED, bytes, TAG);
            struct door_end end;

            DOOR_GIVES_BLOCK(dirty);
            ddi_opaque(memset(dirty.block, 0xEE, bytes));
            ExFreePoolWithTag(dirty.block, TAG);
            end = door_try(door_pool3, flags[i], bytes, TAG);
            if (!DOOR_GIVES_BLOCK(end)) {
                continue;
            }
            DDI_TRUE_FOR(ddi_all_bytes(end.block, bytes, 0), bytes);
            DDI_EQUAL(0, (uintptr_t)end.block % (bytes >= 4096 ? 4096 : 16));
            if ((flags[i] & POOL_FLAG_CACHE_ALIGNED) != 0) {
                DDI_EQUAL(0, (uintptr_t)end.block % 64);
            }
            ExFreePoolWithTag(end.block, TAG);
        }
    }
}

static void test_pool3_without_parameters_fails_as_pool2(void)
{
    static const struct {
        uint64_t flags;
        size_t bytes;
        uint32_t tag;
        NTSTATUS status;
    } calls[] = {
        { POOL_FLAG_PAGED, 100, 0, STATUS_INVALID_PARAMETER },
        { 0, 100, TAG, STATUS_INVALID_PARAMETER },
        { PagedPool, 100, TAG, STATUS_INVALID_PARAMETER },
        { NonPagedPoolNx, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED | POOL_FLAG_RESERVED1, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED | POOL_FLAG_RESERVED2, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED | POOL_FLAG_RESERVED3, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED | 0x800, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED | 0x80000000, 100, TAG, STATUS_INVALID_PARAMETER },
        { POOL_FLAG_PAGED, SIZE_MAX, TAG, STATUS_INSUFFICIENT_RESOURCES },
        { POOL_FLAG_NON_PAGED, SIZE_MAX - 4095, TAG, STATUS_INSUFFICIENT_RESOURCES },
        { POOL_FLAG_NON_PAGED, SIZE_MAX / 2 + 1, TAG, STATUS_INSUFFICIENT_RESOURCES },
    };
    struct door_end end;
    KIRQL old;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
        DOOR_GIVES_NULL(door_try(door_pool3, calls[i].flags, calls[i].bytes, calls[i].tag));
        DOOR_RAISES(door_try(door_pool3,
                             calls[i].flags | POOL_FLAG_RAISE_ON_FAILURE,
                             calls[i].bytes,
                             calls[i].tag),
                    calls[i].status);
    }
    (void)expool_set("paged_limit", "1M");
    DOOR_GIVES_NULL(door_try(door_pool3, POOL_FLAG_PAGED, 2 << 20, TAG));
    (void)expool_set("paged_limit", "unlimited");
    end = door_try(door_pool3, POOL_FLAG_PAGED, 100, ' GIB');
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x9C, PagedPool, 100, DDI_ANY);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    end = door_try(door_pool3, POOL_FLAG_PAGED, 100, TAG);
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, 100);
    end = door_try(door_pool3, POOL_FLAG_NON_PAGED, 100, TAG);
    DOOR_GIVES_BLOCK(end);
    ExFreePoolWithTag(end.block, TAG);
    KeLowerIrql(old);
    KeRaiseIrql(3, &old);
    end = door_try(door_pool3, POOL_FLAG_NON_PAGED, 100, TAG);
    DDI_STOP(&end.stop, BAD_POOL_CALLER, 0x08, 3, NonPagedPoolNx, 100);
    KeLowerIrql(old);
}

static void test_pool3_count_0_does_not_look_at_the_array(void)
{
    served(POOL_FLAG_PAGED, (void *)(uintptr_t)16, 0);
}

/* ExAllocatePool3 is a macro too; what stands in its place must not mind. */
static void test_pool3_entry_may_be_a_compound_literal(void)
{
    PVOID block = ExAllocatePool3(POOL_FLAG_PAGED,
                                  100,
                                  TAG,
                                  &(POOL_EXTENDED_PARAMETER){ .Type = PoolExtendedParameterPriority,
                                                              .Priority = HighPoolPriority },
                                  1);

    DDI_TRUE(block != NULL);
    ExFreePoolWithTag(block, TAG);
}

static void test_pool3_no_array_is_refused(void)
{
    refused(POOL_FLAG_PAGED, NULL, 1);
    refused(POOL_FLAG_NON_PAGED, NULL, 7);
}

static void test_pool3_unknown_type_is_refused_unless_optional(void)
{
    static const ULONG types[] = { 0, 4, 5, 100, 255 };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        POOL_EXTENDED_PARAMETER entries[2] = { { .Type = types[i] }, priority(HighPoolPriority) };

        refused(POOL_FLAG_PAGED, entries, 1);
        refused(POOL_FLAG_NON_PAGED, entries, 2);
        entries[0].Optional = 1;
        entries[0].Reserved2 = UINT64_MAX;
        served(POOL_FLAG_PAGED, entries, 1);
        served(POOL_FLAG_NON_PAGED, entries, 2);
    }
}

static void test_pool3_reserved_bits_are_refused_unless_optional(void)
{
    for (int bit = 0; bit < POOL_EXTENDED_PARAMETER_RESERVED_BITS; ++bit) {
        POOL_EXTENDED_PARAMETER entry = priority(HighPoolPriority);

        entry.Reserved = UINT64_C(1) << bit;
        refused(POOL_FLAG_PAGED, &entry, 1);
        entry.Optional = 1;
        served(POOL_FLAG_PAGED, &entry, 1);
    }
}

static void test_pool3_two_entries_of_one_type_are_refused(void)
{
    POOL_EXTENDED_PARAMETER entries[3] = { priority(HighPoolPriority), priority(HighPoolPriority) };

    refused(POOL_FLAG_PAGED, entries, 2);
    entries[1] = optional(entries[1]);
    refused(POOL_FLAG_PAGED, entries, 2);
    entries[0] = optional(entries[0]);
    refused(POOL_FLAG_PAGED, entries, 2);
    entries[0] = node(0);
    entries[1] = priority(NormalPoolPriority);
    entries[2] = node(MM_ANY_NODE_OK);
    refused(POOL_FLAG_NON_PAGED, entries, 3);
    /* Also when one of them, or both, would be passed over. */
    entries[0] = optional(priority((EX_POOL_PRIORITY)5));
    entries[1] = priority(LowPoolPriority);
    refused(POOL_FLAG_PAGED, entries, 2);
    entries[0] = optional(node(0));
    entries[1] = optional(node(MM_ANY_NODE_OK));
    refused(POOL_FLAG_PAGED, entries, 2);
    entries[0] = optional((POOL_EXTENDED_PARAMETER){ .Type = 100 });
    entries[1] = entries[0]; /* types that nobody knows are passed over one by one */
    served(POOL_FLAG_PAGED, entries, 2);
}

static void test_pool3_priority_must_be_one_of_the_nine(void)
{
    static const ULONG good[] = { 0, 8, 9, 16, 24, 25, 32, 40, 41 };
    size_t next = 0;

    for (ULONG value = 0; value < 0x200; ++value) {
        bool known = next < sizeof(good) / sizeof(good[0]) && value == good[next];
        POOL_EXTENDED_PARAMETER entry = priority((EX_POOL_PRIORITY)value);

        next += known;
        if (known) {
            DDI_TRUE_FOR(served(POOL_FLAG_PAGED, &entry, 1), value);
        } else {
            DDI_TRUE_FOR(refused(POOL_FLAG_PAGED, &entry, 1), value);
        }
        entry = optional(entry);
        DDI_TRUE_FOR(served(POOL_FLAG_PAGED, &entry, 1), value);
    }
    {
        POOL_EXTENDED_PARAMETER entry = priority((EX_POOL_PRIORITY)0xFFFFFFFF);

        refused(POOL_FLAG_PAGED, &entry, 1);
    }
}

/* An ignored priority refuses nothing: the call is as High. */
static void test_pool3_ignored_priority_has_no_effect(void)
{
    POOL_EXTENDED_PARAMETER entry = optional(priority(LowPoolPriority));
    void *kept = door_try(door_with_tag, PagedPool, 100, TAG).block; /* its page has free slots */

    (void)expool_set("paged_limit", "0");
    given = ddi_opaque(&entry);
    given_count = 1;
    DOOR_GIVES_NULL(door_try(door_entries, POOL_FLAG_PAGED, 100, TAG)); /* optional, but known */
    entry.Priority = (EX_POOL_PRIORITY)5;
    served(POOL_FLAG_PAGED, &entry, 1);
    entry = optional(priority(LowPoolPriority));
    entry.Reserved = 1;
    served(POOL_FLAG_PAGED, &entry, 1);
    (void)expool_set("paged_limit", "unlimited");
    ExFreePoolWithTag(kept, TAG);
}

static void test_pool3_node_0_serves_nonpaged(void)
{
    POOL_EXTENDED_PARAMETER entry = node(0);
    static const size_t sizes[] = { 0, 1, 100, 4096, 5000, 100000 };

    given = ddi_opaque(&entry);
    given_count = 1;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        for (int any = 0; any < 2; ++any) {
            struct door_end end;

            entry.PreferredNode = any ? MM_ANY_NODE_OK : 0;
            end = door_try(door_entries, POOL_FLAG_NON_PAGED, sizes[i], TAG);
            if (DOOR_GIVES_BLOCK(end)) {
                DDI_TRUE_FOR(ddi_all_bytes(end.block, sizes[i], 0), sizes[i]);
                ExFreePoolWithTag(end.block, TAG);
            }
        }
    }
}

static void test_pool3_node_goes_with_nonpaged_only(void)
{
    POOL_EXTENDED_PARAMETER entry = node(0);

    refused(POOL_FLAG_PAGED, &entry, 1);
    refused(POOL_FLAG_NON_PAGED_EXECUTE, &entry, 1);
    entry.PreferredNode |= MM_ANY_NODE_OK;
    refused(POOL_FLAG_PAGED, &entry, 1);
    entry = optional(entry);
    served(POOL_FLAG_PAGED, &entry, 1);
    served(POOL_FLAG_NON_PAGED_EXECUTE, &entry, 1);
    entry = optional(node(0));
    served(POOL_FLAG_PAGED, &entry, 1);
    served(POOL_FLAG_NON_PAGED_EXECUTE, &entry, 1);
}

static void test_pool3_node_beyond_the_last_is_refused(void)
{
    POOL_EXTENDED_PARAMETER entry = node(NODE_BEYOND);

    refused(POOL_FLAG_NON_PAGED, &entry, 1);
    entry = node(NODE_BEYOND | MM_ANY_NODE_OK);
    refused(POOL_FLAG_NON_PAGED, &entry, 1);
    entry = optional(entry);
    served(POOL_FLAG_NON_PAGED, &entry, 1);
}

static void test_pool3_priority_and_node_are_both_honoured(void)
{
    POOL_EXTENDED_PARAMETER entries[2] = { node(0), priority(LowPoolPriority) };
    void *kept = door_try(door_pool2, POOL_FLAG_NON_PAGED, 100, TAG).block;

    served(POOL_FLAG_NON_PAGED, entries, 2);
    (void)expool_set("nonpaged_limit", "0");
    given = ddi_opaque(entries);
    given_count = 2;
    DOOR_GIVES_NULL(door_try(door_entries, POOL_FLAG_NON_PAGED, 100, TAG));
    DOOR_RAISES(door_try(door_entries, POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, 100, TAG),
                STATUS_INSUFFICIENT_RESOURCES);
    entries[1] = priority(HighPoolPriority);
    served(POOL_FLAG_NON_PAGED, entries, 2); /* from a page that is there */
    entries[0] = priority(LowPoolPriority);
    entries[1] = node(0);
    DOOR_GIVES_NULL(door_try(door_entries, POOL_FLAG_NON_PAGED, 100, TAG));
    (void)expool_set("nonpaged_limit", "unlimited");
    entries[1] = node(NODE_BEYOND);
    refused(POOL_FLAG_NON_PAGED, entries, 2);
    ExFreePoolWithTag(kept, TAG);
}

static void test_pool3_failing_second_entry_undoes_the_first(void)
{
    HANDLE handle = NULL;
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolFlags = SECURE_POOL_FLAGS_FREEABLE };
    POOL_EXTENDED_PARAMETER entries[2] = { { .Type = PoolExtendedParameterSecurePool,
                                             .SecurePoolParams = &secure },
                                           priority((EX_POOL_PRIORITY)5) };
    struct ddi_stop stop;

    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, NULL, &handle));
    secure.SecurePoolHandle = handle;
    refused(POOL_FLAG_NON_PAGED, entries, 2);
    entries[1] = entries[0];
    refused(POOL_FLAG_NON_PAGED, entries, 2);
    DDI_CATCH(&stop, ExDestroyPool(handle)); /* no block was counted in it */
    DDI_NO_STOP(&stop);
    entries[0] = priority(LowPoolPriority);
    entries[1] = (POOL_EXTENDED_PARAMETER){ .Type = 4 };
    refused(POOL_FLAG_NON_PAGED, entries, 2);
    entries[0] = node(0);
    refused(POOL_FLAG_NON_PAGED, entries, 2);
    served(POOL_FLAG_NON_PAGED, NULL, 0);
}

static const struct ddi_test tests[] = {
    DDI_TEST("106", test_pool3_without_parameters_serves_as_pool2),
    DDI_TEST("106", test_pool3_without_parameters_fails_as_pool2),
    DDI_TEST("106", test_pool3_count_0_does_not_look_at_the_array),
    DDI_TEST("107", test_pool3_no_array_is_refused),
    DDI_TEST("108", test_pool3_unknown_type_is_refused_unless_optional),
    DDI_TEST("109", test_pool3_reserved_bits_are_refused_unless_optional),
    DDI_TEST("110", test_pool3_two_entries_of_one_type_are_refused),
    DDI_TEST("111", test_pool3_entry_may_be_a_compound_literal),
    DDI_TEST("111", test_pool3_priority_must_be_one_of_the_nine),
    DDI_TEST("111,112", test_pool3_ignored_priority_has_no_effect),
    DDI_TEST("113", test_pool3_node_0_serves_nonpaged),
    DDI_TEST("114", test_pool3_node_goes_with_nonpaged_only),
    DDI_TEST("115", test_pool3_node_beyond_the_last_is_refused),
    DDI_TEST("117", test_pool3_priority_and_node_are_both_honoured),
    DDI_TEST("118", test_pool3_failing_second_entry_undoes_the_first),
};

DDI_MAIN(tests)
