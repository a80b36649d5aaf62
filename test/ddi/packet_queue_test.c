/* SPDX-License-Identifier: MIT */
/*
 * The example examples/packet_queue.c, as its author would test it: against a plain array, at
 * DISPATCH_LEVEL, without memory, with producers, consumers and a rundown in the midst of them.
 *
 * Each packet says whose it is and which one of his, so that order and losses are seen.
 */
#include "ddi_test.h"

#include <ntddk.h>
#include <packet_queue.h>
#include <pthread.h>
#include <sched.h>

enum {
    CAPACITY = 32,
    STEPS = 40000,
    PRODUCERS = 4,
    CONSUMERS = 2,
    PACKETS = 5000, /* of each producer */
    RUNDOWNS = 100,
};

struct content {
    ULONG producer;
    ULONG number;
    UCHAR rest[120];
};

static LARGE_INTEGER no_wait; /* 0 */

/* ---- steps ----------------------------------------------------------------------------------- */

static ULONG length_of(ULONG number)
{
    return 9 + number % 113;
}

static NTSTATUS submit(PPACKET_QUEUE queue, ULONG producer, ULONG number)
{
    struct content content = { producer, number, { 0 } };
    KIRQL old;
    NTSTATUS status;

    content.rest[length_of(number) - 9] = (UCHAR)number;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    status = PacketQueueSubmit(queue, &content, length_of(number));
    KeLowerIrql(old);
    return status;
}

/* The packet is freed; UINT32_MAX: none. */
static ULONG receive(PPACKET_QUEUE queue, ULONG *producer)
{
    struct content content = { 0 };
    PPACKET packet;
    NTSTATUS status = PacketQueueReceive(queue, &no_wait, &packet);

    if (status != STATUS_SUCCESS) {
        DDI_TRUE(packet == NULL);
        DDI_EQUAL(STATUS_TIMEOUT, status);
        return UINT32_MAX;
    }
    memcpy(&content, packet->Data, packet->Length);
    DDI_EQUAL(length_of(content.number), packet->Length);
    DDI_EQUAL((UCHAR)content.number, content.rest[packet->Length - 9]);
    PacketFree(packet);
    *producer = content.producer;
    return content.number;
}

static PACKET_QUEUE_STATISTICS sums_are_right(PPACKET_QUEUE queue)
{
    PACKET_QUEUE_STATISTICS sum;

    PacketQueueQueryStatistics(queue, &sum);
    DDI_EQUAL(sum.Submitted,
              sum.Delivered + sum.DroppedFull + sum.DroppedNoMemory + sum.DroppedStopped +
                  sum.Discarded + queue->Count);
    return sum;
}

static void finish(PPACKET_QUEUE queue)
{
    PPACKET packet;

    PacketQueueRundown(queue);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(STATUS_CANCELLED, PacketQueueReceive(queue, NULL, &packet));
    DDI_EQUAL(STATUS_DEVICE_NOT_READY, submit(queue, 0, 0));
    sums_are_right(queue);
    DDI_EQUAL(0, queue->Count);
    DDI_TRUE(KeReadStateEvent(&queue->Ready) != 0); /* nobody would wait for ever */
    DDI_EQUAL(0, ddi_live(PACKET_TAG, 0));
    DDI_EQUAL(0, ddi_row(PACKET_TAG, 0).bytes);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void random_steps_agree(PACKET_POLICY policy, uint64_t seed)
{
    static PACKET_QUEUE queue;
    static ULONG model[CAPACITY];
    size_t count = 0;
    ULONG producer;

    DDI_EQUAL(STATUS_INVALID_PARAMETER, PacketQueueInitialize(&queue, 0, policy));
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&queue, CAPACITY, policy));
    for (ULONG step = 0; step < STEPS; ++step) {
        bool filling = (step / 128 & 1) == 0;

        if ((ddi_random(&seed) >> 40) % 8 < (filling ? 6 : 2)) {
            bool full = count == CAPACITY;

            DDI_EQUAL(full && policy == PacketDropNewest ? STATUS_DEVICE_BUSY : STATUS_SUCCESS,
                      submit(&queue, 7, step));
            if (full && policy == PacketDropOldest) {
                memmove(model, model + 1, --count * sizeof(model[0]));
            }
            if (count < CAPACITY) {
                model[count++] = step;
            }
        } else {
            DDI_EQUAL(count != 0 ? model[0] : UINT32_MAX, receive(&queue, &producer));
            if (count != 0) {
                memmove(model, model + 1, --count * sizeof(model[0]));
            }
        }
        DDI_EQUAL(count, queue.Count);
        DDI_EQUAL(count, ddi_live(PACKET_TAG, 0));
        DDI_EQUAL(count != 0, KeReadStateEvent(&queue.Ready) != 0);
    }
    DDI_TRUE(sums_are_right(&queue).DroppedFull > 0);
    finish(&queue);
}

static void test_full_queue_drops_what_its_policy_says(void)
{
    uint64_t seed = ddi_seed(0x7061636B);

    random_steps_agree(PacketDropNewest, seed);
    random_steps_agree(PacketDropOldest, seed);
}

