/* SPDX-License-Identifier: MIT */
/*
 * DbgPrint and its family show what the kernel's format language says, one write for each call.
 *
 * Method: standard error is a pipe that keeps writes apart (O_DIRECT); what one call wrote is read
 * back and compared.
 */
#define _GNU_SOURCE
#include "ddi_test.h"

#include <errno.h>
#include <pthread.h>
#include <wdm.h>

static struct {
    int pipe[2];
    int kept; /* the real standard error */
    char text[8192];
} debug;

static void debug_start(void)
{
    DDI_EQUAL(0, pipe2(debug.pipe, O_DIRECT | O_CLOEXEC));
    fcntl(debug.pipe[0], F_SETFL, O_DIRECT | O_NONBLOCK);
    debug.kept = dup(STDERR_FILENO);
    dup2(debug.pipe[1], STDERR_FILENO);
}

static void debug_end(void)
{
    dup2(debug.kept, STDERR_FILENO);
    close(debug.kept);
    close(debug.pipe[0]);
    close(debug.pipe[1]);
}

/* What the next write since debug_start wrote; "" when there was none. */
static const char *debug_next(void)
{
    ssize_t bytes = read(debug.pipe[0], debug.text, sizeof(debug.text) - 1);

    debug.text[bytes < 0 ? 0 : bytes] = '\0';
    return debug.text;
}

static void same_text(int line, const char *expected)
{
    const char *got = debug_next();

    if (strcmp(expected, got) != 0 && ddi_fail()) {
        printf("line %d: expected \"%s\", got \"%s\"\n", line, expected, got);
    }
}

#define SHOWS(expected, ...)                                                                       \
    do {                                                                                           \
        DDI_EQUAL(STATUS_SUCCESS, DbgPrint(__VA_ARGS__));                                          \
        same_text(__LINE__, (expected));                                                           \
    } while (0)

static void test_debug_print_shows_integers_of_every_size(void)
{
    debug_start();
    SHOWS("plain\n", "plain\n");
    SHOWS("-1 1 4294967295", "%d %i %u", -1, 1, -1);
    SHOWS("4294967295 -1", "%lu %ld", (ULONG)-1, (LONG)-1);
    SHOWS("18446744073709551615 -2 fffffffffffffffe", "%I64u %I64d %I64x", -1LL, -2LL, -2LL);
    SHOWS("-9223372036854775808", "%lld", -0x7FFFFFFFFFFFFFFFLL - 1);
    SHOWS("-2147483648 0", "%d %d", -0x7FFFFFFF - 1, 0);
    SHOWS("-3 4294967295", "%I32d %I32u", -3, -1);
    SHOWS("1152921504606846976 -5", "%Iu %Id", (SIZE_T)1 << 60, (SSIZE_T)-5);
    SHOWS("17 18 19", "%zu %tu %ju", (SIZE_T)17, (SIZE_T)18, (ULONG64)19);
    SHOWS("-1 255 -1 65535", "%hhd %hhu %hd %hu", 0x1FF, 0x1FF, 0x1FFFF, 0x1FFFF);
    SHOWS("7f 7F 177 0x7f 0X7F 0177", "%x %X %o %#x %#X %#o", 127, 127, 127, 127, 127, 127);
    SHOWS("[    5|5    |00005| +5|005]", "[%5d|%-5d|%05d|%+3d|%.3d]", 5, 5, 5, 5, 5);
    SHOWS("[  -05|-0005|0x0005|00005]", "[%5.2d|%05d|%#06x|%05u]", -5, -5, 5, 5);
    SHOWS("[005|00005|05|0||0]", "[%#.3o|%#05o|%#o|%#o|%.0o|%#.0o]", 5, 5, 5, 0, 0, 0);
    SHOWS("[    7|7    |007]", "[%*d|%*d|%.*d]", 5, 7, -5, 7, 3, 7);
    SHOWS("00000000DEADBEEF 0000000000000000", "%p %p", (PVOID)0xDEADBEEF, NULL);
    SHOWS("100%", "%d%%", 100);
    debug_end();
}

