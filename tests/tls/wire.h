/* SPDX-License-Identifier: MIT */
/* An engine driven over a blocking socket, without any runtime: for tests of the engine alone. */
#ifndef TESTS_TLS_WIRE_H
#define TESTS_TLS_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support/util.h"
#include "tls/engine.h"
#include "tls/profile.h"

struct wire {
    struct thr_tls_profile *profile;
    struct thr_tls_engine *engine;
    struct thr_tls_fault fault;
    int fd;
    size_t piece;              /* feed so many bytes at a time; 0: as they come */
    unsigned char hello[1024]; /* what was sent first */
    size_t hello_len;
    unsigned sessions_n;
    unsigned char session[8192]; /* the last one */
    size_t session_len;
    unsigned steps;
};

static inline void wire_session(void *arg, const void *session, size_t len)
{
    struct wire *w = arg;
    w->sessions_n++;
    w->session_len = len <= sizeof(w->session) ? len : 0;
    memcpy(w->session, session, w->session_len);
}

static inline int wire_socket(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = SUP_TIMEOUT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Makes profile, engine and connection. Returns 0 or a code; wire_close() copes with either. */
static inline int wire_open(struct wire *w, const thrum_tls_opts *opts, const char *host,
                            uint16_t port)
{
    memset(w, 0, sizeof(*w));
    w->fd = -1;
    int err = thr_tls_profile_new(&w->profile, opts, &w->fault);
    if (!err)
        err = thr_tls_engine_new(&w->engine, w->profile, host, opts->tls12_only,
                                 opts->no_resume ? NULL : wire_session, w, &w->fault);
    if (!err) {
        w->fd = wire_socket(port);
        err = w->fd < 0 ? -ECONNREFUSED : 0;
    }
    return err;
}

static inline void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    thr_tls_engine_free(w->engine);
    thr_tls_profile_free(w->profile);
    w->fd = -1;
    w->engine = NULL;
    w->profile = NULL;
}

static inline int wire_flush(struct wire *w)
{
    struct thr_tls_bytes out;
    while (thr_tls_engine_take(w->engine, &out)) {
        if (!w->hello_len) {
            w->hello_len = out.len < sizeof(w->hello) ? out.len : sizeof(w->hello);
            memcpy(w->hello, out.at, w->hello_len);
        }
        ssize_t n = send(w->fd, out.at, out.len, MSG_NOSIGNAL);
        free(out.at);
        if (n != (ssize_t)out.len)
            return -EPIPE;
    }
    return 0;
}

static inline int wire_feed(struct wire *w)
{
    void *at;
    size_t room = thr_tls_engine_room(w->engine, &at);
    ssize_t n = recv(w->fd, at, w->piece && w->piece < room ? w->piece : room, 0);
    if (n < 0)
        return -errno;
    thr_tls_engine_fed(w->engine, (size_t)n);
    return 0;
}

static inline int wire_handshake(struct wire *w)
{
    for (;;) {
        int r = thr_tls_engine_handshake(w->engine);
        w->steps++;
        if (r == THR_TLS_MORE)
            continue;
        int err = wire_flush(w);
        if (r != -EAGAIN)
            return r ? r : err;
        err = err ? err : wire_feed(w);
        if (err)
            return err;
    }
}

static inline ssize_t wire_write(struct wire *w, const void *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = thr_tls_engine_write(w->engine, (const char *)buf + done, len - done);
        int err = wire_flush(w);
        if (n < 0 || err)
            return n < 0 ? n : err;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static inline ssize_t wire_read(struct wire *w, void *buf, size_t len)
{
    for (;;) {
        ssize_t n = thr_tls_engine_read(w->engine, buf, len);
        if (n != -EAGAIN)
            return n;
        int err = wire_feed(w);
        if (err)
            return err;
    }
}

/* Reads to the end; a NUL is added. Returns the count or a code. */
static inline ssize_t wire_read_all(struct wire *w, char *buf, size_t len)
{
    size_t used = 0;
    ssize_t n;
    while (used < len - 1 && (n = wire_read(w, buf + used, len - 1 - used)) != 0) {
        if (n < 0) {
            buf[used] = '\0';
            return n;
        }
        used += (size_t)n;
    }
    buf[used] = '\0';
    return (ssize_t)used;
}

/* True if the first flight has the text anywhere: names in it are not encrypted. */
static inline bool wire_hello_has(const struct wire *w, const char *text)
{
    return memmem(w->hello, w->hello_len, text, strlen(text)) != NULL;
}

#endif
