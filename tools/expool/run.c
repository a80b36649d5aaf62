/* SPDX-License-Identifier: MIT */
/*
 * expool run: start a program with its malloc on the pool.
 *
 * This only prepares two environment variables and becomes the program, so its exit status, its
 * signals and its process id are the program's own, and its children inherit both variables:
 *
 *     LD_PRELOAD      our library, then what was there
 *     EXPOOL_OPTIONS  what was there, then -o, --tag and --report; a later name replaces an earlier
 *
 * The library is looked for where EXPOOL_LIBRARY says, else beside this command (a build folder),
 * else in the library folders of the prefix this command is installed in. The loader splits
 * LD_PRELOAD at spaces and colons and expands "$", so a path with one of these is refused: it would
 * be ignored and the program would run on another malloc without a word.
 *
 * Names and values of options are judged by the library itself when the program starts. Programs
 * that gain privileges and static ones do not take the library; for these a warning is printed
 * where it can be known before.
 */
#define _GNU_SOURCE 1

#include "expool/command.h"
#include "expool/print.h"
#include "expool/reader.h"

#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_LIBRARY "libexpool-malloc.so"

enum {
    RUN_EXIT_CANNOT = 126, /* as shells: PROG is there and cannot be run */
    RUN_EXIT_ABSENT = 127, /* as shells: PROG is not there */
};

static const char run_help[] =
    "usage: expool run [OPTIONS] -- PROG ARGS\n"
    "\n"
    "Runs PROG, and the programs it starts, with malloc on the pool. The exit status is PROG's.\n"
    "\n"
    "  --tag module|ABCD    tag of its blocks: one for each module, or these four characters\n"
    "  --report[=FILE]      at exit, the table on stderr or in FILE (%p = process id)\n"
    "  -o name=value        an option of the library, see expool(7); may be repeated\n"
    "  --help, --version\n"
    "\n"
    "Options are added to EXPOOL_OPTIONS. EXPOOL_LIBRARY names another " RUN_LIBRARY ".\n"
    "Exit status of its own: 2 usage, 126 PROG cannot be run, 127 PROG not found.\n"
    "\n"
    "Examples:\n"
    "  expool run --report -- cc -O2 -c file.c\n"
    "  expool run -o paged_limit=512M --report=/tmp/table.%p -- ./server\n";

__attribute__((format(printf, 1, 2))) static bool run_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("expool run: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* A finished string, or the end of the program: there is nothing to undo before exec. */
__attribute__((format(printf, 1, 2))) static char *run_text(const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        run_complain("out of memory");
        exit(RUN_EXIT_CANNOT);
    }
    return text;
}

/* Whether an item "name=..." has the name that starts at name. */
static bool run_same_name(const char *item, size_t item_length, const char *name)
{
    size_t length = strcspn(name, "=");
    return item_length > length && item[length] == '=' && memcmp(item, name, length) == 0;
}

/* Append item to the list of options, without an earlier item of the same name. */
static char *run_merge(char *list, const char *item)
{
    char *merged = run_text("%s", "");
    for (const char *cursor = list; *cursor != '\0';) {
        size_t length = strcspn(cursor, ",");
        if (length > 0 && !run_same_name(cursor, length, item)) {
            char *longer = run_text("%s%.*s,", merged, (int)length, cursor);
            free(merged);
            merged = longer;
        }
        cursor += length + (cursor[length] == ',');
    }
    char *whole = run_text("%s%s", merged, item);
    free(merged);
    free(list);
    return whole;
}

static bool run_add_option(char **list, const char *item)
{
    if (strchr(item, '=') == NULL || item[0] == '=') {
        return run_complain("-o takes name=value; see expool(7) for the names");
    }
    if (strchr(item, ',') != NULL || strchr(item, '\n') != NULL) {
        return run_complain("the value of an option cannot contain a comma or a new line");
    }
    *list = run_merge(*list, item);
    return true;
}

