/* SPDX-License-Identifier: MIT */
/* Connections: what they say about themselves, certificates, sessions, large bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "support/sserver.h"
#include "tls/connect.h"

#define LARGE_BYTES (10u << 20)

static struct sup_nginx *nginx;

/* ---- One request ------------------------------------------------------------------------------------------------ */

struct get {
    struct client c;
    const char *path;
    char *all, *body; /* filled in, as are the rest */
    ssize_t result;
    char version[16], cipher[64], alpn[16];
    bool resumed, quiet_before;
};

static int get_task(void *arg)
{
    struct get *g = arg;
    g->result = client_open(&g->c);
    if (g->result)
        return 0;
    thrum_tls *tls = g->c.tls;
    const char *alpn = thrum_tls_alpn(tls);
    snprintf(g->version, sizeof(g->version), "%s", thrum_tls_version(tls));
    snprintf(g->cipher, sizeof(g->cipher), "%s", thrum_tls_cipher(tls));
    snprintf(g->alpn, sizeof(g->alpn), "%s", alpn ? alpn : "none");
    g->resumed = thrum_tls_was_resumed(tls);
    g->quiet_before = thrum_tls_is_quiet(tls);
    g->result = client_ask(&g->c, g->path);
    if (g->result == 0)
        g->result = client_answer(&g->c, &g->all, &g->body);
    client_close(&g->c);
    return 0;
}

static void get_end(struct get *g)
{
    free(g->all);
    g->all = NULL;
}

static void facts_of_a_connection_are_told(void **state)
{
    (void)state;
    static const char *const alpn[] = {"http/1.1", NULL};
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct get g = {.path = "/tls"};
        g.c.config = client_config((thrum_tls_opts){.tls12_only = tls12, .alpn = alpn});
        g.c.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS);
        assert_int_equal(thrum_run(get_task, &g, NULL), 0);
        assert_true(g.result > 0);
        assert_string_equal(g.version, tls12 ? "TLSv1.2" : "TLSv1.3");
        assert_non_null(strstr(g.cipher, "AES-128-GCM-SHA256"));
        assert_string_equal(g.alpn, "http/1.1");
        assert_false(g.resumed);
        assert_true(g.quiet_before);
        assert_non_null(strstr(g.body, " localhost http/1.1 "));
        get_end(&g);
        thrum_tls_config_unref(g.c.config);
    }
}

static void the_second_connection_resumes_the_first_ones_session(void **state)
{
    (void)state;
    static const enum sup_nginx_port ports[] = {SUP_NGINX_TLS12, SUP_NGINX_TLS13};
    for (size_t i = 0; i < 4; i++) {
        bool no_resume = i >= 2;
        thrum_tls_config *config = client_config((thrum_tls_opts){.no_resume = no_resume});
        for (int turn = 0; turn < 3; turn++) {
            struct get g = {.path = "/tls",
                            .c = {.config = config, .port = sup_nginx_port(nginx, ports[i % 2])}};
            assert_int_equal(thrum_run(get_task, &g, NULL), 0); /* a session outlives its runtime */
            assert_true(g.result > 0);
            assert_int_equal(g.resumed, turn > 0 && !no_resume);
            assert_non_null(strstr(g.body, turn > 0 && !no_resume ? " r\n" : " .\n"));
            get_end(&g);
        }
        struct get other = {.path = "/tls",
                            .c = {.config = config,
                                  .port = sup_nginx_port(nginx, ports[i % 2]),
                                  .host = "www.thrum.test"}};
        assert_int_equal(thrum_run(get_task, &other, NULL), 0);
        assert_true(other.result > 0);
        assert_false(other.resumed); /* another host, another session */
        get_end(&other);
        thrum_tls_config_unref(config);
    }
}

