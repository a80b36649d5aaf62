/* SPDX-License-Identifier: MIT */
/* Words of the language: attributes, sizes, assertions, checked arithmetic. No state. */
#ifndef EXP_BASE_H
#define EXP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXP_INLINE                          static inline __attribute__((always_inline))
#define EXP_NOINLINE                        __attribute__((noinline))
#define EXP_COLD                            __attribute__((noinline, cold))
#define EXP_MUST_USE                        __attribute__((warn_unused_result))
#define EXP_HIDDEN                          __attribute__((visibility("hidden")))
#define EXP_EXPORT                          __attribute__((visibility("default")))
#define EXP_ALIGNED(bytes)                  __attribute__((aligned(bytes)))
#define EXP_LIKELY(condition)               __builtin_expect(!!(condition), 1)
#define EXP_UNLIKELY(condition)             __builtin_expect(!!(condition), 0)
#define EXP_STATIC_ASSERT(condition, words) _Static_assert(condition, words)

/* Our own mistakes only; a caller's argument is refused or stopped on, never asserted. */
#ifdef EXP_CHECKED
#define EXP_CHECKED_BUILD     1
#define EXP_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define EXP_CHECKED_BUILD     0
#define EXP_ASSERT(condition) ((void)sizeof(condition))
#endif

/* Everywhere 4096, whatever the host's page is (spec/api.md 1.10). */
#define EXP_PAGE_BYTES ((size_t)4096)
#define EXP_PAGE_SHIFT 12
#define EXP_PAGE_MASK  (EXP_PAGE_BYTES - 1)
/* Blocks start at multiples of this; sizes are rounded up to it (spec/api.md 2.7, 64-bit). */
#define EXP_GRANULE    ((size_t)16)
#define EXP_LINE_BYTES 64

/* True when a + b does not fit. */
EXP_INLINE bool exp_add_overflows(size_t a, size_t b, size_t *sum)
{
    return __builtin_add_overflow(a, b, sum);
}

/* True when a * b does not fit. */
EXP_INLINE bool exp_mul_overflows(size_t a, size_t b, size_t *product)
{
    return __builtin_mul_overflow(a, b, product);
}

/* bytes rounded up to a power of two; the caller knows that it fits. */
EXP_INLINE size_t exp_round_up(size_t bytes, size_t power_of_two)
{
    return (bytes + power_of_two - 1) & ~(power_of_two - 1);
}

EXP_INLINE size_t exp_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

EXP_INLINE size_t exp_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Index of the lowest and of the highest bit set; word is not 0. */
EXP_INLINE unsigned exp_bit_lowest(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

EXP_INLINE unsigned exp_bit_highest(uint64_t word)
{
    return 63u - (unsigned)__builtin_clzll(word);
}

#endif
