/* SPDX-License-Identifier: MIT */
/*
 * An owner: whatever runs undisturbed between two points (a thread, a processor), with its front
 * caches and its rows. The fast paths read and write only what lies here, in the map and in the
 * states.
 *
 * The caller's thread must be the owner's; nobody else touches a living owner.
 */
#ifndef EXP_OWNER_H
#define EXP_OWNER_H

#include <expool/port.h>

#include "core/quota.h"
#include "core/side.h"
#include "core/store.h"
#include "core/tag.h"

/*
 * Free slots of one bin, last freed on top. Below bottom lies a guard, an entry whose state is
 * never free: the fast path, which looks at the state anyway, needs no test for an empty cache.
 * Without an array, top = bottom = end, one past a guard that all share.
 */
struct exp_cache {
    struct exp_run_entry *top; /* one past the last entry */
    struct exp_run_entry *end;
    uint32_t multiplier; /* of the class; constant */
    uint32_t size_bytes; /* of the class; constant */
    struct exp_run_entry *bottom;
};

/* One place of a private tag table; an empty one has tag 0 and no row. */
struct exp_owner_tag {
    uint32_t tag;
    uint16_t number; /* at most EXP_STATE_NUMBER_MAX */
    struct expool_region_row *row;
};

enum {
    EXP_OWNER_HANDLED = 32, /* handlers inside each other whose code is remembered */
    EXP_OWNER_FLIGHT = 26   /* words of an exception */
};

/* A handler that may be running: which, and the code of its exception. */
struct exp_owner_handled {
    uintptr_t activation; /* stack frame of its function */
    uint32_t depth;
    int32_t code;
};

struct exp_owner {
    /* Hot. */
    struct exp_cache caches[EXP_BIN_COUNT];
    struct exp_owner_tag *tags[2];        /* by column; wiped in a fork, or empty: see blocked */
    struct expool_region_row **row_of[2]; /* by column, number; wiped; NULL: freed slowly */
    size_t row_numbers;                   /* entries of each row_of; half of row_of_count */
    uint32_t tag_mask;                    /* bytes of a tag table less one place */
    bool blocked[2]; /* by column: IRQL forbids it, every tag is looked up slowly */

    /* Cold. */
    uint8_t irql;
    void *frames;                      /* innermost guarded block of this thread; seh.c's */
    uint64_t flight[EXP_OWNER_FLIGHT]; /* on its way to a __finally block; seh.c's */
    uint32_t flight_count;             /* 0 or 1 */
    uint32_t handled_count;
    struct exp_owner_handled handled[EXP_OWNER_HANDLED]; /* innermost last; seh.c's */
    struct expool_process *process;                      /* current; NULL = System; quota.h's */
    struct exp_owner_tag *tags_kept[2];                  /* the tables when they are not blocked */
    bool named;                                          /* taken: not in the list of dead ones */
    bool refresh; /* tables were wiped: fill them from keys */
    uint32_t tag_count[2];
    uint32_t cached_bytes_max; /* sum of capacity times size over caches */
    uint16_t visits[EXP_BIN_COUNT];
    struct exp_tag_slab slab;
    uint32_t row_of_count;               /* entries of row_kept */
    struct expool_region_row **row_kept; /* every row it has, by number * 2 + column */
    struct exp_owner *next;              /* in the list of all owners; constant */
};

/*
 * Forks between the first process and this one. Known before a second thread is there when the port
 * tells of forks. Atomic; read by inlines of the driver headers too, which is why it has this name.
 */
extern uint32_t exp_wdk_generation;

/* The owner of a thread that has none yet: every fast path ends in the slow one. */
extern EXP_HIDDEN struct exp_owner exp_owner_none;

/* Process that is current for the caller's thread. irql: any. */
EXP_INLINE struct expool_process *exp_owner_process(void)
{
    struct expool_process *process = exp_port_owner()->process;
    return process != NULL ? process : &exp_quota_system;
}

/*
 * First place of a tag in the private table of a column. The bits used depend on all bits of the
 * tag: tags often differ in their last character only, which is the highest byte.
 */
