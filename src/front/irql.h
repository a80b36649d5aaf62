/* SPDX-License-Identifier: MIT */
/* Raise and lower the IRQL of this thread on behalf of a routine that a driver called. */
#ifndef EXP_IRQL_H
#define EXP_IRQL_H

#include <stdint.h>

/*
 * Raise.
 *
 *   level     >= the current one
 *   caller    return address of the public routine
 *   returns   the former level
 *   irql      any
 *   locks     none held
 *   stops     IRQL_NOT_GREATER_OR_EQUAL (0x09) when level is below the current one
 *   source    spec/api.md 2.12, 9.26
 */
uint8_t exp_irql_raise(uint8_t level, const void *caller);

/*
 * Whether the level may be lowered to this one: return, or stop.
 *
 *   level, caller, irql, locks, source   as exp_irql_raise
 *   stops     IRQL_NOT_LESS_OR_EQUAL (0x0A) when level is above the current one
 */
void exp_irql_judge_lower(uint8_t level, const void *caller);

/* Lower, after exp_irql_judge_lower. */
void exp_irql_lower(uint8_t level);

#endif
