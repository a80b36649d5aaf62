/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the driver interface share: a list of tests, comparisons that print what they
 * expected and got, and a net that catches stops.
 *
 * A test file includes a driver header, then this one, and ends in DDI_MAIN(tests). Each test
 * carries the numbers of the statements of the acceptance list (api.md section 10) that it shows;
 * the runner prints
 *
 *     api 12 ok test_pool2_up_to_a_page_stays_in_one_page
 *
 * An argument runs only tests whose name contains it. A failed comparison prints file, line,
 * expected and got, and the test goes on. Exit status: 0 all passed, 1 a test failed, 2 nothing
 * was run.
 *
 * Stops are caught by expool_on_stop and longjmp. Outside DDI_CATCH a stop is reported and ends the
 * program as it does for every user. After each test the IRQL, limits and injected failures are
 * back to nothing.
 *
 * Every block goes through ddi_opaque: the allocation routines promise the compiler that a block
 * aliases nothing and is new, so a comparison of addresses could be decided without looking.
 */
#ifndef EXP_DDI_TEST_H
#define EXP_DDI_TEST_H

#include <expool.h>
#include <expool/region.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wdm.h>

struct ddi_test {
    const char *statements; /* numbers of api.md section 10 */
    const char *name;
    void (*run)(void);
};

#define DDI_TEST(statements, function)                                                             \
    {                                                                                              \
        statements, #function, function                                                            \
    }

struct ddi_stop {
    bool caught;
    uint32_t code;
    uint64_t parameter[4];
};

enum {
    DDI_FAILURES_SHOWN = 12
};

static unsigned ddi_failures; /* comparisons of the test that runs */
static __thread jmp_buf ddi_jump;
static __thread bool ddi_armed;
static __thread struct ddi_stop ddi_last;

/* Count a failed comparison; only the first few of a test are shown. */
static bool ddi_fail(void)
{
    ++ddi_failures;
    if (ddi_failures == DDI_FAILURES_SHOWN + 1) {
        printf("further failures of this test are not shown\n");
    }
    return ddi_failures <= DDI_FAILURES_SHOWN;
}

/* ---- comparisons ----------------------------------------------------------------------------- */

