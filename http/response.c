/* SPDX-License-Identifier: MIT */
/* A response: its facts, and reading its body.
 *
 * The bytes take this way: connection's buffer -> framing taken off in place (body.c) -> decoder (decode.c), if any ->
 * the caller's memory. Without a decoder large reads of a body whose length is known go straight from the stream into
 * the caller's memory. The connection is given back as soon as the last byte of the body has left its buffer,
 * whether or not the response is closed then. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>
#include <thrum/stream.h>
#include <thrum/task.h>

#include "exec/running.h"
#include "exec/util.h"
#include "exec/wait.h"
#include "http/client.h"

/* A body of which no more is left than this is read to its end when the response is closed early, if that takes no longer
 * than that: cheaper than a new connection. */
#define DRAIN_BYTES_MAX 65536
#define DRAIN_NS (50 * THRUM_MILLISECOND)

/* Reads smaller than this go through the connection's buffer, others straight into the caller's memory. */
#define DIRECT_BYTES_MIN 4096

/* ---- Facts ------------------------------------------------------------------------------------------------------ */

int thrum_http_status(const thrum_http_response *r)
{
    return r->head.status;
}

const char *thrum_http_reason(const thrum_http_response *r)
{
    return r->head.reason;
}

const char *thrum_http_version(const thrum_http_response *r)
{
    return r->head.minor == 0 ? "1.0" : "1.1";
}

const char *thrum_http_url(const thrum_http_response *r)
{
    return r->url_text;
}

const char *thrum_http_header_get(const thrum_http_response *r, const char *name)
{
    struct thr_text value;
    return thr_fields_get(thr_headers_view(&r->head.fields), name, &value) ? value.ptr : NULL;
}

size_t thrum_http_headers_n(const thrum_http_response *r)
{
    return r->head.fields.n;
}

thrum_http_header thrum_http_header_at(const thrum_http_response *r, size_t index)
{
    THR_ASSERT(index < r->head.fields.n);
    struct thr_fields fields = thr_headers_view(&r->head.fields);
    return (thrum_http_header){thr_fields_name(fields, index).ptr,
                               thr_fields_value(fields, index).ptr};
}

/* ---- Begin and end ---------------------------------------------------------------------------------------------- */

/* How long the connection may stay idle: as long as we like, but a second less than the server said it will wait, since
 * the request that takes it up again needs time to arrive. */
static uint64_t keep_time(const thrum_http_response *r, const struct thr_outgoing *request,
                          bool unsent)
{
    if (!r->plan.reusable || request->close || unsent || r->head.status == 101)
        return 0;
    uint64_t keep = r->client->idle_timeout_ns;
    if (r->plan.has_idle_timeout) {
        uint64_t server = r->plan.idle_timeout_s * THRUM_SECOND;
        server = server > THRUM_SECOND ? server - THRUM_SECOND : server / 2;
        keep = server < keep ? server : keep;
    }
    return keep;
}

/* Gives the connection back once nothing of the body is in it any more. */
static void release_if_through(thrum_http_response *r)
{
    if (!r->lease.origin || !r->body.done || r->encoded.len)
        return;
    struct thr_conn *conn = thr_response_conn(r);
    bool clean = thr_conn_buffered(conn) == 0; /* else the server sent more than its body */
    thr_conn_rest(conn);
    thr_pool_release(&r->client->pool, &r->lease, clean ? r->keep_ns : 0);
}

/* The body has been read to its end. */
static void set_done(thrum_http_response *r)
{
    r->done = true;
    r->info->phase = THRUM_HTTP_PHASE_DONE;
    r->info->detail[0] = '\0'; /* of a deadline that was got over */
    thr_info_end(r->info);
}

int thr_response_begin(thrum_http_response *r, const struct thr_outgoing *request, bool unsent)
{
    const struct thr_response head = {
        .status = (uint16_t)r->head.status,
        .minor = (uint8_t)r->head.minor,
        .reason = thr_text_of(r->head.reason),
        .fields = thr_headers_view(&r->head.fields),
    };
    const thrum_http_client *c = r->client;
    int err = thr_body_plan(&r->plan, request->method, &head);
    if (err)
        return err;
    const struct thr_body_opts body_opts = {
        .bytes_max = c->body_bytes_max == UINT64_MAX ? 0 : c->body_bytes_max};
    thr_body_init(&r->body, &r->plan, &body_opts);
    if (request->decode && !r->body.done) {
        const struct thr_decode_opts opts = {c->body_bytes_max, c->ratio_max};
        err = thr_decode_new(&r->decode, head.fields, &opts);
        if (err)
            return err;
    }
    r->keep_ns = keep_time(r, request, unsent);
    r->info->phase = THRUM_HTTP_PHASE_BODY;
    release_if_through(r);
    if (r->body.done && !r->decode)
        set_done(r);
    return 0;
}

