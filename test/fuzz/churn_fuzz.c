/* SPDX-License-Identifier: MIT */
/*
 * Many threads, counts kept beside, compared exactly at rest (spec/api.md 10.18 statement 185).
 *
 *     churn     64 threads of random sizes and pools; one free in two is of another thread's block.
 *               At several barriers, with all threads alive and holding blocks and caches, allocs,
 *               frees and bytes of every tag equal the sum of what the threads counted
 *     exits     threads that fill their caches with freed blocks of every size, and end
 *     brief     10 000 short-lived threads in batches; half of the blocks outlive their thread and
 *               are freed by a thread of a later batch
 *
 * After each part everything is freed: no block is lost, the bytes are 0, and no page is in use.
 * Only sizes whose held bytes ExQueryPoolBlockSize tells exactly are asked for: up to a page, and
 * whole pages. Overlap, placement, zeros and contents are checked as in model_fuzz (model.h).
 *
 *     churn_fuzz [--seed N] [--operations N]      operations of the first part; the others scale
 */
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <expool/region.h>

#include "fuzz/model.h"

#define THREADS            64u
#define RESTS              4u /* barriers of the churn part where the counts are compared */
#define LIVE_MAX           1200u
#define MAILBOXES          1024u
#define BATCH_THREADS      50u
#define BLOCKS_BRIEF       40u
#define OPERATIONS_DEFAULT (MODEL_SANITIZED ? UINT64_C(300000) : UINT64_C(3000000))
#define BRIEF_DEFAULT      (MODEL_SANITIZED ? 1000u : 10000u)

struct mailbox {
    pthread_mutex_t mutex;
    struct model_block block;
    bool full;
};

struct worker {
    struct model model;
    struct model_block live[LIVE_MAX];
    uint32_t live_count;
};

static struct {
    uint64_t seed;
    uint64_t operations;
    uint32_t brief_threads;
    struct mailbox mailbox[MAILBOXES];
    struct worker *worker[THREADS];
    struct model *model[THREADS];
    pthread_barrier_t barrier;
} churn = {.operations = OPERATIONS_DEFAULT, .brief_threads = BRIEF_DEFAULT};

/* A request whose held bytes are known exactly. */
static void request_exact(struct model *model, struct model_request *request)
{
    model_request_any(model, request);
    if (request->bytes > MODEL_PAGE) {
        request->bytes = model_round(request->bytes, MODEL_PAGE);
    }
    if (request->bytes > 32 * MODEL_PAGE) {
        request->bytes = 32 * MODEL_PAGE;
    }
}

static void allocate(struct worker *worker)
{
    struct model_request request;
    request_exact(&worker->model, &request);
    worker->model.operation++;
    if (!model_allocate(&worker->model, &request, &worker->live[worker->live_count])) {
        model_fail(&worker->model, "NULL for %zu bytes", request.bytes);
    }
    worker->live_count++;
}

static struct model_block take(struct worker *worker)
{
    uint64_t index = model_below(&worker->model, worker->live_count);
    struct model_block block = worker->live[index];
    worker->live[index] = worker->live[--worker->live_count];
    return block;
}

/* Free a block of ours, or leave it to somebody and free what somebody left. */
static void release(struct worker *worker)
{
    struct model_block block = take(worker);
    worker->model.operation++;
    if (model_below(&worker->model, 2)) {
        model_free(&worker->model, &block);
        return;
    }
    struct mailbox *mailbox = &churn.mailbox[model_below(&worker->model, MAILBOXES)];
    pthread_mutex_lock(&mailbox->mutex);
    struct model_block former = mailbox->block;
    bool full = mailbox->full;
    mailbox->block = block;
    mailbox->full = true;
    pthread_mutex_unlock(&mailbox->mutex);
    if (full) {
        model_free(&worker->model, &former);
    }
}

static void release_mailboxes(struct worker *worker)
{
    for (uint32_t index = 0; index < MAILBOXES; index++) {
        if (churn.mailbox[index].full) {
            model_free(&worker->model, &churn.mailbox[index].block);
            churn.mailbox[index].full = false;
        }
    }
}

/* Pages in use by all pools, from our own statistics region; UINT64_MAX when it is in no file. */
static uint64_t pages_in_use(void)
{
    struct expool_region_header header;
    for (int file = 3; file < 1024 * 1024; file = file == 4095 ? 1024 * 1024 - 4096 : file + 1) {
        char place[32];
        char name[64];
        snprintf(place, sizeof(place), "/proc/self/fd/%d", file);
        ssize_t length = readlink(place, name, sizeof(name) - 1);
        if (length <= 0) {
            continue;
        }
        name[length] = '\0';
        if (strstr(name, EXPOOL_REGION_NAME) == NULL ||
            pread(file, &header, sizeof(header), 0) != sizeof(header) ||
            header.magic != EXPOOL_REGION_MAGIC) {
            continue;
        }
        uint64_t pages = 0;
        for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; pool++) {
            pages += header.pool[pool].pages;
        }
        return pages;
    }
    return UINT64_MAX;
}