#define DDI_EQUAL(expected, got)                                                                   \
    ddi_equal(__FILE__, __LINE__, #got, (uint64_t)(expected), (uint64_t)(got))
#define DDI_TRUE(condition) ddi_true(__FILE__, __LINE__, #condition, (condition))
#define DDI_TRUE_FOR(condition, value)                                                             \
    ddi_true_for(__FILE__, __LINE__, #condition, (condition), #value, (uint64_t)(value))

__attribute__((unused)) static bool ddi_equal(
    const char *file, int line, const char *what, uint64_t expected, uint64_t got)
{
    if (expected == got) {
        return true;
    }
    if (!ddi_fail()) {
        return false;
    }
    printf("%s:%d: %s: expected 0x%llx, got 0x%llx\n",
           file,
           line,
           what,
           (unsigned long long)expected,
           (unsigned long long)got);
    return false;
}

__attribute__((unused)) static bool ddi_true(const char *file,
                                             int line,
                                             const char *what,
                                             bool condition)
{
    if (!condition && ddi_fail()) {
        printf("%s:%d: expected %s, got the opposite\n", file, line, what);
    }
    return condition;
}

__attribute__((unused)) static bool ddi_true_for(
    const char *file, int line, const char *what, bool condition, const char *name, uint64_t value)
{
    if (!condition && ddi_fail()) {
        printf("%s:%d: expected %s, got the opposite for %s = 0x%llx\n",
               file,
               line,
               what,
               name,
               (unsigned long long)value);
    }
    return condition;
}

/* ---- stops ----------------------------------------------------------------------------------- */

static void ddi_on_stop(const struct expool_stop *stop, void *context)
{
    (void)context;
    if (!ddi_armed) {
        printf("stop outside DDI_CATCH\n");
        fflush(stdout);
        return;
    }
    ddi_armed = false;
    ddi_last.caught = true;
    ddi_last.code = stop->code;
    memcpy(ddi_last.parameter, stop->parameter, sizeof(ddi_last.parameter));
    longjmp(ddi_jump, 1);
}

/*
 * Run statement; afterwards *(stop) says whether it stopped and how. Not nested. Whatever statement
 * itself changes must be volatile; gcc warns of other variables too, because a loop around the
 * macro changes them, but between setjmp and longjmp they stay as they are.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wclobbered"
#endif
#define DDI_CATCH(stop, statement)                                                                 \
    do {                                                                                           \
        expool_on_stop(ddi_on_stop, NULL);                                                         \
        memset(&ddi_last, 0, sizeof(ddi_last));                                                    \
        if (setjmp(ddi_jump) == 0) {                                                               \
            ddi_armed = true;                                                                      \
            statement;                                                                             \
        }                                                                                          \
        ddi_armed = false;                                                                         \
        *(stop) = ddi_last;                                                                        \
    } while (0)

#define DDI_ANY UINT64_C(0xDD1A11A11A11A11D) /* this parameter is not published */

#define DDI_STOP(stop, code, p1, p2, p3, p4)                                                       \
    ddi_stop_is(__FILE__,                                                                          \
                __LINE__,                                                                          \
                (stop),                                                                            \
                (code),                                                                            \
                (uint64_t)(p1),                                                                    \
                (uint64_t)(p2),                                                                    \
                (uint64_t)(p3),                                                                    \
                (uint64_t)(p4))
#define DDI_NO_STOP(stop) ddi_no_stop(__FILE__, __LINE__, (stop))

/* A raise without a handler: stop 0x1E with the status as parameter 1 (api.md 7.2.7). */
#define DDI_RAISES(stop, status)                                                                   \
    DDI_STOP(stop, KMODE_EXCEPTION_NOT_HANDLED, (uint32_t)(status), DDI_ANY, DDI_ANY, DDI_ANY)

__attribute__((unused)) static bool ddi_stop_is(const char *file,
                                                int line,
                                                const struct ddi_stop *stop,
                                                uint32_t code,
                                                uint64_t p1,
                                                uint64_t p2,
                                                uint64_t p3,
                                                uint64_t p4)
{
    const uint64_t expected[4] = { p1, p2, p3, p4 };
    bool same = stop->caught && stop->code == code;

    for (int i = 0; i < 4; ++i) {
        same = same && (expected[i] == DDI_ANY || expected[i] == stop->parameter[i]);
    }
    if (same) {
        return true;
    }
    if (!ddi_fail()) {
        return false;
    }
    printf("%s:%d: expected stop 0x%X (", file, line, code);
    for (int i = 0; i < 4; ++i) {
        if (expected[i] == DDI_ANY) {
            printf(" *");
        } else {
            printf(" %llx", (unsigned long long)expected[i]);
        }
    }
    if (!stop->caught) {
        printf("), got no stop\n");
    } else {
        printf("), got 0x%X ( %llx %llx %llx %llx)\n",
               stop->code,
               (unsigned long long)stop->parameter[0],
               (unsigned long long)stop->parameter[1],
               (unsigned long long)stop->parameter[2],
               (unsigned long long)stop->parameter[3]);
    }
    return false;
}

__attribute__((unused)) static bool ddi_no_stop(const char *file,
                                                int line,
                                                const struct ddi_stop *stop)
{
    if (stop->caught && ddi_fail()) {
        printf("%s:%d: expected no stop, got 0x%X ( %llx %llx %llx %llx)\n",
               file,
               line,
               stop->code,
               (unsigned long long)stop->parameter[0],
               (unsigned long long)stop->parameter[1],
               (unsigned long long)stop->parameter[2],
               (unsigned long long)stop->parameter[3]);
    }
    return !stop->caught;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* The compiler knows nothing of the result, nor of any memory, after this. */
static inline void *ddi_opaque(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static inline size_t ddi_size(size_t bytes)
{
    __asm__ volatile("" : "+r"(bytes));
    return bytes;
}

__attribute__((unused)) static bool ddi_all_bytes(const void *block, size_t bytes, uint8_t value)
{
    const uint8_t *byte = ddi_opaque((void *)(uintptr_t)block);

    return bytes == 0 || (byte[0] == value && memcmp(byte, byte + 1, bytes - 1) == 0);
}

/* xorshift64*: the seed is printed by whoever uses it */
static inline uint64_t ddi_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

/* DDI_SEED repeats a run. */
__attribute__((unused)) static uint64_t ddi_seed(uint64_t standard)
{
    const char *text = getenv("DDI_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : standard;

    printf("seed 0x%llx (DDI_SEED repeats it)\n", (unsigned long long)seed);
    return seed != 0 ? seed : 1;
}

/* ---- counters -------------------------------------------------------------------------------- */

enum {
    DDI_ROWS_MAX = 4096
};

/* The row of a tag; zeroes when there is none. pool: 0 nonpaged, 1 paged. */
__attribute__((unused)) static struct expool_tag_row ddi_row(uint32_t tag, uint32_t pool)
{
    static struct expool_tag_row rows[DDI_ROWS_MAX];
    size_t count = expool_tags(rows, DDI_ROWS_MAX);

    for (size_t i = 0; i < count && i < DDI_ROWS_MAX; ++i) {
        if (rows[i].tag == tag && rows[i].pool == pool) {
            return rows[i];
        }
    }
    return (struct expool_tag_row){ .tag = tag, .pool = pool };
}

__attribute__((unused)) static uint64_t ddi_live(uint32_t tag, uint32_t pool)
{
    struct expool_tag_row row = ddi_row(tag, pool);

    return row.allocs - row.frees;
}

/* Read the head of this process's statistics region; false when there is no such file. */
__attribute__((unused)) static bool ddi_region(struct expool_region_header *header)
{
    char path[64];
    char target[128];

    for (int fd = 0; fd < 65536; ++fd) {
        struct stat status;
        ssize_t length;

        if (fstat(fd, &status) != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        length = readlink(path, target, sizeof(target) - 1);
        if (length <= 0) {
            continue;
        }
        target[length] = '\0';
        if (strstr(target, EXPOOL_REGION_NAME) != NULL &&
            pread(fd, header, sizeof(*header), 0) == (ssize_t)sizeof(*header) &&
            header->magic == EXPOOL_REGION_MAGIC) {
            return true;
        }
    }
    return false;
}

/* ---- the runner ------------------------------------------------------------------------------ */

static void ddi_reset(void)
{
    if (KeGetCurrentIrql() != PASSIVE_LEVEL) {
        KeLowerIrql(PASSIVE_LEVEL);
    }
    expool_fail_page_request(0);
    (void)expool_set("paged_limit", "unlimited");
    (void)expool_set("nonpaged_limit", "unlimited");
    (void)expool_set("front_cache", "1");
}

#define DDI_MAIN(tests)                                                                            \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return ddi_main(tests, sizeof(tests) / sizeof((tests)[0]), argc, argv);                    \
    }

static int ddi_main(const struct ddi_test *tests, size_t count, int argc, char **argv)
{
    size_t run_count = 0;
    size_t failed_count = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < count; ++i) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) {
            continue;
        }
        ddi_failures = 0;
        expool_on_stop(ddi_on_stop, NULL);
        tests[i].run();
        ddi_reset();
        ++run_count;
        failed_count += ddi_failures != 0;
        printf("api %s %s %s\n",
               tests[i].statements,
               ddi_failures == 0 ? "ok" : "FAILED",
               tests[i].name);
    }
    printf("%zu passed, %zu failed\n", run_count - failed_count, failed_count);
    return run_count == 0 ? 2 : failed_count != 0;
}

#endif
