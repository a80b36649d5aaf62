/* SPDX-License-Identifier: MIT */
/*
 * Standard events and their descriptors (api.md 6; acceptance list 10.14; product.md 4).
 *
 * How full a pool is comes from the statistics region, so that the page at which a condition has to
 * begin is computed here and not asked from the library. Blocks above 16 pages take exactly their
 * pages; a limit is set from what is in use already.
 */
#include "event_waiters.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

enum {
    TAG = 'tnvE',
    LARGE_PAGES = 32, /* a block of so many pages is a span of its own */
    LIMIT_PAGES = 1000,
};

#define FOLDER L"\\KernelObjects\\"

/* A pool with its limit, thresholds and events. */
struct pool {
    POOL_FLAGS flags;
    const char *limit_option;
    const char *low_option;
    const char *high_option;
    uint64_t low_most, low_share, high_most, high_times, high_share; /* api.md 6, in pages */
    UNICODE_STRING low_name;
    UNICODE_STRING high_name;
};

static struct pool pools[] = {
    { POOL_FLAG_PAGED,
      "paged_limit",
      "low_paged",
      "high_paged",
      7680,
      5,
      15360,
      2,
      5,
      RTL_CONSTANT_STRING(FOLDER L"LowPagedPoolCondition"),
      RTL_CONSTANT_STRING(FOLDER L"HighPagedPoolCondition") },
    { POOL_FLAG_NON_PAGED,
      "nonpaged_limit",
      "low_nonpaged",
      "high_nonpaged",
      2048,
      3,
      5120,
      1,
      2,
      RTL_CONSTANT_STRING(FOLDER L"LowNonPagedPoolCondition"),
      RTL_CONSTANT_STRING(FOLDER L"HighNonPagedPoolCondition") },
    { POOL_FLAG_NON_PAGED_EXECUTE,
      "nonpaged_limit",
      "low_nonpaged",
      "high_nonpaged",
      2048,
      3,
      5120,
      1,
      2,
      RTL_CONSTANT_STRING(FOLDER L"LowNonPagedPoolCondition"),
      RTL_CONSTANT_STRING(FOLDER L"HighNonPagedPoolCondition") },
};

static PKEVENT open_event(PUNICODE_STRING name, PHANDLE handle)
{
    PKEVENT event = IoCreateNotificationEvent(name, handle);

    if (event == NULL) {
        printf("no event\n");
        exit(1);
    }
    return event;
}

static uint64_t used_pages(const struct pool *pool)
{
    struct expool_region_header header;

    if (!ddi_region(&header)) {
        printf("no statistics region\n");
        exit(1);
    }
    return pool->flags == POOL_FLAG_PAGED ? header.pool[EXPOOL_REGION_PAGED].pages
                                          : header.pool[EXPOOL_REGION_NONPAGED].pages +
                                                header.pool[EXPOOL_REGION_NONPAGED_EXECUTE].pages;
}

static void set_pages(const char *option, uint64_t pages)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)(pages * PAGE_SIZE));
    DDI_EQUAL(0, expool_set(option, text));
}

