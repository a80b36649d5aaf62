/* SPDX-License-Identifier: MIT */
/*
 * A secure block that was made without FREEABLE is freed (0xC2/0x99).
 */
#include "secure_crime.h"

int main(void)
{
    void *block = secure_block(SECURE_POOL_FLAGS_MODIFIABLE);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block),
                 crime_number(0),
                 crime_number(0));
    secure.SecurePoolFlags = 0;
    ExFreePool2(block, CRIME_TAG, &entry, 1);
    return crime_survived();
}
