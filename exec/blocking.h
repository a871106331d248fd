/* SPDX-License-Identifier: MIT */
/* exec/blocking.h: threads for work that blocks: thrum_blocking().
 *
 * Threads are started as jobs come, up to a limit, and end when they have had nothing to do for a while.
 *
 * Roles       submit: a task.  The pool's threads take jobs in the order they came.
 * Invariants  B1  everything is guarded by `mutex`, which is never held across a suspension or a job.
 *             B2  a job lies on the stack of the task that waits for it. The pool touches it for the last time, under the
 *                 mutex, when it marks it done and fires the task's wait; the task leaves only after it has had the mutex
 *                 and seen the job done, or taken it off the queue itself. */
#ifndef THR_EXEC_BLOCKING_H
#define THR_EXEC_BLOCKING_H

#include <pthread.h>
#include <thrum/task.h>

struct thr_blocking_job;

struct thr_blocking {
    pthread_mutex_t mutex;
    pthread_cond_t work; /* a job came, or the pool stops */
    pthread_cond_t gone; /* a thread has ended */
    struct thr_blocking_job *head, *tail;
    unsigned threads_n, idle_n, queued_n;
    bool stopping;
};

/* Returns: 0 or a negative code. */
int thr_blocking_init(struct thr_blocking *b);

/* Waits until all threads have ended. No job may be queued or running. */
void thr_blocking_fini(struct thr_blocking *b);

#endif
