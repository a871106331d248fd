/* SPDX-License-Identifier: MIT */
#include "exec/lock.h"

#include "exec/util.h"

#include <sched.h>
#include <time.h>

enum { SPINS = 64, YIELDS = 32 };

THR_NOINLINE void thr_lock_wait(struct thr_lock *l)
{
    for (unsigned i = 0;; i++) {
        if (i < SPINS)
            thr_cpu_relax();
        else if (i < SPINS + YIELDS)
            sched_yield();
        else
            nanosleep(&(struct timespec){.tv_nsec = 50 * 1000}, NULL);
        if (thr_trylock(l))
            return;
    }
}

void thr_cpu_yield(void)
{
    sched_yield();
}
