/* SPDX-License-Identifier: MIT */
/* exec/event.h: an event as one of several things that a task waits for. */
#ifndef THR_EXEC_EVENT_H
#define THR_EXEC_EVENT_H

#include "exec/wait.h"
#include <thrum/sync.h>

/* The bits of an event's word, and of a timer's, which is an event that fires by itself. */
enum { THR_EVENT_SET = 1, THR_EVENT_WAITERS = 2 };

/* Links w, a waiter of the current task's open wait, unless the event is set.
 *
 * Returns: true if it is set: w is not linked, do not park. Context: task. */
bool thr_event_link(thrum_event *e, struct thr_waiter *w);

/* Unlinks w if it is linked. Whoever fired it, or set the event before, is out of it afterwards. Context: task. */
void thr_event_unlink(thrum_event *e, struct thr_waiter *w);

#endif
