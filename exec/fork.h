/* SPDX-License-Identifier: MIT */
/* exec/fork.h: forks: who may run one, and how its parent learns that it has returned.
 *
 * A fork is    private  in the list of the worker that runs its parent (split.h): f->worker is that worker
 *              shared   a record in a deque or ring stands for it, as for any new task: f->task is that record
 *              held     neither: outside a task, or no memory to share it when it had to be; only its parent knows of it
 * Roles        parent: the task that forked it, and joins it.  runner: the worker that starts the record, and the task it
 *              then is.  robber: the standby worker (idle.h), for a worker that computes for long.
 * Invariants   F1  a record is claimed once, by a compare-and-swap: by its parent at the join, or by the runner. Who has
 *                  claimed it calls fn. So fn is called exactly once.
 *              F2  private forks belong to the task that their worker is running now: suspending shares them all first. So
 *                  a fork that is found private at its join is private to the worker that runs the join, although tasks
 *                  change workers; and a worker never sees another's list but as robber.
 *              F3  the runner does not touch the fork before it has claimed the record; if the parent has, the runner only
 *                  frees the record (which stays memory for ever: task.h), since the parent's frame may be gone.
 *              F4  the runner's last access to the fork, and to the parent's scopes, is the exchange of `state` for DONE, or if
 *                  that finds AWAITED the firing of the parent's wait. The parent does not leave the join before.
 *              F5  the record is freed by the runner if the parent claimed it, else by the parent after DONE. So whoever
 *                  looks at `claim` looks at the record that stands for the fork, never at a later life of it.
 * Ordering     (A) share: what the parent wrote before, then the push of the record  ->  the runner, as for every task
 *              (B) robber: f->task, then f->worker = NULL release  ->  join, load f->worker acquire;
 *                  f->worker = NULL, then the list's `newest` = NULL release  ->  before suspending, load newest acquire: else
 *                  the parent could suspend with a fork that still looks private to its old worker (F2).
 *              (C) finish, exchange DONE acq_rel  ->  await, load or swap acquire: what fn did, and its result
 *              (D) await, swap AWAITED acq_rel  ->  finish, exchange acq_rel: the joiner's wait
 * Cancelling   A runner's task has the parent's limits and innermost scope as of the fork, and is listed there before its
 *              first wait like the scope's children (scope.h, C6), but not counted: the parent waits for it and is. */
#ifndef THR_EXEC_FORK_H
#define THR_EXEC_FORK_H

#include "exec/task.h"
#include "exec/worker.h"
#include <thrum/fork.h>

/* ---- The protocol between parent and runner ---- */

enum { THR_CLAIM_OPEN = 0, THR_CLAIM_PARENT = 1, THR_CLAIM_RUNNER = 2 };
enum { THR_FORK_SHARED = 0, THR_FORK_AWAITED = 1, THR_FORK_DONE = 2 };

static inline thr_au32 *thr_fork_state(thrum_forked *f)
{
    return (thr_au32 *)(void *)&f->state;
}

/* Returns: true if `who` may call the fork's function now, and nobody else ever. */
static inline bool thr_fork_claim(struct thrum_task *record, uint8_t who)
{
    uint8_t open = THR_CLAIM_OPEN;
    return thr_cas(&record->claim, &open, who, THR_ACQ_REL, THR_ACQUIRE); /* F1 */
}

/* The runner: fn has returned `result`. Returns: true if the parent waits and is to be fired; else the fork may be gone. */
static inline bool thr_fork_finish(thrum_forked *f, int result)
{
    f->result = result;
    return thr_xchg(thr_fork_state(f), THR_FORK_DONE, THR_ACQ_REL) ==
           THR_FORK_AWAITED; /* (C), (D) */
}

/* The parent: f->with.joiner is its open wait. Returns: true if it must park until it is fired; false if the fork is done. */
static inline bool thr_fork_await(thrum_forked *f)
{
    uint32_t shared = THR_FORK_SHARED;
    return thr_cas(thr_fork_state(f), &shared, THR_FORK_AWAITED, THR_ACQ_REL, THR_ACQUIRE);
}

/* ---- What the rest of exec calls ---- */

/* The slow path of thr_fork_before_suspend(). */
void thr_fork_share_all(struct thr_worker *w);

/* Shares what is private to the worker: before its running task suspends (F2). */
static inline void thr_fork_before_suspend(struct thr_worker *w)
{
    if (THR_UNLIKELY(thr_load(&w->split.newest, THR_ACQUIRE) != NULL)) /* (B) */
        thr_fork_share_all(w);
}

/* Shares private forks of a worker that computes, as many as idle workers could run: their records go to *out.
 *
 * Context: the standby worker w. */
void thr_fork_rob(struct thr_worker *w, struct thr_worker *victim, struct thr_wakeups *out);

/* A record has run, or there was no stack for it: the end of its life, or the parent's to end. Context: the worker. */
void thr_fork_done(struct thr_worker *w, struct thrum_task *record, int result);

#endif
