/* SPDX-License-Identifier: MIT */
/*
 * return out of a block that __finally guards (0x1E, STATUS_INVALID_UNWIND_TARGET, 1).
 */
#include "crime.h"

DEED int deed(void)
{
    __try {
        return 1;
    } __finally {
        printf("the __finally block ran\n");
    }
    return 0;
}

int main(void)
{
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_INVALID_UNWIND_TARGET),
                 crime_caller(),
                 crime_number(1),
                 crime_number(0));
    crime_tell("guarded block with __finally,");
    crime_tell("guarded block left, 2: __finally block left,");
    deed();
    return crime_survived();
}
