/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's loops over malloc, calloc, realloc and free: whichever library LD_PRELOAD brings.
 *
 * Built with -fno-builtin, so that the compiler takes no pair of calls away. Tags are not looked
 * at.
 */
#include <stdint.h>
#include <stdlib.h>

#define BENCH_RESIZES

static inline void *bench_allocate(size_t bytes, uint32_t tag)
{
    (void)tag;
    return malloc(bytes);
}

static inline void *bench_allocate_zeroed(size_t bytes, uint32_t tag)
{
    (void)tag;
    return calloc(1, bytes);
}

static inline void bench_free(void *block, uint32_t tag)
{
    (void)tag;
    free(block);
}

static inline void *bench_resize(void *block, size_t bytes)
{
    return realloc(block, bytes);
}

#include "loops.h"

int main(int argument_count, char **argument)
{
    return bench_main(argument_count, argument);
}
