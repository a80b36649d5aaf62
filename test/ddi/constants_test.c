/* SPDX-License-Identifier: MIT */
/*
 * Constants and layouts of the driver headers (api 1 to 7).
 *
 * Each value of api.md 1.2 to 1.12 is asserted when this file is compiled, so that a wrong one
 * cannot even be built; at run time the same table is compared again and counted. Layouts are
 * asserted the same way with offsetof.
 */
#include "ddi_test.h"

#include <ntifs.h>

/* clang-format off */
/* name, value: everything whose value fits an enum constant or a 64-bit number */
#define VALUES(X)                                                                                  \
    X(NonPagedPool, 0) X(NonPagedPoolExecute, 0) X(NonPagedPoolBase, 0) X(PagedPool, 1)            \
    X(NonPagedPoolMustSucceed, 2) X(NonPagedPoolBaseMustSucceed, 2) X(DontUseThisType, 3)          \
    X(NonPagedPoolCacheAligned, 4) X(NonPagedPoolBaseCacheAligned, 4) X(PagedPoolCacheAligned, 5)  \
    X(NonPagedPoolCacheAlignedMustS, 6) X(NonPagedPoolBaseCacheAlignedMustS, 6) X(MaxPoolType, 7)  \
    X(NonPagedPoolSession, 32) X(PagedPoolSession, 33) X(NonPagedPoolMustSucceedSession, 34)       \
    X(DontUseThisTypeSession, 35) X(NonPagedPoolCacheAlignedSession, 36)                           \
    X(PagedPoolCacheAlignedSession, 37) X(NonPagedPoolCacheAlignedMustSSession, 38)                \
    X(NonPagedPoolNx, 512) X(NonPagedPoolNxCacheAligned, 516) X(NonPagedPoolSessionNx, 544)        \
    X(POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 8) X(POOL_RAISE_IF_ALLOCATION_FAILURE, 16)                 \
    X(POOL_COLD_ALLOCATION, 256) X(POOL_NX_ALLOCATION, 512) X(POOL_ZERO_ALLOCATION, 1024)          \
    X(POOL_FLAG_REQUIRED_START, 0x1) X(POOL_FLAG_USE_QUOTA, 0x1) X(POOL_FLAG_UNINITIALIZED, 0x2)   \
    X(POOL_FLAG_SESSION, 0x4) X(POOL_FLAG_CACHE_ALIGNED, 0x8) X(POOL_FLAG_RESERVED1, 0x10)         \
    X(POOL_FLAG_RAISE_ON_FAILURE, 0x20) X(POOL_FLAG_NON_PAGED, 0x40)                               \
    X(POOL_FLAG_NON_PAGED_EXECUTE, 0x80) X(POOL_FLAG_PAGED, 0x100) X(POOL_FLAG_RESERVED2, 0x200)   \
    X(POOL_FLAG_RESERVED3, 0x400) X(POOL_FLAG_REQUIRED_END, 0x80000000)                            \
    X(POOL_FLAG_OPTIONAL_START, 0x100000000) X(POOL_FLAG_SPECIAL_POOL, 0x100000000)                \
    X(POOL_FLAG_OPTIONAL_END, 0x8000000000000000)                                                  \
    X(LowPoolPriority, 0) X(LowPoolPrioritySpecialPoolOverrun, 8)                                  \
    X(LowPoolPrioritySpecialPoolUnderrun, 9) X(NormalPoolPriority, 16)                             \
    X(NormalPoolPrioritySpecialPoolOverrun, 24) X(NormalPoolPrioritySpecialPoolUnderrun, 25)       \
    X(HighPoolPriority, 32) X(HighPoolPrioritySpecialPoolOverrun, 40)                              \
    X(HighPoolPrioritySpecialPoolUnderrun, 41)                                                     \
    X(PoolExtendedParameterInvalidType, 0) X(PoolExtendedParameterPriority, 1)                     \
    X(PoolExtendedParameterSecurePool, 2) X(PoolExtendedParameterNumaNode, 3)                      \
    X(PoolExtendedParameterMax, 4) X(POOL_EXTENDED_PARAMETER_TYPE_BITS, 8)                         \
    X(POOL_EXTENDED_PARAMETER_REQUIRED_FIELD_BITS, 1) X(POOL_EXTENDED_PARAMETER_RESERVED_BITS, 55) \
    X(MM_ANY_NODE_OK, 0x80000000) X(SECURE_POOL_FLAGS_NONE, 0) X(SECURE_POOL_FLAGS_FREEABLE, 1)    \
    X(SECURE_POOL_FLAGS_MODIFIABLE, 2) X(POOL_CREATE_FLG_SECURE_POOL, 1)                           \
    X(POOL_CREATE_FLG_USE_GLOBAL_POOL, 2) X(POOL_CREATE_PARAMS_VERSION, 1)                         \
    X(PoolCreateExtendedParameterInvalidType, 0) X(PoolCreateExtendedParameterName, 1)             \
    X(DrvRtPoolNxOptIn, 1) X(LastDrvRtFlag, 2) X(MdlMappingNoExecute, 0x40000000)                  \
    X(EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL, 1) X(EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, 2)  \
    X(EX_MAXIMUM_LOOKASIDE_DEPTH_BASE, 256) X(EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT, 1024)              \
    X(LOOKASIDE_MINIMUM_BLOCK_SIZE, sizeof(void *))                                                \
    X(PASSIVE_LEVEL, 0) X(LOW_LEVEL, 0) X(APC_LEVEL, 1) X(DISPATCH_LEVEL, 2)                       \
    X(PAGE_SIZE, 0x1000) X(PAGE_SHIFT, 12) X(SYSTEM_CACHE_ALIGNMENT_SIZE, 64)                      \
    X(NotificationEvent, 0) X(SynchronizationEvent, 1) X(KernelMode, 0) X(UserMode, 1)             \
    X(Executive, 0) X(MmSmallSystem, 0) X(MmMediumSystem, 1) X(MmLargeSystem, 2)                   \
    X(EXCEPTION_EXECUTE_HANDLER, 1) X(EXCEPTION_CONTINUE_SEARCH, 0)                                \
    X(EXCEPTION_CONTINUE_EXECUTION, -1) X(EXCEPTION_NONCONTINUABLE, 1)                             \
    X(EXCEPTION_UNWINDING, 2) X(EXCEPTION_EXIT_UNWIND, 4) X(EXCEPTION_MAXIMUM_PARAMETERS, 15)      \
    X(EX_DEFAULT_PUSH_LOCK_FLAGS, 0) X(PROTECTED_POOL, 0x80000000)                                 \
    X(SystemPerformanceInformation, 2) X(SystemPagedPoolInformation, 14)                           \
    X(SystemNonPagedPoolInformation, 15) X(SystemPoolTagInformation, 22)                           \
    X(SystemLookasideInformation, 45) X(SystemBigPoolInformation, 66)                              \
    X(SystemSessionPoolTagInformation, 67) X(SystemSpecialPoolInformation, 87)                     \
    X(SystemSessionBigPoolInformation, 125) X(SystemPoolZeroingInformation, 227)                   \
    X(SystemPoolTagInformation2, 255)

