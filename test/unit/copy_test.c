/* SPDX-License-Identifier: MIT */
/*
 * Copies of a process: what is live is counted exactly, nothing of the parent's later deeds shows,
 * two threads of a copy never share an owner, and a copy without a file of its own leaves its
 * parent's numbers alone. And memory that another thread is giving back is waited for.
 *
 * links: linux, since fork and threads are the matter. A child answers by its exit status.
 * source: product.md 6 (a fork gets its own), design.md 4, Fork;
 * docs/decisions/0005-fork-recount.md
 */
#include "core/tag.h"
#include "unit/doors.h"
#include "unit/fits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define TAG       UINT32_C(0x31676154) /* Tag1 */
#define TAG_CHILD UINT32_C(0x646c6843) /* Chld */
#define TAG_LATER UINT32_C(0x6e726150) /* Parn */
#define TAG_GUARD UINT32_C(0xf46f7250) /* Prot, protected */

enum {
    FAILED = 1,
    BLOCK_BYTES = 48,
    CHURN = 300000,
    CHURN_LIVE = 64,
    GIVERS = 3
};

/* Row of a tag and pool; all zero when there is none. */
static struct expool_tag_row row_of(uint32_t tag, uint32_t pool)
{
    struct expool_tag_row rows[64];
    size_t count = expool_tags(rows, 64);
    for (size_t index = 0; index < count && index < 64; index++) {
        if (rows[index].tag == (tag & ~EXP_TAG_PROTECTED) && rows[index].pool == pool) {
            return rows[index];
        }
    }
    return (struct expool_tag_row){ 0 };
}

/* Exit status of a child. */
static int status_of(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static void test_copy_counts_what_is_live_in_it_only(void)
{
    CHECK(ExAllocatePool2(FLAG_PAGED, BLOCK_BYTES, TAG) != NULL);
    CHECK(ExAllocatePool2(FLAG_NON_PAGED, 100, TAG_GUARD) != NULL);
    int gate[2];
    CHECK_EQUAL(pipe(gate), 0);
    pid_t child = fork();
    if (child == 0) {
        char go;
        alarm(30);
        bool right = read(gate[0], &go, 1) == 1; /* the parent has allocated since */
        right &= ExAllocatePool2(FLAG_PAGED, 64, TAG_CHILD) != NULL;
        struct expool_tag_row mine = row_of(TAG_CHILD, 1);
        struct expool_tag_row old = row_of(TAG, 1);
        struct expool_tag_row guarded = row_of(TAG_GUARD, 0);
        right &= mine.allocs == 1 && mine.frees == 0 && mine.bytes == 64;
        right &= old.allocs - old.frees == 1 && old.bytes == BLOCK_BYTES;
        right &= guarded.allocs - guarded.frees == 1 && guarded.bytes == 112;
        right &= row_of(TAG_LATER, 1).allocs == 0;
        struct exp_verify_fault fault;
        _exit(right && exp_verify_all(&fault) ? 0 : FAILED);
    }
    for (int count = 0; count < 5; count++) {
        CHECK(ExAllocatePool2(FLAG_PAGED, 1000, TAG_LATER) != NULL);
    }
    CHECK_EQUAL(write(gate[1], "g", 1), 1);
    CHECK_EQUAL(status_of(child), 0);
    CHECK_EQUAL(row_of(TAG_CHILD, 1).allocs, 0);
    CHECK_EQUAL(row_of(TAG_LATER, 1).allocs, 5);
    CHECK_FITS();
}

/* Rows of session blocks of TAG: the paged one is expected alone. */
static bool sessions_are(uint64_t allocs, uint64_t frees)
{
    struct expool_tag_row rows[4];
    return exp_tag_session_rows(rows, 4) == 1 && rows[0].tag == TAG && rows[0].pool == 1 &&
           rows[0].allocs == allocs && rows[0].frees == frees;
}

/* As another process reads the region. */
static bool sessions_shown(uint64_t allocs, uint64_t frees)
{
    const struct expool_region_header *region = exp_tag_region();
    const struct expool_region_section *section = &region->section[EXPOOL_SECTION_SESSION];
    const struct expool_region_session *shown =
        (const struct expool_region_session *)((const char *)region + section->offset);
    return section->count == 2 && shown[0].allocs == 0 && shown[1].allocs == allocs &&
           shown[1].frees == frees;
}

/* What the parent does between the fork and the copying of its region does not show in the copy. */
static void test_copy_counts_session_blocks_as_they_were(void)
{
    void *block = ExAllocatePool2(FLAG_PAGED | FLAG_SESSION, BLOCK_BYTES, TAG);
    int gate[2];
    CHECK(block != NULL);
    CHECK_EQUAL(pipe(gate), 0);
    pid_t child = fork();
    if (child == 0) {
        char go;
        alarm(30);
        bool right = read(gate[0], &go, 1) == 1; /* the parent has allocated since */
        ExFreePoolWithTag(ExAllocatePool2(FLAG_PAGED, BLOCK_BYTES, TAG), TAG);
        right &= sessions_are(1, 0) && sessions_shown(1, 0);
        ExFreePoolWithTag(block, TAG);
        right &= sessions_are(1, 1) && sessions_shown(1, 1);
        _exit(right ? 0 : FAILED);
    }
    for (int count = 0; count < 5; count++) {
        CHECK(ExAllocatePool2(FLAG_PAGED | FLAG_SESSION, BLOCK_BYTES, TAG) != NULL);
    }
    CHECK_EQUAL(write(gate[1], "g", 1), 1);
    CHECK_EQUAL(status_of(child), 0);
    CHECK(sessions_are(6, 0) && sessions_shown(6, 0));
}

/* Blocks full of one byte; false when another thread's byte is found in one. */
static bool churn(unsigned char byte)
{
    unsigned char *live[CHURN_LIVE] = { NULL };
    for (unsigned count = 0; count < CHURN; count++) {
        unsigned char **place = &live[count % CHURN_LIVE];
        if (*place != NULL) {
            if ((*place)[0] != byte || (*place)[BLOCK_BYTES - 1] != byte) {
                return false;
            }
            ExFreePoolWithTag(*place, TAG);
        }
        *place = ExAllocatePool2(FLAG_PAGED | FLAG_UNINITIALIZED, BLOCK_BYTES, TAG);
        memset(*place, byte, BLOCK_BYTES);
    }
    return true;
}

static pthread_barrier_t both;

static void *second_thread(void *argument)
{
    (void)argument;
    ExFreePoolWithTag(ExAllocatePool2(FLAG_PAGED, 16, TAG), TAG); /* the copy's first call */
    pthread_barrier_wait(&both);
    return churn(2) ? &both : NULL;
}

static void test_copy_new_thread_calls_first_owners_stay_apart(void)
{
    ExFreePoolWithTag(ExAllocatePool2(FLAG_PAGED, BLOCK_BYTES, TAG), TAG);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        void *right = NULL;
        alarm(60);
        pthread_barrier_init(&both, NULL, 2);
        if (pthread_create(&thread, NULL, second_thread, NULL) != 0) {
            _exit(FAILED);
        }
        pthread_barrier_wait(&both);
        bool mine = churn(1);
        pthread_join(thread, &right);
        _exit(mine && right != NULL ? 0 : FAILED);
    }
    CHECK_EQUAL(status_of(child), 0);
}

