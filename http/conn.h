/* SPDX-License-Identifier: MIT */
/* http/conn.h: one connection to a server: TCP, or TLS over TCP, and what was read from it too early.
 *
 * A connection has a read buffer only while it needs one: an idle one that a pool keeps has none. Buffers come from a
 * list that all connections of a client share, so that each is as warm as can be; a task's stack is too small
 * for them.
 *
 * Context of everything here: the task that has the connection; one at a time (one may write beside one that reads). */
#ifndef THR_HTTP_CONN_H
#define THR_HTTP_CONN_H

#include <thrum/http.h>
#include <thrum/stream.h>
#include <thrum/tcp.h>
#include <thrum/tls.h>

#include "exec/lock.h"
#include "http/pool.h"

#define THR_BUFFER_BYTES 16384

/* How many buffers are kept for later. */
#define THR_BUFFERS_KEPT 256

struct thr_buffers {
    struct thr_lock lock;
    void *first; /* guarded by lock: each free buffer begins with the address of the next */
    unsigned n;  /* guarded by lock */
};

void thr_buffers_init(struct thr_buffers *b);
void thr_buffers_fini(struct thr_buffers *b);

/* THR_BUFFER_BYTES of memory, or NULL. */
char *thr_buffers_get(struct thr_buffers *b);

/* NULL is allowed. */
void thr_buffers_put(struct thr_buffers *b, char *buffer);

struct thr_conn {
    struct thr_pool_node node; /* first: a node is its connection */
    struct thr_buffers *buffers;
    thrum_tcp *tcp;
    thrum_tls *tls;       /* NULL without TLS */
    thrum_stream *stream; /* the upper one of the two */
    thrum_addr remote;
    char *buf; /* NULL, or buf_cap bytes of which [start, end) were read and not yet used */
    size_t buf_cap;
    size_t start, end;
};

/* The table that a pool of connections works with. */
extern const struct thr_pool_ops thr_conn_pool_ops;

/* Makes the connection out of an open tcp, in plain so far.
 *
 * Owns:    takes tcp, also on failure. Returns: NULL if there is no memory. */
struct thr_conn *thr_conn_new(struct thr_buffers *buffers, thrum_tcp *tcp,
                              const thrum_addr *remote);

/* Closes and frees it. NULL is allowed. May suspend briefly. */
void thr_conn_close(struct thr_conn *conn);

static inline struct thr_conn *thr_conn_of(struct thr_pool_node *node)
{
    return (struct thr_conn *)(void *)node; /* node is its first member */
}

static inline size_t thr_conn_buffered(const struct thr_conn *conn)
{
    return conn->end - conn->start;
}

/* Reads once more behind what is buffered, into a buffer that grows to at most bytes_max.
 *
 * Returns: the count; 0 at the end of the stream; -ENOBUFS if bytes_max are buffered; -ENOMEM; a stream error.
 * Suspends. */
ssize_t thr_conn_fill(struct thr_conn *conn, size_t bytes_max);

/* Writes into info whom the connection leads to and what protects it. */
void thr_conn_tell(const struct thr_conn *conn, thrum_http_info *info);

/* Gives the read buffer back if nothing is in it. */
void thr_conn_rest(struct thr_conn *conn);

#endif
