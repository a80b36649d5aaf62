/* SPDX-License-Identifier: MIT */
/*
 * ExAllocatePoolWithTag and ExAllocatePool (api 38 to 53; 39 without session accounting).
 *
 * The file includes wdm.h, so the macro ExAllocatePool supplies "Wdm "; with_tag_ntddk_test.c
 * shows the names that ntddk.h changes.
 */
#include "ddi_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <wdm.h>

enum {
    TAG = 'gaTw',
    NONE = 'enoN',
    WDM = ' mdW'
};

static uint8_t *allocate(int type, size_t bytes)
{
    return ddi_opaque(ExAllocatePoolWithTag((POOL_TYPE)type, ddi_size(bytes), TAG));
}

static void free_block(void *block)
{
    ExFreePoolWithTag(block, TAG);
}

static uintptr_t place(const void *block)
{
    return (uintptr_t)block;
}

/* api 11 to 14 for one type */
static void check_placement(int type)
{
    const size_t alignment = (type & 4) != 0       ? SYSTEM_CACHE_ALIGNMENT_SIZE
                             : sizeof(void *) == 8 ? 16
                                                   : 8;

    for (size_t bytes = 1; bytes <= 3 * PAGE_SIZE; bytes += bytes < PAGE_SIZE ? 1 : 61) {
        uint8_t *block = allocate(type, bytes);

        if (!DDI_TRUE_FOR(block != NULL, bytes)) {
            return;
        }
        if (bytes < PAGE_SIZE) {
            DDI_TRUE_FOR(place(block) % alignment == 0, bytes);
        } else {
            DDI_TRUE_FOR(place(block) % PAGE_SIZE == 0, bytes);
        }
        if (bytes <= PAGE_SIZE) {
            DDI_TRUE_FOR(place(block) / PAGE_SIZE == (place(block) + bytes - 1) / PAGE_SIZE, bytes);
        }
        memset(block, 0x3C, bytes);
        DDI_TRUE_FOR(ddi_all_bytes(block, bytes, 0x3C), bytes);
        free_block(block);
    }
}

static void test_with_tag_every_plain_type_keeps_the_placement_rules(void)
{
    static const int types[] = { 0, 1, 4, 5, 512, 516 };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        check_placement(types[i]);
    }
}

static void test_with_tag_session_types_succeed(void)
{
    static const int types[] = { 32, 33, 36, 37, 544 };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        check_placement(types[i]);
    }
}

/* ---- execution ------------------------------------------------------------------------------- */

#if defined(__x86_64__) || defined(__i386__)
static const uint8_t answer_code[] = { 0xB8, 42, 0, 0, 0, 0xC3 }; /* mov eax, 42; ret */
#elif defined(__aarch64__)
static const uint8_t answer_code[] = { 0x40, 0x05, 0x80, 0x52, 0xC0, 0x03, 0x5F, 0xD6 };
#endif

/* The signal that ends a child which runs code in a block of this type; 0 when the code ran. */
static int signal_of_running(int type, size_t bytes)
{
    uint8_t *block = allocate(type, bytes);
    int (*function)(void);
    int status = 0;
    pid_t child;

    memcpy(block, answer_code, sizeof(answer_code));
    __builtin___clear_cache((char *)block, (char *)block + sizeof(answer_code));
    memcpy(&function, &block, sizeof(function));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(function() == 42 ? 0 : 3);
    }
    DDI_TRUE(child > 0 && waitpid(child, &status, 0) == child);
    free_block(block);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void test_with_tag_only_nonpaged_execute_is_executable(void)
{
    static const size_t sizes[] = { 64, 5000 };

    for (int i = 0; i < 2; ++i) {
        DDI_EQUAL(0, signal_of_running(NonPagedPool, sizes[i]));
        DDI_EQUAL(0, signal_of_running(NonPagedPoolCacheAligned, sizes[i]));
        DDI_EQUAL(0, signal_of_running(NonPagedPoolSession, sizes[i]));
        DDI_EQUAL(SIGSEGV, signal_of_running(NonPagedPoolNx, sizes[i]));
        DDI_EQUAL(SIGSEGV, signal_of_running(NonPagedPoolNxCacheAligned, sizes[i]));
        DDI_EQUAL(SIGSEGV, signal_of_running(NonPagedPoolSessionNx, sizes[i]));
        DDI_EQUAL(SIGSEGV, signal_of_running(PagedPool, sizes[i]));
        DDI_EQUAL(SIGSEGV, signal_of_running(PagedPoolCacheAligned, sizes[i]));
        DDI_EQUAL(SIGSEGV, signal_of_running(PagedPool | POOL_NX_ALLOCATION, sizes[i]));
    }
}

