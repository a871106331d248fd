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

/* ---- How deep tasks go ---- */

/* What tasks from one place have used; thrum_run_opts.stack_census switches the measuring on. */
typedef struct thrum_stack_use {
    const char *file,
        *function; /* where they were spawned. No file: "thrum_run" started them, or NULL, unknown */
    unsigned line;
    uint64_t tasks_n;     /* that have ended */
    size_t deepest_bytes; /* the most that one of them used, to about half a KiB */
    size_t stack_bytes;   /* what that one was allowed */
} thrum_stack_use;

typedef void thrum_stack_use_fn(const thrum_stack_use *use, void *arg);

/* Calls each(use, arg) for every place that tasks were spawned in while a census was on, in any runtime so far.
 *
 * A task costs a microsecond or more then, and children are not run on their parents' stacks. What a function left
 * unwritten at the deepest point is not seen, nor are pages that the system has swapped out.
 *
 * Owns:    use is lent for the call; its texts are the program's own.
 * Returns: how many.
 * Context: any thread. Does not suspend, unless each does. */
THRUM_API size_t thrum_stack_census(thrum_stack_use_fn *each, void *arg);

/* Prints the same as a table.
 *
 * Returns: 0, or -EIO if out could not be written to.
 * Context: any thread. Blocks as out does. */
THRUM_API int thrum_stack_report(FILE *out);

/* ---- Giving back ---- */

/* Gives the memory of the runtime's free stacks back to the system, where the tasks that used it have ended. What an idle
 * runtime does by itself after a second, but for the stacks that other workers keep at hand; it takes some 0.3 us a
 * stack, and so does using each again.
 *
 * Returns: the memory of how many stacks was given back; 0 outside a task.
 * Context: task. Does not suspend. */
THRUM_API size_t thrum_stack_trim(void);

THRUM_END_DECLS

#endif
