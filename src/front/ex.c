/* SPDX-License-Identifier: MIT */
/*
 * Windows' doors: flags and types become a pool and a want; failures become NULL, a raise or a
 * stop.
 *
 * Each door tries the fast path for its plain cases; everything else goes to one judge per family,
 * which knows the order in which errors win (spec/diagnostics.md 1.7): flags, tag 0 and extended
 * parameters of ExAllocatePool2 and 3, then IRQL, then must-succeed, then the tag. Then come
 * priority, quota and memory. Here alone is it decided what a failure looks like: NULL, a raise or
 * a stop, which differ by cause and by family.
 *
 * Session pool is served from the same pages; cold is a hint; special pool is served normally.
 */
#include "core/option.h"
#include "core/stop.h"
#include "front/extended.h"
#include "front/lookaside.h"
#include "front/pool.h"
#include "front/secure.h"
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

/* Bits of a POOL_TYPE and what is or-ed into it (spec/api.md 1.2, 1.3); 0x20 raises as a flag. */
#define SLIP_BITS UINT32_C(0x61f)

enum {
    SLIPS_TOLD = 16, /* callers that are told of a POOL_TYPE given as POOL_FLAGS */
    TYPE_MUST_SUCCEED = 2,
    TYPE_CACHE_ALIGNED = 4,
    TYPE_SESSION = 32,
    VERIFIER_POOL_TRACKING = 8, /* bit of the option verifier */
};

