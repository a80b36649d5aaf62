/* SPDX-License-Identifier: MIT */
/*
 * Exceptions; part of wdm.h: __try, __except, __finally, __leave and what may be asked in them, for
 * C. What differs from Windows and what is forbidden is told in docs/exceptions.md, why in
 * docs/decisions/0008-exceptions.md.
 *
 * The guarded block becomes the first branch of an if statement, the handler or the __finally block
 * its else:
 *
 *     if (...) { frame; goto ask; run: if (_setjmp(frame) == 0) { GUARDED } else goto raised;
 * leave: take the frame off; if (0) { raised: evaluate the filter; goto handler; ask: tell the
 * library the kind of frame; goto run; } } else handler: { HANDLER }
 *
 * __try opens the first brace and __except closes it. So no loop stands around a guarded block or a
 * handler, break and continue mean the driver's own loops, and __leave is a plain goto to a label
 * of the innermost such brace. What stands behind a block that always returns is not reached,
 * which compilers see. The kind of frame, which follows the guarded block in the text, is told
 * before the block runs, so that filters can be asked in Windows' order.
 *
 * A handler has no variable of its own: its code is kept by the library, under the address of the
 * function's stack frame (no compiler inlines a function that calls setjmp) and the number of __try
 * statements around it, an enumerator that each __try declares anew.
 *
 * source      api.md 7; public C compiler reference of the keywords
 */
#ifndef EXP_WDK_WDMSEH_H
#define EXP_WDK_WDMSEH_H

#include "ntdef.h"
#include "ntstatus.h"

#if __STDC_HOSTED__ && !defined(__cplusplus)
#include <setjmp.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define EXCEPTION_MAXIMUM_PARAMETERS 15

typedef struct _CONTEXT CONTEXT, *PCONTEXT; /* registers are not recorded */

typedef struct _EXCEPTION_RECORD {
    NTSTATUS ExceptionCode;
    ULONG ExceptionFlags;
    struct _EXCEPTION_RECORD *ExceptionRecord; /* always NULL */
    PVOID ExceptionAddress;                    /* return address of the routine that raised */
    ULONG NumberParameters;
    ULONG_PTR ExceptionInformation[EXCEPTION_MAXIMUM_PARAMETERS];
} EXCEPTION_RECORD, *PEXCEPTION_RECORD;

typedef struct _EXCEPTION_POINTERS {
    PEXCEPTION_RECORD ExceptionRecord;
    PCONTEXT ContextRecord; /* always NULL */
} EXCEPTION_POINTERS, *PEXCEPTION_POINTERS;

/* A filter that is asked in Windows' order when it stands alone: __except(name_of_function). */
typedef LONG EXP_WDK_FILTER(PEXCEPTION_POINTERS ExceptionPointers);

/*
 * Raise a noncontinuable exception.
 *
 *   Status      its code; any value
 *   returns     never
 *   irql        <= DISPATCH_LEVEL (9.27); unchanged in the handler
 *   stops       KMODE_EXCEPTION_NOT_HANDLED (0x1E) with Status when no handler takes it
 *   source      api.md 2.12, 7.1, 7.2
 */
DECLSPEC_NORETURN VOID ExRaiseStatus(NTSTATUS Status);

/* ExRaiseStatus(STATUS_ACCESS_VIOLATION). source: api.md 7.1 */
DECLSPEC_NORETURN VOID ExRaiseAccessViolation(VOID);

/* ExRaiseStatus(STATUS_DATATYPE_MISALIGNMENT). source: api.md 7.1 */
DECLSPEC_NORETURN VOID ExRaiseDatatypeMisalignment(VOID);

/* ---- what the macros and the library share --------------------------------------------------- */

enum exp_seh_kind {
    EXP_SEH_VALUE,      /* the filter is a constant */
    EXP_SEH_FUNCTION,   /* the filter is an EXP_WDK_FILTER */
    EXP_SEH_EXPRESSION, /* the filter must be evaluated in its own function */
    EXP_SEH_FINALLY,
    EXP_SEH_ASKING, /* no block: the library is asking filters */
};

enum exp_seh_misuse {
    EXP_SEH_GUARDED_LEFT = 1, /* a block guarded by __finally, by return, goto, break, continue */
    EXP_SEH_FINALLY_LEFT = 2, /* a __finally block, by return, goto, break */
    EXP_SEH_NO_EXCEPTION = 3, /* GetExceptionCode() where none is handled */
};

/* An exception on its way. */
struct exp_seh_flight {
    EXCEPTION_RECORD record;
    struct exp_seh_frame *target; /* where it will be handled, or asked next */
    ULONG64 about[6];             /* for the report of a stop; the library's */
};

