/* SPDX-License-Identifier: MIT */
/* Tasks, scopes and time limits.
 *
 * A task is plain blocking code on a small stack of its own; a call that would block suspends it and the worker runs
 * another. It may resume on another thread, so a task must not keep thread-locals, errno or a pthread mutex across a
 * call that may suspend (docs/tasks.md).
 *
 * Cancellation is by scope and level-triggered: once a scope is cancelled every suspending call in it returns
 * -ECANCELED, again and again, until the tasks have returned. Deadlines nest: the earliest enclosing one bounds every
 * wait, which then returns -ETIMEDOUT. A wake that raced a deadline or a cancel wins: the call reports success. */
#ifndef THRUM_TASK_H
#define THRUM_TASK_H

#include <thrum/common.h>
#include <thrum/runtime.h>
#include <thrum/time.h>

THRUM_BEGIN_DECLS

typedef struct thrum_task thrum_task;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_spawn_opts {
    const char *name;   /* NULL: none. A string that lives as long as the task */
    size_t stack_bytes; /* 0: the runtime's. How much stack the task may use, at most 8 MiB */
} thrum_spawn_opts;

/* thrum_spawn(out, fn, arg, opts): queues a task that runs fn(arg), and stores its handle in *out.
 *
 * Outside every scope: the task has no deadline and is cancelled only when the runtime ends. Prefer a scope.
 *
 * Owns:    *out is the caller's, ended with exactly one of thrum_join() that returns, or thrum_detach(). arg must
 *          live until the task is done.
 * Returns: 0, -ENOMEM, -EINVAL (stack_bytes is too much), THRUM_ENOTTASK, THRUM_ESHUTDOWN (the runtime is ending);
 *          *out is then NULL.
 * Context: task. Suspends only to let others run when the caller's slice is used up. */
#define thrum_spawn(...) thrum_spawn_at(THRUM_SITE, __VA_ARGS__) /* (out, fn, arg, opts) */

/* The same with the site given; NULL: unknown. For wrappers that pass their caller's on, and other languages. */
THRUM_API THRUM_MUST_CHECK int thrum_spawn_at(thrum_site *site, thrum_task **out, thrum_fn *fn,
                                              void *arg, const thrum_spawn_opts *opts);

/* Waits until the task has returned, stores its value in *result (unless NULL) and frees the handle.
 *
 * Owns:    takes the handle if it returns 0; otherwise the caller still has it and may join again or detach.
 * Returns: 0, -ETIMEDOUT, -ECANCELED (the joining task's), -EDEADLK (a task joining itself), -EBUSY (another task
 *          is joining it).
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_join(thrum_task *task, int *result);

/* Gives the handle up: the task goes on and frees itself when it returns.
 *
 * Owns:    takes the handle.
 * Context: task. Does not suspend. */
THRUM_API void thrum_detach(thrum_task *task);

/* True once the task has returned; a join would then not suspend.
 *
 * Context: task. */
THRUM_API bool thrum_task_is_done(const thrum_task *task);

/* Lets the other runnable tasks of this worker run, and sees to ready I/O and timers.
 *
 * Returns: 0, -ECANCELED, -ETIMEDOUT (an enclosing deadline has passed).
 * Context: task. Suspends. */
THRUM_API int thrum_yield(void);

/* Suspends the task for timeout_ns.
 *
 * Returns: 0 when the time is over; -ECANCELED; -ETIMEDOUT if an enclosing deadline came first.
 * Context: task. Suspends. */
THRUM_API int thrum_sleep(uint64_t timeout_ns);

/* 0, or what a suspending call here would return at once: -ECANCELED or -ETIMEDOUT. For long computations.
 *
 * Context: task. Does not suspend. */
THRUM_API int thrum_check(void);

/* ---- Time limits ------------------------------------------------------------------------------------------------ */

/* A limit on everything between begin and end, as asyncio.timeout(). In the caller's storage; nests. */
typedef struct thrum_timeout {
    /* Private to the library. */
    uint64_t deadline_ns, own_ns;
    struct thr_scope *scope;
    struct thrum_timeout *outer;
    uint32_t fired, kind;
} thrum_timeout;

/* From now on every wait of this task returns -ETIMEDOUT after timeout_ns (0: at once; THRUM_NEVER: no limit of its
 * own). Tasks that are spawned into scopes opened meanwhile inherit it.
 *
 * Context: task. Does not suspend. Must be ended by the same task, innermost first. */
THRUM_API void thrum_timeout_begin(thrum_timeout *limit, uint64_t timeout_ns);

/* Ends the limit.
 *
 * Returns: true if this limit's own time, not an outer one's, has ended a wait or was reported by thrum_check().
 * Context: task. Does not suspend. */
