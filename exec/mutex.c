/* SPDX-License-Identifier: MIT */
/* The mutex. One compare-and-swap locks it and one unlocks it while nobody waits.
 *
 * Whoever comes by while it is free may take it, also before those that wait: else each unlock would cost a switch of
 * tasks. An unlock wakes the first that waits, one at a time; that one tries, and if it was too late is first in line
 * again. Each unlock that lets others pass is counted, and after PASSES_MAX of them it is kept for the woken one.
 *
 * Word        HELD     somebody has it (or HANDED)
 *             WAITERS  the list is not empty (waitq.h, Q2)
 *             WOKEN    a waiter was woken and has not tried yet
 *             HANDED   only with HELD and WOKEN: it belongs to the woken one, who has not seen that yet
 *             above    the number of unlocks since there has been a first in line
 * Invariants  M1  WOKEN is set by the holder's unlock under the lock, if it is not set, with the one waiter that it fired;
 *                 that one alone clears it. So an unlock that finds WOKEN set need not wake anybody: the woken one will look
 *                 at the word again, and if it goes back to the list it clears WOKEN in the same step that sees HELD, so
 *                 that the holder's unlock sees a waiter to wake.
 *             M2  with HELD and the lock the word changes for nobody but who holds both.
 *             M3  who was woken is not subject to cancel or time until it has tried: what is handed to it is not lost.
 * Ordering    (A) unlock, compare-and-swap or store release  ->  (B) lock, compare-and-swap acquire */
#include "exec/running.h"
#include "exec/runtime.h"
#include "exec/util.h"
#include "exec/waitq.h"

enum {
    HELD = 1,
    WAITERS = 2,
    WOKEN = 4,
    HANDED = 8,
    PASS = 16,
    PASSES = ~15,
    PASSES_MAX = THRUM_MUTEX_PASSES_MAX,
    SPINS_MAX = 5, /* rounds, each twice as long as the one before: less than a microsecond */
};

/* ---- Taking it ---- */

/* Takes it if it is free, whoever waits. */
static bool barge(struct thr_waitq *q)
{
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    while (!(v & HELD))
        if (thr_cas_weak(&q->word, &v, v | HELD, THR_ACQUIRE, THR_RELAXED)) /* (B) */
            return true;
    return false;
}

/* Takes it if it is free, or handed to the caller, who was woken. Otherwise, with the lock held and `queue`, notes that
 * the caller is going to wait, in the same step (M1). */
static bool take(struct thr_waitq *q, bool woken, bool queue)
{
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    for (;;) {
        bool got = !(v & HELD) || (woken && (v & HANDED));
        if (!got && !queue)
            return false;
        uint32_t next = got ? v | HELD : v | WAITERS;
        if (woken)
            next &= ~(uint32_t)(got ? WOKEN | HANDED | PASSES : WOKEN);
        if (thr_cas_weak(&q->word, &v, next, THR_ACQUIRE, THR_RELAXED)) /* (B) */
            return got;
    }
}

/* A holder on another core is often out of it sooner than this task could be switched. */
static bool spin(struct thr_waitq *q)
{
    if (thr_worker_self()->rt->workers_n == 1)
        return false;
    for (unsigned round = 0; round < SPINS_MAX; round++) {
        for (unsigned i = 0; i < 1u << round; i++)
            thr_cpu_relax();
        if (thr_load(&q->word, THR_RELAXED) & HANDED)
            return false;
        if (barge(q))
            return true;
    }
    return false;
}

static THR_NOINLINE int lock_slow(struct thr_waitq *q, bool shielded)
{
    if (barge(q) || spin(q))
        return 0;
    for (bool woken = false;; woken = true) {
        thr_lock(&q->lock);
        if (take(q, woken, true)) {
            thr_unlock(&q->lock);
            return 0;
        }
        struct thr_waiter w;
        thr_wait_begin(&w, shielded);
        if (woken)
            thr_waitlist_push_first(&q->list, &w);
        else
            thr_waitlist_push(&q->list, &w);
        thr_unlock(&q->lock);
        int err = thr_waitq_park(q, &q->list, &w);
        if (err) {
            thr_waitq_mend(q, WAITERS);
            thr_unlock(&q->lock);
            return err;
        }
        if (take(q, true, false))
            return 0;
    }
}

static int lock(thrum_mutex *m, bool shielded)
{
    struct thr_waitq *q = thr_waitq(&m->q);
    thr_task_spend(); /* before it is held: a task that yields with the mutex makes the others queue up */
    uint32_t v = 0;
    if (THR_LIKELY(thr_cas(&q->word, &v, HELD, THR_ACQUIRE, THR_RELAXED))) /* (B) */
        return 0;
    return lock_slow(q, shielded);
}

int thrum_mutex_lock(thrum_mutex *m)
{
    int err = thr_task_cancelled();
    return err ? err : lock(m, false);
}

void thrum_mutex_lock_shielded(thrum_mutex *m)
{
    int err = lock(m, true);
    THR_ASSERT(!err);
}

bool thrum_mutex_trylock(thrum_mutex *m)
{
    return barge(thr_waitq(&m->q));
}

/* ---- Giving it up ---- */

/* The word once the holder is out and somebody waits or was woken. */
static uint32_t released(uint32_t v)
{
    bool passed_over = (v & (uint32_t)PASSES) / PASS >= PASSES_MAX;
    return passed_over ? v | HANDED : (v & ~(uint32_t)HELD) + PASS;
}

/* Releases it and wakes the first that waits. Returns: false if nobody does any more: it is still held. */
static bool release_and_wake(struct thr_waitq *q)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    bool woke = thr_waitlist_fire_one(&q->list, THR_FIRED_OK, &out, NULL);
    uint32_t v = thr_load(&q->word, THR_RELAXED); /* M2 */
    if (!q->list.head)
        v &= ~(uint32_t)WAITERS;
    thr_store(&q->word, woke ? released(v) | WOKEN : v, THR_RELEASE); /* (A) */
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    return woke;
}

static THR_NOINLINE void unlock_slow(struct thr_waitq *q, uint32_t v)
{
    for (;;) {
        THR_ASSERT((v & HELD) && !(v & HANDED)); /* it is locked */
        if ((v & (WAITERS | WOKEN)) == WAITERS) {
            if (release_and_wake(q))
                return;
            v = thr_load(&q->word, THR_RELAXED);
        } else {
            uint32_t next = v & WOKEN ? released(v) : 0;
            if (thr_cas_weak(&q->word, &v, next, THR_RELEASE, THR_RELAXED)) /* (A), Q3 */
                return;
        }
    }
}

void thrum_mutex_unlock(thrum_mutex *m)
{
    struct thr_waitq *q = thr_waitq(&m->q);
    uint32_t v = HELD;
    if (THR_UNLIKELY(!thr_cas(&q->word, &v, 0, THR_RELEASE, THR_RELAXED))) /* (A), Q3 */
        unlock_slow(q, v);
}
