/* SPDX-License-Identifier: MIT */
/*
 * This file owns secure pools and the records of their blocks.
 *
 * A pool is a place in a table; its handle says place and generation, so that a handle of a
 * destroyed pool stays dead when the place is used again. A block is a large block of its own pages
 * with a side record that points to what it was made with; after its contents are in place the
 * pages are read-only. An update makes the pages of its range writable, copies, and closes them
 * again, all under the lock: another thread could store into them meanwhile, which one process
 * cannot prevent.
 *
 * Everything is judged before anything is changed. One lock (EXP_RANK_SECURE) guards the table, the
 * counts of blocks and the pages while they are open; copies of the process free it again. A record
 * is looked at under the lock only and freed after its block, so that who asks for a block that is
 * just made or freed finds the whole record or none. Pages that could not be closed, or that were
 * open when the process was copied, are closed by whoever takes the lock next. A block whose pages
 * the system would not open when it was freed is gone for its caller; it waits, used and counted,
 * until a later call can open them.
 */
#include "front/secure.h"

#include "core/stop.h"

enum {
    SECURE_PLACES_START = 16,
    SECURE_PLACES_MAX = 4096, /* pools alive at once */
    SECURE_PLACE_BITS = 12,
    SECURE_HANDLE_MARK = 2, /* no pointer and no small number looks like a handle */
};

struct pool {
    uint32_t generation; /* odd: alive */
    uint32_t tag;
    uint64_t blocks; /* alive in this pool */
};

/* What a block was made with; constant while it lives, but for there. */
struct record {
    HANDLE handle;
    uintptr_t cookie;
    size_t bytes;
    uint32_t flags;
    bool there; /* under the lock: false while it is freed, which only who does so may know */
    struct record *next; /* refused: the next one that waits, and the block */
    char *block;
};

static struct {
    struct exp_lock lock;
    struct pool *places;
    size_t place_count;
    char *open;             /* pages that an update has made writable */
    size_t open_bytes;      /* 0: none */
    struct record *refused; /* of blocks that wait to be freed */
} exp_secure = { .lock = { 0, EXP_RANK_SECURE } };

/* Make the pages of [offset, offset + bytes) of a block writable, or read-only again. */
static bool open_pages(char *block, size_t offset, size_t bytes, bool writable)
{
    size_t first = offset & ~EXP_PAGE_MASK;
    size_t end = exp_round_up(offset + bytes, EXP_PAGE_BYTES);
    return exp_port_commit(
        block + first, end - first, writable ? EXP_PORT_READ_WRITE : EXP_PORT_READ, false);
}

/* The pages of an update are read-only again. False: the system refuses. Lock held. */
static bool close_update(void)
{
    if (exp_secure.open_bytes != 0 &&
        !open_pages(exp_secure.open, 0, exp_secure.open_bytes, false)) {
        return false;
    }
    exp_atomic_store_release(&exp_secure.open_bytes, 0);
    return true;
}

/* The pages of an update become writable. False: the system refuses. Lock held. */
static bool open_update(char *block, size_t offset, size_t bytes)
{
    if (!close_update()) {
        return false; /* some from before are open still: one stretch is all that is remembered */
    }
    exp_secure.open = block + (offset & ~EXP_PAGE_MASK);
    /* Before the pages: a copy of the process that is made meanwhile knows what to close. */
    exp_atomic_store_release(&exp_secure.open_bytes, (offset & EXP_PAGE_MASK) + bytes);
    return open_pages(block, offset, bytes, true);
}

static void acquire(void)
{
    exp_owner_notice();
    exp_owner_at_child(&exp_secure.lock);
    exp_lock_acquire(&exp_secure.lock);
    (void)close_update();
}

static HANDLE handle_of(size_t place)
{
    uintptr_t generation = exp_secure.places[place].generation;
    return (HANDLE)((generation << SECURE_PLACE_BITS | place) << 2 | SECURE_HANDLE_MARK);
}

