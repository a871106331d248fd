/* SPDX-License-Identifier: MIT */
/* The blocking pool: calls run on threads of their own while tasks wait. */
#include "running.h"

#include <sched.h>

enum { POOL_THREADS = 64, CALLS = BY_BUILD(10000, 5000, 1000) };

static atomic_int ran, running;

static int add_one(void *arg)
{
    atomic_fetch_add(&ran, 1);
    return (int)(intptr_t)arg + 1;
}

static int call_pool(void *arg)
{
    EXPECT_IS(thrum_blocking(add_one, arg), (int)(intptr_t)arg + 1);
    return 0;
}

static int outside(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_worker_index(), (unsigned)-1); /* no task is here */
    return 0;
}

static int many_calls(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&ran, 0);
    EXPECT_IS(thrum_blocking(outside, NULL), 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < CALLS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, call_pool, (void *)i), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&ran), CALLS);
    return 0;
}

static void each_call_gives_its_result_back(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, many_calls, NULL);
}

/* ---- A pool whose threads are all taken ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate);
    gate_is_open = open;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate);
}

static int wait_at_gate(void *arg)
{
    (void)arg;
    atomic_fetch_add(&running, 1);
    pthread_mutex_lock(&gate);
    while (!gate_is_open)
        pthread_cond_wait(&gate_opens, &gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&ran, 1);
    return 5;
}

static int block_at_gate(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_blocking(wait_at_gate, NULL), 5); /* also if it is cancelled meanwhile */
    return 0;
}

static int be_cancelled(void *arg)
{
    EXPECT_IS(thrum_blocking(add_one, NULL), (int)(intptr_t)arg);
    return 0;
}

/* So many calls that every thread of the pool holds one. */
static void fill_pool(thrum_scope *scope)
{
    atomic_store(&ran, 0);
    atomic_store(&running, 0);
    set_gate(false);
    for (int i = 0; i < POOL_THREADS; i++)
        EXPECT_IS(thrum_scope_spawn(scope, block_at_gate, NULL), 0);
    while (atomic_load(&running) < POOL_THREADS && !thrum_check())
        (void)thrum_sleep(THRUM_MILLISECOND / 10);
}

static int queued_calls(void *arg)
{
    thrum_scope all, some;
    (void)arg;
    thrum_scope_open(&all, NULL);
    fill_pool(&all);
    thrum_scope_open(&some, NULL);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_scope_spawn(&some, be_cancelled, (void *)-ECANCELED), 0);
    for (int i = 0; i < 200; i++)
        EXPECT_IS(thrum_yield(), 0);
    thrum_scope_cancel(&some);
    EXPECT_IS(thrum_scope_close(&some), -ECANCELED);
    thrum_timeout limit;
    thrum_timeout_begin(&limit, THRUM_MILLISECOND);
    EXPECT_IS(thrum_blocking(add_one, NULL), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    EXPECT_IS(atomic_load(&ran), 0); /* none of those ever ran */
    set_gate(true);
    EXPECT_IS(thrum_scope_close(&all), 0);
    EXPECT_IS(atomic_load(&ran), POOL_THREADS);
    return 0;
}

static void a_queued_call_can_be_called_off(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, queued_calls, NULL);
}

static int running_calls(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    fill_pool(&scope);
    thrum_scope_cancel(&scope); /* they run: their results are awaited all the same */
    set_gate(true);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(atomic_load(&ran), POOL_THREADS);
    return 0;
}

static void a_running_call_is_awaited(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, running_calls, NULL);
}

static atomic_int left_n;

static int be_left(void *arg)
{
    (void)arg;
    int result = thrum_blocking(add_one, NULL);
    EXPECT(result == 1 || result == -ECANCELED);
    atomic_fetch_add(&left_n, 1);
    return 0;
}

static void spawn_and_detach(thrum_fn *fn)
{
    thrum_task *task;
    EXPECT_IS(thrum_spawn(&task, fn, NULL, NULL), 0);
    thrum_detach(task);
}

/* The first task returns while calls run and others are queued behind them. */
static int leave_calls_behind(void *arg)
{
    (void)arg;
    for (int i = 0; i < POOL_THREADS; i++)
        spawn_and_detach(block_at_gate);
    while (atomic_load(&running) < POOL_THREADS && !thrum_check())
        (void)thrum_sleep(THRUM_MILLISECOND / 10);
    for (int i = 0; i < 100; i++)
        spawn_and_detach(be_left);
    return 0;
}

static void *open_later(void *arg)
{
    (void)arg;
    while (atomic_load(&running) < POOL_THREADS)
        sched_yield();
    set_gate(true);
    return NULL;
}

static void the_end_waits_for_running_calls(void **state)
{
    (void)state;
    pthread_t thread;
    FOR_WORKERS(n)
    {
        atomic_store(&running, 0);
        atomic_store(&left_n, 0);
        set_gate(false);
        assert_int_equal(pthread_create(&thread, NULL, open_later, NULL), 0);
        assert_runs(*n, leave_calls_behind, NULL);
        pthread_join(thread, NULL);
        assert_int_equal(atomic_load(&running), POOL_THREADS);
        assert_int_equal(atomic_load(&left_n), 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_gives_its_result_back),
        cmocka_unit_test(a_queued_call_can_be_called_off),
        cmocka_unit_test(a_running_call_is_awaited),
        cmocka_unit_test(the_end_waits_for_running_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
