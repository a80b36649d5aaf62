/* SPDX-License-Identifier: MIT */
/*
 * The example examples/prefix_tree.c, as its author would test it: against a list of routes that is
 * searched from end to end, with memory refused at every place, at every IRQL, by several threads.
 *
 * Addresses are drawn from few values, so that prefixes cover each other often.
 */
#include "ddi_test.h"

#include <ntddk.h>
#include <prefix_tree.h>
#include <pthread.h>
#include <sched.h>

enum {
    ROUTES_MAX = 2048, /* more than random_address and random_length can name */
    ROUTES_REFUSED = 256,
    STEPS = 20000,
    READERS = 4,
    EDITS = 1000,
};

struct route {
    ULONG address;
    UCHAR length;
    PVOID context;
};

static struct {
    struct route routes[ROUTES_MAX];
    size_t count;
    uintptr_t last_context;
} model;

static PREFIX_TREE tree;

/* ---- the model ------------------------------------------------------------------------------- */

static ULONG mask_of(UCHAR length)
{
    return length == 0 ? 0 : 0xFFFFFFFFu << (32 - length);
}

static struct route *model_find(ULONG address, UCHAR length)
{
    for (size_t i = 0; i < model.count; ++i) {
        if (model.routes[i].address == address && model.routes[i].length == length) {
            return &model.routes[i];
        }
    }
    return NULL;
}

static struct route *model_lookup(ULONG address)
{
    struct route *best = NULL;

    for (size_t i = 0; i < model.count; ++i) {
        struct route *route = &model.routes[i];

        if ((address & mask_of(route->length)) == route->address &&
            (best == NULL || route->length > best->length)) {
            best = route;
        }
    }
    return best;
}

static ULONG random_address(uint64_t *seed)
{
    static const ULONG bits[] = { 0x80000000, 0x00800000, 0x00400000, 0x00200000,
                                  0x00010000, 0x00000800, 0x00000400, 0x00000001 };
    ULONG address = 0x0A000000;
    uint64_t chosen = ddi_random(seed);

    for (size_t i = 0; i < ARRAYSIZE(bits); ++i) {
        address ^= chosen >> (20 + i) & 1 ? bits[i] : 0;
    }
    return address;
}

static UCHAR random_length(uint64_t *seed)
{
    static const UCHAR lengths[] = { 0, 1, 8, 9, 10, 11, 16, 21, 22, 31, 32, 32 };

    return lengths[ddi_random(seed) % ARRAYSIZE(lengths)];
}

/* ---- steps that do the same to both ---------------------------------------------------------- */

static void start(void)
{
    model.count = 0;
    DDI_EQUAL(STATUS_SUCCESS, PrefixTreeInitialize(&tree));
}

static void agree(ULONG address)
{
    struct route *route = model_lookup(address);
    UCHAR length = 99;
    PVOID context = &tree;
    NTSTATUS status = PrefixTreeLookup(&tree, address, &context, &length);

    DDI_EQUAL(route != NULL ? STATUS_SUCCESS : STATUS_NOT_FOUND, status);
    DDI_TRUE_FOR(context == (route != NULL ? route->context : NULL), address);
    DDI_TRUE_FOR(length == (route != NULL ? route->length : 99), address);
}

static void shape_is_right(void)
{
    DDI_EQUAL(model.count, tree.RouteCount);
    DDI_TRUE_FOR(tree.NodeCount < 2 * model.count + (model.count == 0), tree.NodeCount);
}

static NTSTATUS insert(ULONG address, UCHAR length)
{
    PVOID context = (PVOID)++model.last_context;
    NTSTATUS status = PrefixTreeInsert(&tree, address, length, context);

    if (NT_SUCCESS(status)) {
        DDI_TRUE(model_find(address, length) == NULL && model.count < ROUTES_MAX);
        model.routes[model.count++] = (struct route){ address, length, context };
    } else if (status == STATUS_OBJECT_NAME_COLLISION) {
        DDI_TRUE(model_find(address, length) != NULL);
    }
    return status;
}

static void remove_route(ULONG address, UCHAR length)
{
    struct route *route = model_find(address, length);
    PVOID context = &tree;
    NTSTATUS status = PrefixTreeRemove(&tree, address, length, &context);

    DDI_EQUAL(route != NULL ? STATUS_SUCCESS : STATUS_NOT_FOUND, status);
    DDI_TRUE(context == (route != NULL ? route->context : NULL));
    if (route != NULL) {
        *route = model.routes[--model.count];
    }
}

