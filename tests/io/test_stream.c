/* SPDX-License-Identifier: MIT */
/* Stream functions and buffers over a stream in memory that gives and takes as little as the test says. It never waits,
 * so no task is needed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/stream.h>

#include <cmocka.h>

struct memory {
    thrum_stream stream;
    const char *in; /* what reads give ... */
    size_t in_n;
    size_t step; /* ... so many bytes at a time */
    int in_err;  /* after that: an error, or 0 for the end */
    char out[256];
    size_t out_n;
    size_t out_max; /* writes beyond fail with -EPIPE */
    unsigned reads, writes;
    unsigned closed, shut;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static ssize_t memory_read(thrum_stream *s, void *buf, size_t len)
{
    struct memory *m = (struct memory *)(void *)s;
    m->reads++;
    size_t n = least(least(len, m->step), m->in_n);
    if (n == 0)
        return m->in_err;
    memcpy(buf, m->in, n);
    m->in += n;
    m->in_n -= n;
    return (ssize_t)n;
}

static ssize_t memory_writev(thrum_stream *s, const struct iovec *iov, int iov_n)
{
    struct memory *m = (struct memory *)(void *)s;
    size_t left = least(m->step, m->out_max - m->out_n);
    size_t done = 0;
    m->writes++;
    for (int i = 0; i < iov_n && left > 0; i++) {
        size_t n = least(iov[i].iov_len, left);
        if (n == 0)
            continue;
        memcpy(m->out + m->out_n, iov[i].iov_base, n);
        m->out_n += n;
        left -= n;
        done += n;
    }
    return done > 0 ? (ssize_t)done : -EPIPE;
}

static int memory_shutdown(thrum_stream *s)
{
    ((struct memory *)(void *)s)->shut++;
    return -ENOTCONN;
}

static void memory_close(thrum_stream *s)
{
    ((struct memory *)(void *)s)->closed++;
}

static const thrum_stream_ops memory_ops = {
    .read = memory_read,
    .writev = memory_writev,
    .shutdown = memory_shutdown,
    .close = memory_close,
};

static struct memory memory_of(const char *in, size_t step)
{
    struct memory m = {.stream = {&memory_ops},
                       .in = in,
                       .in_n = strlen(in),
                       .step = step,
                       .out_max = sizeof(m.out)};
    return m;
}

/* ---- Streams ---- */

static void read_exactly_gathers_pieces(void **state)
{
    (void)state;
    char buf[16] = "";
    size_t got = 0;
    struct memory m = memory_of("hello, world", 5);
    assert_int_equal(thrum_stream_read_exactly(&m.stream, buf, 7, &got), 0);
    assert_int_equal(got, 7);
    assert_memory_equal(buf, "hello, ", 7);
    assert_int_equal(m.reads, 2);
    assert_int_equal(thrum_stream_read_exactly(&m.stream, buf, 0, NULL), 0);
    assert_int_equal(m.reads, 2);
}

static void read_exactly_says_how_far_it_got(void **state)
{
    (void)state;
    char buf[16];
    size_t got = 0;
    struct memory m = memory_of("hello", 2);
    assert_int_equal(thrum_stream_read_exactly(&m.stream, buf, 6, &got), -ENODATA);
    assert_int_equal(got, 5);

    m = memory_of("hello", 2);
    m.in_err = -ETIMEDOUT;
    assert_int_equal(thrum_stream_read_exactly(&m.stream, buf, 6, &got), -ETIMEDOUT);
    assert_int_equal(got, 5);
}

static void reading_nothing_does_not_touch_the_stream(void **state)
{
    (void)state;
    char buf[1];
    struct memory m = memory_of("x", 1);
    assert_int_equal(thrum_stream_read(&m.stream, buf, 0), 0);
    assert_int_equal(m.reads, 0);
}

static void writev_writes_everything_in_order_however_little_goes_at_once(void **state)
{
    (void)state;
    for (size_t step = 1; step < 16; step++) {
        char a[] = "abc", b[] = "defgh", c[] = "i";
        struct iovec iov[5] = {{a, 3}, {NULL, 0}, {b, 5}, {NULL, 0}, {c, 1}};
        size_t put = 0;
        struct memory m = memory_of("", step);
        assert_int_equal(thrum_stream_writev(&m.stream, iov, 5, &put), 0);
        assert_int_equal(put, 9);
        assert_int_equal(m.out_n, 9);
        assert_memory_equal(m.out, "abcdefghi", 9);
        assert_int_equal(iov[2].iov_len, 5); /* the caller's array is as it was */
    }
}

static void writev_says_how_far_it_got(void **state)
{
    (void)state;
    char a[] = "abc", b[] = "defgh";
    struct iovec iov[2] = {{a, 3}, {b, 5}};
    size_t put = 0;
    struct memory m = memory_of("", 2);
    m.out_max = 5;
    assert_int_equal(thrum_stream_writev(&m.stream, iov, 2, &put), -EPIPE);
    assert_int_equal(put, 5);
}

