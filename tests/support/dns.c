/* SPDX-License-Identifier: MIT */
/* support/dns.c: the scripted name server, one thread over one UDP and one TCP socket. */
#include "support/dnsserver.h"

#include "support/dns_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX 64
#define QUERY_MAX 1024
#define PORT_TRIES 16

/* A TCP connection. */
struct stream {
    int fd; /* -1: unused */
    uint64_t serial;
    size_t bytes;
    unsigned char buffer[2 + QUERY_MAX];
};

/* A reply that is due later. */
struct delayed {
    struct delayed *next;
    int64_t due_ms;
    bool tcp;
    bool cut; /* half of it, then the connection ends */
    size_t stream;
    uint64_t serial; /* the stream may have ended, and another have its place */
    struct sockaddr_in peer;
    size_t bytes;
    unsigned char data[];
};

struct seen {
    char *name;
    uint16_t type;
};

struct sup_dns {
    uint16_t port;
    char *address;
    int udp;
    int tcp;
    int quit_fd;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sup_dns_rule *rules; /* these six: guarded by lock */
    unsigned *used;             /* how often each rule was */
    size_t rules_n;
    struct seen *seen;
    size_t seen_n;
    size_t tcp_n;

    struct stream streams[STREAMS_MAX]; /* from here on: the thread's own */
    uint64_t serial;
    struct delayed *delayed; /* soonest first */
    unsigned char reply[SUP_DNS_MESSAGE_MAX + 1];
};

/* Where a query came from, and its reply goes. */
struct origin {
    bool tcp;
    size_t stream;
    struct sockaddr_in peer;
};

/* -- Rules -------------------------------------------------------------------------------------- */

static bool name_matches(const char *pattern, const char *name)
{
    if (!pattern)
        return true;
    if (strncmp(pattern, "*.", 2) != 0)
        return strcasecmp(pattern, name) == 0;
    size_t tail = strlen(pattern) - 1; /* with the dot */
    size_t n = strlen(name);
    return n > tail && strcasecmp(name + n - tail, pattern + 1) == 0;
}

/* Notes the query and finds its rule. */
static struct sup_dns_rule note(struct sup_dns *d, const struct sup_dns_query *q, bool tcp)
{
    struct sup_dns_rule found = {.reply = SUP_DNS_NXDOMAIN};
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->rules_n; i++) {
        const struct sup_dns_rule *r = &d->rules[i];
        if ((r->type != 0 && r->type != q->type) || (r->times > 0 && d->used[i] >= r->times) ||
            !name_matches(r->name, q->name))
            continue;
        d->used[i]++;
        found = *r;
        break;
    }
    struct seen *more = realloc(d->seen, (d->seen_n + 1) * sizeof(*more));
    if (!more)
        abort();
    d->seen = more;
    d->seen[d->seen_n++] = (struct seen){.name = sup_format("%s", q->name), .type = q->type};
    d->tcp_n += tcp;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return found;
}

/* -- Replies ------------------------------------------------------------------------------------ */

static void close_stream(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
    s->bytes = 0;
}

static void deliver_tcp(struct sup_dns *d, const struct delayed *r)
{
    struct stream *s = &d->streams[r->stream];
    if (s->fd < 0 || s->serial != r->serial)
        return;
    unsigned char head[2] = {(unsigned char)(r->bytes >> 8), (unsigned char)r->bytes};
    size_t bytes = r->cut ? r->bytes / 2 : r->bytes;
    int64_t deadline = sup_now_ms() + 1000;
    int err = sup_send_all(s->fd, head, sizeof(head), d->quit_fd, deadline);
    if (!err)
        err = sup_send_all(s->fd, r->data, bytes, d->quit_fd, deadline);
    if (err || r->cut)
        close_stream(s);
}

static void deliver(struct sup_dns *d, const struct delayed *r)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } peer = {.v4 = r->peer};
    if (r->tcp)
        deliver_tcp(d, r);
    else if (sendto(d->udp, r->data, r->bytes, MSG_NOSIGNAL, &peer.any, sizeof(peer.v4)) < 0)
        return; /* the client is gone, or the network full: UDP may lose it */
}

