/* SPDX-License-Identifier: MIT */
/* Doing something once. Once it is done a call is two loads.
 *
 * Invariants  O1  from NEW to RUNNING: by one caller, under the lock. While it is RUNNING just one task is in fn: that one,
 *                 or the waiter it was handed to after a failure.
 *             O2  a waiter's data leads to a flag that is set, before it is fired, if it is the next that tries; a fire that
 *                 a timer or cancel has beaten hands over nothing.
 * Ordering    (A) store release of DONE  ->  (B) load acquire: what fn did is visible to whoever finds it done. */
#include "exec/running.h"
#include "exec/waitq.h"

enum { NEW = 0, RUNNING = 1, DONE = 2 };

/* With the lock held: fn has failed. */
static void hand_over(struct thr_waitq *q, struct thr_wakeups *out)
{
    for (struct thr_waiter *w; (w = thr_waitlist_pop(&q->list)) != NULL;) {
        *(bool *)w->data = true; /* O2 */
        if (thr_waiter_fire(w, THR_FIRED_OK, out))
            return;
    }
    thr_store(&q->word, NEW, THR_RELAXED);
}

static int run(struct thr_waitq *q, thrum_fn *fn, void *arg)
{
    int result = fn(arg);
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    if (result < 0) {
        hand_over(q, &out);
    } else {
        thr_store(&q->word, DONE, THR_RELEASE); /* (A) */
        thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out);
    }
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    return result < 0 ? result : 0;
}

/* With the lock held, which it releases. *mine is set if the caller is the next that tries. */
static int wait_for_runner(struct thr_waitq *q, bool *mine)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    w.data = mine;
    thr_waitlist_push(&q->list, &w);
    thr_unlock(&q->lock);
    int err = thr_waitq_park(q, &q->list, &w);
    if (err)
        thr_unlock(&q->lock);
    return err;
}

int thrum_once_run(thrum_once *o, thrum_fn *fn, void *arg)
{
    struct thr_waitq *q = thr_waitq(&o->q);
    int err = thr_task_cancelled();
    if (err)
        return err;
    if (thrum_once_is_done(o)) {
        thr_waitq_settle(q); /* who did it is out of it when we return */
        return 0;
    }
    thr_lock(&q->lock);
    uint32_t state = thr_load(&q->word, THR_RELAXED);
    bool mine = state == NEW;
    if (state == RUNNING) {
        err = wait_for_runner(q, &mine);
    } else {
        if (mine)
            thr_store(&q->word, RUNNING, THR_RELAXED); /* O1 */
        thr_unlock(&q->lock);
    }
    return !err && mine ? run(q, fn, arg) : err;
}

bool thrum_once_is_done(thrum_once *o)
{
    return thr_load(&thr_waitq(&o->q)->word, THR_ACQUIRE) == DONE; /* (B) */
}
