/* SPDX-License-Identifier: MIT */
/*
 * Exceptions: from a raise to the handler, over the frames that wdmseh.h's macros put on a driver's
 * stack.
 *
 * owner->frames is the innermost frame of the thread; outer links lead outward, to older and higher
 * ones:
 *
 *     owner->frames -> F3 (finally) -> F2 (function) -> F1 (constant) -> NULL
 *
 * A raise has two phases. First it asks: each frame's filter, from inner to outer, while all of
 * them are intact; __finally has no filter. A frame whose filter is another expression cannot be
 * asked from here, because only its own function can evaluate it: there the first phase ends. Then
 * it unwinds: frames are taken off from inner to outer up to the target. A __finally on the way is
 * entered with a copy of the exception, and exp_seh_resume goes on when its block has ended,
 * without asking again. A target with an expression is entered, evaluates it and answers: 0 means a
 * new first phase outside of it. When nobody took the exception in a first phase, it stops at once.
 *
 * While filters are asked, a frame of kind ASKING lies on the chain: what is raised in a filter is
 * searched for from outside of the frame being asked (->skip), but it unwinds all frames.
 *
 * Where a function continues is known to its compiler only: a frame brings the function that leaves
 * to it (longjmp, in wdmseh.h), and this file never names it.
 *
 * owner->handled has the codes of handlers that may be running, by stack frame of their function
 * and depth of their statement, innermost last. Nobody tells when a handler ends; but at each entry
 * those of deeper functions, and of the same function at the same depth or deeper, have ended. So
 * at most the handlers around and one per function called remain. When there are more than
 * EXP_OWNER_HANDLED, the outermost is forgotten, and asking for its code stops.
 *
 * Invariants: a frame on the chain lies on this thread's stack in a function that has not returned.
 * It leaves the chain before its handler or __finally block starts. A frame that is met with its
 * function gone (somebody left by longjmp) ends the chain: its links cannot be believed.
 *
 * Locks: none; chain and codes belong to their thread. A thread without an owner of its own has no
 * chain: what it raises stops.
 *
 * Not done: faults of the hardware are no exceptions, registers are not recorded, and no exception
 * is continuable.
 */
#include "front/seh.h"

#include "core/owner.h"

#include <wdm.h>

EXP_STATIC_ASSERT(sizeof(struct exp_seh_flight) <= EXP_OWNER_FLIGHT * sizeof(uint64_t), "owner.h");
EXP_STATIC_ASSERT(sizeof(struct exp_stop_about) <= sizeof(((struct exp_seh_flight *)0)->about),
                  "wdmseh.h");
EXP_STATIC_ASSERT((uint32_t)EXP_STOP_UNWIND_TARGET == (uint32_t)STATUS_INVALID_UNWIND_TARGET,
                  "stop.h");

/* On the chain while filters are asked. */
struct asking {
    struct exp_seh_frame frame;
    struct exp_seh_frame *skip; /* where a search from inside a filter goes on */
};

/* Take off what cannot be alive in or around a statement of that depth in that stack frame. */
static void drop(struct exp_owner *owner, uintptr_t activation, uint32_t depth)
{
    const struct exp_seh_frame *frame = owner->frames;
    if (EXP_UNLIKELY(frame != NULL &&
                     (frame->activation < activation ||
                      (frame->activation == activation && frame->depth >= depth)))) {
        owner->frames = NULL;
    }
    while (EXP_UNLIKELY(owner->handled_count > 0)) {
        const struct exp_owner_handled *last = &owner->handled[owner->handled_count - 1];
        if (last->activation > activation ||
            (last->activation == activation && last->depth < depth)) {
            return;
        }
        owner->handled_count--;
    }
}

static void remember(struct exp_owner *owner, const struct exp_seh_frame *frame)
{
    if (owner->handled_count == EXP_OWNER_HANDLED) {
        owner->handled_count--;
        __builtin_memmove(&owner->handled[0],
                          &owner->handled[1],
                          owner->handled_count * sizeof(owner->handled[0]));
    }
    owner->handled[owner->handled_count++] = (struct exp_owner_handled){
        .activation = frame->activation,
        .depth = frame->depth,
        .code = frame->flight.record.ExceptionCode,
    };
}

