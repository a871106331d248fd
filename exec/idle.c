/* SPDX-License-Identifier: MIT */
#include "exec/idle.h"

#include "exec/clock.h"
#include "exec/fork.h"
#include "exec/pick.h"
#include "exec/runtime.h"

#include <sys/resource.h>

enum {
    SLEEPING_SHIFT = 16,
    SEARCHING_MASK = 0xFFFF,
    ONE_SLEEPING = 1 << SLEEPING_SHIFT,
    UP = ONE_SLEEPING - 1, /* subtracted: one sleeper less, one searcher more (P1) */
};

static const uint64_t STANDBY_NS = 300 * THRUM_MICROSECOND;

enum { BELL_AWAKE, BELL_SPINNING, BELL_ASLEEP, BELL_RUNG };
enum {
    SPIN_MAX_NS = 80 * 1000, /* twice what a wake-up takes: beyond, sleeping is cheaper */
    SPIN_PAYS_NS =
        130 * 1000, /* a usual idle time: with the wake-up in it that a spin would spare */
    USUAL_MAX_NS = 1000 * 1000, /* so that a few short idle times outweigh a long one */
    SPINS_A_LOOK = 64,          /* between two looks at the clock */
    SPIN_POLL_NS = 10 * 1000,   /* between two looks at I/O */
    SLEEP_MIN_NS =
        50 *
        1000, /* for a timer: sleeping and waking cost 5 us, and the next timers may come along */
    NO_SPIN = 200, /* times, once the core was taken away */
};

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
    /* -> spin() and fall_asleep(), acquire */
    if (thr_xchg(&w->idle.bell, BELL_RUNG, THR_ACQ_REL) == BELL_ASLEEP)
        w->rt->driver->wake(w->loop);
}

/* The right to wake one: true if somebody sleeps and nobody searches; then one of the sleepers counts as the searcher, whom
 * we are about to claim. */
static bool begin_waking(struct thr_runtime *rt)
{
    uint32_t word = thr_load(&rt->idle.word, THR_SEQ_CST); /* (A) */
    do {
        if (word < ONE_SLEEPING || (word & SEARCHING_MASK))
            return false; /* nobody to wake, or somebody who will look (P2) */
    } while (!thr_cas_weak(&rt->idle.word, &word, word - UP, THR_SEQ_CST, THR_SEQ_CST));
    return true;
}

void thr_idle_notify(struct thr_runtime *rt, struct thr_worker *by)
{
    while (begin_waking(rt)) {
        struct thr_worker *w = claim_any(rt);
        if (w) {
            if (by)
                thr_count(&by->counts.wakes, 1);
            wake_loop(w);
            return;
        }
        /* The one that slept is just getting up by itself. But while it counted as a searcher for us others have notified
         * nobody for its sake: so look again. */
        thr_fetch_add(&rt->idle.word, UP, THR_SEQ_CST);
    }
}

