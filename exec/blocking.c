/* SPDX-License-Identifier: MIT */
#include "exec/blocking.h"

#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/util.h"

#include <errno.h>
#include <string.h>
#include <thrum/error.h>
#include <time.h>

/* Ten milliseconds are long for a pool whose jobs come and go, and short for who would wait for ever. */
#define STALL_NS (10 * THRUM_MILLISECOND)
#define IDLE_NS (10 * THRUM_SECOND)

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct thr_blocking_job {
    thrum_fn *fn;
    void *arg;
    int result;
    enum job_state state;
    const struct thr_waiter *waiter;
    struct thr_blocking_job *prev, *next;
};

/* On the thread's own stack. */
struct thr_blocking_thread {
    pthread_cond_t call;
    bool called;                      /* off the list, and counted as busy, by who called it */
    struct thr_blocking_thread *next; /* in the list of idle ones */
};

/* ---- Start and end ---- */

/* A condition whose waits are timed by the clock that nobody sets. */
static int cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);
    if (err)
        return -err;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    err = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return -err;
}

int thr_blocking_init(struct thr_blocking *b, unsigned soft)
{
    memset(b, 0, sizeof(*b));
    if (soft > THR_BLOCKING_MAX)
        return -EINVAL;
    b->soft = b->limit = soft ? soft : THR_BLOCKING_DEFAULT;
    int err = -pthread_mutex_init(&b->mutex, NULL);
    if (!err)
        err = cond_init(&b->gone);
    return err; /* on Linux none of these can fail, so there is nothing to undo */
}

void thr_blocking_fini(struct thr_blocking *b)
{
    pthread_mutex_lock(&b->mutex);
    THR_ASSERT(!b->head && b->running_n == 0);
    b->stopping = true;
    for (struct thr_blocking_thread *t = b->idle; t; t = t->next)
        pthread_cond_signal(&t->call);
    if (b->reserve)
        pthread_cond_signal(&b->reserve->call);
    while (b->threads_n > 0)
        pthread_cond_wait(&b->gone, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    if (b->has_ended)
        pthread_join(b->ended, NULL); /* it has joined the one before it, and so on */
    pthread_cond_destroy(&b->gone);
    pthread_mutex_destroy(&b->mutex);
}

/* ---- The queue; all under the mutex ---- */

/* After the queue or the running jobs have become fewer. */
static void settle_limit(struct thr_blocking *b)
{
    unsigned needed = b->running_n > b->soft ? b->running_n : b->soft; /* B3 */
    if (!b->head && b->limit > needed)
        b->limit = needed;
}

static void queue_push(struct thr_blocking *b, struct thr_blocking_job *job)
{
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
    settle_limit(b);
}

/* ---- Threads ---- */

static void *thread_main(void *arg);

/* Under the mutex. Returns: 0 or a negative code. */
static int start_thread(struct thr_blocking *b)
{
    pthread_t thread;
    if (b->threads_n >= b->soft + THR_BLOCKING_BEYOND_MAX)
        return -EAGAIN;
    int err = pthread_create(&thread, NULL, thread_main, b);
    if (!err) {
        b->threads_n++;
        b->busy_n++; /* on its way */
    }
    return -err;
}

/* Under the mutex: restores B4. Returns: 0, or why that is not possible. */
static int call_thread(struct thr_blocking *b)
{
    unsigned coming = b->busy_n - b->running_n;
    if (coming >= b->queued_n || b->busy_n + (b->reserve != NULL) > b->limit)
        return 0;
    struct thr_blocking_thread *t = b->idle;
    if (!t)
        return start_thread(b);
    b->idle = t->next;
    b->busy_n++;
    t->called = true;
    pthread_cond_signal(&t->call);
    return 0;
}

/* Under the mutex. Returns: the oldest job, if one may be run. */
static struct thr_blocking_job *take(struct thr_blocking *b)
{
    struct thr_blocking_job *job = b->head;
    if (!job || b->running_n >= b->limit)
        return NULL;
    b->running_n++;
    job->state = JOB_RUNNING;
    queue_remove(b, job);
    (void)call_thread(b); /* if that is not possible, the next to take a job tries again */
    return job;
}

/* Under the mutex, which it gives up while the job runs. *out: tasks to be woken before, and after. */
static void run(struct thr_blocking *b, struct thr_blocking_job *job, struct thr_wakeups *out)
{
    pthread_mutex_unlock(&b->mutex);
    thr_wakeups_run(out);
    int result = job->fn(job->arg);
    pthread_mutex_lock(&b->mutex);
    b->running_n--;
    b->finished_n++;
    settle_limit(b);
    job->result = result;
    job->state = JOB_DONE;
    thr_waiter_fire(job->waiter, THR_FIRED_OK, out); /* the last access, if it wins (B2) */
}

static void unlink_idle(struct thr_blocking *b, const struct thr_blocking_thread *me)
{
    struct thr_blocking_thread **at = &b->idle;
    while (*at != me)
        at = &(*at)->next;
    *at = me->next;
}

/* Under the mutex, which it gives up. Returns: false if the time was over first. */
static bool wait_to_be_called(struct thr_blocking *b, struct thr_blocking_thread *me, uint64_t time)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + time;
    until.tv_sec += (time_t)(ns / THRUM_SECOND);
    until.tv_nsec = (long)(ns % THRUM_SECOND);
    int err = 0;
    while (!me->called && !b->stopping && !err)
        err = pthread_cond_timedwait(&me->call, &b->mutex, &until);
    return me->called;
}

