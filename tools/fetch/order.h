/* SPDX-License-Identifier: MIT */
/* tools/fetch/order.h: bodies that arrive at once leave one after the other, in the order of the URLs.
 *
 * The body whose turn it is streams straight through. Those behind it are held in memory, up to
 * THR_ORDER_HELD_MAX in all and a window of THR_ORDER_WINDOW bodies or more; a task that would exceed
 * either waits. Memory is thus bounded however large the bodies are and however slow the first one is.
 *
 * Roles       reserve, then begin, write, restart, end: the task that fetches body `index`, in this order.
 * Invariants  R1  one task or none has the turn, and it alone writes to the output. The turn goes from
 *                 body i to i + 1; who ends its body with the turn also writes what ended bodies behind it
 *                 hold, until it comes to one that is still under way (which is told by `turn`) or has not
 *                 begun (then the turn rests, and begin takes it up).
 *             R2  the pieces of a body belong to its task until it ends, then to whoever has the turn.
 *             R3  what waits for memory or the window waits for bodies before it only, so the one with the
 *                 turn never waits, and all get on.
 *             R4  a place in the window is reserved before an index is asked for. Indices are given out in
 *                 order and the head moves in order, so at most bodies_n of them lie between the head and
 *                 the newest, and no two of those share a place.
 */
#ifndef TOOLS_FETCH_ORDER_H
#define TOOLS_FETCH_ORDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <thrum/sync.h>

#include "tools/common/output.h"

#define THR_ORDER_HELD_MAX ((uint64_t)64 << 20)
#define THR_ORDER_WINDOW 1024

struct thr_order_piece {
    struct thr_order_piece *next;
    size_t n, max;
    char data[];
};

enum thr_order_state { THR_ORDER_FREE, THR_ORDER_OPEN, THR_ORDER_ENDED };

struct thr_order_body {
    enum thr_order_state state; /* guarded by the order's lock */
    bool begun_output;          /* bytes have gone out; its task's (R2) */
    thrum_event turn;
    struct thr_order_piece *first, *last;
};

struct thr_order {
    struct thr_output *out;
    uint64_t held_max;
    atomic_uint_fast64_t held; /* bytes of all pieces */
    atomic_int error;          /* what the output failed with, -ECANCELED, or 0 */
    atomic_uint_fast64_t
        done; /* so many of the first bodies have left, whole or as far as they came */

    pthread_mutex_t lock; /* never held across a suspension */
    uint64_t head;        /* the body with the turn, or that will have it; guarded by lock */
    thrum_sem window;     /* one permit a free place (R4) */
    uint64_t bodies_n;    /* a power of two */
    struct thr_order_body *bodies; /* body i is at i % bodies_n */
};

/* at_once: tasks that fetch. held_max 0: the default above; less for tests.
 * Returns: 0 or -ENOMEM; fini copes with both. */
int thr_order_init(struct thr_order *o, struct thr_output *out, uint64_t at_once,
                   uint64_t held_max);
void thr_order_fini(struct thr_order *o);

/* Reserves a place in the window, to be followed by begin or unreserve (R4).
 * Returns: 0, -ECANCELED. Context: task. Suspends until there is room. */
int thr_order_reserve(struct thr_order *o);
void thr_order_unreserve(struct thr_order *o);

/* Takes up body `index`. Does not suspend. */
void thr_order_begin(struct thr_order *o, uint64_t index);

/* Adds to the body. Returns: 0, -ENOMEM, -ECANCELED, or what writing the output failed with.
 * Context: task. Suspends while the reader, or the limit on memory, asks for it. */
int thr_order_write(struct thr_order *o, uint64_t index, const void *data, size_t n);

/* Forgets what was written. Returns false, and forgets nothing, if some of it has gone out already. */
bool thr_order_restart(struct thr_order *o, uint64_t index);

/* Ends the body and passes the turn on.
 * Returns: 0 or what writing the output failed with. Context: task. Suspends. */
int thr_order_end(struct thr_order *o, uint64_t index);

#endif
