/* SPDX-License-Identifier: MIT */
/* The semaphore. While nobody waits, taking and giving permits is one compare-and-swap each.
 *
 * Word        WAITERS (waitq.h, Q2), above it the number of permits.
 * Invariants  S1  with WAITERS set the word changes under the lock only: who comes later goes to the end of the list, also if
 *                 there are permits, so that one who asks for many gets them although others ask for few.
 *             S2  with the lock free the first that waits asks for more than there are. So whoever gives permits, or leaves
 *                 the list, serves those that are first now.
 *             S3  a waiter that is fired has got its permits; one that was not has taken none.
 * Ordering    (A) release, compare-and-swap or store release  ->  (B) acquire, compare-and-swap acquire; a waiter that was
 *                 fired: wait.h (A), (B) */
#include "exec/running.h"
#include "exec/util.h"
#include "exec/waitq.h"

#include <string.h>

enum {
    WAITERS = 1,
    ONE = 2,
    PERMITS_MAX = INT32_MAX,
};

struct asking {
    struct thr_waiter w; /* first: the list knows only this */
    uint32_t n;
};

void thrum_sem_init(thrum_sem *s, uint32_t permits)
{
    THR_ASSERT(permits <= PERMITS_MAX);
    memset(s, 0, sizeof(*s));
    s->q.extra = permits * ONE;
}

/* ---- Taking ---- */

/* Takes n permits if there are so many and nobody waits. Otherwise, with the lock held and `queue`, notes that the caller
 * is going to wait. */
static bool take(struct thr_waitq *q, uint32_t n, bool queue)
{
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    for (;;) {
        bool got = !(v & WAITERS) && v / ONE >= n;
        if (!got && !queue)
            return false;
        if (thr_cas_weak(&q->word, &v, got ? v - n * ONE : v | WAITERS, THR_ACQUIRE, /* (B) */
                         THR_RELAXED))
            return got;
    }
}

/* With the lock held: gives what there is to those that are first (S2). Only if somebody waits, or just has: else the word
 * is not ours alone. */
static void serve(struct thr_waitq *q, uint32_t permits, struct thr_wakeups *out)
{
    for (struct thr_waiter *w; (w = q->list.head) != NULL;) {
        uint32_t n = ((struct asking *)(void *)w)->n;
        if (n > permits)
            break;
        thr_waitlist_pop(&q->list);
        if (thr_waiter_fire(w, THR_FIRED_OK, out))
            permits -= n; /* S3 */
    }
    thr_store(&q->word, permits * ONE + (q->list.head ? WAITERS : 0), THR_RELEASE); /* (A) */
}

static int acquire_slow(struct thr_waitq *q, uint32_t n)
{
    struct asking a = {.n = n};
    thr_lock(&q->lock);
    if (take(q, n, true)) {
        thr_unlock(&q->lock);
        return 0;
    }
    thr_wait_begin(&a.w, false);
    thr_waitlist_push(&q->list, &a.w);
    thr_unlock(&q->lock);
    int err = thr_waitq_park(q, &q->list, &a.w);
    if (err) {
        struct thr_wakeups out = {0};
        uint32_t v = thr_load(&q->word, THR_RELAXED);
        if (v & WAITERS) /* S1; else a release has found that nobody waits, us included */
            serve(q, v / ONE, &out);
        thr_unlock(&q->lock);
        thr_wakeups_run(&out);
    }
    return err;
}

int thrum_sem_acquire_n(thrum_sem *s, uint32_t n)
{
    struct thr_waitq *q = thr_waitq(&s->q);
    THR_ASSERT(n <= PERMITS_MAX);
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_task_spend(); /* before they are taken: who yields with a permit makes the others queue up */
    return take(q, n, false) ? 0 : acquire_slow(q, n);
}

int thrum_sem_acquire(thrum_sem *s)
{
    return thrum_sem_acquire_n(s, 1);
}

bool thrum_sem_try_acquire_n(thrum_sem *s, uint32_t n)
{
    THR_ASSERT(n <= PERMITS_MAX);
    return take(thr_waitq(&s->q), n, false);
}

bool thrum_sem_try_acquire(thrum_sem *s)
{
    return thrum_sem_try_acquire_n(s, 1);
}

/* ---- Giving ---- */

/* Returns: false if nobody waits any more: nothing was given. */
static bool give_and_serve(struct thr_waitq *q, uint32_t n)
{
    struct thr_wakeups out = {0};
    thr_lock(&q->lock);
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    bool somebody = v & WAITERS; /* then it stays as it is: S1 */
    if (somebody) {
        THR_ASSERT(n <= PERMITS_MAX - v / ONE);
        serve(q, v / ONE + n, &out);
    }
    thr_unlock(&q->lock);
    thr_wakeups_run(&out);
    return somebody;
}

void thrum_sem_release_n(thrum_sem *s, uint32_t n)
{
    struct thr_waitq *q = thr_waitq(&s->q);
    THR_ASSERT(n <= PERMITS_MAX);
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    for (;;) {
        if (v & WAITERS) {
            if (give_and_serve(q, n))
                return;
            v = thr_load(&q->word, THR_RELAXED);
        } else {
            THR_ASSERT(n <= PERMITS_MAX - v / ONE);
            if (thr_cas_weak(&q->word, &v, v + n * ONE, THR_RELEASE, THR_RELAXED)) /* (A), Q3 */
                return;
        }
    }
}

void thrum_sem_release(thrum_sem *s)
{
    thrum_sem_release_n(s, 1);
}
