/* SPDX-License-Identifier: MIT */
/*
 * The pool as drivers see it; part of wdm.h.
 *
 * Blocks come from three pools: paged, nonpaged, and nonpaged executable. A POOL_TYPE is an older,
 * numbered way to name one (1 paged, 512 no-execute, 4 cache aligned, 32 session, 2 must succeed,
 * OR-ed with the POOL_... bits below); POOL_FLAGS are the present way: exactly one of the three
 * pool flags, low half required, high half optional.
 *
 * Every block has a tag: four characters, counted apart, shown in memory order ('1gaT' shows Tag1).
 *
 * Each image (program or shared object) has its own copy of three variables, which Windows calls
 * per-driver globals. They are weak and hidden here, so that all files of an image share one copy
 * and no library needs to provide it.
 *
 * POOL_TYPE and POOL_FLAGS are different languages for the same thing, and the compiler of Windows
 * lets one pass for the other: ExAllocatePool2(PagedPool, ...) compiles, and gives NULL each time.
 * Here the names ExAllocatePool2 and ExAllocatePool3 are macros over the functions, and such a
 * call is a compiler warning (see "the slip" below). A call of the parenthesized name, and a
 * pointer to the function, are the plain function.
 *
 * source      api.md 1.2-1.8, 1.13, 2, 3; pages of each routine, POOL_FLAGS and POOL_TYPE
 */
#ifndef EXP_WDK_WDMPOOL_H
#define EXP_WDK_WDMPOOL_H

#include "ntdef.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- POOL_TYPE. source: api.md 1.2, 1.3 ------------------------------------------------------ */

/* clang-format off */
typedef enum _POOL_TYPE EXP_WDK_ENUM_INT {
    NonPagedPool                         = 0,
    NonPagedPoolExecute                  = 0,
    NonPagedPoolBase                     = 0,
    PagedPool                            = 1,
    NonPagedPoolMustSucceed              = 2,
    NonPagedPoolBaseMustSucceed          = 2,
    DontUseThisType                      = 3,
    NonPagedPoolCacheAligned             = 4,
    NonPagedPoolBaseCacheAligned         = 4,
    PagedPoolCacheAligned                = 5,
    NonPagedPoolCacheAlignedMustS        = 6,
    NonPagedPoolBaseCacheAlignedMustS    = 6,
    MaxPoolType                          = 7,
    NonPagedPoolSession                  = 32,
    PagedPoolSession                     = 33,
    NonPagedPoolMustSucceedSession       = 34,
    DontUseThisTypeSession               = 35,
    NonPagedPoolCacheAlignedSession      = 36,
    PagedPoolCacheAlignedSession         = 37,
    NonPagedPoolCacheAlignedMustSSession = 38,
    NonPagedPoolNx                       = 512,
    NonPagedPoolNxCacheAligned           = 516,
    NonPagedPoolSessionNx                = 544
} POOL_TYPE;

#define POOL_QUOTA_FAIL_INSTEAD_OF_RAISE  8    /* quota routines return NULL instead of raising */
#define POOL_RAISE_IF_ALLOCATION_FAILURE  16   /* raise instead of returning NULL */
#define POOL_COLD_ALLOCATION              256  /* hint: rarely touched */
#define POOL_NX_ALLOCATION                512  /* no-execute; no effect on paged pool */
#define POOL_ZERO_ALLOCATION              1024 /* zero the block */

/* Top bit of a tag: not part of the name; such a block is freed with its tag only. */
#define PROTECTED_POOL                    0x80000000u

/* ---- POOL_FLAGS. source: api.md 1.4 ---------------------------------------------------------- */

typedef ULONG64 POOL_FLAGS;

#define POOL_FLAG_REQUIRED_START      0x0000000000000001ull
#define POOL_FLAG_USE_QUOTA           0x0000000000000001ull
#define POOL_FLAG_UNINITIALIZED       0x0000000000000002ull
#define POOL_FLAG_SESSION             0x0000000000000004ull
#define POOL_FLAG_CACHE_ALIGNED       0x0000000000000008ull
#define POOL_FLAG_RESERVED1           0x0000000000000010ull
#define POOL_FLAG_RAISE_ON_FAILURE    0x0000000000000020ull
#define POOL_FLAG_NON_PAGED           0x0000000000000040ull
#define POOL_FLAG_NON_PAGED_EXECUTE   0x0000000000000080ull
#define POOL_FLAG_PAGED               0x0000000000000100ull
#define POOL_FLAG_RESERVED2           0x0000000000000200ull
#define POOL_FLAG_RESERVED3           0x0000000000000400ull
#define POOL_FLAG_REQUIRED_END        0x0000000080000000ull
#define POOL_FLAG_OPTIONAL_START      0x0000000100000000ull
#define POOL_FLAG_SPECIAL_POOL        0x0000000100000000ull
#define POOL_FLAG_OPTIONAL_END        0x8000000000000000ull