/* Pool of a live handle, or NULL. Lock held. */
static struct pool *pool_of(HANDLE handle)
{
    size_t place = (uintptr_t)handle >> 2 & (((size_t)1 << SECURE_PLACE_BITS) - 1);
    bool alive = place < exp_secure.place_count && exp_secure.places[place].generation % 2 == 1 &&
                 handle_of(place) == handle;
    return alive ? &exp_secure.places[place] : NULL;
}

/* A place that no pool has, or NULL: no memory. Lock held. */
static struct pool *place_take(void)
{
    for (size_t place = 0; place < exp_secure.place_count; place++) {
        if (exp_secure.places[place].generation % 2 == 0) {
            return &exp_secure.places[place];
        }
    }
    size_t old = exp_secure.place_count;
    size_t count = old == 0 ? SECURE_PLACES_START : old * 2;
    struct pool *places = count > SECURE_PLACES_MAX
                              ? NULL
                              : exp_range_heap_take(EXP_RANGE_KEPT, count * sizeof(*places));
    if (places == NULL) {
        return NULL;
    }
    struct pool *former = exp_secure.places;
    if (old != 0) {
        __builtin_memcpy(places, former, old * sizeof(*places));
    }
    /* In this order: a copy of the process that is made in between finds a table that is whole. */
    exp_atomic_store_release(&exp_secure.places, places);
    exp_atomic_store_release(&exp_secure.place_count, count);
    if (old != 0) {
        exp_range_heap_give(EXP_RANGE_KEPT, former, old * sizeof(*places));
    }
    return &places[old];
}

bool exp_secure_alive(HANDLE handle)
{
    acquire();
    bool alive = pool_of(handle) != NULL;
    exp_lock_release(&exp_secure.lock);
    return alive;
}

/* What parameters of a creation come to (spec/api.md 3.4). */
static NTSTATUS judge_creation(ULONG flags, const POOL_CREATE_EXTENDED_PARAMS *params)
{
    if (flags != POOL_CREATE_FLG_SECURE_POOL &&
        flags != (POOL_CREATE_FLG_SECURE_POOL | POOL_CREATE_FLG_USE_GLOBAL_POOL)) {
        return STATUS_INVALID_PARAMETER_1;
    }
    if (params == NULL) {
        return STATUS_SUCCESS;
    }
    if (params->Version != POOL_CREATE_PARAMS_VERSION) {
        return STATUS_INVALID_PARAMETER;
    }
    /* The one parameter there is, a name, is for private pools. */
    return params->ParameterCount == 0 && params->Parameters == NULL ? STATUS_SUCCESS
                                                                     : STATUS_INVALID_PARAMETER_3;
}

