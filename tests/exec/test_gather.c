/* SPDX-License-Identifier: MIT */
/* Several calls at once: race, as completed, within, shielded; and the policies of scopes with their lists of errors. */
#include "tests/exec/running.h"

#include <thrum/gather.h>
#include <thrum/sync.h>

enum { CALLS = 8 };

struct step {
    uint64_t sleep_ns;
    int result;
    atomic_int *cancelled_n;
};

static int run_step(void *arg)
{
    struct step *s = arg;
    int err = thrum_sleep(s->sleep_ns);
    if (err == -ECANCELED && s->cancelled_n)
        atomic_fetch_add(s->cancelled_n, 1);
    return err ? err : s->result;
}

static int fail_at_once(void *arg)
{
    return *(int *)arg;
}

/* ---- Race ---- */

static int first_wins(void *arg)
{
    (void)arg;
    atomic_int cancelled = 0;
    struct step steps[CALLS];
    thrum_call calls[CALLS];
    for (int i = 0; i < CALLS; i++) {
        steps[i] = (struct step){i == 5 ? MS : 3600 * THRUM_SECOND, 40 + i, &cancelled};
        calls[i] = (thrum_call){.fn = run_step, .arg = &steps[i]};
    }
    EXPECT_IS(thrum_race(calls, CALLS), 5);
    EXPECT_IS(calls[5].result, 45);
    for (int i = 0; i < CALLS; i++)
        if (i != 5)
            EXPECT_IS(calls[i].result, -ECANCELED);
    EXPECT(atomic_load(&cancelled) <= CALLS - 1);
    return thrum_check(); /* the race's cancel stays in the race */
}

static int failures_do_not_win(void *arg)
{
    (void)arg;
    int codes[] = {-EIO, -EPERM, 3};
    thrum_call calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = (thrum_call){.fn = fail_at_once, .arg = &codes[i]};
    EXPECT_IS(thrum_race(calls, 3), 2);
    EXPECT_IS(thrum_race(calls, 2), -EIO);
    EXPECT_IS(thrum_race(calls, 0), -EINVAL);
    return 0;
}

static int a_race_ends_with_its_deadline(void *arg)
{
    (void)arg;
    struct step slow = {3600 * THRUM_SECOND, 0, NULL};
    thrum_call calls[2] = {{.fn = run_step, .arg = &slow}, {.fn = run_step, .arg = &slow}};
    thrum_timeout limit;
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_race(calls, 2), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    return 0;
}

static void race(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, first_wins, NULL);
        assert_runs(*n, failures_do_not_win, NULL);
        assert_runs(*n, a_race_ends_with_its_deadline, NULL);
    }
}

/* ---- As completed ---- */

static int each_comes_once(void *arg)
{
    (void)arg;
    struct step steps[CALLS];
    thrum_call calls[CALLS];
    bool seen[CALLS] = {false};
    thrum_completion c;
    thrum_call *done;
    for (int i = 0; i < CALLS; i++) {
        steps[i] =
            (struct step){(uint64_t)(CALLS - i) * 100 * THRUM_MICROSECOND, i % 3 ? i : -EIO, NULL};
        calls[i] = (thrum_call){.fn = run_step, .arg = &steps[i]};
    }
    thrum_completion_begin(&c, calls, CALLS);
    int n = 0, err;
    while ((err = thrum_completion_next(&c, &done)) == 0) {
        ptrdiff_t i = done - calls;
        EXPECT(!seen[i]);
        seen[i] = true;
        EXPECT_IS(done->result, steps[i].result);
        n++;
    }
    EXPECT_IS(err, THRUM_ECLOSED);
    EXPECT(done == NULL);
    EXPECT_IS(n, CALLS);
    thrum_completion_end(&c);
    return 0;
}

static int the_fast_comes_before_the_slow(void *arg)
{
    (void)arg;

    struct step slow = {3600 * THRUM_SECOND, 1, NULL}, fast = {0, 2, NULL};
    thrum_call calls[2] = {{.fn = run_step, .arg = &slow}, {.fn = run_step, .arg = &fast}};
    thrum_completion c;
    thrum_call *done;
    thrum_completion_begin(&c, calls, 2);
    EXPECT_IS(thrum_completion_next(&c, &done), 0);
    EXPECT(done == &calls[1]);
    thrum_timeout limit;
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_completion_next(&c, &done), -ETIMEDOUT);
    EXPECT(done == NULL);
    EXPECT(thrum_timeout_end(&limit));
    thrum_completion_end(&c);
    EXPECT_IS(calls[0].result, -ECANCELED);
    return 0;
}

static void as_completed(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        for (int i = 0; i < BY_BUILD(20, 5, 5); i++)
            assert_runs(*n, each_comes_once, NULL);
        assert_runs(*n, the_fast_comes_before_the_slow, NULL);
    }
}

/* ---- Within, shielded ---- */

static int sleep_long(void *arg)
{
    (void)arg;
    return thrum_sleep(3600 * THRUM_SECOND);
}

static int answer(void *arg)
{
    return *(int *)arg;
}

static int limits(void *arg)
{
    (void)arg;
    int value = 12;
    EXPECT_IS(thrum_within(MS, sleep_long, NULL), -ETIMEDOUT);
    EXPECT_IS(thrum_within(THRUM_SECOND, answer, &value), 12);
    EXPECT_IS(thrum_within(THRUM_NEVER, answer, &value), 12);
    value = -EIO;
    EXPECT_IS(thrum_within(0, answer, &value), -EIO); /* it failed by itself */
    return 0;
}

