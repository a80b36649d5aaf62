/* SPDX-License-Identifier: MIT */
/*
 * Exceptions while exceptions are handled, exceptions that nobody handles, what is forbidden, and
 * that nothing is left behind: in counters, levels, locks, memory, other threads.
 *
 * Method: seh_log.h; the numbers before a caught raise are compared with those after it.
 */
#include "seh_log.h"

#include <pthread.h>
#include <sys/wait.h>
#include <wdm.h>

enum {
    RAISES = 100000,
    THREAD_RAISES = 20000,
    DEEPER_THAN_KEPT = 33,
    FAR_BYTES = 8192
};

/* ---- raises while an exception is handled ---------------------------------------------------- */

static void test_seh_raise_in_a_handler_reaches_the_frame_outside(void)
{
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __except (yes) {
            note('1');
            ExRaiseStatus(OWN_STATUS_2);
        }
    } __except (1) {
        note(GetExceptionCode() == OWN_STATUS_2 ? '2' : '?');
    }
    LOG_IS("y12");
}

static void test_seh_raise_in_a_finally_reaches_the_frame_outside(void)
{
    __try {
        __try {
            __try {
                ExRaiseStatus(OWN_STATUS);
            } __finally {
                note('f');
                ExRaiseStatus(OWN_STATUS_2);
            }
        } __except (1) {
            note(GetExceptionCode() == OWN_STATUS_2 ? '2' : '?');
        }
        note('e');
    } __except (1) {
        note('?');
    }
    LOG_IS("f2e");
}

static void test_seh_exception_handled_in_a_finally_leaves_the_first_alone(void)
{
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __finally {
            __try {
                __try {
                    ExRaiseStatus(OWN_STATUS_2);
                } __finally {
                    note('i');
                }
            } __except (1) {
                note(GetExceptionCode() == OWN_STATUS_2 ? '2' : '?');
            }
            note(AbnormalTermination() ? 'f' : '?');
        }
    } __except (1) {
        note(GetExceptionCode() == OWN_STATUS ? '1' : '?');
    }
    LOG_IS("i2f1");
}

static LONG raising_filter(PEXCEPTION_POINTERS pointers)
{
    note('r');
    __try {
        ExRaiseStatus(OWN_STATUS_2);
    } __except (1) {
        note('c'); /* its own handler comes first */
    }
    __try {
        ExRaiseStatus(pointers->ExceptionRecord->ExceptionCode + 1);
    } __finally {
        note('l');
    }
    return EXCEPTION_EXECUTE_HANDLER;
}

static void test_seh_raise_in_a_filter_reaches_the_frame_outside(void)
{
    __try {
        __try {
            __try {
                ExRaiseStatus(OWN_STATUS);
            } __finally {
                note('f');
            }
        } __except (raising_filter) {
            note('?');
        }
    } __except (yes) {
        note(GetExceptionCode() == OWN_STATUS + 1 ? 'h' : '?');
    }
    LOG_IS("rcylfh");
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __except (raising_filter(GetExceptionInformation())) {
            note('?');
        }
    } __except (yes) {
        note(GetExceptionCode() == OWN_STATUS + 1 ? 'h' : '?');
    }
    LOG_IS("rcylh");
}

static void handle_another(void)
{
    __try {
        ExRaiseStatus(OWN_STATUS_2);
    } __except (1) {
        DDI_EQUAL(OWN_STATUS_2, GetExceptionCode());
    }
}

static void test_seh_code_stays_the_handlers_own(void)
{
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        handle_another();
        DDI_EQUAL(OWN_STATUS, GetExceptionCode());
        __try {
            DDI_EQUAL(OWN_STATUS, GetExceptionCode()); /* still the one around */
            ExRaiseStatus(OWN_STATUS_2);
        } __except (GetExceptionCode() == OWN_STATUS_2) {
            handle_another();
            DDI_EQUAL(OWN_STATUS_2, GetExceptionCode());
        }
        DDI_EQUAL(OWN_STATUS, GetExceptionCode());
        switch (GetExceptionCode()) {
        case OWN_STATUS:
            note('s');
        }
    }
    LOG_IS("s");
}

