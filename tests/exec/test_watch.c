/* SPDX-License-Identifier: MIT */
/* The watched variable: copies are whole, the last value is never missed, and no wait outlives a close. */
#include "running.h"

#include <sched.h>
#include <thrum/watch.h>

enum { WATCHERS = 8, SETTERS = 4, SETS = BY_BUILD(3000, 1000, 300) };

/* All words of one value are equal; an odd size, so that bytes are copied too. */
struct value {
    uint64_t words[8];
    unsigned char tail[5];
};

static struct value variable;
static thrum_watch watch = THRUM_WATCH_INIT(variable);

static struct value value_of(uint64_t n)
{
    struct value v;
    memset(&v, 0, sizeof(v));
    for (size_t i = 0; i < 8; i++)
        v.words[i] = n;
    memset(v.tail, (int)(n & 0xff), sizeof(v.tail));
    return v;
}

static bool is_whole(const struct value *v)
{
    for (size_t i = 1; i < 8; i++)
        if (v->words[i] != v->words[0])
            return false;
    for (size_t i = 0; i < sizeof(v->tail); i++)
        if (v->tail[i] != (v->words[0] & 0xff))
            return false;
    return true;
}

static void make(void)
{
    variable = value_of(0);
    thrum_watch_init(&watch, &variable, sizeof(variable));
}

/* ---- One task ---- */

static int set_and_get(void *arg)
{
    static int number = 41;
    static thrum_watch w = THRUM_WATCH_INIT(number);
    uint64_t seen = 0;
    int got = 0;
    thrum_timeout limit;
    (void)arg;
    number = 41;
    thrum_watch_init(&w, &number, sizeof(number));
    EXPECT_IS(thrum_watch_get(&w, &got), 1);
    EXPECT_IS(got, 41);
    got = 0;
    EXPECT_IS(thrum_watch_wait(&w, &seen, &got), 0); /* nothing was seen yet */
    EXPECT_IS(seen, 1);
    EXPECT_IS(got, 41);
    thrum_timeout_begin(&limit, MS);
    EXPECT_IS(thrum_watch_wait(&w, &seen, &got), -ETIMEDOUT);
    EXPECT(thrum_timeout_end(&limit));
    for (int i = 0; i < 3; i++)
        EXPECT_IS(thrum_watch_set(&w, &(int){i}), 0);
    EXPECT_IS(thrum_watch_get(&w, NULL), 4);
    EXPECT_IS(thrum_watch_wait(&w, &seen, &got), 0); /* the latest, once */
    EXPECT_IS(seen, 4);
    EXPECT_IS(got, 2);
    EXPECT_IS(thrum_watch_set(&w, &(int){2}), 0); /* an equal value is a version too */
    EXPECT_IS(thrum_watch_wait(&w, &seen, NULL), 0);
    EXPECT_IS(seen, 5);
    EXPECT_IS(thrum_watch_set(&w, &(int){9}), 0);
    thrum_watch_close(&w);
    thrum_watch_close(&w);
    EXPECT_IS(thrum_watch_set(&w, &(int){10}), THRUM_ECLOSED);
    EXPECT_IS(thrum_watch_wait(&w, &seen, &got), 0); /* the last is not missed */
    EXPECT_IS(got, 9);
    got = 0;
    EXPECT_IS(thrum_watch_wait(&w, &seen, &got), THRUM_ECLOSED);
    EXPECT_IS(got, 0);
    EXPECT_IS(seen, 6);
    EXPECT_IS(thrum_watch_get(&w, &got), 6);
    EXPECT_IS(got, 9);
    return 0;
}

static void a_wait_returns_the_latest_version_that_was_not_seen(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, set_and_get, NULL);
}

static int wait_in_a_cancelled_scope(void *arg)
{
    thrum_scope scope;
    uint64_t seen = 0;
    (void)arg;
    make();
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    EXPECT_IS(thrum_watch_wait(&watch, &seen, NULL), -ECANCELED);
    EXPECT_IS(seen, 0);
    EXPECT_IS(thrum_scope_close(&scope), -ECANCELED);
    return 0;
}

