/* SPDX-License-Identifier: MIT */
#include "exec/runtime.h"

#include "exec/clock.h"
#include "exec/cpus.h"
#include "exec/driver_builtin.h"
#include "exec/fence.h"
#include "exec/overflow.h"
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
    STACK_MAX = THR_STACK_MAX,
};

/* ---- The end ---- */

static void interrupt_in_root(struct thrum_task *task, void *arg)
{
    struct thr_wakeups *out = arg;
    thr_wait_interrupt(task, &thr_task_runtime(task)->root, out);
}

void thr_runtime_begin_end(struct thr_runtime *rt, int result)
{
    struct thr_wakeups out = {0};
    rt->result = result;
    thr_lock(&rt->outside.lock); /* nothing comes from outside after this */
    thr_store(&rt->ending, 1, THR_SEQ_CST);
    thr_unlock(&rt->outside.lock);
    thr_scope_cancel(&rt->root, &out);
    /* The root does not list its tasks: a scope of their own is the normal way, and this walk is once in a lifetime. */
    thr_task_pool_walk(&rt->tasks, interrupt_in_root, &out);
    thr_wakeups_run(&out);
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
    spawned += thr_load(&rt->outside.spawned, THR_SEQ_CST);
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
    struct thr_worker *w = arg;
    pthread_mutex_lock(&w->rt->start);
    pthread_mutex_unlock(&w->rt->start);
    if (!thr_load(&w->rt->ended, THR_ACQUIRE)) /* or some other thread could not be started */
        thr_worker_main(w);
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

/* All of them, or none. */
static int start_workers(struct thr_runtime *rt)
{
    sigset_t before;
    int err = 0;
    block_signals(&before);
    pthread_mutex_lock(&rt->start);
    for (unsigned i = 0; i < rt->workers_n && !err; i++) {
        struct thr_worker *w = &rt->workers[i];
        w->alone = rt->workers_n == 1;
        err = pthread_create(&w->thread, NULL, worker_thread, w);
        w->thread_started = !err;
    }
    if (err)
        thr_store(&rt->ended, 1, THR_RELEASE);
    pthread_mutex_unlock(&rt->start);
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
    thr_overflow_uninstall();
    thr_stacks_fini(&rt->stacks);
    thr_task_pool_fini(&rt->tasks);
    pthread_mutex_destroy(&rt->start);
    free(rt->workers);
    free(rt);
    thr_forked_leave();
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

static bool census_wanted(const thrum_run_opts *opts)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): as above */
    const char *env = getenv("THRUM_STACK_CENSUS");
    return opts->stack_census || (env && strcmp(env, "1") == 0);
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
    int err = thr_forked_enter();
    if (err)
        return err;
    thr_fence_init();
    struct thr_runtime *rt = aligned_alloc(_Alignof(struct thr_runtime), sizeof(*rt));
    if (rt) {
        memset(rt, 0, sizeof(*rt));
        err = thr_blocking_init(&rt->blocking, opts->blocking_threads);
    }
    if (!rt || err) {
        free(rt);
        thr_forked_leave();
        return rt ? err : -ENOMEM;
    }
    pthread_mutex_init(&rt->start, NULL);
    rt->driver = thr_driver_current();
    thr_scope_init_root(&rt->root);
    thr_task_pool_init(&rt->tasks, rt);
    rt->stack_bytes = opts->stack_bytes ? opts->stack_bytes : STACK_DEFAULT;
    thr_stacks_init(&rt->stacks, rt->stack_bytes, census_wanted(opts));
    thr_overflow_install();
    unsigned n = workers_wanted(opts);
    rt->may_spin = n <= thr_cpus_allowed();
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
    static const thrum_spawn_opts named = {.name = "main"};
    struct thrum_task *task;
    int err = thr_runtime_task_new(
        w, &task, &(struct thr_task_origin){fn, arg, THR_TASK_MAIN, &rt->root.limit, &named, NULL});
    return err ? err : thr_deque_push(&w->forks, task);
}

/* Returns: 0 or a negative code; *out is then NULL. fn may be NULL: no first task. */
static int start(struct thr_runtime **out, thrum_fn *fn, void *arg, const thrum_run_opts *opts)
{
    static const thrum_run_opts defaults;
    *out = NULL;
    if (!opts)
        opts = &defaults;
    if (thr_worker_self())
        return -EDEADLK;
    if (opts->workers > THR_WORKERS_MAX ||
        (opts->stack_bytes && (opts->stack_bytes < STACK_MIN || opts->stack_bytes > STACK_MAX)))
        return -EINVAL;
    struct thr_runtime *rt;
    int err = runtime_new(&rt, opts);
    if (err)
        return err;
    if (fn)
        err = queue_first_task(rt, fn, arg);
    if (!err)
        err = start_workers(rt);
    if (err) {
        join_workers(rt);
        runtime_free(rt);
        return err;
    }
    *out = rt;
    return 0;
}

int thrum_run(thrum_fn *fn, void *arg, const thrum_run_opts *opts)
{
    struct thr_runtime *rt;
    int err = fn ? start(&rt, fn, arg, opts) : -EINVAL;
    if (err)
        return err;
    join_workers(rt);
    int result = rt->result;
    runtime_free(rt);
    return result;
}

int thrum_runtime_start(thrum_runtime **out, const thrum_run_opts *opts)
{
    struct thr_runtime *rt;
    int err = start(&rt, NULL, NULL, opts);
    *out = thr_runtime_public(rt);
    return err;
}

void thrum_runtime_stop(thrum_runtime *public)
{
    struct thr_runtime *rt = thr_runtime_of(public);
    if (!rt)
        return;
    THR_ASSERT(!thr_worker_self() ||
               thr_worker_self()->rt != rt); /* a task cannot wait for itself */
    thr_runtime_begin_end(rt, 0);
    thr_idle_wake_all(rt); /* without a task nobody else would */
    join_workers(rt);
    runtime_free(rt);
}

thrum_runtime *thrum_runtime_self(void)
{
    struct thr_worker *w = thr_worker_self();
    return w ? thr_runtime_public(w->rt) : NULL;
}
