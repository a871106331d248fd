/* SPDX-License-Identifier: MIT */
/* exec/ring.h: a worker's bounded queue of runnable tasks, first in first out; thieves take half of it at once.
 *
 * Roles       push: the owner, at the tail.  pop: the owner, steal: other workers, at the head.
 * Invariants  R1  the items are those at [head, tail), at most THR_RING of them; both are free-running 32-bit counters.
 *             R2  the compare-and-swap that moves head hands out what it moves past: each item exactly once.
 *             R3  a slot is written only by the owner, in push, and only when head has moved past its former item. A
 *                 thief copies slots before its compare-and-swap: what it copied may be stale, but then head has moved
 *                 and the swap fails.
 * Ordering    (A) push, store tail seq_cst  ->  (B) steal, load tail acquire
 *                 The slot and what the item points to are visible to the thief.
 *             (C) steal or pop, swap of head acq_rel  ->  (D) push, load head acquire
 *                 The slot has been read before it is written anew.
 *             (A) is seq_cst for the caller who looks for sleeping workers right afterwards (idle.h); one who does not,
 *             or puts a fence between, pushes with release.
 * Progress    push is wait-free; pop and steal are lock-free.
 * No ABA      head would have to move by 2^32 items between a thief's load and its swap. */
#ifndef THR_EXEC_RING_H
#define THR_EXEC_RING_H

#include "exec/atomic.h"

enum {
    THR_RING = 1024,     /* a power of two */
    THR_RING_STEAL = 128 /* taken at once, at most */
};

struct thr_ring {
    THR_APART thr_au32 head;
    THR_APART thr_au32 tail;
    thr_aptr slots[THR_RING];
};

static inline void thr_ring_init(struct thr_ring *r)
{
    thr_store(&r->head, 0, THR_RELAXED);
    thr_store(&r->tail, 0, THR_RELAXED);
}

/* Returns: false if it is full. visible: the caller looks for sleepers next, and all before this must be seen by then. */
static inline bool thr_ring_push_as(struct thr_ring *r, void *item, bool visible)
{
    uint32_t tail = thr_load(&r->tail, THR_RELAXED);        /* only the owner writes it */
    if (tail - thr_load(&r->head, THR_ACQUIRE) >= THR_RING) /* (D) */
        return false;
    thr_store(&r->slots[tail % THR_RING], item, THR_RELAXED);
    if (visible)
        thr_store(&r->tail, tail + 1, THR_SEQ_CST); /* (A) */
    else
        thr_store(&r->tail, tail + 1, THR_RELEASE);
    return true;
}

static inline bool thr_ring_push(struct thr_ring *r, void *item)
{
    return thr_ring_push_as(r, item, true);
}

/* The oldest item, or NULL. Context: the owner. */
static inline void *thr_ring_pop(struct thr_ring *r)
{
    uint32_t head = thr_load(&r->head, THR_RELAXED);
    for (;;) {
        if (head == thr_load(&r->tail, THR_RELAXED))
            return NULL;
        void *item = thr_load(&r->slots[head % THR_RING], THR_RELAXED);
        if (thr_cas_weak(&r->head, &head, head + 1, THR_ACQ_REL, THR_RELAXED)) /* (C) */
            return item;
    }
}

/* The oldest items, at most max and at most half of what is there (rounded up): the rest stays for thieves.
 *
 * Returns: how many. Context: the owner. */
static inline uint32_t thr_ring_pop_some(struct thr_ring *r, thr_aptr *out, uint32_t max)
{
    uint32_t head = thr_load(&r->head, THR_RELAXED);
    for (;;) {
        uint32_t n = thr_load(&r->tail, THR_RELAXED) - head;
        n -= n / 2;
        if (n > max)
            n = max;
        if (n == 0)
            return 0;
        for (uint32_t i = 0; i < n; i++)
            thr_store(&out[i], thr_load(&r->slots[(head + i) % THR_RING], THR_RELAXED),
                      THR_RELAXED);
        if (thr_cas_weak(&r->head, &head, head + n, THR_ACQ_REL, THR_RELAXED)) /* (C) */
            return n;
    }
}

/* How many items there seem to be; exact for the owner while nobody steals. */
static inline uint32_t thr_ring_count(const struct thr_ring *r)
{
    uint32_t head = thr_load(&r->head, THR_SEQ_CST);
    uint32_t n = thr_load(&r->tail, THR_SEQ_CST) - head;
    return n > THR_RING ? 1 : n; /* head was stale by the time tail was read: there may be some */
}

/* Takes the older half of victim (rounded up, at most max) into out.
 *
 * Returns: how many. Context: any thread but the owner of victim; the owner too. */
uint32_t thr_ring_steal(struct thr_ring *victim, void **out, uint32_t max);

#endif
