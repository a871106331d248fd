/* SPDX-License-Identifier: MIT */
/* What the tests of connections share: a connection to a loopback port, and a GET over it. */
#ifndef TESTS_TLS_CLIENT_H
#define TESTS_TLS_CLIENT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/thrum.h>

#include "support/certs.h"
#include "support/util.h"

struct client {
    thrum_tls_config *config;
    const char *host; /* NULL: localhost */
    uint16_t port;    /* to connect to ... */
    uint16_t as_port; /* ... and as which sessions are kept; 0: the same */

    thrum_tls *tls; /* filled in */
    thrum_stream *stream;
    char detail[256];
};

/* Context: task. Returns 0 or a code, with c->detail if TLS failed. */
static inline int client_open(struct client *c)
{
    thrum_addr addr;
    thrum_tcp *tcp;
    int err = thrum_addr_parse(&addr, "127.0.0.1", c->port);
    if (!err)
        err = thrum_tcp_connect(&tcp, &addr, NULL);
    if (!err)
        err = thrum_tls_connect(&c->tls, c->config, thrum_tcp_stream(tcp),
                                c->host ? c->host : "localhost", c->as_port ? c->as_port : c->port,
                                c->detail, sizeof(c->detail));
    if (!err)
        c->stream = thrum_tls_stream(c->tls);
    return err;
}

static inline void client_close(struct client *c)
{
    thrum_tls_close(c->tls);
    c->tls = NULL;
}

static inline int client_ask(struct client *c, const char *path)
{
    char request[256];
    int n = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);
    return thrum_stream_write(c->stream, request, (size_t)n, NULL);
}

/* Reads to the end of the connection; *body is where the content starts and a NUL ends it. Returns its size or a code;
 * *all is to be freed in either case. */
static inline ssize_t client_answer(struct client *c, char **all, char **body)
{
    size_t used = 0, max = 4096;
    ssize_t n;
    *body = NULL;
    *all = malloc(max);
    while (*all && (n = thrum_stream_read(c->stream, *all + used, max - used - 1)) > 0) {
        used += (size_t)n;
        if (used + 1 == max)
            *all = realloc(*all, max *= 2);
    }
    if (!*all)
        return -ENOMEM;
    (*all)[used] = '\0';
    char *end = strstr(*all, "\r\n\r\n");
    if (n < 0)
        return n;
    if (!end)
        return -EPROTO;
    *body = end + 4;
    return *all + used - *body;
}

/* Opens, asks, reads the answer, closes. */
static inline ssize_t client_get(struct client *c, const char *path, char **all, char **body)
{
    *all = NULL;
    *body = NULL;
    ssize_t n = client_open(c);
    if (n)
        return n;
    n = client_ask(c, path);
    if (n == 0)
        n = client_answer(c, all, body);
    return n;
}

static inline thrum_tls_config *client_config(thrum_tls_opts opts)
{
    thrum_tls_config *config = NULL;
    if (!opts.ca_file && !opts.insecure)
        opts.ca_file = sup_ca_file();
    return thrum_tls_config_new(&config, &opts) == 0 ? config : NULL;
}

#endif
