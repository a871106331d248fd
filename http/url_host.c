/* SPDX-License-Identifier: MIT */
/* Hosts of URLs (WHATWG URL, 3.5): domains, IPv4 in all its spellings, IPv6.
 *
 * The odd spellings of IPv4 matter to whoever filters addresses: http://0x7f.1/ is 127.0.0.1 in every
 * browser, so it must be here, before any filter sees the host. */
#include "http/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

int thr_url_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int thr_url_percent(struct thr_text text)
{
    if (text.len < 3 || text.ptr[0] != '%')
        return -1;
    int high = thr_url_hex(text.ptr[1]);
    int low = thr_url_hex(text.ptr[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* ---- IPv4 ---- */

/* A part of an IPv4 address: decimal, 0x hexadecimal or 0 octal.  Values over 32 bits stay over 32 bits.
 * Returns false if it is not a number. */
static bool ipv4_number(struct thr_text text, uint64_t *out)
{
    int radix = 10;
    if (text.len >= 2 && text.ptr[0] == '0') {
        bool hex = text.ptr[1] == 'x' || text.ptr[1] == 'X';
        radix = hex ? 16 : 8;
        text.ptr += hex ? 2 : 1;
        text.len -= hex ? 2 : 1;
    } else if (text.len == 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = thr_url_hex(text.ptr[i]);
        if (digit < 0 || digit >= radix)
            return false;
        value = value * (unsigned)radix + (unsigned)digit;
        if (value > UINT32_MAX)
            value = UINT64_C(1) << 32;
    }
    *out = value;
    return true;
}

/* The host without one dot at its end. */
static struct thr_text without_last_dot(struct thr_text host)
{
    if (host.len && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

/* What follows the last dot. */
static struct thr_text last_label(struct thr_text host)
{
    size_t at = host.len;
    while (at && host.ptr[at - 1] != '.')
        at--;
    return (struct thr_text){host.ptr + at, host.len - at};
}

/* Whether the host is meant as an IPv4 address: then it must be one. */
static bool ends_in_number(struct thr_text host)
{
    struct thr_text label = last_label(without_last_dot(host));
    uint64_t value;
    size_t digits = 0;
    while (digits < label.len && label.ptr[digits] >= '0' && label.ptr[digits] <= '9')
        digits++;
    return label.len && (digits == label.len || ipv4_number(label, &value));
}

static const char *ipv4_parse(struct thr_url_host *out, struct thr_text host)
{
    uint64_t parts[4], address = 0;
    size_t n = 0;
    host = without_last_dot(host);
    for (bool last = false; !last; n++) {
        const char *dot = memchr(host.ptr, '.', host.len);
        size_t len = dot ? (size_t)(dot - host.ptr) : host.len;
        last = !dot;
        if (n == 4)
            return "the IPv4 address has more than four parts";
        if (!ipv4_number((struct thr_text){host.ptr, len}, &parts[n]))
            return "the IPv4 address has a part that is not a number";
        if (!last)
            host = (struct thr_text){dot + 1, host.len - len - 1};
    }
    for (size_t i = 0; i + 1 < n; i++) {
        if (parts[i] > 255)
            return "the IPv4 address has a part above 255";
        address |= parts[i] << (8 * (3 - i));
    }
    if (parts[n - 1] >= UINT64_C(1)
                            << (8 * (5 - n))) /* the last part fills what the others leave */
        return "the IPv4 address is out of range";
    address |= parts[n - 1];
    out->kind = THR_URL_HOST_IPV4;
    snprintf(out->text, sizeof(out->text), "%u.%u.%u.%u", (unsigned)(address >> 24),
             (unsigned)(address >> 16 & 255), (unsigned)(address >> 8 & 255),
             (unsigned)(address & 255));
    return NULL;
}

/* ---- IPv6 ---- */

/* Finds the first longest run of at least two zero pieces: *at and its length, 0 if there is none. */
static size_t zero_run(const uint16_t pieces[8], size_t *at)
{
    size_t best = 1;
    for (size_t i = 0; i < 8; i++) {
        size_t n = 0;
        while (i + n < 8 && pieces[i + n] == 0)
            n++;
        if (n > best) {
            best = n;
            *at = i;
        }
        i += n;
    }
    return best > 1 ? best : 0;
}

/* Writes the address as WHATWG does, which has no dotted form for mapped addresses (inet_ntop has). */
static void ipv6_write(struct thr_url_host *out, const uint16_t pieces[8])
{
    size_t run_at = 8;
    size_t run = zero_run(pieces, &run_at);
    size_t n = 0;
    for (size_t i = 0; i < 8; i++) {
        if (run && i == run_at) {
            n += (size_t)snprintf(out->text + n, sizeof(out->text) - n, i ? ":" : "::");
            i += run - 1;
            continue;
        }
        n += (size_t)snprintf(out->text + n, sizeof(out->text) - n, i < 7 ? "%x:" : "%x",
                              (unsigned)pieces[i]);
    }
}

/* The text between the brackets.  inet_pton() takes what WHATWG takes: no zone, no leading zeros in an
 * embedded IPv4 address. */
static const char *ipv6_parse(struct thr_url_host *out, struct thr_text text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    uint16_t pieces[8];
    if (text.len < sizeof(copy)) {
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    }
    if (text.len >= sizeof(copy) || inet_pton(AF_INET6, copy, bytes) != 1)
        return "the IPv6 address is not valid";
    for (size_t i = 0; i < 8; i++)
        pieces[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    out->kind = THR_URL_HOST_IPV6;
    ipv6_write(out, pieces);
    return NULL;
}

/* ---- domains ---- */

/* Forbidden domain code points; control bytes and bytes above 0x7E are judged apart. */
static bool is_forbidden(int c)
{
    return c && strchr(" #/:<>?@[\\]^|%", c) != NULL;
}

static const char *name_parse(struct thr_url_host *out, struct thr_text text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = thr_url_percent((struct thr_text){text.ptr + i, text.len - i});
        if (c >= 0)
            i += 2;
        else
            c = (unsigned char)text.ptr[i];
        if (c <= 0x20 || c == 0x7F)
            return "the host has a space or control byte";
        if (c > 0x7F)
            return "the host is not ASCII (write it in its xn-- form)";
        if (is_forbidden(c))
            return "the host has a character that no host may have";
        if (n == THR_URL_HOST_MAX)
            return "the host is too long";
        out->text[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    out->text[n] = '\0';
    if (n == 0 || (n == 1 && out->text[0] == '.'))
        return "the host is empty";
    if (n == THR_URL_HOST_MAX && out->text[n - 1] != '.')
        return "the host is too long";
    out->kind = THR_URL_HOST_NAME;
    return NULL;
}

const char *thr_url_host_parse(struct thr_url_host *out, struct thr_text text)
{
    if (text.len && text.ptr[0] == '[') {
        if (text.len < 2 || text.ptr[text.len - 1] != ']')
            return "the IPv6 address has no closing bracket";
        return ipv6_parse(out, (struct thr_text){text.ptr + 1, text.len - 2});
    }
    const char *why = name_parse(out, text);
    if (!why && ends_in_number(thr_text_of(out->text)))
        why = ipv4_parse(out, thr_text_of(out->text)); /* which writes only when it has read all */
    return why;
}
