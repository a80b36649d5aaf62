/* SPDX-License-Identifier: MIT */
/*
 * A small nonpaged block is freed twice, the second time without a tag (0xC2/0x07).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_NON_PAGED, 1000);

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x07),
                 crime_number(0),
                 CRIME_ANY,
                 crime_number((uintptr_t)block));
    crime_tell("pool: nonpaged pool");
    ExFreePool(block);
    return crime_survived();
}
