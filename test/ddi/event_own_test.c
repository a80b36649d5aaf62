/* SPDX-License-Identifier: MIT */
/*
 * A caller's own events, waits and timeouts (api.md 6; the routines' pages).
 */
#include "event_waiters.h"

#include <sys/wait.h>

static void test_notification_event_releases_all_and_stays(void)
{
    struct waiter waiters[WAITERS];
    KEVENT event;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    DDI_EQUAL(NotificationEvent, event.Header.Type);
    DDI_EQUAL(sizeof(KEVENT) / 4, event.Header.Size);
    DDI_EQUAL(0, KeReadStateEvent(&event));
    DDI_EQUAL(STATUS_TIMEOUT, look(&event));
    start_waiters(waiters, &event, 0);
    DDI_EQUAL(0, woken(waiters));
    DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
    DDI_EQUAL(1, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
    DDI_TRUE(await_woken(waiters, WAITERS));
    join_waiters(waiters, STATUS_SUCCESS);
    DDI_EQUAL(1, KeReadStateEvent(&event));
    DDI_EQUAL(STATUS_SUCCESS, look(&event));
    DDI_EQUAL(1, KeResetEvent(&event));
    DDI_EQUAL(0, KeResetEvent(&event));
    DDI_EQUAL(STATUS_TIMEOUT, look(&event));
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    DDI_EQUAL(STATUS_SUCCESS, look(&event));
    KeClearEvent(&event);
    DDI_EQUAL(0, KeReadStateEvent(&event));
}

static void test_synchronization_event_releases_one_thread_each_time(void)
{
    struct waiter waiters[WAITERS];
    KEVENT event;

    KeInitializeEvent(&event, SynchronizationEvent, TRUE);
    DDI_EQUAL(STATUS_SUCCESS, look(&event));
    DDI_EQUAL(STATUS_TIMEOUT, look(&event)); /* the wait reset it */
    start_waiters(waiters, &event, 0);
    pause_ms(100);
    for (unsigned count = 1; count <= WAITERS; ++count) {
        DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
        DDI_TRUE(await_woken(waiters, count));
        pause_ms(5);
        DDI_EQUAL(count, woken(waiters));
    }
    join_waiters(waiters, STATUS_SUCCESS);
    DDI_EQUAL(0, KeReadStateEvent(&event));
    DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
    DDI_EQUAL(1, KeReadStateEvent(&event));

    KeClearEvent(&event);
    start_waiters(waiters, &event, 0);
    pause_ms(100);
    for (unsigned count = 0; count < WAITERS; ++count) {
        (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE); /* at once: none of them is lost */
    }
    DDI_TRUE(await_woken(waiters, WAITERS));
    join_waiters(waiters, STATUS_SUCCESS);
}

struct relay {
    KEVENT ping;
    KEVENT pong;
    uint32_t rounds; /* guarded by the events */
};

enum {
    RELAY_ROUNDS = 2000
};

static void *relay_thread(void *argument)
{
    struct relay *relay = argument;

    for (int i = 0; i < RELAY_ROUNDS; ++i) {
        (void)KeWaitForSingleObject(&relay->ping, Executive, KernelMode, FALSE, NULL);
        ++relay->rounds;
        (void)KeSetEvent(&relay->pong, IO_NO_INCREMENT, FALSE);
    }
    return NULL;
}

static void test_two_threads_hand_over_by_events(void)
{
    struct relay relay = { .rounds = 0 };
    pthread_t thread;

    KeInitializeEvent(&relay.ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&relay.pong, SynchronizationEvent, FALSE);
    DDI_EQUAL(0, pthread_create(&thread, NULL, relay_thread, &relay));
    for (uint32_t i = 0; i < RELAY_ROUNDS; ++i) {
        (void)KeSetEvent(&relay.ping, IO_NO_INCREMENT, FALSE);
        if (wait_ms(&relay.pong, 10000) != STATUS_SUCCESS || relay.rounds != i + 1) {
            DDI_EQUAL(i + 1, relay.rounds);
            break;
        }
    }
    DDI_EQUAL(0, pthread_join(thread, NULL));
}

static void test_timeouts_are_relative_or_absolute(void)
{
    KEVENT event;
    LARGE_INTEGER timeout;
    LARGE_INTEGER now;
    struct timespec unix_now;
    uint64_t start;
    struct waiter waiters[WAITERS];

    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    start = now_ns();
    DDI_EQUAL(STATUS_TIMEOUT, wait_ms(&event, 20));
    DDI_TRUE(now_ns() - start >= 20000000u);
    KeQuerySystemTime(&now);
    clock_gettime(CLOCK_REALTIME, &unix_now);
    DDI_TRUE((ULONGLONG)(now.QuadPart / 10000000 - 11644473600) <= (ULONGLONG)unix_now.tv_sec);
    DDI_TRUE((ULONGLONG)(now.QuadPart / 10000000 - 11644473600) + 60 >= (ULONGLONG)unix_now.tv_sec);
    timeout.QuadPart = 1; /* long ago */
    DDI_EQUAL(STATUS_TIMEOUT,
              KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout));
    timeout.QuadPart = now.QuadPart + 30 * MILLISECOND;
    DDI_EQUAL(STATUS_TIMEOUT,
              KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout));
    KeQuerySystemTime(&now);
    DDI_TRUE(now.QuadPart >= timeout.QuadPart);
    (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
    timeout.QuadPart = INT64_MIN; /* some 29000 years */
    DDI_EQUAL(STATUS_SUCCESS,
              KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout));
    start_waiters(waiters, &event, 50);
    join_waiters(waiters, STATUS_TIMEOUT);
    DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE)); /* to none of those that gave up */
    DDI_EQUAL(1, KeReadStateEvent(&event));
    start = now_ns();
    timeout.QuadPart = -15 * MILLISECOND;
    DDI_EQUAL(STATUS_SUCCESS, KeDelayExecutionThread(KernelMode, FALSE, &timeout));
    DDI_TRUE(now_ns() - start >= 15000000u);
}