/* One __try statement, while its guarded block runs. */
struct exp_seh_frame {
    struct exp_seh_frame *outer;
    struct exp_seh_frame **innermost; /* of this thread */
    void (*leave)(struct exp_seh_frame *frame);
    EXP_WDK_FILTER *function;
    ULONG_PTR activation; /* stack frame of the function */
    ULONG depth;          /* __try statements around, in the function's text, and this */
    LONG value;
    UCHAR kind;
    UCHAR running; /* the guarded block runs */
    struct exp_seh_flight flight;
};

/* One __finally block. */
struct exp_seh_final {
    UCHAR running;
    UCHAR abnormal;
    struct exp_seh_flight flight; /* when abnormal */
};

/* Begin the guarded block of a frame whose leave .. kind are set. irql: <= DISPATCH. */
void exp_seh_enter(struct exp_seh_frame *frame);

/* What the frame's filter says to its exception. Returns to run the handler, or never. */
void exp_seh_answer(struct exp_seh_frame *frame, LONG value);

/* Give the exception that ended a block to the __finally block that follows at once. */
void exp_seh_hand_over(struct exp_seh_frame *frame);

/* Begin that __finally block: take what was handed over, if anything was. Returns final. */
struct exp_seh_final *exp_seh_take_over(struct exp_seh_final *final);

/* The exception of a __finally block goes on. */
DECLSPEC_NORETURN void exp_seh_resume(struct exp_seh_final *final);

/* The code that is handled (or asked about) in a function, by the innermost of depth statements. */
NTSTATUS exp_seh_code(const void *activation, ULONG depth);

/* Stop 0x1E with STATUS_INVALID_UNWIND_TARGET, the return address, and the deed. */
DECLSPEC_NORETURN void exp_seh_stop(ULONG deed);

#ifdef __cplusplus
}
#endif

/* ---- the keywords ---------------------------------------------------------------------------- */

#if __STDC_HOSTED__ && !defined(__cplusplus)

/*
 * gcc suspects every variable that lives across a guarded block and is changed anywhere, also where
 * it keeps its value; a driver that wants to hear it says "warning" after its includes.
 */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

struct exp_seh_block {
    struct exp_seh_frame frame;
    jmp_buf jump;
};

enum {
    exp_seh_depth = 0 /* outside of all __try statements */
};

static inline void exp_seh_jump(struct exp_seh_frame *frame)
{
    longjmp(((struct exp_seh_block *)frame)->jump, 1);
}

static inline __attribute__((always_inline)) void exp_seh_begin(struct exp_seh_block *block,
                                                                void *activation,
                                                                ULONG depth,
                                                                UCHAR kind,
                                                                LONG value,
                                                                EXP_WDK_FILTER *function)
{
    block->frame.leave = exp_seh_jump;
    block->frame.function = function;
    block->frame.activation = (ULONG_PTR)activation;
    block->frame.depth = depth;
    block->frame.value = value;
    block->frame.kind = kind;
    exp_seh_enter(&block->frame);
}

/* The guarded block is over. */
static inline __attribute__((always_inline)) void exp_seh_end(struct exp_seh_block *block)
{
    if (block->frame.running) {
        block->frame.running = 0;
        *block->frame.innermost = block->frame.outer;
    }
}

/* The brace is left, at its end or by return, goto, break, continue. */
static inline __attribute__((always_inline)) void exp_seh_left(struct exp_seh_block *block)
{
    if (block->frame.running) {
        if (block->frame.kind == EXP_SEH_FINALLY) {
            exp_seh_stop(EXP_SEH_GUARDED_LEFT);
        }
        exp_seh_end(block);
    }
}

static inline int exp_seh_finally_next(struct exp_seh_final *final)
{
    if (!final->running) {
        return final->running = 1;
    }
    final->running = 0;
    if (final->abnormal) {
        exp_seh_resume(final);
    }
    return 0;
}

static inline __attribute__((always_inline)) void exp_seh_finally_left(struct exp_seh_final *final)
{
    if (final->running) {
        exp_seh_stop(EXP_SEH_FINALLY_LEFT);
    }
}

/* What a filter is, by its type: a constant expression times 0 makes a null pointer, others not. */
#define EXP_SEH_TYPE(filter) (__typeof__(filter) *)0
#define EXP_SEH_IF_FUNCTION(filter, yes, no)                                                       \
    _Generic(EXP_SEH_TYPE(filter), EXP_WDK_FILTER * : yes, EXP_WDK_FILTER * * : yes, default : no)
#define EXP_SEH_IF_CONSTANT(filter, yes, no)                                                       \
    _Generic((__typeof__(1 ? (void *)((LONG_PTR)(filter)*0) : (int *)0))0, int * : yes, void * : no)
