/* SPDX-License-Identifier: MIT */
#include "exec/fork.h"

#include "exec/clock.h"
#include "exec/runtime.h"
#include "exec/util.h"

#include <errno.h>
#include <thrum/time.h>

enum {
    /* A worker that is woken for a fork costs some 15 us and may find that it was joined meanwhile. So a worker wakes
     * no other for this long, unless one of its forks was really run elsewhere. The standby worker looks for itself. */
    QUIET_NS = 250 * 1000,
};

static thr_aptr *worker_of(thrum_forked *f)
{
    return (thr_aptr *)(void *)&f->worker;
}

/* A fork gets as much stack as its parent was promised: stacks are larger than that by what parents may have used up. */
static const char *floor_of(const struct thr_worker *w)
{
    const struct thrum_task *task = w->current;
    return task->stack->bottom + w->rt->stacks.pools[task->stack_class].promised_bytes;
}

static inline __attribute__((always_inline)) bool has_room(const struct thr_worker *w)
{
    return !w || !w->current || (const char *)__builtin_frame_address(0) >= floor_of(w);
}

/* ---- Sharing ---- */

/* The task that a fork becomes if it is shared. */
static int run_shared(void *arg)
{
    thrum_forked *f = arg;
    if (!thr_fork_claim(thr_task_self(), THR_CLAIM_RUNNER))
        return 0; /* its parent has run it */
    return f->fn(f->arg);
}

/* Gives the fork a record. Returns: it, or NULL. Context: worker w, with the right to the fork's list or as its parent. */
static struct thrum_task *record_new(struct thr_worker *w, thrum_forked *f)
{
    struct thrum_task *t;
    const struct thr_task_origin from = {
        .fn = run_shared, .arg = f, .kind = THR_TASK_FORK, .limit = f->limit};
    if (thr_runtime_task_new(w, &t, &from) != 0)
        return NULL;
    struct thr_scope *scope = f->limit->scope;
    t->stack_class = (uint8_t)f->result;
    t->in.child.home = scope;
    t->listed = scope->owner == NULL; /* the root does not list its tasks */
    thr_store(&t->claim, THR_CLAIM_OPEN, THR_RELAXED);
    thr_store(thr_fork_state(f), THR_FORK_SHARED, THR_RELAXED);
    f->task = t;
    return t;
}

/* Puts the fork into the worker's deque. Returns: false if there is no memory. */
static bool share(struct thr_worker *w, thrum_forked *f)
{
    struct thrum_task *t = record_new(w, f);
    if (!t)
        return false;
    if (thr_deque_push(&w->forks, t) != 0) {
        f->task = NULL;
        thr_runtime_task_drop(w, t);
        return false;
    }
    thr_store(worker_of(f), NULL, THR_RELAXED);
    return true;
}

static bool may_wake(struct thr_worker *w)
{
    uint64_t now = thr_clock_now();
    if (now < w->split.quiet_ns)
        return false;
    w->split.quiet_ns = now + QUIET_NS;
    return true;
}

/* Some workers have nothing to do: shares old forks until each of them could find one. */
static THR_NOINLINE void feed(struct thr_worker *w)
{
    bool asleep;
    unsigned idle_n = thr_idle_count(w->rt, &asleep);
    unsigned shared_n = 0;
    thr_lane_enter(&w->lane);
    thrum_forked *f;
    while ((f = thr_split_oldest(&w->split)) != NULL && thr_deque_count(&w->forks) < idle_n) {
        if (!share(w, f))
            break; /* no memory: it stays private */
        thr_split_drop_oldest(&w->split);
        shared_n++;
    }
    thr_lane_leave(&w->lane);
    if (shared_n > 0 && asleep && may_wake(w))
        thr_idle_notify(w->rt, w);
}

static inline bool somebody_is_idle(const struct thr_worker *w)
{
    return THR_UNLIKELY(thr_load(&w->rt->idle.word, THR_RELAXED) != 0);
}

