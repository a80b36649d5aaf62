/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists: init, flush, delete, the chain of all lists, and how depths are tuned. What
 * happens to one entry stands in wdmlook.h, where driver code can have it in line.
 *
 * A list is the caller's memory. Its head is a sequenced list, whose lock (slist.c) guards the
 * counters and Depth too: one round trip for each allocate or free. Callbacks are called after it
 * was left. Future[0] says which kind of callbacks the list has.
 *
 * The chain joins the live lists in the order of their birth through ListEntry, behind one lock of
 * the same make as a list's, EXP_RANK_LOOKASIDE: nothing but a list's own lock is taken inside,
 * and nothing is called. The same lock, because it is right in a copy of the process: a thread that
 * is not there cannot hold it, and the first one that comes mends the links that go back and
 * forgets what was under way.
 *
 * A look at all lists (ExAdjustLookasideDepth) has two passes. The first returns what lists with
 * callbacks of their own keep above their depth: it goes along the chain, marks the list that it is
 * at ("freeing"), leaves the lock, and calls Free. A marked list stays in the chain, because delete
 * waits for the mark to go; that makes its callback and its place in the chain safe. A Free that
 * raises, or stops with a handler that leaves by longjmp, takes the mark along, and what it has not
 * freed goes back to the list; who leaves it by a longjmp of his own leaves the mark, until his
 * thread looks again. A look from inside of a Free does nothing. The second pass stays under the
 * lock: it collects the surplus of lists that use the pool's own callbacks, and sets new depths.
 * The blocks are freed after the lock was left; by then their lists may be gone. So what is above a
 * depth goes at the look after the one that lowered it. Entries of paged lists stay when the IRQL
 * forbids paged pool.
 *
 * Nobody needs to call it: every 16th allocation that a list cannot serve asks the clock, and when
 * a second has passed since the last look, does the second pass. It never calls a driver's Free,
 * which might take a lock that this caller holds. When all lists are idle, none of them is looked
 * at; what they keep is at most their depth. Once a program has called ExAdjustLookasideDepth the
 * lists rely on it: two clocks would each see half of the activity, and a look right after another
 * one takes every list for idle.
 *
 * With the option verifier depths are 0, nothing is kept and nothing tuned.
 *
 * What this file does not do: it does not notice that a list lies in memory that is gone without
 * having been deleted, except through exp_lookaside_inside.
 */
#include "front/lookaside.h"

#include "core/option.h"
#include "front/seh.h"

#include <wdm.h>

enum {
    LOOKASIDE_DEPTH_MIN = 4,
    LOOKASIDE_LOOK_MS = 1000,
    LOOKASIDE_BUSY = 16,    /* misses are many from one in so many allocations */
    LOOKASIDE_KIND_OLD = 0, /* Future[0] */
    LOOKASIDE_KIND_EX = 1,
};

typedef GENERAL_LOOKASIDE_POOL list_type;

/* A look that calls a driver's Free; on its stack. */
struct freeing {
    struct exp_seh_frame frame; /* tells of a raise */
    PVOID rest;                 /* entries that are still to be freed */
};

static struct {
    SLIST_HEADER lock;     /* EXP_RANK_LOOKASIDE; no entries. Guards all up to turn */
    LIST_ENTRY chain;      /* of ListEntry of all live lists */
    uint32_t generation;   /* of the process that changed the chain last */
    uint32_t hits_gone[2]; /* of lists that were deleted; nonpaged, paged */
    list_type *freeing;    /* entries of it are being freed; it must not go */
    const struct exp_owner *freeing_by;
    struct freeing *freeing_now; /* of that thread, which alone may look inside */
    bool waiting;                /* somebody waits for freeing to end */
    uint32_t turn;               /* atomic; changes when freeing ends; waited on */
    uint32_t count;              /* atomic; written under lock: live lists */
    uint32_t looked_ms;          /* atomic: clock of the last look, low half */
    uint32_t timer;              /* atomic: 1 + generation of who called ExAdjustLookasideDepth */
} exp_lookaside = {
    .chain = { &exp_lookaside.chain, &exp_lookaside.chain },
};

