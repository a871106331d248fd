/* SPDX-License-Identifier: MIT */
/* Making and ending a client. */
#include "http/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>

#include "tls/config.h"

#define IDLE_MAX_DEFAULT 1024
#define IDLE_TIMEOUT_DEFAULT_NS (15 * THRUM_SECOND)
#define CONNECT_TIMEOUT_DEFAULT_NS (30 * THRUM_SECOND)
#define REDIRECTS_MAX_DEFAULT 10

/* More of a header than this is never read, whatever is asked for: offsets in it are 32 bits wide. */
#define HEADER_BYTES_MOST (256u << 20)

/* Copies the overrides and their hosts, in lower case, into one block. */
static int copy_overrides(thrum_http_client *c, const thrum_http_override *from, size_t n)
{
    size_t bytes = n * sizeof(*from);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(from[i].host) + 1;
    if (n == 0)
        return 0;
    c->overrides = malloc(bytes);
    if (!c->overrides)
        return -ENOMEM;
    char *text = (char *)(c->overrides + n);
    for (size_t i = 0; i < n; i++) {
        c->overrides[i] = from[i];
        c->overrides[i].host = text;
        for (const char *h = from[i].host; *h; h++)
            *text++ = (char)(*h >= 'A' && *h <= 'Z' ? *h | 0x20 : *h);
        *text++ = '\0';
    }
    c->dialer.overrides = c->overrides;
    c->dialer.overrides_n = n;
    return 0;
}

static void set_limits(thrum_http_client *c, const thrum_http_client_opts *o)
{
    uint64_t header = o->header_bytes_max ? o->header_bytes_max : THR_HEAD_BYTES_DEFAULT;
    c->header_bytes_max = (uint32_t)(header < HEADER_BYTES_MOST ? header : HEADER_BYTES_MOST);
    c->body_bytes_max = o->body_bytes_max ? o->body_bytes_max : UINT64_MAX;
    c->ratio_max = o->ratio_max;
    c->redirects_max = o->redirects_max ? o->redirects_max : REDIRECTS_MAX_DEFAULT;
    c->no_redirects = o->no_redirects;
    c->plain_redirects = o->plain_redirects;
    c->idle_timeout_ns = o->idle_timeout_ns ? o->idle_timeout_ns : IDLE_TIMEOUT_DEFAULT_NS;
    c->dialer.timeout_ns =
        o->connect_timeout_ns ? o->connect_timeout_ns : CONNECT_TIMEOUT_DEFAULT_NS;
}

static int set_outgoing(thrum_http_client *c, const thrum_http_client_opts *o)
{
    c->user_agent = strdup(o->user_agent ? o->user_agent : "thrum/" THRUM_VERSION);
    c->outgoing = (struct thr_outgoing_opts){
        .user_agent = c->user_agent, .no_decode = o->no_decode, .no_keepalive = o->no_keepalive};
    return c->user_agent ? 0 : -ENOMEM;
}

static int set_tls(thrum_http_client *c, thrum_tls_config *config)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    if (config) {
        thr_tls_config_ref(config);
        c->dialer.tls = config;
        return 0;
    }
    return thrum_tls_config_new(&c->dialer.tls, &(thrum_tls_opts){.alpn = alpn});
}

static int set_resolver(thrum_http_client *c, thrum_resolver *resolver)
{
    c->dialer.resolver = resolver;
    c->own_resolver = !resolver;
    return resolver ? 0 : thrum_resolver_new(&c->dialer.resolver, NULL);
}

static int set_up(thrum_http_client *c, const thrum_http_client_opts *o)
{
    const struct thr_pool_opts pool_opts = {
        .per_host_max = o->per_host_max,
        .total_max = o->total_max,
        .idle_max = o->idle_max ? o->idle_max : IDLE_MAX_DEFAULT,
    };
    thr_buffers_init(&c->buffers);
    c->dialer.buffers = &c->buffers;
    set_limits(c, o);
    int err = thr_pool_init(&c->pool, &thr_conn_pool_ops, &pool_opts);
    if (!err)
        err = set_outgoing(c, o);
    if (!err)
        err = copy_overrides(c, o->overrides, o->overrides_n);
    if (!err)
        err = set_tls(c, o->tls);
    if (!err)
        err = set_resolver(c, o->resolver);
    return err;
}

int thrum_http_client_new(thrum_http_client **out, const thrum_http_client_opts *opts)
{
    static const thrum_http_client_opts none;
    *out = NULL;
    thrum_http_client *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    int err = set_up(c, opts ? opts : &none);
    if (err) {
        thrum_http_client_free(c);
        return err;
    }
    *out = c;
    return 0;
}

void thrum_http_client_free(thrum_http_client *c)
{
    if (!c)
        return;
    thr_pool_fini(&c->pool);
    if (c->own_resolver)
        thrum_resolver_free(c->dialer.resolver);
    if (c->dialer.tls)
        thrum_tls_config_unref(c->dialer.tls);
    thr_buffers_fini(&c->buffers);
    free(c->overrides);
    free(c->user_agent);
    free(c);
}

void thrum_http_client_stats(thrum_http_client *c, thrum_http_stats *out)
{
    *out = (thrum_http_stats){
        .connections_opened = thr_load(&c->opened, THR_RELAXED),
        .connections_reused = thr_load(&c->reused, THR_RELAXED),
        .connections_idle = thr_pool_counts(&c->pool).idle_n,
        .handshakes = thr_load(&c->handshakes, THR_RELAXED),
        .handshakes_resumed = thr_load(&c->resumed, THR_RELAXED),
        .requests = thr_load(&c->requests, THR_RELAXED),
        .retries = thr_load(&c->retries, THR_RELAXED),
    };
}
