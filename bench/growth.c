/* SPDX-License-Identifier: MIT */
/* How does a cost grow with the number of tasks that are there?
 *
 *     bench_growth COST TASKS          prints "COST,TASKS,WORKERS,NS": nanoseconds for one operation
 *
 * spawn   one task spawned and joined, beside TASKS that wait for a semaphore
 * wake    one of TASKS woken by a permit, run, and parked again; all of them in turn
 * select  one of TASKS that wait for either of two channels gets an item from one, and waits again; all in turn
 * timer   one of TASKS timers of 10 to 1000 s cancelled and set anew; all in turn
 * steal   one of TASKS that a computing task has made runnable, taken up by the other worker and run
 *
 * A round does it often enough for the clock; what is printed is the median of the rounds. */
#include "bench/exec/bench.h"

#include <stdio.h>
#include <string.h>
#include <thrum/select.h>
#include <thrum/timer.h>

enum { OPS_MIN = 2000, ROUNDS_MAX = 15, ROUNDS_MIN = 3 };
#define ENOUGH (1500 * THRUM_MILLISECOND) /* no more rounds after that */

enum { CHANNELS = 2 };

/* What is there. A task waits, is let go, reports, and waits again, until it is cancelled. */
struct crowd {
    const struct cost *cost;
    uint64_t tasks_n;
    thrum_scope scope;
    thrum_wait_group parking; /* those that have not come to their first wait */
    thrum_sem permits;
    thrum_chan *channels[CHANNELS];
    _Atomic uint64_t ran_n, wanted_n;
    thrum_event all_ran; /* set by the one that makes ran_n what the round wants */
    thrum_timer *timers; /* in place of tasks */
    uint64_t random;
};

struct cost {
    const char *name;
    unsigned workers;
    void (*open)(struct crowd *c);
    void (*close)(struct crowd *c);
    uint64_t (*round)(struct crowd *c, uint64_t *ops); /* stores how many there were; returns ns */
    int (*wait)(struct crowd *c);                      /* a task's: negative when it is cancelled */
    void (*let_go)(struct crowd *c, uint64_t i);       /* lets one task go */
};

static int wait_for_permit(struct crowd *c)
{
    return thrum_sem_acquire(&c->permits);
}

static void give_permit(struct crowd *c, uint64_t i)
{
    (void)i;
    thrum_sem_release(&c->permits);
}

static int wait_for_either(struct crowd *c)
{
    uint64_t item;
    thrum_case cases[] = {THRUM_RECV(c->channels[0], &item), THRUM_RECV(c->channels[1], &item)};
    return thrum_select(cases, CHANNELS, THRUM_NEVER);
}

static void send_to_one(struct crowd *c, uint64_t i)
{
    BENCH_MUST(thrum_chan_send(c->channels[i % CHANNELS], &i));
}

static int member(void *arg)
{
    struct crowd *c = arg;
    thrum_wait_group_done(&c->parking);
    while (c->cost->wait(c) >= 0)
        if (atomic_fetch_add(&c->ran_n, 1) + 1 == atomic_load(&c->wanted_n))
            thrum_event_set(&c->all_ran);
    return 0;
}

static void crowd_gather(struct crowd *c)
{
    for (int i = 0; i < CHANNELS; i++)
        BENCH_MUST(thrum_chan_new(&c->channels[i], sizeof(uint64_t), 1));
    thrum_scope_open(&c->scope, NULL);
    thrum_wait_group_add(&c->parking, (uint32_t)c->tasks_n);
    for (uint64_t i = 0; i < c->tasks_n; i++)
        BENCH_MUST(thrum_scope_spawn(&c->scope, member, c));
    BENCH_MUST(thrum_wait_group_wait(&c->parking));
    BENCH_MUST(thrum_sleep(THRUM_MILLISECOND)); /* they have come, and now they wait */
}

static void crowd_dismiss(struct crowd *c)
{
    thrum_scope_cancel(&c->scope);
    thrum_scope_close(&c->scope); /* -ECANCELED, as ordered */
    for (int i = 0; i < CHANNELS; i++)
        thrum_chan_free(c->channels[i]);
}

static void timer_set(struct crowd *c, uint64_t i)
{
    c->random = c->random * UINT64_C(6364136223846793005) + 1;
    thrum_timer_set(&c->timers[i], (10 + (c->random >> 32) % 990) * THRUM_SECOND);
}

static void timers_set(struct crowd *c)
{
    c->timers = bench_alloc(c->tasks_n, sizeof(*c->timers));
    for (uint64_t i = 0; i < c->tasks_n; i++) {
        c->timers[i] = (thrum_timer)THRUM_TIMER_INIT;
        timer_set(c, i);
    }
}

