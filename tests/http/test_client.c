/* SPDX-License-Identifier: MIT */
/* The client against nginx: bodies in every framing, reuse, redirects, limits, TLS, a thousand at once. */
#include "fetching.h"
#include "support/nginx.h"

static struct sup_nginx *nginx;

static int start(void **state)
{
    (void)state;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.pages_n = 1000, .bad_certs = true});
    return nginx ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

static const char *url_of(char url[256], enum sup_nginx_port port, const char *path)
{
    snprintf(url, 256, "%s%s", sup_nginx_base(nginx, port), path);
    return url;
}

/* ---- Bodies ----------------------------------------------------------------------------------------------------- */

static int each_framing(thrum_http_client *c, void *arg)
{
    enum sup_nginx_port port = *(enum sup_nginx_port *)arg;
    static const char *const ways[] = {"pages", "gzip", "chunked", "until-close", "close"};
    for (unsigned i = 0; i < 200; i++) {
        char path[64], url[256];
        struct got g;
        snprintf(path, sizeof(path), "/%s/%u", ways[i % 5], i);
        CHECK(fetch_ok(c, url_of(url, port, path), NULL, 200, &g));
        CHECK(sup_page_match(i, g.body, g.bytes));
        CHECK(g.body[g.bytes] == '\0');
        CHECK(g.info.body_bytes == g.bytes);
        CHECK(i % 5 == 1 ? g.info.wire_bytes < g.bytes : g.info.wire_bytes == g.bytes);
        got_free(&g);
    }
    return 0;
}

static void a_body_comes_whole_in_every_framing(void **state)
{
    (void)state;
    static const enum sup_nginx_port ports[] = {SUP_NGINX_HTTP, SUP_NGINX_HTTPS, SUP_NGINX_TLS12,
                                                SUP_NGINX_TLS13};
    for (size_t i = 0; i < THR_COUNT_OF(ports); i++) {
        enum sup_nginx_port port = ports[i];
        run_with(each_framing, &port, NULL, sup_ca_file(), 2);
    }
}

static int in_pieces(thrum_http_client *c, void *arg)
{
    (void)arg;
    static char buf[1 << 20];
    static const size_t sizes[] = {1, 7, 100, 4095, 4096, 5000, 65536, 1 << 20};
    static const char *const paths[] = {"/large", "/large-gzip"};
    for (size_t i = 0; i < THR_COUNT_OF(sizes) * 2; i++) {
        size_t size = sizes[i / 2];
        uint64_t most = size < 100 ? 100000 : UINT64_MAX; /* a byte at a time: not all of it */
        char url[256];
        thrum_http_response *r;
        uint64_t at = 0;
        CHECK(thrum_http_get(c, url_of(url, SUP_NGINX_HTTP, paths[i % 2]), NULL, &r) == 0);
        for (;;) {
            ssize_t n = thrum_http_read(r, buf, size);
            CHECK(n >= 0 && (size_t)n <= size);
            CHECK(sup_stream_match(SUP_NGINX_LARGE_SEED, at, buf, (size_t)n));
            at += (uint64_t)n;
            if (n == 0 || at >= most)
                break;
        }
        CHECK(at >= most || at == 8u << 20);
        thrum_http_response_close(r);
    }
    return 0;
}

static void a_body_can_be_read_in_pieces_of_any_size(void **state)
{
    (void)state;
    run_with(in_pieces, NULL, NULL, NULL, 2);
}

static int without_body(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    const thrum_http_request head = {.method = "HEAD"};
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/pages/1"), &head, 200, &g));
    CHECK(g.bytes == 0 && g.body);
    got_free(&g);
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/gzip/1"), &head, 200, &g));
    CHECK(g.bytes == 0);
    got_free(&g);
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/status/204"), NULL, 204, &g));
    CHECK(g.bytes == 0);
    got_free(&g);

    thrum_http_response *r;
    CHECK(thrum_http_get(c, url_of(url, SUP_NGINX_HTTP, "/pages/1"), NULL, &r) == 0);
    const char *tag = thrum_http_header_get(r, "eTaG");
    CHECK(tag);
    char *copy = strdup(tag);
    thrum_http_response_close(r);
    const thrum_http_header same = {"If-None-Match", copy};
    CHECK(fetch_ok(c, url, &(thrum_http_request){.headers = &same, .headers_n = 1}, 304, &g));
    CHECK(g.bytes == 0);
    got_free(&g);
    free(copy);
    return 0;
}

