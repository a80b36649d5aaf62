/* SPDX-License-Identifier: MIT */
/*
 * expool stat: one snapshot of the tag table, limits, pages, events and options of a process.
 *
 * Three forms of the same rows: text with columns as wide as their widest number, JSON with
 * everything, CSV with the rows alone. Rows come sorted: numbers descending, ties by tag, pool and
 * module, so that two snapshots of the same state are equal.
 *
 * "Limit" is null or "unlimited" when there is none. A recorded stop is shown; that is not a
 * problem of this command and does not change its exit status. Rows that name no tag do.
 */
#define _GNU_SOURCE 1

#include "expool/command.h"
#include "expool/print.h"
#include "expool/reader.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stat_sort {
    STAT_BYTES,
    STAT_ALLOCS,
    STAT_FREES,
    STAT_DIFF,
    STAT_TAG,
    STAT_SORT_COUNT
};
enum stat_form {
    STAT_TEXT,
    STAT_JSON,
    STAT_CSV
};
enum {
    STAT_NUMBERS = 5
};

struct stat_arguments {
    int pid; /* 0: the only one there is */
    enum stat_sort sort;
    enum stat_form form;
};

static const char *const stat_sort_name[STAT_SORT_COUNT] = {
    "bytes",
    "allocs",
    "frees",
    "diff",
    "tag",
};

static const char *const stat_pool_name[EXPOOL_REGION_POOL_COUNT] = {
    "nonpaged",
    "executable",
    "paged",
};

static const char stat_help[] =
    "usage: expool stat [PID] [--sort bytes|allocs|frees|diff|tag] [--json|--csv]\n"
    "\n"
    "Prints what each tag of a running process uses, and its pools, limits, events, options.\n"
    "The process is not stopped or slowed. Without PID: the only one that runs on expool.\n"
    "\n"
    "  --sort KEY    numbers descending, tags ascending; default bytes\n"
    "  --json        everything, 64-bit integers as integers\n"
    "  --csv         the rows: tag,pool,allocs,frees,diff,bytes,module\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 fine, 1 the region is damaged, 2 usage, 3 gone or not on expool.\n"
    "\n"
    "Examples:\n"
    "  expool stat 1234\n"
    "  expool stat --sort diff --json 1234 | python3 -m json.tool\n";

static uint64_t stat_sort_value(const struct exp_reader_row *row, enum stat_sort sort)
{
    switch (sort) {
    case STAT_BYTES:
        return row->bytes;
    case STAT_ALLOCS:
        return row->allocs;
    case STAT_FREES:
        return row->frees;
    case STAT_DIFF:
        return row->diff;
    default:
        return 0;
    }
}

static int stat_compare(const void *left, const void *right, void *context)
{
    const struct exp_reader_row *a = left, *b = right;
    enum stat_sort sort = *(const enum stat_sort *)context;
    uint64_t value_a = stat_sort_value(a, sort), value_b = stat_sort_value(b, sort);
    if (value_a != value_b) {
        return value_a < value_b ? 1 : -1;
    }
    int order = memcmp(a->tag, b->tag, sizeof a->tag);
    if (order == 0) {
        order = (int)a->paged - (int)b->paged;
    }
    if (order == 0) {
        order = strcmp(a->module != NULL ? a->module : "", b->module != NULL ? b->module : "");
    }
    return order;
}

static uint64_t stat_per_alloc(const struct exp_reader_row *row)
{
    return row->diff == 0 ? 0 : row->bytes / row->diff;
}

static void stat_numbers(const struct exp_reader_row *row, uint64_t number[STAT_NUMBERS])
{
    number[0] = row->allocs;
    number[1] = row->frees;
    number[2] = row->diff;
    number[3] = row->bytes;
    number[4] = stat_per_alloc(row);
}

static int stat_digits(uint64_t number)
{
    return snprintf(NULL, 0, "%" PRIu64, number);
}

/* Options are lines; they are shown as one, and as members of one JSON object. */
static void stat_print_options(const char *lines)
{
    const char *separator = "";
    while (*lines != '\0') {
        size_t length = strcspn(lines, "\n");
        char *line = strndup(lines, length);
        if (line != NULL && length > 0) {
            fputs(separator, stdout);
            exp_reader_print_name(stdout, line);
            separator = ", ";
        }
        free(line);
        lines += length + (lines[length] == '\n');
    }
}

