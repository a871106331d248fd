/* SPDX-License-Identifier: MIT */
/* Content decoding.  Input: a byte that selects the coding, a byte that seeds the pieces, the encoded bytes.
 *
 * Decoded whole and in pieces, the same comes out or the same error; never more than the limit. */
#include <string.h>

#include <thrum/error.h>

#include "http/decode.h"

#include "check.h"

#define OUT_MAX 100000

struct outcome {
    int err;
    size_t n;
    char *out;
};

static struct thr_decode *decoder(uint8_t byte)
{
    static const char *const codings[] = {"gzip", "deflate", "gzip, deflate", "deflate, gzip"};
    struct thr_headers h;
    struct thr_decode *d;
    thr_headers_init(&h, NULL);
    CHECK(thr_headers_add(&h, thr_text_of("content-encoding"), thr_text_of(codings[byte & 3])) ==
          0);
    struct thr_decode_opts opts = {.bytes_max = OUT_MAX};
    CHECK(thr_decode_new(&d, thr_headers_view(&h), &opts) == 0);
    thr_headers_fini(&h);
    return d;
}

static struct outcome decode(const char *in, size_t n, uint8_t byte, uint32_t seed)
{
    struct outcome o = {.out = malloc(OUT_MAX + 1)};
    struct thr_decode *d = decoder(byte);
    size_t at = 0;
    while (!o.err) {
        size_t offered = at < n ? piece(&seed, 30, n - at) : 0;
        size_t cap = piece(&seed, 100, OUT_MAX + 1 - o.n), used, made;
        char *copy = malloc(offered + 1);
        memcpy(copy, in + at, offered);
        o.err = thr_decode_feed(d, copy, offered, &used, o.out + o.n, cap, &made);
        free(copy);
        CHECK(used <= offered && made <= cap);
        CHECK(o.err || used == offered || made == cap);
        at += used;
        o.n += made;
        CHECK(o.n <= OUT_MAX || o.err == THRUM_EHTTP_BOMB);
        if (!o.err && at == n && made < cap)
            break;
    }
    if (!o.err)
        o.err = thr_decode_end(d);
    CHECK(thr_decode_end(d) == o.err);
    thr_decode_free(d);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *in = (const char *)data + 2;
    struct outcome whole = decode(in, size - 2, data[0], 0);
    struct outcome pieces = decode(in, size - 2, data[0], data[1] + 1u);
    CHECK(whole.err == pieces.err);
    CHECK(whole.err || (whole.n == pieces.n && memcmp(whole.out, pieces.out, whole.n) == 0));
    free(whole.out);
    free(pieces.out);
    return 0;
}
