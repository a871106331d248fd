/* SPDX-License-Identifier: MIT */
/* Putting a request together. */
#include "http/outgoing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>

#include "exec/util.h"
#include "http/decode.h"
#include "http/request.h"

/* The fields of a request are bounded by memory and the server, not by the limits of a response. */
static const struct thr_head_limits request_limits = {
    .bytes_max = 16u << 20, .line_bytes_max = 16u << 20, .fields_max = 65536};

static int add(struct thr_outgoing *out, const char *name, const char *value)
{
    return thr_headers_add(&out->fields, thr_text_of(name), thr_text_of(value));
}

static bool has(const struct thr_outgoing *out, const char *name)
{
    struct thr_text value;
    return thr_fields_get(thr_headers_view(&out->fields), name, &value);
}

/* Adds a field of the client's own unless the caller has given one of that name. */
static int add_missing(struct thr_outgoing *out, const thrum_http_request *request,
                       const char *name, const char *value)
{
    struct thr_text wanted = thr_text_of(name);
    for (size_t i = 0; request && i < request->headers_n; i++) {
        const char *given = request->headers[i].name; /* NULL is refused later */
        if (given && thr_text_same(thr_text_of(given), wanted))
            return 0;
    }
    return add(out, name, value);
}

static void base64(char *out, const unsigned char *in, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; n > 0; in += 3, out += 4) {
        uint32_t bits = (uint32_t)in[0] << 16;
        bits |= n > 1 ? (uint32_t)in[1] << 8 : 0;
        bits |= n > 2 ? in[2] : 0;
        out[0] = digits[bits >> 18];
        out[1] = digits[bits >> 12 & 63];
        out[2] = n > 1 ? digits[bits >> 6 & 63] : '=';
        out[3] = n > 2 ? digits[bits & 63] : '=';
        n -= n < 3 ? n : 3;
    }
    *out = '\0';
}

/* Turns the URL's user and password into Basic authentication (RFC 7617), unless the caller has his own. */
static int add_credentials(struct thr_outgoing *out, const thrum_url *url)
{
    const char *user = thrum_url_user(url);
    const char *password = thrum_url_password(url);
    if (!user && !password)
        return 0;
    if (has(out, "Authorization") && !out->url_credentials)
        return 0;
    size_t user_n = user ? strlen(user) : 0;
    size_t password_n = password ? strlen(password) : 0;
    size_t plain_n = user_n + 1 + password_n;
    static const char scheme[] = "Basic ";
    char *plain = malloc(plain_n);
    char *value = malloc(sizeof(scheme) + (plain_n + 2) / 3 * 4);
    int err = plain && value ? 0 : -ENOMEM;
    if (!err) {
        if (user)
            memcpy(plain, user, user_n);
        plain[user_n] = ':';
        if (password)
            memcpy(plain + user_n + 1, password, password_n);
        memcpy(value, scheme, sizeof(scheme) - 1);
        base64(value + sizeof(scheme) - 1, (const unsigned char *)plain, plain_n);
        err = thr_headers_set(&out->fields, thr_text_of("Authorization"), thr_text_of(value));
        out->url_credentials = !err;
    }
    free(plain);
    free(value);
    return err;
}

/* The client's own fields come first, as those of browsers do. */
static int add_own_fields(struct thr_outgoing *out, const thrum_http_request *request,
                          const struct thr_outgoing_opts *opts)
{
    int err = 0;
    if (opts->user_agent[0])
        err = add_missing(out, request, "User-Agent", opts->user_agent);
    if (!err)
        err = add_missing(out, request, "Accept", "*/*");
    if (!err && opts->no_keepalive)
        err = add_missing(out, request, "Connection", "close");
    return err;
}

static int add_callers_fields(struct thr_outgoing *out, const thrum_http_request *request)
{
    int err = 0;
    for (size_t i = 0; request && i < request->headers_n && !err; i++) {
        const thrum_http_header *h = &request->headers[i];
        err = h->name && h->value ? add(out, h->name, h->value) : THRUM_EHTTP_REQUEST;
    }
    return err;
}

