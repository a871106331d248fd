/* SPDX-License-Identifier: MIT */
/* support/relay.c: one thread a connection pumps both directions and does the harm. */
#include "support/relay.h"

#include "support/conns.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 16384
#define CONNECT_MS 5000

struct sup_relay {
    struct sup_conns conns;
    uint16_t upstream;
    struct sup_relay_rule *rules;
    size_t rules_n;
    size_t faults; /* guarded by conns.lock */
};

/* One direction.  Bytes [at, n) of the buffer wait to be written. */
struct pump {
    int from;
    int to;
    size_t at;
    size_t n;
    uint64_t read;   /* bytes taken from `from` */
    uint64_t passed; /* bytes given to `to`, guarded by conns.lock */
    bool ended;      /* `from` has ended and `to` was told */
    bool source_ended;
    bool discards; /* `to` was told of an end that has not come */
    bool drips;
    bool stalled;
    int64_t resume_ms; /* SUP_RELAY_DELAY: not before; 0: now */
    unsigned char buffer[BUFFER_BYTES];
};

struct session {
    struct sup_relay *r;
    struct sup_conn *conn;
    struct sup_relay_rule rule; /* SUP_RELAY_NONE: none applies, or it is over */
    struct pump pump[2];        /* by direction */
    int server;
    bool reset; /* both connections end with a reset */
    bool over;
};

static void use_nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static struct sup_relay_rule rule_for(const struct sup_relay *r, size_t i)
{
    for (size_t k = 0; k < r->rules_n; k++) {
        const struct sup_relay_rule *rule = &r->rules[k];
        if (i >= rule->first && (rule->n == 0 || i - rule->first < rule->n))
            return *rule;
    }
    return (struct sup_relay_rule){.fault = SUP_RELAY_NONE};
}

static void count_fault(struct session *x)
{
    pthread_mutex_lock(&x->r->conns.lock);
    x->r->faults++;
    pthread_cond_broadcast(&x->r->conns.changed);
    pthread_mutex_unlock(&x->r->conns.lock);
}

/* How many bytes may be read before the fault is due; the byte to corrupt is not held back. */
static size_t allowance(const struct session *x, enum sup_relay_direction d)
{
    const struct pump *p = &x->pump[d];
    if (x->rule.fault == SUP_RELAY_NONE || x->rule.fault == SUP_RELAY_CORRUPT ||
        x->rule.direction != d || p->read + BUFFER_BYTES <= x->rule.at_byte)
        return BUFFER_BYTES;
    return (size_t)(x->rule.at_byte - p->read);
}

static void corrupt(struct session *x, struct pump *p)
{
    uint64_t first = p->read - p->n;
    if (x->rule.fault != SUP_RELAY_CORRUPT || &x->pump[x->rule.direction] != p ||
        x->rule.at_byte < first || x->rule.at_byte >= p->read)
        return;
    p->buffer[x->rule.at_byte - first] ^= 1;
    x->rule.fault = SUP_RELAY_NONE;
    count_fault(x);
}

/* Does the harm if its byte is reached, that is, all before it is written. */
static void spoil(struct session *x)
{
    struct sup_relay_rule rule = x->rule;
    struct pump *p = &x->pump[rule.direction];
    if (rule.fault == SUP_RELAY_NONE || rule.fault == SUP_RELAY_CORRUPT || p->at < p->n ||
        p->read < rule.at_byte)
        return;
    x->rule.fault = SUP_RELAY_NONE;
    count_fault(x); /* before the client can see it, and the test ask */
    x->over = rule.fault == SUP_RELAY_CLOSE || rule.fault == SUP_RELAY_RESET;
    x->reset = rule.fault == SUP_RELAY_RESET;
    p->stalled = rule.fault == SUP_RELAY_STALL;
    p->drips = rule.fault == SUP_RELAY_DRIP;
    if (rule.fault == SUP_RELAY_DELAY)
        p->resume_ms = sup_now_ms() + rule.delay_ms;
    if (rule.fault == SUP_RELAY_TRUNCATE) {
        shutdown(p->to, SHUT_WR);
        p->discards = true;
    }
}

