/* SPDX-License-Identifier: MIT */
/*
 * The loops of the benchmark, written once for every allocator.
 *
 * The including file says first how one block is had and given back:
 *
 *     static inline void *bench_allocate(size_t bytes, uint32_t tag);         contents unspecified
 *     static inline void *bench_allocate_zeroed(size_t bytes, uint32_t tag);  every byte 0
 *     static inline void bench_free(void *block, uint32_t tag);
 *     static inline void *bench_resize(void *block, size_t bytes);            only BENCH_RESIZES
 *
 * A loop is one process: "loops KIND A B MS" prints lines "name value", and exits with 3 when a
 * block did not keep what was written into it, 4 when there was no memory, 5 when KIND has no such
 * door.
 *
 * Time: a loop runs in batches of a known number of operations. Each batch is timed by itself, the
 * first is not counted, and the median batch is reported, so that another process on this processor
 * disturbs little. One thread's loop reads the thread's processor time; loops in which threads wait
 * for each other read the wall clock. Harness memory comes from mmap, so that the allocator sees
 * the loop alone.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    SAMPLE_COUNT_MAX = 4096,
    SAMPLE_COUNT_MIN = 5,
    SIZE_TABLE_COUNT = 1024,
    TAG_COUNT_MAX = 4096,
    BATCH_BLOCKS = 1000,
    HANDOVER_BLOCKS = 10000,
    THREAD_SET_BLOCKS = 10000,
    THREAD_COUNT_MAX = 64,
    GROW_STEP_BYTES = 64,
    GROW_STEP_END_BYTES = 16 << 10,
    GROW_FACTOR_END_BYTES = 1 << 20,
    MEMORY_BLOCKS = 1000000,
    EXIT_DAMAGED = 3,
    EXIT_NO_MEMORY = 4,
    EXIT_NO_DOOR = 5
};

/* Samples of one loop: nanoseconds of each batch. */
struct bench_timer {
    clockid_t clock;
    double begin_ns, last_ns;
    double budget_ns;
    unsigned batch_count; /* batches seen, the first one included */
    unsigned sample_count;
    double sample_ns[SAMPLE_COUNT_MAX];
};

static uint16_t size_table[SIZE_TABLE_COUNT];
static uint32_t tag_table[TAG_COUNT_MAX];

static inline void die_if(bool bad, int status, const char *what)
{
    if (__builtin_expect(bad, 0)) {
        fprintf(stderr, "loops: %s\n", what);
        exit(status);
    }
}

/* Keep the compiler from knowing what a pointer's memory holds. */
static inline void *opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* A number in 0 .. limit - 1; limit at most 2^32. */
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return ((random_next(state) >> 32) * limit) >> 32;
}

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void timer_start(struct bench_timer *timer, clockid_t clock, double budget_ms)
{
    timer->clock = clock;
    timer->budget_ns = budget_ms * 1e6;
    timer->batch_count = 0;
    timer->sample_count = 0;
}

/* Call before each batch: true while another one is wanted. */
static bool timer_next(struct bench_timer *timer)
{
    double now_ns = clock_ns(timer->clock);
    if (timer->batch_count >= 2) {
        timer->sample_ns[timer->sample_count++] = now_ns - timer->last_ns;
    } else {
        timer->begin_ns = now_ns;
    }
    timer->batch_count++;
    bool enough =
        timer->sample_count >= SAMPLE_COUNT_MIN && now_ns - timer->begin_ns >= timer->budget_ns;
    timer->last_ns = clock_ns(timer->clock);
    return !enough && timer->sample_count < SAMPLE_COUNT_MAX;
}

