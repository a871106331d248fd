/* SPDX-License-Identifier: MIT */
/* The readers-writer lock: who may be in it together, who goes first, and that deadlines and cancels lose nothing. */
#include "syncing.h"

enum { TASKS = 24, ROUNDS = BY_BUILD(10000, 4000, 800), READERS = 5 };

static thrum_rwlock lock;
static atomic_int readers_n, writers_n, most_readers;
static long long counter; /* guarded by lock */

static int read_lock(void *arg)
{
    return thrum_rwlock_read_lock(arg);
}

static int write_lock(void *arg)
{
    return thrum_rwlock_write_lock(arg);
}

static int read_lock_shielded(void *arg)
{
    thrum_rwlock_read_lock_shielded(arg);
    return 0;
}

static int write_lock_shielded(void *arg)
{
    thrum_rwlock_write_lock_shielded(arg);
    return 0;
}

/* Relaxed, all of it: what orders the accesses to counter must be the lock. */
static int add(atomic_int *n, int by)
{
    return atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

static int is(atomic_int *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void be_reader(bool slowly)
{
    int n = add(&readers_n, 1) + 1;
    if (n > is(&most_readers))
        atomic_store_explicit(&most_readers, n, memory_order_relaxed);
    EXPECT_IS(is(&writers_n), 0);
    long long before = counter;
    if (slowly)
        (void)thrum_yield();
    EXPECT_IS(counter, before);
    add(&readers_n, -1);
}

static void be_writer(bool slowly)
{
    EXPECT_IS(add(&writers_n, 1), 0);
    EXPECT_IS(is(&readers_n), 0);
    counter++;
    if (slowly)
        (void)thrum_yield();
    add(&writers_n, -1);
}

static int read_at_risk(uint64_t *random)
{
    bool shielded = random_below(random, 8) == 0;
    int err = at_risk(random, shielded ? read_lock_shielded : read_lock, &lock);
    EXPECT(err == 0 || (is_interruption(err) && !shielded));
    if (!err) {
        be_reader(random_below(random, 8) == 0);
        thrum_rwlock_read_unlock(&lock);
    }
    return err;
}

static int write_at_risk(uint64_t *random)
{
    bool shielded = random_below(random, 8) == 0;
    int err = at_risk(random, shielded ? write_lock_shielded : write_lock, &lock);
    EXPECT(err == 0 || (is_interruption(err) && !shielded));
    if (!err) {
        be_writer(random_below(random, 8) == 0);
        thrum_rwlock_write_unlock(&lock);
    }
    return err;
}

static atomic_int written_n;

static int read_and_write(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        switch (random_below(&random, 8)) {
        case 0:
        case 1:
            if (write_at_risk(&random) == 0)
                add(&written_n, 1);
            break;
        case 2:
            if (thrum_rwlock_try_write_lock(&lock)) {
                be_writer(false);
                thrum_rwlock_write_unlock(&lock);
                add(&written_n, 1);
            }
            break;
        case 3:
            if (thrum_rwlock_try_read_lock(&lock)) {
                be_reader(true);
                thrum_rwlock_read_unlock(&lock);
            }
            break;
        default:
            (void)read_at_risk(&random);
        }
    }
    return 0;
}

static void reset(void)
{
    lock = (thrum_rwlock)THRUM_RWLOCK_INIT;
    counter = 0;
    atomic_store(&written_n, 0);
    atomic_store(&most_readers, 0);
}

static int contend(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, TASKS, read_and_write);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(counter, atomic_load(&written_n));
    EXPECT(atomic_load(&most_readers) > 1);
    EXPECT_IS(memcmp(&lock, &(thrum_rwlock)THRUM_RWLOCK_INIT, sizeof(lock)), 0);
    return 0;
}

static void readers_share_it_and_a_writer_has_it_alone(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, contend, NULL);
}

/* ---- Order: on one worker, each task has its turn noted ---- */

static char turns[64];
static int turns_n;

static int read_in_turn(void *arg)
{
    int err = thrum_rwlock_read_lock(&lock);
    if (err)
        return err;
    turns[turns_n++] = (char)(intptr_t)arg;
    yields(2); /* the readers of one group are in together */
    thrum_rwlock_read_unlock(&lock);
    return 0;
}

static int write_in_turn(void *arg)
{
    int err = thrum_rwlock_write_lock(&lock);
    if (err)
        return err;
    turns[turns_n++] = (char)(intptr_t)arg;
    yields(2);
    thrum_rwlock_write_unlock(&lock);
    return 0;
}

static void expect_turns(const char *should)
{
    turns[turns_n] = 0;
    if (strcmp(turns, should) != 0)
        fprintf(stderr, "turns: %s, should be %s\n", turns, should);
    EXPECT(strcmp(turns, should) == 0);
    turns_n = 0;
}

static int writers_first(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    turns_n = 0;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_rwlock_read_lock(&lock), 0);
    EXPECT(thrum_rwlock_try_read_lock(&lock)); /* with another one there is room */
    EXPECT(!thrum_rwlock_try_write_lock(&lock));
    start(&scope, write_in_turn, (void *)'A');
    EXPECT(!thrum_rwlock_try_read_lock(&lock)); /* a writer waits */
    start(&scope, read_in_turn, (void *)'1');
    start(&scope, read_in_turn, (void *)'2');
    thrum_rwlock_read_unlock(&lock);
    yields(8);
    EXPECT_IS(turns_n, 0); /* one reader is still in it */
    thrum_rwlock_read_unlock(&lock);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    expect_turns("A12");
    return 0;
}

