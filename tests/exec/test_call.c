/* SPDX-License-Identifier: MIT */
/* Joins that enter the task they wait for (exec/call.h): what the joiner was promised holds when that task suspends after
 * all, in chains, with deadlines and cancels, on a stack that it shares with children. */
#include "tests/exec/running.h"

#include <thrum/gather.h>
#include <thrum/sync.h>

/* ---- A task that suspends after it was entered ---- */

static int wait_for_event(void *arg)
{
    return thrum_event_wait(arg);
}

static int joiner_times_out(void *arg)
{
    (void)arg;
    thrum_event e = THRUM_EVENT_INIT;
    thrum_task *task;
    thrum_timeout limit;
    EXPECT_IS(thrum_spawn(&task, wait_for_event, &e, NULL), 0);
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_join(task, NULL), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    thrum_event_set(&e);
    int result = -1;
    EXPECT_IS(thrum_join(task, &result), 0);
    EXPECT_IS(result, 0);
    return 0;
}

struct cancelling {
    thrum_event e;
    int joined;
};

static int join_it(void *task)
{
    return thrum_join(task, NULL);
}

static int join_a_waiter(void *arg)
{
    struct cancelling *c = arg;
    thrum_task *task;
    EXPECT_IS(thrum_spawn(&task, wait_for_event, &c->e, NULL), 0);
    c->joined = thrum_join(task, NULL);
    thrum_event_set(&c->e);
    EXPECT_IS(thrum_shielded(join_it, task), 0);
    return 0;
}

static int joiner_is_cancelled(void *arg)
{
    (void)arg;
    struct cancelling c = {.e = THRUM_EVENT_INIT, .joined = 1};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, join_a_waiter, &c), 0);
    EXPECT_IS(thrum_sleep(MS), 0);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(c.joined, -ECANCELED);
    return 0;
}

/* The scope is cancelled by the very task that was entered. */
struct in_scope {
    thrum_scope scope;
    thrum_event never;
};

static int cancel_and_wait(void *arg)
{
    struct in_scope *s = arg;
    thrum_scope_cancel(&s->scope);
    return thrum_sleep(MS); /* outside that scope: it goes on */
}

static int cancelled_from_within(void *arg)
{
    (void)arg;
    struct in_scope s = {.never = THRUM_EVENT_INIT};
    thrum_task *task;
    thrum_scope_open(&s.scope, NULL);
    EXPECT_IS(thrum_spawn(&task, cancel_and_wait, &s, NULL), 0);
    int err = thrum_join(task, NULL);
    EXPECT(err == -ECANCELED || err == 0);
    EXPECT_IS(thrum_scope_close(&s.scope), -ECANCELED);
    if (err)
        EXPECT_IS(thrum_join(task, NULL), 0);
    return 0;
}

/* ---- Chains ---- */

struct link {
    int depth;
    bool sleeps;
};

static int chain(void *arg)
{
    struct link *l = arg;
    if (l->depth == 0)
        return l->sleeps ? thrum_sleep(MS / 10) : 0;
    struct link next = {l->depth - 1, l->sleeps};
    thrum_task *task;
    int result = -1, err = thrum_spawn(&task, chain, &next, NULL);
    if (!err)
        err = thrum_join(task, &result);
    return err ? err : result + 1;
}

static int chains(void *arg)
{
    (void)arg;
    for (int depth = 0; depth < 40; depth++) {
        struct link at_once = {depth, false}, sleeping = {depth, true};
        EXPECT_IS(chain(&at_once), depth);
        EXPECT_IS(chain(&sleeping), depth);
    }
    return 0;
}

/* The innermost of a chain waits; all above it time out, innermost limits first or last. */
static int limited_chain(void *arg)
{
    struct link *l = arg;
    if (l->depth == 0)
        return thrum_sleep(20 * MS);
    struct link next = {l->depth - 1, true};
    thrum_task *task;
    thrum_timeout limit;
    EXPECT_IS(thrum_spawn(&task, limited_chain, &next, NULL), 0);
    thrum_timeout_begin(&limit, (uint64_t)(l->depth % 3 + 1) * MS);
    int err = thrum_join(task, NULL);
    thrum_timeout_end(&limit);
    if (err) {
        EXPECT_IS(err, -ETIMEDOUT);
        EXPECT_IS(thrum_join(task, NULL), 0);
    }
    return 0;
}

static int limited_chains(void *arg)
{
    (void)arg;
    struct link l = {6, true};
    return limited_chain(&l);
}

/* ---- A called task whose children run on its stack and suspend there ---- */

static int sleep_a_little(void *arg)
{
    (void)arg;
    return thrum_sleep(MS / 10);
}

static int scope_with_children(void *arg)
{
    (void)arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 3; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, sleep_a_little, NULL), 0);
    return thrum_scope_close(&scope);
}