static int double_order(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double timer_median_ns(struct bench_timer *timer, double batch_operations)
{
    qsort(timer->sample_ns, timer->sample_count, sizeof timer->sample_ns[0], double_order);
    return timer->sample_ns[timer->sample_count / 2] / batch_operations;
}

/* Memory that the allocator under test does not see, already resident. */
static void *harness_pages(size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    die_if(pages == MAP_FAILED, EXIT_NO_MEMORY, "no memory for the harness");
    return pages;
}

/* Log-uniform sizes 16 .. 1024, and as many printable tags as asked. */
static void tables_fill(void)
{
    uint64_t state = 0x9E3779B97F4A7C15u;
    for (int i = 0; i < SIZE_TABLE_COUNT; i++) {
        uint64_t low = UINT64_C(16) << random_below(&state, 6);
        size_table[i] = (uint16_t)(low + random_below(&state, low + 1));
    }
    for (uint32_t i = 0; i < TAG_COUNT_MAX; i++) {
        uint32_t letters = ('A' + i % 26) | ('a' + i / 26 % 26) << 8 | ('a' + i / 676 % 26) << 16;
        tag_table[i] = letters | (uint32_t)'x' << 24;
    }
}

/* ---- one block ---- */

static inline void ends_write(unsigned char *block, size_t bytes, uint64_t mark)
{
    block[0] = (unsigned char)mark;
    block[bytes - 1] = (unsigned char)mark;
}

static inline void ends_check(const unsigned char *block, size_t bytes, uint64_t mark)
{
    bool bad = block[0] != (unsigned char)mark || block[bytes - 1] != (unsigned char)mark;
    die_if(bad, EXIT_DAMAGED, "a block lost what was written");
}

/* What does one block cost, allocated and freed again, first and last byte written and checked? */
static void loop_one(size_t bytes, bool zeroed, double budget_ms)
{
    enum {
        OPERATIONS = 20000
    };
    static struct bench_timer timer;
    timer_start(&timer, CLOCK_THREAD_CPUTIME_ID, budget_ms);
    while (timer_next(&timer)) {
        for (uint64_t i = 0; i < OPERATIONS; i++) {
            unsigned char *block;
            if (zeroed) {
                block = opaque(bench_allocate_zeroed(bytes, tag_table[0]));
                die_if(block == NULL, EXIT_NO_MEMORY, "no memory");
                bool dirty = (block[0] | block[bytes / 2] | block[bytes - 1]) != 0;
                die_if(dirty, EXIT_DAMAGED, "a zeroed block is not zero");
                block[bytes / 2] = 0xA5;
            } else {
                block = opaque(bench_allocate(bytes, tag_table[0]));
                die_if(block == NULL, EXIT_NO_MEMORY, "no memory");
            }
            ends_write(block, bytes, i | 1);
            block = opaque(block);
            ends_check(block, bytes, i | 1);
            bench_free(block, tag_table[0]);
        }
    }
    printf("ns %.3f\n", timer_median_ns(&timer, OPERATIONS));
}

/* What does a block cost when 1000 are allocated, then freed in the same order? */
static void loop_batch(size_t bytes, double budget_ms)
{
    enum {
        REPEATS = 10
    };
    static struct bench_timer timer;
    static unsigned char *block[BATCH_BLOCKS];
    timer_start(&timer, CLOCK_THREAD_CPUTIME_ID, budget_ms);
    while (timer_next(&timer)) {
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            for (uint64_t i = 0; i < BATCH_BLOCKS; i++) {
                block[i] = bench_allocate(bytes, tag_table[0]);
                die_if(block[i] == NULL, EXIT_NO_MEMORY, "no memory");
                ends_write(block[i], bytes, i);
            }
            for (uint64_t i = 0; i < BATCH_BLOCKS; i++) {
                ends_check(block[i], bytes, i);
                bench_free(block[i], tag_table[0]);
            }
        }
    }
    printf("ns %.3f\n", timer_median_ns(&timer, REPEATS * BATCH_BLOCKS));
}

/* ---- random replacement ---- */

/* A live block: address in the low 48 bits, bytes above; 0 = none yet. The tag follows from its
 * index. */
struct live_set {
    uint64_t *entry;
    uint64_t count;
    uint32_t tag_count;
    bool touch;
    uint64_t random;
};

