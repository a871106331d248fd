/* SPDX-License-Identifier: MIT */
/* exec/idle.h: who sleeps, who searches, and waking: the protocol that loses no wake-up and wakes no more than needed.
 *
 * Roles       notify: whoever has queued a task.  sleep: a worker with nothing to do.
 * State       word = sleeping << 16 | searching.  mask: a bit for each worker that sleeps or is about to.
 * Invariants  P1  a worker sets its bit and counts as sleeping before it looks at all queues for the last time and
 *                 sleeps. Whoever clears the bit, the worker itself when it wakes by I/O or timer or a notifier, who then owes it
 *                 a wake() of its loop, has moved one from sleeping to searching before (and moves it back if another was
 *                 faster): so a worker that is up is never counted as asleep, nor searches uncounted.
 *             P2  a notifier wakes a worker only if none searches: the searcher will find the task, and before it sleeps
 *                 it looks everywhere again. A worker that gets up searches, whoever woke it, until it has found something.
 *             P3  a searcher that finds work stops searching, and if it was the last one it looks at all queues, as a
 *                 sleeper does, and notifies if there is more: that is how waking spreads.
 *             P4  at most half of the workers begin to search by themselves.
 * Ordering    (A) notify: store to a queue seq_cst (deque, ring, inbox, injector), then load of word seq_cst
 *                 sleep:  read-modify-write of word and mask seq_cst, then loads of all queues seq_cst
 *                 In the one total order either the notifier sees the sleeper (or searcher), or that one sees the task.
 * Bell        What a notifier rings of the worker it claimed: AWAKE, SPINNING, ASLEEP, RUNG. A worker is SPINNING before it
 *             sets its bit, becomes ASLEEP by a compare-and-swap, which fails if it was rung, and only a ring that finds
 *             it ASLEEP costs a system call. A ring that comes late wakes once for nothing.
 * Spinning    A worker whose latest idle times were short spins for a while first: a wake-up costs its sender 12 to 17 us
 *             and takes 25 to 60 to arrive. Not if there are more workers than cores, nor after its core was taken away
 *             while it spun; and after a few long idle times it does not, so that an idle runtime costs nothing.
 * Standby     While other workers run, one sleeper sleeps at most 0.3 ms at a time: it then takes over what a
 *             worker that computes for long has left lying, its lane, timers and I/O too. When all sleep nobody
 *             does this, and an idle runtime makes no system calls. */
#ifndef THR_EXEC_IDLE_H
#define THR_EXEC_IDLE_H

#include "exec/atomic.h"

struct thr_runtime;
struct thr_worker;

enum { THR_WORKERS_MAX = 1024 };

struct thr_idle {
    THR_APART thr_au32 word;
    thr_au32 standby;   /* 1: somebody is it */
    thr_au64 looked_ns; /* when the standby looked at the others last; only it writes that */
    thr_au64 mask[THR_WORKERS_MAX / 64];
};

/* Sees to it that a worker looks for work, if one sleeps and none searches. by: the calling worker, or NULL. */
void thr_idle_notify(struct thr_runtime *rt, struct thr_worker *by);

/* Wakes this very worker if it sleeps. Returns: true if it did. Context: any thread. */
bool thr_idle_wake(struct thr_worker *w);

/* Wakes all that sleep. Context: any thread. */
void thr_idle_wake_all(struct thr_runtime *rt);

/* How many workers have nothing to do, as far as can be known; *asleep: a notification would wake one. */
unsigned thr_idle_count(const struct thr_runtime *rt, bool *asleep);

/* Becomes a searcher. Returns: false if half of the workers are. */
bool thr_idle_search_begin(struct thr_worker *w);

/* Has found something, or not. */
void thr_idle_search_end(struct thr_worker *w, bool found);

/* What each worker knows of its own idle times. */
struct thr_idle_own {
    thr_au32 bell;
    uint64_t usual_ns;  /* how long it is idle, about */
    unsigned no_spin_n; /* so many times it will not spin */
    long involuntary_n; /* how often the kernel had taken its core by the last spin, plus one */
};

/* Sleeps in the worker's loop until there may be work. Context: the worker, on its own stack. */
void thr_idle_sleep(struct thr_worker *w);

#endif
