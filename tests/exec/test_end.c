/* SPDX-License-Identifier: MIT */
/* The end of a runtime: when the first task returns, all others are cancelled, return by themselves, and nothing is left. */
#include "running.h"

#include <thrum/chan.h>
#include <thrum/sync.h>

enum { EACH = BY_BUILD(50, 50, 10) };

static atomic_int begun, over;

/* What tasks wait in when the end comes. The objects are the runtime's user's: they outlive it here. */
static thrum_mutex mutex;
static thrum_event event;
static thrum_sem sem;
static thrum_wait_group group;
static thrum_chan *empty, *full;
static thrum_task *sleeper;

static int ends(int err)
{
    EXPECT_IS(err, -ECANCELED);
    EXPECT_IS(thrum_check(), -ECANCELED);
    EXPECT_IS(thrum_sleep(0), -ECANCELED); /* again and again */
    atomic_fetch_add(&over, 1);
    return err;
}

static int in_sleep(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_sleep(THRUM_NEVER));
}

static int in_timed_sleep(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_sleep(1000 * THRUM_SECOND));
}

static int in_mutex(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_mutex_lock(&mutex));
}

static int in_event(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_event_wait(&event));
}

static int in_sem(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_sem_acquire(&sem));
}

static int in_group(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_wait_group_wait(&group));
}

static int in_recv(void *arg)
{
    int item;
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_chan_recv(empty, &item));
}

static int in_send(void *arg)
{
    int item = 1;
    (void)arg;
    atomic_fetch_add(&begun, 1);
    return ends(thrum_chan_send(full, &item));
}

static int in_scope(void *arg)
{
    thrum_scope scope;
    atomic_fetch_add(&begun, 1);
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, in_sleep, arg);
    EXPECT(err == 0 || err == -ECANCELED);
    if (err) /* the end came first: keep the count */
        ends(-ECANCELED), atomic_fetch_add(&begun, 1);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return ends(thrum_check());
}

static int in_yields(void *arg)
{
    int err = 0;
    (void)arg;
    atomic_fetch_add(&begun, 1);
    while (!err)
        err = thrum_yield();
    return ends(err);
}

/* Cleans up behind a shield, and must be given the time for it. */
static int in_shield(void *arg)
{
    thrum_scope shield;
    (void)arg;
    atomic_fetch_add(&begun, 1);
    thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true});
    EXPECT_IS(thrum_sleep(2 * MS), 0);
    EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(thrum_scope_close(&shield), 0);
    int err = 0;
    while (!err)
        err = thrum_sleep(MS);
    return ends(err);
}

static thrum_fn *const waits[] = {
    in_sleep, in_timed_sleep, in_mutex, in_event,  in_sem,    in_group,
    in_recv,  in_send,        in_scope, in_yields, in_shield,
};
enum { WAITS = sizeof(waits) / sizeof(waits[0]), TASKS = WAITS * EACH, SCOPES = EACH };

static int in_join(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    int err = thrum_join(sleeper, NULL);
    if (err)
        thrum_detach(sleeper);
    EXPECT(err == 0 || err == -ECANCELED); /* the one it joins ends at the same time */
    atomic_fetch_add(&over, 1);
    return 0;
}

static void spawn(thrum_fn *fn)
{
    thrum_task *task;
    EXPECT_IS(thrum_spawn(&task, fn, NULL, NULL), 0);
    thrum_detach(task);
}

static int leave_all(void *arg)
{
    bool at_once = arg != NULL;
    EXPECT(thrum_mutex_trylock(&mutex));
    thrum_wait_group_add(&group, 1);
    for (int i = 0; i < TASKS; i++)
        spawn(waits[i % WAITS]);
    EXPECT_IS(thrum_spawn(&sleeper, in_sleep, NULL, NULL), 0);
    spawn(in_join);
    while (!at_once && atomic_load(&begun) < TASKS + SCOPES + 2)
        (void)thrum_yield();
    return 42;
}

static void end_with(unsigned workers, bool at_once)
{
    int item = 0;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    event = (thrum_event)THRUM_EVENT_INIT;
    thrum_sem_init(&sem, 0);
    group = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
    assert_int_equal(thrum_chan_new(&empty, sizeof(int), 1), 0);
    assert_int_equal(thrum_chan_new(&full, sizeof(int), 1), 0);
    assert_int_equal(thrum_chan_try_send(full, &item), 0);
    atomic_store(&begun, 0);
    atomic_store(&over, 0);
    atomic_store(&wrong_n, 0);
    int result =
        thrum_run(leave_all, at_once ? &item : NULL, &(thrum_run_opts){.workers = workers});
    assert_int_equal(result, 42);
    assert_int_equal(atomic_load(&wrong_n), 0);
    assert_int_equal(atomic_load(&begun), TASKS + SCOPES + 2);
    assert_int_equal(atomic_load(&over), TASKS + SCOPES + 2);
    thrum_chan_free(empty);
    thrum_chan_free(full);
}

