/* SPDX-License-Identifier: MIT */
/* http/body.h: which framing a response has, the chunk decoder, truncation, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>

#include "http/body.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A literal that may hold NULs, and its length. */
#define TEXT(literal) literal, sizeof(literal) - 1

/* ---- the plan ---- */

/* Plans the body of a response with this status line end and these field lines. */
static int plan_of(struct thr_body_plan *plan, const char *method, const char *head)
{
    char text[1024];
    struct thr_field fields[32];
    struct thr_parse p;
    struct thr_response r;
    int n = snprintf(text, sizeof(text), "HTTP/1.%s\r\n\r\n", head);
    thr_parse_init(&p, fields, COUNT(fields), NULL);
    assert_int_equal(thr_parse_response(&p, text, (size_t)n, &r), n);
    return thr_body_plan(plan, method, &r);
}

#define NONE THR_BODY_NONE
#define LENGTH THR_BODY_LENGTH
#define CHUNKED THR_BODY_CHUNKED
#define CLOSE THR_BODY_CLOSE

static void framing_and_reuse_follow_the_head(void **state)
{
    static const struct {
        const char *method;
        const char *head;
        int kind;
        uint64_t length;
        bool reusable;
    } rows[] = {
        {"GET", "1 200 OK", CLOSE, 0, false},
        {"GET", "1 200 OK\r\nContent-Length: 5", LENGTH, 5, true},
        {"GET", "1 200 OK\r\ncontent-length: 0", LENGTH, 0, true},
        {"GET", "1 200 OK\r\nContent-Length: 005", LENGTH, 5, true},
        {"GET", "1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", LENGTH, 5, true},
        {"GET", "1 200 OK\r\nContent-Length: 5, 5 ,\t5", LENGTH, 5, true},
        {"GET", "1 200 OK\r\nContent-Length: 9223372036854775807", LENGTH, INT64_MAX, true},
        {"GET", "1 200 OK\r\nTransfer-Encoding: chunked", CHUNKED, 0, true},
        {"GET", "1 200 OK\r\nTransfer-Encoding: CHUNKED", CHUNKED, 0, true},
        {"GET", "1 200 OK\r\nTransfer-Encoding: , chunked ,", CHUNKED, 0, true},
        {"POST", "1 500 No\r\nTransfer-Encoding: chunked", CHUNKED, 0, true},
        /* Transfer-Encoding wins over Content-Length, whatever that says, but not on trust. */
        {"GET", "1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", CHUNKED, 0, false},
        {"GET", "1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", CHUNKED, 0, false},
        {"GET", "1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked", CHUNKED, 0, false},
        {"GET", "0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive", CHUNKED, 0,
         false},
        /* responses that have no body */
        {"HEAD", "1 200 OK\r\nContent-Length: 5", NONE, 0, true},
        {"HEAD", "1 200 OK\r\nTransfer-Encoding: chunked", NONE, 0, true},
        {"HEAD", "1 200 OK", NONE, 0, true},
        {"HEAD", "1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", NONE, 0, true},
        {"GET", "1 304 No\r\nContent-Length: 5", NONE, 0, true},
        {"GET", "1 204 No", NONE, 0, true},
        {"GET", "1 204 No\r\nContent-Length: 0", NONE, 0, true},
        {"GET", "1 204 No\r\nContent-Length: 5", NONE, 0, false},
        {"GET", "1 204 No\r\nContent-Length: x", NONE, 0, false},
        {"GET", "1 204 No\r\nTransfer-Encoding: chunked", NONE, 0, false},
        {"GET", "1 101 Up\r\nUpgrade: x", NONE, 0, false},
        {"CONNECT", "1 200 OK\r\nContent-Length: 5", NONE, 0, false},
        {"CONNECT", "1 407 No\r\nContent-Length: 5", LENGTH, 5, true},
        {"head", "1 200 OK\r\nContent-Length: 5", LENGTH, 5, true}, /* methods have case */
        {"GET", "1 205 No\r\nContent-Length: 0", LENGTH, 0, true},
        /* whether the connection persists */
        {"GET", "1 200 OK\r\nContent-Length: 5\r\nConnection: close", LENGTH, 5, false},
        {"GET", "1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close", LENGTH, 5, false},
        {"GET", "1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nConnection: close",
         LENGTH, 5, false},
        {"GET", "1 200 OK\r\nContent-Length: 5\r\nConnection: closed", LENGTH, 5, true},
        {"GET", "0 200 OK\r\nContent-Length: 5", LENGTH, 5, false},
        {"GET", "0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive", LENGTH, 5, true},
        {"GET", "0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close", LENGTH, 5, false},
        {"GET", "0 200 OK\r\nConnection: keep-alive", CLOSE, 0, false},
        {"HEAD", "1 200 OK\r\nConnection: close", NONE, 0, false},
        {"HEAD", "0 200 OK", NONE, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct thr_body_plan plan;
        int err = plan_of(&plan, rows[i].method, rows[i].head);
        if (err || (int)plan.kind != rows[i].kind || plan.reusable != rows[i].reusable)
            print_error("%s: %d\n", rows[i].head, err);
        assert_int_equal(err, 0);
        assert_int_equal(plan.kind, rows[i].kind);
        assert_true(plan.length == rows[i].length);
        assert_int_equal(plan.reusable, rows[i].reusable);
    }
}

static void contradictory_framing_is_refused(void **state)
{
    static const struct {
        const char *head;
        int err;
    } rows[] = {
        {"1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5, 6", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5,", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: ,5", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5,,5", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length:", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5\r\nContent-Length:", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: -5", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: +5", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5 5", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 0x5", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5.0", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: \"5\"", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 5;x", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 9223372036854775808", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nContent-Length: 18446744073709551621", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nTransfer-Encoding:", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nTransfer-Encoding: ,", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nTransfer-Encoding: chunked, chunked", THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
         THRUM_EHTTP_PROTOCOL},
        {"1 200 OK\r\nTransfer-Encoding: gzip", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: gzip, chunked", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: chunked, gzip", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: identity", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: xchunked", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: chunkedx", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: chunked;a=b", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: \"chunked\"", THRUM_EHTTP_ENCODING},
        {"1 200 OK\r\nTransfer-Encoding: chunked x", THRUM_EHTTP_ENCODING},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct thr_body_plan plan;
        int err = plan_of(&plan, "GET", rows[i].head);
        if (err != rows[i].err)
            print_error("%s: %d\n", rows[i].head, err);
        assert_int_equal(err, rows[i].err);
    }
}

static void the_idle_timeout_is_read_where_the_server_says_it(void **state)
{
    static const struct {
        const char *value;
        bool has;
        uint32_t seconds;
    } rows[] = {
        {"timeout=5", true, 5},        {"timeout=5, max=100", true, 5},
        {"max=1, Timeout=0", true, 0}, {"timeout=999999", true, 86400},
        {"timeout=", false, 0},        {"timeout", false, 0},
        {"timeout=x", false, 0},       {"timeout = 5", false, 0},
        {"xtimeout=5", false, 0},      {"", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct thr_body_plan plan;
        char head[128];
        snprintf(head, sizeof(head), "1 200 OK\r\nKeep-Alive: %s", rows[i].value);
        assert_int_equal(plan_of(&plan, "GET", head), 0);
        assert_int_equal(plan.has_idle_timeout, rows[i].has);
        assert_int_equal(plan.idle_timeout_s, rows[i].seconds);
    }
}

/* ---- the decoder ---- */

struct outcome {
    int err;     /* of feeding, or of the end of the stream */
    bool done;   /* before the end of the stream was said */
    size_t used; /* of the input */
    size_t n;    /* of data */
    char data[2048];
};

/* Feeds one piece from an exactly sized copy, until it is used up, the body done, or something wrong. */
static void feed_piece(struct outcome *o, struct thr_body *b, const char *in, size_t n)
{
    char *copy = malloc(n ? n : 1);
    memcpy(copy, in, n);
    size_t at = 0;
    while (at < n && !o->err && !b->done) {
        size_t used;
        struct thr_text data;
        o->err = thr_body_feed(b, copy + at, n - at, &used, &data);
        assert_true(o->err || used || b->error); /* it always moves */
        if (data.len) {
            assert_true(data.ptr >= copy + at && data.ptr + data.len <= copy + at + used);
            assert_true(o->n + data.len <= sizeof(o->data));
            memcpy(o->data + o->n, data.ptr, data.len);
        }
        o->n += data.len;
        at += used;
    }
    o->used += at;
    free(copy);
}

static struct outcome feed_in_steps(const struct thr_body_plan *plan, const char *in, size_t n,
                                    size_t step, const struct thr_body_opts *opts)
{
    struct outcome o = {0};
    struct thr_body b;
    thr_body_init(&b, plan, opts);
    for (size_t at = 0; at < n && !o.err && !b.done; at += step)
        feed_piece(&o, &b, in + at, n - at < step ? n - at : step);
    o.done = b.done;
    if (!o.err)
        o.err = thr_body_end(&b);
    thr_body_fini(&b);
    return o;
}

static struct outcome check_splits(const struct thr_body_plan *plan, const char *in, size_t n,
                                   const struct thr_body_opts *opts)
{
    struct outcome whole = feed_in_steps(plan, in, n, n ? n : 1, opts);
    for (size_t step = 1; step < 9; step++) {
        struct outcome o = feed_in_steps(plan, in, n, step, opts);
        assert_int_equal(o.err, whole.err);
        assert_int_equal(o.done, whole.done);
        if (!o.err) /* where a fault was found, what was taken means nothing */
            assert_int_equal(o.used, whole.used);
        assert_int_equal(o.n, whole.n);
        assert_memory_equal(o.data, whole.data, o.n);
    }
    return whole;
}

static const struct thr_body_plan chunked_plan = {.kind = THR_BODY_CHUNKED};

static void chunks_are_joined(void **state)
{
    static const struct {
        const char *in;
        const char *data;
    } rows[] = {
        {"0\r\n\r\n", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
        {"00005\r\nhello\r\n000\r\n\r\n", "hello"},
        {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"},
        {"a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij"},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
        {"5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"},
        {"5 ; a = \"b;c\"\r\nhello\r\n0\r\n\r\n", "hello"},
        {"5  \r\nhello\r\n0\t\r\n\r\n", "hello"},
        {"5;\xc3\xa4\t\r\nhello\r\n0\r\n\r\n", "hello"},
        {"1\r\na\r\n0\r\nTrailer: x\r\n\r\n", "a"},
        {"1\r\na\r\n0\r\nA: x\r\nB:\r\n\r\n", "a"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char with_more[256];
        size_t n = strlen(rows[i].in);
        snprintf(with_more, sizeof(with_more), "%sHTTP/1.1", rows[i].in);
        struct outcome o = check_splits(&chunked_plan, with_more, n + 8, NULL);
        assert_int_equal(o.err, 0);
        assert_true(o.done);
        assert_int_equal(o.used, n); /* what follows belongs to the next response */
        assert_int_equal(o.n, strlen(rows[i].data));
        assert_memory_equal(o.data, rows[i].data, o.n);
        for (size_t cut = 0; cut < n; cut++) {
            o = feed_in_steps(&chunked_plan, rows[i].in, cut, cut ? cut : 1, NULL);
            assert_false(o.done);
            assert_int_equal(o.err, THRUM_EHTTP_TRUNCATED);
        }
    }
}

static void broken_chunks_are_refused(void **state)
{
    static const struct {
        const char *in;
        size_t n;
    } rows[] = {
        {TEXT("\r\n")},
        {TEXT("x\r\n")},
        {TEXT("-1\r\n")},
        {TEXT("+1\r\n")},
        {TEXT("0x1\r\n")},
        {TEXT(" 1\r\n")},
        {TEXT("1 1\r\n")},
        {TEXT("1g\r\n")},
        {TEXT(";a\r\n")},
        {TEXT("5\nhello\r\n0\r\n\r\n")},
        {TEXT("5\r\rhello")},
        {TEXT("5;a\nhello")},
        {TEXT("5;a\rb\r\nhello")},
        {TEXT("5;a\0\r\nhello")},
        {TEXT("5;a\x7f\r\nhello")},
        {TEXT("5\0\r\nhello")},
        {TEXT("5\r\nhello0\r\n\r\n")},
        {TEXT("5\r\nhello\n0\r\n\r\n")},
        {TEXT("5\r\nhello\r0\r\n\r\n")},
        {TEXT("5\r\nhelloworld\r\n0\r\n\r\n")},
        {TEXT("8000000000000000\r\n")},
        {TEXT("ffffffffffffffff\r\n")},
        {TEXT("10000000000000001\r\n")},
        {TEXT("00000000000000005\r\n")},
        {TEXT("0\r\n\rx")},
        {TEXT("0\r\n\n")},
        {TEXT("0\r\nA\r\n\r\n")},
        {TEXT("0\r\nA : b\r\n\r\n")},
        {TEXT("0\r\nA: b\r\n c\r\n\r\n")},
        {TEXT("0\r\nA: b\n\n")},
        {TEXT("0\r\nA: \0\r\n\r\n")},
        {TEXT("0\r\n5\r\nhello\r\n")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct outcome o = check_splits(&chunked_plan, rows[i].in, rows[i].n, NULL);
        if (o.err != THRUM_EHTTP_PROTOCOL)
            print_error("row %zu: %d %s\n", i, o.err, rows[i].in);
        assert_int_equal(o.err, THRUM_EHTTP_PROTOCOL);
        assert_false(o.done);
    }
}

static void the_largest_chunk_size_is_taken(void **state)
{
    (void)state;
    struct outcome o = check_splits(&chunked_plan, TEXT("7fffffffffffffff\r\nabc"), NULL);
    assert_int_equal(o.err, THRUM_EHTTP_TRUNCATED);
    assert_int_equal(o.n, 3);
}

static void data_in_front_of_a_fault_is_delivered(void **state)
{
    (void)state;
    struct outcome o = check_splits(&chunked_plan, TEXT("5\r\nhelloX"), NULL);
    assert_int_equal(o.err, THRUM_EHTTP_PROTOCOL);
    assert_int_equal(o.n, 5);
}

static void trailers_are_handed_out_where_wanted(void **state)
{
    (void)state;
    static const char in[] = "1\r\na\r\n0\r\nX-Sum: 12\r\nx-sum: 13\r\n\r\n";
    for (size_t step = 1; step < 8; step++) {
        struct thr_headers trailers;
        thr_headers_init(&trailers, NULL);
        struct thr_body_opts opts = {.trailers = &trailers};
        struct outcome o = feed_in_steps(&chunked_plan, in, sizeof(in) - 1, step, &opts);
        assert_true(o.done);
        struct thr_text value;
        assert_int_equal(trailers.n, 2);
        assert_true(thr_fields_get(thr_headers_view(&trailers), "x-sum", &value));
        assert_memory_equal(value.ptr, "12", 2);
        thr_headers_fini(&trailers);
    }
}

/* "1;" and n bytes of extension, the chunk, and the end. */
static size_t with_extension(char *text, size_t n)
{
    char *at = text;
    *at++ = '1';
    *at++ = ';';
    memset(at, 'e', n - 1); /* the semicolon counts */
    at += n - 1;
    memcpy(at, "\r\na\r\n0\r\n\r\n", 10);
    return (size_t)(at + 10 - text);
}

static void extensions_and_trailers_are_bounded(void **state)
{
    (void)state;
    static char text[20000];
    size_t n = with_extension(text, 16 * 1024);
    assert_int_equal(feed_in_steps(&chunked_plan, text, n, n, NULL).err, 0);
    n = with_extension(text, 16 * 1024 + 1);
    assert_int_equal(feed_in_steps(&chunked_plan, text, n, n, NULL).err, THRUM_EHTTP_BODY_LIMIT);
    /* All extensions of a body together. */
    static const char two[] = "1;ab\r\na\r\n1;b\r\nb\r\n0\r\n\r\n";
    struct thr_body_opts opts = {.extension_bytes_max = 5};
    assert_int_equal(check_splits(&chunked_plan, two, sizeof(two) - 1, &opts).err, 0);
    opts.extension_bytes_max = 4;
    assert_int_equal(check_splits(&chunked_plan, two, sizeof(two) - 1, &opts).err,
                     THRUM_EHTTP_BODY_LIMIT);

    opts = (struct thr_body_opts){.trailer_bytes_max = 8};
    assert_int_equal(check_splits(&chunked_plan, TEXT("0\r\nA: b\r\n\r\n"), &opts).err, 0);
    opts.trailer_bytes_max = 7;
    assert_int_equal(check_splits(&chunked_plan, TEXT("0\r\nA: b\r\n\r\n"), &opts).err,
                     THRUM_EHTTP_HEADER_LIMIT);
    memcpy(text, "0\r\nA:", 5);
    memset(text + 5, 'x', sizeof(text) - 5);
    assert_int_equal(feed_in_steps(&chunked_plan, text, sizeof(text), 1000, NULL).err,
                     THRUM_EHTTP_HEADER_LIMIT);
}

static void body_bytes_are_bounded_in_every_framing(void **state)
{
    (void)state;
    struct thr_body_opts three = {.bytes_max = 3}, two = {.bytes_max = 2};
    static const char chunks[] = "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_int_equal(check_splits(&chunked_plan, chunks, sizeof(chunks) - 1, &three).err, 0);
    struct outcome o = check_splits(&chunked_plan, chunks, sizeof(chunks) - 1, &two);
    assert_int_equal(o.err, THRUM_EHTTP_BODY_LIMIT);
    assert_int_equal(o.n, 2);

    struct thr_body_plan length = {.kind = THR_BODY_LENGTH, .length = 3};
    assert_int_equal(check_splits(&length, "abc", 3, &three).err, 0);
    o = check_splits(&length, "abc", 3, &two);
    assert_int_equal(o.err, THRUM_EHTTP_BODY_LIMIT);
    assert_int_equal(o.n, 0); /* its length was known to be too much */

    struct thr_body_plan close = {.kind = THR_BODY_CLOSE};
    assert_int_equal(check_splits(&close, "abc", 3, &three).err, 0);
    o = check_splits(&close, "abc", 3, &two);
    assert_int_equal(o.err, THRUM_EHTTP_BODY_LIMIT);
    assert_int_equal(o.n, 2);
}

static void a_body_by_length_ends_at_its_length(void **state)
{
    (void)state;
    struct thr_body_plan plan = {.kind = THR_BODY_LENGTH, .length = 5};
    struct outcome o = check_splits(&plan, TEXT("helloHTTP"), NULL);
    assert_int_equal(o.err, 0);
    assert_true(o.done);
    assert_int_equal(o.used, 5);
    assert_memory_equal(o.data, "hello", 5);
    assert_int_equal(check_splits(&plan, "hell", 4, NULL).err, THRUM_EHTTP_TRUNCATED);
    plan.length = 0;
    assert_true(check_splits(&plan, "", 0, NULL).done);
    plan.kind = THR_BODY_NONE;
    assert_true(check_splits(&plan, "", 0, NULL).done);
}

static void a_body_by_close_ends_with_the_stream(void **state)
{
    (void)state;
    struct thr_body_plan plan = {.kind = THR_BODY_CLOSE};
    struct outcome o = check_splits(&plan, "hello", 5, NULL);
    assert_int_equal(o.err, 0);
    assert_false(o.done); /* not before the end was said */
    assert_memory_equal(o.data, "hello", 5);
    assert_int_equal(check_splits(&plan, "", 0, NULL).err, 0);
}

static void what_is_left_is_known_for_lengths_only(void **state)
{
    (void)state;
    struct thr_body b;
    struct thr_body_plan plan = {.kind = THR_BODY_LENGTH, .length = 5};
    uint64_t left = 99;
    size_t used;
    struct thr_text data;
    thr_body_init(&b, &plan, NULL);
    assert_int_equal(thr_body_feed(&b, "ab", 2, &used, &data), 0);
    assert_true(thr_body_known_left(&b, &left));
    assert_int_equal(left, 3);
    assert_int_equal(thr_body_feed(&b, "cde", 3, &used, &data), 0);
    assert_true(thr_body_known_left(&b, &left));
    assert_int_equal(left, 0);
    thr_body_fini(&b);
    thr_body_init(&b, &chunked_plan, NULL);
    assert_false(thr_body_known_left(&b, &left));
    thr_body_fini(&b);
    plan.kind = THR_BODY_CLOSE;
    thr_body_init(&b, &plan, NULL);
    assert_false(thr_body_known_left(&b, &left));
    thr_body_fini(&b);
}

static void errors_stay(void **state)
{
    (void)state;
    struct thr_body b;
    size_t used;
    struct thr_text data;
    thr_body_init(&b, &chunked_plan, NULL);
    assert_int_equal(thr_body_feed(&b, "x", 1, &used, &data), THRUM_EHTTP_PROTOCOL);
    assert_int_equal(thr_body_feed(&b, "1\r\na", 4, &used, &data), THRUM_EHTTP_PROTOCOL);
    assert_int_equal(used, 0);
    assert_int_equal(thr_body_end(&b), THRUM_EHTTP_PROTOCOL);
    thr_body_fini(&b);
    thr_body_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_and_reuse_follow_the_head),
        cmocka_unit_test(contradictory_framing_is_refused),
        cmocka_unit_test(the_idle_timeout_is_read_where_the_server_says_it),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(broken_chunks_are_refused),
        cmocka_unit_test(the_largest_chunk_size_is_taken),
        cmocka_unit_test(data_in_front_of_a_fault_is_delivered),
        cmocka_unit_test(trailers_are_handed_out_where_wanted),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(body_bytes_are_bounded_in_every_framing),
        cmocka_unit_test(a_body_by_length_ends_at_its_length),
        cmocka_unit_test(a_body_by_close_ends_with_the_stream),
        cmocka_unit_test(what_is_left_is_known_for_lengths_only),
        cmocka_unit_test(errors_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
