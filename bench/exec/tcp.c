/* SPDX-License-Identifier: MIT */
/* Servers and clients in one process over loopback: echoes, mostly idle connections, and a task that does not yield. */
#include "bench/exec/bench.h"

#include <string.h>
#include <sys/resource.h>

enum { MESSAGE_BYTES = 64, SERVER_BUFFER = 1024 };

static int serve(void *arg)
{
    thrum_tcp *tcp = arg;
    char buf[SERVER_BUFFER];
    ssize_t n;
    while ((n = thrum_tcp_read(tcp, buf, sizeof(buf))) > 0)
        if (thrum_tcp_write(tcp, buf, (size_t)n, NULL) != 0)
            break;
    thrum_tcp_close(tcp);
    return 0;
}

struct server {
    thrum_listener *listener;
    thrum_scope *scope; /* the connections' tasks go here */
};

static int listen_on(void *arg)
{
    struct server *s = arg;
    thrum_tcp *tcp;
    int err;
    while ((err = thrum_tcp_accept(s->listener, &tcp)) == 0)
        BENCH_MUST(thrum_scope_spawn(s->scope, serve, tcp));
    return err == THRUM_ECLOSED ? 0 : err;
}

/* One message there and back. Returns whether it came back as it went. */
static bool exchange(thrum_tcp *tcp, uint64_t v)
{
    char buf[MESSAGE_BYTES] = {0};
    memcpy(buf, &v, sizeof(v));
    BENCH_MUST(thrum_tcp_write(tcp, buf, sizeof(buf), NULL));
    BENCH_MUST(thrum_stream_read_exactly(thrum_tcp_stream(tcp), buf, sizeof(buf), NULL));
    return memcmp(buf, &v, sizeof(v)) == 0;
}

/* A server and its clients' connections. */
struct net {
    thrum_scope scope;
    struct server server;
    thrum_tcp **conns;
    size_t conns_n;
};

/* Both ends of a connection are descriptors of this process. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void net_open(struct net *net, size_t conns_n)
{
    thrum_addr addr;
    allow_descriptors();
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    *net = (struct net){.conns = bench_alloc(conns_n, sizeof(net->conns[0])), .conns_n = conns_n};
    thrum_scope_open(&net->scope, NULL);
    BENCH_MUST(thrum_addr_parse(&addr, "127.0.0.1", 0));
    BENCH_MUST(thrum_tcp_listen(&net->server.listener, &addr, NULL));
    BENCH_MUST(thrum_listener_local(net->server.listener, &addr));
    net->server.scope = &net->scope;
    BENCH_MUST(thrum_scope_spawn(&net->scope, listen_on, &net->server));
    for (size_t i = 0; i < conns_n; i++)
        BENCH_MUST(thrum_tcp_connect(&net->conns[i], &addr, NULL));
    for (size_t i = 0; i < conns_n; i++) /* both ends are up before the clock starts */
        exchange(net->conns[i], 0);
}

static void net_close(struct net *net)
{
    for (size_t i = 0; i < net->conns_n; i++)
        thrum_tcp_close(net->conns[i]);
    thrum_listener_close(net->server.listener);
    BENCH_MUST(thrum_scope_close(&net->scope));
    free(net->conns);
}

struct client {
    thrum_tcp *tcp;
    uint64_t rounds_n;
    uint64_t right_n; /* filled in */
};

static int exchange_often(void *arg)
{
    struct client *c = arg;
    for (uint64_t i = 0; i < c->rounds_n; i++)
        c->right_n += exchange(c->tcp, i);
    return 0;
}

/* `size` round trips, one in flight on each of the first `active_n` of so many connections. */
static void echo(struct bench *b, size_t conns_n, size_t active_n)
{
    struct net net;
    struct client *clients = bench_alloc(active_n, sizeof(*clients));
    thrum_scope scope;
    net_open(&net, conns_n);
    uint64_t begun = thrum_now();
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < active_n; i++) {
        clients[i] = (struct client){.tcp = net.conns[i], .rounds_n = b->size / active_n};
        BENCH_MUST(thrum_scope_spawn(&scope, exchange_often, &clients[i]));
    }
    BENCH_MUST(thrum_scope_close(&scope));
    b->ns = thrum_now() - begun;
    b->ops = b->size / active_n * active_n;
    for (size_t i = 0; i < active_n; i++)
        b->checksum += clients[i].right_n;
    free(clients);
    net_close(&net);
}

void bench_tcp_echo(struct bench *b)
{
    echo(b, 100, 100);
}

void bench_tcp_idle(struct bench *b)
{
    echo(b, 9500, 95);
}

