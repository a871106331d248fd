/* SPDX-License-Identifier: MIT */
/* Mutex, event, semaphore, wait group: what each promises, and that nothing is lost to a deadline, a cancel or another
 * thread. */
#include "running.h"

#include <thrum/sync.h>

enum { TASKS = 16, ROUNDS = BY_BUILD(3000, 1000, 300) };

static uint64_t some_time(uint64_t *random)
{
    return random_below(random, 30) * THRUM_MICROSECOND;
}

/* So many tasks of fn, numbered, in one scope that waits for them. */
static int spawn_numbered(thrum_fn *fn, int n)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < (uintptr_t)n; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, fn, (void *)i), 0);
    return thrum_scope_close(&scope);
}

/* ---- Mutex ---- */

static thrum_mutex mutex;
static size_t counted[2]; /* guarded by mutex */

static int count_locked(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (random_below(&random, 4) == 0)
            while (!thrum_mutex_trylock(&mutex))
                EXPECT_IS(thrum_yield(), 0);
        else if (random_below(&random, 4) == 0)
            thrum_mutex_lock_shielded(&mutex);
        else
            EXPECT_IS(thrum_mutex_lock(&mutex), 0);
        counted[0]++;
        if (random_below(&random, 3) == 0)
            EXPECT_IS(thrum_yield(), 0); /* the holder may suspend, and go on elsewhere */
        counted[1]++;
        EXPECT_IS(counted[0], counted[1]);
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int count_all(void *arg)
{
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counted[0] = counted[1] = 0;
    EXPECT_IS(spawn_numbered(count_locked, TASKS), 0);
    EXPECT_IS(counted[0], TASKS * ROUNDS);
    return 0;
}

static void a_mutex_has_one_holder(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, count_all, NULL);
}

static int came[TASKS], came_n; /* guarded by mutex */

static int note_order(void *arg)
{
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    came[came_n++] = (int)(intptr_t)arg;
    thrum_mutex_unlock(&mutex);
    return 0;
}

/* On one worker we know who waits already: each is let to its place in the queue before the next is spawned. */
static int queue_up(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    came_n = 0;
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < TASKS; i++) {
        EXPECT_IS(thrum_scope_spawn(&scope, note_order, (void *)i), 0);
        for (int k = 0; k < 50; k++)
            EXPECT_IS(thrum_yield(), 0);
    }
    thrum_mutex_unlock(&mutex);
    EXPECT(!thrum_mutex_trylock(&mutex)); /* handed to the first who waited, not to who comes by */
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(came_n, TASKS);
    for (int i = 0; i < TASKS; i++)
        EXPECT_IS(came[i], i);
    return 0;
}

static void a_mutex_is_handed_over_in_order(void **state)
{
    (void)state;
    assert_runs(1, queue_up, NULL);
}

static atomic_int got_n, missed_n;

static int lock_hastily(void *arg)
{
    uint64_t random = (uintptr_t)arg + 1;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_timeout limit;
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        if (random_below(&random, 8) == 0)
            thrum_scope_cancel(&scope);
        thrum_timeout_begin(&limit, some_time(&random));
        int err = thrum_mutex_lock(&mutex);
        bool own = thrum_timeout_end(&limit);
        (void)thrum_scope_close(&scope);
        EXPECT(err == 0 || err == -ECANCELED || (err == -ETIMEDOUT && own));
        atomic_fetch_add(err ? &missed_n : &got_n, 1);
        if (err)
            continue;
        counted[0]++;
        if (random_below(&random, 3) == 0)
            EXPECT_IS(thrum_sleep(some_time(&random)), 0);
        counted[1]++;
        EXPECT_IS(counted[0], counted[1]);
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int all_hasty(void *arg)
{
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counted[0] = counted[1] = 0;
    atomic_store(&got_n, 0);
    atomic_store(&missed_n, 0);
    EXPECT_IS(spawn_numbered(lock_hastily, TASKS), 0);
    EXPECT_IS(atomic_load(&got_n), counted[0]);
    EXPECT(atomic_load(&missed_n) > 0);
    EXPECT(thrum_mutex_trylock(&mutex)); /* nobody has it, nobody left with it */
    return 0;
}

static void no_lock_is_lost_to_a_deadline_or_cancel(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, all_hasty, NULL);
}

static int lock_for_clean_up(void *arg)
{
    (void)arg;
    EXPECT(thrum_mutex_lock(&mutex) < 0); /* -ETIMEDOUT if it comes before the cancel */
    thrum_mutex_lock_shielded(&mutex);    /* waits: the owner holds it */
    counted[0]++;
    thrum_mutex_unlock(&mutex);
    return -ECANCELED;
}

