/* SPDX-License-Identifier: MIT */
/*
 * The second port: fixed memory, scripted failures, several processors on one thread, and a
 * clock that obeys.
 *
 * Memory. One arena of address space is mapped once, inaccessible; exp_port_reserve shares it
 * out from the bottom and nothing ever goes back. A byte per page says what the core may do
 * with it, and the host is told the same by mprotect, so that a touch of what was not committed
 * faults at once:
 *
 *     PAGE_OUTSIDE -> reserve -> PAGE_RESERVED -> commit -> PAGE_READ, _WRITE, _EXECUTE <-> _LOST
 *
 * The port is as unkind as its contract allows. Pages made inaccessible lose their contents to
 * garbage unless they held only zeros. A decommit that fails leaves garbage. Memory is zero at
 * its first commit and after a decommit that succeeded, never otherwise. Executable pages are
 * only noted as such: nothing runs here, and hosts that forbid such mappings can run the tests.
 *
 * The region lies in a mapping of its own and is inaccessible until exp_port_region_commit.
 *
 * Nodes. A byte per page says which node was wished for and another where its memory is, which the
 * core learns only by exp_port_settle. A wish is lost when pages move, as the contract allows.
 *
 * Failures. Each fallible function counts its calls and compares them with a script of its own
 * and with one for all of them together. A call that fails by script has changed nothing (but
 * see decommit).
 *
 * Waiting. With one thread nobody else can change the word, save by the hook of sim_on_wait: a wait
 * that would sleep for ever is a deadlock, one with a timeout lets the clock run as far.
 *
 * There are no locks: one thread. What it refuses to do: run processors in parallel.
 */
#include "port.h"

#include <expool.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "owner_inline.h"

#define PAGE ((size_t)4096)
#define WIPES_MAX 64u
#define RESERVATIONS_MAX 64u
#define PRINTED_BYTES 1024u
#define GARBAGE_LOST 0xdd
#define GARBAGE_REFUSED 0xdb

/* The core's side of the border (src/core/owner.h). */
extern struct exp_owner exp_owner_none;
void exp_owner_exit(struct exp_owner *owner);
void exp_owner_child(void);

enum page_state {
    PAGE_OUTSIDE,  /* in no reservation */
    PAGE_RESERVED, /* never committed: reads as zero when it is */
    PAGE_READ,
    PAGE_WRITE,
    PAGE_EXECUTE,
    PAGE_LOST, /* was committed, is inaccessible again */
};

struct script {
    uint64_t calls; /* so far */
    uint64_t first; /* call number of the first failure; 0 = none */
    uint64_t count; /* failures in a row */
    uint64_t failed; /* calls that failed so far */
};

struct stretch {
    unsigned char *start;
    size_t bytes;
};

