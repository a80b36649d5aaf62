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

static const struct ddi_test tests[] = {
    DDI_TEST("78", test_verifier_stops_a_charge_of_idle),
    DDI_TEST("78", test_verifier_lets_idle_have_what_nobody_pays),
    DDI_TEST("78", test_verifier_lets_everybody_else_pay),
};

int main(int argc, char **argv)
{
    if (expool_set("verifier", "0x8") != 0) {
        printf("the option verifier is too late\n");
        return 1;
    }
    return ddi_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
