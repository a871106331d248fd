/* SPDX-License-Identifier: MIT */
#include "exec/idle.h"

#include "exec/clock.h"
#include "exec/runtime.h"

enum { SLEEPING_SHIFT = 16, SEARCHING_MASK = 0xFFFF, ONE_SLEEPING = 1 << SLEEPING_SHIFT };

static const uint64_t STANDBY_NS = THRUM_MILLISECOND;

static thr_au64 *mask_word(struct thr_runtime *rt, unsigned index)
{
    return &rt->idle.mask[index / 64];
}

static uint64_t mask_bit(unsigned index)
{
    return UINT64_C(1) << (index % 64);
}

/* Takes the worker out of the sleepers. Returns: true if it was one and this call did it (P1). */
static bool claim(struct thr_worker *w)
{
    uint64_t bit = mask_bit(w->index);
    if (!(thr_load(mask_word(w->rt, w->index), THR_SEQ_CST) & bit)) /* (A) */
        return false;
    return (thr_fetch_and(mask_word(w->rt, w->index), ~bit, THR_SEQ_CST) & bit) != 0;
}

/* Claims any sleeper; NULL if all were claimed meanwhile. */
static struct thr_worker *claim_any(struct thr_runtime *rt)
{
    for (unsigned i = 0; i * 64 < rt->workers_n; i++) {
        uint64_t bits;
        while ((bits = thr_load(&rt->idle.mask[i], THR_SEQ_CST)) != 0) {
            struct thr_worker *w = &rt->workers[i * 64 + (unsigned)__builtin_ctzll(bits)];
            if (claim(w))
                return w;
        }
    }
    return NULL;
}

static void wake_loop(struct thr_worker *w)
{
    w->rt->driver->wake(w->loop);
}

/* The right to wake one: true if somebody sleeps and nobody searches; then we count as the searcher, in the name of the one
 * we are about to wake. */
static bool begin_waking(struct thr_runtime *rt)
{
    uint32_t word = thr_load(&rt->idle.word, THR_SEQ_CST); /* (A) */
    do {
        if (word < ONE_SLEEPING || (word & SEARCHING_MASK))
            return false; /* nobody to wake, or somebody who will look (P2) */
    } while (!thr_cas_weak(&rt->idle.word, &word, word + 1, THR_SEQ_CST, THR_SEQ_CST));
    return true;
}

void thr_idle_notify(struct thr_runtime *rt, struct thr_worker *by)
{
    while (begin_waking(rt)) {
        struct thr_worker *w = claim_any(rt);
        if (w) {
            thr_fetch_sub(&rt->idle.word, ONE_SLEEPING, THR_SEQ_CST);
            if (by)
                thr_count(&by->counts.wakes, 1);
            wake_loop(w);
            return;
        }
        /* The one that slept is just getting up by itself. But while we counted as a searcher others have notified nobody
         * for our sake: so look again. */
        thr_fetch_sub(&rt->idle.word, 1, THR_SEQ_CST);
    }
}

bool thr_idle_wake(struct thr_worker *w)
{
    if (!claim(w))
        return false;
    /* Its name is off the list of sleepers and on that of searchers, as if notified. */
    thr_fetch_sub(&w->rt->idle.word, ONE_SLEEPING - 1, THR_SEQ_CST);
    wake_loop(w);
    return true;
}

void thr_idle_wake_all(struct thr_runtime *rt)
{
    for (unsigned i = 0; i < rt->workers_n; i++)
        thr_idle_wake(&rt->workers[i]);
}

bool thr_idle_search_begin(struct thr_worker *w)
{
    if (w->searching)
        return true;
    uint32_t word = thr_load(&w->rt->idle.word, THR_RELAXED);
    do {
        if (2 * (word & SEARCHING_MASK) >= w->rt->workers_n)
            return false; /* P4 */
    } while (!thr_cas_weak(&w->rt->idle.word, &word, word + 1, THR_SEQ_CST, THR_RELAXED));
    w->searching = true;
    return true;
}

void thr_idle_search_end(struct thr_worker *w, bool found)
{
    if (!w->searching)
        return;
    w->searching = false;
    uint32_t before = thr_fetch_sub(&w->rt->idle.word, 1, THR_SEQ_CST);
    if (found && (before & SEARCHING_MASK) == 1)
        thr_idle_notify(w->rt, w); /* P3 */
}

