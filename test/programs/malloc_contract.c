/* SPDX-License-Identifier: MIT */
/*
 * Every allocation function's contract, as lines of text that are the same on every right malloc.
 *
 * Run once on libc's own malloc and once on the pool; test/tool/malloc_face_test.py compares the
 * lines. Only what the two may do differently is left out: addresses and usable sizes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cfree can be linked only under the version that old programs ask for. */
void old_cfree(void *block);
__asm__(".symver old_cfree, cfree@GLIBC_2.2.5");

enum { MARK = 77 }; /* an errno that nothing sets */

static const size_t hard_sizes[] = {
    SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 16, SIZE_MAX - 4095, SIZE_MAX - 4096,
    SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 1, PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 15, (size_t)1 << 60,
};
enum { HARD_COUNT = sizeof(hard_sizes) / sizeof(hard_sizes[0]) };

static const size_t sizes[] = {
    0,    1,    8,    15,   16,    17,    24,    100,   128,    129,    255,     1000,    1024,
    2040, 2048, 2049, 3000, 4080,  4081,  4095,  4096,  4097,   5000,   8192,    12289,   16384,
    30000, 65536, 65537, 100000, 131072, 262145, 1048576, 1048577, 5000000, 33554433,
};
enum { SIZE_COUNT = sizeof(sizes) / sizeof(sizes[0]) };

static unsigned char pattern(size_t i, unsigned salt)
{
    return (unsigned char)(i * 31 + (i >> 8) * 7 + salt);
}

static void fill(void *block, size_t bytes, unsigned salt)
{
    unsigned char *p = block;
    for (size_t i = 0; i < bytes; i++) {
        p[i] = pattern(i, salt);
    }
}

static bool holds(const void *block, size_t bytes, unsigned salt)
{
    const unsigned char *p = block;
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != pattern(i, salt)) {
            return false;
        }
    }
    return true;
}

