/* SPDX-License-Identifier: MIT */
/*
 * A quota block is freed by two threads at once (api 62, 96): one of them frees it, the other one
 * stops; its charge is returned once and its process is let go once.
 *
 * Which of the stops for a second free it is depends on how far the first one is. The process is
 * charged by hand, too, so that a second return would find something to take.
 */
#include "doors.h"

#include <pthread.h>

enum {
    TAG = 'ecaR',
    BY_HAND = 1 << 20,
    ROUNDS = 20000
};

static void *volatile contested;
static pthread_barrier_t barrier;
static volatile bool over;
static unsigned stops[2];
static unsigned odd_stops; /* not one of a second free; atomic */

/* The net of ddi_test.h, which is per thread, without hanging it up: that is done for all. */
static void free_contested(unsigned thread)
{
    memset(&ddi_last, 0, sizeof(ddi_last));
    if (setjmp(ddi_jump) == 0) {
        ddi_armed = true;
        ExFreePoolWithTag(contested, TAG);
    }
    ddi_armed = false;
    stops[thread] = ddi_last.caught;
    if (ddi_last.caught && !(ddi_last.code == BAD_POOL_CALLER && ddi_last.parameter[0] == 0x07) &&
        !(ddi_last.code == KERNEL_MODE_HEAP_CORRUPTION && ddi_last.parameter[0] == 0x11)) {
        __atomic_fetch_add(&odd_stops, 1, __ATOMIC_RELAXED);
    }
}

static void *second_thread(void *unused)
{
    for (;;) {
        pthread_barrier_wait(&barrier);
        if (over) {
            return unused;
        }
        free_contested(1);
        pthread_barrier_wait(&barrier);
    }
}

static void test_quota_block_freed_by_two_threads_is_returned_once(void)
{
    struct expool_process *process = door_process(SIZE_MAX, SIZE_MAX);
    pthread_t thread;

    PsChargePoolQuota(process, PagedPool, BY_HAND);
    pthread_barrier_init(&barrier, NULL, 2);
    DDI_EQUAL(0, pthread_create(&thread, NULL, second_thread, NULL));
    for (int round = 0; round < ROUNDS && ddi_failures == 0; ++round) {
        contested = ddi_opaque(ExAllocatePoolWithQuotaTag(PagedPool, 100, TAG));
        pthread_barrier_wait(&barrier);
        free_contested(0);
        pthread_barrier_wait(&barrier);
        DDI_EQUAL(1, stops[0] + stops[1]);
        DDI_EQUAL(BY_HAND, door_usage(process).paged_bytes);
        DDI_EQUAL(2, door_usage(process).references);
        DDI_EQUAL(0, ddi_live(TAG, 1));
    }
    over = true;
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    DDI_EQUAL(0, odd_stops);
    PsReturnPoolQuota(process, PagedPool, BY_HAND);
    door_process_end(process);
}

static const struct ddi_test tests[] = {
    DDI_TEST("62,96", test_quota_block_freed_by_two_threads_is_returned_once),
};

DDI_MAIN(tests)
