/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePool2 when it succeeds (api 8 to 23).
 *
 * Placement is tested for every size it is promised for, contents after the same memory was
 * dirtied, and overlap by a byte map of every page a block was seen in.
 */
#include "ddi_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <wdm.h>

enum {
    TAG = '2loP'
};

static const POOL_FLAGS kinds[] = {
    POOL_FLAG_NON_PAGED,
    POOL_FLAG_PAGED,
    POOL_FLAG_NON_PAGED_EXECUTE,
};
enum {
    KINDS = sizeof(kinds) / sizeof(kinds[0])
};

static const size_t sizes[] = { 1, 16, 100, 4095, 4096, 4097, 1 << 20 };
enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0])
};

static uint8_t *allocate(POOL_FLAGS flags, size_t bytes)
{
    return ddi_opaque(ExAllocatePool2(flags, bytes, TAG));
}

static uintptr_t place(const void *block)
{
    return (uintptr_t)block;
}

static void test_pool2_every_kind_and_size_succeeds(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            uint8_t *block = allocate(kinds[kind], sizes[i]);

            if (DDI_TRUE_FOR(block != NULL, sizes[i])) {
                ExFreePoolWithTag(block, TAG);
            }
        }
    }
}

/* Every pass dirties all blocks before it frees them, with and without giving memory back. */
static void test_pool2_recycled_memory_is_zero(void)
{
    for (int pass = 0; pass < 6; ++pass) {
        (void)expool_set("front_cache", pass < 3 ? "1" : "0");
        for (int kind = 0; kind < KINDS; ++kind) {
            for (int i = 0; i < SIZES; ++i) {
                uint8_t *block[4];

                for (int n = 0; n < 4; ++n) {
                    block[n] = allocate(kinds[kind], sizes[i]);
                    if (DDI_TRUE_FOR(block[n] != NULL, sizes[i])) {
                        DDI_TRUE_FOR(ddi_all_bytes(block[n], sizes[i], 0), sizes[i]);
                        memset(block[n], 0xDB, sizes[i]);
                    }
                }
                for (int n = 0; n < 4; ++n) {
                    if (block[n] != NULL) {
                        ExFreePoolWithTag(block[n], TAG);
                    }
                }
            }
        }
        if (pass % 2 == 1) {
            expool_trim();
        }
    }
}

/* All sizes up to two pages: dirtied whole, then zero again. */
static void test_pool2_every_small_size_is_zero_after_dirt(void)
{
    for (size_t bytes = 1; bytes <= 2 * PAGE_SIZE; ++bytes) {
        for (int pass = 0; pass < 2; ++pass) {
            uint8_t *block = allocate(POOL_FLAG_PAGED, bytes);

            if (!DDI_TRUE_FOR(block != NULL, bytes)) {
                return;
            }
            if (!DDI_TRUE_FOR(ddi_all_bytes(block, bytes, 0), bytes)) {
                return;
            }
            memset(block, 0xA5, bytes);
            ExFreePoolWithTag(block, TAG);
        }
    }
}

static void test_pool2_uninitialized_succeeds_and_is_writable(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            uint8_t *block = allocate(kinds[kind] | POOL_FLAG_UNINITIALIZED, sizes[i]);

            if (DDI_TRUE_FOR(block != NULL, sizes[i])) {
                memset(block, 0x5A, sizes[i]);
                DDI_TRUE_FOR(ddi_all_bytes(block, sizes[i], 0x5A), sizes[i]);
                ExFreePoolWithTag(block, TAG);
            }
        }
    }
}

static void test_pool2_small_block_is_granule_aligned_within_one_page(void)
{
    const size_t granule = sizeof(void *) == 8 ? 16 : 8;

    for (int kind = 0; kind < KINDS; ++kind) {
        for (size_t bytes = 1; bytes <= PAGE_SIZE; ++bytes) {
            uint8_t *block[3];

            for (int n = 0; n < 3; ++n) {
                block[n] = allocate(kinds[kind], bytes);
                if (!DDI_TRUE_FOR(block[n] != NULL, bytes)) {
                    return;
                }
                DDI_TRUE_FOR(place(block[n]) % granule == 0, bytes);
                DDI_TRUE_FOR(place(block[n]) / PAGE_SIZE ==
                                 (place(block[n]) + bytes - 1) / PAGE_SIZE,
                             bytes);
            }
            for (int n = 0; n < 3; ++n) {
                ExFreePoolWithTag(block[n], TAG);
            }
        }
    }
}

