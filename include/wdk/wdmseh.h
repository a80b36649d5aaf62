/* SPDX-License-Identifier: MIT */
/* Exceptions; part of wdm.h. */
#ifndef EXP_WDK_WDMSEH_H
#define EXP_WDK_WDMSEH_H

#include "ntdef.h"

#endif
