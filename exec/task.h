/* SPDX-License-Identifier: MIT */
/* exec/task.h: the task record, and where records come from.
 *
 * A task is new (queued, no stack), running, ready (queued, with a saved context), waiting (parked), or done. Queued
 * means in exactly one queue of one worker, or the injector.
 *
 * Records are 128 bytes, two cache lines: what the switch and the wait protocol touch is in the first. They come from
 * slabs of 1 MiB that are aligned to their size, so that a record leads to its runtime, and that are unmapped only when
 * the runtime ends: a late waker may still look at the wait word of a record that serves another task by then (W1). */
#ifndef THR_EXEC_TASK_H
#define THR_EXEC_TASK_H

#include "exec/context.h"
#include "exec/lock.h"
#include "exec/scope.h"
#include "exec/stack.h"
#include "exec/wait.h"

struct thr_call;
struct thr_runtime;

enum thr_task_kind {
    THR_TASK_FREE = 0,
    THR_TASK_PLAIN = 1, /* spawned by thrum_spawn(): has a handle */
    THR_TASK_CHILD = 2, /* lives in a scope */
    THR_TASK_MAIN = 3,  /* the runtime's first */
    THR_TASK_FORK = 4,  /* a fork that was shared: fork.h */
};

struct thrum_task {
    /* Line 1: the switch, the wait. */
    struct thr_context context;  /* valid while ready or parked */
    thr_au64 wait;               /* wait.h */
    struct thr_stack *stack;     /* NULL before it first runs */
    struct thrum_timeout *limit; /* the innermost time limit; leads to the innermost scope */
    uint16_t worker; /* the one it ran on last: a hint for foreign wakers, any value will do */
    uint16_t site;   /* where it was spawned: site.h; 0: unknown */
    uint8_t kind;
    uint8_t stack_class; /* which stacks it takes: stack.h */
    bool listed : 1;     /* in its home's list of children (scope.h, C6), or has no need to be */
    bool called : 1;     /* a joiner has entered it: call.h */
    thr_au8 claim;       /* THR_TASK_FORK: who runs it (fork.h) */

    /* Line 2. */
    union {
        struct thrum_task *next; /* inbox, injector, wakeups, free list: whoever holds the task */
        struct thr_call *call;   /* while it is called: call.h */
    };
    thrum_fn *fn;
    union {
        void *arg;
        intptr_t result; /* once done */
    } u;
    union {
        struct { /* THR_TASK_CHILD, THR_TASK_FORK */
            struct thr_scope *home;
            struct thrum_task *prev, *next; /* guarded by home->lock, while `listed` */
        } child;
        struct { /* THR_TASK_PLAIN; guarded by lock */
            struct thr_waiter *joiner;
            struct thr_lock lock;
            bool detached;
            thr_au8 done; /* written under lock, or while the task is called: call.h, Y4 */
        } plain;
    } in;
    const char *name;
    thr_aptr wait_scope; /* the innermost scope of the wait; written before `wait` is armed */
};

_Static_assert(sizeof(struct thrum_task) == 128, "two cache lines");

/* ---- The wait word (wait.h) ---- */

enum {
    THR_WAIT_IDLE = 0,
    THR_WAIT_ARMED = 1,
    THR_WAIT_PARKED = 2,
    THR_WAIT_FIRED = 8, /* + enum thr_reason */
    THR_WAIT_STATE = 0x0F,
    THR_WAIT_SHIELDED = 0x10,
    THR_WAIT_SEQ_SHIFT = 8,
};

/* Fires the wait `seq` of the task. Returns: true if this call did it; then *parked tells whether the caller must make
 * the task runnable. Context: any thread. */
bool thr_wait_fire(struct thrum_task *task, uint64_t seq, enum thr_reason reason, bool *parked);

/* Fires the task's current wait with CANCEL if its scope is `scope` and it is not shielded. Context: any thread. */
void thr_wait_interrupt(struct thrum_task *task, struct thr_scope *scope, struct thr_wakeups *out);

/* The worker has switched away from the task: PARKED, or false if it was fired meanwhile (W3). */
bool thr_wait_parked(struct thrum_task *task);

void thr_wakeups_add(struct thr_wakeups *l, struct thrum_task *task);

/* ---- Records ---- */

struct thr_task_slab;

struct thr_task_pool {
    struct thr_lock lock;
    struct thr_runtime *runtime;
    struct thrum_task *free;     /* guarded by lock */
    struct thr_task_slab *slabs; /* guarded by lock: for walking all records */
};

struct thr_task_cache {
    struct thrum_task *free;
    size_t free_n;
};

void thr_task_pool_init(struct thr_task_pool *p, struct thr_runtime *rt);
void thr_task_pool_fini(struct thr_task_pool *p);

/* A record with everything unset but its wait word; NULL if there is no memory. Context: the cache's worker. */
struct thrum_task *thr_task_new(struct thr_task_pool *p, struct thr_task_cache *c);
void thr_task_free(struct thr_task_pool *p, struct thr_task_cache *c, struct thrum_task *task);

/* The runtime a task belongs to. */
struct thr_runtime *thr_task_runtime(const struct thrum_task *task);

/* Calls visit for every record, used or free. Context: any thread. */
void thr_task_pool_walk(struct thr_task_pool *p, void (*visit)(struct thrum_task *, void *),
                        void *arg);

#endif
