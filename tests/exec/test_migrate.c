/* SPDX-License-Identifier: MIT */
/* Tasks change threads: what they read of their thread is the thread they run on, and what is theirs goes with them. */
#include "running.h"

#include <limits.h>
#include <thrum/sync.h>

enum { TASKS = 64, HOPS = BY_BUILD(2000, 500, 100) };

static __thread unsigned char mine; /* its address says which thread */
static void *thread_of_worker[16];  /* that address, by worker; guarded by lock */
static thrum_mutex lock;
static atomic_int migrations;

/* The address of a thread-local must not be kept across a suspension (docs/tasks.md): not inlined, and the value made
 * opaque, since clang 14 takes the address for a constant that it may put in the caller's place of the call. */
static __attribute__((noinline)) void *this_thread(void)
{
    void *address = &mine;
    __asm__ volatile("" : "+r"(address)::"memory");
    return address;
}

/* A worker is one thread for all of its life. */
static void check_thread(unsigned worker, void *thread)
{
    thrum_mutex_lock_shielded(&lock);
    /* Between asking and here the task may have moved on: what was asked is what counts. */
    if (!thread_of_worker[worker])
        thread_of_worker[worker] = thread;
    EXPECT(thread_of_worker[worker] == thread);
    thrum_mutex_unlock(&lock);
}

static int hop(void *arg)
{
    double sum = 0;
    unsigned before = UINT_MAX;
    (void)arg;
    for (int i = 0; i < HOPS; i++) {
        unsigned worker = thrum_worker_index();
        check_thread(worker, this_thread()); /* asked without a suspension in between */
        if (before != UINT_MAX && before != worker)
            atomic_fetch_add(&migrations, 1);
        before = worker;
        sum += 0.5;
        errno = i + 1000; /* whoever runs here next must not care */
        EXPECT_IS(thrum_yield(), 0);
        EXPECT(sum == 0.5 * (i + 1));
    }
    return 0;
}

static int hop_until_someone_migrates(void *arg)
{
    unsigned workers = thrum_workers();
    (void)arg;
    memset(thread_of_worker, 0, sizeof(thread_of_worker));
    atomic_store(&migrations, 0);
    do {
        thrum_scope scope;
        thrum_scope_open(&scope, NULL);
        for (int i = 0; i < TASKS; i++)
            EXPECT_IS(thrum_scope_spawn(&scope, hop, NULL), 0);
        EXPECT_IS(thrum_scope_close(&scope), 0);
    } while (workers > 1 && !atomic_load(&migrations) && !thrum_check());
    EXPECT_IS(atomic_load(&migrations) > 0, workers > 1);
    return 0;
}

static void a_task_sees_the_thread_it_runs_on(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, hop_until_someone_migrates, NULL);
}

/* Values in callee-saved and vector registers, more than there are. */
static int keep_values(void *arg)
{
    uint64_t a[12];
    double d[20];
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 12; i++)
        a[i] = random_next(&seed);
    for (int i = 0; i < 20; i++)
        d[i] = (double)random_next(&seed);
    for (int round = 0; round < HOPS; round++) {
        for (int i = 0; i < 12; i++)
            a[i] += (uint64_t)i;
        for (int i = 0; i < 20; i++)
            d[i] += i;
        EXPECT_IS(thrum_yield(), 0);
    }
    seed = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 12; i++)
        EXPECT(a[i] == random_next(&seed) + (uint64_t)i * HOPS);
    for (int i = 0; i < 20; i++)
        EXPECT(d[i] == (double)random_next(&seed) + (double)i * HOPS);
    return 0;
}

static int keep_all_values(void *arg)
{
    thrum_scope scope;
    (void)arg;
    thrum_scope_open(&scope, NULL);
    for (uintptr_t i = 0; i < TASKS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, keep_values, (void *)(i + 1)), 0);
    return thrum_scope_close(&scope);
}

static void what_a_task_computes_with_goes_with_it(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, keep_all_values, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_sees_the_thread_it_runs_on),
        cmocka_unit_test(what_a_task_computes_with_goes_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
