/* SPDX-License-Identifier: MIT */
/*
 * The doubly linked list against an array that says what must be in it: random pushes at both
 * ends and removals from anywhere, the whole list walked both ways after each.
 */
#include "base/list.h"

#include "unit/unit_test.h"

#define ELEMENTS 24u
#define STEPS    20000u

struct element {
    uint32_t number;
    struct exp_link link;
};

static void test_list_fresh_is_empty(void)
{
    struct exp_link head;
    exp_list_init(&head);
    CHECK(exp_list_empty(&head));
    CHECK(head.next == &head && head.previous == &head);
}

static void test_list_container_finds_element(void)
{
    struct element element = {.number = 7};
    CHECK(EXP_CONTAINER(&element.link, struct element, link) == &element);
}

static void test_list_removed_is_no_member(void)
{
    struct exp_link head;
    struct element element = {.number = 1};
    exp_list_init(&head);
    CHECK(!exp_list_member(&element.link));
    exp_list_push_back(&head, &element.link);
    CHECK(exp_list_member(&element.link));
    CHECK(!exp_list_empty(&head));
    exp_list_remove(&element.link);
    CHECK(!exp_list_member(&element.link));
    CHECK(exp_list_empty(&head));
}

/* The list holds exactly expected[0 .. count), in both directions. */
static void check_order(const struct exp_link *head, const uint32_t *expected, uint32_t count)
{
    const struct exp_link *forth = head->next;
    const struct exp_link *back = head->previous;
    for (uint32_t index = 0; index < count; index++) {
        CHECK_EQUAL(EXP_CONTAINER(forth, struct element, link)->number, expected[index]);
        CHECK_EQUAL(EXP_CONTAINER(back, struct element, link)->number,
                    expected[count - 1 - index]);
        forth = forth->next;
        back = back->previous;
    }
    CHECK(forth == head && back == head);
}

static void test_list_random_steps_keep_order(void)
{
    static struct element elements[ELEMENTS];
    uint32_t order[ELEMENTS];
    uint32_t count = 0;
    uint32_t state = 12345;
    struct exp_link head;
    exp_list_init(&head);
    for (uint32_t step = 0; step < STEPS; step++) {
        state = state * 1664525u + 1013904223u;
        uint32_t which = (state >> 16) % ELEMENTS;
        elements[which].number = which;
        uint32_t at = 0;
        while (at < count && order[at] != which) {
            at++;
        }
        if (at < count) {
            exp_list_remove(&elements[which].link);
            memmove(&order[at], &order[at + 1], (count - at - 1) * sizeof(order[0]));
            count--;
        } else if (state >> 31) {
            exp_list_push_back(&head, &elements[which].link);
            order[count++] = which;
        } else {
            exp_list_push_front(&head, &elements[which].link);
            memmove(&order[1], &order[0], count * sizeof(order[0]));
            order[0] = which;
            count++;
        }
        check_order(&head, order, count);
    }
}

int main(void)
{
    RUN(test_list_fresh_is_empty);
    RUN(test_list_container_finds_element);
    RUN(test_list_removed_is_no_member);
    RUN(test_list_random_steps_keep_order);
    return unit_end();
}