/* ---- priorities. source: api.md 1.5 ---------------------------------------------------------- */

typedef enum _EX_POOL_PRIORITY EXP_WDK_ENUM_INT {
    LowPoolPriority                       = 0,
    LowPoolPrioritySpecialPoolOverrun     = 8,
    LowPoolPrioritySpecialPoolUnderrun    = 9,
    NormalPoolPriority                    = 16,
    NormalPoolPrioritySpecialPoolOverrun  = 24,
    NormalPoolPrioritySpecialPoolUnderrun = 25,
    HighPoolPriority                      = 32,
    HighPoolPrioritySpecialPoolOverrun    = 40,
    HighPoolPrioritySpecialPoolUnderrun   = 41
} EX_POOL_PRIORITY;

/* ---- extended parameters. source: api.md 1.6 ------------------------------------------------- */

typedef ULONG NODE_REQUIREMENT, POOL_NODE_REQUIREMENT;

#define MM_ANY_NODE_OK 0x80000000u

typedef enum _POOL_EXTENDED_PARAMETER_TYPE {
    PoolExtendedParameterInvalidType = 0,
    PoolExtendedParameterPriority    = 1,
    PoolExtendedParameterSecurePool  = 2,
    PoolExtendedParameterNumaNode    = 3,
    PoolExtendedParameterMax         = 4
} POOL_EXTENDED_PARAMETER_TYPE;

#define POOL_EXTENDED_PARAMETER_TYPE_BITS           8
#define POOL_EXTENDED_PARAMETER_REQUIRED_FIELD_BITS 1
#define POOL_EXTENDED_PARAMETER_RESERVED_BITS       55
/* clang-format on */

typedef struct _POOL_EXTENDED_PARAMS_SECURE_POOL {
    HANDLE SecurePoolHandle;
    PVOID Buffer;
    ULONG_PTR Cookie;
    ULONG SecurePoolFlags;
} POOL_EXTENDED_PARAMS_SECURE_POOL;

typedef struct DECLSPEC_ALIGN(8) _POOL_EXTENDED_PARAMETER {
    struct {
        ULONG64 Type : POOL_EXTENDED_PARAMETER_TYPE_BITS;
        ULONG64 Optional : POOL_EXTENDED_PARAMETER_REQUIRED_FIELD_BITS;
        ULONG64 Reserved : POOL_EXTENDED_PARAMETER_RESERVED_BITS;
    };
    union {
        ULONG64 Reserved2;
        PVOID Reserved3;
        EX_POOL_PRIORITY Priority;
        POOL_EXTENDED_PARAMS_SECURE_POOL *SecurePoolParams;
        POOL_NODE_REQUIREMENT PreferredNode;
    };
} POOL_EXTENDED_PARAMETER, *PPOOL_EXTENDED_PARAMETER;
typedef const POOL_EXTENDED_PARAMETER *PCPOOL_EXTENDED_PARAMETER;

/* ---- pool creation. source: api.md 1.7 ------------------------------------------------------- */

#define SECURE_POOL_FLAGS_NONE       0x0
#define SECURE_POOL_FLAGS_FREEABLE   0x1
#define SECURE_POOL_FLAGS_MODIFIABLE 0x2

#define POOL_CREATE_FLG_SECURE_POOL     0x1
#define POOL_CREATE_FLG_USE_GLOBAL_POOL 0x2
#define POOL_CREATE_PARAMS_VERSION      1

typedef enum _POOL_CREATE_EXTENDED_PARAMETER_TYPE {
    PoolCreateExtendedParameterInvalidType = 0,
    PoolCreateExtendedParameterName = 1
} POOL_CREATE_EXTENDED_PARAMETER_TYPE;

typedef struct _POOL_CREATE_EXTENDED_PARAMETER {
    POOL_CREATE_EXTENDED_PARAMETER_TYPE Type;
    UNICODE_STRING PoolName;
} POOL_CREATE_EXTENDED_PARAMETER, *PPOOL_CREATE_EXTENDED_PARAMETER;

typedef struct _POOL_CREATE_EXTENDED_PARAMS {
    ULONG Version;
    ULONG ParameterCount;
    POOL_CREATE_EXTENDED_PARAMETER *Parameters;
} POOL_CREATE_EXTENDED_PARAMS, *PPOOL_CREATE_EXTENDED_PARAMS;

/* ---- processes ------------------------------------------------------------------------------- */

