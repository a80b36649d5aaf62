/* SPDX-License-Identifier: MIT */
/*
 * Address space and memory of a Linux process, for the range.
 *
 * A reservation is an inaccessible private mapping without reserved memory; committing is mprotect,
 * so that the kernel gives pages at the first touch and nothing is ever unmapped. No call here
 * changes errno: the malloc face promises that.
 */
#define _GNU_SOURCE
#include <expool/port.h>

#include "linux/linux.h"

enum {
    MEMORY_MOVES_MAX = 4096
};

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Bytes of address space that this process has mapped; 0 when it cannot be read. */
static size_t mapped_bytes(void)
{
    char text[64] = "";
    int file = exp_linux_open_read("/proc/self/statm");
    if (file < 0) {
        return 0;
    }
    long length = exp_linux_read(file, text, sizeof(text) - 1);
    exp_linux_close(file);
    size_t pages = 0;
    for (long index = 0; index < length && text[index] >= '0' && text[index] <= '9'; index++) {
        pages = pages * 10 + (size_t)(text[index] - '0');
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Half of what RLIMIT_AS leaves. */
static size_t bytes_allowed(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return SIZE_MAX;
    }
    size_t mapped = mapped_bytes();
    return limit.rlim_cur > mapped ? (size_t)(limit.rlim_cur - mapped) / 2 : 0;
}

/*
 * A place for the range in the half of the address space that programs leave empty, from the seed;
 * the kernel takes it as a wish. On machines with fewer address bits it takes another.
 */
static void *random_place(void)
{
    if (!exp_linux_seeded()) {
        return NULL;
    }
    uint64_t step = (uint64_t)4 << 20;
    uint64_t places = ((uint64_t)0x6000 << 32) / step;
    return (void *)(uintptr_t)(((uint64_t)0x1000 << 32) + exp_linux_random() % places * step);
}

void *exp_port_reserve(size_t bytes, size_t alignment)
{
    int saved = errno;
    char *start = NULL;
    exp_linux_options_read();
    if (bytes <= bytes_allowed()) {
        char *base = mmap(random_place(),
                          bytes + alignment,
                          PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                          -1,
                          0);
        if (base != MAP_FAILED) {
            size_t before = -(uintptr_t)base & (alignment - 1);
            start = base + before;
            if (before != 0) {
                munmap(base, before);
            }
            munmap(start + bytes, alignment - before);
        }
    }
    errno = saved;
    return start;
}

bool exp_port_commit(void *address, size_t bytes, enum exp_port_access access, bool huge)
{
    int saved = errno;
    static const int protection[] = {
        [EXP_PORT_NONE] = PROT_NONE,
        [EXP_PORT_READ] = PROT_READ,
        [EXP_PORT_READ_WRITE] = PROT_READ | PROT_WRITE,
        [EXP_PORT_READ_WRITE_EXECUTE] = PROT_READ | PROT_WRITE | PROT_EXEC,
    };
    bool done = mprotect(address, bytes, protection[access]) == 0;
    if (done && huge) {
        /* A wish: without huge pages it works the same. */
        (void)madvise(address, bytes, MADV_HUGEPAGE);
    }
    errno = saved;
    return done;
}

bool exp_port_decommit(void *address, size_t bytes)
{
    int saved = errno;
    bool done = madvise(address, bytes, MADV_DONTNEED) == 0;
    errno = saved;
    return done;
}

/*
 * Every move leaves mappings that the kernel cannot merge again, and their number is limited for
 * the whole process: after some thousand moves the caller copies.
 */
bool exp_port_move(void *to, void *from, size_t bytes)
{
    static uint32_t moves; /* atomic */
    int saved = errno;
    if (__atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED) >= MEMORY_MOVES_MAX) {
        return false;
    }
    void *moved = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
    if (moved == MAP_FAILED) {
        /* The kernel may have unmapped the target before it failed: no hole may stay. */
        if (mmap(to,
                 bytes,
                 PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                 -1,
                 0) == MAP_FAILED) {
            abort();
        }
    }
    errno = saved;
    return moved != MAP_FAILED;
}

bool exp_port_wipe(void *address, size_t bytes)
{
    int saved = errno;
    bool done = madvise(address, bytes, MADV_WIPEONFORK) == 0;
    if (!done) {
        exp_linux_fork_notice();
    }
    errno = saved;
    return done;
}
