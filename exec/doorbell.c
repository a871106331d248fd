/* SPDX-License-Identifier: MIT */
#include "exec/doorbell.h"

void thr_doorbell_init(struct thr_doorbell *b)
{
    thr_lock_init(&b->lock);
    b->rung = false;
    b->waiter = NULL;
}

void thr_doorbell_ring(struct thr_doorbell *b)
{
    struct thr_wakeups out = {0};
    thr_lock(&b->lock);
    b->rung = true;
    if (b->waiter)
        thr_waiter_fire(b->waiter, THR_FIRED_OK, &out);
    thr_unlock(&b->lock);
    thr_wakeups_run(&out);
}

bool thr_doorbell_link(struct thr_doorbell *b, struct thr_waiter *w)
{
    thr_lock(&b->lock);
    bool rung = b->rung;
    b->rung = false;
    b->waiter = rung ? NULL : w;
    w->linked = !rung;
    thr_unlock(&b->lock);
    return rung;
}

void thr_doorbell_unlink(struct thr_doorbell *b, struct thr_waiter *w)
{
    thr_lock(&b->lock);
    if (b->waiter == w)
        b->waiter = NULL;
    w->linked = false;
    b->rung = false;
    thr_unlock(&b->lock);
}
