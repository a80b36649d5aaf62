/* SPDX-License-Identifier: MIT */
/*
 * NtQuerySystemInformation (api 169 to 178): how lengths are answered, and that what is
 * told is what the pool does, also while eight threads use it.
 *
 * A counted reply is read through ask_all, which loops on ReturnLength as a monitor does. Replies
 * to buffers of chosen lengths are written between guard bytes, which are looked at afterwards.
 */
#include "ddi_test.h"

#include <ntifs.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    GUARD = 0xB6,
    GUARD_BYTES = 64,
    LENGTH_MAX = 0x200,
    NO_LENGTH = 0x7E57E57E, /* ReturnLength before a call */
    TAG_FIRST = '0yrQ',
    TAG_NEW = 'wenQ',
    TAG_BIG = 'gibQ',
    CLASS_UNKNOWN = 9999,
};

/* A counted class: where its parts are. */
struct counted {
    SYSTEM_INFORMATION_CLASS class;
    size_t count_offset;
    size_t array_offset;
    size_t entry_bytes;
};

static const struct counted tags = {
    SystemPoolTagInformation,
    offsetof(SYSTEM_POOLTAG_INFORMATION, Count),
    offsetof(SYSTEM_POOLTAG_INFORMATION, TagInfo),
    sizeof(SYSTEM_POOLTAG),
};

static const struct counted tags2 = {
    SystemPoolTagInformation2,
    offsetof(SYSTEM_POOLTAG_INFORMATION2, Count),
    offsetof(SYSTEM_POOLTAG_INFORMATION2, TagInfo),
    sizeof(SYSTEM_POOLTAG2),
};

static const struct counted big = {
    SystemBigPoolInformation,
    offsetof(SYSTEM_BIGPOOL_INFORMATION, Count),
    offsetof(SYSTEM_BIGPOOL_INFORMATION, AllocatedInfo),
    sizeof(SYSTEM_BIGPOOL_ENTRY),
};

static const struct counted sessions = {
    SystemSessionPoolTagInformation,
    offsetof(SYSTEM_SESSION_POOLTAG_INFORMATION, Count),
    offsetof(SYSTEM_SESSION_POOLTAG_INFORMATION, TagInfo),
    sizeof(SYSTEM_POOLTAG),
};

static const struct counted *const all_counted[] = { &tags, &tags2, &big, &sessions };

static const int all_classes[] = { 2, 14, 15, 22, 45, 66, 67, 87, 125, 227, 255, CLASS_UNKNOWN };

enum {
    COUNTED = sizeof(all_counted) / sizeof(all_counted[0]),
    CLASSES = sizeof(all_classes) / sizeof(all_classes[0])
};

static uint32_t status_of(NTSTATUS status)
{
    return (uint32_t)status;
}

static ULONG count_of(const struct counted *counted, const void *reply)
{
    ULONG count;

    memcpy(&count, (const char *)reply + counted->count_offset, sizeof(count));
    return count;
}

/* All of a counted class in memory of the C library, to be freed; *count entries. */
static char *ask_all(const struct counted *counted, ULONG *count)
{
    ULONG length = 0;
    char *reply = NULL;
    NTSTATUS status;

    for (;;) {
        ULONG needed = 0;

        status = NtQuerySystemInformation(counted->class, reply, length, &needed);
        if (status != STATUS_INFO_LENGTH_MISMATCH) {
            DDI_EQUAL(0, status_of(status));
            DDI_TRUE(needed <= length);
            break;
        }
        DDI_TRUE_FOR(needed > length, needed);
        length = needed;
        free(reply);
        reply = calloc(1, length);
        if (reply == NULL || needed == 0) {
            abort();
        }
    }
    *count = count_of(counted, reply);
    return reply;
}

static SYSTEM_POOLTAG *tag_array(char *reply)
{
    return ((SYSTEM_POOLTAG_INFORMATION *)(void *)reply)->TagInfo;
}

static SYSTEM_POOLTAG2 *tag2_array(char *reply)
{
    return ((SYSTEM_POOLTAG_INFORMATION2 *)(void *)reply)->TagInfo;
}

static SYSTEM_BIGPOOL_ENTRY *big_array(char *reply)
{
    return ((SYSTEM_BIGPOOL_INFORMATION *)(void *)reply)->AllocatedInfo;
}

/* A block, and a tag, that every class has something to tell of. */
static void *some_use(uint32_t tag)
{
    void *block = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, PAGE_SIZE + 1, tag));

    DDI_TRUE(block != NULL);
    return block;
}

static void test_length_zero_tells_a_length_that_suffices(void)
{
    void *block = some_use(TAG_FIRST);

    for (size_t i = 0; i < COUNTED; ++i) {
        const struct counted *counted = all_counted[i];
        ULONG needed = NO_LENGTH;
        ULONG written = NO_LENGTH;

        DDI_EQUAL(0xC0000004,
                  status_of(NtQuerySystemInformation(counted->class, NULL, 0, &needed)));
        if (!DDI_TRUE_FOR(needed != NO_LENGTH && needed >= counted->entry_bytes, needed)) {
            continue;
        }
        char *reply = calloc(1, needed);

        DDI_EQUAL(0, status_of(NtQuerySystemInformation(counted->class, reply, needed, &written)));
        DDI_EQUAL(counted->array_offset + count_of(counted, reply) * counted->entry_bytes, written);
        DDI_TRUE_FOR(written == needed || count_of(counted, reply) == 0, written);
        free(reply);
    }
    ExFreePoolWithTag(block, TAG_FIRST);
}

