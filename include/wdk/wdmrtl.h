/* SPDX-License-Identifier: MIT */
/*
 * Memory words, counted strings, debug output and assertions; part of wdm.h.
 *
 * A counted string has lengths in bytes and need not end in a NUL. The routines here that write
 * one never write beyond its MaximumLength. Upper case is that of ASCII and Latin-1: every other
 * character is its own upper case. Narrow strings are UTF-8 where they become wide ones or come
 * from them.
 *
 * source      public DDI reference of each name
 */
#ifndef EXP_WDK_WDMRTL_H
#define EXP_WDK_WDMRTL_H

#include "bugcodes.h"
#include "ntdef.h"
#include "ntstatus.h"
#include "wdmpool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory words ---------------------------------------------------------------------------- */

#define RtlCopyMemory(to, from, bytes)            __builtin_memcpy((to), (from), (bytes))
#define RtlCopyMemoryNonTemporal(to, from, bytes) __builtin_memcpy((to), (from), (bytes))
#define RtlMoveMemory(to, from, bytes)            __builtin_memmove((to), (from), (bytes))
#define RtlFillMemory(to, bytes, value)           __builtin_memset((to), (value), (bytes))
#define RtlZeroMemory(to, bytes)                  __builtin_memset((to), 0, (bytes))
#define RtlEqualMemory(a, b, bytes)               (__builtin_memcmp((a), (b), (bytes)) == 0)
#define RtlCopyBytes                              RtlCopyMemory
#define RtlZeroBytes                              RtlZeroMemory
#define RtlFillBytes                              RtlFillMemory

/* Zero memory that is dead afterwards: the compiler must not drop it. */
static inline PVOID RtlSecureZeroMemory(PVOID to, SIZE_T bytes)
{
    __builtin_memset(to, 0, bytes);
    __asm__ __volatile__("" : : "r"(to) : "memory");
    return to;
}

/* How many bytes are equal from the start. */
static inline SIZE_T RtlCompareMemory(const VOID *a, const VOID *b, SIZE_T bytes)
{
    const UCHAR *one = (const UCHAR *)a;
    const UCHAR *other = (const UCHAR *)b;
    SIZE_T same = 0;

    while (same < bytes && one[same] == other[same]) {
        same++;
    }
    return same;
}

/* ---- wide strings ---------------------------------------------------------------------------- */

/* Bytes of the longest UNICODE_STRING. */
#define UNICODE_STRING_MAX_BYTES ((USHORT)65534)
#define UNICODE_STRING_MAX_CHARS (32767)

/* A string over a buffer without contents yet. */
#define RtlInitEmptyUnicodeString(string, buffer, bytes)                                           \
    ((void)((string)->Buffer = (buffer),                                                           \
            (string)->MaximumLength = (USHORT)(bytes),                                             \
            (string)->Length = 0))
#define RtlInitEmptyAnsiString(string, buffer, bytes)                                              \
    RtlInitEmptyUnicodeString(string, buffer, bytes)

/*
 * Make a counted string of a NUL-terminated one, whose memory it shares.
 *
 *   SourceString   NULL gives an empty string without a buffer; text beyond 32766 characters is
 *                  not counted
 *   irql           <= DISPATCH_LEVEL
 *   source         RtlInitUnicodeString page
 */
static inline VOID RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    SIZE_T count = 0;

    while (SourceString != NULL && count < UNICODE_STRING_MAX_CHARS - 1 &&
           SourceString[count] != 0) {
        count++;
    }
    DestinationString->Length = (USHORT)(count * sizeof(WCHAR));
    DestinationString->MaximumLength =
        (USHORT)(SourceString == NULL ? 0 : (count + 1) * sizeof(WCHAR));
    DestinationString->Buffer = (PWCH)(ULONG_PTR)SourceString;
}

/*
 * Copy a string as far as it fits; a NUL follows when there is room for it.
 *
 *   SourceString   NULL empties the destination
 *   irql           <= DISPATCH_LEVEL, here and below: where the buffers may be touched
 *   source         RtlCopyUnicodeString page
 */
