/* SPDX-License-Identifier: MIT */
/* Giving memory back: by thrum_stack_trim(), by an idle worker, while tasks come and go, and over a long life. */
#include "exec/runtime.h"
#include "running.h"

#include <fcntl.h>
#include <thrum/stack.h>
#include <unistd.h>

enum {
    PARKED = BY_BUILD(200000, 20000, 2000),
    ROUND = BY_BUILD(10000, 2000, 200),
    ROUNDS = BY_BUILD(1000, 20, 10),
};

static size_t rss_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *at = strchr(text, ' ');
    return at ? strtoul(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static struct thr_stack_pool *own_pool(void)
{
    return &thr_worker_self()->rt->stacks.pools[0];
}

static int park(void *arg)
{
    (void)arg;
    return thrum_sleep(THRUM_NEVER);
}

/* n tasks that have all run and wait at once, and then are gone. *peak: RSS meanwhile. */
static void park_many(size_t n, size_t *peak)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < n; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, park, NULL), 0);
    EXPECT_IS(thrum_sleep(MS), 0); /* those spawned last have run: spawning lets the others run */
    *peak = rss_bytes();
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
}

static int trim_after_many(void *arg)
{
    size_t floor, peak;
    (void)arg;
    EXPECT_IS(thrum_stack_trim() > 0, 0); /* there is none yet */
    park_many(256, &peak);
    thrum_stack_trim();
    floor = rss_bytes();
    park_many(PARKED, &peak);
    size_t held = rss_bytes();
    EXPECT(thrum_stack_trim() > PARKED / 2);
    size_t after = rss_bytes();
    if (BY_BUILD(1, 0, 0)) { /* the sanitizers keep much of their own */
        EXPECT(held >
               floor + (size_t)PARKED / 2 * 4096);  /* by itself only what idles is given back */
        EXPECT(after < floor + (peak - floor) / 8); /* a task's record and its stack's stay */
    }
    /* What other workers hold for their next tasks stays, and the stacks that they are just leaving. */
    size_t theirs = (thrum_workers() - 1) * (size_t)(own_pool()->cache_max + 1);
    EXPECT(thr_load(&own_pool()->dirty_n, THR_RELAXED) <= theirs);
    EXPECT(thrum_stack_trim() <= theirs);
    park_many(256, &peak); /* what was trimmed is used again */
    return 0;
}

static void a_trim_gives_the_memory_of_ended_tasks_back(void **state)
{
    (void)state;
    assert_int_equal(thrum_stack_trim(), 0); /* not a task */
    assert_runs(1, trim_after_many, NULL);
    assert_runs(4, trim_after_many, NULL);
}

/* ---- Others use stacks meanwhile ---- */

static int use_much(void *arg)
{
    volatile char bytes[24 << 10];
    uintptr_t seed = (uintptr_t)arg;
    for (size_t i = 0; i < sizeof(bytes); i += 512)
        bytes[i] = (char)(seed + i);
    int err = thrum_yield();
    for (size_t i = 0; i < sizeof(bytes); i += 512)
        EXPECT_IS(bytes[i], (char)(seed + i));
    return err;
}

static int churn(void *arg)
{
    static const size_t sizes[] = {0, 32 << 10, 200 << 10};
    for (uintptr_t i = 0; i < BY_BUILD(200, 60, 20); i++) {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        for (uintptr_t k = 0; k < 100; k++) {
            thrum_spawn_opts opts = {.stack_bytes = sizes[(i + k) % 3]};
            EXPECT_IS(thrum_scope_spawn_opts(&scope, use_much, (void *)(i * k), &opts), 0);
        }
        EXPECT_IS(thrum_scope_close(&scope), 0);
    }
    atomic_fetch_sub((atomic_int *)arg, 1);
    return 0;
}

static int trim_always(void *arg)
{
    while (atomic_load((atomic_int *)arg) > 0) {
        thrum_stack_trim();
        int err = thrum_yield();
        if (err)
            return err;
    }
    return 0;
}

static int churn_and_trim(void *arg)
{
    atomic_int *busy = arg;
    thrum_scope scope;
    atomic_store(busy, 4);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 4; i++) {
        EXPECT_IS(thrum_scope_spawn(&scope, churn, busy), 0);
        if (i < 2)
            EXPECT_IS(thrum_scope_spawn(&scope, trim_always, busy), 0);
    }
    return thrum_scope_close(&scope);
}

static void trimming_takes_no_stack_that_is_in_use(void **state)
{
    (void)state;
    atomic_int busy;
    FOR_WORKERS(n)
    assert_runs(*n, churn_and_trim, &busy);
}

/* ---- By itself ---- */

static int wait_for_trim(void *arg)
{
    size_t peak;
    (void)arg;
    park_many(BY_BUILD(4000, 2000, 1000), &peak);
    size_t before = thr_load(&own_pool()->dirty_n, THR_RELAXED), now = before;
    EXPECT(before > 200);
    for (int i = 0; i < 100 && now > before / 4; i++) {
        EXPECT_IS(thrum_sleep(300 * MS), 0);
        now = thr_load(&own_pool()->dirty_n, THR_RELAXED);
    }
    EXPECT(now <= before / 4);
    return 0;
}

static void an_idle_worker_trims(void **state)
{
    (void)state;
    assert_runs(1, wait_for_trim, NULL);
    assert_runs(2, wait_for_trim, NULL);
}

/* The worker's sleeps are counted: once it has trimmed it sleeps until the time is over. */
static int sleep_after_trim(void *arg)
{
    thrum_worker_stats before, after;
    int err = wait_for_trim(arg);
    EXPECT_IS(thrum_sleep(4 * THRUM_SECOND), 0); /* a last window may be open */
    EXPECT_IS(thrum_stats(0, &before), 0);
    EXPECT_IS(thrum_sleep(5 * THRUM_SECOND), 0);
    EXPECT_IS(thrum_stats(0, &after), 0);
    EXPECT(after.parks - before.parks <= 3);
    return err;
}

static void and_then_it_sleeps_for_good(void **state)
{
    (void)state;
    assert_runs(1, sleep_after_trim, NULL);
}

/* ---- A long life ---- */

static int live_long(void *arg)
{
    size_t peak;
    (void)arg;
    for (int i = 0; i < 5; i++)
        park_many(ROUND, &peak);
    thrum_stack_trim();
    size_t floor = rss_bytes();
    for (int i = 0; i < ROUNDS; i++)
        park_many(ROUND, &peak);
    thrum_stack_trim();
    size_t after = rss_bytes();
    if (BY_BUILD(1, 0, 0) && after > floor + floor / 10)
        expect_is((long long)after, (long long)floor, "RSS", __LINE__);
    return 0;
}

static void ten_million_tasks_leave_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(thrum_run(live_long, NULL, &(thrum_run_opts){.workers = 2}), 0);
    assert_int_equal(atomic_load(&wrong_n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trim_gives_the_memory_of_ended_tasks_back),
        cmocka_unit_test(trimming_takes_no_stack_that_is_in_use),
        cmocka_unit_test(an_idle_worker_trims),
        cmocka_unit_test(and_then_it_sleeps_for_good),
        cmocka_unit_test(ten_million_tasks_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
