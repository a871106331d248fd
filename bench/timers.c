/* SPDX-License-Identifier: MIT */
/* Which structure for timers? What arming, cancelling and running out cost in
 *
 *     heap      a 4-ary heap alone
 *     wheel     a hierarchical wheel, 7 levels of 64 buckets, 4.2 ms and up, which sorts a bucket when its time comes
 *     buckets   what exec has: a ring of buckets that are sorted into a heap ahead of their time
 *
 *     timers            prints a table
 *
 * Each in nanoseconds of one thread, lock included:
 *     late      arm for 30 s and cancel at once, with N others armed over the next 30 s
 *     random    of N timers move any one to any time of the next 30 s
 *     oldest    of N timeouts of 10 s cancel the oldest and arm it anew, while time goes on
 *     expire    N timers over one second, all of which run out, looked at every 50 us of their time; and how long the
 *               longest look took, which is what others wait
 *     clock     thr_clock_now() and thr_clock_for_deadline()
 *
 * The time that the structures see is made up, so that nothing sleeps. Each timer has 192 bytes: others lie far apart too. */
#include "exec/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/time.h>

enum { STRIDE = 192, LEVELS = 7, LEVEL_BITS = 6, SLOTS = 1 << LEVEL_BITS, WHEEL_SHIFT = 22 };

/* ---- A wheel, to compare with ---- */

struct wheel {
    struct thr_lock lock;
    uint64_t base; /* the tick that is in the heap */
    uint64_t bits[LEVELS];
    struct thr_timer *slots[LEVELS][SLOTS];
    struct thr_timer_heap heap;
};

static unsigned digit(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * LEVEL_BITS)) % SLOTS;
}

/* `position` tells the level and slot, or the place in the heap. */
static void wheel_put(struct wheel *w, struct thr_timer *t)
{
    uint64_t tick = t->deadline_ns >> WHEEL_SHIFT;
    if (tick <= w->base) {
        t->place = THR_TIMER_HEAP;
        thr_timer_heap_push(&w->heap, t);
        return;
    }
    unsigned level = (63 - (unsigned)__builtin_clzll(tick ^ w->base)) / LEVEL_BITS;
    unsigned slot = digit(tick, level);
    t->place = THR_TIMER_FAR;
    t->position = level * SLOTS + slot;
    t->prev = NULL;
    t->next = w->slots[level][slot];
    if (t->next)
        t->next->prev = t;
    w->slots[level][slot] = t;
    w->bits[level] |= UINT64_C(1) << slot;
}

static void wheel_remove(struct wheel *w, struct thr_timer *t)
{
    if (t->place == THR_TIMER_HEAP) {
        thr_timer_heap_remove(&w->heap, t->position);
        return;
    }
    unsigned level = t->position / SLOTS, slot = t->position % SLOTS;
    if (t->next)
        t->next->prev = t->prev;
    if (t->prev) {
        t->prev->next = t->next;
        return;
    }
    w->slots[level][slot] = t->next;
    if (!t->next)
        w->bits[level] &= ~(UINT64_C(1) << slot);
}

/* The first bucket's beginning; its level and slot. */
static uint64_t wheel_first(const struct wheel *w, unsigned *level, unsigned *slot)
{
    for (*level = 0; *level < LEVELS; ++*level) {
        if (!w->bits[*level])
            continue;
        unsigned shift = *level * LEVEL_BITS;
        *slot = (unsigned)__builtin_ctzll(w->bits[*level]);
        return ((w->base >> shift >> LEVEL_BITS) * SLOTS + *slot) << shift;
    }
    return UINT64_MAX;
}

static void wheel_advance(struct wheel *w, uint64_t now)
{
    uint64_t tick = now >> WHEEL_SHIFT, start;
    unsigned level, slot;
    while ((start = wheel_first(w, &level, &slot)) <= tick) {
        struct thr_timer *t = w->slots[level][slot];
        w->slots[level][slot] = NULL;
        w->bits[level] &= ~(UINT64_C(1) << slot);
        w->base = start;
        for (struct thr_timer *next; t; t = next) {
            next = t->next;
            __builtin_prefetch(next);
            wheel_put(w, t);
        }
    }
    w->base = tick;
}