static inline VOID RtlCopyUnicodeString(PUNICODE_STRING DestinationString,
                                        PCUNICODE_STRING SourceString)
{
    USHORT bytes = SourceString == NULL ? 0 : SourceString->Length;

    if (bytes > DestinationString->MaximumLength) {
        bytes = DestinationString->MaximumLength;
    }
    if (bytes != 0) {
        __builtin_memmove(DestinationString->Buffer, SourceString->Buffer, bytes);
    }
    DestinationString->Length = bytes;
    if (SourceString != NULL && bytes + sizeof(WCHAR) <= DestinationString->MaximumLength) {
        DestinationString->Buffer[bytes / sizeof(WCHAR)] = 0;
    }
}

/*
 * Append a string; a NUL follows when there is room for it.
 *
 *   returns   STATUS_SUCCESS; STATUS_BUFFER_TOO_SMALL, with nothing appended
 *   source    RtlAppendUnicodeStringToString page
 */
static inline NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination,
                                                      PCUNICODE_STRING Source)
{
    SIZE_T bytes = (SIZE_T)Destination->Length + Source->Length;

    if (bytes > Destination->MaximumLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (Source->Length != 0) {
        __builtin_memmove(
            (PUCHAR)Destination->Buffer + Destination->Length, Source->Buffer, Source->Length);
    }
    Destination->Length = (USHORT)bytes;
    if (bytes + sizeof(WCHAR) <= Destination->MaximumLength) {
        Destination->Buffer[bytes / sizeof(WCHAR)] = 0;
    }
    return STATUS_SUCCESS;
}

/* The same from a NUL-terminated string; NULL appends nothing. */
static inline NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
    UNICODE_STRING string;

    RtlInitUnicodeString(&string, Source);
    return RtlAppendUnicodeStringToString(Destination, &string);
}

/* Upper case of ASCII and Latin-1; other characters are returned as they are. */
static inline WCHAR RtlUpcaseUnicodeChar(WCHAR SourceCharacter)
{
    ULONG one = SourceCharacter;

    if ((one >= 'a' && one <= 'z') || (one >= 0xE0 && one <= 0xFE && one != 0xF7)) {
        return (WCHAR)(one - 0x20);
    }
    return one == 0xFF ? (WCHAR)0x178 : SourceCharacter;
}

/* The opposite. */
static inline WCHAR RtlDowncaseUnicodeChar(WCHAR SourceCharacter)
{
    ULONG one = SourceCharacter;

    if ((one >= 'A' && one <= 'Z') || (one >= 0xC0 && one <= 0xDE && one != 0xD7)) {
        return (WCHAR)(one + 0x20);
    }
    return one == 0x178 ? (WCHAR)0xFF : SourceCharacter;
}

/*
 * Compare by character values, not by any language.
 *
 *   returns   < 0, 0, > 0: String1 is less, equal, greater; the start of a longer string is less
 *   source    RtlCompareUnicodeString page
 */
static inline LONG RtlCompareUnicodeString(PCUNICODE_STRING String1,
                                           PCUNICODE_STRING String2,
                                           BOOLEAN CaseInSensitive)
{
    SIZE_T count1 = String1->Length / sizeof(WCHAR);
    SIZE_T count2 = String2->Length / sizeof(WCHAR);

    for (SIZE_T index = 0; index < count1 && index < count2; index++) {
        WCHAR one = String1->Buffer[index];
        WCHAR other = String2->Buffer[index];

        if (CaseInSensitive) {
            one = RtlUpcaseUnicodeChar(one);
            other = RtlUpcaseUnicodeChar(other);
        }
        if (one != other) {
            return (LONG)one - (LONG)other;
        }
    }
    return (LONG)count1 - (LONG)count2;
}

/* TRUE when RtlCompareUnicodeString gives 0. */
static inline BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING String1,
                                            PCUNICODE_STRING String2,
                                            BOOLEAN CaseInSensitive)
{
    return (BOOLEAN)(String1->Length == String2->Length &&
                     RtlCompareUnicodeString(String1, String2, CaseInSensitive) == 0);
}

