/* SPDX-License-Identifier: MIT */
/* A worker's queues: what is put where, and in which order tasks are picked. */
#include "exec/pick.h"

#include "exec/clock.h"
#include "exec/runtime.h"
#include "exec/util.h"

enum {
    TICK_NS = 50 * 1000,       /* the clock is looked at about so often */
    POLL_EVERY_NS = 50 * 1000, /* and the outside world */
    INJECTOR_BATCH = 128,
    FORKS_TURN_MAX = 128, /* tasks that a spawner's slice may put before the ring */

    /* Learning whether the lane is right for what is put there. */
    SAMPLE_EVERY = 64,
    LAY_TOO_LONG_NS = 100 * 1000, /* a slice */
    PUBLISH_FIRST = 64,
    PUBLISH_MAX = 1 << 16,
};

/* ---- Queueing ---- */

/* The ring is full: its older part and the task go where every worker looks. */
THR_NOINLINE void thr_worker_overflow(struct thr_worker *w, struct thrum_task *task)
{
    void *some[THR_RING_STEAL];
    uint32_t n = thr_ring_steal(&w->ring, some, THR_COUNT_OF(some));
    struct thrum_task *first = NULL;
    for (uint32_t i = n; i-- > 0;) {
        struct thrum_task *t = some[i];
        t->next = first ? first : task;
        first = t;
    }
    thr_injector_push(&w->rt->injector, first ? first : task, task, n + 1);
}

/* visible: the caller looks for sleepers next. */
static void push(struct thr_worker *w, struct thrum_task *task, bool visible)
{
    if (!thr_ring_push_as(&w->ring, task, visible))
        thr_worker_overflow(w, task);
}

static void notify(struct thr_worker *w)
{
    if (!w->alone)
        thr_idle_notify(w->rt, w);
}

void thr_worker_enqueue(struct thr_worker *w, struct thrum_task *task)
{
    push(w, task, !w->alone);
    notify(w);
}

void thr_worker_requeue(struct thr_worker *w, struct thrum_task *task)
{
    push(w, task, false);
}

/* All of a chain into the ring, and one wake-up for them together. */
void thr_worker_enqueue_chain(struct thr_worker *w, struct thrum_task *first)
{
    if (!first)
        return;
    for (struct thrum_task *t = first, *next; t; t = next) {
        next = t->next;
        push(w, t, !next && !w->alone); /* one in order for all: those before it are released */
    }
    notify(w);
}

/* ---- The lane ---- */

/* How many of the next tasks are to be published instead of kept: ever more if it goes on. */
void thr_worker_publish(struct thr_worker *w)
{
    uint32_t n = thr_load(&w->publish_next, THR_RELAXED);
    n = n ? n * 8 : PUBLISH_FIRST;
    if (n > PUBLISH_MAX)
        n = PUBLISH_MAX;
    thr_store(&w->publish_next, n, THR_RELAXED);
    thr_store(&w->publish, n, THR_RELAXED);
}

/* True if the task is to go where thieves find it. Otherwise it may be one of those whose stay is measured. */
static bool must_publish(struct thr_worker *w)
{
    uint32_t left = thr_load(&w->publish, THR_RELAXED);
    if (left > 0) {
        uint64_t picks = thr_load(&w->counts.picks, THR_RELAXED);
        if (picks !=
            w->publish_picks) /* else it computes on all the time: no reason to try again */
            thr_store(&w->publish, left - 1, THR_RELAXED);
        w->publish_picks = picks;
        w->to_sample = 1;
        return true;
    }
    if (--w->to_sample == 0) {
        w->to_sample = SAMPLE_EVERY;
        w->sampled_ns = w->alone ? 0 : thr_clock_now();
    }
    return false;
}

static THR_NOINLINE void judge_stay(struct thr_worker *w)
{
    uint64_t lay = thr_clock_now() - w->sampled_ns;
    w->sampled_ns = 0;
    if (lay > LAY_TOO_LONG_NS)
        thr_worker_publish(w);
    else
        thr_store(&w->publish_next, 0, THR_RELAXED);
}

/* A task left the lane: if a stay is being measured it ends. */
static void took(struct thr_worker *w)
{
    if (w->sampled_ns)
        judge_stay(w);
}

void thr_worker_wake(struct thr_worker *w, struct thr_wakeups *list)
{
    struct thrum_task *first = list->head;
    list->head = list->tail = NULL;
    if (first->next || must_publish(w)) {
        thr_worker_enqueue_chain(w, first);
        return;
    }
    /* Nobody is woken for it: it runs as soon as the waker suspends, and stays on its core, beside what the two share. */
    thr_lane_enter(&w->lane);
    struct thrum_task *before = thr_lane_swap(&w->lane.next, first);
    thr_lane_leave(&w->lane);
    if (before)
        thr_worker_enqueue(w, before);
}

