/* SPDX-License-Identifier: MIT */
/*
 * Many threads, and a copy of the process (api 185, 186).
 *
 * 64 threads allocate and pass blocks through one table of slots; whoever finds a block there
 * checks its bytes and frees it, so most frees are another thread's. The count kept beside must
 * equal the tag rows at rest, to the block and to the byte where that is known (page-rounded
 * blocks).
 */
#include "ddi_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <wdm.h>

enum {
    THREADS = 64,
    STEPS = 20000,
    SLOTS = 4096,
    TAGS = 8,
    TAG_BASE = '00rT'
};

struct block_head {
    uint32_t tag;
    uint32_t bytes;
};

static _Atomic(struct block_head *) slots[SLOTS];
static atomic_ullong allocs[TAGS][2];
static atomic_ullong frees[TAGS][2];
static atomic_ullong damaged;
static atomic_ullong refused;
static atomic_ullong bad_irql;

static const POOL_FLAGS kinds[] = {
    POOL_FLAG_NON_PAGED,
    POOL_FLAG_PAGED,
    POOL_FLAG_NON_PAGED_EXECUTE,
};

/* The head names the tag and, in the top bit of bytes, the column; the fill follows from both. */
static uint8_t fill_of(const struct block_head *head)
{
    return (uint8_t)(head->tag * 31 + head->bytes);
}

static void check_and_free(struct block_head *head)
{
    const uint32_t index = head->tag - TAG_BASE;
    const uint32_t column = head->bytes >> 31;
    const size_t bytes = head->bytes & 0x7FFFFFFF;

    if (index >= TAGS || !ddi_all_bytes(head + 1, bytes - sizeof(*head), fill_of(head))) {
        atomic_fetch_add(&damaged, 1);
        return;
    }
    atomic_fetch_add(&frees[index][column], 1);
    ExFreePoolWithTag(head, head->tag);
}

static struct block_head *allocate(uint64_t draw)
{
    const int kind = (int)(draw % 3);
    const uint32_t index = (draw >> 8) % TAGS;
    const size_t bytes =
        sizeof(struct block_head) + (draw >> 16) % (((draw >> 40) & 255) == 0  ? 100000
                                                    : ((draw >> 40) & 15) == 0 ? 9000
                                                                               : 500);
    struct block_head *head =
        ddi_opaque(ExAllocatePool2(kinds[kind] | POOL_FLAG_UNINITIALIZED, bytes, TAG_BASE + index));

    if (head == NULL) {
        atomic_fetch_add(&refused, 1);
        return NULL;
    }
    head->tag = TAG_BASE + index;
    head->bytes = (uint32_t)bytes | (uint32_t)(kind == 1) << 31;
    memset(head + 1, fill_of(head), bytes - sizeof(*head));
    atomic_fetch_add(&allocs[index][kind == 1], 1);
    return head;
}

static void *run(void *argument)
{
    uint64_t random = 0x185 + (uintptr_t)argument;

    if (KeGetCurrentIrql() != PASSIVE_LEVEL) {
        atomic_fetch_add(&bad_irql, 1);
    }
    for (int step = 0; step < STEPS; ++step) {
        uint64_t draw = ddi_random(&random);
        struct block_head *head = allocate(draw);
        struct block_head *other = atomic_exchange(&slots[(draw >> 50) % SLOTS], head);

        if (other != NULL) {
            check_and_free(other);
        }
    }
    return NULL;
}

static void check_rows(void)
{
    for (uint32_t i = 0; i < TAGS; ++i) {
        for (uint32_t column = 0; column < 2; ++column) {
            struct expool_tag_row row = ddi_row(TAG_BASE + i, column);

            DDI_EQUAL(atomic_load(&allocs[i][column]), row.allocs);
            DDI_EQUAL(atomic_load(&frees[i][column]), row.frees);
            if (row.allocs == row.frees) {
                DDI_EQUAL(0, row.bytes);
            }
        }
    }
}

