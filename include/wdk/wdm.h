/* SPDX-License-Identifier: MIT */
/*
 * What a driver sees of the system. Here: constants, pages, IRQL, lists. The rest is in pieces:
 * wdmpool.h the pool, wdmlook.h lookaside lists, wdmevent.h events, wdmsync.h locks, wdmrtl.h
 * memory words, strings and debug output, wdmseh.h exceptions. Driver code includes this file,
 * ntddk.h or ntifs.h and none of the pieces.
 *
 * Only what can be had is declared: a routine that the library does not have yet is missing here,
 * so that its use fails at compile time and not in front of a user.
 *
 * Compile driver code with -fshort-wchar -fms-extensions -Wno-multichar -Wno-unknown-pragmas.
 *
 * source      api.md 1.10, 2.12; public DDI reference of each name
 */
#ifndef EXP_WDK_WDM_H
#define EXP_WDK_WDM_H

#include "bugcodes.h"
#include "ntdef.h"
#include "ntstatus.h"
#include "wdmevent.h"
#include "wdmlook.h"
#include "wdmpool.h"
#include "wdmrtl.h"
#include "wdmseh.h"
#include "wdmsync.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- constants ------------------------------------------------------------------------------- */

/* Pages of the DDI are 4096 bytes whatever the host's are. source: api.md 1.10, 9.28 */
#define PAGE_SIZE  0x1000
#define PAGE_SHIFT 12

#define PASSIVE_LEVEL  0
#define LOW_LEVEL      0
#define APC_LEVEL      1
#define DISPATCH_LEVEL 2
#if defined(__i386__)
#define PROFILE_LEVEL 27
#define CLOCK1_LEVEL  28
#define CLOCK2_LEVEL  28
#define CLOCK_LEVEL   28
#define IPI_LEVEL     29
#define POWER_LEVEL   30
#define HIGH_LEVEL    31
#else
#define CMCI_LEVEL    5
#define CLOCK_LEVEL   13
#define IPI_LEVEL     14
#define DRS_LEVEL     14
#define POWER_LEVEL   14
#define PROFILE_LEVEL 15
#define HIGH_LEVEL    15
#endif

#define EXCEPTION_EXECUTE_HANDLER    1
#define EXCEPTION_CONTINUE_SEARCH    0
#define EXCEPTION_CONTINUE_EXECUTION (-1)
#define EXCEPTION_NONCONTINUABLE     0x1
#define EXCEPTION_UNWINDING          0x2
#define EXCEPTION_EXIT_UNWIND        0x4

#define EX_DEFAULT_PUSH_LOCK_FLAGS 0

typedef enum _MODE {
    KernelMode = 0,
    UserMode = 1,
    MaximumMode = 2
} MODE;

typedef enum _MM_SYSTEM_SIZE {
    MmSmallSystem = 0,
    MmMediumSystem = 1,
    MmLargeSystem = 2
} MM_SYSTEMSIZE;

/* ---- pages ----------------------------------------------------------------------------------- */

#define PAGE_ALIGN(address)   ((PVOID)ALIGN_DOWN_BY(address, PAGE_SIZE))
#define BYTE_OFFSET(address)  ((ULONG)((ULONG_PTR)(address) & (PAGE_SIZE - 1)))
#define ROUND_TO_PAGES(bytes) ALIGN_UP_BY(bytes, PAGE_SIZE)
#define BYTES_TO_PAGES(bytes)                                                                      \
    (((SIZE_T)(bytes) >> PAGE_SHIFT) + (((SIZE_T)(bytes) & (PAGE_SIZE - 1)) != 0))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(address, bytes)                                             \
    ((ULONG)((BYTE_OFFSET(address) + (SIZE_T)(bytes) + (PAGE_SIZE - 1)) >> PAGE_SHIFT))

/* ---- IRQL ------------------------------------------------------------------------------------ */

/*
 * IRQL of the calling thread.
 *
 *   returns     PASSIVE_LEVEL in a new thread
 *   irql        any
 *   source      api.md 2.12
 */
KIRQL KeGetCurrentIrql(VOID);

/*
 * Raise the calling thread's IRQL.
 *
 *   NewIrql     >= the current level, <= HIGH_LEVEL
 *   OldIrql     receives the current level; not NULL
 *   irql        any
 *   stops       IRQL_NOT_GREATER_OR_EQUAL (0x09) when NewIrql is below the current level
 *   source      api.md 2.12, 9.26
 */
