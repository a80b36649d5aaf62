/* SPDX-License-Identifier: MIT */
/*
 * Sequenced lists and lookaside lists as drivers see them; part of wdm.h.
 *
 * A lookaside list keeps freed blocks of one size. The two structures share their fields; the older
 * one (GENERAL_LOOKASIDE) is cache aligned, which makes it larger.
 *
 *   0x00 ListHead   0x10 Depth      0x12 MaximumDepth   0x14 TotalAllocates  0x18 AllocateMisses
 *   0x1C TotalFrees 0x20 FreeMisses 0x24 Type 0x28 Tag  0x2C Size            0x30 Allocate
 *   0x38 Free       0x40 ListEntry  0x50 LastTotalAllocates 0x54 LastAllocateMisses 0x58 Future
 *
 * Allocate and free are functions of the library. A file that defines EXP_WDK_LOOKASIDE_INLINE as 1
 * before wdm.h gets them as inline functions over the same structure; both forms may be used on one
 * list at a time.
 *
 * Names that begin with exp_wdk_ belong to these inlines, not to drivers.
 *
 * source      api.md 1.9, 5 (64-bit offsets)
 */
#ifndef EXP_WDK_WDMLOOK_H
#define EXP_WDK_WDMLOOK_H

#include "wdmpool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sequenced lists ------------------------------------------------------------------------- */

/*
 * A sequenced list is a stack that needs no lock of the caller. Its head is a word of state (its
 * depth, and who is inside) and the newest entry. Whoever changes it is inside for a few
 * instructions; the others spin, then sleep. An entry is read only from inside and while it is in
 * the list, so a thread may free what it popped although others pop at the same time.
 *
 * All zeroes are an empty list.
 */
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
        ULONGLONG Sequence : 48; /* no meaning */
        ULONGLONG Reserved : 4;
        ULONGLONG NextEntry : 60; /* address of the newest entry, divided by 16 */
    } HeaderX64;
    struct {
        ULONG State; /* atomic; EXP_WDK_SLIST_... */
        ULONG Unused;
        PVOID First;
    } exp_wdk;
} SLIST_HEADER, *PSLIST_HEADER;
#else
typedef SINGLE_LIST_ENTRY SLIST_ENTRY, *PSLIST_ENTRY;

typedef union _SLIST_HEADER {
    ULONGLONG Alignment;
    struct {
        SLIST_ENTRY Next;
        USHORT Depth;
        USHORT Sequence; /* no meaning */
    };
    struct {
        PVOID First;
        ULONG State; /* atomic; EXP_WDK_SLIST_... */
    } exp_wdk;
} SLIST_HEADER, *PSLIST_HEADER;
#endif

/* The word of state. Free: the depth alone. */
#define EXP_WDK_SLIST_DEPTH      0x0000FFFFu
#define EXP_WDK_SLIST_HELD       0x00010000u /* a thread is inside */
#define EXP_WDK_SLIST_WAITED     0x00020000u /* another one sleeps */
#define EXP_WDK_SLIST_GENERATION 18          /* above: generation of the process of who is inside */

/* Where an entry keeps its link: the first word of a block, whatever its user keeps there. */
typedef PVOID EXP_WDK_SLIST_LINK __attribute__((may_alias));

/* Forks between the first process and this one. */
extern ULONG exp_wdk_generation;

/*
 * The slow half of exp_wdk_slist_acquire: wait until nobody is inside.
 *
 *   returns     the depth
 *   irql        any; may sleep in user mode
 */
ULONG exp_wdk_slist_wait(PSLIST_HEADER head);

/* The slow half of exp_wdk_slist_release: wake one that sleeps. */
VOID exp_wdk_slist_wake(PSLIST_HEADER head);

