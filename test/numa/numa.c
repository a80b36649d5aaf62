/* SPDX-License-Identifier: MIT */
/*
 * The first and only program of a machine with two NUMA nodes, which test/numa/numa.py simulates.
 *
 * It is driver code over libexpool.a, linked statically. Where a page lies is asked of the kernel
 * (move_pages), never of the library. What the library must do here:
 *
 *   own node    blocks of every size and both kinds of pool lie on the node of the thread that
 *               allocates, two threads at once; so do those that come after others were freed, by
 *               the other thread, too, after free memory went back to the system, and whoever
 *               touches them first
 *   wanted node a block for which PoolExtendedParameterNumaNode names a node lies there before it
 *               is touched; a third node does not exist
 *   exhausted   when a node has no more memory, such a request gets NULL, quickly and without the
 *               kernel ending us; with MM_ANY_NODE_OK, and without any wish, the other node serves
 *   again       what was freed can be had again, and blocks whose pages had to lie elsewhere move
 *
 * Prints one line for each check that fails and for each section, then the sum, which numa.py
 * compares with the number of checks that it expects; a section that is skipped shows there.
 *
 * source: spec/api.md 2.7 NUMA, 3.3; 10, statements 113 - 117; docs/decisions/0011-numa.md
 */
#define _GNU_SOURCE
#include <expool.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wdm.h>

#define TAG  'amuN'
#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)

enum {
    NODES = 2,
    BLOCKS = 24,       /* of one size and pool */
    SMALL = 6000,      /* blocks that one thread allocates and the other frees */
    SMALL_BYTES = 500, /* of each */
    HOARD = 4096,      /* most blocks that fill a node */
};

static struct {
    unsigned checks; /* atomic */
    unsigned failures;
} count;

static bool check(bool holds, const char *format, ...)
{
    __atomic_fetch_add(&count.checks, 1, __ATOMIC_RELAXED);
    if (!holds && __atomic_fetch_add(&count.failures, 1, __ATOMIC_RELAXED) < 40) {
        va_list arguments;
        va_start(arguments, format);
        printf("failed: ");
        vprintf(format, arguments);
        printf("\n");
        va_end(arguments);
    }
    return holds;
}

/* Node of a page, as the kernel says; negative: it has no memory. */
static int node_of(const void *address)
{
    void *page = (void *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1));
    int status = -1000;
    return syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0) == 0 ? status : -1001;
}

/* Pages of a block that do not lie on a node. */
static size_t pages_elsewhere(const char *block, size_t bytes, int node)
{
    size_t elsewhere = 0;
    uintptr_t end = (uintptr_t)block + bytes;
    for (uintptr_t page = (uintptr_t)block & ~(uintptr_t)(PAGE - 1); page < end; page += PAGE) {
        elsewhere += node_of((void *)page) != node;
    }
    return elsewhere;
}

static void check_lies(const char *what, const void *block, size_t bytes, int node)
{
    if (check(block != NULL, "%s: %zu bytes for node %d: NULL", what, bytes, node)) {
        size_t elsewhere = pages_elsewhere(block, bytes, node);
        check(elsewhere == 0,
              "%s: %zu bytes at %p: %zu pages are not on node %d, the first is on %d",
              what,
              bytes,
              block,
              elsewhere,
              node,
              node_of(block));
    }
}

/* Memory of a node that nobody uses, in KiB. */
static long free_kib(int node)
{
    char name[64];
    char text[4096];
    snprintf(name, sizeof(name), "/sys/devices/system/node/node%d/meminfo", node);
    int file = open(name, O_RDONLY);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof(text) - 1);
    close(file);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = strstr(text, "MemFree:");
    return at == NULL ? -1 : strtol(at + 8, NULL, 10);
}

static void section(const char *words)
{
    printf("section: %s; %ld and %ld KiB are free\n", words, free_kib(0), free_kib(1));
}

static void run_on(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    unsigned node = 99;
    check(sched_setaffinity(0, sizeof(set), &set) == 0, "no processor %d", processor);
    check(getcpu(NULL, &node) == 0 && (int)node == processor,
          "processor %d is on node %u",
          processor,
          node);
}