static _Noreturn void stop(const struct exp_seh_flight *flight)
{
    struct exp_stop_about about;
    __builtin_memcpy(&about, flight->about, sizeof(about));
    exp_stop_now(EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED,
                 (uint32_t)flight->record.ExceptionCode,
                 (uintptr_t)flight->record.ExceptionAddress,
                 0,
                 0,
                 &about);
}

static _Noreturn void stop_misuse(const void *place, uint32_t deed)
{
    struct exp_stop_about about = { .caller = place };
    exp_stop_now(EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED,
                 (uint32_t)STATUS_INVALID_UNWIND_TARGET,
                 (uintptr_t)place,
                 deed,
                 0,
                 &about);
}

/* Second phase: leave to the next __finally or to the target. */
static _Noreturn void unwind(struct exp_owner *owner, const struct exp_seh_flight *flight)
{
    for (struct exp_seh_frame *frame = owner->frames; frame != NULL; frame = frame->outer) {
        owner->frames = frame->outer;
        if (frame->kind != EXP_SEH_FINALLY && frame != flight->target) {
            frame->running = 0;
            continue;
        }
        frame->flight = *flight;
        frame->running = 0;
        drop(owner, frame->activation, frame->depth);
        if (frame->kind != EXP_SEH_FINALLY) {
            remember(owner, frame);
        }
        frame->leave(frame);
        __builtin_unreachable();
    }
    stop(flight); /* a stop's handler has left over the target */
}

/* What noncontinuable exceptions make of a filter's answer other than 0 and 1. */
static void refuse(struct exp_seh_flight *flight, LONG answer)
{
    flight->record.ExceptionCode = answer == EXCEPTION_CONTINUE_EXECUTION
                                       ? STATUS_NONCONTINUABLE_EXCEPTION
                                       : STATUS_INVALID_DISPOSITION;
}

/*
 * First phase: the frame that takes the exception or must be entered to answer; NULL: nobody. An
 * answer that is refused is a new exception, searched for from outside of the frame that gave it.
 */
static struct exp_seh_frame *ask(struct exp_owner *owner, struct exp_seh_flight *flight)
{
    EXCEPTION_POINTERS pointers = { .ExceptionRecord = &flight->record };
    struct asking asking = {
        .frame = { .outer = owner->frames,
                   .activation = (uintptr_t)__builtin_frame_address(0),
                   .kind = EXP_SEH_ASKING },
    };
    struct exp_seh_frame *frame = owner->frames;
    owner->frames = &asking.frame;
    while (frame != NULL) {
        LONG answer = EXCEPTION_CONTINUE_SEARCH;
        asking.skip = frame->outer;
        if (frame->kind == EXP_SEH_EXPRESSION) {
            break;
        }
        if (frame->kind == EXP_SEH_ASKING) {
            asking.skip = ((struct asking *)frame)->skip;
        } else if (frame->kind == EXP_SEH_FUNCTION) {
            answer = frame->function(&pointers);
        } else if (frame->kind == EXP_SEH_VALUE) {
            answer = frame->value;
        }
        if (answer == EXCEPTION_EXECUTE_HANDLER) {
            break;
        }
        if (answer != EXCEPTION_CONTINUE_SEARCH) {
            refuse(flight, answer);
        }
        frame = asking.skip;
    }
    owner->frames = asking.frame.outer;
    return frame;
}

static _Noreturn void search(struct exp_owner *owner, struct exp_seh_flight *flight)
{
    flight->target = ask(owner, flight);
    if (flight->target == NULL) {
        stop(flight);
    }
    unwind(owner, flight);
}

_Noreturn void exp_seh_raise(uint32_t status,
                             const void *caller,
                             const struct exp_stop_about *about)
{
    struct exp_owner *owner = exp_port_owner();
    struct exp_seh_flight flight = {
        .record = { .ExceptionCode = (NTSTATUS)status,
                    .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                    .ExceptionAddress = (void *)(uintptr_t)caller },
    };
    if (about != NULL) {
        __builtin_memcpy(flight.about, about, sizeof(*about));
    }
    if (owner == &exp_owner_none) {
        stop(&flight);
    }
    drop(owner, (uintptr_t)__builtin_frame_address(0), 0);
    search(owner, &flight);
}