#if !defined(__i386__)
#define LEVELS(X)                                                                                  \
    X(CMCI_LEVEL, 5) X(CLOCK_LEVEL, 13) X(IPI_LEVEL, 14) X(DRS_LEVEL, 14) X(POWER_LEVEL, 14)       \
    X(PROFILE_LEVEL, 15) X(HIGH_LEVEL, 15)
#else
#define LEVELS(X) X(PROFILE_LEVEL, 27) X(HIGH_LEVEL, 31)
#endif

/* name, value as 32 bits: statuses and bug checks */
#define CODES(X)                                                                                   \
    X(STATUS_SUCCESS, 0x00000000) X(STATUS_WAIT_0, 0x00000000) X(STATUS_USER_APC, 0x000000C0)      \
    X(STATUS_ALERTED, 0x00000101) X(STATUS_TIMEOUT, 0x00000102)                                    \
    X(STATUS_DATATYPE_MISALIGNMENT, 0x80000002) X(STATUS_NOT_IMPLEMENTED, 0xC0000002)              \
    X(STATUS_INVALID_INFO_CLASS, 0xC0000003) X(STATUS_INFO_LENGTH_MISMATCH, 0xC0000004)            \
    X(STATUS_ACCESS_VIOLATION, 0xC0000005) X(STATUS_INVALID_HANDLE, 0xC0000008)                    \
    X(STATUS_INVALID_PARAMETER, 0xC000000D) X(STATUS_ACCESS_DENIED, 0xC0000022)                    \
    X(STATUS_OBJECT_NAME_NOT_FOUND, 0xC0000034) X(STATUS_QUOTA_EXCEEDED, 0xC0000044)               \
    X(STATUS_INSUFFICIENT_RESOURCES, 0xC000009A) X(STATUS_NOT_SUPPORTED, 0xC00000BB)               \
    X(STATUS_INVALID_PARAMETER_1, 0xC00000EF) X(STATUS_INVALID_PARAMETER_2, 0xC00000F0)            \
    X(STATUS_INVALID_PARAMETER_3, 0xC00000F1) X(STATUS_INVALID_PARAMETER_4, 0xC00000F2)            \
    X(STATUS_INVALID_PARAMETER_5, 0xC00000F3) X(STATUS_OBJECT_NAME_COLLISION, 0xC0000035)          \
    X(STATUS_NONCONTINUABLE_EXCEPTION, 0xC0000025) X(STATUS_INVALID_DISPOSITION, 0xC0000026)       \
    X(IRQL_NOT_GREATER_OR_EQUAL, 0x09) X(IRQL_NOT_LESS_OR_EQUAL, 0x0A) X(BAD_POOL_HEADER, 0x19)    \
    X(KMODE_EXCEPTION_NOT_HANDLED, 0x1E) X(QUOTA_UNDERFLOW, 0x21) X(MUST_SUCCEED_POOL_EMPTY, 0x41) \
    X(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, 0xC1) X(BAD_POOL_CALLER, 0xC2)                      \
    X(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xC4) X(DRIVER_CAUGHT_MODIFYING_FREED_POOL, 0xC6)        \
    X(PAGE_FAULT_IN_FREED_SPECIAL_POOL, 0xCC) X(PAGE_FAULT_BEYOND_END_OF_ALLOCATION, 0xCD)         \
    X(KERNEL_MODE_HEAP_CORRUPTION, 0x13A)

