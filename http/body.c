/* SPDX-License-Identifier: MIT */
/* Body framing: what the head says about it, and a decoder that takes it off the bytes. */
#include "http/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>

#include "http/scan.h"

#define EXTENSION_BYTES_DEFAULT (16u * 1024u)
#define TRAILER_BYTES_DEFAULT (16u * 1024u)
#define TRAILER_FIELDS_MAX 64
#define IDLE_TIMEOUT_MAX_S (24u * 60u * 60u)
#define SIZE_DIGITS_MAX 16

/* ---- the plan ---- */

/* Content-Length = 1*DIGIT, which proxies have been seen to repeat, in one field or several; that is
 * harmless only where all say the same (RFC 9112, 6.3).  No item may be empty.
 * Returns 1 with *length, 0 if there is none, or an error. */
static int content_length(struct thr_fields fields, uint64_t *length)
{
    int found = 0;
    struct thr_text value;
    for (size_t from = 0; thr_fields_next(fields, "content-length", &from, &value);) {
        for (bool last = false; !last;) {
            const char *comma = value.len ? memchr(value.ptr, ',', value.len) : NULL;
            size_t n = comma ? (size_t)(comma - value.ptr) : value.len;
            uint64_t number;
            if (!thr_text_to_u64(thr_text_trim((struct thr_text){value.ptr, n}), &number) ||
                number > INT64_MAX || (found && number != *length))
                return THRUM_EHTTP_PROTOCOL;
            *length = number;
            found = 1;
            last = !comma;
            if (!last)
                value = (struct thr_text){comma + 1, value.len - n - 1};
        }
    }
    return found;
}

/* Returns 1 if the transfer coding is chunked, 0 if there is no such field, or an error. */
static int transfer_coding(struct thr_fields fields)
{
    bool present = false;
    int chunked = 0;
    struct thr_text value, item;
    for (size_t from = 0; thr_fields_next(fields, "transfer-encoding", &from, &value);) {
        present = true;
        while (thr_text_next_item(&value, &item)) {
            if (!thr_text_is(item, "chunked"))
                return THRUM_EHTTP_ENCODING;
            chunked++;
        }
    }
    if (chunked > 1 || (present && !chunked))
        return THRUM_EHTTP_PROTOCOL;
    return chunked;
}

/* Whether the connection persists, as far as version and Connection say (RFC 9112, 9.3). */
static bool persists(const struct thr_response *r)
{
    if (thr_fields_has_item(r->fields, "connection", "close"))
        return false;
    return r->minor >= 1 || thr_fields_has_item(r->fields, "connection", "keep-alive");
}

/* Keep-Alive: timeout=5, max=100 (RFC 2068, 19.7.1; still sent by most servers). */
static void idle_timeout(struct thr_body_plan *plan, struct thr_fields fields)
{
    static const char name[] = "timeout=";
    const size_t name_n = sizeof(name) - 1;
    struct thr_text value, item;
    for (size_t from = 0; thr_fields_next(fields, "keep-alive", &from, &value);)
        while (thr_text_next_item(&value, &item)) {
            uint64_t seconds;
            if (item.len <= name_n || !thr_text_is((struct thr_text){item.ptr, name_n}, name) ||
                !thr_text_to_u64((struct thr_text){item.ptr + name_n, item.len - name_n}, &seconds))
                continue;
            plan->has_idle_timeout = true;
            plan->idle_timeout_s =
                seconds < IDLE_TIMEOUT_MAX_S ? (uint32_t)seconds : IDLE_TIMEOUT_MAX_S;
        }
}

/* Responses that end with their head whatever its fields say (RFC 9112, 6.3). */
static bool never_has_body(const char *method, unsigned status)
{
    return status < 200 || status == 204 || status == 304 || strcmp(method, "HEAD") == 0 ||
           (strcmp(method, "CONNECT") == 0 && status < 300);
}

/* Whether a response without a body leaves the connection in step.  After 101 and CONNECT it speaks
 * something else.  A 204 that announces a body is from a server that may well send it. */
static bool bodiless_is_in_step(const char *method, const struct thr_response *r)
{
    struct thr_text value;
    uint64_t length = 0;
    if (r->status < 200 || (strcmp(method, "CONNECT") == 0 && r->status < 300))
        return false;
    if (r->status != 204)
        return true;
    return !thr_fields_get(r->fields, "transfer-encoding", &value) &&
           content_length(r->fields, &length) >= 0 && length == 0;
}

