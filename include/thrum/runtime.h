/* SPDX-License-Identifier: MIT */
/* The runtime: worker threads that run tasks. thrum_run() is asyncio.run() on every core. */
#ifndef THRUM_RUNTIME_H
#define THRUM_RUNTIME_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

/* A task's function. Its return value is what joining the task reports: 0 or a positive value for success, a
 * negative code for failure. */
typedef int thrum_fn(void *arg);

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_run_opts {
    unsigned
        workers; /* 0: THRUM_WORKERS from the environment, else the cores this process may use */
    size_t stack_bytes; /* 0: 64 KiB of stack a task; rounded up to whole pages, 16 KiB to 8 MiB */
    unsigned blocking_threads; /* 0: 512. Calls of thrum_blocking() that run at once: blocking.h */
    bool stack_census;         /* false: unless the environment has THRUM_STACK_CENSUS=1. stack.h */
} thrum_run_opts;

/* Starts a runtime, runs fn(arg) as its first task, and ends the runtime when that task returns.
 *
 * Tasks still alive then are cancelled: each of their suspending calls returns -ECANCELED until they have returned.
 * Several runtimes may run in one process, one after the other or from several threads; a task cannot call this.
 *
 * Owns:    arg and opts are borrowed for the call.
 * Returns: fn's value, or -EINVAL (options), -ENOMEM, -EAGAIN (no thread could be started), -EDEADLK (called in
 *          a task); what the I/O driver's start reported.
 * Context: any thread that is not running a task. */
THRUM_API int thrum_run(thrum_fn *fn, void *arg, const thrum_run_opts *opts);

/* How many workers the runtime has; 0 outside a task.
 *
 * Context: task. */
THRUM_API unsigned thrum_workers(void);

/* The index of the worker that runs the caller, from 0; UINT_MAX outside a task. It may differ after each suspension.
 *
 * Context: any thread. */
THRUM_API unsigned thrum_worker_index(void);

/* Counters of one worker since the start; they are read without stopping it, each is right by itself. */
typedef struct thrum_worker_stats {
    uint64_t picks;    /* times a task was taken up to run */
    uint64_t finished; /* tasks that ended here */
    uint64_t steals;   /* tasks taken from another worker */
    uint64_t parks;    /* times it went to sleep for want of work */
    uint64_t wakes;    /* times it woke another worker */
    uint64_t polls;    /* times it asked its event loop */
    uint64_t timers;   /* timers that ran out */
} thrum_worker_stats;

/* Reads the counters of the runtime's worker `index`.
 *
 * Returns: 0, -EINVAL if there is no such worker, THRUM_ENOTTASK.
 * Context: task. */
THRUM_API int thrum_stats(unsigned index, thrum_worker_stats *out);

THRUM_END_DECLS

#endif
