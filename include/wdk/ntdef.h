/* SPDX-License-Identifier: MIT */
/*
 * Base types and everyday macros of driver code.
 *
 * The rule of this file: an NT name has the width it has on Windows. There "long" is 32 bits and
 * wchar_t 16; here "long" is 64 bits on a 64-bit system, so no NT name with a fixed width is
 * mapped onto it, and wchar_t is 16 bits only with -fshort-wchar, which driver code is compiled
 * with (then WCHAR is wchar_t, so that L"" literals fit; without the flag WCHAR still is 16 bits
 * wide). SIZE_T and ULONG_PTR are the compiler's own size_t and uintptr_t. CHAR is plain char, so
 * that string literals fit; where plain char is unsigned, add -fsigned-char.
 *
 * Keywords of the Windows compiler that gcc or clang lack become attributes or nothing.
 *
 * source      api.md 1.1; public DDI reference of each macro
 */
#ifndef EXP_WDK_NTDEF_H
#define EXP_WDK_NTDEF_H

#include <stddef.h>
#include <stdint.h>
#if __STDC_HOSTED__
#include <string.h>
#endif

#include "sal.h"

/* ---- the compiler's keywords ----------------------------------------------------------------- */

#ifdef __cplusplus
#define EXTERN_C              extern "C"
#define EXTERN_C_START        extern "C" {
#define EXTERN_C_END          }
#define C_ASSERT(e)           static_assert(e, #e)
#define EXP_WDK_ALIGNOF(type) alignof(type)
#define EXP_WDK_ENUM_INT : int /* any combination of its bits is a value */
#else
#define EXTERN_C extern
#define EXTERN_C_START
#define EXTERN_C_END
#define C_ASSERT(e)           _Static_assert(e, #e)
#define EXP_WDK_ALIGNOF(type) _Alignof(type)
#define EXP_WDK_ENUM_INT
#endif

#define NTAPI
#define FASTCALL
#define NTSYSAPI
#define NTSYSCALLAPI
#define NTKERNELAPI
#define NTHALAPI
#define DECLSPEC_IMPORT
#define WINAPI
#define CALLBACK
#define __stdcall
#define __cdecl
#define __fastcall
#define __vectorcall
#define __thiscall
#define __unaligned
#define UNALIGNED
#define __ptr32
#define __ptr64
#define POINTER_32
#define POINTER_64
#ifndef __clang__
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#endif
#define __forceinline inline __attribute__((always_inline))
#define FORCEINLINE                 __forceinline
#define CFORCEINLINE                __forceinline
#define DECLSPEC_ALIGN(n)           __attribute__((aligned(n)))
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define DECLSPEC_CACHEALIGN         DECLSPEC_ALIGN(SYSTEM_CACHE_ALIGNMENT_SIZE)
#define DECLSPEC_NORETURN           __attribute__((noreturn))
#define DECLSPEC_NOINLINE           __attribute__((noinline))
#define DECLSPEC_DEPRECATED         __attribute__((deprecated))
#define DECLSPEC_SELECTANY          __attribute__((weak))
#define DECLSPEC_RESTRICT           __attribute__((malloc))
#define DECLSPEC_NOTHROW            __attribute__((nothrow))

/* __declspec(word) for the words that occur in drivers; an unknown word is an error, not silence */
#define __declspec(word) EXP_WDK_DECLSPEC_##word
#define EXP_WDK_DECLSPEC_align(n)   DECLSPEC_ALIGN(n)
#define EXP_WDK_DECLSPEC_noreturn   DECLSPEC_NORETURN
#define EXP_WDK_DECLSPEC_noinline   DECLSPEC_NOINLINE
#define EXP_WDK_DECLSPEC_deprecated DECLSPEC_DEPRECATED
#define EXP_WDK_DECLSPEC_selectany  DECLSPEC_SELECTANY
#define EXP_WDK_DECLSPEC_restrict   DECLSPEC_RESTRICT
#define EXP_WDK_DECLSPEC_nothrow    DECLSPEC_NOTHROW
#define EXP_WDK_DECLSPEC_thread     __thread
#define EXP_WDK_DECLSPEC_dllimport
#define EXP_WDK_DECLSPEC_dllexport __attribute__((visibility("default")))
#define EXP_WDK_DECLSPEC_allocator
#define EXP_WDK_DECLSPEC_noalias
#define EXP_WDK_DECLSPEC_novtable
#define EXP_WDK_DECLSPEC_safebuffers
#define EXP_WDK_DECLSPEC_allocate(section)
#define EXP_WDK_DECLSPEC_code_seg(section)