static void timers_cancel(struct crowd *c)
{
    for (uint64_t i = 0; i < c->tasks_n; i++)
        thrum_timer_cancel(&c->timers[i]);
    free(c->timers);
}

/* ---- The rounds ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static uint64_t spawn_round(struct crowd *c, uint64_t *ops)
{
    (void)c;
    uint64_t begun = thrum_now();
    for (*ops = 0; *ops < OPS_MIN; ++*ops) {
        thrum_task *task;
        BENCH_MUST(thrum_spawn(&task, nothing, NULL, NULL));
        BENCH_MUST(thrum_join(task, NULL));
    }
    return thrum_now() - begun;
}

/* Lets every member run once. */
static void wake_all(struct crowd *c)
{
    thrum_event_clear(&c->all_ran);
    atomic_store(&c->wanted_n, atomic_load(&c->ran_n) + c->tasks_n);
    for (uint64_t i = 0; i < c->tasks_n; i++)
        c->cost->let_go(c, i);
}

static uint64_t wake_round(struct crowd *c, uint64_t *ops)
{
    uint64_t begun = thrum_now();
    for (*ops = 0; *ops < OPS_MIN; *ops += c->tasks_n) {
        wake_all(c);
        BENCH_MUST(thrum_event_wait(&c->all_ran));
    }
    return thrum_now() - begun;
}

static uint64_t timer_round(struct crowd *c, uint64_t *ops)
{
    uint64_t begun = thrum_now();
    for (*ops = 0; *ops < OPS_MIN; *ops += c->tasks_n)
        for (uint64_t i = 0; i < c->tasks_n; i++) {
            thrum_timer_cancel(&c->timers[i]);
            timer_set(c, i);
        }
    return thrum_now() - begun;
}

/* Does not suspend while they are runnable: they can run on the other worker only. */
static uint64_t steal_round(struct crowd *c, uint64_t *ops)
{
    uint64_t ns = 0;
    for (*ops = 0; *ops < OPS_MIN; *ops += c->tasks_n) {
        bench_spin(20 * THRUM_MICROSECOND);
        uint64_t begun = thrum_now();
        wake_all(c);
        while (atomic_load(&c->ran_n) != atomic_load(&c->wanted_n)) {
        }
        ns += thrum_now() - begun;
    }
    return ns;
}

static const struct cost costs[] = {
    {"spawn", 1, crowd_gather, crowd_dismiss, spawn_round, wait_for_permit, give_permit},
    {"wake", 1, crowd_gather, crowd_dismiss, wake_round, wait_for_permit, give_permit},
    {"select", 1, crowd_gather, crowd_dismiss, wake_round, wait_for_either, send_to_one},
    {"timer", 1, timers_set, timers_cancel, timer_round, NULL, NULL},
    {"steal", 2, crowd_gather, crowd_dismiss, steal_round, wait_for_permit, give_permit},
};

struct job {
    const struct cost *cost;
    uint64_t tasks_n;
    double ns; /* filled in */
};

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int run(void *arg)
{
    struct job *job = arg;
    struct crowd c = {.cost = job->cost,
                      .tasks_n = job->tasks_n,
                      .permits = THRUM_SEM_INIT(0),
                      .parking = THRUM_WAIT_GROUP_INIT,
                      .all_ran = THRUM_EVENT_INIT};
    double ns[ROUNDS_MAX];
    size_t rounds_n = 0;
    job->cost->open(&c);
    uint64_t ops, begun = thrum_now();
    job->cost->round(&c, &ops); /* warm */
    while (rounds_n < ROUNDS_MIN || (rounds_n < ROUNDS_MAX && thrum_now() - begun < ENOUGH)) {
        uint64_t took = job->cost->round(&c, &ops);
        ns[rounds_n++] = (double)took / (double)ops;
    }
    job->cost->close(&c);
    qsort(ns, rounds_n, sizeof(ns[0]), by_size);
    job->ns = ns[rounds_n / 2];
    return 0;
}

int main(int argc, char **argv)
{
    struct job job = {.tasks_n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0};
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]) && argc == 3; i++)
        if (strcmp(costs[i].name, argv[1]) == 0)
            job.cost = &costs[i];
    if (!job.cost || !job.tasks_n) {
        fprintf(stderr, "usage: bench_growth spawn|wake|select|timer|steal TASKS\n");
        return 2;
    }
    unsigned workers = job.cost->workers;
    BENCH_MUST(thrum_run(run, &job, &(thrum_run_opts){.workers = workers}));
    printf("%s,%llu,%u,%.1f\n", job.cost->name, (unsigned long long)job.tasks_n, workers, job.ns);
    return 0;
}
