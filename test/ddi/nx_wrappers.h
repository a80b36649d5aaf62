/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of the opt-in definitions: ExAllocatePoolZero gives zeros where dirt was.
 *
 * The including file has made its definitions before.
 */
#ifndef EXP_NX_WRAPPERS_H
#define EXP_NX_WRAPPERS_H

#include "ddi_test.h"

static void check_zero_wrapper(void)
{
    static const size_t sizes[] = { 1, 16, 100, 4000, 4096, 10000, 100000 };
    static const POOL_TYPE types[] = { PagedPool, NonPagedPoolNx, NonPagedPoolExecute };

    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); ++t) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
            for (int pass = 0; pass < 3; ++pass) {
                uint8_t *block = ddi_opaque(ExAllocatePoolZero(types[t], sizes[i], 'oreZ'));

                DDI_TRUE_FOR(block != NULL && ddi_all_bytes(block, sizes[i], 0), sizes[i]);
                memset(block, 0xD1, sizes[i]);
                ExFreePoolWithTag(block, 'oreZ');
            }
        }
    }
    DDI_TRUE(ExAllocatePoolZero(PagedPool, ddi_size(SIZE_MAX), 'oreZ') == NULL);
}

#endif
