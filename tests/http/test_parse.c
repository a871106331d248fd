/* SPDX-License-Identifier: MIT */
/* http/parse.h: what is a response head, what is refused, and that splits change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>

#include "http/parse.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIELDS_N 256

/* A literal that may hold NULs, and its length. */
#define TEXT(literal) literal, sizeof(literal) - 1

/* All that a head says, as text, so that two parses can be compared. */
struct outcome {
    ssize_t rc;
    char said[4096];
};

static void describe(struct outcome *o, const struct thr_response *r)
{
    int n = snprintf(o->said, sizeof(o->said), "%u 1.%u <%.*s>", r->status, r->minor,
                     (int)r->reason.len, r->reason.ptr);
    for (size_t i = 0; i < r->fields.n; i++) {
        struct thr_text name = thr_fields_name(r->fields, i);
        struct thr_text value = thr_fields_value(r->fields, i);
        n += snprintf(o->said + n, sizeof(o->said) - (size_t)n, " %.*s=<%.*s>", (int)name.len,
                      name.ptr, (int)value.len, value.ptr);
        assert_true((size_t)n < sizeof(o->said));
    }
}

/* Parses with the bytes arriving step at a time, each time in another, exactly sized buffer, so that a
 * sanitizer sees a byte too far and the parser cannot rely on the buffer's place. */
static struct outcome parse_in_steps(const char *text, size_t len, size_t step,
                                     const struct thr_parse_opts *opts)
{
    struct outcome o = {0};
    struct thr_field fields[FIELDS_N];
    struct thr_parse p;
    thr_parse_init(&p, fields, FIELDS_N, opts);
    for (size_t n = step < len ? step : len; o.rc == 0; n = n + step < len ? n + step : len) {
        char *copy = malloc(n ? n : 1);
        struct thr_response r;
        memcpy(copy, text, n);
        o.rc = thr_parse_response(&p, copy, n, &r);
        if (o.rc > 0)
            describe(&o, &r);
        if (o.rc < 0)
            assert_int_equal(thr_parse_response(&p, copy, n, &r), o.rc);
        free(copy);
        if (n == len)
            break;
    }
    return o;
}

static struct outcome parse_whole(const char *text, size_t len, const struct thr_parse_opts *opts)
{
    return parse_in_steps(text, len, len ? len : 1, opts);
}

static struct outcome check_splits(const char *text, size_t len, const struct thr_parse_opts *opts)
{
    struct outcome whole = parse_whole(text, len, opts);
    for (size_t step = 1; step < 12; step += 1 + step / 4) {
        struct outcome o = parse_in_steps(text, len, step, opts);
        assert_int_equal(o.rc, whole.rc);
        assert_string_equal(o.said, whole.said);
    }
    return whole;
}