/* A process object is the host interface's struct expool_process. source: product.md 4 */
typedef struct expool_process EPROCESS, *PEPROCESS;

/* ---- allocation ------------------------------------------------------------------------------ */

/*
 * What every block has: from PAGE_SIZE bytes up it starts on a page; up to PAGE_SIZE bytes it lies
 * inside one page; else its address is a multiple of 16 (8 on 32-bit systems). Zero bytes are
 * served as the smallest block. source: api.md 2.5, 4
 */

/*
 * Allocate a block, zeroed unless POOL_FLAG_UNINITIALIZED is given. The primary routine.
 *
 *   Flags          one of POOL_FLAG_PAGED, _NON_PAGED, _NON_PAGED_EXECUTE; others OR-ed
 *   NumberOfBytes  any
 *   Tag            not 0, not ' GIB'
 *   returns        the block; NULL without memory, over the pool's limit or the quota, for tag 0
 *                  and for unknown or contradictory required flags. With
 *                  POOL_FLAG_RAISE_ON_FAILURE it raises instead: STATUS_INSUFFICIENT_RESOURCES,
 *                  STATUS_QUOTA_EXCEEDED or STATUS_INVALID_PARAMETER
 *   irql           paged <= APC_LEVEL, else <= DISPATCH_LEVEL
 *   owns           the caller owns the block until ExFreePool, ExFreePoolWithTag or ExFreePool2
 *   stops          BAD_POOL_CALLER 0x08 IRQL too high (IRQL, POOL_TYPE, bytes); 0x9C tag ' GIB'
 *   source         api.md 2.2-2.8; ExAllocatePool2 page
 */
PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
    __attribute__((malloc, alloc_size(2)));

/*
 * ExAllocatePool2 with conditions: a priority, a NUMA node, a secure pool.
 *
 *   Flags, NumberOfBytes, Tag   as ExAllocatePool2; a secure block needs POOL_FLAG_NON_PAGED and
 *                  nothing else but POOL_FLAG_RAISE_ON_FAILURE
 *   ExtendedParameters          array; ignored when the count is 0. An entry that is unknown or
 *                  does not go with the flags is ignored when it is Optional, else the call fails
 *   ExtendedParametersCount     entries of the array; with 0 the call is ExAllocatePool2
 *   returns        the block, or NULL: as ExAllocatePool2; also for an array that is wrong, two
 *                  entries of one type, a priority that memory is too low for, a node that has no
 *                  memory (without MM_ANY_NODE_OK). With POOL_FLAG_RAISE_ON_FAILURE it raises
 *   irql           as ExAllocatePool2
 *   owns           as ExAllocatePool2; a secure block can be read, not written, and is freed by
 *                  ExFreePool2 with the handle and the cookie it was made with
 *   stops          as ExAllocatePool2
 *   source         api.md 3; ExAllocatePool3 and POOL_EXTENDED_PARAMETER pages
 */
PVOID ExAllocatePool3(POOL_FLAGS Flags,
                      SIZE_T NumberOfBytes,
                      ULONG Tag,
                      PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                      ULONG ExtendedParametersCount) __attribute__((malloc, alloc_size(2)));

/*
 * Allocate a block with unspecified contents.
 *
 *   PoolType       POOL_TYPE, OR-ed with POOL_RAISE_IF_ALLOCATION_FAILURE, POOL_COLD_ALLOCATION,
 *                  POOL_NX_ALLOCATION, POOL_ZERO_ALLOCATION; unknown bits are ignored
 *   NumberOfBytes  any
 *   Tag            not 0, not ' GIB'
 *   returns        the block; NULL without memory or over the pool's limit, or with
 *                  POOL_RAISE_IF_ALLOCATION_FAILURE raises STATUS_INSUFFICIENT_RESOURCES
 *   irql           paged <= APC_LEVEL, else <= DISPATCH_LEVEL
 *   owns           as ExAllocatePool2
 *   stops          BAD_POOL_CALLER 0x08 IRQL too high; 0x9A must-succeed type (type, bytes, tag);
 *                  0x9B tag 0, 0x9C tag ' GIB' (type, bytes, caller)
 *   source         api.md 2.1-2.8; ExAllocatePoolWithTag page
 */
PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
    __attribute__((malloc, alloc_size(2)));

/*
 * ExAllocatePoolWithTag with the tag None, when called as a function: (ExAllocatePool)(...). As a
 * macro the name supplies the tag "Wdm ", or "Ddk " where ntddk.h is included.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTag
 *   source         api.md 1.13, 2.4, 2.12, 9.32
 */
PVOID ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
    __attribute__((malloc, alloc_size(2)));

