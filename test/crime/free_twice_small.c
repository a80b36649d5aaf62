/* SPDX-License-Identifier: MIT */
/*
 * A small block is freed twice (0xC2/0x07).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x07),
                 crime_number(0),
                 CRIME_ANY,
                 crime_number((uintptr_t)block));
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block, CRIME_TAG);
    return crime_survived();
}
