/* SPDX-License-Identifier: MIT */
/* Fork-join: every fork runs once, wherever it runs, whatever suspends, and its parent gets its result. */
#include "running.h"

#include <thrum/chan.h>
#include <thrum/fork.h>
#include <thrum/local.h>

/* ---- Values ---- */

struct fib {
    unsigned n;
    uint64_t value;
    int (*leaf)(void); /* or NULL */
};

static int fib(void *arg)
{
    struct fib *f = arg;
    f->value = f->n;
    if (f->n < 2)
        return f->leaf ? f->leaf() : 0;
    struct fib a = {.n = f->n - 1, .leaf = f->leaf}, b = {.n = f->n - 2, .leaf = f->leaf};
    thrum_forked forked;
    thrum_fork(&forked, fib, &a);
    int err = fib(&b);
    int other = thrum_join_fork(&forked);
    f->value = a.value + b.value;
    return err ? err : other;
}

static uint64_t fib_by_adding(unsigned n)
{
    uint64_t a = 0, b = 1;
    for (; n > 0; n--) {
        uint64_t sum = a + b;
        a = b;
        b = sum;
    }
    return a;
}

static int fibs(void *arg)
{
    struct fib *f = arg;
    unsigned n = f->n;
    int err = fib(f);
    EXPECT_IS(f->value, fib_by_adding(n));
    return err;
}

static void a_tree_of_forks_computes_what_calls_would(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (unsigned k = 0; k <= BY_BUILD(25, 20, 18); k++)
        assert_runs(*n, fibs, &(struct fib){.n = k});
}

static int leaf_yields(void)
{
    return thrum_yield();
}

static int leaf_sleeps(void)
{
    return thrum_sleep(1000);
}

static int leaf_yields_or_sleeps_or_neither(void)
{
    static atomic_uint turn;
    unsigned n = atomic_fetch_add(&turn, 1);
    return n % 16 == 0 ? thrum_yield() : n % 64 == 1 ? thrum_sleep(1000) : 0;
}

static void forked_functions_may_suspend(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < BY_BUILD(10, 3, 2); i++) {
        assert_runs(*n, fibs, &(struct fib){.n = BY_BUILD(18, 15, 13), .leaf = leaf_yields});
        assert_runs(*n, fibs, &(struct fib){.n = BY_BUILD(14, 12, 11), .leaf = leaf_sleeps});
        assert_runs(
            *n, fibs,
            &(struct fib){.n = BY_BUILD(20, 17, 15), .leaf = leaf_yields_or_sleeps_or_neither});
    }
}

/* ---- Results and the order of joins ---- */

enum { MANY = 64 };

struct item {
    atomic_int runs;
    int value;
};

static int run_item(void *arg)
{
    struct item *item = arg;
    atomic_fetch_add(&item->runs, 1);
    return item->value;
}

static void shuffle(size_t *order, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t k = random_below(seed, (uint32_t)i);
        size_t t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
}

static int join_in_any_order(void *arg)
{
    struct item items[MANY] = {0};
    thrum_forked forks[MANY];
    size_t order[MANY];
    uint64_t seed = 7;
    (void)arg;
    for (int round = 1; round <= BY_BUILD(500, 100, 50); round++) {
        for (int i = 0; i < MANY; i++) {
            items[i].value = 1000 * round + i;
            thrum_fork(&forks[i], run_item, &items[i]);
            if (random_below(&seed, 256) == 0)
                EXPECT_IS(thrum_yield(), 0);
        }
        shuffle(order, MANY, &seed);
        for (int i = 0; i < MANY; i++) {
            size_t k = order[i];
            EXPECT_IS(thrum_join_fork(&forks[k]), items[k].value);
            EXPECT_IS(atomic_load(&items[k].runs), round);
            if (random_below(&seed, 256) == 0)
                EXPECT_IS(thrum_yield(), 0);
        }
    }
    return 0;
}

static void forks_are_joined_in_any_order(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_in_any_order, NULL);
}