static void a_server_that_lost_its_keys_gets_a_full_handshake(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        thrum_tls_config *config = client_config((thrum_tls_opts){0});
        bool resumed[2];
        for (int turn = 0; turn < 2; turn++) {
            struct sup_sserver *s =
                sup_sserver_start(&(struct sup_sserver_opts){.tls = tls12 ? "1.2" : "1.3"});
            assert_non_null(s);
            struct get g = {.path = "/",
                            .c = {.config = config, .port = sup_sserver_port(s), .as_port = 4433}};
            assert_int_equal(thrum_run(get_task, &g, NULL), 0);
            assert_true(g.result > 0);
            resumed[turn] = g.resumed;
            get_end(&g);
            sup_sserver_stop(s);
        }
        assert_false(resumed[0]);
        assert_false(resumed[1]);
        thrum_tls_config_unref(config);
    }
}

static void a_server_that_changed_its_version_is_reached_at_the_second_try(void **state)
{
    (void)state;
    static const enum sup_nginx_port ports[] = {SUP_NGINX_TLS12, SUP_NGINX_TLS13, SUP_NGINX_TLS13,
                                                SUP_NGINX_TLS12, SUP_NGINX_TLS12};
    static const bool works[] = {true, false, true, false, true};
    thrum_tls_config *config = client_config((thrum_tls_opts){0});
    for (size_t i = 0; i < 5; i++) {
        struct get g = {
            .path = "/tls",
            .c = {.config = config, .port = sup_nginx_port(nginx, ports[i]), .as_port = 443}};
        assert_int_equal(thrum_run(get_task, &g, NULL), 0);
        assert_int_equal(g.result > 0, works[i]); /* a session that fails is given up */
        get_end(&g);
    }
    thrum_tls_config_unref(config);
}

/* ---- Second tries ----------------------------------------------------------------------------------------------- */

struct second {
    struct client c;
    int result[3];
    bool again[3];
    char detail[3][256];
};

static int second_task(void *arg)
{
    struct second *s = arg;
    int err = 0;
    for (int i = 0; i < 3 && !err; i++) {
        thrum_addr addr;
        thrum_tcp *tcp;
        err = thrum_addr_parse(&addr, "127.0.0.1", s->c.port);
        if (!err)
            err = thrum_tcp_connect(&tcp, &addr, NULL);
        if (err)
            break;
        s->result[i] = thr_tls_connect(&s->c.tls, s->c.config, thrum_tcp_stream(tcp), "localhost",
                                       s->c.port, &s->again[i], s->detail[i], sizeof(s->detail[i]));
        client_close(&s->c);
    }
    return err;
}

/* A server that insists on RSA-PSS in TLS 1.2, as it may once it has been offered: mbedTLS 3.6.6 refuses that. Later
 * versions take it at the first try. */
static void a_server_that_insists_on_pss_is_reached_at_the_second_try(void **state)
{
    (void)state;
    static const char *const extra[] = {"-serverpref", NULL};
    for (int no_resume = 0; no_resume < 2; no_resume++) {
        struct sup_sserver *server = sup_sserver_start(
            &(struct sup_sserver_opts){.cert = SUP_CERT_RSA, .tls = "1.2", .extra = extra});
        assert_non_null(server);
        struct second s = {.c.port = sup_sserver_port(server)};
        s.c.config = client_config((thrum_tls_opts){.no_resume = no_resume});
        assert_int_equal(thrum_run(second_task, &s, NULL), 0);
        print_message("first try: %d %s\n", s.result[0], s.detail[0]);
        if (s.result[0] != 0) {
            assert_int_equal(s.result[0], THRUM_ETLS_HANDSHAKE);
            assert_true(s.again[0]);
            assert_non_null(strstr(s.detail[0], "a second try without TLS 1.3"));
        }
        for (int i = 1; i < 3; i++) {
            assert_int_equal(s.result[i], 0);
            assert_false(s.again[i]);
        }
        thrum_tls_config_unref(s.c.config);
        sup_sserver_stop(server);
    }
}