/* True if the rest of the body is so little that reading it is cheaper than a new connection. */
static bool is_worth_draining(const thrum_http_response *r)
{
    uint64_t left = 0;
    if (!r->lease.origin || r->error || r->keep_ns == 0 || r->plan.kind == THR_BODY_CLOSE)
        return false;
    return !thr_body_known_left(&r->body, &left) || left <= DRAIN_BYTES_MAX;
}

/* Takes framed bytes off the connection and drops them: true when the body is through. */
static bool drain_some(thrum_http_response *r, size_t *budget)
{
    struct thr_conn *conn = thr_response_conn(r);
    if (thr_conn_buffered(conn) == 0 && thr_conn_fill(conn, THR_BUFFER_BYTES) <= 0)
        return true; /* it failed: release closes it, since the body is not done */
    size_t used = 0;
    struct thr_text data;
    int err =
        thr_body_feed(&r->body, conn->buf + conn->start, thr_conn_buffered(conn), &used, &data);
    if (err)
        return true;
    conn->start += used;
    *budget -= used < *budget ? used : *budget;
    return r->body.done || *budget == 0;
}

static void drain(thrum_http_response *r)
{
    size_t budget = DRAIN_BYTES_MAX;
    thrum_timeout limit;
    r->encoded.len = 0;
    thrum_timeout_begin(&limit, DRAIN_NS);
    while (!r->body.done && !drain_some(r, &budget))
        ;
    thrum_timeout_end(&limit);
}

void thr_response_end(thrum_http_response *r)
{
    if (is_worth_draining(r))
        drain(r);
    r->encoded.len = 0;
    release_if_through(r);
    thr_pool_release(&r->client->pool, &r->lease, 0); /* if it is still there */
    thr_body_fini(&r->body);
    thr_decode_free(r->decode);
    thr_head_fini(&r->head);
    r->decode = NULL;
    r->pending = false;
    r->done = false;
    r->error = 0;
    r->keep_ns = 0; /* the next hop's connection is kept only after its own answer */
    memset(&r->plan, 0, sizeof(r->plan));
    memset(&r->body, 0, sizeof(r->body));
}

void thrum_http_response_close(thrum_http_response *r)
{
    if (!r)
        return;
    thr_response_end(r);
    thrum_url_free(r->url);
    free(r->url_text);
    free(r);
}

/* ---- Reading the body ------------------------------------------------------------------------------------------- */

static void tell_body_failed(thrum_http_response *r, int err)
{
    if (err == THRUM_EHTTP_TRUNCATED && r->plan.kind == THR_BODY_LENGTH)
        thr_info_detail(r->info, "%s closed the connection after %llu of %llu bytes of the body",
                        r->where, (unsigned long long)r->body.bytes,
                        (unsigned long long)r->plan.length);
    else if (err == THRUM_EHTTP_BODY_LIMIT)
        thr_info_detail(r->info, "the body from %s is larger than %llu bytes", r->where,
                        (unsigned long long)r->client->body_bytes_max);
    else
        thr_info_detail(r->info, "the body from %s: %s, after %llu bytes", r->where,
                        thrum_strerror(err), (unsigned long long)r->body.bytes);
}

/* Ends the body with err: the connection is of no use any more. A deadline or cancel of the task, or a second reader,
 * leaves all as it is. */
static int set_failed(thrum_http_response *r, int err)
{
    tell_body_failed(r, err);
    thr_info_end(r->info);
    if (err == -ETIMEDOUT || err == -ECANCELED || err == -EBUSY)
        return err;
    r->error = err;
    r->encoded.len = 0;
    thr_pool_release(&r->client->pool, &r->lease, 0);
    return err;
}

/* The stream has ended or failed (n <= 0) where the body wanted more. 0 if that is how the body ends. */
static int stream_ended(thrum_http_response *r, ssize_t n)
{
    if (n == 0)
        return thr_body_end(&r->body);
    return n == THRUM_ETLS_TRUNCATED ? THRUM_EHTTP_TRUNCATED : (int)n;
}

/* Takes at most bytes_max off the connection's buffer, reading more into it if it is empty, and gives the body bytes among
 * them: none if they were framing only, or the body is done. */
static int next_buffered(thrum_http_response *r, size_t bytes_max, struct thr_text *data)
{
    struct thr_conn *conn = thr_response_conn(r);
    *data = (struct thr_text){NULL, 0};
    if (thr_conn_buffered(conn) == 0) {
        ssize_t n = thr_conn_fill(conn, THR_BUFFER_BYTES);
        if (n <= 0)
            return stream_ended(r, n);
    }
    size_t n = thr_conn_buffered(conn) < bytes_max ? thr_conn_buffered(conn) : bytes_max;
    size_t used = 0;
    int err = thr_body_feed(&r->body, conn->buf + conn->start, n, &used, data);
    if (!err)
        conn->start += used;
    return err;
}

