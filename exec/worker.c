/* SPDX-License-Identifier: MIT */
#include "exec/worker.h"

#include "exec/call.h"
#include "exec/census.h"
#include "exec/clock.h"
#include "exec/fork.h"
#include "exec/heldlock.h"
#include "exec/overflow.h"
#include "exec/pick.h"
#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/sanitizer.h"
#include "exec/util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <thrum/time.h>

enum {
    SLICE_OPERATIONS = 128, /* what a task may do without suspending before it yields */
    SLICE_NS = 100 * 1000,  /* and for how long, roughly */
    CHILDREN_IN_A_ROW = 64, /* run at a join before the other tasks have their turn */
};

/* used: thr_worker_self() names it where compilers do not look */
__attribute__((used)) __thread struct thr_worker *thr_worker_tls;

void *thr_driver_loop(void)
{
    struct thr_worker *w = thr_worker_self();
    THR_ASSERT(w);
    return w->loop;
}

/* ---- Switching ---- */

/* Gives a new task a stack. */
static bool bind_stack(struct thr_worker *w, struct thrum_task *task)
{
    task->stack = thr_stack_take(&w->rt->stacks, w->stacks, task->stack_class);
    if (!task->stack)
        return false;
    thr_context_init(&task->context, thr_stack_top(task->stack));
    return true;
}

/* Picks a task that can run; one for which there is no stack ends with -ENOMEM. spare: NULL, or the stack of a task that has
 * ended, which a new one that wants one of its size takes over. */
static inline struct thrum_task *pick_runnable(struct thr_worker *w, struct thr_stack *spare)
{
    for (;;) {
        struct thrum_task *t = thr_worker_pick(w);
        if (spare && t && !t->stack && t->stack_class == spare->class)
            t->stack = spare;
        if (!t || t->stack || bind_stack(w, t))
            return t;
        thr_runtime_task_done(w, t, -ENOMEM, false);
    }
}

/* Done by whoever runs after a switch: the task that was left is quiet now. */
static inline __attribute__((always_inline)) void after_switch(void)
{
    struct thr_worker *w = thr_worker_self();
    enum thr_after after = w->after;
    w->after = THR_AFTER_NOTHING;
    switch (after) {
    case THR_AFTER_NOTHING:
        break;
    case THR_AFTER_PARK:
        if (!thr_wait_parked(w->after_task))
            thr_worker_enqueue(w, w->after_task); /* fired while it was leaving */
        break;
    case THR_AFTER_YIELD:
        thr_worker_requeue(w, w->after_task);
        break;
    case THR_AFTER_END:
        thr_stack_give(&w->rt->stacks, w->stacks, w->after_stack);
        break;
    }
}

static void set_current(struct thr_worker *w, struct thrum_task *task)
{
    w->current = task;
    w->budget = SLICE_OPERATIONS;
    w->spawned_now = 0;
    w->slice_ns = 0;
    if (task && task->worker != (uint16_t)w->index)
        task->worker = (uint16_t)w->index;
}

/* From the context `from` to a task, or to the worker's own stack (NULL). for_good: the running stack ends here.
 * Inlined into its few callers, so that each has a call chain the return predictor knows. */
static inline __attribute__((always_inline)) void
switch_to(struct thr_worker *w, struct thr_context *from, struct thrum_task *to, bool for_good)
{
    void *fake = NULL;
    set_current(w, to);
    if (to) {
        thr_asan_leave(for_good ? NULL : &fake, to->stack->bottom, to->stack->bytes);
        thr_tsan_switch(to->stack->tsan_fiber);
        thr_context_switch(from, &to->context);
    } else {
        thr_asan_leave(for_good ? NULL : &fake, w->stack_bottom, w->stack_bytes);
        thr_tsan_switch(w->tsan_fiber);
        thr_context_switch(from, &w->context);
    }
    thr_asan_arrive(fake); /* perhaps on another thread: w is stale */
}

