/* SPDX-License-Identifier: MIT */
/*
 * The only door to atomics. Relaxed unless the name says otherwise; acquire pairs with release.
 */
#ifndef EXP_ATOMIC_H
#define EXP_ATOMIC_H

#include "base/base.h"

#define exp_atomic_load(p)                __atomic_load_n((p), __ATOMIC_RELAXED)
#define exp_atomic_store(p, v)            __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define exp_atomic_load_acquire(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define exp_atomic_store_release(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define exp_atomic_add(p, v)              __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define exp_atomic_sub(p, v)              __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
/* The last one to let go sees what all others did before. */
#define exp_atomic_sub_release(p, v)      __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define exp_atomic_exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define exp_atomic_exchange_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)

/* *word = desired when it was expected; acquire on success. */
EXP_INLINE bool exp_atomic_try_acquire(uint32_t *word, uint32_t expected, uint32_t desired)
{
    return __atomic_compare_exchange_n(
        word, &expected, desired, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* *place = fresh when it was NULL; release, and acquire of what another put there. */
EXP_INLINE bool exp_atomic_try_publish(void **place, void *fresh)
{
    void *expected = NULL;
    return __atomic_compare_exchange_n(
        place, &expected, fresh, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE);
}

/* *state = desired when it is expected; relaxed. */
EXP_INLINE bool exp_atomic_try_state(uint16_t *state, uint16_t expected, uint16_t desired)
{
    return __atomic_compare_exchange_n(
        state, &expected, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* *word = desired when it is *expected, else *expected = *word. */
EXP_INLINE bool exp_atomic_try_swap(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(
        word, expected, desired, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/*
 * A relaxed load of an aligned 16-bit word that the compiler may fold into a comparison, which it
 * never does for an atomic one. For words that are read once and then only compared or used as an
 * index that is checked.
 */
EXP_INLINE uint16_t exp_atomic_peek(const uint16_t *word)
{
#if defined(__SANITIZE_THREAD__)
    return exp_atomic_load(word);
#else
    return *word;
#endif
}

/* Let a spinning processor breathe. */
EXP_INLINE void exp_atomic_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/*
 * Add to a counter that has one writer and any readers. Without a sanitizer this is one add to
 * memory: aligned 64-bit stores are single on every target we build for, which the readers rely on.
 */
EXP_INLINE void exp_counter_add(uint64_t *counter, uint64_t value)
{
#if defined(__SANITIZE_THREAD__) || UINTPTR_MAX < UINT64_MAX
    exp_atomic_store(counter, exp_atomic_load(counter) + value);
#else
    *counter += value;
#endif
}

#endif