int thr_worker_spawn(struct thr_worker *w, struct thrum_task *task)
{
    w->spawned_now++;
    if (must_publish(w)) {
        int err = thr_deque_push(&w->forks, task);
        notify(w);
        return err;
    }
    int err = 0;
    thr_lane_enter(&w->lane);
    struct thrum_task *before = thr_load(&w->lane.newest, THR_RELAXED);
    if (before)
        err = thr_deque_push(&w->forks, before);
    if (!err)
        thr_store(&w->lane.newest, task, THR_RELAXED);
    thr_lane_leave(&w->lane);
    if (before)
        notify(w);
    return err;
}

bool thr_worker_has_work(const struct thr_worker *w)
{
    return thr_ring_count(&w->ring) > 0 || thr_deque_count(&w->forks) > 0 ||
           !thr_inbox_is_empty(&w->inbox);
}

/* ---- Picking ---- */

/* So that the clock is looked at every TICK_NS or so, whether picks take 10 ns or 50 us. Returns: how many picks there were
 * since the last look. */
static uint64_t adapt_tick(struct thr_worker *w, uint64_t now)
{
    uint64_t count = thr_load(&w->counts.picks, THR_RELAXED), since = count - w->tick_count;
    uint64_t per_pick = (now - w->tick_ns) / (since + 1) + 1;
    uint64_t picks = TICK_NS / per_pick;
    if (picks < 1)
        picks = 1;
    if (picks > THR_TICK_PICKS_MAX)
        picks = THR_TICK_PICKS_MAX;
    w->picks_to_tick = (unsigned)picks;
    w->tick_count = count;
    w->tick_ns = now;
    return since;
}

/* As many as there is room for: more would overflow and go back. But always some: what overflows for them is what has been
 * in the ring for longest, so that a crowd larger than the ring goes round. Some is one for every four picks: few enough
 * that most of those that come to the head of the ring are run, not sent back. */
static uint32_t injector_share(const struct thr_worker *w, uint64_t picks)
{
    uint32_t room = (THR_RING - thr_ring_count(&w->ring)) / 2;
    uint32_t some = (uint32_t)(picks < THR_TICK_PICKS_MAX ? picks : THR_TICK_PICKS_MAX) / 4 + 1;
    if (room < some)
        return some;
    return room < INJECTOR_BATCH ? room : INJECTOR_BATCH;
}

void thr_worker_tick(struct thr_worker *w)
{
    uint64_t now = thr_clock_now();
    struct thr_wakeups ready = {0};
    uint64_t picks = adapt_tick(w, now);
    w->to_sample = 1;
    thr_count(&w->counts.timers, thr_timers_expire(&w->timers, now, &ready));
    if (now - w->polled_ns >= POLL_EVERY_NS) {
        w->polled_ns = now;
        thr_count(&w->counts.polls, 1);
        w->rt->driver->poll(w->loop, 0, &ready);
    }
    thr_worker_enqueue_chain(w, ready.head);
    thr_worker_enqueue_chain(w, thr_inbox_take_all(&w->inbox));
    thr_worker_enqueue_chain(w, thr_injector_take(&w->rt->injector, injector_share(w, picks)));
    if (!w->alone && thr_ring_count(&w->ring) > 0)
        thr_idle_notify(w->rt,
                        w); /* for those that went round without a word: thr_worker_requeue() */
}

void thr_worker_poll_soon(struct thr_worker *w)
{
    w->picks_to_tick = 1;
    w->polled_ns = 0;
    w->lane.batch_go = 0;
}

/* The rest are called between thr_lane_enter() and leave. */

static bool has_others(struct thr_worker *w)
{
    const struct thr_lane *l = &w->lane;
    return thr_load(&l->batch_at, THR_RELAXED) != thr_load(&l->batch_n, THR_RELAXED) ||
           thr_load(&l->newest, THR_RELAXED) || thr_ring_count(&w->ring) > 0 ||
           thr_deque_count(&w->forks) > 0;
}

static struct thrum_task *take_next(struct thr_worker *w)
{
    struct thrum_task *t = thr_load(&w->lane.next, THR_RELAXED);
    if (!t)
        return NULL;
    thr_store(&w->lane.next, NULL, THR_RELAXED);
    if (w->next_run++ < THR_NEXT_RUN_MAX)
        return t;
    w->next_run = 0;
    if (!has_others(w))
        return t;
    push(w, t, false);
    return NULL;
}

static struct thrum_task *take_newest(struct thr_worker *w)
{
    struct thrum_task *t = thr_load(&w->lane.newest, THR_RELAXED);
    if (!t)
        return thr_deque_pop(&w->forks);
    thr_store(&w->lane.newest, NULL, THR_RELAXED);
    return t;
}

static struct thrum_task *take_oldest(struct thr_worker *w)
{
    struct thrum_task *t = thr_deque_steal(&w->forks, NULL);
    return t ? t : take_newest(w);
}