/* Tags and big blocks enough for several entries of each class. */
static void *some[6];

static void use_some(void)
{
    for (uint32_t i = 0; i < 6; ++i) {
        some[i] = some_use(TAG_FIRST + (i << 24));
    }
}

static void free_some(void)
{
    for (uint32_t i = 0; i < 6; ++i) {
        ExFreePoolWithTag(some[i], TAG_FIRST + (i << 24));
    }
}

static void check_short(const struct counted *counted)
{
    ULONG total;
    char *full = ask_all(counted, &total);
    const size_t needed = counted->array_offset + total * counted->entry_bytes;

    for (ULONG fit = 1; fit < total; ++fit) {
        const size_t slack = fit % counted->entry_bytes;
        const size_t length = counted->array_offset + fit * counted->entry_bytes + slack;
        const size_t written = length - slack;
        char *reply = malloc(length);
        ULONG told = NO_LENGTH;

        memset(reply, GUARD, length);
        DDI_EQUAL(0xC0000004,
                  status_of(ZwQuerySystemInformation(counted->class, reply, (ULONG)length, &told)));
        DDI_EQUAL(total, count_of(counted, reply));
        DDI_EQUAL(needed, told);
        DDI_TRUE(memcmp(reply + counted->array_offset,
                        full + counted->array_offset,
                        fit * counted->entry_bytes) == 0);
        DDI_TRUE(ddi_all_bytes(reply + written, slack, GUARD));
        free(reply);
    }
    free(full);
}

static void test_short_buffer_has_the_true_count_and_the_entries_that_fit(void)
{
    ULONG count;

    use_some();
    for (size_t i = 0; i < COUNTED; ++i) {
        check_short(all_counted[i]);
    }
    free_some();
    free(ask_all(&tags, &count));
    DDI_TRUE_FOR(count >= 6, count);
}

/* Shorter than one entry: not a byte is written, and the length for everything is told. */
static void check_below_one(const struct counted *counted)
{
    ULONG total;
    size_t one = counted->array_offset + counted->entry_bytes;

    free(ask_all(counted, &total));
    for (size_t length = 0; length < one; ++length) {
        char reply[0x80];
        ULONG told = NO_LENGTH;

        memset(reply, GUARD, sizeof(reply));
        DDI_EQUAL(0xC0000004,
                  status_of(NtQuerySystemInformation(counted->class, reply, (ULONG)length, &told)));
        DDI_TRUE_FOR(ddi_all_bytes(reply, sizeof(reply), GUARD), length);
        DDI_EQUAL(counted->array_offset + (total == 0 ? 1 : total) * counted->entry_bytes, told);
    }
}

static void test_buffer_below_one_entry_is_not_written(void)
{
    use_some();
    for (size_t i = 0; i < COUNTED; ++i) {
        check_below_one(all_counted[i]);
    }
    free_some();
}

/* Any length, at any alignment, between guards. Returns the status. */
static uint32_t guarded(int class, size_t length, size_t shift, ULONG *told)
{
    static char place[GUARD_BYTES + 16 + LENGTH_MAX + GUARD_BYTES];
    char *reply = place + GUARD_BYTES + shift;

    memset(place, GUARD, sizeof(place));
    *told = NO_LENGTH;
    uint32_t status = status_of(
        NtQuerySystemInformation((SYSTEM_INFORMATION_CLASS) class, reply, (ULONG)length, told));

    DDI_TRUE_FOR(ddi_all_bytes(place, GUARD_BYTES + shift, GUARD), class);
    DDI_TRUE_FOR(ddi_all_bytes(reply + length, sizeof(place) - GUARD_BYTES - shift - length, GUARD),
                 class);
    if (status != 0 && status != 0xC0000004) {
        DDI_TRUE_FOR(ddi_all_bytes(reply, length, GUARD), class);
        DDI_EQUAL(0, *told);
    }
    if (status == 0) {
        DDI_TRUE_FOR(*told <= length, class);
    }
    return status;
}

static void test_no_length_is_written_past_at_any_alignment(void)
{
    use_some();
    for (size_t i = 0; i < CLASSES; ++i) {
        for (size_t length = 0; length <= LENGTH_MAX; ++length) {
            ULONG told;
            uint32_t status = guarded(all_classes[i], length, 0, &told);

            for (size_t shift = 1; shift < 16; shift += 5) {
                ULONG shifted;

                DDI_EQUAL(status, guarded(all_classes[i], length, shift, &shifted));
                DDI_EQUAL(told, shifted);
            }
        }
    }
    free_some();
}