#define EXP_WDK_TAG_WDM 0x206D6457u /* ' mdW' */
#define ExAllocatePool(PoolType, NumberOfBytes)                                                    \
    ExAllocatePoolWithTag((PoolType), (NumberOfBytes), EXP_WDK_TAG_WDM)

/*
 * ExAllocatePoolWithTag for callers who can do without: the less urgent, the earlier refused.
 *
 *   PoolType, NumberOfBytes, Tag   as ExAllocatePoolWithTag
 *   Priority       Low is refused when the pool's free pages are below its low threshold, Normal
 *                  below a quarter of it, High when nothing is left; a pool without limit refuses
 *                  nobody. Placement bits are for special pool only
 *   returns, irql, owns, stops     as ExAllocatePoolWithTag; a refusal counts as no memory
 *   source         api.md 2.8, 3.2; ExAllocatePoolWithTagPriority page
 */
PVOID ExAllocatePoolWithTagPriority(POOL_TYPE PoolType,
                                    SIZE_T NumberOfBytes,
                                    ULONG Tag,
                                    EX_POOL_PRIORITY Priority)
    __attribute__((malloc, alloc_size(2)));

/*
 * ExAllocatePoolWithTag on the account of the current process. It raises where others give NULL.
 *
 *   PoolType       as ExAllocatePoolWithTag; with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE it gives NULL
 *   NumberOfBytes  any; only blocks below PAGE_SIZE are charged
 *   Tag            not 0, not ' GIB'
 *   returns        the block. Raises STATUS_QUOTA_EXCEEDED over the process's quota and
 *                  STATUS_INSUFFICIENT_RESOURCES without memory, unless NULL was asked for
 *   irql           paged <= APC_LEVEL, else <= DISPATCH_LEVEL
 *   owns           as ExAllocatePool2; the charge returns when the block is freed, by whomever
 *   stops          as ExAllocatePoolWithTag
 *   source         api.md 2.8, 2.11, 9.3, 9.15-9.17; ExAllocatePoolWithQuotaTag page
 */
PVOID ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
    __attribute__((malloc, alloc_size(2)));

/*
 * ExAllocatePoolWithQuotaTag with the tag None. Obsolete.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithQuotaTag
 *   source         api.md 2.4, 2.12
 */
PVOID ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
    __attribute__((malloc, alloc_size(2)));

/* ---- free ------------------------------------------------------------------------------------ */

/*
 * Free a block of any allocating routine, without a look at its tag.
 *
 *   P              a live block's address; not NULL
 *   irql           paged <= APC_LEVEL, else <= DISPATCH_LEVEL
 *   owns           the block is the pool's again
 *   stops          BAD_POOL_CALLER: 0x46 NULL or misaligned, 0x40 outside the pool, 0x42 never
 *                  handed out, 0x99 or 0x41286 inside a block, 0x07, 0x44 or 0x50 already free,
 *                  0x09 IRQL, 0x0A a protected tag
 *   source         api.md 2.4, 2.9; product.md 8; ExFreePool page
 */
VOID ExFreePool(PVOID P);

/*
 * Free a block and check its tag.
 *
 *   P              a live block's address; not NULL
 *   Tag            the tag it was allocated with; 0 accepts any tag that is not protected
 *   irql, owns     as ExFreePool
 *   stops          as ExFreePool; 0x0A for another tag (block, its tag, given tag)
 *   source         api.md 2.4, 2.9, 9.9; ExFreePoolWithTag page
 */
VOID ExFreePoolWithTag(PVOID P, ULONG Tag);

/*
 * Free a block of any allocating routine; the only way to free one of a secure pool.
 *
 *   P              a live block's address; not NULL
 *   Tag            as ExFreePoolWithTag
 *   ExtendedParameters, ExtendedParametersCount   NULL and 0: ExFreePoolWithTag. For a secure
 *                  block exactly one entry of type SecurePool with the block's handle and cookie,
 *                  a NULL Buffer and no flags
 *   irql           as ExFreePool; secure blocks <= DISPATCH_LEVEL
 *   owns           the block is the pool's again
 *   stops          as ExFreePoolWithTag; BAD_POOL_CALLER 0x99 for any other array, for a handle or
 *                  cookie that does not fit, and for a secure block that is not FREEABLE
 *   source         api.md 2.9, 2.12, 3.4, 9.22; ExFreePool2 page
 */
VOID ExFreePool2(PVOID P,
                 ULONG Tag,
                 PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                 ULONG ExtendedParametersCount);