EXP_INLINE struct exp_owner_tag *exp_owner_place(const struct exp_owner *owner,
                                                 unsigned column,
                                                 uint32_t tag)
{
    uint32_t hash = (uint32_t)(tag * UINT64_C(0x5e3779b1) >> 26);
    return (struct exp_owner_tag *)((char *)owner->tags[column] + (hash & owner->tag_mask));
}

/* Place of a tag wherever it lies, or the first empty one behind its own (tag 0, no row). */
const struct exp_owner_tag *exp_owner_probe(const struct exp_owner *owner,
                                            unsigned column,
                                            uint32_t tag);

/*
 * What every slow path does before it takes a lock: start the pool, once; in the copy of a process,
 * mend what the fork left. irql: <= DISPATCH.
 */
void exp_owner_notice(void);

/*
 * The caller's owner, made when it has none yet; the shared one, locked, when it cannot have one or
 * ends already. First of all a fork is noticed here, and the pool is started. Pins until it is
 * left.
 *
 *   returns   never NULL; exp_owner_leave when done
 *   irql      <= DISPATCH
 */
struct exp_owner *exp_owner_enter(void);

/* Node that memory for the caller is to come from, asked anew since threads move. irql: any. */
EXP_INLINE unsigned exp_owner_node(void)
{
    return EXP_LIKELY(exp_range.nodes == 1) ? 0 : exp_port_node();
}

/* Unpin, and release the shared owner. */
void exp_owner_leave(struct exp_owner *owner);

/*
 * A free slot of a bin, from the cache or the store; a refill is of the node that the owner runs
 * on.
 *
 *   returns   false: no page could be had
 *   locks     takes those of the store
 */
EXP_MUST_USE bool exp_owner_take(struct exp_owner *owner,
                                 unsigned bin,
                                 struct exp_run_entry *entry);

/*
 * Put a free slot into the cache of its bin, or the store.
 *
 *   returns   NULL, or a slot found to be in the store already (freed twice by two threads)
 */
EXP_MUST_USE void *exp_owner_give(struct exp_owner *owner,
                                  unsigned bin,
                                  const struct exp_run_entry *entry);

/*
 * The owner's row for a number and a column, made on first use and entered in its tables.
 *
 *   returns   NULL: no memory
 */
struct expool_region_row *exp_owner_row(struct exp_owner *owner, uint32_t number, unsigned column);

/*
 * Count a free of bytes; where memory for the owner's row is missing, in the shared owner's row,
 * which every payer that was ever counted has.
 *
 *   locks   may take EXP_RANK_COMMON
 */
void exp_owner_count_free(struct exp_owner *owner, uint32_t number, unsigned column, size_t bytes);

/*
 * Send every call that names a tag of this column to the slow path, or no longer; while blocks are
 * guarded or verified, always.
 */
void exp_owner_block(struct exp_owner *owner, unsigned column, bool blocked);

/* Flush all caches of an owner into the stores. Returns a slot found twice, or NULL. */
void *exp_owner_flush(struct exp_owner *owner);

/* The thread or processor of an owner ends: its caches are flushed, its rows go to the next owner.
 */
void exp_owner_exit(struct exp_owner *owner);

/*
 * In the copy of a process, by the thread that forked and before any other: whose owner lives on. A
 * port that is told of forks calls it; without it the first thread that comes is taken for that
 * one.
 */
void exp_owner_forked(void);

/*
 * In the copy of a process: reset locks, mend what was torn, bring back the caches of lost threads,
 * make a region of its own with what is live here. Called by exp_owner_enter when it finds its
 * pages wiped, or by the port when the system cannot wipe.
 */
void exp_owner_child(void);

/*
 * Reset a lock of a room above in every copy of the process: what it guards is whole at any moment
 * or mended by who takes it. Cheap when it is known already; call it before each acquisition, after
 * exp_owner_notice.
 */
void exp_owner_at_child(struct exp_lock *lock);

/*
 * How often this process is a copy of another: what has locks of its own compares it with what it
 * was, after exp_owner_notice, and begins anew when it differs. irql: any.
 */
uint32_t exp_owner_forks(void);

/* For verify.h: all owners but the shared one, dead ones too, by ->next. */
struct exp_owner *exp_owner_first(void);

/* For verify.h: nobody is born, dies or uses the shared owner until exp_owner_release. */
void exp_owner_hold(void);

/* The opposite. */
void exp_owner_release(void);

#endif