static void test_pool2_page_and_more_is_page_aligned(void)
{
    static const size_t big[] = { 4096, 4097, 8191, 8192, 12345, 65536, 65537, 1 << 20, 3000001 };

    for (int kind = 0; kind < KINDS; ++kind) {
        for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); ++i) {
            uint8_t *block[3];

            for (int n = 0; n < 3; ++n) {
                block[n] = allocate(kinds[kind], big[i]);
                DDI_TRUE_FOR(block[n] != NULL, big[i]);
                DDI_EQUAL(0, place(block[n]) % PAGE_SIZE);
            }
            for (int n = 0; n < 3; ++n) {
                if (block[n] != NULL) {
                    ExFreePoolWithTag(block[n], TAG);
                }
            }
        }
    }
}

static void test_pool2_cache_aligned_is_so_within_one_page(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (size_t bytes = 1; bytes < PAGE_SIZE; ++bytes) {
            uint8_t *block[3];

            for (int n = 0; n < 3; ++n) {
                block[n] = allocate(kinds[kind] | POOL_FLAG_CACHE_ALIGNED, bytes);
                if (!DDI_TRUE_FOR(block[n] != NULL, bytes)) {
                    return;
                }
                DDI_TRUE_FOR(place(block[n]) % SYSTEM_CACHE_ALIGNMENT_SIZE == 0, bytes);
                DDI_TRUE_FOR(place(block[n]) / PAGE_SIZE ==
                                 (place(block[n]) + bytes - 1) / PAGE_SIZE,
                             bytes);
                DDI_TRUE_FOR(ddi_all_bytes(block[n], bytes, 0), bytes);
                memset(block[n], 0xEE, bytes);
            }
            for (int n = 0; n < 3; ++n) {
                ExFreePoolWithTag(block[n], TAG);
            }
        }
    }
}

static void test_pool2_ten_thousand_blocks_keep_their_bytes(void)
{
    enum {
        BLOCKS = 10000
    };
    static uint8_t *block[BLOCKS];
    static size_t length[BLOCKS];
    uint64_t random = 15;

    for (size_t i = 0; i < BLOCKS; ++i) {
        length[i] = 1 + ddi_random(&random) % 5000;
        block[i] = allocate(kinds[i % KINDS], length[i]);
        if (!DDI_TRUE_FOR(block[i] != NULL, i)) {
            return;
        }
        memset(block[i], (int)(i % 251), length[i]);
    }
    for (size_t i = 0; i < BLOCKS; ++i) {
        DDI_TRUE_FOR(ddi_all_bytes(block[i], length[i], (uint8_t)(i % 251)), i);
    }
    for (size_t i = 0; i < BLOCKS; ++i) {
        ExFreePoolWithTag(block[i], TAG);
    }
}

/* ---- the byte map ---------------------------------------------------------------------------- */

enum {
    MAP_PAGES = 1 << 17
};

struct map_page {
    uintptr_t number; /* address / PAGE_SIZE; 0 = entry not used */
    uint8_t used[PAGE_SIZE];
};

static struct map_page *map_pages[MAP_PAGES];

static struct map_page *map_find(uintptr_t number)
{
    size_t index = (number * UINT64_C(0x9E3779B97F4A7C15)) >> 47;

    for (size_t probe = 0; probe < MAP_PAGES; ++probe, index = (index + 1) % MAP_PAGES) {
        if (map_pages[index] == NULL) {
            map_pages[index] = calloc(1, sizeof(struct map_page));
            if (map_pages[index] == NULL) {
                abort();
            }
            map_pages[index]->number = number;
        }
        if (map_pages[index]->number == number) {
            return map_pages[index];
        }
    }
    printf("the byte map is full\n");
    abort();
}

/* Change n bytes from one value to the other; false when one byte was not as it should be. */
static bool map_change(uintptr_t address, size_t bytes, uint8_t from, uint8_t to)
{
    bool good = true;

    while (bytes != 0) {
        size_t offset = address % PAGE_SIZE;
        size_t part = bytes < PAGE_SIZE - offset ? bytes : PAGE_SIZE - offset;
        uint8_t *used = map_find(address / PAGE_SIZE)->used + offset;

        good = good && ddi_all_bytes(used, part, from);
        memset(used, to, part);
        address += part;
        bytes -= part;
    }
    return good;
}

/* Mostly small, one in 8 up to 6000 bytes, one in 128 up to 100000. */
static size_t size_of_draw(uint64_t draw)
{
    const size_t bound = (draw & 127) == 0 ? 100000 : (draw & 7) == 0 ? 6000 : 600;

    return 1 + (draw >> 8) % bound;
}

