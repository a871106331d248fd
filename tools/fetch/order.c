/* SPDX-License-Identifier: MIT */
/* Bodies that arrive at once leave one after the other. */
#include "tools/fetch/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/task.h>

#define PIECE_MIN ((size_t)4096)

static struct thr_order_body *body_at(struct thr_order *o, uint64_t index)
{
    return &o->bodies[index & (o->bodies_n - 1)];
}

int thr_order_init(struct thr_order *o, struct thr_output *out, uint64_t at_once, uint64_t held_max)
{
    *o = (struct thr_order){.out = out, .held_max = held_max ? held_max : THR_ORDER_HELD_MAX};
    atomic_init(&o->held, 0);
    atomic_init(&o->error, 0);
    atomic_init(&o->done, 0);
    pthread_mutex_init(&o->lock, NULL);
    o->bodies_n = THR_ORDER_WINDOW;
    while (o->bodies_n < at_once * 2)
        o->bodies_n *= 2;
    thrum_sem_init(&o->window, (uint32_t)o->bodies_n);
    o->bodies = calloc(o->bodies_n, sizeof(*o->bodies));
    if (!o->bodies)
        return -ENOMEM;
    thrum_event_set(&body_at(o, 0)->turn);
    return 0;
}

static void drop_pieces(struct thr_order *o, struct thr_order_body *b)
{
    struct thr_order_piece *next;
    for (struct thr_order_piece *p = b->first; p; p = next) {
        next = p->next;
        atomic_fetch_sub(&o->held, p->max);
        free(p);
    }
    b->first = b->last = NULL;
}

void thr_order_fini(struct thr_order *o)
{
    for (uint64_t i = 0; o->bodies && i < o->bodies_n; i++)
        drop_pieces(o, &o->bodies[i]);
    free(o->bodies);
    o->bodies = NULL;
    pthread_mutex_destroy(&o->lock);
}

/* Keeps the first error. */
static void note_error(struct thr_order *o, int err)
{
    int none = 0;
    atomic_compare_exchange_strong(&o->error, &none, err);
}

/* Writes to the output, unless that failed before. The caller has the turn (R1). */
static int put(struct thr_order *o, const void *data, size_t n)
{
    int err = atomic_load(&o->error);
    if (err)
        return err;
    err = thr_output_write(o->out, data, n);
    if (err)
        note_error(o, err);
    return err;
}

/* Writes what the body holds. The caller has the turn and the pieces (R1, R2). */
static int put_pieces(struct thr_order *o, struct thr_order_body *b)
{
    int err = 0;
    for (struct thr_order_piece *p = b->first; p && !err; p = p->next) {
        b->begun_output = true;
        err = put(o, p->data, p->n);
    }
    drop_pieces(o, b);
    return err;
}

/* Takes memory of the limit; false if that is spent. */
static bool take_held(struct thr_order *o, size_t n)
{
    if (atomic_fetch_add(&o->held, n) + n <= o->held_max)
        return true;
    atomic_fetch_sub(&o->held, n);
    return false;
}

/* Adds what fits to the body's pieces. Returns: 0, -EAGAIN if the limit is spent, -ENOMEM. *data and *n
 * move on. */
static int hold(struct thr_order *o, struct thr_order_body *b, const char **data, size_t *n)
{
    struct thr_order_piece *p = b->last;
    if (p && p->n < p->max) {
        size_t step = *n < p->max - p->n ? *n : p->max - p->n;
        memcpy(p->data + p->n, *data, step);
        p->n += step;
        *data += step;
        *n -= step;
    }
    if (*n == 0)
        return 0;

    size_t max = *n > PIECE_MIN ? *n : PIECE_MIN;
    if (!take_held(o, max))
        return -EAGAIN;
    struct thr_order_piece *more = malloc(sizeof(*more) + max);
    if (!more) {
        atomic_fetch_sub(&o->held, max);
        return -ENOMEM;
    }
    *more = (struct thr_order_piece){.n = *n, .max = max};
    memcpy(more->data, *data, *n);
    *n = 0;
    if (p)
        p->next = more;
    else
        b->first = more;
    b->last = more;
    return 0;
}

int thr_order_reserve(struct thr_order *o)
{
    return thrum_sem_acquire(&o->window);
}

void thr_order_unreserve(struct thr_order *o)
{
    thrum_sem_release(&o->window);
}

void thr_order_begin(struct thr_order *o, uint64_t index)
{
    struct thr_order_body *b = body_at(o, index);
    pthread_mutex_lock(&o->lock);
    b->state = THR_ORDER_OPEN;
    pthread_mutex_unlock(&o->lock);
    b->begun_output = false;
}

int thr_order_write(struct thr_order *o, uint64_t index, const void *data, size_t n)
{
    struct thr_order_body *b = body_at(o, index);
    const char *rest = data;
    if (!thrum_event_is_set(&b->turn)) {
        int err = hold(o, b, &rest, &n);
        if (err != -EAGAIN)
            return err;
        err = thrum_event_wait(&b->turn);
        if (err)
            return err;
    }
    int err = put_pieces(o, b);
    if (!err && n > 0) {
        b->begun_output = true;
        err = put(o, rest, n);
    }
    return err;
}

bool thr_order_restart(struct thr_order *o, uint64_t index)
{
    struct thr_order_body *b = body_at(o, index);
    if (b->begun_output)
        return false;
    drop_pieces(o, b);
    return true;
}

/* Moves the head past body b, which has ended and whose pieces are written. Returns the next body if the
 * turn stays with the caller, for that one has ended too; else NULL, and the turn is passed on. */
static struct thr_order_body *pass(struct thr_order *o, struct thr_order_body *b)
{
    pthread_mutex_lock(&o->lock);
    b->state = THR_ORDER_FREE;
    thrum_event_clear(&b->turn);
    struct thr_order_body *next = body_at(o, ++o->head);
    bool keep = next->state == THR_ORDER_ENDED;
    if (!keep)
        thrum_event_set(
            &next->turn); /* under way, or not begun: then it finds its turn when it begins */
    pthread_mutex_unlock(&o->lock);
    thrum_sem_release(&o->window);
    return keep ? next : NULL;
}

int thr_order_end(struct thr_order *o, uint64_t index)
{
    struct thr_order_body *b = body_at(o, index);
    pthread_mutex_lock(&o->lock);
    b->state = THR_ORDER_ENDED;
    bool mine = thrum_event_is_set(&b->turn);
    pthread_mutex_unlock(&o->lock);
    if (!mine)
        return atomic_load(&o->error);

    if (thrum_check() != 0) /* a body that was cancelled is no reason for the next one to go out */
        note_error(o, -ECANCELED);
    while (b) {
        if (put_pieces(o, b) == 0 &&
            atomic_load(&o->error) == 0) /* after an error it only drops them */
            atomic_fetch_add(&o->done, 1);
        b = pass(o, b);
    }
    return atomic_load(&o->error);
}
