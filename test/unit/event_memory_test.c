/* SPDX-License-Identifier: MIT */
/*
 * What memory there is, read from trees of files made here: a machine, control groups of both
 * versions, nested limits, files that are missing, odd or hostile.
 *
 * links: linux
 *
 * source: docs/decisions/0010-events.md
 */
#define _GNU_SOURCE
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <expool/port.h>

#include "linux/linux.h"
#include "unit/unit_test.h"

#define KIB UINT64_C(1024)
#define MIB (KIB << 10)
#define GIB (KIB << 20)

static char root[64];
static struct exp_port_memory memory;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void clear(void)
{
    if (root[0] != '\0') {
        (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    strcpy(root, "/tmp/expool-memory-XXXXXX");
    if (mkdtemp(root) == NULL) {
        perror("mkdtemp");
        exit(1);
    }
}

/* Write a file of the tree, with the folders it needs. */
__attribute__((format(printf, 2, 3))) static void put(const char *name, const char *format, ...)
{
    char path[2048];
    va_list arguments;
    snprintf(path, sizeof(path), "%s%s", root, name);
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

/* 8 GiB of memory, 6 available; 2 GiB of swap, half used. */
static void put_machine(void)
{
    put("/proc/meminfo",
        "MemTotal:        8388608 kB\nMemFree:         1048576 kB\nMemAvailable:    6291456 kB\n"
        "Cached:          1048576 kB\nSwapCached:            0 kB\nSwapTotal:       2097152 kB\n"
        "SwapFree:        1048576 kB\nCommitLimit:     6291456 kB\nCommitted_AS:    5242880 kB\n");
    put("/proc/sys/vm/overcommit_memory", "0\n");
}

static bool look(void)
{
    memset(&memory, 0, sizeof(memory));
    return exp_linux_memory(root, &memory);
}

static void check_machine_counts(void)
{
    CHECK_EQUAL(memory.total_bytes, 8 * GIB);
    CHECK_EQUAL(memory.available_bytes, 6 * GIB);
    CHECK_EQUAL(memory.commit_bytes, 3 * GIB);
    CHECK_EQUAL(memory.commit_limit_bytes, 10 * GIB);
    CHECK_EQUAL(memory.commit_limit_max_bytes, 10 * GIB);
}

static void test_memory_machine_alone_counts(void)
{
    clear();
    CHECK(!look()); /* nothing there */
    put_machine();
    CHECK(look());
    check_machine_counts();
    CHECK_EQUAL(memory.stall_percent, 0);
    put("/proc/sys/vm/overcommit_memory", "2\n");
    CHECK(look());
    CHECK_EQUAL(memory.commit_bytes, 5 * GIB);
    CHECK_EQUAL(memory.commit_limit_bytes, 6 * GIB);
    CHECK_EQUAL(memory.available_bytes, 6 * GIB);
}

static void test_memory_old_or_odd_machine_counts_as_far_as_it_tells(void)
{
    clear();
    put("/proc/meminfo", "MemTotal: 4096 kB\nMemFree: 1024 kB\nCached: 512 kB\n");
    CHECK(look());
    CHECK_EQUAL(memory.available_bytes, 1536 * KIB);
    CHECK_EQUAL(memory.commit_bytes, 2560 * KIB);
    CHECK_EQUAL(memory.commit_limit_bytes, 4096 * KIB);
    put("/proc/meminfo", "MemTotal: 4096 kB\nMemAvailable: 8192 kB\nSwapFree: 99 kB\n");
    CHECK(look()); /* more than there is */
    CHECK_EQUAL(memory.available_bytes, 4096 * KIB);
    CHECK_EQUAL(memory.commit_bytes, 0);
    static const char *const bad[] = {
        "",
        "MemTotal:\n",
        "MemTotal: 0 kB\nMemAvailable: 1 kB\n",
        "MemTotal: -5 kB\nMemAvailable: 1 kB\n",
        "MemTotal: 99999999999999999999999 kB\nMemAvailable: 1 kB\n",
        "MemTotal: 18014398509481984 kB\nMemAvailable: 1 kB\n",
        "xMemTotal: 5 kB\nMemAvailable: 1 kB\n",
        "MemTotal: 5 kB\nMemAvailable: many\n",
    };
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        put("/proc/meminfo", "%s", bad[index]);
        CHECK(!look());
        CHECK_EQUAL(memory.total_bytes, 0); /* not written */
    }
}

static void put_second(const char *group, const char *max, const char *high, uint64_t current)
{
    char name[512];
    snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.max", group);
    put(name, "%s\n", max);
    snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.high", group);
    put(name, "%s\n", high);
    snprintf(name, sizeof(name), "/sys/fs/cgroup%s/memory.current", group);
    put(name, "%llu\n", (unsigned long long)current);
}

static void test_memory_version_two_takes_the_tightest_level(void)
{
    clear();
    put_machine();
    put("/proc/self/cgroup", "0::/outer/inner\n");
    put_second("/outer/inner", "max", "max", 900 * MIB);
    CHECK(look());
    check_machine_counts();
    put_second("/outer", "1073741824", "max", 900 * MIB);
    CHECK(look());
    CHECK_EQUAL(memory.total_bytes, GIB);
    CHECK_EQUAL(memory.available_bytes, 124 * MIB);
    CHECK_EQUAL(memory.commit_bytes, 3 * GIB); /* 900 MiB of 3 GiB, with swap, are less */
    put("/sys/fs/cgroup/outer/memory.swap.current", "536870912\n");
    CHECK(look());
    CHECK_EQUAL(memory.commit_bytes, 1412 * MIB);
    CHECK_EQUAL(memory.commit_limit_bytes, 3 * GIB); /* the machine's swap is the most there is */
    put("/sys/fs/cgroup/outer/memory.swap.max", "0\n");
    put("/sys/fs/cgroup/outer/memory.swap.current", "0\n");
    CHECK(look());
    CHECK_EQUAL(memory.commit_limit_bytes, GIB);
    CHECK_EQUAL(memory.commit_limit_max_bytes, GIB);
    put("/sys/fs/cgroup/outer/memory.stat", "anon 5\nfile 7\ninactive_file 104857600\nx 1\n");
    CHECK(look());
    CHECK_EQUAL(memory.available_bytes, 224 * MIB);
    CHECK_EQUAL(memory.commit_bytes, 800 * MIB);
    put_second("/outer/inner", "max", "536870912", 500 * MIB); /* a soft limit, tighter */
    CHECK(look());
    CHECK_EQUAL(memory.total_bytes, 512 * MIB);
    CHECK_EQUAL(memory.available_bytes, 12 * MIB);
    put_second("/outer/inner", "max", "536870912", 600 * MIB); /* more than its limit */
    CHECK(look());
    CHECK_EQUAL(memory.available_bytes, 0);
    put("/sys/fs/cgroup/outer/inner/memory.swap.max", "0\n");
    CHECK(look());
    CHECK_EQUAL(memory.commit_bytes, 600 * MIB);
    CHECK_EQUAL(memory.commit_limit_bytes, 512 * MIB);
    put_second("/outer/inner", "629145600", "536870912", 600 * MIB);
    CHECK(look());
    CHECK_EQUAL(memory.commit_limit_bytes, 512 * MIB); /* it may grow to the hard one */
    CHECK_EQUAL(memory.commit_limit_max_bytes, 600 * MIB);
}

static void test_memory_version_one_takes_the_tightest_level(void)
{
    clear();
    put_machine();
    put("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/box/one\n3:memoryless:/no\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/memory/box/one/memory.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/box/one/memory.usage_in_bytes", "1048576000\n");
    put("/sys/fs/cgroup/memory/box/one/memory.stat",
        "inactive_file 1\ntotal_inactive_file 524288000\n");
    CHECK(look());
    CHECK_EQUAL(memory.total_bytes, GIB);
    CHECK_EQUAL(memory.available_bytes, 524 * MIB);
    CHECK_EQUAL(memory.commit_bytes, 3 * GIB); /* 500 MiB of 3 GiB are less than that of 10 */
    put("/sys/fs/cgroup/memory/box/one/memory.memsw.limit_in_bytes", "1073741824\n");
    put("/sys/fs/cgroup/memory/box/one/memory.memsw.usage_in_bytes", "1049624576\n");
    CHECK(look());
    CHECK_EQUAL(memory.commit_bytes, 501 * MIB);
    CHECK_EQUAL(memory.commit_limit_bytes, GIB);
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "524288000\n");
    put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "524288000\n");
    CHECK(look());
    CHECK_EQUAL(memory.available_bytes, 0);
    CHECK_EQUAL(memory.total_bytes, 500 * MIB);
}

