/* SPDX-License-Identifier: MIT */
/*
 * Random operations over all doors beside a naive model (model.h), in three legs:
 *
 *     plain     one thread, front caches off, in a process of its own
 *     single    one thread; page requests fail, limits are set and lifted, options change
 *     threads   four threads, made anew each round, that free each other's blocks; failures too
 *
 * One thread works in phases of random length: each draws how many blocks to live with, whether
 * to lean to growing, shrinking or exchange, and in which order to free. Every operation checks
 * placement, overlap, zeros and contents of the blocks it touches; each phase (round) ends with
 * the counters of all tags compared; now and then, and at the end, everything is freed and the
 * bytes must be 0.
 *
 *     model_fuzz [--seed N] [--operations N] [--seconds N] [--leg plain|single|threads]
 *
 * Operations are of all legs together. A failing message tells seed, thread and operation; a leg
 * of one thread repeats exactly but for addresses and the clock, threads repeat in kind.
 *
 * source: spec/api.md 10.2 - 10.4, 10.8, 10.9, 10.12, 10.18
 */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/model.h"

#define THREADS            4u
#define LIVE_MAX           60000u
#define LIVE_BYTES_MAX     ((uint64_t)96 << 20)
#define MAILBOXES          64u
#define ROUND_OPERATIONS   50000u
#define OPERATIONS_DEFAULT (MODEL_SANITIZED ? UINT64_C(560000) : UINT64_C(5600000))

/* Blocks on their way to be freed by another thread. */
struct mailbox {
    pthread_mutex_t mutex;
    struct model_block block;
    bool full;
};

struct fuzz {
    struct model model;
    struct model_block live[LIVE_MAX];
    uint32_t live_count;
    uint64_t live_bytes_max;
    uint32_t target; /* of the phase: blocks to live with */
    uint32_t order;  /* of the phase: 0 random, 1 last first, 2 first (swapped) first */
    uint32_t lean;   /* of the phase: of 16 operations beside the target, so many go towards it */
    bool share;      /* threads leg: use mailboxes */
    bool limited;    /* a limit is set */
    uint64_t armed_until; /* operation at which this thread ends its injection; 0 = none */
    uint64_t refused;     /* NULL answers that were allowed */
    uint64_t served;
};

static struct {
    uint64_t seed;
    uint64_t operations;
    uint64_t seconds; /* 0 = by operations */
    const char *leg;
    struct mailbox mailbox[MAILBOXES];
    uint64_t injecting; /* atomic: changes at each start and end; odd = a failure is asked for */
    struct fuzz *fuzz[THREADS];
    time_t started;
} run = {.operations = OPERATIONS_DEFAULT};

static void set_option(const struct fuzz *fuzz, const char *name, const char *value)
{
    int error = expool_set(name, value);
    if (error != 0) {
        model_fail(&fuzz->model, "expool_set(%s, %s) says %s", name, value, strerror(error));
    }
}

