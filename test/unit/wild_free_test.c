/* SPDX-License-Identifier: MIT */
/*
 * Wild frees: every size class, in every pool, at each of the 4 096 offsets of its pages.
 *
 * For each pool and class a fresh core (a forked child) gets some pages full of blocks, every
 * third of them freed again. Then every address of the pages of a middle block is freed that is
 * not the start of a live block, with tag 0 and with a wrong tag in turn. Each must stop with the
 * code that its place calls for, and change nothing: the tag's counters are compared after each,
 * contents at the end; then all live blocks are freed as usual and the same number is served
 * again without overlap.
 *
 * source: spec/api.md 2.9, 10.8 statements 94 - 97, 102; spec/diagnostics.md 1.7; product.md 8.4
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/class.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/unit_test.h"

#define BLOCKS_MAX  800u
#define TAG         UINT32_C(0x646c6957) /* 'dliW', shows Wild */
#define TAG_OTHER   UINT32_C(0x6b6e754a)
#define PAGE        ((uintptr_t)4096)
#define LARGE_BYTES ((size_t)81920) /* above the classes: a span of its own */
#define CASE_SECONDS_MAX 100u

/*
 * Sanitizers make a stop and its longjmp slow: they try every offset that could be a block's start,
 * and of the others every 61st (address) or none but a few (thread).
 */
#if defined(__SANITIZE_THREAD__)
#define ODD_EVERY 1021u
#elif defined(__SANITIZE_ADDRESS__)
#define ODD_EVERY 61u
#else
#define ODD_EVERY 1u
#endif

enum {
    DEED_FREED = 0x07,
    DEED_WRONG_TAG = 0x0a,
    DEED_OUTSIDE = 0x40,
    DEED_NEVER = 0x42,
    DEED_FREED_NONPAGED = 0x44,
    DEED_INVALID = 0x46,
    DEED_FREED_PAGED = 0x50,
    DEED_INTERIOR = 0x99,
    DEED_INTERIOR_PAGE = 0x41286,
};

enum pool { NONPAGED, EXECUTE, PAGED };

struct block {
    uintptr_t start;
    bool live;
};

/* The case at hand. */
static struct {
    enum pool pool;
    size_t size_bytes; /* of a block: requested, and of its class */
    bool small;        /* slots within a page */
    struct block block[BLOCKS_MAX];
    uint32_t count;
    struct expool_tag_row row; /* before the wild frees */
    uint32_t wild;             /* frees that stopped */
} wild;

static void *allocate(void)
{
    static const uint64_t flags[] = {FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED};
    return ExAllocatePool2(flags[wild.pool], wild.size_bytes, TAG);
}

/* Free an address with a tag; true when that stopped. */
UNIT_DEED free_stops(uintptr_t address, uint32_t tag)
{
    return UNIT_STOPS(ExFreePoolWithTag((void *)address, tag));
}

static struct expool_tag_row tag_row(void)
{
    struct expool_tag_row rows[4];
    size_t count = expool_tags(rows, 4);
    CHECK_EQUAL(count, 1);
    return rows[0];
}

static bool row_same(const struct expool_tag_row *row)
{
    return row->tag == wild.row.tag && row->pool == wild.row.pool &&
           row->allocs == wild.row.allocs && row->frees == wild.row.frees &&
           row->bytes == wild.row.bytes;
}

/* The block that covers an address, the end of its last page included when it is whole pages. */
static const struct block *block_find(uintptr_t address)
{
    size_t bytes = wild.small ? wild.size_bytes : (wild.size_bytes + PAGE - 1) / PAGE * PAGE;
    for (uint32_t index = 0; index < wild.count; index++) {
        if (address - wild.block[index].start < bytes) {
            return &wild.block[index];
        }
    }
    return NULL;
}

