/* SPDX-License-Identifier: MIT */
/*
 * Memory words and counted strings. Every string that is written to lies between guard characters,
 * so that a byte too many is seen.
 */
#include "ddi_test.h"

#include <wdm.h>

#define GUARD ((WCHAR)0xBEEF)

static WCHAR buffer[34]; /* the first and the last are guards; so is what a string does not own */

/* An empty string of so many characters inside the guards. */
static UNICODE_STRING string_of(size_t characters)
{
    UNICODE_STRING string;

    for (size_t i = 0; i < ARRAYSIZE(buffer); ++i) {
        buffer[i] = GUARD;
    }
    RtlInitEmptyUnicodeString(&string, buffer + 1, characters * sizeof(WCHAR));
    return string;
}

static void string_is(int line, const UNICODE_STRING *string, PCWSTR expected, size_t owned)
{
    size_t length = 0;
    bool right = true;

    while (expected[length] != 0) {
        length++;
    }
    right = string->Length == length * sizeof(WCHAR) &&
            memcmp(string->Buffer, expected, string->Length) == 0 && buffer[0] == GUARD;
    for (size_t i = 1 + owned; i < ARRAYSIZE(buffer); ++i) {
        right = right && buffer[i] == GUARD;
    }
    if (!right) {
        printf("called from line %d, length %u: ", line, string->Length);
    }
    DDI_TRUE(right);
}

static void test_memory_words_do_what_they_say(void)
{
    char bytes[16] = "0123456789abcde";

    RtlMoveMemory(bytes + 1, bytes, 5);
    DDI_EQUAL(0, memcmp(bytes, "0012346789", 10));
    RtlCopyMemory(bytes, "xy", 2);
    RtlFillMemory(bytes + 2, 3, 'z');
    DDI_EQUAL(0, memcmp(bytes, "xyzzz4", 6));
    DDI_TRUE(RtlEqualMemory(bytes, "xyz", 3) && !RtlEqualMemory(bytes, "xyx", 3));
    DDI_EQUAL(3, RtlCompareMemory(bytes, "xyzq", 4));
    DDI_EQUAL(4, RtlCompareMemory(bytes, "xyzzq", 4));
    DDI_EQUAL(0, RtlCompareMemory(bytes, "q", 1));
    RtlZeroMemory(bytes, 2);
    DDI_TRUE(RtlSecureZeroMemory(bytes + 2, 14) == bytes + 2);
    DDI_TRUE(ddi_all_bytes(bytes, sizeof(bytes), 0));
}

static void test_wide_strings_begin_as_documented(void)
{
    static const UNICODE_STRING constant = RTL_CONSTANT_STRING(L"four");
    static WCHAR text[40000];
    DECLARE_CONST_UNICODE_STRING(declared, L"declared");
    UNICODE_STRING string;

    DDI_EQUAL(8, constant.Length);
    DDI_EQUAL(10, constant.MaximumLength);
    DDI_EQUAL(16, declared.Length);
    RtlInitUnicodeString(&string, L"abc");
    DDI_EQUAL(6, string.Length);
    DDI_EQUAL(8, string.MaximumLength);
    DDI_TRUE(string.Buffer[2] == 'c');
    RtlInitUnicodeString(&string, NULL);
    DDI_TRUE(string.Length == 0 && string.MaximumLength == 0 && string.Buffer == NULL);
    for (size_t i = 0; i + 1 < ARRAYSIZE(text); ++i) {
        text[i] = 'x';
    }
    RtlInitUnicodeString(&string, text);
    DDI_EQUAL(65532, string.Length);
    DDI_EQUAL(65534, string.MaximumLength);
}

