/* SPDX-License-Identifier: MIT */
/* Where redirects lead, and what becomes of method, body and secrets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <thrum/error.h>

#include "exec/util.h"
#include "http/header.h"
#include "http/outgoing.h"
#include "http/redirect.h"

/* Follows a redirect; the URL that comes out, with its fragment behind a space, or the error in words. */
struct result {
    int err;
    const char *why;
    char url[256];
    struct thr_redirect to;
};

static struct result follow(const char *from, int status, const char *method, const char *location,
                            bool allow_plain)
{
    struct result r = {.url = ""};
    thrum_url *url = NULL;
    assert_int_equal(thrum_url_parse(&url, from), 0);
    r.err = thr_redirect_next(&r.to, url, status, method, location, allow_plain, &r.why);
    if (!r.err) {
        const char *fragment = thrum_url_fragment(r.to.url);
        snprintf(r.url, sizeof(r.url), "%s%s%s", thrum_url_text(r.to.url), fragment ? "#" : "",
                 fragment ? fragment : "");
        thrum_url_free(r.to.url);
        r.to.url = NULL;
    } else {
        assert_null(r.to.url);
    }
    thrum_url_free(url);
    return r;
}

static void only_five_statuses_are_followed(void **state)
{
    (void)state;
    for (int status = 100; status < 1000; status++) {
        bool follows =
            status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
        assert_int_equal(thr_redirect_status(status), follows);
    }
}

static void methods_change_as_rfc_9110_says(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *before, *after;
        bool drops;
    } rows[] = {
        {301, "GET", "GET", false},         {302, "GET", "GET", false},
        {303, "GET", "GET", true},          {307, "GET", "GET", false},
        {308, "GET", "GET", false},         {301, "HEAD", "HEAD", false},
        {302, "HEAD", "HEAD", false},       {303, "HEAD", "HEAD", false},
        {301, "POST", "GET", true},         {302, "POST", "GET", true},
        {303, "POST", "GET", true},         {307, "POST", "POST", false},
        {308, "POST", "POST", false},       {301, "PUT", "PUT", false},
        {302, "DELETE", "DELETE", false},   {303, "PUT", "GET", true},
        {303, "DELETE", "GET", true},       {307, "PATCH", "PATCH", false},
        {301, "OPTIONS", "OPTIONS", false},
    };
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        struct result r = follow("http://a/x", rows[i].status, rows[i].before, "/y", false);
        assert_int_equal(r.err, 0);
        assert_string_equal(r.to.method, rows[i].after);
        assert_int_equal(r.to.drop_body, rows[i].drops);
        assert_string_equal(r.url, "http://a/y");
    }
}

static void locations_are_resolved_and_fragments_inherited(void **state)
{
    (void)state;
    static const struct {
        const char *from, *location, *to;
    } rows[] = {
        {"http://a/b/c?q", "d", "http://a/b/d"},
        {"http://a/b/c?q", "?r", "http://a/b/c?r"},
        {"http://a/b/c", "/d", "http://a/d"},
        {"http://a/b/c", "//other/d", "http://other/d"},
        {"http://a/b/c", "http://other:81/d", "http://other:81/d"},
        {"http://a/b/c", "", "http://a/b/c"},
        {"http://a/b#f", "/d", "http://a/d#f"},
        {"http://a/b#f", "/d#g", "http://a/d#g"},
        {"http://a/b#f", "/d#", "http://a/d#"},
        {"http://a/b#f", "http://c/", "http://c/#f"},
        {"https://a/", "https://b/", "https://b/"},
        {"http://a/", "https://a/", "https://a/"},
    };
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        struct result r = follow(rows[i].from, 302, "GET", rows[i].location, false);
        assert_int_equal(r.err, 0);
        assert_string_equal(r.url, rows[i].to);
    }
}

static void what_cannot_be_followed_says_why(void **state)
{
    (void)state;
    static const char *const locations[] = {
        "ftp://a/", "file:///etc/passwd", "javascript:alert(1)", "data:text/html,x", "mailto:a@b",
        "http://",  "http://a:99999/",    "http://[::1/",        "http://a b/",      "ws://a/",
        "wss://a/",
    };
    for (size_t i = 0; i < THR_COUNT_OF(locations); i++) {
        struct result r = follow("http://a/x", 302, "GET", locations[i], true);
        assert_int_equal(r.err, THRUM_EHTTP_REDIRECT_BAD);
        assert_non_null(r.why);
    }
}

static void https_to_http_is_refused_unless_asked_for(void **state)
{
    (void)state;
    struct result r = follow("https://a/", 302, "GET", "http://a/", false);
    assert_int_equal(r.err, THRUM_EHTTP_REDIRECT_BAD);
    assert_string_equal(r.why, "from https to http");
    r = follow("https://a/", 302, "GET", "http://a/", true);
    assert_int_equal(r.err, 0);
    assert_true(r.to.drop_secrets);
}