static void random_steps(uint64_t *seed, size_t steps)
{
    for (size_t step = 0; step < steps; ++step) {
        UCHAR length = random_length(seed);
        ULONG address = random_address(seed) & mask_of(length);

        if (ddi_random(seed) % 2 == 0) {
            NTSTATUS status = insert(address, length);

            DDI_TRUE_FOR(NT_SUCCESS(status) || status == STATUS_OBJECT_NAME_COLLISION, status);
        } else {
            remove_route(address, length);
        }
        agree(random_address(seed));
        shape_is_right();
    }
}

static void finish(void)
{
    PrefixTreeUninitialize(&tree);
    DDI_EQUAL(0, tree.NodeCount);
    DDI_EQUAL(0, ddi_live(PREFIX_TREE_TAG, 0));
    DDI_EQUAL(0, ddi_row(PREFIX_TREE_TAG, 0).bytes);
    DDI_EQUAL(0, ddi_row(PREFIX_TREE_TAG, 1).allocs);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_the_longest_prefix_wins(void)
{
    PVOID context;
    UCHAR length;

    start();
    agree(0x0A000501);
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A000000, 8));
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A000500, 24));
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A010000, 16));
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A800000, 9));
    DDI_EQUAL(5, tree.NodeCount); /* a fork 10.0.0.0/15 is among them */
    DDI_EQUAL(STATUS_SUCCESS, PrefixTreeLookup(&tree, 0x0A000501, &context, &length));
    DDI_EQUAL(24, length);
    DDI_EQUAL(STATUS_SUCCESS, PrefixTreeLookup(&tree, 0x0A000601, &context, &length));
    DDI_EQUAL(8, length);
    DDI_EQUAL(STATUS_NOT_FOUND, PrefixTreeLookup(&tree, 0x0B000000, &context, NULL));
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A000000, 15)); /* the fork becomes a route */
    DDI_EQUAL(5, tree.NodeCount);
    remove_route(0x0A000000, 15);
    DDI_EQUAL(5, tree.NodeCount);
    remove_route(0x0A010000, 16); /* and now nobody needs it */
    DDI_EQUAL(3, tree.NodeCount);
    agree(0x0A010001);
    finish();
}

static void test_what_is_no_prefix_is_refused(void)
{
    start();
    DDI_EQUAL(STATUS_INVALID_PARAMETER, insert(0x0A000001, 8));
    DDI_EQUAL(STATUS_INVALID_PARAMETER, insert(0x0A000000, 33));
    DDI_EQUAL(STATUS_INVALID_PARAMETER, insert(1, 0));
    remove_route(0x0A000001, 8);
    DDI_EQUAL(STATUS_SUCCESS, insert(0, 0));
    DDI_EQUAL(STATUS_OBJECT_NAME_COLLISION, insert(0, 0));
    agree(0xFFFFFFFF);
    finish();
}

static void test_random_edits_agree_with_a_list_of_routes(void)
{
    uint64_t seed = ddi_seed(0x70726566);

    start();
    random_steps(&seed, STEPS);
    finish();
    start(); /* the storage can be used again */
    random_steps(&seed, 100);
    finish();
}

/* Insert the same routes again and again; each time a later request for pages is refused. */
static void test_each_refused_page_request_leaves_the_tree_as_it_was(void)
{
    unsigned refused = 0;

    (void)expool_set("front_cache", "0");
    for (uint64_t nth = 1; refused + 1 == nth || nth == 1; ++nth) {
        expool_trim();
        start();
        expool_fail_page_request(nth);
        for (ULONG i = 0; i < ROUTES_REFUSED; ++i) {
            ULONG nodes = tree.NodeCount;
            NTSTATUS status = insert(0x0A000000 + i * 0x10100, 24);

            if (status == STATUS_INSUFFICIENT_RESOURCES) {
                refused += 1;
                DDI_EQUAL(nodes, tree.NodeCount);
                agree(0x0A000001 + i * 0x10100);
                agree(0x0A000001);
                shape_is_right();
                status = insert(0x0A000000 + i * 0x10100, 24);
            }
            DDI_EQUAL(STATUS_SUCCESS, status);
        }
        expool_fail_page_request(0);
        DDI_EQUAL(2 * ROUTES_REFUSED - 1, tree.NodeCount);
        finish();
    }
    DDI_TRUE_FOR(refused > 0, refused);
}

