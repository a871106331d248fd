/* SPDX-License-Identifier: MIT */
/* http/outgoing.h: a request as the client sends it: the caller's fields, those the client adds, what redirects leave.
 *
 * Made once a call; each redirect changes it, and never puts anything back that was dropped. */
#ifndef THR_HTTP_OUTGOING_H
#define THR_HTTP_OUTGOING_H

#include <thrum/http.h>
#include <thrum/url.h>

#include "http/header.h"
#include "http/redirect.h"

struct thr_outgoing {
    const char *method;
    struct thr_headers
        fields;       /* all but Host, unless the caller gave it, and the framing of the body */
    const void *body; /* borrowed; NULL: none */
    size_t body_bytes;
    bool has_body;        /* also one of no bytes: Content-Length: 0 */
    bool decode;          /* the body that comes back is to be decoded */
    bool close;           /* the connection is not to be kept */
    bool url_credentials; /* Authorization was made from the URL's user and password */
};

/* What the client adds by itself. */
struct thr_outgoing_opts {
    const char *user_agent; /* "": none */
    bool no_decode;
    bool no_keepalive;
};

/* Makes the request for url; request may be NULL.
 *
 * Owns:    out is ended with thr_outgoing_fini(), also after a failure; body and method are borrowed from request.
 * Returns: 0; THRUM_EHTTP_REQUEST (a field that cannot be sent, the method CONNECT), THRUM_EHTTP_HEADER_LIMIT,
 *          -ENOMEM. */
THRUM_MUST_CHECK int thr_outgoing_init(struct thr_outgoing *out, const thrum_http_request *request,
                                       const thrum_url *url, const struct thr_outgoing_opts *opts);
void thr_outgoing_fini(struct thr_outgoing *out);

/* Changes the request as the redirect wants it.
 * Returns: 0 or -ENOMEM. */
THRUM_MUST_CHECK int thr_outgoing_redirect(struct thr_outgoing *out, const struct thr_redirect *to);

/* Writes the head for url into *head, of malloc().
 * Returns: its length; THRUM_EHTTP_REQUEST, -ENOMEM: *head is then NULL. */
THRUM_MUST_CHECK ssize_t thr_outgoing_head(const struct thr_outgoing *out, const thrum_url *url,
                                           char **head);

#endif
