/* SPDX-License-Identifier: MIT */
/* What many tasks at one object cost: a channel, a mutex, an event. */
#include "bench/exec/bench.h"

enum { CROWD = 1000, FANIN_CAPACITY = 128 };

struct fanin {
    thrum_chan *chan;
    uint64_t each_n;
    _Atomic uint64_t producers_n; /* counts up: which numbers are a producer's */
};

static int produce(void *arg)
{
    struct fanin *f = arg;
    uint64_t first = atomic_fetch_add(&f->producers_n, 1) * f->each_n;
    for (uint64_t i = first; i < first + f->each_n; i++)
        BENCH_MUST(thrum_chan_send(f->chan, &i));
    return 0;
}

/* 1,000 producers send `size` numbers in all over one channel of 128 to one consumer. */
void bench_fanin(struct bench *b)
{
    struct fanin f = {.each_n = b->size / CROWD};
    thrum_scope scope;
    uint64_t v = 0;
    BENCH_MUST(thrum_chan_new(&f.chan, sizeof(uint64_t), FANIN_CAPACITY));
    thrum_scope_open(&scope, NULL);
    for (int k = 0; k < CROWD; k++)
        BENCH_MUST(thrum_scope_spawn(&scope, produce, &f));
    for (uint64_t i = 0; i < f.each_n * CROWD; i++) {
        BENCH_MUST(thrum_chan_recv(f.chan, &v));
        b->checksum += v;
    }
    BENCH_MUST(thrum_scope_close(&scope));
    thrum_chan_free(f.chan);
}

struct section {
    thrum_mutex mutex;
    uint64_t each_n;
    uint64_t sum; /* guarded by mutex */
};

static int enter_often(void *arg)
{
    struct section *s = arg;
    for (uint64_t i = 0; i < s->each_n; i++) {
        BENCH_MUST(thrum_mutex_lock(&s->mutex));
        s->sum++;
        thrum_mutex_unlock(&s->mutex);
    }
    return 0;
}

/* 1,000 tasks lock one mutex `size` times in all. */
void bench_mutex(struct bench *b)
{
    struct section s = {.mutex = THRUM_MUTEX_INIT, .each_n = b->size / CROWD};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int k = 0; k < CROWD; k++)
        BENCH_MUST(thrum_scope_spawn(&scope, enter_often, &s));
    BENCH_MUST(thrum_scope_close(&scope));
    b->checksum = s.sum;
}

struct parked {
    thrum_event go, all_done;
    uint64_t tasks_n;
    _Atomic uint64_t up_n, done_n;
};

static int park(void *arg)
{
    struct parked *p = arg;
    atomic_fetch_add_explicit(&p->up_n, 1, memory_order_relaxed);
    BENCH_MUST(thrum_event_wait(&p->go));
    if (atomic_fetch_add(&p->done_n, 1) + 1 == p->tasks_n)
        thrum_event_set(&p->all_done);
    return 0;
}

/* `size` tasks wait for one event: resident memory of each, and the time from setting it until the last has run. */
void bench_parked(struct bench *b)
{
    struct parked p = {.go = THRUM_EVENT_INIT, .all_done = THRUM_EVENT_INIT, .tasks_n = b->size};
    thrum_scope scope;
    uint64_t before = bench_resident_bytes();
    thrum_scope_open(&scope, NULL);
    for (uint64_t i = 0; i < b->size; i++)
        BENCH_MUST(thrum_scope_spawn(&scope, park, &p));
    while (atomic_load_explicit(&p.up_n, memory_order_relaxed) < b->size)
        BENCH_MUST(thrum_sleep(5 * THRUM_MILLISECOND));
    uint64_t after = bench_resident_bytes(), begun = thrum_now();
    thrum_event_set(&p.go);
    BENCH_MUST(thrum_event_wait(&p.all_done));
    b->ns = thrum_now() - begun;
    BENCH_MUST(thrum_scope_close(&scope));
    b->checksum = atomic_load(&p.done_n);
    bench_add(b, "bytes_per_task", (double)(after - before) / (double)(b->size ? b->size : 1), 0);
}
