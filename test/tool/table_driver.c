/* SPDX-License-Identifier: MIT */
/*
 * Feeds the numbers of the published sample, or larger ones, to the table of poolmon.
 *
 *     table_driver sample    the numbers whose printed form is published
 *     table_driver wide      numbers that need wider columns, a total, and changes of both signs
 */
#include "poolmon/table.h"

#include <string.h>

static const struct exp_table_header driver_header = {
    .memory_kib = 260620,
    .available_kib = 96364,
    .page_faults = 0,
    .resident_kernel_kib = 1916,
    .resident_paged_kib = 17856,
    .commit_kib = 203500,
    .commit_limit_kib = 640916,
    .commit_peak_kib = 260632,
    .nonpaged_kib = 8332,
    .paged_kib = 27220,
};

static int driver_sample(void)
{
    struct exp_table_row row = {
        .tag = "Wait", .allocs = 3971107, .frees = 3971077, .diff = 30, .bytes = 8456};
    exp_table_print(stdout, &driver_header, &row, 1, false);
    return 0;
}

static int driver_wide(void)
{
    struct exp_table_row rows[] = {
        {.tag = "Huge",
         .paged = true,
         .allocs = UINT64_MAX,
         .frees = 5,
         .diff = UINT64_MAX - 5,
         .bytes = UINT64_MAX,
         .allocs_change = 123456,
         .frees_change = 7,
         .bytes_change = -12345678},
        {.tag = "Tiny", .allocs = 1, .diff = 1, .bytes = 16, .bytes_change = 16},
    };
    exp_table_print(stdout, &driver_header, rows, 2, false);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "sample") == 0) {
        return driver_sample();
    }
    if (argc == 2 && strcmp(argv[1], "wide") == 0) {
        return driver_wide();
    }
    return 2;
}
