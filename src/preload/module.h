/* SPDX-License-Identifier: MIT */
/*
 * Which module called: a return address into the tag number of the file that the code belongs to.
 *
 * The fast half is inline: a small table per thread, keyed by code page. A key is the page's
 * address mixed with exp_module_salt, which changes whenever the dynamic linker itself allocates;
 * so what was learnt about a page before a dlopen is not believed after it. See module.c.
 */
#ifndef EXP_MODULE_H
#define EXP_MODULE_H

#include "base/atomic.h"

#define EXP_MODULE_ENTRY_COUNT 64

/* What one thread knows of one code page; all zero = empty, since no key is ever even. */
struct exp_module_entry {
    uint64_t key;
    uint32_t number; /* tag number, not 0 */
    uint32_t unused;
};

EXP_STATIC_ASSERT(sizeof(struct exp_module_entry) == 16, "the index is a shift and a mask");

/* This thread's table, 1 KiB; a static TLS block, so that it is there before any constructor. */
extern EXP_HIDDEN __thread struct exp_module_entry exp_module_entries[EXP_MODULE_ENTRY_COUNT]
    __attribute__((tls_model("initial-exec")));

/* Always odd; atomic, relaxed: pairs with nothing, see module.c. */
extern EXP_HIDDEN uint64_t exp_module_salt;

/* The key of the code page that holds address. */
EXP_INLINE uint64_t exp_module_key(uintptr_t address)
{
    return (address & ~(uintptr_t)EXP_PAGE_MASK) ^ exp_atomic_load(&exp_module_salt);
}

/* The place of this thread's entry for the code page that holds address. */
EXP_INLINE struct exp_module_entry *exp_module_entry(uintptr_t address)
{
    return &exp_module_entries[(address >> EXP_PAGE_SHIFT) % EXP_MODULE_ENTRY_COUNT];
}

/*
 * Tag number of the caller, if this thread has met the code page.
 *
 *   caller    return address
 *   returns   tag number; 0: ask exp_module_get
 *   locks     none
 */
EXP_INLINE uint32_t exp_module_find(const void *caller)
{
    const struct exp_module_entry *entry = exp_module_entry((uintptr_t)caller);

    if (EXP_UNLIKELY(entry->key != exp_module_key((uintptr_t)caller))) {
        return 0;
    }
    const uint32_t number = entry->number;
    if (number == 0) {
        __builtin_unreachable(); /* no key without a number: saves the caller's second test */
    }
    return number;
}

/*
 * Tag number of the caller, by asking the dynamic linker; remembers it for this thread.
 *
 *   caller    return address, or any address inside the code
 *   returns   tag number of its module, of the tag `Anon` for code of no file, or of the fixed tag
 *             when option `tag` names one; 0: no memory for a new tag
 *   locks     none of its own; exp_tag_register_module may take the tag table's
 *   owns      nothing; allocates nothing; errno is kept
 *   source    product.md 3 and 4 (option tag); _dl_find_object(3)
 */
EXP_COLD EXP_HIDDEN uint32_t exp_module_get(const void *caller);

/* Tag number of the caller, from wherever it is known; 0: no memory. Contract: exp_module_get. */
EXP_INLINE uint32_t exp_module_number(const void *caller)
{
    const uint32_t number = exp_module_find(caller);

    return EXP_LIKELY(number != 0) ? number : exp_module_get(caller);
}

/*
 * The tag of a file name: four characters that people recognize.
 *
 *   path      file name, with or without directories; no letter or digit, or in parentheses: `Anon`
 *   returns   the tag; letters, digits and trailing blanks only
 */
EXP_HIDDEN uint32_t exp_module_tag(const char *path);

#endif
