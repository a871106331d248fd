/* SPDX-License-Identifier: MIT */
/* What is said about the URLs. */
#include "tools/fetch/report.h"

#include <inttypes.h>
#include <string.h>
#include <thrum/error.h>

#include "tools/common/json.h"
#include "tools/common/quantity.h"

void thr_report_count(struct thr_report_counts *c, const struct thr_page *page)
{
    atomic_fetch_add(page->fault == THR_PAGE_FETCHED ? &c->fetched : &c->failed, 1);
    if (page->status == 0)
        return;
    const char *tls = page->info.tls_version;
    atomic_fetch_add(strcmp(tls, "TLSv1.3") == 0   ? &c->tls13
                     : strcmp(tls, "TLSv1.2") == 0 ? &c->tls12
                                                   : &c->tls_none,
                     1);
}

void thr_report_fault(struct thr_text *t, const struct thr_page *page)
{
    char time[THR_QUANTITY_TEXT_MAX];
    thrum_http_phase phase = page->info.phase;
    switch (page->fault) {
    case THR_PAGE_STATUS:
        thr_text_addf(t, "http: %d%s", page->status, page->reason[0] ? " " : "");
        thr_text_add_plain(t, page->reason);
        return;
    case THR_PAGE_NOT_WRITTEN:
        thr_text_addf(t, "write: %s", thrum_strerror(page->err));
        return;
    default:
        break;
    }
    if (phase == THRUM_HTTP_PHASE_DONE) /* the header was complete, the body is not */
        phase = THRUM_HTTP_PHASE_BODY;
    thr_text_addf(t, "%s: ", thrum_http_phase_name(phase));
    if (page->fault == THR_PAGE_TIMED_OUT)
        thr_text_addf(t, "timed out after %s (--max-time)",
                      thr_quantity_time(page->max_time_ns, time));
    else
        thr_text_add_plain(t, page->info.detail[0] ? page->info.detail : thrum_strerror(page->err));
}

void thr_report_line(struct thr_text *t, const struct thr_page *page)
{
    thr_text_add_plain(t, page->url ? page->url : "?");
    thr_text_adds(t, ": ");
    thr_report_fault(t, page);
}

/* A string that is "" when it is not known. */
static void add_known(struct thr_json *j, const char *key, const char *value)
{
    thr_json_string(j, key, value[0] ? value : NULL);
}

static void add_error(struct thr_json *j, const struct thr_page *page)
{
    struct thr_text fault = {0};
    if (page->fault != THR_PAGE_FETCHED)
        thr_report_fault(&fault, page);
    thr_json_string(j, "error", fault.data);
    j->to->failed |= fault.failed;
    thr_text_fini(&fault);
}

static void add_connection(struct thr_json *j, const struct thr_page *page)
{
    const thrum_http_info *info = &page->info;
    char remote[THRUM_ADDR_TEXT_MAX];
    bool connected = info->remote.u.sa.sa_family != AF_UNSPEC;
    add_known(j, "http_version", page->http_version);
    add_known(j, "tls_version", info->tls_version);
    add_known(j, "cipher", info->tls_cipher);
    thr_json_string(j, "remote",
                    connected ? thrum_addr_format(&info->remote, remote, sizeof(remote)) : NULL);
}

static void add_timings(struct thr_json *j, const struct thr_page *page)
{
    const thrum_http_timing *timing = &page->info.timing;
    thr_json_object(j, "timings");
    thr_json_uint(j, "dns", timing->dns_ns);
    thr_json_uint(j, "connect", timing->connect_ns);
    thr_json_uint(j, "tls", timing->tls_ns);
    thr_json_uint(j, "first_byte", timing->first_byte_ns);
    thr_json_uint(j, "total", page->total_ns);
    thr_json_end(j);
}

