/* SPDX-License-Identifier: MIT */
/*
 * This file owns tag numbers and the statistics region.
 *
 * Privately: names[number] = { tag, number whose rows it counts in }, and a hash from tag to
 * number. In the region: sections at fixed offsets (expool/region.h), grown at their end. A
 * section's memory is committed before its count is raised, and the count is raised (release) after
 * the entry is written.
 *
 * Rows are handed to owners in slabs of whole cache lines. A row's key is written before the row is
 * used; a key of ~0 means that the row is taken but not yet used.
 *
 * A module's tag comes from its file name and is made unique by replacing its last characters by a
 * number. The path decides identity: the same path gives the same number.
 *
 * Session blocks are counted once more, two entries a tag (nonpaged, paged). The counts lie in
 * memory of ours, which the copy of a process gets as it was; the region shows them.
 *
 * One lock (EXP_RANK_TAG), held for a bounded number of steps except by readers of the whole table.
 */
#include "core/tag.h"

#include <expool/port.h>

#include "base/format.h"
#include "core/lock.h"
#include "core/option.h"
#include "core/range.h"
#include "core/stop.h"

enum {
    TAG_MODULE_COUNT_MAX = 1024,
    TAG_OPTION_BYTES = 4096,
    TAG_HASH_START = 256, /* places, a power of two */
    TAG_SLAB_ROWS = 8,
    TAG_SLAB_ROWS_MAX = 64,
    TAG_ROWS_MAX = 1 << 20,
    TAG_SESSION_START = 32, /* entries */
    TAG_SESSION_MAX = 8192,
};

#define TAG_COMMIT_BYTES     ((size_t)16384)
#define TAG_REGION_BYTES_MIN ((size_t)512 << 10)
#define TAG_NO_KEY           UINT32_MAX
#define TAG_NO_SESSION       UINT32_MAX

struct name {
    uint32_t tag;
    uint32_t row_number; /* number of the tag without its top bit */
    uint32_t session; /* 1 + index of its first session entry; 0 none yet; TAG_NO_SESSION never */
};

static struct {
    struct exp_lock lock;
    struct expool_region_header *region;
    struct expool_region_header *mapped; /* = region, known before it is laid out */
    size_t mapped_bytes;
    size_t committed_bytes[EXPOOL_SECTION_COUNT];
    struct name *names;
    uint32_t count; /* atomic: names[1 .. count - 1] are in use */
    uint32_t names_capacity;
    struct expool_tag_row *sums; /* scratch: two for each place for a name */
    uint32_t *hash;              /* numbers, 0 = empty; linear probing, at most half full */
    uint32_t hash_mask;
    uint32_t row_count;
    uint32_t module_count;
    struct expool_region_session *sessions;
    uint32_t session_count;
    uint32_t session_capacity;
} exp_tag = { .lock = { 0, EXP_RANK_TAG } };

static void *section_at(enum expool_region_section_index index)
{
    return (char *)exp_tag.region + exp_tag.region->section[index].offset;
}

static void section_set(enum expool_region_section_index index,
                        size_t *offset,
                        size_t entry_bytes,
                        size_t capacity)
{
    struct expool_region_section *section = &exp_tag.region->section[index];
    section->offset = *offset;
    section->entry_bytes = entry_bytes;
    section->capacity = capacity;
    section->count = 0;
    *offset += exp_round_up(entry_bytes * capacity, TAG_COMMIT_BYTES);
}

/* Commit a section so that count entries may be written. */
static bool section_commit(enum expool_region_section_index index, size_t count)
{
    const struct expool_region_section *section = &exp_tag.region->section[index];
    size_t have = exp_tag.committed_bytes[index];
    size_t want = exp_round_up(count * section->entry_bytes, TAG_COMMIT_BYTES);
    if (count > section->capacity) {
        return false;
    }
    if (want > have && !exp_port_region_commit(section->offset + have, want - have)) {
        return false;
    }
    exp_tag.committed_bytes[index] = exp_max(want, have);
    return true;
}

static void section_publish(enum expool_region_section_index index, uint64_t count)
{
    exp_atomic_store_release(&exp_tag.region->section[index].count, count);
}