void exp_seh_forget(void)
{
    struct exp_owner *owner = exp_port_owner();
    if (owner != &exp_owner_none) {
        owner->frames = NULL;
        owner->flight_count = 0;
        owner->handled_count = 0;
    }
}

/* The owner of a thread that had none; NULL when it gets none of its own. */
static EXP_COLD struct exp_owner *make_owner(void)
{
    exp_owner_leave(exp_owner_enter());
    struct exp_owner *owner = exp_port_owner();
    return owner != &exp_owner_none ? owner : NULL;
}

EXP_EXPORT void exp_seh_enter(struct exp_seh_frame *frame)
{
    struct exp_owner *owner = exp_port_owner();
    frame->running = 1;
    if (EXP_UNLIKELY(owner == &exp_owner_none)) {
        owner = make_owner();
        if (owner == NULL) {
            frame->outer = NULL;
            frame->innermost = &frame->outer;
            return;
        }
    }
    drop(owner, frame->activation, frame->depth);
    frame->outer = owner->frames;
    frame->innermost = (struct exp_seh_frame **)&owner->frames;
    owner->frames = frame;
}

EXP_EXPORT void exp_seh_answer(struct exp_seh_frame *frame, LONG value)
{
    if (value == EXCEPTION_EXECUTE_HANDLER) {
        return;
    }
    if (value != EXCEPTION_CONTINUE_SEARCH) {
        refuse(&frame->flight, value);
    }
    search(exp_port_owner(), &frame->flight);
}

EXP_EXPORT void exp_seh_hand_over(struct exp_seh_frame *frame)
{
    struct exp_owner *owner = exp_port_owner();
    __builtin_memcpy(owner->flight, &frame->flight, sizeof(frame->flight));
    owner->flight_count = 1;
}

EXP_EXPORT struct exp_seh_final *exp_seh_take_over(struct exp_seh_final *final)
{
    struct exp_owner *owner = exp_port_owner();
    final->running = 0;
    final->abnormal = owner->flight_count != 0;
    if (final->abnormal) {
        __builtin_memcpy(&final->flight, owner->flight, sizeof(final->flight));
        owner->flight_count = 0;
    }
    return final;
}

EXP_EXPORT _Noreturn void exp_seh_resume(struct exp_seh_final *final)
{
    unwind(exp_port_owner(), &final->flight);
}

EXP_EXPORT NTSTATUS exp_seh_code(const void *activation, ULONG depth)
{
    const struct exp_owner *owner = exp_port_owner();
    for (uint32_t index = owner->handled_count; index > 0; index--) {
        const struct exp_owner_handled *handled = &owner->handled[index - 1];
        if (handled->activation == (uintptr_t)activation && handled->depth <= depth) {
            return handled->code;
        }
    }
    stop_misuse(__builtin_return_address(0), EXP_SEH_NO_EXCEPTION);
}

EXP_EXPORT _Noreturn void exp_seh_stop(ULONG deed)
{
    stop_misuse(__builtin_return_address(0), deed);
}

EXP_EXPORT _Noreturn VOID ExRaiseStatus(NTSTATUS Status)
{
    const void *caller = __builtin_return_address(0);
    struct exp_stop_about about = { .caller = caller };
    exp_seh_raise((uint32_t)Status, caller, &about);
}

EXP_EXPORT _Noreturn VOID ExRaiseAccessViolation(VOID)
{
    const void *caller = __builtin_return_address(0);
    struct exp_stop_about about = { .caller = caller };
    exp_seh_raise((uint32_t)STATUS_ACCESS_VIOLATION, caller, &about);
}

EXP_EXPORT _Noreturn VOID ExRaiseDatatypeMisalignment(VOID)
{
    const void *caller = __builtin_return_address(0);
    struct exp_stop_about about = { .caller = caller };
    exp_seh_raise((uint32_t)STATUS_DATATYPE_MISALIGNMENT, caller, &about);
}
