/* SPDX-License-Identifier: MIT */
/*
 * What a port gives: the whole of the system that the core sees, as one short list.
 *
 * A port defines these functions and, in the header that EXP_PORT_HEADER names, three inlines:
 *
 * - struct exp_owner *exp_port_owner(void): the owner of this thread (or processor), never NULL:
 *   &exp_owner_none before the first exp_port_owner_set;
 * - void exp_port_pin(void), void exp_port_unpin(void): around every walk that uses an owner.
 *   Nothing in user mode; in a kernel they keep the processor from being taken away. They nest.
 *
 * Addresses and sizes are multiples of 4096 bytes unless said. No function here calls the pool.
 * source: design.md 6.
 */
#ifndef EXPOOL_PORT_H
#define EXPOOL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exp_owner;
struct expool_stop;

enum {
    EXP_PORT_CONDITIONS = 16 /* numbers of conditions are below */
};

/* Most NUMA nodes that are told apart; a port of a larger machine folds the others in. */
#define EXP_PORT_NODES_MAX 16u

enum exp_port_access {
    EXP_PORT_NONE,       /* every touch faults */
    EXP_PORT_READ,       /* a store faults */
    EXP_PORT_READ_WRITE, /* not executable */
    EXP_PORT_READ_WRITE_EXECUTE,
};

/*
 * Reserve address space without memory.
 *
 *   bytes, alignment   alignment is a power of two
 *   returns            inaccessible addresses, or NULL
 *   irql               PASSIVE; called once per range
 */
void *exp_port_reserve(size_t bytes, size_t alignment);

/*
 * Make part of a reservation usable, or change how it may be used.
 *
 *   access    EXP_PORT_NONE makes it inaccessible again (contents need not survive)
 *   huge      the system may back it with large pages
 *   returns   false: nothing has changed. Memory committed for the first time reads as zero
 *   irql      <= DISPATCH
 */
bool exp_port_commit(void *address, size_t bytes, enum exp_port_access access, bool huge);

/*
 * Give the memory behind committed pages back to the system; they stay usable.
 *
 *   returns   true: the pages read as zero from now on; false: nothing is known of their contents
 *   irql      <= DISPATCH
 */
bool exp_port_decommit(void *address, size_t bytes);

/*
 * Move the contents of pages without copying; both stay committed.
 *
 *   returns   true: to holds the contents and from reads as zero; false: nothing has changed
 */
bool exp_port_move(void *to, void *from, size_t bytes);

/*
 * Ask that pages read as zero in a copy of this process.
 *
 *   returns   false: the system cannot; the port then calls exp_owner_child in the copy itself
 */
bool exp_port_wipe(void *address, size_t bytes);

/*
 * Sleep until woken while *word == value; may return early. irql: any; may spin.
 *
 *   timeout_ns   from now; UINT64_MAX = for ever
 */
void exp_port_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* Wake one waiter of word. Never blocks; word may be gone already. */
void exp_port_wake(uint32_t *word);

/* Wake all waiters of word. */
void exp_port_wake_all(uint32_t *word);

/* Milliseconds from any start, monotone, cheap. */
uint64_t exp_port_clock_ms(void);

/* Nanoseconds from any start, monotone; what timeouts are measured with. */
uint64_t exp_port_clock_ns(void);

/* Real time: units of 100 ns since the first day of 1601, UTC. */
uint64_t exp_port_time_100ns(void);

/* What the machine has, or the part of it that this process may use: whichever leaves less. */
struct exp_port_memory {
    uint64_t total_bytes;            /* memory */
    uint64_t available_bytes;        /* of it: could be had now without anybody's loss */
    uint64_t commit_bytes;           /* memory promised, or what has to be backed */
    uint64_t commit_limit_bytes;     /* how much can be, now */
    uint64_t commit_limit_max_bytes; /* how much when the limit has grown as far as it may */
    uint32_t stall_percent; /* of the last seconds, in which some thread waited for memory */
};

/*
 * Look at memory.
 *
 *   returns   false: nothing is known, *memory is not written
 *   irql      <= DISPATCH; reads what the system tells, allocates nothing
 */
bool exp_port_memory(struct exp_port_memory *memory);

/*
 * A condition begins or ends, or is told again: what the system shows of it follows. index counts
 * the standard events as src/core/span.h and src/front/event.h do.
 *
 *   irql    <= DISPATCH; never blocks
 *   locks   those of the condition may be held: takes none of the pool's
 */
void exp_port_condition(unsigned index, bool holds);

/*
 * A descriptor that polls as readable while a condition holds, as exp_port_condition tells it from
 * now on; the caller has it told once more.
 *
 *   index     below EXP_PORT_CONDITIONS
 *   look      to be called a few times a second from now on, by some thread; NULL: no need
 *   returns   the same one every time; a copy of the process has its own; -1: none is left
 *   irql      PASSIVE
 */
int exp_port_condition_file(unsigned index, void (*look)(void));

/*
 * Number of NUMA nodes, by whose index memory can be asked for and found.
 *
 *   returns   1 .. EXP_PORT_NODES_MAX, always the same; 1 when nothing is known of nodes
 *   irql      PASSIVE; called once per range, before the functions below
 */
uint32_t exp_port_nodes(void);

/* Index of the node whose memory is next to this thread, below exp_port_nodes(). irql: any. */
uint32_t exp_port_node(void);

/*
 * Wish that pages which have no memory yet get it from a node, or else from the closest that has
 * some; also after exp_port_decommit. A system that cannot does nothing.
 */
void exp_port_bind(void *address, size_t bytes, uint32_t node);

/*
 * Give committed pages memory of a node now: pages that are not there, and, where the system can,
 * those that are elsewhere. Their contents stay, and others may use them meanwhile.
 *
 *   returns   false: not all of them lie on that node, or the system does not tell
 *   irql      <= DISPATCH
 */
bool exp_port_settle(void *address, size_t bytes, uint32_t node);

/*
 * The statistics region, at one address for the life of the process.
 *
 *   bytes     in: wanted; out: got (addresses, not memory); 0 is not an answer
 *   fresh     true in a copy of the process: put a new region at the same address, its first
 *             copy_bytes holding what the old one holds
 *   returns   its address, page aligned, or NULL
 */
void *exp_port_region(size_t *bytes, bool fresh, size_t copy_bytes);

/* Give memory to region bytes [offset, offset + bytes); false: none is left. */
bool exp_port_region_commit(size_t offset, size_t bytes);

/*
 * Make owner this thread's (or processor's) own, and call exp_owner_exit(owner) when it ends.
 *
 *   returns   false: the thread is past its end (its last destructors); owner was not set
 */
bool exp_port_owner_set(struct exp_owner *owner);

/* Print a finished report and end. Concurrent callers: the first report is printed whole. */
_Noreturn void exp_port_stop(const struct expool_stop *stop, const char *name);

/*
 * Describe the stack and the calling module for a report.
 *
 *   caller    return address of the public routine
 *   returns   bytes written to text, at most size
 *   irql      any; allocates nothing
 */
size_t exp_port_describe(const void *caller, char *text, size_t size);

/*
 * Show debug output: a line, or what DbgPrint was given.
 *
 *   text, bytes   printable; need not end in a line end or a NUL. Shown whole, not mixed with
 *                 another thread's
 *   irql          any; allocates nothing
 */
void exp_port_print(const char *text, size_t bytes);

#ifdef EXP_PORT_HEADER
#include EXP_PORT_HEADER
#endif

#endif
