/* SPDX-License-Identifier: MIT */
/*
 * The reader of the statistics region of another process.
 *
 * This file owns everything between "/proc/PID" and a table of rows.
 *
 *     /proc/PID/fd/N -> "/memfd:expool-region (deleted)"     find, open, pread; never map
 *       header   --+-- sections: tags, modules, rows, row keys, options
 *                  v
 *       sum[number * 2 + pool] over all rows  -->  rows of the snapshot
 *
 * Order, so that blocks in use never seem negative while the target runs:
 *     1. header, then frees and bytes out of every row
 *     2. header again, for rows that appeared meanwhile, then allocs and bytes in of every row
 *     3. header again, for tags that appeared meanwhile, then tags, modules and options
 * A row's key is read with the row. A key not yet set in 1 and set in 2 loses frees, not allocs.
 *
 * Nothing in the region is believed. Each copy of the header is checked whole before a number of it
 * is used; sections must lie inside the file; tables have limits of their own (reader.h), rows are
 * summed in pieces, so memory follows the number of tags and time the number of rows. A file that
 * shrinks while it is read gives a short read, which is damage, not a fault.
 *
 * A region belongs to the process whose id its header names. Other copies of the descriptor are
 * common: a program that is reading it, a child between fork and its own region.
 *
 * It refuses to look at processes of another user, even for root; the effective user decides,
 * because the files under /proc belong to root for a process that changed its identity.
 *
 * No locks; single thread.
 */
#define _GNU_SOURCE 1

#include "expool/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READER_LINK "/memfd:" EXPOOL_REGION_NAME " (deleted)"

enum {
    READER_BATCH_ROWS = 2048,
    READER_PAGE_BYTES = 4096,
    READER_FILE_BYTES = 2048,
    READER_STATE_FIELD = 3,
    READER_START_FIELD = 22,
};

struct reader_file {
    int descriptor;
    uint64_t size_bytes;
    struct expool_region_header header; /* the last good copy */
};

/* Sums of the rows of one tag in one pool; index is the row key. */
struct reader_sums {
    struct expool_region_row *sum;
    uint64_t key_count;
    uint64_t stray_rows;
};

enum reader_pass {
    READER_PASS_OUT,
    READER_PASS_IN
};

/* clang-format off */
static const struct {
    const char *name;
    uint64_t entry_bytes;
    uint64_t count_max;
} reader_section[] = {
    [EXPOOL_SECTION_TAGS] =
        {"tags", sizeof(struct expool_region_tag), EXP_READER_TAGS_MAX},
    [EXPOOL_SECTION_MODULES] =
        {"modules", sizeof(struct expool_region_module), EXP_READER_MODULES_MAX},
    [EXPOOL_SECTION_ROWS] =
        {"rows", sizeof(struct expool_region_row), EXP_READER_ROWS_MAX},
    [EXPOOL_SECTION_ROW_KEYS] =
        {"row keys", sizeof(uint32_t), EXP_READER_ROWS_MAX},
    [EXPOOL_SECTION_OPTIONS] =
        {"options", 1, EXP_READER_OPTIONS_BYTES_MAX},
};
/* clang-format on */

enum {
    READER_SECTIONS_KNOWN = sizeof reader_section / sizeof reader_section[0]
};

__attribute__((format(printf, 2, 3))) static void reader_say(char *why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, EXP_READER_WHY_BYTES, format, arguments);
    va_end(arguments);
}

