/* SPDX-License-Identifier: MIT */
/*
 * KeLowerIrql is asked for a higher level (0x0A).
 */
#include "crime.h"

int main(void)
{
    crime_expect(IRQL_NOT_LESS_OR_EQUAL,
                 crime_number(DISPATCH_LEVEL),
                 crime_number(PASSIVE_LEVEL),
                 CRIME_ANY,
                 CRIME_ANY);
    KeLowerIrql(DISPATCH_LEVEL);
    return crime_survived();
}
