/* SPDX-License-Identifier: MIT */
/*
 * The malloc face: glibc's allocation functions over the pool.
 *
 * This file owns nothing but the translation. A call's payer is the module that called (module.h);
 * the work is done by exp_pool_face_*; here are errno, the rules about sizes and alignments, and
 * the functions that only report. All of glibc's functions are here, so that no block of one heap
 * can reach a function of the other. The list: the names among those that `nm -D libc.so.6` of
 * glibc 2.36 shows which allocate, free or describe the heap and are neither GLIBC_PRIVATE nor
 * hooks -
 *
 *     malloc calloc realloc reallocarray free cfree
 *     memalign aligned_alloc posix_memalign valloc pvalloc
 *     malloc_usable_size malloc_trim mallopt mallinfo mallinfo2 malloc_stats malloc_info
 *
 * - eighteen. cfree cannot be linked since glibc 2.26; old programs still ask for
 * cfree@GLIBC_2.2.5. glibc also shows eight aliases in the implementation's name space
 * (__libc_malloc and so on), which by their purpose reach glibc's own heap whatever has been put in
 * front of it. They are left alone: such a block must go back by __libc_free.
 *
 * Where glibc and the standards differ, glibc's behaviour is kept: an alignment that is no power of
 * two is rounded up to one; realloc to 0 bytes frees and returns NULL; posix_memalign sets errno
 * too when memory is short; mallopt answers 1 to whatever it is asked. Its parameters describe
 * glibc's arenas; they are accepted and change nothing.
 *
 * The functions that serve programs hold no lock and keep no state here, call no function of libc
 * on their fast paths, and so work before libc has started, in destructors of thread variables, and
 * in the child of a fork. No function here calls another of the exported ones, whose place a
 * program may have taken by its own.
 */
#include <expool.h>
#include <expool/region.h>

#include "core/tag.h"
#include "front/pool.h"
#include "preload/module.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CALLER() __builtin_return_address(0)

void cfree(void *block);

/* What the reporting functions tell; all in bytes. */
struct totals {
    uint64_t live;     /* in blocks */
    uint64_t held;     /* pages that serve blocks or caches of blocks */
    uint64_t held_max; /* highest value of held, each pool by itself */
    uint64_t idle;     /* free pages that the system has not got back yet */
};

/* ENOMEM and no block. */
static EXP_COLD void *fail(int error)
{
    errno = error;
    return NULL;
}

/* The slow half of malloc and calloc: the caller is not known yet, or there was no block. */
static EXP_COLD void *allocate_slowly(size_t bytes, const void *caller, bool zero)
{
    uint32_t number = exp_module_get(caller);
    void *block = NULL;

    if (number != 0 && bytes <= PTRDIFF_MAX) {
        block = exp_pool_face_allocate(bytes, number, zero);
    }
    return block != NULL ? block : fail(ENOMEM);
}

/* A block of bytes for caller, or NULL and ENOMEM. */
EXP_INLINE void *allocate(size_t bytes, const void *caller, bool zero)
{
    struct exp_pool_got got;

    if (EXP_UNLIKELY(!exp_pool_face_try(bytes, exp_module_find(caller), &got))) {
        return allocate_slowly(bytes, caller, zero);
    }
    return zero && !got.zero ? exp_pool_zero(got.block, bytes) : got.block;
}

/* Free a block or NULL; errno is kept, as the pool never touches it. */
EXP_INLINE void free_block(void *block)
{
    if (EXP_UNLIKELY(!exp_pool_try_free_any(block, false)) && block != NULL) {
        exp_pool_face_free(block);
    }
}

/*
 * A block at an alignment, as memalign takes it: any number.
 *
 *   error     receives EINVAL or ENOMEM when there is none
 */
static void *allocate_aligned(size_t alignment, size_t bytes, const void *caller, int *error)
{
    size_t power = EXP_GRANULE;
    size_t sum;

    *error = EINVAL;
    if (alignment > SIZE_MAX / 2 + 1) {
        return NULL;
    }
    while (power < alignment) {
        power <<= 1;
    }
    *error = ENOMEM;
    if (exp_add_overflows(bytes, power, &sum) || sum > PTRDIFF_MAX) {
        return NULL;
    }
    uint32_t number = exp_module_number(caller);
    return number == 0 ? NULL : exp_pool_face_allocate_aligned(bytes, power, number);
}