static void test_copy_without_a_file_leaves_the_parents_counts(void)
{
    CHECK(ExAllocatePool2(FLAG_PAGED, BLOCK_BYTES, TAG) != NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = { 0, 0 };
        alarm(30);
        setrlimit(RLIMIT_FSIZE, &none); /* no memory file can be had */
        signal(SIGXFSZ, SIG_DFL);
        for (int count = 0; count < 10; count++) {
            ExAllocatePool2(FLAG_PAGED, BLOCK_BYTES, TAG);
        }
        struct expool_tag_row row = row_of(TAG, 1);
        _exit(row.allocs - row.frees == 11 ? 0 : FAILED);
    }
    CHECK_EQUAL(status_of(child), 0);
    CHECK_EQUAL(row_of(TAG, 1).allocs, 1);
}

static void *trim_often(void *argument)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    size_t *failed = argument;
    for (int round = 0; round < 100; round++) {
        pthread_mutex_lock(&one);
        char *block = ExAllocatePool2(FLAG_PAGED | FLAG_UNINITIALIZED, (size_t)24 << 20, TAG);
        *failed += block == NULL;
        if (block != NULL) {
            memset(block, 1, (size_t)1 << 20);
            ExFreePoolWithTag(block, TAG);
        }
        pthread_mutex_unlock(&one);
        expool_trim();
    }
    return NULL;
}

/* One block of 24 MiB at a time in a range that has room for one: purges by others must not hide
 * it. */
static void test_take_while_others_purge_waits_and_succeeds(void)
{
    struct rlimit limit = { (rlim_t)160 << 20, RLIM_INFINITY };
    pthread_t threads[GIVERS];
    size_t failed = 0;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &limit), 0);
#else
    (void)limit;
#endif
    for (int index = 0; index < GIVERS; index++) {
        CHECK_EQUAL(pthread_create(&threads[index], NULL, trim_often, &failed), 0);
    }
    for (int index = 0; index < GIVERS; index++) {
        pthread_join(threads[index], NULL);
    }
    CHECK_EQUAL(failed, 0);
    CHECK_FITS();
}

static void *take_all(void *argument)
{
    size_t *count = argument;
    while (ExAllocatePool2(FLAG_PAGED, EXP_PAGE_BYTES, TAG) != NULL) {
        ++*count;
    }
    return NULL;
}

/* Caches turned off while they are full: every page of a limit is any thread's again. */
static void test_front_cache_off_at_run_time_keeps_nothing_back(void)
{
    void *blocks[256];
    size_t count = 0;
    pthread_t thread;
    for (int index = 0; index < 100; index++) {
        blocks[index] = ExAllocatePool2(FLAG_PAGED, EXP_PAGE_BYTES, TAG);
    }
    for (int index = 0; index < 100; index++) {
        ExFreePoolWithTag(blocks[index], TAG);
    }
    CHECK_EQUAL(expool_set("front_cache", "0"), 0);
    CHECK_EQUAL(expool_set("paged_limit", "1M"), 0);
    for (int index = 0; index < 256; index++) {
        blocks[index] = ExAllocatePool2(FLAG_PAGED, EXP_PAGE_BYTES, TAG);
        CHECK(blocks[index] != NULL);
    }
    CHECK(ExAllocatePool2(FLAG_PAGED, EXP_PAGE_BYTES, TAG) == NULL);
    for (int index = 0; index < 256; index++) {
        ExFreePoolWithTag(blocks[index], TAG);
    }
    CHECK_EQUAL(pthread_create(&thread, NULL, take_all, &count), 0);
    pthread_join(thread, NULL);
    CHECK_EQUAL(count, 256);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_copy_counts_what_is_live_in_it_only);
    RUN_FRESH(test_copy_counts_session_blocks_as_they_were);
    RUN_FRESH(test_copy_new_thread_calls_first_owners_stay_apart);
    RUN_FRESH(test_copy_without_a_file_leaves_the_parents_counts);
    RUN_FRESH(test_take_while_others_purge_waits_and_succeeds);
    RUN_FRESH(test_front_cache_off_at_run_time_keeps_nothing_back);
    return unit_end();
}
