/* SPDX-License-Identifier: MIT */
/* Locks, events, semaphores, wait groups and bells: nothing is lost, and nobody passes who may not. */
#include "running.h"

#include <thrum/sync.h>

#include "exec/doorbell.h"

enum { TASKS = 32, ROUNDS = BY_BUILD(2000, 500, 100), CROWD = BY_BUILD(20000, 5000, 500) };

static void spawn(thrum_scope *scope, int n, thrum_fn *fn, void *arg)
{
    for (int i = 0; i < n; i++)
        EXPECT_IS(thrum_scope_spawn(scope, fn, arg), 0);
}

/* ---- Mutex ---- */

static thrum_mutex mutex;
static long long counter; /* guarded by mutex */
static atomic_int inside, gave_up;

static void in_the_mutex(void)
{
    EXPECT_IS(atomic_fetch_add(&inside, 1), 0);
    counter++;
    if (counter % 64 == 0)
        (void)thrum_yield(); /* with the lock held: the others queue up */
    atomic_fetch_sub(&inside, 1);
}

static int lock_and_count(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_IS(thrum_mutex_lock(&mutex), 0);
        in_the_mutex();
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int lock_hastily(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_timeout limit;
        thrum_timeout_begin(&limit, random_below(&random, 20) * THRUM_MICROSECOND);
        int err = thrum_mutex_lock(&mutex);
        thrum_timeout_end(&limit);
        EXPECT(err == 0 || err == -ETIMEDOUT);
        if (err) {
            atomic_fetch_add(&gave_up, 1);
            continue;
        }
        in_the_mutex();
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int contend(void *arg)
{
    thrum_scope scope;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counter = 0;
    atomic_store(&gave_up, 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 1; i <= TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, arg ? lock_hastily : lock_and_count, (void *)i), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(counter, (long long)TASKS * ROUNDS - atomic_load(&gave_up));
    EXPECT(thrum_mutex_trylock(&mutex)); /* nobody holds it any more */
    EXPECT(!thrum_mutex_trylock(&mutex));
    thrum_mutex_unlock(&mutex);
    return 0;
}

static void one_task_at_a_time_is_in_a_mutex(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, contend, NULL);
}

static void a_deadline_loses_no_lock(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, contend, (void *)1);
}

static int order[TASKS];
static int order_n; /* both guarded by mutex */
static atomic_int queued_n;

static int queue_up(void *arg)
{
    atomic_fetch_add(&queued_n, 1);
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    order[order_n++] = (int)(intptr_t)arg;
    thrum_mutex_unlock(&mutex);
    return 0;
}

/* On one worker: a task that has been counted has gone on until it waits when another one runs. */
static int hand_over_in_order(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    order_n = 0;
    atomic_store(&queued_n, 0);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    for (intptr_t i = 0; i < TASKS; i++) {
        EXPECT_IS(thrum_scope_spawn(&scope, queue_up, (void *)i), 0);
        while (atomic_load(&queued_n) <= i)
            EXPECT_IS(thrum_yield(), 0);
    }
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (int i = 0; i < TASKS; i++)
        EXPECT_IS(order[i], i);
    return 0;
}

static void a_mutex_goes_to_who_came_first(void **state)
{
    (void)state;
    assert_runs(1, hand_over_in_order, NULL);
}

static int lock_in_cancelled_scope(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_mutex_lock(&mutex), -ECANCELED);
    EXPECT(thrum_mutex_trylock(&mutex));
    thrum_mutex_unlock(&mutex);
    thrum_mutex_lock_shielded(&mutex);
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static int clean_up(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_sleep(THRUM_NEVER), -ECANCELED);
    thrum_mutex_lock_shielded(&mutex); /* waits although it is cancelled */
    counter++;
    thrum_mutex_unlock(&mutex);
    return 0;
}

static int clean_up_with_the_lock(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counter = 0;
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    thrum_scope_open(&scope, NULL);
    spawn(&scope, TASKS, clean_up, NULL);
    for (int i = 0; i < 100; i++)
        (void)thrum_yield();
    thrum_scope_cancel(&scope);
    for (int i = 0; i < 100; i++)
        (void)thrum_yield();
    EXPECT_IS(counter, 0);
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(counter, TASKS);
    return 0;
}

static void clean_up_gets_the_lock_though_cancelled(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, lock_in_cancelled_scope, NULL);
        assert_runs(*n, clean_up_with_the_lock, NULL);
    }
}

/* ---- Event ---- */

