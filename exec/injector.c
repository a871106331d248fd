/* SPDX-License-Identifier: MIT */
#include "exec/injector.h"

#include "exec/task.h"

void thr_injector_push(struct thr_injector *in, struct thrum_task *first, struct thrum_task *last,
                       size_t n)
{
    last->next = NULL;
    thr_lock(&in->lock);
    if (in->tail)
        in->tail->next = first;
    else
        in->head = first;
    in->tail = last;
    thr_store(&in->count, thr_load(&in->count, THR_RELAXED) + n, THR_SEQ_CST); /* (A) */
    thr_unlock(&in->lock);
}

struct thrum_task *thr_injector_take(struct thr_injector *in, size_t max)
{
    if (max == 0 || thr_injector_is_empty(in))
        return NULL;
    thr_lock(&in->lock);
    struct thrum_task *first = in->head, *last = first;
    if (first) {
        size_t n = 1;
        for (; n < max && last->next; n++)
            last = last->next;
        in->head = last->next;
        if (!in->head)
            in->tail = NULL;
        last->next = NULL;
        thr_count(&in->count, -n);
    }
    thr_unlock(&in->lock);
    return first;
}
