/* SPDX-License-Identifier: MIT */
/* Which names are host names, and what they are called in the tables. */
#include "dns/name.h"
#include "exec/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <thrum/error.h>

#include <cmocka.h>

static void check(const char *host, const char *want)
{
    char name[THR_NAME_BYTES];
    int len = thr_name_canonical(name, host);
    if (!want) {
        assert_int_equal(len, THRUM_EDNS_BADNAME);
        return;
    }
    assert_int_equal(len, strlen(want));
    assert_string_equal(name, want);
}

static void good_names_are_lowered(void **state)
{
    (void)state;
    check("example.com", "example.com");
    check("WWW.Example.COM", "www.example.com");
    check("a", "a");
    check("a.", "a.");
    check("_dmarc.example.org.", "_dmarc.example.org.");
    check("xn--bcher-kva.example", "xn--bcher-kva.example");
    check("r3---sn-x.example", "r3---sn-x.example");
    check("1.2.3.com", "1.2.3.com");
    check("0x7f.example", "0x7f.example");
    check("0xg", "0xg");
    check("3com", "3com");
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      ".",     "..",        ".a",     "a..b",   "a..",          "a b",
        " a",    "a ",    "a\tb",      "a\nb",   "a\x7f",  "b\xc3\xbc.de", "a/b",
        "a\\.b", "a:80",  "[::1]",     "user@a", "a*",     "*.a",          "a%2e",
        "127.1", "1.2.3", "1.2.3.4.5", "1.2.3.", "0x7f.1", "a.0x7f",       "a.0X7F.",
        "a.12",  "42",    "0x",        "a,b",    "a;b",    "\"a\"",
    };
    for (size_t i = 0; i < THR_COUNT_OF(bad); i++)
        check(bad[i], NULL);
}

static void a_label_has_at_most_63_bytes(void **state)
{
    (void)state;
    char host[80];
    memset(host, 'a', sizeof(host));
    memcpy(host + 63, ".b", 3);
    check(host, host);
    memset(host, 'a', sizeof(host));
    memcpy(host + 64, ".b", 3);
    check(host, NULL);
}

static void a_name_has_at_most_253_bytes(void **state)
{
    (void)state;
    char host[300];
    for (size_t i = 0; i < sizeof(host); i++)
        host[i] = i % 2 ? '.' : 'a';
    host[253] = '\0';
    check(host, host);
    host[253] = '.'; /* the last dot does not count */
    host[254] = '\0';
    check(host, host);
    host[253] = 'a';
    check(host, NULL);
    host[254] = '.';
    host[255] = '\0';
    check(host, NULL);
    memset(host, 'a', 290);
    check(host, NULL);
}

static void a_name_may_be_lowered_in_place(void **state)
{
    (void)state;
    char name[] = "Ex.Ample.";
    assert_int_equal(thr_name_canonical(name, name), 9);
    assert_string_equal(name, "ex.ample.");
}

static bool is_localhost(const char *name)
{
    return thr_name_is_localhost(name, strlen(name));
}

static void localhost_and_what_is_below_it(void **state)
{
    (void)state;
    assert_true(is_localhost("localhost"));
    assert_true(is_localhost("localhost."));
    assert_true(is_localhost("a.localhost"));
    assert_true(is_localhost("a.b.localhost."));
    assert_false(is_localhost("notlocalhost"));
    assert_false(is_localhost("localhost.example"));
    assert_false(is_localhost("a.notlocalhost"));
    assert_false(is_localhost("ocalhost"));
    assert_false(is_localhost(""));
}

static void the_hash_depends_on_name_and_seed(void **state)
{
    (void)state;
    assert_int_equal(thr_name_hash("abc", 3, 1), thr_name_hash("abcd", 3, 1));
    assert_int_not_equal(thr_name_hash("abc", 3, 1), thr_name_hash("abd", 3, 1));
    assert_int_not_equal(thr_name_hash("abc", 3, 1), thr_name_hash("abc", 3, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names_are_lowered),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(a_label_has_at_most_63_bytes),
        cmocka_unit_test(a_name_has_at_most_253_bytes),
        cmocka_unit_test(a_name_may_be_lowered_in_place),
        cmocka_unit_test(localhost_and_what_is_below_it),
        cmocka_unit_test(the_hash_depends_on_name_and_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
