/* SPDX-License-Identifier: MIT */
/* Streams: calls through the table, and the loops that turn "some" into "all". */
#include "io/stream.h"

#include <errno.h>

#define PIECES_MAX 16

int thr_stream_pin(thrum_stream *s)
{
    return s->ops->pin ? s->ops->pin(s) : 0;
}

void thr_stream_unpin(thrum_stream *s)
{
    if (s->ops->unpin)
        s->ops->unpin(s);
}

ssize_t thrum_stream_read(thrum_stream *s, void *buf, size_t len)
{
    return len == 0 ? 0 : s->ops->read(s, buf, len);
}

int thrum_stream_read_exactly(thrum_stream *s, void *buf, size_t len, size_t *got)
{
    size_t done = 0;
    int err = thr_stream_pin(s);
    bool pinned = !err;
    while (!err && done < len) {
        ssize_t n = s->ops->read(s, (char *)buf + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else
            err = n == 0 ? -ENODATA : (int)n;
    }
    if (pinned)
        thr_stream_unpin(s);
    if (got)
        *got = done;
    return err;
}

/* Drops n bytes from the front of the pieces; returns the first piece that is left. */
static struct iovec *advance(struct iovec *iov, const struct iovec *end, size_t n)
{
    for (; iov < end && n >= iov->iov_len; iov++)
        n -= iov->iov_len; /* also steps over empty pieces */
    if (iov < end) {
        iov->iov_base = (char *)iov->iov_base + n;
        iov->iov_len -= n;
    }
    return iov;
}

int thrum_stream_writev(thrum_stream *s, const struct iovec *iov, int iov_n, size_t *put)
{
    struct iovec pieces[PIECES_MAX];
    size_t done = 0;
    int err = iov_n < 0 || iov_n > PIECES_MAX ? -EINVAL : thr_stream_pin(s);
    bool pinned = !err;
    if (!err) {
        for (int i = 0; i < iov_n; i++)
            pieces[i] = iov[i]; /* a copy, to advance in */
        struct iovec *end = pieces + iov_n;
        struct iovec *next = advance(pieces, end, 0);
        while (!err && next < end) {
            ssize_t n = s->ops->writev(s, next, (int)(end - next));
            if (n < 0) {
                err = (int)n;
            } else {
                done += (size_t)n;
                next = advance(next, end, (size_t)n);
            }
        }
    }
    if (pinned)
        thr_stream_unpin(s);
    if (put)
        *put = done;
    return err;
}

int thrum_stream_write(thrum_stream *s, const void *buf, size_t len, size_t *put)
{
    union {
        const void *in;
        void *out; /* only read, but struct iovec has no const */
    } data = {.in = buf};
    struct iovec whole = {.iov_base = data.out, .iov_len = len};
    return thrum_stream_writev(s, &whole, 1, put);
}

int thrum_stream_shutdown(thrum_stream *s)
{
    return s->ops->shutdown(s);
}

void thrum_stream_close(thrum_stream *s)
{
    if (s)
        s->ops->close(s);
}
