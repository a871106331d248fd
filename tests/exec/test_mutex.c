/* SPDX-License-Identifier: MIT */
/* The mutex: one task at a time, in spite of deadlines and cancels; nobody is passed over for ever; its storage may go. */
#include "syncing.h"

enum { TASKS = 24, ROUNDS = BY_BUILD(10000, 4000, 800) };

static thrum_mutex mutex;
static long long counter;  /* guarded by mutex */
static atomic_int taken_n; /* what counter must be */

static int lock(void *arg)
{
    return thrum_mutex_lock(arg);
}

static int lock_shielded(void *arg)
{
    thrum_mutex_lock_shielded(arg);
    return 0;
}

static int lock_at_risk(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        bool shielded = random_below(&random, 8) == 0;
        int err = at_risk(&random, shielded ? lock_shielded : lock, &mutex);
        EXPECT(err == 0 || (is_interruption(err) && !shielded));
        if (err)
            continue;
        counter++;
        if (random_below(&random, 16) == 0)
            (void)thrum_yield(); /* with the lock: the others queue up */
        atomic_fetch_add_explicit(&taken_n, 1, memory_order_relaxed);
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int contend(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counter = 0;
    atomic_store(&taken_n, 0);
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, TASKS, lock_at_risk);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(counter, atomic_load(&taken_n));
    EXPECT(
        thrum_mutex_trylock(&mutex)); /* nobody has it, and nothing is left of those who waited */
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(memcmp(&mutex, &(thrum_mutex)THRUM_MUTEX_INIT, sizeof(mutex)), 0);
    return 0;
}

static void deadlines_and_cancels_lose_no_lock(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, contend, NULL);
}

/* ---- Passing ---- */

static atomic_bool got_it;

static int get_it(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    atomic_store(&got_it, true);
    thrum_mutex_unlock(&mutex);
    return 0;
}

/* On one worker: the woken task cannot run while this one passes it again and again without suspending. */
static int pass_it(void *arg)
{
    thrum_scope scope;
    int passes = 0;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    atomic_store(&got_it, false);
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    thrum_scope_open(&scope, NULL);
    start(&scope, get_it, NULL);
    do {
        thrum_mutex_unlock(&mutex);
        passes++;
    } while (passes < 1000 && thrum_mutex_trylock(&mutex));
    EXPECT(!atomic_load(&got_it));
    EXPECT(passes > 1 && passes <= THRUM_MUTEX_PASSES_MAX + 1);
    EXPECT_IS(thrum_mutex_lock(&mutex), 0); /* waits until that one had it */
    EXPECT(atomic_load(&got_it));
    thrum_mutex_unlock(&mutex);
    return thrum_scope_close(&scope);
}

static void a_waiter_is_passed_over_so_many_times_and_no_more(void **state)
{
    (void)state;
    assert_runs(1, pass_it, NULL);
}

static char turns[4];
static int turns_n; /* both guarded by mutex */

static int take_turn(void *arg)
{
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    turns[turns_n++] = (char)(intptr_t)arg;
    thrum_mutex_unlock(&mutex);
    return 0;
}

/* The first is woken too late; it is still the first. */
static int pass_the_first(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    turns_n = 0;
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    thrum_scope_open(&scope, NULL);
    start(&scope, take_turn, (void *)'1');
    start(&scope, take_turn, (void *)'2');
    thrum_mutex_unlock(&mutex);
    EXPECT(thrum_mutex_trylock(&mutex));
    yields(4); /* it comes, and waits again */
    EXPECT_IS(turns_n, 0);
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(turns[0] == '1' && turns[1] == '2');
    return 0;
}

static void who_was_woken_too_late_is_still_the_first(void **state)
{
    (void)state;
    assert_runs(1, pass_the_first, NULL);
}

static atomic_bool enough;

static int hog(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough)) {
        EXPECT_IS(thrum_mutex_lock(&mutex), 0);
        counter++;
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int get_it_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < BY_BUILD(300, 100, 30); i++) {
        EXPECT_IS(thrum_mutex_lock(&mutex), 0);
        counter++;
        EXPECT_IS(thrum_yield(), 0); /* so that it is contended for */
        thrum_mutex_unlock(&mutex);
    }
    atomic_store(&enough, true);
    return 0;
}

/* Would not end if those that never leave the mutex alone kept it for themselves. */
static int share_with_hogs(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    atomic_store(&enough, false);
    thrum_scope_open(&scope, NULL);
    spawn_n(&scope, 4, hog, NULL);
    spawn_n(&scope, 1, get_it_often, NULL);
    return thrum_scope_close(&scope);
}

