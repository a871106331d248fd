/* SPDX-License-Identifier: MIT */
/* Where task records come from. */
#include "exec/task.h"

#include "exec/util.h"

#include <string.h>
#include <sys/mman.h>

enum {
    SLAB_BYTES = 1 << 20,
    CACHE_MAX = 512, /* a worker's list gives half away beyond this */
    BATCH = CACHE_MAX / 2,
};

struct thr_task_slab {
    struct thr_runtime *runtime;
    struct thr_task_slab *next;
    size_t carved_n; /* guarded by the pool's lock */
    _Alignas(128) struct thrum_task tasks[];
};

enum { SLAB_TASKS = (SLAB_BYTES - sizeof(struct thr_task_slab)) / sizeof(struct thrum_task) };

void thr_task_pool_init(struct thr_task_pool *p, struct thr_runtime *rt)
{
    memset(p, 0, sizeof(*p));
    p->runtime = rt;
}

void thr_task_pool_fini(struct thr_task_pool *p)
{
    while (p->slabs) {
        struct thr_task_slab *s = p->slabs;
        p->slabs = s->next;
        munmap(s, SLAB_BYTES);
    }
}

/* A mapping of SLAB_BYTES that is aligned to its size: twice as much is mapped and the ends are given back. */
static struct thr_task_slab *slab_map(void)
{
    char *m = mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(-(uintptr_t)m & (SLAB_BYTES - 1));
    if (before)
        munmap(m, before);
    if (SLAB_BYTES - before)
        munmap(m + before + SLAB_BYTES, SLAB_BYTES - before);
    return (struct thr_task_slab *)(void *)(m + before);
}

/* Under p->lock: the slab to carve from, or NULL. */
static struct thr_task_slab *slab_with_room(struct thr_task_pool *p)
{
    struct thr_task_slab *s = p->slabs;
    if (s && s->carved_n < SLAB_TASKS)
        return s;
    s = slab_map();
    if (!s)
        return NULL;
    s->runtime = p->runtime;
    s->next = p->slabs;
    p->slabs = s;
    return s;
}

static void cache_push(struct thr_task_cache *c, struct thrum_task *t)
{
    t->next = c->free;
    c->free = t;
    c->free_n++;
}

static void refill(struct thr_task_pool *p, struct thr_task_cache *c)
{
    thr_lock(&p->lock);
    while (p->free && c->free_n < BATCH) {
        struct thrum_task *t = p->free;
        p->free = t->next;
        cache_push(c, t);
    }
    struct thr_task_slab *s = c->free ? NULL : slab_with_room(p);
    while (s && s->carved_n < SLAB_TASKS && c->free_n < BATCH)
        cache_push(c, &s->tasks[s->carved_n++]);
    thr_unlock(&p->lock);
}

struct thrum_task *thr_task_new(struct thr_task_pool *p, struct thr_task_cache *c)
{
    if (!c->free)
        refill(p, c);
    struct thrum_task *t = c->free;
    if (!t)
        return NULL;
    c->free = t->next;
    c->free_n--;
    t->stack = NULL;
    t->next = NULL;
    return t;
}

static void spill(struct thr_task_pool *p, struct thr_task_cache *c)
{
    struct thrum_task *first = c->free, *last = first;
    for (int i = 1; i < BATCH; i++)
        last = last->next;
    c->free = last->next;
    c->free_n -= BATCH;
    thr_lock(&p->lock);
    last->next = p->free;
    p->free = first;
    thr_unlock(&p->lock);
}

void thr_task_free(struct thr_task_pool *p, struct thr_task_cache *c, struct thrum_task *task)
{
    task->kind = THR_TASK_FREE;
    cache_push(c, task);
    if (c->free_n > CACHE_MAX)
        spill(p, c);
}

struct thr_runtime *thr_task_runtime(const struct thrum_task *task)
{
    uintptr_t slab = (uintptr_t)task & ~(uintptr_t)(SLAB_BYTES - 1);
    return ((const struct thr_task_slab *)slab)->runtime;
}

void thr_task_pool_walk(struct thr_task_pool *p, void (*visit)(struct thrum_task *, void *),
                        void *arg)
{
    thr_lock(&p->lock);
    for (struct thr_task_slab *s = p->slabs; s; s = s->next)
        for (size_t i = 0; i < s->carved_n; i++)
            visit(&s->tasks[i], arg);
    thr_unlock(&p->lock);
}