/* All state of the simulated port. */
static struct {
    uint64_t seed;
    uint64_t random_state;
    uint64_t clock_ms;
    uint64_t clock_rest_ns; /* below a millisecond */
    size_t arena_bytes;
    unsigned char *arena; /* NULL until the first reserve */
    size_t arena_used_bytes;
    unsigned char page_state[SIM_ARENA_BYTES_MAX / 4096]; /* enum page_state */
    size_t committed_pages;
    size_t committed_pages_max;
    uint32_t nodes;
    unsigned char page_wish[SIM_ARENA_BYTES_MAX / 4096]; /* 1 + node; 0: none */
    unsigned char page_node[SIM_ARENA_BYTES_MAX / 4096]; /* the same, of its memory */
    size_t node_pages[EXP_PORT_NODES_MAX];
    size_t node_pages_max[EXP_PORT_NODES_MAX];
    struct stretch reservation[RESERVATIONS_MAX];
    uint32_t reservation_count;
    struct stretch wipe[WIPES_MAX];
    uint32_t wipe_count;
    bool wipe_refused; /* at least one: the child needs exp_owner_child */
    bool decommit_refuse;
    unsigned char *region;
    size_t region_bytes;
    unsigned char region_committed[SIM_REGION_BYTES_MAX / 4096];
    struct script script[SIM_CALL_COUNT];
    struct script script_any;
    uint64_t failures;
    enum sim_call failure_last;
    void (*stop_hook)(const char *report, size_t length);
    void (*wait_hook)(uint32_t *word);
    bool memory_known;
    struct exp_port_memory memory;
    uint32_t conditions;
    void (*look)(void); /* of exp_port_condition_file */
    uint32_t conditions_told;
    char printed[PRINTED_BYTES]; /* what exp_port_print showed last */
    struct sim_processor processor[SIM_PROCESSORS];
} sim = {
    .seed = 1,
    .random_state = 0x9e3779b97f4a7c15u,
    .clock_ms = 1000,
    .arena_bytes = SIM_ARENA_BYTES_DEFAULT,
    .committed_pages_max = SIZE_MAX,
    .nodes = 1,
    .node_pages_max = {[0 ... EXP_PORT_NODES_MAX - 1] = SIZE_MAX},
    .processor = {[0 ... SIM_PROCESSORS - 1] = {.owner = &exp_owner_none}},
};

struct sim_processor *sim_processor_current = &sim.processor[0];

static const char *const call_names[SIM_CALL_COUNT] = {
    [SIM_RESERVE] = "reserve",   [SIM_COMMIT] = "commit",
    [SIM_DECOMMIT] = "decommit", [SIM_MOVE] = "move",
    [SIM_WIPE] = "wipe",         [SIM_REGION] = "region",
    [SIM_WAIT] = "wait",         [SIM_REGION_COMMIT] = "region_commit",
    [SIM_WAKE] = "wake",         [SIM_CLOCK] = "clock_ms",
    [SIM_NODE] = "node",
    [SIM_STOP] = "stop",         [SIM_OWNER_SET] = "owner_set",
    [SIM_DESCRIBE] = "describe", [SIM_NODES] = "nodes",
    [SIM_BIND] = "bind",         [SIM_SETTLE] = "settle",
    [SIM_WAKE_ALL] = "wake_all",
    [SIM_CLOCK_NS] = "clock_ns", [SIM_TIME] = "time_100ns",
    [SIM_CONDITION_FILE] = "condition_file",
    [SIM_MEMORY] = "memory",     [SIM_CONDITION] = "condition",
    [SIM_PRINT] = "print",
};

_Noreturn static void complain(const char *words, ...)
{
    va_list arguments;
    fprintf(stderr, "sim: ");
    va_start(arguments, words);
    vfprintf(stderr, words, arguments);
    va_end(arguments);
    fprintf(stderr,
            "\nsim: seed %llu, processor %u, %llu fallible calls, %llu failed by script%s%s\n",
            (unsigned long long)sim.seed, sim_processor_get(),
            (unsigned long long)sim.script_any.calls,
            (unsigned long long)sim.failures, sim.failures != 0 ? ", last " : "",
            sim.failures != 0 ? call_names[sim.failure_last] : "");
    abort();
}

_Noreturn void sim_unpin_without_pin(void)
{
    complain("exp_port_unpin without exp_port_pin");
}

/* Count a call; true when the script says that it fails. */
static bool fails(enum sim_call call)
{
    struct script *scripts[2] = {&sim.script[call], &sim.script_any};
    bool failing = false;
    for (int index = 0; index < (call < SIM_CALL_FALLIBLE ? 2 : 1); index++) {
        struct script *script = scripts[index];
        script->calls++;
        if (script->first != 0 && script->calls >= script->first &&
            script->calls - script->first < script->count) {
            failing = true;
        }
    }
    if (failing) {
        sim.failures++;
        sim.script[call].failed++;
        sim.failure_last = call;
    }
    return failing;
}

