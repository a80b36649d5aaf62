/* SPDX-License-Identifier: MIT */
/*
 * Which module called.
 *
 * A block of the malloc face is paid by the module whose code called malloc: the executable, or the
 * shared library. There are three layers, each asked only when the one before does not know:
 *
 *     thread    64 entries, code page -> number          module.h, inline, no atomic write
 *     process   512 entries, hash of file name -> number known[], write-once, no lock
 *     tags      exp_tag_register_module                  makes the number
 *
 * Between the first two stands _dl_find_object, which turns an address into a link map without a
 * lock and without an allocation: the unwinder calls it from anywhere. It exists since glibc 2.35,
 * and it answers before the dynamic linker has finished starting.
 *
 * Stale pages. dlclose and a later dlopen can put another module on a page that threads remember.
 * The dynamic linker cannot load a module without allocating its link map, by calloc, from its own
 * code, before any page of the module is mapped. So its pages are never remembered: its calls
 * always come here, and each changes the salt in every key. Soundness: an entry of the page under
 * the new salt can only be made by code that runs on the page, which by then is the new module's. A
 * thread that read the salt before the change makes an entry that no longer matches, which costs
 * one more look-up. Relaxed order is enough, since a thread that runs code of the new module got
 * there by synchronizing with the thread that loaded it. The salt starts odd and moves by an even
 * constant with an odd half: keys are never 0, and one page has the same key again only after 2^63
 * changes. The limit: code that was put on an unloaded module's pages without the dynamic linker (a
 * JIT) is paid by the former module until the next dlopen or new thread stack.
 *
 * File names that two modules share are one module. Names are told apart by 64 bits of hash in
 * known[]; the tag table itself keeps the name. Nothing is ever removed: a module that comes back
 * gets its number back. When known[] is full, the tag table is asked each time, slower and just as
 * right.
 *
 * A fork may copy an entry of known[] that a thread was about to write; the child leaves that one
 * entry alone and uses the next.
 *
 * This file allocates nothing, takes no lock of its own, and keeps errno.
 */
#define _GNU_SOURCE
#include "preload/module.h"

#include "core/option.h"
#include "core/owner.h"
#include "core/tag.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

enum {
    KNOWN_COUNT = 512, /* modules of one process that are found without the tag table's lock */
    PROBE_COUNT = 16,  /* places looked at for one name */
    TAG_LENGTH = 4,
};

/* Even, its half odd: 2^64 divided by the golden ratio, doubled. */
#define SALT_STEP UINT64_C(0x3C6EF372FE94F82A)

/* Words in struct known's claim. */
enum {
    CLAIM_FREE,
    CLAIM_BUSY,
    CLAIM_DONE,
};

static const char no_module[] = "(no module)";

/* A module that was met; written once. */
struct known {
    uint32_t claim;  /* atomic: CLAIM_DONE is released after, and acquired before the others */
    uint32_t number; /* constant after CLAIM_DONE */
    uint64_t hash;   /* constant after CLAIM_DONE */
};

static struct {
    struct known known[KNOWN_COUNT];
} module;

__thread struct exp_module_entry exp_module_entries[EXP_MODULE_ENTRY_COUNT];
uint64_t exp_module_salt = 1;

static bool is_letter_or_digit(char character)
{
    return (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z') ||
           (character >= 'a' && character <= 'z');
}

/* The file name without its directories. */
static const char *file_name(const char *path)
{
    const char *name = path;

    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '/') {
            name = p + 1;
        }
    }
    return name;
}

/* True where a version or a suffix starts: at a dot, or at a hyphen before a digit. */
static bool is_name_end(const char *p)
{
    return *p == '\0' || *p == '.' || (*p == '-' && p[1] >= '0' && p[1] <= '9');
}

