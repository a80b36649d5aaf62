/* SPDX-License-Identifier: MIT */
/*
 * The rest of a big block's last page (api 133 to 137).
 *
 * Big blocks of n bytes are allocated with small ones around them; a small block that starts in a
 * big block's last page, after its n bytes, was served from the tail. Pages in use are read from
 * the statistics region, as a monitor would.
 */
#include "ddi_test.h"

#include <wdm.h>

enum {
    TAG = 'liaT',
    BIG_BYTES = PAGE_SIZE + 1,
    BIGS = 200,
    SMALLS = 8000
};

static const POOL_FLAGS kinds[] = {
    POOL_FLAG_NON_PAGED,
    POOL_FLAG_PAGED,
    POOL_FLAG_NON_PAGED_EXECUTE,
};
enum {
    KINDS = 3
};

struct block {
    uint8_t *address;
    size_t bytes;
    int kind;
};

static struct block bigs[KINDS * BIGS];
static struct block smalls[KINDS * SMALLS];

static bool allocate(struct block *block, int kind, size_t bytes, int fill)
{
    block->address = ddi_opaque(ExAllocatePool2(kinds[kind], bytes, TAG));
    block->bytes = bytes;
    block->kind = kind;
    if (block->address == NULL) {
        return DDI_TRUE_FOR(block->address != NULL, bytes);
    }
    DDI_TRUE_FOR(ddi_all_bytes(block->address, bytes, 0), bytes);
    memset(block->address, fill, bytes);
    return true;
}

static void free_all(struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (blocks[i].address != NULL) {
            ExFreePoolWithTag(blocks[i].address, TAG);
            blocks[i].address = NULL;
        }
    }
}

/* Big and small blocks of one kind: small ones of 16 .. 1024 bytes. */
static bool populate(struct block *big, struct block *small, int kind, uint64_t *random)
{
    for (size_t i = 0; i < BIGS; ++i) {
        if (!allocate(&big[i], kind, BIG_BYTES, 0xB1)) {
            return false;
        }
    }
    for (size_t i = 0; i < SMALLS; ++i) {
        if (!allocate(&small[i], kind, 16 + 16 * (ddi_random(random) % 64), 0x51)) {
            return false;
        }
    }
    return true;
}

static uintptr_t page_of(const uint8_t *address)
{
    return (uintptr_t)address / PAGE_SIZE;
}

/* The big block whose last page holds address; NULL when there is none. */
static struct block *big_around(struct block *big, size_t count, const uint8_t *address)
{
    for (size_t i = 0; i < count; ++i) {
        if (big[i].address != NULL &&
            page_of(big[i].address + big[i].bytes - 1) == page_of(address)) {
            return &big[i];
        }
    }
    return NULL;
}

static bool overlap(const struct block *a, const struct block *b)
{
    return a->address < b->address + b->bytes && b->address < a->address + a->bytes;
}

static bool intact(const struct block *blocks, size_t count, uint8_t fill)
{
    for (size_t i = 0; i < count; ++i) {
        if (blocks[i].address != NULL && !ddi_all_bytes(blocks[i].address, blocks[i].bytes, fill)) {
            return false;
        }
    }
    return true;
}

static void test_tail_of_a_big_block_serves_small_ones_beside_it(void)
{
    uint64_t random = 133;

    for (int kind = 0; kind < KINDS; ++kind) {
        size_t in_tails = 0;

        if (!populate(bigs, smalls, kind, &random)) {
            return;
        }
        for (size_t i = 0; i < SMALLS; ++i) {
            struct block *big = big_around(bigs, BIGS, smalls[i].address);

            if (big != NULL) {
                ++in_tails;
                DDI_TRUE_FOR(!overlap(big, &smalls[i]), smalls[i].bytes);
                DDI_TRUE_FOR(smalls[i].address >= big->address + big->bytes, smalls[i].bytes);
            }
        }
        DDI_TRUE_FOR(in_tails > 0, kind);
        DDI_TRUE(intact(bigs, BIGS, 0xB1) && intact(smalls, SMALLS, 0x51));
        free_all(smalls, SMALLS);
        free_all(bigs, BIGS);
    }
}

