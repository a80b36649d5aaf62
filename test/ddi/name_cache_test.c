/* SPDX-License-Identifier: MIT */
/*
 * The example examples/name_cache.c, as its author would test it: against a plain array with the
 * time of each entry's last use, in processes with little quota, with pages refused at every place,
 * at the wrong IRQL, by several threads.
 */
#include "ddi_test.h"

#include <name_cache.h>
#include <pthread.h>

enum {
    NAMES = 48,
    CAPACITY = 16,
    STEPS = 20000,
    THREADS = 4,
    THREAD_STEPS = 4000,
};

static PNAME_CACHE cache;
static struct expool_process *payer; /* current while a test runs */

static struct {
    uint64_t used; /* 0: not there */
    uint32_t value;
} model[NAMES];
static uint64_t model_time;

/* ---- names and the model --------------------------------------------------------------------- */

struct name {
    UNICODE_STRING string;
    WCHAR text[32];
};

/* "\volume\file-41PB", as it is or in upper case; long enough for blocks of several sizes. */
static PCUNICODE_STRING name_of(struct name *name, unsigned number, bool upper)
{
    static const char form[] = "\\volume\\file-";
    size_t length = 0;

    for (; form[length] != 0; ++length) {
        name->text[length] = (WCHAR)(unsigned char)form[length];
    }
    for (unsigned rest = number; length < 14 + number % 10; rest /= 10) {
        name->text[length++] = (WCHAR)('0' + rest % 10);
    }
    name->text[length++] = (WCHAR)('A' + number % 26);
    name->text[length++] = (WCHAR)('A' + number / 26);
    for (size_t i = 0; i < length && upper; ++i) {
        name->text[i] = RtlUpcaseUnicodeChar(name->text[i]);
    }
    RtlInitEmptyUnicodeString(&name->string, name->text, sizeof(name->text));
    name->string.Length = (USHORT)(length * sizeof(WCHAR));
    return &name->string;
}

static unsigned model_count(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < NAMES; ++i) {
        count += model[i].used != 0;
    }
    return count;
}

