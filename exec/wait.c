/* SPDX-License-Identifier: MIT */
#include "exec/wait.h"

#include "exec/fence.h"
#include "exec/runtime.h"
#include "exec/util.h"
#include "exec/worker.h"

#include <errno.h>
#include <thrum/error.h>

/* ---- Firing ---- */

static bool is_open(uint64_t word)
{
    unsigned state = (unsigned)(word & THR_WAIT_STATE);
    return state == THR_WAIT_ARMED || state == THR_WAIT_PARKED;
}

/* From `word`, as just read, to FIRED; retries while the same wait stays open. */
static bool fire_from(struct thrum_task *task, uint64_t word, enum thr_reason reason, bool *parked)
{
    uint64_t seq = word >> THR_WAIT_SEQ_SHIFT;
    while (is_open(word) && word >> THR_WAIT_SEQ_SHIFT == seq) {
        uint64_t fired = (word & ~(uint64_t)THR_WAIT_STATE) | (THR_WAIT_FIRED + (unsigned)reason);
        bool was_parked = (word & THR_WAIT_STATE) == THR_WAIT_PARKED;
        if (thr_cas(&task->wait, &word, fired, THR_ACQ_REL, THR_ACQUIRE)) { /* (A) */
            *parked = was_parked;
            return true;
        }
    }
    return false;
}

bool thr_wait_fire(struct thrum_task *task, uint64_t seq, enum thr_reason reason, bool *parked)
{
    uint64_t word = thr_load(&task->wait, THR_ACQUIRE);
    return word >> THR_WAIT_SEQ_SHIFT == seq && fire_from(task, word, reason, parked);
}

void thr_wait_interrupt(struct thrum_task *task, struct thr_scope *scope, struct thr_wakeups *out)
{
    uint64_t word = thr_load(&task->wait, THR_SEQ_CST); /* (D) */
    if (!is_open(word) || (word & THR_WAIT_SHIELDED))
        return;
    /* If the next wait has begun meanwhile this may be its scope; but then the swap fails (W1). */
    if (thr_load(&task->wait_scope, THR_RELAXED) != scope)
        return;
    bool parked;
    if (fire_from(task, word, THR_FIRED_CANCEL, &parked) && parked)
        thr_wakeups_add(out, task);
}

bool thr_wait_parked(struct thrum_task *task)
{
    uint64_t word = thr_load(&task->wait, THR_RELAXED);
    if ((word & THR_WAIT_STATE) != THR_WAIT_ARMED)
        return false;
    uint64_t parked = (word & ~(uint64_t)THR_WAIT_STATE) | THR_WAIT_PARKED;
    return thr_cas(&task->wait, &word, parked, THR_ACQ_REL, THR_ACQUIRE); /* (C) */
}

bool thr_waiter_fire(const struct thr_waiter *w, enum thr_reason reason, struct thr_wakeups *out)
{
    bool parked;
    if (!thr_waiter_choose(w))
        return false;
    if (!thr_wait_fire(w->task, w->seq, reason, &parked))
        return false;
    if (parked)
        thr_wakeups_add(out, w->task);
    return true;
}

/* ---- Waking ---- */

void thr_wakeups_add(struct thr_wakeups *l, struct thrum_task *task)
{
    task->next = NULL;
    if (l->tail)
        l->tail->next = task;
    else
        l->head = task;
    l->tail = task;
}

/* The task may end its runtime as soon as it is queued: that stays until we are out of it. */
void thr_wake_from_outside(struct thr_runtime *rt, struct thrum_task *task)
{
    struct thr_worker *w = &rt->workers[task->worker];
    thr_fetch_add(&rt->visitors, 1, THR_RELAXED);
    /* If the owner of the inbox runs it looks there itself, or a thief does. */
    if (thr_inbox_push(&w->inbox, task) && !thr_idle_wake(w))
        thr_idle_notify(rt, NULL);
    thr_fetch_sub(&rt->visitors, 1, THR_RELEASE); /* -> thrum_run()'s load acquire */
}

/* Tasks of several runtimes, or seen from outside. */
static THR_NOINLINE void wake_each(struct thr_wakeups *out)
{
    struct thr_worker *self = thr_worker_self();
    struct thr_wakeups here = {0};
    for (struct thrum_task *t = out->head, *next; t; t = next) {
        next = t->next;
        struct thr_runtime *rt = thr_task_runtime(t);
        if (self && self->rt == rt)
            thr_wakeups_add(&here, t);
        else
            thr_wake_from_outside(rt, t); /* a plain thread, or a worker of another runtime */
    }
    out->head = out->tail = NULL;
    if (here.head)
        thr_worker_wake(self, &here);
}

void thr_wakeups_run_some(struct thr_wakeups *out)
{
    struct thr_worker *self = thr_worker_self();
    if (self && !out->head->next && thr_task_runtime(out->head) == self->rt)
        thr_worker_wake(self, out);
    else
        wake_each(out);
}

/* ---- Waiting ---- */

void thr_wait_open(struct thrum_task *task, struct thr_waiter *w, bool shielded)
{
    if (!task->listed)
        thr_scope_list_child(task);
    uint64_t seq = (thr_load(&task->wait, THR_RELAXED) >> THR_WAIT_SEQ_SHIFT) + 1;
    *w = (struct thr_waiter){.task = task, .seq = seq};
    thr_store(&task->wait_scope, task->limit->scope, THR_RELAXED);
    uint64_t word = seq << THR_WAIT_SEQ_SHIFT | THR_WAIT_ARMED | (shielded ? THR_WAIT_SHIELDED : 0);
    thr_store(&task->wait, word, THR_RELEASE); /* (D); release: wait_scope */
}

