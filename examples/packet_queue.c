/* SPDX-License-Identifier: MIT */
/*
 * One spin lock guards the list, its count and the event; nothing is allocated, copied or
 * freed while it is held, because all other processors that want it spin meanwhile.
 *
 * Ready is a notification event and says what is so, not what has happened: it is signaled as long
 * as a receiver would not have to wait. So no wake-up is lost, whoever comes first, and one that
 * comes too late waits again.
 *
 * Once Running is FALSE the list does not grow, nobody takes from it but the rundown, and Ready
 * stays signaled for those who wait.
 */
#include "packet_queue.h"

static PPACKET PacketAllocate(_In_reads_bytes_(Length) const VOID *Data, _In_ ULONG Length)
{
    PPACKET Packet;

    /* Every byte that is ever looked at is written here: no need to have it zeroed. */
    Packet = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED,
                             FIELD_OFFSET(PACKET, Data) + (SIZE_T)Length,
                             PACKET_TAG);
    if (Packet != NULL) {
        Packet->Length = Length;
        RtlCopyMemory(Packet->Data, Data, Length);
    }
    return Packet;
}

_Use_decl_annotations_
VOID PacketFree(PPACKET Packet)
{
    ExFreePoolWithTag(Packet, PACKET_TAG);
}

/* ---- under the lock -------------------------------------------------------------------------- */

static VOID PacketQueuePush(_Inout_ PPACKET_QUEUE Queue, _Inout_ PPACKET Packet)
{
    InsertTailList(&Queue->Packets, &Packet->Link);
    Queue->Count += 1;
    if (Queue->Count == 1) {
        KeSetEvent(&Queue->Ready, IO_NO_INCREMENT, FALSE);
    }
}

static PPACKET PacketQueuePop(_Inout_ PPACKET_QUEUE Queue)
{
    PPACKET Packet;

    if (Queue->Count == 0) {
        return NULL;
    }
    Packet = CONTAINING_RECORD(RemoveHeadList(&Queue->Packets), PACKET, Link);
    Queue->Count -= 1;
    if (Queue->Count == 0 && Queue->Running) {
        KeClearEvent(&Queue->Ready);
    }
    return Packet;
}

/* ---- operations ------------------------------------------------------------------------------ */

_Use_decl_annotations_
NTSTATUS PacketQueueInitialize(PPACKET_QUEUE Queue, ULONG Capacity, PACKET_POLICY Policy)
{
    if (Capacity == 0) {
        return STATUS_INVALID_PARAMETER;
    }
    RtlZeroMemory(Queue, sizeof(*Queue));
    KeInitializeSpinLock(&Queue->Lock);
    InitializeListHead(&Queue->Packets);
    KeInitializeEvent(&Queue->Ready, NotificationEvent, FALSE);
    Queue->Capacity = Capacity;
    Queue->Policy = Policy;
    Queue->Running = TRUE;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS PacketQueueSubmit(PPACKET_QUEUE Queue, const VOID *Data, ULONG Length)
{
    NTSTATUS Status = STATUS_SUCCESS;
    PPACKET Packet;
    PPACKET Lost = NULL;
    KIRQL OldIrql;

    if (Length > PACKET_MAXIMUM_LENGTH) {
        return STATUS_INVALID_BUFFER_SIZE;
    }
    InterlockedIncrement64(&Queue->Statistics.Submitted);
    Packet = PacketAllocate(Data, Length);
    if (Packet == NULL) {
        InterlockedIncrement64(&Queue->Statistics.DroppedNoMemory);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    if (!Queue->Running) {
        Status = STATUS_DEVICE_NOT_READY;
        Lost = Packet;
    } else if (Queue->Count < Queue->Capacity) {
        PacketQueuePush(Queue, Packet);
    } else if (Queue->Policy == PacketDropOldest) {
        Lost = PacketQueuePop(Queue);
        PacketQueuePush(Queue, Packet);
    } else {
        Status = STATUS_DEVICE_BUSY;
        Lost = Packet;
    }
    KeReleaseSpinLock(&Queue->Lock, OldIrql);

    if (Lost != NULL) {
        InterlockedIncrement64(Status == STATUS_DEVICE_NOT_READY ? &Queue->Statistics.DroppedStopped
                                                                 : &Queue->Statistics.DroppedFull);
        PacketFree(Lost);
    }
    return Status;
}

_Use_decl_annotations_
NTSTATUS PacketQueueReceive(PPACKET_QUEUE Queue, PLARGE_INTEGER Timeout, PPACKET *Packet)
{
    NTSTATUS Status = STATUS_SUCCESS;
    KIRQL OldIrql;

    *Packet = NULL;
    KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    while (Queue->Running && (*Packet = PacketQueuePop(Queue)) == NULL &&
           Status != STATUS_TIMEOUT) {
        KeReleaseSpinLock(&Queue->Lock, OldIrql);
        Status = KeWaitForSingleObject(&Queue->Ready, Executive, KernelMode, FALSE, Timeout);
        KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    }
    if (*Packet != NULL) {
        Status = STATUS_SUCCESS; /* it came at the last moment */
        InterlockedIncrement64(&Queue->Statistics.Delivered);
    } else if (!Queue->Running) {
        Status = STATUS_CANCELLED;
    }
    KeReleaseSpinLock(&Queue->Lock, OldIrql);
    return Status;
}

_Use_decl_annotations_
VOID PacketQueueRundown(PPACKET_QUEUE Queue)
{
    PPACKET Packet;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    Queue->Running = FALSE;
    KeSetEvent(&Queue->Ready, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&Queue->Lock, OldIrql);

    for (;;) {
        KeAcquireSpinLock(&Queue->Lock, &OldIrql);
        Packet = PacketQueuePop(Queue);
        KeReleaseSpinLock(&Queue->Lock, OldIrql);
        if (Packet == NULL) {
            break;
        }
        InterlockedIncrement64(&Queue->Statistics.Discarded);
        PacketFree(Packet);
    }
}

_Use_decl_annotations_
VOID PacketQueueQueryStatistics(PPACKET_QUEUE Queue, PPACKET_QUEUE_STATISTICS Statistics)
{
    Statistics->Submitted = ReadNoFence64(&Queue->Statistics.Submitted);
    Statistics->Delivered = ReadNoFence64(&Queue->Statistics.Delivered);
    Statistics->DroppedFull = ReadNoFence64(&Queue->Statistics.DroppedFull);
    Statistics->DroppedNoMemory = ReadNoFence64(&Queue->Statistics.DroppedNoMemory);
    Statistics->DroppedStopped = ReadNoFence64(&Queue->Statistics.DroppedStopped);
    Statistics->Discarded = ReadNoFence64(&Queue->Statistics.Discarded);
}
