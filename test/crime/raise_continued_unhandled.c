/* SPDX-License-Identifier: MIT */
/*
 * A filter wants to continue after a pool exception, and nobody handles what that raises (0x1E,
 * STATUS_NONCONTINUABLE_EXCEPTION).
 */
#include "crime.h"

DEED void deed(void)
{
    const POOL_FLAGS flags = POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE;

    __try {
        (void)crime_opaque(ExAllocatePool2(flags, MAXSIZE_T / 2, CRIME_TAG));
    } __except (EXCEPTION_CONTINUE_EXECUTION) {
        printf("a handler ran\n");
    }
}

int main(void)
{
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_NONCONTINUABLE_EXCEPTION),
                 crime_caller(),
                 crime_number(0),
                 crime_number(0));
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    deed();
    return crime_survived();
}