/* Whether a stop with deed is right at an address that is not the start of a live block. */
static bool deed_right(uintptr_t address, uint64_t deed)
{
    const struct block *block = block_find(address);
    bool paged = wild.pool == PAGED;
    if (address % 16 != 0) {
        return deed == DEED_INVALID;
    }
    uint64_t freed = paged ? DEED_FREED_PAGED : DEED_FREED_NONPAGED;
    if (block == NULL) { /* the end of a page, or a slot that no caller has had */
        return deed == DEED_INTERIOR || deed == DEED_FREED || deed == DEED_NEVER;
    }
    if (wild.small) {
        return deed == (address == block->start ? DEED_FREED : DEED_INTERIOR);
    }
    if (!block->live) {
        return address == block->start ? deed == freed
                                       : deed == freed || deed == DEED_INTERIOR ||
                                             (paged && deed == DEED_INTERIOR_PAGE);
    }
    if (paged && address - block->start >= PAGE) {
        return deed == DEED_INTERIOR_PAGE;
    }
    return deed == DEED_INTERIOR || (paged && deed == DEED_INTERIOR_PAGE);
}

/* The parameters that go with the deed. */
static bool parameters_right(uintptr_t address)
{
    const uint64_t *parameter = unit.stop.parameter;
    const struct block *block = block_find(address);
    switch (parameter[0]) {
    case DEED_FREED:
        return parameter[1] == 0 && parameter[3] == address;
    case DEED_INTERIOR_PAGE:
        return parameter[1] == 0 && parameter[2] == 0 && block != NULL &&
               parameter[3] == address - block->start;
    case DEED_FREED_PAGED:
    case DEED_FREED_NONPAGED:
        return parameter[1] == address;
    default:
        return parameter[1] == address && parameter[2] == 0 && parameter[3] == 0;
    }
}

static void wild_free(uintptr_t address)
{
    uint32_t tag = wild.wild++ % 2 ? TAG_OTHER : 0;
    if (!free_stops(address, tag)) {
        unit_failed(__FILE__, __LINE__);
        fprintf(stderr, "size %zu pool %d: free at page offset %zu: expected a stop, got none\n",
                wild.size_bytes, wild.pool, (size_t)(address % PAGE));
        exit(1); /* the pool is no longer what the test thinks */
    }
    unit.checks++;
    struct expool_tag_row row = tag_row();
    if (unit.stop.code != STOP_POOL || !deed_right(address, unit.stop.parameter[0]) ||
        !parameters_right(address) || !row_same(&row)) {
        const struct block *block = block_find(address);
        unit_failed(__FILE__, __LINE__);
        fprintf(stderr, "size %zu pool %d, %s block%+lld, page offset %zu: got %s%s\n",
                wild.size_bytes, wild.pool,
                block == NULL ? "no" : block->live ? "live" : "freed",
                block == NULL ? 0 : (long long)(address - block->start), (size_t)(address % PAGE),
                unit.stop_report, row_same(&row) ? "" : " and the counters changed");
        unit_limit();
    }
    sim_check_rest();
}

static void fill(uint32_t count)
{
    for (wild.count = 0; wild.count < count; wild.count++) {
        unsigned char *address = allocate();
        if (!CHECK(address != NULL)) {
            exit(1);
        }
        memset(address, 0xa5, wild.size_bytes);
        wild.block[wild.count] = (struct block){(uintptr_t)address, true};
    }
    for (uint32_t index = 1; index < count; index += 3) {
        ExFreePool((void *)wild.block[index].start);
        wild.block[index].live = false;
    }
    wild.row = tag_row();
}

