/* SPDX-License-Identifier: MIT */
/*
 * Codes of bug checks ("stops") that the pool and its checks can raise.
 *
 * source      api.md 1.12; spec/diagnostics.md 1.1; the public bug check code reference
 */
#ifndef EXP_WDK_BUGCODES_H
#define EXP_WDK_BUGCODES_H

/* clang-format off */
#define IRQL_NOT_GREATER_OR_EQUAL                 0x00000009u
#define IRQL_NOT_LESS_OR_EQUAL                    0x0000000Au
#define SPIN_LOCK_NOT_OWNED                       0x00000010u
#define BAD_POOL_HEADER                           0x00000019u
#define KMODE_EXCEPTION_NOT_HANDLED               0x0000001Eu
#define QUOTA_UNDERFLOW                           0x00000021u
#define MUST_SUCCEED_POOL_EMPTY                   0x00000041u
#define PAGE_FAULT_IN_NONPAGED_AREA               0x00000050u
#define SESSION_HAS_VALID_POOL_ON_EXIT            0x000000ABu
#define ATTEMPTED_WRITE_TO_READONLY_MEMORY        0x000000BEu
#define SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION   0x000000C1u
#define BAD_POOL_CALLER                           0x000000C2u
#define DRIVER_VERIFIER_DETECTED_VIOLATION        0x000000C4u
#define DRIVER_CORRUPTED_EXPOOL                   0x000000C5u
#define DRIVER_CAUGHT_MODIFYING_FREED_POOL        0x000000C6u
#define TIMER_OR_DPC_INVALID                      0x000000C7u
#define DRIVER_VERIFIER_IOMANAGER_VIOLATION       0x000000C9u
#define DRIVER_LEFT_LOCKED_PAGES_IN_PROCESS       0x000000CBu
#define PAGE_FAULT_IN_FREED_SPECIAL_POOL          0x000000CCu
#define PAGE_FAULT_BEYOND_END_OF_ALLOCATION       0x000000CDu
#define DRIVER_CORRUPTED_MMPOOL                   0x000000D0u
#define DRIVER_IRQL_NOT_LESS_OR_EQUAL             0x000000D1u
#define DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL   0x000000D5u
#define DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION 0x000000D6u
#define SESSION_HAS_VALID_SPECIAL_POOL_ON_EXIT    0x000000ECu
#define ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY     0x000000FCu
#define NETIO_INVALID_POOL_CALLER                 0x00000126u
#define FAULTY_HARDWARE_CORRUPTED_PAGE            0x0000012Bu
#define KERNEL_MODE_HEAP_CORRUPTION               0x0000013Au
/* clang-format on */

#endif