EXP_EXPORT NTSTATUS ExCreatePool(ULONG Flags,
                                 ULONG_PTR Tag,
                                 POOL_CREATE_EXTENDED_PARAMS *Params,
                                 HANDLE *PoolHandle)
{
    NTSTATUS status = judge_creation(Flags, Params);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    HANDLE handle = NULL;
    acquire();
    struct pool *pool = place_take();
    if (pool != NULL) {
        pool->generation++;
        pool->tag = (uint32_t)Tag;
        pool->blocks = 0;
        handle = handle_of((size_t)(pool - exp_secure.places));
    }
    exp_lock_release(&exp_secure.lock);
    if (pool == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *PoolHandle = handle;
    return STATUS_SUCCESS;
}

static _Noreturn void stop(const void *address, const char *pool, const void *caller)
{
    struct exp_stop_about about = { .block = address, .pool = pool, .caller = caller };
    exp_stop_now(
        EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INTERIOR, (uintptr_t)address, 0, 0, &about);
}

EXP_EXPORT VOID ExDestroyPool(HANDLE PoolHandle)
{
    acquire();
    struct pool *pool = pool_of(PoolHandle);
    bool empty = pool != NULL && pool->blocks == 0;
    if (empty) {
        pool->generation++;
    }
    exp_lock_release(&exp_secure.lock);
    if (!empty) {
        stop(PoolHandle, "secure pool", __builtin_return_address(0));
    }
}

/* One more block, if the pool lives; its record. */
static struct record *record_make(const POOL_EXTENDED_PARAMS_SECURE_POOL *params, size_t bytes)
{
    struct record *record = exp_range_heap_take(EXP_RANGE_KEPT, sizeof(*record));
    if (record == NULL) {
        return NULL;
    }
    *record = (struct record){
        .handle = params->SecurePoolHandle,
        .cookie = params->Cookie,
        .bytes = bytes,
        .flags = params->SecurePoolFlags,
        .there = true,
    };
    acquire();
    struct pool *pool = pool_of(params->SecurePoolHandle);
    if (pool != NULL) {
        pool->blocks++;
    }
    exp_lock_release(&exp_secure.lock);
    if (pool == NULL) {
        exp_range_heap_give(EXP_RANGE_KEPT, record, sizeof(*record));
        return NULL;
    }
    return record;
}

static void record_give(struct record *record)
{
    exp_range_heap_give(EXP_RANGE_KEPT, record, sizeof(*record));
}

/* One block less in its pool. */
static void record_drop(struct record *record)
{
    acquire();
    struct pool *pool = pool_of(record->handle);
    EXP_ASSERT(pool != NULL); /* since it has a block */
    pool->blocks--;
    exp_lock_release(&exp_secure.lock);
}

/* Record of a live block that nobody frees right now, or NULL. Lock held. */
static struct record *record_of(const void *block, uint32_t *tag)
{
    struct record *record = exp_pool_secure_record(block, tag);
    return record != NULL && record->there ? record : NULL;
}

/* The same if the block may be freed with these parameters. Lock held. */
static struct record *find_to_free(const void *block,
                                   const POOL_EXTENDED_PARAMS_SECURE_POOL *params)
{
    uint32_t tag;
    struct record *record = record_of(block, &tag);
    bool right = record != NULL && record->handle == params->SecurePoolHandle &&
                 record->cookie == params->Cookie && params->Buffer == NULL &&
                 params->SecurePoolFlags == 0 && (record->flags & SECURE_POOL_FLAGS_FREEABLE) != 0;
    return right ? record : NULL;
}

/* Open the pages of a block for good. False: the system refuses. Lock held. */
static bool open_to_free(char *block, const struct record *record)
{
    size_t bytes = exp_max(record->bytes, 1);
    if (!open_pages(block, 0, bytes, true)) {
        return false;
    }
    if (exp_secure.open_bytes != 0 && (uintptr_t)exp_secure.open - (uintptr_t)block < bytes) {
        exp_secure.open_bytes = 0; /* what was left open in it stays so */
    }
    return true;
}

/* Try once more to free what the system refused to open. */
static void free_refused(void)
{
    struct record *record = exp_atomic_load(&exp_secure.refused);
    while (record != NULL) {
        acquire();
        record = exp_secure.refused;
        if (record != NULL && open_to_free(record->block, record)) {
            exp_atomic_store(&exp_secure.refused, record->next);
        } else {
            record = NULL;
        }
        exp_lock_release(&exp_secure.lock);
        if (record != NULL) {
            exp_pool_free_secure(record->block, NULL);
            record_give(record);
        }
    }
}

void exp_secure_free(void *block,
                     uint32_t tag,
                     const POOL_EXTENDED_PARAMS_SECURE_POOL *params,
                     const void *caller)
{
    acquire();
    bool right = find_to_free(block, params) != NULL;
    exp_lock_release(&exp_secure.lock);
    if (!right) {
        stop(block, "secure pool", caller);
    }
    struct exp_stop_about about;
    exp_pool_judge(block, tag, true, caller, &about);
    acquire();
    struct record *record = find_to_free(block, params);
    bool open = record != NULL && open_to_free(block, record);
    if (record != NULL) {
        record->there = false;
        pool_of(record->handle)->blocks--;
    }
    if (record != NULL && !open) {
        record->block = block;
        record->next = exp_secure.refused;
        exp_atomic_store(&exp_secure.refused, record);
    }
    exp_lock_release(&exp_secure.lock);
    if (record == NULL) {
        stop(block, "secure pool", caller); /* another thread was faster */
    }
    if (open) {
        exp_pool_free_secure(block, caller);
        record_give(record);
        free_refused();
    }
}

void *exp_secure_allocate(const POOL_EXTENDED_PARAMS_SECURE_POOL *params,
                          const struct exp_pool_request *request,
                          enum exp_pool_outcome *outcome)
{
    struct exp_pool_request own = *request;
    *outcome = EXP_POOL_NO_MEMORY;
    free_refused();
    own.secure = record_make(params, request->bytes);
    if (own.secure == NULL) {
        return NULL;
    }
    own.want = EXP_POOL_SECURE | (request->want & (EXP_POOL_NODE | EXP_POOL_NODE_ONLY));
    own.contents = params->Buffer;
    void *block = exp_pool_allocate(&own, outcome);
    if (block == NULL) {
        record_drop(own.secure);
        record_give(own.secure);
    }
    return block;
}

/* Record of a block if handle, tag and cookie are its own, else NULL. Lock held. */
static struct record *find(HANDLE handle, uint32_t tag, const void *block, uintptr_t cookie)
{
    uint32_t stored;
    struct record *record = record_of(block, &stored);
    bool same = record != NULL && record->handle == handle && record->cookie == cookie &&
                ((stored ^ tag) & ~EXP_TAG_PROTECTED) == 0;
    return same ? record : NULL;
}

/* What an update comes to before it changes anything. Lock held. */
static NTSTATUS judge_update(const struct record *record,
                             size_t offset,
                             size_t bytes,
                             const void *buffer)
{
    size_t end;
    if (record == NULL || exp_add_overflows(offset, bytes, &end) || end > record->bytes ||
        (buffer == NULL && bytes != 0)) {
        return STATUS_INVALID_PARAMETER;
    }
    return (record->flags & SECURE_POOL_FLAGS_MODIFIABLE) != 0 ? STATUS_SUCCESS
                                                               : STATUS_ACCESS_DENIED;
}

EXP_EXPORT NTSTATUS ExSecurePoolUpdate(HANDLE SecurePoolHandle,
                                       ULONG Tag,
                                       PVOID Allocation,
                                       ULONG_PTR Cookie,
                                       SIZE_T Offset,
                                       SIZE_T Size,
                                       PVOID Buffer)
{
    NTSTATUS status = STATUS_INVALID_HANDLE;
    free_refused();
    acquire();
    if (pool_of(SecurePoolHandle) != NULL) {
        status =
            judge_update(find(SecurePoolHandle, Tag, Allocation, Cookie), Offset, Size, Buffer);
    }
    if (NT_SUCCESS(status) && Size != 0) {
        if (open_update(Allocation, Offset, Size)) {
            /* Buffer may lie in the block itself. */
            __builtin_memmove((char *)Allocation + Offset, Buffer, Size);
        } else {
            status = STATUS_INSUFFICIENT_RESOURCES;
        }
        (void)close_update();
    }
    exp_lock_release(&exp_secure.lock);
    return status;
}

EXP_EXPORT LOGICAL ExSecurePoolValidate(HANDLE SecurePoolHandle,
                                        ULONG Tag,
                                        PVOID Allocation,
                                        ULONG_PTR Cookie)
{
    free_refused();
    acquire();
    bool fits = pool_of(SecurePoolHandle) != NULL &&
                find(SecurePoolHandle, Tag, Allocation, Cookie) != NULL;
    exp_lock_release(&exp_secure.lock);
    return fits;
}
