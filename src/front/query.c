/* SPDX-License-Identifier: MIT */
/*
 * NtQuerySystemInformation for the classes that tell of pools, and its Zw name.
 *
 * Every class is of one of three kinds, each with a protocol of its own (spec/api.md 8.1): fixed
 * structures, counted ones (a count, an array, the length that all of it needs), and an array that
 * says by its length how much there is. A reply knows the caller's buffer; only reply_put writes
 * to it, never past its length, at any alignment, with no lock held.
 *
 * Numbers come from the core, as other processes see them: rows of tags are summed frees first, so
 * that no row ever tells more frees than allocations. Rows are copied to memory of ours, merged to
 * one entry a tag, and written entry by entry; big blocks come in batches. How much there is may
 * change between two queries, not within one reply: count and length are of what was copied.
 *
 * Read only: no query changes a counter. A pool that could not be started is told as empty. Not
 * judged: IRQL (the pages name PASSIVE_LEVEL and no stop), and whether the buffer may be written.
 */
#include <expool/port.h>

#include "core/option.h"
#include "core/run.h"
#include "front/lookaside.h"
#include "front/pool.h"

#include <ntifs.h>

enum {
    QUERY_BATCH = 32,          /* big blocks copied at once */
    QUERY_TRIES = 24,          /* each finds the table twice as large: more tags cannot be */
    QUERY_ROWS_START = 64,     /* rows of tags that may come between counting and copying */
    QUERY_ROWS_MAX = 1 << 20,  /* 32 MiB of them */
    QUERY_LISTS_MAX = 1 << 20, /* lookaside lists told of: 32 MiB */
    QUERY_PERFORMANCE = 0x138, /* least length of class 2 */
    QUERY_SESSION = 0,         /* the only session */
};

/* The caller's buffer. */
struct reply {
    char *buffer;
    size_t length;
    size_t told; /* for ReturnLength */
};

/* Write what fits of a thing at an offset. */
static void reply_put(const struct reply *reply, size_t offset, const void *data, size_t bytes)
{
    if (offset < reply->length) {
        __builtin_memcpy(reply->buffer + offset, data, exp_min(bytes, reply->length - offset));
    }
}

/* ReturnLength and Count have 32 bits. */
static ULONG narrow(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (ULONG)value;
}

