/* SPDX-License-Identifier: MIT */
/*
 * Secure pool (api 101, 119 to 132): read-only blocks behind a handle and a cookie.
 *
 * A store through the pointer is tried in a handler for SIGSEGV that jumps back; after every call
 * that must fail the contents and the state of the block are compared.
 */
#include "doors.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    TAG = 'uceS',
    OTHER_TAG = 'rhtO',
    COOKIE = 0x5EC2E7
};

static HANDLE create_pool(void)
{
    POOL_CREATE_EXTENDED_PARAMS params = { .Version = POOL_CREATE_PARAMS_VERSION };
    HANDLE handle = NULL;

    DDI_EQUAL(
        (uint32_t)STATUS_SUCCESS,
        (uint32_t)ExCreatePool(
            POOL_CREATE_FLG_SECURE_POOL | POOL_CREATE_FLG_USE_GLOBAL_POOL, TAG, &params, &handle));
    DDI_TRUE(handle != NULL);
    return handle;
}

static POOL_EXTENDED_PARAMETER entry_of(POOL_EXTENDED_PARAMS_SECURE_POOL *secure)
{
    return (POOL_EXTENDED_PARAMETER){ .Type = PoolExtendedParameterSecurePool,
                                      .SecurePoolParams = secure };
}

/* What secure allocations and frees are given, beside the entry. */
static struct {
    POOL_EXTENDED_PARAMS_SECURE_POOL *secure;
    POOL_EXTENDED_PARAMETER *entries;
    ULONG count;
} given;

DOOR(door_secure, ExAllocatePool3(bits, bytes, tag, given.entries, given.count))

static struct door_end try_secure(POOL_FLAGS flags,
                                  size_t bytes,
                                  POOL_EXTENDED_PARAMS_SECURE_POOL *secure)
{
    POOL_EXTENDED_PARAMETER entry = entry_of(secure);

    given.entries = &entry;
    given.count = 1;
    return door_try(door_secure, flags, bytes, TAG);
}

static uint8_t *secure_block(HANDLE handle, size_t bytes, const void *buffer, ULONG flags)
{
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolHandle = handle,
                                                .Buffer = (void *)(uintptr_t)buffer,
                                                .Cookie = COOKIE,
                                                .SecurePoolFlags = flags };
    struct door_end end = try_secure(POOL_FLAG_NON_PAGED, bytes, &secure);

    DOOR_GIVES_BLOCK(end);
    return end.block;
}

static void free_secure(HANDLE handle, void *block)
{
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolHandle = handle, .Cookie = COOKIE };
    POOL_EXTENDED_PARAMETER entry = entry_of(&secure);

    ExFreePool2(block, TAG, &entry, 1);
}

static sigjmp_buf fault_jump;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(fault_jump, 1);
}

/* Does a store of the byte that is there fault? */
static bool store_faults(volatile uint8_t *byte)
{
    struct sigaction action = { .sa_handler = on_fault };
    struct sigaction former;
    volatile bool faults = true;

    sigaction(SIGSEGV, &action, &former);
    if (sigsetjmp(fault_jump, 1) == 0) {
        *byte = *byte;
        faults = false;
    }
    sigaction(SIGSEGV, &former, NULL);
    return faults;
}

static void test_create_pool_wants_exactly_the_secure_kind(void)
{
    static const ULONG bad[] = {
        0, POOL_CREATE_FLG_USE_GLOBAL_POOL, 4, 5, 7, 8, 0x100, 0x80000001, 0xFFFFFFFF
    };
    POOL_CREATE_EXTENDED_PARAMS params = { .Version = POOL_CREATE_PARAMS_VERSION };
    HANDLE handle = &handle;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        DDI_EQUAL((uint32_t)STATUS_INVALID_PARAMETER_1,
                  (uint32_t)ExCreatePool(bad[i], TAG, &params, &handle));
        DDI_EQUAL((uintptr_t)&handle, (uintptr_t)handle);
    }
    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, NULL, &handle));
    ExDestroyPool(handle);
    ExDestroyPool(create_pool());
}

