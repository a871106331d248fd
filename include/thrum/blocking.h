/* SPDX-License-Identifier: MIT */
/* Blocking work: what the pool of threads behind thrum_blocking() promises, and how it does.
 *
 * thrum_blocking(fn, arg) itself is declared in task.h. In a task it runs fn(arg) on a thread of the runtime's pool while
 * the task waits; anywhere else, also in a function that the pool runs, it just calls fn(arg) and returns its value: code that
 * uses it works in tasks and in threads alike.
 *
 * Threads      They are started as calls come, and end when there was nothing to do for ten seconds.
 *              thrum_run_opts.blocking_threads (512) calls run at once, the others are queued, first come, first served.
 *              All signals are blocked in them but those that a thread causes itself.
 * Waiting      for other calls is allowed: if all threads are taken, calls are queued, and for ten milliseconds none of those
 *              that run has returned, one more thread is started, and so on, up to 2,048 more, until calls return again or
 *              none is queued. So the number of threads is a limit that gives way: what must not happen more than n times at
 *              once is guarded with a thrum_sem.
 * Cancelling   A cancel or a deadline takes a queued call back. One that runs is awaited, whatever happens, since
 *              it may use what lies on its task's stack.
 * The end      of the runtime cancels: queued calls never run, running ones are awaited, and when thrum_run() returns no
 *              thread of the pool is left.
 * fork()       A child has none of the threads. It may only exec or _exit, as everywhere with thrum (docs/tasks.md); a
 *              function that the pool runs may fork and exec. */
#ifndef THRUM_BLOCKING_H
#define THRUM_BLOCKING_H

#include <thrum/common.h>
#include <thrum/task.h>

THRUM_BEGIN_DECLS

/* The pool at one moment, and its counters since the start. */
typedef struct thrum_blocking_stats {
    unsigned threads; /* that exist */
    unsigned running; /* calls that run */
    unsigned queued;  /* calls that wait for a thread */
    unsigned limit;  /* how many may run now: more than was asked for while calls wait for others */
    uint64_t done;   /* calls that returned */
    uint64_t beyond; /* threads that were allowed beyond what was asked for */
} thrum_blocking_stats;

/* Reads the state of the running task's pool.
 *
 * Returns: 0, THRUM_ENOTTASK (*out is all zero then).
 * Context: task. Does not suspend. */
THRUM_API int thrum_blocking_stats_read(thrum_blocking_stats *out);

THRUM_END_DECLS

#endif