static void hogs_keep_it_from_nobody(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, share_with_hogs, NULL);
}

/* ---- Giving up ---- */

static int give_up(void *arg)
{
    return within(MS, lock, arg);
}

/* The first that waits gives up; the second must be woken by the unlock all the same. */
static int give_up_before(void *arg)
{
    thrum_scope scope;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    atomic_store(&got_it, false);
    EXPECT_IS(thrum_mutex_lock(&mutex), 0);
    thrum_scope_open(&scope, &(thrum_scope_opts){.keep_going = true});
    start(&scope, give_up, &mutex);
    start(&scope, get_it, NULL);
    EXPECT_IS(thrum_sleep(5 * MS), 0);
    EXPECT(!atomic_load(&got_it));
    thrum_mutex_unlock(&mutex);
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    EXPECT(atomic_load(&got_it));
    EXPECT_IS(within(0, lock, &mutex), 0); /* free: it is had although the time is over */
    thrum_mutex_unlock(&mutex);
    return 0;
}

static void who_gives_up_leaves_the_next_a_waker(void **state)
{
    (void)state;
    assert_runs(1, give_up_before, NULL);
}

/* ---- Storage, threads, bugs ---- */

struct shared {
    thrum_mutex mutex;
    int users_n; /* guarded by mutex */
};

static int leave(void *arg)
{
    struct shared *s = arg;
    EXPECT_IS(thrum_mutex_lock(&s->mutex), 0);
    int left = --s->users_n;
    if (left == 3)
        (void)thrum_yield();
    thrum_mutex_unlock(&s->mutex);
    if (left == 0)
        free(s); /* the others are out of it, though perhaps not yet returned from the unlock */
    return 0;
}

static int leave_and_free(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        struct shared *s = malloc(sizeof(*s));
        *s = (struct shared){.mutex = THRUM_MUTEX_INIT, .users_n = 8};
        spawn_n(&scope, s->users_n, leave, s);
    }
    return thrum_scope_close(&scope);
}

static void the_last_that_unlocks_may_free_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, leave_and_free, NULL);
}

static void *try_from_outside(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS;) {
        if (!thrum_mutex_trylock(&mutex)) {
            sched_yield();
            continue;
        }
        counter++;
        i++;
        thrum_mutex_unlock(&mutex);
    }
    return NULL;
}

static int lock_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_IS(thrum_mutex_lock(&mutex), 0);
        counter++;
        if (i % 16 == 0)
            (void)thrum_yield();
        thrum_mutex_unlock(&mutex);
    }
    return 0;
}

static int with_a_thread(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    mutex = (thrum_mutex)THRUM_MUTEX_INIT;
    counter = 0;
    EXPECT_IS(pthread_create(&thread, NULL, try_from_outside, NULL), 0);
    thrum_scope_open(&scope, NULL);
    spawn_n(&scope, 4, lock_often, NULL);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    EXPECT_IS(counter, 5LL * ROUNDS);
    return 0;
}

static void a_thread_may_try_and_unlock(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, with_a_thread, NULL);
}

static int unlock_unlocked(void *arg)
{
    thrum_mutex m = THRUM_MUTEX_INIT;
    (void)arg;
    thrum_mutex_unlock(&m);
    return 0;
}

static int unlock_twice(void *arg)
{
    thrum_mutex m = THRUM_MUTEX_INIT;
    (void)arg;
    thrum_mutex_lock_shielded(&m);
    thrum_mutex_unlock(&m);
    thrum_mutex_unlock(&m);
    return 0;
}

static void unlocking_what_is_not_locked_ends_the_process(void **state)
{
    (void)state;
    assert_true(aborts(unlock_unlocked));
    assert_true(aborts(unlock_twice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_and_cancels_lose_no_lock),
        cmocka_unit_test(a_waiter_is_passed_over_so_many_times_and_no_more),
        cmocka_unit_test(who_was_woken_too_late_is_still_the_first),
        cmocka_unit_test(hogs_keep_it_from_nobody),
        cmocka_unit_test(who_gives_up_leaves_the_next_a_waker),
        cmocka_unit_test(the_last_that_unlocks_may_free_it),
        cmocka_unit_test(a_thread_may_try_and_unlock),
        cmocka_unit_test(unlocking_what_is_not_locked_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