static list_type *list_of(LIST_ENTRY *entry)
{
    return CONTAINING_RECORD(entry, list_type, ListEntry);
}

/* In a copy of the process: links that go forward are whole, those that go back may not be. */
static void mend(void)
{
    uint32_t count = 0;
    LIST_ENTRY *last = &exp_lookaside.chain;
    for (LIST_ENTRY *at = last->Flink; at != &exp_lookaside.chain; at = at->Flink) {
        at->Blink = last;
        last = at;
        count++;
    }
    exp_lookaside.chain.Blink = last;
    exp_atomic_store(&exp_lookaside.count, count);
    exp_lookaside.freeing = NULL;
    exp_lookaside.generation = exp_atomic_load(&exp_wdk_generation);
}

static void chain_acquire(void)
{
    exp_owner_notice(); /* a fork that the port did not tell of */
    (void)exp_wdk_slist_acquire(&exp_lookaside.lock);
    if (EXP_UNLIKELY(exp_lookaside.generation != exp_atomic_load(&exp_wdk_generation))) {
        mend();
    }
}

static void chain_release(void)
{
    exp_wdk_slist_release(&exp_lookaside.lock, 0);
}

static void chain_enter(list_type *list)
{
    chain_acquire();
    LIST_ENTRY *last = exp_lookaside.chain.Blink;
    list->ListEntry.Flink = &exp_lookaside.chain;
    list->ListEntry.Blink = last;
    exp_atomic_store_release(&last->Flink, &list->ListEntry);
    exp_lookaside.chain.Blink = &list->ListEntry;
    exp_atomic_add(&exp_lookaside.count, 1);
    chain_release();
}

/* Take a list out of the chain, when nobody frees entries of it any more. */
static void chain_leave(list_type *list)
{
    chain_acquire();
    while (exp_lookaside.freeing == list && exp_lookaside.freeing_by != exp_port_owner()) {
        uint32_t turn = exp_atomic_load(&exp_lookaside.turn);
        exp_lookaside.waiting = true;
        chain_release();
        exp_port_wait(&exp_lookaside.turn, turn, UINT64_MAX);
        chain_acquire();
    }
    LIST_ENTRY *next = list->ListEntry.Flink;
    LIST_ENTRY *previous = list->ListEntry.Blink;
    exp_atomic_store_release(&previous->Flink, next);
    next->Blink = previous;
    exp_lookaside.hits_gone[list->Type & PagedPool] += list->TotalAllocates - list->AllocateMisses;
    exp_atomic_sub(&exp_lookaside.count, 1);
    chain_release();
}