static void answers_without_a_body_leave_the_connection_usable(void **state)
{
    (void)state;
    thrum_http_stats stats = run_with(without_body, NULL, NULL, NULL, 1);
    assert_int_equal(stats.requests, 5);
    assert_int_equal(stats.connections_opened, 1);
}

static int every_status(thrum_http_client *c, void *arg)
{
    (void)arg;
    static const int codes[] = {200, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < THR_COUNT_OF(codes); i++) {
        char path[32], url[256], want[32];
        struct got g;
        snprintf(path, sizeof(path), "/status/%d", codes[i]);
        snprintf(want, sizeof(want), "status %d\n", codes[i]);
        CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, path), NULL, codes[i], &g));
        CHECK(strcmp(g.body, want) == 0);
        CHECK(strcmp(g.version, "1.1") == 0);
        got_free(&g);
    }
    return 0;
}

static void any_status_is_a_success(void **state)
{
    (void)state;
    run_with(every_status, NULL, NULL, NULL, 1);
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static int echoes(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    static const thrum_http_header headers[] = {{"X-Test", "one two"},
                                                {"Content-Type", "text/x-y"}};
    const thrum_http_request put = {
        .method = "PUT", .headers = headers, .headers_n = 2, .body = "hello\n", .body_bytes = 6};
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/echo?a=%7e&b"), &put, 200, &g));
    CHECK(strncmp(g.body, "PUT /echo?a=%7e&b HTTP/1.1 host=[127.0.0.1:", 43) == 0);
    CHECK(strstr(g.body, " ua=[thrum/" THRUM_VERSION "] "));
    CHECK(strstr(g.body, " x-test=[one two] type=[text/x-y] length=[6]"));
    got_free(&g);

    const thrum_http_request post = {.body = "a line of text", .body_bytes = 14};
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/echo-body"), &post, 200, &g));
    CHECK(g.bytes >= 14 && memcmp(g.body, "a line of text", 14) == 0);
    got_free(&g);

    const thrum_http_request empty = {.method = "POST"};
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/echo"), &empty, 200, &g));
    CHECK(strstr(g.body, "length=[0]"));
    got_free(&g);
    return 0;
}

static void requests_arrive_as_they_were_made(void **state)
{
    (void)state;
    run_with(echoes, NULL, NULL, NULL, 1);
}

static int facts(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    thrum_http_response *r;
    CHECK(thrum_http_get(c, url_of(url, SUP_NGINX_HTTP, "/headers/100#frag"), NULL, &r) == 0);
    CHECK(strcmp(thrum_http_reason(r), "OK") == 0);
    CHECK(strcmp(thrum_http_url(r), url) == 0);
    size_t fill_n = 0;
    for (size_t i = 0; i < thrum_http_headers_n(r); i++) {
        thrum_http_header h = thrum_http_header_at(r, i);
        if (strncmp(h.name, "X-Fill-", 7) == 0) {
            CHECK(strlen(h.value) == 64);
            fill_n++;
        }
    }
    CHECK(fill_n == 100);
    CHECK(thrum_http_header_get(r, "no-such-header") == NULL);
    thrum_http_response_close(r);
    thrum_http_response_close(NULL);
    return 0;
}

static void the_headers_of_a_response_are_there_in_order(void **state)
{
    (void)state;
    run_with(facts, NULL, NULL, NULL, 1);
}

/* ---- Reuse ------------------------------------------------------------------------------------------------------ */

static int fifty_in_turn(thrum_http_client *c, void *arg)
{
    const char *path = arg;
    for (unsigned i = 0; i < 50; i++) {
        char url[256];
        struct got g;
        CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, path), NULL, 200, &g));
        CHECK(g.info.reused == (i > 0 && strcmp(path, "/close/1") != 0));
        got_free(&g);
    }
    return 0;
}

