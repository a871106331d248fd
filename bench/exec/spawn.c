/* SPDX-License-Identifier: MIT */
/* What a task costs: one at a time, a batch, and trees of them. */
#include "bench/exec/bench.h"

static int give_back(void *arg)
{
    return (int)(uintptr_t)arg;
}

/* Spawns a task that returns i, joins it, adds it up, `size` times. */
void bench_spawn_join(struct bench *b)
{
    for (uint64_t i = 0; i < b->size; i++) {
        thrum_task *task;
        int result = 0;
        BENCH_MUST(thrum_spawn(&task, give_back, (void *)(uintptr_t)i, NULL));
        BENCH_MUST(thrum_join(task, &result));
        b->checksum += (uint64_t)result;
    }
}

static int add_one(void *arg)
{
    atomic_fetch_add_explicit((_Atomic uint64_t *)arg, 1, memory_order_relaxed);
    return 0;
}

/* Spawns `size` tasks that each add 1 to one counter, then waits for all. */
void bench_spawn_batch(struct bench *b)
{
    _Atomic uint64_t done_n = 0;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uint64_t i = 0; i < b->size; i++)
        BENCH_MUST(thrum_scope_spawn(&scope, add_one, &done_n));
    BENCH_MUST(thrum_scope_close(&scope));
    b->checksum = atomic_load(&done_n);
}

enum { SKY_CHILDREN = 10 };

struct sky {
    uint64_t first, leaves_n; /* the subtree's leaves are first ... first + leaves_n - 1 */
    uint64_t sum;             /* filled in */
};

static int sky(void *arg)
{
    struct sky *s = arg, children[SKY_CHILDREN];
    thrum_scope scope;
    if (s->leaves_n == 1) {
        s->sum = s->first;
        return 0;
    }
    thrum_scope_open(&scope, NULL);
    for (uint64_t i = 0, each = s->leaves_n / SKY_CHILDREN; i < SKY_CHILDREN; i++) {
        children[i] = (struct sky){.first = s->first + i * each, .leaves_n = each};
        BENCH_MUST(thrum_scope_spawn(&scope, sky, &children[i]));
    }
    int err = thrum_scope_close(&scope);
    for (int i = 0; i < SKY_CHILDREN; i++)
        s->sum += children[i].sum;
    return err;
}

/* A tree with ten children to a task and `size` leaves (a power of ten), whose numbers are summed on the way up. */
void bench_skynet(struct bench *b)
{
    struct sky root = {.leaves_n = b->size};
    BENCH_MUST(sky(&root));
    b->checksum = root.sum;
    b->ops = b->size + (b->size - 1) / 9;
}

struct fib {
    uint64_t n;
    uint64_t result; /* filled in */
};

/* NOLINTNEXTLINE(misc-no-recursion): it is what is measured */
static int fib_by_spawn(void *arg)
{
    struct fib *f = arg;
    if (f->n < 2) {
        f->result = f->n;
        return 0;
    }
    struct fib a = {.n = f->n - 1}, b = {.n = f->n - 2};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    BENCH_MUST(thrum_scope_spawn(&scope, fib_by_spawn, &a));
    BENCH_MUST(fib_by_spawn(&b));
    int err = thrum_scope_close(&scope);
    f->result = a.result + b.result;
    return err;
}

/* fib(n) spawns a child for each addition: fib(n + 1) - 1 of them. */
static uint64_t fib_children(uint64_t n)
{
    uint64_t a = 0, b = 1;
    for (; n; n--) {
        uint64_t c = a + b;
        a = b;
        b = c;
    }
    return b - 1;
}

/* fib(size), a spawned task for fib(n - 1) at each step, without a cut-off. */
void bench_fib_spawn(struct bench *b)
{
    struct fib root = {.n = b->size};
    BENCH_MUST(fib_by_spawn(&root));
    b->checksum = root.result;
    b->ops = fib_children(b->size);
}

/* The number is the argument, and the result what the function returns: an int has room up to fib(46). */
/* NOLINTNEXTLINE(misc-no-recursion): as above */
static int fib_by_fork(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    if (n < 2)
        return (int)n;
    thrum_forked a;
    thrum_fork(&a, fib_by_fork, (void *)(n - 1));
    int b = fib_by_fork((void *)(n - 2));
    return thrum_join_fork(&a) + b;
}

/* fib(size), a fork for fib(n - 1) at each step. */
void bench_fib(struct bench *b)
{
    b->checksum = (uint64_t)fib_by_fork((void *)(uintptr_t)b->size);
    b->ops = fib_children(b->size);
}
