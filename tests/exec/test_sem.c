/* SPDX-License-Identifier: MIT */
/* The semaphore with several permits at once: none is lost or made, who asks for many is served, its storage may go. */
#include "syncing.h"

enum { TASKS = 24, ROUNDS = BY_BUILD(10000, 4000, 800), PERMITS = 5 };

static thrum_sem sem;
static atomic_int out_n; /* permits that somebody has */

struct request {
    thrum_sem *sem;
    uint32_t n;
};

static int acquire(void *arg)
{
    struct request *r = arg;
    return thrum_sem_acquire_n(r->sem, r->n);
}

static int take_and_give(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct request r = {&sem, random_below(&random, PERMITS + 1)};
        int n = (int)r.n, err;
        if (random_below(&random, 8) == 0)
            err = thrum_sem_try_acquire_n(&sem, r.n) ? 0 : -EAGAIN;
        else
            err = at_risk(&random, acquire, &r);
        EXPECT(err == 0 || err == -EAGAIN || is_interruption(err));
        if (err)
            continue;
        EXPECT(atomic_fetch_add(&out_n, n) + n <= PERMITS);
        if (i % 16 == 0)
            (void)thrum_yield();
        atomic_fetch_sub(&out_n, n);
        thrum_sem_release_n(&sem, r.n);
    }
    return 0;
}

static int contend(void *arg)
{
    thrum_scope scope;
    (void)arg;
    sem = (thrum_sem)THRUM_SEM_INIT(PERMITS);
    atomic_store(&out_n, 0);
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, TASKS, take_and_give);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(!thrum_sem_try_acquire_n(&sem, PERMITS + 1));
    EXPECT(thrum_sem_try_acquire_n(&sem, PERMITS)); /* all there, and no more */
    EXPECT(!thrum_sem_try_acquire(&sem));
    EXPECT_IS(memcmp(&sem, &(thrum_sem)THRUM_SEM_INIT(0), sizeof(sem)), 0);
    return 0;
}

static void permits_are_neither_lost_nor_made(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, contend, NULL);
}

/* ---- Order: on one worker ---- */

static int order[8];
static int order_n;

static int ask(void *arg)
{
    int n = (int)(intptr_t)arg;
    int err = thrum_sem_acquire_n(&sem, (uint32_t)n);
    if (!err)
        order[order_n++] = n;
    return err;
}

static int ask_for_many(void *arg)
{
    thrum_scope scope;
    (void)arg;
    order_n = 0;
    thrum_sem_init(&sem, 2);
    thrum_scope_open(&scope, NULL);
    start(&scope, ask, (void *)4);
    EXPECT(!thrum_sem_try_acquire(&sem)); /* there are two, but somebody waits */
    start(&scope, ask, (void *)1);
    start(&scope, ask, (void *)2);
    EXPECT_IS(order_n, 0);
    thrum_sem_release(&sem);
    yields(4);
    EXPECT_IS(order_n, 0); /* three: not enough for the first */
    thrum_sem_release_n(&sem, 2);
    yields(4);
    EXPECT_IS(order_n, 2); /* five: the first and the second */
    thrum_sem_release_n(&sem, 3);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(order_n == 3 && order[0] == 4 && order[1] == 1 && order[2] == 2);
    EXPECT(thrum_sem_try_acquire(&sem));
    EXPECT(!thrum_sem_try_acquire(&sem));
    return 0;
}

/* The first asks for too many and gives up: those behind it have what they need. */
static int give_up_first(void *arg)
{
    thrum_scope scope, patient;
    (void)arg;
    order_n = 0;
    thrum_sem_init(&sem, 2);
    thrum_scope_open(&patient, NULL);
    thrum_scope_open(&scope, NULL);
    start(&scope, ask, (void *)9);
    start(&patient, ask, (void *)1);
    start(&patient, ask, (void *)1);
    start(&patient, ask, (void *)1);
    EXPECT_IS(order_n, 0);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    yields(4);
    EXPECT_IS(order_n, 2);
    thrum_sem_release(&sem);
    EXPECT_IS(thrum_scope_close(&patient), 0);
    EXPECT_IS(order_n, 3);
    return 0;
}

static void who_asks_for_many_is_served_in_turn(void **state)
{
    (void)state;
    assert_runs(1, ask_for_many, NULL);
}

static void who_gives_up_lets_the_next_have_theirs(void **state)
{
    (void)state;
    assert_runs(1, give_up_first, NULL);
}

static int zero(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_sem_init(&sem, 0);
    EXPECT_IS(thrum_sem_acquire_n(&sem, 0), 0);
    EXPECT(thrum_sem_try_acquire_n(&sem, 0));
    thrum_sem_release_n(&sem, 0);
    EXPECT(!thrum_sem_try_acquire(&sem));
    thrum_sem_release(&sem);
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_sem_acquire(&sem), -ECANCELED); /* although there is one */
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(within(0, acquire, &(struct request){&sem, 1}), 0);
    EXPECT_IS(within(0, acquire, &(struct request){&sem, 1}), -ETIMEDOUT);
    return 0;
}

static void no_permits_are_always_there(void **state)
{
    (void)state;
    assert_runs(1, zero, NULL);
}

/* ---- Storage, threads, bugs ---- */

static int release_soon(void *arg)
{
    thrum_sem_release_n(arg, 2);
    return 0;
}

static void *release_from_outside(void *arg)
{
    thrum_sem_release_n(arg, 2);
    return NULL;
}

static int on_a_short_stack(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_scope scope;
        pthread_t thread;
        thrum_sem *s = malloc(sizeof(*s));
        thrum_sem_init(s, 0);
        thrum_scope_open(&scope, NULL);
        if (i % 50 == 0)
            EXPECT_IS(pthread_create(&thread, NULL, release_from_outside, s), 0);
        else
            EXPECT_IS(thrum_scope_spawn(&scope, release_soon, s), 0);
        EXPECT_IS(thrum_sem_acquire_n(s, 2), 0);
        free(s); /* who released is out of it, though perhaps not returned */
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

static int release_too_many(void *arg)
{
    thrum_sem s = THRUM_SEM_INIT(INT32_MAX);
    (void)arg;
    thrum_sem_release(&s);
    return 0;
}

static void too_many_permits_end_the_process(void **state)
{
    (void)state;
    assert_true(aborts(release_too_many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_are_neither_lost_nor_made),
        cmocka_unit_test(who_asks_for_many_is_served_in_turn),
        cmocka_unit_test(who_gives_up_lets_the_next_have_theirs),
        cmocka_unit_test(no_permits_are_always_there),
        cmocka_unit_test(it_may_go_when_who_waited_has_returned),
        cmocka_unit_test(too_many_permits_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