/* TRUE when String2 starts with String1. */
static inline BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING String1,
                                             PCUNICODE_STRING String2,
                                             BOOLEAN CaseInSensitive)
{
    UNICODE_STRING start = *String2;

    if (String1->Length > String2->Length) {
        return FALSE;
    }
    start.Length = String1->Length;
    return RtlEqualUnicodeString(String1, &start, CaseInSensitive);
}

#define HASH_STRING_ALGORITHM_DEFAULT 0
#define HASH_STRING_ALGORITHM_X65599  1
#define HASH_STRING_ALGORITHM_INVALID 0xFFFFFFFFu

/*
 * Hash a string for a table of names.
 *
 *   String            may be empty, not NULL
 *   CaseInSensitive   strings that differ in case only get the same value
 *   HashAlgorithm     DEFAULT or X65599, which are the same: value = 65599 * value + character
 *   HashValue         receives the value; not NULL
 *   returns           STATUS_SUCCESS; STATUS_INVALID_PARAMETER
 *   source            RtlHashUnicodeString page
 */
static inline NTSTATUS RtlHashUnicodeString(PCUNICODE_STRING String,
                                            BOOLEAN CaseInSensitive,
                                            ULONG HashAlgorithm,
                                            PULONG HashValue)
{
    ULONG value = 0;

    if (String == NULL || HashValue == NULL || HashAlgorithm > HASH_STRING_ALGORITHM_X65599) {
        return STATUS_INVALID_PARAMETER;
    }
    for (SIZE_T index = 0; index < String->Length / sizeof(WCHAR); index++) {
        WCHAR one = String->Buffer[index];

        value = value * 65599 + (CaseInSensitive ? RtlUpcaseUnicodeChar(one) : one);
    }
    *HashValue = value;
    return STATUS_SUCCESS;
}

/* ---- narrow strings -------------------------------------------------------------------------- */

/* RtlInitUnicodeString for narrow strings; text beyond 65534 characters is not counted. */
static inline VOID RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)
{
    SIZE_T count = 0;

    while (SourceString != NULL && count < 65534 && SourceString[count] != 0) {
        count++;
    }
    DestinationString->Length = (USHORT)count;
    DestinationString->MaximumLength = (USHORT)(SourceString == NULL ? 0 : count + 1);
    DestinationString->Buffer = (PCHAR)(ULONG_PTR)SourceString;
}
#define RtlInitString RtlInitAnsiString

/* ---- from one to the other ------------------------------------------------------------------- */

/* Tag of strings that these routines allocate from paged pool: Strg. */
#define EXP_WDK_TAG_STRING 0x67727453u

/*
 * Free the buffer of a string that one of the routines below allocated; the string is empty
 * afterwards. Without a buffer it does nothing.
 *
 *   irql     <= APC_LEVEL
 *   source   RtlFreeUnicodeString page
 */
static inline VOID RtlFreeUnicodeString(PUNICODE_STRING UnicodeString)
{
    if (UnicodeString->Buffer != NULL) {
        (ExFreePoolWithTag)(UnicodeString->Buffer, EXP_WDK_TAG_STRING);
        RtlInitEmptyUnicodeString(UnicodeString, NULL, 0);
    }
}

static inline VOID RtlFreeAnsiString(PANSI_STRING AnsiString)
{
    if (AnsiString->Buffer != NULL) {
        (ExFreePoolWithTag)(AnsiString->Buffer, EXP_WDK_TAG_STRING);
        RtlInitEmptyAnsiString(AnsiString, NULL, 0);
    }
}

/* The character that UTF-8 text begins with; what is no UTF-8 is U+FFFD. *bytes: how many it has.
 */
static inline ULONG exp_wdk_from_utf8(const UCHAR *text, SIZE_T available, SIZE_T *bytes)
{
    static const ULONG least[4] = { 0, 0x80, 0x800, 0x10000 };
    ULONG first = text[0];
    ULONG extra = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    ULONG value = first < 0x80 ? first : first & (0x3Fu >> extra);

    *bytes = 1;
    if (first < 0x80) {
        return first;
    }
    if (first < 0xC0 || first > 0xF4 || extra >= available) {
        return 0xFFFD;
    }
    for (ULONG index = 1; index <= extra; index++) {
        if ((text[index] & 0xC0) != 0x80) {
            return 0xFFFD;
        }
        value = value << 6 | (text[index] & 0x3Fu);
    }
    if (value < least[extra] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return 0xFFFD;
    }
    *bytes = extra + 1;
    return value;
}