static void test_tail_blocks_and_big_blocks_survive_each_other(void)
{
    uint64_t random = 134;

    for (int kind = 0; kind < KINDS; ++kind) {
        if (!populate(bigs, smalls, kind, &random)) {
            return;
        }
        for (size_t i = 0; i < BIGS; i += 2) { /* big ones first, half of them */
            ExFreePoolWithTag(bigs[i].address, TAG);
            bigs[i].address = NULL;
        }
        expool_trim();
        DDI_TRUE(intact(bigs, BIGS, 0xB1) && intact(smalls, SMALLS, 0x51));
        free_all(smalls, SMALLS); /* then all small ones */
        expool_trim();
        DDI_TRUE(intact(bigs, BIGS, 0xB1));
        for (size_t i = 0; i < BIGS; i += 2) { /* and the room is used again */
            (void)allocate(&bigs[i], kind, BIG_BYTES, 0xB1);
        }
        for (size_t i = 0; i < SMALLS; ++i) {
            (void)allocate(&smalls[i], kind, 16 + 16 * (ddi_random(&random) % 64), 0x51);
        }
        DDI_TRUE(intact(bigs, BIGS, 0xB1) && intact(smalls, SMALLS, 0x51));
        free_all(bigs, BIGS);
        expool_trim();
        DDI_TRUE(intact(smalls, SMALLS, 0x51));
        free_all(smalls, SMALLS);
    }
}

static void test_tail_reuse_off_keeps_last_pages_to_big_blocks(void)
{
    uint64_t random = 135;

    expool_trim();
    if (!DDI_EQUAL(0, expool_set("tail_reuse", "0"))) {
        return;
    }
    for (int kind = 0; kind < KINDS; ++kind) {
        if (!populate(bigs, smalls, kind, &random)) {
            break;
        }
        for (size_t i = 0; i < SMALLS; ++i) {
            DDI_TRUE_FOR(big_around(bigs, BIGS, smalls[i].address) == NULL, smalls[i].bytes);
        }
        for (size_t i = 0; i < BIGS; ++i) {
            DDI_TRUE(big_around(bigs, BIGS, bigs[i].address) == NULL);
        }
        free_all(smalls, SMALLS);
        free_all(bigs, BIGS);
    }
    DDI_EQUAL(0, expool_set("tail_reuse", "1"));
}

static void test_pages_in_use_return_when_all_is_freed(void)
{
    struct expool_region_header before;
    struct expool_region_header during;
    struct expool_region_header after;
    uint64_t random = 136;

    expool_trim();
    if (!DDI_TRUE(ddi_region(&before))) {
        return;
    }
    for (int kind = 0; kind < KINDS; ++kind) {
        if (!populate(bigs + kind * BIGS, smalls + kind * SMALLS, kind, &random)) {
            return;
        }
    }
    DDI_TRUE(ddi_region(&during));
    free_all(smalls, KINDS * SMALLS);
    free_all(bigs, KINDS * BIGS);
    expool_trim();
    DDI_TRUE(ddi_region(&after));
    for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; ++pool) {
        DDI_TRUE_FOR(during.pool[pool].pages >= before.pool[pool].pages + 2 * BIGS, pool);
        DDI_EQUAL(before.pool[pool].pages, after.pool[pool].pages);
    }
}

static void test_tails_serve_only_their_own_kind(void)
{
    uint64_t random = 137;

    for (int kind = 0; kind < KINDS; ++kind) {
        if (!populate(bigs + kind * BIGS, smalls + kind * SMALLS, kind, &random)) {
            return;
        }
    }
    for (size_t i = 0; i < KINDS * SMALLS; ++i) {
        struct block *big = big_around(bigs, KINDS * BIGS, smalls[i].address);

        if (big != NULL) {
            DDI_EQUAL(big->kind, smalls[i].kind);
            DDI_TRUE(!overlap(big, &smalls[i]));
        }
    }
    free_all(smalls, KINDS * SMALLS);
    free_all(bigs, KINDS * BIGS);
}

static const struct ddi_test tests[] = {
    DDI_TEST("136", test_pages_in_use_return_when_all_is_freed),
    DDI_TEST("133", test_tail_of_a_big_block_serves_small_ones_beside_it),
    DDI_TEST("134", test_tail_blocks_and_big_blocks_survive_each_other),
    DDI_TEST("137", test_tails_serve_only_their_own_kind),
    DDI_TEST("135", test_tail_reuse_off_keeps_last_pages_to_big_blocks),
};

DDI_MAIN(tests)
