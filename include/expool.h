/* SPDX-License-Identifier: MIT */
/*
 * expool's host interface: everything that is not Windows' own. Plain C types, no Windows names.
 *
 * Every function may be called from any thread at any IRQL unless it says otherwise, and none of
 * them raises. source: product.md 4.
 */
#ifndef EXPOOL_H
#define EXPOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One stop (bug check): code and parameters as documented, and the whole printed report. */
struct expool_stop {
    uint32_t code;
    uint64_t parameter[4];
    const char *report; /* NUL-terminated; valid until the handler returns or leaves */
};

/*
 * Install a handler that is called once for a stop, before the default (report to stderr, abort).
 *
 *   handler   NULL restores the default. It may leave by longjmp: no lock is held and nothing was
 *             changed by the call that stopped. Guarded blocks (__try) that its thread has
 *             entered before catch nothing any more. When it returns, the default follows.
 *   context   passed through
 */
void expool_on_stop(void (*handler)(const struct expool_stop *stop, void *context), void *context);

/*
 * Set an option; see expool(7) for names and values.
 *
 *   returns   0; ENOENT unknown name, EINVAL bad value, EBUSY too late for this option
 */
int expool_set(const char *name, const char *value);

/*
 * Read an option as text.
 *
 *   size      bytes of value, at least 1; longer text is cut, always NUL-terminated
 *   returns   0; ENOENT unknown name
 */
int expool_get(const char *name, char *value, size_t size);

/* One row of the tag table: pool 0 nonpaged, 1 paged; bytes are held bytes in use now. */
struct expool_tag_row {
    uint32_t tag;
    uint32_t pool;
    uint64_t allocs, frees, bytes;
};

/*
 * Copy the tag table, ordered by tag number, nonpaged before paged; rows never used are left out.
 *
 *   rows      capacity entries, may be NULL when capacity is 0
 *   returns   the true number of rows, also when more than capacity
 */
size_t expool_tags(struct expool_tag_row *rows, size_t capacity);

/* The nth request for pages from now on fails, once; 0 = off. Requests are counted process-wide. */
void expool_fail_page_request(uint64_t nth);

/* A process that pays for quota: what PEPROCESS points to. */
struct expool_process;

/*
 * Make a process object.
 *
 *   name      copied, cut to 15 bytes; for reports
 *   quotas    bytes each kind of pool may be charged with; SIZE_MAX = no limit
 *   returns   the object with one reference, the creator's; NULL: out of memory
 */
struct expool_process *expool_process_create(const char *name,
                                             size_t paged_quota_bytes,
                                             size_t nonpaged_quota_bytes);

/* Drop the creator's reference; the object goes with the last block charged to it. */
void expool_process_release(struct expool_process *process);

/*
 * Make a process current for this thread, which holds a reference while it is.
 *
 *   process   NULL = System, which is never charged
 *   returns   the former; NULL = System. The thread's reference to it is gone: to enter it again
 *             somebody else must hold it meanwhile. A thread that can remember none (memory is
 *             short, or it is at its end) stays in System
 */
struct expool_process *expool_process_enter(struct expool_process *process);

/* The Idle process, which must not pay: the verifier stops a charge while it is current. */
struct expool_process *expool_process_idle(void);

/* What a process is charged with now, and who holds it: creator, threads in it, blocks. */
struct expool_usage {
    uint64_t paged_bytes, nonpaged_bytes, references;
};

/* Read it; each number is right for itself while others charge. */
void expool_process_usage(const struct expool_process *process, struct expool_usage *usage);

/*
 * A descriptor that polls as readable while a condition holds.
 *
 *   name      a standard event with or without "\KernelObjects\", in any case
 *   returns   the same descriptor every time, not to be read from or closed; -1: no such event, or
 *             the system has no descriptor left
 */
int expool_event_fd(const char *name);

/* What the system does about once a second: ExAdjustLookasideDepth. irql: <= DISPATCH. */
void expool_adjust_lookaside(void);

/* Flush the calling thread's caches and give back to the system what can be given back. */
void expool_trim(void);

#ifdef __cplusplus
}
#endif

#endif
