/* SPDX-License-Identifier: MIT */
/* http/exchange.h: one request and the head of its response, on one connection.
 *
 * A small body goes out with the head in one write. Beside a large one a second task reads: a server may answer, and
 * stop reading, before it has got everything (RFC 9112, 9.5). What it says then decides: a failure or
 * redirect ends the sending; a success does not, and what comes of its body meanwhile is kept, up to a limit, so that
 * a server which answers while it reads cannot be blocked by a client that sends while it does not. */
#ifndef THR_HTTP_EXCHANGE_H
#define THR_HTTP_EXCHANGE_H

#include <thrum/http.h>
#include <thrum/task.h>

#include "http/conn.h"
#include "http/header.h"
#include "http/parse.h"

/* A response's head, copied off the connection's buffer. Zero-initialise. */
struct thr_head {
    int status;
    int minor; /* of HTTP/1.x */
    char *reason;
    struct thr_headers fields;
};

/* Accepts a zeroed head, and leaves one. */
void thr_head_fini(struct thr_head *head);

struct thr_exchange {
    /* Set by the caller. */
    struct thr_conn *conn;
    const char *request; /* its head */
    size_t request_bytes;
    const void *body; /* NULL: none */
    size_t body_bytes;
    uint32_t header_bytes_max;
    const char *where; /* "host:port", for sentences */
    thrum_http_info *info;
    struct thr_head *head; /* filled in */

    /* Results, valid after a failure too. */
    size_t sent_bytes; /* accepted by the connection */
    bool answered;     /* some byte of a response came */
    bool
        unsent; /* the answer came before the request was sent: the connection must not be used again */

    /* Private. */
    bool complete;
    int watch_err;
    uint64_t sent_at;
    thrum_scope scope;
    struct thr_parse parse;
    struct thr_field fields[THR_HEAD_FIELDS_DEFAULT];
};

/* Sends the request and reads the head of the final response. What follows the head is in the connection's buffer.
 *
 * info gets the phase reached and, on failure, the sentence.
 *
 * Returns: 0; THRUM_EHTTP_LOST (ended before any byte of an answer), THRUM_EHTTP_TRUNCATED, _PROTOCOL, _HEADER_LIMIT;
 *          a stream error, -ETIMEDOUT, -ECANCELED, -ENOMEM.
 * Context: task. Suspends. */
THRUM_MUST_CHECK int thr_exchange_run(struct thr_exchange *x);

#endif