/* Both tables, one in the form of the other; *count entries. */
static SYSTEM_POOLTAG2 *both_tables(ULONG *count)
{
    ULONG count2;
    char *narrow = ask_all(&tags, count);
    char *wide = ask_all(&tags2, &count2);

    DDI_EQUAL(*count, count2);
    SYSTEM_POOLTAG2 *rows = calloc(*count + 1, sizeof(*rows));

    for (ULONG i = 0; i < *count && i < count2; ++i) {
        const SYSTEM_POOLTAG *row = &tag_array(narrow)[i];

        rows[i] = tag2_array(wide)[i];
        DDI_EQUAL(rows[i].TagUlong, row->TagUlong);
        DDI_EQUAL((ULONG)rows[i].PagedAllocs, row->PagedAllocs);
        DDI_EQUAL((ULONG)rows[i].PagedFrees, row->PagedFrees);
        DDI_EQUAL(rows[i].PagedUsed, row->PagedUsed);
        DDI_EQUAL((ULONG)rows[i].NonPagedAllocs, row->NonPagedAllocs);
        DDI_EQUAL((ULONG)rows[i].NonPagedFrees, row->NonPagedFrees);
        DDI_EQUAL(rows[i].NonPagedUsed, row->NonPagedUsed);
    }
    free(narrow);
    free(wide);
    return rows;
}

static bool same_row(const SYSTEM_POOLTAG2 *a, const SYSTEM_POOLTAG2 *b)
{
    return a->TagUlong == b->TagUlong && a->PagedAllocs == b->PagedAllocs &&
           a->PagedFrees == b->PagedFrees && a->PagedUsed == b->PagedUsed &&
           a->NonPagedAllocs == b->NonPagedAllocs && a->NonPagedFrees == b->NonPagedFrees &&
           a->NonPagedUsed == b->NonPagedUsed;
}

static SYSTEM_POOLTAG2 row_of(uint32_t tag)
{
    ULONG count;
    ULONG found = 0;
    SYSTEM_POOLTAG2 *rows = both_tables(&count);
    SYSTEM_POOLTAG2 row = { .TagUlong = tag };

    for (ULONG i = 0; i < count; ++i) {
        if (rows[i].TagUlong == tag) {
            row = rows[i];
            ++found;
        }
    }
    DDI_TRUE_FOR(found <= 1, found);
    free(rows);
    return row;
}

/* The only difference between two tables is the row expected, which may be new. */
static void check_only(const SYSTEM_POOLTAG2 *before,
                       ULONG count_before,
                       const SYSTEM_POOLTAG2 *expected)
{
    ULONG count;
    bool seen = false;
    bool known = false;
    SYSTEM_POOLTAG2 *rows = both_tables(&count);

    for (ULONG i = 0; i < count_before; ++i) {
        known = known || before[i].TagUlong == expected->TagUlong;
    }
    DDI_EQUAL(count_before + !known, count);
    for (ULONG i = 0; i < count; ++i) {
        if (rows[i].TagUlong == expected->TagUlong) {
            DDI_TRUE_FOR(same_row(expected, &rows[i]), rows[i].TagUlong);
            seen = true;
        } else {
            DDI_TRUE_FOR(i < count_before && same_row(&before[i], &rows[i]), rows[i].TagUlong);
        }
    }
    DDI_TRUE(seen);
    free(rows);
}

/* Sizes are such that a guard after the block, as in checked builds, changes nothing it holds. */
static void test_a_new_tag_changes_exactly_its_row(void)
{
    ULONG count;
    SYSTEM_POOLTAG2 *before = both_tables(&count);
    SYSTEM_POOLTAG2 row = { .TagUlong = TAG_NEW };
    void *paged = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 60, TAG_NEW));

    row.PagedAllocs = 1;
    row.PagedUsed = 64;
    check_only(before, count, &row);
    void *nonpaged = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, TAG_NEW));

    row.NonPagedAllocs = 1;
    row.NonPagedUsed = 3 * PAGE_SIZE;
    check_only(before, count, &row);
    ExFreePoolWithTag(paged, TAG_NEW);
    row.PagedFrees = 1;
    row.PagedUsed = 0;
    check_only(before, count, &row);
    ExFreePool(nonpaged);
    row.NonPagedFrees = 1;
    row.NonPagedUsed = 0;
    check_only(before, count, &row); /* the row stays */
    free(before);
}

/* One tag in both columns; executable counts as nonpaged; the top bit is no part of the name. */
static void test_columns_are_kept_apart(void)
{
    const uint32_t tag = 'lCyQ';
    void *paged = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 44, tag));
    void *nx = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, 120, tag));
    void *execute = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED_EXECUTE, PAGE_SIZE, tag));
    void *guarded_block = ddi_opaque(ExAllocatePoolWithTag(PagedPool, 44, tag | PROTECTED_POOL));
    SYSTEM_POOLTAG2 row = row_of(tag);

    DDI_EQUAL(2, row.PagedAllocs);
    DDI_EQUAL(0, row.PagedFrees);
    DDI_EQUAL(96, row.PagedUsed);
    DDI_EQUAL(2, row.NonPagedAllocs);
    DDI_EQUAL(0, row.NonPagedFrees);
    DDI_EQUAL(128 + PAGE_SIZE, row.NonPagedUsed);
    ExFreePoolWithTag(execute, tag);
    ExFreePoolWithTag(guarded_block, tag | PROTECTED_POOL);
    row = row_of(tag);
    DDI_EQUAL(1, row.PagedFrees);
    DDI_EQUAL(48, row.PagedUsed);
    DDI_EQUAL(1, row.NonPagedFrees);
    DDI_EQUAL(128, row.NonPagedUsed);
    DDI_EQUAL(0, row_of(tag | PROTECTED_POOL).PagedAllocs);
    ExFreePoolWithTag(paged, tag);
    ExFreePoolWithTag(nx, tag);
}

