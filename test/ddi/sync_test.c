/* SPDX-License-Identifier: MIT */
/*
 * Interlocked operations, spin locks and fast mutexes: their values, the IRQL they leave, exclusion
 * among threads, and what misuse stops with.
 *
 * Exclusion is shown by plain counters that every thread changes under the lock: the sum is exact,
 * and the thread sanitizer sees the lock order the accesses. Threads are more than processors, so
 * that holders lose theirs.
 */
#include "ddi_test.h"

#include <pthread.h>
#include <wdm.h>

enum {
    SYNC_THREADS = 6,
    SYNC_ROUNDS = 20000
};

C_ASSERT(sizeof(KSPIN_LOCK) == sizeof(PVOID));
C_ASSERT(offsetof(FAST_MUTEX, Owner) == sizeof(PVOID));
C_ASSERT(offsetof(FAST_MUTEX, Contention) == 2 * sizeof(PVOID));
C_ASSERT(offsetof(FAST_MUTEX, Event) == 3 * sizeof(PVOID));
C_ASSERT(offsetof(FAST_MUTEX, OldIrql) == 3 * sizeof(PVOID) + sizeof(KEVENT));

static struct {
    KSPIN_LOCK lock;
    FAST_MUTEX mutex;
    unsigned long plain; /* under the lock of the test */
    bool inside;         /* under the same: somebody is there */
    LONG failures;       /* interlocked */
    LONG volatile counter;
    LONGLONG volatile wide;
} shared;

static void start(void)
{
    memset(&shared, 0, sizeof(shared));
    KeInitializeSpinLock(&shared.lock);
    ExInitializeFastMutex(&shared.mutex);
}

static void run_threads(void *(*body)(void *))
{
    pthread_t threads[SYNC_THREADS];

    for (size_t i = 0; i < SYNC_THREADS; ++i) {
        DDI_EQUAL(0, pthread_create(&threads[i], NULL, body, (void *)i));
    }
    for (size_t i = 0; i < SYNC_THREADS; ++i) {
        DDI_EQUAL(0, pthread_join(threads[i], NULL));
    }
    DDI_EQUAL(0, shared.failures);
}

/* What a thread does while it holds the lock. */
static void inside(int round, KIRQL level)
{
    if (shared.inside || KeGetCurrentIrql() != level) {
        InterlockedIncrement(&shared.failures);
    }
    shared.inside = true;
    shared.plain++;
    if (round % 64 == 0) {
        sched_yield(); /* the holder loses its processor */
    }
    shared.inside = false;
}

static void test_interlocked_operations_return_what_is_documented(void)
{
    LONG volatile value = 5;
    LONGLONG volatile wide = 1LL << 40;
    PVOID volatile pointer = NULL;
    LONG volatile bits[2] = { 0, 0 };
    int other = 0;

    DDI_EQUAL(6, InterlockedIncrement(&value));
    DDI_EQUAL(5, InterlockedDecrement(&value));
    DDI_EQUAL(5, InterlockedExchange(&value, 7));
    DDI_EQUAL(7, InterlockedExchangeAdd(&value, -10));
    DDI_EQUAL(-3, value);
    DDI_EQUAL(-3, InterlockedExchange(&value, 0xF0));
    DDI_EQUAL(0xF0, InterlockedOr(&value, 0x0F));
    DDI_EQUAL(0xFF, InterlockedAnd(&value, 0x3C));
    DDI_EQUAL(0x3C, InterlockedXor(&value, 0xFF));
    DDI_EQUAL(0xC3, InterlockedCompareExchange(&value, 1, 2));
    DDI_EQUAL(0xC3, InterlockedCompareExchange(&value, 1, 0xC3));
    DDI_EQUAL(1, value);
    DDI_EQUAL((1LL << 40) + 1, InterlockedIncrement64(&wide));
    DDI_EQUAL(1LL << 40, InterlockedDecrement64(&wide));
    DDI_EQUAL(1LL << 40, InterlockedExchangeAdd64(&wide, 1LL << 41));
    DDI_EQUAL(3LL << 40, InterlockedCompareExchange64(&wide, 9, 3LL << 40));
    DDI_EQUAL(9, InterlockedExchange64(&wide, 12));
    DDI_EQUAL(12, InterlockedOr64(&wide, 3));
    DDI_EQUAL(15, InterlockedAnd64(&wide, 6));
    DDI_EQUAL(6, InterlockedXor64(&wide, 2));
    DDI_EQUAL(4, wide);
    DDI_TRUE(InterlockedExchangePointer(&pointer, &shared) == NULL);
    DDI_TRUE(InterlockedCompareExchangePointer(&pointer, NULL, &other) == &shared);
    DDI_TRUE(InterlockedCompareExchangePointer(&pointer, NULL, &shared) == &shared);
    DDI_TRUE(pointer == NULL);
    DDI_EQUAL(0, InterlockedBitTestAndSet(bits, 31));
    DDI_EQUAL(1, InterlockedBitTestAndSet(bits, 31));
    DDI_EQUAL(0, InterlockedBitTestAndSet(bits, 33));
    DDI_EQUAL((LONG)0x80000000, bits[0]);
    DDI_EQUAL(2, bits[1]);
    DDI_EQUAL(1, InterlockedBitTestAndReset(bits, 33));
    DDI_EQUAL(0, InterlockedBitTestAndReset(bits, 33));
    DDI_EQUAL(0, InterlockedBitTestAndComplement(bits, 0));
    DDI_EQUAL((LONG)0x80000001, bits[0]);
}

