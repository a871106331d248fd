/* SPDX-License-Identifier: MIT */
/* The engine alone, without a runtime, against nginx and openssl s_server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <thrum/error.h>

#include "support/certs.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "support/proc.h"
#include "support/scripted.h"
#include "support/sserver.h"
#include "wire.h"

static struct sup_nginx *nginx;

static thrum_tls_opts good_opts(void)
{
    return (thrum_tls_opts){.ca_file = sup_ca_file()};
}

/* Opens, shakes hands, and asks nginx for /tls; the answer is in answer. */
static int fetch_tls(struct wire *w, const thrum_tls_opts *opts, const char *host,
                     enum sup_nginx_port port, char *answer, size_t answer_bytes)
{
    static const char get[] = "GET /tls HTTP/1.0\r\n\r\n";
    int err = wire_open(w, opts, host, sup_nginx_port(nginx, port));
    if (!err)
        err = wire_handshake(w);
    if (!err && wire_write(w, get, sizeof(get) - 1) < 0)
        err = -EPIPE;
    if (!err) {
        ssize_t n = wire_read_all(w, answer, answer_bytes);
        err = n < 0 ? (int)n : 0;
    }
    return err;
}

static void both_versions_work_with_ecdsa_and_rsa(void **state)
{
    (void)state;
    static const struct {
        enum sup_nginx_port port;
        bool tls12, tls13;
        const char *version;
    } cases[] = {
        {SUP_NGINX_TLS12, false, false, "TLSv1.2"}, {SUP_NGINX_TLS13, false, false, "TLSv1.3"},
        {SUP_NGINX_HTTPS, true, false, "TLSv1.2"},  {SUP_NGINX_HTTPS, false, true, "TLSv1.3"},
        {SUP_NGINX_HTTPS, false, false, "TLSv1.3"}, {SUP_NGINX_RSA, true, false, "TLSv1.2"},
        {SUP_NGINX_RSA, false, true, "TLSv1.3"},    {SUP_NGINX_CHAIN, false, false, "TLSv1.3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire w;
        char answer[2048];
        thrum_tls_opts opts = good_opts();
        opts.tls12_only = cases[i].tls12;
        opts.tls13_only = cases[i].tls13;
        int err = fetch_tls(&w, &opts, "localhost", cases[i].port, answer, sizeof(answer));
        if (err)
            print_message("case %zu: %d %s\n", i, err, thr_tls_engine_fault(w.engine)->text);
        assert_int_equal(err, 0);
        assert_string_equal(thr_tls_engine_version(w.engine), cases[i].version);
        assert_non_null(strstr(answer, cases[i].version));
        assert_non_null(strstr(answer, "200 OK"));
        assert_non_null(strstr(thr_tls_engine_cipher(w.engine), "AES-128-GCM"));
        assert_true(w.steps >= 4); /* there is something to yield between */
        wire_close(&w);
    }
}

static void a_name_is_sent_as_sni_and_an_address_is_not(void **state)
{
    (void)state;
    struct wire w;
    char answer[2048];
    thrum_tls_opts opts = good_opts();
    assert_int_equal(
        fetch_tls(&w, &opts, "www.thrum.test", SUP_NGINX_HTTPS, answer, sizeof(answer)), 0);
    assert_non_null(
        strstr(answer, " www.thrum.test ")); /* nginx saw it; the certificate has a wildcard */
    wire_close(&w);

    assert_int_equal(fetch_tls(&w, &opts, "thrum.test.", SUP_NGINX_HTTPS, answer, sizeof(answer)),
                     0);
    assert_non_null(strstr(answer, " thrum.test ")); /* without the root's dot */
    wire_close(&w);

    static const char *const addresses[] = {"127.0.0.1", "::1", "0:0:0:0:0:0:0:1", "::1%1"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            fetch_tls(&w, &opts, addresses[i], SUP_NGINX_TLS13, answer, sizeof(answer)), 0);
        assert_non_null(strstr(answer, " - ")); /* no SNI */
        assert_false(wire_hello_has(&w, addresses[i]));
        wire_close(&w);
    }
}