static int join_all(void *arg)
{
    struct item items[8] = {{.value = 3}, {.value = 0}, {.value = -EIO},
                            {.value = 5}, {.value = 1}, {.value = -EPERM}};
    thrum_forked forks[8];
    (void)arg;
    for (int i = 0; i < 8; i++)
        thrum_fork(&forks[i], run_item, &items[i]);
    EXPECT_IS(thrum_join_all(forks, 8), -EIO);
    for (int i = 0; i < 8; i++) {
        EXPECT_IS(atomic_load(&items[i].runs), 1);
        EXPECT_IS(thrum_fork_result(&forks[i]), items[i].value);
    }
    EXPECT_IS(thrum_join_all(forks, 0), 0);
    thrum_fork(&forks[0], run_item, &items[0]); /* used again */
    EXPECT_IS(thrum_join_all(forks, 1), 0);
    return 0;
}

static void joining_all_reports_the_first_failure_and_each_result(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, join_all, NULL);
}

static int join_outside(void *arg)
{
    struct item item = {.value = 4};
    thrum_forked f;
    (void)arg;
    thrum_fork(&f, run_item, &item);
    int before = atomic_load(&item.runs);
    int result = thrum_join_fork(&f);
    return before == 0 && atomic_load(&item.runs) == 1 ? result : -1;
}

static int join_on_a_blocking_thread(void *arg)
{
    EXPECT_IS(thrum_blocking(join_outside, arg), 4);
    return 0;
}

static void outside_a_task_a_fork_runs_at_its_join(void **state)
{
    (void)state;
    assert_int_equal(join_outside(NULL), 4);
    assert_runs(2, join_on_a_blocking_thread, NULL);
}

/* ---- Somebody else runs it ---- */

/* Relaxed: whoever sees the flag knows nothing of the rest by that, so that ThreadSanitizer sees whether the join does. */
static int set_flag(void *arg)
{
    atomic_store_explicit((atomic_bool *)arg, true, memory_order_relaxed);
    return 1;
}

static int fork_and_yield(void *arg)
{
    atomic_bool done[3];
    thrum_forked forks[3];
    (void)arg;
    for (int i = 0; i < 3; i++) {
        atomic_store(&done[i], false);
        thrum_fork(&forks[i], set_flag, &done[i]);
    }
    for (int i = 0; i < 3; i++)
        EXPECT_IS(until_set(&done[i]), 0); /* also with a single worker */
    EXPECT_IS(thrum_join_all(forks, 3), 0);
    return 0;
}

static void forks_run_while_their_parent_is_suspended(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, fork_and_yield, NULL);
}

/* Computes until the flag is set: nobody is given way to. Not for ever. */
static bool spin_until(atomic_bool *flag)
{
    uint64_t end = thrum_now() + BY_BUILD(30, 90, 150) * THRUM_SECOND;
    while (!atomic_load(flag))
        if (thrum_now() > end)
            return false;
    return true;
}

static int fork_and_compute(void *arg)
{
    (void)arg;
    for (int i = 0; i < BY_BUILD(50, 20, 10); i++) {
        atomic_bool done = false;
        thrum_forked f;
        thrum_fork(&f, set_flag, &done);
        EXPECT(spin_until(&done));
        EXPECT_IS(thrum_join_fork(&f), 1);
    }
    return 0;
}

static void an_idle_worker_takes_a_fork_whose_parent_computes(void **state)
{
    (void)state;
    assert_runs(2, fork_and_compute, NULL);
    assert_runs(4, fork_and_compute, NULL);
}

struct crowd {
    atomic_int busy;
    atomic_bool go;
};

static int keep_busy(void *arg)
{
    struct crowd *c = arg;
    atomic_fetch_add(&c->busy, 1);
    EXPECT(spin_until(&c->go));
    return 0;
}

/* All workers are busy when the forks are made, so that they stay private; then all but the parent's end. */
static int fork_in_a_crowd(void *arg)
{
    struct crowd crowd = {0};
    atomic_bool done[3] = {false, false, false};
    thrum_forked forks[3];
    thrum_scope scope;
    int others = (int)thrum_workers() - 1;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < others; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, keep_busy, &crowd), 0);
    while (atomic_load(&crowd.busy) < others && thrum_now() > 0)
        ; /* stolen one by one */
    for (int i = 0; i < 3; i++)
        thrum_fork(&forks[i], set_flag, &done[i]);
    atomic_store(&crowd.go, true);
    for (int i = 0; i < 3; i++)
        EXPECT(spin_until(&done[i]));
    EXPECT_IS(thrum_join_all(forks, 3), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    return 0;
}

