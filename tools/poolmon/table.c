/* SPDX-License-Identifier: MIT */
/*
 * The classic table.
 *
 * The published layout, with a ruler for the columns of a row:
 *
 *      Tag  Type     Allocs            Frees            Diff   Bytes       Per Alloc
 *      Wait Nonp    3971107 (   0)   3971077 (   0)       30    8456 (     0)    281
 *     0    5    10        20        30        40        50        60        70
 *
 * Eight numbers stand in columns of fixed least widths. A number that needs more widens its column
 * for the whole table: the titles to the right of it move along, so that the table stays one.
 *
 * Sums wrap at 64 bits, as the counters do. No state, no locks.
 */
#include "poolmon/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum table_column {
    TABLE_ALLOCS,
    TABLE_ALLOCS_CHANGE,
    TABLE_FREES,
    TABLE_FREES_CHANGE,
    TABLE_DIFF,
    TABLE_BYTES,
    TABLE_BYTES_CHANGE,
    TABLE_PER_ALLOC,
    TABLE_COLUMNS
};

static const int table_width_least[TABLE_COLUMNS] = {
    [TABLE_ALLOCS] = 9,
    [TABLE_ALLOCS_CHANGE] = 4,
    [TABLE_FREES] = 9,
    [TABLE_FREES_CHANGE] = 4,
    [TABLE_DIFF] = 8,
    [TABLE_BYTES] = 7,
    [TABLE_BYTES_CHANGE] = 6,
    [TABLE_PER_ALLOC] = 6,
};

/* A title ends a group of columns; it moves right by what the columns up to its last one grew. */
static const struct {
    const char *words;
    enum table_column last;
} table_title[] = {
    {"     Allocs", TABLE_ALLOCS},
    {"            Frees", TABLE_FREES},
    {"            Diff", TABLE_DIFF},
    {"   Bytes", TABLE_BYTES},
    {"       Per Alloc", TABLE_PER_ALLOC},
};

static uint64_t table_per_alloc(const struct exp_table_row *row)
{
    return row->diff == 0 ? 0 : row->bytes / row->diff;
}

static int table_compare_tags(const void *left, const void *right)
{
    const struct exp_table_row *a = left, *b = right;
    int order = memcmp(a->tag, b->tag, sizeof a->tag);
    return order != 0 ? order : (int)a->paged - (int)b->paged;
}

static int table_compare_numbers(uint64_t a, uint64_t b, const void *left, const void *right)
{
    if (a != b) {
        return a < b ? 1 : -1;
    }
    return table_compare_tags(left, right);
}

static int table_compare_allocs(const void *left, const void *right)
{
    const struct exp_table_row *a = left, *b = right;
    return table_compare_numbers(a->allocs, b->allocs, a, b);
}

static int table_compare_frees(const void *left, const void *right)
{
    const struct exp_table_row *a = left, *b = right;
    return table_compare_numbers(a->frees, b->frees, a, b);
}

static int table_compare_diffs(const void *left, const void *right)
{
    const struct exp_table_row *a = left, *b = right;
    return table_compare_numbers(a->diff, b->diff, a, b);
}

static int table_compare_bytes(const void *left, const void *right)
{
    const struct exp_table_row *a = left, *b = right;
    return table_compare_numbers(a->bytes, b->bytes, a, b);
}

static int table_compare_per_alloc(const void *left, const void *right)
{
    const struct exp_table_row *a = left, *b = right;
    return table_compare_numbers(table_per_alloc(a), table_per_alloc(b), a, b);
}

static void table_add(struct exp_table_row *to, const struct exp_table_row *row)
{
    to->allocs += row->allocs;
    to->frees += row->frees;
    to->diff += row->diff;
    to->bytes += row->bytes;
    to->allocs_change += row->allocs_change;
    to->frees_change += row->frees_change;
    to->bytes_change = (int64_t)((uint64_t)to->bytes_change + (uint64_t)row->bytes_change);
}

size_t exp_table_merge(struct exp_table_row *rows, size_t count)
{
    if (count == 0) {
        return 0;
    }
    exp_table_sort(rows, count, EXP_TABLE_TAG);
    size_t last = 0;
    for (size_t index = 1; index < count; index++) {
        if (table_compare_tags(&rows[last], &rows[index]) == 0) {
            table_add(&rows[last], &rows[index]);
        } else {
            rows[++last] = rows[index];
        }
    }
    return last + 1;
}

void exp_table_sort(struct exp_table_row *rows, size_t count, enum exp_table_sort sort)
{
    static int (*const compare[])(const void *, const void *) = {
        [EXP_TABLE_TAG] = table_compare_tags,
        [EXP_TABLE_ALLOCS] = table_compare_allocs,
        [EXP_TABLE_FREES] = table_compare_frees,
        [EXP_TABLE_DIFF] = table_compare_diffs,
        [EXP_TABLE_BYTES] = table_compare_bytes,
        [EXP_TABLE_PER_ALLOC] = table_compare_per_alloc,
    };
    if (count > 1) {
        qsort(rows, count, sizeof *rows, compare[sort]);
    }
}

