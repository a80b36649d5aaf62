/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePoolWithTag is given a must-succeed type, named by the argument (0xC2/0x9A).
 */
#include "crime.h"

DEED void deed(POOL_TYPE type)
{
    (void)crime_opaque(ExAllocatePoolWithTag(type, 100, CRIME_TAG));
}

int main(int argc, char **argv)
{
    int type = argc > 1 ? atoi(argv[1]) : NonPagedPoolMustSucceed;

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x9A),
                 crime_number((uint64_t)type),
                 crime_number(100),
                 crime_number(CRIME_TAG));
    crime_tell("tag: Crim");
    deed((POOL_TYPE)type);
    return crime_survived();
}