static void other_hosts_and_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"thrum.example", "a.b.thrum.test", "127.0.0.2", "::2",
                                        "localhost.localdomain"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        for (int tls13 = 0; tls13 < 2; tls13++) {
            struct wire w;
            thrum_tls_opts opts = good_opts();
            enum sup_nginx_port port = tls13 ? SUP_NGINX_TLS13 : SUP_NGINX_TLS12;
            assert_int_equal(wire_open(&w, &opts, hosts[i], sup_nginx_port(nginx, port)), 0);
            assert_int_equal(wire_handshake(&w), THRUM_ETLS_WRONG_HOST);
            const char *text = thr_tls_engine_fault(w.engine)->text;
            assert_non_null(strstr(
                text,
                "the certificate is for localhost, thrum.test, *.thrum.test and others, not "));
            assert_non_null(strstr(text, hosts[i]));
            wire_close(&w);
        }
    }
}

static void impossible_hosts_are_a_configuration_error(void **state)
{
    (void)state;
    char longest[256];
    memset(longest, 'a', sizeof(longest));
    longest[254] = '\0';
    const char *const hosts[] = {"", ".", longest};
    for (size_t i = 0; i < 3; i++) {
        struct wire w;
        thrum_tls_opts opts = good_opts();
        assert_int_equal(wire_open(&w, &opts, hosts[i], 1), THRUM_ETLS_CONFIG);
        assert_null(w.engine);
        wire_close(&w);
    }
}

static const struct {
    enum sup_nginx_port port;
    enum sup_cert cert;
    int code;
    const char *words;
} bad[] = {
    {SUP_NGINX_EXPIRED, SUP_CERT_EXPIRED, THRUM_ETLS_EXPIRED, "the certificate expired on 2021-"},
    {SUP_NGINX_NOT_YET, SUP_CERT_NOT_YET, THRUM_ETLS_NOT_YET_VALID,
     "the certificate is not valid before 2100-01-0"},
    {SUP_NGINX_SELF_SIGNED, SUP_CERT_SELF_SIGNED, THRUM_ETLS_SELF_SIGNED,
     "the certificate is self-signed"},
    {SUP_NGINX_WRONG_HOST, SUP_CERT_WRONG_HOST, THRUM_ETLS_WRONG_HOST,
     "the certificate is for other.test, not localhost"},
    {SUP_NGINX_UNKNOWN_CA, SUP_CERT_UNKNOWN_CA, THRUM_ETLS_UNKNOWN_CA,
     "the certificate is signed by an unknown authority ("},
    {SUP_NGINX_INCOMPLETE, SUP_CERT_INCOMPLETE, THRUM_ETLS_UNKNOWN_CA,
     "the certificate is signed by an unknown authority ("},
};
#define BAD_N (sizeof(bad) / sizeof(bad[0]))

static void each_bad_certificate_has_its_own_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * BAD_N; i++) {
        struct wire w;
        thrum_tls_opts opts = good_opts();
        opts.tls12_only = i < BAD_N;
        assert_int_equal(
            wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, bad[i % BAD_N].port)), 0);
        int err = wire_handshake(&w);
        const struct thr_tls_fault *f = thr_tls_engine_fault(w.engine);
        if (err != bad[i % BAD_N].code || strstr(f->text, bad[i % BAD_N].words) != f->text)
            print_message("%s: %d %s\n", sup_cert_name(bad[i % BAD_N].cert), err, f->text);
        assert_int_equal(err, bad[i % BAD_N].code);
        assert_ptr_equal(strstr(f->text, bad[i % BAD_N].words), f->text);
        assert_int_equal(wire_write(&w, "x", 1), err); /* E3: and nothing can be sent */
        wire_close(&w);
    }
}

/* A self-signed certificate for localhost with a 1,024-bit RSA key, or one that is only for clients. */
struct odd_cert {
    char *key, *cert;
    bool made;
};

static struct odd_cert odd_cert(bool short_key, bool client)
{
    struct odd_cert o = {.key = sup_tmpname("key"), .cert = sup_tmpname("cert")};
    char *bits = sup_format("rsa:%d", short_key ? 1024 : 2048);
    const char *usage = client ? "extendedKeyUsage=clientAuth" : "extendedKeyUsage=serverAuth";
    const char *const self[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                bits,
                                "-nodes",
                                "-keyout",
                                o.key,
                                "-out",
                                o.cert,
                                "-days",
                                "30",
                                "-subj",
                                "/CN=localhost",
                                "-sha256",
                                "-addext",
                                "subjectAltName=DNS:localhost",
                                "-addext",
                                usage,
                                NULL};
    o.made = sup_run_ok(self);
    free(bits);
    return o;
}

