/* SPDX-License-Identifier: MIT */
/*
 * More quota is returned than was charged, and nobody handles the exception (0x1E).
 */
#include "crime.h"

int main(void)
{
    struct expool_process *process = expool_process_create("payer", 50, 50);

    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_QUOTA_EXCEEDED),
                 CRIME_ANY,
                 CRIME_ANY,
                 CRIME_ANY);
    PsReturnPoolQuota(process, PagedPool, 1);
    return crime_survived();
}
