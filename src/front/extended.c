/* SPDX-License-Identifier: MIT */
/*
 * This file knows what an entry may say. An optional entry that is unknown, invalid or does not go
 * with the flags is passed over; a required one refuses the call. Two exceptions: entries of one
 * known type never stand twice, and a secure entry with a bad handle always refuses, since what it
 * asks for is not to be had in an ordinary block.
 */
#include "front/extended.h"

#include "front/secure.h"

/* What one entry comes to. */
enum verdict {
    TAKEN,
    NOT_THIS, /* unknown, invalid, or not with these flags */
    REFUSED,  /* even when optional */
};

static enum verdict read_priority(EX_POOL_PRIORITY priority, struct exp_extended *extended)
{
    uint32_t level = (uint32_t)priority & 0x30;
    uint32_t place = (uint32_t)priority & ~UINT32_C(0x30);
    if (level > HighPoolPriority || (place != 0 && place != 8 && place != 9)) {
        return NOT_THIS;
    }
    extended->level = level;
    return TAKEN;
}

static enum verdict read_node(POOL_NODE_REQUIREMENT node,
                              uint32_t required,
                              struct exp_extended *extended)
{
    uint32_t index = node & ~MM_ANY_NODE_OK;
    exp_owner_notice(); /* how many nodes there are is known once the pool serves */
    if ((required & (POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED_EXECUTE)) != 0 ||
        index >= exp_range.nodes) {
        return NOT_THIS;
    }
    extended->node_given = true;
    extended->node_strict = (node & MM_ANY_NODE_OK) == 0;
    extended->node = index;
    return TAKEN;
}

static enum verdict read_secure(const POOL_EXTENDED_PARAMS_SECURE_POOL *secure,
                                uint32_t required,
                                struct exp_extended *extended)
{
    uint32_t known = SECURE_POOL_FLAGS_FREEABLE | SECURE_POOL_FLAGS_MODIFIABLE;
    if ((required & ~(uint32_t)(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE)) != 0) {
        return NOT_THIS;
    }
    if (secure == NULL || (secure->SecurePoolFlags & ~known) != 0 ||
        !exp_secure_alive(secure->SecurePoolHandle)) {
        return REFUSED;
    }
    extended->secure = secure;
    return TAKEN;
}

static enum verdict read_entry(PCPOOL_EXTENDED_PARAMETER entry,
                               uint32_t required,
                               struct exp_extended *extended)
{
    if (entry->Reserved != 0) {
        return NOT_THIS;
    }
    switch ((ULONG)entry->Type) {
    case PoolExtendedParameterPriority:
        return read_priority(entry->Priority, extended);
    case PoolExtendedParameterSecurePool:
        return read_secure(entry->SecurePoolParams, required, extended);
    case PoolExtendedParameterNumaNode:
        return read_node(entry->PreferredNode, required, extended);
    default:
        return NOT_THIS;
    }
}

bool exp_extended_read(PCPOOL_EXTENDED_PARAMETER entries,
                       ULONG count,
                       uint32_t required,
                       struct exp_extended *extended)
{
    uint32_t seen = 0; /* bit = type */
    *extended = (struct exp_extended){ .level = EXP_EXTENDED_LEVEL_HIGH };
    if (count != 0 && entries == NULL) {
        return false;
    }
    for (ULONG index = 0; index < count; index++) {
        PCPOOL_EXTENDED_PARAMETER entry = &entries[index];
        enum verdict verdict = read_entry(entry, required, extended);
        if (verdict == REFUSED || (verdict == NOT_THIS && !entry->Optional)) {
            return false;
        }
        bool known = entry->Type > PoolExtendedParameterInvalidType &&
                     entry->Type < PoolExtendedParameterMax;
        uint32_t bit = known ? UINT32_C(1) << entry->Type : 0;
        if ((seen & bit) != 0) {
            return false;
        }
        seen |= bit;
    }
    return true;
}