/*
 * Usable size of a block. Obsolete.
 *
 *   PoolBlock      a live block's address
 *   QuotaCharged   receives TRUE when a process pays for it; not NULL
 *   returns        at least the requested bytes; the page-rounded size for blocks from PAGE_SIZE up
 *   irql           <= DISPATCH_LEVEL
 *   stops          BAD_POOL_CALLER as ExFreePool for an address that is not a live block's
 *   source         api.md 2.12, 4 (span)
 */
SIZE_T ExQueryPoolBlockSize(PVOID PoolBlock, PBOOLEAN QuotaCharged);

/* ---- quota. source: api.md 2.11, 2.12 -------------------------------------------------------- */

/* The System process: never charged. */
extern PEPROCESS PsInitialSystemProcess;

/*
 * The process that this thread acts for (expool_process_enter).
 *
 *   returns        PsInitialSystemProcess in a new thread. No reference is taken
 *   irql           any
 *   source         api.md 2.11; PsGetCurrentProcess page
 */
PEPROCESS PsGetCurrentProcess(VOID);

/*
 * Charge a process for pool, without a block.
 *
 *   Process        who pays
 *   PoolType       bit 1 set: paged quota, else nonpaged quota
 *   Amount         bytes
 *   returns        with the charge. Raises STATUS_QUOTA_EXCEEDED, with nothing charged, when the
 *                  limit would be passed
 *   irql           < DISPATCH_LEVEL
 *   owns           the caller returns the charge by PsReturnPoolQuota
 *   source         api.md 2.12, 9.19; PsChargePoolQuota page
 */
VOID PsChargePoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount);

/*
 * PsChargePoolQuota with a status instead of a raise.
 *
 *   returns        STATUS_SUCCESS; STATUS_QUOTA_EXCEEDED, with nothing charged
 *   parameters, irql, owns, source   as PsChargePoolQuota
 */
NTSTATUS PsChargeProcessPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount);

/*
 * Return a charge.
 *
 *   Process, PoolType   as PsChargePoolQuota
 *   Amount         bytes; at most what is charged, or it raises STATUS_QUOTA_EXCEEDED
 *   irql           < DISPATCH_LEVEL
 *   source         api.md 2.12, 9.18; PsReturnPoolQuota page
 */
VOID PsReturnPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount);

/* ---- secure pool. source: api.md 3.4 --------------------------------------------------------- */

/*
 * Make a pool of blocks that can be read and, but through ExSecurePoolUpdate, not written. The
 * protection is the page protection of this process, not a hypervisor's.
 *
 *   Flags          POOL_CREATE_FLG_SECURE_POOL, optionally with POOL_CREATE_FLG_USE_GLOBAL_POOL
 *   Tag            any; for reports
 *   Params         NULL, or version 1 without parameters
 *   PoolHandle     receives the handle; not NULL
 *   returns        STATUS_SUCCESS; STATUS_INVALID_PARAMETER_1 for other flags,
 *                  STATUS_INVALID_PARAMETER for another version, STATUS_INVALID_PARAMETER_3 for a
 *                  name or another parameter, STATUS_INSUFFICIENT_RESOURCES without memory
 *   irql           PASSIVE_LEVEL
 *   owns           the caller destroys the pool by ExDestroyPool
 *   source         api.md 1.7, 3.4; ExCreatePool page
 */
NTSTATUS ExCreatePool(ULONG Flags,
                      ULONG_PTR Tag,
                      POOL_CREATE_EXTENDED_PARAMS *Params,
                      HANDLE *PoolHandle);

/*
 * Destroy a pool of ExCreatePool.
 *
 *   PoolHandle     a live handle without live blocks; dead afterwards
 *   irql           PASSIVE_LEVEL
 *   stops          BAD_POOL_CALLER 0x99 when blocks live, or for another handle
 *   source         api.md 3.4; ExDestroyPool page
 */
VOID ExDestroyPool(HANDLE PoolHandle);

/*
 * Replace bytes of a secure block.
 *
 *   SecurePoolHandle, Tag, Allocation, Cookie   those of the block
 *   Offset, Size   bytes of the block, all inside of it
 *   Buffer         Size bytes to be copied
 *   returns        STATUS_SUCCESS; with nothing changed STATUS_INVALID_HANDLE,
 *                  STATUS_INVALID_PARAMETER when another argument does not fit,
 *                  STATUS_ACCESS_DENIED when the block is not MODIFIABLE,
 *                  STATUS_INSUFFICIENT_RESOURCES when the system will not open its pages
 *   irql           <= APC_LEVEL
 *   source         api.md 3.4; ExSecurePoolUpdate page
 */
NTSTATUS ExSecurePoolUpdate(HANDLE SecurePoolHandle,
                            ULONG Tag,
                            PVOID Allocation,
                            ULONG_PTR Cookie,
                            SIZE_T Offset,
                            SIZE_T Size,
                            PVOID Buffer);