static void one_connection_serves_requests_in_turn(void **state)
{
    (void)state;
    struct sup_nginx_stats before, after;
    char path[] = "/pages/1";
    assert_true(sup_nginx_stats(nginx, &before));
    thrum_http_stats stats = run_with(fifty_in_turn, path, NULL, NULL, 2);
    assert_true(sup_nginx_stats(nginx, &after));
    assert_int_equal(after.connections - before.connections, 1);
    assert_int_equal(after.requests - before.requests, 50);
    assert_int_equal(stats.connections_opened, 1);
    assert_int_equal(stats.connections_reused, 49);
    assert_int_equal(stats.connections_idle, 1);
    assert_int_equal(stats.retries, 0);
}

static void no_connection_is_kept_where_either_side_says_so(void **state)
{
    (void)state;
    char path[] = "/close/1";
    thrum_http_stats stats = run_with(fifty_in_turn, path, NULL, NULL, 2);
    assert_int_equal(stats.connections_opened, 50);
    assert_int_equal(stats.connections_idle, 0);
}

static int not_kept(thrum_http_client *c, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 5; i++) {
        char url[256];
        struct got g;
        CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/pages/1"), NULL, 200, &g));
        CHECK(!g.info.reused);
        got_free(&g);
    }
    return 0;
}

static void no_keepalive_opens_a_connection_for_each_request(void **state)
{
    (void)state;
    thrum_http_stats stats =
        run_with(not_kept, NULL, &(thrum_http_client_opts){.no_keepalive = true}, NULL, 1);
    assert_int_equal(stats.connections_opened, 5);
}

static int closed_early(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    thrum_http_response *r;
    for (unsigned i = 0; i < 5; i++) { /* small: the rest is read, and the connection kept */
        CHECK(thrum_http_get(c, url_of(url, SUP_NGINX_HTTP, i % 2 ? "/chunked/1" : "/gzip/1"), NULL,
                             &r) == 0);
        thrum_http_response_close(r);
    }
    thrum_http_stats stats;
    thrum_http_client_stats(c, &stats);
    CHECK(stats.connections_opened == 1);
    for (unsigned i = 0; i < 3; i++) { /* large: it is closed */
        CHECK(thrum_http_get(c, url_of(url, SUP_NGINX_HTTP, "/large"), NULL, &r) == 0);
        char some[1000];
        CHECK(thrum_http_read(r, some, sizeof(some)) > 0);
        thrum_http_response_close(r);
    }
    thrum_http_client_stats(c, &stats);
    CHECK(stats.connections_opened == 3 && stats.connections_idle == 0);
    return 0;
}

static void a_response_closed_early_keeps_its_connection_if_little_is_left(void **state)
{
    (void)state;
    run_with(closed_early, NULL, NULL, NULL, 1);
    assert_true(sup_nginx_wait_active(nginx, 0, SUP_TIMEOUT_MS));
}

/* ---- Redirects -------------------------------------------------------------------------------------------------- */

static int redirects(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256], want[256];
    struct got g;
    static const char *const ways[] = {"/redirect/10", "/redirect-abs/3"};
    static const unsigned hops[] = {10, 3};
    for (size_t i = 0; i < 2; i++) {
        CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, ways[i]), NULL, 200, &g));
        CHECK(g.info.hops == hops[i]);
        CHECK(strcmp(g.url, url_of(want, SUP_NGINX_HTTP, "/pages/0")) == 0);
        CHECK(sup_page_match(0, g.body, g.bytes));
        got_free(&g);
    }
    CHECK(fetch_fails(c, url_of(url, SUP_NGINX_HTTP, "/redirect/11"), NULL, THRUM_EHTTP_REDIRECTS,
                      THRUM_HTTP_PHASE_REDIRECT, &g));
    CHECK(g.info.hops == 10);
    CHECK(fetch_fails(c, url_of(url, SUP_NGINX_HTTP, "/redirect-loop"), NULL, THRUM_EHTTP_REDIRECTS,
                      THRUM_HTTP_PHASE_REDIRECT, &g));
    return 0;
}