/* Free the index-th block, if there is one, and put another into its place. */
static inline void live_replace(struct live_set *set, uint64_t index)
{
    uint32_t tag = tag_table[index % set->tag_count];
    uint64_t entry = set->entry[index];
    if (__builtin_expect(entry != 0, 1)) {
        uint64_t *block = (uint64_t *)(uintptr_t)(entry & ((UINT64_C(1) << 48) - 1));
        bool bad = set->touch && *block != (entry ^ index);
        die_if(bad, EXIT_DAMAGED, "a live block lost what was written");
        bench_free(block, tag);
    }
    size_t bytes = size_table[random_next(&set->random) >> 54];
    uint64_t *block = bench_allocate(bytes, tag);
    die_if(block == NULL, EXIT_NO_MEMORY, "no memory");
    entry = (uint64_t)(uintptr_t)block | (uint64_t)bytes << 48;
    if (set->touch) {
        *block = entry ^ index;
    }
    set->entry[index] = entry;
}

static void live_fill(struct live_set *set)
{
    for (uint64_t i = 0; i < set->count; i++) {
        live_replace(set, i);
    }
    uint64_t settle = set->count < 1000000 ? set->count * 2 : set->count / 2;
    for (uint64_t i = 0; i < settle; i++) {
        live_replace(set, random_below(&set->random, set->count));
    }
}

static double live_churn_ns(struct live_set *set, struct bench_timer *timer)
{
    enum {
        OPERATIONS = 10000
    };
    while (timer_next(timer)) {
        for (int i = 0; i < OPERATIONS; i++) {
            live_replace(set, random_below(&set->random, set->count));
        }
    }
    return timer_median_ns(timer, OPERATIONS);
}

/* What does it cost to replace a random one of count live blocks of mixed sizes? */
static void loop_replace(uint64_t count, uint32_t tag_count, bool touch, double budget_ms)
{
    static struct bench_timer timer;
    struct live_set set = {
        .count = count, .tag_count = tag_count, .touch = touch, .random = 88172645463325252
    };
    set.entry = harness_pages(count * sizeof set.entry[0]);
    live_fill(&set);
    timer_start(&timer, CLOCK_THREAD_CPUTIME_ID, budget_ms);
    printf("ns %.3f\n", live_churn_ns(&set, &timer));
}

/* ---- threads ---- */

static struct {
    pthread_barrier_t barrier; /* both sides, before and after each handover */
    unsigned char *block[HANDOVER_BLOCKS];
    size_t bytes;
    bool stop; /* written by the allocating side before the barrier */
    struct bench_timer allocating, freeing;
} handover;

/* Time one side's work: the clock runs only between begin and end. */
static void handover_sample(struct bench_timer *timer, double begin_ns)
{
    double spent_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
    if (timer->batch_count++ > 0 && timer->sample_count < SAMPLE_COUNT_MAX) {
        timer->sample_ns[timer->sample_count++] = spent_ns;
    }
}

static void *handover_free_side(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_barrier_wait(&handover.barrier);
        if (handover.stop) {
            return NULL;
        }
        double begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (uint64_t i = 0; i < HANDOVER_BLOCKS; i++) {
            ends_check(handover.block[i], handover.bytes, i);
            bench_free(handover.block[i], tag_table[0]);
        }
        handover_sample(&handover.freeing, begin_ns);
        pthread_barrier_wait(&handover.barrier);
    }
}

/* What do blocks cost that one thread allocates and another frees, 10000 at a time? */
static void loop_handover(size_t bytes, double budget_ms)
{
    pthread_t thread;
    handover.bytes = bytes;
    pthread_barrier_init(&handover.barrier, NULL, 2);
    pthread_create(&thread, NULL, handover_free_side, NULL);
    double end_ns = clock_ns(CLOCK_MONOTONIC) + budget_ms * 2e6;
    while (clock_ns(CLOCK_MONOTONIC) < end_ns ||
           handover.allocating.sample_count < SAMPLE_COUNT_MIN) {
        double begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (uint64_t i = 0; i < HANDOVER_BLOCKS; i++) {
            handover.block[i] = bench_allocate(bytes, tag_table[0]);
            die_if(handover.block[i] == NULL, EXIT_NO_MEMORY, "no memory");
            ends_write(handover.block[i], bytes, i);
        }
        handover_sample(&handover.allocating, begin_ns);
        pthread_barrier_wait(&handover.barrier);
        pthread_barrier_wait(&handover.barrier);
    }
    handover.stop = true;
    pthread_barrier_wait(&handover.barrier);
    pthread_join(thread, NULL);
    double allocate_ns = timer_median_ns(&handover.allocating, HANDOVER_BLOCKS);
    double free_ns = timer_median_ns(&handover.freeing, HANDOVER_BLOCKS);
    printf(
        "ns %.3f\nallocate_ns %.3f\nfree_ns %.3f\n", allocate_ns + free_ns, allocate_ns, free_ns);
}