static int wait_for(void *arg)
{
    return thrum_event_wait(arg);
}

static void *set_from_outside(void *arg)
{
    thrum_event_set(arg);
    return NULL;
}

static int events(void *arg)
{
    thrum_event event = THRUM_EVENT_INIT;
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    EXPECT(!thrum_event_is_set(&event));
    for (int outside = 0; outside < 2; outside++) {
        thrum_scope_open(&scope, NULL);
        spawn(&scope, CROWD, wait_for, &event);
        for (int i = 0; i < 50; i++)
            EXPECT_IS(thrum_yield(), 0);
        if (outside)
            EXPECT_IS(pthread_create(&thread, NULL, set_from_outside, &event), 0);
        else
            thrum_event_set(&event);
        EXPECT_IS(thrum_scope_close(&scope), 0);
        if (outside)
            pthread_join(thread, NULL);
        EXPECT(thrum_event_is_set(&event));
        EXPECT_IS(thrum_event_wait(&event), 0);
        thrum_event_clear(&event);
        EXPECT(!thrum_event_is_set(&event));
        thrum_timeout limit;
        thrum_timeout_begin(&limit, 0);
        EXPECT_IS(thrum_event_wait(&event), -ETIMEDOUT);
        thrum_timeout_end(&limit);
    }
    return 0;
}

static void an_event_wakes_all_and_stays_set(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, events, NULL);
}

/* Many wait; the first that is woken clears the event, and then it is clear: setting it in pieces would set it again behind
 * that one's back. */
static thrum_event cleared;
static atomic_bool was_cleared;
static thrum_wait_group waiting;

static int wait_and_clear(void *arg)
{
    (void)arg;
    thrum_wait_group_done(&waiting);
    int err = thrum_event_wait(&cleared);
    if (!err && !atomic_exchange(&was_cleared, true))
        thrum_event_clear(&cleared);
    return err;
}

static int clear_behind_the_set(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        thrum_scope scope;
        cleared = (thrum_event)THRUM_EVENT_INIT;
        thrum_wait_group_add(&waiting, 1000);
        thrum_scope_open(&scope, NULL);
        spawn(&scope, 1000, wait_and_clear, NULL);
        EXPECT_IS(thrum_wait_group_wait(&waiting), 0);
        for (int i = 0; i < 10; i++)
            EXPECT_IS(thrum_yield(), 0);
        atomic_store(&was_cleared, false);
        thrum_event_set(&cleared);
        EXPECT_IS(until_set(&was_cleared), 0);
        thrum_scope_cancel(&scope); /* who came to the event only after the clear waits still */
        (void)thrum_scope_close(&scope);
        EXPECT(!thrum_event_is_set(&cleared));
    }
    return 0;
}

static void an_event_that_is_cleared_stays_so(void **state)
{
    (void)state;
    waiting = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
    FOR_WORKERS(n)
    assert_runs(*n, clear_behind_the_set, NULL);
}

/* The event is gone as soon as the waiters have returned. */
static int event_on_a_short_stack(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_event event = THRUM_EVENT_INIT;
        pthread_t thread;
        if (i % 50 == 0) {
            EXPECT_IS(pthread_create(&thread, NULL, set_from_outside, &event), 0);
            EXPECT_IS(thrum_event_wait(&event), 0);
            memset(&event, 0xA5, sizeof(event)); /* the thread may still run, but is done with it */
            pthread_join(thread, NULL);
        } else {
            thrum_scope scope;
            thrum_scope_open(&scope, NULL);
            spawn(&scope, 1, wait_for, &event);
            (void)thrum_yield();
            thrum_event_set(&event);
            EXPECT_IS(thrum_scope_close(&scope), 0);
            memset(&event, 0xA5, sizeof(event));
        }
    }
    return 0;
}

static void an_event_may_go_when_its_waiters_have(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, event_on_a_short_stack, NULL);
}

/* ---- Semaphore ---- */

enum { PERMITS = 3 };

static thrum_sem sem;
static atomic_int holders;

static int take_and_give(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_timeout limit;
        thrum_timeout_begin(&limit, random_below(&random, 20) * THRUM_MICROSECOND);
        int err = random_below(&random, 5) == 0 ? (thrum_sem_try_acquire(&sem) ? 0 : -EAGAIN)
                                                : thrum_sem_acquire(&sem);
        thrum_timeout_end(&limit);
        EXPECT(err == 0 || err == -ETIMEDOUT || err == -EAGAIN);
        if (err)
            continue;
        EXPECT(atomic_fetch_add(&holders, 1) < PERMITS);
        if (i % 16 == 0)
            (void)thrum_yield();
        atomic_fetch_sub(&holders, 1);
        thrum_sem_release(&sem);
    }
    return 0;
}

