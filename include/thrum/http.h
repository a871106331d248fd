/* SPDX-License-Identifier: MIT */
/* An HTTP/1.1 client with keep-alive, redirects, TLS and decompression (RFC 9110, RFC 9112). */
#ifndef THRUM_HTTP_H
#define THRUM_HTTP_H

#include <thrum/addr.h>
#include <thrum/common.h>
#include <thrum/dns.h>
#include <thrum/tls.h>

THRUM_BEGIN_DECLS

typedef struct thrum_http_client thrum_http_client;
typedef struct thrum_http_response thrum_http_response;

/* Sends connections for host:port to addr instead of asking the resolver. */
typedef struct thrum_http_override {
    const char *host;
    uint16_t port;
    thrum_addr addr;
} thrum_http_override;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_http_client_opts {
    thrum_tls_config *tls;    /* NULL: a default one. Borrowed references are counted up */
    thrum_resolver *resolver; /* NULL: one of its own */
    const thrum_http_override *overrides; /* NULL: none */
    size_t overrides_n;
    unsigned per_host_max;    /* 0: no limit on the connections to one host and port */
    unsigned total_max;       /* 0: no limit on the connections in all */
    unsigned idle_max;        /* 0: 1,024 idle connections kept for reuse */
    uint64_t idle_timeout_ns; /* 0: 15 s; an idle connection older than that is not used again */
    uint64_t
        connect_timeout_ns; /* 0: 30 s for resolving, connecting and the TLS handshake together */
    uint64_t header_bytes_max; /* 0: 64 KiB of response header */
    uint64_t body_bytes_max;   /* 0: no limit on a body, as sent and as decoded */
    unsigned ratio_max; /* 0: 1,000: decoded bytes for each byte received, after the first MiB */
    unsigned redirects_max; /* 0: 10; see no_redirects */
    bool no_redirects;      /* false: 301, 302, 303, 307 and 308 are followed */
    bool no_decode;         /* false: gzip and deflate are asked for and decoded */
    bool no_keepalive;      /* false: connections are kept and used again */
    const char *user_agent; /* NULL: "thrum/VERSION"; "": none is sent */
    bool
        plain_redirects; /* false: a redirect from https to http is refused: THRUM_EHTTP_REDIRECT_BAD */
} thrum_http_client_opts;

/* Makes a client. It may be used by all tasks of the runtime at once.
 *
 * Owns:    *out is the caller's, ended with thrum_http_client_free(); opts is copied.
 * Returns: 0, -ENOMEM, THRUM_EDNS_CONFIG, THRUM_ETLS_CONFIG, THRUM_ENOTTASK; *out is then NULL.
 * Context: task. */
THRUM_API THRUM_MUST_CHECK int thrum_http_client_new(thrum_http_client **out,
                                                     const thrum_http_client_opts *opts);

/* Closes its idle connections and frees the client. No request may be under way and every response must be closed.
 * NULL is allowed. Owns: takes c. Context: task. May suspend. */
THRUM_API void thrum_http_client_free(thrum_http_client *c);

typedef struct thrum_http_header {
    const char *name, *value;
} thrum_http_header;

/* A request beyond its URL. Zero is the default of every field; NULL in place of the struct means a plain GET.
 *
 * User-Agent, Accept, Accept-Encoding and, from the user and password of the URL, Authorization (Basic, RFC 7617) are
 * added unless they are given. Whoever gives Accept-Encoding or Range gets the body as it is sent, not decoded. */
typedef struct thrum_http_request {
    const char *method; /* NULL: GET, or POST if there is a body */
    const thrum_http_header
        *headers; /* sent in this order and case; one replaces a header thrum would add itself */
    size_t headers_n;
    const void *body; /* NULL: none. Borrowed until the response's header is in */
    size_t body_bytes;
} thrum_http_request;

/* Where a request failed, or how far it got. */
typedef enum thrum_http_phase {
    THRUM_HTTP_PHASE_REQUEST, /* the URL or request itself */
    THRUM_HTTP_PHASE_POOL,    /* waiting for a connection that the limits allow */
    THRUM_HTTP_PHASE_DNS,
    THRUM_HTTP_PHASE_CONNECT,
    THRUM_HTTP_PHASE_TLS,
    THRUM_HTTP_PHASE_SEND,
    THRUM_HTTP_PHASE_HEADER, /* waiting for the response's header */
    THRUM_HTTP_PHASE_BODY,
    THRUM_HTTP_PHASE_REDIRECT,
    THRUM_HTTP_PHASE_DONE
} thrum_http_phase;

/* A phase's name: "dns", "connect", ... Context: any thread. */
THRUM_API const char *thrum_http_phase_name(thrum_http_phase phase);

/* Durations in nanoseconds of the last hop's phases, each from the end of the one before; 0 where a phase did not take
 * place (a reused connection has no dns, connect and tls). */
