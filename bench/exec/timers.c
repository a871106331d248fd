/* SPDX-License-Identifier: MIT */
/* What time costs: many sleepers, and time limits that are set and cancelled. */
#include "bench/exec/bench.h"

/* Spread over a second, the same for every runtime. */
static uint64_t delay_ms(uint64_t i)
{
    return ((uint32_t)(i * 2654435761U) >> 8) % 1000;
}

struct sleeper {
    uint64_t delay_ns;
    uint64_t late_ns; /* filled in */
    _Atomic uint64_t *done_n;
};

static int sleep_once(void *arg)
{
    struct sleeper *s = arg;
    uint64_t due = thrum_now() + s->delay_ns;
    BENCH_MUST(thrum_sleep(s->delay_ns));
    uint64_t now = thrum_now();
    s->late_ns = now > due ? now - due : 0;
    atomic_fetch_add_explicit(s->done_n, 1, memory_order_relaxed);
    return 0;
}

/* Spawns n of them and waits for all. */
static void all_sleep(struct sleeper *sleepers, uint64_t n, _Atomic uint64_t *done_n)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uint64_t i = 0; i < n; i++) {
        sleepers[i] = (struct sleeper){delay_ms(i) * THRUM_MILLISECOND, 0, done_n};
        BENCH_MUST(thrum_scope_spawn(&scope, sleep_once, &sleepers[i]));
    }
    BENCH_MUST(thrum_scope_close(&scope));
}

static void timers(struct bench *b, int rounds)
{
    struct sleeper *sleepers = bench_alloc(b->size, sizeof(*sleepers));
    uint64_t *late_ns = bench_alloc(b->size, sizeof(*late_ns));
    _Atomic uint64_t done_n = 0;
    for (int i = 1; i < rounds; i++)
        all_sleep(sleepers, b->size, &done_n);
    atomic_store(&done_n, 0);
    double cpu = bench_cpu_seconds();
    uint64_t begun = thrum_now();
    all_sleep(sleepers, b->size, &done_n);
    b->ns = thrum_now() - begun;
    bench_add(b, "cpu_s", bench_cpu_seconds() - cpu, 3);
    for (uint64_t i = 0; i < b->size; i++)
        late_ns[i] = sleepers[i].late_ns;
    bench_add_percentiles(b, late_ns, b->size, "us", 1e3);
    b->checksum = atomic_load(&done_n);
    free(sleepers);
    free(late_ns);
}

/* `size` tasks sleep once, for 0 to 999 ms: processor time, and how late they woke. */
void bench_timers(struct bench *b)
{
    timers(b, 1);
}

/* The same once more, with the stacks that the first time left: what is measured is not the kernel's page faults. */
void bench_timers_warm(struct bench *b)
{
    timers(b, 2);
}

enum { CHURNED = 1000 };
#define CHURN_TIMEOUT (10 * THRUM_SECOND)

/* 1,000 live timers; `size` times the oldest is cancelled and set anew. */
void bench_timeout_churn(struct bench *b)
{
    thrum_timer *timers = bench_alloc(CHURNED, sizeof(*timers));
    uint64_t fired_n = 0;
    for (int i = 0; i < CHURNED; i++) {
        timers[i] = (thrum_timer)THRUM_TIMER_INIT;
        thrum_timer_set(&timers[i], CHURN_TIMEOUT);
    }
    uint64_t begun = thrum_now();
    for (uint64_t i = 0; i < b->size; i++) {
        thrum_timer *oldest = &timers[i % CHURNED];
        fired_n += !thrum_timer_cancel(oldest);
        thrum_timer_set(oldest, CHURN_TIMEOUT);
    }
    b->ns = thrum_now() - begun;
    for (int i = 0; i < CHURNED; i++)
        thrum_timer_cancel(&timers[i]);
    b->checksum = b->size - fired_n;
    free(timers);
}
