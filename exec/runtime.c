/* SPDX-License-Identifier: MIT */
#include "exec/runtime.h"

#include "exec/clock.h"
#include "exec/cpus.h"
#include "exec/driver_builtin.h"
#include "exec/util.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>

enum {
    STACK_DEFAULT = 64 << 10,
    STACK_MIN = 16 << 10,
    STACK_MAX = 8 << 20,
    STACK_FOR_PARENTS = 16 << 10
};

/* ---- Task records ---- */

struct thrum_task *thr_runtime_task_new(struct thr_worker *w, thrum_fn *fn, void *arg,
                                        enum thr_task_kind kind, struct thrum_timeout *limit,
                                        const char *name)
{
    struct thrum_task *t = thr_task_new(&w->rt->tasks, &w->tasks);
    if (!t)
        return NULL;
    t->fn = fn;
    t->u.arg = arg;
    t->kind = (uint8_t)kind;
    t->limit = limit;
    t->name = name;
    t->in.plain.joiner = NULL;
    t->worker = (uint16_t)w->index;
    thr_count(&w->counts.spawned, 1);
    return t;
}

void thr_runtime_task_drop(struct thr_worker *w, struct thrum_task *task)
{
    thr_task_free(&w->rt->tasks, &w->tasks, task);
    thr_store(&w->counts.finished, thr_load(&w->counts.finished, THR_RELAXED) + 1, THR_RELEASE);
}

static void interrupt_in_root(struct thrum_task *task, void *arg)
{
    struct thr_wakeups *out = arg;
    thr_wait_interrupt(task, &thr_task_runtime(task)->root, out);
}

/* The first task has returned: steps 1 and 2 of the end. */
static void begin_end(struct thr_runtime *rt, int result)
{
    struct thr_wakeups out = {0};
    rt->result = result;
    thr_store(&rt->ending, 1, THR_SEQ_CST);
    thr_scope_cancel(&rt->root, &out);
    /* The root does not list its tasks: a scope of their own is the normal way, and this walk is once in a lifetime. */
    thr_task_pool_walk(&rt->tasks, interrupt_in_root, &out);
    thr_wakeups_run(&out);
}

static void plain_done(struct thr_worker *w, struct thrum_task *task, int result)
{
    struct thr_wakeups out = {0};
    thr_lock(&task->lock);
    task->u.result = result;
    task->done = true;
    bool detached = task->detached;
    if (task->in.plain.joiner)
        thr_waiter_fire(task->in.plain.joiner, THR_FIRED_OK, &out);
    thr_unlock(&task->lock); /* the joiner may free the record from here on */
    if (detached)
        thr_task_free(&w->rt->tasks, &w->tasks, task);
    thr_wakeups_run(&out);
}

void thr_runtime_task_done(struct thr_worker *w, struct thrum_task *task, int result)
{
    switch (task->kind) {
    case THR_TASK_CHILD:
        thr_scope_child_done(task, result);
        thr_task_free(&w->rt->tasks, &w->tasks, task);
        break;
    case THR_TASK_PLAIN:
        plain_done(w, task, result);
        break;
    case THR_TASK_MAIN:
        begin_end(w->rt, result);
        thr_task_free(&w->rt->tasks, &w->tasks, task);
        break;
    default:
        thr_panic(__FILE__, __LINE__, "a free record ran");
    }
    /* release -> thr_runtime_is_over(): the counts are compared without a lock */
    thr_store(&w->counts.finished, thr_load(&w->counts.finished, THR_RELAXED) + 1, THR_RELEASE);
}

/* Finished is summed up before spawned: a task is counted as spawned before it can finish, and while a task lives
 * finished < spawned. So if the sums agree there was no task at the moment between, and none came since. */
static bool all_finished(struct thr_runtime *rt)
{
    uint64_t finished = 0, spawned = 0;
    for (unsigned i = 0; i < rt->workers_n; i++)
        finished += thr_load(&rt->workers[i].counts.finished, THR_SEQ_CST);
    for (unsigned i = 0; i < rt->workers_n; i++)
        spawned += thr_load(&rt->workers[i].counts.spawned, THR_SEQ_CST);
    return finished == spawned;
}

bool thr_runtime_may_be_over(struct thr_runtime *rt)
{
    return thr_load(&rt->ended, THR_SEQ_CST) ||
           (thr_load(&rt->ending, THR_SEQ_CST) && all_finished(rt));
}

bool thr_runtime_is_over(struct thr_runtime *rt)
{
    if (thr_load(&rt->ended, THR_ACQUIRE))
        return true;
    if (!thr_load(&rt->ending, THR_ACQUIRE) || !all_finished(rt))
        return false;
    thr_store(&rt->ended, 1, THR_SEQ_CST); /* -> a sleeper's last look (idle.h, A) */
    thr_idle_wake_all(rt);
    return true;
}

