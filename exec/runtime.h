/* SPDX-License-Identifier: MIT */
/* exec/runtime.h: what the workers of one runtime share.
 *
 * End, in this order: 1. the first task returns: `ending` is set, nothing can be spawned from outside a scope any more.
 * 2. the root scope is cancelled, and with it every scope and task below. 3. tasks return; the worker that finds all
 * spawned ones finished sets `ended` and wakes everybody. 4. workers leave their loops; their threads are joined. 5. the
 * blocking pool's threads are joined, loops closed, stacks and records unmapped. */
#ifndef THR_EXEC_RUNTIME_H
#define THR_EXEC_RUNTIME_H

#include "exec/blocking.h"
#include "exec/driver.h"
#include "exec/idle.h"
#include "exec/injector.h"
#include "exec/scope.h"
#include "exec/stack.h"
#include "exec/task.h"
#include "exec/worker.h"

/* For tasks that are made outside of the workers. */
struct thr_outside {
    struct thr_lock lock;
    struct thr_task_cache tasks; /* guarded by lock */
    thr_au64 spawned;            /* written under lock */
    unsigned turn;               /* guarded by lock: whose inbox comes next */
};

struct thr_runtime {
    unsigned workers_n;
    bool may_spin; /* there is a core for each worker */
    struct thr_worker *workers;
    const struct thr_driver *driver;
    struct thr_scope root;
    struct thr_idle idle;
    struct thr_injector injector;
    struct thr_task_pool tasks;
    struct thr_stacks stacks;
    size_t
        stack_bytes; /* what each task may use; the stacks are a little larger (thr_worker_run_children()) */
    struct thr_blocking blocking;
    thr_au32 visitors; /* foreign threads that are waking a task of ours: the end waits for them */
    thr_au32 ending;   /* 1: the first task has returned */
    thr_au32 ended;    /* 1: no task is left */
    int result;        /* the first task's; written before `ending` */
    struct thr_outside outside;
    pthread_mutex_t start; /* held until all threads are there */
};

/* The public name of the same. */
static inline thrum_runtime *thr_runtime_public(struct thr_runtime *rt)
{
    return (thrum_runtime *)(void *)rt;
}

static inline struct thr_runtime *thr_runtime_of(thrum_runtime *rt)
{
    return (struct thr_runtime *)(void *)rt;
}

/* A task has returned: the end of its life but for its stack. by_owner: its scope's owner ran it, at the close. Context: the
 * worker that ran it. */
void thr_runtime_task_done(struct thr_worker *w, struct thrum_task *task, int result,
                           bool by_owner);

/* Gives a record back that was never queued. */
void thr_runtime_task_drop(struct thr_worker *w, struct thrum_task *task);

/* True if the runtime has ended, or the counts say that it may: a worker's last look before it sleeps. Two workers that end
 * their last tasks at once may each have missed the other's count before. Context: any worker. */
bool thr_runtime_may_be_over(struct thr_runtime *rt);

/* True if no task is left and none can come: then the caller ends its loop. Context: an idle worker. */
bool thr_runtime_is_over(struct thr_runtime *rt);

/* What a task is made from. */
struct thr_task_origin {
    thrum_fn *fn;
    void *arg;
    enum thr_task_kind kind;
    struct thrum_timeout *limit;
    const thrum_spawn_opts *opts; /* or NULL */
    thrum_site *site;             /* or NULL */
};

/* A new task record in the worker's name, not queued yet. Returns: 0, -ENOMEM, -EINVAL. */
int thr_runtime_task_new(struct thr_worker *w, struct thrum_task **out,
                         const struct thr_task_origin *from);

/* Parts of that: fills a record in, but for its worker; makes it one with a handle. */
void thr_task_fill(struct thrum_task *t, const struct thr_task_origin *from, uint8_t class);
void thr_task_plain(struct thrum_task *t);

/* Links w, a waiter of the current task's open wait, with a task that has a handle: fired when that is done.
 *
 * Returns: 0; -EALREADY if it is done, -EBUSY if another waiter is linked with it: w is not linked then. */
int thr_task_watch(struct thrum_task *task, struct thr_waiter *w);

/* Unlinks w if it still is. Context: the task that linked it; the handle is good. */
void thr_task_unwatch(struct thrum_task *task, const struct thr_waiter *w);

/* The first task has returned `result`, or the runtime is being stopped: steps 1 and 2 of the end. Context: any thread. */
void thr_runtime_begin_end(struct thr_runtime *rt, int result);

/* ---- fork(): forked.c ---- */

/* Counts the runtimes that are alive. Returns: 0, THRUM_EFORKED, -ENOMEM. */
int thr_forked_enter(void);
void thr_forked_leave(void);

#endif