static void secrets_stay_within_the_origin(void **state)
{
    (void)state;
    static const struct {
        const char *from, *location;
        bool drops;
    } rows[] = {
        {"http://a/", "/x", false},
        {"http://a/", "http://a/x", false},
        {"http://a/", "http://A:80/x", false},
        {"http://a/", "http://a:81/x", true},
        {"http://a/", "https://a/x", true},
        {"http://a/", "http://b.a/x", true},
        {"http://b.a/", "http://a/x", true},
        {"https://a/", "https://a:443/", false},
    };
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        struct result r = follow(rows[i].from, 307, "GET", rows[i].location, false);
        assert_int_equal(r.err, 0);
        assert_int_equal(r.to.drop_secrets, rows[i].drops);
    }
}

/* ---- The request on its way through redirects ------------------------------------------------------------------- */

static const struct thr_outgoing_opts plain_opts = {.user_agent = "test"};

static char *head_of(const struct thr_outgoing *out, const thrum_url *url)
{
    char *head = NULL;
    ssize_t n = thr_outgoing_head(out, url, &head);
    assert_true(n > 0);
    char *text = strndup(head, (size_t)n);
    free(head);
    return text;
}

static size_t count_of(const char *text, const char *needle)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, needle)) != NULL; at++)
        n++;
    return n;
}

static void every_instance_of_a_secret_is_dropped(void **state)
{
    (void)state;
    static const thrum_http_header headers[] = {
        {"Authorization", "one"},
        {"X-Kept", "yes"},
        {"authorization", "two"},
        {"Cookie", "a=1"},
        {"COOKIE", "b=2"},
        {"Host", "mine"},
        {"Proxy-Authorization", "three"},
        {"Proxy-authorization", "four"},
    };
    const thrum_http_request request = {.headers = headers, .headers_n = THR_COUNT_OF(headers)};
    struct thr_outgoing out;
    thrum_url *from = NULL;
    assert_int_equal(thrum_url_parse(&from, "http://a/"), 0);
    assert_int_equal(thr_outgoing_init(&out, &request, from, &plain_opts), 0);
    char *before = head_of(&out, from);
    assert_int_equal(count_of(before, "one") + count_of(before, "two") + count_of(before, "three") +
                         count_of(before, "four") + count_of(before, "a=1") +
                         count_of(before, "b=2"),
                     6);
    assert_int_equal(count_of(before, "Host: mine\r\n"), 1);

    struct thr_redirect to;
    const char *why;
    assert_int_equal(thr_redirect_next(&to, from, 307, out.method, "http://b/", false, &why), 0);
    assert_int_equal(thr_outgoing_redirect(&out, &to), 0);
    char *after = head_of(&out, to.url);
    assert_string_equal(after, "GET / HTTP/1.1\r\nHost: b\r\nUser-Agent: test\r\nAccept: */*\r\n"
                               "X-Kept: yes\r\nAccept-Encoding: gzip, deflate\r\n\r\n");
    free(before);
    free(after);
    thrum_url_free(from);
    thrum_url_free(to.url);
    thr_outgoing_fini(&out);
}

static void a_body_goes_with_all_that_describes_it(void **state)
{
    (void)state;
    static const thrum_http_header headers[] = {
        {"content-type", "text/plain"}, {"Content-Language", "en"}, {"X-Kept", "yes"}};
    const thrum_http_request request = {
        .headers = headers, .headers_n = THR_COUNT_OF(headers), .body = "body", .body_bytes = 4};
    struct thr_outgoing out;
    thrum_url *from = NULL;
    assert_int_equal(thrum_url_parse(&from, "http://a/"), 0);
    assert_int_equal(thr_outgoing_init(&out, &request, from, &plain_opts), 0);
    assert_string_equal(out.method, "POST");
    char *before = head_of(&out, from);
    assert_int_equal(count_of(before, "Content-Length: 4\r\n"), 1);

    struct thr_redirect to;
    const char *why;
    assert_int_equal(thr_redirect_next(&to, from, 303, out.method, "/", false, &why), 0);
    assert_int_equal(thr_outgoing_redirect(&out, &to), 0);
    char *after = head_of(&out, to.url);
    assert_string_equal(after, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n"
                               "X-Kept: yes\r\nAccept-Encoding: gzip, deflate\r\n\r\n");
    free(before);
    free(after);
    thrum_url_free(from);
    thrum_url_free(to.url);
    thr_outgoing_fini(&out);
}

/* The Authorization line of a request for `url` that is then redirected to `location` ("" if none). */
static void credentials_of(char *line, size_t line_bytes, const char *url, const char *location,
                           const char *own)
{
    const thrum_http_header header = {"Authorization", own};
    const thrum_http_request request = {.headers = &header, .headers_n = own ? 1 : 0};
    struct thr_outgoing out;
    thrum_url *from = NULL;
    assert_int_equal(thrum_url_parse(&from, url), 0);
    assert_int_equal(thr_outgoing_init(&out, &request, from, &plain_opts), 0);
    struct thr_redirect to = {.url = NULL};
    if (location) {
        const char *why;
        assert_int_equal(thr_redirect_next(&to, from, 302, "GET", location, false, &why), 0);
        assert_int_equal(thr_outgoing_redirect(&out, &to), 0);
    }
    struct thr_text value = {"", 0};
    (void)thr_fields_get(thr_headers_view(&out.fields), "Authorization", &value);
    snprintf(line, line_bytes, "%.*s", (int)value.len, value.ptr);
    thr_outgoing_fini(&out);
    thrum_url_free(from);
    thrum_url_free(to.url);
}

