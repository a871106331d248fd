/* SPDX-License-Identifier: MIT */
/* How a worker that has run out of tasks takes some from the others. */
#include "exec/pick.h"
#include "exec/runtime.h"
#include "exec/util.h"
#include "exec/worker.h"

enum { STEAL_FORKS_MAX = 16, SEARCH_ROUNDS = 4 };

static struct thrum_task *steal_ring(struct thr_worker *w, struct thr_worker *victim)
{
    void *got[THR_RING_STEAL];
    uint32_t n = thr_ring_steal(&victim->ring, got, THR_COUNT_OF(got));
    if (n == 0)
        return NULL;
    thr_count(&w->counts.steals, n);
    for (uint32_t i = 1; i < n; i++) {
        bool pushed = thr_ring_push(&w->ring, got[i]);
        if (!pushed)
            thr_worker_overflow(w, got[i]);
    }
    return got[0];
}

/* Some of the oldest: they tend to stand for the most work. */
static struct thrum_task *steal_forks(struct thr_worker *w, struct thr_worker *victim)
{
    size_t want = (thr_deque_count(&victim->forks) + 1) / 2;
    if (want > STEAL_FORKS_MAX)
        want = STEAL_FORKS_MAX;
    struct thrum_task *first = NULL;
    for (size_t i = 0; i < want; i++) {
        struct thrum_task *t = thr_deque_steal(&victim->forks, NULL);
        if (!t)
            break;
        thr_count(&w->counts.steals, 1);
        if (!first)
            first = t;
        else if (thr_deque_push(&w->forks, t) != 0)
            thr_worker_overflow(w, t); /* no memory to grow: the injector needs none */
    }
    return first;
}

static struct thrum_task *steal_from(struct thr_worker *w, struct thr_worker *victim)
{
    struct thrum_task *t = steal_ring(w, victim);
    if (!t)
        t = steal_forks(w, victim);
    if (!t) {
        t = thr_inbox_take_all(&victim->inbox);
        if (t) {
            thr_worker_enqueue_chain(w, t->next);
            t->next = NULL;
            thr_count(&w->counts.steals, 1);
        }
    }
    return t;
}

static struct thrum_task *steal_round(struct thr_worker *w)
{
    unsigned n = w->rt->workers_n;
    unsigned start = thr_random_below(&w->random, n);
    for (unsigned i = 0; i < n; i++) {
        struct thr_worker *victim = &w->rt->workers[(start + i) % n];
        struct thrum_task *t = victim == w ? NULL : steal_from(w, victim);
        if (t) {
            thr_count(&w->counts.picks, 1);
            return t;
        }
    }
    return NULL;
}

/* Looks for work elsewhere. The worker stays a searcher if it finds none: it stops in thr_idle_sleep(), which looks
 * everywhere once more. */
struct thrum_task *thr_worker_search(struct thr_worker *w)
{
    if (w->rt->workers_n == 1 || !thr_idle_search_begin(w))
        return NULL;
    for (unsigned round = 0; round < SEARCH_ROUNDS; round++) {
        struct thrum_task *t = steal_round(w);
        if (t)
            return t;
        for (unsigned i = 0; i < 8U << round; i++)
            thr_cpu_relax(); /* hammering would triple the victims' costs */
    }
    return NULL;
}
