/* SPDX-License-Identifier: MIT */
#include "exec/scope.h"

#include "exec/clock.h"
#include "exec/fence.h"
#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/site.h"
#include "exec/util.h"

#include <errno.h>
#include <string.h>
#include <thrum/error.h>

/* Keeps `others` from 0 until the scope closes (C5). */
static const int64_t OTHERS_BIAS = INT64_C(1) << 60;

static struct thr_scope *of(thrum_scope *scope)
{
    return (struct thr_scope *)(void *)scope;
}

void thr_scope_init_root(struct thr_scope *s)
{
    memset(s, 0, sizeof(*s));
    s->limit.deadline_ns = s->limit.own_ns = THRUM_NEVER;
    s->limit.scope = s;
}

/* ---- Which deadline fired ---- */

/* The children of a scope share its limit, so they note it with an atomic. */
static thr_au32 *fired_of(struct thrum_timeout *limit)
{
    return (thr_au32 *)(void *)&limit->fired;
}

void thr_limit_fired(struct thrum_timeout *innermost)
{
    uint64_t deadline = innermost->deadline_ns;
    for (struct thrum_timeout *l = innermost; l; l = l->outer) {
        thr_store(fired_of(l), 1,
                  THR_RELAXED); /* read by the owner after its own waits and its children's end */
        if (l->own_ns == deadline)
            return;
    }
}

/* ---- Opening ---- */

static void link_to_parent(struct thr_scope *s)
{
    struct thr_scope *parent = s->parent;
    thr_lock(&parent->lock);
    if (!s->shield)
        thr_store(&s->cancelled, thr_load(&parent->cancelled, THR_RELAXED), THR_RELAXED); /* C3 */
    s->sub_next = parent->subs;
    if (s->sub_next)
        s->sub_next->sub_prev = s;
    parent->subs = s;
    thr_unlock(&parent->lock);
}

static void unlink_from_parent(struct thr_scope *s)
{
    struct thr_scope *parent = s->parent;
    thr_lock(&parent->lock);
    if (s->sub_prev)
        s->sub_prev->sub_next = s->sub_next;
    else
        parent->subs = s->sub_next;
    if (s->sub_next)
        s->sub_next->sub_prev = s->sub_prev;
    thr_unlock(&parent->lock);
}

void thrum_scope_open(thrum_scope *scope, const thrum_scope_opts *opts)
{
    static const thrum_scope_opts defaults;
    struct thr_scope *s = of(scope);
    struct thrum_task *task = thr_task_self();
    if (!opts)
        opts = &defaults;
    memset(s, 0, sizeof(*s));
    s->keep_going = opts->keep_going;
    s->first_success = opts->first_success;
    s->shield = opts->shield;
    s->errors = opts->errors;
    s->errors_max = opts->errors_max;
    thr_store(&s->others, OTHERS_BIAS, THR_RELAXED);
    s->owner = task;
    s->parent = task->limit->scope;
    s->limit.own_ns = opts->timeout_ns ? thr_clock_after(opts->timeout_ns) : THRUM_NEVER;
    s->limit.deadline_ns = s->limit.own_ns;
    if (!s->shield && task->limit->deadline_ns < s->limit.deadline_ns)
        s->limit.deadline_ns = task->limit->deadline_ns;
    s->limit.scope = s;
    s->limit.outer = task->limit;
    link_to_parent(s);
    task->limit = &s->limit;
}

/* ---- Cancelling ---- */

/* Under s->lock: marks the scope as cancelled, or fires the waits in it. */
static void cancel_one(struct thr_scope *s, struct thr_wakeups *out)
{
    if (!out) {
        thr_store(&s->cancelled, 1, THR_RELEASE);
        return;
    }
    if (s->owner)
        thr_wait_interrupt(s->owner, s, out);
    for (struct thrum_task *t = s->children; t; t = t->in.child.next)
        thr_wait_interrupt(t, s, out);
}

static struct thr_scope *first_unshielded(struct thr_scope *s)
{
    while (s && s->shield)
        s = s->sub_next;
    return s;
}

