/* SPDX-License-Identifier: MIT */
/* dns/addrs.h: lists of addresses, as a look-up gives them. */
#ifndef THR_DNS_ADDRS_H
#define THR_DNS_ADDRS_H

#include <thrum/dns.h>

/* Makes one list of two: the families take turns, IPv6 first, and what one has more of comes last. If there are more
 * than THRUM_ADDRS_MAX, neither family loses its place to the other: each keeps its half, and what the other leaves. */
void thr_addrs_interleave(thrum_addrs *out, const thrum_addr *v6, unsigned v6_n,
                          const thrum_addr *v4, unsigned v4_n);

/* Gives each address the port. */
void thr_addrs_set_port(thrum_addrs *addrs, uint16_t port);

/* The two addresses of localhost, without a port. */
void thr_addrs_localhost(thrum_addrs *out);

#endif
