/* SPDX-License-Identifier: MIT */
/* A lot of everything: parked tasks, short tasks, sleeping tasks. */
#include "running.h"

#include <thrum/sync.h>
#include <unistd.h>

enum {
    PARKED = BY_BUILD(1000 * 1000, 100 * 1000, 2000),
    SHORT = BY_BUILD(1000 * 1000, 200 * 1000, 20 * 1000),
    SLEEPERS = BY_BUILD(200 * 1000, 20 * 1000, 1000),
};

static long long resident_bytes(void)
{
    long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%lld %lld", &size, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

struct crowd {
    thrum_event event;
    thrum_wait_group parked;
    atomic_int woken;
};

static int stand(void *arg)
{
    struct crowd *c = arg;
    thrum_wait_group_done(&c->parked);
    int err = thrum_event_wait(&c->event);
    if (!err)
        atomic_fetch_add(&c->woken, 1);
    return err;
}

static int park_and_wake(struct crowd *c)
{
    thrum_scope scope;
    *c = (struct crowd){.event = THRUM_EVENT_INIT};
    thrum_wait_group_add(&c->parked, PARKED);
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < PARKED; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, stand, c), 0);
    EXPECT_IS(thrum_wait_group_wait(&c->parked), 0);
    thrum_event_set(&c->event);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&c->woken), PARKED);
    return 0;
}

/* The second crowd stands where the first one stood. */
static int two_crowds(void *arg)
{
    struct crowd c;
    (void)arg;
    long long before = resident_bytes();
    park_and_wake(&c);
    long long first = resident_bytes();
    park_and_wake(&c);
    long long second = resident_bytes();
    printf("%d parked tasks: %lld bytes of memory each\n", PARKED, (first - before) / PARKED);
    if (BY_BUILD(true, false, false))
        EXPECT(second - before < (first - before) + (first - before) / 10);
    return 0;
}

static void many_park_and_all_are_woken(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++)
        assert_runs(workers, two_crowds, NULL);
}

static int answer(void *arg)
{
    return (int)(intptr_t)arg & 0x3FFFFFFF;
}

static int spawn_and_join(void *arg)
{
    long long sum = 0;
    (void)arg;
    for (int i = 0; i < SHORT; i++) {
        thrum_task *task;
        int result = 0;
        EXPECT_IS(thrum_spawn(&task, answer, (void *)(intptr_t)i, NULL), 0);
        EXPECT_IS(thrum_join(task, &result), 0);
        sum += result;
    }
    EXPECT_IS(sum, (long long)SHORT * (SHORT - 1) / 2);
    return 0;
}

static void many_are_spawned_and_joined(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, spawn_and_join, NULL);
}

static atomic_int slept;

static int nap(void *arg)
{
    int err = thrum_sleep((uint64_t)(uintptr_t)arg * THRUM_MICROSECOND);
    if (!err)
        atomic_fetch_add(&slept, 1);
    return err;
}

static int everybody_naps(void *arg)
{
    thrum_scope scope;
    (void)arg;
    atomic_store(&slept, 0);
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < SLEEPERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, nap, (void *)(i * 7919 % 100000)), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    EXPECT_IS(atomic_load(&slept), SLEEPERS);
    return 0;
}

static void many_sleep_and_all_wake(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers *= 2)
        assert_runs(workers, everybody_naps, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_park_and_all_are_woken),
        cmocka_unit_test(many_are_spawned_and_joined),
        cmocka_unit_test(many_sleep_and_all_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