static void test_packet_that_is_too_long_is_refused(void)
{
    static PACKET_QUEUE queue;
    static UCHAR data[PACKET_MAXIMUM_LENGTH + 1] = { 1 };
    PPACKET packet;

    data[PACKET_MAXIMUM_LENGTH - 1] = 2;
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&queue, 2, PacketDropNewest));
    DDI_EQUAL(STATUS_INVALID_BUFFER_SIZE, PacketQueueSubmit(&queue, data, sizeof(data)));
    DDI_EQUAL(0, sums_are_right(&queue).Submitted);
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueSubmit(&queue, data, PACKET_MAXIMUM_LENGTH));
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueSubmit(&queue, data, 0));
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueReceive(&queue, NULL, &packet));
    DDI_EQUAL(PACKET_MAXIMUM_LENGTH, packet->Length);
    DDI_EQUAL(0, memcmp(data, packet->Data, PACKET_MAXIMUM_LENGTH));
    PacketFree(packet);
    finish(&queue);
    DDI_EQUAL(1, sums_are_right(&queue).Discarded);
}

static void test_each_refused_page_request_loses_one_packet(void)
{
    static PACKET_QUEUE queue;
    LONG64 lost = 0;
    ULONG producer;

    (void)expool_set("front_cache", "0");
    for (uint64_t nth = 1; lost + 1 == (LONG64)nth || nth == 1; ++nth) {
        expool_trim();
        DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&queue, 4096, PacketDropOldest));
        expool_fail_page_request(nth);
        for (ULONG i = 0; i < 1000; ++i) {
            NTSTATUS status = submit(&queue, 1, i);

            if (status == STATUS_INSUFFICIENT_RESOURCES) {
                lost += 1;
                DDI_EQUAL(i, queue.Count);
                status = submit(&queue, 1, i);
            }
            DDI_EQUAL(STATUS_SUCCESS, status);
        }
        expool_fail_page_request(0);
        for (ULONG i = 0; i < 900; ++i) {
            DDI_EQUAL(i, receive(&queue, &producer));
        }
        DDI_EQUAL(lost == (LONG64)nth, sums_are_right(&queue).DroppedNoMemory);
        finish(&queue);
    }
    DDI_TRUE_FOR(lost > 2, lost);
}

static void test_nonpaged_pool_at_its_limit_loses_packets_until_some_are_taken(void)
{
    static PACKET_QUEUE queue;
    NTSTATUS status = STATUS_SUCCESS;
    ULONG number = 0;
    ULONG producer;

    (void)expool_set("front_cache", "0");
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&queue, 1000000, PacketDropNewest));
    expool_trim();
    DDI_EQUAL(0, expool_set("nonpaged_limit", "0"));
    while (NT_SUCCESS(status) && number < 1000000) {
        status = submit(&queue, 1, 113 * number++);
    }
    DDI_EQUAL(STATUS_INSUFFICIENT_RESOURCES, status);
    if (queue.Count > 0) {
        DDI_EQUAL(0, receive(&queue, &producer));
        DDI_EQUAL(STATUS_SUCCESS, submit(&queue, 1, 0));
        DDI_EQUAL(STATUS_INSUFFICIENT_RESOURCES, submit(&queue, 1, 0));
    }
    DDI_EQUAL(0, expool_set("nonpaged_limit", "unlimited"));
    DDI_EQUAL(STATUS_SUCCESS, submit(&queue, 1, 0));
    finish(&queue);
}

static void test_levels_above_stop(void)
{
    static PACKET_QUEUE queue;
    struct ddi_stop stop;
    PPACKET packet;
    KIRQL old;

    DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&queue, 2, PacketDropNewest));
    KeRaiseIrql(DISPATCH_LEVEL + 1, &old);
    DDI_CATCH(&stop, (void)PacketQueueSubmit(&queue, "12345678", 8));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, 3, NonPagedPoolNx, DDI_ANY);
    KeLowerIrql(old);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, (void)PacketQueueReceive(&queue, NULL, &packet)); /* would have to wait */
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, DDI_ANY, DDI_ANY, DDI_ANY, DDI_ANY);
    KeLowerIrql(old);
    DDI_EQUAL(0, queue.Count);
}

static void test_receiver_waits_as_long_as_it_says(void)
{
    static PACKET_QUEUE queue;
    LARGE_INTEGER timeout = { .QuadPart = -200000 }; /* 20 ms */
    LARGE_INTEGER before;
    LARGE_INTEGER after;
    PPACKET packet;

    DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&queue, 2, PacketDropNewest));
    KeQuerySystemTime(&before);
    DDI_EQUAL(STATUS_TIMEOUT, PacketQueueReceive(&queue, &timeout, &packet));
    KeQuerySystemTime(&after);
    DDI_TRUE_FOR(after.QuadPart - before.QuadPart >= 190000, after.QuadPart - before.QuadPart);
    finish(&queue);
}

/* ---- threads --------------------------------------------------------------------------------- */

static struct {
    PACKET_QUEUE queue;
    unsigned producers; /* atomic: names them */
} shared;

