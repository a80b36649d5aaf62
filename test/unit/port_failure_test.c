/* SPDX-License-Identifier: MIT */
/*
 * Every call of the port fails once, at every position of a script of 2 500 operations.
 *
 * The script is drawn from a fixed seed: all doors, pools and sizes, blocks under quota and secure
 * blocks, four processors that come and go, trims, and a clock that makes free pages old. It is
 * replayed in a forked child for each fallible call that it makes, the nth of them failing in the
 * nth replay; then with bursts of failures, with a port that refuses every decommit, with little
 * memory, as the copy of a process, and some of all that on a machine of several NUMA nodes.
 *
 * In each replay the naive model (fuzz/model.h) goes along. A request may say NULL only while a
 * call fails, and only for a call that brings memory; right after a failure and at the end the
 * counters of all tags are compared, and what the process is charged with; at the end everything is
 * freed, processors end, no page is in use, and nobody but its creator holds the process.
 *
 * source: issue "the pool, end to end", what it must show; spec/api.md 10.3 statements 29, 35, 53
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <expool/region.h>

#include "fuzz/model.h"
#include "sim/port.h"
#include "unit/unit_test.h"

#define OPERATIONS     2500u
#define PROCESSORS     4u
#define NODES          3u
#define LIVE_MAX       1200u
#define LIVE_BYTES_MAX ((uint64_t)24 << 20)
#define SEED           UINT64_C(20240229)
/* A replay takes milliseconds; one that takes so long hangs. */
#define REPLAY_SECONDS_MAX 40u
/* The thread sanitizer is slow: it replays every fourth call only; every other build all. */
#if defined(__SANITIZE_THREAD__)
#define STRIDE 4u
#else
#define STRIDE 1u
#endif

/* What one replay is asked to do. */
struct replay {
    uint64_t fail_first; /* fallible call, all together; 0 = none */
    uint64_t fail_count;
    uint32_t burst_at; /* operation before which fail_count calls are made to fail; 0 = none */
    uint32_t copy_at;  /* operation before which the process becomes its copy; 0 = never */
    bool copy_told;    /* exp_port_wipe never succeeds, so the copy is told */
    bool refuse;       /* every decommit is refused */
    size_t pages_max;  /* of memory; 0 = all */
    uint32_t nodes;    /* NUMA nodes, processors in turn on each; 0 = one */
};

/* What it tells, in memory that parent and child share. */
struct outcome {
    uint64_t calls_fallible;
    uint64_t calls[SIM_CALL_COUNT];
    uint64_t failures;
    uint64_t refused;       /* NULL answers of plain blocks */
    uint64_t refused_quota; /* of blocks under quota, for which the process had no room */
    uint32_t failed_call;
    bool finished;
};

static struct outcome *outcome;
static struct model model;
static struct model_block live[LIVE_MAX];
static uint32_t live_count;
static bool short_of_memory; /* of this replay: NULL is right at any time */

/* Protection of every page of a block: statements 20, 40. */
static void check_access(const struct model_block *block)
{
    enum exp_port_access expected = block->pool == MODEL_EXECUTE ? EXP_PORT_READ_WRITE_EXECUTE
                                                                 : EXP_PORT_READ_WRITE;
    for (size_t offset = 0; offset == 0 || offset < block->bytes; offset += MODEL_PAGE) {
        if (sim_access(block->address + offset) != expected) {
            model_fail(&model, "block %p of %zu bytes, pool %u: access %d at its byte %zu",
                       (void *)block->address, block->bytes, block->pool,
                       (int)sim_access(block->address + offset), offset);
        }
    }
}

/* Failures so far of the calls whose failure may be a reason to say NULL. */
static uint64_t memory_failures(void)
{
    return sim_failures_of(SIM_RESERVE) + sim_failures_of(SIM_COMMIT) +
           sim_failures_of(SIM_REGION) + sim_failures_of(SIM_REGION_COMMIT);
}

