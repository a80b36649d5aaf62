/* SPDX-License-Identifier: MIT */
/*
 * poolmon: who uses the pool. This version prints the classic table once.
 *
 * This file owns the command line and the meaning of the header's numbers:
 *
 *     Memory, Avail     MemTotal and MemAvailable of the system
 *     PageFlts          0: there is no earlier refresh to count from
 *     InRam Krnl        resident pages of the target that come from files: its code
 *     InRam P           paged pool: pages in use and free pages not yet given back
 *     Commit, Peak      the same over all pools; the highest number of pages in use, if that is
 * more Limit             the pools' limits when both have one, else the system's CommitLimit Pool
 * N, Pool P    pages that blocks use
 *
 * Switches are those of the original in both forms, "/b" and "-b"; an absolute path is no argument
 * of this program, so a slash is never ambiguous. It refuses to run without --once, because
 * refreshing is not in this version, and switches that only mean something while refreshing.
 */
#include "expool/reader.h"
#include "poolmon/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAIN_PAGE_KIB = 4
};

struct main_arguments {
    int pid; /* 0: the only one there is */
    bool once;
    bool totals;
    int pool_switches; /* times /p was given: none both, once nonpaged, twice paged, and around */
    enum exp_table_sort sort;
};

static const char main_help[] =
    "usage: poolmon --once [PID] [/p [/p]] [/e] [/t|/a|/f|/d|/b|/m]\n"
    "\n"
    "Prints the pool tag table of a process that runs on expool. The process is not stopped.\n"
    "Without PID: the only such process of this user. '-' may stand for '/'.\n"
    "\n"
    "  --once               print the table and end; this version needs it\n"
    "  /p, /p /p            nonpaged only, paged only\n"
    "  /e                   totals at the bottom\n"
    "  /t /a /f /d /b /m    sort by tag (default), allocs, frees, allocs - frees, bytes,\n"
    "                       bytes per alloc\n"
    "  /? /h --help, --version\n"
    "\n"
    "For JSON and CSV of the same numbers: expool stat --json, expool stat --csv.\n"
    "Exit status: 0 fine, 1 the region is damaged, 2 usage, 3 gone or not on expool.\n"
    "\n"
    "Examples:\n"
    "  poolmon --once /b\n"
    "  poolmon --once 1234 /p /p /e\n";

static int main_finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "poolmon: standard output cannot be written: %s\n", strerror(errno));
        return EXP_READER_EXIT_PROBLEM;
    }
    return status;
}

/* System numbers that stay 0 when /proc/meminfo does not have them. */
static void main_read_system(struct exp_table_header *header)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t kib;
        if (sscanf(line, "MemTotal: %" SCNu64, &kib) == 1) {
            header->memory_kib = kib;
        } else if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1) {
            header->available_kib = kib;
        } else if (sscanf(line, "CommitLimit: %" SCNu64, &kib) == 1) {
            header->commit_limit_kib = kib;
        }
    }
    fclose(file);
}

static void main_fill_header(struct exp_table_header *header,
                             const struct exp_reader_snapshot *snapshot)
{
    const struct expool_region_pool *nonpaged = &snapshot->header.pool[EXPOOL_REGION_NONPAGED];
    const struct expool_region_pool *execute =
        &snapshot->header.pool[EXPOOL_REGION_NONPAGED_EXECUTE];
    const struct expool_region_pool *paged = &snapshot->header.pool[EXPOOL_REGION_PAGED];
    uint64_t nonpaged_pages = nonpaged->pages + execute->pages;
    uint64_t dirty_pages = nonpaged->dirty_pages + execute->dirty_pages + paged->dirty_pages;
    uint64_t peak_pages = nonpaged->pages_peak + execute->pages_peak + paged->pages_peak;
    uint64_t commit_pages = nonpaged_pages + paged->pages + dirty_pages;
    memset(header, 0, sizeof *header);
    main_read_system(header);
    header->resident_kernel_kib = snapshot->process.resident_file_kib;
    header->resident_paged_kib = (paged->pages + paged->dirty_pages) * MAIN_PAGE_KIB;
    header->commit_kib = commit_pages * MAIN_PAGE_KIB;
    header->commit_peak_kib =
        (peak_pages > commit_pages ? peak_pages : commit_pages) * MAIN_PAGE_KIB;
    header->nonpaged_kib = nonpaged_pages * MAIN_PAGE_KIB;
    header->paged_kib = paged->pages * MAIN_PAGE_KIB;
    if (nonpaged->limit_bytes != UINT64_MAX && paged->limit_bytes != UINT64_MAX) {
        header->commit_limit_kib = nonpaged->limit_bytes / 1024 + paged->limit_bytes / 1024;
    }
}

static bool main_wants_row(const struct main_arguments *arguments, bool paged)
{
    int shown = arguments->pool_switches % 3;
    return shown == 0 || (shown == 2) == paged;
}

