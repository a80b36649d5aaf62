/* SPDX-License-Identifier: MIT */
/*
 * The one way to stop: a documented code with four exact parameters, one report, then the port.
 */
#ifndef EXP_STOP_H
#define EXP_STOP_H

#include <expool.h>

#include "base/base.h"

/* Codes of spec/api.md 1.12; ex.c asserts that they equal those of bugcodes.h. */
enum exp_stop_code {
    EXP_STOP_IRQL_NOT_GREATER_OR_EQUAL = 0x09,
    EXP_STOP_IRQL_NOT_LESS_OR_EQUAL = 0x0A,
    EXP_STOP_SPIN_LOCK_NOT_OWNED = 0x10,
    EXP_STOP_BAD_POOL_HEADER = 0x19,
    EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED = 0x1E,
    EXP_STOP_QUOTA_UNDERFLOW = 0x21,
    EXP_STOP_BAD_POOL_CALLER = 0xC2,
    EXP_STOP_VERIFIER = 0xC4,
    EXP_STOP_MODIFYING_FREED_POOL = 0xC6,
    EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION = 0x13A,
};

/* First parameter of EXP_STOP_BAD_POOL_CALLER (spec/diagnostics.md 1.5). */
enum exp_stop_pool_deed {
    EXP_STOP_FREED_TWICE = 0x07,
    EXP_STOP_ALLOCATE_IRQL = 0x08,
    EXP_STOP_FREE_IRQL = 0x09,
    EXP_STOP_WRONG_TAG = 0x0A,
    EXP_STOP_QUOTA_OWNER = 0x0D,
    EXP_STOP_FREE_OUTSIDE = 0x40,
    EXP_STOP_FREE_NEVER = 0x42,
    EXP_STOP_FREED_PAGE_NONPAGED = 0x44,
    EXP_STOP_FREE_INVALID = 0x46,
    EXP_STOP_FREED_PAGE_PAGED = 0x50,
    EXP_STOP_FREE_INTERIOR = 0x99,
    EXP_STOP_MUST_SUCCEED = 0x9A,
    EXP_STOP_TAG_ZERO = 0x9B,
    EXP_STOP_TAG_BIG = 0x9C,
    EXP_STOP_FREE_INTERIOR_PAGE = 0x41286,
};

/* First parameter of EXP_STOP_BAD_POOL_HEADER. */
enum exp_stop_header_damage {
    EXP_STOP_HEADER_GUARD = 0x21,
};

/* First parameter of EXP_STOP_VERIFIER (spec/diagnostics.md 1.6). */
enum exp_stop_verifier_deed {
    EXP_STOP_VERIFIER_LOOKASIDE = 0xCC,
    EXP_STOP_VERIFIER_QUOTA_IDLE = 0x10A,
};

/* First parameter of EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION (spec/diagnostics.md 1.3). */
enum exp_stop_heap_damage {
    EXP_STOP_HEAP_INTERNAL = 0x10,
    EXP_STOP_HEAP_DOUBLE_FREE = 0x11,
};

/* A first parameter of EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED that has its own words; a status. */
#define EXP_STOP_UNWIND_TARGET INT64_C(0xC0000029)

enum {
    EXP_STOP_ADDITIONAL = 3
};

/* What a report says beside the parameters; zero fields are not known. */
struct exp_stop_about {
    const void *block;
    const char *pool; /* "paged pool", ... */
    uint64_t size_bytes;
    uint32_t tag;
    const void *caller; /* return address of the public routine */
    uint16_t
        additional[EXP_STOP_ADDITIONAL]; /* deeds of 0xC2 that the same call did too; 0 = none */
};

/*
 * Stop: write the record, make the report, call the handler once, else print and end.
 *
 *   code, p1..p4   as documented; addresses as numbers
 *   about          may be NULL
 *   returns        never; a handler may leave by longjmp
 *   irql           any
 *   locks          the caller holds none and has changed nothing
 *   source         product.md 5 and 8.7; spec/diagnostics.md 1.5, 1.7
 */
_Noreturn void exp_stop_now(uint32_t code,
                            uint64_t p1,
                            uint64_t p2,
                            uint64_t p3,
                            uint64_t p4,
                            const struct exp_stop_about *about);

/* Where the record of the last stop goes: code and four parameters in the statistics region. */
void exp_stop_record_to(uint64_t *record);

/* expool_on_stop. */
void exp_stop_handler(void (*handler)(const struct expool_stop *stop, void *context),
                      void *context);

#endif