/* Ask for a failure of a page request, or stop asking; one thread at a time asks. */
static void inject(struct fuzz *fuzz)
{
    uint64_t state = __atomic_load_n(&run.injecting, __ATOMIC_SEQ_CST);
    if (fuzz->armed_until != 0) {
        expool_fail_page_request(0);
        fuzz->armed_until = 0;
        __atomic_store_n(&run.injecting, state + 1, __ATOMIC_SEQ_CST);
    } else if (state % 2 == 0 &&
               __atomic_compare_exchange_n(&run.injecting, &state, state + 1, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        expool_fail_page_request(1 + model_below(&fuzz->model, 8));
        fuzz->armed_until = fuzz->model.operation + 50 + model_below(&fuzz->model, 3000);
    }
}

/* Allocate by a door; false: the model has no room for the block, nothing was called. */
static bool allocate(struct fuzz *fuzz)
{
    struct model_request request;
    model_request_any(&fuzz->model, &request);
    if (fuzz->live_count == LIVE_MAX ||
        fuzz->model.live_bytes + request.bytes > fuzz->live_bytes_max) {
        return false;
    }
    uint64_t before = __atomic_load_n(&run.injecting, __ATOMIC_SEQ_CST);
    if (model_allocate(&fuzz->model, &request, &fuzz->live[fuzz->live_count])) {
        fuzz->live_count++;
        fuzz->served++;
        return true;
    }
    uint64_t after = __atomic_load_n(&run.injecting, __ATOMIC_SEQ_CST);
    fuzz->refused++;
    if (before == after && after % 2 == 0 && !fuzz->limited) {
        model_fail(&fuzz->model, "NULL for %zu bytes of pool %u by door %u, flags 0x%llx",
                   request.bytes, request.pool, request.door, (unsigned long long)request.flags);
    }
    return true;
}

/* Take a block out of the live ones, in the phase's order. */
static struct model_block take(struct fuzz *fuzz)
{
    uint32_t index = fuzz->live_count - 1;
    if (fuzz->order == 0) {
        index = (uint32_t)model_below(&fuzz->model, fuzz->live_count);
    } else if (fuzz->order == 2) {
        index = 0;
    }
    struct model_block block = fuzz->live[index];
    fuzz->live[index] = fuzz->live[--fuzz->live_count];
    return block;
}

/* Put a block into a mailbox; what lay there is this thread's to free. */
static bool exchange(struct fuzz *fuzz, struct model_block *block, bool put)
{
    struct mailbox *mailbox = &run.mailbox[model_below(&fuzz->model, MAILBOXES)];
    pthread_mutex_lock(&mailbox->mutex);
    struct model_block former = mailbox->block;
    bool full = mailbox->full;
    if (put) {
        mailbox->block = *block;
        fuzz->model.live_bytes -= block->size_bytes;
    }
    mailbox->full = put;
    pthread_mutex_unlock(&mailbox->mutex);
    if (full) {
        fuzz->model.live_bytes += former.size_bytes;
        *block = former;
    }
    return full;
}

static void release(struct fuzz *fuzz)
{
    struct model_block block = take(fuzz);
    if (fuzz->share && model_once_in(&fuzz->model, 4) && !exchange(fuzz, &block, true)) {
        return;
    }
    model_free(&fuzz->model, &block);
}

static void drain(struct fuzz *fuzz)
{
    while (fuzz->live_count > 0) {
        release(fuzz);
    }
    for (uint32_t index = 0; index < MAILBOXES; index++) {
        struct mailbox *mailbox = &run.mailbox[index];
        if (mailbox->full) {
            mailbox->full = false;
            fuzz->model.live_bytes += mailbox->block.size_bytes;
            model_free(&fuzz->model, &mailbox->block);
        }
    }
}

/* Look at a live block: contents kept, size unchanged. */
static void inspect(struct fuzz *fuzz)
{
    const struct model_block *block =
        &fuzz->live[model_below(&fuzz->model, fuzz->live_count)];
    model_verify(&fuzz->model, block);
    unsigned char charged = 0;
    size_t size_bytes = ExQueryPoolBlockSize(block->address, &charged);
    if (size_bytes != block->size_bytes) {
        model_fail(&fuzz->model, "block %p was of size %zu, now %zu", (void *)block->address,
                   block->size_bytes, size_bytes);
    }
}

static void step(struct fuzz *fuzz)
{
    struct model *model = &fuzz->model;
    model->operation++;
    if (fuzz->armed_until != 0 && model->operation >= fuzz->armed_until) {
        inject(fuzz);
    }
    uint64_t dice = model_below(model, 10000);
    if (dice < 9800) {
        bool grow = model_below(model, 16) < fuzz->lean
                        ? fuzz->live_count < fuzz->target
                        : model_below(model, 2);
        if ((!grow && fuzz->live_count != 0) || !allocate(fuzz)) {
            release(fuzz);
        }
    } else if (dice < 9940) {
        if (fuzz->live_count != 0) {
            inspect(fuzz);
        }
    } else if (dice < 9992) {
        model_refused(model);
    } else if (dice < 9998) {
        inject(fuzz);
    } else {
        expool_trim();
    }
}

static void phase_draw(struct fuzz *fuzz)
{
    static const uint32_t targets[] = {0, 1, 10, 100, 1000, 4000, 20000, LIVE_MAX};
    struct model *model = &fuzz->model;
    fuzz->target = targets[model_below(model, fuzz->share ? 6 : 8)];
    fuzz->target += (uint32_t)model_below(model, fuzz->target + 1);
    fuzz->order = (uint32_t)model_below(model, 3);
    fuzz->lean = 2 + (uint32_t)model_below(model, 14);
}

/* The options that may change while the pool serves. */
static void options_draw(struct fuzz *fuzz)
{
    static const char *const ages[] = {"0", "1", "20", "1000"};
    struct model *model = &fuzz->model;
    set_option(fuzz, "purge_ms", ages[model_below(model, 4)]);
    set_option(fuzz, "tail_reuse", model_below(model, 4) ? "1" : "0");
    if (run.leg == NULL || strcmp(run.leg, "plain") != 0) {
        set_option(fuzz, "front_cache", model_below(model, 8) ? "1" : "0");
    }
}

/*
 * A phase under a limit of the paged pool: what is held never passes it, a refusal happens, and
 * after a free the same request succeeds (statement 30). Starts and ends with nothing allocated.
 */
static void phase_limited(struct fuzz *fuzz)
{
    struct model *model = &fuzz->model;
    size_t limit = (size_t)(64 + model_below(model, 4000)) * MODEL_PAGE;
    char text[32];
    snprintf(text, sizeof(text), "%zu", limit);
    drain(fuzz);
    expool_trim();
    set_option(fuzz, "paged_limit", text);
    bool refused = false;
    uint64_t held = 0;
    struct model_request request = {.door = MODEL_POOL2, .pool = MODEL_PAGED, .tag_index = 7};
    for (uint32_t tries = 0; tries < LIVE_MAX && !refused; tries++) {
        model->operation++;
        request.bytes = model_size(model);
        refused = !model_allocate(model, &request, &fuzz->live[fuzz->live_count]);
        if (!refused) {
            held += fuzz->live[fuzz->live_count++].held_least;
            if (held > limit) {
                model_fail(model, "%llu bytes held under a limit of %zu", (unsigned long long)held,
                           limit);
            }
        }
    }
    if (!refused) {
        model_fail(model, "no refusal under a limit of %zu with %llu held", limit,
                   (unsigned long long)held);
    }
    drain(fuzz);
    expool_trim();
    if (request.bytes < limit - 16 * MODEL_PAGE) {
        if (!model_allocate(model, &request, &fuzz->live[0])) {
            model_fail(model, "%zu bytes refused, all of %zu is free", request.bytes, limit);
        }
        fuzz->live_count = 1;
        drain(fuzz);
    }
    set_option(fuzz, "paged_limit", "unlimited");
}

static bool time_left(void)
{
    return run.seconds == 0 || (uint64_t)(time(NULL) - run.started) < run.seconds;
}

static void check_empty(struct model *const *models, size_t count)
{
    model_check_counts(models, count);
    model_check_inside(models[0]);
    static struct expool_tag_row rows[2 * MODEL_TAGS + 64];
    size_t row_count = expool_tags(rows, sizeof(rows) / sizeof(rows[0]));
    for (size_t index = 0; index < row_count; index++) {
        if (rows[index].bytes != 0 || rows[index].allocs != rows[index].frees) {
            model_fail(models[0], "everything is freed, but tag 0x%08x has %llu bytes",
                       rows[index].tag, (unsigned long long)rows[index].bytes);
        }
    }
}

static struct fuzz *fuzz_new(uint32_t thread)
{
    struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
    if (fuzz == NULL) {
        abort();
    }
    model_start(&fuzz->model, run.seed, thread);
    fuzz->live_bytes_max = LIVE_BYTES_MAX;
    return fuzz;
}

static void report(const char *leg, const struct fuzz *fuzz)
{
    printf("%s: thread %u, %llu operations, %llu served, %llu refused by script\n", leg,
           fuzz->model.thread, (unsigned long long)fuzz->model.operation,
           (unsigned long long)fuzz->served, (unsigned long long)fuzz->refused);
    fflush(stdout);
}

static void leg_single(uint64_t operations, bool plain)
{
    struct fuzz *fuzz = fuzz_new(plain ? 100 : 0);
    struct model *models[] = {&fuzz->model};
    set_option(fuzz, "front_cache", plain ? "0" : "1");
    while (fuzz->model.operation < operations && time_left()) {
        uint64_t end = fuzz->model.operation + 1 + model_below(&fuzz->model, ROUND_OPERATIONS);
        end = end < operations ? end : operations;
        phase_draw(fuzz);
        options_draw(fuzz);
        while (fuzz->model.operation < end) {
            step(fuzz);
        }
        model_check_counts(models, 1);
        model_check_inside(&fuzz->model);
        if (fuzz->armed_until != 0) {
            inject(fuzz);
        }
        if (model_once_in(&fuzz->model, 8)) {
            phase_limited(fuzz);
            check_empty(models, 1);
        }
    }
    drain(fuzz);
    expool_trim();
    check_empty(models, 1);
    report(plain ? "plain" : "single", fuzz);
    free(fuzz);
}

static void *thread_round(void *argument)
{
    struct fuzz *fuzz = argument;
    uint64_t end = fuzz->model.operation + ROUND_OPERATIONS;
    phase_draw(fuzz);
    while (fuzz->model.operation < end) {
        step(fuzz);
    }
    if (fuzz->armed_until != 0) {
        inject(fuzz);
    }
    return NULL;
}

static void leg_threads(uint64_t operations)
{
    struct model *models[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t index = 0; index < MAILBOXES; index++) {
        pthread_mutex_init(&run.mailbox[index].mutex, NULL);
    }
    for (uint32_t index = 0; index < THREADS; index++) {
        run.fuzz[index] = fuzz_new(index + 1);
        run.fuzz[index]->share = true;
        run.fuzz[index]->live_bytes_max = LIVE_BYTES_MAX / THREADS;
        models[index] = &run.fuzz[index]->model;
    }
    for (uint64_t done = 0; done < operations && time_left(); done += THREADS * ROUND_OPERATIONS) {
        options_draw(run.fuzz[0]);
        for (uint32_t index = 0; index < THREADS; index++) {
            if (pthread_create(&threads[index], NULL, thread_round, run.fuzz[index]) != 0) {
                abort();
            }
        }
        for (uint32_t index = 0; index < THREADS; index++) {
            pthread_join(threads[index], NULL);
        }
        model_check_counts(models, THREADS);
        model_check_inside(models[0]);
    }
    for (uint32_t index = 0; index < THREADS; index++) {
        run.fuzz[index]->share = false;
        drain(run.fuzz[index]);
        report("threads", run.fuzz[index]);
    }
    expool_trim();
    check_empty(models, THREADS);
    for (uint32_t index = 0; index < THREADS; index++) {
        free(run.fuzz[index]);
    }
}

/* A leg in a process of its own: the pool begins anew. */
static bool leg_process(const char *leg, uint64_t operations)
{
    pid_t child = fork();
    if (child == 0) {
        run.leg = leg;
        /* The fast paths in checked builds, too; and the model takes what a block may hold for what
         * is counted. */
        (void)expool_set("guard", "0");
        if (strcmp(leg, "threads") == 0) {
            leg_threads(operations);
        } else {
            leg_single(operations, strcmp(leg, "plain") == 0);
        }
        exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("model_fuzz");
        return false;
    }
    if (status != 0) {
        fprintf(stderr, "model_fuzz: leg %s ended with status 0x%x; repeat with --seed %llu\n", leg,
                (unsigned)status, (unsigned long long)run.seed);
    }
    return status == 0;
}

static bool arguments(int count, char **words)
{
    run.seed = (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid();
    for (int index = 1; index + 1 < count; index += 2) {
        const char *word = words[index];
        uint64_t value = strtoull(words[index + 1], NULL, 0);
        if (strcmp(word, "--seed") == 0) {
            run.seed = value;
        } else if (strcmp(word, "--operations") == 0) {
            run.operations = value;
        } else if (strcmp(word, "--seconds") == 0) {
            run.seconds = value;
            run.operations = UINT64_MAX / 32;
        } else if (strcmp(word, "--leg") == 0) {
            run.leg = words[index + 1];
        } else {
            return false;
        }
    }
    return count % 2 == 1;
}

int main(int count, char **words)
{
    static const struct {
        const char *name;
        unsigned share; /* of 16 operations */
    } legs[] = {{"plain", 2}, {"single", 8}, {"threads", 6}};
    if (!arguments(count, words)) {
        fprintf(stderr, "usage: model_fuzz [--seed N] [--operations N] [--seconds N] "
                        "[--leg plain|single|threads]\n");
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)run.seed);
    fflush(stdout);
    const char *only = run.leg;
    uint64_t seconds = run.seconds;
    bool passed = true;
    for (size_t index = 0; index < sizeof(legs) / sizeof(legs[0]); index++) {
        if (only != NULL && strcmp(only, legs[index].name) != 0) {
            continue;
        }
        unsigned share = only != NULL ? 16 : legs[index].share;
        run.started = time(NULL);
        run.seconds = seconds == 0 ? 0 : seconds * share / 16 + 1;
        passed = leg_process(legs[index].name, run.operations / 16 * share) && passed;
    }
    return passed ? 0 : 1;
}
