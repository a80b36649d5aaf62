/* SPDX-License-Identifier: MIT */
/*
 * The program whose instructions are counted: N times allocate one block and free it again.
 *
 *     count DOOR BYTES N       DOOR: malloc, calloc, pool, pool-zeroed (the pool needs COUNT_POOL)
 *                                    nothing, calloc-nothing, pool-nothing: the same with empty
 * doors
 *
 * callgrind collects inside count_allocate() or count_free() alone. Both call through a pointer, so
 * that every door pays the same frame: what an empty door costs, less its own few instructions, is
 * subtracted by the driver. What stays is the operation, call and return included, without a jump
 * of the linker. The first blocks are allocated and freed before N counts: the driver takes the
 * difference of N and 2N.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef COUNT_POOL
#include <wdm.h>
#endif

enum {
    TAG = 0x68636e42, /* "Bnch" */
    WARM_BLOCKS = 4
};

typedef void *allocate_function(size_t bytes);
typedef void *calloc_function(size_t count, size_t bytes);
typedef void free_function(void *block);
typedef void *pool_allocate_function(unsigned long long flags, size_t bytes, uint32_t tag);
typedef void pool_free_function(void *block, uint32_t tag);

/* The doors of this run, read anew at each call. */
static struct {
    allocate_function *volatile allocate;
    calloc_function *volatile calloc;
    free_function *volatile free;
    pool_allocate_function *volatile pool_allocate;
    pool_free_function *volatile pool_free;
    unsigned long long pool_flags;
} door;

static unsigned char nothing_block[65536];

static __attribute__((noinline)) void *nothing_allocate(size_t bytes)
{
    (void)bytes;
    return nothing_block;
}

static __attribute__((noinline)) void nothing_free(void *block)
{
    (void)block;
}

static __attribute__((noinline)) void *nothing_calloc(size_t count, size_t bytes)
{
    (void)count, (void)bytes;
    return nothing_block;
}

#ifdef COUNT_POOL
static __attribute__((noinline)) void *nothing_pool_allocate(unsigned long long flags,
                                                             size_t bytes,
                                                             uint32_t tag)
{
    (void)flags, (void)bytes, (void)tag;
    return nothing_block;
}

static __attribute__((noinline)) void nothing_pool_free(void *block, uint32_t tag)
{
    (void)block, (void)tag;
}
#endif

/* The empty statement after the call keeps it a call: a jump would return from here, not to here.
 */
__attribute__((noinline)) void *count_allocate(size_t bytes)
{
    void *block;
    if (door.pool_allocate != NULL) {
        block = door.pool_allocate(door.pool_flags, bytes, TAG);
    } else if (door.calloc != NULL) {
        block = door.calloc(1, bytes);
    } else {
        block = door.allocate(bytes);
    }
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

__attribute__((noinline)) void count_free(void *block)
{
    if (door.pool_free != NULL) {
        door.pool_free(block, TAG);
    } else {
        door.free(block);
    }
    __asm__ volatile("" : : : "memory");
}

static int choose_door(const char *name)
{
    if (strcmp(name, "malloc") == 0) {
        door.allocate = malloc;
        door.free = free;
    } else if (strcmp(name, "calloc") == 0) {
        door.calloc = calloc;
        door.free = free;
    } else if (strcmp(name, "nothing") == 0) {
        door.allocate = nothing_allocate;
        door.free = nothing_free;
    } else if (strcmp(name, "calloc-nothing") == 0) {
        door.calloc = nothing_calloc;
        door.free = nothing_free;
#ifdef COUNT_POOL
    } else if (strcmp(name, "pool") == 0 || strcmp(name, "pool-zeroed") == 0) {
        door.pool_allocate = ExAllocatePool2;
        door.pool_free = ExFreePoolWithTag;
        door.pool_flags = POOL_FLAG_NON_PAGED | (name[4] == 0 ? POOL_FLAG_UNINITIALIZED : 0);
    } else if (strcmp(name, "pool-nothing") == 0) {
        door.pool_allocate = nothing_pool_allocate;
        door.pool_free = nothing_pool_free;
#endif
    } else {
        return -1;
    }
    return 0;
}

int main(int argument_count, char **argument)
{
    if (argument_count != 4 || choose_door(argument[1]) != 0) {
        fprintf(stderr, "usage: count DOOR BYTES N\n");
        return 2;
    }
    size_t bytes = strtoull(argument[2], NULL, 10);
    unsigned long times = strtoul(argument[3], NULL, 10);
    for (unsigned long i = 0; i < times + WARM_BLOCKS; i++) {
        unsigned char *block = count_allocate(bytes);
        if (block == NULL) {
            fprintf(stderr, "count: no memory\n");
            return 4;
        }
        block[0] = (unsigned char)i;
        block[bytes - 1] = 1;
        count_free(block);
    }
    return 0;
}
