/* SPDX-License-Identifier: MIT */
/* TCP connections that exist: reading, writing, closing.
 *
 * Every operation has the same course: enter the descriptor's side (refused when closing or taken), then try and wait in
 * turns until something came of it, then leave. After the leave the object may be gone. An operation that never had to
 * wait counts against the task's slice, last of all, because that may suspend. */
#include "io/tcp.h"

#include "exec/running.h"
#include "exec/util.h"
#include "io/fd.h"
#include "io/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <thrum/error.h>

/* ---- Operations on one connection ---- */

int thr_tcp_begin(struct thr_fd *f, enum thr_fd_side side)
{
    int err = thr_task_cancelled();
    return err ? err : thr_fd_enter(f, side);
}

void thr_tcp_end(struct thr_fd *f, enum thr_fd_side side, bool spend)
{
    thr_fd_leave(f, side);
    if (spend)
        thr_task_spend();
}

/* The kernel hands a connection's error out once, to whoever asks first. If that was a write, a read would then see a
 * clean end of the stream: what was cut off would look complete. */
static void note_error(thrum_tcp *tcp, ssize_t err)
{
    if (err == -ECONNRESET || err == -ETIMEDOUT)
        thr_store(&tcp->broken, (uint32_t)-err, THR_RELEASE);
}

static ssize_t read_once(thrum_tcp *tcp, void *buf, size_t len, bool *waited)
{
    struct thr_fd *f = tcp->fd;
    for (;;) {
        if (thr_fd_take(f, THR_FD_READ)) {
            ssize_t n = thr_sys_recv(f->fd, buf, len);
            if (n > 0 && (size_t)n == len)
                thr_fd_more(f, THR_FD_READ); /* less than asked for means drained */
            if (n == 0 && thr_load(&tcp->broken, THR_ACQUIRE))
                n = -(ssize_t)thr_load(&tcp->broken, THR_RELAXED);
            if (n != -EAGAIN)
                return n;
        }
        int err = thr_fd_wait(f, THR_FD_READ, THRUM_NEVER);
        if (err)
            return err;
        *waited = true;
    }
}

ssize_t thrum_tcp_read(thrum_tcp *tcp, void *buf, size_t len)
{
    if (len == 0)
        return 0;
    struct thr_fd *f = tcp->fd;
    int err = thr_tcp_begin(f, THR_FD_READ);
    if (err)
        return err;
    bool waited = false;
    ssize_t n = read_once(tcp, buf, len, &waited);
    thr_tcp_end(f, THR_FD_READ, n >= 0 && !waited);
    return n;
}

/* Sends some of the len bytes in iov: at least one. */
static ssize_t write_once(thrum_tcp *tcp, const struct iovec *iov, int iov_n, size_t len,
                          bool *waited)
{
    struct thr_fd *f = tcp->fd;
    for (;;) {
        if (thr_fd_take(f, THR_FD_WRITE)) {
            ssize_t n = iov_n == 1 ? thr_sys_send(f->fd, iov->iov_base, iov->iov_len)
                                   : thr_sys_sendv(f->fd, iov, iov_n);
            if (n >= 0 && (size_t)n == len)
                thr_fd_more(f, THR_FD_WRITE); /* less than given means full */
            if (n != -EAGAIN) {
                note_error(tcp, n);
                return n;
            }
        }
        int err = thr_fd_wait(f, THR_FD_WRITE, THRUM_NEVER);
        if (err)
            return err;
        *waited = true;
    }
}

int thrum_tcp_write(thrum_tcp *tcp, const void *buf, size_t len, size_t *put)
{
    union {
        const void *in;
        char *out; /* the kernel only reads it */
    } data = {.in = buf};
    struct thr_fd *f = tcp->fd;
    size_t done = 0;
    int err = thr_tcp_begin(f, THR_FD_WRITE);
    bool entered = !err;
    while (!err && done < len) {
        struct iovec rest = {.iov_base = data.out + done, .iov_len = len - done};
        bool waited = false;
        ssize_t n = write_once(tcp, &rest, 1, rest.iov_len, &waited);
        if (n < 0)
            err = (int)n;
        else
            done += (size_t)n;
        if (!err && !waited && done < len) {
            thr_task_spend(); /* a peer that keeps up must not keep the worker */
            err = thr_task_cancelled();
        }
    }
    if (entered)
        thr_tcp_end(f, THR_FD_WRITE, !err);
    if (put)
        *put = done;
    return err;
}