static void redirects_are_followed_up_to_a_limit(void **state)
{
    (void)state;
    thrum_http_stats stats = run_with(redirects, NULL, NULL, NULL, 1);
    assert_true(stats.connections_opened <= 2); /* the bodies of redirects are read past */
}

static int redirect_methods(thrum_http_client *c, void *arg)
{
    (void)arg;
    static const struct {
        int code;
        const char *method, *after;
    } rows[] = {
        {301, "POST", "GET "},  {302, "POST", "GET "},  {303, "POST", "GET "},
        {307, "POST", "POST "}, {308, "POST", "POST "}, {301, "PUT", "PUT "},
        {303, "PUT", "GET "},   {307, "PUT", "PUT "},
    };
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        char path[64], url[256];
        struct got g;
        const thrum_http_header type = {"Content-Type", "text/x"};
        const thrum_http_request request = {.method = rows[i].method,
                                            .headers = &type,
                                            .headers_n = 1,
                                            .body = "12345",
                                            .body_bytes = 5};
        snprintf(path, sizeof(path), "/redirect-code/%d", rows[i].code);
        CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, path), &request, 200, &g));
        CHECK(strncmp(g.body, rows[i].after, strlen(rows[i].after)) == 0);
        bool kept = rows[i].after[0] == 'P';
        CHECK((strstr(g.body, "length=[5]") != NULL) == kept);
        CHECK((strstr(g.body, "type=[text/x]") != NULL) == kept);
        got_free(&g);
    }
    return 0;
}

static void methods_and_bodies_change_on_redirects(void **state)
{
    (void)state;
    run_with(redirect_methods, NULL, NULL, NULL, 1);
}

static int across_schemes(thrum_http_client *c, void *arg)
{
    bool allowed = *(bool *)arg;
    char url[256];
    struct got g;
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/redirect-https"), NULL, 200, &g));
    CHECK(g.info.hops == 1 && strncmp(g.url, "https:", 6) == 0 && g.info.tls_version[0]);
    got_free(&g);
    url_of(url, SUP_NGINX_HTTPS, "/redirect-http");
    if (allowed) {
        CHECK(fetch_ok(c, url, NULL, 200, &g));
        CHECK(strncmp(g.url, "http:", 5) == 0 && !g.info.tls_version[0]);
        got_free(&g);
    } else {
        CHECK(fetch_fails(c, url, NULL, THRUM_EHTTP_REDIRECT_BAD, THRUM_HTTP_PHASE_REDIRECT, &g));
        CHECK(strstr(g.info.detail, "from https to http"));
    }
    return 0;
}

static void a_redirect_to_http_is_refused_unless_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool allowed = i == 1;
        run_with(across_schemes, &allowed, &(thrum_http_client_opts){.plain_redirects = allowed},
                 sup_ca_file(), 1);
    }
}

static int not_followed(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/redirect/3"), NULL, 302, &g));
    got_free(&g);
    return 0;
}

static void redirects_can_be_left_to_the_caller(void **state)
{
    (void)state;
    run_with(not_followed, NULL, &(thrum_http_client_opts){.no_redirects = true}, NULL, 1);
}

/* ---- Limits ----------------------------------------------------------------------------------------------------- */

static int small_limits(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    CHECK(fetch_fails(c, url_of(url, SUP_NGINX_HTTP, "/headers/100"), NULL,
                      THRUM_EHTTP_HEADER_LIMIT, THRUM_HTTP_PHASE_HEADER, &g));
    CHECK(fetch_fails(c, url_of(url, SUP_NGINX_HTTP, "/large"), NULL, THRUM_EHTTP_BODY_LIMIT,
                      THRUM_HTTP_PHASE_BODY, &g));
    CHECK(fetch_fails(c, url_of(url, SUP_NGINX_HTTP, "/bomb-gzip"), NULL, THRUM_EHTTP_BOMB,
                      THRUM_HTTP_PHASE_BODY, &g));
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/pages/0"), NULL, 200, &g));
    got_free(&g);
    return 0;
}

