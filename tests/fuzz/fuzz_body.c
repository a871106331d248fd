/* SPDX-License-Identifier: MIT */
/* Body framing.  Input: a byte of options, a byte that seeds the pieces, the bytes of the server.
 *
 * Fed whole and in pieces, the same body comes out with the same end; the decoder always moves, never takes
 * what is behind the body, and gives out parts of its input only. */
#include <string.h>

#include <thrum/error.h>

#include "http/body.h"

#include "check.h"

struct outcome {
    int err;
    bool done;
    size_t used;
    size_t n;
    size_t trailers_n;
    char *data; /* as large as the input */
};

static void feed_piece(struct outcome *o, struct thr_body *b, const char *in, size_t n)
{
    char *copy = malloc(n);
    memcpy(copy, in, n);
    for (size_t at = 0; at < n && !o->err && !b->done;) {
        size_t used;
        struct thr_text data;
        o->err = thr_body_feed(b, copy + at, n - at, &used, &data);
        CHECK(used <= n - at);
        CHECK(o->err || used || b->error);
        CHECK(data.ptr >= copy + at && data.ptr + data.len <= copy + at + used);
        memcpy(o->data + o->n, data.ptr, data.len);
        o->n += data.len;
        o->used += used;
        at += used;
    }
    free(copy);
}

static struct outcome feed(const char *in, size_t n, uint8_t byte, uint32_t seed)
{
    static const enum thr_body_kind kinds[] = {THR_BODY_CHUNKED, THR_BODY_CHUNKED, THR_BODY_LENGTH,
                                               THR_BODY_CLOSE};
    struct outcome o = {.data = malloc(n + 1)};
    struct thr_headers trailers;
    thr_headers_init(&trailers, NULL);
    struct thr_body_plan plan = {.kind = kinds[byte & 3], .length = byte >> 5};
    struct thr_body_opts opts = {.trailers = byte & 4 ? &trailers : NULL};
    if (byte & 8)
        opts = (struct thr_body_opts){.bytes_max = 20,
                                      .extension_bytes_max = 5,
                                      .trailer_bytes_max = 30,
                                      .trailers = opts.trailers};
    struct thr_body b;
    thr_body_init(&b, &plan, &opts);
    for (size_t at = 0; at < n && !o.err && !b.done;) {
        size_t taken = piece(&seed, 12, n - at);
        feed_piece(&o, &b, in + at, taken);
        at += taken;
    }
    o.done = b.done;
    if (!o.err)
        o.err = thr_body_end(&b);
    CHECK(b.bytes == o.n && o.n <= b.bytes_max);
    o.trailers_n = trailers.n;
    thr_body_fini(&b);
    thr_headers_fini(&trailers);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *in = (const char *)data + 2;
    struct outcome whole = feed(in, size - 2, data[0], 0);
    struct outcome pieces = feed(in, size - 2, data[0], data[1] + 1u);
    CHECK(whole.err == pieces.err && whole.done == pieces.done && whole.n == pieces.n);
    CHECK(memcmp(whole.data, pieces.data, whole.n) == 0);
    CHECK(whole.err || whole.used == pieces.used);
    CHECK(whole.err || whole.trailers_n == pieces.trailers_n);
    free(whole.data);
    free(pieces.data);
    return 0;
}
