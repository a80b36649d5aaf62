/* SPDX-License-Identifier: MIT */
/*
 * An image with POOL_NX_OPTIN (api 82, 83, 85, 86): the names follow ExInitializeDriverRuntime.
 *
 * The order of the tests matters: the first one looks before the routine is called, as a driver's
 * DriverEntry would.
 */
#define POOL_NX_OPTIN 1
#include "ddi_test.h"
#include "nx_wrappers.h"

#include <signal.h>
#include <sys/wait.h>
#include <wdm.h>

#if defined(__x86_64__) || defined(__i386__)
static const uint8_t answer_code[] = { 0xB8, 42, 0, 0, 0, 0xC3 }; /* mov eax, 42; ret */
#elif defined(__aarch64__)
static const uint8_t answer_code[] = { 0x40, 0x05, 0x80, 0x52, 0xC0, 0x03, 0x5F, 0xD6 };
#endif

/* The signal that ends a child which runs code in NonPagedPool; 0 when the code ran. */
static int signal_of_running_nonpaged(void)
{
    uint8_t *block = ddi_opaque(ExAllocatePoolWithTag(NonPagedPool, 64, 'nItO'));
    int (*function)(void);
    int status = 0;
    pid_t child;

    memcpy(block, answer_code, sizeof(answer_code));
    __builtin___clear_cache((char *)block, (char *)block + sizeof(answer_code));
    memcpy(&function, &block, sizeof(function));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(function() == 42 ? 0 : 3);
    }
    DDI_TRUE(child > 0 && waitpid(child, &status, 0) == child);
    ExFreePoolWithTag(block, 'nItO');
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void test_optin_names_are_executable_before_initialization(void)
{
    DDI_EQUAL(0, NonPagedPool);
    DDI_EQUAL(4, NonPagedPoolCacheAligned);
    DDI_EQUAL(0, ExDefaultMdlProtection);
    DDI_EQUAL(0, signal_of_running_nonpaged());
    ExInitializeDriverRuntime(0);
    DDI_EQUAL(0, NonPagedPool);
}

static void test_optin_names_are_no_execute_after_initialization(void)
{
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    DDI_EQUAL(512, NonPagedPool);
    DDI_EQUAL(516, NonPagedPoolCacheAligned);
    DDI_EQUAL(0x40000000, ExDefaultMdlProtection);
    DDI_EQUAL(SIGSEGV, signal_of_running_nonpaged());
    check_zero_wrapper();
}

/* The type of a nonpaged lookaside list that is initialized with these flags. */
static POOL_TYPE lookaside_type(ULONG flags)
{
    static NPAGED_LOOKASIDE_LIST list;
    POOL_TYPE type;

    ExInitializeNPagedLookasideList(&list, NULL, NULL, flags, 64, 'nItO', 0);
    type = list.L.Type;
    ExDeleteNPagedLookasideList(&list);
    return type;
}

static void test_optin_lookaside_lists_are_no_execute(void)
{
    DDI_EQUAL(512, ExDefaultNonPagedPoolType);
    DDI_EQUAL(512, lookaside_type(0));
    DDI_EQUAL(528, lookaside_type(POOL_RAISE_IF_ALLOCATION_FAILURE));
    ExDefaultNonPagedPoolType = NonPagedPoolExecute;
    DDI_EQUAL(0, lookaside_type(0));
}

static const struct ddi_test tests[] = {
    DDI_TEST("82,83", test_optin_names_are_executable_before_initialization),
    DDI_TEST("82,83,85", test_optin_names_are_no_execute_after_initialization),
    DDI_TEST("86", test_optin_lookaside_lists_are_no_execute),
};

DDI_MAIN(tests)
