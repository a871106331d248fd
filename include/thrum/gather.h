/* SPDX-License-Identifier: MIT */
/* Several calls at once: all of them, the first that succeeds, or each as it is done; and one call with a limit.
 *
 * Each call runs in a task of its own, inside the caller's scope, deadlines and task-locals, and none outlives the function
 * that started it: what is no longer wanted is cancelled and awaited. To wait for tasks that have handles, or for tasks and
 * channels and timers together: select.h. */
#ifndef THRUM_GATHER_H
#define THRUM_GATHER_H

#include <thrum/task.h>

THRUM_BEGIN_DECLS

/* One call. */
typedef struct thrum_call {
    thrum_fn *fn;
    void *arg;
    int result; /* filled in: what fn returned, or -ECANCELED, -ENOMEM if it never ran */
    struct thrum_call *next; /* private to the library */
} thrum_call;

/* Runs all the calls and waits for all, as asyncio.gather(..., return_exceptions=True).
 *
 * Owns:    calls is borrowed for the call.
 * Returns: 0 if every result is >= 0, else the first failure in the order of the array.
 * Context: task. Suspends. */
THRUM_API int thrum_gather(thrum_call *calls, size_t calls_n);

/* Runs all the calls until one succeeds, and cancels the others.
 *
 * Owns:    calls is borrowed for the call. A result of -ECANCELED is that of a call that was no longer wanted.
 * Returns: the index of the call that succeeded first; if none did, the first failure in the order of the array (for no calls
 *          -EINVAL); -ECANCELED, -ETIMEDOUT (the caller's own).
 * Context: task. Suspends. */
THRUM_API ssize_t thrum_race(thrum_call *calls, size_t calls_n);

/* The calls one by one, in the order in which they are done, as asyncio.as_completed():
 *
 *     thrum_completion c;
 *     thrum_call *done;
 *     thrum_completion_begin(&c, calls, calls_n);
 *     while ((err = thrum_completion_next(&c, &done)) == 0)
 *         use(done);
 *     thrum_completion_end(&c);
 *
 * In the caller's storage. */
typedef struct thrum_completion {
    /* Private to the library. */
    thrum_scope scope;
    uint32_t lock;
    thrum_call *first, *last;
    void *waiter;
    size_t left;
} thrum_completion;

/* Starts the calls.
 *
 * Owns:    c and calls must stay where they are until the end.
 * Context: task. Suspends only to let others run. */
THRUM_API void thrum_completion_begin(thrum_completion *c, thrum_call *calls, size_t calls_n);

/* Waits for the next call that is done, and stores it in *done.
 *
 * Returns: 0; THRUM_ECLOSED: all have been handed out; -ECANCELED, -ETIMEDOUT: nothing is lost, the next call of this function
 *          may have it. *done is then NULL.
 * Context: the task that began. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_completion_next(thrum_completion *c, thrum_call **done);

/* Cancels the calls that are still going on and waits for them.
 *
 * Context: the task that began. Suspends; cannot be interrupted. */
THRUM_API void thrum_completion_end(thrum_completion *c);

/* Runs fn(arg), here, with a limit on all its waits, as asyncio.wait_for().
 *
 * Returns: fn's value; -ETIMEDOUT if fn failed and this limit, not an enclosing one, had ended a wait in it.
 * Context: task. Suspends as fn does. */
THRUM_API int thrum_within(uint64_t timeout_ns, thrum_fn *fn, void *arg);

/* Runs fn(arg), here, out of reach of the enclosing scopes' cancel and deadlines, as asyncio.shield() is meant: for clean-up
 * that must wait.
 *
 * Returns: fn's value.
 * Context: task. Suspends as fn does. */
THRUM_API int thrum_shielded(thrum_fn *fn, void *arg);

THRUM_END_DECLS

#endif