static void good_heads_are_taken_apart(void **state)
{
    static const struct {
        const char *in;
        const char *said;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", "200 1.1 <OK>"},
        {"HTTP/1.0 200 OK\r\n\r\n", "200 1.0 <OK>"},
        {"HTTP/1.2 200 OK\r\n\r\n", "200 1.1 <OK>"},
        {"HTTP/1.1 204 \r\n\r\n", "204 1.1 <>"},
        {"HTTP/1.1 204\r\n\r\n", "204 1.1 <>"},
        {"HTTP/1.1 999 Odd\r\n\r\n", "999 1.1 <Odd>"},
        {"HTTP/1.1 404 Not  Found \xc3\xa4\r\n\r\n", "404 1.1 <Not  Found \xc3\xa4>"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "200 1.1 <OK> A=<b>"},
        {"HTTP/1.1 200 OK\r\nA:b\r\n\r\n", "200 1.1 <OK> A=<b>"},
        {"HTTP/1.1 200 OK\r\nA: \t b c \t \r\n\r\n", "200 1.1 <OK> A=<b c>"},
        {"HTTP/1.1 200 OK\r\nA:\r\nB: \r\n\r\n", "200 1.1 <OK> A=<> B=<>"},
        {"HTTP/1.1 200 OK\r\nA: b:c\r\n\r\n", "200 1.1 <OK> A=<b:c>"},
        {"HTTP/1.1 200 OK\r\nA: \xff\x80\r\n\r\n", "200 1.1 <OK> A=<\xff\x80>"},
        {"HTTP/1.1 200 OK\r\na: 1\r\nA: 2\r\na: 3\r\n\r\n", "200 1.1 <OK> a=<1> A=<2> a=<3>"},
        {"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09aZ: x\r\n\r\n",
         "200 1.1 <OK> !#$%&'*+-.^_`|~09aZ=<x>"},
        {"HTTP/1.1 200 OK\nA: b\r\nC: d\n\n", "200 1.1 <OK> A=<b> C=<d>"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n\n", "200 1.1 <OK> A=<b>"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct outcome o = check_splits(rows[i].in, strlen(rows[i].in), NULL);
        assert_int_equal(o.rc, strlen(rows[i].in));
        assert_string_equal(o.said, rows[i].said);
    }
}

static void bytes_behind_the_head_are_left(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n\0\r\nbody";
    struct outcome o = check_splits(text, sizeof(text), NULL);
    assert_int_equal(o.rc, 25);
}

static void bad_heads_are_refused(void **state)
{
#define LINE "HTTP/1.1 200 OK\r\n"
    static const struct {
        const char *in;
        size_t len;
    } rows[] = {
        /* status line */
        {TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n")},
        {TEXT("\n" LINE "\r\n")},
        {TEXT(" HTTP/1.1 200 OK\r\n\r\n")},
        {TEXT("http/1.1 200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1  200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1\t200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 200\tOK\r\n\r\n")},
        {TEXT("HTTP/1.1 20 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 2000 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 200000000000000000000 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 099 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 000 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 +20 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 20x OK\r\n\r\n")},
        {TEXT("HTTP/1.1 200OK\r\n\r\n")},
        {TEXT("HTTP/1.1 \r\n\r\n")},
        {TEXT("HTTP/1.1\r\n\r\n")},
        {TEXT("HTTP/1.\r\n\r\n")},
        {TEXT("HTTP/1.x 200 OK\r\n\r\n")},
        {TEXT("HTTP/1.10 200 OK\r\n\r\n")},
        {TEXT("HTTP/11 200 OK\r\n\r\n")},
        {TEXT("HTTP/2.0 200 OK\r\n\r\n")},
        {TEXT("HTTP/0.9 200 OK\r\n\r\n")},
        {TEXT("ICY 200 OK\r\n\r\n")},
        {TEXT("<html>")},
        {TEXT("\x15\x03\x01\x00\x02\x02\x28")},
        {TEXT("HTTQ")},
        {TEXT("HTTP/1.1 200 O\0K\r\n\r\n")},
        {TEXT("HTTP/1.1 200 O\rK\r\n\r\n")},
        {TEXT("HTTP/1.1 200 OK\r\r\n\r\n")},
        /* field lines */
        {TEXT(LINE "A : b\r\n\r\n")},
        {TEXT(LINE "A\t: b\r\n\r\n")},
        {TEXT(LINE " A: b\r\n\r\n")},
        {TEXT(LINE "A: b\r\n c\r\n\r\n")},
        {TEXT(LINE "A: b\r\n\tc\r\n\r\n")},
        {TEXT(LINE "\tA: b\r\n\r\n")},
        {TEXT(LINE " \r\n\r\n")},
        {TEXT(LINE ": b\r\n\r\n")},
        {TEXT(LINE ":\r\n\r\n")},
        {TEXT(LINE "A\r\n\r\n")},
        {TEXT(LINE "A b: c\r\n\r\n")},
        {TEXT(LINE "A\0: b\r\n\r\n")},
        {TEXT(LINE "A(b): c\r\n\r\n")},
        {TEXT(LINE "A\xc3\xa4: c\r\n\r\n")},
        {TEXT(LINE "\"A\": c\r\n\r\n")},
        {TEXT(LINE "A/b: c\r\n\r\n")},
        {TEXT(LINE "A: b\0c\r\n\r\n")},
        {TEXT(LINE "A: b\rc\r\n\r\n")},
        {TEXT(LINE "A: b\r\r\n\r\n")},
        {TEXT(LINE "A: b\x01\r\n\r\n")},
        {TEXT(LINE "A: b\x0b\r\n\r\n")},
        {TEXT(LINE "A: b\x0c\r\n\r\n")},
        {TEXT(LINE "A: b\x1f\r\n\r\n")},
        {TEXT(LINE "A: b\x7f\r\n\r\n")},
        {TEXT(LINE "A: b\r\n\rX")},
        {TEXT(LINE "Transfer-Encoding : chunked\r\n\r\n")},
        {TEXT(LINE "Transfer-Encoding\r\n : chunked\r\n\r\n")},
        {TEXT(LINE "\0Transfer-Encoding: chunked\r\n\r\n")},
        {TEXT(LINE "Transfer-Encoding:\x0b"
                   "chunked\r\n\r\n")},
        {TEXT(LINE "Content-Length: 5\r\n\r \n")},
        {TEXT(LINE "Content-Length\x00: 5\r\n\r\n")},
        {TEXT(LINE "Content Length: 5\r\n\r\n")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct outcome o = check_splits(rows[i].in, rows[i].len, NULL);
        if (o.rc != THRUM_EHTTP_PROTOCOL)
            print_error("row %zu: %zd %s\n", i, o.rc, rows[i].in);
        assert_int_equal(o.rc, THRUM_EHTTP_PROTOCOL);
    }
}

static void an_unfinished_head_wants_more(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nName: value\r\n\r\n";
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(parse_whole(text, n, NULL).rc, 0);
    assert_int_equal(parse_whole(text, sizeof(text) - 1, NULL).rc, sizeof(text) - 1);
}

static void a_bare_lf_is_refused_on_request(void **state)
{
    (void)state;
    static const struct thr_parse_opts strict = {.bare_lf_refused = true};
    static const char *const bad[] = {"HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n",
                                      "HTTP/1.1 200 OK\r\nA: b\r\n\n"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(check_splits(bad[i], strlen(bad[i]), &strict).rc, THRUM_EHTTP_PROTOCOL);
    static const char good[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    assert_int_equal(check_splits(good, sizeof(good) - 1, &strict).rc, sizeof(good) - 1);
}

/* A head of exactly head bytes, its only field line exactly line bytes with its end. */
static char *head_of(size_t line, size_t head)
{
    static const char start[] = "HTTP/1.1 200 OK\r\n";
    char *text = malloc(head + line + 64);
    strcpy(text, start);
    size_t n = sizeof(start) - 1;
    memset(text + n, 'x', line);
    memcpy(text + n, "A:", 2);
    memcpy(text + n + line - 2, "\r\n", 2);
    n += line;
    while (n + 2 < head) { /* fill with further lines */
        size_t fill = head - 2 - n;
        if (fill > 1000)
            fill = fill > 1010 ? 1000 : fill - 10;
        memset(text + n, 'y', fill);
        memcpy(text + n, "B:", 2);
        memcpy(text + n + fill - 2, "\r\n", 2);
        n += fill;
    }
    memcpy(text + n, "\r\n", 3);
    return text;
}

static void limits_hold_at_the_boundary(void **state)
{
    static const struct {
        size_t line, head; /* head 0: no further lines */
        ssize_t err;
    } rows[] = {
        {16 * 1024, 0, 0},
        {16 * 1024 + 1, 0, THRUM_EHTTP_HEADER_LIMIT},
        {100, 64 * 1024, 0},
        {100, 64 * 1024 + 1, THRUM_EHTTP_HEADER_LIMIT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = head_of(rows[i].line, rows[i].head);
        struct thr_field fields[FIELDS_N];
        struct thr_parse p;
        struct thr_response r;
        size_t len = strlen(text);
        thr_parse_init(&p, fields, FIELDS_N, NULL);
        assert_int_equal(thr_parse_response(&p, text, len, &r),
                         rows[i].err ? rows[i].err : (ssize_t)len);
        /* The same byte by byte, which stops at the very byte that is too many. */
        thr_parse_init(&p, fields, FIELDS_N, NULL);
        ssize_t rc = 0;
        size_t n = 0;
        while (rc == 0 && n < len)
            rc = thr_parse_response(&p, text, ++n, &r);
        assert_int_equal(rc, rows[i].err ? rows[i].err : (ssize_t)len);
        free(text);
    }
}

static void small_limits_hold_however_the_head_is_split(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nAbc: defgh\r\nI: j\r\n\r\n";
    const size_t len = sizeof(text) - 1; /* lines of 17, 12, 6 and 2 bytes */
    for (uint32_t max = 1; max <= len + 1; max++) {
        struct thr_parse_opts head = {.limits = {.bytes_max = max}};
        ssize_t rc = check_splits(text, len, &head).rc;
        assert_int_equal(rc, max < len ? THRUM_EHTTP_HEADER_LIMIT : (ssize_t)len);
        struct thr_parse_opts line = {.limits = {.line_bytes_max = max}};
        rc = check_splits(text, len, &line).rc;
        assert_int_equal(rc, max < 17 ? THRUM_EHTTP_HEADER_LIMIT : (ssize_t)len);
    }
    for (uint32_t max = 1; max <= 3; max++) {
        struct thr_parse_opts opts = {.limits = {.fields_max = max}};
        ssize_t rc = check_splits(text, len, &opts).rc;
        assert_int_equal(rc, max < 2 ? THRUM_EHTTP_HEADER_LIMIT : (ssize_t)len);
    }
}

static void a_128th_field_is_taken_and_no_more_than_the_array_holds(void **state)
{
    (void)state;
    char text[2048] = "HTTP/1.1 200 OK\r\n";
    struct thr_field fields[FIELDS_N];
    struct thr_parse p;
    struct thr_response r;
    for (int i = 0; i < 128; i++)
        strcat(text, "A: b\r\n");
    size_t n = strlen(text);
    memcpy(text + n, "\r\n", 3);
    thr_parse_init(&p, fields, FIELDS_N, NULL);
    assert_int_equal(thr_parse_response(&p, text, n + 2, &r), n + 2);
    assert_int_equal(r.fields.n, 128);
    thr_parse_init(&p, fields, 127, NULL);
    assert_int_equal(thr_parse_response(&p, text, n + 2, &r), THRUM_EHTTP_HEADER_LIMIT);
    memcpy(text + n, "A: b\r\n\r\n", 9);
    thr_parse_init(&p, fields, FIELDS_N, NULL);
    assert_int_equal(thr_parse_response(&p, text, n + 8, &r), THRUM_EHTTP_HEADER_LIMIT);
}

static void endless_heads_are_refused_early(void **state)
{
    (void)state;
    size_t len = 1 << 20;
    char *text = malloc(len);
    struct thr_field fields[FIELDS_N];
    struct thr_parse p;
    struct thr_response r;
    memset(text, 'a', len);
    memcpy(text, "HTTP/1.1 200 ", 13);
    thr_parse_init(&p, fields, FIELDS_N, NULL);
    assert_int_equal(thr_parse_response(&p, text, 16 * 1024 - 1, &r), 0);
    assert_int_equal(thr_parse_response(&p, text, 16 * 1024, &r), THRUM_EHTTP_HEADER_LIMIT);
    thr_parse_init(&p, fields, FIELDS_N, NULL);
    assert_int_equal(thr_parse_response(&p, text, len, &r), THRUM_EHTTP_HEADER_LIMIT);
    free(text);
}

static void interim_responses_are_followed_by_another_up_to_a_bound(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    struct thr_field fields[FIELDS_N];
    struct thr_parse p;
    struct thr_response r;
    thr_parse_init(&p, fields, FIELDS_N, NULL);
    ssize_t n = thr_parse_response(&p, text, sizeof(text) - 1, &r);
    assert_int_equal(n, 37);
    assert_true(thr_response_is_interim(&r));
    assert_int_equal(thr_parse_next(&p), 0);
    assert_int_equal(thr_parse_response(&p, text + n, sizeof(text) - 1 - (size_t)n, &r), 19);
    assert_false(thr_response_is_interim(&r));
    assert_int_equal(r.fields.n, 0);

    r.status = 101;
    assert_false(thr_response_is_interim(&r));
    thr_parse_init(&p, fields, FIELDS_N, NULL);
    for (int i = 0; i < THR_PARSE_INTERIM_MAX; i++)
        assert_int_equal(thr_parse_next(&p), 0);
    assert_int_equal(thr_parse_next(&p), THRUM_EHTTP_PROTOCOL);
    assert_int_equal(thr_parse_response(&p, text, sizeof(text) - 1, &r), THRUM_EHTTP_PROTOCOL);
}

static void field_sections_are_parsed_without_a_status_line(void **state)
{
    (void)state;
    struct thr_field fields[4];
    struct thr_fields f;
    struct thr_parse p;
    thr_parse_init(&p, fields, COUNT(fields), NULL);
    static const char text[] = "A: b\r\nC: d\r\n\r\nrest";
    assert_int_equal(thr_parse_fields(&p, text, 0, &f), 0);
    assert_int_equal(thr_parse_fields(&p, text, 7, &f), 0);
    assert_int_equal(thr_parse_fields(&p, text, sizeof(text) - 1, &f), 14);
    assert_int_equal(f.n, 2);
    struct thr_text value;
    assert_true(thr_fields_get(f, "c", &value));
    assert_memory_equal(value.ptr, "d", 1);

    thr_parse_init(&p, fields, COUNT(fields), NULL);
    assert_int_equal(thr_parse_fields(&p, "\r\n", 2, &f), 2);
    assert_int_equal(f.n, 0);
    thr_parse_init(&p, fields, COUNT(fields), NULL);
    assert_int_equal(thr_parse_fields(&p, "A\r\n\r\n", 5, &f), THRUM_EHTTP_PROTOCOL);
    assert_int_equal(thr_parse_fields(&p, "A: b\r\n\r\n", 8, &f), THRUM_EHTTP_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_taken_apart),
        cmocka_unit_test(bytes_behind_the_head_are_left),
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(an_unfinished_head_wants_more),
        cmocka_unit_test(a_bare_lf_is_refused_on_request),
        cmocka_unit_test(limits_hold_at_the_boundary),
        cmocka_unit_test(small_limits_hold_however_the_head_is_split),
        cmocka_unit_test(a_128th_field_is_taken_and_no_more_than_the_array_holds),
        cmocka_unit_test(endless_heads_are_refused_early),
        cmocka_unit_test(interim_responses_are_followed_by_another_up_to_a_bound),
        cmocka_unit_test(field_sections_are_parsed_without_a_status_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
