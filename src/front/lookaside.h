#include "base/base.h"
EXP_INLINE const void *exp_lookaside_inside(const void *start, size_t bytes)
{
    (void)start;
    (void)bytes;
    return NULL;
}
