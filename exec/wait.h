/* SPDX-License-Identifier: MIT */
/* exec/wait.h: the one protocol of all waiting.
 *
 * A task that must wait opens a *wait* with a new sequence number, tells one or more objects (a lock's queue, a
 * descriptor, ...) about it by linking a *waiter* into each, and parks. Data, peer, timer, cancel and close all try to
 * *fire* the wait with their reason; exactly one succeeds, and only that one makes the task runnable again.
 *
 * The word     task->wait = sequence << 8 | shielded | state, where state is
 *                IDLE     no wait is open
 *                ARMED    opened; the task still runs on its stack
 *                PARKED   the task's context is saved and its stack is quiet
 *                FIRED+r  ended with reason r
 * Invariants   W1  the sequence grows with each wait of a task record, for ever: records are reused, never unmapped, so
 *                  a late waker's compare-and-swap on an old sequence fails, whoever lives in the record by then.
 *              W2  from ARMED or PARKED to FIRED: by one winning compare-and-swap, of whoever fires.
 *              W3  from ARMED to PARKED: by the worker that switched away from the task, after its context was saved. If
 *                  that fails the wait was fired meanwhile, and that worker makes the task runnable; else the one who
 *                  fires it does (it saw PARKED). So a task is queued exactly once a wait.
 *              W4  a waiter (it lies on the waiting task's stack) is touched by others only under its object's lock. The
 *                  firing side pops it first and fires it last: of a wait that it ended it touches nothing after that,
 *                  unless its object says how the woken task awaits it (chan.h, N3 and N4; waitq.h). So a task that
 *                  its object woke has nothing to unlink there; after a timer or cancel it unlinks its waiter under
 *                  the lock, if it still is linked, and then nobody is left who could touch it.
 *              W5  a timer or cancel that fires changes nothing of the object: no item, permit or lock is lost with it.
 *                  If the object's side fired, the call is a success, whatever deadline passed meanwhile.
 *              W6  a shielded wait is not fired by cancel, nor bounded by the enclosing deadlines.
 *              W7  of several waiters of one wait one is *chosen*: `choice`, NULL before, is set to it by its object, which
 *                  then does what it has to and fires. An object that finds another chosen has lost: the wait is about to
 *                  end. So one object alone writes for the task, and the task knows which: if that side ended the wait.
 * Ordering     (A) fire, compare-and-swap acq_rel  ->  (B) the parked task's load acquire of the word
 *                  What the firing side wrote before is visible to the task after its wait.
 *              (C) park, compare-and-swap release ARMED->PARKED  ->  (A)
 *                  The saved context is visible to who fires and then queues the task.
 *              (D) cancel: store of the scope's flag, heavy fence, load of the word
 *                  park:   store of ARMED, light fence, load of the scope's flag
 *                  One of the two sees the other (fence.h): no cancel is missed.
 * Who schedules is separate from who fires: firing happens under the object's lock and only collects the tasks;
 * thr_wakeups_run() queues them after the lock is released. */
#ifndef THR_EXEC_WAIT_H
#define THR_EXEC_WAIT_H

#include "exec/atomic.h"
#include <thrum/task.h>

struct thr_runtime;

enum thr_reason {
    THR_FIRED_OK = 0, /* what was waited for */
    THR_FIRED_TIMEOUT = 1,
    THR_FIRED_CANCEL = 2,
    THR_FIRED_CLOSED = 3, /* the object is being closed */
};

/* One object's record of a waiting task. Lies on the task's stack, usually. */
struct thr_waiter {
    struct thrum_task *task;
    uint64_t seq;
    struct thr_waiter *prev, *next; /* guarded by the object's lock */
    bool linked;                    /* guarded by the object's lock */
    thr_au32 settled; /* the object's own use: it is done with what the waiter lent it */
    void *data;       /* the object's own use: where to put an item, ... */
    thr_aptr *choice; /* W7; NULL: the wait has but one waiter, or they are alike */
};

/* Tasks that were fired and must be made runnable. Zero-initialise. */
struct thr_wakeups {
    struct thrum_task *head, *tail;
};