/* Blocks of TAG_BIG in class 66 that are at an address, which is NULL for: any. */
static ULONG listed(const void *address, SYSTEM_BIGPOOL_ENTRY *entry)
{
    ULONG count;
    ULONG found = 0;
    char *reply = ask_all(&big, &count);

    for (ULONG i = 0; i < count; ++i) {
        const SYSTEM_BIGPOOL_ENTRY *one = &big_array(reply)[i];
        uintptr_t start = (uintptr_t)one->VirtualAddress & ~(uintptr_t)1;

        if (one->TagUlong == TAG_BIG && (address == NULL || start == (uintptr_t)address)) {
            *entry = *one;
            ++found;
        }
    }
    free(reply);
    return found;
}

static void test_big_blocks_are_listed_once_with_pages_pool_and_tag(void)
{
    static const POOL_FLAGS kinds[] = {
        POOL_FLAG_PAGED,
        POOL_FLAG_NON_PAGED,
        POOL_FLAG_NON_PAGED_EXECUTE,
    };
    static const size_t sizes[] = {
        4096,  4097,  5000,  6145,  8192,  8193,   10000,
        14000, 30000, 65536, 65537, 70000, 131072, 1000001,
    };
    enum {
        SIZES = sizeof(sizes) / sizeof(sizes[0])
    };
    void *block[3][SIZES];
    SYSTEM_BIGPOOL_ENTRY entry;
    void *small = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 100, TAG_BIG));

    DDI_EQUAL(0, listed(NULL, &entry));
    for (size_t kind = 0; kind < 3; ++kind) {
        for (size_t i = 0; i < SIZES; ++i) {
            block[kind][i] = ddi_opaque(
                ExAllocatePool2(kinds[kind] | POOL_FLAG_UNINITIALIZED, sizes[i], TAG_BIG));
        }
    }
    DDI_EQUAL(3 * SIZES, listed(NULL, &entry));
    for (size_t kind = 0; kind < 3; ++kind) {
        for (size_t i = 0; i < SIZES; ++i) {
            if (DDI_EQUAL(1, listed(block[kind][i], &entry))) {
                DDI_EQUAL(kind != 0, entry.NonPaged);
                DDI_EQUAL(kind != 0, (uintptr_t)entry.VirtualAddress & (PAGE_SIZE - 1));
                DDI_EQUAL(ROUND_TO_PAGES(sizes[i]), entry.SizeInBytes);
            }
            ExFreePoolWithTag(block[kind][i], TAG_BIG);
            DDI_EQUAL(0, listed(block[kind][i], &entry));
        }
    }
    DDI_EQUAL(0, listed(NULL, &entry));
    ExFreePoolWithTag(small, TAG_BIG);
    /* The top bit is no part of the name. */
    void *guarded_block =
        ddi_opaque(ExAllocatePoolWithTag(PagedPool, 20000, TAG_BIG | PROTECTED_POOL));

    DDI_EQUAL(1, listed(guarded_block, &entry));
    ExFreePoolWithTag(guarded_block, TAG_BIG | PROTECTED_POOL);
}

static SYSTEM_PERFORMANCE_INFORMATION performance(void)
{
    SYSTEM_PERFORMANCE_INFORMATION information;
    ULONG told = NO_LENGTH;

    memset(&information, GUARD, sizeof(information));
    DDI_EQUAL(0,
              status_of(NtQuerySystemInformation(
                  SystemPerformanceInformation, &information, sizeof(information), &told)));
    DDI_EQUAL(0x178, told);
    return information;
}

