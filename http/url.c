/* SPDX-License-Identifier: MIT */
/* Puts URLs together: one allocation that holds every string an accessor gives out. */
#include <thrum/url.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>

#include "http/url.h"

#define ABSENT UINT32_MAX

/* data holds, each with its NUL: user, password, host, authority, text, fragment.  Target and query are the
 * ends of text, so the commonest strings cost nothing. */
struct thrum_url {
    uint32_t user_at;
    uint32_t password_at;
    uint32_t host_at;
    uint32_t authority_at;
    uint32_t text_at;
    uint32_t target_at;
    uint32_t query_at;
    uint32_t fragment_at;
    uint32_t path_len;
    uint32_t data_n;
    uint16_t port;
    uint8_t scheme;    /* enum thr_url_scheme */
    uint8_t host_kind; /* enum thr_url_host_kind */
    char data[];
};

/* What a URL is made from: the parts of a reference over a base, which is NULL if they are absolute. */
struct source {
    const struct thr_url_parts *parts;
    const thrum_url *base;
    bool normalise;
};

static const char *at(const thrum_url *url, uint32_t offset)
{
    return offset == ABSENT ? NULL : url->data + offset;
}

static const char *scheme_name(unsigned scheme)
{
    static const char *const names[] = {
        [THR_URL_SCHEME_HTTP] = "http",
        [THR_URL_SCHEME_HTTPS] = "https",
        [THR_URL_SCHEME_WS] = "ws",
        [THR_URL_SCHEME_WSS] = "wss",
    };
    return names[scheme];
}

static bool scheme_is_secure(unsigned scheme)
{
    return scheme == THR_URL_SCHEME_HTTPS || scheme == THR_URL_SCHEME_WSS;
}

static uint16_t scheme_port(unsigned scheme)
{
    return scheme_is_secure(scheme) ? 443 : 80;
}

/* ---- writing; capacity() has made room for everything ---- */

static void put(thrum_url *url, char c)
{
    url->data[url->data_n++] = c;
}

static void put_string(thrum_url *url, const char *string)
{
    size_t n = strlen(string);
    memcpy(url->data + url->data_n, string, n);
    url->data_n += (uint32_t)n;
}

static void put_percent(thrum_url *url, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    put(url, '%');
    put(url, digits[c >> 4]);
    put(url, digits[c & 15]);
}

/* A string of its own; NULL is absent. */
static uint32_t put_whole(thrum_url *url, const char *string)
{
    uint32_t offset = url->data_n;
    if (!string)
        return ABSENT;
    put_string(url, string);
    put(url, '\0');
    return offset;
}

static uint32_t put_decoded(thrum_url *url, struct thr_text text)
{
    uint32_t offset = url->data_n;
    for (size_t i = 0; i < text.len; i++) {
        int c = thr_url_percent((struct thr_text){text.ptr + i, text.len - i});
        put(url, c < 0 ? text.ptr[i] : (char)c);
        i += c < 0 ? 0 : 2;
    }
    put(url, '\0');
    return offset;
}

/* What cannot travel in a request line. */
static bool must_encode(unsigned char c)
{
    return c <= 0x20 || c >= 0x7F;
}

static void put_encoded(thrum_url *url, struct thr_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (must_encode(c))
            put_percent(url, c);
        else
            put(url, (char)c);
    }
}

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c > 0 && strchr("-._~", c));
}

/* A lone % becomes %25, or decoding what follows it could make an escape of it the next time. */
static void put_normalised(thrum_url *url, struct thr_text text, const char *encode)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char raw = (unsigned char)text.ptr[i];
        int c = thr_url_percent((struct thr_text){text.ptr + i, text.len - i});
        if (c >= 0)
            i += 2;
        if (is_unreserved(c))
            put(url, (char)c);
        else if (c >= 0)
            put_percent(url, (unsigned char)c);
        else if (must_encode(raw) || strchr(encode, raw))
            put_percent(url, raw);
        else
            put(url, (char)raw);
    }
}

