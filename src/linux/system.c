/* SPDX-License-Identifier: MIT */
/*
 * Threads, clock, sleep, options and the end of a process, for the core.
 *
 * A thread's owner lies in one thread variable; a key's destructor ends it. Whoever allocates in
 * that thread afterwards (libc and later destructors do) is told that it is past its end. The
 * options come from the environment as the process got it, unless it gained privileges.
 */
#define _GNU_SOURCE
#include <expool.h>
#include <expool/port.h>

#include "base/format.h"
#include "core/option.h"
#include "core/owner.h"
#include "linux/linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    SYSTEM_JSON_BYTES = 9216,
    SYSTEM_FRAMES = 13,
    SYSTEM_ENVIRONMENT_BYTES = 32768
};

#define SYSTEM_SECOND_NS       UINT64_C(1000000000)
#define SYSTEM_SECONDS_TO_1970 UINT64_C(11644473600) /* from the first day of 1601, UTC */
/* Where a machine is no longer small, and where it is large; our numbers (MmQuerySystemSize). */
#define SYSTEM_MEDIUM_BYTES    (UINT64_C(1) << 30)
#define SYSTEM_LARGE_BYTES     (UINT64_C(4) << 30)

_Thread_local struct exp_owner *exp_linux_owner = &exp_owner_none;

static _Thread_local bool system_ended; /* this thread's owner is gone for good */

static struct {
    pthread_once_t once;
    pthread_key_t key;
    bool key_made;
    bool options_read;
    uint64_t seed;   /* drawn; another value in the option was given */
    uint64_t random; /* atomic: numbers drawn from the seed so far */
    int stopping;    /* atomic: thread id that prints a report */
} exp_system = { .once = PTHREAD_ONCE_INIT };

static void thread_ends(void *value)
{
    struct exp_owner *owner = value;
    system_ended = true;
    exp_linux_owner = &exp_owner_none;
    exp_owner_exit(owner);
}

static void make_key(void)
{
    exp_system.key_made = pthread_key_create(&exp_system.key, thread_ends) == 0;
}

bool exp_port_owner_set(struct exp_owner *owner)
{
    if (system_ended) {
        return false;
    }
    exp_linux_owner = owner; /* before what follows, which may allocate */
    int saved = errno;
    pthread_once(&exp_system.once, make_key);
    if (exp_system.key_made) {
        (void)pthread_setspecific(exp_system.key, owner);
    }
    errno = saved;
    return true;
}

void exp_linux_fork_notice(void)
{
    (void)pthread_atfork(NULL, NULL, exp_owner_child);
}

void exp_port_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    int saved = errno;
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / SYSTEM_SECOND_NS),
        .tv_nsec = (long)(timeout_ns % SYSTEM_SECOND_NS),
    };
    syscall(SYS_futex,
            word,
            FUTEX_WAIT_PRIVATE,
            value,
            timeout_ns == UINT64_MAX ? NULL : &timeout,
            NULL,
            0);
    errno = saved;
}

void exp_port_wake(uint32_t *word)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

void exp_port_wake_all(uint32_t *word)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

uint64_t exp_port_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t exp_port_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SYSTEM_SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t exp_port_time_100ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + SYSTEM_SECONDS_TO_1970) * (SYSTEM_SECOND_NS / 100) +
           (uint64_t)now.tv_nsec / 100;
}

/* A mix over a counter that starts at the seed: the same seed, the same numbers. */
uint64_t exp_linux_random(void)
{
    uint64_t step = exp_atomic_add(&exp_system.random, 1);
    uint64_t value = exp_option_value(EXP_OPTION_SEED) + step * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
    value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return value ^ value >> 32;
}

