/* SPDX-License-Identifier: MIT */
/*
 * A secure block goes while another thread updates and validates it (api 123, 126): the update
 * comes before the free, or it finds no block; it never reaches memory that is somebody else's by
 * then, and nothing stops.
 *
 * The thread that frees takes the pages at once for an ordinary block, fills it and looks whether
 * it stays as it is and can be written.
 */
#include "doors.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

enum {
    TAG = 'ecaR',
    COOKIE = 77,
    BYTES = 3 * 4096,
    ROUNDS_LEAST = 40,
    ROUNDS_MOST = 4000,
    SECONDS = 3 /* the lock is not a fair one, so a round may take long */
};

static HANDLE handle;
static void *contested;  /* atomic */
static bool over;        /* atomic */
static unsigned updates; /* atomic; that succeeded */

static void *secure_block(void)
{
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolHandle = handle,
                                                .Cookie = COOKIE,
                                                .SecurePoolFlags = SECURE_POOL_FLAGS_FREEABLE |
                                                                   SECURE_POOL_FLAGS_MODIFIABLE };
    POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterSecurePool,
                                      .SecurePoolParams = &secure };

    return ExAllocatePool3(POOL_FLAG_NON_PAGED, BYTES, TAG, &entry, 1);
}

static void secure_free(void *block)
{
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolHandle = handle, .Cookie = COOKIE };
    POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterSecurePool,
                                      .SecurePoolParams = &secure };

    ExFreePool2(block, TAG, &entry, 1);
}

/* Ask for whatever block there is, wrongly timed as it may be. */
static void *other_thread(void *unused)
{
    static uint8_t bytes[BYTES];

    memset(bytes, 0x77, sizeof(bytes));
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        void *block = __atomic_load_n(&contested, __ATOMIC_RELAXED);
        NTSTATUS status = ExSecurePoolUpdate(handle, TAG, block, COOKIE, 0, BYTES, bytes);

        if (status == STATUS_SUCCESS) {
            __atomic_fetch_add(&updates, 1, __ATOMIC_RELAXED);
        } else if (status != STATUS_INVALID_PARAMETER) {
            DDI_EQUAL((uint32_t)STATUS_INVALID_PARAMETER, (uint32_t)status);
        }
        (void)ExSecurePoolValidate(handle, TAG, block, COOKIE);
    }
    return unused;
}

static void test_update_of_a_block_that_goes_reaches_nobody_else(void)
{
    pthread_t thread;
    time_t end = time(NULL) + SECONDS;

    DDI_EQUAL((uint32_t)STATUS_SUCCESS,
              (uint32_t)ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, NULL, &handle));
    DDI_EQUAL(0, pthread_create(&thread, NULL, other_thread, NULL));
    for (int round = 0; round < ROUNDS_MOST && ddi_failures == 0; ++round) {
        if (round >= ROUNDS_LEAST && time(NULL) >= end) {
            break;
        }
        void *block = ddi_opaque(secure_block());
        uint8_t *plain;

        __atomic_store_n(&contested, block, __ATOMIC_RELAXED);
        while (__atomic_load_n(&updates, __ATOMIC_RELAXED) == 0) {
            sched_yield(); /* the other thread is there */
        }
        secure_free(block);
        plain = ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, BYTES, TAG));
        memset(plain, 0x11, BYTES);
        for (int look = 0; look < 3; ++look) {
            DDI_TRUE_FOR(ddi_all_bytes(plain, BYTES, 0x11), round);
            plain[BYTES - 1] = 0x11;
        }
        ExFreePoolWithTag(plain, TAG);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    DDI_EQUAL(0, ddi_live(TAG, 0));
    ExDestroyPool(handle);
}

static const struct ddi_test tests[] = {
    DDI_TEST("123,126", test_update_of_a_block_that_goes_reaches_nobody_else),
};

DDI_MAIN(tests)