VOID KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql);

/*
 * Lower the calling thread's IRQL to what KeRaiseIrql returned.
 *
 *   NewIrql     <= the current level
 *   irql        any
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) when NewIrql is above the current level
 *   source      api.md 2.12, 9.26
 */
VOID KeLowerIrql(KIRQL NewIrql);

/*
 * Raise the calling thread's IRQL to DISPATCH_LEVEL.
 *
 *   returns     the former level
 *   irql        <= DISPATCH_LEVEL
 *   stops       IRQL_NOT_GREATER_OR_EQUAL (0x09) above DISPATCH_LEVEL
 *   source      api.md 2.12, 9.26
 */
KIRQL KeRaiseIrqlToDpcLevel(VOID);

/* Pageable code asserts its IRQL in checked drivers. */
#define PAGED_CODE()        NT_ASSERT(KeGetCurrentIrql() <= APC_LEVEL)
#define PAGED_CODE_LOCKED() ((void)0)

/* ---- lists ----------------------------------------------------------------------------------- */

/* Doubly linked list with a head; the caller serialises. A removed entry is not cleared. */
static inline VOID InitializeListHead(PLIST_ENTRY ListHead)
{
    ListHead->Flink = ListHead->Blink = ListHead;
}

static inline BOOLEAN IsListEmpty(const LIST_ENTRY *ListHead)
{
    return (BOOLEAN)(ListHead->Flink == ListHead);
}

/* TRUE when the list is empty afterwards. */
static inline BOOLEAN RemoveEntryList(PLIST_ENTRY Entry)
{
    PLIST_ENTRY next = Entry->Flink;
    PLIST_ENTRY previous = Entry->Blink;

    previous->Flink = next;
    next->Blink = previous;
    return (BOOLEAN)(next == previous);
}

static inline PLIST_ENTRY RemoveHeadList(PLIST_ENTRY ListHead)
{
    PLIST_ENTRY entry = ListHead->Flink;

    (void)RemoveEntryList(entry);
    return entry;
}

static inline PLIST_ENTRY RemoveTailList(PLIST_ENTRY ListHead)
{
    PLIST_ENTRY entry = ListHead->Blink;

    (void)RemoveEntryList(entry);
    return entry;
}

static inline VOID InsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
    PLIST_ENTRY next = ListHead->Flink;

    Entry->Flink = next;
    Entry->Blink = ListHead;
    next->Blink = Entry;
    ListHead->Flink = Entry;
}

static inline VOID InsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
    PLIST_ENTRY previous = ListHead->Blink;

    Entry->Flink = ListHead;
    Entry->Blink = previous;
    previous->Flink = Entry;
    ListHead->Blink = Entry;
}

static inline VOID PushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY Entry)
{
    Entry->Next = ListHead->Next;
    ListHead->Next = Entry;
}

/* NULL when the list is empty. */
static inline PSINGLE_LIST_ENTRY PopEntryList(PSINGLE_LIST_ENTRY ListHead)
{
    PSINGLE_LIST_ENTRY entry = ListHead->Next;

    if (entry != NULL) {
        ListHead->Next = entry->Next;
    }
    return entry;
}

/* ---- the machine ----------------------------------------------------------------------------- */

/*
 * How large the machine is, for those who size their tables by it.
 *
 *   returns     by physical memory: MmSmallSystem below 1 GiB, MmLargeSystem from 4 GiB up, else
 *               MmMediumSystem; the same answer every time
 *   irql        any
 *   source      api.md 2.12; MmQuerySystemSize page, which names no numbers
 */
MM_SYSTEMSIZE MmQuerySystemSize(VOID);

/*
 * In a file that has opted in to no-execute memory, the routine adds POOL_NX_ALLOCATION as soon as
 * NonPagedPool means no-execute memory there. source: api.md 2.13
 */
#if defined(EXP_WDK_NX_OPTIN)
#define ExInitializeNPagedLookasideList(Lookaside, Allocate, Free, Flags, Size, Tag, Depth)        \
    (ExInitializeNPagedLookasideList)((Lookaside),                                                 \
                                      (Allocate),                                                  \
                                      (Free),                                                      \
                                      (Flags) | ((ULONG)NonPagedPool & POOL_NX_ALLOCATION),        \
                                      (Size),                                                      \
                                      (Tag),                                                       \
                                      (Depth))
#endif

#ifdef __cplusplus
}
#endif

#endif
