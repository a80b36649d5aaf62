/* SPDX-License-Identifier: MIT */
/*
 * Events over the simulated port: conditions at the exact page and what the port is told, waits
 * that another thread ends (the port's hook plays it), timeouts by a clock that obeys, memory as
 * the test wants it, a copy of the process in the middle of a wait.
 *
 * source: spec/api.md 6; 10.14 statements 156, 157, 159, 161; docs/decisions/0010-events.md
 */
#include <setjmp.h>

#include "core/option.h"
#include "core/owner.h"
#include "front/event.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/unit_test.h"

enum { NONPAGED, EXECUTE, PAGED };

#define PAGE        UINT64_C(4096)
#define MILLISECOND INT64_C(10000) /* in 100 ns */
#define MIB         (UINT64_C(1) << 20)
#define BIT(index)  (UINT32_C(1) << (index))

static void set(const char *name, uint64_t bytes)
{
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
    CHECK_EQUAL(expool_set(name, text), 0);
}

static void set_words(const char *name, const char *value)
{
    CHECK_EQUAL(expool_set(name, value), 0);
}

static struct exp_span *take(unsigned pool, size_t pages)
{
    struct exp_span *span = exp_span_take(0, pool, pages);
    if (CHECK(span != NULL)) {
        span->class_index = EXP_CLASS_LARGE;
        span->use = EXP_SPAN_LARGE;
        span->held_bytes = pages * PAGE;
    }
    return span;
}

static void give(struct exp_span *span)
{
    exp_lock_acquire(&exp_span.lock);
    exp_span_give(span);
    exp_lock_release(&exp_span.lock);
}

static void *open_event(const char *name)
{
    static uint16_t text[300];
    static void *handle; /* never closed: a standard event */
    struct door_name wide = { 0, sizeof(text), text };
    for (; name[wide.length_bytes / 2] != '\0'; wide.length_bytes += 2) {
        text[wide.length_bytes / 2] = (unsigned char)name[wide.length_bytes / 2];
    }
    void *event = IoCreateNotificationEvent(&wide, &handle);
    CHECK(event != NULL);
    CHECK_EQUAL(ZwClose(handle), STATUS_DONE);
    return event;
}

static int32_t wait_for(void *event, int64_t timeout)
{
    return KeWaitForSingleObject(event, 0, 0, 0, &timeout);
}

static bool holds(unsigned condition)
{
    return (exp_atomic_load(&exp_span.conditions) >> condition & 1) != 0;
}

static void test_event_thresholds_are_shares_of_the_limit_or_options(void)
{
    static const struct {
        uint64_t limit, low[2], high[2]; /* pages; nonpaged, paged */
    } cases[] = {
        { 0, { 0, 0 }, { 1, 1 } },
        { 1, { 0, 0 }, { 1, 1 } },
        { 100, { 33, 20 }, { 50, 40 } },
        { 1000, { 333, 200 }, { 500, 400 } },
        { 6144, { 2048, 1228 }, { 3072, 2457 } },
        { 10240, { 2048, 2048 }, { 5120, 4096 } },
        { 1 << 20, { 2048, 7680 }, { 5120, 15360 } },
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        set("nonpaged_limit", cases[index].limit * PAGE + 4095); /* a part of a page is none */
        set("paged_limit", cases[index].limit * PAGE);
        for (unsigned pool = NONPAGED; pool <= PAGED; pool++) {
            CHECK_EQUAL(exp_span_low_pages(pool), cases[index].low[pool == PAGED]);
            CHECK_EQUAL(exp_span_pages_free(pool), cases[index].limit);
            CHECK_EQUAL(exp_span.gates[pool == PAGED].pages_high,
                        cases[index].high[pool == PAGED]);
        }
    }
    set("low_paged", 10 * PAGE + 4095);
    set("high_paged", 20 * PAGE + 1);
    CHECK_EQUAL(exp_span_low_pages(PAGED), 10);
    CHECK_EQUAL(exp_span.gates[1].pages_high, 21);
    set("high_paged", 0); /* never both */
    CHECK_EQUAL(exp_span.gates[1].pages_high, 11);
    set_words("low_paged", "auto");
    set_words("high_paged", "auto");
    set_words("paged_limit", "unlimited");
    set_words("nonpaged_limit", "unlimited");
    CHECK_EQUAL(exp_span_pages_free(PAGED), SIZE_MAX);
    CHECK(!holds(EXP_SPAN_LOW_PAGED) && holds(EXP_SPAN_HIGH_PAGED));
    CHECK(!holds(EXP_SPAN_LOW_NONPAGED) && holds(EXP_SPAN_HIGH_NONPAGED));
}

