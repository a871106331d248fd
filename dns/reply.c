/* SPDX-License-Identifier: MIT */
/* Answers of c-ares, in our terms. */
#include "dns/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>

int thr_reply_error(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
        return THRUM_EDNS_NOTFOUND;
    case ARES_ENODATA:
        return THRUM_EDNS_NODATA;
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
        return THRUM_EDNS_SERVFAIL;
    case ARES_EREFUSED:
        return THRUM_EDNS_REFUSED;
    case ARES_ETIMEOUT:
        return THRUM_EDNS_TIMEOUT;
    case ARES_ECONNREFUSED:
    case ARES_EOF:
        return THRUM_EDNS_UNREACHABLE;
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
    case ARES_ENONAME:
        return THRUM_EDNS_BADNAME;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return -ECANCELED;
    default: /* ARES_EBADRESP and what later versions may add */
        return THRUM_EDNS_BADANSWER;
    }
}

static uint64_t clamp_ttl(int seconds)
{
    uint64_t ns = seconds > 0 ? (uint64_t)seconds * UINT64_C(1000000000) : 0;
    if (ns < THR_TTL_NS_MIN)
        return THR_TTL_NS_MIN;
    return ns < THR_TTL_NS_MAX ? ns : THR_TTL_NS_MAX;
}

static bool node_address(const struct ares_addrinfo_node *node, thrum_addr *out)
{
    size_t bytes = node->ai_family == AF_INET6  ? sizeof(out->u.in6)
                   : node->ai_family == AF_INET ? sizeof(out->u.in4)
                                                : 0;
    if (bytes == 0 || !node->ai_addr)
        return false;
    memset(out, 0, sizeof(*out));
    memcpy(&out->u, node->ai_addr, bytes);
    return true;
}

/* The aliases on the way count as well: each may come to point elsewhere. */
static int shortest_ttl(const struct ares_addrinfo *answer)
{
    int ttl = answer->nodes->ai_ttl;
    for (const struct ares_addrinfo_node *n = answer->nodes; n; n = n->ai_next)
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *c = answer->cnames; c; c = c->next)
        ttl = c->ttl < ttl ? c->ttl : ttl;
    return ttl;
}

void thr_reply_from_ares(struct thr_reply *out, int status, const struct ares_addrinfo *answer)
{
    *out = (struct thr_reply){.err = thr_reply_error(status)};
    if (out->err)
        return;
    thrum_addr addrs[THRUM_ADDRS_MAX];
    unsigned n = 0;
    for (const struct ares_addrinfo_node *node = answer ? answer->nodes : NULL;
         node && n < THRUM_ADDRS_MAX; node = node->ai_next) {
        if (node_address(node, &addrs[n]))
            n++;
    }
    if (n == 0) { /* an alias that leads to nothing is a success for some versions */
        out->err = THRUM_EDNS_NODATA;
        return;
    }
    out->addrs = malloc(n * sizeof(*addrs));
    if (!out->addrs) {
        out->err = -ENOMEM;
        return;
    }
    memcpy(out->addrs, addrs, n * sizeof(*addrs));
    out->addrs_n = n;
    out->ttl_ns = clamp_ttl(shortest_ttl(answer));
}