static bool verified(void)
{
    return exp_option_value(EXP_OPTION_VERIFIER) != 0;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static PVOID allocate_ex(POOL_TYPE type, SIZE_T bytes, ULONG tag, PLOOKASIDE_LIST_EX list)
{
    (void)list;
    return ExAllocatePoolWithTag(type, bytes, tag);
}

static VOID free_ex(PVOID entry, PLOOKASIDE_LIST_EX list)
{
    (void)list;
    ExFreePool(entry);
}

/* Do entries go to the pool without a callback of a driver? */
static bool frees_to_pool(const list_type *list)
{
    return list->Future[0] == LOOKASIDE_KIND_EX ? list->FreeEx == free_ex
                                                : list->Free == ExFreePool;
}

static void free_entry(list_type *list, PVOID entry)
{
    if (list->Future[0] == LOOKASIDE_KIND_EX) {
        list->FreeEx(entry, CONTAINING_RECORD(list, LOOKASIDE_LIST_EX, L));
    } else {
        list->Free(entry);
    }
}

/* ---- birth, flush, death --------------------------------------------------------------------- */

static void check_alignment(const void *list, const void *caller)
{
    if (EXP_UNLIKELY((uintptr_t)list % TYPE_ALIGNMENT(SLIST_HEADER) != 0)) {
        struct exp_stop_about about = { .block = list, .caller = caller };
        exp_seh_raise((uint32_t)STATUS_DATATYPE_MISALIGNMENT, caller, &about);
    }
}

/* All fields but the callbacks; then the list is live. */
static void start(list_type *list, uint32_t kind, uint32_t type, size_t bytes, uint32_t tag)
{
    exp_owner_notice(); /* options that shape a list are settled from now on */
    InitializeSListHead(&list->ListHead);
    list->Depth = verified() ? 0 : LOOKASIDE_DEPTH_MIN;
    list->MaximumDepth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE;
    list->TotalAllocates = 0;
    list->AllocateMisses = 0;
    list->TotalFrees = 0;
    list->FreeMisses = 0;
    list->Type = (POOL_TYPE)type;
    list->Tag = tag;
    list->Size = (ULONG)exp_min(exp_max(bytes, LOOKASIDE_MINIMUM_BLOCK_SIZE), MAXULONG);
    list->LastTotalAllocates = 0;
    list->LastAllocateMisses = 0;
    list->Future[0] = kind;
    list->Future[1] = 0;
    if (exp_atomic_load(&exp_lookaside.count) == 0) {
        exp_atomic_store(&exp_lookaside.looked_ms, (uint32_t)exp_port_clock_ms());
    }
    chain_enter(list);
}

static void start_old(list_type *list,
                      PALLOCATE_FUNCTION allocate,
                      PFREE_FUNCTION free,
                      uint32_t type,
                      size_t bytes,
                      uint32_t tag)
{
    list->Allocate = allocate != NULL ? allocate : ExAllocatePoolWithTag;
    list->Free = free != NULL ? free : ExFreePool;
    start(list, LOOKASIDE_KIND_OLD, type, bytes, tag);
}

static void flush(list_type *list)
{
    PVOID entry = InterlockedFlushSList(&list->ListHead);
    while (entry != NULL) {
        PVOID next = *(EXP_WDK_SLIST_LINK *)entry;
        free_entry(list, entry);
        entry = next;
    }
}

static void end(list_type *list)
{
    chain_leave(list);
    flush(list);
}

EXP_EXPORT NTSTATUS ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside,
                                                PALLOCATE_FUNCTION_EX Allocate,
                                                PFREE_FUNCTION_EX Free,
                                                POOL_TYPE PoolType,
                                                ULONG Flags,
                                                SIZE_T Size,
                                                ULONG Tag,
                                                USHORT Depth)
{
    static const uint32_t known = PagedPool | NonPagedPoolCacheAligned | NonPagedPoolSession |
                                  POOL_QUOTA_FAIL_INSTEAD_OF_RAISE |
                                  POOL_RAISE_IF_ALLOCATION_FAILURE | POOL_COLD_ALLOCATION |
                                  POOL_NX_ALLOCATION | POOL_ZERO_ALLOCATION;
    uint32_t type = (uint32_t)PoolType;
    (void)Depth;
    check_alignment(Lookaside, __builtin_return_address(0));
    if ((type & ~known) != 0) {
        return STATUS_INVALID_PARAMETER_4;
    }
    if (Flags > EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE) {
        return STATUS_INVALID_PARAMETER_5;
    }
    if (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL) {
        type |= POOL_RAISE_IF_ALLOCATION_FAILURE;
    } else if (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE) {
        type |= POOL_QUOTA_FAIL_INSTEAD_OF_RAISE;
    }
    Lookaside->L.AllocateEx = Allocate != NULL ? Allocate : allocate_ex;
    Lookaside->L.FreeEx = Free != NULL ? Free : free_ex;
    start(&Lookaside->L, LOOKASIDE_KIND_EX, type, Size, Tag);
    return STATUS_SUCCESS;
}