static void private_forks_of_a_parent_that_computes_are_found_later(void **state)
{
    (void)state;
    for (int i = 0; i < BY_BUILD(20, 5, 5); i++) {
        assert_runs(2, fork_in_a_crowd, NULL);
        assert_runs(3, fork_in_a_crowd, NULL);
    }
}

/* ---- Forks that talk to each other and to their parent ---- */

static int echo(void *arg)
{
    thrum_chan **pair = arg;
    int value, err = 0;
    while (!err) {
        err = thrum_chan_recv(pair[0], &value);
        if (!err)
            err = thrum_chan_send(pair[1], &(int){value + 1});
    }
    return err == THRUM_ECLOSED ? 0 : err;
}

static int talk_to_a_fork(void *arg)
{
    thrum_chan *pair[2];
    thrum_forked f, idle;
    atomic_bool done = false;
    (void)arg;
    EXPECT_IS(thrum_chan_new(&pair[0], sizeof(int), 1), 0);
    EXPECT_IS(thrum_chan_new(&pair[1], sizeof(int), 1), 0);
    thrum_fork(&idle, set_flag, &done);
    thrum_fork(&f, echo, pair);
    for (int i = 0; i < BY_BUILD(1000, 300, 100); i++) {
        int back = 0;
        EXPECT_IS(thrum_chan_send(pair[0], &i), 0);
        EXPECT_IS(thrum_chan_recv(pair[1], &back), 0);
        EXPECT_IS(back, i + 1);
    }
    thrum_chan_close(pair[0]);
    EXPECT_IS(thrum_join_fork(&f), 0);
    EXPECT_IS(thrum_join_fork(&idle), 1);
    thrum_chan_free(pair[0]);
    thrum_chan_free(pair[1]);
    return 0;
}

static void a_fork_and_its_parent_can_wait_for_each_other(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, talk_to_a_fork, NULL);
}

/* ---- Migration ---- */

static atomic_int migrations;

static int hop(void *arg)
{
    struct item *item = arg;
    unsigned worker = thrum_worker_index();
    EXPECT_IS(thrum_yield(), 0);
    if (thrum_worker_index() != worker)
        atomic_fetch_add(&migrations, 1);
    return run_item(item);
}

/* The parent changes workers between fork and join: three are shared by then, three are made where it is now. */
static int parent_hops(void *arg)
{
    struct item items[6] = {0}, own = {0};
    thrum_forked forks[6];
    (void)arg;
    for (int i = 0; i < 6; i++) {
        if (i == 3)
            hop(&own);
        thrum_fork(&forks[i], i % 2 ? hop : run_item, &items[i]);
    }
    for (int i = 0; i < 6; i++) {
        int k = (i * 5 + 2) % 6;
        EXPECT_IS(thrum_join_fork(&forks[k]), 0);
        EXPECT_IS(atomic_load(&items[k].runs), 1);
    }
    return 0;
}

static int hop_until_someone_migrates(void *arg)
{
    (void)arg;
    atomic_store(&migrations, 0);
    int rounds = 0;
    do {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < 32; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, parent_hops, NULL), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    } while (
        (++rounds < BY_BUILD(100, 20, 10) || (thrum_workers() > 1 && !atomic_load(&migrations))) &&
        !thrum_check());
    return thrum_check();
}

static void a_parent_may_change_workers_between_fork_and_join(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, hop_until_someone_migrates, NULL);
}

/* ---- Cancelling, deadlines, locals ---- */

static int sleep_for_ever(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return thrum_sleep(THRUM_NEVER);
}

