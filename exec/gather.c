/* SPDX-License-Identifier: MIT */
/* Several calls at once, on top of scopes. */
#include "exec/lock.h"
#include "exec/util.h"
#include "exec/wait.h"

#include <errno.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/gather.h>
#include <thrum/time.h>

static int run_call(void *arg)
{
    thrum_call *call = arg;
    call->result = call->fn(call->arg);
    return call->result;
}

/* A call that cannot be spawned has its result already. */
static void spawn_calls(thrum_scope *scope, thrum_call *calls, size_t calls_n)
{
    for (size_t i = 0; i < calls_n; i++) {
        calls[i].result = -ECANCELED;
        int err = thrum_scope_spawn(scope, run_call, &calls[i]);
        if (err)
            calls[i].result = err;
    }
}

static int first_failure(const thrum_call *calls, size_t calls_n)
{
    for (size_t i = 0; i < calls_n; i++)
        if (calls[i].result < 0)
            return calls[i].result;
    return 0;
}

int thrum_gather(thrum_call *calls, size_t calls_n)
{
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.keep_going = true});
    spawn_calls(&scope, calls, calls_n);
    int err = thrum_scope_close(&scope);
    (void)err; /* each call has its own result */
    return first_failure(calls, calls_n);
}

/* ---- Race ---- */

struct race {
    thr_aptr winner; /* the call that succeeded first */
};

static int run_racer(void *arg)
{
    thrum_call *call = arg;
    struct race *race = (struct race *)(void *)call->next;
    int result = call->fn(call->arg);
    call->result = result;
    void *nobody = NULL;
    if (result >= 0)
        thr_cas(&race->winner, &nobody, call, THR_RELAXED, THR_RELAXED);
    return result;
}

ssize_t thrum_race(thrum_call *calls, size_t calls_n)
{
    thrum_scope scope;
    struct race race = {{NULL}};
    if (calls_n == 0)
        return -EINVAL;
    thrum_scope_open(&scope, &(thrum_scope_opts){.first_success = true});
    for (size_t i = 0; i < calls_n; i++) {
        calls[i].result = -ECANCELED;
        calls[i].next = (thrum_call *)(void *)&race;
        int err = thrum_scope_spawn(&scope, run_racer, &calls[i]);
        if (err)
            calls[i].result = err;
    }
    int err = thrum_scope_close(&scope);
    const thrum_call *winner = thr_load(&race.winner, THR_RELAXED);
    if (winner)
        return winner - calls;
    int failure = first_failure(calls, calls_n);
    return failure ? failure : err;
}

/* ---- As completed ---- */

static struct thr_lock *lock_of(thrum_completion *c)
{
    return (struct thr_lock *)(void *)&c->lock;
}

/* Under the lock: the call is done. */
static void append(thrum_completion *c, thrum_call *call)
{
    call->next = NULL;
    if (c->last)
        c->last->next = call;
    else
        c->first = call;
    c->last = call;
}

static int run_completing(void *arg)
{
    thrum_call *call = arg;
    thrum_completion *c = (thrum_completion *)(void *)call->next;
    struct thr_wakeups out = {0};
    call->result = call->fn(call->arg);
    thr_lock(lock_of(c));
    append(c, call);
    struct thr_waiter *w = c->waiter;
    c->waiter = NULL;
    if (w)
        thr_waiter_fire(w, THR_FIRED_OK, &out);
    thr_unlock(lock_of(c));
    thr_wakeups_run(&out);
    return 0;
}

void thrum_completion_begin(thrum_completion *c, thrum_call *calls, size_t calls_n)
{
    thr_lock_init(lock_of(c));
    c->first = c->last = NULL;
    c->waiter = NULL;
    c->left = calls_n;
    thrum_scope_open(&c->scope, &(thrum_scope_opts){.keep_going = true});
    for (size_t i = 0; i < calls_n; i++) {
        calls[i].result = -ECANCELED;
        calls[i].next = (thrum_call *)(void *)c;
        int err = thrum_scope_spawn(&c->scope, run_completing, &calls[i]);
        if (!err)
            continue;
        calls[i].result = err;
        thr_lock(lock_of(c));
        append(c, &calls[i]);
        thr_unlock(lock_of(c));
    }
}

/* Under the lock, which it gives up meanwhile. */
static int await_one(thrum_completion *c)
{
    struct thr_waiter w;
    thr_wait_begin(&w, false);
    c->waiter = &w; /* cppcheck-suppress autoVariables ; it is taken back below */
    thr_unlock(lock_of(c));
    enum thr_reason reason = thr_wait_park(THRUM_NEVER);
    thr_lock(lock_of(c));
    if (c->waiter == &w)
        c->waiter = NULL;
    return c->first ? 0 : thr_reason_error(reason); /* one that came in time counts (wait.h, W5) */
}

int thrum_completion_next(thrum_completion *c, thrum_call **done)
{
    int err = 0;
    *done = NULL;
    if (c->left == 0)
        return THRUM_ECLOSED;
    thr_lock(lock_of(c));
    while (!c->first && !err)
        err = await_one(c);
    if (!err) {
        *done = c->first;
        c->first = c->first->next;
        if (!c->first)
            c->last = NULL;
        c->left--;
    }
    thr_unlock(lock_of(c));
    return err;
}

void thrum_completion_end(thrum_completion *c)
{
    if (c->left > 0)
        thrum_scope_cancel(&c->scope);
    int err = thrum_scope_close(&c->scope);
    (void)err; /* each call has its own result */
}

/* ---- One call ---- */

int thrum_within(uint64_t timeout_ns, thrum_fn *fn, void *arg)
{
    thrum_timeout limit;
    thrum_timeout_begin(&limit, timeout_ns);
    int result = fn(arg);
    return thrum_timeout_end(&limit) && result < 0 ? -ETIMEDOUT : result;
}

int thrum_shielded(thrum_fn *fn, void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.shield = true, .keep_going = true});
    int result = fn(arg);
    int err = thrum_scope_close(&scope);
    (void)err; /* it has no tasks and no deadline */
    return result;
}
