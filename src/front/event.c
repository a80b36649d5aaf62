/* SPDX-License-Identifier: MIT */
/*
 * This file owns the events: nine standard ones, shared ones with names and handles, and the waits
 * for these and for a caller's own.
 *
 * Standard events. Nine storages without contents stand for the conditions. Those of the pools are
 * bits of exp_span.conditions, which changes at exactly the page; whoever waits sleeps on a word
 * that counts how often the condition began, and so learns of one that is over already when he runs
 * again: being signaled ends all waits of that moment. Those of memory are bits of a word here.
 * They change when somebody looks, which every read and wait does when the last look is older than
 * EVENT_LOOK_NS; a thread that waits looks as often.
 *
 * A caller's own event is one word, SignalState, and the threads that wait. These lie in a list of
 * ours, found by the event's address, oldest first; WaitListHead stays an empty list, so that a
 * copy of the process has one thing to forget. Whoever signals takes the waits that it ends out of
 * the list, and thus hands a synchronization event to one thread: two signals end two waits.
 *
 * A shared event is such an event in memory of ours. A handle is the number of a place in a table
 * that names the event; an event without a place is gone.
 *
 * Invariants: a wait lies in its list until somebody ends it, under the lock; an event in state 1
 * has no waits. In a copy of the process the threads that waited do not exist: the first call there
 * empties the lists and frees the locks; `epoch` tells. What is under the lock of names changes by
 * one store at a time, so that it holds together at any moment.
 *
 * Locks (EXP_RANK_EVENT, IRQL <= DISPATCH; never two): one for each list of waits, one for names
 * and handles, one for looks. A wait sleeps without a lock.
 *
 * What this does not do: APCs, alerts, priority boosts, objects that are no events.
 */
#include "front/event.h"

#include "core/option.h"
#include "core/owner.h"
#include "core/stop.h"
#include "front/pool.h"

#include <wdm.h>

EXP_STATIC_ASSERT((unsigned)EXP_EVENT_CONDITIONS <= (unsigned)EXP_PORT_CONDITIONS, "port.h");

enum {
    EVENT_NAME_MAX = 260, /* characters */
    EVENT_HANDLES = 4096,
    EVENT_HANDLE_STEP = 4, /* handles are multiples of it */
    EVENT_LISTS = 64,      /* a power of two */
};

#define EVENT_FOR_EVER    UINT64_MAX
#define EVENT_LOOK_NS     UINT64_C(100000000)
#define EVENT_ABSOLUTE_NS UINT64_C(1000000000) /* the clock may be set while we sleep */
#define EVENT_LOW_BYTES   (UINT64_C(64) << 20) /* low memory, at most; else total / 128 */
#define EVENT_LOW_SHARE   128

/* clang-format off */
static const char *const event_names[EXP_EVENT_CONDITIONS] = {
    [EXP_SPAN_LOW_NONPAGED] = "LowNonPagedPoolCondition",
    [EXP_SPAN_HIGH_NONPAGED] = "HighNonPagedPoolCondition",
    [EXP_SPAN_LOW_PAGED] = "LowPagedPoolCondition",
    [EXP_SPAN_HIGH_PAGED] = "HighPagedPoolCondition",
    [EXP_EVENT_LOW_MEMORY] = "LowMemoryCondition",
    [EXP_EVENT_HIGH_MEMORY] = "HighMemoryCondition",
    [EXP_EVENT_LOW_COMMIT] = "LowCommitCondition",
    [EXP_EVENT_HIGH_COMMIT] = "HighCommitCondition",
    [EXP_EVENT_MAXIMUM_COMMIT] = "MaximumCommitCondition",
};
/* clang-format on */

static const char event_folder[] = "\\KernelObjects\\";

/* A thread that waits; on its stack. */
struct wait {
    struct exp_link link; /* under the list's lock */
    const void *event;    /* constant */
    uint32_t ended;       /* atomic: 1 = signaled; released by who ends it, under the lock */
};

/* When a wait ends by itself. */
struct deadline {
    bool absolute;
    uint64_t at; /* absolute: real time in 100 ns; else clock in ns, EVENT_FOR_EVER = never */
};

struct list {
    struct exp_lock lock;
    struct exp_link waits; /* oldest first */
};