static bool may_read(const struct session *x, enum sup_relay_direction d)
{
    const struct pump *p = &x->pump[d];
    return !p->source_ended && !p->stalled && p->resume_ms == 0 && p->at == p->n &&
           allowance(x, d) > 0;
}

static void fill(struct session *x, enum sup_relay_direction d)
{
    struct pump *p = &x->pump[d];
    ssize_t n = recv(p->from, p->buffer, allowance(x, d), 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        x->over = x->reset = true; /* a reset is passed on as one */
        return;
    }
    p->source_ended = n == 0;
    if (n <= 0)
        return;
    p->at = 0;
    p->n = p->discards ? 0 : (size_t)n;
    p->read += (size_t)n;
    corrupt(x, p);
}

static void flush(struct session *x, struct pump *p)
{
    while (p->at < p->n && !x->over) {
        size_t n = p->drips ? 1 : p->n - p->at;
        /* Under the lock: who has the bytes finds them counted. */
        pthread_mutex_lock(&x->r->conns.lock);
        ssize_t sent = send(p->to, p->buffer + p->at, n, MSG_NOSIGNAL);
        int err = sent < 0 ? errno : 0;
        p->passed += sent > 0 ? (uint64_t)sent : 0;
        pthread_mutex_unlock(&x->r->conns.lock);
        if (err == EAGAIN)
            return;
        if (err && err != EINTR)
            x->over = x->reset = true;
        p->at += sent > 0 ? (size_t)sent : 0;
    }
    if (p->at == p->n && p->source_ended && !p->ended) {
        p->ended = true;
        shutdown(p->to, SHUT_WR);
    }
}

/* Ends a delay that is over; the time until then, as poll(2) takes it. */
static int delay_left(struct session *x)
{
    int left = -1;
    for (int d = 0; d < 2; d++) {
        struct pump *p = &x->pump[d];
        if (p->resume_ms == 0)
            continue;
        left = sup_left_ms(p->resume_ms);
        if (left == 0)
            p->resume_ms = 0;
    }
    return left;
}

static void take_release(struct session *x)
{
    eventfd_t value;
    if (eventfd_read(x->r->conns.release_fd, &value) != 0)
        return; /* another connection was faster */
    x->pump[0].stalled = false;
    x->pump[1].stalled = false;
}

/* Waits until something can be done and does it once. */
static void turn(struct session *x)
{
    enum { CLIENT, SERVER, QUIT, RELEASE };
    bool stalled = x->pump[0].stalled || x->pump[1].stalled;
    struct pollfd fds[4] = {{.fd = x->conn->fd, .events = stalled ? POLLRDHUP : 0},
                            {.fd = x->server},
                            {.fd = x->r->conns.quit_fd, .events = POLLIN},
                            {.fd = stalled ? x->r->conns.release_fd : -1, .events = POLLIN}};
    for (int d = 0; d < 2; d++) {
        int from = d == SUP_TO_CLIENT ? SERVER : CLIENT;
        fds[from].events |= (short)(may_read(x, d) ? POLLIN : 0);
        fds[from ^ 1].events |= (short)(x->pump[d].at < x->pump[d].n ? POLLOUT : 0);
    }
    /* A descriptor of which nothing is wanted still reports a hang-up: nobody would act on it. */
    for (int i = CLIENT; i <= SERVER; i++)
        if (fds[i].events == 0)
            fds[i].fd = -1;
    poll(fds, 4, delay_left(x));

    bool gave_up = stalled && (fds[CLIENT].revents & (POLLRDHUP | POLLERR | POLLHUP));
    if (fds[QUIT].revents || gave_up) {
        x->over = x->reset = true;
        return;
    }
    if (fds[RELEASE].revents)
        take_release(x);
    for (int d = 0; d < 2 && !x->over; d++) {
        int from = d == SUP_TO_CLIENT ? SERVER : CLIENT;
        if (fds[from].revents && may_read(x, d))
            fill(x, d);
        flush(x, &x->pump[d]);
        spoil(x);
    }
}

