/* SPDX-License-Identifier: MIT */
/* exec/scope.h: scopes: which tasks belong together, and how cancelling reaches them.
 *
 * Scopes form a tree: a scope's parent is the innermost one its owner was in when it opened it. A task belongs to one
 * scope, its home, until it returns; while it runs it may be in scopes of its own further down.
 *
 * Invariants  C1  a scope's children and the links to its sub-scopes are guarded by its lock. Its parent outlives it, so
 *                 its address in the parent's list is good while the parent's lock is held.
 *             C2  locks are taken from the root downwards, a parent's before its child's. None is held while firing
 *                 makes tasks runnable (wait.h).
 *             C3  once a scope is cancelled it stays so, and so does, sooner or later, each scope below it that is not
 *                 shielded: cancelling walks down, and a scope that opens meanwhile copies its parent's state under the
 *                 parent's lock.
 *             C4  cancelling fires just the waits whose innermost scope (task->wait_scope) is a cancelled one: a task
 *                 that waits in a shielded scope further down is left alone. wait_scope is compared, never followed.
 *             C5  a child touches its home for the last time when it unlocks it after `pending` became 0; the owner
 *                 leaves the close only after it has had that lock and seen 0 (lock.h, L2). */
#ifndef THR_EXEC_SCOPE_H
#define THR_EXEC_SCOPE_H

#include "exec/lock.h"
#include "exec/wait.h"
#include <thrum/task.h>

struct thr_scope {
    thrum_timeout
        limit; /* its deadline, and a pointer to itself: what task->limit points to inside */
    struct thr_lock lock;
    thr_au32 cancelled;
    bool keep_going, shield;
    int first_error;                       /* guarded by lock */
    size_t pending;                        /* guarded by lock: children that have not returned */
    struct thrum_task *owner;              /* NULL for the root */
    struct thrum_task *children;           /* guarded by lock */
    struct thr_waiter *closer;             /* guarded by lock: the owner, waiting in close */
    struct thr_scope *parent;              /* NULL for the root */
    struct thr_scope *subs;                /* guarded by lock: the first scope opened within */
    struct thr_scope *sub_prev, *sub_next; /* guarded by the parent's lock */
};

_Static_assert(sizeof(struct thr_scope) <= sizeof(thrum_scope), "thrum_scope is too small");

/* A deadline has ended a wait, or is reported: notes it in the limits from the innermost one up to the one whose own
 * deadline it is. Context: the task that is within them. */
void thr_limit_fired(struct thrum_timeout *innermost);

/* The runtime's own scope: no parent, no owner, no deadline. Its tasks are not listed: runtime.c finds them all. */
void thr_scope_init_root(struct thr_scope *s);

/* Cancels a scope and those below it; waits of their owners and children are fired. Context: any thread. */
void thr_scope_cancel(struct thr_scope *top, struct thr_wakeups *out);

/* A child has returned `result`: the last thing it does with its home. Context: the worker that ran it. */
void thr_scope_child_done(struct thrum_task *task, int result);

#endif
