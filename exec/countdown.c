/* SPDX-License-Identifier: MIT */
#include "exec/countdown.h"

#include "exec/running.h"
#include "exec/util.h"

enum { WAITERS = THR_COUNTDOWN_WAITERS, ONE = THR_COUNTDOWN_ONE };

void thr_countdown_add(struct thr_waitq *q, uint32_t n)
{
    THR_ASSERT(n <= THR_COUNTDOWN_MAX);
    uint32_t before = thr_fetch_add(&q->word, n * ONE, THR_RELAXED) / ONE;
    THR_ASSERT(before + n <= THR_COUNTDOWN_MAX);
}

/* Under the lock, since this may be the down that lets them go. */
static void down_and_wake(struct thr_waitq *q, uint32_t n)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    uint32_t v = thr_load(&q->word, THR_RELAXED), next;
    do {
        THR_ASSERT(v / ONE >= n); /* not more than were to come */
        next = v - n * ONE;
        if (next / ONE == 0)
            next = 0;
    } while (!thr_cas_weak(&q->word, &v, next, THR_ACQ_REL, THR_RELAXED)); /* (A) */
    if (next == 0)
        thr_waitlist_fire_all(&q->list, THR_FIRED_OK, &out); /* D1 */
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

void thr_countdown_down(struct thr_waitq *q, uint32_t n)
{
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    do {
        THR_ASSERT(v / ONE >= n); /* not more than were to come */
        if (v / ONE == n && (v & WAITERS)) {
            down_and_wake(q, n);
            return;
        }
    } while (!thr_cas_weak(&q->word, &v, v - n * ONE, THR_ACQ_REL, THR_RELAXED)); /* (A), Q3 */
}

bool thr_countdown_is_zero(struct thr_waitq *q)
{
    return thr_load(&q->word, THR_ACQUIRE) / ONE == 0; /* (B) */
}

/* With the lock held: notes that the caller waits, unless there is nothing to wait for. */
static bool is_zero_or_queue(struct thr_waitq *q)
{
    uint32_t v = thr_load(&q->word, THR_ACQUIRE);
    while (v / ONE != 0)
        if (thr_cas_weak(&q->word, &v, v | WAITERS, THR_ACQUIRE, THR_ACQUIRE))
            return false;
    return true;
}

int thr_countdown_wait(struct thr_waitq *q)
{
    int err = thr_task_cancelled();
    if (err)
        return err;
    if (thr_countdown_is_zero(q)) {
        thr_waitq_settle(q); /* the last down is out of it when we return */
        thr_task_spend();
        return 0;
    }
    thr_lock(&q->lock);
    if (!is_zero_or_queue(q))
        return thr_waitq_wait(q, WAITERS);
    thr_unlock(&q->lock);
    thr_task_spend();
    return 0;
}
