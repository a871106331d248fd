/* SPDX-License-Identifier: MIT */
/* exec/random.h: the only source of random numbers of exec and io: a small generator (xorshift64*) that each worker
 * seeds for itself. For choosing victims and spreading load, not for secrets. */
#ifndef THR_EXEC_RANDOM_H
#define THR_EXEC_RANDOM_H

#include <stdint.h>

struct thr_random {
    uint64_t state; /* never 0 */
};

void thr_random_init(struct thr_random *r, uint64_t seed);

static inline uint64_t thr_random_next(struct thr_random *r)
{
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* A number in [0, n); n > 0. The bias of one part in 2^32 / n does not matter here. */
static inline uint32_t thr_random_below(struct thr_random *r, uint32_t n)
{
    return (uint32_t)(((thr_random_next(r) >> 32) * n) >> 32);
}

#endif
