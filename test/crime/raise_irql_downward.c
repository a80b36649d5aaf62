/* SPDX-License-Identifier: MIT */
/*
 * KeRaiseIrql is asked for a lower level (0x09).
 */
#include "crime.h"

int main(void)
{
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    crime_expect(IRQL_NOT_GREATER_OR_EQUAL,
                 crime_number(APC_LEVEL),
                 crime_number(DISPATCH_LEVEL),
                 CRIME_ANY,
                 CRIME_ANY);
    KeRaiseIrql(APC_LEVEL, &old);
    return crime_survived();
}