int exp_linux_open_read(const char *name)
{
    return (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
}

long exp_linux_read(int file, void *buffer, size_t size)
{
    return syscall(SYS_read, file, buffer, size);
}

void exp_linux_close(int file)
{
    (void)syscall(SYS_close, file);
}

void exp_linux_write(int file, const char *text, size_t length)
{
    while (length > 0) {
        long written = syscall(SYS_write, file, text, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        text += written;
        length -= (size_t)written;
    }
}

void exp_port_print(const char *text, size_t bytes)
{
    int saved = errno;
    exp_linux_write(STDERR_FILENO, text, bytes);
    errno = saved;
}

/* MM_SYSTEMSIZE of wdm.h, which only the front may see: 0 small, 1 medium, 2 large. */
EXP_EXPORT unsigned MmQuerySystemSize(void)
{
    int saved = errno;
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
    errno = saved;
    if (bytes < SYSTEM_MEDIUM_BYTES) {
        return 0;
    }
    return bytes < SYSTEM_LARGE_BYTES ? 1 : 2;
}

static void json_words(struct exp_text *text, const char *words)
{
    exp_format_words(text, "\"");
    for (; *words != '\0'; words++) {
        if (*words == '\n') {
            exp_format_words(text, "\\n");
            continue;
        }
        if (*words == '"' || *words == '\\') {
            exp_format_words(text, "\\");
        }
        exp_format_character(text, *words);
    }
    exp_format_words(text, "\"");
}

/* The stop as one JSON object in the file of option stop_json. */
static void write_json(const struct expool_stop *stop, const char *name)
{
    static char buffer[SYSTEM_JSON_BYTES];
    struct exp_text text;
    int file = exp_linux_open(exp_option_file(EXP_OPTION_STOP_JSON));
    if (file < 0) {
        return;
    }
    exp_format_start(&text, buffer, sizeof(buffer));
    exp_format_words(&text, "{\"code\": ");
    exp_format_decimal(&text, stop->code, 0);
    exp_format_words(&text, ", \"name\": ");
    json_words(&text, name);
    exp_format_words(&text, ", \"parameters\": [");
    for (int index = 0; index < 4; index++) {
        exp_format_words(&text, index == 0 ? "" : ", ");
        exp_format_decimal(&text, stop->parameter[index], 0);
    }
    exp_format_words(&text, "], \"process\": ");
    exp_format_decimal(&text, (uint64_t)getpid(), 0);
    exp_format_words(&text, ", \"report\": ");
    json_words(&text, stop->report);
    exp_format_words(&text, "}\n");
    exp_linux_write(file, buffer, text.length_bytes);
    exp_linux_close(file);
}

_Noreturn void exp_port_stop(const struct expool_stop *stop, const char *name)
{
    int self = (int)syscall(SYS_gettid);
    int nobody = 0;
    if (__atomic_compare_exchange_n(
            &exp_system.stopping, &nobody, self, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        if (exp_option_file(EXP_OPTION_STOP_JSON)[0] != '\0') {
            write_json(stop, name);
        }
        exp_linux_write(STDERR_FILENO, stop->report, strlen(stop->report));
    } else if (nobody != self) {
        for (;;) {
            pause(); /* the first one ends the process */
        }
    }
    abort();
}

/* Two words at an address that may be anything. */
static bool read_frame(uintptr_t address, uintptr_t frame[2])
{
    struct iovec local = { frame, 2 * sizeof(uintptr_t) };
    struct iovec remote = { (void *)address, 2 * sizeof(uintptr_t) };
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)local.iov_len;
}

static void describe_address(struct exp_text *text, uintptr_t address)
{
    Dl_info info;
    exp_format_words(text, "    0x");
    exp_format_hex(text, address, 16);
    if (dladdr((void *)address, &info) != 0 && info.dli_fname != NULL) {
        exp_format_words(text, "  ");
        for (const char *at = info.dli_fname; *at != '\0'; at++) {
            exp_format_character(text, *at);
        }
        exp_format_words(text, "+0x");
        exp_format_hex(text, address - (uintptr_t)info.dli_fbase, 8);
        if (info.dli_sname != NULL) {
            exp_format_words(text, "  ");
            exp_format_words(text, info.dli_sname);
        }
    }
    exp_format_words(text, "\n");
}

/*
 * The caller first; then as far as frame pointers lead, upward on the stack only. Code without
 * frame pointers ends the list early.
 */
size_t exp_port_describe(const void *caller, char *buffer, size_t size)
{
    int saved = errno;
    struct exp_text text;
    exp_format_start(&text, buffer, size);
    if (caller != NULL) {
        exp_format_words(&text, "  called from:\n");
        describe_address(&text, (uintptr_t)caller);
        uintptr_t at = (uintptr_t)__builtin_frame_address(0);
        bool found = false;
        for (int depth = 0; depth < SYSTEM_FRAMES; depth++) {
            uintptr_t frame[2];
            if (!read_frame(at, frame) || frame[0] <= at || frame[1] < 4096) {
                break;
            }
            if (found) {
                describe_address(&text, frame[1]);
            }
            found = found || frame[1] == (uintptr_t)caller;
            at = frame[0];
        }
    }
    errno = saved;
    return text.length_bytes;
}

static _Noreturn void refuse_option(const char *part, size_t bytes, enum exp_option_result result)
{
    char buffer[4096];
    struct exp_text text;
    exp_format_start(&text, buffer, sizeof(buffer));
    exp_format_words(&text, "expool: EXPOOL_OPTIONS: ");
    exp_format_words(&text, result == EXP_OPTION_UNKNOWN ? "unknown option: " : "bad value: ");
    for (size_t index = 0; index < bytes; index++) {
        exp_format_character(&text, part[index]);
    }
    exp_format_words(&text, "\nvalid options:\n");
    for (unsigned option = 0; option < EXP_OPTION_COUNT; option++) {
        exp_format_words(&text, "  ");
        exp_format_words(&text, exp_option_name((enum exp_option)option));
        exp_format_words(&text, ": ");
        exp_format_words(&text, exp_option_help((enum exp_option)option));
        exp_format_words(&text, "\n");
    }
    exp_linux_write(STDERR_FILENO, buffer, text.length_bytes);
    _exit(2);
}

static void parse_options(const char *text)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, ",");
        size_t name_bytes = strcspn(text, "=,");
        if (bytes != 0) {
            enum exp_option option;
            enum exp_option_result result = EXP_OPTION_BAD;
            if (name_bytes < bytes) {
                result = exp_option_set(text,
                                        name_bytes,
                                        text + name_bytes + 1,
                                        bytes - name_bytes - 1,
                                        false,
                                        &option);
            }
            if (result != EXP_OPTION_SET) {
                refuse_option(text, bytes, result);
            }
        }
        text += bytes;
        text += *text == ',';
    }
}

