/* SPDX-License-Identifier: MIT */
/* The bound on waiting that exec/pick.c states, counted in picks: a task in the ring waits for at most 5 picks for each one
 * before it there, and for what those spawn in their slices, 128 at most; a spawned task for at most 512 picks for each
 * one spawned before it. On one worker, where all of it is known. */
#include "tests/exec/running.h"

#include <thrum/chan.h>
#include <thrum/sync.h>

enum { YIELDERS = 60, PAIRS = 20, TURNS = BY_BUILD(400, 200, 60), CHILDREN = 128, A_TICK = 61 };

static atomic_bool over;

static uint64_t picks(void)
{
    thrum_worker_stats stats;
    EXPECT_IS(thrum_stats(0, &stats), 0);
    return stats.picks;
}

static int yield_on(void *arg)
{
    (void)arg;
    int err = 0;
    while (!atomic_load(&over) && !err)
        err = thrum_yield();
    return err;
}

/* Two that wake each other: who is woken goes before the queues. */
struct pair {
    thrum_sem turn[2];
};

static int take_turns(struct pair *p, int mine)
{
    int err = 0;
    while (!atomic_load(&over) && !err) {
        err = thrum_sem_acquire(&p->turn[mine]);
        thrum_sem_release(&p->turn[1 - mine]);
    }
    return err;
}

static int first_of_pair(void *arg)
{
    return take_turns(arg, 0);
}

static int second_of_pair(void *arg)
{
    return take_turns(arg, 1);
}

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* Spawns as much as its slices allow. */
static int spawn_on(void *arg)
{
    (void)arg;
    int err = 0;
    while (!atomic_load(&over) && !err) {
        thrum_task *task;
        err = thrum_spawn(&task, return_at_once, NULL, NULL);
        if (!err)
            thrum_detach(task);
    }
    return err;
}

/* A channel that is never empty to one side nor full to the other. */
static int talk_to_itself(void *arg)
{
    int item = 0, err = 0;
    while (!atomic_load(&over) && !err) {
        err = thrum_chan_send(arg, &item);
        if (!err)
            err = thrum_chan_recv(arg, &item);
    }
    return err;
}

struct crowd {
    struct pair pairs[PAIRS];
    thrum_chan *chan;
    unsigned spawners, tasks_n;
    thrum_scope scope;
};

static void gather_crowd(struct crowd *c, unsigned spawners)
{
    c->spawners = spawners;
    c->tasks_n = YIELDERS + 2 * PAIRS + 1 + spawners;
    atomic_store(&over, false);
    EXPECT_IS(thrum_chan_new(&c->chan, sizeof(int), 4), 0);
    thrum_scope_open(&c->scope, NULL);
    for (int i = 0; i < YIELDERS; i++)
        EXPECT_IS(thrum_scope_spawn(&c->scope, yield_on, NULL), 0);
    for (int i = 0; i < PAIRS; i++) {
        thrum_sem_init(&c->pairs[i].turn[0], 1);
        thrum_sem_init(&c->pairs[i].turn[1], 0);
        EXPECT_IS(thrum_scope_spawn(&c->scope, first_of_pair, &c->pairs[i]), 0);
        EXPECT_IS(thrum_scope_spawn(&c->scope, second_of_pair, &c->pairs[i]), 0);
    }
    EXPECT_IS(thrum_scope_spawn(&c->scope, talk_to_itself, c->chan), 0);
    for (unsigned i = 0; i < spawners; i++)
        EXPECT_IS(thrum_scope_spawn(&c->scope, spawn_on, NULL), 0);
    for (int i = 0; i < 100; i++) {
        int err = thrum_yield(); /* all are under way by then */
        EXPECT_IS(err, 0);
    }
}

static void dismiss_crowd(struct crowd *c)
{
    atomic_store(&over, true);
    EXPECT_IS(thrum_scope_close(&c->scope), 0);
    thrum_chan_free(c->chan);
}

