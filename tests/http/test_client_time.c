/* SPDX-License-Identifier: MIT */
/* Deadlines and cancelling, in each phase of a request; and names that do not resolve. */
#include <unistd.h>

#include "fetching.h"
#include "support/certs.h"
#include "support/dnsserver.h"
#include "support/scripted.h"

#define REQUEST SUP_EXPECT("\r\n\r\n")
#define SHORT (100 * THRUM_MILLISECOND)
#define FILL "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" /* a piece a tick: seconds */
#define UPLOAD_BYTES (16u << 20)

/* What is set up to stall in one phase. */
struct stall {
    const char *name;
    thrum_http_phase phase;
    struct sup_step steps[4];
    const char *url; /* %u: the port */
    bool upload;
    bool body; /* the failure comes from reading the body */
};

static const struct stall stalls[] = {
    {"pool", THRUM_HTTP_PHASE_POOL, {REQUEST, SUP_STALL}, "http://127.0.0.1:%u/", false, false},
    {"dns", THRUM_HTTP_PHASE_DNS, {REQUEST, SUP_STALL}, "http://silent.test:%u/", false, false},
    {"connect",
     THRUM_HTTP_PHASE_CONNECT,
     {REQUEST, SUP_STALL},
     "http://hole.test:%u/",
     false,
     false},
    {"tls", THRUM_HTTP_PHASE_TLS, {SUP_READ(5), SUP_STALL}, "https://127.0.0.1:%u/", false, false},
    {"tls, half a record",
     THRUM_HTTP_PHASE_TLS,
     {SUP_READ(5), SUP_SEND(SUP_TLS_HALF_RECORD), SUP_STALL},
     "https://127.0.0.1:%u/",
     false,
     false},
    {"send", THRUM_HTTP_PHASE_SEND, {REQUEST, SUP_STALL}, "http://127.0.0.1:%u/", true, false},
    {"header", THRUM_HTTP_PHASE_HEADER, {REQUEST, SUP_STALL}, "http://127.0.0.1:%u/", false, false},
    {"half a header",
     THRUM_HTTP_PHASE_HEADER,
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nA:"), SUP_STALL},
     "http://127.0.0.1:%u/",
     false,
     false},
    {"body",
     THRUM_HTTP_PHASE_BODY,
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), SUP_STALL},
     "http://127.0.0.1:%u/",
     false,
     true},
    {"chunked body",
     THRUM_HTTP_PHASE_BODY,
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"),
      SUP_STALL},
     "http://127.0.0.1:%u/",
     false,
     true},
    {"a slow header",
     THRUM_HTTP_PHASE_HEADER,
     {REQUEST, SUP_SEND_PIECES("HTTP/1.1 200 OK\r\nA: " FILL FILL FILL "\r\n\r\n", 1, 20)},
     "http://127.0.0.1:%u/",
     false,
     false},
    {"a slow body",
     THRUM_HTTP_PHASE_BODY,
     {REQUEST,
      SUP_SEND_PIECES("HTTP/1.1 200 OK\r\n\r\n" FILL FILL FILL FILL FILL FILL FILL FILL, 20, 60)},
     "http://127.0.0.1:%u/",
     false,
     true},
};

struct scene {
    const struct stall *stall;
    struct sup_scripted *server;
    uint16_t hole_port;
    const char *dns;
    char *upload;
    bool cancel; /* instead of a deadline */
};

struct attempt {
    thrum_http_client *client;
    const struct scene *scene;
    struct got got;
};

