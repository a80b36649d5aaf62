/* SPDX-License-Identifier: MIT */
/*
 * What a driver says: DbgPrint, DbgPrintEx, and its last word, KeBugCheckEx.
 *
 * The format language is NT's, not C's: long is 32 bits, I64 and w are sizes, Z is a counted
 * string. So it is read here, by hand. One conversion is a struct spec; what it shows is put into a
 * line on the stack, and the line goes to the port in one call, so that lines of several threads do
 * not mix.
 *
 * Whatever comes from outside goes through one of two doors: bytes, taken as UTF-8, and 16-bit
 * units. Both turn control characters into \xNN, because text of a driver must not steer a
 * terminal.
 *
 * Nothing is allocated and no lock is taken. What it refuses to do: floating point (a kernel may
 * have none) and %n.
 */
#include <expool/port.h>

#include "core/stop.h"

#include <stdarg.h>
#include <wdm.h>

enum {
    DEBUG_LINE_BYTES = 512, /* the documented limit */
    DEBUG_DIGITS_MAX = 64,
    DEBUG_COLUMNS_MAX = 4096, /* of width and precision: more than any line */
    DEBUG_LEVEL_BITS = 32,
};

#define DEBUG_MASK UINT32_C(1) /* bits of levels that are shown: errors */

struct line {
    char text[DEBUG_LINE_BYTES];
    size_t bytes;
    bool cut;
};

/* One conversion. */
struct spec {
    bool left, zero, plus, space, alternate;
    bool wide;     /* l, ll or w: of text, 16-bit units */
    bool narrow;   /* h: of text, bytes */
    unsigned bits; /* of an integer */
    size_t width;
    size_t precision; /* SIZE_MAX: none given */
    char conversion;
};

/* A va_list that can be passed on and read from. */
struct arguments {
    va_list list;
};

static void put(struct line *line, char character)
{
    if (line->bytes < DEBUG_LINE_BYTES) {
        line->text[line->bytes++] = character;
    } else {
        line->cut = true;
    }
}

static void put_times(struct line *line, char character, size_t count)
{
    for (; count > 0 && !line->cut; count--) {
        put(line, character);
    }
}

static void put_escape(struct line *line, uint32_t value)
{
    put(line, '\\');
    put(line, 'x');
    put(line, "0123456789ABCDEF"[value >> 4 & 15]);
    put(line, "0123456789ABCDEF"[value & 15]);
}

static bool is_control(uint32_t value)
{
    return (value < 0x20 && value != '\n' && value != '\t') || (value >= 0x7F && value < 0xA0);
}

/* A character of wide text. */
static void put_value(struct line *line, uint32_t value)
{
    UCHAR text[4];
    if (is_control(value)) {
        put_escape(line, value);
        return;
    }
    size_t bytes = exp_wdk_to_utf8(value, text);
    for (size_t index = 0; index < bytes; index++) {
        put(line, (char)text[index]);
    }
}

/* Bytes: UTF-8 goes through as it is, also where it is wrong. */
static void put_bytes(struct line *line, const char *text, size_t bytes)
{
    const UCHAR *at = (const UCHAR *)text;
    for (size_t index = 0; index < bytes && !line->cut; index++) {
        bool more = index + 1 < bytes;
        if (at[index] == '\r' && more && at[index + 1] == '\n') {
            continue;
        }
        if (at[index] == 0xC2 && more && at[index + 1] >= 0x80 && at[index + 1] < 0xA0) {
            put_escape(line, at[++index]); /* a control character in two bytes */
        } else if (at[index] < 0x80 && is_control(at[index])) {
            put_escape(line, at[index]);
        } else {
            put(line, (char)at[index]);
        }
    }
}

static void put_units(struct line *line, const WCHAR *text, size_t count)
{
    for (size_t index = 0; index < count && !line->cut;) {
        SIZE_T units;
        uint32_t value = exp_wdk_from_wide(text + index, count - index, &units);
        bool carriage = value == '\r' && index + 1 < count && text[index + 1] == '\n';
        if (!carriage) {
            put_value(line, value);
        }
        index += units;
    }
}

static size_t padding(const struct spec *spec, size_t columns)
{
    return spec->width > columns ? spec->width - columns : 0;
}

static void put_narrow(struct line *line, const struct spec *spec, const char *text, size_t bytes)
{
    size_t blanks = padding(spec, bytes);
    put_times(line, ' ', spec->left ? 0 : blanks);
    put_bytes(line, text, bytes);
    put_times(line, ' ', spec->left ? blanks : 0);
}

static void put_wide(struct line *line, const struct spec *spec, const WCHAR *text, size_t count)
{
    size_t blanks = padding(spec, count);
    put_times(line, ' ', spec->left ? 0 : blanks);
    put_units(line, text, count);
    put_times(line, ' ', spec->left ? blanks : 0);
}

