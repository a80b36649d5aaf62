/* SPDX-License-Identifier: MIT */
/*
 * The contended half of sequenced lists; wdmlook.h has the other one, in line with its caller.
 *
 * The head's word of state is a lock too: free, it is the depth; held, it says HELD and the
 * generation of the process of who is inside, and WAITED when a thread may sleep on it. A thread
 * that slept comes in with WAITED set, since it cannot know whether it was the last. So a list
 * costs two atomic operations when nobody contends, and its entries are read only by the one
 * inside: none of them can be popped and freed meanwhile, and none can come back unnoticed.
 *
 * A copy of a process may find a word that says HELD by a thread which is not in it. Then the
 * generation differs; whoever sees it comes in, and counts the entries anew, because a push or a
 * pop that was cut short is visible or not but may not be counted yet. Generations are compared in
 * the bits that the word has for them, 14.
 *
 * Waiting is allowed at any IRQL: the one inside makes a bounded number of steps.
 */
#include "front/pool.h"

#include <wdm.h>

EXP_STATIC_ASSERT(sizeof(ULONG) == sizeof(uint32_t), "the word of state is what a port waits on");

enum {
    SLIST_SPINS = 64
};

/* Is the one inside a thread of this process? */
static bool held_here(uint32_t state)
{
    uint32_t here = exp_atomic_load(&exp_wdk_generation) << EXP_WDK_SLIST_GENERATION;
    return (state & EXP_WDK_SLIST_HELD) != 0 &&
           state >> EXP_WDK_SLIST_GENERATION == here >> EXP_WDK_SLIST_GENERATION;
}

/* Entries there are; from inside. */
static uint32_t count_entries(const SLIST_HEADER *head)
{
    uint32_t count = 0;
    for (const void *entry = head->exp_wdk.First; entry != NULL;
         entry = *(const EXP_WDK_SLIST_LINK *)entry) {
        count++;
    }
    return count;
}

/* Come in over a state that was seen; false: it has changed, or is another thread's. */
static bool come_in(PSLIST_HEADER head, uint32_t seen, uint32_t waited, uint32_t *depth)
{
    *depth = seen & EXP_WDK_SLIST_DEPTH;
    uint32_t held = *depth | EXP_WDK_SLIST_HELD | waited |
                    exp_atomic_load(&exp_wdk_generation) << EXP_WDK_SLIST_GENERATION;
    if (held_here(seen) || !exp_atomic_try_acquire(&head->exp_wdk.State, seen, held)) {
        return false;
    }
    if ((seen & EXP_WDK_SLIST_HELD) != 0) {
        *depth = count_entries(head) & EXP_WDK_SLIST_DEPTH;
    }
    return true;
}

EXP_EXPORT ULONG exp_wdk_slist_wait(PSLIST_HEADER head)
{
    uint32_t *state = &head->exp_wdk.State;
    uint32_t depth;
    for (int spin = 0; spin < SLIST_SPINS; spin++) {
        uint32_t seen = exp_atomic_load(state);
        if (come_in(head, seen, seen & EXP_WDK_SLIST_WAITED, &depth)) {
            return depth;
        }
        exp_atomic_pause();
    }
    exp_owner_notice(); /* a fork that the port did not tell of */
    for (;;) {
        uint32_t seen = exp_atomic_load(state);
        if (come_in(head, seen, EXP_WDK_SLIST_WAITED, &depth)) {
            return depth;
        }
        uint32_t waited = seen | EXP_WDK_SLIST_WAITED;
        if (held_here(seen) && (seen == waited || exp_atomic_try_acquire(state, seen, waited))) {
            exp_port_wait(state, waited, UINT64_MAX);
        }
    }
}

EXP_EXPORT VOID exp_wdk_slist_wake(PSLIST_HEADER head)
{
    exp_port_wake(&head->exp_wdk.State);
}
