/* SPDX-License-Identifier: MIT */
/* The condition variable. Word: WAITERS (waitq.h, Q2), so that a signal to nobody is one load.
 *
 * Invariants  N1  a waiter is in the list before the mutex is unlocked: who locks it afterwards, changes what was waited for
 *                 and signals, sees the waiter.
 *             N2  a signal ends just one wait with success: it passes over those that a deadline or cancel ended first, and
 *                 one it has ended returns 0 whatever comes while it locks the mutex again. */
#include "exec/running.h"
#include "exec/waitq.h"

enum { WAITERS = 1 };

int thrum_cond_wait(thrum_cond *c, thrum_mutex *m)
{
    struct thr_waitq *q = thr_waitq(&c->q);
    int err = thr_task_cancelled();
    if (err)
        return err;
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    thr_lock(&q->lock);
    thr_waitlist_push(&q->list, &w);
    thr_store(&q->word, WAITERS, THR_RELAXED); /* N1: it is the mutex that orders it */
    thr_unlock(&q->lock);
    thrum_mutex_unlock(m);

    err = thr_waitq_park(q, &q->list, &w);
    if (err) {
        thr_waitq_mend(q, WAITERS);
        thr_unlock(&q->lock);
    }
    thrum_mutex_lock_shielded(m);
    return err;
}

void thrum_cond_signal(thrum_cond *c)
{
    struct thr_waitq *q = thr_waitq(&c->q);
    if (!thr_load(&q->word, THR_RELAXED)) /* N1 */
        return;
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    thr_waitlist_fire_one(&q->list, THR_FIRED_OK, &out, NULL); /* N2 */
    thr_waitq_mend(q, WAITERS);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

void thrum_cond_broadcast(thrum_cond *c)
{
    struct thr_waitq *q = thr_waitq(&c->q);
    if (!thr_load(&q->word, THR_RELAXED)) /* N1 */
        return;
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out);
    thr_waitq_mend(q, WAITERS);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}