/* A fixed structure, of which length_min bytes must fit. */
static NTSTATUS reply_fixed(struct reply *reply, const void *data, size_t bytes, size_t length_min)
{
    if (reply->length < length_min) {
        reply->told = length_min;
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    reply_put(reply, 0, data, bytes);
    reply->told = exp_min(bytes, reply->length);
    return STATUS_SUCCESS;
}

/* Where a counted structure has its parts. */
struct counted {
    size_t count_offset;
    size_t array_offset;
    size_t entry_bytes;
};

/* False: not even one entry would fit, so nothing may be written. */
static bool counted_fits(const struct reply *reply, const struct counted *counted)
{
    return reply->length >= counted->array_offset + counted->entry_bytes;
}

/* Write an entry when all of it fits. */
static void counted_put(const struct reply *reply,
                        const struct counted *counted,
                        size_t index,
                        const void *entry)
{
    size_t offset = counted->array_offset + index * counted->entry_bytes;
    if (counted_fits(reply, counted) && offset + counted->entry_bytes <= reply->length) {
        reply_put(reply, offset, entry, counted->entry_bytes);
    }
}

/* The end of a counted structure: how many entries there are, and what they need. */
static NTSTATUS counted_end(struct reply *reply, const struct counted *counted, size_t total)
{
    size_t needed = counted->array_offset + total * counted->entry_bytes;
    ULONG count = narrow(total);
    if (!counted_fits(reply, counted)) {
        reply->told = exp_max(needed, counted->array_offset + counted->entry_bytes);
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    reply_put(reply, counted->count_offset, &count, sizeof(count));
    reply->told = needed;
    return needed > reply->length ? STATUS_INFO_LENGTH_MISMATCH : STATUS_SUCCESS;
}

/* Rows of a tag table in memory of ours. */
struct rows {
    struct expool_tag_row *row;
    size_t count;
    size_t bytes;
};

static void rows_give(struct rows *rows)
{
    if (rows->row != NULL) {
        exp_range_heap_give(EXP_RANGE_KEPT, rows->row, rows->bytes);
    }
}

/* Copy all rows that copy gives, however many come meanwhile. False: no memory. */
static bool rows_take(size_t (*copy)(struct expool_tag_row *, size_t), struct rows *rows)
{
    *rows = (struct rows){ 0 };
    if (exp_range.bytes == 0) {
        return true;
    }
    size_t capacity = copy(NULL, 0) + QUERY_ROWS_START;
    for (int attempt = 0; attempt < QUERY_TRIES && capacity <= QUERY_ROWS_MAX; attempt++) {
        rows->bytes = capacity * sizeof(*rows->row);
        rows->row = exp_range_heap_take(EXP_RANGE_KEPT, rows->bytes);
        rows->count = rows->row == NULL ? 0 : copy(rows->row, capacity);
        if (rows->row == NULL || rows->count <= capacity) {
            return rows->row != NULL;
        }
        rows_give(rows);
        capacity = exp_max(capacity * 2, rows->count);
    }
    rows->row = NULL;
    return false;
}

/* Both columns of one tag. */
struct sum {
    uint32_t tag;
    struct expool_tag_row column[2];
};

/* The tag whose rows start at *index, which moves on to the next tag's. */
static struct sum next_sum(const struct rows *rows, size_t *index)
{
    struct sum sum = { .tag = rows->row[*index].tag };
    while (*index < rows->count && rows->row[*index].tag == sum.tag) {
        sum.column[rows->row[*index].pool] = rows->row[*index];
        ++*index;
    }
    return sum;
}

static void put_narrow(const struct reply *reply,
                       const struct counted *counted,
                       size_t index,
                       const struct sum *sum)
{
    SYSTEM_POOLTAG entry;
    __builtin_memset(&entry, 0, sizeof(entry));
    entry.TagUlong = sum->tag;
    entry.PagedAllocs = (ULONG)sum->column[1].allocs;
    entry.PagedFrees = (ULONG)sum->column[1].frees;
    entry.PagedUsed = (SIZE_T)sum->column[1].bytes;
    entry.NonPagedAllocs = (ULONG)sum->column[0].allocs;
    entry.NonPagedFrees = (ULONG)sum->column[0].frees;
    entry.NonPagedUsed = (SIZE_T)sum->column[0].bytes;
    counted_put(reply, counted, index, &entry);
}

static void put_wide(const struct reply *reply,
                     const struct counted *counted,
                     size_t index,
                     const struct sum *sum)
{
    SYSTEM_POOLTAG2 entry;
    __builtin_memset(&entry, 0, sizeof(entry));
    entry.TagUlong = sum->tag;
    entry.PagedAllocs = (SIZE_T)sum->column[1].allocs;
    entry.PagedFrees = (SIZE_T)sum->column[1].frees;
    entry.PagedUsed = (SIZE_T)sum->column[1].bytes;
    entry.NonPagedAllocs = (SIZE_T)sum->column[0].allocs;
    entry.NonPagedFrees = (SIZE_T)sum->column[0].frees;
    entry.NonPagedUsed = (SIZE_T)sum->column[0].bytes;
    counted_put(reply, counted, index, &entry);
}

/* A tag table, an entry a tag. */
static NTSTATUS put_tags(struct reply *reply,
                         const struct counted *counted,
                         size_t (*copy)(struct expool_tag_row *, size_t),
                         bool wide)
{
    struct rows rows;
    size_t total = 0;
    if (!rows_take(copy, &rows)) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (size_t index = 0; index < rows.count; total++) {
        struct sum sum = next_sum(&rows, &index);
        if (wide) {
            put_wide(reply, counted, total, &sum);
        } else {
            put_narrow(reply, counted, total, &sum);
        }
    }
    rows_give(&rows);
    return counted_end(reply, counted, total);
}

static NTSTATUS query_tags(struct reply *reply)
{
    static const struct counted counted = {
        .count_offset = offsetof(SYSTEM_POOLTAG_INFORMATION, Count),
        .array_offset = offsetof(SYSTEM_POOLTAG_INFORMATION, TagInfo),
        .entry_bytes = sizeof(SYSTEM_POOLTAG),
    };
    return put_tags(reply, &counted, exp_tag_rows, false);
}

static NTSTATUS query_tags_wide(struct reply *reply)
{
    static const struct counted counted = {
        .count_offset = offsetof(SYSTEM_POOLTAG_INFORMATION2, Count),
        .array_offset = offsetof(SYSTEM_POOLTAG_INFORMATION2, TagInfo),
        .entry_bytes = sizeof(SYSTEM_POOLTAG2),
    };
    return put_tags(reply, &counted, exp_tag_rows, true);
}

/* One structure, of the one session. */
static NTSTATUS query_session_tags(struct reply *reply)
{
    static const struct counted counted = {
        .count_offset = offsetof(SYSTEM_SESSION_POOLTAG_INFORMATION, Count),
        .array_offset = offsetof(SYSTEM_SESSION_POOLTAG_INFORMATION, TagInfo),
        .entry_bytes = sizeof(SYSTEM_POOLTAG),
    };
    SYSTEM_SESSION_POOLTAG_INFORMATION head;
    __builtin_memset(&head, 0, sizeof(head));
    head.SessionId = QUERY_SESSION;
    NTSTATUS status = put_tags(reply, &counted, exp_tag_session_rows, false);
    if (status != STATUS_INSUFFICIENT_RESOURCES && counted_fits(reply, &counted)) {
        reply_put(reply, 0, &head, counted.count_offset);
    }
    return status;
}

static NTSTATUS query_big_blocks(struct reply *reply)
{
    static const struct counted counted = {
        .count_offset = offsetof(SYSTEM_BIGPOOL_INFORMATION, Count),
        .array_offset = offsetof(SYSTEM_BIGPOOL_INFORMATION, AllocatedInfo),
        .entry_bytes = sizeof(SYSTEM_BIGPOOL_ENTRY),
    };
    struct exp_run_big blocks[QUERY_BATCH];
    size_t total = 0;
    size_t where = exp_range.bytes == 0 ? EXP_RUN_BIG_END : EXP_RUN_BIG_START;
    while (where != EXP_RUN_BIG_END) {
        size_t copied = exp_run_copy_big(&where, blocks, QUERY_BATCH);
        for (size_t index = 0; index < copied; index++, total++) {
            const struct exp_run_big *block = &blocks[index];
            SYSTEM_BIGPOOL_ENTRY entry;
            __builtin_memset(&entry, 0, sizeof(entry));
            entry.VirtualAddress = block->block;
            entry.NonPaged = block->pool != EXP_POOL_PAGED;
            entry.SizeInBytes = block->span_bytes;
            entry.TagUlong = exp_tag_of(block->number) & ~EXP_TAG_PROTECTED;
            counted_put(reply, &counted, total, &entry);
        }
    }
    return counted_end(reply, &counted, total);
}

/* Lists of drivers; the caches of the pool itself are not told of (decision 14). */
static NTSTATUS query_lookaside(struct reply *reply)
{
    size_t capacity = reply->length / sizeof(SYSTEM_LOOKASIDE_INFORMATION);
    capacity = exp_min(capacity, exp_min(exp_lookaside_rows(NULL, 0), QUERY_LISTS_MAX));
    if (capacity == 0) {
        return STATUS_SUCCESS;
    }
    size_t bytes = capacity * sizeof(struct exp_lookaside_row);
    struct exp_lookaside_row *rows = exp_range_heap_take(EXP_RANGE_KEPT, bytes);
    if (rows == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    size_t count = exp_min(exp_lookaside_rows(rows, capacity), capacity);
    for (size_t index = 0; index < count; index++) {
        const struct exp_lookaside_row *row = &rows[index];
        SYSTEM_LOOKASIDE_INFORMATION entry = {
            .CurrentDepth = row->depth,
            .MaximumDepth = row->depth_max,
            .TotalAllocates = row->total_allocates,
            .AllocateMisses = row->allocate_misses,
            .TotalFrees = row->total_frees,
            .FreeMisses = row->free_misses,
            .Type = row->type,
            .Tag = row->tag,
            .Size = row->size_bytes,
        };
        reply_put(reply, index * sizeof(entry), &entry, sizeof(entry));
    }
    exp_range_heap_give(EXP_RANGE_KEPT, rows, bytes);
    reply->told = count * sizeof(SYSTEM_LOOKASIDE_INFORMATION);
    return STATUS_SUCCESS;
}

/* What the machine has; 0 when the port cannot tell. Nobody keeps PeakCommitment: it stays 0. */
static void fill_machine(SYSTEM_PERFORMANCE_INFORMATION *performance)
{
    struct exp_port_memory memory;
    if (exp_port_memory(&memory)) {
        performance->AvailablePages = narrow(memory.available_bytes >> EXP_PAGE_SHIFT);
        performance->CommittedPages = narrow(memory.commit_bytes >> EXP_PAGE_SHIFT);
        performance->CommitLimit = narrow(memory.commit_limit_bytes >> EXP_PAGE_SHIFT);
    }
}

static void fill_pool(SYSTEM_PERFORMANCE_INFORMATION *performance)
{
    uint64_t pages[EXPOOL_REGION_POOL_COUNT];
    uint64_t limit_pages = exp_option_value(EXP_OPTION_PAGED_LIMIT) >> EXP_PAGE_SHIFT;
    struct expool_tag_row totals[2];
    if (exp_range.bytes == 0) {
        return;
    }
    exp_tag_totals(totals);
    performance->PagedPoolAllocs = (ULONG)totals[1].allocs;
    performance->PagedPoolFrees = (ULONG)totals[1].frees;
    performance->NonPagedPoolAllocs = (ULONG)totals[0].allocs;
    performance->NonPagedPoolFrees = (ULONG)totals[0].frees;
    exp_lock_acquire(&exp_span.lock);
    for (unsigned pool = 0; pool < EXPOOL_REGION_POOL_COUNT; pool++) {
        pages[pool] = exp_span.counts[pool].pages_used;
    }
    exp_lock_release(&exp_span.lock);
    uint64_t paged = pages[EXP_POOL_PAGED];
    performance->PagedPoolPages = narrow(paged);
    performance->ResidentPagedPoolPage = narrow(paged); /* nothing of it is ever paged out by us */
    performance->NonPagedPoolPages = narrow(pages[EXP_POOL_NONPAGED] + pages[EXP_POOL_EXECUTE]);
    performance->AvailablePagedPoolPages = narrow(limit_pages > paged ? limit_pages - paged : 0);
}

static NTSTATUS query_performance(struct reply *reply)
{
    SYSTEM_PERFORMANCE_INFORMATION performance;
    __builtin_memset(&performance, 0, sizeof(performance));
    if (reply->length >= QUERY_PERFORMANCE) {
        fill_machine(&performance);
        fill_pool(&performance);
        exp_lookaside_hits(&performance.NonPagedPoolLookasideHits,
                           &performance.PagedPoolLookasideHits);
    }
    return reply_fixed(reply, &performance, sizeof(performance), QUERY_PERFORMANCE);
}

/* No block is in special pool, and no tag is chosen for it. */
static NTSTATUS query_special_pool(struct reply *reply)
{
    SYSTEM_SPECIAL_POOL_INFORMATION special = { .PoolTag = 0, .Flags = 0 };
    return reply_fixed(reply, &special, sizeof(special), sizeof(special));
}

static NTSTATUS query_zeroing(struct reply *reply)
{
    SYSTEM_POOL_ZEROING_INFORMATION zeroing = { .PoolZeroingSupportPresent = TRUE };
    return reply_fixed(reply, &zeroing, sizeof(zeroing), sizeof(zeroing));
}

static NTSTATUS query(struct reply *reply, SYSTEM_INFORMATION_CLASS class)
{
    switch (class) {
    case SystemPerformanceInformation:
        return query_performance(reply);
    case SystemPoolTagInformation:
        return query_tags(reply);
    case SystemPoolTagInformation2:
        return query_tags_wide(reply);
    case SystemLookasideInformation:
        return query_lookaside(reply);
    case SystemBigPoolInformation:
        return query_big_blocks(reply);
    case SystemSessionPoolTagInformation:
        return query_session_tags(reply);
    case SystemSpecialPoolInformation:
        return query_special_pool(reply);
    case SystemPoolZeroingInformation:
        return query_zeroing(reply);
    case SystemPagedPoolInformation:
    case SystemNonPagedPoolInformation:
    case SystemSessionBigPoolInformation: /* no published layout: decision 14 */
        return STATUS_NOT_IMPLEMENTED;
    default:
        return STATUS_INVALID_INFO_CLASS;
    }
}

EXP_EXPORT NTSTATUS NtQuerySystemInformation(SYSTEM_INFORMATION_CLASS SystemInformationClass,
                                             PVOID SystemInformation,
                                             ULONG SystemInformationLength,
                                             PULONG ReturnLength)
{
    struct reply reply = { .buffer = SystemInformation, .length = SystemInformationLength };
    exp_owner_notice();
    NTSTATUS status = query(&reply, SystemInformationClass);
    if (ReturnLength != NULL) {
        *ReturnLength = narrow(reply.told);
    }
    return status;
}

EXP_EXPORT NTSTATUS ZwQuerySystemInformation(SYSTEM_INFORMATION_CLASS SystemInformationClass,
                                             PVOID SystemInformation,
                                             ULONG SystemInformationLength,
                                             PULONG ReturnLength)
{
    return NtQuerySystemInformation(
        SystemInformationClass, SystemInformation, SystemInformationLength, ReturnLength);
}
