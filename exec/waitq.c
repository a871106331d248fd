/* SPDX-License-Identifier: MIT */
#include "exec/waitq.h"

#include <thrum/time.h>

int thr_waitq_park(struct thr_waitq *q, struct thr_waitlist *list, struct thr_waiter *w)
{
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    if (reason == THR_FIRED_OK) {
        thr_waitq_settle(q);
        return 0;
    }
    thr_lock(&q->lock); /* who popped w, and lost, is done with it (W4) */
    thr_waitlist_remove(list, w);
    return thr_reason_error(reason);
}

void thr_waitq_mend(struct thr_waitq *q, uint32_t bit)
{
    if (!q->list.head)
        thr_fetch_and(&q->word, ~bit, THR_RELAXED);
}

int thr_waitq_wait(struct thr_waitq *q, uint32_t bit)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    thr_waitlist_push(&q->list, &w);
    thr_unlock(&q->lock);
    int err = thr_waitq_park(q, &q->list, &w);
    if (err) {
        thr_waitq_mend(q, bit);
        thr_unlock(&q->lock);
    }
    return err;
}

void thr_waitlist_push_first(struct thr_waitlist *l, struct thr_waiter *w)
{
    w->prev = NULL;
    w->next = l->head;
    if (l->head)
        l->head->prev = w;
    else
        l->tail = w;
    l->head = w;
    w->linked = true;
}
