/* SPDX-License-Identifier: MIT */
#include "exec/deque.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

struct thr_deque_buffer {
    int64_t mask;                   /* capacity - 1; the capacity is a power of two */
    struct thr_deque_buffer *older; /* kept for thieves that still read it (D3) */
    thr_aptr slots[];
};

static struct thr_deque_buffer *buffer_new(int64_t capacity)
{
    struct thr_deque_buffer *b = malloc(sizeof(*b) + (size_t)capacity * sizeof(b->slots[0]));
    if (!b)
        return NULL;
    b->mask = capacity - 1;
    b->older = NULL;
    return b;
}

static thr_aptr *slot(struct thr_deque_buffer *b, int64_t index)
{
    return &b->slots[index & b->mask];
}

int thr_deque_init(struct thr_deque *d)
{
    thr_store(&d->top, 0, THR_RELAXED);
    thr_store(&d->bottom, 0, THR_RELAXED);
    struct thr_deque_buffer *b = buffer_new(FIRST_CAPACITY);
    thr_store(&d->buffer, b, THR_RELAXED);
    return b ? 0 : -ENOMEM;
}

void thr_deque_fini(struct thr_deque *d)
{
    struct thr_deque_buffer *b = thr_load(&d->buffer, THR_RELAXED);
    while (b) {
        struct thr_deque_buffer *older = b->older;
        free(b);
        b = older;
    }
    thr_store(&d->buffer, NULL, THR_RELAXED);
}

static struct thr_deque_buffer *grow(struct thr_deque *d, struct thr_deque_buffer *old, int64_t top,
                                     int64_t bottom)
{
    struct thr_deque_buffer *b = buffer_new(2 * (old->mask + 1));
    if (!b)
        return NULL;
    for (int64_t i = top; i < bottom; i++)
        thr_store(slot(b, i), thr_load(slot(old, i), THR_RELAXED), THR_RELAXED);
    b->older = old;
    thr_store(&d->buffer, b, THR_RELEASE); /* -> steal, load buffer acquire: its slots are filled */
    return b;
}

int thr_deque_push(struct thr_deque *d, void *item)
{
    int64_t bottom = thr_load(&d->bottom, THR_RELAXED); /* only the owner writes it */
    int64_t top = thr_load(&d->top, THR_ACQUIRE); /* too small a value only makes us grow early */
    struct thr_deque_buffer *b = thr_load(&d->buffer, THR_RELAXED);
    if (bottom - top > b->mask) {
        b = grow(d, b, top, bottom);
        if (!b)
            return -ENOMEM;
    }
    thr_store(slot(b, bottom), item, THR_RELAXED);
    thr_store(&d->bottom, bottom + 1, THR_SEQ_CST); /* (A) */
    return 0;
}

void *thr_deque_pop(struct thr_deque *d)
{
    int64_t bottom = thr_load(&d->bottom, THR_RELAXED) - 1;
    if (thr_load(&d->top, THR_RELAXED) > bottom)
        return NULL; /* empty: top never goes back, so no need for the dear exchange */
    struct thr_deque_buffer *b = thr_load(&d->buffer, THR_RELAXED);
    thr_xchg(&d->bottom, bottom, THR_SEQ_CST);    /* (C) */
    int64_t top = thr_load(&d->top, THR_SEQ_CST); /* (C) */
    if (top < bottom)
        return thr_load(slot(b, bottom), THR_RELAXED); /* no thief can reach it any more (D2) */

    void *item = NULL;
    if (top == bottom) { /* the last one: thieves may want it too */
        item = thr_load(slot(b, bottom), THR_RELAXED);
        if (!thr_cas(&d->top, &top, top + 1, THR_SEQ_CST, THR_RELAXED))
            item = NULL;
    }
    thr_store(&d->bottom, bottom + 1, THR_RELEASE);
    return item;
}

void *thr_deque_steal(struct thr_deque *d, bool *busy)
{
    if (busy)
        *busy = false;
    int64_t top = thr_load(&d->top, THR_SEQ_CST);       /* (C) */
    int64_t bottom = thr_load(&d->bottom, THR_SEQ_CST); /* (C), (B) */
    if (top >= bottom)
        return NULL;
    struct thr_deque_buffer *b = thr_load(&d->buffer, THR_ACQUIRE);
    void *item = thr_load(slot(b, top), THR_RELAXED); /* not ours before the swap below */
    if (thr_cas(&d->top, &top, top + 1, THR_SEQ_CST, THR_RELAXED))
        return item;
    if (busy)
        *busy = true;
    return NULL;
}