/* What ExAllocatePool3 gives for a wished node. */
static void *allocate_on(ULONG requirement, size_t bytes, bool optional)
{
    POOL_EXTENDED_PARAMETER parameter;
    memset(&parameter, 0, sizeof(parameter));
    parameter.Type = PoolExtendedParameterNumaNode;
    parameter.Optional = optional;
    parameter.PreferredNode = requirement;
    return ExAllocatePool3(POOL_FLAG_NON_PAGED, bytes, TAG, &parameter, 1);
}

/* ---- own node ---- */

static const size_t sizes[] = { 16,   48,    200,   1000,  2048,   3000,   4096,
                                5000, 16384, 20000, 65536, 100000, 300000, 3 << 20 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static const POOL_FLAGS pools[] = { POOL_FLAG_NON_PAGED,
                                    POOL_FLAG_NON_PAGED_EXECUTE,
                                    POOL_FLAG_PAGED };
#define POOLS (sizeof(pools) / sizeof(pools[0]))

static pthread_barrier_t both;
static char *passed[NODES][SMALL]; /* blocks that a thread allocated for the other to free */

static size_t blocks_of(size_t bytes)
{
    return bytes > MIB ? 3 : BLOCKS;
}

static char *allocate_touched(POOL_FLAGS pool, size_t bytes)
{
    char *block = ExAllocatePool2(pool, bytes, TAG);
    if (block != NULL) {
        memset(block, 0x5a, bytes);
    }
    return block;
}

/* Of one size and pool: allocated, half of it freed, allocated again, all freed. */
static void own_blocks(int node, POOL_FLAGS pool, size_t bytes)
{
    char *blocks[BLOCKS];
    size_t many = blocks_of(bytes);
    for (size_t index = 0; index < many; index++) {
        blocks[index] = allocate_touched(pool, bytes);
        check_lies("own node", blocks[index], bytes, node);
    }
    for (size_t index = 0; index < many; index += 2) {
        ExFreePoolWithTag(blocks[index], TAG);
    }
    for (size_t index = 0; index < many; index += 2) {
        blocks[index] = allocate_touched(pool, bytes);
        check_lies("after a free", blocks[index], bytes, node);
    }
    for (size_t index = 0; index < many; index++) {
        ExFreePoolWithTag(blocks[index], TAG);
    }
}

static void small_blocks(const char *what, int node)
{
    size_t elsewhere = 0;
    for (int index = 0; index < SMALL; index++) {
        passed[node][index] = allocate_touched(POOL_FLAG_PAGED, SMALL_BYTES);
        elsewhere += passed[node][index] == NULL || node_of(passed[node][index]) != node;
    }
    check(elsewhere == 0, "%s: %zu of %d blocks are not on node %d", what, elsewhere, SMALL, node);
}

static void *own_node(void *argument)
{
    int node = (int)(intptr_t)argument;
    run_on(node);
    pthread_barrier_wait(&both);
    for (unsigned pool = 0; pool < POOLS; pool++) {
        for (unsigned size = 0; size < SIZES; size++) {
            own_blocks(node, pools[pool], sizes[size]);
        }
    }
    small_blocks("before they are passed", node);
    pthread_barrier_wait(&both);
    for (int index = 0; index < SMALL; index++) {
        ExFreePoolWithTag(passed[1 - node][index], TAG); /* the other thread's */
    }
    return NULL; /* the end of the thread empties its caches */
}

static void *own_node_later(void *argument)
{
    int node = (int)(intptr_t)argument;
    run_on(node);
    pthread_barrier_wait(&both);
    small_blocks("after the other thread freed them", node);
    for (int index = 0; index < SMALL; index++) {
        ExFreePoolWithTag(passed[node][index], TAG);
    }
    pthread_barrier_wait(&both);
    expool_trim();
    pthread_barrier_wait(&both);
    for (unsigned size = 0; size < SIZES; size++) {
        own_blocks(node, POOL_FLAG_NON_PAGED, sizes[size]);
    }
    return NULL;
}

static void on_both(void *(*body)(void *))
{
    pthread_t threads[NODES];
    for (int node = 0; node < NODES; node++) {
        check(pthread_create(&threads[node], NULL, body, (void *)(intptr_t)node) == 0,
              "no thread for node %d",
              node);
    }
    for (int node = 0; node < NODES; node++) {
        pthread_join(threads[node], NULL);
    }
}

/* Who touches a page first does not matter: the thread that allocated it does. */
static void touched_by_another(void)
{
    expool_trim();
    for (int node = 0; node < NODES; node++) {
        for (unsigned pool = 0; pool < POOLS; pool++) {
            run_on(node);
            char *block = ExAllocatePool2(pools[pool] | POOL_FLAG_UNINITIALIZED, 3 * MIB, TAG);
            run_on(1 - node);
            memset(block, 2, 3 * MIB);
            check_lies("touched by another", block, 3 * MIB, node);
            ExFreePoolWithTag(block, TAG);
        }
    }
}

/* ---- wanted node ---- */

static void wanted_node(void)
{
    for (int here = 0; here < NODES; here++) {
        run_on(here);
        for (int node = 0; node < NODES; node++) {
            for (unsigned size = 0; size < SIZES; size++) {
                size_t bytes = sizes[size];
                char *strict = allocate_on((ULONG)node, bytes, false);
                check_lies("wanted, untouched", strict, bytes, node);
                char *wish = allocate_on((ULONG)node | MM_ANY_NODE_OK, bytes, false);
                check(wish != NULL, "wished: %zu bytes: NULL", bytes);
                memset(wish, 1, bytes);
                check_lies("wished, touched", wish, bytes, node);
                size_t zero = 0;
                while (zero < bytes && strict[zero] == 0) {
                    zero++;
                }
                check(zero == bytes, "wanted: byte %zu of %zu is not zero", zero, bytes);
                ExFreePoolWithTag(strict, TAG);
                ExFreePoolWithTag(wish, TAG);
            }
        }
    }
    POOL_EXTENDED_PARAMETER two[2];
    memset(two, 0, sizeof(two));
    two[0].Type = PoolExtendedParameterPriority;
    two[0].Priority = LowPoolPriority;
    two[1].Type = PoolExtendedParameterNumaNode;
    for (ULONG node = 0; node < NODES; node++) {
        two[1].PreferredNode = node;
        void *block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 9000, TAG, two, 2);
        check_lies("wanted, with a priority", block, 9000, (int)node);
        ExFreePoolWithTag(block, TAG);
    }
    check(allocate_on(NODES, 64, false) == NULL, "node 2 exists");
    check(allocate_on(NODES | MM_ANY_NODE_OK, 64, false) == NULL, "node 2 exists as a wish");
    void *ignored = allocate_on(NODES, 64, true);
    check(ignored != NULL, "an optional node 2 is refused");
    ExFreePoolWithTag(ignored, TAG);
}