/* ---- the path ---- */

/* 1 for a segment `.`, 2 for `..`, with either dot perhaps written %2e; else 0. */
static int dots(struct thr_text segment)
{
    int n = 0;
    for (size_t i = 0; i < segment.len; n++) {
        struct thr_text rest = {segment.ptr + i, segment.len - i};
        if (n == 2 || (*rest.ptr != '.' && thr_url_percent(rest) != '.'))
            return 0;
        i += *rest.ptr == '.' ? 1 : 3;
    }
    return n;
}

static void put_segment(thrum_url *url, struct thr_text segment, bool normalise)
{
    put(url, '/');
    if (normalise)
        put_normalised(url, segment, "\"#<>?^`{|}%");
    else
        put_encoded(url, segment);
}

/* Takes the last segment and its slash off the path, if there is one. */
static void pop_segment(thrum_url *url)
{
    if (url->data_n > url->target_at)
        while (url->data[--url->data_n] != '/')
            continue;
}

/* Appends the segments of path, which may start with its slash, to the path written so far. */
static void put_segments(thrum_url *url, struct thr_text path, bool normalise)
{
    size_t i = path.len && (path.ptr[0] == '/' || path.ptr[0] == '\\');
    for (bool more = true; more; i++) {
        size_t from = i;
        while (i < path.len && path.ptr[i] != '/' && path.ptr[i] != '\\')
            i++;
        struct thr_text segment = {path.ptr + from, i - from};
        more = i < path.len;
        int n = dots(segment);
        if (n == 2)
            pop_segment(url);
        if (n == 0)
            put_segment(url, segment, normalise);
        else if (!more)
            put(url, '/');
    }
}

static void put_path(thrum_url *url, const struct source *s)
{
    const struct thr_url_parts *p = s->parts;
    if (s->base && !p->has_authority && !p->path_is_absolute) {
        struct thr_text path = {thrum_url_target(s->base), s->base->path_len};
        memcpy(url->data + url->data_n, path.ptr, path.len);
        url->data_n += (uint32_t)path.len;
        if (p->path.len == 0)
            return;
        pop_segment(url); /* the reference stands in place of the base's last segment */
    }
    put_segments(url, p->path, s->normalise);
}

static void put_query(thrum_url *url, const struct source *s)
{
    const struct thr_url_parts *p = s->parts;
    bool inherits = s->base && !p->has_authority && p->path.len == 0 && !p->has_query;
    const char *inherited = inherits ? thrum_url_query(s->base) : NULL;
    if (!p->has_query && !inherited)
        return;
    put(url, '?');
    url->query_at = url->data_n;
    if (inherited)
        put_string(url, inherited);
    else if (s->normalise)
        put_normalised(url, p->query, "\"#<>'%");
    else
        put_encoded(url, p->query);
}

/* ---- the whole ---- */

/* Room for what put_all() writes: each byte of a reference of ref_len bytes may become three, what the
 * base has is copied. */
static size_t capacity(const thrum_url *base, size_t ref_len)
{
    const size_t scheme_hosts_nuls = 1024;
    return 3 * ref_len + (base ? base->data_n : 0) + scheme_hosts_nuls;
}

static void put_credentials(thrum_url *url, const struct source *s)
{
    const struct thr_url_parts *p = s->parts;
    if (p->has_authority) {
        url->user_at = p->has_user ? put_decoded(url, p->user) : ABSENT;
        url->password_at = p->has_password ? put_decoded(url, p->password) : ABSENT;
    } else {
        url->user_at = put_whole(url, thrum_url_user(s->base));
        url->password_at = put_whole(url, thrum_url_password(s->base));
    }
}

