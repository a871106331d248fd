/* SPDX-License-Identifier: MIT */
/* exec/inbox.h: how other threads hand runnable tasks to one worker.
 *
 * Roles       push: any thread.  take_all: the owner; and a worker that has run out of work, so that the tasks of one
 *             that computes for long are not stuck.
 * Invariants  I1  head is NULL, or the newest task of a chain that ends in NULL.
 *             I2  between push and take_all a task's `next` belongs to the inbox; before and after, to whoever holds
 *                 the task.
 *             I3  the push that finds head NULL wakes a worker; a later one joins a chain that is being seen to.
 * Ordering    (A) push, compare-and-swap seq_cst  ->  (B) take_all, exchange acq_rel
 *                 What was written to a task before push is visible after take_all. Pushes in between are
 *                 read-modify-writes, so they extend A's release sequence: one acquire covers the whole chain.
 *             (A) is seq_cst because the pusher then looks whether the owner sleeps (idle.h).
 * Progress    push is lock-free, take_all is wait-free.
 * No ABA      nobody pops a single task; the chain leaves whole, whoever takes it. */
#ifndef THR_EXEC_INBOX_H
#define THR_EXEC_INBOX_H

#include "exec/atomic.h"

struct thrum_task;

struct thr_inbox {
    THR_APART thr_aptr head; /* struct thrum_task */
};

static inline void thr_inbox_init(struct thr_inbox *in)
{
    thr_store(&in->head, NULL, THR_RELAXED);
}

static inline bool thr_inbox_is_empty(const struct thr_inbox *in)
{
    return thr_load(&in->head, THR_SEQ_CST) == NULL;
}

/* Returns: true if the inbox was empty: the caller sees to it that somebody looks (I3). */
bool thr_inbox_push(struct thr_inbox *in, struct thrum_task *task);

/* All tasks, the first pushed first, linked by `next`; or NULL. */
struct thrum_task *thr_inbox_take_all(struct thr_inbox *in);

#endif