/* Handlers inside each other, one per call; the answer is how many still knew their code. */
static int handlers_inside(int levels)
{
    volatile int known = 0;

    __try {
        ExRaiseStatus(OWN_STATUS + levels);
    } __except (1) {
        if (levels > 1) {
            known = handlers_inside(levels - 1);
        }
        known += GetExceptionCode() == OWN_STATUS + levels;
    }
    return known;
}

static void test_seh_codes_of_many_handlers_are_kept(void)
{
    struct ddi_stop stop;

    DDI_EQUAL(DEEPER_THAN_KEPT - 1, handlers_inside(DEEPER_THAN_KEPT - 1));
    DDI_CATCH(&stop, (void)handlers_inside(DEEPER_THAN_KEPT));
    DDI_STOP(&stop, KMODE_EXCEPTION_NOT_HANDLED, 0xC0000029, DDI_ANY, 3, 0);
}

/* Handlers that have ended, one per call, in functions that call on, the last of which may raise.
 */
static void handle_and_call(int levels, bool raise)
{
    __try {
        ExRaiseStatus(OWN_STATUS_2);
    } __except (1) {
    }
    if (levels > 1) {
        handle_and_call(levels - 1, raise);
    }
    if (raise) {
        ExRaiseStatus(OWN_STATUS_2);
    }
}

static void test_seh_codes_of_ended_handlers_take_no_place(void)
{
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        __try {
            handle_and_call(DEEPER_THAN_KEPT - 2, true);
        } __except (1) {
            note('i');
        }
        DDI_EQUAL(OWN_STATUS, GetExceptionCode());
        for (int i = 0; i < 2 * DEEPER_THAN_KEPT; ++i) {
            handle_and_call(1, false);
        }
        DDI_EQUAL(OWN_STATUS, GetExceptionCode());
    }
    LOG_IS("i");
}

/* ---- without a handler ----------------------------------------------------------------------- */

static void raise_unhandled(void)
{
    __try {
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __finally {
            note('?');
        }
    } __except (no) {
        note('?');
    }
}

static void raise_in_handler_unhandled(void)
{
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        ExRaiseStatus(OWN_STATUS_2);
    }
}

static void raise_expression_unhandled(void)
{
    __try {
        (void)ddi_opaque(
            ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_RAISE_ON_FAILURE, MAXSIZE_T / 2, SEH_TAG));
    } __except (say(0, 'e')) {
        note('?');
    }
}

static void test_seh_unhandled_raise_stops_before_any_finally(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, raise_unhandled());
    DDI_RAISES(&stop, OWN_STATUS);
    LOG_IS("n");
    DDI_CATCH(&stop, raise_in_handler_unhandled());
    DDI_RAISES(&stop, OWN_STATUS_2);
    DDI_CATCH(&stop, raise_expression_unhandled());
    DDI_RAISES(&stop, STATUS_INSUFFICIENT_RESOURCES);
    LOG_IS("e");
    DDI_CATCH(&stop, ExRaiseStatus(0));
    DDI_RAISES(&stop, 0);
}

/* Raise from far below the caller's stack frame. */
DECLSPEC_NOINLINE static void raise_from_below(NTSTATUS status)
{
    volatile char space[FAR_BYTES];

    space[ddi_size(0)] = 0;
    ExRaiseStatus(status + space[ddi_size(0)]);
}

static void stop_in_guarded_blocks(void)
{
    __try {
        __try {
            ExFreePoolWithTag(NULL, SEH_TAG);
        } __except (yes) {
            note('?');
        }
    } __finally {
        note('?');
    }
}

static void test_seh_blocks_that_a_stops_handler_left_catch_nothing(void)
{
    struct ddi_stop stop;

    for (int i = 0; i < 2; ++i) {
        DDI_CATCH(&stop, stop_in_guarded_blocks());
        DDI_TRUE(stop.caught);
        DDI_CATCH(&stop, raise_from_below(OWN_STATUS));
        DDI_RAISES(&stop, OWN_STATUS);
        LOG_IS("");
        __try {
            ExRaiseStatus(OWN_STATUS);
        } __except (1) {
            note('h');
        }
        LOG_IS("h");
    }
}

static void test_seh_block_around_a_stop_brings_back_those_around_it(void)
{
    __try {
        __try {
            struct ddi_stop stop;

            DDI_CATCH(&stop, stop_in_guarded_blocks());
            DDI_TRUE(stop.caught);
        } __except (yes) {
            note('?');
        }
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        note('h');
    }
    LOG_IS("h");
}