/* The character that wide text begins with; half a pair is U+FFFD. *count: how many units it has.
 */
static inline ULONG exp_wdk_from_wide(const WCHAR *text, SIZE_T available, SIZE_T *count)
{
    ULONG first = text[0];

    *count = 1;
    if (first < 0xD800 || first > 0xDFFF) {
        return first;
    }
    if (first > 0xDBFF || available < 2 || text[1] < 0xDC00 || text[1] > 0xDFFF) {
        return 0xFFFD;
    }
    *count = 2;
    return 0x10000 + ((first - 0xD800) << 10) + (text[1] - 0xDC00u);
}

/* Write a character as UTF-8; returns its bytes, at most 4. */
static inline SIZE_T exp_wdk_to_utf8(ULONG value, UCHAR *text)
{
    static const UCHAR marks[4] = { 0, 0xC0, 0xE0, 0xF0 };
    SIZE_T extra = value < 0x80 ? 0 : value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;

    for (SIZE_T index = extra; index > 0; index--) {
        text[index] = (UCHAR)(0x80 | (value & 0x3F));
        value >>= 6;
    }
    text[0] = (UCHAR)(marks[extra] | value);
    return extra + 1;
}

/* Write wide text for UTF-8 as long as it fits. Returns all bytes that it takes, without a NUL. */
static inline SIZE_T exp_wdk_widen(PCANSI_STRING from, PWCH to, SIZE_T to_bytes)
{
    SIZE_T used = 0;

    for (SIZE_T at = 0; at < from->Length;) {
        SIZE_T bytes;
        ULONG value =
            exp_wdk_from_utf8((const UCHAR *)from->Buffer + at, from->Length - at, &bytes);
        SIZE_T units = value > 0xFFFF ? 2 : 1;

        if (used + units * sizeof(WCHAR) <= to_bytes) {
            PWCH unit = to + used / sizeof(WCHAR);

            unit[0] = (WCHAR)(units == 1 ? value : 0xD7C0 + (value >> 10));
            if (units == 2) {
                unit[1] = (WCHAR)(0xDC00 | (value & 0x3FF));
            }
        } else {
            to_bytes = 0;
        }
        used += units * sizeof(WCHAR);
        at += bytes;
    }
    return used;
}

/* The same the other way; *written: the bytes of whole characters that fitted. */
static inline SIZE_T exp_wdk_narrow(PCUNICODE_STRING from,
                                    PCHAR to,
                                    SIZE_T to_bytes,
                                    SIZE_T *written)
{
    SIZE_T length = from->Length / sizeof(WCHAR);
    SIZE_T used = 0;

    *written = 0;
    for (SIZE_T at = 0; at < length;) {
        UCHAR text[4];
        SIZE_T count;
        ULONG value = exp_wdk_from_wide(from->Buffer + at, length - at, &count);
        SIZE_T bytes = exp_wdk_to_utf8(value, text);

        if (used + bytes <= to_bytes) {
            __builtin_memcpy(to + used, text, bytes);
            *written = used + bytes;
        } else {
            to_bytes = 0;
        }
        used += bytes;
        at += count;
    }
    return used;
}

/*
 * Make a wide string of a narrow one.
 *
 *   DestinationString   receives the text and a NUL. AllocateDestinationString: its buffer is made
 *                       here, and freed by RtlFreeUnicodeString; else it has one
 *   returns             STATUS_SUCCESS; with nothing changed STATUS_INVALID_PARAMETER_2 when the
 *                       text is too long for a string, STATUS_BUFFER_OVERFLOW when it does not fit,
 *                       STATUS_NO_MEMORY
 *   irql                <= APC_LEVEL (documented: PASSIVE_LEVEL)
 *   source              RtlAnsiStringToUnicodeString page
 */