/* A stream of writers: the readers that wait when one leaves go before the next. */
static int readers_between_writers(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    turns_n = 0;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_rwlock_write_lock(&lock), 0);
    EXPECT(!thrum_rwlock_try_read_lock(&lock));
    EXPECT(!thrum_rwlock_try_write_lock(&lock));
    start(&scope, write_in_turn, (void *)'A');
    start(&scope, read_in_turn, (void *)'1');
    start(&scope, write_in_turn, (void *)'B');
    start(&scope, read_in_turn, (void *)'2');
    thrum_rwlock_write_unlock(&lock);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    expect_turns("12AB");
    return 0;
}

static void writers_go_before_readers_that_come_later(void **state)
{
    (void)state;
    assert_runs(1, writers_first, NULL);
}

static void a_reader_waits_for_one_writer_at_most(void **state)
{
    (void)state;
    assert_runs(1, readers_between_writers, NULL);
}

static int writer_gives_up(void *arg)
{
    thrum_scope scope, writers;
    (void)arg;
    reset();
    turns_n = 0;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_rwlock_read_lock(&lock), 0);
    thrum_scope_open(&writers, NULL);
    start(&writers, write_in_turn, (void *)'A');
    start(&writers, write_in_turn, (void *)'B');
    start(&scope, read_in_turn, (void *)'1');
    start(&scope, read_in_turn, (void *)'2');
    EXPECT_IS(turns_n, 0);
    thrum_scope_cancel(&writers);
    EXPECT_IS(thrum_scope_close(&writers), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), 0); /* they join this reader */
    expect_turns("12");
    thrum_rwlock_read_unlock(&lock);
    EXPECT(thrum_rwlock_try_write_lock(&lock));
    thrum_rwlock_write_unlock(&lock);
    return 0;
}

static void readers_join_others_when_the_writer_has_given_up(void **state)
{
    (void)state;
    assert_runs(1, writer_gives_up, NULL);
}

static int cancelled(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_rwlock_read_lock(&lock), -ECANCELED);
    EXPECT_IS(thrum_rwlock_write_lock(&lock), -ECANCELED);
    thrum_rwlock_read_lock_shielded(&lock);
    EXPECT_IS(within(0, read_lock, &lock), -ECANCELED);
    thrum_rwlock_read_unlock(&lock);
    thrum_rwlock_write_lock_shielded(&lock);
    thrum_rwlock_write_unlock(&lock);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(within(0, write_lock, &lock), 0); /* free: it is had although the time is over */
    EXPECT_IS(within(MS, write_lock, &lock), -ETIMEDOUT);
    EXPECT_IS(within(MS, read_lock, &lock), -ETIMEDOUT);
    thrum_rwlock_write_unlock(&lock);
    return 0;
}

static void a_cancelled_task_gets_it_only_by_the_shielded_calls(void **state)
{
    (void)state;
    assert_runs(1, cancelled, NULL);
}

/* ---- Storage, threads, bugs ---- */

struct shared {
    thrum_rwlock lock;
    int users_n; /* guarded by lock */
};

static int leave(void *arg)
{
    struct shared *s = arg;
    EXPECT_IS(thrum_rwlock_read_lock(&s->lock), 0);
    thrum_rwlock_read_unlock(&s->lock);
    EXPECT_IS(thrum_rwlock_write_lock(&s->lock), 0);
    int left = --s->users_n;
    thrum_rwlock_write_unlock(&s->lock);
    if (left == 0)
        free(s); /* the others are out of it, though perhaps not yet returned */
    return 0;
}

static int leave_and_free(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        struct shared *s = malloc(sizeof(*s));
        *s = (struct shared){.lock = THRUM_RWLOCK_INIT, .users_n = READERS};
        spawn_n(&scope, READERS, leave, s);
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
    for (int i = 0; i < ROUNDS; i++) {
        if (thrum_rwlock_try_read_lock(&lock)) {
            be_reader(false);
            thrum_rwlock_read_unlock(&lock);
        }
        if (thrum_rwlock_try_write_lock(&lock)) {
            be_writer(false);
            thrum_rwlock_write_unlock(&lock);
        }
        sched_yield();
    }
    return NULL;
}

static int with_a_thread(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    reset();
    EXPECT_IS(pthread_create(&thread, NULL, try_from_outside, NULL), 0);
    thrum_scope_open(&scope, NULL);
    spawn_numbered(&scope, 4, read_and_write);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void a_thread_may_try_and_unlock(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, with_a_thread, NULL);
}

static int read_unlock_unlocked(void *arg)
{
    (void)arg;
    reset();
    thrum_rwlock_read_unlock(&lock);
    return 0;
}

static int read_unlock_the_writers(void *arg)
{
    (void)arg;
    reset();
    thrum_rwlock_write_lock_shielded(&lock);
    thrum_rwlock_read_unlock(&lock);
    return 0;
}

static int write_unlock_the_readers(void *arg)
{
    (void)arg;
    reset();
    thrum_rwlock_read_lock_shielded(&lock);
    thrum_rwlock_write_unlock(&lock);
    return 0;
}

static void the_wrong_unlock_ends_the_process(void **state)
{
    (void)state;
    assert_true(aborts(read_unlock_unlocked));
    assert_true(aborts(read_unlock_the_writers));
    assert_true(aborts(write_unlock_the_readers));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_share_it_and_a_writer_has_it_alone),
        cmocka_unit_test(writers_go_before_readers_that_come_later),
        cmocka_unit_test(a_reader_waits_for_one_writer_at_most),
        cmocka_unit_test(readers_join_others_when_the_writer_has_given_up),
        cmocka_unit_test(a_cancelled_task_gets_it_only_by_the_shielded_calls),
        cmocka_unit_test(the_last_that_unlocks_may_free_it),
        cmocka_unit_test(a_thread_may_try_and_unlock),
        cmocka_unit_test(the_wrong_unlock_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
