/* SPDX-License-Identifier: MIT */
/*
 * ExFreePool2 is given a parameter that is not a secure one (0xC2/0x99).
 */
#include "crime.h"

int main(void)
{
    void *block = crime_allocate(POOL_FLAG_NON_PAGED, 100);
    POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterPriority,
                                      .Priority = HighPoolPriority };

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block),
                 crime_number(0),
                 crime_number(0));
    ExFreePool2(block, CRIME_TAG, &entry, 1);
    return crime_survived();
}
