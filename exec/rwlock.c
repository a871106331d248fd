/* SPDX-License-Identifier: MIT */
/* The readers-writer lock. While nobody waits each call is one compare-and-swap.
 *
 * Phase-fair: as soon as anybody waits, everybody who comes waits as well, readers too: thus writers are preferred. When a
 * writer leaves, all readers that wait by then are let in together, before the next writer: thus a reader waits for one
 * writer at most. When the last reader leaves the first writer is let in.
 *
 * Word        WRITER   a writer has it
 *             WAITERS  one of the lists is not empty (waitq.h, Q2)
 *             above    the number of readers that have it; 0 with WRITER
 * Invariants  R1  with WAITERS set somebody has it, and nobody takes it but who is let in, under the lock.
 *             R2  with WAITERS set the word changes without the lock only by a reader that leaves and is not the last.
 *             R3  a waiter that is fired has it; one that was not has not.
 *             R4  with the lock free, readers wait only if a writer has it or waits.
 * Ordering    (A) release, compare-and-swap release  ->  (B) take, compare-and-swap acquire; a waiter that was fired: wait.h
 *                 (A), (B). A writer after several readers: their releases are read-modify-writes of one word. */
#include "exec/running.h"
#include "exec/util.h"
#include "exec/waitq.h"

enum {
    WRITER = 1,
    WAITERS = 2,
    READER = 4,
    READERS_MAX = UINT32_MAX / READER,
};

/* What thrum_rwlock really is: the queue's own list is the writers'. */
struct rwlock {
    struct thr_waitq q;
    struct thr_waitlist readers; /* guarded by q.lock */
};

_Static_assert(sizeof(struct rwlock) == sizeof(thrum_rwlock), "same layout");
_Static_assert(offsetof(struct rwlock, readers) == offsetof(thrum_rwlock, readers_head),
               "same layout");

static struct rwlock *of(thrum_rwlock *l)
{
    return (struct rwlock *)(void *)l;
}

static uint32_t readers_in(uint32_t v)
{
    return v / READER;
}

/* ---- Letting in: with the lock held and WAITERS set ---- */

/* Returns: how many readers have it now. */
static uint32_t fire_readers(struct rwlock *l, struct thr_wakeups *out)
{
    uint32_t n = 0;
    while (thr_waitlist_fire_one(&l->readers, THR_FIRED_OK, out, NULL))
        n++;
    return n;
}

static uint32_t waiters_bit(const struct rwlock *l)
{
    return l->q.list.head || l->readers.head ? WAITERS : 0;
}

/* The writer leaves. Returns: the word then; 0 if nobody waits any more. */
static uint32_t next_after_writer(struct rwlock *l, struct thr_wakeups *out)
{
    uint32_t n = fire_readers(l, out);
    if (n > 0)
        return n * READER | waiters_bit(l);
    if (thr_waitlist_fire_one(&l->q.list, THR_FIRED_OK, out, NULL))
        return WRITER | waiters_bit(l);
    return 0;
}

/* The last reader leaves. Returns: the same. */
static uint32_t next_after_readers(struct rwlock *l, struct thr_wakeups *out)
{
    if (thr_waitlist_fire_one(&l->q.list, THR_FIRED_OK, out, NULL))
        return WRITER | waiters_bit(l);
    uint32_t n = fire_readers(l, out);
    return n * READER;
}

/* A writer that waited has given up: the readers that came after it may join those that are in (R4). */
static void writer_gone(struct rwlock *l, struct thr_wakeups *out)
{
    uint32_t v = thr_load(&l->q.word, THR_RELAXED);
    if (!(v & WAITERS))
        return; /* whoever left last has seen to all of it */
    uint32_t n = !(v & WRITER) && !l->q.list.head ? fire_readers(l, out) : 0;
    uint32_t gone = waiters_bit(l) ? 0 : WAITERS;
    thr_fetch_add(&l->q.word, n * READER - gone, THR_RELAXED); /* R2: readers may leave */
}

/* ---- Reading ---- */

/* Takes it if nobody waits and no writer has it. Otherwise, with the lock held and `queue`, notes that the caller waits. */
static bool take_read(struct thr_waitq *q, bool queue)
{
    uint32_t v = thr_load(&q->word, THR_RELAXED);
    for (;;) {
        bool got = !(v & (WRITER | WAITERS));
        if (!got && !queue)
            return false;
        THR_ASSERT(!got || readers_in(v) < READERS_MAX);
        if (thr_cas_weak(&q->word, &v, got ? v + READER : v | WAITERS, THR_ACQUIRE, /* (B) */
                         THR_RELAXED))
            return got;
    }
}

static int read_slow(struct rwlock *l, bool shielded)
{
    thr_lock(&l->q.lock);
    if (take_read(&l->q, true)) {
        thr_unlock(&l->q.lock);
        return 0;
    }
    struct thr_waiter w;
    thr_wait_begin(&w, shielded);
    thr_waitlist_push(&l->readers, &w);
    thr_unlock(&l->q.lock);
    int err = thr_waitq_park(&l->q, &l->readers, &w);
    if (err) {
        if (!waiters_bit(l))
            thr_fetch_and(&l->q.word, ~(uint32_t)WAITERS, THR_RELAXED);
        thr_unlock(&l->q.lock);
    }
    return err;
}

