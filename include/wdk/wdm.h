/* SPDX-License-Identifier: MIT */
/*
 * What a driver sees of the system: constants, types and macros around the pool, IRQL, lists and
 * memory words. The pool itself is wdmpool.h, lookaside structures are wdmlook.h; driver code
 * includes this file, ntddk.h or ntifs.h and none of the pieces.
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
#define EXCEPTION_MAXIMUM_PARAMETERS 15

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

/* A process object is the host interface's struct expool_process. source: product.md 4 */
typedef struct expool_process EPROCESS, *PEPROCESS;

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
#define YieldProcessor()    __asm__ __volatile__("" ::: "memory")

/* ---- memory words ---------------------------------------------------------------------------- */

#define RtlCopyMemory(to, from, bytes)  __builtin_memcpy((to), (from), (bytes))
#define RtlMoveMemory(to, from, bytes)  __builtin_memmove((to), (from), (bytes))
#define RtlFillMemory(to, bytes, value) __builtin_memset((to), (value), (bytes))
#define RtlZeroMemory(to, bytes)        __builtin_memset((to), 0, (bytes))
#define RtlEqualMemory(a, b, bytes)     (__builtin_memcmp((a), (b), (bytes)) == 0)
#define RtlCopyBytes                    RtlCopyMemory
#define RtlZeroBytes                    RtlZeroMemory
#define RtlFillBytes                    RtlFillMemory

/* Zero memory that is dead afterwards: the compiler must not drop it. */
static inline PVOID RtlSecureZeroMemory(PVOID to, SIZE_T bytes)
{
    __builtin_memset(to, 0, bytes);
    __asm__ __volatile__("" : : "r"(to) : "memory");
    return to;
}

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

/* ---- interlocked ----------------------------------------------------------------------------- */

/* Full barriers, as documented. Increment and decrement return the new value, the others the old.
 */
#define InterlockedIncrement(target)   ((LONG)__atomic_add_fetch((target), 1, __ATOMIC_SEQ_CST))
#define InterlockedDecrement(target)   ((LONG)__atomic_sub_fetch((target), 1, __ATOMIC_SEQ_CST))
#define InterlockedIncrement64(target) ((LONGLONG)__atomic_add_fetch((target), 1, __ATOMIC_SEQ_CST))
#define InterlockedDecrement64(target) ((LONGLONG)__atomic_sub_fetch((target), 1, __ATOMIC_SEQ_CST))
#define InterlockedExchange(target, value)                                                         \
    ((LONG)__atomic_exchange_n((target), (value), __ATOMIC_SEQ_CST))
#define InterlockedExchangeAdd(target, value)                                                      \
    ((LONG)__atomic_fetch_add((target), (value), __ATOMIC_SEQ_CST))
#define InterlockedExchangeAdd64(target, value)                                                    \
    ((LONGLONG)__atomic_fetch_add((target), (value), __ATOMIC_SEQ_CST))
#define InterlockedOr(target, bits)  ((LONG)__atomic_fetch_or((target), (bits), __ATOMIC_SEQ_CST))
#define InterlockedAnd(target, bits) ((LONG)__atomic_fetch_and((target), (bits), __ATOMIC_SEQ_CST))
#define InterlockedExchangePointer(target, value)                                                  \
    __atomic_exchange_n((PVOID volatile *)(target), (PVOID)(value), __ATOMIC_SEQ_CST)
#define InterlockedCompareExchange(target, value, comparand)                                       \
    ((LONG)__sync_val_compare_and_swap((target), (comparand), (value)))
#define InterlockedCompareExchange64(target, value, comparand)                                     \
    ((LONGLONG)__sync_val_compare_and_swap((target), (comparand), (value)))
#define InterlockedCompareExchangePointer(target, value, comparand)                                \
    __sync_val_compare_and_swap((PVOID volatile *)(target), (PVOID)(comparand), (PVOID)(value))
#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier()   __atomic_thread_fence(__ATOMIC_SEQ_CST)

#ifdef __cplusplus
}
#endif

#endif
