/* SPDX-License-Identifier: MIT */
/* exec/timer.h: one worker's timers. Those due soon, or in more than a minute, lie in a heap; the others, most of them
 * deadlines that will be cancelled, in a ring of buckets (timer_far.h), from which they go to the heap in time.
 *
 * A wait's timer lies in the frame of the task that waits, and is armed only when the wait really parks. An object's
 * (timer_object.c) lies in the caller's storage and is set and cancelled by any task.
 *
 * Roles       arm: the owning worker.  disarm, cancel: any worker.  expire: the owner, or an idle worker on behalf of one
 *             that computes for long.
 * Invariants  T1  everything here, and `place`, `position`, `prev`, `next` and `deadline_ns` of the armed timers, is guarded
 *                 by `lock`.
 *             T2  expire takes a timer out before it fires the wait, fires while it holds the lock, and touches the timer
 *                 no more once the fire has won. So the task that was fired by its timer may leave its frame; the one that
 *                 was fired otherwise takes the lock (disarm), after which nobody touches the timer either.
 *             T3  a timer is never lost: when the heap cannot grow for want of memory it goes to `spare`, a plain list
 *                 that is looked through at each expiry.
 *             T4  timers due at or before `now` are in the heap or in `spare` when expire fires: the bucket of the next
 *                 tick is emptied a little at a time before its time comes, and the rest at once when it does. So no
 *                 expiry takes long because of those that are not due.
 *             T5  an object's `timers` is NULL unless it is armed. From NULL to X it changes by a compare-and-swap under
 *                 X's lock, from X under X's lock. Whoever holds that lock and sees X has the timer.
 *             T6  `next` is at or before the earliest deadline, and at or before the time of the next work on buckets.
 * Ordering    `next` is written under the lock and read without, by the owner: a value from before costs one early or
 *             late look, and the owner, who alone arms, always sees its own.
 *             (A) T5, store release of NULL  ->  (B) compare-and-swap acquire, or cancel's load acquire
 * Locks       timers' lock before an object's: a timer that fires takes the object's lock under the timers'. Nobody arms or
 *             cancels with an object's lock held. */
#ifndef THR_EXEC_TIMER_H
#define THR_EXEC_TIMER_H

#include "exec/clock.h"
#include "exec/lock.h"
#include "exec/timer_far.h"
#include "exec/timer_heap.h"
#include "exec/wait.h"

struct thr_timers;

/* What an object does when its time has come; must collect what it wakes in *out. Called under the timers' lock.
 *
 * Returns: the deadline, after `now`, for which it is armed again at once, or 0: then `timers` has been set to NULL, and it
 *          is not touched any more. */
typedef uint64_t thr_timer_fire_fn(struct thr_timer *t, uint64_t now, struct thr_wakeups *out);

enum thr_timer_place { THR_TIMER_OUT = 0, THR_TIMER_FAR, THR_TIMER_HEAP, THR_TIMER_SPARE };

struct thr_timer {
    uint64_t deadline_ns;
    struct thrum_task *task; /* NULL: an object's timer */
    union {
        uint64_t seq; /* of the task's wait */
        thr_timer_fire_fn *fire;
    } u;
    thr_aptr timers;               /* where it is armed */
    uint32_t place;                /* enum thr_timer_place */
    uint32_t position;             /* in the heap */
    struct thr_timer *prev, *next; /* in a bucket, in `spare` */
};

struct thr_timers {
    struct thr_lock lock;
    thr_au64 next;
    struct thr_timer_heap heap;
    struct thr_timer *spare;
    struct thr_timer_far far;
    struct thr_clock_base clock; /* the owner's; not guarded */
};

/* now: about; timers that are due long after that are kept at a higher cost until the first expire. */
void thr_timers_init(struct thr_timers *ts, uint64_t now);

/* Objects that are still armed are no longer. Context: all workers of the runtime have ended. */
void thr_timers_fini(struct thr_timers *ts);

/* Arms a wait's timer: deadline_ns, task and seq are set. Context: the owning worker. */
void thr_timer_arm(struct thr_timers *ts, struct thr_timer *t);

/* Afterwards t is out and untouched by others. Context: any worker, the task that armed it; not needed, but allowed, when
 * the timer has fired the wait (T2). */
void thr_timer_disarm(struct thr_timer *t);

/* Makes an object's timer the caller's, out of all timers, from whatever state it was in. Returns with ts->lock held, to be
 * followed by thr_timer_put(): until then nobody else has t.
 *
 * Returns: true if it had been armed. Context: the owning worker of ts. */
bool thr_timer_claim(struct thr_timers *ts, struct thr_timer *t);

/* Arms it, and releases the lock. */
void thr_timer_put(struct thr_timers *ts, struct thr_timer *t, uint64_t deadline_ns);

/* Returns: true if it was armed; false: it was not, or is just firing, which holds the object's lock meanwhile.
 * Context: any worker of the runtime. */
bool thr_timer_cancel(struct thr_timer *t);

/* Fires the timers whose deadline is at or before now, in the order of their deadlines, and brings the buckets up to date.
 *
 * Returns: how many timers ran out. Context: any worker. */
unsigned thr_timers_expire(struct thr_timers *ts, uint64_t now, struct thr_wakeups *out);

/* When expire has something to do: perhaps only to its buckets. */
static inline uint64_t thr_timers_next(const struct thr_timers *ts)
{
    return thr_load(&ts->next, THR_RELAXED);
}

/* Until when a worker may sleep: the earliest deadline, or THRUM_NEVER. It is woken for nothing else, but by more than 64
 * timers within 67 ms, whose bucket must be sorted first. Context: the owning worker. */
uint64_t thr_timers_sleep_until(struct thr_timers *ts);

#endif
