/* SPDX-License-Identifier: MIT */
/*
 * A secure pool is destroyed while a block of it lives (0xC2/0x99).
 */
#include "secure_crime.h"

int main(void)
{
    void *block = secure_block(SECURE_POOL_FLAGS_FREEABLE);

    (void)block;
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)handle),
                 crime_number(0),
                 crime_number(0));
    ExDestroyPool(handle);
    return crime_survived();
}
