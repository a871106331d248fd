/* SPDX-License-Identifier: MIT */
/* Cuts a URL or relative reference into its parts (the states of the WHATWG basic URL parser, up to where
 * it would build the path). */
#include "http/url.h"

#include <string.h>

static struct thr_text skip(struct thr_text text, size_t n)
{
    return (struct thr_text){text.ptr + n, text.len - n};
}

static bool is_slash(char c)
{
    return c == '/' || c == '\\';
}

/* The length of the scheme at the front without its colon; 0 if there is none. */
static size_t scheme_len(struct thr_text text)
{
    size_t i = 0;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !later))
            break;
    }
    return i < text.len && text.ptr[i] == ':' ? i : 0;
}

static enum thr_url_scheme scheme_of(struct thr_text name)
{
    if (name.len == 0)
        return THR_URL_SCHEME_NONE;
    if (thr_text_is(name, "https"))
        return THR_URL_SCHEME_HTTPS;
    if (thr_text_is(name, "http"))
        return THR_URL_SCHEME_HTTP;
    if (thr_text_is(name, "wss"))
        return THR_URL_SCHEME_WSS;
    return thr_text_is(name, "ws") ? THR_URL_SCHEME_WS : THR_URL_SCHEME_OTHER;
}

/* port = *DIGIT; an empty one is the default. */
static const char *port_parse(struct thr_url_parts *out, struct thr_text text)
{
    unsigned port = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)((unsigned char)text.ptr[i] - '0');
        if (digit > 9)
            return "the port is not a number";
        port = port * 10 + digit;
        if (port > UINT16_MAX)
            return "the port is above 65535";
    }
    out->port_given = text.len > 0;
    out->port = (uint16_t)port;
    return NULL;
}

/* Where the port's colon is, or the end: colons in brackets belong to an IPv6 address. */
static size_t host_len(struct thr_text text)
{
    const char *from = text.ptr;
    if (text.len && text.ptr[0] == '[') {
        const char *bracket = memchr(text.ptr, ']', text.len);
        if (bracket)
            from = bracket;
    }
    size_t before = (size_t)(from - text.ptr);
    const char *colon = memchr(from, ':', text.len - before);
    return colon ? (size_t)(colon - text.ptr) : text.len;
}

static void userinfo_parse(struct thr_url_parts *out, struct thr_text text)
{
    const char *colon = memchr(text.ptr, ':', text.len);
    size_t user_n = colon ? (size_t)(colon - text.ptr) : text.len;
    out->user = (struct thr_text){text.ptr, user_n};
    out->has_user = text.len > 0;
    out->has_password = colon != NULL;
    if (colon)
        out->password = skip(text, user_n + 1);
}

/* authority = [ userinfo "@" ] host [ ":" port ].  The last @ counts, as in browsers. */
static const char *authority_parse(struct thr_url_parts *out, struct thr_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\\')
            return "there is a backslash in the host";
        if (c <= 0x20 || c == 0x7F)
            return "the host has a space or control byte";
    }
    const char *at = text.len ? memrchr(text.ptr, '@', text.len) : NULL;
    if (at) {
        size_t n = (size_t)(at - text.ptr);
        userinfo_parse(out, (struct thr_text){text.ptr, n});
        text = skip(text, n + 1);
    }
    if (text.len == 0)
        return "the host is empty";
    size_t n = host_len(text);
    const char *why = thr_url_host_parse(&out->host, (struct thr_text){text.ptr, n});
    if (!why && n < text.len)
        why = port_parse(out, skip(text, n + 1));
    out->has_authority = true;
    return why;
}

/* The number of slashes and backslashes at the front; *back says whether there is a backslash. */
static size_t slashes(struct thr_text text, bool *back)
{
    size_t n = 0;
    *back = false;
    for (; n < text.len && is_slash(text.ptr[n]); n++)
        *back = *back || text.ptr[n] == '\\';
    return n;
}

/* The number of bytes at the front before one of the set; the set is a string. */
static size_t until(struct thr_text text, const char *set)
{
    size_t n = 0;
    while (n < text.len && !(text.ptr[n] && strchr(set, text.ptr[n])))
        n++;
    return n;
}

/* What stands behind the authority, or the whole of a relative reference without one. */
static void tail_parse(struct thr_url_parts *out, struct thr_text text)
{
    size_t n = until(text, "?#");
    out->path = (struct thr_text){text.ptr, n};
    out->path_is_absolute = n && is_slash(text.ptr[0]);
    text = skip(text, n);
    if (text.len && text.ptr[0] == '?') {
        n = until(text, "#");
        out->has_query = true;
        out->query = (struct thr_text){text.ptr + 1, n - 1};
        text = skip(text, n);
    }
    if (text.len) {
        out->has_fragment = true;
        out->fragment = skip(text, 1);
    }
}

const char *thr_url_split(struct thr_url_parts *out, struct thr_text text,
                          enum thr_url_scheme base_scheme)
{
    struct thr_text rest = text;
    size_t n = scheme_len(text);
    *out = (struct thr_url_parts){.scheme = scheme_of((struct thr_text){text.ptr, n})};
    if (out->scheme == THR_URL_SCHEME_OTHER)
        return "the scheme is not http, https, ws or wss";
    if (n)
        rest = skip(text, n + 1);
    if (n == 0 && base_scheme == THR_URL_SCHEME_NONE)
        return "there is no scheme (http:// or https://)";

    bool back;
    size_t slashes_n = slashes(rest, &back);
    /* Against a base of the same scheme, `http:path` is relative; otherwise a scheme is followed by a
     * host, however many slashes there are. */
    bool relative = n == 0 || out->scheme == base_scheme;
    const char *why = NULL;
    if (!relative || slashes_n >= 2) {
        if (back)
            return "there is a backslash in front of the host";
        rest = skip(rest, slashes_n);
        size_t len = until(rest, "/?#");
        why = authority_parse(out, (struct thr_text){rest.ptr, len});
        rest = skip(rest, len);
    }
    if (n || out->has_authority)
        out->guarded = (size_t)(rest.ptr - text.ptr);
    if (n == 0)
        out->scheme = base_scheme;
    tail_parse(out, rest);
    return why;
}
