/* SPDX-License-Identifier: MIT */
/*
 * A secure block is freed by ExFreePool (0xC2/0x99).
 */
#include "secure_crime.h"

int main(void)
{
    void *block = secure_block(SECURE_POOL_FLAGS_FREEABLE);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block),
                 crime_number(0),
                 crime_number(0));
    crime_tell("tag: Crim");
    (ExFreePool)(block);
    return crime_survived();
}