/* The certificate is trusted as it is, so that nothing but its own weakness is wrong. */
static void weak_and_misused_certificates_are_refused(void **state)
{
    (void)state;
    static const struct {
        bool short_key, client;
        int code;
        const char *words;
    } cases[] = {
        {true, false, THRUM_ETLS_WEAK, "the certificate has a key that is too short"},
        {false, true, THRUM_ETLS_BAD_CERT, "the certificate is not for servers (extKeyUsage)"},
        {false, false, 0, ""},
    };
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct odd_cert odd = odd_cert(cases[i / 2].short_key, cases[i / 2].client);
        assert_true(odd.made);
        const char *const extra[] = {
            "-cert", odd.cert, "-key", odd.key, "-cipher", "DEFAULT:@SECLEVEL=0", NULL};
        struct sup_sserver *s = sup_sserver_start(
            &(struct sup_sserver_opts){.tls = i % 2 ? "1.2" : "1.3", .extra = extra});
        assert_non_null(s);
        struct wire w;
        thrum_tls_opts opts = {.ca_file = odd.cert};
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_sserver_port(s)), 0);
        int err = wire_handshake(&w);
        if (err != cases[i / 2].code)
            print_message("case %zu: %d %s\n", i, err, thr_tls_engine_fault(w.engine)->text);
        assert_int_equal(err, cases[i / 2].code);
        assert_non_null(strstr(thr_tls_engine_fault(w.engine)->text, cases[i / 2].words));
        assert_false(
            thr_tls_engine_wants_tls12(w.engine)); /* rsa_pkcs1_* is asked for before rsa_pss_* */
        wire_close(&w);
        sup_sserver_stop(s);
        free(odd.key);
        free(odd.cert);
    }
}

static void insecure_takes_every_certificate(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * BAD_N; i++) {
        struct wire w;
        char answer[2048];
        thrum_tls_opts opts = {.insecure = true, .tls12_only = i < BAD_N};
        int err = fetch_tls(&w, &opts, "localhost", bad[i % BAD_N].port, answer, sizeof(answer));
        assert_int_equal(err, 0);
        assert_non_null(strstr(answer, "200 OK"));
        wire_close(&w);
    }
}

static void one_byte_at_a_time_is_enough(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        static char answer[SUP_PAGE_MAX + 1024];
        static const char get[] = "GET /pages/63 HTTP/1.0\r\n\r\n";
        struct wire w;
        thrum_tls_opts opts = good_opts();
        opts.tls12_only = tls12;
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, SUP_NGINX_HTTPS)),
                         0);
        w.piece = 1;
        assert_int_equal(wire_handshake(&w), 0);
        assert_int_equal(wire_write(&w, get, sizeof(get) - 1), sizeof(get) - 1);
        ssize_t n = wire_read_all(&w, answer, sizeof(answer));
        assert_true(n > 0);
        char *body = strstr(answer, "\r\n\r\n");
        assert_non_null(body);
        body += 4;
        assert_true(sup_page_match(63, body, (size_t)(answer + n - body)));
        wire_close(&w);
    }
}