/* Fill a pool page by page and empty it; at each page what must hold is computed from the count. */
static void fill_and_empty(unsigned pool, unsigned other, unsigned low, unsigned high)
{
    enum { LIMIT = 100 };
    struct exp_span *spans[LIMIT];
    uint64_t low_at = pool == PAGED ? 20 : 33;
    uint64_t high_at = pool == PAGED ? 40 : 50;
    uint64_t wakes = sim_calls(SIM_WAKE_ALL);
    uint64_t told = sim_calls(SIM_CONDITION);
    unsigned changes = 0;
    unsigned begun = 0;
    bool former[2] = { false, true };
    set(pool == PAGED ? "paged_limit" : "nonpaged_limit", LIMIT * PAGE);
    for (unsigned step = 0; step < 2 * LIMIT; step++) {
        if (step < LIMIT) {
            spans[step] = take(step % 2 == 0 ? pool : other, 1);
        } else {
            give(spans[2 * LIMIT - 1 - step]);
        }
        uint64_t free = step < LIMIT ? LIMIT - 1 - step : step - LIMIT + 1;
        bool now[2] = { free <= low_at, free >= high_at };
        changes += (now[0] != former[0]) + (now[1] != former[1]);
        begun += (now[0] && !former[0]) + (now[1] && !former[1]);
        memcpy(former, now, sizeof(now));
        CHECK_EQUAL(exp_span_pages_free(pool), free);
        CHECK_EQUAL(holds(low), now[0]);
        CHECK_EQUAL(holds(high), now[1]);
        CHECK_EQUAL(sim_conditions() >> low & 1, now[0]);
        CHECK_EQUAL(sim_conditions() >> high & 1, now[1]);
        CHECK_EQUAL(exp_span.region->pool[pool].conditions,
                    (now[0] ? EXPOOL_REGION_LOW : 0u) | (now[1] ? EXPOOL_REGION_HIGH : 0u));
        CHECK_EQUAL(sim_calls(SIM_WAKE_ALL) - wakes, begun); /* nobody waits for an end */
        CHECK_EQUAL(sim_calls(SIM_CONDITION) - told, changes);
    }
    CHECK_EQUAL(changes, 4);
    CHECK_EQUAL(begun, 2);
    CHECK(exp_span_take(0, pool, LIMIT + 1) == NULL);
    set_words(pool == PAGED ? "paged_limit" : "nonpaged_limit", "unlimited");
}

static void test_event_condition_begins_and_ends_at_the_page(void)
{
    fill_and_empty(PAGED, PAGED, EXP_SPAN_LOW_PAGED, EXP_SPAN_HIGH_PAGED);
    fill_and_empty(NONPAGED, EXECUTE, EXP_SPAN_LOW_NONPAGED, EXP_SPAN_HIGH_NONPAGED);
    fill_and_empty(EXECUTE, EXECUTE, EXP_SPAN_LOW_NONPAGED, EXP_SPAN_HIGH_NONPAGED);
    CHECK_EQUAL(sim_conditions_told() & 15, 15);
}

static void test_event_extend_counts_too(void)
{
    set("paged_limit", 100 * PAGE);
    struct exp_span *span = take(PAGED, 79);
    CHECK(!holds(EXP_SPAN_LOW_PAGED));
    CHECK(exp_span_extend(span, 1));
    CHECK(holds(EXP_SPAN_LOW_PAGED));
    CHECK(!exp_span_extend(span, 21)); /* the limit */
    give(span);
    CHECK(!holds(EXP_SPAN_LOW_PAGED));
    set_words("paged_limit", "unlimited");
}

