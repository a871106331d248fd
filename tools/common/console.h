/* SPDX-License-Identifier: MIT */
/* tools/common/console.h: standard error as lines, with a progress bar below them if it is a terminal. */
#ifndef TOOLS_COMMON_CONSOLE_H
#define TOOLS_COMMON_CONSOLE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "tools/common/output.h"
#include "tools/common/text.h"

struct thr_console {
    struct thr_output out;
    atomic_bool bar_shown;
};

void thr_console_init(struct thr_console *c, int quit_fd);

/* True if a bar may be drawn: a terminal that knows how to go back to the start of a line.
 * Context: the main thread, before others are started that may change the environment. */
bool thr_console_has_bar(void);

/* The width of the terminal, 80 if it does not say. */
unsigned thr_console_columns(void);

/* Writes a line (the LF is added) above the bar. What goes wrong has nowhere to be told and is ignored.
 * Context: task. Suspends. */
void thr_console_line(struct thr_console *c, const struct thr_text *line);

/* Draws the bar. Context: task. Suspends. */
void thr_console_bar(struct thr_console *c, const char *bar);

/* Takes the bar away. Context: a plain thread, when no task uses the console any more. */
void thr_console_finish(struct thr_console *c);

#endif
