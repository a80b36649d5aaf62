/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePoolWithTag that may raise passes the pool's limit (0x1E,
 * STATUS_INSUFFICIENT_RESOURCES).
 */
#include "crime.h"

DEED void deed(void)
{
    const POOL_TYPE type = (POOL_TYPE)(NonPagedPoolNx | POOL_RAISE_IF_ALLOCATION_FAILURE);

    (void)crime_opaque(ExAllocatePoolWithTag(type, 2 << 20, CRIME_TAG));
}

int main(void)
{
    (void)expool_set("nonpaged_limit", "1M");
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_INSUFFICIENT_RESOURCES),
                 CRIME_ANY,
                 CRIME_ANY,
                 CRIME_ANY);
    crime_tell("tag: Crim");
    crime_tell("pool: nonpaged pool");
    deed();
    return crime_survived();
}
