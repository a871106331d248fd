/* SPDX-License-Identifier: MIT */
/* exec/call.h: a join that enters the task it waits for.
 *
 * Who joins a task that has not started and is the newest of this worker would only wait for it: so it switches to that
 * task at once, as in a call, and the task's end switches back. Until then the joiner's wait is nobody's business: no queue,
 * no timer and no lock knows of it, which is what makes spawn and join of a short task cheap. If the task suspends after
 * all, the wait is published first, and all goes on as if the joiner had parked in the usual way.
 *
 * Invariants  Y1  a task that is `called` runs, and its `call` lies on the stack of its caller: a task in thrum_join() whose
 *                 context is saved, and which is in no queue.
 *             Y2  a called task that suspends publishes its caller first, and that one's caller, and so on: only a chain
 *                 of which the last runs is unpublished. All waits of the chain are opened before the first caller can
 *                 be resumed: it may end at once, elsewhere, and fires its own caller's. A child that runs on a called task's stack takes its place.
 *             Y3  the caller's wait is opened when it is published: until then no cancel and no deadline ends it, and a task
 *                 that computes without suspending delays the joiner's time-out.
 *             Y4  a called task that ends marks itself done without its lock: whoever looks meanwhile finds a joiner, and
 *                 the joiner, the only one who may go on to free it, is the caller. */
#ifndef THR_EXEC_CALL_H
#define THR_EXEC_CALL_H

#include "exec/timer.h"

/* The caller's wait; on its stack. */
struct thr_call {
    struct thr_waiter waiter;
    struct thr_timer timer;
    struct thr_call *outer; /* set when it is published: that of the caller's own caller, or NULL */
    bool published;         /* and so the wait is open; else the called task has ended */
    bool timed;             /* published with an enclosing deadline, which the timer has */
};

/* Publishes the waits of all that wait for `task`, which is called and about to suspend. Context: its worker. */
void thr_call_publish(struct thrum_task *task);

/* After the caller was resumed by its published wait: closes that. Returns: how it ended. Context: the caller. */
enum thr_reason thr_call_finish(struct thr_call *call);

#endif