static struct {
    pthread_barrier_t barrier;
    double budget_ms;
} crowd;

static void *crowd_thread(void *argument)
{
    double *ns = argument;
    uint64_t seed = (uint64_t)(uintptr_t)argument * UINT64_C(0x9E3779B97F4A7C15) | 1;
    struct live_set set = {
        .count = THREAD_SET_BLOCKS, .tag_count = 1, .touch = true, .random = seed
    };
    struct bench_timer *timer = harness_pages(sizeof *timer);
    set.entry = harness_pages(set.count * sizeof set.entry[0]);
    live_fill(&set);
    pthread_barrier_wait(&crowd.barrier);
    timer_start(timer, CLOCK_MONOTONIC, crowd.budget_ms);
    *ns = live_churn_ns(&set, timer);
    return NULL;
}

/* What does replacement cost each of several threads that have sets of their own? */
static void loop_crowd(unsigned thread_count, double budget_ms)
{
    pthread_t thread[THREAD_COUNT_MAX];
    static double ns[THREAD_COUNT_MAX][8]; /* a line each */
    double sum_ns = 0;
    crowd.budget_ms = budget_ms;
    pthread_barrier_init(&crowd.barrier, NULL, thread_count);
    for (unsigned i = 0; i < thread_count; i++) {
        pthread_create(&thread[i], NULL, crowd_thread, ns[i]);
    }
    for (unsigned i = 0; i < thread_count; i++) {
        pthread_join(thread[i], NULL);
        sum_ns += ns[i][0];
    }
    printf("ns %.3f\n", sum_ns / thread_count);
}

/* ---- growth ---- */

#ifdef BENCH_RESIZES
/* Grow one block to end_bytes; every page and every end on the way is written, and checked at the
 * end. */
static unsigned grow_once(size_t begin_bytes, size_t end_bytes, bool by_factor)
{
    unsigned resizes = 0;
    size_t bytes = begin_bytes;
    unsigned char *block = bench_allocate(bytes, tag_table[0]);
    die_if(block == NULL, EXIT_NO_MEMORY, "no memory");
    block[0] = 0x5A;
    while (bytes < end_bytes) {
        size_t grown = by_factor ? bytes + bytes / 2 : bytes + GROW_STEP_BYTES;
        block = bench_resize(block, grown);
        die_if(block == NULL, EXIT_NO_MEMORY, "no memory");
        for (size_t i = bytes; i < grown; i += 4096) {
            block[i] = (unsigned char)(i >> 6);
        }
        bytes = grown;
        resizes++;
    }
    die_if(block[0] != 0x5A, EXIT_DAMAGED, "growth lost the first byte");
    for (size_t at = begin_bytes; at < bytes;) {
        size_t next = by_factor ? at + at / 2 : at + GROW_STEP_BYTES;
        for (size_t i = at; i < next; i += 4096) {
            die_if(block[i] != (unsigned char)(i >> 6), EXIT_DAMAGED, "growth lost a byte");
        }
        at = next;
    }
    bench_free(block, tag_table[0]);
    return resizes;
}
#endif

/* What does one realloc cost in a block that grows by 64 bytes to 16 KiB, or by half to 1 MiB? */
static void loop_grow(bool by_factor, double budget_ms)
{
#ifdef BENCH_RESIZES
    static struct bench_timer timer;
    size_t begin_bytes = by_factor ? 16 : GROW_STEP_BYTES;
    size_t end_bytes = by_factor ? GROW_FACTOR_END_BYTES : GROW_STEP_END_BYTES;
    unsigned resizes = 1;
    timer_start(&timer, CLOCK_THREAD_CPUTIME_ID, budget_ms);
    while (timer_next(&timer)) {
        resizes = grow_once(begin_bytes, end_bytes, by_factor);
    }
    printf("ns %.3f\n", timer_median_ns(&timer, resizes));
#else
    (void)by_factor, (void)budget_ms;
    die_if(true, EXIT_NO_DOOR, "this allocator has no realloc");
#endif
}

