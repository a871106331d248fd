/* SPDX-License-Identifier: MIT */
/* The latch, and what it has in common with the wait group. */
#include "syncing.h"

enum { ROUNDS = BY_BUILD(4000, 2000, 400), CROWD = BY_BUILD(1000, 300, 100) };

static thrum_latch latch;
static int written[CROWD]; /* each by one task before it counts down */
static atomic_int woken_n;

static int await(void *arg)
{
    return thrum_latch_wait(arg);
}

static int wait_and_read(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int err;
    while ((err = at_risk(&random, await, &latch)) != 0)
        EXPECT(is_interruption(err));
    long long sum = 0;
    for (int i = 0; i < CROWD; i++)
        sum += written[i];
    EXPECT_IS(sum, CROWD);
    atomic_fetch_add(&woken_n, 1);
    return 0;
}

static int write_and_down(void *arg)
{
    written[(intptr_t)arg - 1] = 1;
    thrum_latch_down(&latch, 1);
    return 0;
}

static void *down_from_outside(void *arg)
{
    thrum_latch_down(arg, 1);
    return NULL;
}

static int come_together(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    memset(written, 0, sizeof(written));
    thrum_latch_init(&latch, CROWD + 1);
    atomic_store(&woken_n, 0);
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, 20, wait_and_read);
    spawn_numbered(&scope, CROWD, write_and_down);
    yields(10);
    EXPECT(!thrum_latch_is_open(&latch)); /* the thread is missing */
    EXPECT_IS(pthread_create(&thread, NULL, down_from_outside, &latch), 0);
    EXPECT_IS(thrum_latch_wait(&latch), 0);
    EXPECT(thrum_latch_is_open(&latch));
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    EXPECT_IS(atomic_load(&woken_n), 20);
    EXPECT_IS(memcmp(&latch, &(thrum_latch)THRUM_LATCH_INIT(0), sizeof(latch)), 0);
    return 0;
}

static void it_opens_when_all_have_counted_down(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, come_together, NULL);
}

static int stays_open(void *arg)
{
    static thrum_latch twice = THRUM_LATCH_INIT(5), none = THRUM_LATCH_INIT(0);
    (void)arg;
    EXPECT_IS(within(0, await, &twice), -ETIMEDOUT);
    thrum_latch_down(&twice, 3);
    EXPECT(!thrum_latch_is_open(&twice));
    thrum_latch_down(&twice, 0);
    thrum_latch_down(&twice, 2);
    for (int i = 0; i < 3; i++)
        EXPECT_IS(within(0, await, &twice), 0);
    EXPECT_IS(thrum_latch_wait(&none), 0);
    return 0;
}

static void it_stays_open(void **state)
{
    (void)state;
    assert_runs(1, stays_open, NULL);
}

/* ---- Storage, of both ---- */

struct both {
    thrum_latch latch;
    thrum_wait_group group;
};

static int finish(void *arg)
{
    struct both *b = arg;
    thrum_latch_down(&b->latch, 1);
    thrum_wait_group_done(&b->group);
    return 0;
}

static void *finish_outside(void *arg)
{
    finish(arg);
    return NULL;
}

static int on_a_short_stack(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_scope scope;
        pthread_t thread;
        struct both *b = malloc(sizeof(*b));
        *b = (struct both){THRUM_LATCH_INIT(3), THRUM_WAIT_GROUP_INIT};
        thrum_wait_group_add(&b->group, 3);
        thrum_scope_open(&scope, NULL);
        spawn_n(&scope, 2, finish, b);
        if (i % 50 == 0)
            EXPECT_IS(pthread_create(&thread, NULL, finish_outside, b), 0);
        else
            EXPECT_IS(thrum_scope_spawn(&scope, finish, b), 0);
        EXPECT_IS(thrum_latch_wait(&b->latch), 0);
        EXPECT_IS(thrum_wait_group_wait(&b->group), 0);
        free(b); /* who was last is out of it, though perhaps not returned */
        EXPECT_IS(thrum_scope_close(&scope), 0);
        if (i % 50 == 0)
            pthread_join(thread, NULL);
    }
    return 0;
}

static void it_may_go_when_who_waited_has_returned(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, on_a_short_stack, NULL);
}

/* ---- A wait group again and again ---- */

static thrum_wait_group group;

static int be_done(void *arg)
{
    (void)arg;
    thrum_wait_group_done(&group);
    return 0;
}

static int wait_for_group(void *arg)
{
    (void)arg;
    return thrum_wait_group_wait(&group);
}

static int rounds(void *arg)
{
    uint64_t random = 1;
    (void)arg;
    group = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_scope scope;
        int err;
        thrum_wait_group_add(&group, 4);
        thrum_scope_open(&scope, NULL);
        spawn_n(&scope, 4, be_done, NULL);
        while ((err = at_risk(&random, wait_for_group, NULL)) != 0)
            EXPECT(is_interruption(err));
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    EXPECT_IS(memcmp(&group, &(thrum_wait_group)THRUM_WAIT_GROUP_INIT, sizeof(group)), 0);
    return 0;
}

static void a_wait_group_is_used_again_and_again(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, rounds, NULL);
}

/* ---- Bugs ---- */

static int down_below_zero(void *arg)
{
    thrum_latch l = THRUM_LATCH_INIT(1);
    (void)arg;
    thrum_latch_down(&l, 2);
    return 0;
}

static int done_without_add(void *arg)
{
    thrum_wait_group g = THRUM_WAIT_GROUP_INIT;
    (void)arg;
    thrum_wait_group_done(&g);
    return 0;
}

static int add_too_many(void *arg)
{
    thrum_wait_group g = THRUM_WAIT_GROUP_INIT;
    (void)arg;
    thrum_wait_group_add(&g, INT32_MAX);
    thrum_wait_group_add(&g, 1);
    return 0;
}

static void counting_wrongly_ends_the_process(void **state)
{
    (void)state;
    assert_true(aborts(down_below_zero));
    assert_true(aborts(done_without_add));
    assert_true(aborts(add_too_many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_when_all_have_counted_down),
        cmocka_unit_test(it_stays_open),
        cmocka_unit_test(it_may_go_when_who_waited_has_returned),
        cmocka_unit_test(a_wait_group_is_used_again_and_again),
        cmocka_unit_test(counting_wrongly_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
