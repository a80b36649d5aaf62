/* SPDX-License-Identifier: MIT */
/*
 * ExFreePool2 is given a count of 1 and no array (0xC2/0x99).
 */
#include "crime.h"

int main(void)
{
    void *block = crime_allocate(POOL_FLAG_PAGED, 100);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block),
                 crime_number(0),
                 crime_number(0));
    ExFreePool2(block, CRIME_TAG, NULL, 1);
    return crime_survived();
}
