/* SPDX-License-Identifier: MIT */
/* exec/stack.h: guarded stacks for tasks, in classes of one size each, pooled.
 *
 * Stacks of one class lie side by side in large reserved regions, touched only where tasks use them. Below each is a guard
 * (guard.h). The tops of neighbouring stacks are offset ("coloured") so that they do not all fall into the same cache
 * sets. Nothing is reserved for a class before its first stack is taken.
 *
 * A stack is bound to a task when the task first runs, and goes back when it ends. Each worker keeps a list for each
 * class, last in first out, so that a burst of short tasks runs on one warm stack; surplus moves between workers in
 * batches, through the list of the region it belongs to. New takers are served from the oldest region that has any, so
 * that the newer ones fall idle as a whole and can be trimmed (trim.c). Nothing is unmapped or advised per task: with two
 * threads running one such call costs 25 us.
 *
 * Roles       take, give: a worker with its own caches.  init, fini: the starting and stopping thread.
 *             trim: a worker.  find: any thread, also in a signal handler.
 * Invariants  S1  a stack is in exactly one place: a cache, its region's list, a trimmer's hands, bound to a task or about
 *                 to be freed by the worker that left it. It is given back only after its last switch away.
 *             S2  regions are only added, at the end of the chain, until fini.
 *             S3  a stack that is not `dirty` has no page of its own, but for its canary's if it has one and is bound.
 *             S4  one trimmer at a time holds stacks of a region; `held` is his alone. */
#ifndef THR_EXEC_STACK_H
#define THR_EXEC_STACK_H

#include "exec/guard.h"
#include "exec/lock.h"

enum {
    THR_STACK_CLASSES =
        6, /* 0: the runtime's own size; then 16 KiB, 64 KiB, 256 KiB, 1 MiB, 8 MiB */
    THR_STACK_MAX = 8 << 20,
};

struct thr_stack {
    char *bottom; /* the lowest usable byte, above the guard */
    size_t bytes; /* usable, without the colour */
    struct thr_stack *next;
    void *tsan_fiber; /* from its first use on; NULL without ThreadSanitizer */
    uint32_t index;   /* in its region */
    uint8_t class;
    bool canary;  /* no guard: a known value lies right below the bottom */
    bool dirty;   /* used since it was made or trimmed; belongs to who holds the stack (S1) */
    bool checked; /* something is to be looked at when a task ends: census.h */
    bool held;    /* by a trimmer, who alone looks at it */
};

struct thr_stack_region {
    thr_aptr next;                 /* the one that was made after it; written once (S2) */
    struct thr_stack_region *prev; /* the one before it */
    char *base;
    size_t base_bytes;
    thr_asize carved_n;     /* written under the pool's lock */
    uint32_t number;        /* of the pool's regions, from 0 */
    uint32_t free_n;        /* guarded by the pool's lock, as are the next two */
    uint32_t dirty_n;       /* of the free ones */
    struct thr_stack *free; /* of its stacks */
    bool trimmed;           /* guarded by the pool's lock: somebody holds stacks of it (S4) */
    struct thr_stack stacks[];
};

/* What all workers of a runtime share of one class. */
struct thr_stack_pool {
    struct thr_lock lock;
    uint8_t class;
    bool census;
    uint32_t region_n;     /* stacks of a region */
    uint32_t slab_n;       /* carved and guarded at once */
    uint32_t cache_max;    /* a worker's list gives half away beyond this */
    size_t promised_bytes; /* what each task may use */
    size_t bytes;          /* usable bytes of a stack: a little more (thr_worker_run_children()) */

    thr_aptr regions;              /* the first; written under lock */
    struct thr_stack_region *last; /* guarded by lock */
    struct thr_stack_region *hint; /* guarded by lock: none before it has free stacks */
    size_t dirty_low_n;  /* guarded by lock: the least of dirty_n since the window began (trim.c) */
    thr_asize settled_n; /* written under lock: dirty ones that trimming leaves */
    thr_asize dirty_n;   /* of the free ones; written under lock */
    thr_asize carved_n;  /* stacks made so far; written under lock */
};

/* One worker's list of one class. */
struct thr_stack_cache {
    struct thr_stack *free;
    size_t free_n;
};

struct thr_stacks {
    struct thr_stack_pool pools[THR_STACK_CLASSES];
    bool census;         /* each task's use is measured: census.h */
    thr_au32 trim_watch; /* 1: an idle worker sees to trimming (trim.c) */
    uint64_t trim_ns;    /* when, or 0; belongs to who holds trim_watch */
};

/* promised_bytes: of class 0. census: each task's use is measured. Nothing is reserved before the first take. */
void thr_stacks_init(struct thr_stacks *s, size_t promised_bytes, bool census);

/* Unmaps everything. No stack may be in use; caches are then void. Accepts a zeroed object. */
void thr_stacks_fini(struct thr_stacks *s);

/* The class of the smallest stacks that promise so many bytes; 0 of them: class 0. Returns: 0 or -EINVAL (too many). */
int thr_stacks_class(const struct thr_stacks *s, size_t bytes, uint8_t *class);

/* caches: the worker's, one for each class. Returns: a stack, or NULL if there is no memory. */
struct thr_stack *thr_stack_take(struct thr_stacks *s, struct thr_stack_cache *caches,
                                 uint8_t class);
void thr_stack_give(struct thr_stacks *s, struct thr_stack_cache *caches, struct thr_stack *stack);

/* Gives all of the caller's list to the regions. */
void thr_stack_cache_flush(struct thr_stack_pool *p, struct thr_stack_cache *c);

/* The stack whose guard or usable bytes contain the address, or NULL. Context: any, also a signal handler. */
const struct thr_stack *thr_stack_find(const struct thr_stacks *s, uintptr_t address);

/* Where a task on it starts, aligned to 64 bytes. */
static inline void *thr_stack_top(const struct thr_stack *s)
{
    return s->bottom + s->bytes;
}

static inline struct thr_stack_region *thr_stack_region_of(struct thr_stack *s)
{
    return (struct thr_stack_region *)(void *)((char *)(s - s->index) -
                                               offsetof(struct thr_stack_region, stacks));
}

/* A region's next neighbour by age. Context: any. */
static inline struct thr_stack_region *thr_stack_region_next(const struct thr_stack_region *r)
{
    return thr_load(&r->next, THR_ACQUIRE);
}

/* ---- Trimming (trim.c) ---- */

/* Gives the pages of free stacks back to the system, those of the caller's caches too.
 * Returns: of how many stacks. Context: a worker. */
size_t thr_stacks_trim(struct thr_stacks *s, struct thr_stack_cache *caches);

/* A worker is about to sleep: if there are many free stacks to be trimmed, and no other worker sees to it, shortens
 * *timeout_ns to when that is due. Returns: true if so; then unwatch must follow. */
bool thr_stacks_trim_watch(struct thr_stacks *s, struct thr_stack_cache *caches,
                           uint64_t *timeout_ns);

/* It has woken up. idle: nothing woke it; if it is time now, trims some of what nobody needed meanwhile, for a millisecond
 * or two; the next watch continues it. */
void thr_stacks_trim_unwatch(struct thr_stacks *s, bool idle);

#endif
