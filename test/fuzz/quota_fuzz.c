/* SPDX-License-Identifier: MIT */
/*
 * Eight threads against one quota (spec/api.md 10.6 statements 66, 74; 2.11).
 *
 * All threads are in one process whose limits are small enough to be met all the time. They
 * allocate under quota through both families of doors, free their own and each other's blocks,
 * charge and return by hand, leave the process and come back, and page requests are made to fail. A
 * ninth thread does nothing but read what the process is charged with: not for a moment may that be
 * above the limit. At the end all is freed: not a byte may be left, and nobody but the creator may
 * hold the process.
 *
 * At rest, with blocks alive, the charge is exactly what the rows of the tag hold.
 *
 *     quota_fuzz [--seed N] [--operations N] [--threads N]
 */
#include "fuzz/model.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64,
    LIVE = 64,
    SHARED = 256,
    QUOTA_BYTES = 60000, /* of each kind of pool */
    HAND_BYTES_MAX = 8192,
    TAG = 0x61747551 /* Quta */
};
#define OPERATIONS_DEFAULT (MODEL_SANITIZED ? UINT64_C(400000) : UINT64_C(10000000))

void *ExAllocatePoolWithQuotaTag(int type, size_t bytes, uint32_t tag);
int32_t PsChargeProcessPoolQuota(struct expool_process *process, int type, uintptr_t amount);
void PsReturnPoolQuota(struct expool_process *process, int type, uintptr_t amount);

#define FLAG_USE_QUOTA UINT64_C(1)

static struct {
    struct expool_process *process;
    struct expool_process *other; /* without limits */
    void *shared[SHARED];         /* atomic */
    uint64_t refused;             /* atomic */
    uint64_t served;              /* atomic */
    uint64_t by_hand;             /* atomic: charges by hand that were granted */
    uint64_t samples;
    uint64_t highest[2];
    bool over; /* atomic */
} quota;

struct worker {
    struct model model; /* its random numbers, and how to fail */
    uint64_t operations;
    void *live[LIVE];
    uint64_t hand[2]; /* charged by hand and not returned yet, by column */
};

static struct expool_usage usage_of(const struct expool_process *process)
{
    struct expool_usage usage;
    expool_process_usage(process, &usage);
    return usage;
}