/* ---- rare blocks: under quota, secure ---- */

#define RARE_MAX         64u
#define RARE_QUOTA_BYTES 24000u
#define SECURE_COOKIE    99u
#define FLAG_USE_QUOTA   UINT64_C(1)
#define SECURE_FREEABLE  1u

/* The secure pool by hand: spec/api.md 1.6, 3.4. */
struct secure {
    void *handle;
    void *buffer;
    uintptr_t cookie;
    uint32_t flags;
};
struct entry {
    uint64_t type;
    struct secure *secure;
};
int32_t ExCreatePool(uint32_t flags, uintptr_t tag, void *params, void **handle);
void ExDestroyPool(void *handle);
void *ExAllocatePool3(
    uint64_t flags, size_t bytes, uint32_t tag, const struct entry *entries, uint32_t count);
void ExFreePool2(void *block, uint32_t tag, const struct entry *entries, uint32_t count);
uint32_t ExSecurePoolValidate(void *handle, uint32_t tag, void *block, uintptr_t cookie);
void *ExAllocatePoolWithQuotaTag(int type, size_t bytes, uint32_t tag);

struct rare {
    unsigned char *address;
    size_t bytes; /* requested */
    size_t size_bytes;
    uint16_t tag_index;
    bool paged;
    bool secure;
    bool charged;
};

static struct {
    struct rare live[RARE_MAX];
    struct expool_process *process;
    void *handle;
    uint64_t refused_quota;
} rare;

/* Count a block in the model, or take it away. */
static void rare_count(const struct rare *block, uint64_t sign)
{
    struct model_count *count = &model.count[block->tag_index][block->paged];
    count->allocs += sign == 1;
    count->frees += sign != 1;
    count->held_least += sign * block->size_bytes;
    count->held_most += sign * block->size_bytes;
}

static void *rare_quota(struct rare *block, uint32_t tag)
{
    block->paged = model_below(&model, 2);
    block->bytes = model_below(&model, 4096);
    uint64_t pool = block->paged ? FLAG_PAGED : FLAG_NON_PAGED;
    int type = (block->paged ? TYPE_PAGED : TYPE_NX) | TYPE_QUOTA_FAIL;
    bool flags = model_below(&model, 2);
    expool_process_enter(rare.process);
    void *address = flags ? ExAllocatePool2(pool | FLAG_USE_QUOTA, block->bytes, tag)
                          : ExAllocatePoolWithQuotaTag(type, block->bytes, tag);
    expool_process_enter(NULL);
    return address;
}

static void *rare_secure(struct rare *block, uint32_t tag)
{
    static unsigned char contents[20000];
    struct secure secure = {rare.handle, contents, SECURE_COOKIE, SECURE_FREEABLE};
    struct entry entry = {2, &secure};
    block->paged = false;
    block->bytes = model_below(&model, sizeof(contents));
    memset(contents, 0x5c, sizeof(contents));
    return ExAllocatePool3(FLAG_NON_PAGED, block->bytes, tag, &entry, 1);
}

/* Why a quota block was refused: its process has no room for a page more. */
static bool rare_quota_full(void)
{
    struct expool_usage usage;
    expool_process_usage(rare.process, &usage);
    return usage.paged_bytes + 4096 > RARE_QUOTA_BYTES ||
           usage.nonpaged_bytes + 4096 > RARE_QUOTA_BYTES;
}

