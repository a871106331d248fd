/* SPDX-License-Identifier: MIT */
/* thrum_http_send(): hops along redirects, and the one retry when a kept connection turns out to be dead. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>
#include <thrum/task.h>

#include "exec/running.h"
#include "exec/wait.h"
#include "http/client.h"
#include "http/redirect.h"
#include "http/request.h"

/* A request that cannot be repeated takes no kept connection that has been idle for longer: the older, the more likely
 * is it that the server is just closing it. */
#define UNREPEATABLE_AGE_MAX_NS THRUM_SECOND

/* What one call of thrum_http_send() works with. */
struct sending {
    thrum_http_client *client;
    thrum_http_response *r;
    struct thr_outgoing request;
    char *head; /* the request's, of this hop */
    size_t head_bytes;
};

/* ---- One attempt on one connection ------------------------------------------------------------------------------ */

static void count(thr_au64 *counter)
{
    thr_fetch_add(counter, 1, THR_RELAXED);
}

/* Puts a fresh connection into the lease. */
static int dial(struct sending *s)
{
    thrum_http_response *r = s->r;
    struct thr_conn *conn = NULL;
    int err = thr_dial(&conn, &s->client->dialer, r->url, r->info);
    if (err)
        return err;
    r->lease.node = &conn->node;
    count(&s->client->opened);
    if (conn->tls)
        count(&s->client->handshakes);
    if (r->info->tls_resumed)
        count(&s->client->resumed);
    return 0;
}

static void drop_connection(thrum_http_response *r)
{
    if (r->lease.node)
        thr_conn_close(thr_response_conn(r));
    r->lease.node = NULL; /* the slot stays ours */
}

/* What an attempt came to, for the decision on a second one. */
struct outcome {
    int err;
    bool lost; /* the connection failed before any byte of an answer */
    bool sent; /* something of the request may have reached the server */
};

static struct outcome exchange(struct sending *s)
{
    thrum_http_response *r = s->r;
    struct thr_exchange x;
    memset(
        &x, 0,
        offsetof(struct thr_exchange, fields)); /* the fields are 2 KiB, and written before read */
    x.conn = thr_response_conn(r);
    x.request = s->head;
    x.request_bytes = s->head_bytes;
    x.body = s->request.body;
    x.body_bytes = s->request.body_bytes;
    x.header_bytes_max = s->client->header_bytes_max;
    x.where = r->where;
    x.info = r->info;
    x.head = &r->head;

    struct outcome o = {.err = thr_exchange_run(&x)};
    o.lost = o.err && !x.answered && !thr_is_our_own(o.err);
    o.sent = x.sent_bytes > 0;
    if (!o.err)
        o.err = thr_response_begin(r, &s->request, x.unsent);
    if (o.err && !o.lost && r->info->detail[0] == '\0')
        thr_info_detail(r->info, "the response from %s: %s", r->where, thrum_strerror(o.err));
    return o;
}

static int attempt_fresh(struct sending *s)
{
    thr_info_begin_attempt(s->r->info);
    int err = dial(s);
    return err ? err : exchange(s).err;
}

/* A kept connection may have been closed by the server while the request was on its way. That is nobody's failure:
 * what may be repeated is sent once more, on a fresh connection, which cannot be in that state. */
static int attempt_kept(struct sending *s)
{
    thrum_http_response *r = s->r;
    thr_conn_tell(thr_response_conn(r), r->info);
    r->info->reused = true;
    count(&s->client->reused);
    struct outcome o = exchange(s);
    if (!o.lost)
        return o.err;

    drop_connection(r);
    thr_head_fini(&r->head);
    if (!o.sent || thr_request_is_idempotent(s->request.method)) {
        count(&s->client->retries);
        return attempt_fresh(s);
    }
    thr_info_detail(r->info,
                    "%s closed the kept connection before any answer, and %.16s is not repeated",
                    r->where, s->request.method);
    return THRUM_EHTTP_LOST;
}

/* ---- One hop ---------------------------------------------------------------------------------------------------- */

static int write_head(struct sending *s)
{
    free(s->head);
    ssize_t n = thr_outgoing_head(&s->request, s->r->url, &s->head);
    s->head_bytes = n > 0 ? (size_t)n : 0;
    if (n < 0)
        thr_info_detail(s->r->info,
                        "the request cannot be sent: its method or a header is not valid");
    return n < 0 ? (int)n : 0;
}

static int acquire(struct sending *s)
{
    thrum_http_response *r = s->r;
    const struct thr_pool_key key = {thrum_url_host(r->url), thrum_url_port(r->url),
                                     thrum_url_is_secure(r->url)};
    bool repeatable = thr_request_is_idempotent(s->request.method);
    uint64_t mark = thrum_now();
    r->info->phase = THRUM_HTTP_PHASE_POOL;
    int err = thr_pool_acquire(&s->client->pool, &key,
                               repeatable ? THRUM_NEVER : UNREPEATABLE_AGE_MAX_NS, &r->lease);
    r->info->timing.pool_ns = thr_info_lap(&mark);
    if (err)
        thr_info_detail(r->info, "waiting for a connection to %s: %s", r->where,
                        thrum_strerror(err));
    return err;
}