static void test_pool2_live_blocks_never_overlap(void)
{
    enum {
        LIVE = 4000,
        STEPS = 1000000
    };
    static struct {
        uint8_t *block;
        size_t bytes;
    } live[LIVE];
    uint64_t random = ddi_seed(16);

    for (uint32_t step = 0; step < STEPS; ++step) {
        uint64_t draw = ddi_random(&random);
        size_t i = draw % LIVE;

        if (live[i].block != NULL) {
            if (!DDI_TRUE_FOR(map_change(place(live[i].block), live[i].bytes, 1, 0), step)) {
                return;
            }
            ExFreePoolWithTag(live[i].block, TAG);
        }
        draw >>= 16;
        live[i].bytes = size_of_draw(draw);
        live[i].block =
            allocate(kinds[(draw >> 40) % KINDS] | POOL_FLAG_UNINITIALIZED, live[i].bytes);
        if (!DDI_TRUE_FOR(live[i].block != NULL, step) ||
            !DDI_TRUE_FOR(map_change(place(live[i].block), live[i].bytes, 0, 1), step)) {
            return;
        }
    }
    for (size_t i = 0; i < LIVE; ++i) {
        if (live[i].block != NULL) {
            DDI_TRUE_FOR(map_change(place(live[i].block), live[i].bytes, 1, 0), i);
            ExFreePoolWithTag(live[i].block, TAG);
        }
    }
}

/* ---- flags and corner cases ------------------------------------------------------------------ */

static void test_pool2_unknown_optional_bits_change_nothing(void)
{
    for (int bit = 33; bit < 64; ++bit) {
        uint8_t *block = allocate(POOL_FLAG_PAGED | UINT64_C(1) << bit, 200);

        if (DDI_TRUE_FOR(block != NULL, bit)) {
            DDI_TRUE_FOR(ddi_all_bytes(block, 200, 0), bit);
            memset(block, 0xFF, 200);
            ExFreePoolWithTag(block, TAG);
        }
    }
}

static void test_pool2_special_pool_flag_succeeds_when_it_is_off(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        for (int i = 0; i < SIZES; ++i) {
            uint8_t *block = allocate(kinds[kind] | POOL_FLAG_SPECIAL_POOL, sizes[i]);

            if (DDI_TRUE_FOR(block != NULL, sizes[i])) {
                DDI_TRUE_FOR(ddi_all_bytes(block, sizes[i], 0), sizes[i]);
                memset(block, 0xFF, sizes[i]);
                ExFreePoolWithTag(block, TAG);
            }
        }
    }
}

static void test_pool2_zero_bytes_gives_distinct_freeable_blocks(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        uint8_t *a = allocate(kinds[kind], 0);
        uint8_t *b = allocate(kinds[kind], 0);

        DDI_TRUE(a != NULL && b != NULL);
        DDI_TRUE(place(a) != place(b));
        ExFreePoolWithTag(a, TAG);
        ExFreePoolWithTag(b, TAG);
    }
}

/* ---- execution ------------------------------------------------------------------------------- */

#if defined(__x86_64__) || defined(__i386__)
static const uint8_t answer_code[] = { 0xB8, 42, 0, 0, 0, 0xC3 }; /* mov eax, 42; ret */
#elif defined(__aarch64__)
static const uint8_t answer_code[] = { 0x40, 0x05, 0x80, 0x52, 0xC0, 0x03, 0x5F, 0xD6 };
#endif

typedef int answer_function(void);

static answer_function *answer_in(uint8_t *block)
{
    answer_function *function;

    memcpy(block, answer_code, sizeof(answer_code));
    __builtin___clear_cache((char *)block, (char *)block + sizeof(answer_code));
    memcpy(&function, &block, sizeof(function));
    return function;
}