EXP_EXPORT VOID ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside,
                                                PALLOCATE_FUNCTION Allocate,
                                                PFREE_FUNCTION Free,
                                                ULONG Flags,
                                                SIZE_T Size,
                                                ULONG Tag,
                                                USHORT Depth)
{
    (void)Depth;
    check_alignment(Lookaside, __builtin_return_address(0));
    start_old((list_type *)(PVOID)Lookaside, Allocate, Free, NonPagedPool | Flags, Size, Tag);
}

EXP_EXPORT VOID ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside,
                                               PALLOCATE_FUNCTION Allocate,
                                               PFREE_FUNCTION Free,
                                               ULONG Flags,
                                               SIZE_T Size,
                                               ULONG Tag,
                                               USHORT Depth)
{
    (void)Depth;
    check_alignment(Lookaside, __builtin_return_address(0));
    start_old((list_type *)(PVOID)Lookaside, Allocate, Free, PagedPool | Flags, Size, Tag);
}

EXP_EXPORT VOID ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    flush(&Lookaside->L);
}

EXP_EXPORT VOID ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    end(&Lookaside->L);
}

EXP_EXPORT VOID ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    end((list_type *)(PVOID)Lookaside);
}

EXP_EXPORT VOID ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    end((list_type *)(PVOID)Lookaside);
}

/* ---- allocate and free ----------------------------------------------------------------------- */

EXP_EXPORT PVOID ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    return exp_wdk_lookaside_allocate_ex(Lookaside);
}

EXP_EXPORT VOID ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PVOID Entry)
{
    exp_wdk_lookaside_free_ex(Lookaside, Entry);
}

EXP_EXPORT PVOID ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    return exp_wdk_lookaside_allocate(Lookaside);
}

EXP_EXPORT VOID ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    exp_wdk_lookaside_free(Lookaside, Entry);
}

EXP_EXPORT PVOID ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    return exp_wdk_lookaside_allocate(Lookaside);
}

EXP_EXPORT VOID ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    exp_wdk_lookaside_free(Lookaside, Entry);
}

/* ---- depth ----------------------------------------------------------------------------------- */

/* From inside a list: detach the oldest entries beyond its depth, which becomes the length. */
static PVOID cut(list_type *list, uint32_t *length)
{
    unsigned pool = (list->Type & PagedPool) != 0 ? EXP_POOL_PAGED : EXP_POOL_NONPAGED;
    if (*length <= list->Depth || exp_pool_irql() > exp_pool_irql_max(pool)) {
        return NULL;
    }
    EXP_WDK_SLIST_LINK *link = &list->ListHead.exp_wdk.First;
    for (uint32_t index = 0; index < list->Depth; index++) {
        link = *link;
    }
    PVOID surplus = *link;
    *link = NULL;
    *length = list->Depth;
    return surplus;
}

/* From inside a list: a new depth from what was done since the last look (spec/api.md 5.4). */
static void tune(list_type *list)
{
    uint32_t allocates = list->TotalAllocates - list->LastTotalAllocates;
    uint32_t misses = list->AllocateMisses - list->LastAllocateMisses;
    uint32_t depth = list->Depth;
    list->LastTotalAllocates = list->TotalAllocates;
    list->LastAllocateMisses = list->AllocateMisses;
    if (allocates == 0 && depth > LOOKASIDE_DEPTH_MIN) {
        list->Depth = (USHORT)(LOOKASIDE_DEPTH_MIN + (depth - LOOKASIDE_DEPTH_MIN) / 2);
    } else if (misses > allocates / LOOKASIDE_BUSY && depth < list->MaximumDepth) {
        list->Depth = (USHORT)exp_min(depth * 2, list->MaximumDepth);
    }
}

