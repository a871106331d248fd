/* SPDX-License-Identifier: MIT */
/* exec/pick.h: what worker.c, steal.c and idle.c share of a worker's queues. Everything here is called by the worker. */
#ifndef THR_EXEC_PICK_H
#define THR_EXEC_PICK_H

#include "exec/worker.h"

/* What runs next on this worker; NULL if it has nothing. */
struct thrum_task *thr_worker_pick(struct thr_worker *w);

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

/* The newest spawned task, if it is a child of the scope. */
struct thrum_task *thr_worker_take_child(struct thr_worker *w, const struct thr_scope *scope);

/* Looks for work elsewhere; NULL if there is none or enough others look. The worker stays a searcher then: it stops in
 * thr_idle_sleep(), which looks everywhere once more. */
struct thrum_task *thr_worker_search(struct thr_worker *w);

#endif
