/* SPDX-License-Identifier: MIT */
#include "exec/random.h"

void thr_random_init(struct thr_random *r, uint64_t seed)
{
    /* One round of splitmix64: neighbouring seeds give unlike states. */
    seed += UINT64_C(0x9E3779B97F4A7C15);
    seed = (seed ^ (seed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94D049BB133111EB);
    seed ^= seed >> 31;
    r->state = seed ? seed : 1;
}
