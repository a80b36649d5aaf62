/* SPDX-License-Identifier: MIT */
/*
 * KeWaitForSingleObject may have to wait at DISPATCH_LEVEL (0x0A), even though the event is set.
 */
#include "crime.h"

DEED void wait_for(PKEVENT event)
{
    LARGE_INTEGER timeout = { .QuadPart = -1 };

    (void)KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout);
}

int main(void)
{
    KEVENT event;

    KeInitializeEvent(&event, NotificationEvent, TRUE);
    (void)KeRaiseIrqlToDpcLevel();
    crime_expect(IRQL_NOT_LESS_OR_EQUAL,
                 crime_number((uintptr_t)&event),
                 crime_number(DISPATCH_LEVEL),
                 crime_number(0),
                 crime_caller());
    wait_for(&event);
    return crime_survived();
}