static int cancel_a_fork(void *arg)
{
    atomic_bool started = false;
    thrum_forked f;
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    thrum_fork(&f, sleep_for_ever, &started);
    EXPECT_IS(until_set(&started), 0); /* it is a task by now */
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_join_fork(&f), -ECANCELED);
    thrum_fork(&f, sleep_for_ever, &started); /* runs, and sees it at once */
    EXPECT_IS(thrum_join_fork(&f), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static int cancel_later(void *arg)
{
    thrum_scope *scope = arg;
    int err = thrum_sleep(2 * MS);
    thrum_scope_cancel(scope);
    return err;
}

/* The parent waits at the join, or is the one that sleeps there, when the cancel comes. */
static int cancel_a_join(void *arg)
{
    atomic_bool started[2] = {false, false};
    thrum_forked forks[2];
    thrum_scope outer, scope;
    (void)arg;
    thrum_scope_open(&outer, NULL);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 2; i++)
        thrum_fork(&forks[i], sleep_for_ever, &started[i]);
    EXPECT_IS(thrum_scope_spawn(&outer, cancel_later, &scope), 0);
    EXPECT_IS(thrum_join_all(forks, 2), -ECANCELED);
    EXPECT_IS(thrum_fork_result(&forks[0]), -ECANCELED);
    EXPECT_IS(thrum_fork_result(&forks[1]), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&outer), 0);
    return 0;
}

static int limit_a_fork(void *arg)
{
    atomic_bool started[2] = {false, false};
    thrum_forked forks[2];
    thrum_timeout limit;
    (void)arg;
    thrum_timeout_begin(&limit, 2 * MS);
    for (int i = 0; i < 2; i++)
        thrum_fork(&forks[i], sleep_for_ever, &started[i]);
    EXPECT_IS(thrum_join_all(forks, 2), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    return 0;
}

static int sleep_shortly(void *arg)
{
    (void)arg;
    return thrum_sleep(1000);
}

/* Forks that waited as tasks come and go in a scope before it is cancelled. */
static int cancel_after_many(void *arg)
{
    atomic_bool started[4] = {false, false, false, false};
    thrum_forked forks[4];
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 4; i++)
            thrum_fork(&forks[i], sleep_shortly, NULL);
        EXPECT_IS(thrum_yield(), 0);
        EXPECT_IS(thrum_join_all(forks, 4), 0);
    }
    for (int i = 0; i < 2; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, sleep_for_ever, &started[i]), 0);
    for (int i = 2; i < 4; i++)
        thrum_fork(&forks[i], sleep_for_ever, &started[i]);
    for (int i = 0; i < 4; i++)
        EXPECT_IS(until_set(&started[i]), 0);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_join_all(&forks[2], 2), -ECANCELED);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static void cancel_and_deadline_reach_forks_wherever_they_run(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < BY_BUILD(30, 10, 5); i++) {
        assert_runs(*n, cancel_a_fork, NULL);
        assert_runs(*n, cancel_a_join, NULL);
        assert_runs(*n, limit_a_fork, NULL);
        assert_runs(*n, cancel_after_many, NULL);
    }
}

/* Many short waits of forks that are tasks, against a cancel at some moment. */
static int yield_until_cancelled(void *arg)
{
    int err;
    (void)arg;
    do
        err = thrum_sleep(1000);
    while (!err);
    return err;
}

static int race_cancel(void *arg)
{
    thrum_forked forks[4];
    thrum_scope outer, scope;
    (void)arg;
    for (int round = 0; round < BY_BUILD(100, 30, 10); round++) {
        thrum_scope_open(&outer, NULL);
        thrum_scope_open(&scope, NULL);
        EXPECT_IS(thrum_scope_spawn(&outer, cancel_later, &scope), 0);
        for (int i = 0; i < 4; i++)
            thrum_fork(&forks[i], yield_until_cancelled, NULL);
        EXPECT_IS(thrum_join_all(forks, 4), -ECANCELED);
        EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
        EXPECT_IS(thrum_scope_close(&outer), 0);
    }
    return 0;
}

static void a_cancel_may_come_at_any_moment(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, race_cancel, NULL);
}

static atomic_int ended_with;

static int fork_for_ever(void *arg)
{
    atomic_bool started[2] = {false, false};
    thrum_forked forks[2];
    for (int i = 0; i < 2; i++)
        thrum_fork(&forks[i], sleep_for_ever, &started[i]);
    int err = until_set(&started[0]);
    atomic_store((atomic_bool *)arg, true);
    EXPECT_IS(err, 0);
    atomic_store(&ended_with, thrum_join_all(forks, 2));
    return 0;
}

