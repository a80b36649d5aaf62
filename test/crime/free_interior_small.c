/* SPDX-License-Identifier: MIT */
/*
 * An address sixteen bytes into a small block is freed (0xC2/0x99).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block + 16),
                 crime_number(0),
                 crime_number(0));
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block + 16, CRIME_TAG);
    return crime_survived();
}