/* The most picks that one turn of a task that yields had to wait for. */
static int ring_is_bounded(void *arg)
{
    struct crowd c;
    gather_crowd(&c, *(unsigned *)arg);
    uint64_t bound = (c.tasks_n + 1) * 5 + c.spawners * (CHILDREN + 1) + A_TICK, most = 0;
    for (int i = 0; i < TURNS; i++) {
        uint64_t before = picks();
        int err = thrum_yield();
        EXPECT_IS(err, 0);
        uint64_t waited = picks() - before;
        if (waited > most)
            most = waited;
    }
    dismiss_crowd(&c);
    EXPECT(most > 0);
    EXPECT(most <= bound);
    if (most > bound)
        fprintf(stderr, "waited for %llu picks, at most %llu\n", (unsigned long long)most,
                (unsigned long long)bound);
    return 0;
}

static void a_ready_task_waits_for_so_many_picks_at_most(void **state)
{
    (void)state;
    for (unsigned spawners = 0; spawners < 4; spawners++)
        assert_runs(1, ring_is_bounded, &spawners);
}

/* ---- Spawned ones ---- */

static uint64_t ran_at;

static int note_picks(void *arg)
{
    (void)arg;
    ran_at = picks();
    return 0;
}

static int spawned_is_bounded(void *arg)
{
    struct crowd c;
    gather_crowd(&c, *(unsigned *)arg);
    for (int i = 0; i < TURNS / 20; i++) {
        thrum_task *task;
        ran_at = 0;
        uint64_t before = picks();
        EXPECT_IS(thrum_spawn(&task, note_picks, NULL, NULL), 0);
        int err = 0;
        while (!ran_at && !err)
            err = thrum_yield();
        /* Before it lie at most the crowd's unstarted children: what each spawner's last slice left. */
        EXPECT(ran_at - before <= (c.spawners * (CHILDREN + 1) + 1) * 512ULL + A_TICK);
        EXPECT_IS(thrum_join(task, NULL), 0);
    }
    dismiss_crowd(&c);
    return 0;
}

static void a_spawned_task_waits_for_so_many_picks_at_most(void **state)
{
    (void)state;
    for (unsigned spawners = 0; spawners < 4; spawners++)
        assert_runs(1, spawned_is_bounded, &spawners);
}

/* ---- More than the ring holds ---- */

enum { CROWD = 3000, EACH_PICKS = 24 };

static uint64_t turns[CROWD], longest[CROWD];

static int count_turns(void *arg)
{
    size_t i = (size_t)(uintptr_t)arg;
    int err = 0;
    while (!atomic_load(&over) && !err) {
        uint64_t before = picks();
        turns[i]++;
        err = thrum_yield();
        uint64_t waited = picks() - before;
        if (waited > longest[i])
            longest[i] = waited;
    }
    return err;
}

static int crowd_goes_round(void *arg)
{
    (void)arg;
    thrum_scope scope;
    atomic_store(&over, false);
    memset(turns, 0, sizeof(turns));
    memset(longest, 0, sizeof(longest));
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < CROWD; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, count_turns, (void *)(uintptr_t)i), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_IS(thrum_sleep(2 * MS), 0); /* a timer has its turn among them */
    for (int i = 0; i < BY_BUILD(20, 10, 4); i++) {
        int err = thrum_yield();
        EXPECT_IS(err, 0);
    }
    atomic_store(&over, true);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (size_t i = 0; i < CROWD; i++) {
        EXPECT(turns[i] > 0);
        EXPECT(longest[i] <= CROWD * EACH_PICKS);
    }
    return 0;
}

static void more_than_the_ring_holds_go_round(void **state)
{
    (void)state;
    assert_runs(1, crowd_goes_round, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_task_waits_for_so_many_picks_at_most),
        cmocka_unit_test(a_spawned_task_waits_for_so_many_picks_at_most),
        cmocka_unit_test(more_than_the_ring_holds_go_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
