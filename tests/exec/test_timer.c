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

enum { N = 100000, FEW = 3000, SEQ = 5 };

struct entry {
    struct thr_timer timer;
    struct thrum_task *task;
    bool armed;
};

static struct thr_timers timers;
static struct entry entries[N];
static struct thrum_task *tasks;
static size_t used_n; /* so many entries are used */

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
    used_n = FEW;
    thr_timers_init(&timers, 0);
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
    for (size_t i = 0; i < used_n; i++)
        if (entries[i].armed && entries[i].timer.deadline_ns < best)
            best = entries[i].timer.deadline_ns;
    return best;
}

/* A worker may sleep until the earliest deadline; or until the beginning of its tick, if that is crowded. */
static void check_sleep(void)
{
    uint64_t until = thr_timers_sleep_until(&timers), due = earliest();
    if (until == due)
        return;
    uint64_t tick = thr_far_tick(due);
    assert_true(until == thr_far_tick_start(tick));
    size_t crowd = 0;
    for (size_t i = 0; i < used_n; i++)
        crowd += entries[i].armed && thr_far_tick(entries[i].timer.deadline_ns) == tick;
    assert_true(crowd > 64);
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
    check_sleep();
    assert_true(earliest() > now);
    assert_true(thr_timers_next(&timers) <= earliest()); /* T6 */
}

static void timers_run_out_in_order(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (size_t i = 0; i < used_n; i++)
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
        size_t i = random_below(&random, FEW);
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
    const size_t in_heap[] = {0, 1, 64, 100, 0, 1, 64, 100};
    for (size_t k = 0; k < 8; k++) {
        uint64_t random = 3 + k, now = 0;
        uint64_t unit = k < 4 ? 1 : MS; /* near only; then also buckets that cannot be sorted in */
        thr_timers_fini(&timers);
        thr_timers_init(&timers, 0);
        atomic_store(&no_memory, false);
        for (size_t i = 0; i < in_heap[k]; i++)
            arm(i, (1 + random_below(&random, 1000)) * unit);
        atomic_store(&no_memory, true);
        for (int step = 0; step < 3000; step++) {
            size_t i = random_below(&random, 400);
            if (entries[i].armed)
                disarm(i);
            else
                arm(i, now + (1 + random_below(&random, 1000)) * unit);
            if (step % 10 == 0)
                check_sleep();
            if (step % 100 == 0)
                expire_and_check(now += random_below(&random, 300) * unit, false);
        }
        atomic_store(&no_memory, false); /* memory is back: the rest */
        for (size_t i = 400; i < 600; i++)
            arm(i, now + (1 + random_below(&random, 1000)) * unit);
        expire_and_check(now + 1000 * unit, false);
    }
}

/* ---- Near and far ---- */

/* From nanoseconds to months. */
static uint64_t some_time(uint64_t *random)
{
    static const uint64_t spans[] = {MS, 200 * MS, 10 * THRUM_SECOND, 70 * THRUM_SECOND};
    uint32_t which = random_below(random, 5);
    uint64_t span = which < 4 ? spans[which] : 10000000 * THRUM_SECOND;
    uint64_t big = (uint64_t)random_next(random) << 31 | random_next(random);
    return 1 + big % span;
}

/* 100,000 timers, armed and disarmed at random, against what a look at all of them says. Time goes on in steps between
 * microseconds and hours. */
static void near_and_far_timers_run_out_in_order(void **state)
{
    (void)state;
    uint64_t random = 7, now = 1000 * THRUM_SECOND;
    used_n = N;
    for (int step = 0; step < BY_BUILD(200, 60, 40); step++) {
        for (int k = 0; k < 10000; k++) {
            size_t i = random_below(&random, N);
            if (entries[i].armed)
                disarm(i);
            else
                arm(i, now + some_time(&random));
        }
        expire_and_check(now, true); /* nothing is due that was not at the last step */
        now += some_time(&random) >> random_below(&random, 20);
        expire_and_check(now, true);
    }
    for (size_t i = 0; i < N; i++)
        if (entries[i].armed && i % 2)
            disarm(i);
    expire_and_check(now + 20000000 * THRUM_SECOND, true);
    assert_true(thr_timers_sleep_until(&timers) == THRUM_NEVER);
}

/* What a worker does that has nothing but timers. Returns: how often it woke without a timer that ran out. */
static int sleep_through(uint64_t now)
{
    int for_nothing = 0;
    for (uint64_t until; (until = thr_timers_sleep_until(&timers)) != THRUM_NEVER;) {
        uint64_t due = earliest();
        now = until > now ? until : now;
        expire_and_check(now, true);
        for_nothing += earliest() == due;
    }
    return for_nothing;
}

static void a_sleeper_wakes_for_deadlines_only(void **state)
{
    (void)state;
    uint64_t random = 8, now = 5000 * THRUM_SECOND;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 64; i++)
            arm(i, now + some_time(&random));
        for (size_t i = 0; i < 30; i++) /* the earliest may be among them */
            disarm(i);
        assert_int_equal(sleep_through(now), 0);
    }
    /* A crowd is sorted first: one more wake for each 67 ms. */
    now += 40000000 * THRUM_SECOND;
    expire_and_check(now, true);
    uint64_t tick = thr_far_tick(now) + 100;
    for (size_t i = 0; i < 1000; i++)
        arm(i, thr_far_tick_start(tick + i % 2) + 1 + random_below(&random, 60000000));
    assert_true(sleep_through(now) <= 2);
}

/* T4 */
static void a_crowd_is_sorted_a_little_at_a_time(void **state)
{
    (void)state;
    enum { CROWD = 1000, EACH = 64 };
    struct thr_wakeups out = {0};
    uint64_t now = thr_far_tick_start(5000);
    thr_timers_expire(&timers, now, &out);
    for (size_t i = 0; i < CROWD; i++)
        arm(i, thr_far_tick_start(5002) + 1 + i);
    assert_int_equal(timers.heap.n, 0);
    now = thr_far_tick_start(5001); /* the tick before */
    for (uint32_t n = 0; n < CROWD; now += 1000) {
        assert_int_equal(thr_timers_expire(&timers, now, &out), 0);
        n = n + EACH < CROWD ? n + EACH : CROWD;
        assert_int_equal(timers.heap.n, n);
    }
    assert_true(thr_timers_next(&timers) > now); /* nothing more to do */
    expire_and_check(thr_far_tick_start(5002) + CROWD, true);
    assert_true(earliest() == THRUM_NEVER);
}

static void memory_is_given_back_after_a_crowd(void **state)
{
    (void)state;
    used_n = N;
    for (size_t i = 0; i < N; i++)
        arm(i, 1 + i);
    assert_true(timers.heap.max >= N);
    expire_and_check(N, true);
    for (uint64_t tick = 1; tick < 20; tick++)
        expire_and_check(thr_far_tick_start(tick), true);
    assert_true(timers.heap.max < N / 8);
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
        struct thrum_task *task = &tasks[i % FEW];
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
        cmocka_unit_test_setup_teardown(near_and_far_timers_run_out_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sleeper_wakes_for_deadlines_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_is_sorted_a_little_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_given_back_after_a_crowd, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disarmed_timer_is_touched_by_nobody, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
