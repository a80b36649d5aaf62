/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 that may raise is given no pool (0x1E, STATUS_INVALID_PARAMETER).
 */
#include "crime.h"

DEED void deed(void)
{
    (void)crime_opaque((ExAllocatePool2)(POOL_FLAG_RAISE_ON_FAILURE, 100, CRIME_TAG));
}

int main(void)
{
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_INVALID_PARAMETER),
                 CRIME_ANY,
                 CRIME_ANY,
                 CRIME_ANY);
    crime_tell("tag: Crim");
    deed();
    return crime_survived();
}
