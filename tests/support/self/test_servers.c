/* SPDX-License-Identifier: MIT */
/* Self test of support/certs.h, nginx.h and sserver.h, with the openssl program as the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/nginx.h"
#include "support/pages.h"
#include "support/proc.h"
#include "support/sserver.h"

/* What `openssl s_client` prints, given `input`, against a port; extra: further words, ends in NULL. */
static char *s_client(uint16_t port, const char *host, const char *input, const char *const *extra)
{
    char *address = sup_format("127.0.0.1:%u", port);
    const char *argv[32] = {"openssl",    "s_client",    "-connect", address,   "-verify_hostname",
                            host,         "-servername", host,       "-CAfile", sup_ca_file(),
                            "-no-CApath", "-no-CAstore", "-ign_eof"};
    size_t n = 13;
    for (; extra && *extra && n < 31; extra++)
        argv[n++] = *extra;
    struct sup_run_result r;
    assert_true(sup_run(&r, &(struct sup_run_opts){
                                .argv = argv, .stdin_data = input, .stdin_bytes = strlen(input)}));
    assert_false(r.timed_out);
    char *text = sup_format("%s%s", r.out, r.err);
    sup_run_result_free(&r);
    free(address);
    return text;
}

static void assert_says(uint16_t port, const char *host, const char *want)
{
    char *text = s_client(port, host, "GET /tls HTTP/1.0\r\nConnection: close\r\n\r\n", NULL);
    if (!strstr(text, want))
        sup_say("no \"%s\" in: %s", want, text);
    assert_non_null(strstr(text, want));
    free(text);
}

static struct sup_nginx *nginx;

static int start_nginx(void **state)
{
    (void)state;
    nginx = sup_nginx_start(
        &(struct sup_nginx_opts){.pages_n = 130, .large_bytes = 3000000, .bad_certs = true});
    return nginx ? 0 : -1;
}

static int stop_nginx(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

/* The body of an answer to a plain HTTP/1.0 GET. */
static char *get(const char *path, size_t *bytes)
{
    char *answer = sup_http_get(sup_nginx_port(nginx, SUP_NGINX_HTTP), path, SUP_TIMEOUT_MS);
    assert_non_null(answer);
    char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    *bytes = strlen(body + 4); /* all bodies asked for here are text */
    memmove(answer, body + 4, *bytes + 1);
    return answer;
}

static void nginx_serves_the_pages_in_every_framing(void **state)
{
    (void)state;
    static const char *const kinds[] = {"pages", "gzip", "chunked", "until-close", "close"};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        for (uint32_t i = 0; i < 130; i += 43) {
            size_t bytes;
            char *path = sup_format("/%s/%u", kinds[k], i);
            char *body = get(path, &bytes);
            assert_true(sup_page_match(i, body, bytes));
            free(body);
            free(path);
        }
    }
    size_t bytes;
    char *body = get("/large", &bytes);
    assert_int_equal(bytes, 3000000);
    assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, body, bytes));
    free(body);
}

static void nginx_answers_the_other_paths(void **state)
{
    (void)state;
    static const char *const wants[][2] = {
        {"/status/404", "HTTP/1.1 404 Not Found"},
        {"/status/503", "\r\n\r\nstatus 503\n"},
        {"/redirect/2", "\r\nLocation: /redirect/1\r\n"},
        {"/redirect/1", "\r\nLocation: /pages/0\r\n"},
        {"/redirect-abs/2", "\r\nLocation: http://localhost/redirect-abs/1\r\n"},
        {"/redirect-loop", "\r\nLocation: /redirect-loop\r\n"},
        {"/redirect-code/308", "HTTP/1.1 308"},
        {"/redirect-https", "\r\nLocation: https://localhost:"},
        {"/echo", "\r\n\r\nGET /echo HTTP/1.0 host=[localhost] ua=[]"},
        {"/headers/100", "\r\nX-Fill-99: 000000"},
        {"/bomb-gzip", "\r\nContent-Encoding: gzip\r\n"},
        {"/nowhere", "HTTP/1.1 404"},
    };
    for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
        char *answer =
            sup_http_get(sup_nginx_port(nginx, SUP_NGINX_HTTP), wants[i][0], SUP_TIMEOUT_MS);
        assert_non_null(answer);
        assert_non_null(strstr(answer, wants[i][1]));
        free(answer);
    }
    assert_true(sup_file_wait(sup_nginx_access_log(nginx), "GET /nowhere HTTP/1.0 404", 1,
                              SUP_TIMEOUT_MS, -1));
}

static void nginx_speaks_the_versions_of_its_ports(void **state)
{
    (void)state;
    assert_says(sup_nginx_port(nginx, SUP_NGINX_TLS12), "localhost", "\nTLSv1.2 ECDHE-ECDSA");
    assert_says(sup_nginx_port(nginx, SUP_NGINX_TLS13), "localhost", "\nTLSv1.3 TLS_AES");
    assert_says(sup_nginx_port(nginx, SUP_NGINX_HTTPS), "a.thrum.test", " a.thrum.test - .\n");
    assert_says(sup_nginx_port(nginx, SUP_NGINX_RSA), "localhost", "Verification: OK");
    assert_non_null(strstr(sup_nginx_base(nginx, SUP_NGINX_HTTPS), "https://127.0.0.1:"));
    assert_non_null(strstr(sup_nginx_base_name(nginx, SUP_NGINX_HTTP), "http://localhost:"));
}

