/* SPDX-License-Identifier: MIT */
/*
 * A table of buckets finds an entry by its name's hash; a second list has all entries by last use,
 * the latest first. Both are under the cache's fast mutex.
 *
 * Memory is made before the mutex is taken and freed after it is released: a thread that waits for
 * pages keeps nobody else waiting. Whatever an operation takes out of the table it puts into a
 * list of its own, and frees that list last.
 *
 * Quota allocations raise. Each operation has one __except that turns the exceptions it knows into
 * its status, and a __finally for each thing that must be undone on the way there. A local that a
 * guarded block changes and that is looked at after an exception is volatile: not Windows'
 * compiler, but others need it.
 *
 * The mutex must be nonpaged, so the cache's own structure is; everything else is paged.
 */
#include "name_cache.h"

typedef struct _NAME_CACHE_ENTRY {
    LIST_ENTRY BucketLink;
    LIST_ENTRY UseLink; /* NAME_CACHE.Uses, or a list of entries to be freed */
    UNICODE_STRING Name;
    ULONG Hash;
    ULONG DataLength;
    UCHAR Data[ANYSIZE_ARRAY];
} NAME_CACHE_ENTRY, *PNAME_CACHE_ENTRY;

typedef struct _NAME_CACHE {
    FAST_MUTEX Lock;
    PLIST_ENTRY Buckets; /* BucketMask + 1 */
    ULONG BucketMask;
    ULONG MaximumEntries;
    LIST_ENTRY Uses;
    NAME_CACHE_STATISTICS Statistics; /* without Refusals */
    LONG volatile Refusals;           /* interlocked */
} NAME_CACHE;

#pragma alloc_text(PAGE, NameCacheCreate)
#pragma alloc_text(PAGE, NameCacheDestroy)
#pragma alloc_text(PAGE, NameCacheInsert)
#pragma alloc_text(PAGE, NameCacheLookup)
#pragma alloc_text(PAGE, NameCacheRename)
#pragma alloc_text(PAGE, NameCacheRemove)
#pragma alloc_text(PAGE, NameCachePurge)
#pragma alloc_text(PAGE, NameCacheQueryStatistics)

static BOOLEAN NameCacheIsName(_In_ PCUNICODE_STRING Name)
{
    return Name->Length != 0 && Name->Length % sizeof(WCHAR) == 0 &&
           Name->Length <= NAME_CACHE_MAXIMUM_NAME;
}

static ULONG NameCacheHash(_In_ PCUNICODE_STRING Name)
{
    ULONG Hash = 0;

    (VOID) RtlHashUnicodeString(Name, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &Hash);
    return Hash;
}

/* What the pool raises becomes a status; everything else is a bug, and not ours to hide. */
static LONG NameCacheFilter(_Inout_ PNAME_CACHE Cache, _In_ NTSTATUS Code)
{
    if (Code != STATUS_INSUFFICIENT_RESOURCES && Code != STATUS_QUOTA_EXCEEDED) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    InterlockedIncrement(&Cache->Refusals);
    return EXCEPTION_EXECUTE_HANDLER;
}

static VOID NameCacheFreeEntry(_In_ PNAME_CACHE_ENTRY Entry)
{
    if (Entry->Name.Buffer != NULL) {
        ExFreePoolWithTag(Entry->Name.Buffer, NAME_CACHE_TEXT_TAG);
    }
    ExFreePoolWithTag(Entry, NAME_CACHE_ENTRY_TAG);
}

static VOID NameCacheFreeList(_Inout_ PLIST_ENTRY Freed)
{
    while (!IsListEmpty(Freed)) {
        NameCacheFreeEntry(CONTAINING_RECORD(RemoveHeadList(Freed), NAME_CACHE_ENTRY, UseLink));
    }
}

/* Make an entry that is in no list. Raises what the pool raises, and leaves nothing then. */
static PNAME_CACHE_ENTRY NameCacheBuildEntry(_In_ PCUNICODE_STRING Name,
                                             _In_reads_bytes_(DataLength) const VOID *Data,
                                             _In_ ULONG DataLength)
{
    PNAME_CACHE_ENTRY volatile Entry = NULL;

    __try {
        Entry = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA | POOL_FLAG_RAISE_ON_FAILURE,
                                FIELD_OFFSET(NAME_CACHE_ENTRY, Data) + DataLength,
                                NAME_CACHE_ENTRY_TAG);
        Entry->Name.Buffer =
            ExAllocatePoolWithQuotaTag(PagedPool, Name->Length, NAME_CACHE_TEXT_TAG);
        Entry->Name.MaximumLength = Name->Length;
        RtlCopyUnicodeString(&Entry->Name, Name);
        Entry->Hash = NameCacheHash(Name);
        Entry->DataLength = DataLength;
        RtlCopyMemory(Entry->Data, Data, DataLength);
    } __finally {
        if (AbnormalTermination() && Entry != NULL) {
            NameCacheFreeEntry(Entry);
        }
    }
    return Entry;
}

