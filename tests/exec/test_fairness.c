/* SPDX-License-Identifier: MIT */
/* Nobody waits for ever, however the others behave; and tasks that wait for a time wait that long.
 *
 * On one worker nobody can help out: the order of picking alone must see to it. */
#include "running.h"

#include <thrum/chan.h>
#include <thrum/sync.h>

static atomic_bool seen;
static thrum_event wake_up;

static int spin_on_yields(void *arg)
{
    (void)arg;
    return until_set(&seen);
}

static int say_seen(void *arg)
{
    (void)arg;
    atomic_store(&seen, true);
    return 0;
}

static int say_seen_when_woken(void *arg)
{
    (void)arg;
    int err = thrum_event_wait(&wake_up);
    atomic_store(&seen, true);
    return err;
}

static int say_seen_after_a_while(void *arg)
{
    (void)arg;
    int err = thrum_sleep(1 * MS);
    atomic_store(&seen, true);
    return err;
}

/* ---- What a worker can be kept busy with ---- */

enum { SPINNERS = 5 };

static void spawn_spinners(thrum_scope *scope)
{
    for (int i = 0; i < SPINNERS; i++)
        EXPECT_IS(thrum_scope_spawn(scope, spin_on_yields, NULL), 0);
}

struct ping {
    thrum_sem mine, other;
};

/* Each wakes the other, who goes into the `next` slot. */
static int ping(void *arg)
{
    struct ping *p = arg;
    int err = 0;
    while (!atomic_load(&seen) && !err) {
        err = thrum_sem_acquire(&p->mine);
        thrum_sem_release(&p->other);
    }
    thrum_sem_release(&p->other); /* pong may have looked at `seen` just before it was set */
    return err;
}

static int pong(void *arg)
{
    struct ping *p = arg;
    int err = 0;
    while (!atomic_load(&seen) && !err) {
        thrum_sem_release(&p->mine);
        err = thrum_sem_acquire(&p->other);
    }
    thrum_sem_release(&p->mine);
    return err;
}

static struct ping pair;

static void spawn_pair(thrum_scope *scope)
{
    thrum_sem_init(&pair.mine, 0);
    thrum_sem_init(&pair.other, 0);
    EXPECT_IS(thrum_scope_spawn(scope, ping, &pair), 0);
    EXPECT_IS(thrum_scope_spawn(scope, pong, &pair), 0);
}

static thrum_chan *there, *back;

static int serve(void *arg)
{
    int number, err = 0;
    (void)arg;
    while (!err) {
        err = thrum_chan_recv(there, &number);
        if (!err)
            err = thrum_chan_send(back, &number);
    }
    return err == THRUM_ECLOSED ? 0 : err;
}

static int ask(void *arg)
{
    (void)arg;
    int err = 0;
    for (int i = 0, got = 0; !atomic_load(&seen) && !err; i++) {
        err = thrum_chan_send(there, &i);
        if (!err)
            err = thrum_chan_recv(back, &got);
        EXPECT(err || got == i);
    }
    thrum_chan_close(there);
    return err;
}

static void spawn_talkers(thrum_scope *scope)
{
    EXPECT_IS(thrum_chan_new(&there, sizeof(int), 1), 0);
    EXPECT_IS(thrum_chan_new(&back, sizeof(int), 1), 0);
    EXPECT_IS(thrum_scope_spawn(scope, serve, NULL), 0);
    EXPECT_IS(thrum_scope_spawn(scope, ask, NULL), 0);
}

static thrum_scope *family;

/* Spawns its like for ever: newer tasks always lie on top of older ones. */
static int breed(void *arg)
{
    if (!atomic_load(&seen) && !thrum_check())
        return thrum_scope_spawn(family, breed, arg);
    return 0;
}

static void spawn_family(thrum_scope *scope)
{
    family = scope;
    EXPECT_IS(thrum_scope_spawn(scope, breed, NULL), 0);
    EXPECT_IS(thrum_scope_spawn(scope, breed, NULL), 0);
}