/* Read the start of a file under /proc/PID as a string; false when there is nothing. */
static bool reader_read_file(int directory, const char *file, char *text, size_t size)
{
    int descriptor = openat(directory, file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    ssize_t got = read(descriptor, text, size - 1);
    close(descriptor);
    if (got <= 0) {
        return false;
    }
    text[got] = '\0';
    return true;
}

static void reader_parse_numbers(struct exp_reader_process *process, const char *text)
{
    while (process->number_count < EXP_READER_NUMBERS_MAX) {
        char *end;
        unsigned long number = strtoul(text, &end, 10);
        if (end == text) {
            return;
        }
        process->number[process->number_count++] = (uint32_t)number;
        text = end;
    }
}

/* The list of groups may be very long, so this file is read by lines and long lines in pieces. */
static bool reader_read_status(int directory, struct exp_reader_process *process)
{
    int descriptor = openat(directory, "status", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    FILE *file = fdopen(descriptor, "r");
    if (file == NULL) {
        close(descriptor);
        return false;
    }
    bool user_found = false;
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long user;
        unsigned long long kib;
        if (sscanf(line, "Uid: %*u %lu", &user) == 1) {
            process->user = (uint32_t)user;
            user_found = true;
        } else if (sscanf(line, "RssFile: %llu", &kib) == 1) {
            process->resident_file_kib = kib;
        } else if (strncmp(line, "NSpid:", 6) == 0) {
            reader_parse_numbers(process, line + 6);
        }
    }
    fclose(file);
    if (process->number_count == 0) {
        process->number[process->number_count++] = (uint32_t)process->pid;
    }
    return user_found;
}

/* State letter and age. The name field may hold anything, so fields count from its last bracket. */
static bool reader_read_stat(int directory, struct exp_reader_process *process, char *state)
{
    char text[READER_FILE_BYTES];
    if (!reader_read_file(directory, "stat", text, sizeof text)) {
        return false;
    }
    char *cursor = strrchr(text, ')');
    if (cursor == NULL || cursor[1] != ' ') {
        return false;
    }
    cursor += 2;
    *state = *cursor;
    for (int field = READER_STATE_FIELD; field < READER_START_FIELD; field++) {
        cursor = strchr(cursor, ' ');
        if (cursor == NULL) {
            return false;
        }
        cursor++;
    }
    uint64_t start_ticks = strtoull(cursor, NULL, 10);
    uint64_t ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0 || ticks_per_second == 0) {
        return false;
    }
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t start_ms = start_ticks * 1000 / ticks_per_second;
    process->uptime_ms = now_ms > start_ms ? now_ms - start_ms : 0;
    return true;
}

static void reader_read_name(int directory, struct exp_reader_process *process)
{
    if (!reader_read_file(directory, "comm", process->name, sizeof process->name)) {
        process->name[0] = '\0';
    }
    size_t length = strlen(process->name);
    if (length > 0 && process->name[length - 1] == '\n') {
        process->name[length - 1] = '\0';
    }
}

/*
 * Open /proc/PID and learn about the process. Everything is read through this one descriptor, so
 * all facts are about one process even when its number is given to another one meanwhile.
 *
 *   returns   EXP_READER_TAKEN, and *directory is open; else why is written
 */
static enum exp_reader_result reader_open_process(int pid,
                                                  struct exp_reader_process *process,
                                                  int *directory,
                                                  char *why)
{
    memset(process, 0, sizeof *process);
    process->pid = pid;
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", pid);
    *directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*directory < 0 && (errno != ENOENT || access("/proc/self", F_OK) != 0)) {
        reader_say(why, "process %d cannot be found in /proc: %s", pid, strerror(errno));
        return EXP_READER_FAILED;
    }
    enum exp_reader_result result = EXP_READER_GONE;
    char state = 'X';
    if (*directory < 0 || !reader_read_status(*directory, process)) {
        reader_say(why, "process %d is gone", pid);
    } else if (process->user != (uint32_t)geteuid()) {
        const struct passwd *entry = getpwuid(process->user);
        const char *user = entry != NULL ? entry->pw_name : "without a name";
        reader_say(why,
                   "process %d belongs to user %s (%" PRIu32 "); run this as that user",
                   pid,
                   user,
                   process->user);
        result = EXP_READER_FOREIGN;
    } else if (!reader_read_stat(*directory, process, &state) || state == 'Z' || state == 'X') {
        reader_say(why, "process %d is gone", pid);
    } else {
        reader_read_name(*directory, process);
        return EXP_READER_TAKEN;
    }
    if (*directory >= 0) {
        close(*directory);
    }
    return result;
}

static bool reader_has_number(const struct exp_reader_process *process, uint32_t number)
{
    for (uint32_t index = 0; index < process->number_count; index++) {
        if (process->number[index] == number) {
            return true;
        }
    }
    return false;
}

