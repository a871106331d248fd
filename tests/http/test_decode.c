/* SPDX-License-Identifier: MIT */
/* http/decode.h: what zlib compressed comes back, in whatever pieces; damage, truncation and bombs do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include <thrum/error.h>

#include "http/decode.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum format { GZIP = MAX_WBITS + 16, ZLIB = MAX_WBITS, RAW = -MAX_WBITS };

struct bytes {
    char *ptr;
    size_t len;
};

/* len bytes that compress somewhat: words of a small vocabulary, the same each time. */
static struct bytes make_text(size_t len)
{
    struct bytes b = {malloc(len + 16), len};
    uint32_t seed = 12345;
    for (size_t i = 0; i < len; i += 4) {
        seed = seed * 1664525 + 1013904223;
        memcpy(b.ptr + i, &"the quick brown fox jumps over it\n"[seed >> 27], 4);
    }
    return b;
}

static struct bytes make_zeros(size_t len)
{
    return (struct bytes){calloc(len, 1), len};
}

static struct bytes compress_as(enum format format, struct bytes in)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, format, 8, Z_DEFAULT_STRATEGY), Z_OK);
    struct bytes out = {malloc(deflateBound(&z, in.len) + 64), 0};
    z.next_in = (unsigned char *)in.ptr;
    z.avail_in = (unsigned)in.len;
    z.next_out = (unsigned char *)out.ptr;
    z.avail_out = (unsigned)deflateBound(&z, in.len) + 64;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = z.total_out;
    deflateEnd(&z);
    return out;
}

/* Frees both. */
static struct bytes join(struct bytes a, struct bytes b)
{
    struct bytes both = {malloc(a.len + b.len + 1), a.len + b.len};
    memcpy(both.ptr, a.ptr, a.len);
    memcpy(both.ptr + a.len, b.ptr, b.len);
    free(a.ptr);
    free(b.ptr);
    return both;
}

static struct bytes copy_of(const char *ptr, size_t len)
{
    struct bytes b = {malloc(len + 1), len};
    memcpy(b.ptr, ptr, len);
    return b;
}

/* A decoder for the given Content-Encoding, or NULL and *err. */
static struct thr_decode *decoder(const char *coding, const struct thr_decode_opts *opts, int *err)
{
    struct thr_headers h;
    struct thr_decode *d;
    thr_headers_init(&h, NULL);
    assert_int_equal(thr_headers_add(&h, thr_text_of("Content-Encoding"), thr_text_of(coding)), 0);
    *err = thr_decode_new(&d, thr_headers_view(&h), opts);
    thr_headers_fini(&h);
    return d;
}

struct outcome {
    int err; /* of feeding, or of the end */
    struct bytes out;
};

/* Decodes in, given in pieces of in_step bytes, into room for out_step bytes at a time. */
static struct outcome decode_in_steps(const char *coding, struct bytes in, size_t in_step,
                                      size_t out_step, const struct thr_decode_opts *opts)
{
    struct outcome o = {0};
    struct thr_decode *d = decoder(coding, opts, &o.err);
    size_t cap = 1 << 16, at = 0;
    assert_non_null(d);
    o.out.ptr = malloc(cap);
    while (!o.err) {
        size_t offered = in.len - at < in_step ? in.len - at : in_step, used, made;
        while (cap - o.out.len < out_step)
            o.out.ptr = realloc(o.out.ptr, cap *= 2);
        o.err =
            thr_decode_feed(d, in.ptr + at, offered, &used, o.out.ptr + o.out.len, out_step, &made);
        assert_true(used <= offered && made <= out_step);
        at += used;
        o.out.len += made;
        assert_true(o.err || used == offered || made == out_step); /* why else did it stop? */
        if (at == in.len && made < out_step)
            break;
    }
    if (o.err) { /* it stays */
        size_t used, made;
        char byte;
        assert_int_equal(thr_decode_feed(d, "x", 1, &used, &byte, 1, &made), o.err);
        assert_int_equal(used + made, 0);
    }
    int end = thr_decode_end(d);
    if (o.err)
        assert_int_equal(end, o.err);
    o.err = end;
    thr_decode_free(d);
    return o;
}

