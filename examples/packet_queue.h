/* SPDX-License-Identifier: MIT */
/*
 * Packets on their way from an adapter's DPC, at DISPATCH_LEVEL, to threads that work on them.
 *
 * The queue is bounded. When it is full, its policy says which packet is lost: the one that comes
 * (what is queued is worth more: a stream) or the oldest (what is new is worth more: samples).
 */
#ifndef PACKET_QUEUE_H
#define PACKET_QUEUE_H

#include <wdm.h>

#define PACKET_TAG            'tkcP' /* Pckt */
#define PACKET_MAXIMUM_LENGTH 9216   /* bytes */

typedef struct _PACKET {
    LIST_ENTRY Link;
    ULONG Length;
    UCHAR Data[ANYSIZE_ARRAY];
} PACKET, *PPACKET;

typedef enum _PACKET_POLICY {
    PacketDropNewest,
    PacketDropOldest
} PACKET_POLICY;

/* Submitted = Delivered + the four others + what is queued, when nobody is at work. */
typedef struct _PACKET_QUEUE_STATISTICS {
    LONG64 Submitted;
    LONG64 Delivered;
    LONG64 DroppedFull;
    LONG64 DroppedNoMemory;
    LONG64 DroppedStopped;
    LONG64 Discarded; /* by the rundown */
} PACKET_QUEUE_STATISTICS, *PPACKET_QUEUE_STATISTICS;

/* Storage of the user, nonpaged; the fields are the queue's. */
typedef struct _PACKET_QUEUE {
    KSPIN_LOCK Lock;
    LIST_ENTRY Packets; /* oldest first */
    ULONG Count;
    ULONG Capacity;
    PACKET_POLICY Policy;
    BOOLEAN Running;
    KEVENT Ready;                                /* there are packets, or none will come */
    volatile PACKET_QUEUE_STATISTICS Statistics; /* interlocked */
} PACKET_QUEUE, *PPACKET_QUEUE;

/* STATUS_INVALID_PARAMETER: no capacity. A queue is ended by PacketQueueRundown. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
NTSTATUS PacketQueueInitialize(_Out_ PPACKET_QUEUE Queue,
                               _In_ ULONG Capacity,
                               _In_ PACKET_POLICY Policy);

/*
 * Queue a copy of a packet.
 *
 * STATUS_INVALID_BUFFER_SIZE: longer than PACKET_MAXIMUM_LENGTH, counted nowhere.
 * STATUS_DEVICE_BUSY: full, the packet is lost. STATUS_INSUFFICIENT_RESOURCES: no memory, the same.
 * STATUS_DEVICE_NOT_READY: the queue is being or has been run down.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS PacketQueueSubmit(_Inout_ PPACKET_QUEUE Queue,
                           _In_reads_bytes_(Length) const VOID *Data,
                           _In_ ULONG Length);

/*
 * Take the oldest packet, or wait for one. The caller frees it with PacketFree.
 *
 * STATUS_TIMEOUT: none came. When another receiver is faster the wait begins anew.
 * STATUS_CANCELLED: the queue is being or has been run down.
 */
_IRQL_requires_max_(APC_LEVEL)
_Must_inspect_result_
NTSTATUS PacketQueueReceive(_Inout_ PPACKET_QUEUE Queue,
                            _In_opt_ PLARGE_INTEGER Timeout,
                            _Outptr_result_maybenull_ PPACKET *Packet);

_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PacketFree(_In_ PPACKET Packet);

/*
 * Stop: refuse packets, send receivers away, discard what is queued. The storage may go as soon as
 * those who submit and receive have heard of it: interrupts are off, threads have ended.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PacketQueueRundown(_Inout_ PPACKET_QUEUE Queue);

/* Each number is right for itself while others work. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PacketQueueQueryStatistics(_In_ PPACKET_QUEUE Queue,
                                _Out_ PPACKET_QUEUE_STATISTICS Statistics);

#endif
