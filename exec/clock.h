/* SPDX-License-Identifier: MIT */
/* exec/clock.h: the only place that exec and io read a clock. */
#ifndef THR_EXEC_CLOCK_H
#define THR_EXEC_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC; never 0. */
uint64_t thr_clock_now(void);

/* now + timeout_ns, without wrapping around: THRUM_NEVER stays so. */
uint64_t thr_clock_after(uint64_t timeout_ns);

#endif