static int lock_shielded(void *arg)
{
    thrum_scope scope;
    thrum_timeout limit;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counted[0] = 0;
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    thrum_timeout_begin(&limit, 0); /* nor does a deadline matter */
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, lock_for_clean_up, NULL), 0);
    thrum_scope_cancel(&scope);
    for (int i = 0; i < 200; i++)
        (void)thrum_yield();
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    (void)thrum_timeout_end(&limit);
    EXPECT_IS(counted[0], TASKS);
    return 0;
}

static void a_shielded_lock_is_had_in_a_cancelled_scope(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, lock_shielded, NULL);
}

/* ---- Event ---- */

enum { CROWD = BY_BUILD(3000, 1000, 500) };

static thrum_event event;
static thrum_wait_group inside;

static int await_event(void *arg)
{
    (void)arg;
    EXPECT(!thrum_event_is_set(&event));
    thrum_wait_group_done(&inside);
    EXPECT_IS(thrum_event_wait(&event), 0);
    atomic_fetch_add(&got_n, 1);
    return 0;
}

static void *set_from_outside(void *arg)
{
    thrum_event_set(arg);
    return NULL;
}

static int set_once(void *arg)
{
    bool outside = (uintptr_t)arg;
    pthread_t thread;
    thrum_scope scope;
    event = (thrum_event)THRUM_EVENT_INIT;
    inside = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
    atomic_store(&got_n, 0);
    thrum_wait_group_add(&inside, CROWD);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < CROWD; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, await_event, NULL), 0);
    EXPECT_IS(thrum_wait_group_wait(&inside), 0);
    EXPECT_IS(atomic_load(&got_n), 0);
    if (outside)
        EXPECT_IS(pthread_create(&thread, NULL, set_from_outside, &event), 0);
    else
        thrum_event_set(&event);
    EXPECT_IS(thrum_event_wait(&event), 0);
    EXPECT(thrum_event_is_set(&event));
    EXPECT_IS(thrum_event_wait(&event), 0); /* it stays so */
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&got_n), CROWD);
    if (outside)
        pthread_join(thread, NULL);
    thrum_event_clear(&event);
    EXPECT(!thrum_event_is_set(&event));
    thrum_timeout limit;
    thrum_timeout_begin(&limit, 0);
    EXPECT_IS(thrum_event_wait(&event), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    return 0;
}

static void setting_an_event_wakes_all(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (uintptr_t outside = 0; outside < 2; outside++)
        assert_runs(*n, set_once, (void *)outside);
}

static atomic_bool cleared;

static int clear_if_first(void *arg)
{
    (void)arg;
    thrum_wait_group_done(&inside);
    EXPECT_IS(thrum_event_wait(&event), 0);
    if (atomic_fetch_add(&got_n, 1) == 0) {
        thrum_event_clear(&event);
        atomic_store(&cleared, true);
    }
    return 0;
}

/* Setting is over as a whole before anybody wakes, however many there are: what the first one clears stays so. */
static int set_and_clear(void *arg)
{
    pthread_t thread;
    (void)arg;
    for (int i = 0; i < 10; i++) {
        thrum_scope scope;
        event = (thrum_event)THRUM_EVENT_INIT;
        inside = (thrum_wait_group)THRUM_WAIT_GROUP_INIT;
        atomic_store(&got_n, 0);
        atomic_store(&cleared, false);
        thrum_wait_group_add(&inside, CROWD);
        thrum_scope_open(&scope, NULL);
        for (int k = 0; k < CROWD; k++)
            EXPECT_IS(thrum_scope_spawn(&scope, clear_if_first, NULL), 0);
        EXPECT_IS(thrum_wait_group_wait(&inside), 0);
        EXPECT_IS(pthread_create(&thread, NULL, set_from_outside, &event), 0);
        EXPECT_IS(until_set(&cleared), 0);
        pthread_join(thread, NULL);
        EXPECT(!thrum_event_is_set(&event));
        thrum_event_set(&event); /* who came too late for the first */
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static void setting_is_one_step(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, set_and_clear, NULL);
}

/* The event lies where whoever waited frees it as soon as it may: no waker may touch it after that. */
static int wait_and_free(void *arg)
{
    uint64_t random = (uintptr_t)arg + 1;
    for (int i = 0; i < ROUNDS / 10; i++) {
        pthread_t thread;
        thrum_timeout limit;
        thrum_event *own = malloc(sizeof(*own));
        *own = (thrum_event)THRUM_EVENT_INIT;
        EXPECT_IS(pthread_create(&thread, NULL, set_from_outside, own), 0);
        thrum_timeout_begin(&limit, some_time(&random));
        int err = thrum_event_wait(own);
        (void)thrum_timeout_end(&limit);
        if (err)
            pthread_join(thread, NULL); /* it may still be on its way */
        free(own);
        if (!err)
            pthread_join(thread, NULL);
    }
    return 0;
}

static int all_wait_and_free(void *arg)
{
    (void)arg;
    return spawn_numbered(wait_and_free, 4);
}

static void who_was_woken_may_free_the_event(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, all_wait_and_free, NULL);
}