static int attempt(void *arg)
{
    struct attempt *a = arg;
    const struct stall *s = a->scene->stall;
    const thrum_http_request request = {.body = s->upload ? a->scene->upload : NULL,
                                        .body_bytes = s->upload ? UPLOAD_BYTES : 0};
    char url[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(url, sizeof(url), s->url,
             s->phase == THRUM_HTTP_PHASE_CONNECT ? a->scene->hole_port
                                                  : sup_scripted_port(a->scene->server));
#pragma GCC diagnostic pop
    fetch(a->client, url, &request, &a->got);
    got_free(&a->got);
    return 0;
}

static int check(const struct attempt *a, int err, uint64_t took_ns)
{
    const struct stall *s = a->scene->stall;
    const struct got *g = &a->got;
    if (g->err != err || g->info.phase != s->phase || g->sent != s->body)
        fprintf(stderr, "%s: %d in %s: \"%s\"\n", s->name, g->err,
                thrum_http_phase_name(g->info.phase), g->info.detail);
    CHECK(g->err == err && g->info.phase == s->phase && g->sent == s->body);
    CHECK(g->info.detail[0] && g->info.timing.total_ns);
    CHECK(took_ns < 10 * THRUM_SECOND);
    return 0;
}

/* Lets one request stall. Where it is to stall in the pool, another one, outside the limit, has the only connection. */
static int run_attempt(thrum_http_client *c, const struct scene *scene)
{
    struct attempt it = {.client = c, .scene = scene}, other = it;
    thrum_scope outer, scope;
    thrum_scope_open(&outer, &(thrum_scope_opts){.keep_going = true});
    if (scene->stall->phase == THRUM_HTTP_PHASE_POOL) {
        CHECK(thrum_scope_spawn(&outer, attempt, &other) == 0);
        struct sup_scripted_counts counts = {0};
        for (; counts.stalled == 0; sup_scripted_counts(scene->server, &counts))
            CHECK(thrum_sleep(THRUM_MILLISECOND) == 0);
    }
    uint64_t start = thrum_now();
    thrum_scope_open(
        &scope, &(thrum_scope_opts){.keep_going = true, .timeout_ns = scene->cancel ? 0 : SHORT});
    CHECK(thrum_scope_spawn(&scope, attempt, &it) == 0);
    if (scene->cancel) {
        CHECK(thrum_sleep(SHORT) == 0);
        thrum_scope_cancel(&scope);
    }
    (void)thrum_scope_close(&scope);
    uint64_t took_ns = thrum_now() - start;
    thrum_scope_cancel(&outer);
    (void)thrum_scope_close(&outer);
    return check(&it, scene->cancel ? -ECANCELED : -ETIMEDOUT, took_ns);
}

static int play(void *arg)
{
    const struct scene *scene = arg;
    thrum_resolver *resolver = NULL;
    thrum_tls_config *tls = NULL;
    thrum_http_client *c = NULL;
    CHECK(thrum_resolver_new(&resolver, &(thrum_resolver_opts){.servers = scene->dns}) == 0);
    CHECK(thrum_tls_config_new(&tls, &(thrum_tls_opts){.ca_file = sup_ca_file()}) == 0);
    thrum_http_override hole = {.host = "hole.test", .port = scene->hole_port};
    CHECK(thrum_addr_parse(&hole.addr, "127.0.0.1", scene->hole_port) == 0);
    const thrum_http_client_opts opts = {
        .resolver = resolver, .tls = tls, .overrides = &hole, .overrides_n = 1, .per_host_max = 1};
    CHECK(thrum_http_client_new(&c, &opts) == 0);
    thrum_tls_config_unref(tls);
    int err = run_attempt(c, scene);
    thrum_http_client_free(c);
    thrum_resolver_free(resolver);
    return err;
}

static void each_phase_can_be_interrupted(bool cancel)
{
    static const struct sup_dns_rule silent = {.reply = SUP_DNS_SILENT};
    struct sup_dns *dns = sup_dns_start(&silent, 1);
    uint16_t hole_port;
    struct sup_blackhole *hole = sup_blackhole_start(&hole_port);
    char *upload = calloc(1, UPLOAD_BYTES);
    assert_true(dns && hole && upload);
    for (size_t i = 0; i < THR_COUNT_OF(stalls); i++) {
        const struct sup_script script = {stalls[i].steps, THR_COUNT_OF(stalls[i].steps)};
        struct scene scene = {.stall = &stalls[i],
                              .server = sup_scripted_start(&script, 1),
                              .hole_port = hole_port,
                              .dns = sup_dns_address(dns),
                              .upload = upload,
                              .cancel = cancel};
        assert_non_null(scene.server);
        int fds = sup_fd_count();
        assert_int_equal(thrum_run(play, &scene, &(thrum_run_opts){.workers = 2}), 0);
        sup_scripted_stop(scene.server);
        assert_true(sup_fd_count_falls_to(fds, SUP_TIMEOUT_MS));
    }
    free(upload);
    sup_blackhole_stop(hole);
    sup_dns_stop(dns);
}

static void a_deadline_ends_each_phase(void **state)
{
    (void)state;
    each_phase_can_be_interrupted(false);
}

static void a_cancel_ends_each_phase(void **state)
{
    (void)state;
    each_phase_can_be_interrupted(true);
}

/* ---- The client's own limit ------------------------------------------------------------------------------------- */

static int fetch_slow_to_connect(thrum_http_client *c, void *arg)
{
    const uint16_t *ports = arg;
    char url[128];
    struct got g;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ports[0]);
    CHECK(fetch_fails(c, url, NULL, -ETIMEDOUT, THRUM_HTTP_PHASE_CONNECT, &g));
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", ports[1]);
    CHECK(fetch_fails(c, url, NULL, -ETIMEDOUT, THRUM_HTTP_PHASE_TLS, &g));
    CHECK(strstr(g.info.detail, "within 100 ms"));
    CHECK(thrum_check() == 0); /* it was not the task's own */
    return 0;
}

static const struct sup_step says_nothing[] = {SUP_STALL};

static void connecting_has_a_limit_of_its_own(void **state)
{
    (void)state;
    uint16_t ports[2];
    struct sup_blackhole *hole = sup_blackhole_start(&ports[0]);
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(says_nothing));
    assert_true(hole && server);
    ports[1] = sup_scripted_port(server);
    run_with(fetch_slow_to_connect, ports, &(thrum_http_client_opts){.connect_timeout_ns = SHORT},
             sup_ca_file(), 1);
    sup_scripted_stop(server);
    sup_blackhole_stop(hole);
}

/* ---- Reading on ------------------------------------------------------------------------------------------------- */

