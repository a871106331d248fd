/* SPDX-License-Identifier: MIT */
/* Deadlines: which of several nested ones ends a wait, who inherits them, and what is reported. */
#include "running.h"

#include <thrum/chan.h>
#include <thrum/sync.h>

static thrum_event never = THRUM_EVENT_INIT;

/* Each kind of wait that does not end by itself. */
static int wait_sleep(void)
{
    return thrum_sleep(THRUM_NEVER);
}

static int wait_event(void)
{
    return thrum_event_wait(&never);
}

static int wait_mutex(void)
{
    thrum_mutex held = THRUM_MUTEX_INIT;
    EXPECT_IS(thrum_mutex_lock(&held), 0);
    return thrum_mutex_lock(&held);
}

static int wait_sem(void)
{
    thrum_sem none = THRUM_SEM_INIT(0);
    return thrum_sem_acquire(&none);
}

static int wait_group(void)
{
    thrum_wait_group g = THRUM_WAIT_GROUP_INIT;
    thrum_wait_group_add(&g, 1);
    return thrum_wait_group_wait(&g);
}

static int wait_recv(void)
{
    thrum_chan *ch;
    char c;
    EXPECT_IS(thrum_chan_new(&ch, 1, 1), 0);
    int err = thrum_chan_recv(ch, &c);
    thrum_chan_free(ch);
    return err;
}

static int wait_send(void)
{
    thrum_chan *ch;
    EXPECT_IS(thrum_chan_new(&ch, 1, 1), 0);
    EXPECT_IS(thrum_chan_try_send(ch, "x"), 0);
    int err = thrum_chan_send(ch, "y");
    thrum_chan_free(ch);
    return err;
}

static int (*const waits[])(void) = {
    wait_sleep, wait_event, wait_sem, wait_group, wait_recv, wait_send, wait_mutex,
};
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

/* The mutex is locked at first, which a deadline that is over does not hinder but a cancel does: not with a cancel. */
static int every_wait_ends(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAITS; i++)
        for (uint64_t timeout = 0; timeout <= MS; timeout += MS / 2) {
            thrum_timeout limit;
            thrum_timeout_begin(&limit, timeout);
            EXPECT_IS(waits[i](), -ETIMEDOUT);
            EXPECT_IS(thrum_check(), -ETIMEDOUT);
            EXPECT_IS(thrum_yield(), -ETIMEDOUT);
            EXPECT_IS(waits[i](), -ETIMEDOUT); /* again and again */
            EXPECT(thrum_timeout_end(&limit));
            EXPECT_IS(thrum_check(), 0);
            EXPECT_IS(thrum_sleep(0), 0);
        }
    return 0;
}

static void a_deadline_ends_every_kind_of_wait(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, every_wait_ends, NULL);
}

static int every_wait_is_cancelled(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAITS - 1; i++) {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        thrum_scope_cancel(&scope);
        EXPECT_IS(waits[i](), -ECANCELED);
        EXPECT_IS(thrum_check(), -ECANCELED);
        EXPECT_IS(thrum_yield(), -ECANCELED);
        EXPECT_IS(waits[i](), -ECANCELED);
        EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
        EXPECT_IS(thrum_check(), 0);
    }
    return 0;
}

static void a_cancel_ends_every_kind_of_wait(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, every_wait_is_cancelled, NULL);
}

/* ---- Nested limits ---- */

static int nested(void *arg)
{
    (void)arg;
    thrum_timeout outer, middle, inner;
    thrum_timeout_begin(&outer, THRUM_SECOND * 1000);
    thrum_timeout_begin(&middle, 2 * MS);
    thrum_timeout_begin(&inner, THRUM_SECOND * 100);
    EXPECT_IS(thrum_sleep(THRUM_SECOND * 10), -ETIMEDOUT);
    EXPECT(!thrum_timeout_end(&inner)); /* not its own time */
    EXPECT(thrum_timeout_end(&middle));
    EXPECT_IS(thrum_check(), 0);
    EXPECT(!thrum_timeout_end(&outer));

    thrum_timeout_begin(&outer, THRUM_NEVER);
    thrum_timeout_begin(&middle, THRUM_NEVER);
    EXPECT_IS(thrum_sleep(1), 0);
    EXPECT(!thrum_timeout_end(&middle));
    EXPECT(!thrum_timeout_end(&outer));

    thrum_timeout_begin(&outer, 1000 * THRUM_SECOND);
    thrum_timeout_begin(&inner, 0);
    EXPECT_IS(thrum_sleep(1), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&inner));
    EXPECT_IS(thrum_sleep(1), 0); /* within what is left of the outer one */
    EXPECT(!thrum_timeout_end(&outer));
    return 0;
}

static void the_earliest_enclosing_deadline_bounds(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, nested, NULL);
}