static void stat_print_json_options(const char *lines)
{
    const char *separator = "";
    putchar('{');
    while (*lines != '\0') {
        size_t length = strcspn(lines, "\n");
        char *line = strndup(lines, length);
        if (line != NULL && length > 0) {
            char *value = strchr(line, '=');
            if (value != NULL) {
                *value++ = '\0';
            }
            fputs(separator, stdout);
            exp_print_json(line);
            fputs(": ", stdout);
            exp_print_json(value != NULL ? value : "");
            separator = ", ";
        }
        free(line);
        lines += length + (lines[length] == '\n');
    }
    putchar('}');
}

static void stat_print_pools(const struct expool_region_header *header)
{
    printf("%-10s %12s %12s %12s %12s %20s\n",
           "Pool",
           "Pages",
           "Peak",
           "Dirty",
           "Failures",
           "Limit bytes");
    for (int index = 0; index < EXPOOL_REGION_POOL_COUNT; index++) {
        const struct expool_region_pool *pool = &header->pool[index];
        printf("%-10s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64,
               stat_pool_name[index],
               pool->pages,
               pool->pages_peak,
               pool->dirty_pages,
               pool->failures);
        if (pool->limit_bytes == UINT64_MAX) {
            printf(" %20s\n", "unlimited");
        } else {
            printf(" %20" PRIu64 "\n", pool->limit_bytes);
        }
    }
}

/* Names of the pools' standard events that are signaled, with words around and between them. */
static void stat_print_events(const struct expool_region_header *header,
                              const char *quote,
                              const char *none)
{
    static const char *const name[2][2] = {
        {"LowNonPagedPoolCondition", "HighNonPagedPoolCondition"},
        {"LowPagedPoolCondition", "HighPagedPoolCondition"},
    };
    const char *separator = "";
    for (int index = 0; index < 2; index++) {
        uint64_t bits =
            header->pool[index == 0 ? EXPOOL_REGION_NONPAGED : EXPOOL_REGION_PAGED].conditions;
        for (int high = 0; high < 2; high++) {
            if ((bits & (high ? EXPOOL_REGION_HIGH : EXPOOL_REGION_LOW)) != 0) {
                printf("%s%s%s%s", separator, quote, name[index][high], quote);
                separator = ", ";
            }
        }
    }
    fputs(*separator == '\0' ? none : "", stdout);
}

static void stat_print_head(const struct exp_reader_snapshot *snapshot)
{
    const struct expool_region_header *header = &snapshot->header;
    uint64_t seconds = snapshot->process.uptime_ms / 1000;
    printf("Process    %d ", snapshot->process.pid);
    exp_reader_print_name(stdout, snapshot->process.name);
    printf(", up %" PRIu64 ":%02u:%02u, threads on the pool %" PRIu64 ", fork generation %" PRIu64
           "\n",
           seconds / 3600,
           (unsigned)(seconds / 60 % 60),
           (unsigned)(seconds % 60),
           header->owners,
           header->generation);
    fputs("Options    ", stdout);
    stat_print_options(snapshot->options);
    printf("\nSystem     %" PRIu64 " chunks of 4 MiB taken, %" PRIu64 " pages given back\n",
           header->grown_chunks,
           header->purged_pages);
    fputs("Events     ", stdout);
    stat_print_events(header, "", "none");
    putchar('\n');
    if (header->stop[0] != 0) {
        printf("Stop       0x%08" PRIX64 " (0x%016" PRIX64 ",0x%016" PRIX64 ",0x%016" PRIX64
               ",0x%016" PRIX64 ")\n",
               header->stop[0],
               header->stop[1],
               header->stop[2],
               header->stop[3],
               header->stop[4]);
    }
    putchar('\n');
    stat_print_pools(header);
    putchar('\n');
}

static void stat_print_row(const char *tag,
                           const char *pool,
                           const uint64_t number[STAT_NUMBERS],
                           const int width[STAT_NUMBERS],
                           const char *module)
{
    printf("%-5s %-5s", tag, pool);
    for (int index = 0; index < STAT_NUMBERS; index++) {
        printf(" %*" PRIu64, width[index], number[index]);
    }
    if (module != NULL) {
        fputs("  ", stdout);
        exp_reader_print_name(stdout, module);
    }
    putchar('\n');
}

