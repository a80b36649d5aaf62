/* SPDX-License-Identifier: MIT */
/*
 * ntddk.h for file systems and for those who look into the system: what the query interface returns
 * about pools.
 *
 * Counts of the first structures are 32 bits wide and wrap. A counted structure has room for one
 * entry and is followed by the others.
 *
 * source      api.md 8 (64-bit offsets; 32-bit ones follow from the widths)
 */
#ifndef EXP_WDK_NTIFS_H
#define EXP_WDK_NTIFS_H

#include "ntddk.h"
#include "wdmfsrtl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
typedef enum _SYSTEM_INFORMATION_CLASS EXP_WDK_ENUM_INT {
    SystemPerformanceInformation     = 2,
    SystemPagedPoolInformation       = 14,
    SystemNonPagedPoolInformation    = 15,
    SystemPoolTagInformation         = 22,
    SystemLookasideInformation       = 45,
    SystemBigPoolInformation         = 66,
    SystemSessionPoolTagInformation  = 67,
    SystemSpecialPoolInformation     = 87,
    SystemSessionBigPoolInformation  = 125,
    SystemPoolZeroingInformation     = 227,
    SystemPoolTagInformation2        = 255
} SYSTEM_INFORMATION_CLASS;
/* clang-format on */

/* Class 2; only what concerns pools has a name. Lengths 0x138, 0x158 and 0x178 are in use. */
typedef struct _SYSTEM_PERFORMANCE_INFORMATION {
    LARGE_INTEGER Reserved1[5];
    ULONG Reserved2;
    ULONG AvailablePages;
    ULONG CommittedPages;
    ULONG CommitLimit;
    ULONG PeakCommitment;
    ULONG Reserved3[13];
    ULONG PagedPoolPages;
    ULONG NonPagedPoolPages;
    ULONG PagedPoolAllocs;
    ULONG PagedPoolFrees;
    ULONG NonPagedPoolAllocs;
    ULONG NonPagedPoolFrees;
    ULONG Reserved4[4];
    ULONG NonPagedPoolLookasideHits;
    ULONG PagedPoolLookasideHits;
    ULONG AvailablePagedPoolPages;
    ULONG Reserved5;
    ULONG ResidentPagedPoolPage;
    ULONG Reserved6[51];
} SYSTEM_PERFORMANCE_INFORMATION, *PSYSTEM_PERFORMANCE_INFORMATION;

/* Classes 14 and 15 */
typedef struct _SYSTEM_POOL_ENTRY {
    BOOLEAN Allocated;
    BOOLEAN Spare0;
    USHORT AllocatorBackTraceIndex;
    ULONG Size;
    union {
        UCHAR Tag[4];
        ULONG TagUlong;
        PVOID ProcessChargedQuota;
    };
} SYSTEM_POOL_ENTRY, *PSYSTEM_POOL_ENTRY;

typedef struct _SYSTEM_POOL_INFORMATION {
    SIZE_T TotalSize;
    PVOID FirstEntry;
    USHORT EntryOverhead;
    BOOLEAN PoolTagPresent;
    BOOLEAN Spare0;
    ULONG NumberOfEntries;
    SYSTEM_POOL_ENTRY Entries[1];
} SYSTEM_POOL_INFORMATION, *PSYSTEM_POOL_INFORMATION;

/* Class 22 */
typedef struct _SYSTEM_POOLTAG {
    union {
        UCHAR Tag[4];
        ULONG TagUlong;
    };
    ULONG PagedAllocs;
    ULONG PagedFrees;
    SIZE_T PagedUsed; /* held bytes */
    ULONG NonPagedAllocs;
    ULONG NonPagedFrees;
    SIZE_T NonPagedUsed; /* held bytes */
} SYSTEM_POOLTAG, *PSYSTEM_POOLTAG;

typedef struct _SYSTEM_POOLTAG_INFORMATION {
    ULONG Count;
    SYSTEM_POOLTAG TagInfo[1];
} SYSTEM_POOLTAG_INFORMATION, *PSYSTEM_POOLTAG_INFORMATION;

/* Class 255 */
typedef struct _SYSTEM_POOLTAG2 {
    union {
        UCHAR Tag[4];
        ULONG TagUlong;
    };
    SIZE_T PagedAllocs;
    SIZE_T PagedFrees;
    SIZE_T PagedUsed;
    SIZE_T NonPagedAllocs;
    SIZE_T NonPagedFrees;
    SIZE_T NonPagedUsed;
} SYSTEM_POOLTAG2, *PSYSTEM_POOLTAG2;