/* Whether the host protects in our granule; with larger pages only the notes are kept. */
static bool host_protects(void)
{
    return sysconf(_SC_PAGESIZE) == (long)PAGE;
}

static void host_protect(void *address, size_t bytes, bool usable)
{
    int protection = usable ? PROT_READ | PROT_WRITE : PROT_NONE;
    if (host_protects() && mprotect(address, bytes, protection) != 0) {
        complain("the host refuses mprotect of %zu bytes", bytes);
    }
}

static void *host_map(size_t bytes)
{
    int protection = host_protects() ? PROT_NONE : PROT_READ | PROT_WRITE;
    int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *address = mmap(NULL, bytes, protection, kind, -1, 0);
    if (address == MAP_FAILED) {
        complain("the host has no %zu bytes of address space", bytes);
    }
    return address;
}

static bool page_usable(unsigned char state)
{
    return state == PAGE_READ || state == PAGE_WRITE || state == PAGE_EXECUTE;
}

/* Index of the page, after checking that the whole range lies in one reservation. */
static size_t page_index_get(const char *what, const void *address, size_t bytes)
{
    uintptr_t start = (uintptr_t)address;
    if (start % PAGE != 0 || bytes % PAGE != 0 || bytes == 0) {
        complain("%s(%p, %zu): not whole pages", what, address, bytes);
    }
    for (uint32_t index = 0; index < sim.reservation_count; index++) {
        const struct stretch *stretch = &sim.reservation[index];
        uintptr_t low = (uintptr_t)stretch->start;
        if (start >= low && bytes <= stretch->bytes && start - low <= stretch->bytes - bytes) {
            return (start - (uintptr_t)sim.arena) / PAGE;
        }
    }
    complain("%s(%p, %zu): not inside one reservation", what, address, bytes);
}

/* The same, and every page must be committed. */
static size_t page_index_committed_get(const char *what, const void *address, size_t bytes)
{
    size_t first = page_index_get(what, address, bytes);
    for (size_t index = first; index < first + bytes / PAGE; index++) {
        if (!page_usable(sim.page_state[index])) {
            complain("%s(%p, %zu): page %zu of it is not committed", what, address, bytes,
                     index - first);
        }
    }
    return first;
}

static bool page_zero(const unsigned char *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

void sim_start(uint64_t seed, size_t arena_bytes)
{
    if (sim.arena != NULL || sim.region != NULL) {
        complain("sim_start after the core has begun");
    }
    if (arena_bytes == 0 || arena_bytes % PAGE != 0 || arena_bytes > SIM_ARENA_BYTES_MAX) {
        complain("sim_start: %zu bytes of arena", arena_bytes);
    }
    sim.seed = seed;
    sim.random_state = seed * 2 + 1;
    sim.arena_bytes = arena_bytes;
}

const char *sim_call_name(enum sim_call call)
{
    return call_names[call];
}

uint64_t sim_calls(enum sim_call call)
{
    return sim.script[call].calls;
}

uint64_t sim_calls_fallible(void)
{
    return sim.script_any.calls;
}

void sim_fail(enum sim_call call, uint64_t first, uint64_t count)
{
    if (call >= SIM_CALL_FALLIBLE) {
        complain("sim_fail: %s cannot fail", call_names[call]);
    }
    sim.script[call].first = first == 0 ? 0 : sim.script[call].calls + first;
    sim.script[call].count = count;
}

void sim_fail_any(uint64_t first, uint64_t count)
{
    sim.script_any.first = first == 0 ? 0 : sim.script_any.calls + first;
    sim.script_any.count = count;
}

uint64_t sim_failures(void)
{
    return sim.failures;
}

uint64_t sim_failures_of(enum sim_call call)
{
    return sim.script[call].failed;
}

enum sim_call sim_failure_last(void)
{
    return sim.failure_last;
}

void sim_memory_limit(size_t pages)
{
    sim.committed_pages_max = pages;
}

void sim_decommit_refuse(bool refuse)
{
    sim.decommit_refuse = refuse;
}

size_t sim_committed_pages(void)
{
    return sim.committed_pages;
}

bool sim_reserved(const void *address)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)sim.arena;
    return sim.arena != NULL && offset < sim.arena_bytes &&
           sim.page_state[offset / PAGE] != PAGE_OUTSIDE;
}

