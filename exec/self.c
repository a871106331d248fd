/* SPDX-License-Identifier: MIT */
/* What a task can do and ask about itself and its worker. */
#include "exec/clock.h"
#include "exec/running.h"
#include "exec/runtime.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <thrum/error.h>

static THR_NOINLINE int check_time(struct thrum_task *task)
{
    if (thr_clock_now() < task->limit->deadline_ns)
        return 0;
    thr_limit_fired(task->limit);
    return -ETIMEDOUT;
}

static inline int check(struct thrum_task *task)
{
    if (THR_UNLIKELY(thr_load(&thr_task_scope(task)->cancelled, THR_ACQUIRE)))
        return -ECANCELED;
    return THR_LIKELY(task->limit->deadline_ns == THRUM_NEVER) ? 0 : check_time(task);
}

int thrum_check(void)
{
    return check(thr_task_self());
}

int thrum_yield(void)
{
    int err = check(thr_task_self());
    thr_worker_suspend(THR_AFTER_YIELD);
    return err;
}

int thrum_sleep(uint64_t timeout_ns)
{
    struct thr_waiter w;
    uint64_t until = thr_clock_after(timeout_ns);
    thr_wait_begin(&w, false);
    enum thr_reason reason = thr_wait_park(until);
    if (reason == THR_FIRED_TIMEOUT && until <= thr_task_self()->limit->deadline_ns)
        return 0;
    return thr_reason_error(reason);
}

unsigned thrum_workers(void)
{
    struct thr_worker *w = thr_worker_self();
    return w ? w->rt->workers_n : 0;
}

unsigned thrum_worker_index(void)
{
    struct thr_worker *w = thr_worker_self();
    return w ? w->index : UINT_MAX;
}

int thrum_stats(unsigned index, thrum_worker_stats *out)
{
    struct thr_worker *w = thr_worker_self();
    memset(out, 0, sizeof(*out));
    if (!w)
        return THRUM_ENOTTASK;
    if (index >= w->rt->workers_n)
        return -EINVAL;
    const struct thr_worker_counts *c = &w->rt->workers[index].counts;
    out->picks = thr_load(&c->picks, THR_RELAXED);
    out->finished = thr_load(&c->finished, THR_RELAXED);
    out->steals = thr_load(&c->steals, THR_RELAXED);
    out->parks = thr_load(&c->parks, THR_RELAXED);
    out->wakes = thr_load(&c->wakes, THR_RELAXED);
    out->polls = thr_load(&c->polls, THR_RELAXED);
    out->timers = thr_load(&c->timers, THR_RELAXED);
    return 0;
}
