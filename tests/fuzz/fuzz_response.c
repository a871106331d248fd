/* SPDX-License-Identifier: MIT */
/* Response heads.  Input: a byte of options, a byte that seeds the pieces, the bytes of the server.
 *
 * Parsing whole and in pieces gives the same; fields lie inside the head and have legal bytes; the plan
 * for the body is consistent with the head; a list takes every field that the parser took. */
#include <string.h>

#include <thrum/error.h>

#include "http/body.h"
#include "http/parse.h"

#include "check.h"

struct parsed {
    ssize_t rc;
    struct thr_response r;
    struct thr_field fields[THR_HEAD_FIELDS_DEFAULT];
};

static struct thr_parse_opts opts_of(uint8_t byte)
{
    struct thr_parse_opts opts = {.bare_lf_refused = byte & 1};
    if (byte & 2)
        opts.limits.bytes_max = 100;
    if (byte & 4)
        opts.limits.line_bytes_max = 40;
    if (byte & 8)
        opts.limits.fields_max = 2;
    return opts;
}

/* Parses with the bytes arriving in pieces (all at once for seed 0), in a new buffer each time. */
static void parse(struct parsed *out, const char *text, size_t len, uint8_t byte, uint32_t seed)
{
    struct thr_parse p;
    struct thr_parse_opts opts = opts_of(byte);
    thr_parse_init(&p, out->fields, THR_HEAD_FIELDS_DEFAULT, &opts);
    out->rc = 0;
    for (size_t n = 0; n < len && out->rc == 0;) {
        n += piece(&seed, 20, len - n);
        char *copy = malloc(n);
        memcpy(copy, text, n);
        out->rc = thr_parse_response(&p, copy, n, &out->r);
        free(copy);
    }
    if (out->rc > 0) { /* the copies are gone; offsets are what counts */
        out->r.fields.base = text;
        out->r.reason.ptr = text + p.reason_at;
    }
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
    CHECK(a->rc == b->rc);
    if (a->rc <= 0)
        return;
    CHECK(a->r.status == b->r.status && a->r.minor == b->r.minor);
    CHECK(a->r.reason.ptr == b->r.reason.ptr && a->r.reason.len == b->r.reason.len);
    CHECK(a->r.fields.n == b->r.fields.n);
    CHECK(memcmp(a->fields, b->fields, a->r.fields.n * sizeof(a->fields[0])) == 0);
}

static void check_fields(const struct parsed *p, const char *text)
{
    struct thr_headers h;
    const char *end = text + p->rc;
    CHECK(p->r.status >= 100 && p->r.status <= 999 && p->r.minor <= 1);
    CHECK(p->r.reason.ptr + p->r.reason.len <= end);
    for (size_t i = 0; i < p->r.fields.n; i++) {
        struct thr_text name = thr_fields_name(p->r.fields, i);
        struct thr_text value = thr_fields_value(p->r.fields, i);
        CHECK(name.ptr > text && value.ptr + value.len <= end && name.ptr + name.len < value.ptr);
        CHECK(thr_header_name_ok(name) && thr_header_value_ok(value));
        CHECK(thr_text_trim(value).len == value.len);
    }
    thr_headers_init(&h, NULL);
    CHECK(thr_headers_add_all(&h, p->r.fields) == 0);
    CHECK(h.n == p->r.fields.n);
    thr_headers_fini(&h);
}

static void check_plan(const struct thr_response *r)
{
    static const char *const methods[] = {"GET", "HEAD", "CONNECT", "POST"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct thr_body_plan plan;
        struct thr_text value;
        int err = thr_body_plan(&plan, methods[i], r);
        CHECK(err == 0 || err == THRUM_EHTTP_PROTOCOL || err == THRUM_EHTTP_ENCODING);
        if (err)
            continue;
        CHECK(plan.length <= INT64_MAX && plan.idle_timeout_s <= 86400);
        if (plan.kind == THR_BODY_CLOSE)
            CHECK(!plan.reusable && !thr_fields_get(r->fields, "content-length", &value));
        if (plan.kind == THR_BODY_LENGTH)
            CHECK(!thr_fields_get(r->fields, "transfer-encoding", &value));
        if (strcmp(methods[i], "HEAD") == 0)
            CHECK(plan.kind == THR_BODY_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 2;
    struct parsed whole, pieces;
    parse(&whole, text, size - 2, data[0], 0);
    parse(&pieces, text, size - 2, data[0], data[1] + 1u);
    check_same(&whole, &pieces);
    CHECK(whole.rc >= 0 || whole.rc == THRUM_EHTTP_PROTOCOL ||
          whole.rc == THRUM_EHTTP_HEADER_LIMIT);
    if (whole.rc > 0) {
        check_fields(&whole, text);
        check_plan(&whole.r);
    }
    return 0;
}
