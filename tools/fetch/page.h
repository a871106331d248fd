/* SPDX-License-Identifier: MIT */
/* tools/fetch/page.h: one URL, fetched with its retries, and what is known of it then. */
#ifndef TOOLS_FETCH_PAGE_H
#define TOOLS_FETCH_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <thrum/http.h>

#include "tools/common/digest.h"
#include "tools/fetch/sink.h"
#include "tools/fetch/urls.h"

/* The same for all URLs, and never changed while they are fetched. */
struct thr_page_how {
    thrum_http_client *client;
    thrum_http_request request;
    uint64_t max_time_ns;        /* 0: none */
    uint64_t retries;            /* 0 for a method that is not idempotent */
    bool facts;                  /* for --json: the final URL and the digest are wanted */
    uint64_t seed;               /* of the chance in retries */
    atomic_uint_fast64_t *bytes; /* counts body bytes as they come, for the progress bar */
};

enum thr_page_fault {
    THR_PAGE_FETCHED,
    THR_PAGE_NO_ANSWER, /* err and info say why */
    THR_PAGE_TIMED_OUT, /* by --max-time; info says where */
    THR_PAGE_STATUS,    /* 400 or above */
    THR_PAGE_NOT_WRITTEN,
    THR_PAGE_CANCELED
};

struct thr_page {
    char *url; /* as given, without user and password */
    enum thr_page_fault fault;
    int err;
    uint64_t max_time_ns;
    int status; /* 0: no answer */
    char reason[64];
    char http_version[8]; /* "" without an answer, as all below */
    char *final_url;
    char sha256[THR_DIGEST_HEX_MAX];
    uint64_t bytes;
    uint64_t total_ns; /* of the last try */
    uint64_t tries;
    thrum_http_info info; /* of the last try */
};

/* Fetches a URL into a sink, and ends the sink.
 *
 * Owns:    *page is zero before, filled in, and freed with thr_page_fini(). buf is borrowed.
 * Context: task. Suspends. */
void thr_page_fetch(struct thr_page *page, const struct thr_page_how *how,
                    const struct thr_url_given *given, struct thr_sink *sink, void *buf,
                    size_t buf_bytes);
void thr_page_fini(struct thr_page *page);

#endif
