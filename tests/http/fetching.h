/* SPDX-License-Identifier: MIT */
/* What the tests of the client have in common: running a function in a task with a client, and fetching one URL. */
#ifndef TESTS_HTTP_FETCHING_H
#define TESTS_HTTP_FETCHING_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/thrum.h>

#include "exec/atomic.h"
#include "exec/util.h"
#include "support/pages.h"
#include "support/util.h"

/* In a task a failed check is the task's result: cmocka's own asserts are only for the test's thread. */
#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            return -__LINE__;                                                                      \
        }                                                                                          \
    } while (0)

/* What fetching one URL came to. */
struct got {
    int err;
    bool sent; /* the header came: err is the body's */
    int status;
    char *body;
    size_t bytes;
    char url[256]; /* the final one */
    char version[8];
    thrum_http_info info;
};

static inline void got_free(struct got *g)
{
    free(g->body);
    g->body = NULL;
}

static inline void fetch(thrum_http_client *c, const char *url, const thrum_http_request *request,
                         struct got *g)
{
    memset(g, 0, sizeof(*g));
    thrum_http_response *r = NULL;
    void *body = NULL;
    g->err = thrum_http_send(c, url, request, &r, &g->info);
    if (g->err)
        return;
    g->sent = true;
    g->status = thrum_http_status(r);
    snprintf(g->url, sizeof(g->url), "%s", thrum_http_url(r));
    snprintf(g->version, sizeof(g->version), "%s", thrum_http_version(r));
    g->err = thrum_http_read_all(r, &body, &g->bytes);
    g->body = body;
    thrum_http_response_close(r);
}

/* Fetches and says whether all went well with that status; prints what did not. */
static inline bool fetch_ok(thrum_http_client *c, const char *url,
                            const thrum_http_request *request, int status, struct got *g)
{
    fetch(c, url, request, g);
    bool ok = !g->err && g->status == status && g->info.phase == THRUM_HTTP_PHASE_DONE;
    if (!ok)
        fprintf(stderr, "%s: %d %s in %s: %s; status %d\n", url, g->err, thrum_strerror(g->err),
                thrum_http_phase_name(g->info.phase), g->info.detail, g->status);
    return ok;
}

/* The same where a failure is wanted: that code in that phase, with a sentence. */
static inline bool fetch_fails(thrum_http_client *c, const char *url,
                               const thrum_http_request *request, int err, thrum_http_phase phase,
                               struct got *g)
{
    fetch(c, url, request, g);
    bool ok = g->err == err && g->info.phase == phase && g->info.detail[0];
    if (!ok)
        fprintf(stderr, "%s: %d %s in %s: \"%s\"; status %d; not %d in %s\n", url, g->err,
                thrum_strerror(g->err), thrum_http_phase_name(g->info.phase), g->info.detail,
                g->status, err, thrum_http_phase_name(phase));
    got_free(g);
    return ok;
}

/* ---- Running in a task with a client ---------------------------------------------------------------------------- */

struct with_client {
    int (*fn)(thrum_http_client *c, void *arg);
    void *arg;
    const thrum_http_client_opts *opts;
    const char *ca_file; /* NULL: opts decides */
    thrum_http_stats stats;
};

static inline int with_client_task(void *arg)
{
    struct with_client *w = arg;
    thrum_http_client *c = NULL;
    thrum_tls_config *tls = NULL;
    thrum_http_client_opts opts = w->opts ? *w->opts : (thrum_http_client_opts){0};
    if (w->ca_file) {
        CHECK(thrum_tls_config_new(&tls, &(thrum_tls_opts){.ca_file = w->ca_file}) == 0);
        opts.tls = tls;
    }
    int err = thrum_http_client_new(&c, &opts);
    if (tls)
        thrum_tls_config_unref(tls);
    CHECK(err == 0);
    int result = w->fn(c, w->arg);
    thrum_http_client_stats(c, &w->stats);
    thrum_http_client_free(c);
    return result;
}

/* Runs fn with a client, expects 0 of it and that no descriptor is left; returns the client's counters. */
static inline thrum_http_stats run_with(int (*fn)(thrum_http_client *c, void *arg), void *arg,
                                        const thrum_http_client_opts *opts, const char *ca_file,
                                        unsigned workers)
{
    struct with_client w = {.fn = fn, .arg = arg, .opts = opts, .ca_file = ca_file};
    int fds = sup_fd_count();
    assert_int_equal(thrum_run(with_client_task, &w, &(thrum_run_opts){.workers = workers}), 0);
    assert_true(sup_fd_count_falls_to(fds, SUP_TIMEOUT_MS));
    return w.stats;
}

#endif
