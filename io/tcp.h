/* SPDX-License-Identifier: MIT */
/* io/tcp.h: a TCP connection, shared by what makes one (tcp_open.c), what uses one (tcp.c) and the stream functions. */
#ifndef THR_IO_TCP_H
#define THR_IO_TCP_H

#include "exec/atomic.h"
#include "io/fd.h"

#include <thrum/tcp.h>

struct thrum_tcp {
    thrum_stream stream;
    struct thr_fd *fd;
    thr_au32 broken; /* the errno that ended the connection, if a write took it from the kernel */
};

struct thrum_listener {
    struct thr_fd *fd;
};

extern const thrum_stream_ops thr_tcp_stream_ops;

/* Begins an operation of the current task, as thr_fd_enter(), and ends it; spend: it went through without waiting, which
 * counts against the task's slice.
 *
 * Returns: 0, -ECANCELED, -EBUSY, THRUM_ECLOSED. Context: task. The end may suspend, but touches f no more then. */
int thr_tcp_begin(struct thr_fd *f, enum thr_fd_side side);
void thr_tcp_end(struct thr_fd *f, enum thr_fd_side side, bool spend);

/* ask: thr_sys_getsockname() or thr_sys_getpeername(). Context: any thread. Does not suspend. */
int thr_tcp_address(struct thr_fd *f, thrum_addr *out,
                    int (*ask)(int fd, struct sockaddr *sa, socklen_t *sa_bytes));

#endif