uint32_t exp_module_tag(const char *path)
{
    const char *name = file_name(path);
    char tag[TAG_LENGTH + 1] = "    ";
    int length = 0;

    /* libssl is `ssl `; a single letter says nothing, so libc stays `libc`. */
    if (name[0] == 'l' && name[1] == 'i' && name[2] == 'b' && !is_name_end(name + 3) &&
        !is_name_end(name + 4)) {
        name += 3;
    }
    for (; !is_name_end(name) && length < TAG_LENGTH; name++) {
        if (is_letter_or_digit(*name)) {
            tag[length++] = *name;
        }
    }
    if (length == 0 || path[0] == '(') {
        __builtin_memcpy(tag, "Anon", TAG_LENGTH);
    }
    uint32_t value;
    __builtin_memcpy(&value, tag, sizeof(value));
    return value;
}

/* 64-bit FNV-1a of a file name. */
static uint64_t hash_of(const char *path)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (; *path != '\0'; path++) {
        hash = (hash ^ (unsigned char)*path) * UINT64_C(0x100000001B3);
    }
    return hash;
}

/* The executable's file name; its link map has none. */
static const char *program_path(char *buffer, size_t size_bytes)
{
    ssize_t length = readlink("/proc/self/exe", buffer, size_bytes - 1);

    if (length > 0) {
        buffer[length] = '\0';
        return buffer;
    }
    /* Without /proc: the name that was given to execve. */
    const char *given = (const char *)getauxval(AT_EXECFN);
    return given != NULL && given[0] != '\0' ? given : "program";
}

/* Number the tag table has or makes for a module; 0: no memory. Needs a page of stack, once a
 * module. */
static EXP_NOINLINE uint32_t number_of_path(const char *path)
{
    char buffer[PATH_MAX];

    if (path[0] == '\0') {
        path = program_path(buffer, sizeof(buffer));
    }
    return exp_tag_register_module(exp_module_tag(path), path);
}

/* Number of the module with this link map name: known[], then the tag table. */
static uint32_t number_of_name(const char *name)
{
    uint64_t hash = hash_of(name);
    uint32_t number = 0;

    for (uint64_t i = 0; i < PROBE_COUNT; i++) {
        struct known *known = &module.known[(hash + i) % KNOWN_COUNT];
        uint32_t claim = exp_atomic_load_acquire(&known->claim);

        if (claim == CLAIM_DONE && known->hash == hash) {
            return known->number;
        }
        if (claim != CLAIM_FREE) {
            continue;
        }
        if (number == 0) {
            number = number_of_path(name);
        }
        if (number == 0) {
            return 0;
        }
        /* Two threads may write one name into two places; both tell the same. */
        if (exp_atomic_try_acquire(&known->claim, CLAIM_FREE, CLAIM_BUSY)) {
            known->hash = hash;
            known->number = number;
            exp_atomic_store_release(&known->claim, CLAIM_DONE);
            return number;
        }
    }
    return number != 0 ? number : number_of_path(name);
}

uint32_t exp_module_get(const void *caller)
{
    const uint64_t key = exp_module_key((uintptr_t)caller); /* before the look-up, see above */
    const int saved_errno = errno;
    struct dl_find_object object;
    /* The first call of all starts the pool, which reads the options; in a child it mends the
     * locks. */
    exp_owner_leave(exp_owner_enter());
    const uint32_t fixed_tag = exp_option_face_tag();
    bool found = fixed_tag == 0 && _dl_find_object((void *)(uintptr_t)caller, &object) == 0;
    uint32_t number;

    if (fixed_tag != 0) {
        number = exp_tag_register(fixed_tag);
    } else {
        number = number_of_name(found ? object.dlfo_link_map->l_name : no_module);
    }
    errno = saved_errno;
    if (found && object.dlfo_link_map->l_addr == _r_debug.r_ldbase) {
        exp_atomic_add(&exp_module_salt, SALT_STEP);
        return number;
    }
    if (number != 0) {
        struct exp_module_entry *entry = exp_module_entry((uintptr_t)caller);

        /* In this order for a signal handler of this thread. */
        exp_atomic_store(&entry->key, 0);
        exp_atomic_store_release(&entry->number, number);
        exp_atomic_store_release(&entry->key, key);
    }
    return number;
}