static void test_create_pool_judges_its_parameters(void)
{
    static WCHAR text[] = L"name";
    POOL_CREATE_EXTENDED_PARAMETER names[2] = {
        { .Type = PoolCreateExtendedParameterName,
          .PoolName = { sizeof(text) - sizeof(WCHAR), sizeof(text), text } },
        { .Type = PoolCreateExtendedParameterName,
          .PoolName = { sizeof(text) - sizeof(WCHAR), sizeof(text), text } },
    };
    POOL_CREATE_EXTENDED_PARAMETER none = { .Type = PoolCreateExtendedParameterInvalidType };
    POOL_CREATE_EXTENDED_PARAMETER unknown = { .Type = 2 };
    const POOL_CREATE_EXTENDED_PARAMS third[] = {
        { 1, 1, names },    { 1, 2, names }, { 1, 1, &none },
        { 1, 1, &unknown }, { 1, 1, NULL },  { 1, 0, names },
    };
    HANDLE handle = &handle;

    for (ULONG version = 0; version < 4; ++version) {
        POOL_CREATE_EXTENDED_PARAMS params = { .Version = version };

        if (version != POOL_CREATE_PARAMS_VERSION) {
            DDI_EQUAL((uint32_t)STATUS_INVALID_PARAMETER,
                      (uint32_t)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, &params, &handle));
        }
    }
    for (size_t i = 0; i < sizeof(third) / sizeof(third[0]); ++i) {
        POOL_CREATE_EXTENDED_PARAMS params = third[i];

        DDI_EQUAL((uint32_t)STATUS_INVALID_PARAMETER_3,
                  (uint32_t)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, &params, &handle));
    }
    DDI_EQUAL((uintptr_t)&handle, (uintptr_t)handle);
}

static void test_secure_block_holds_the_bytes_of_its_buffer(void)
{
    static const size_t sizes[] = { 1, 16, 100, 4095, 4096, 4097, 12345, 70000, 1 << 20 };
    static uint8_t buffer[1 << 20];
    HANDLE handle = create_pool();

    for (size_t i = 0; i < sizeof(buffer); ++i) {
        buffer[i] = (uint8_t)(i * 7 + 1);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        uint8_t *full = secure_block(handle, sizes[i], buffer, SECURE_POOL_FLAGS_FREEABLE);
        uint8_t *empty = secure_block(handle, sizes[i], NULL, SECURE_POOL_FLAGS_FREEABLE);
        BOOLEAN quota = TRUE;

        DDI_TRUE_FOR(memcmp(full, buffer, sizes[i]) == 0, sizes[i]);
        DDI_TRUE_FOR(ddi_all_bytes(empty, sizes[i], 0), sizes[i]);
        DDI_EQUAL(0, (uintptr_t)full % 16);
        DDI_TRUE_FOR(sizes[i] < 4096 || (uintptr_t)full % 4096 == 0, sizes[i]);
        DDI_TRUE_FOR(ExQueryPoolBlockSize(full, &quota) >= sizes[i], sizes[i]);
        DDI_EQUAL(FALSE, quota);
        DDI_EQUAL(2, ddi_live(TAG, 0));
        free_secure(handle, full);
        free_secure(handle, empty);
    }
    free_secure(handle, secure_block(handle, 0, NULL, SECURE_POOL_FLAGS_FREEABLE));
    DDI_EQUAL(0, ddi_live(TAG, 0));
    ExDestroyPool(handle);
}

static void test_secure_block_cannot_be_stored_to(void)
{
    static const size_t sizes[] = { 1, 100, 4096, 9000, 100000 };
    HANDLE handle = create_pool();

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        uint8_t *block = secure_block(
            handle, sizes[i], NULL, SECURE_POOL_FLAGS_FREEABLE | SECURE_POOL_FLAGS_MODIFIABLE);
        uint8_t value = 9;

        for (size_t at = 0; at < sizes[i]; at += 4096) {
            DDI_TRUE_FOR(store_faults(block + at), at);
        }
        DDI_TRUE_FOR(store_faults(block + sizes[i] - 1), sizes[i]);
        DDI_EQUAL(
            (uint32_t)STATUS_SUCCESS,
            (uint32_t)ExSecurePoolUpdate(handle, TAG, block, COOKIE, sizes[i] - 1, 1, &value));
        DDI_TRUE_FOR(store_faults(block + sizes[i] - 1), sizes[i]);
        DDI_EQUAL(9, block[sizes[i] - 1]);
        free_secure(handle, block);
    }
    ExDestroyPool(handle);
}