static void stat_print_text(const struct exp_reader_snapshot *snapshot)
{
    static const char *const label[STAT_NUMBERS] = {
        "Allocs", "Frees", "Diff", "Bytes", "Per Alloc"};
    int width[STAT_NUMBERS] = {10, 10, 10, 12, 9};
    uint64_t number[STAT_NUMBERS];
    struct exp_reader_row total = {0};
    for (size_t index = 0; index < snapshot->row_count; index++) {
        const struct exp_reader_row *row = &snapshot->rows[index];
        total.allocs += row->allocs;
        total.frees += row->frees;
        total.diff += row->diff;
        total.bytes += row->bytes;
        stat_numbers(row, number);
        for (int column = 0; column < STAT_NUMBERS; column++) {
            int digits = stat_digits(number[column]);
            width[column] = digits > width[column] ? digits : width[column];
        }
    }
    stat_numbers(&total, number);
    for (int column = 0; column < STAT_NUMBERS; column++) {
        int digits = stat_digits(number[column]);
        width[column] = digits > width[column] ? digits : width[column];
    }
    stat_print_head(snapshot);
    printf("%-5s %-5s", "Tag", "Type");
    for (int column = 0; column < STAT_NUMBERS; column++) {
        printf(" %*s", width[column], label[column]);
    }
    puts("  Module");
    for (size_t index = 0; index < snapshot->row_count; index++) {
        const struct exp_reader_row *row = &snapshot->rows[index];
        uint64_t shown[STAT_NUMBERS];
        stat_numbers(row, shown);
        stat_print_row(row->tag, row->paged ? "Paged" : "Nonp", shown, width, row->module);
    }
    stat_print_row("TOTAL", "Both", number, width, NULL);
}

static void stat_print_json_rows(const struct exp_reader_snapshot *snapshot)
{
    const char *separator = "";
    fputs("  \"tags\": [", stdout);
    for (size_t index = 0; index < snapshot->row_count; index++) {
        const struct exp_reader_row *row = &snapshot->rows[index];
        printf("%s\n    {\"tag\": ", separator);
        exp_print_json(row->tag);
        printf(", \"pool\": \"%s\", \"allocs\": %" PRIu64 ", \"frees\": %" PRIu64
               ", \"diff\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"module\": ",
               row->paged ? "paged" : "nonpaged",
               row->allocs,
               row->frees,
               row->diff,
               row->bytes);
        if (row->module != NULL) {
            exp_print_json(row->module);
        } else {
            fputs("null", stdout);
        }
        putchar('}');
        separator = ",";
    }
    puts(*separator == '\0' ? "]" : "\n  ]");
}

static void stat_print_json_pools(const struct expool_region_header *header)
{
    fputs("  \"pools\": [", stdout);
    for (int index = 0; index < EXPOOL_REGION_POOL_COUNT; index++) {
        const struct expool_region_pool *pool = &header->pool[index];
        printf("%s\n    {\"pool\": \"%s\", \"pages\": %" PRIu64 ", \"pages_peak\": %" PRIu64
               ", \"dirty_pages\": %" PRIu64 ", \"failures\": %" PRIu64 ", \"limit_bytes\": ",
               index == 0 ? "" : ",",
               stat_pool_name[index],
               pool->pages,
               pool->pages_peak,
               pool->dirty_pages,
               pool->failures);
        if (pool->limit_bytes == UINT64_MAX) {
            fputs("null}", stdout);
        } else {
            printf("%" PRIu64 "}", pool->limit_bytes);
        }
    }
    puts("\n  ],");
}

static void stat_print_json(const struct exp_reader_snapshot *snapshot)
{
    const struct expool_region_header *header = &snapshot->header;
    printf("{\n  \"pid\": %d, \"name\": ", snapshot->process.pid);
    exp_print_json(snapshot->process.name);
    printf(", \"uptime_ms\": %" PRIu64 ", \"generation\": %" PRIu64 ", \"owners\": %" PRIu64 ",\n",
           snapshot->process.uptime_ms,
           header->generation,
           header->owners);
    printf("  \"page_bytes\": %" PRIu32 ", \"purged_pages\": %" PRIu64
           ", \"grown_chunks\": %" PRIu64 ",\n",
           header->page_bytes,
           header->purged_pages,
           header->grown_chunks);
    if (header->stop[0] == 0) {
        puts("  \"stop\": null,");
    } else {
        printf("  \"stop\": {\"code\": %" PRIu64 ", \"parameters\": [%" PRIu64 ", %" PRIu64
               ", %" PRIu64 ", %" PRIu64 "]},\n",
               header->stop[0],
               header->stop[1],
               header->stop[2],
               header->stop[3],
               header->stop[4]);
    }
    fputs("  \"events\": [", stdout);
    stat_print_events(header, "\"", "");
    fputs("],\n  \"options\": ", stdout);
    stat_print_json_options(snapshot->options);
    puts(",");
    stat_print_json_pools(header);
    stat_print_json_rows(snapshot);
    puts("}");
}