/* ---- a node without memory ---- */

static char *hoard[HOARD];
static size_t hoard_bytes[HOARD];
static size_t hoarded;

/* Blocks of one size wanted from node 1 until it has no more. */
static void hoard_blocks(size_t bytes)
{
    size_t elsewhere = 0;
    bool refused = false;
    while (hoarded < HOARD && !refused) {
        char *block = allocate_on(1, bytes, false);
        refused = block == NULL;
        if (block != NULL) {
            elsewhere += pages_elsewhere(block, bytes, 1);
            hoard[hoarded] = block;
            hoard_bytes[hoarded] = bytes;
            hoarded++;
        }
    }
    check(refused, "%zu blocks, the last of %zu bytes, and node 1 is not full", hoarded, bytes);
    check(elsewhere == 0, "%zu pages of blocks of %zu bytes are not on node 1", elsewhere, bytes);
}

static void hoard_free(void)
{
    size_t changed = 0;
    while (hoarded > 0) {
        hoarded--;
        for (size_t byte = 0; byte < hoard_bytes[hoarded]; byte += PAGE) {
            changed += hoard[hoarded][byte] != 0;
        }
        ExFreePoolWithTag(hoard[hoarded], TAG);
    }
    check(changed == 0, "%zu pages of wanted blocks were not zero", changed);
}

