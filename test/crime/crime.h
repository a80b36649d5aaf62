/* SPDX-License-Identifier: MIT */
/*
 * What the crimes share. A crime is a tiny program that does one wrong thing and must die of it.
 *
 * Beforehand it writes on stdout what the stop has to be, one line each:
 *
 *     expect 000000C2 000000000000000A 00007F12A4801000 656D6972 *     code and four parameters
 *     tell tag: Crim     words the report must contain, spaces counted as one
 *
 * A parameter is a hexadecimal number, "*" (not published), "LOW-HIGH" (a number in between, both
 * included), or several numbers with commas (one of them). run.py reads the lines, compares them
 * with what the program printed on stderr, and knows code and first parameter of each crime by
 * itself.
 *
 * Reaching the end of main is a failure: it prints "survived" and exits with 3.
 */
#ifndef EXP_CRIME_H
#define EXP_CRIME_H

#include <expool.h>
#include <expool/region.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wdm.h>

enum {
    CRIME_TAG = 'mirC'
}; /* shows Crim */

/* Addresses of the code of DEED functions: the caller's address in 0x9B and 0x9C lies there. */
#define DEED __attribute__((section("crime_deed"), noinline)) static
__attribute__((unused)) extern const char __start_crime_deed[] __attribute__((weak));
__attribute__((unused)) extern const char __stop_crime_deed[] __attribute__((weak));

/* No knowledge of the compiler about a block gets past this. */
static inline void *crime_opaque(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

__attribute__((unused)) static uint8_t *crime_allocate(POOL_FLAGS flags, size_t bytes)
{
    uint8_t *block = crime_opaque(ExAllocatePool2(flags, bytes, CRIME_TAG));

    if (block == NULL) {
        printf("no memory\n");
        exit(2);
    }
    return block;
}

/* One parameter of the expectation, formatted as above. */
__attribute__((unused, format(printf, 1, 2))) static const char *crime_text(const char *format, ...)
{
    static char texts[4][256];
    static unsigned next;
    char *text = texts[next++ % 4];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(texts[0]), format, arguments);
    va_end(arguments);
    return text;
}

__attribute__((unused)) static const char *crime_number(uint64_t value)
{
    return crime_text("%016llX", (unsigned long long)value);
}

#define CRIME_ANY "*"

__attribute__((unused)) static void crime_expect(
    uint32_t code, const char *p1, const char *p2, const char *p3, const char *p4)
{
    printf("expect %08X %s %s %s %s\n", code, p1, p2, p3, p4);
    fflush(stdout);
}

__attribute__((unused)) static void crime_tell(const char *words)
{
    printf("tell %s\n", words);
    fflush(stdout);
}

/* The range of the caller's address. */
__attribute__((unused)) static const char *crime_caller(void)
{
    return crime_text("%016llX-%016llX",
                      (unsigned long long)(uintptr_t)__start_crime_deed,
                      (unsigned long long)(uintptr_t)__stop_crime_deed);
}

/* The head of this process's statistics region. */
__attribute__((unused)) static struct expool_region_header crime_region(void)
{
    struct expool_region_header header;
    char path[64];
    char target[128];

    for (int fd = 0; fd < 65536; ++fd) {
        ssize_t length;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        length = readlink(path, target, sizeof(target) - 1);
        if (length <= 0) {
            continue;
        }
        target[length] = '\0';
        if (strstr(target, EXPOOL_REGION_NAME) != NULL &&
            pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
            header.magic == EXPOOL_REGION_MAGIC) {
            return header;
        }
    }
    printf("no statistics region\n");
    exit(2);
}

__attribute__((unused)) static int crime_survived(void)
{
    printf("survived\n");
    return 3;
}

#endif