static int end_early(void *arg)
{
    static atomic_bool forked;
    thrum_task *task;
    (void)arg;
    atomic_store(&forked, false);
    EXPECT_IS(thrum_spawn(&task, fork_for_ever, &forked, NULL), 0);
    EXPECT_IS(until_set(&forked), 0);
    thrum_detach(task);
    return 0;
}

static void the_end_of_the_runtime_ends_forks_too(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    for (int i = 0; i < BY_BUILD(20, 5, 5); i++) {
        atomic_store(&ended_with, 0);
        assert_runs(*n, end_early, NULL);
        assert_int_equal(atomic_load(&ended_with), -ECANCELED);
    }
}

static thrum_local name = THRUM_LOCAL_INIT;

static int look_at_local(void *arg)
{
    EXPECT(thrum_local_get(&name) == arg);
    return 0;
}

static int bind_and_fork(void *arg)
{
    thrum_local_binding binding;
    thrum_forked forks[3];
    int value = 0;
    (void)arg;
    thrum_local_bind(&binding, &name, &value);
    for (int i = 0; i < 3; i++)
        thrum_fork(&forks[i], look_at_local, &value);
    EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(thrum_join_all(forks, 3), 0);
    thrum_local_unbind(&binding);
    return 0;
}

static void forks_inherit_task_locals(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, bind_and_fork, NULL);
}

/* ---- Stacks ---- */

static int fork_deeply(void *arg)
{
    int depth = *(int *)arg;
    volatile char used[100];
    memset((void *)(uintptr_t)used, depth, sizeof(used));
    if (depth == 0)
        return 0;
    int less = depth - 1;
    thrum_forked f;
    thrum_fork(&f, fork_deeply, &less);
    int below = thrum_join_fork(&f);
    EXPECT_IS(used[99], (char)depth);
    return below < 0 ? below : below + 1;
}

static int fork_too_deeply_for_one_stack(void *arg)
{
    int depth = BY_BUILD(20000, 3000, 2000);
    (void)arg;
    EXPECT_IS(fork_deeply(&depth), depth);
    return 0;
}

static void no_stack_overflows_however_deeply_forks_nest(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, fork_too_deeply_for_one_stack, NULL);
}

static int use_much_stack(void *arg)
{
    size_t left = *(size_t *)arg;
    volatile char used[2048];
    used[0] = used[2047] = 1;
    if (left < sizeof(used))
        return 0;
    left -= sizeof(used);
    return use_much_stack(&left) + used[0] - used[2047];
}

static int fork_users_of_much_stack(void *arg)
{
    size_t much = BY_BUILD(700, 400, 400) << 10;
    thrum_forked forks[4];
    (void)arg;
    for (int i = 0; i < 4; i++)
        thrum_fork(&forks[i], use_much_stack, &much);
    EXPECT_IS(thrum_yield(), 0); /* some become tasks */
    EXPECT_IS(thrum_join_all(forks, 4), 0);
    return 0;
}

static int spawn_with_much_stack(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    EXPECT_IS(thrum_scope_spawn_opts(&scope, fork_users_of_much_stack, NULL,
                                     &(thrum_spawn_opts){.stack_bytes = 1 << 20}),
              0);
    return thrum_scope_close(&scope);
}

static void a_fork_has_as_much_stack_as_its_parent(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, spawn_with_much_stack, NULL);
}

/* ---- All of it at once ---- */

struct node {
    uint64_t seed;
    unsigned depth;
    atomic_long *visits;
    long below; /* nodes of this subtree; written by it */
};

static int visit(void *arg);

static void prepare(struct node *children, size_t n, const struct node *parent, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        children[i] = (struct node){.seed = random_next(seed) | UINT64_C(1) << 40,
                                    .depth = parent->depth - 1,
                                    .visits = parent->visits};
}

static void maybe_suspend(uint64_t *seed)
{
    uint32_t what = random_below(seed, 40);
    if (what == 0)
        EXPECT_IS(thrum_yield(), 0);
    else if (what == 1)
        EXPECT_IS(thrum_sleep(random_below(seed, 20000)), 0);
}

