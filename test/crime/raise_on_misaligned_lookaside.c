/* SPDX-License-Identifier: MIT */
/*
 * A lookaside list is initialized in storage that is 8 bytes off its alignment, and nobody handles
 * what is raised (0x1E, STATUS_DATATYPE_MISALIGNMENT).
 */
#include "crime.h"

static char storage[sizeof(NPAGED_LOOKASIDE_LIST) + 16] DECLSPEC_ALIGN(64);

DEED void deed(void)
{
    PNPAGED_LOOKASIDE_LIST list = crime_opaque(storage + 8);

    ExInitializeNPagedLookasideList(list, NULL, NULL, POOL_NX_ALLOCATION, 64, CRIME_TAG, 0);
}

int main(void)
{
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_DATATYPE_MISALIGNMENT),
                 crime_caller(),
                 CRIME_ANY,
                 CRIME_ANY);
    deed();
    return crime_survived();
}