static void credentials_of_a_url_become_basic_authentication(void **state)
{
    (void)state;
    static const struct {
        const char *url, *location, *own, *want;
    } rows[] = {
        {"http://Aladdin:open%20sesame@a/", NULL, NULL, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        {"http://a:@h/", NULL, NULL, "Basic YTo="},
        {"http://ab:c@h/", NULL, NULL, "Basic YWI6Yw=="},
        {"http://ab:cd@h/", NULL, NULL, "Basic YWI6Y2Q="},
        {"http://h/", NULL, NULL, ""},
        {"http://ab:c@h/", NULL, "Bearer x", "Bearer x"},
        {"http://ab:c@h/", "/y", NULL, "Basic YWI6Yw=="},
        {"http://ab:c@h/", "http://h/y", NULL, "Basic YWI6Yw=="},
        {"http://ab:c@h/", "http://other/y", NULL, ""},
        {"http://h/", "http://other/y", "Bearer x", ""},
        {"http://h/", "/y", "Bearer x", "Bearer x"},
        {"http://h/", "http://ab:c@h/", "Bearer x", "Bearer x"},
        {"http://ab:cd@h/", "http://ab:c@h/", NULL, "Basic YWI6Yw=="},
    };
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        char line[128];
        credentials_of(line, sizeof(line), rows[i].url, rows[i].location, rows[i].own);
        assert_string_equal(line, rows[i].want);
    }
}

static void a_header_of_the_callers_replaces_the_clients_own(void **state)
{
    (void)state;
    static const thrum_http_header headers[] = {
        {"user-agent", "mine"}, {"ACCEPT", "text/html"}, {"Accept-Encoding", "identity"}};
    const thrum_http_request request = {.headers = headers, .headers_n = THR_COUNT_OF(headers)};
    struct thr_outgoing out;
    thrum_url *url = NULL;
    assert_int_equal(thrum_url_parse(&url, "http://a/p?q"), 0);
    assert_int_equal(thr_outgoing_init(&out, &request, url, &plain_opts), 0);
    char *head = head_of(&out, url);
    assert_string_equal(head, "GET /p?q HTTP/1.1\r\nHost: a\r\nuser-agent: mine\r\n"
                              "ACCEPT: text/html\r\nAccept-Encoding: identity\r\n\r\n");
    assert_false(out.decode);
    free(head);
    thrum_url_free(url);
    thr_outgoing_fini(&out);
}

static void what_cannot_be_sent_is_refused(void **state)
{
    (void)state;
    static const thrum_http_header bad[] = {{"X", "a\r\nInjected: yes"},
                                            {"X y", "a"},
                                            {"", "a"},
                                            {"X:", "a"},
                                            {NULL, "a"},
                                            {"X", NULL}};
    thrum_url *url = NULL;
    assert_int_equal(thrum_url_parse(&url, "http://a/"), 0);
    for (size_t i = 0; i < THR_COUNT_OF(bad); i++) {
        const thrum_http_request request = {.headers = &bad[i], .headers_n = 1};
        struct thr_outgoing out;
        assert_int_equal(thr_outgoing_init(&out, &request, url, &plain_opts), THRUM_EHTTP_REQUEST);
        thr_outgoing_fini(&out);
    }
    struct thr_outgoing out;
    const thrum_http_request connect = {.method = "CONNECT"};
    assert_int_equal(thr_outgoing_init(&out, &connect, url, &plain_opts), THRUM_EHTTP_REQUEST);
    thr_outgoing_fini(&out);
    const thrum_http_request no_body = {.body_bytes = 3};
    assert_int_equal(thr_outgoing_init(&out, &no_body, url, &plain_opts), THRUM_EHTTP_REQUEST);
    thr_outgoing_fini(&out);
    const thrum_http_request method = {.method = "GE T"};
    char *head;
    assert_int_equal(thr_outgoing_init(&out, &method, url, &plain_opts), 0);
    assert_int_equal(thr_outgoing_head(&out, url, &head), THRUM_EHTTP_REQUEST);
    assert_null(head);
    thr_outgoing_fini(&out);
    thrum_url_free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_five_statuses_are_followed),
        cmocka_unit_test(methods_change_as_rfc_9110_says),
        cmocka_unit_test(locations_are_resolved_and_fragments_inherited),
        cmocka_unit_test(what_cannot_be_followed_says_why),
        cmocka_unit_test(https_to_http_is_refused_unless_asked_for),
        cmocka_unit_test(secrets_stay_within_the_origin),
        cmocka_unit_test(every_instance_of_a_secret_is_dropped),
        cmocka_unit_test(a_body_goes_with_all_that_describes_it),
        cmocka_unit_test(credentials_of_a_url_become_basic_authentication),
        cmocka_unit_test(a_header_of_the_callers_replaces_the_clients_own),
        cmocka_unit_test(what_cannot_be_sent_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