/* %s and %S */
static void put_text(struct line *line, const struct spec *spec, const void *text)
{
    bool wide = spec->wide || (spec->conversion == 'S' && !spec->narrow);
    size_t limit = spec->precision < DEBUG_COLUMNS_MAX ? spec->precision : DEBUG_COLUMNS_MAX;
    size_t length = 0;
    if (text == NULL) {
        put_narrow(line, spec, "(null)", sizeof("(null)") - 1);
    } else if (wide) {
        const WCHAR *units = text;
        while (length < limit && units[length] != 0) {
            length++;
        }
        put_wide(line, spec, units, length);
    } else {
        const char *bytes = text;
        while (length < limit && bytes[length] != 0) {
            length++;
        }
        put_narrow(line, spec, bytes, length);
    }
}

/* %Z and %wZ: both kinds of counted strings have the same layout. */
static void put_counted(struct line *line, const struct spec *spec, const void *string)
{
    const STRING *narrow = string;
    const UNICODE_STRING *wide = string;
    if (string == NULL || narrow->Buffer == NULL) {
        put_narrow(line, spec, "(null)", sizeof("(null)") - 1);
    } else if (spec->wide) {
        put_wide(line, spec, wide->Buffer, exp_min(wide->Length / sizeof(WCHAR), spec->precision));
    } else {
        put_narrow(line, spec, narrow->Buffer, exp_min(narrow->Length, spec->precision));
    }
}

static void put_character(struct line *line, const struct spec *spec, int value)
{
    char narrow = (char)value;
    WCHAR wide = (WCHAR)value;
    if (spec->wide || (spec->conversion == 'C' && !spec->narrow)) {
        put_wide(line, spec, &wide, 1);
    } else {
        put_narrow(line, spec, &narrow, 1);
    }
}

/* Sign or base, zeros, digits. */
static void put_number(
    struct line *line, const struct spec *spec, const char *prefix, uint64_t value, unsigned base)
{
    const char *signs = spec->conversion == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
    char digits[DEBUG_DIGITS_MAX];
    size_t count = 0;
    size_t prefix_bytes = 0;
    for (; value != 0; value /= base) {
        digits[count++] = signs[value % base];
    }
    while (prefix[prefix_bytes] != '\0') {
        prefix_bytes++;
    }
    size_t least = spec->precision == SIZE_MAX ? 1 : spec->precision;
    size_t zeros = least > count ? least - count : 0;
    if (base == 8 && zeros != 0) {
        prefix_bytes = 0; /* one zero is in front already */
    }
    size_t blanks = padding(spec, prefix_bytes + zeros + count);
    if (spec->zero && !spec->left && spec->precision == SIZE_MAX) {
        zeros += blanks;
        blanks = 0;
    }
    put_times(line, ' ', spec->left ? 0 : blanks);
    put_bytes(line, prefix, prefix_bytes);
    put_times(line, '0', zeros);
    while (count > 0) {
        put(line, digits[--count]);
    }
    put_times(line, ' ', spec->left ? blanks : 0);
}

static uint64_t next_integer(const struct spec *spec, struct arguments *arguments)
{
    return spec->bits == 64 ? va_arg(arguments->list, uint64_t) : va_arg(arguments->list, uint32_t);
}

static void put_signed(struct line *line, const struct spec *spec, uint64_t value)
{
    unsigned unused = 64 - spec->bits;
    bool negative = (value >> (spec->bits - 1) & 1) != 0;
    uint64_t size = (negative ? 0 - value : value) << unused >> unused;
    put_number(line, spec, negative ? "-" : spec->plus ? "+" : spec->space ? " " : "", size, 10);
}

static void put_unsigned(struct line *line, const struct spec *spec, uint64_t value)
{
    unsigned unused = 64 - spec->bits;
    uint64_t size = value << unused >> unused;
    bool prefixed = spec->alternate && size != 0;
    switch (spec->conversion) {
    case 'o':
        put_number(line, spec, spec->alternate ? "0" : "", size, 8);
        break;
    case 'x':
        put_number(line, spec, prefixed ? "0x" : "", size, 16);
        break;
    case 'X':
        put_number(line, spec, prefixed ? "0X" : "", size, 16);
        break;
    default:
        put_number(line, spec, "", size, 10);
        break;
    }
}

/* As the system's own debugger shows it: all digits. */
static void put_pointer(struct line *line, const struct spec *spec, const void *value)
{
    struct spec all = *spec;
    all.precision = 2 * sizeof(value);
    put_number(line, &all, spec->alternate ? "0x" : "", (uintptr_t)value, 16);
}

/* Show what a conversion asks for; false: it is none. */
static bool convert(struct line *line, const struct spec *spec, struct arguments *arguments)
{
    switch (spec->conversion) {
    case 'd':
    case 'i':
        put_signed(line, spec, next_integer(spec, arguments));
        return true;
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        put_unsigned(line, spec, next_integer(spec, arguments));
        return true;
    case 'p':
        put_pointer(line, spec, va_arg(arguments->list, const void *));
        return true;
    case 'c':
    case 'C':
        put_character(line, spec, va_arg(arguments->list, int));
        return true;
    case 's':
    case 'S':
        put_text(line, spec, va_arg(arguments->list, const void *));
        return true;
    case 'Z':
        put_counted(line, spec, va_arg(arguments->list, const void *));
        return true;
    case '%':
        put(line, '%');
        return true;
    default:
        return false;
    }
}