/* The same, with errno. */
static void *allocate_aligned_errno(size_t alignment, size_t bytes, const void *caller)
{
    int error;
    void *block = allocate_aligned(alignment, bytes, caller, &error);

    return block != NULL ? block : fail(error);
}

/* Change the size of a block, as realloc. */
EXP_INLINE void *resize(void *block, size_t bytes, const void *caller)
{
    if (block == NULL) {
        return allocate(bytes, caller, false);
    }
    if (bytes == 0) {
        free_block(block);
        return NULL;
    }
    uint32_t number = exp_module_number(caller);
    void *place = NULL;
    if (number != 0 && bytes <= PTRDIFF_MAX) {
        place = exp_pool_face_resize(block, bytes, number);
    }
    return EXP_LIKELY(place != NULL) ? place : fail(ENOMEM);
}

EXP_EXPORT void *malloc(size_t bytes)
{
    return allocate(bytes, CALLER(), false);
}

EXP_EXPORT void *calloc(size_t count, size_t bytes)
{
    size_t total;

    if (EXP_UNLIKELY(exp_mul_overflows(count, bytes, &total))) {
        return fail(ENOMEM);
    }
    return allocate(total, CALLER(), true);
}

EXP_EXPORT void *realloc(void *block, size_t bytes)
{
    return resize(block, bytes, CALLER());
}

EXP_EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
    size_t total;

    if (EXP_UNLIKELY(exp_mul_overflows(count, bytes, &total))) {
        return fail(ENOMEM);
    }
    return resize(block, total, CALLER());
}

EXP_EXPORT void free(void *block)
{
    free_block(block);
}

EXP_EXPORT void cfree(void *block)
{
    free_block(block);
}

EXP_EXPORT void *memalign(size_t alignment, size_t bytes)
{
    return allocate_aligned_errno(alignment, bytes, CALLER());
}

EXP_EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return allocate_aligned_errno(alignment, bytes, CALLER());
}

EXP_EXPORT int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    int saved_errno = errno;
    int error;

    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
        return EINVAL;
    }
    void *place = allocate_aligned(alignment, bytes, CALLER(), &error);
    errno = saved_errno;
    if (place == NULL) {
        errno = error;
        return error;
    }
    *block = place;
    return 0;
}

EXP_EXPORT void *valloc(size_t bytes)
{
    return allocate_aligned_errno((size_t)getpagesize(), bytes, CALLER());
}

EXP_EXPORT void *pvalloc(size_t bytes)
{
    size_t page_bytes = (size_t)getpagesize();

    if (bytes > PTRDIFF_MAX) {
        return fail(ENOMEM);
    }
    return allocate_aligned_errno(page_bytes, exp_round_up(bytes, page_bytes), CALLER());
}

EXP_EXPORT size_t malloc_usable_size(void *block)
{
    return block == NULL ? 0 : exp_pool_face_size(block);
}

/* Bytes in blocks now: all that was freed is read first, so that a running program gives no
 * nonsense. */
static uint64_t live_bytes(const struct expool_region_header *region)
{
    const struct expool_region_section *section = &region->section[EXPOOL_SECTION_ROWS];
    const char *rows = (const char *)region + section->offset;
    uint64_t count = exp_atomic_load_acquire(&section->count);
    uint64_t in = 0, out = 0;

    for (uint64_t i = 0; i < count; i++) {
        const struct expool_region_row *row = (const void *)(rows + i * section->entry_bytes);
        out += exp_atomic_load_acquire(&row->bytes_out);
    }
    for (uint64_t i = 0; i < count; i++) {
        const struct expool_region_row *row = (const void *)(rows + i * section->entry_bytes);
        in += exp_atomic_load(&row->bytes_in);
    }
    return in > out ? in - out : 0;
}

