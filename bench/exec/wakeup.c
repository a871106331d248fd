/* SPDX-License-Identifier: MIT */
/* How long a parked task takes to run while the one that woke it computes on: it has to be taken up by another worker. */
#include "bench/exec/bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUSY_NS = 50 * 1000, MISSED_NS = 1000 * 1000, IDLE_NS = 1000 * 1000 };

struct wakeup {
    thrum_chan *chan;
    thrum_scope scope;
    _Atomic uint64_t at_ns, last; /* when the other last ran, and what it was sent */
    uint64_t missed_n;
};

static void note(struct wakeup *w, uint64_t i)
{
    atomic_store_explicit(&w->at_ns, thrum_now(), memory_order_relaxed);
    atomic_store_explicit(&w->last, i, memory_order_release);
}

static int note_the_time(void *arg)
{
    struct wakeup *w = arg;
    uint64_t i;
    int err;
    while ((err = thrum_chan_recv(w->chan, &i)) == 0)
        note(w, i);
    return err == THRUM_ECLOSED ? 0 : err;
}

static void wakeup_open(struct wakeup *w)
{
    BENCH_MUST(thrum_chan_new(&w->chan, sizeof(uint64_t), 1));
    thrum_scope_open(&w->scope, NULL);
    BENCH_MUST(thrum_scope_spawn(&w->scope, note_the_time, w));
    BENCH_MUST(thrum_sleep(10 * THRUM_MILLISECOND));
}

static void wakeup_close(struct wakeup *w)
{
    thrum_chan_close(w->chan);
    BENCH_MUST(thrum_scope_close(&w->scope));
    thrum_chan_free(w->chan);
}

/* Wakes the other task and computes on until it has run; yields only if that takes over a millisecond, and counts it. */
static uint64_t wake_and_watch(struct wakeup *w, uint64_t i)
{
    bool missed = false;
    uint64_t begun = thrum_now();
    BENCH_MUST(thrum_chan_try_send(w->chan, &i));
    while (atomic_load_explicit(&w->last, memory_order_acquire) != i) {
        if (!missed && thrum_now() - begun > MISSED_NS) {
            missed = true;
            w->missed_n++;
        }
        if (missed)
            BENCH_MUST(thrum_yield());
    }
    return atomic_load_explicit(&w->at_ns, memory_order_relaxed) - begun;
}

/* `size` samples, 50 us apart. */
void bench_wakeup(struct bench *b)
{
    struct wakeup w = {0};
    uint64_t *latency_ns = bench_alloc(b->size, sizeof(*latency_ns));
    wakeup_open(&w);
    uint64_t begun = thrum_now();
    for (uint64_t i = 1; i <= b->size; i++) {
        bench_spin(BUSY_NS);
        latency_ns[i - 1] = wake_and_watch(&w, i);
    }
    b->ns = thrum_now() - begun;
    wakeup_close(&w);
    b->checksum = b->size;
    bench_add(b, "missed", (double)w.missed_n, 0);
    bench_add_percentiles(b, latency_ns, b->size, "ns", 1);
    free(latency_ns);
}

/* The floor: a bare thread that waits on a futex. */
struct bare {
    struct wakeup w; /* its notes only */
    _Atomic uint32_t word;
    uint64_t samples_n;
};

static void *bare_main(void *arg)
{
    struct bare *f = arg;
    for (uint32_t i = 1; i <= f->samples_n; i++) {
        while (atomic_load(&f->word) < i)
            syscall(SYS_futex, &f->word, FUTEX_WAIT_PRIVATE, i - 1, NULL, NULL, 0);
        note(&f->w, i);
    }
    return NULL;
}

static uint64_t bare_wake_and_watch(struct bare *f, uint64_t i)
{
    uint64_t begun = thrum_now();
    atomic_store(&f->word, (uint32_t)i);
    syscall(SYS_futex, &f->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    while (atomic_load_explicit(&f->w.last, memory_order_acquire) != i) {
    }
    return atomic_load_explicit(&f->w.at_ns, memory_order_relaxed) - begun;
}

/* Everything sleeps for a millisecond, so that nobody spins any more, then the waker is warm again. */
static void idle(void)
{
    BENCH_MUST(thrum_sleep(IDLE_NS));
    bench_spin(BUSY_NS);
}

/* `size` samples after a long idle, in turn with as many of the floor. */
void bench_wakeup_idle(struct bench *b)
{
    struct wakeup w = {0};
    struct bare bare = {.samples_n = b->size};
    uint64_t *latency_ns = bench_alloc(b->size, sizeof(*latency_ns));
    uint64_t *bare_ns = bench_alloc(b->size, sizeof(*bare_ns));
    pthread_t thread;
    BENCH_MUST(-pthread_create(&thread, NULL, bare_main, &bare));
    wakeup_open(&w);
    uint64_t begun = thrum_now();
    for (uint64_t i = 1; i <= b->size; i++) {
        idle();
        latency_ns[i - 1] = wake_and_watch(&w, i);
        idle();
        bare_ns[i - 1] = bare_wake_and_watch(&bare, i);
    }
    b->ns = thrum_now() - begun;
    wakeup_close(&w);
    pthread_join(thread, NULL);
    b->checksum = b->size;
    bench_add(b, "missed", (double)w.missed_n, 0);
    bench_add_percentiles(b, latency_ns, b->size, "ns", 1);
    bench_add_percentiles(b, bare_ns, b->size, "floor_ns", 1);
    free(latency_ns);
    free(bare_ns);
}