THRUM_API bool thrum_timeout_end(thrum_timeout *limit);

/* ---- Scopes ----------------------------------------------------------------------------------------------------- */

/* A task of a scope that failed. */
typedef struct thrum_scope_error {
    int code;               /* what it returned */
    void *arg;              /* what it was spawned with */
    const char *name;       /* or NULL */
    const thrum_site *site; /* where it was spawned, or NULL */
} thrum_scope_error;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_scope_opts {
    uint64_t timeout_ns; /* 0: none but the enclosing ones */
    bool keep_going;     /* false: the first task that fails cancels the rest */
    bool
        first_success; /* true: the first task that succeeds cancels the rest; none that fails does */
    bool shield;       /* false: an enclosing scope's cancel and deadline reach this one too */
    thrum_scope_error *
        errors; /* NULL: no list. Filled with each failure, in the order of their ends, but for those that
                                  only return -ECANCELED because the scope was cancelled. Lives until the close */
    uint32_t errors_max; /* how many fit there */
} thrum_scope_opts;

/* A nursery: no task spawned into it outlives it. In the caller's storage, usually on its stack; never moved. */
typedef struct thrum_scope {
    uintptr_t opaque[20]; /* private to the library */
} thrum_scope;

/* Opens a scope in the calling task. Must be closed by the same task, innermost first.
 *
 * Owns:    scope's storage is the caller's and must stay where it is until the close.
 * Context: task. Does not suspend. */
THRUM_API void thrum_scope_open(thrum_scope *scope, const thrum_scope_opts *opts);

/* thrum_scope_spawn(scope, fn, arg): queues a task in the scope. Any task inside the scope may spawn into it.
 *
 * Owns:    arg must live until the scope is closed.
 * Returns: 0; -ENOMEM; -EINVAL (stack_bytes is too much); -ECANCELED if the scope is cancelled. A failure does not cancel
 *          the scope.
 * Context: task. Suspends only to let others run when the caller's slice is used up. */
#define thrum_scope_spawn(...) thrum_scope_spawn_at(THRUM_SITE, __VA_ARGS__, NULL)

/* The same with options: (scope, fn, arg, opts); and with just a name. */
#define thrum_scope_spawn_opts(...) thrum_scope_spawn_at(THRUM_SITE, __VA_ARGS__)
#define thrum_scope_spawn_named(scope, name_, fn, arg)                                             \
    thrum_scope_spawn_at(THRUM_SITE, scope, fn, arg, &(thrum_spawn_opts){.name = (name_)})

/* The same with the site given, as thrum_spawn_at(). */
THRUM_API int thrum_scope_spawn_at(thrum_site *site, thrum_scope *scope, thrum_fn *fn, void *arg,
                                   const thrum_spawn_opts *opts);

/* Cancels everything in the scope: its tasks, its owner's waits in it, and the scopes within.
 *
 * Context: task, or any thread that knows the scope is open. Does not suspend. */
THRUM_API void thrum_scope_cancel(thrum_scope *scope);

/* How many tasks of the scope have failed so far, as errors would list them: there may be more than fit.
 *
 * Context: the task that opened it; after the close too. Does not suspend. */
THRUM_API size_t thrum_scope_errors_n(const thrum_scope *scope);

/* Waits until every task of the scope has returned, also when cancelled, and ends the scope.
 *
 * Children that have not started yet may run at once on the caller's stack.
 *
 * Returns: 0, or the first failure: the first negative value a child returned. If no child failed: -ECANCELED if the
 *          scope was cancelled; -ETIMEDOUT if its deadline or an enclosing one ended a wait in it. With first_success:
 *          what the first successful task returned, 0 or more, and all this only if there was none.
 * Context: the task that opened it. Suspends; cannot be interrupted, its children can. */
THRUM_API int thrum_scope_close(thrum_scope *scope);

/* ---- Blocking work ---------------------------------------------------------------------------------------------- */

/* Runs fn(arg) on a thread of the blocking pool while the task waits, as asyncio.to_thread(): for code that blocks
 * in the kernel or computes for long. Outside a task it runs fn(arg) at once, on the caller's thread. blocking.h says
 * more of the pool.
 *
 * A cancel or deadline takes effect only while the call is still queued; once fn runs its result is awaited.
 *
 * Owns:    arg is borrowed until this returns.
 * Returns: fn's value; -ECANCELED or -ETIMEDOUT if it never ran; -ENOMEM, -EAGAIN (no thread).
 * Context: task: suspends. Any other thread: blocks as long as fn does. fn runs outside every task: it must not call
 *          anything that says `Context: task`, but this function. */
THRUM_API int thrum_blocking(thrum_fn *fn, void *arg);

THRUM_END_DECLS

#endif