/* Copy size bytes at offset; false: the file ends before, or cannot be read. */
static bool reader_copy(const struct reader_file *file, uint64_t offset, void *to, size_t size)
{
    char *cursor = to;
    while (size > 0) {
        ssize_t got = pread(file->descriptor, cursor, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        cursor += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

static bool reader_check_section(const struct expool_region_header *header, int index, char *why)
{
    const struct expool_region_section *section = &header->section[index];
    const char *name = reader_section[index].name;
    uint64_t entry_bytes = reader_section[index].entry_bytes;
    if (section->entry_bytes == 0 && section->count == 0) {
        return true;
    }
    if (section->entry_bytes != entry_bytes) {
        reader_say(why,
                   "entries of section '%s' have %" PRIu64 " bytes instead of %" PRIu64,
                   name,
                   section->entry_bytes,
                   entry_bytes);
        return false;
    }
    if (section->count > section->capacity) {
        reader_say(why,
                   "section '%s' counts %" PRIu64 " entries and has room for %" PRIu64,
                   name,
                   section->count,
                   section->capacity);
        return false;
    }
    if (section->count > reader_section[index].count_max) {
        reader_say(why,
                   "section '%s' counts %" PRIu64 " entries; at most %" PRIu64 " are read",
                   name,
                   section->count,
                   reader_section[index].count_max);
        return false;
    }
    uint64_t bytes, end;
    if (section->offset < header->header_bytes ||
        __builtin_mul_overflow(section->capacity, entry_bytes, &bytes) ||
        __builtin_add_overflow(section->offset, bytes, &end) || end > header->region_bytes) {
        reader_say(why, "section '%s' lies outside the region", name);
        return false;
    }
    return true;
}

/* Copy the header and check it whole; the file's former copy stays when it is bad. */
static bool reader_read_header(struct reader_file *file, char *why)
{
    struct expool_region_header header;
    if (!reader_copy(file, 0, &header, sizeof header)) {
        reader_say(why, "it is shorter than its header");
        return false;
    }
    if (header.magic != EXPOOL_REGION_MAGIC) {
        reader_say(why, "its magic number is 0x%016" PRIx64, header.magic);
        return false;
    }
    if (header.version != EXPOOL_REGION_VERSION) {
        reader_say(why,
                   "it has version %" PRIu32 " and this program reads version %d",
                   header.version,
                   EXPOOL_REGION_VERSION);
        return false;
    }
    if (header.header_bytes != sizeof header || header.page_bytes != READER_PAGE_BYTES) {
        reader_say(why,
                   "its header has %" PRIu32 " bytes and pages of %" PRIu32,
                   header.header_bytes,
                   header.page_bytes);
        return false;
    }
    if (header.region_bytes < sizeof header || header.region_bytes > file->size_bytes) {
        reader_say(why,
                   "it claims %" PRIu64 " bytes and its file has %" PRIu64,
                   header.region_bytes,
                   file->size_bytes);
        return false;
    }
    for (int index = 0; index < READER_SECTIONS_KNOWN; index++) {
        if (!reader_check_section(&header, index, why)) {
            return false;
        }
    }
    if (header.section[EXPOOL_SECTION_ROW_KEYS].count < header.section[EXPOOL_SECTION_ROWS].count) {
        /* The two counts are written one after the other: the smaller one holds. */
        header.section[EXPOOL_SECTION_ROWS].count = header.section[EXPOOL_SECTION_ROW_KEYS].count;
    }
    file->header = header;
    return true;
}

static bool reader_is_region_link(int directory, const char *name)
{
    char link[sizeof READER_LINK + 1];
    ssize_t length = readlinkat(directory, name, link, sizeof link);
    return length == (ssize_t)(sizeof READER_LINK - 1) &&
           memcmp(link, READER_LINK, sizeof READER_LINK - 1) == 0;
}

/*
 * Open one descriptor of the target when it is a region's. It may have become something else since
 * its link was read, so nothing may block and the opened file is looked at once more.
 */
static bool reader_open_descriptor(int directory, const char *name, struct reader_file *file)
{
    if (!reader_is_region_link(directory, name)) {
        return false;
    }
    file->descriptor = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->descriptor < 0) {
        return false;
    }
    char own[40];
    snprintf(own, sizeof own, "/proc/self/fd/%d", file->descriptor);
    struct stat status;
    if (fstat(file->descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
        !reader_is_region_link(AT_FDCWD, own)) {
        close(file->descriptor);
        return false;
    }
    file->size_bytes = (uint64_t)status.st_size;
    return true;
}

/* Find and open the process' own region. */
static enum exp_reader_result reader_find(const struct exp_reader_process *process,
                                          int parent,
                                          struct reader_file *file,
                                          char *why)
{
    int descriptors = openat(parent, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptors < 0) {
        bool gone = errno == ENOENT || errno == ESRCH;
        reader_say(why,
                   gone ? "process %d is gone" : "process %d does not let its user look at it",
                   process->pid);
        return gone ? EXP_READER_GONE : EXP_READER_FORBIDDEN;
    }
    DIR *directory = fdopendir(descriptors);
    if (directory == NULL) {
        close(descriptors);
        reader_say(why, "out of memory");
        return EXP_READER_FAILED;
    }
    enum exp_reader_result result = EXP_READER_ABSENT;
    reader_say(why, "process %d is not running on expool", process->pid);
    const struct dirent *entry;
    while (result != EXP_READER_TAKEN && (entry = readdir(directory)) != NULL) {
        if (!reader_open_descriptor(descriptors, entry->d_name, file)) {
            continue;
        }
        char detail[EXP_READER_WHY_BYTES / 2];
        char text[EXP_READER_WHY_BYTES];
        if (!reader_read_header(file, text)) {
            snprintf(detail, sizeof detail, "%.*s", (int)sizeof detail - 1, text);
            reader_say(why, "the region of process %d is damaged: %s", process->pid, detail);
            result = EXP_READER_DAMAGED;
        } else if (reader_has_number(process, file->header.process_id)) {
            result = EXP_READER_TAKEN;
            break;
        }
        close(file->descriptor);
    }
    closedir(directory);
    return result;
}

static void reader_add_row(struct reader_sums *sums,
                           enum reader_pass pass,
                           uint32_t key,
                           const struct expool_region_row *row)
{
    if (key == UINT32_MAX) {
        return;
    }
    if (key < 2 || key >= sums->key_count) {
        if (pass == READER_PASS_IN && row->allocs != 0) {
            sums->stray_rows++;
        }
        return;
    }
    struct expool_region_row *sum = &sums->sum[key];
    if (pass == READER_PASS_OUT) {
        sum->frees += row->frees;
        sum->bytes_out += row->bytes_out;
    } else {
        sum->allocs += row->allocs;
        sum->bytes_in += row->bytes_in;
    }
}

/* One pass over all rows, in pieces. */
static bool reader_sum_rows(const struct reader_file *file,
                            struct reader_sums *sums,
                            enum reader_pass pass)
{
    static struct expool_region_row row[READER_BATCH_ROWS];
    static uint32_t key[READER_BATCH_ROWS];
    const struct expool_region_section *rows = &file->header.section[EXPOOL_SECTION_ROWS];
    const struct expool_region_section *keys = &file->header.section[EXPOOL_SECTION_ROW_KEYS];
    for (uint64_t first = 0; first < rows->count; first += READER_BATCH_ROWS) {
        uint64_t left = rows->count - first;
        size_t batch = left < READER_BATCH_ROWS ? (size_t)left : READER_BATCH_ROWS;
        if (!reader_copy(file, keys->offset + first * sizeof key[0], key, batch * sizeof key[0]) ||
            !reader_copy(file, rows->offset + first * sizeof row[0], row, batch * sizeof row[0])) {
            return false;
        }
        for (size_t index = 0; index < batch; index++) {
            reader_add_row(sums, pass, key[index], &row[index]);
        }
    }
    return true;
}

/* Copy a whole section, followed by one zero byte; NULL: memory, or a short file. */
static void *reader_copy_section(const struct reader_file *file, int index)
{
    const struct expool_region_section *section = &file->header.section[index];
    size_t bytes = (size_t)(section->count * reader_section[index].entry_bytes);
    char *copy = malloc(bytes + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (!reader_copy(file, section->offset, copy, bytes)) {
        free(copy);
        return NULL;
    }
    copy[bytes] = '\0';
    return copy;
}

static void reader_write_tag(char *text, uint32_t tag)
{
    for (int index = 0; index < 4; index++) {
        unsigned char byte = (unsigned char)(tag >> (8 * index));
        text[index] = byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
    }
    text[4] = '\0';
}

static void reader_fill_row(struct exp_reader_row *row,
                            uint32_t key,
                            const struct expool_region_row *sum)
{
    row->paged = (key & 1) != 0;
    row->allocs = sum->allocs;
    row->frees = sum->frees;
    row->diff = sum->allocs > sum->frees ? sum->allocs - sum->frees : 0;
    row->bytes = sum->bytes_in > sum->bytes_out ? sum->bytes_in - sum->bytes_out : 0;
}

/* Turn sums into rows with tags and module names. */
static bool reader_build_rows(const struct reader_file *file,
                              struct reader_sums *sums,
                              struct exp_reader_snapshot *snapshot)
{
    const struct expool_region_tag *tags = reader_copy_section(file, EXPOOL_SECTION_TAGS);
    struct expool_region_module *modules = reader_copy_section(file, EXPOOL_SECTION_MODULES);
    uint64_t tag_count = file->header.section[EXPOOL_SECTION_TAGS].count;
    uint64_t module_count = file->header.section[EXPOOL_SECTION_MODULES].count;
    size_t used = 0;
    for (uint64_t key = 0; key < sums->key_count; key++) {
        used += sums->sum[key].allocs != 0;
    }
    snapshot->rows = malloc((used + 1) * sizeof *snapshot->rows);
    snapshot->module_paths = (char *)modules;
    if (tags == NULL || modules == NULL || snapshot->rows == NULL) {
        free((void *)tags);
        return false;
    }
    for (uint64_t index = 0; index < module_count; index++) {
        modules[index].path[sizeof modules[index].path - 1] = '\0';
    }
    for (uint32_t key = 0; key < sums->key_count; key++) {
        const struct expool_region_row *sum = &sums->sum[key];
        if (sum->allocs == 0) {
            continue;
        }
        if (key / 2 >= tag_count) {
            sums->stray_rows++;
            continue;
        }
        struct exp_reader_row *row = &snapshot->rows[snapshot->row_count++];
        const struct expool_region_tag *tag = &tags[key / 2];
        reader_fill_row(row, key, sum);
        reader_write_tag(row->tag, tag->tag);
        bool known = tag->module != 0 && tag->module <= module_count;
        row->module = known ? modules[tag->module - 1].path : NULL;
    }
    free((void *)tags);
    return true;
}

/* The three steps of the essay; on false the snapshot may be partly filled. */
static bool reader_copy_region(struct reader_file *file,
                               struct exp_reader_snapshot *snapshot,
                               char *detail)
{
    struct reader_sums sums = {0};
    uint64_t capacity = file->header.section[EXPOOL_SECTION_TAGS].capacity;
    sums.key_count = 2 * (capacity < EXP_READER_TAGS_MAX ? capacity : EXP_READER_TAGS_MAX);
    sums.sum = calloc((size_t)sums.key_count + 1, sizeof *sums.sum);
    bool done = false;
    if (sums.sum == NULL) {
        reader_say(detail, "there is not enough memory to copy it");
        return false;
    }
    const char *cut = "it ends before its sections do";
    if (!reader_sum_rows(file, &sums, READER_PASS_OUT)) {
        reader_say(detail, "%s", cut);
        goto out_free;
    }
    if (!reader_read_header(file, detail)) {
        goto out_free;
    }
    if (!reader_sum_rows(file, &sums, READER_PASS_IN)) {
        reader_say(detail, "%s", cut);
        goto out_free;
    }
    if (!reader_read_header(file, detail)) {
        goto out_free;
    }
    snapshot->options = reader_copy_section(file, EXPOOL_SECTION_OPTIONS);
    if (!reader_build_rows(file, &sums, snapshot) || snapshot->options == NULL) {
        reader_say(detail, "%s, or there is not enough memory to copy it", cut);
        goto out_free;
    }
    snapshot->header = file->header;
    snapshot->stray_rows = sums.stray_rows;
    done = true;

out_free:
    free(sums.sum);
    return done;
}

enum exp_reader_result exp_reader_take(int pid, struct exp_reader_snapshot *snapshot, char *why)
{
    memset(snapshot, 0, sizeof *snapshot);
    int directory;
    enum exp_reader_result result = reader_open_process(pid, &snapshot->process, &directory, why);
    if (result != EXP_READER_TAKEN) {
        return result;
    }
    struct reader_file file;
    result = reader_find(&snapshot->process, directory, &file, why);
    close(directory);
    if (result != EXP_READER_TAKEN) {
        return result;
    }
    char text[EXP_READER_WHY_BYTES];
    if (!reader_copy_region(&file, snapshot, text)) {
        char detail[EXP_READER_WHY_BYTES / 2];
        snprintf(detail, sizeof detail, "%.*s", (int)sizeof detail - 1, text);
        reader_say(why, "the region of process %d is damaged: %s", pid, detail);
        exp_reader_release(snapshot);
        result = EXP_READER_DAMAGED;
    }
    close(file.descriptor);
    return result;
}

void exp_reader_release(struct exp_reader_snapshot *snapshot)
{
    free(snapshot->rows);
    free(snapshot->options);
    free(snapshot->module_paths);
    snapshot->rows = NULL;
    snapshot->options = NULL;
    snapshot->module_paths = NULL;
    snapshot->row_count = 0;
}

enum exp_reader_exit exp_reader_exit_status(enum exp_reader_result result)
{
    switch (result) {
    case EXP_READER_TAKEN:
        return EXP_READER_EXIT_FINE;
    case EXP_READER_DAMAGED:
    case EXP_READER_FAILED:
        return EXP_READER_EXIT_PROBLEM;
    default:
        return EXP_READER_EXIT_ABSENT;
    }
}

static int reader_compare_entries(const void *left, const void *right)
{
    const struct exp_reader_entry *a = left, *b = right;
    return (a->process.pid > b->process.pid) - (a->process.pid < b->process.pid);
}

/* Fill one line of the list; false: this process is not to be listed. */
static bool reader_fill_entry(int pid, struct exp_reader_entry *entry)
{
    struct exp_reader_snapshot snapshot;
    memset(entry, 0, sizeof *entry);
    entry->result = exp_reader_take(pid, &snapshot, entry->why);
    entry->process = snapshot.process;
    if (entry->result != EXP_READER_TAKEN) {
        return entry->result == EXP_READER_DAMAGED;
    }
    for (size_t index = 0; index < snapshot.row_count; index++) {
        entry->bytes += snapshot.rows[index].bytes;
    }
    for (int pool = 0; pool < EXPOOL_REGION_POOL_COUNT; pool++) {
        entry->pages += snapshot.header.pool[pool].pages;
    }
    exp_reader_release(&snapshot);
    return true;
}

bool exp_reader_list(struct exp_reader_entry **entries, size_t *count, char *why)
{
    DIR *directory = opendir("/proc");
    if (directory == NULL) {
        reader_say(why, "/proc cannot be read: %s", strerror(errno));
        return false;
    }
    struct exp_reader_entry *table = NULL;
    size_t used = 0, room = 0;
    const struct dirent *name;
    while ((name = readdir(directory)) != NULL) {
        int pid = exp_reader_parse_id(name->d_name);
        if (pid == 0 || pid == (int)getpid()) {
            continue;
        }
        if (used == room) {
            room = room == 0 ? 16 : room * 2;
            struct exp_reader_entry *larger = realloc(table, room * sizeof *table);
            if (larger == NULL) {
                reader_say(why, "out of memory");
                free(table);
                closedir(directory);
                return false;
            }
            table = larger;
        }
        used += reader_fill_entry(pid, &table[used]);
    }
    closedir(directory);
    if (used > 1) {
        qsort(table, used, sizeof *table, reader_compare_entries);
    }
    *entries = table;
    *count = used;
    return true;
}

enum exp_reader_exit exp_reader_choose(const char *command, int *pid)
{
    struct exp_reader_entry *entries;
    size_t count;
    char why[EXP_READER_WHY_BYTES];
    if (!exp_reader_list(&entries, &count, why)) {
        fprintf(stderr, "%s: %s\n", command, why);
        return EXP_READER_EXIT_PROBLEM;
    }
    enum exp_reader_exit status = EXP_READER_EXIT_FINE;
    if (count == 0) {
        fprintf(stderr,
                "%s: no process of this user runs on expool; start one with: "
                "expool run -- PROG\n",
                command);
        status = EXP_READER_EXIT_ABSENT;
    } else if (count == 1) {
        *pid = entries[0].process.pid;
    } else {
        fprintf(stderr,
                "%s: %zu processes of this user run on expool; name one of them:\n",
                command,
                count);
        for (size_t index = 0; index < count; index++) {
            fprintf(stderr, "%8d  ", entries[index].process.pid);
            exp_reader_print_name(stderr, entries[index].process.name);
            fputc('\n', stderr);
        }
        status = EXP_READER_EXIT_USAGE;
    }
    free(entries);
    return status;
}

void exp_reader_print_name(FILE *file, const char *name)
{
    for (const char *cursor = name; *cursor != '\0'; cursor++) {
        unsigned char byte = (unsigned char)*cursor;
        if (byte == '\\') {
            fputs("\\\\", file);
        } else if (byte >= 0x20 && byte < 0x7f) {
            fputc(byte, file);
        } else {
            fprintf(file, "\\x%02x", byte);
        }
    }
}

int exp_reader_parse_id(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 10 || strspn(text, "0123456789") != length) {
        return 0;
    }
    unsigned long long number = strtoull(text, NULL, 10);
    return number <= INT_MAX ? (int)number : 0;
}
