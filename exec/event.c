/* SPDX-License-Identifier: MIT */
/* The event. Word: SET, WAITERS (waitq.h, Q2). Setting it while nobody waits is one compare-and-swap, clearing one
 * operation, waiting for a set one two loads.
 *
 * Invariants  E1  a set that finds waiters sets SET and fires all of them under the lock, once and for all: a clear that
 *                 comes in between stays, and who comes to wait after that clear is not fired by this set. */
#include "exec/event.h"

#include "exec/running.h"
#include "exec/waitq.h"

static void set_and_wake(struct thr_waitq *q)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    thr_fetch_or(&q->word, THR_EVENT_SET, THR_RELEASE);
    thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out); /* E1 */
    thr_waitq_mend(q, THR_EVENT_WAITERS);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

void thrum_event_set(thrum_event *e)
{
    struct thr_waitq *q = thr_waitq(&e->q);
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    do {
        if (v & THR_EVENT_WAITERS) {
            set_and_wake(q);
            return;
        }
    } while (!thr_cas_weak(&q->word, &v, THR_EVENT_SET, THR_RELEASE, THR_RELAXED)); /* Q3 */
}

void thrum_event_clear(thrum_event *e)
{
    thr_fetch_and(&thr_waitq(&e->q)->word, ~(uint32_t)THR_EVENT_SET, THR_RELAXED);
}

bool thrum_event_is_set(thrum_event *e)
{
    return thr_load(&thr_waitq(&e->q)->word, THR_ACQUIRE) & THR_EVENT_SET;
}

/* With the lock held: notes that the caller waits, unless it is set. */
static bool is_set_or_queue(struct thr_waitq *q)
{
    uint32_t v = thr_load(&q->word, THR_ACQUIRE);
    while (!(v & THR_EVENT_SET))
        if (thr_cas_weak(&q->word, &v, v | THR_EVENT_WAITERS, THR_ACQUIRE, THR_ACQUIRE))
            return false;
    return true;
}

bool thr_event_link(thrum_event *e, struct thr_waiter *w)
{
    struct thr_waitq *q = thr_waitq(&e->q);
    thr_lock(&q->lock);
    bool set = is_set_or_queue(q);
    if (!set)
        thr_waitlist_push(&q->list, w);
    thr_unlock(&q->lock);
    return set;
}

void thr_event_unlink(thrum_event *e, struct thr_waiter *w)
{
    struct thr_waitq *q = thr_waitq(&e->q);
    thr_lock(&q->lock);
    thr_waitlist_remove(&q->list, w);
    thr_waitq_mend(q, THR_EVENT_WAITERS);
    thr_unlock(&q->lock);
}

int thrum_event_wait(thrum_event *e)
{
    struct thr_waitq *q = thr_waitq(&e->q);
    int err = thr_task_cancelled();
    if (err)
        return err;
    if (thrum_event_is_set(e)) {
        thr_waitq_settle(q); /* whoever set it is out of it when we return */
        thr_task_spend();
        return 0;
    }
    thr_lock(&q->lock);
    if (!is_set_or_queue(q))
        return thr_waitq_wait(q, THR_EVENT_WAITERS);
    thr_unlock(&q->lock);
    thr_task_spend();
    return 0;
}
