/* SPDX-License-Identifier: MIT */
/* Giving the pages of free stacks back: on request, and from a worker that has nothing to do.
 *
 * Pages go back in few calls over many neighbouring stacks (0.3 us each; one call for each stack would take 25 us while
 * another thread runs, to tell its processor). The guards between them stay. Newest regions first: takers are served
 * from the oldest. While a region is trimmed its stacks are in the trimmer's hands, the lock is free, and others take from
 * other regions.
 *
 * By itself it happens like this. A worker that is about to sleep while many free stacks hold pages begins a window of a
 * second, and is woken at its end. What nobody has taken meanwhile, the least that there ever was, is given back, in steps
 * between which the worker looks for work. If nobody took any, what trimming leaves counts as settled: the runtime then
 * sleeps for good. */
#include "exec/clock.h"
#include "exec/runtime.h"
#include "exec/stack.h"

#include <sys/mman.h>
#include <thrum/stack.h>

enum {
    WINDOW_NS = 1000 * 1000 * 1000,
    STEP_STACKS = 4096,        /* at once: the worker cannot be woken meanwhile */
    RUN_BYTES_MIN = 512 << 10, /* fewer neighbours are not worth a call that nobody asked for */
};

static size_t slot_bytes(const struct thr_stack_pool *p)
{
    return p->bytes + THR_GUARD_BYTES;
}

/* ---- One region ---- */

/* Takes the region's list out of circulation. Returns: NULL if there is nothing to trim, or somebody is at it. */
static struct thr_stack *hold(struct thr_stack_pool *p, struct thr_stack_region *r)
{
    struct thr_stack *list = NULL;
    thr_lock(&p->lock);
    if (r->dirty_n > 0 && !r->trimmed) {
        r->trimmed = true;
        list = r->free;
        thr_count(&p->dirty_n, -(size_t)r->dirty_n);
        r->free = NULL;
        r->free_n = r->dirty_n = 0;
    }
    thr_unlock(&p->lock);
    return list;
}

/* Gives the pages of r's stacks from ... from + n - 1 back. If the kernel refuses (locked memory) they stay. */
static bool release(const struct thr_stack_pool *p, struct thr_stack_region *r, size_t from,
                    size_t n)
{
    char *base = r->base + from * slot_bytes(p);
    if (madvise(base, n * slot_bytes(p), MADV_DONTNEED) != 0)
        return false;
    for (size_t i = from; i < from + n; i++)
        r->stacks[i].dirty = false;
    return true;
}

/* Runs of neighbours that are held and dirty, from the highest down. Returns: how many stacks were trimmed. */
static size_t release_runs(const struct thr_stack_pool *p, struct thr_stack_region *r, size_t most,
                           size_t run_min)
{
    size_t end = thr_load(&r->carved_n, THR_ACQUIRE), done = 0;
    while (end > 0 && done < most) {
        size_t from = end;
        while (from > 0 && end - from < most - done && r->stacks[from - 1].held &&
               r->stacks[from - 1].dirty)
            from--;
        if (end - from >= run_min && end > from && release(p, r, from, end - from))
            done += end - from;
        end = from < end ? from : end - 1;
    }
    return done;
}

/* Puts them back, the lowest address first: what is taken next lies together. */
static void unhold(struct thr_stack_pool *p, struct thr_stack_region *r)
{
    struct thr_stack *first = NULL, *last = NULL;
    uint32_t n = 0, dirty_n = 0;
    for (size_t i = thr_load(&r->carved_n, THR_ACQUIRE); i-- > 0;) {
        struct thr_stack *s = &r->stacks[i];
        if (!s->held)
            continue;
        s->held = false;
        s->next = first;
        first = s;
        last = last ? last : s;
        n++;
        dirty_n += s->dirty;
    }
    thr_lock(&p->lock);
    if (last) {
        last->next = r->free;
        r->free = first;
    }
    r->trimmed = false;
    r->free_n += n;
    r->dirty_n += dirty_n;
    thr_count(&p->dirty_n, (size_t)dirty_n);
    if (!p->hint || r->number < p->hint->number)
        p->hint = r;
    thr_unlock(&p->lock);
}