/* ---- scalar types ---------------------------------------------------------------------------- */

#define VOID  void
#define CONST const
#define IN
#define OUT
#define OPTIONAL
#ifndef TRUE
#define TRUE  1
#define FALSE 0
#endif

typedef char CHAR, CCHAR, *PCHAR, *PSTR, *PSZ;
typedef const char *PCSTR, *PCSZ;
typedef unsigned char UCHAR, BOOLEAN, BYTE, *PUCHAR, *PBOOLEAN, *PBYTE;
typedef const unsigned char *PCUCHAR;
typedef int16_t SHORT, CSHORT, *PSHORT;
typedef uint16_t USHORT, WORD, *PUSHORT;
typedef int32_t LONG, NTSTATUS, BOOL, INT, *PLONG, *PNTSTATUS, *PINT;
typedef uint32_t ULONG, LOGICAL, DWORD, UINT, *PULONG, *PLOGICAL, *PUINT;
typedef long long LONGLONG, LONG64, *PLONGLONG, *PLONG64;
typedef unsigned long long ULONGLONG, ULONG64, DWORD64, *PULONGLONG, *PULONG64;
typedef int8_t INT8, *PINT8;
typedef int16_t INT16, *PINT16;
typedef int32_t INT32, LONG32, *PINT32, *PLONG32;
typedef long long INT64, *PINT64;
typedef uint8_t UINT8, *PUINT8;
typedef uint16_t UINT16, *PUINT16;
typedef uint32_t UINT32, ULONG32, DWORD32, *PUINT32, *PULONG32;
typedef unsigned long long UINT64, *PUINT64;
typedef intptr_t LONG_PTR, INT_PTR, SSIZE_T, *PLONG_PTR, *PINT_PTR;
typedef uintptr_t ULONG_PTR, UINT_PTR, DWORD_PTR, KAFFINITY, *PULONG_PTR, *PUINT_PTR;
typedef size_t SIZE_T, *PSIZE_T;
typedef void *PVOID, *HANDLE, **PHANDLE;
typedef const void *PCVOID;
#if __SIZEOF_WCHAR_T__ == 2
typedef wchar_t WCHAR, *PWCHAR, *PWSTR, *PWCH;
typedef const wchar_t *PCWSTR, *PCWCH;
#else
typedef uint16_t WCHAR, *PWCHAR, *PWSTR, *PWCH;
typedef const uint16_t *PCWSTR, *PCWCH;
#endif
typedef UCHAR KIRQL, *PKIRQL;
typedef CCHAR KPROCESSOR_MODE;
typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;
typedef LONG KPRIORITY;
typedef ULONG ACCESS_MASK;

