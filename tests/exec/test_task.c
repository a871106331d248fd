/* SPDX-License-Identifier: MIT */
/* Tasks: running one, spawning, joining and detaching in every order. */
#include "running.h"

#include <limits.h>
#include <thrum/sync.h>

static int give(void *arg)
{
    return *(int *)arg;
}

static void run_gives_the_tasks_result(void **state)
{
    (void)state;
    const int values[] = {0, 1, 7, INT_MAX, -1, -ECANCELED, THRUM_ECLOSED, INT_MIN};
    FOR_WORKERS(n)
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        int value = values[i];
        assert_int_equal(thrum_run(give, &value, &(thrum_run_opts){.workers = *n}), value);
    }
}

static int count_workers(void *arg)
{
    (void)arg;
    return (int)thrum_workers();
}

static void run_has_as_many_workers_as_asked_for(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_int_equal(thrum_run(count_workers, NULL, &(thrum_run_opts){.workers = *n}), *n);
    assert_int_equal(setenv("THRUM_WORKERS", "3", 1), 0);
    assert_int_equal(thrum_run(count_workers, NULL, NULL), 3);
    assert_int_equal(thrum_run(count_workers, NULL, &(thrum_run_opts){.workers = 2}), 2);
    const char *const nonsense[] = {"", "0", "3 cores", "many"};
    assert_int_equal(unsetenv("THRUM_WORKERS"), 0);
    int cores = thrum_run(count_workers, NULL, NULL);
    assert_true(cores >= 1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(setenv("THRUM_WORKERS", nonsense[i], 1), 0);
        assert_int_equal(thrum_run(count_workers, NULL, NULL), cores);
    }
    assert_int_equal(unsetenv("THRUM_WORKERS"), 0);
}

static void run_refuses_nonsense(void **state)
{
    (void)state;
    int value = 0;
    assert_int_equal(thrum_run(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(thrum_run(give, &value, &(thrum_run_opts){.workers = 1025}), -EINVAL);
    assert_int_equal(thrum_run(give, &value, &(thrum_run_opts){.stack_bytes = 16383}), -EINVAL);
    assert_int_equal(thrum_run(give, &value, &(thrum_run_opts){.stack_bytes = (8 << 20) + 1}),
                     -EINVAL);
    assert_int_equal(thrum_run(give, &value, &(thrum_run_opts){.stack_bytes = 16384}), 0);
    assert_int_equal(thrum_run(give, &value, &(thrum_run_opts){.stack_bytes = 8 << 20}), 0);
}

static int run_within(void *arg)
{
    return thrum_run(give, arg, NULL);
}

static void a_task_cannot_run_another_runtime(void **state)
{
    (void)state;
    int value = 5;
    assert_int_equal(thrum_run(run_within, &value, NULL), -EDEADLK);
}

static void outside_tasks_there_is_no_worker(void **state)
{
    (void)state;
    int something;
    thrum_task *task = (thrum_task *)(void *)&something;
    thrum_worker_stats stats;
    int value = 0;
    assert_int_equal(thrum_workers(), 0);
    assert_int_equal(thrum_worker_index(), UINT_MAX);
    assert_int_equal(thrum_stats(0, &stats), THRUM_ENOTTASK);
    assert_int_equal(thrum_spawn(&task, give, &value, NULL), THRUM_ENOTTASK);
    assert_null(task);
}

/* ---- Joining ---- */

/* Yields some times, then returns its number. */
struct work {
    int yields, result;
    thrum_task *task;
};

static int do_work(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < w->yields; i++)
        EXPECT_IS(thrum_yield(), 0);
    return w->result;
}

static void spawn_work(struct work *w)
{
    EXPECT_IS(thrum_spawn(&w->task, do_work, w, &(thrum_spawn_opts){.name = "work"}), 0);
}

static int join_before_and_after_done(void *arg)
{
    (void)arg;
    for (int yields = 0; yields < 8; yields++) {
        struct work w = {.yields = yields, .result = yields - 4};
        int result = 99;
        spawn_work(&w);
        EXPECT_IS(thrum_join(w.task, &result), 0); /* most likely not done yet */
        EXPECT_IS(result, yields - 4);

        spawn_work(&w);
        while (!thrum_task_is_done(w.task))
            EXPECT_IS(thrum_yield(), 0);
        EXPECT_IS(thrum_join(w.task, NULL), 0);
    }
    return 0;
}

static void a_task_is_joined_before_and_after_it_is_done(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_before_and_after_done, NULL);
}