/* Opens a wait of the current task with its first waiter. Nothing else may be opened before it is parked or abandoned.
 *
 * shielded: neither cancel nor the enclosing deadlines end it.
 * Context: task. */
void thr_wait_begin(struct thr_waiter *w, bool shielded);

/* The same for a task that is quiet, by the worker that holds it (call.h). */
void thr_wait_open(struct thrum_task *task, struct thr_waiter *w, bool shielded);

/* A further waiter of the wait that `first` belongs to, with the same `choice`. Context: task. */
void thr_wait_add(struct thr_waiter *w, const struct thr_waiter *first);

/* Suspends the current task until its wait is fired: at the latest by the timer at deadline_ns (absolute; THRUM_NEVER:
 * none) or an enclosing deadline, or by cancel. Returns at once if that has happened already.
 *
 * On return the waiters may still be linked: the caller must unlink them (W4).
 * Returns: the reason. Context: task, no lock held. */
enum thr_reason thr_wait_park(uint64_t deadline_ns);

/* Ends the current task's wait, which is over: from here on nobody can fire it. Returns: the reason. Context: task. */
enum thr_reason thr_wait_finish(void);

/* Ends an opened wait without parking. The waiters must be unlinked as after a park.
 *
 * Returns: true if it had been fired by an object meanwhile (THR_FIRED_OK or _CLOSED). Context: task. */
bool thr_wait_abandon(void);

/* Chooses w among its wait's waiters (W7): before anything is written for the task. Firing w does it as well.
 *
 * Returns: false if another one is chosen: firing w would fail, now and later.
 * Context: any thread, under the lock of the object that w is linked in. */
static inline bool thr_waiter_choose(const struct thr_waiter *w)
{
    void *chosen = NULL;
    if (!w->choice)
        return true; /* its wait has no other */
    /* Relaxed: the task reads the choice after (A) -> (B), and the swap alone decides between two objects. */
    return thr_cas(w->choice, &chosen, (void *)(uintptr_t)w, THR_RELAXED, THR_RELAXED) ||
           chosen == w;
}

/* Fires w's wait; if that succeeds and the task is parked, adds it to *out.
 *
 * Returns: true if this call decided how the wait ended.
 * Context: any thread, under the lock of the object that w is linked in. */
bool thr_waiter_fire(const struct thr_waiter *w, enum thr_reason reason, struct thr_wakeups *out);

/* Makes the collected tasks runnable: on this worker, or from a foreign thread on the one each ran on last.
 *
 * Context: any thread, no lock held. *out is empty afterwards. */
void thr_wakeups_run_some(struct thr_wakeups *out);

static inline void thr_wakeups_run(struct thr_wakeups *out)
{
    if (out->head)
        thr_wakeups_run_some(out);
}

/* Makes a task of the runtime runnable that is not queued. Context: a thread that is none of its workers, or any. */
void thr_wake_from_outside(struct thr_runtime *rt, struct thrum_task *task);

/* 0, -ETIMEDOUT, -ECANCELED or THRUM_ECLOSED. */
int thr_reason_error(enum thr_reason reason);

/* ---- Lists of waiters, guarded by their object's lock ---- */

struct thr_waitlist {
    struct thr_waiter *head, *tail;
};

void thr_waitlist_push(struct thr_waitlist *l, struct thr_waiter *w);
struct thr_waiter *thr_waitlist_pop(struct thr_waitlist *l); /* the first, or NULL */
void thr_waitlist_remove(struct thr_waitlist *l,
                         struct thr_waiter *w); /* nothing if it is not linked */

/* Pops waiters until one could be fired with `reason`; returns that one's `data` in *data (unless NULL).
 *
 * Returns: true if one was fired. */
bool thr_waitlist_fire_one(struct thr_waitlist *l, enum thr_reason reason, struct thr_wakeups *out,
                           void **data);
void thr_waitlist_fire_all(struct thr_waitlist *l, enum thr_reason reason, struct thr_wakeups *out);

#endif
