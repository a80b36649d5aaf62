/* SPDX-License-Identifier: MIT */
/*
 * No routine is a place where a thread is cancelled: it might hold a lock of the pool or of its
 * driver. Method: a thread asks for its own cancellation, which then waits for such a place, and
 * calls; it must come back from the call. The first test has to be the first user of the pool.
 *
 * source: POSIX, thread cancellation: what is no listed function is no cancellation point
 */
#include "ddi_test.h"

#include <expool.h>
#include <pthread.h>
#include <sys/wait.h>

enum {
    TAG = 'cnaC'
};

static unsigned came_back; /* atomic */

/* Run a deed in a thread that is to be cancelled; how often it said that it had come back. */
static unsigned run_doomed(void *(*deed)(void *), void *context)
{
    pthread_t thread;

    __atomic_store_n(&came_back, 0, __ATOMIC_RELAXED);
    DDI_EQUAL(0, pthread_create(&thread, NULL, deed, context));
    DDI_EQUAL(0, pthread_join(thread, NULL));
    return __atomic_load_n(&came_back, __ATOMIC_RELAXED);
}

static void doom(void)
{
    pthread_cancel(pthread_self());
}

static void come_back(void)
{
    __atomic_fetch_add(&came_back, 1, __ATOMIC_RELAXED);
}

static void *use_pool(void *context)
{
    doom();
    PVOID block = ExAllocatePool2(POOL_FLAG_PAGED, 100, TAG);
    ExFreePoolWithTag(block, TAG);
    come_back();
    return context;
}

static void test_first_call_of_all_is_not_cancelled(void)
{
    alarm(30); /* a lock that a cancelled thread holds */
    DDI_EQUAL(1, run_doomed(use_pool, NULL));
    PVOID block = ExAllocatePool2(POOL_FLAG_PAGED, 100, TAG);
    DDI_TRUE(block != NULL);
    ExFreePoolWithTag(block, TAG);
    alarm(0);
}

static void *use_pool_in_child(void *context)
{
    int status = -1;
    pid_t child;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    doom();
    child = fork();
    if (child == 0) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        ExFreePoolWithTag(context, TAG);
        _exit(7);
    }
    DDI_TRUE(child > 0 && waitpid(child, &status, 0) == child);
    DDI_TRUE_FOR(WIFEXITED(status) && WEXITSTATUS(status) == 7, status);
    come_back();
    return NULL;
}

static void test_first_call_in_a_copy_of_the_process_is_not_cancelled(void)
{
    PVOID block = ExAllocatePool2(POOL_FLAG_PAGED, 100, TAG);

    DDI_EQUAL(1, run_doomed(use_pool_in_child, block));
    ExFreePoolWithTag(block, TAG);
}

static void *print_under_lock(void *context)
{
    KIRQL irql;

    doom();
    KeAcquireSpinLock((PKSPIN_LOCK)context, &irql);
    DbgPrint("%s\n", "a line under a lock");
    KeReleaseSpinLock((PKSPIN_LOCK)context, irql);
    come_back();
    return NULL;
}

static void test_debug_output_is_not_cancelled(void)
{
    KSPIN_LOCK lock;

    KeInitializeSpinLock(&lock);
    DDI_EQUAL(1, run_doomed(print_under_lock, &lock));
    DDI_EQUAL(0, lock);
}

static void *ask_for_descriptors(void *context)
{
    doom();
    DDI_TRUE(expool_event_fd("LowPagedPoolCondition") >= 0);
    DDI_TRUE(expool_event_fd("LowMemoryCondition") >= 0);
    come_back();
    return context;
}

static void test_descriptors_of_events_are_made_without_cancellation(void)
{
    DDI_EQUAL(1, run_doomed(ask_for_descriptors, NULL));
}

static const struct ddi_test tests[] = {
    DDI_TEST("cancel", test_first_call_of_all_is_not_cancelled),
    DDI_TEST("cancel", test_first_call_in_a_copy_of_the_process_is_not_cancelled),
    DDI_TEST("cancel", test_debug_output_is_not_cancelled),
    DDI_TEST("cancel", test_descriptors_of_events_are_made_without_cancellation),
};

DDI_MAIN(tests)