/* clang-format on */

#define ASSERT_VALUE(name, value) C_ASSERT((uint64_t)(name) == (uint64_t)(value));
#define ASSERT_CODE(name, value)  C_ASSERT((uint32_t)(name) == (uint32_t)(value));
VALUES(ASSERT_VALUE)
LEVELS(ASSERT_VALUE)
CODES(ASSERT_CODE)

static void test_constants_all_have_the_published_values(void)
{
#define COMPARE_VALUE(name, value) DDI_EQUAL((uint64_t)(value), (uint64_t)(name));
#define COMPARE_CODE(name, value)  DDI_EQUAL((uint32_t)(value), (uint32_t)(name));
    VALUES(COMPARE_VALUE)
    LEVELS(COMPARE_VALUE)
    CODES(COMPARE_CODE)
    DDI_TRUE(NT_SUCCESS(STATUS_SUCCESS) && NT_SUCCESS(STATUS_TIMEOUT));
    DDI_TRUE(!NT_SUCCESS(STATUS_INSUFFICIENT_RESOURCES));
    DDI_TRUE(!NT_SUCCESS(STATUS_DATATYPE_MISALIGNMENT));
}

static void test_types_have_the_published_widths(void)
{
    DDI_EQUAL(4, sizeof(ULONG));
    DDI_EQUAL(4, sizeof(LONG));
    DDI_EQUAL(4, sizeof(NTSTATUS));
    DDI_EQUAL(2, sizeof(WCHAR));
    DDI_EQUAL(2, sizeof(USHORT));
    DDI_EQUAL(1, sizeof(BOOLEAN));
    DDI_EQUAL(1, sizeof(KIRQL));
    DDI_EQUAL(8, sizeof(ULONG64));
    DDI_EQUAL(8, sizeof(LONGLONG));
    DDI_EQUAL(8, sizeof(POOL_FLAGS));
    DDI_EQUAL(4, sizeof(POOL_TYPE));
    DDI_EQUAL(4, sizeof(EX_POOL_PRIORITY));
    DDI_EQUAL(4, sizeof(POOL_NODE_REQUIREMENT));
    DDI_EQUAL(sizeof(void *), sizeof(SIZE_T));
    DDI_EQUAL(sizeof(void *), sizeof(ULONG_PTR));
    DDI_TRUE((LONG)-1 < 0 && (ULONG)-1 > 0 && (CHAR)-1 < 0 && (SIZE_T)-1 > 0);
    DDI_EQUAL(2 * sizeof(void *), sizeof(UNICODE_STRING));
    DDI_EQUAL(4, sizeof(L"a"));
}

