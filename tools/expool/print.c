/* SPDX-License-Identifier: MIT */
/*
 * Words into JSON and CSV.
 *
 * What is printed here may come from a hostile process: its name, the names of its modules, its
 * options. So everything leaves as printable ASCII, and no byte of it can end a string or a field
 * early. Decoding UTF-8 refuses what the standard refuses: overlong forms, surrogates, values above
 * U+10FFFF, cut sequences.
 */
#include "expool/print.h"

#include "expool/reader.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Decode one character; returns its bytes, or 0 when text does not start with valid UTF-8. */
static int print_decode(const char *text, uint32_t *code)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80) {
        *code = byte[0];
        return 1;
    }
    int length = byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2;
    if (byte[0] < 0xc2 || byte[0] > 0xf4) {
        return 0;
    }
    *code = byte[0] & (0x7fu >> length);
    for (int index = 1; index < length; index++) {
        if ((byte[index] & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (byte[index] & 0x3f);
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code < smallest[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

static void print_json_character(uint32_t code)
{
    if (code == '"' || code == '\\') {
        printf("\\%c", (char)code);
    } else if (code >= 0x20 && code < 0x7f) {
        putchar((int)code);
    } else if (code >= 0x10000) {
        uint32_t rest = code - 0x10000;
        printf("\\u%04x\\u%04x", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    } else {
        printf("\\u%04x", code);
    }
}

void exp_print_json(const char *text)
{
    putchar('"');
    while (*text != '\0') {
        uint32_t code;
        int length = print_decode(text, &code);
        print_json_character(length == 0 ? 0xfffd : code);
        text += length == 0 ? 1 : length;
    }
    putchar('"');
}

void exp_print_csv(const char *text)
{
    if (strpbrk(text, ",\"") == NULL) {
        exp_reader_print_name(stdout, text);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        char piece[2] = {*text, '\0'};
        if (*text == '"') {
            putchar('"');
        }
        exp_reader_print_name(stdout, piece);
    }
    putchar('"');
}

int exp_print_finish(const char *command, int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "%s: standard output cannot be written: %s\n", command, strerror(errno));
        return EXP_READER_EXIT_PROBLEM;
    }
    return status;
}
