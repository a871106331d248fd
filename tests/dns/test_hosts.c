/* SPDX-License-Identifier: MIT */
/* The hosts file as a table; how it is read is tested by dns.resolve. */
#include "dns/hosts.h"
#include "exec/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct thr_hosts_table *table_of(const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    copy[n] = 'X'; /* nobody promises a NUL there */
    struct thr_hosts_table *t;
    assert_int_equal(thr_hosts_table_new(&t, copy, n), 0);
    return t;
}

/* The addresses of the name as one string. */
static const char *find(const struct thr_hosts_table *t, const char *name)
{
    static char all[THRUM_ADDRS_MAX * THRUM_ADDR_TEXT_MAX];
    thrum_addrs out;
    thr_hosts_table_find(t, name, strlen(name), &out);
    size_t n = 0;
    all[0] = '\0';
    for (unsigned i = 0; i < out.n; i++) {
        if (i)
            all[n++] = ' ';
        n += strlen(thrum_addr_format(&out.at[i], all + n, sizeof(all) - n));
    }
    return all;
}

static void lines_give_names_their_addresses(void **state)
{
    (void)state;
    struct thr_hosts_table *t = table_of("127.0.0.1 localhost\n"
                                         "10.0.0.1\tone one.example  alias\t \n"
                                         "fd00::1 one\n"
                                         "10.0.0.2 one");
    assert_string_equal(find(t, "localhost"), "127.0.0.1:0");
    assert_string_equal(find(t, "alias"), "10.0.0.1:0");
    assert_string_equal(find(t, "one"), "[fd00::1]:0 10.0.0.1:0 10.0.0.2:0");
    assert_string_equal(find(t, "one.example"), "10.0.0.1:0");
    assert_string_equal(find(t, "two"), "");
    assert_string_equal(find(t, "on"), "");
    thr_hosts_table_free(t);
}

static void case_and_a_last_dot_do_not_matter(void **state)
{
    (void)state;
    struct thr_hosts_table *t = table_of("10.0.0.1 Host.Example\n10.0.0.2 dotted.\n");
    assert_string_equal(find(t, "host.example"), "10.0.0.1:0");
    assert_string_equal(find(t, "host.example."), "10.0.0.1:0");
    assert_string_equal(find(t, "dotted"), "10.0.0.2:0");
    assert_string_equal(find(t, "dotted."), "10.0.0.2:0");
    thr_hosts_table_free(t);
}

static void comments_and_nonsense_are_skipped(void **state)
{
    (void)state;
    struct thr_hosts_table *t = table_of("# 10.0.0.9 commented\n"
                                         "\n \t \r\n"
                                         "10.0.0.1 good#10.0.0.9 bad\n"
                                         "10.0.0.1.2 bad\n"
                                         "bad 10.0.0.9\n"
                                         "10.0.0.3\n"
                                         "10.0.0.4 b*d also-good\r\n"
                                         "\x80\xff\x01 bad\n"
                                         "10.0.0.5 last#");
    assert_string_equal(find(t, "good"), "10.0.0.1:0");
    assert_string_equal(find(t, "bad"), "");
    assert_string_equal(find(t, "commented"), "");
    assert_string_equal(find(t, "also-good"), "10.0.0.4:0");
    assert_string_equal(find(t, "last"), "10.0.0.5:0");
    thr_hosts_table_free(t);
}

static void an_address_is_given_once(void **state)
{
    (void)state;
    struct thr_hosts_table *t = table_of("10.0.0.1 a a\n10.0.0.1 a\n::1 a\n::1 a\n");
    assert_string_equal(find(t, "a"), "[::1]:0 10.0.0.1:0");
    thr_hosts_table_free(t);
}

static void an_empty_file_is_an_empty_table(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\n", "#", " ", "\n\n\n", "10.0.0.1", "a\n"};
    for (size_t i = 0; i < THR_COUNT_OF(empty); i++) {
        struct thr_hosts_table *t = table_of(empty[i]);
        assert_string_equal(find(t, "a"), "");
        thr_hosts_table_free(t);
    }
    assert_string_equal(find(NULL, "a"), "");
}

static void bytes_of_zero_separate_words(void **state)
{
    (void)state;
    static const char text[] = "10.0.0.1\0a\0b\n\0"
                               "10.0.0.2 c";
    char *copy = malloc(sizeof(text));
    assert_non_null(copy);
    memcpy(copy, text, sizeof(text));
    struct thr_hosts_table *t;
    assert_int_equal(thr_hosts_table_new(&t, copy, sizeof(text) - 1), 0);
    assert_string_equal(find(t, "a"), "10.0.0.1:0");
    assert_string_equal(find(t, "b"), "10.0.0.1:0");
    assert_string_equal(find(t, "c"), "10.0.0.2:0");
    thr_hosts_table_free(t);
}

static void no_more_addresses_than_fit(void **state)
{
    (void)state;
    static char text[4096];
    size_t n = 0;
    for (int i = 0; i < 60; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "10.0.0.%d a\nfd00::%d a\n", i, i);
    struct thr_hosts_table *t = table_of(text);
    thrum_addrs out;
    thr_hosts_table_find(t, "a", 1, &out);
    assert_int_equal(out.n, THRUM_ADDRS_MAX);
    assert_int_equal(out.at[0].u.sa.sa_family, AF_INET6);
    assert_int_equal(out.at[31].u.sa.sa_family, AF_INET);
    thr_hosts_table_free(t);
}

enum { LINES = 20000 };

static void a_long_list_is_found_through(void **state)
{
    (void)state;
    char *text = malloc((size_t)LINES * 40);
    assert_non_null(text);
    size_t n = 0;
    for (int i = 0; i < LINES; i++)
        n += (size_t)sprintf(text + n, "0.0.0.0 ad%d.example\n", i);
    struct thr_hosts_table *t;
    assert_int_equal(thr_hosts_table_new(&t, text, n), 0);
    for (int i = 0; i < LINES; i += 7) {
        char name[32];
        snprintf(name, sizeof(name), "ad%d.example", i);
        assert_string_equal(find(t, name), "0.0.0.0:0");
    }
    assert_string_equal(find(t, "ad20000.example"), "");
    thr_hosts_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_give_names_their_addresses),
        cmocka_unit_test(case_and_a_last_dot_do_not_matter),
        cmocka_unit_test(comments_and_nonsense_are_skipped),
        cmocka_unit_test(an_address_is_given_once),
        cmocka_unit_test(an_empty_file_is_an_empty_table),
        cmocka_unit_test(bytes_of_zero_separate_words),
        cmocka_unit_test(no_more_addresses_than_fit),
        cmocka_unit_test(a_long_list_is_found_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