static void test_waits_obey_the_irql(void)
{
    struct ddi_stop stop;
    KEVENT event;
    LARGE_INTEGER timeout = { .QuadPart = -1 };
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"expool-irql");
    HANDLE handle = NULL;
    KIRQL old;

    KeInitializeEvent(&event, NotificationEvent, TRUE);
    KeRaiseIrql(APC_LEVEL, &old);
    DDI_EQUAL(STATUS_SUCCESS, wait_ms(&event, 1));
    DDI_CATCH(&stop, IoCreateNotificationEvent(&name, &handle));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&name, APC_LEVEL, 0, DDI_ANY);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_EQUAL(STATUS_SUCCESS, look(&event));
    DDI_EQUAL(1, KeResetEvent(&event));
    DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
    DDI_EQUAL(1, KeReadStateEvent(&event));
    DDI_CATCH(&stop, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&event, DISPATCH_LEVEL, 0, DDI_ANY);
    DDI_CATCH(&stop, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&event, DISPATCH_LEVEL, 0, DDI_ANY);
    DDI_CATCH(&stop, KeDelayExecutionThread(KernelMode, FALSE, &timeout));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, DDI_ANY, DISPATCH_LEVEL, 0, DDI_ANY);
    DDI_CATCH(&stop, ZwClose(NULL));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL, 0, DDI_ANY);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &old);
    DDI_CATCH(&stop, (void)look(&event));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&event, DISPATCH_LEVEL + 1, 0, DDI_ANY);
    DDI_CATCH(&stop, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&event, DISPATCH_LEVEL + 1, 0, DDI_ANY);
    DDI_CATCH(&stop, KeReadStateEvent(&event));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&event, DISPATCH_LEVEL + 1, 0, DDI_ANY);
    DDI_CATCH(&stop, KeClearEvent(&event));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)&event, DISPATCH_LEVEL + 1, 0, DDI_ANY);
    KeLowerIrql(PASSIVE_LEVEL);
    memset(&event, 0xff, sizeof(event));
    DDI_EQUAL(STATUS_INVALID_PARAMETER, look(&event));
}

static void test_a_copy_made_while_threads_wait_starts_without_them(void)
{
    struct waiter waiters[WAITERS];
    KEVENT event;
    int status = -1;
    pid_t child;

    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    start_waiters(waiters, &event, 0);
    pause_ms(100);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        ddi_failures = 0;
        DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
        DDI_EQUAL(1, KeReadStateEvent(&event)); /* nobody waits here */
        DDI_EQUAL(STATUS_SUCCESS, look(&event));
        _exit(ddi_failures != 0);
    }
    DDI_TRUE(waitpid(child, &status, 0) == child);
    DDI_EQUAL(0, status);
    for (unsigned count = 0; count < WAITERS; ++count) {
        (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
    }
    join_waiters(waiters, STATUS_SUCCESS);
}

static const struct ddi_test tests[] = {
    DDI_TEST("(6)", test_notification_event_releases_all_and_stays),
    DDI_TEST("(6)", test_synchronization_event_releases_one_thread_each_time),
    DDI_TEST("(6)", test_two_threads_hand_over_by_events),
    DDI_TEST("(6)", test_timeouts_are_relative_or_absolute),
    DDI_TEST("(6)", test_waits_obey_the_irql),
    DDI_TEST("(6)", test_a_copy_made_while_threads_wait_starts_without_them),
};

DDI_MAIN(tests)