/* What another thread does while the test waits. */
static struct {
    struct exp_span *span;
    void *event;
    unsigned waits;
    int32_t former;
    jmp_buf jump;
} other;

static void take_one_page_a_wait(uint32_t *word)
{
    CHECK(word == &exp_span.begun[EXP_SPAN_LOW_PAGED]);
    other.waits++;
    give(other.span);
    other.span = take(PAGED, 70 + other.waits);
}

static void test_event_wait_ends_when_another_crosses_the_page(void)
{
    void *low = open_event("\\KernelObjects\\LowPagedPoolCondition");
    set("paged_limit", 100 * PAGE);
    other.span = take(PAGED, 70);
    other.waits = 0;
    sim_on_wait(take_one_page_a_wait);
    CHECK_EQUAL(wait_for(low, -1000 * MILLISECOND), STATUS_DONE);
    sim_on_wait(NULL);
    CHECK_EQUAL(other.span->pages, 80); /* limit less low: the first count at which it holds */
    CHECK_EQUAL(wait_for(low, 0), STATUS_DONE);
    CHECK_EQUAL(KeReadStateEvent(low), 1);
    give(other.span);
    CHECK_EQUAL(KeReadStateEvent(low), 0);
    CHECK_EQUAL(wait_for(low, 0), STATUS_TIMEOUT);
    set_words("paged_limit", "unlimited");
}

static void cross_and_come_back(uint32_t *word)
{
    (void)word;
    other.waits++;
    give(take(PAGED, 80));
}

static void test_event_wait_ends_though_the_condition_is_over_again(void)
{
    void *low = open_event("\\KernelObjects\\LowPagedPoolCondition");
    void *high = open_event("\\KernelObjects\\HighPagedPoolCondition");
    set("paged_limit", 100 * PAGE);
    other.waits = 0;
    sim_on_wait(cross_and_come_back);
    CHECK_EQUAL(wait_for(low, -1000 * MILLISECOND), STATUS_DONE);
    CHECK_EQUAL(other.waits, 1);
    CHECK_EQUAL(KeReadStateEvent(low), 0);
    struct exp_span *span = take(PAGED, 61); /* neither: 39 are free */
    sim_on_wait(NULL);
    CHECK_EQUAL(wait_for(low, -MILLISECOND), STATUS_TIMEOUT); /* what was does not count */
    CHECK_EQUAL(wait_for(high, -MILLISECOND), STATUS_TIMEOUT);
    give(span);
    set_words("paged_limit", "unlimited");
}

static void test_event_timeout_takes_its_time_and_no_more(void)
{
    struct door_event event;
    KeInitializeEvent(&event, EVENT_NOTIFICATION, 0);
    void *low = open_event("\\KernelObjects\\LowPagedPoolCondition");
    void *objects[2] = { &event, low };
    for (int index = 0; index < 2; index++) {
        uint64_t start = exp_port_clock_ns();
        CHECK_EQUAL(wait_for(objects[index], -7 * MILLISECOND - 1), STATUS_TIMEOUT);
        CHECK_EQUAL(exp_port_clock_ns() - start, 7000100);
        start = exp_port_clock_ns();
        CHECK_EQUAL(wait_for(objects[index], (int64_t)exp_port_time_100ns() + 3000 * MILLISECOND),
                    STATUS_TIMEOUT);
        CHECK_EQUAL(exp_port_clock_ns() - start, 3000000000);
        start = exp_port_clock_ns();
        CHECK_EQUAL(wait_for(objects[index], (int64_t)exp_port_time_100ns()), STATUS_TIMEOUT);
        CHECK_EQUAL(wait_for(objects[index], 0), STATUS_TIMEOUT);
        CHECK_EQUAL(exp_port_clock_ns(), start);
    }
    uint64_t start = exp_port_clock_ns();
    int64_t interval = -5 * MILLISECOND;
    CHECK_EQUAL(KeDelayExecutionThread(0, 0, &interval), STATUS_DONE);
    CHECK_EQUAL(exp_port_clock_ns() - start, 5000000);
}

static void set_other(uint32_t *word)
{
    (void)word;
    other.waits++;
    other.former = KeSetEvent(other.event, 0, 0);
}