static bool is_zero(const void *block, size_t bytes)
{
    const unsigned char *p = block;
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_aligned(const void *block, size_t alignment)
{
    return (uintptr_t)block % alignment == 0;
}

/* One line: whether there is a block, and errno; frees it. */
static void tell(const char *call, size_t argument, void *block)
{
    int error = errno;
    printf("%s(%zu): %s errno %d\n", call, argument, block != NULL ? "block" : "NULL", error);
    free(block);
    errno = MARK;
}

static void test_sizes(void)
{
    for (int i = 0; i < SIZE_COUNT; i++) {
        size_t bytes = sizes[i];
        errno = MARK;
        void *a = malloc(bytes);
        void *b = malloc(bytes);
        fill(a, bytes, 1);
        fill(b, bytes, 2);
        printf("malloc(%zu): %d distinct %d aligned %d usable %d holds %d errno %d\n", bytes,
               a != NULL, a != b, is_aligned(a, 16) && is_aligned(b, 16),
               malloc_usable_size(a) >= bytes, holds(a, bytes, 1) && holds(b, bytes, 2), errno);
        size_t usable = malloc_usable_size(a);
        fill(a, usable, 3);
        printf("usable bytes are usable: %d %d\n", holds(a, usable, 3), holds(b, bytes, 2));
        free(a);
        a = calloc(1, bytes);
        printf("calloc after a dirty free: zero %d aligned %d\n", is_zero(a, bytes),
               is_aligned(a, 16));
        free(b);
        free(a);
        printf("errno after frees %d\n", errno);
    }
    printf("malloc_usable_size(NULL) %zu\n", malloc_usable_size(NULL));
}

static void test_hard_sizes(void)
{
    errno = MARK;
    for (int i = 0; i < HARD_COUNT; i++) {
        size_t bytes = hard_sizes[i];
        void *block = malloc(24);
        fill(block, 24, 9);
        tell("malloc", bytes, malloc(bytes));
        tell("calloc 1", bytes, calloc(1, bytes));
        tell("calloc n 1", bytes, calloc(bytes, 1));
        tell("calloc n n", bytes, calloc(bytes, bytes));
        tell("calloc n/2+1 2", bytes, calloc(bytes / 2 + 1, 2));
        tell("realloc NULL", bytes, realloc(NULL, bytes));
        tell("realloc", bytes, realloc(block, bytes));
        tell("reallocarray", bytes, reallocarray(block, bytes, 1));
        tell("reallocarray n n", bytes, reallocarray(block, bytes, bytes));
        tell("reallocarray NULL", bytes, reallocarray(NULL, bytes, 3));
        tell("memalign 8", bytes, memalign(8, bytes));
        tell("memalign 64", bytes, memalign(64, bytes));
        tell("aligned_alloc 4096", bytes, aligned_alloc(4096, bytes));
        tell("valloc", bytes, valloc(bytes));
        tell("pvalloc", bytes, pvalloc(bytes));
        void *place = (void *)1;
        int error = posix_memalign(&place, 64, bytes);
        printf("posix_memalign(%zu): %d, pointer kept %d, errno %d\n",
               bytes,
               error,
               place == (void *)1,
               errno);
        errno = MARK;
        printf("block after failed reallocs: %d\n", holds(block, 24, 9));
        free(block);
    }
}

static void test_realloc(void)
{
    errno = MARK;
    for (int i = 0; i < SIZE_COUNT; i++) {
        for (int j = 0; j < SIZE_COUNT; j += 1 + (i > 25)) {
            size_t from = sizes[i], to = sizes[j];
            if (from == 0 || to == 0) {
                continue;
            }
            void *block = malloc(from);
            fill(block, from, (unsigned)i);
            block = realloc(block, to);
            size_t kept = from < to ? from : to;
            bool good = block != NULL && is_aligned(block, 16) && holds(block, kept, (unsigned)i) &&
                        malloc_usable_size(block) >= to;
            if (!good) {
                printf("realloc %zu to %zu is wrong\n", from, to);
            }
            fill(block, to, 5);
            free(block);
        }
    }
    printf("realloc over all pairs: errno %d\n", errno);
    size_t grown = 1;
    unsigned char *block = malloc(grown);
    block[0] = pattern(0, 4);
    while (grown < 20000000) {
        size_t next = grown + grown / 3 + 1;
        block = realloc(block, next);
        for (size_t i = grown; i < next; i++) {
            block[i] = pattern(i, 4);
        }
        grown = next;
    }
    printf("grown in steps: %d\n", holds(block, grown, 4));
    while (grown > 1) {
        grown = grown * 2 / 3;
        block = realloc(block, grown);
        if (!holds(block, grown, 4)) {
            printf("shrunk to %zu is wrong\n", grown);
        }
    }
    errno = MARK;
    printf("realloc to 0: %d errno %d\n", realloc(block, 0) == NULL, errno);
    printf("reallocarray to 0: %d errno %d\n", reallocarray(malloc(9), 0, 5) == NULL, errno);
    tell("realloc(NULL, 0)", 0, realloc(NULL, 0));
    tell("reallocarray(NULL, 0, 9)", 0, reallocarray(NULL, 0, 9));
    tell("reallocarray(NULL, 9, 9)", 81, reallocarray(NULL, 9, 9));
    void *aligned = memalign(4096, 100);
    fill(aligned, 100, 8);
    aligned = realloc(aligned, 50000);
    printf("realloc of an aligned block: %d\n", holds(aligned, 100, 8));
    free(aligned);
}

static void test_alignment(void)
{
    static const size_t odd[] = { 0, 1, 2, 3, 7, 8, 9, 17, 24, 31, 33, 48, 100, 1000, 3000, 5000 };
    static const size_t lengths[] = { 0, 1, 16, 100, 500, 1000, 3000, 4096, 10000, 100000 };

    errno = MARK;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        size_t power = 16;
        while (power < odd[i]) {
            power *= 2;
        }
        void *a = memalign(odd[i], 100);
        void *b = aligned_alloc(odd[i], 100);
        void *c = NULL;
        int error = posix_memalign(&c, odd[i], 100);
        printf("alignment %zu: memalign %d aligned_alloc %d posix_memalign %d errno %d\n", odd[i],
               is_aligned(a, power), is_aligned(b, power), error, errno);
        free(a);
        free(b);
        free(c);
    }
    for (size_t alignment = 8; alignment <= (size_t)1 << 24; alignment *= 2) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            void *blocks[4];
            bool good = true;
            blocks[0] = memalign(alignment, lengths[i]);
            blocks[1] = aligned_alloc(alignment, lengths[i]);
            good = posix_memalign(&blocks[2], alignment, lengths[i]) == 0;
            blocks[3] = malloc(lengths[i]);
            for (unsigned k = 0; k < 4; k++) {
                good = good && blocks[k] != NULL && malloc_usable_size(blocks[k]) >= lengths[i];
                good = good && (k == 3 || is_aligned(blocks[k], alignment));
                fill(blocks[k], lengths[i], k);
            }
            for (unsigned k = 0; k < 4; k++) {
                good = good && holds(blocks[k], lengths[i], k);
            }
            for (unsigned k = 0; k < 4; k++) {
                free(blocks[k]);
            }
            if (!good) {
                printf("alignment %zu with %zu bytes is wrong\n", alignment, lengths[i]);
            }
        }
    }
    printf("powers: errno %d\n", errno);
    tell("memalign SIZE_MAX/2+1", 16, memalign(SIZE_MAX / 2 + 1, 16));
    tell("memalign SIZE_MAX/2+2", 16, memalign(SIZE_MAX / 2 + 2, 16));
    tell("aligned_alloc SIZE_MAX", 16, aligned_alloc(SIZE_MAX, 16));
    tell("aligned_alloc SIZE_MAX SIZE_MAX", SIZE_MAX, aligned_alloc(SIZE_MAX, SIZE_MAX));
    tell("memalign 1<<62", 16, memalign((size_t)1 << 62, 16));
    void *place = (void *)1;
    printf("posix_memalign 1<<63: %d\n", posix_memalign(&place, (size_t)1 << 63, 16));
    printf("posix_memalign SIZE_MAX: %d\n", posix_memalign(&place, SIZE_MAX, 16));
    errno = MARK;
    size_t page = (size_t)getpagesize();
    for (int i = 0; i < SIZE_COUNT; i++) {
        void *v = valloc(sizes[i]);
        void *p = pvalloc(sizes[i]);
        size_t rounded = (sizes[i] + page - 1) / page * page;
        printf("valloc %d %d pvalloc %d %d errno %d\n", is_aligned(v, page),
               malloc_usable_size(v) >= sizes[i], is_aligned(p, page),
               malloc_usable_size(p) >= rounded, errno);
        fill(p, rounded, 1);
        free(v);
        free(p);
    }
}