static bool run_add_tag(char **list, const char *tag)
{
    if (strcmp(tag, "caller") == 0) {
        return run_complain("--tag caller is not available in this version; "
                            "use module or four characters");
    }
    bool valid = strlen(tag) == 4;
    for (const char *cursor = tag; *cursor != '\0'; cursor++) {
        valid = valid && *cursor >= 0x20 && *cursor < 0x7f && *cursor != ',';
    }
    if (!valid && strcmp(tag, "module") != 0) {
        return run_complain("--tag takes module or exactly four printable characters, no comma");
    }
    char *item = run_text("tag=%s", tag);
    bool added = run_add_option(list, item);
    free(item);
    return added;
}

/* A relative file name is meant from here, wherever the program goes. */
static bool run_add_report(char **list, const char *file)
{
    if (file == NULL || strcmp(file, "stderr") == 0) {
        return run_add_option(list, "report=stderr");
    }
    if (strcmp(file, "off") == 0) {
        return run_add_option(list, "report=off");
    }
    if (*file == '\0') {
        return run_complain("--report= needs a file name");
    }
    char here[PATH_MAX] = "";
    if (*file != '/' && getcwd(here, sizeof here) == NULL) {
        return run_complain("the current folder has no name: %s", strerror(errno));
    }
    char *item = run_text("report=%s%s%s", here, *file == '/' ? "" : "/", file);
    bool added = run_add_option(list, item);
    free(item);
    return added;
}

/* The first existing file of a pattern, or NULL. */
static char *run_find_pattern(const char *folder, const char *pattern)
{
    static const char special[] = "*?[]\\{}~";
    char *whole = run_text("%s", "");
    for (const char *cursor = folder; *cursor != '\0'; cursor++) {
        char *longer = run_text("%s%s%c", whole, strchr(special, *cursor) ? "\\" : "", *cursor);
        free(whole);
        whole = longer;
    }
    char *full = run_text("%s/%s", whole, pattern);
    free(whole);
    glob_t found;
    char *path = NULL;
    if (glob(full, 0, NULL, &found) == 0) {
        path = realpath(found.gl_pathv[0], NULL);
        globfree(&found);
    }
    free(full);
    return path;
}

static char *run_find_library(void)
{
    const char *wanted = getenv("EXPOOL_LIBRARY");
    if (wanted != NULL && *wanted != '\0') {
        char *path = realpath(wanted, NULL);
        if (path == NULL) {
            run_complain("EXPOOL_LIBRARY names '%s': %s", wanted, strerror(errno));
        }
        return path;
    }
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0) {
        run_complain("/proc/self/exe cannot be read: %s", strerror(errno));
        return NULL;
    }
    own[length] = '\0';
    char *slash = strrchr(own, '/');
    if (slash == NULL) {
        return NULL;
    }
    *slash = '\0';
    static const char *const place[] = {
        RUN_LIBRARY,
        "../lib/" RUN_LIBRARY,
        "../lib64/" RUN_LIBRARY,
        "../lib/*/" RUN_LIBRARY,
    };
    for (size_t index = 0; index < sizeof place / sizeof place[0]; index++) {
        char *path = run_find_pattern(own, place[index]);
        if (path != NULL) {
            return path;
        }
    }
    run_complain(RUN_LIBRARY " is not beside this command, nor in ../lib; "
                             "name it in EXPOOL_LIBRARY");
    return NULL;
}

/* Our library first, then what was preloaded before, without ourselves. */
static bool run_preload(const char *library)
{
    if (strpbrk(library, " :$\t\n") != NULL) {
        return run_complain("'%s' cannot be preloaded: its path has a space, a colon or a $",
                            library);
    }
    if (access(library, R_OK) != 0) {
        return run_complain("'%s' cannot be read: %s", library, strerror(errno));
    }
    char *list = run_text("%s", library);
    const char *former = getenv("LD_PRELOAD");
    for (const char *cursor = former != NULL ? former : ""; *cursor != '\0';) {
        size_t length = strcspn(cursor, " :");
        bool ours = length == strlen(library) && memcmp(cursor, library, length) == 0;
        if (length > 0 && !ours) {
            char *longer = run_text("%s:%.*s", list, (int)length, cursor);
            free(list);
            list = longer;
        }
        cursor += length + (cursor[length] != '\0');
    }
    bool set = setenv("LD_PRELOAD", list, 1) == 0;
    free(list);
    return set || run_complain("out of memory");
}

