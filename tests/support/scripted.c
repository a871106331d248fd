/* SPDX-License-Identifier: MIT */
/* support/scripted.c: one thread a connection walks through its steps. */
#include "support/scripted.h"

#include "support/conns.h"
#include "support/pages.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVED_MAX ((size_t)64 << 10)    /* kept for the test */
#define PENDING_MAX ((size_t)1 << 20)      /* read, but not yet matched by a step */
#define STEP_LIMIT_MS (2 * SUP_TIMEOUT_MS) /* a hanging client is reset, so that it can say so */
#define PIECE_BYTES 2048

struct sup_scripted {
    struct sup_conns conns;
    struct sup_script *scripts;
    size_t scripts_n;
    struct sup_scripted_counts counts; /* guarded by conns.lock; connections is conns.n */
};

struct buffer {
    char *data;
    size_t bytes;
    size_t room;
};

/* A connection: owned by its thread, but for `received`. */
struct session {
    struct sup_scripted *s;
    struct sup_conn *conn;
    struct buffer received; /* guarded by conns.lock */
    struct buffer pending;
    unsigned rounds; /* of SUP_REPEAT */
};

/* How a step ended. */
enum outcome { GO_ON, AGAIN, OVER, CLIENT_ENDED, QUIT };

static void append(struct buffer *b, const void *data, size_t bytes)
{
    if (bytes == 0)
        return;
    if (b->room - b->bytes < bytes) {
        b->room = (b->bytes + bytes) * 2;
        b->data = realloc(b->data, b->room);
        if (!b->data)
            abort();
    }
    memcpy(b->data + b->bytes, data, bytes);
    b->bytes += bytes;
}

static void consume(struct buffer *b, size_t bytes)
{
    if (bytes < b->bytes)
        memmove(b->data, b->data + bytes, b->bytes - bytes);
    b->bytes -= bytes;
}

static void free_session(void *data)
{
    struct session *x = data;
    if (!x)
        return;
    free(x->received.data);
    free(x->pending.data);
    free(x);
}

/* Adds n to one of the counts. */
static void count(struct session *x, size_t *which, size_t n)
{
    pthread_mutex_lock(&x->s->conns.lock);
    *which += n;
    pthread_cond_broadcast(&x->s->conns.changed);
    pthread_mutex_unlock(&x->s->conns.lock);
}

static enum outcome of_wait(int ready)
{
    if (ready == 0)
        sup_say("a scripted step took longer than %d ms", STEP_LIMIT_MS);
    return ready == 1 ? GO_ON : QUIT;
}

static enum outcome of_error(int err)
{
    if (err == -ETIMEDOUT)
        return of_wait(0);
    return err == -ECANCELED ? QUIT : CLIENT_ENDED;
}

/* Waits for bytes and adds them to `pending` and to what the test may look at. */
static enum outcome receive(struct session *x)
{
    char piece[PIECE_BYTES];
    int64_t deadline = sup_now_ms() + STEP_LIMIT_MS;
    ssize_t n = recv(x->conn->fd, piece, sizeof(piece), 0);
    while (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        int ready = sup_wait_fd(x->conn->fd, POLLIN, x->s->conns.quit_fd, deadline);
        if (ready != 1)
            return of_wait(ready);
        n = recv(x->conn->fd, piece, sizeof(piece), 0);
    }
    if (n <= 0)
        return CLIENT_ENDED;
    append(&x->pending, piece, (size_t)n);
    pthread_mutex_lock(&x->s->conns.lock);
    size_t room = RECEIVED_MAX - x->received.bytes;
    append(&x->received, piece, (size_t)n < room ? (size_t)n : room);
    pthread_mutex_unlock(&x->s->conns.lock);
    return GO_ON;
}

static enum outcome expect(struct session *x, const struct sup_step *step)
{
    for (;;) {
        char *at = x->pending.bytes == 0
                       ? NULL
                       : memmem(x->pending.data, x->pending.bytes, step->data, step->bytes);
        if (at) {
            consume(&x->pending, (size_t)(at - x->pending.data) + step->bytes);
            count(x, &x->s->counts.requests, 1);
            return GO_ON;
        }
        if (x->pending.bytes > PENDING_MAX) {
            sup_say("an expected text did not come within %zu bytes", PENDING_MAX);
            return QUIT;
        }
        enum outcome got = receive(x);
        if (got != GO_ON)
            return got;
    }
}

static enum outcome read_bytes(struct session *x, size_t bytes)
{
    while (bytes > 0) {
        size_t n = x->pending.bytes < bytes ? x->pending.bytes : bytes;
        consume(&x->pending, n);
        bytes -= n;
        enum outcome got = bytes > 0 ? receive(x) : GO_ON;
        if (got != GO_ON)
            return got;
    }
    return GO_ON;
}