/* Walks the tree from top down, depth first, holding the locks of the path from top to where it is (C2). */
static void walk(struct thr_scope *top, struct thr_wakeups *out)
{
    struct thr_scope *s = top;
    thr_lock(&s->lock);
    cancel_one(s, out);
    struct thr_scope *down = first_unshielded(s->subs);
    for (;;) {
        if (down) {
            s = down;
            thr_lock(&s->lock);
            cancel_one(s, out);
            down = first_unshielded(s->subs);
            continue;
        }
        if (s == top)
            break;
        struct thr_scope *done = s;
        s = done->parent;
        thr_unlock(&done->lock);
        down = first_unshielded(
            done->sub_next); /* its parent's lock, which guards the link, is held */
    }
    thr_unlock(&top->lock);
}

/* True if the calling thread is the only one that the scope's tasks run on: its runtime's only worker. */
static bool runs_here_alone(const struct thr_scope *top)
{
    const struct thr_worker *self = thr_worker_self();
    if (!self || !self->alone)
        return false;
    return top->owner ? thr_task_runtime(top->owner) == self->rt : top == &self->rt->root;
}

/* Once to mark, once to fire: what opens or is listed between the two sees its mark (C3, C6), under the same locks. */
void thr_scope_cancel(struct thr_scope *top, struct thr_wakeups *out)
{
    walk(top, NULL);
    if (!runs_here_alone(top))
        thr_fence_heavy(); /* wait.h (D) */
    walk(top, out);
}

void thrum_scope_cancel(thrum_scope *scope)
{
    struct thr_wakeups out = {0};
    thr_scope_cancel(of(scope), &out);
    thr_wakeups_run(&out);
}

/* ---- Children ---- */

void thr_scope_list_child(struct thrum_task *task)
{
    struct thr_scope *s = task->in.child.home;
    task->listed = true;
    task->in.child.prev = NULL;
    thr_lock(&s->lock);
    task->in.child.next = s->children;
    if (s->children)
        s->children->in.child.prev = task;
    s->children = task;
    thr_unlock(&s->lock);
}

void thr_scope_unlist_child(struct thrum_task *task)
{
    struct thr_scope *s = task->in.child.home;
    if (!task->listed || !s->owner)
        return; /* the root lists nobody */
    thr_lock(&s->lock);
    if (task->in.child.prev)
        task->in.child.prev->in.child.next = task->in.child.next;
    else
        s->children = task->in.child.next;
    if (task->in.child.next)
        task->in.child.next->in.child.prev = task->in.child.prev;
    thr_unlock(&s->lock);
}

/* Under s->lock. Of those that only say that the scope was cancelled nobody needs a list. */
static void note_error(struct thr_scope *s, const struct thrum_task *task, int code)
{
    if (code == -ECANCELED && thr_load(&s->cancelled, THR_RELAXED))
        return;
    if (s->errors && s->errors_n < s->errors_max)
        s->errors[s->errors_n] = (thrum_scope_error){
            .code = code, .arg = task->u.arg, .name = task->name, .site = thr_site_at(task->site)};
    s->errors_n++;
}

/* Under s->lock. Returns: true if the end of this child ends the others. */
static bool note_result(struct thr_scope *s, const struct thrum_task *task, int result)
{
    if (result >= 0) {
        bool first = !s->won;
        if (first)
            s->value = result;
        s->won = true;
        return first;
    }
    note_error(s, task, result);
    bool first = s->first_error == 0;
    if (first)
        s->first_error = result;
    return first && !s->keep_going && !s->first_success;
}

/* While this child still keeps the scope open. */
static void decide(struct thr_scope *s, const struct thrum_task *task, int result)
{
    struct thr_wakeups out = {0};
    thr_lock(&s->lock);
    bool over = note_result(s, task, result);
    thr_unlock(&s->lock);
    if (!over)
        return;
    thr_scope_cancel(s, &out);
    thr_wakeups_run(&out);
}

/* One child of those that the owner does not count has returned, or was not spawned after all (C5). */
static void count_out(struct thr_scope *s)
{
    struct thr_wakeups out = {0};
    if (thr_fetch_sub(&s->others, 1, THR_ACQ_REL) != 1)
        return;
    /* The last one of a scope that closes: its owner cannot leave before this fires it. */
    struct thrum_task *owner = s->owner;
    bool parked = false;
    if (thr_wait_fire(owner, s->close_seq, THR_FIRED_OK, &parked) && parked)
        thr_wakeups_add(&out, owner);
    thr_wakeups_run(&out);
}