static void each_certificate_is_wrong_in_its_own_way(void **state)
{
    (void)state;
    static const struct {
        enum sup_nginx_port port;
        const char *want;
    } cases[] = {
        {SUP_NGINX_HTTPS, "Verification: OK"},
        {SUP_NGINX_CHAIN, "Verification: OK"},
        {SUP_NGINX_INCOMPLETE, "unable to get local issuer certificate"},
        {SUP_NGINX_EXPIRED, "certificate has expired"},
        {SUP_NGINX_NOT_YET, "certificate is not yet valid"},
        {SUP_NGINX_SELF_SIGNED, "self-signed certificate"},
        {SUP_NGINX_WRONG_HOST, "hostname mismatch"},
        {SUP_NGINX_UNKNOWN_CA, "unable to get local issuer certificate"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_says(sup_nginx_port(nginx, cases[i].port), "localhost", cases[i].want);
    assert_string_equal(sup_cert_name(SUP_CERT_NOT_YET), "not-yet");
    assert_non_null(sup_unknown_ca_file());
    assert_null(sup_chain_file(SUP_CERT_GOOD));
}

static void nginx_counts_connections_and_requests(void **state)
{
    (void)state;
    struct sup_nginx_stats before;
    struct sup_nginx_stats after;
    size_t bytes;
    assert_true(sup_nginx_wait_active(nginx, 0, SUP_TIMEOUT_MS));
    assert_true(sup_nginx_stats(nginx, &before));
    for (int i = 0; i < 5; i++)
        free(get("/pages/1", &bytes));
    int idle = sup_connect(sup_nginx_port(nginx, SUP_NGINX_HTTP), SUP_TIMEOUT_MS);
    assert_true(idle >= 0);
    assert_true(sup_nginx_wait_active(nginx, 1, SUP_TIMEOUT_MS));
    assert_true(sup_nginx_stats(nginx, &after));
    assert_int_equal(after.connections - before.connections, 6);
    assert_int_equal(after.requests - before.requests, 5);
    close(idle);
    assert_true(sup_nginx_wait_active(nginx, 0, SUP_TIMEOUT_MS));
}

static void two_nginx_live_beside_each_other(void **state)
{
    (void)state;
    struct sup_nginx *other = sup_nginx_start(&(struct sup_nginx_opts){.no_tls = true});
    assert_non_null(other);
    assert_int_equal(sup_nginx_port(other, SUP_NGINX_HTTPS), 0);
    assert_int_not_equal(sup_nginx_port(other, SUP_NGINX_HTTP),
                         sup_nginx_port(nginx, SUP_NGINX_HTTP));
    assert_true(sup_nginx_stop(other));
    assert_null(
        sup_nginx_start(&(struct sup_nginx_opts){.no_tls = true, .http_extra = "nonsense;"}));
}

static void s_server_speaks_what_it_is_told(void **state)
{
    (void)state;
    static const struct sup_sserver_opts old = {
        .tls = "1.2", .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305", .cert = SUP_CERT_CHAIN};
    struct sup_sserver *s = sup_sserver_start(&old);
    assert_non_null(s);
    assert_says(sup_sserver_port(s), "localhost", "ECDHE-ECDSA-CHACHA20-POLY1305");
    assert_says(sup_sserver_port(s), "localhost", "Verification: OK");
    sup_sserver_stop(s);

    static const struct sup_sserver_opts retry = {
        .tls = "1.3", .groups = "P-384", .no_tickets = true, .alpn = "h2,http/1.1"};
    static const char *const alpn[] = {"-alpn", "http/1.1", NULL};
    s = sup_sserver_start(&retry);
    assert_non_null(s);
    char *text = s_client(sup_sserver_port(s), "localhost", "GET / HTTP/1.0\r\n\r\n", alpn);
    assert_non_null(strstr(text, "ALPN protocol: http/1.1"));
    assert_non_null(strstr(text, "P-384"));
    assert_null(strstr(text, "New Session Ticket"));
    free(text);
    sup_sserver_stop(s);
}

static void s_server_serves_files_and_echoes(void **state)
{
    (void)state;
    char *root = sup_tmpdir_new("root");
    char *file = sup_format("%s/hello.txt", root);
    assert_true(sup_file_write(file, "hello from a file\n", 18));
    struct sup_sserver *s =
        sup_sserver_start(&(struct sup_sserver_opts){.mode = SUP_SSERVER_FILES, .root = root});
    assert_non_null(s);
    char *text =
        s_client(sup_sserver_port(s), "localhost", "GET /hello.txt HTTP/1.0\r\n\r\n", NULL);
    assert_non_null(strstr(text, "hello from a file"));
    free(text);
    sup_sserver_stop(s);
    free(file);
    free(root);

    static const char *const last[] = {"-quiet", "-no_ign_eof", NULL};
    s = sup_sserver_start(&(struct sup_sserver_opts){.mode = SUP_SSERVER_ECHO});
    assert_non_null(s);
    text = s_client(sup_sserver_port(s), "localhost", "CLOSE\n", last);
    assert_null(strstr(text, "error"));
    assert_true(sup_file_count(sup_sserver_output(s), "ACCEPT") >= 1);
    free(text);
    sup_sserver_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nginx_serves_the_pages_in_every_framing),
        cmocka_unit_test(nginx_answers_the_other_paths),
        cmocka_unit_test(nginx_speaks_the_versions_of_its_ports),
        cmocka_unit_test(each_certificate_is_wrong_in_its_own_way),
        cmocka_unit_test(nginx_counts_connections_and_requests),
        cmocka_unit_test(two_nginx_live_beside_each_other),
        cmocka_unit_test(s_server_speaks_what_it_is_told),
        cmocka_unit_test(s_server_serves_files_and_echoes),
    };
    return cmocka_run_group_tests_name("support.servers", tests, start_nginx, stop_nginx);
}