static void sessions_are_resumed(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct wire first, second;
        char answer[2048];
        thrum_tls_opts opts = good_opts();
        enum sup_nginx_port port = tls12 ? SUP_NGINX_TLS12 : SUP_NGINX_TLS13;
        assert_int_equal(fetch_tls(&first, &opts, "localhost", port, answer, sizeof(answer)), 0);
        assert_false(thr_tls_engine_was_resumed(first.engine));
        assert_non_null(strstr(answer, " .\n")); /* nginx: not reused */
        assert_true(first.sessions_n >= 1);

        static const char get[] = "GET /tls HTTP/1.0\r\n\r\n";
        assert_int_equal(wire_open(&second, &opts, "localhost", sup_nginx_port(nginx, port)), 0);
        thr_tls_engine_offer(second.engine, first.session, first.session_len);
        assert_int_equal(wire_handshake(&second), 0);
        assert_true(thr_tls_engine_was_resumed(second.engine));
        assert_int_equal(wire_write(&second, get, sizeof(get) - 1), sizeof(get) - 1);
        assert_true(wire_read_all(&second, answer, sizeof(answer)) > 0);
        assert_non_null(strstr(answer, " r\n")); /* nginx says so, too */
        wire_close(&second);

        assert_int_equal(wire_open(&second, &opts, "localhost", sup_nginx_port(nginx, port)), 0);
        thr_tls_engine_offer(second.engine, "rubbish", 7); /* passed over */
        assert_int_equal(wire_handshake(&second), 0);
        assert_false(thr_tls_engine_was_resumed(second.engine));
        wire_close(&second);
        wire_close(&first);
    }
}

static void every_number_of_tickets_is_taken(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0", "1", "2", "8"};
    for (size_t i = 0; i < 4; i++) {
        const char *const extra[] = {"-num_tickets", numbers[i], NULL};
        struct sup_sserver *s =
            sup_sserver_start(&(struct sup_sserver_opts){.tls = "1.3", .extra = extra});
        assert_non_null(s);
        struct wire w;
        static char answer[16384];
        static const char get[] = "GET / HTTP/1.0\r\n\r\n";
        thrum_tls_opts opts = good_opts();
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_sserver_port(s)), 0);
        assert_int_equal(wire_handshake(&w), 0);
        /* Tickets are at hand before the write: the engine takes them inside it, or in the read. */
        if (i > 0)
            assert_int_equal(wire_feed(&w), 0);
        assert_int_equal(wire_write(&w, get, sizeof(get) - 1), sizeof(get) - 1);
        assert_true(wire_read_all(&w, answer, sizeof(answer)) > 0);
        assert_non_null(strstr(answer, "TLSv1.3"));
        assert_int_equal(w.sessions_n, atoi(numbers[i]));
        wire_close(&w);
        sup_sserver_stop(s);
    }
}

static void without_resumption_tickets_are_ignored(void **state)
{
    (void)state;
    struct wire w;
    char answer[2048];
    thrum_tls_opts opts = good_opts();
    opts.no_resume = true;
    assert_int_equal(fetch_tls(&w, &opts, "localhost", SUP_NGINX_TLS13, answer, sizeof(answer)), 0);
    assert_int_equal(w.sessions_n, 0);
    wire_close(&w);
}

static void a_retry_request_for_another_group_is_answered(void **state)
{
    (void)state;
    static const char *const groups[] = {"X25519", "P-384", "P-521"};
    for (size_t i = 0; i < 3; i++) {
        struct sup_sserver *s =
            sup_sserver_start(&(struct sup_sserver_opts){.tls = "1.3", .groups = groups[i]});
        assert_non_null(s);
        struct wire w;
        thrum_tls_opts opts = good_opts();
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_sserver_port(s)), 0);
        assert_int_equal(wire_handshake(&w), 0);
        wire_close(&w);
        sup_sserver_stop(s);
    }
}

static void alpn_is_agreed_by_the_servers_choice(void **state)
{
    (void)state;
    static const char *const offer[] = {"h2", "http/1.1", NULL};
    static const struct {
        const char *server, *agreed;
    } cases[] = {{"http/1.1", "http/1.1"}, {"h2,http/1.1", "h2"}, {NULL, NULL}};
    for (size_t i = 0; i < 3; i++) {
        struct sup_sserver *s =
            sup_sserver_start(&(struct sup_sserver_opts){.alpn = cases[i].server});
        assert_non_null(s);
        struct wire w;
        thrum_tls_opts opts = good_opts();
        opts.alpn = offer;
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_sserver_port(s)), 0);
        assert_int_equal(wire_handshake(&w), 0);
        const char *alpn = thr_tls_engine_alpn(w.engine);
        if (cases[i].agreed)
            assert_string_equal(alpn, cases[i].agreed);
        else
            assert_null(alpn);
        wire_close(&w);
        sup_sserver_stop(s);
    }
}

