/* SPDX-License-Identifier: MIT */
/*
 * A library for malloc_life.c and malloc_module.c to load: allocates in its constructor, frees in
 * its destructor, and allocates on demand. Compiled twice, with PLUGIN_SALT 1 and 2.
 */
#include <stdlib.h>
#include <string.h>

static char *kept[64];
static __thread char *lazily[8]; /* dynamic thread variables: the dynamic linker allocates them */

__attribute__((constructor)) static void start(void)
{
    for (unsigned i = 0; i < 64; i++) {
        kept[i] = malloc(100 + i * 50);
        memset(kept[i], PLUGIN_SALT, 100);
    }
}

__attribute__((destructor)) static void finish(void)
{
    for (unsigned i = 0; i < 64; i++) {
        free(kept[i]);
    }
}

/* A block of bytes that this library pays. */
void *plugin_allocate(size_t bytes)
{
    char *block = malloc(bytes);
    if (block != NULL) {
        memset(block, PLUGIN_SALT, bytes);
    }
    return block;
}

/* Use thread variables of a library that was loaded late. */
int plugin_touch(void)
{
    if (lazily[0] == NULL) {
        lazily[0] = malloc(300);
        memset(lazily[0], PLUGIN_SALT, 300);
    }
    int first = lazily[0][0];
    free(lazily[0]);
    lazily[0] = NULL;
    return first;
}

/* Grow somebody else's block. */
void *plugin_grow(void *block, size_t bytes)
{
    return realloc(block, bytes);
}
