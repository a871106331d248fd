/* SPDX-License-Identifier: MIT */
/* exec/timer_far.h: timers that are not due soon: a ring of buckets, one for each 67 ms of the next 68 seconds.
 *
 * Most timers are deadlines of waits that end long before: here arming and cancelling are a few instructions, whatever else
 * is armed and in whatever order the deadlines come. A bucket is not sorted; its timers are sorted by the heap once their
 * time is near, if they are still there by then.
 *
 * Invariants  F1  a bucket holds timers of one tick (deadline / 67 ms) in [base, base + THR_FAR_BUCKETS), that of tick t at
 *                 t mod THR_FAR_BUCKETS; none is added to the bucket of `base`, which is being emptied.
 *             F2  the bit of a bucket is set just if the bucket is not empty. */
#ifndef THR_EXEC_TIMER_FAR_H
#define THR_EXEC_TIMER_FAR_H

#include <stdbool.h>
#include <stdint.h>

enum { THR_FAR_TICK_SHIFT = 26, THR_FAR_BUCKETS = 1024 };

struct thr_timer;

/* Starts from zero. */
struct thr_timer_far {
    uint64_t base; /* the tick whose bucket is emptied next */
    uint64_t bits[THR_FAR_BUCKETS / 64];
    struct thr_timer *buckets[THR_FAR_BUCKETS];
};

static inline uint64_t thr_far_tick(uint64_t ns)
{
    return ns >> THR_FAR_TICK_SHIFT;
}

static inline uint64_t thr_far_tick_start(uint64_t tick)
{
    return tick << THR_FAR_TICK_SHIFT;
}

/* Returns: false if t is due too soon or too late for this. */
bool thr_timer_far_add(struct thr_timer_far *f, struct thr_timer *t);

void thr_timer_far_remove(struct thr_timer_far *f, struct thr_timer *t);

/* Takes any timer of the bucket of `base`; NULL if that is empty. */
struct thr_timer *thr_timer_far_take(struct thr_timer_far *f);

/* The first tick at or after base with a timer; UINT64_MAX if there is none. */
uint64_t thr_timer_far_first(const struct thr_timer_far *f);

/* The earliest deadline of all, or a time before it: the beginning of its tick if that has very many timers.
 * THRUM_NEVER if there is none. */
uint64_t thr_timer_far_earliest(const struct thr_timer_far *f);

#endif