static void test_extended_parameter_has_the_published_layout(void)
{
    POOL_EXTENDED_PARAMETER parameter;
    uint64_t first;

    memset(&parameter, 0, sizeof(parameter));
    DDI_EQUAL(16, sizeof(parameter));
    DDI_EQUAL(8, TYPE_ALIGNMENT(POOL_EXTENDED_PARAMETER));
    DDI_EQUAL(8, offsetof(POOL_EXTENDED_PARAMETER, Reserved2));
    DDI_EQUAL(8, offsetof(POOL_EXTENDED_PARAMETER, Reserved3));
    DDI_EQUAL(8, offsetof(POOL_EXTENDED_PARAMETER, Priority));
    DDI_EQUAL(8, offsetof(POOL_EXTENDED_PARAMETER, SecurePoolParams));
    DDI_EQUAL(8, offsetof(POOL_EXTENDED_PARAMETER, PreferredNode));
    parameter.Type = PoolExtendedParameterPriority;
    parameter.Optional = 1;
    memcpy(&first, &parameter, sizeof(first));
    DDI_EQUAL(0x101, first);
    parameter.Type = 0;
    parameter.Optional = 0;
    parameter.Reserved = 1;
    memcpy(&first, &parameter, sizeof(first));
    DDI_EQUAL(0x200, first);
}

#if defined(__LP64__)
#define AT(type, field, offset) DDI_EQUAL(offset, offsetof(type, field))

static void test_secure_and_creation_parameters_have_the_published_layout(void)
{
    AT(POOL_EXTENDED_PARAMS_SECURE_POOL, SecurePoolHandle, 0x00);
    AT(POOL_EXTENDED_PARAMS_SECURE_POOL, Buffer, 0x08);
    AT(POOL_EXTENDED_PARAMS_SECURE_POOL, Cookie, 0x10);
    AT(POOL_EXTENDED_PARAMS_SECURE_POOL, SecurePoolFlags, 0x18);
    DDI_EQUAL(0x20, sizeof(POOL_EXTENDED_PARAMS_SECURE_POOL));
    AT(POOL_CREATE_EXTENDED_PARAMETER, Type, 0x0);
    AT(POOL_CREATE_EXTENDED_PARAMETER, PoolName, 0x8);
    DDI_EQUAL(0x18, sizeof(POOL_CREATE_EXTENDED_PARAMETER));
    AT(POOL_CREATE_EXTENDED_PARAMS, Version, 0x0);
    AT(POOL_CREATE_EXTENDED_PARAMS, ParameterCount, 0x4);
    AT(POOL_CREATE_EXTENDED_PARAMS, Parameters, 0x8);
    DDI_EQUAL(0x10, sizeof(POOL_CREATE_EXTENDED_PARAMS));
}

#define LOOKASIDE(type)                                                                            \
    AT(type, ListHead, 0x00);                                                                      \
    AT(type, SingleListHead, 0x00);                                                                \
    AT(type, Depth, 0x10);                                                                         \
    AT(type, MaximumDepth, 0x12);                                                                  \
    AT(type, TotalAllocates, 0x14);                                                                \
    AT(type, AllocateMisses, 0x18);                                                                \
    AT(type, AllocateHits, 0x18);                                                                  \
    AT(type, TotalFrees, 0x1C);                                                                    \
    AT(type, FreeMisses, 0x20);                                                                    \
    AT(type, FreeHits, 0x20);                                                                      \
    AT(type, Type, 0x24);                                                                          \
    AT(type, Tag, 0x28);                                                                           \
    AT(type, Size, 0x2C);                                                                          \
    AT(type, AllocateEx, 0x30);                                                                    \
    AT(type, Allocate, 0x30);                                                                      \
    AT(type, FreeEx, 0x38);                                                                        \
    AT(type, Free, 0x38);                                                                          \
    AT(type, ListEntry, 0x40);                                                                     \
    AT(type, LastTotalAllocates, 0x50);                                                            \
    AT(type, LastAllocateMisses, 0x54);                                                            \
    AT(type, LastAllocateHits, 0x54);                                                              \
    AT(type, Future, 0x58)

static void test_lookaside_structures_have_the_published_layout(void)
{
    LOOKASIDE(GENERAL_LOOKASIDE_POOL);
    LOOKASIDE(GENERAL_LOOKASIDE);
    DDI_EQUAL(16, sizeof(SLIST_HEADER));
    DDI_EQUAL(16, TYPE_ALIGNMENT(SLIST_ENTRY));
    DDI_EQUAL(16, TYPE_ALIGNMENT(LOOKASIDE_LIST_EX));
    DDI_EQUAL(64, TYPE_ALIGNMENT(NPAGED_LOOKASIDE_LIST));
    DDI_EQUAL(0x60, sizeof(GENERAL_LOOKASIDE_POOL));
    DDI_EQUAL(0x60, sizeof(LOOKASIDE_LIST_EX));
    DDI_EQUAL(0x80, sizeof(GENERAL_LOOKASIDE));
    DDI_EQUAL(0x80, sizeof(NPAGED_LOOKASIDE_LIST));
    DDI_EQUAL(0x80, sizeof(PAGED_LOOKASIDE_LIST));
}