/* Enter a list; the depth. */
static inline ULONG exp_wdk_slist_acquire(PSLIST_HEADER head)
{
    ULONG state = __atomic_load_n(&head->exp_wdk.State, __ATOMIC_RELAXED) & EXP_WDK_SLIST_DEPTH;
    ULONG held = state | EXP_WDK_SLIST_HELD |
                 __atomic_load_n(&exp_wdk_generation, __ATOMIC_RELAXED) << EXP_WDK_SLIST_GENERATION;

    if (!__atomic_compare_exchange_n(
            &head->exp_wdk.State, &state, held, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return exp_wdk_slist_wait(head);
    }
    return state;
}

/* Leave a list that now is so deep. */
static inline VOID exp_wdk_slist_release(PSLIST_HEADER head, ULONG depth)
{
    ULONG old =
        __atomic_exchange_n(&head->exp_wdk.State, depth & EXP_WDK_SLIST_DEPTH, __ATOMIC_RELEASE);

    if ((old & EXP_WDK_SLIST_WAITED) != 0) {
        exp_wdk_slist_wake(head);
    }
}

/* Inside: put an entry first. The depth is the caller's to count. */
static inline VOID exp_wdk_slist_push(PSLIST_HEADER head, PVOID entry)
{
    *(EXP_WDK_SLIST_LINK *)entry = head->exp_wdk.First;
    __atomic_store_n(&head->exp_wdk.First, entry, __ATOMIC_RELEASE);
}

/* Inside: take the first entry; NULL when there is none. */
static inline PVOID exp_wdk_slist_pop(PSLIST_HEADER head)
{
    PVOID entry = head->exp_wdk.First;

    if (entry != NULL) {
        __atomic_store_n(&head->exp_wdk.First, *(EXP_WDK_SLIST_LINK *)entry, __ATOMIC_RELEASE);
    }
    return entry;
}

/*
 * Make a list empty.
 *
 *   ListHead    16-byte aligned on 64-bit systems
 *   irql        any
 *   locks       the caller serialises this one with all others
 *   source      InitializeSListHead and ExInitializeSListHead pages
 */
static inline VOID InitializeSListHead(PSLIST_HEADER ListHead)
{
    ListHead->exp_wdk.First = NULL;
    __atomic_store_n(&ListHead->exp_wdk.State, 0, __ATOMIC_RELEASE);
}

/*
 * Number of entries, modulo 65536.
 *
 *   irql        any
 *   source      ExQueryDepthSList page
 */
static inline USHORT ExQueryDepthSList(PSLIST_HEADER ListHead)
{
    return (USHORT)__atomic_load_n(&ListHead->exp_wdk.State, __ATOMIC_RELAXED);
}

/*
 * Put an entry first.
 *
 *   returns     the entry that was first; NULL: the list was empty
 *   irql        any
 *   source      InterlockedPushEntrySList and ExInterlockedPushEntrySList pages
 */
static inline PSLIST_ENTRY InterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    ULONG depth = exp_wdk_slist_acquire(ListHead);
    PVOID former = ListHead->exp_wdk.First;

    exp_wdk_slist_push(ListHead, ListEntry);
    exp_wdk_slist_release(ListHead, depth + 1);
    return (PSLIST_ENTRY)former;
}

/*
 * Take the first entry, the newest.
 *
 *   returns     NULL: the list is empty
 *   irql        any
 *   source      InterlockedPopEntrySList and ExInterlockedPopEntrySList pages
 */
static inline PSLIST_ENTRY InterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    ULONG depth = exp_wdk_slist_acquire(ListHead);
    PVOID entry = exp_wdk_slist_pop(ListHead);

    exp_wdk_slist_release(ListHead, entry != NULL ? depth - 1 : depth);
    return (PSLIST_ENTRY)entry;
}

/*
 * Take all entries.
 *
 *   returns     the newest, from which Next leads to the others; NULL: the list is empty
 *   irql        any
 *   source      InterlockedFlushSList and ExInterlockedFlushSList pages
 */
static inline PSLIST_ENTRY InterlockedFlushSList(PSLIST_HEADER ListHead)
{
    PVOID entry;

    (void)exp_wdk_slist_acquire(ListHead);
    entry = ListHead->exp_wdk.First;
    __atomic_store_n(&ListHead->exp_wdk.First, (PVOID)NULL, __ATOMIC_RELEASE);
    exp_wdk_slist_release(ListHead, 0);
    return (PSLIST_ENTRY)entry;
}

/* The older names; the spin lock that they take is not needed and not used. */
#define ExInitializeSListHead(ListHead) InitializeSListHead(ListHead)
#define QueryDepthSList(ListHead)       ExQueryDepthSList(ListHead)
#define ExInterlockedPushEntrySList(ListHead, ListEntry, Lock)                                     \
    ((void)(Lock), InterlockedPushEntrySList((ListHead), (ListEntry)))
#define ExInterlockedPopEntrySList(ListHead, Lock)                                                 \
    ((void)(Lock), InterlockedPopEntrySList(ListHead))
#define ExInterlockedFlushSList(ListHead) InterlockedFlushSList(ListHead)

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
    ULONG Future[2]; /* the library's */

