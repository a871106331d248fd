/* SPDX-License-Identifier: MIT */
/* The command line of `thrum fetch`. */
#include "tools/fetch/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <thrum/error.h>

#include "tools/common/args.h"
#include "tools/common/file.h"
#include "tools/common/quantity.h"

enum option {
    OPTION_INPUT = 1,
    OPTION_AT_ONCE,
    OPTION_DIR,
    OPTION_JSON,
    OPTION_HEADER,
    OPTION_METHOD,
    OPTION_DATA,
    OPTION_MAX_TIME,
    OPTION_CONNECT_TIMEOUT,
    OPTION_MAX_REDIRECTS,
    OPTION_RETRY,
    OPTION_CACERT,
    OPTION_INSECURE,
    OPTION_RESOLVE,
    OPTION_WORKERS,
    OPTION_STATS,
    OPTION_HELP
};

static const struct thr_arg table[] = {
    {OPTION_INPUT, 'i', "input", true},
    {OPTION_AT_ONCE, 'c', "concurrency", true},
    {OPTION_DIR, 'o', "output-dir", true},
    {OPTION_JSON, '\0', "json", false},
    {OPTION_HEADER, 'H', "header", true},
    {OPTION_METHOD, 'X', "request", true},
    {OPTION_DATA, 'd', "data", true},
    {OPTION_MAX_TIME, '\0', "max-time", true},
    {OPTION_CONNECT_TIMEOUT, '\0', "connect-timeout", true},
    {OPTION_MAX_REDIRECTS, '\0', "max-redirects", true},
    {OPTION_RETRY, '\0', "retry", true},
    {OPTION_CACERT, '\0', "cacert", true},
    {OPTION_INSECURE, '\0', "insecure", false},
    {OPTION_RESOLVE, '\0', "resolve", true},
    {OPTION_WORKERS, '\0', "workers", true},
    {OPTION_STATS, '\0', "stats", false},
    {OPTION_HELP, 'h', "help", false},
    {0},
};

/* What the readers below share. */
struct reading {
    struct thr_fetch_options *o;
    char *error;
    size_t error_bytes;
};

static int fault(const struct reading *r, const char *what, const char *value)
{
    snprintf(r->error, r->error_bytes, "%s: %.100s", what, value);
    return -EINVAL;
}

static int read_number(const struct reading *r, const char *option, const char *value, uint64_t min,
                       uint64_t max, uint64_t *out)
{
    if (thr_quantity_uint(value, min, max, out))
        return 0;
    snprintf(r->error, r->error_bytes, "%s wants a number from %llu to %llu, not %.60s", option,
             (unsigned long long)min, (unsigned long long)max, value);
    return -EINVAL;
}

static int read_seconds(const struct reading *r, const char *option, const char *value,
                        uint64_t *ns)
{
    if (thr_quantity_seconds(value, ns))
        return 0;
    snprintf(r->error, r->error_bytes, "%s wants seconds, as 10 or 0.5, not %.60s", option, value);
    return -EINVAL;
}

/* Makes an array one longer; its new last element is zero. */
static void *grow(void *array, size_t n, size_t element_bytes)
{
    char *p = realloc(array, (n + 1) * element_bytes);
    if (p)
        memset(p + n * element_bytes, 0, element_bytes);
    return p;
}

/* True for a token of RFC 9110 section 5.6.2: a method, a header's name. */
static bool is_token(const char *text, size_t n)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return n > 0;
}

static int read_header(const struct reading *r, const char *value)
{
    struct thr_fetch_options *o = r->o;
    size_t name_n = strcspn(value, ":");
    if (value[name_n] != ':' || !is_token(value, name_n) || strpbrk(value, "\r\n"))
        return fault(r, "-H wants NAME: VALUE, not", value);

    thrum_http_header *headers = grow(o->headers, o->headers_n, sizeof(*headers));
    if (!headers)
        return -ENOMEM;
    o->headers = headers;
    thrum_http_header *h = &headers[o->headers_n++];
    const char *text = value + name_n + 1;
    h->name = strndup(value, name_n);
    h->value = strdup(text + strspn(text, " \t"));
    return h->name && h->value ? 0 : -ENOMEM;
}

