/* SPDX-License-Identifier: MIT */
/* exec/waitq.h: what the sync primitives are made of: a word that fast paths change alone, a spin lock, and a list of
 * waiters. struct thrum_waitq, the caller's storage, seen from inside.
 *
 * Invariants  Q1  a waiter is in the list only while its task is in the call that put it there.
 *             Q2  the bit of the word that says "somebody waits" is set and cleared under the lock, with the list: with the
 *                 lock held it is set just if the list is not empty.
 *             Q3  the storage may be reused when no call is in progress but those that have let their caller go on: a
 *                 release on the fast path touches it for the last time with the very access that releases; one on the
 *                 slow path found a waiter, and that one's call returns only after the lock was given back (settle).
 * Ordering    (A) slow release: exchange of the lock, then fire  ->  (B) woken task: park, then load of the lock
 *                 The woken task sees the lock held by who fired, or what came after: once it sees it free that one is
 *                 out of it. This is a load that others share, so that 100,000 woken tasks do not fight for the line.
 *             (C) unlock, store release  ->  (D) settle, load acquire
 *                 What the former holder did to the storage is over before the storage is reused. */
#ifndef THR_EXEC_WAITQ_H
#define THR_EXEC_WAITQ_H

#include "exec/lock.h"
#include "exec/wait.h"
#include <thrum/sync.h>

struct thr_waitq {
    struct thr_lock lock;
    thr_au32 word;            /* the primitive's own */
    struct thr_waitlist list; /* guarded by lock */
};

_Static_assert(sizeof(struct thr_waitq) == sizeof(struct thrum_waitq), "same layout");
_Static_assert(offsetof(struct thr_waitq, word) == offsetof(struct thrum_waitq, extra),
               "same layout");
_Static_assert(offsetof(struct thr_waitq, list) == offsetof(struct thrum_waitq, head),
               "same layout");

static inline struct thr_waitq *thr_waitq(struct thrum_waitq *q)
{
    return (struct thr_waitq *)(void *)q;
}

/* Whoever held the lock when the caller was woken, or saw what they stored under it, is out of it (Q3). */
static inline void thr_waitq_settle(struct thr_waitq *q)
{
    if (thr_load(&q->lock.word, THR_ACQUIRE) != 0) { /* (B), (D) */
        thr_lock(&q->lock);
        thr_unlock(&q->lock);
    }
}

/* Waits, with w begun and linked in `list`. Nothing is locked when it is called.
 *
 * Returns: 0 if the object fired w: nothing is locked then, and who fired is out of q. Otherwise -ECANCELED or -ETIMEDOUT,
 *          and w is unlinked and q->lock held: the caller mends its word and unlocks. */
int thr_waitq_park(struct thr_waitq *q, struct thr_waitlist *list, struct thr_waiter *w);

/* The whole of a wait at the end of q->list. Called with q->lock held; the word needs no mending but that `bit` goes with
 * the last waiter.
 *
 * Returns: 0, -ECANCELED or -ETIMEDOUT, with nothing locked. */
int thr_waitq_wait(struct thr_waitq *q, uint32_t bit);

/* Clears `bit` if nobody waits any more (Q2). Context: q->lock is held. */
void thr_waitq_mend(struct thr_waitq *q, uint32_t bit);

/* Puts w before all others. Context: the list's lock is held. */
void thr_waitlist_push_first(struct thr_waitlist *l, struct thr_waiter *w);

#endif
