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
 * What this file refuses to do: it declares no routine that the library does not have yet.
 *
 * source      api.md 1.2-1.8, 1.13, 2; ExAllocatePool2, POOL_FLAGS and POOL_TYPE pages of the DDI
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
 *   returns        the block; NULL without memory, over the pool's limit, for tag 0 and for unknown
 *                  or contradictory required flags. With POOL_FLAG_RAISE_ON_FAILURE it raises
 * instead: STATUS_INSUFFICIENT_RESOURCES or STATUS_INVALID_PARAMETER irql           paged <=
 * APC_LEVEL, else <= DISPATCH_LEVEL owns           the caller owns the block until ExFreePool or
 * ExFreePoolWithTag stops          BAD_POOL_CALLER 0x08 IRQL too high (IRQL, POOL_TYPE, bytes);
 * 0x9C tag ' GIB' source         api.md 2.2-2.8; ExAllocatePool2 page
 */
PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
    __attribute__((malloc, alloc_size(2)));

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

/* ---- free ------------------------------------------------------------------------------------ */

/*
 * Free a block of any allocating routine, without a look at its tag.
 *
 *   P              a live block's address; not NULL
 *   irql           paged <= APC_LEVEL, else <= DISPATCH_LEVEL
 *   owns           the block is the pool's again
 *   stops          BAD_POOL_CALLER: 0x46 NULL or misaligned, 0x40 outside the pool, 0x42 never
 *                  handed out, 0x99 or 0x41286 inside a block, 0x07, 0x44 or 0x50 already free,
 * 0x09 IRQL, 0x0A a protected tag source         api.md 2.4, 2.9; product.md 8; ExFreePool page
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
 * ExAllocatePoolWithTag with zeroed contents. A file with POOL_ZERO_DOWN_LEVEL_SUPPORT zeroes by
 * hand until ExInitializeDriverRuntime has found native support.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTag
 *   source         api.md 2.12, 2.13
 */
static inline PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
#if defined(POOL_ZERO_DOWN_LEVEL_SUPPORT)
    if (!ExPoolZeroingNativelySupported) {
        PVOID block = ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag);

        if (block != NULL) {
            __builtin_memset(block, 0, NumberOfBytes);
        }
        return block;
    }
#endif
    return ExAllocatePoolWithTag((POOL_TYPE)(PoolType | POOL_ZERO_ALLOCATION), NumberOfBytes, Tag);
}

/*
 * ExAllocatePoolWithTag with unspecified contents, said aloud.
 *
 *   parameters, returns, irql, owns, stops   as ExAllocatePoolWithTag
 *   source         api.md 2.12
 */
static inline PVOID ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithTag((POOL_TYPE)(PoolType & ~POOL_ZERO_ALLOCATION), NumberOfBytes, Tag);
}

/*
 * No-execute opt-in: what the names of executable nonpaged pool mean in this file.
 * source: api.md 2.13 (POOL_NX_OPTOUT cancels both)
 */
#if !(defined(POOL_NX_OPTOUT) && POOL_NX_OPTOUT)
#if defined(POOL_NX_OPTIN_AUTO) && POOL_NX_OPTIN_AUTO
#define NonPagedPool             NonPagedPoolNx
#define NonPagedPoolCacheAligned NonPagedPoolNxCacheAligned
#elif defined(POOL_NX_OPTIN) && POOL_NX_OPTIN
#define NonPagedPool             ExDefaultNonPagedPoolType
#define NonPagedPoolCacheAligned ((POOL_TYPE)(ExDefaultNonPagedPoolType + 4))
#endif
#endif

C_ASSERT(sizeof(POOL_TYPE) == 4 && sizeof(EX_POOL_PRIORITY) == 4 && sizeof(POOL_FLAGS) == 8);
C_ASSERT(sizeof(POOL_EXTENDED_PARAMETER) == 16 && TYPE_ALIGNMENT(POOL_EXTENDED_PARAMETER) == 8);

#ifdef __cplusplus
}
#endif

#endif