static void test_performance_moves_with_allocations(void)
{
    enum {
        PAGES = 100
    };
    DDI_EQUAL(0, expool_set("paged_limit", "64M"));
    SYSTEM_PERFORMANCE_INFORMATION before = performance();
    void *paged = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, PAGES * PAGE_SIZE, TAG_BIG));
    SYSTEM_PERFORMANCE_INFORMATION after = performance();

    DDI_EQUAL(before.PagedPoolPages + PAGES, after.PagedPoolPages);
    DDI_EQUAL(before.ResidentPagedPoolPage + PAGES, after.ResidentPagedPoolPage);
    DDI_EQUAL(before.AvailablePagedPoolPages - PAGES, after.AvailablePagedPoolPages);
    DDI_EQUAL(((64u << 20) / PAGE_SIZE) - after.PagedPoolPages, after.AvailablePagedPoolPages);
    DDI_EQUAL(before.PagedPoolAllocs + 1, after.PagedPoolAllocs);
    DDI_EQUAL(before.PagedPoolFrees, after.PagedPoolFrees);
    DDI_EQUAL(before.NonPagedPoolPages, after.NonPagedPoolPages);
    DDI_EQUAL(before.NonPagedPoolAllocs, after.NonPagedPoolAllocs);
    void *nx = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGES * PAGE_SIZE, TAG_BIG));
    void *execute =
        ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED_EXECUTE, PAGES * PAGE_SIZE, TAG_BIG));

    after = performance();
    DDI_EQUAL(before.NonPagedPoolPages + 2 * PAGES, after.NonPagedPoolPages);
    DDI_EQUAL(before.NonPagedPoolAllocs + 2, after.NonPagedPoolAllocs);
    ExFreePoolWithTag(paged, TAG_BIG);
    ExFreePoolWithTag(nx, TAG_BIG);
    ExFreePoolWithTag(execute, TAG_BIG);
    after = performance();
    DDI_EQUAL(before.PagedPoolPages, after.PagedPoolPages);
    DDI_EQUAL(before.PagedPoolFrees + 1, after.PagedPoolFrees);
    DDI_EQUAL(before.NonPagedPoolPages, after.NonPagedPoolPages);
    DDI_EQUAL(before.NonPagedPoolFrees + 2, after.NonPagedPoolFrees);
    DDI_EQUAL(0, expool_set("paged_limit", "unlimited"));
    DDI_EQUAL(0xFFFFFFFF, performance().AvailablePagedPoolPages);
}

static void test_performance_accepts_every_length_in_use(void)
{
    static const ULONG lengths[] = { 0x137, 0x138, 0x158, 0x178, 0x140, 0x300 };
    SYSTEM_PERFORMANCE_INFORMATION full;
    char reply[0x300 + GUARD_BYTES];

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); ++i) {
        ULONG told = NO_LENGTH;
        ULONG filled = lengths[i] < 0x178 ? lengths[i] : 0x178;

        memset(reply, GUARD, sizeof(reply));
        full = performance();
        uint32_t status = status_of(
            NtQuerySystemInformation(SystemPerformanceInformation, reply, lengths[i], &told));

        if (lengths[i] < 0x138) {
            DDI_EQUAL(0xC0000004, status);
            DDI_EQUAL(0x138, told);
            DDI_TRUE(ddi_all_bytes(reply, sizeof(reply), GUARD));
            continue;
        }
        DDI_EQUAL(0, status);
        DDI_EQUAL(filled, told);
        /* What pools have nothing to say of is zero, what they have is the same in all lengths. */
        DDI_TRUE_FOR(ddi_all_bytes(reply, 0x28, 0), lengths[i]);
        DDI_TRUE_FOR(memcmp(reply + 0x70, (char *)&full + 0x70, filled - 0x70) == 0, lengths[i]);
        DDI_TRUE_FOR(ddi_all_bytes(reply + 0xAC, filled - 0xAC, 0), lengths[i]);
        DDI_TRUE_FOR(ddi_all_bytes(reply + filled, sizeof(reply) - filled, GUARD), lengths[i]);
    }
}

static void test_zeroing_is_present(void)
{
    ULONG told;

    for (ULONG length = 0; length < 3; ++length) {
        unsigned char reply[4] = { GUARD, GUARD, GUARD, GUARD };

        told = NO_LENGTH;
        uint32_t status =
            status_of(NtQuerySystemInformation(SystemPoolZeroingInformation, reply, length, &told));

        DDI_EQUAL(length == 0 ? 0xC0000004 : 0, status);
        DDI_EQUAL(1, told);
        DDI_EQUAL(length == 0 ? GUARD : TRUE, reply[0]);
        DDI_EQUAL(GUARD, reply[1]);
    }
}

static void test_special_pool_chooses_no_tag(void)
{
    SYSTEM_SPECIAL_POOL_INFORMATION special = { 1, 1 };
    ULONG told = NO_LENGTH;

    DDI_EQUAL(
        0xC0000004,
        status_of(NtQuerySystemInformation(SystemSpecialPoolInformation, &special, 7, &told)));
    DDI_EQUAL(8, told);
    DDI_EQUAL(
        0, status_of(NtQuerySystemInformation(SystemSpecialPoolInformation, &special, 8, &told)));
    DDI_EQUAL(8, told);
    DDI_EQUAL(0, special.PoolTag);
    DDI_EQUAL(0, special.Flags);
}

static void test_dumps_of_whole_pools_are_not_implemented(void)
{
    static const int classes[] = { 14, 15, 125 };

    for (size_t i = 0; i < 3; ++i) {
        for (size_t length = 0; length <= LENGTH_MAX; length += LENGTH_MAX / 2) {
            ULONG told;

            DDI_EQUAL(0xC0000002, guarded(classes[i], length, 0, &told));
            DDI_EQUAL(0, told);
        }
    }
}