static void *take_pages(const struct pool *pool, uint64_t pages)
{
    return ddi_opaque(
        ExAllocatePool2(pool->flags | POOL_FLAG_UNINITIALIZED, (SIZE_T)pages * PAGE_SIZE, TAG));
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t low_pages(const struct pool *pool, uint64_t limit)
{
    return smaller(pool->low_most, limit / pool->low_share);
}

static uint64_t high_pages(const struct pool *pool, uint64_t limit)
{
    return smaller(pool->high_most, limit * pool->high_times / pool->high_share);
}

/* Both events of a pool, by reading and by waiting, against what is free. */
static void check_state(const struct pool *pool, PKEVENT low, PKEVENT high, uint64_t limit)
{
    uint64_t free = limit - used_pages(pool);
    bool low_holds = free <= low_pages(pool, limit);
    bool high_holds = free >= high_pages(pool, limit);

    DDI_TRUE_FOR((KeReadStateEvent(low) != 0) == low_holds, free);
    DDI_TRUE_FOR((KeReadStateEvent(high) != 0) == high_holds, free);
    DDI_EQUAL(low_holds ? STATUS_SUCCESS : STATUS_TIMEOUT, look(low));
    DDI_EQUAL(high_holds ? STATUS_SUCCESS : STATUS_TIMEOUT, look(high));
}

/* A limit that leaves the pool so many free pages when nothing more is taken. */
static uint64_t limit_for(const struct pool *pool, uint64_t pages)
{
    uint64_t limit;

    DDI_EQUAL(0, expool_set("front_cache", "0"));
    ExFreePool(take_pages(pool, LARGE_PAGES));
    limit = used_pages(pool) + pages;
    set_pages(pool->limit_option, limit);
    return limit;
}

static void test_all_nine_names_open_in_any_case_and_others_are_made_signaled(void)
{
    static UNICODE_STRING names[] = {
        RTL_CONSTANT_STRING(FOLDER L"LowNonPagedPoolCondition"),
        RTL_CONSTANT_STRING(FOLDER L"HighNonPagedPoolCondition"),
        RTL_CONSTANT_STRING(FOLDER L"LowPagedPoolCondition"),
        RTL_CONSTANT_STRING(FOLDER L"HighPagedPoolCondition"),
        RTL_CONSTANT_STRING(FOLDER L"LowMemoryCondition"),
        RTL_CONSTANT_STRING(FOLDER L"HighMemoryCondition"),
        RTL_CONSTANT_STRING(FOLDER L"LowCommitCondition"),
        RTL_CONSTANT_STRING(FOLDER L"HighCommitCondition"),
        RTL_CONSTANT_STRING(L"\\KERNELobjects\\maximumCOMMITcondition"),
    };
    UNICODE_STRING other = RTL_CONSTANT_STRING(L"\\BaseNamedObjects\\expool-test-155");
    UNICODE_STRING same = RTL_CONSTANT_STRING(L"\\basenamedobjects\\EXPOOL-test-155");
    PKEVENT events[RTL_NUMBER_OF(names)];
    HANDLE handles[RTL_NUMBER_OF(names)];
    HANDLE again = NULL;
    HANDLE third = NULL;
    PKEVENT event;

    for (size_t i = 0; i < RTL_NUMBER_OF(names); ++i) {
        events[i] = IoCreateNotificationEvent(&names[i], &handles[i]);
        DDI_TRUE_FOR(events[i] != NULL, i);
        for (size_t j = 0; j < i; ++j) {
            DDI_TRUE_FOR(events[j] != events[i] && handles[j] != handles[i], i);
        }
    }
    for (size_t i = 0; i < RTL_NUMBER_OF(names); ++i) {
        DDI_EQUAL(STATUS_SUCCESS, ZwClose(handles[i]));
    }
    event = open_event(&other, &again);
    DDI_EQUAL(1, KeReadStateEvent(event));
    KeClearEvent(event);
    DDI_TRUE(open_event(&same, &third) == event);
    DDI_EQUAL(0, KeReadStateEvent(event));
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(again));
    DDI_EQUAL(0, KeReadStateEvent(event)); /* one handle is open still */
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(third));
    event = open_event(&other, &again); /* the name was nobody's: a new event */
    DDI_EQUAL(1, KeReadStateEvent(event));
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(again));
}

static void test_names_that_cannot_be_give_null(void)
{
    static WCHAR letters[400];
    UNICODE_STRING name = { 0, sizeof(letters), letters };
    HANDLE handle = NULL;

    for (size_t i = 0; i < RTL_NUMBER_OF(letters); ++i) {
        letters[i] = L'n';
    }
    DDI_TRUE(IoCreateNotificationEvent(NULL, &handle) == NULL);
    DDI_TRUE(IoCreateNotificationEvent(&name, &handle) == NULL);
    name.Length = 7; /* half a character */
    DDI_TRUE(IoCreateNotificationEvent(&name, &handle) == NULL);
    name.Length = 261 * sizeof(WCHAR);
    DDI_TRUE(IoCreateNotificationEvent(&name, &handle) == NULL);
    DDI_TRUE(handle == NULL);
    name.Length = 260 * sizeof(WCHAR);
    DDI_TRUE(IoCreateNotificationEvent(&name, NULL) == NULL);
    (void)open_event(&name, &handle);
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(handle));
    DDI_EQUAL(STATUS_INVALID_HANDLE, ZwClose(handle));
    DDI_EQUAL(STATUS_INVALID_HANDLE, ZwClose(NULL));
    DDI_EQUAL(STATUS_INVALID_HANDLE, ZwClose((HANDLE)(ULONG_PTR)0x10001));
    DDI_EQUAL(STATUS_INVALID_HANDLE, ZwClose((HANDLE) ~(ULONG_PTR)0));
}

