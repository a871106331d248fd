/* SPDX-License-Identifier: MIT */
/* Tasks that other threads hand to a runtime. */
#include "exec/runtime.h"

#include <errno.h>
#include <thrum/error.h>

/* Under outside.lock. The count comes before the task is queued, and `ending` is set under the same lock: so the end waits for
 * every task that was let in. */
static int take_record(struct thr_runtime *rt, struct thrum_task **out)
{
    struct thr_outside *o = &rt->outside;
    if (thr_load(&rt->ending, THR_RELAXED))
        return THRUM_ESHUTDOWN;
    struct thrum_task *t = thr_task_new(&rt->tasks, &o->tasks);
    if (!t)
        return -ENOMEM;
    t->worker = (uint16_t)(o->turn++ % rt->workers_n);
    thr_store(&o->spawned, thr_load(&o->spawned, THR_RELAXED) + 1, THR_SEQ_CST);
    *out = t;
    return 0;
}

int thrum_runtime_spawn_at(thrum_site *site, thrum_runtime *public, thrum_fn *fn, void *arg)
{
    struct thr_runtime *rt = thr_runtime_of(public);
    struct thrum_task *task;
    thr_lock(&rt->outside.lock);
    int err = take_record(rt, &task);
    thr_unlock(&rt->outside.lock);
    if (err)
        return err;
    thr_task_fill(
        task, &(struct thr_task_origin){fn, arg, THR_TASK_PLAIN, &rt->root.limit, NULL, site}, 0);
    thr_task_plain(task);
    task->in.plain.detached = true;
    thr_wake_from_outside(rt, task);
    return 0;
}

/* ---- A call and its answer ---- */

struct call {
    thrum_fn *fn;
    void *arg;
    int result;
    bool done; /* guarded by mutex */
    pthread_mutex_t mutex;
    pthread_cond_t answered;
};

static int answer(void *arg)
{
    struct call *c = arg;
    int result = c->fn(c->arg);
    pthread_mutex_lock(&c->mutex);
    c->result = result;
    c->done = true;
    pthread_cond_signal(&c->answered);
    pthread_mutex_unlock(&c->mutex); /* the caller destroys it only after it has had the mutex */
    return 0;
}

int thrum_runtime_call(thrum_runtime *rt, thrum_fn *fn, void *arg)
{
    struct call c = {.fn = fn, .arg = arg};
    if (thr_worker_self())
        return -EDEADLK;
    pthread_mutex_init(&c.mutex, NULL);
    pthread_cond_init(&c.answered, NULL);
    int err = thrum_runtime_spawn_at(NULL, rt, answer, &c);
    pthread_mutex_lock(&c.mutex);
    while (!err && !c.done)
        pthread_cond_wait(&c.answered, &c.mutex);
    pthread_mutex_unlock(&c.mutex);
    pthread_cond_destroy(&c.answered);
    pthread_mutex_destroy(&c.mutex);
    return err ? err : c.result;
}
