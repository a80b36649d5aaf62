/* SPDX-License-Identifier: MIT */
/*
 * expool list: the processes of this user that run on expool.
 *
 * A process whose region is damaged is not in the list; a sentence about it goes to stderr, and the
 * exit status says that a problem was found.
 */
#include "expool/command.h"
#include "expool/print.h"
#include "expool/reader.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char list_help[] =
    "usage: expool list [--json]\n"
    "\n"
    "Lists the processes of this user that run on expool, by process id.\n"
    "\n"
    "  --json        an array of objects: pid, name, uptime_ms, bytes, pages\n"
    "  --help, --version\n"
    "\n"
    "Bytes are in live blocks; pages are the 4096-byte pages that blocks use.\n"
    "Exit status: 0 fine, 1 a region is damaged (told on stderr), 2 usage.\n"
    "\n"
    "Examples:\n"
    "  expool list\n"
    "  expool list --json | python3 -m json.tool\n";

static void list_print_json(const struct exp_reader_entry *entries, size_t count)
{
    const char *separator = "";
    putchar('[');
    for (size_t index = 0; index < count; index++) {
        const struct exp_reader_entry *entry = &entries[index];
        if (entry->result != EXP_READER_TAKEN) {
            continue;
        }
        printf("%s\n  {\"pid\": %d, \"name\": ", separator, entry->process.pid);
        exp_print_json(entry->process.name);
        printf(", \"uptime_ms\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"pages\": %" PRIu64 "}",
               entry->process.uptime_ms,
               entry->bytes,
               entry->pages);
        separator = ",";
    }
    puts(*separator == '\0' ? "]" : "\n]");
}

static void list_print_text(const struct exp_reader_entry *entries, size_t count)
{
    puts("     PID      Uptime           Bytes       Pages  Name");
    for (size_t index = 0; index < count; index++) {
        const struct exp_reader_entry *entry = &entries[index];
        if (entry->result != EXP_READER_TAKEN) {
            continue;
        }
        uint64_t seconds = entry->process.uptime_ms / 1000;
        printf("%8d %5" PRIu64 ":%02u:%02u %15" PRIu64 " %11" PRIu64 "  ",
               entry->process.pid,
               seconds / 3600,
               (unsigned)(seconds / 60 % 60),
               (unsigned)(seconds % 60),
               entry->bytes,
               entry->pages);
        exp_reader_print_name(stdout, entry->process.name);
        putchar('\n');
    }
}

static int list_run(bool json)
{
    struct exp_reader_entry *entries;
    size_t count;
    char why[EXP_READER_WHY_BYTES];
    if (!exp_reader_list(&entries, &count, why)) {
        fprintf(stderr, "expool list: %s\n", why);
        return EXP_READER_EXIT_PROBLEM;
    }
    int status = EXP_READER_EXIT_FINE;
    if (json) {
        list_print_json(entries, count);
    } else if (count > 0) {
        list_print_text(entries, count);
    } else {
        fputs("expool list: no process of this user runs on expool\n", stderr);
    }
    for (size_t index = 0; index < count; index++) {
        if (entries[index].result != EXP_READER_TAKEN) {
            fprintf(stderr, "expool list: %s\n", entries[index].why);
            status = EXP_READER_EXIT_PROBLEM;
        }
    }
    free(entries);
    return exp_print_finish("expool list", status);
}

int exp_command_list(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    bool json = false;
    argv[0] = "expool list";
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(list_help, stdout);
            return exp_print_finish("expool list", EXP_READER_EXIT_FINE);
        case 'v':
            puts("expool list " EXPOOL_VERSION);
            return exp_print_finish("expool list", EXP_READER_EXIT_FINE);
        default:
            return EXP_READER_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fputs("expool list: takes no arguments besides its options\n", stderr);
        return EXP_READER_EXIT_USAGE;
    }
    return list_run(json);
}
