/* SPDX-License-Identifier: MIT */
/*
 * Windows' doors: flags and types become a pool and a want; failures become NULL, a raise or a
 * stop.
 *
 * Each door tries the fast path for its plain cases; everything else goes to one judge per family,
 * which knows the order in which errors win (spec/diagnostics.md 1.7): flags and tag 0 of
 * ExAllocatePool2, then IRQL, then must-succeed, then the tag. Only then is memory asked for. Here
 * alone is it decided what a failure looks like; without exception handlers a raise is stop 0x1E
 * with the status.
 *
 * Session pool is served from the same pages; cold is a hint; special pool is served normally.
 */
#include "core/stop.h"
#include "front/pool.h"
#include "front/seh.h"

#include <wdm.h>

EXP_STATIC_ASSERT(EXP_STOP_BAD_POOL_CALLER == BAD_POOL_CALLER, "bugcodes.h");
EXP_STATIC_ASSERT(EXP_STOP_IRQL_NOT_GREATER_OR_EQUAL == IRQL_NOT_GREATER_OR_EQUAL, "bugcodes.h");
EXP_STATIC_ASSERT(EXP_STOP_IRQL_NOT_LESS_OR_EQUAL == IRQL_NOT_LESS_OR_EQUAL, "bugcodes.h");
EXP_STATIC_ASSERT(EXP_STOP_KMODE_EXCEPTION_NOT_HANDLED == KMODE_EXCEPTION_NOT_HANDLED,
                  "bugcodes.h");
EXP_STATIC_ASSERT(EXP_STOP_KERNEL_MODE_HEAP_CORRUPTION == KERNEL_MODE_HEAP_CORRUPTION,
                  "bugcodes.h");
EXP_STATIC_ASSERT(EXP_PAGE_BYTES == PAGE_SIZE, "spec/api.md 1.10");
EXP_STATIC_ASSERT(EXP_TAG_PROTECTED == PROTECTED_POOL, "spec/api.md 1.13");

#define TAG_NONE UINT32_C(0x656E6F4E) /* "None" */
#define TAG_BIG  UINT32_C(0x20474942) /* "BIG " */

/* Required flags that are granted (spec/api.md 2.2); the high half is optional and never refused.
 */
#define FLAGS_POOL (POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED)
#define FLAGS_GRANTED                                                                              \
    (FLAGS_POOL | POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_SESSION |              \
     POOL_FLAG_CACHE_ALIGNED | POOL_FLAG_RAISE_ON_FAILURE)

enum {
    TYPE_MUST_SUCCEED = 2,
    TYPE_CACHE_ALIGNED = 4,
};

/* What both families ask once it is clear what is meant. */
struct request {
    unsigned pool;
    bool known; /* the flags name a pool */
    unsigned want;
    uint32_t type; /* POOL_TYPE, for parameters of stops */
    size_t bytes;
    uint32_t tag;
    bool raise;
    bool must_succeed;
    const void *caller;
};

static struct exp_stop_about about_of(const struct request *request)
{
    return (struct exp_stop_about){
        .pool = request->known ? exp_pool_name(request->pool) : NULL,
        .size_bytes = request->bytes,
        .tag = request->tag,
        .caller = request->caller,
    };
}

/* NULL or a raise; a raise does not return. */
static void *fail(const struct request *request, NTSTATUS status)
{
    if (request->raise) {
        struct exp_stop_about about = about_of(request);
        exp_seh_raise((uint32_t)status, request->caller, &about);
    }
    return NULL;
}

/* Does a request do this deed? */
static bool does(const struct request *request, uint16_t deed)
{
    switch (deed) {
    case EXP_STOP_ALLOCATE_IRQL:
        return exp_pool_irql() > exp_pool_irql_max(request->pool);
    case EXP_STOP_MUST_SUCCEED:
        return request->must_succeed;
    case EXP_STOP_TAG_ZERO:
        return request->tag == 0;
    case EXP_STOP_TAG_BIG:
        return request->tag == TAG_BIG;
    default:
        return false;
    }
}

/* Parameters of the stop for a deed (spec/diagnostics.md 1.5). */
static _Noreturn void stop(const struct request *request,
                           uint16_t deed,
                           const struct exp_stop_about *about)
{
    uint64_t p2 = request->type;
    uint64_t p3 = request->bytes;
    uint64_t p4 = (uintptr_t)request->caller;
    if (deed == EXP_STOP_ALLOCATE_IRQL) {
        p2 = exp_pool_irql();
        p3 = request->type;
        p4 = request->bytes;
    } else if (deed == EXP_STOP_MUST_SUCCEED) {
        p4 = request->tag;
    }
    exp_stop_now(EXP_STOP_BAD_POOL_CALLER, deed, p2, p3, p4, about);
}

/* Stop on the first deed in the order of spec/diagnostics.md 1.7, naming the others. */
static void judge(const struct request *request)
{
    static const uint16_t order[] = {
        EXP_STOP_ALLOCATE_IRQL, EXP_STOP_MUST_SUCCEED, EXP_STOP_TAG_ZERO, EXP_STOP_TAG_BIG
    };
    struct exp_stop_about about = about_of(request);
    uint16_t first = 0;
    unsigned others = 0;
    for (unsigned index = 0; index < sizeof(order) / sizeof(order[0]); index++) {
        if (!does(request, order[index])) {
            continue;
        }
        if (first == 0) {
            first = order[index];
        } else if (others < EXP_STOP_ADDITIONAL) {
            about.additional[others++] = order[index];
        }
    }
    if (EXP_UNLIKELY(first != 0)) {
        stop(request, first, &about);
    }
}

