/* SPDX-License-Identifier: MIT */
/* The three inlines of the Linux port: an owner is a thread, found through its thread pointer. */
#ifndef EXP_LINUX_OWNER_INLINE_H
#define EXP_LINUX_OWNER_INLINE_H

struct exp_owner;

/* Never NULL: &exp_owner_none until the thread has one. */
extern __attribute__((visibility("hidden"),
                      tls_model("initial-exec"))) _Thread_local struct exp_owner *exp_linux_owner;

static inline __attribute__((always_inline)) struct exp_owner *exp_port_owner(void)
{
    return exp_linux_owner;
}

static inline void exp_port_pin(void)
{
}

static inline void exp_port_unpin(void)
{
}

#endif