static int permits(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_sem_init(&sem, PERMITS);
    atomic_store(&holders, 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 1; i <= TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, take_and_give, (void *)i), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (int i = 0; i < PERMITS; i++) /* all there, and no more */
        EXPECT(thrum_sem_try_acquire(&sem));
    EXPECT(!thrum_sem_try_acquire(&sem));
    return 0;
}

static void permits_are_neither_lost_nor_made(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, permits, NULL);
}

static void *release_from_outside(void *arg)
{
    for (int i = 0; i < 1000; i++)
        thrum_sem_release(arg);
    return NULL;
}

static int take_from_outside(void *arg)
{
    static thrum_sem empty = THRUM_SEM_INIT(0);
    pthread_t thread;
    (void)arg;
    EXPECT_IS(pthread_create(&thread, NULL, release_from_outside, &empty), 0);
    for (int i = 0; i < 1000; i++)
        EXPECT_IS(thrum_sem_acquire(&empty), 0);
    pthread_join(thread, NULL);
    EXPECT(!thrum_sem_try_acquire(&empty));
    return 0;
}

static void threads_give_permits(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, take_from_outside, NULL);
}

/* ---- Wait group ---- */

static thrum_wait_group group;
static atomic_int done_n;

static int be_done(void *arg)
{
    (void)arg;
    (void)thrum_yield();
    atomic_fetch_add(&done_n, 1);
    thrum_wait_group_done(&group);
    return 0;
}

static void *done_from_outside(void *arg)
{
    (void)arg;
    atomic_fetch_add(&done_n, 1);
    thrum_wait_group_done(&group);
    return NULL;
}

static int wait_for_group(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_wait_group_wait(&group), 0);
    EXPECT_IS(atomic_load(&done_n), 1001);
    return 0;
}

static int groups(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    group = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
    atomic_store(&done_n, 0);
    EXPECT_IS(thrum_wait_group_wait(&group), 0); /* nothing to wait for */
    thrum_wait_group_add(&group, 1001);
    thrum_scope_open(&scope, NULL);
    spawn(&scope, 10, wait_for_group, NULL);
    spawn(&scope, 1000, be_done, NULL);
    EXPECT_IS(pthread_create(&thread, NULL, done_from_outside, NULL), 0);
    EXPECT_IS(wait_for_group(NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void a_wait_group_waits_for_all(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, groups, NULL);
}

/* ---- Doorbell ---- */

static struct thr_doorbell bell;
static atomic_int letters; /* put before each ring */

static void ring(void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&letters, 1);
        thr_doorbell_ring(&bell);
    }
}

static void *ring_all(void *arg)
{
    run_team(4, ring, arg);
    return NULL;
}

/* Empties the box at each ring. If one were lost, letters would lie there and nobody would come: the run would not end. */
static int answer(void *arg)
{
    pthread_t thread;
    (void)arg;
    thr_doorbell_init(&bell);
    atomic_store(&letters, 0);
    EXPECT_IS(pthread_create(&thread, NULL, ring_all, NULL), 0);
    for (int got = 0; got < 4 * ROUNDS;) {
        struct thr_waiter w;
        thr_wait_begin(&w, false);
        if (thr_doorbell_link(&bell, &w))
            (void)thr_wait_abandon();
        else
            EXPECT_IS(thr_wait_park(THRUM_NEVER), THR_FIRED_OK);
        thr_doorbell_unlink(&bell, &w);
        got += atomic_exchange(&letters, 0);
    }
    pthread_join(thread, NULL);
    return 0;
}

static void no_ring_is_lost(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, answer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_task_at_a_time_is_in_a_mutex),
        cmocka_unit_test(a_deadline_loses_no_lock),
        cmocka_unit_test(a_mutex_goes_to_who_came_first),
        cmocka_unit_test(clean_up_gets_the_lock_though_cancelled),
        cmocka_unit_test(an_event_wakes_all_and_stays_set),
        cmocka_unit_test(an_event_that_is_cleared_stays_so),
        cmocka_unit_test(an_event_may_go_when_its_waiters_have),
        cmocka_unit_test(permits_are_neither_lost_nor_made),
        cmocka_unit_test(threads_give_permits),
        cmocka_unit_test(a_wait_group_waits_for_all),
        cmocka_unit_test(no_ring_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