static void test_with_tag_paged_with_nx_is_paged(void)
{
    const int type = PagedPool | POOL_NX_ALLOCATION;
    struct expool_tag_row before = ddi_row(TAG, 1);
    struct ddi_stop stop;
    uint8_t *block = allocate(type, 100);
    KIRQL old;

    DDI_TRUE(block != NULL);
    DDI_EQUAL(1, ddi_row(TAG, 1).allocs - before.allocs);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, (void)allocate(type, 100));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, DDI_ANY, 100);
    DDI_TRUE((stop.parameter[2] & 1) != 0);
    KeLowerIrql(old);
    free_block(block);
    check_placement(type);
}

/* ---- failure --------------------------------------------------------------------------------- */

static void test_with_tag_over_the_limit_fails_or_raises(void)
{
    static const struct {
        const char *option;
        int type;
    } pools[] = { { "paged_limit", PagedPool },
                  { "nonpaged_limit", NonPagedPoolNx },
                  { "nonpaged_limit", NonPagedPool } };

    for (int i = 0; i < 3; ++i) {
        struct ddi_stop stop;
        void *volatile block = &stop;

        DDI_EQUAL(0, expool_set(pools[i].option, "1M"));
        DDI_CATCH(&stop, block = allocate(pools[i].type, 2 << 20));
        DDI_NO_STOP(&stop);
        DDI_TRUE(block == NULL);
        DDI_CATCH(&stop, (void)allocate(pools[i].type | POOL_RAISE_IF_ALLOCATION_FAILURE, 2 << 20));
        DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
        DDI_EQUAL(0, expool_set(pools[i].option, "unlimited"));
        DDI_CATCH(&stop, block = allocate(pools[i].type, SIZE_MAX - 100));
        DDI_NO_STOP(&stop);
        DDI_TRUE(block == NULL);
        DDI_CATCH(&stop,
                  (void)allocate(pools[i].type | POOL_RAISE_IF_ALLOCATION_FAILURE, SIZE_MAX - 100));
        DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    }
}

static void test_with_tag_smaller_request_succeeds_after_a_failure(void)
{
    uint8_t *block;

    expool_trim();
    DDI_EQUAL(0, expool_set("paged_limit", "4M"));
    DDI_TRUE(allocate(PagedPool, 5 << 20) == NULL);
    for (size_t bytes = 1; bytes <= 1 << 20; bytes *= 4) {
        block = allocate(PagedPool, bytes);
        if (DDI_TRUE_FOR(block != NULL, bytes)) {
            memset(block, 1, bytes);
            free_block(block);
        }
    }
}

static void test_with_tag_must_succeed_types_stop(void)
{
    static const int types[] = { 2, 3, 6, 7, 34, 35, 38 };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        struct ddi_stop stop;

        DDI_CATCH(&stop, (void)allocate(types[i], 100));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x9A, types[i], 100, TAG);
        DDI_CATCH(&stop, (void)allocate(types[i], 100000));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x9A, types[i], 100000, TAG);
    }
}

/* ---- the caller's address in 0x9B and 0x9C --------------------------------------------------- */

extern const char __start_ddi_caller[];
extern const char __stop_ddi_caller[];

__attribute__((section("ddi_caller"), noinline)) static void *call_with(int type,
                                                                        size_t bytes,
                                                                        uint32_t tag)
{
    void *block = ExAllocatePoolWithTag((POOL_TYPE)type, ddi_size(bytes), tag);

    return ddi_opaque(block);
}

static void test_with_tag_zero_or_big_tag_stops_and_names_the_caller(void)
{
    static const int types[] = { 0, 1, 4, 5, 512, 516 };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        struct ddi_stop stop;

        DDI_CATCH(&stop, (void)call_with(types[i], 200 + i, 0));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x9B, types[i], 200 + i, DDI_ANY);
        DDI_TRUE(stop.parameter[3] > (uintptr_t)__start_ddi_caller &&
                 stop.parameter[3] <= (uintptr_t)__stop_ddi_caller);
        DDI_CATCH(&stop, (void)call_with(types[i], 5000 + i, ' GIB'));
        DDI_STOP(&stop, BAD_POOL_CALLER, 0x9C, types[i], 5000 + i, DDI_ANY);
        DDI_TRUE(stop.parameter[3] > (uintptr_t)__start_ddi_caller &&
                 stop.parameter[3] <= (uintptr_t)__stop_ddi_caller);
    }
}

