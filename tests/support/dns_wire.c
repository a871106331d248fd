/* SPDX-License-Identifier: MIT */
/* support/dns_wire.c: reading queries, and writing answers right and wrong. */
#include "support/dns_wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define HEADER_BYTES 12
#define FLAG_TC 0x0200
#define FLAGS_ANSWER 0x8580 /* QR, AA, RD, RA */
#define CLASS_IN 1

enum { NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED };

struct writer {
    unsigned char *at;
    unsigned char *start;
    unsigned answers;
};

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static void set16(unsigned char *p, unsigned value)
{
    p[0] = (unsigned char)(value >> 8);
    p[1] = (unsigned char)value;
}

static void put16(struct writer *w, unsigned value)
{
    set16(w->at, value);
    w->at += 2;
}

static void put(struct writer *w, const void *data, size_t bytes)
{
    memcpy(w->at, data, bytes);
    w->at += bytes;
}

bool sup_dns_parse(struct sup_dns_query *q, const unsigned char *wire, size_t bytes)
{
    size_t at = HEADER_BYTES;
    size_t n = 0;
    if (bytes < HEADER_BYTES + 5 || (wire[2] & 0x80) || get16(wire + 4) != 1)
        return false;
    while (at < bytes && wire[at] != 0) {
        size_t label = wire[at++];
        if (label > 63 || at + label >= bytes || n + label + 2 > sizeof(q->name))
            return false;
        if (n > 0)
            q->name[n++] = '.';
        for (size_t i = 0; i < label; i++)
            q->name[n++] = (char)tolower(wire[at++]);
    }
    q->name[n] = '\0';
    if (at + 5 > bytes)
        return false;
    q->id = (uint16_t)get16(wire);
    q->type = (uint16_t)get16(wire + at + 1);
    q->wire = wire;
    q->question_bytes = at + 5 - HEADER_BYTES;
    return true;
}

/* Header and question. */
static void begin(struct writer *w, unsigned char *out, const struct sup_dns_query *q)
{
    w->start = w->at = out;
    w->answers = 0;
    memset(out, 0, HEADER_BYTES);
    set16(out, q->id);
    set16(out + 2, FLAGS_ANSWER);
    set16(out + 4, 1);
    w->at += HEADER_BYTES;
    put(w, q->wire + HEADER_BYTES, q->question_bytes);
}

static void set_flags(struct writer *w, unsigned flags)
{
    set16(w->start + 2, get16(w->start + 2) | flags);
}

static ssize_t end(struct writer *w)
{
    set16(w->start + 6, w->answers);
    return w->at - w->start;
}

/* A record of the question's name (a pointer to it). */
static void put_record(struct writer *w, unsigned type, uint32_t ttl, const void *data,
                       size_t bytes)
{
    put16(w, 0xC000 | HEADER_BYTES);
    put16(w, type);
    put16(w, CLASS_IN);
    put16(w, ttl >> 16);
    put16(w, ttl & 0xFFFF);
    put16(w, (unsigned)bytes);
    put(w, data, bytes);
    w->answers++;
}

static void put_a(struct writer *w, const struct sup_dns_rule *rule, unsigned n)
{
    struct in_addr first;
    if (inet_pton(AF_INET, rule->address ? rule->address : "127.0.0.1", &first) != 1)
        return;
    for (unsigned i = 0; i < n; i++) {
        uint32_t address = htonl(ntohl(first.s_addr) + i);
        put_record(w, SUP_DNS_A, rule->ttl, &address, sizeof(address));
    }
}

static void put_aaaa(struct writer *w, const struct sup_dns_rule *rule, unsigned n)
{
    struct in6_addr first;
    if (inet_pton(AF_INET6, rule->address6 ? rule->address6 : "::1", &first) != 1)
        return;
    for (unsigned i = 0; i < n; i++) {
        struct in6_addr address = first;
        uint32_t low;
        memcpy(&low, address.s6_addr + 12, sizeof(low));
        low = htonl(ntohl(low) + i);
        memcpy(address.s6_addr + 12, &low, sizeof(low));
        put_record(w, SUP_DNS_AAAA, rule->ttl, &address, sizeof(address));
    }
}

static void put_addresses(struct writer *w, const struct sup_dns_query *q,
                          const struct sup_dns_rule *rule)
{
    unsigned n = rule->addresses_n ? rule->addresses_n : 1;
    n = n < 2000 ? n : 2000; /* 28 bytes each: fits in a message */
    if (q->type == SUP_DNS_A)
        put_a(w, rule, n);
    else if (q->type == SUP_DNS_AAAA)
        put_aaaa(w, rule, n);
}

/* The reply over UDP that sends the client to TCP. */
static ssize_t truncated(unsigned char *out, const struct sup_dns_query *q)
{
    struct writer w;
    begin(&w, out, q);
    set_flags(&w, FLAG_TC);
    return end(&w);
}

