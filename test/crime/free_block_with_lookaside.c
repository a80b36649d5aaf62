/* SPDX-License-Identifier: MIT */
/*
 * With the verifier on, a block is freed while a lookaside list lives in it (0xC4/0xCC: list,
 * block, bytes of the block). A list that was deleted before is no crime.
 */
#include "crime.h"

enum {
    PLACE = 256
};

DEED void deed(uint8_t *block)
{
    ExFreePoolWithTag(block, CRIME_TAG);
}

int main(void)
{
    PLOOKASIDE_LIST_EX list;
    uint8_t *block;

    (void)expool_set("verifier", "1");
    for (int round = 0; round < 2; ++round) {
        block = crime_allocate(POOL_FLAG_NON_PAGED, PAGE_SIZE);
        list = (PLOOKASIDE_LIST_EX)(void *)(block + PLACE);
        if (ExInitializeLookasideListEx(list, NULL, NULL, PagedPool, 0, 64, CRIME_TAG, 0) != 0) {
            return 2;
        }
        if (round == 0) {
            ExDeleteLookasideListEx(list);
            ExFreePoolWithTag(block, CRIME_TAG);
        }
    }
    crime_expect(DRIVER_VERIFIER_DETECTED_VIOLATION,
                 crime_number(0xCC),
                 crime_number((uintptr_t)list),
                 crime_number((uintptr_t)block),
                 crime_number(PAGE_SIZE));
    crime_tell("tag: Crim");
    deed(block);
    return crime_survived();
}
