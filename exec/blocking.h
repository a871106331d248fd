/* SPDX-License-Identifier: MIT */
/* exec/blocking.h: threads for work that blocks: thrum_blocking().
 *
 * Roles       submit, call off: a task.  take, finish, rest: the pool's threads. Jobs are taken in the order they came.
 * Threads     A thread is *running* a job, *on its way* to look at the queue (both are busy), *idle*, or the *reserve*. Idle
 *             ones are called last in, first out, so that those that are not needed grow old and end.
 * Invariants  B1  everything is guarded by `mutex`, which is never held across a suspension or a job.
 *             B2  a job lies on the stack of the task that waits for it. The pool fires the task's wait as the last thing
 *                 it does with the job, under the mutex; a task that was woken by anything else takes the mutex before
 *                 it looks, and leaves only with a job that is done or that it has taken off the queue itself.
 *             B3  running_n <= limit; nobody takes a job at the limit. soft <= limit, and more only while jobs are queued
 *                 or that many still run.
 *             B4  while jobs are queued as many threads are on their way, or busy_n + reserve > limit: then, with B3, one is
 *                 on its way or the reserve watches. (Not while threads cannot be started, or the most there may be run.)
 *                 Whoever queues a job, or takes one, restores this by calling a thread. No more are called: so there
 *                 are never more threads than jobs were queued or running at once, and the reserve.
 * Progress    The reserve exists only while jobs are queued and `limit` threads run. If none of those finishes within
 *             STALL_NS they may well be waiting for what is queued: the limit is raised by one, the reserve takes the oldest
 *             job, and the next thread is called to be the reserve. So of jobs that wait for one another without
 *             a cycle each gets its turn, as long as fewer than soft + THR_BLOCKING_BEYOND_MAX of them wait at once, and the
 *             system lets threads be started. The limit falls back when the queue is empty. No thread ever spins. */
#ifndef THR_EXEC_BLOCKING_H
#define THR_EXEC_BLOCKING_H

#include <pthread.h>
#include <stdint.h>
#include <thrum/blocking.h>

struct thr_blocking_job;
struct thr_blocking_thread;

enum {
    THR_BLOCKING_DEFAULT = 512,
    THR_BLOCKING_MAX = 65536,
    THR_BLOCKING_BEYOND_MAX = 2048, /* threads beyond what was asked for */
};

struct thr_blocking {
    pthread_mutex_t mutex;
    pthread_cond_t gone; /* a thread has ended */
    struct thr_blocking_job *head, *tail;
    struct thr_blocking_thread *idle; /* the one that rests for the shortest time first */
    struct thr_blocking_thread *reserve;
    unsigned soft, limit;
    unsigned threads_n, busy_n, running_n, queued_n;
    uint64_t finished_n;
    uint64_t beyond_n; /* how often the limit was raised */
    pthread_t ended;   /* the thread that ended last: the next one to end joins it */
    bool has_ended, stopping;
};

/* soft: how many jobs run at once as long as they finish; 0: the default. Returns: 0, -EINVAL, or another negative code. */
int thr_blocking_init(struct thr_blocking *b, unsigned soft);

/* Waits until all threads have ended. No job may be queued or running. */
void thr_blocking_fini(struct thr_blocking *b);

#endif