THR_NOINLINE void thr_fork_share_all(struct thr_worker *w)
{
    thrum_forked *f;
    thr_lane_enter(&w->lane);
    while ((f = thr_split_oldest(&w->split)) != NULL) {
        if (!share(w, f))
            thr_store(worker_of(f), NULL, THR_RELAXED); /* held: it runs at its join */
        thr_split_drop_oldest(&w->split);
    }
    thr_lane_leave(&w->lane);
    if (!w->alone)
        thr_idle_notify(w->rt, w);
}

void thr_fork_rob(struct thr_worker *w, struct thr_worker *victim, struct thr_wakeups *out)
{
    if (!thr_load(&victim->split.newest, THR_RELAXED) || !thr_lane_claim(&victim->lane))
        return;
    bool asleep;
    thrum_forked *f;
    for (unsigned n = thr_idle_count(w->rt, &asleep); n > 0; n--) {
        f = thr_split_oldest(&victim->split);
        struct thrum_task *t = f ? record_new(w, f) : NULL;
        if (!t)
            break;
        thr_store(worker_of(f), NULL, THR_RELEASE); /* (B) */
        thr_split_drop_oldest(&victim->split);
        thr_wakeups_add(out, t);
    }
    thr_lane_release(&victim->lane);
}

/* ---- The end of a record ---- */

void thr_fork_done(struct thr_worker *w, struct thrum_task *record, int result)
{
    thrum_forked *f = record->u.arg;
    if (thr_load(&record->claim, THR_RELAXED) != THR_CLAIM_RUNNER &&
        !thr_fork_claim(record, THR_CLAIM_RUNNER)) {
        thr_task_free(&w->rt->tasks, &w->tasks, record); /* F3 */
        return;
    }
    thr_scope_unlist_child(record);
    if (!thr_fork_finish(f, result))
        return;
    struct thr_wakeups out = {0};
    const struct thr_waiter *joiner = f->with.joiner;
    thr_waiter_fire(joiner, THR_FIRED_OK, &out); /* F4 */
    thr_wakeups_run(&out);
}

/* ---- Forking ---- */

/* Where forks have too little stack left. If a scope's child forks on the stack of its parent, which has forks as well, the
 * higher floor of the two counts from then on. */
static void note_floor(struct thr_worker *w)
{
    const char *floor = floor_of(w);
    if (!thr_split_newest(&w->split) || floor > w->split.floor)
        w->split.floor = floor;
    w->split.stack_class = w->current->stack_class;
}

/* The first of the task, or somebody wants it. */
static THR_NOINLINE void fork_slowly(struct thr_worker *w, thrum_forked *f)
{
    thr_lane_enter(&w->lane);
    note_floor(w);
    thr_split_push(&w->split, f);
    thr_lane_leave(&w->lane);
    if (somebody_is_idle(w))
        feed(w);
}

/* Its path for a private fork, and that of thrum_join_fork(), need no register saved: all else is in functions that they
 * leave for. */
void thrum_fork(thrum_forked *f, thrum_fn *fn, void *arg)
{
    struct thr_worker *w = thr_worker_self();
    f->fn = fn;
    f->arg = arg;
    f->task = NULL;
    if (THR_UNLIKELY(!w || !w->current)) {
        thr_store(worker_of(f), NULL, THR_RELAXED);
        return;
    }
    struct thr_split *s = &w->split;
    uint8_t class = w->current->stack_class;
    f->limit = w->current->limit;
    f->result = class; /* until it has one */
    thr_store(worker_of(f), w, THR_RELAXED);
    if (somebody_is_idle(w) || s->stack_class != class || !thr_lane_try_enter(&w->lane)) {
        fork_slowly(w, f);
        return;
    }
    thrum_forked *before = thr_split_newest(s);
    if (THR_LIKELY(before))
        thr_split_push(s, f);
    thr_lane_leave(&w->lane);
    if (THR_UNLIKELY(!before))
        fork_slowly(w, f);
}

