/* SPDX-License-Identifier: MIT */
/*
 * Rare blocks met by the malloc face: a block that a driver allocated under quota, for the session,
 * with a guarded end, executable or read-only may come to realloc, free and malloc_usable_size of
 * the same process. Nothing that is charged may get lost, no guard may be handed out as usable, and
 * a secure block is not the face's to touch.
 *
 * links: linux, since a secure block is page protection.
 * source: spec/api.md 2.9, 2.11, 3.4; design.md 3
 */
#include <expool/port.h>

#include "front/pool.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG UINT32_C(0x31676154) /* Tag1 */

enum {
    FLAG_FREEABLE = 1,
    POOL_SECURE_GLOBAL = 3,
    COOKIE = 7
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
    struct secure *secure;
};
int32_t ExCreatePool(uint32_t flags, uintptr_t tag, void *params, void **handle);
void ExDestroyPool(void *handle);
void *ExAllocatePool3(
    uint64_t flags, size_t bytes, uint32_t tag, const struct entry *entries, uint32_t count);
void ExFreePool2(void *block, uint32_t tag, const struct entry *entries, uint32_t count);
void *ExAllocatePoolWithQuotaTag(int type, size_t bytes, uint32_t tag);

static uint32_t face_number(void)
{
    expool_trim();                                 /* starts the pool */
    return exp_tag_register(UINT32_C(0x65636146)); /* Face */
}

static struct expool_usage usage_of(const struct expool_process *process)
{
    struct expool_usage usage;
    expool_process_usage(process, &usage);
    return usage;
}

static struct expool_process *process_start(void)
{
    struct expool_process *process = expool_process_create("payer", SIZE_MAX, SIZE_MAX);
    CHECK(process != NULL);
    (void)expool_process_enter(process);
    return process;
}

static void process_end(struct expool_process *process)
{
    (void)expool_process_enter(NULL);
    CHECK_EQUAL(usage_of(process).paged_bytes, 0);
    CHECK_EQUAL(usage_of(process).nonpaged_bytes, 0);
    CHECK_EQUAL(usage_of(process).references, 1);
    expool_process_release(process);
    CHECK_FITS();
}

static void test_face_frees_quota_blocks_and_returns_the_charge(void)
{
    struct expool_process *process = process_start();
    for (size_t bytes = 0; bytes < 4096; bytes += 15) {
        exp_pool_face_free(ExAllocatePoolWithQuotaTag(TYPE_PAGED, bytes, TAG));
        exp_pool_face_free(ExAllocatePoolWithQuotaTag(TYPE_NX, bytes, TAG));
    }
    process_end(process);
}

static void test_face_resizes_quota_blocks_and_keeps_their_bytes(void)
{
    struct expool_process *process = process_start();
    uint32_t number = face_number();
    for (size_t bytes = 1; bytes < 4096; bytes += 61) {
        for (size_t other = 1; other < 9000; other += 379) {
            unsigned char *block = ExAllocatePoolWithQuotaTag(TYPE_PAGED, bytes, TAG);
            memset(block, 0x5A, bytes);
            block = exp_pool_face_resize(block, other, number);
            if (!CHECK(block != NULL)) {
                return;
            }
            size_t kept = bytes < other ? bytes : other;
            CHECK(block[0] == 0x5A && memcmp(block, block + 1, kept - 1) == 0);
            CHECK(exp_pool_face_size(block) >= other);
            exp_pool_face_free(block);
        }
    }
    process_end(process);
}

/* Everything that the face calls usable may be written, however the block was made. */
static void usable_all(unsigned char *block)
{
    size_t usable = exp_pool_face_size(block);
    memset(block, 0x77, usable);
    exp_pool_face_free(block);
}

static void test_face_size_leaves_the_guard_out(void)
{
    struct expool_process *process = process_start();
    for (size_t bytes = 0; bytes < 9000; bytes += 31) {
        usable_all(ExAllocatePool2(FLAG_PAGED, bytes, TAG));
        usable_all(ExAllocatePool2(FLAG_NON_PAGED | FLAG_SESSION, bytes, TAG));
        usable_all(ExAllocatePoolWithQuotaTag(TYPE_PAGED, bytes, TAG));
    }
    usable_all(ExAllocatePool2(FLAG_PAGED, 100000, TAG));
    process_end(process);
}

static void test_face_resizes_guarded_blocks_whole(void)
{
    static const size_t sizes[] = { 1,     100,   1000,   2048,   4096,   9000,
                                    65536, 70000, 100001, 300000, 1 << 20 };
    uint32_t number = face_number();
    for (unsigned from = 0; from < sizeof(sizes) / sizeof(sizes[0]); from++) {
        for (unsigned to = 0; to < sizeof(sizes) / sizeof(sizes[0]); to++) {
            unsigned char *block = ExAllocatePool2(FLAG_PAGED, sizes[from], TAG);
            memset(block, 0x5A, sizes[from]);
            block = exp_pool_face_resize(block, sizes[to], number);
            if (!CHECK(block != NULL)) {
                return;
            }
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            CHECK(block[0] == 0x5A && memcmp(block, block + 1, kept - 1) == 0);
            memset(block, 0x66, sizes[to]); /* all that was asked for is the caller's */
            usable_all(block);
        }
    }
    CHECK_FITS();
}

/* What the session's table says of paged pool; TAG is the only one in it. */
static struct expool_tag_row session_row(void)
{
    struct expool_tag_row rows[2] = { 0 };
    size_t count = exp_tag_session_rows(rows, 2);
    CHECK(count == 1 || count == 2);
    CHECK_EQUAL(rows[count - 1].pool, 1);
    return rows[count - 1];
}