/* The session lives until the relay stops: its byte counts may be asked for. */
static struct session *new_session(struct sup_relay *r, struct sup_conn *conn)
{
    struct session *x = calloc(1, sizeof(*x));
    if (!x)
        abort();
    x->r = r;
    x->conn = conn;
    x->rule = rule_for(r, conn->i);
    x->server = sup_connect(r->upstream, CONNECT_MS);
    x->pump[SUP_TO_CLIENT].from = x->server;
    x->pump[SUP_TO_CLIENT].to = conn->fd;
    x->pump[SUP_TO_SERVER].from = conn->fd;
    x->pump[SUP_TO_SERVER].to = x->server;
    pthread_mutex_lock(&r->conns.lock);
    conn->data = x;
    pthread_mutex_unlock(&r->conns.lock);
    return x;
}

static void serve(struct sup_conn *conn, void *owner)
{
    struct session *x = new_session(owner, conn);
    if (x->server < 0) {
        sup_reset_on_close(conn->fd);
        return; /* the upstream is gone: so is the client's connection */
    }
    use_nodelay(conn->fd);
    use_nodelay(x->server);
    spoil(x); /* a fault at byte 0 */
    while (!x->over && !(x->pump[0].ended && x->pump[1].ended))
        turn(x);
    if (x->reset) {
        sup_reset_on_close(conn->fd);
        sup_reset_on_close(x->server);
    } else { /* bytes that nobody read would turn the FIN into a reset */
        while (recv(conn->fd, x->pump[0].buffer, BUFFER_BYTES, 0) > 0)
            continue;
    }
    close(x->server);
}

/* -- The test's side ---------------------------------------------------------------------------- */

struct sup_relay *sup_relay_start(uint16_t upstream, const struct sup_relay_rule *rules,
                                  size_t rules_n)
{
    struct sup_relay *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->upstream = upstream;
    r->rules_n = rules_n;
    r->rules = calloc(rules_n + 1, sizeof(*rules));
    if (!r->rules)
        abort();
    if (rules_n > 0)
        memcpy(r->rules, rules, rules_n * sizeof(*rules));
    if (sup_conns_start(&r->conns, serve, free, r))
        return r;
    free(r->rules);
    free(r);
    return NULL;
}

void sup_relay_stop(struct sup_relay *r)
{
    if (!r)
        return;
    sup_conns_stop(&r->conns);
    free(r->rules);
    free(r);
}

uint16_t sup_relay_port(const struct sup_relay *r)
{
    return r->conns.port;
}

size_t sup_relay_connections(struct sup_relay *r)
{
    pthread_mutex_lock(&r->conns.lock);
    size_t n = r->conns.n;
    pthread_mutex_unlock(&r->conns.lock);
    return n;
}

size_t sup_relay_faults(struct sup_relay *r)
{
    pthread_mutex_lock(&r->conns.lock);
    size_t n = r->faults;
    pthread_mutex_unlock(&r->conns.lock);
    return n;
}

struct wish {
    const struct sup_relay *r;
    size_t faults;
};

static bool reached(void *arg)
{
    const struct wish *w = arg;
    return w->r->faults >= w->faults;
}

bool sup_relay_wait_faults(struct sup_relay *r, size_t n, int timeout_ms)
{
    struct wish w = {r, n};
    return sup_conns_wait(&r->conns, reached, &w, timeout_ms);
}

void sup_relay_release(struct sup_relay *r, unsigned n)
{
    sup_conns_release(&r->conns, n);
}

uint64_t sup_relay_bytes(struct sup_relay *r, size_t i, enum sup_relay_direction direction)
{
    pthread_mutex_lock(&r->conns.lock);
    const struct session *x = i < r->conns.n ? r->conns.slot[i]->data : NULL;
    uint64_t bytes = x ? x->pump[direction].passed : 0;
    pthread_mutex_unlock(&r->conns.lock);
    return bytes;
}
