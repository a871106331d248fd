/* SPDX-License-Identifier: MIT */
/* One URL, fetched with its retries. */
#include "tools/fetch/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/task.h>

#include "tools/fetch/retry.h"

/* --max-time as a clock that can stand still: while a body waits for its turn on standard output, or for
 * whoever reads that, it is not the server that is slow. */
struct limit {
    thrum_timeout timeout;
    uint64_t deadline_ns; /* THRUM_NEVER: none */
    uint64_t left_ns;
};

static void limit_resume(struct limit *l)
{
    if (l->left_ns == THRUM_NEVER)
        return;
    l->deadline_ns = thrum_now() + l->left_ns;
    thrum_timeout_begin(&l->timeout, l->left_ns);
}

static void limit_begin(struct limit *l, uint64_t ns)
{
    l->left_ns = ns ? ns : THRUM_NEVER;
    limit_resume(l);
}

/* Returns true if the time was up. */
static bool limit_pause(struct limit *l)
{
    if (l->left_ns == THRUM_NEVER)
        return false;
    bool over = thrum_timeout_end(&l->timeout);
    uint64_t now = thrum_now();
    l->left_ns = over || now >= l->deadline_ns ? 0 : l->deadline_ns - now;
    return over;
}

/* What a fetch works with. */
struct work {
    struct thr_page *page;
    const struct thr_page_how *how;
    const char *url; /* as given, with user and password */
    struct thr_sink *sink;
    void *buf;
    size_t buf_bytes;
    struct limit limit;
    uint64_t after_ns; /* what Retry-After asked for */
    uint64_t random;   /* the state of splitmix64 */
};