void *sim_reserved_lowest(void)
{
    return sim.reservation_count == 0 ? NULL : sim.reservation[0].start;
}

enum exp_port_access sim_access(const void *address)
{
    if (!sim_reserved(address)) {
        return EXP_PORT_NONE;
    }
    switch (sim.page_state[((uintptr_t)address - (uintptr_t)sim.arena) / PAGE]) {
    case PAGE_READ:
        return EXP_PORT_READ;
    case PAGE_WRITE:
        return EXP_PORT_READ_WRITE;
    case PAGE_EXECUTE:
        return EXP_PORT_READ_WRITE_EXECUTE;
    default:
        return EXP_PORT_NONE;
    }
}

const void *sim_region(void)
{
    return sim.region;
}

void sim_clock_advance_ms(uint64_t ms)
{
    sim.clock_ms += ms;
}

void sim_on_wait(void (*hook)(uint32_t *word))
{
    sim.wait_hook = hook;
}

void sim_memory_set(const struct exp_port_memory *memory)
{
    sim.memory_known = memory != NULL;
    sim.memory = memory != NULL ? *memory : (struct exp_port_memory){0};
}

bool sim_look(void)
{
    if (sim.look != NULL) {
        sim.look();
    }
    return sim.look != NULL;
}

uint32_t sim_conditions(void)
{
    return sim.conditions;
}

uint32_t sim_conditions_told(void)
{
    return sim.conditions_told;
}

void sim_processor_set(uint32_t processor)
{
    if (processor >= SIM_PROCESSORS) {
        complain("no processor %u", processor);
    }
    if (sim_processor_current->pins != 0) {
        complain("processor %u is left while it is pinned", sim_processor_get());
    }
    sim_processor_current = &sim.processor[processor];
}

uint32_t sim_processor_get(void)
{
    return (uint32_t)(sim_processor_current - sim.processor);
}

void sim_nodes(uint32_t nodes)
{
    if (nodes == 0 || nodes > EXP_PORT_NODES_MAX || sim.script[SIM_NODES].calls != 0) {
        complain("sim_nodes(%u) after %llu calls", nodes,
                 (unsigned long long)sim.script[SIM_NODES].calls);
    }
    sim.nodes = nodes;
}

void sim_node_limit(uint32_t node, size_t pages)
{
    sim.node_pages_max[node] = pages;
}

uint32_t sim_page_wish(const void *address)
{
    return sim_reserved(address)
               ? sim.page_wish[((uintptr_t)address - (uintptr_t)sim.arena) / PAGE] - 1u
               : SIM_NODE_NONE;
}

uint32_t sim_page_node(const void *address)
{
    return sim_reserved(address)
               ? sim.page_node[((uintptr_t)address - (uintptr_t)sim.arena) / PAGE] - 1u
               : SIM_NODE_NONE;
}

void sim_processor_node_set(uint32_t processor, uint32_t node)
{
    if (node >= sim.nodes) {
        complain("no node %u", node);
    }
    sim.processor[processor].node = node;
}

bool sim_processor_owned(uint32_t processor)
{
    return sim.processor[processor].owner != &exp_owner_none;
}

void sim_processor_exit(void)
{
    struct sim_processor *processor = sim_processor_current;
    if (processor->pins != 0) {
        complain("processor %u ends while it is pinned", sim_processor_get());
    }
    if (processor->owner != &exp_owner_none) {
        exp_owner_exit(processor->owner);
    }
    if (processor->pins != 0) {
        complain("exp_owner_exit leaves processor %u pinned", sim_processor_get());
    }
    processor->owner = &exp_owner_none;
}

