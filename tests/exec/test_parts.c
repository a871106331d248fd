/* SPDX-License-Identifier: MIT */
/* The small parts: random numbers, cores and quotas, words for errors, the clock. */
#include "exec/clock.h"
#include "exec/cpus.h"
#include "exec/random.h"
#include "exec/util.h"
#include "running.h"

#include <sched.h>

static void random_numbers_stay_below_their_bound(void **state)
{
    (void)state;
    struct thr_random r;
    thr_random_init(&r, 42);
    const uint32_t bounds[] = {1, 2, 3, 7, 16, 1000, UINT32_MAX};
    for (size_t i = 0; i < THR_COUNT_OF(bounds); i++)
        for (int k = 0; k < 10000; k++)
            assert_true(thr_random_below(&r, bounds[i]) < bounds[i]);
}

static void random_numbers_reach_every_value_about_as_often(void **state)
{
    (void)state;
    enum { VALUES = 10, DRAWS = 100000 };
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct thr_random r;
        int seen[VALUES] = {0};
        thr_random_init(&r, seed);
        for (int i = 0; i < DRAWS; i++)
            seen[thr_random_below(&r, VALUES)]++;
        for (int v = 0; v < VALUES; v++)
            assert_true(seen[v] > DRAWS / VALUES * 9 / 10 && seen[v] < DRAWS / VALUES * 11 / 10);
    }
}

static void neighbouring_seeds_differ_and_none_gets_stuck(void **state)
{
    (void)state;
    uint64_t first[64];
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct thr_random r;
        /* The last one is the seed that the mixing would leave at 0. */
        thr_random_init(&r, seed == 63 ? -UINT64_C(0x9E3779B97F4A7C15) : seed);
        assert_true(r.state != 0);
        first[seed] = thr_random_next(&r);
        assert_true(first[seed] != thr_random_next(&r));
        for (uint64_t other = 0; other < seed; other++)
            assert_true(first[seed] != first[other]);
    }
}

static void a_quota_is_rounded_up_to_cores(void **state)
{
    (void)state;
    const struct {
        const char *text;
        unsigned cores;
    } table[] = {
        {"max 100000\n", 0},
        {"100000 100000\n", 1},
        {"100001 100000", 2},
        {"1 100000", 1},
        {"250000 100000", 3},
        {"800000 100000\n", 8},
        {"6553500000 100000", 65535},
        {"6553600000 100000", 0},
        {"0 100000", 0},
        {"100000 0", 0},
        {"100000", 0},
        {"", 0},
        {"max", 0},
        {"words", 0},
        {"-100000 100000", 0},
        {"99999999999999999999999 1", 0},
    };
    for (size_t i = 0; i < THR_COUNT_OF(table); i++)
        assert_int_equal(thr_cpus_parse_quota(table[i].text), table[i].cores);
}

static void affinity_bounds_the_cores(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    unsigned all = thr_cpus_allowed();
    assert_true(all >= 1 && all <= (unsigned)CPU_COUNT(&before));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    unsigned few = thr_cpus_allowed();
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(few, 1);
}

static void every_error_has_a_value_and_words_of_its_own(void **state)
{
    (void)state;
#define ROW(name, value, words) {name, #name, words},
    static const struct {
        int code;
        const char *name, *words;
    } table[] = {THRUM_ERRORS(ROW)};
#undef ROW
    for (size_t i = 0; i < THR_COUNT_OF(table); i++) {
        assert_true(table[i].code <= -10000 && table[i].code > -10400);
        assert_string_equal(thrum_strerror(table[i].code), table[i].words);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(table[i].code, table[k].code);
            assert_string_not_equal(table[i].words, table[k].words);
        }
    }
}

static void system_errors_have_the_systems_words(void **state)
{
    (void)state;
    assert_string_equal(thrum_strerror(0), "success");
    const int codes[] = {ECANCELED, ETIMEDOUT, ENOMEM, EINVAL, EDEADLK, EBUSY, ECONNREFUSED};
    for (size_t i = 0; i < THR_COUNT_OF(codes); i++)
        assert_string_equal(thrum_strerror(-codes[i]), strerrordesc_np(codes[i]));
}

static void an_unknown_code_has_words_too(void **state)
{
    (void)state;
    const int codes[] = {1, EINVAL, -4095, -4096, -9999, -10099, -20000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < THR_COUNT_OF(codes); i++)
        assert_string_equal(thrum_strerror(codes[i]), "unknown error");
}

static void the_clock_goes_forward_and_sums_do_not_wrap(void **state)
{
    (void)state;
    uint64_t a = thr_clock_now(), b = thrum_now();
    assert_true(a > 0 && b >= a);
    assert_true(thr_clock_after(THRUM_NEVER) == THRUM_NEVER);
    assert_true(thr_clock_after(THRUM_NEVER - 1) == THRUM_NEVER);
    assert_true(thr_clock_after(THRUM_SECOND) >= b + THRUM_SECOND);
    assert_true(thr_clock_after(0) >= b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_numbers_stay_below_their_bound),
        cmocka_unit_test(random_numbers_reach_every_value_about_as_often),
        cmocka_unit_test(neighbouring_seeds_differ_and_none_gets_stuck),
        cmocka_unit_test(a_quota_is_rounded_up_to_cores),
        cmocka_unit_test(affinity_bounds_the_cores),
        cmocka_unit_test(every_error_has_a_value_and_words_of_its_own),
        cmocka_unit_test(system_errors_have_the_systems_words),
        cmocka_unit_test(an_unknown_code_has_words_too),
        cmocka_unit_test(the_clock_goes_forward_and_sums_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