static inline NTSTATUS RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString,
                                                    PCANSI_STRING SourceString,
                                                    BOOLEAN AllocateDestinationString)
{
    SIZE_T bytes = exp_wdk_widen(SourceString, NULL, 0);

    if (bytes + sizeof(WCHAR) > UNICODE_STRING_MAX_BYTES) {
        return STATUS_INVALID_PARAMETER_2;
    }
    if (AllocateDestinationString) {
        PWCH buffer =
            (PWCH)(ExAllocatePoolWithTag)(PagedPool, bytes + sizeof(WCHAR), EXP_WDK_TAG_STRING);

        if (buffer == NULL) {
            return STATUS_NO_MEMORY;
        }
        RtlInitEmptyUnicodeString(DestinationString, buffer, bytes + sizeof(WCHAR));
    } else if (bytes + sizeof(WCHAR) > DestinationString->MaximumLength) {
        return STATUS_BUFFER_OVERFLOW;
    }
    (void)exp_wdk_widen(SourceString, DestinationString->Buffer, bytes);
    DestinationString->Length = (USHORT)bytes;
    DestinationString->Buffer[bytes / sizeof(WCHAR)] = 0;
    return STATUS_SUCCESS;
}

/*
 * Make a narrow string of a wide one.
 *
 *   DestinationString   as RtlAnsiStringToUnicodeString, freed by RtlFreeAnsiString
 *   returns             STATUS_SUCCESS; STATUS_BUFFER_OVERFLOW with the whole characters that fit
 *                       and a NUL; with nothing changed STATUS_INVALID_PARAMETER_2 when the text is
 *                       too long for a string, STATUS_NO_MEMORY
 *   irql                as RtlAnsiStringToUnicodeString
 *   source              RtlUnicodeStringToAnsiString page
 */
static inline NTSTATUS RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString,
                                                    PCUNICODE_STRING SourceString,
                                                    BOOLEAN AllocateDestinationString)
{
    SIZE_T written;
    SIZE_T bytes = exp_wdk_narrow(SourceString, NULL, 0, &written);

    if (bytes + 1 > MAXUSHORT) {
        return STATUS_INVALID_PARAMETER_2;
    }
    if (AllocateDestinationString) {
        PCHAR buffer = (PCHAR)(ExAllocatePoolWithTag)(PagedPool, bytes + 1, EXP_WDK_TAG_STRING);

        if (buffer == NULL) {
            return STATUS_NO_MEMORY;
        }
        RtlInitEmptyAnsiString(DestinationString, buffer, bytes + 1);
    } else if (DestinationString->MaximumLength == 0) {
        return STATUS_BUFFER_OVERFLOW;
    }
    (void)exp_wdk_narrow(SourceString,
                         DestinationString->Buffer,
                         DestinationString->MaximumLength - (SIZE_T)1,
                         &written);
    DestinationString->Length = (USHORT)written;
    DestinationString->Buffer[written] = 0;
    return written == bytes ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

/* ---- debug output ---------------------------------------------------------------------------- */

/* Components are not told apart here. */
#define DPFLTR_SYSTEM_ID       0
#define DPFLTR_IHVDRIVER_ID    77
#define DPFLTR_IHVVIDEO_ID     78
#define DPFLTR_IHVAUDIO_ID     79
#define DPFLTR_IHVNETWORK_ID   80
#define DPFLTR_IHVSTREAMING_ID 81
#define DPFLTR_IHVBUS_ID       82
#define DPFLTR_DEFAULT_ID      101

#define DPFLTR_ERROR_LEVEL   0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL   2
#define DPFLTR_INFO_LEVEL    3
#define DPFLTR_MASK          0x80000000u

/*
 * Print formatted text on the debug output, which is standard error here.
 *
 * The format language is the kernel's: long is 32 bits wide (%lu goes with ULONG); %I64d, %I64u,
 * %I64x, %lld, %llx, %I32d, %Id (as wide as a pointer); %p; %hs and %s narrow text, %ls, %ws and %S
 * wide text, %Z a counted ANSI_STRING, %wZ a counted UNICODE_STRING; %c, %C, %lc; flags, width,
 * precision and * as in C. There are no floating point conversions and no %n: those, and what is
 * no conversion at all, are shown as they stand and take no argument. NULL text is "(null)".
 *
 * Wide text is shown as UTF-8, control characters but \n and \t as \xNN, a \r before \n not at all.
 *
 *   Format     NUL-terminated
 *   returns    STATUS_SUCCESS
 *   irql       any. One call is shown whole: not mixed with another thread's. At most 512 bytes:
 *              what is longer is cut and ends in \n
 *   source     DbgPrint page
 */
ULONG DbgPrint(PCSTR Format, ...);

/*
 * DbgPrint, if somebody wants to see it.
 *
 *   ComponentId   one of DPFLTR_..._ID; not looked at
 *   Level         0..31: the bit of that number; else the bits themselves, OR-ed with DPFLTR_MASK.
 *                 Shown when bit 0 is among them, which is DPFLTR_ERROR_LEVEL: the mask that
 *                 Windows starts with
 *   returns, irql, source   as DbgPrint
 */
ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);