static void test_face_resizes_session_blocks_and_their_count_ends_at_nothing(void)
{
    static const size_t sizes[] = { 100, 2600, 5000, 70000, 100000, 300000, 1 << 20 };
    uint32_t number = face_number();
    for (unsigned from = 0; from < sizeof(sizes) / sizeof(sizes[0]); from++) {
        for (unsigned to = 0; to < sizeof(sizes) / sizeof(sizes[0]); to++) {
            void *block = ExAllocatePool2(FLAG_PAGED | FLAG_SESSION, sizes[from], TAG);
            CHECK(session_row().bytes >= sizes[from]);
            exp_pool_face_free(exp_pool_face_resize(block, sizes[to], number));
            CHECK_EQUAL(session_row().bytes, 0);
            CHECK_EQUAL(session_row().frees, session_row().allocs);
        }
    }
    CHECK_FITS();
}

static void *secure_block(void *handle, size_t bytes)
{
    struct secure secure = { .handle = handle, .cookie = COOKIE, .flags = FLAG_FREEABLE };
    struct entry entry = { 2, &secure };
    return ExAllocatePool3(FLAG_NON_PAGED, bytes, TAG, &entry, 1);
}

UNIT_DEED deed_free(void *block)
{
    return UNIT_STOPS(exp_pool_face_free(block));
}

UNIT_DEED deed_resize(void *block, size_t bytes)
{
    return UNIT_STOPS((void)exp_pool_face_resize(block, bytes, face_number()));
}

static void test_face_stops_on_secure_blocks(void)
{
    static const size_t sizes[] = { 1, 4096, 9000, 100000 };
    void *handle = NULL;
    CHECK_EQUAL(ExCreatePool(POOL_SECURE_GLOBAL, TAG, NULL, &handle), 0);
    for (unsigned index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        void *block = secure_block(handle, sizes[index]);
        CHECK(block != NULL);
        CHECK_STOP(deed_free(block), STOP_POOL, 0x99, (uintptr_t)block, 0, 0);
        CHECK_STOP(deed_resize(block, 10), STOP_POOL, 0x99, (uintptr_t)block, 0, 0);
        CHECK_STOP(
            deed_resize(block, sizes[index] + 200000), STOP_POOL, 0x99, (uintptr_t)block, 0, 0);
        CHECK(exp_pool_face_size(block) >= sizes[index]);
        struct secure secure = { .handle = handle, .cookie = COOKIE };
        struct entry entry = { 2, &secure };
        ExFreePool2(block, TAG, &entry, 1);
    }
    ExDestroyPool(handle);
    CHECK_FITS();
}

/* May the page of an address be executed, as the system has it? */
static bool executable(const void *address)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start, end;
    char access[5];
    bool found = false;
    while (maps != NULL && !found &&
           fscanf(maps, "%lx-%lx %4s%*[^\n]", &start, &end, access) == 3) {
        found = (uintptr_t)address >= start && (uintptr_t)address < end;
    }
    CHECK(found);
    (void)fclose(maps);
    return access[2] == 'x';
}

static void test_face_resizes_an_executable_block_to_one_that_is_not(void)
{
    enum {
        BYTES = 8 << 20 /* pages move */
    };
    uint32_t number = face_number();
    unsigned char *blocks[3];
    for (int index = 0; index < 3; index++) { /* one of them cannot grow where it lies */
        blocks[index] = ExAllocatePool2(FLAG_NON_PAGED_EXECUTE, BYTES, TAG);
        CHECK(executable(blocks[index]));
        memset(blocks[index], 0x5A, BYTES);
    }
    for (int index = 0; index < 3; index++) {
        unsigned char *block = exp_pool_face_resize(blocks[index], 2 * BYTES, number);
        CHECK(block[0] == 0x5A && memcmp(block, block + 1, BYTES - 1) == 0);
        CHECK(block == blocks[index] || !executable(block));
        blocks[index] = block == blocks[index] ? NULL : block;
        CHECK_FITS();
        exp_pool_face_free(block);
    }
    CHECK(blocks[0] != NULL || blocks[1] != NULL || blocks[2] != NULL);
}

static void guarded(void)
{
    CHECK_EQUAL(expool_set("guard", "1"), 0);
}

static void test_face_guarded_all_of_it(void)
{
    guarded();
    test_face_frees_quota_blocks_and_returns_the_charge();
    test_face_resizes_quota_blocks_and_keeps_their_bytes();
    test_face_size_leaves_the_guard_out();
    test_face_resizes_guarded_blocks_whole();
    test_face_resizes_session_blocks_and_their_count_ends_at_nothing();
    test_face_stops_on_secure_blocks();
    test_face_resizes_an_executable_block_to_one_that_is_not();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_face_frees_quota_blocks_and_returns_the_charge);
    RUN_FRESH(test_face_resizes_quota_blocks_and_keeps_their_bytes);
    RUN_FRESH(test_face_size_leaves_the_guard_out);
    RUN_FRESH(test_face_resizes_guarded_blocks_whole);
    RUN_FRESH(test_face_resizes_session_blocks_and_their_count_ends_at_nothing);
    RUN_FRESH(test_face_stops_on_secure_blocks);
    RUN_FRESH(test_face_resizes_an_executable_block_to_one_that_is_not);
    RUN_FRESH(test_face_guarded_all_of_it);
    return unit_end();
}
