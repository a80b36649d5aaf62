/* SPDX-License-Identifier: MIT */
/*
 * A nonpaged block of two pages is freed twice (0xC2/0x44).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x44),
                 crime_number((uintptr_t)block),
                 CRIME_ANY,
                 crime_number(0));
    crime_tell("pool: nonpaged pool");
    ExFreePoolWithTag(block, CRIME_TAG);
    return crime_survived();
}
