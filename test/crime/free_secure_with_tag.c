/* SPDX-License-Identifier: MIT */
/*
 * A secure block is freed by ExFreePoolWithTag, with its own tag (0xC2/0x99).
 */
#include "crime.h"

/* A secure block of one page, and what frees it. */
static HANDLE handle;
static POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .Cookie = 7 };
static POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterSecurePool,
                                         .SecurePoolParams = &secure };

static void *secure_block(ULONG flags)
{
    if (!NT_SUCCESS(ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, CRIME_TAG, NULL, &handle))) {
        printf("no pool\n");
        exit(2);
    }
    secure.SecurePoolHandle = handle;
    secure.SecurePoolFlags = flags;
    return crime_opaque(ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, CRIME_TAG, &entry, 1));
}

int main(void)
{
    void *block = secure_block(SECURE_POOL_FLAGS_FREEABLE);

    crime_expect(BAD_POOL_CALLER,
                 crime_number(0x99),
                 crime_number((uintptr_t)block),
                 crime_number(0),
                 crime_number(0));
    crime_tell("tag: Crim");
    ExFreePoolWithTag(block, CRIME_TAG);
    return crime_survived();
}
