/* SPDX-License-Identifier: MIT */
/*
 * return out of a __finally block (0x1E, STATUS_INVALID_UNWIND_TARGET, 2).
 */
#include "crime.h"

DEED int deed(void)
{
    __try {
        (void)crime_opaque(NULL);
    } __finally {
        return 1;
    }
    return 0;
}

int main(void)
{
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_INVALID_UNWIND_TARGET),
                 crime_caller(),
                 crime_number(2),
                 crime_number(0));
    crime_tell("2: __finally block left,");
    deed();
    return crime_survived();
}
