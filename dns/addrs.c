/* SPDX-License-Identifier: MIT */
/* The order in which addresses are tried. */
#include "dns/addrs.h"

#include <string.h>

void thr_addrs_interleave(thrum_addrs *out, const thrum_addr *v6, unsigned v6_n,
                          const thrum_addr *v4, unsigned v4_n)
{
    unsigned i6 = 0, i4 = 0;
    out->n = 0;
    while (out->n < THRUM_ADDRS_MAX && (i6 < v6_n || i4 < v4_n)) {
        if (i6 < v6_n)
            out->at[out->n++] = v6[i6++];
        if (i4 < v4_n && out->n < THRUM_ADDRS_MAX)
            out->at[out->n++] = v4[i4++];
    }
}

void thr_addrs_set_port(thrum_addrs *addrs, uint16_t port)
{
    for (unsigned i = 0; i < addrs->n; i++)
        thrum_addr_set_port(&addrs->at[i], port);
}

void thr_addrs_localhost(thrum_addrs *out)
{
    memset(&out->at[0], 0, 2 * sizeof(out->at[0]));
    out->at[0].u.in6.sin6_family = AF_INET6;
    out->at[0].u.in6.sin6_addr = in6addr_loopback;
    out->at[1].u.in4.sin_family = AF_INET;
    out->at[1].u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    out->n = 2;
}