THR_NOINLINE void thr_worker_suspend(enum thr_after after)
{
    thr_heldlock_check();
    struct thr_worker *w = thr_worker_self();
    struct thrum_task *from = w->current;
    if (THR_UNLIKELY(from->called))
        thr_call_publish(from);
    thr_fork_before_suspend(w);
    struct thrum_task *to = pick_runnable(w, NULL);
    if (!to && after == THR_AFTER_YIELD) {
        w->budget = SLICE_OPERATIONS;
        return; /* nobody else wants to run */
    }
    w->after = after;
    w->after_task = from;
    switch_to(w, &from->context, to, false);
    after_switch();
}

/* Runs a task from the worker's own stack until this worker has nothing more to do. */
static THR_NOINLINE void run(struct thr_worker *w, struct thrum_task *task)
{
    switch_to(w, &w->context, task, false);
    after_switch();
}

/* Returns: who called the task and is to go on now; NULL if nobody did. */
static THR_NOINLINE struct thrum_task *run_current(void)
{
    struct thrum_task *task = thr_worker_self()->current;
    int result = task->fn(task->u.arg);
    struct thr_worker *w = thr_worker_self();
    if (THR_UNLIKELY(task->stack->checked))
        thr_stack_task_ended(&w->rt->stacks, task);
    struct thrum_task *caller = task->called ? task->call->waiter.task : NULL;
    THR_ASSERT(!thr_split_newest(&w->split)); /* the task has joined all that it forked */
    thr_runtime_task_done(w, task, result, false);
    return caller;
}

/* Inlined for the same reason as thr_context_entry() jumps. */
static inline __attribute__((always_inline)) void
leave_for_good(struct thr_worker *w, struct thr_stack *stack, struct thrum_task *to)
{
    struct thr_context nowhere;
    w->after = THR_AFTER_END;
    w->after_stack = stack;
    thr_tsan_leave_frames(1); /* thr_task_root() */
    switch_to(w, &nowhere, to, true);
}

/* Where each stack begins. A burst of new tasks runs here one after the other, without a switch. */
THR_NORETURN __attribute__((used)) void
thr_task_root(void); /* used: by thr_context_entry() alone */
void thr_task_root(void)
{
    thr_asan_arrive(NULL);
    after_switch();
    for (;;) {
        struct thr_stack *stack = thr_worker_self()->current->stack;
        struct thrum_task *to = run_current();
        struct thr_worker *w = thr_worker_self();
        w->current = NULL;
        if (!to)
            to = pick_runnable(w, stack);
        if (to && to->stack == stack) {
            set_current(w, to);
            continue;
        }
        leave_for_good(w, stack, to);
        thr_panic(__FILE__, __LINE__, "a stack that was left for good was entered again");
    }
}

/* ---- Fork-join ---- */

bool thr_worker_may_enter(struct thr_worker *w, struct thrum_task *task)
{
    if (w->inline_run >= CHILDREN_IN_A_ROW || !thr_worker_take_newest(w, task))
        return false;
    if (!task->stack && !bind_stack(w, task)) {
        thr_worker_requeue(w, task);
        return false;
    }
    return true;
}

THR_NOINLINE void thr_worker_enter(struct thrum_task *task)
{
    struct thr_worker *w = thr_worker_self();
    struct thrum_task *from = w->current;
    thr_fork_before_suspend(w);
    if (--w->picks_to_tick == 0)
        thr_worker_tick(w);
    w->inline_run++;
    thr_count(&w->counts.picks, 1);
    switch_to(w, &from->context, task, false);
    after_switch();
}

/* A child gets as much stack as it was promised: stacks are larger than that by what parents may have used up. */
static bool stack_has_room(const struct thr_worker *w, const struct thr_stack *stack, uint8_t class)
{
    const char *here = __builtin_frame_address(0);
    if (w->rt->stacks.census)
        return false; /* each is measured on a stack of its own: census.h, H1 */
    return (size_t)(here - stack->bottom) >= w->rt->stacks.pools[class].promised_bytes;
}

