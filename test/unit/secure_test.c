/* SPDX-License-Identifier: MIT */
/*
 * Secure blocks where the system fails: pages that it will not close are closed by the next call,
 * also in a copy of the process; a block that cannot be closed is not handed out; a node that is
 * asked for beside the pool is honoured.
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
    STATUS_RESOURCES = (int32_t)0xC000009A,
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
int32_t ExSecurePoolUpdate(void *handle,
                           uint32_t tag,
                           void *block,
                           uintptr_t cookie,
                           size_t offset,
                           size_t bytes,
                           void *buffer);
uint32_t ExSecurePoolValidate(void *handle, uint32_t tag, void *block, uintptr_t cookie);

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

static int32_t update(void *block, size_t offset, size_t bytes)
{
    static char buffer[BYTES];
    memset(buffer, 7, sizeof(buffer));
    return ExSecurePoolUpdate(handle, TAG, block, COOKIE, offset, bytes, buffer);
}

/* Pages of a block that can be written. */
static unsigned pages_open(const char *block)
{
    unsigned count = 0;
    for (size_t page = 0; page < BYTES; page += PAGE) {
        count += sim_access(block + page) != EXP_PORT_READ;
    }
    return count;
}

/* A block whose second page was not closed after an update. */
static char *block_left_open(void)
{
    char *block = secure_block(BYTES, NULL);
    CHECK(block != NULL);
    CHECK_EQUAL(pages_open(block), 0);
    sim_fail(SIM_COMMIT, 2, 1);
    CHECK_EQUAL(update(block, PAGE + 5, 10), 0);
    sim_fail(SIM_COMMIT, 0, 0);
    CHECK_EQUAL(block[PAGE + 5], 7);
    CHECK_EQUAL(pages_open(block), 1);
    return block;
}

static void test_secure_pages_left_open_are_closed_by_the_next_call(void)
{
    start(1);
    char *block = block_left_open();
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 1);
    CHECK_EQUAL(pages_open(block), 0);
    secure_free(block);
    ExDestroyPool(handle);
    CHECK_FITS();
}

static void test_secure_pages_left_open_are_closed_in_a_copy(void)
{
    start(1);
    char *block = block_left_open();
    sim_child();
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 1);
    CHECK_EQUAL(pages_open(block), 0);
    secure_free(block);
    ExDestroyPool(handle);
    CHECK_FITS();
}

static void test_secure_update_is_refused_while_other_pages_stay_open(void)
{
    start(1);
    char *block = block_left_open();
    char *other = secure_block(BYTES, NULL);
    CHECK_EQUAL(pages_open(block), 0); /* the allocation closed them */
    sim_fail(SIM_COMMIT, 2, 1);
    CHECK_EQUAL(update(block, 0, BYTES), 0);
    CHECK_EQUAL(pages_open(block), 3);
    sim_fail(SIM_COMMIT, 1, 3); /* when the lock is taken, before and after the pages are opened */
    CHECK_EQUAL(update(other, 0, 1), STATUS_RESOURCES);
    sim_fail(SIM_COMMIT, 0, 0);
    CHECK_EQUAL(other[0], 0);
    CHECK_EQUAL(pages_open(other), 0);
    CHECK_EQUAL(pages_open(block), 3);
    secure_free(other);
    CHECK_EQUAL(pages_open(block), 0);
    secure_free(block);
    ExDestroyPool(handle);
}

/* The pages of a block that is freed while some are open are nobody's to close. */
static void test_secure_pages_left_open_stay_so_when_their_block_goes(void)
{
    start(1);
    char *block = block_left_open();
    sim_fail(SIM_COMMIT, 1, 2); /* each time the lock is taken */
    secure_free(block);
    sim_fail(SIM_COMMIT, 0, 0);
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 0);
    CHECK_EQUAL(pages_open(block), 3);
    char *plain = ExAllocatePool2(FLAG_NON_PAGED, BYTES, TAG);
    CHECK(plain != NULL);
    memset(plain, 1, BYTES);
    ExDestroyPool(handle);
    ExFreePool(plain);
    CHECK_FITS();
}

static void test_secure_block_that_cannot_be_closed_is_not_handed_out(void)
{
    start(1);
    secure_free(secure_block(BYTES, NULL)); /* everything that is made once is there */
    sim_fail(SIM_COMMIT, 1, 1);
    CHECK(secure_block(BYTES, NULL) == NULL);
    CHECK_EQUAL(sim_failures_of(SIM_COMMIT), 1);
    sim_fail(SIM_COMMIT, 0, 0);
    secure_free(secure_block(BYTES, NULL));
    ExDestroyPool(handle);
    CHECK_FITS();
}

/* Memory of ours that a start has left is laid out anew by the next one. */
static void test_secure_pool_is_not_made_before_the_pool_serves(void)
{
    sim_fail(SIM_REGION, 1, UINT64_MAX / 2);
    CHECK_EQUAL(ExCreatePool(POOL_SECURE_GLOBAL, TAG, NULL, &handle), STATUS_RESOURCES);
    sim_fail(SIM_REGION, 0, 0);
    CHECK_EQUAL(ExCreatePool(POOL_SECURE_GLOBAL, TAG, NULL, &handle), 0);
    void *block = secure_block(BYTES, NULL);
    CHECK(block != NULL);
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 1);
    CHECK_FITS();
}

/* It is gone for its user, and its pool can be destroyed; nobody gets its pages until they open. */
static void test_secure_block_that_cannot_be_opened_is_gone_and_its_pages_wait(void)
{
    start(1);
    char *block = secure_block(BYTES, NULL);
    CHECK(block != NULL);
    sim_fail(SIM_COMMIT, 1, 3); /* the free, and two calls that try again */
    secure_free(block);
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 0);
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 0);
    sim_fail(SIM_COMMIT, 0, 0);
    CHECK_EQUAL(pages_open(block), 0);
    ExDestroyPool(handle);
    for (int index = 0; index < 64; index++) {
        memset(ExAllocatePool2(FLAG_NON_PAGED, BYTES, TAG), 1, BYTES);
    }
    CHECK_EQUAL(pages_open(block), 0);
    struct expool_tag_row row;
    CHECK_EQUAL(expool_tags(&row, 1), 1);
    CHECK_EQUAL(row.allocs - row.frees, 65);
    CHECK_EQUAL(ExSecurePoolValidate(handle, TAG, block, COOKIE), 0); /* the next call frees it */
    CHECK(pages_open(block) != 0);
    CHECK_EQUAL(expool_tags(&row, 1), 1);
    CHECK_EQUAL(row.allocs - row.frees, 64);
    CHECK_FITS();
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
    RUN_FRESH(test_secure_pages_left_open_are_closed_by_the_next_call);
    RUN_FRESH(test_secure_pages_left_open_are_closed_in_a_copy);
    RUN_FRESH(test_secure_update_is_refused_while_other_pages_stay_open);
    RUN_FRESH(test_secure_pages_left_open_stay_so_when_their_block_goes);
    RUN_FRESH(test_secure_pool_is_not_made_before_the_pool_serves);
    RUN_FRESH(test_secure_block_that_cannot_be_closed_is_not_handed_out);
    RUN_FRESH(test_secure_block_that_cannot_be_opened_is_gone_and_its_pages_wait);
    RUN_FRESH(test_secure_block_lies_on_the_node_asked_for);
    return unit_end();
}