static void test_wide_strings_are_copied_as_far_as_they_fit(void)
{
    UNICODE_STRING source = RTL_CONSTANT_STRING(L"abcd");
    UNICODE_STRING string = string_of(6);

    RtlCopyUnicodeString(&string, &source);
    string_is(__LINE__, &string, L"abcd", 5);
    DDI_EQUAL(0, buffer[5]);
    string = string_of(4);
    RtlCopyUnicodeString(&string, &source);
    string_is(__LINE__, &string, L"abcd", 4);
    string = string_of(2);
    RtlCopyUnicodeString(&string, &source);
    string_is(__LINE__, &string, L"ab", 2);
    RtlCopyUnicodeString(&string, NULL);
    DDI_EQUAL(0, string.Length);
}

static void test_wide_strings_are_appended_whole_or_not_at_all(void)
{
    UNICODE_STRING source = RTL_CONSTANT_STRING(L"abc");
    UNICODE_STRING string = string_of(7);

    DDI_EQUAL(STATUS_SUCCESS, RtlAppendUnicodeStringToString(&string, &source));
    string_is(__LINE__, &string, L"abc", 4);
    DDI_EQUAL(STATUS_SUCCESS, RtlAppendUnicodeToString(&string, L"de"));
    string_is(__LINE__, &string, L"abcde", 6);
    DDI_EQUAL(STATUS_BUFFER_TOO_SMALL, RtlAppendUnicodeStringToString(&string, &source));
    string_is(__LINE__, &string, L"abcde", 6);
    DDI_EQUAL(STATUS_SUCCESS, RtlAppendUnicodeToString(&string, L"fg"));
    string_is(__LINE__, &string, L"abcdefg", 7);
    DDI_EQUAL(STATUS_BUFFER_TOO_SMALL, RtlAppendUnicodeToString(&string, L"h"));
    DDI_EQUAL(STATUS_SUCCESS, RtlAppendUnicodeToString(&string, NULL));
    string_is(__LINE__, &string, L"abcdefg", 7);
}

static void test_wide_strings_compare_with_and_without_case(void)
{
    UNICODE_STRING lower = RTL_CONSTANT_STRING(L"abc\u00e9");
    UNICODE_STRING upper = RTL_CONSTANT_STRING(L"ABC\u00c9");
    UNICODE_STRING longer = RTL_CONSTANT_STRING(L"abc\u00e9d");

    DDI_TRUE(RtlCompareUnicodeString(&lower, &upper, FALSE) > 0);
    DDI_TRUE(RtlCompareUnicodeString(&upper, &lower, FALSE) < 0);
    DDI_EQUAL(0, RtlCompareUnicodeString(&upper, &lower, TRUE));
    DDI_TRUE(RtlCompareUnicodeString(&lower, &longer, TRUE) < 0);
    DDI_EQUAL(TRUE, RtlEqualUnicodeString(&lower, &upper, TRUE));
    DDI_EQUAL(FALSE, RtlEqualUnicodeString(&lower, &upper, FALSE));
    DDI_EQUAL(FALSE, RtlEqualUnicodeString(&lower, &longer, TRUE));
    DDI_EQUAL(TRUE, RtlPrefixUnicodeString(&upper, &longer, TRUE));
    DDI_EQUAL(FALSE, RtlPrefixUnicodeString(&longer, &upper, TRUE));
    DDI_EQUAL(FALSE, RtlPrefixUnicodeString(&upper, &longer, FALSE));
}

static void test_upper_case_is_that_of_latin_1(void)
{
    for (unsigned value = 0; value <= 0xFFFF; ++value) {
        bool has =
            (value >= 'a' && value <= 'z') || (value >= 0xE0 && value < 0xFF && value != 0xF7);
        unsigned expected = has ? value - 0x20 : value == 0xFF ? 0x178 : value;

        DDI_EQUAL(expected, RtlUpcaseUnicodeChar((WCHAR)value));
        if (expected != value) {
            DDI_EQUAL(value, RtlDowncaseUnicodeChar((WCHAR)expected));
        }
    }
}

