/* SPDX-License-Identifier: MIT */
/* The clock for deadlines: never before CLOCK_MONOTONIC, hardly after it, and not led astray by the counter it uses. */
#include "exec/clock.h"
#include "running.h"

#include <time.h>

/* One reading between two of the clock itself. Returns: true if it came from the counter. */
static bool check_reading(struct thr_clock_base *b)
{
    uint64_t last = b->last, base = b->ns;
    uint64_t before = thr_clock_now();
    uint64_t deadline = thr_clock_for_deadline(b);
    uint64_t after = thr_clock_now();
    assert_true(deadline >= before);       /* N1 */
    assert_true(deadline >= last);         /* N3 */
    assert_true(deadline <= after + 1500); /* N2 */
    return b->rate && b->ns == base;
}

/* Until it uses the counter, or never will. */
static void learn_rate(struct thr_clock_base *b)
{
    while (!b->rate && !b->hopeless)
        check_reading(b);
}

static void it_is_never_early_and_hardly_late(void **state)
{
    (void)state;
    struct thr_clock_base b = {0};
    uint64_t random = 1;
    unsigned from_counter = 0;
    learn_rate(&b);
    for (int i = 0; i < 200000; i++) {
        from_counter += check_reading(&b);
        for (uint32_t n = random_below(&random, 20) ? 0 : random_below(&random, 1000); n > 0; n--)
            __asm__ volatile("");
    }
    for (int i = 0; i < 100; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        check_reading(&b);
    }
    assert_true(b.hopeless || from_counter > 0);
}

/* N4 */
static void a_counter_that_jumps_is_not_believed(void **state)
{
    (void)state;
    struct thr_clock_base b = {0};
    learn_rate(&b);
    const int64_t jumps[] = {1000, 100000, 10000000000, -1000, -100000, -10000000000};
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        check_reading(&b);
        uint64_t before = thr_clock_now();
        b.cycles += (uint64_t)jumps[i]; /* as if the counter had gone the other way */
        uint64_t deadline = thr_clock_for_deadline(&b);
        assert_true(deadline + 2000 >= before); /* a small jump makes a small error */
        assert_true(deadline <= thr_clock_now() + 3000);
        b.age_max = 0; /* the next reading is of the clock */
        learn_rate(&b);
    }
}

static void a_wrong_rate_is_noticed(void **state)
{
    (void)state;
    struct thr_clock_base b = {0};
    learn_rate(&b);
    if (b.hopeless)
        skip();
    const uint64_t right = b.rate;
    const uint64_t wrong[] = {right / 3, right * 3};
    for (size_t i = 0; i < 2; i++) {
        b.rate = wrong[i];
        uint64_t until = thr_clock_now() + 60 * THRUM_SECOND;
        while (b.rate == wrong[i] && thr_clock_now() < until) {
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
            thr_clock_for_deadline(&b);
            thr_clock_for_deadline(&b);
        }
        assert_true(b.rate != wrong[i]);
        learn_rate(&b);
        assert_true(b.rate > right - right / 16 && b.rate < right + right / 16);
    }
}

static void the_end_of_time_is_not_passed(void **state)
{
    (void)state;
    assert_true(thr_clock_after(THRUM_NEVER) == THRUM_NEVER);
    assert_true(thr_clock_after(THRUM_NEVER - 1) == THRUM_NEVER);
    uint64_t before = thrum_now();
    assert_true(thr_clock_after(THRUM_SECOND) >= before + THRUM_SECOND);
}

/* ---- What it is for ---- */

static int sleeper(void *arg)
{
    (void)arg;
    uint64_t random = (uintptr_t)&random / 64;
    for (int i = 0; i < BY_BUILD(100, 50, 30); i++) {
        uint64_t ns = random_below(&random, 4) ? random_below(&random, 300000)
                                               : random_below(&random, 3000000);
        uint64_t before = thrum_now();
        EXPECT_IS(thrum_sleep(ns), 0);
        EXPECT(thrum_now() - before >= ns);
        thrum_timeout limit;
        before = thrum_now();
        thrum_timeout_begin(&limit, ns / 8);
        EXPECT_IS(thrum_sleep(60 * THRUM_SECOND), -ETIMEDOUT);
        EXPECT(thrum_timeout_end(&limit));
        EXPECT(thrum_now() - before >= ns / 8);
    }
    return 0;
}

static int sleepers(void *arg)
{
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 32; i++)
        EXPECT_IS(thrum_scope_spawn(&scope, sleeper, arg), 0);
    return thrum_scope_close(&scope);
}

static void no_sleep_and_no_limit_ends_early(void **state)
{
    (void)state;
    FOR_WORKERS(n)
    assert_runs(*n, sleepers, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_never_early_and_hardly_late),
        cmocka_unit_test(a_counter_that_jumps_is_not_believed),
        cmocka_unit_test(a_wrong_rate_is_noticed),
        cmocka_unit_test(the_end_of_time_is_not_passed),
        cmocka_unit_test(no_sleep_and_no_limit_ends_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
