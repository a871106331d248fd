/* SPDX-License-Identifier: MIT */
/* exec/overflow.h: what is said when a task has used up its stack.
 *
 * A handler for SIGSEGV and SIGBUS, on an alternate stack of each worker's thread, looks whether the fault lies in the
 * guard of a task's stack. If so it prints which task, where it was spawned and the size to ask for, puts back what was
 * set before and returns: the fault happens once more, and the process ends by it, or in the debugger or crash reporter
 * that the program has set up. Other faults go to the handler that was set before, as if ours were not there.
 *
 * Where a sanitizer reports faults there is no handler: its own report tells more.
 *
 * Roles       install, uninstall: a starting and a stopping runtime, counted.  enter, leave: a worker's thread.
 * Invariants  V1  what was set before is noted before our handler is set, and does not change while it is.
 *             V2  the handler calls only what a signal handler may: it reads, formats in a buffer of its own, writes. */
#ifndef THR_EXEC_OVERFLOW_H
#define THR_EXEC_OVERFLOW_H

#include <stddef.h>

struct thr_stacks;
struct thrum_task;

/* The first sets the handler; the last puts back what was there, unless the program has set its own meanwhile. */
void thr_overflow_install(void);
void thr_overflow_uninstall(void);

/* Prints the report for a task that was found to have overflowed at its end: its stack has no guard. */
void thr_overflow_tell(const struct thr_stacks *s, const struct thrum_task *task);

/* A thread's alternate stack, if it had none before. */
struct thr_alt_stack {
    void *base;
    size_t bytes;
};

void thr_alt_stack_enter(struct thr_alt_stack *a);
void thr_alt_stack_leave(struct thr_alt_stack *a);

#endif
