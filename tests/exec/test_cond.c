/* SPDX-License-Identifier: MIT */
/* The condition variable: no signal is lost, whoever is taken away; the mutex is held on each return. */
#include "syncing.h"

enum { ROUNDS = BY_BUILD(10000, 4000, 800), CROWD = BY_BUILD(1000, 300, 100) };

static thrum_mutex mutex;
static thrum_cond cond;

static void lock_it(void)
{
    thrum_mutex_lock_shielded(&mutex);
}

static int wait_for_signal(void *arg)
{
    (void)arg;
    return thrum_cond_wait(&cond, &mutex);
}

static void reset(void)
{
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    cond = (thrum_cond)THRUM_COND_INIT;
}

/* ---- No signal is lost: one token, one signal ---- */

static int tokens_n, taken_n; /* guarded by mutex */
static bool over;             /* guarded by mutex */

static int put(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        lock_it();
        tokens_n++;
        bool inside = random_below(&random, 2);
        if (inside)
            thrum_cond_signal(&cond);
        thrum_mutex_unlock(&mutex);
        if (!inside)
            thrum_cond_signal(&cond);
        if (i % 8 == 0)
            (void)thrum_yield(); /* so that they wait */
    }
    return 0;
}

static void take(void)
{
    tokens_n--;
    if (++taken_n == 4 * ROUNDS) {
        over = true;
        thrum_cond_broadcast(&cond);
    }
}

/* Its waits are ended at random. One that is takes no token, and need not pass on any signal. */
static int take_hastily(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    bool done = false;
    while (!done) {
        lock_it();
        int err = tokens_n > 0 || over ? 0 : at_risk(&random, wait_for_signal, NULL);
        EXPECT(!thrum_mutex_trylock(&mutex)); /* it is held, whatever happened */
        EXPECT(err == 0 || is_interruption(err));
        if (!err && tokens_n > 0)
            take();
        done = over;
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

/* Relies on being signalled: would wait for ever for a token whose signal was lost. */
static int take_patiently(void *arg)
{
    bool done = false;
    (void)arg;
    while (!done) {
        int err = 0;
        lock_it();
        while (tokens_n == 0 && !over && !err)
            err = thrum_cond_wait(&cond, &mutex);
        EXPECT_IS(err, 0);
        if (tokens_n > 0)
            take();
        done = over || err;
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int put_and_take(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    tokens_n = taken_n = 0;
    over = false;
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, 4, put);
    spawn_numbered(&scope, 6, take_hastily);
    spawn_numbered(&scope, 2, take_patiently);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(tokens_n, 0);
    EXPECT_IS(taken_n, 4 * ROUNDS);
    EXPECT_IS(memcmp(&cond, &(thrum_cond)THRUM_COND_INIT, sizeof(cond)), 0);
    return 0;
}

static void deadlines_and_cancels_lose_no_signal(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, put_and_take, NULL);
}

/* ---- Whom a signal wakes: on one worker ---- */

static char woken[8];
static int woken_n; /* both guarded by mutex */

static int note_when_woken(void *arg)
{
    lock_it();
    int err = thrum_cond_wait(&cond, &mutex);
    if (!err)
        woken[woken_n++] = (char)(intptr_t)arg;
    thrum_mutex_unlock(&mutex);
    return err;
}

static int signal_in_order(void *arg)
{
    thrum_scope scope, second;
    (void)arg;
    reset();
    woken_n = 0;
    thrum_cond_signal(&cond); /* to nobody: it is not remembered */
    thrum_cond_broadcast(&cond);
    thrum_scope_open(&scope, NULL);
    thrum_scope_open(&second, NULL);
    start(&scope, note_when_woken, (void *)'1');
    start(&second, note_when_woken, (void *)'2');
    start(&scope, note_when_woken, (void *)'3');
    start(&scope, note_when_woken, (void *)'4');
    EXPECT_IS(woken_n, 0);
    thrum_cond_signal(&cond);
    yields(4);
    EXPECT_IS(woken_n, 1);
    thrum_scope_cancel(&second);
    thrum_cond_signal(&cond); /* the second has not run yet, but it is out */
    EXPECT_IS(thrum_scope_close(&second), -ECANCELED);
    yields(4);
    EXPECT_IS(woken_n, 2);
    thrum_cond_broadcast(&cond);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    woken[woken_n] = 0;
    EXPECT(strcmp(woken, "134") == 0);
    return 0;
}

static void a_signal_goes_to_who_waited_longest(void **state)
{
    (void)state;
    assert_runs(1, signal_in_order, NULL);
}

/* Signalled, and cancelled before the mutex is free again: the wait has succeeded. */
static int cancel_after_the_signal(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    woken_n = 0;
    thrum_scope_open(&scope, NULL);
    start(&scope, note_when_woken, (void *)'1');
    lock_it();
    thrum_cond_signal(&cond);
    yields(4);
    thrum_scope_cancel(&scope);
    yields(4);
    EXPECT_IS(woken_n, 0);
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(woken_n, 1);
    return 0;
}

static void who_was_signalled_has_succeeded(void **state)
{
    (void)state;
    assert_runs(1, cancel_after_the_signal, NULL);
}

static int held_on_return(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    lock_it();
    EXPECT_IS(within(MS, wait_for_signal, NULL), -ETIMEDOUT);
    EXPECT(!thrum_mutex_trylock(&mutex));
    EXPECT_IS(within(0, wait_for_signal, NULL), -ETIMEDOUT);
    EXPECT(!thrum_mutex_trylock(&mutex));
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_cond_wait(&cond, &mutex), -ECANCELED);
    EXPECT(!thrum_mutex_trylock(&mutex));
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    thrum_mutex_unlock(&mutex);
    return 0;
}

static void the_mutex_is_held_on_each_return(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, held_on_return, NULL);
}

