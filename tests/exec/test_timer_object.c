/* SPDX-License-Identifier: MIT */
/* thrum_timer: fires once at its time and not before, can be moved and cancelled from any task, ticks without drifting, and
 * leaves its storage when it says so. */
#include "running.h"

#include <stdatomic.h>
#include <thrum/timer.h>

/* ---- Once ---- */

static int fires_once(void *arg)
{
    (void)arg;
    thrum_timer t = THRUM_TIMER_INIT;
    EXPECT(!thrum_event_is_set(&t.fired));
    uint64_t before = thrum_now();
    EXPECT(!thrum_timer_set(&t, 5 * MS));
    EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT(thrum_now() - before >= 5 * MS);
    EXPECT(thrum_event_is_set(&t.fired));
    EXPECT_IS(thrum_timer_wait(&t), 0); /* it stays fired */
    EXPECT(!thrum_timer_cancel(&t));
    EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT_IS(thrum_timer_missed(&t), 0);

    EXPECT(!thrum_timer_set(&t, 60 * THRUM_SECOND)); /* until it is set anew */
    EXPECT(!thrum_event_is_set(&t.fired));
    EXPECT(thrum_timer_set(&t, 0));
    EXPECT_IS(thrum_timer_wait(&t), 0);
    before = thrum_now();
    EXPECT(!thrum_timer_set_at(&t, before + 2 * MS));
    EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT(thrum_now() >= before + 2 * MS);
    return 0;
}

static void a_timer_fires_once_and_stays_fired(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, fires_once, NULL);
}

static int cancels(void *arg)
{
    (void)arg;
    thrum_timer t = THRUM_TIMER_INIT;
    EXPECT(!thrum_timer_cancel(&t)); /* never set */
    const uint64_t timeouts[] = {MS, 300 * MS, 90 * THRUM_SECOND, THRUM_NEVER - 1, THRUM_NEVER};
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        thrum_timer_set(&t, timeouts[i]);
        bool armed = thrum_timer_cancel(&t);
        EXPECT(armed || i < 2); /* the short ones may be over */
        EXPECT(!thrum_timer_cancel(&t));
        EXPECT(thrum_event_is_set(&t.fired) == !armed);
    }
    thrum_timeout limit;
    thrum_timeout_begin(&limit, 5 * MS);
    EXPECT_IS(thrum_timer_wait(&t), -ETIMEDOUT); /* it does not fire */
    EXPECT(thrum_timeout_end(&limit));
    return 0;
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, cancels, NULL);
}

static int wait_for(void *arg)
{
    return thrum_timer_wait(arg);
}

static int all_are_woken(void *arg)
{
    (void)arg;
    thrum_timer t = THRUM_TIMER_INIT;
    thrum_scope scope, doomed;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 50; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, wait_for, &t), 0);
    thrum_scope_open(&doomed, NULL);
    EXPECT_IS(thrum_scope_spawn(&doomed, wait_for, &t), 0);
    EXPECT_IS(thrum_sleep(MS), 0);
    thrum_scope_cancel(&doomed);
    EXPECT_IS(thrum_scope_close(&doomed), -ECANCELED);
    uint64_t before = thrum_now();
    thrum_timer_set(&t, 60 * THRUM_SECOND);
    EXPECT_IS(thrum_sleep(MS), 0);
    EXPECT(thrum_timer_set(&t, 10 * MS)); /* those that wait wait for the new time */
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT(thrum_now() - before >= 10 * MS);
    return 0;
}

static void all_that_wait_are_woken(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, all_are_woken, NULL);
}

/* ---- With a period ---- */

