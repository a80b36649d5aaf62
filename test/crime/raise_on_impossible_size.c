/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 that may raise is asked for nearly all addresses (0x1E,
 * STATUS_INSUFFICIENT_RESOURCES).
 */
#include "crime.h"

static volatile size_t asked_bytes;

DEED void deed(void)
{
    const POOL_FLAGS flags = POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE;

    (void)crime_opaque(ExAllocatePool2(flags, asked_bytes, CRIME_TAG));
}

int main(void)
{
    asked_bytes = SIZE_MAX - 100;
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
