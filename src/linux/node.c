/* SPDX-License-Identifier: MIT */
/*
 * NUMA nodes of a Linux machine, by index: those that have memory which this process may use.
 *
 * The list is read once, when the range is made, and never again: a node that is plugged in later
 * is nobody's. A process that was started with a memory policy of its own (numactl) keeps it, and
 * one whose system refuses to tell or to move (a container's filter of system calls) cannot be
 * served by node: both have one node, and then nothing here asks the kernel for anything.
 *
 * Wishes are MPOL_PREFERRED, never MPOL_BIND: where a bound node is full, the kernel kills instead
 * of giving other memory. So a page may lie elsewhere, and exp_port_settle asks where it does.
 *
 * No libnuma, no allocation; errno stays as it was.
 */
#define _GNU_SOURCE
#include <expool/port.h>

#include "linux/linux.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    NODE_PAGE_BYTES = 4096,
    NODE_PIECE_PAGES = 128,   /* settled at a time: so much spills to another node at most */
    NODE_POPULATE_WRITE = 23, /* MADV_POPULATE_WRITE, Linux 5.14 */
    NODE_LONG_BITS = 8 * sizeof(long),
    NODE_MASK_BITS = EXP_LINUX_NODE_IDS + 1, /* the kernel takes one less */
};

typedef unsigned long node_mask[EXP_LINUX_NODE_IDS / NODE_LONG_BITS];

/* Constant once exp_port_nodes was called. */
static struct {
    uint32_t count;
    uint16_t ids[EXP_PORT_NODES_MAX]; /* the kernel's number of a node, by index */
} exp_node;

/* A number of a list, and the place behind it; SIZE_MAX: none. */
static size_t list_number(const char **at)
{
    size_t number = SIZE_MAX;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        size_t digit = (size_t)(**at - '0');
        number = number == SIZE_MAX ? digit : number * 10 + digit;
        if (number >= EXP_LINUX_NODE_IDS) {
            return SIZE_MAX;
        }
    }
    return number;
}

uint32_t exp_linux_nodes_parse(const char *list, uint16_t *ids, uint32_t most)
{
    uint32_t count = 0;
    while (*list != '\0' && *list != '\n') {
        size_t first = list_number(&list);
        size_t last = first;
        if (*list == '-') {
            list++;
            last = list_number(&list);
        }
        if (first == SIZE_MAX || last == SIZE_MAX || last < first) {
            return 0;
        }
        for (size_t id = first; id <= last && count < most; id++) {
            ids[count++] = (uint16_t)id;
        }
        if (*list == ',') {
            list++;
        } else if (*list != '\0' && *list != '\n') {
            return 0;
        }
    }
    return count;
}

uint32_t exp_linux_nodes_read(const char *file_name, uint16_t *ids, uint32_t most)
{
    char text[256];
    int file = exp_linux_open_read(file_name);
    long length = file < 0 ? -1 : exp_linux_read(file, text, sizeof(text) - 1);
    if (file >= 0) {
        exp_linux_close(file);
    }
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    return exp_linux_nodes_parse(text, ids, most);
}

static bool mask_has(const unsigned long *mask, unsigned id)
{
    return (mask[id / NODE_LONG_BITS] >> id % NODE_LONG_BITS & 1) != 0;
}

/* Nodes of the list that this process may have memory of; 0: it is not to be served by node. */
static uint32_t nodes_allowed(const uint16_t *ids, uint32_t count)
{
    node_mask allowed;
    int mode = MPOL_DEFAULT;
    int status = 0;
    void *page = (void *)((uintptr_t)&exp_node & ~(uintptr_t)(NODE_PAGE_BYTES - 1));
    if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) != 0 || mode != MPOL_DEFAULT ||
        syscall(SYS_get_mempolicy, NULL, allowed, NODE_MASK_BITS, NULL, MPOL_F_MEMS_ALLOWED) != 0 ||
        syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0) != 0) {
        return 0;
    }
    uint32_t kept = 0;
    for (uint32_t index = 0; index < count && kept < EXP_PORT_NODES_MAX; index++) {
        if (mask_has(allowed, ids[index])) {
            exp_node.ids[kept++] = ids[index];
        }
    }
    return kept;
}

uint32_t exp_port_nodes(void)
{
    int saved = errno;
    uint16_t ids[EXP_LINUX_NODE_IDS];
    uint32_t count =
        exp_linux_nodes_read("/sys/devices/system/node/has_memory", ids, EXP_LINUX_NODE_IDS);
    count = count > 1 ? nodes_allowed(ids, count) : 1;
    exp_node.count = count > 1 ? count : 1;
    errno = saved;
    return exp_node.count;
}

uint32_t exp_port_node(void)
{
    unsigned id = 0;
    if (exp_node.count <= 1) {
        return 0;
    }
    int saved = errno;
    (void)getcpu(NULL, &id);
    errno = saved;
    for (uint32_t index = 0; index < exp_node.count; index++) {
        if (exp_node.ids[index] == id) {
            return index;
        }
    }
    return id % exp_node.count; /* a node without memory, or one too many */
}

void exp_port_bind(void *address, size_t bytes, uint32_t node)
{
    if (exp_node.count <= 1) {
        return;
    }
    int saved = errno;
    unsigned id = exp_node.ids[node];
    node_mask mask = { 0 };
    mask[id / NODE_LONG_BITS] = 1UL << id % NODE_LONG_BITS;
    (void)syscall(SYS_mbind, address, bytes, MPOL_PREFERRED, mask, NODE_MASK_BITS, 0);
    errno = saved;
}

/* Make pages present whose contents may be in use: nothing that a reader sees changes. */
static bool populate(char *address, size_t pages)
{
    if (madvise(address, pages * NODE_PAGE_BYTES, NODE_POPULATE_WRITE) == 0) {
        return true;
    }
    if (errno != EINVAL) {
        return false;
    }
    for (size_t page = 0; page < pages; page++) {
        (void)__atomic_fetch_or(address + page * NODE_PAGE_BYTES, 0, __ATOMIC_RELAXED);
    }
    return true;
}

/* At most NODE_PIECE_PAGES pages; first asked, then moved and asked again. */
static bool settle_piece(char *address, size_t pages, int id)
{
    void *page[NODE_PIECE_PAGES];
    int wanted[NODE_PIECE_PAGES];
    int found[NODE_PIECE_PAGES];
    if (!populate(address, pages)) {
        return false;
    }
    for (size_t index = 0; index < pages; index++) {
        page[index] = address + index * NODE_PAGE_BYTES;
        wanted[index] = id;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        if (attempt != 0) {
            (void)syscall(SYS_move_pages, 0, pages, page, wanted, found, MPOL_MF_MOVE);
        }
        if (syscall(SYS_move_pages, 0, pages, page, NULL, found, 0) != 0) {
            return false;
        }
        if (memcmp(found, wanted, pages * sizeof(*found)) == 0) {
            return true;
        }
    }
    return false;
}

bool exp_port_settle(void *address, size_t bytes, uint32_t node)
{
    if (exp_node.count <= 1) {
        return true; /* there is no other place */
    }
    int saved = errno;
    size_t pages = bytes / NODE_PAGE_BYTES;
    bool settled = true;
    for (size_t page = 0; settled && page < pages; page += NODE_PIECE_PAGES) {
        size_t piece = pages - page < NODE_PIECE_PAGES ? pages - page : NODE_PIECE_PAGES;
        settled = settle_piece((char *)address + page * NODE_PAGE_BYTES, piece, exp_node.ids[node]);
    }
    errno = saved;
    return settled;
}
