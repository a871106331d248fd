/* SPDX-License-Identifier: MIT */
/* exec/timer_heap.h: a 4-ary heap of timers with the keys in its array: comparing touches the array only. */
#ifndef THR_EXEC_TIMER_HEAP_H
#define THR_EXEC_TIMER_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct thr_timer;

struct thr_timer_slot {
    uint64_t deadline_ns;
    struct thr_timer *timer;
};

/* Starts from zero. */
struct thr_timer_heap {
    struct thr_timer_slot *slots; /* slots[0] is the earliest */
    uint32_t n, max;
};

void thr_timer_heap_fini(struct thr_timer_heap *h);

/* Returns: false if there was no memory: t is not in the heap. */
bool thr_timer_heap_push(struct thr_timer_heap *h, struct thr_timer *t);

/* Takes out the one at `at`, which is its timer's `position`. */
void thr_timer_heap_remove(struct thr_timer_heap *h, uint32_t at);

/* Gives memory back that a crowd of timers has left behind. */
void thr_timer_heap_trim(struct thr_timer_heap *h);

#endif