static int read_method(const struct reading *r, const char *value)
{
    if (!is_token(value, strlen(value)))
        return fault(r, "-X wants a method, not", value);
    r->o->method = value;
    return 0;
}

static int read_data(const struct reading *r, const char *value)
{
    struct thr_text *body = &r->o->body;
    if (r->o->has_body)
        thr_text_adds(body, "&");
    r->o->has_body = true;
    if (value[0] != '@') {
        thr_text_adds(body, value);
        return 0;
    }
    if (strcmp(value, "@-") == 0)
        r->o->reads_stdin = true;
    int err = thr_file_read(body, value + 1);
    if (err && err != -ENOMEM) {
        snprintf(r->error, r->error_bytes, "-d %.100s: %s", value, thrum_strerror(err));
        return -EINVAL;
    }
    return err;
}

/* HOST:PORT:ADDR; host and address may be IPv6 in brackets, the address also without. */
static int read_resolve(const struct reading *r, const char *value)
{
    struct thr_fetch_options *o = r->o;
    bool bracket = value[0] == '[';
    const char *host_end = bracket ? strchr(value, ']') : strchr(value, ':');
    const char *port = host_end ? host_end + bracket + 1 : NULL;
    const char *port_end = port && port[-1] == ':' ? strchr(port, ':') : NULL;
    if (!port_end || host_end == value + bracket || port_end - port > 5)
        return fault(r, "--resolve wants HOST:PORT:ADDR, not", value);

    char port_text[6], addr[THRUM_ADDR_TEXT_MAX];
    snprintf(port_text, sizeof(port_text), "%.*s", (int)(port_end - port), port);
    const char *text = port_end + 1;
    size_t n = strlen(text);
    bool closed = n > 1 && text[0] == '[' && text[n - 1] == ']';
    snprintf(addr, sizeof(addr), "%.*s", (int)(closed ? n - 2 : n < 64 ? n : 63), text + closed);

    uint64_t number;
    thrum_addr parsed;
    if (!thr_quantity_uint(port_text, 1, 65535, &number) ||
        thrum_addr_parse(&parsed, addr, (uint16_t)number) != 0)
        return fault(r, "--resolve wants HOST:PORT:ADDR, not", value);

    thrum_http_override *overrides = grow(o->overrides, o->overrides_n, sizeof(*overrides));
    if (!overrides)
        return -ENOMEM;
    o->overrides = overrides;
    thrum_http_override *new = &overrides[o->overrides_n++];
    const char *host = value + bracket;
    *new = (thrum_http_override){.port = (uint16_t)number, .addr = parsed};
    new->host = strndup(host, (size_t)(host_end - host));
    return new->host ? 0 : -ENOMEM;
}

static int read_url(const struct reading *r, const char *value)
{
    struct thr_fetch_options *o = r->o;
    const char **urls = grow(o->urls, o->urls_n, sizeof(*urls));
    if (!urls)
        return -ENOMEM;
    o->urls = urls;
    urls[o->urls_n++] = value;
    return 0;
}

static int read_flag(const struct reading *r, int id)
{
    struct thr_fetch_options *o = r->o;
    bool *flag = id == OPTION_JSON       ? &o->json
                 : id == OPTION_INSECURE ? &o->insecure
                 : id == OPTION_STATS    ? &o->stats
                                         : &o->help;
    *flag = true;
    return 0;
}

static int read_limit(const struct reading *r, int id, const char *value)
{
    struct thr_fetch_options *o = r->o;
    switch (id) {
    case OPTION_AT_ONCE:
        return read_number(r, "-c", value, 1, THR_FETCH_AT_ONCE_MAX, &o->at_once);
    case OPTION_MAX_TIME:
        return read_seconds(r, "--max-time", value, &o->max_time_ns);
    case OPTION_CONNECT_TIMEOUT:
        return read_seconds(r, "--connect-timeout", value, &o->connect_timeout_ns);
    case OPTION_MAX_REDIRECTS:
        o->limits_redirects = true;
        return read_number(r, "--max-redirects", value, 0, 1000, &o->max_redirects);
    case OPTION_RETRY:
        return read_number(r, "--retry", value, 0, 1000, &o->retries);
    default:
        return read_number(r, "--workers", value, 1, THR_FETCH_WORKERS_MAX, &o->workers);
    }
}

