/* SPDX-License-Identifier: MIT */
/* The latch: a countdown that stays at zero. */
#include "exec/countdown.h"

#include "exec/util.h"

#include <string.h>

void thrum_latch_init(thrum_latch *l, uint32_t n)
{
    THR_ASSERT(n <= THR_COUNTDOWN_MAX);
    memset(l, 0, sizeof(*l));
    l->q.extra = n * THR_COUNTDOWN_ONE;
}

void thrum_latch_down(thrum_latch *l, uint32_t n)
{
    thr_countdown_down(thr_waitq(&l->q), n);
}

bool thrum_latch_is_open(thrum_latch *l)
{
    return thr_countdown_is_zero(thr_waitq(&l->q));
}

int thrum_latch_wait(thrum_latch *l)
{
    return thr_countdown_wait(thr_waitq(&l->q));
}