/* Under the mutex, which it gives up: watches whether jobs finish, while jobs are queued and the limit is reached. */
static void be_reserve(struct thr_blocking *b, struct thr_blocking_thread *me,
                       struct thr_wakeups *out)
{
    uint64_t finished = b->finished_n;
    me->called = false;
    b->reserve = me;
    b->busy_n--;
    pthread_mutex_unlock(&b->mutex);
    thr_wakeups_run(out);
    pthread_mutex_lock(&b->mutex);
    wait_to_be_called(b, me, STALL_NS); /* nobody does: the reserve is not in the list */
    b->reserve = NULL;
    b->busy_n++;
    if (b->head && b->running_n >= b->limit && b->finished_n == finished) {
        b->limit++;
        b->beyond_n++;
    }
}

/* Under the mutex, which it gives up: there is no job, or the limit is reached and a reserve is there, so that B4 holds
 * without this thread. Returns: false if it should end. */
static bool be_idle(struct thr_blocking *b, struct thr_blocking_thread *me, struct thr_wakeups *out)
{
    if (b->stopping || b->threads_n > b->soft + 1)
        return false; /* enough others are there, and one to be the reserve */
    me->called = false;
    me->next = b->idle;
    b->idle = me;
    b->busy_n--;
    pthread_mutex_unlock(&b->mutex);
    thr_wakeups_run(out);
    pthread_mutex_lock(&b->mutex);
    if (wait_to_be_called(b, me, IDLE_NS))
        return true;
    unlink_idle(b, me);
    b->busy_n++;
    return false;
}

/* Under the mutex, which it releases. */
static void leave(struct thr_blocking *b, struct thr_wakeups *out)
{
    pthread_t before = b->ended;
    bool join_it = b->has_ended;
    b->ended = pthread_self();
    b->has_ended = true;
    b->busy_n--;
    b->threads_n--;
    pthread_cond_signal(&b->gone);
    pthread_mutex_unlock(&b->mutex); /* b is gone perhaps, when this thread has been joined */
    thr_wakeups_run(out);
    if (join_it)
        pthread_join(before, NULL);
}

static void *thread_main(void *arg)
{
    struct thr_blocking *b = arg;
    struct thr_blocking_thread me = {.called = false};
    struct thr_wakeups out = {0};
    bool stay = true;
    pthread_setname_np(pthread_self(), "thrum/blocking");
    int err = cond_init(&me.call);
    THR_ASSERT(!err); /* no resource is needed for it */
    pthread_mutex_lock(&b->mutex);
    while (stay) {
        struct thr_blocking_job *job = take(b);
        if (job)
            run(b, job, &out);
        else if (b->head && !b->reserve)
            be_reserve(b, &me, &out);
        else
            stay = be_idle(b, &me, &out);
    }
    leave(b, &out);
    pthread_cond_destroy(&me.call);
    return NULL;
}

/* ---- Tasks ---- */

/* Under the mutex. Returns: 0, or why no thread will ever come to it. */
static int submit(struct thr_blocking *b, struct thr_blocking_job *job)
{
    queue_push(b, job);
    int err = call_thread(b);
    if (!err || b->threads_n > 0)
        return 0; /* those there are will get to it */
    queue_remove(b, job);
    return err;
}

/* The task's wait was ended by something else than its job. Returns: the call's result. */
static int call_off(struct thr_blocking *b, struct thr_blocking_job *job, enum thr_reason reason)
{
    struct thr_waiter w;
    pthread_mutex_lock(&b->mutex);
    if (job->state == JOB_RUNNING) { /* it is awaited */
        thr_wait_begin(&w, true);
        job->waiter = &w; /* cppcheck-suppress autoVariables */
        pthread_mutex_unlock(&b->mutex);
        thr_wait_park(THRUM_NEVER);
        /* NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): the job is done, nobody looks at its waiter */
        return job->result;
    }
    int result = job->result;
    if (job->state == JOB_QUEUED) {
        queue_remove(b, job);
        result = thr_reason_error(reason);
    }
    pthread_mutex_unlock(&b->mutex);
    return result;
}

int thrum_blocking(thrum_fn *fn, void *arg)
{
    if (!thr_worker_self())
        return fn(arg); /* a thread of the program's or of the pool: it may block */
    int err = thr_task_cancelled();
    if (err)
        return err;
    struct thr_blocking *b = &thr_task_runtime(thr_task_self())->blocking;
    struct thr_waiter w;
    struct thr_blocking_job job = {.fn = fn, .arg = arg, .state = JOB_QUEUED, .waiter = &w};
    pthread_mutex_lock(&b->mutex);
    thr_wait_begin(&w, false);
    err = submit(b, &job);
    pthread_mutex_unlock(&b->mutex);
    if (err) {
        thr_wait_abandon();
        return err;
    }
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    return reason == THR_FIRED_OK ? job.result : call_off(b, &job, reason);
}

int thrum_blocking_stats_read(thrum_blocking_stats *out)
{
    memset(out, 0, sizeof(*out));
    if (!thr_worker_self())
        return THRUM_ENOTTASK;
    struct thr_blocking *b = &thr_task_runtime(thr_task_self())->blocking;
    pthread_mutex_lock(&b->mutex);
    *out = (thrum_blocking_stats){
        .threads = b->threads_n,
        .running = b->running_n,
        .queued = b->queued_n,
        .limit = b->limit,
        .done = b->finished_n,
        .beyond = b->beyond_n,
    };
    pthread_mutex_unlock(&b->mutex);
    return 0;
}