/* Surplus of lists without a driver's Free goes to the pool, then every list is tuned. */
static void look(void)
{
    PVOID blocks = NULL;
    chain_acquire();
    for (LIST_ENTRY *at = exp_lookaside.chain.Flink; at != &exp_lookaside.chain; at = at->Flink) {
        list_type *list = list_of(at);
        uint32_t length = exp_wdk_slist_acquire(&list->ListHead);
        PVOID entry = frees_to_pool(list) ? cut(list, &length) : NULL;
        tune(list);
        exp_wdk_slist_release(&list->ListHead, length);
        while (entry != NULL) {
            PVOID next = *(EXP_WDK_SLIST_LINK *)entry;
            *(EXP_WDK_SLIST_LINK *)entry = blocks;
            blocks = entry;
            entry = next;
        }
    }
    chain_release();
    while (blocks != NULL) {
        PVOID next = *(EXP_WDK_SLIST_LINK *)blocks;
        ExFreePool(blocks);
        blocks = next;
    }
}

/* Take the mark off. The chain's lock is held. */
static void end_freeing(void)
{
    exp_lookaside.freeing = NULL;
    exp_atomic_add(&exp_lookaside.turn, 1);
    if (exp_lookaside.waiting) {
        exp_lookaside.waiting = false;
        exp_port_wake_all(&exp_lookaside.turn);
    }
}

/* Give entries back to a list that is alive. */
static void keep_entries(list_type *list, PVOID entry)
{
    uint32_t length = exp_wdk_slist_acquire(&list->ListHead);
    while (entry != NULL) {
        PVOID next = *(EXP_WDK_SLIST_LINK *)entry;
        exp_wdk_slist_push(&list->ListHead, entry);
        length++;
        entry = next;
    }
    exp_wdk_slist_release(&list->ListHead, length);
}

void exp_lookaside_forget(void)
{
    const struct exp_owner *self = exp_port_owner();
    if (exp_atomic_load(&exp_lookaside.count) == 0 || self == &exp_owner_none) {
        return;
    }
    chain_acquire();
    if (exp_lookaside.freeing != NULL && exp_lookaside.freeing_by == self) {
        keep_entries(exp_lookaside.freeing, exp_lookaside.freeing_now->rest);
        exp_lookaside.freeing_now->rest = NULL;
        end_freeing();
    }
    chain_release();
}

/* A driver's Free has raised, and somebody further out takes it. */
static void leave_freeing(struct exp_seh_frame *frame)
{
    struct exp_seh_final final;
    exp_lookaside_forget();
    exp_seh_hand_over(frame);
    exp_seh_resume(exp_seh_take_over(&final));
}

/*
 * Free the surplus of one list by its driver's Free; the chain's lock is left meanwhile.
 *
 *   returns   false: the mark was taken off by a stop in Free, and the list may be gone
 */
static bool free_surplus(list_type *list)
{
    uint32_t length = exp_wdk_slist_acquire(&list->ListHead);
    struct freeing freeing = {
        .frame = { .leave = leave_freeing,
                   .activation = (uintptr_t)__builtin_frame_address(0),
                   .kind = EXP_SEH_FINALLY },
        .rest = frees_to_pool(list) ? NULL : cut(list, &length),
    };
    exp_wdk_slist_release(&list->ListHead, length);
    if (freeing.rest == NULL) {
        return true;
    }
    exp_lookaside.freeing = list;
    exp_lookaside.freeing_by = exp_port_owner();
    exp_lookaside.freeing_now = &freeing;
    chain_release();
    exp_seh_enter(&freeing.frame);
    while (freeing.rest != NULL) {
        PVOID entry = freeing.rest;
        freeing.rest = *(EXP_WDK_SLIST_LINK *)entry;
        free_entry(list, entry);
    }
    *freeing.frame.innermost = freeing.frame.outer;
    chain_acquire();
    if (exp_lookaside.freeing != list || exp_lookaside.freeing_now != &freeing) {
        return false;
    }
    end_freeing();
    return true;
}

/* Is a look under way? One of this thread whose stack frame is gone is not. Chain's lock held. */
static bool looked_at(void)
{
    bool gone = exp_lookaside.freeing_by == exp_port_owner() &&
                (uintptr_t)exp_lookaside.freeing_now < (uintptr_t)__builtin_frame_address(0);
    if (exp_lookaside.freeing != NULL && gone) {
        end_freeing();
    }
    return exp_lookaside.freeing != NULL;
}

