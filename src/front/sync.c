/* SPDX-License-Identifier: MIT */
/*
 * Spin locks and fast mutexes of drivers. Both are words in the caller's storage.
 *
 * A KSPIN_LOCK is the lock of core/lock.h, which fits into it: 0 free, 1 held, 2 held and waited
 * for. The rank beside it stays 0, as nobody here knows in which order drivers take theirs. A
 * FAST_MUTEX keeps the documented count: 1 free, 0 held, -1 held and waited for.
 *
 * Who waits spins for a short while and then sleeps in the port, because in user mode the holder
 * may have lost its processor. The IRQL is raised before the wait and restored after the release;
 * misuse is found before anything changes.
 *
 * What it refuses to do: it does not know who holds a lock, so that a lock taken twice by one
 * thread waits for ever, as it does in a kernel.
 */
#include <expool/port.h>

#include "core/lock.h"
#include "core/stop.h"
#include "front/irql.h"
#include "front/pool.h"

#include <wdm.h>

EXP_STATIC_ASSERT(sizeof(struct exp_lock) <= sizeof(KSPIN_LOCK), "a spin lock is one of ours");
EXP_STATIC_ASSERT(EXP_STOP_SPIN_LOCK_NOT_OWNED == SPIN_LOCK_NOT_OWNED, "bugcodes.h");

enum {
    SYNC_SPINS = 64
};

#define MUTEX_FREE   UINT32_C(1)
#define MUTEX_HELD   UINT32_C(0)
#define MUTEX_WAITED UINT32_MAX /* -1 */

static struct exp_lock *lock_of(PKSPIN_LOCK lock)
{
    return (struct exp_lock *)(void *)lock;
}

/* Stop when a lock that is about to be released is free. */
static void judge_release(const void *lock, bool held, const void *caller)
{
    struct exp_stop_about about = { .block = lock, .caller = caller };
    if (!held) {
        exp_stop_now(
            EXP_STOP_SPIN_LOCK_NOT_OWNED, (uintptr_t)lock, 0, 0, (uintptr_t)caller, &about);
    }
}

static void judge_spin_release(PKSPIN_LOCK lock, const void *caller)
{
    judge_release(lock, exp_atomic_load(&lock_of(lock)->word) != 0, caller);
}

EXP_EXPORT KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL old = exp_irql_raise(DISPATCH_LEVEL, __builtin_return_address(0));
    exp_lock_acquire(lock_of(SpinLock));
    return old;
}

EXP_EXPORT VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    const void *caller = __builtin_return_address(0);
    exp_irql_judge_lower(NewIrql, caller);
    judge_spin_release(SpinLock, caller);
    exp_lock_release(lock_of(SpinLock));
    exp_irql_lower(NewIrql);
}

EXP_EXPORT VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    exp_lock_acquire(lock_of(SpinLock));
}

EXP_EXPORT BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    return exp_atomic_try_acquire(&lock_of(SpinLock)->word, 0, 1);
}

EXP_EXPORT VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    judge_spin_release(SpinLock, __builtin_return_address(0));
    exp_lock_release(lock_of(SpinLock));
}

static uint32_t *count_of(PFAST_MUTEX mutex)
{
    return (uint32_t *)&mutex->Count;
}

static void mutex_acquire(PFAST_MUTEX mutex)
{
    uint32_t *count = count_of(mutex);
    if (EXP_LIKELY(exp_atomic_try_acquire(count, MUTEX_FREE, MUTEX_HELD))) {
        return;
    }
    (void)exp_atomic_add(&mutex->Contention, 1);
    for (int spin = 0; spin < SYNC_SPINS; spin++) {
        exp_atomic_pause();
        if (exp_atomic_load(count) == MUTEX_FREE &&
            exp_atomic_try_acquire(count, MUTEX_FREE, MUTEX_HELD)) {
            return;
        }
    }
    while (exp_atomic_exchange_acquire(count, MUTEX_WAITED) != MUTEX_FREE) {
        exp_port_wait(count, MUTEX_WAITED, UINT64_MAX);
    }
}

static void mutex_release(PFAST_MUTEX mutex)
{
    uint32_t *count = count_of(mutex);
    if (exp_atomic_exchange_release(count, MUTEX_FREE) == MUTEX_WAITED) {
        exp_port_wake(count);
    }
}

static void judge_mutex_release(PFAST_MUTEX mutex, const void *caller)
{
    judge_release(mutex, exp_atomic_load(count_of(mutex)) != MUTEX_FREE, caller);
}

EXP_EXPORT VOID ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL old = exp_irql_raise(APC_LEVEL, __builtin_return_address(0));
    mutex_acquire(FastMutex);
    FastMutex->OldIrql = old;
}

EXP_EXPORT BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL old = exp_irql_raise(APC_LEVEL, __builtin_return_address(0));
    if (!exp_atomic_try_acquire(count_of(FastMutex), MUTEX_FREE, MUTEX_HELD)) {
        exp_irql_lower(old);
        return FALSE;
    }
    FastMutex->OldIrql = old;
    return TRUE;
}

EXP_EXPORT VOID ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    const void *caller = __builtin_return_address(0);
    judge_mutex_release(FastMutex, caller);
    KIRQL old = (KIRQL)FastMutex->OldIrql;
    exp_irql_judge_lower(old, caller);
    mutex_release(FastMutex);
    exp_irql_lower(old);
}

EXP_EXPORT VOID ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    if (exp_pool_irql() > APC_LEVEL) {
        (void)exp_irql_raise(APC_LEVEL, __builtin_return_address(0)); /* stops */
    }
    mutex_acquire(FastMutex);
}

EXP_EXPORT VOID ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    judge_mutex_release(FastMutex, __builtin_return_address(0));
    mutex_release(FastMutex);
}
