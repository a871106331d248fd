/* SPDX-License-Identifier: MIT */
/* http/redirect.h: where a redirect leads and what becomes of the request (RFC 9110, 15.4). Does no I/O. */
#ifndef THR_HTTP_REDIRECT_H
#define THR_HTTP_REDIRECT_H

#include <stdbool.h>
#include <stddef.h>

#include <thrum/common.h>
#include <thrum/url.h>

struct thr_redirect {
    thrum_url *url;     /* the next one; the caller's to free */
    const char *method; /* the next one: the old string or a constant */
    bool drop_body;     /* the body goes, and the fields that describe it */
    bool
        drop_secrets; /* another origin: Authorization, Cookie and Proxy-Authorization go, all instances */
};

/* True for the statuses that are followed: 301, 302, 303, 307, 308. */
bool thr_redirect_status(int status);

/* Decides how to follow a redirect from `from` with a method to the Location field's value.
 *
 * A fragment of `from` is inherited if the location has none (RFC 9110, 10.2.2).
 * allow_plain: a redirect from https to http is followed; otherwise it is refused.
 *
 * Returns: 0; -ENOMEM; THRUM_EHTTP_REDIRECT_BAD with the reason in *why (a constant): not a URL, another scheme than
 *          http and https, from https to http. out->url is then NULL. */
THRUM_MUST_CHECK int thr_redirect_next(struct thr_redirect *out, const thrum_url *from, int status,
                                       const char *method, const char *location, bool allow_plain,
                                       const char **why);

/* True for the field names that describe a body and go with it; and for those that carry secrets. */
bool thr_redirect_is_of_body(const char *name, size_t name_len);
bool thr_redirect_is_secret(const char *name, size_t name_len);

#endif