/* In checked driver code (DBG=1): KdPrint(("format", ...)). */
#if defined(DBG) && DBG
#define KdPrint(arguments)   ((void)(DbgPrint arguments))
#define KdPrintEx(arguments) ((void)(DbgPrintEx arguments))
#define KdBreakPoint()       __builtin_trap()
#else
#define KdPrint(arguments)   ((void)0)
#define KdPrintEx(arguments) ((void)0)
#define KdBreakPoint()       ((void)0)
#endif
#define DbgBreakPoint() __builtin_trap()

/* ---- the end --------------------------------------------------------------------------------- */

/*
 * Stop, as the pool does for damage.
 *
 *   BugCheckCode, BugCheckParameter1 .. 4   any; shown in the report
 *   returns    never; a handler of expool_on_stop may leave by longjmp
 *   irql       any
 *   source     KeBugCheckEx page
 */
DECLSPEC_NORETURN VOID KeBugCheckEx(ULONG BugCheckCode,
                                    ULONG_PTR BugCheckParameter1,
                                    ULONG_PTR BugCheckParameter2,
                                    ULONG_PTR BugCheckParameter3,
                                    ULONG_PTR BugCheckParameter4);

/* KeBugCheckEx without parameters. */
#define KeBugCheck(BugCheckCode) KeBugCheckEx((BugCheckCode), 0, 0, 0, 0)

/* ---- assertions ------------------------------------------------------------------------------ */

/*
 * Say which assertion is false, then stop as Windows does without a debugger: 0x1E with
 * STATUS_ASSERTION_FAILURE and the address of the assertion. A test catches it as any stop.
 */
static __attribute__((noinline, unused)) VOID exp_wdk_assert_failed(PCSTR text,
                                                                    PCSTR words,
                                                                    PCSTR file,
                                                                    ULONG line)
{
    DbgPrint("*** Assertion failed: %s%s%s\n***   at %s:%u\n",
             text,
             words[0] != 0 ? ": " : "",
             words,
             file,
             line);
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED,
                 (ULONG)STATUS_ASSERTION_FAILURE,
                 (ULONG_PTR)__builtin_return_address(0),
                 0,
                 0);
}
#define EXP_WDK_FAILED(text, words) exp_wdk_assert_failed((text), (words), __FILE__, __LINE__)
#define EXP_WDK_ASSERT(e, words)    ((e) ? (void)0 : EXP_WDK_FAILED(#e, words))

/* In checked driver code (DBG=1) a false assertion stops; otherwise it is not evaluated. */
#if defined(DBG) && DBG
#define NT_ASSERT(e)           EXP_WDK_ASSERT(e, "")
#define NT_ASSERTMSG(words, e) EXP_WDK_ASSERT(e, words)
#define NT_VERIFY(e)           ((e) ? TRUE : (EXP_WDK_FAILED(#e, ""), FALSE))
#else
#define NT_ASSERT(e)           ((void)0)
#define NT_ASSERTMSG(words, e) ((void)0)
#define NT_VERIFY(e)           ((e) ? TRUE : FALSE)
#endif
#define ASSERT(e)           NT_ASSERT(e)
#define ASSERTMSG(words, e) NT_ASSERTMSG(words, e)

#ifdef __cplusplus
}
#endif

#endif
