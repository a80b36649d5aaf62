/* SPDX-License-Identifier: MIT */
/*
 * On a machine with several NUMA nodes a thread's memory is its own node's, what is freed anywhere
 * goes home, another node serves only when memory is short, and not at all when that is asked for.
 *
 * Processors of the simulated port stand for threads, processor n on node n. Which node a page is
 * wished from and has memory of is asked of the port, not of the core.
 *
 * source: spec/api.md 2.7 NUMA, 3.3; design.md 4 (Many processors); docs/decisions/0011-numa.md
 */
#include "front/pool.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG  UINT32_C(0x65646f4e) /* Node */
#define ONLY EXP_SPAN_NODE_ONLY
#define PAGE EXP_PAGE_BYTES

enum {
    NODES = 4,
    NONPAGED = 0,
    PAGED = 2,
    CLASS = 31, /* 1024 bytes */
    BIN = PAGED << EXP_CLASS_BITS | CLASS,
    SLOTS = 64, /* of a run of CLASS */
};

static const size_t sizes[] = {
    1, 48, 600, 1024, 2500, 4096, 5000, 20000, 65536, 100000, 6 << 20, 0
};

/* A machine of nodes, a processor on each; the first call starts the pool. */
static void start(uint32_t nodes)
{
    sim_nodes(nodes);
    for (uint32_t node = 0; node < nodes; node++) {
        sim_processor_node_set(node, node);
    }
    expool_trim();
    CHECK_EQUAL(exp_range.nodes, nodes);
    CHECK_EQUAL(exp_classes[CLASS].page_slots * exp_classes[CLASS].run_pages, SLOTS);
}

static void *allocate(uint64_t flag, size_t bytes)
{
    void *block = ExAllocatePool2(flag, bytes, TAG);
    if (!CHECK(block != NULL)) {
        exit(1);
    }
    return block;
}

/* Every page of a block is wished from one node. */
static bool lies_on(const void *block, size_t bytes, uint32_t node)
{
    uintptr_t first = (uintptr_t)block & ~(uintptr_t)(PAGE - 1);
    for (uintptr_t page = first; page < (uintptr_t)block + bytes; page += PAGE) {
        if (sim_page_wish((void *)page) != node) {
            return false;
        }
    }
    return true;
}

static uint32_t node_of(const struct exp_run_entry *entry)
{
    return sim_page_wish(exp_run_entry_block(entry));
}

static uint32_t batches_of(unsigned node, unsigned bin)
{
    struct exp_store_view view;
    exp_store_view(node, bin, &view);
    return view.batch_count;
}

static void everybody_exits(void)
{
    for (uint32_t processor = 0; processor < SIM_PROCESSORS; processor++) {
        sim_processor_set(processor);
        sim_processor_exit();
    }
    sim_processor_set(0);
}

static void test_node_blocks_lie_on_the_node_of_their_thread(void)
{
    enum {
        ROUNDS = 40
    };
    static const uint64_t flags[] = { FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED };
    start(NODES);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint32_t node = 0; node < NODES; node++) {
            sim_processor_set(node);
            for (unsigned index = 0; sizes[index] != 0; index++) {
                if (sizes[index] <= 100000 || round == 0) {
                    void *block = allocate(flags[(round + index) % 3], sizes[index]);
                    CHECK(lies_on(block, sizes[index], node));
                }
            }
        }
    }
    CHECK_FITS();
}

static void test_node_of_a_machine_with_one_is_never_asked(void)
{
    start(1);
    for (unsigned index = 0; sizes[index] != 0; index++) {
        ExFreePool(allocate(FLAG_PAGED, sizes[index]));
    }
    CHECK_EQUAL(sim_calls(SIM_NODES), 1);
    CHECK_EQUAL(sim_calls(SIM_NODE), 0);
    CHECK_EQUAL(sim_calls(SIM_BIND), 0);
    CHECK_EQUAL(sim_calls(SIM_SETTLE), 0);
    CHECK_FITS();
}

