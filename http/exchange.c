/* SPDX-License-Identifier: MIT */
/* Sending a request and reading the head of its response. */
#include "http/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>
#include <thrum/stream.h>

#include "http/phase.h"

/* Bodies up to this are sent without a second task: socket buffers hold that much whether or not the peer reads. */
#define SENT_BLINDLY_MAX 65536

/* How much of a response's body is taken in while the request's is still being sent. */
#define ABSORBED_MAX (1u << 20)

/* How long a server that broke off our sending is given to say why. */
#define LAST_WORD_NS THRUM_SECOND

void thr_head_fini(struct thr_head *head)
{
    thr_headers_fini(&head->fields);
    free(head->reason);
    memset(head, 0, sizeof(*head));
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* A line may be as long as a quarter of the header, at least 16 KiB: who allows large headers means large cookies. */
static struct thr_head_limits limits_of(const struct thr_exchange *x)
{
    uint32_t line = x->header_bytes_max / 4;
    if (line < THR_HEAD_LINE_BYTES_DEFAULT)
        line = THR_HEAD_LINE_BYTES_DEFAULT;
    if (line > x->header_bytes_max)
        line = x->header_bytes_max;
    return (struct thr_head_limits){.bytes_max = x->header_bytes_max, .line_bytes_max = line};
}

static int keep_head(struct thr_exchange *x, const struct thr_response *r)
{
    struct thr_head *head = x->head;
    const struct thr_head_limits limits = limits_of(x);
    thr_headers_init(&head->fields, &limits);
    head->status = r->status;
    head->minor = r->minor;
    head->reason = strndup(r->reason.ptr ? r->reason.ptr : "", r->reason.len);
    if (!head->reason)
        return -ENOMEM;
    return thr_headers_add_all(&head->fields, r->fields);
}

/* Parses what is buffered; interim responses are dropped. Returns: 0 at the end of the head, -EAGAIN, or an error. */
static int parse_buffered(struct thr_exchange *x)
{
    struct thr_conn *conn = x->conn;
    while (conn->buf) {
        struct thr_response r;
        const char *from = conn->buf + conn->start;
        ssize_t n = thr_parse_response(&x->parse, from, thr_conn_buffered(conn), &r);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        bool interim = thr_response_is_interim(&r);
        int err = interim ? thr_parse_next(&x->parse) : keep_head(x, &r);
        conn->start += (size_t)n;
        if (err || !interim)
            return err;
    }
    return -EAGAIN;
}

static void note_first_byte(struct thr_exchange *x)
{
    if (!x->answered)
        x->info->timing.first_byte_ns = thrum_now() - x->sent_at;
    x->answered = true;
}

/* Returns the code for a stream that ended, or failed with err, within the head. */
static int tell_stream_failed(struct thr_exchange *x, int err)
{
    bool ended = err == 0 || err == THRUM_ETLS_TRUNCATED;
    if (!ended)
        thr_info_detail(x->info, "reading the response from %s: %s", x->where, thrum_strerror(err));
    else if (x->answered)
        thr_info_detail(x->info, "%s closed the connection within the response's header", x->where);
    else
        thr_info_detail(x->info, "%s closed the connection without an answer", x->where);
    if (!ended)
        return err;
    return x->answered ? THRUM_EHTTP_TRUNCATED : THRUM_EHTTP_LOST;
}

static void tell_bad_head(struct thr_exchange *x, int err)
{
    const struct thr_conn *conn = x->conn;
    if (err == THRUM_EHTTP_HEADER_LIMIT)
        thr_info_detail(x->info,
                        "the response's header from %s is beyond the limits (%u bytes, %u fields)",
                        x->where, (unsigned)x->header_bytes_max, THR_HEAD_FIELDS_DEFAULT);
    else if (err == THRUM_EHTTP_PROTOCOL)
        thr_info_detail(x->info, "%s answers, but not in HTTP/1.1: \"%.*s\"", x->where,
                        (int)(thr_conn_buffered(conn) < 32 ? thr_conn_buffered(conn) : 32),
                        conn->buf + conn->start);
    else
        thr_info_detail(x->info, "the response from %s: %s", x->where, thrum_strerror(err));
}

/* Reads until the head of the final response is complete. May be called again after a cancel. */
static int read_head(struct thr_exchange *x)
{
    for (;;) {
        int err = parse_buffered(x);
        if (err == 0) {
            x->complete = true;
            return 0;
        }
        if (err != -EAGAIN) {
            tell_bad_head(x, err);
            return err;
        }
        ssize_t n = thr_conn_fill(x->conn, (size_t)x->header_bytes_max + 1);
        if (n == -ENOBUFS) {
            tell_bad_head(x, THRUM_EHTTP_HEADER_LIMIT);
            return THRUM_EHTTP_HEADER_LIMIT;
        }
        if (n <= 0)
            return tell_stream_failed(x, (int)n);
        note_first_byte(x);
    }
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static int write_all(struct thr_exchange *x)
{
    char *head = (char *)(uintptr_t)x->request; /* an iovec has no const, and nobody writes here */
    char *body = (char *)(uintptr_t)x->body;
    const struct iovec iov[2] = {{head, x->request_bytes}, {body, x->body_bytes}};
    return thrum_stream_writev(x->conn->stream, iov, x->body_bytes ? 2 : 1, &x->sent_bytes);
}

/* Takes in what comes of the response's body while the request's is being sent.
 * Returns: true if that is too much to go on. */
static bool absorb(struct thr_exchange *x)
{
    ssize_t n;
    do {
        n = thr_conn_fill(x->conn, ABSORBED_MAX);
    } while (n > 0);
    return n == -ENOBUFS; /* otherwise the stream has ended, or the sender is through and cancels */
}

/* The second task beside a large body. Ends the sending if there is no use in it. */
static int watch(void *arg)
{
    struct thr_exchange *x = arg;
    x->watch_err = read_head(x);
    bool success = !x->watch_err && x->head->status < 300;
    if (!success || absorb(x))
        thrum_scope_cancel(&x->scope);
    return 0;
}

/* Sends while another task reads. */
static int send_watched(struct thr_exchange *x)
{
    thrum_scope_open(&x->scope, &(thrum_scope_opts){.keep_going = true});
    int err = thrum_scope_spawn(&x->scope, watch, x);
    if (!err)
        err = write_all(x);
    thrum_scope_cancel(&x->scope); /* the reader stops where it is, and loses nothing */
    (void)thrum_scope_close(&x->scope);
    if (x->watch_err == -ECANCELED)
        x->watch_err = 0; /* stopped by us; if it was not, the next read says so again */
    return x->watch_err && !x->complete ? x->watch_err : err;
}

/* The server has broken off the sending with err: it may have said why before. */
static int read_last_word(struct thr_exchange *x, int err)
{
    thrum_timeout limit;
    thrum_timeout_begin(&limit, LAST_WORD_NS);
    int read_err = x->watch_err ? x->watch_err : read_head(x);
    thrum_timeout_end(&limit);
    if (x->complete || (x->answered && !thr_is_our_own(read_err)))
        return read_err;
    x->info->phase = THRUM_HTTP_PHASE_SEND;
    thr_info_detail(x->info, "sending the request to %s: %s", x->where, thrum_strerror(err));
    return err;
}

int thr_exchange_run(struct thr_exchange *x)
{
    const struct thr_parse_opts opts = {.limits = limits_of(x)};
    thr_parse_init(&x->parse, x->fields, sizeof(x->fields) / sizeof(x->fields[0]), &opts);
    x->info->phase = THRUM_HTTP_PHASE_SEND;
    x->sent_at = thrum_now();
    int err = x->body_bytes > SENT_BLINDLY_MAX ? send_watched(x) : write_all(x);
    if (x->complete) {
        x->unsent = err != 0;
        if (x->unsent && x->head->status < 300)
            (void)thrum_tcp_shutdown(
                x->conn->tcp); /* the server still waits for the rest of the body */
        return 0;
    }
    if (err && thr_is_our_own(err)) {
        thr_info_detail(x->info, "sending the request to %s: %s", x->where, thrum_strerror(err));
        return err;
    }
    x->info->phase = THRUM_HTTP_PHASE_HEADER;
    if (!err)
        return read_head(x);
    err = read_last_word(x, err);
    x->unsent = true;
    return err;
}
