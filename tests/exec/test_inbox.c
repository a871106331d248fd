/* SPDX-License-Identifier: MIT */
/* The queues that link tasks: the inbox of one worker and the injector of all. */
#include "exec/inbox.h"
#include "exec/injector.h"
#include "exec/task.h"
#include "running.h"

#include <sched.h>

static struct thrum_task *records(size_t n)
{
    struct thrum_task *tasks = calloc(n, sizeof(*tasks));
    assert_non_null(tasks);
    return tasks;
}

static void take_all_gives_the_first_pushed_first(void **state)
{
    (void)state;
    struct thr_inbox in;
    struct thrum_task *t = records(4);
    thr_inbox_init(&in);
    for (int round = 0; round < 2; round++) {
        assert_true(thr_inbox_is_empty(&in));
        assert_null(thr_inbox_take_all(&in));
        assert_true(thr_inbox_push(&in, &t[0])); /* I3: the first push wakes somebody ... */
        for (size_t i = 1; i < 4; i++)
            assert_false(thr_inbox_push(&in, &t[i])); /* ... and only the first */
        assert_false(thr_inbox_is_empty(&in));
        struct thrum_task *got = thr_inbox_take_all(&in);
        for (size_t i = 0; i < 4; i++, got = got->next)
            assert_ptr_equal(got, &t[i]);
        assert_null(got);
    }
    free(t);
}

static void the_injector_is_first_in_first_out(void **state)
{
    (void)state;
    struct thr_injector in;
    struct thrum_task *t = records(10);
    memset(&in, 0, sizeof(in));
    assert_null(thr_injector_take(&in, 5));
    for (size_t i = 0; i < 9; i += 3) { /* three chains of three */
        t[i].next = &t[i + 1];
        t[i + 1].next = &t[i + 2];
        t[i + 2].next = &t[9]; /* whatever stands there is no part of the chain */
        thr_injector_push(&in, &t[i], &t[i + 2], 3);
    }
    assert_null(thr_injector_take(&in, 0));
    struct thrum_task *got = thr_injector_take(&in, 4);
    for (size_t i = 0; i < 4; i++, got = got->next)
        assert_ptr_equal(got, &t[i]);
    assert_null(got);
    assert_int_equal(thr_load(&in.count, THR_RELAXED), 5);
    got = thr_injector_take(&in, 100);
    for (size_t i = 4; i < 9; i++, got = got->next)
        assert_ptr_equal(got, &t[i]);
    assert_null(got);
    assert_true(thr_injector_is_empty(&in));
    assert_null(thr_injector_take(&in, 1));
    thr_injector_push(&in, &t[9], &t[9], 1); /* it works again after it was empty */
    assert_ptr_equal(thr_injector_take(&in, 1), &t[9]);
    free(t);
}

/* ---- Several threads: some push, two take ---- */

enum { PUSHERS = 4, TAKERS = 2 };

struct traffic {
    struct thr_inbox inbox;
    struct thr_injector injector;
    bool by_injector;
    struct thrum_task *tasks; /* PUSHERS * each_n */
    size_t each_n;
    atomic_uchar *taken;
    atomic_size_t taken_n, wakes_n, takes_n;
};

static void push_own(struct traffic *x, unsigned pusher)
{
    struct thrum_task *t = &x->tasks[pusher * x->each_n];
    for (size_t i = 0; i < x->each_n; i++) {
        if (x->by_injector)
            thr_injector_push(&x->injector, &t[i], &t[i], 1);
        else if (thr_inbox_push(&x->inbox, &t[i]))
            atomic_fetch_add(&x->wakes_n, 1);
    }
}

/* What one take gives is in order for each pusher. */
static void check_chain(struct traffic *x, struct thrum_task *t)
{
    size_t last[PUSHERS] = {0};
    atomic_fetch_add(&x->takes_n, t != NULL);
    for (; t; t = t->next) {
        size_t index = (size_t)(t - x->tasks);
        size_t pusher = index / x->each_n, rank = index % x->each_n + 1;
        EXPECT(rank > last[pusher]);
        last[pusher] = rank;
        atomic_fetch_add(&x->taken[index], 1);
        atomic_fetch_add(&x->taken_n, 1);
    }
}

static void traffic_member(void *arg, unsigned index)
{
    struct traffic *x = arg;
    if (index < PUSHERS) {
        push_own(x, index);
        return;
    }
    while (atomic_load(&x->taken_n) < PUSHERS * x->each_n) {
        struct thrum_task *t = x->by_injector ? thr_injector_take(&x->injector, 1 + index)
                                              : thr_inbox_take_all(&x->inbox);
        check_chain(x, t);
        if (!t)
            sched_yield();
    }
}

static void run_traffic(bool by_injector)
{
    struct traffic x;
    memset(&x, 0, sizeof(x));
    x.by_injector = by_injector;
    x.each_n = BY_BUILD(200000, 50000, 20000);
    x.tasks = records(PUSHERS * x.each_n);
    x.taken = calloc(PUSHERS * x.each_n, sizeof(x.taken[0]));
    assert_non_null(x.taken);
    atomic_store(&wrong_n, 0);
    run_team(PUSHERS + TAKERS, traffic_member, &x);
    for (size_t i = 0; i < PUSHERS * x.each_n; i++)
        assert_int_equal(atomic_load(&x.taken[i]), 1);
    if (!by_injector) /* each chain that was taken began with one push that found nothing */
        assert_int_equal(atomic_load(&x.wakes_n), atomic_load(&x.takes_n));
    assert_int_equal(atomic_load(&wrong_n), 0);
    free(x.tasks);
    free(x.taken);
}

static void tasks_pass_the_inbox_once_and_each_chain_wakes_once(void **state)
{
    (void)state;
    run_traffic(false);
}

static void tasks_pass_the_injector_once(void **state)
{
    (void)state;
    run_traffic(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_all_gives_the_first_pushed_first),
        cmocka_unit_test(the_injector_is_first_in_first_out),
        cmocka_unit_test(tasks_pass_the_inbox_once_and_each_chain_wakes_once),
        cmocka_unit_test(tasks_pass_the_injector_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