static void rare_allocate(struct rare *block)
{
    if (rare.process == NULL) {
        rare.process = expool_process_create("payer", RARE_QUOTA_BYTES, RARE_QUOTA_BYTES);
    }
    if (rare.handle == NULL) {
        (void)ExCreatePool(1, 1, NULL, &rare.handle);
    }
    if (rare.process == NULL || rare.handle == NULL) {
        return;
    }
    uint64_t failures = memory_failures();
    block->tag_index = (uint16_t)model_below(&model, MODEL_TAGS);
    block->secure = model_once_in(&model, 4);
    uint32_t tag = model_tag(block->tag_index);
    block->address = block->secure ? rare_secure(block, tag) : rare_quota(block, tag);
    if (block->address == NULL) {
        bool full = !block->secure && rare_quota_full();
        rare.refused_quota += full;
        if (!full && !short_of_memory && failures == memory_failures()) {
            model_fail(&model, "NULL for %zu bytes, %s, although no call for memory failed",
                       block->bytes, block->secure ? "secure" : "under quota");
        }
        return;
    }
    unsigned char charged = 0;
    block->size_bytes = ExQueryPoolBlockSize(block->address, &charged);
    block->charged = charged;
    if (block->secure && sim_access(block->address) != EXP_PORT_READ) {
        model_fail(&model, "a secure block can be written to");
    }
    rare_count(block, 1);
}

/*
 * Free a block. When the port refuses to make the pages of a secure one writable the block is gone
 * all the same; its pages wait until a later call can open them.
 */
static void rare_free(struct rare *block)
{
    uint32_t tag = model_tag(block->tag_index);
    if (block->secure) {
        struct secure secure = {rare.handle, NULL, SECURE_COOKIE, 0};
        struct entry entry = {2, &secure};
        for (size_t index = 0; index < block->bytes; index++) {
            if (block->address[index] != 0x5c) {
                model_fail(&model, "a secure block has changed");
            }
        }
        ExFreePool2(block->address, tag, &entry, 1);
        if (ExSecurePoolValidate(rare.handle, tag, block->address, SECURE_COOKIE)) {
            model_fail(&model, "a secure block that was freed is found");
        }
        for (int wait = 0; sim_access(block->address) == EXP_PORT_READ && wait < 100; wait++) {
            (void)ExSecurePoolValidate(rare.handle, tag, block->address, SECURE_COOKIE);
        }
    } else {
        ExFreePoolWithTag(block->address, tag);
    }
    rare_count(block, (uint64_t)-1);
    block->address = NULL;
}

/* The process is charged with what its blocks hold, and held by them. */
static void rare_check(void)
{
    struct expool_usage usage;
    uint64_t charged[2] = {0};
    uint64_t references = 1;
    if (rare.process == NULL) {
        return;
    }
    for (uint32_t index = 0; index < RARE_MAX; index++) {
        const struct rare *block = &rare.live[index];
        if (block->address != NULL && block->charged) {
            charged[block->paged] += block->size_bytes;
            references++;
        }
    }
    expool_process_usage(rare.process, &usage);
    if (usage.nonpaged_bytes != charged[0] || usage.paged_bytes != charged[1] ||
        usage.references != references) {
        model_fail(&model, "charged with %llu, %llu bytes, %llu references; model %llu %llu %llu",
                   (unsigned long long)usage.nonpaged_bytes, (unsigned long long)usage.paged_bytes,
                   (unsigned long long)usage.references, (unsigned long long)charged[0],
                   (unsigned long long)charged[1], (unsigned long long)references);
    }
}

static void replay_rare(void)
{
    struct rare *block = &rare.live[model_below(&model, RARE_MAX)];
    if (block->address == NULL) {
        rare_allocate(block);
    } else {
        rare_free(block);
    }
}

static void rare_finish(void)
{
    for (uint32_t index = 0; index < RARE_MAX; index++) {
        if (rare.live[index].address != NULL) {
            rare_free(&rare.live[index]);
        }
    }
    rare_check();
    if (rare.process != NULL) {
        expool_process_release(rare.process);
    }
    if (rare.handle != NULL) {
        ExDestroyPool(rare.handle); /* stops if a block were left in it */
    }
}

static void check_counts(void)
{
    struct model *models[] = {&model};
    rare_check();
    model_check_counts(models, 1);
    model_check_inside(&model);
    sim_check_rest();
}

