/* SPDX-License-Identifier: MIT */
/* A worker's queues: what is put where, and in which order tasks are picked. */
#include "exec/pick.h"

#include "exec/clock.h"
#include "exec/runtime.h"
#include "exec/util.h"

enum {
    NEXT_RUN_MAX = 3, /* how often in a row `next` goes before the queues */
    POLL_EVERY_NS = 150 * 1000,
    INJECTOR_BATCH = 32,
};

/* ---- Queueing ---- */

/* The ring is full: its older half and the task go where every worker looks. */
THR_NOINLINE void thr_worker_overflow(struct thr_worker *w, struct thrum_task *task)
{
    void *half[THR_RING / 2];
    uint32_t n = thr_ring_steal(&w->ring, half, THR_COUNT_OF(half));
    struct thrum_task *first = NULL;
    for (uint32_t i = n; i-- > 0;) {
        struct thrum_task *t = half[i];
        t->next = first ? first : task;
        first = t;
    }
    thr_injector_push(&w->rt->injector, first ? first : task, task, n + 1);
}

void thr_worker_enqueue(struct thr_worker *w, struct thrum_task *task)
{
    if (!thr_ring_push(&w->ring, task))
        thr_worker_overflow(w, task);
    thr_idle_notify(w->rt, w);
}

/* All of a chain into the ring, and one wake-up for them together. */
void thr_worker_enqueue_chain(struct thr_worker *w, struct thrum_task *first)
{
    if (!first)
        return;
    for (struct thrum_task *t = first, *next; t; t = next) {
        next = t->next;
        if (!thr_ring_push(&w->ring, t))
            thr_worker_overflow(w, t);
    }
    thr_idle_notify(w->rt, w);
}

void thr_worker_wake(struct thr_worker *w, struct thr_wakeups *list)
{
    struct thrum_task *first = list->head;
    list->head = list->tail = NULL;
    if (first->next) {
        thr_worker_enqueue_chain(w, first);
        return;
    }
    /* -> take_next() or the standby worker's, exchange acquire: the task is published. Nobody is woken for it: it runs
     * as soon as the waker suspends, and stays on its core, beside what the two share. */
    struct thrum_task *before = thr_xchg(&w->next, first, THR_ACQ_REL);
    if (before)
        thr_worker_enqueue(w, before);
}

int thr_worker_spawn(struct thr_worker *w, struct thrum_task *task)
{
    int err = thr_deque_push(&w->forks, task);
    if (!err)
        thr_idle_notify(w->rt, w);
    return err;
}

bool thr_worker_has_work(const struct thr_worker *w)
{
    return thr_ring_count(&w->ring) > 0 || thr_deque_count(&w->forks) > 0 ||
           !thr_inbox_is_empty(&w->inbox);
}

/* ---- Picking ---- */

/* So that a poll comes every 100 to 200 us whether picks take 50 ns or 50 us. */
static void adapt_poll_interval(struct thr_worker *w, uint64_t now)
{
    uint64_t per_pick = (now - w->polled_ns) / w->poll_interval + 1;
    uint64_t interval = POLL_EVERY_NS / per_pick;
    if (interval < 1)
        interval = 1;
    if (interval > THR_PICKS_TO_POLL_MAX)
        interval = THR_PICKS_TO_POLL_MAX;
    w->poll_interval = (unsigned)interval;
    w->picks_to_poll = (unsigned)interval;
    w->polled_ns = now;
}

void thr_worker_poll(struct thr_worker *w)
{
    uint64_t now = thr_clock_now();
    adapt_poll_interval(w, now);
    struct thr_wakeups ready = {0};
    thr_count(&w->counts.timers, thr_timers_expire(&w->timers, now, &ready));
    thr_count(&w->counts.polls, 1);
    w->rt->driver->poll(w->loop, 0, &ready);
    thr_worker_enqueue_chain(w, ready.head);
    thr_worker_enqueue_chain(w, thr_inbox_take_all(&w->inbox));
    thr_worker_enqueue_chain(w, thr_injector_take(&w->rt->injector, INJECTOR_BATCH));
}

static struct thrum_task *take_next(struct thr_worker *w)
{
    if (!thr_load(&w->next, THR_RELAXED))
        return NULL;
    struct thrum_task *t =
        thr_xchg(&w->next, NULL, THR_ACQ_REL); /* the standby may have been faster */
    if (!t || ++w->next_run <= NEXT_RUN_MAX)
        return t;
    if (!thr_ring_push(&w->ring, t))
        thr_worker_overflow(w, t);
    return NULL;
}

static struct thrum_task *take_queued(struct thr_worker *w)
{
    struct thrum_task *t = NULL;
    w->next_run = 0;
    w->inline_run = 0;
    unsigned n = ++w->pick_count;
    if (n % 32 == 0)
        t = thr_deque_steal(&w->forks, NULL);
    else if (n % 8 == 0)
        t = thr_deque_pop(&w->forks);
    if (!t)
        t = thr_ring_pop(&w->ring);
    return t ? t : thr_deque_pop(&w->forks);
}

/* What runs next on this worker; NULL if it has nothing.
 *
 * Fairness. A task in the ring waits for at most 5 picks for each one before it there (three from `next`, one from
 * `forks`, the ring's own). A task in `forks` waits for at most 128 picks for each one spawned before it: every 32nd
 * queued pick takes the oldest, whatever is spawned meanwhile; else the newest goes first, which keeps fork-join trees
 * small. Timers, I/O, inbox and injector are looked at every 61 picks at the latest, and more often when tasks take long;
 * what they bring goes to the end of the ring. So nobody waits for ever, however the others behave. */
struct thrum_task *thr_worker_pick(struct thr_worker *w)
{
    if (--w->picks_to_poll == 0)
        thr_worker_poll(w);
    struct thrum_task *t = take_next(w);
    if (!t)
        t = take_queued(w);
    if (!t) {
        thr_worker_enqueue_chain(w, thr_inbox_take_all(&w->inbox));
        thr_worker_enqueue_chain(w, thr_injector_take(&w->rt->injector, INJECTOR_BATCH));
        t = take_queued(w);
    }
    if (t)
        thr_count(&w->counts.picks, 1);
    return t;
}