static const char *read_flags(const char *at, struct spec *spec)
{
    for (;; at++) {
        switch (*at) {
        case '-':
            spec->left = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return at;
        }
    }
}

/* Digits or '*'; a negative one of the latter is left to the caller. */
static const char *read_count(const char *at, int64_t *count, struct arguments *arguments)
{
    *count = 0;
    if (*at == '*') {
        *count = va_arg(arguments->list, int);
        return at + 1;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        if (*count < DEBUG_COLUMNS_MAX) {
            *count = *count * 10 + (*at - '0');
        }
    }
    return at;
}

static const char *read_size(const char *at, struct spec *spec)
{
    spec->bits = 32;
    if (at[0] == 'I') {
        bool wide = at[1] == '6' && at[2] == '4';
        bool plain = at[1] == '3' && at[2] == '2';
        spec->bits = wide ? 64 : plain ? 32 : 8 * sizeof(void *);
        return at + (wide || plain ? 3 : 1);
    }
    for (;; at++) {
        switch (*at) {
        case 'h':
            spec->bits = spec->narrow ? 8 : 16;
            spec->narrow = true;
            break;
        case 'l':
            spec->bits = spec->wide ? 64 : 32; /* a long is 32 bits */
            spec->wide = true;
            break;
        case 'w':
            spec->wide = true;
            break;
        case 'j':
            spec->bits = 64;
            break;
        case 'z':
        case 't':
            spec->bits = 8 * sizeof(size_t);
            break;
        default:
            return at;
        }
    }
}

/* Read the conversion that follows a '%'; returns what follows it. */
static const char *read_spec(const char *at, struct spec *spec, struct arguments *arguments)
{
    int64_t count;
    *spec = (struct spec){ .precision = SIZE_MAX };
    at = read_flags(at, spec);
    at = read_count(at, &count, arguments);
    spec->left = spec->left || count < 0;
    spec->width = exp_min((size_t)(count < 0 ? -count : count), DEBUG_COLUMNS_MAX);
    if (*at == '.') {
        at = read_count(at + 1, &count, arguments);
        spec->precision = count < 0 ? SIZE_MAX : exp_min((size_t)count, (size_t)DEBUG_COLUMNS_MAX);
    }
    at = read_size(at, spec);
    spec->conversion = *at;
    return *at == '\0' ? at : at + 1;
}

/* A line that was cut ends between characters, and in a line end: the next one starts anew. */
static void close_line(struct line *line)
{
    if (!line->cut) {
        return;
    }
    size_t end = DEBUG_LINE_BYTES - 1;
    while (end > 0 && ((UCHAR)line->text[end] & 0xC0) == 0x80) {
        end--;
    }
    line->text[end] = '\n';
    line->bytes = end + 1;
}

static void print(const char *format, struct arguments *arguments)
{
    struct line line;
    line.bytes = 0;
    line.cut = false;
    while (*format != '\0' && !line.cut) {
        size_t plain = 0;
        while (format[plain] != '\0' && format[plain] != '%') {
            plain++;
        }
        put_bytes(&line, format, plain);
        format += plain;
        if (*format == '%') {
            struct spec spec;
            const char *next = read_spec(format + 1, &spec, arguments);
            if (!convert(&line, &spec, arguments)) {
                put_bytes(&line, format, (size_t)(next - format));
            }
            format = next;
        }
    }
    close_line(&line);
    if (line.bytes != 0) {
        exp_port_print(line.text, line.bytes);
    }
}

EXP_EXPORT ULONG DbgPrint(PCSTR Format, ...)
{
    struct arguments arguments;
    va_start(arguments.list, Format);
    print(Format, &arguments);
    va_end(arguments.list);
    return STATUS_SUCCESS;
}

EXP_EXPORT ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    uint32_t bits = Level < DEBUG_LEVEL_BITS ? UINT32_C(1) << Level : Level;
    (void)ComponentId;
    if ((bits & DEBUG_MASK) != 0) {
        struct arguments arguments;
        va_start(arguments.list, Format);
        print(Format, &arguments);
        va_end(arguments.list);
    }
    return STATUS_SUCCESS;
}

EXP_EXPORT VOID KeBugCheckEx(ULONG BugCheckCode,
                             ULONG_PTR BugCheckParameter1,
                             ULONG_PTR BugCheckParameter2,
                             ULONG_PTR BugCheckParameter3,
                             ULONG_PTR BugCheckParameter4)
{
    struct exp_stop_about about = { .caller = __builtin_return_address(0) };
    exp_stop_now(BugCheckCode,
                 BugCheckParameter1,
                 BugCheckParameter2,
                 BugCheckParameter3,
                 BugCheckParameter4,
                 &about);
}