static void test_narrow_strings_become_wide_ones_and_come_back(void)
{
    ANSI_STRING narrow;
    ANSI_STRING back;
    UNICODE_STRING wide;
    uint64_t live = ddi_live('grtS', 1);

    RtlInitAnsiString(&narrow, "a\u00e4\u20ac\U0001F600");
    DDI_EQUAL(10, narrow.Length);
    DDI_EQUAL(11, narrow.MaximumLength);
    DDI_EQUAL(STATUS_SUCCESS, RtlAnsiStringToUnicodeString(&wide, &narrow, TRUE));
    DDI_EQUAL(10, wide.Length);
    DDI_EQUAL(0, memcmp(wide.Buffer, L"a\u00e4\u20ac\xD83D\xDE00", 12));
    DDI_EQUAL(STATUS_SUCCESS, RtlUnicodeStringToAnsiString(&back, &wide, TRUE));
    DDI_EQUAL(narrow.Length, back.Length);
    DDI_EQUAL(0, strcmp(narrow.Buffer, back.Buffer));
    DDI_EQUAL(live + 2, ddi_live('grtS', 1));
    RtlFreeUnicodeString(&wide);
    RtlFreeAnsiString(&back);
    DDI_EQUAL(live, ddi_live('grtS', 1));
    DDI_TRUE(wide.Buffer == NULL && wide.Length == 0 && back.Buffer == NULL);
    RtlFreeUnicodeString(&wide);
}

static void test_strings_that_do_not_fit_are_refused_or_cut_as_documented(void)
{
    ANSI_STRING narrow;
    ANSI_STRING back;
    UNICODE_STRING wide = string_of(3);
    char text[8] = "#######";
    ANSI_STRING huge = { 40000, 40000, NULL };
    char *many = malloc(40000);

    RtlInitAnsiString(&narrow, "abc");
    DDI_EQUAL(STATUS_BUFFER_OVERFLOW, RtlAnsiStringToUnicodeString(&wide, &narrow, FALSE));
    string_is(__LINE__, &wide, L"", 0);
    wide = string_of(4);
    DDI_EQUAL(STATUS_SUCCESS, RtlAnsiStringToUnicodeString(&wide, &narrow, FALSE));
    string_is(__LINE__, &wide, L"abc", 4);
    RtlInitUnicodeString(&wide, L"ab\u20ac");
    RtlInitEmptyAnsiString(&back, text, 5);
    DDI_EQUAL(STATUS_BUFFER_OVERFLOW, RtlUnicodeStringToAnsiString(&back, &wide, FALSE));
    DDI_EQUAL(2, back.Length);
    DDI_EQUAL(0, memcmp(text, "ab\0####", 7));
    RtlInitEmptyAnsiString(&back, text, 6);
    DDI_EQUAL(STATUS_SUCCESS, RtlUnicodeStringToAnsiString(&back, &wide, FALSE));
    DDI_EQUAL(0, memcmp(text, "ab\u20ac\0#", 7));
    memset(many, 'x', 40000);
    huge.Buffer = many;
    DDI_EQUAL(STATUS_INVALID_PARAMETER_2, RtlAnsiStringToUnicodeString(&wide, &huge, TRUE));
    DDI_EQUAL(0, expool_set("paged_limit", "0"));
    expool_trim();
    huge.Length = 8000;
    DDI_EQUAL(STATUS_NO_MEMORY, RtlAnsiStringToUnicodeString(&wide, &huge, TRUE));
    free(many);
}

static void test_text_that_is_no_utf_8_becomes_the_replacement_character(void)
{
    static const char *const wrong[] = { "\x80",
                                         "\xC3",
                                         "\xC0\xAF",
                                         "\xE2\x82",
                                         "\xED\xA0\x80",
                                         "\xF5\x80\x80\x80",
                                         "\xF4\x90\x80\x80",
                                         "\xE0\x80\x80" };
    WCHAR half[] = { 'a', 0xD800, 'b', 0xDC00 };
    UNICODE_STRING wide = { sizeof(half), sizeof(half), half };
    ANSI_STRING back;

    for (size_t i = 0; i < ARRAYSIZE(wrong); ++i) {
        ANSI_STRING narrow;
        UNICODE_STRING string = string_of(16);

        RtlInitAnsiString(&narrow, wrong[i]);
        DDI_EQUAL(STATUS_SUCCESS, RtlAnsiStringToUnicodeString(&string, &narrow, FALSE));
        DDI_TRUE(string.Length >= sizeof(WCHAR));
        for (size_t at = 0; at < string.Length / sizeof(WCHAR); ++at) {
            DDI_EQUAL(0xFFFD, string.Buffer[at]);
        }
    }
    DDI_EQUAL(STATUS_SUCCESS, RtlUnicodeStringToAnsiString(&back, &wide, TRUE));
    DDI_EQUAL(0,
              strcmp(back.Buffer,
                     "a\uFFFD"
                     "b\uFFFD"));
    RtlFreeAnsiString(&back);
}

