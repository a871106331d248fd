/* SPDX-License-Identifier: MIT */
/* Runtimes beside a main loop: start and stop, tasks and calls from other threads, several at once, and fork(). */
#include "tests/exec/running.h"

#include <signal.h>
#include <sys/wait.h>
#include <thrum/chan.h>
#include <thrum/sync.h>
#include <unistd.h>

static thrum_runtime *started(unsigned workers)
{
    thrum_runtime *rt;
    assert_int_equal(thrum_runtime_start(&rt, &(thrum_run_opts){.workers = workers}), 0);
    return rt;
}

static int add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int sleep_and_answer(void *arg)
{
    int err = thrum_sleep(MS);
    return err ? err : *(int *)arg;
}

static void stops_without_any_task(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    thrum_runtime_stop(started(*n));
    thrum_runtime_stop(NULL);
}

static void spawned_tasks_all_run_before_it_ends(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        thrum_runtime *rt = started(*n);
        atomic_int sum = 0;
        for (int i = 0; i < 1000; i++)
            assert_int_equal(thrum_runtime_spawn(rt, add_one, &sum), 0);
        thrum_runtime_stop(rt);
        assert_int_equal(atomic_load(&sum), 1000);
    }
}

static void a_call_brings_the_value_back(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        thrum_runtime *rt = started(*n);
        for (int i = 0; i < 20; i++)
            assert_int_equal(thrum_runtime_call(rt, sleep_and_answer, &i), i);
        thrum_runtime_stop(rt);
    }
}

/* ---- Stopping with tasks that wait ---- */

struct parked {
    thrum_event never;
    atomic_int waiting, cancelled;
};

static int wait_for_ever(void *arg)
{
    struct parked *p = arg;
    atomic_fetch_add(&p->waiting, 1);
    if (thrum_event_wait(&p->never) == -ECANCELED)
        atomic_fetch_add(&p->cancelled, 1);
    return 0;
}

static void parked_tasks_are_cancelled_by_stop(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        struct parked p = {.never = THRUM_EVENT_INIT};
        thrum_runtime *rt = started(*n);
        for (int i = 0; i < 200; i++)
            assert_int_equal(thrum_runtime_spawn(rt, wait_for_ever, &p), 0);
        while (atomic_load(&p.waiting) < 200)
            usleep(100);
        thrum_runtime_stop(rt);
        assert_int_equal(atomic_load(&p.cancelled), 200);
    }
}

/* ---- Several threads, several runtimes ---- */

struct storm {
    thrum_runtime *rt[2];
    atomic_int sum;
};

static int hand_over(void *arg)
{
    struct storm *s = arg;
    return thrum_runtime_spawn(s->rt[1], add_one, &s->sum);
}

static void storm_member(void *arg, unsigned index)
{
    struct storm *s = arg;
    for (int i = 0; i < 300; i++) {
        EXPECT_IS(thrum_runtime_spawn(s->rt[index % 2], add_one, &s->sum), 0);
        if (i % 30 == 0)
            EXPECT_IS(thrum_runtime_call(s->rt[0], hand_over, s), 0);
    }
}

static void threads_and_runtimes_spawn_into_each_other(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        struct storm s = {.rt = {started(*n), started(2)}};
        atomic_store(&wrong_n, 0);
        run_team(4, storm_member, &s);
        thrum_runtime_stop(s.rt[0]);
        thrum_runtime_stop(s.rt[1]);
        assert_int_equal(atomic_load(&wrong_n), 0);
        assert_int_equal(atomic_load(&s.sum), 4 * 300 + 4 * 10);
    }
}

static int spawn_until_refused(void *arg)
{
    atomic_int *sum = arg;
    int err = 0;
    while (!err) {
        err = thrum_runtime_spawn(thrum_runtime_self(), add_one, sum);
        int cancelled = thrum_yield(); /* it is, soon: and yet we go on */
        (void)cancelled;
    }
    EXPECT_IS(err, THRUM_ESHUTDOWN);
    return 0;
}

/* What stop() lets in runs; what it does not is refused: nothing is lost in between. */
static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

struct racer {
    thrum_runtime *rt;
    atomic_int accepted, ran;
    atomic_bool go_on;
};

static int count_run(void *arg)
{
    struct racer *r = arg;
    atomic_fetch_add(&r->ran, 1);
    return 0;
}

static void *race_spawns(void *arg)
{
    struct racer *r = arg;
    int err;
    do {
        err = thrum_runtime_spawn(r->rt, count_run, r);
        if (!err)
            atomic_fetch_add(&r->accepted, 1);
    } while (!err && atomic_load(&r->go_on));
    return NULL;
}

