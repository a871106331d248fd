/* SPDX-License-Identifier: MIT */
/* The wait group: a countdown that may go up again. */
#include "exec/countdown.h"

void thrum_wait_group_add(thrum_wait_group *g, uint32_t n)
{
    thr_countdown_add(thr_waitq(&g->q), n);
}

void thrum_wait_group_done(thrum_wait_group *g)
{
    thr_countdown_down(thr_waitq(&g->q), 1);
}

int thrum_wait_group_wait(thrum_wait_group *g)
{
    return thr_countdown_wait(thr_waitq(&g->q));
}