static void *count(void *argument)
{
    (void)argument;
    for (int i = 0; i < SYNC_ROUNDS; ++i) {
        (void)InterlockedIncrement(&shared.counter);
        (void)InterlockedExchangeAdd64(&shared.wide, 1LL << 20);
    }
    return NULL;
}

static void test_single_accesses_read_what_was_written(void)
{
    LONG volatile word = 0;
    LONG64 volatile wide = 0;
    ULONG volatile unsigned_word = 0;
    ULONG64 volatile unsigned_wide = 0;
    PVOID volatile pointer = NULL;

    WriteNoFence(&word, -1);
    WriteRelease64(&wide, INT64_MIN);
    WriteULongRelease(&unsigned_word, MAXULONG);
    WriteULong64NoFence(&unsigned_wide, UINT64_MAX);
    WritePointerRelease(&pointer, &shared);
    DDI_TRUE(ReadAcquire(&word) == -1 && ReadNoFence(&word) == -1);
    DDI_TRUE(ReadNoFence64(&wide) == INT64_MIN && ReadAcquire64(&wide) == INT64_MIN);
    DDI_TRUE(ReadULongAcquire(&unsigned_word) == MAXULONG);
    DDI_TRUE(ReadULong64NoFence(&unsigned_wide) == UINT64_MAX);
    DDI_TRUE(ReadPointerAcquire(&pointer) == &shared && ReadPointerNoFence(&pointer) == &shared);
}

static void test_interlocked_operations_lose_nothing(void)
{
    start();
    run_threads(count);
    DDI_EQUAL(SYNC_THREADS * SYNC_ROUNDS, shared.counter);
    DDI_EQUAL((LONGLONG)(SYNC_THREADS * SYNC_ROUNDS) << 20, shared.wide);
}

static void test_spin_lock_raises_and_restores_the_irql(void)
{
    KSPIN_LOCK lock = 99;
    KLOCK_QUEUE_HANDLE handle;
    KIRQL old = 99;
    KIRQL before;

    KeInitializeSpinLock(&lock);
    DDI_EQUAL(0, lock);
    DDI_EQUAL(TRUE, KeTestSpinLock(&lock));
    KeAcquireSpinLock(&lock, &old);
    DDI_EQUAL(PASSIVE_LEVEL, old);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(FALSE, KeTestSpinLock(&lock));
    DDI_EQUAL(FALSE, KeTryToAcquireSpinLockAtDpcLevel(&lock));
    KeReleaseSpinLock(&lock, old);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(TRUE, KeTestSpinLock(&lock));

    KeRaiseIrql(APC_LEVEL, &before);
    KeAcquireInStackQueuedSpinLock(&lock, &handle);
    DDI_EQUAL(APC_LEVEL, handle.OldIrql);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    KeReleaseInStackQueuedSpinLock(&handle);
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(before);

    before = KeRaiseIrqlToDpcLevel();
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeReleaseSpinLockFromDpcLevel(&lock);
    DDI_EQUAL(TRUE, KeTryToAcquireSpinLockAtDpcLevel(&lock));
    KeReleaseSpinLockFromDpcLevel(&lock);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handle);
    DDI_EQUAL(FALSE, KeTestSpinLock(&lock));
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle);
    DDI_EQUAL(DISPATCH_LEVEL, KeAcquireSpinLockRaiseToDpc(&lock));
    KeReleaseSpinLock(&lock, DISPATCH_LEVEL);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    KeLowerIrql(before);
}