static const struct sup_step in_two_parts[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), SUP_STALL,
    SUP_SEND("def")};

static int read_on(thrum_http_client *c, void *arg)
{
    struct sup_scripted *server = arg;
    char url[64], buf[8];
    thrum_http_response *r;
    thrum_http_info info;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", sup_scripted_port(server));
    CHECK(thrum_http_get(c, url, &info, &r) == 0);
    CHECK(thrum_http_read(r, buf, sizeof(buf)) == 3 && memcmp(buf, "abc", 3) == 0);
    thrum_timeout limit;
    thrum_timeout_begin(&limit, SHORT);
    CHECK(thrum_http_read(r, buf, sizeof(buf)) == -ETIMEDOUT);
    CHECK(thrum_timeout_end(&limit));
    sup_scripted_release(server, 1);
    CHECK(thrum_http_read(r, buf, sizeof(buf)) == 3 && memcmp(buf, "def", 3) == 0);
    CHECK(thrum_http_read(r, buf, sizeof(buf)) == 0);
    CHECK(info.phase == THRUM_HTTP_PHASE_DONE && info.detail[0] == '\0');
    thrum_http_response_close(r);
    return 0;
}

static void a_body_can_be_read_on_after_a_deadline(void **state)
{
    (void)state;
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(in_two_parts));
    assert_non_null(server);
    run_with(read_on, server, NULL, NULL, 1);
    sup_scripted_stop(server);
}

static int close_early(thrum_http_client *c, void *arg)
{
    char url[64];
    thrum_http_response *r;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", sup_scripted_port(arg));
    CHECK(thrum_http_get(c, url, NULL, &r) == 0);
    uint64_t start = thrum_now();
    thrum_http_response_close(r); /* three bytes are missing, and do not come */
    CHECK(thrum_now() - start < 2 * THRUM_SECOND);
    return 0;
}

static void closing_does_not_wait_for_a_rest_that_does_not_come(void **state)
{
    (void)state;
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(in_two_parts));
    assert_non_null(server);
    thrum_http_stats stats = run_with(close_early, server, NULL, NULL, 1);
    assert_int_equal(stats.connections_idle, 0);
    sup_scripted_stop(server);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static const struct sup_dns_rule rules[] = {
    {.name = "servfail.test", .reply = SUP_DNS_SERVFAIL},
    {.name = "refused.test", .reply = SUP_DNS_REFUSED},
    {.name = "nodata.test", .reply = SUP_DNS_NODATA},
    {.name = "good.test", .reply = SUP_DNS_ANSWER, .address6 = "", .ttl = 60},
};

static int resolve_all(void *arg)
{
    void *const *args = arg;
    static const struct {
        const char *host;
        int err;
    } hosts[] = {
        {"servfail.test", THRUM_EDNS_SERVFAIL},
        {"refused.test", THRUM_EDNS_REFUSED},
        {"nodata.test", THRUM_EDNS_NODATA},
        {"missing.test", THRUM_EDNS_NOTFOUND},
    };
    thrum_resolver *resolver = NULL;
    thrum_http_client *c = NULL;
    const thrum_resolver_opts dns = {.servers = sup_dns_address(args[0]), .tries = 1};
    CHECK(thrum_resolver_new(&resolver, &dns) == 0);
    CHECK(thrum_http_client_new(&c, &(thrum_http_client_opts){.resolver = resolver}) == 0);
    char url[128];
    struct got g;
    for (size_t i = 0; i < THR_COUNT_OF(hosts); i++) {
        snprintf(url, sizeof(url), "http://%s/", hosts[i].host);
        CHECK(fetch_fails(c, url, NULL, hosts[i].err, THRUM_HTTP_PHASE_DNS, &g));
        CHECK(strstr(g.info.detail, hosts[i].host));
    }
    snprintf(url, sizeof(url), "http://good.test:%u/", sup_scripted_port(args[1]));
    CHECK(fetch_ok(c, url, NULL, 200, &g));
    CHECK(g.info.timing.dns_ns > 0);
    got_free(&g);
    thrum_http_client_free(c);
    thrum_resolver_free(resolver);
    return 0;
}

static const struct sup_step say_ok[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), SUP_REPEAT(0)};

static void names_that_do_not_resolve_fail_in_the_dns_phase(void **state)
{
    (void)state;
    struct sup_dns *dns = sup_dns_start(rules, THR_COUNT_OF(rules));
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(say_ok));
    assert_true(dns && server);
    void *args[] = {dns, server};
    assert_int_equal(thrum_run(resolve_all, args, &(thrum_run_opts){.workers = 2}), 0);
    sup_scripted_stop(server);
    sup_dns_stop(dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_each_phase),
        cmocka_unit_test(a_cancel_ends_each_phase),
        cmocka_unit_test(connecting_has_a_limit_of_its_own),
        cmocka_unit_test(a_body_can_be_read_on_after_a_deadline),
        cmocka_unit_test(closing_does_not_wait_for_a_rest_that_does_not_come),
        cmocka_unit_test(names_that_do_not_resolve_fail_in_the_dns_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
