/* SPDX-License-Identifier: MIT */
/* A connection and its read buffer. */
#include "http/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/util.h"

/* ---- Buffers ---------------------------------------------------------------------------------------------------- */

void thr_buffers_init(struct thr_buffers *b)
{
    thr_lock_init(&b->lock);
    b->first = NULL;
    b->n = 0;
}

void thr_buffers_fini(struct thr_buffers *b)
{
    while (b->first) {
        void *buffer = b->first;
        memcpy(&b->first, buffer, sizeof(b->first));
        free(buffer);
    }
    b->n = 0;
}

char *thr_buffers_get(struct thr_buffers *b)
{
    thr_lock(&b->lock);
    char *buffer = b->first;
    if (buffer) {
        memcpy(&b->first, buffer, sizeof(b->first));
        b->n--;
    }
    thr_unlock(&b->lock);
    return buffer ? buffer : malloc(THR_BUFFER_BYTES);
}

void thr_buffers_put(struct thr_buffers *b, char *buffer)
{
    if (!buffer)
        return;
    thr_lock(&b->lock);
    bool keep = b->n < THR_BUFFERS_KEPT;
    if (keep) {
        memcpy(buffer, &b->first, sizeof(b->first));
        b->first = buffer;
        b->n++;
    }
    thr_unlock(&b->lock);
    if (!keep)
        free(buffer);
}

/* ---- Connections ------------------------------------------------------------------------------------------------ */

struct thr_conn *thr_conn_new(struct thr_buffers *buffers, thrum_tcp *tcp, const thrum_addr *remote)
{
    struct thr_conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        thrum_tcp_close(tcp);
        return NULL;
    }
    conn->buffers = buffers;
    conn->tcp = tcp;
    conn->stream = thrum_tcp_stream(tcp);
    conn->remote = *remote;
    return conn;
}

/* A buffer that has grown beyond the usual size is not worth keeping. */
static void buffer_free(struct thr_conn *conn)
{
    if (conn->buf_cap == THR_BUFFER_BYTES)
        thr_buffers_put(conn->buffers, conn->buf);
    else
        free(conn->buf);
    conn->buf = NULL;
    conn->buf_cap = 0;
    conn->start = 0;
    conn->end = 0;
}

void thr_conn_close(struct thr_conn *conn)
{
    if (!conn)
        return;
    buffer_free(conn);
    thrum_stream_close(conn->stream); /* NULL after a failed handshake, which closes what it took */
    free(conn);
}

static void close_node(struct thr_pool_node *node)
{
    thr_conn_close(thr_conn_of(node));
}

static bool is_quiet(struct thr_pool_node *node)
{
    struct thr_conn *conn = thr_conn_of(node);
    return (!conn->tls || thrum_tls_is_quiet(conn->tls)) && thrum_tcp_is_quiet(conn->tcp);
}

const struct thr_pool_ops thr_conn_pool_ops = {.close = close_node, .is_quiet = is_quiet};

/* Doubles a full buffer, up to bytes_max. */
static int buffer_grow(struct thr_conn *conn, size_t bytes_max)
{
    THR_ASSERT(conn->buf_cap > 0);
    if (conn->buf_cap >= bytes_max)
        return -ENOBUFS;
    size_t cap = conn->buf_cap * 2 < bytes_max ? conn->buf_cap * 2 : bytes_max;
    char *buf = malloc(cap);
    if (!buf)
        return -ENOMEM;
    size_t n = thr_conn_buffered(conn);
    memcpy(buf, conn->buf + conn->start, n);
    buffer_free(conn);
    conn->buf = buf;
    conn->buf_cap = cap;
    conn->end = n;
    return 0;
}

/* Sees to it that there is room behind conn->end. */
static int buffer_room(struct thr_conn *conn, size_t bytes_max)
{
    if (!conn->buf) {
        conn->buf = thr_buffers_get(conn->buffers);
        if (!conn->buf)
            return -ENOMEM;
        conn->buf_cap = THR_BUFFER_BYTES;
    }
    if (conn->start == conn->end) {
        conn->start = 0;
        conn->end = 0;
    }
    if (conn->end < conn->buf_cap)
        return 0;
    if (conn->start > 0) {
        memmove(conn->buf, conn->buf + conn->start, thr_conn_buffered(conn));
        conn->end -= conn->start;
        conn->start = 0;
        return 0;
    }
    return buffer_grow(conn, bytes_max);
}

ssize_t thr_conn_fill(struct thr_conn *conn, size_t bytes_max)
{
    int err = buffer_room(conn, bytes_max);
    if (err)
        return err;
    ssize_t n = thrum_stream_read(conn->stream, conn->buf + conn->end, conn->buf_cap - conn->end);
    if (n > 0)
        conn->end += (size_t)n;
    return n;
}

static void copy_text(char *out, size_t out_bytes, const char *text)
{
    snprintf(out, out_bytes, "%s", text ? text : "");
}

void thr_conn_tell(const struct thr_conn *conn, thrum_http_info *info)
{
    info->remote = conn->remote;
    if (!conn->tls)
        return;
    copy_text(info->tls_version, sizeof(info->tls_version), thrum_tls_version(conn->tls));
    copy_text(info->tls_cipher, sizeof(info->tls_cipher), thrum_tls_cipher(conn->tls));
    info->tls_resumed = thrum_tls_was_resumed(conn->tls);
}

void thr_conn_rest(struct thr_conn *conn)
{
    if (conn->buf && conn->start == conn->end)
        buffer_free(conn);
}