static void test_unknown_classes_fail_and_return_length_may_be_null(void)
{
    static const int unknown[] = { CLASS_UNKNOWN, -1, 0, 1, 23, 256 };
    static char reply[1 << 16];

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); ++i) {
        DDI_EQUAL(0xC0000003,
                  status_of(NtQuerySystemInformation(
                      (SYSTEM_INFORMATION_CLASS)unknown[i], reply, sizeof(reply), NULL)));
    }
    for (size_t i = 0; i < CLASSES; ++i) {
        SYSTEM_INFORMATION_CLASS class = (SYSTEM_INFORMATION_CLASS)all_classes[i];
        ULONG told;

        for (ULONG length = 0; length <= sizeof(reply); length += sizeof(reply)) {
            uint32_t status = status_of(NtQuerySystemInformation(class, reply, length, &told));

            DDI_EQUAL(status, status_of(NtQuerySystemInformation(class, reply, length, NULL)));
            DDI_EQUAL(status, status_of(ZwQuerySystemInformation(class, reply, length, NULL)));
        }
    }
}

enum {
    LISTS_MAX = 64,
    TAG_LIST = 'kooL'
};

/* Lists of TAG_LIST and of a type in class 45; the last of them goes to *found. */
static ULONG lists_of(ULONG type, SYSTEM_LOOKASIDE_INFORMATION *found)
{
    static SYSTEM_LOOKASIDE_INFORMATION entries[LISTS_MAX];
    ULONG told = NO_LENGTH;
    ULONG count = 0;

    DDI_EQUAL(0,
              status_of(NtQuerySystemInformation(
                  SystemLookasideInformation, entries, sizeof(entries), &told)));
    DDI_EQUAL(0, told % 0x20);
    for (ULONG i = 0; i < told / 0x20 && i < LISTS_MAX; ++i) {
        if (entries[i].Tag == TAG_LIST && entries[i].Type == type) {
            *found = entries[i];
            ++count;
        }
    }
    return count;
}

static void test_a_new_lookaside_list_is_told_with_type_tag_and_size(void)
{
    static NPAGED_LOOKASIDE_LIST nonpaged;
    static LOOKASIDE_LIST_EX paged;
    SYSTEM_LOOKASIDE_INFORMATION entry;

    DDI_EQUAL(0, lists_of(NonPagedPoolNx, &entry) + lists_of(PagedPool, &entry));
    ExInitializeNPagedLookasideList(&nonpaged, NULL, NULL, POOL_NX_ALLOCATION, 208, TAG_LIST, 0);
    if (DDI_EQUAL(1, lists_of(NonPagedPoolNx, &entry))) {
        DDI_EQUAL(208, entry.Size);
        DDI_EQUAL(4, entry.CurrentDepth);
        DDI_EQUAL(256, entry.MaximumDepth);
        DDI_EQUAL(0, entry.TotalAllocates + entry.AllocateMisses);
        DDI_EQUAL(0, entry.TotalFrees + entry.FreeMisses);
    }
    DDI_EQUAL(0,
              status_of(ExInitializeLookasideListEx(
                  &paged, NULL, NULL, PagedPool, 0, 5000, TAG_LIST, 0)));
    SYSTEM_PERFORMANCE_INFORMATION before = performance();
    void *first = ddi_opaque(ExAllocateFromLookasideListEx(&paged));

    DDI_EQUAL(before.PagedPoolLookasideHits, performance().PagedPoolLookasideHits);
    ExFreeToLookasideListEx(&paged, first);
    first = ddi_opaque(ExAllocateFromLookasideListEx(&paged));
    ExFreeToLookasideListEx(&paged, first);
    if (DDI_EQUAL(1, lists_of(PagedPool, &entry))) {
        DDI_EQUAL(5000, entry.Size);
        DDI_EQUAL(2, entry.TotalAllocates);
        DDI_EQUAL(1, entry.AllocateMisses);
        DDI_EQUAL(2, entry.TotalFrees);
        DDI_EQUAL(0, entry.FreeMisses);
    }
    DDI_EQUAL(before.PagedPoolLookasideHits + 1, performance().PagedPoolLookasideHits);
    DDI_EQUAL(before.NonPagedPoolLookasideHits, performance().NonPagedPoolLookasideHits);
    DDI_EQUAL(1, lists_of(NonPagedPoolNx, &entry));
    ExDeleteNPagedLookasideList(&nonpaged);
    DDI_EQUAL(0, lists_of(NonPagedPoolNx, &entry));
    ExDeleteLookasideListEx(&paged);
    DDI_EQUAL(0, lists_of(PagedPool, &entry));
}

static void test_lookaside_lists_fill_whole_entries(void)
{
    static NPAGED_LOOKASIDE_LIST list[3];
    ULONG told;

    for (size_t i = 0; i < 3; ++i) {
        ExInitializeNPagedLookasideList(
            &list[i], NULL, NULL, POOL_NX_ALLOCATION, 64 + i * 16, TAG_LIST, 0);
    }
    for (size_t length = 0; length <= 4 * 0x20; ++length) {
        const ULONG whole = (ULONG)(length / 0x20 < 3 ? length / 0x20 : 3);

        DDI_EQUAL(0, guarded(SystemLookasideInformation, length, length % 16, &told));
        DDI_EQUAL(whole * 0x20, told);
    }
    for (size_t i = 0; i < 3; ++i) {
        ExDeleteNPagedLookasideList(&list[i]);
    }
}