static void nothing_in_common_is_said_clearly(void **state)
{
    (void)state;
    static const char *const only_h2[] = {"h2", NULL};
    static const struct {
        struct sup_sserver_opts server;
        thrum_tls_opts client;
        int code;
        const char *words;
    } cases[] = {
        {{.tls = "1.2"}, {.tls13_only = true}, THRUM_ETLS_VERSION, "version"},
        {{.tls = "1.3"}, {.tls12_only = true}, THRUM_ETLS_VERSION, "version"},
        {{.alpn = "spdy/3"}, {.alpn = only_h2}, THRUM_ETLS_ALERT, "\"no application protocol\""},
        {{.tls = "1.2", .ciphers = "ECDHE-ECDSA-AES128-SHA256"},
         {0},
         THRUM_ETLS_ALERT,
         "\"handshake failure\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sup_sserver *s = sup_sserver_start(&cases[i].server);
        assert_non_null(s);
        struct wire w;
        thrum_tls_opts opts = cases[i].client;
        opts.ca_file = sup_ca_file();
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_sserver_port(s)), 0);
        int err = wire_handshake(&w);
        const char *text = thr_tls_engine_fault(w.engine)->text;
        if (err != cases[i].code || !strstr(text, cases[i].words))
            print_message("case %zu: %d %s\n", i, err, text);
        assert_int_equal(err, cases[i].code);
        assert_non_null(strstr(text, cases[i].words));
        wire_close(&w);
        sup_sserver_stop(s);
    }
}

static void what_is_not_tls_is_told_apart(void **state)
{
    (void)state;
    static const struct sup_step http[] = {
        SUP_READ(5), SUP_SEND("HTTP/1.1 400 Bad Request\r\n\r\n"), SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step ssh[] = {SUP_SEND("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
                                          SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step mute[] = {SUP_READ(5), SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step alert[] = {SUP_READ(5), SUP_SEND("\x15\x03\x03\x00\x02\x02\x50"),
                                            SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct {
        struct sup_script script;
        int code;
        const char *words;
    } cases[] = {
        {{http, sizeof(http) / sizeof(http[0])},
         THRUM_ETLS_PROTOCOL,
         "the server speaks plain HTTP there, not TLS"},
        {{ssh, sizeof(ssh) / sizeof(ssh[0])},
         THRUM_ETLS_PROTOCOL,
         "what the server sent is no TLS record"},
        {{mute, sizeof(mute) / sizeof(mute[0])},
         THRUM_ETLS_HANDSHAKE,
         "the server closed the connection during the TLS handshake"},
        {{alert, sizeof(alert) / sizeof(alert[0])},
         THRUM_ETLS_ALERT,
         "the server ended TLS with the alert \"internal error\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sup_scripted *s = sup_scripted_start(&cases[i].script, 1);
        assert_non_null(s);
        struct wire w;
        thrum_tls_opts opts = good_opts();
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_scripted_port(s)), 0);
        int err = wire_handshake(&w);
        assert_int_equal(err, cases[i].code);
        assert_string_equal(thr_tls_engine_fault(w.engine)->text, cases[i].words);
        wire_close(&w);
        sup_scripted_stop(s);
    }
}

static void an_end_without_goodbye_is_truncation_and_one_with_it_is_not(void **state)
{
    (void)state;
    static const char get[] = "GET /pages/1 HTTP/1.0\r\n\r\n";
    struct wire w;
    char buf[8192];
    thrum_tls_opts opts = good_opts();
    assert_int_equal(wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, SUP_NGINX_HTTPS)), 0);
    assert_int_equal(wire_handshake(&w), 0);
    assert_int_equal(wire_write(&w, get, sizeof(get) - 1), sizeof(get) - 1);
    assert_true(wire_read_all(&w, buf, sizeof(buf)) > 0);
    assert_int_equal(wire_read(&w, buf, sizeof(buf)), 0); /* again and again */
    assert_false(thr_tls_engine_is_quiet(w.engine));
    wire_close(&w);

    assert_int_equal(wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, SUP_NGINX_HTTPS)), 0);
    assert_int_equal(wire_handshake(&w), 0);
    shutdown(w.fd, SHUT_RD); /* the end, as far as the engine can see */
    assert_int_equal(wire_read_all(&w, buf, sizeof(buf)), THRUM_ETLS_TRUNCATED);
    assert_int_equal(wire_read(&w, buf, sizeof(buf)), THRUM_ETLS_TRUNCATED);
    assert_false(thr_tls_engine_is_quiet(w.engine));
    wire_close(&w);
}