#define EXP_SEH_KIND(filter)                                                                       \
    EXP_SEH_IF_CONSTANT(                                                                           \
        filter, EXP_SEH_VALUE, EXP_SEH_IF_FUNCTION(filter, EXP_SEH_FUNCTION, EXP_SEH_EXPRESSION))

#define EXP_SEH_JOIN(a, b)  EXP_SEH_JOIN_(a, b)
#define EXP_SEH_JOIN_(a, b) a##b

/* clang-format off */
#define __try                                                                                      \
    if (sizeof(enum { exp_seh_depth = exp_seh_depth + 1 }) != 0) {                                 \
        __label__ exp_seh_leave, exp_seh_raised, exp_seh_ask, exp_seh_run;                         \
        struct exp_seh_block exp_seh_block __attribute__((cleanup(exp_seh_left)));                 \
        goto exp_seh_ask;                                                                          \
    exp_seh_run:                                                                                   \
        if (_setjmp(exp_seh_block.jump) == 0)

#define __leave goto exp_seh_leave

#define __except(...) EXP_SEH_EXCEPT((__VA_ARGS__), EXP_SEH_JOIN(exp_seh_handler_, __COUNTER__))
#define EXP_SEH_EXCEPT(filter, handler)                                                            \
    else {                                                                                         \
        goto exp_seh_raised;                                                                       \
    }                                                                                              \
    exp_seh_leave:                                                                                 \
        __attribute__((unused));                                                                   \
        exp_seh_end(&exp_seh_block);                                                               \
        if (0) {                                                                                   \
            PEXCEPTION_POINTERS exp_seh_information;                                               \
        exp_seh_raised:                                                                            \
            exp_seh_information =                                                                  \
                &(EXCEPTION_POINTERS){ &exp_seh_block.frame.flight.record, NULL };                 \
            (void)exp_seh_information;                                                             \
            exp_seh_answer(&exp_seh_block.frame,                                                   \
                           EXP_SEH_KIND(filter) == EXP_SEH_EXPRESSION                              \
                               ? EXP_SEH_IF_FUNCTION(filter, 0, filter)                            \
                               : EXCEPTION_EXECUTE_HANDLER);                                       \
            goto handler;                                                                          \
        exp_seh_ask:                                                                               \
            exp_seh_information = NULL;                                                            \
            (void)exp_seh_information;                                                             \
            exp_seh_begin(&exp_seh_block,                                                          \
                          __builtin_frame_address(0),                                              \
                          exp_seh_depth,                                                           \
                          EXP_SEH_KIND(filter),                                                    \
                          EXP_SEH_IF_CONSTANT(filter, filter, 0),                                  \
                          EXP_SEH_IF_FUNCTION(filter, filter, NULL));                              \
            goto exp_seh_run;                                                                      \
        }                                                                                          \
    } else                                                                                         \
        handler:

#define __finally EXP_SEH_FINALLY_(EXP_SEH_JOIN(exp_seh_finally_, __COUNTER__))
#define EXP_SEH_FINALLY_(block)                                                                    \
    else {                                                                                         \
        goto exp_seh_raised;                                                                       \
    }                                                                                              \
    exp_seh_leave:                                                                                 \
        __attribute__((unused));                                                                   \
        exp_seh_end(&exp_seh_block);                                                               \
        if (0) {                                                                                   \
        exp_seh_raised:                                                                            \
            exp_seh_hand_over(&exp_seh_block.frame);                                               \
        }                                                                                          \
        goto block;                                                                                \
    exp_seh_ask:                                                                                   \
        exp_seh_begin(&exp_seh_block,                                                              \
                      __builtin_frame_address(0),                                                  \
                      exp_seh_depth,                                                               \
                      EXP_SEH_FINALLY,                                                             \
                      0,                                                                           \
                      NULL);                                                                       \
        goto exp_seh_run;                                                                          \
    } else                                                                                         \
    block:                                                                                         \
        for (struct exp_seh_final exp_seh_state __attribute__((cleanup(exp_seh_finally_left))),    \
             *exp_seh_final = exp_seh_take_over(&exp_seh_state);                                   \
             exp_seh_finally_next(exp_seh_final);)

/* Outside of all __try statements the array has no valid size. */
#define GetExceptionCode()                                                                         \
    exp_seh_code(__builtin_frame_address(0),                                                       \
                 exp_seh_depth + 0 * sizeof(char[exp_seh_depth == 0 ? -1 : 1]))
#define GetExceptionInformation() exp_seh_information
#define AbnormalTermination()     ((BOOLEAN)exp_seh_final->abnormal)
/* clang-format on */

#endif

#endif
