/* SPDX-License-Identifier: MIT */
/* What the crimes at secure blocks share. */
#ifndef SECURE_CRIME_H
#define SECURE_CRIME_H

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

#endif