int thrum_rwlock_read_lock(thrum_rwlock *l)
{
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_task_spend();
    return take_read(&of(l)->q, false) ? 0 : read_slow(of(l), false);
}

void thrum_rwlock_read_lock_shielded(thrum_rwlock *l)
{
    thr_task_spend();
    int err = take_read(&of(l)->q, false) ? 0 : read_slow(of(l), true);
    THR_ASSERT(!err);
}

bool thrum_rwlock_try_read_lock(thrum_rwlock *l)
{
    return take_read(&of(l)->q, false);
}

/* The last reader leaves and somebody waits. Returns: false if that is no longer so: nothing was done. */
static bool leave_to_writer(struct rwlock *l)
{
    struct thr_wakeups out = {0};
    thr_lock(&l->q.lock);
    uint32_t v =
        thr_load(&l->q.word, THR_ACQUIRE); /* the other readers' (A): our store ends them */
    bool last =
        (v & WAITERS) && readers_in(v) == 1; /* a writer that gave up may have let others in */
    uint32_t next = last ? next_after_readers(l, &out) : 0;
    if (last)
        thr_store(&l->q.word, next, THR_RELEASE); /* (A), R2 */
    thr_unlock(&l->q.lock);
    thr_wakeups_run(&out);
    return last;
}

void thrum_rwlock_read_unlock(thrum_rwlock *lock)
{
    struct rwlock *l = of(lock);
    uint32_t v = thr_load(&l->q.word, THR_RELAXED);
    for (;;) {
        THR_ASSERT(readers_in(v) > 0); /* it is locked for reading */
        if (readers_in(v) == 1 && (v & WAITERS)) {
            if (leave_to_writer(l))
                return;
            v = thr_load(&l->q.word, THR_RELAXED);
        } else if (thr_cas_weak(&l->q.word, &v, v - READER, THR_RELEASE, THR_RELAXED)) {
            return; /* (A), Q3 */
        }
    }
}

/* ---- Writing ---- */

/* Takes it if nobody has it. Otherwise, with the lock held and `queue`, notes that the caller waits. */
static bool take_write(struct thr_waitq *q, bool queue)
{
    uint32_t v = 0;
    for (;;) {
        bool got = v == 0; /* R1: nor does anybody wait */
        if (!got && !queue)
            return false;
        if (thr_cas_weak(&q->word, &v, got ? WRITER : v | WAITERS, THR_ACQUIRE, THR_RELAXED))
            return got; /* (B) */
    }
}

static int write_slow(struct rwlock *l, bool shielded)
{
    thr_lock(&l->q.lock);
    if (take_write(&l->q, true)) {
        thr_unlock(&l->q.lock);
        return 0;
    }
    struct thr_waiter w;
    thr_wait_begin(&w, shielded);
    thr_waitlist_push(&l->q.list, &w);
    thr_unlock(&l->q.lock);
    int err = thr_waitq_park(&l->q, &l->q.list, &w);
    if (err) {
        struct thr_wakeups out = {0};
        writer_gone(l, &out);
        thr_unlock(&l->q.lock);
        thr_wakeups_run(&out);
    }
    return err;
}

int thrum_rwlock_write_lock(thrum_rwlock *l)
{
    int err = thr_task_cancelled();
    if (err)
        return err;
    thr_task_spend();
    return take_write(&of(l)->q, false) ? 0 : write_slow(of(l), false);
}

void thrum_rwlock_write_lock_shielded(thrum_rwlock *l)
{
    thr_task_spend();
    int err = take_write(&of(l)->q, false) ? 0 : write_slow(of(l), true);
    THR_ASSERT(!err);
}

bool thrum_rwlock_try_write_lock(thrum_rwlock *l)
{
    return take_write(&of(l)->q, false);
}

/* The writer leaves and somebody waits. Returns: false if nobody does any more: it still has it. */
static bool leave_to_others(struct rwlock *l)
{
    struct thr_wakeups out = {0};
    thr_lock(&l->q.lock);
    uint32_t next = next_after_writer(l, &out);
    thr_store(&l->q.word, next ? next : WRITER, THR_RELEASE); /* (A), R2 */
    thr_unlock(&l->q.lock);
    thr_wakeups_run(&out);
    return next != 0;
}

void thrum_rwlock_write_unlock(thrum_rwlock *lock)
{
    struct rwlock *l = of(lock);
    uint32_t v = WRITER;
    while (!thr_cas(&l->q.word, &v, 0, THR_RELEASE, THR_RELAXED)) { /* (A), Q3 */
        THR_ASSERT(v & WRITER);                                     /* it is locked for writing */
        if (leave_to_others(l))
            return;
        v = WRITER;
    }
}
