/* SPDX-License-Identifier: MIT */
/*
 * One table, one parser. A size takes K, M or G; "unlimited" is a size too, and "auto" a
 * threshold. A value is stored only
 * when the whole text was understood. Values are single words that any thread may read; text is
 * copied into a fixed buffer before the pool starts and never changes after.
 */
#include "core/option.h"

enum kind {
    KIND_SIZE,
    KIND_THRESHOLD,
    KIND_NUMBER,
    KIND_SWITCH,
    KIND_TAG,
    KIND_FILE
};

struct row {
    const char *name;
    enum kind kind;
    bool early; /* only before the pool serves */
    uint64_t largest;
    const char *help;
};

/* clang-format off */
static const struct row option_rows[EXP_OPTION_COUNT] = {
    [EXP_OPTION_PAGED_LIMIT] = { "paged_limit", KIND_SIZE, false, UINT64_MAX,
        "bytes the paged pool may hold: a size, or unlimited" },
    [EXP_OPTION_NONPAGED_LIMIT] = { "nonpaged_limit", KIND_SIZE, false, UINT64_MAX,
        "bytes the nonpaged pools may hold: a size, or unlimited" },
    [EXP_OPTION_TAG] = { "tag", KIND_TAG, true, UINT32_MAX,
        "tag of malloc'ed blocks: module, or four characters" },
    [EXP_OPTION_REPORT] = { "report", KIND_FILE, true, 0,
        "table at exit: off, stderr, or a file name (%p = process id)" },
    [EXP_OPTION_STOP_JSON] = { "stop_json", KIND_FILE, true, 0,
        "a stop also as JSON: off, or a file name (%p = process id)" },
    [EXP_OPTION_PURGE_MS] = { "purge_ms", KIND_NUMBER, false, 86400000,
        "age in ms after which free pages go back to the system" },
    [EXP_OPTION_FRONT_CACHE] = { "front_cache", KIND_SWITCH, false, 1,
        "keep freed blocks in caches of each thread: 0 or 1" },
    [EXP_OPTION_TAIL_REUSE] = { "tail_reuse", KIND_SWITCH, false, 1,
        "serve small blocks from the end of big ones: 0 or 1" },
    [EXP_OPTION_HUGEPAGES] = { "hugepages", KIND_SWITCH, true, 1,
        "ask for huge pages when the pool grows: 0 or 1" },
    [EXP_OPTION_SEED] = { "seed", KIND_NUMBER, true, UINT64_MAX,
        "start of every random choice; 0 = random" },
    [EXP_OPTION_VERIFIER] = { "verifier", KIND_NUMBER, true, UINT32_MAX,
        "bits of verifier /flags, 0x8 = pool tracking; 0 = off" },
    [EXP_OPTION_GUARD] = { "guard", KIND_SWITCH, true, 1,
        "keep a pattern after each block and judge it at free: 0 or 1" },
    [EXP_OPTION_LOOKASIDE_TUNING] = { "lookaside_tuning", KIND_SWITCH, false, 1,
        "let lookaside lists tune their depth by themselves: 0 or 1" },
    [EXP_OPTION_LOW_NONPAGED] = { "low_nonpaged", KIND_THRESHOLD, false, UINT64_MAX,
        "LowNonPagedPoolCondition at so many bytes free or fewer: auto, or a size" },
    [EXP_OPTION_HIGH_NONPAGED] = { "high_nonpaged", KIND_THRESHOLD, false, UINT64_MAX,
        "HighNonPagedPoolCondition from so many bytes free: auto, or a size" },
    [EXP_OPTION_LOW_PAGED] = { "low_paged", KIND_THRESHOLD, false, UINT64_MAX,
        "LowPagedPoolCondition at so many bytes free or fewer: auto, or a size" },
    [EXP_OPTION_HIGH_PAGED] = { "high_paged", KIND_THRESHOLD, false, UINT64_MAX,
        "HighPagedPoolCondition from so many bytes free: auto, or a size" },
    [EXP_OPTION_LOW_MEMORY] = { "low_memory", KIND_THRESHOLD, false, UINT64_MAX,
        "LowMemoryCondition at so many bytes available or fewer: auto, or a size" },
    [EXP_OPTION_HIGH_MEMORY] = { "high_memory", KIND_THRESHOLD, false, UINT64_MAX,
        "HighMemoryCondition from so many bytes available: auto, or a size" },
    [EXP_OPTION_LOW_COMMIT] = { "low_commit", KIND_NUMBER, false, 100,
        "LowCommitCondition at so many percent of the commit limit or fewer" },
    [EXP_OPTION_HIGH_COMMIT] = { "high_commit", KIND_NUMBER, false, 100,
        "HighCommitCondition from so many percent of the commit limit" },
    [EXP_OPTION_MAXIMUM_COMMIT] = { "maximum_commit", KIND_NUMBER, false, 100,
        "MaximumCommitCondition from so many percent of the largest commit limit" },
    [EXP_OPTION_STALL] = { "stall", KIND_NUMBER, false, 100,
        "percent of time waited for memory that is LowMemoryCondition too; 0 = never" },
};
/* clang-format on */

