/* SPDX-License-Identifier: MIT */
/*
 * IoCreateNotificationEvent is called above PASSIVE_LEVEL (0x0A).
 */
#include "crime.h"

DEED void create(PUNICODE_STRING name)
{
    HANDLE handle;

    (void)IoCreateNotificationEvent(name, &handle);
}

int main(void)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\KernelObjects\\LowMemoryCondition");

    (void)KeRaiseIrqlToDpcLevel();
    crime_expect(IRQL_NOT_LESS_OR_EQUAL,
                 crime_number((uintptr_t)&name),
                 crime_number(DISPATCH_LEVEL),
                 crime_number(0),
                 crime_caller());
    create(&name);
    return crime_survived();
}