/* Host, port and the authority made of them. */
static void put_host(thrum_url *url, const struct source *s)
{
    const struct thr_url_parts *p = s->parts;
    uint16_t scheme_default = scheme_port(url->scheme);
    if (p->has_authority) {
        url->host_kind = (uint8_t)p->host.kind;
        url->port = p->port_given ? p->port : scheme_default;
        url->host_at = put_whole(url, p->host.text);
    } else {
        url->host_kind = s->base->host_kind;
        url->port = s->base->port;
        url->host_at = put_whole(url, thrum_url_host(s->base));
    }
    char digits[8] = "";
    if (url->port != scheme_default)
        snprintf(digits, sizeof(digits), ":%u", (unsigned)url->port);
    bool brackets = url->host_kind == THR_URL_HOST_IPV6;
    url->authority_at = url->data_n;
    put_string(url, brackets ? "[" : "");
    put_string(url, url->data + url->host_at);
    put_string(url, brackets ? "]" : "");
    put_whole(url, digits);
}

static void put_all(thrum_url *url, const struct source *s)
{
    const struct thr_url_parts *p = s->parts;
    url->scheme = (uint8_t)p->scheme;
    put_credentials(url, s);
    put_host(url, s);
    url->text_at = url->data_n;
    put_string(url, scheme_name(url->scheme));
    put_string(url, "://");
    put_string(url, url->data + url->authority_at);
    url->target_at = url->data_n;
    put_path(url, s);
    url->path_len = url->data_n - url->target_at;
    url->query_at = ABSENT;
    put_query(url, s);
    put(url, '\0');
    url->fragment_at = ABSENT;
    if (p->has_fragment) {
        url->fragment_at = url->data_n;
        put_encoded(url, p->fragment);
        put(url, '\0');
    }
}

static int build(thrum_url **out, const struct source *s, size_t ref_len, const char **why)
{
    thrum_url *url = malloc(sizeof(*url) + capacity(s->base, ref_len));
    if (!url)
        return -ENOMEM;
    memset(url, 0, sizeof(*url));
    put_all(url, s);
    if (strlen(thrum_url_text(url)) > THRUM_URL_BYTES_MAX) {
        free(url);
        *why = "the URL is too long";
        return THRUM_EHTTP_URL;
    }
    thrum_url *trimmed = realloc(url, sizeof(*url) + url->data_n);
    if (trimmed) /* where it cannot be made smaller it is right as it is */
        url = trimmed;
    *out = url;
    return 0;
}

/* ---- from text ---- */

static struct thr_text trim_controls(struct thr_text text)
{
    while (text.len && (unsigned char)text.ptr[0] <= 0x20) {
        text.ptr++;
        text.len--;
    }
    while (text.len && (unsigned char)text.ptr[text.len - 1] <= 0x20)
        text.len--;
    return text;
}

static bool is_break(char c)
{
    return c == '\t' || c == '\r' || c == '\n';
}

/* Copies text without its tabs and line ends to copy; returns the length. */
static size_t strip_breaks(char *copy, struct thr_text text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        if (!is_break(text.ptr[i]))
            copy[n++] = text.ptr[i];
    return n;
}

/* "%00" would end the decoded string early. */
static bool has_nul(struct thr_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (thr_url_percent((struct thr_text){text.ptr + i, text.len - i}) == 0)
            return true;
    return false;
}

/* Parses text, in which breaks were removed from breaks_at on (SIZE_MAX: none were). */
static int parse_clean(thrum_url **out, const thrum_url *base, struct thr_text text,
                       size_t breaks_at, const char **why)
{
    struct thr_url_parts parts;
    *why = thr_url_split(&parts, text, base ? base->scheme : THR_URL_SCHEME_NONE);
    if (!*why && (has_nul(parts.user) || has_nul(parts.password)))
        *why = "the user or password has a NUL byte";
    if (!*why && breaks_at <= parts.guarded && parts.guarded > 0)
        *why = "there is a tab or line end in the scheme or host";
    if (*why)
        return parts.scheme == THR_URL_SCHEME_OTHER ? THRUM_EHTTP_SCHEME : THRUM_EHTTP_URL;
    return build(out, &(struct source){.parts = &parts, .base = base}, text.len, why);
}

