/* SPDX-License-Identifier: MIT */
/* The blocking pool: calls run on threads of their own while tasks wait. It is compiled into this test with the starting
 * of threads going through the test. */
#include "running.h"

#include <sched.h>
#include <thrum/blocking.h>

static atomic_int threads_left; /* so many more can be started; negative: any number */

static int limited_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    int left = atomic_load(&threads_left);
    if (left == 0)
        return EAGAIN;
    if (left > 0)
        atomic_fetch_sub(&threads_left, 1);
    return pthread_create(thread, attr, fn, arg);
}

#define pthread_create limited_create
#include "exec/blocking.c"
#undef pthread_create

enum { POOL_THREADS = 16, CALLS = BY_BUILD(10000, 5000, 1000) };

static atomic_int ran, running;

/* fn(NULL) with a pool of so many threads. */
static void assert_runs_with(unsigned workers, unsigned threads, thrum_fn *fn)
{
    struct limited_run l = {fn, NULL};
    atomic_store(&wrong_n, 0);
    assert_int_equal(thrum_run(run_limited, &l,
                               &(thrum_run_opts){.workers = workers, .blocking_threads = threads}),
                     0);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

static thrum_blocking_stats stats(void)
{
    thrum_blocking_stats s;
    EXPECT_IS(thrum_blocking_stats_read(&s), 0);
    return s;
}

static int add_one(void *arg)
{
    atomic_fetch_add(&ran, 1);
    return (int)(intptr_t)arg + 1;
}

/* ---- Results ---- */

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
    thrum_blocking_stats s = stats();
    EXPECT_IS(s.done, CALLS + 1);
    EXPECT_IS(s.running + s.queued, 0);
    return 0;
}

static void each_call_gives_its_result_back(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs_with(*n, 0, many_calls);
        assert_runs_with(*n, 1, many_calls);
        assert_runs_with(*n, 4, many_calls);
    }
}

static int one_call_after_the_other(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS / 10; i++) {
        EXPECT_IS(thrum_blocking(add_one, (void *)(intptr_t)i), i + 1);
        EXPECT_IS(stats().threads, 1); /* it was idle before its call's task was woken */
    }
    return 0;
}

static void calls_in_a_row_need_one_thread(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs_with(*n, 0, one_call_after_the_other);
}

static int calls_in_a_row(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS / 100; i++)
        EXPECT_IS(thrum_blocking(add_one, (void *)(intptr_t)i), i + 1);
    return 0;
}

static int a_few_at_once(void *arg)
{
    enum { FEW = 7 };
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < FEW; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, calls_in_a_row, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(stats().threads <= FEW);
    return 0;
}

static void there_are_no_more_threads_than_calls_at_once(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs_with(*n, 0, a_few_at_once);
}

/* ---- Outside tasks ---- */

static int is_on_thread(void *arg)
{
    return pthread_equal(*(pthread_t *)arg, pthread_self()) ? 1 : 0;
}

static int call_again(void *arg)
{
    pthread_t self = pthread_self();
    int depth = (int)(intptr_t)arg;
    EXPECT_IS(thrum_blocking(is_on_thread, &self), 1);
    return depth == 0 ? 100 : thrum_blocking(call_again, (void *)(intptr_t)(depth - 1)) + 1;
}

static int nest(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_blocking(call_again, (void *)10), 110);
    EXPECT_IS(stats().done, 1); /* the others were plain calls */
    return 0;
}

static void outside_a_task_it_is_a_plain_call(void **state)
{
    (void)state;
    pthread_t self = pthread_self();
    thrum_blocking_stats s = {.threads = 5};
    assert_int_equal(thrum_blocking(is_on_thread, &self), 1);
    assert_int_equal(thrum_blocking(call_again, (void *)3), 103);
    assert_int_equal(thrum_blocking_stats_read(&s), THRUM_ENOTTASK);
    assert_int_equal(s.threads, 0);
    FOR_WORKERS(n)
    assert_runs_with(*n, 1, nest); /* also in the pool's own and only thread */
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

static void until_all_run(void)
{
    while (atomic_load(&running) < POOL_THREADS && !thrum_check())
        (void)thrum_sleep(THRUM_MILLISECOND / 10);
}

/* So many calls that as many run as were asked for. */
static void fill_pool(thrum_scope *scope)
{
    atomic_store(&ran, 0);
    atomic_store(&running, 0);
    set_gate(false);
    for (int i = 0; i < POOL_THREADS; i++)
        EXPECT_IS(thrum_scope_spawn(scope, block_at_gate, NULL), 0);
    until_all_run();
}

static atomic_int called_off, called;

static int be_called_off(void *arg)
{
    int expected = (int)(intptr_t)arg;
    int result = thrum_blocking(add_one, NULL);
    EXPECT(result == 1 || result == expected);
    atomic_fetch_add(result == 1 ? &called : &called_off, 1);
    return 0;
}

static void spawn_many(thrum_scope *scope, thrum_fn *fn, intptr_t arg)
{
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_scope_spawn(scope, fn, (void *)arg), 0);
}