void thr_report_json(struct thr_text *t, const struct thr_page *page, const char *file)
{
    struct thr_json j = {.to = t};
    thr_json_object(&j, NULL);
    thr_json_string(&j, "url", page->url);
    thr_json_string(&j, "final_url", page->final_url);
    if (page->status)
        thr_json_uint(&j, "status", (uint64_t)page->status);
    else
        thr_json_null(&j, "status");
    add_error(&j, page);
    add_connection(&j, page);
    thr_json_uint(&j, "bytes", page->bytes);
    add_known(&j, "sha256", page->sha256);
    add_timings(&j, page);
    thr_json_bool(&j, "reused", page->info.reused);
    if (file[0])
        thr_json_string(&j, "file",
                        page->fault == THR_PAGE_FETCHED || page->fault == THR_PAGE_STATUS ? file
                                                                                          : NULL);
    thr_json_end(&j);
    thr_text_adds(t, "\n");
}

static void add_workers(struct thr_text *t, const struct thr_report_end *end)
{
    uint64_t all = 0;
    for (unsigned i = 0; end->workers && i < end->workers_n; i++)
        all += end->workers[i].picks;
    for (unsigned i = 0; end->workers && i < end->workers_n; i++) {
        const thrum_worker_stats *w = &end->workers[i];
        double share = all ? 100.0 * (double)w->picks / (double)all : 0;
        thr_text_addf(t,
                      "worker %u:     %" PRIu64 " tasks picked (%.1f %%), %" PRIu64
                      " steals, %" PRIu64 " parks\n",
                      i, w->picks, share, w->steals, w->parks);
    }
}

static void add_tls(struct thr_text *t, struct thr_report_counts *c)
{
    const struct {
        const char *name;
        uint64_t n;
    } seen[] = {{"TLSv1.3", atomic_load(&c->tls13)},
                {"TLSv1.2", atomic_load(&c->tls12)},
                {"without TLS", atomic_load(&c->tls_none)}};
    const char *comma = "";
    thr_text_adds(t, "TLS:          ");
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        if (seen[i].n == 0)
            continue;
        thr_text_addf(t, "%s%s %" PRIu64, comma, seen[i].name, seen[i].n);
        comma = ", ";
    }
    thr_text_adds(t, *comma ? "\n" : "none\n");
}

void thr_report_stats(struct thr_text *t, struct thr_report_counts *c,
                      const struct thr_report_end *end)
{
    char bytes[THR_QUANTITY_TEXT_MAX];
    uint64_t fetched = atomic_load(&c->fetched), failed = atomic_load(&c->failed);
    uint64_t body_bytes = atomic_load(&c->bytes);
    double seconds = (double)end->elapsed_ns / 1e9;
    double pace = seconds > 0 ? (double)(fetched + failed) / seconds : 0;
    thr_text_addf(t, "pages:        %" PRIu64 " fetched, %" PRIu64 " failed\n", fetched, failed);
    thr_text_addf(t, "bytes:        %" PRIu64 " (%s)\n", body_bytes,
                  thr_quantity_bytes(body_bytes, bytes));
    thr_text_addf(t, "time:         %.3f s, %.1f pages/s\n", seconds, pace);
    add_tls(t, c);
    thr_text_addf(t, "connections:  %" PRIu64 " opened, %" PRIu64 " times reused\n",
                  end->http.connections_opened, end->http.connections_reused);
    thr_text_addf(t, "handshakes:   %" PRIu64 ", %" PRIu64 " resumed\n", end->http.handshakes,
                  end->http.handshakes_resumed);
    add_workers(t, end);
}

void thr_report_interrupted(struct thr_text *t, struct thr_report_counts *c, uint64_t total,
                            struct thr_order *order)
{
    char bytes[THR_QUANTITY_TEXT_MAX];
    uint64_t fetched = atomic_load(&c->fetched), failed = atomic_load(&c->failed);
    thr_text_addf(t, "thrum fetch: interrupted: %" PRIu64 " fetched, %" PRIu64 " failed", fetched,
                  failed);
    if (total >= fetched + failed && total > 0)
        thr_text_addf(t, ", %" PRIu64 " not done of %" PRIu64, total - fetched - failed, total);
    else
        thr_text_addf(t, ", %" PRIu64 " under way", atomic_load(&c->started) - fetched - failed);
    thr_text_addf(t, "; %s", thr_quantity_bytes(atomic_load(&c->bytes), bytes));
    if (order)
        thr_text_addf(t, "; the first %" PRIu64 " have been written", atomic_load(&order->done));
    thr_text_adds(t, "\n");
}
