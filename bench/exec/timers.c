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

/* `size` tasks sleep once, for 0 to 999 ms: processor time, and how late they woke. */
void bench_timers(struct bench *b)
{
    struct sleeper *sleepers = bench_alloc(b->size, sizeof(*sleepers));
    uint64_t *late_ns = bench_alloc(b->size, sizeof(*late_ns));
    _Atomic uint64_t done_n = 0;
    thrum_scope scope;
    double cpu = bench_cpu_seconds();
    uint64_t begun = thrum_now();
    thrum_scope_open(&scope, NULL);
    for (uint64_t i = 0; i < b->size; i++) {
        sleepers[i] = (struct sleeper){delay_ms(i) * THRUM_MILLISECOND, 0, &done_n};
        BENCH_MUST(thrum_scope_spawn(&scope, sleep_once, &sleepers[i]));
    }
    BENCH_MUST(thrum_scope_close(&scope));
    b->ns = thrum_now() - begun;
    bench_add(b, "cpu_s", bench_cpu_seconds() - cpu, 3);
    for (uint64_t i = 0; i < b->size; i++)
        late_ns[i] = sleepers[i].late_ns;
    bench_add_percentiles(b, late_ns, b->size, "us", 1e3);
    b->checksum = atomic_load(&done_n);
    free(sleepers);
    free(late_ns);
}
