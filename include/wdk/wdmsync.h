/* SPDX-License-Identifier: MIT */
/* Interlocked operations, spin locks, mutexes; part of wdm.h. */
#ifndef EXP_WDK_WDMSYNC_H
#define EXP_WDK_WDMSYNC_H

#include "ntdef.h"

#endif