static void what_fails_again_is_not_worth_a_second_try(void **state)
{
    (void)state;
    struct second s = {.c.port = sup_nginx_port(nginx, SUP_NGINX_EXPIRED)};
    s.c.config = client_config((thrum_tls_opts){0});
    assert_int_equal(thrum_run(second_task, &s, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s.result[i], THRUM_ETLS_EXPIRED);
        assert_false(s.again[i]);
    }
    thrum_tls_config_unref(s.c.config);
}

/* ---- Certificates ----------------------------------------------------------------------------------------------- */

static void each_bad_certificate_has_its_own_error_and_no_request_is_sent(void **state)
{
    (void)state;
    static const struct {
        enum sup_nginx_port port;
        int code;
        const char *words;
    } bad[] = {
        {SUP_NGINX_EXPIRED, THRUM_ETLS_EXPIRED, "expired on 2021-"},
        {SUP_NGINX_NOT_YET, THRUM_ETLS_NOT_YET_VALID, "not valid before 2100-"},
        {SUP_NGINX_SELF_SIGNED, THRUM_ETLS_SELF_SIGNED, "self-signed"},
        {SUP_NGINX_WRONG_HOST, THRUM_ETLS_WRONG_HOST, "for other.test, not localhost"},
        {SUP_NGINX_UNKNOWN_CA, THRUM_ETLS_UNKNOWN_CA, "unknown authority"},
        {SUP_NGINX_INCOMPLETE, THRUM_ETLS_UNKNOWN_CA, "unknown authority"},
    };
    struct sup_nginx_stats before, after;
    int fds = sup_fd_count();
    assert_true(sup_nginx_stats(nginx, &before));
    for (size_t i = 0; i < 12; i++) {
        struct get g = {.path = "/tls", .c = {.port = sup_nginx_port(nginx, bad[i / 2].port)}};
        g.c.config = client_config((thrum_tls_opts){.tls12_only = i % 2});
        assert_int_equal(thrum_run(get_task, &g, NULL), 0);
        assert_int_equal(g.result, bad[i / 2].code);
        assert_non_null(strstr(g.c.detail, bad[i / 2].words));
        assert_null(g.c.tls);
        thrum_tls_config_unref(g.c.config);

        struct get lax = {.path = "/tls", .c = {.port = sup_nginx_port(nginx, bad[i / 2].port)}};
        lax.c.config = client_config((thrum_tls_opts){.tls12_only = i % 2, .insecure = true});
        assert_int_equal(thrum_run(get_task, &lax, NULL), 0);
        assert_true(lax.result > 0);
        get_end(&lax);
        thrum_tls_config_unref(lax.c.config);
    }
    assert_true(sup_nginx_stats(nginx, &after));
    assert_int_equal(after.requests - before.requests, 12); /* those of the insecure ones */
    assert_true(sup_fd_count_falls_to(fds, SUP_TIMEOUT_MS));
}

static void a_trust_store_that_cannot_be_read_fails_the_handshake(void **state)
{
    (void)state;
    struct get g = {.path = "/tls", .c = {.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)}};
    g.c.config = client_config((thrum_tls_opts){.ca_file = "/nowhere.pem"});
    assert_int_equal(thrum_run(get_task, &g, NULL), 0);
    assert_int_equal(g.result, THRUM_ETLS_TRUST_STORE);
    assert_non_null(strstr(g.c.detail, "/nowhere.pem: No such file"));
    thrum_tls_config_unref(g.c.config);
}

/* ---- Large bodies ----------------------------------------------------------------------------------------------- */

static void ten_megabytes_come_down_unharmed(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct get g = {.path = "/large", .c = {.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)}};
        g.c.config = client_config((thrum_tls_opts){.tls12_only = tls12});
        assert_int_equal(thrum_run(get_task, &g, NULL), 0);
        assert_int_equal(g.result, LARGE_BYTES);
        assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, g.body, LARGE_BYTES));
        get_end(&g);
        thrum_tls_config_unref(g.c.config);
    }
}

/* ---- Keep-alive ------------------------------------------------------------------------------------------------- */

