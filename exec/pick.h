/* SPDX-License-Identifier: MIT */
/* exec/pick.h: what worker.c, steal.c and idle.c share of a worker's queues. Everything here is called by the worker. */
#ifndef THR_EXEC_PICK_H
#define THR_EXEC_PICK_H

#include "exec/worker.h"

enum { THR_WAIT_LINES = 8 }; /* a wait's frames below the task's own function, about */

/* With thousands of tasks what a task touches first, the top of its stack, is in no cache: it is asked for two picks
 * ahead (13 ns a switch instead of 40). One that was woken returns through more frames than one that gave way, soon ends
 * as a rule, and lay for longer: for it also the rest of these and of its record (350 ns instead of 450 for each of many
 * that one event wakes). Those that give way would pay 3 ns for nothing. */
static inline void thr_worker_prefetch(const struct thr_lane *l, uint32_t index)
{
    if (index >= thr_load(&l->batch_n, THR_RELAXED))
        return;
    const struct thrum_task *t = thr_load(&l->batch[index], THR_RELAXED);
    if (!t->stack)
        return; /* it has never run */
    const char *sp = t->context.sp;
    __builtin_prefetch(sp);
    __builtin_prefetch(sp + THR_CACHE_LINE);
    __builtin_prefetch(sp + 2 * THR_CACHE_LINE);
    if ((thr_load(&t->wait, THR_RELAXED) & THR_WAIT_STATE) < THR_WAIT_FIRED)
        return;
    __builtin_prefetch((const char *)t + THR_CACHE_LINE);
    for (int i = 3; i < THR_WAIT_LINES; i++)
        __builtin_prefetch(sp + (ptrdiff_t)(i * THR_CACHE_LINE));
}

/* The rest of thr_worker_pick(): between thr_lane_enter() and leave, of which it does the second. */
struct thrum_task *thr_worker_pick_more(struct thr_worker *w);

enum { THR_NEXT_RUN_MAX = 3 }; /* how often in a row `next` goes before the queues */

/* What runs next on this worker; NULL if it has nothing. Inline is what happens most: the task woken last, and the next of
 * the batch. */
static inline struct thrum_task *thr_worker_pick(struct thr_worker *w)
{
    struct thr_lane *l = &w->lane;
    thr_lane_enter(l);
    struct thrum_task *t = thr_load(&l->next, THR_RELAXED);
    uint32_t at = thr_load(&l->batch_at, THR_RELAXED);
    if (t && w->next_run < THR_NEXT_RUN_MAX && !w->sampled_ns) {
        thr_store(&l->next, NULL, THR_RELAXED);
        w->next_run++;
    } else if (!t && at < l->batch_go) {
        thr_store(&l->batch_at, at + 1, THR_RELAXED);
        t = thr_load(&l->batch[at], THR_RELAXED);
        thr_worker_prefetch(l, at + 2);
        w->next_run = 0;
    } else {
        return thr_worker_pick_more(w);
    }
    thr_lane_leave(l);
    thr_count(&w->counts.picks, 1);
    return t;
}

/* Queues a task that goes round: one that gave way to another, so that there is no more to do than before and nobody need be
 * woken now. */
void thr_worker_requeue(struct thr_worker *w, struct thrum_task *task);

/* The ring is full: part of it and the task go where every worker looks. */
void thr_worker_overflow(struct thr_worker *w, struct thrum_task *task);

/* All of a chain into the ring, and one wake-up for them together. */
void thr_worker_enqueue_chain(struct thr_worker *w, struct thrum_task *first);

/* Looks at the clock: timers, inbox, injector and, every so often, I/O. */
void thr_worker_tick(struct thr_worker *w);

/* Lets the next pick look at I/O, however recently that was done. */
void thr_worker_poll_soon(struct thr_worker *w);

/* The running task's slice is over: the tasks that it spawned in it go before those in the ring. */
void thr_worker_forks_turn(struct thr_worker *w);

/* What was kept in the lane lay there for too long: for some time tasks go where thieves find them. Context: any worker. */
void thr_worker_publish(struct thr_worker *w);

/* True if the task was the newest spawned one: it is the caller's then. */
bool thr_worker_take_newest(struct thr_worker *w, const struct thrum_task *task);

/* The newest spawned task, if it is a child of the scope. */
struct thrum_task *thr_worker_take_child(struct thr_worker *w, const struct thr_scope *scope);

/* Looks for work elsewhere; NULL if there is none or enough others look. The worker stays a searcher then: it stops in
 * thr_idle_sleep(), which looks everywhere once more. */
struct thrum_task *thr_worker_search(struct thr_worker *w);

#endif