static enum outcome read_to_end(struct session *x)
{
    enum outcome got;
    do {
        x->pending.bytes = 0;
        got = receive(x);
    } while (got == GO_ON);
    return got == CLIENT_ENDED ? GO_ON : got; /* that is what the step asks for */
}

static enum outcome pause_for(struct session *x, unsigned ms)
{
    int ready = sup_wait_fd(-1, 0, x->s->conns.quit_fd, sup_now_ms() + ms);
    return ready == 0 ? GO_ON : QUIT;
}

static enum outcome send_bytes(struct session *x, const void *data, size_t bytes)
{
    int err =
        sup_send_all(x->conn->fd, data, bytes, x->s->conns.quit_fd, sup_now_ms() + STEP_LIMIT_MS);
    if (err)
        return of_error(err);
    pthread_mutex_lock(&x->s->conns.lock);
    x->s->counts.sent += bytes;
    pthread_cond_broadcast(&x->s->conns.changed);
    pthread_mutex_unlock(&x->s->conns.lock);
    return GO_ON;
}

static enum outcome send_step(struct session *x, const struct sup_step *step)
{
    const char *at = step->data;
    size_t left = step->bytes;
    enum outcome sent = GO_ON;
    while (left > 0 && sent == GO_ON) {
        size_t n = step->piece > 0 && step->piece < left ? step->piece : left;
        sent = send_bytes(x, at, n);
        at += n;
        left -= n;
        if (sent == GO_ON && left > 0 && step->n > 0)
            sent = pause_for(x, step->n);
    }
    return sent;
}

static enum outcome send_stream(struct session *x, const struct sup_step *step)
{
    enum outcome sent = GO_ON;
    for (size_t at = 0; at < step->bytes && sent == GO_ON;) {
        char piece[PIECE_BYTES];
        size_t n = step->bytes - at < sizeof(piece) ? step->bytes - at : sizeof(piece);
        sup_stream_fill(step->seed, at, piece, n);
        sent = send_bytes(x, piece, n);
        at += n;
    }
    return sent;
}

static enum outcome send_forever(struct session *x, const struct sup_step *step)
{
    char piece[PIECE_BYTES];
    size_t n = 0;
    while (n + step->bytes <= sizeof(piece)) { /* whole copies: few system calls for short texts */
        memcpy(piece + n, step->data, step->bytes);
        n += step->bytes;
    }
    enum outcome sent;
    do {
        sent = n > 0 ? send_bytes(x, piece, n) : send_bytes(x, step->data, step->bytes);
    } while (sent == GO_ON);
    return sent == CLIENT_ENDED ? GO_ON : sent;
}

static enum outcome stall(struct session *x)
{
    count(x, &x->s->counts.stalled, 1);
    switch (sup_conns_stall(&x->s->conns, x->conn->fd)) {
    case SUP_STALL_RELEASED:
        return GO_ON;
    case SUP_STALL_PEER_ENDED:
        return CLIENT_ENDED;
    default:
        return QUIT;
    }
}

static enum outcome close_step(struct session *x, bool reset)
{
    char piece[PIECE_BYTES];
    if (reset)
        sup_reset_on_close(x->conn->fd);
    else /* bytes that nobody read would turn the FIN into a reset */
        while (recv(x->conn->fd, piece, sizeof(piece), 0) > 0)
            continue;
    close(x->conn->fd);
    x->conn->fd = -1;
    return OVER;
}

static enum outcome take_step(struct session *x, const struct sup_step *step)
{
    switch (step->kind) {
    case SUP_STEP_EXPECT:
        return expect(x, step);
    case SUP_STEP_READ:
        return read_bytes(x, step->bytes);
    case SUP_STEP_READ_TO_END:
        return read_to_end(x);
    case SUP_STEP_SEND:
        return send_step(x, step);
    case SUP_STEP_SEND_STREAM:
        return send_stream(x, step);
    case SUP_STEP_SEND_FOREVER:
        return send_forever(x, step);
    case SUP_STEP_DELAY:
        return pause_for(x, step->n);
    case SUP_STEP_STALL:
        return stall(x);
    case SUP_STEP_HALF_CLOSE:
        return shutdown(x->conn->fd, SHUT_WR) == 0 ? GO_ON : CLIENT_ENDED;
    case SUP_STEP_RESET:
        return close_step(x, true);
    case SUP_STEP_REPEAT:
        return step->n == 0 || ++x->rounds < step->n ? AGAIN : GO_ON;
    case SUP_STEP_CLOSE:
    case SUP_STEP_END:
        return close_step(x, false);
    }
    return QUIT;
}

static enum outcome follow(struct session *x, const struct sup_script *script)
{
    enum outcome last = GO_ON;
    for (size_t i = 0; last == GO_ON || last == AGAIN; i = last == AGAIN ? 0 : i + 1) {
        static const struct sup_step end = {.kind = SUP_STEP_END};
        last = take_step(x, i < script->steps_n ? &script->steps[i] : &end);
    }
    return last;
}

