/* SPDX-License-Identifier: MIT */
/*
 * The command expool: finds the subcommand, which does the rest.
 */
#include "expool/command.h"
#include "expool/print.h"
#include "expool/reader.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*start)(int argc, char **argv);
} main_command[] = {
    {"run", exp_command_run},
    {"stat", exp_command_stat},
    {"list", exp_command_list},
};

static const char main_help[] =
    "usage: expool COMMAND [ARGUMENTS]\n"
    "\n"
    "Runs programs on the pool allocator and shows what their modules use.\n"
    "\n"
    "  run [OPTIONS] -- PROG ARGS   run PROG with its malloc on the pool\n"
    "  list                         processes of this user that run on expool\n"
    "  stat [PID]                   one snapshot of the tag table of a process\n"
    "\n"
    "  expool COMMAND --help        the arguments of a command\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 fine, 1 found problems, 2 usage, 3 target gone or not on expool.\n"
    "\n"
    "Examples:\n"
    "  expool run --report -- python3 -c 'print(1)'\n"
    "  expool stat --sort bytes 1234\n";

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("expool: a command is missing: run, stat or list (see expool --help)\n", stderr);
        return EXP_READER_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(main_help, stdout);
        return exp_print_finish("expool", EXP_READER_EXIT_FINE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("expool " EXPOOL_VERSION);
        return exp_print_finish("expool", EXP_READER_EXIT_FINE);
    }
    for (size_t index = 0; index < sizeof main_command / sizeof main_command[0]; index++) {
        if (strcmp(argv[1], main_command[index].name) == 0) {
            return main_command[index].start(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "expool: there is no command '");
    exp_reader_print_name(stderr, argv[1]);
    fputs("'; there are run, stat and list (see expool --help)\n", stderr);
    return EXP_READER_EXIT_USAGE;
}