static void set_other_twice(uint32_t *word)
{
    set_other(word);
    set_other(word);
}

static void test_event_of_a_caller_is_handed_over(void)
{
    struct door_event event;
    other.event = &event;
    for (int type = EVENT_NOTIFICATION; type <= EVENT_SYNCHRONIZATION; type++) {
        KeInitializeEvent(&event, type, 0);
        sim_on_wait(set_other);
        CHECK_EQUAL(KeWaitForSingleObject(&event, 0, 0, 0, NULL), STATUS_DONE);
        CHECK_EQUAL(other.former, 0);
        CHECK_EQUAL(event.state, type == EVENT_NOTIFICATION);
        CHECK_EQUAL(KeReadStateEvent(&event), type == EVENT_NOTIFICATION);
        KeResetEvent(&event);
        sim_on_wait(set_other_twice); /* the first one ends the wait, the second stays */
        CHECK_EQUAL(wait_for(&event, -1000 * MILLISECOND), STATUS_DONE);
        CHECK_EQUAL(KeReadStateEvent(&event), 1);
        sim_on_wait(NULL);
    }
}

static void leave_the_wait(uint32_t *word)
{
    (void)word;
    longjmp(other.jump, 1);
}

static void test_event_copy_of_the_process_forgets_who_waited(void)
{
    static struct door_event event;
    KeInitializeEvent(&event, EVENT_SYNCHRONIZATION, 0);
    for (int round = 0; round < 3; round++) {
        sim_on_wait(leave_the_wait);
        if (setjmp(other.jump) == 0) {
            (void)KeWaitForSingleObject(&event, 0, 0, 0, NULL);
        }
        sim_on_wait(NULL); /* the wait lies in the list still, of a thread that is gone */
        sim_child();
        CHECK_EQUAL(KeSetEvent(&event, 0, 0), 0);
        CHECK_EQUAL(KeReadStateEvent(&event), 1);
        CHECK_EQUAL(wait_for(&event, 0), STATUS_DONE);
        CHECK_EQUAL(wait_for(&event, 0), STATUS_TIMEOUT);
    }
    CHECK_EQUAL(exp_owner_forks(), 3);
}

static void test_event_conditions_survive_a_copy_of_the_process(void)
{
    void *low = open_event("\\KernelObjects\\LowPagedPoolCondition");
    set("paged_limit", 100 * PAGE);
    struct exp_span *span = take(PAGED, 80);
    exp_span.lock.word = 1; /* another thread was inside */
    sim_child();
    CHECK_EQUAL(KeReadStateEvent(low), 1);
    give(span);
    CHECK_EQUAL(KeReadStateEvent(low), 0);
    set_words("paged_limit", "unlimited");
}

