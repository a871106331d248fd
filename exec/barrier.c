/* SPDX-License-Identifier: MIT */
/* The barrier. Everything is under the lock; the word is the number of parties that wait, or BROKEN.
 *
 * Invariants  B1  a waiter's verdict is settled together with its leaving the list: who finds one has it, whatever deadline
 *                 or cancel came meanwhile. So either all the parties of a round pass or none does.
 *             B2  the word is the length of the list, or BROKEN with an empty list. */
#include "exec/running.h"
#include "exec/util.h"
#include "exec/waitq.h"

#include <string.h>
#include <thrum/error.h>

enum { PENDING = 1 }; /* no verdict yet */
static const uint32_t BROKEN = UINT32_MAX;

struct party {
    struct thr_waiter w; /* first: the list knows only this */
    int verdict;         /* guarded by lock until w is fired */
};

void thrum_barrier_init(thrum_barrier *b, uint32_t parties)
{
    memset(b, 0, sizeof(*b));
    b->parties = parties;
}

/* With the lock held: all that wait have passed (0), or the barrier broke or was reset under them. */
static void let_go(struct thr_waitq *q, uint32_t word, int verdict, struct thr_wakeups *out)
{
    thr_store(&q->word, word, THR_RELAXED);
    for (struct thr_waiter *w; (w = thr_waitlist_pop(&q->list)) != NULL;) {
        ((struct party *)(void *)w)->verdict = verdict;
        (void)thr_waiter_fire(w, THR_FIRED_OK, out); /* if a timer was faster: B1 */
    }
}

static void let_all_go(struct thr_waitq *q, uint32_t word, int verdict)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    let_go(q, word, verdict, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
}

/* With the lock held, which it releases. */
static int wait_for_rest(struct thr_waitq *q)
{
    struct thr_wakeups out = {0};
    struct party p = {.verdict = PENDING};
    thr_wait_begin(&p.w, false);
    thr_waitlist_push(&q->list, &p.w);
    thr_unlock(&q->lock);
    int err = thr_waitq_park(q, &q->list, &p.w);
    if (!err)
        return p.verdict;
    if (p.verdict == PENDING)
        let_go(q, BROKEN, THRUM_ECLOSED, &out);
    else
        err = p.verdict;
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    return err;
}

int thrum_barrier_wait(thrum_barrier *b)
{
    struct thr_waitq *q = thr_waitq(&b->q);
    THR_ASSERT(b->parties > 0);
    int err = thr_task_cancelled();
    if (err) {
        thrum_barrier_break(b); /* the others need not wait for this one */
        return err;
    }
    thr_task_spend();
    thr_lock(&q->lock);
    uint32_t arrived = thr_load(&q->word, THR_RELAXED);
    if (arrived == BROKEN) {
        thr_unlock(&q->lock);
        return THRUM_ECLOSED;
    }
    if (arrived + 1 < b->parties) {
        thr_store(&q->word, arrived + 1, THR_RELAXED);
        return wait_for_rest(q);
    }
    struct thr_wakeups out = {0};
    let_go(q, 0, 0, &out);
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    return 1;
}

void thrum_barrier_break(thrum_barrier *b)
{
    let_all_go(thr_waitq(&b->q), BROKEN, THRUM_ECLOSED);
}

void thrum_barrier_reset(thrum_barrier *b)
{
    let_all_go(thr_waitq(&b->q), 0, THRUM_ECLOSED);
}

bool thrum_barrier_is_broken(thrum_barrier *b)
{
    return thr_load(&thr_waitq(&b->q)->word, THR_RELAXED) == BROKEN;
}
