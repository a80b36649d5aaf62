/* SPDX-License-Identifier: MIT */
/*
 * Exceptions: the chain of guarded blocks of a thread (wdmseh.h makes them), and the one way to
 * raise.
 */
#ifndef EXP_SEH_H
#define EXP_SEH_H

#include "core/stop.h"

/*
 * Raise a noncontinuable exception; without a handler stop 0x1E with the status.
 *
 *   status   NTSTATUS
 *   caller   return address of the public routine: the exception's address
 *   about    for the report of the stop; may be NULL
 *   irql     <= DISPATCH; unchanged in the handler
 *   locks    the caller holds none and has changed nothing
 *   source   spec/api.md 7.1, 7.2
 */
_Noreturn void exp_seh_raise(uint32_t status,
                             const void *caller,
                             const struct exp_stop_about *about);

/*
 * Forget the guarded blocks of this thread: somebody may leave by longjmp, and which of them he
 * leaves cannot be known. A block that lives on and ends brings back those around it.
 *
 *   irql     any
 *   source   docs/decisions/0008-exceptions.md
 */
void exp_seh_forget(void);

#endif
