/* SPDX-License-Identifier: MIT */
/* support/nginx.h: the distribution's nginx, on free loopback ports, from a directory of its own.
 *
 * The ports are reserved, so none can be lost to somebody else.  Every listener serves the same paths:
 *
 *   /pages/I            page I of support/pages.h, Content-Length; I < pages_n
 *   /gzip/I             the same, compressed on the fly if the request accepts gzip (then chunked)
 *   /chunked/I          the same, chunked
 *   /until-close/I      the same, neither length nor chunks: the end of the connection ends it
 *   /close/I            the same, with a length and Connection: close
 *   /slow/I             the same, at 512 bytes a second
 *   /large              large_bytes of stream SUP_NGINX_LARGE_SEED
 *   /large-gzip         the same, compressed on the fly if accepted
 *   /bomb-gzip          4 MiB of 'A', always sent as gzip (some 4 KiB)
 *   /status/CODE        that status with the body "status CODE\n"; CODE: 200 204 400 401 403 404 410
 *                       418 429 500 502 503 504
 *   /redirect/N         302, relative: to /redirect/N-1, from /redirect/1 to /pages/0; 1 <= N <= 20
 *   /redirect-abs/N     the same with absolute URLs (the request's own scheme and Host)
 *   /redirect-loop      302 to itself
 *   /redirect-code/CODE CODE to /echo; CODE: 301 302 303 307 308
 *   /redirect-https     302 to /pages/1 on the HTTPS port, /redirect-http on the HTTP port
 *   /echo               "METHOD URI PROTOCOL host=[..] ua=[..] accept=[..] encoding=[..] auth=[..] x-test=[..]
 *                       type=[..] length=[..]\n", one line, what is absent empty
 *   /echo-body          the request's body (POST or PUT, one line of text, at most 4 KiB); counts as two
 *                       requests and connections
 *   /headers/N          N (10, 100) headers X-Fill-K of 64 bytes each, body "ok\n"
 *   /tls                "PROTOCOL CIPHER SNI ALPN REUSED\n", each "-" if empty; REUSED: "r" for a
 *                       resumed session, else "."
 */
#ifndef SUPPORT_NGINX_H
#define SUPPORT_NGINX_H

#include "support/certs.h"
#include "support/util.h"

#define SUP_NGINX_LARGE_SEED 1000000007u

enum sup_nginx_port {
    SUP_NGINX_HTTP,
    SUP_NGINX_HTTPS, /* TLS 1.2 and 1.3, SUP_CERT_GOOD; ALPN http/1.1 */
    SUP_NGINX_TLS12, /* TLS 1.2 only */
    SUP_NGINX_TLS13, /* TLS 1.3 only */
    SUP_NGINX_HTTP6, /* on ::1; port 0 where there is no IPv6 */
    SUP_NGINX_HTTPS6,
    /* HTTPS with the certificate of that name; only with opts.bad_certs */
    SUP_NGINX_RSA,
    SUP_NGINX_CHAIN,
    SUP_NGINX_INCOMPLETE,
    SUP_NGINX_EXPIRED,
    SUP_NGINX_NOT_YET,
    SUP_NGINX_SELF_SIGNED,
    SUP_NGINX_WRONG_HOST,
    SUP_NGINX_UNKNOWN_CA,
    SUP_NGINX_PORTS
};

struct sup_nginx;

struct sup_nginx_opts {
    uint32_t pages_n;         /* 0: 100 */
    uint64_t large_bytes;     /* 0: 8 MiB */
    unsigned keepalive_n;     /* requests a connection; 0: 1,000,000 */
    unsigned keepalive_ms;    /* idle time after which nginx closes; 0: 60,000 */
    unsigned connections_max; /* 0: 4,096 */
    bool no_tls;              /* HTTP ports only; the others are 0 */
    bool bad_certs;           /* also the listeners with the other certificates */
    bool no_tickets;          /* neither session tickets nor a session cache */
    bool no_access_log;       /* for runs of very many requests */
    const char *http_extra;   /* lines for the http block, or NULL */
    const char *server_extra; /* lines for every server block, or NULL */
};

/* Starts nginx and waits until it answers; opts may be NULL.  NULL if it cannot; its log is printed. */
struct sup_nginx *sup_nginx_start(const struct sup_nginx_opts *opts);

/* Stops it, removes its directory and frees n.  NULL is allowed.  Returns false if nginx did not end
 * cleanly. */
bool sup_nginx_stop(struct sup_nginx *n);

/* The port, 0 if that listener does not exist. */
uint16_t sup_nginx_port(const struct sup_nginx *n, enum sup_nginx_port which);

/* "http://127.0.0.1:PORT" or "https://127.0.0.1:PORT" ("[::1]" for the IPv6 ports) of a listener, to put
 * a path behind.  Lives as long as n. */
const char *sup_nginx_base(const struct sup_nginx *n, enum sup_nginx_port which);

/* The same with "localhost" as the host. */
const char *sup_nginx_base_name(const struct sup_nginx *n, enum sup_nginx_port which);

pid_t sup_nginx_pid(const struct sup_nginx *n);

/* Counts since the start, without those that this library's own questions caused. */
struct sup_nginx_stats {
    uint64_t connections; /* accepted */
    uint64_t requests;    /* a TLS handshake that fails makes none */
    uint64_t active;      /* connections open now, ... */
    uint64_t waiting;     /* ... and those of them idle between requests */
};
bool sup_nginx_stats(struct sup_nginx *n, struct sup_nginx_stats *stats);

/* Waits until so many connections are open now (0: all are closed). */
bool sup_nginx_wait_active(struct sup_nginx *n, uint64_t active, int timeout_ms);

/* One line a request, written after the answer was sent, so wait for it with sup_file_wait():
 * "PORT CONNECTION-NUMBER REQUEST-OF-CONNECTION METHOD URI PROTOCOL STATUS BODY-BYTES TLS-PROTOCOL\n". */
const char *sup_nginx_access_log(const struct sup_nginx *n);

/* Level "info": why a handshake failed, which connections a client closed. */
const char *sup_nginx_error_log(const struct sup_nginx *n);

#endif