static unsigned model_oldest(void)
{
    unsigned oldest = NAMES;

    for (unsigned i = 0; i < NAMES; ++i) {
        if (model[i].used != 0 && (oldest == NAMES || model[i].used < model[oldest].used)) {
            oldest = i;
        }
    }
    return oldest;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void start(size_t quota)
{
    memset(model, 0, sizeof(model));
    payer = expool_process_create("payer", quota, 0);
    (void)expool_process_enter(payer);
    DDI_EQUAL(STATUS_SUCCESS, NameCacheCreate(CAPACITY, &cache));
    DDI_EQUAL(1, ddi_live(NAME_CACHE_TAG, 0)); /* a mutex is nonpaged */
}

static uint64_t charged(void)
{
    struct expool_usage usage;

    expool_process_usage(payer, &usage);
    DDI_EQUAL(0, usage.nonpaged_bytes);
    return usage.paged_bytes;
}

static void nothing_is_left(void)
{
    DDI_EQUAL(0, ddi_live(NAME_CACHE_TAG, 0));
    DDI_EQUAL(0, ddi_live(NAME_CACHE_TAG, 1));
    DDI_EQUAL(0, ddi_live(NAME_CACHE_ENTRY_TAG, 1));
    DDI_EQUAL(0, ddi_live(NAME_CACHE_TEXT_TAG, 1));
}

static void finish(void)
{
    NAME_CACHE_STATISTICS statistics;

    NameCacheQueryStatistics(cache, &statistics);
    DDI_EQUAL(statistics.Entries, ddi_live(NAME_CACHE_ENTRY_TAG, 1));
    DDI_EQUAL(statistics.Entries, ddi_live(NAME_CACHE_TEXT_TAG, 1));
    NameCacheDestroy(cache);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(0, charged());
    nothing_is_left();
    (void)expool_process_enter(NULL);
    expool_process_release(payer);
}

static NTSTATUS insert(unsigned number, uint32_t value)
{
    struct name name;
    uint32_t data[3] = { value, number, ~value };
    NTSTATUS status = NameCacheInsert(cache, name_of(&name, number, false), data, sizeof(data));

    if (NT_SUCCESS(status)) {
        if (model[number].used == 0 && model_count() == CAPACITY) {
            model[model_oldest()].used = 0;
        }
        model[number].used = ++model_time;
        model[number].value = value;
    }
    return status;
}

static void agree(unsigned number)
{
    struct name name;
    uint32_t data[3] = { 0 };
    ULONG length;
    NTSTATUS status =
        NameCacheLookup(cache, name_of(&name, number, true), data, sizeof(data), &length);

    if (model[number].used == 0) {
        DDI_EQUAL(STATUS_NOT_FOUND, status);
        DDI_EQUAL(0, length);
        return;
    }
    model[number].used = ++model_time;
    DDI_EQUAL(STATUS_SUCCESS, status);
    DDI_EQUAL(sizeof(data), length);
    DDI_EQUAL(model[number].value, data[0]);
    DDI_EQUAL(~model[number].value, data[2]);
}

static NTSTATUS rename_entry(unsigned from, unsigned to)
{
    struct name name[2];
    NTSTATUS status =
        NameCacheRename(cache, name_of(&name[0], from, false), name_of(&name[1], to, true));

    if (NT_SUCCESS(status) && from != to) {
        DDI_TRUE(model[from].used != 0 && model[to].used == 0);
        model[to] = model[from];
        model[from].used = 0;
    }
    return status;
}

static void remove_entry(unsigned number)
{
    struct name name;

    DDI_EQUAL(model[number].used != 0 ? STATUS_SUCCESS : STATUS_NOT_FOUND,
              NameCacheRemove(cache, name_of(&name, number, true)));
    model[number].used = 0;
}

static void all_agree(void)
{
    NAME_CACHE_STATISTICS statistics;

    for (unsigned i = 0; i < NAMES; ++i) {
        agree(i);
    }
    NameCacheQueryStatistics(cache, &statistics);
    DDI_EQUAL(model_count(), statistics.Entries);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_random_steps_agree_with_an_array(void)
{
    uint64_t seed = ddi_seed(0x6E616D65);

    start(SIZE_MAX);
    for (unsigned step = 0; step < STEPS; ++step) {
        unsigned number = (unsigned)(ddi_random(&seed) >> 33) % NAMES;
        unsigned other = (unsigned)(ddi_random(&seed) >> 33) % NAMES;

        switch (ddi_random(&seed) >> 40 & 7) {
        case 0:
            remove_entry(number);
            break;
        case 1: {
            NTSTATUS expected = model[number].used == 0 ? STATUS_NOT_FOUND
                                : model[other].used != 0 && number != other
                                    ? STATUS_OBJECT_NAME_COLLISION
                                    : STATUS_SUCCESS;

            DDI_EQUAL(expected, rename_entry(number, other));
            break;
        }
        case 2:
        case 3:
        case 4:
            DDI_EQUAL(STATUS_SUCCESS, insert(number, step));
            break;
        default:
            agree(number);
        }
    }
    all_agree();
    NameCachePurge(cache);
    memset(model, 0, sizeof(model));
    DDI_EQUAL(0, charged());
    all_agree();
    finish();
}

static void test_what_does_not_fit_is_refused(void)
{
    static WCHAR text[NAME_CACHE_MAXIMUM_NAME / 2 + 1];
    static char data[NAME_CACHE_MAXIMUM_DATA + 1];
    UNICODE_STRING name = { 0, sizeof(text), text };
    ULONG length;

    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheCreate(0, &cache));
    DDI_TRUE(cache == NULL);
    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheCreate(NAME_CACHE_MAXIMUM_ENTRIES + 1, &cache));
    start(SIZE_MAX);
    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheInsert(cache, &name, data, 1));
    name.Length = 3;
    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheInsert(cache, &name, data, 1));
    name.Length = NAME_CACHE_MAXIMUM_NAME + 2;
    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheInsert(cache, &name, data, 1));
    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheRename(cache, &name, &name));
    name.Length = NAME_CACHE_MAXIMUM_NAME;
    DDI_EQUAL(STATUS_INVALID_PARAMETER, NameCacheInsert(cache, &name, data, sizeof(data)));
    DDI_EQUAL(STATUS_SUCCESS, NameCacheInsert(cache, &name, data, NAME_CACHE_MAXIMUM_DATA));
    DDI_TRUE_FOR(charged() >= NAME_CACHE_MAXIMUM_NAME + NAME_CACHE_MAXIMUM_DATA, charged());
    DDI_EQUAL(STATUS_BUFFER_TOO_SMALL, NameCacheLookup(cache, &name, data, 9, &length));
    DDI_EQUAL(NAME_CACHE_MAXIMUM_DATA, length);
    finish();
}