/* Memory of a freed secure block is ordinary memory again. */
static void test_secure_memory_is_writable_again_after_the_free(void)
{
    HANDLE handle = create_pool();

    for (int round = 0; round < 50; ++round) {
        size_t bytes = (size_t)(round + 1) * 3000;
        uint8_t *block = secure_block(handle, bytes, NULL, SECURE_POOL_FLAGS_FREEABLE);
        void *plain[8];

        free_secure(handle, block);
        for (int i = 0; i < 8; ++i) {
            plain[i] = door_try(door_pool2, POOL_FLAG_NON_PAGED, bytes, TAG).block;
            ddi_opaque(memset(plain[i], 0x77, bytes));
        }
        for (int i = 0; i < 8; ++i) {
            ExFreePoolWithTag(plain[i], TAG);
        }
    }
    ExDestroyPool(handle);
}

static void test_update_changes_exactly_its_range(void)
{
    static const struct {
        size_t offset;
        size_t size;
    } ranges[] = { { 0, 1 },       { 0, 10000 },  { 9999, 1 },  { 4095, 2 },
                   { 4096, 4096 }, { 100, 5000 }, { 10000, 0 }, { 0, 0 } };
    static uint8_t expected[10000];
    static uint8_t fresh[10000];
    HANDLE handle = create_pool();
    uint8_t *block;

    memset(expected, 0x11, sizeof(expected));
    block = secure_block(handle,
                         sizeof(expected),
                         expected,
                         SECURE_POOL_FLAGS_FREEABLE | SECURE_POOL_FLAGS_MODIFIABLE);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); ++i) {
        memset(fresh, (int)(0x20 + i), sizeof(fresh));
        memcpy(expected + ranges[i].offset, fresh, ranges[i].size);
        DDI_EQUAL((uint32_t)STATUS_SUCCESS,
                  (uint32_t)ExSecurePoolUpdate(handle,
                                               TAG | PROTECTED_POOL,
                                               block,
                                               COOKIE,
                                               ranges[i].offset,
                                               ranges[i].size,
                                               fresh));
        DDI_TRUE_FOR(memcmp(block, expected, sizeof(expected)) == 0, i);
    }
    /* Bytes of the block itself, moved one further. */
    memmove(expected + 1, expected, 5000);
    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)ExSecurePoolUpdate(handle, TAG, block, COOKIE, 1, 5000, block));
    DDI_TRUE(memcmp(block, expected, sizeof(expected)) == 0);
    free_secure(handle, block);
    ExDestroyPool(handle);
}

static void test_update_of_a_constant_block_is_denied(void)
{
    static uint8_t buffer[100] = { 1, 2, 3 };
    static uint8_t fresh[100];
    HANDLE handle = create_pool();
    uint8_t *block = secure_block(handle, sizeof(buffer), buffer, SECURE_POOL_FLAGS_FREEABLE);

    DDI_EQUAL((uint32_t)STATUS_ACCESS_DENIED,
              (uint32_t)ExSecurePoolUpdate(handle, TAG, block, COOKIE, 0, sizeof(fresh), fresh));
    DDI_TRUE(memcmp(block, buffer, sizeof(buffer)) == 0);
    DDI_TRUE(store_faults(block));
    free_secure(handle, block);
    ExDestroyPool(handle);
}

