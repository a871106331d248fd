/* SPDX-License-Identifier: MIT */
/* Content decoding on zlib: a chain of one or two stages, the first fed with what came over the wire.
 *
 * A stage looks at the first two bytes of each compressed stream itself before zlib sees them: they tell
 * gzip from garbage behind a member, and zlib-wrapped deflate from bare deflate.  They are held in the
 * stage, since they may arrive in two pieces. */
#include "http/decode.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#include <thrum/error.h>

#define MID_BYTES (16u * 1024u)
#define ZLIB_STEP_MAX (1u << 30) /* zlib counts in unsigned int */
#define LIMIT_STEP (64u * 1024u) /* how many bytes may come out between two looks at the ratio */
#define WINDOW_GZIP (MAX_WBITS + 16)

enum stage_state {
    STAGE_HEAD, /* the two bytes at the start of a stream */
    STAGE_BODY, /* in it */
    STAGE_OVER, /* behind it: the rest is dropped */
};

struct stage {
    z_stream z;
    enum stage_state state;
    bool gzip;
    bool opened; /* z is to be ended */
    unsigned char held[2];
    unsigned held_n;
    unsigned held_at; /* how many of them zlib has had */
    uint64_t in_n;
    uint64_t out_n;
    uint64_t streams; /* completed */
};

struct thr_decode {
    struct stage stages[THR_DECODE_CODINGS_MAX]; /* in the order of decoding */
    unsigned n;
    int error;
    uint64_t bytes_max;
    uint64_t ratio_max;
    size_t mid_at; /* two stages: [mid_at, mid_n) of mid waits for the second */
    size_t mid_n;
    int mid_error; /* what the first said behind that */
    char *mid;
};

/* ---- making ---- */

/* Adds a coding; they are listed in the order in which they were applied, so the last is undone first. */
static int add_coding(struct thr_decode *d, struct thr_text name)
{
    if (thr_text_is(name, "identity"))
        return 0;
    bool gzip = thr_text_is(name, "gzip") || thr_text_is(name, "x-gzip");
    if ((!gzip && !thr_text_is(name, "deflate")) || d->n == THR_DECODE_CODINGS_MAX)
        return THRUM_EHTTP_ENCODING;
    if (d->n)
        memmove(&d->stages[1], &d->stages[0], d->n * sizeof(d->stages[0]));
    d->stages[0] = (struct stage){.gzip = gzip};
    d->n++;
    return 0;
}

static int add_codings(struct thr_decode *d, struct thr_fields fields)
{
    int err = 0;
    struct thr_text value, item;
    for (size_t from = 0; !err && thr_fields_next(fields, "content-encoding", &from, &value);)
        while (!err && thr_text_next_item(&value, &item))
            err = add_coding(d, item);
    return err;
}

/* Only now, when the stages have their place: zlib keeps a pointer to its z_stream. */
static int open_stages(struct thr_decode *d)
{
    for (unsigned i = 0; i < d->n; i++) {
        struct stage *s = &d->stages[i];
        if (inflateInit2(&s->z, s->gzip ? WINDOW_GZIP : MAX_WBITS) != Z_OK)
            return -ENOMEM;
        s->opened = true;
    }
    if (d->n < 2)
        return 0;
    d->mid = malloc(MID_BYTES);
    return d->mid ? 0 : -ENOMEM;
}

int thr_decode_new(struct thr_decode **out, struct thr_fields fields,
                   const struct thr_decode_opts *opts)
{
    *out = NULL;
    struct thr_text value;
    if (!thr_fields_get(fields, "content-encoding", &value))
        return 0; /* nearly always: no allocation */
    struct thr_decode *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->bytes_max = opts && opts->bytes_max ? opts->bytes_max : THR_DECODE_BYTES_DEFAULT;
    d->ratio_max = opts && opts->ratio_max ? opts->ratio_max : THR_DECODE_RATIO_DEFAULT;
    int err = add_codings(d, fields);
    if (!err)
        err = open_stages(d);
    if (err || d->n == 0) {
        thr_decode_free(d);
        return err;
    }
    *out = d;
    return 0;
}

void thr_decode_free(struct thr_decode *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->n; i++)
        if (d->stages[i].opened)
            inflateEnd(&d->stages[i].z);
    free(d->mid);
    free(d);
}

/* ---- one stage ---- */

static bool is_gzip(const unsigned char head[2])
{
    return head[0] == 0x1F && head[1] == 0x8B;
}

/* A zlib header (RFC 1950, 2.2): method 8, and a multiple of 31. */
static bool is_zlib(const unsigned char head[2])
{
    return (head[0] & 0x0F) == 8 && (head[0] * 256 + head[1]) % 31 == 0;
}

/* The two bytes are there: begins a stream with them, or ends the stage. */
static int begin(struct stage *s)
{
    s->held_at = 0;
    if (s->gzip && !is_gzip(s->held)) {
        s->state = STAGE_OVER;
        return s->streams ? 0 : THRUM_EHTTP_ENCODING;
    }
    int window = s->gzip ? WINDOW_GZIP : is_zlib(s->held) ? MAX_WBITS : -MAX_WBITS;
    if (inflateReset2(&s->z, window) != Z_OK)
        return -ENOMEM;
    s->state = STAGE_BODY;
    return 0;
}

/* Translates what inflate() says; Z_BUF_ERROR only means that it needs more of something. */
static int judge(struct stage *s, int rc)
{
    switch (rc) {
    case Z_OK:
    case Z_BUF_ERROR:
        return 0;
    case Z_STREAM_END:
        s->streams++;
        s->held_n = 0;
        s->state = s->gzip ? STAGE_HEAD : STAGE_OVER;
        return 0;
    case Z_MEM_ERROR:
        return -ENOMEM;
    default: /* damaged, or it wants a preset dictionary, which HTTP has not */
        return THRUM_EHTTP_ENCODING;
    }
}

