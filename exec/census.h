/* SPDX-License-Identifier: MIT */
/* exec/census.h: how deep tasks use their stacks, by where they are spawned; and what else is looked at when one ends.
 *
 * A fresh stack is zero, and what a task leaves below the place where it is measured is cleared before the next: so its
 * deepest use is the lowest word that is not zero. Pages that were never touched are not looked at. What lies within some
 * hundred bytes of the measuring is not cleared, and is seen as used by every task.
 *
 * Roles       task_ended: a worker, on the stack of the task that has ended.  each: any thread.
 * Invariants  H1  in a census each task has a stack of its own: children are not run on their parents'.
 *             H2  a row's deepest use and the size it is to be compared with are one word: they belong together. */
#ifndef THR_EXEC_CENSUS_H
#define THR_EXEC_CENSUS_H

#include "exec/task.h"

/* The task has returned, and nothing else is on its stack. Call it only if the stack is `checked`. */
void thr_stack_task_ended(const struct thr_stacks *s, const struct thrum_task *task);

#endif
