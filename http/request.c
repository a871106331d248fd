/* SPDX-License-Identifier: MIT */
/* The head of a request. */
#include "http/request.h"

#include <stdio.h>
#include <string.h>

#include <thrum/error.h>

/* Counts what is written even where there is no room for it, as snprintf does. */
struct out {
    char *buf;
    size_t cap;
    size_t n;
};

static void put(struct out *o, struct thr_text text)
{
    if (text.len && o->n <= o->cap && text.len <= o->cap - o->n)
        memcpy(o->buf + o->n, text.ptr, text.len);
    o->n += text.len;
}

static void put_string(struct out *o, const char *string)
{
    put(o, thr_text_of(string));
}

static void put_field(struct out *o, struct thr_text name, struct thr_text value)
{
    put(o, name);
    put_string(o, ": ");
    put(o, value);
    put_string(o, "\r\n");
}

/* A request target or host: visible ASCII, at least one byte.  A space would end the target, and a
 * server may read bytes above it in several ways. */
static bool is_visible(const char *string)
{
    const char *s = string;
    while (*s > 0x20 && *s < 0x7F)
        s++;
    return s != string && *s == '\0';
}

/* What the caller's fields have of the ones that this file would write. */
struct own {
    unsigned host_n;
    unsigned length_n;
    unsigned coding_n;
};

/* Takes note of a field; false if it contradicts the body that the request will have. */
static bool note_field(struct own *own, const struct thr_request *r, struct thr_text name,
                       struct thr_text value)
{
    uint64_t length;
    if (thr_text_is(name, "host")) {
        own->host_n++;
    } else if (thr_text_is(name, "content-length")) {
        own->length_n++;
        return r->body == THR_REQUEST_BODY_LENGTH && thr_text_to_u64(value, &length) &&
               length == r->body_len;
    } else if (thr_text_is(name, "transfer-encoding")) {
        own->coding_n++;
        return r->body == THR_REQUEST_BODY_CHUNKED && thr_text_is(value, "chunked");
    }
    return true;
}

static bool check_fields(struct own *own, const struct thr_request *r)
{
    for (size_t i = 0; i < r->fields.n; i++) {
        struct thr_text name = thr_fields_name(r->fields, i);
        struct thr_text value = thr_fields_value(r->fields, i);
        if (!thr_header_name_ok(name) || !thr_header_value_ok(value) ||
            !note_field(own, r, name, value))
            return false;
    }
    return own->host_n <= 1 && own->length_n <= 1 && own->coding_n <= 1;
}

static void put_framing(struct out *o, const struct thr_request *r, const struct own *own)
{
    char digits[24];
    if (r->body == THR_REQUEST_BODY_LENGTH && !own->length_n) {
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)r->body_len);
        put_field(o, thr_text_of("Content-Length"), thr_text_of(digits));
    }
    if (r->body == THR_REQUEST_BODY_CHUNKED && !own->coding_n)
        put_field(o, thr_text_of("Transfer-Encoding"), thr_text_of("chunked"));
}

ssize_t thr_request_write(const struct thr_request *r, char *buf, size_t cap)
{
    struct own own = {0};
    if (!thr_header_name_ok(thr_text_of(r->method)) || !is_visible(r->target) ||
        !is_visible(r->authority) || !check_fields(&own, r))
        return THRUM_EHTTP_REQUEST;

    struct out o = {.cap = cap};
    o.buf = buf;
    put_string(&o, r->method);
    put_string(&o, " ");
    put_string(&o, r->target);
    put_string(&o, " HTTP/1.1\r\n");
    if (!own.host_n) /* RFC 9110, 7.2 wants it first where the sender is free to choose */
        put_field(&o, thr_text_of("Host"), thr_text_of(r->authority));
    for (size_t i = 0; i < r->fields.n; i++)
        put_field(&o, thr_fields_name(r->fields, i), thr_fields_value(r->fields, i));
    put_framing(&o, r, &own);
    put_string(&o, "\r\n");
    return (ssize_t)o.n;
}

bool thr_request_is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(method, methods[i]) == 0)
            return true;
    return false;
}