/* spec/diagnostics.md 1.7: IRQL, then must-succeed, then tag, then memory. */
static void test_with_tag_first_error_wins(void)
{
    struct ddi_stop stop;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, (void)call_with(PagedPool, 100, 0));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, 100);
    KeLowerIrql(old);
    KeRaiseIrql(HIGH_LEVEL, &old);
    DDI_CATCH(&stop, (void)call_with(NonPagedPoolMustSucceed, 100, TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, HIGH_LEVEL, NonPagedPoolMustSucceed, 100);
    KeLowerIrql(old);
    DDI_CATCH(&stop, (void)call_with(NonPagedPoolMustSucceed, 100, 0));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x9A, NonPagedPoolMustSucceed, 100, 0);
    DDI_CATCH(&stop, (void)call_with(PagedPool, SIZE_MAX, 0));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x9B, PagedPool, SIZE_MAX, DDI_ANY);
}

/* ---- bits and contents ----------------------------------------------------------------------- */

static void test_with_tag_cold_bit_changes_nothing(void)
{
    struct expool_tag_row before = ddi_row(TAG, 1);
    uint8_t *block;

    check_placement(PagedPool | POOL_COLD_ALLOCATION);
    check_placement(NonPagedPoolNx | POOL_COLD_ALLOCATION);
    block = allocate(PagedPool | POOL_COLD_ALLOCATION, 100);
    DDI_TRUE(ddi_row(TAG, 1).allocs > before.allocs);
    free_block(block);
    DDI_EQUAL(before.bytes, ddi_row(TAG, 1).bytes);
    DDI_EQUAL(before.allocs - before.frees, ddi_live(TAG, 1));
}

static void test_with_tag_zero_bit_zeroes_recycled_memory(void)
{
    static const size_t sizes[] = { 1, 15, 16, 17, 100, 1000, 4000, 4096, 10000, 100000 };
    static const int types[] = { 0, 1, 4, 5, 512, 516 };

    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); ++t) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
            for (int pass = 0; pass < 3; ++pass) {
                uint8_t *block = allocate(types[t] | POOL_ZERO_ALLOCATION, sizes[i]);

                DDI_TRUE_FOR(block != NULL && ddi_all_bytes(block, sizes[i], 0), sizes[i]);
                memset(block, 0xC7, sizes[i]);
                free_block(block);
            }
        }
    }
}

static void check_bits_are_ignored(int bits)
{
    struct ddi_stop stop;
    void *volatile block = NULL;

    DDI_CATCH(&stop, block = allocate(PagedPool | bits, 100));
    DDI_NO_STOP(&stop);
    if (DDI_TRUE_FOR(block != NULL, bits)) {
        free_block(block);
    }
}

static void test_with_tag_quota_bit_and_unknown_bits_are_ignored(void)
{
    static const int bits[] = { 8, 64, 128, 2048, 0x10000, 0x40000000 };

    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); ++i) {
        check_bits_are_ignored(bits[i]);
    }
    DDI_EQUAL(0, expool_set("paged_limit", "1M"));
    DDI_TRUE(allocate(PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 2 << 20) == NULL);
}

static void test_with_tag_zero_bytes_succeed(void)
{
    uint8_t *a = allocate(PagedPool, 0);
    uint8_t *b = allocate(NonPagedPool, 0);
    uint8_t *c = allocate(NonPagedPoolNx, 0);

    DDI_TRUE(a != NULL && b != NULL && c != NULL && a != b && b != c && a != c);
    free_block(a);
    free_block(b);
    free_block(c);
}

static void test_with_tag_at_dispatch_only_nonpaged_succeeds(void)
{
    struct ddi_stop stop;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, (void)allocate(PagedPool, 777));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, 777);
    DDI_CATCH(&stop, (void)allocate(PagedPoolCacheAligned, 777));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPoolCacheAligned, 777);
    DDI_CATCH(&stop, free_block(allocate(NonPagedPool, 777)));
    DDI_NO_STOP(&stop);
    DDI_CATCH(&stop, free_block(allocate(NonPagedPoolNx, 7777)));
    DDI_NO_STOP(&stop);
    KeLowerIrql(old);
}