static int keep_alive_task(void *arg)
{
    struct get *g = arg;
    static const char ask[] = "GET /pages/2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char buf[2 * SUP_PAGE_MAX / 16 + 1024];
    size_t page = sup_page_size(2);
    int err = client_open(&g->c);
    for (int i = 0; i < 20 && !err; i++) {
        size_t used = 0;
        char *end = NULL;
        struct iovec pieces[3] = {{(void *)(uintptr_t)ask, 10},
                                  {NULL, 0},
                                  {(void *)(uintptr_t)(ask + 10), sizeof(ask) - 11}};
        err = thrum_stream_writev(g->c.stream, pieces, 3, NULL);
        while (!err && (!end || used - (size_t)(end + 4 - buf) < page)) {
            ssize_t n = thrum_stream_read(g->c.stream, buf + used, sizeof(buf) - used);
            err = n > 0 ? 0 : n < 0 ? (int)n : -ENODATA;
            used += n > 0 ? (size_t)n : 0;
            end = memmem(buf, used, "\r\n\r\n", 4);
        }
        if (!err && (!sup_page_match(2, end + 4, page) || !thrum_tls_is_quiet(g->c.tls)))
            err = -EBADMSG;
    }
    if (!err)
        err = thrum_stream_shutdown(g->c.stream);
    if (!err && thrum_stream_write(g->c.stream, "x", 1, NULL) != -EPIPE)
        err = -EBADMSG; /* nothing can be written after a shutdown, ... */
    if (!err && thrum_tls_is_quiet(g->c.tls))
        err = -EBADMSG;
    if (!err) { /* ... and nginx ends the connection, with or without a goodbye of its own */
        ssize_t n = thrum_stream_read(g->c.stream, buf, sizeof(buf));
        err = n == 0 || n == THRUM_ETLS_TRUNCATED ? 0 : -EBADMSG;
    }
    thrum_stream_close(g->c.stream);
    return err;
}

static void a_connection_is_used_many_times_and_shut_down(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct get g = {.c = {.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)}};
        g.c.config = client_config((thrum_tls_opts){.tls12_only = tls12});
        assert_int_equal(thrum_run(keep_alive_task, &g, NULL), 0);
        thrum_tls_config_unref(g.c.config);
    }
}

static int unref_task(void *arg)
{
    struct get *g = arg;
    int err = client_open(&g->c);
    if (err)
        return err;
    thrum_tls_config_unref(g->c.config); /* the connection has its own reference */
    err = client_ask(&g->c, "/tls");
    g->result = err ? err : client_answer(&g->c, &g->all, &g->body);
    client_close(&g->c);
    thrum_tls_close(NULL);
    return 0;
}

static void a_connection_outlives_the_callers_configuration(void **state)
{
    (void)state;
    struct get g = {.c = {.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)}};
    g.c.config = client_config((thrum_tls_opts){0});
    assert_int_equal(thrum_run(unref_task, &g, NULL), 0);
    assert_true(g.result > 0);
    get_end(&g);
}

static int start(void **state)
{
    (void)state;
    nginx =
        sup_nginx_start(&(struct sup_nginx_opts){.bad_certs = true, .large_bytes = LARGE_BYTES});
    return nginx && sup_ca_file() ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_of_a_connection_are_told),
        cmocka_unit_test(the_second_connection_resumes_the_first_ones_session),
        cmocka_unit_test(a_server_that_lost_its_keys_gets_a_full_handshake),
        cmocka_unit_test(a_server_that_changed_its_version_is_reached_at_the_second_try),
        cmocka_unit_test(a_server_that_insists_on_pss_is_reached_at_the_second_try),
        cmocka_unit_test(what_fails_again_is_not_worth_a_second_try),
        cmocka_unit_test(each_bad_certificate_has_its_own_error_and_no_request_is_sent),
        cmocka_unit_test(a_trust_store_that_cannot_be_read_fails_the_handshake),
        cmocka_unit_test(ten_megabytes_come_down_unharmed),
        cmocka_unit_test(a_connection_is_used_many_times_and_shut_down),
        cmocka_unit_test(a_connection_outlives_the_callers_configuration),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
