/* SPDX-License-Identifier: MIT */
/* The command line of `thrum fetch`. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/util.h"
#include "tools/fetch/options.h"

#define WORDS_MAX 32

/* Reads a line of words that spaces separate ('~' stands for a space within a word). The words must live
 * as long as the options, so they are copied and never freed. */
static int read_line(struct thr_fetch_options *o, const char *line, char error[256])
{
    static char copy[1024];
    char *argv[WORDS_MAX], *rest = NULL;
    int argc = 0;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *p = strtok_r(copy, " ", &rest); p; p = strtok_r(NULL, " ", &rest)) {
        for (char *c = p; *c; c++)
            *c = *c == '~' ? ' ' : *c;
        argv[argc++] = p;
    }
    error[0] = '\0';
    return thr_fetch_options_read(o, argc, argv, error, 256);
}

static void expect_good(struct thr_fetch_options *o, const char *line)
{
    char error[256];
    int err = read_line(o, line, error);
    assert_string_equal(error, "");
    assert_int_equal(err, 0);
}

static void expect_fault(const char *line, const char *fault)
{
    struct thr_fetch_options o;
    char error[256];
    assert_int_equal(read_line(&o, line, error), -EINVAL);
    if (!strstr(error, fault))
        assert_string_equal(error, fault);
    thr_fetch_options_fini(&o);
}

static void without_options_all_are_at_their_defaults(void **state)
{
    (void)state;
    struct thr_fetch_options o;
    expect_good(&o, "http://a/ http://b/");
    assert_int_equal(o.urls_n, 2);
    assert_string_equal(o.urls[0], "http://a/");
    assert_string_equal(o.urls[1], "http://b/");
    assert_int_equal(o.at_once, 64);
    assert_false(o.json || o.insecure || o.stats || o.help || o.has_body || o.limits_redirects);
    assert_null(o.method);
    assert_int_equal(o.workers, 0);
    assert_int_equal(o.retries, 0);
    thr_fetch_options_fini(&o);
}

static void every_option_is_read_short_and_long(void **state)
{
    (void)state;
    const char *const lines[] = {
        "-i list -c 9 -o dir --json -H A:~b -X PUT -d x --max-time 1.5 --connect-timeout 2 "
        "--max-redirects 0 --retry 3 --cacert ca --insecure --resolve h:1:127.0.0.1 --workers 4 "
        "--stats",
        "--input=list --concurrency=9 --output-dir=dir --json --header=A:b --request=PUT --data=x "
        "--max-time=1.5 --connect-timeout=2 --max-redirects=0 --retry=3 --cacert=ca --insecure "
        "--resolve=h:1:127.0.0.1 --workers=4 --stats",
    };
    for (size_t i = 0; i < 2; i++) {
        struct thr_fetch_options o;
        expect_good(&o, lines[i]);
        assert_string_equal(o.input, "list");
        assert_int_equal(o.at_once, 9);
        assert_string_equal(o.dir, "dir");
        assert_true(o.json && o.insecure && o.stats && o.limits_redirects);
        assert_string_equal(o.headers[0].name, "A");
        assert_string_equal(o.headers[0].value, "b");
        assert_string_equal(o.method, "PUT");
        assert_string_equal(o.body.data, "x");
        assert_int_equal(o.max_time_ns, 1500000000);
        assert_int_equal(o.connect_timeout_ns, 2000000000);
        assert_int_equal(o.max_redirects, 0);
        assert_int_equal(o.retries, 3);
        assert_string_equal(o.cacert, "ca");
        assert_string_equal(o.overrides[0].host, "h");
        assert_int_equal(o.workers, 4);
        thr_fetch_options_fini(&o);
    }
}

static void data_makes_a_post_of_a_form(void **state)
{
    (void)state;
    struct thr_fetch_options o;
    expect_good(&o, "-d a=1 -d b=2 http://a/");
    assert_string_equal(o.method, "POST");
    assert_string_equal(o.body.data, "a=1&b=2");
    assert_int_equal(o.headers_n, 1);
    assert_string_equal(o.headers[0].name, "Content-Type");
    assert_string_equal(o.headers[0].value, "application/x-www-form-urlencoded");
    thr_fetch_options_fini(&o);

    expect_good(&o, "-H content-TYPE:text/plain -X PUT -d x http://a/");
    assert_string_equal(o.method, "PUT");
    assert_int_equal(o.headers_n, 1);
    thr_fetch_options_fini(&o);

    expect_good(&o, "--data= http://a/");
    assert_string_equal(o.method, "POST");
    assert_true(o.has_body);
    assert_int_equal(o.body.n, 0);
    thr_fetch_options_fini(&o);
}

