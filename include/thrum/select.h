/* SPDX-License-Identifier: MIT */
/* Waiting for the first of several things: channels, events, timers, tasks.
 *
 *     int item;
 *     thrum_case cases[] = {THRUM_RECV(in, &item), THRUM_EVENT(&stop), THRUM_JOIN(child)};
 *     switch (thrum_select(cases, 3, 5 * THRUM_SECOND)) {
 *     case 0: ... cases[0].result is 0, and item was received; or THRUM_ECLOSED
 *     case 1: ... the event is set
 *     case 2: ... thrum_join(child, &result) does not wait
 *     default: ... -ETIMEDOUT, -ECANCELED
 *     } */
#ifndef THRUM_SELECT_H
#define THRUM_SELECT_H

#include <thrum/chan.h>
#include <thrum/common.h>
#include <thrum/sync.h>
#include <thrum/task.h>
#include <thrum/timer.h>

THRUM_BEGIN_DECLS

enum thrum_case_kind {
    THRUM_CASE_NEVER = 0,
    THRUM_CASE_RECV = 1,
    THRUM_CASE_SEND = 2,
    THRUM_CASE_EVENT = 3,
    THRUM_CASE_JOIN = 4,
};

/* One of the things. Made by a macro below; all-zero, or made with NULL in place of a channel, event or task, it never
 * happens: that is how a case is switched off. May be used again and again, by one thrum_select() at a time. */
typedef struct thrum_case {
    int result; /* of the case that happened: 0, or what the operation returns */
    /* Private to the library. */
    enum thrum_case_kind kind;
    union {
        thrum_chan *chan;
        thrum_event *event;
        thrum_task *task;
    };
    union {
        void *to;
        const void *from;
    };
    uintptr_t opaque[8];
} thrum_case;

/* thrum_chan_recv(ch, item): result is 0 or THRUM_ECLOSED. */
#define THRUM_RECV(ch, item)                                                                       \
    {                                                                                              \
        .kind = THRUM_CASE_RECV, .chan = (ch), .to = (item)                                        \
    }

/* thrum_chan_send(ch, item): result is 0, THRUM_ECLOSED, or -ENOMEM if the channel is unbounded. */
#define THRUM_SEND(ch, item)                                                                       \
    {                                                                                              \
        .kind = THRUM_CASE_SEND, .chan = (ch), .from = (item)                                      \
    }

/* thrum_event_wait(event): the event is set, or was when it ended the wait. */
#define THRUM_EVENT(ev)                                                                            \
    {                                                                                              \
        .kind = THRUM_CASE_EVENT, .event = (ev)                                                    \
    }

/* The timer has fired, and was not set anew before that was seen. The tick of one with a period is then taken by
 * thrum_timer_wait(), without waiting. */
#define THRUM_TIMER(timer)                                                                         \
    {                                                                                              \
        .kind = THRUM_CASE_EVENT, .event = &(timer)->fired                                         \
    }

/* The task has returned. The handle is still the caller's: thrum_join() fetches its value, without waiting. Meanwhile no
 * other task may be joining it. */
#define THRUM_JOIN(handle)                                                                         \
    {                                                                                              \
        .kind = THRUM_CASE_JOIN, .task = (handle)                                                  \
    }

/* Waits until one of the cases can happen, and lets it happen: that one completely, the others not at all. If several can,
 * one of them is taken at random, each as likely as the others.
 *
 * Several cases may be about the same channel, and may name the same place for their items: what did not happen has read
 * and written nothing. A select does not send to or receive from itself.
 *
 * timeout_ns: 0: does not wait; THRUM_NEVER: no limit of its own. Enclosing limits hold as well.
 *
 * Owns:    cases is borrowed for the call.
 * Returns: the index of the case that happened, with cases[index].result; -ETIMEDOUT, -ECANCELED; -EBUSY if a task of a
 *          THRUM_JOIN is being joined (or is in two of the cases); -EINVAL if there are more than INT_MAX cases.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_select(thrum_case *cases, size_t cases_n, uint64_t timeout_ns);

/* The same without waiting.
 *
 * Returns: the index of the case that happened; -EAGAIN if none can; -EINVAL.
 * Context: task. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_try_select(thrum_case *cases, size_t cases_n);

THRUM_END_DECLS

#endif
