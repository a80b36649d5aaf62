/* SPDX-License-Identifier: MIT */
/*
 * The contended half of the lock: spin for about the time of a batch, then sleep in the port.
 * A waiter marks the word 2 before it sleeps, so that the one who releases knows to wake.
 */
#include "core/lock.h"

#include <expool/port.h>

enum {
    LOCK_SPINS = 64
};

void exp_lock_wait(struct exp_lock *lock)
{
    for (int spin = 0; spin < LOCK_SPINS; spin++) {
        exp_atomic_pause();
        if (exp_atomic_load(&lock->word) == 0 && exp_atomic_try_acquire(&lock->word, 0, 1)) {
            return;
        }
    }
    while (exp_atomic_exchange_acquire(&lock->word, 2) != 0) {
        exp_port_wait(&lock->word, 2, UINT64_MAX);
    }
}

void exp_lock_wake(struct exp_lock *lock)
{
    exp_port_wake(&lock->word);
}