static void test_system_size_is_one_of_three_and_stays(void)
{
    MM_SYSTEMSIZE size = MmQuerySystemSize();

    DDI_TRUE(size == MmSmallSystem || size == MmMediumSystem || size == MmLargeSystem);
    DDI_EQUAL(size, MmQuerySystemSize());
}

static void test_hash_of_a_string_is_x65599_with_or_without_case(void)
{
    static const UNICODE_STRING lower = RTL_CONSTANT_STRING(L"ab\u00E9");
    static const UNICODE_STRING upper = RTL_CONSTANT_STRING(L"AB\u00C9");
    static const UNICODE_STRING empty = { 0, 0, NULL };
    ULONG one = 1;
    ULONG other = 2;

    DDI_EQUAL(0, RtlHashUnicodeString(&empty, FALSE, HASH_STRING_ALGORITHM_DEFAULT, &one));
    DDI_EQUAL(0, one);
    DDI_EQUAL(0, RtlHashUnicodeString(&lower, FALSE, HASH_STRING_ALGORITHM_X65599, &one));
    DDI_EQUAL((ULONG)(('a' * 65599u + 'b') * 65599u + 0xE9), one);
    DDI_EQUAL(0, RtlHashUnicodeString(&upper, FALSE, HASH_STRING_ALGORITHM_DEFAULT, &other));
    DDI_TRUE(one != other);
    DDI_EQUAL(0, RtlHashUnicodeString(&lower, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &one));
    DDI_EQUAL(other, one);
    DDI_EQUAL(STATUS_INVALID_PARAMETER, RtlHashUnicodeString(NULL, TRUE, 0, &one));
    DDI_EQUAL(STATUS_INVALID_PARAMETER, RtlHashUnicodeString(&lower, TRUE, 0, NULL));
    DDI_EQUAL(STATUS_INVALID_PARAMETER, RtlHashUnicodeString(&lower, TRUE, 2, &one));
    DDI_EQUAL(STATUS_INVALID_PARAMETER,
              RtlHashUnicodeString(&lower, TRUE, HASH_STRING_ALGORITHM_INVALID, &one));
    DDI_EQUAL(other, one);
}

static const struct ddi_test tests[] = {
    DDI_TEST("(memory words)", test_memory_words_do_what_they_say),
    DDI_TEST("(strings)", test_wide_strings_begin_as_documented),
    DDI_TEST("(strings)", test_wide_strings_are_copied_as_far_as_they_fit),
    DDI_TEST("(strings)", test_wide_strings_are_appended_whole_or_not_at_all),
    DDI_TEST("(strings)", test_wide_strings_compare_with_and_without_case),
    DDI_TEST("(strings)", test_hash_of_a_string_is_x65599_with_or_without_case),
    DDI_TEST("(strings)", test_upper_case_is_that_of_latin_1),
    DDI_TEST("(strings)", test_narrow_strings_become_wide_ones_and_come_back),
    DDI_TEST("(strings)", test_strings_that_do_not_fit_are_refused_or_cut_as_documented),
    DDI_TEST("(strings)", test_text_that_is_no_utf_8_becomes_the_replacement_character),
    DDI_TEST("(2.12)", test_system_size_is_one_of_three_and_stays),
};

DDI_MAIN(tests)