static void spawn_all_of_them(thrum_scope *scope)
{
    spawn_spinners(scope);
    spawn_pair(scope);
    spawn_talkers(scope);
    spawn_family(scope);
}

static void (*const busy[])(thrum_scope *) = {
    spawn_spinners, spawn_pair, spawn_talkers, spawn_family, spawn_all_of_them,
};

/* ---- Who must have its turn all the same ---- */

struct contest {
    void (*spawn_busy)(thrum_scope *);
    thrum_fn *victim;
    bool victim_first;
};

static int hold(void *arg)
{
    struct contest *c = arg;
    thrum_scope scope;
    atomic_store(&seen, false);
    wake_up = (thrum_event)THRUM_EVENT_INIT;
    there = back = NULL;
    thrum_scope_open(&scope, NULL);
    if (c->victim_first)
        EXPECT_IS(thrum_scope_spawn(&scope, c->victim, NULL), 0);
    c->spawn_busy(&scope);
    if (!c->victim_first)
        EXPECT_IS(thrum_scope_spawn(&scope, c->victim, NULL), 0);
    for (int i = 0; i < 50; i++) /* let them get under way */
        (void)thrum_yield();
    thrum_event_set(&wake_up);
    int err = thrum_scope_close(&scope);
    EXPECT(atomic_load(&seen));
    thrum_chan_free(there);
    thrum_chan_free(back);
    return err;
}

static void hold_with(thrum_fn *victim)
{
    FOR_WORKERS(n)
    for (size_t i = 0; i < sizeof(busy) / sizeof(busy[0]); i++)
        for (int first = 0; first < 2; first++) {
            struct contest c = {busy[i], victim, first != 0};
            assert_runs(*n, hold, &c);
        }
}

static void busy_tasks_do_not_starve_a_spawned_one(void **state)
{
    (void)state;
    hold_with(say_seen);
}

static void busy_tasks_do_not_starve_a_woken_one(void **state)
{
    (void)state;
    hold_with(say_seen_when_woken);
}

static void busy_tasks_do_not_starve_a_timer(void **state)
{
    (void)state;
    hold_with(say_seen_after_a_while);
}

/* A thread outside keeps a channel full, so that its reader never has to wait for an item. */
static thrum_chan *fed;
static atomic_bool reader_over;

static void *feed(void *arg)
{
    int number = 0;
    (void)arg;
    while (!atomic_load(&reader_over))
        if (thrum_chan_try_send(fed, &number) == 0)
            number++;
    return NULL;
}

static int read_on(void *arg)
{
    int err = 0;
    (void)arg;
    for (int number; !atomic_load(&seen) && !err;)
        err = thrum_chan_recv(fed, &number);
    atomic_store(&reader_over, true);
    return err;
}

static int hold_reader(void *arg)
{
    pthread_t feeder;
    thrum_scope scope;
    (void)arg;
    atomic_store(&seen, false);
    atomic_store(&reader_over, false);
    EXPECT_IS(thrum_chan_new(&fed, sizeof(int), 1024), 0);
    EXPECT_IS(pthread_create(&feeder, NULL, feed, NULL), 0);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, say_seen_after_a_while, NULL), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, read_on, NULL), 0);
    int err = thrum_scope_close(&scope);
    pthread_join(feeder, NULL);
    thrum_chan_free(fed);
    return err;
}

static void a_reader_that_never_has_to_wait_starves_nobody(void **state)
{
    (void)state;
    assert_runs(1, hold_reader, NULL);
}

static thrum_chan *roomy;

static int talk_to_itself(void *arg)
{
    int number = 0, err = 0;
    (void)arg;
    while (!atomic_load(&seen) && !err) {
        err = thrum_chan_send(roomy, &number);
        if (!err)
            err = thrum_chan_recv(roomy, &number);
    }
    return err;
}