/* ---- The candidates ---- */

static struct thr_timer_heap heap;
static struct thr_lock heap_lock;
static struct wheel wheel;
static struct thr_timers buckets;

struct candidate {
    const char *name;
    void (*arm)(struct thr_timer *t);
    void (*cancel)(struct thr_timer *t);
    unsigned (*expire)(uint64_t now);
};

static uint64_t count_fired(struct thr_timer *t, uint64_t now, struct thr_wakeups *out)
{
    (void)now;
    (void)out;
    thr_store(&t->timers, NULL, THR_RELAXED);
    return 0;
}

static unsigned pop_due(struct thr_timer_heap *h, uint64_t now)
{
    unsigned n = 0;
    for (; h->n && h->slots[0].deadline_ns <= now; n++) {
        struct thr_timer *t = h->slots[0].timer;
        thr_timer_heap_remove(h, 0);
        t->u.fire(t, now, NULL);
    }
    return n;
}

static void heap_arm(struct thr_timer *t)
{
    thr_lock(&heap_lock);
    thr_timer_heap_push(&heap, t);
    thr_unlock(&heap_lock);
}

static void heap_cancel(struct thr_timer *t)
{
    thr_lock(&heap_lock);
    thr_timer_heap_remove(&heap, t->position);
    thr_unlock(&heap_lock);
}

static unsigned heap_expire(uint64_t now)
{
    thr_lock(&heap_lock);
    unsigned n = pop_due(&heap, now);
    thr_unlock(&heap_lock);
    return n;
}

static void wheel_arm(struct thr_timer *t)
{
    thr_lock(&wheel.lock);
    wheel_put(&wheel, t);
    thr_unlock(&wheel.lock);
}

static void wheel_cancel(struct thr_timer *t)
{
    thr_lock(&wheel.lock);
    wheel_remove(&wheel, t);
    thr_unlock(&wheel.lock);
}

static unsigned wheel_expire(uint64_t now)
{
    thr_lock(&wheel.lock);
    wheel_advance(&wheel, now);
    unsigned n = pop_due(&wheel.heap, now);
    thr_unlock(&wheel.lock);
    return n;
}

static void buckets_arm(struct thr_timer *t)
{
    thr_timer_arm(&buckets, t);
}

static unsigned buckets_expire(uint64_t now)
{
    struct thr_wakeups out = {0};
    return thr_timers_expire(&buckets, now, &out);
}

static const struct candidate candidates[] = {
    {"heap", heap_arm, heap_cancel, heap_expire},
    {"wheel", wheel_arm, wheel_cancel, wheel_expire},
    {"buckets", buckets_arm, thr_timer_disarm, buckets_expire},
};

/* ---- The workloads ---- */

struct bench {
    const struct candidate *c;
    char *memory;
    size_t n;
    uint64_t now, random;
};

static struct thr_timer *timer(const struct bench *b, size_t i)
{
    return (struct thr_timer *)(void *)(b->memory + i * STRIDE);
}

static uint64_t random_below(struct bench *b, uint64_t n)
{
    b->random = b->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n ? (b->random >> 31) % n : 0;
}

static void arm(const struct bench *b, struct thr_timer *t, uint64_t timeout_ns)
{
    t->deadline_ns = b->now + timeout_ns;
    b->c->arm(t);
}

static void begin(struct bench *b)
{
    for (size_t i = 0; i <= b->n; i++)
        *timer(b, i) = (struct thr_timer){.u.fire = count_fired};
    b->c->expire(b->now);
}

static void end(struct bench *b)
{
    b->now += 100 * THRUM_SECOND;
    b->c->expire(b->now);
}

static double late(struct bench *b, size_t ops)
{
    for (size_t i = 0; i < b->n; i++)
        arm(b, timer(b, i), 1 + random_below(b, 30 * THRUM_SECOND));
    struct thr_timer *t = timer(b, b->n);
    uint64_t begun = thrum_now();
    for (size_t i = 0; i < ops; i++) {
        arm(b, t, 30 * THRUM_SECOND);
        b->c->cancel(t);
    }
    return (double)(thrum_now() - begun) / (double)ops;
}