void sim_child(void)
{
    for (uint32_t index = 0; index < sim.wipe_count; index++) {
        struct stretch *wipe = &sim.wipe[index];
        for (size_t offset = 0; offset < wipe->bytes; offset += PAGE) {
            if (sim_access(wipe->start + offset) != EXP_PORT_NONE) {
                memset(wipe->start + offset, 0, PAGE);
            }
        }
    }
    for (uint32_t index = 0; index < SIM_PROCESSORS; index++) {
        if (&sim.processor[index] != sim_processor_current) {
            sim.processor[index].owner = &exp_owner_none;
        }
    }
    if (sim.wipe_refused) {
        exp_owner_child();
    }
}

void sim_on_stop(void (*hook)(const char *report, size_t length))
{
    sim.stop_hook = hook;
}

void sim_check_rest(void)
{
    for (uint32_t index = 0; index < SIM_PROCESSORS; index++) {
        if (sim.processor[index].pins != 0) {
            complain("processor %u is pinned %u times at rest", index, sim.processor[index].pins);
        }
    }
}

/* The port. */

static void fault(int number, siginfo_t *information, void *context)
{
    (void)context;
    static char words[160];
    const void *address = information->si_addr;
    static const char *const names[] = {"outside", "reserved", "usable", "usable", "inaccessible"};
    unsigned state = sim_reserved(address)
                         ? sim.page_state[((uintptr_t)address - (uintptr_t)sim.arena) / PAGE]
                         : PAGE_OUTSIDE;
    int length = snprintf(words, sizeof(words),
                          "sim: fault at %p (%s page, region at %p), seed %llu\n", address,
                          names[state], (void *)sim.region, (unsigned long long)sim.seed);
    ssize_t written = write(STDERR_FILENO, words, (size_t)length);
    (void)written; /* nothing else can be told */
    signal(number, SIG_DFL);
}

static void fault_install(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    struct sigaction former;
    if (sigaction(SIGSEGV, NULL, &former) == 0 && former.sa_handler == SIG_DFL) {
        sigaction(SIGSEGV, &action, NULL);
    }
#else
    (void)fault;
#endif
}

void *exp_port_reserve(size_t bytes, size_t alignment)
{
    if (bytes == 0 || bytes % PAGE != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
        complain("reserve(%zu, %zu)", bytes, alignment);
    }
    if (fails(SIM_RESERVE)) {
        return NULL;
    }
    if (sim.arena == NULL) {
        /* The slack lets the first reservation be aligned without losing arena. */
        size_t slack_bytes = (size_t)64 << 20;
        uintptr_t start = (uintptr_t)host_map(sim.arena_bytes + slack_bytes);
        sim.arena = (unsigned char *)((start + slack_bytes - 1) & ~(slack_bytes - 1));
        fault_install();
    }
    uintptr_t arena = (uintptr_t)sim.arena;
    uintptr_t start = (arena + sim.arena_used_bytes + alignment - 1) & ~(alignment - 1);
    if (start - arena > sim.arena_bytes || bytes > sim.arena_bytes - (start - arena) ||
        sim.reservation_count == RESERVATIONS_MAX) {
        return NULL;
    }
    sim.arena_used_bytes = start - arena + bytes;
    sim.reservation[sim.reservation_count++] = (struct stretch){(unsigned char *)start, bytes};
    memset(&sim.page_state[(start - arena) / PAGE], PAGE_RESERVED, bytes / PAGE);
    return (void *)start;
}

/* A page's memory is of a node (1 + its index) or of none (0); false: the node has no more. */
static bool node_move(size_t page, unsigned char node)
{
    if (node != 0 && sim.page_node[page] != node) {
        if (sim.node_pages[node - 1] >= sim.node_pages_max[node - 1]) {
            return false;
        }
        sim.node_pages[node - 1]++;
    }
    if (sim.page_node[page] != 0 && sim.page_node[page] != node) {
        sim.node_pages[sim.page_node[page] - 1]--;
    }
    sim.page_node[page] = node;
    return true;
}