static void data_comes_from_a_file_unchanged(void **state)
{
    (void)state;
    struct thr_fetch_options o;
    char *path = sup_tmpname("data");
    char *line = sup_format("-d @%s http://a/", path);
    static const char bytes[] = "a\r\n\0b";
    assert_true(sup_file_write(path, bytes, sizeof(bytes)));
    expect_good(&o, line);
    assert_int_equal(o.body.n, sizeof(bytes));
    assert_memory_equal(o.body.data, bytes, sizeof(bytes));
    thr_fetch_options_fini(&o);
    expect_fault("-d @/nowhere/at/all http://a/", "-d @/nowhere/at/all: ");
    free(line);
    free(path);
}

static void expect_override(const char *value, const char *host, uint16_t port, const char *addr)
{
    struct thr_fetch_options o;
    char *line = sup_format("--resolve %s http://a/", value);
    char text[THRUM_ADDR_TEXT_MAX];
    expect_good(&o, line);
    assert_int_equal(o.overrides_n, 1);
    assert_string_equal(o.overrides[0].host, host);
    assert_int_equal(o.overrides[0].port, port);
    assert_string_equal(thrum_addr_format(&o.overrides[0].addr, text, sizeof(text)), addr);
    thr_fetch_options_fini(&o);
    free(line);
}

static void overrides_take_both_families(void **state)
{
    (void)state;
    expect_override("example.org:443:127.0.0.1", "example.org", 443, "127.0.0.1:443");
    expect_override("example.org:443:::1", "example.org", 443, "[::1]:443");
    expect_override("example.org:443:[::1]", "example.org", 443, "[::1]:443");
    expect_override("[::2]:80:127.0.0.1", "::2", 80, "127.0.0.1:80");
    const char *const bad[] = {"x",        "x:80",          "x:80:",          ":80:127.0.0.1",
                               "x::::1",   "x:0:127.0.0.1", "x:65536:::1",    "x:80:name",
                               "[::1:80:", "[]:80:::1",     "x:00000080:::1", "x:80:[::1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *line = sup_format("--resolve %s http://a/", bad[i]);
        expect_fault(line, "--resolve wants HOST:PORT:ADDR, not: ");
        free(line);
    }
}

static void faults_are_named_in_one_line(void **state)
{
    (void)state;
    expect_fault("", "no URL is given");
    expect_fault("--json", "no URL is given");
    expect_fault("--frobnicate http://a/", "no such option: --frobnicate");
    expect_fault("http://a/ -c", "option -c needs a value");
    expect_fault("-c 0 http://a/", "-c wants a number from 1 to 100000, not 0");
    expect_fault("-c x http://a/", "-c wants a number");
    expect_fault("--workers 0 http://a/", "--workers wants a number from 1 to 1024, not 0");
    expect_fault("--retry -1 http://a/", "--retry wants a number");
    expect_fault("--max-redirects 1001 http://a/", "--max-redirects wants a number");
    expect_fault("--max-time 1s http://a/", "--max-time wants seconds, as 10 or 0.5, not 1s");
    expect_fault("--connect-timeout x http://a/", "--connect-timeout wants seconds");
    expect_fault("-H nocolon http://a/", "-H wants NAME: VALUE, not: nocolon");
    expect_fault("-H :x http://a/", "-H wants NAME: VALUE");
    expect_fault("-H a~b:x http://a/", "-H wants NAME: VALUE");
    expect_fault("-H a:x\r\nb:y http://a/", "-H wants NAME: VALUE");
    expect_fault("-X GE~T http://a/", "-X wants a method, not: GE T");
    expect_fault("-i a -i b", "given twice: -i");
    expect_fault("-o a -o b http://a/", "given twice: -o");
    expect_fault("--output-dir= http://a/", "a name is missing: -o");
    expect_fault("-i - -d @-", "-i - and -d @- both want standard input");
}

static void help_needs_no_url(void **state)
{
    (void)state;
    struct thr_fetch_options o;
    expect_good(&o, "--help");
    assert_true(o.help);
    thr_fetch_options_fini(&o);
    expect_good(&o, "-h --frobnicate");
    assert_true(o.help);
    thr_fetch_options_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_all_are_at_their_defaults),
        cmocka_unit_test(every_option_is_read_short_and_long),
        cmocka_unit_test(data_makes_a_post_of_a_form),
        cmocka_unit_test(data_comes_from_a_file_unchanged),
        cmocka_unit_test(overrides_take_both_families),
        cmocka_unit_test(faults_are_named_in_one_line),
        cmocka_unit_test(help_needs_no_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
