/* SPDX-License-Identifier: MIT */
/* Fork-join: parts of one computation that may run at once, for a few nanoseconds each.
 *
 *     static int sum(void *arg)
 *     {
 *         struct part *p = arg, left, right;
 *         ...                                  // small: add up and return
 *         thrum_forked f;
 *         thrum_fork(&f, sum, &left);          // somebody may run it meanwhile
 *         int err = sum(&right);
 *         int other = thrum_join_fork(&f);     // nobody did: runs here, as a plain call
 *         ...
 *     }
 *
 * A fork is no task of its own unless it has to be: it lies in the caller's frame, and what no other worker wanted by the
 * time of its join is called there, by the joining task, on its stack. It becomes a task when a worker has nothing else to
 * do, or when the task that forked it suspends. So forks are for computing: thousands of them cost as much as some
 * function calls, and may suspend all the same. What mostly waits belongs into a scope (<thrum/task.h>).
 *
 * Each fork is joined exactly once, by the task that forked it, before the function that did so returns, and within the
 * scopes, time limits and bindings in which it was forked: they are in force for it wherever it runs. That the last one
 * forked is joined first is fastest; any order will do. As it may run on its parent's stack, the parent must not hold
 * across the join what it needs (a mutex, say). See docs/fork.md. */
#ifndef THRUM_FORK_H
#define THRUM_FORK_H

#include <thrum/common.h>
#include <thrum/runtime.h>
#include <thrum/task.h>

THRUM_BEGIN_DECLS

/* A function that was forked and is to be joined. In the caller's storage, usually on its stack; needs no initialising,
 * must stay where it is until it is joined, and may then be used again. */
typedef struct thrum_forked {
    /* Private to the library. */
    thrum_fn *fn;
    void *arg;
    struct thr_worker *worker;
    thrum_task *task;
    struct thrum_timeout *limit;
    struct thrum_forked *older;
    union {
        struct thrum_forked *newer;
        struct thr_waiter *joiner;
    } with;
    int result;
    uint32_t state;
} thrum_forked;

/* Lets fn(arg) be run by anybody from now on, by thrum_join_fork(f) at the latest.
 *
 * Outside a task nobody else can: fn then runs at the join.
 *
 * Owns:    *f is the library's, and arg must live, until the join.
 * Context: task, or any thread. Does not suspend. */
THRUM_API void thrum_fork(thrum_forked *f, thrum_fn *fn, void *arg);

/* Runs the function, if nobody else did, or waits until it has returned.
 *
 * That cannot be interrupted; the waits of the function itself can, by a cancel or deadline around the fork.
 *
 * Owns:    *f is the caller's again.
 * Returns: what the function returned; -ENOMEM if it has never run: the caller's stack had no room left for it, and there
 *          was no memory to make it a task.
 * Context: who forked it. Suspends. */
THRUM_API int thrum_join_fork(thrum_forked *f);

/* Joins an array of forks, the last one first; thrum_fork_result() has the result of each.
 *
 * Returns: 0 if every result is >= 0, else the first failure in the order of the array.
 * Context: who forked them. Suspends. */
THRUM_API int thrum_join_all(thrum_forked *forks, size_t forks_n);

/* What the function returned, as thrum_join_fork() says it. Context: after thrum_join_all() on it. */
static inline int thrum_fork_result(const thrum_forked *f)
{
    return f->result;
}

THRUM_END_DECLS

#endif
