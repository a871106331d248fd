/* SPDX-License-Identifier: MIT */
#include "exec/inbox.h"

#include "exec/task.h"

bool thr_inbox_push(struct thr_inbox *in, struct thrum_task *task)
{
    void *head = thr_load(&in->head, THR_RELAXED);
    do {
        task->next = head; /* ours until the swap below publishes it (I2) */
    } while (!thr_cas_weak(&in->head, &head, task, THR_SEQ_CST, THR_RELAXED)); /* (A) */
    return head == NULL;
}

struct thrum_task *thr_inbox_take_all(struct thr_inbox *in)
{
    if (thr_inbox_is_empty(in))
        return NULL; /* a load, not a write to a line that others push to */
    struct thrum_task *newest = thr_xchg(&in->head, NULL, THR_ACQ_REL); /* (B) */
    struct thrum_task *first = NULL;
    while (newest) { /* newest first: turn it round, so that nobody waits for later comers */
        struct thrum_task *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    return first;
}