/* With room for exactly one node the insert that needs two fails at its second. */
static void test_an_insert_that_gets_one_node_of_two_gives_it_back(void)
{
    enum {
        FILLER = 'lliF',
        FILLERS = 100000,
    };
    static PVOID filler[FILLERS];
    size_t count = 0;
    ULONG size;

    (void)expool_set("front_cache", "0");
    start();
    size = tree.NodeLookaside.L.Size;
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A010000, 16));
    ExFlushLookasideListEx(&tree.NodeLookaside);
    DDI_EQUAL(0, expool_set("nonpaged_limit", "0"));
    while (count < FILLERS &&
           (filler[count] = ExAllocatePool2(POOL_FLAG_NON_PAGED, size, FILLER)) != NULL) {
        count += 1;
    }
    if (DDI_TRUE(count > 0 && count < FILLERS)) {
        DDI_EQUAL(STATUS_INSUFFICIENT_RESOURCES, insert(0x0A000000, 16));
        ExFreePoolWithTag(filler[--count], FILLER);
        DDI_EQUAL(STATUS_INSUFFICIENT_RESOURCES, insert(0x0A000000, 16));
        DDI_EQUAL(1, tree.NodeCount);
        agree(0x0A000001);
        DDI_EQUAL(STATUS_SUCCESS, insert(0x0A010500, 24)); /* one is enough below the first */
    }
    DDI_EQUAL(0, expool_set("nonpaged_limit", "unlimited"));
    DDI_EQUAL(STATUS_SUCCESS, insert(0x0A000000, 16));
    while (count > 0) {
        ExFreePoolWithTag(filler[--count], FILLER);
    }
    finish();
}

static void test_everything_works_at_dispatch_and_stops_above(void)
{
    uint64_t seed = 5;
    struct ddi_stop stop;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    start();
    random_steps(&seed, 200);
    ExFlushLookasideListEx(&tree.NodeLookaside); /* or a kept node would serve */
    KeLowerIrql(old);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &old);
    DDI_CATCH(&stop, (void)PrefixTreeInsert(&tree, 0xC0000000, 30, NULL));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, 3, NonPagedPoolNx, tree.NodeLookaside.L.Size);
    KeLowerIrql(old);
    shape_is_right();
    finish();
}

/* ---- threads --------------------------------------------------------------------------------- */

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* the lock of the tree's user */
static bool done;                                          /* under it */

/* Routes 10.n.0.0/16 come and go, 10.0.0.0/8 stays; a context tells its route. */
static void *read_routes(void *argument)
{
    uint64_t seed = (uintptr_t)argument + 1;
    uintptr_t faults = 0;
    bool last = false;

    while (!last) {
        ULONG address = 0x0A000000 | (ULONG)(ddi_random(&seed) >> 40);
        PVOID context;
        UCHAR length = 0;

        pthread_rwlock_rdlock(&lock);
        faults += PrefixTreeLookup(&tree, address, &context, &length) != STATUS_SUCCESS;
        faults += length == 16 ? (uintptr_t)context != address >> 16 : length != 8;
        last = done;
        pthread_rwlock_unlock(&lock);
        sched_yield(); /* or the writer would hardly ever find no reader */
    }
    return (void *)faults;
}

static void test_readers_see_whole_routes_while_one_edits(void)
{
    pthread_t readers[READERS];
    uint64_t seed = 7;

    done = false;
    DDI_EQUAL(STATUS_SUCCESS, PrefixTreeInitialize(&tree));
    DDI_EQUAL(STATUS_SUCCESS, PrefixTreeInsert(&tree, 0x0A000000, 8, NULL));
    for (size_t i = 0; i < READERS; ++i) {
        DDI_EQUAL(0, pthread_create(&readers[i], NULL, read_routes, (void *)i));
    }
    for (int edit = 0; edit < EDITS; ++edit) {
        ULONG address = 0x0A000000 | (ULONG)(ddi_random(&seed) >> 40 & 0x3F0000);

        pthread_rwlock_wrlock(&lock);
        if (PrefixTreeRemove(&tree, address, 16, NULL) == STATUS_NOT_FOUND) {
            DDI_EQUAL(STATUS_SUCCESS,
                      PrefixTreeInsert(&tree, address, 16, (PVOID)(uintptr_t)(address >> 16)));
        }
        done = edit == EDITS - 1;
        pthread_rwlock_unlock(&lock);
    }
    for (size_t i = 0; i < READERS; ++i) {
        void *faults;

        DDI_EQUAL(0, pthread_join(readers[i], &faults));
        DDI_EQUAL(0, (uintptr_t)faults);
    }
    finish();
}

static const struct ddi_test tests[] = {
    DDI_TEST("(example)", test_the_longest_prefix_wins),
    DDI_TEST("(example)", test_what_is_no_prefix_is_refused),
    DDI_TEST("(example)", test_random_edits_agree_with_a_list_of_routes),
    DDI_TEST("(example)", test_each_refused_page_request_leaves_the_tree_as_it_was),
    DDI_TEST("(example)", test_an_insert_that_gets_one_node_of_two_gives_it_back),
    DDI_TEST("(example)", test_everything_works_at_dispatch_and_stops_above),
    DDI_TEST("(example)", test_readers_see_whole_routes_while_one_edits),
};

DDI_MAIN(tests)
