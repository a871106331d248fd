/* SPDX-License-Identifier: MIT */
/* exec/fence.h: a pair of fences of which one side costs nothing.
 *
 * Two threads that each write one flag and then read the other's must not both miss the other (Dekker). Usually each needs
 * a full fence between its two accesses, some 6 to 12 ns. Where one side comes a million times more often than the other,
 * it takes thr_fence_light(), which only keeps the compiler in order, and the rare side thr_fence_heavy(), which makes
 * every running thread of the process pass a full fence (membarrier(2), Linux 4.14; some 20 us if others run).
 *
 * Guarantee   Of two threads, L: write a; light fence; read b, and H: write b; heavy fence; read a, at least one sees what
 *             the other wrote.
 * Where the system call is not to be had both are full fences. Known before the first worker starts: thr_fence_init(). */
#ifndef THR_EXEC_FENCE_H
#define THR_EXEC_FENCE_H

#include "exec/atomic.h"

extern bool thr_fence_is_light; /* written by thr_fence_init() alone */

/* Context: before threads that use the fences. Any number of times. */
void thr_fence_init(void);

void thr_fence_heavy(void);

static inline void thr_fence_light(void)
{
    if (__builtin_expect(thr_fence_is_light, 1))
        __atomic_signal_fence(THR_SEQ_CST);
    else
        thr_fence_full();
}

#endif