/* The older structure is used through this one too. */
typedef struct __attribute__((may_alias)) _GENERAL_LOOKASIDE_POOL {
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

/* ---- one operation on either structure ------------------------------------------------------- */

/* How often a list that lacks entries asks whether it is time to look at all lists. */
#define EXP_WDK_LOOKASIDE_MISSES 16

/* Look at the depths of all lists, if the last look is long ago and nobody else does it. */
VOID exp_wdk_lookaside_look(VOID);

/* Take the newest entry; NULL: there is none, and one must be made. */
static inline PVOID exp_wdk_lookaside_take(GENERAL_LOOKASIDE_POOL *list)
{
    ULONG depth = exp_wdk_slist_acquire(&list->ListHead);
    PVOID entry = exp_wdk_slist_pop(&list->ListHead);
    ULONG misses;

    list->TotalAllocates++;
    if (entry != NULL) {
        exp_wdk_slist_release(&list->ListHead, depth - 1);
        return entry;
    }
    misses = ++list->AllocateMisses;
    exp_wdk_slist_release(&list->ListHead, depth);
    if (misses % EXP_WDK_LOOKASIDE_MISSES == 0) {
        exp_wdk_lookaside_look();
    }
    return NULL;
}

/* Keep an entry; FALSE: the list has as many as it may, and this one must be freed. */
static inline BOOLEAN exp_wdk_lookaside_keep(GENERAL_LOOKASIDE_POOL *list, PVOID entry)
{
    ULONG depth = exp_wdk_slist_acquire(&list->ListHead);
    BOOLEAN keep = depth < list->Depth;

    list->TotalFrees++;
    if (keep) {
        exp_wdk_slist_push(&list->ListHead, entry);
        depth++;
    } else {
        list->FreeMisses++;
    }
    exp_wdk_slist_release(&list->ListHead, depth);
    return keep;
}

/* The four operations: old and Ex lists differ in their callbacks. */
static inline PVOID exp_wdk_lookaside_allocate(PVOID lookaside)
{
    GENERAL_LOOKASIDE_POOL *list = (GENERAL_LOOKASIDE_POOL *)lookaside;
    PVOID entry = exp_wdk_lookaside_take(list);

    return entry != NULL ? entry : list->Allocate(list->Type, list->Size, list->Tag);
}

static inline VOID exp_wdk_lookaside_free(PVOID lookaside, PVOID entry)
{
    GENERAL_LOOKASIDE_POOL *list = (GENERAL_LOOKASIDE_POOL *)lookaside;

    if (!exp_wdk_lookaside_keep(list, entry)) {
        list->Free(entry);
    }
}

static inline PVOID exp_wdk_lookaside_allocate_ex(PLOOKASIDE_LIST_EX lookaside)
{
    GENERAL_LOOKASIDE_POOL *list = &lookaside->L;
    PVOID entry = exp_wdk_lookaside_take(list);

    return entry != NULL ? entry : list->AllocateEx(list->Type, list->Size, list->Tag, lookaside);
}

static inline VOID exp_wdk_lookaside_free_ex(PLOOKASIDE_LIST_EX lookaside, PVOID entry)
{
    if (!exp_wdk_lookaside_keep(&lookaside->L, entry)) {
        lookaside->L.FreeEx(entry, lookaside);
    }
}

/* ---- routines -------------------------------------------------------------------------------- */

/*
 * What all lists share. The structure is the caller's, in memory that stays, 16-byte aligned on
 * 64-bit systems. A list starts empty with depth 4 and makes no entry beforehand. It keeps at most
 * Depth entries, which grows and shrinks between 4 and MaximumDepth (256) with the list's use; the
 * option verifier makes it 0 for good. Contents of an entry are not kept: its first word is the
 * list's while it is in it.
 *
 * Callbacks run at the caller's IRQL without any lock of the library, by several threads at once,
 * and may use other lists; a Free must not delete its own list. Initialize, flush and delete of one
 * list are serialised by the caller with all else that is done to it.
 *
 * source      api.md 5
 */

/*
 * Start a list whose callbacks are told the list.
 *
 *   Allocate       makes an entry; NULL: ExAllocatePoolWithTag does
 *   Free           ends an entry; NULL: ExFreePool does
 *   PoolType       a POOL_TYPE without the must-succeed bit, POOL_... bits OR-ed
 *   Flags          EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL adds
 *                  POOL_RAISE_IF_ALLOCATION_FAILURE to Type; ..._FAIL_NO_RAISE adds
 *                  POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, for an Allocate that charges quota; not both
 *   Size           bytes of an entry; less than LOOKASIDE_MINIMUM_BLOCK_SIZE counts as that, more
 *                  than a ULONG holds as its largest value
 *   Tag            of the entries
 *   Depth          reserved; any value
 *   returns        STATUS_INVALID_PARAMETER_4 bad PoolType, STATUS_INVALID_PARAMETER_5 bad Flags:
 *                  nothing was changed
 *   irql           <= DISPATCH_LEVEL
 *   raises         STATUS_DATATYPE_MISALIGNMENT
 *   owns           the structure is the library's too until ExDeleteLookasideListEx
 *   source         api.md 5.2, 5.3; ExInitializeLookasideListEx page
 */
NTSTATUS ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside,
                                     PALLOCATE_FUNCTION_EX Allocate,
                                     PFREE_FUNCTION_EX Free,
                                     POOL_TYPE PoolType,
                                     ULONG Flags,
                                     SIZE_T Size,
                                     ULONG Tag,
                                     USHORT Depth);