/* The signal that ends a child which runs the code in block; 0 when the code ran. */
static int signal_of_running(uint8_t *block)
{
    answer_function *function = answer_in(block);
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(function() == 42 ? 0 : 3);
    }
    DDI_TRUE(child > 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void test_pool2_code_runs_only_in_executable_memory(void)
{
    static const size_t code_sizes[] = { 16, 100, 3000, 4096, 200000 };

    for (size_t i = 0; i < sizeof(code_sizes) / sizeof(code_sizes[0]); ++i) {
        uint8_t *execute = allocate(POOL_FLAG_NON_PAGED_EXECUTE, code_sizes[i]);
        uint8_t *nonpaged = allocate(POOL_FLAG_NON_PAGED, code_sizes[i]);
        uint8_t *paged = allocate(POOL_FLAG_PAGED, code_sizes[i]);

        DDI_EQUAL(0, signal_of_running(execute));
        DDI_EQUAL(42, answer_in(execute)());
        DDI_EQUAL(SIGSEGV, signal_of_running(nonpaged));
        DDI_EQUAL(SIGSEGV, signal_of_running(paged));
        ExFreePoolWithTag(execute, TAG);
        ExFreePoolWithTag(nonpaged, TAG);
        ExFreePoolWithTag(paged, TAG);
    }
}

static void test_pool2_either_free_routine_frees(void)
{
    struct expool_tag_row before = ddi_row(TAG, 1);
    struct expool_tag_row after;

    for (int i = 0; i < SIZES; ++i) {
        uint8_t *block = allocate(POOL_FLAG_PAGED, sizes[i]);

        ExFreePool(block);
        block = allocate(POOL_FLAG_PAGED, sizes[i]);
        ExFreePoolWithTag(block, TAG);
        block = allocate(POOL_FLAG_PAGED, sizes[i]);
        ExFreePoolWithTag(block, 0);
    }
    after = ddi_row(TAG, 1);
    DDI_EQUAL(3 * SIZES, after.allocs - before.allocs);
    DDI_EQUAL(3 * SIZES, after.frees - before.frees);
    DDI_EQUAL(before.bytes, after.bytes);
}

static void test_pool2_two_gigabytes_less_one_succeed(void)
{
    const size_t bytes = 0x7FFFFFFF;
    uint8_t *block = allocate(POOL_FLAG_PAGED, bytes);

    if (DDI_TRUE(block != NULL)) {
        DDI_EQUAL(0, place(block) % PAGE_SIZE);
        DDI_EQUAL(0, block[0] | block[bytes / 2] | block[bytes - 1]);
        block[0] = block[bytes / 2] = block[bytes - 1] = 7;
        ExFreePoolWithTag(block, TAG);
    }
}

static void test_pool2_nonpaged_works_at_dispatch(void)
{
    for (int i = 0; i < SIZES; ++i) {
        KIRQL old = KeRaiseIrqlToDpcLevel();
        uint8_t *block;
        struct ddi_stop stop;

        DDI_EQUAL(PASSIVE_LEVEL, old);
        DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
        DDI_CATCH(&stop, {
            block = allocate(POOL_FLAG_NON_PAGED, sizes[i]);
            DDI_TRUE_FOR(block != NULL && ddi_all_bytes(block, sizes[i], 0), sizes[i]);
            ExFreePoolWithTag(block, TAG);
            block = allocate(POOL_FLAG_NON_PAGED_EXECUTE, sizes[i]);
            DDI_TRUE_FOR(block != NULL, sizes[i]);
            ExFreePoolWithTag(block, TAG);
        });
        DDI_NO_STOP(&stop);
        KeLowerIrql(old);
        DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    }
}

static void test_pool2_session_flag_succeeds(void)
{
    for (int kind = 0; kind < KINDS; ++kind) {
        uint8_t *block = allocate(kinds[kind] | POOL_FLAG_SESSION, 300);

        if (DDI_TRUE_FOR(block != NULL, kind)) {
            DDI_TRUE(ddi_all_bytes(block, 300, 0));
            ExFreePoolWithTag(block, TAG);
        }
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("8", test_pool2_every_kind_and_size_succeeds),
    DDI_TEST("9", test_pool2_recycled_memory_is_zero),
    DDI_TEST("9", test_pool2_every_small_size_is_zero_after_dirt),
    DDI_TEST("10", test_pool2_uninitialized_succeeds_and_is_writable),
    DDI_TEST("11,12", test_pool2_small_block_is_granule_aligned_within_one_page),
    DDI_TEST("13", test_pool2_page_and_more_is_page_aligned),
    DDI_TEST("14", test_pool2_cache_aligned_is_so_within_one_page),
    DDI_TEST("15", test_pool2_ten_thousand_blocks_keep_their_bytes),
    DDI_TEST("16", test_pool2_live_blocks_never_overlap),
    DDI_TEST("17", test_pool2_unknown_optional_bits_change_nothing),
    DDI_TEST("18", test_pool2_special_pool_flag_succeeds_when_it_is_off),
    DDI_TEST("19", test_pool2_zero_bytes_gives_distinct_freeable_blocks),
    DDI_TEST("20", test_pool2_code_runs_only_in_executable_memory),
    DDI_TEST("21", test_pool2_either_free_routine_frees),
    DDI_TEST("22", test_pool2_two_gigabytes_less_one_succeed),
    DDI_TEST("23", test_pool2_nonpaged_works_at_dispatch),
    DDI_TEST("39", test_pool2_session_flag_succeeds),
};

DDI_MAIN(tests)