/* Quota for nothing, for an entry without its name, for both; then a name of another length. */
static void test_quota_that_ends_anywhere_leaves_nothing_behind(void)
{
    size_t refused = 0;
    size_t halfway = 0; /* the entry was had, and given back */
    NTSTATUS status = STATUS_QUOTA_EXCEEDED;

    for (size_t quota = 0; quota < 1000 && !NT_SUCCESS(status); quota += 16) {
        uint64_t entries = ddi_row(NAME_CACHE_ENTRY_TAG, 1).allocs;

        start(quota);
        status = insert(9, 1);
        if (!NT_SUCCESS(status)) {
            refused += 1;
            halfway += ddi_row(NAME_CACHE_ENTRY_TAG, 1).allocs != entries;
            DDI_EQUAL(STATUS_QUOTA_EXCEEDED, status);
            DDI_EQUAL(0, charged());
            DDI_EQUAL(0, ddi_live(NAME_CACHE_ENTRY_TAG, 1));
            DDI_EQUAL(0, ddi_live(NAME_CACHE_TEXT_TAG, 1));
        } else {
            DDI_TRUE_FOR(charged() > 0 && charged() <= quota, charged());
            DDI_EQUAL(STATUS_QUOTA_EXCEEDED, rename_entry(9, 3)); /* both texts live for a while */
            DDI_EQUAL(STATUS_QUOTA_EXCEEDED, insert(9, 2));
        }
        all_agree();
        finish();
    }
    DDI_TRUE(NT_SUCCESS(status));
    DDI_TRUE_FOR(halfway > 0 && halfway < refused, halfway);
}

static void test_refusals_are_counted_and_the_one_who_inserts_pays(void)
{
    struct expool_process *poor = expool_process_create("poor", 0, 0);
    NAME_CACHE_STATISTICS statistics;

    start(SIZE_MAX);
    DDI_EQUAL(STATUS_SUCCESS, insert(1, 1));
    (void)expool_process_enter(poor);
    DDI_EQUAL(STATUS_QUOTA_EXCEEDED, insert(2, 1));
    DDI_EQUAL(STATUS_QUOTA_EXCEEDED, rename_entry(1, 2));
    agree(1);
    remove_entry(1); /* anybody may; the charge returns to whom it was */
    DDI_EQUAL(0, charged());
    NameCacheQueryStatistics(cache, &statistics);
    DDI_EQUAL(2, statistics.Refusals);
    DDI_EQUAL(1, statistics.Hits);
    (void)expool_process_enter(payer);
    expool_process_release(poor);
    finish();
}

/* Many inserts, renames and removals; each time a later request for pages is refused. */
static void test_each_refused_page_request_is_a_status_and_no_more(void)
{
    unsigned refused = 0;

    (void)expool_set("front_cache", "0");
    for (uint64_t nth = 1; refused + 1 == nth || nth == 1; ++nth) {
        expool_trim();
        memset(model, 0, sizeof(model));
        payer = expool_process_create("payer", SIZE_MAX, 0);
        (void)expool_process_enter(payer);
        expool_fail_page_request(nth);
        if (NameCacheCreate(CAPACITY, &cache) == STATUS_INSUFFICIENT_RESOURCES) {
            refused += 1;
            DDI_TRUE(cache == NULL);
            nothing_is_left();
            DDI_EQUAL(STATUS_SUCCESS, NameCacheCreate(CAPACITY, &cache));
        }
        for (unsigned i = 0; i < NAMES; ++i) {
            uint64_t before = charged();
            bool full = model_count() == CAPACITY;

            if (insert(i, i) == STATUS_INSUFFICIENT_RESOURCES) {
                refused += 1;
                DDI_EQUAL(before, charged());
                all_agree();
                DDI_EQUAL(STATUS_SUCCESS, insert(i, i));
            }
            DDI_TRUE(full || charged() > before);
        }
        if (rename_entry(NAMES - 1, 0) == STATUS_INSUFFICIENT_RESOURCES) {
            refused += 1;
        }
        expool_fail_page_request(0);
        all_agree();
        finish();
    }
    DDI_TRUE_FOR(refused >= 4, refused); /* cache, table, entries, names */
}

static void test_paged_pool_at_its_limit_is_a_status(void)
{
    start(SIZE_MAX);
    (void)expool_set("front_cache", "0");
    expool_trim();
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    for (unsigned i = 0; i < NAMES; ++i) {
        NTSTATUS status = insert(i, i);

        DDI_TRUE_FOR(NT_SUCCESS(status) || status == STATUS_INSUFFICIENT_RESOURCES, status);
        all_agree();
    }
    DDI_EQUAL(0, expool_set("paged_limit", "unlimited"));
    DDI_EQUAL(STATUS_SUCCESS, insert(1, 2));
    all_agree();
    finish();
}