static void test_node_of_a_thread_that_moves_is_asked_anew(void)
{
    start(2);
    void *first = allocate(FLAG_PAGED, 3 * PAGE + 1);
    void *large = allocate(FLAG_PAGED, 100000);
    sim_processor_node_set(0, 1);
    CHECK(lies_on(first, 3 * PAGE + 1, 0) && lies_on(large, 100000, 0));
    CHECK(lies_on(allocate(FLAG_PAGED, 100000), 100000, 1));
    CHECK(lies_on(allocate(FLAG_PAGED, 600), 600, 1));
    CHECK_FITS();
}

static void test_node_of_a_block_gets_it_back_whoever_frees_it(void)
{
    enum {
        BLOCKS = 2000
    };
    static void *blocks[2][BLOCKS];
    start(2);
    for (int index = 0; index < BLOCKS; index++) {
        for (uint32_t node = 0; node < 2; node++) {
            sim_processor_set(node);
            blocks[node][index] = allocate(FLAG_PAGED, 1024);
        }
    }
    uint64_t pages = exp_span.counts[PAGED].pages_used;
    /* Each frees what the other allocated, and its own in between: caches hold both. */
    for (int index = 0; index < BLOCKS; index++) {
        sim_processor_set((uint32_t)(index / 3 % 2));
        ExFreePool(blocks[0][index]);
        ExFreePool(blocks[1][index]);
    }
    CHECK_FITS(); /* no batch holds slots of two nodes, each run is in its node's list */
    CHECK(batches_of(0, BIN) != 0 && batches_of(1, BIN) != 0);
    sim_processor_set(1);
    sim_processor_exit();
    sim_processor_set(0);
    sim_processor_exit();
    CHECK_FITS();
    /* Nobody has a cache now, so everything was home. */
    for (int index = 0; index < BLOCKS; index++) {
        for (uint32_t node = 0; node < 2; node++) {
            sim_processor_set(node);
            blocks[node][index] = allocate(FLAG_PAGED, 1024);
            CHECK(lies_on(blocks[node][index], 1024, node));
        }
    }
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, pages);
    for (int index = 0; index < BLOCKS; index++) {
        ExFreePool(blocks[0][index]);
        ExFreePool(blocks[1][index]);
    }
    everybody_exits();
    expool_trim();
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 0);
    CHECK_FITS();
}

static void test_node_store_given_twice_tells_the_slot_of_any_node(void)
{
    struct exp_run_entry entries[4];
    start(2);
    CHECK_EQUAL(exp_store_take(0, BIN, entries, 2), 2);
    CHECK_EQUAL(exp_store_take(1, BIN, entries + 2, 2), 2);
    CHECK(exp_store_give(BIN, &entries[2], 1, false) == NULL);
    CHECK(exp_store_give(BIN, entries, 4, true) == exp_run_entry_block(&entries[2]));
    CHECK_FITS();
}

static void test_node_store_gives_in_parts_what_is_mixed(void)
{
    static struct exp_run_entry mixed[512];
    struct exp_run_entry entries[2];
    start(3);
    for (int index = 0; index < 512; index++) {
        unsigned node = index % 5 < 2 ? 0 : index % 5 < 4 ? 1 : 2;
        CHECK_EQUAL(exp_store_take(node, BIN, &mixed[index], 1), 1);
        CHECK_EQUAL(node_of(&mixed[index]), node);
    }
    CHECK(exp_store_give(BIN, mixed, 512, true) == NULL);
    CHECK_EQUAL(batches_of(0, BIN), 3); /* 206 slots: 3 * 64 and 14 that went home */
    CHECK_EQUAL(batches_of(1, BIN), 3); /* 204 */
    CHECK_EQUAL(batches_of(2, BIN), 1); /* 102 */
    CHECK_FITS();
    for (unsigned node = 0; node < 3; node++) {
        CHECK_EQUAL(exp_store_take(node, BIN, entries, 2), 2);
        CHECK(node_of(&entries[0]) == node && node_of(&entries[1]) == node);
        CHECK(exp_store_give(BIN, entries, 2, false) == NULL);
    }
    exp_store_trim();
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 0);
    CHECK_FITS();
}