static void replay_allocate(void)
{
    struct model_request request;
    model_request_any(&model, &request);
    if (live_count == LIVE_MAX || model.live_bytes + request.bytes > LIVE_BYTES_MAX) {
        return;
    }
    uint64_t failures = memory_failures();
    if (model_allocate(&model, &request, &live[live_count])) {
        check_access(&live[live_count]);
        live_count++;
        return;
    }
    outcome->refused++;
    if (short_of_memory) {
        return;
    }
    if (failures == memory_failures()) {
        model_fail(&model, "NULL for %zu bytes of pool %u although no call for memory failed",
                   request.bytes, request.pool);
    }
}

static void replay_free(void)
{
    if (live_count != 0) {
        uint64_t index = model_below(&model, live_count);
        struct model_block block = live[index];
        live[index] = live[--live_count];
        model_free(&model, &block);
    }
}

static void replay_step(void)
{
    uint32_t wave = (uint32_t)(model.operation / 400 % 2); /* grow, then shrink */
    uint64_t dice = model_below(&model, 1000);
    if (dice < 200) {
        replay_rare();
    } else if (dice < 930) {
        if (model_below(&model, 100) < (wave == 0 ? 70u : 35u)) {
            replay_allocate();
        } else {
            replay_free();
        }
    } else if (dice < 970) {
        sim_processor_set((uint32_t)model_below(&model, PROCESSORS));
    } else if (dice < 974) {
        sim_processor_exit();
    } else if (dice < 990) {
        sim_clock_advance_ms(model_below(&model, 400));
    } else if (dice < 995) {
        model_refused(&model);
    } else {
        expool_trim();
    }
}

/* Free everything, let all processors end: nothing may be left. */
static void replay_finish(void)
{
    while (live_count > 0) {
        sim_processor_set((uint32_t)model_below(&model, PROCESSORS));
        replay_free();
    }
    rare_finish();
    for (uint32_t processor = 0; processor < SIM_PROCESSORS; processor++) {
        sim_processor_set(processor);
        sim_processor_exit();
    }
    sim_processor_set(0);
    rare.process = NULL;
    expool_trim();
    check_counts();
    static struct expool_tag_row rows[2 * MODEL_TAGS + 64];
    size_t row_count = expool_tags(rows, sizeof(rows) / sizeof(rows[0]));
    for (size_t index = 0; index < row_count; index++) {
        if (rows[index].bytes != 0 || rows[index].allocs != rows[index].frees) {
            model_fail(&model, "all is freed, tag 0x%08x has %llu bytes", rows[index].tag,
                       (unsigned long long)rows[index].bytes);
        }
    }
    const struct expool_region_header *header = sim_region();
    for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; pool++) {
        if (header->pool[pool].pages != 0) {
            model_fail(&model, "all is freed, pool %d uses %llu pages", pool,
                       (unsigned long long)header->pool[pool].pages);
        }
    }
}

static void replay_script(const struct replay *replay)
{
    model_start(&model, SEED, 0);
    sim_start(SEED, SIM_ARENA_BYTES_DEFAULT);
    sim_decommit_refuse(replay->refuse);
    if (replay->nodes != 0) {
        sim_nodes(replay->nodes);
    }
    for (uint32_t processor = 0; processor < SIM_PROCESSORS && replay->nodes != 0; processor++) {
        sim_processor_node_set(processor, processor % replay->nodes);
    }
    short_of_memory = replay->pages_max != 0;
    sim_memory_limit(replay->pages_max != 0 ? replay->pages_max : SIZE_MAX);
    sim_fail_any(replay->fail_first, replay->fail_first != 0 ? replay->fail_count : 0);
    if (replay->copy_told) {
        sim_fail(SIM_WIPE, 1, UINT64_MAX);
    }
    for (model.operation = 1; model.operation <= OPERATIONS; model.operation++) {
        if (model.operation == replay->burst_at) {
            sim_fail_any(1, replay->fail_count);
        }
        if (model.operation == replay->copy_at) {
            sim_child();
        }
        uint64_t failures = sim_failures();
        replay_step();
        if (failures != sim_failures() || model.operation % 500 == 0) {
            check_counts();
        }
    }
    outcome->calls_fallible = sim_calls_fallible();
    sim_fail_any(0, 0);
    sim_memory_limit(SIZE_MAX);
    short_of_memory = false;
    for (int count = 0; count < 40; count++) { /* whatever has failed, it serves again */
        replay_allocate();
    }
    replay_finish();
    for (int call = 0; call < SIM_CALL_COUNT; call++) {
        outcome->calls[call] = sim_calls((enum sim_call)call);
    }
    outcome->failures = sim_failures();
    outcome->failed_call = sim_failure_last();
    outcome->refused_quota = rare.refused_quota;
    outcome->finished = true;
}

