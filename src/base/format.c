/* SPDX-License-Identifier: MIT */
/*
 * Text without a heap. A text is a buffer, its size and its length; every function appends through
 * one helper that cuts at the end, so that no caller has to count. Nothing here keeps state.
 */
#include "base/format.h"

static void put(struct exp_text *text, char character)
{
    if (text->length_bytes + 1 < text->size_bytes) {
        text->buffer[text->length_bytes++] = character;
        text->buffer[text->length_bytes] = '\0';
    }
}

void exp_format_start(struct exp_text *text, char *buffer, size_t size_bytes)
{
    text->buffer = buffer;
    text->size_bytes = size_bytes;
    text->length_bytes = 0;
    buffer[0] = '\0';
}

void exp_format_words(struct exp_text *text, const char *words)
{
    for (; *words != '\0'; words++) {
        put(text, *words);
    }
}

void exp_format_character(struct exp_text *text, char character)
{
    put(text, character >= 0x20 && character < 0x7f ? character : '.');
}

void exp_format_hex(struct exp_text *text, uint64_t value, unsigned digits)
{
    for (unsigned digit = digits; digit-- > 0;) {
        put(text, "0123456789ABCDEF"[(value >> (4 * digit)) & 15]);
    }
}

void exp_format_decimal(struct exp_text *text, uint64_t value, unsigned width)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (unsigned column = count; column < width; column++) {
        put(text, ' ');
    }
    while (count > 0) {
        put(text, digits[--count]);
    }
}

void exp_format_tag(struct exp_text *text, uint32_t tag)
{
    for (unsigned byte = 0; byte < 4; byte++) {
        exp_format_character(text, (char)((tag >> (8 * byte)) & 0xff));
    }
}