/* Whoever asks for a coding, or for a part of the encoded bytes, himself gets what the server sends. */
static int choose_coding(struct thr_outgoing *out, const struct thr_outgoing_opts *opts)
{
    out->decode = !opts->no_decode && !has(out, "Accept-Encoding") && !has(out, "Range");
    return out->decode ? add(out, "Accept-Encoding", THR_DECODE_ACCEPT) : 0;
}

static int choose_method(struct thr_outgoing *out, const thrum_http_request *request)
{
    out->body = request ? request->body : NULL;
    out->body_bytes = request ? request->body_bytes : 0;
    if (!out->body && out->body_bytes)
        return THRUM_EHTTP_REQUEST;
    out->has_body = out->body != NULL;
    out->method = request && request->method ? request->method : out->has_body ? "POST" : "GET";
    if (strcmp(out->method, "CONNECT") == 0) /* would turn the connection into a tunnel */
        return THRUM_EHTTP_REQUEST;
    if (strcmp(out->method, "POST") == 0 || strcmp(out->method, "PUT") == 0 ||
        strcmp(out->method, "PATCH") == 0)
        out->has_body = true; /* RFC 9110, 8.6: a length of 0 is said, too */
    return 0;
}

int thr_outgoing_init(struct thr_outgoing *out, const thrum_http_request *request,
                      const thrum_url *url, const struct thr_outgoing_opts *opts)
{
    memset(out, 0, sizeof(*out));
    thr_headers_init(&out->fields, &request_limits);
    int err = choose_method(out, request);
    if (!err)
        err = add_own_fields(out, request, opts);
    if (!err)
        err = add_callers_fields(out, request);
    if (!err)
        err = choose_coding(out, opts);
    if (!err)
        err = add_credentials(out, url);
    out->close = opts->no_keepalive ||
                 thr_fields_has_item(thr_headers_view(&out->fields), "Connection", "close");
    return err;
}

void thr_outgoing_fini(struct thr_outgoing *out)
{
    thr_headers_fini(&out->fields);
}

/* Copies the fields that the redirect leaves. */
static int filter(struct thr_headers *kept, struct thr_fields fields, const struct thr_redirect *to)
{
    int err = 0;
    for (size_t i = 0; i < fields.n && !err; i++) {
        struct thr_text name = thr_fields_name(fields, i);
        bool goes = to->drop_body && thr_redirect_is_of_body(name.ptr, name.len);
        if (to->drop_secrets)
            goes |= thr_redirect_is_secret(name.ptr, name.len) || thr_text_is(name, "Host");
        if (!goes)
            err = thr_headers_add(kept, name, thr_fields_value(fields, i));
    }
    return err;
}

int thr_outgoing_redirect(struct thr_outgoing *out, const struct thr_redirect *to)
{
    struct thr_headers kept;
    thr_headers_init(&kept, &request_limits);
    int err = filter(&kept, thr_headers_view(&out->fields), to);
    if (err) {
        thr_headers_fini(&kept);
        return err;
    }
    thr_headers_fini(&out->fields);
    out->fields = kept;
    out->method = to->method;
    if (to->drop_body) {
        out->has_body = false;
        out->body = NULL;
        out->body_bytes = 0;
    }
    return add_credentials(out, to->url);
}

ssize_t thr_outgoing_head(const struct thr_outgoing *out, const thrum_url *url, char **head)
{
    *head = NULL;
    const struct thr_request request = {
        .method = out->method,
        .target = thrum_url_target(url),
        .authority = thrum_url_authority(url),
        .fields = thr_headers_view(&out->fields),
        .body = out->has_body ? THR_REQUEST_BODY_LENGTH : THR_REQUEST_BODY_NONE,
        .body_len = out->body_bytes,
    };
    ssize_t n = thr_request_write(&request, NULL, 0);
    if (n < 0)
        return n;
    *head = malloc((size_t)n);
    if (!*head)
        return -ENOMEM;
    return thr_request_write(&request, *head, (size_t)n);
}
