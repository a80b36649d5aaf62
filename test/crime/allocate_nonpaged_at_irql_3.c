/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 for nonpaged pool at IRQL 3 (0xC2/0x08).
 */
#include "crime.h"

DEED void deed(void)
{
    (void)crime_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, CRIME_TAG));
}

int main(void)
{
    KIRQL old;

    KeRaiseIrql(3, &old);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x08),
                 crime_number(3),
                 crime_number(NonPagedPoolNx),
                 crime_number(100));
    crime_tell("tag: Crim");
    crime_tell("pool: nonpaged pool");
    deed();
    return crime_survived();
}