static int ticks(void *arg)
{
    (void)arg;
    thrum_timer t = THRUM_TIMER_INIT;
    const uint64_t period = 2 * MS;
    uint64_t before = thrum_now();
    EXPECT(!thrum_timer_set_period(&t, MS, period));
    uint64_t taken = 0;
    for (int i = 0; i < 20; i++) {
        EXPECT_IS(thrum_timer_wait(&t), 0);
        taken++;
        /* The k-th tick is no earlier than the first and k - 1 periods; those that were missed are counted. */
        uint64_t ended = taken + thrum_timer_missed(&t);
        EXPECT(thrum_now() - before >= MS + (ended - 1) * period);
    }
    uint64_t missed = thrum_timer_missed(&t);
    int err = 0;
    while (thrum_timer_missed(&t) < missed + 7 && !err) { /* nobody waits during the sleeps */
        err = thrum_sleep(20 * MS);
        EXPECT_IS(thrum_timer_wait(&t), err);
    }
    EXPECT_IS(err, 0);
    EXPECT(thrum_timer_cancel(&t));

    EXPECT(!thrum_timer_set(&t, MS)); /* now without */
    EXPECT_IS(thrum_timer_missed(&t), 0);
    EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT(!thrum_timer_cancel(&t));
    return 0;
}

static void ticks_do_not_drift_and_missed_ones_are_counted(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, ticks, NULL);
}

static int extremes(void *arg)
{
    (void)arg;
    thrum_timer t = THRUM_TIMER_INIT;
    thrum_timer_set_period(&t, 0, 1); /* ticks whenever somebody looks */
    for (int i = 0; i < 100; i++)
        EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT(thrum_timer_missed(&t) > 0);
    EXPECT(thrum_timer_set_period(&t, MS, THRUM_NEVER)); /* one tick */
    EXPECT_IS(thrum_timer_wait(&t), 0);
    EXPECT(!thrum_event_is_set(&t.fired));
    EXPECT(thrum_timer_cancel(&t));
    return 0;
}

static void any_period_will_do(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, extremes, NULL);
}

/* ---- Many tasks on one timer, and the end of its storage ---- */

enum { STORM_TASKS = 8, STORM_TIMERS = 3 };

struct storm {
    thrum_timer timers[STORM_TIMERS];
    atomic_uint random;
    int rounds;
};

static int storm_task(void *arg)
{
    struct storm *s = arg;
    uint64_t random = atomic_fetch_add(&s->random, 1);
    int err = 0;
    for (int i = 0; i < s->rounds && !err; i++) {
        thrum_timer *t = &s->timers[random_below(&random, STORM_TIMERS)];
        uint32_t us = random_below(&random, 4) ? 0 : random_below(&random, 200);
        switch (random_below(&random, 5)) {
        case 0:
            thrum_timer_set(t, us * THRUM_MICROSECOND);
            break;
        case 1:
            thrum_timer_set(t, THRUM_SECOND);
            break;
        case 2:
            thrum_timer_set_period(t, us * THRUM_MICROSECOND, 50 * THRUM_MICROSECOND);
            break;
        case 3:
            thrum_timer_cancel(t);
            break;
        default:
            thrum_timer_set(t, us * THRUM_MICROSECOND);
            thrum_timeout limit;
            thrum_timeout_begin(&limit, 100 * THRUM_MICROSECOND); /* others may cancel it */
            err = thrum_timer_wait(t);
            if (thrum_timeout_end(&limit) && err == -ETIMEDOUT)
                err = 0;
        }
    }
    return err;
}

static int storm(void *arg)
{
    struct storm *s = arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < STORM_TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, storm_task, s), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (int i = 0; i < STORM_TIMERS; i++) {
        thrum_timer_cancel(&s->timers[i]);
        EXPECT(!thrum_timer_cancel(&s->timers[i]));
        thrum_timer_set(&s->timers[i], 0); /* all is as it was */
        EXPECT_IS(thrum_timer_wait(&s->timers[i]), 0);
    }
    return 0;
}

static void any_task_may_set_and_cancel(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        struct storm *s = calloc(1, sizeof(*s));
        assert_non_null(s);
        s->rounds = BY_BUILD(4000, 1500, 500);
        assert_runs(*n, storm, s);
        free(s);
    }
}