/* Place the sections for a number of rows; returns where the last one ends. */
static size_t lay_out(size_t rows)
{
    size_t offset = TAG_COMMIT_BYTES;
    section_set(EXPOOL_SECTION_OPTIONS, &offset, 1, TAG_OPTION_BYTES);
    section_set(EXPOOL_SECTION_MODULES,
                &offset,
                sizeof(struct expool_region_module),
                exp_min(TAG_MODULE_COUNT_MAX, rows / 16));
    section_set(EXPOOL_SECTION_TAGS,
                &offset,
                sizeof(struct expool_region_tag),
                exp_min(EXP_TAG_NUMBER_MAX, rows / 4));
    section_set(EXPOOL_SECTION_SESSION,
                &offset,
                sizeof(struct expool_region_session),
                exp_min(TAG_SESSION_MAX, rows / 64));
    section_set(EXPOOL_SECTION_ROW_KEYS, &offset, sizeof(uint32_t), rows);
    section_set(EXPOOL_SECTION_ROWS, &offset, sizeof(struct expool_region_row), rows);
    return offset;
}

static bool make_region(void)
{
    size_t bytes = (size_t)48 << 20;
    struct expool_region_header *region = exp_tag.mapped; /* by a start that failed later */
    while (bytes > exp_range.bytes / 8 && bytes / 4 >= TAG_REGION_BYTES_MIN) {
        bytes /= 4;
    }
    while (region == NULL && bytes >= TAG_REGION_BYTES_MIN) {
        size_t wanted = bytes;
        region = exp_port_region(&wanted, false, 0);
        bytes /= region == NULL ? 4 : 1;
        exp_tag.mapped_bytes = bytes;
    }
    exp_tag.mapped = region;
    bytes = exp_tag.mapped_bytes;
    if (region == NULL || !exp_port_region_commit(0, TAG_COMMIT_BYTES)) {
        return false;
    }
    exp_tag.region = region;
    region->header_bytes = sizeof(*region);
    region->region_bytes = bytes;
    region->page_bytes = (uint32_t)EXP_PAGE_BYTES;
    region->start_ms = exp_port_clock_ms();
    region->range_base = (uintptr_t)exp_range.base;
    region->range_bytes = exp_range.bytes;
    size_t rows = TAG_ROWS_MAX;
    while (lay_out(rows) > bytes) {
        rows /= 2;
    }
    exp_stop_record_to(region->stop);
    region->version = EXPOOL_REGION_VERSION;
    exp_atomic_store_release(&region->magic, EXPOOL_REGION_MAGIC);
    return true;
}

bool exp_tag_start(void)
{
    exp_tag.hash_mask = TAG_HASH_START - 1;
    exp_tag.names_capacity = TAG_HASH_START / 2;
    exp_tag.count = 1;
    exp_tag.hash = exp_range_heap_take(EXP_RANGE_KEPT, TAG_HASH_START * sizeof(uint32_t));
    exp_tag.names = exp_range_heap_take(EXP_RANGE_KEPT, sizeof(struct name) * TAG_HASH_START / 2);
    exp_tag.sums =
        exp_range_heap_take(EXP_RANGE_KEPT, sizeof(struct expool_tag_row) * TAG_HASH_START);
    return exp_tag.hash != NULL && exp_tag.names != NULL && exp_tag.sums != NULL && make_region();
}

struct expool_region_header *exp_tag_region(void)
{
    return exp_tag.region;
}

uint32_t exp_tag_count(void)
{
    return exp_atomic_load_acquire(&exp_tag.count);
}

uint32_t exp_tag_of(uint32_t number)
{
    return number < exp_tag_count() ? exp_atomic_load_acquire(&exp_tag.names)[number].tag : 0;
}

static uint32_t hash_place(uint32_t tag)
{
    uint32_t place = (tag * UINT32_C(0x9e3779b1)) >> 7 & exp_tag.hash_mask;
    while (exp_tag.hash[place] != 0 && exp_tag.names[exp_tag.hash[place]].tag != tag) {
        place = (place + 1) & exp_tag.hash_mask;
    }
    return place;
}

static void hash_fill(void)
{
    for (uint32_t number = 1; number < exp_tag.count; number++) {
        exp_tag.hash[hash_place(exp_tag.names[number].tag)] = number;
    }
}

