/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 for paged pool at DISPATCH_LEVEL (0xC2/0x08).
 */
#include "crime.h"

DEED void deed(void)
{
    (void)crime_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 100, CRIME_TAG));
}

int main(void)
{
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x08),
                 crime_number(DISPATCH_LEVEL),
                 crime_number(PagedPool),
                 crime_number(100));
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    deed();
    return crime_survived();
}