/* Live blocks still hold what was written, can be freed, and as many can be had again. */
static void finish(void)
{
    for (uint32_t index = 0; index < wild.count; index++) {
        const unsigned char *byte = (const unsigned char *)wild.block[index].start;
        if (wild.block[index].live) {
            CHECK(byte[0] == 0xa5 && memcmp(byte, byte + 1, wild.size_bytes - 1) == 0);
        }
    }
    for (uint32_t index = 1; index < wild.count; index += 3) {
        uintptr_t start = (uintptr_t)allocate();
        CHECK(start != 0);
        for (uint32_t other = 0; other < wild.count; other++) {
            bool apart = start + wild.size_bytes <= wild.block[other].start ||
                         wild.block[other].start + wild.size_bytes <= start;
            CHECK(apart || !wild.block[other].live);
        }
        wild.block[index] = (struct block){start, true};
    }
    for (uint32_t index = 0; index < wild.count; index++) {
        ExFreePoolWithTag((void *)wild.block[index].start, TAG);
    }
    CHECK_EQUAL(tag_row().bytes, 0);
    CHECK_EQUAL(tag_row().allocs, tag_row().frees);
}

static void case_run(void)
{
    uint32_t slots = wild.small ? (uint32_t)(PAGE / wild.size_bytes) : 1;
    fill(slots * 3 < 12 ? 12 : slots * 3);
    /* A live block and a freed one in the middle; all pages of both. */
    for (uint32_t which = wild.count / 2; which < wild.count / 2 + 3; which++) {
        const struct block *block = &wild.block[which];
        uintptr_t first = block->start / PAGE * PAGE;
        uintptr_t end = block->start + wild.size_bytes;
        for (uintptr_t address = first; address < end || address % PAGE != 0; address++) {
            const struct block *here = block_find(address);
            bool wanted = address % 16 == 0 || address % ODD_EVERY == 0;
            if (wanted && (here == NULL || !here->live || here->start != address)) {
                wild_free(address);
            }
            /* Of big blocks the first, second and last page will do. */
            if (address - first == 2 * PAGE - 1 && end - first > 4 * PAGE) {
                address = (end - 1) / PAGE * PAGE - 1;
            }
        }
        if (wild.small) {
            break; /* the page holds live and freed ones */
        }
    }
    finish();
}

/* Run one case in a child, where the core is as new. */
static void case_fork(enum pool pool, size_t size_bytes, bool small)
{
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child == 0) {
        unit.failures = 0;
        alarm(CASE_SECONDS_MAX);
        wild.pool = pool;
        wild.size_bytes = size_bytes;
        wild.small = small;
        case_run();
        _exit(unit.failures == 0 && wild.wild != 0 ? 0 : 1);
    }
    int status = -1;
    if (child > 0) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    if (status != 0) {
        fprintf(stderr, "size %zu pool %d: status 0x%x\n", size_bytes, pool, (unsigned)status);
    }
    CHECK_EQUAL(status, 0);
}

static void test_free_every_offset_of_every_class_stops(void)
{
    for (unsigned index = EXP_CLASS_SMALL; index < EXP_CLASS_COUNT; index++) {
        for (int pool = NONPAGED; pool <= PAGED; pool++) {
            size_t size_bytes = exp_classes[index].size_bytes;
            case_fork((enum pool)pool, size_bytes, size_bytes < PAGE);
        }
    }
    for (int pool = NONPAGED; pool <= PAGED; pool++) {
        case_fork((enum pool)pool, LARGE_BYTES, false);
    }
}

