/* SPDX-License-Identifier: MIT */
/*
 * Interlocked operations, spin locks, fast mutexes; part of wdm.h.
 *
 * Locks are words in the caller's storage, which stays where it is and is zeroed or initialised
 * before the first use. In user mode a holder may lose its processor, so a waiter spins for a short
 * while and then sleeps in the system; nobody has to give up a processor for it. Locks are not
 * recursive: who takes one twice waits for ever.
 *
 * What this file refuses to do: no reader-writer locks (ERESOURCE, push locks), no mutants.
 *
 * source      public DDI reference of each name; api.md 2.12 for the IRQL family
 */
#ifndef EXP_WDK_WDMSYNC_H
#define EXP_WDK_WDMSYNC_H

#include "ntdef.h"
#include "wdmevent.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- interlocked ----------------------------------------------------------------------------- */

/* Full barriers, as documented. Increment and decrement return the new value, the others the old.
 */
static inline LONG InterlockedIncrement(LONG volatile *Addend)
{
    return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

static inline LONG InterlockedDecrement(LONG volatile *Addend)
{
    return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

static inline LONG InterlockedExchange(LONG volatile *Target, LONG Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

static inline LONG InterlockedExchangeAdd(LONG volatile *Addend, LONG Value)
{
    return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);
}

static inline LONG InterlockedOr(LONG volatile *Target, LONG Bits)
{
    return __atomic_fetch_or(Target, Bits, __ATOMIC_SEQ_CST);
}

static inline LONG InterlockedAnd(LONG volatile *Target, LONG Bits)
{
    return __atomic_fetch_and(Target, Bits, __ATOMIC_SEQ_CST);
}

static inline LONG InterlockedXor(LONG volatile *Target, LONG Bits)
{
    return __atomic_fetch_xor(Target, Bits, __ATOMIC_SEQ_CST);
}

/* Value where Comparand was; the former value in any case. */
static inline LONG InterlockedCompareExchange(LONG volatile *Target, LONG Value, LONG Comparand)
{
    (void)__atomic_compare_exchange_n(
        Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

static inline LONGLONG InterlockedIncrement64(LONGLONG volatile *Addend)
{
    return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedDecrement64(LONGLONG volatile *Addend)
{
    return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedExchange64(LONGLONG volatile *Target, LONGLONG Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedExchangeAdd64(LONGLONG volatile *Addend, LONGLONG Value)
{
    return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedOr64(LONGLONG volatile *Target, LONGLONG Bits)
{
    return __atomic_fetch_or(Target, Bits, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedAnd64(LONGLONG volatile *Target, LONGLONG Bits)
{
    return __atomic_fetch_and(Target, Bits, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedXor64(LONGLONG volatile *Target, LONGLONG Bits)
{
    return __atomic_fetch_xor(Target, Bits, __ATOMIC_SEQ_CST);
}

static inline LONGLONG InterlockedCompareExchange64(LONGLONG volatile *Target,
                                                    LONGLONG Value,
                                                    LONGLONG Comparand)
{
    (void)__atomic_compare_exchange_n(
        Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

static inline PVOID InterlockedExchangePointer(PVOID volatile *Target, PVOID Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

static inline PVOID InterlockedCompareExchangePointer(PVOID volatile *Target,
                                                      PVOID Value,
                                                      PVOID Comparand)
{
    (void)__atomic_compare_exchange_n(
        Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

/* Bit counts from the lowest of Base[0] and may lie in any later LONG; its former value. */
static inline BOOLEAN InterlockedBitTestAndSet(LONG volatile *Base, LONG Bit)
{
    LONG mask = (LONG)(1u << ((ULONG)Bit & 31));

    return (BOOLEAN)((InterlockedOr(Base + (Bit >> 5), mask) & mask) != 0);
}

static inline BOOLEAN InterlockedBitTestAndReset(LONG volatile *Base, LONG Bit)
{
    LONG mask = (LONG)(1u << ((ULONG)Bit & 31));

    return (BOOLEAN)((InterlockedAnd(Base + (Bit >> 5), ~mask) & mask) != 0);
}

static inline BOOLEAN InterlockedBitTestAndComplement(LONG volatile *Base, LONG Bit)
{
    LONG mask = (LONG)(1u << ((ULONG)Bit & 31));

    return (BOOLEAN)((InterlockedXor(Base + (Bit >> 5), mask) & mask) != 0);
}

/*
 * One access that is not torn and that the compiler neither repeats nor drops: NoFence orders
 * nothing else, Acquire keeps what follows behind it, Release keeps what precedes before it.
 */
#define EXP_WDK_READ_WRITE(infix, suffix, type)                                                    \
    static inline type Read##infix##NoFence##suffix(type const volatile *Source)                   \
    {                                                                                              \
        return __atomic_load_n(Source, __ATOMIC_RELAXED);                                          \
    }                                                                                              \
    static inline type Read##infix##Acquire##suffix(type const volatile *Source)                   \
    {                                                                                              \
        return __atomic_load_n(Source, __ATOMIC_ACQUIRE);                                          \
    }                                                                                              \
    static inline VOID Write##infix##NoFence##suffix(type volatile *Destination, type Value)       \
    {                                                                                              \
        __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);                                    \
    }                                                                                              \
    static inline VOID Write##infix##Release##suffix(type volatile *Destination, type Value)       \
    {                                                                                              \
        __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);                                    \
    }

EXP_WDK_READ_WRITE(, , LONG)
EXP_WDK_READ_WRITE(, 64, LONG64)
EXP_WDK_READ_WRITE(ULong, , ULONG)
EXP_WDK_READ_WRITE(ULong64, , ULONG64)
EXP_WDK_READ_WRITE(Pointer, , PVOID)
#undef EXP_WDK_READ_WRITE

#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier()   __atomic_thread_fence(__ATOMIC_SEQ_CST)
#if defined(__x86_64__) || defined(__i386__)
#define YieldProcessor() __builtin_ia32_pause()
#else
#define YieldProcessor() __asm__ __volatile__("" ::: "memory")
#endif

/* ---- spin locks ------------------------------------------------------------------------------ */

/* A KSPIN_LOCK (ntdef.h) is a word that is 0 when free. Its holder is at DISPATCH_LEVEL or above.
 */

/*
 * Make a spin lock free.
 *
 *   SpinLock     storage of the caller; nobody uses it yet
 *   irql         any
 */
static inline VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    __atomic_store_n(SpinLock, 0, __ATOMIC_SEQ_CST);
}

/*
 * Raise the IRQL to DISPATCH_LEVEL and take a spin lock.
 *
 *   SpinLock     initialised; not held by this thread
 *   returns      the former IRQL, for KeReleaseSpinLock
 *   irql         <= DISPATCH_LEVEL
 *   locks        holds SpinLock on return
 *   stops        IRQL_NOT_GREATER_OR_EQUAL (0x09) above DISPATCH_LEVEL, as KeRaiseIrql
 *   source       KeAcquireSpinLock page
 */
KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);

/* KeAcquireSpinLockRaiseToDpc, the former level stored in *OldIrql. */
#define KeAcquireSpinLock(SpinLock, OldIrql)                                                       \
    ((void)(*(OldIrql) = KeAcquireSpinLockRaiseToDpc(SpinLock)))

/*
 * Release a spin lock and lower the IRQL to what it was before.
 *
 *   SpinLock     held by this thread
 *   NewIrql      what KeAcquireSpinLock stored
 *   irql         DISPATCH_LEVEL
 *   stops        IRQL_NOT_LESS_OR_EQUAL (0x0A) when NewIrql is above the current level, as
 *                KeLowerIrql; SPIN_LOCK_NOT_OWNED (0x10) when nobody holds the lock
 *   source       KeReleaseSpinLock page
 */
VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);

/*
 * Take a spin lock at the present IRQL.
 *
 *   SpinLock     initialised; not held by this thread
 *   irql         >= DISPATCH_LEVEL; below, nothing keeps others of this processor away, which does
 *                no harm where a processor is a thread
 *   locks        holds SpinLock on return
 *   source       KeAcquireSpinLockAtDpcLevel page
 */
VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);

/*
 * Take a spin lock at the present IRQL if it is free.
 *
 *   SpinLock     initialised
 *   returns      TRUE: the caller holds it; FALSE: somebody does
 *   irql         >= DISPATCH_LEVEL
 *   source       KeTryToAcquireSpinLockAtDpcLevel page
 */
BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);

/*
 * Release a spin lock and leave the IRQL as it is.
 *
 *   SpinLock     held by this thread
 *   irql         >= DISPATCH_LEVEL
 *   stops        SPIN_LOCK_NOT_OWNED (0x10) when nobody holds the lock
 *   source       KeReleaseSpinLockFromDpcLevel page
 */
VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);

/*
 * TRUE when nobody holds the lock at this moment. irql: >= DISPATCH_LEVEL. source: KeTestSpinLock
 * page
 */
static inline BOOLEAN KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    return (BOOLEAN)(__atomic_load_n(SpinLock, __ATOMIC_SEQ_CST) == 0);
}

/* One wait for a queued spin lock; lives on the waiter's stack as long as it holds the lock. */
typedef struct _KSPIN_LOCK_QUEUE {
    struct _KSPIN_LOCK_QUEUE *volatile Next;
    PKSPIN_LOCK volatile Lock;
} KSPIN_LOCK_QUEUE, *PKSPIN_LOCK_QUEUE;

typedef struct _KLOCK_QUEUE_HANDLE {
    KSPIN_LOCK_QUEUE LockQueue;
    KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;

/*
 * KeAcquireSpinLock and KeReleaseSpinLock with a handle that keeps the former IRQL. A lock is
 * either always or never taken this way. In which order waiters get it is the system's affair.
 *
 *   SpinLock     initialised; not held by this thread
 *   LockHandle   storage of the caller until the release, which needs nothing else
 *   irql, locks, stops   as KeAcquireSpinLockRaiseToDpc and KeReleaseSpinLock
 *   source       KeAcquireInStackQueuedSpinLock page
 */
static inline VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock,
                                                  PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->LockQueue.Next = NULL;
    LockHandle->LockQueue.Lock = SpinLock;
    LockHandle->OldIrql = KeAcquireSpinLockRaiseToDpc(SpinLock);
}

static inline VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseSpinLock(LockHandle->LockQueue.Lock, LockHandle->OldIrql);
}

/* The same at the present IRQL, which is >= DISPATCH_LEVEL. */
static inline VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock,
                                                            PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->LockQueue.Next = NULL;
    LockHandle->LockQueue.Lock = SpinLock;
    KeAcquireSpinLockAtDpcLevel(SpinLock);
}

static inline VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseSpinLockFromDpcLevel(LockHandle->LockQueue.Lock);
}

/* ---- fast mutexes ---------------------------------------------------------------------------- */

/* Storage of the caller, nonpaged. Count is 1 free, 0 held, -1 held and waited for. */
typedef struct _FAST_MUTEX {
    LONG Count;
    PVOID Owner;      /* not kept here */
    ULONG Contention; /* how often somebody had to wait */
    KEVENT Event;     /* not used here: waiters sleep on Count */
    ULONG OldIrql;    /* of the holder, while held */
} FAST_MUTEX, *PFAST_MUTEX;

/*
 * Make a fast mutex free.
 *
 *   FastMutex    storage of the caller; nobody uses it yet
 *   irql         <= DISPATCH_LEVEL
 *   source       ExInitializeFastMutex page
 */
static inline VOID ExInitializeFastMutex(PFAST_MUTEX FastMutex)
{
    __builtin_memset(FastMutex, 0, sizeof(*FastMutex));
    __atomic_store_n(&FastMutex->Count, 1, __ATOMIC_SEQ_CST);
}

/*
 * Raise the IRQL to APC_LEVEL and take a fast mutex.
 *
 *   FastMutex    initialised; not held by this thread
 *   irql         <= APC_LEVEL; APC_LEVEL on return
 *   locks        holds FastMutex on return
 *   stops        IRQL_NOT_GREATER_OR_EQUAL (0x09) above APC_LEVEL
 *   source       ExAcquireFastMutex page
 */
VOID ExAcquireFastMutex(PFAST_MUTEX FastMutex);

/*
 * ExAcquireFastMutex if the mutex is free.
 *
 *   returns      TRUE: as ExAcquireFastMutex; FALSE: somebody holds it and nothing has changed
 *   irql, stops  as ExAcquireFastMutex
 *   source       ExTryToAcquireFastMutex page
 */
BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex);

/*
 * Release a fast mutex and restore the IRQL of before.
 *
 *   FastMutex    held by this thread, from ExAcquireFastMutex or ExTryToAcquireFastMutex
 *   irql         APC_LEVEL
 *   stops        IRQL_NOT_LESS_OR_EQUAL (0x0A) when the level of before is above the current one;
 *                SPIN_LOCK_NOT_OWNED (0x10) when nobody holds the mutex
 *   source       ExReleaseFastMutex page
 */
VOID ExReleaseFastMutex(PFAST_MUTEX FastMutex);

/*
 * Take and release a fast mutex at the present IRQL.
 *
 *   FastMutex    as ExAcquireFastMutex and ExReleaseFastMutex
 *   irql         <= APC_LEVEL: APC_LEVEL, or inside a critical region
 *   stops        IRQL_NOT_GREATER_OR_EQUAL (0x09) above APC_LEVEL, before waiting;
 *                SPIN_LOCK_NOT_OWNED (0x10) when nobody holds the mutex
 *   source       ExAcquireFastMutexUnsafe page
 */
VOID ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex);
VOID ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex);

/* ---- regions --------------------------------------------------------------------------------- */

/* They keep asynchronous procedure calls away, of which there are none here. */
#define KeEnterCriticalRegion() ((void)0)
#define KeLeaveCriticalRegion() ((void)0)
#define KeEnterGuardedRegion()  ((void)0)
#define KeLeaveGuardedRegion()  ((void)0)

#ifdef __cplusplus
}
#endif

#endif
