/* SPDX-License-Identifier: MIT */
/* Task-locals: bound for a call, hidden by inner bindings, inherited by the tasks of scopes, and no limit of anything. */
#include "running.h"

#include <sys/wait.h>
#include <thrum/gather.h>
#include <thrum/local.h>
#include <unistd.h>

static char words[8][8] = {"a", "b", "c", "d", "e", "f", "g", "h"};
static thrum_local one = THRUM_LOCAL_INIT;
static thrum_local two = THRUM_LOCAL_INIT_TO(words[7]);

/* ---- In one task ---- */

static int bind_in_one_task(void *arg)
{
    thrum_local_binding outer, other, inner, none;
    (void)arg;
    EXPECT(thrum_local_get(&one) == NULL);
    EXPECT(!thrum_local_is_bound(&one));
    EXPECT(thrum_local_get(&two) == words[7]); /* what it is where nothing is bound */
    EXPECT(!thrum_local_is_bound(&two));

    thrum_local_bind(&outer, &one, words[0]);
    EXPECT(thrum_local_get(&one) == words[0]);
    EXPECT(thrum_local_get(&two) == words[7]);
    thrum_local_bind(&other, &two, words[1]);
    thrum_local_bind(&inner, &one, words[2]);
    EXPECT(thrum_local_get(&one) == words[2]);
    EXPECT(thrum_local_get(&two) == words[1]);
    thrum_local_bind(&none, &two, NULL); /* a bound NULL is a value */
    EXPECT(thrum_local_get(&two) == NULL);
    EXPECT(thrum_local_is_bound(&two));
    thrum_local_unbind(&none);
    thrum_local_unbind(&inner);
    EXPECT(thrum_local_get(&one) == words[0]);
    EXPECT(thrum_local_get(&two) == words[1]);
    thrum_local_unbind(&other);
    EXPECT(thrum_local_get(&two) == words[7]);
    thrum_local_unbind(&outer);
    EXPECT(!thrum_local_is_bound(&one));
    return 0;
}

static void a_binding_holds_until_its_end_and_hides_those_outside(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, bind_in_one_task, NULL);
}

/* ---- Limits ---- */

/* Deadlines work through bindings, and the one that fired is still told from the others. */
static int bind_between_limits(void *arg)
{
    thrum_timeout far, near;
    thrum_local_binding outer, middle, inner;
    (void)arg;
    thrum_local_bind(&outer, &one, words[0]);
    thrum_timeout_begin(&far, 600 * THRUM_SECOND);
    thrum_local_bind(&middle, &one, words[1]);
    thrum_timeout_begin(&near, MS);
    thrum_local_bind(&inner, &two, words[2]);
    EXPECT_IS(thrum_sleep(300 * THRUM_SECOND), -ETIMEDOUT);
    EXPECT_IS(thrum_check(), -ETIMEDOUT);
    thrum_local_unbind(&inner);
    EXPECT(thrum_timeout_end(&near));
    EXPECT_IS(thrum_check(), 0);
    EXPECT(thrum_local_get(&one) == words[1]);
    thrum_local_unbind(&middle);
    EXPECT(!thrum_timeout_end(&far));

    thrum_timeout_begin(&far, 0);
    thrum_local_bind(&middle, &one, words[1]);
    thrum_timeout_begin(&near, 600 * THRUM_SECOND);
    thrum_local_bind(&inner, &two, words[2]);
    EXPECT_IS(thrum_check(), -ETIMEDOUT);
    thrum_local_unbind(&inner);
    EXPECT(!thrum_timeout_end(&near));
    thrum_local_unbind(&middle);
    EXPECT(thrum_timeout_end(&far));
    EXPECT(thrum_local_get(&one) == words[0]);
    thrum_local_unbind(&outer);
    return 0;
}

static int wait_for_cancel(void *arg)
{
    thrum_local_binding inner;
    thrum_local_bind(&inner, &one, arg);
    EXPECT_IS(thrum_sleep(300 * THRUM_SECOND), -ECANCELED);
    EXPECT(thrum_local_get(&one) == arg);
    thrum_local_unbind(&inner);
    return 0;
}

static int cancel_through_bindings(void *arg)
{
    thrum_scope scope;
    thrum_local_binding outer;
    (void)arg;
    thrum_local_bind(&outer, &one, words[0]);
    thrum_scope_open(&scope, NULL);
    for (int i = 1; i < 8; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, wait_for_cancel, words[i]), 0);
    EXPECT_IS(thrum_sleep(MS), 0);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT(thrum_local_get(&one) == words[0]);
    thrum_local_unbind(&outer);
    return 0;
}

