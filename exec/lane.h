/* SPDX-License-Identifier: MIT */
/* exec/lane.h: the tasks that a worker runs next, where it reaches them without an atomic read-modify-write.
 *
 * A task woken here goes to `next`, one spawned here to `newest`, and a few from the head of the ring to `batch`: the worker
 * comes back to them within microseconds, as a rule, and nobody is woken for them. If it does not, because a task computes
 * on and on, the standby worker robs the lane; and the worker learns: pick.c measures now and then how long a task lay
 * here, and publishes tasks where thieves find them at once for as long as that was too long.
 *
 * Roles       enter, leave, what lies between: the owner.  rob: the standby worker, one at a time.
 * Invariants  L1  next, newest and the batch are the owner's between enter and leave, and the robber's between a claim
 *                 after which it found the owner outside, and its release.
 * Ordering    (A) enter: store busy 1; light fence; load claim.    rob: store claim 1; heavy fence; load busy.
 *                 At least one sees the other (fence.h): the owner then waits until the claim is gone, the robber gives up.
 *             (B) leave, store busy 0 release  ->  rob, load busy acquire: what the owner put there is visible.
 *             (C) rob, store claim 0 release  ->  enter, load claim acquire: the owner sees what was taken.
 * Progress    the owner waits for a robber for as long as that takes to empty the lane; the robber never waits. */
#ifndef THR_EXEC_LANE_H
#define THR_EXEC_LANE_H

#include "exec/fence.h"

struct thrum_task;
struct thr_wakeups;

enum { THR_LANE_BATCH = 16 };

struct thr_lane {
    thr_au32 busy, claim;
    thr_aptr next, newest; /* loads without the right of L1 tell whether a robbery is worth while */
    thr_aptr batch[THR_LANE_BATCH];
    thr_au32 batch_at, batch_n; /* batch[at ... n - 1] */
    uint32_t
        batch_go; /* the owner's own: the batch's items before this may be taken without further thought */
};

/* The slow path of enter: a robber is at it. */
void thr_lane_wait(struct thr_lane *l);

static inline void thr_lane_enter(struct thr_lane *l)
{
    thr_store(&l->busy, 1, THR_RELAXED);
    thr_fence_light();                                              /* (A) */
    if (__builtin_expect(thr_load(&l->claim, THR_ACQUIRE) != 0, 0)) /* (C) */
        thr_lane_wait(l);
}

/* Enters, unless a robber is at it: for fast paths that leave all else to another function. */
static inline bool thr_lane_try_enter(struct thr_lane *l)
{
    thr_store(&l->busy, 1, THR_RELAXED);
    thr_fence_light();                                              /* (A) */
    if (__builtin_expect(thr_load(&l->claim, THR_ACQUIRE) == 0, 1)) /* (C) */
        return true;
    thr_store(&l->busy, 0, THR_RELEASE);
    return false;
}

static inline void thr_lane_leave(struct thr_lane *l)
{
    thr_store(&l->busy, 0, THR_RELEASE); /* (B) */
}

/* Between enter and leave: puts the task there and returns what was there before, or NULL. */
static inline struct thrum_task *thr_lane_swap(thr_aptr *slot, struct thrum_task *task)
{
    struct thrum_task *before = thr_load(slot, THR_RELAXED);
    thr_store(slot, task, THR_RELAXED);
    return before;
}

/* Becomes the robber (L1), if the owner is outside: a fence on all cores, so look first whether it is worth while. */
bool thr_lane_claim(struct thr_lane *l);

static inline void thr_lane_release(struct thr_lane *l)
{
    thr_store(&l->claim, 0, THR_RELEASE); /* (C) */
}

/* Takes all there is, into *out. Returns: how many. Context: any thread but the owner; one at a time. */
unsigned thr_lane_rob(struct thr_lane *l, struct thr_wakeups *out);

#endif
