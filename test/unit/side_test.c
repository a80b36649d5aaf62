/* SPDX-License-Identifier: MIT */
/*
 * Side records from inside: what they cost, that a tag number no state can hold goes with every
 * other rarity, and what a copy of the process finds of them and of the processes that pay.
 *
 * links: linux, whose range has room for the tables; and fork is the matter of the last two.
 * source: src/core/side.c; spec/api.md 2.11; product.md 6 (a fork gets its own)
 */
#include "core/owner.h"
#include "unit/doors.h"
#include "unit/fits.h"

#include <fcntl.h>
#include <pthread.h>

#define TAG            UINT32_C(0x54636241) /* AbcT */
#define FLAG_USE_QUOTA UINT64_C(1)

/* A sanitizer's shadow counts as our memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
    BLOCKS = 200000,
    BLOCK_BYTES = 48,
    STATE_BYTES = 2,
    PAGE_BYTES = 4096,
    FAILED = 1
};

static void *blocks[BLOCKS];

/* Bytes of memory this process has. */
static uint64_t resident_bytes(void)
{
    char text[64] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    unsigned long long total = 0;
    unsigned long long pages = 0;
    CHECK(file >= 0 && read(file, text, sizeof(text) - 1) > 0);
    close(file);
    CHECK_EQUAL(sscanf(text, "%llu %llu", &total, &pages), 2);
    return pages * PAGE_BYTES;
}

/* A tag whose number is above what a state holds. */
static uint32_t wide_tag(void)
{
    uint32_t tag = TAG;
    expool_trim(); /* starts the pool */
    while (exp_tag_register(tag) <= EXP_STATE_NUMBER_MAX) {
        tag += 3;
    }
    return tag;
}

static struct expool_usage usage_of(const struct expool_process *process)
{
    struct expool_usage usage;
    expool_process_usage(process, &usage);
    return usage;
}

/* Bytes of memory a block of 48 takes, all in all, with many of them alive. */
static uint64_t cost_of(uint64_t flags, uint32_t tag)
{
    memset(blocks, 1, sizeof(blocks)); /* its pages are there before we look */
    uint64_t before = resident_bytes();
    for (uint32_t index = 0; index < BLOCKS; index++) {
        blocks[index] = ExAllocatePool2(flags, BLOCK_BYTES, tag);
        if (!CHECK(blocks[index] != NULL)) {
            return UINT64_MAX;
        }
        memset(blocks[index], 1, BLOCK_BYTES);
    }
    uint64_t cost = (resident_bytes() - before) / BLOCKS;
    CHECK_FITS();
    for (uint32_t index = 0; index < BLOCKS; index++) {
        ExFreePoolWithTag(blocks[index], tag);
    }
    CHECK_FITS();
    return cost;
}

/* Slot, state and record: nothing else, nearly. */
static void rare_costs_its_record(const char *what, uint64_t flags, uint32_t tag)
{
    uint64_t cost = cost_of(flags, tag);
    printf("%u %s of %d bytes: %llu bytes of memory each\n",
           BLOCKS,
           what,
           BLOCK_BYTES,
           (unsigned long long)cost);
    fflush(stdout);
    CHECK(cost <= BLOCK_BYTES + STATE_BYTES + sizeof(struct exp_side) + 16);
}

static void test_side_record_of_a_wide_tag_is_all_it_costs(void)
{
    rare_costs_its_record("blocks with a wide tag number", FLAG_PAGED, wide_tag());
}

static void test_side_record_of_quota_is_all_it_costs(void)
{
    struct expool_process *process = expool_process_create("payer", SIZE_MAX, SIZE_MAX);
    expool_process_enter(process);
    ExFreePoolWithTag(ExAllocatePool2(FLAG_PAGED, 16, TAG), TAG);
    rare_costs_its_record("blocks under quota", FLAG_PAGED | FLAG_USE_QUOTA, TAG);
    CHECK_EQUAL(usage_of(process).paged_bytes, 0);
    CHECK_EQUAL(usage_of(process).references, 2);
    expool_process_enter(NULL);
    expool_process_release(process);
}

