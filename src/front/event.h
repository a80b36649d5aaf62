/* SPDX-License-Identifier: MIT */
/*
 * Standard events, shared ones and a caller's own; waits. The routines are wdmevent.h's and
 * expool.h's; here are the numbers of the events, and what tests ask.
 */
#ifndef EXP_EVENT_H
#define EXP_EVENT_H

#include <expool/port.h>

#include "core/span.h"

/*
 * The standard events, as exp_port_condition numbers them: those of enum exp_span_condition first.
 */
enum exp_event_condition {
    EXP_EVENT_LOW_MEMORY = EXP_SPAN_CONDITIONS,
    EXP_EVENT_HIGH_MEMORY,
    EXP_EVENT_LOW_COMMIT,
    EXP_EVENT_HIGH_COMMIT,
    EXP_EVENT_MAXIMUM_COMMIT,
    EXP_EVENT_CONDITIONS
};

/*
 * Standard event of that name, with or without \KernelObjects\, in any case.
 *
 *   returns   EXP_EVENT_CONDITIONS: there is none
 *   irql      any
 */
unsigned exp_event_find(const char *name);

/* Bits of the conditions that hold with this memory, by the options in force. source: api.md 6 */
uint32_t exp_event_judge(const struct exp_port_memory *memory);

#endif
