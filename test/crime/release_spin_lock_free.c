/* SPDX-License-Identifier: MIT */
/* Release a spin lock that nobody holds. */
#include "crime.h"

static KSPIN_LOCK lock;

DEED void deed(KIRQL old)
{
    KeReleaseSpinLock(&lock, old);
    __asm__ volatile("");
}

int main(void)
{
    KIRQL old;

    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &old);
    KeReleaseSpinLock(&lock, old);
    crime_expect(SPIN_LOCK_NOT_OWNED,
                 crime_number((uintptr_t)&lock),
                 crime_number(0),
                 crime_number(0),
                 crime_caller());
    deed(PASSIVE_LEVEL);
    return crime_survived();
}
