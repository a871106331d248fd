/* SPDX-License-Identifier: MIT */
/* The head parser: line by line, each line scanned once by http/scan.h and then taken apart.
 *
 * Why the outcome does not depend on how the bytes were split: a line is judged only when its end is
 * there, or when the scan meets a byte that no line may have, or when it is over a limit; and the
 * scan never looks beyond the limits, so that whichever comes first in the bytes decides. */
#include "http/parse.h"

#include <string.h>

#include <thrum/error.h>

#include "http/scan.h"

static const char version_prefix[] = "HTTP/1.";

void thr_parse_init(struct thr_parse *p, struct thr_field *fields, size_t fields_cap,
                    const struct thr_parse_opts *opts)
{
    struct thr_head_limits limits = thr_head_limits_or_default(opts ? &opts->limits : NULL);
    *p = (struct thr_parse){
        .fields = fields,
        .fields_max = limits.fields_max < fields_cap ? limits.fields_max : (uint32_t)fields_cap,
        .bytes_max = limits.bytes_max,
        .line_bytes_max = limits.line_bytes_max,
        .bare_lf_refused = opts && opts->bare_lf_refused,
    };
}

int thr_parse_next(struct thr_parse *p)
{
    p->fields_n = 0;
    p->line_at = 0;
    p->scan_at = 0;
    p->started = false;
    if (!p->error && ++p->interim_n > THR_PARSE_INTERIM_MAX)
        p->error = THRUM_EHTTP_PROTOCOL;
    return p->error;
}

/* How far the scan may look: to the end of what is there, or to where a limit would be broken. */
static size_t limit_of(const struct thr_parse *p)
{
    size_t line_end = (size_t)p->line_at + p->line_bytes_max;
    return line_end < p->bytes_max ? line_end : p->bytes_max;
}

/* Takes the next whole line, without its end, off the head.
 * Returns 1 with *line, 0 if its end is not there yet, or an error. */
static int next_line(struct thr_parse *p, const char *buf, size_t len, struct thr_text *line)
{
    size_t limit = limit_of(p);
    size_t end = len < limit ? len : limit;
    int more = end == limit ? THRUM_EHTTP_HEADER_LIMIT : 0; /* where no line end is found */

    const char *at = thr_scan_control(buf + p->scan_at, buf + end);
    size_t n = (size_t)(at - buf);
    p->scan_at = (uint32_t)n;
    if (n == end)
        return more;
    size_t next = n + 1;
    if (*at == '\r') {
        if (next == end)
            return more;
        if (buf[next] != '\n')
            return THRUM_EHTTP_PROTOCOL; /* a CR inside a line is how two parsers come to differ */
        next++;
    } else if (*at != '\n' || p->bare_lf_refused) {
        return THRUM_EHTTP_PROTOCOL;
    }
    *line = (struct thr_text){buf + p->line_at, n - p->line_at};
    p->line_at = p->scan_at = (uint32_t)next;
    return 1;
}

/* status-line = HTTP-version SP status-code SP [ reason-phrase ] */
static int status_line(struct thr_parse *p, const char *buf, struct thr_text line)
{
    const char *s = line.ptr + sizeof(version_prefix) - 1; /* compared before */
    const char *end = line.ptr + line.len;
    if (end - s < 5 || s[0] < '0' || s[0] > '9' || s[1] != ' ')
        return THRUM_EHTTP_PROTOCOL;
    p->minor = s[0] != '0'; /* a later minor version speaks at least 1.1 (RFC 9110, 2.5) */

    unsigned status = 0;
    for (s += 2; s < end && *s >= '0' && *s <= '9' && status < 1000; s++)
        status = status * 10 + (unsigned)(*s - '0');
    const char *digits = line.ptr + sizeof(version_prefix) + 1;
    if (s - digits != 3 || status < 100 || (s < end && *s != ' '))
        return THRUM_EHTTP_PROTOCOL;
    if (s < end)
        s++;
    p->status = (uint16_t)status;
    p->reason_at = (uint32_t)(s - buf);
    p->reason_len = (uint32_t)(end - s);
    p->started = true;
    return 0;
}

/* field-line = field-name ":" OWS field-value OWS
 *
 * A folded line starts with a blank, which no name does; a blank before the colon is in no name: both
 * need no test of their own. */
static int field_line(struct thr_parse *p, const char *buf, struct thr_text line)
{
    size_t name_len = 0;
    while (name_len < line.len && thr_scan_token[(unsigned char)line.ptr[name_len]])
        name_len++;
    if (name_len == 0 || name_len == line.len || line.ptr[name_len] != ':')
        return THRUM_EHTTP_PROTOCOL;
    if (p->fields_n == p->fields_max)
        return THRUM_EHTTP_HEADER_LIMIT;

    struct thr_text value =
        thr_text_trim((struct thr_text){line.ptr + name_len + 1, line.len - name_len - 1});
    p->fields[p->fields_n++] = (struct thr_field){
        .name_at = (uint32_t)(line.ptr - buf),
        .name_len = (uint32_t)name_len,
        .value_at = (uint32_t)(value.ptr - buf),
        .value_len = (uint32_t)value.len,
    };
    return 0;
}

/* Reads lines up to and with the blank one.  Returns the bytes of the whole, 0 for more, or an error. */
static ssize_t read_lines(struct thr_parse *p, const char *buf, size_t len)
{
    for (;;) {
        struct thr_text line;
        int got = next_line(p, buf, len, &line);
        if (got <= 0)
            return got;
        int err = 0;
        if (!p->started)
            err = status_line(p, buf, line);
        else if (line.len == 0)
            return p->line_at;
        else
            err = field_line(p, buf, line);
        if (err)
            return err;
    }
}

/* Something that is not HTTP is known by its first bytes: it need not send a line end for that. */
static bool starts_like_http(const char *buf, size_t len)
{
    size_t n = sizeof(version_prefix) - 1;
    return memcmp(buf, version_prefix, len < n ? len : n) == 0;
}

ssize_t thr_parse_response(struct thr_parse *p, const char *buf, size_t len,
                           struct thr_response *out)
{
    if (p->error)
        return p->error;
    if (len == 0)
        return 0;
    ssize_t n = THRUM_EHTTP_PROTOCOL;
    if (p->started || starts_like_http(buf, len))
        n = read_lines(p, buf, len);
    if (n < 0)
        p->error = (int)n;
    if (n > 0)
        *out = (struct thr_response){
            .status = p->status,
            .minor = p->minor,
            .reason = {buf + p->reason_at, p->reason_len},
            .fields = {buf, p->fields, p->fields_n},
        };
    return n;
}

ssize_t thr_parse_fields(struct thr_parse *p, const char *buf, size_t len, struct thr_fields *out)
{
    if (p->error)
        return p->error;
    if (len == 0)
        return 0;
    p->started = true; /* no status line here */
    ssize_t n = read_lines(p, buf, len);
    if (n < 0)
        p->error = (int)n;
    if (n > 0)
        *out = (struct thr_fields){buf, p->fields, p->fields_n};
    return n;
}