/* ---- stall ------------------------------------------------------------------------------------------------------ */

enum { STALL_CLIENTS = 50 };
#define STALL_PAUSE (2 * THRUM_MILLISECOND)
#define STALL_FIRST (100 * THRUM_MILLISECOND)
#define STALL_EVERY (400 * THRUM_MILLISECOND)
#define STALL_HOG (200 * THRUM_MILLISECOND)
#define STALL_SLOW (20 * THRUM_MILLISECOND)

struct span {
    uint64_t begin, end;
};

struct steady {
    thrum_tcp *tcp;
    uint64_t until;
    struct span *spans; /* filled in: from when a request was due until its answer was there */
    size_t spans_n;
    uint64_t wrong_n;
};

/* A request every two milliseconds, each due so long after the answer to the one before. */
static int ask_steadily(void *arg)
{
    struct steady *s = arg;
    for (;;) {
        uint64_t now = thrum_now();
        if (now >= s->until)
            return 0;
        struct span *span = &s->spans[s->spans_n++];
        span->begin = now + STALL_PAUSE;
        BENCH_MUST(thrum_sleep(STALL_PAUSE));
        s->wrong_n += !exchange(s->tcp, s->spans_n);
        span->end = thrum_now();
    }
}

static int hog(void *arg)
{
    struct span *span = arg;
    span->begin = thrum_now();
    bench_spin(STALL_HOG);
    span->end = thrum_now();
    return 0;
}

static void hog_now_and_then(struct span *hogs, uint64_t hogs_n, uint64_t base)
{
    for (uint64_t k = 0; k < hogs_n; k++) {
        uint64_t due = base + STALL_FIRST + k * STALL_EVERY, now = thrum_now();
        thrum_task *task;
        BENCH_MUST(thrum_sleep(due > now ? due - now : 0));
        BENCH_MUST(thrum_spawn(&task, hog, &hogs[k], NULL));
        BENCH_MUST(thrum_join(task, NULL));
    }
}

static bool overlaps_any(const struct span *s, const struct span *hogs, uint64_t hogs_n)
{
    for (uint64_t k = 0; k < hogs_n; k++)
        if (s->begin < hogs[k].end && s->end > hogs[k].begin)
            return true;
    return false;
}

/* Keeps the latencies of requests during a hog; the others were not put to the test. */
static void stall_report(struct bench *b, const struct steady *clients, const struct span *hogs,
                         size_t spans_max)
{
    uint64_t *latency_ns = bench_alloc(spans_max * STALL_CLIENTS, sizeof(*latency_ns));
    uint64_t slow_n = 0, wrong_n = 0;
    for (size_t c = 0; c < STALL_CLIENTS; c++) {
        wrong_n += clients[c].wrong_n;
        for (size_t i = 0; i < clients[c].spans_n; i++) {
            const struct span *s = &clients[c].spans[i];
            if (!overlaps_any(s, hogs, b->size))
                continue;
            slow_n += s->end - s->begin > STALL_SLOW;
            latency_ns[b->ops++] = s->end - s->begin;
        }
    }
    b->checksum = b->size - wrong_n;
    bench_add(b, "slow", (double)slow_n, 0);
    bench_add_percentiles(b, latency_ns, b->ops, "us", 1e3);
    free(latency_ns);
}

/* 50 clients; `size` times a task keeps a worker for 200 ms. How long do the clients wait meanwhile? */
void bench_stall(struct bench *b)
{
    struct net net;
    struct steady clients[STALL_CLIENTS] = {0};
    thrum_scope scope;
    struct span *hogs = bench_alloc(b->size, sizeof(*hogs));
    net_open(&net, STALL_CLIENTS);
    uint64_t base = thrum_now(), length = STALL_FIRST + b->size * STALL_EVERY;
    size_t spans_max = length / STALL_PAUSE + 2; /* a client never asks more often than that */
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < STALL_CLIENTS; i++) {
        clients[i] = (struct steady){.tcp = net.conns[i],
                                     .until = base + length,
                                     .spans = bench_alloc(spans_max, sizeof(struct span))};
        BENCH_MUST(thrum_scope_spawn(&scope, ask_steadily, &clients[i]));
    }
    hog_now_and_then(hogs, b->size, base);
    BENCH_MUST(thrum_scope_close(&scope));
    b->ns = thrum_now() - base;
    stall_report(b, clients, hogs, spans_max);
    for (size_t i = 0; i < STALL_CLIENTS; i++)
        free(clients[i].spans);
    free(hogs);
    net_close(&net);
}
