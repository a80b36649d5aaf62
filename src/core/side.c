/* SPDX-License-Identifier: MIT */
/*
 * This file owns the side records: a sparse array of them, indexed like the states.
 *
 *   index of a state   | 14 bits: root | 12 bits: branch | 6 bits: leaf |
 *
 * Branches and leaves are made when they are first needed and stay, as states do. A leaf is 1 KiB
 * and serves 64 neighbouring slots, so rare blocks that lie together cost 16 bytes each and a
 * lonely one a KiB. Nothing is hashed and nothing moves: a copy of the process finds every record
 * of a live block whole, whatever other threads were doing.
 *
 * A record belongs to who holds its slot; there is no lock. A branch or leaf that two threads make
 * at once is made twice, and one of them goes back.
 */
#include "core/side.h"

enum {
    SIDE_LEAF_BITS = 6,
    SIDE_BRANCH_BITS = 12,
    SIDE_ROOT_BITS = 32 - SIDE_BRANCH_BITS - SIDE_LEAF_BITS,
};

/* Each entry is written once, from NULL; atomic. */
static struct {
    void *root[1 << SIDE_ROOT_BITS];
} exp_sides;

/* What *place points to; made with zeros of bytes when it points to nothing yet. */
static void *made(void **place, size_t bytes)
{
    void *there = exp_atomic_load_acquire(place);
    if (EXP_LIKELY(there != NULL)) {
        return there;
    }
    void *fresh = exp_range_heap_take(EXP_RANGE_KEPT, bytes);
    if (fresh != NULL && !exp_atomic_try_publish(place, fresh)) {
        exp_range_heap_give(EXP_RANGE_KEPT, fresh, bytes);
        return exp_atomic_load_acquire(place);
    }
    return fresh;
}

struct exp_side *exp_side_make(const uint16_t *state)
{
    size_t index = (size_t)(state - exp_range.states);
    size_t branch_bytes = sizeof(void *) << SIDE_BRANCH_BITS;
    size_t leaf_bytes = sizeof(struct exp_side) << SIDE_LEAF_BITS;
    void **branch =
        made(&exp_sides.root[index >> (SIDE_BRANCH_BITS + SIDE_LEAF_BITS)], branch_bytes);
    if (branch == NULL) {
        return NULL;
    }
    size_t twig = index >> SIDE_LEAF_BITS & (((size_t)1 << SIDE_BRANCH_BITS) - 1);
    struct exp_side *leaf = made(&branch[twig], leaf_bytes);
    return leaf == NULL ? NULL : &leaf[index & (((size_t)1 << SIDE_LEAF_BITS) - 1)];
}

struct exp_side *exp_side_of(const uint16_t *state)
{
    size_t index = (size_t)(state - exp_range.states);
    void **branch =
        exp_atomic_load_acquire(&exp_sides.root[index >> (SIDE_BRANCH_BITS + SIDE_LEAF_BITS)]);
    if (branch == NULL) {
        return NULL;
    }
    size_t twig = index >> SIDE_LEAF_BITS & (((size_t)1 << SIDE_BRANCH_BITS) - 1);
    struct exp_side *leaf = exp_atomic_load_acquire(&branch[twig]);
    return leaf == NULL ? NULL : &leaf[index & (((size_t)1 << SIDE_LEAF_BITS) - 1)];
}

void exp_side_forget(const uint16_t *first, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        struct exp_side *side = exp_side_of(first + index);
        if (side != NULL) {
            exp_atomic_store(&side->kind, 0);
        }
    }
}