/* ---- tags ------------------------------------------------------------------------------------ */

static void test_pool_function_counts_under_none(void)
{
    struct expool_tag_row paged = ddi_row(NONE, 1);
    struct expool_tag_row nonpaged = ddi_row(NONE, 0);
    void *a = ddi_opaque((ExAllocatePool)(PagedPool, 100));
    void *b = ddi_opaque((ExAllocatePool)(NonPagedPoolNx, 5000));

    DDI_TRUE(a != NULL && b != NULL);
    DDI_EQUAL(paged.allocs + 1, ddi_row(NONE, 1).allocs);
    DDI_EQUAL(nonpaged.allocs + 1, ddi_row(NONE, 0).allocs);
    DDI_TRUE(ddi_row(NONE, 1).bytes >= paged.bytes + 100);
    ExFreePoolWithTag(a, NONE);
    ExFreePoolWithTag(b, NONE);
    DDI_EQUAL(paged.frees + 1, ddi_row(NONE, 1).frees);
    DDI_EQUAL(paged.bytes, ddi_row(NONE, 1).bytes);
    DDI_EQUAL(nonpaged.bytes, ddi_row(NONE, 0).bytes);
}

static void test_pool_macro_counts_under_wdm(void)
{
    struct expool_tag_row before = ddi_row(WDM, 1);
    void *block = ddi_opaque(ExAllocatePool(PagedPool, 100));

    DDI_TRUE(block != NULL);
    DDI_EQUAL(before.allocs + 1, ddi_row(WDM, 1).allocs);
    ExFreePoolWithTag(block, WDM);
    DDI_EQUAL(before.frees + 1, ddi_row(WDM, 1).frees);
}

static void test_with_tag_any_bytes_make_a_tag(void)
{
    static const uint32_t odd[] = { 1,          'a',    'ab',       0x01020304, 0x7F7F7F7F,
                                    0x000000FF, '    ', 0x0A0D0900, 0x7FFFFFFF };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); ++i) {
        struct expool_tag_row before = ddi_row(odd[i], 1);
        struct ddi_stop stop;

        DDI_CATCH(&stop, {
            void *block = ddi_opaque(ExAllocatePoolWithTag(PagedPool, 100, odd[i]));

            DDI_TRUE_FOR(block != NULL, odd[i]);
            DDI_EQUAL(before.allocs + 1, ddi_row(odd[i], 1).allocs);
            ExFreePoolWithTag(block, odd[i]);
        });
        DDI_NO_STOP(&stop);
        DDI_EQUAL(before.frees + 1, ddi_row(odd[i], 1).frees);
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("38", test_with_tag_every_plain_type_keeps_the_placement_rules),
    DDI_TEST("39", test_with_tag_session_types_succeed),
    DDI_TEST("40", test_with_tag_only_nonpaged_execute_is_executable),
    DDI_TEST("41", test_with_tag_paged_with_nx_is_paged),
    DDI_TEST("42", test_with_tag_over_the_limit_fails_or_raises),
    DDI_TEST("43", test_with_tag_cold_bit_changes_nothing),
    DDI_TEST("44", test_with_tag_zero_bit_zeroes_recycled_memory),
    DDI_TEST("45", test_with_tag_quota_bit_and_unknown_bits_are_ignored),
    DDI_TEST("46", test_with_tag_must_succeed_types_stop),
    DDI_TEST("47", test_with_tag_zero_or_big_tag_stops_and_names_the_caller),
    DDI_TEST("46,47,49", test_with_tag_first_error_wins),
    DDI_TEST("48", test_with_tag_zero_bytes_succeed),
    DDI_TEST("49", test_with_tag_at_dispatch_only_nonpaged_succeeds),
    DDI_TEST("50", test_pool_function_counts_under_none),
    DDI_TEST("51", test_pool_macro_counts_under_wdm),
    DDI_TEST("52", test_with_tag_any_bytes_make_a_tag),
    DDI_TEST("53", test_with_tag_smaller_request_succeeds_after_a_failure),
};

DDI_MAIN(tests)
