/* SPDX-License-Identifier: MIT */
/*
 * wdm.h for drivers that are no pure WDM drivers: the same, with two names changed.
 *
 * ExAllocatePool supplies the tag "Ddk " and ExFreePool is a macro. Both functions stay reachable:
 * (ExFreePool)(block), or #undef.
 *
 * source      api.md 2.4, 2.12
 */
#ifndef EXP_WDK_NTDDK_H
#define EXP_WDK_NTDDK_H

#include "wdm.h"

#define EXP_WDK_TAG_DDK 0x206B6444u /* ' kdD' */

#undef ExAllocatePool
#define ExAllocatePool(PoolType, NumberOfBytes)                                                    \
    ExAllocatePoolWithTag((PoolType), (NumberOfBytes), EXP_WDK_TAG_DDK)

#define ExFreePool(P) ExFreePoolWithTag((P), 0)

#endif