static void table_give(void *table, size_t bytes)
{
    if (table != NULL) {
        exp_range_heap_give(EXP_RANGE_KEPT, table, bytes);
    }
}

/*
 * Room for one more name. The old names are not given back: exp_tag_of reads them without the lock.
 */
static bool names_grow(void)
{
    uint32_t old_capacity = exp_tag.names_capacity;
    if (exp_tag.count < old_capacity) {
        return true;
    }
    size_t capacity = (size_t)old_capacity * 2;
    struct name *names = exp_range_heap_take(EXP_RANGE_KEPT, capacity * sizeof(*names));
    uint32_t *hash = exp_range_heap_take(EXP_RANGE_KEPT, capacity * 2 * sizeof(*hash));
    struct expool_tag_row *sums = exp_range_heap_take(EXP_RANGE_KEPT, capacity * 2 * sizeof(*sums));
    if (names == NULL || hash == NULL || sums == NULL) {
        table_give(names, capacity * sizeof(*names));
        table_give(hash, capacity * 2 * sizeof(*hash));
        table_give(sums, capacity * 2 * sizeof(*sums));
        return false;
    }
    __builtin_memcpy(names, exp_tag.names, old_capacity * sizeof(*names));
    uint32_t *old_hash = exp_tag.hash;
    struct expool_tag_row *old_sums = exp_tag.sums;
    /* Each before what says how large it is: a copy of the process may be made in between. */
    exp_atomic_store_release(&exp_tag.sums, sums);
    exp_atomic_store_release(&exp_tag.names, names);
    exp_atomic_store_release(&exp_tag.hash, hash);
    exp_atomic_store_release(&exp_tag.hash_mask, (uint32_t)capacity * 2 - 1);
    exp_atomic_store_release(&exp_tag.names_capacity, (uint32_t)capacity);
    hash_fill();
    table_give(old_hash, (size_t)old_capacity * 2 * sizeof(*hash));
    table_give(old_sums, (size_t)old_capacity * 2 * sizeof(*sums));
    return true;
}

/* Number of tag, new when it is not there. Lock held. */
static uint32_t number_of(uint32_t tag)
{
    uint32_t place = hash_place(tag);
    if (exp_tag.hash[place] != 0) {
        return exp_tag.hash[place];
    }
    uint32_t row_number = 0;
    if ((tag & EXP_TAG_PROTECTED) != 0) {
        row_number = tag == EXP_TAG_PROTECTED ? 0 : number_of(tag & ~EXP_TAG_PROTECTED);
        if (row_number == 0 && tag != EXP_TAG_PROTECTED) {
            return 0;
        }
    }
    uint32_t number = exp_tag.count;
    if (!names_grow() || !section_commit(EXPOOL_SECTION_TAGS, number + 1)) {
        return 0;
    }
    struct expool_region_tag *tags = section_at(EXPOOL_SECTION_TAGS);
    tags[number].tag = tag & ~EXP_TAG_PROTECTED;
    tags[number].module = 0;
    exp_tag.names[number].tag = tag;
    exp_tag.names[number].row_number = row_number != 0 ? row_number : number;
    exp_tag.names[number].session = 0;
    exp_tag.hash[hash_place(tag)] = number;
    exp_atomic_store_release(&exp_tag.count, number + 1);
    section_publish(EXPOOL_SECTION_TAGS, number + 1);
    return number;
}

uint32_t exp_tag_register(uint32_t tag)
{
    exp_lock_acquire(&exp_tag.lock);
    uint32_t number = number_of(tag);
    exp_lock_release(&exp_tag.lock);
    return number;
}

/* The end of path that fits, compared and kept. */
static const char *path_end(const char *path, size_t *bytes)
{
    size_t length = 0;
    while (path[length] != '\0') {
        length++;
    }
    size_t most = sizeof(((struct expool_region_module *)NULL)->path) - 1;
    *bytes = exp_min(length, most);
    return path + (length - *bytes);
}

static bool path_equals(const struct expool_region_module *module, const char *path, size_t bytes)
{
    size_t index = 0;
    while (index < bytes && module->path[index] == path[index]) {
        index++;
    }
    return index == bytes && module->path[index] == '\0';
}

