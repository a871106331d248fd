/* SPDX-License-Identifier: MIT */
/* http/parse.h: the head of an HTTP/1 response, and bare field sections (trailers).  RFC 9112.
 *
 * The parser does no I/O and no allocation and copies nothing.  The caller keeps the bytes of the head
 * in one contiguous buffer, appends what arrives, and calls again with the same start and the
 * longer length; the buffer may move between calls, since everything is kept as offsets from its
 * start.  Each byte is scanned once however the bytes arrive, and the outcome depends on the bytes
 * alone, not on how they were split.
 *
 * Strict where leniency is how requests are smuggled: no folded lines, no space before the colon, no
 * control bytes, a CR only before an LF, no empty line before the status line.  Lenient in two things
 * that RFC 9112 allows a client and that real servers need: a line may end in a bare LF (unless
 * opts.bare_lf_refused), and the space after the status code may be missing with the reason.
 *
 * Typical use:
 *
 *     thr_parse_init(&p, fields, fields_n, NULL);
 *     for (;;) {
 *         ssize_t head_n = thr_parse_response(&p, buf, len, &r);
 *         if (head_n == 0)                            read more behind buf + len, and try again
 *         else if (head_n > 0 && thr_response_is_interim(&r))
 *             drop head_n bytes off the front of buf, err = thr_parse_next(&p), and try again
 *         else                                        done (the body starts at buf + head_n), or failed
 *     }
 */
#ifndef THR_HTTP_PARSE_H
#define THR_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/common.h>

#include "http/header.h"

/* How many 1xx responses may precede the final one. */
#define THR_PARSE_INTERIM_MAX 32

/* Zero is the default of every field. */
struct thr_parse_opts {
    struct thr_head_limits
        limits;           /* fields_max is bounded by the array given to thr_parse_init() too */
    bool bare_lf_refused; /* false: LF alone ends a line as CR LF does */
};

struct thr_parse {
    struct thr_field *fields; /* the caller's */
    uint32_t fields_max;
    uint32_t fields_n;
    uint32_t bytes_max;
    uint32_t line_bytes_max;
    uint32_t line_at; /* where the line being read starts */
    uint32_t
        scan_at; /* line_at <= scan_at: nothing before it ends the line or is forbidden in it */
    uint32_t reason_at;
    uint32_t reason_len;
    int error; /* sticky: 0 or what the parser said last */
    uint16_t status;
    uint8_t minor;
    uint8_t interim_n;
    bool bare_lf_refused;
    bool started; /* the status line is behind us */
};

/* A parsed response head.  Borrows the buffer and the array of fields of the call that made it: both must
 * stay in place while it is used (rebase: set fields.base and reason.ptr). */
struct thr_response {
    uint16_t status; /* 100 to 999 */
    uint8_t minor;   /* 0 or 1: HTTP/1.0 or HTTP/1.1 (and any later 1.x) */
    struct thr_text reason;
    struct thr_fields fields;
};

/* Prepares p; fields has room for fields_cap fields and outlives p's use.  opts may be NULL. */
void thr_parse_init(struct thr_parse *p, struct thr_field *fields, size_t fields_cap,
                    const struct thr_parse_opts *opts);

/* Reads on in the response head that starts at buf, of which len bytes are there.
 *
 * Returns: the bytes of the whole head when it is complete (*out is filled; more bytes may follow it);
 *          0 if more bytes are needed; THRUM_EHTTP_PROTOCOL or THRUM_EHTTP_HEADER_LIMIT, and the same again
 *          on every later call. */
THRUM_MUST_CHECK ssize_t thr_parse_response(struct thr_parse *p, const char *buf, size_t len,
                                            struct thr_response *out);

/* Prepares p for the response that follows an interim one, which the caller has taken off the buffer.
 * Returns: 0, or THRUM_EHTTP_PROTOCOL once there were too many of them. */
THRUM_MUST_CHECK int thr_parse_next(struct thr_parse *p);

/* Reads a section of field lines up to and with its blank line, as after the last chunk.
 * Returns: as thr_parse_response(). */
THRUM_MUST_CHECK ssize_t thr_parse_fields(struct thr_parse *p, const char *buf, size_t len,
                                          struct thr_fields *out);

/* True for a 1xx after which another response follows: all but 101, which ends HTTP on the connection. */
static inline bool thr_response_is_interim(const struct thr_response *r)
{
    return r->status < 200 && r->status != 101;
}

#endif