static void test_handles_run_out_and_come_back(void)
{
    static HANDLE handles[5000];
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"expool-many");
    UNICODE_STRING other = RTL_CONSTANT_STRING(L"expool-other");
    HANDLE handle;
    size_t count = 0;

    while (count < RTL_NUMBER_OF(handles) &&
           IoCreateNotificationEvent(&name, &handles[count]) != NULL) {
        ++count;
    }
    DDI_TRUE_FOR(count >= 1000 && count < RTL_NUMBER_OF(handles), count);
    DDI_TRUE(IoCreateNotificationEvent(&other, &handle) == NULL);
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(handles[--count]));
    DDI_TRUE(IoCreateNotificationEvent(&other, &handle) != NULL);
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(handle));
    while (count > 0) {
        DDI_EQUAL(STATUS_SUCCESS, ZwClose(handles[--count]));
    }
}

static void test_conditions_begin_and_end_at_the_exact_page(void)
{
    for (size_t i = 0; i < RTL_NUMBER_OF(pools); ++i) {
        struct pool *pool = &pools[i];
        HANDLE handles[2];
        PKEVENT low = open_event(&pool->low_name, &handles[0]);
        PKEVENT high = open_event(&pool->high_name, &handles[1]);
        uint64_t limit = limit_for(pool, LIMIT_PAGES);
        uint64_t used = used_pages(pool);
        uint64_t edges[2] = { low_pages(pool, limit), high_pages(pool, limit) };

        check_state(pool, low, high, limit);
        for (int edge = 0; edge < 2; ++edge) {
            for (int beside = -1; beside <= 1; ++beside) {
                uint64_t free = (uint64_t)((int64_t)edges[edge] + beside);
                void *block = take_pages(pool, limit - used - free);

                DDI_TRUE(block != NULL);
                DDI_EQUAL(free, limit - used_pages(pool));
                DDI_EQUAL(free <= edges[0], KeReadStateEvent(low));
                DDI_EQUAL(free >= edges[1], KeReadStateEvent(high));
                check_state(pool, low, high, limit);
                ExFreePool(block);
                check_state(pool, low, high, limit);
                DDI_EQUAL(0, KeReadStateEvent(low));
                DDI_EQUAL(1, KeReadStateEvent(high));
            }
        }
        (void)expool_set(pool->limit_option, "unlimited");
        ZwClose(handles[0]);
        ZwClose(handles[1]);
    }
}

static void test_conditions_follow_page_by_page_in_both_directions(void)
{
    static void *blocks[LIMIT_PAGES];

    for (size_t i = 0; i < RTL_NUMBER_OF(pools); ++i) {
        struct pool *pool = &pools[i];
        HANDLE handles[2];
        PKEVENT low = open_event(&pool->low_name, &handles[0]);
        PKEVENT high = open_event(&pool->high_name, &handles[1]);
        uint64_t limit = limit_for(pool, 200);
        unsigned seen[2] = { 0, 0 };
        size_t count = 0;

        while (count < LIMIT_PAGES && (blocks[count] = take_pages(pool, 1)) != NULL) {
            check_state(pool, low, high, limit);
            seen[0] += KeReadStateEvent(low) == 0 && KeReadStateEvent(high) == 0;
            ++count;
        }
        DDI_TRUE_FOR(count > 100 && count < LIMIT_PAGES, count);
        DDI_EQUAL(1, KeReadStateEvent(low));
        DDI_EQUAL(0, KeReadStateEvent(high));
        while (count > 0) {
            ExFreePool(blocks[--count]);
            check_state(pool, low, high, limit);
            seen[1] += KeReadStateEvent(low) == 0 && KeReadStateEvent(high) == 0;
        }
        DDI_EQUAL(0, KeReadStateEvent(low));
        DDI_EQUAL(1, KeReadStateEvent(high));
        DDI_TRUE(seen[0] > 1 && seen[1] > 1); /* between the thresholds neither is set */
        (void)expool_set(pool->limit_option, "unlimited");
        ZwClose(handles[0]);
        ZwClose(handles[1]);
    }
}