/* A tag like this one that nobody has: "pyth", "pyt1" ... "p999". Lock held. */
static uint32_t unique_tag(uint32_t tag)
{
    uint32_t candidate = tag;
    for (unsigned attempt = 1; exp_tag.hash[hash_place(candidate)] != 0 && attempt < 1000;
         attempt++) {
        unsigned rest = attempt;
        candidate = tag;
        for (unsigned byte = 3; rest != 0; byte--, rest /= 10) {
            candidate &= ~(UINT32_C(0xff) << (8 * byte));
            candidate |= (uint32_t)('0' + rest % 10) << (8 * byte);
        }
    }
    return candidate;
}

static uint32_t module_number(uint32_t tag, const char *path)
{
    struct expool_region_module *modules = section_at(EXPOOL_SECTION_MODULES);
    size_t bytes;
    path = path_end(path, &bytes);
    for (uint32_t index = 0; index < exp_tag.module_count; index++) {
        if (path_equals(&modules[index], path, bytes)) {
            uint32_t number = modules[index].number;
            return number < exp_tag.count ? number : 0;
        }
    }
    uint32_t count = exp_tag.module_count + 1;
    if (!section_commit(EXPOOL_SECTION_MODULES, count)) {
        return number_of(tag); /* no room for the name: modules with the same letters share a tag */
    }
    uint32_t number = number_of(unique_tag(tag));
    if (number == 0) {
        return 0;
    }
    struct expool_region_module *module = &modules[count - 1];
    __builtin_memcpy(module->path, path, bytes);
    module->path[bytes] = '\0';
    module->number = number;
    struct expool_region_tag *tags = section_at(EXPOOL_SECTION_TAGS);
    tags[number].module = count;
    exp_tag.module_count = count;
    section_publish(EXPOOL_SECTION_MODULES, count);
    return number;
}

uint32_t exp_tag_register_module(uint32_t tag, const char *path)
{
    exp_lock_acquire(&exp_tag.lock);
    uint32_t number = path == NULL ? number_of(tag) : module_number(tag, path);
    exp_lock_release(&exp_tag.lock);
    return number;
}

/* The next slab of an owner. Lock held. */
static bool slab_take(struct exp_tag_slab *slab)
{
    uint32_t rows = TAG_SLAB_ROWS;
    while (rows < slab->taken && rows < TAG_SLAB_ROWS_MAX) {
        rows *= 2;
    }
    uint32_t first = exp_tag.row_count;
    uint32_t end = first + rows;
    if (!section_commit(EXPOOL_SECTION_ROWS, end) ||
        !section_commit(EXPOOL_SECTION_ROW_KEYS, end)) {
        return false;
    }
    uint32_t *keys = section_at(EXPOOL_SECTION_ROW_KEYS);
    for (uint32_t index = first; index < end; index++) {
        exp_atomic_store(&keys[index], TAG_NO_KEY);
    }
    exp_tag.row_count = end;
    slab->next = first;
    slab->end = end;
    slab->taken += rows;
    section_publish(EXPOOL_SECTION_ROW_KEYS, end);
    section_publish(EXPOOL_SECTION_ROWS, end);
    return true;
}

struct expool_region_row *exp_tag_row_make(struct exp_tag_slab *slab,
                                           uint32_t number,
                                           unsigned column)
{
    struct expool_region_row *row = NULL;
    exp_lock_acquire(&exp_tag.lock);
    if (slab->next < slab->end || slab_take(slab)) {
        uint32_t *keys = section_at(EXPOOL_SECTION_ROW_KEYS);
        struct expool_region_row *rows = section_at(EXPOOL_SECTION_ROWS);
        row = &rows[slab->next];
        exp_atomic_store_release(&keys[slab->next], exp_tag.names[number].row_number * 2 + column);
        slab->next++;
    }
    exp_lock_release(&exp_tag.lock);
    return row;
}