static jmp_buf way_out;

static void jump_out(int value)
{
    __try {
        longjmp(way_out, value);
    } __except (yes) {
        note('?');
    }
}

/* Leave a block far below the caller's stack frame. */
DECLSPEC_NOINLINE static void jump_from_below(void)
{
    volatile char space[FAR_BYTES];

    space[ddi_size(0)] = 0;
    jump_out(1 + space[ddi_size(0)]);
    space[ddi_size(0)] = 1; /* no tail call */
}

static void jump_in_one_function(void)
{
    if (setjmp(way_out) == 0) {
        __try {
            longjmp(way_out, 1);
        } __except (yes) {
            note('?');
        }
    }
    __try {
        raise_from_below(OWN_STATUS);
    } __except (no) {
        note('?');
    }
}

static void test_seh_blocks_that_a_longjmp_left_are_noticed(void)
{
    struct ddi_stop stop;

    if (setjmp(way_out) == 0) {
        jump_from_below();
    }
    DDI_CATCH(&stop, ExRaiseStatus(OWN_STATUS));
    DDI_RAISES(&stop, OWN_STATUS);
    LOG_IS("");
    if (setjmp(way_out) == 0) {
        jump_from_below();
    }
    DDI_CATCH(&stop, {
        __try {
            raise_from_below(OWN_STATUS);
        } __except (no) {
            note('?');
        }
    });
    DDI_RAISES(&stop, OWN_STATUS);
    LOG_IS("n");
    DDI_CATCH(&stop, jump_in_one_function());
    DDI_RAISES(&stop, OWN_STATUS);
    LOG_IS("n");
}

/* ---- what is forbidden ----------------------------------------------------------------------- */

static int return_from_guarded(void)
{
    __try {
        return ddi_size(1) != 0;
    } __finally {
        note('?');
    }
    return 0;
}

static int return_from_finally(void)
{
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __finally {
        note('f');
        if (ddi_size(1) != 0) {
            return 1;
        }
    }
    return 0;
}

static void break_from_finally(void)
{
    for (int i = 0; i < 2; ++i) {
        __try {
            note('a');
        } __finally {
            if (ddi_size(1) != 0) {
                break;
            }
        }
    }
}

static void code_without_exception(void)
{
    __try {
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        DDI_EQUAL(OWN_STATUS, GetExceptionCode());
    }
    __try {
        if (GetExceptionCode() == 0) {
            note('?');
        }
    } __except (1) {
        note('?');
    }
}

static void test_seh_forbidden_exits_and_questions_stop(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, (void)return_from_guarded());
    DDI_STOP(&stop, KMODE_EXCEPTION_NOT_HANDLED, 0xC0000029, DDI_ANY, 1, 0);
    LOG_IS("");
    DDI_CATCH(&stop, {
        __try {
            (void)return_from_finally();
        } __except (1) {
            note('?');
        }
    });
    DDI_STOP(&stop, KMODE_EXCEPTION_NOT_HANDLED, 0xC0000029, DDI_ANY, 2, 0);
    LOG_IS("f");
    DDI_CATCH(&stop, break_from_finally());
    DDI_STOP(&stop, KMODE_EXCEPTION_NOT_HANDLED, 0xC0000029, DDI_ANY, 2, 0);
    LOG_IS("a");
    DDI_CATCH(&stop, code_without_exception());
    DDI_STOP(&stop, KMODE_EXCEPTION_NOT_HANDLED, 0xC0000029, DDI_ANY, 3, 0);
    LOG_IS("");
}

/* ---- no traces ------------------------------------------------------------------------------- */

static struct expool_tag_row rows_before[DDI_ROWS_MAX];
static struct expool_tag_row rows_after[DDI_ROWS_MAX];

/* An allocation that raises at each level it may be asked at, with the reason injected or given. */
static void raise_and_handle(bool refuse_pages, ULONG tag)
{
    __try {
        if (refuse_pages) {
            expool_fail_page_request(1);
        }
        (void)ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE |
                                             (refuse_pages ? POOL_FLAG_UNINITIALIZED : 0),
                                         refuse_pages ? (SIZE_T)64 << 20 : MAXSIZE_T / 2,
                                         tag));
        note('?');
    } __except (GetExceptionCode() == STATUS_INSUFFICIENT_RESOURCES) {
        note('h');
    }
    expool_fail_page_request(0);
}

