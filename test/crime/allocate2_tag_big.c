/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 is given the reserved tag BIG (0xC2/0x9C).
 */
#include "crime.h"

DEED void deed(void)
{
    (void)crime_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 100, ' GIB'));
}

int main(void)
{
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x9C),
                 crime_number(PagedPool),
                 crime_number(100),
                 crime_caller());
    crime_tell("tag: BIG");
    deed();
    return crime_survived();
}
