/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of expool: one file each. argv[0] is the subcommand's name; the result is the
 * exit status (enum exp_reader_exit unless said).
 */
#ifndef EXP_COMMAND_H
#define EXP_COMMAND_H

/* Start a program with its malloc on the pool; returns only when it could not: 2, 126 or 127. */
int exp_command_run(int argc, char **argv);

/* Print one snapshot of a process. */
int exp_command_stat(int argc, char **argv);

/* Print the processes of this user that run on expool. */
int exp_command_list(int argc, char **argv);

#endif