static int join_in_odd_order(void *arg)
{
    enum { N = 200 };
    struct work w[N];
    uint64_t random = 1;
    (void)arg;
    for (int i = 0; i < N; i++) {
        w[i] = (struct work){.yields = (int)random_below(&random, 4), .result = i};
        spawn_work(&w[i]);
    }
    for (int i = 0; i < N; i++) {
        int at = i * 77 % N; /* each once: 77 and 200 have no common divisor */
        int result = -1;
        EXPECT_IS(thrum_join(w[at].task, &result), 0);
        EXPECT_IS(result, at);
    }
    return 0;
}

static void tasks_are_joined_in_any_order(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_in_odd_order, NULL);
}

/* ---- Detaching ---- */

static int count_up(void *arg)
{
    (void)thrum_yield();
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int detach_before_and_after_done(void *arg)
{
    enum { N = 500 };
    atomic_int *n = arg;
    for (int i = 0; i < N; i++) {
        thrum_task *task;
        EXPECT_IS(thrum_spawn(&task, count_up, n, NULL), 0);
        if (i % 2)
            while (!thrum_task_is_done(task))
                EXPECT_IS(thrum_yield(), 0);
        thrum_detach(task);
    }
    int err = 0;
    while (atomic_load(n) < N && !err)
        err = thrum_yield();
    return err;
}

static void a_task_is_detached_before_and_after_it_is_done(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        atomic_int done = 0;
        assert_runs(*n, detach_before_and_after_done, &done);
    }
}

struct self {
    thrum_task *task;
    thrum_event told, over;
};

static int handle_self(void *arg)
{
    struct self *s = arg;
    int result;
    EXPECT_IS(thrum_event_wait(&s->told), 0);
    EXPECT_IS(thrum_join(s->task, &result), -EDEADLK);
    EXPECT(!thrum_task_is_done(s->task));
    thrum_detach(s->task);
    thrum_event_set(&s->over);
    return 0;
}

static int join_and_detach_self(void *arg)
{
    (void)arg;
    struct self s = {.told = THRUM_EVENT_INIT, .over = THRUM_EVENT_INIT};
    EXPECT_IS(thrum_spawn(&s.task, handle_self, &s, NULL), 0);
    thrum_event_set(&s.told);
    return thrum_event_wait(&s.over);
}

static void a_task_cannot_join_itself_but_detach(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_and_detach_self, NULL);
}

/* ---- Joiners that do not get what they want ---- */

struct gate {
    thrum_event open;
    thrum_task *task;
    atomic_bool waits;
};

static int wait_at_gate(void *arg)
{
    struct gate *g = arg;
    int err = thrum_event_wait(&g->open);
    return err ? err : 42;
}

static int join_gated(void *arg)
{
    struct gate *g = arg;
    int result = 0;
    atomic_store(&g->waits, true);
    EXPECT_IS(thrum_join(g->task, &result), 0);
    return result;
}

/* On one worker: who has said that it is going to wait does so before we run again. */
static int two_joiners(void *arg)
{
    (void)arg;
    struct gate g = {.open = THRUM_EVENT_INIT};
    thrum_task *first;
    int result = 0;
    EXPECT_IS(thrum_spawn(&g.task, wait_at_gate, &g, NULL), 0);
    EXPECT_IS(thrum_spawn(&first, join_gated, &g, NULL), 0);
    EXPECT_IS(until_set(&g.waits), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_IS(thrum_join(g.task, &result), -EBUSY);
    thrum_event_set(&g.open);
    EXPECT_IS(thrum_join(first, &result), 0);
    EXPECT_IS(result, 42);
    return 0;
}

static void a_second_joiner_is_refused(void **state)
{
    (void)state;
    assert_runs(1, two_joiners, NULL);
}

static int join_late(void *arg)
{
    (void)arg;
    struct gate g = {.open = THRUM_EVENT_INIT};
    int result = 0;
    EXPECT_IS(thrum_spawn(&g.task, wait_at_gate, &g, NULL), 0);
    for (int i = 0; i < 3; i++) {
        thrum_timeout limit;
        thrum_timeout_begin(&limit, (uint64_t)i * MS);
        EXPECT_IS(thrum_join(g.task, &result), -ETIMEDOUT);
        EXPECT(thrum_timeout_end(&limit));
        EXPECT(!thrum_task_is_done(g.task));
    }
    thrum_event_set(&g.open);
    EXPECT_IS(thrum_join(g.task, &result), 0);
    EXPECT_IS(result, 42);
    return 0;
}

static void a_join_that_timed_out_can_be_tried_again(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_late, NULL);
}

