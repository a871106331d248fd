/* SPDX-License-Identifier: MIT */
/* exec/injector.h: the queue that all workers share: what overflows their rings.
 *
 * Roles       push, take: any worker.
 * Invariants  J1  the chain is guarded by `lock`, first in first out, linked by task->next.
 *             J2  count is written under the lock; read without it, it says whether looking is worth while.
 * Ordering    (A) push, store count seq_cst  ->  a sleeper's load seq_cst (idle.h): no task is overlooked. */
#ifndef THR_EXEC_INJECTOR_H
#define THR_EXEC_INJECTOR_H

#include "exec/lock.h"

struct thrum_task;

struct thr_injector {
    THR_APART thr_asize count;
    struct thr_lock lock;
    struct thrum_task *head, *tail; /* guarded by lock */
};

static inline bool thr_injector_is_empty(const struct thr_injector *in)
{
    return thr_load(&in->count, THR_SEQ_CST) == 0;
}

/* Appends the chain first ... last of n tasks. */
void thr_injector_push(struct thr_injector *in, struct thrum_task *first, struct thrum_task *last,
                       size_t n);

/* Takes at most max tasks, linked by next; NULL if there is none. */
struct thrum_task *thr_injector_take(struct thr_injector *in, size_t max);

#endif
