/* SPDX-License-Identifier: MIT */
/* Starting a runtime when memory, threads or the driver fail: the 1st time, the 2nd, ... until it starts.
 *
 * The file is compiled into this test with its allocations and threads going through it. */
#include "exec/driver.h"
#include "running.h"

static long fail_at; /* counts down to the call that fails; negative: none does */

static bool fails(void)
{
    return fail_at >= 0 && fail_at-- == 0;
}

static void *failing_alloc(size_t align, size_t bytes)
{
    return fails() ? NULL : aligned_alloc(align, bytes);
}

static int failing_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    return fails() ? EAGAIN : pthread_create(thread, attr, fn, arg);
}

#define aligned_alloc failing_alloc
#define pthread_create failing_create
#include "exec/runtime.c"
#undef aligned_alloc
#undef pthread_create

/* ---- A driver that fails to open, on top of the built-in one ---- */

static int opened_n;

static int failing_open(void **loop, unsigned worker_index)
{
    *loop = NULL;
    if (fails())
        return -EMFILE;
    opened_n++;
    thr_driver_install(NULL);
    int err = thr_driver_current()->open(loop, worker_index);
    return err;
}

static struct thr_driver driver;

static void counting_close(void *loop)
{
    opened_n -= loop != NULL;
    thr_driver_install(NULL);
    thr_driver_current()->close(loop);
}

static void install(void)
{
    thr_driver_install(NULL);
    driver = *thr_driver_current();
    driver.open = failing_open;
    driver.close = counting_close;
    thr_driver_install(&driver);
}

static int count_up(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int job(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 100; i++) {
        EXPECT_IS(thrum_scope_spawn(&scope, count_up, arg), 0);
        EXPECT_IS(thrum_yield(), 0);
    }
    EXPECT_IS(thrum_sleep(MS / 10), 0);
    return thrum_scope_close(&scope);
}

/* With some of its threads missing a runtime does its work all the same. */
static void a_start_that_fails_leaves_nothing(void **state)
{
    (void)state;
    bool started = false, seen[4] = {false};
    for (long n = 0; n < 100 && !started; n++) {
        atomic_int ran = 0;
        install();
        opened_n = 0;
        fail_at = n;
        atomic_store(&wrong_n, 0);
        int err = run_on(4, job, &ran);
        started = fail_at >= 0; /* none has failed any more */
        assert_true(err == 0 || err == -ENOMEM || err == -EMFILE || err == -EAGAIN);
        assert_int_equal(atomic_load(&ran), err ? 0 : 100);
        assert_int_equal(opened_n, 0);
        assert_int_equal(atomic_load(&wrong_n), 0);
        seen[0] |= err == 0, seen[1] |= err == -ENOMEM, seen[2] |= err == -EMFILE;
        seen[3] |= err == -EAGAIN;
    }
    fail_at = -1;
    thr_driver_install(NULL);
    assert_true(started && seen[0] && seen[1] && seen[2] && seen[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
