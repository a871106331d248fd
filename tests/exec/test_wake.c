/* SPDX-License-Identifier: MIT */
/* Waking from outside: by plain threads, by workers of another runtime, through bells. No wake is lost, however deep the
 * workers sleep, and a runtime that a wake ends waits for the waker to be out of it. */
#include "exec/doorbell.h"
#include "running.h"

#include <sched.h>
#include <semaphore.h>
#include <thrum/chan.h>
#include <thrum/sync.h>

enum { WAKES = BY_BUILD(10000, 5000, 1000) };

/* ---- A task and a thread take turns, so that all workers sleep whenever the thread has its turn ---- */

static thrum_sem to_task;
static sem_t to_thread;

static void *take_turns(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAKES; i++) {
        while (sem_wait(&to_thread) != 0)
            ;
        if (i % 16 == 0) /* let them fall asleep */
            sched_yield();
        thrum_sem_release(&to_task);
    }
    return NULL;
}

static int turns(void *arg)
{
    pthread_t thread;
    (void)arg;
    thrum_sem_init(&to_task, 0);
    sem_init(&to_thread, 0, 0);
    EXPECT_IS(pthread_create(&thread, NULL, take_turns, NULL), 0);
    int err = 0;
    for (int i = 0; i < WAKES && !err; i++) {
        sem_post(&to_thread);
        err = thrum_sem_acquire(&to_task);
    }
    pthread_join(thread, NULL);
    sem_destroy(&to_thread);
    return err;
}

static void no_wake_from_a_thread_is_lost(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, turns, NULL);
}

/* ---- Many threads, many tasks ---- */

enum { THREADS = 4, SEMS = 32 };

static thrum_sem sems[SEMS];

static void *release_all(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (int i = 0; i < WAKES; i++) {
        thrum_sem_release(&sems[i % SEMS]);
        if (random_below(&random, 50) == 0)
            sched_yield();
    }
    return NULL;
}

static int acquire_share(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    int share = THREADS * (WAKES / SEMS + (me < WAKES % SEMS));
    for (int i = 0; i < share; i++)
        EXPECT_IS(thrum_sem_acquire(&sems[me]), 0);
    EXPECT(!thrum_sem_try_acquire(&sems[me]));
    return 0;
}

static int crowds(void *arg)
{
    pthread_t threads[THREADS];
    thrum_scope scope;
    (void)arg;
    for (int i = 0; i < SEMS; i++)
        thrum_sem_init(&sems[i], 0);
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < SEMS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, acquire_share, (void *)i), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_IS(pthread_create(&threads[i], NULL, release_all, (void *)(i + 1)), 0);
    int err = thrum_scope_close(&scope);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return err;
}

static void many_threads_wake_many_tasks(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, crowds, NULL);
}

/* ---- The wake that ends the runtime ---- */

static _Atomic(thrum_event *) last_event;
static atomic_bool waker_over;

static void *wake_the_last(void *arg)
{
    (void)arg;
    while (!atomic_load(&waker_over)) {
        thrum_event *e = atomic_exchange(&last_event, NULL);
        if (e)
            thrum_event_set(e);
        else
            sched_yield();
    }
    return NULL;
}

static int wait_and_end(void *arg)
{
    thrum_event e = THRUM_EVENT_INIT; /* gone, like all of the runtime, right after the wake */
    (void)arg;
    atomic_store(&last_event, &e);
    return thrum_event_wait(&e);
}

static void a_waker_may_end_the_runtime(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&waker_over, false);
    assert_int_equal(pthread_create(&thread, NULL, wake_the_last, NULL), 0);
    for (int i = 0; i < BY_BUILD(1000, 300, 200); i++)
        assert_runs(1 + (unsigned)i % 3, wait_and_end, NULL);
    atomic_store(&waker_over, true);
    pthread_join(thread, NULL);
}

/* ---- Two runtimes ---- */

static thrum_chan *there, *back;
static thrum_event shared;
static thrum_wait_group ready;
static atomic_int woken;

static int ask(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAKES; i++) {
        int got = -1;
        EXPECT_IS(thrum_chan_send(there, &i), 0);
        EXPECT_IS(thrum_chan_recv(back, &got), 0);
        EXPECT_IS(got, i);
    }
    thrum_chan_close(there);
    return 0;
}

static int answer(void *arg)
{
    int number, err;
    (void)arg;
    while ((err = thrum_chan_recv(there, &number)) == 0)
        EXPECT_IS(thrum_chan_send(back, &number), 0);
    return err == THRUM_ECLOSED ? 0 : err;
}

static void ask_or_answer(void *arg, unsigned index)
{
    unsigned workers = *(const unsigned *)arg;
    EXPECT_IS(run_on(workers, index ? ask : answer, NULL), 0);
}

static void tasks_of_two_runtimes_talk(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        unsigned workers = *n;
        atomic_store(&wrong_n, 0);
        assert_int_equal(thrum_chan_new(&there, sizeof(int), 1), 0);
        assert_int_equal(thrum_chan_new(&back, sizeof(int), 1), 0);
        run_team(2, ask_or_answer, &workers);
        thrum_chan_free(there);
        thrum_chan_free(back);
        assert_int_equal(atomic_load(&wrong_n), 0);
    }
}

enum { CROWD = 200 };

