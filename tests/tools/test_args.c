/* SPDX-License-Identifier: MIT */
/* The command line parser, and numbers, times and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/common/args.h"
#include "tools/common/quantity.h"

static const struct thr_arg table[] = {
    {1, 'v', "verbose", false},
    {2, 'n', "number", true},
    {3, '\0', "only-long", false},
    {4, 'q', NULL, false},
    {0},
};

/* Starts on a list of arguments that ends in NULL. */
static void start(struct thr_args *a, char *const *argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    thr_args_init(a, table, argc, argv);
}

static void expect(struct thr_args *a, int id, const char *value)
{
    int got_id = -1;
    const char *got = NULL;
    assert_int_equal(thr_args_next(a, &got_id, &got), 1);
    assert_int_equal(got_id, id);
    if (value)
        assert_string_equal(got, value);
    else
        assert_null(got);
}

static void expect_end(struct thr_args *a)
{
    int id;
    const char *value;
    assert_int_equal(thr_args_next(a, &id, &value), 0);
}

#define WORD(text) ((char[]){text})

static void options_and_operands_come_in_the_order_given(void **state)
{
    (void)state;
    struct thr_args a;
    char *argv[] = {WORD("one"), WORD("-v"), WORD("two"), WORD("-n"), WORD("5"), WORD("-"), NULL};
    start(&a, argv);
    expect(&a, THR_ARG_OPERAND, "one");
    expect(&a, 1, NULL);
    expect(&a, THR_ARG_OPERAND, "two");
    expect(&a, 2, "5");
    expect(&a, THR_ARG_OPERAND, "-");
    expect_end(&a);
}

static void values_may_be_attached_or_apart(void **state)
{
    (void)state;
    struct thr_args a;
    char *argv[] = {WORD("-n5"),         WORD("-n"), WORD("-5"),        WORD("--number=a=b"),
                    WORD("--number"),    WORD("--"), WORD("--number="), WORD("-vqn7"),
                    WORD("--only-long"), NULL};
    start(&a, argv);
    expect(&a, 2, "5");
    expect(&a, 2, "-5");
    expect(&a, 2, "a=b");
    expect(&a, 2, "--");
    expect(&a, 2, "");
    expect(&a, 1, NULL);
    expect(&a, 4, NULL);
    expect(&a, 2, "7");
    expect(&a, 3, NULL);
    expect_end(&a);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct thr_args a;
    char *argv[] = {WORD("-v"), WORD("--"), WORD("-v"), WORD("--"), WORD("--number"), NULL};
    start(&a, argv);
    expect(&a, 1, NULL);
    expect(&a, THR_ARG_OPERAND, "-v");
    expect(&a, THR_ARG_OPERAND, "--");
    expect(&a, THR_ARG_OPERAND, "--number");
    expect_end(&a);
}

static void expect_fault(char *argument, const char *fault)
{
    struct thr_args a;
    char *argv[] = {argument, NULL};
    int id, got;
    const char *value;
    start(&a, argv);
    do {
        got = thr_args_next(&a, &id, &value);
    } while (got > 0);
    assert_int_equal(got, -1);
    assert_string_equal(a.error, fault);
}

static void faults_are_named(void **state)
{
    (void)state;
    expect_fault(WORD("-x"), "no such option: -x");
    expect_fault(WORD("-vx"), "no such option: -x");
    expect_fault(WORD("-n"), "option -n needs a value");
    expect_fault(WORD("-vn"), "option -n needs a value");
    expect_fault(WORD("--number"), "option --number needs a value");
    expect_fault(WORD("--num"), "no such option: --num");
    expect_fault(WORD("--verbose=1"), "option --verbose takes no value");
    expect_fault(WORD("--=5"), "no such option: --=5");
}

static void whole_numbers_are_read_within_limits(void **state)
{
    (void)state;
    uint64_t n = 77;
    assert_true(thr_quantity_uint("0", 0, 10, &n));
    assert_int_equal(n, 0);
    assert_true(thr_quantity_uint("10", 0, 10, &n));
    assert_true(thr_quantity_uint("18446744073709551615", 0, UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    n = 77;
    const char *const bad[] = {
        "", "11", "-1", "+1", " 1", "1 ", "1k", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(thr_quantity_uint(bad[i], 0, 10, &n));
    assert_false(thr_quantity_uint("0", 1, 10, &n));
    assert_false(thr_quantity_uint("18446744073709551616", 0, UINT64_MAX, &n));
    assert_int_equal(n, 77);
}

static void seconds_are_read_with_decimals(void **state)
{
    (void)state;
    uint64_t ns = 77;
    assert_true(thr_quantity_seconds("2", &ns));
    assert_int_equal(ns, 2000000000);
    assert_true(thr_quantity_seconds("0.5", &ns));
    assert_int_equal(ns, 500000000);
    assert_true(thr_quantity_seconds("1.000000001", &ns));
    assert_int_equal(ns, 1000000001);
    assert_true(thr_quantity_seconds("0", &ns));
    assert_int_equal(ns, 0);
    ns = 77;
    const char *const bad[] = {"",    ".5",  "1.",    "-1",         "1s",
                               "1,5", "1e3", "1.1.1", "1000000001", "1.0000000001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(thr_quantity_seconds(bad[i], &ns));
    assert_int_equal(ns, 77);
}

static void quantities_are_written_for_people(void **state)
{
    (void)state;
    char text[THR_QUANTITY_TEXT_MAX];
    assert_string_equal(thr_quantity_bytes(0, text), "0 B");
    assert_string_equal(thr_quantity_bytes(999, text), "999 B");
    assert_string_equal(thr_quantity_bytes(1500, text), "1.5 kB");
    assert_string_equal(thr_quantity_bytes(999999, text), "1.0 MB");
    assert_string_equal(thr_quantity_bytes(UINT64_MAX, text), "18.4 EB");
    assert_string_equal(thr_quantity_count(0, text), "0");
    assert_string_equal(thr_quantity_count(999, text), "999");
    assert_string_equal(thr_quantity_count(1234567, text), "1,234,567");
    assert_string_equal(thr_quantity_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    assert_string_equal(thr_quantity_time(250000000, text), "250 ms");
    assert_string_equal(thr_quantity_time(2000000000, text), "2 s");
    assert_string_equal(thr_quantity_time(1500000000, text), "1.5 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_come_in_the_order_given),
        cmocka_unit_test(values_may_be_attached_or_apart),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(whole_numbers_are_read_within_limits),
        cmocka_unit_test(seconds_are_read_with_decimals),
        cmocka_unit_test(quantities_are_written_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
