/* SPDX-License-Identifier: MIT */
/* Events and waits; part of wdm.h. */
#ifndef EXP_WDK_WDMEVENT_H
#define EXP_WDK_WDMEVENT_H

#include "ntdef.h"

#endif