/* Decodes in several steps and expects the same each time: err, and without one the data of wanted. */
static void check(const char *coding, struct bytes in, int err, struct bytes wanted)
{
    static const size_t steps[][2] = {{1 << 20, 1 << 20}, {1, 1},  {1, 1000},   {1000, 1},
                                      {2, 1 << 20},       {7, 13}, {4096, 4096}};
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct outcome o = decode_in_steps(coding, in, steps[i][0], steps[i][1], NULL);
        assert_int_equal(o.err, err);
        if (!err) {
            assert_int_equal(o.out.len, wanted.len);
            assert_memory_equal(o.out.ptr, wanted.ptr, wanted.len);
        }
        free(o.out.ptr);
    }
}

static void each_coding_comes_back_in_any_pieces(void **state)
{
    static const struct {
        const char *coding;
        enum format format;
    } rows[] = {{"gzip", GZIP},    {"GZip", GZIP},   {"x-gzip", GZIP},
                {"deflate", ZLIB}, {"deflate", RAW}, {"identity, gzip", GZIP}};
    static const size_t sizes[] = {0, 1, 2, 3, 5000, 50000};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(sizes); k++) {
            struct bytes text = make_text(sizes[k]);
            struct bytes in = compress_as(rows[i].format, text);
            check(rows[i].coding, in, 0, text);
            free(in.ptr);
            free(text.ptr);
        }
}

static void two_codings_are_undone_last_first(void **state)
{
    (void)state;
    struct bytes text = make_text(60000);
    struct bytes inner = compress_as(RAW, text);
    struct bytes outer = compress_as(GZIP, inner);
    check("deflate, gzip", outer, 0, text);
    struct bytes twice = compress_as(GZIP, outer);
    int err;
    assert_null(decoder("deflate, gzip, gzip", NULL, &err));
    assert_int_equal(err, THRUM_EHTTP_ENCODING);
    check("gzip, deflate", outer, THRUM_EHTTP_ENCODING, text);
    free(twice.ptr);
    free(outer.ptr);
    free(inner.ptr);
    free(text.ptr);
}

static void codings_are_collected_over_all_fields(void **state)
{
    (void)state;
    struct thr_headers h;
    struct thr_decode *d;
    struct bytes text = make_text(100), in = compress_as(GZIP, text);
    in = join(compress_as(ZLIB, in), (struct bytes){in.ptr, 0});
    thr_headers_init(&h, NULL);
    assert_int_equal(thr_headers_add(&h, thr_text_of("content-encoding"), thr_text_of("gzip")), 0);
    assert_int_equal(thr_headers_add(&h, thr_text_of("Content-Encoding"), thr_text_of("deflate")),
                     0);
    assert_int_equal(thr_decode_new(&d, thr_headers_view(&h), NULL), 0);
    char out[200];
    size_t used, made;
    assert_int_equal(thr_decode_feed(d, in.ptr, in.len, &used, out, sizeof(out), &made), 0);
    assert_int_equal(made, 100);
    assert_memory_equal(out, text.ptr, 100);
    assert_int_equal(thr_decode_end(d), 0);
    thr_decode_free(d);
    thr_headers_fini(&h);
    free(in.ptr);
    free(text.ptr);
}

static void identity_needs_no_decoder_and_others_are_refused(void **state)
{
    (void)state;
    static const char *const none[] = {"identity", "", " , ", "Identity, identity"};
    static const char *const bad[] = {"br",       "zstd",     "compress", "none",
                                      "gzip;q=1", "gzip, br", "chunked",  "gzi"};
    int err;
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_null(decoder(none[i], NULL, &err));
        assert_int_equal(err, 0);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(decoder(bad[i], NULL, &err));
        assert_int_equal(err, THRUM_EHTTP_ENCODING);
    }
    struct thr_decode *d;
    assert_int_equal(thr_decode_new(&d, (struct thr_fields){0}, NULL), 0);
    assert_null(d);
    thr_decode_free(NULL);
}