static void bindings_do_not_disturb_deadlines_and_cancels(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        assert_runs(*n, bind_between_limits, NULL);
        assert_runs(*n, cancel_through_bindings, NULL);
    }
}

/* ---- Other tasks ---- */

static int expect_one(void *arg)
{
    EXPECT(thrum_local_get(&one) == arg);
    EXPECT_IS(thrum_yield(), 0); /* perhaps on another thread from here */
    EXPECT(thrum_local_get(&one) == arg);
    return 0;
}

static int inherit_or_not(void *arg)
{
    thrum_scope scope, inner;
    thrum_local_binding before, after;
    thrum_task *loose;
    int result = -1;
    (void)arg;
    thrum_local_bind(&before, &one, words[0]);
    thrum_scope_open(&scope, NULL);
    thrum_local_bind(&after, &one, words[1]);
    thrum_scope_open(&inner, NULL);
    EXPECT_IS(thrum_scope_spawn(&inner, expect_one, words[1]), 0);
    EXPECT_IS(thrum_scope_spawn(&scope, expect_one, words[0]), 0); /* as at its opening */
    EXPECT_IS(thrum_scope_close(&inner), 0);
    thrum_local_unbind(&after);
    EXPECT_IS(thrum_spawn(&loose, expect_one, NULL, NULL), 0); /* outlives all scopes: nothing */
    EXPECT_IS(thrum_join(loose, &result), 0);
    EXPECT_IS(result, 0);
    thrum_call calls[] = {{.fn = expect_one, .arg = words[0]}, {.fn = expect_one, .arg = words[0]}};
    EXPECT_IS(thrum_gather(calls, 2), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    thrum_local_unbind(&before);
    return 0;
}

static void tasks_inherit_what_was_bound_when_their_scope_was_opened(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, inherit_or_not, NULL);
}

/* A tree of tasks: each binds its own depth, and finds those of its ancestors where it left them. */
enum { DEPTH = BY_BUILD(9, 8, 6) };
static thrum_local depths[DEPTH + 1];
static atomic_int leaves;

static int branch(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    thrum_local_binding binding;
    thrum_scope scope;
    for (intptr_t d = 0; d <= DEPTH; d++)
        EXPECT_IS((intptr_t)thrum_local_get(&depths[d]), d < depth ? d + 1 : 0);
    if (depth == DEPTH) {
        atomic_fetch_add(&leaves, 1);
        return thrum_yield();
    }
    thrum_local_bind(&binding, &depths[depth], (void *)(depth + 1));
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 2; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, branch, (void *)(depth + 1)), 0);
    EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    for (intptr_t d = 0; d <= DEPTH; d++)
        EXPECT_IS((intptr_t)thrum_local_get(&depths[d]), d <= depth ? d + 1 : 0);
    thrum_local_unbind(&binding);
    return 0;
}

static void each_task_of_a_tree_sees_its_ancestors_bindings(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    {
        atomic_store(&leaves, 0);
        assert_runs(*n, branch, NULL);
        assert_int_equal(atomic_load(&leaves), 1 << DEPTH);
    }
}

/* ---- Misuse ---- */

static int unbind_the_outer_first(void *arg)
{
    thrum_local_binding outer, inner;
    (void)arg;
    thrum_local_bind(&outer, &one, words[0]);
    thrum_local_bind(&inner, &one, words[1]);
    thrum_local_unbind(&outer);
    return 0;
}

static int close_under_a_binding(void *arg)
{
    thrum_scope scope;
    thrum_local_binding inner;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    thrum_local_bind(&inner, &one, words[1]);
    return thrum_scope_close(&scope);
}

/* fn ends the process with a message. */
static void assert_aborts(thrum_fn *fn)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        thrum_run(fn, NULL, &(thrum_run_opts){.workers = 1});
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void a_binding_that_is_not_the_innermost_cannot_be_ended(void **state)
{
    (void)state;
    assert_aborts(unbind_the_outer_first);
    assert_aborts(close_under_a_binding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binding_that_is_not_the_innermost_cannot_be_ended),
        cmocka_unit_test(a_binding_holds_until_its_end_and_hides_those_outside),
        cmocka_unit_test(bindings_do_not_disturb_deadlines_and_cancels),
        cmocka_unit_test(tasks_inherit_what_was_bound_when_their_scope_was_opened),
        cmocka_unit_test(each_task_of_a_tree_sees_its_ancestors_bindings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