static void test_free(void)
{
    errno = MARK;
    free(NULL);
    old_cfree(NULL);
    old_cfree(malloc(100));
    printf("free(NULL), cfree: errno %d\n", errno);
    static void *blocks[20000];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20000; i++) {
            blocks[i] = malloc(16u + (unsigned)(i * 37 % 2000) * (1u + (unsigned)round));
            memset(blocks[i], 1, 16);
        }
        for (int i = 0; i < 20000; i++) {
            free(blocks[i]);
        }
        void *big = malloc(100000000);
        memset(big, 1, 10000000);
        free(big);
        malloc_trim(0);
        printf("free of much: errno %d\n", errno);
    }
}

/* Bytes in blocks, however the two mallocs split them. */
static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_reports(void)
{
    static const int parameters[] = { M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD,
                                      M_MMAP_MAX, M_PERTURB, M_ARENA_TEST, M_ARENA_MAX };
    size_t before = in_use();
    void *big = malloc(10000000);
    void *small[1000];
    for (int i = 0; i < 1000; i++) {
        small[i] = malloc(1000);
    }
    size_t during = in_use();
    struct mallinfo old = mallinfo();
    struct mallinfo2 info = mallinfo2();
    printf("in use grows: %d\n", during - before >= 11000000 && during - before < 12000000);
    printf("mallinfo agrees: %d %d\n", old.uordblks == (int)info.uordblks,
           old.arena == (int)info.arena);
    printf("arena holds blocks: %d\n", info.arena >= info.uordblks && info.arena > 0);
    for (int i = 0; i < 1000; i++) {
        free(small[i]);
    }
    free(big);
    size_t after = in_use();
    printf("in use falls: %d\n", after >= before ? after - before < 65536 : before - after < 65536);
    errno = MARK;
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        printf("mallopt(%d): %d\n", parameters[i], mallopt(parameters[i], 0));
    }
    printf("mallopt of nothing: %d\n", mallopt(12345, 0));
    int trimmed = malloc_trim(0);
    printf("malloc_trim: %d errno %d\n", trimmed == 0 || trimmed == 1, errno);
    printf("malloc_info(1): %d\n", malloc_info(1, stdout));
    printf("errno after malloc_info %d\n", errno);
    FILE *file = fopen(getenv("MALLOC_INFO_FILE"), "w");
    printf("malloc_info(0): %d\n", malloc_info(0, file));
    fclose(file);
    malloc_stats();
}

int main(void)
{
    test_sizes();
    test_hard_sizes();
    test_realloc();
    test_alignment();
    test_free();
    test_reports();
    return 0;
}
