/* SPDX-License-Identifier: MIT */
#include "exec/fence.h"

#include "exec/util.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

bool thr_fence_is_light;

static void find_out(void)
{
    /* A register call that is answered with 0 promises that the other will be. Twice: an emulator may accept anything. */
    long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (known < 0 || !(known & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
        return;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
        return;
    thr_fence_is_light = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void thr_fence_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_out);
}

THR_NOINLINE void thr_fence_heavy(void)
{
    if (!thr_fence_is_light) {
        thr_fence_full();
        return;
    }
    /* Without it tasks would run twice: a filter of system calls that was installed meanwhile must not go unnoticed. Out of
     * memory passes: the kernel may need a mask of processors. */
    while (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        THR_ASSERT(errno == ENOMEM);
        sched_yield();
    }
}
