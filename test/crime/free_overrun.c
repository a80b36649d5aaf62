/* SPDX-License-Identifier: MIT */
/*
 * A byte past the end of a guarded block was changed before its free (0x19/0x21).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block;

    (void)expool_set("guard", "1");
    block = crime_allocate(POOL_FLAG_PAGED, 100);
    block[100] = 0x41;
    crime_expect(BAD_POOL_HEADER,
                 crime_number(0x21),
                 crime_number((uintptr_t)block),
                 crime_number(100),
                 crime_number(0x41));
    crime_tell("tag: Crim");
    crime_tell("size: 100 bytes");
    ExFreePoolWithTag(crime_opaque(block), CRIME_TAG);
    return crime_survived();
}