static void node_forget(size_t first, size_t pages)
{
    for (size_t index = first; index < first + pages; index++) {
        node_move(index, 0);
    }
}

/* Make pages inaccessible; what they held is lost, except that zeros may stay zeros. */
static void commit_none(size_t first, size_t pages)
{
    node_forget(first, pages);
    for (size_t index = first; index < first + pages; index++) {
        unsigned char *page = sim.arena + index * PAGE;
        if (page_usable(sim.page_state[index])) {
            if (!page_zero(page)) {
                memset(page, GARBAGE_LOST, PAGE);
            }
            sim.page_state[index] = PAGE_LOST;
            sim.committed_pages--;
        }
    }
    host_protect(sim.arena + first * PAGE, pages * PAGE, false);
}

bool exp_port_commit(void *address, size_t bytes, enum exp_port_access access, bool huge)
{
    (void)huge;
    size_t first = page_index_get("commit", address, bytes);
    size_t pages = bytes / PAGE;
    if ((unsigned)access > EXP_PORT_READ_WRITE_EXECUTE) {
        complain("commit(%p, %zu): access %d", address, bytes, (int)access);
    }
    if (fails(SIM_COMMIT)) {
        return false;
    }
    if (access == EXP_PORT_NONE) {
        commit_none(first, pages);
        return true;
    }
    size_t fresh = 0;
    for (size_t index = first; index < first + pages; index++) {
        fresh += !page_usable(sim.page_state[index]);
    }
    if (sim.committed_pages > sim.committed_pages_max ||
        fresh > sim.committed_pages_max - sim.committed_pages) {
        return false;
    }
    host_protect(address, bytes, true);
    int state = access == EXP_PORT_READ         ? PAGE_READ
                : access == EXP_PORT_READ_WRITE ? PAGE_WRITE
                                                : PAGE_EXECUTE;
    memset(&sim.page_state[first], state, pages);
    sim.committed_pages += fresh;
    return true;
}

bool exp_port_decommit(void *address, size_t bytes)
{
    size_t first = page_index_committed_get("decommit", address, bytes);
    if (fails(SIM_DECOMMIT) || sim.decommit_refuse) {
        memset(address, GARBAGE_REFUSED, bytes);
        return false;
    }
    node_forget(first, bytes / PAGE);
    if (madvise(address, bytes, MADV_DONTNEED) != 0) {
        memset(address, 0, bytes);
    }
    return true;
}

bool exp_port_move(void *to, void *from, size_t bytes)
{
    size_t to_first = page_index_committed_get("move to", to, bytes);
    size_t from_first = page_index_committed_get("move from", from, bytes);
    size_t distance = to_first > from_first ? to_first - from_first : from_first - to_first;
    if (distance < bytes / PAGE) {
        complain("move(%p, %p, %zu): the ranges overlap", to, from, bytes);
    }
    node_forget(to_first, bytes / PAGE);
    if (fails(SIM_MOVE)) {
        memset(&sim.page_wish[to_first], 0, bytes / PAGE);
        return false;
    }
    memcpy(&sim.page_wish[to_first], &sim.page_wish[from_first], bytes / PAGE);
    memcpy(&sim.page_node[to_first], &sim.page_node[from_first], bytes / PAGE);
    memset(&sim.page_node[from_first], 0, bytes / PAGE);
    memcpy(to, from, bytes);
    memset(from, 0, bytes);
    return true;
}

