/* SPDX-License-Identifier: MIT */
/*
 * ExRaiseStatus without a handler, below a filter that passes it on (0x1E, the status).
 */
#include "crime.h"

enum {
    OWN_STATUS = (int)0xE0001234
};

DEED void deed(void)
{
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __finally {
            printf("a __finally block ran\n");
        }
    } __except (EXCEPTION_CONTINUE_SEARCH) {
        printf("a handler ran\n");
    }
}

int main(void)
{
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)OWN_STATUS),
                 crime_caller(),
                 crime_number(0),
                 crime_number(0));
    crime_tell("nobody handled it.");
    deed();
    return crime_survived();
}