/* ---- Semaphore ---- */

enum { PERMITS = 3 };

static thrum_sem sem;
static atomic_int holders;

static int take_hastily(void *arg)
{
    uint64_t random = (uintptr_t)arg + 7;
    for (int i = 0; i < ROUNDS; i++) {
        thrum_timeout limit;
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        if (random_below(&random, 8) == 0)
            thrum_scope_cancel(&scope);
        thrum_timeout_begin(&limit, some_time(&random));
        int err = 0;
        if (random_below(&random, 4) == 0)
            err = thrum_sem_try_acquire(&sem) ? 0 : -EAGAIN;
        else
            err = thrum_sem_acquire(&sem);
        (void)thrum_timeout_end(&limit);
        (void)thrum_scope_close(&scope);
        if (err)
            continue;
        EXPECT(atomic_fetch_add(&holders, 1) < PERMITS);
        if (random_below(&random, 3) == 0)
            EXPECT_IS(thrum_yield(), 0);
        atomic_fetch_sub(&holders, 1);
        thrum_sem_release(&sem);
    }
    return 0;
}

static int all_take(void *arg)
{
    (void)arg;
    thrum_sem_init(&sem, PERMITS);
    atomic_store(&holders, 0);
    EXPECT_IS(spawn_numbered(take_hastily, TASKS), 0);
    for (int i = 0; i < PERMITS; i++)
        EXPECT(thrum_sem_try_acquire(&sem));
    EXPECT(!thrum_sem_try_acquire(&sem)); /* neither fewer nor more than at first */
    return 0;
}

static void permits_are_neither_lost_nor_made(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, all_take, NULL);
}

static void *release_from_outside(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        thrum_sem_release(arg);
    return NULL;
}

static int take_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 4; i++)
        EXPECT_IS(thrum_sem_acquire(&sem), 0);
    return 0;
}

static int take_from_outside(void *arg)
{
    pthread_t thread;
    (void)arg;
    thrum_sem_init(&sem, 0);
    EXPECT_IS(pthread_create(&thread, NULL, release_from_outside, &sem), 0);
    EXPECT_IS(spawn_numbered(take_some, 4), 0);
    pthread_join(thread, NULL);
    EXPECT(!thrum_sem_try_acquire(&sem));
    return 0;
}

static void any_thread_may_release(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, take_from_outside, NULL);
}

/* ---- Wait group ---- */

static int finish_some(void *arg)
{
    thrum_wait_group *g = arg;
    (void)thrum_yield();
    atomic_fetch_add(&got_n, 1);
    thrum_wait_group_done(g);
    return 0;
}

static int await_group(void *arg)
{
    EXPECT_IS(thrum_wait_group_wait(arg), 0);
    EXPECT(atomic_load(&got_n) >= TASKS);
    return 0;
}

static int wait_for_group(void *arg)
{
    thrum_wait_group g = THRUM_WAIT_GROUP_INIT;
    (void)arg;
    EXPECT_IS(thrum_wait_group_wait(&g), 0); /* nothing to wait for */
    for (int round = 0; round < ROUNDS / 10; round++) {
        thrum_scope scope;
        atomic_store(&got_n, 0);
        thrum_wait_group_add(&g, TASKS);
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < 3; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, await_group, &g), 0);
        for (int i = 0; i < TASKS; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, finish_some, &g), 0);
        thrum_timeout limit;
        thrum_timeout_begin(&limit, 0);
        int err = thrum_wait_group_wait(&g);
        EXPECT(err == -ETIMEDOUT || (err == 0 && atomic_load(&got_n) == TASKS));
        (void)thrum_timeout_end(&limit);
        EXPECT_IS(thrum_wait_group_wait(&g), 0);
        EXPECT_IS(atomic_load(&got_n), TASKS);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static void a_group_is_waited_for(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, wait_for_group, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_has_one_holder),
        cmocka_unit_test(a_mutex_is_handed_over_in_order),
        cmocka_unit_test(no_lock_is_lost_to_a_deadline_or_cancel),
        cmocka_unit_test(a_shielded_lock_is_had_in_a_cancelled_scope),
        cmocka_unit_test(setting_an_event_wakes_all),
        cmocka_unit_test(setting_is_one_step),
        cmocka_unit_test(who_was_woken_may_free_the_event),
        cmocka_unit_test(permits_are_neither_lost_nor_made),
        cmocka_unit_test(any_thread_may_release),
        cmocka_unit_test(a_group_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