/* Sum the rows of every key in sums[key & mask], frees before allocs. Lock held. */
static void sum_rows(struct expool_tag_row *sums, uint32_t key_count, uint32_t mask)
{
    const uint32_t *keys = section_at(EXPOOL_SECTION_ROW_KEYS);
    struct expool_region_row *rows = section_at(EXPOOL_SECTION_ROWS);
    for (uint32_t index = 0; index < exp_tag.row_count; index++) {
        uint32_t key = exp_atomic_load_acquire(&keys[index]);
        if (key < key_count) {
            sums[key & mask].frees += exp_atomic_load_acquire(&rows[index].frees);
            sums[key & mask].bytes -= exp_atomic_load_acquire(&rows[index].bytes_out);
        }
    }
    for (uint32_t index = 0; index < exp_tag.row_count; index++) {
        uint32_t key = exp_atomic_load(&keys[index]);
        if (key < key_count) {
            sums[key & mask].allocs += exp_atomic_load(&rows[index].allocs);
            sums[key & mask].bytes += exp_atomic_load(&rows[index].bytes_in);
        }
    }
}

/* Live bytes; a row whose frees are younger than its allocs counts as empty. */
static uint64_t not_negative(uint64_t bytes)
{
    return (int64_t)bytes < 0 ? 0 : bytes;
}

size_t exp_tag_rows(struct expool_tag_row *rows, size_t capacity)
{
    size_t found = 0;
    exp_lock_acquire(&exp_tag.lock);
    uint32_t key_count = exp_tag.count * 2;
    struct expool_tag_row *sums = exp_tag.sums;
    __builtin_memset(sums, 0, key_count * sizeof(*sums));
    sum_rows(sums, key_count, UINT32_MAX);
    for (uint32_t key = 0; key < key_count; key++) {
        if (sums[key].allocs == 0) {
            continue;
        }
        if (found < capacity) {
            rows[found] = sums[key];
            rows[found].tag = exp_tag.names[key / 2].tag & ~EXP_TAG_PROTECTED;
            rows[found].pool = key & 1;
            rows[found].bytes = not_negative(sums[key].bytes);
        }
        found++;
    }
    exp_lock_release(&exp_tag.lock);
    return found;
}

void exp_tag_totals(struct expool_tag_row totals[2])
{
    totals[0] = (struct expool_tag_row){ .pool = 0 };
    totals[1] = (struct expool_tag_row){ .pool = 1 };
    exp_lock_acquire(&exp_tag.lock);
    sum_rows(totals, exp_tag.count * 2, 1);
    exp_lock_release(&exp_tag.lock);
    totals[0].bytes = not_negative(totals[0].bytes);
    totals[1].bytes = not_negative(totals[1].bytes);
}

static struct expool_region_session *session_shown(uint32_t index)
{
    return (struct expool_region_session *)section_at(EXPOOL_SECTION_SESSION) + index;
}

/* Room for two more entries. Lock held. */
static bool sessions_grow(void)
{
    uint32_t count = exp_tag.session_count + 2;
    if (!section_commit(EXPOOL_SECTION_SESSION, count)) {
        return false;
    }
    if (count <= exp_tag.session_capacity) {
        return true;
    }
    size_t old_bytes = exp_tag.session_capacity * sizeof(*exp_tag.sessions);
    size_t capacity = exp_max(TAG_SESSION_START, (size_t)exp_tag.session_capacity * 2);
    struct expool_region_session *old = exp_tag.sessions;
    struct expool_region_session *sessions =
        exp_range_heap_take(EXP_RANGE_KEPT, capacity * sizeof(*sessions));
    if (sessions == NULL) {
        return false;
    }
    if (old != NULL) {
        __builtin_memcpy(sessions, old, old_bytes);
    }
    /* In this order for a copy of the process that is made in between. */
    exp_atomic_store_release(&exp_tag.sessions, sessions);
    exp_atomic_store_release(&exp_tag.session_capacity, (uint32_t)capacity);
    table_give(old, old_bytes);
    return true;
}

