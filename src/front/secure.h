/* SPDX-License-Identifier: MIT */
/*
 * Secure pool: blocks whose pages are read-only for everybody, changed and freed only through the
 * handle and the cookie they were made with. The protection is the page protection of one process,
 * not a hypervisor's. source: spec/api.md 3.4
 */
#ifndef EXP_SECURE_H
#define EXP_SECURE_H

#include "front/pool.h"

#include <wdm.h>

/* Does a handle name a pool that was created and not destroyed? irql: <= DISPATCH. */
bool exp_secure_alive(HANDLE handle);

/*
 * Make a secure block.
 *
 *   params    its handle was alive; checked once more
 *   request   pool, bytes, tag and caller are set
 *   returns   read-only memory that holds the bytes of params->Buffer, or zeros; NULL: no memory,
 *             or the pool was destroyed meanwhile
 *   irql      <= DISPATCH
 */
void *exp_secure_allocate(const POOL_EXTENDED_PARAMS_SECURE_POOL *params,
                          const struct exp_pool_request *request,
                          enum exp_pool_outcome *outcome);

/*
 * Free a secure block. Where the system refuses to make its pages writable again it is gone all the
 * same; the pages stay used.
 *
 *   stops   0xC2/0x99 when anything but exactly this block's handle and cookie is given, or the
 *           block is not freeable; 0xC2/0x09 and 0x0A as any free
 */
void exp_secure_free(void *block,
                     uint32_t tag,
                     const POOL_EXTENDED_PARAMS_SECURE_POOL *params,
                     const void *caller);

#endif
