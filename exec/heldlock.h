/* SPDX-License-Identifier: MIT */
/* exec/heldlock.h: finds tasks that suspend while they hold a lock of threads, a pthread mutex say: another thread would
 * unlock it, and a task that wants it blocks the very worker that should run its holder.
 *
 * In debug builds (THRUM_DEBUG_LOCKS) heldlock.c stands before the C library's pthread_mutex, rwlock, spin and C11 mtx
 * functions, and notes what a task locks, and where. A suspension with something noted is reported on standard error with
 * both stacks, and aborts, unless the environment says THRUM_HELD_LOCKS=warn.
 *
 * Roles       note, forget: whoever locks and unlocks.  check: a task about to suspend.
 * Invariants  H1  what is noted is the thread's own: a task that obeys the rule has nothing noted when it changes threads.
 *             H2  a wait for a condition needs no care: it gives the mutex up while the thread, not the task, waits, and has
 *                 it again when it returns.
 *             H3  locks of threads that run no task, and those that the runtime takes between tasks, are not noted. */
#ifndef THR_EXEC_HELDLOCK_H
#define THR_EXEC_HELDLOCK_H

#ifdef THR_DEBUG_LOCKS

/* The running task is about to suspend: reports what it holds. Context: task. */
void thr_heldlock_check(void);

#else

static inline void thr_heldlock_check(void)
{
}

#endif

#endif