/* Every ten milliseconds one of them gets a thread, the others are called off. */
static int queued_calls(void *arg)
{
    (void)arg;
    atomic_store(&called, 0);
    atomic_store(&called_off, 0);
    do {
        thrum_scope all, some;
        int called_before = atomic_load(&called);
        thrum_scope_open(&all, NULL);
        fill_pool(&all);
        thrum_scope_open(&some, NULL);
        spawn_many(&some, be_called_off, -ECANCELED);
        for (int i = 0; i < 200; i++)
            EXPECT_IS(thrum_yield(), 0);
        thrum_scope_cancel(&some);
        EXPECT_IS(thrum_scope_close(&some), -ECANCELED);
        thrum_timeout limit;
        thrum_timeout_begin(&limit, MS);
        thrum_scope_open(&some, NULL);
        spawn_many(&some, be_called_off, -ETIMEDOUT);
        int err = thrum_scope_close(&some);
        EXPECT(err == 0 || err == -ETIMEDOUT);
        (void)thrum_timeout_end(&limit);
        EXPECT_IS(atomic_load(&ran), atomic_load(&called) - called_before); /* the rest never ran */
        set_gate(true);
        EXPECT_IS(thrum_scope_close(&all), 0);
    } while (!atomic_load(&called_off) && !thrum_check());
    EXPECT_IS(stats().queued, 0);
    return 0;
}

static void a_queued_call_can_be_called_off(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs_with(*n, POOL_THREADS, queued_calls);
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
    assert_runs_with(*n, POOL_THREADS, running_calls);
}

/* ---- Calls that wait for others ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t more;
    int n;
} turn = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static int come_in_turn(void *arg)
{
    int mine = (int)(intptr_t)arg;
    pthread_mutex_lock(&turn.mutex);
    while (turn.n < mine)
        pthread_cond_wait(&turn.more, &turn.mutex);
    turn.n++;
    pthread_cond_broadcast(&turn.more);
    pthread_mutex_unlock(&turn.mutex);
    return mine;
}

static int call_in_turn(void *arg)
{
    EXPECT_IS(thrum_blocking(come_in_turn, arg), (int)(intptr_t)arg);
    return 0;
}

/* The later ones are queued first, and need the threads that these have. */
static int calls_in_reverse(void *arg)
{
    enum { DEEP = 3 * POOL_THREADS };
    thrum_scope scope;
    (void)arg;
    turn.n = 0;
    thrum_scope_open(&scope, NULL);
    for (int i = DEEP - 1; i >= 0; i--) {
        EXPECT_IS(thrum_scope_spawn(&scope, call_in_turn, (void *)(intptr_t)i), 0);
        while (stats().running + stats().queued < (unsigned)(DEEP - i) && turn.n == 0 &&
               !thrum_check())
            (void)thrum_yield(); /* until it is queued: in this order */
    }
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(turn.n, DEEP);
    thrum_blocking_stats s = stats();
    EXPECT(s.beyond > 0);
    EXPECT(s.threads <= DEEP + 1);
    return 0;
}

static void calls_that_wait_for_queued_ones_get_through(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs_with(*n, 1, calls_in_reverse);
        assert_runs_with(*n, POOL_THREADS, calls_in_reverse);
    }
}

static int then_as_few_as_before(void *arg)
{
    EXPECT_IS(calls_in_reverse(arg), 0);
    thrum_blocking_stats s = stats();
    while ((s.threads > 2 || s.limit > 1) && !thrum_check()) {
        (void)thrum_sleep(MS);
        s = stats();
    }
    EXPECT_IS(s.limit, 1);
    return 0;
}