bool thr_idle_wake(struct thr_worker *w)
{
    if (!(thr_load(mask_word(w->rt, w->index), THR_SEQ_CST) & mask_bit(w->index))) /* (A) */
        return false;
    thr_fetch_sub(&w->rt->idle.word, UP, THR_SEQ_CST); /* before the claim: P1 */
    if (claim(w)) {
        wake_loop(w);
        return true;
    }
    thr_fetch_add(&w->rt->idle.word, UP, THR_SEQ_CST);
    thr_idle_notify(w->rt, NULL); /* as there: others have notified nobody meanwhile */
    return false;
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

unsigned thr_idle_count(const struct thr_runtime *rt, bool *asleep)
{
    uint32_t word = thr_load(&rt->idle.word, THR_RELAXED);
    *asleep = word >= ONE_SLEEPING && !(word & SEARCHING_MASK);
    return (word >> SLEEPING_SHIFT) + (word & SEARCHING_MASK);
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

void thr_idle_search_end(struct thr_worker *w, bool found)
{
    if (!w->searching)
        return;
    w->searching = false;
    uint32_t before = thr_fetch_sub(&w->rt->idle.word, 1, THR_SEQ_CST);
    if (!found || (before & SEARCHING_MASK) != 1 || before < ONE_SLEEPING)
        return;
    /* Somebody must also be the standby. */
    if (!thr_load(&w->rt->idle.standby, THR_SEQ_CST) || work_anywhere(w->rt))
        thr_idle_notify(w->rt, w); /* P3 */
}

static void lie_down(struct thr_worker *w)
{
    thr_store(&w->idle.bell, BELL_SPINNING, THR_RELAXED); /* the next line releases it */
    thr_fetch_or(mask_word(w->rt, w->index), mask_bit(w->index), THR_SEQ_CST);
    thr_fetch_add(&w->rt->idle.word, ONE_SLEEPING - (w->searching ? 1U : 0U), THR_SEQ_CST);
    w->searching = false;
}

static void get_up(struct thr_worker *w)
{
    thr_fetch_sub(&w->rt->idle.word, UP, THR_SEQ_CST);
    if (!claim(w))
        thr_fetch_add(&w->rt->idle.word, UP, THR_SEQ_CST); /* a notifier claimed and counted it */
    w->searching = true; /* until it has found something: P3 holds for whoever gets up */
    thr_store(&w->idle.bell, BELL_AWAKE, THR_RELAXED);
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
    if (thr_lane_rob(&victim->lane, out) > 0)
        thr_worker_publish(victim);
    thr_fork_rob(w, victim, out);
    thr_count(&w->counts.timers, thr_timers_expire(&victim->timers, now, out));
    w->rt->driver->poll(victim->loop, 0, out);
}

/* Nobody can be called stuck after a shorter time. */
static bool rescue_is_due(struct thr_runtime *rt, uint64_t now)
{
    return now - thr_load(&rt->idle.looked_ns, THR_RELAXED) >= STANDBY_NS;
}

static void rescue_all(struct thr_worker *w, uint64_t now, struct thr_wakeups *out)
{
    if (!rescue_is_due(w->rt, now))
        return;
    thr_store(&w->rt->idle.looked_ns, now, THR_RELAXED);
    for (unsigned i = 0; i < w->rt->workers_n; i++) {
        struct thr_worker *victim = &w->rt->workers[i];
        bool asleep = thr_load(mask_word(w->rt, i), THR_RELAXED) & mask_bit(i);
        if (victim != w && !asleep)
            rescue(w, victim, now, out);
    }
}

/* Before a worker rests: its idle times may each be too short for it to be the standby in one. */
static void look_after_others(struct thr_worker *w, uint64_t now, struct thr_wakeups *out)
{
    if (w->alone || !rescue_is_due(w->rt, now) || !standby_begin(w->rt))
        return;
    rescue_all(w, now, out);
    thr_store(&w->rt->idle.standby, 0, THR_RELEASE);
}

/* ---- Spinning ---- */

static bool was_rung(struct thr_worker *w)
{
    return thr_load(&w->idle.bell, THR_ACQUIRE) == BELL_RUNG;
}

/* Spins until the worker is rung, has an event, or it is over. Returns: how many events. */
static unsigned spin(struct thr_worker *w, uint64_t now, uint64_t until, struct thr_wakeups *ready)
{
    uint64_t poll_ns = now + SPIN_POLL_NS;
    while (now < until) {
        for (unsigned i = 0; i < SPINS_A_LOOK; i++) {
            if (was_rung(w))
                return 0;
            thr_cpu_relax();
        }
        now = thr_clock_now();
        if (now < poll_ns)
            continue;
        unsigned events = w->rt->driver->poll(w->loop, 0, ready);
        if (events)
            return events;
        poll_ns = now + SPIN_POLL_NS;
    }
    return 0;
}

/* A spin was for nothing: if the kernel wanted the core for others meanwhile, spinning does harm. */
static void regret(struct thr_worker *w)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0)
        return;
    long known = w->idle.involuntary_n; /* 0: none yet, else one more than there were */
    if (known && usage.ru_nivcsw != known - 1)
        w->idle.no_spin_n = NO_SPIN;
    w->idle.involuntary_n = usage.ru_nivcsw + 1;
}

