/* SPDX-License-Identifier: MIT */
/* Memory, strings, debug output; part of wdm.h. */
#ifndef EXP_WDK_WDMRTL_H
#define EXP_WDK_WDMRTL_H

#include "ntdef.h"

#endif
