/* SPDX-License-Identifier: MIT */
#include "exec/clock.h"

#include <thrum/time.h>
#include <time.h>

uint64_t thr_clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * THRUM_SECOND + (uint64_t)ts.tv_nsec;
}

uint64_t thr_clock_after(uint64_t timeout_ns)
{
    uint64_t now = thr_clock_now();
    return timeout_ns < THRUM_NEVER - now ? now + timeout_ns : THRUM_NEVER;
}

uint64_t thrum_now(void)
{
    return thr_clock_now();
}