/* Reads from the stream into the caller's memory, at most up to the end of a body by length. */
static ssize_t read_direct(thrum_http_response *r, char *buf, size_t len, uint64_t left)
{
    ssize_t n =
        thrum_stream_read(thr_response_conn(r)->stream, buf, len < left ? len : (size_t)left);
    if (n <= 0)
        return stream_ended(r, n);
    size_t used = 0;
    struct thr_text data;
    int err = thr_body_feed(&r->body, buf, (size_t)n, &used, &data);
    THR_DEBUG_ASSERT(err || (data.ptr == buf && data.len == (size_t)n));
    return err ? err : n;
}

/* True if the next read can go straight into len bytes of the caller's: nothing is buffered, the body has a length, and
 * no limit will cut it short. */
static bool can_read_direct(const thrum_http_response *r, size_t len, uint64_t *left)
{
    return len >= DIRECT_BYTES_MIN && thr_conn_buffered(thr_response_conn(r)) == 0 &&
           thr_body_known_left(&r->body, left) &&
           *left <= r->client->body_bytes_max - r->body.bytes;
}

static ssize_t read_plain(thrum_http_response *r, char *buf, size_t len)
{
    while (!r->body.done) {
        uint64_t left = 0;
        if (can_read_direct(r, len, &left))
            return read_direct(r, buf, len, left);
        struct thr_text data;
        int err = next_buffered(r, len, &data); /* never more bytes than len */
        if (err)
            return err;
        if (data.len) {
            memcpy(buf, data.ptr, data.len);
            return (ssize_t)data.len;
        }
    }
    return 0;
}

/* One step of the decoder: what it makes of the bytes at hand. */
static int decode_some(thrum_http_response *r, char *buf, size_t len, size_t *made)
{
    size_t used = 0;
    int err = thr_decode_feed(r->decode, r->encoded.ptr, r->encoded.len, &used, buf, len, made);
    r->encoded.ptr += used;
    r->encoded.len -= used;
    r->pending = *made == len;
    return err;
}

static ssize_t read_decoded(thrum_http_response *r, char *buf, size_t len)
{
    for (;;) {
        size_t made = 0;
        int err = 0;
        if (r->encoded.len || r->pending)
            err = decode_some(r, buf, len, &made);
        else if (r->body.done)
            return thr_decode_end(r->decode);
        else
            err = next_buffered(r, SIZE_MAX, &r->encoded);
        if (err)
            return err;
        if (made)
            return (ssize_t)made;
    }
}

ssize_t thrum_http_read(thrum_http_response *r, void *buf, size_t len)
{
    if (r->error || r->done || len == 0)
        return r->error;
    int err = thr_task_cancelled();
    if (err)
        return set_failed(r, err);
    if (len > SSIZE_MAX)
        len = SSIZE_MAX;

    ssize_t n = r->decode ? read_decoded(r, buf, len) : read_plain(r, buf, len);
    r->info->wire_bytes = r->body.bytes;
    if (n < 0)
        return set_failed(r, (int)n);
    r->info->body_bytes += (uint64_t)n;
    release_if_through(r);
    if (n == 0 || (r->body.done && !r->decode))
        set_done(r);
    else
        thr_task_spend(); /* decoding costs, and the next bytes may be here already */
    return n;
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

/* What to begin with: the body's length where it is known and believable, with a byte for the NUL. */
static size_t first_size(const thrum_http_response *r)
{
    uint64_t left = 0;
    if (r->decode || !thr_body_known_left(&r->body, &left))
        return 16384;
    return left < (1u << 20) ? (size_t)left + 1 : (1u << 20);
}

static int grow(char **body, size_t *cap)
{
    size_t more = *cap ? *cap * 2 : 1;
    char *grown = more > *cap ? realloc(*body, more) : NULL;
    if (!grown)
        return -ENOMEM;
    *body = grown;
    *cap = more;
    return 0;
}

static int read_all(thrum_http_response *r, char **body, size_t *n)
{
    size_t cap = first_size(r);
    *body = malloc(cap);
    if (!*body)
        return -ENOMEM;
    for (;;) {
        int err = cap - *n == 1 && !r->done ? grow(body, &cap) : 0; /* a byte is kept for the NUL */
        if (err)
            return err;
        ssize_t got = thrum_http_read(r, *body + *n, cap - *n - 1);
        if (got < 0)
            return (int)got;
        *n += (size_t)got;
        if (r->done)
            break;
    }
    (*body)[*n] = '\0';
    return 0;
}

int thrum_http_read_all(thrum_http_response *r, void **body, size_t *body_bytes)
{
    char *text = NULL;
    size_t n = 0;
    int err = r->error ? r->error : read_all(r, &text, &n);
    if (err) {
        free(text);
        text = NULL;
        n = 0;
    }
    *body = text;
    if (body_bytes)
        *body_bytes = n;
    return err;
}
