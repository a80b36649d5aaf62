/* SPDX-License-Identifier: MIT */
/*
 * The host interface over the core: options, the tag table, trim, failures on demand, the stop
 * handler. What an option changes beyond its value is decided here.
 */
#include <expool.h>

#include "core/option.h"
#include "core/stop.h"
#include "front/lookaside.h"
#include "front/pool.h"
#include "front/seh.h"

/* errno's numbers, which a freestanding file cannot include. */
enum {
    HOST_ENOENT = 2,
    HOST_EBUSY = 16,
    HOST_EINVAL = 22
};

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    return length;
}

static void (*host_handler)(const struct expool_stop *stop, void *context);

/* The handler may leave by longjmp, over guarded blocks and a look at lists of this thread. */
static void on_stop(const struct expool_stop *stop, void *context)
{
    exp_seh_forget();
    exp_lookaside_forget();
    host_handler(stop, context);
}

EXP_EXPORT void expool_on_stop(void (*handler)(const struct expool_stop *stop, void *context),
                               void *context)
{
    if (handler != NULL) {
        host_handler = handler;
    }
    exp_stop_handler(handler != NULL ? on_stop : NULL, context);
}

EXP_EXPORT int expool_set(const char *name, const char *value)
{
    enum exp_option option;
    bool started = exp_range.bytes != 0;
    switch (exp_option_set(name, length_of(name), value, length_of(value), started, &option)) {
    case EXP_OPTION_SET:
        break;
    case EXP_OPTION_UNKNOWN:
        return HOST_ENOENT;
    case EXP_OPTION_BAD:
        return HOST_EINVAL;
    case EXP_OPTION_LATE:
        return HOST_EBUSY;
    }
    if (option == EXP_OPTION_FRONT_CACHE && exp_option_value(option) == 0) {
        exp_pool_trim();
    }
    if (started) {
        exp_owner_notice();
        exp_span_conditions_renew();
        exp_tag_publish_options();
    }
    return 0;
}

EXP_EXPORT int expool_get(const char *name, char *value, size_t size)
{
    char line[EXP_OPTION_TEXT_BYTES + 64];
    struct exp_text text;
    enum exp_option option = exp_option_find(name);
    if (option == EXP_OPTION_COUNT) {
        return HOST_ENOENT;
    }
    exp_format_start(&text, line, sizeof(line));
    exp_option_print(option, &text);
    struct exp_text out;
    exp_format_start(&out, value, size);
    exp_format_words(&out, line + length_of(name) + 1);
    return 0;
}

EXP_EXPORT size_t expool_tags(struct expool_tag_row *rows, size_t capacity)
{
    exp_owner_notice();
    return exp_range.bytes == 0 ? 0 : exp_tag_rows(rows, capacity);
}

EXP_EXPORT void expool_fail_page_request(uint64_t nth)
{
    exp_owner_notice();
    exp_lock_acquire(&exp_span.lock);
    exp_span.fail_request = nth;
    exp_lock_release(&exp_span.lock);
}

EXP_EXPORT void expool_trim(void)
{
    exp_pool_trim();
}
