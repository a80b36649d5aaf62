/* SPDX-License-Identifier: MIT */
/*
 * A block of 1 MiB is freed with another tag (0xC2/0x0A).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 1 << 20);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x0A),
                 crime_number((uintptr_t)block),
                 crime_number(CRIME_TAG),
                 crime_number('rhtO'));
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block, 'rhtO');
    return crime_survived();
}