static void test_event_judges_memory_and_commit(void)
{
    enum {
        LOW = BIT(EXP_EVENT_LOW_MEMORY),
        HIGH = BIT(EXP_EVENT_HIGH_MEMORY),
        LIGHT = BIT(EXP_EVENT_LOW_COMMIT),
        HEAVY = BIT(EXP_EVENT_HIGH_COMMIT),
        FULL = BIT(EXP_EVENT_MAXIMUM_COMMIT),
    };
    static const struct {
        struct exp_port_memory memory;
        uint32_t bits;
    } cases[] = {
        { { 16384 * MIB, 8192 * MIB, 10, 1000, 1000, 0 }, HIGH | LIGHT },
        { { 16384 * MIB, 64 * MIB, 10, 1000, 1000, 0 }, LOW | LIGHT },
        { { 16384 * MIB, 64 * MIB + 1, 10, 1000, 1000, 0 }, LIGHT },
        { { 16384 * MIB, 192 * MIB - 1, 10, 1000, 1000, 0 }, LIGHT },
        { { 16384 * MIB, 192 * MIB, 10, 1000, 1000, 0 }, HIGH | LIGHT },
        { { 4096 * MIB, 32 * MIB, 10, 1000, 1000, 0 }, LOW | LIGHT },
        { { 4096 * MIB, 32 * MIB + 1, 10, 1000, 1000, 0 }, LIGHT },
        { { 4096 * MIB, 96 * MIB, 10, 1000, 1000, 0 }, HIGH | LIGHT },
        { { 16384 * MIB, 8192 * MIB, 10, 1000, 1000, 19 }, HIGH | LIGHT },
        { { 16384 * MIB, 8192 * MIB, 10, 1000, 1000, 20 }, LOW | LIGHT },
        { { 16384 * MIB, 8192 * MIB, 800, 1000, 1000, 0 }, HIGH | LIGHT },
        { { 16384 * MIB, 8192 * MIB, 801, 1000, 1000, 0 }, HIGH },
        { { 16384 * MIB, 8192 * MIB, 899, 1000, 1000, 0 }, HIGH },
        { { 16384 * MIB, 8192 * MIB, 900, 1000, 1000, 0 }, HIGH | HEAVY },
        { { 16384 * MIB, 8192 * MIB, 980, 1000, 1000, 0 }, HIGH | HEAVY | FULL },
        { { 16384 * MIB, 8192 * MIB, 980, 1000, 1001, 0 }, HIGH | HEAVY }, /* it may grow */
        { { 16384 * MIB, 8192 * MIB, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0 }, HIGH | HEAVY | FULL },
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        CHECK_EQUAL(exp_event_judge(&cases[index].memory), cases[index].bits);
    }
    set("low_memory", 100 * MIB);
    CHECK_EQUAL(exp_event_judge(&cases[3].memory), LIGHT); /* high follows: 300 MiB */
    set("high_memory", 0);
    set("stall", 0);
    CHECK_EQUAL(exp_event_judge(&cases[9].memory), HIGH | LIGHT);
    CHECK_EQUAL(exp_event_judge(&cases[5].memory), LOW | LIGHT); /* never both */
    set("high_commit", 1);
    set("maximum_commit", 1);
    set("low_commit", 0);
    CHECK_EQUAL(exp_event_judge(&cases[0].memory), HIGH | HEAVY | FULL);
    set_words("low_memory", "auto");
    set_words("high_memory", "auto");
    set("low_commit", 80);
    set("high_commit", 90);
    set("maximum_commit", 98);
    set("stall", 20);
    CHECK_EQUAL(expool_set("low_commit", "101"), 22);
    CHECK_EQUAL(expool_set("low_memory", "unlimited"), 22);
}

static void grow_scarce(uint32_t *word)
{
    static const struct exp_port_memory scarce = { 4096 * MIB, 0, 10, 1000, 1000, 0 };
    (void)word;
    other.waits++;
    if (other.waits == 103) { /* milliseconds */
        sim_memory_set(&scarce);
    }
}

static void test_event_memory_is_looked_at_ten_times_a_second(void)
{
    static const struct exp_port_memory plenty = { 4096 * MIB, 2048 * MIB, 10, 1000, 1000, 0 };
    void *low = open_event("\\KernelObjects\\LowMemoryCondition");
    void *high = open_event("\\kernelobjects\\highmemorycondition");
    CHECK_EQUAL(KeReadStateEvent(low), 0); /* nothing is known */
    CHECK_EQUAL(KeReadStateEvent(high), 1);
    sim_memory_set(&plenty);
    sim_clock_advance_ms(100);
    CHECK_EQUAL(KeReadStateEvent(high), 1);
    uint64_t looks = sim_calls(SIM_MEMORY);
    CHECK_EQUAL(wait_for(high, 0), STATUS_DONE);
    sim_clock_advance_ms(99);
    CHECK_EQUAL(KeReadStateEvent(low), 0);
    CHECK_EQUAL(sim_calls(SIM_MEMORY), looks);
    sim_clock_advance_ms(1);
    CHECK_EQUAL(KeReadStateEvent(low), 0);
    CHECK_EQUAL(sim_calls(SIM_MEMORY), looks + 1);
    uint64_t start = exp_port_clock_ns();
    other.waits = 0;
    sim_on_wait(grow_scarce);
    CHECK_EQUAL(wait_for(low, -1000 * MILLISECOND), STATUS_DONE);
    sim_on_wait(NULL);
    CHECK_EQUAL(exp_port_clock_ns() - start, 200000000);
    CHECK_EQUAL(sim_conditions() >> EXP_SPAN_CONDITIONS, 5); /* low memory, low commit */
    sim_memory_set(NULL);
    start = exp_port_clock_ns();
    sim_clock_advance_ms(100);
    CHECK_EQUAL(wait_for(low, -250 * MILLISECOND), STATUS_TIMEOUT);
    CHECK_EQUAL(exp_port_clock_ns() - start, 350000000);
}