static bool spin_pays(struct thr_worker *w)
{
    if (!w->rt->may_spin || w->idle.usual_ns > SPIN_PAYS_NS)
        return false;
    if (w->idle.no_spin_n == 0)
        return true;
    w->idle.no_spin_n--;
    return false;
}

static void learn(struct thr_worker *w, uint64_t idle_ns)
{
    if (idle_ns > USUAL_MAX_NS)
        idle_ns = USUAL_MAX_NS;
    w->idle.usual_ns += idle_ns / 4 - w->idle.usual_ns / 4;
}

/* ---- Sleeping ---- */

/* In the loop, if nobody has rung meanwhile. */
static void fall_asleep(struct thr_worker *w, uint64_t now, uint64_t next,
                        struct thr_wakeups *ready)
{
    uint32_t spinning = BELL_SPINNING;
    uint64_t timeout = next == THRUM_NEVER ? THRUM_NEVER : next > now ? next - now : 0;
    if (timeout < SLEEP_MIN_NS && timeout > 0)
        timeout = SLEEP_MIN_NS;
    bool standby = standby_begin(w->rt);
    if (standby && timeout > STANDBY_NS)
        timeout = STANDBY_NS;
    bool trims = thr_stacks_trim_watch(&w->rt->stacks, w->stacks, &timeout);
    unsigned events = 1;
    if (thr_cas(&w->idle.bell, &spinning, BELL_ASLEEP, THR_ACQ_REL, THR_ACQUIRE)) {
        thr_count(&w->counts.parks, 1);
        thr_count(&w->counts.polls, 1);
        events = w->rt->driver->poll(w->loop, timeout, ready);
    }
    if (trims)
        thr_stacks_trim_unwatch(&w->rt->stacks, events == 0 && !was_rung(w));
    if (!standby)
        return;
    rescue_all(w, thr_clock_now(), ready);
    thr_store(&w->rt->idle.standby, 0, THR_RELEASE); /* -> the next one's swap acquire: looked_ns */
}

static void rest(struct thr_worker *w, uint64_t now, struct thr_wakeups *ready)
{
    uint64_t next = thr_timers_sleep_until(&w->timers);
    if (spin_pays(w)) {
        uint64_t until = now + SPIN_MAX_NS < next ? now + SPIN_MAX_NS : next;
        if (spin(w, now, until, ready) || was_rung(w))
            return;
        regret(w);
        now = thr_clock_now();
    }
    fall_asleep(w, now, next, ready);
}

/* What the worker woke for by itself. One task alone runs next, here; others may be for others. */
static void take_up(struct thr_worker *w, struct thr_wakeups *ready)
{
    struct thrum_task *first = ready->head;
    w->to_sample = 1;
    if (!first || first->next) {
        thr_worker_enqueue_chain(w, first);
        return;
    }
    thr_worker_wake(w, ready);
}

void thr_idle_sleep(struct thr_worker *w)
{
    struct thr_wakeups ready = {0};
    uint64_t from = thr_clock_now();
    lie_down(w);
    if (!work_anywhere(w->rt)) {
        look_after_others(w, from, &ready);
        if (!ready.head)
            rest(w, from, &ready);
    }
    bool rung = was_rung(w) || ready.head;
    get_up(w);
    uint64_t now = thr_clock_now();
    learn(w, rung ? now - from : USUAL_MAX_NS); /* spinning does not make timers come sooner */
    w->tick_ns = w->polled_ns = now;
    w->tick_count = thr_load(&w->counts.picks, THR_RELAXED);
    thr_count(&w->counts.timers, thr_timers_expire(&w->timers, now, &ready));
    take_up(w, &ready);
}
