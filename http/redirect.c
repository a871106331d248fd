/* SPDX-License-Identifier: MIT */
/* The rules of redirects. */
#include "http/redirect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/error.h>

#include "exec/util.h"
#include "http/header.h"

bool thr_redirect_status(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Resolves location against from, with from's fragment unless it has its own. */
static int resolve(thrum_url **out, const thrum_url *from, const char *location, const char **why)
{
    const char *fragment = thrum_url_fragment(from);
    size_t len = strlen(location);
    if (!fragment || strchr(location, '#'))
        return thrum_url_resolve(out, from, location, len, why);

    size_t fragment_len = strlen(fragment);
    char *text = malloc(len + 1 + fragment_len);
    if (!text)
        return -ENOMEM;
    memcpy(text, location, len);
    text[len] = '#';
    memcpy(text + len + 1, fragment, fragment_len);
    int err = thrum_url_resolve(out, from, text, len + 1 + fragment_len, why);
    free(text);
    return err;
}

static bool is_http(const thrum_url *url)
{
    const char *scheme = thrum_url_scheme(url);
    return strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
}

/* 303 means: look there, with GET. 301 and 302 mean the same after a POST, by age-old practice; 307 and 308 never. */
static void decide_method(struct thr_redirect *out, int status, const char *method)
{
    bool see_other = status == 303 && strcmp(method, "HEAD") != 0;
    bool by_practice = (status == 301 || status == 302) && strcmp(method, "POST") == 0;
    out->method = see_other || by_practice ? "GET" : method;
    out->drop_body = see_other || by_practice;
}

int thr_redirect_next(struct thr_redirect *out, const thrum_url *from, int status,
                      const char *method, const char *location, bool allow_plain, const char **why)
{
    memset(out, 0, sizeof(*out));
    *why = NULL;
    thrum_url *next = NULL;
    int err = resolve(&next, from, location, why);
    if (err == -ENOMEM)
        return err;
    if (!err && !is_http(next))
        err = THRUM_EHTTP_SCHEME;
    if (err == THRUM_EHTTP_SCHEME)
        *why = "only http and https are followed";
    if (err && !*why)
        *why = "not a valid URL";
    if (!err && !allow_plain && thrum_url_is_secure(from) && !thrum_url_is_secure(next)) {
        err = THRUM_EHTTP_REDIRECT_BAD;
        *why = "from https to http";
    }
    if (err) {
        thrum_url_free(next);
        return THRUM_EHTTP_REDIRECT_BAD;
    }
    out->url = next;
    out->drop_secrets = !thrum_url_same_origin(from, next);
    decide_method(out, status, method);
    return 0;
}

static bool is_one_of(const char *name, size_t name_len, const char *const *names, size_t names_n)
{
    struct thr_text text = {name, name_len};
    for (size_t i = 0; i < names_n; i++)
        if (thr_text_is(text, names[i]))
            return true;
    return false;
}

bool thr_redirect_is_of_body(const char *name, size_t name_len)
{
    static const char *const names[] = {
        "Content-Length",   "Content-Type",   "Content-Encoding",  "Content-Language",
        "Content-Location", "Content-Digest", "Repr-Digest",       "Digest",
        "Content-MD5",      "Last-Modified",  "Transfer-Encoding", "Trailer",
        "Expect",
    };
    return is_one_of(name, name_len, names, THR_COUNT_OF(names));
}

bool thr_redirect_is_secret(const char *name, size_t name_len)
{
    static const char *const names[] = {"Authorization", "Cookie", "Cookie2",
                                        "Proxy-Authorization"};
    return is_one_of(name, name_len, names, THR_COUNT_OF(names));
}