static void test_event_names_are_found_with_and_without_folder(void)
{
    CHECK_EQUAL(exp_event_find("LowNonPagedPoolCondition"), EXP_SPAN_LOW_NONPAGED);
    CHECK_EQUAL(exp_event_find("\\KernelObjects\\HighPagedPoolCondition"), EXP_SPAN_HIGH_PAGED);
    CHECK_EQUAL(exp_event_find("\\KERNELOBJECTS\\maximumcommitcondition"),
                EXP_EVENT_MAXIMUM_COMMIT);
    CHECK_EQUAL(exp_event_find("LowNonPagedPoolConditio"), EXP_EVENT_CONDITIONS);
    CHECK_EQUAL(exp_event_find("LowNonPagedPoolConditions"), EXP_EVENT_CONDITIONS);
    CHECK_EQUAL(exp_event_find("\\KernelObjects"), EXP_EVENT_CONDITIONS);
    CHECK_EQUAL(exp_event_find("\\KernelObjects\\"), EXP_EVENT_CONDITIONS);
    CHECK_EQUAL(exp_event_find(""), EXP_EVENT_CONDITIONS);
}

static void test_event_descriptor_is_told_once_more_and_memory_looked_at(void)
{
    static const struct exp_port_memory plenty = { 4096 * MIB, 2048 * MIB, 10, 1000, 1000, 0 };
    uint64_t told = sim_calls(SIM_CONDITION);
    CHECK(!sim_look());
    CHECK_EQUAL(expool_event_fd("HighPagedPoolCondition"), 100 + EXP_SPAN_HIGH_PAGED);
    CHECK_EQUAL(sim_calls(SIM_CONDITION) - told, EXP_SPAN_CONDITIONS);
    CHECK(sim_conditions() >> EXP_SPAN_HIGH_PAGED & 1);
    CHECK(!sim_look());
    CHECK_EQUAL(expool_event_fd("LowMemoryCondition"), 100 + EXP_EVENT_LOW_MEMORY);
    CHECK_EQUAL(sim_calls(SIM_CONDITION) - told, EXP_EVENT_CONDITIONS);
    sim_memory_set(&plenty);
    other.waits = 2;
    CHECK(sim_look());
    CHECK_EQUAL(sim_conditions() >> EXP_EVENT_LOW_MEMORY & 3, 2);
    other.waits = 102;
    grow_scarce(NULL);
    CHECK(sim_look()); /* at once, however young the last look is */
    CHECK_EQUAL(sim_conditions() >> EXP_EVENT_LOW_MEMORY & 3, 1);
    sim_fail(SIM_CONDITION_FILE, 1, 1);
    CHECK_EQUAL(expool_event_fd("LowMemoryCondition"), UINT64_MAX);
    sim_memory_set(NULL);
}

int main(void)
{
    sim_start(1, SIM_ARENA_BYTES_DEFAULT);
    unit_start();
    exp_owner_notice();
    RUN(test_event_thresholds_are_shares_of_the_limit_or_options);
    RUN(test_event_condition_begins_and_ends_at_the_page);
    RUN(test_event_extend_counts_too);
    RUN(test_event_wait_ends_when_another_crosses_the_page);
    RUN(test_event_wait_ends_though_the_condition_is_over_again);
    RUN(test_event_timeout_takes_its_time_and_no_more);
    RUN(test_event_of_a_caller_is_handed_over);
    RUN(test_event_copy_of_the_process_forgets_who_waited);
    RUN(test_event_conditions_survive_a_copy_of_the_process);
    RUN(test_event_judges_memory_and_commit);
    RUN(test_event_memory_is_looked_at_ten_times_a_second);
    RUN(test_event_names_are_found_with_and_without_folder);
    RUN(test_event_descriptor_is_told_once_more_and_memory_looked_at);
    return unit_end();
}