/* Whether an executable takes no preloaded library: an ELF file that asks for no loader. */
static bool run_is_static(FILE *file)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    if (fread(&header, sizeof header, 1, file) != 1 ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof segment || fseek(file, (long)header.e_phoff, SEEK_SET) != 0) {
        return false;
    }
    for (unsigned index = 0; index < header.e_phnum; index++) {
        if (fread(&segment, sizeof segment, 1, file) != 1 || segment.p_type == PT_INTERP) {
            return false;
        }
    }
    return true;
}

/* Say so when the file that execvp will run does not take the library; true: that is the file. */
static bool run_warn(const char *path)
{
    struct stat status;
    if (access(path, X_OK) != 0 || stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    bool gains = ((status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid()) ||
                 ((status.st_mode & S_ISGID) != 0 && status.st_gid != getegid());
    FILE *file = fopen(path, "re");
    if (gains) {
        run_complain("warning: this program gains privileges and will not run on the pool");
    } else if (file != NULL && run_is_static(file)) {
        run_complain("warning: this program is linked statically and will not run on the pool");
    }
    if (file != NULL) {
        fclose(file);
    }
    return true;
}

static void run_warn_program(const char *program)
{
    const char *folders = getenv("PATH");
    if (strchr(program, '/') != NULL || folders == NULL) {
        run_warn(program);
        return;
    }
    for (bool more = true; more;) {
        size_t length = strcspn(folders, ":");
        char *path = length == 0 ? run_text("./%s", program)
                                 : run_text("%.*s/%s", (int)length, folders, program);
        bool found = run_warn(path);
        free(path);
        more = !found && folders[length] == ':';
        folders += length + 1;
    }
}

static int run_start(char **argv, const char *options)
{
    char *library = run_find_library();
    if (library == NULL || !run_preload(library)) {
        free(library);
        return EXP_READER_EXIT_USAGE;
    }
    free(library);
    if (*options != '\0' && setenv("EXPOOL_OPTIONS", options, 1) != 0) {
        run_complain("out of memory");
        return RUN_EXIT_CANNOT;
    }
    run_warn_program(argv[0]);
    execvp(argv[0], argv);
    int reason = errno;
    fputs("expool run: '", stderr);
    exp_reader_print_name(stderr, argv[0]);
    fprintf(stderr, "' cannot be run: %s\n", strerror(reason));
    return reason == ENOENT ? RUN_EXIT_ABSENT : RUN_EXIT_CANNOT;
}

/* Read the options up to PROG; -1 = go on, else the exit status. */
static int run_parse(int argc, char **argv, char **list)
{
    static const struct option options[] = {
        {"tag", required_argument, NULL, 't'},
        {"report", optional_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "+ho:", options, NULL)) != -1;) {
        bool good = false;
        switch (option) {
        case 't':
            good = run_add_tag(list, optarg);
            break;
        case 'r':
            good = run_add_report(list, optarg);
            break;
        case 'o':
            good = run_add_option(list, optarg);
            break;
        case 'h':
            fputs(run_help, stdout);
            return exp_print_finish("expool run", EXP_READER_EXIT_FINE);
        case 'v':
            puts("expool run " EXPOOL_VERSION);
            return exp_print_finish("expool run", EXP_READER_EXIT_FINE);
        default:
            break;
        }
        if (!good) {
            return EXP_READER_EXIT_USAGE;
        }
    }
    return -1;
}

int exp_command_run(int argc, char **argv)
{
    const char *former = getenv("EXPOOL_OPTIONS");
    char *list = run_text("%s", former != NULL ? former : "");
    argv[0] = "expool run";
    int status = run_parse(argc, argv, &list);
    if (status < 0 && optind == argc) {
        run_complain("a program is missing (see expool run --help)");
        status = EXP_READER_EXIT_USAGE;
    }
    if (status < 0) {
        status = run_start(argv + optind, list);
    }
    free(list);
    return status;
}
