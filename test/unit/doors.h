/* SPDX-License-Identifier: MIT */
/*
 * The doors by hand, for tests that see the inside and therefore cannot be driver code: the DDI
 * with plain C types, and the constants they need. test/ddi/ checks the real headers.
 *
 * source: spec/api.md 1.2 - 1.4, 2.12
 */
#ifndef UNIT_DOORS_H
#define UNIT_DOORS_H

#include <stddef.h>
#include <stdint.h>

#define FLAG_UNINITIALIZED     UINT64_C(0x2)
#define FLAG_SESSION           UINT64_C(0x4)
#define FLAG_CACHE_ALIGNED     UINT64_C(0x8)
#define FLAG_RESERVED1         UINT64_C(0x10)
#define FLAG_NON_PAGED         UINT64_C(0x40)
#define FLAG_NON_PAGED_EXECUTE UINT64_C(0x80)
#define FLAG_PAGED             UINT64_C(0x100)
#define FLAG_SPECIAL_POOL      UINT64_C(0x100000000)
#define FLAG_UNKNOWN_OPTIONAL  UINT64_C(0x200000000)

enum {
    TYPE_EXECUTE = 0,
    TYPE_PAGED = 1,
    TYPE_CACHE_ALIGNED = 4,
    TYPE_QUOTA_FAIL = 8,
    TYPE_SESSION = 32,
    TYPE_COLD = 256,
    TYPE_NX = 512,
    TYPE_ZERO = 1024,
};

enum { IRQL_PASSIVE = 0, IRQL_APC = 1, IRQL_DISPATCH = 2, IRQL_HIGH = 15 };

#define TAG_NONE      UINT32_C(0x656e6f4e) /* 'enoN', shows None */
#define TAG_BIG       UINT32_C(0x20474942) /* ' GIB', shows "BIG " */
#define TAG_PROTECTED UINT32_C(0x80000000)

#define STOP_IRQL_NOT_GREATER UINT32_C(0x09)
#define STOP_IRQL_NOT_LESS    UINT32_C(0x0a)
#define STOP_POOL             UINT32_C(0xc2)

void *ExAllocatePool2(uint64_t flags, size_t bytes, uint32_t tag);
void *ExAllocatePoolWithTag(int type, size_t bytes, uint32_t tag);
void *ExAllocatePool(int type, size_t bytes);
void ExFreePool(void *block);
void ExFreePoolWithTag(void *block, uint32_t tag);
size_t ExQueryPoolBlockSize(void *block, unsigned char *quota_charged);
unsigned char KeGetCurrentIrql(void);
void KeRaiseIrql(unsigned char irql, unsigned char *former);
void KeLowerIrql(unsigned char irql);
unsigned char KeRaiseIrqlToDpcLevel(void);

/* Events: KEVENT, UNICODE_STRING and what goes with them. */
struct door_event {
    uint8_t type, signalling, size, reserved;
    int32_t state;
    void *waits[2];
};

struct door_name {
    uint16_t length_bytes, size_bytes;
    const uint16_t *text;
};

enum { EVENT_NOTIFICATION = 0, EVENT_SYNCHRONIZATION = 1 };

#define STATUS_DONE    0
#define STATUS_TIMEOUT 0x102

void KeInitializeEvent(void *event, int type, unsigned char state);
int32_t KeSetEvent(void *event, int32_t increment, unsigned char wait);
int32_t KeResetEvent(void *event);
int32_t KeReadStateEvent(void *event);
int32_t KeWaitForSingleObject(
    void *object, int reason, char mode, unsigned char alertable, int64_t *timeout);
int32_t KeDelayExecutionThread(char mode, unsigned char alertable, int64_t *interval);
void *IoCreateNotificationEvent(const struct door_name *name, void **handle);
int32_t ZwClose(void *handle);

#endif
