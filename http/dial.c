/* SPDX-License-Identifier: MIT */
/* Opening connections. */
#include "http/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <thrum/error.h>
#include <thrum/task.h>

#include "http/phase.h"
#include "tls/connect.h"

/* How many of the addresses tried a sentence names. */
#define TRIED_NAMED 3

/* What the steps of one dial share. */
struct dialling {
    const struct thr_dialer *dialer;
    const thrum_url *url;
    thrum_http_info *info;
    uint64_t mark;     /* when the phase began */
    uint64_t deadline; /* the earliest of all that bound this */
    char where[THR_WHERE_BYTES];
    thrum_addrs addrs;
};

/* ---- Addresses -------------------------------------------------------------------------------------------------- */

static bool find_override(struct dialling *d)
{
    const char *host = thrum_url_host(d->url);
    uint16_t port = thrum_url_port(d->url);
    for (size_t i = 0; i < d->dialer->overrides_n; i++) {
        const thrum_http_override *o = &d->dialer->overrides[i];
        if (o->port == port && strcmp(o->host, host) == 0)
            d->addrs.at[d->addrs.n++] = o->addr;
        if (d->addrs.n == THRUM_ADDRS_MAX)
            break;
    }
    return d->addrs.n > 0;
}

static int find_addresses(struct dialling *d)
{
    const char *host = thrum_url_host(d->url);
    uint16_t port = thrum_url_port(d->url);
    d->info->phase = THRUM_HTTP_PHASE_DNS;
    if (find_override(d))
        return 0;
    if (thrum_url_host_is_ip(d->url) && thrum_addr_parse(&d->addrs.at[0], host, port) == 0) {
        d->addrs.n = 1;
        return 0;
    }
    int err = thrum_resolve(d->dialer->resolver, host, port, &d->addrs);
    if (!err && d->addrs.n == 0)
        err = THRUM_EDNS_NODATA;
    d->info->timing.dns_ns = thr_info_lap(&d->mark);
    if (err)
        thr_info_detail(d->info, "cannot resolve %.80s: %s", host, thrum_strerror(err));
    return err;
}

/* ---- TCP -------------------------------------------------------------------------------------------------------- */

/* Says that connecting failed, and names the first of the addresses tried. */
static void tell_tried(struct dialling *d, int err, unsigned tried_n)
{
    char list[TRIED_NAMED * (THRUM_ADDR_TEXT_MAX + 2) + 24];
    size_t used = 0;
    for (unsigned i = 0; i < tried_n && i < TRIED_NAMED; i++) {
        char text[THRUM_ADDR_TEXT_MAX];
        thrum_addr_format(&d->addrs.at[i], text, sizeof(text));
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", text);
    }
    if (tried_n > TRIED_NAMED)
        snprintf(list + used, sizeof(list) - used, " and %u more", tried_n - TRIED_NAMED);
    thr_info_detail(d->info, "cannot connect to %s: %s (tried %s)", d->where, thrum_strerror(err),
                    list);
}

/* The even share of the time that the next of `left_n` addresses gets. */
static uint64_t share_of_time(const struct dialling *d, unsigned left_n)
{
    uint64_t now = thrum_now();
    uint64_t left = d->deadline > now ? d->deadline - now : 0;
    uint64_t share = left / left_n;
    return share ? share : 1; /* 0 would mean: no limit */
}

static int connect_tcp(struct dialling *d, thrum_tcp **tcp)
{
    int err = 0;
    unsigned i = 0;
    d->info->phase = THRUM_HTTP_PHASE_CONNECT;
    do {
        const thrum_tcp_opts opts = {.connect_timeout_ns = share_of_time(d, d->addrs.n - i)};
        d->info->remote = d->addrs.at[i];
        err = thrum_tcp_connect(tcp, &d->addrs.at[i], &opts);
        i++;
    } while (err && i < d->addrs.n && thrum_check() == 0);
    d->info->timing.connect_ns = thr_info_lap(&d->mark);
    if (err) {
        memset(&d->info->remote, 0, sizeof(d->info->remote)); /* AF_UNSPEC: none was reached */
        tell_tried(d, err, i);
    }
    return err;
}

/* ---- TLS -------------------------------------------------------------------------------------------------------- */

/* The server has chosen a protocol that we do not speak: possible if the caller's configuration offers one. */
static int check_alpn(struct dialling *d, const thrum_tls *tls)
{
    const char *alpn = thrum_tls_alpn(tls);
    if (!alpn || strcmp(alpn, "http/1.1") == 0 || strcmp(alpn, "http/1.0") == 0)
        return 0;
    thr_info_detail(d->info, "%s chose the protocol %.20s, which is not spoken here", d->where,
                    alpn);
    return THRUM_EHTTP_PROTOCOL;
}

static int start_tls(struct dialling *d, struct thr_conn *conn, bool *again)
{
    char detail[160] = "";
    d->info->phase = THRUM_HTTP_PHASE_TLS;
    thrum_stream *below = conn->stream;
    conn->stream = NULL; /* the handshake takes it, also if it fails */
    int err = thr_tls_connect(&conn->tls, d->dialer->tls, below, thrum_url_host(d->url),
                              thrum_url_port(d->url), again, detail, sizeof(detail));
    d->info->timing.tls_ns = thr_info_lap(&d->mark);
    if (err) {
        thr_info_detail(d->info, "TLS with %s: %s", d->where,
                        detail[0] ? detail : thrum_strerror(err));
        return err;
    }
    conn->stream = thrum_tls_stream(conn->tls);
    thr_conn_tell(conn, d->info);
    return check_alpn(d, conn->tls);
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

/* *again: TLS failed in a way that a second connection avoids (tls/connect.h). */
static int connect_once(struct dialling *d, struct thr_conn **out, bool *again)
{
    thrum_tcp *tcp = NULL;
    int err = connect_tcp(d, &tcp);
    if (err)
        return err;

    struct thr_conn *conn = thr_conn_new(d->dialer->buffers, tcp, &d->info->remote);
    if (!conn)
        return -ENOMEM;
    if (thrum_url_is_secure(d->url))
        err = start_tls(d, conn, again);
    if (err) {
        thr_conn_close(conn);
        return err;
    }
    *out = conn;
    return 0;
}

static int dial_in_time(struct dialling *d, struct thr_conn **out)
{
    bool again = false, ignored;
    int err = find_addresses(d);
    if (!err)
        err = connect_once(d, out, &again);
    if (err && again)
        err = connect_once(d, out, &ignored);
    return err;
}

int thr_dial(struct thr_conn **out, const struct thr_dialer *dialer, const thrum_url *url,
             thrum_http_info *info)
{
    *out = NULL;
    struct dialling d = {.dialer = dialer, .url = url, .info = info, .mark = thrum_now()};
    thr_where(d.where, thrum_url_host(url), thrum_url_port(url));

    thrum_timeout limit;
    thrum_timeout_begin(&limit, dialer->timeout_ns);
    d.deadline = limit.deadline_ns;
    int err = dial_in_time(&d, out);
    bool out_of_time = thrum_timeout_end(&limit);
    if (err == -ETIMEDOUT && out_of_time && info->phase != THRUM_HTTP_PHASE_CONNECT)
        thr_info_detail(info, "no connection to %s within %llu ms (%s)", d.where,
                        (unsigned long long)(dialer->timeout_ns / THRUM_MILLISECOND),
                        thrum_http_phase_name(info->phase));
    return err;
}
