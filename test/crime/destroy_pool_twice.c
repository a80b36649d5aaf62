/* SPDX-License-Identifier: MIT */
/*
 * A secure pool is destroyed twice (0xC2/0x99).
 */
#include "crime.h"

int main(void)
{
    HANDLE handle = NULL;

    (void)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, CRIME_TAG, NULL, &handle);
    ExDestroyPool(handle);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)handle),
                 crime_number(0),
                 crime_number(0));
    ExDestroyPool(handle);
    return crime_survived();
}
