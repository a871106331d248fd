/* SPDX-License-Identifier: MIT */
/* Timers: they run out in order of their deadlines whatever is armed and disarmed meanwhile, near and far, also when the
 * heap cannot grow, and nobody touches a disarmed one.
 *
 * The heap is compiled into this test with its allocations going through it. The time is given, so hours pass at once. */
#include "exec/task.h"
#include "exec/timer.h"
#include "running.h"

#include <sched.h>

static atomic_bool no_memory;

static void *failing_realloc(void *old, size_t bytes)
{
    return atomic_load(&no_memory) ? NULL : realloc(old, bytes);
}

#define realloc failing_realloc
#include "exec/timer_heap.c"
#undef realloc

enum { N = 3000, SEQ = 5 };

struct entry {
    struct thr_timer timer;
    struct thrum_task *task;
    bool armed;
};

static struct thr_timers timers;
static struct entry entries[N];
static struct thrum_task *tasks;

/* A task that is parked in the wait that its timer belongs to. */
static void open_wait(struct thrum_task *t)
{
    thr_store(&t->wait, (uint64_t)SEQ << THR_WAIT_SEQ_SHIFT | THR_WAIT_PARKED, THR_RELAXED);
}

static bool fired_by_timeout(const struct thrum_task *t)
{
    return (thr_load(&t->wait, THR_ACQUIRE) & THR_WAIT_STATE) == THR_WAIT_FIRED + THR_FIRED_TIMEOUT;
}

static void arm(size_t i, uint64_t deadline_ns)
{
    struct entry *e = &entries[i];
    e->task = &tasks[i];
    open_wait(e->task);
    e->timer = (struct thr_timer){
        .deadline_ns = deadline_ns, .task = e->task, .u.seq = SEQ, .position = 77};
    thr_timer_arm(&timers, &e->timer);
    e->armed = true;
}

static void disarm(size_t i)
{
    thr_timer_disarm(&entries[i].timer);
    assert_int_equal(entries[i].timer.place, THR_TIMER_OUT);
    entries[i].armed = false;
}

static int setup(void **state)
{
    (void)state;
    atomic_store(&no_memory, false);
    thr_timers_init(&timers);
    memset(entries, 0, sizeof(entries));
    tasks = calloc(N, sizeof(*tasks));
    return tasks ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    thr_timers_fini(&timers);
    free(tasks);
    return 0;
}

/* The oracle: looks at all entries. */
static uint64_t earliest(void)
{
    uint64_t best = THRUM_NEVER;
    for (size_t i = 0; i < N; i++)
        if (entries[i].armed && entries[i].timer.deadline_ns < best)
            best = entries[i].timer.deadline_ns;
    return best;
}

/* Exactly those that are due have run out. in_order: and in order of their deadlines. */
static void expire_and_check(uint64_t now, bool in_order)
{
    struct thr_wakeups out = {0};
    unsigned n = thr_timers_expire(&timers, now, &out);
    uint64_t last = 0;
    for (struct thrum_task *t = out.head; t; t = t->next, n--) {
        struct entry *e = &entries[t - tasks];
        assert_true(e->armed);
        assert_true(e->timer.deadline_ns <= now);
        assert_true(!in_order || e->timer.deadline_ns >= last);
        assert_true(fired_by_timeout(t));
        assert_int_equal(e->timer.place, THR_TIMER_OUT);
        last = e->timer.deadline_ns;
        e->armed = false;
    }
    assert_int_equal(n, 0);
    assert_true(thr_timers_sleep_until(&timers) == earliest());
    assert_true(earliest() > now);
}

static void timers_run_out_in_order(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (size_t i = 0; i < N; i++)
        arm(i, 1 + random_below(&random, 1000)); /* many are equal */
    for (uint64_t now = 0; now <= 1000; now += random_below(&random, 50))
        expire_and_check(now, true);
    expire_and_check(1001, true);
    assert_true(thr_timers_sleep_until(&timers) == THRUM_NEVER);
}

static void disarmed_timers_do_not_run_out(void **state)
{
    (void)state;
    uint64_t random = 2, now = 0;
    for (int step = 0; step < 20000; step++) {
        size_t i = random_below(&random, N);
        if (!entries[i].armed)
            arm(i, now + 1 + random_below(&random, 10000));
        else
            disarm(i);
        if (step % 500 == 0)
            expire_and_check(now += random_below(&random, 2000), true);
    }
    expire_and_check(now + 100000, true);
}