static void a_cancelled_task_does_not_wait(void **state)
{
    (void)state;
    assert_runs(1, wait_in_a_cancelled_scope, NULL);
}

/* Variables at any address and of any size are copied whole, and no byte beside them. */
static void values_have_any_size_and_place(void **state)
{
    (void)state;
    static unsigned char bytes[64 + 2] __attribute__((aligned(8)));
    for (size_t at = 0; at < 16; at++)
        for (size_t n = 1; n <= 40; n++) {
            thrum_watch w;
            unsigned char in[40], out[41];
            memset(bytes, 0xEE, sizeof(bytes));
            thrum_watch_init(&w, bytes + at, n);
            for (size_t i = 0; i < n; i++)
                in[i] = (unsigned char)(i + n);
            memset(out, 0x55, sizeof(out));
            assert_int_equal(thrum_watch_set(&w, in), 0);
            assert_int_equal(thrum_watch_get(&w, out), 2);
            assert_memory_equal(out, in, n);
            assert_int_equal(out[n], 0x55);
            assert_true(at == 0 || bytes[at - 1] == 0xEE);
            assert_int_equal(bytes[at + n], 0xEE);
        }
}

/* ---- Many tasks and threads ---- */

static atomic_int setters_left;
static atomic_uint_fast64_t last_set;

static int set_often(void *arg)
{
    uint64_t base = (uint64_t)(uintptr_t)arg * SETS;
    for (uint64_t i = 0; i < SETS; i++) {
        struct value v = value_of(base + i);
        EXPECT_IS(thrum_watch_set(&watch, &v), 0);
        if (i % 16 == 0)
            EXPECT_IS(thrum_yield(), 0);
    }
    if (atomic_fetch_sub(&setters_left, 1) == 1) {
        struct value v = value_of(123456);
        EXPECT_IS(thrum_watch_set(&watch, &v), 0);
        atomic_store(&last_set, 123456);
        thrum_watch_close(&watch);
    }
    return 0;
}

static int watch_all(void *arg)
{
    uint64_t seen = 0, before = 0;
    struct value v;
    int err;
    (void)arg;
    memset(&v, 0, sizeof(v));
    while ((err = thrum_watch_wait(&watch, &seen, &v)) == 0) {
        EXPECT(seen > before);
        EXPECT(is_whole(&v));
        before = seen;
    }
    EXPECT_IS(err, THRUM_ECLOSED);
    EXPECT_IS(v.words[0], 123456); /* whatever came between, the last was seen */
    EXPECT_IS(seen, SETTERS * SETS + 2);
    return 0;
}

static int watch_hastily(void *arg)
{
    uint64_t seen = 0, before = 0, random = (uint64_t)(uintptr_t)arg;
    struct value v;
    int err = 0;
    memset(&v, 0, sizeof(v));
    while (err != THRUM_ECLOSED) {
        thrum_timeout limit;
        thrum_timeout_begin(&limit, random_below(&random, 30) * THRUM_MICROSECOND);
        err = thrum_watch_wait(&watch, &seen, &v);
        thrum_timeout_end(&limit);
        EXPECT(err == 0 || err == -ETIMEDOUT || err == THRUM_ECLOSED);
        EXPECT(err ? seen == before : seen > before);
        EXPECT(is_whole(&v));
        before = seen;
    }
    EXPECT_IS(v.words[0], 123456);
    return 0;
}

static void read_from_outside(void *arg, unsigned index)
{
    uint64_t before = 0;
    (void)arg;
    (void)index;
    while (!atomic_load(&last_set)) {
        struct value v;
        uint64_t version = thrum_watch_get(&watch, &v);
        EXPECT(version >= before);
        EXPECT(is_whole(&v));
        before = version;
        sched_yield();
    }
}

static void *read_by_a_team(void *arg)
{
    run_team(2, read_from_outside, arg);
    return NULL;
}

