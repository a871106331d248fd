/* SPDX-License-Identifier: MIT */
#include "exec/timer.h"

#include "exec/task.h"
#include "exec/util.h"

#include <string.h>
#include <thrum/time.h>

enum {
    EXPIRE_BATCH = 256, /* so many timers fire before the lock is let go for a moment */
    SORT_AHEAD = 64,    /* so many are put into the heap before their time, each time */
};

void thr_timers_init(struct thr_timers *ts, uint64_t now)
{
    memset(ts, 0, sizeof(*ts)); /* next is 0: the first expire brings all up to date */
    ts->far.base = thr_far_tick(now);
}

/* ---- In and out, under the lock ---- */

static void spare_push(struct thr_timers *ts, struct thr_timer *t)
{
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
}

static void sort_in(struct thr_timers *ts, struct thr_timer *t)
{
    if (thr_timer_heap_push(&ts->heap, t)) {
        t->place = THR_TIMER_HEAP;
    } else {
        spare_push(ts, t);
        t->place = THR_TIMER_SPARE;
    }
}

static void put_in(struct thr_timers *ts, struct thr_timer *t)
{
    if (thr_timer_far_add(&ts->far, t)) {
        t->place = THR_TIMER_FAR; /* `next` is before the end of base's tick already (T6) */
        return;
    }
    sort_in(ts, t);
    if (t->deadline_ns < thr_load(&ts->next, THR_RELAXED))
        thr_store(&ts->next, t->deadline_ns, THR_RELAXED);
}

/* `next` stays: it is at worst too early. */
static void take_out(struct thr_timers *ts, struct thr_timer *t)
{
    if (t->place == THR_TIMER_FAR)
        thr_timer_far_remove(&ts->far, t);
    else if (t->place == THR_TIMER_HEAP)
        thr_timer_heap_remove(&ts->heap, t->position);
    else
        spare_remove(ts, t);
    t->place = THR_TIMER_OUT;
}

static uint64_t earliest_sorted(const struct thr_timers *ts)
{
    uint64_t next = ts->heap.n ? ts->heap.slots[0].deadline_ns : THRUM_NEVER;
    for (struct thr_timer *t = ts->spare; t; t = t->next)
        if (t->deadline_ns < next)
            next = t->deadline_ns;
    return next;
}

/* ---- Waits ---- */

void thr_timer_arm(struct thr_timers *ts, struct thr_timer *t)
{
    thr_store(&t->timers, ts, THR_RELAXED);
    thr_lock(&ts->lock);
    put_in(ts, t);
    thr_unlock(&ts->lock);
}

void thr_timer_disarm(struct thr_timer *t)
{
    struct thr_timers *ts = thr_load(&t->timers, THR_RELAXED);
    thr_lock(&ts->lock);
    if (t->place != THR_TIMER_OUT)
        take_out(ts, t);
    thr_unlock(&ts->lock);
}

/* ---- Objects ---- */

bool thr_timer_cancel(struct thr_timer *t)
{
    struct thr_timers *at;
    while ((at = thr_load(&t->timers, THR_ACQUIRE)) != NULL) { /* (B) */
        thr_lock(&at->lock);
        bool ours = thr_load(&t->timers, THR_RELAXED) == at; /* T5 */
        if (ours) {
            take_out(at, t);
            thr_store(&t->timers, NULL, THR_RELEASE); /* (A) */
        }
        thr_unlock(&at->lock);
        if (ours)
            return true;
    }
    return false;
}

bool thr_timer_claim(struct thr_timers *ts, struct thr_timer *t)
{
    bool was_armed = false;
    for (;;) {
        void *at = NULL;
        thr_lock(&ts->lock);
        if (thr_cas(&t->timers, &at, ts, THR_ACQ_REL, THR_ACQUIRE)) /* (B) */
            return was_armed;
        if (at == ts) {
            take_out(ts, t);
            return true;
        }
        thr_unlock(&ts->lock); /* one timers' lock at a time */
        was_armed |= thr_timer_cancel(t);
    }
}

void thr_timer_put(struct thr_timers *ts, struct thr_timer *t, uint64_t deadline_ns)
{
    t->deadline_ns = deadline_ns;
    put_in(ts, t);
    thr_unlock(&ts->lock);
}