static void after_our_goodbye_nothing_more_is_written(void **state)
{
    (void)state;
    struct wire w;
    thrum_tls_opts opts = good_opts();
    assert_int_equal(wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, SUP_NGINX_HTTPS)), 0);
    assert_int_equal(thr_tls_engine_goodbye(w.engine),
                     0); /* before the handshake there is none to say */
    assert_int_equal(wire_handshake(&w), 0);
    assert_int_equal(thr_tls_engine_goodbye(w.engine), 0);
    assert_int_equal(thr_tls_engine_goodbye(w.engine), 0);
    assert_int_equal(wire_write(&w, "x", 1), -EPIPE);
    wire_close(&w);
}

static void quiet_means_that_nothing_is_left_to_read(void **state)
{
    (void)state;
    static const char get[] = "GET /pages/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct wire w;
        char buf[8192];
        thrum_tls_opts opts = good_opts();
        opts.tls12_only = tls12;
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, SUP_NGINX_HTTPS)),
                         0);
        assert_int_equal(wire_handshake(&w), 0);
        if (!tls12) { /* what is there is a ticket, which counts as nothing */
            assert_int_equal(wire_feed(&w), 0);
            assert_true(thr_tls_engine_is_quiet(w.engine));
            assert_true(w.sessions_n >= 1);
        }
        assert_true(thr_tls_engine_is_quiet(w.engine));
        assert_int_equal(wire_write(&w, get, sizeof(get) - 1), sizeof(get) - 1);
        assert_int_equal(wire_read(&w, buf, 10), 10);
        assert_false(thr_tls_engine_is_quiet(w.engine));
        size_t got = 10;
        while (!memmem(buf, got, "\r\n\r\n", 4) || !thr_tls_engine_is_quiet(w.engine)) {
            ssize_t n = wire_read(&w, buf + got, sizeof(buf) - got);
            assert_true(n > 0);
            got += (size_t)n;
        }
        wire_close(&w);

        /* Half a record is not quiet. */
        assert_int_equal(wire_open(&w, &opts, "localhost", sup_nginx_port(nginx, SUP_NGINX_HTTPS)),
                         0);
        assert_int_equal(wire_handshake(&w), 0);
        assert_int_equal(wire_write(&w, get, sizeof(get) - 1), sizeof(get) - 1);
        w.piece = 3;
        assert_int_equal(wire_feed(&w), 0);
        assert_false(thr_tls_engine_is_quiet(w.engine));
        wire_close(&w);
    }
}

static int start(void **state)
{
    (void)state;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.bad_certs = true});
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
        cmocka_unit_test(both_versions_work_with_ecdsa_and_rsa),
        cmocka_unit_test(a_name_is_sent_as_sni_and_an_address_is_not),
        cmocka_unit_test(other_hosts_and_addresses_are_refused),
        cmocka_unit_test(impossible_hosts_are_a_configuration_error),
        cmocka_unit_test(each_bad_certificate_has_its_own_error),
        cmocka_unit_test(weak_and_misused_certificates_are_refused),
        cmocka_unit_test(insecure_takes_every_certificate),
        cmocka_unit_test(one_byte_at_a_time_is_enough),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(every_number_of_tickets_is_taken),
        cmocka_unit_test(without_resumption_tickets_are_ignored),
        cmocka_unit_test(a_retry_request_for_another_group_is_answered),
        cmocka_unit_test(alpn_is_agreed_by_the_servers_choice),
        cmocka_unit_test(nothing_in_common_is_said_clearly),
        cmocka_unit_test(what_is_not_tls_is_told_apart),
        cmocka_unit_test(an_end_without_goodbye_is_truncation_and_one_with_it_is_not),
        cmocka_unit_test(after_our_goodbye_nothing_more_is_written),
        cmocka_unit_test(quiet_means_that_nothing_is_left_to_read),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
