/* SPDX-License-Identifier: MIT */
/* What the files of the Linux port tell each other. */
#ifndef EXP_LINUX_H
#define EXP_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers that the kernel may give to NUMA nodes. */
#define EXP_LINUX_NODE_IDS 1024

struct exp_port_memory;

/* Random bits for placement, from the seed when there is one; no cryptographic promise. */
uint64_t exp_linux_random(void);

/* Read EXPOOL_OPTIONS, once; an unknown name or a bad value ends the process with status 2. */
void exp_linux_options_read(void);

/* The seed was given, not drawn. */
bool exp_linux_seeded(void);

/* Have exp_owner_child called in the child of every fork, since its pages cannot be wiped. */
void exp_linux_fork_notice(void);

/* Open an output file for writing, or stderr; %p in its name is the process id. -1: it cannot be.
 */
int exp_linux_open(const char *name);

/*
 * The kernel's numbers of NUMA nodes in one of its lists ("0-1,4"), or in a file of such a list.
 *
 *   ids, most   receives them, at most so many
 *   returns     how many; 0: this is no list, or an empty one, or there is no such file
 */
uint32_t exp_linux_nodes_parse(const char *list, uint16_t *ids, uint32_t most);
uint32_t exp_linux_nodes_read(const char *file_name, uint16_t *ids, uint32_t most);

/*
 * Give a descriptor as high a number as the limit allows, so that small ones stay the program's;
 * closed by exec. Returns the new one, or the old one when there is no other.
 */
int exp_linux_move_up(int file);

/*
 * exp_port_memory, with the system's files under root ("" = the system's own).
 *
 *   source   docs/decisions/0010-events.md
 */
bool exp_linux_memory(const char *root, struct exp_port_memory *memory);

/*
 * Files, by bare system calls: callers hold locks of the pool or of a driver, and libc's open,
 * read, write and close are places where a thread may be cancelled. They return what libc's do.
 */
int exp_linux_open_read(const char *name);
long exp_linux_read(int file, void *buffer, size_t size);
void exp_linux_close(int file);

/* Write all of text to a descriptor. */
void exp_linux_write(int file, const char *text, size_t length);

#endif