static void whoever_waits_is_cancelled_and_returns(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < 5; i++)
        end_with(*n, false);
}

static void whoever_has_not_begun_is_run_and_cancelled(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < 5; i++)
        end_with(*n, true);
}

/* ---- Spawning after the end ---- */

static int spawn_late(void *arg)
{
    thrum_task *task;
    thrum_scope scope;
    (void)arg;
    EXPECT_IS(thrum_sleep(THRUM_NEVER), -ECANCELED);
    EXPECT_IS(thrum_spawn(&task, in_sleep, NULL, NULL), THRUM_ESHUTDOWN);
    EXPECT(task == NULL);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, in_sleep, NULL), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    atomic_fetch_add(&over, 1);
    return 0;
}

static int leave_late_spawner(void *arg)
{
    (void)arg;
    spawn(spawn_late);
    for (int i = 0; i < 20; i++)
        (void)thrum_yield();
    return 0;
}

static void nothing_is_spawned_at_the_end(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        atomic_store(&over, 0);
        atomic_store(&wrong_n, 0);
        assert_int_equal(thrum_run(leave_late_spawner, NULL, &(thrum_run_opts){.workers = *n}), 0);
        assert_int_equal(atomic_load(&over), 1);
        assert_int_equal(atomic_load(&wrong_n), 0);
    }
}

/* ---- Several runtimes ---- */

static int return_it(void *arg)
{
    return (int)(intptr_t)arg;
}

static void runtimes_come_and_go(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (intptr_t i = 0; i < BY_BUILD(100, 50, 10); i++)
        assert_int_equal(thrum_run(return_it, (void *)i, &(thrum_run_opts){.workers = *n}), i);
}

static thrum_event shared_event;
static thrum_chan *shared_chan;

static int wait_shared(void *arg)
{
    (void)arg;
    return thrum_event_wait(&shared_event);
}

/* Two of these run at once: what they share wakes tasks of both. */
static int share(void *arg)
{
    thrum_scope scope;
    bool first = arg != NULL;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 20; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, wait_shared, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        int item = i;
        EXPECT_IS(first ? thrum_chan_send(shared_chan, &item) : thrum_chan_recv(shared_chan, &item),
                  0);
        EXPECT_IS(item, i);
    }
    if (first)
        thrum_event_set(&shared_event);
    return thrum_scope_close(&scope);
}

static void *share_in_thread(void *arg)
{
    EXPECT_IS(thrum_run(share, arg, &(thrum_run_opts){.workers = 2}), 0);
    return NULL;
}

static void two_runtimes_share_events_and_channels(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        shared_event = (thrum_event)THRUM_EVENT_INIT;
        assert_int_equal(thrum_chan_new(&shared_chan, sizeof(int), 3), 0);
        atomic_store(&wrong_n, 0);
        assert_int_equal(pthread_create(&thread, NULL, share_in_thread, &shared_event), 0);
        share_in_thread(NULL);
        pthread_join(thread, NULL);
        assert_int_equal(atomic_load(&wrong_n), 0);
        thrum_chan_free(shared_chan);
    }
}

static int run_within(void *arg)
{
    return thrum_run(return_it, arg, &(thrum_run_opts){.workers = 2});
}

static int block_on_another(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_blocking(run_within, (void *)9),
              9); /* the pool's threads are threads like any */
    return 0;
}

static void a_runtime_runs_within_a_blocking_call(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, block_on_another, NULL);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    assert_int_equal(thrum_run(return_it, NULL, &(thrum_run_opts){.workers = 1025}), -EINVAL);
    assert_int_equal(thrum_run(return_it, NULL, &(thrum_run_opts){.stack_bytes = 100}), -EINVAL);
    assert_int_equal(thrum_run(return_it, NULL, &(thrum_run_opts){.stack_bytes = 16 << 20}),
                     -EINVAL);
    assert_int_equal(thrum_run(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(thrum_run(return_it, (void *)3, &(thrum_run_opts){.stack_bytes = 8 << 20}), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_waits_is_cancelled_and_returns),
        cmocka_unit_test(whoever_has_not_begun_is_run_and_cancelled),
        cmocka_unit_test(nothing_is_spawned_at_the_end),
        cmocka_unit_test(runtimes_come_and_go),
        cmocka_unit_test(two_runtimes_share_events_and_channels),
        cmocka_unit_test(a_runtime_runs_within_a_blocking_call),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