/* ---- memory ---- */

/* Resident bytes of this process, exactly: the kernel sums its page tables for this file. */
static double resident_bytes(void)
{
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    die_if(got <= 0, EXIT_NO_DOOR, "cannot read /proc/self/smaps_rollup");
    close(file);
    text[got] = 0;
    const char *line = strstr(text, "\nRss:");
    die_if(line == NULL, EXIT_NO_DOOR, "no Rss in /proc/self/smaps_rollup");
    return strtod(line + 5, NULL) * 1024;
}

/* How much memory do a million blocks of 16 .. 1024 bytes take, and how much stays when all are
 * freed? */
static void loop_memory(uint32_t tag_count)
{
    uint64_t state = 88172645463325252, requested = 0;
    unsigned char **block = harness_pages(MEMORY_BLOCKS * sizeof block[0]);
    bench_free(bench_allocate(64, tag_table[0]), tag_table[0]);
    double before = resident_bytes();
    for (uint32_t i = 0; i < MEMORY_BLOCKS; i++) {
        size_t bytes = 16 + random_below(&state, 1009);
        block[i] = bench_allocate(bytes, tag_table[i % tag_count]);
        die_if(block[i] == NULL, EXIT_NO_MEMORY, "no memory");
        memset(block[i], (int)(i & 0xFF), bytes);
        requested += bytes;
    }
    double live = resident_bytes();
    for (uint32_t i = 0; i < MEMORY_BLOCKS; i++) {
        die_if(block[i][0] != (i & 0xFF), EXIT_DAMAGED, "a block lost what was written");
        bench_free(block[i], tag_table[i % tag_count]);
    }
    double freed = resident_bytes();
    sleep(1);
    for (int i = 0; i < 1000; i++) {
        bench_free(opaque(bench_allocate(64, tag_table[0])), tag_table[0]);
    }
    double settled = resident_bytes();
    printf("ratio %.4f\nfreed_mib %.2f\nsettled_mib %.2f\n",
           (live - before) / (double)requested,
           (freed - before) / 1048576,
           (settled - before) / 1048576);
}

/* ---- the door ---- */

/* Is the library named by the argument mapped here? The driver asks before it believes a number. */
static void print_mapped(const char *name)
{
    static char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        found = found || strstr(line, name) != NULL;
    }
    printf("mapped %d\n", found);
}

static int bench_main(int argument_count, char **argument)
{
    if (argument_count != 5) {
        fprintf(stderr, "usage: loops KIND A B MS\n");
        return 2;
    }
    const char *kind = argument[1];
    uint64_t a = strtoull(argument[2], NULL, 10);
    uint32_t b = (uint32_t)strtoul(argument[3], NULL, 10);
    double budget_ms = strtod(argument[4], NULL);
    tables_fill();
    if (strcmp(kind, "one") == 0 || strcmp(kind, "zeroed") == 0) {
        loop_one(a, kind[0] == 'z', budget_ms);
    } else if (strcmp(kind, "batch") == 0) {
        loop_batch(a, budget_ms);
    } else if (strcmp(kind, "replace") == 0 || strcmp(kind, "untouched") == 0) {
        loop_replace(a, b, kind[0] == 'r', budget_ms);
    } else if (strcmp(kind, "handover") == 0) {
        loop_handover(a, budget_ms);
    } else if (strcmp(kind, "threads") == 0 && a <= THREAD_COUNT_MAX) {
        loop_crowd((unsigned)a, budget_ms);
    } else if (strcmp(kind, "grow") == 0) {
        loop_grow(a != 0, budget_ms);
    } else if (strcmp(kind, "memory") == 0) {
        loop_memory(b);
    } else if (strcmp(kind, "mapped") == 0) {
        print_mapped(argument[2]);
    } else {
        fprintf(stderr, "loops: no such loop: %s\n", kind);
        return 2;
    }
    return 0;
}

#endif
