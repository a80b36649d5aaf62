/* SPDX-License-Identifier: MIT */
/* The slip that nobody catches: a POOL_TYPE where ExAllocatePool2 takes POOL_FLAGS. */
#include "ddi_test.h"

#include <fcntl.h>
#include <unistd.h>

/* One place in the program that slips; flags come from outside, so that no compiler warns. */
__attribute__((noinline)) static PVOID slip(POOL_FLAGS flags)
{
    PVOID volatile block = (ExAllocatePool2)(flags, 64, 'pilS'); /* no tail call: one caller */
    return block;
}

__attribute__((noinline)) static PVOID other_slip(POOL_FLAGS flags)
{
    PVOID volatile block = (ExAllocatePool3)(flags, 64, 'pilS', NULL, 0);
    return block;
}

static unsigned lines_of(int file, const char *words)
{
    static char text[4096];
    ssize_t bytes = pread(file, text, sizeof(text) - 1, 0);
    unsigned count = 0;
    text[bytes > 0 ? bytes : 0] = '\0';
    for (char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words)) {
        count++;
    }
    return count;
}

static void test_a_pool_type_as_flags_is_told_once_for_each_caller(void)
{
    char name[] = "/tmp/slip_test.XXXXXX";
    int file = mkstemp(name);
    int stderr_kept = dup(STDERR_FILENO);
    unlink(name);
    DDI_TRUE(file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    PVOID got[7] = { NULL };
    for (int round = 0; round < 3; round++) {
        got[round] = slip(PagedPool);
        got[3 + round] = other_slip(NonPagedPoolNx);
    }
    got[6] = slip(POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED); /* wrong, but no POOL_TYPE */
    dup2(stderr_kept, STDERR_FILENO);
    for (int index = 0; index < 7; index++) {
        DDI_TRUE(got[index] == NULL);
    }
    DDI_EQUAL(2, lines_of(file, "a POOL_TYPE is not what"));
    DDI_EQUAL(1, lines_of(file, "POOL_FLAGS 0x001 name no pool"));
    DDI_EQUAL(1, lines_of(file, "POOL_FLAGS 0x200 name no pool"));
    DDI_EQUAL(2, lines_of(file, "\n"));
    close(file);
    close(stderr_kept);
}

static const struct ddi_test tests[] = {
    DDI_TEST("26", test_a_pool_type_as_flags_is_told_once_for_each_caller),
};

DDI_MAIN(tests)