static void *serve(const struct request *request)
{
    void *block = exp_pool_allocate(
        request->pool, request->bytes, request->tag, request->want, request->caller);
    return block != NULL ? block : fail(request, STATUS_INSUFFICIENT_RESOURCES);
}

static EXP_NOINLINE void *allocate_by_flags(POOL_FLAGS flags,
                                            size_t bytes,
                                            uint32_t tag,
                                            const void *caller)
{
    uint32_t required = (uint32_t)flags;
    uint32_t pool = required & (uint32_t)FLAGS_POOL;
    struct request request = {
        .want = ((required & POOL_FLAG_UNINITIALIZED) != 0 ? 0u : EXP_POOL_ZERO) |
                ((required & POOL_FLAG_CACHE_ALIGNED) != 0 ? EXP_POOL_CACHE_ALIGNED : 0u),
        .bytes = bytes,
        .tag = tag,
        .raise = (required & POOL_FLAG_RAISE_ON_FAILURE) != 0,
        .caller = caller,
    };
    switch (pool) {
    case POOL_FLAG_NON_PAGED:
        request.pool = EXP_POOL_NONPAGED;
        request.type = NonPagedPoolNx;
        break;
    case POOL_FLAG_NON_PAGED_EXECUTE:
        request.pool = EXP_POOL_EXECUTE;
        request.type = NonPagedPoolExecute;
        break;
    case POOL_FLAG_PAGED:
        request.pool = EXP_POOL_PAGED;
        request.type = PagedPool;
        break;
    default:
        return fail(&request, STATUS_INVALID_PARAMETER);
    }
    request.known = true;
    if ((required & ~(uint32_t)FLAGS_GRANTED) != 0 || tag == 0) {
        return fail(&request, STATUS_INVALID_PARAMETER);
    }
    judge(&request);
    return serve(&request);
}

EXP_EXPORT PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    struct exp_pool_got got;
    POOL_FLAGS pool = Flags & ~POOL_FLAG_UNINITIALIZED;
    if (!(pool == POOL_FLAG_NON_PAGED &&
          exp_pool_try_allocate(EXP_POOL_NONPAGED, NumberOfBytes, Tag, &got)) &&
        !(pool == POOL_FLAG_PAGED &&
          exp_pool_try_allocate(EXP_POOL_PAGED, NumberOfBytes, Tag, &got))) {
        return allocate_by_flags(Flags, NumberOfBytes, Tag, __builtin_return_address(0));
    }
    if ((Flags & POOL_FLAG_UNINITIALIZED) != 0 || got.zero) {
        return got.block;
    }
    return exp_pool_zero(got.block, NumberOfBytes);
}

static EXP_NOINLINE void *allocate_by_type(POOL_TYPE type,
                                           size_t bytes,
                                           uint32_t tag,
                                           const void *caller)
{
    uint32_t bits = (uint32_t)type;
    struct request request = {
        .pool = (bits & PagedPool) != 0            ? EXP_POOL_PAGED
                : (bits & POOL_NX_ALLOCATION) != 0 ? EXP_POOL_NONPAGED
                                                   : EXP_POOL_EXECUTE,
        .known = true,
        .want = ((bits & POOL_ZERO_ALLOCATION) != 0 ? EXP_POOL_ZERO : 0u) |
                ((bits & TYPE_CACHE_ALIGNED) != 0 ? EXP_POOL_CACHE_ALIGNED : 0u),
        .type = bits,
        .bytes = bytes,
        .tag = tag,
        .must_succeed = (bits & TYPE_MUST_SUCCEED) != 0,
        .raise = (bits & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0,
        .caller = caller,
    };
    judge(&request);
    return serve(&request);
}

EXP_EXPORT PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    struct exp_pool_got got;
    if ((PoolType == NonPagedPoolNx &&
         exp_pool_try_allocate(EXP_POOL_NONPAGED, NumberOfBytes, Tag, &got)) ||
        (PoolType == PagedPool &&
         exp_pool_try_allocate(EXP_POOL_PAGED, NumberOfBytes, Tag, &got))) {
        return got.block;
    }
    return allocate_by_type(PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

EXP_EXPORT PVOID(ExAllocatePool)(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return allocate_by_type(PoolType, NumberOfBytes, TAG_NONE, __builtin_return_address(0));
}

EXP_EXPORT VOID ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    if (EXP_UNLIKELY(Tag == 0 || !exp_pool_try_free(P, Tag, false))) {
        exp_pool_free(P, Tag, __builtin_return_address(0));
    }
}

EXP_EXPORT VOID(ExFreePool)(PVOID P)
{
    if (EXP_UNLIKELY(!exp_pool_try_free_any(P, true))) {
        exp_pool_free(P, 0, __builtin_return_address(0));
    }
}

EXP_EXPORT SIZE_T ExQueryPoolBlockSize(PVOID PoolBlock, PBOOLEAN QuotaCharged)
{
    size_t bytes = exp_pool_block_size(PoolBlock, true, __builtin_return_address(0));
    *QuotaCharged = FALSE;
    return bytes;
}
