/* SPDX-License-Identifier: MIT */
/* http/client.h: what the client's files share: the client itself and a response under way.
 *
 * A request passes through them in this order: send.c (hops, retries) takes a lease of the pool, dials if it has no
 * connection, and runs an exchange; response.c then has the connection until the body's end, and gives it back. */
#ifndef THR_HTTP_CLIENT_H
#define THR_HTTP_CLIENT_H

#include <thrum/http.h>
#include <thrum/url.h>

#include "exec/atomic.h"
#include "http/body.h"
#include "http/conn.h"
#include "http/decode.h"
#include "http/dial.h"
#include "http/exchange.h"
#include "http/outgoing.h"
#include "http/phase.h"
#include "http/pool.h"

/* Never changes after it was made, but for the pool, the buffers and the counters. */
struct thrum_http_client {
    struct thr_dialer dialer;
    struct thr_outgoing_opts outgoing;
    struct thr_pool pool;
    struct thr_buffers buffers;
    bool own_resolver;
    thrum_http_override *overrides; /* the copy that dialer uses; hosts too */
    char *user_agent;               /* the copy that outgoing uses */
    uint64_t idle_timeout_ns;
    uint32_t header_bytes_max;
    uint64_t body_bytes_max; /* UINT64_MAX: no limit */
    unsigned ratio_max;
    unsigned redirects_max;
    bool no_redirects;
    bool plain_redirects;

    /* Counters; each is right by itself. */
    thr_au64 opened, reused, handshakes, resumed, requests, retries;
};

/* Owned by one task, from thrum_http_send() to the close. */
struct thrum_http_response {
    thrum_http_client *client;
    thrum_http_info *info; /* the caller's or own_info */
    thrum_http_info own_info;
    thrum_url *url;
    char *url_text; /* with the fragment; what thrum_http_url() gives */
    char where[THR_WHERE_BYTES];
    struct thr_pool_lease lease; /* empty once the connection is given back */
    uint64_t keep_ns;            /* how long it may be kept; 0: it is closed */
    struct thr_head head;
    struct thr_body_plan plan;
    struct thr_body body;
    struct thr_decode *decode; /* NULL: the body is passed on as it comes */
    struct thr_text
        encoded;  /* in the connection's buffer: taken off the framing, not decoded yet */
    bool pending; /* the decoder may hold output back */
    bool done;    /* the body has been read to its end */
    int error;    /* sticky: what ended the body early */
};

static inline struct thr_conn *thr_response_conn(const thrum_http_response *r)
{
    return thr_conn_of(r->lease.node);
}

/* Prepares reading the body of the response whose head has arrived, on the leased connection. unsent: the request was not
 * sent to its end, so the connection cannot be kept.
 * Returns: 0, THRUM_EHTTP_PROTOCOL, THRUM_EHTTP_ENCODING, -ENOMEM. Context: task. May suspend. */
THRUM_MUST_CHECK int thr_response_begin(thrum_http_response *r, const struct thr_outgoing *request,
                                        bool unsent);

/* Reads what little is left of the body, gives the connection back or closes it, and forgets the response, all but URL
 * and info: another hop may follow. Context: task. May suspend briefly. */
void thr_response_end(thrum_http_response *r);

#endif