enum {
    PURGE_MS_DEFAULT = 500,
    LOW_COMMIT_DEFAULT = 80,
    HIGH_COMMIT_DEFAULT = 90,
    MAXIMUM_COMMIT_DEFAULT = 98,
    STALL_DEFAULT = 20,
};

uint64_t exp_option_values[EXP_OPTION_COUNT] = {
    [EXP_OPTION_PAGED_LIMIT] = UINT64_MAX,
    [EXP_OPTION_NONPAGED_LIMIT] = UINT64_MAX,
    [EXP_OPTION_PURGE_MS] = PURGE_MS_DEFAULT,
    [EXP_OPTION_FRONT_CACHE] = 1,
    [EXP_OPTION_TAIL_REUSE] = 1,
    [EXP_OPTION_HUGEPAGES] = 1,
    [EXP_OPTION_GUARD] = EXP_CHECKED_BUILD,
    [EXP_OPTION_LOOKASIDE_TUNING] = 1,
    [EXP_OPTION_LOW_NONPAGED] = EXP_OPTION_AUTO,
    [EXP_OPTION_HIGH_NONPAGED] = EXP_OPTION_AUTO,
    [EXP_OPTION_LOW_PAGED] = EXP_OPTION_AUTO,
    [EXP_OPTION_HIGH_PAGED] = EXP_OPTION_AUTO,
    [EXP_OPTION_LOW_MEMORY] = EXP_OPTION_AUTO,
    [EXP_OPTION_HIGH_MEMORY] = EXP_OPTION_AUTO,
    [EXP_OPTION_LOW_COMMIT] = LOW_COMMIT_DEFAULT,
    [EXP_OPTION_HIGH_COMMIT] = HIGH_COMMIT_DEFAULT,
    [EXP_OPTION_MAXIMUM_COMMIT] = MAXIMUM_COMMIT_DEFAULT,
    [EXP_OPTION_STALL] = STALL_DEFAULT,
};

static char option_files[2][EXP_OPTION_TEXT_BYTES]; /* report, stop_json */

static size_t text_bytes(const char *text)
{
    size_t bytes = 0;
    while (text[bytes] != '\0') {
        bytes++;
    }
    return bytes;
}

static bool same(const char *text, size_t bytes, const char *word)
{
    size_t index = 0;
    while (index < bytes && word[index] != '\0' && text[index] == word[index]) {
        index++;
    }
    return index == bytes && word[index] == '\0';
}

/* Value of a digit; 16: none. */
static unsigned digit_of(char character)
{
    unsigned digit = (unsigned char)character - (unsigned)'0';
    unsigned letter = ((unsigned char)character | 0x20u) - (unsigned)'a';
    return digit <= 9 ? digit : letter <= 5 ? letter + 10 : 16;
}

static bool parse_number(const char *text, size_t bytes, bool unit, uint64_t *value)
{
    unsigned shift = 0;
    if (unit && bytes > 1) {
        char last = text[bytes - 1];
        shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;
        bytes -= shift != 0;
    }
    uint64_t base = 10;
    uint64_t number = 0;
    if (!unit && bytes > 2 && text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
        bytes -= 2;
    }
    for (size_t index = 0; index < bytes; index++) {
        unsigned digit = digit_of(text[index]);
        if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, (uint64_t)digit, &number)) {
            return false;
        }
    }
    if (bytes == 0 || (number << shift) >> shift != number) {
        return false;
    }
    *value = number << shift;
    return true;
}