/* What all families ask once it is clear what is meant. */
struct request {
    unsigned pool;
    bool known; /* the flags name a pool */
    unsigned want;
    uint32_t type; /* POOL_TYPE, for parameters of stops */
    size_t bytes;
    uint32_t tag;
    bool raise;       /* instead of NULL: memory, priority, arguments */
    bool raise_quota; /* instead of NULL: quota */
    bool quota;
    bool must_succeed;
    struct exp_extended extended;
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
static void *fail(const struct request *request, bool raise, NTSTATUS status)
{
    if (raise) {
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

/*
 * Who pays. Requests of a page or more and those of System are not charged (spec/api.md 2.11).
 */
static struct expool_process *payer(const struct request *request)
{
    struct expool_process *process = exp_owner_process();
    if (!request->quota) {
        return NULL;
    }
    if (process == &exp_quota_idle &&
        (exp_option_value(EXP_OPTION_VERIFIER) & VERIFIER_POOL_TRACKING) != 0) {
        struct exp_stop_about about = about_of(request);
        exp_stop_now(EXP_STOP_VERIFIER, EXP_STOP_VERIFIER_QUOTA_IDLE, 0, 0, 0, &about);
    }
    return process->everlasting || request->bytes >= EXP_PAGE_BYTES ? NULL : process;
}

/* Does the pool have room for this level (spec/api.md 3.2)? */
static bool has_room(const struct request *request)
{
    if (EXP_LIKELY(request->extended.level >= EXP_EXTENDED_LEVEL_HIGH)) {
        return true; /* High is refused only when the memory is not there, which the walk finds */
    }
    exp_owner_notice(); /* what is free is known once the pool serves */
    size_t pages_free = exp_span_pages_free(request->pool);
    if (EXP_LIKELY(pages_free == SIZE_MAX)) {
        return true;
    }
    size_t low = exp_span_low_pages(request->pool);
    size_t pages = request->bytes / EXP_PAGE_BYTES + (request->bytes % EXP_PAGE_BYTES != 0);
    size_t keep = request->extended.level == LowPoolPriority ? low : low / 4;
    pages = exp_max(pages, 1);
    return pages_free >= pages && pages_free - pages >= keep;
}

/* What is asked for is right: memory, or the failure of this family. */
static void *serve(const struct request *request)
{
    enum exp_pool_outcome outcome = EXP_POOL_NO_MEMORY;
    struct exp_pool_request asked = {
        .pool = request->pool,
        .want = request->want,
        .bytes = request->bytes,
        .tag = request->tag,
        .process = payer(request),
        .caller = request->caller,
    };
    if (request->extended.node_given) {
        asked.want |= EXP_POOL_NODE | (request->extended.node_strict ? EXP_POOL_NODE_ONLY : 0u);
        asked.node = request->extended.node;
    }
    void *block = NULL;
    if (has_room(request)) {
        block = request->extended.secure != NULL
                    ? exp_secure_allocate(request->extended.secure, &asked, &outcome)
                    : exp_pool_allocate(&asked, &outcome);
    }
    if (EXP_LIKELY(block != NULL)) {
        return block;
    }
    if (outcome == EXP_POOL_NO_QUOTA) {
        return fail(request, request->raise_quota, STATUS_QUOTA_EXCEEDED);
    }
    return fail(request, request->raise, STATUS_INSUFFICIENT_RESOURCES);
}

/* Pool of POOL_FLAGS; false: none, or several. */
static bool name_pool(uint32_t required, struct request *request)
{
    switch (required & (uint32_t)FLAGS_POOL) {
    case POOL_FLAG_NON_PAGED:
        request->pool = EXP_POOL_NONPAGED;
        request->type = NonPagedPoolNx;
        break;
    case POOL_FLAG_NON_PAGED_EXECUTE:
        request->pool = EXP_POOL_EXECUTE;
        request->type = NonPagedPoolExecute;
        break;
    case POOL_FLAG_PAGED:
        request->pool = EXP_POOL_PAGED;
        request->type = PagedPool;
        break;
    default:
        return false;
    }
    request->known = true;
    return true;
}

/*
 * Flags without a pool, made only of bits that a POOL_TYPE has: say so once for each caller. The
 * answer stays NULL (spec/api.md 2.2).
 */
static void tell_slip(uint32_t required, const void *caller)
{
    static void *told[SLIPS_TOLD]; /* atomic, from NULL once */
    if ((required & ~SLIP_BITS) != 0) {
        return;
    }
    unsigned index = 0;
    while (index < SLIPS_TOLD && !exp_atomic_try_publish(&told[index], (void *)(uintptr_t)caller)) {
        if (exp_atomic_load_acquire(&told[index]) == caller) {
            return;
        }
        index++;
    }
    if (index == SLIPS_TOLD) {
        return;
    }
    char line[256];
    struct exp_text text;
    exp_format_start(&text, line, sizeof(line));
    exp_format_words(&text, "expool: POOL_FLAGS 0x");
    exp_format_hex(&text, required, 3);
    exp_format_words(
        &text, " name no pool; a POOL_TYPE is not what ExAllocatePool2 or 3 takes, called at 0x");
    exp_format_hex(&text, (uintptr_t)caller, 16);
    exp_format_words(&text, ": no memory is given.\n");
    exp_port_print(line, text.length_bytes);
}

/* Flags, tag and bytes in, a judged request served; entries as in ExAllocatePool3. */
static EXP_NOINLINE void *allocate_by_flags(POOL_FLAGS flags,
                                            size_t bytes,
                                            uint32_t tag,
                                            PCPOOL_EXTENDED_PARAMETER entries,
                                            ULONG count,
                                            const void *caller)
{
    uint32_t required = (uint32_t)flags;
    bool raise = (required & POOL_FLAG_RAISE_ON_FAILURE) != 0;
    struct request request = {
        .want = ((required & POOL_FLAG_UNINITIALIZED) != 0 ? 0u : EXP_POOL_ZERO) |
                ((required & POOL_FLAG_CACHE_ALIGNED) != 0 ? EXP_POOL_CACHE_ALIGNED : 0u) |
                ((required & POOL_FLAG_SESSION) != 0 ? EXP_POOL_SESSION : 0u),
        .bytes = bytes,
        .tag = tag,
        .raise = raise,
        .raise_quota = raise,
        .quota = (required & POOL_FLAG_USE_QUOTA) != 0,
        .caller = caller,
    };
    bool named = name_pool(required, &request);
    if (!raise && (required & (uint32_t)FLAGS_POOL) == 0) {
        tell_slip(required, caller); /* a raise speaks for itself */
    }
    if (!named || (required & ~(uint32_t)FLAGS_GRANTED) != 0 || tag == 0 ||
        !exp_extended_read(entries, count, required, &request.extended)) {
        return fail(&request, raise, STATUS_INVALID_PARAMETER);
    }
    judge(&request);
    return serve(&request);
}

EXP_EXPORT PVOID(ExAllocatePool2)(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    struct exp_pool_got got;
    POOL_FLAGS pool = Flags & ~POOL_FLAG_UNINITIALIZED;
    if (!(pool == POOL_FLAG_NON_PAGED &&
          exp_pool_try_allocate(EXP_POOL_NONPAGED, NumberOfBytes, Tag, &got)) &&
        !(pool == POOL_FLAG_PAGED &&
          exp_pool_try_allocate(EXP_POOL_PAGED, NumberOfBytes, Tag, &got))) {
        return allocate_by_flags(Flags, NumberOfBytes, Tag, NULL, 0, __builtin_return_address(0));
    }
    if ((Flags & POOL_FLAG_UNINITIALIZED) != 0 || got.zero) {
        return got.block;
    }
    return exp_pool_zero(got.block, NumberOfBytes);
}

EXP_EXPORT PVOID(ExAllocatePool3)(POOL_FLAGS Flags,
                                  SIZE_T NumberOfBytes,
                                  ULONG Tag,
                                  PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                                  ULONG ExtendedParametersCount)
{
    return allocate_by_flags(Flags,
                             NumberOfBytes,
                             Tag,
                             ExtendedParameters,
                             ExtendedParametersCount,
                             __builtin_return_address(0));
}

/* What a POOL_TYPE and its bits mean in every family that takes one. */
static struct request request_by_type(POOL_TYPE type,
                                      size_t bytes,
                                      uint32_t tag,
                                      const void *caller)
{
    uint32_t bits = (uint32_t)type;
    return (struct request){
        .pool = (bits & PagedPool) != 0            ? EXP_POOL_PAGED
                : (bits & POOL_NX_ALLOCATION) != 0 ? EXP_POOL_NONPAGED
                                                   : EXP_POOL_EXECUTE,
        .known = true,
        .want = ((bits & POOL_ZERO_ALLOCATION) != 0 ? EXP_POOL_ZERO : 0u) |
                ((bits & TYPE_CACHE_ALIGNED) != 0 ? EXP_POOL_CACHE_ALIGNED : 0u) |
                ((bits & TYPE_SESSION) != 0 ? EXP_POOL_SESSION : 0u) |
                ((bits & POOL_COLD_ALLOCATION) != 0 ? EXP_POOL_COLD : 0u),
        .type = bits,
        .bytes = bytes,
        .tag = tag,
        .must_succeed = (bits & TYPE_MUST_SUCCEED) != 0,
        .raise = (bits & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0,
        .extended = { .level = EXP_EXTENDED_LEVEL_HIGH },
        .caller = caller,
    };
}

static EXP_NOINLINE void *allocate_by_type(POOL_TYPE type,
                                           size_t bytes,
                                           uint32_t tag,
                                           const void *caller)
{
    struct request request = request_by_type(type, bytes, tag, caller);
    judge(&request);
    return serve(&request);
}

/* Raises unless bit 8 is set; bits 8 and 16: memory raises, quota does not (spec/api.md 9.15). */
static void *allocate_with_quota(POOL_TYPE type, size_t bytes, uint32_t tag, const void *caller)
{
    struct request request = request_by_type(type, bytes, tag, caller);
    bool quiet = ((uint32_t)type & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE) != 0;
    request.quota = true;
    request.raise = !quiet || request.raise;
    request.raise_quota = !quiet;
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

EXP_EXPORT PVOID ExAllocatePoolWithTagPriority(POOL_TYPE PoolType,
                                               SIZE_T NumberOfBytes,
                                               ULONG Tag,
                                               EX_POOL_PRIORITY Priority)
{
    struct request request =
        request_by_type(PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
    request.extended.level = (uint32_t)Priority & 0x30;
    judge(&request);
    return serve(&request);
}

EXP_EXPORT PVOID ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return allocate_with_quota(PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

EXP_EXPORT PVOID ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return allocate_with_quota(PoolType, NumberOfBytes, TAG_NONE, __builtin_return_address(0));
}

static EXP_NOINLINE void free_slowly(void *block, uint32_t tag, const void *caller)
{
    if (exp_option_value(EXP_OPTION_VERIFIER) != 0) {
        struct exp_stop_about about;
        exp_pool_judge(block, tag, false, caller, &about);
        const void *list = exp_lookaside_inside(block, about.size_bytes);
        if (list != NULL) {
            exp_stop_now(EXP_STOP_VERIFIER,
                         EXP_STOP_VERIFIER_LOOKASIDE,
                         (uintptr_t)list,
                         (uintptr_t)block,
                         about.size_bytes,
                         &about);
        }
    }
    exp_pool_free(block, tag, caller);
}

EXP_EXPORT VOID ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    if (EXP_UNLIKELY(Tag == 0 || !exp_pool_try_free(P, Tag, false))) {
        free_slowly(P, Tag, __builtin_return_address(0));
    }
}

EXP_EXPORT VOID(ExFreePool)(PVOID P)
{
    if (EXP_UNLIKELY(!exp_pool_try_free_any(P, true))) {
        free_slowly(P, 0, __builtin_return_address(0));
    }
}

EXP_EXPORT VOID ExFreePool2(PVOID P,
                            ULONG Tag,
                            PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                            ULONG ExtendedParametersCount)
{
    const void *caller = __builtin_return_address(0);
    if (ExtendedParametersCount == 0) {
        free_slowly(P, Tag, caller);
        return;
    }
    PCPOOL_EXTENDED_PARAMETER entry = ExtendedParameters;
    if (ExtendedParametersCount != 1 || entry == NULL ||
        entry->Type != PoolExtendedParameterSecurePool || entry->Reserved != 0 ||
        entry->SecurePoolParams == NULL) {
        struct exp_stop_about about = { .block = P, .caller = caller };
        exp_stop_now(EXP_STOP_BAD_POOL_CALLER, EXP_STOP_FREE_INTERIOR, (uintptr_t)P, 0, 0, &about);
    }
    exp_secure_free(P, Tag, entry->SecurePoolParams, caller);
}

EXP_EXPORT SIZE_T ExQueryPoolBlockSize(PVOID PoolBlock, PBOOLEAN QuotaCharged)
{
    bool charged;
    size_t bytes = exp_pool_block_size(PoolBlock, true, &charged, __builtin_return_address(0));
    *QuotaCharged = charged;
    return bytes;
}