/* ---- structures ------------------------------------------------------------------------------ */

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _UNICODE_STRING {
    USHORT Length;        /* bytes */
    USHORT MaximumLength; /* bytes */
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _STRING {
    USHORT Length;
    USHORT MaximumLength;
    PCHAR Buffer;
} STRING, ANSI_STRING, OEM_STRING, *PSTRING, *PANSI_STRING, *POEM_STRING;
typedef const STRING *PCANSI_STRING;

typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID, *PGUID;

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

/* String buffers are not const in the DDI, C++ literals are. */
#ifdef __cplusplus
constexpr PCHAR exp_wdk_unconst(const CHAR *text)
{
    return const_cast<PCHAR>(text);
}
constexpr PWCH exp_wdk_unconst(const WCHAR *text)
{
    return const_cast<PWCH>(text);
}
#define EXP_WDK_UNCONST(text) exp_wdk_unconst(text)
#else
#define EXP_WDK_UNCONST(text) (text)
#endif

/* ---- macros ---------------------------------------------------------------------------------- */

#define NT_SUCCESS(Status)     ((NTSTATUS)(Status) >= 0)
#define NT_INFORMATION(Status) (((ULONG)(Status) >> 30) == 1)
#define NT_WARNING(Status)     (((ULONG)(Status) >> 30) == 2)
#define NT_ERROR(Status)       (((ULONG)(Status) >> 30) == 3)

#define FIELD_OFFSET(type, field)  ((LONG)offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((ULONG)offsetof(type, field))
#define CONTAINING_RECORD(address, type, field)                                                    \
    ((type *)(void *)((PCHAR)(address) - (ULONG_PTR)offsetof(type, field)))
#define TYPE_ALIGNMENT(type)                  EXP_WDK_ALIGNOF(type)
#define RTL_FIELD_SIZE(type, field)           (sizeof(((type *)0)->field))
#define RTL_SIZEOF_THROUGH_FIELD(type, field) (offsetof(type, field) + RTL_FIELD_SIZE(type, field))
#define RTL_NUMBER_OF(array)                  (sizeof(array) / sizeof((array)[0]))
#define ARRAYSIZE(array)                      RTL_NUMBER_OF(array)
#define RTL_CONSTANT_STRING(text)                                                                  \
    {                                                                                              \
        sizeof(text) - sizeof((text)[0]), sizeof(text), EXP_WDK_UNCONST(text)                      \
    }
#define DECLARE_CONST_UNICODE_STRING(name, text)                                                   \
    static const WCHAR name##_buffer[] = text;                                                     \
    const UNICODE_STRING name = { sizeof(text) - sizeof(WCHAR), sizeof(text), (PWCH)name##_buffer }

#define UNREFERENCED_PARAMETER(name)          ((void)(name))
#define DBG_UNREFERENCED_PARAMETER(name)      ((void)(name))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(name) ((void)(name))
#define ARGUMENT_PRESENT(pointer)             ((CHAR *)(ULONG_PTR)(pointer) != (CHAR *)NULL)
#define NOTHING
#define ANYSIZE_ARRAY 1 /* a last member with as many elements as the block has room for */
#define MAXUSHORT     0xFFFF
#define MAXULONG      0xFFFFFFFFu
#define MAXLONG       0x7FFFFFFF
#define MAXULONG_PTR  (~(ULONG_PTR)0)
#define MAXSIZE_T     (~(SIZE_T)0)
#define ANSI_NULL     ((CHAR)0)
#define UNICODE_NULL  ((WCHAR)0)

#define ALIGN_DOWN_BY(length, alignment) ((ULONG_PTR)(length) & ~((ULONG_PTR)(alignment)-1))
#define ALIGN_UP_BY(length, alignment)                                                             \
    (ALIGN_DOWN_BY((ULONG_PTR)(length) + (alignment)-1, alignment))
#define ALIGN_DOWN(length, type)                  ALIGN_DOWN_BY(length, sizeof(type))
#define ALIGN_UP(length, type)                    ALIGN_UP_BY(length, sizeof(type))
#define ALIGN_DOWN_POINTER_BY(address, alignment) ((PVOID)ALIGN_DOWN_BY(address, alignment))
#define ALIGN_UP_POINTER_BY(address, alignment)   ((PVOID)ALIGN_UP_BY(address, alignment))

#define FlagOn(word, bits)        ((word) & (bits))
#define BooleanFlagOn(word, bits) ((BOOLEAN)(((word) & (bits)) != 0))
#define SetFlag(word, bits)       ((word) |= (bits))
#define ClearFlag(word, bits)     ((word) &= ~(bits))

#if !defined(__cplusplus) && !defined(NOMINMAX)
#ifndef min
#define min(a, b) (((a) < (b)) ? (a) : (b))
#endif
#ifndef max
#define max(a, b) (((a) > (b)) ? (a) : (b))
#endif
#endif

C_ASSERT(sizeof(CHAR) == 1 && sizeof(USHORT) == 2 && sizeof(WCHAR) == 2);
C_ASSERT(sizeof(LONG) == 4 && sizeof(ULONG) == 4 && sizeof(NTSTATUS) == 4);
C_ASSERT(sizeof(LONGLONG) == 8 && sizeof(ULONG64) == 8 && sizeof(LARGE_INTEGER) == 8);
C_ASSERT(sizeof(SIZE_T) == sizeof(PVOID) && sizeof(ULONG_PTR) == sizeof(PVOID));

#endif
