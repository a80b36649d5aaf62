/* SPDX-License-Identifier: MIT */
/*
 * The one table of options: name, kind, default, bounds, words of help. The environment, the host
 * interface, expool(7) and the statistics region all come from it.
 */
#ifndef EXP_OPTION_H
#define EXP_OPTION_H

#include "base/base.h"
#include "base/format.h"

enum exp_option {
    EXP_OPTION_PAGED_LIMIT,      /* bytes; UINT64_MAX = unlimited */
    EXP_OPTION_NONPAGED_LIMIT,   /* bytes; UINT64_MAX = unlimited */
    EXP_OPTION_TAG,              /* malloc face: 0 = by module, else the tag */
    EXP_OPTION_REPORT,           /* text: empty, "stderr" or a file name */
    EXP_OPTION_STOP_JSON,        /* text: empty or a file name */
    EXP_OPTION_PURGE_MS,         /* age of free pages that go back to the system */
    EXP_OPTION_FRONT_CACHE,      /* 0 or 1 */
    EXP_OPTION_TAIL_REUSE,       /* 0 or 1: the unused end of a big block serves small ones */
    EXP_OPTION_HUGEPAGES,        /* 0 or 1 */
    EXP_OPTION_SEED,             /* 0 = random */
    EXP_OPTION_VERIFIER,         /* bits of verifier /flags; 0 = off */
    EXP_OPTION_GUARD,            /* 0 or 1: pattern after each block, judged when it is freed */
    EXP_OPTION_LOOKASIDE_TUNING, /* 0 or 1: lookaside lists tune their depth by themselves */
    EXP_OPTION_LOW_NONPAGED,     /* thresholds of the pools' events: bytes, or EXP_OPTION_AUTO */
    EXP_OPTION_HIGH_NONPAGED,
    EXP_OPTION_LOW_PAGED,
    EXP_OPTION_HIGH_PAGED,
    EXP_OPTION_LOW_MEMORY, /* the same of memory */
    EXP_OPTION_HIGH_MEMORY,
    EXP_OPTION_LOW_COMMIT, /* percent of what can be committed */
    EXP_OPTION_HIGH_COMMIT,
    EXP_OPTION_MAXIMUM_COMMIT,
    EXP_OPTION_STALL, /* percent of time, waited for memory, that counts as low memory; 0 = never */
    EXP_OPTION_COUNT
};

/* Value of a threshold that follows from the limit (spec/api.md 6). */
#define EXP_OPTION_AUTO UINT64_MAX

enum exp_option_result {
    EXP_OPTION_SET,
    EXP_OPTION_UNKNOWN, /* no option of that name */
    EXP_OPTION_BAD,     /* not a value of its kind, or out of bounds */
    EXP_OPTION_LATE,    /* too late for this option */
};

/* Longest text of an option with its NUL. */
#define EXP_OPTION_TEXT_BYTES 256

extern EXP_HIDDEN uint64_t exp_option_values[EXP_OPTION_COUNT];

/* Value of a numeric option. irql: any. */
EXP_INLINE uint64_t exp_option_value(enum exp_option option)
{
    return __atomic_load_n(&exp_option_values[option], __ATOMIC_RELAXED);
}

/* Tag of the malloc face: 0 = one for each module. */
EXP_INLINE uint32_t exp_option_face_tag(void)
{
    return (uint32_t)exp_option_value(EXP_OPTION_TAG);
}

/* Text of EXP_OPTION_REPORT or EXP_OPTION_STOP_JSON; empty when off. */
const char *exp_option_file(enum exp_option option);

/*
 * Set an option from text; what follows from the new value is the caller's business.
 *
 *   name, name_bytes      need not be NUL-terminated; the same for value
 *   option                receives which one, when it is known
 *   started               the pool serves already: refuses what must be set before
 *   source                product.md 4
 */
enum exp_option_result exp_option_set(const char *name,
                                      size_t name_bytes,
                                      const char *value,
                                      size_t value_bytes,
                                      bool started,
                                      enum exp_option *option);

/* Append "name=value" for one option. */
void exp_option_print(enum exp_option option, struct exp_text *text);

/* Name and one line of help of an option. */
const char *exp_option_name(enum exp_option option);
const char *exp_option_help(enum exp_option option);

/* Option of that NUL-terminated name, or EXP_OPTION_COUNT. */
enum exp_option exp_option_find(const char *name);

#endif
