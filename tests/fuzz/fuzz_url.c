/* SPDX-License-Identifier: MIT */
/* URLs.  Input: an absolute URL, or a base, a NUL byte and a reference to resolve against it.
 *
 * Whatever is accepted: all that goes on the wire is visible ASCII, the parts fit together, parsing the
 * text again gives the same, and so do resolving it and normalising twice. */
#include <string.h>

#include <thrum/error.h>
#include <thrum/url.h>

#include "check.h"

static void check_visible(const char *string)
{
    for (; *string; string++)
        CHECK(*string > 0x20 && *string < 0x7F);
}

static void check_parts(const thrum_url *url)
{
    const char *text = thrum_url_text(url), *target = thrum_url_target(url);
    const char *query = thrum_url_query(url);
    size_t n = strlen(text);
    CHECK(n <= THRUM_URL_BYTES_MAX);
    check_visible(text);
    check_visible(thrum_url_host(url));
    check_visible(thrum_url_authority(url));
    CHECK(*thrum_url_host(url));
    CHECK(target[0] == '/');
    CHECK(strcmp(text + n - strlen(target), target) == 0);
    CHECK(thrum_url_path_len(url) == strcspn(target, "?"));
    CHECK(query ? query == target + thrum_url_path_len(url) + 1 : !strchr(target, '?'));
    CHECK(!strchr(text, '#') && !strchr(thrum_url_authority(url), '@'));
    if (thrum_url_fragment(url))
        check_visible(thrum_url_fragment(url));

    char whole[THRUM_URL_BYTES_MAX + 600];
    snprintf(whole, sizeof(whole), "%s://%s%s", thrum_url_scheme(url), thrum_url_authority(url),
             target);
    CHECK(strcmp(whole, text) == 0);
}

/* Expects that made, just made with err, has the text of url; frees it. */
static void check_same(int err, thrum_url *made, const thrum_url *url)
{
    CHECK(err == 0);
    CHECK(strcmp(thrum_url_text(made), thrum_url_text(url)) == 0);
    CHECK(thrum_url_same_origin(made, url));
    CHECK(thrum_url_host_is_ip(made) == thrum_url_host_is_ip(url));
    thrum_url_free(made);
}

static void check_normal(const thrum_url *url)
{
    thrum_url *normal, *again;
    if (thrum_url_normalise(&normal, url))
        return; /* too long */
    check_parts(normal);
    CHECK(thrum_url_same_origin(normal, url));
    check_same(thrum_url_normalise(&again, normal), again, normal);
    thrum_url_free(normal);
}

static void check_url(const thrum_url *url)
{
    thrum_url *made;
    const char *text = thrum_url_text(url);
    check_parts(url);
    int err = thrum_url_parse(&made, text);
    check_same(err, made, url);
    err = thrum_url_resolve(&made, url, "", 0, NULL);
    check_same(err, made, url);
    err = thrum_url_resolve(&made, url, text, strlen(text), NULL);
    check_same(err, made, url);
    err = thrum_url_clone(&made, url);
    check_same(err, made, url);
    check_normal(url);
}

static void check_failure(int err, const thrum_url *url, const char *why)
{
    CHECK(err == THRUM_EHTTP_URL || err == THRUM_EHTTP_SCHEME);
    CHECK(!url && why && *why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *why = NULL;
    const char *nul = size ? memchr(text, '\0', size) : NULL;
    size_t n = nul ? (size_t)(nul - text) : size;
    thrum_url *base, *url;
    int err = thrum_url_parse_n(&base, text, n, &why);
    if (err) {
        check_failure(err, base, why);
        return 0;
    }
    check_url(base);
    if (nul) {
        err = thrum_url_resolve(&url, base, nul + 1, size - n - 1, &why);
        if (err)
            check_failure(err, url, why);
        else
            check_url(url);
        thrum_url_free(url);
    }
    thrum_url_free(base);
    return 0;
}