/*
 * Whether an address is a secure block of this pool with this tag and cookie.
 *
 *   SecurePoolHandle, Tag, Allocation, Cookie   any values
 *   returns        1 when all four fit, else 0
 *   irql           <= APC_LEVEL
 *   source         api.md 3.4; ExSecurePoolValidate page
 */
LOGICAL ExSecurePoolValidate(HANDLE SecurePoolHandle,
                             ULONG Tag,
                             PVOID Allocation,
                             ULONG_PTR Cookie);

/* ---- per-driver globals. source: api.md 1.8, 2.13 -------------------------------------------- */

#define EXP_WDK_PER_DRIVER __attribute__((weak, visibility("hidden")))

#define MdlMappingNoExecute 0x40000000

typedef enum _DRIVER_RUNTIME_INIT_FLAGS {
    DrvRtPoolNxOptIn = 0x00000001,
    LastDrvRtFlag = 0x00000002
} DRIVER_RUNTIME_INIT_FLAGS;

extern POOL_TYPE ExDefaultNonPagedPoolType EXP_WDK_PER_DRIVER;
extern ULONG ExDefaultMdlProtection EXP_WDK_PER_DRIVER;
extern BOOLEAN ExPoolZeroingNativelySupported EXP_WDK_PER_DRIVER;

POOL_TYPE ExDefaultNonPagedPoolType = NonPagedPoolExecute;
ULONG ExDefaultMdlProtection = 0;
BOOLEAN ExPoolZeroingNativelySupported = FALSE;

/*
 * Set the image's globals: no-execute nonpaged memory when asked; that this pool zeroes natively.
 *
 *   RuntimeFlags   0 or DrvRtPoolNxOptIn
 *   irql           PASSIVE_LEVEL, before the first NonPagedPool of a POOL_NX_OPTIN image
 *   source         api.md 2.13. The library that comes with this header always honours
 *                  POOL_ZERO_ALLOCATION (api.md 8.6, class 227), so nothing needs to be asked
 */
static inline VOID ExInitializeDriverRuntime(ULONG RuntimeFlags)
{
    if ((RuntimeFlags & DrvRtPoolNxOptIn) != 0) {
        ExDefaultNonPagedPoolType = NonPagedPoolNx;
        ExDefaultMdlProtection = MdlMappingNoExecute;
    }
#if defined(POOL_ZERO_DOWN_LEVEL_SUPPORT)
    ExPoolZeroingNativelySupported = TRUE;
#endif
}

/*
 * What the Zero wrappers of this file do: bit 1024 of the type; or, in a file with
 * POOL_ZERO_DOWN_LEVEL_SUPPORT, zeroing by hand until ExInitializeDriverRuntime has found native
 * support. Both give zeros here. source: api.md 2.13
 */
#if defined(POOL_ZERO_DOWN_LEVEL_SUPPORT)
#define EXP_WDK_ZERO_BY_HAND (!ExPoolZeroingNativelySupported)
#else
#define EXP_WDK_ZERO_BY_HAND 0
#endif

static inline POOL_TYPE exp_wdk_type_zero(POOL_TYPE type)
{
    return (POOL_TYPE)(EXP_WDK_ZERO_BY_HAND ? type : type | POOL_ZERO_ALLOCATION);
}

static inline POOL_TYPE exp_wdk_type_uninitialized(POOL_TYPE type)
{
    return (POOL_TYPE)((ULONG)type & ~(ULONG)POOL_ZERO_ALLOCATION);
}

static inline PVOID exp_wdk_zeroed(PVOID block, SIZE_T bytes)
{
    if (EXP_WDK_ZERO_BY_HAND && block != NULL) {
        __builtin_memset(block, 0, bytes);
    }
    return block;
}

/*
 * ExAllocatePoolWithTag with zeroed contents.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTag
 *   source         api.md 2.12, 2.13
 */
static inline PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return exp_wdk_zeroed(ExAllocatePoolWithTag(exp_wdk_type_zero(PoolType), NumberOfBytes, Tag),
                          NumberOfBytes);
}

/*
 * ExAllocatePoolWithTag with unspecified contents, said aloud.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTag
 *   source         api.md 2.12
 */
static inline PVOID ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithTag(exp_wdk_type_uninitialized(PoolType), NumberOfBytes, Tag);
}

/*
 * ExAllocatePoolWithQuotaTag with zeroed contents.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithQuotaTag
 *   source         api.md 2.12, 2.13
 */
static inline PVOID ExAllocatePoolQuotaZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return exp_wdk_zeroed(
        ExAllocatePoolWithQuotaTag(exp_wdk_type_zero(PoolType), NumberOfBytes, Tag), NumberOfBytes);
}

