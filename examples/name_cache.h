/* SPDX-License-Identifier: MIT */
/*
 * What is known of files, by name: a table of a limited number of entries, of which the one that
 * was not used for longest goes first. Names compare without case.
 *
 * Entries are paged and on the account of the process that inserts them, so that a process that
 * fills the cache pays for it. The cache serialises its users by itself.
 */
#ifndef NAME_CACHE_H
#define NAME_CACHE_H

#include <ntddk.h>

#define NAME_CACHE_TAG       'hcaN' /* Nach: the cache and its table */
#define NAME_CACHE_ENTRY_TAG 'ecaN' /* Nace: entries */
#define NAME_CACHE_TEXT_TAG  'tcaN' /* Nact: names */

/* Blocks of a page or more are charged to nobody, so entries and names stay smaller. */
#define NAME_CACHE_MAXIMUM_NAME    2048 /* bytes */
#define NAME_CACHE_MAXIMUM_DATA    2048 /* bytes */
#define NAME_CACHE_MAXIMUM_ENTRIES 65536

typedef struct _NAME_CACHE *PNAME_CACHE;

typedef struct _NAME_CACHE_STATISTICS {
    ULONG Entries;
    ULONG Hits;
    ULONG Misses;
    ULONG Evictions;
    ULONG Refusals; /* no memory, or no quota left */
} NAME_CACHE_STATISTICS, *PNAME_CACHE_STATISTICS;

/* STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES: *Cache is NULL. */
_IRQL_requires_max_(APC_LEVEL)
_Must_inspect_result_
NTSTATUS NameCacheCreate(_In_ ULONG MaximumEntries, _Outptr_ PNAME_CACHE *Cache);

/* Nobody uses the cache any more. */
_IRQL_requires_max_(APC_LEVEL)
VOID NameCacheDestroy(_In_ PNAME_CACHE Cache);

/*
 * Keep a copy of Data under a copy of Name, instead of what was there before. The least recently
 * used entry goes when the cache is full.
 *
 * STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES, STATUS_QUOTA_EXCEEDED: nothing changed.
 * IRQL: at DISPATCH_LEVEL the first allocation is stop BAD_POOL_CALLER (0xC2, 0x8).
 */
_IRQL_requires_max_(APC_LEVEL)
NTSTATUS NameCacheInsert(_In_ PNAME_CACHE Cache,
                         _In_ PCUNICODE_STRING Name,
                         _In_reads_bytes_(DataLength) const VOID *Data,
                         _In_ ULONG DataLength);

/*
 * Copy what is known of Name. *ReturnLength is its length, also when the buffer is too small.
 *
 * STATUS_NOT_FOUND; STATUS_BUFFER_TOO_SMALL: nothing was copied.
 * IRQL: at DISPATCH_LEVEL the lock is stop IRQL_NOT_GREATER_OR_EQUAL (0x9), here and below.
 */
_IRQL_requires_max_(APC_LEVEL)
NTSTATUS NameCacheLookup(_In_ PNAME_CACHE Cache,
                         _In_ PCUNICODE_STRING Name,
                         _Out_writes_bytes_to_(BufferLength, *ReturnLength) PVOID Buffer,
                         _In_ ULONG BufferLength,
                         _Out_ PULONG ReturnLength);

/*
 * Give an entry another name, whose text is on the account of the caller.
 *
 * STATUS_NOT_FOUND; STATUS_OBJECT_NAME_COLLISION: To is the name of another entry; as
 * NameCacheInsert. Nothing changed.
 */
_IRQL_requires_max_(APC_LEVEL)
NTSTATUS NameCacheRename(_In_ PNAME_CACHE Cache,
                         _In_ PCUNICODE_STRING From,
                         _In_ PCUNICODE_STRING To);

/* STATUS_NOT_FOUND */
_IRQL_requires_max_(APC_LEVEL)
NTSTATUS NameCacheRemove(_In_ PNAME_CACHE Cache, _In_ PCUNICODE_STRING Name);

/* Forget everything, as when a volume goes. */
_IRQL_requires_max_(APC_LEVEL)
VOID NameCachePurge(_In_ PNAME_CACHE Cache);

_IRQL_requires_max_(APC_LEVEL)
VOID NameCacheQueryStatistics(_In_ PNAME_CACHE Cache, _Out_ PNAME_CACHE_STATISTICS Statistics);

#endif