static void visit_by_forks(struct node *children, size_t n, uint64_t *seed)
{
    thrum_forked forks[5];
    size_t order[5];
    for (size_t i = 0; i < n; i++) {
        thrum_fork(&forks[i], visit, &children[i]);
        maybe_suspend(seed);
    }
    shuffle(order, n, seed);
    if (random_below(seed, 4) > 0)
        EXPECT_IS(thrum_join_all(forks, n), 0);
    else
        for (size_t i = 0; i < n; i++)
            EXPECT_IS(thrum_join_fork(&forks[order[i]]), 0);
}

static void visit_by_scope(struct node *children, size_t n, uint64_t *seed)
{
    thrum_scope scope;
    thrum_forked outside, inside;
    thrum_fork(&outside, visit, &children[0]);
    thrum_scope_open(&scope, NULL);
    thrum_fork(&inside, visit, &children[1]);
    for (size_t i = 2; i < n; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, visit, &children[i]), 0);
    maybe_suspend(seed);
    if (random_below(seed, 2) == 0) {
        EXPECT_IS(thrum_join_fork(&inside), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    } else { /* children of an inner scope run on this stack, above our forks */
        thrum_scope inner;
        atomic_bool done = false;
        thrum_scope_open(&inner, NULL);
        EXPECT_IS(thrum_scope_spawn(&inner, fork_and_yield, NULL), 0);
        EXPECT_IS(thrum_scope_spawn(&inner, set_flag, &done), 0);
        EXPECT_IS(thrum_scope_close(&inner), 0);
        EXPECT(atomic_load(&done));
        EXPECT_IS(thrum_join_fork(&inside), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    EXPECT_IS(thrum_join_fork(&outside), 0);
}

static int visit(void *arg)
{
    struct node *node = arg;
    struct node children[5];
    uint64_t seed = node->seed;
    atomic_fetch_add(node->visits, 1);
    node->below = 1;
    maybe_suspend(&seed);
    size_t n = node->depth ? random_below(&seed, 6) : 0;
    prepare(children, n, node, &seed);
    if (n >= 3 && random_below(&seed, 4) == 0)
        visit_by_scope(children, n, &seed);
    else
        visit_by_forks(children, n, &seed);
    for (size_t i = 0; i < n; i++)
        node->below += children[i].below;
    return 0;
}

static int visit_trees(void *arg)
{
    (void)arg;
    for (uint64_t seed = 0; seed < BY_BUILD(30, 10, 6); seed++) {
        atomic_long visits = 0;
        struct node root = {.seed = seed, .depth = BY_BUILD(8, 7, 6), .visits = &visits};
        EXPECT_IS(visit(&root), 0);
        EXPECT_IS(atomic_load(&visits), root.below); /* each node once */
    }
    return 0;
}

static void random_trees_of_forks_scopes_and_waits_run_each_node_once(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, visit_trees, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_of_forks_computes_what_calls_would),
        cmocka_unit_test(forked_functions_may_suspend),
        cmocka_unit_test(forks_are_joined_in_any_order),
        cmocka_unit_test(joining_all_reports_the_first_failure_and_each_result),
        cmocka_unit_test(outside_a_task_a_fork_runs_at_its_join),
        cmocka_unit_test(forks_run_while_their_parent_is_suspended),
        cmocka_unit_test(an_idle_worker_takes_a_fork_whose_parent_computes),
        cmocka_unit_test(private_forks_of_a_parent_that_computes_are_found_later),
        cmocka_unit_test(a_fork_and_its_parent_can_wait_for_each_other),
        cmocka_unit_test(a_parent_may_change_workers_between_fork_and_join),
        cmocka_unit_test(cancel_and_deadline_reach_forks_wherever_they_run),
        cmocka_unit_test(a_cancel_may_come_at_any_moment),
        cmocka_unit_test(the_end_of_the_runtime_ends_forks_too),
        cmocka_unit_test(forks_inherit_task_locals),
        cmocka_unit_test(no_stack_overflows_however_deeply_forks_nest),
        cmocka_unit_test(a_fork_has_as_much_stack_as_its_parent),
        cmocka_unit_test(random_trees_of_forks_scopes_and_waits_run_each_node_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
