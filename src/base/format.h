/* SPDX-License-Identifier: MIT */
/*
 * Numbers and words into a fixed buffer, for reports that may not allocate. Text that does not fit
 * is cut; the buffer is NUL-terminated at all times.
 */
#ifndef EXP_FORMAT_H
#define EXP_FORMAT_H

#include "base/base.h"

struct exp_text {
    char *buffer;
    size_t size_bytes;   /* of the buffer, at least 1 */
    size_t length_bytes; /* used, without the NUL */
};

/* Start an empty text in buffer. */
void exp_format_start(struct exp_text *text, char *buffer, size_t size_bytes);

/* Append words as they are. */
void exp_format_words(struct exp_text *text, const char *words);

/* Append one character; a control character becomes '.'. */
void exp_format_character(struct exp_text *text, char character);

/* Append value in hexadecimal capitals with exactly digits (1..16) digits. */
void exp_format_hex(struct exp_text *text, uint64_t value, unsigned digits);

/* Append value in decimal, right-aligned in at least width columns. */
void exp_format_decimal(struct exp_text *text, uint64_t value, unsigned width);

/* Append a tag: four characters in memory order, unprintable as '.'. */
void exp_format_tag(struct exp_text *text, uint32_t tag);

#endif