struct own {
    atomic_bool over;
    int rounds;
};

/* Storage that goes as soon as it may: AddressSanitizer sees who comes late. */
static int short_lived(void *arg)
{
    struct own *o = arg;
    uint64_t random = (uintptr_t)&o / 64;
    for (int i = 0; i < o->rounds; i++) {
        thrum_timer *t = calloc(1, sizeof(*t));
        EXPECT(t != NULL);
        if (!t)
            return -ENOMEM;
        thrum_timer_set(t, random_below(&random, 30) * THRUM_MICROSECOND);
        uint32_t how = random_below(&random, 3);
        if (how == 0)
            EXPECT_IS(thrum_timer_wait(t), 0);
        for (uint32_t spin = how == 1 ? random_below(&random, 3) : 0; spin > 0; spin--)
            thrum_yield(); /* it moves to another worker, perhaps, and the timer runs out there */
        if (how > 0)
            thrum_timer_cancel(t);
        memset(t, 0xA5, sizeof(*t));
        free(t);
    }
    return 0;
}

static int many_short_lived(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 16; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, short_lived, arg), 0);
    return thrum_scope_close(&scope);
}

static void storage_may_go_after_cancel_or_wait(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        struct own o = {.rounds = BY_BUILD(1000, 500, 150)};
        assert_runs(*n, many_short_lived, &o);
    }
}

static int leave_armed(void *arg)
{
    thrum_timer *timers = arg;
    thrum_timer_set(&timers[0], 20 * MS);
    thrum_timer_set(&timers[1], 60 * THRUM_SECOND);
    thrum_timer_set_period(&timers[2], 1000 * THRUM_SECOND, MS);
    return 0;
}

static int use_again(void *arg)
{
    thrum_timer *timers = arg;
    EXPECT(!thrum_timer_cancel(&timers[0]));
    for (int i = 1; i < 3; i++) {
        EXPECT(!thrum_timer_set(&timers[i], 0));
        EXPECT_IS(thrum_timer_wait(&timers[i]), 0);
    }
    return 0;
}

static void a_timer_serves_one_runtime_after_the_other(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        thrum_timer timers[3] = {THRUM_TIMER_INIT, THRUM_TIMER_INIT, THRUM_TIMER_INIT};
        assert_runs(*n, leave_armed, timers);
        assert_runs(*n, use_again, timers);
    }
}

/* ---- Time limits, as their cancelling is moved on again and again ---- */

static int churn(void *arg)
{
    (void)arg;
    enum { LIVE = 1000 };
    static thrum_timer live[LIVE];
    memset(live, 0, sizeof(live));
    for (size_t i = 0; i < LIVE; i++)
        EXPECT(!thrum_timer_set(&live[i], 60 * THRUM_SECOND));
    for (size_t i = 0; i < 50 * LIVE; i++) {
        EXPECT(thrum_timer_set(&live[i % LIVE], 60 * THRUM_SECOND));
        if (i % 1000 == 0)
            thrum_yield();
    }
    for (size_t i = 0; i < LIVE; i++)
        EXPECT(thrum_timer_cancel(&live[i]));
    return 0;
}

static void a_time_limit_is_moved_on(void **state)
{
    (void)state;
    assert_runs(1, churn, NULL);
    assert_runs(4, churn, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_stays_fired),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(all_that_wait_are_woken),
        cmocka_unit_test(ticks_do_not_drift_and_missed_ones_are_counted),
        cmocka_unit_test(any_period_will_do),
        cmocka_unit_test(any_task_may_set_and_cancel),
        cmocka_unit_test(storage_may_go_after_cancel_or_wait),
        cmocka_unit_test(a_timer_serves_one_runtime_after_the_other),
        cmocka_unit_test(a_time_limit_is_moved_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