static void *spin(void *argument)
{
    for (int i = 0; i < SYNC_ROUNDS; ++i) {
        KIRQL old;

        if (((size_t)argument + (size_t)i) % 2 == 0) {
            KeAcquireSpinLock(&shared.lock, &old);
            inside(i, DISPATCH_LEVEL);
            KeReleaseSpinLock(&shared.lock, old);
        } else {
            old = KeRaiseIrqlToDpcLevel();
            while (!KeTryToAcquireSpinLockAtDpcLevel(&shared.lock)) {
                sched_yield();
            }
            inside(i, DISPATCH_LEVEL);
            KeReleaseSpinLockFromDpcLevel(&shared.lock);
            KeLowerIrql(old);
        }
    }
    return NULL;
}

static void *spin_queued(void *argument)
{
    (void)argument;
    for (int i = 0; i < SYNC_ROUNDS; ++i) {
        KLOCK_QUEUE_HANDLE handle;

        KeAcquireInStackQueuedSpinLock(&shared.lock, &handle);
        inside(i, DISPATCH_LEVEL);
        KeReleaseInStackQueuedSpinLock(&handle);
    }
    return NULL;
}

static void test_spin_lock_keeps_threads_apart(void)
{
    start();
    run_threads(spin);
    DDI_EQUAL(SYNC_THREADS * SYNC_ROUNDS, shared.plain);
    run_threads(spin_queued);
    DDI_EQUAL(2 * SYNC_THREADS * SYNC_ROUNDS, shared.plain);
    DDI_EQUAL(TRUE, KeTestSpinLock(&shared.lock));
}

static void test_spin_lock_misuse_stops_and_changes_nothing(void)
{
    struct ddi_stop stop;
    KSPIN_LOCK lock = 0;
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL + 1, &old);
    DDI_CATCH(&stop, (void)KeAcquireSpinLockRaiseToDpc(&lock));
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, DISPATCH_LEVEL, DISPATCH_LEVEL + 1, 0, DDI_ANY);
    DDI_EQUAL(TRUE, KeTestSpinLock(&lock));
    KeLowerIrql(old);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, KeReleaseSpinLockFromDpcLevel(&lock));
    DDI_STOP(&stop, SPIN_LOCK_NOT_OWNED, &lock, 0, 0, DDI_ANY);
    DDI_CATCH(&stop, KeReleaseSpinLock(&lock, PASSIVE_LEVEL));
    DDI_STOP(&stop, SPIN_LOCK_NOT_OWNED, &lock, 0, 0, DDI_ANY);
    DDI_EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
    KeAcquireSpinLockAtDpcLevel(&lock);
    DDI_CATCH(&stop, KeReleaseSpinLock(&lock, HIGH_LEVEL));
    DDI_STOP(&stop, IRQL_NOT_LESS_OR_EQUAL, HIGH_LEVEL, DISPATCH_LEVEL, 0, DDI_ANY);
    DDI_EQUAL(FALSE, KeTestSpinLock(&lock));
    KeReleaseSpinLock(&lock, old);
}

static void test_fast_mutex_raises_and_restores_the_irql(void)
{
    FAST_MUTEX mutex;
    KIRQL old;

    memset(&mutex, 0xA5, sizeof(mutex));
    ExInitializeFastMutex(&mutex);
    DDI_EQUAL(1, mutex.Count);
    DDI_EQUAL(0, mutex.Contention);
    ExAcquireFastMutex(&mutex);
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(0, mutex.Count);
    DDI_EQUAL(FALSE, ExTryToAcquireFastMutex(&mutex));
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    ExReleaseFastMutex(&mutex);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    DDI_EQUAL(TRUE, ExTryToAcquireFastMutex(&mutex));
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    ExReleaseFastMutex(&mutex);
    KeRaiseIrql(APC_LEVEL, &old);
    ExAcquireFastMutex(&mutex);
    ExReleaseFastMutex(&mutex);
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    ExAcquireFastMutexUnsafe(&mutex);
    DDI_EQUAL(FALSE, ExTryToAcquireFastMutex(&mutex));
    DDI_EQUAL(APC_LEVEL, KeGetCurrentIrql());
    ExReleaseFastMutexUnsafe(&mutex);
    KeLowerIrql(old);
    DDI_EQUAL(1, mutex.Count);
}