/* Loads of all queues, each seq_cst (A). */
static bool work_anywhere(struct thr_runtime *rt)
{
    if (thr_runtime_may_be_over(rt) || !thr_injector_is_empty(&rt->injector))
        return true;
    for (unsigned i = 0; i < rt->workers_n; i++)
        if (thr_worker_has_work(&rt->workers[i]))
            return true;
    return false;
}

static void lie_down(struct thr_worker *w)
{
    thr_fetch_or(mask_word(w->rt, w->index), mask_bit(w->index), THR_SEQ_CST);
    thr_fetch_add(&w->rt->idle.word, ONE_SLEEPING - (w->searching ? 1U : 0U), THR_SEQ_CST);
    w->searching = false;
}

static void get_up(struct thr_worker *w)
{
    if (claim(w))
        thr_fetch_sub(&w->rt->idle.word, ONE_SLEEPING, THR_SEQ_CST);
    else
        w->searching = true; /* a notifier claimed it and counts it as a searcher (P2) */
}

static bool standby_begin(struct thr_runtime *rt)
{
    uint32_t nobody = 0;
    return thr_load(&rt->idle.word, THR_RELAXED) >> SLEEPING_SHIFT < rt->workers_n &&
           thr_cas(&rt->idle.standby, &nobody, 1, THR_ACQUIRE, THR_RELAXED);
}

/* Takes over what a worker has left lying that has not picked a task since the last look. */
static void rescue(struct thr_worker *w, struct thr_worker *victim, uint64_t now,
                   struct thr_wakeups *out)
{
    uint64_t picks = thr_load(&victim->counts.picks, THR_RELAXED);
    if (picks != thr_load(&victim->seen_picks, THR_RELAXED)) {
        thr_store(&victim->seen_picks, picks, THR_RELAXED);
        return;
    }
    if (thr_load(&victim->next, THR_RELAXED)) {
        struct thrum_task *t = thr_xchg(&victim->next, NULL, THR_ACQ_REL);
        if (t)
            thr_wakeups_add(out, t);
    }
    thr_count(&w->counts.timers, thr_timers_expire(&victim->timers, now, out));
    w->rt->driver->poll(victim->loop, 0, out);
}

static void rescue_all(struct thr_worker *w, struct thr_wakeups *out)
{
    uint64_t now = thr_clock_now();
    if (now - w->rt->idle.looked_ns < STANDBY_NS)
        return; /* woken early: nobody can be called stuck after so short a time */
    w->rt->idle.looked_ns = now;
    for (unsigned i = 0; i < w->rt->workers_n; i++) {
        struct thr_worker *victim = &w->rt->workers[i];
        bool asleep = thr_load(mask_word(w->rt, i), THR_RELAXED) & mask_bit(i);
        if (victim != w && !asleep)
            rescue(w, victim, now, out);
    }
}

static uint64_t time_to_sleep(const struct thr_worker *w)
{
    uint64_t next = thr_timers_next(&w->timers);
    if (next == THRUM_NEVER)
        return THRUM_NEVER;
    uint64_t now = thr_clock_now();
    return next > now ? next - now : 0;
}

static void sleep_in_loop(struct thr_worker *w, struct thr_wakeups *ready)
{
    uint64_t timeout = time_to_sleep(w);
    bool standby = standby_begin(w->rt);
    if (standby && timeout > STANDBY_NS)
        timeout = STANDBY_NS;
    thr_count(&w->counts.parks, 1);
    thr_count(&w->counts.polls, 1);
    unsigned events = w->rt->driver->poll(w->loop, timeout, ready);
    if (!standby)
        return;
    if (events == 0)
        rescue_all(w, ready);
    thr_store(&w->rt->idle.standby, 0, THR_RELEASE); /* -> the next one's swap acquire: looked_ns */
}

void thr_idle_sleep(struct thr_worker *w)
{
    struct thr_wakeups ready = {0};
    lie_down(w);
    if (!work_anywhere(w->rt))
        sleep_in_loop(w, &ready);
    get_up(w);
    w->polled_ns = thr_clock_now();
    thr_count(&w->counts.timers, thr_timers_expire(&w->timers, w->polled_ns, &ready));
    for (struct thrum_task *t = ready.head, *next; t; t = next) {
        next = t->next;
        thr_worker_enqueue(w, t);
    }
}