/* A shared event. */
struct shared {
    KEVENT event;
    struct shared *next; /* under the lock of names */
    size_t length;       /* characters; constant, as the name */
    WCHAR name[EVENT_NAME_MAX];
};

static struct {
    uint32_t epoch; /* atomic: 2 * (forks + 1) = ready for this copy; one more = being made so */
    struct list lists[EVENT_LISTS];
    struct exp_lock names; /* shared, handles */
    struct shared *shared;
    PKEVENT handles[EVENT_HANDLES];        /* NULL = free place */
    KEVENT standard[EXP_EVENT_CONDITIONS]; /* only their addresses mean something */
    struct exp_lock looks;                 /* the rest */
    uint32_t conditions;                   /* atomic: bits of the conditions of memory */
    uint64_t looked_ns;                    /* when memory was looked at; 0 = never */
    bool known;                            /* the port knew it */
    struct exp_port_memory memory;
} exp_event;

/* In a new process or the copy of one: nobody waits, no lock is held, what has a handle stays. */
static void make_ready(void)
{
    for (unsigned index = 0; index < EVENT_LISTS; index++) {
        exp_event.lists[index].lock = (struct exp_lock){ 0, EXP_RANK_EVENT };
        exp_list_init(&exp_event.lists[index].waits);
    }
    exp_event.names = (struct exp_lock){ 0, EXP_RANK_EVENT };
    exp_event.looks = (struct exp_lock){ 0, EXP_RANK_EVENT };
    exp_event.looked_ns = 0;
}

/* What every call that needs more than the event's own word does first. */
static void notice(void)
{
    exp_owner_notice();
    uint32_t ready = 2 * (exp_owner_forks() + 1);
    uint32_t seen;
    while (EXP_UNLIKELY((seen = exp_atomic_load_acquire(&exp_event.epoch)) != ready)) {
        if (seen == ready + 1) {
            exp_port_wait(&exp_event.epoch, seen, UINT64_MAX);
        } else if (exp_atomic_try_acquire(&exp_event.epoch, seen, ready + 1)) {
            make_ready();
            exp_atomic_store_release(&exp_event.epoch, ready);
            exp_port_wake_all(&exp_event.epoch);
        }
    }
}

/* Stop when the level is too high for the routine (spec/diagnostics.md 1.4, 0x0A). */
static void check_irql(unsigned most, const void *object, const void *caller)
{
    unsigned irql = exp_pool_irql();
    if (EXP_UNLIKELY(irql > most)) {
        struct exp_stop_about about = { .caller = caller };
        exp_stop_now(
            EXP_STOP_IRQL_NOT_LESS_OR_EQUAL, (uintptr_t)object, irql, 0, (uintptr_t)caller, &about);
    }
}

/* ---- standard events ------------------------------------------------------------------------- */

/* A standard event's number; EXP_EVENT_CONDITIONS: it is another event. */
static unsigned standard_of(const void *event)
{
    uintptr_t offset = (uintptr_t)event - (uintptr_t)exp_event.standard;
    return offset < sizeof(exp_event.standard) ? (unsigned)(offset / sizeof(KEVENT))
                                               : EXP_EVENT_CONDITIONS;
}

/* Is a charge less (-1), as much (0) or more (1) than so many percent of a limit? */
static int against(uint64_t charge, uint64_t limit, enum exp_option percent)
{
    unsigned __int128 share = (unsigned __int128)charge * 100;
    unsigned __int128 bound = (unsigned __int128)limit * exp_option_value(percent);
    return (share > bound) - (share < bound);
}

