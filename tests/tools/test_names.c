/* SPDX-License-Identifier: MIT */
/* File names, shown URLs, and when to try again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <thrum/error.h>
#include <thrum/time.h>

#include "tools/fetch/name.h"
#include "tools/fetch/retry.h"

static void expect_name(uint64_t index, const char *url, const char *expected)
{
    char name[THR_NAME_MAX];
    assert_string_equal(thr_name_make(index, url, name), expected);
}

static void names_tell_place_host_and_path(void **state)
{
    (void)state;
    expect_name(0, "http://example.org", "000001-example.org");
    expect_name(0, "http://example.org/", "000001-example.org");
    expect_name(9, "https://example.org/a/b.html?c=d&e=f#g", "000010-example.org_a_b.html_c_d_e_f");
    expect_name(999999, "http://example.org:8080/%20x", "1000000-example.org_8080_20x");
    expect_name(0, "HTTP:/\\example.org/x", "000001-example.org_x");
    expect_name(0, "http:example.org/x", "000001-example.org_x");
    expect_name(0, "https://u:p@ss@example.org/x@y", "000001-example.org_x_y");
    expect_name(0, "http://[::1]:80/", "000001-1_80");
    expect_name(0, "example.org/x", "000001-example.org_x");
}

static void names_stay_in_the_directory(void **state)
{
    (void)state;
    expect_name(0, "http://../../etc/passwd", "000001-.._.._etc_passwd");
    expect_name(0, "../x", "000001-.._x");
    expect_name(0, "/", "000001");
    expect_name(0, "", "000001");
    expect_name(0, "http://\x01\xff/\n", "000001");
}

static void names_are_of_bounded_length(void **state)
{
    (void)state;
    char url[70000] = "http://example.org/", name[THR_NAME_MAX];
    memset(url + strlen(url), 'x', sizeof(url) - 1 - strlen(url));
    thr_name_make(UINT64_MAX - 1, url, name);
    assert_int_equal(strlen(name), THR_NAME_MAX - 1);
    assert_memory_equal(name, "18446744073709551615-example.org_xxx", 36);
}

static void expect_shown(const char *url, const char *expected)
{
    char *shown = thr_name_redact(url);
    assert_string_equal(shown, expected);
    free(shown);
}

static void shown_urls_hold_no_password(void **state)
{
    (void)state;
    expect_shown("http://example.org/a@b?c@d#e", "http://example.org/a@b?c@d#e");
    expect_shown("http://u:p@example.org/a", "http://example.org/a");
    expect_shown("http://u:p@q@example.org:99999", "http://example.org:99999");
    expect_shown("https:///u:p@example.org", "https:///example.org");
    expect_shown("https:u:p@example.org", "https:example.org");
    expect_shown("http:\\\\u:p@example.org\\a@b", "http:\\\\example.org\\a@b");
    expect_shown("ftp://u:p@example.org/", "ftp://example.org/");
    expect_shown("u@example.org", "example.org");
    expect_shown("", "");
}

static void only_idempotent_methods_are_retried(void **state)
{
    (void)state;
    assert_true(thr_retry_method(NULL));
    assert_true(thr_retry_method("GET"));
    assert_true(thr_retry_method("HEAD"));
    assert_true(thr_retry_method("PUT"));
    assert_true(thr_retry_method("DELETE"));
    assert_false(thr_retry_method("POST"));
    assert_false(thr_retry_method("PATCH"));
    assert_false(thr_retry_method("get")); /* methods are case-sensitive */
}

static void only_what_may_pass_is_retried(void **state)
{
    (void)state;
    const int yes[] = {-ECONNREFUSED,       -ECONNRESET,      -ETIMEDOUT,
                       THRUM_EDNS_SERVFAIL, THRUM_EHTTP_LOST, THRUM_EHTTP_TRUNCATED,
                       THRUM_ETLS_TRUNCATED};
    const int no[] = {0,
                      -ENOMEM,
                      -ECANCELED,
                      THRUM_EDNS_NOTFOUND,
                      THRUM_ETLS_EXPIRED,
                      THRUM_EHTTP_URL,
                      THRUM_EHTTP_PROTOCOL,
                      THRUM_EHTTP_REDIRECTS};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(thr_retry_error(yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(thr_retry_error(no[i]));
    assert_true(thr_retry_status(408));
    assert_true(thr_retry_status(429));
    assert_true(thr_retry_status(500));
    assert_true(thr_retry_status(599));
    assert_false(thr_retry_status(200));
    assert_false(thr_retry_status(404));
    assert_false(thr_retry_status(600));
}

static void retry_after_is_read_in_seconds(void **state)
{
    (void)state;
    assert_true(thr_retry_after(NULL) == 0);
    assert_true(thr_retry_after("") == 0);
    assert_true(thr_retry_after("7") == 7 * THRUM_SECOND);
    assert_true(thr_retry_after("-7") == 0);
    assert_true(thr_retry_after("7.5") == 0);
    assert_true(thr_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0);
    assert_true(thr_retry_after("99999999999999999999999") >= 60 * THRUM_SECOND);
}

static void waits_double_with_chance_up_to_a_minute(void **state)
{
    (void)state;
    for (uint64_t tried = 1; tried < 80; tried++) {
        uint64_t least = tried < 8 ? THRUM_SECOND / 2 << (tried - 1) : 60 * THRUM_SECOND;
        if (least > 60 * THRUM_SECOND)
            least = 60 * THRUM_SECOND;
        uint64_t most = least + least / 2;
        for (uint64_t random = 0; random < 20; random++) {
            uint64_t wait = thr_retry_wait(tried, 0, random * UINT64_C(0x9E3779B97F4A7C15));
            assert_true(wait >= least);
            assert_true(wait <= most && wait <= 60 * THRUM_SECOND);
        }
    }
    assert_true(thr_retry_wait(1, 7 * THRUM_SECOND, 0) == 7 * THRUM_SECOND);
    assert_true(thr_retry_wait(1, 3600 * THRUM_SECOND, 0) == 60 * THRUM_SECOND);
    assert_true(thr_retry_wait(6, THRUM_SECOND, 0) == 16 * THRUM_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell_place_host_and_path),
        cmocka_unit_test(names_stay_in_the_directory),
        cmocka_unit_test(names_are_of_bounded_length),
        cmocka_unit_test(shown_urls_hold_no_password),
        cmocka_unit_test(only_idempotent_methods_are_retried),
        cmocka_unit_test(only_what_may_pass_is_retried),
        cmocka_unit_test(retry_after_is_read_in_seconds),
        cmocka_unit_test(waits_double_with_chance_up_to_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