static void disarming_after_expiry_does_nothing(void **state)
{
    (void)state;
    struct thr_wakeups out = {0};
    arm(0, 10);
    arm(1, 20);
    assert_int_equal(thr_timers_expire(&timers, 15, &out), 1);
    disarm(0);
    assert_true(thr_timers_sleep_until(&timers) == 20);
    disarm(1);
    assert_true(thr_timers_sleep_until(&timers) == THRUM_NEVER);
}

static void a_wait_that_ended_otherwise_is_left_alone(void **state)
{
    (void)state;
    struct thr_wakeups out = {0};
    bool parked;
    arm(0, 10); /* fired by its object */
    assert_true(thr_wait_fire(&tasks[0], SEQ, THR_FIRED_OK, &parked));
    arm(1, 10); /* in its next wait by now */
    thr_store(&tasks[1].wait, (uint64_t)(SEQ + 1) << THR_WAIT_SEQ_SHIFT | THR_WAIT_PARKED,
              THR_RELAXED);
    arm(2, 10); /* armed, but still running */
    thr_store(&tasks[2].wait, (uint64_t)SEQ << THR_WAIT_SEQ_SHIFT | THR_WAIT_ARMED, THR_RELAXED);
    assert_int_equal(thr_timers_expire(&timers, 10, &out), 3);
    assert_null(out.head);
    assert_false(fired_by_timeout(&tasks[0]));
    assert_false(fired_by_timeout(&tasks[1]));
    assert_true(fired_by_timeout(&tasks[2])); /* whoever parks it makes it runnable */
}

/* T3. What the heap holds, and what it does not, runs out all the same. */
static void no_timer_is_lost_without_memory(void **state)
{
    (void)state;
    const size_t in_heap[] = {0, 1, 64, 100};
    for (size_t k = 0; k < 4; k++) {
        uint64_t random = 3 + k, now = 0;
        thr_timers_fini(&timers);
        thr_timers_init(&timers);
        atomic_store(&no_memory, false);
        for (size_t i = 0; i < in_heap[k]; i++)
            arm(i, 1 + random_below(&random, 1000));
        atomic_store(&no_memory, true);
        for (int step = 0; step < 3000; step++) {
            size_t i = random_below(&random, 400);
            if (entries[i].armed)
                disarm(i);
            else
                arm(i, now + 1 + random_below(&random, 1000));
            assert_true(step % 10 || thr_timers_sleep_until(&timers) == earliest());
            if (step % 100 == 0)
                expire_and_check(now += random_below(&random, 300), false);
        }
        atomic_store(&no_memory, false); /* memory is back: the rest */
        for (size_t i = 400; i < 600; i++)
            arm(i, now + 1 + random_below(&random, 1000));
        expire_and_check(now + 1000, false);
    }
}

/* ---- Two threads: one expires on behalf of the other, who arms and disarms timers in frames that go at once ---- */

struct rescue {
    atomic_bool over;
    atomic_size_t fired_n;
    size_t saw_n;
};

static void rescue_member(void *arg, unsigned index)
{
    struct rescue *r = arg;
    uint64_t random = 4;
    while (index == 1 && !atomic_load(&r->over)) {
        struct thr_wakeups out = {0};
        thr_timers_expire(&timers, 500, &out);
        for (struct thrum_task *t = out.head; t; t = t->next)
            atomic_fetch_add(&r->fired_n, 1);
        sched_yield();
    }
    for (int i = 0; index == 0 && i < BY_BUILD(300000, 100000, 30000); i++) {
        struct thr_timer *t = malloc(sizeof(*t)); /* so that a late touch is seen */
        struct thrum_task *task = &tasks[i % N];
        open_wait(task);
        *t = (struct thr_timer){
            .deadline_ns = random_below(&random, 1000), .task = task, .u.seq = SEQ};
        thr_timer_arm(&timers, t);
        for (uint32_t n = random_below(&random, 200); n--;)
            thr_cpu_relax();
        thr_timer_disarm(t);
        r->saw_n += fired_by_timeout(task);
        free(t);
    }
    if (index == 0)
        atomic_store(&r->over, true);
}

static void a_disarmed_timer_is_touched_by_nobody(void **state)
{
    (void)state;
    struct rescue r;
    memset(&r, 0, sizeof(r));
    run_team(2, rescue_member, &r);
    assert_int_equal(r.saw_n, atomic_load(&r.fired_n));
    assert_true(thr_timers_sleep_until(&timers) == THRUM_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_run_out_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(disarmed_timers_do_not_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(disarming_after_expiry_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_that_ended_otherwise_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(no_timer_is_lost_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disarmed_timer_is_touched_by_nobody, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