static void test_dispatch_level_stops_and_changes_nothing(void)
{
    struct ddi_stop stop;
    KIRQL old;
    ULONG length;
    struct name name;

    start(SIZE_MAX);
    DDI_EQUAL(STATUS_SUCCESS, insert(1, 1));
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, (void)insert(2, 2));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, DDI_ANY);
    DDI_CATCH(&stop, (void)rename_entry(1, 3));
    DDI_STOP(&stop, BAD_POOL_CALLER, 0x08, DISPATCH_LEVEL, PagedPool, DDI_ANY);
    DDI_CATCH(
        &stop,
        (void)NameCacheLookup(cache, name_of(&name, 1, false), &length, sizeof(length), &length));
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, DDI_ANY, DDI_ANY, DDI_ANY, DDI_ANY);
    KeLowerIrql(old);
    KeRaiseIrql(APC_LEVEL, &old);
    DDI_EQUAL(STATUS_SUCCESS, insert(2, 2));
    agree(1);
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(old);
    all_agree();
    finish();
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *use_cache(void *argument)
{
    struct expool_process *own = expool_process_create("thread", 600, 0);
    uint64_t seed = (uintptr_t)argument + 1;
    uintptr_t faults = 0;
    struct name name[2];

    (void)expool_process_enter(own);
    for (unsigned step = 0; step < THREAD_STEPS; ++step) {
        unsigned number = (unsigned)(ddi_random(&seed) >> 33) % NAMES;
        uint32_t data[2] = { step, ~step };
        NTSTATUS status = STATUS_SUCCESS;
        ULONG length;

        switch (ddi_random(&seed) >> 40 & 7) {
        case 0:
            status = NameCacheRemove(cache, name_of(&name[0], number, false));
            break;
        case 1:
            status = NameCacheRename(cache,
                                     name_of(&name[0], number, false),
                                     name_of(&name[1], (number + 7) % NAMES, true));
            break;
        case 2:
        case 3:
        case 4:
            status = NameCacheInsert(cache, name_of(&name[0], number, true), data, sizeof(data));
            faults += !NT_SUCCESS(status) && status != STATUS_QUOTA_EXCEEDED;
            break;
        default:
            status = NameCacheLookup(
                cache, name_of(&name[0], number, true), data, sizeof(data), &length);
            faults += NT_SUCCESS(status) && (data[0] != ~data[1] || length != sizeof(data));
        }
        faults += !NT_SUCCESS(status) && status != STATUS_NOT_FOUND &&
                  status != STATUS_OBJECT_NAME_COLLISION && status != STATUS_QUOTA_EXCEEDED;
        faults += KeGetCurrentIrql() != PASSIVE_LEVEL;
    }
    (void)expool_process_enter(NULL);
    expool_process_release(own); /* it lives on while its entries do */
    return (void *)faults;
}

static void test_threads_share_a_cache_and_each_pays_for_its_own(void)
{
    pthread_t threads[THREADS];
    NAME_CACHE_STATISTICS statistics;

    start(SIZE_MAX);
    for (size_t i = 0; i < THREADS; ++i) {
        DDI_EQUAL(0, pthread_create(&threads[i], NULL, use_cache, (void *)i));
    }
    for (size_t i = 0; i < THREADS; ++i) {
        void *faults;

        DDI_EQUAL(0, pthread_join(threads[i], &faults));
        DDI_EQUAL(0, (uintptr_t)faults);
    }
    NameCacheQueryStatistics(cache, &statistics);
    DDI_TRUE_FOR(statistics.Refusals > 0, statistics.Refusals);
    DDI_TRUE_FOR(statistics.Hits > 0, statistics.Hits);
    DDI_TRUE_FOR(statistics.Entries <= CAPACITY, statistics.Entries);
    DDI_EQUAL(0, charged()); /* nothing was on the creator's account */
    finish();
}

static const struct ddi_test tests[] = {
    DDI_TEST("(example)", test_random_steps_agree_with_an_array),
    DDI_TEST("(example)", test_what_does_not_fit_is_refused),
    DDI_TEST("(example)", test_quota_that_ends_anywhere_leaves_nothing_behind),
    DDI_TEST("(example)", test_refusals_are_counted_and_the_one_who_inserts_pays),
    DDI_TEST("(example)", test_each_refused_page_request_is_a_status_and_no_more),
    DDI_TEST("(example)", test_paged_pool_at_its_limit_is_a_status),
    DDI_TEST("(example)", test_dispatch_level_stops_and_changes_nothing),
    DDI_TEST("(example)", test_threads_share_a_cache_and_each_pays_for_its_own),
};

DDI_MAIN(tests)
