/* SPDX-License-Identifier: MIT */
/*
 * The simulated port is as strict as the other tests rely on: its memory keeps its promises and no
 * more, its scripts hit the call they name, and each breach of the contract ends the program.
 *
 * Each case runs in a forked child, where the port is as new; the pool itself is not used.
 */
#include <expool.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/owner_inline.h"
#include "sim/port.h"
#include "unit/unit_test.h"

#define PAGE ((size_t)4096)

/* Run a case in a child without its talk; its status as waitpid tells it. */
static int case_status(void (*body)(void), bool quiet)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        unit.failures = 0;
        body();
        _exit(unit.failures == 0 ? 0 : 1);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static unsigned char *pages_get(size_t count)
{
    unsigned char *pages = exp_port_reserve(count * PAGE, PAGE);
    if (pages == NULL || !exp_port_commit(pages, count * PAGE, EXP_PORT_READ_WRITE, false)) {
        _exit(3);
    }
    return pages;
}

static void memory_body(void)
{
    unsigned char *pages = exp_port_reserve((size_t)8 << 20, (size_t)4 << 20);
    CHECK(pages != NULL && (uintptr_t)pages % ((size_t)4 << 20) == 0);
    CHECK_EQUAL(sim_access(pages), EXP_PORT_NONE);
    CHECK(exp_port_commit(pages, 4 * PAGE, EXP_PORT_READ_WRITE, false));
    CHECK_EQUAL(sim_committed_pages(), 4);
    for (size_t byte = 0; byte < 4 * PAGE; byte++) {
        CHECK_EQUAL(pages[byte], 0);
    }
    memset(pages, 0x11, 4 * PAGE);
    CHECK(exp_port_decommit(pages + PAGE, PAGE));
    CHECK_EQUAL(pages[PAGE - 1], 0x11);
    CHECK_EQUAL(pages[PAGE], 0);
    CHECK_EQUAL(pages[2 * PAGE - 1], 0);
    CHECK_EQUAL(pages[2 * PAGE], 0x11);
    sim_decommit_refuse(true);
    CHECK(!exp_port_decommit(pages, PAGE));
    CHECK(pages[0] != 0 && pages[0] != 0x11);
    CHECK(exp_port_move(pages + 3 * PAGE, pages + 2 * PAGE, PAGE));
    CHECK_EQUAL(pages[2 * PAGE], 0);
    CHECK_EQUAL(pages[3 * PAGE], 0x11);
    CHECK(exp_port_commit(pages + 3 * PAGE, PAGE, EXP_PORT_NONE, false));
    CHECK_EQUAL(sim_access(pages + 3 * PAGE), EXP_PORT_NONE);
    CHECK(exp_port_commit(pages + 3 * PAGE, PAGE, EXP_PORT_READ_WRITE_EXECUTE, false));
    CHECK_EQUAL(sim_access(pages + 3 * PAGE), EXP_PORT_READ_WRITE_EXECUTE);
    CHECK(pages[3 * PAGE] != 0x11 && pages[3 * PAGE] != 0);
    sim_memory_limit(5);
    CHECK(!exp_port_commit(pages + 4 * PAGE, 2 * PAGE, EXP_PORT_READ_WRITE, false));
    CHECK(exp_port_commit(pages + 4 * PAGE, PAGE, EXP_PORT_READ_WRITE, false));
    CHECK_EQUAL(sim_committed_pages(), 5);
}

static void script_body(void)
{
    unsigned char *pages = pages_get(8);
    sim_fail(SIM_DECOMMIT, 2, 2);
    CHECK(exp_port_decommit(pages, PAGE));
    CHECK(!exp_port_decommit(pages, PAGE));
    CHECK(!exp_port_decommit(pages, PAGE));
    CHECK(exp_port_decommit(pages, PAGE));
    CHECK_EQUAL(sim_calls(SIM_DECOMMIT), 4);
    CHECK_EQUAL(sim_failures(), 2);
    sim_fail_any(3, 1);
    CHECK(exp_port_decommit(pages, PAGE));
    CHECK(exp_port_commit(pages, PAGE, EXP_PORT_READ_WRITE, false));
    CHECK(exp_port_reserve(PAGE, PAGE) == NULL);
    CHECK_EQUAL(sim_failure_last(), SIM_RESERVE);
    CHECK(exp_port_reserve(PAGE, PAGE) != NULL);
}

static void region_body(void)
{
    size_t bytes = (size_t)1 << 40;
    unsigned char *region = exp_port_region(&bytes, false, 0);
    CHECK(region != NULL && bytes == SIM_REGION_BYTES_MAX);
    CHECK(exp_port_region_commit(0, 2 * PAGE));
    CHECK(exp_port_region_commit(8 * PAGE, PAGE));
    memset(region, 0x22, 2 * PAGE);
    region[8 * PAGE] = 0x33;
    CHECK(exp_port_region(&bytes, true, PAGE) == region);
    CHECK_EQUAL(region[0], 0x22);
    CHECK(exp_port_region_commit(8 * PAGE, PAGE));
    CHECK_EQUAL(region[8 * PAGE], 0);
}