static void enqueue(struct sup_dns *d, struct delayed *r)
{
    struct delayed **at = &d->delayed;
    while (*at && (*at)->due_ms <= r->due_ms)
        at = &(*at)->next;
    r->next = *at;
    *at = r;
}

/* Delivers what is due; the time to the next, as poll(2) takes it. */
static int deliver_due(struct sup_dns *d)
{
    while (d->delayed) {
        struct delayed *r = d->delayed;
        int left = sup_left_ms(r->due_ms);
        if (left > 0)
            return left;
        d->delayed = r->next;
        deliver(d, r);
        free(r);
    }
    return -1;
}

static void schedule(struct sup_dns *d, const struct origin *from, const struct sup_dns_rule *rule,
                     size_t bytes)
{
    struct delayed *r = calloc(1, sizeof(*r) + bytes);
    if (!r)
        abort();
    r->due_ms = sup_now_ms() + rule->delay_ms;
    r->tcp = from->tcp;
    r->cut = from->tcp && rule->reply == SUP_DNS_TRUNCATED_CUT;
    r->stream = from->stream;
    r->serial = from->tcp ? d->streams[from->stream].serial : 0;
    r->peer = from->peer;
    r->bytes = bytes;
    memcpy(r->data, d->reply, bytes);
    enqueue(d, r);
}

static void handle(struct sup_dns *d, const struct origin *from, const unsigned char *wire,
                   size_t bytes)
{
    struct sup_dns_query q;
    if (!sup_dns_parse(&q, wire, bytes))
        return;
    struct sup_dns_rule rule = note(d, &q, from->tcp);
    ssize_t n = sup_dns_build(d->reply, &q, &rule, from->tcp);
    for (int i = 0; n >= 0 && i < (rule.reply == SUP_DNS_TWICE ? 2 : 1); i++)
        schedule(d, from, &rule, (size_t)n);
}

/* -- Sockets ------------------------------------------------------------------------------------ */

static void read_udp(struct sup_dns *d)
{
    unsigned char wire[QUERY_MAX];
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } peer;
    for (;;) {
        socklen_t peer_bytes = sizeof(peer.v4);
        ssize_t n = recvfrom(d->udp, wire, sizeof(wire), 0, &peer.any, &peer_bytes);
        if (n < 0)
            return;
        handle(d, &(struct origin){.peer = peer.v4}, wire, (size_t)n);
    }
}

static void accept_stream(struct sup_dns *d)
{
    int fd = accept4(d->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    size_t i = 0;
    while (i < STREAMS_MAX && d->streams[i].fd >= 0)
        i++;
    if (fd < 0)
        return;
    if (i == STREAMS_MAX) {
        close(fd);
        return;
    }
    d->streams[i].fd = fd;
    d->streams[i].bytes = 0;
    d->streams[i].serial = ++d->serial;
}

static void read_stream(struct sup_dns *d, size_t i)
{
    struct stream *s = &d->streams[i];
    ssize_t n = recv(s->fd, s->buffer + s->bytes, sizeof(s->buffer) - s->bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_stream(s);
        return;
    }
    s->bytes += (size_t)n;
    while (s->bytes >= 2) {
        size_t message = (size_t)s->buffer[0] << 8 | s->buffer[1];
        if (message > QUERY_MAX) {
            close_stream(s);
            return;
        }
        if (s->bytes < 2 + message)
            return;
        handle(d, &(struct origin){.tcp = true, .stream = i}, s->buffer + 2, message);
        s->bytes -= 2 + message;
        memmove(s->buffer, s->buffer + 2 + message, s->bytes);
    }
}

static void *run(void *arg)
{
    struct sup_dns *d = arg;
    struct pollfd fds[3 + STREAMS_MAX];
    for (;;) {
        fds[0] = (struct pollfd){.fd = d->quit_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = d->udp, .events = POLLIN};
        fds[2] = (struct pollfd){.fd = d->tcp, .events = POLLIN};
        for (size_t i = 0; i < STREAMS_MAX; i++)
            fds[3 + i] = (struct pollfd){.fd = d->streams[i].fd, .events = POLLIN};
        int n = poll(fds, 3 + STREAMS_MAX, deliver_due(d));
        if (n <= 0)
            continue;
        if (fds[0].revents)
            return NULL;
        if (fds[1].revents)
            read_udp(d);
        for (size_t i = 0; i < STREAMS_MAX; i++)
            if (fds[3 + i].revents && d->streams[i].fd == fds[3 + i].fd)
                read_stream(d, i);
        if (fds[2].revents) /* last: a new stream may take the place of one just closed */
            accept_stream(d);
    }
}

/* -- The test's side ---------------------------------------------------------------------------- */

static bool open_sockets(struct sup_dns *d)
{
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        d->tcp = sup_listen(false, STREAMS_MAX, &d->port);
        if (d->tcp < 0)
            return false;
        d->udp = sup_bind_udp(d->port);
        if (d->udp >= 0)
            return true;
        close(d->tcp);
        d->tcp = -1;
    }
    return false;
}

