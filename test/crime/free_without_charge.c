/* SPDX-License-Identifier: MIT */
/*
 * A block is freed whose charge was returned by hand (0x21).
 */
#include "crime.h"

int main(void)
{
    struct expool_process *process = expool_process_create("payer", 10000, 10000);
    struct expool_usage usage;
    uint8_t *block;

    (void)expool_process_enter(process);
    block = crime_allocate(POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA, 100);
    expool_process_usage(process, &usage);
    PsReturnPoolQuota(process, PagedPool, usage.paged_bytes);
    crime_expect(QUOTA_UNDERFLOW,
                 crime_number((uintptr_t)process),
                 crime_number(1),
                 crime_number(usage.paged_bytes),
                 crime_number(usage.paged_bytes));
    crime_tell("tag: Crim");
    crime_tell("pool: paged pool");
    ExFreePoolWithTag(block, CRIME_TAG);
    return crime_survived();
}
