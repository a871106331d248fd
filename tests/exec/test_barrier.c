/* SPDX-License-Identifier: MIT */
/* The barrier: all pass or none, round after round; who is taken away breaks it; it can be reset. */
#include "syncing.h"

enum { PARTIES = 8, ROUNDS = BY_BUILD(3000, 1500, 300) };

static thrum_barrier barrier = THRUM_BARRIER_INIT(PARTIES);
static int round_of[PARTIES]; /* each written by its party, read by all after the barrier */
static atomic_int last_n, passed_n, failed_n;

static int await(void *arg)
{
    return thrum_barrier_wait(arg);
}

/* ---- Round after round ---- */

static int go_round(void *arg)
{
    intptr_t me = (intptr_t)arg - 1;
    for (int round = 1; round <= ROUNDS; round++) {
        round_of[me] = round;
        int result = thrum_barrier_wait(&barrier);
        EXPECT(result == 0 || result == 1);
        if (result == 1)
            atomic_fetch_add(&last_n, 1);
        for (int i = 0; i < PARTIES; i++)
            EXPECT_IS(round_of[i], round);
        EXPECT(thrum_barrier_wait(&barrier) >= 0); /* all have looked */
    }
    return 0;
}

static int rounds(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&last_n, 0);
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, PARTIES, go_round);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&last_n), ROUNDS); /* one in each round */
    EXPECT_IS(memcmp(&barrier.q, &(struct thrum_waitq){0}, sizeof(barrier.q)), 0); /* as new */
    return 0;
}

static void all_parties_meet_in_each_round(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, rounds, NULL);
}

static int alone(void *arg)
{
    thrum_barrier b;
    (void)arg;
    thrum_barrier_init(&b, 1);
    for (int i = 0; i < 3; i++)
        EXPECT_IS(within(0, await, &b), 1);
    return 0;
}

static void one_party_need_not_wait(void **state)
{
    (void)state;
    assert_runs(1, alone, NULL);
}

/* ---- All or none ---- */

static int come_at_risk(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int result = at_risk(&random, await, &barrier);
    EXPECT(result == 0 || result == 1 || result == THRUM_ECLOSED || is_interruption(result));
    if (result == 1)
        atomic_fetch_add(&last_n, 1);
    atomic_fetch_add(result >= 0 ? &passed_n : &failed_n, 1);
    return 0;
}

static int all_or_none(void *arg)
{
    uint64_t random = 1;
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        thrum_scope scope;
        thrum_barrier_init(&barrier, PARTIES);
        atomic_store(&last_n, 0);
        atomic_store(&passed_n, 0);
        atomic_store(&failed_n, 0);
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < PARTIES; i++)
            EXPECT_IS(
                thrum_scope_spawn(&scope, come_at_risk, (void *)(uintptr_t)random_next(&random)),
                0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        bool passed = atomic_load(&passed_n) > 0;
        EXPECT_IS(atomic_load(&passed_n), passed ? PARTIES : 0);
        EXPECT_IS(atomic_load(&failed_n), passed ? 0 : PARTIES);
        EXPECT_IS(atomic_load(&last_n), passed ? 1 : 0);
        EXPECT_IS(thrum_barrier_is_broken(&barrier), !passed);
    }
    return 0;
}

static void all_parties_pass_or_none(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, all_or_none, NULL);
}

/* ---- Breaking and resetting ---- */

static int come(void *arg)
{
    (void)arg;
    int result = thrum_barrier_wait(&barrier);
    atomic_fetch_add(result == THRUM_ECLOSED ? &failed_n : &passed_n, 1);
    return 0;
}

static void *break_from_outside(void *arg)
{
    thrum_barrier_break(arg);
    return NULL;
}

static void *reset_from_outside(void *arg)
{
    thrum_barrier_reset(arg);
    return NULL;
}

/* All but two wait; then end_it ends their wait. */
static void gather_and(void (*end_it)(void))
{
    thrum_scope scope;
    thrum_barrier_init(&barrier, PARTIES);
    atomic_store(&failed_n, 0);
    atomic_store(&passed_n, 0);
    thrum_scope_open(&scope, NULL);
    spawn_n(&scope, PARTIES - 2, come, NULL);
    yields(20);
    end_it();
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&passed_n), 0);
    EXPECT_IS(atomic_load(&failed_n), PARTIES - 2);
}

static void by_timeout(void)
{
    EXPECT_IS(within(MS, await, &barrier), -ETIMEDOUT);
}

static void by_coming_cancelled(void)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_barrier_wait(&barrier), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
}

static void by_a_thread(void)
{
    pthread_t thread;
    EXPECT_IS(pthread_create(&thread, NULL, break_from_outside, &barrier), 0);
    pthread_join(thread, NULL);
}

static int breaking(void *arg)
{
    void (*const ways[])(void) = {by_timeout, by_coming_cancelled, by_a_thread};
    (void)arg;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        gather_and(ways[i]);
        EXPECT(thrum_barrier_is_broken(&barrier));
        EXPECT_IS(thrum_barrier_wait(&barrier), THRUM_ECLOSED); /* and stays so */
        thrum_barrier_reset(&barrier);
        EXPECT(!thrum_barrier_is_broken(&barrier));
    }
    return rounds(NULL); /* as new */
}

static void who_is_taken_away_breaks_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, breaking, NULL);
}

static void by_reset(void)
{
    pthread_t thread;
    EXPECT_IS(pthread_create(&thread, NULL, reset_from_outside, &barrier), 0);
    pthread_join(thread, NULL);
}

/* On one worker, so that all wait when it is reset. */
static int resetting(void *arg)
{
    (void)arg;
    gather_and(by_reset);
    EXPECT(!thrum_barrier_is_broken(&barrier));
    return rounds(NULL);
}

static void a_reset_sends_those_away_that_wait(void **state)
{
    (void)state;
    assert_runs(1, resetting, NULL);
}

/* ---- Storage, bugs ---- */

struct meeting {
    thrum_barrier barrier;
    atomic_int left_n;
};

static int meet(void *arg)
{
    struct meeting *m = arg;
    EXPECT(thrum_barrier_wait(&m->barrier) >= 0);
    if (atomic_fetch_sub(&m->left_n, 1) == 1)
        free(m);
    return 0;
}

static int meet_and_free(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        struct meeting *m = malloc(sizeof(*m));
        thrum_barrier_init(&m->barrier, 3);
        atomic_init(&m->left_n, 3);
        spawn_n(&scope, 3, meet, m);
    }
    return thrum_scope_close(&scope);
}

static void the_last_that_returns_may_free_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, meet_and_free, NULL);
}

static int wait_for_nobody(void *arg)
{
    thrum_barrier b = THRUM_BARRIER_INIT(0);
    (void)arg;
    return thrum_barrier_wait(&b);
}

static void no_parties_end_the_process(void **state)
{
    (void)state;
    assert_true(aborts(wait_for_nobody));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parties_meet_in_each_round),
        cmocka_unit_test(one_party_need_not_wait),
        cmocka_unit_test(all_parties_pass_or_none),
        cmocka_unit_test(who_is_taken_away_breaks_it),
        cmocka_unit_test(a_reset_sends_those_away_that_wait),
        cmocka_unit_test(the_last_that_returns_may_free_it),
        cmocka_unit_test(no_parties_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