/* What the words of a replay mean; the same words repeat it alone from the command line. */
static bool replay_named(const char *what, uint64_t number, struct replay *replay)
{
    *replay = (struct replay){0};
    if (strncmp(what, "nodes-", 6) == 0) { /* the same with several NUMA nodes */
        replay->nodes = NODES;
        what += 6;
    }
    if (strcmp(what, "plain") == 0) {
        return true;
    }
    if (strcmp(what, "call") == 0) { /* the nth fallible call fails */
        replay->fail_first = number;
        replay->fail_count = 1;
    } else if (strcmp(what, "burst") == 0) { /* calls fail from this operation on */
        replay->burst_at = (uint32_t)number;
        replay->fail_count = 1 + number % 40;
    } else if (strcmp(what, "refuse") == 0) { /* every decommit is refused */
        replay->refuse = true;
    } else if (strcmp(what, "pages") == 0) { /* so many pages of memory */
        replay->pages_max = number;
    } else { /* before this operation the process becomes its copy */
        replay->copy_at = (uint32_t)number;
        replay->copy_told = strcmp(what, "told") == 0;
        return replay->copy_told || strcmp(what, "wiped") == 0;
    }
    return true;
}

/* Run one replay in a child, where the core is as new. */
static bool replay_run(const char *what, uint64_t number)
{
    memset(outcome, 0, sizeof(*outcome));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct replay replay;
        alarm(REPLAY_SECONDS_MAX);
        replay_named(what, number, &replay);
        replay_script(&replay);
        _exit(0);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    unit.checks++;
    if (child < 0 || status != 0 || !outcome->finished) {
        unit_failed(__FILE__, __LINE__);
        fprintf(stderr, "expected to finish, got status 0x%x; repeat: port_failure_test %s %llu\n",
                (unsigned)status, what, (unsigned long long)number);
        unit_limit();
        return false;
    }
    return true;
}

static uint64_t script_calls; /* fallible calls of the script when none fails */

static void test_script_without_failure_serves_all(void)
{
    if (!replay_run("plain", 0)) {
        return;
    }
    CHECK_EQUAL(outcome->refused, 0);
    CHECK_EQUAL(outcome->failures, 0);
    CHECK(outcome->refused_quota != 0);
    script_calls = outcome->calls_fallible;
    printf("the script of %u operations makes %llu fallible calls:", OPERATIONS,
           (unsigned long long)script_calls);
    for (int call = 0; call < SIM_CALL_FALLIBLE; call++) {
        printf(" %s %llu", sim_call_name((enum sim_call)call),
               (unsigned long long)outcome->calls[call]);
    }
    printf("\n");
    CHECK(outcome->calls[SIM_RESERVE] != 0);
    CHECK(outcome->calls[SIM_COMMIT] != 0);
    CHECK(outcome->calls[SIM_DECOMMIT] != 0);
    CHECK(outcome->calls[SIM_REGION] != 0);
    CHECK(outcome->calls[SIM_REGION_COMMIT] != 0);
}

