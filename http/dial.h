/* SPDX-License-Identifier: MIT */
/* http/dial.h: opens a connection for a URL: overrides, resolver, the addresses one after the other, TLS. */
#ifndef THR_HTTP_DIAL_H
#define THR_HTTP_DIAL_H

#include <thrum/http.h>
#include <thrum/url.h>

#include "http/conn.h"

struct thr_dialer {
    thrum_resolver *resolver;
    thrum_tls_config *tls;
    const thrum_http_override *overrides; /* hosts in lower case */
    size_t overrides_n;
    uint64_t timeout_ns; /* for all of it */
    struct thr_buffers *buffers;
};

/* Connects to the URL's host and port, and does the TLS handshake if its scheme asks for it. info gets the phase reached,
 * the timings, the peer, facts of TLS; and on failure the sentence that says what was tried.
 *
 * Each address gets an even share of the time that is left, so that one which does not answer leaves some for
 * the next.
 *
 * Owns:    *out is the caller's, ended with thr_conn_close().
 * Returns: 0; THRUM_EDNS_*, THRUM_ETLS_*, what the last connect(2) reported, -ETIMEDOUT, -ECANCELED, -ENOMEM.
 * Context: task. Suspends. */
THRUM_MUST_CHECK int thr_dial(struct thr_conn **out, const struct thr_dialer *dialer,
                              const thrum_url *url, thrum_http_info *info);

#endif