static void test_node_tails_serve_their_own_node_only(void)
{
    start(2);
    char *parent = allocate(FLAG_PAGED, 5000); /* its second page has a tail */
    CHECK(!exp_list_empty(exp_run_offers(0, PAGED, 3)) ||
          !exp_list_empty(exp_run_offers(0, PAGED, 2)));
    sim_processor_set(1);
    void *small = allocate(FLAG_PAGED, 48);
    CHECK(lies_on(small, 48, 1));
    sim_processor_set(0);
    void *other = allocate(FLAG_PAGED, 48);
    CHECK(lies_on(other, 48, 0));
    CHECK_EQUAL(((uintptr_t)other - (uintptr_t)parent) / PAGE, 1);
    CHECK_FITS();
}

static void test_node_free_neighbours_of_two_nodes_stay_apart(void)
{
    start(2);
    size_t chunk_bytes = exp_range.chunk_pages * PAGE;
    char *low = allocate(FLAG_PAGED, chunk_bytes);
    sim_processor_set(1);
    char *high = allocate(FLAG_PAGED, chunk_bytes);
    CHECK(low + chunk_bytes == high);
    ExFreePool(low);
    ExFreePool(high);
    CHECK_FITS();
    expool_trim();
    CHECK_FITS();
    CHECK(exp_span_take(0 | ONLY, PAGED, exp_range.chunk_pages)->page ==
          exp_range_offset(low) >> EXP_PAGE_SHIFT);
    CHECK(exp_span_take(1 | ONLY, PAGED, exp_range.chunk_pages)->page ==
          exp_range_offset(high) >> EXP_PAGE_SHIFT);
}

/* Memory of node 0 is free, and the system has no more: every way to get some for node 1. */
static void test_node_without_memory_is_served_by_others_unless_only_it_will_do(void)
{
    struct exp_run_entry entry;
    start(2);
    void *slot = allocate(FLAG_PAGED, 1024);
    ExFreePool(slot);
    ExFreePool(allocate(FLAG_PAGED, 200000));
    sim_processor_exit(); /* its caches are flushed: the store of node 0 has slots */
    sim_memory_limit(sim_committed_pages());
    CHECK(exp_span_take(1 | ONLY, PAGED, 1) == NULL);
    CHECK(exp_run_make(1 | ONLY, PAGED, CLASS) == NULL);
    CHECK(exp_run_large_make(1 | ONLY, PAGED, 100000, PAGE, false) == NULL);
    CHECK_EQUAL(exp_store_take(1 | ONLY, BIN, &entry, 1), 0);
    CHECK_FITS();

    sim_processor_set(1);
    void *large = allocate(FLAG_PAGED, 100000);
    CHECK(lies_on(large, 100000, 0));
    void *small = allocate(FLAG_PAGED, 1024);
    CHECK(lies_on(small, 1024, 0));
    CHECK_FITS();
    ExFreePool(large);
    ExFreePool(small);

    sim_memory_limit(SIZE_MAX);
    struct exp_span *only = exp_run_large_make(1 | ONLY, PAGED, 100000, PAGE, false);
    CHECK(only != NULL && lies_on(exp_range_page(only->page), 100000, 1));
    exp_run_large_unmake(only);
    CHECK_EQUAL(exp_store_take(1 | ONLY, BIN, &entry, 1), 1);
    CHECK_EQUAL(node_of(&entry), 1);
    CHECK(exp_store_give(BIN, &entry, 1, false) == NULL);
    CHECK_FITS();
}