/* A wide number with quota, session, cache alignment and a protected tag; each size. */
static void test_side_rarities_go_together(void)
{
    static const uint64_t flags[] = {
        FLAG_PAGED | FLAG_USE_QUOTA,
        FLAG_NON_PAGED | FLAG_USE_QUOTA | FLAG_SESSION,
        FLAG_NON_PAGED_EXECUTE | FLAG_USE_QUOTA | FLAG_CACHE_ALIGNED,
        FLAG_PAGED | FLAG_SESSION | FLAG_CACHE_ALIGNED,
        FLAG_NON_PAGED,
    };
    uint32_t tag = wide_tag() | TAG_PROTECTED;
    struct expool_process *process = expool_process_create("payer", SIZE_MAX, SIZE_MAX);
    expool_process_enter(process);
    for (unsigned kind = 0; kind < sizeof(flags) / sizeof(flags[0]); kind++) {
        uint32_t count = 0;
        for (size_t bytes = 0; bytes < 300000; bytes += bytes < 4200 ? 23 : 17011) {
            unsigned char *block = ExAllocatePool2(flags[kind], bytes, tag);
            if (!CHECK(block != NULL)) {
                return;
            }
            bool line = (flags[kind] & FLAG_CACHE_ALIGNED) != 0;
            CHECK_EQUAL((uintptr_t)block % (bytes >= PAGE_BYTES ? PAGE_BYTES : line ? 64 : 16), 0);
            memset(block, 0x6e, bytes);
            blocks[count++] = block;
        }
        CHECK_FITS();
        for (uint32_t index = 0; index < count; index++) {
            ExFreePoolWithTag(blocks[index], tag);
        }
        CHECK_EQUAL(usage_of(process).paged_bytes + usage_of(process).nonpaged_bytes, 0);
        CHECK_EQUAL(usage_of(process).references, 2);
    }
    expool_process_enter(NULL);
    expool_process_release(process);
    CHECK_FITS();
}

static int status_of(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* A copy finds every record: it frees all blocks, and its own counts come out even. */
static void test_side_records_are_whole_in_a_copy(void)
{
    uint32_t tag = wide_tag();
    struct expool_process *process = expool_process_create("payer", SIZE_MAX, SIZE_MAX);
    expool_process_enter(process);
    for (uint32_t index = 0; index < 3000; index++) {
        uint64_t quota = index % 3 != 0 ? FLAG_USE_QUOTA : FLAG_SESSION;
        blocks[index] = ExAllocatePool2(FLAG_PAGED | quota, index, index % 2 ? tag : TAG);
    }
    for (int round = 0; round < 2; round++) { /* in a copy, then here */
        pid_t child = round == 0 ? fork() : 0;
        if (child != 0) {
            CHECK_EQUAL(status_of(child), 0);
            CHECK_EQUAL(usage_of(process).references, 2 + 2000);
            continue;
        }
        struct expool_tag_row rows[4];
        for (uint32_t index = 0; index < 3000; index++) {
            ExFreePoolWithTag(blocks[index], index % 2 ? tag : TAG);
        }
        CHECK_EQUAL(usage_of(process).paged_bytes, 0);
        CHECK_EQUAL(usage_of(process).references, 2);
        size_t count = expool_tags(rows, 4);
        for (size_t index = 0; index < count && index < 4; index++) {
            CHECK_EQUAL(rows[index].bytes, 0);
            CHECK_EQUAL(rows[index].allocs - rows[index].frees, 0);
        }
        CHECK_FITS();
        if (round == 0) {
            _exit(unit.failures == 0 ? 0 : FAILED);
        }
    }
    expool_process_enter(NULL);
    expool_process_release(process);
}

static pthread_barrier_t both;

static void *stay_in_process(void *process)
{
    expool_process_enter(process);
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    return NULL;
}

/* Threads that are not in a copy hold no process there. */
static void test_process_in_a_copy_is_let_go_by_lost_threads(void)
{
    struct expool_process *process = expool_process_create("payer", SIZE_MAX, SIZE_MAX);
    pthread_t thread;
    pthread_barrier_init(&both, NULL, 2);
    CHECK_EQUAL(pthread_create(&thread, NULL, stay_in_process, process), 0);
    pthread_barrier_wait(&both);
    CHECK_EQUAL(usage_of(process).references, 2);
    expool_process_enter(process);
    pid_t child = fork();
    if (child == 0) {
        CHECK(exp_owner_process() == process);
        CHECK_EQUAL(usage_of(process).references, 2); /* also before the first call of the pool */
        ExFreePoolWithTag(ExAllocatePool2(FLAG_PAGED | FLAG_USE_QUOTA, 100, TAG), TAG);
        CHECK_EQUAL(usage_of(process).references, 2); /* creator and this thread */
        expool_process_enter(NULL);
        CHECK_EQUAL(usage_of(process).references, 1);
        CHECK_FITS();
        _exit(unit.failures == 0 ? 0 : FAILED);
    }
    CHECK_EQUAL(status_of(child), 0);
    CHECK_EQUAL(usage_of(process).references, 3);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    expool_process_enter(NULL);
    CHECK_EQUAL(usage_of(process).references, 1);
    expool_process_release(process);
}

int main(void)
{
    unit_start();
    if (!SANITIZED) {
        RUN_FRESH(test_side_record_of_a_wide_tag_is_all_it_costs);
        RUN_FRESH(test_side_record_of_quota_is_all_it_costs);
    }
    RUN_FRESH(test_side_rarities_go_together);
    RUN_FRESH(test_side_records_are_whole_in_a_copy);
    RUN_FRESH(test_process_in_a_copy_is_let_go_by_lost_threads);
    return unit_end();
}
