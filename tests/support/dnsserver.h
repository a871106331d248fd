/* SPDX-License-Identifier: MIT */
/* support/dnsserver.h: name servers on loopback, UDP and TCP on one port.
 *
 * sup_unbound_*    the distribution's unbound with a zone made up here.  It asks nobody: a name outside
 *                  the zone does not exist.
 * sup_dns_*        a scripted responder for what no real server does.
 *
 * The zone, thrum.test (TTL 300 unless said otherwise):
 *
 *   thrum.test  127.0.0.1 and ::1
 *   v4          127.0.0.1 only              v6           ::1 only
 *   two         127.0.0.1, 127.0.0.2        txt          a TXT record, no address
 *   cname       -> v4                       chain0       -> chain1 -> ... -> chain7 -> both
 *   both        127.0.0.1 and ::1           dangling     -> nowhere (does not exist;
 *                                             unbound answers NOERROR with the alias)
 *   loop0       -> loop1 -> loop0           ttl0, ttl1   127.0.0.1 with a TTL of 0, 1
 *   many        200 addresses, 127.0.1.1 to 127.0.1.200: too large for UDP, so TCP is needed
 *   many6       100 addresses, fd00::1 to fd00::64
 *   *.wild      127.0.0.1                   refused      127.0.0.9, then ::1 (nobody listens there)
 *   a name of 63 a's      127.0.0.1
 */
#ifndef SUPPORT_DNSSERVER_H
#define SUPPORT_DNSSERVER_H

#include "support/util.h"

/* -- unbound ------------------------------------------------------------------------------------ */

struct sup_unbound;

/* Starts it and waits until it answers.  zone_extra (or NULL): further lines of the zone, in the form
 * of a zone file ("name 60 IN A 127.0.0.5\n"), names relative to thrum.test. */
struct sup_unbound *sup_unbound_start(const char *zone_extra);
void sup_unbound_stop(struct sup_unbound *u);

uint16_t sup_unbound_port(const struct sup_unbound *u);

/* "127.0.0.1:PORT".  Lives as long as u. */
const char *sup_unbound_address(const struct sup_unbound *u);

/* How often it was asked for the name (complete, without the last dot) and type ("A", "AAAA"; NULL: any
 * type), over UDP and TCP together: the log line is written before the answer is sent. */
size_t sup_unbound_queries(const struct sup_unbound *u, const char *name, const char *type);

/* -- The scripted responder --------------------------------------------------------------------- */

enum sup_dns_reply {
    SUP_DNS_ANSWER, /* rule.addresses_n addresses */
    SUP_DNS_NODATA, /* the name exists, not with this type */
    SUP_DNS_NXDOMAIN,
    SUP_DNS_SERVFAIL,
    SUP_DNS_REFUSED,
    SUP_DNS_FORMERR,
    SUP_DNS_SILENT,         /* no answer; over TCP the connection stays open */
    SUP_DNS_TRUNCATED,      /* UDP: no records, TC set.  TCP: as SUP_DNS_ANSWER */
    SUP_DNS_TRUNCATED_CUT,  /* UDP: TC set.  TCP: half an answer, then the connection ends */
    SUP_DNS_TRUNCATED_DEAF, /* UDP: TC set.  TCP: accepted, never answered */
    SUP_DNS_WRONG_ID,       /* a good answer with another id, and no other */
    SUP_DNS_WRONG_QUESTION, /* a good answer to another name */
    SUP_DNS_GARBAGE,        /* the right id, then 64 bytes of noise */
    SUP_DNS_SHORT,          /* 5 bytes */
    SUP_DNS_EMPTY,          /* a datagram of no bytes */
    SUP_DNS_POINTER_LOOP,   /* an answer whose owner name points to itself */
    SUP_DNS_HALF_RECORD,    /* an answer whose last record is cut off */
    SUP_DNS_CNAME_LOOP,     /* the name is an alias of itself */
    SUP_DNS_DANGLING,       /* an alias of a name that does not exist: NXDOMAIN with a CNAME */
    SUP_DNS_OTHER_TYPE,     /* a TXT record only */
    SUP_DNS_TWICE           /* the answer sent two times */
};

/* The first rule that matches a query decides. */
struct sup_dns_rule {
    const char *name; /* complete, without the last dot; NULL: any.  "*.x": any below x */
    uint16_t type;    /* 1: A, 28: AAAA; 0: any */
    unsigned times;   /* the rule is used up after so many queries; 0: never */
    enum sup_dns_reply reply;
    unsigned delay_ms; /* before the reply */
    const char
        *address; /* the first address for A (AAAA: address6), the others count up from it; */
    const char *address6; /* NULL: 127.0.0.1, ::1; "" in one of them: that family has no data */
    unsigned addresses_n; /* 0: 1 */
    uint32_t ttl;         /* seconds */
};

struct sup_dns;

/* Starts the responder's thread.  The rules are copied (not their strings).  A query that no rule
 * matches is answered with NXDOMAIN. */
struct sup_dns *sup_dns_start(const struct sup_dns_rule *rules, size_t rules_n);
void sup_dns_stop(struct sup_dns *d);

uint16_t sup_dns_port(const struct sup_dns *d);
const char *sup_dns_address(const struct sup_dns *d); /* "127.0.0.1:PORT" */

/* Queries so far; name NULL: all.  type 0: any. */
size_t sup_dns_queries(struct sup_dns *d, const char *name, uint16_t type);
size_t sup_dns_tcp_queries(struct sup_dns *d);

/* Waits until so many queries have come in all. */
bool sup_dns_wait_queries(struct sup_dns *d, size_t n, int timeout_ms);

/* Exchanges the rules while it runs. */
void sup_dns_set_rules(struct sup_dns *d, const struct sup_dns_rule *rules, size_t rules_n);

#endif
