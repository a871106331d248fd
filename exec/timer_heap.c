/* SPDX-License-Identifier: MIT */
#include "exec/timer_heap.h"

#include "exec/timer.h"

#include <stdlib.h>

enum { WAYS = 4, FIRST_MAX = 64, TRIM_MIN = 4096 };

void thr_timer_heap_fini(struct thr_timer_heap *h)
{
    free(h->slots);
    *h = (struct thr_timer_heap){0};
}

static void put(struct thr_timer_heap *h, uint32_t at, struct thr_timer_slot s)
{
    h->slots[at] = s;
    s.timer->position = at;
}

/* Finds the place for s from the hole `at` towards the root. */
static void sift_up(struct thr_timer_heap *h, uint32_t at, struct thr_timer_slot s)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / WAYS;
        if (h->slots[parent].deadline_ns <= s.deadline_ns)
            break;
        put(h, at, h->slots[parent]);
        at = parent;
    }
    put(h, at, s);
}

static uint32_t smallest_child(const struct thr_timer_heap *h, uint32_t at)
{
    uint32_t first = at * WAYS + 1;
    uint32_t best = first;
    for (uint32_t i = first + 1; i < first + WAYS && i < h->n; i++)
        if (h->slots[i].deadline_ns < h->slots[best].deadline_ns)
            best = i;
    return best;
}

/* The same from the hole towards the leaves. */
static void sift_down(struct thr_timer_heap *h, uint32_t at, struct thr_timer_slot s)
{
    while (at * WAYS + 1 < h->n) {
        uint32_t child = smallest_child(h, at);
        if (s.deadline_ns <= h->slots[child].deadline_ns)
            break;
        put(h, at, h->slots[child]);
        at = child;
    }
    put(h, at, s);
}

void thr_timer_heap_remove(struct thr_timer_heap *h, uint32_t at)
{
    struct thr_timer_slot last = h->slots[--h->n];
    if (at == h->n)
        return;
    if (at > 0 && last.deadline_ns < h->slots[(at - 1) / WAYS].deadline_ns)
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}

static bool resize(struct thr_timer_heap *h, uint32_t max)
{
    struct thr_timer_slot *slots = realloc(h->slots, max * sizeof(*slots));
    if (!slots)
        return false;
    h->slots = slots;
    h->max = max;
    return true;
}

bool thr_timer_heap_push(struct thr_timer_heap *h, struct thr_timer *t)
{
    if (h->n == h->max) {
        if (h->max > UINT32_MAX / (2 * WAYS) || !resize(h, h->max ? 2 * h->max : FIRST_MAX))
            return false;
    }
    sift_up(h, h->n++, (struct thr_timer_slot){t->deadline_ns, t});
    return true;
}

void thr_timer_heap_trim(struct thr_timer_heap *h)
{
    if (h->max > TRIM_MIN && h->n < h->max / 8)
        resize(h, h->max / 4); /* if that fails it is as large as before */
}