static void test_update_with_anything_wrong_changes_nothing(void)
{
    static uint8_t buffer[5000];
    static uint8_t fresh[5000];
    HANDLE handle = create_pool();
    HANDLE other = create_pool();
    HANDLE dead = create_pool();
    ULONG flags = SECURE_POOL_FLAGS_FREEABLE | SECURE_POOL_FLAGS_MODIFIABLE;
    uint8_t *block;
    uint8_t *plain = door_try(door_pool2, POOL_FLAG_NON_PAGED, 5000, TAG).block;

    ExDestroyPool(dead);
    memset(buffer, 0x31, sizeof(buffer));
    block = secure_block(handle, sizeof(buffer), buffer, flags);
    const struct {
        NTSTATUS status;
        HANDLE handle;
        ULONG tag;
        void *address;
        ULONG_PTR cookie;
        size_t offset;
        size_t size;
        void *bytes;
    } calls[] = {
        { STATUS_INVALID_HANDLE, dead, TAG, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_HANDLE, NULL, TAG, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_HANDLE, block, TAG, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_HANDLE, (HANDLE)-1, TAG, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, other, TAG, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, OTHER_TAG, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, 0, block, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block + 16, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block + 4096, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, NULL, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, fresh, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, plain, COOKIE, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE + 1, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, 0, 0, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE, 0, 5001, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE, 5000, 1, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE, 5001, 0, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE, SIZE_MAX, 1, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE, SIZE_MAX - 3, 10, fresh },
        { STATUS_INVALID_PARAMETER, handle, TAG, block, COOKIE, 10, SIZE_MAX, fresh },
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
        struct ddi_stop stop;
        volatile NTSTATUS status = STATUS_SUCCESS;

        DDI_CATCH(&stop,
                  status = ExSecurePoolUpdate(calls[i].handle,
                                              calls[i].tag,
                                              calls[i].address,
                                              calls[i].cookie,
                                              calls[i].offset,
                                              calls[i].size,
                                              calls[i].bytes));
        DDI_NO_STOP(&stop);
        if (!DDI_EQUAL((uint32_t)calls[i].status, (uint32_t)status)) {
            printf("    in row %zu\n", i);
        }
        DDI_TRUE_FOR(memcmp(block, buffer, sizeof(buffer)) == 0, i);
    }
    DDI_TRUE(store_faults(block));
    free_secure(handle, block);
    ExFreePoolWithTag(plain, TAG);
    ExDestroyPool(handle);
    ExDestroyPool(other);
}

static void test_validate_wants_the_right_four_values(void)
{
    HANDLE handle = create_pool();
    HANDLE other = create_pool();
    uint8_t *block = secure_block(handle, 5000, NULL, SECURE_POOL_FLAGS_FREEABLE);
    uint8_t *plain = door_try(door_pool2, POOL_FLAG_NON_PAGED, 5000, TAG).block;
    struct ddi_stop stop;

    DDI_CATCH(&stop, {
        DDI_EQUAL(1, ExSecurePoolValidate(handle, TAG, block, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(other, TAG, block, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(NULL, TAG, block, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, OTHER_TAG, block, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, block + 16, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, block + 1, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, block + 4096, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, NULL, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, &stop, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, plain, COOKIE));
        DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, block, COOKIE - 1));
    });
    DDI_NO_STOP(&stop);
    free_secure(handle, block);
    DDI_EQUAL(0, ExSecurePoolValidate(handle, TAG, block, COOKIE));
    ExFreePoolWithTag(plain, TAG);
    ExDestroyPool(handle);
    ExDestroyPool(other);
}

static void test_secure_free_makes_the_address_no_pool(void)
{
    HANDLE handle = create_pool();
    uint8_t *block = secure_block(handle, 5000, NULL, SECURE_POOL_FLAGS_FREEABLE);
    struct ddi_stop stop;

    free_secure(handle, block);
    DDI_CATCH(&stop, ExFreePool(block));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x44, (uintptr_t)block, DDI_ANY, DDI_ANY);
    DDI_CATCH(&stop, free_secure(handle, block));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
    DDI_EQUAL(0, ddi_live(TAG, 0));
    ExDestroyPool(handle);
}

/* A free that must stop with 0x99 and leave block, contents and counters as they are. */
static void free_stops(uint8_t *block, ULONG tag, POOL_EXTENDED_PARAMETER *entries, ULONG count)
{
    uint64_t live = ddi_live(TAG, 0);
    struct ddi_stop stop;

    DDI_CATCH(&stop, ExFreePool2(block, tag, entries, count));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
    DDI_EQUAL(live, ddi_live(TAG, 0));
    DDI_EQUAL(0x44, block[0]);
    DDI_TRUE(store_faults(block));
}