static int join_cancelled(void *arg)
{
    (void)arg;
    struct gate g = {.open = THRUM_EVENT_INIT};
    int result = 0;
    thrum_scope scope;
    EXPECT_IS(thrum_spawn(&g.task, wait_at_gate, &g, NULL), 0);
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_join(g.task, &result), -ECANCELED);
    thrum_event_set(&g.open); /* a plain task is in no scope: it was not cancelled */
    while (!thrum_task_is_done(g.task))
        (void)thrum_yield();
    EXPECT_IS(thrum_join(g.task, &result), 0); /* done is done, also for who is cancelled */
    EXPECT_IS(result, 42);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static void a_cancelled_join_leaves_the_handle(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_cancelled, NULL);
}

/* Joins with deadlines so short that they race the end of what is joined: the handle is good until a join says 0. */
static int join_racing(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (int i = 0; i < BY_BUILD(3000, 1000, 500); i++) {
        struct work w = {.yields = (int)random_below(&random, 3), .result = i};
        int result = -1, err;
        spawn_work(&w);
        do {
            thrum_timeout limit;
            thrum_timeout_begin(&limit, random_below(&random, 20) * THRUM_MICROSECOND);
            err = thrum_join(w.task, &result);
            (void)thrum_timeout_end(&limit);
            EXPECT(err == 0 || err == -ETIMEDOUT);
        } while (err);
        EXPECT_IS(result, i);
    }
    return 0;
}

static int race_joins(void *arg)
{
    (void)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 1; i <= 8; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, join_racing, (void *)i), 0);
    return thrum_scope_close(&scope);
}

static void joins_racing_their_deadline_lose_nothing(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, race_joins, NULL);
}

/* ---- Counters ---- */

static thrum_worker_stats sum_of_stats(void)
{
    thrum_worker_stats s, sum = {0};
    for (unsigned i = 0; i < thrum_workers(); i++) {
        EXPECT_IS(thrum_stats(i, &s), 0);
        sum.picks += s.picks;
        sum.finished += s.finished;
        sum.timers += s.timers;
    }
    return sum;
}

static int read_stats(void *arg)
{
    (void)arg;
    thrum_worker_stats s;
    for (int i = 0; i < 100; i++) {
        struct work w = {.yields = 1};
        spawn_work(&w);
        EXPECT_IS(thrum_join(w.task, NULL), 0);
    }
    EXPECT_IS(thrum_sleep(1), 0);
    EXPECT(sum_of_stats().picks >= 100); /* each of them once; who joins may find it done */
    int err = 0;                         /* a worker counts what it did shortly after */
    while ((sum_of_stats().finished != 100 || sum_of_stats().timers != 1) && !err)
        err = thrum_yield();
    EXPECT_IS(thrum_stats(thrum_workers(), &s), -EINVAL);
    EXPECT(thrum_worker_index() < thrum_workers());
    return err;
}

static void counters_count(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, read_stats, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_gives_the_tasks_result),
        cmocka_unit_test(run_has_as_many_workers_as_asked_for),
        cmocka_unit_test(run_refuses_nonsense),
        cmocka_unit_test(a_task_cannot_run_another_runtime),
        cmocka_unit_test(outside_tasks_there_is_no_worker),
        cmocka_unit_test(a_task_is_joined_before_and_after_it_is_done),
        cmocka_unit_test(tasks_are_joined_in_any_order),
        cmocka_unit_test(a_task_is_detached_before_and_after_it_is_done),
        cmocka_unit_test(a_task_cannot_join_itself_but_detach),
        cmocka_unit_test(a_second_joiner_is_refused),
        cmocka_unit_test(a_join_that_timed_out_can_be_tried_again),
        cmocka_unit_test(a_cancelled_join_leaves_the_handle),
        cmocka_unit_test(joins_racing_their_deadline_lose_nothing),
        cmocka_unit_test(counters_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
