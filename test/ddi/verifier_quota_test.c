/* SPDX-License-Identifier: MIT */
/*
 * Quota while the verifier tracks pool (api 78): nobody may charge the Idle process.
 *
 * The option is set before the pool starts, so this has a program of its own.
 */
#include "doors.h"

enum {
    TAG = 'eldI'
};

static void idle_stops(door *call, uint64_t bits)
{
    struct door_end end = door_try(call, bits, 100, TAG);

    DDI_STOP(&end.stop, DRIVER_VERIFIER_DETECTED_VIOLATION, 0x10A, 0, 0, 0);
}

static void test_verifier_stops_a_charge_of_idle(void)
{
    (void)expool_process_enter(expool_process_idle());
    idle_stops(door_quota_tag, PagedPool);
    idle_stops(door_quota_tag, NonPagedPoolNx | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE);
    idle_stops(door_quota, PagedPool);
    idle_stops(door_quota_zero, PagedPool);
    idle_stops(door_pool2, POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA);
    idle_stops(door_pool3, POOL_FLAG_NON_PAGED | POOL_FLAG_USE_QUOTA | POOL_FLAG_RAISE_ON_FAILURE);
    DDI_EQUAL(0, door_usage(expool_process_idle()).paged_bytes);
    DDI_EQUAL(0, ddi_live(TAG, 1));
    (void)expool_process_enter(NULL);
}

static void test_verifier_lets_idle_have_what_nobody_pays(void)
{
    struct door_end end;

    (void)expool_process_enter(expool_process_idle());
    end = door_try(door_with_tag, PagedPool, 100, TAG);
    DOOR_GIVES_BLOCK(end);
    ExFreePoolWithTag(end.block, TAG);
    (void)expool_process_enter(NULL);
}

static void test_verifier_lets_everybody_else_pay(void)
{
    struct expool_process *process;
    struct door_end end = door_try(door_quota_tag, PagedPool, 100, TAG); /* System */

    DOOR_GIVES_BLOCK(end);
    ExFreePoolWithTag(end.block, TAG);
    process = door_process(SIZE_MAX, SIZE_MAX);
    end = door_try(door_quota_tag, PagedPool, 100, TAG);
    DOOR_GIVES_BLOCK(end);
    DDI_TRUE(door_usage(process).paged_bytes >= 100);
    ExFreePoolWithTag(end.block, TAG);
    door_process_end(process);
}

/* The verifier looks closer at every free, in the same order: a wrong kind before a wrong tag. */
static void test_verifier_finds_the_kind_of_a_block_before_its_tag(void)
{
    POOL_EXTENDED_PARAMS_SECURE_POOL secure = { .SecurePoolFlags = SECURE_POOL_FLAGS_FREEABLE };
    POOL_EXTENDED_PARAMETER entry = { .Type = PoolExtendedParameterSecurePool,
                                      .SecurePoolParams = &secure };
    struct ddi_stop stop;
    DDI_EQUAL(STATUS_SUCCESS,
              ExCreatePool(POOL_CREATE_FLG_SECURE_POOL, TAG, NULL, &secure.SecurePoolHandle));
    PVOID block = ExAllocatePool3(POOL_FLAG_NON_PAGED, 100, TAG, &entry, 1);
    DDI_TRUE(block != NULL);
    DDI_CATCH(&stop, ExFreePoolWithTag(block, TAG + 1));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x99, (uintptr_t)block, 0, 0);
    secure.SecurePoolFlags = 0;
    ExFreePool2(block, TAG, &entry, 1);
    ExDestroyPool(secure.SecurePoolHandle);
}

static const struct ddi_test tests[] = {
    DDI_TEST("78", test_verifier_stops_a_charge_of_idle),
    DDI_TEST("78", test_verifier_lets_idle_have_what_nobody_pays),
    DDI_TEST("78", test_verifier_lets_everybody_else_pay),
    DDI_TEST("129", test_verifier_finds_the_kind_of_a_block_before_its_tag),
};

int main(int argc, char **argv)
{
    if (expool_set("verifier", "0x8") != 0) {
        printf("the option verifier is too late\n");
        return 1;
    }
    return ddi_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
