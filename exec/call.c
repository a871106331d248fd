/* SPDX-License-Identifier: MIT */
#include "exec/call.h"

#include "exec/fence.h"
#include "exec/worker.h"

#include <thrum/time.h>

/* What thr_wait_park() does before it suspends, for a task that is suspended already. */
static void publish(struct thr_worker *w, struct thr_call *call)
{
    struct thrum_task *caller = call->waiter.task;
    const struct thrum_timeout *limit = caller->limit;
    bool parked;
    thr_fence_light(); /* wait.h (D) */
    if (thr_load(&limit->scope->cancelled, THR_RELAXED)) {
        thr_wait_fire(caller, call->waiter.seq, THR_FIRED_CANCEL, &parked);
    } else if (limit->deadline_ns != THRUM_NEVER) {
        call->timed = true;
        call->timer = (struct thr_timer){
            .deadline_ns = limit->deadline_ns, .task = caller, .u.seq = call->waiter.seq};
        thr_timer_arm(&w->timers, &call->timer);
    }
    if (!thr_wait_parked(caller))
        thr_worker_enqueue(w, caller);
}

/* Opens the waits of the chain, from the called task outwards: nobody queues a task by them as long as it is not parked. */
static void open_all(struct thr_call *innermost)
{
    for (struct thr_call *call = innermost; call; call = call->outer) {
        struct thrum_task *caller = call->waiter.task;
        call->outer = caller->called ? caller->call : NULL;
        caller->called = false;
        call->published = true;
        thr_wait_open(caller, &call->waiter, false);
    }
}

void thr_call_publish(struct thrum_task *task)
{
    struct thr_worker *w = thr_worker_self();
    struct thr_call *call = task->call;
    task->called = false;
    open_all(call);
    while (call) {
        struct thr_call *outer = call->outer;
        publish(w, call); /* from here on the caller may run elsewhere, and be gone */
        call = outer;
    }
}

enum thr_reason thr_call_finish(struct thr_call *call)
{
    if (call->timed)
        thr_timer_disarm(&call->timer);
    enum thr_reason reason = thr_wait_finish();
    if (call->timed && reason == THR_FIRED_TIMEOUT)
        thr_limit_fired(thr_task_self()->limit);
    return reason;
}
