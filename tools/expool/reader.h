/* SPDX-License-Identifier: MIT */
/*
 * Copies the statistics region of another process and turns it into a table.
 *
 * Shared by every tool that looks at a running process. The target is not stopped, signalled or
 * asked: the region is a file, and this reads it. What the region says is checked before it is
 * believed; what can reach a terminal from here is printable ASCII, except the raw names that are
 * marked so below.
 */
#ifndef EXP_READER_H
#define EXP_READER_H

#include <expool/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses of every tool. source: product.md 3. */
enum exp_reader_exit {
    EXP_READER_EXIT_FINE = 0,
    EXP_READER_EXIT_PROBLEM = 1,
    EXP_READER_EXIT_USAGE = 2,
    EXP_READER_EXIT_ABSENT = 3, /* target gone or not running on expool */
};

enum exp_reader_result {
    EXP_READER_TAKEN,
    EXP_READER_GONE,      /* no such process */
    EXP_READER_FOREIGN,   /* another user's */
    EXP_READER_FORBIDDEN, /* this user's, but it may not be looked at */
    EXP_READER_ABSENT,    /* does not run on expool */
    EXP_READER_DAMAGED,   /* its region contradicts itself */
    EXP_READER_FAILED,    /* this program's own trouble: memory, /proc */
};

enum {
    EXP_READER_NAME_BYTES = 64,
    EXP_READER_NUMBERS_MAX = 32, /* the kernel allows that many nested process namespaces */
    EXP_READER_WHY_BYTES = 320,
    EXP_READER_TAGS_MAX = 1 << 20,
    EXP_READER_MODULES_MAX = 1 << 16,
    EXP_READER_ROWS_MAX = 1 << 24,
    EXP_READER_OPTIONS_BYTES_MAX = 1 << 16,
};

/* What /proc tells about a process. */
struct exp_reader_process {
    int pid;
    uint32_t user;                    /* effective user id */
    char name[EXP_READER_NAME_BYTES]; /* raw, as the process set it: any byte but NUL */
    uint64_t uptime_ms;
    uint64_t resident_file_kib; /* resident pages that come from files: code, read-only data */
    uint32_t number_count;
    uint32_t number[EXP_READER_NUMBERS_MAX]; /* its ids in all namespaces it is in */
};

/* What one tag number uses in one pool. */
struct exp_reader_row {
    char tag[5]; /* memory order, NUL-terminated; unprintable shown as '.' */
    bool paged;
    uint64_t allocs;    /* so far */
    uint64_t frees;     /* so far */
    uint64_t diff;      /* allocs - frees, not below 0 */
    uint64_t bytes;     /* in use now */
    const char *module; /* raw file name, any byte but NUL; NULL = the tag has no module */
};

struct exp_reader_snapshot {
    struct exp_reader_process process;
    struct expool_region_header header; /* checked */
    struct exp_reader_row *rows;        /* tag number ascending, nonpaged first; used ones only */
    size_t row_count;
    char *options;       /* raw lines "name=value\n", NUL-terminated */
    uint64_t stray_rows; /* used rows whose key names no tag; left out of rows */
    char *module_paths;  /* storage behind rows[].module */
};

/* One line of the list of processes. */
struct exp_reader_entry {
    struct exp_reader_process process;
    enum exp_reader_result result; /* EXP_READER_TAKEN, or EXP_READER_DAMAGED and then only why */
    uint64_t bytes;
    uint64_t pages;
    char why[EXP_READER_WHY_BYTES];
};

/*
 * Copy and check the region of a process.
 *
 *   pid       > 0
 *   snapshot  written on EXP_READER_TAKEN only; then free it with exp_reader_release
 *   why       EXP_READER_WHY_BYTES bytes: on any other result one printable sentence that says why
 *   returns   what happened; memory and time are bounded whatever the region says
 *   source    include/expool/region.h
 */
enum exp_reader_result exp_reader_take(int pid, struct exp_reader_snapshot *snapshot, char *why);

/* Free what exp_reader_take allocated. */
void exp_reader_release(struct exp_reader_snapshot *snapshot);

/* The exit status that a tool ends with after this result. */
enum exp_reader_exit exp_reader_exit_status(enum exp_reader_result result);

/*
 * List the processes of this user that run on expool, by process id; this process is left out.
 *
 *   entries   written on true: the caller frees it
 *   returns   false: /proc could not be read or memory is short; why is written as above
 */
bool exp_reader_list(struct exp_reader_entry **entries, size_t *count, char *why);

/*
 * The process to look at when the command line names none: the only one there is.
 *
 *   command   starts the messages, which go to stderr: "expool stat"
 *   pid       written on EXP_READER_EXIT_FINE
 *   returns   EXP_READER_EXIT_ABSENT when there is none, EXP_READER_EXIT_USAGE when there are
 *             several (they are listed)
 */
enum exp_reader_exit exp_reader_choose(const char *command, int *pid);

/*
 * A process id from the words of a command line.
 *
 *   returns   0 when text is not a positive decimal number that fits
 */
int exp_reader_parse_id(const char *text);

/* Print a raw name: printable ASCII as it is, "\\" for a backslash, "\xNN" for any other byte. */
void exp_reader_print_name(FILE *file, const char *name);

#endif