static int sleep_in_time(void *arg)
{
    (void)arg;
    thrum_timeout limit;
    thrum_timeout_begin(&limit, THRUM_SECOND * 100);
    EXPECT_IS(thrum_sleep(1 * MS), 0); /* its own end is no timeout */
    EXPECT(!thrum_timeout_end(&limit));
    return 0;
}

static void a_sleep_that_ends_in_time_is_a_success(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, sleep_in_time, NULL);
}

/* ---- Scopes with deadlines ---- */

static int sleep_long(void *arg)
{
    (void)arg;
    return thrum_sleep(THRUM_SECOND * 1000);
}

static int inherit(void *arg)
{
    (void)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = 2 * MS});
    for (int i = 0; i < 10;
         i++) { /* on a busy machine the time may be over before all are spawned */
        int err = thrum_scope_spawn(&scope, sleep_long, NULL);
        EXPECT(err == 0 || (i > 0 && err == -ECANCELED));
    }
    EXPECT_IS(thrum_sleep(THRUM_SECOND * 1000) == 0,
              0); /* its owner too: timeout, or a child's failure cancels */
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    EXPECT_IS(thrum_check(), 0);

    thrum_timeout limit; /* the limit in force when the scope is opened */
    thrum_timeout_begin(&limit, 2 * MS);
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = THRUM_SECOND * 100});
    EXPECT_IS(thrum_scope_spawn(&scope, sleep_long, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    return 0;
}

static void children_inherit_the_deadline(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, inherit, NULL);
}

static int own_limit_in_scope(void *arg)
{
    thrum_timeout limit;
    thrum_timeout_begin(&limit, (uintptr_t)arg);
    int err = thrum_sleep(THRUM_SECOND * 1000);
    return thrum_timeout_end(&limit) ? 0 : err;
}

static int inner_limits(void *arg)
{
    (void)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = THRUM_SECOND * 100});
    for (int i = 0; i < 10; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, own_limit_in_scope, (void *)(uintptr_t)(MS / 2)), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0); /* each had its own time, none failed */

    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = 1 * MS});
    EXPECT_IS(
        thrum_scope_spawn(&scope, own_limit_in_scope, (void *)(uintptr_t)(100 * THRUM_SECOND)), 0);
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    return 0;
}

static void a_child_has_limits_of_its_own(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, inner_limits, NULL);
}

/* A shield keeps an enclosing deadline away, but not its own. */
static int shielded_deadlines(void *arg)
{
    (void)arg;
    thrum_timeout limit;
    thrum_scope shield;
    thrum_timeout_begin(&limit, 0);
    thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true});
    EXPECT_IS(thrum_check(), 0);
    EXPECT_IS(thrum_sleep(MS / 4), 0);
    EXPECT_IS(thrum_scope_close(&shield), 0);
    thrum_scope_open(&shield, &(thrum_scope_opts){.shield = true, .timeout_ns = MS});
    EXPECT_IS(thrum_scope_spawn(&shield, sleep_long, NULL), 0);
    EXPECT_IS(thrum_scope_close(&shield), -ETIMEDOUT);
    EXPECT_IS(thrum_check(), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    return 0;
}

static void a_shield_keeps_enclosing_deadlines_away(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, shielded_deadlines, NULL);
}

static int swallow_timeout(void *arg)
{
    (void)arg;
    EXPECT(thrum_sleep(THRUM_SECOND * 1000) < 0);
    return 0;
}

/* thrum_scope_close(): "-ETIMEDOUT if a deadline ran out and no child failed before". */
static int ran_out(void *arg)
{
    (void)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = MS});
    EXPECT_IS(thrum_scope_spawn(&scope, swallow_timeout, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = MS});
    EXPECT_IS(thrum_sleep(THRUM_SECOND), -ETIMEDOUT);
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    thrum_timeout limit;
    thrum_timeout_begin(&limit, MS);
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_sleep(THRUM_SECOND), -ETIMEDOUT);
    EXPECT_IS(thrum_scope_close(&scope), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = THRUM_SECOND * 1000});
    EXPECT_IS(thrum_scope_close(&scope), 0);
    return 0;
}

static void closing_reports_a_deadline_that_ran_out(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, ran_out, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_every_kind_of_wait),
        cmocka_unit_test(a_cancel_ends_every_kind_of_wait),
        cmocka_unit_test(the_earliest_enclosing_deadline_bounds),
        cmocka_unit_test(a_sleep_that_ends_in_time_is_a_success),
        cmocka_unit_test(children_inherit_the_deadline),
        cmocka_unit_test(a_child_has_limits_of_its_own),
        cmocka_unit_test(a_shield_keeps_enclosing_deadlines_away),
        cmocka_unit_test(closing_reports_a_deadline_that_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