static void test_debug_print_shows_narrow_wide_and_counted_text(void)
{
    WCHAR wide[] = { 'w', 0xE4, 0x20AC, 0xD83D, 0xDE00, 0 };
    WCHAR halves[] = { 0xDC00, 'x', 0xD800, 0 };
    UNICODE_STRING unicode = { 4, 10, wide };
    ANSI_STRING ansi = { 3, 9, (PCHAR) "counted" };
    UNICODE_STRING none = { 0, 0, NULL };

    debug_start();
    SHOWS("[abc|  abc|abc  |ab]", "[%s|%5s|%-5s|%.2s]", "abc", "abc", "abc", "abc");
    SHOWS("[abc|abc]", "[%hs|%hS]", "abc", "abc");
    SHOWS("[w\u00e4\u20ac\U0001F600|w\u00e4\u20ac\U0001F600|w\u00e4]",
          "[%ws|%S|%.2ls]",
          wide,
          wide,
          wide);
    SHOWS("[\uFFFDx\uFFFD]", "[%ls]", halves);
    SHOWS("[w\u00e4|   w\u00e4|cou|(null)|(null)|(null)]",
          "[%wZ|%5wZ|%Z|%wZ|%Z|%s]",
          &unicode,
          &unicode,
          &ansi,
          &none,
          NULL,
          NULL);
    SHOWS("[(null)]", "[%S]", NULL);
    SHOWS("[x|\u00e4|\u20ac|  y]", "[%c|%C|%lc|%3c]", 'x', 0xE4, 0x20AC, 'y');
    debug_end();
}

static void test_debug_print_escapes_what_would_steer_a_terminal(void)
{
    WCHAR wide[] = { 'a', 0x1B, 0x9B, '\n', 0 };

    debug_start();
    SHOWS("a\\x1B[31m\\x07\t\n", "%s\t\n", "a\x1b[31m\a");
    SHOWS("\\x1B \\x7F\\x9B", "\x1b \x7f\xc2\x9b");
    SHOWS("a\\x1B\\x9B\n", "%ws", wide);
    SHOWS("line\nnext\\x0Dx\n", "line\r\nnext\rx\r\n");
    SHOWS("\\x01", "%c", 1);
    SHOWS("\u00e4\xff", "\u00e4\xff"); /* what is no UTF-8 goes through */
    debug_end();
}

static void test_debug_print_leaves_what_it_does_not_know_as_it_is(void)
{
    debug_start();
    SHOWS("%f 7 %q", "%f %d %q", 7);
    SHOWS("%n 8", "%n %d", 8);
    SHOWS("end %", "end %");
    SHOWS("end %-5.3l", "end %-5.3l");
    debug_end();
}

static void test_debug_print_cuts_at_512_bytes_between_characters(void)
{
    static char text[3000];
    WCHAR wide[600];

    debug_start();
    memset(text, 'x', sizeof(text) - 1);
    text[512] = '\0';
    SHOWS(text, "%s", text);
    text[512] = 'x';
    DbgPrint("%s", text);
    DDI_EQUAL(512, strlen(debug_next()));
    DDI_EQUAL('x', debug.text[510]);
    DDI_EQUAL('\n', debug.text[511]);
    for (size_t i = 0; i < 599; ++i) {
        wide[i] = 0x20AC;
    }
    wide[599] = 0;
    DbgPrint("x%ws", wide);
    DDI_EQUAL(1 + 3 * 170 + 1, strlen(debug_next()));
    DDI_EQUAL('\n', debug.text[511]);
    DbgPrint("xyz%ws", wide);
    DDI_EQUAL(3 + 3 * 169 + 1, strlen(debug_next()));
    DbgPrint("%*d", 1000000000, 5);
    DDI_EQUAL(512, strlen(debug_next()));
    DbgPrint("%s", "");
    DDI_EQUAL(0, strlen(debug_next()));
    debug_end();
}