/* The variable's value when libc has not started yet: from the kernel's copy of the environment. */
static const char *value_from_kernel(const char *name, char *buffer, size_t size)
{
    int file = exp_linux_open_read("/proc/self/environ");
    long length = file < 0 ? -1 : exp_linux_read(file, buffer, size - 1);
    size_t name_bytes = strlen(name);
    if (file >= 0) {
        exp_linux_close(file);
    }
    if (length <= 0) {
        return NULL;
    }
    buffer[length] = '\0';
    for (char *at = buffer; at < buffer + length; at += strlen(at) + 1) {
        if (strncmp(at, name, name_bytes) == 0 && at[name_bytes] == '=') {
            return at + name_bytes + 1;
        }
    }
    return NULL;
}

void exp_linux_options_read(void)
{
    static char environment[SYSTEM_ENVIRONMENT_BYTES];
    if (exp_system.options_read) {
        return;
    }
    exp_system.options_read = true;
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
        seed = exp_port_clock_ms() ^ (uintptr_t)&seed;
    }
    exp_system.seed = seed | 1;
    exp_option_values[EXP_OPTION_SEED] =
        exp_system.seed; /* printed in reports, so that it can be set */
    if (getauxval(AT_SECURE) != 0) {
        return;
    }
    const char *value = environ != NULL
                            ? getenv("EXPOOL_OPTIONS")
                            : value_from_kernel("EXPOOL_OPTIONS", environment, sizeof(environment));
    if (value != NULL) {
        parse_options(value);
    }
}

bool exp_linux_seeded(void)
{
    return exp_option_value(EXP_OPTION_SEED) != exp_system.seed;
}

/*
 * A bad option ends the process before main, also one that never allocates. The handler of forks
 * takes no lock and allocates nothing.
 */
static __attribute__((constructor)) void check_options(void)
{
    exp_linux_options_read();
    (void)pthread_atfork(NULL, NULL, exp_owner_forked);
}
