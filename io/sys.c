/* SPDX-License-Identifier: MIT */
/* The system calls of io. noinline: a caller that suspends must not share code, and with it the address of errno, with
 * these (docs/tasks.md). */
#include "io/sys.h"

#include "exec/util.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

THR_NOINLINE int thr_sys_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

THR_NOINLINE int thr_sys_connect(int fd, const struct sockaddr *sa, socklen_t sa_bytes)
{
    if (connect(fd, sa, sa_bytes) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

THR_NOINLINE int thr_sys_bind(int fd, const struct sockaddr *sa, socklen_t sa_bytes)
{
    return bind(fd, sa, sa_bytes) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_listen(int fd, int backlog)
{
    return listen(fd, backlog) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_accept(int fd)
{
    int conn;
    do {
        conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (conn < 0 && errno == EINTR);
    return conn < 0 ? -errno : conn;
}

static ssize_t receive(int fd, void *buf, size_t len, int flags)
{
    ssize_t n;
    do {
        n = recv(fd, buf, len, flags);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

THR_NOINLINE ssize_t thr_sys_recv(int fd, void *buf, size_t len)
{
    return receive(fd, buf, len, MSG_DONTWAIT);
}

THR_NOINLINE ssize_t thr_sys_peek(int fd, void *buf, size_t len)
{
    return receive(fd, buf, len, MSG_DONTWAIT | MSG_PEEK);
}

THR_NOINLINE ssize_t thr_sys_send(int fd, const void *buf, size_t len)
{
    ssize_t n;
    do {
        n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

THR_NOINLINE ssize_t thr_sys_sendv(int fd, const struct iovec *iov, int iov_n)
{
    /* The kernel only reads the array; the structure has no const for it. */
    union {
        const struct iovec *in;
        struct iovec *out;
    } pieces = {.in = iov};
    struct msghdr msg = {.msg_iov = pieces.out, .msg_iovlen = (size_t)iov_n};
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

THR_NOINLINE int thr_sys_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

THR_NOINLINE void thr_sys_close(int fd)
{
    (void)close(fd); /* Linux frees the number before anything can fail */
}

THR_NOINLINE int thr_sys_getsockname(int fd, struct sockaddr *sa, socklen_t *sa_bytes)
{
    return getsockname(fd, sa, sa_bytes) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_getpeername(int fd, struct sockaddr *sa, socklen_t *sa_bytes)
{
    return getpeername(fd, sa, sa_bytes) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_setsockopt(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_set_abort(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_take_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        return -errno;
    return -error;
}

THR_NOINLINE int thr_sys_poll(struct pollfd *fds, unsigned n)
{
    int ready;
    do {
        ready = poll(fds, n, 0);
    } while (ready < 0 && errno == EINTR);
    return ready < 0 ? -errno : ready;
}

THR_NOINLINE int thr_sys_epoll_create(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

THR_NOINLINE int thr_sys_epoll_add(int epfd, int fd, uint32_t events, uint64_t key)
{
    struct epoll_event ev = {.events = events, .data.u64 = key};
    return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_epoll_del(int epfd, int fd)
{
    struct epoll_event unused = {0}; /* kernels before 2.6.9 want one */
    return epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &unused) < 0 ? -errno : 0;
}

THR_NOINLINE int thr_sys_epoll_pwait2(int epfd, struct epoll_event *events, int events_max,
                                      uint64_t timeout_ns)
{
#if defined(SYS_epoll_pwait2)
    /* By number: musl has no function for it. Both supported processors have 64-bit times only. */
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / 1000000000U),
                          .tv_nsec = (long)(timeout_ns % 1000000000U)};
    long n = syscall(SYS_epoll_pwait2, epfd, events, events_max,
                     timeout_ns == UINT64_MAX ? NULL : &ts, NULL, (size_t)0);
    return n < 0 ? -errno : (int)n;
#else
    (void)epfd, (void)events, (void)events_max, (void)timeout_ns;
    return -ENOSYS;
#endif
}

THR_NOINLINE int thr_sys_epoll_wait(int epfd, struct epoll_event *events, int events_max,
                                    int timeout_ms)
{
    int n = epoll_wait(epfd, events, events_max, timeout_ms);
    return n < 0 ? -errno : n;
}

THR_NOINLINE int thr_sys_eventfd(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

THR_NOINLINE void thr_sys_eventfd_signal(int fd)
{
    const uint64_t one = 1;
    ssize_t n;
    do {
        n = write(fd, &one, sizeof(one)); /* EAGAIN takes 2^64 signals */
    } while (n < 0 && errno == EINTR);
}