/* Addresses that are no block's at all: statements 94, 95. */
static void test_free_outside_stops_and_pool_stays_usable(void)
{
    static int global;
    int local = 0;
    wild.size_bytes = 100;
    wild.pool = PAGED;
    CHECK_STOP(free_stops(0, 0), STOP_POOL, DEED_INVALID, 0, 0, 0);
    fill(12);
    uintptr_t lowest = (uintptr_t)sim_reserved_lowest();
    CHECK_STOP(free_stops(0, 0), STOP_POOL, DEED_INVALID, 0, 0, 0);
    uintptr_t outside[] = {(uintptr_t)&global & ~(uintptr_t)15, (uintptr_t)&local & ~(uintptr_t)15,
                           16, UINTPTR_MAX - 15, lowest - 16, (uintptr_t)&local | 1};
    for (size_t index = 0; index < sizeof(outside) / sizeof(outside[0]); index++) {
        if (CHECK(free_stops(outside[index], TAG))) {
            CHECK_EQUAL(unit.stop.code, STOP_POOL);
            /* Judged before alignment: product.md 8.4. */
            CHECK_EQUAL(unit.stop.parameter[0], DEED_OUTSIDE);
            CHECK_EQUAL(unit.stop.parameter[1], outside[index]);
            CHECK(unit.stop.parameter[2] >= lowest);
            CHECK(unit.stop.parameter[2] <= wild.block[0].start);
            CHECK_EQUAL(unit.stop.parameter[3], 0);
        }
    }
    /* Never handed out: the range's own head, and the far end of its last chunk. */
    uintptr_t never[] = {lowest, lowest + PAGE, wild.block[0].start / 4194304 * 4194304 + 4190208};
    for (size_t index = 0; index < sizeof(never) / sizeof(never[0]); index++) {
        CHECK_STOP(free_stops(never[index], 0), STOP_POOL, DEED_NEVER, never[index], 0, 0);
    }
    struct expool_tag_row row = tag_row();
    CHECK(row_same(&row));
    finish();
}

/* Pages that were given back whole still say that they are freed: design.md 3. */
static void test_free_twice_after_pages_went_back_stops(void)
{
    static const size_t sizes[] = {48, 1024, 3000, 4096, 12288, 65536, 200000};
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        for (int pool = NONPAGED; pool <= PAGED; pool++) {
            uintptr_t start[64];
            wild.pool = (enum pool)pool;
            wild.size_bytes = sizes[index];
            for (int which = 0; which < 64; which++) {
                start[which] = (uintptr_t)allocate();
            }
            for (int which = 0; which < 64; which++) {
                ExFreePool((void *)start[which]);
            }
            expool_trim();
            uint64_t freed = pool == PAGED ? DEED_FREED_PAGED : DEED_FREED_NONPAGED;
            for (int which = 0; which < 64; which++) {
                if (CHECK(free_stops(start[which], 0))) {
                    CHECK_EQUAL(unit.stop.code, STOP_POOL);
                    CHECK_EQUAL(unit.stop.parameter[0], sizes[index] < PAGE ? DEED_FREED : freed);
                }
            }
        }
    }
}

/* The right block with the wrong tag: statements 91, 92. */
static void test_free_wrong_tag_stops_and_right_tag_frees(void)
{
    static const size_t sizes[] = {16, 2000, 3000, 4096, 20480, 200000};
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        void *block = ExAllocatePool2(FLAG_PAGED, sizes[index], TAG);
        CHECK_STOP(free_stops((uintptr_t)block, TAG_OTHER), STOP_POOL, DEED_WRONG_TAG,
                   (uintptr_t)block, TAG, TAG_OTHER);
        ExFreePoolWithTag(block, TAG | TAG_PROTECTED);
        block = ExAllocatePool2(FLAG_PAGED, sizes[index], TAG | TAG_PROTECTED);
        CHECK_STOP(free_stops((uintptr_t)block, 0), STOP_POOL, DEED_WRONG_TAG, (uintptr_t)block,
                   TAG | TAG_PROTECTED, 0);
        CHECK_STOP(free_stops((uintptr_t)block, TAG_OTHER), STOP_POOL, DEED_WRONG_TAG,
                   (uintptr_t)block, TAG | TAG_PROTECTED, TAG_OTHER);
        ExFreePoolWithTag(block, index % 2 ? TAG : TAG | TAG_PROTECTED);
    }
    sim_check_rest();
}

int main(void)
{
    unit_start();
    RUN(test_free_every_offset_of_every_class_stops);
    RUN(test_free_outside_stops_and_pool_stays_usable);
    RUN(test_free_twice_after_pages_went_back_stops);
    RUN(test_free_wrong_tag_stops_and_right_tag_frees);
    return unit_end();
}
