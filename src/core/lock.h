/* SPDX-License-Identifier: MIT */
/*
 * A lock of one word. Ranks rise along the walk: while a lock is held only locks of higher rank are
 * taken. All are taken at IRQL <= DISPATCH and held for a bounded number of steps. No lock is held
 * when a stop is raised, and none over fork: a word that is not 0 in the copy of a process means
 * that another thread was inside, so what the lock guards is rebuilt there (exp_owner_child).
 */
#ifndef EXP_LOCK_H
#define EXP_LOCK_H

#include "base/atomic.h"

enum exp_rank {
    EXP_RANK_SECURE = 1, /* secure.c: pools, pages that are open for a change */
    EXP_RANK_EVENT,      /* names, waits and looks of event.c */
    EXP_RANK_COMMON,     /* the owner that all share: exp_owner.common */
    EXP_RANK_OWNERS,     /* list of owners */
    EXP_RANK_STORE,      /* one per bin */
    EXP_RANK_SPAN,       /* spans and tails of all pools, chunks of the range */
    EXP_RANK_TAG,        /* tag numbers, rows, the region's sections */
    EXP_RANK_HEAP,       /* memory for our own structures */
    EXP_RANK_LOOKASIDE,  /* chain of lookaside lists; a lock of its own make: lookaside.c */
};

struct exp_lock {
    uint32_t word; /* atomic: 0 free, 1 held, 2 held and waited for */
    uint32_t rank; /* enum exp_rank; constant */
};

/* The contended half of exp_lock_acquire. irql: <= DISPATCH. May sleep in user mode. */
void exp_lock_wait(struct exp_lock *lock);

/* Wake a waiter after a release that found one. */
void exp_lock_wake(struct exp_lock *lock);

/* Take lock; the caller holds none of the same or a higher rank. irql: <= DISPATCH. */
EXP_INLINE void exp_lock_acquire(struct exp_lock *lock)
{
    if (EXP_UNLIKELY(!exp_atomic_try_acquire(&lock->word, 0, 1))) {
        exp_lock_wait(lock);
    }
}

/* Give lock back. */
EXP_INLINE void exp_lock_release(struct exp_lock *lock)
{
    if (EXP_UNLIKELY(exp_atomic_exchange_release(&lock->word, 0) == 2)) {
        exp_lock_wake(lock);
    }
}

/* In the copy of a process: free the lock; true when another thread was inside. */
EXP_INLINE bool exp_lock_reset(struct exp_lock *lock)
{
    bool torn = lock->word != 0;
    lock->word = 0;
    return torn;
}

#endif
