/* SPDX-License-Identifier: MIT */
/*
 * A nonpaged block is freed at IRQL 3 (0xC2/0x09).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_NON_PAGED, 100);
    KIRQL old;

    KeRaiseIrql(3, &old);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x09),
                 crime_number(3),
                 crime_number(NonPagedPoolNx),
                 crime_number((uintptr_t)block));
    crime_tell("tag: Crim");
    crime_tell("pool: nonpaged pool");
    ExFreePool(block);
    return crime_survived();
}