/* Everything is freed and only this thread is left. */
static void check_empty(const char *part)
{
    const struct model *first = churn.model[0];
    static struct expool_tag_row rows[2 * MODEL_TAGS + 64];
    expool_trim();
    model_check_counts(churn.model, THREADS);
    model_check_inside(first);
    size_t row_count = expool_tags(rows, sizeof(rows) / sizeof(rows[0]));
    uint64_t allocs = 0;
    for (size_t index = 0; index < row_count; index++) {
        allocs += rows[index].allocs;
        if (rows[index].bytes != 0 || rows[index].allocs != rows[index].frees) {
            model_fail(first, "%s: all is freed, tag 0x%08x has %llu bytes, %llu blocks", part,
                       rows[index].tag, (unsigned long long)rows[index].bytes,
                       (unsigned long long)(rows[index].allocs - rows[index].frees));
        }
    }
    uint64_t pages = pages_in_use();
    if (pages != 0 && pages != UINT64_MAX) {
        model_fail(first, "%s: all is freed, %llu pages are in use", part,
                   (unsigned long long)pages);
    }
    printf("%s: %llu blocks, none lost, %s\n", part, (unsigned long long)allocs,
           pages == 0 ? "no page in use" : "pages in use not known (region is in no file)");
    fflush(stdout);
}

static void threads_run(void *(*body)(void *), uint32_t count)
{
    pthread_t threads[THREADS];
    for (uint32_t index = 0; index < count; index++) {
        if (pthread_create(&threads[index], NULL, body, churn.worker[index]) != 0) {
            perror("churn_fuzz: pthread_create");
            exit(1);
        }
    }
    for (uint32_t index = 0; index < count; index++) {
        pthread_join(threads[index], NULL);
    }
}

static void *churn_body(void *argument)
{
    struct worker *worker = argument;
    for (uint32_t rest = 0; rest < RESTS; rest++) {
        uint64_t end = worker->model.operation + churn.operations / THREADS / RESTS;
        uint64_t target = model_below(&worker->model, LIVE_MAX);
        while (worker->model.operation < end) {
            bool grow = model_below(&worker->model, 4) ? worker->live_count < target
                                                       : model_below(&worker->model, 2);
            if (worker->live_count == 0 || (grow && worker->live_count < LIVE_MAX)) {
                allocate(worker);
            } else {
                release(worker);
            }
        }
        /* The last one to come compares; the others wait for it. */
        if (pthread_barrier_wait(&churn.barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
            model_check_counts(churn.model, THREADS);
            model_check_inside(&worker->model);
        }
        pthread_barrier_wait(&churn.barrier);
    }
    while (worker->live_count > 0) {
        release(worker);
    }
    return NULL;
}

/* Leave full caches of every size behind. */
static void *exits_body(void *argument)
{
    struct worker *worker = argument;
    for (uint32_t round = 0; round < 2; round++) {
        while (worker->live_count < LIVE_MAX / 2) {
            allocate(worker);
        }
        while (worker->live_count > 0) {
            struct model_block block = take(worker);
            model_free(&worker->model, &block);
        }
    }
    return NULL;
}

/* Allocate; free half; leave half; free what an earlier batch left. */
static void *brief_body(void *argument)
{
    struct worker *worker = argument;
    for (uint32_t count = 0; count < BLOCKS_BRIEF; count++) {
        allocate(worker);
    }
    while (worker->live_count > 0) {
        release(worker);
    }
    return NULL;
}

/* All three parts once; each must leave nothing behind. */
static void whole_churn(void)
{
    threads_run(churn_body, THREADS);
    release_mailboxes(churn.worker[0]);
    check_empty("churn");
    for (uint32_t done = 0; done < churn.brief_threads / 20; done += BATCH_THREADS) {
        threads_run(exits_body, BATCH_THREADS);
    }
    check_empty("exits");
    for (uint32_t done = 0; done < churn.brief_threads; done += BATCH_THREADS) {
        threads_run(brief_body, BATCH_THREADS);
    }
    release_mailboxes(churn.worker[0]);
    check_empty("brief");
}

int main(int count, char **words)
{
    time_t seconds = 0; /* at least once */
    churn.seed = (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid();
    for (int index = 1; index + 1 < count; index += 2) {
        uint64_t value = strtoull(words[index + 1], NULL, 0);
        if (strcmp(words[index], "--seed") == 0) {
            churn.seed = value;
        } else if (strcmp(words[index], "--seconds") == 0) {
            seconds = (time_t)value;
        } else if (strcmp(words[index], "--operations") == 0) {
            churn.operations = value;
            churn.brief_threads = (uint32_t)(value / 300);
        } else {
            count = 0;
        }
    }
    if (count % 2 == 0) {
        fprintf(stderr, "usage: churn_fuzz [--seed N] [--operations N] [--seconds N]\n");
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)churn.seed);
    fflush(stdout);
    (void)expool_set("guard", "0"); /* the fast paths in checked builds, too */
    pthread_barrier_init(&churn.barrier, NULL, THREADS);
    for (uint32_t index = 0; index < MAILBOXES; index++) {
        pthread_mutex_init(&churn.mailbox[index].mutex, NULL);
    }
    for (uint32_t index = 0; index < THREADS; index++) {
        churn.worker[index] = calloc(1, sizeof(struct worker));
        if (churn.worker[index] == NULL) {
            perror("churn_fuzz");
            return 1;
        }
        churn.model[index] = &churn.worker[index]->model;
        model_start(churn.model[index], churn.seed, index);
    }
    time_t end = time(NULL) + seconds;
    do {
        whole_churn();
    } while (time(NULL) < end);
    return 0;
}
