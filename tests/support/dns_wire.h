/* SPDX-License-Identifier: MIT */
/* support/dns_wire.h: DNS messages (RFC 1035 section 4), as far as support/dns.c needs them. */
#ifndef SUPPORT_DNS_WIRE_H
#define SUPPORT_DNS_WIRE_H

#include "support/dnsserver.h"

#define SUP_DNS_NAME_MAX 256
#define SUP_DNS_MESSAGE_MAX 65535
#define SUP_DNS_UDP_MAX 1232 /* a longer answer is truncated over UDP */

enum { SUP_DNS_A = 1, SUP_DNS_CNAME = 5, SUP_DNS_TXT = 16, SUP_DNS_AAAA = 28 };

struct sup_dns_query {
    uint16_t id;
    uint16_t type;
    char name[SUP_DNS_NAME_MAX]; /* lower case, without the last dot */
    const unsigned char *wire;   /* the message */
    size_t question_bytes;       /* of the question, behind the header of 12 bytes */
};

/* Takes a query apart; false if it is none.  The query borrows `wire`. */
bool sup_dns_parse(struct sup_dns_query *query, const unsigned char *wire, size_t bytes);

/* Writes the reply that the rule asks for to out (room for SUP_DNS_MESSAGE_MAX bytes) and returns its
 * length; -1: no reply. */
ssize_t sup_dns_build(unsigned char *out, const struct sup_dns_query *query,
                      const struct sup_dns_rule *rule, bool tcp);

#endif
