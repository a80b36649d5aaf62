/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePoolWithTag is given tag 0 (0xC2/0x9B).
 */
#include "crime.h"

DEED void deed(void)
{
    (void)crime_opaque(ExAllocatePoolWithTag(PagedPool, 100, 0));
}

int main(void)
{
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x9B),
                 crime_number(PagedPool),
                 crime_number(100),
                 crime_caller());
    crime_tell("pool: paged pool");
    deed();
    return crime_survived();
}