static int ratio_limit(thrum_http_client *c, void *arg)
{
    bool allowed = *(bool *)arg;
    char url[256];
    struct got g;
    url_of(url, SUP_NGINX_HTTP, "/bomb-gzip");
    if (!allowed) {
        CHECK(fetch_fails(c, url, NULL, THRUM_EHTTP_BOMB, THRUM_HTTP_PHASE_BODY, &g));
        return 0;
    }
    CHECK(fetch_ok(c, url, NULL, 200, &g));
    CHECK(g.bytes == 4u << 20 && g.body[0] == 'A' && g.body[g.bytes - 1] == 'A');
    CHECK(g.info.wire_bytes < 20000);
    got_free(&g);
    return 0;
}

static void headers_bodies_and_bombs_are_limited(void **state)
{
    (void)state;
    run_with(small_limits, NULL,
             &(thrum_http_client_opts){.header_bytes_max = 2000, .body_bytes_max = 1 << 20}, NULL,
             1);
    for (int i = 0; i < 2; i++) {
        bool allowed = i == 1;
        run_with(ratio_limit, &allowed,
                 &(thrum_http_client_opts){.ratio_max = allowed ? 5000 : 100}, NULL, 1);
    }
}

static int as_sent(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/bomb-gzip"), NULL, 200, &g));
    CHECK(g.bytes < 20000 && (unsigned char)g.body[0] == 0x1f && (unsigned char)g.body[1] == 0x8b);
    got_free(&g);
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_HTTP, "/gzip/5"), NULL, 200, &g));
    CHECK(
        sup_page_match(5, g.body, g.bytes)); /* nothing was asked for, so nothing was compressed */
    got_free(&g);
    return 0;
}

static void without_decoding_a_body_is_given_as_it_was_sent(void **state)
{
    (void)state;
    run_with(as_sent, NULL, &(thrum_http_client_opts){.no_decode = true}, NULL, 1);
}

/* ---- Where to, and TLS ------------------------------------------------------------------------------------------ */

static int overridden(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    snprintf(url, sizeof(url), "https://WWW.thrum.test:%u/pages/3",
             sup_nginx_port(nginx, SUP_NGINX_HTTPS));
    CHECK(fetch_ok(c, url, NULL, 200, &g));
    CHECK(sup_page_match(3, g.body, g.bytes));
    CHECK(thrum_addr_port(&g.info.remote) == sup_nginx_port(nginx, SUP_NGINX_HTTPS));
    got_free(&g);
    return 0;
}

static void an_override_takes_the_resolvers_place(void **state)
{
    (void)state;
    uint16_t port = sup_nginx_port(nginx, SUP_NGINX_HTTPS);
    thrum_http_override o = {.host = "www.THRUM.test", .port = port};
    assert_int_equal(thrum_addr_parse(&o.addr, "127.0.0.1", port), 0);
    run_with(overridden, NULL, &(thrum_http_client_opts){.overrides = &o, .overrides_n = 1},
             sup_ca_file(), 1);
}

static int ipv6(thrum_http_client *c, void *arg)
{
    (void)arg;
    static const enum sup_nginx_port ports[] = {SUP_NGINX_HTTP6, SUP_NGINX_HTTPS6};
    for (size_t i = 0; i < 2; i++) {
        char url[256];
        struct got g;
        CHECK(fetch_ok(c, url_of(url, ports[i], "/pages/3"), NULL, 200, &g));
        CHECK(g.info.remote.u.sa.sa_family == AF_INET6);
        got_free(&g);
    }
    return 0;
}

static void ipv6_addresses_work(void **state)
{
    (void)state;
    if (!sup_has_ipv6())
        skip();
    run_with(ipv6, NULL, NULL, sup_ca_file(), 1);
}