static void test_limits_and_thresholds_set_at_run_time_count_at_once(void)
{
    for (size_t i = 0; i < 2; ++i) {
        struct pool *pool = &pools[i];
        HANDLE handles[2];
        PKEVENT low = open_event(&pool->low_name, &handles[0]);
        PKEVENT high = open_event(&pool->high_name, &handles[1]);
        uint64_t limit = limit_for(pool, LIMIT_PAGES);
        uint64_t free = limit - used_pages(pool);

        set_pages(pool->low_option, free);
        DDI_EQUAL(1, KeReadStateEvent(low));
        DDI_EQUAL(0, KeReadStateEvent(high)); /* never both */
        set_pages(pool->low_option, free - 1);
        DDI_EQUAL(0, KeReadStateEvent(low));
        DDI_EQUAL(1, KeReadStateEvent(high));
        set_pages(pool->high_option, free + 1);
        DDI_EQUAL(0, KeReadStateEvent(low));
        DDI_EQUAL(0, KeReadStateEvent(high));
        DDI_EQUAL(0, expool_set(pool->limit_option, "unlimited"));
        DDI_EQUAL(0, KeReadStateEvent(low));
        DDI_EQUAL(1, KeReadStateEvent(high));
        DDI_EQUAL(0, expool_set(pool->low_option, "auto"));
        DDI_EQUAL(0, expool_set(pool->high_option, "auto"));
        DDI_EQUAL(0, expool_set(pool->limit_option, "0"));
        DDI_EQUAL(1, KeReadStateEvent(low));
        DDI_EQUAL(0, KeReadStateEvent(high));
        DDI_EQUAL(0, expool_set(pool->limit_option, "unlimited"));
        DDI_EQUAL(EINVAL, expool_set(pool->low_option, "unlimited"));
        ZwClose(handles[0]);
        ZwClose(handles[1]);
    }
}

static void test_wait_on_a_set_event_succeeds_twice_and_polls_do_not_wait(void)
{
    struct pool *pool = &pools[0];
    HANDLE handles[2];
    PKEVENT low = open_event(&pool->low_name, &handles[0]);
    PKEVENT high = open_event(&pool->high_name, &handles[1]);
    uint64_t start;

    DDI_EQUAL(STATUS_SUCCESS, KeWaitForSingleObject(high, Executive, KernelMode, FALSE, NULL));
    DDI_EQUAL(STATUS_SUCCESS, KeWaitForSingleObject(high, UserRequest, UserMode, TRUE, NULL));
    DDI_EQUAL(STATUS_SUCCESS, wait_ms(high, 1000));
    DDI_EQUAL(0x102, look(low));
    start = now_ns();
    DDI_EQUAL(STATUS_TIMEOUT, wait_ms(low, 30));
    DDI_TRUE(now_ns() - start >= 30000000u);
    ZwClose(handles[0]);
    ZwClose(handles[1]);
}