static void gzip_members_follow_one_another(void **state)
{
    (void)state;
    struct bytes a = make_text(3000), b = make_text(10), nothing = {a.ptr, 0};
    struct bytes in = join(compress_as(GZIP, a), compress_as(GZIP, nothing));
    in = join(in, compress_as(GZIP, b));
    struct bytes both = join(a, b);
    check("gzip", in, 0, both);
    in.len -= 9; /* the last member is cut */
    check("gzip", in, THRUM_EHTTP_TRUNCATED, both);
    free(in.ptr);
    free(both.ptr);
}

static void what_follows_the_data_is_dropped(void **state)
{
    static const struct {
        const char *ptr;
        size_t len;
    } behind[] = {{"\0", 1},
                  {"\0\0\0\0\0\0\0\0", 8},
                  {"\x1f", 1},
                  {"garbage, longer", 15},
                  {"\x1f\x8c\x08", 3}};
    static const enum format formats[] = {GZIP, ZLIB, RAW};
    (void)state;
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t i = 0; i < COUNT(behind); i++) {
            struct bytes text = make_text(3000);
            struct bytes in =
                join(compress_as(formats[f], text), copy_of(behind[i].ptr, behind[i].len));
            check(formats[f] == GZIP ? "gzip" : "deflate", in, 0, text);
            free(in.ptr);
            free(text.ptr);
        }
}

static void what_looks_like_a_member_must_be_one(void **state)
{
    (void)state;
    struct bytes text = make_text(3000);
    struct bytes in = join(compress_as(GZIP, text), copy_of("\x1f\x8b\x09\x09\x09", 5));
    check("gzip", in, THRUM_EHTTP_ENCODING, text);
    free(in.ptr);
    free(text.ptr);
}

static void every_truncation_is_noticed(void **state)
{
    static const struct {
        const char *coding;
        enum format format;
    } rows[] = {{"gzip", GZIP}, {"deflate", ZLIB}, {"deflate", RAW}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bytes text = make_text(300);
        struct bytes in = compress_as(rows[i].format, text);
        for (size_t n = 0; n < in.len; n++) {
            struct outcome o =
                decode_in_steps(rows[i].coding, (struct bytes){in.ptr, n}, 100, 100, NULL);
            assert_int_equal(o.err, n ? THRUM_EHTTP_TRUNCATED : 0); /* no byte is an empty body */
            free(o.out.ptr);
        }
        free(in.ptr);
        free(text.ptr);
    }
}

static void damage_is_noticed(void **state)
{
    (void)state;
    size_t noticed = 0;
    struct bytes text = make_text(300);
    struct bytes in = compress_as(GZIP, text);
    for (size_t i = 0; i < in.len; i++) {
        if (i >= 3 && i < 10) /* nothing vouches for flags, time, level and system */
            continue;
        in.ptr[i] = (char)(in.ptr[i] ^ 1);
        struct outcome o = decode_in_steps("gzip", in, 100, 100, NULL);
        if (!o.err) { /* a bit that does not matter, such as another way to the same match */
            assert_int_equal(o.out.len, text.len);
            assert_memory_equal(o.out.ptr, text.ptr, text.len);
        } else {
            assert_true(o.err == THRUM_EHTTP_ENCODING || o.err == THRUM_EHTTP_TRUNCATED);
            noticed++;
        }
        free(o.out.ptr);
        in.ptr[i] = (char)(in.ptr[i] ^ 1);
    }
    assert_true(noticed > 140);
    free(in.ptr);
    free(text.ptr);
    check("gzip", (struct bytes){(char[]){"<html>"}, 6}, THRUM_EHTTP_ENCODING, text);
    /* zlib with a preset dictionary, which nobody could have agreed on */
    check("deflate", (struct bytes){(char[]){"\x78\xbb\x00\x00\x00\x01\x03\x00"}, 8},
          THRUM_EHTTP_ENCODING, text);
}

