/* SPDX-License-Identifier: MIT */
/*
 * A request under quota passes the limit, and nobody handles the exception (0x1E).
 */
#include "crime.h"

int main(void)
{
    struct expool_process *process = expool_process_create("payer", 50, 50);

    (void)expool_process_enter(process);
    crime_expect(KMODE_EXCEPTION_NOT_HANDLED,
                 crime_number((uint32_t)STATUS_QUOTA_EXCEEDED),
                 CRIME_ANY,
                 CRIME_ANY,
                 CRIME_ANY);
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    (void)crime_opaque(ExAllocatePoolWithQuotaTag(PagedPool, 100, CRIME_TAG));
    return crime_survived();
}
