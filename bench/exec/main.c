/* SPDX-License-Identifier: MIT */
/* bench_exec WORKLOAD SIZE THREADS: one workload on so many workers, and one line of JSON with what it took.
 *
 * The same workloads, sizes, checksums and figures as other runtimes' programs print, so that one table holds all of them
 * (bench/README.md says what each does). Time runs inside, after the runtime has started. Exit status 77: no such
 * workload. */
#include "bench/exec/bench.h"

#include <stdio.h>
#include <string.h>

static const struct workload {
    const char *name;
    bench_fn *fn;
    bool outside; /* fn starts its own runtimes; otherwise it is run as a task */
} workloads[] = {
    {"spawn_join", bench_spawn_join, false},
    {"spawn_batch", bench_spawn_batch, false},
    {"yield", bench_yield, false},
    {"pingpong", bench_pingpong, false},
    {"pingpong_cross", bench_pingpong_cross, true},
    {"skynet", bench_skynet, false},
    {"fib", bench_fib, false},
    {"fib_spawn", bench_fib_spawn, false},
    {"fanin", bench_fanin, false},
    {"mutex", bench_mutex, false},
    {"timers", bench_timers, false},
    {"timers_warm", bench_timers_warm, false},
    {"timeout_churn", bench_timeout_churn, false},
    {"parked", bench_parked, false},
    {"wakeup", bench_wakeup, false},
    {"wakeup_idle", bench_wakeup_idle, false},
    {"tcp_echo", bench_tcp_echo, false},
    {"tcp_idle", bench_tcp_idle, false},
    {"stall", bench_stall, false},
};

struct job {
    const struct workload *workload;
    struct bench bench;
};

static void measure(struct job *job)
{
    struct bench *b = &job->bench;
    uint64_t begun = thrum_now();
    job->workload->fn(b);
    if (!b->ns)
        b->ns = thrum_now() - begun;
    if (!b->ops)
        b->ops = b->size;
}

static int run_in_task(void *arg)
{
    measure(arg);
    return 0;
}

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_exec WORKLOAD SIZE THREADS\nworkloads:");
        for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
            fprintf(stderr, " %s", workloads[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    struct job job = {.workload = find(argv[1]),
                      .bench = {.size = strtoull(argv[2], NULL, 10),
                                .threads = (unsigned)strtoul(argv[3], NULL, 10)}};
    if (!job.workload)
        return BENCH_UNSUPPORTED;
    if (job.workload->outside)
        measure(&job);
    else
        BENCH_MUST(thrum_run(run_in_task, &job, &(thrum_run_opts){.workers = job.bench.threads}));
    bench_report(&job.bench, job.workload->name);
    return 0;
}