/* The row of a tag in class 67, which has one session; zeroes when there is none. */
static SYSTEM_POOLTAG session_row(uint32_t tag)
{
    ULONG count;
    char *reply = ask_all(&sessions, &count);
    const SYSTEM_SESSION_POOLTAG_INFORMATION *information = (void *)reply;
    SYSTEM_POOLTAG row = { .TagUlong = tag };

    DDI_EQUAL(0, information->NextEntryOffset);
    DDI_EQUAL(0, information->SessionId);
    for (ULONG i = 0; i < count; ++i) {
        if (information->TagInfo[i].TagUlong == tag) {
            row = information->TagInfo[i];
        }
    }
    free(reply);
    return row;
}

static void test_session_blocks_are_told_as_such_and_as_pool(void)
{
    static const int types[] = { 32, 33, 36, 37, 544 }; /* paged when odd */
    const uint32_t tag = 'sesQ';
    void *block[7];
    void *ordinary = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 1024, tag));
    SYSTEM_POOLTAG2 before = row_of(tag);

    DDI_EQUAL(0, session_row(tag).PagedAllocs);
    for (size_t i = 0; i < 5; ++i) {
        block[i] = ddi_opaque(ExAllocatePoolWithTag((POOL_TYPE)types[i], 100 + i * PAGE_SIZE, tag));
    }
    block[5] = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_SESSION, 100000, tag));
    block[6] = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_SESSION, 16, tag));
    SYSTEM_POOLTAG row = session_row(tag);
    SYSTEM_POOLTAG2 after = row_of(tag);

    DDI_EQUAL(3, row.PagedAllocs);
    DDI_EQUAL(4, row.NonPagedAllocs);
    DDI_EQUAL(0, row.PagedFrees + row.NonPagedFrees);
    DDI_TRUE_FOR(row.PagedUsed >= 200 + 4 * PAGE_SIZE + 100000, row.PagedUsed);
    DDI_TRUE_FOR(row.NonPagedUsed >= 316 + 6 * PAGE_SIZE, row.NonPagedUsed);
    DDI_EQUAL(before.PagedAllocs + 3, after.PagedAllocs);
    DDI_EQUAL(before.NonPagedAllocs + 4, after.NonPagedAllocs);
    DDI_EQUAL(before.PagedUsed + row.PagedUsed, after.PagedUsed);
    DDI_EQUAL(before.NonPagedUsed + row.NonPagedUsed, after.NonPagedUsed);
    for (size_t i = 0; i < 7; ++i) {
        DDI_TRUE_FOR(block[i] != NULL, i);
        ExFreePoolWithTag(block[i], tag);
    }
    row = session_row(tag);
    DDI_EQUAL(3, row.PagedFrees);
    DDI_EQUAL(4, row.NonPagedFrees);
    DDI_EQUAL(0, row.PagedUsed + row.NonPagedUsed);
    DDI_EQUAL(3, row.PagedAllocs); /* the row stays */
    ExFreePoolWithTag(ordinary, tag);
    DDI_EQUAL(3, session_row(tag).PagedFrees);
}

/* ---- queries among allocations --------------------------------------------------------------- */

enum {
    THREADS = 8,
    STEPS = 60000,
    SLOTS = 512,
    THREAD_TAGS = 8,
    TAG_THREAD = '0hTQ'
};

static _Atomic(void *) slots[SLOTS];
static atomic_uint running;
static void *kept[THREADS];