/* At the limit of a pool only the stores of other nodes have what is asked for. */
static void test_node_at_the_limit_takes_slots_of_others(void)
{
    struct exp_run_entry entry;
    struct exp_run_entry other;
    start(3);
    CHECK_EQUAL(exp_store_take(2, BIN, &entry, 1), 1);
    CHECK_EQUAL(expool_set("paged_limit", "4K"), 0);
    CHECK_EQUAL(exp_store_take(1 | ONLY, BIN, &other, 1), 0);
    CHECK_EQUAL(exp_store_take(1, BIN, &other, 1), 1);
    CHECK_EQUAL(node_of(&other), 2);
    CHECK(exp_store_give(BIN, &entry, 1, false) == NULL);
    CHECK(exp_store_give(BIN, &other, 1, false) == NULL);
    CHECK_FITS();
}

static void test_node_settle_tells_where_memory_is(void)
{
    enum {
        PAGES = 100
    };
    start(2);
    sim_node_limit(1, PAGES + PAGES / 2);
    struct exp_span *first = exp_run_large_make(1 | ONLY, NONPAGED, PAGES * PAGE, PAGE, false);
    struct exp_span *second = exp_run_large_make(1 | ONLY, NONPAGED, PAGES * PAGE, PAGE, false);
    CHECK(first != NULL && second != NULL);
    CHECK(exp_port_settle(exp_range_page(first->page), PAGES * PAGE, 1));
    CHECK_EQUAL(sim_page_node(exp_range_page(first->page + PAGES - 1)), 1);
    CHECK(!exp_port_settle(exp_range_page(second->page), PAGES * PAGE, 1));
    CHECK_EQUAL(sim_page_node(exp_range_page(second->page)), 1);
    CHECK_EQUAL(sim_page_node(exp_range_page(second->page + PAGES / 2)), 0);
    /* When the first one's memory has gone back there is enough, and what lay elsewhere comes. */
    exp_run_large_unmake(first);
    exp_span_purge(true);
    CHECK(exp_port_settle(exp_range_page(second->page), PAGES * PAGE, 1));
    CHECK_EQUAL(sim_page_node(exp_range_page(second->page + PAGES - 1)), 1);
    exp_run_large_unmake(second);
    CHECK_FITS();
}

/* Pages that move bring along where they were wished from, or the wish is lost. */
static void test_node_wish_survives_a_resize_that_moves_pages(void)
{
    size_t bytes = (size_t)5 << 20;
    start(2);
    uint32_t number = exp_tag_register(TAG);
    for (int failing = 0; failing < 2; failing++) {
        sim_processor_set(0);
        char *block = exp_pool_face_allocate(bytes, number, false);
        char *behind = exp_pool_face_allocate(bytes, number, false); /* it cannot grow there */
        CHECK(lies_on(block, bytes, 0) && lies_on(behind, bytes, 0));
        block[bytes - 1] = 'e';
        sim_processor_set(1);
        uint64_t moves = sim_calls(SIM_MOVE);
        sim_fail(SIM_MOVE, (uint64_t)failing, 1);
        char *moved = exp_pool_face_resize(block, 3 * bytes, number);
        CHECK_EQUAL(sim_calls(SIM_MOVE), moves + 1);
        CHECK(moved != NULL && moved != block && moved[bytes - 1] == 'e');
        CHECK(lies_on(moved, 3 * bytes, 1));
        CHECK(lies_on(block, bytes, 0));
    }
    CHECK_FITS();
}

/* Caches of lost threads go home to every node, and stores that were in use are made anew. */
static void test_node_copy_of_a_process_finds_all_nodes_again(bool torn)
{
    enum {
        BLOCKS = 600
    };
    static void *many[BLOCKS];
    start(3);
    for (int index = 0; index < BLOCKS; index++) {
        sim_processor_set((uint32_t)index % 3);
        many[index] = allocate(FLAG_PAGED, index % 2 == 0 ? 1024 : 16 + (size_t)index * 5);
    }
    for (int index = 0; index < BLOCKS; index += 3) {
        sim_processor_set((uint32_t)(index + index / 3) % 3);
        ExFreePool(many[index]);
    }
    CHECK_FITS();
    sim_processor_set(1);
    if (torn) {
        struct exp_store_view view;
        exp_store_view(2, BIN, &view);
        exp_lock_acquire(view.lock); /* by a thread that is not in the copy */
    }
    sim_child();
    ExFreePool(allocate(FLAG_PAGED, 64)); /* the first call notices */
    CHECK_FITS();
    for (int index = 0; index < BLOCKS; index++) {
        if (index % 3 != 0) {
            ExFreePoolWithTag(many[index], TAG);
        }
    }
    everybody_exits();
    expool_trim();
    CHECK_EQUAL(exp_span.counts[PAGED].pages_used, 0);
    CHECK_FITS();
}