static int bad_certificates(thrum_http_client *c, void *arg)
{
    (void)arg;
    static const struct {
        enum sup_nginx_port port;
        int err;
    } rows[] = {
        {SUP_NGINX_EXPIRED, THRUM_ETLS_EXPIRED},
        {SUP_NGINX_NOT_YET, THRUM_ETLS_NOT_YET_VALID},
        {SUP_NGINX_SELF_SIGNED, THRUM_ETLS_SELF_SIGNED},
        {SUP_NGINX_WRONG_HOST, THRUM_ETLS_WRONG_HOST},
        {SUP_NGINX_UNKNOWN_CA, THRUM_ETLS_UNKNOWN_CA},
    };
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        char url[256];
        struct got g;
        CHECK(fetch_fails(c, url_of(url, rows[i].port, "/pages/1"), NULL, rows[i].err,
                          THRUM_HTTP_PHASE_TLS, &g));
        CHECK(strstr(g.info.detail, "127.0.0.1:"));
    }
    char url[256];
    struct got g;
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_RSA, "/pages/1"), NULL, 200, &g));
    got_free(&g);
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_CHAIN, "/pages/1"), NULL, 200, &g));
    got_free(&g);
    return 0;
}

static void what_is_wrong_with_a_certificate_comes_through(void **state)
{
    (void)state;
    run_with(bad_certificates, NULL, NULL, sup_ca_file(), 1);
}

static int timings(thrum_http_client *c, void *arg)
{
    (void)arg;
    char url[256];
    struct got g;
    uint64_t before = thrum_now();
    CHECK(fetch_ok(c, url_of(url, SUP_NGINX_TLS13, "/tls"), NULL, 200, &g));
    const thrum_http_timing *t = &g.info.timing;
    CHECK(t->started >= before);
    CHECK(t->connect_ns && t->tls_ns && t->first_byte_ns);
    CHECK(t->total_ns >= t->connect_ns + t->tls_ns + t->first_byte_ns);
    CHECK(strcmp(g.info.tls_version, "TLSv1.3") == 0 && g.info.tls_cipher[0]);
    CHECK(strstr(g.body, "http/1.1") || strstr(g.body, " - "));
    got_free(&g);
    CHECK(fetch_ok(c, url, NULL, 200, &g));
    CHECK(g.info.reused && !t->connect_ns && !t->tls_ns && t->first_byte_ns);
    CHECK(strcmp(g.info.tls_version, "TLSv1.3") == 0);
    got_free(&g);
    return 0;
}

static void phases_are_timed(void **state)
{
    (void)state;
    thrum_http_stats stats = run_with(timings, NULL, NULL, sup_ca_file(), 1);
    assert_int_equal(stats.handshakes, 1);
}

static int bad_urls(thrum_http_client *c, void *arg)
{
    (void)arg;
    struct got g;
    CHECK(fetch_fails(c, "http://", NULL, THRUM_EHTTP_URL, THRUM_HTTP_PHASE_REQUEST, &g));
    CHECK(fetch_fails(c, "not a url", NULL, THRUM_EHTTP_URL, THRUM_HTTP_PHASE_REQUEST, &g));
    CHECK(fetch_fails(c, "ftp://a/", NULL, THRUM_EHTTP_SCHEME, THRUM_HTTP_PHASE_REQUEST, &g));
    CHECK(fetch_fails(c, "ws://a/", NULL, THRUM_EHTTP_SCHEME, THRUM_HTTP_PHASE_REQUEST, &g));
    const thrum_http_header bad = {"X", "a\r\nb"};
    CHECK(fetch_fails(c, "http://127.0.0.1:1/",
                      &(thrum_http_request){.headers = &bad, .headers_n = 1}, THRUM_EHTTP_REQUEST,
                      THRUM_HTTP_PHASE_REQUEST, &g));
    CHECK(fetch_fails(c, "http://127.0.0.1:1/", &(thrum_http_request){.method = "G T"},
                      THRUM_EHTTP_REQUEST, THRUM_HTTP_PHASE_REQUEST, &g));
    return 0;
}

static void what_is_no_request_is_refused_before_any_connection(void **state)
{
    (void)state;
    thrum_http_stats stats = run_with(bad_urls, NULL, NULL, NULL, 1);
    assert_int_equal(stats.connections_opened, 0);
}

/* ---- Many at once ----------------------------------------------------------------------------------------------- */

struct many {
    thrum_http_client *client;
    enum sup_nginx_port port;
    unsigned i;
};