static void stat_print_csv(const struct exp_reader_snapshot *snapshot)
{
    puts("tag,pool,allocs,frees,diff,bytes,module");
    for (size_t index = 0; index < snapshot->row_count; index++) {
        const struct exp_reader_row *row = &snapshot->rows[index];
        exp_print_csv(row->tag);
        printf(",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",",
               row->paged ? "paged" : "nonpaged",
               row->allocs,
               row->frees,
               row->diff,
               row->bytes);
        exp_print_csv(row->module != NULL ? row->module : "");
        putchar('\n');
    }
}

static int stat_run(struct stat_arguments *arguments)
{
    if (arguments->pid == 0) {
        enum exp_reader_exit status = exp_reader_choose("expool stat", &arguments->pid);
        if (status != EXP_READER_EXIT_FINE) {
            return (int)status;
        }
    }
    struct exp_reader_snapshot snapshot;
    char why[EXP_READER_WHY_BYTES];
    enum exp_reader_result result = exp_reader_take(arguments->pid, &snapshot, why);
    if (result != EXP_READER_TAKEN) {
        fprintf(stderr, "expool stat: %s\n", why);
        return (int)exp_reader_exit_status(result);
    }
    qsort_r(
        snapshot.rows, snapshot.row_count, sizeof *snapshot.rows, stat_compare, &arguments->sort);
    if (arguments->form == STAT_JSON) {
        stat_print_json(&snapshot);
    } else if (arguments->form == STAT_CSV) {
        stat_print_csv(&snapshot);
    } else {
        stat_print_text(&snapshot);
    }
    int status = EXP_READER_EXIT_FINE;
    if (snapshot.stray_rows != 0) {
        fprintf(stderr,
                "expool stat: %" PRIu64 " rows name no tag and were left out\n",
                snapshot.stray_rows);
        status = EXP_READER_EXIT_PROBLEM;
    }
    exp_reader_release(&snapshot);
    return exp_print_finish("expool stat", status);
}

/* Returns false after a message when the word is no key. */
static bool stat_parse_sort(const char *word, enum stat_sort *sort)
{
    for (int index = 0; index < STAT_SORT_COUNT; index++) {
        if (strcmp(word, stat_sort_name[index]) == 0) {
            *sort = (enum stat_sort)index;
            return true;
        }
    }
    fputs("expool stat: --sort takes bytes, allocs, frees, diff or tag\n", stderr);
    return false;
}

/* The process named on the command line; false after a message. */
static bool stat_parse_target(int argc, char **argv, struct stat_arguments *arguments)
{
    if (argc > 1) {
        fputs("expool stat: takes one process id\n", stderr);
        return false;
    }
    if (argc == 1) {
        arguments->pid = exp_reader_parse_id(argv[0]);
        if (arguments->pid == 0) {
            fputs("expool stat: '", stderr);
            exp_reader_print_name(stderr, argv[0]);
            fputs("' is not a process id\n", stderr);
            return false;
        }
    }
    return true;
}

int exp_command_stat(int argc, char **argv)
{
    static const struct option options[] = {
        {"sort", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"csv", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct stat_arguments arguments = {0, STAT_BYTES, STAT_TEXT};
    argv[0] = "expool stat";
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        enum stat_form form = option == 'j' ? STAT_JSON : STAT_CSV;
        switch (option) {
        case 's':
            if (!stat_parse_sort(optarg, &arguments.sort)) {
                return EXP_READER_EXIT_USAGE;
            }
            break;
        case 'j':
        case 'c':
            if (arguments.form != STAT_TEXT && arguments.form != form) {
                fputs("expool stat: --json and --csv exclude each other\n", stderr);
                return EXP_READER_EXIT_USAGE;
            }
            arguments.form = form;
            break;
        case 'h':
            fputs(stat_help, stdout);
            return exp_print_finish("expool stat", EXP_READER_EXIT_FINE);
        case 'v':
            puts("expool stat " EXPOOL_VERSION);
            return exp_print_finish("expool stat", EXP_READER_EXIT_FINE);
        default:
            return EXP_READER_EXIT_USAGE;
        }
    }
    if (!stat_parse_target(argc - optind, argv + optind, &arguments)) {
        return EXP_READER_EXIT_USAGE;
    }
    return stat_run(&arguments);
}
