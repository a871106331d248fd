/* SPDX-License-Identifier: MIT */
/* Races at the end of a runtime: tasks that are spawned while it begins, tasks that clean up after it has begun, the last
 * ones ending at the same moment, and runtimes beside each other. */
#include "running.h"

static atomic_int bred, bred_ended;

/* Spawns its like, until that is refused. */
static int breed(void *arg)
{
    for (unsigned i = 0; i < 2; i++) {
        thrum_task *task;
        int err = thrum_spawn(&task, breed, arg, NULL);
        EXPECT(err == 0 || err == THRUM_ESHUTDOWN);
        if (err)
            break;
        atomic_fetch_add(&bred, 1);
        thrum_detach(task);
        (void)thrum_sleep(i * 20 * THRUM_MICROSECOND);
    }
    atomic_fetch_add(&bred_ended, 1);
    return 0;
}

static int leave_breeding(void *arg)
{
    thrum_task *task;
    atomic_store(&bred, 1);
    atomic_store(&bred_ended, 0);
    EXPECT_IS(thrum_spawn(&task, breed, NULL, NULL), 0);
    EXPECT_IS(thrum_sleep(*(uint64_t *)arg), 0);
    return 0;
}

static void all_that_is_spawned_as_it_ends_is_waited_for(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (uint64_t time = 0; time < BY_BUILD(200, 200, 60) * THRUM_MICROSECOND;
         time += 10 * THRUM_MICROSECOND) {
        assert_runs(*n, leave_breeding, &time);
        assert_int_equal(atomic_load(&bred), atomic_load(&bred_ended));
    }
}

/* ---- Cleaning up ---- */

static atomic_int cleaned;

static int clean(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_sleep(MS / 2), 0);
    atomic_fetch_add(&cleaned, 1);
    return 0;
}

static int pass_through(void *arg)
{
    (void)arg;
    return 7;
}

static int clean_up_at_the_end(void *arg)
{
    thrum_scope shield;
    (void)arg;
    EXPECT_IS(thrum_sleep(THRUM_NEVER), -ECANCELED);
    EXPECT_IS(thrum_blocking(pass_through, NULL), -ECANCELED);
    thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true, .timeout_ns = THRUM_SECOND * 30});
    for (int i = 0; i < 3; i++)
        EXPECT_IS(thrum_scope_spawn(&shield, clean, NULL), 0);
    EXPECT_IS(thrum_sleep(MS), 0);
    EXPECT_IS(thrum_blocking(pass_through, NULL), 7);
    EXPECT_IS(thrum_scope_close(&shield), 0);
    EXPECT_IS(thrum_check(), -ECANCELED);
    atomic_fetch_add(&cleaned, 1);
    return 0;
}

static int leave_some_to_clean_up(void *arg)
{
    (void)arg;
    atomic_store(&cleaned, 0);
    for (int i = 0; i < 10; i++) {
        thrum_task *task;
        EXPECT_IS(thrum_spawn(&task, clean_up_at_the_end, NULL, NULL), 0);
    }
    return thrum_yield();
}

static void whoever_cleans_up_in_a_shield_is_waited_for(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, leave_some_to_clean_up, NULL);
        assert_int_equal(atomic_load(&cleaned), 10 * 4);
    }
}

/* ---- The last ones ---- */

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return thrum_sleep(THRUM_NEVER);
}

static int leave_a_few(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        thrum_task *task;
        EXPECT_IS(thrum_spawn(&task, sleep_for_ever, NULL, NULL), 0);
    }
    return 0;
}

/* Again and again several workers end their last tasks at once, and one of them must notice that it is over. */
static void the_last_to_end_notice_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BY_BUILD(1000, 200, 100); i++)
        assert_runs(2 + i % 4, leave_a_few, NULL);
}

/* ---- Beside each other ---- */

static int count_up(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int small_job(void *arg)
{
    thrum_scope scope;
    atomic_int ran = 0;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 20; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, count_up, &ran), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&ran), 20);
    return (int)(intptr_t)arg;
}

static void run_some(void *arg, unsigned index)
{
    (void)arg;
    for (int i = 0; i < BY_BUILD(50, 20, 10); i++) {
        int mine = (int)index * 1000 + i;
        EXPECT_IS(run_on(1 + index, small_job, (void *)(intptr_t)mine), mine);
    }
}

static void runtimes_run_beside_each_other(void **state)
{
    (void)state;
    atomic_store(&wrong_n, 0);
    run_team(4, run_some, NULL);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_spawned_as_it_ends_is_waited_for),
        cmocka_unit_test(whoever_cleans_up_in_a_shield_is_waited_for),
        cmocka_unit_test(the_last_to_end_notice_it),
        cmocka_unit_test(runtimes_run_beside_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
