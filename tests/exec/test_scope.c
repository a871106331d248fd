/* SPDX-License-Identifier: MIT */
/* Scopes: no task outlives its scope, a failure or cancel reaches all that is below, and stops at a shield. */
#include "running.h"

#include <thrum/chan.h>
#include <thrum/gather.h>
#include <thrum/sync.h>

enum { ROUNDS = BY_BUILD(2000, 500, 200) };

static atomic_int ended, cancelled;

static int sleep_for_ever(void *arg)
{
    (void)arg;
    int err = thrum_sleep(THRUM_NEVER);
    atomic_fetch_add(&ended, 1);
    if (err == -ECANCELED)
        atomic_fetch_add(&cancelled, 1);
    return err;
}

static int count_end(void *arg)
{
    (void)arg;
    EXPECT_IS(thrum_yield(), 0);
    atomic_fetch_add(&ended, 1);
    return 0;
}

static int return_arg(void *arg)
{
    return (int)(intptr_t)arg;
}

static void reset(void)
{
    atomic_store(&ended, 0);
    atomic_store(&cancelled, 0);
}

static void spawn(thrum_scope *scope, int n, thrum_fn *fn, intptr_t arg)
{
    for (int i = 0; i < n; i++)
        EXPECT_IS(thrum_scope_spawn(scope, fn, (void *)arg), 0);
}

/* ---- Waiting for all ---- */

static int wait_for_all(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_close(&scope), 0); /* nobody in it */
    thrum_scope_open(&scope, NULL);
    spawn(&scope, 1000, count_end, 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&ended), 1000);
    return 0;
}

static void closing_waits_for_every_task(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, wait_for_all, NULL);
}

struct breeder {
    thrum_scope *scope;
    int depth;
};

/* Spawns two of its like into the scope it lives in. */
static int breed(void *arg)
{
    struct breeder *parent = arg;
    struct breeder *children = parent + 1;
    atomic_fetch_add(&ended, 1);
    if (parent->depth == 0)
        return 0;
    EXPECT_IS(thrum_scope_spawn(parent->scope, breed, children), 0);
    EXPECT_IS(thrum_scope_spawn(parent->scope, breed, children), 0);
    return 0;
}

static int children_spawn_siblings(void *arg)
{
    struct breeder levels[11];
    thrum_scope scope;
    (void)arg;
    reset();
    for (int i = 0; i < 11; i++)
        levels[i] = (struct breeder){&scope, 10 - i};
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, breed, levels), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&ended), 2047);
    return 0;
}

static void tasks_of_a_scope_spawn_into_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, children_spawn_siblings, NULL);
}

struct leaf {
    int first, size;
    long long sum;
};

/* Every task spawns ten down to single leaves; sums come back up. */
static int skynet(void *arg)
{
    struct leaf *me = arg, children[10];
    thrum_scope scope;
    if (me->size == 1) {
        me->sum = me->first;
        return 0;
    }
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 10; i++) {
        children[i] = (struct leaf){me->first + i * me->size / 10, me->size / 10, 0};
        EXPECT_IS(thrum_scope_spawn_named(&scope, "skynet", skynet, &children[i]), 0);
    }
    int err = thrum_scope_close(&scope);
    for (int i = 0; i < 10; i++)
        me->sum += children[i].sum;
    return err;
}

struct fib {
    int n;
    long long value;
};

static int fib(void *arg)
{
    struct fib *me = arg;
    struct fib a = {me->n - 1, 0}, b = {me->n - 2, 0};
    thrum_scope scope;
    if (me->n < 2) {
        me->value = me->n;
        return 0;
    }
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, fib, &a), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, fib, &b), 0);
    int err = thrum_scope_close(&scope);
    me->value = a.value + b.value;
    return err;
}

static int trees(void *arg)
{
    struct leaf root = {0, BY_BUILD(100000, 10000, 1000), 0};
    struct fib f = {BY_BUILD(20, 18, 12), 0};
    (void)arg;
    EXPECT_IS(skynet(&root), 0);
    EXPECT_IS(root.sum, (long long)root.size * (root.size - 1) / 2);
    EXPECT_IS(fib(&f), 0);
    EXPECT_IS(f.value, BY_BUILD(6765, 2584, 144));
    return 0;
}

static void trees_of_scopes_add_up(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, trees, NULL);
}