static void test_seh_caught_raise_leaves_no_traces(void)
{
    static const KIRQL levels[] = { PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL };

    ExFreePoolWithTag(ddi_opaque(ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, SEH_TAG)), SEH_TAG);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); ++i) {
        KIRQL old;

        KeRaiseIrql(levels[i], &old);
        size_t count_before = expool_tags(rows_before, DDI_ROWS_MAX);
        raise_and_handle(true, SEH_TAG);
        raise_and_handle(false, SEH_TAG);
        size_t count_after = expool_tags(rows_after, DDI_ROWS_MAX);

        DDI_EQUAL(levels[i], KeGetCurrentIrql());
        DDI_EQUAL(count_before, count_after);
        DDI_TRUE(memcmp(rows_before, rows_after, count_before * sizeof(rows_before[0])) == 0);
        LOG_IS("hh");
        /* No lock is held: the same request works, for this thread and in the same store. */
        void *block = ddi_opaque(ExAllocatePool2(
            POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, (SIZE_T)64 << 20, SEH_TAG));
        DDI_TRUE(block != NULL);
        ExFreePoolWithTag(block, SEH_TAG);
        KeLowerIrql(old);
    }
}

static unsigned long resident_pages(void)
{
    unsigned long size = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2) {
        ddi_true(__FILE__, __LINE__, "/proc/self/statm", false);
    }
    if (file != NULL) {
        fclose(file);
    }
    return resident;
}

static void test_seh_many_raises_leak_nothing(void)
{
    volatile ULONG handled = 0;
    unsigned long before = 0;

    for (int i = 0; i < RAISES; ++i) {
        if (i == RAISES / 10) {
            before = resident_pages();
        }
        __try {
            __try {
                ExRaiseStatus(OWN_STATUS + i);
            } __finally {
                ++handled;
            }
        } __except (GetExceptionCode() == OWN_STATUS + i) {
            ++handled;
        }
    }
    DDI_EQUAL(2 * RAISES, handled);
    DDI_TRUE_FOR(resident_pages() < before + 64, resident_pages() - before);
}

static void test_seh_volatile_locals_keep_what_the_block_wrote(void)
{
    volatile int changed = 1;
    int unchanged = (int)ddi_size(7);

    __try {
        changed = 2;
        ExRaiseStatus(OWN_STATUS);
    } __except (1) {
        DDI_EQUAL(2, changed);
        changed = 3;
    }
    DDI_EQUAL(3, changed);
    DDI_EQUAL(7, unchanged);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct raiser {
    NTSTATUS status;
    ULONG wrong;
    ULONG handled;
    pthread_barrier_t *start;
};

static void raise_once(const struct raiser *raiser, volatile ULONG *finals)
{
    __try {
        ExRaiseStatus(raiser->status);
    } __finally {
        ++*finals;
    }
}

static void *run_raiser(void *argument)
{
    struct raiser *raiser = argument;
    volatile ULONG finals = 0;

    pthread_barrier_wait(raiser->start);
    for (volatile int i = 0; i < THREAD_RAISES; ++i) {
        __try {
            raise_once(raiser, &finals);
        } __except (GetExceptionCode() == raiser->status) {
            raiser->wrong += GetExceptionCode() != raiser->status;
            ++raiser->handled;
        }
    }
    raiser->wrong += finals != THREAD_RAISES;
    return NULL;
}

static void test_seh_threads_that_raise_at_once_do_not_meet(void)
{
    pthread_barrier_t start;
    pthread_t thread[2];
    struct raiser raiser[2] = { { OWN_STATUS, 0, 0, &start }, { OWN_STATUS_2, 0, 0, &start } };

    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; ++i) {
        DDI_EQUAL(0, pthread_create(&thread[i], NULL, run_raiser, &raiser[i]));
    }
    for (int i = 0; i < 2; ++i) {
        pthread_join(thread[i], NULL);
        DDI_EQUAL(0, raiser[i].wrong);
        DDI_EQUAL(THREAD_RAISES, raiser[i].handled);
    }
    pthread_barrier_destroy(&start);
}

static void *end_inside_a_block(void *argument)
{
    __try {
        if (argument != NULL) {
            pthread_exit(NULL);
        }
    } __except (yes) {
        note('?');
    }
    return NULL;
}