/*
 * ExAllocatePoolWithQuotaTag with unspecified contents, said aloud.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithQuotaTag
 *   source         api.md 2.12
 */
static inline PVOID ExAllocatePoolQuotaUninitialized(POOL_TYPE PoolType,
                                                     SIZE_T NumberOfBytes,
                                                     ULONG Tag)
{
    return ExAllocatePoolWithQuotaTag(exp_wdk_type_uninitialized(PoolType), NumberOfBytes, Tag);
}

/*
 * ExAllocatePoolWithTagPriority with zeroed contents.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTagPriority
 *   source         api.md 2.12, 2.13
 */
static inline PVOID ExAllocatePoolPriorityZero(POOL_TYPE PoolType,
                                               SIZE_T NumberOfBytes,
                                               ULONG Tag,
                                               EX_POOL_PRIORITY Priority)
{
    return exp_wdk_zeroed(
        ExAllocatePoolWithTagPriority(exp_wdk_type_zero(PoolType), NumberOfBytes, Tag, Priority),
        NumberOfBytes);
}

/*
 * ExAllocatePoolWithTagPriority with unspecified contents, said aloud.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTagPriority
 *   source         api.md 2.12
 */
static inline PVOID ExAllocatePoolPriorityUninitialized(POOL_TYPE PoolType,
                                                        SIZE_T NumberOfBytes,
                                                        ULONG Tag,
                                                        EX_POOL_PRIORITY Priority)
{
    return ExAllocatePoolWithTagPriority(
        exp_wdk_type_uninitialized(PoolType), NumberOfBytes, Tag, Priority);
}

/*
 * No-execute opt-in: what the names of executable nonpaged pool mean in this file.
 * source: api.md 2.13 (POOL_NX_OPTOUT cancels both)
 */
#if !(defined(POOL_NX_OPTOUT) && POOL_NX_OPTOUT)
#if defined(POOL_NX_OPTIN_AUTO) && POOL_NX_OPTIN_AUTO
#define EXP_WDK_NX_OPTIN
#define NonPagedPool             NonPagedPoolNx
#define NonPagedPoolCacheAligned NonPagedPoolNxCacheAligned
#elif defined(POOL_NX_OPTIN) && POOL_NX_OPTIN
#define EXP_WDK_NX_OPTIN
#define NonPagedPool             ExDefaultNonPagedPoolType
#define NonPagedPoolCacheAligned ((POOL_TYPE)(ExDefaultNonPagedPoolType + 4))
#endif
#endif

/*
 * The slip: a POOL_TYPE, or a constant that names no pool, where POOL_FLAGS belong.
 *
 * Two things are told at compile time: anything of the type POOL_TYPE, and a constant whose
 * required half does not name exactly one pool or has a bit that is never granted; each such call
 * fails, so no right call is told. In C an enumerated type is compatible with unsigned int, and
 * what tells them apart is that only the latter is compatible with another enumerated type too.
 * A sum with a variable of type POOL_TYPE is an unsigned int like any other: that is told at run
 * time only.
 *
 * The words are a warning of a function that is called, when it is a slip, with or instead of the
 * routine; each compiler has its own way to choose that is decided before anything is optimised.
 * Nothing is evaluated twice, and nothing is left in an optimised program.
 *
 * source: api.md 2.2 (POOL_TYPE for POOL_FLAGS: both must fail)
 */
#define EXP_WDK_SLIP_WORDS                                                                         \
    "POOL_FLAGS name exactly one pool (POOL_FLAG_PAGED, POOL_FLAG_NON_PAGED or "                   \
    "POOL_FLAG_NON_PAGED_EXECUTE); this is a POOL_TYPE or names none: the call always fails"

#define EXP_WDK_FLAGS_NEVER 0xFFFFFE10u /* required bits that are refused */
#define EXP_WDK_FLAGS_POOL  0x000001C0u
#define EXP_WDK_FLAGS_WRONG(flags)                                                                 \
    (((flags)&EXP_WDK_FLAGS_NEVER) != 0 || ((flags)&EXP_WDK_FLAGS_POOL) == 0 ||                    \
     (((flags)&EXP_WDK_FLAGS_POOL) & (((flags)&EXP_WDK_FLAGS_POOL) - 1)) != 0)