/* ---- All, and from outside ---- */

static int generation; /* guarded by mutex */
static int up_n;       /* guarded by mutex */

static int wait_for_generation(void *arg)
{
    int err = 0;
    (void)arg;
    lock_it();
    up_n++;
    while (generation == 0 && !err)
        err = thrum_cond_wait(&cond, &mutex);
    thrum_mutex_unlock(&mutex);
    return err;
}

static void *begin_generation(void *arg)
{
    (void)arg;
    while (!thrum_mutex_trylock(&mutex))
        sched_yield();
    generation = 1;
    thrum_mutex_unlock(&mutex);
    thrum_cond_broadcast(&cond);
    return NULL;
}

static int wake_all(void *arg)
{
    for (int outside = 0; outside < 2; outside++) {
        thrum_scope scope;
        pthread_t thread;
        reset();
        generation = up_n = 0;
        thrum_scope_open(&scope, NULL);
        spawn_n(&scope, CROWD, wait_for_generation, NULL);
        for (int n = 0; n < CROWD;) {
            (void)thrum_yield();
            lock_it();
            n = up_n;
            thrum_mutex_unlock(&mutex);
        }
        if (outside)
            EXPECT_IS(pthread_create(&thread, NULL, begin_generation, NULL), 0);
        else
            begin_generation(arg);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        if (outside)
            pthread_join(thread, NULL);
    }
    return 0;
}

static void a_broadcast_wakes_all_from_anywhere(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, wake_all, NULL);
}

static void *signal_each(void *arg)
{
    (void)arg;
    for (int left = CROWD; left > 0;) {
        while (!thrum_mutex_trylock(&mutex))
            sched_yield();
        tokens_n++;
        left--;
        thrum_mutex_unlock(&mutex);
        thrum_cond_signal(&cond);
    }
    return NULL;
}

static int take_one(void *arg)
{
    int err = 0;
    (void)arg;
    lock_it();
    while (tokens_n == 0 && !err)
        err = thrum_cond_wait(&cond, &mutex);
    if (!err)
        tokens_n--;
    thrum_mutex_unlock(&mutex);
    return err;
}

static int signals_from_outside(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    reset();
    tokens_n = 0;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(pthread_create(&thread, NULL, signal_each, NULL), 0);
    spawn_n(&scope, CROWD, take_one, NULL);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    EXPECT_IS(tokens_n, 0);
    return 0;
}

static void a_thread_may_signal(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, signals_from_outside, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_and_cancels_lose_no_signal),
        cmocka_unit_test(a_signal_goes_to_who_waited_longest),
        cmocka_unit_test(who_was_signalled_has_succeeded),
        cmocka_unit_test(the_mutex_is_held_on_each_return),
        cmocka_unit_test(a_broadcast_wakes_all_from_anywhere),
        cmocka_unit_test(a_thread_may_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