/* Children that need each other, whatever the order in which a close runs them on its own stack. */
static thrum_event first_met, second_met;

static int meet_first(void *arg)
{
    (void)arg;
    thrum_event_set(&first_met);
    return thrum_event_wait(&second_met);
}

static int meet_second(void *arg)
{
    (void)arg;
    thrum_event_set(&second_met);
    return thrum_event_wait(&first_met);
}

static int dependent_children(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        thrum_scope scope;
        thrum_event_clear(&first_met);
        thrum_event_clear(&second_met);
        thrum_scope_open(&scope, NULL);
        spawn(&scope, 3, i % 2 ? meet_first : meet_second, 0);
        spawn(&scope, 3, i % 2 ? meet_second : meet_first, 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static void children_that_need_each_other_all_run(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, dependent_children, NULL);
}

/* Uses so much stack below it, without recursing in a way that the compiler could flatten. */
static __attribute__((noinline)) int use_stack(size_t bytes, thrum_fn *then, void *arg)
{
    volatile char frame[1024];
    for (size_t i = 0; i < sizeof(frame); i += 64)
        frame[i] = (char)bytes;
    int result = bytes > sizeof(frame) ? use_stack(bytes - sizeof(frame), then, arg) : then(arg);
    return result + frame[0] - frame[0];
}

static int use_much(void *arg)
{
    return use_stack(BY_BUILD(50, 8, 20) << 10, count_end, arg);
}

static int close_with_one(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, use_much, arg), 0);
    return thrum_scope_close(&scope);
}

/* A child has its whole stack, however deep its parent is when it closes the scope. */
static int children_of_the_deep(void *arg)
{
    (void)arg;
    for (size_t kib = 1; kib <= BY_BUILD(44, 8, 20); kib++)
        EXPECT_IS(use_stack(kib << 10, close_with_one, NULL), 0);
    return 0;
}

static void children_of_deep_parents_have_room(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, children_of_the_deep, NULL);
}

/* ---- Failing ---- */

static int fail_after_a_yield(void *arg)
{
    (void)thrum_yield();
    return (int)(intptr_t)arg;
}

static int nested_sleepers(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 10; i++) { /* it may have been cancelled before it began */
        int err = thrum_scope_spawn(&scope, sleep_for_ever, NULL);
        EXPECT(err == 0 || err == -ECANCELED);
    }
    return thrum_scope_close(&scope);
}

static int failure_cancels(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    spawn(&scope, 10, sleep_for_ever, 0);
    spawn(&scope, 10, nested_sleepers, 0);
    spawn(&scope, 1, fail_after_a_yield, -EIO);
    EXPECT_IS(thrum_sleep(THRUM_NEVER), -ECANCELED); /* the owner's own waits too */
    EXPECT_IS(thrum_check(), -ECANCELED);
    EXPECT_IS(thrum_scope_spawn(&scope, return_arg, NULL), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -EIO);
    EXPECT_IS(thrum_check(), 0);
    EXPECT_IS(atomic_load(&ended), atomic_load(&cancelled));
    return 0;
}

static void the_first_failure_cancels_the_rest(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < 20; i++)
        assert_runs(*n, failure_cancels, NULL);
}

static int failures_kept(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, &(thrum_scope_opts){.keep_going = true});
    spawn(&scope, 1, return_arg, -EIO);
    spawn(&scope, 100, count_end, 0);
    spawn(&scope, 1, return_arg, -EIO);
    EXPECT_IS(thrum_scope_close(&scope), -EIO);
    EXPECT_IS(atomic_load(&ended), 100);
    return 0;
}

static void a_scope_that_keeps_going_cancels_nobody(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, failures_kept, NULL);
}

/* ---- Cancelling ---- */

static int cancel_all(void *arg)
{
    thrum_scope outer, inner;
    (void)arg;
    reset();
    thrum_scope_open(&outer, NULL);
    spawn(&outer, 10, sleep_for_ever, 0);
    spawn(&outer, 10, nested_sleepers, 0);
    thrum_scope_open(&inner, NULL);
    spawn(&inner, 10, sleep_for_ever, 0);
    for (int i = 0; i < 50; i++)
        (void)thrum_yield();
    thrum_scope_cancel(&outer);
    EXPECT_IS(thrum_check(), -ECANCELED);
    thrum_scope late;
    thrum_scope_open(&late, NULL); /* opened in a cancelled scope, it is cancelled */
    EXPECT_IS(thrum_check(), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&late), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&inner), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&outer), -ECANCELED);
    EXPECT_IS(atomic_load(&ended), atomic_load(&cancelled));
    EXPECT_IS(thrum_check(), 0);
    return 0;
}

