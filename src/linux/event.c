/* SPDX-License-Identifier: MIT */
/*
 * What memory there is, and descriptors that show conditions.
 *
 * Memory. The machine's is in /proc/meminfo. On top of it come the control groups of this process,
 * from its own up to the root: of all levels that have a limit, and the machine, the one that
 * leaves least counts. Pages of files that nobody has used for long (inactive_file) count as
 * available. Both versions of the groups are known, at their usual places; the path in
 * /proc/self/cgroup may name folders that are not visible here (a container that sees its own group
 * as the root), so every level that cannot be read is passed over.
 *
 * Commit. A system that accounts strictly (overcommit_memory 2) has a charge and a limit. On others
 * the promise means nothing: the charge is what has to be backed now, memory and swap in use, and
 * the limit is all memory and swap. A group's limit counts with the swap that it may use. A soft
 * limit (memory.high) is the limit now, the hard one what it may grow to.
 *
 * Stall. The share of the last ten seconds in which some thread waited for memory, of the process's
 * own group or else the machine (pressure stall information).
 *
 * Nothing is allocated, a file is read into a small buffer, and what does not look like a number is
 * not there.
 *
 * Descriptors. An event counter for each condition that somebody asked for: 1 = holds. It is
 * written when the condition begins or ends, by the one who makes it so. A copy of the process
 * shares the parent's descriptors and leaves them alone: it makes its own when it is asked. Before
 * a write the descriptor is looked at: a program that closed it, against the rule, is harmed only
 * when an event counter, timer or other anonymous file of its own has the number by then.
 *
 * Conditions of memory need somebody who looks: a thread, started with the first such descriptor,
 * looks four times a second.
 *
 * No locks: one word for each condition names the copy of the process and the descriptor.
 */
#define _GNU_SOURCE

#include <expool/port.h>

#include "base/format.h"
#include "core/owner.h"
#include "linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENT_TEXT_BYTES = 4096,
    EVENT_PATH_BYTES = 1024,
    EVENT_LEVELS_MAX = 64, /* of control groups */
    EVENT_STACK_BYTES = 128 << 10,
    EVENT_WATCH_NS = 250000000,
};

#define EVENT_NO_LIMIT (UINT64_C(1) << 60) /* "no limit" is written as a number near 2^63 */

static struct {
    uint64_t files[EXP_PORT_CONDITIONS]; /* atomic: copy << 32 | 1 + descriptor; 0 = none */
    uint32_t watched;                    /* atomic: 1 + the copy that has a thread that looks */
    void (*look)(void);                  /* what that thread calls; written before it starts */
    dev_t device; /* atomic: of every event counter; constant once one is made */
    ino_t inode;
} exp_event_files;

/* ---- reading files --------------------------------------------------------------------------- */

/* The beginning of a file as text; false: it cannot be read, or its name is too long. */
static bool read_text(const char *const parts[4], char *buffer, size_t size)
{
    char path[2 * EVENT_PATH_BYTES];
    struct exp_text text;
    exp_format_start(&text, path, sizeof(path));
    for (unsigned index = 0; index < 4; index++) {
        exp_format_words(&text, parts[index]);
    }
    int file = -1;
    if (text.length_bytes + 1 < sizeof(path)) {
        file = exp_linux_open_read(path);
    }
    size_t length = 0;
    while (file >= 0 && length < size - 1) {
        long got = exp_linux_read(file, buffer + length, size - 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    if (file >= 0) {
        exp_linux_close(file);
    }
    buffer[length] = '\0';
    return length != 0;
}

/* A decimal number, which ends at whatever is no digit; false: none, or too large. */
static bool parse_number(const char *text, uint64_t *value)
{
    uint64_t number = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[digits] - '0'), &number)) {
            return false;
        }
    }
    *value = number;
    return digits != 0;
}