/* The pass that calls drivers; false: another look is at it, of this thread or of another. */
static bool look_at_drivers(void)
{
    exp_owner_leave(exp_owner_enter()); /* a thread without an owner has no name */
    chain_acquire();
    bool looks = !looked_at();
    LIST_ENTRY *at = exp_lookaside.chain.Flink;
    while (looks && at != &exp_lookaside.chain && free_surplus(list_of(at))) {
        at = at->Flink;
    }
    chain_release();
    return looks;
}

EXP_EXPORT VOID ExAdjustLookasideDepth(VOID)
{
    exp_atomic_store(&exp_lookaside.timer, exp_atomic_load(&exp_wdk_generation) + 1);
    if (!verified() && look_at_drivers()) {
        look();
    }
}

EXP_EXPORT void expool_adjust_lookaside(void)
{
    ExAdjustLookasideDepth();
}

EXP_EXPORT VOID exp_wdk_lookaside_look(VOID)
{
    uint32_t now = (uint32_t)exp_port_clock_ms();
    uint32_t looked = exp_atomic_load(&exp_lookaside.looked_ms);
    if (now - looked < LOOKASIDE_LOOK_MS || verified() ||
        exp_option_value(EXP_OPTION_LOOKASIDE_TUNING) == 0 ||
        exp_atomic_load(&exp_lookaside.timer) == exp_atomic_load(&exp_wdk_generation) + 1 ||
        !exp_atomic_try_acquire(&exp_lookaside.looked_ms, looked, now)) {
        return;
    }
    look();
}

/* ---- who asks -------------------------------------------------------------------------------- */

size_t exp_lookaside_rows(struct exp_lookaside_row *rows, size_t capacity)
{
    size_t count = 0;
    chain_acquire();
    for (LIST_ENTRY *at = exp_lookaside.chain.Flink; at != &exp_lookaside.chain; at = at->Flink) {
        list_type *list = list_of(at);
        if (count < capacity) {
            uint32_t length = exp_wdk_slist_acquire(&list->ListHead);
            rows[count] = (struct exp_lookaside_row){
                .depth = list->Depth,
                .depth_max = list->MaximumDepth,
                .total_allocates = list->TotalAllocates,
                .allocate_misses = list->AllocateMisses,
                .total_frees = list->TotalFrees,
                .free_misses = list->FreeMisses,
                .type = (uint32_t)list->Type,
                .tag = list->Tag,
                .size_bytes = list->Size,
            };
            exp_wdk_slist_release(&list->ListHead, length);
        }
        count++;
    }
    chain_release();
    return count;
}

void exp_lookaside_hits(uint32_t *nonpaged, uint32_t *paged)
{
    uint32_t hits[2];
    chain_acquire();
    hits[0] = exp_lookaside.hits_gone[0];
    hits[1] = exp_lookaside.hits_gone[1];
    for (LIST_ENTRY *at = exp_lookaside.chain.Flink; at != &exp_lookaside.chain; at = at->Flink) {
        list_type *list = list_of(at);
        uint32_t length = exp_wdk_slist_acquire(&list->ListHead);
        hits[list->Type & PagedPool] += list->TotalAllocates - list->AllocateMisses;
        exp_wdk_slist_release(&list->ListHead, length);
    }
    chain_release();
    *nonpaged = hits[0];
    *paged = hits[1];
}

const void *exp_lookaside_inside(const void *start, size_t bytes)
{
    const void *found = NULL;
    if (exp_atomic_load(&exp_lookaside.count) == 0) {
        return NULL;
    }
    chain_acquire();
    for (LIST_ENTRY *at = exp_lookaside.chain.Flink; at != &exp_lookaside.chain && found == NULL;
         at = at->Flink) {
        const list_type *list = list_of(at);
        found = (uintptr_t)list - (uintptr_t)start < bytes ? list : NULL;
    }
    chain_release();
    return found;
}
