/* SPDX-License-Identifier: MIT */
/*
 * Events and waits; part of wdm.h.
 *
 * An event is the system's (a standard event, found by name), shared (made by name), or the
 * caller's own storage. A driver looks at none of the fields: the layout is here because drivers
 * embed events in their structures.
 *
 *   0x00 Type   0x02 Size in units of 4 bytes   0x04 SignalState   0x08 WaitListHead (64-bit: 0x18
 *   bytes in all)
 *
 * source      api.md 6; public DDI reference of each name
 */
#ifndef EXP_WDK_WDMEVENT_H
#define EXP_WDK_WDMEVENT_H

#include "ntdef.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- types ----------------------------------------------------------------------------------- */

typedef enum _EVENT_TYPE {
    NotificationEvent = 0,
    SynchronizationEvent = 1
} EVENT_TYPE;

typedef enum _KWAIT_REASON {
    Executive = 0,
    FreePage = 1,
    PageIn = 2,
    PoolAllocation = 3,
    DelayExecution = 4,
    Suspended = 5,
    UserRequest = 6
} KWAIT_REASON;

typedef struct _DISPATCHER_HEADER {
    union {
        struct {
            UCHAR Type; /* EVENT_TYPE */
            UCHAR Signalling;
            UCHAR Size;
            UCHAR Reserved1;
        };
        volatile LONG Lock;
    };
    LONG SignalState;
    LIST_ENTRY WaitListHead;
} DISPATCHER_HEADER, *PDISPATCHER_HEADER;

typedef struct _KEVENT {
    DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT, *PRKEVENT;

C_ASSERT(offsetof(DISPATCHER_HEADER, Size) == 2);
C_ASSERT(offsetof(DISPATCHER_HEADER, SignalState) == 4);
C_ASSERT(offsetof(DISPATCHER_HEADER, WaitListHead) == 8);
C_ASSERT(sizeof(KEVENT) == 8 + sizeof(LIST_ENTRY));

/* Priority boosts mean nothing here. */
#define IO_NO_INCREMENT 0
#define EVENT_INCREMENT 1

/* ---- named events ---------------------------------------------------------------------------- */

/*
 * Open a named event: one of the nine standard events in \KernelObjects\, or a shared one. Names
 * compare without the case of ASCII letters.
 *
 *   EventName   1 .. 260 characters
 *   EventHandle receives a handle, to be closed with ZwClose; the event lives as long as one is
 *               open, a standard event always
 *   returns     the event. A name that nobody has open makes a new event, signaled. NULL: no name,
 *               a name too long, no handle or no memory left
 *   irql        PASSIVE_LEVEL
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) above it
 *   source      api.md 6
 */
PKEVENT IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle);

/* The same with a synchronization event when it is new. */
PKEVENT IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle);

/*
 * Close a handle. The last one of a shared event ends it; a standard event never ends.
 *
 *   returns     STATUS_SUCCESS; STATUS_INVALID_HANDLE
 *   irql        PASSIVE_LEVEL
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) above it
 *   source      api.md 6
 */
NTSTATUS ZwClose(HANDLE Handle);

/* ---- a caller's own events ------------------------------------------------------------------- */

/*
 * Make an event in the caller's storage, which must be readable at any level: not paged pool.
 *
 *   irql        any
 *   owns        the caller; nobody may wait when the storage goes
 */
VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State);

/*
 * Signal an event. A notification event stays signaled and releases all who wait; a synchronization
 * event releases the one that has waited longest, or stays signaled until somebody comes.
 *
 *   Increment, Wait   mean nothing here
 *   returns     the state before: 0 = not signaled
 *   irql        <= DISPATCH_LEVEL
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) above it
 *   source      api.md 6; the routine's page. A standard event does not obey
 */
LONG KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);

/* Make an event not signaled. Otherwise as KeSetEvent. */
VOID KeClearEvent(PRKEVENT Event);

/* The same; returns the state before. */
LONG KeResetEvent(PRKEVENT Event);

/* ---- looking and waiting --------------------------------------------------------------------- */

/*
 * State of an event now, without waiting: not 0 = signaled.
 *
 *   irql        <= DISPATCH_LEVEL
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) above it
 *   source      api.md 6
 */
LONG KeReadStateEvent(PRKEVENT Event);

/*
 * Wait until an event is signaled. A synchronization event is reset by it, others stay.
 *
 *   Object      an event; there are no other objects to wait for
 *   WaitReason, WaitMode, Alertable   mean nothing here: there are no APCs
 *   Timeout     units of 100 ns: NULL waits for ever, 0 only looks, negative from now, positive a
 *               time since the first day of 1601, UTC
 *   returns     STATUS_SUCCESS; STATUS_TIMEOUT; STATUS_INVALID_PARAMETER when Object is no event
 *   irql        <= APC_LEVEL; <= DISPATCH_LEVEL with a timeout of 0
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) above it, also when it would not have to wait
 *   source      api.md 6
 */
NTSTATUS KeWaitForSingleObject(PVOID Object,
                               KWAIT_REASON WaitReason,
                               KPROCESSOR_MODE WaitMode,
                               BOOLEAN Alertable,
                               PLARGE_INTEGER Timeout);

/*
 * Sleep.
 *
 *   Interval    as Timeout above, not NULL
 *   returns     STATUS_SUCCESS
 *   irql        <= APC_LEVEL
 *   stops       IRQL_NOT_LESS_OR_EQUAL (0x0A) above it
 */
NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode,
                                BOOLEAN Alertable,
                                PLARGE_INTEGER Interval);

/* Units of 100 ns since the first day of 1601, UTC. irql: any. */
VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime);

#ifdef __cplusplus
}
#endif

#endif