/* Allocate, and free what another thread has left. Tags of the thread come up one after another. */
static void *use_pool(void *argument)
{
    static const POOL_FLAGS kinds[] = {
        POOL_FLAG_NON_PAGED,
        POOL_FLAG_PAGED,
        POOL_FLAG_NON_PAGED_EXECUTE,
    };
    const uint32_t thread = (uint32_t)(uintptr_t)argument;
    uint64_t random = 0x178 + thread;

    for (uint32_t step = 0; step < STEPS; ++step) {
        uint64_t draw = ddi_random(&random);
        uint32_t young = step / (STEPS / THREAD_TAGS + 1);
        uint32_t tag = TAG_THREAD + (thread << 24) + ((draw >> 8) % (young + 1));
        size_t bytes = 16 + (draw >> 16) % (((draw >> 40) & 63) == 0  ? 100000
                                            : ((draw >> 40) & 7) == 0 ? 12000
                                                                      : 600);
        void *block = ExAllocatePool2(kinds[draw % 3] | POOL_FLAG_UNINITIALIZED, bytes, tag);
        void *other = atomic_exchange(&slots[(draw >> 50) % SLOTS], block);

        if (other != NULL) {
            ExFreePool(other);
        }
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static bool is_ours(uint32_t tag)
{
    return (tag & 0x00FFFF00) == (TAG_THREAD & 0x00FFFF00);
}

/* Every row is possible: frees follow allocations, and what is used is used by somebody. */
static void check_rows_possible(uint64_t *allocs_before)
{
    ULONG count;
    uint64_t allocs = 0;
    char *reply = ask_all(&tags2, &count);

    for (ULONG i = 0; i < count; ++i) {
        const SYSTEM_POOLTAG2 *row = &tag2_array(reply)[i];

        DDI_TRUE_FOR(row->PagedAllocs >= row->PagedFrees, row->TagUlong);
        DDI_TRUE_FOR(row->NonPagedAllocs >= row->NonPagedFrees, row->TagUlong);
        DDI_TRUE_FOR(row->PagedUsed >> 40 == 0, row->PagedUsed);
        DDI_TRUE_FOR(row->NonPagedUsed >> 40 == 0, row->NonPagedUsed);
        allocs += is_ours(row->TagUlong) ? row->PagedAllocs + row->NonPagedAllocs : 0;
    }
    DDI_TRUE_FOR(allocs >= *allocs_before, allocs);
    *allocs_before = allocs;
    free(reply);
    SYSTEM_PERFORMANCE_INFORMATION information = performance();

    DDI_TRUE(information.PagedPoolAllocs >= information.PagedPoolFrees);
    DDI_TRUE(information.NonPagedPoolAllocs >= information.NonPagedPoolFrees);
}

/* Addresses rise, so none comes twice; sizes are whole pages; what is kept is always there. */
static void check_blocks_possible(void)
{
    ULONG count;
    ULONG found = 0;
    uintptr_t before = 0;
    char *reply = ask_all(&big, &count);

    for (ULONG i = 0; i < count; ++i) {
        const SYSTEM_BIGPOOL_ENTRY *entry = &big_array(reply)[i];
        uintptr_t start = (uintptr_t)entry->VirtualAddress & ~(uintptr_t)1;

        DDI_TRUE_FOR(start > before, start);
        DDI_TRUE_FOR(entry->SizeInBytes != 0 && entry->SizeInBytes % PAGE_SIZE == 0, start);
        for (size_t thread = 0; thread < THREADS; ++thread) {
            found += start == (uintptr_t)kept[thread];
        }
        before = start;
    }
    DDI_EQUAL(THREADS, found);
    free(reply);
}

static void check_rows_at_rest(void)
{
    ULONG count;
    SYSTEM_POOLTAG2 *rows = both_tables(&count);
    uint64_t allocs = 0;

    for (ULONG i = 0; i < count; ++i) {
        if (is_ours(rows[i].TagUlong)) {
            DDI_EQUAL(rows[i].PagedAllocs, rows[i].PagedFrees);
            DDI_EQUAL(rows[i].NonPagedAllocs, rows[i].NonPagedFrees);
            DDI_EQUAL(0, rows[i].PagedUsed + rows[i].NonPagedUsed);
            allocs += rows[i].PagedAllocs + rows[i].NonPagedAllocs;
        }
    }
    DDI_EQUAL((uint64_t)THREADS * STEPS, allocs);
    free(rows);
}

static void test_queries_among_eight_threads_tell_possible_rows(void)
{
    pthread_t thread[THREADS];
    uint64_t allocs = 0;
    unsigned rounds = 0;

    atomic_store(&running, THREADS);
    for (uintptr_t i = 0; i < THREADS; ++i) {
        kept[i] = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, (4 + i * 5) * PAGE_SIZE, TAG_BIG));
    }
    for (uintptr_t i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_create(&thread[i], NULL, use_pool, (void *)i));
    }
    while (atomic_load(&running) != 0) {
        check_rows_possible(&allocs);
        check_blocks_possible();
        ++rounds;
    }
    for (size_t i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_join(thread[i], NULL));
        ExFreePoolWithTag(kept[i], TAG_BIG);
    }
    for (size_t i = 0; i < SLOTS; ++i) {
        void *block = atomic_exchange(&slots[i], NULL);

        if (block != NULL) {
            ExFreePool(block);
        }
    }
    check_rows_at_rest();
    DDI_TRUE_FOR(rounds > 1, rounds);
}

static const struct ddi_test tests[] = {
    DDI_TEST("169", test_length_zero_tells_a_length_that_suffices),
    DDI_TEST("170", test_short_buffer_has_the_true_count_and_the_entries_that_fit),
    DDI_TEST("170", test_buffer_below_one_entry_is_not_written),
    DDI_TEST("170", test_no_length_is_written_past_at_any_alignment),
    DDI_TEST("171", test_a_new_tag_changes_exactly_its_row),
    DDI_TEST("172", test_columns_are_kept_apart),
    DDI_TEST("173", test_big_blocks_are_listed_once_with_pages_pool_and_tag),
    DDI_TEST("174", test_a_new_lookaside_list_is_told_with_type_tag_and_size),
    DDI_TEST("174", test_lookaside_lists_fill_whole_entries),
    DDI_TEST("175", test_performance_moves_with_allocations),
    DDI_TEST("175", test_performance_accepts_every_length_in_use),
    DDI_TEST("176", test_zeroing_is_present),
    DDI_TEST("(8.6)", test_special_pool_chooses_no_tag),
    DDI_TEST("(8.4)", test_dumps_of_whole_pools_are_not_implemented),
    DDI_TEST("39,177", test_session_blocks_are_told_as_such_and_as_pool),
    DDI_TEST("177", test_unknown_classes_fail_and_return_length_may_be_null),
    DDI_TEST("178", test_queries_among_eight_threads_tell_possible_rows),
};

DDI_MAIN(tests)
