/* SPDX-License-Identifier: MIT */
/* What the tests of exec share: expectations that tasks and threads can state, running a task with an end, threads that
 * start together, and how much is a lot with this build. */
#ifndef TESTS_EXEC_RUNNING_H
#define TESTS_EXEC_RUNNING_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/runtime.h>
#include <thrum/task.h>
#include <thrum/time.h>

#include <cmocka.h>

#define MS THRUM_MILLISECOND

/* How much work a test does: plain builds, AddressSanitizer, ThreadSanitizer (whose stacks cost memory each). */
#if defined(__SANITIZE_THREAD__)
#define BY_BUILD(plain, asan, tsan) (tsan)
#elif defined(__SANITIZE_ADDRESS__)
#define BY_BUILD(plain, asan, tsan) (asan)
#else
#define BY_BUILD(plain, asan, tsan) (plain)
#endif

/* The numbers of workers that tests are run with. */
static const unsigned worker_counts[] = {1, 2, 4, 16};

#define FOR_WORKERS(n)                                                                             \
    for (const unsigned *n = worker_counts;                                                        \
         n < worker_counts + sizeof(worker_counts) / sizeof(worker_counts[0]); n++)

/* cmocka's asserts belong to the test's own thread. Tasks and threads state what they expect: it is printed and counted,
 * and they go on, so that scopes are closed and others are not left waiting. The test asserts that nothing was wrong. */
static atomic_int wrong_n;

static inline void expect_is(long long is, long long should, const char *what, int line)
{
    if (is == should)
        return;
    if (atomic_fetch_add(&wrong_n, 1) < 20)
        fprintf(stderr, "line %d: %s is %lld, should be %lld\n", line, what, is, should);
}

#define EXPECT_IS(expression, expected)                                                            \
    expect_is((long long)(expression), (long long)(expected), #expression, __LINE__)
#define EXPECT(condition) expect_is(!!(condition), 1, #condition, __LINE__)

struct limited_run {
    thrum_fn *fn;
    void *arg;
};

static inline int run_limited(void *arg)
{
    struct limited_run *l = arg;
    thrum_timeout limit;
    thrum_timeout_begin(&limit, BY_BUILD(40, 120, 200) * THRUM_SECOND);
    int result = l->fn(l->arg);
    return thrum_timeout_end(&limit) && result >= 0 ? -ETIMEDOUT : result;
}

/* fn(arg) as the first task on so many workers. Waits that hang end with -ETIMEDOUT. */
static inline int run_on(unsigned workers, thrum_fn *fn, void *arg)
{
    struct limited_run l = {fn, arg};
    return thrum_run(run_limited, &l, &(thrum_run_opts){.workers = workers});
}

/* The test's own thread: fn(arg) returns 0 and nothing was otherwise than expected. */
static inline void assert_runs(unsigned workers, thrum_fn *fn, void *arg)
{
    atomic_store(&wrong_n, 0);
    assert_int_equal(run_on(workers, fn, arg), 0);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

/* Yields until the flag is set; -ETIMEDOUT if the time of the run is over first. */
static inline int until_set(atomic_bool *flag)
{
    int err = 0;
    while (!atomic_load(flag) && !err)
        err = thrum_yield();
    return err;
}

/* ---- Threads ---- */

enum { TEAM_MAX = 16 };

/* Threads that begin at the same moment. */
struct team {
    pthread_t threads[TEAM_MAX];
    unsigned n;
    pthread_barrier_t start;
};

struct member {
    struct team *team;
    void (*fn)(void *, unsigned);
    void *arg;
    unsigned index;
};

static inline void *member_main(void *arg)
{
    struct member *m = arg;
    pthread_barrier_wait(&m->team->start);
    m->fn(m->arg, m->index);
    return NULL;
}

/* Runs fn(arg, 0 ... n - 1), each in a thread of its own, and waits for all. */
static inline void run_team(unsigned n, void (*fn)(void *, unsigned), void *arg)
{
    struct team team = {.n = n};
    struct member members[TEAM_MAX];
    assert_true(n <= TEAM_MAX);
    pthread_barrier_init(&team.start, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        members[i] = (struct member){&team, fn, arg, i};
        assert_int_equal(pthread_create(&team.threads[i], NULL, member_main, &members[i]), 0);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(team.threads[i], NULL);
    pthread_barrier_destroy(&team.start);
}

/* ---- Random numbers, the same each time ---- */

static inline uint32_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
    return random_next(state) % n;
}

#endif
