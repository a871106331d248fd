/* SPDX-License-Identifier: MIT */
/* Buffers on top of streams. The buffer is the caller's; nothing is allocated. */
#include "io/stream.h"

#include <errno.h>
#include <string.h>
#include <thrum/stream.h>

/* ---- Reading ---- */

void thrum_reader_init(thrum_reader *r, thrum_stream *stream, void *buf, size_t buf_bytes)
{
    *r = (thrum_reader){.stream = stream, .buf = buf, .buf_bytes = buf_bytes};
}

/* Makes room behind what is buffered, unless there is a good half of the buffer already. */
static void make_room(thrum_reader *r)
{
    size_t have = r->end - r->start;
    if (r->start == 0 || (have > 0 && r->buf_bytes - r->end > r->buf_bytes / 2))
        return;
    memmove(r->buf, r->buf + r->start, have);
    r->start = 0;
    r->end = have;
}

ssize_t thrum_reader_fill(thrum_reader *r)
{
    make_room(r);
    if (r->end == r->buf_bytes)
        return -ENOBUFS;
    ssize_t n = thrum_stream_read(r->stream, r->buf + r->end, r->buf_bytes - r->end);
    if (n > 0)
        r->end += (size_t)n;
    return n;
}

ssize_t thrum_reader_read(thrum_reader *r, void *buf, size_t len)
{
    if (r->start == r->end && len >= r->buf_bytes)
        return thrum_stream_read(r->stream, buf, len);
    if (len == 0)
        return 0;
    if (r->start == r->end) {
        ssize_t n = thrum_reader_fill(r);
        if (n <= 0)
            return n;
    }
    size_t have = r->end - r->start;
    size_t n = len < have ? len : have;
    memcpy(buf, r->buf + r->start, n);
    r->start += n;
    return (ssize_t)n;
}

/* The loop of thrum_reader_until(). What has been looked at is not looked at again after a fill. */
static ssize_t find(thrum_reader *r, char delim, char **line)
{
    size_t seen = 0;
    for (;;) {
        char *from = r->buf + r->start;
        size_t have = r->end - r->start;
        char *at = have > seen ? memchr(from + seen, delim, have - seen) : NULL;
        if (at) {
            size_t len = (size_t)(at - from) + 1;
            *line = from;
            r->start += len;
            return (ssize_t)len;
        }
        seen = have;
        ssize_t n = thrum_reader_fill(r);
        if (n < 0)
            return n;
        if (n == 0)
            return have > 0 ? -ENODATA : 0;
    }
}

ssize_t thrum_reader_until(thrum_reader *r, char delim, char **line)
{
    thrum_stream *s = r->stream;
    *line = NULL;
    int err = thr_stream_pin(s);
    if (err)
        return err;
    ssize_t n = find(r, delim, line);
    thr_stream_unpin(s);
    return n;
}

/* ---- Writing ---- */

void thrum_writer_init(thrum_writer *w, thrum_stream *stream, void *buf, size_t buf_bytes)
{
    *w = (thrum_writer){.stream = stream, .buf = buf, .buf_bytes = buf_bytes};
}

int thrum_writer_flush(thrum_writer *w)
{
    size_t put = 0;
    if (w->used == 0)
        return 0;
    int err = thrum_stream_write(w->stream, w->buf, w->used, &put);
    w->used -= put;
    memmove(w->buf, w->buf + put, w->used); /* after a deadline a second flush goes on from there */
    return err;
}

/* What is buffered and what is too large to be, in one call and in order. */
static int write_through(thrum_writer *w, const void *buf, size_t len)
{
    union {
        const void *in;
        void *out; /* only read, but struct iovec has no const */
    } data = {.in = buf};
    struct iovec both[2] = {{.iov_base = w->buf, .iov_len = w->used},
                            {.iov_base = data.out, .iov_len = len}};
    w->used = 0;
    return thrum_stream_writev(w->stream, both, 2, NULL);
}

int thrum_writer_write(thrum_writer *w, const void *buf, size_t len)
{
    if (len == 0)
        return 0;
    if (len >= w->buf_bytes)
        return write_through(w, buf, len);
    if (len > w->buf_bytes - w->used) {
        int err = thrum_writer_flush(w);
        if (err)
            return err;
    }
    memcpy(w->buf + w->used, buf, len);
    w->used += len;
    return 0;
}