static int parse_text(thrum_url **out, const thrum_url *base, struct thr_text text,
                      const char **why)
{
    text = trim_controls(text);
    size_t breaks_at = 0;
    while (breaks_at < text.len && !is_break(text.ptr[breaks_at]))
        breaks_at++;
    if (breaks_at == text.len)
        return parse_clean(out, base, text, SIZE_MAX, why);

    char *copy = malloc(text.len);
    if (!copy)
        return -ENOMEM;
    size_t n = strip_breaks(copy, text);
    int err = parse_clean(out, base, (struct thr_text){copy, n}, breaks_at, why);
    free(copy);
    return err;
}

static int parse(thrum_url **out, const thrum_url *base, struct thr_text text, const char **why)
{
    const char *unasked;
    if (!why)
        why = &unasked;
    *out = NULL;
    *why = NULL;
    if (text.len > THRUM_URL_BYTES_MAX)
        *why = "the URL is too long";
    else if (text.len && memchr(text.ptr, '\0', text.len))
        *why = "the URL has a NUL byte";
    return *why ? THRUM_EHTTP_URL : parse_text(out, base, text, why);
}

int thrum_url_parse_n(thrum_url **out, const char *text, size_t len, const char **why)
{
    return parse(out, NULL, (struct thr_text){text, len}, why);
}

int thrum_url_parse(thrum_url **out, const char *text)
{
    return parse(out, NULL, thr_text_of(text), NULL);
}

int thrum_url_resolve(thrum_url **out, const thrum_url *base, const char *ref, size_t len,
                      const char **why)
{
    return parse(out, base, (struct thr_text){ref, len}, why);
}

int thrum_url_normalise(thrum_url **out, const thrum_url *url)
{
    const char *query = thrum_url_query(url), *unasked;
    struct thr_url_parts parts = {
        .scheme = url->scheme,
        .path = {thrum_url_target(url), url->path_len},
        .path_is_absolute = true,
        .has_query = query != NULL,
    };
    if (query)
        parts.query = thr_text_of(query);
    *out = NULL;
    struct source s = {.parts = &parts, .base = url, .normalise = true};
    return build(out, &s, parts.path.len + parts.query.len, &unasked);
}

int thrum_url_clone(thrum_url **out, const thrum_url *url)
{
    size_t bytes = sizeof(*url) + url->data_n;
    *out = malloc(bytes);
    if (!*out)
        return -ENOMEM;
    memcpy(*out, url, bytes);
    return 0;
}

void thrum_url_free(thrum_url *url)
{
    free(url);
}

/* ---- accessors ---- */

const char *thrum_url_text(const thrum_url *url)
{
    return at(url, url->text_at);
}

const char *thrum_url_scheme(const thrum_url *url)
{
    return scheme_name(url->scheme);
}

bool thrum_url_is_secure(const thrum_url *url)
{
    return scheme_is_secure(url->scheme);
}

const char *thrum_url_host(const thrum_url *url)
{
    return at(url, url->host_at);
}

bool thrum_url_host_is_ip(const thrum_url *url)
{
    return url->host_kind != THR_URL_HOST_NAME;
}

uint16_t thrum_url_port(const thrum_url *url)
{
    return url->port;
}

const char *thrum_url_authority(const thrum_url *url)
{
    return at(url, url->authority_at);
}

const char *thrum_url_target(const thrum_url *url)
{
    return at(url, url->target_at);
}

size_t thrum_url_path_len(const thrum_url *url)
{
    return url->path_len;
}

const char *thrum_url_query(const thrum_url *url)
{
    return at(url, url->query_at);
}

const char *thrum_url_fragment(const thrum_url *url)
{
    return at(url, url->fragment_at);
}

const char *thrum_url_user(const thrum_url *url)
{
    return at(url, url->user_at);
}

const char *thrum_url_password(const thrum_url *url)
{
    return at(url, url->password_at);
}

bool thrum_url_same_origin(const thrum_url *a, const thrum_url *b)
{
    return a->scheme == b->scheme && a->port == b->port &&
           strcmp(thrum_url_host(a), thrum_url_host(b)) == 0;
}