static int children_on_a_called_stack(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        thrum_task *task;
        int result = -1;
        EXPECT_IS(thrum_spawn(&task, scope_with_children, NULL, NULL), 0);
        thrum_timeout limit;
        thrum_timeout_begin(&limit, (uint64_t)(i % 4) * MS / 20);
        int err = thrum_join(task, &result);
        thrum_timeout_end(&limit);
        if (err)
            err = thrum_join(task, &result);
        EXPECT_IS(err, 0);
        EXPECT_IS(result, 0);
    }
    return 0;
}

/* ---- Others have their turn; counting ---- */

static int count(void *arg)
{
    (*(int *)arg)++;
    return *(int *)arg;
}

static int spawn_and_join(void *arg)
{
    atomic_bool *over = arg;
    int n = 0, result = 0;
    for (int i = 0; i < BY_BUILD(20000, 4000, 1000); i++) {
        thrum_task *task;
        EXPECT_IS(thrum_spawn(&task, count, &n, NULL), 0);
        EXPECT_IS(thrum_join(task, &result), 0);
        EXPECT_IS(result, i + 1);
    }
    atomic_store(over, true);
    return 0;
}

static int watch(void *arg)
{
    atomic_bool *over = arg;
    int turns = 0, err = 0;
    while (!atomic_load(over) && !err) {
        turns++;
        err = thrum_yield();
    }
    EXPECT(turns > 2); /* it was not kept waiting to the end */
    return err;
}

static int others_have_their_turn(void *arg)
{
    (void)arg;
    atomic_bool over = false;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn(&scope, watch, &over), 0);
    int err = thrum_yield();
    EXPECT_IS(err, 0);
    EXPECT_IS(thrum_scope_spawn(&scope, spawn_and_join, &over), 0);
    return thrum_scope_close(&scope);
}

/* ---- A storm ---- */

struct storm {
    thrum_mutex mutex;
    long sum; /* guarded by mutex */
};

struct deed {
    struct storm *storm;
    uint64_t seed;
    int depth;
};

static int deed(void *arg)
{
    struct deed *d = arg;
    uint32_t what = random_below(&d->seed, 6);
    int err = 0;
    if (what == 0)
        err = thrum_yield();
    else if (what == 1)
        err = thrum_sleep(random_below(&d->seed, 50) * THRUM_MICROSECOND);
    if (!err && d->depth > 0) {
        struct deed next = {d->storm, random_next(&d->seed), d->depth - 1};
        thrum_task *task;
        thrum_timeout limit;
        err = thrum_spawn(&task, deed, &next, NULL);
        if (err)
            return err;
        thrum_timeout_begin(&limit, random_below(&d->seed, 60) * THRUM_MICROSECOND);
        err = thrum_join(task, NULL);
        thrum_timeout_end(&limit);
        if (err == -ETIMEDOUT)
            err = thrum_join(task, NULL);
    }
    thrum_mutex_lock_shielded(&d->storm->mutex);
    d->storm->sum++;
    thrum_mutex_unlock(&d->storm->mutex);
    return err;
}

static int storm_task(void *arg)
{
    struct deed *first = arg;
    for (int i = 0; i < BY_BUILD(100, 30, 10); i++) {
        struct deed d = {first->storm, random_next(&first->seed), 5};
        EXPECT_IS(deed(&d), 0);
    }
    return 0;
}

static int storm(void *arg)
{
    (void)arg;
    struct storm s = {.mutex = THRUM_MUTEX_INIT};
    struct deed firsts[8];
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < 8; i++) {
        firsts[i] = (struct deed){&s, i, 0};
        EXPECT_IS(thrum_scope_spawn(&scope, storm_task, &firsts[i]), 0);
    }
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(s.sum, 8L * BY_BUILD(100, 30, 10) * 6);
    return 0;
}

static void run_all(thrum_fn *fn)
{
    FOR_WORKERS(n)
    assert_runs(*n, fn, NULL);
}

#define ON_ALL(fn)                                                                                 \
    static void test_##fn(void **state)                                                            \
    {                                                                                              \
        (void)state;                                                                               \
        run_all(fn);                                                                               \
    }

ON_ALL(joiner_times_out)
ON_ALL(joiner_is_cancelled)
ON_ALL(cancelled_from_within)
ON_ALL(chains)
ON_ALL(limited_chains)
ON_ALL(children_on_a_called_stack)
ON_ALL(others_have_their_turn)
ON_ALL(storm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joiner_times_out),
        cmocka_unit_test(test_joiner_is_cancelled),
        cmocka_unit_test(test_cancelled_from_within),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_limited_chains),
        cmocka_unit_test(test_children_on_a_called_stack),
        cmocka_unit_test(test_others_have_their_turn),
        cmocka_unit_test(test_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