static struct totals totals_now(void)
{
    const struct expool_region_header *region = exp_tag_region();
    struct totals totals = { 0 };

    if (region == NULL) {
        return totals;
    }
    totals.live = live_bytes(region);
    for (int i = 0; i < EXPOOL_REGION_POOL_COUNT; i++) {
        totals.held += exp_atomic_load(&region->pool[i].pages) * EXP_PAGE_BYTES;
        totals.held_max += exp_atomic_load(&region->pool[i].pages_peak) * EXP_PAGE_BYTES;
        totals.idle += exp_atomic_load(&region->pool[i].dirty_pages) * EXP_PAGE_BYTES;
    }
    return totals;
}

/*
 * Everything the program got from the system counts as one arena; there are no separate mappings.
 * Numbers of free pieces are not kept, and are told as 0.
 */
EXP_EXPORT struct mallinfo2 mallinfo2(void)
{
    struct totals totals = totals_now();
    size_t arena = totals.held + totals.idle;

    return (struct mallinfo2){
        .arena = arena,
        .uordblks = totals.live,
        .fordblks = arena > totals.live ? arena - totals.live : 0,
        .keepcost = totals.idle,
    };
}

/* As documented, numbers past INT_MAX wrap. */
EXP_EXPORT struct mallinfo mallinfo(void)
{
    struct totals totals = totals_now();
    size_t arena = totals.held + totals.idle;

    return (struct mallinfo){
        .arena = (int)arena,
        .uordblks = (int)totals.live,
        .fordblks = arena > totals.live ? (int)(arena - totals.live) : 0,
        .keepcost = (int)totals.idle,
    };
}

EXP_EXPORT int mallopt(int parameter, int value)
{
    (void)parameter;
    (void)value;
    return 1;
}

/* 1 when memory went back to the system; how much to keep (pad) is the pool's own decision. */
EXP_EXPORT int malloc_trim(size_t pad)
{
    const struct expool_region_header *region = exp_tag_region();
    int saved_errno = errno;
    uint64_t before;

    (void)pad;
    if (region == NULL) {
        return 0;
    }
    before = exp_atomic_load(&region->purged_pages);
    expool_trim();
    errno = saved_errno;
    return exp_atomic_load(&region->purged_pages) != before;
}

EXP_EXPORT void malloc_stats(void)
{
    struct totals totals = totals_now();
    uint64_t system = totals.held + totals.idle;

    fprintf(stderr,
            "Arena 0:\n"
            "system bytes     = %10llu\n"
            "in use bytes     = %10llu\n"
            "Total (incl. mmap):\n"
            "system bytes     = %10llu\n"
            "in use bytes     = %10llu\n"
            "max mmap regions = %10u\n"
            "max mmap bytes   = %10u\n",
            (unsigned long long)system,
            (unsigned long long)totals.live,
            (unsigned long long)system,
            (unsigned long long)totals.live,
            0u,
            0u);
}

EXP_EXPORT int malloc_info(int options, FILE *file)
{
    struct totals totals = totals_now();
    unsigned long long system = totals.held + totals.idle;
    unsigned long long system_max = totals.held_max > system ? totals.held_max : system;
    unsigned long long rest = system > totals.live ? system - totals.live : 0;
    const char *const sums = "<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
                             "<total type=\"rest\" count=\"0\" size=\"%llu\"/>\n";
    const char *const systems = "<system type=\"current\" size=\"%llu\"/>\n"
                                "<system type=\"max\" size=\"%llu\"/>\n"
                                "<aspace type=\"total\" size=\"%llu\"/>\n"
                                "<aspace type=\"mprotect\" size=\"%llu\"/>\n";

    if (options != 0) {
        return EINVAL;
    }
    fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n", file);
    fprintf(file, sums, rest);
    fprintf(file, systems, system, system_max, system, system);
    fputs("</heap>\n", file);
    fprintf(file, sums, rest);
    fputs("<total type=\"mmap\" count=\"0\" size=\"0\"/>\n", file);
    fprintf(file, systems, system, system_max, system, system);
    fputs("</malloc>\n", file);
    return 0;
}