static int set_and_watch(void *arg)
{
    thrum_scope scope;
    pthread_t readers;
    (void)arg;
    make();
    atomic_store(&setters_left, SETTERS);
    atomic_store(&last_set, 0);
    EXPECT_IS(pthread_create(&readers, NULL, read_by_a_team, NULL), 0);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < WATCHERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, i % 2 ? watch_all : watch_hastily, (void *)i), 0);
    for (intptr_t i = 0; i < SETTERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, set_often, (void *)i), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(readers, NULL);
    return 0;
}

static void every_copy_is_whole_and_the_last_value_is_seen_by_all(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, set_and_watch, NULL);
}

/* Threads set it, tasks watch; nobody yields on the setters' side. */
static void set_from_outside(void *arg, unsigned index)
{
    (void)arg;
    for (uint64_t i = 0; i < SETS; i++) {
        struct value v = value_of(index * 1000000 + i);
        EXPECT_IS(thrum_watch_set(&watch, &v), 0);
    }
    if (atomic_fetch_sub(&setters_left, 1) == 1) {
        struct value v = value_of(123456);
        EXPECT_IS(thrum_watch_set(&watch, &v), 0);
        thrum_watch_close(&watch);
    }
}

static void *set_by_a_team(void *arg)
{
    run_team(SETTERS, set_from_outside, arg);
    return NULL;
}

static int watch_threads(void *arg)
{
    thrum_scope scope;
    pthread_t setters;
    (void)arg;
    make();
    atomic_store(&setters_left, SETTERS);
    thrum_scope_open(&scope, NULL);
    for (intptr_t i = 0; i < WATCHERS; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, i % 2 ? watch_all : watch_hastily, (void *)i), 0);
    EXPECT_IS(pthread_create(&setters, NULL, set_by_a_team, NULL), 0);
    EXPECT_IS(thrum_scope_close(&scope), 0);
    pthread_join(setters, NULL);
    return 0;
}

static void threads_set_it_for_tasks(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, watch_threads, NULL);
}

/* ---- Storage ---- */

/* A thread that sets each watch it is offered, until it is offered `watch`. */
static _Atomic(thrum_watch *) offered;

static void *set_the_offered(void *arg)
{
    thrum_watch *w = NULL;
    while (w != &watch) {
        w = atomic_exchange(&offered, NULL);
        if (w && w != &watch)
            EXPECT_IS(thrum_watch_set(w, &(uint64_t){7}), 0);
        else
            sched_yield();
    }
    return arg;
}

/* A watch in a frame that is used for something else right after the wait: whoever set it is out of it, be it that the wait
 * was woken or that it found the version there. */
static void watch_in_a_frame(int round)
{
    uint64_t number = 1, seen = 1, got;
    thrum_watch w = THRUM_WATCH_INIT(number);
    atomic_store(&offered, &w);
    while (round % 3 == 0 && thrum_watch_get(&w, NULL) == 1)
        sched_yield();
    for (int i = 0; i < round % 3; i++)
        EXPECT_IS(thrum_yield(), 0);
    EXPECT_IS(thrum_watch_wait(&w, &seen, &got), 0);
    EXPECT_IS(got, 7);
    EXPECT_IS(seen, 2);
    memset(&w, 0xFF, sizeof(w)); /* a lock never free, a list that leads nowhere */
    EXPECT_IS(w.q.lock, UINT32_MAX);
}

static int watch_in_frames(void *arg)
{
    pthread_t setter;
    (void)arg;
    EXPECT_IS(pthread_create(&setter, NULL, set_the_offered, NULL), 0);
    for (int i = 0; i < BY_BUILD(3000, 1000, 500); i++)
        watch_in_a_frame(i);
    atomic_store(&offered, &watch);
    pthread_join(setter, NULL);
    return 0;
}

static void the_storage_is_free_when_the_wait_returns(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, watch_in_frames, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_returns_the_latest_version_that_was_not_seen),
        cmocka_unit_test(a_cancelled_task_does_not_wait),
        cmocka_unit_test(values_have_any_size_and_place),
        cmocka_unit_test(every_copy_is_whole_and_the_last_value_is_seen_by_all),
        cmocka_unit_test(threads_set_it_for_tasks),
        cmocka_unit_test(the_storage_is_free_when_the_wait_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