/* The number in the line that starts with name; a line that cannot be has no number. */
static bool find_number(const char *text, const char *name, uint64_t unit, uint64_t *value)
{
    size_t length = strlen(name);
    while (text != NULL && *text != '\0') {
        if (strncmp(text, name, length) == 0) {
            text += length + strspn(text + length, " \t");
            return parse_number(text, value) && *value < EVENT_NO_LIMIT / unit &&
                   (*value *= unit, true);
        }
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return false;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Where the groups lie. */
struct groups {
    const char *root;
    const char *mount;
    char path[EVENT_PATH_BYTES]; /* of this process's own, below mount; "" = the topmost */
    bool second;                 /* version 2 */
};

/* One level that has a limit. */
struct level {
    uint64_t limit, limit_max, used; /* memory, without swap; UINT64_MAX = unlimited */
    uint64_t swap_used, swap_limit;  /* swap that comes on top of it */
};

static bool read_machine(const char *root, struct exp_port_memory *memory, uint64_t *swap_total)
{
    char text[EVENT_TEXT_BYTES];
    uint64_t free = 0, cached = 0, swap_free = 0, charge = 0, limit = 0;
    const char *const file[4] = { root, "/proc/meminfo", "", "" };
    const char *const mode[4] = { root, "/proc/sys/vm/overcommit_memory", "", "" };
    if (!read_text(file, text, sizeof(text)) ||
        !find_number(text, "MemTotal:", 1024, &memory->total_bytes) || memory->total_bytes == 0) {
        return false;
    }
    if (!find_number(text, "MemAvailable:", 1024, &memory->available_bytes)) {
        if (!find_number(text, "MemFree:", 1024, &free)) {
            return false;
        }
        (void)find_number(text, "Cached:", 1024, &cached);
        memory->available_bytes = free + cached;
    }
    *swap_total = 0;
    (void)find_number(text, "SwapTotal:", 1024, swap_total);
    (void)find_number(text, "SwapFree:", 1024, &swap_free);
    bool charged = find_number(text, "Committed_AS:", 1024, &charge) &&
                   find_number(text, "CommitLimit:", 1024, &limit) && limit != 0;
    memory->available_bytes = exp_min(memory->available_bytes, memory->total_bytes);
    memory->commit_bytes = memory->total_bytes - memory->available_bytes + *swap_total -
                           exp_min(swap_free, *swap_total);
    memory->commit_limit_bytes = memory->total_bytes + *swap_total;
    if (charged && read_text(mode, text, sizeof(text)) && text[0] == '2') {
        memory->commit_bytes = charge;
        memory->commit_limit_bytes = limit;
    }
    memory->commit_limit_max_bytes = memory->commit_limit_bytes;
    return true;
}

/* A number that a file of a group holds; UINT64_MAX: no such file, no number, or no limit. */
static uint64_t group_number(const struct groups *groups, const char *file)
{
    char text[64];
    char mount[EVENT_PATH_BYTES];
    uint64_t value;
    struct exp_text words;
    exp_format_start(&words, mount, sizeof(mount));
    exp_format_words(&words, groups->root);
    exp_format_words(&words, groups->mount);
    const char *const parts[4] = { mount, groups->path, "/", file };
    return words.length_bytes + 1 < sizeof(mount) && read_text(parts, text, sizeof(text)) &&
                   parse_number(text, &value) && value < EVENT_NO_LIMIT
               ? value
               : UINT64_MAX;
}

/* Bytes of files nobody has used for long. */
static uint64_t group_inactive(const struct groups *groups)
{
    char text[EVENT_TEXT_BYTES];
    char mount[EVENT_PATH_BYTES];
    uint64_t value = 0;
    struct exp_text words;
    exp_format_start(&words, mount, sizeof(mount));
    exp_format_words(&words, groups->root);
    exp_format_words(&words, groups->mount);
    const char *const parts[4] = { mount, groups->path, "/", "memory.stat" };
    if (!read_text(parts, text, sizeof(text)) ||
        !find_number(text, groups->second ? "inactive_file " : "total_inactive_file ", 1, &value)) {
        return 0;
    }
    return value;
}

/* A level's numbers; false: it has no limit, or does not say what it uses. */
static bool read_level(const struct groups *groups, uint64_t swap_total, struct level *level)
{
    bool second = groups->second;
    level->limit_max = group_number(groups, second ? "memory.max" : "memory.limit_in_bytes");
    level->limit = second ? group_number(groups, "memory.high") : UINT64_MAX;
    level->limit = exp_min(level->limit, level->limit_max);
    level->used = group_number(groups, second ? "memory.current" : "memory.usage_in_bytes");
    if (level->limit == UINT64_MAX || level->used == UINT64_MAX) {
        return false;
    }
    if (second) {
        level->swap_used = group_number(groups, "memory.swap.current");
        level->swap_limit = group_number(groups, "memory.swap.max");
    } else {
        uint64_t both = group_number(groups, "memory.memsw.usage_in_bytes");
        uint64_t both_limit = group_number(groups, "memory.memsw.limit_in_bytes");
        level->swap_used = both == UINT64_MAX ? both : both - exp_min(both, level->used);
        level->swap_limit =
            both_limit == UINT64_MAX ? both_limit : both_limit - exp_min(both_limit, level->limit);
    }
    level->swap_used = level->swap_used == UINT64_MAX ? 0 : level->swap_used;
    level->swap_limit = exp_min(level->swap_limit, swap_total);
    level->used -= exp_min(level->used, group_inactive(groups));
    return true;
}

/* Let a level count where it leaves less than what counts so far. */
static void tighten(const struct level *level, struct exp_port_memory *memory)
{
    uint64_t available = level->limit - exp_min(level->limit, level->used);
    uint64_t charge = level->used + level->swap_used;
    uint64_t limit = level->limit + level->swap_limit;
    if (available < memory->available_bytes) {
        memory->available_bytes = available;
        memory->total_bytes = level->limit;
    }
    if ((unsigned __int128)charge * memory->commit_limit_bytes >
        (unsigned __int128)memory->commit_bytes * limit) {
        memory->commit_bytes = charge;
        memory->commit_limit_max_bytes = level->limit_max != UINT64_MAX
                                             ? level->limit_max + level->swap_limit
                                             : memory->commit_limit_max_bytes;
        memory->commit_limit_bytes = limit;
    }
}

/* The process's group in the text of /proc/self/cgroup; lines are "number:controllers:path". */
static bool find_group(char *text, struct groups *groups)
{
    bool found = false;
    char *next;
    for (char *line = text; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        char *names = strchr(line, ':');
        char *path = names != NULL ? strchr(names + 1, ':') : NULL;
        if (path == NULL) {
            continue;
        }
        *path++ = '\0';
        names++;
        const char *word = strstr(names, "memory");
        bool first = word != NULL && (word == names || word[-1] == ',') &&
                     (word[6] == '\0' || word[6] == ',');
        bool second = !found && strncmp(line, "0:", 2) == 0 && *names == '\0';
        if (!first && !second) {
            continue;
        }
        found = true;
        groups->second = second;
        groups->mount = first ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
        size_t length = strlen(path);
        bool usable = *path == '/' && length < sizeof(groups->path) && strstr(path, "..") == NULL;
        memcpy(groups->path, usable ? path : "", usable ? length + 1 : 1);
        if (first) {
            break; /* the controller is there, whatever a second version has beside it */
        }
    }
    return found;
}

/* Percent, whole, of "some avg10=1.23 ..."; false: not such a text. */
static bool parse_stall(const char *text, uint32_t *percent)
{
    uint64_t value;
    const char *number = strstr(text, "avg10=");
    if (strncmp(text, "some ", 5) != 0 || number == NULL || !parse_number(number + 6, &value)) {
        return false;
    }
    *percent = (uint32_t)exp_min(value, 100);
    return true;
}

static uint32_t read_stall(const char *root, const struct groups *groups)
{
    char text[256];
    uint32_t percent;
    const char *const own[4] = { root, groups->mount, groups->path, "/memory.pressure" };
    const char *const machine[4] = { root, "/proc/pressure/memory", "", "" };
    if (groups->second && read_text(own, text, sizeof(text)) && parse_stall(text, &percent)) {
        return percent;
    }
    return read_text(machine, text, sizeof(text)) && parse_stall(text, &percent) ? percent : 0;
}

bool exp_linux_memory(const char *root, struct exp_port_memory *memory)
{
    struct exp_port_memory got = { 0 };
    struct groups groups = { .root = root, .mount = "" };
    struct level level;
    char text[EVENT_TEXT_BYTES];
    uint64_t swap_total;
    const char *const file[4] = { root, "/proc/self/cgroup", "", "" };
    if (!read_machine(root, &got, &swap_total)) {
        return false;
    }
    if (read_text(file, text, sizeof(text)) && find_group(text, &groups)) {
        got.stall_percent = read_stall(root, &groups);
        for (unsigned count = 0; count < EVENT_LEVELS_MAX; count++) {
            if (read_level(&groups, swap_total, &level)) {
                tighten(&level, &got);
            }
            char *last = strrchr(groups.path, '/');
            if (last == NULL) {
                break;
            }
            *last = '\0';
        }
    } else {
        got.stall_percent = read_stall(root, &groups);
    }
    *memory = got;
    return true;
}

bool exp_port_memory(struct exp_port_memory *memory)
{
    int saved = errno;
    bool known = exp_linux_memory("", memory);
    errno = saved;
    return known;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* The descriptor in a word if it is this copy's and still an event counter, else -1. */
static int file_of(uint64_t word)
{
    struct stat status;
    int file = (int)(uint32_t)word - 1;
    bool ours = file >= 0 && word >> 32 == exp_owner_forks() && fstat(file, &status) == 0 &&
                status.st_dev == __atomic_load_n(&exp_event_files.device, __ATOMIC_RELAXED) &&
                status.st_ino == __atomic_load_n(&exp_event_files.inode, __ATOMIC_RELAXED);
    return ours ? file : -1;
}

void exp_port_condition(unsigned index, bool holds)
{
    uint64_t word = __atomic_load_n(&exp_event_files.files[index], __ATOMIC_ACQUIRE);
    if (word == 0) {
        return;
    }
    int saved = errno;
    int file = file_of(word);
    uint64_t value = 1;
    if (file >= 0) {
        long done = syscall(holds ? SYS_write : SYS_read, file, &value, sizeof(value));
        (void)done; /* read: it was 0 already */
    }
    errno = saved;
}

static void *watch(void *unused)
{
    const struct timespec pause = { .tv_nsec = EVENT_WATCH_NS };
    (void)unused;
    for (;;) {
        exp_event_files.look();
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* A thread that looks at memory, one for each copy of the process; false: it cannot be had. */
static bool start_watch(void (*look)(void))
{
    uint32_t copy = exp_owner_forks() + 1;
    if (__atomic_exchange_n(&exp_event_files.watched, copy, __ATOMIC_ACQ_REL) == copy) {
        return true;
    }
    exp_event_files.look = look;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t former;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, EVENT_STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former); /* signals are the program's */
    bool made = pthread_create(&thread, &attributes, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    pthread_attr_destroy(&attributes);
    if (!made) {
        __atomic_store_n(&exp_event_files.watched, 0, __ATOMIC_RELEASE);
    }
    return made;
}

/* This copy's descriptor for a condition, made when it has none; -1: none is left. */
static int get_file(unsigned index)
{
    uint64_t *place = &exp_event_files.files[index];
    uint64_t word = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    int file = file_of(word);
    if (file >= 0) {
        return file;
    }
    struct stat status;
    int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0) {
        return -1;
    }
    made = exp_linux_move_up(made);
    if (fstat(made, &status) != 0) {
        exp_linux_close(made);
        return -1;
    }
    __atomic_store_n(&exp_event_files.device, status.st_dev, __ATOMIC_RELAXED);
    __atomic_store_n(&exp_event_files.inode, status.st_ino, __ATOMIC_RELAXED);
    uint64_t own = (uint64_t)exp_owner_forks() << 32 | (uint32_t)(made + 1);
    if (!__atomic_compare_exchange_n(
            place, &word, own, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        exp_linux_close(made); /* another thread was first */
        return file_of(word);
    }
    return made;
}

int exp_port_condition_file(unsigned index, void (*look)(void))
{
    int saved = errno;
    int file = look != NULL && !start_watch(look) ? -1 : get_file(index);
    errno = saved;
    return file;
}