/* ---- under the lock -------------------------------------------------------------------------- */

static PNAME_CACHE_ENTRY NameCacheFind(_In_ PNAME_CACHE Cache, _In_ PCUNICODE_STRING Name)
{
    ULONG Hash = NameCacheHash(Name);
    PLIST_ENTRY Bucket = &Cache->Buckets[Hash & Cache->BucketMask];
    PLIST_ENTRY Link;
    PNAME_CACHE_ENTRY Entry;

    for (Link = Bucket->Flink; Link != Bucket; Link = Link->Flink) {
        Entry = CONTAINING_RECORD(Link, NAME_CACHE_ENTRY, BucketLink);
        if (Entry->Hash == Hash && RtlEqualUnicodeString(&Entry->Name, Name, TRUE)) {
            return Entry;
        }
    }
    return NULL;
}

static VOID NameCacheLink(_Inout_ PNAME_CACHE Cache, _Inout_ PNAME_CACHE_ENTRY Entry)
{
    InsertHeadList(&Cache->Buckets[Entry->Hash & Cache->BucketMask], &Entry->BucketLink);
    InsertHeadList(&Cache->Uses, &Entry->UseLink);
    Cache->Statistics.Entries += 1;
}

/* Move an entry from the cache to a list of those to be freed. */
static VOID NameCacheUnlink(_Inout_ PNAME_CACHE Cache,
                            _Inout_ PNAME_CACHE_ENTRY Entry,
                            _Inout_ PLIST_ENTRY Freed)
{
    RemoveEntryList(&Entry->BucketLink);
    RemoveEntryList(&Entry->UseLink);
    Cache->Statistics.Entries -= 1;
    InsertTailList(Freed, &Entry->UseLink);
}

/* ---- operations ------------------------------------------------------------------------------ */

