/* SPDX-License-Identifier: MIT */
/* Work spreads over the workers, and a worker that computes for long does not keep what others could do. */
#include "running.h"

#include <thrum/sync.h>

static const unsigned several[] = {2, 4, 16};

#define FOR_SEVERAL(n)                                                                             \
    for (const unsigned *n = several; n < several + sizeof(several) / sizeof(several[0]); n++)

/* Computes, without ever calling the runtime, until the flag is set. It ends only if another worker does that; or, so that a
 * failure is a failure and no hang, when the time is over. */
static int compute_until(atomic_bool *flag)
{
    uint64_t end = thrum_now() + 60 * THRUM_SECOND;
    while (!atomic_load(flag))
        if (thrum_now() > end)
            return -ETIMEDOUT;
    return 0;
}

static atomic_bool here[2];

static int meet(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    atomic_store(&here[me], true);
    return compute_until(&here[1 - me]);
}

static int two_meet(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&here[0], false);
    atomic_store(&here[1], false);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, meet, (void *)0), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, meet, (void *)1), 0);
    return thrum_scope_close(&scope);
}

static void two_tasks_run_at_the_same_time(void **state)
{
    (void)state;
    FOR_SEVERAL(n)
    for (int i = 0; i < 20; i++)
        assert_runs(*n, two_meet, NULL);
}

static atomic_int ran_on[16];

static int compute(void *arg)
{
    volatile uint64_t x = 1;
    (void)arg;
    for (int i = 0; i < BY_BUILD(200000, 100000, 20000); i++)
        x = x * 3 + 1;
    atomic_fetch_add(&ran_on[thrum_worker_index()], 1);
    return 0;
}

static int spawn_computing(void *arg)
{
    uint64_t steals = 0;
    unsigned workers = 0;
    (void)arg;
    memset(ran_on, 0, sizeof(ran_on));
    do { /* on a busy machine the others may come late */
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < 200; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, compute, NULL), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        steals = 0;
        for (unsigned i = 0; i < thrum_workers(); i++) {
            thrum_worker_stats stats;
            EXPECT_IS(thrum_stats(i, &stats), 0);
            steals += stats.steals;
        }
        workers = 0;
        for (unsigned i = 0; i < thrum_workers(); i++)
            workers += atomic_load(&ran_on[i]) > 0;
    } while (workers < 2 && !thrum_check());
    EXPECT(steals > 0);
    EXPECT(workers > 1);
    return 0;
}

static void what_one_task_spawns_is_stolen(void **state)
{
    (void)state;
    FOR_SEVERAL(n)
    assert_runs(*n, spawn_computing, NULL);
}

/* ---- While a worker computes ---- */

static atomic_bool done;
static thrum_event wake_up;

static int say_done(void *arg)
{
    (void)arg;
    atomic_store(&done, true);
    return 0;
}

static int say_done_when_woken(void *arg)
{
    (void)arg;
    int err = thrum_event_wait(&wake_up);
    atomic_store(&done, true);
    return err;
}

static int say_done_later(void *arg)
{
    (void)arg;
    int err = thrum_sleep(3 * MS);
    atomic_store(&done, true);
    return err;
}

/* What the computing task leaves behind on its worker before it computes. */
enum left { A_SPAWNED_TASK, A_WOKEN_TASK, A_TIMER, A_TASK_WOKEN_FROM_OUTSIDE };

static void *wake_from_outside(void *arg)
{
    thrum_event_set(arg);
    return NULL;
}

/* Another worker must be up and not asleep for good before the computing begins: it has had work, and looks for more. */
static int leave_and_compute(void *arg)
{
    enum left left = (enum left)(intptr_t)arg;
    pthread_t outside;
    thrum_scope scope;
    atomic_store(&done, false);
    wake_up = (thrum_event)THRUM_EVENT_INIT;
    EXPECT_IS(two_meet(NULL), 0);
    thrum_scope_open(&scope, NULL);
    thrum_fn *const fns[] = {say_done, say_done_when_woken, say_done_later, say_done_when_woken};
    if (left != A_SPAWNED_TASK) {
        EXPECT_IS(thrum_scope_spawn(&scope, fns[left], NULL), 0);
        for (int i = 0; i < 100; i++) /* let it get there */
            EXPECT_IS(thrum_yield(), 0);
        EXPECT_IS(two_meet(NULL), 0);
    }
    if (left == A_SPAWNED_TASK)
        EXPECT_IS(thrum_scope_spawn(&scope, say_done, NULL), 0);
    if (left == A_WOKEN_TASK)
        thrum_event_set(&wake_up);
    if (left == A_TASK_WOKEN_FROM_OUTSIDE)
        EXPECT_IS(pthread_create(&outside, NULL, wake_from_outside, &wake_up), 0);
    EXPECT_IS(compute_until(&done), 0);
    if (left == A_TASK_WOKEN_FROM_OUTSIDE)
        pthread_join(outside, NULL);
    return thrum_scope_close(&scope);
}

static void a_computing_worker_keeps_nothing_from_the_others(void **state)
{
    (void)state;
    FOR_SEVERAL(n)
    for (intptr_t left = A_SPAWNED_TASK; left <= A_TASK_WOKEN_FROM_OUTSIDE; left++)
        assert_runs(*n, leave_and_compute, (void *)left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_tasks_run_at_the_same_time),
        cmocka_unit_test(what_one_task_spawns_is_stolen),
        cmocka_unit_test(a_computing_worker_keeps_nothing_from_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
