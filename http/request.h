/* SPDX-License-Identifier: MIT */
/* http/request.h: writes the head of a request (RFC 9112, 3) and lets nothing be smuggled into it.
 *
 * The caller's fields go out in their order and case, byte for byte.  Host comes first unless the
 * caller has placed it; Content-Length or Transfer-Encoding is added last where the body needs it. */
#ifndef THR_HTTP_REQUEST_H
#define THR_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/common.h>

#include "http/header.h"

enum thr_request_body {
    THR_REQUEST_BODY_NONE,    /* no body: no framing field, and the caller may give none */
    THR_REQUEST_BODY_LENGTH,  /* body_len bytes follow, also 0 of them */
    THR_REQUEST_BODY_CHUNKED, /* chunks follow */
};

struct thr_request {
    const char *method;       /* a token, sent as it is written */
    const char *target;       /* origin form usually: thrum_url_target() */
    const char *authority;    /* the Host field: thrum_url_authority() */
    struct thr_fields fields; /* the caller's own */
    enum thr_request_body body;
    uint64_t body_len; /* LENGTH only */
};

/* Writes the head of r into the cap bytes at buf, with nothing behind it (no NUL).
 *
 * Returns: the bytes of the head; if that is more than cap, buf is garbage and the call is to be repeated
 *          with that much room (buf may be NULL with cap 0 to ask).  THRUM_EHTTP_REQUEST for a method, target, host or
 *          field that is not allowed on the wire, two Host fields, or framing fields that contradict
 *          body. */
THRUM_MUST_CHECK ssize_t thr_request_write(const struct thr_request *r, char *buf, size_t cap);

/* True for the methods that may be sent again when a connection died under them (RFC 9110, 9.2.2):
 * GET HEAD OPTIONS TRACE PUT DELETE. */
bool thr_request_is_idempotent(const char *method);

#endif