static int one_of_many(void *arg)
{
    struct many *m = arg;
    static const char *const ways[] = {"pages", "gzip", "chunked", "redirect"};
    char path[64], url[256];
    struct got g;
    bool redirect = m->i % 4 == 3;
    snprintf(path, sizeof(path), "/%s/%u", ways[m->i % 4], redirect ? 1 : m->i);
    CHECK(fetch_ok(m->client, url_of(url, m->port, path), NULL, 200, &g));
    CHECK(sup_page_match(redirect ? 0 : m->i, g.body, g.bytes));
    got_free(&g);
    return 0;
}

#define MANY 1000

static int many_at_once(thrum_http_client *c, void *arg)
{
    static struct many many[MANY];
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = (struct many){c, *(enum sup_nginx_port *)arg, i};
        CHECK(thrum_scope_spawn(&scope, one_of_many, &many[i]) == 0);
    }
    CHECK(thrum_scope_close(&scope) == 0);
    return 0;
}

static void a_thousand_at_once_all_come_whole(void **state)
{
    (void)state;
    static const unsigned workers[] = {1, 2, 4, 16};
    for (size_t i = 0; i < THR_COUNT_OF(workers); i++) {
        enum sup_nginx_port port = SUP_NGINX_HTTP;
        struct sup_nginx_stats before, after;
        assert_true(sup_nginx_stats(nginx, &before));
        thrum_http_stats stats = run_with(
            many_at_once, &port, &(thrum_http_client_opts){.total_max = 64}, NULL, workers[i]);
        assert_true(sup_nginx_stats(nginx, &after));
        assert_true(stats.connections_opened <= 64);
        assert_int_equal(after.connections - before.connections, stats.connections_opened);
        assert_int_equal(stats.requests, MANY + MANY / 4); /* a redirect is two requests */

        run_with(many_at_once, &port, NULL, NULL, workers[i]); /* and without a limit */
    }
    assert_true(sup_nginx_wait_active(nginx, 0, SUP_TIMEOUT_MS));
}

static void a_thousand_at_once_over_tls(void **state)
{
    (void)state;
    enum sup_nginx_port port = SUP_NGINX_HTTPS;
    for (unsigned workers = 1; workers <= 16; workers *= 4) {
        thrum_http_stats stats =
            run_with(many_at_once, &port, &(thrum_http_client_opts){.per_host_max = 50},
                     sup_ca_file(), workers);
        assert_true(stats.connections_opened <= 50);
        assert_int_equal(stats.handshakes, stats.connections_opened);
    }
    assert_true(sup_nginx_wait_active(nginx, 0, SUP_TIMEOUT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_comes_whole_in_every_framing),
        cmocka_unit_test(a_body_can_be_read_in_pieces_of_any_size),
        cmocka_unit_test(answers_without_a_body_leave_the_connection_usable),
        cmocka_unit_test(any_status_is_a_success),
        cmocka_unit_test(requests_arrive_as_they_were_made),
        cmocka_unit_test(the_headers_of_a_response_are_there_in_order),
        cmocka_unit_test(one_connection_serves_requests_in_turn),
        cmocka_unit_test(no_connection_is_kept_where_either_side_says_so),
        cmocka_unit_test(no_keepalive_opens_a_connection_for_each_request),
        cmocka_unit_test(a_response_closed_early_keeps_its_connection_if_little_is_left),
        cmocka_unit_test(redirects_are_followed_up_to_a_limit),
        cmocka_unit_test(methods_and_bodies_change_on_redirects),
        cmocka_unit_test(a_redirect_to_http_is_refused_unless_asked_for),
        cmocka_unit_test(redirects_can_be_left_to_the_caller),
        cmocka_unit_test(headers_bodies_and_bombs_are_limited),
        cmocka_unit_test(without_decoding_a_body_is_given_as_it_was_sent),
        cmocka_unit_test(an_override_takes_the_resolvers_place),
        cmocka_unit_test(ipv6_addresses_work),
        cmocka_unit_test(what_is_wrong_with_a_certificate_comes_through),
        cmocka_unit_test(phases_are_timed),
        cmocka_unit_test(what_is_no_request_is_refused_before_any_connection),
        cmocka_unit_test(a_thousand_at_once_all_come_whole),
        cmocka_unit_test(a_thousand_at_once_over_tls),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
