/* SPDX-License-Identifier: MIT */
/* Timers that tasks set, cancel and wait for: a time that can be moved while others wait for it, and ticks at regular
 * intervals. For a pause there is thrum_sleep(), and for a limit on other waits thrum_timeout_begin(): neither needs this.
 *
 * A timer lives in the caller's storage, starts from its initialiser, allocates nothing and is not moved or copied in use.
 * The tasks of one runtime may use one at the same time. While it is armed its storage must stay: before it goes call
 * thrum_timer_cancel(), which always does, or let a thrum_timer_wait() on a timer without a period return 0. A timer that
 * is still armed when its runtime ends is armed no longer.
 *
 * It does not fire before its time as measured by thrum_now(). */
#ifndef THRUM_TIMER_H
#define THRUM_TIMER_H

#include <thrum/common.h>
#include <thrum/sync.h>
#include <thrum/time.h>

THRUM_BEGIN_DECLS

typedef struct thrum_timer {
    thrum_event
        fired; /* set from when it fires until it is set anew, or, with a period, until the tick is taken */
    /* Private to the library. */
    uint64_t period_ns, ticks, taken, missed;
    uint64_t node[7];
} thrum_timer;
/* clang-format off */
#define THRUM_TIMER_INIT {THRUM_EVENT_INIT, 0, 0, 0, 0, {0}}
/* clang-format on */

/* Lets it fire once, timeout_ns from now (0: as soon as its worker looks at the clock; THRUM_NEVER: not at all), whatever it
 * was set to before. Tasks that wait for it go on waiting, for the new time.
 *
 * Returns: true if it was armed before: it had been set and had not fired. Context: task. Does not suspend. */
THRUM_API bool thrum_timer_set(thrum_timer *t, uint64_t timeout_ns);

/* The same with an absolute time. */
THRUM_API bool thrum_timer_set_at(thrum_timer *t, uint64_t deadline_ns);

/* Lets it tick, first after timeout_ns and then every period_ns, which is at least 1. The times of the ticks are fixed from
 * the start: a tick that comes late does not delay the next. Times that have passed altogether before one could be
 * served are one tick, and counted as missed.
 *
 * Returns: as thrum_timer_set(). Context: task. Does not suspend. */
THRUM_API bool thrum_timer_set_period(thrum_timer *t, uint64_t timeout_ns, uint64_t period_ns);

/* Stops it. Tasks that wait for it go on waiting: until it is set and fires, or a cancel or time limit ends their wait. When
 * this returns the library does not touch the timer any more.
 *
 * Returns: true if it was armed: it will not fire any more; false if it had fired, or was not set. One with a period stays
 *          armed until it is cancelled. Context: task. Does not suspend. */
THRUM_API bool thrum_timer_cancel(thrum_timer *t);

/* Waits until it fires. Without a period it then stays so, and each wait returns 0 at once, until it is set anew. With a
 * period this takes the ticks since the last wait that returned 0; a tick wakes all who wait.
 *
 * To wait for other things as well give it to thrum_select(): THRUM_TIMER(t). The tick of one with a period is then still
 * to be taken by this, which returns at once.
 *
 * Returns: 0, -ECANCELED, -ETIMEDOUT (an enclosing time limit). Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_timer_wait(thrum_timer *t);

/* How many ticks have been missed since it was set: those that came before the one before them had been taken by a wait.
 * They are counted by the wait that takes them. 0 without a period.
 *
 * Context: any thread. Does not suspend. */
THRUM_API uint64_t thrum_timer_missed(const thrum_timer *t);

THRUM_END_DECLS

#endif