uint32_t exp_event_judge(const struct exp_port_memory *memory)
{
    uint64_t low = exp_option_value(EXP_OPTION_LOW_MEMORY);
    uint64_t high = exp_option_value(EXP_OPTION_HIGH_MEMORY);
    uint64_t stall = exp_option_value(EXP_OPTION_STALL);
    if (low == EXP_OPTION_AUTO) {
        low = exp_min(memory->total_bytes / EVENT_LOW_SHARE, EVENT_LOW_BYTES);
    }
    if (high == EXP_OPTION_AUTO) {
        high = low < UINT64_MAX / 3 ? 3 * low : UINT64_MAX;
    }
    bool scarce = memory->available_bytes <= low || (stall != 0 && memory->stall_percent >= stall);
    bool plenty = memory->available_bytes >= high && !scarce;
    uint64_t charge = memory->commit_bytes;
    uint64_t limit = memory->commit_limit_bytes;
    bool light = against(charge, limit, EXP_OPTION_LOW_COMMIT) <= 0;
    bool heavy = against(charge, limit, EXP_OPTION_HIGH_COMMIT) >= 0;
    bool full = against(charge, memory->commit_limit_max_bytes, EXP_OPTION_MAXIMUM_COMMIT) >= 0;
    return (uint32_t)scarce << EXP_EVENT_LOW_MEMORY | (uint32_t)plenty << EXP_EVENT_HIGH_MEMORY |
           (uint32_t)light << EXP_EVENT_LOW_COMMIT | (uint32_t)heavy << EXP_EVENT_HIGH_COMMIT |
           (uint32_t)full << EXP_EVENT_MAXIMUM_COMMIT;
}

/* Judge memory, after a look at it unless the last one is recent. */
static void look(bool now, bool tell)
{
    exp_lock_acquire(&exp_event.looks);
    uint64_t clock_ns = exp_port_clock_ns();
    if (now || exp_event.looked_ns == 0 || clock_ns - exp_event.looked_ns >= EVENT_LOOK_NS) {
        exp_event.known = exp_port_memory(&exp_event.memory);
        exp_event.looked_ns = clock_ns;
    }
    /* Where nothing is known nothing is scarce. */
    uint32_t bits = exp_event.known ? exp_event_judge(&exp_event.memory)
                                    : UINT32_C(1) << EXP_EVENT_HIGH_MEMORY |
                                          UINT32_C(1) << EXP_EVENT_LOW_COMMIT;
    uint32_t changed = bits ^ exp_event.conditions;
    if (changed != 0) {
        exp_atomic_store_release(&exp_event.conditions, bits);
        exp_port_wake_all(&exp_event.conditions);
    }
    for (unsigned index = EXP_SPAN_CONDITIONS; index < EXP_EVENT_CONDITIONS; index++) {
        if (tell || (changed >> index & 1) != 0) {
            exp_port_condition(index, (bits >> index & 1) != 0);
        }
    }
    exp_lock_release(&exp_event.looks);
}

/* What the port's looker calls. */
static void look_now(void)
{
    notice();
    look(true, false);
}

/* Does a condition hold? Where it is one of memory that needs a look. */
static bool holds(unsigned index)
{
    if (index >= EXP_SPAN_CONDITIONS) {
        look(false, false);
    }
    const uint32_t *word =
        index < EXP_SPAN_CONDITIONS ? &exp_span.conditions : &exp_event.conditions;
    return (exp_atomic_load_acquire(word) >> index & 1) != 0;
}

static char lower(unsigned character)
{
    return (char)(character >= 'A' && character <= 'Z' ? character + ('a' - 'A') : character);
}

unsigned exp_event_find(const char *name)
{
    size_t skip = 0;
    while (event_folder[skip] != '\0' &&
           lower((unsigned char)name[skip]) == lower((unsigned char)event_folder[skip])) {
        skip++;
    }
    if (event_folder[skip] == '\0') {
        name += skip;
    }
    for (unsigned index = 0; index < EXP_EVENT_CONDITIONS; index++) {
        size_t at = 0;
        while (name[at] != '\0' &&
               lower((unsigned char)name[at]) == lower((unsigned char)event_names[index][at])) {
            at++;
        }
        if (name[at] == '\0' && event_names[index][at] == '\0') {
            return index;
        }
    }
    return EXP_EVENT_CONDITIONS;
}

EXP_EXPORT int expool_event_fd(const char *name)
{
    unsigned index = name == NULL ? EXP_EVENT_CONDITIONS : exp_event_find(name);
    if (index == EXP_EVENT_CONDITIONS) {
        return -1;
    }
    notice();
    bool memory = index >= EXP_SPAN_CONDITIONS;
    int file = exp_port_condition_file(index, memory ? look_now : NULL);
    if (file >= 0 && memory) {
        look(true, true);
    } else if (file >= 0) {
        exp_span_conditions_tell();
    }
    return file;
}

/* ---- waits ----------------------------------------------------------------------------------- */

static struct list *list_of(const void *event)
{
    uint64_t hash = (uint64_t)(uintptr_t)event * UINT64_C(0x9e3779b97f4a7c15);
    return &exp_event.lists[hash >> 58 & (EVENT_LISTS - 1)];
}