static void table_widen(int width[TABLE_COLUMNS], const struct exp_table_row *row)
{
    const int needed[TABLE_COLUMNS] = {
        [TABLE_ALLOCS] = snprintf(NULL, 0, "%" PRIu64, row->allocs),
        [TABLE_ALLOCS_CHANGE] = snprintf(NULL, 0, "%" PRIu64, row->allocs_change),
        [TABLE_FREES] = snprintf(NULL, 0, "%" PRIu64, row->frees),
        [TABLE_FREES_CHANGE] = snprintf(NULL, 0, "%" PRIu64, row->frees_change),
        [TABLE_DIFF] = snprintf(NULL, 0, "%" PRIu64, row->diff),
        [TABLE_BYTES] = snprintf(NULL, 0, "%" PRIu64, row->bytes),
        [TABLE_BYTES_CHANGE] = snprintf(NULL, 0, "%" PRId64, row->bytes_change),
        [TABLE_PER_ALLOC] = snprintf(NULL, 0, "%" PRIu64, table_per_alloc(row)),
    };
    for (int column = 0; column < TABLE_COLUMNS; column++) {
        width[column] = needed[column] > width[column] ? needed[column] : width[column];
    }
}

static void table_print_titles(FILE *file, const int width[TABLE_COLUMNS])
{
    fputs(" Tag  Type", file);
    int column = 0;
    for (size_t index = 0; index < sizeof table_title / sizeof table_title[0]; index++) {
        int grown = 0;
        for (; column <= (int)table_title[index].last; column++) {
            grown += width[column] - table_width_least[column];
        }
        fprintf(file, "%*s%s", grown, "", table_title[index].words);
    }
    fputc('\n', file);
}

/* lead is the character before the tag: a total's word is one longer than a tag. */
static void table_print_row(FILE *file,
                            const char *lead,
                            const char *type,
                            const struct exp_table_row *row,
                            const int width[TABLE_COLUMNS])
{
    fprintf(file,
            "%s %-5s %*" PRIu64 " (%*" PRIu64 ") %*" PRIu64 " (%*" PRIu64 ") %*" PRIu64 " %*" PRIu64
            " (%*" PRId64 ") %*" PRIu64 "\n",
            lead,
            type,
            width[TABLE_ALLOCS],
            row->allocs,
            width[TABLE_ALLOCS_CHANGE],
            row->allocs_change,
            width[TABLE_FREES],
            row->frees,
            width[TABLE_FREES_CHANGE],
            row->frees_change,
            width[TABLE_DIFF],
            row->diff,
            width[TABLE_BYTES],
            row->bytes,
            width[TABLE_BYTES_CHANGE],
            row->bytes_change,
            width[TABLE_PER_ALLOC],
            table_per_alloc(row));
}

static void table_print_header(FILE *file, const struct exp_table_header *header)
{
    fprintf(file,
            " Memory:%8" PRIu64 "K Avail:%8" PRIu64 "K  PageFlts:%6" PRIu64
            "   InRam Krnl:%5" PRIu64 "K P:%5" PRIu64 "K\n",
            header->memory_kib,
            header->available_kib,
            header->page_faults,
            header->resident_kernel_kib,
            header->resident_paged_kib);
    fprintf(file,
            " Commit:%7" PRIu64 "K Limit:%7" PRIu64 "K Peak:%7" PRIu64
            "K            Pool N:%5" PRIu64 "K P:%5" PRIu64 "K\n",
            header->commit_kib,
            header->commit_limit_kib,
            header->commit_peak_kib,
            header->nonpaged_kib,
            header->paged_kib);
    fputs(" System pool information\n", file);
}

void exp_table_print(FILE *file,
                     const struct exp_table_header *header,
                     const struct exp_table_row *rows,
                     size_t count,
                     bool totals)
{
    enum {
        NONPAGED,
        PAGED,
        BOTH,
        TOTALS
    };
    static const char *const type[TOTALS] = {"Nonp", "Paged", "Both"};
    struct exp_table_row total[TOTALS] = {0};
    int width[TABLE_COLUMNS];
    memcpy(width, table_width_least, sizeof width);
    for (size_t index = 0; index < count; index++) {
        table_widen(width, &rows[index]);
        table_add(&total[rows[index].paged ? PAGED : NONPAGED], &rows[index]);
        table_add(&total[BOTH], &rows[index]);
    }
    for (int index = 0; totals && index < TOTALS; index++) {
        table_widen(width, &total[index]);
    }
    table_print_header(file, header);
    table_print_titles(file, width);
    for (size_t index = 0; index < count; index++) {
        char lead[sizeof rows[index].tag + 1];
        snprintf(lead, sizeof lead, " %s", rows[index].tag);
        table_print_row(
            file, lead, type[rows[index].paged ? PAGED : NONPAGED], &rows[index], width);
    }
    for (int index = 0; totals && index < TOTALS; index++) {
        table_print_row(file, "TOTAL", type[index], &total[index], width);
    }
}