static void init(struct sup_dns *d)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    d->udp = d->tcp = -1;
    for (size_t i = 0; i < STREAMS_MAX; i++)
        d->streams[i].fd = -1;
    d->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

struct sup_dns *sup_dns_start(const struct sup_dns_rule *rules, size_t rules_n)
{
    struct sup_dns *d = calloc(1, sizeof(*d));
    if (!d)
        abort();
    init(d);
    sup_dns_set_rules(d, rules, rules_n);
    bool ok = d->quit_fd >= 0 && open_sockets(d);
    d->address = sup_format("127.0.0.1:%u", d->port);
    d->running = ok && pthread_create(&d->thread, NULL, run, d) == 0;
    if (d->running)
        return d;
    sup_say("cannot start the scripted name server");
    sup_dns_stop(d);
    return NULL;
}

void sup_dns_stop(struct sup_dns *d)
{
    if (!d)
        return;
    if (d->running) {
        eventfd_write(d->quit_fd, 1);
        pthread_join(d->thread, NULL);
    }
    while (d->delayed) {
        struct delayed *r = d->delayed;
        d->delayed = r->next;
        free(r);
    }
    for (size_t i = 0; i < STREAMS_MAX; i++)
        if (d->streams[i].fd >= 0)
            close(d->streams[i].fd);
    int fds[3] = {d->udp, d->tcp, d->quit_fd};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (size_t i = 0; i < d->seen_n; i++)
        free(d->seen[i].name);
    free(d->seen);
    free(d->rules);
    free(d->used);
    free(d->address);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void sup_dns_set_rules(struct sup_dns *d, const struct sup_dns_rule *rules, size_t rules_n)
{
    struct sup_dns_rule *copy = calloc(rules_n + 1, sizeof(*copy));
    unsigned *used = calloc(rules_n + 1, sizeof(*used));
    if (!copy || !used)
        abort();
    if (rules_n > 0)
        memcpy(copy, rules, rules_n * sizeof(*copy));
    pthread_mutex_lock(&d->lock);
    struct sup_dns_rule *old = d->rules;
    unsigned *old_used = d->used;
    d->rules = copy;
    d->used = used;
    d->rules_n = rules_n;
    pthread_mutex_unlock(&d->lock);
    free(old);
    free(old_used);
}

uint16_t sup_dns_port(const struct sup_dns *d)
{
    return d->port;
}

const char *sup_dns_address(const struct sup_dns *d)
{
    return d->address;
}

size_t sup_dns_queries(struct sup_dns *d, const char *name, uint16_t type)
{
    size_t n = 0;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->seen_n; i++)
        n += (type == 0 || d->seen[i].type == type) && name_matches(name, d->seen[i].name);
    pthread_mutex_unlock(&d->lock);
    return n;
}

size_t sup_dns_tcp_queries(struct sup_dns *d)
{
    pthread_mutex_lock(&d->lock);
    size_t n = d->tcp_n;
    pthread_mutex_unlock(&d->lock);
    return n;
}

bool sup_dns_wait_queries(struct sup_dns *d, size_t n, int timeout_ms)
{
    int64_t end_ms = sup_now_ms() + timeout_ms;
    struct timespec until = {.tv_sec = end_ms / 1000, .tv_nsec = (end_ms % 1000) * 1000000};
    int err = 0;
    pthread_mutex_lock(&d->lock);
    while (d->seen_n < n && err == 0)
        err = pthread_cond_timedwait(&d->changed, &d->lock, &until);
    bool reached = d->seen_n >= n;
    pthread_mutex_unlock(&d->lock);
    return reached;
}
