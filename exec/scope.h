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
 *             C5  how many children have not returned is known in two parts, so that the usual case costs no atomic:
 *                 `owner_n`, those that the owner spawned less those it ran itself at its close, and `others`, what
 *                 everybody else adds (spawning) and takes away (returning), plus a bias that keeps it from 0. The
 *                 close adds owner_n and takes the bias away; from then on whoever brings `others` to 0 is the last
 *                 child, fires the owner's wait, and does not touch the scope after that. A child that does not see 0
 *                 touches its home for the last time when it counts itself out.
 *             C6  a child is in `children` from before its first wait on: one that has not waited has nothing that
 *                 cancelling could fire, and will see the flag. */
#ifndef THR_EXEC_SCOPE_H
#define THR_EXEC_SCOPE_H

#include "exec/lock.h"
#include "exec/wait.h"
#include <thrum/task.h>

/* What a link of the chain of limits (task->limit, then by `outer`) is: `kind` of thrum_timeout. */
enum thr_limit_kind {
    THR_LIMIT_TIME = 0,  /* a time limit, or a scope's own */
    THR_LIMIT_LOCAL = 1, /* a task-local's binding, limits nothing: local.c */
};

struct thr_scope {
    thrum_timeout
        limit; /* its deadline, and a pointer to itself: what task->limit points to inside */
    struct thr_lock lock;
    thr_au32 cancelled;
    bool keep_going, first_success, shield;
    bool won;               /* guarded by lock: with first_success, a child has returned `value` */
    int first_error, value; /* guarded by lock */
    uint32_t errors_n, errors_max;
    thrum_scope_error *errors; /* guarded by lock, and errors_n */
    int64_t owner_n;           /* the owner's own: C5 */
    thr_ai64 others;
    uint64_t close_seq;       /* the owner's wait in close; written before the bias is taken away */
    struct thrum_task *owner; /* NULL for the root */
    struct thrum_task *children;           /* guarded by lock */
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

/* Puts the current task into its home's list: before its first wait (C6). Context: that task, `listed` is false. */
void thr_scope_list_child(struct thrum_task *task);

/* Takes a child out of its home's list, if it is there: before it counts itself out. Context: that child. */
void thr_scope_unlist_child(struct thrum_task *task);

/* A child has returned `result`: the last thing it does with its home. Its owner ran it at the close, or a worker did. */
void thr_scope_child_done(struct thrum_task *task, int result, bool by_owner);

#endif