static double any(struct bench *b, size_t ops)
{
    for (size_t i = 0; i < b->n; i++)
        arm(b, timer(b, i), 1 + random_below(b, 30 * THRUM_SECOND));
    uint64_t begun = thrum_now();
    for (size_t i = 0; i < ops; i++) {
        struct thr_timer *t = timer(b, random_below(b, b->n));
        b->c->cancel(t);
        arm(b, t, 1 + random_below(b, 30 * THRUM_SECOND));
    }
    return (double)(thrum_now() - begun) / (double)ops;
}

static double oldest(struct bench *b, size_t ops)
{
    for (size_t i = 0; i < b->n; i++)
        arm(b, timer(b, i), 10 * THRUM_SECOND);
    uint64_t begun = thrum_now();
    for (size_t i = 0, k = 0; i < ops; i++, k = k + 1 < b->n ? k + 1 : 0) {
        struct thr_timer *t = timer(b, k);
        b->c->cancel(t);
        b->now += 30;
        arm(b, t, 10 * THRUM_SECOND);
        if (i % 2048 == 0)
            b->c->expire(b->now);
    }
    return (double)(thrum_now() - begun) / (double)ops;
}

static void expire(struct bench *b)
{
    uint64_t begun = thrum_now(), longest = 0;
    for (size_t i = 0; i < b->n; i++)
        arm(b, timer(b, i), 50 * THRUM_MILLISECOND + random_below(b, THRUM_SECOND));
    uint64_t armed = thrum_now();
    for (size_t fired = 0; fired < b->n;) {
        uint64_t before = thrum_now();
        fired += b->c->expire(b->now += 50 * THRUM_MICROSECOND);
        uint64_t took = thrum_now() - before;
        longest = took > longest ? took : longest;
    }
    double n = (double)b->n;
    printf("expire  %8zu  %-8s %7.1f ns to arm, %7.1f ns to run out, longest look %8.1f us\n", b->n,
           b->c->name, (double)(armed - begun) / n, (double)(thrum_now() - armed) / n,
           (double)longest / 1e3);
}

static void run(struct bench *b, const char *name, double (*fn)(struct bench *, size_t), size_t n)
{
    b->n = n;
    begin(b);
    double ns = fn(b, 1000000);
    printf("%-7s %8zu  %-8s %7.1f ns\n", name, n, b->c->name, ns);
    end(b);
}

static void run_clock(void)
{
    enum { OPS = 5000000 };
    struct thr_clock_base base = {0};
    uint64_t sum = 0, begun = thrum_now();
    for (int i = 0; i < OPS; i++)
        sum += thr_clock_now();
    uint64_t between = thrum_now();
    for (int i = 0; i < OPS; i++)
        sum += thr_clock_for_deadline(&base);
    uint64_t done = thrum_now();
    printf("clock   now %.1f ns, for deadlines %.1f ns%s\n", (double)(between - begun) / OPS,
           (double)(done - between) / OPS, sum ? "" : " ");
}

int main(void)
{
    enum { MANY = 1000000 };
    struct bench b = {.memory = calloc(MANY + 1, STRIDE), .random = 1};
    if (!b.memory)
        return 1;
    thr_timers_init(&buckets, 0);
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        b.c = &candidates[i];
        b.now = 1000 * THRUM_SECOND;
        const size_t sizes[] = {0, 10000, MANY};
        for (size_t k = 0; k < 3; k++)
            run(&b, "late", late, sizes[k]);
        for (size_t k = 1; k < 3; k++)
            run(&b, "random", any, sizes[k]);
        run(&b, "oldest", oldest, 1000);
        run(&b, "oldest", oldest, 100000);
        b.n = MANY;
        begin(&b);
        expire(&b);
    }
    run_clock();
    thr_timers_fini(&buckets);
    thr_timer_heap_fini(&heap);
    thr_timer_heap_fini(&wheel.heap);
    free(b.memory);
    return 0;
}
