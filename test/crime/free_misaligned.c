/* SPDX-License-Identifier: MIT */
/*
 * An address eight bytes into a block is freed (0xC2/0x46).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x46),
                 crime_number((uintptr_t)block + 8),
                 crime_number(0),
                 crime_number(0));
    ExFreePool(block + 8);
    return crime_survived();
}
