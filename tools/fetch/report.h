/* SPDX-License-Identifier: MIT */
/* tools/fetch/report.h: what is said about the URLs: of one when it ends, of all at the end. */
#ifndef TOOLS_FETCH_REPORT_H
#define TOOLS_FETCH_REPORT_H

#include <stdatomic.h>
#include <stdint.h>
#include <thrum/http.h>
#include <thrum/runtime.h>

#include "tools/common/text.h"
#include "tools/fetch/page.h"

/* Counted by all tasks. */
struct thr_report_counts {
    atomic_uint_fast64_t started, fetched, failed, bytes;
    atomic_uint_fast64_t tls13, tls12, tls_none; /* answers by the TLS version they came over */
};

void thr_report_count(struct thr_report_counts *c, const struct thr_page *page);

/* "PHASE: REASON", for a page that was not fetched. */
void thr_report_fault(struct thr_text *t, const struct thr_page *page);

/* "URL: PHASE: REASON", one line without its LF. */
void thr_report_line(struct thr_text *t, const struct thr_page *page);

/* The object of --json, with its LF. file: the name in DIR, or "". */
void thr_report_json(struct thr_text *t, const struct thr_page *page, const char *file);

/* What only a task of the runtime can ask for, taken before it ends. */
struct thr_report_end {
    uint64_t elapsed_ns;
    thrum_http_stats http;
    unsigned workers_n;
    thrum_worker_stats *workers; /* malloc()ed, or NULL */
};

/* The lines of --stats. */
void thr_report_stats(struct thr_text *t, struct thr_report_counts *c,
                      const struct thr_report_end *end);

/* "interrupted: ...", for Ctrl-C. total 0: not known. order: what standard output has got; NULL: not used. */
void thr_report_interrupted(struct thr_text *t, struct thr_report_counts *c, uint64_t total,
                            struct thr_order *order);

#endif
