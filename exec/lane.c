/* SPDX-License-Identifier: MIT */
#include "exec/lane.h"

#include "exec/task.h"

#include <sched.h>

void thr_lane_wait(struct thr_lane *l)
{
    do {
        thr_store(&l->busy, 0, THR_RELEASE);
        while (thr_load(&l->claim, THR_ACQUIRE))
            sched_yield(); /* the robber may have lost its core */
        thr_store(&l->busy, 1, THR_RELAXED);
        thr_fence_light();
    } while (thr_load(&l->claim, THR_ACQUIRE));
}

static bool is_empty(const struct thr_lane *l)
{
    return !thr_load(&l->next, THR_RELAXED) && !thr_load(&l->newest, THR_RELAXED) &&
           thr_load(&l->batch_at, THR_RELAXED) == thr_load(&l->batch_n, THR_RELAXED);
}

static unsigned take(struct thrum_task *task, struct thr_wakeups *out)
{
    if (!task)
        return 0;
    thr_wakeups_add(out, task);
    return 1;
}

bool thr_lane_claim(struct thr_lane *l)
{
    thr_store(&l->claim, 1, THR_RELAXED);
    thr_fence_heavy();                    /* (A) */
    if (!thr_load(&l->busy, THR_ACQUIRE)) /* (B) */
        return true;
    thr_lane_release(l);
    return false;
}

unsigned thr_lane_rob(struct thr_lane *l, struct thr_wakeups *out)
{
    if (is_empty(l) || !thr_lane_claim(l))
        return 0;
    unsigned n = take(thr_lane_swap(&l->next, NULL), out);
    uint32_t end = thr_load(&l->batch_n, THR_RELAXED);
    for (uint32_t i = thr_load(&l->batch_at, THR_RELAXED); i < end; i++)
        n += take(thr_load(&l->batch[i], THR_RELAXED), out);
    thr_store(&l->batch_at, end, THR_RELAXED);
    n += take(thr_lane_swap(&l->newest, NULL), out);
    thr_lane_release(l);
    return n;
}