static void test_threads_that_free_each_others_blocks_keep_counters_exact(void)
{
    pthread_t thread[THREADS];

    for (uintptr_t i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_create(&thread[i], NULL, run, (void *)i));
    }
    for (size_t i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_join(thread[i], NULL));
    }
    DDI_EQUAL(0, atomic_load(&damaged));
    DDI_EQUAL(0, atomic_load(&refused));
    DDI_EQUAL(0, atomic_load(&bad_irql));
    check_rows(); /* with up to SLOTS blocks alive */
    for (size_t i = 0; i < SLOTS; ++i) {
        struct block_head *head = atomic_exchange(&slots[i], NULL);

        if (head != NULL) {
            check_and_free(head);
        }
    }
    DDI_EQUAL(0, atomic_load(&damaged));
    check_rows();
}

/* What the child of a fork sees: its blocks, their bytes, and counters of its own. */
static int child(uint8_t **block, size_t count)
{
    struct expool_tag_row before = ddi_row('kroF', 1);
    int bad = before.allocs - before.frees != count;

    for (size_t i = 0; i < count; ++i) {
        bad |= !ddi_all_bytes(block[i], 1 + i * 37, (uint8_t)i);
        ExFreePoolWithTag(block[i], 'kroF');
    }
    for (int i = 0; i < 10000; ++i) {
        uint8_t *fresh = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 1 + (size_t)i % 6000, 'kroF'));

        bad |= fresh == NULL || !ddi_all_bytes(fresh, 1 + (size_t)i % 6000, 0);
        if (fresh != NULL) {
            memset(fresh, 0xFF, 1 + (size_t)i % 6000);
            ExFreePoolWithTag(fresh, 'kroF');
        }
    }
    return bad | (ddi_live('kroF', 1) != 0) << 1;
}

static void test_fork_leaves_blocks_valid_on_both_sides(void)
{
    enum {
        BLOCKS = 500
    };
    static uint8_t *block[BLOCKS];

    for (size_t i = 0; i < BLOCKS; ++i) {
        block[i] = ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 1 + i * 37, 'kroF'));
        if (!DDI_TRUE_FOR(block[i] != NULL, i)) {
            return;
        }
        memset(block[i], (int)(uint8_t)i, 1 + i * 37);
    }
    for (int round = 0; round < 5; ++round) {
        int status = -1;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            _exit(child(block, BLOCKS));
        }
        DDI_TRUE(pid > 0 && waitpid(pid, &status, 0) == pid);
        DDI_EQUAL(0, status);
        DDI_EQUAL(BLOCKS, ddi_live('kroF', 1));
    }
    for (size_t i = 0; i < BLOCKS; ++i) {
        DDI_TRUE_FOR(ddi_all_bytes(block[i], 1 + i * 37, (uint8_t)i), i);
        ExFreePoolWithTag(block[i], 'kroF');
    }
    DDI_EQUAL(0, ddi_live('kroF', 1));
}

static void *leave_blocks(void *argument)
{
    uint8_t **block = argument;

    for (size_t i = 0; i < 100; ++i) {
        block[i] = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, 1 + i * 60, 'txeT'));
        if (block[i] != NULL) {
            memset(block[i], (int)i, 1 + i * 60);
        }
    }
    return NULL;
}

static void test_blocks_outlive_the_thread_that_made_them(void)
{
    static uint8_t *block[20][100];

    for (int round = 0; round < 20; ++round) {
        pthread_t thread;

        DDI_EQUAL(0, pthread_create(&thread, NULL, leave_blocks, block[round]));
        DDI_EQUAL(0, pthread_join(thread, NULL));
    }
    for (int round = 0; round < 20; ++round) {
        for (size_t i = 0; i < 100; ++i) {
            DDI_TRUE_FOR(block[round][i] != NULL &&
                             ddi_all_bytes(block[round][i], 1 + i * 60, (uint8_t)i),
                         i);
            ExFreePoolWithTag(block[round][i], 'txeT');
        }
    }
    DDI_EQUAL(2000, ddi_row('txeT', 0).allocs);
    DDI_EQUAL(2000, ddi_row('txeT', 0).frees);
    DDI_EQUAL(0, ddi_row('txeT', 0).bytes);
}

static const struct ddi_test tests[] = {
    DDI_TEST("185", test_threads_that_free_each_others_blocks_keep_counters_exact),
    DDI_TEST("186", test_fork_leaves_blocks_valid_on_both_sides),
    DDI_TEST("186", test_blocks_outlive_the_thread_that_made_them),
};

DDI_MAIN(tests)
