/* SPDX-License-Identifier: MIT */
#include "exec/stack.h"

#include "exec/sanitizer.h"
#include "exec/util.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    REGION_BYTES = 384 << 20, /* reserved at once, about */
    REGION_MIN = 16,          /* stacks */
    REGION_MAX = 4096,
    SLAB_BYTES = 3 << 20, /* guarded at once, about; THR_GUARD_BATCH stacks at most */
    CACHE_BYTES = 12 << 20,
    CACHE_MIN = 2,
    CACHE_MAX = 128,
    FOR_PARENTS = 16 << 10, /* what a parent may have used when a child runs on its stack */
    COLOUR_STEP = 192,      /* three cache lines; tops spread over one page minus a quarter */
    COLOUR_SPAN = 3072,
};

static size_t slot_bytes(const struct thr_stack_pool *p)
{
    return p->bytes + THR_GUARD_BYTES;
}

static uint32_t between(size_t n, size_t min, size_t max)
{
    return (uint32_t)(n < min ? min : n > max ? max : n);
}

/* ---- Start and end ---- */

static void pool_init(struct thr_stack_pool *p, uint8_t class, size_t promised_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    p->class = class;
    p->promised_bytes = promised_bytes;
    p->bytes = (promised_bytes + FOR_PARENTS + page - 1) / page * page;
    p->region_n = between(REGION_BYTES / slot_bytes(p), REGION_MIN, REGION_MAX);
    p->slab_n = between(SLAB_BYTES / slot_bytes(p), 1, THR_GUARD_BATCH);
    p->cache_max = between(CACHE_BYTES / slot_bytes(p), CACHE_MIN, CACHE_MAX);
}

void thr_stacks_init(struct thr_stacks *s, size_t promised_bytes, bool census)
{
    static const size_t sizes[THR_STACK_CLASSES] = {0,         16 << 10, 64 << 10,
                                                    256 << 10, 1 << 20,  THR_STACK_MAX};
    memset(s, 0, sizeof(*s));
    s->census = census;
    for (unsigned i = 0; i < THR_STACK_CLASSES; i++) {
        s->pools[i].census = census;
        pool_init(&s->pools[i], (uint8_t)i, i == 0 ? promised_bytes : sizes[i]);
    }
}

static size_t region_bytes(const struct thr_stack_pool *p)
{
    return sizeof(struct thr_stack_region) + p->region_n * sizeof(struct thr_stack);
}

static void region_free(const struct thr_stack_pool *p, struct thr_stack_region *r)
{
    size_t n = thr_load(&r->carved_n, THR_RELAXED), guards_n = 0;
    for (size_t i = 0; i < n; i++) {
        thr_tsan_fiber_free(r->stacks[i].tsan_fiber);
        guards_n += !r->stacks[i].canary;
    }
    thr_asan_reuse(r->base, n * slot_bytes(p)); /* the addresses may be mapped again by anybody */
    munmap(r->base, r->base_bytes);
    munmap(r, region_bytes(p));
    thr_guard_gone(guards_n);
}

void thr_stacks_fini(struct thr_stacks *s)
{
    for (unsigned i = 0; i < THR_STACK_CLASSES; i++) {
        struct thr_stack_region *r = thr_load(&s->pools[i].regions, THR_RELAXED);
        while (r) {
            struct thr_stack_region *next = thr_stack_region_next(r);
            region_free(&s->pools[i], r);
            r = next;
        }
    }
    memset(s, 0, sizeof(*s));
}

int thr_stacks_class(const struct thr_stacks *s, size_t bytes, uint8_t *class)
{
    unsigned best = 0;
    *class = 0;
    if (bytes == 0)
        return 0;
    if (bytes > THR_STACK_MAX)
        return -EINVAL;
    for (unsigned i = 1; i < THR_STACK_CLASSES; i++) {
        size_t has = s->pools[i].promised_bytes, least = s->pools[best].promised_bytes;
        if (has >= bytes && (least < bytes || has < least))
            best = i;
    }
    *class = (uint8_t)best;
    return 0;
}