#ifdef __cplusplus
} /* of extern "C" */
template <typename Type> struct exp_wdk_is_type {
    static constexpr bool value = false;
};
template <> struct exp_wdk_is_type<POOL_TYPE> {
    static constexpr bool value = true;
};
template <typename Type> struct exp_wdk_is_type<Type &> : exp_wdk_is_type<Type> {
};
template <typename Type> struct exp_wdk_is_type<Type &&> : exp_wdk_is_type<Type> {
};
template <typename Type> struct exp_wdk_is_type<const Type> : exp_wdk_is_type<Type> {
};
template <typename Type> struct exp_wdk_is_type<volatile Type> : exp_wdk_is_type<Type> {
};
template <typename Type> struct exp_wdk_is_type<const volatile Type> : exp_wdk_is_type<Type> {
};
#define EXP_WDK_IS_SLIP(flags)                                                                     \
    (exp_wdk_is_type<decltype(flags)>::value ||                                                    \
     (__builtin_constant_p(flags) && EXP_WDK_FLAGS_WRONG(flags)))
#else
/* An integer constant expression times 0 is a null pointer constant, and only such a one is. */
#define EXP_WDK_IS_CONSTANT(flags)                                                                 \
    __builtin_types_compatible_p(__typeof__(1 ? (void *)((ULONG_PTR)(flags)*0) : (int *)0), int *)
#define EXP_WDK_IS_SLIP(flags)                                                                     \
    ((__builtin_types_compatible_p(__typeof__(flags), POOL_TYPE) &&                                \
      !__builtin_types_compatible_p(__typeof__(flags), EX_POOL_PRIORITY)) ||                       \
     EXP_WDK_FLAGS_WRONG(                                                                          \
         __builtin_choose_expr(EXP_WDK_IS_CONSTANT(flags), (flags), POOL_FLAG_PAGED)))
#endif

#if defined(__clang__)
static inline POOL_FLAGS exp_wdk_flags(POOL_FLAGS flags, int slip)
    __attribute__((always_inline, diagnose_if(slip, EXP_WDK_SLIP_WORDS, "warning")));
static inline POOL_FLAGS exp_wdk_flags(POOL_FLAGS flags, int slip)
{
    (void)slip;
    return flags;
}
#define EXP_WDK_POOL2(flags) ExAllocatePool2
#define EXP_WDK_POOL3(flags) ExAllocatePool3
#define EXP_WDK_FLAGS(flags) exp_wdk_flags((flags), EXP_WDK_IS_SLIP(flags))
#elif defined(__cplusplus)
template <bool slip>
inline __attribute__((always_inline)) POOL_FLAGS exp_wdk_flags(POOL_FLAGS flags)
{
    return flags;
}
template <>
__attribute__((noipa, warning(EXP_WDK_SLIP_WORDS))) inline POOL_FLAGS exp_wdk_flags<true>(
    POOL_FLAGS flags)
{
    return flags;
}
#define EXP_WDK_POOL2(flags) ExAllocatePool2
#define EXP_WDK_POOL3(flags) ExAllocatePool3
#define EXP_WDK_FLAGS(flags) exp_wdk_flags<EXP_WDK_IS_SLIP(flags)>(flags)
#else
PVOID exp_wdk_slip2(POOL_FLAGS, SIZE_T, ULONG) __asm__("ExAllocatePool2")
    __attribute__((warning(EXP_WDK_SLIP_WORDS)));
PVOID exp_wdk_slip3(POOL_FLAGS, SIZE_T, ULONG, PCPOOL_EXTENDED_PARAMETER, ULONG) __asm__(
    "ExAllocatePool3") __attribute__((warning(EXP_WDK_SLIP_WORDS)));
#define EXP_WDK_POOL2(flags)                                                                       \
    __builtin_choose_expr(EXP_WDK_IS_SLIP(flags), exp_wdk_slip2, ExAllocatePool2)
#define EXP_WDK_POOL3(flags)                                                                       \
    __builtin_choose_expr(EXP_WDK_IS_SLIP(flags), exp_wdk_slip3, ExAllocatePool3)
#define EXP_WDK_FLAGS(flags) (flags)
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define ExAllocatePool2(Flags, NumberOfBytes, Tag)                                                 \
    (EXP_WDK_POOL2(Flags)(EXP_WDK_FLAGS(Flags), (NumberOfBytes), (Tag)))
/* With all but the flags as they come: an entry may be a compound literal, whose commas part it. */
#define ExAllocatePool3(Flags, ...) (EXP_WDK_POOL3(Flags)(EXP_WDK_FLAGS(Flags), __VA_ARGS__))

C_ASSERT(sizeof(POOL_TYPE) == 4 && sizeof(EX_POOL_PRIORITY) == 4 && sizeof(POOL_FLAGS) == 8);
C_ASSERT(sizeof(POOL_EXTENDED_PARAMETER) == 16 && TYPE_ALIGNMENT(POOL_EXTENDED_PARAMETER) == 8);

#ifdef __cplusplus
}
#endif

#endif
