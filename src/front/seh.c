/* SPDX-License-Identifier: MIT */
/* Exceptions without handlers yet: every raise stops. */
#include "front/seh.h"

_Noreturn void exp_seh_raise(uint32_t status,
                             const void *caller,
                             const struct exp_stop_about *about)
{
    exp_stop_now(EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED, status, (uintptr_t)caller, 0, 0, about);
}
