/* SPDX-License-Identifier: MIT */
/* What the files of the Linux port tell each other. */
#ifndef EXP_LINUX_H
#define EXP_LINUX_H

#include <stdbool.h>
#include <stddef.h>

/* Read EXPOOL_OPTIONS, once; an unknown name or a bad value ends the process with status 2. */
void exp_linux_options_read(void);

/* The seed was given, not drawn. */
bool exp_linux_seeded(void);

/* Have exp_owner_child called in the child of every fork, since its pages cannot be wiped. */
void exp_linux_fork_notice(void);

/* Open an output file for writing, or stderr; %p in its name is the process id. -1: it cannot be.
 */
int exp_linux_open(const char *name);

/* Write all of text to a descriptor. */
void exp_linux_write(int file, const char *text, size_t length);

#endif