static void test_waiting_threads_wake_within_one_page_of_the_crossing(void)
{
    for (size_t i = 0; i < RTL_NUMBER_OF(pools); ++i) {
        struct pool *pool = &pools[i];
        struct waiter waiters[WAITERS];
        HANDLE handle;
        PKEVENT low = open_event(&pool->low_name, &handle);
        uint64_t limit = limit_for(pool, LIMIT_PAGES);
        uint64_t first = limit - used_pages(pool) - low_pages(pool, limit) - 1 - LARGE_PAGES;
        void *block = take_pages(pool, first);
        void *before = take_pages(pool, LARGE_PAGES);
        void *crossing;

        start_waiters(waiters, low, 0);
        DDI_EQUAL(low_pages(pool, limit) + 1, limit - used_pages(pool));
        DDI_EQUAL(0, woken(waiters));
        ExFreePool(before);
        crossing = take_pages(pool, LARGE_PAGES + 1); /* one page more than before */
        DDI_EQUAL(low_pages(pool, limit), limit - used_pages(pool));
        DDI_TRUE(await_woken(waiters, WAITERS));
        join_waiters(waiters, STATUS_SUCCESS);
        ExFreePool(crossing);
        ExFreePool(block);
        (void)expool_set(pool->limit_option, "unlimited");
        ZwClose(handle);
    }
}

static void test_close_does_not_disturb_other_openers(void)
{
    struct pool *pool = &pools[0];
    struct waiter waiters[WAITERS];
    HANDLE first;
    HANDLE second;
    PKEVENT event = open_event(&pool->low_name, &first);
    uint64_t limit = limit_for(pool, LIMIT_PAGES);

    DDI_TRUE(open_event(&pool->low_name, &second) == event);
    start_waiters(waiters, event, 0);
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(first));
    DDI_EQUAL(0, KeReadStateEvent(event));
    DDI_EQUAL(STATUS_TIMEOUT, look(event));
    DDI_EQUAL(STATUS_SUCCESS, ZwClose(second));
    DDI_EQUAL(STATUS_INVALID_HANDLE, ZwClose(second));
    set_pages(pool->low_option, limit); /* nobody has a handle, and the event lives */
    DDI_TRUE(await_woken(waiters, WAITERS));
    join_waiters(waiters, STATUS_SUCCESS);
    DDI_EQUAL(1, KeReadStateEvent(event));
    DDI_EQUAL(1, KeSetEvent(event, IO_NO_INCREMENT, FALSE)); /* does not obey, only tells */
    DDI_EQUAL(1, KeResetEvent(event));
    DDI_EQUAL(1, KeReadStateEvent(event));
    DDI_EQUAL(0, expool_set(pool->low_option, "auto"));
    DDI_EQUAL(0, KeReadStateEvent(event));
}

static void test_commit_is_low_on_a_lightly_loaded_system(void)
{
    UNICODE_STRING names[3] = {
        RTL_CONSTANT_STRING(FOLDER L"LowCommitCondition"),
        RTL_CONSTANT_STRING(FOLDER L"HighCommitCondition"),
        RTL_CONSTANT_STRING(FOLDER L"MaximumCommitCondition"),
    };
    LONG expected[3] = { 1, 0, 0 };
    HANDLE handle;

    for (int i = 0; i < 3; ++i) {
        PKEVENT event = open_event(&names[i], &handle);

        DDI_EQUAL(expected[i], KeReadStateEvent(event));
        DDI_EQUAL(expected[i] ? STATUS_SUCCESS : STATUS_TIMEOUT, look(event));
        ZwClose(handle);
    }
}

