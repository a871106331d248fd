/* SPDX-License-Identifier: MIT */
/* Tasks that have a handle: spawn, join, detach; and how every task begins and ends. */
#include "exec/call.h"
#include "exec/fork.h"
#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/site.h"
#include "exec/util.h"

#include <errno.h>
#include <thrum/error.h>

/* ---- Task records ---- */

void thr_task_fill(struct thrum_task *t, const struct thr_task_origin *from, uint8_t class)
{
    t->fn = from->fn;
    t->u.arg = from->arg;
    t->kind = (uint8_t)from->kind;
    t->limit = from->limit;
    t->name = from->opts ? from->opts->name : NULL;
    t->site = thr_site_id(from->site);
    t->stack_class = class;
    t->listed = true; /* unless it is a child: scope.c */
    t->called = false;
}

int thr_runtime_task_new(struct thr_worker *w, struct thrum_task **out,
                         const struct thr_task_origin *from)
{
    uint8_t class;
    int err = thr_stacks_class(&w->rt->stacks, from->opts ? from->opts->stack_bytes : 0, &class);
    struct thrum_task *t = err ? NULL : thr_task_new(&w->rt->tasks, &w->tasks);
    *out = t;
    if (!t)
        return err ? err : -ENOMEM;
    thr_task_fill(t, from, class);
    t->worker = (uint16_t)w->index;
    thr_count(&w->counts.spawned, 1);
    return 0;
}

void thr_task_plain(struct thrum_task *t)
{
    t->in.plain.joiner = NULL;
    t->in.plain.detached = false;
    thr_store(&t->in.plain.done, 0, THR_RELAXED);
    thr_lock_init(&t->in.plain.lock);
}

void thr_runtime_task_drop(struct thr_worker *w, struct thrum_task *task)
{
    thr_task_free(&w->rt->tasks, &w->tasks, task);
    thr_store(&w->counts.finished, thr_load(&w->counts.finished, THR_RELAXED) + 1, THR_RELEASE);
}

static void plain_done(struct thr_worker *w, struct thrum_task *task, int result)
{
    struct thr_wakeups out = {0};
    task->u.result = result;
    if (task->called) { /* Y4: its caller goes on without being fired */
        thr_store(&task->in.plain.done, 1, THR_RELEASE);
        return;
    }
    thr_lock(&task->in.plain.lock);
    thr_store(&task->in.plain.done, 1, THR_RELEASE);
    bool detached = task->in.plain.detached;
    struct thr_waiter *joiner = task->in.plain.joiner;
    task->in.plain.joiner = NULL;
    if (joiner)
        thr_waiter_fire(joiner, THR_FIRED_OK, &out);
    thr_unlock(&task->in.plain.lock); /* the joiner may free the record from here on */
    if (detached)
        thr_task_free(&w->rt->tasks, &w->tasks, task);
    thr_wakeups_run(&out);
}

void thr_runtime_task_done(struct thr_worker *w, struct thrum_task *task, int result, bool by_owner)
{
    switch (task->kind) {
    case THR_TASK_CHILD:
        thr_scope_child_done(task, result, by_owner);
        thr_task_free(&w->rt->tasks, &w->tasks, task);
        break;
    case THR_TASK_FORK:
        thr_fork_done(w, task, result);
        break;
    case THR_TASK_PLAIN:
        plain_done(w, task, result);
        break;
    case THR_TASK_MAIN:
        thr_runtime_begin_end(w->rt, result);
        thr_task_free(&w->rt->tasks, &w->tasks, task);
        break;
    default:
        thr_panic(__FILE__, __LINE__, "a free record ran");
    }
    /* release -> thr_runtime_is_over(): the counts are compared without a lock */
    thr_store(&w->counts.finished, thr_load(&w->counts.finished, THR_RELAXED) + 1, THR_RELEASE);
}

/* ---- Plain tasks ---- */

