/* SPDX-License-Identifier: MIT */
/* Stop with a code of one's own, at any level. */
#include "crime.h"

DEED void deed(void)
{
    KeBugCheckEx(0xE2, 1, 2, 3, (ULONG_PTR)-4);
}

int main(void)
{
    KIRQL old;

    KeRaiseIrql(HIGH_LEVEL, &old);
    crime_expect(
        0xE2, crime_number(1), crime_number(2), crime_number(3), crime_number((uintptr_t)-4));
    crime_tell("program itself asked to");
    deed();
    return crime_survived();
}