static void test_memory_thresholds_move_memory_events(void)
{
    UNICODE_STRING low_name = RTL_CONSTANT_STRING(FOLDER L"LowMemoryCondition");
    UNICODE_STRING high_name = RTL_CONSTANT_STRING(FOLDER L"HighMemoryCondition");
    struct waiter waiters[WAITERS];
    HANDLE handles[2];
    PKEVENT low = open_event(&low_name, &handles[0]);
    PKEVENT high = open_event(&high_name, &handles[1]);

    DDI_EQUAL(0, expool_set("low_memory", "0"));
    DDI_EQUAL(0, expool_set("high_memory", "1"));
    DDI_EQUAL(0, expool_set("stall", "0"));
    DDI_EQUAL(0, KeReadStateEvent(low));
    DDI_EQUAL(1, KeReadStateEvent(high));
    start_waiters(waiters, low, 0);
    DDI_EQUAL(0, woken(waiters));
    DDI_EQUAL(0, expool_set("low_memory", "1000000G"));
    DDI_TRUE(await_woken(waiters, WAITERS)); /* they look ten times a second */
    join_waiters(waiters, STATUS_SUCCESS);
    DDI_EQUAL(1, KeReadStateEvent(low));
    DDI_EQUAL(0, KeReadStateEvent(high));
    DDI_EQUAL(0, expool_set("low_memory", "auto"));
    DDI_EQUAL(0, expool_set("high_memory", "auto"));
    DDI_EQUAL(0, expool_set("stall", "20"));
    ZwClose(handles[0]);
    ZwClose(handles[1]);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static bool readable(int file)
{
    struct pollfd entry = { .fd = file, .events = POLLIN };

    return poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0;
}

static void test_descriptors_are_readable_while_conditions_hold(void)
{
    struct pool *pool = &pools[1];
    int low = expool_event_fd("LowNonPagedPoolCondition");
    int high = expool_event_fd("\\kernelobjects\\HIGHnonpagedpoolcondition");
    uint64_t limit = limit_for(pool, LIMIT_PAGES);
    uint64_t edge = low_pages(pool, limit);
    uint64_t used = used_pages(pool);
    void *block;

    DDI_TRUE(low > 2 && high > 2 && low != high);
    DDI_EQUAL(low, expool_event_fd("\\KernelObjects\\LowNonPagedPoolCondition"));
    DDI_EQUAL(FD_CLOEXEC, fcntl(low, F_GETFD));
    DDI_TRUE(!readable(low));
    DDI_TRUE(readable(high));
    for (int round = 0; round < 3; ++round) {
        block = take_pages(pool, limit - used - edge - 1);
        DDI_TRUE(!readable(low) && !readable(high));
        ExFreePool(block);
        DDI_TRUE(!readable(low) && readable(high));
        block = take_pages(pool, limit - used - edge);
        DDI_TRUE(readable(low) && !readable(high));
        DDI_EQUAL(low, expool_event_fd("LowNonPagedPoolCondition"));
        DDI_TRUE(readable(low));
        ExFreePool(block);
        DDI_TRUE(!readable(low) && readable(high));
    }
    DDI_EQUAL(-1, expool_event_fd("NoSuchCondition"));
    DDI_EQUAL(-1, expool_event_fd("\\KernelObjects\\"));
    DDI_EQUAL(-1, expool_event_fd(""));
}

static void test_descriptors_of_a_copy_are_its_own(void)
{
    struct pool *pool = &pools[1];
    int low = expool_event_fd("LowNonPagedPoolCondition");
    KEVENT event;
    int status = -1;
    pid_t child;

    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    DDI_TRUE(!readable(low));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        int own;

        ddi_failures = 0;
        DDI_EQUAL(0, expool_set(pool->limit_option, "0"));
        DDI_TRUE(!readable(low)); /* the parent's: left alone */
        own = expool_event_fd("LowNonPagedPoolCondition");
        DDI_TRUE(own >= 0 && own != low);
        DDI_TRUE(readable(own));
        DDI_EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
        DDI_EQUAL(STATUS_SUCCESS, wait_ms(&event, 1000));
        _exit(ddi_failures != 0);
    }
    DDI_TRUE(waitpid(child, &status, 0) == child);
    DDI_EQUAL(0, status);
    DDI_TRUE(!readable(low));
    DDI_EQUAL(0, KeReadStateEvent(&event));
    DDI_EQUAL(0, expool_set(pool->limit_option, "0"));
    DDI_TRUE(readable(low));
}

static void test_closed_descriptors_do_no_harm(void)
{
    int low = expool_event_fd("LowPagedPoolCondition");
    char path[] = "/tmp/expool-event-XXXXXX";
    int file = mkstemp(path);
    struct stat status;

    close(low);
    DDI_EQUAL(low, dup2(file, low)); /* a file of the program's under the same number */
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    DDI_EQUAL(0, fstat(low, &status));
    DDI_EQUAL(0, status.st_size);
    DDI_TRUE(expool_event_fd("LowPagedPoolCondition") != low);
    DDI_TRUE(readable(expool_event_fd("LowPagedPoolCondition")));
    close(low);
    close(file);
    unlink(path);
}

