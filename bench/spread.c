/* SPDX-License-Identifier: MIT */
/* Does work spread? One task spawns N that compute.
 *
 *     spread [TASKS [WORKERS]]          default: 200 tasks, a worker a core
 *
 * Prints how much processor time there was for each second of the clock, how many tasks were stolen, and a checksum of what
 * the tasks computed: the same for the same N. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <thrum/thrum.h>

enum { ROUNDS = 5 * 1000 * 1000 };

struct job {
    uint64_t *results;
    size_t tasks_n;
};

static int compute(void *arg)
{
    uint64_t *result = arg;
    uint64_t x = *result;
    for (int i = 0; i < ROUNDS; i++)
        x = x * UINT64_C(6364136223846793005) + 1;
    *result = x;
    return 0;
}

static double user_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6;
}

static uint64_t steals(void)
{
    uint64_t n = 0;
    thrum_worker_stats s;
    for (unsigned i = 0; i < thrum_workers(); i++)
        n += thrum_stats(i, &s) == 0 ? s.steals : 0;
    return n;
}

static int spread(void *arg)
{
    struct job *job = arg;
    thrum_scope scope;
    uint64_t begun = thrum_now(), checksum = 0;
    double user = user_seconds();
    int err = 0;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < job->tasks_n && !err; i++) {
        job->results[i] = i;
        err = thrum_scope_spawn(&scope, compute, &job->results[i]);
    }
    int failed = thrum_scope_close(&scope);
    user = user_seconds() - user;
    double wall = (double)(thrum_now() - begun) / 1e9;
    for (size_t i = 0; i < job->tasks_n; i++)
        checksum ^= job->results[i];
    printf("%u workers, %zu tasks: %.3f s, %.3f s of processor time, ratio %.2f, %" PRIu64
           " steals, checksum %016" PRIx64 "\n",
           thrum_workers(), job->tasks_n, wall, user, user / wall, steals(), checksum);
    return err ? err : failed;
}

int main(int argc, char **argv)
{
    struct job job = {.tasks_n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200};
    thrum_run_opts opts = {.workers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0};
    job.results = calloc(job.tasks_n ? job.tasks_n : 1, sizeof(*job.results));
    int err = job.results ? thrum_run(spread, &job, &opts) : -1;
    if (err)
        fprintf(stderr, "spread: %s\n", thrum_strerror(err));
    free(job.results);
    return err != 0;
}
