/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists as drivers see them; part of wdm.h. Layouts and constants only: the routines are
 * not there yet.
 *
 * A list keeps freed blocks of one size. The two structures share their fields; the older one
 * (GENERAL_LOOKASIDE) is cache aligned, which makes it larger.
 *
 *   0x00 ListHead   0x10 Depth      0x12 MaximumDepth   0x14 TotalAllocates  0x18 AllocateMisses
 *   0x1C TotalFrees 0x20 FreeMisses 0x24 Type 0x28 Tag  0x2C Size            0x30 Allocate
 *   0x38 Free       0x40 ListEntry  0x50 LastTotalAllocates 0x54 LastAllocateMisses 0x58 Future
 *
 * source      api.md 1.9, 5.1, 5.2 (64-bit offsets)
 */
#ifndef EXP_WDK_WDMLOOK_H
#define EXP_WDK_WDMLOOK_H

#include "wdmpool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sequenced lists, as far as a lookaside list contains one -------------------------------- */

#if defined(__LP64__)
typedef struct DECLSPEC_ALIGN(16) _SLIST_ENTRY {
    struct _SLIST_ENTRY *Next;
} SLIST_ENTRY, *PSLIST_ENTRY;

typedef union DECLSPEC_ALIGN(16) _SLIST_HEADER {
    struct {
        ULONGLONG Alignment;
        ULONGLONG Region;
    };
    struct {
        ULONGLONG Depth : 16;
        ULONGLONG Sequence : 48;
        ULONGLONG Reserved : 4;
        ULONGLONG NextEntry : 60; /* address of the newest entry, divided by 16 */
    } HeaderX64;
} SLIST_HEADER, *PSLIST_HEADER;
#else
typedef SINGLE_LIST_ENTRY SLIST_ENTRY, *PSLIST_ENTRY;

typedef union _SLIST_HEADER {
    ULONGLONG Alignment;
    struct {
        SLIST_ENTRY Next;
        USHORT Depth;
        USHORT Sequence;
    };
} SLIST_HEADER, *PSLIST_HEADER;
#endif

/* ---- constants and callbacks ----------------------------------------------------------------- */

#define EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL 0x1u
#define EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE 0x2u
#define EX_MAXIMUM_LOOKASIDE_DEPTH_BASE          256
#define EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT         1024
#define LOOKASIDE_MINIMUM_BLOCK_SIZE             RTL_SIZEOF_THROUGH_FIELD(SLIST_ENTRY, Next)

struct _LOOKASIDE_LIST_EX;

typedef PVOID ALLOCATE_FUNCTION(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
typedef ALLOCATE_FUNCTION *PALLOCATE_FUNCTION;
typedef VOID FREE_FUNCTION(PVOID Buffer);
typedef FREE_FUNCTION *PFREE_FUNCTION;
typedef PVOID ALLOCATE_FUNCTION_EX(POOL_TYPE PoolType,
                                   SIZE_T NumberOfBytes,
                                   ULONG Tag,
                                   struct _LOOKASIDE_LIST_EX *Lookaside);
typedef ALLOCATE_FUNCTION_EX *PALLOCATE_FUNCTION_EX;
typedef VOID FREE_FUNCTION_EX(PVOID Buffer, struct _LOOKASIDE_LIST_EX *Lookaside);
typedef FREE_FUNCTION_EX *PFREE_FUNCTION_EX;

/* ---- the structures -------------------------------------------------------------------------- */

/* The one list of fields of both structures. */
#define EXP_WDK_LOOKASIDE_FIELDS                                                                   \
    union {                                                                                        \
        SLIST_HEADER ListHead;                                                                     \
        SINGLE_LIST_ENTRY SingleListHead;                                                          \
    };                                                                                             \
    USHORT Depth; /* entries kept at present, at most */                                           \
    USHORT MaximumDepth;                                                                           \
    ULONG TotalAllocates;                                                                          \
    union {                                                                                        \
        ULONG AllocateMisses;                                                                      \
        ULONG AllocateHits;                                                                        \
    };                                                                                             \
    ULONG TotalFrees;                                                                              \
    union {                                                                                        \
        ULONG FreeMisses;                                                                          \
        ULONG FreeHits;                                                                            \
    };                                                                                             \
    POOL_TYPE Type;                                                                                \
    ULONG Tag;                                                                                     \
    ULONG Size; /* bytes of an entry */                                                            \
    union {                                                                                        \
        PALLOCATE_FUNCTION_EX AllocateEx;                                                          \
        PALLOCATE_FUNCTION Allocate;                                                               \
    };                                                                                             \
    union {                                                                                        \
        PFREE_FUNCTION_EX FreeEx;                                                                  \
        PFREE_FUNCTION Free;                                                                       \
    };                                                                                             \
    LIST_ENTRY ListEntry; /* the chain of all lists */                                             \
    ULONG LastTotalAllocates;                                                                      \
    union {                                                                                        \
        ULONG LastAllocateMisses;                                                                  \
        ULONG LastAllocateHits;                                                                    \
    };                                                                                             \
    ULONG Future[2];

typedef struct _GENERAL_LOOKASIDE_POOL {
    EXP_WDK_LOOKASIDE_FIELDS
} GENERAL_LOOKASIDE_POOL, *PGENERAL_LOOKASIDE_POOL;

typedef struct DECLSPEC_CACHEALIGN _GENERAL_LOOKASIDE {
    EXP_WDK_LOOKASIDE_FIELDS
} GENERAL_LOOKASIDE, *PGENERAL_LOOKASIDE;

typedef struct _LOOKASIDE_LIST_EX {
    GENERAL_LOOKASIDE_POOL L;
} LOOKASIDE_LIST_EX, *PLOOKASIDE_LIST_EX;

typedef struct _NPAGED_LOOKASIDE_LIST {
    GENERAL_LOOKASIDE L;
#if !defined(__LP64__)
    KSPIN_LOCK Lock__ObsoleteButDoNotDelete;
#endif
} NPAGED_LOOKASIDE_LIST, *PNPAGED_LOOKASIDE_LIST;

typedef struct _PAGED_LOOKASIDE_LIST {
    GENERAL_LOOKASIDE L;
#if !defined(__LP64__)
    ULONG Lock__ObsoleteButDoNotDelete[8]; /* the size of a FAST_MUTEX */
#endif
} PAGED_LOOKASIDE_LIST, *PPAGED_LOOKASIDE_LIST;

#ifdef __cplusplus
}
#endif

#endif
