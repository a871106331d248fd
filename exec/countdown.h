/* SPDX-License-Identifier: MIT */
/* exec/countdown.h: a number of things to come and those who wait until it is zero: what wait group and latch have in
 * common. Kept in a waitq's word.
 *
 * Word        WAITERS (waitq.h, Q2), above it the number.
 * Invariants  D1  the number becomes zero while somebody waits only under the lock, by who then fires all of them.
 * Ordering    (A) down, compare-and-swap acq_rel  ->  (B) wait, load acquire
 *                 All that was done before any down is visible after the wait: each down carries the earlier ones on. */
#ifndef THR_EXEC_COUNTDOWN_H
#define THR_EXEC_COUNTDOWN_H

#include "exec/waitq.h"

/* The word of a countdown from n is n * THR_COUNTDOWN_ONE, as the initialisers in sync.h have it. */
enum {
    THR_COUNTDOWN_WAITERS = 1,
    THR_COUNTDOWN_ONE = 2,
    THR_COUNTDOWN_MAX = INT32_MAX,
};

/* n more. Context: any thread. */
void thr_countdown_add(struct thr_waitq *q, uint32_t n);

/* n less, of at least as many. Context: any thread. */
void thr_countdown_down(struct thr_waitq *q, uint32_t n);

/* True if nothing is left to come. Context: any thread. */
bool thr_countdown_is_zero(struct thr_waitq *q);

/* Returns: 0, -ECANCELED, -ETIMEDOUT. Context: task. Suspends. */
int thr_countdown_wait(struct thr_waitq *q);

#endif