/* While node 1 is full: what must fail, and what must not. */
static void exhausted_node(char *spilled[BLOCKS])
{
    check(allocate_on(1, 4 * MIB, false) == NULL, "4 MiB of a full node");
    check(allocate_on(1, MIB, false) == NULL, "1 MiB of a full node");
    char *wish = allocate_on(1 | MM_ANY_NODE_OK, 8 * MIB, false);
    if (check(wish != NULL, "8 MiB of a full node or any: NULL")) {
        memset(wish, 1, 8 * MIB);
        size_t elsewhere = pages_elsewhere(wish, 8 * MIB, 0);
        check(elsewhere < 2048, "8 MiB of any node: no page is on node 0");
        ExFreePoolWithTag(wish, TAG);
    }
    char *plain = allocate_touched(POOL_FLAG_PAGED, 8 * MIB);
    check(plain != NULL, "8 MiB without a wish: NULL");
    ExFreePoolWithTag(plain, TAG);
    size_t lost = 0;
    for (int index = 0; index < BLOCKS; index++) {
        spilled[index] = allocate_on(1 | MM_ANY_NODE_OK, 300000, false);
        check(spilled[index] != NULL, "300000 bytes of any node: NULL");
        memset(spilled[index], index, 300000);
        lost += pages_elsewhere(spilled[index], 300000, 1);
    }
    check(lost != 0, "blocks beyond a full node lie on it");
}

static void without_memory(void)
{
    char *spilled[BLOCKS];
    run_on(1);
    long before = free_kib(1);
    long other = free_kib(0);
    hoard_blocks(4 * MIB);
    hoard_blocks(MIB);
    hoard_blocks(65536);
    check(free_kib(1) < before / 4, "%ld KiB of node 1 are free", free_kib(1));
    check(free_kib(0) > other - 16384, "node 0 had %ld KiB, has %ld", other, free_kib(0));
    section("node 1 is full");
    exhausted_node(spilled);
    hoard_free();
    for (int index = 0; index < BLOCKS; index++) {
        size_t same = 0;
        while (same < 300000 && spilled[index][same] == index) {
            same++;
        }
        check(same == 300000, "byte %zu of block %d has changed", same, index);
        ExFreePoolWithTag(spilled[index], TAG);
    }
    /* Its pages lay on node 0 because there was no other memory: now there is. */
    for (int index = 0; index < BLOCKS; index++) {
        spilled[index] = allocate_on(1, 300000, false);
        check_lies("wanted again", spilled[index], 300000, 1);
    }
    for (int index = 0; index < BLOCKS; index++) {
        ExFreePoolWithTag(spilled[index], TAG);
    }
    hoard_blocks(4 * MIB);
    check(hoarded * 4096 > (size_t)before / 2, "only %zu times 4 MiB can be had again", hoarded);
    hoard_free();
}

/* Memory of node 1 that paged pool has freed and keeps for reuse is in nobody's way. */
static void kept_by_another_pool(void)
{
    enum {
        KEPT = 12
    };
    char *blocks[KEPT];
    run_on(1);
    expool_trim();
    check(expool_set("purge_ms", "86400000") == 0, "purge_ms cannot be set");
    for (int index = 0; index < KEPT; index++) {
        blocks[index] = allocate_touched(POOL_FLAG_PAGED, MIB);
        check_lies("to be kept", blocks[index], MIB, 1);
    }
    long used = free_kib(1);
    for (int index = 0; index < KEPT; index++) {
        ExFreePoolWithTag(blocks[index], TAG);
    }
    check(free_kib(1) < used + 4096, "nothing is kept, this checks nothing");
    hoard_blocks(4 * MIB);
    expool_trim();
    check(allocate_on(1, 4 * MIB, false) == NULL, "node 1 had memory that paged pool kept");
    hoard_free();
}

/* ---- the machine ---- */

static void machine_start(void)
{
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    if (mount("proc", "/proc", "proc", 0, NULL) != 0 ||
        mount("sysfs", "/sys", "sysfs", 0, NULL) != 0) {
        perror("failed: mount");
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    check(free_kib(0) > 0 && free_kib(1) > 0 && free_kib(2) < 0, "not a machine of two nodes");
    pthread_barrier_init(&both, NULL, NODES);
}

int main(void)
{
    machine_start();
    section("own node");
    on_both(own_node);
    section("own node, after the other one freed");
    on_both(own_node_later);
    section("touched by another thread first");
    touched_by_another();
    section("wanted node");
    wanted_node();
    section("a node without memory");
    without_memory();
    section("kept by another pool");
    kept_by_another_pool();
    section("end");
    printf("numa: %u checks, %u failures\n", count.checks, count.failures);
    fflush(stdout);
    if (getpid() == 1) {
        reboot(RB_POWER_OFF);
    }
    return count.failures == 0 ? 0 : 1;
}