/* ---- Expiry, under the lock ---- */

/* Brings the buckets up to date: what may be due goes to the heap, and a little of what comes after it (T4). */
static void sort_due(struct thr_timers *ts, uint64_t now)
{
    struct thr_timer_far *f = &ts->far;
    struct thr_timer *t;
    uint64_t tick = thr_far_tick(now);
    bool next_tick = f->base <= tick;
    while (f->base <= tick) {
        while ((t = thr_timer_far_take(f)) != NULL)
            sort_in(ts, t);
        uint64_t first = thr_timer_far_first(f); /* over the empty ones at a stride */
        f->base = first <= tick ? first : tick + 1;
    }
    for (int n = 0; n < SORT_AHEAD && (t = thr_timer_far_take(f)) != NULL; n++)
        sort_in(ts, t);
    if (next_tick)
        thr_timer_heap_trim(&ts->heap);
}

static void fire(struct thr_timers *ts, struct thr_timer *t, uint64_t now, struct thr_wakeups *out)
{
    struct thrum_task *task = t->task;
    take_out(ts, t);
    if (task) {
        bool parked;
        if (thr_wait_fire(task, t->u.seq, THR_FIRED_TIMEOUT, &parked) && parked)
            thr_wakeups_add(out, task); /* t may be gone (T2) */
        return;
    }
    uint64_t again = t->u.fire(t, now, out);
    if (!again)
        return;
    t->deadline_ns = again;
    put_in(ts, t);
}

static unsigned fire_spare(struct thr_timers *ts, uint64_t now, struct thr_wakeups *out)
{
    unsigned n = 0;
    for (struct thr_timer *t = ts->spare, *next; t; t = next) {
        next = t->next;
        if (t->deadline_ns > now)
            continue;
        fire(ts, t, now, out);
        n++;
    }
    return n;
}

static void publish_next(struct thr_timers *ts)
{
    uint64_t next = earliest_sorted(ts);
    uint64_t buckets = thr_far_tick_start(ts->far.base);
    if (ts->far.buckets[ts->far.base % THR_FAR_BUCKETS])
        buckets = 0; /* there is more to sort ahead */
    thr_store(&ts->next, next < buckets ? next : buckets, THR_RELAXED);
}

unsigned thr_timers_expire(struct thr_timers *ts, uint64_t now, struct thr_wakeups *out)
{
    if (thr_timers_next(ts) > now)
        return 0;
    unsigned n = 0;
    thr_lock(&ts->lock);
    sort_due(ts, now);
    while (ts->heap.n && ts->heap.slots[0].deadline_ns <= now) {
        fire(ts, ts->heap.slots[0].timer, now, out);
        if (++n % EXPIRE_BATCH == 0) {
            thr_unlock(&ts->lock);
            thr_lock(&ts->lock);
        }
    }
    if (THR_UNLIKELY(ts->spare != NULL))
        n += fire_spare(ts, now, out);
    publish_next(ts);
    thr_unlock(&ts->lock);
    return n;
}

uint64_t thr_timers_sleep_until(struct thr_timers *ts)
{
    thr_lock(&ts->lock);
    uint64_t until = earliest_sorted(ts);
    uint64_t first = thr_timer_far_first(&ts->far);
    if (first != UINT64_MAX && thr_far_tick_start(first) < until) {
        uint64_t far = thr_timer_far_earliest(&ts->far);
        if (far < until)
            until = far;
    }
    thr_unlock(&ts->lock);
    return until;
}

/* ---- The end ---- */

static void forget(struct thr_timer *t)
{
    t->place = THR_TIMER_OUT;
    thr_store(&t->timers, NULL, THR_RELEASE);
}

void thr_timers_fini(struct thr_timers *ts)
{
    for (uint32_t i = 0; i < ts->heap.n; i++)
        forget(ts->heap.slots[i].timer);
    for (struct thr_timer *t = ts->spare, *next; t; t = next) {
        next = t->next;
        forget(t);
    }
    for (size_t i = 0; i < THR_FAR_BUCKETS; i++)
        for (struct thr_timer *t = ts->far.buckets[i], *next; t; t = next) {
            next = t->next;
            forget(t);
        }
    thr_timer_heap_fini(&ts->heap);
    memset(ts, 0, sizeof(*ts));
}