/* A name that may be given once. */
static int read_once(const struct reading *r, const char *option, const char *value,
                     const char **out)
{
    if (*out)
        return fault(r, "given twice", option);
    if (!*value)
        return fault(r, "a name is missing", option);
    *out = value;
    return 0;
}

static int read_option(const struct reading *r, int id, const char *value)
{
    switch (id) {
    case THR_ARG_OPERAND:
        return read_url(r, value);
    case OPTION_INPUT:
        return read_once(r, "-i", value, &r->o->input);
    case OPTION_DIR:
        return read_once(r, "-o", value, &r->o->dir);
    case OPTION_CACERT:
        return read_once(r, "--cacert", value, &r->o->cacert);
    case OPTION_HEADER:
        return read_header(r, value);
    case OPTION_METHOD:
        return read_method(r, value);
    case OPTION_DATA:
        return read_data(r, value);
    case OPTION_RESOLVE:
        return read_resolve(r, value);
    case OPTION_JSON:
    case OPTION_INSECURE:
    case OPTION_STATS:
    case OPTION_HELP:
        return read_flag(r, id);
    default:
        return read_limit(r, id, value);
    }
}

/* curl's users expect a form's type for -d. */
static int add_content_type(const struct reading *r)
{
    struct thr_fetch_options *o = r->o;
    for (size_t i = 0; i < o->headers_n; i++) {
        if (strcasecmp(o->headers[i].name, "content-type") == 0)
            return 0;
    }
    return read_header(r, "Content-Type: application/x-www-form-urlencoded");
}

/* What is wrong only in sum. */
static int check(const struct reading *r)
{
    const struct thr_fetch_options *o = r->o;
    if (o->urls_n == 0 && !o->input) {
        snprintf(r->error, r->error_bytes, "no URL is given");
        return -EINVAL;
    }
    if (o->reads_stdin && o->input && strcmp(o->input, "-") == 0) {
        snprintf(r->error, r->error_bytes, "-i - and -d @- both want standard input");
        return -EINVAL;
    }
    return 0;
}

int thr_fetch_options_read(struct thr_fetch_options *o, int argc, char *const *argv, char *error,
                           size_t error_bytes)
{
    *o = (struct thr_fetch_options){.at_once = THR_FETCH_AT_ONCE_DEFAULT};
    struct reading r = {o, error, error_bytes};
    struct thr_args args;
    thr_args_init(&args, table, argc, argv);

    int id = 0, got, err = 0;
    const char *value;
    while (!err && !o->help && (got = thr_args_next(&args, &id, &value)) != 0)
        err = got < 0 ? -EINVAL : read_option(&r, id, value);
    if (args.error[0])
        snprintf(error, error_bytes, "%s", args.error);
    if (!err && !o->help)
        err = check(&r);
    if (!err && o->has_body) {
        if (!o->method)
            o->method = "POST";
        err = o->body.failed ? -ENOMEM : add_content_type(&r);
    }
    return err;
}

/* The strings of a request or an override are const to those who read them; here they were made. */
static void free_string(const char *string)
{
    union {
        const char *given;
        void *made;
    } u = {string};
    free(u.made);
}

void thr_fetch_options_fini(struct thr_fetch_options *o)
{
    for (size_t i = 0; i < o->headers_n; i++) {
        free_string(o->headers[i].name);
        free_string(o->headers[i].value);
    }
    for (size_t i = 0; i < o->overrides_n; i++)
        free_string(o->overrides[i].host);
    free(o->headers);
    free(o->overrides);
    free(o->urls);
    thr_text_fini(&o->body);
    *o = (struct thr_fetch_options){0};
}