/* Both entries of a tag. Lock held. */
static void session_make(uint32_t number)
{
    struct name *name = &exp_tag.names[number];
    uint32_t first = exp_tag.session_count;
    if (!sessions_grow()) {
        name->session = TAG_NO_SESSION;
        return;
    }
    for (uint32_t column = 0; column < 2; column++) {
        struct expool_region_session *session = &exp_tag.sessions[first + column];
        *session =
            (struct expool_region_session){ .tag = name->tag & ~EXP_TAG_PROTECTED, .pool = column };
        *session_shown(first + column) = *session;
    }
    /* In this order, too: entries that nobody names are nobody's, never two tags'. */
    exp_atomic_store_release(&exp_tag.session_count, first + 2);
    exp_atomic_store_release(&name->session, 1 + first);
    section_publish(EXPOOL_SECTION_SESSION, first + 2);
}

void exp_tag_session_count(uint32_t number, unsigned column, bool allocated, size_t bytes)
{
    exp_lock_acquire(&exp_tag.lock);
    uint32_t row_number = exp_tag.names[number].row_number;
    const struct name *name = &exp_tag.names[row_number];
    if (name->session == 0 && allocated) {
        session_make(row_number);
    }
    if (name->session != 0 && name->session != TAG_NO_SESSION) {
        uint32_t index = name->session - 1 + column;
        struct expool_region_session *session = &exp_tag.sessions[index];
        struct expool_region_session *shown = session_shown(index);
        session->allocs += allocated ? 1 : 0;
        session->bytes_in += allocated ? bytes : 0;
        session->frees += allocated ? 0 : 1;
        session->bytes_out += allocated ? 0 : bytes;
        exp_atomic_store(&shown->allocs, session->allocs);
        exp_atomic_store(&shown->bytes_in, session->bytes_in);
        exp_atomic_store(&shown->frees, session->frees);
        exp_atomic_store(&shown->bytes_out, session->bytes_out);
    }
    exp_lock_release(&exp_tag.lock);
}

size_t exp_tag_session_rows(struct expool_tag_row *rows, size_t capacity)
{
    size_t found = 0;
    exp_lock_acquire(&exp_tag.lock);
    for (uint32_t index = 0; index < exp_tag.session_count; index++) {
        const struct expool_region_session *session = &exp_tag.sessions[index];
        if (session->allocs == 0) {
            continue;
        }
        if (found < capacity) {
            rows[found].tag = session->tag;
            rows[found].pool = session->pool;
            rows[found].allocs = session->allocs;
            rows[found].frees = session->frees < session->allocs ? session->frees : session->allocs;
            rows[found].bytes = not_negative(session->bytes_in - session->bytes_out);
        }
        found++;
    }
    exp_lock_release(&exp_tag.lock);
    return found;
}

void exp_tag_publish_options(void)
{
    exp_lock_acquire(&exp_tag.lock);
    if (exp_tag.region != NULL && section_commit(EXPOOL_SECTION_OPTIONS, TAG_OPTION_BYTES)) {
        struct exp_text text;
        exp_format_start(&text, section_at(EXPOOL_SECTION_OPTIONS), TAG_OPTION_BYTES);
        for (unsigned option = 0; option < EXP_OPTION_COUNT; option++) {
            exp_option_print((enum exp_option)option, &text);
            exp_format_words(&text, "\n");
        }
        section_publish(EXPOOL_SECTION_OPTIONS, text.length_bytes);
        exp_tag.region->pool[EXPOOL_REGION_PAGED].limit_bytes =
            exp_option_value(EXP_OPTION_PAGED_LIMIT);
        uint64_t limit = exp_option_value(EXP_OPTION_NONPAGED_LIMIT);
        exp_tag.region->pool[EXPOOL_REGION_NONPAGED].limit_bytes = limit;
        exp_tag.region->pool[EXPOOL_REGION_NONPAGED_EXECUTE].limit_bytes = limit;
    }
    exp_lock_release(&exp_tag.lock);
}

void exp_tag_child_lock(void)
{
    if (exp_lock_reset(&exp_tag.lock) && exp_tag.hash != NULL) {
        __builtin_memset(exp_tag.hash, 0, ((size_t)exp_tag.hash_mask + 1) * sizeof(uint32_t));
        hash_fill();
    }
}

