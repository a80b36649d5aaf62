/* SPDX-License-Identifier: MIT */
/*
 * A paged block is freed at DISPATCH_LEVEL (0xC2/0x09).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x09),
                 crime_number(DISPATCH_LEVEL),
                 crime_number(PagedPool),
                 crime_number((uintptr_t)block));
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block, CRIME_TAG);
    return crime_survived();
}
