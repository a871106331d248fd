/* SPDX-License-Identifier: MIT */
/* exec/doorbell.h: a bell that one task answers: rings that come while it is busy are remembered as one. For a task that
 * owns something (a c-ares channel, ...) and waits for several things at once. */
#ifndef THR_EXEC_DOORBELL_H
#define THR_EXEC_DOORBELL_H

#include "exec/lock.h"
#include "exec/wait.h"

struct thr_doorbell {
    struct thr_lock lock;
    bool rung;                 /* guarded by lock */
    struct thr_waiter *waiter; /* guarded by lock: the answering task's, or NULL */
};

void thr_doorbell_init(struct thr_doorbell *b);

/* Context: any thread. */
void thr_doorbell_ring(struct thr_doorbell *b);

/* Links w, a waiter of the current task's open wait; or, if the bell has been rung since last time, takes that ring and
 * returns true: do not park then. Context: the answering task. */
bool thr_doorbell_link(struct thr_doorbell *b, struct thr_waiter *w);

/* After the park: unlinks w if it is linked, and takes any ring. Context: the answering task. */
void thr_doorbell_unlink(struct thr_doorbell *b, struct thr_waiter *w);

#endif
