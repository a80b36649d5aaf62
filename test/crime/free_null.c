/* SPDX-License-Identifier: MIT */
/*
 * NULL is freed (0xC2/0x46).
 */
#include "crime.h"

int main(void)
{
    crime_expect(
        BAD_POOL_CALLER, crime_number(0x46), crime_number(0), crime_number(0), crime_number(0));
    ExFreePool(crime_opaque(NULL));
    return crime_survived();
}
