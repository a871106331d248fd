/* SPDX-License-Identifier: MIT */
#include "exec/blocking.h"

#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 64, IDLE_SECONDS = 10 };

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct thr_blocking_job {
    thrum_fn *fn;
    void *arg;
    int result;
    enum job_state state;
    struct thr_waiter *waiter; /* NULL while the task does not wait */
    struct thr_blocking_job *prev, *next;
};

int thr_blocking_init(struct thr_blocking *b)
{
    memset(b, 0, sizeof(*b));
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);
    if (err)
        return -err;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    err = pthread_mutex_init(&b->mutex, NULL);
    if (!err) {
        err = pthread_cond_init(&b->work, &attr);
        if (!err)
            err = pthread_cond_init(&b->gone, NULL);
    }
    pthread_condattr_destroy(&attr);
    return -err; /* on Linux none of these can fail, so there is nothing to undo */
}

void thr_blocking_fini(struct thr_blocking *b)
{
    pthread_mutex_lock(&b->mutex);
    b->stopping = true;
    pthread_cond_broadcast(&b->work);
    while (b->threads_n > 0)
        pthread_cond_wait(&b->gone, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    pthread_cond_destroy(&b->gone);
    pthread_cond_destroy(&b->work);
    pthread_mutex_destroy(&b->mutex);
}

static void queue_push(struct thr_blocking *b, struct thr_blocking_job *job)
{
    job->next = NULL;
    job->prev = b->tail;
    if (b->tail)
        b->tail->next = job;
    else
        b->head = job;
    b->tail = job;
    b->queued_n++;
}

static void queue_remove(struct thr_blocking *b, struct thr_blocking_job *job)
{
    if (job->prev)
        job->prev->next = job->next;
    else
        b->head = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        b->tail = job->prev;
    b->queued_n--;
}

/* Under the mutex, which it gives up while the job runs. */
static void run_job(struct thr_blocking *b, struct thr_blocking_job *job)
{
    queue_remove(b, job);
    job->state = JOB_RUNNING;
    pthread_mutex_unlock(&b->mutex);
    int result = job->fn(job->arg);
    struct thr_wakeups out = {0};
    pthread_mutex_lock(&b->mutex);
    job->result = result;
    job->state = JOB_DONE;
    if (job->waiter)
        thr_waiter_fire(job->waiter, THR_FIRED_OK, &out);
    pthread_mutex_unlock(&b->mutex); /* the job is its task's again (B2) */
    thr_wakeups_run(&out);
    pthread_mutex_lock(&b->mutex);
}

/* Under the mutex. Returns: false if the thread should end. */
static bool wait_for_work(struct thr_blocking *b)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    int err = 0;
    b->idle_n++;
    while (!b->head && !b->stopping && !err)
        err = pthread_cond_timedwait(&b->work, &b->mutex, &until);
    b->idle_n--;
    return b->head != NULL;
}

static void *thread_main(void *arg)
{
    struct thr_blocking *b = arg;
    pthread_setname_np(pthread_self(), "thrum/blocking");
    pthread_mutex_lock(&b->mutex);
    while (b->head || wait_for_work(b))
        run_job(b, b->head);
    b->threads_n--;
    pthread_cond_signal(&b->gone);
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}

/* Under the mutex. Returns: 0 or a negative code. */
static int start_thread(struct thr_blocking *b)
{
    pthread_attr_t attr;
    pthread_t thread;
    int err = pthread_attr_init(&attr);
    if (err)
        return -err;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    err = pthread_create(&thread, &attr, thread_main, b);
    pthread_attr_destroy(&attr);
    if (!err)
        b->threads_n++;
    return -err;
}

static int submit(struct thr_blocking *b, struct thr_blocking_job *job)
{
    int err = 0;
    pthread_mutex_lock(&b->mutex);
    if (b->idle_n <= b->queued_n && b->threads_n < THREADS_MAX)
        err = start_thread(b);
    if (err && b->threads_n > 0)
        err = 0; /* those there are will get to it */
    if (!err) {
        queue_push(b, job);
        pthread_cond_signal(&b->work);
    }
    pthread_mutex_unlock(&b->mutex);
    return err;
}

/* One wait for the job. Returns: 1 if the job is done, 0 to wait on, or why the task need not wait: the job was still
 * queued and is off the queue. */
static int wait_once(struct thr_blocking *b, struct thr_blocking_job *job, bool shielded)
{
    struct thr_waiter w;
    enum thr_reason reason = THR_FIRED_OK;
    pthread_mutex_lock(&b->mutex);
    if (job->state != JOB_DONE) {
        thr_wait_begin(&w, shielded);
        job->waiter = &w;
        pthread_mutex_unlock(&b->mutex);
        reason = thr_wait_park(THRUM_NEVER);
        pthread_mutex_lock(&b->mutex);
        job->waiter = NULL;
    }
    int ret = job->state == JOB_DONE ? 1 : 0;
    if (job->state == JOB_QUEUED && reason != THR_FIRED_OK) {
        queue_remove(b, job);
        ret = thr_reason_error(reason);
    }
    pthread_mutex_unlock(&b->mutex);
    return ret;
}

int thrum_blocking(thrum_fn *fn, void *arg)
{
    struct thr_blocking *b = &thr_task_runtime(thr_task_self())->blocking;
    struct thr_blocking_job job = {.fn = fn, .arg = arg, .state = JOB_QUEUED};
    int err = thr_task_cancelled();
    if (!err)
        err = submit(b, &job);
    if (err)
        return err;
    int ret = wait_once(b, &job, false);
    while (ret == 0)
        ret = wait_once(b, &job, true); /* it runs: its result is awaited */
    return ret < 0 ? ret : job.result;
}