static void *raise_in_a_new_thread(void *argument)
{
    ExFreePoolWithTag(ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 1, SEH_TAG)), SEH_TAG);
    DDI_CATCH((struct ddi_stop *)argument, raise_from_below(OWN_STATUS));
    return NULL;
}

static void test_seh_thread_that_ends_in_a_block_leaves_nothing_to_the_next(void)
{
    pthread_t thread;
    struct ddi_stop stop = { .caught = false };

    DDI_EQUAL(0, pthread_create(&thread, NULL, end_inside_a_block, &stop));
    pthread_join(thread, NULL);
    DDI_EQUAL(0, pthread_create(&thread, NULL, raise_in_a_new_thread, &stop));
    pthread_join(thread, NULL);
    DDI_RAISES(&stop, OWN_STATUS);
    LOG_IS("");
}

/* ---- copies of the process ------------------------------------------------------------------- */

static pthread_barrier_t inside;

static void *wait_inside_a_block(void *argument)
{
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    __try {
        pthread_barrier_wait(&inside); /* now the process is copied */
        pthread_barrier_wait(&inside);
    } __except (yes) {
        note('?');
    }
    KeLowerIrql(old);
    return argument;
}

static void *look_at_a_new_thread(void *argument)
{
    struct ddi_stop stop;

    ExFreePoolWithTag(ddi_opaque(ExAllocatePool2(POOL_FLAG_PAGED, 1, SEH_TAG)), SEH_TAG);
    DDI_EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
    DDI_CATCH(&stop, raise_from_below(OWN_STATUS));
    DDI_RAISES(&stop, OWN_STATUS);
    LOG_IS("");
    return argument;
}

static void test_seh_copy_of_a_process_knows_no_blocks_of_lost_threads(void)
{
    pthread_t thread;
    int status = -1;

#ifdef __SANITIZE_THREAD__
    return; /* it allows no new thread in a copy */
#endif
    pthread_barrier_init(&inside, NULL, 2);
    DDI_EQUAL(0, pthread_create(&thread, NULL, wait_inside_a_block, NULL));
    pthread_barrier_wait(&inside);
    pid_t child = fork();
    if (child == 0) {
        ddi_failures = 0;
        (void)pthread_create(&thread, NULL, look_at_a_new_thread, NULL);
        pthread_join(thread, NULL);
        fflush(stdout);
        _exit(ddi_failures != 0);
    }
    pthread_barrier_wait(&inside);
    pthread_join(thread, NULL);
    DDI_TRUE(child > 0 && waitpid(child, &status, 0) == child);
    DDI_EQUAL(0, status);
    pthread_barrier_destroy(&inside);
}

static const struct ddi_test tests[] = {
    DDI_TEST("162", test_seh_volatile_locals_keep_what_the_block_wrote),
    DDI_TEST("162", test_seh_code_stays_the_handlers_own),
    DDI_TEST("162", test_seh_codes_of_many_handlers_are_kept),
    DDI_TEST("162", test_seh_codes_of_ended_handlers_take_no_place),
    DDI_TEST("164", test_seh_forbidden_exits_and_questions_stop),
    DDI_TEST("166", test_seh_raise_in_a_handler_reaches_the_frame_outside),
    DDI_TEST("166", test_seh_raise_in_a_finally_reaches_the_frame_outside),
    DDI_TEST("166", test_seh_exception_handled_in_a_finally_leaves_the_first_alone),
    DDI_TEST("166", test_seh_raise_in_a_filter_reaches_the_frame_outside),
    DDI_TEST("166", test_seh_unhandled_raise_stops_before_any_finally),
    DDI_TEST("166", test_seh_blocks_that_a_stops_handler_left_catch_nothing),
    DDI_TEST("166", test_seh_blocks_that_a_longjmp_left_are_noticed),
    DDI_TEST("166", test_seh_block_around_a_stop_brings_back_those_around_it),
    DDI_TEST("167", test_seh_caught_raise_leaves_no_traces),
    DDI_TEST("167", test_seh_many_raises_leak_nothing),
    DDI_TEST("168", test_seh_threads_that_raise_at_once_do_not_meet),
    DDI_TEST("168", test_seh_copy_of_a_process_knows_no_blocks_of_lost_threads),
    DDI_TEST("168", test_seh_thread_that_ends_in_a_block_leaves_nothing_to_the_next),
};

DDI_MAIN(tests)