static void *exclude(void *argument)
{
    for (int i = 0; i < SYNC_ROUNDS; ++i) {
        if (((size_t)argument + (size_t)i) % 4 == 0) {
            KeEnterCriticalRegion();
            ExAcquireFastMutexUnsafe(&shared.mutex);
            inside(i, PASSIVE_LEVEL);
            ExReleaseFastMutexUnsafe(&shared.mutex);
            KeLeaveCriticalRegion();
            continue;
        }
        if (i % 3 != 0 || !ExTryToAcquireFastMutex(&shared.mutex)) {
            ExAcquireFastMutex(&shared.mutex);
        }
        inside(i, APC_LEVEL);
        ExReleaseFastMutex(&shared.mutex);
    }
    return NULL;
}

static void test_fast_mutex_keeps_threads_apart(void)
{
    start();
    run_threads(exclude);
    DDI_EQUAL(SYNC_THREADS * SYNC_ROUNDS, shared.plain);
    DDI_EQUAL(1, shared.mutex.Count);
}

static void test_fast_mutex_misuse_stops_and_changes_nothing(void)
{
    struct ddi_stop stop;
    FAST_MUTEX mutex;
    KIRQL old;

    ExInitializeFastMutex(&mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DDI_CATCH(&stop, ExAcquireFastMutex(&mutex));
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, APC_LEVEL, DISPATCH_LEVEL, 0, DDI_ANY);
    DDI_CATCH(&stop, (void)ExTryToAcquireFastMutex(&mutex));
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, APC_LEVEL, DISPATCH_LEVEL, 0, DDI_ANY);
    DDI_CATCH(&stop, ExAcquireFastMutexUnsafe(&mutex));
    DDI_STOP(&stop, IRQL_NOT_GREATER_OR_EQUAL, APC_LEVEL, DISPATCH_LEVEL, 0, DDI_ANY);
    KeLowerIrql(old);
    DDI_EQUAL(1, mutex.Count);
    DDI_CATCH(&stop, ExReleaseFastMutex(&mutex));
    DDI_STOP(&stop, SPIN_LOCK_NOT_OWNED, &mutex, 0, 0, DDI_ANY);
    DDI_CATCH(&stop, ExReleaseFastMutexUnsafe(&mutex));
    DDI_STOP(&stop, SPIN_LOCK_NOT_OWNED, &mutex, 0, 0, DDI_ANY);
    DDI_EQUAL(1, mutex.Count);
}

static void *allocate_under_lock(void *argument)
{
    static LIST_ENTRY list;

    (void)argument;
    for (int i = 0; i < SYNC_ROUNDS / 4; ++i) {
        KIRQL old;
        PLIST_ENTRY entry;

        KeAcquireSpinLock(&shared.lock, &old);
        if (list.Flink == NULL) {
            InitializeListHead(&list);
        }
        entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 'cnyS');
        InsertTailList(&list, entry);
        if (i % 2 != 0) {
            ExFreePoolWithTag(RemoveHeadList(&list), 'cnyS');
            ExFreePoolWithTag(RemoveHeadList(&list), 'cnyS');
        }
        KeReleaseSpinLock(&shared.lock, old);
    }
    return NULL;
}

static void test_blocks_are_allocated_and_freed_under_a_spin_lock(void)
{
    uint64_t live = ddi_live('cnyS', 0);

    start();
    run_threads(allocate_under_lock);
    DDI_EQUAL(live, ddi_live('cnyS', 0));
}

static const struct ddi_test tests[] = {
    DDI_TEST("(interlocked)", test_interlocked_operations_return_what_is_documented),
    DDI_TEST("(interlocked)", test_single_accesses_read_what_was_written),
    DDI_TEST("(interlocked)", test_interlocked_operations_lose_nothing),
    DDI_TEST("(spin lock)", test_spin_lock_raises_and_restores_the_irql),
    DDI_TEST("(spin lock)", test_spin_lock_keeps_threads_apart),
    DDI_TEST("(spin lock)", test_spin_lock_misuse_stops_and_changes_nothing),
    DDI_TEST("(fast mutex)", test_fast_mutex_raises_and_restores_the_irql),
    DDI_TEST("(fast mutex)", test_fast_mutex_keeps_threads_apart),
    DDI_TEST("(fast mutex)", test_fast_mutex_misuse_stops_and_changes_nothing),
    DDI_TEST("(spin lock)", test_blocks_are_allocated_and_freed_under_a_spin_lock),
};

DDI_MAIN(tests)
