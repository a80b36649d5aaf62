/* SPDX-License-Identifier: MIT */
/*
 * A local variable is freed (0xC2/0x40).
 */
#include "crime.h"

int main(void)
{
    uint8_t local[64] __attribute__((aligned(16))) = { 0 };
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);
    struct expool_region_header header = crime_region();

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x40),
                 crime_number((uintptr_t)local),
                 crime_number(header.range_base),
                 crime_number(0));
    ExFreePoolWithTag(crime_opaque(local), CRIME_TAG);
    return crime_survived();
}
