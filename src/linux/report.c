/* SPDX-License-Identifier: MIT */
/*
 * The table at exit (option report): what each tag and module of this process used, largest first.
 * It is made when the library is unloaded at the end of the process, from the same rows that
 * everybody reads, in the process's own memory; nothing here is on any other path.
 */
#define _GNU_SOURCE
#include <expool.h>

#include "base/format.h"
#include "core/option.h"
#include "core/owner.h"
#include "linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    REPORT_ROWS_MAX = 4096,
    REPORT_LINE_BYTES = 512
};

int exp_linux_open(const char *name)
{
    char path[EXP_OPTION_TEXT_BYTES + 16];
    struct exp_text text;
    if (strcmp(name, "stderr") == 0) {
        return STDERR_FILENO;
    }
    exp_format_start(&text, path, sizeof(path));
    for (const char *at = name; *at != '\0'; at++) {
        char one[2] = { *at, '\0' };
        if (at[0] == '%' && at[1] == 'p') {
            exp_format_decimal(&text, (uint64_t)getpid(), 0);
            at++;
        } else {
            exp_format_words(&text, one);
        }
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static int by_bytes(const void *a, const void *b)
{
    const struct expool_tag_row *one = a;
    const struct expool_tag_row *other = b;
    if (one->bytes != other->bytes) {
        return one->bytes < other->bytes ? 1 : -1;
    }
    return (one->allocs < other->allocs) - (one->allocs > other->allocs);
}

/* File name of the module that a tag stands for, or "". */
static const char *module_of(uint32_t tag)
{
    const struct expool_region_header *region = exp_tag_region();
    const struct expool_region_section *section = &region->section[EXPOOL_SECTION_MODULES];
    const struct expool_region_module *modules =
        (const void *)((const char *)region + section->offset);
    for (uint64_t index = 0; index < section->count; index++) {
        if ((exp_tag_of(modules[index].number) & ~EXP_TAG_PROTECTED) == tag) {
            return modules[index].path;
        }
    }
    return "";
}

static void print_row(int file, const struct expool_tag_row *row)
{
    char line[REPORT_LINE_BYTES];
    struct exp_text text;
    uint64_t live = row->allocs - row->frees;
    exp_format_start(&text, line, sizeof(line));
    exp_format_words(&text, " ");
    exp_format_tag(&text, row->tag);
    exp_format_words(&text, row->pool == 0 ? " Nonp  " : " Paged ");
    exp_format_decimal(&text, row->allocs, 12);
    exp_format_decimal(&text, row->frees, 13);
    exp_format_decimal(&text, live, 11);
    exp_format_decimal(&text, row->bytes, 14);
    exp_format_decimal(&text, live == 0 ? 0 : row->bytes / live, 11);
    exp_format_words(&text, "  ");
    for (const char *at = module_of(row->tag); *at != '\0'; at++) {
        exp_format_character(&text, *at);
    }
    exp_format_words(&text, "\n");
    exp_linux_write(file, line, text.length_bytes);
}

static __attribute__((destructor)) void report_at_exit(void)
{
    const char *name = exp_option_file(EXP_OPTION_REPORT);
    if (name[0] == '\0' || exp_range.bytes == 0) {
        return;
    }
    int file = exp_linux_open(name);
    if (file < 0) {
        char line[] = "expool: the report's file cannot be opened\n";
        exp_linux_write(STDERR_FILENO, line, sizeof(line) - 1);
        return;
    }
    size_t bytes = REPORT_ROWS_MAX * sizeof(struct expool_tag_row);
    struct expool_tag_row *rows = exp_range_heap_take(EXP_RANGE_KEPT, bytes);
    size_t count = rows == NULL ? 0 : expool_tags(rows, REPORT_ROWS_MAX);
    count = exp_min(count, REPORT_ROWS_MAX);
    qsort(rows, count, sizeof(*rows), by_bytes);
    char head[128];
    int length =
        snprintf(head,
                 sizeof(head),
                 "expool: process %d at exit\n"
                 " Tag  Type        Allocs        Frees       Diff         Bytes  Per Alloc"
                 "  Module\n",
                 (int)getpid());
    exp_linux_write(file, head, (size_t)length);
    for (size_t index = 0; index < count; index++) {
        print_row(file, &rows[index]);
    }
    if (file != STDERR_FILENO) {
        exp_linux_close(file);
    }
}
