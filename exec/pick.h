/* SPDX-License-Identifier: MIT */
/* exec/pick.h: what worker.c, steal.c and idle.c share of a worker's queues. */
#ifndef THR_EXEC_PICK_H
#define THR_EXEC_PICK_H

#include "exec/worker.h"

/* What runs next on this worker; NULL if it has nothing. Context: the worker. */
struct thrum_task *thr_worker_pick(struct thr_worker *w);

/* The ring is full: its older half and the task go where every worker looks. */
void thr_worker_overflow(struct thr_worker *w, struct thrum_task *task);

/* All of a chain into the ring, and one wake-up for them together. */
void thr_worker_enqueue_chain(struct thr_worker *w, struct thrum_task *first);

/* Looks for work elsewhere; NULL if there is none or enough others look. The worker stays a searcher then: it stops in
 * thr_idle_sleep(), which looks everywhere once more. */
struct thrum_task *thr_worker_search(struct thr_worker *w);

#endif