static void *produce(void *argument)
{
    ULONG producer = __atomic_fetch_add(&shared.producers, 1, __ATOMIC_RELAXED);
    uintptr_t faults = 0;

    (void)argument;
    for (ULONG number = 0; number < PACKETS; ++number) {
        NTSTATUS status = submit(&shared.queue, producer, number);

        faults += status != STATUS_SUCCESS && status != STATUS_DEVICE_BUSY;
        if (status == STATUS_DEVICE_BUSY) {
            sched_yield();
        }
    }
    return (void *)faults;
}

/*
 * Until the queue is run down. Packets of one producer come in order, whoever receives them. A
 * consumer with a timeout never waits.
 */
static void *consume(void *timeout)
{
    ULONG next[PRODUCERS] = { 0 };
    uintptr_t faults = 0;
    PPACKET packet;
    NTSTATUS status;

    while ((status = PacketQueueReceive(&shared.queue, timeout, &packet)) != STATUS_CANCELLED) {
        struct content content = { 0 };

        faults += (status == STATUS_SUCCESS) != (packet != NULL);
        if (status == STATUS_SUCCESS) {
            memcpy(&content, packet->Data, packet->Length);
            PacketFree(packet);
            faults += content.producer >= PRODUCERS || content.number < next[content.producer];
            next[content.producer % PRODUCERS] = content.number + 1;
        }
    }
    return (void *)faults;
}

static void producers_and_consumers(PACKET_POLICY policy)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    PACKET_QUEUE_STATISTICS statistics;

    shared.producers = 0;
    DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(&shared.queue, CAPACITY, policy));
    for (size_t i = 0; i < PRODUCERS + CONSUMERS; ++i) {
        DDI_EQUAL(0,
                  pthread_create(&threads[i],
                                 NULL,
                                 i < PRODUCERS ? produce : consume,
                                 i == PRODUCERS ? &no_wait : NULL));
    }
    for (size_t i = 0; i < PRODUCERS + CONSUMERS; ++i) {
        void *faults;

        if (i == PRODUCERS) {
            while (KeReadStateEvent(&shared.queue.Ready) != 0) {
                sched_yield(); /* what is queued is delivered */
            }
            PacketQueueRundown(&shared.queue);
        }
        DDI_EQUAL(0, pthread_join(threads[i], &faults));
        DDI_EQUAL(0, (uintptr_t)faults);
    }
    statistics = sums_are_right(&shared.queue);
    DDI_EQUAL(PRODUCERS * PACKETS, statistics.Submitted);
    DDI_TRUE_FOR(statistics.Delivered > 0, statistics.Delivered);
    DDI_EQUAL(0, statistics.DroppedStopped + statistics.Discarded);
    finish(&shared.queue);
}

static void test_producers_and_consumers_lose_nothing_uncounted(void)
{
    producers_and_consumers(PacketDropNewest);
    producers_and_consumers(PacketDropOldest);
}

static void *receive_until_cancelled(void *argument)
{
    PPACKET packet;
    NTSTATUS status;

    while ((status = PacketQueueReceive(argument, NULL, &packet)) == STATUS_SUCCESS) {
        PacketFree(packet);
    }
    return (void *)(uintptr_t)(status != STATUS_CANCELLED);
}

/* malloc's memory, so that the address sanitizer sees who touches it too late. */
static void test_rundown_sends_receivers_away_whatever_they_do(void)
{
    for (ULONG round = 0; round < RUNDOWNS; ++round) {
        PPACKET_QUEUE queue = malloc(sizeof(*queue));
        pthread_t receivers[CONSUMERS];

        DDI_EQUAL(STATUS_SUCCESS, PacketQueueInitialize(queue, 3, PacketDropOldest));
        for (size_t i = 0; i < CONSUMERS; ++i) {
            DDI_EQUAL(0, pthread_create(&receivers[i], NULL, receive_until_cancelled, queue));
        }
        for (ULONG i = 0; i < round % 8; ++i) {
            (void)submit(queue, 0, i);
            sched_yield();
        }
        PacketQueueRundown(queue);
        for (size_t i = 0; i < CONSUMERS; ++i) {
            void *fault;

            DDI_EQUAL(0, pthread_join(receivers[i], &fault));
            DDI_EQUAL(0, (uintptr_t)fault);
        }
        sums_are_right(queue);
        DDI_EQUAL(0, ddi_live(PACKET_TAG, 0));
        free(queue);
    }
}

static const struct ddi_test tests[] = {
    DDI_TEST("(example)", test_full_queue_drops_what_its_policy_says),
    DDI_TEST("(example)", test_packet_that_is_too_long_is_refused),
    DDI_TEST("(example)", test_each_refused_page_request_loses_one_packet),
    DDI_TEST("(example)", test_nonpaged_pool_at_its_limit_loses_packets_until_some_are_taken),
    DDI_TEST("(example)", test_levels_above_stop),
    DDI_TEST("(example)", test_receiver_waits_as_long_as_it_says),
    DDI_TEST("(example)", test_producers_and_consumers_lose_nothing_uncounted),
    DDI_TEST("(example)", test_rundown_sends_receivers_away_whatever_they_do),
};

DDI_MAIN(tests)