/* As many as may run before the clock is looked at again. */
static void refill_batch(struct thr_worker *w)
{
    struct thr_lane *l = &w->lane;
    uint32_t max = w->picks_to_tick < THR_LANE_BATCH ? w->picks_to_tick : THR_LANE_BATCH;
    uint32_t n = thr_ring_pop_some(&w->ring, l->batch, max);
    thr_store(&l->batch_n, n, THR_RELAXED);
    thr_store(&l->batch_at, 0, THR_RELAXED);
    l->batch_go = n;
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(thr_load(&l->batch[i], THR_RELAXED));
    if (n > 1)
        w->picks_to_tick -= n - 1; /* the pick that refills has counted itself */
}

static struct thrum_task *take_from_batch(struct thr_worker *w)
{
    struct thr_lane *l = &w->lane;
    uint32_t at = thr_load(&l->batch_at, THR_RELAXED);
    if (at == thr_load(&l->batch_n, THR_RELAXED))
        return NULL;
    l->batch_go = thr_load(&l->batch_n, THR_RELAXED);
    thr_store(&l->batch_at, at + 1, THR_RELAXED);
    thr_worker_prefetch(l, at + 1);
    thr_worker_prefetch(l, at + 2);
    return thr_load(&l->batch[at], THR_RELAXED);
}

static struct thrum_task *take_queued(struct thr_worker *w)
{
    w->next_run = 0;
    w->inline_run = 0;
    if (w->forks_turn > 0) {
        struct thrum_task *t = take_newest(w);
        w->forks_turn = t ? w->forks_turn - 1 : 0;
        if (t)
            return t;
    }
    struct thrum_task *t = take_from_batch(w);
    if (t)
        return t;
    /* Between two batches one of the spawned tasks has its turn. */
    if (w->batches_n++ % 2 == 0) {
        t = w->batches_n % 8 == 1 ? take_oldest(w) : take_newest(w);
        if (t)
            return t;
    }
    refill_batch(w);
    t = take_from_batch(w);
    return t ? t : take_newest(w);
}

static struct thrum_task *take(struct thr_worker *w)
{
    struct thrum_task *t = take_next(w);
    if (!t)
        t = take_queued(w);
    thr_lane_leave(&w->lane);
    if (t)
        took(w);
    return t;
}

/* Fairness. In the ring a task waits, for each one before it there, for at most 5 picks (three from `next`, the ring's own,
 * and one of the spawned ones between two batches), and for the children that the one before spawned in its slice, at
 * most 128: they count as part of it. A spawned task waits for at most 512 picks for each one spawned before it, besides
 * such slices: the oldest is taken after every eighth batch of at most 16, whatever is spawned meanwhile; else the newest
 * goes first, which keeps fork-join trees small. Timers, inbox and injector are looked at every 61 picks at the latest
 * (those from `next`, at most three with each, do not count), more often when tasks take long, and I/O every 50 us; what
 * they bring goes to the end of the ring. When more tasks are ready than the ring holds the others wait in the injector,
 * of which one comes for every four picks at least. So nobody waits for ever, however the others behave. */
struct thrum_task *thr_worker_pick_more(struct thr_worker *w)
{
    if (--w->picks_to_tick == 0) {
        thr_lane_leave(&w->lane);
        thr_worker_tick(w);
        thr_lane_enter(&w->lane);
    }
    struct thrum_task *t = take(w);
    if (!t) {
        thr_worker_enqueue_chain(w, thr_inbox_take_all(&w->inbox));
        thr_worker_enqueue_chain(w, thr_injector_take(&w->rt->injector, INJECTOR_BATCH));
        thr_lane_enter(&w->lane);
        t = take(w);
    }
    if (t)
        thr_count(&w->counts.picks, 1);
    return t;
}

void thr_worker_forks_turn(struct thr_worker *w)
{
    w->forks_turn = w->spawned_now < FORKS_TURN_MAX ? w->spawned_now : FORKS_TURN_MAX;
    w->lane.batch_go = 0;
}

struct thrum_task *thr_worker_take_child(struct thr_worker *w, const struct thr_scope *scope)
{
    thr_lane_enter(&w->lane);
    struct thrum_task *t = thr_load(&w->lane.newest, THR_RELAXED);
    bool is_child = t && t->kind == THR_TASK_CHILD && t->in.child.home == scope;
    if (is_child)
        thr_store(&w->lane.newest, NULL, THR_RELAXED);
    thr_lane_leave(&w->lane);
    if (is_child)
        took(w);
    if (t)
        return is_child ? t : NULL;
    t = thr_deque_pop(&w->forks);
    if (!t || (t->kind == THR_TASK_CHILD && t->in.child.home == scope))
        return t;
    int err = thr_deque_push(&w->forks, t); /* into the place it has just left */
    THR_ASSERT(!err);
    notify(w); /* a thief may have looked while it was out */
    return NULL;
}

bool thr_worker_take_newest(struct thr_worker *w, const struct thrum_task *task)
{
    thr_lane_enter(&w->lane);
    bool newest = thr_load(&w->lane.newest, THR_RELAXED) == task;
    if (newest)
        thr_store(&w->lane.newest, NULL, THR_RELAXED);
    thr_lane_leave(&w->lane);
    if (newest)
        took(w);
    return newest;
}
