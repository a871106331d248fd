/* SPDX-License-Identifier: MIT */
/* thrum_timer: an event that a worker's timers set.
 *
 * Invariants  O1  the event's word and `ticks`, `taken`, `missed` are written under the event's lock, `period_ns` under that
 *                 and the timers' lock.
 *             O2  a timer without a period gives up `timers` (timer.h, T5) under the event's lock, and that is the last it
 *                 does but for unlocking: so whoever finds it given up, or was woken by it, has only to see the lock free
 *                 and the storage is theirs (thr_waitq_settle).
 * Locks       the timers' lock before the event's. */
#include "exec/event.h"
#include "exec/running.h"
#include "exec/timer.h"
#include "exec/util.h"
#include "exec/waitq.h"
#include "exec/worker.h"

#include <thrum/timer.h>

/* What thrum_timer really is. */
struct timer {
    struct thr_waitq event;
    thr_au64 period_ns; /* 0: none */
    thr_au64 ticks;     /* periods that have ended */
    thr_au64 taken;     /* what `ticks` was at the last take */
    thr_au64 missed;
    struct thr_timer node;
};

_Static_assert(sizeof(struct timer) == sizeof(thrum_timer), "same layout");
_Static_assert(offsetof(struct timer, period_ns) == offsetof(thrum_timer, period_ns),
               "same layout");
_Static_assert(offsetof(struct timer, node) == offsetof(thrum_timer, node), "same layout");

static struct timer *of(thrum_timer *t)
{
    return (struct timer *)(void *)t;
}

/* ---- Firing: under the timers' lock ---- */

/* How many periods have ended by now, and when the next one does. */
static uint64_t count_periods(const struct timer *t, uint64_t period_ns, uint64_t now,
                              uint64_t *next)
{
    uint64_t n = (now - t->node.deadline_ns) / period_ns + 1;
    uint64_t last = t->node.deadline_ns + (n - 1) * period_ns; /* at or before now */
    *next = period_ns < THRUM_NEVER - last ? last + period_ns : THRUM_NEVER;
    return n;
}

static uint64_t fire(struct thr_timer *node, uint64_t now, struct thr_wakeups *out)
{
    struct timer *t = THR_CONTAINER(node, struct timer, node);
    uint64_t period_ns = thr_load(&t->period_ns, THR_RELAXED);
    uint64_t next = 0;
    thr_lock(&t->event.lock);
    if (period_ns)
        thr_count(&t->ticks, count_periods(t, period_ns, now, &next));
    thr_fetch_or(&t->event.word, THR_EVENT_SET, THR_RELEASE);
    thr_waitlist_fire_all(&t->event.list, THR_FIRED_OK, out);
    thr_waitq_mend(&t->event, THR_EVENT_WAITERS);
    if (!next)
        thr_store(&node->timers, NULL, THR_RELEASE); /* O2 */
    thr_unlock(&t->event.lock);
    return next;
}

/* ---- Setting ---- */

/* Not fired, no ticks. Context: the timer is claimed. */
static void renew(struct timer *t, uint64_t period_ns)
{
    thr_lock(&t->event.lock);
    thr_fetch_and(&t->event.word, ~(uint32_t)THR_EVENT_SET, THR_RELAXED);
    thr_store(&t->period_ns, period_ns, THR_RELAXED);
    thr_store(&t->ticks, 0, THR_RELAXED);
    thr_store(&t->taken, 0, THR_RELAXED);
    thr_store(&t->missed, 0, THR_RELAXED);
    thr_unlock(&t->event.lock);
}

static bool set(struct timer *t, struct thr_worker *w, uint64_t deadline_ns, uint64_t period_ns)
{
    bool was_armed = thr_timer_claim(&w->timers, &t->node);
    /* The usual case, a time limit that is moved on, needs none of this. */
    if ((thr_load(&t->event.word, THR_RELAXED) & THR_EVENT_SET) || period_ns ||
        thr_load(&t->period_ns, THR_RELAXED))
        renew(t, period_ns);
    t->node.task = NULL;
    t->node.u.fire = fire;
    thr_timer_put(&w->timers, &t->node, deadline_ns);
    return was_armed;
}

static struct thr_worker *own_worker(void)
{
    thr_task_self(); /* asserts that there is a task */
    return thr_worker_self();
}

bool thrum_timer_set(thrum_timer *t, uint64_t timeout_ns)
{
    return set(of(t), own_worker(), thr_clock_after(timeout_ns), 0);
}

bool thrum_timer_set_at(thrum_timer *t, uint64_t deadline_ns)
{
    return set(of(t), own_worker(), deadline_ns, 0);
}

bool thrum_timer_set_period(thrum_timer *t, uint64_t timeout_ns, uint64_t period_ns)
{
    THR_ASSERT(period_ns > 0);
    return set(of(t), own_worker(), thr_clock_after(timeout_ns), period_ns);
}

bool thrum_timer_cancel(thrum_timer *t)
{
    if (thr_timer_cancel(&of(t)->node))
        return true;
    thr_waitq_settle(&of(t)->event); /* it may be firing: O2 */
    return false;
}

/* ---- Waiting ---- */

static void take_ticks(struct timer *t)
{
    thr_lock(&t->event.lock);
    uint64_t ticks = thr_load(&t->ticks, THR_RELAXED);
    uint64_t n = ticks - thr_load(&t->taken, THR_RELAXED);
    if (thr_load(&t->period_ns, THR_RELAXED)) /* unless it was set anew meanwhile */
        thr_fetch_and(&t->event.word, ~(uint32_t)THR_EVENT_SET, THR_RELAXED);
    if (n > 1)
        thr_count(&t->missed, n - 1);
    thr_store(&t->taken, ticks, THR_RELAXED);
    thr_unlock(&t->event.lock);
}

int thrum_timer_wait(thrum_timer *t)
{
    int err = thrum_event_wait(&t->fired);
    if (err)
        return err;
    /* Without a period the storage may be gone as soon as another task knows that it has fired; but not ours, we wait. */
    if (thr_load(&of(t)->period_ns, THR_RELAXED))
        take_ticks(of(t));
    return 0;
}

uint64_t thrum_timer_missed(const thrum_timer *t)
{
    const thr_au64 *missed = (const thr_au64 *)(const void *)&t->missed;
    return thr_load(missed, THR_RELAXED);
}