/* ---- Start and end ---- */

static void *worker_thread(void *arg)
{
    thr_worker_main(arg);
    return NULL;
}

/* Signals are for the program's own threads; a worker takes only those that it causes itself. */
static void block_signals(sigset_t *before)
{
    sigset_t set;
    sigfillset(&set);
    const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    for (size_t i = 0; i < THR_COUNT_OF(own); i++)
        sigdelset(&set, own[i]);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

static int start_workers(struct thr_runtime *rt)
{
    sigset_t before;
    int err = 0;
    block_signals(&before);
    for (unsigned i = 0; i < rt->workers_n && !err; i++) {
        struct thr_worker *w = &rt->workers[i];
        err = pthread_create(&w->thread, NULL, worker_thread, w);
        w->thread_started = !err;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

static void join_workers(struct thr_runtime *rt)
{
    for (unsigned i = 0; i < rt->workers_n; i++)
        if (rt->workers[i].thread_started)
            pthread_join(rt->workers[i].thread, NULL);
}

static void runtime_free(struct thr_runtime *rt)
{
    thr_blocking_fini(&rt->blocking);
    while (thr_load(&rt->visitors, THR_ACQUIRE))
        sched_yield(); /* a few instructions of a thread that is on its way out */
    for (unsigned i = 0; i < rt->workers_n; i++)
        thr_worker_fini(&rt->workers[i]);
    thr_stack_pool_fini(&rt->stacks);
    thr_task_pool_fini(&rt->tasks);
    free(rt->workers);
    free(rt);
}

static unsigned workers_wanted(const thrum_run_opts *opts)
{
    if (opts->workers)
        return opts->workers;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): only a program that changes its environment meanwhile could harm it */
    const char *env = getenv("THRUM_WORKERS");
    char *end;
    unsigned long n = env && *env >= '0' && *env <= '9' ? strtoul(env, &end, 10) : 0; /* no sign */
    if (n > 0 && *end == '\0')
        return n > THR_WORKERS_MAX ? THR_WORKERS_MAX : (unsigned)n;
    n = thr_cpus_allowed();
    return n > THR_WORKERS_MAX ? THR_WORKERS_MAX : (unsigned)n;
}

/* Workers hold arrays that are kept apart by two cache lines. */
static struct thr_worker *workers_new(unsigned n)
{
    size_t bytes = n * sizeof(struct thr_worker);
    struct thr_worker *workers = aligned_alloc(_Alignof(struct thr_worker), bytes);
    if (workers)
        memset(workers, 0, bytes);
    return workers;
}

static int runtime_new(struct thr_runtime **out, const thrum_run_opts *opts)
{
    *out = NULL;
    struct thr_runtime *rt = aligned_alloc(_Alignof(struct thr_runtime), sizeof(*rt));
    if (!rt)
        return -ENOMEM;
    memset(rt, 0, sizeof(*rt));
    int err = thr_blocking_init(&rt->blocking);
    if (err) {
        free(rt);
        return err;
    }
    rt->driver = thr_driver_current();
    thr_scope_init_root(&rt->root);
    thr_task_pool_init(&rt->tasks, rt);
    rt->stack_bytes = opts->stack_bytes ? opts->stack_bytes : STACK_DEFAULT;
    thr_stack_pool_init(&rt->stacks, rt->stack_bytes + STACK_FOR_PARENTS);
    unsigned n = workers_wanted(opts);
    rt->workers = workers_new(n);
    if (!rt->workers)
        err = -ENOMEM;
    for (; !err && rt->workers_n < n; rt->workers_n++)
        err = thr_worker_init(&rt->workers[rt->workers_n], rt, rt->workers_n);
    if (err) {
        runtime_free(rt);
        return err;
    }
    *out = rt;
    return 0;
}

/* The workers' threads do not run yet: worker 0's queue may be used from here. */
static int queue_first_task(struct thr_runtime *rt, thrum_fn *fn, void *arg)
{
    struct thr_worker *w = &rt->workers[0];
    struct thrum_task *task =
        thr_runtime_task_new(w, fn, arg, THR_TASK_MAIN, &rt->root.limit, "main");
    return task ? thr_deque_push(&w->forks, task) : -ENOMEM;
}

int thrum_run(thrum_fn *fn, void *arg, const thrum_run_opts *opts)
{
    static const thrum_run_opts defaults;
    struct thr_runtime *rt;
    if (!opts)
        opts = &defaults;
    if (thr_worker_self())
        return -EDEADLK;
    if (!fn || opts->workers > THR_WORKERS_MAX ||
        (opts->stack_bytes && (opts->stack_bytes < STACK_MIN || opts->stack_bytes > STACK_MAX)))
        return -EINVAL;
    int err = runtime_new(&rt, opts);
    if (err)
        return err;
    err = queue_first_task(rt, fn, arg);
    if (!err)
        err = start_workers(rt);
    if (err) { /* no task has run if the first thread is missing; else the others carry on without it */
        bool none = !rt->workers[0].thread_started;
        if (none) {
            runtime_free(rt);
            return err;
        }
    }
    join_workers(rt);
    int result = rt->result;
    runtime_free(rt);
    return result;
}

/* ---- Plain tasks ---- */

int thrum_spawn(thrum_task **out, thrum_fn *fn, void *arg, const thrum_spawn_opts *opts)
{
    *out = NULL;
    struct thr_worker *w = thr_worker_self();
    if (!w)
        return THRUM_ENOTTASK;
    if (thr_load(&w->rt->ending, THR_ACQUIRE))
        return THRUM_ESHUTDOWN;
    struct thrum_task *task = thr_runtime_task_new(w, fn, arg, THR_TASK_PLAIN, &w->rt->root.limit,
                                                   opts ? opts->name : NULL);
    if (!task)
        return -ENOMEM;
    int err = thr_worker_spawn(w, task);
    if (err) {
        thr_runtime_task_drop(w, task);
        return err;
    }
    *out = task;
    return 0;
}

/* Under task->lock: waits until it is done, unless a deadline or cancel comes first. */
static int await_done(struct thrum_task *task)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    task->in.plain.joiner = &w;
    thr_unlock(&task->lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    thr_lock(&task->lock);
    task->in.plain.joiner = NULL;
    return task->done ? 0 : thr_reason_error(reason); /* W5: done in time is done */
}

int thrum_join(thrum_task *task, int *result)
{
    if (task == thr_task_self())
        return -EDEADLK;
    int err = 0;
    thr_lock(&task->lock);
    if (task->in.plain.joiner)
        err = -EBUSY;
    else if (!task->done)
        err = await_done(task);
    int value = task->done ? (int)task->u.result : 0;
    thr_unlock(&task->lock);
    if (err)
        return err;
    struct thr_worker *w = thr_worker_self();
    thr_task_free(&w->rt->tasks, &w->tasks, task);
    if (result)
        *result = value;
    return 0;
}

void thrum_detach(thrum_task *task)
{
    thr_lock(&task->lock);
    bool done = task->done;
    task->detached = true;
    thr_unlock(&task->lock);
    struct thr_worker *w = thr_worker_self();
    if (done)
        thr_task_free(&w->rt->tasks, &w->tasks, task);
}

bool thrum_task_is_done(const thrum_task *task)
{
    struct thr_lock *lock = (struct thr_lock *)(uintptr_t)&task->lock;
    thr_lock(lock);
    bool done = task->done;
    thr_unlock(lock);
    return done;
}

/* ---- The running task ---- */

int thrum_check(void)
{
    struct thrum_task *task = thr_task_self();
    int err = thr_task_cancelled();
    if (err || task->limit->deadline_ns == THRUM_NEVER ||
        thr_clock_now() < task->limit->deadline_ns)
        return err;
    thr_limit_fired(task->limit);
    return -ETIMEDOUT;
}

int thrum_yield(void)
{
    int err = thrum_check();
    thr_worker_suspend(THR_AFTER_YIELD);
    return err;
}

int thrum_sleep(uint64_t timeout_ns)
{
    struct thr_waiter w;
    uint64_t until = thr_clock_after(timeout_ns);
    thr_wait_begin(&w, false);
    enum thr_reason reason = thr_wait_park(until);
    if (reason == THR_FIRED_TIMEOUT && until <= thr_task_self()->limit->deadline_ns)
        return 0;
    return thr_reason_error(reason);
}

unsigned thrum_workers(void)
{
    struct thr_worker *w = thr_worker_self();
    return w ? w->rt->workers_n : 0;
}

unsigned thrum_worker_index(void)
{
    struct thr_worker *w = thr_worker_self();
    return w ? w->index : UINT_MAX;
}

int thrum_stats(unsigned index, thrum_worker_stats *out)
{
    struct thr_worker *w = thr_worker_self();
    memset(out, 0, sizeof(*out));
    if (!w)
        return THRUM_ENOTTASK;
    if (index >= w->rt->workers_n)
        return -EINVAL;
    const struct thr_worker_counts *c = &w->rt->workers[index].counts;
    out->picks = thr_load(&c->picks, THR_RELAXED);
    out->finished = thr_load(&c->finished, THR_RELAXED);
    out->steals = thr_load(&c->steals, THR_RELAXED);
    out->parks = thr_load(&c->parks, THR_RELAXED);
    out->wakes = thr_load(&c->wakes, THR_RELAXED);
    out->polls = thr_load(&c->polls, THR_RELAXED);
    out->timers = thr_load(&c->timers, THR_RELAXED);
    return 0;
}