static int hold_monologue(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&seen, false);
    EXPECT_IS(thrum_chan_new(&roomy, sizeof(int), 2), 0);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, say_seen_after_a_while, NULL), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, talk_to_itself, NULL), 0);
    int err = thrum_scope_close(&scope);
    thrum_chan_free(roomy);
    return err;
}

static void a_channel_that_is_always_ready_starves_nobody(void **state)
{
    (void)state;
    assert_runs(1, hold_monologue, NULL);
}

/* A tree of scopes: no task of it ever waits for anything but its children, which run at the joins. */
static int grow(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    thrum_scope scope;
    if (depth == 0 || atomic_load(&seen))
        return 0;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 2; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, grow, (void *)(depth - 1)), 0);
    return thrum_scope_close(&scope);
}

static int hold_tree(void *arg)
{
    thrum_scope scope;
    int err = 0;
    atomic_store(&seen, false);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, arg ? say_seen_after_a_while : say_seen, NULL), 0);
    if (arg)
        EXPECT_IS(thrum_yield(), 0);
    while (!atomic_load(&seen) && !err)
        err = grow((void *)30);
    return thrum_scope_close(&scope);
}

static void a_tree_of_joins_starves_nobody(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        assert_runs(n, hold_tree, NULL);
        assert_runs(n, hold_tree, (void *)1);
    }
}

/* ---- Sleeping ---- */

enum { SLEEPERS = 50 };

static struct {
    uint64_t timeout_ns;
    uint64_t begun, ended;
} sleepers[SLEEPERS];
static int starts[SLEEPERS], order[SLEEPERS]; /* who began and who woke, in order */
static atomic_int starts_n, order_n;

static int sleep_own(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    starts[atomic_fetch_add(&starts_n, 1)] = (int)i;
    sleepers[i].begun = thrum_now();
    int err = thrum_sleep(sleepers[i].timeout_ns);
    sleepers[i].ended = thrum_now();
    order[atomic_fetch_add(&order_n, 1)] = (int)i;
    return err;
}

static int sleep_all(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&order_n, 0);
    atomic_store(&starts_n, 0);
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < SLEEPERS; i++) {
        sleepers[i].timeout_ns = (i * 37 % SLEEPERS) * MS / 2;
        EXPECT_IS(thrum_scope_spawn(&scope, sleep_own, (void *)i), 0);
    }
    return thrum_scope_close(&scope);
}

static void nobody_wakes_too_early(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, sleep_all, NULL);
        for (int i = 0; i < SLEEPERS; i++)
            assert_true(sleepers[i].ended >= sleepers[i].begun + sleepers[i].timeout_ns);
    }
}

/* On one worker the timers that have run out together are woken in order too. A deadline is known but for the time between
 * our look at the clock and the library's: at the latest that was when the next one began. */
static void sleepers_wake_in_the_order_of_their_deadlines(void **state)
{
    uint64_t earliest[SLEEPERS], latest[SLEEPERS];
    (void)state;
    assert_runs(1, sleep_all, NULL);
    for (int k = 0; k < SLEEPERS; k++) {
        int i = starts[k];
        earliest[i] = sleepers[i].begun + sleepers[i].timeout_ns;
        latest[i] =
            k + 1 < SLEEPERS ? sleepers[starts[k + 1]].begun + sleepers[i].timeout_ns : THRUM_NEVER;
    }
    for (int i = 1; i < SLEEPERS; i++)
        assert_true(earliest[order[i - 1]] <= latest[order[i]]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_tasks_do_not_starve_a_spawned_one),
        cmocka_unit_test(busy_tasks_do_not_starve_a_woken_one),
        cmocka_unit_test(busy_tasks_do_not_starve_a_timer),
        cmocka_unit_test(a_reader_that_never_has_to_wait_starves_nobody),
        cmocka_unit_test(a_channel_that_is_always_ready_starves_nobody),
        cmocka_unit_test(a_tree_of_joins_starves_nobody),
        cmocka_unit_test(nobody_wakes_too_early),
        cmocka_unit_test(sleepers_wake_in_the_order_of_their_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