static void serve(struct sup_conn *conn, void *owner)
{
    struct sup_scripted *s = owner;
    int on = 1;
    struct session *x = calloc(1, sizeof(*x));
    if (!x)
        abort();
    x->s = s;
    x->conn = conn;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* pieces are segments */
    pthread_mutex_lock(&s->conns.lock);
    conn->data = x;
    pthread_mutex_unlock(&s->conns.lock);

    enum outcome last = follow(x, &s->scripts[conn->i < s->scripts_n ? conn->i : s->scripts_n - 1]);
    if (conn->fd >= 0) {
        if (last == QUIT)
            sup_reset_on_close(conn->fd);
        close(conn->fd);
        conn->fd = -1;
    }
    if (last == CLIENT_ENDED)
        count(x, &s->counts.client_ended, 1);
    count(x, &s->counts.ended, 1);
}

struct sup_scripted *sup_scripted_start(const struct sup_script *scripts, size_t scripts_n)
{
    struct sup_scripted *s = calloc(1, sizeof(*s));
    struct sup_script *copy = calloc(scripts_n, sizeof(*copy));
    if (!s || !copy)
        abort();
    memcpy(copy, scripts, scripts_n * sizeof(*copy));
    s->scripts = copy;
    s->scripts_n = scripts_n;
    if (sup_conns_start(&s->conns, serve, free_session, s))
        return s;
    free(copy);
    free(s);
    return NULL;
}

void sup_scripted_stop(struct sup_scripted *s)
{
    if (!s)
        return;
    sup_conns_stop(&s->conns);
    free(s->scripts);
    free(s);
}

uint16_t sup_scripted_port(const struct sup_scripted *s)
{
    return s->conns.port;
}

void sup_scripted_release(struct sup_scripted *s, unsigned n)
{
    sup_conns_release(&s->conns, n);
}

void sup_scripted_counts(struct sup_scripted *s, struct sup_scripted_counts *counts)
{
    pthread_mutex_lock(&s->conns.lock);
    *counts = s->counts;
    counts->connections = s->conns.n;
    pthread_mutex_unlock(&s->conns.lock);
}

struct wish {
    const struct sup_scripted *s;
    const struct sup_scripted_counts *least;
};

static bool reached(void *arg)
{
    const struct wish *w = arg;
    const struct sup_scripted_counts *have = &w->s->counts;
    return w->s->conns.n >= w->least->connections && have->requests >= w->least->requests &&
           have->stalled >= w->least->stalled && have->ended >= w->least->ended &&
           have->client_ended >= w->least->client_ended && have->sent >= w->least->sent;
}

bool sup_scripted_wait(struct sup_scripted *s, const struct sup_scripted_counts *least,
                       int timeout_ms)
{
    struct wish w = {s, least};
    return sup_conns_wait(&s->conns, reached, &w, timeout_ms);
}

char *sup_scripted_received(struct sup_scripted *s, size_t i, size_t *bytes)
{
    pthread_mutex_lock(&s->conns.lock);
    const struct session *x = i < s->conns.n ? s->conns.slot[i]->data : NULL;
    size_t n = x ? x->received.bytes : 0;
    char *copy = i < s->conns.n ? malloc(n + 1) : NULL;
    if (copy) {
        if (n > 0)
            memcpy(copy, x->received.data, n);
        copy[n] = '\0';
    }
    pthread_mutex_unlock(&s->conns.lock);
    if (bytes)
        *bytes = n;
    return copy;
}

/* -- Ports that do not answer ------------------------------------------------------------------- */

int sup_port_refusing(uint16_t *port)
{
    return sup_port_reserve(false, port);
}

#define FILLERS 8

struct sup_blackhole {
    int listen_fd;
    int fillers[FILLERS];
};

struct sup_blackhole *sup_blackhole_start(uint16_t *port)
{
    struct sup_blackhole *b = calloc(1, sizeof(*b));
    if (!b)
        abort();
    for (int i = 0; i < FILLERS; i++)
        b->fillers[i] = -1;
    b->listen_fd = sup_listen(false, 0, port);
    bool full = false;
    /* A backlog of 0 holds one connection; the kernel drops what comes after it. */
    for (int i = 0; i < FILLERS && b->listen_fd >= 0 && !full; i++) {
        b->fillers[i] = sup_connect(*port, 100);
        full = b->fillers[i] == -ETIMEDOUT;
    }
    if (full)
        return b;
    sup_say("the backlog of port %u does not fill", *port);
    sup_blackhole_stop(b);
    return NULL;
}

void sup_blackhole_stop(struct sup_blackhole *b)
{
    if (!b)
        return;
    for (int i = 0; i < FILLERS; i++)
        if (b->fillers[i] >= 0)
            close(b->fillers[i]);
    if (b->listen_fd >= 0)
        close(b->listen_fd);
    free(b);
}
