/* SPDX-License-Identifier: MIT */
/*
 * The last page of the pool's range, which nobody was ever given, is freed (0xC2/0x42).
 */
#include "crime.h"

int main(void)
{
    uint8_t *block = crime_allocate(POOL_FLAG_PAGED, 100);
    struct expool_region_header header = crime_region();
    uintptr_t last = header.range_base + header.range_bytes - PAGE_SIZE;

    ExFreePoolWithTag(block, CRIME_TAG);
    crime_expect(
        BAD_POOL_CALLER, crime_number(0x42), crime_number(last), crime_number(0), crime_number(0));
    ExFreePoolWithTag((void *)last, CRIME_TAG);
    return crime_survived();
}
