/* SPDX-License-Identifier: MIT */
/*
 * What the Linux port makes of the kernel's list of nodes, and of the machine that the test runs
 * on: whatever that is, its answers agree with each other. test/numa proves two nodes.
 *
 * links: linux. source: include/expool/port.h
 */
#include <expool/port.h>

#include "linux/linux.h"
#include "unit/unit_test.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST 8u

static uint16_t ids[MOST];

static uint32_t parse(const char *list)
{
    memset(ids, 0xff, sizeof(ids));
    return exp_linux_nodes_parse(list, ids, MOST);
}

static void test_list_of_nodes_is_read_as_the_kernel_writes_it(void)
{
    CHECK_EQUAL(parse("0\n"), 1);
    CHECK_EQUAL(ids[0], 0);
    CHECK_EQUAL(parse("0-1\n"), 2);
    CHECK_EQUAL(ids[1], 1);
    CHECK_EQUAL(parse("1,8-9,255"), 4);
    CHECK_EQUAL(ids[0], 1);
    CHECK_EQUAL(ids[1], 8);
    CHECK_EQUAL(ids[2], 9);
    CHECK_EQUAL(ids[3], 255);
    CHECK_EQUAL(parse("1023"), 1);
    CHECK_EQUAL(parse("0-63"), MOST);
    CHECK_EQUAL(ids[MOST - 1], MOST - 1);
    CHECK_EQUAL(parse("\n"), 0);
}

static void test_list_that_is_none_names_no_node(void)
{
    static const char *const wrong[] = { "x",   "0-",  "-1",  "3-1",        "0,x",
                                         "0;1", "0-x", "0 1", "9999999999", "0-1024" };
    for (unsigned index = 0; index < sizeof(wrong) / sizeof(wrong[0]); index++) {
        CHECK_EQUAL(parse(wrong[index]), 0);
    }
}

static void test_file_of_nodes_is_read_or_missing(void)
{
    char name[] = "/tmp/node_linux_test.XXXXXX";
    int file = mkstemp(name);
    CHECK(file >= 0 && write(file, "0,2-3\n", 6) == 6);
    CHECK_EQUAL(exp_linux_nodes_read(name, ids, MOST), 3);
    CHECK_EQUAL(ids[2], 3);
    CHECK_EQUAL(ftruncate(file, 0), 0);
    CHECK_EQUAL(exp_linux_nodes_read(name, ids, MOST), 0);
    close(file);
    unlink(name);
    CHECK_EQUAL(exp_linux_nodes_read(name, ids, MOST), 0);
    CHECK_EQUAL(exp_linux_nodes_read("/", ids, MOST), 0);
}

static void test_answers_about_this_machine_agree(void)
{
    enum {
        BYTES = 200 * 4096
    };
    errno = 77;
    uint32_t nodes = exp_port_nodes();
    uint32_t node = exp_port_node();
    CHECK(nodes >= 1 && nodes <= EXP_PORT_NODES_MAX);
    CHECK(node < nodes);
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memory[5000] = 'x';
    exp_port_bind(memory, BYTES, node);
    bool settled = exp_port_settle(memory, BYTES, node);
    CHECK(settled || nodes > 1); /* with one node there is no other place */
    CHECK_EQUAL(memory[5000], 'x');
    CHECK_EQUAL(memory[5001], 0);
    CHECK_EQUAL(errno, 77);
    printf("this machine: %u nodes\n", nodes);
}

int main(void)
{
    RUN(test_list_of_nodes_is_read_as_the_kernel_writes_it);
    RUN(test_list_that_is_none_names_no_node);
    RUN(test_file_of_nodes_is_read_or_missing);
    RUN(test_answers_about_this_machine_agree);
    return unit_end();
}
