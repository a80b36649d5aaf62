/* SPDX-License-Identifier: MIT */
/*
 * Text without a heap: each word kind against what printf says, and every length of buffer
 * against the beginning of the full text.
 */
#include "base/format.h"

#include <inttypes.h>

#include "unit/unit_test.h"

static void test_format_hex_equals_printf(void)
{
    static const uint64_t values[] = {0, 1, 0xf, 0x10, 0xc2, 0xdeadbeef, 0x0123456789abcdef,
                                      UINT64_MAX};
    char buffer[64];
    char expected[64];
    for (size_t index = 0; index < sizeof(values) / sizeof(values[0]); index++) {
        struct exp_text text;
        exp_format_start(&text, buffer, sizeof(buffer));
        exp_format_hex(&text, values[index], 16);
        snprintf(expected, sizeof(expected), "%016" PRIX64, values[index]);
        CHECK_TEXT(buffer, expected);
        exp_format_start(&text, buffer, sizeof(buffer));
        exp_format_hex(&text, values[index], 8);
        snprintf(expected, sizeof(expected), "%08" PRIX32, (uint32_t)values[index]);
        CHECK_TEXT(buffer, expected);
    }
}

static void test_format_decimal_equals_printf(void)
{
    char buffer[64];
    char expected[64];
    uint64_t value = 0;
    for (unsigned width = 0; width <= 24; width++) {
        for (unsigned power = 0; power < 64; power++) {
            value = (UINT64_C(1) << power) - (power % 3 == 0);
            struct exp_text text;
            exp_format_start(&text, buffer, sizeof(buffer));
            exp_format_decimal(&text, value, width);
            snprintf(expected, sizeof(expected), "%*" PRIu64, (int)width, value);
            CHECK_TEXT(buffer, expected);
        }
    }
    struct exp_text text;
    exp_format_start(&text, buffer, sizeof(buffer));
    exp_format_decimal(&text, UINT64_MAX, 0);
    CHECK_TEXT(buffer, "18446744073709551615");
}

static void test_format_tag_shows_memory_order(void)
{
    char buffer[16];
    struct exp_text text;
    exp_format_start(&text, buffer, sizeof(buffer));
    exp_format_tag(&text, 0x656e6f4e); /* 'enoN' */
    CHECK_TEXT(buffer, "None");
    exp_format_start(&text, buffer, sizeof(buffer));
    exp_format_tag(&text, 0x7f1f0041);
    CHECK_TEXT(buffer, "A...");
    exp_format_start(&text, buffer, sizeof(buffer));
    exp_format_tag(&text, 0xff7e2080);
    CHECK_TEXT(buffer, ". ~.");
}

static void test_format_character_hides_controls(void)
{
    for (unsigned code = 0; code < 256; code++) {
        char buffer[4];
        struct exp_text text;
        exp_format_start(&text, buffer, sizeof(buffer));
        exp_format_character(&text, (char)code);
        CHECK_EQUAL(buffer[0], code >= 0x20 && code < 0x7f ? (char)code : '.');
        CHECK_EQUAL(text.length_bytes, 1);
    }
}

static void append_all(struct exp_text *text)
{
    exp_format_words(text, "*** STOP: 0x");
    exp_format_hex(text, 0xc2, 8);
    exp_format_character(text, '\n');
    exp_format_decimal(text, 42, 6);
    exp_format_tag(text, 0x31676154);
}

static void test_format_short_buffer_cuts_and_terminates(void)
{
    static const char expected[] = "*** STOP: 0x000000C2.    42Tag1";
    for (size_t size = 1; size <= sizeof(expected) + 3; size++) {
        char buffer[64];
        memset(buffer, '#', sizeof(buffer));
        struct exp_text text;
        exp_format_start(&text, buffer, size);
        append_all(&text);
        size_t length = size <= sizeof(expected) ? size - 1 : sizeof(expected) - 1;
        CHECK_EQUAL(text.length_bytes, length);
        CHECK_EQUAL(buffer[length], '\0');
        CHECK(memcmp(buffer, expected, length) == 0);
        CHECK_EQUAL(buffer[size], '#'); /* never beyond */
    }
}

int main(void)
{
    RUN(test_format_hex_equals_printf);
    RUN(test_format_decimal_equals_printf);
    RUN(test_format_tag_shows_memory_order);
    RUN(test_format_character_hides_controls);
    RUN(test_format_short_buffer_cuts_and_terminates);
    return unit_end();
}
