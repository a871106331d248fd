/* SPDX-License-Identifier: MIT */
/* How TCP connections come about: connecting, listening, accepting. */
#include "io/tcp.h"

#include "exec/clock.h"
#include "exec/running.h"
#include "exec/wait.h"
#include "io/sys.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/* ---- Connecting ---- */

static thrum_tcp *tcp_new(void)
{
    thrum_tcp *tcp = calloc(1, sizeof(*tcp));
    if (tcp)
        tcp->stream.ops = &thr_tcp_stream_ops;
    return tcp;
}

/* A socket on its way to addr. Returns: the descriptor or a negative code. */
static int connect_start(const thrum_addr *addr, const thrum_tcp_opts *opts)
{
    int fd = thr_sys_socket(addr->u.sa.sa_family);
    if (fd < 0)
        return fd;
    int err = 0;
    if (!opts->nagle)
        err = thr_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!err && opts->keepalive)
        err = thr_sys_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!err) {
        err = thr_sys_connect(fd, &addr->u.sa, thrum_addr_bytes(addr));
        err = err == -EINPROGRESS ? 0 : err;
    }
    if (err) {
        thr_sys_close(fd);
        return err;
    }
    return fd;
}

/* Where nobody listens on a local port of the range that outgoing connections get theirs from, a socket can be given that
 * very port and connect to itself. Nobody listens there: say so. */
static int refuse_itself(int fd, const thrum_addr *addr)
{
    thrum_addr local = {.u.sa.sa_family = AF_UNSPEC};
    socklen_t bytes = sizeof(local.u);
    int err = thr_sys_getsockname(fd, &local.u.sa, &bytes);
    if (!err && thrum_addr_equal(&local, addr))
        err = -ECONNREFUSED;
    return err;
}

static int connect_finish(struct thr_fd *f, const thrum_addr *addr, uint64_t deadline_ns)
{
    int err = thr_fd_enter(f, THR_FD_WRITE);
    if (err)
        return err;
    err = thr_fd_wait(f, THR_FD_WRITE, deadline_ns);
    if (!err)
        err = thr_sys_take_error(f->fd);
    if (!err)
        err = refuse_itself(f->fd, addr);
    thr_fd_leave(f, THR_FD_WRITE);
    return err;
}

int thrum_tcp_connect(thrum_tcp **out, const thrum_addr *addr, const thrum_tcp_opts *opts)
{
    static const thrum_tcp_opts defaults;
    *out = NULL;
    int err = thr_task_cancelled();
    if (err)
        return err;
    if (!opts)
        opts = &defaults;
    uint64_t timeout_ns = opts->connect_timeout_ns;
    uint64_t deadline_ns = timeout_ns ? thr_clock_after(timeout_ns) : THRUM_NEVER;

    thrum_tcp *tcp = tcp_new();
    if (!tcp)
        return -ENOMEM;
    int fd = connect_start(addr, opts);
    err = fd < 0 ? fd : 0;
    if (!err) /* not before connect(2): an unconnected socket reports a hang-up */
        err = thr_fd_open(&tcp->fd, fd, 0);
    if (!err) {
        err = connect_finish(tcp->fd, addr, deadline_ns);
        if (err)
            thr_fd_close(tcp->fd);
    }
    if (err) {
        free(tcp);
        return err;
    }
    *out = tcp;
    return 0;
}

/* ---- Listening ---- */

static int listen_start(const thrum_addr *addr, const thrum_listen_opts *opts)
{
    int fd = thr_sys_socket(addr->u.sa.sa_family);
    if (fd < 0)
        return fd;
    int err = thr_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!err && opts->reuse_port)
        err = thr_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!err &&
        !opts->nagle) /* accepted sockets inherit it: one call here saves one for each of them */
        err = thr_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!err)
        err = thr_sys_bind(fd, &addr->u.sa, thrum_addr_bytes(addr));
    if (!err)
        err = thr_sys_listen(fd, opts->backlog > 0 ? opts->backlog : SOMAXCONN);
    if (err) {
        thr_sys_close(fd);
        return err;
    }
    return fd;
}

int thrum_tcp_listen(thrum_listener **out, const thrum_addr *addr, const thrum_listen_opts *opts)
{
    static const thrum_listen_opts defaults;
    *out = NULL;
    thrum_listener *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    int fd = listen_start(addr, opts ? opts : &defaults);
    int err = fd < 0 ? fd : thr_fd_open(&l->fd, fd, 0);
    if (err) {
        free(l);
        return err;
    }
    *out = l;
    return 0;
}

int thrum_listener_local(thrum_listener *l, thrum_addr *out)
{
    return thr_tcp_address(l->fd, out, thr_sys_getsockname);
}

void thrum_listener_close(thrum_listener *l)
{
    if (!l)
        return;
    thr_fd_close(l->fd);
    free(l);
}

/* True for errors of the connection that was to be accepted, not of the listener (accept(2)): take the next. */
static bool is_of_connection(int err)
{
    switch (-err) {
    case EAGAIN:
    case ECONNABORTED:
    case ECONNRESET:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

/* An accept(2) that finds nobody makes a socket and throws it away: 17 times the price of a poll(2). And after one
 * connection was taken no edge tells of a second that had come with it. So: an edge is believed, all else is asked for; if
 * even the asking fails, accept(2) says why. */
static bool may_accept(struct thr_fd *f)
{
    struct pollfd listening = {.fd = f->fd, .events = POLLIN};
    return thr_fd_take(f, THR_FD_READ) || thr_sys_poll(&listening, 1) != 0;
}

static int accept_once(struct thr_fd *f, bool *waited)
{
    for (;;) {
        if (may_accept(f)) {
            int fd = thr_sys_accept(f->fd);
            if (fd >= 0 || !is_of_connection(fd))
                return fd;
            if (fd != -EAGAIN)
                thr_task_spend();
        } else {
            int err = thr_fd_wait(f, THR_FD_READ, THRUM_NEVER);
            if (err)
                return err;
            *waited = true;
        }
    }
}

int thrum_tcp_accept(thrum_listener *l, thrum_tcp **out)
{
    *out = NULL;
    struct thr_fd *f = l->fd;
    int err = thr_tcp_begin(f, THR_FD_READ);
    if (err)
        return err;
    bool waited = false;
    thrum_tcp *tcp = tcp_new();
    int fd = tcp ? accept_once(f, &waited) : -ENOMEM;
    err = fd < 0 ? fd : 0;
    if (!err) /* the request is often there with the connection: try first */
        err = thr_fd_open(&tcp->fd, fd, THR_FD_READABLE | THR_FD_WRITABLE);
    if (err) {
        free(tcp);
        tcp = NULL;
    }
    thr_tcp_end(f, THR_FD_READ, !err && !waited);
    *out = tcp;
    return err;
}