/* Rows [first, end) are nobody's in this copy, whatever the parent has done with its own since. */
static void forget_rows(uint32_t first, uint32_t end)
{
    uint32_t *keys = section_at(EXPOOL_SECTION_ROW_KEYS);
    struct expool_region_row *rows = section_at(EXPOOL_SECTION_ROWS);
    for (uint32_t index = first; index < end; index++) {
        keys[index] = TAG_NO_KEY;
        rows[index] = (struct expool_region_row){ 0 };
    }
}

void exp_tag_child_slab(const struct exp_tag_slab *slab)
{
    forget_rows(slab->next, slab->end);
}

/* Give every key's total to its first row, and nothing to its others. */
static void set_rows(struct exp_tag_live *live, struct expool_tag_row *sums)
{
    for (uint32_t number = 1; number < exp_tag.count; number++) {
        uint32_t row_number = exp_tag.names[number].row_number;
        for (unsigned column = 0; row_number != number && column < 2; column++) {
            live[row_number * 2 + column].blocks += live[number * 2 + column].blocks;
            live[row_number * 2 + column].bytes += live[number * 2 + column].bytes;
        }
    }
    const uint32_t *keys = section_at(EXPOOL_SECTION_ROW_KEYS);
    struct expool_region_row *rows = section_at(EXPOOL_SECTION_ROWS);
    uint32_t key_count = exp_tag.count * 2;
    for (uint32_t index = 0; index < exp_tag.row_count; index++) {
        uint32_t key = keys[index];
        if (key < key_count) {
            sums[key].frees += rows[index].frees;
            sums[key].bytes += rows[index].bytes_out;
            rows[index] = (struct expool_region_row){ 0 };
        }
    }
    for (uint32_t index = 0; index < exp_tag.row_count; index++) {
        uint32_t key = keys[index];
        if (key < key_count && sums[key].pool == 0) {
            sums[key].pool = 1; /* done */
            rows[index].frees = sums[key].frees;
            rows[index].allocs = sums[key].frees + live[key].blocks;
            rows[index].bytes_out = sums[key].bytes;
            rows[index].bytes_in = sums[key].bytes + live[key].bytes;
        }
    }
}

void exp_tag_child(struct exp_tag_live *live)
{
    struct expool_region_header *region = exp_tag.region;
    size_t bytes = region->region_bytes;
    const struct expool_region_section *last = &region->section[EXPOOL_SECTION_ROWS];
    size_t copy_bytes = last->offset + exp_tag.committed_bytes[EXPOOL_SECTION_ROWS];
    if (exp_port_region(&bytes, true, copy_bytes) == NULL) {
        return;
    }
    region->generation++;
    size_t rows_committed =
        exp_min(exp_tag.committed_bytes[EXPOOL_SECTION_ROWS] / sizeof(struct expool_region_row),
                exp_tag.committed_bytes[EXPOOL_SECTION_ROW_KEYS] / sizeof(uint32_t));
    forget_rows(exp_tag.row_count, (uint32_t)rows_committed);
    section_publish(EXPOOL_SECTION_TAGS, exp_tag.count);
    section_publish(EXPOOL_SECTION_MODULES, exp_tag.module_count);
    for (uint32_t index = 0; index < exp_tag.session_count; index++) {
        *session_shown(index) = exp_tag.sessions[index];
    }
    section_publish(EXPOOL_SECTION_SESSION, exp_tag.session_count);
    section_publish(EXPOOL_SECTION_ROWS, exp_tag.row_count);
    section_publish(EXPOOL_SECTION_ROW_KEYS, exp_tag.row_count);
    if (live != NULL) {
        __builtin_memset(exp_tag.sums, 0, (size_t)exp_tag.count * 2 * sizeof(*exp_tag.sums));
        set_rows(live, exp_tag.sums);
    }
}

uint32_t exp_tag_row_number(uint32_t number)
{
    return number < exp_tag_count() ? exp_atomic_load_acquire(&exp_tag.names)[number].row_number
                                    : 0;
}

const struct expool_region_row *exp_tag_row_at(uint32_t index, uint32_t *key)
{
    if (index >= exp_tag.row_count) {
        return NULL;
    }
    *key = exp_atomic_load_acquire((uint32_t *)section_at(EXPOOL_SECTION_ROW_KEYS) + index);
    return (struct expool_region_row *)section_at(EXPOOL_SECTION_ROWS) + index;
}
