/* SPDX-License-Identifier: MIT */
/* What does a parked task cost? N tasks wait for one event, which is then set.
 *
 *     parked [TASKS [WORKERS]]          default: 1,000,000 tasks, a worker a core
 *
 * Prints the resident memory of each parked task, record and stack together, and how long it takes from setting the event
 * until the last one has returned. */
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>
#include <unistd.h>

struct job {
    size_t tasks_n;
    thrum_event event;
    thrum_wait_group parked;
};

static int wait_for_it(void *arg)
{
    struct job *job = arg;
    thrum_wait_group_done(&job->parked);
    return thrum_event_wait(&job->event);
}

static double resident_bytes(void)
{
    unsigned long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static int park_and_wake(void *arg)
{
    struct job *job = arg;
    thrum_scope scope;
    double before = resident_bytes();
    uint64_t begun = thrum_now();
    int err = 0;
    thrum_wait_group_add(&job->parked, (uint32_t)job->tasks_n);
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < job->tasks_n && !err; i++)
        err = thrum_scope_spawn(&scope, wait_for_it, job);
    if (!err)
        err = thrum_wait_group_wait(&job->parked);
    if (err)
        thrum_scope_cancel(&scope);
    uint64_t all_parked = thrum_now();
    double bytes = resident_bytes() - before;
    thrum_event_set(&job->event);
    int failed = thrum_scope_close(&scope);
    double n = (double)job->tasks_n;
    printf("%u workers, %zu tasks: spawned and parked in %.2f s, %.0f bytes each, woken and joined "
           "in %.0f ns each\n",
           thrum_workers(), job->tasks_n, (double)(all_parked - begun) / 1e9, bytes / n,
           (double)(thrum_now() - all_parked) / n);
    return err ? err : failed;
}

int main(int argc, char **argv)
{
    struct job job = {.tasks_n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000};
    thrum_run_opts opts = {.workers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0};
    int err = thrum_run(park_and_wake, &job, &opts);
    if (err)
        fprintf(stderr, "parked: %s\n", thrum_strerror(err));
    return err != 0;
}