static int cancel_inner_only(void *arg)
{
    thrum_scope outer, inner;
    (void)arg;
    reset();
    thrum_scope_open(&outer, NULL);
    spawn(&outer, 10, count_end, 0);
    thrum_scope_open(&inner, NULL);
    spawn(&inner, 10, sleep_for_ever, 0);
    thrum_scope_cancel(&inner);
    EXPECT_IS(thrum_scope_close(&inner), -ECANCELED);
    EXPECT_IS(thrum_check(), 0);
    EXPECT_IS(thrum_scope_close(&outer), 0);
    EXPECT_IS(atomic_load(&cancelled), 10);
    EXPECT_IS(atomic_load(&ended), 20);
    return 0;
}

static void cancelling_reaches_all_below_and_nothing_above(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < 20; i++) {
        assert_runs(*n, cancel_all, NULL);
        assert_runs(*n, cancel_inner_only, NULL);
    }
}

static void *cancel_from_outside(void *arg)
{
    thrum_scope_cancel(arg);
    return NULL;
}

static int cancelled_by_a_thread(void *arg)
{
    thrum_scope scope;
    pthread_t thread;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    spawn(&scope, 100, sleep_for_ever, 0);
    EXPECT_IS(pthread_create(&thread, NULL, cancel_from_outside, &scope), 0);
    EXPECT_IS(thrum_sleep(THRUM_NEVER), -ECANCELED);
    pthread_join(thread, NULL); /* the scope is open until it is done with it */
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(atomic_load(&cancelled), 100);
    return 0;
}

static void any_thread_may_cancel(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < 20; i++)
        assert_runs(*n, cancelled_by_a_thread, NULL);
}

/* ---- Shields ---- */

struct shielded {
    thrum_event in, go;
    thrum_scope *inner;
};

static int wait_in_shield(void *arg)
{
    struct shielded *s = arg;
    thrum_scope shield, within;
    thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true});
    thrum_scope_open(&within, NULL);
    thrum_event_set(&s->in);
    EXPECT_IS(thrum_event_wait(&s->go), 0); /* the cancel of the outer scope passes by */
    EXPECT_IS(thrum_check(), 0);
    EXPECT_IS(thrum_scope_close(&within), 0);
    EXPECT_IS(thrum_scope_close(&shield), 0);
    EXPECT_IS(thrum_check(), -ECANCELED);
    atomic_fetch_add(&ended, 1);
    return 0;
}

static int wait_in_cancelled_shield(void *arg)
{
    struct shielded *s = arg;
    thrum_scope shield;
    thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true});
    s->inner = &shield;
    thrum_event_set(&s->in);
    EXPECT_IS(thrum_sleep(THRUM_NEVER), -ECANCELED); /* by its own cancel */
    EXPECT_IS(thrum_scope_close(&shield), -ECANCELED);
    atomic_fetch_add(&ended, 1);
    return 0;
}

static int shields(void *arg)
{
    struct shielded a = {.in = THRUM_EVENT_INIT}, b = {.in = THRUM_EVENT_INIT};
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, wait_in_shield, &a), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, wait_in_cancelled_shield, &b), 0);
    EXPECT_IS(thrum_event_wait(&a.in), 0);
    EXPECT_IS(thrum_event_wait(&b.in), 0);
    thrum_scope_cancel(&scope);
    EXPECT_IS(atomic_load(&ended), 0); /* both still wait: nothing has let them go on */
    thrum_event_set(&a.go);
    thrum_scope_cancel(b.inner);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(atomic_load(&ended), 2);
    return 0;
}

static void a_shield_keeps_outer_cancels_away_and_no_others(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < 50; i++)
        assert_runs(*n, shields, NULL);
}

/* ---- Cancelling while everything moves ---- */

