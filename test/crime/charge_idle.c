/* SPDX-License-Identifier: MIT */
/*
 * Under the verifier quota is charged while the Idle process is current (0xC4/0x10A).
 */
#include "crime.h"

int main(void)
{
    (void)expool_set("verifier", "8");
    (void)expool_process_enter(expool_process_idle());
    crime_expect(DRIVER_VERIFIER_DETECTED_VIOLATION,
                 crime_number(0x10A),
                 crime_number(0),
                 crime_number(0),
                 crime_number(0));
    crime_tell("tag: Crim");
    (void)crime_opaque(ExAllocatePoolWithQuotaTag(PagedPool, 100, CRIME_TAG));
    return crime_survived();
}
