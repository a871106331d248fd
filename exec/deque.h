/* SPDX-License-Identifier: MIT */
/* exec/deque.h: the Chase-Lev work-stealing deque, growable (Chase and Lev, "Dynamic circular work-stealing deque", 2005;
 * orders after Le, Pop, Cohen and Zappa Nardelli, "Correct and efficient work-stealing for weak memory models", 2013, with
 * sequentially consistent accesses in place of their fences).
 *
 * Roles       push, pop: the owner, at the bottom.  steal: any thread, the owner too, at the top.
 * Invariants  D1  the items are those at indices [top, bottom); both only grow, but for pop, which takes bottom back by
 *                 one and, if it finds nothing, puts it forward again.
 *             D2  an index below top was handed out exactly once: by the compare-and-swap that moved top past it, or,
 *                 when more than one item was left, by a pop that moved bottom below it first.
 *             D3  a buffer is replaced by a larger one but not freed before fini: a thief that still reads the old one
 *                 reads the same item there, since items that are in both are never overwritten while top allows them.
 * Ordering    (A) push, store bottom seq_cst  ->  (B) steal, load bottom seq_cst
 *                 What was written to an item before push is visible to the thief.
 *             (C) pop, exchange bottom seq_cst, then load top seq_cst
 *                 steal, load top seq_cst, then load bottom seq_cst
 *                 In the one total order either the thief sees the smaller bottom or the owner sees the larger top, so
 *                 that the last item goes to one of them, by the compare-and-swap on top.
 *             (A) is seq_cst also for the sake of its callers: they look for sleeping workers right afterwards (idle.h).
 * Progress    push and pop are wait-free but for growing; steal is lock-free.
 * No ABA      top is 64 bits wide and never goes back. */
#ifndef THR_EXEC_DEQUE_H
#define THR_EXEC_DEQUE_H

#include "exec/atomic.h"

struct thr_deque_buffer;

struct thr_deque {
    THR_APART thr_ai64 top;
    THR_APART thr_ai64 bottom;
    thr_aptr buffer; /* struct thr_deque_buffer */
};

/* Returns: 0 or -ENOMEM. */
int thr_deque_init(struct thr_deque *d);

/* A zeroed deque is allowed. Nobody may be using it. */
void thr_deque_fini(struct thr_deque *d);

/* Returns: 0, or -ENOMEM if it is full and cannot grow. */
int thr_deque_push(struct thr_deque *d, void *item);

/* The newest item, or NULL. */
void *thr_deque_pop(struct thr_deque *d);

/* The oldest item; NULL if there is none, or if another thread was faster (*busy, unless NULL, is then true). */
void *thr_deque_steal(struct thr_deque *d, bool *busy);

/* How many items there seem to be; exact only for the owner while nobody steals. */
static inline size_t thr_deque_count(const struct thr_deque *d)
{
    int64_t t = thr_load(&d->top, THR_SEQ_CST);
    int64_t b = thr_load(&d->bottom, THR_SEQ_CST);
    return b > t ? (size_t)(b - t) : 0;
}

#endif
