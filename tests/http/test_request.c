/* SPDX-License-Identifier: MIT */
/* http/request.h: the bytes of a request head, and what cannot be smuggled into one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>

#include "http/request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A view of raw fields, past the checks of a list; four of them at most. */
struct raw {
    char text[512];
    struct thr_field at[4];
    size_t n;
    size_t text_n;
};

static void raw_add(struct raw *r, const char *name, const char *value)
{
    struct thr_field *f = &r->at[r->n++];
    f->name_at = (uint32_t)r->text_n;
    f->name_len = (uint32_t)strlen(name);
    memcpy(r->text + r->text_n, name, f->name_len);
    r->text_n += f->name_len;
    f->value_at = (uint32_t)r->text_n;
    f->value_len = (uint32_t)strlen(value);
    memcpy(r->text + r->text_n, value, f->value_len);
    r->text_n += f->value_len;
}

static struct thr_fields raw_view(const struct raw *r)
{
    return (struct thr_fields){r->text, r->at, r->n};
}

static const struct thr_request get = {.method = "GET", .target = "/", .authority = "h"};

/* Writes r into exactly enough memory and compares. */
static void check_written(const struct thr_request *r, const char *wanted)
{
    ssize_t n = thr_request_write(r, NULL, 0);
    assert_int_equal(n, strlen(wanted));
    char *buf = malloc((size_t)n);
    assert_int_equal(thr_request_write(r, buf, (size_t)n), n);
    assert_memory_equal(buf, wanted, (size_t)n);
    for (size_t cap = 0; cap < (size_t)n;
         cap += 7) { /* too little room: nothing beyond it is touched */
        char *small = malloc(cap + 1);
        small[cap] = '#';
        assert_int_equal(thr_request_write(r, small, cap), n);
        assert_int_equal(small[cap], '#');
        free(small);
    }
    free(buf);
}

