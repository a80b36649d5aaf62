/* SPDX-License-Identifier: MIT */
/*
 * Extended parameters of ExAllocatePool3: an array of entries becomes one plain struct, or is
 * refused before anything else is looked at.
 */
#ifndef EXP_EXTENDED_H
#define EXP_EXTENDED_H

#include "base/base.h"

#include <wdm.h>

struct exp_extended {
    uint32_t level; /* priority & 0x30; EXP_EXTENDED_LEVEL_HIGH when none is given */
    bool node_given;
    bool node_strict;                               /* without MM_ANY_NODE_OK */
    uint32_t node;                                  /* index, below the number of nodes */
    const POOL_EXTENDED_PARAMS_SECURE_POOL *secure; /* NULL: an ordinary block */
};

#define EXP_EXTENDED_LEVEL_HIGH ((uint32_t)HighPoolPriority)

/*
 * Read the entries in order.
 *
 *   entries, count   as the caller gave them; count 0: entries is not looked at
 *   required         low half of the POOL_FLAGS
 *   extended         receives the sum; with no entry what the routines without parameters mean
 *   returns          false: a required entry is unknown, invalid or does not go with the flags, two
 *                    are of one type, or there is no array
 *   source           spec/api.md 3.1 .. 3.4
 */
EXP_MUST_USE bool exp_extended_read(PCPOOL_EXTENDED_PARAMETER entries,
                                    ULONG count,
                                    uint32_t required,
                                    struct exp_extended *extended);

#endif