static void test_descriptor_of_memory_follows_by_itself(void)
{
    struct pollfd entry = { .events = POLLIN };

    DDI_EQUAL(0, expool_set("low_memory", "0"));
    DDI_EQUAL(0, expool_set("stall", "0"));
    entry.fd = expool_event_fd("LowMemoryCondition");
    DDI_TRUE(entry.fd >= 0);
    DDI_TRUE(readable(expool_event_fd("LowCommitCondition")));
    DDI_TRUE(!readable(entry.fd));
    DDI_EQUAL(0, expool_set("low_memory", "1000000G"));
    DDI_EQUAL(1, poll(&entry, 1, 10000));
    DDI_EQUAL(0, expool_set("low_memory", "0"));
    for (int tries = 0; tries < 1000 && readable(entry.fd); ++tries) {
        pause_ms(10);
    }
    DDI_TRUE(!readable(entry.fd));
    DDI_EQUAL(0, expool_set("low_memory", "auto"));
    DDI_EQUAL(0, expool_set("stall", "20"));
}

static uint32_t cancelled_blocks; /* atomic */

static void *take_cancelled(void *argument)
{
    pthread_cancel(pthread_self()); /* takes effect at the next cancellation point */
    ExFreePool(take_pages(&pools[1], *(uint64_t *)argument));
    __atomic_store_n(&cancelled_blocks, 1, __ATOMIC_RELEASE);
    pthread_testcancel();
    return NULL;
}

static void test_a_thread_is_not_cancelled_where_a_condition_begins(void)
{
    struct pool *pool = &pools[1];
    uint64_t limit = limit_for(pool, LIMIT_PAGES);
    uint64_t pages = limit - used_pages(pool) - low_pages(pool, limit);
    pthread_t thread;
    void *result = NULL;

    DDI_TRUE(expool_event_fd("LowNonPagedPoolCondition") >= 0);
    DDI_EQUAL(0, pthread_create(&thread, NULL, take_cancelled, &pages));
    DDI_EQUAL(0, pthread_join(thread, &result));
    DDI_TRUE(result == PTHREAD_CANCELED);
    DDI_EQUAL(1, __atomic_load_n(&cancelled_blocks, __ATOMIC_ACQUIRE));
    ExFreePool(take_pages(pool, LARGE_PAGES)); /* no lock was left behind */
}

static const struct ddi_test tests[] = {
    DDI_TEST("155", test_all_nine_names_open_in_any_case_and_others_are_made_signaled),
    DDI_TEST("155", test_names_that_cannot_be_give_null),
    DDI_TEST("155", test_handles_run_out_and_come_back),
    DDI_TEST("156,157,160", test_conditions_begin_and_end_at_the_exact_page),
    DDI_TEST("156,157", test_conditions_follow_page_by_page_in_both_directions),
    DDI_TEST("156,157", test_limits_and_thresholds_set_at_run_time_count_at_once),
    DDI_TEST("158", test_wait_on_a_set_event_succeeds_twice_and_polls_do_not_wait),
    DDI_TEST("159", test_waiting_threads_wake_within_one_page_of_the_crossing),
    DDI_TEST("160", test_close_does_not_disturb_other_openers),
    DDI_TEST("161", test_commit_is_low_on_a_lightly_loaded_system),
    DDI_TEST("(6)", test_memory_thresholds_move_memory_events),
    DDI_TEST("(6)", test_descriptors_are_readable_while_conditions_hold),
    DDI_TEST("(6)", test_descriptors_of_a_copy_are_its_own),
    DDI_TEST("(6)", test_a_thread_is_not_cancelled_where_a_condition_begins),
    DDI_TEST("(6)", test_closed_descriptors_do_no_harm),
    DDI_TEST("(6)", test_descriptor_of_memory_follows_by_itself),
};

DDI_MAIN(tests)