bool exp_port_wipe(void *address, size_t bytes)
{
    page_index_get("wipe", address, bytes);
    if (fails(SIM_WIPE)) {
        sim.wipe_refused = true;
        return false;
    }
    if (sim.wipe_count == WIPES_MAX) {
        complain("more than %u wiped ranges", WIPES_MAX);
    }
    sim.wipe[sim.wipe_count++] = (struct stretch){address, bytes};
    return true;
}

static void clock_advance_ns(uint64_t ns)
{
    sim.clock_rest_ns += ns % 1000000;
    sim.clock_ms += ns / 1000000 + sim.clock_rest_ns / 1000000;
    sim.clock_rest_ns %= 1000000;
}

void exp_port_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    fails(SIM_WAIT);
    if (sim_processor_current->pins != 0) {
        complain("a pinned processor waits");
    }
    if (*word == value && sim.wait_hook != NULL) {
        sim.wait_hook(word);
    }

    if (sim.wait_hook != NULL && timeout_ns > 1000000) {
        timeout_ns = 1000000; /* they run each millisecond */
    }
    if (*word == value && timeout_ns == UINT64_MAX) {
        complain("deadlock: wait(%p == %u) and nobody can wake it", (void *)word, value);
    }
    if (*word == value) {
        clock_advance_ns(timeout_ns);
    }
}

void exp_port_wake(uint32_t *word)
{
    if (word == NULL) {
        complain("wake(NULL)");
    }
    fails(SIM_WAKE);
}

void exp_port_wake_all(uint32_t *word)
{
    if (word == NULL) {
        complain("wake_all(NULL)");
    }
    fails(SIM_WAKE_ALL);
}

uint64_t exp_port_clock_ns(void)
{
    fails(SIM_CLOCK_NS);
    return sim.clock_ms * 1000000 + sim.clock_rest_ns;
}

uint64_t exp_port_time_100ns(void)
{
    fails(SIM_TIME);
    return UINT64_C(133000000000000000) + sim.clock_ms * 10000 + sim.clock_rest_ns / 100;
}

bool exp_port_memory(struct exp_port_memory *memory)
{
    fails(SIM_MEMORY);
    if (sim.memory_known) {
        *memory = sim.memory;
    }
    return sim.memory_known;
}

void exp_port_condition(unsigned index, bool holds)
{
    fails(SIM_CONDITION);
    if (index >= EXP_PORT_CONDITIONS) {
        complain("condition(%u)", index);
    }
    sim.conditions_told |= UINT32_C(1) << index;
    sim.conditions = (sim.conditions & ~(UINT32_C(1) << index)) | (uint32_t)holds << index;
}

int exp_port_condition_file(unsigned index, void (*look)(void))
{
    if (index >= EXP_PORT_CONDITIONS) {
        complain("condition_file(%u)", index);
    }
    sim.look = look != NULL ? look : sim.look;
    return fails(SIM_CONDITION_FILE) ? -1 : 100 + (int)index;
}

uint64_t exp_port_clock_ms(void)
{
    fails(SIM_CLOCK);
    return sim.clock_ms;
}

uint32_t exp_port_node(void)
{
    fails(SIM_NODE);
    return sim_processor_current->node;
}

uint32_t exp_port_nodes(void)
{
    fails(SIM_NODES);
    return sim.nodes;
}

void exp_port_bind(void *address, size_t bytes, uint32_t node)
{
    size_t first = page_index_committed_get("bind", address, bytes);
    if (node >= sim.nodes) {
        complain("bind(%p, %zu, %u): no such node", address, bytes, node);
    }
    fails(SIM_BIND);
    memset(&sim.page_wish[first], (int)(1 + node), bytes / PAGE);
}

bool exp_port_settle(void *address, size_t bytes, uint32_t node)
{
    size_t first = page_index_committed_get("settle", address, bytes);
    bool settled = true;
    if (node >= sim.nodes) {
        complain("settle(%p, %zu, %u): no such node", address, bytes, node);
    }
    if (fails(SIM_SETTLE)) {
        return false;
    }
    for (size_t page = first; settled && page < first + bytes / PAGE; page++) {
        settled = node_move(page, (unsigned char)(1 + node));
        for (uint32_t other = 0; sim.page_node[page] == 0 && other < sim.nodes; other++) {
            node_move(page, (unsigned char)(1 + other));
        }
    }
    return settled;
}

