/* SPDX-License-Identifier: MIT */
/*
 * The simulated port's own controls, for tests. The port itself is include/expool/port.h.
 *
 * Everything happens on one host thread. A breach of the port's contract by the core (a range
 * outside a reservation, odd sizes, a wait that nobody can end, an unbalanced pin, a touch of
 * inaccessible memory) prints a line that starts with "sim:" and aborts.
 */
#ifndef SIM_PORT_H
#define SIM_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <expool/port.h>

#define SIM_PROCESSORS 8u
#define SIM_ARENA_BYTES_DEFAULT ((size_t)256 << 20)
#define SIM_ARENA_BYTES_MAX ((size_t)1 << 30)
#define SIM_REGION_BYTES_MAX ((size_t)256 << 20)

/* Every function of the port; those before SIM_CALL_FALLIBLE can be made to fail. */
enum sim_call {
    SIM_RESERVE,
    SIM_COMMIT,
    SIM_DECOMMIT,
    SIM_MOVE,
    SIM_WIPE,
    SIM_REGION,
    SIM_REGION_COMMIT,
    SIM_OWNER_SET,
    SIM_CONDITION_FILE,
    SIM_SETTLE,
    SIM_CALL_FALLIBLE,
    SIM_WAIT = SIM_CALL_FALLIBLE,
    SIM_WAKE,
    SIM_WAKE_ALL,
    SIM_CLOCK,
    SIM_CLOCK_NS,
    SIM_TIME,
    SIM_MEMORY,
    SIM_CONDITION,
    SIM_NODE,
    SIM_NODES,
    SIM_BIND,
    SIM_STOP,
    SIM_DESCRIBE,
    SIM_PRINT,
    SIM_CALL_COUNT
};

/*
 * Set the size of the fixed memory and the seed; before the core's first call only.
 *
 *   arena_bytes   address space that exp_port_reserve shares out; a multiple of 4096
 */
void sim_start(uint64_t seed, size_t arena_bytes);

/* Name of a port function, as in port.h. */
const char *sim_call_name(enum sim_call call);

/* Calls so far; of all fallible functions together. */
uint64_t sim_calls(enum sim_call call);
uint64_t sim_calls_fallible(void);

/*
 * Script failures: calls first .. first + count - 1 of one function fail, counted from now, 1 =
 * the next. first 0 ends the script. sim_fail_any counts the fallible functions together.
 */
void sim_fail(enum sim_call call, uint64_t first, uint64_t count);
void sim_fail_any(uint64_t first, uint64_t count);

/* Calls that failed by script so far: all, of one function; and the function of the last one. */
uint64_t sim_failures(void);
uint64_t sim_failures_of(enum sim_call call);
enum sim_call sim_failure_last(void);

/* At most this many pages may be committed at a time, commits beyond fail; SIZE_MAX = any. */
void sim_memory_limit(size_t pages);

/* true: every decommit is refused and leaves garbage behind, as locked pages do. */
void sim_decommit_refuse(bool refuse);

/* Pages committed now, in all reservations. */
size_t sim_committed_pages(void);

/* How the page of an address may be used; EXP_PORT_NONE outside of every reservation. */
enum exp_port_access sim_access(const void *address);

/* Whether an address lies in a reservation, and the lowest reserved address. */
bool sim_reserved(const void *address);
void *sim_reserved_lowest(void);

/* The statistics region, NULL before exp_port_region. */
const void *sim_region(void);

/* The clock obeys; a wait that times out moves it, real time goes with it. */
void sim_clock_advance_ms(uint64_t ms);

/*
 * What another thread would do while this one waits: called for each millisecond of a sleep, after
 * which the sleep ends early. NULL: nobody else is there.
 */
void sim_on_wait(void (*hook)(uint32_t *word));

/* What exp_port_memory answers from now on; NULL: nothing is known, as at the start. */
void sim_memory_set(const struct exp_port_memory *memory);

/* Look at memory as the thread behind a descriptor would; false: nobody asked for one. */
bool sim_look(void);

/* What exp_port_condition said last of each condition, as bits, and of which it spoke at all. */
uint32_t sim_conditions(void);
uint32_t sim_conditions_told(void);

/* Become another processor (0 .. SIM_PROCESSORS - 1); tell which one runs. */
void sim_processor_set(uint32_t processor);
uint32_t sim_processor_get(void);

/* Be a machine of so many NUMA nodes; before the core's first call only. One without it. */
void sim_nodes(uint32_t nodes);

/* NUMA node of a processor; below the number of nodes. */
void sim_processor_node_set(uint32_t processor, uint32_t node);

/* At most this many pages have memory of a node at a time; SIZE_MAX = any. */
void sim_node_limit(uint32_t node, size_t pages);

/*
 * Node of the page of an address: the one wished for, and the one it has memory of (exp_port_settle
 * gives it; a page that is only used has memory that nobody told of). SIM_NODE_NONE: none.
 */
#define SIM_NODE_NONE UINT32_MAX
uint32_t sim_page_wish(const void *address);
uint32_t sim_page_node(const void *address);

/* The current processor goes away: its owner, if any, exits; it may come back with a new one. */
void sim_processor_exit(void);

/* Whether a processor has an owner of its own. */
bool sim_processor_owned(uint32_t processor);

/*
 * Be the copy of this process that a fork makes: what exp_port_wipe promised reads as zero, the
 * other processors are gone without a word, and exp_owner_child runs when a promise could not be
 * given. The caller may as well go on in the same process: nobody else looks at it.
 */
void sim_child(void);

/* Catch exp_port_stop: the hook must leave by longjmp. NULL: print the report and abort. */
void sim_on_stop(void (*hook)(const char *report, size_t length));

/* What the last exp_port_print showed, NUL-terminated; "" before the first. */
const char *sim_printed(void);

/* Complain unless no processor is pinned. */
void sim_check_rest(void);

#endif