typedef struct _SYSTEM_POOLTAG_INFORMATION2 {
    ULONG Count;
    SYSTEM_POOLTAG2 TagInfo[1];
} SYSTEM_POOLTAG_INFORMATION2, *PSYSTEM_POOLTAG_INFORMATION2;

/* Class 45 */
typedef struct _SYSTEM_LOOKASIDE_INFORMATION {
    USHORT CurrentDepth;
    USHORT MaximumDepth;
    ULONG TotalAllocates;
    ULONG AllocateMisses;
    ULONG TotalFrees;
    ULONG FreeMisses;
    ULONG Type;
    ULONG Tag;
    ULONG Size;
} SYSTEM_LOOKASIDE_INFORMATION, *PSYSTEM_LOOKASIDE_INFORMATION;

/* Class 66 */
typedef struct _SYSTEM_BIGPOOL_ENTRY {
    union {
        PVOID VirtualAddress;
        ULONG_PTR NonPaged : 1; /* bit 0 of the address */
    };
    SIZE_T SizeInBytes; /* page-rounded */
    union {
        UCHAR Tag[4];
        ULONG TagUlong;
    };
} SYSTEM_BIGPOOL_ENTRY, *PSYSTEM_BIGPOOL_ENTRY;

typedef struct _SYSTEM_BIGPOOL_INFORMATION {
    ULONG Count;
    SYSTEM_BIGPOOL_ENTRY AllocatedInfo[1];
} SYSTEM_BIGPOOL_INFORMATION, *PSYSTEM_BIGPOOL_INFORMATION;

/* Class 67 */
typedef struct _SYSTEM_SESSION_POOLTAG_INFORMATION {
    SIZE_T NextEntryOffset; /* bytes from this entry; 0 = last */
    ULONG SessionId;
    ULONG Count;
    SYSTEM_POOLTAG TagInfo[1];
} SYSTEM_SESSION_POOLTAG_INFORMATION, *PSYSTEM_SESSION_POOLTAG_INFORMATION;

/* Class 87 */
typedef struct _SYSTEM_SPECIAL_POOL_INFORMATION {
    ULONG PoolTag;
    ULONG Flags;
} SYSTEM_SPECIAL_POOL_INFORMATION, *PSYSTEM_SPECIAL_POOL_INFORMATION;

/* Class 227 */
typedef struct _SYSTEM_POOL_ZEROING_INFORMATION {
    BOOLEAN PoolZeroingSupportPresent;
} SYSTEM_POOL_ZEROING_INFORMATION, *PSYSTEM_POOL_ZEROING_INFORMATION;

/*
 * Tell something of the pools.
 *
 *   SystemInformationClass    one of the numbers above; others of Windows are not served
 *   SystemInformation         SystemInformationLength bytes that may be written, of any alignment;
 *                             not looked at when the length is 0
 *   ReturnLength              may be NULL. Receives the bytes written or, with a length mismatch,
 *                             those that all of it needs now; 0 with every other failure
 *   returns                   STATUS_SUCCESS
 *                             STATUS_INFO_LENGTH_MISMATCH: too short. A counted class (22, 66, 67,
 *                             255) with room for one entry or more has written the true Count and
 *                             the entries that fit; otherwise nothing has been written
 *                             STATUS_INVALID_INFO_CLASS: not a class of this list
 *                             STATUS_NOT_IMPLEMENTED: classes 14, 15 and 125
 *                             STATUS_INSUFFICIENT_RESOURCES: no memory to copy a table to
 *   irql                      PASSIVE_LEVEL; not judged
 *   owns                      nothing of the buffer is kept
 *   stops                     none
 *   source                    api.md 8
 *
 * Class 45 fills as many entries as fit, which is no mismatch. Class 2 fills what fits of 0x178
 * bytes, from 0x138 up. A class 22 entry's counts wrap at 32 bits, those of class 255 do not. Class
 * 66 lists every block that holds a page or more, so also one of slightly less than PAGE_SIZE.
 */
NTSTATUS NtQuerySystemInformation(SYSTEM_INFORMATION_CLASS SystemInformationClass,
                                  PVOID SystemInformation,
                                  ULONG SystemInformationLength,
                                  PULONG ReturnLength);

/* NtQuerySystemInformation by the name drivers use; the same in every respect. */
NTSTATUS ZwQuerySystemInformation(SYSTEM_INFORMATION_CLASS SystemInformationClass,
                                  PVOID SystemInformation,
                                  ULONG SystemInformationLength,
                                  PULONG ReturnLength);

#ifdef __cplusplus
}
#endif

#endif
