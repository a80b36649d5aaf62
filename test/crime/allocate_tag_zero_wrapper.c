/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePoolZero is given tag 0 (0xC2/0x9B). The type has the wrapper's zero bit.
 */
#include "crime.h"

DEED void deed(void)
{
    (void)crime_opaque(ExAllocatePoolZero(NonPagedPoolNx, 5000, 0));
}

int main(void)
{
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x9B),
                 crime_number(NonPagedPoolNx | POOL_ZERO_ALLOCATION),
                 crime_number(5000),
                 crime_caller());
    crime_tell("pool: nonpaged pool");
    deed();
    return crime_survived();
}
