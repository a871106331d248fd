/* SPDX-License-Identifier: MIT */
/* http/decode.h: undoes Content-Encoding while a body streams by, and refuses to be blown up by it.
 *
 * Codings: gzip (and x-gzip; several members one after another), deflate (zlib-wrapped as RFC 9110 says,
 * or bare as some servers send it, told apart by the first two bytes), identity; at most two of them.
 *
 * What follows the end of the compressed data is dropped, as browsers and gzip(1) do: the data before
 * it has been verified by its own checksum.  Only a further gzip member is read on.  A body of no bytes
 * at all is an empty body whatever coding it claims.
 *
 * Limits against decompression bombs: bytes given out, and their ratio to the bytes taken in once more
 * than 1 MiB was given out (64 MiB of zeros are 65 KB of gzip).  With two codings both limits hold for
 * the inner stage also, so that a bomb inside a bomb costs no more than one. */
#ifndef THR_HTTP_DECODE_H
#define THR_HTTP_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/common.h>

#include "http/header.h"

/* Zero is the default of every field. */
struct thr_decode_opts {
    uint64_t bytes_max; /* 1 GiB: decoded bytes */
    uint32_t ratio_max; /* 1,000: decoded bytes for each encoded byte, looked at above 1 MiB */
};

#define THR_DECODE_CODINGS_MAX 2
#define THR_DECODE_BYTES_DEFAULT (UINT64_C(1) << 30)
#define THR_DECODE_RATIO_DEFAULT 1000u
#define THR_DECODE_RATIO_FROM (UINT64_C(1) << 20)

struct thr_decode;

/* What an Accept-Encoding field may promise. */
#define THR_DECODE_ACCEPT "gzip, deflate"

/* Makes the decoder that the Content-Encoding of a response asks for; *out is NULL with 0 where it is
 * identity or absent: the bytes are to be passed on as they are.
 * Returns: 0, THRUM_EHTTP_ENCODING for a coding not known or too many of them, -ENOMEM.  opts may be NULL. */
THRUM_MUST_CHECK int thr_decode_new(struct thr_decode **out, struct thr_fields fields,
                                    const struct thr_decode_opts *opts);

/* NULL is allowed. */
void thr_decode_free(struct thr_decode *d);

/* Decodes from the in_n bytes at in into the out_cap bytes at out, until one of both is used up.
 *
 * *used and *made say how much was taken and given; at least one of them moves unless in_n and what is
 * pending are both nothing.  Call again with the rest of in while *used < in_n or *made == out_cap:
 * with in_n 0 what is pending inside comes out.
 *
 * Returns: 0, THRUM_EHTTP_ENCODING for damaged data, THRUM_EHTTP_BOMB, -ENOMEM; sticky.  The
 *          *made bytes are good on failure too.  out_cap > 0. */
THRUM_MUST_CHECK int thr_decode_feed(struct thr_decode *d, const char *in, size_t in_n,
                                     size_t *used, char *out, size_t out_cap, size_t *made);

/* Says that no more input comes; to be called once feed has given everything out (*made < out_cap).
 * Returns: 0, THRUM_EHTTP_TRUNCATED if the compressed data is not complete, or the earlier error. */
THRUM_MUST_CHECK int thr_decode_end(struct thr_decode *d);

#endif