static void test_secure_free_with_anything_wrong_stops(void)
{
    HANDLE handle = create_pool();
    HANDLE other = create_pool();
    uint8_t byte = 0x44;
    uint8_t *block = secure_block(handle, 1, &byte, SECURE_POOL_FLAGS_FREEABLE);
    uint8_t *kept = secure_block(handle, 1, &byte, SECURE_POOL_FLAGS_MODIFIABLE);
    const POOL_EXTENDED_PARAMS_SECURE_POOL right = { .SecurePoolHandle = handle, .Cookie = COOKIE };
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = right;
    POOL_EXTENDED_PARAMETER entries[2] = { entry_of(&secure), entry_of(&secure) };
    struct ddi_stop stop;

    secure.Cookie = COOKIE + 1;
    free_stops(block, TAG, entries, 1);
    secure = right;
    secure.SecurePoolHandle = other;
    free_stops(block, TAG, entries, 1);
    secure.SecurePoolHandle = NULL;
    free_stops(block, TAG, entries, 1);
    secure = right;
    secure.Buffer = &byte;
    free_stops(block, TAG, entries, 1);
    secure = right;
    secure.SecurePoolFlags = SECURE_POOL_FLAGS_FREEABLE;
    free_stops(block, TAG, entries, 1);
    secure = right;
    free_stops(block, TAG, entries, 0);
    free_stops(block, TAG, entries, 2);
    free_stops(block, TAG, NULL, 0);
    free_stops(block, TAG, NULL, 1);
    free_stops(kept, TAG, entries, 1);
    entries[0].Reserved = 1;
    free_stops(block, TAG, entries, 1);
    entries[0] = (POOL_EXTENDED_PARAMETER){ .Type = PoolExtendedParameterPriority };
    free_stops(block, TAG, entries, 1);
    entries[0] = entry_of(NULL);
    free_stops(block, TAG, entries, 1);
    entries[0] = entry_of(&secure);
    DDI_CATCH(&stop, ExFreePool2(block, OTHER_TAG, entries, 1));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x0A, (uintptr_t)block, (uint32_t)TAG, (uint32_t)OTHER_TAG);
    DDI_CATCH(&stop, ExDestroyPool(handle));
    DDI_STOP(&stop, BAD_POOL_CALLER, DDI_ANY, DDI_ANY, DDI_ANY, DDI_ANY);
    DDI_EQUAL(1, ExSecurePoolValidate(handle, TAG, block, COOKIE));
    free_secure(handle, block);
    ExDestroyPool(other);
}

static void test_plain_free_of_a_secure_block_stops(void)
{
    HANDLE handle = create_pool();
    uint8_t *block = secure_block(handle, 100, NULL, SECURE_POOL_FLAGS_FREEABLE);
    struct ddi_stop stop;

    DDI_CATCH(&stop, ExFreePool(block));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, OTHER_TAG));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
    DDI_EQUAL(1, ExSecurePoolValidate(handle, TAG, block, COOKIE));
    free_secure(handle, block);
    ExDestroyPool(handle);
}

static void test_secure_entry_on_a_plain_block_stops(void)
{
    HANDLE handle = create_pool();
    void *plain = door_try(door_pool2, POOL_FLAG_NON_PAGED, 100, TAG).block;
    POOL_EXTENDED_PARAMETER priority = { .Type = PoolExtendedParameterPriority,
                                         .Priority = HighPoolPriority };
    struct ddi_stop stop;

    DDI_CATCH(&stop, free_secure(handle, plain));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)plain, 0, 0);
    DDI_CATCH(&stop, ExFreePool2(plain, TAG, &priority, 1));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)plain, 0, 0);
    DDI_CATCH(&stop, ExFreePool2(plain, TAG, NULL, 1));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)plain, 0, 0);
    DDI_CATCH(&stop, ExFreePool2(plain, TAG, &priority, 0)); /* not looked at */
    DDI_NO_STOP(&stop);
    ExDestroyPool(handle);
}