static void the_limit_falls_back(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs_with(*n, 1, then_as_few_as_before);
}

/* ---- The limit ---- */

static atomic_int most;

static int count_running(void *arg)
{
    int now = atomic_fetch_add(&running, 1) + 1;
    int before = atomic_load(&most);
    (void)arg;
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        ;
    sched_yield();
    atomic_fetch_sub(&running, 1);
    return 0;
}

static int call_count_running(void *arg)
{
    return thrum_blocking(count_running, arg);
}

static int crowd(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&running, 0);
    atomic_store(&most, 0);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 1000; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, call_count_running, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    thrum_blocking_stats s = stats();
    EXPECT(atomic_load(&most) <= (int)(3 + s.beyond)); /* a slow machine looks like a stall */
    return 0;
}

static void no_more_run_than_may(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs_with(*n, 3, crowd);
    assert_int_equal(thrum_run(crowd, NULL, &(thrum_run_opts){.blocking_threads = 65537}), -EINVAL);
}

/* ---- Threads that cannot be started ---- */

static int with_few_threads(void *arg)
{
    (void)arg;
    atomic_store(&threads_left, 0);
    EXPECT_IS(thrum_blocking(add_one, NULL), -EAGAIN);
    EXPECT_IS(stats().queued, 0);
    atomic_store(&threads_left, 2); /* fewer than may be: the calls wait for these */
    int err = many_calls(NULL);
    EXPECT(stats().threads <= 2);
    atomic_store(&threads_left, -1);
    return err;
}

static void calls_wait_for_the_threads_there_are(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs_with(*n, 0, with_few_threads);
        assert_runs_with(*n, 1, with_few_threads);
    }
}

/* ---- Cancel, deadline and the pool at the same moment ---- */

static int short_or_none(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
    for (int i = 0; i < BY_BUILD(200, 100, 30); i++) {
        thrum_timeout limit;
        thrum_timeout_begin(&limit, random_below(&seed, 60) * THRUM_MICROSECOND);
        int result = thrum_blocking(add_one, NULL);
        (void)thrum_timeout_end(&limit);
        atomic_fetch_add(result == 1 ? &called : &called_off, 1);
        EXPECT(result == 1 || result == -ETIMEDOUT || result == -ECANCELED);
        if (thrum_check())
            break;
    }
    return 0;
}

static int race(void *arg)
{
    (void)arg;
    atomic_store(&ran, 0);
    atomic_store(&called, 0);
    for (int round = 0; round < 10; round++) {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        for (intptr_t i = 0; i < 20; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, short_or_none, (void *)(round * 100 + i)), 0);
        if (round % 2)
            (void)thrum_sleep(MS);
        if (round % 2)
            thrum_scope_cancel(&scope);
        EXPECT_IS(thrum_scope_close(&scope), round % 2 ? -ECANCELED : 0);
    }
    EXPECT_IS(atomic_load(&ran), atomic_load(&called)); /* what ran was reported, and only that */
    return 0;
}

static void a_call_ran_or_it_did_not(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs_with(*n, 1, race);
        assert_runs_with(*n, 4, race);
    }
}

/* ---- The end ---- */

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
    until_all_run();
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
        assert_runs_with(*n, POOL_THREADS, leave_calls_behind);
        pthread_join(thread, NULL);
        assert_int_equal(atomic_load(&running), POOL_THREADS);
        assert_int_equal(atomic_load(&left_n), 100);
    }
}

int main(void)
{
    atomic_store(&threads_left, -1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_gives_its_result_back),
        cmocka_unit_test(calls_in_a_row_need_one_thread),
        cmocka_unit_test(there_are_no_more_threads_than_calls_at_once),
        cmocka_unit_test(outside_a_task_it_is_a_plain_call),
        cmocka_unit_test(a_queued_call_can_be_called_off),
        cmocka_unit_test(a_running_call_is_awaited),
        cmocka_unit_test(calls_that_wait_for_queued_ones_get_through),
        cmocka_unit_test(the_limit_falls_back),
        cmocka_unit_test(no_more_run_than_may),
        cmocka_unit_test(calls_wait_for_the_threads_there_are),
        cmocka_unit_test(a_call_ran_or_it_did_not),
        cmocka_unit_test(the_end_waits_for_running_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
