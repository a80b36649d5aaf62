/* SPDX-License-Identifier: MIT */
/* Take a spin lock at a level above DISPATCH_LEVEL. */
#include "crime.h"

DEED void deed(PKSPIN_LOCK lock)
{
    KIRQL old;

    KeAcquireSpinLock(lock, &old);
    __asm__ volatile("");
}

int main(void)
{
    KSPIN_LOCK lock;
    KIRQL old;

    KeInitializeSpinLock(&lock);
    KeRaiseIrql(HIGH_LEVEL, &old);
    crime_expect(IRQL_NOT_GREATER_OR_EQUAL,
                 crime_number(DISPATCH_LEVEL),
                 crime_number(HIGH_LEVEL),
                 crime_number(0),
                 crime_caller());
    deed(&lock);
    return crime_survived();
}