/* One call of inflate(): from the held bytes first, else from in. */
static int inflate_step(struct stage *s, const char *in, size_t in_n, size_t *used, char *out,
                        size_t out_cap, size_t *made)
{
    bool held = s->held_at < s->held_n;
    size_t offered = held ? s->held_n - s->held_at : in_n;
    if (offered > ZLIB_STEP_MAX)
        offered = ZLIB_STEP_MAX;
    s->z.next_in = held ? s->held + s->held_at : (const Bytef *)in;
    s->z.avail_in = (uInt)offered;
    s->z.next_out = (Bytef *)out;
    s->z.avail_out = (uInt)out_cap;
    int rc = inflate(&s->z, Z_NO_FLUSH);
    size_t taken = offered - s->z.avail_in;
    *made = out_cap - s->z.avail_out;
    *used = held ? 0 : taken;
    if (held)
        s->held_at += (unsigned)taken;
    return judge(s, rc);
}

/* Gathers the two bytes at the start of a stream.  Returns how many it took. */
static size_t gather(struct stage *s, const char *in, size_t in_n)
{
    size_t n = 0;
    while (n < in_n && s->held_n < sizeof(s->held))
        s->held[s->held_n++] = (unsigned char)in[n++];
    return n;
}

/* How many bytes may come out before the limits must be looked at again.  One more than bytes_max, so
 * that exceeding it shows. */
static size_t out_step(const struct thr_decode *d, const struct stage *s, size_t cap)
{
    uint64_t to_check = LIMIT_STEP - s->out_n % LIMIT_STEP;
    uint64_t to_max = d->bytes_max - s->out_n;
    if (to_max < UINT64_MAX)
        to_max++;
    uint64_t step = to_check < to_max ? to_check : to_max;
    return cap < step ? cap : (size_t)step;
}

/* The ratio is taken over the whole chain: a stage's output to what came over the wire. */
static bool is_bomb(const struct thr_decode *d, const struct stage *s)
{
    if (s->out_n > d->bytes_max)
        return true;
    return s->out_n > THR_DECODE_RATIO_FROM && s->out_n % LIMIT_STEP == 0 &&
           s->out_n / d->ratio_max > d->stages[0].in_n;
}

/* Runs a stage until in is used up or out is full, or nothing moves. */
static int run_stage(struct thr_decode *d, struct stage *s, const char *in, size_t in_n,
                     size_t *used, char *out, size_t out_cap, size_t *made)
{
    int err = 0;
    *used = 0;
    *made = 0;
    while (!err && *made < out_cap) {
        size_t taken = 0, given = 0;
        unsigned held_before = s->held_at;
        if (s->state == STAGE_OVER) {
            s->in_n += in_n - *used;
            *used = in_n;
            break;
        }
        if (s->state == STAGE_HEAD) {
            taken = gather(s, in + *used, in_n - *used);
            s->in_n += taken;
            *used += taken;
            if (s->held_n < sizeof(s->held))
                break;
            err = begin(s);
            continue;
        }
        err = inflate_step(s, in + *used, in_n - *used, &taken, out + *made,
                           out_step(d, s, out_cap - *made), &given);
        s->in_n += taken;
        s->out_n += given;
        *used += taken;
        *made += given;
        if (is_bomb(d, s)) /* before err: a bomb that is damaged too is a bomb */
            err = THRUM_EHTTP_BOMB;
        if (!taken && !given && s->held_at == held_before && s->state == STAGE_BODY)
            break;
    }
    return err;
}

/* ---- the chain ---- */

/* Alternates between the stages until out is full or neither moves. */
static int run_pair(struct thr_decode *d, const char *in, size_t in_n, size_t *used, char *out,
                    size_t out_cap, size_t *made)
{
    for (;;) {
        size_t taken, given;
        int err = run_stage(d, &d->stages[1], d->mid + d->mid_at, d->mid_n - d->mid_at, &taken,
                            out + *made, out_cap - *made, &given);
        d->mid_at += taken;
        *made += given;
        if (err || *made == out_cap)
            return err;
        /* Room is left in out, so the second stage has used up what there was; what came in front of
         * a fault of the first goes through it too, as if it had come alone. */
        if (d->mid_error)
            return d->mid_error;
        d->mid_error = run_stage(d, &d->stages[0], in + *used, in_n - *used, &taken, d->mid,
                                 MID_BYTES, &d->mid_n);
        d->mid_at = 0;
        *used += taken;
        if (d->mid_n == 0)
            return d->mid_error;
    }
}

int thr_decode_feed(struct thr_decode *d, const char *in, size_t in_n, size_t *used, char *out,
                    size_t out_cap, size_t *made)
{
    *used = 0;
    *made = 0;
    if (d->error)
        return d->error;
    if (!in)
        in = ""; /* so that adding nothing to it is defined */
    if (d->n == 1)
        d->error = run_stage(d, &d->stages[0], in, in_n, used, out, out_cap, made);
    else
        d->error = run_pair(d, in, in_n, used, out, out_cap, made);
    return d->error;
}

/* Whether a stage may end where it is: between streams, behind the last, or without having begun. */
static bool may_end(const struct stage *s)
{
    if (s->state == STAGE_HEAD)
        return s->streams > 0 || s->in_n == 0;
    return s->state == STAGE_OVER;
}

int thr_decode_end(struct thr_decode *d)
{
    for (unsigned i = 0; i < d->n && !d->error; i++)
        if (!may_end(&d->stages[i]))
            d->error = THRUM_EHTTP_TRUNCATED;
    return d->error;
}