static void *allocate(struct worker *worker)
{
    static const int types[] = { TYPE_NX, TYPE_EXECUTE, TYPE_PAGED, TYPE_PAGED | TYPE_SESSION };
    static const uint64_t flags[] = {
        FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED, FLAG_PAGED | FLAG_CACHE_ALIGNED
    };
    uint64_t kind = model_below(&worker->model, 4);
    size_t bytes = model_below(&worker->model, 1u << model_below(&worker->model, 13));
    void *block =
        model_below(&worker->model, 2)
            ? ExAllocatePoolWithQuotaTag(types[kind] | TYPE_QUOTA_FAIL, bytes, TAG)
            : ExAllocatePool2(flags[kind] | FLAG_USE_QUOTA | FLAG_UNINITIALIZED, bytes, TAG);
    if (block == NULL) {
        __atomic_fetch_add(&quota.refused, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    __atomic_fetch_add(&quota.served, 1, __ATOMIC_RELAXED);
    memset(block, (int)(bytes & 0xff), bytes);
    return block;
}

static void release(void *block)
{
    if (block != NULL) {
        ExFreePoolWithTag(block, TAG);
    }
}

static void charge_by_hand(struct worker *worker)
{
    unsigned column = (unsigned)model_below(&worker->model, 2);
    uint64_t amount = model_below(&worker->model, HAND_BYTES_MAX);
    int type = column != 0 ? TYPE_PAGED : TYPE_NX;
    if (worker->hand[column] > 2 * HAND_BYTES_MAX || model_below(&worker->model, 2)) {
        amount = model_below(&worker->model, worker->hand[column] + 1);
        PsReturnPoolQuota(quota.process, type, amount); /* a stop if it were not all there */
        worker->hand[column] -= amount;
    } else if (PsChargeProcessPoolQuota(quota.process, type, amount) >= 0) {
        worker->hand[column] += amount;
        __atomic_fetch_add(&quota.by_hand, 1, __ATOMIC_RELAXED);
    }
}

static void step(struct worker *worker)
{
    void **place = &worker->live[model_below(&worker->model, LIVE)];
    uint64_t dice = model_below(&worker->model, 1000);
    if (dice < 600) {
        if (*place == NULL) {
            *place = allocate(worker);
        } else {
            release(*place);
            *place = NULL;
        }
    } else if (dice < 850) { /* leave ours to whoever comes, and free what lay there */
        void **shared = &quota.shared[model_below(&worker->model, SHARED)];
        release(__atomic_exchange_n(shared, *place, __ATOMIC_ACQ_REL));
        *place = NULL;
    } else if (dice < 980) {
        charge_by_hand(worker);
    } else if (dice < 990) {
        struct expool_process *next = model_below(&worker->model, 2) ? NULL : quota.other;
        expool_process_enter(next);
        release(allocate(worker));
        expool_process_enter(quota.process);
    } else if (dice < 999) {
        expool_fail_page_request(1 + model_below(&worker->model, 4));
    } else {
        expool_trim();
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    expool_process_enter(quota.process);
    for (; worker->model.operation < worker->operations; worker->model.operation++) {
        step(worker);
    }
    for (int index = 0; index < LIVE; index++) {
        release(worker->live[index]);
    }
    PsReturnPoolQuota(quota.process, TYPE_NX, worker->hand[0]);
    PsReturnPoolQuota(quota.process, TYPE_PAGED, worker->hand[1]);
    return NULL; /* still in the process: the end of the thread lets it go */
}

/* Not for a moment above the limit. */
static void *watch(void *argument)
{
    const struct model *model = argument;
    while (!__atomic_load_n(&quota.over, __ATOMIC_ACQUIRE)) {
        struct expool_usage usage = usage_of(quota.process);
        if (usage.paged_bytes > QUOTA_BYTES || usage.nonpaged_bytes > QUOTA_BYTES) {
            model_fail(model,
                       "the process is charged with %llu and %llu bytes, its limit is %d",
                       (unsigned long long)usage.nonpaged_bytes,
                       (unsigned long long)usage.paged_bytes,
                       QUOTA_BYTES);
        }
        if (usage.nonpaged_bytes > quota.highest[0]) {
            quota.highest[0] = usage.nonpaged_bytes;
        }
        if (usage.paged_bytes > quota.highest[1]) {
            quota.highest[1] = usage.paged_bytes;
        }
        if (++quota.samples % 1024 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* With everything at rest the charge is what the rows hold. */
static void check_rest(const struct model *model, uint64_t references)
{
    struct expool_tag_row rows[16];
    size_t count = expool_tags(rows, 16);
    struct expool_usage usage = usage_of(quota.process);
    uint64_t held[2] = { 0, 0 };
    struct exp_verify_fault fault;
    for (size_t index = 0; index < count && index < 16; index++) {
        if (rows[index].tag == TAG) {
            held[rows[index].pool] = rows[index].bytes;
        }
    }
    if (usage.nonpaged_bytes != held[0] || usage.paged_bytes != held[1] ||
        usage.references != references) {
        model_fail(model,
                   "charged with %llu nonpaged and %llu paged bytes, rows hold %llu and %llu; "
                   "%llu references, expected %llu",
                   (unsigned long long)usage.nonpaged_bytes,
                   (unsigned long long)usage.paged_bytes,
                   (unsigned long long)held[0],
                   (unsigned long long)held[1],
                   (unsigned long long)usage.references,
                   (unsigned long long)references);
    }
    if (!exp_verify_all(&fault)) {
        model_fail(model, "%s at %p", exp_verify_words(fault.what), fault.address);
    }
}

static void run(uint64_t seed, uint64_t operations, uint32_t threads)
{
    static struct worker workers[THREADS_MAX];
    pthread_t thread[THREADS_MAX];
    pthread_t watcher;
    uint64_t shared = 0;
    for (uint32_t index = 0; index < threads; index++) {
        model_start(&workers[index].model, seed, index);
        workers[index].operations = operations / threads;
    }
    if (pthread_create(&watcher, NULL, watch, &workers[0].model) != 0) {
        exit(1);
    }
    for (uint32_t index = 0; index < threads; index++) {
        if (pthread_create(&thread[index], NULL, work, &workers[index]) != 0) {
            exit(1);
        }
    }
    for (uint32_t index = 0; index < threads; index++) {
        pthread_join(thread[index], NULL);
    }
    __atomic_store_n(&quota.over, true, __ATOMIC_RELEASE);
    pthread_join(watcher, NULL);
    expool_fail_page_request(0);
    for (int index = 0; index < SHARED; index++) {
        shared += quota.shared[index] != NULL;
    }
    check_rest(&workers[0].model, 1 + shared); /* the threads have ended, these blocks live */
    for (int index = 0; index < SHARED; index++) {
        release(quota.shared[index]);
    }
    check_rest(&workers[0].model, 1);
    struct expool_usage usage = usage_of(quota.process);
    if (usage.paged_bytes + usage.nonpaged_bytes != 0 || usage_of(quota.other).references != 1 ||
        usage_of(quota.other).paged_bytes + usage_of(quota.other).nonpaged_bytes != 0) {
        model_fail(&workers[0].model, "bytes or references are left");
    }
}

int main(int count, char **words)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid();
    uint64_t operations = OPERATIONS_DEFAULT;
    uint64_t threads = 8;
    for (int index = 1; index + 1 < count; index += 2) {
        uint64_t value = strtoull(words[index + 1], NULL, 0);
        if (strcmp(words[index], "--seed") == 0) {
            seed = value;
        } else if (strcmp(words[index], "--operations") == 0) {
            operations = value;
        } else if (strcmp(words[index], "--threads") == 0) {
            threads = value;
        } else {
            count = 0;
        }
    }
    if (count % 2 == 0 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: quota_fuzz [--seed N] [--operations N] [--threads N]\n");
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    quota.process = expool_process_create("payer", QUOTA_BYTES, QUOTA_BYTES);
    quota.other = expool_process_create("other", SIZE_MAX, SIZE_MAX);
    run(seed, operations, (uint32_t)threads);
    printf("%llu operations: %llu blocks served, %llu refused, %llu charges by hand; "
           "%llu looks, at most %llu nonpaged and %llu paged bytes of %d; nothing left\n",
           (unsigned long long)operations,
           (unsigned long long)quota.served,
           (unsigned long long)quota.refused,
           (unsigned long long)quota.by_hand,
           (unsigned long long)quota.samples,
           (unsigned long long)quota.highest[0],
           (unsigned long long)quota.highest[1],
           QUOTA_BYTES);
    return quota.refused != 0 && quota.served != 0 && quota.samples != 0 ? 0 : 1;
}