void *exp_port_region(size_t *bytes, bool fresh, size_t copy_bytes)
{
    if (*bytes == 0 || *bytes % PAGE != 0) {
        complain("region: %zu bytes wanted", *bytes);
    }
    if (fresh != (sim.region != NULL)) {
        complain("region: %s", fresh ? "a fresh one before the first" : "asked for twice");
    }
    if (fails(SIM_REGION)) {
        return NULL;
    }
    if (!fresh) {
        sim.region_bytes = *bytes < SIM_REGION_BYTES_MAX ? *bytes : SIM_REGION_BYTES_MAX;
        sim.region = host_map(sim.region_bytes);
        *bytes = sim.region_bytes;
        return sim.region;
    }
    if (*bytes > sim.region_bytes || copy_bytes > *bytes || copy_bytes % PAGE != 0) {
        complain("region: %zu bytes afresh with %zu copied, had %zu", *bytes, copy_bytes,
                 sim.region_bytes);
    }
    /* What lies beyond the copy is as new: no memory, and zero once it is committed. */
    for (size_t page = copy_bytes / PAGE; page < sim.region_bytes / PAGE; page++) {
        if (sim.region_committed[page]) {
            memset(sim.region + page * PAGE, 0, PAGE);
            host_protect(sim.region + page * PAGE, PAGE, false);
            sim.region_committed[page] = 0;
        }
    }
    sim.region_bytes = *bytes;
    return sim.region;
}

bool exp_port_region_commit(size_t offset, size_t bytes)
{
    if (sim.region == NULL) {
        complain("region_commit before region");
    }
    if (offset % PAGE != 0 || bytes % PAGE != 0 || bytes == 0 || offset > sim.region_bytes ||
        bytes > sim.region_bytes - offset) {
        complain("region_commit(%zu, %zu) in a region of %zu", offset, bytes, sim.region_bytes);
    }
    if (fails(SIM_REGION_COMMIT)) {
        return false;
    }
    host_protect(sim.region + offset, bytes, true);
    memset(&sim.region_committed[offset / PAGE], 1, bytes / PAGE);
    return true;
}

bool exp_port_owner_set(struct exp_owner *owner)
{
    if (owner == NULL || owner == &exp_owner_none || sim_processor_owned(sim_processor_get())) {
        complain("owner_set(%p) on processor %u", (void *)owner, sim_processor_get());
    }
    if (fails(SIM_OWNER_SET)) {
        return false;
    }
    sim_processor_current->owner = owner;
    return true;
}

_Noreturn void exp_port_stop(const struct expool_stop *stop, const char *name)
{
    fails(SIM_STOP);
    if (sim.stop_hook != NULL) {
        sim.stop_hook(stop->report, strlen(stop->report));
        complain("the stop hook returned");
    }
    fprintf(stderr, "%s", stop->report);
    complain(name);
}

size_t exp_port_describe(const void *caller, char *text, size_t size)
{
    fails(SIM_DESCRIBE);
    int length =
        snprintf(text, size, "called from %p on processor %u\n", caller, sim_processor_get());
    if (length < 0 || size == 0) {
        return 0;
    }
    return (size_t)length < size ? (size_t)length : size - 1;
}

void exp_port_print(const char *text, size_t bytes)
{
    fails(SIM_PRINT);
    if (bytes >= sizeof(sim.printed)) {
        complain("exp_port_print of more than anybody has to say");
    }
    memcpy(sim.printed, text, bytes);
    sim.printed[bytes] = '\0';
}

const char *sim_printed(void)
{
    return sim.printed;
}
