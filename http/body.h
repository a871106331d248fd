/* SPDX-License-Identifier: MIT */
/* http/body.h: where a response body ends (RFC 9112, 6 and 7), and whether its connection lives on.
 *
 * Two steps: thr_body_plan() decides from method, status and fields how the body is framed; a thr_body
 * then strips that framing off the bytes as they come, in place, in whatever pieces.
 *
 * What makes a connection unfit for another request is part of the plan, since the same fields say it:
 * Connection: close, HTTP/1.0 without keep-alive, a body that ends with the connection, and
 * Transfer-Encoding beside Content-Length, which is what smuggled responses look like. */
#ifndef THR_HTTP_BODY_H
#define THR_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <thrum/common.h>

#include "http/header.h"
#include "http/parse.h"

enum thr_body_kind {
    THR_BODY_NONE,    /* HEAD, 1xx, 204, 304, 2xx to CONNECT */
    THR_BODY_LENGTH,  /* plan.length bytes */
    THR_BODY_CHUNKED, /* up to the last chunk and the trailers */
    THR_BODY_CLOSE,   /* up to the end of the stream */
};

struct thr_body_plan {
    enum thr_body_kind kind;
    uint64_t length;         /* LENGTH only */
    bool reusable;           /* the connection may carry another request after this body */
    bool has_idle_timeout;   /* the server said Keep-Alive: timeout=... */
    uint32_t idle_timeout_s; /* what it said, at most 1 day; 0 means it will close at once */
};

/* Decides how the body of r, the final response to a request with this method, is framed.
 * Of Transfer-Encoding only chunked is known, since the client asks for no other; it is obeyed in
 * HTTP/1.0 too, and then the connection is not used again (RFC 9112, 6.1).
 * Returns: 0; THRUM_EHTTP_PROTOCOL for lengths that differ or are no numbers and for chunked twice;
 *          THRUM_EHTTP_ENCODING for another transfer coding. */
THRUM_MUST_CHECK int thr_body_plan(struct thr_body_plan *out, const char *method,
                                   const struct thr_response *r);

/* Zero is the default of every field. */
struct thr_body_opts {
    uint64_t bytes_max;           /* no limit: body bytes without their framing */
    uint32_t extension_bytes_max; /* 16 KiB: all chunk extensions of a body together */
    uint32_t trailer_bytes_max;   /* 16 KiB */
    struct thr_headers *trailers; /* NULL: trailers are checked and dropped; else added here */
};

struct thr_body_tail;

struct thr_body {
    enum thr_body_kind kind;
    uint8_t state;    /* of the chunk decoder, private to body.c */
    uint8_t digits_n; /* of the chunk size being read */
    bool done;        /* the body is complete */
    int error;        /* sticky */
    uint64_t left;    /* LENGTH: of the body; CHUNKED: of the chunk */
    uint64_t bytes;   /* body bytes given out so far */
    uint64_t bytes_max;
    uint32_t extension_left;
    uint32_t trailer_bytes_max;
    struct thr_headers *trailers;
    struct thr_body_tail *tail; /* the trailers being collected; NULL unless there are any */
};

/* Prepares b for a body framed like plan.  A body without bytes is done at once.
 * opts may be NULL. */
void thr_body_init(struct thr_body *b, const struct thr_body_plan *plan,
                   const struct thr_body_opts *opts);

/* Accepts a zeroed body. */
void thr_body_fini(struct thr_body *b);

/* Takes framing and at most one run of body bytes off the front of the n bytes at in.
 *
 * *used is how many bytes were taken, *data the body bytes among them (in place, a part of in; len 0 if
 * there were none).  Call again with the rest until *used is n or b->done; what is behind the body
 * is never taken.  Where it fails *used means nothing.
 *
 * Returns: 0; THRUM_EHTTP_PROTOCOL for broken chunks and trailers, THRUM_EHTTP_BODY_LIMIT (bytes_max or
 *          the extensions), THRUM_EHTTP_HEADER_LIMIT and -ENOMEM (trailers); sticky.  Body bytes in front
 *          of an error are given out first. */
THRUM_MUST_CHECK int thr_body_feed(struct thr_body *b, const char *in, size_t n, size_t *used,
                                   struct thr_text *data);

/* Says that the stream has ended: completes a body that ends with it.
 * Returns: 0 if b is now done, THRUM_EHTTP_TRUNCATED if bytes are missing, or the earlier error. */
THRUM_MUST_CHECK int thr_body_end(struct thr_body *b);

/* True with the number of bytes still to come, framing included, where it is known: a body by length
 * (to decide between draining and closing; to read straight into the caller's memory). */
bool thr_body_known_left(const struct thr_body *b, uint64_t *left);

#endif