static int stop_soon(void *arg)
{
    struct racer *r = arg;
    r->rt = thrum_runtime_self();
    pthread_t thread;
    EXPECT_IS(pthread_create(&thread, NULL, race_spawns, r), 0);
    int err = thrum_sleep(MS);
    EXPECT_IS(err, 0);
    atomic_store(&r->go_on, false);
    /* The runtime must outlive the thread that spawns into it. */
    pthread_join(thread, NULL);
    return 0;
}

static void what_was_accepted_runs(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        struct racer r = {.go_on = true};
        atomic_store(&wrong_n, 0);
        assert_int_equal(run_on(*n, stop_soon, &r), 0);
        assert_int_equal(atomic_load(&wrong_n), 0);
        assert_int_equal(atomic_load(&r.ran), atomic_load(&r.accepted));
    }
}

static int spawn_in_ending(void *arg)
{
    (void)arg;
    static atomic_int sum;
    atomic_store(&sum, 0);
    thrum_task *task;
    EXPECT_IS(thrum_spawn(&task, spawn_until_refused, &sum, NULL), 0);
    thrum_detach(task);
    return thrum_yield();
}

static void an_ending_runtime_refuses_tasks(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, spawn_in_ending, NULL);
}

static int call_in_task(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_runtime_call(thrum_runtime_self(), end_at_once, NULL), -EDEADLK);
    thrum_runtime *rt;
    EXPECT_IS(thrum_runtime_start(&rt, NULL), -EDEADLK);
    EXPECT(rt == NULL);
    return 0;
}

static void a_task_can_neither_call_nor_start(void **state)
{
    (void)state;
    assert_runs(2, call_in_task, NULL);
    assert_null(thrum_runtime_self());
}

/* ---- fork() ---- */

/* Runs what(arg) in a child and returns its wait status. */
static int in_child(int (*what)(void *), void *arg)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        _exit(what(arg));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

static int run_there(void *arg)
{
    (void)arg;
    thrum_runtime *rt;
    if (thrum_runtime_start(&rt, NULL) != THRUM_EFORKED || rt)
        return 1;
    return thrum_run(end_at_once, NULL, NULL) == THRUM_EFORKED ? 7 : 2;
}

static int exec_there(void *arg)
{
    (void)arg;
    execl("/bin/true", "true", (char *)NULL);
    return 3;
}

static int yield_there(void *arg)
{
    (void)arg;
    return thrum_yield() ? 4 : 5;
}

static int spawn_there(void *arg)
{
    (void)arg;
    thrum_task *task;
    return thrum_spawn(&task, end_at_once, NULL, NULL) == THRUM_ENOTTASK ? 8 : 6;
}

static int fork_in_task(void *arg)
{
    (void)arg;
    int status = in_child(run_there, NULL);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = in_child(exec_there, NULL);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = in_child(spawn_there, NULL);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 8);
    status = in_child(yield_there, NULL);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return thrum_yield(); /* the parent is as it was */
}

static void a_child_of_a_task_may_only_exec(void **state)
{
    (void)state;
    assert_runs(2, fork_in_task, NULL);
}

static void a_child_of_another_thread_may_only_exec(void **state)
{
    (void)state;
    thrum_runtime *rt = started(2);
    int status = in_child(run_there, NULL);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    thrum_runtime_stop(rt);
}

static int run_fresh(void *arg)
{
    (void)arg;
    return thrum_run(end_at_once, NULL, &(thrum_run_opts){.workers = 2}) == 0 ? 9 : 1;
}

static void a_child_made_when_nothing_ran_may_start_its_own(void **state)
{
    (void)state;
    thrum_runtime_stop(started(1));
    int status = in_child(run_fresh, NULL);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_without_any_task),
        cmocka_unit_test(spawned_tasks_all_run_before_it_ends),
        cmocka_unit_test(a_call_brings_the_value_back),
        cmocka_unit_test(parked_tasks_are_cancelled_by_stop),
        cmocka_unit_test(threads_and_runtimes_spawn_into_each_other),
        cmocka_unit_test(what_was_accepted_runs),
        cmocka_unit_test(an_ending_runtime_refuses_tasks),
        cmocka_unit_test(a_task_can_neither_call_nor_start),
        cmocka_unit_test(a_child_of_a_task_may_only_exec),
        cmocka_unit_test(a_child_of_another_thread_may_only_exec),
        cmocka_unit_test(a_child_made_when_nothing_ran_may_start_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