typedef struct thrum_http_timing {
    uint64_t started; /* thrum_now() when the first hop began */
    uint64_t pool_ns; /* waiting for the limits */
    uint64_t dns_ns;
    uint64_t connect_ns;
    uint64_t tls_ns;
    uint64_t first_byte_ns; /* from the request's first byte sent to the response's first byte */
    uint64_t
        total_ns; /* from started to the end of the body, over all hops; set when the body has been read */
} thrum_http_timing;

/* What is known of an exchange, whether it succeeded or not. Filled in by thrum_http_send() and reading the body. */
typedef struct thrum_http_info {
    thrum_http_phase phase; /* where it failed, or DONE */
    char detail[160];       /* a sentence about the failure, or "" */
    char tls_version[16];   /* "" without TLS */
    char tls_cipher[64];
    thrum_addr remote; /* family AF_UNSPEC if no connection was made */
    unsigned hops;     /* redirects followed */
    bool reused;       /* the connection had served a request before */
    bool tls_resumed;
    uint64_t wire_bytes; /* of the body as received, before decoding */
    uint64_t body_bytes; /* of the body as decoded */
    thrum_http_timing timing;
} thrum_http_info;

/* Sends a request and waits for the response's header; redirects are followed.
 *
 * Authorization, Cookie and Proxy-Authorization are dropped where a redirect leads to another origin. If the server
 * answers before it has got the whole body, a status of 300 and above ends the sending.
 *
 * A request on a kept connection that the server closed meanwhile is sent once more on a fresh one if its method is
 * idempotent (RFC 9110 section 9.2.2) or nothing of it was sent; other methods get THRUM_EHTTP_LOST, and so does a
 * request on a fresh connection that the server closes without a word. The method CONNECT is refused.
 *
 * Owns:    *out is the caller's, ended with thrum_http_response_close(). url and request are borrowed; info (NULL:
 *          none) is filled in on success and on failure, and must live until the response is closed.
 * Returns: 0 for any status; THRUM_EHTTP_*, THRUM_EDNS_*, THRUM_ETLS_*, what connect or the stream reported,
 *          -ETIMEDOUT, -ECANCELED, -ENOMEM; *out is then NULL.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_http_send(thrum_http_client *c, const char *url,
                                               const thrum_http_request *request,
                                               thrum_http_response **out, thrum_http_info *info);

/* As thrum_http_send() for a plain GET. */
THRUM_API THRUM_MUST_CHECK int thrum_http_get(thrum_http_client *c, const char *url,
                                              thrum_http_info *info, thrum_http_response **out);

/* A response belongs to one task at a time.
 *
 * Facts of the response. Owns: strings live until the close. Context: task. Does not suspend. */
THRUM_API int thrum_http_status(const thrum_http_response *r);
THRUM_API const char *thrum_http_reason(const thrum_http_response *r);
THRUM_API const char *thrum_http_version(const thrum_http_response *r); /* "1.1" or "1.0" */
THRUM_API const char *
thrum_http_url(const thrum_http_response *r); /* after redirects; without user and password */

/* The value of the first header of that name (case-insensitive), or NULL; and the headers by index, in order. */
THRUM_API const char *thrum_http_header_get(const thrum_http_response *r, const char *name);
THRUM_API size_t thrum_http_headers_n(const thrum_http_response *r);
THRUM_API thrum_http_header thrum_http_header_at(const thrum_http_response *r, size_t index);

/* Reads at least one and at most len bytes of the decoded body.
 *
 * Returns: the count; 0 at its end; THRUM_EHTTP_TRUNCATED, _BODY_LIMIT, _ENCODING, _BOMB, _PROTOCOL; a stream
 *          error, -ETIMEDOUT, -ECANCELED (read on later if you like).
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_http_read(thrum_http_response *r, void *buf, size_t len);

/* Reads the whole rest of the body into a buffer of malloc(), with a NUL behind it.
 *
 * Owns:    *body is the caller's, for free(); NULL on failure.
 * Returns: 0, -ENOMEM, or as thrum_http_read(). Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_http_read_all(thrum_http_response *r, void **body,
                                                   size_t *body_bytes);

/* Ends the response. A body that was read to its end leaves the connection for reuse; else it is closed, unless the
 * rest is small and here already. NULL is allowed. Owns: takes r. Context: task. May suspend briefly. */
THRUM_API void thrum_http_response_close(thrum_http_response *r);

/* Counters of the client since it was made. Context: task. Does not suspend. */
typedef struct thrum_http_stats {
    uint64_t connections_opened, connections_reused, connections_idle, handshakes,
        handshakes_resumed, requests, retries;
} thrum_http_stats;
THRUM_API void thrum_http_client_stats(thrum_http_client *c, thrum_http_stats *out);

THRUM_END_DECLS

#endif
