/* SPDX-License-Identifier: MIT */
/* IRQL: in user mode a level of each thread, kept in its owner. source: spec/api.md 1.10, 2.3. */
#ifndef EXP_IRQL_H
#define EXP_IRQL_H

#include "base/base.h"

enum {
    EXP_IRQL_PASSIVE = 0,
    EXP_IRQL_APC = 1,
    EXP_IRQL_DISPATCH = 2,
};

/* Highest level at which a pool may be used. */
EXP_INLINE unsigned exp_irql_max(bool paged)
{
    return paged ? EXP_IRQL_APC : EXP_IRQL_DISPATCH;
}

#endif
