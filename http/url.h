/* SPDX-License-Identifier: MIT */
/* http/url.h: what the files of the URL parser share.  The public part is thrum/url.h.
 *
 * url_host.c knows hosts, url_split.c cuts a text into parts, url.c puts a URL together and gives it
 * out.  Faults are told as a static sentence part; NULL means none. */
#ifndef THR_HTTP_URL_H
#define THR_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <thrum/common.h>
#include <thrum/url.h>

#include "http/header.h"

/* The longest host name that DNS can hold, and a dot behind it. */
#define THR_URL_HOST_MAX 254

enum thr_url_host_kind {
    THR_URL_HOST_NAME,
    THR_URL_HOST_IPV4,
    THR_URL_HOST_IPV6,
};

struct thr_url_host {
    enum thr_url_host_kind kind;
    char text[THR_URL_HOST_MAX + 1]; /* canonical; IPv6 without brackets */
};

enum thr_url_scheme {
    THR_URL_SCHEME_NONE, /* there is no base */
    THR_URL_SCHEME_HTTP,
    THR_URL_SCHEME_HTTPS,
    THR_URL_SCHEME_WS,
    THR_URL_SCHEME_WSS,
    THR_URL_SCHEME_OTHER,
};

/* A URL or relative reference cut into parts, which are spans of the text that was cut. */
struct thr_url_parts {
    enum thr_url_scheme scheme; /* the base's where the text has none */
    bool has_authority; /* always without a base; else host, port, user and password mean nothing */
    bool has_user;
    bool has_password;
    bool has_query;
    bool has_fragment;
    bool path_is_absolute; /* it starts with a slash */
    uint16_t port;         /* 0 with port_given false: the scheme's default */
    bool port_given;
    struct thr_text user;
    struct thr_text password;
    struct thr_text path;
    struct thr_text query;
    struct thr_text fragment;
    struct thr_url_host host;
    size_t guarded; /* up to here in the text lie scheme and authority */
};

/* Parses the text between the end of the userinfo and the port: a domain, an IPv4 address in any form that
 * WHATWG knows, or an IPv6 address in brackets. */
const char *thr_url_host_parse(struct thr_url_host *out, struct thr_text text);

/* Cuts text, which is trimmed and has no NUL, tab, CR or LF.  base_scheme is NONE for an absolute URL. */
const char *thr_url_split(struct thr_url_parts *out, struct thr_text text,
                          enum thr_url_scheme base_scheme);

/* The value of a hexadecimal digit, or -1. */
int thr_url_hex(char c);

/* If text has a percent-encoded byte at its front, that byte, else -1. */
int thr_url_percent(struct thr_text text);

#endif