static uint64_t next_random(struct work *w)
{
    uint64_t z = w->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void fail(struct work *w, enum thr_page_fault fault, int err)
{
    w->page->fault = err == -ECANCELED ? THR_PAGE_CANCELED : fault;
    w->page->err = err;
}

/* Writes to the sink with the clock standing still. */
static int deliver(struct work *w, const void *data, size_t n)
{
    limit_pause(&w->limit);
    int err = thr_sink_write(w->sink, data, n);
    limit_resume(&w->limit);
    if (err)
        fail(w, THR_PAGE_NOT_WRITTEN, err);
    return err;
}

static void read_body(struct work *w, thrum_http_response *r, struct thr_digest *digest)
{
    for (;;) {
        ssize_t n = thrum_http_read(r, w->buf, w->buf_bytes);
        if (n < 0)
            fail(w, THR_PAGE_NO_ANSWER, (int)n);
        if (n <= 0)
            return;
        w->page->bytes += (uint64_t)n;
        atomic_fetch_add_explicit(w->how->bytes, (uint64_t)n, memory_order_relaxed);
        if (digest)
            thr_digest_add(digest, w->buf, (size_t)n);
        if (deliver(w, w->buf, (size_t)n) != 0)
            return;
    }
}

static void take_body(struct work *w, thrum_http_response *r)
{
    int err = thr_sink_start(w->sink);
    if (err) {
        fail(w, THR_PAGE_NOT_WRITTEN, err);
        return;
    }
    struct thr_digest *digest = NULL;
    if (w->how->facts) {
        digest = thr_digest_new();
        if (!digest) {
            fail(w, THR_PAGE_NO_ANSWER, -ENOMEM);
            return;
        }
    }
    read_body(w, r, digest);
    thr_digest_end(digest, w->page->sha256);
    if (w->page->fault == THR_PAGE_NO_ANSWER || w->page->fault == THR_PAGE_CANCELED)
        w->page->sha256[0] = '\0'; /* of a part: no use to anybody */
}

static bool may_retry(const struct work *w)
{
    return w->page->tries <= w->how->retries;
}

static void take_answer(struct work *w, thrum_http_response *r)
{
    struct thr_page *page = w->page;
    page->status = thrum_http_status(r);
    snprintf(page->reason, sizeof(page->reason), "%s", thrum_http_reason(r));
    snprintf(page->http_version, sizeof(page->http_version), "%s", thrum_http_version(r));
    if (w->how->facts)
        page->final_url = strdup(thrum_http_url(r));
    if (page->status >= 400)
        page->fault = THR_PAGE_STATUS;
    if (thr_retry_status(page->status) && may_retry(w))
        w->after_ns = thr_retry_after(thrum_http_header_get(r, "Retry-After"));
    else
        take_body(w, r);
}

/* Forgets what an earlier try left. */
static void reset(struct thr_page *page)
{
    free(page->final_url);
    *page = (struct thr_page){
        .url = page->url, .tries = page->tries + 1, .max_time_ns = page->max_time_ns};
}

static void try_once(struct work *w)
{
    struct thr_page *page = w->page;
    reset(page);
    w->after_ns = 0;
    uint64_t begun = thrum_now();
    limit_begin(&w->limit, w->how->max_time_ns);
    thrum_http_response *r = NULL;
    int err = thrum_http_send(w->how->client, w->url, &w->how->request, &r, &page->info);
    if (err)
        fail(w, THR_PAGE_NO_ANSWER, err);
    else
        take_answer(w, r);
    bool over = limit_pause(&w->limit);
    if (over && page->fault == THR_PAGE_NO_ANSWER && page->err == -ETIMEDOUT)
        page->fault = THR_PAGE_TIMED_OUT;
    thrum_http_response_close(r);
    page->total_ns = thrum_now() - begun;
}

static bool wants_retry(const struct work *w)
{
    const struct thr_page *page = w->page;
    switch (page->fault) {
    case THR_PAGE_TIMED_OUT:
        return may_retry(w);
    case THR_PAGE_NO_ANSWER:
        return may_retry(w) && thr_retry_error(page->err);
    case THR_PAGE_STATUS:
        return may_retry(w) && thr_retry_status(page->status);
    default:
        return false;
    }
}

/* Ends the sink. A body of an error status is delivered like any other. */
static void finish(struct work *w)
{
    struct thr_page *page = w->page;
    if (page->fault != THR_PAGE_FETCHED && page->fault != THR_PAGE_STATUS) {
        thr_sink_abort(w->sink);
        return;
    }
    int err = thr_sink_commit(w->sink);
    if (err)
        fail(w, THR_PAGE_NOT_WRITTEN, err);
}

/* A line of a list that is no URL, whatever its beginning looks like. */
static bool refuse(struct work *w, const struct thr_url_given *given)
{
    if (!given->cut && !given->broken)
        return false;
    thrum_http_info *info = &w->page->info;
    info->phase = THRUM_HTTP_PHASE_REQUEST;
    snprintf(info->detail, sizeof(info->detail), "%s",
             given->cut ? "the URL is longer than 65,535 bytes" : "the URL holds a NUL byte");
    fail(w, THR_PAGE_NO_ANSWER, THRUM_EHTTP_URL);
    return true;
}

void thr_page_fetch(struct thr_page *page, const struct thr_page_how *how,
                    const struct thr_url_given *given, struct thr_sink *sink, void *buf,
                    size_t buf_bytes)
{
    struct work w = {.page = page,
                     .how = how,
                     .url = given->text,
                     .sink = sink,
                     .buf = buf,
                     .buf_bytes = buf_bytes,
                     .random = how->seed + given->index};
    page->max_time_ns = how->max_time_ns;
    page->url = thr_name_redact(given->text);
    if (!page->url)
        fail(&w, THR_PAGE_NO_ANSWER, -ENOMEM);
    else if (!refuse(&w, given))
        try_once(&w);

    while (wants_retry(&w) && thr_sink_restart(sink)) {
        int err = thrum_sleep(thr_retry_wait(page->tries, w.after_ns, next_random(&w)));
        if (err) {
            fail(&w, THR_PAGE_NO_ANSWER, err);
            break;
        }
        try_once(&w);
    }
    finish(&w);
}

void thr_page_fini(struct thr_page *page)
{
    free(page->url);
    free(page->final_url);
    *page = (struct thr_page){0};
}
