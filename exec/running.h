/* SPDX-License-Identifier: MIT */
/* exec/running.h: what a suspending call does besides waiting. */
#ifndef THR_EXEC_RUNNING_H
#define THR_EXEC_RUNNING_H

#include "exec/worker.h"

#include <errno.h>

/* The scope that the task is in. */
static inline struct thr_scope *thr_task_scope(const struct thrum_task *task)
{
    return task->limit->scope;
}

/* -ECANCELED if the current task's scope is cancelled, else 0. Cheap: no clock. Each suspending public call begins with
 * it, so that a cancelled task cannot go on by luck. Context: task. */
static inline int thr_task_cancelled(void)
{
    return thr_load(&thr_task_scope(thr_task_self())->cancelled, THR_ACQUIRE) ? -ECANCELED : 0;
}

/* The rest of thr_task_spend(): every 16 operations. */
void thr_task_spend_some(struct thr_worker *w);

/* Counts one operation that went through without suspending (a read that found data, ...) against the task's slice, and
 * yields when that is used up, so that ready I/O cannot starve others. Context: task, no lock held. May suspend. */
static inline void thr_task_spend(void)
{
    struct thr_worker *w = thr_worker_self();
    if (--w->budget % 16 == 0)
        thr_task_spend_some(w);
}

#endif
