/* SPDX-License-Identifier: MIT */
/*
 * Secure blocks on a machine of several nodes: a node that is asked for beside the pool is
 * honoured.
 *
 * source: spec/api.md 3.3, 3.4
 */
#include "front/pool.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG UINT32_C(0x75636553) /* Secu */

enum {
    PAGE = 4096,
    BYTES = 3 * PAGE,
    COOKIE = 9,
    FLAGS_BOTH = 3, /* freeable, modifiable */
    POOL_SECURE_GLOBAL = 3,
    TYPE_SECURE_POOL = 2,
    TYPE_NUMA_NODE = 3,
    ANY_NODE_OK = INT32_MIN,
};

/* The secure pool by hand: spec/api.md 1.6, 1.7, 3.4. */
struct secure {
    void *handle;
    void *buffer;
    uintptr_t cookie;
    uint32_t flags;
};
struct entry {
    uint64_t word; /* type in the low byte */
    union {
        struct secure *secure;
        uint64_t node;
    } of;
};
int32_t ExCreatePool(uint32_t flags, uintptr_t tag, void *params, void **handle);
void ExDestroyPool(void *handle);
void *ExAllocatePool3(
    uint64_t flags, size_t bytes, uint32_t tag, const struct entry *entries, uint32_t count);
void ExFreePool2(void *block, uint32_t tag, const struct entry *entries, uint32_t count);

static void *handle;

static void start(uint32_t nodes)
{
    sim_nodes(nodes);
    for (uint32_t node = 0; node < nodes; node++) {
        sim_processor_node_set(node, node);
    }
    CHECK_EQUAL(ExCreatePool(POOL_SECURE_GLOBAL, TAG, NULL, &handle), 0);
}

static void *secure_block(size_t bytes, const uint32_t *node)
{
    struct secure secure = { .handle = handle, .cookie = COOKIE, .flags = FLAGS_BOTH };
    struct entry entries[2] = { { TYPE_SECURE_POOL, { .secure = &secure } },
                                { TYPE_NUMA_NODE, { .node = node != NULL ? *node : 0 } } };
    return ExAllocatePool3(FLAG_NON_PAGED, bytes, TAG, entries, node != NULL ? 2 : 1);
}

static void secure_free(void *block)
{
    struct secure secure = { .handle = handle, .cookie = COOKIE };
    struct entry entry = { TYPE_SECURE_POOL, { .secure = &secure } };
    ExFreePool2(block, TAG, &entry, 1);
}

static void test_secure_block_lies_on_the_node_asked_for(void)
{
    start(2);
    for (uint32_t node = 0; node < 2; node++) {
        char *block = secure_block(BYTES, &node);
        CHECK(block != NULL);
        for (size_t page = 0; page < BYTES; page += PAGE) {
            CHECK_EQUAL(sim_page_wish(block + page), node);
            CHECK_EQUAL(sim_page_node(block + page), node);
        }
        secure_free(block);
    }
    uint32_t full = 1;
    uint32_t any = 1 | (uint32_t)ANY_NODE_OK;
    expool_trim(); /* free pages give their memory back */
    sim_node_limit(full, 0);
    CHECK(secure_block(BYTES, &full) == NULL);
    void *block = secure_block(BYTES, &any);
    CHECK(block != NULL);
    secure_free(block);
    ExDestroyPool(handle);
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_secure_block_lies_on_the_node_asked_for);
    return unit_end();
}