/*
 * Free all entries that the list keeps; it can be used on.
 *
 *   irql        <= DISPATCH_LEVEL; paged entries: <= APC_LEVEL
 *   source      api.md 5.3; ExFlushLookasideListEx page
 */
VOID ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);

/*
 * End a list: free all entries that it keeps. Entries that are in use are the caller's to free.
 *
 *   irql        <= DISPATCH_LEVEL; paged entries: <= APC_LEVEL
 *   owns        the structure is the caller's alone
 *   source      api.md 5.3; ExDeleteLookasideListEx page
 */
VOID ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);

/*
 * Start a list of the older kind, of nonpaged entries.
 *
 *   Allocate, Free   as ExInitializeLookasideListEx; NULL shows as ExAllocatePoolWithTag and
 *                    ExFreePool in the structure
 *   Flags            POOL_RAISE_IF_ALLOCATION_FAILURE, POOL_NX_ALLOCATION; Type is NonPagedPool
 *                    OR-ed with them. In an image that opted in to no-execute memory
 *                    POOL_NX_ALLOCATION is added
 *   Size, Tag, Depth, raises, owns   as ExInitializeLookasideListEx
 *   irql             <= DISPATCH_LEVEL
 *   source           api.md 2.13, 5.2, 5.3; ExInitializeNPagedLookasideList page
 */
VOID ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside,
                                     PALLOCATE_FUNCTION Allocate,
                                     PFREE_FUNCTION Free,
                                     ULONG Flags,
                                     SIZE_T Size,
                                     ULONG Tag,
                                     USHORT Depth);

/* ExDeleteLookasideListEx for an older list. irql: <= DISPATCH_LEVEL */
VOID ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside);

/*
 * Start a list of the older kind, of paged entries.
 *
 *   parameters, raises, owns   as ExInitializeNPagedLookasideList; Type is PagedPool OR-ed with
 *                              Flags
 *   irql                       <= APC_LEVEL
 *   source                     api.md 5.2, 5.3; ExInitializePagedLookasideList page
 */
VOID ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside,
                                    PALLOCATE_FUNCTION Allocate,
                                    PFREE_FUNCTION Free,
                                    ULONG Flags,
                                    SIZE_T Size,
                                    ULONG Tag,
                                    USHORT Depth);

/* ExDeleteLookasideListEx for an older list. irql: <= APC_LEVEL */
VOID ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside);

/*
 * What the system does about once a second: return the entries that lists keep above their depth,
 * then let busy lists keep more and idle ones less. A program that calls this has a timer of its
 * own: the lists no longer look by themselves. Does nothing while another thread is in a Free that
 * this routine called, and nothing with the option verifier.
 *
 *   irql        <= DISPATCH_LEVEL; at DISPATCH_LEVEL entries of paged lists stay
 *   locks       callbacks of lists run without any
 *   source      api.md 5.4; docs/decisions/0009-lookaside.md
 */
VOID ExAdjustLookasideDepth(VOID);

/*
 * ExAllocateFrom...: take the newest entry of a list, or have one made.
 *
 *   returns     the entry, not zeroed; NULL, or a raise when Type asks for one: none could be made
 *   irql        <= DISPATCH_LEVEL; paged entries: <= APC_LEVEL
 *   owns        the caller owns the entry until ExFreeTo... or the list's Free
 *   source      api.md 5.2, 5.3
 *
 * ExFreeTo...: give an entry back to the list that made it, or have it freed.
 *
 *   irql        <= DISPATCH_LEVEL; paged entries: <= APC_LEVEL
 *   owns        the entry is the list's
 *   source      api.md 5.2, 5.3
 */
#if defined(EXP_WDK_LOOKASIDE_INLINE) && EXP_WDK_LOOKASIDE_INLINE
static inline PVOID ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    return exp_wdk_lookaside_allocate_ex(Lookaside);
}

static inline VOID ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PVOID Entry)
{
    exp_wdk_lookaside_free_ex(Lookaside, Entry);
}

static inline PVOID ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    return exp_wdk_lookaside_allocate(Lookaside);
}

static inline VOID ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    exp_wdk_lookaside_free(Lookaside, Entry);
}

static inline PVOID ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    return exp_wdk_lookaside_allocate(Lookaside);
}

static inline VOID ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    exp_wdk_lookaside_free(Lookaside, Entry);
}
#else
PVOID ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);
VOID ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PVOID Entry);
PVOID ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside);
VOID ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry);
PVOID ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside);
VOID ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry);
#endif

C_ASSERT(sizeof(SLIST_HEADER) == 2 * sizeof(PVOID));
C_ASSERT(offsetof(GENERAL_LOOKASIDE, Future) == offsetof(GENERAL_LOOKASIDE_POOL, Future));

#ifdef __cplusplus
}
#endif

#endif