/* ---- Joining ---- */

/* If the fork is private it is held from here on. */
static void withdraw(struct thr_worker *w, thrum_forked *f)
{
    thr_lane_enter(&w->lane);
    if (thr_load(worker_of(f), THR_RELAXED)) { /* no robber was faster */
        thr_split_remove(&w->split, f);
        thr_store(worker_of(f), NULL, THR_RELAXED);
    }
    thr_lane_leave(&w->lane);
}

/* Claims a shared fork for its parent. Its record usually is the newest in the deque; else it is left to the runner. */
static bool take_back(struct thr_worker *w, thrum_forked *f)
{
    if (!thr_fork_claim(f->task, THR_CLAIM_PARENT)) {
        w->split.quiet_ns = 0; /* waking somebody was of use */
        return false;
    }
    struct thrum_task *t = thr_deque_pop(&w->forks);
    if (t == f->task) {
        thr_runtime_task_drop(w, t);
    } else if (t) {
        int err = thr_deque_push(&w->forks, t); /* into the place it has just left */
        THR_ASSERT(!err);
        if (!w->alone)
            thr_idle_notify(w->rt, w); /* a thief may have looked while it was out */
    }
    return true;
}

/* Waits for a fork that has become a task. */
static int await_task(thrum_forked *f)
{
    if (thr_load(thr_fork_state(f), THR_ACQUIRE) != THR_FORK_DONE) { /* (C) */
        struct thr_waiter waiter;
        thr_wait_begin(&waiter, true);
        f->with.joiner = &waiter;
        if (thr_fork_await(f))
            thr_wait_park(THRUM_NEVER);
        else
            thr_wait_abandon();
    }
    struct thr_worker *w = thr_worker_self();
    thr_task_free(&w->rt->tasks, &w->tasks, f->task); /* F5 */
    return f->result;
}

/* The limits around the join are those around the fork: a runner's task uses them too. */
static bool joins_where_it_forked(const thrum_forked *f)
{
    return thr_task_self()->limit == f->limit;
}

static THR_NOINLINE int join_slowly(thrum_forked *f)
{
    struct thr_worker *w = thr_worker_self();
    if (thr_load(worker_of(f), THR_ACQUIRE)) /* (B) */
        withdraw(w, f);
    if (!f->task) {
        if (w && w->current)
            feed(w);
        if (has_room(w))
            return f->fn(f->arg);
        if (!share(w, f))
            return -ENOMEM;
    } else {
        THR_ASSERT(joins_where_it_forked(f));
        if (has_room(w) && take_back(w, f))
            return f->fn(f->arg);
    }
    return await_task(f);
}

int thrum_join_fork(thrum_forked *f)
{
    struct thr_worker *w = thr_load(worker_of(f), THR_RELAXED); /* join_slowly() looks again */
    if (THR_UNLIKELY(!w) || somebody_is_idle(w) || !thr_lane_try_enter(&w->lane))
        return join_slowly(f);
    THR_DEBUG_ASSERT(w == thr_worker_self() && joins_where_it_forked(f)); /* F2 */
    struct thr_split *s = &w->split;
    bool first = thr_split_newest(s) == f && (const char *)__builtin_frame_address(0) >= s->floor;
    if (THR_LIKELY(first))
        thr_split_set_newest(s, f->older);
    thr_lane_leave(&w->lane);
    return THR_LIKELY(first) ? f->fn(f->arg) : join_slowly(f);
}

int thrum_join_all(thrum_forked *forks, size_t forks_n)
{
    int first = 0;
    for (size_t i = forks_n; i-- > 0;) {
        forks[i].result = thrum_join_fork(&forks[i]);
        if (forks[i].result < 0)
            first = forks[i].result;
    }
    return first;
}