static void refused(POOL_FLAGS flags, POOL_EXTENDED_PARAMS_SECURE_POOL *secure)
{
    uint64_t allocs = ddi_row(TAG, 0).allocs;

    DOOR_GIVES_NULL(try_secure(flags, 100, secure));
    DOOR_RAISES(try_secure(flags | POOL_FLAG_RAISE_ON_FAILURE, 100, secure),
                STATUS_INVALID_PARAMETER);
    DDI_EQUAL(allocs, ddi_row(TAG, 0).allocs);
}

static void test_secure_allocation_wants_nonpaged_and_a_live_handle(void)
{
    HANDLE handle = create_pool();
    HANDLE dead = create_pool();
    const POOL_EXTENDED_PARAMS_SECURE_POOL right = { .SecurePoolHandle = handle,
                                                     .SecurePoolFlags = SECURE_POOL_FLAGS_FREEABLE,
                                                     .Cookie = COOKIE };
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = right;

    ExDestroyPool(dead);
    refused(POOL_FLAG_PAGED, &secure);
    refused(POOL_FLAG_NON_PAGED_EXECUTE, &secure);
    refused(POOL_FLAG_NON_PAGED | POOL_FLAG_USE_QUOTA, &secure);
    refused(POOL_FLAG_NON_PAGED | POOL_FLAG_SESSION, &secure);
    refused(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, &secure);
    refused(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, &secure);
    refused(POOL_FLAG_NON_PAGED, NULL);
    secure.SecurePoolHandle = dead;
    refused(POOL_FLAG_NON_PAGED, &secure);
    secure.SecurePoolHandle = NULL;
    refused(POOL_FLAG_NON_PAGED, &secure);
    secure.SecurePoolHandle = &secure;
    refused(POOL_FLAG_NON_PAGED, &secure);
    secure = right;
    secure.SecurePoolFlags = 4;
    refused(POOL_FLAG_NON_PAGED, &secure);
    secure.SecurePoolFlags = 0x80000001;
    refused(POOL_FLAG_NON_PAGED, &secure);
    secure = right;
    DOOR_GIVES_NULL(try_secure(POOL_FLAG_NON_PAGED, SIZE_MAX, &secure));
    DOOR_RAISES(try_secure(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, SIZE_MAX, &secure),
                STATUS_INSUFFICIENT_RESOURCES);
    ExDestroyPool(handle); /* nothing refused has left a block in it */
}

static void test_destroy_pool_wants_it_empty_and_alive(void)
{
    HANDLE handle = create_pool();
    uint8_t *block = secure_block(handle, 100, NULL, SECURE_POOL_FLAGS_FREEABLE);
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolHandle = handle };
    struct ddi_stop stop;
    HANDLE next;

    DDI_CATCH(&stop, ExDestroyPool(handle));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)handle, 0, 0);
    DDI_EQUAL(1, ExSecurePoolValidate(handle, TAG, block, COOKIE));
    free_secure(handle, block);
    ExDestroyPool(handle);
    DDI_CATCH(&stop, ExDestroyPool(handle));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)handle, 0, 0);
    DDI_CATCH(&stop, ExDestroyPool(NULL));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, 0, 0, 0);
    refused(POOL_FLAG_NON_PAGED, &secure);
    next = create_pool(); /* its place is taken again, the old handle stays dead */
    DDI_TRUE(next != handle);
    refused(POOL_FLAG_NON_PAGED, &secure);
    ExDestroyPool(next);
}

static void test_many_secure_pools_are_apart(void)
{
    enum {
        POOLS = 100
    };
    HANDLE handle[POOLS];
    void *block[POOLS];

    for (int i = 0; i < POOLS; ++i) {
        handle[i] = create_pool();
        block[i] = secure_block(handle[i], 10, NULL, SECURE_POOL_FLAGS_FREEABLE);
    }
    for (int i = 0; i < POOLS; ++i) {
        for (int j = 0; j < POOLS; ++j) {
            DDI_EQUAL(i == j, ExSecurePoolValidate(handle[i], TAG, block[j], COOKIE));
        }
    }
    for (int i = 0; i < POOLS; ++i) {
        free_secure(handle[i], block[i]);
        ExDestroyPool(handle[i]);
    }
}