/* ---- Making stacks ---- */

static void *map(size_t bytes)
{
    void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    return m == MAP_FAILED ? NULL : m;
}

static void append(struct thr_stack_pool *p, struct thr_stack_region *r)
{
    r->prev = p->last;
    r->number = p->last ? p->last->number + 1 : 0;
    /* -> thr_stack_region_next() and thr_stack_find(), acquire: base and base_bytes are visible */
    thr_store(p->last ? &p->last->next : &p->regions, r, THR_RELEASE);
    p->last = r;
}

/* Under p->lock. */
static struct thr_stack_region *region_new(struct thr_stack_pool *p)
{
    /* The descriptors are mapped too: they are as many as the stacks, and touched as late. */
    struct thr_stack_region *r = map(region_bytes(p));
    if (!r)
        return NULL;
    r->base_bytes = slot_bytes(p) * p->region_n;
    r->base = map(r->base_bytes);
    if (!r->base) {
        munmap(r, region_bytes(p));
        return NULL;
    }
    /* A huge page under a stack would make 2 MiB resident where 4 KiB are used. Old kernels may not know it. */
    madvise(r->base, r->base_bytes, MADV_NOHUGEPAGE);
    append(p, r);
    return r;
}

static void stack_init(struct thr_stack_pool *p, struct thr_stack_region *r, size_t index)
{
    struct thr_stack *s = &r->stacks[index];
    s->bottom = r->base + index * slot_bytes(p) + THR_GUARD_BYTES;
    s->bytes = p->bytes - index * COLOUR_STEP % COLOUR_SPAN;
    s->index = (uint32_t)index;
    s->class = p->class;
}

/* Under p->lock: puts some new stacks on a region's list. Returns: that region, or NULL if there is no memory. */
static struct thr_stack_region *carve(struct thr_stack_pool *p)
{
    struct thr_stack_region *r = p->last;
    if (!r || thr_load(&r->carved_n, THR_RELAXED) == p->region_n)
        r = region_new(p);
    if (!r)
        return NULL;
    size_t from = thr_load(&r->carved_n, THR_RELAXED), n = p->region_n - from;
    n = n < p->slab_n ? n : p->slab_n;
    size_t guarded_n = thr_guard_install(r->base + from * slot_bytes(p), slot_bytes(p), n);
    for (size_t i = 0; i < n; i++) {
        struct thr_stack *s = &r->stacks[from + i];
        stack_init(p, r, from + i);
        s->canary = i >= guarded_n;
        s->checked = s->canary || p->census;
        s->next = r->free;
        r->free = s;
    }
    r->free_n += (uint32_t)n;
    thr_store(&r->carved_n, from + n, THR_RELEASE); /* -> thr_stack_find(), acquire */
    thr_count(&p->carved_n, n);
    return r;
}

/* ---- Between workers ---- */

/* Under p->lock: the oldest region that has a free stack; a new one, or NULL, if none has. */
static struct thr_stack_region *region_with_free(struct thr_stack_pool *p)
{
    while (p->hint && p->hint->free_n == 0)
        p->hint = thr_stack_region_next(p->hint);
    return p->hint;
}

/* Under p->lock, as the next two. */
static void move_to_cache(struct thr_stack_pool *p, struct thr_stack_region *r,
                          struct thr_stack_cache *c)
{
    struct thr_stack *s = r->free;
    r->free = s->next;
    r->free_n--;
    if (s->dirty) {
        r->dirty_n--;
        thr_count(&p->dirty_n, (size_t)-1);
    }
    s->next = c->free;
    c->free = s;
    c->free_n++;
}