_Use_decl_annotations_
NTSTATUS NameCacheCreate(ULONG MaximumEntries, PNAME_CACHE *Cache)
{
    PNAME_CACHE New;
    ULONG BucketCount = 16;
    ULONG Index;

    PAGED_CODE();
    *Cache = NULL;
    if (MaximumEntries == 0 || MaximumEntries > NAME_CACHE_MAXIMUM_ENTRIES) {
        return STATUS_INVALID_PARAMETER;
    }
    while (BucketCount < MaximumEntries) {
        BucketCount *= 2;
    }
    New = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*New), NAME_CACHE_TAG);
    if (New == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    New->Buckets =
        ExAllocatePool2(POOL_FLAG_PAGED, BucketCount * sizeof(*New->Buckets), NAME_CACHE_TAG);
    if (New->Buckets == NULL) {
        ExFreePoolWithTag(New, NAME_CACHE_TAG);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (Index = 0; Index < BucketCount; Index += 1) {
        InitializeListHead(&New->Buckets[Index]);
    }
    New->BucketMask = BucketCount - 1;
    New->MaximumEntries = MaximumEntries;
    InitializeListHead(&New->Uses);
    ExInitializeFastMutex(&New->Lock);
    *Cache = New;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
VOID NameCacheDestroy(PNAME_CACHE Cache)
{
    PAGED_CODE();
    NameCachePurge(Cache);
    ExFreePoolWithTag(Cache->Buckets, NAME_CACHE_TAG);
    ExFreePoolWithTag(Cache, NAME_CACHE_TAG);
}

_Use_decl_annotations_
NTSTATUS NameCacheInsert(PNAME_CACHE Cache,
                         PCUNICODE_STRING Name,
                         const VOID *Data,
                         ULONG DataLength)
{
    PNAME_CACHE_ENTRY Entry;
    PNAME_CACHE_ENTRY Old;
    LIST_ENTRY Freed;

    PAGED_CODE();
    if (!NameCacheIsName(Name) || DataLength > NAME_CACHE_MAXIMUM_DATA) {
        return STATUS_INVALID_PARAMETER;
    }
    __try {
        Entry = NameCacheBuildEntry(Name, Data, DataLength);
    } __except (NameCacheFilter(Cache, GetExceptionCode())) {
        return GetExceptionCode();
    }

    InitializeListHead(&Freed);
    ExAcquireFastMutex(&Cache->Lock);
    Old = NameCacheFind(Cache, Name);
    if (Old != NULL) {
        NameCacheUnlink(Cache, Old, &Freed);
    } else if (Cache->Statistics.Entries == Cache->MaximumEntries) {
        Old = CONTAINING_RECORD(Cache->Uses.Blink, NAME_CACHE_ENTRY, UseLink);
        NameCacheUnlink(Cache, Old, &Freed);
        Cache->Statistics.Evictions += 1;
    }
    NameCacheLink(Cache, Entry);
    ExReleaseFastMutex(&Cache->Lock);
    NameCacheFreeList(&Freed);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS NameCacheLookup(
    PNAME_CACHE Cache, PCUNICODE_STRING Name, PVOID Buffer, ULONG BufferLength, PULONG ReturnLength)
{
    PNAME_CACHE_ENTRY Entry;
    NTSTATUS Status = STATUS_SUCCESS;

    PAGED_CODE();
    *ReturnLength = 0;
    ExAcquireFastMutex(&Cache->Lock);
    __try {
        Entry = NameCacheFind(Cache, Name);
        if (Entry == NULL) {
            Cache->Statistics.Misses += 1;
            Status = STATUS_NOT_FOUND;
            __leave;
        }
        Cache->Statistics.Hits += 1;
        RemoveEntryList(&Entry->UseLink);
        InsertHeadList(&Cache->Uses, &Entry->UseLink);
        *ReturnLength = Entry->DataLength;
        if (BufferLength < Entry->DataLength) {
            Status = STATUS_BUFFER_TOO_SMALL;
            __leave;
        }
        RtlCopyMemory(Buffer, Entry->Data, Entry->DataLength);
    } __finally {
        ExReleaseFastMutex(&Cache->Lock); /* also when Buffer is a user's and faults */
    }
    return Status;
}

_Use_decl_annotations_
NTSTATUS NameCacheRename(PNAME_CACHE Cache, PCUNICODE_STRING From, PCUNICODE_STRING To)
{
    PNAME_CACHE_ENTRY Entry;
    PNAME_CACHE_ENTRY Other;
    PWCH volatile Text = NULL; /* the new text, then the old one */
    PWCH New;
    NTSTATUS Status = STATUS_SUCCESS;

    PAGED_CODE();
    if (!NameCacheIsName(To)) {
        return STATUS_INVALID_PARAMETER;
    }
    __try {
        New = ExAllocatePoolWithQuotaTag(PagedPool, To->Length, NAME_CACHE_TEXT_TAG);
        Text = New;
        RtlCopyMemory(New, To->Buffer, To->Length);
        ExAcquireFastMutex(&Cache->Lock);
        __try {
            Entry = NameCacheFind(Cache, From);
            Other = NameCacheFind(Cache, To);
            if (Entry == NULL) {
                Status = STATUS_NOT_FOUND;
                __leave;
            }
            if (Other != NULL && Other != Entry) { /* only its case may change */
                Status = STATUS_OBJECT_NAME_COLLISION;
                __leave;
            }
            Text = Entry->Name.Buffer;
            Entry->Name.Buffer = New;
            Entry->Name.Length = Entry->Name.MaximumLength = To->Length;
            Entry->Hash = NameCacheHash(To);
            RemoveEntryList(&Entry->BucketLink);
            InsertHeadList(&Cache->Buckets[Entry->Hash & Cache->BucketMask], &Entry->BucketLink);
        } __finally {
            ExReleaseFastMutex(&Cache->Lock);
        }
    } __except (NameCacheFilter(Cache, GetExceptionCode())) {
        Status = GetExceptionCode();
    }
    if (Text != NULL) {
        ExFreePoolWithTag(Text, NAME_CACHE_TEXT_TAG);
    }
    return Status;
}

_Use_decl_annotations_
NTSTATUS NameCacheRemove(PNAME_CACHE Cache, PCUNICODE_STRING Name)
{
    PNAME_CACHE_ENTRY Entry;
    LIST_ENTRY Freed;

    PAGED_CODE();
    InitializeListHead(&Freed);
    ExAcquireFastMutex(&Cache->Lock);
    Entry = NameCacheFind(Cache, Name);
    if (Entry != NULL) {
        NameCacheUnlink(Cache, Entry, &Freed);
    }
    ExReleaseFastMutex(&Cache->Lock);
    NameCacheFreeList(&Freed);
    return Entry != NULL ? STATUS_SUCCESS : STATUS_NOT_FOUND;
}

_Use_decl_annotations_
VOID NameCachePurge(PNAME_CACHE Cache)
{
    LIST_ENTRY Freed;

    PAGED_CODE();
    InitializeListHead(&Freed);
    ExAcquireFastMutex(&Cache->Lock);
    while (!IsListEmpty(&Cache->Uses)) {
        NameCacheUnlink(
            Cache, CONTAINING_RECORD(Cache->Uses.Flink, NAME_CACHE_ENTRY, UseLink), &Freed);
    }
    ExReleaseFastMutex(&Cache->Lock);
    NameCacheFreeList(&Freed);
}

_Use_decl_annotations_
VOID NameCacheQueryStatistics(PNAME_CACHE Cache, PNAME_CACHE_STATISTICS Statistics)
{
    PAGED_CODE();
    ExAcquireFastMutex(&Cache->Lock);
    *Statistics = Cache->Statistics;
    ExReleaseFastMutex(&Cache->Lock);
    Statistics->Refusals = (ULONG)ReadNoFence(&Cache->Refusals);
}