static void test_each_call_fails_once_nothing_is_lost(void)
{
    uint64_t failed[SIM_CALL_FALLIBLE] = {0};
    uint64_t refused = 0;
    for (uint64_t nth = 1; nth <= script_calls; nth += STRIDE) {
        if (replay_run("call", nth)) {
            CHECK_EQUAL(outcome->failures, 1);
            failed[outcome->failed_call]++;
            refused += outcome->refused;
        }
    }
    printf("failed once each:");
    for (int call = 0; call < SIM_CALL_FALLIBLE; call++) {
        printf(" %s %llu", sim_call_name((enum sim_call)call), (unsigned long long)failed[call]);
    }
    printf("; %llu requests said NULL\n", (unsigned long long)refused);
}

static void test_bursts_of_failures_nothing_is_lost(void)
{
    uint64_t refused = 0;
    for (uint32_t at = 1; at <= OPERATIONS; at += 25) {
        if (replay_run("burst", at)) {
            refused += outcome->refused;
        }
    }
    CHECK(refused != 0);
}

static void test_decommit_refused_always_zero_promise_holds(void)
{
    if (replay_run("refuse", 0)) {
        CHECK_EQUAL(outcome->refused, 0);
    }
}

static void test_little_memory_refuses_and_recovers(void)
{
    uint64_t refused = 0;
    for (size_t pages = 64; pages <= 8192; pages *= 2) {
        if (replay_run("pages", pages)) {
            refused += outcome->refused;
        }
    }
    CHECK(refused != 0);
}

static void test_copy_of_process_goes_on(void)
{
    for (uint32_t at = 1; at <= OPERATIONS; at += 125) {
        replay_run("wiped", at);
        replay_run("told", at);
    }
}

static void test_several_nodes_nothing_is_lost(void)
{
    if (!replay_run("nodes-plain", 0)) {
        return;
    }
    CHECK_EQUAL(outcome->refused, 0);
    CHECK(outcome->calls[SIM_NODE] != 0);
    CHECK(outcome->calls[SIM_BIND] >= NODES);
    uint64_t calls = outcome->calls_fallible;
    uint64_t refused = 0;
    for (uint64_t nth = 1; nth <= calls; nth += 5 * STRIDE) {
        if (replay_run("nodes-call", nth)) {
            CHECK_EQUAL(outcome->failures, 1);
        }
    }
    for (uint32_t at = 1; at <= OPERATIONS; at += 250) {
        replay_run("nodes-burst", at);
        replay_run("nodes-wiped", at);
        replay_run("nodes-told", at);
    }
    for (size_t pages = 64; pages <= 8192; pages *= 2) {
        if (replay_run("nodes-pages", pages)) {
            refused += outcome->refused;
        }
    }
    CHECK(refused != 0);
    replay_run("nodes-refuse", 0);
}

int main(int count, char **words)
{
    outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    if (outcome == MAP_FAILED) {
        perror("port_failure_test");
        return 1;
    }
    printf("seed %llu\n", (unsigned long long)SEED);
    fflush(stdout);
    (void)expool_set("guard", "0"); /* the model knows how much each size holds */
    if (count == 3) {
        struct replay replay;
        if (!replay_named(words[1], strtoull(words[2], NULL, 0), &replay)) {
            return 2;
        }
        replay_script(&replay);
        printf("%llu calls failed, %llu requests said NULL\n",
               (unsigned long long)outcome->failures, (unsigned long long)outcome->refused);
        return 0;
    }
    RUN(test_script_without_failure_serves_all);
    RUN(test_each_call_fails_once_nothing_is_lost);
    RUN(test_bursts_of_failures_nothing_is_lost);
    RUN(test_decommit_refused_always_zero_promise_holds);
    RUN(test_little_memory_refuses_and_recovers);
    RUN(test_copy_of_process_goes_on);
    RUN(test_several_nodes_nothing_is_lost);
    return unit_end();
}