static void writing_nothing_does_not_touch_the_stream(void **state)
{
    (void)state;
    size_t put = 1;
    struct iovec iov[2] = {{NULL, 0}, {NULL, 0}};
    struct memory m = memory_of("", 2);
    assert_int_equal(thrum_stream_write(&m.stream, "", 0, &put), 0);
    assert_int_equal(put, 0);
    assert_int_equal(thrum_stream_writev(&m.stream, iov, 2, NULL), 0);
    assert_int_equal(thrum_stream_writev(&m.stream, NULL, 0, NULL), 0);
    assert_int_equal(m.writes, 0);
}

static void more_than_16_pieces_are_refused(void **state)
{
    (void)state;
    struct iovec iov[17] = {{NULL, 0}};
    struct memory m = memory_of("", 2);
    assert_int_equal(thrum_stream_writev(&m.stream, iov, 17, NULL), -EINVAL);
    assert_int_equal(thrum_stream_writev(&m.stream, iov, -1, NULL), -EINVAL);
}

static void shutdown_and_close_reach_the_stream(void **state)
{
    (void)state;
    struct memory m = memory_of("", 1);
    assert_int_equal(thrum_stream_shutdown(&m.stream), -ENOTCONN);
    thrum_stream_close(&m.stream);
    thrum_stream_close(NULL);
    assert_int_equal(m.shut, 1);
    assert_int_equal(m.closed, 1);
}

/* ---- Reader ---- */

static void until_finds_lines_across_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step < 20; step++) {
        char buf[8], *line;
        thrum_reader r;
        struct memory m = memory_of("one\n\nthree..\nfour\n", step);
        static const char *const lines[] = {"one\n", "\n", "three..\n", "four\n"};
        thrum_reader_init(&r, &m.stream, buf, sizeof(buf));
        for (int i = 0; i < 4; i++) {
            ssize_t n = thrum_reader_until(&r, '\n', &line);
            assert_int_equal(n, strlen(lines[i]));
            assert_memory_equal(line, lines[i], (size_t)n);
        }
        assert_int_equal(thrum_reader_until(&r, '\n', &line), 0);
        assert_null(line);
    }
}

static void until_says_when_the_buffer_is_too_small_and_loses_nothing(void **state)
{
    (void)state;
    char buf[4], rest[16], *line;
    thrum_reader r;
    struct memory m = memory_of("abcde\n", 3);
    thrum_reader_init(&r, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_reader_until(&r, '\n', &line), -ENOBUFS);
    assert_int_equal(thrum_reader_until(&r, '\n', &line), -ENOBUFS);
    assert_int_equal(thrum_reader_read(&r, rest, sizeof(rest)), 4);
    assert_memory_equal(rest, "abcd", 4);
    assert_int_equal(thrum_reader_until(&r, '\n', &line), 2);
    assert_memory_equal(line, "e\n", 2);
}

static void until_tells_a_cut_line_from_the_end(void **state)
{
    (void)state;
    char buf[16], byte, *line;
    thrum_reader r;
    struct memory m = memory_of("a\nb", 9);
    thrum_reader_init(&r, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_reader_until(&r, '\n', &line), 2);
    assert_int_equal(thrum_reader_until(&r, '\n', &line), -ENODATA);
    assert_int_equal(thrum_reader_read(&r, &byte, 1), 1); /* what there was can still be had */
    assert_int_equal(thrum_reader_until(&r, '\n', &line), 0);
}

static void until_goes_on_after_an_error(void **state)
{
    (void)state;
    char buf[16], *line;
    thrum_reader r;
    struct memory m = memory_of("ab", 9);
    m.in_err = -ETIMEDOUT;
    thrum_reader_init(&r, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_reader_until(&r, '\n', &line), -ETIMEDOUT);
    m.in = "c\n";
    m.in_n = 2;
    assert_int_equal(thrum_reader_until(&r, '\n', &line), 4);
    assert_memory_equal(line, "abc\n", 4);
}

static void fill_adds_to_what_is_buffered(void **state)
{
    (void)state;
    char buf[4], byte;
    thrum_reader r;
    struct memory m = memory_of("abcdefgh", 3);
    thrum_reader_init(&r, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_reader_fill(&r), 3);
    assert_int_equal(thrum_reader_fill(&r), 1);
    assert_int_equal(thrum_reader_fill(&r), -ENOBUFS);
    assert_int_equal(thrum_reader_read(&r, &byte, 1), 1);
    assert_int_equal(thrum_reader_fill(&r), 1); /* moved to the front */
    assert_int_equal(r.end - r.start, 4);
    assert_memory_equal(r.buf + r.start, "bcde", 4);
    r.start = r.end;
    assert_int_equal(thrum_reader_fill(&r), 3);
    assert_int_equal(thrum_reader_read(&r, &byte, 0), 0);
    r.start = r.end;
    assert_int_equal(thrum_reader_fill(&r), 0);
}