static void test_debug_print_ex_shows_errors_and_what_has_their_bit(void)
{
    debug_start();
    DDI_EQUAL(0, DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "error %d\n", 1));
    same_text(__LINE__, "error 1\n");
    (void)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_WARNING_LEVEL, "warning\n");
    (void)DbgPrintEx(DPFLTR_DEFAULT_ID, DPFLTR_INFO_LEVEL, "info\n");
    (void)DbgPrintEx(DPFLTR_DEFAULT_ID, DPFLTR_MASK | 4, "other bits\n");
    same_text(__LINE__, "");
    (void)DbgPrintEx(DPFLTR_DEFAULT_ID, DPFLTR_MASK | 5, "mask\n");
    same_text(__LINE__, "mask\n");
    KdPrint(("this driver is not checked\n"));
    KdPrintEx((0, 0, "nor this\n"));
    NT_ASSERT(1 == 2);
    NT_ASSERTMSG("not evaluated", 1 == 2);
    DDI_EQUAL(FALSE, NT_VERIFY(1 == 2));
    same_text(__LINE__, "");
    debug_end();
}

static void *print_lines(void *argument)
{
    for (int i = 0; i < 200; ++i) {
        DbgPrint("%s", (const char *)argument);
    }
    return NULL;
}

static void test_debug_print_of_threads_does_not_mix(void)
{
    static char lines[4][202];
    pthread_t threads[4];
    size_t shown = 0;

    debug_start();
    for (size_t i = 0; i < 4; ++i) {
        memset(lines[i], 'a' + (int)i, 200);
        lines[i][200] = '\n';
        DDI_EQUAL(0, pthread_create(&threads[i], NULL, print_lines, lines[i]));
    }
    while (shown < 800) {
        const char *got = debug_next();

        if (got[0] == '\0') {
            usleep(100);
            continue;
        }
        shown++;
        DDI_EQUAL(0, strcmp(got, lines[(got[0] - 'a') & 3]));
    }
    for (size_t i = 0; i < 4; ++i) {
        pthread_join(threads[i], NULL);
    }
    debug_end();
}

static void test_debug_print_works_at_every_irql_and_keeps_errno(void)
{
    KIRQL old;

    debug_start();
    errno = 77;
    KeRaiseIrql(HIGH_LEVEL, &old);
    SHOWS("high\n", "high\n");
    KeLowerIrql(old);
    close(STDERR_FILENO);
    errno = 77;
    DbgPrint("nobody hears\n");
    DDI_EQUAL(77, errno);
    debug_end();
}

static void test_bug_check_is_a_stop_with_the_callers_parameters(void)
{
    struct ddi_stop stop;

    DDI_CATCH(&stop, KeBugCheckEx(0xE2, 1, 2, 3, (ULONG_PTR)-4));
    DDI_STOP(&stop, 0xE2, 1, 2, 3, (ULONG_PTR)-4);
    DDI_CATCH(&stop, KeBugCheck(0x12345678));
    DDI_STOP(&stop, 0x12345678, 0, 0, 0, 0);
}

static const struct ddi_test tests[] = {
    DDI_TEST("(DbgPrint)", test_debug_print_shows_integers_of_every_size),
    DDI_TEST("(DbgPrint)", test_debug_print_shows_narrow_wide_and_counted_text),
    DDI_TEST("(DbgPrint)", test_debug_print_escapes_what_would_steer_a_terminal),
    DDI_TEST("(DbgPrint)", test_debug_print_leaves_what_it_does_not_know_as_it_is),
    DDI_TEST("(DbgPrint)", test_debug_print_cuts_at_512_bytes_between_characters),
    DDI_TEST("(DbgPrint)", test_debug_print_ex_shows_errors_and_what_has_their_bit),
    DDI_TEST("(DbgPrint)", test_debug_print_of_threads_does_not_mix),
    DDI_TEST("(DbgPrint)", test_debug_print_works_at_every_irql_and_keeps_errno),
    DDI_TEST("(KeBugCheckEx)", test_bug_check_is_a_stop_with_the_callers_parameters),
};

DDI_MAIN(tests)
