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
 * A child of fork() has none of the workers: while a runtime is alive in the parent, its child may only exec or _exit. There
 * this call and thrum_runtime_start() return THRUM_EFORKED, and what needs a task ends the child with a message.
 *
 * Owns:    arg and opts are borrowed for the call.
 * Returns: fn's value, or -EINVAL (options), -ENOMEM, -EAGAIN (not all threads could be started), -EDEADLK (called in
 *          a task), THRUM_EFORKED; what the I/O driver's start reported.
 * Context: any thread that is not running a task. */
THRUM_API int thrum_run(thrum_fn *fn, void *arg, const thrum_run_opts *opts);

/* ---- For programs with a main loop of their own ----------------------------------------------------------------- */

typedef struct thrum_runtime thrum_runtime;

/* Starts a runtime that has no first task: it waits for tasks from outside, until thrum_runtime_stop().
 *
 * Owns:    *out is the caller's, ended with thrum_runtime_stop(); opts is borrowed for the call.
 * Returns: 0, or as thrum_run(); *out is then NULL.
 * Context: any thread that is not running a task. */
THRUM_API THRUM_MUST_CHECK int thrum_runtime_start(thrum_runtime **out, const thrum_run_opts *opts);

/* Ends the runtime: tasks still alive are cancelled as at the end of thrum_run(), and this returns when all have returned.
 * Nobody may use rt from now on. NULL is allowed.
 *
 * Owns:    takes rt.
 * Context: any thread but a task of this runtime; blocks. */
THRUM_API void thrum_runtime_stop(thrum_runtime *rt);

/* A place in a program's source where tasks are spawned: reports name it. One static object a place, made by THRUM_SITE
 * and never freed. */
typedef struct thrum_site {
    const char *file, *function;
    unsigned line;
    uint32_t id; /* private to the library: 0 until the first task comes from here */
} thrum_site;

/* The place where it is written. */
#define THRUM_SITE                                                                                 \
    (__extension__({                                                                               \
        static thrum_site thrum_site_here = {__FILE__, __func__, __LINE__, 0};                     \
        &thrum_site_here;                                                                          \
    }))

/* thrum_runtime_spawn(rt, fn, arg): queues a task in the runtime that runs fn(arg) and whose value nobody awaits, as
 * asyncio's call_soon_threadsafe().
 *
 * Owns:    arg must live until the task is done.
 * Returns: 0, -ENOMEM, THRUM_ESHUTDOWN (the runtime is ending).
 * Context: any thread, tasks of this and other runtimes too. Does not suspend. */
#define thrum_runtime_spawn(...) thrum_runtime_spawn_at(THRUM_SITE, __VA_ARGS__)

/* The same with the site given; NULL: unknown. */
THRUM_API int thrum_runtime_spawn_at(thrum_site *site, thrum_runtime *rt, thrum_fn *fn, void *arg);

/* Runs fn(arg) in a task of the runtime and waits for it, as asyncio's run_coroutine_threadsafe(...).result().
 *
 * Owns:    arg is borrowed until this returns.
 * Returns: fn's value, or -ENOMEM, THRUM_ESHUTDOWN, -EDEADLK (called in a task, whose worker it would block).
 * Context: any thread that is not running a task; blocks. */
THRUM_API int thrum_runtime_call(thrum_runtime *rt, thrum_fn *fn, void *arg);

/* The runtime of the calling task; NULL outside a task. For threads that shall hand tasks to it: it is good until the
 * runtime ends.
 *
 * Context: any thread. */
THRUM_API thrum_runtime *thrum_runtime_self(void);

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