static void heads_are_written_as_asked(void **state)
{
    (void)state;
    struct thr_request r = get;
    check_written(&r, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");

    struct raw raw = {0};
    raw_add(&raw, "user-AGENT", "x y");
    raw_add(&raw, "Accept", "");
    raw_add(&raw, "accept", "\xff\tz");
    r.fields = raw_view(&raw);
    r.method = "pOsT";
    r.target = "/a?b=%20\"<>";
    r.authority = "[::1]:8080";
    r.body = THR_REQUEST_BODY_LENGTH;
    r.body_len = UINT64_MAX;
    check_written(&r,
                  "pOsT /a?b=%20\"<> HTTP/1.1\r\nHost: [::1]:8080\r\nuser-AGENT: x y\r\n"
                  "Accept: \r\naccept: \xff\tz\r\nContent-Length: 18446744073709551615\r\n\r\n");
    r.fields.n = 0;
    r.body_len = 0;
    check_written(&r,
                  "pOsT /a?b=%20\"<> HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 0\r\n\r\n");
    r.body = THR_REQUEST_BODY_CHUNKED;
    check_written(
        &r, "pOsT /a?b=%20\"<> HTTP/1.1\r\nHost: [::1]:8080\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void the_callers_own_host_and_framing_stay_where_they_are(void **state)
{
    (void)state;
    struct raw raw = {0};
    raw_add(&raw, "A", "1");
    raw_add(&raw, "HOST", "other");
    raw_add(&raw, "content-LENGTH", "3");
    struct thr_request r = get;
    r.fields = raw_view(&raw);
    r.body = THR_REQUEST_BODY_LENGTH;
    r.body_len = 3;
    check_written(&r, "GET / HTTP/1.1\r\nA: 1\r\nHOST: other\r\ncontent-LENGTH: 3\r\n\r\n");

    struct raw chunked = {0};
    raw_add(&chunked, "transfer-encoding", "Chunked");
    r.fields = raw_view(&chunked);
    r.body = THR_REQUEST_BODY_CHUNKED;
    check_written(&r, "GET / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n");
}

static void check_refused(const struct thr_request *r)
{
    char buf[512];
    assert_int_equal(thr_request_write(r, buf, sizeof(buf)), THRUM_EHTTP_REQUEST);
}

static void injection_is_refused(void **state)
{
    (void)state;
    static const char *const methods[] = {"", "GE T", "GET\r\n", "GET\t", "G\xc3\xa9T", "GET/"};
    for (size_t i = 0; i < COUNT(methods); i++) {
        struct thr_request r = get;
        r.method = methods[i];
        check_refused(&r);
    }
    static const char *const visible[] = {
        "",      "/ HTTP/1.1\r\nA: b", "/\r", "/\n", " /", "/a\tb", "/\x7f",
        "/\x01", "/\xc3\xa9",          "/a b"};
    for (size_t i = 0; i < COUNT(visible); i++) {
        struct thr_request r = get;
        r.target = visible[i];
        check_refused(&r);
        r = get;
        r.authority = visible[i];
        check_refused(&r);
    }
    static const char *const fields[][2] = {{"", "v"},       {"A ", "v"},        {"A:", "v"},
                                            {"A\r\nB", "v"}, {"A", "v\r\nB: c"}, {"A", "v\n"},
                                            {"A", "v\r"},    {"A", "\x01"},      {"A", "\x7f"},
                                            {"A b", "v"},    {"Host", "\n"}};
    for (size_t i = 0; i < COUNT(fields); i++) {
        struct raw raw = {0};
        struct thr_request r = get;
        raw_add(&raw, fields[i][0], fields[i][1]);
        r.fields = raw_view(&raw);
        check_refused(&r);
    }
}

static void contradictory_fields_are_refused(void **state)
{
    static const struct {
        const char *fields[2][2];
        enum thr_request_body body;
    } rows[] = {
        {{{"Host", "a"}, {"host", "a"}}, THR_REQUEST_BODY_NONE},
        {{{"Content-Length", "3"}}, THR_REQUEST_BODY_NONE},
        {{{"Content-Length", "0"}}, THR_REQUEST_BODY_NONE},
        {{{"Content-Length", "4"}}, THR_REQUEST_BODY_LENGTH},
        {{{"Content-Length", "3x"}}, THR_REQUEST_BODY_LENGTH},
        {{{"Content-Length", "3"}, {"Content-Length", "3"}}, THR_REQUEST_BODY_LENGTH},
        {{{"Content-Length", "3"}}, THR_REQUEST_BODY_CHUNKED},
        {{{"Transfer-Encoding", "chunked"}}, THR_REQUEST_BODY_LENGTH},
        {{{"Transfer-Encoding", "chunked"}}, THR_REQUEST_BODY_NONE},
        {{{"Transfer-Encoding", "gzip, chunked"}}, THR_REQUEST_BODY_CHUNKED},
        {{{"Transfer-Encoding", "chunked"}, {"transfer-encoding", "chunked"}},
         THR_REQUEST_BODY_CHUNKED},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct raw raw = {0};
        struct thr_request r = get;
        for (size_t k = 0; k < 2 && rows[i].fields[k][0]; k++)
            raw_add(&raw, rows[i].fields[k][0], rows[i].fields[k][1]);
        r.fields = raw_view(&raw);
        r.body = rows[i].body;
        r.body_len = 3;
        check_refused(&r);
    }
}

static void idempotent_methods_are_those_of_rfc9110(void **state)
{
    (void)state;
    static const char *const yes[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    static const char *const no[] = {"POST", "PATCH", "CONNECT", "get", "", "GETX"};
    for (size_t i = 0; i < COUNT(yes); i++)
        assert_true(thr_request_is_idempotent(yes[i]));
    for (size_t i = 0; i < COUNT(no); i++)
        assert_false(thr_request_is_idempotent(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_written_as_asked),
        cmocka_unit_test(the_callers_own_host_and_framing_stay_where_they_are),
        cmocka_unit_test(injection_is_refused),
        cmocka_unit_test(contradictory_fields_are_refused),
        cmocka_unit_test(idempotent_methods_are_those_of_rfc9110),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
