/* SPDX-License-Identifier: MIT */
/* exec/clock.h: the only place that exec and io read a clock.
 *
 * Reading CLOCK_MONOTONIC costs some 25 ns, the processor's counter 10. Deadlines are computed from the counter where that
 * is safe: from a reading of the clock at most 2 us old, plus the cycles since then at a rate that is taken too high on
 * purpose.
 *
 * Invariants  N1  such a deadline is never before the one that the clock would have given, so nothing fires early. The kernel
 *                 may run CLOCK_MONOTONIC up to 10 % too fast or too slow while it corrects it (adjtimex), when the rate
 *                 is learned and afterwards: at worst 1.222 times the rate that was learned. 1.25 times that rate is used.
 *             N2  it is late by at most 1.5 us, by 0.3 on average: what the rate is too high, and what passed between the
 *                 two readings of a base.
 *             N3  for one worker it never runs backwards.
 *             N4  a counter that jumps, back or ahead (another core, sleep, a migrated machine), makes the age too great:
 *                 the clock is read instead. One that does not keep its rate is seen at the next reading, and learned anew.
 * Everything else, thrum_now() and the look at what is due, reads the clock itself. */
#ifndef THR_EXEC_CLOCK_H
#define THR_EXEC_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* One thread's; starts from zero. */
struct thr_clock_base {
    uint64_t cycles, ns; /* read together, the counter first */
    uint64_t age_max;    /* in cycles, until when that is of use: 0 or age_limit */
    uint64_t rate;       /* nanoseconds for 2^32 cycles, too high (N1); 0: not learned */
    uint64_t last;       /* what was returned last (N3) */
    uint64_t age_limit;  /* what AGE_MAX_NS are in cycles */
    uint64_t first_cycles, first_ns,
        first_took; /* where learning began; first_ns is 0: it has not */
    bool hopeless;  /* there is no such counter */
};

/* Nanoseconds of CLOCK_MONOTONIC; never 0. */
uint64_t thr_clock_now(void);

/* The same or up to 1.5 us later, for computing deadlines. Context: the thread that b belongs to. */
uint64_t thr_clock_for_deadline(struct thr_clock_base *b);

/* now + timeout_ns, without wrapping around: THRUM_NEVER stays so. Possibly up to 1.5 us later (N2). Context: any thread. */
uint64_t thr_clock_after(uint64_t timeout_ns);

#endif
