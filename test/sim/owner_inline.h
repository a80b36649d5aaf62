/* SPDX-License-Identifier: MIT */
/*
 * The three inlines of the simulated port. An owner is a simulated processor; one host thread
 * plays all of them, so that "which processor am I" is one pointer that sim_processor_set moves.
 *
 * Pins nest; what is checked is that they balance: test/sim/port.c complains about an unpin
 * without a pin, about a pinned processor that waits, ends or is left, and sim_check_rest about a
 * pin left.
 */
#ifndef SIM_OWNER_INLINE_H
#define SIM_OWNER_INLINE_H

#include <stdint.h>

struct exp_owner;

struct sim_processor {
    struct exp_owner *owner; /* &exp_owner_none until exp_port_owner_set */
    uint32_t pins;           /* exp_port_pin not yet undone */
    uint32_t node;           /* answer of exp_port_node */
};

extern struct sim_processor *sim_processor_current;

/* Complain about an unpin without a pin; does not return. */
_Noreturn void sim_unpin_without_pin(void);

static inline struct exp_owner *exp_port_owner(void)
{
    return sim_processor_current->owner;
}

static inline void exp_port_pin(void)
{
    sim_processor_current->pins++;
}

static inline void exp_port_unpin(void)
{
    if (sim_processor_current->pins == 0) {
        sim_unpin_without_pin();
    }
    sim_processor_current->pins--;
}

#endif