static void test_node_copy_brings_lost_caches_home(void)
{
    test_node_copy_of_a_process_finds_all_nodes_again(false);
}

static void test_node_copy_makes_torn_stores_of_a_bin_anew(void)
{
    test_node_copy_of_a_process_finds_all_nodes_again(true);
}

/* The first thing that does not fit. */
static enum exp_verify_what fault_of(void)
{
    struct exp_verify_fault fault;
    CHECK(!exp_verify_all(&fault));
    return fault.what;
}

static void test_node_that_does_not_fit_is_named(void)
{
    static struct exp_run_entry entries[64];
    start(2);
    CHECK_EQUAL(exp_store_take(0, BIN, entries, 64), 64);
    struct exp_span *run =
        exp_span_of(exp_range_offset(exp_run_entry_block(entries)) >> EXP_PAGE_SHIFT);
    CHECK(exp_store_give(BIN, entries, 64, true) == NULL);
    struct exp_run_entry one;
    CHECK_EQUAL(exp_store_take(1, BIN, &one, 1), 1);
    CHECK(exp_store_give(BIN, &one, 1, false) == NULL);
    CHECK_FITS();
    run->node = 1; /* in a chunk of node 0 */
    CHECK_EQUAL(fault_of(), EXP_VERIFY_PAGE);
    run->node = 0;
    CHECK_FITS();
    size_t chunk = run->page / exp_range.chunk_pages;
    exp_range.chunks[chunk] = exp_range_chunk(2, PAGED); /* there are only two nodes */
    CHECK_EQUAL(fault_of(), EXP_VERIFY_CHUNK);
    exp_range.chunks[chunk] = exp_range_chunk(0, PAGED);
    size_t count;
    struct exp_run_entry *batch = exp_store_batch(0, BIN, 0, &count);
    struct exp_run_entry first = batch[0];
    batch[0] = one; /* a slot of the other node in a batch */
    CHECK_EQUAL(fault_of(), EXP_VERIFY_CACHED);
    batch[0] = first;
    CHECK_FITS();
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_node_blocks_lie_on_the_node_of_their_thread);
    RUN_FRESH(test_node_of_a_machine_with_one_is_never_asked);
    RUN_FRESH(test_node_of_a_thread_that_moves_is_asked_anew);
    RUN_FRESH(test_node_of_a_block_gets_it_back_whoever_frees_it);
    RUN_FRESH(test_node_store_given_twice_tells_the_slot_of_any_node);
    RUN_FRESH(test_node_store_gives_in_parts_what_is_mixed);
    RUN_FRESH(test_node_tails_serve_their_own_node_only);
    RUN_FRESH(test_node_free_neighbours_of_two_nodes_stay_apart);
    RUN_FRESH(test_node_without_memory_is_served_by_others_unless_only_it_will_do);
    RUN_FRESH(test_node_at_the_limit_takes_slots_of_others);
    RUN_FRESH(test_node_settle_tells_where_memory_is);
    RUN_FRESH(test_node_wish_survives_a_resize_that_moves_pages);
    RUN_FRESH(test_node_copy_brings_lost_caches_home);
    RUN_FRESH(test_node_copy_makes_torn_stores_of_a_bin_anew);
    RUN_FRESH(test_node_that_does_not_fit_is_named);
    return unit_end();
}
