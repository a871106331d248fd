/* SPDX-License-Identifier: MIT */
#include "exec/timer.h"

#include "exec/task.h"

#include <stdlib.h>
#include <string.h>
#include <thrum/time.h>

enum { WAYS = 4, FIRST_MAX = 64 };

/* The key beside the pointer: comparing touches the array only. */
struct thr_timer_slot {
    uint64_t deadline_ns;
    struct thr_timer *timer;
};

void thr_timers_init(struct thr_timers *ts)
{
    memset(ts, 0, sizeof(*ts));
    thr_store(&ts->next, THRUM_NEVER, THR_RELAXED);
}

void thr_timers_fini(struct thr_timers *ts)
{
    free(ts->heap);
    ts->heap = NULL;
}

static void put(struct thr_timers *ts, uint32_t at, struct thr_timer_slot s)
{
    ts->heap[at] = s;
    s.timer->position = at;
}

/* Finds the place for s from the hole `at` towards the root. */
static void sift_up(struct thr_timers *ts, uint32_t at, struct thr_timer_slot s)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / WAYS;
        if (ts->heap[parent].deadline_ns <= s.deadline_ns)
            break;
        put(ts, at, ts->heap[parent]);
        at = parent;
    }
    put(ts, at, s);
}

static uint32_t smallest_child(const struct thr_timers *ts, uint32_t at)
{
    uint32_t first = at * WAYS + 1;
    uint32_t best = first;
    for (uint32_t i = first + 1; i < first + WAYS && i < ts->heap_n; i++)
        if (ts->heap[i].deadline_ns < ts->heap[best].deadline_ns)
            best = i;
    return best;
}

/* The same from the hole towards the leaves. */
static void sift_down(struct thr_timers *ts, uint32_t at, struct thr_timer_slot s)
{
    while (at * WAYS + 1 < ts->heap_n) {
        uint32_t child = smallest_child(ts, at);
        if (s.deadline_ns <= ts->heap[child].deadline_ns)
            break;
        put(ts, at, ts->heap[child]);
        at = child;
    }
    put(ts, at, s);
}

static void heap_remove(struct thr_timers *ts, uint32_t at)
{
    ts->heap[at].timer->position = THR_TIMER_OUT;
    struct thr_timer_slot last = ts->heap[--ts->heap_n];
    if (at == ts->heap_n)
        return;
    if (at > 0 && last.deadline_ns < ts->heap[(at - 1) / WAYS].deadline_ns)
        sift_up(ts, at, last);
    else
        sift_down(ts, at, last);
}

static bool heap_reserve(struct thr_timers *ts)
{
    if (ts->heap_n < ts->heap_max)
        return true;
    uint32_t max = ts->heap_max ? 2 * ts->heap_max : FIRST_MAX;
    if (max >= THR_TIMER_SPARE)
        return false;
    struct thr_timer_slot *heap = realloc(ts->heap, max * sizeof(*heap));
    if (!heap)
        return false;
    ts->heap = heap;
    ts->heap_max = max;
    return true;
}

static void spare_push(struct thr_timers *ts, struct thr_timer *t)
{
    t->position = THR_TIMER_SPARE;
    t->prev = NULL;
    t->next = ts->spare;
    if (t->next)
        t->next->prev = t;
    ts->spare = t;
}

static void spare_remove(struct thr_timers *ts, struct thr_timer *t)
{
    if (t->next)
        t->next->prev = t->prev;
    if (t->prev)
        t->prev->next = t->next;
    else
        ts->spare = t->next;
    t->position = THR_TIMER_OUT;
}

static void publish_next(struct thr_timers *ts)
{
    uint64_t next = ts->heap_n ? ts->heap[0].deadline_ns : THRUM_NEVER;
    for (struct thr_timer *t = ts->spare; t; t = t->next)
        if (t->deadline_ns < next)
            next = t->deadline_ns;
    thr_store(&ts->next, next, THR_RELAXED);
}

void thr_timer_arm(struct thr_timers *ts, struct thr_timer *t)
{
    t->timers = ts;
    thr_lock(&ts->lock);
    if (heap_reserve(ts))
        sift_up(ts, ts->heap_n++, (struct thr_timer_slot){t->deadline_ns, t});
    else
        spare_push(ts, t);
    publish_next(ts);
    thr_unlock(&ts->lock);
}

static void take_out(struct thr_timers *ts, struct thr_timer *t)
{
    if (t->position == THR_TIMER_SPARE)
        spare_remove(ts, t);
    else
        heap_remove(ts, t->position);
}

void thr_timer_disarm(struct thr_timer *t)
{
    struct thr_timers *ts = t->timers;
    thr_lock(&ts->lock);
    if (t->position != THR_TIMER_OUT) {
        take_out(ts, t);
        publish_next(ts);
    }
    thr_unlock(&ts->lock);
}

static void fire(struct thr_timer *t, struct thr_wakeups *out)
{
    bool parked;
    if (thr_wait_fire(t->task, t->seq, THR_FIRED_TIMEOUT, &parked) && parked)
        thr_wakeups_add(out, t->task);
}

unsigned thr_timers_expire(struct thr_timers *ts, uint64_t now, struct thr_wakeups *out)
{
    if (thr_timers_next(ts) > now)
        return 0;
    unsigned n = 0;
    thr_lock(&ts->lock);
    while (ts->heap_n && ts->heap[0].deadline_ns <= now) {
        struct thr_timer *t = ts->heap[0].timer;
        heap_remove(ts, 0);
        fire(t, out);
        n++;
    }
    for (struct thr_timer *t = ts->spare, *next; t; t = next) {
        next = t->next;
        if (t->deadline_ns > now)
            continue;
        spare_remove(ts, t);
        fire(t, out);
        n++;
    }
    publish_next(ts);
    thr_unlock(&ts->lock);
    return n;
}