static void test_tag_query_structures_have_the_published_layout(void)
{
    AT(SYSTEM_POOLTAG, Tag, 0x00);
    AT(SYSTEM_POOLTAG, TagUlong, 0x00);
    AT(SYSTEM_POOLTAG, PagedAllocs, 0x04);
    AT(SYSTEM_POOLTAG, PagedFrees, 0x08);
    AT(SYSTEM_POOLTAG, PagedUsed, 0x10);
    AT(SYSTEM_POOLTAG, NonPagedAllocs, 0x18);
    AT(SYSTEM_POOLTAG, NonPagedFrees, 0x1C);
    AT(SYSTEM_POOLTAG, NonPagedUsed, 0x20);
    DDI_EQUAL(0x28, sizeof(SYSTEM_POOLTAG));
    AT(SYSTEM_POOLTAG_INFORMATION, TagInfo, 0x08);
    DDI_EQUAL(0x30, sizeof(SYSTEM_POOLTAG_INFORMATION));
    AT(SYSTEM_POOLTAG2, PagedAllocs, 0x08);
    AT(SYSTEM_POOLTAG2, NonPagedUsed, 0x30);
    DDI_EQUAL(0x38, sizeof(SYSTEM_POOLTAG2));
    AT(SYSTEM_POOLTAG_INFORMATION2, TagInfo, 0x08);
    AT(SYSTEM_BIGPOOL_ENTRY, VirtualAddress, 0x00);
    AT(SYSTEM_BIGPOOL_ENTRY, SizeInBytes, 0x08);
    AT(SYSTEM_BIGPOOL_ENTRY, Tag, 0x10);
    AT(SYSTEM_BIGPOOL_ENTRY, TagUlong, 0x10);
    DDI_EQUAL(0x18, sizeof(SYSTEM_BIGPOOL_ENTRY));
    AT(SYSTEM_BIGPOOL_INFORMATION, AllocatedInfo, 0x08);
    AT(SYSTEM_SESSION_POOLTAG_INFORMATION, NextEntryOffset, 0x00);
    AT(SYSTEM_SESSION_POOLTAG_INFORMATION, SessionId, 0x08);
    AT(SYSTEM_SESSION_POOLTAG_INFORMATION, Count, 0x0C);
    AT(SYSTEM_SESSION_POOLTAG_INFORMATION, TagInfo, 0x10);
}