static size_t trim_region(struct thr_stack_pool *p, struct thr_stack_region *r, size_t most,
                          size_t run_min)
{
    struct thr_stack *list = hold(p, r);
    if (!list)
        return 0;
    for (struct thr_stack *s = list; s; s = s->next)
        s->held = true;
    size_t done = release_runs(p, r, most, run_min);
    unhold(p, r);
    return done;
}

static size_t trim_pool(struct thr_stack_pool *p, size_t most, size_t run_min)
{
    size_t done = 0;
    thr_lock(&p->lock);
    struct thr_stack_region *r = p->last;
    thr_unlock(&p->lock);
    for (; r && done < most; r = r->prev) /* S2: those before it stay as they are */
        done += trim_region(p, r, most - done, run_min);
    return done;
}

/* ---- On request ---- */

size_t thr_stacks_trim(struct thr_stacks *s, struct thr_stack_cache *caches)
{
    size_t done = 0;
    for (unsigned i = 0; i < THR_STACK_CLASSES; i++) {
        thr_stack_cache_flush(&s->pools[i], &caches[i]);
        done += trim_pool(&s->pools[i], SIZE_MAX, 1);
    }
    return done;
}

size_t thrum_stack_trim(void)
{
    struct thr_worker *w = thr_worker_self();
    return w ? thr_stacks_trim(&w->rt->stacks, w->stacks) : 0;
}

/* ---- By itself ---- */

/* Racy reads: what they miss now they see before the next sleep. */
static bool worth_it(const struct thr_stacks *s)
{
    for (unsigned i = 0; i < THR_STACK_CLASSES; i++) {
        const struct thr_stack_pool *p = &s->pools[i];
        if (thr_load(&p->dirty_n, THR_RELAXED) >
            thr_load(&p->settled_n, THR_RELAXED) + p->cache_max)
            return true;
    }
    return false;
}

/* The worker's own lists count as well: it sleeps. */
static void begin_window(struct thr_stacks *s, struct thr_stack_cache *caches, uint64_t now)
{
    for (unsigned i = 0; i < THR_STACK_CLASSES; i++) {
        struct thr_stack_pool *p = &s->pools[i];
        thr_stack_cache_flush(p, &caches[i]);
        thr_lock(&p->lock);
        p->dirty_low_n = thr_load(&p->dirty_n, THR_RELAXED);
        thr_unlock(&p->lock);
    }
    s->trim_ns = now + WINDOW_NS;
}

bool thr_stacks_trim_watch(struct thr_stacks *s, struct thr_stack_cache *caches,
                           uint64_t *timeout_ns)
{
    uint32_t nobody = 0;
    if (!worth_it(s) || !thr_cas(&s->trim_watch, &nobody, 1, THR_ACQUIRE, THR_RELAXED))
        return false;
    uint64_t now = thr_clock_now();
    if (s->trim_ns == 0)
        begin_window(s, caches, now);
    uint64_t left = s->trim_ns > now ? s->trim_ns - now : 0;
    if (*timeout_ns > left)
        *timeout_ns = left;
    return true;
}

/* Returns: true if nothing is left to do. */
static bool trim_step(struct thr_stack_pool *p)
{
    thr_lock(&p->lock);
    size_t unneeded = p->dirty_low_n;
    thr_unlock(&p->lock);
    size_t most = unneeded < STEP_STACKS ? unneeded : STEP_STACKS;
    size_t done = trim_pool(p, most, RUN_BYTES_MIN / slot_bytes(p) + 1);
    thr_lock(&p->lock);
    size_t dirty_n = thr_load(&p->dirty_n, THR_RELAXED);
    unneeded = p->dirty_low_n - (done < p->dirty_low_n ? done : p->dirty_low_n);
    p->dirty_low_n = unneeded;
    bool over = done < most || unneeded == 0;
    if (over && unneeded == dirty_n)
        thr_store(&p->settled_n, dirty_n, THR_RELAXED);
    thr_unlock(&p->lock);
    return over;
}

void thr_stacks_trim_unwatch(struct thr_stacks *s, bool idle)
{
    if (idle && thr_clock_now() >= s->trim_ns) {
        unsigned i = 0;
        while (i < THR_STACK_CLASSES && trim_step(&s->pools[i]))
            i++;
        if (i == THR_STACK_CLASSES)
            s->trim_ns = 0;
    }
    thr_store(&s->trim_watch, 0, THR_RELEASE); /* -> the next watcher's swap, acquire: trim_ns */
}