static int clean_up(void *arg)
{
    bool *slept = arg;
    *slept = thrum_sleep(MS) == 0;
    return 5;
}

static int cancelled_but_shielded(void *arg)
{
    (void)arg;
    bool slept = false;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.timeout_ns = 3600 * THRUM_SECOND});
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_sleep(0), -ECANCELED);
    EXPECT_IS(thrum_shielded(clean_up, &slept), 5);
    EXPECT(slept);
    EXPECT_IS(thrum_sleep(0), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static void one_call(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, limits, NULL);
        assert_runs(*n, cancelled_but_shielded, NULL);
    }
}

/* ---- Policies and lists of errors ---- */

static int errors_are_listed(void *arg)
{
    (void)arg;
    int codes[CALLS];
    thrum_scope_error errors[CALLS];
    thrum_scope scope;
    thrum_scope_open(&scope,
                     &(thrum_scope_opts){.keep_going = true, .errors = errors, .errors_max = 3});
    int line = 0;
    for (int i = 0; i < CALLS; i++) {
        codes[i] = i % 2 ? -EIO - i : i;
        line = __LINE__ + 1;
        EXPECT_IS(thrum_scope_spawn_named(&scope, "worker", fail_at_once, &codes[i]), 0);
    }
    int err = thrum_scope_close(&scope);
    EXPECT_IS(thrum_scope_errors_n(&scope), CALLS / 2);
    EXPECT_IS(err, errors[0].code);
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(errors[i].code, *(int *)errors[i].arg);
        EXPECT(strcmp(errors[i].name, "worker") == 0);
        EXPECT(errors[i].site && errors[i].site->line == (unsigned)line);
        EXPECT(strcmp(errors[i].site->function, "errors_are_listed") == 0);
    }
    return 0;
}

static int the_cancelled_are_no_errors(void *arg)
{
    (void)arg;
    thrum_scope_error errors[CALLS];
    int code = -EPROTO;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.errors = errors, .errors_max = CALLS});
    for (int i = 0; i < 5; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, sleep_long, NULL), 0);
    int err = thrum_yield();
    EXPECT_IS(err, 0);
    EXPECT_IS(thrum_scope_spawn(&scope, fail_at_once, &code), 0);
    EXPECT_IS(thrum_scope_close(&scope), -EPROTO);
    EXPECT_IS(thrum_scope_errors_n(&scope), 1);
    EXPECT_IS(errors[0].code, -EPROTO);
    return 0;
}

static int first_success_ends_it(void *arg)
{
    (void)arg;
    int codes[] = {-EIO, 17, -EPERM};
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.first_success = true});
    EXPECT_IS(thrum_scope_spawn(&scope, sleep_long, NULL), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, fail_at_once, &codes[0]), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, fail_at_once, &codes[1]), 0);
    EXPECT_IS(thrum_scope_close(&scope), 17);
    thrum_scope_open(&scope, &(thrum_scope_opts){.first_success = true});
    EXPECT_IS(thrum_scope_spawn(&scope, fail_at_once, &codes[2]), 0);
    EXPECT_IS(thrum_scope_close(&scope), -EPERM);
    return 0;
}

static void policies(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, errors_are_listed, NULL);
        assert_runs(*n, the_cancelled_are_no_errors, NULL);
        assert_runs(*n, first_success_ends_it, NULL);
    }
}

/* ---- A storm: races in races with deadlines ---- */

static int inner(void *arg)
{
    uint64_t *seed = arg;
    struct step steps[4];
    thrum_call calls[4];
    for (int i = 0; i < 4; i++) {
        steps[i] = (struct step){random_below(seed, 300) * THRUM_MICROSECOND,
                                 random_below(seed, 2) ? i : -EIO, NULL};
        calls[i] = (thrum_call){.fn = run_step, .arg = &steps[i]};
    }
    ssize_t won = thrum_race(calls, 4);
    if (won >= 0)
        EXPECT_IS(calls[won].result, won);
    return won >= 0 ? 0 : (int)won;
}

static int storm(void *arg)
{
    (void)arg;
    uint64_t seeds[CALLS];
    thrum_call calls[CALLS];
    for (int round = 0; round < BY_BUILD(100, 20, 20); round++) {
        for (int i = 0; i < CALLS; i++) {
            seeds[i] = (uint64_t)round * CALLS + (uint64_t)i;
            calls[i] = (thrum_call){.fn = inner, .arg = &seeds[i]};
        }
        thrum_timeout limit;
        thrum_timeout_begin(&limit, (uint64_t)(round % 7) * 50 * THRUM_MICROSECOND);
        ssize_t won = round % 2 ? thrum_race(calls, CALLS) : thrum_gather(calls, CALLS);
        bool late = thrum_timeout_end(&limit);
        if (won < 0 && won != -EIO)
            EXPECT(late && won == -ETIMEDOUT);
    }
    return 0;
}

static void races_in_races(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, storm, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(race),     cmocka_unit_test(as_completed),   cmocka_unit_test(one_call),
        cmocka_unit_test(policies), cmocka_unit_test(races_in_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
