/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked list whose head is a link too. The owner of the list guards it. An element that
 * is in no list has link.next == NULL.
 */
#ifndef EXP_LIST_H
#define EXP_LIST_H

#include "base/base.h"

struct exp_link {
    struct exp_link *next;
    struct exp_link *previous;
};

#define EXP_CONTAINER(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

EXP_INLINE void exp_list_init(struct exp_link *head)
{
    head->next = head;
    head->previous = head;
}

EXP_INLINE bool exp_list_empty(const struct exp_link *head)
{
    return head->next == head;
}

EXP_INLINE bool exp_list_member(const struct exp_link *link)
{
    return link->next != NULL;
}

EXP_INLINE void exp_list_push_back(struct exp_link *head, struct exp_link *link)
{
    EXP_ASSERT(link->next == NULL);
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

EXP_INLINE void exp_list_push_front(struct exp_link *head, struct exp_link *link)
{
    EXP_ASSERT(link->next == NULL);
    link->previous = head;
    link->next = head->next;
    head->next->previous = link;
    head->next = link;
}

EXP_INLINE void exp_list_remove(struct exp_link *link)
{
    EXP_ASSERT(link->next->previous == link);
    EXP_ASSERT(link->previous->next == link);
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->next = NULL;
    link->previous = NULL;
}

#endif