int thr_body_plan(struct thr_body_plan *out, const char *method, const struct thr_response *r)
{
    *out = (struct thr_body_plan){.kind = THR_BODY_NONE, .reusable = persists(r)};
    idle_timeout(out, r->fields);
    if (never_has_body(method, r->status)) {
        out->reusable = out->reusable && bodiless_is_in_step(method, r);
        return 0;
    }

    int chunked = transfer_coding(r->fields);
    if (chunked < 0)
        return chunked;
    struct thr_text value;
    if (chunked) {
        /* Somebody on the way may believe the length instead, or not know chunks: do not go on with
         * a connection on which that somebody could have hidden the next response. */
        bool doubtful = r->minor == 0 || thr_fields_get(r->fields, "content-length", &value);
        out->kind = THR_BODY_CHUNKED;
        out->reusable = out->reusable && !doubtful;
        return 0;
    }
    int known = content_length(r->fields, &out->length);
    if (known < 0)
        return known;
    out->kind = known ? THR_BODY_LENGTH : THR_BODY_CLOSE;
    out->reusable = out->reusable && known;
    return 0;
}

/* ---- the decoder ---- */

enum chunk_state {
    SIZE,         /* digits of a chunk's size */
    SIZE_BLANK,   /* blanks behind them, which some servers pad with */
    EXTENSION,    /* behind the semicolon */
    SIZE_LF,      /* the LF of the size line */
    DATA,         /* left bytes of the chunk */
    DATA_CR,      /* the line end behind them */
    DATA_LF,      /* */
    TRAILER,      /* behind the last chunk: a blank line or the first trailer */
    TRAILER_LF,   /* the LF of the blank line */
    TRAILER_TEXT, /* in a trailer section, collected in tail */
};

struct thr_body_tail {
    struct thr_parse parse;
    struct thr_field fields[TRAILER_FIELDS_MAX];
    size_t n;
    char text[];
};

void thr_body_init(struct thr_body *b, const struct thr_body_plan *plan,
                   const struct thr_body_opts *opts)
{
    static const struct thr_body_opts defaults;
    const struct thr_body_opts *o = opts ? opts : &defaults;
    *b = (struct thr_body){
        .kind = plan->kind,
        .state = SIZE,
        .left = plan->kind == THR_BODY_LENGTH ? plan->length : 0,
        .bytes_max = o->bytes_max ? o->bytes_max : UINT64_MAX,
        .extension_left = o->extension_bytes_max ? o->extension_bytes_max : EXTENSION_BYTES_DEFAULT,
        .trailer_bytes_max = o->trailer_bytes_max ? o->trailer_bytes_max : TRAILER_BYTES_DEFAULT,
        .trailers = o->trailers,
    };
    b->done = b->kind == THR_BODY_NONE || (b->kind == THR_BODY_LENGTH && b->left == 0);
    if (b->left > b->bytes_max)
        b->error = THRUM_EHTTP_BODY_LIMIT;
}

void thr_body_fini(struct thr_body *b)
{
    free(b->tail);
    b->tail = NULL;
}