/* Rows to show, one for each tag and pool; NULL: no memory. */
static struct exp_table_row *main_make_rows(const struct exp_reader_snapshot *snapshot,
                                            const struct main_arguments *arguments,
                                            size_t *count)
{
    struct exp_table_row *rows = calloc(snapshot->row_count + 1, sizeof *rows);
    if (rows == NULL) {
        return NULL;
    }
    size_t used = 0;
    for (size_t index = 0; index < snapshot->row_count; index++) {
        const struct exp_reader_row *from = &snapshot->rows[index];
        if (!main_wants_row(arguments, from->paged)) {
            continue;
        }
        struct exp_table_row *row = &rows[used++];
        memcpy(row->tag, from->tag, sizeof row->tag);
        row->paged = from->paged;
        row->allocs = from->allocs;
        row->frees = from->frees;
        row->diff = from->diff;
        row->bytes = from->bytes;
    }
    *count = exp_table_merge(rows, used);
    exp_table_sort(rows, *count, arguments->sort);
    return rows;
}

static int main_print(struct main_arguments *arguments)
{
    if (arguments->pid == 0) {
        enum exp_reader_exit chosen = exp_reader_choose("poolmon", &arguments->pid);
        if (chosen != EXP_READER_EXIT_FINE) {
            return (int)chosen;
        }
    }
    struct exp_reader_snapshot snapshot;
    char why[EXP_READER_WHY_BYTES];
    enum exp_reader_result result = exp_reader_take(arguments->pid, &snapshot, why);
    if (result != EXP_READER_TAKEN) {
        fprintf(stderr, "poolmon: %s\n", why);
        return (int)exp_reader_exit_status(result);
    }
    size_t count;
    struct exp_table_row *rows = main_make_rows(&snapshot, arguments, &count);
    int status = EXP_READER_EXIT_PROBLEM;
    if (rows == NULL) {
        fputs("poolmon: out of memory\n", stderr);
    } else {
        struct exp_table_header header;
        main_fill_header(&header, &snapshot);
        exp_table_print(stdout, &header, rows, count, arguments->totals);
        status = EXP_READER_EXIT_FINE;
    }
    if (snapshot.stray_rows != 0) {
        fprintf(stderr,
                "poolmon: %" PRIu64 " rows name no tag and were left out\n",
                snapshot.stray_rows);
        status = EXP_READER_EXIT_PROBLEM;
    }
    free(rows);
    exp_reader_release(&snapshot);
    return main_finish(status);
}

/* One switch of a single letter; false: there is no such switch. */
static bool main_parse_switch(char letter, struct main_arguments *arguments)
{
    static const char keys[] = "tafdbm"; /* in the order of enum exp_table_sort */
    const char *key = strchr(keys, letter);
    if (letter == 'p') {
        arguments->pool_switches++;
    } else if (letter == 'e') {
        arguments->totals = true;
    } else if (key != NULL && letter != '\0') {
        arguments->sort = (enum exp_table_sort)(key - keys);
    } else {
        return false;
    }
    return true;
}

static int main_refuse(const char *reason, const char *word)
{
    fprintf(stderr, "poolmon: %s '", reason);
    exp_reader_print_name(stderr, word);
    fputs("' (see poolmon --help)\n", stderr);
    return EXP_READER_EXIT_USAGE;
}

/* Read the command line; -1 = go on, else the exit status. */
static int main_parse(int argc, char **argv, struct main_arguments *arguments)
{
    for (int index = 1; index < argc; index++) {
        const char *word = argv[index];
        bool is_switch = (word[0] == '/' || word[0] == '-') && word[1] != '\0' && word[2] == '\0';
        if (strcmp(word, "--help") == 0 || (is_switch && strchr("?h", word[1]) != NULL)) {
            fputs(main_help, stdout);
            return main_finish(EXP_READER_EXIT_FINE);
        }
        if (strcmp(word, "--version") == 0) {
            puts("poolmon " EXPOOL_VERSION);
            return main_finish(EXP_READER_EXIT_FINE);
        }
        if (strcmp(word, "--once") == 0) {
            arguments->once = true;
        } else if (is_switch) {
            if (!main_parse_switch(word[1], arguments)) {
                return main_refuse("this version does not know the switch", word);
            }
        } else if (word[0] == '/' || word[0] == '-') {
            return main_refuse("this version does not know the switch", word);
        } else if (arguments->pid != 0) {
            return main_refuse("one process at a time; do not know what to do with", word);
        } else {
            arguments->pid = exp_reader_parse_id(word);
            if (arguments->pid == 0) {
                return main_refuse("not a process id:", word);
            }
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct main_arguments arguments = {0};
    int status = main_parse(argc, argv, &arguments);
    if (status >= 0) {
        return status;
    }
    if (!arguments.once) {
        fputs("poolmon: this version prints the table once and does not refresh it; add --once\n",
              stderr);
        return EXP_READER_EXIT_USAGE;
    }
    return main_print(&arguments);
}