void thr_scope_child_done(struct thrum_task *task, int result, bool by_owner)
{
    struct thr_scope *s = task->in.child.home;
    if (result < 0 || s->first_success)
        decide(s, task, result);
    thr_scope_unlist_child(task);
    if (by_owner)
        s->owner_n--;
    else
        count_out(s);
}

int thrum_scope_spawn_at(thrum_site *site, thrum_scope *scope, thrum_fn *fn, void *arg,
                         const thrum_spawn_opts *opts)
{
    struct thr_scope *s = of(scope);
    struct thr_worker *w = thr_worker_self();
    if (thr_load(&s->cancelled, THR_ACQUIRE))
        return -ECANCELED;
    struct thrum_task *task;
    int err = thr_runtime_task_new(
        w, &task, &(struct thr_task_origin){fn, arg, THR_TASK_CHILD, &s->limit, opts, site});
    if (err)
        return err;
    task->in.child.home = s;
    task->listed = false;
    bool by_owner = w->current == s->owner;
    if (by_owner)
        s->owner_n++;
    else
        thr_fetch_add(&s->others, 1, THR_RELAXED); /* the caller, a child, keeps it from 0 */
    err = thr_worker_spawn(w, task);
    if (!err) {
        thr_task_spend();
        return 0;
    }
    if (by_owner)
        s->owner_n--;
    else
        count_out(s);
    thr_runtime_task_drop(w, task);
    return err;
}

/* ---- Closing ---- */

static void await_children(struct thr_scope *s)
{
    if (s->owner_n > 0)
        thr_worker_run_children(s);
    /* acquire: what the children did before they counted themselves out */
    if (thr_load(&s->others, THR_ACQUIRE) + s->owner_n == OTHERS_BIAS)
        return;
    struct thr_waiter w;
    thr_wait_begin(&w, true); /* the children are cancelled, their owner waits for them */
    s->close_seq = w.seq;
    int64_t change = s->owner_n - OTHERS_BIAS;
    if (thr_fetch_add(&s->others, change, THR_ACQ_REL) + change == 0)
        thr_wait_abandon(); /* the last one came between: it fires nothing */
    else
        thr_wait_park(THRUM_NEVER);
}

size_t thrum_scope_errors_n(const thrum_scope *scope)
{
    struct thr_scope *s = (struct thr_scope *)(uintptr_t)scope;
    thr_lock(&s->lock);
    size_t n = s->errors_n;
    thr_unlock(&s->lock);
    return n;
}

int thrum_scope_close(thrum_scope *scope)
{
    struct thr_scope *s = of(scope);
    struct thrum_task *task = thr_task_self();
    THR_ASSERT(s->owner == task &&
               task->limit == &s->limit); /* innermost first, by who opened it */
    await_children(s);
    unlink_from_parent(s);
    task->limit = s->limit.outer;
    if (s->won)
        return s->value;
    if (s->first_error)
        return s->first_error;
    if (thr_load(&s->cancelled, THR_ACQUIRE))
        return -ECANCELED;
    return thr_load(fired_of(&s->limit), THR_RELAXED) ? -ETIMEDOUT : 0;
}

/* ---- Time limits ---- */

void thrum_timeout_begin(thrum_timeout *limit, uint64_t timeout_ns)
{
    struct thrum_task *task = thr_task_self();
    limit->own_ns = timeout_ns == THRUM_NEVER ? THRUM_NEVER : thr_clock_after(timeout_ns);
    limit->deadline_ns =
        limit->own_ns < task->limit->deadline_ns ? limit->own_ns : task->limit->deadline_ns;
    limit->scope = task->limit->scope;
    limit->outer = task->limit;
    limit->fired = 0;
    limit->kind = THR_LIMIT_TIME;
    task->limit = limit;
}

bool thrum_timeout_end(thrum_timeout *limit)
{
    struct thrum_task *task = thr_task_self();
    THR_ASSERT(task->limit == limit); /* innermost first */
    task->limit = limit->outer;
    return limit->own_ns == limit->deadline_ns && thr_load(fired_of(limit), THR_RELAXED);
}