static int await_shared(void *arg)
{
    unsigned workers = thrum_workers();
    (void)arg;
    thrum_wait_group_done(&ready);
    EXPECT_IS(thrum_event_wait(&shared), 0);
    EXPECT_IS(thrum_workers(), workers); /* it goes on where it belongs */
    atomic_fetch_add(&woken, 1);
    return 0;
}

/* The tasks of both runtimes lie mixed in the event's list. */
static int crowd(void *arg)
{
    thrum_scope scope;
    bool setter = *(const unsigned *)arg > 0;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < CROWD; i++) {
        EXPECT_IS(thrum_scope_spawn(&scope, await_shared, NULL), 0);
        EXPECT_IS(thrum_yield(), 0);
    }
    if (setter) {
        EXPECT_IS(thrum_wait_group_wait(&ready), 0);
        thrum_event_set(&shared);
    }
    return thrum_scope_close(&scope);
}

static void run_crowd(void *arg, unsigned index)
{
    unsigned workers = *(const unsigned *)arg + index; /* told apart by that */
    EXPECT_IS(run_on(workers, crowd, &index), 0);
}

static void one_event_wakes_the_tasks_of_two_runtimes(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int round = 0; round < 10; round++) {
        unsigned workers = *n;
        atomic_store(&wrong_n, 0);
        atomic_store(&woken, 0);
        shared = (thrum_event)THRUM_EVENT_INIT;
        ready = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
        thrum_wait_group_add(&ready, 2 * CROWD);
        run_team(2, run_crowd, &workers);
        assert_int_equal(atomic_load(&woken), 2 * CROWD);
        assert_int_equal(atomic_load(&wrong_n), 0);
    }
}

/* ---- Bells ---- */

static struct thr_doorbell bells[2];
static atomic_int parcels[2];

static void *ring_often(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    for (int n = 0; n < WAKES; n++) {
        atomic_fetch_add(&parcels[i], 1);
        thr_doorbell_ring(&bells[i]);
        if (n % 8 == 0)
            sched_yield();
    }
    return NULL;
}

/* Waits for either bell: one wait, two waiters. What came before a ring is seen after it. */
static int answer_bells(void *arg)
{
    pthread_t threads[2];
    int seen[2] = {0, 0};
    (void)arg;
    for (uintptr_t i = 0; i < 2; i++) {
        thr_doorbell_init(&bells[i]);
        atomic_store(&parcels[i], 0);
        EXPECT_IS(pthread_create(&threads[i], NULL, ring_often, (void *)i), 0);
    }
    int err = 0;
    while ((seen[0] < WAKES || seen[1] < WAKES) && !err) {
        struct thr_waiter w[2];
        thr_wait_begin(&w[0], false);
        thr_wait_add(&w[1], &w[0]);
        bool rung = thr_doorbell_link(&bells[0], &w[0]);
        if (thr_doorbell_link(&bells[1], &w[1]) || rung)
            (void)thr_wait_abandon();
        else
            err = thr_reason_error(thr_wait_park(THRUM_NEVER));
        thr_doorbell_unlink(&bells[0], &w[0]);
        thr_doorbell_unlink(&bells[1], &w[1]);
        for (int i = 0; i < 2; i++)
            seen[i] = atomic_load(&parcels[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return err;
}

static void no_ring_is_lost(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, answer_bells, NULL);
}

static int ring_before(void *arg)
{
    struct thr_waiter w;
    (void)arg;
    thr_doorbell_init(&bells[0]);
    thr_doorbell_ring(&bells[0]); /* while nobody waits: remembered, as one */
    thr_doorbell_ring(&bells[0]);
    thr_wait_begin(&w, false);
    EXPECT(thr_doorbell_link(&bells[0], &w));
    EXPECT(!w.linked);
    EXPECT(!thr_wait_abandon());
    thr_wait_begin(&w, false);
    EXPECT(!thr_doorbell_link(&bells[0], &w)); /* taken */
    thr_doorbell_ring(&bells[0]);
    EXPECT_IS(thr_wait_park(THRUM_NEVER), THR_FIRED_OK); /* fired before it parked */
    thr_doorbell_unlink(&bells[0], &w);
    thr_wait_begin(&w, false);
    EXPECT(!thr_doorbell_link(&bells[0], &w));
    EXPECT_IS(thr_wait_park(thrum_now() + MS), THR_FIRED_TIMEOUT);
    thr_doorbell_unlink(&bells[0], &w);
    thr_wait_begin(&w, false);
    EXPECT(!thr_doorbell_link(&bells[0], &w));
    thr_doorbell_ring(&bells[0]);
    EXPECT(thr_wait_abandon()); /* too late to abandon: it says so */
    thr_doorbell_unlink(&bells[0], &w);
    return 0;
}

static void a_bell_remembers_one_ring(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, ring_before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_from_a_thread_is_lost),
        cmocka_unit_test(many_threads_wake_many_tasks),
        cmocka_unit_test(a_waker_may_end_the_runtime),
        cmocka_unit_test(tasks_of_two_runtimes_talk),
        cmocka_unit_test(one_event_wakes_the_tasks_of_two_runtimes),
        cmocka_unit_test(no_ring_is_lost),
        cmocka_unit_test(a_bell_remembers_one_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