static int restless(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int err = 0;
    while (!err) {
        thrum_scope scope;
        thrum_scope_open(&scope, &(thrum_scope_opts){.shield = random_below(&random, 8) == 0});
        uint32_t n = random_below(&random, 4);
        for (uint32_t i = 0; i < n; i++)
            (void)thrum_scope_spawn(&scope, fail_after_a_yield,
                                    (void *)(intptr_t)(i == 3 ? -EIO : 0));
        if (random_below(&random, 4) == 0)
            thrum_scope_cancel(&scope);
        (void)thrum_sleep(random_below(&random, 20) * THRUM_MICROSECOND);
        (void)thrum_scope_close(&scope);
        err = thrum_check();
    }
    atomic_fetch_add(&ended, 1);
    return err;
}

static int cancel_the_restless(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS / 10; round++) {
        thrum_scope scope;
        reset();
        thrum_scope_open(&scope, NULL);
        for (intptr_t i = 1; i <= 8; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, restless, (void *)(i + round * 8)), 0);
        for (int i = 0; i < round % 20; i++)
            (void)thrum_yield();
        thrum_scope_cancel(&scope);
        EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
        EXPECT_IS(atomic_load(&ended), 8);
    }
    return 0;
}

static void cancelling_races_with_opening_closing_and_spawning(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, cancel_the_restless, NULL);
}

static int many_scopes(void *arg)
{
    thrum_scope scope;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        thrum_scope_open(&scope, NULL);
        spawn(&scope, 3, count_end, 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    return 0;
}

static int scopes_at_once(void *arg)
{
    thrum_scope scope;
    (void)arg;
    reset();
    thrum_scope_open(&scope, NULL);
    spawn(&scope, ROUNDS, many_scopes, 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&ended), ROUNDS * 60);
    return 0;
}

static void thousands_of_scopes_open_and_close(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, scopes_at_once, NULL);
}

/* ---- Gather ---- */

static int gather_inner(void *arg)
{
    thrum_call calls[5];
    (void)arg;
    for (int i = 0; i < 5; i++)
        calls[i] = (thrum_call){.fn = return_arg, .arg = (void *)(intptr_t)i};
    EXPECT_IS(thrum_gather(calls, 5), 0);
    return calls[4].result;
}

static int gather_some(void *arg)
{
    thrum_call calls[100];
    (void)arg;
    EXPECT_IS(thrum_gather(calls, 0), 0);
    for (int i = 0; i < 100; i++)
        calls[i] = (thrum_call){.fn = return_arg, .arg = (void *)(intptr_t)i};
    EXPECT_IS(thrum_gather(calls, 100), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(calls[i].result, i);
    calls[20].arg =
        (void
             *)(intptr_t)-EIO; /* the first of two failures in the array's order; the others run on */
    calls[70].arg = (void *)(intptr_t)-EPERM;
    EXPECT_IS(thrum_gather(calls, 100), -EIO);
    EXPECT_IS(calls[70].result, -EPERM);
    EXPECT_IS(calls[99].result, 99);
    for (int i = 0; i < 100; i++)
        calls[i] = (thrum_call){.fn = gather_inner};
    EXPECT_IS(thrum_gather(calls, 100), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_IS(calls[i].result, 4);
    return 0;
}

static int gather_cancelled(void *arg)
{
    thrum_scope scope;
    thrum_call calls[3] = {{.fn = sleep_for_ever}, {.fn = return_arg}, {.fn = sleep_for_ever}};
    (void)arg;
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_gather(calls, 3), -ECANCELED);
    EXPECT_IS(calls[1].result, -ECANCELED); /* it never ran */
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static void gather_gives_each_call_its_result(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, gather_some, NULL);
        assert_runs(*n, gather_cancelled, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_waits_for_every_task),
        cmocka_unit_test(tasks_of_a_scope_spawn_into_it),
        cmocka_unit_test(trees_of_scopes_add_up),
        cmocka_unit_test(children_that_need_each_other_all_run),
        cmocka_unit_test(children_of_deep_parents_have_room),
        cmocka_unit_test(the_first_failure_cancels_the_rest),
        cmocka_unit_test(a_scope_that_keeps_going_cancels_nobody),
        cmocka_unit_test(cancelling_reaches_all_below_and_nothing_above),
        cmocka_unit_test(any_thread_may_cancel),
        cmocka_unit_test(a_shield_keeps_outer_cancels_away_and_no_others),
        cmocka_unit_test(cancelling_races_with_opening_closing_and_spawning),
        cmocka_unit_test(thousands_of_scopes_open_and_close),
        cmocka_unit_test(gather_gives_each_call_its_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
