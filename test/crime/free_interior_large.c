/* SPDX-License-Identifier: MIT */
/*
 * A later page of a paged block of 1 MiB is freed (0xC2/0x41286).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 1 << 20);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x41286),
                 crime_number(0),
                 crime_number(0),
                 crime_number(77 * PAGE_SIZE));
    crime_tell("pool: paged pool");
    ExFreePool(block + 77 * PAGE_SIZE);
    return crime_survived();
}
