/* SPDX-License-Identifier: MIT */
/* The lock of a few instructions. */
#include "exec/lock.h"
#include "running.h"

#include <sched.h>

static void one_holder_at_a_time(void **state)
{
    (void)state;
    struct thr_lock l;
    thr_lock_init(&l);
    thr_lock(&l);
    assert_false(thr_trylock(&l));
    thr_unlock(&l);
    assert_true(thr_trylock(&l));
    thr_unlock(&l);
}

struct shared {
    struct thr_lock lock;
    size_t plain[2]; /* guarded by lock */
    size_t each_n;
};

static void count_up(void *arg, unsigned index)
{
    struct shared *s = arg;
    for (size_t i = 0; i < s->each_n;) {
        if (index % 2 == 0)
            thr_lock(&s->lock);
        else if (!thr_trylock(&s->lock))
            continue;
        s->plain[0]++;
        if (i % 64 == 0)
            sched_yield(); /* a holder that is off its core */
        s->plain[1]++;
        EXPECT_IS(s->plain[0], s->plain[1]);
        thr_unlock(&s->lock);
        i++;
    }
}

static void more_threads_than_cores_exclude_each_other(void **state)
{
    (void)state;
    struct shared s = {.each_n = BY_BUILD(10000, 5000, 2000)};
    thr_lock_init(&s.lock);
    atomic_store(&wrong_n, 0);
    run_team(8, count_up, &s);
    assert_int_equal(s.plain[0], 8 * s.each_n);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

/* L2: whoever has locked it last and knows that no other will may free it. */
struct last_user {
    struct thr_lock lock;
    int users; /* guarded by lock */
};

struct last_users {
    _Atomic(struct last_user *) current;
    pthread_barrier_t next;
    int rounds;
};

static void leave(void *arg, unsigned index)
{
    struct last_users *u = arg;
    for (int i = 0; i < u->rounds; i++) {
        if (index == 0) {
            struct last_user *fresh = calloc(1, sizeof(*fresh));
            fresh->users = 2;
            atomic_store(&u->current, fresh);
        }
        pthread_barrier_wait(&u->next);
        struct last_user *l = atomic_load(&u->current);
        thr_lock(&l->lock);
        bool last = --l->users == 0;
        thr_unlock(&l->lock);
        if (last)
            free(l);
        pthread_barrier_wait(&u->next);
    }
}

static void the_last_user_may_free_it(void **state)
{
    (void)state;
    struct last_users u = {.rounds = BY_BUILD(20000, 10000, 3000)};
    pthread_barrier_init(&u.next, NULL, 2);
    run_team(2, leave, &u);
    pthread_barrier_destroy(&u.next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_holder_at_a_time),
        cmocka_unit_test(more_threads_than_cores_exclude_each_other),
        cmocka_unit_test(the_last_user_may_free_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
