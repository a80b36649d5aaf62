/* SPDX-License-Identifier: MIT */
/*
 * Pool routines of file systems: those of the pool, but no failure comes back; part of ntifs.h.
 *
 *   parameters, owns, stops   as the routine named in the comment
 *   returns     the block, always. Raises STATUS_INSUFFICIENT_RESOURCES, and for the quota routines
 *               STATUS_QUOTA_EXCEEDED, also where PoolType asks for NULL
 *   irql        paged <= APC_LEVEL, else <= DISPATCH_LEVEL
 *   source      api.md 2.8, 2.12, 9.27; FsRtlAllocatePoolWithTag page
 */
#ifndef EXP_WDK_WDMFSRTL_H
#define EXP_WDK_WDMFSRTL_H

#include "wdmpool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXP_WDK_TAG_FSRTL 0x74725346u /* 'trSF' */
#define EXP_WDK_RAISING(type)                                                                      \
    ((POOL_TYPE)(((ULONG)(type) | POOL_RAISE_IF_ALLOCATION_FAILURE) &                              \
                 ~(ULONG)POOL_QUOTA_FAIL_INSTEAD_OF_RAISE))

/* ExAllocatePoolWithTag */
#define FsRtlAllocatePoolWithTag(PoolType, NumberOfBytes, Tag)                                     \
    ExAllocatePoolWithTag(EXP_WDK_RAISING(PoolType), (NumberOfBytes), (Tag))

/* ExAllocatePoolWithQuotaTag */
#define FsRtlAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, Tag)                                \
    ExAllocatePoolWithQuotaTag(EXP_WDK_RAISING(PoolType), (NumberOfBytes), (Tag))

/* ExAllocatePoolWithTag under the tag FSrt. Obsolete. */
static inline PVOID FsRtlAllocatePool(POOL_TYPE PoolType, ULONG NumberOfBytes)
{
    return FsRtlAllocatePoolWithTag(PoolType, NumberOfBytes, EXP_WDK_TAG_FSRTL);
}

/* ExAllocatePoolWithQuotaTag under the tag FSrt. Obsolete. */
static inline PVOID FsRtlAllocatePoolWithQuota(POOL_TYPE PoolType, ULONG NumberOfBytes)
{
    return FsRtlAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, EXP_WDK_TAG_FSRTL);
}

#ifdef __cplusplus
}
#endif

#endif