static void test_secure_pool_works_at_dispatch(void)
{
    HANDLE handle = create_pool();
    uint8_t *block;
    struct ddi_stop stop;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    block = secure_block(handle, 100, NULL, SECURE_POOL_FLAGS_FREEABLE);
    DDI_CATCH(&stop, free_secure(handle, block));
    DDI_NO_STOP(&stop);
    block = secure_block(handle, 100, NULL, SECURE_POOL_FLAGS_FREEABLE);
    KeLowerIrql(old);
    KeRaiseIrql(3, &old);
    DDI_CATCH(&stop, free_secure(handle, block));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x09, 3, NonPagedPoolNx, (uintptr_t)block);
    KeLowerIrql(old);
    free_secure(handle, block);
    ExDestroyPool(handle);
}

/* ---- copies of the process ------------------------------------------------------------------- */

enum {
    COPIES = 20,
    LARGE = 2 << 20
};

static struct {
    HANDLE handle;
    uint8_t *block;
    bool over; /* atomic */
} updated;

static void *update_all_the_time(void *buffer)
{
    while (!__atomic_load_n(&updated.over, __ATOMIC_RELAXED)) {
        DDI_EQUAL((uint32_t)STATUS_SUCCESS,
                  (uint32_t)ExSecurePoolUpdate(
                      updated.handle, TAG, updated.block, COOKIE, 0, LARGE, buffer));
    }
    return buffer;
}

/* Pages that a lost thread had open are closed before a copy does anything with secure pool. */
static void test_secure_block_is_closed_in_a_copy(void)
{
    static uint8_t buffer[LARGE];
    pthread_t thread;

    updated.handle = create_pool();
    updated.block = secure_block(
        updated.handle, LARGE, NULL, SECURE_POOL_FLAGS_FREEABLE | SECURE_POOL_FLAGS_MODIFIABLE);
    DDI_EQUAL(0, pthread_create(&thread, NULL, update_all_the_time, buffer));
    for (int copy = 0; copy < COPIES; ++copy) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            bool right = ExSecurePoolValidate(updated.handle, TAG, updated.block, COOKIE) == 1 &&
                         store_faults(updated.block) && store_faults(updated.block + LARGE - 1);

            free_secure(updated.handle, updated.block);
            ExDestroyPool(updated.handle);
            _exit(right ? 0 : 1);
        }
        DDI_EQUAL(child, waitpid(child, &status, 0));
        DDI_EQUAL(0, status);
    }
    __atomic_store_n(&updated.over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    free_secure(updated.handle, updated.block);
    ExDestroyPool(updated.handle);
}

static const struct ddi_test tests[] = {
    DDI_TEST("101,128", test_secure_entry_on_a_plain_block_stops),
    DDI_TEST("119", test_create_pool_wants_exactly_the_secure_kind),
    DDI_TEST("120", test_create_pool_judges_its_parameters),
    DDI_TEST("121", test_secure_block_holds_the_bytes_of_its_buffer),
    DDI_TEST("122", test_secure_block_cannot_be_stored_to),
    DDI_TEST("122,127", test_secure_memory_is_writable_again_after_the_free),
    DDI_TEST("122,186", test_secure_block_is_closed_in_a_copy),
    DDI_TEST("123", test_update_changes_exactly_its_range),
    DDI_TEST("124", test_update_of_a_constant_block_is_denied),
    DDI_TEST("125", test_update_with_anything_wrong_changes_nothing),
    DDI_TEST("126", test_validate_wants_the_right_four_values),
    DDI_TEST("126", test_many_secure_pools_are_apart),
    DDI_TEST("127", test_secure_free_makes_the_address_no_pool),
    DDI_TEST("128", test_secure_free_with_anything_wrong_stops),
    DDI_TEST("129", test_plain_free_of_a_secure_block_stops),
    DDI_TEST("130", test_secure_allocation_wants_nonpaged_and_a_live_handle),
    DDI_TEST("131", test_destroy_pool_wants_it_empty_and_alive),
    DDI_TEST("132", test_secure_pool_works_at_dispatch),
};

DDI_MAIN(tests)