static void test_memory_group_not_visible_here_falls_back_to_the_root(void)
{
    static const char *const paths[] = {
        "0::/docker/0123456789abcdef\n", "0::/../../elsewhere\n", "0::/\n", "0::\n",
        "garbage\n0::/gone (deleted)\n",
    };
    clear();
    put_machine();
    put_second("", "1073741824", "max", 24 * MIB);
    for (size_t index = 0; index < sizeof(paths) / sizeof(paths[0]); index++) {
        put("/proc/self/cgroup", "%s", paths[index]);
        CHECK(look());
        CHECK_EQUAL(memory.available_bytes, 1000 * MIB);
    }
}

static void test_memory_odd_groups_are_passed_over(void)
{
    static const char *const odd[] = { "", "max", "many", "-1", "99999999999999999999", "\n" };
    char path[4096];
    clear();
    put_machine();
    put("/proc/self/cgroup", "0::/one\n");
    for (size_t index = 0; index < sizeof(odd) / sizeof(odd[0]); index++) {
        put_second("/one", odd[index], odd[index], 5);
        CHECK(look());
        check_machine_counts();
        put_second("/one", "4096", "4096", 5);
        put("/sys/fs/cgroup/one/memory.current", "%s", odd[index]);
        CHECK(look());
        check_machine_counts();
    }
    put_second("/one", "4096", "max", 8192);
    put("/sys/fs/cgroup/one/memory.stat", "inactive_file 18446744073709551615\n");
    CHECK(look());
    CHECK_EQUAL(memory.available_bytes, 0);
    memset(path, 'd', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    put("/proc/self/cgroup", "0::/%s\n", path);
    CHECK(look());
    check_machine_counts();
    static const char *const lines[] = { "", ":", "::", "0:", "0::", "\n\n", "1:memory",
                                         "0::/a::b" };
    for (size_t index = 0; index < sizeof(lines) / sizeof(lines[0]); index++) {
        put("/proc/self/cgroup", "%s", lines[index]);
        CHECK(look());
        check_machine_counts();
    }
    for (size_t at = 0; at + 1 < sizeof(path); at += 2) {
        memcpy(path + at, "/d", 2); /* deeper than anybody counts */
    }
    path[900] = '\0';
    put("/proc/self/cgroup", "0::%s\n", path);
    CHECK(look());
    check_machine_counts();
}

static void test_memory_stall_is_the_own_groups_or_the_machines(void)
{
    clear();
    put_machine();
    put("/proc/pressure/memory",
        "some avg10=12.99 avg60=1.00 avg300=0.00 total=5\nfull avg10=99.00 avg60=0 avg300=0\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 12);
    put("/proc/self/cgroup", "0::/one\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 12);
    put("/sys/fs/cgroup/one/memory.pressure", "some avg10=45.00 avg60=1.00 avg300=0.00 total=5\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 45);
    put("/sys/fs/cgroup/one/memory.pressure", "some avg10=1000000.00 avg60=1.00\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 100);
    put("/sys/fs/cgroup/one/memory.pressure", "full avg10=45.00\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 12);
    put("/proc/pressure/memory", "some avg10=\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 0);
    put("/proc/self/cgroup", "4:memory:/one\n"); /* version 1 has none of its own */
    put("/proc/pressure/memory", "some avg10=7.00\n");
    CHECK(look());
    CHECK_EQUAL(memory.stall_percent, 7);
}

static void test_memory_of_this_machine_is_plausible(void)
{
    struct exp_port_memory now;
    if (!exp_port_memory(&now)) {
        return; /* no such files here */
    }
    CHECK(now.total_bytes >= MIB && now.available_bytes <= now.total_bytes);
    CHECK(now.commit_limit_bytes != 0);
    CHECK(now.commit_limit_max_bytes >= now.commit_limit_bytes);
    CHECK(now.stall_percent <= 100);
}

int main(void)
{
    RUN(test_memory_machine_alone_counts);
    RUN(test_memory_old_or_odd_machine_counts_as_far_as_it_tells);
    RUN(test_memory_version_two_takes_the_tightest_level);
    RUN(test_memory_version_one_takes_the_tightest_level);
    RUN(test_memory_group_not_visible_here_falls_back_to_the_root);
    RUN(test_memory_odd_groups_are_passed_over);
    RUN(test_memory_stall_is_the_own_groups_or_the_machines);
    RUN(test_memory_of_this_machine_is_plausible);
    clear();
    rmdir(root);
    return unit_end();
}
