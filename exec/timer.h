/* SPDX-License-Identifier: MIT */
/* exec/timer.h: one worker's timers: a 4-ary heap with the keys in its array.
 *
 * A timer lies in the frame of the task that waits, and is armed only when the wait really parks.
 *
 * Roles       arm: the owning worker.  disarm: the worker that the task runs on by then.  expire: the owner, or an idle
 *             worker on behalf of one that computes for long.
 * Invariants  T1  everything here is guarded by `lock`; a timer that is neither in the heap nor in `spare` has the
 *                 position THR_TIMER_OUT.
 *             T2  expire fires the wait while it holds the lock, and disarm takes the lock: when disarm returns nobody
 *                 touches the timer any more, so its frame may go.
 *             T3  a timer is never lost: when the heap cannot grow for want of memory it goes to `spare`, a plain list
 *                 that is looked through at each expiry.
 * Ordering    `next` is written under the lock and read without, by the owner: a value from before costs one early or
 *             late look, and the owner, who alone arms, always sees its own. */
#ifndef THR_EXEC_TIMER_H
#define THR_EXEC_TIMER_H

#include "exec/lock.h"
#include "exec/wait.h"

enum { THR_TIMER_OUT = UINT32_MAX, THR_TIMER_SPARE = UINT32_MAX - 1 };

struct thr_timers;

struct thr_timer {
    uint64_t deadline_ns;
    struct thrum_task *task;
    uint64_t seq;
    struct thr_timers *timers;     /* where it is armed */
    uint32_t position;             /* in the heap, or THR_TIMER_* */
    struct thr_timer *prev, *next; /* in `spare` */
};

struct thr_timer_slot;

struct thr_timers {
    struct thr_lock lock;
    struct thr_timer_slot *heap;
    uint32_t heap_n, heap_max;
    struct thr_timer *spare;
    thr_au64 next; /* the earliest deadline, or THRUM_NEVER */
};

void thr_timers_init(struct thr_timers *ts);
void thr_timers_fini(struct thr_timers *ts);

/* Arms t (its deadline, task and seq are set). Context: the owning worker. */
void thr_timer_arm(struct thr_timers *ts, struct thr_timer *t);

/* Afterwards t is out of the heap and untouched by others. Context: any worker, the task that armed it. */
void thr_timer_disarm(struct thr_timer *t);

/* Fires the waits whose deadline is at or before now.
 *
 * Returns: how many timers ran out. Context: any worker. */
unsigned thr_timers_expire(struct thr_timers *ts, uint64_t now, struct thr_wakeups *out);

static inline uint64_t thr_timers_next(const struct thr_timers *ts)
{
    return thr_load(&ts->next, THR_RELAXED);
}

#endif
