/* SPDX-License-Identifier: MIT */
/* io/sys.h: every system call of io. Nothing else in this directory calls the kernel, so that this file can be replaced by
 * one that injects faults or keeps virtual time.
 *
 * All are leaf functions that return what the call returned, or -errno, read at once: errno must not be looked at after
 * anything that may suspend. They never suspend, and no descriptor here ever blocks.
 *
 * EINTR: calls that did nothing are repeated; of the others each says below what it does. */
#ifndef THR_IO_SYS_H
#define THR_IO_SYS_H

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Stream sockets, non-blocking and close-on-exec. */
int thr_sys_socket(int family);

/* -EINPROGRESS also when a signal came: the connecting goes on (POSIX). */
int thr_sys_connect(int fd, const struct sockaddr *sa, socklen_t sa_bytes);
int thr_sys_bind(int fd, const struct sockaddr *sa, socklen_t sa_bytes);
int thr_sys_listen(int fd, int backlog);
int thr_sys_accept(int fd);

ssize_t thr_sys_recv(int fd, void *buf, size_t len);
/* The same without taking the bytes. */
ssize_t thr_sys_peek(int fd, void *buf, size_t len);
/* Never raises SIGPIPE. */
ssize_t thr_sys_send(int fd, const void *buf, size_t len);
ssize_t thr_sys_sendv(int fd, const struct iovec *iov, int iov_n);

int thr_sys_shutdown_write(int fd);

/* Cannot fail in a way that leaves the descriptor open; never repeated, the number may be in use again. */
void thr_sys_close(int fd);

int thr_sys_getsockname(int fd, struct sockaddr *sa, socklen_t *sa_bytes);
int thr_sys_getpeername(int fd, struct sockaddr *sa, socklen_t *sa_bytes);
int thr_sys_setsockopt(int fd, int level, int option, int value);

/* From now on close() resets the connection instead of delivering what is queued. */
int thr_sys_set_abort(int fd);

/* Takes the socket's pending error: 0 or a negative code. */
int thr_sys_take_error(int fd);

/* What is ready now; does not wait. */
int thr_sys_poll(struct pollfd *fds, unsigned n);

int thr_sys_epoll_create(void);
int thr_sys_epoll_add(int epfd, int fd, uint32_t events, uint64_t key);
int thr_sys_epoll_del(int epfd, int fd);

/* -EINTR when a signal came. timeout_ns of UINT64_MAX: without end. The second is the fallback for kernels before 5.11,
 * with -1 for without end. */
int thr_sys_epoll_pwait2(int epfd, struct epoll_event *events, int events_max, uint64_t timeout_ns);
int thr_sys_epoll_wait(int epfd, struct epoll_event *events, int events_max, int timeout_ms);

int thr_sys_eventfd(void);
void thr_sys_eventfd_signal(int fd);

#endif
