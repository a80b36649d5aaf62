/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 that may raise has its request for pages refused (0x1E,
 * STATUS_INSUFFICIENT_RESOURCES).
 */
#include "crime.h"

DEED void deed(void)
{
    const POOL_FLAGS flags = POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE;

    (void)crime_opaque(ExAllocatePool2(flags, 8 << 20, CRIME_TAG));
}

int main(void)
{
    expool_fail_page_request(1);
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_INSUFFICIENT_RESOURCES),
                 CRIME_ANY,
                 CRIME_ANY,
                 CRIME_ANY);
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    deed();
    return crime_survived();
}