/* The child runs as a task of its own, with its own record, on the parent's stack: the parent would only wait. */
static void run_child(struct thrum_task *parent, struct thrum_task *child)
{
    struct thr_worker *w = thr_worker_self();
    child->stack = parent->stack;
    if (--w->picks_to_tick == 0)
        thr_worker_tick(w); /* a tree of joins may go on for long without any pick */
    w->inline_run++;
    set_current(w, child);
    thr_count(&w->counts.picks, 1);
    child->called = parent->called; /* call.h, Y2 */
    child->call = parent->call;
    parent->called = false;
    int result = child->fn(child->u.arg);
    w = thr_worker_self();
    parent->called = child->called;
    parent->call = child->call;
    set_current(w, parent);
    thr_runtime_task_done(w, child, result, true);
}

void thr_worker_run_children(struct thr_scope *scope)
{
    struct thrum_task *parent = thr_task_self();
    struct thr_worker *w = thr_worker_self();
    while (stack_has_room(w, parent->stack, parent->stack_class)) {
        struct thrum_task *child = thr_worker_take_child(w, scope);
        if (!child)
            return;
        if (!stack_has_room(w, parent->stack, child->stack_class)) {
            thr_worker_enqueue(w, child); /* it waits for a stack of its own */
            return;
        }
        run_child(parent, child);
        w = thr_worker_self();
        if (w->inline_run < CHILDREN_IN_A_ROW)
            continue;
        w->inline_run = 0;
        thr_worker_suspend(THR_AFTER_YIELD); /* the other tasks of this worker have their turn */
        w = thr_worker_self();
    }
}

/* Every 16 operations: has the slice taken too long? */
static bool out_of_time(struct thr_worker *w)
{
    uint64_t now = thr_clock_now();
    if (w->slice_ns == 0)
        w->slice_ns = now;
    return now - w->slice_ns > SLICE_NS;
}

void thr_task_spend_some(struct thr_worker *w)
{
    if (w->budget > 0 && !out_of_time(w))
        return;
    thr_worker_poll_soon(w);
    thr_worker_forks_turn(w);
    thr_worker_suspend(THR_AFTER_YIELD);
}

/* ---- The thread ---- */

int thr_worker_init(struct thr_worker *w, struct thr_runtime *rt, unsigned index)
{
    w->index = index;
    w->rt = rt;
    w->picks_to_tick = THR_TICK_PICKS_MAX;
    w->to_sample = 1;
    thr_random_init(&w->random, index);
    thr_ring_init(&w->ring);
    thr_inbox_init(&w->inbox);
    thr_timers_init(&w->timers, thr_clock_now());
    int err = thr_deque_init(&w->forks);
    if (!err)
        err = rt->driver->open(&w->loop, index);
    return err;
}

void thr_worker_fini(struct thr_worker *w)
{
    if (w->rt)
        w->rt->driver->close(w->loop);
    thr_timers_fini(&w->timers);
    thr_deque_fini(&w->forks);
}

static void find_own_stack(struct thr_worker *w)
{
    pthread_attr_t attr;
    void *bottom = NULL;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return; /* only AddressSanitizer would miss it */
    pthread_attr_getstack(&attr, &bottom, &w->stack_bytes);
    w->stack_bottom = bottom;
    pthread_attr_destroy(&attr);
}

static void enter_thread(struct thr_worker *w)
{
    thr_worker_tls = w;
    find_own_stack(w);
    w->tsan_fiber = thr_tsan_fiber_self();
    w->tick_ns = w->polled_ns = thr_clock_now();
    char name[16];
    snprintf(name, sizeof(name), "thrum/%u", w->index % 10000);
    pthread_setname_np(pthread_self(), name);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* timers to the nanosecond, not to 50 us */
}

void thr_worker_main(struct thr_worker *w)
{
    struct thr_alt_stack alt;
    thr_alt_stack_enter(&alt);
    enter_thread(w);
    for (;;) {
        struct thrum_task *t = pick_runnable(w, NULL);
        if (!t)
            t = thr_worker_search(w);
        if (t) {
            thr_idle_search_end(w, true);
            if (t->stack || bind_stack(w, t))
                run(w, t);
            else
                thr_runtime_task_done(w, t, -ENOMEM, false);
        } else if (thr_runtime_is_over(w->rt)) {
            break;
        } else {
            thr_idle_sleep(w);
        }
    }
    thr_worker_tls = NULL;
    thr_alt_stack_leave(&alt);
}

void thr_worker_forget(void)
{
    thr_worker_tls = NULL;
}
