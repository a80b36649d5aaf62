/* SPDX-License-Identifier: MIT */
/*
 * The second page of a three-page paged block is freed (0xC2/0x41286).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 3 * PAGE_SIZE);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x41286),
                 crime_number(0),
                 crime_number(0),
                 crime_number(PAGE_SIZE));
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block + PAGE_SIZE, CRIME_TAG);
    return crime_survived();
}
