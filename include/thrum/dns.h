/* SPDX-License-Identifier: MIT */
/* Names to addresses, without blocking a worker: c-ares on the event loops, /etc/hosts, localhost. */
#ifndef THRUM_DNS_H
#define THRUM_DNS_H

#include <thrum/addr.h>
#include <thrum/common.h>

THRUM_BEGIN_DECLS

typedef struct thrum_resolver thrum_resolver;

/* Zero is the default of every field; NULL in place of the struct means all of them. */
typedef struct thrum_resolver_opts {
    const char *
        servers; /* NULL: those of resolv.conf. "1.2.3.4, [::1]:5353": comma-separated, ports optional */
    const char *hosts_path;  /* NULL: /etc/hosts; "": none */
    uint64_t try_timeout_ns; /* 0: 2 s for the first answer of a server; later tries wait longer */
    unsigned tries;          /* 0: 3 tries a server */
    unsigned queries_max;    /* 0: 2,000 questions under way at once; more wait their turn */
} thrum_resolver_opts;

/* Makes a resolver. It may be used from every worker of the runtime it was made in.
 *
 * Owns:    *out is the caller's, ended with thrum_resolver_free(); opts and its strings are copied.
 * Returns: 0, -ENOMEM, THRUM_EDNS_CONFIG (servers cannot be read), THRUM_ENOTTASK; *out is then NULL.
 * Context: task. Does not suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_resolver_new(thrum_resolver **out,
                                                  const thrum_resolver_opts *opts);

/* Ends the resolver; look-ups that wait in other tasks return -ECANCELED, and it waits for them. NULL is allowed.
 *
 * Owns:    takes r. Context: task. Suspends; cannot be interrupted. */
THRUM_API void thrum_resolver_free(thrum_resolver *r);

/* The most addresses one look-up gives. */
#define THRUM_ADDRS_MAX 32

typedef struct thrum_addrs {
    unsigned n;
    thrum_addr at[THRUM_ADDRS_MAX]; /* the first to try first: families take turns, IPv6 first */
} thrum_addrs;

/* Looks up the IPv4 and IPv6 addresses of a host, and gives each the port.
 *
 * Numeric addresses and localhost (also *.localhost: RFC 6761) are answered at once, then /etc/hosts, then the name
 * servers. If one family fails and the other does not, the addresses there are are given.
 *
 * Returns: 0; THRUM_EDNS_NOTFOUND, _NODATA, _SERVFAIL, _REFUSED, _TIMEOUT, _UNREACHABLE, _BADNAME, _BADANSWER;
 *          -ETIMEDOUT, -ECANCELED (the task's own), -ENOMEM. out->n is then 0.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_resolve(thrum_resolver *r, const char *host, uint16_t port,
                                             thrum_addrs *out);

THRUM_END_DECLS

#endif
