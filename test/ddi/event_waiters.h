/* SPDX-License-Identifier: MIT */
/* Looking at events and waiting for them with several threads; for the tests of events. */
#ifndef EXP_EVENT_WAITERS_H
#define EXP_EVENT_WAITERS_H

#include "ddi_test.h"

#include <pthread.h>
#include <time.h>
#include <wdm.h>

enum {
    WAITERS = 4,
    MILLISECOND = 10000, /* in 100 ns */
};

#define EVENT_HELPER __attribute__((unused)) static

EVENT_HELPER NTSTATUS look(PKEVENT event)
{
    LARGE_INTEGER now = { .QuadPart = 0 };

    return KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &now);
}

EVENT_HELPER NTSTATUS wait_ms(PKEVENT event, LONGLONG ms)
{
    LARGE_INTEGER timeout = { .QuadPart = -ms * MILLISECOND };

    return KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout);
}

EVENT_HELPER uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

EVENT_HELPER void pause_ms(long ms)
{
    struct timespec pause = { .tv_nsec = ms * 1000000 };

    nanosleep(&pause, NULL);
}

struct waiter {
    pthread_t thread;
    PKEVENT event;
    LONGLONG ms; /* 0: for ever */
    NTSTATUS status;
    uint32_t woken; /* atomic */
};

EVENT_HELPER void *wait_thread(void *argument)
{
    struct waiter *waiter = argument;

    waiter->status = waiter->ms == 0
                         ? KeWaitForSingleObject(waiter->event, Executive, KernelMode, FALSE, NULL)
                         : wait_ms(waiter->event, waiter->ms);
    __atomic_store_n(&waiter->woken, 1, __ATOMIC_RELEASE);
    return NULL;
}

EVENT_HELPER void start_waiters(struct waiter *waiters, PKEVENT event, LONGLONG ms)
{
    for (int i = 0; i < WAITERS; ++i) {
        waiters[i] = (struct waiter){ .event = event, .ms = ms, .status = -1 };
        DDI_EQUAL(0, pthread_create(&waiters[i].thread, NULL, wait_thread, &waiters[i]));
    }
    pause_ms(30); /* most of them sleep by now; nothing below depends on it */
}

EVENT_HELPER unsigned woken(struct waiter *waiters)
{
    unsigned count = 0;

    for (int i = 0; i < WAITERS; ++i) {
        count += __atomic_load_n(&waiters[i].woken, __ATOMIC_ACQUIRE);
    }
    return count;
}

/* Wait until count of them have woken; false after ten seconds. */
EVENT_HELPER bool await_woken(struct waiter *waiters, unsigned count)
{
    for (int tries = 0; tries < 10000 && woken(waiters) < count; ++tries) {
        pause_ms(1);
    }
    return woken(waiters) == count;
}

EVENT_HELPER void join_waiters(struct waiter *waiters, NTSTATUS status)
{
    for (int i = 0; i < WAITERS; ++i) {
        DDI_EQUAL(0, pthread_join(waiters[i].thread, NULL));
        DDI_EQUAL(status, waiters[i].status);
    }
}

#endif
