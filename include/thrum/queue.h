/* SPDX-License-Identifier: MIT */
/* A queue of work, as asyncio's Queue, LifoQueue and PriorityQueue: many producers, many consumers, items of one size,
 * bounded or not; it counts what was put and not yet reported done, so that one can wait for all of it; and it can be
 * shut down at once or once it is empty.
 *
 * Lossless: a put that failed has put nothing, a get that failed has taken nothing, whatever cancel or deadline came.
 * Who waits is served first come, first served, in every order of items. */
#ifndef THRUM_QUEUE_H
#define THRUM_QUEUE_H

#include <thrum/common.h>

THRUM_BEGIN_DECLS

typedef struct thrum_queue thrum_queue;

typedef enum thrum_queue_order {
    THRUM_QUEUE_FIFO = 0,     /* the oldest item comes out first */
    THRUM_QUEUE_LIFO = 1,     /* the newest */
    THRUM_QUEUE_PRIORITY = 2, /* the least by `compare`; of equal ones the oldest */
} thrum_queue_order;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_queue_opts {
    size_t
        max; /* 0: as many items as there is memory for; else memory for so many is taken by thrum_queue_new() */
    thrum_queue_order order; /* 0: THRUM_QUEUE_FIFO */
    /* Needed for THRUM_QUEUE_PRIORITY: < 0 if a is to come out before b, 0 if they are equal, > 0 if after. Called under the
     * queue's lock: it must be quick, must not suspend and must call nothing of the queue. */
    int (*compare)(const void *a, const void *b, void *arg);
    /* NULL: nothing. Called for each item that is thrown away, by an immediate shutdown or the queue's end, without lock. */
    void (*drop)(void *item, void *arg);
    void *arg; /* for compare and drop */
} thrum_queue_opts;

/* Makes a queue for items of item_bytes each.
 *
 * Owns:    *out is the caller's, ended with thrum_queue_free().
 * Returns: 0, -EINVAL (a size of 0 or too large, no compare for priorities, an unknown order), -ENOMEM; *out is then NULL.
 * Context: any thread. */
THRUM_API THRUM_MUST_CHECK int thrum_queue_new(thrum_queue **out, size_t item_bytes,
                                               const thrum_queue_opts *opts);

/* Frees the queue; what is still in it is dropped. Nobody may be using it. NULL is allowed.
 *
 * Context: any thread. */
THRUM_API void thrum_queue_free(thrum_queue *q);

/* Puts a copy of *item; suspends while the queue is full.
 *
 * Returns: 0, THRUM_ECLOSED (shut down), -ENOMEM (only if it has no maximum), -ECANCELED, -ETIMEDOUT. On failure nothing
 *          was put.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_queue_put(thrum_queue *q, const void *item);

/* Takes the next item into *item; suspends while the queue is empty.
 *
 * Returns: 0, THRUM_ECLOSED (shut down and empty), -ECANCELED, -ETIMEDOUT. On failure nothing was taken; what *item holds is
 *          then unspecified.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_queue_get(thrum_queue *q, void *item);

/* The same without waiting.
 *
 * Returns: 0, -EAGAIN (full; empty), THRUM_ECLOSED, -ENOMEM (put).
 * Context: task or any thread. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_queue_try_put(thrum_queue *q, const void *item);
THRUM_API THRUM_MUST_CHECK int thrum_queue_try_get(thrum_queue *q, void *item);

/* Says that the work on an item that was taken is done: once for each. More often than items were put is a bug and
 * ends the process.
 *
 * Context: task or any thread. Does not suspend. */
THRUM_API void thrum_queue_task_done(thrum_queue *q);

/* Waits until every item that was put has been taken and reported done.
 *
 * Returns: 0, -ECANCELED, -ETIMEDOUT.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_queue_join(thrum_queue *q);

/* No more puts: waiting and later ones get THRUM_ECLOSED. Gets find what is left, then THRUM_ECLOSED.
 *
 * immediate: what is left is dropped and counts as done, so gets fail at once and a join waits only for what is being worked
 *            on. May follow a shutdown that was not.
 * Context: task or any thread. Does not suspend. */
THRUM_API void thrum_queue_shutdown(thrum_queue *q, bool immediate);

/* How many items are in it; whether it has none; whether a put would wait. True for the moment only, if others use it.
 *
 * Context: task or any thread. Does not suspend. */
THRUM_API size_t thrum_queue_size(thrum_queue *q);
THRUM_API bool thrum_queue_is_empty(thrum_queue *q);
THRUM_API bool thrum_queue_is_full(thrum_queue *q);

THRUM_END_DECLS

#endif
