/* SPDX-License-Identifier: MIT */
/*
 * The third page of a three-page nonpaged block is freed (0xC2/0x99).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block + 2 * PAGE_SIZE),
                 crime_number(0),
                 crime_number(0));
    crime_tell("pool: nonpaged pool");
    ExFreePoolWithTag(block + 2 * PAGE_SIZE, CRIME_TAG);
    return crime_survived();
}