/* The oldest wait for an event after one in the list (or its head), or NULL. List's lock held. */
static struct wait *next_wait(struct list *list, struct exp_link *after, const void *event)
{
    for (struct exp_link *link = after->next; link != &list->waits; link = link->next) {
        struct wait *wait = EXP_CONTAINER(link, struct wait, link);
        if (wait->event == event) {
            return wait;
        }
    }
    return NULL;
}

/*
 * The thread may go on as soon as the lock is free, and its wait with it: so it is woken before.
 */
static void end_wait(struct wait *wait)
{
    exp_list_remove(&wait->link);
    exp_atomic_store_release(&wait->ended, 1);
    exp_port_wake(&wait->ended);
}

static struct deadline deadline_of(LONGLONG timeout)
{
    struct deadline deadline = { .absolute = timeout > 0, .at = (uint64_t)timeout };
    if (!deadline.absolute) {
        uint64_t wait_ns;
        if (__builtin_mul_overflow(-(uint64_t)timeout, (uint64_t)100, &wait_ns) ||
            __builtin_add_overflow(wait_ns, exp_port_clock_ns(), &deadline.at)) {
            deadline.at = EVENT_FOR_EVER;
        }
    }
    return deadline;
}

/* How long to sleep at most before looking again; 0 = the deadline has come. */
static uint64_t left_ns(const struct deadline *deadline)
{
    uint64_t now = deadline->absolute ? exp_port_time_100ns() : exp_port_clock_ns();
    if (!deadline->absolute && deadline->at == EVENT_FOR_EVER) {
        return UINT64_MAX;
    }
    uint64_t left = deadline->at > now ? deadline->at - now : 0;
    return !deadline->absolute ? left : exp_min(left, EVENT_ABSOLUTE_NS / 100) * 100;
}

static NTSTATUS wait_for_condition(unsigned index, const struct deadline *deadline)
{
    bool pool = index < EXP_SPAN_CONDITIONS;
    uint32_t *word = pool ? &exp_span.begun[index] : &exp_event.conditions;
    uint32_t first = exp_atomic_load_acquire(word);
    for (;;) {
        uint32_t value = exp_atomic_load_acquire(word);
        if (holds(index) || (pool && value != first)) {
            return STATUS_SUCCESS;
        }
        uint64_t left = deadline == NULL ? 0 : left_ns(deadline);
        if (left == 0) {
            return STATUS_TIMEOUT;
        }
        exp_port_wait(word, value, pool ? left : exp_min(left, EVENT_LOOK_NS));
    }
}

static NTSTATUS wait_for_event(PKEVENT event, const struct deadline *deadline)
{
    struct list *list = list_of(event);
    struct wait wait = { .event = event };
    exp_lock_acquire(&list->lock);
    bool signaled = event->Header.SignalState != 0;
    if (signaled && event->Header.Type == SynchronizationEvent) {
        exp_atomic_store(&event->Header.SignalState, 0);
    }
    if (signaled || deadline == NULL) {
        exp_lock_release(&list->lock);
        return signaled ? STATUS_SUCCESS : STATUS_TIMEOUT;
    }
    exp_list_push_back(&list->waits, &wait.link);
    exp_lock_release(&list->lock);

    uint64_t left = left_ns(deadline);
    while (exp_atomic_load_acquire(&wait.ended) == 0 && left != 0) {
        exp_port_wait(&wait.ended, 0, left);
        left = left_ns(deadline);
    }
    exp_lock_acquire(&list->lock);
    signaled = wait.ended != 0;
    if (!signaled) {
        exp_list_remove(&wait.link);
    }
    exp_lock_release(&list->lock);
    return signaled ? STATUS_SUCCESS : STATUS_TIMEOUT;
}