static int hop(struct sending *s)
{
    thrum_http_response *r = s->r;
    thr_info_begin_hop(r->info);
    thr_where(r->where, thrum_url_host(r->url), thrum_url_port(r->url));
    int err = write_head(s);
    if (err)
        return err;
    count(&s->client->requests);
    err = acquire(s);
    if (err)
        return err;
    return r->lease.node ? attempt_kept(s) : attempt_fresh(s);
}

/* ---- Redirects -------------------------------------------------------------------------------------------------- */

/* The Location of a redirect that is to be followed, or NULL. */
static const char *redirected_to(const struct sending *s)
{
    const thrum_http_response *r = s->r;
    if (s->client->no_redirects || !thr_redirect_status(r->head.status))
        return NULL;
    return thrum_http_header_get(r, "Location");
}

static int next_url(struct sending *s, const char *location, struct thr_redirect *to)
{
    thrum_http_response *r = s->r;
    const char *why = NULL;
    r->info->phase = THRUM_HTTP_PHASE_REDIRECT;
    if (r->info->hops >= s->client->redirects_max) {
        thr_info_detail(r->info, "more than %u redirects, the last from %.100s",
                        s->client->redirects_max, thrum_url_text(r->url));
        return THRUM_EHTTP_REDIRECTS;
    }
    int err = thr_redirect_next(to, r->url, r->head.status, s->request.method, location,
                                s->client->plain_redirects, &why);
    bool secret = strchr(location, '@') != NULL; /* nobody's password is shown */
    if (err && why)
        thr_info_detail(r->info, "the redirect from %s to %.64s is not followed: %s", r->where,
                        secret ? "..." : location, why);
    return err;
}

static int redirect(struct sending *s, const char *location)
{
    thrum_http_response *r = s->r;
    struct thr_redirect to;
    int err = next_url(s, location, &to);
    if (err)
        return err;
    thr_response_end(r); /* location is gone with it */
    thrum_url_free(r->url);
    r->url = to.url;
    r->info->hops++;
    return thr_outgoing_redirect(&s->request, &to);
}

/* ---- The whole -------------------------------------------------------------------------------------------------- */

static int prepare(struct sending *s, const char *url, const thrum_http_request *request)
{
    thrum_http_response *r = s->r;
    const char *why = NULL;
    int err = thr_task_cancelled();
    if (err)
        return err;
    err = thrum_url_parse_n(&r->url, url, strlen(url), &why);
    if (!err && strncmp(thrum_url_scheme(r->url), "http", 4) != 0)
        err = THRUM_EHTTP_SCHEME;
    if (err) {
        thr_info_detail(r->info, "%s%s%s", thrum_strerror(err), why ? ": " : "", why ? why : "");
        return err;
    }
    err = thr_outgoing_init(&s->request, request, r->url, &s->client->outgoing);
    if (err)
        thr_info_detail(r->info,
                        "the request cannot be sent: its method, body or a header is not valid");
    return err;
}

static int run(struct sending *s)
{
    int err = hop(s);
    const char *location = err ? NULL : redirected_to(s);
    while (location) {
        err = redirect(s, location);
        if (!err)
            err = hop(s);
        location = err ? NULL : redirected_to(s);
    }
    return err;
}

/* What thrum_http_url() gives: the URL, and its fragment, but neither user nor password. */
static int name_url(thrum_http_response *r)
{
    const char *text = thrum_url_text(r->url);
    const char *fragment = thrum_url_fragment(r->url);
    size_t bytes = strlen(text) + (fragment ? strlen(fragment) + 1 : 0) + 1;
    r->url_text = malloc(bytes);
    if (!r->url_text)
        return -ENOMEM;
    snprintf(r->url_text, bytes, "%s%s%s", text, fragment ? "#" : "", fragment ? fragment : "");
    return 0;
}

/* A failure keeps the phase it happened in, whatever closing the response does to the info. */
static void give_up(thrum_http_response *r, int err)
{
    if (r->info->detail[0] == '\0')
        thr_info_detail(r->info, "%s", thrum_strerror(err));
    thr_info_end(r->info);
    thrum_http_response_close(r);
}

int thrum_http_send(thrum_http_client *c, const char *url, const thrum_http_request *request,
                    thrum_http_response **out, thrum_http_info *info)
{
    *out = NULL;
    thrum_http_response *r = calloc(1, sizeof(*r));
    if (info)
        thr_info_begin(info);
    if (!r)
        return -ENOMEM;
    r->client = c;
    r->info = info ? info : &r->own_info;
    if (!info)
        thr_info_begin(r->info);

    struct sending s = {.client = c, .r = r};
    int err = prepare(&s, url, request);
    if (!err)
        err = run(&s);
    if (!err)
        err = name_url(r);
    thr_outgoing_fini(&s.request);
    free(s.head);
    if (err) {
        give_up(r, err);
        return err;
    }
    *out = r;
    return 0;
}

int thrum_http_get(thrum_http_client *c, const char *url, thrum_http_info *info,
                   thrum_http_response **out)
{
    return thrum_http_send(c, url, NULL, out, info);
}