static void clock_body(void)
{
    uint64_t start = exp_port_clock_ms();
    CHECK_EQUAL(exp_port_clock_ms(), start);
    sim_clock_advance_ms(77);
    CHECK_EQUAL(exp_port_clock_ms(), start + 77);
    sim_nodes(2);
    sim_processor_node_set(3, 1);
    CHECK_EQUAL(exp_port_node(), 0);
    sim_processor_set(3);
    CHECK_EQUAL(exp_port_node(), 1);
    CHECK(!sim_processor_owned(3));
    uint32_t word = 4;
    exp_port_wait(&word, 5, UINT64_MAX); /* what it waits for has happened already */
    uint64_t start_ns = exp_port_clock_ns();
    uint64_t real = exp_port_time_100ns();
    exp_port_wait(&word, 4, 2500000); /* nobody comes: the time passes */
    CHECK_EQUAL(exp_port_clock_ns(), start_ns + 2500000);
    CHECK_EQUAL(exp_port_time_100ns(), real + 25000);
    CHECK_EQUAL(exp_port_clock_ms(), start + 79);
    sim_check_rest();
}

static void test_sim_memory_keeps_promises_and_no_more(void)
{
    CHECK_EQUAL(case_status(memory_body, false), 0);
}

static void test_sim_script_hits_named_calls(void)
{
    CHECK_EQUAL(case_status(script_body, false), 0);
}

static void test_sim_region_fresh_keeps_copied_part_only(void)
{
    CHECK_EQUAL(case_status(region_body, false), 0);
}

static void test_sim_clock_obeys_and_processors_differ(void)
{
    CHECK_EQUAL(case_status(clock_body, false), 0);
}

static volatile unsigned char sink;

static void breach_commit_outside(void)
{
    exp_port_commit(pages_get(2) + PAGE, 2 * PAGE, EXP_PORT_READ_WRITE, false);
}

static void breach_commit_odd(void)
{
    exp_port_commit(pages_get(2) + 16, PAGE, EXP_PORT_READ_WRITE, false);
}

static void breach_decommit_uncommitted(void)
{
    unsigned char *pages = exp_port_reserve(PAGE, PAGE);
    exp_port_decommit(pages, PAGE);
}

static void breach_move_overlapping(void)
{
    unsigned char *pages = pages_get(4);
    exp_port_move(pages, pages + PAGE, 2 * PAGE);
}

static void breach_touch_reserved(void)
{
    unsigned char *pages = exp_port_reserve(PAGE, PAGE);
    sink = pages[0];
}

static void breach_touch_lost(void)
{
    unsigned char *pages = pages_get(1);
    exp_port_commit(pages, PAGE, EXP_PORT_NONE, false);
    pages[0] = 1;
}

static void breach_touch_region(void)
{
    size_t bytes = 4 * PAGE;
    sink = ((unsigned char *)exp_port_region(&bytes, false, 0))[0];
}

static void breach_region_commit_beyond(void)
{
    size_t bytes = 4 * PAGE;
    exp_port_region(&bytes, false, 0);
    exp_port_region_commit(3 * PAGE, 2 * PAGE);
}

static void breach_unpin(void)
{
    exp_port_pin();
    exp_port_unpin();
    exp_port_unpin();
}

static void breach_pin_left(void)
{
    exp_port_pin();
    sim_check_rest();
}

static void breach_wait_forever(void)
{
    uint32_t word = 5;
    exp_port_wait(&word, 5, UINT64_MAX);
}

static void breach_wait_pinned(void)
{
    uint32_t word = 4;
    exp_port_pin();
    exp_port_wait(&word, 5, UINT64_MAX);
}

static void print_body(void)
{
    CHECK(strcmp(sim_printed(), "") == 0);
    exp_port_print("one line, and more", 8);
    CHECK(strcmp(sim_printed(), "one line") == 0);
    exp_port_print("two", 3);
    CHECK(strcmp(sim_printed(), "two") == 0);
    CHECK_EQUAL(sim_calls(SIM_PRINT), 2);
}

static void test_sim_print_keeps_the_last_text(void)
{
    CHECK_EQUAL(case_status(print_body, false), 0);
}

static void breach_print(void)
{
    static char text[4096];
    exp_port_print(text, sizeof(text));
}

static void breach_stop(void)
{
    static const struct expool_stop stop = {.code = 1, .report = "stop\n"};
    exp_port_stop(&stop, "NAME");
}

static void test_sim_breach_of_contract_ends_program(void)
{
    static void (*const aborting[])(void) = {
        breach_commit_outside,   breach_commit_odd,           breach_decommit_uncommitted,
        breach_move_overlapping, breach_region_commit_beyond, breach_unpin,
        breach_pin_left,         breach_wait_forever,         breach_wait_pinned,
        breach_stop,          breach_print,
    };
    static void (*const faulting[])(void) = {breach_touch_reserved, breach_touch_lost,
                                             breach_touch_region};
    for (size_t index = 0; index < sizeof(aborting) / sizeof(aborting[0]); index++) {
        int status = case_status(aborting[index], true);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
    for (size_t index = 0; index < sizeof(faulting) / sizeof(faulting[0]); index++) {
        CHECK(case_status(faulting[index], true) != 0); /* a sanitizer exits in its own way */
    }
}

int main(void)
{
    RUN(test_sim_memory_keeps_promises_and_no_more);
    RUN(test_sim_script_hits_named_calls);
    RUN(test_sim_region_fresh_keeps_copied_part_only);
    RUN(test_sim_clock_obeys_and_processors_differ);
    RUN(test_sim_print_keeps_the_last_text);
    RUN(test_sim_breach_of_contract_ends_program);
    return unit_end();
}