/* One more hexadecimal digit of the chunk size. */
static int size_digit(struct thr_body *b, unsigned digit)
{
    if (++b->digits_n > SIZE_DIGITS_MAX || b->left > (uint64_t)INT64_MAX >> 4)
        return THRUM_EHTTP_PROTOCOL;
    b->left = b->left << 4 | digit;
    return 0;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte behind the digits of the size line.  Nothing of an extension is used, but its amount is
 * bounded: one byte of data with kilobytes of extension each is a known way to keep a client busy. */
static int size_line_byte(struct thr_body *b, unsigned char c)
{
    if (c == '\r') {
        b->state = SIZE_LF;
        return 0;
    }
    if (b->extension_left == 0)
        return THRUM_EHTTP_BODY_LIMIT;
    b->extension_left--;
    bool blank = c == ' ' || c == '\t';
    if (thr_scan_is_control(c) || (b->state != EXTENSION && !blank && c != ';'))
        return THRUM_EHTTP_PROTOCOL;
    if (b->state != EXTENSION)
        b->state = c == ';' ? EXTENSION : SIZE_BLANK;
    return 0;
}

/* The size line is complete. */
static int size_line_end(struct thr_body *b)
{
    if (b->left > b->bytes_max - b->bytes)
        return THRUM_EHTTP_BODY_LIMIT;
    b->state = b->left ? DATA : TRAILER;
    b->digits_n = 0;
    return 0;
}

static int expect(struct thr_body *b, unsigned char c, unsigned char wanted, enum chunk_state then)
{
    if (c != wanted)
        return THRUM_EHTTP_PROTOCOL;
    b->state = (uint8_t)then;
    return 0;
}

/* Takes one framing byte in any state but DATA and TRAILER_TEXT.  LF alone ends no line here: RFC 9112, 2.2
 * allows that for heads only. */
static int framing_byte(struct thr_body *b, unsigned char c)
{
    switch ((enum chunk_state)b->state) {
    case SIZE: {
        int digit = hex_digit(c);
        if (digit >= 0)
            return size_digit(b, (unsigned)digit);
        return b->digits_n ? size_line_byte(b, c) : THRUM_EHTTP_PROTOCOL;
    }
    case SIZE_BLANK:
    case EXTENSION:
        return size_line_byte(b, c);
    case SIZE_LF:
        return c == '\n' ? size_line_end(b) : THRUM_EHTTP_PROTOCOL;
    case DATA_CR:
        return expect(b, c, '\r', DATA_LF);
    case DATA_LF:
        return expect(b, c, '\n', SIZE);
    case TRAILER:
        b->state = c == '\r' ? TRAILER_LF : TRAILER_TEXT;
        return 0;
    case TRAILER_LF:
        b->done = c == '\n';
        return b->done ? 0 : THRUM_EHTTP_PROTOCOL;
    case DATA:
    case TRAILER_TEXT:
        break;
    }
    return THRUM_EHTTP_PROTOCOL; /* not reached */
}

static int tail_new(struct thr_body *b)
{
    b->tail = malloc(sizeof(*b->tail) + b->trailer_bytes_max);
    if (!b->tail)
        return -ENOMEM;
    struct thr_parse_opts opts = {.limits = {.bytes_max = b->trailer_bytes_max}};
    opts.bare_lf_refused = true;
    thr_parse_init(&b->tail->parse, b->tail->fields, TRAILER_FIELDS_MAX, &opts);
    b->tail->n = 0;
    return 0;
}

/* Collects trailers, which must lie in one piece to be parsed; rare and small. */
static int tail_feed(struct thr_body *b, const char *in, size_t n, size_t *used)
{
    int err = b->tail ? 0 : tail_new(b);
    if (err)
        return err;
    struct thr_body_tail *t = b->tail;
    size_t before = t->n;
    size_t room = b->trailer_bytes_max - t->n;
    size_t taken = n < room ? n : room;
    memcpy(t->text + t->n, in, taken);
    t->n += taken;
    *used = taken;

    struct thr_fields fields;
    ssize_t end = thr_parse_fields(&t->parse, t->text, t->n, &fields);
    if (end < 0)
        return (int)end;
    if (end == 0)
        return 0;
    *used = (size_t)end - before; /* what is behind belongs to the next response */
    if (b->trailers)
        err = thr_headers_add_all(b->trailers, fields);
    b->done = !err;
    return err;
}

/* Gives out body bytes from the front of in, at most left of them. */
static void give(struct thr_body *b, const char *in, size_t n, struct thr_text *data)
{
    size_t taken = n < b->left ? n : (size_t)b->left;
    *data = (struct thr_text){in, taken};
    b->left -= taken;
    b->bytes += taken;
}

static int feed_chunked(struct thr_body *b, const char *in, size_t n, size_t *used,
                        struct thr_text *data)
{
    int err = 0;
    while (*used < n && !err && !b->done) {
        if (b->state == DATA) {
            if (data->len)
                break; /* one run a call */
            give(b, in + *used, n - *used, data);
            *used += data->len;
            if (b->left == 0)
                b->state = DATA_CR;
            continue;
        }
        if (b->state != TRAILER_TEXT) {
            err = framing_byte(b, (unsigned char)in[*used]);
            if (!err && b->state != TRAILER_TEXT)
                ++*used; /* the first byte of a trailer is read again below */
            continue;
        }
        size_t taken = 0;
        err = tail_feed(b, in + *used, n - *used, &taken);
        *used += taken;
    }
    return err;
}

static int feed_close(struct thr_body *b, const char *in, size_t n, size_t *used,
                      struct thr_text *data)
{
    if (n && b->bytes == b->bytes_max)
        return THRUM_EHTTP_BODY_LIMIT;
    b->left = b->bytes_max - b->bytes;
    give(b, in, n, data);
    *used = data->len;
    return 0;
}

int thr_body_feed(struct thr_body *b, const char *in, size_t n, size_t *used, struct thr_text *data)
{
    *used = 0;
    *data = (struct thr_text){in, 0};
    if (b->error || b->done)
        return b->error;
    if (b->kind == THR_BODY_LENGTH) {
        give(b, in, n, data);
        *used = data->len;
        b->done = b->left == 0;
    } else if (b->kind == THR_BODY_CLOSE) {
        b->error = feed_close(b, in, n, used, data);
    } else {
        b->error = feed_chunked(b, in, n, used, data);
    }
    /* Bytes found in front of a fault are delivered; the fault is told by the next call. */
    return data->len ? 0 : b->error;
}

int thr_body_end(struct thr_body *b)
{
    if (!b->error && b->kind == THR_BODY_CLOSE)
        b->done = true;
    if (!b->error && !b->done)
        b->error = THRUM_EHTTP_TRUNCATED;
    return b->error;
}

bool thr_body_known_left(const struct thr_body *b, uint64_t *left)
{
    bool known = b->done || b->kind == THR_BODY_LENGTH;
    if (known)
        *left = b->done ? 0 : b->left;
    return known;
}