EXP_EXPORT NTSTATUS KeWaitForSingleObject(PVOID Object,
                                          KWAIT_REASON WaitReason,
                                          KPROCESSOR_MODE WaitMode,
                                          BOOLEAN Alertable,
                                          PLARGE_INTEGER Timeout)
{
    bool polls = Timeout != NULL && Timeout->QuadPart == 0;
    PKEVENT event = Object;
    (void)WaitReason;
    (void)WaitMode;
    (void)Alertable;
    check_irql(polls ? DISPATCH_LEVEL : APC_LEVEL, Object, __builtin_return_address(0));
    notice();
    struct deadline never = { .at = EVENT_FOR_EVER };
    struct deadline deadline = Timeout != NULL ? deadline_of(Timeout->QuadPart) : never;
    unsigned index = standard_of(event);
    if (index < EXP_EVENT_CONDITIONS) {
        return wait_for_condition(index, polls ? NULL : &deadline);
    }
    if (event->Header.Type > SynchronizationEvent) {
        return STATUS_INVALID_PARAMETER;
    }
    return wait_for_event(event, polls ? NULL : &deadline);
}

EXP_EXPORT NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode,
                                           BOOLEAN Alertable,
                                           PLARGE_INTEGER Interval)
{
    uint32_t word = 0;
    (void)WaitMode;
    (void)Alertable;
    check_irql(APC_LEVEL, Interval, __builtin_return_address(0));
    struct deadline deadline = deadline_of(Interval->QuadPart);
    for (uint64_t left = left_ns(&deadline); left != 0; left = left_ns(&deadline)) {
        exp_port_wait(&word, 0, left);
    }
    return STATUS_SUCCESS;
}

EXP_EXPORT VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)exp_port_time_100ns();
}

/* ---- a caller's own events ------------------------------------------------------------------- */

EXP_EXPORT VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    Event->Header.Lock = 0;
    Event->Header.Type = (UCHAR)Type;
    Event->Header.Size = sizeof(KEVENT) / sizeof(LONG);
    exp_atomic_store(&Event->Header.SignalState, State != FALSE);
    InitializeListHead(&Event->Header.WaitListHead);
}

/* The state of any event, now. */
static LONG read_state(PRKEVENT event)
{
    unsigned index = standard_of(event);
    if (index < EXP_EVENT_CONDITIONS) {
        notice();
        return holds(index);
    }
    return exp_atomic_load_acquire(&event->Header.SignalState);
}

EXP_EXPORT LONG KeReadStateEvent(PRKEVENT Event)
{
    check_irql(DISPATCH_LEVEL, Event, __builtin_return_address(0));
    return read_state(Event);
}

EXP_EXPORT LONG KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    (void)Increment;
    (void)Wait;
    check_irql(DISPATCH_LEVEL, Event, __builtin_return_address(0));
    if (standard_of(Event) < EXP_EVENT_CONDITIONS) {
        return read_state(Event);
    }
    notice();
    struct list *list = list_of(Event);
    exp_lock_acquire(&list->lock);
    LONG former = Event->Header.SignalState;
    bool one = Event->Header.Type == SynchronizationEvent;
    struct wait *wait = former != 0 ? NULL : next_wait(list, &list->waits, Event);
    if (wait == NULL || !one) {
        exp_atomic_store_release(&Event->Header.SignalState, 1);
    }
    while (wait != NULL) {
        struct exp_link *before = wait->link.previous;
        end_wait(wait);
        wait = one ? NULL : next_wait(list, before, Event);
    }
    exp_lock_release(&list->lock);
    return former;
}

/* Returns the state before. */
static LONG reset(PRKEVENT event, const void *caller)
{
    check_irql(DISPATCH_LEVEL, event, caller);
    if (standard_of(event) < EXP_EVENT_CONDITIONS) {
        return read_state(event);
    }
    notice();
    struct list *list = list_of(event);
    exp_lock_acquire(&list->lock);
    LONG former = event->Header.SignalState;
    exp_atomic_store(&event->Header.SignalState, 0);
    exp_lock_release(&list->lock);
    return former;
}

EXP_EXPORT VOID KeClearEvent(PRKEVENT Event)
{
    (void)reset(Event, __builtin_return_address(0));
}

EXP_EXPORT LONG KeResetEvent(PRKEVENT Event)
{
    return reset(Event, __builtin_return_address(0));
}

/* ---- names and handles ----------------------------------------------------------------------- */

static bool same_name(const WCHAR *a, const WCHAR *b, size_t length)
{
    size_t index = 0;
    while (index < length && (a[index] == b[index] || (a[index] < 128 && b[index] < 128 &&
                                                       lower(a[index]) == lower(b[index])))) {
        index++;
    }
    return index == length;
}

