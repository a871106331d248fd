/* SPDX-License-Identifier: MIT */
/* The I/O-free parts of http when memory runs out: the 1st, 2nd, ... n-th allocation fails, until all
 * succeed.  Each time the call says -ENOMEM, leaves what it should, and leaks nothing.
 *
 * The files are compiled into this test with their allocations going through it; they come before the
 * library, so the linker does not take them from there as well. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t fail_at; /* counts down to the failing allocation; 0: none fails any more */
static long live;      /* allocations not yet freed */

static int is_due(void)
{
    return fail_at && --fail_at == 0;
}

static void *failing_realloc(void *old, size_t n)
{
    if (is_due())
        return NULL;
    void *got = realloc(old, n);
    live += got && !old;
    return got;
}

static void *failing_malloc(size_t n)
{
    return failing_realloc(NULL, n);
}

static void *failing_calloc(size_t n, size_t size)
{
    void *got = failing_malloc(n * size);
    return got ? memset(got, 0, n * size) : NULL;
}

static void counting_free(void *old)
{
    live -= old != NULL;
    free(old);
}

#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#define free counting_free
#include "http/body.c"
#include "http/decode.c"
#include "http/header.c"
#include "http/url.c"
#undef malloc
#undef calloc
#undef realloc
#undef free

/* Runs step with the 1st, 2nd, ... allocation failing until it gets through; it says what it got. */
static void fail_each(int (*step)(void), size_t at_least)
{
    size_t failures = 0;
    for (size_t n = 1;; n++) {
        fail_at = n;
        int err = step();
        assert_int_equal(live, 0);
        if (fail_at) { /* it was not reached: nothing failed */
            assert_int_equal(err, 0);
            break;
        }
        failures += err == -ENOMEM;
        assert_true(err == 0 || err == -ENOMEM); /* 0: it can do without */
    }
    fail_at = 0;
    assert_true(failures >= at_least);
}

static int parse_a_url(void)
{
    thrum_url *url;
    int err = thrum_url_parse(&url, "http://u:p@h/a\nb?c");
    assert_true(err ? !url : !!url);
    thrum_url_free(url);
    return err;
}

static int derive_urls(void)
{
    thrum_url *url, *other = NULL;
    int err = thrum_url_parse(&url, "http://h/%41");
    if (!err)
        err = thrum_url_normalise(&other, url);
    thrum_url_free(other);
    other = NULL;
    if (!err)
        err = thrum_url_clone(&other, url);
    thrum_url_free(other);
    other = NULL;
    if (!err)
        err = thrum_url_resolve(&other, url, "b", 1, NULL);
    thrum_url_free(other);
    thrum_url_free(url);
    return err;
}

static void urls_survive(void **state)
{
    (void)state;
    fail_each(parse_a_url, 2);
    fail_each(derive_urls, 4);
}

static int fill_a_list(void)
{
    struct thr_headers h;
    char value[200];
    int err = 0;
    thr_headers_init(&h, NULL);
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 40 && !err; i++) {
        size_t before = h.n;
        err = thr_headers_add(&h, thr_text_of("name"), (struct thr_text){value, sizeof(value)});
        assert_int_equal(h.n, err ? before : before + 1);
    }
    if (!err)
        err = thr_headers_set(&h, thr_text_of("other"), thr_text_of("v"));
    thr_headers_fini(&h);
    return err;
}

static int set_in_a_full_list(void)
{
    struct thr_headers h;
    char value[600];
    memset(value, 'v', sizeof(value));
    thr_headers_init(&h, NULL);
    int err = thr_headers_add(&h, thr_text_of("a"), thr_text_of("1"));
    bool added = !err;
    if (!err)
        err = thr_headers_set(&h, thr_text_of("a"), (struct thr_text){value, sizeof(value)});
    if (added)
        assert_int_equal(h.n, 1); /* what was set before is still there where setting failed */
    thr_headers_fini(&h);
    return err;
}

static void lists_survive(void **state)
{
    (void)state;
    fail_each(fill_a_list, 4);
    fail_each(set_in_a_full_list, 3);
}

static int read_trailers(void)
{
    static const char in[] = "0\r\nA: b\r\n\r\n";
    struct thr_headers trailers;
    struct thr_body b;
    struct thr_text data;
    size_t used;
    thr_headers_init(&trailers, NULL);
    thr_body_init(&b, &(struct thr_body_plan){.kind = THR_BODY_CHUNKED},
                  &(struct thr_body_opts){.trailers = &trailers});
    int err = thr_body_feed(&b, in, sizeof(in) - 1, &used, &data);
    assert_int_equal(b.done, !err);
    thr_body_fini(&b);
    thr_headers_fini(&trailers);
    return err;
}

static void trailers_survive(void **state)
{
    (void)state;
    fail_each(read_trailers, 3);
}

static int make_a_decoder(void)
{
    static const char text[] = "content-encodinggzip, deflate";
    static const struct thr_field at = {0, 16, 16, 13};
    struct thr_decode *d;
    int err = thr_decode_new(&d, (struct thr_fields){text, &at, 1}, NULL);
    assert_true(err ? !d : !!d);
    thr_decode_free(d);
    return err;
}

static void decoders_survive(void **state)
{
    (void)state;
    fail_each(make_a_decoder, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_survive),
        cmocka_unit_test(lists_survive),
        cmocka_unit_test(trailers_survive),
        cmocka_unit_test(decoders_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
