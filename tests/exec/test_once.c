/* SPDX-License-Identifier: MIT */
/* Once: it succeeds once, by one task at a time, whatever fails or is taken away before. */
#include "syncing.h"

enum { TASKS = 50, ROUNDS = BY_BUILD(1000, 500, 100) };

static thrum_once once;
/* Counted relaxed, while it goes on: what orders the accesses to built must be the once. */
static atomic_int inside, tries_n, successes_n;
static int fail_n; /* so many tries fail; guarded by being inside */
static int built;  /* what fn makes, read by all after it */

static int add(atomic_int *n, int by)
{
    return atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

static int build(void *arg)
{
    (void)arg;
    EXPECT_IS(add(&inside, 1), 0);
    int try = add(&tries_n, 1) + 1;
    (void)thrum_yield();
    if (try > fail_n) {
        built++;
        add(&successes_n, 1);
    }
    add(&inside, -1);
    return try > fail_n ? 7 : -EIO;
}

static void reset(int failures)
{
    once = (thrum_once)THRUM_ONCE_INIT;
    atomic_store(&tries_n, 0);
    atomic_store(&successes_n, 0);
    fail_n = failures;
    built = 0;
}

/* ---- A crowd ---- */

static atomic_int failed_n, done_n;

static int need(void *arg)
{
    (void)arg;
    int err = thrum_once_run(&once, build, NULL);
    EXPECT(err == 0 || err == -EIO);
    add(err ? &failed_n : &done_n, 1);
    if (!err)
        EXPECT_IS(built, 1);
    return 0;
}

/* Asks without ever waiting in it. */
static int look(void *arg)
{
    int err = 0;
    (void)arg;
    while (!err && !thrum_once_is_done(&once))
        err = thrum_yield();
    if (!err)
        EXPECT_IS(built, 1);
    return err;
}

static int crowd(void *arg)
{
    int failures = (int)(intptr_t)arg;
    for (int round = 0; round < ROUNDS; round++) {
        thrum_scope scope;
        reset(failures);
        atomic_store(&failed_n, 0);
        atomic_store(&done_n, 0);
        thrum_scope_open(&scope, NULL);
        spawn_n(&scope, 2, look, NULL);
        spawn_n(&scope, TASKS, need, NULL);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        EXPECT_IS(atomic_load(&tries_n), failures + 1);
        EXPECT_IS(atomic_load(&failed_n), failures); /* whose own call failed, and nobody else */
        EXPECT_IS(atomic_load(&done_n), TASKS - failures);
        EXPECT(thrum_once_is_done(&once));
    }
    return 0;
}

static void it_is_done_once(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, crowd, NULL);
}

static void after_a_failure_the_next_tries(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, crowd, (void *)5);
}

/* ---- At risk: those who wait are taken away, and those within fail because of it ---- */

static int build_or_be_taken_away(void *arg)
{
    (void)arg;
    EXPECT_IS(add(&inside, 1), 0);
    int err = thrum_yield();
    if (!err) {
        built++;
        add(&successes_n, 1);
    }
    add(&inside, -1);
    return err;
}

static int run_it(void *arg)
{
    return thrum_once_run(arg, build_or_be_taken_away, NULL);
}

static int need_at_risk(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int err;
    do {
        err = at_risk(&random, run_it, &once);
        EXPECT(err == 0 || is_interruption(err));
        if (!err)
            EXPECT_IS(built, 1);
    } while (err && random_below(&random, 4) != 0); /* some give up for good */
    return 0;
}

static int crowd_at_risk(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        thrum_scope scope;
        reset(0);
        thrum_scope_open(&scope, NULL);
        spawn_numbered(&scope, TASKS, need_at_risk);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        EXPECT_IS(run_it(&once), 0); /* whatever became of them it can be done, or is */
        EXPECT_IS(atomic_load(&successes_n), 1);
        EXPECT_IS(built, 1);
    }
    return 0;
}

static void deadlines_and_cancels_leave_it_to_others(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, crowd_at_risk, NULL);
}

/* ---- One after the other ---- */

static int always_fail(void *arg)
{
    (void)arg;
    return -ENOENT;
}

static int one_by_one(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset(1);
    EXPECT_IS(thrum_once_run(&once, always_fail, NULL), -ENOENT);
    EXPECT(!thrum_once_is_done(&once));
    EXPECT_IS(thrum_once_run(&once, build, NULL), -EIO);
    EXPECT_IS(thrum_once_run(&once, build, NULL), 0);
    EXPECT(thrum_once_is_done(&once));
    EXPECT_IS(thrum_once_run(&once, always_fail, NULL), 0); /* is not called any more */
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_once_run(&once, always_fail, NULL), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static void whoever_calls_after_a_failure_tries_again(void **state)
{
    (void)state;
    assert_runs(1, one_by_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_done_once),
        cmocka_unit_test(after_a_failure_the_next_tries),
        cmocka_unit_test(deadlines_and_cancels_leave_it_to_others),
        cmocka_unit_test(whoever_calls_after_a_failure_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
