/* SPDX-License-Identifier: MIT */
/* TCP: connect, listen, accept. A connection is a thrum_stream. */
#ifndef THRUM_TCP_H
#define THRUM_TCP_H

#include <thrum/addr.h>
#include <thrum/common.h>
#include <thrum/stream.h>

THRUM_BEGIN_DECLS

typedef struct thrum_tcp thrum_tcp;
typedef struct thrum_listener thrum_listener;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_tcp_opts {
    uint64_t connect_timeout_ns; /* 0: only the enclosing deadlines */
    bool nagle;                  /* false: TCP_NODELAY is set */
    bool keepalive;              /* false: SO_KEEPALIVE is not set */
} thrum_tcp_opts;

/* Connects to addr and stores the connection in *out.
 *
 * Suspends until the handshake ends, a deadline passes or the task is cancelled.
 *
 * Owns:    *out is the caller's, ended with thrum_tcp_close(); addr and opts are only borrowed.
 * Returns: 0, -ETIMEDOUT, -ECANCELED, -ENOMEM, -EMFILE, or what connect(2) reported; *out is then NULL.
 * Context: task. */
THRUM_API THRUM_MUST_CHECK int thrum_tcp_connect(thrum_tcp **out, const thrum_addr *addr,
                                                 const thrum_tcp_opts *opts);

/* The connection as a stream; the same object: close either, once. Never NULL.
 *
 * Context: any thread. */
THRUM_API thrum_stream *thrum_tcp_stream(thrum_tcp *tcp);

/* As the functions of thrum_stream; see there. Context: task. Suspend. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_tcp_read(thrum_tcp *tcp, void *buf, size_t len);
THRUM_API THRUM_MUST_CHECK int thrum_tcp_write(thrum_tcp *tcp, const void *buf, size_t len,
                                               size_t *put);
THRUM_API int thrum_tcp_shutdown(thrum_tcp *tcp);
THRUM_API void thrum_tcp_close(thrum_tcp *tcp);

/* Closes so that the peer gets a reset and nothing lingers (SO_LINGER 0). As thrum_tcp_close() otherwise. */
THRUM_API void thrum_tcp_abort(thrum_tcp *tcp);

/* True if an idle connection can still be used: no byte, end or error has arrived. For keep-alive pools.
 *
 * Context: task; nobody may be reading. Does not suspend. */
THRUM_API bool thrum_tcp_is_quiet(thrum_tcp *tcp);

/* Returns: 0 or a negative code from getsockname(2), getpeername(2). Context: task. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_tcp_local(thrum_tcp *tcp, thrum_addr *out);
THRUM_API THRUM_MUST_CHECK int thrum_tcp_peer(thrum_tcp *tcp, thrum_addr *out);

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_listen_opts {
    int backlog;     /* 0: SOMAXCONN */
    bool reuse_port; /* false: SO_REUSEPORT is not set; SO_REUSEADDR always is */
    bool nagle;      /* false: accepted connections get TCP_NODELAY */
} thrum_listen_opts;

/* Listens on addr; port 0 takes a free one (see thrum_listener_local()).
 *
 * Owns:    *out is the caller's, ended with thrum_listener_close().
 * Returns: 0, -EADDRINUSE, -EACCES, -ENOMEM or what the system reported; *out is then NULL.
 * Context: task. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_tcp_listen(thrum_listener **out, const thrum_addr *addr,
                                                const thrum_listen_opts *opts);

/* Waits for the next connection. One task at a time; a second is refused with -EBUSY.
 *
 * Returns: 0; -ETIMEDOUT, -ECANCELED, THRUM_ECLOSED; -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS (out of resources: the
 *          connection stays queued, wait a little before the next try); *out is then NULL. A connection that its
 *          peer gave up before is skipped.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_tcp_accept(thrum_listener *l, thrum_tcp **out);

/* Returns: 0 or a negative code. Context: task. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_listener_local(thrum_listener *l, thrum_addr *out);

/* Stops listening and frees l; a task that waits in accept wakes with THRUM_ECLOSED. NULL is allowed.
 *
 * Owns:    takes l. Context: task. */
THRUM_API void thrum_listener_close(thrum_listener *l);

THRUM_END_DECLS

#endif