static void large_reads_pass_the_buffer_by(void **state)
{
    (void)state;
    char buf[4], big[8];
    thrum_reader r;
    struct memory m = memory_of("abcdefgh", 100);
    thrum_reader_init(&r, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_reader_read(&r, big, 2), 2); /* fills four */
    assert_int_equal(thrum_reader_read(&r, big, 8), 2); /* buffered ones first */
    assert_memory_equal(big, "cd", 2);
    assert_int_equal(thrum_reader_read(&r, big, 8), 4); /* straight into big */
    assert_memory_equal(big, "efgh", 4);
    assert_int_equal(r.end - r.start, 0);
    assert_int_equal(thrum_reader_read(&r, big, 1), 0);
    assert_int_equal(thrum_reader_read(&r, big, 8), 0);
}

/* ---- Writer ---- */

static void writer_gathers_small_pieces(void **state)
{
    (void)state;
    char buf[8];
    thrum_writer w;
    struct memory m = memory_of("", 100);
    thrum_writer_init(&w, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_writer_write(&w, "abc", 3), 0);
    assert_int_equal(thrum_writer_write(&w, "", 0), 0);
    assert_int_equal(thrum_writer_write(&w, "defgh", 5), 0);
    assert_int_equal(m.writes, 0);
    assert_int_equal(thrum_writer_write(&w, "i", 1), 0);
    assert_int_equal(m.writes, 1);
    assert_int_equal(thrum_writer_flush(&w), 0);
    assert_int_equal(m.writes, 2);
    assert_int_equal(thrum_writer_flush(&w), 0);
    assert_int_equal(m.writes, 2);
    assert_memory_equal(m.out, "abcdefghi", 9);
}

static void writer_sends_large_pieces_directly_and_in_order(void **state)
{
    (void)state;
    char buf[4];
    thrum_writer w;
    struct memory m = memory_of("", 3);
    thrum_writer_init(&w, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_writer_write(&w, "ab", 2), 0);
    assert_int_equal(thrum_writer_write(&w, "cdefgh", 6), 0);
    assert_int_equal(thrum_writer_write(&w, "i", 1), 0);
    assert_int_equal(thrum_writer_flush(&w), 0);
    assert_int_equal(m.out_n, 9);
    assert_memory_equal(m.out, "abcdefghi", 9);
}

static void writer_without_buffer_writes_through(void **state)
{
    (void)state;
    thrum_writer w;
    struct memory m = memory_of("", 3);
    thrum_writer_init(&w, &m.stream, NULL, 0);
    assert_int_equal(thrum_writer_write(&w, "ab", 2), 0);
    assert_int_equal(thrum_writer_write(&w, NULL, 0), 0);
    assert_int_equal(thrum_writer_flush(&w), 0);
    assert_int_equal(m.out_n, 2);
}

static void writer_keeps_what_a_failed_flush_did_not_send(void **state)
{
    (void)state;
    char buf[8];
    thrum_writer w;
    struct memory m = memory_of("", 2);
    m.out_max = 4;
    thrum_writer_init(&w, &m.stream, buf, sizeof(buf));
    assert_int_equal(thrum_writer_write(&w, "abcdef", 6), 0);
    assert_int_equal(thrum_writer_flush(&w), -EPIPE);
    m.out_max = sizeof(m.out);
    assert_int_equal(thrum_writer_flush(&w), 0);
    assert_int_equal(m.out_n, 6);
    assert_memory_equal(m.out, "abcdef", 6);

    m.out_max = m.out_n;
    assert_int_equal(thrum_writer_write(&w, "0123456789", 10), -EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_exactly_gathers_pieces),
        cmocka_unit_test(read_exactly_says_how_far_it_got),
        cmocka_unit_test(reading_nothing_does_not_touch_the_stream),
        cmocka_unit_test(writev_writes_everything_in_order_however_little_goes_at_once),
        cmocka_unit_test(writev_says_how_far_it_got),
        cmocka_unit_test(writing_nothing_does_not_touch_the_stream),
        cmocka_unit_test(more_than_16_pieces_are_refused),
        cmocka_unit_test(shutdown_and_close_reach_the_stream),
        cmocka_unit_test(until_finds_lines_across_pieces),
        cmocka_unit_test(until_says_when_the_buffer_is_too_small_and_loses_nothing),
        cmocka_unit_test(until_tells_a_cut_line_from_the_end),
        cmocka_unit_test(until_goes_on_after_an_error),
        cmocka_unit_test(fill_adds_to_what_is_buffered),
        cmocka_unit_test(large_reads_pass_the_buffer_by),
        cmocka_unit_test(writer_gathers_small_pieces),
        cmocka_unit_test(writer_sends_large_pieces_directly_and_in_order),
        cmocka_unit_test(writer_without_buffer_writes_through),
        cmocka_unit_test(writer_keeps_what_a_failed_flush_did_not_send),
    };
    return cmocka_run_group_tests_name("io.stream", tests, NULL, NULL);
}