static void test_other_query_structures_have_the_published_layout(void)
{
    SYSTEM_BIGPOOL_ENTRY entry = { .VirtualAddress = (PVOID)(ULONG_PTR)0x1001 };

    DDI_EQUAL(1, entry.NonPaged);
    AT(SYSTEM_POOL_INFORMATION, TotalSize, 0x00);
    AT(SYSTEM_POOL_INFORMATION, FirstEntry, 0x08);
    AT(SYSTEM_POOL_INFORMATION, EntryOverhead, 0x10);
    AT(SYSTEM_POOL_INFORMATION, PoolTagPresent, 0x12);
    AT(SYSTEM_POOL_INFORMATION, Spare0, 0x13);
    AT(SYSTEM_POOL_INFORMATION, NumberOfEntries, 0x14);
    AT(SYSTEM_POOL_INFORMATION, Entries, 0x18);
    DDI_EQUAL(0x28, sizeof(SYSTEM_POOL_INFORMATION));
    AT(SYSTEM_POOL_ENTRY, AllocatorBackTraceIndex, 0x02);
    AT(SYSTEM_POOL_ENTRY, Size, 0x04);
    AT(SYSTEM_POOL_ENTRY, Tag, 0x08);
    AT(SYSTEM_POOL_ENTRY, ProcessChargedQuota, 0x08);
    DDI_EQUAL(0x10, sizeof(SYSTEM_POOL_ENTRY));
    AT(SYSTEM_LOOKASIDE_INFORMATION, CurrentDepth, 0x00);
    AT(SYSTEM_LOOKASIDE_INFORMATION, MaximumDepth, 0x02);
    AT(SYSTEM_LOOKASIDE_INFORMATION, TotalAllocates, 0x04);
    AT(SYSTEM_LOOKASIDE_INFORMATION, Type, 0x14);
    AT(SYSTEM_LOOKASIDE_INFORMATION, Size, 0x1C);
    DDI_EQUAL(0x20, sizeof(SYSTEM_LOOKASIDE_INFORMATION));
    AT(SYSTEM_PERFORMANCE_INFORMATION, AvailablePages, 0x2C);
    AT(SYSTEM_PERFORMANCE_INFORMATION, CommittedPages, 0x30);
    AT(SYSTEM_PERFORMANCE_INFORMATION, CommitLimit, 0x34);
    AT(SYSTEM_PERFORMANCE_INFORMATION, PeakCommitment, 0x38);
    AT(SYSTEM_PERFORMANCE_INFORMATION, PagedPoolPages, 0x70);
    AT(SYSTEM_PERFORMANCE_INFORMATION, NonPagedPoolPages, 0x74);
    AT(SYSTEM_PERFORMANCE_INFORMATION, PagedPoolAllocs, 0x78);
    AT(SYSTEM_PERFORMANCE_INFORMATION, PagedPoolFrees, 0x7C);
    AT(SYSTEM_PERFORMANCE_INFORMATION, NonPagedPoolAllocs, 0x80);
    AT(SYSTEM_PERFORMANCE_INFORMATION, NonPagedPoolFrees, 0x84);
    AT(SYSTEM_PERFORMANCE_INFORMATION, NonPagedPoolLookasideHits, 0x98);
    AT(SYSTEM_PERFORMANCE_INFORMATION, PagedPoolLookasideHits, 0x9C);
    AT(SYSTEM_PERFORMANCE_INFORMATION, AvailablePagedPoolPages, 0xA0);
    AT(SYSTEM_PERFORMANCE_INFORMATION, ResidentPagedPoolPage, 0xA8);
    DDI_EQUAL(0x178, sizeof(SYSTEM_PERFORMANCE_INFORMATION));
    DDI_EQUAL(8, sizeof(SYSTEM_SPECIAL_POOL_INFORMATION));
    DDI_EQUAL(1, sizeof(SYSTEM_POOL_ZEROING_INFORMATION));
}
#endif

static void test_tag_literal_packs_from_the_most_significant_byte(void)
{
    ULONG tag = 'Fred';

    DDI_EQUAL(0x46726564, tag);
    DDI_TRUE(memcmp(&tag, "derF", 4) == 0);
    DDI_EQUAL(0x656E6F4E, 'enoN');
    DDI_EQUAL(0x206D6457, ' mdW');
    DDI_EQUAL(0x206B6444, ' kdD');
    DDI_EQUAL(0x20474942, ' GIB');
    DDI_EQUAL(0x74725346, 'trSF');
}

static void test_list_macros_of_the_driver_headers_work(void)
{
    struct element {
        ULONG value;
        LIST_ENTRY link;
    } element[3] = { { 1, { 0 } }, { 2, { 0 } }, { 3, { 0 } } };
    LIST_ENTRY head;

    InitializeListHead(&head);
    DDI_TRUE(IsListEmpty(&head));
    InsertTailList(&head, &element[1].link);
    InsertTailList(&head, &element[2].link);
    InsertHeadList(&head, &element[0].link);
    for (ULONG i = 0; i < 3; ++i) {
        PLIST_ENTRY link = RemoveHeadList(&head);

        DDI_EQUAL(i + 1, CONTAINING_RECORD(link, struct element, link)->value);
    }
    DDI_TRUE(IsListEmpty(&head));
}

static const struct ddi_test tests[] = {
    DDI_TEST("1", test_constants_all_have_the_published_values),
    DDI_TEST("2", test_types_have_the_published_widths),
    DDI_TEST("3", test_extended_parameter_has_the_published_layout),
#if defined(__LP64__)
    DDI_TEST("4", test_secure_and_creation_parameters_have_the_published_layout),
    DDI_TEST("5", test_lookaside_structures_have_the_published_layout),
    DDI_TEST("6", test_tag_query_structures_have_the_published_layout),
    DDI_TEST("6", test_other_query_structures_have_the_published_layout),
#endif
    DDI_TEST("7", test_tag_literal_packs_from_the_most_significant_byte),
    DDI_TEST("1", test_list_macros_of_the_driver_headers_work),
};

DDI_MAIN(tests)
