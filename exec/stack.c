/* SPDX-License-Identifier: MIT */
#include "exec/stack.h"

#include "exec/sanitizer.h"
#include "exec/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    REGION_STACKS = 4096, /* reserved at once */
    SLAB_STACKS = 32,     /* guarded at once */
    CACHE_MAX = 128,      /* a worker's list gives half away beyond this */
    BATCH = CACHE_MAX / 2,
    COLOUR_STEP = 192, /* three cache lines; tops spread over one page minus a quarter */
    COLOUR_SPAN = 3072,
    MPROTECT_GUARDS_MAX = 16000, /* two mappings each, of 65,530 allowed by default */
};

static const uint64_t CANARY = UINT64_C(0x5AFE57AC4E0F7A11);

struct thr_stack_region {
    struct thr_stack_region *next;
    char *base;
    size_t base_bytes;
    size_t carved_n;
    struct thr_stack stacks[REGION_STACKS];
};

/* What is known of MADV_GUARD_INSTALL. Two pools that find out at once find the same. */
enum { GUARD_UNTRIED, GUARD_WORKS, GUARD_MISSING };
static thr_au32 guard_install;
static thr_au32 mprotect_guards_n;

static size_t slot_bytes(const struct thr_stack_pool *p)
{
    return p->bytes + THR_STACK_GUARD_BYTES;
}

void thr_stack_pool_init(struct thr_stack_pool *p, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    memset(p, 0, sizeof(*p));
    p->bytes = (bytes + page - 1) / page * page;
}

static void region_free(const struct thr_stack_pool *p, struct thr_stack_region *r)
{
    for (size_t i = 0; i < r->carved_n; i++)
        thr_tsan_fiber_free(r->stacks[i].tsan_fiber);
    thr_asan_reuse(r->base,
                   r->carved_n * slot_bytes(p)); /* the addresses may be mapped again by anybody */
    munmap(r->base, r->base_bytes);
    munmap(r, sizeof(*r));
}

void thr_stack_pool_fini(struct thr_stack_pool *p)
{
    while (p->regions) {
        struct thr_stack_region *r = p->regions;
        p->regions = r->next;
        region_free(p, r);
    }
    memset(p, 0, sizeof(*p));
}

static void *map(size_t bytes)
{
    void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    return m == MAP_FAILED ? NULL : m;
}

static struct thr_stack_region *region_new(struct thr_stack_pool *p)
{
    /* The descriptors are mapped too: they are as many as the stacks, and touched as late. */
    struct thr_stack_region *r = map(sizeof(*r));
    if (!r)
        return NULL;
    r->base_bytes = slot_bytes(p) * REGION_STACKS;
    r->base = map(r->base_bytes);
    if (!r->base) {
        munmap(r, sizeof(*r));
        return NULL;
    }
    /* A huge page under a stack would make 2 MiB resident where 4 KiB are used. Old kernels may not know it. */
    madvise(r->base, r->base_bytes, MADV_NOHUGEPAGE);
    r->next = p->regions;
    p->regions = r;
    return r;
}

static bool guard_by_mprotect(void *at)
{
    if (thr_fetch_add(&mprotect_guards_n, 1, THR_RELAXED) < MPROTECT_GUARDS_MAX &&
        mprotect(at, THR_STACK_GUARD_BYTES, PROT_NONE) == 0)
        return true;
    static thr_au32 warned;
    if (!thr_xchg(&warned, 1, THR_RELAXED))
        fprintf(stderr,
                "thrum: more than %d task stacks: the further ones have no guard page, only "
                "a check when the task ends (Linux 6.13 has guards without this limit)\n",
                MPROTECT_GUARDS_MAX);
    return false;
}

/* Emulators take any advice for good and do nothing: so once in a process the kernel is asked to read a path there. */
static THR_NOINLINE bool cannot_be_read(const void *at)
{
    return access(at, F_OK) != 0 && errno == EFAULT;
}

/* Must come before the first touch of the slot. */
static bool guard(void *at)
{
    uint32_t known = thr_load(&guard_install, THR_RELAXED);
    if (known != GUARD_MISSING && madvise(at, THR_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0) {
        if (known == GUARD_WORKS)
            return true;
        known = cannot_be_read(at) ? GUARD_WORKS : GUARD_MISSING;
        thr_store(&guard_install, known, THR_RELAXED);
        if (known == GUARD_WORKS)
            return true;
    } else if (known == GUARD_UNTRIED) {
        thr_store(&guard_install, GUARD_MISSING, THR_RELAXED);
    }
    return guard_by_mprotect(at);
}

/* Where the guard would begin, seen from above: what an overflow writes to first. */
static char *canary_of(const struct thr_stack *s)
{
    return s->bottom - sizeof(CANARY);
}

static void carve_one(struct thr_stack_pool *p, struct thr_stack_region *r)
{
    size_t index = r->carved_n++;
    char *slot = r->base + index * slot_bytes(p);
    struct thr_stack *s = &r->stacks[index];
    s->canary = !guard(slot);
    s->bottom = slot + THR_STACK_GUARD_BYTES;
    s->bytes = p->bytes - index * COLOUR_STEP % COLOUR_SPAN;
    if (s->canary)
        memcpy(canary_of(s), &CANARY, sizeof(CANARY));
    s->next = p->free;
    p->free = s;
    p->free_n++;
}

/* Under p->lock: puts some new stacks on the common list. */
static void carve(struct thr_stack_pool *p)
{
    struct thr_stack_region *r = p->regions;
    if (!r || r->carved_n == REGION_STACKS)
        r = region_new(p);
    if (!r)
        return;
    for (int i = 0; i < SLAB_STACKS && r->carved_n < REGION_STACKS; i++)
        carve_one(p, r);
    thr_count(&p->carved_n, (size_t)SLAB_STACKS);
}

static void refill(struct thr_stack_pool *p, struct thr_stack_cache *c)
{
    thr_lock(&p->lock);
    if (!p->free)
        carve(p);
    while (p->free && c->free_n < BATCH) {
        struct thr_stack *s = p->free;
        p->free = s->next;
        p->free_n--;
        s->next = c->free;
        c->free = s;
        c->free_n++;
    }
    thr_unlock(&p->lock);
}

struct thr_stack *thr_stack_take(struct thr_stack_pool *p, struct thr_stack_cache *c)
{
    if (!c->free)
        refill(p, c);
    struct thr_stack *s = c->free;
    if (!s)
        return NULL;
    c->free = s->next;
    c->free_n--;
    thr_asan_reuse(s->bottom, p->bytes);
    if (!s->tsan_fiber)
        s->tsan_fiber = thr_tsan_fiber_new();
    return s;
}

static void spill(struct thr_stack_pool *p, struct thr_stack_cache *c)
{
    thr_lock(&p->lock);
    for (int i = 0; i < BATCH; i++) {
        struct thr_stack *s = c->free;
        c->free = s->next;
        s->next = p->free;
        p->free = s;
    }
    c->free_n -= BATCH;
    p->free_n += BATCH;
    thr_unlock(&p->lock);
}

void thr_stack_give(struct thr_stack_pool *p, struct thr_stack_cache *c, struct thr_stack *s)
{
    if (s->canary && memcmp(canary_of(s), &CANARY, sizeof(CANARY)) != 0)
        thr_panic(__FILE__, __LINE__, "a task overflowed its stack: ask for a larger one");
    s->next = c->free;
    c->free = s;
    if (++c->free_n > CACHE_MAX)
        spill(p, c);
}