/* Standard event of that name with its folder; NULL: it is none. */
static PKEVENT find_standard(const WCHAR *name, size_t length)
{
    char text[64];
    if (length >= sizeof(text) || length < sizeof(event_folder) || name[0] != '\\') {
        return NULL;
    }
    for (size_t index = 0; index < length; index++) {
        if (name[index] == 0 || name[index] >= 128) {
            return NULL;
        }
        text[index] = (char)name[index];
    }
    text[length] = '\0';
    unsigned index = exp_event_find(text);
    return index < EXP_EVENT_CONDITIONS ? &exp_event.standard[index] : NULL;
}

/* The shared event of that name, new when there is none; NULL: no memory. Lock of names held. */
static PKEVENT get_shared(const WCHAR *name, size_t length, EVENT_TYPE type)
{
    for (struct shared *shared = exp_event.shared; shared != NULL; shared = shared->next) {
        if (shared->length == length && same_name(shared->name, name, length)) {
            return &shared->event;
        }
    }
    struct shared *shared = exp_range_heap_take(EXP_RANGE_KEPT, sizeof(*shared));
    if (shared == NULL) {
        return NULL;
    }
    KeInitializeEvent(&shared->event, type, TRUE);
    shared->length = length;
    __builtin_memcpy(shared->name, name, length * sizeof(*name));
    shared->next = exp_event.shared;
    exp_atomic_store_release(&exp_event.shared, shared);
    return &shared->event;
}

/* Drop a shared event that no handle names. Lock of names held. */
static void drop_unnamed(PKEVENT event)
{
    for (unsigned place = 0; place < EVENT_HANDLES; place++) {
        if (exp_event.handles[place] == event) {
            return;
        }
    }
    struct shared **link = &exp_event.shared;
    while (*link != NULL && &(*link)->event != event) {
        link = &(*link)->next;
    }
    struct shared *shared = *link;
    if (shared != NULL) {
        exp_atomic_store_release(link, shared->next);
        exp_range_heap_give(EXP_RANGE_KEPT, shared, sizeof(*shared));
    }
}

static PKEVENT open_event(PUNICODE_STRING name, PHANDLE handle, EVENT_TYPE type, const void *caller)
{
    check_irql(PASSIVE_LEVEL, name, caller);
    if (name == NULL || handle == NULL || name->Buffer == NULL || name->Length == 0 ||
        name->Length % sizeof(WCHAR) != 0 || name->Length > EVENT_NAME_MAX * sizeof(WCHAR)) {
        return NULL;
    }
    size_t length = name->Length / sizeof(WCHAR);
    PKEVENT event = NULL;
    notice();
    exp_lock_acquire(&exp_event.names);
    unsigned place = 0;
    while (place < EVENT_HANDLES && exp_event.handles[place] != NULL) {
        place++;
    }
    if (place < EVENT_HANDLES) {
        event = find_standard(name->Buffer, length);
        event = event != NULL ? event : get_shared(name->Buffer, length, type);
        exp_atomic_store_release(&exp_event.handles[place], event);
    }
    exp_lock_release(&exp_event.names);
    if (event != NULL) {
        *handle = (HANDLE)(uintptr_t)((place + 1) * EVENT_HANDLE_STEP);
    }
    return event;
}

EXP_EXPORT PKEVENT IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return open_event(EventName, EventHandle, NotificationEvent, __builtin_return_address(0));
}

EXP_EXPORT PKEVENT IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return open_event(EventName, EventHandle, SynchronizationEvent, __builtin_return_address(0));
}

EXP_EXPORT NTSTATUS ZwClose(HANDLE Handle)
{
    check_irql(PASSIVE_LEVEL, Handle, __builtin_return_address(0));
    uintptr_t place = (uintptr_t)Handle / EVENT_HANDLE_STEP - 1;
    if ((uintptr_t)Handle % EVENT_HANDLE_STEP != 0 || place >= EVENT_HANDLES) {
        return STATUS_INVALID_HANDLE;
    }
    notice();
    exp_lock_acquire(&exp_event.names);
    PKEVENT event = exp_event.handles[place];
    exp_atomic_store_release(&exp_event.handles[place], NULL);
    if (event != NULL) {
        drop_unnamed(event);
    }
    exp_lock_release(&exp_event.names);
    return event != NULL ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
}
