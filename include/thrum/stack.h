/* SPDX-License-Identifier: MIT */
/* Stacks: how much each task uses, and giving back what none does.
 *
 * A task has 64 KiB of stack (thrum_run_opts.stack_bytes for all of a runtime, thrum_spawn_opts.stack_bytes for one).
 * Only what is touched takes memory, a page at least. Below each stack lies a guard: a task that uses up its stack ends
 * the process by SIGSEGV, after a report on stderr that names the task, where it was spawned, and the size to ask for. */
#ifndef THRUM_STACK_H
#define THRUM_STACK_H

#include <stdio.h>
#include <thrum/common.h>

THRUM_BEGIN_DECLS

/* Gives the memory of the runtime's free stacks back to the system, where the tasks that used it have ended. What an idle
 * runtime does by itself after a second, but for the stacks that other workers keep at hand; it takes some 0.3 us a
 * stack, and so does using each again.
 *
 * Returns: the memory of how many stacks was given back; 0 outside a task.
 * Context: task. Does not suspend. */
THRUM_API size_t thrum_stack_trim(void);

THRUM_END_DECLS

#endif
