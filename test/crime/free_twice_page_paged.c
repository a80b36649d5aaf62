/* SPDX-License-Identifier: MIT */
/*
 * A paged block of a page is freed twice (0xC2/0x50).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, PAGE_SIZE);
    struct expool_region_header header = crime_region();

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x50),
                 crime_number((uintptr_t)block),
                 crime_number(((uintptr_t)block - header.range_base) / PAGE_SIZE),
                 crime_number(header.range_bytes));
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block, CRIME_TAG);
    return crime_survived();
}