static void move_to_region(struct thr_stack_pool *p, struct thr_stack_cache *c)
{
    struct thr_stack *s = c->free;
    struct thr_stack_region *r = thr_stack_region_of(s);
    c->free = s->next;
    c->free_n--;
    s->next = r->free;
    r->free = s;
    r->free_n++;
    if (s->dirty) {
        r->dirty_n++;
        thr_count(&p->dirty_n, (size_t)1);
    }
    if (!p->hint || r->number < p->hint->number)
        p->hint = r;
}

static void note_low(struct thr_stack_pool *p)
{
    size_t dirty_n = thr_load(&p->dirty_n, THR_RELAXED);
    if (dirty_n < p->dirty_low_n)
        p->dirty_low_n = dirty_n;
    if (dirty_n < thr_load(&p->settled_n, THR_RELAXED))
        thr_store(&p->settled_n, dirty_n, THR_RELAXED);
}

static void refill(struct thr_stack_pool *p, struct thr_stack_cache *c)
{
    uint32_t most = p->cache_max / 2;
    thr_lock(&p->lock);
    struct thr_stack_region *r = region_with_free(p);
    if (!r)
        r = p->hint = carve(p);
    while (r && c->free_n < most) {
        move_to_cache(p, r, c);
        r = region_with_free(p);
    }
    note_low(p);
    thr_unlock(&p->lock);
}

static void spill(struct thr_stack_pool *p, struct thr_stack_cache *c, size_t n)
{
    thr_lock(&p->lock);
    while (n-- > 0)
        move_to_region(p, c);
    thr_unlock(&p->lock);
}

void thr_stack_cache_flush(struct thr_stack_pool *p, struct thr_stack_cache *c)
{
    if (c->free_n > 0)
        spill(p, c, c->free_n);
}

/* ---- Taking and giving ---- */

struct thr_stack *thr_stack_take(struct thr_stacks *stacks, struct thr_stack_cache *caches,
                                 uint8_t class)
{
    struct thr_stack_pool *p = &stacks->pools[class];
    struct thr_stack_cache *c = &caches[class];
    if (!c->free)
        refill(p, c);
    struct thr_stack *s = c->free;
    if (!s)
        return NULL;
    c->free = s->next;
    c->free_n--;
    if (s->canary && !s->dirty)
        thr_canary_set(s->bottom);
    s->dirty = true;
    thr_asan_reuse(s->bottom, p->bytes);
    if (!s->tsan_fiber)
        s->tsan_fiber = thr_tsan_fiber_new();
    return s;
}

void thr_stack_give(struct thr_stacks *stacks, struct thr_stack_cache *caches,
                    struct thr_stack *stack)
{
    struct thr_stack_pool *p = &stacks->pools[stack->class];
    struct thr_stack_cache *c = &caches[stack->class];
    if (stack->canary && !thr_canary_is_whole(stack->bottom))
        thr_panic(__FILE__, __LINE__, "a task overflowed its stack: ask for a larger one");
    stack->next = c->free;
    c->free = stack;
    if (++c->free_n > p->cache_max)
        spill(p, c, p->cache_max / 2);
}

/* ---- Looking for one ---- */

static const struct thr_stack *find_in_pool(const struct thr_stack_pool *p, uintptr_t address)
{
    const struct thr_stack_region *r = thr_load(&p->regions, THR_ACQUIRE);
    for (; r; r = thr_stack_region_next(r)) {
        size_t offset = address - (uintptr_t)r->base; /* wraps to a large one below it */
        size_t index = offset / slot_bytes(p);
        if (offset < r->base_bytes && index < thr_load(&r->carved_n, THR_ACQUIRE))
            return &r->stacks[index];
    }
    return NULL;
}

const struct thr_stack *thr_stack_find(const struct thr_stacks *s, uintptr_t address)
{
    const struct thr_stack *found = NULL;
    for (unsigned i = 0; i < THR_STACK_CLASSES && !found; i++)
        found = find_in_pool(&s->pools[i], address);
    return found;
}
