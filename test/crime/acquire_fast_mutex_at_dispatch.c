/* SPDX-License-Identifier: MIT */
/* Take a fast mutex at DISPATCH_LEVEL. */
#include "crime.h"

DEED void deed(PFAST_MUTEX mutex)
{
    ExAcquireFastMutex(mutex);
    __asm__ volatile("");
}

int main(void)
{
    FAST_MUTEX mutex;
    KIRQL old;

    ExInitializeFastMutex(&mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    crime_expect(IRQL_NOT_GREATER_OR_EQUAL,
                 crime_number(APC_LEVEL),
                 crime_number(DISPATCH_LEVEL),
                 crime_number(0),
                 crime_caller());
    deed(&mutex);
    return crime_survived();
}
