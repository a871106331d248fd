/* SPDX-License-Identifier: MIT */
/* What going from task to task costs: by turns, over channels, between threads. */
#include "bench/exec/bench.h"

#include <pthread.h>

enum { YIELDERS = 1000 };

struct yielding {
    uint64_t each_n;
    _Atomic uint64_t sum;
};

static int yield_often(void *arg)
{
    struct yielding *y = arg;
    uint64_t i = 0;
    for (; i < y->each_n; i++)
        BENCH_MUST(thrum_yield());
    atomic_fetch_add(&y->sum, i);
    return 0;
}

/* 1,000 tasks yield `size` times in all. */
void bench_yield(struct bench *b)
{
    struct yielding y = {.each_n = b->size / YIELDERS};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int k = 0; k < YIELDERS; k++)
        BENCH_MUST(thrum_scope_spawn(&scope, yield_often, &y));
    BENCH_MUST(thrum_scope_close(&scope));
    b->checksum = atomic_load(&y.sum);
}

/* Two channels for one number each; `pong` sends back what comes. */
struct table {
    thrum_chan *there, *back;
    uint64_t rounds_n;
    uint64_t sum, ns; /* filled in by ping */
};

static void table_new(struct table *t, uint64_t rounds_n)
{
    *t = (struct table){.rounds_n = rounds_n};
    BENCH_MUST(thrum_chan_new(&t->there, sizeof(uint64_t), 1));
    BENCH_MUST(thrum_chan_new(&t->back, sizeof(uint64_t), 1));
}

static void table_free(struct table *t)
{
    thrum_chan_free(t->there);
    thrum_chan_free(t->back);
}

static int pong(void *arg)
{
    struct table *t = arg;
    uint64_t v;
    int err;
    while ((err = thrum_chan_recv(t->there, &v)) == 0)
        BENCH_MUST(thrum_chan_send(t->back, &v));
    return err == THRUM_ECLOSED ? 0 : err;
}

static int ping(void *arg)
{
    struct table *t = arg;
    uint64_t begun = thrum_now(), v = 0;
    for (uint64_t i = 0; i < t->rounds_n; i++) {
        BENCH_MUST(thrum_chan_send(t->there, &i));
        BENCH_MUST(thrum_chan_recv(t->back, &v));
        t->sum += v;
    }
    t->ns = thrum_now() - begun;
    thrum_chan_close(t->there);
    return 0;
}

/* Two tasks, `size` round trips, placed wherever the scheduler likes. */
void bench_pingpong(struct bench *b)
{
    struct table t;
    thrum_scope scope;
    table_new(&t, b->size);
    thrum_scope_open(&scope, NULL);
    BENCH_MUST(thrum_scope_spawn(&scope, pong, &t));
    BENCH_MUST(ping(&t));
    BENCH_MUST(thrum_scope_close(&scope));
    b->checksum = t.sum;
    b->ns = t.ns;
    table_free(&t);
}

static void *pong_main(void *arg)
{
    BENCH_MUST(thrum_run(pong, arg, &(thrum_run_opts){.workers = 1}));
    return NULL;
}

/* The same between two runtimes of one worker, each in a thread of its own: every message crosses threads. */
void bench_pingpong_cross(struct bench *b)
{
    struct table t;
    pthread_t other;
    table_new(&t, b->size);
    BENCH_MUST(-pthread_create(&other, NULL, pong_main, &t));
    BENCH_MUST(thrum_run(ping, &t, &(thrum_run_opts){.workers = 1}));
    pthread_join(other, NULL);
    b->checksum = t.sum;
    b->ns = t.ns;
    table_free(&t);
}
