/* SPDX-License-Identifier: MIT */
/*
 * Processes and what they pay. A process object outlives its creator for as long as a block is
 * charged to it or a thread is in it; nothing of it lies in a block.
 *
 * source      spec/api.md 2.11; product.md 4
 */
#ifndef EXP_QUOTA_H
#define EXP_QUOTA_H

#include <expool.h>

#include "core/range.h"

enum {
    EXP_QUOTA_NAME_BYTES = 16,
    EXP_QUOTA_MARK = 0x636f7250
};

struct expool_process {
    /* Constant. */
    uint64_t limit_bytes[2]; /* by column: 0 nonpaged, 1 paged; UINT64_MAX = no limit */
    char name[EXP_QUOTA_NAME_BYTES];
    bool everlasting; /* System, Idle: not counted, never freed */
    uint32_t mark;    /* EXP_QUOTA_MARK while it lives */

    /* Atomic. */
    uint64_t used_bytes[2];
    uint64_t references;
};

/* The two processes that are always there; neither is ever charged. */
extern EXP_HIDDEN struct expool_process exp_quota_system;
extern EXP_HIDDEN struct expool_process exp_quota_idle; /* a verified charge of it stops */

/*
 * Make a process with one reference.
 *
 *   name      NUL-terminated, cut; NULL = none
 *   limits    SIZE_MAX = no limit
 *   returns   NULL: no memory
 */
struct expool_process *exp_quota_create(const char *name,
                                        size_t paged_bytes,
                                        size_t nonpaged_bytes);

/* Could this be a process that pays: it lies where ours do, and lives? Follows nothing else. */
bool exp_quota_known(const struct expool_process *process);

/* One more reference. irql: <= DISPATCH. */
void exp_quota_hold(struct expool_process *process);

/* One less; the last one frees the object. irql: <= DISPATCH. locks: may take EXP_RANK_HEAP. */
void exp_quota_release(struct expool_process *process);

/*
 * Charge bytes, all or nothing.
 *
 *   returns   false: the limit would be passed; nothing has changed
 *   irql      <= DISPATCH; locks: none
 */
EXP_MUST_USE bool exp_quota_charge(struct expool_process *process, unsigned column, uint64_t bytes);

/*
 * Return a charge.
 *
 *   returns   bytes that the process was not charged with: then nothing has changed; else 0
 *   irql      <= DISPATCH; locks: none
 */
uint64_t exp_quota_return(struct expool_process *process, unsigned column, uint64_t bytes);

#endif