static ssize_t answer(unsigned char *out, const struct sup_dns_query *q,
                      const struct sup_dns_rule *rule, bool tcp)
{
    struct writer w;
    begin(&w, out, q);
    put_addresses(&w, q, rule);
    ssize_t bytes = end(&w);
    return !tcp && bytes > SUP_DNS_UDP_MAX ? truncated(out, q) : bytes;
}

static ssize_t failure(unsigned char *out, const struct sup_dns_query *q, unsigned code)
{
    struct writer w;
    begin(&w, out, q);
    set_flags(&w, code);
    return end(&w);
}

static ssize_t garbage(unsigned char *out, const struct sup_dns_query *q)
{
    set16(out, q->id);
    for (unsigned i = 0; i < 64; i++)
        out[2 + i] = (unsigned char)(0xA5 ^ (i * 37));
    return 66;
}

/* An answer whose owner name is a pointer to itself. */
static ssize_t pointer_loop(unsigned char *out, const struct sup_dns_query *q,
                            const struct sup_dns_rule *rule)
{
    struct writer w;
    begin(&w, out, q);
    unsigned char *owner = w.at;
    put_addresses(&w, q, rule);
    if (w.answers > 0)
        set16(owner, 0xC000 | (unsigned)(owner - out));
    return end(&w);
}

static ssize_t cname_loop(unsigned char *out, const struct sup_dns_query *q,
                          const struct sup_dns_rule *rule)
{
    static const unsigned char itself[2] = {0xC0, HEADER_BYTES};
    struct writer w;
    begin(&w, out, q);
    put_record(&w, SUP_DNS_CNAME, rule->ttl, itself, sizeof(itself));
    return end(&w);
}

static ssize_t dangling(unsigned char *out, const struct sup_dns_query *q,
                        const struct sup_dns_rule *rule)
{
    struct writer w;
    begin(&w, out, q);
    put_record(&w, SUP_DNS_CNAME, rule->ttl, "\007nowhere", 9);
    set_flags(&w, NXDOMAIN);
    return end(&w);
}

static ssize_t other_type(unsigned char *out, const struct sup_dns_query *q,
                          const struct sup_dns_rule *rule)
{
    struct writer w;
    begin(&w, out, q);
    put_record(&w, SUP_DNS_TXT, rule->ttl, "\005hello", 6);
    return end(&w);
}

/* Changes one letter of the name in the echoed question: "a" is taken for "b". */
static ssize_t wrong_question(unsigned char *out, const struct sup_dns_query *q,
                              const struct sup_dns_rule *rule, bool tcp)
{
    ssize_t bytes = answer(out, q, rule, tcp);
    if (out[HEADER_BYTES] > 0)
        out[HEADER_BYTES + 1] = out[HEADER_BYTES + 1] == 'b' ? 'a' : 'b';
    return bytes;
}

ssize_t sup_dns_build(unsigned char *out, const struct sup_dns_query *q,
                      const struct sup_dns_rule *rule, bool tcp)
{
    ssize_t bytes;
    switch (rule->reply) {
    case SUP_DNS_NODATA:
        return failure(out, q, NOERROR);
    case SUP_DNS_NXDOMAIN:
        return failure(out, q, NXDOMAIN);
    case SUP_DNS_SERVFAIL:
        return failure(out, q, SERVFAIL);
    case SUP_DNS_REFUSED:
        return failure(out, q, REFUSED);
    case SUP_DNS_FORMERR:
        return failure(out, q, FORMERR);
    case SUP_DNS_SILENT:
        return -1;
    case SUP_DNS_TRUNCATED:
    case SUP_DNS_TRUNCATED_CUT:
        return tcp ? answer(out, q, rule, true) : truncated(out, q);
    case SUP_DNS_TRUNCATED_DEAF:
        return tcp ? -1 : truncated(out, q);
    case SUP_DNS_WRONG_ID:
        bytes = answer(out, q, rule, tcp);
        out[0] ^= 0x55;
        return bytes;
    case SUP_DNS_WRONG_QUESTION:
        return wrong_question(out, q, rule, tcp);
    case SUP_DNS_GARBAGE:
        return garbage(out, q);
    case SUP_DNS_SHORT:
        failure(out, q, NOERROR);
        return 5;
    case SUP_DNS_EMPTY:
        return 0;
    case SUP_DNS_POINTER_LOOP:
        return pointer_loop(out, q, rule);
    case SUP_DNS_HALF_RECORD:
        bytes = answer(out, q, rule, tcp);
        return bytes - 2;
    case SUP_DNS_CNAME_LOOP:
        return cname_loop(out, q, rule);
    case SUP_DNS_DANGLING:
        return dangling(out, q, rule);
    case SUP_DNS_OTHER_TYPE:
        return other_type(out, q, rule);
    case SUP_DNS_ANSWER:
    case SUP_DNS_TWICE:
        return answer(out, q, rule, tcp);
    }
    return -1;
}
