/* SPDX-License-Identifier: MIT */
/*
 * A global variable is freed (0xC2/0x40).
 */
#include "crime.h"

int main(void)
{
    static uint8_t global[64] __attribute__((aligned(16)));
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);
    struct expool_region_header header = crime_region();

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x40),
                 crime_number((uintptr_t)global),
                 crime_number(header.range_base),
                 crime_number(0));
    ExFreePool(crime_opaque(global));
    return crime_survived();
}