int thrum_tcp_shutdown(thrum_tcp *tcp)
{
    struct thr_fd *f = tcp->fd;
    int err = thr_fd_enter(f, THR_FD_NEITHER);
    if (err)
        return err;
    err = thr_sys_shutdown_write(f->fd);
    thr_fd_leave(f, THR_FD_NEITHER);
    return err;
}

void thrum_tcp_close(thrum_tcp *tcp)
{
    if (!tcp)
        return;
    thr_fd_close(tcp->fd);
    free(tcp);
}

void thrum_tcp_abort(thrum_tcp *tcp)
{
    if (!tcp)
        return;
    (void)thr_sys_set_abort(
        tcp->fd->fd); /* before other tasks leave: a close follows in any case */
    thrum_tcp_close(tcp);
}

bool thrum_tcp_is_quiet(thrum_tcp *tcp)
{
    struct thr_fd *f = tcp->fd;
    char byte;
    if (thr_fd_enter(f, THR_FD_READ))
        return false;
    /* Asks the kernel although events are known: one may not have been harvested yet. */
    ssize_t n = thr_sys_peek(f->fd, &byte, sizeof(byte));
    note_error(tcp, n);
    thr_fd_leave(f, THR_FD_READ);
    return n == -EAGAIN;
}

int thr_tcp_address(struct thr_fd *f, thrum_addr *out,
                    int (*ask)(int fd, struct sockaddr *sa, socklen_t *sa_bytes))
{
    *out = (thrum_addr){.u.sa.sa_family = AF_UNSPEC};
    socklen_t bytes = sizeof(out->u);
    int err = thr_fd_enter(f, THR_FD_NEITHER);
    if (err)
        return err;
    err = ask(f->fd, &out->u.sa, &bytes);
    thr_fd_leave(f, THR_FD_NEITHER);
    return err;
}

int thrum_tcp_local(thrum_tcp *tcp, thrum_addr *out)
{
    return thr_tcp_address(tcp->fd, out, thr_sys_getsockname);
}

int thrum_tcp_peer(thrum_tcp *tcp, thrum_addr *out)
{
    return thr_tcp_address(tcp->fd, out, thr_sys_getpeername);
}

/* ---- As a stream ---- */

static thrum_tcp *tcp_of(thrum_stream *s)
{
    return THR_CONTAINER(s, thrum_tcp, stream);
}

static ssize_t stream_read(thrum_stream *s, void *buf, size_t len)
{
    return thrum_tcp_read(tcp_of(s), buf, len);
}

static ssize_t stream_writev(thrum_stream *s, const struct iovec *iov, int iov_n)
{
    thrum_tcp *tcp = tcp_of(s);
    struct thr_fd *f = tcp->fd;
    size_t len = 0;
    for (int i = 0; i < iov_n; i++)
        len += iov[i].iov_len;
    if (len == 0)
        return 0;
    int err = thr_tcp_begin(f, THR_FD_WRITE);
    if (err)
        return err;
    bool waited = false;
    ssize_t n = write_once(tcp, iov, iov_n, len, &waited);
    thr_tcp_end(f, THR_FD_WRITE, n >= 0 && !waited);
    return n;
}

static int stream_shutdown(thrum_stream *s)
{
    return thrum_tcp_shutdown(tcp_of(s));
}

static void stream_close(thrum_stream *s)
{
    thrum_tcp_close(tcp_of(s));
}

static int stream_pin(thrum_stream *s)
{
    return thr_fd_enter(tcp_of(s)->fd, THR_FD_NEITHER);
}

static void stream_unpin(thrum_stream *s)
{
    thr_fd_leave(tcp_of(s)->fd, THR_FD_NEITHER);
}

const thrum_stream_ops thr_tcp_stream_ops = {
    .read = stream_read,
    .writev = stream_writev,
    .shutdown = stream_shutdown,
    .close = stream_close,
    .pin = stream_pin,
    .unpin = stream_unpin,
};

thrum_stream *thrum_tcp_stream(thrum_tcp *tcp)
{
    return &tcp->stream;
}
