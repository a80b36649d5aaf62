/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's loops over ExAllocatePool2 and ExFreePoolWithTag: nonpaged pool, the tag checked
 * at every free, zeroed only where the loop asks for it.
 */
#include <stdint.h>
#include <wdm.h>

static inline void *bench_allocate(size_t bytes, uint32_t tag)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, bytes, tag);
}

static inline void *bench_allocate_zeroed(size_t bytes, uint32_t tag)
{
    return ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, tag);
}

static inline void bench_free(void *block, uint32_t tag)
{
    ExFreePoolWithTag(block, tag);
}

#include "loops.h"

int main(int argument_count, char **argument)
{
    return bench_main(argument_count, argument);
}
