/* SPDX-License-Identifier: MIT */
/*
 * A block with a protected tag is freed with ExFreePool (0xC2/0x0A).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block =
        crime_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 100, CRIME_TAG | PROTECTED_POOL));

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x0A),
                 crime_number((uintptr_t)block),
                 crime_number(CRIME_TAG | PROTECTED_POOL),
                 crime_number(0));
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    ExFreePool(block);
    return crime_survived();
}
