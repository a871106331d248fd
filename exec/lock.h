/* SPDX-License-Identifier: MIT */
/* exec/lock.h: a lock for critical sections of a few instructions, held by a thread and never across a suspension.
 *
 * Roles       lock, unlock: any thread.
 * Invariants  L1  at most one thread is between lock and unlock.
 *             L2  the store in unlock is the last access: once another thread has the lock, the former holder touches
 *                 it no more. So the storage may be freed by whoever locked it last and knows that no other will.
 * Ordering    (A) unlock, store release  ->  (B) lock, exchange acquire
 * Progress    Blocking: a holder that the kernel has taken off its core is waited for; waiters spin shortly, then yield
 *             their core, then sleep for 50 us at a time, so that more threads than cores do no harm.
 *             Not fair. L2 is why this is no futex lock: its unlock touches the word once more, to wake. */
#ifndef THR_EXEC_LOCK_H
#define THR_EXEC_LOCK_H

#include "exec/atomic.h"

struct thr_lock {
    thr_au32 word; /* 0 free, 1 held */
};

static inline void thr_lock_init(struct thr_lock *l)
{
    thr_store(&l->word, 0, THR_RELAXED);
}

/* For waits of a few instructions of another thread: gives up the core, which that one may need. */
void thr_cpu_yield(void);

/* The slow path of thr_lock(). */
void thr_lock_wait(struct thr_lock *l);

static inline bool thr_trylock(struct thr_lock *l)
{
    return thr_load(&l->word, THR_RELAXED) == 0 &&
           thr_xchg(&l->word, 1, THR_ACQUIRE) == 0; /* (B) */
}

static inline void thr_lock(struct thr_lock *l)
{
    if (thr_xchg(&l->word, 1, THR_ACQUIRE) != 0) /* (B) */
        thr_lock_wait(l);
}

static inline void thr_unlock(struct thr_lock *l)
{
    thr_store(&l->word, 0, THR_RELEASE); /* (A), L2 */
}

#endif
