/* SPDX-License-Identifier: MIT */
/*
 * The statistics region as a sealed memory file, mapped at one address for the life of the process.
 *
 * The file has its full size from the start, without memory; its size is sealed. Memory is given in
 * steps before it is touched, by a call that can fail, since a store into a memory file without
 * memory is a fault and not an error. The descriptor is kept as high as may be and closed by exec;
 * it is never used again after the mapping is made, so a program that closes it (and opens another
 * file under the same number) does no harm: readers lose sight of the process, nothing else.
 *
 * A copy of the process gets a file of its own at the same address: the committed steps are copied,
 * the rest stays without memory. Where no file can be had (none left, file size limit) the region
 * is private memory: the pool works, and nobody can read it from outside.
 */
#define _GNU_SOURCE
#include <expool/port.h>
#include <expool/region.h>

#include "linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    REGION_STEP_BYTES = 16384,
    REGION_STEPS_MAX = 4096,
    REGION_FILE_FIRST = 1000
};

static struct {
    char *address;
    size_t bytes;
    int file; /* -1: private memory */
    dev_t device;
    ino_t inode;
    unsigned char committed[REGION_STEPS_MAX]; /* a step: 1 = has memory */
} region = { .file = -1 };

int exp_linux_move_up(int file)
{
    struct rlimit limit;
    int first = REGION_FILE_FIRST;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= REGION_FILE_FIRST) {
        first = limit.rlim_cur > 16 ? (int)limit.rlim_cur - 8 : 3;
    }
    int high = fcntl(file, F_DUPFD_CLOEXEC, first);
    if (high < 0) {
        return file;
    }
    exp_linux_close(file);
    return high;
}

/* A new sealed memory file of bytes, or -1. */
static int make_file(size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) {
        return -1; /* growing it would end the process by a signal */
    }
    int file = memfd_create(EXPOOL_REGION_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) {
        return -1;
    }
    if (ftruncate(file, (off_t)bytes) != 0) {
        exp_linux_close(file);
        return -1;
    }
    (void)fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return exp_linux_move_up(file);
}

/* Map a file, or private memory, at a fixed address or anywhere. */
static char *map(void *address, size_t bytes, int file)
{
    int flags = file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *got = mmap(
        address, bytes, PROT_READ | PROT_WRITE, flags | (address != NULL ? MAP_FIXED : 0), file, 0);
    return got == MAP_FAILED ? NULL : got;
}

static void remember(int file)
{
    struct stat status;
    region.file = file;
    if (file >= 0 && fstat(file, &status) == 0) {
        region.device = status.st_dev;
        region.inode = status.st_ino;
    }
}

/* The descriptor is still the region's, not another file that the program opened under its number.
 */
static bool file_is_ours(void)
{
    struct stat status;
    return region.file >= 0 && fstat(region.file, &status) == 0 && status.st_dev == region.device &&
           status.st_ino == region.inode;
}

static void close_parents(void)
{
    if (file_is_ours()) {
        exp_linux_close(region.file);
    }
}

static void *make_first(size_t *bytes)
{
    if (*bytes > (size_t)REGION_STEP_BYTES * REGION_STEPS_MAX) {
        return NULL;
    }
    int file = make_file(*bytes);
    char *address = map(NULL, *bytes, file);
    if (address == NULL) {
        if (file >= 0) {
            exp_linux_close(file);
        }
        return NULL;
    }
    region.address = address;
    region.bytes = *bytes;
    remember(file);
    return address;
}

/* Memory for a step of a mapping; false: there is none. */
static bool populate(char *address, size_t bytes)
{
    if (madvise(address, bytes, MADV_POPULATE_WRITE) == 0) {
        return true;
    }
    if (errno != EINVAL) {
        return false;
    }
    /* A kernel before 5.14. */
    return region.file < 0 ||
           (file_is_ours() &&
            posix_fallocate(region.file, address - region.address, (off_t)bytes) == 0);
}

/* What the old mapping holds, into a new file. False: the file is full. */
static bool fill_file(int file)
{
    for (size_t step = 0; step < REGION_STEPS_MAX; step++) {
        size_t offset = step * REGION_STEP_BYTES;
        if (region.committed[step] &&
            (lseek(file, (off_t)offset, SEEK_SET) != (off_t)offset ||
             syscall(SYS_write, file, region.address + offset, REGION_STEP_BYTES) !=
                 REGION_STEP_BYTES)) {
            return false;
        }
    }
    return true;
}

/* The parent's file as private memory: what is in use is touched, so that it is ours from now on.
 */
static void *make_private(void)
{
    void *got = mmap(region.address,
                     region.bytes,
                     PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
                     region.file,
                     0);
    for (size_t step = 0; got != MAP_FAILED && step < REGION_STEPS_MAX; step++) {
        if (region.committed[step]) {
            volatile char *at = region.address + step * REGION_STEP_BYTES;
            for (size_t offset = 0; offset < REGION_STEP_BYTES; offset += 4096) {
                at[offset] = at[offset];
            }
        }
    }
    return got == MAP_FAILED ? NULL : got;
}

/* In a copy of the process: a region of its own at the same address, without a second mapping. */
static void *make_copy(void)
{
    if (region.file < 0) {
        return region.address; /* private memory is ours already */
    }
    int file = make_file(region.bytes);
    if (file >= 0 && fill_file(file) && map(region.address, region.bytes, file) != NULL) {
        close_parents();
        remember(file);
        return region.address;
    }
    if (file >= 0) {
        exp_linux_close(file);
    }
    void *address = file_is_ours() ? make_private() : NULL;
    close_parents();
    region.file = -1;
    return address;
}

void *exp_port_region(size_t *bytes, bool fresh, size_t copy_bytes)
{
    int saved = errno;
    (void)copy_bytes; /* the steps that have memory are known here */
    void *address = fresh ? make_copy() : make_first(bytes);
    if (fresh && address != NULL) {
        ((struct expool_region_header *)address)->process_id = (uint32_t)getpid();
    }
    errno = saved;
    return address;
}

bool exp_port_region_commit(size_t offset, size_t bytes)
{
    int saved = errno;
    bool done = offset + bytes <= region.bytes && populate(region.address + offset, bytes);
    for (size_t at = offset; done && at < offset + bytes; at += REGION_STEP_BYTES) {
        region.committed[at / REGION_STEP_BYTES] = 1;
    }
    if (done && offset == 0) {
        ((struct expool_region_header *)(void *)region.address)->process_id = (uint32_t)getpid();
    }
    errno = saved;
    return done;
}
