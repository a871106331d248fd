/* SPDX-License-Identifier: MIT */
/* exec/stack.h: guarded stacks for tasks, pooled.
 *
 * Stacks of one size lie side by side in large reserved regions, touched only where tasks use them. Below each is a guard
 * of 16 KiB: an overflow faults instead of writing into the neighbour. Guards are made with MADV_GUARD_INSTALL (Linux
 * 6.13), which needs no mapping of its own; on older kernels with mprotect, up to a budget, since each costs two of the
 * mappings that vm.max_map_count limits; beyond that with a canary below the stack, checked when it is given back.
 * The tops of neighbouring stacks are offset ("coloured") so that they do not all fall into the same cache sets.
 *
 * A stack is bound to a task when the task first runs, and goes back when it ends. Each worker keeps a list, last in first
 * out, so that a burst of short tasks runs on one warm stack; surplus moves between workers through a common list in
 * batches. Nothing is unmapped or advised per task: with two threads running one such call costs 25 us.
 *
 * Roles       take, give: a worker with its own cache.  init, fini: the starting and stopping thread.
 * Invariants  S1  a stack is in exactly one place: a cache, the common list, or bound to a task or about to be freed by
 *                 the worker that left it. It is given back only after its last switch away. */
#ifndef THR_EXEC_STACK_H
#define THR_EXEC_STACK_H

#include "exec/lock.h"

enum { THR_STACK_GUARD_BYTES = 16 * 1024 };

struct thr_stack {
    char *bottom; /* the lowest usable byte, above the guard */
    size_t bytes; /* usable, without the colour */
    struct thr_stack *next;
    void *tsan_fiber; /* from its first use on; NULL without ThreadSanitizer */
    bool canary;      /* no guard: a known value lies right below the bottom */
};

struct thr_stack_region;

/* What all workers of a runtime share. */
struct thr_stack_pool {
    struct thr_lock lock;
    size_t bytes;                     /* usable bytes of a stack */
    struct thr_stack *free;           /* guarded by lock */
    size_t free_n;                    /* guarded by lock */
    struct thr_stack_region *regions; /* guarded by lock */
    thr_asize carved_n;               /* stacks made so far; written under lock */
};

/* One worker's list. */
struct thr_stack_cache {
    struct thr_stack *free;
    size_t free_n;
};

/* bytes is rounded up to whole pages. Nothing is reserved before the first take. */
void thr_stack_pool_init(struct thr_stack_pool *p, size_t bytes);

/* Unmaps everything. No stack may be in use; caches are then void. */
void thr_stack_pool_fini(struct thr_stack_pool *p);

/* A stack, or NULL if there is no memory. */
struct thr_stack *thr_stack_take(struct thr_stack_pool *p, struct thr_stack_cache *c);
void thr_stack_give(struct thr_stack_pool *p, struct thr_stack_cache *c, struct thr_stack *s);

/* Where a task on it starts, aligned to 64 bytes. */
static inline void *thr_stack_top(const struct thr_stack *s)
{
    return s->bottom + s->bytes;
}

#endif