static void damage_outside_does_not_hide_what_came_before(void **state)
{
    (void)state;
    static const size_t steps[][2] = {{1 << 20, 1 << 20}, {1, 1}, {7, 13}};
    struct bytes text = make_text(300);
    struct bytes inner = compress_as(ZLIB, text);
    struct bytes in = compress_as(GZIP, inner);
    in.ptr[in.len - 8] = (char)(in.ptr[in.len - 8] ^ 1); /* the outer checksum */
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct outcome o = decode_in_steps("deflate, gzip", in, steps[i][0], steps[i][1], NULL);
        assert_int_equal(o.err, THRUM_EHTTP_ENCODING);
        assert_int_equal(o.out.len, text.len);
        assert_memory_equal(o.out.ptr, text.ptr, text.len);
        free(o.out.ptr);
    }
    free(in.ptr);
    free(inner.ptr);
    free(text.ptr);
}

static void output_is_bounded_at_the_byte(void **state)
{
    (void)state;
    struct bytes text = make_text(70000);
    struct bytes in = compress_as(GZIP, text);
    static const size_t steps[][2] = {{1 << 20, 1 << 20}, {1, 1}, {1000, 997}};
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct thr_decode_opts opts = {.bytes_max = 70000};
        struct outcome o = decode_in_steps("gzip", in, steps[i][0], steps[i][1], &opts);
        assert_int_equal(o.err, 0);
        free(o.out.ptr);
        opts.bytes_max = 69999;
        o = decode_in_steps("gzip", in, steps[i][0], steps[i][1], &opts);
        assert_int_equal(o.err, THRUM_EHTTP_BOMB);
        free(o.out.ptr);
    }
    free(in.ptr);
    free(text.ptr);
}

static void the_ratio_is_bounded_above_a_mebibyte(void **state)
{
    (void)state;
    struct thr_decode_opts opts = {.ratio_max = 100};
    struct bytes zeros = make_zeros(1 << 20);
    struct bytes in = compress_as(GZIP, zeros);
    struct outcome o = decode_in_steps("gzip", in, 1000, 1 << 16, &opts);
    assert_int_equal(o.err, 0); /* 1,000 to 1, but small */
    free(o.out.ptr);
    free(in.ptr);
    free(zeros.ptr);

    zeros = make_zeros(8 << 20);
    in = compress_as(GZIP, zeros);
    o = decode_in_steps("gzip", in, 1000, 1 << 16, &opts);
    assert_int_equal(o.err, THRUM_EHTTP_BOMB);
    assert_true(o.out.len < (1 << 20) + (1 << 17)); /* stopped soon after the mebibyte */
    free(o.out.ptr);
    opts.ratio_max = 2000; /* more than deflate can do */
    o = decode_in_steps("gzip", in, 1000, 1 << 16, &opts);
    assert_int_equal(o.err, 0);
    assert_int_equal(o.out.len, 8 << 20);
    free(o.out.ptr);
    free(in.ptr);
    free(zeros.ptr);
}

static void a_bomb_in_a_bomb_is_stopped_by_the_defaults(void **state)
{
    (void)state;
    struct bytes zeros = make_zeros(64 << 20);
    struct bytes once = compress_as(GZIP, zeros);
    struct bytes twice = compress_as(GZIP, once);
    assert_true(twice.len < 2000); /* 64 MiB in less than two kilobytes */
    struct outcome o = decode_in_steps("gzip, gzip", twice, 100, 1 << 16, NULL);
    assert_int_equal(o.err, THRUM_EHTTP_BOMB);
    assert_true(o.out.len < 2 << 20);
    free(o.out.ptr);
    free(twice.ptr);
    free(once.ptr);
    free(zeros.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_coding_comes_back_in_any_pieces),
        cmocka_unit_test(two_codings_are_undone_last_first),
        cmocka_unit_test(codings_are_collected_over_all_fields),
        cmocka_unit_test(identity_needs_no_decoder_and_others_are_refused),
        cmocka_unit_test(gzip_members_follow_one_another),
        cmocka_unit_test(what_follows_the_data_is_dropped),
        cmocka_unit_test(what_looks_like_a_member_must_be_one),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(damage_outside_does_not_hide_what_came_before),
        cmocka_unit_test(output_is_bounded_at_the_byte),
        cmocka_unit_test(the_ratio_is_bounded_above_a_mebibyte),
        cmocka_unit_test(a_bomb_in_a_bomb_is_stopped_by_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