int thrum_spawn_at(thrum_site *site, thrum_task **out, thrum_fn *fn, void *arg,
                   const thrum_spawn_opts *opts)
{
    *out = NULL;
    struct thr_worker *w = thr_worker_self();
    if (!w)
        return THRUM_ENOTTASK;
    if (thr_load(&w->rt->ending, THR_ACQUIRE))
        return THRUM_ESHUTDOWN;
    struct thrum_task *task;
    int err = thr_runtime_task_new(
        w, &task,
        &(struct thr_task_origin){fn, arg, THR_TASK_PLAIN, &w->rt->root.limit, opts, site});
    if (err)
        return err;
    thr_task_plain(task);
    err = thr_worker_spawn(w, task);
    if (err) {
        thr_runtime_task_drop(w, task);
        return err;
    }
    *out = task;
    thr_task_spend();
    return 0;
}

static bool is_done(const struct thrum_task *task)
{
    return thr_load(&task->in.plain.done, THR_ACQUIRE);
}

/* Under its lock, which it releases: waits until the task is done, unless a deadline or cancel comes first. */
static int await_done(struct thrum_task *task)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    task->in.plain.joiner = &w;
    thr_unlock(&task->in.plain.lock);
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    thr_lock(&task->in.plain.lock);
    task->in.plain.joiner = NULL;
    int err = is_done(task) ? 0 : thr_reason_error(reason); /* W5: done in time is done */
    thr_unlock(&task->in.plain.lock);
    return err;
}

/* The same for one that has not started: we enter it. */
static int call_it(struct thrum_task *task)
{
    struct thr_call call;
    call.waiter.task = thr_task_self();
    call.published = call.timed = false;
    task->in.plain.joiner = &call.waiter;
    task->called = true;
    task->call = &call; /* cppcheck-suppress autoVariables ; nobody has it when this returns */
    thr_unlock(&task->in.plain.lock);
    thr_worker_enter(task);
    if (!call.published)
        return 0;
    enum thr_reason reason = thr_call_finish(&call);
    thr_lock(&task->in.plain.lock);
    task->in.plain.joiner = NULL;
    int err = is_done(task) ? 0 : thr_reason_error(reason);
    thr_unlock(&task->in.plain.lock);
    return err;
}

/* Under its lock, which it releases. */
static int join_locked(struct thrum_task *task)
{
    int err = 0;
    if (!task->in.plain.joiner && !is_done(task))
        return thr_worker_may_enter(thr_worker_self(), task) ? call_it(task) : await_done(task);
    if (task->in.plain.joiner)
        err = -EBUSY;
    thr_unlock(&task->in.plain.lock);
    return err;
}

int thr_task_watch(struct thrum_task *task, struct thr_waiter *w)
{
    int err = 0;
    thr_lock(&task->in.plain.lock);
    if (task->in.plain.joiner)
        err = -EBUSY;
    else if (is_done(task))
        err = -EALREADY;
    else
        task->in.plain.joiner = w;
    thr_unlock(&task->in.plain.lock);
    return err;
}

void thr_task_unwatch(struct thrum_task *task, const struct thr_waiter *w)
{
    thr_lock(&task->in.plain.lock);
    if (task->in.plain.joiner == w)
        task->in.plain.joiner = NULL;
    thr_unlock(&task->in.plain.lock);
}

int thrum_join(thrum_task *task, int *result)
{
    if (task == thr_task_self())
        return -EDEADLK;
    thr_lock(&task->in.plain.lock);
    int err = join_locked(task);
    if (err)
        return err;
    struct thr_worker *w = thr_worker_self();
    if (result)
        *result = (int)task->u.result;
    thr_task_free(&w->rt->tasks, &w->tasks, task);
    return 0;
}

void thrum_detach(thrum_task *task)
{
    thr_lock(&task->in.plain.lock);
    bool done = is_done(task);
    task->in.plain.detached = true;
    thr_unlock(&task->in.plain.lock);
    struct thr_worker *w = thr_worker_self();
    if (done)
        thr_task_free(&w->rt->tasks, &w->tasks, task);
}

bool thrum_task_is_done(const thrum_task *task)
{
    return is_done(task);
}
