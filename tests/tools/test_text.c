/* SPDX-License-Identifier: MIT */
/* Growing text, the JSON writer, SHA-256, and the progress bar's text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/pages.h"
#include "tools/common/digest.h"
#include "tools/common/json.h"
#include "tools/common/progress.h"
#include "tools/common/text.h"

static void text_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct thr_text t = {0};
    char expected[5001] = "";
    for (unsigned i = 0; i < 1000; i++) {
        thr_text_addf(&t, "%04u,", i);
        snprintf(expected + i * 5, 6, "%04u,", i);
    }
    assert_false(t.failed);
    assert_int_equal(t.n, 5000);
    assert_string_equal(t.data, expected);
    thr_text_clear(&t);
    assert_string_equal(t.data, "");
    thr_text_add(&t, "a\0b", 3);
    assert_memory_equal(t.data, "a\0b", 4);
    thr_text_fini(&t);
    assert_null(t.data);
}

static void plain_text_holds_no_control_bytes(void **state)
{
    (void)state;
    struct thr_text t = {0};
    thr_text_add_plain(&t, "a\x1b[31m\r\nb\x7f\xc3\xa4");
    assert_string_equal(t.data, "a?[31m??b?\xc3\xa4");
    thr_text_fini(&t);
}

static void json_has_commas_between_values_only(void **state)
{
    (void)state;
    struct thr_text t = {0};
    struct thr_json j = {.to = &t};
    thr_json_object(&j, NULL);
    thr_json_string(&j, "a", "x");
    thr_json_string(&j, "b", NULL);
    thr_json_object(&j, "c");
    thr_json_end(&j);
    thr_json_object(&j, "d");
    thr_json_uint(&j, "e", UINT64_MAX);
    thr_json_bool(&j, "f", true);
    thr_json_end(&j);
    thr_json_bool(&j, "g", false);
    thr_json_end(&j);
    assert_string_equal(t.data,
                        "{\"a\":\"x\",\"b\":null,\"c\":{},\"d\":{\"e\":18446744073709551615,"
                        "\"f\":true},\"g\":false}");
    thr_text_fini(&t);
}

static void expect_json(const char *string, const char *written)
{
    struct thr_text t = {0};
    struct thr_json j = {.to = &t};
    thr_json_string(&j, NULL, string);
    assert_string_equal(t.data, written);
    thr_text_fini(&t);
}

static void json_strings_are_escaped_and_valid_utf8(void **state)
{
    (void)state;
    expect_json("", "\"\"");
    expect_json("a\"b\\c/", "\"a\\\"b\\\\c/\"");
    expect_json("\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
    expect_json("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    expect_json("a\xff"
                "b",
                "\"a\\ufffdb\"");
    expect_json("\xc3", "\"\\ufffd\"");                       /* cut off */
    expect_json("\xc0\xaf", "\"\\ufffd\\ufffd\"");            /* overlong */
    expect_json("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\""); /* overlong */
    expect_json("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""); /* a surrogate */
    expect_json("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    expect_json("\x80x", "\"\\ufffdx\"");
}

/* FIPS 180-4's examples, by way of NIST's published values, and pages against another implementation. */
static void digests_are_sha256(void **state)
{
    (void)state;
    struct thr_digest *d = thr_digest_new();
    char hex[THR_DIGEST_HEX_MAX], expected[SUP_SHA256_HEX];
    thr_digest_end(d, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    d = thr_digest_new();
    thr_digest_add(d, "abc", 3);
    thr_digest_end(d, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

    for (uint32_t i = 60; i < 66; i++) {
        size_t n, step = i;
        char *page = sup_page_new(i, &n);
        d = thr_digest_new();
        for (size_t at = 0; at < n; at += step)
            thr_digest_add(d, page + at, n - at < step ? n - at : step);
        thr_digest_end(d, hex);
        sup_page_sha256_hex(i, expected);
        assert_string_equal(hex, expected);
        free(page);
    }
}

static void progress_shows_a_bar_where_the_total_is_known(void **state)
{
    (void)state;
    char text[THR_PROGRESS_MAX];
    struct thr_progress p = {
        .done = 50, .total = 100, .bytes = 1500, .failed = 2, .elapsed_ns = UINT64_C(2000000000)};
    thr_progress_text(&p, 120, text);
    assert_int_equal(text[0], '[');
    assert_int_equal(strspn(text + 1, "="), 20);
    assert_int_equal(strcspn(text, "]"), 41);
    assert_non_null(strstr(text, "50/100 pages  1.5 kB  25 pages/s  2 failed  0:02 left"));

    p = (struct thr_progress){.done = 7, .elapsed_ns = 1};
    thr_progress_text(&p, 80, text);
    assert_memory_equal(text, "7 pages  0 B  ", 14);
}

static void progress_never_reaches_the_last_column(void **state)
{
    (void)state;
    char text[THR_PROGRESS_MAX];
    struct thr_progress p = {.done = UINT64_MAX / 2,
                             .total = UINT64_MAX,
                             .bytes = UINT64_MAX,
                             .failed = UINT64_MAX,
                             .elapsed_ns = 1};
    for (unsigned columns = 0; columns < 400; columns++) {
        size_t n = strlen(thr_progress_text(&p, columns, text));
        assert_true(n < THR_PROGRESS_MAX);
        assert_true(n == 0 || n < columns);
    }
    p = (struct thr_progress){.total = 1, .done = 2};
    thr_progress_text(&p, 80, text);
    assert_non_null(strstr(text, "2/1 pages"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_and_stays_terminated),
        cmocka_unit_test(plain_text_holds_no_control_bytes),
        cmocka_unit_test(json_has_commas_between_values_only),
        cmocka_unit_test(json_strings_are_escaped_and_valid_utf8),
        cmocka_unit_test(digests_are_sha256),
        cmocka_unit_test(progress_shows_a_bar_where_the_total_is_known),
        cmocka_unit_test(progress_never_reaches_the_last_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