static bool parse_tag(const char *text, size_t bytes, uint64_t *value)
{
    if (same(text, bytes, "module")) {
        *value = 0;
        return true;
    }
    if (bytes != 4) {
        return false;
    }
    uint32_t tag = 0;
    for (size_t index = 0; index < 4; index++) {
        if (text[index] < 0x20 || text[index] > 0x7e) {
            return false;
        }
        tag |= (uint32_t)(unsigned char)text[index] << (8 * index);
    }
    *value = tag;
    return true;
}

static char *file_of(enum exp_option option)
{
    return option_files[option == EXP_OPTION_STOP_JSON];
}

static bool parse_file(enum exp_option option, const char *text, size_t bytes)
{
    char *file = file_of(option);
    if (bytes == 0 || bytes >= EXP_OPTION_TEXT_BYTES) {
        return false;
    }
    bytes = same(text, bytes, "off") ? 0 : bytes;
    __builtin_memcpy(file, text, bytes);
    file[bytes] = '\0';
    return true;
}

static bool parse(const struct row *row, const char *text, size_t bytes, uint64_t *value)
{
    switch (row->kind) {
    case KIND_SIZE:
        if (same(text, bytes, "unlimited")) {
            *value = UINT64_MAX;
            return true;
        }
        return parse_number(text, bytes, true, value);
    case KIND_THRESHOLD:
        if (same(text, bytes, "auto")) {
            *value = EXP_OPTION_AUTO;
            return true;
        }
        return parse_number(text, bytes, true, value);
    case KIND_NUMBER:
    case KIND_SWITCH:
        return parse_number(text, bytes, false, value) && *value <= row->largest;
    case KIND_TAG:
        return parse_tag(text, bytes, value);
    case KIND_FILE:
        return parse_file((enum exp_option)(row - option_rows), text, bytes);
    }
    return false;
}

enum exp_option_result exp_option_set(const char *name,
                                      size_t name_bytes,
                                      const char *value,
                                      size_t value_bytes,
                                      bool started,
                                      enum exp_option *option)
{
    for (unsigned index = 0; index < EXP_OPTION_COUNT; index++) {
        const struct row *row = &option_rows[index];
        if (!same(name, name_bytes, row->name)) {
            continue;
        }
        *option = (enum exp_option)index;
        if (row->early && started) {
            return EXP_OPTION_LATE;
        }
        uint64_t number = 0;
        if (!parse(row, value, value_bytes, &number)) {
            return EXP_OPTION_BAD;
        }
        __atomic_store_n(&exp_option_values[index], number, __ATOMIC_RELAXED);
        return EXP_OPTION_SET;
    }
    return EXP_OPTION_UNKNOWN;
}

void exp_option_print(enum exp_option option, struct exp_text *text)
{
    const struct row *row = &option_rows[option];
    uint64_t value = exp_option_value(option);
    exp_format_words(text, row->name);
    exp_format_words(text, "=");
    if (row->kind == KIND_FILE) {
        exp_format_words(text, file_of(option)[0] == '\0' ? "off" : file_of(option));
    } else if (row->kind == KIND_TAG && value != 0) {
        exp_format_tag(text, (uint32_t)value);
    } else if (row->kind == KIND_TAG) {
        exp_format_words(text, "module");
    } else if (row->kind == KIND_SIZE && value == UINT64_MAX) {
        exp_format_words(text, "unlimited");
    } else if (row->kind == KIND_THRESHOLD && value == EXP_OPTION_AUTO) {
        exp_format_words(text, "auto");
    } else {
        exp_format_decimal(text, value, 0);
    }
}

const char *exp_option_file(enum exp_option option)
{
    return file_of(option);
}

const char *exp_option_name(enum exp_option option)
{
    return option_rows[option].name;
}

const char *exp_option_help(enum exp_option option)
{
    return option_rows[option].help;
}

enum exp_option exp_option_find(const char *name)
{
    unsigned index = 0;
    while (index < EXP_OPTION_COUNT && !same(name, text_bytes(name), option_rows[index].name)) {
        index++;
    }
    return (enum exp_option)index;
}
