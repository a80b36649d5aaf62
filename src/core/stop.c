/* SPDX-License-Identifier: MIT */
/*
 * A stop is the product: it says what the caller did wrong, in words, and ends.
 *
 * Order: the record goes to the statistics region first, then the report is made in a buffer on the
 * stack of the thread that stops (so that threads which fail together do not share one), then the
 * handler, then the port, which prints the first report whole and lets later ones wait for the end.
 * A second stop of the thread that is printing only ends.
 *
 * Nothing is allocated and no lock is taken. The words of all reports are one table: code and first
 * parameter choose the sentence and the four meanings.
 */
#include "core/stop.h"

#include <expool/port.h>

#include "base/atomic.h"
#include "base/format.h"
#include "core/option.h"

enum {
    STOP_REPORT_BYTES = 4096,
    STOP_STACK_BYTES = 1536,
    STOP_ANY = -1
};

struct words {
    uint32_t code;
    int64_t deed; /* first parameter, or STOP_ANY */
    const char *sentence;
    const char *meaning[4];
};

/* clang-format off */
static const struct words stop_words[] = {
    { EXP_STOP_IRQL_NOT_GREATER_OR_EQUAL, STOP_ANY,
      "The IRQL was to be raised to a level below the current one.",
      { "level asked for", "current IRQL", "reserved", "address of the caller" } },
    { EXP_STOP_IRQL_NOT_LESS_OR_EQUAL, STOP_ANY,
      "A routine was called at an IRQL too high for it, or the IRQL lowered to one above it.",
      { "object, or level asked for", "current IRQL", "0", "address of the caller" } },
    { EXP_STOP_SPIN_LOCK_NOT_OWNED, STOP_ANY,
      "A lock was released that nobody holds.",
      { "address of the lock", "reserved", "reserved", "address of the caller" } },
    { EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED, EXP_STOP_UNWIND_TARGET,
      "A guarded block with __finally, or a __finally block, was left before its end, or "
      "GetExceptionCode was called where no exception is handled.",
      { "invalid unwind target", "address in the function",
        "1: guarded block left, 2: __finally block left, 3: no exception", "0" } },
    { EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED, STOP_ANY,
      "An exception was raised, by a failed allocation or by the driver, and nobody handled it.",
      { "status", "address of the caller", "reserved", "reserved" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREED_TWICE,
      "A block was freed that is free already.",
      { "block already freed", "reserved", "reserved", "address of the block" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_ALLOCATE_IRQL,
      "Memory was allocated at an IRQL that is too high for its pool.",
      { "allocation at invalid IRQL", "current IRQL", "pool type", "number of bytes" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_IRQL,
      "A block was freed at an IRQL that is too high for its pool.",
      { "free at invalid IRQL", "current IRQL", "pool type", "address of the block" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_WRONG_TAG,
      "A block was freed with a tag that is not the one it was allocated with.",
      { "wrong tag", "address of the block", "tag of the allocation", "tag given to the free" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_QUOTA_OWNER,
      "A block was freed whose record names no process that could have paid for it.",
      { "quota owner damaged", "address of the block", "tag of the allocation", "owner" } },
    { EXP_STOP_MODIFYING_FREED_POOL, STOP_ANY,
      "Freed memory was found changed when it was about to be handed out again.",
      { "first changed byte", "1: written", "mode", "reserved" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_OUTSIDE,
      "An address was freed that lies outside every pool, such as stack, image or another heap.",
      { "address outside the pools", "address", "lowest address of the pools", "0" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_NEVER,
      "An address was freed that no pool has ever handed out.",
      { "address never in any pool", "address", "0", "0" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREED_PAGE_NONPAGED,
      "A nonpaged block of a page or more was freed that is free already.",
      { "nonpaged address that is not allocated", "address", "reserved", "0" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INVALID,
      "NULL, or an address that no block can start at, was freed.",
      { "invalid pool address", "address", "0", "0" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREED_PAGE_PAGED,
      "A paged block of a page or more was freed that is free already.",
      { "paged address that is not allocated", "address", "page offset from the start of the pools",
        "size of the pools in bytes" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INTERIOR,
      "What was freed is not the start of a block, or a secure one that was not freed as such.",
      { "invalid address, or one freed in a wrong way", "address", "0", "0" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_MUST_SUCCEED,
      "A must-succeed pool type was asked for, which is no longer supported.",
      { "must succeed", "pool type", "number of bytes", "tag" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_TAG_ZERO,
      "Memory was allocated with a tag of zero.",
      { "tag of zero", "pool type", "number of bytes", "address of the caller" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_TAG_BIG,
      "Memory was allocated with the tag BIG, which is reserved.",
      { "tag BIG", "pool type", "number of bytes", "address of the caller" } },
    { EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INTERIOR_PAGE,
      "An address was freed that lies in a later page of a paged block.",
      { "middle of a paged block", "reserved", "reserved", "bytes from the start of the block" } },
    { EXP_STOP_BAD_POOL_HEADER, EXP_STOP_HEADER_GUARD,
      "The bytes after a block were changed: somebody wrote past its end.",
      { "guard after the block damaged", "block", "number of bytes", "first changed value" } },
    { EXP_STOP_QUOTA_UNDERFLOW, STOP_ANY,
      "A block was freed whose charge its process no longer has.",
      { "process", "quota type: 1 paged, 0 nonpaged", "charge to return", "amount not returned" } },
    { EXP_STOP_VERIFIER, EXP_STOP_VERIFIER_LOOKASIDE,
      "A block was freed that contains a lookaside list still in use.",
      { "freed block contains a lookaside list", "list", "block", "size of the block" } },
    { EXP_STOP_VERIFIER, EXP_STOP_VERIFIER_QUOTA_IDLE,
      "Quota was charged while the Idle process was current.",
      { "quota charged to the Idle process", "0", "0", "0" } },
    { EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION, EXP_STOP_HEAP_DOUBLE_FREE,
      "A slot in use was about to be handed out again: two threads freed one block at once.",
      { "double free or corruption", "lowest address of the pools", "address of the slot",
        "reserved" } },
    { EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION, STOP_ANY,
      "The pool found its own structures in a state that cannot be.",
      { "kind of damage", "lowest address of the pools", "address of the damage", "reserved" } },
};
/* clang-format on */

/* For every other code: it can only come from KeBugCheckEx. */
static const struct words stop_words_caller = {
    0,
    STOP_ANY,
    "The program itself asked to stop, with a code of its own.",
    { "as the caller gave it",
      "as the caller gave it",
      "as the caller gave it",
      "as the caller gave it" }
};

static struct {
    void (*handler)(const struct expool_stop *stop, void *context); /* set before any stop */
    void *context;
    uint64_t *record; /* five words in the region, or NULL */
} exp_stop;

static const char *name_of(uint32_t code)
{
    switch (code) {
    case EXP_STOP_IRQL_NOT_GREATER_OR_EQUAL:
        return "IRQL_NOT_GREATER_OR_EQUAL";
    case EXP_STOP_IRQL_NOT_LESS_OR_EQUAL:
        return "IRQL_NOT_LESS_OR_EQUAL";
    case EXP_STOP_SPIN_LOCK_NOT_OWNED:
        return "SPIN_LOCK_NOT_OWNED";
    case EXP_STOP_BAD_POOL_HEADER:
        return "BAD_POOL_HEADER";
    case EXP_STOP_QUOTA_UNDERFLOW:
        return "QUOTA_UNDERFLOW";
    case EXP_STOP_MODIFYING_FREED_POOL:
        return "DRIVER_CAUGHT_MODIFYING_FREED_POOL";
    case EXP_STOP_VERIFIER:
        return "DRIVER_VERIFIER_DETECTED_VIOLATION";
    case EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED:
        return "KMODE_EXCEPTION_NOT_HANDLED";
    case EXP_STOP_BAD_POOL_CALLER:
        return "BAD_POOL_CALLER";
    case EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION:
        return "KERNEL_MODE_HEAP_CORRUPTION";
    default:
        return "UNKNOWN";
    }
}

static const struct words *words_of(uint32_t code, uint64_t deed)
{
    for (size_t index = 0; index < sizeof(stop_words) / sizeof(stop_words[0]); index++) {
        const struct words *words = &stop_words[index];
        if (words->code == code && (words->deed == STOP_ANY || words->deed == (int64_t)deed)) {
            return words;
        }
    }
    return NULL;
}

static void print_head(struct exp_text *text, const struct expool_stop *stop)
{
    exp_format_words(text, "*** STOP: 0x");
    exp_format_hex(text, stop->code, 8);
    for (int index = 0; index < 4; index++) {
        exp_format_words(text, index == 0 ? " (0x" : ",0x");
        exp_format_hex(text, stop->parameter[index], 16);
    }
    exp_format_words(text, ")\n");
    exp_format_words(text, name_of(stop->code));
    exp_format_words(text, "\n");
    const struct words *words = words_of(stop->code, stop->parameter[0]);
    if (words == NULL) {
        words = &stop_words_caller;
    }
    exp_format_words(text, words->sentence);
    exp_format_words(text, "\n");
    for (unsigned index = 0; index < 4; index++) {
        exp_format_words(text, "  parameter ");
        exp_format_decimal(text, index + 1, 0);
        exp_format_words(text, ": 0x");
        exp_format_hex(text, stop->parameter[index], 16);
        exp_format_words(text, "  ");
        exp_format_words(text, words->meaning[index]);
        exp_format_words(text, "\n");
    }
}

static void print_about(struct exp_text *text, const struct exp_stop_about *about)
{
    if (about->block != NULL) {
        exp_format_words(text, "  block: 0x");
        exp_format_hex(text, (uintptr_t)about->block, 16);
        exp_format_words(text, "\n");
    }
    if (about->tag != 0) {
        exp_format_words(text, "  tag:   ");
        exp_format_tag(text, about->tag & UINT32_C(0x7fffffff));
        exp_format_words(text, "\n");
    }
    if (about->pool != NULL) {
        exp_format_words(text, "  pool:  ");
        exp_format_words(text, about->pool);
        exp_format_words(text, "\n");
    }
    if (about->size_bytes != 0) {
        exp_format_words(text, "  size:  ");
        exp_format_decimal(text, about->size_bytes, 0);
        exp_format_words(text, " bytes\n");
    }
}

/* Other rules that the same call broke (spec/diagnostics.md 1.7). */
static void print_additional(struct exp_text *text, const struct exp_stop_about *about)
{
    for (unsigned index = 0; index < EXP_STOP_ADDITIONAL; index++) {
        const struct words *words = words_of(EXP_STOP_BAD_POOL_CALLER, about->additional[index]);
        if (about->additional[index] != 0 && words != NULL) {
            exp_format_words(text, index == 0 ? "ADDITIONAL_VIOLATIONS:\n  0xC2/0x" : "  0xC2/0x");
            exp_format_hex(text, about->additional[index], 2);
            exp_format_words(text, "  ");
            exp_format_words(text, words->sentence);
            exp_format_words(text, "\n");
        }
    }
}

_Noreturn void exp_stop_now(uint32_t code,
                            uint64_t p1,
                            uint64_t p2,
                            uint64_t p3,
                            uint64_t p4,
                            const struct exp_stop_about *about)
{
    static const struct exp_stop_about nothing;
    char report[STOP_REPORT_BYTES];
    char stack[STOP_STACK_BYTES];
    struct expool_stop stop = { code, { p1, p2, p3, p4 }, report };
    struct exp_text text;

    about = about == NULL ? &nothing : about;
    if (exp_stop.record != NULL) {
        for (int index = 0; index < 4; index++) {
            exp_atomic_store(&exp_stop.record[1 + index], stop.parameter[index]);
        }
        exp_atomic_store_release(&exp_stop.record[0], (uint64_t)code);
    }
    exp_format_start(&text, report, sizeof(report));
    print_head(&text, &stop);
    print_about(&text, about);
    print_additional(&text, about);
    exp_format_words(&text, "  seed:  ");
    exp_format_decimal(&text, exp_option_value(EXP_OPTION_SEED), 0);
    exp_format_words(&text, "\n");
    exp_port_describe(about->caller, stack, sizeof(stack));
    exp_format_words(&text, stack);
    if (exp_stop.handler != NULL) {
        exp_stop.handler(&stop, exp_stop.context);
    }
    exp_port_stop(&stop, name_of(code));
}

void exp_stop_record_to(uint64_t *record)
{
    exp_stop.record = record;
}

void exp_stop_handler(void (*handler)(const struct expool_stop *stop, void *context), void *context)
{
    exp_stop.context = context;
    exp_stop.handler = handler;
}
