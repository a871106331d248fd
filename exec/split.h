/* SPDX-License-Identifier: MIT */
/* exec/split.h: the forks of a worker's running task that are still private to it.
 *
 * A worker's forks are split in two: the oldest ones are shared, as tasks in its deque, where thieves find them; the rest
 * is this list, which costs no atomic read-modify-write, nor a fence. Lace (van Dijk and van de Pol, 2014) has both parts in
 * one array, with the split point an index; here the descriptors lie in their parents' frames and are linked.
 *
 * Roles       all functions: whoever has the right to the worker's lane (lane.h): the worker between enter and leave, or the
 *             robber.  Loads of `newest` alone: anybody.
 * Invariants  Q1  the list is empty, or runs from `newest` by `older` to `oldest`, whose own is NULL, and back by `newer`;
 *                 `oldest` of an empty list and the newest one's `newer` mean nothing.
 *             Q2  newest is NULL only after each fork that left the list has been marked as not private (fork.h, F2). */
#ifndef THR_EXEC_SPLIT_H
#define THR_EXEC_SPLIT_H

#include "exec/atomic.h"
#include <thrum/fork.h>

struct thr_split {
    thr_aptr newest; /* thrum_forked */
    thrum_forked *oldest;
    const char *
        floor; /* a frame below it has too little stack left for a fork; known while the list is not empty */
    uint8_t stack_class; /* of the task that forked last */
    uint64_t quiet_ns;   /* no worker is woken for a fork before */
};

static inline thrum_forked *thr_split_newest(const struct thr_split *s)
{
    return thr_load(&s->newest, THR_RELAXED);
}

static inline thrum_forked *thr_split_oldest(const struct thr_split *s)
{
    return thr_split_newest(s) ? s->oldest : NULL;
}

static inline void thr_split_set_newest(struct thr_split *s, thrum_forked *f)
{
    thr_store(&s->newest, f, THR_RELEASE); /* Q2 -> thr_fork_before_suspend(), load acquire */
}

static inline void thr_split_push(struct thr_split *s, thrum_forked *f)
{
    thrum_forked *before = thr_split_newest(s);
    f->older = before;
    if (before)
        before->with.newer = f;
    else
        s->oldest = f;
    thr_split_set_newest(s, f);
}

/* Takes the newest one out. The list is not empty. */
static inline void thr_split_drop_newest(struct thr_split *s)
{
    thr_split_set_newest(s, thr_split_newest(s)->older);
}

/* Takes the oldest one out. The list is not empty. */
static inline void thr_split_drop_oldest(struct thr_split *s)
{
    thrum_forked *f = s->oldest;
    if (f == thr_split_newest(s)) {
        thr_split_set_newest(s, NULL);
    } else {
        s->oldest = f->with.newer;
        s->oldest->older = NULL;
    }
}

/* Takes any one out that is in the list. */
static inline void thr_split_remove(struct thr_split *s, thrum_forked *f)
{
    if (f == thr_split_newest(s)) {
        thr_split_drop_newest(s);
    } else if (f == s->oldest) {
        thr_split_drop_oldest(s);
    } else {
        f->with.newer->older = f->older;
        f->older->with.newer = f->with.newer;
    }
}

#endif
