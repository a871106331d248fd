/* SPDX-License-Identifier: MIT */
#include "exec/timer_far.h"

#include "exec/timer.h"

#include <thrum/time.h>

enum { BITS = 64, WORDS = THR_FAR_BUCKETS / BITS, LOOK_MAX = 64 };

static uint32_t index_of(uint64_t tick)
{
    return (uint32_t)(tick % THR_FAR_BUCKETS);
}

bool thr_timer_far_add(struct thr_timer_far *f, struct thr_timer *t)
{
    uint64_t tick = thr_far_tick(t->deadline_ns);
    if (tick - f->base - 1 >= THR_FAR_BUCKETS - 1) /* also those before base, by wrapping around */
        return false;
    uint32_t i = index_of(tick);
    t->prev = NULL;
    t->next = f->buckets[i];
    if (t->next)
        t->next->prev = t;
    else
        f->bits[i / BITS] |= UINT64_C(1) << (i % BITS);
    f->buckets[i] = t;
    return true;
}

void thr_timer_far_remove(struct thr_timer_far *f, struct thr_timer *t)
{
    if (t->next)
        t->next->prev = t->prev;
    if (t->prev) {
        t->prev->next = t->next;
        return;
    }
    uint32_t i = index_of(thr_far_tick(t->deadline_ns));
    f->buckets[i] = t->next;
    if (!t->next)
        f->bits[i / BITS] &= ~(UINT64_C(1) << (i % BITS));
}

struct thr_timer *thr_timer_far_take(struct thr_timer_far *f)
{
    struct thr_timer *t = f->buckets[index_of(f->base)];
    if (!t)
        return NULL;
    __builtin_prefetch(t->next); /* it lies in a stack that has been left long ago */
    thr_timer_far_remove(f, t);
    return t;
}

uint64_t thr_timer_far_first(const struct thr_timer_far *f)
{
    uint32_t from = index_of(f->base);
    uint64_t bits = f->bits[from / BITS] & (UINT64_MAX << (from % BITS));
    for (uint32_t k = 0; k <= WORDS; k++) { /* the first word twice: its lower bits come last */
        if (bits) {
            uint32_t i = (from / BITS + k) % WORDS * BITS + (uint32_t)__builtin_ctzll(bits);
            return f->base + (i - from) % THR_FAR_BUCKETS;
        }
        bits = f->bits[(from / BITS + k + 1) % WORDS];
    }
    return UINT64_MAX;
}

uint64_t thr_timer_far_earliest(const struct thr_timer_far *f)
{
    uint64_t tick = thr_timer_far_first(f);
    if (tick == UINT64_MAX)
        return THRUM_NEVER;
    uint64_t best = THRUM_NEVER;
    const struct thr_timer *t = f->buckets[index_of(tick)];
    for (unsigned n = 0; t; t = t->next) {
        if (t->deadline_ns < best)
            best = t->deadline_ns;
        if (++n == LOOK_MAX && t->next)
            return thr_far_tick_start(tick);
    }
    return best;
}