void thr_wait_begin(struct thr_waiter *w, bool shielded)
{
    thr_wait_open(thr_task_self(), w, shielded);
}

void thr_wait_add(struct thr_waiter *w, const struct thr_waiter *first)
{
    *w = (struct thr_waiter){.task = first->task, .seq = first->seq, .choice = first->choice};
}

static bool is_fired(struct thrum_task *task)
{
    return (thr_load(&task->wait, THR_ACQUIRE) & THR_WAIT_STATE) >= THR_WAIT_FIRED; /* (B) */
}

/* Ends the open wait for good: from here on nobody can fire it. */
static enum thr_reason finish(struct thrum_task *task)
{
    uint64_t word = thr_load(&task->wait, THR_ACQUIRE);
    thr_store(&task->wait, word & ~(uint64_t)0xFF, THR_RELAXED); /* IDLE, same sequence */
    return (enum thr_reason)((word & THR_WAIT_STATE) - THR_WAIT_FIRED);
}

enum thr_reason thr_wait_finish(void)
{
    return finish(thr_task_self());
}

static void fire_own(struct thrum_task *task, enum thr_reason reason)
{
    bool parked;
    thr_wait_fire(task, thr_load(&task->wait, THR_RELAXED) >> THR_WAIT_SEQ_SHIFT, reason, &parked);
}

enum thr_reason thr_wait_park(uint64_t deadline_ns)
{
    struct thrum_task *task = thr_task_self();
    uint64_t word = thr_load(&task->wait, THR_RELAXED);
    bool limited = false;
    if (!(word & THR_WAIT_SHIELDED)) {
        thr_fence_light(); /* (D) */
        if (thr_load(&task->limit->scope->cancelled, THR_RELAXED))
            fire_own(task, THR_FIRED_CANCEL);
        limited = task->limit->deadline_ns < deadline_ns;
        if (limited)
            deadline_ns = task->limit->deadline_ns;
    }
    if (is_fired(task))
        return finish(task);

    enum thr_reason reason;
    if (deadline_ns == THRUM_NEVER) {
        thr_worker_suspend(THR_AFTER_PARK);
        reason = finish(task);
    } else {
        struct thr_timer timer = {
            .deadline_ns = deadline_ns, .task = task, .u.seq = word >> THR_WAIT_SEQ_SHIFT};
        thr_timer_arm(&thr_worker_self()->timers, &timer);
        thr_worker_suspend(THR_AFTER_PARK);
        reason = finish(task);
        if (reason != THR_FIRED_TIMEOUT) /* one that fired is touched by nobody (timer.h, T2) */
            thr_timer_disarm(&timer);
    }
    if (limited && reason == THR_FIRED_TIMEOUT)
        thr_limit_fired(task->limit);
    return reason;
}

bool thr_wait_abandon(void)
{
    struct thrum_task *task = thr_task_self();
    fire_own(task, THR_FIRED_CANCEL); /* if that fails somebody was faster */
    enum thr_reason reason = finish(task);
    return reason == THR_FIRED_OK || reason == THR_FIRED_CLOSED;
}

int thr_reason_error(enum thr_reason reason)
{
    switch (reason) {
    case THR_FIRED_OK:
        return 0;
    case THR_FIRED_TIMEOUT:
        return -ETIMEDOUT;
    case THR_FIRED_CANCEL:
        return -ECANCELED;
    case THR_FIRED_CLOSED:
        return THRUM_ECLOSED;
    }
    return -EINVAL;
}

/* ---- Lists ---- */

void thr_waitlist_push(struct thr_waitlist *l, struct thr_waiter *w)
{
    w->prev = l->tail;
    w->next = NULL;
    if (l->tail)
        l->tail->next = w;
    else
        l->head = w;
    l->tail = w;
    w->linked = true;
}

/* The first one's `prev` is never read: so taking it off does not touch the second, which lies on another stack. */
void thr_waitlist_remove(struct thr_waitlist *l, struct thr_waiter *w)
{
    if (!w->linked)
        return;
    if (l->head == w)
        l->head = w->next;
    else
        w->prev->next = w->next;
    if (l->tail == w)
        l->tail = l->head ? w->prev : NULL;
    else if (l->head != w->next)
        w->next->prev = w->prev;
    w->linked = false;
}

struct thr_waiter *thr_waitlist_pop(struct thr_waitlist *l)
{
    struct thr_waiter *w = l->head;
    if (!w)
        return NULL;
    l->head = w->next;
    if (w->next)
        __builtin_prefetch(w->next); /* the next pop's */
    else
        l->tail = NULL;
    w->linked = false;
    return w;
}

bool thr_waitlist_fire_one(struct thr_waitlist *l, enum thr_reason reason, struct thr_wakeups *out,
                           void **data)
{
    for (struct thr_waiter *w; (w = thr_waitlist_pop(l)) != NULL;) {
        void *d = w->data;
        if (!thr_waiter_fire(w, reason, out))
            continue; /* a timer or cancel was faster: it takes nothing with it (W5) */
        if (data)
            *data = d;
        return true;
    }
    return false;
}

void thr_waitlist_fire_all(struct thr_waitlist *l, enum thr_reason reason, struct thr_wakeups *out)
{
    while (thr_waitlist_fire_one(l, reason, out, NULL))
        ;
}
