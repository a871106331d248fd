/* SPDX-License-Identifier: MIT */
/* `thrum fetch` against faults: each has its own line, the other URLs are delivered; retries. */
#include <signal.h>
#include <unistd.h>

#include "support/certs.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "support/relay.h"
#include "support/scripted.h"
#include "tests/tools/program.h"

static struct sup_nginx *nginx;

static int start_nginx(void **state)
{
    (void)state;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.bad_certs = true});
    return nginx ? 0 : -1;
}

static int stop_nginx(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

#define GET SUP_EXPECT("\r\n\r\n")
#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static const struct sup_step closes_at_once[] = {SUP_CLOSE};
static const struct sup_step resets_at_once[] = {GET, SUP_RESET};
static const struct sup_step no_answer[] = {GET, SUP_CLOSE};
static const struct sup_step half_header[] = {GET, SUP_SEND(OK_HEAD "Content-Le"), SUP_CLOSE};
static const struct sup_step reset_in_header[] = {GET, SUP_SEND(OK_HEAD "Content-Le"),
                                                  SUP_DELAY(50), SUP_RESET};
static const struct sup_step short_body[] = {
    GET, SUP_SEND(OK_HEAD "Content-Length: 100\r\n\r\nonly this"), SUP_CLOSE};
static const struct sup_step reset_in_body[] = {
    GET, SUP_SEND(OK_HEAD "Content-Length: 100\r\n\r\nonly this"), SUP_DELAY(50), SUP_RESET};
static const struct sup_step half_chunk[] = {
    GET, SUP_SEND(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n10\r\nonly this"), SUP_CLOSE};
static const struct sup_step bad_chunk[] = {
    GET, SUP_SEND(OK_HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), SUP_READ_TO_END};
static const struct sup_step not_http[] = {GET, SUP_SEND("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
                                           SUP_READ_TO_END};
static const struct sup_step endless_headers[] = {GET, SUP_SEND(OK_HEAD),
                                                  SUP_SEND_FOREVER("X-More: and more\r\n")};
static const struct sup_step silent[] = {GET, SUP_STALL};
static const struct sup_step stalls_in_body[] = {
    GET, SUP_SEND(OK_HEAD "Content-Length: 100\r\n\r\nonly this"), SUP_STALL};
static const struct sup_step silent_tls[] = {SUP_READ(5), SUP_STALL};
static const struct sup_step tls_alert[] = {SUP_READ(5), SUP_SEND(SUP_TLS_ALERT_HANDSHAKE_FAILURE),
                                            SUP_READ_TO_END};
static const struct sup_step tls_reset[] = {SUP_READ(5), SUP_RESET};
static const struct sup_step bad_gzip[] = {
    GET, SUP_SEND(OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!"),
    SUP_READ_TO_END};
static const struct sup_step bad_redirect[] = {
    GET, SUP_SEND("HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\nContent-Length: 0\r\n\r\n"),
    SUP_READ_TO_END};

/* A fault that a script makes, and what its line says. */
struct fault {
    const struct sup_step *steps;
    size_t steps_n;
    const char *scheme, *phase, *words;
    struct sup_scripted *server; /* filled in, as what follows */
    char *url;
};

#define FAULT(script, scheme, phase, words)                                                        \
    {                                                                                              \
        script, sizeof(script) / sizeof((script)[0]), scheme, phase, words, NULL, NULL             \
    }

static struct fault faults[] = {
    FAULT(closes_at_once, "http", "header", "closed the connection without an answer"),
    FAULT(resets_at_once, "http", "header", "Connection reset"),
    FAULT(no_answer, "http", "header", "closed the connection without an answer"),
    FAULT(half_header, "http", "header", "closed the connection within"),
    FAULT(reset_in_header, "http", "header", "reset"),
    FAULT(short_body, "http", "body", "after 9 of 100 bytes"),
    FAULT(reset_in_body, "http", "body", "reset"),
    FAULT(half_chunk, "http", "body", "cut off"),
    FAULT(bad_chunk, "http", "body", "not valid HTTP"),
    FAULT(not_http, "http", "header", "not in HTTP/1.1"),
    FAULT(endless_headers, "http", "header", "beyond the limits"),
    FAULT(silent, "http", "header", "timed out after 2 s (--max-time)"),
    FAULT(stalls_in_body, "http", "body", "timed out after 2 s (--max-time)"),
    FAULT(silent_tls, "https", "tls", "timed out after 2 s (--max-time)"),
    FAULT(tls_alert, "https", "tls", "alert"),
    FAULT(tls_reset, "https", "tls", "reset"),
    FAULT(bad_gzip, "http", "body", "encoding"),
    FAULT(bad_redirect, "http", "redirect", "redirect"),
};
#define FAULTS_N (sizeof(faults) / sizeof(faults[0]))

/* Adds a word to a line that it makes longer. */
static void add(char **line, const char *word)
{
    char *longer = sup_format("%s %s", *line, word);
    free(*line);
    *line = longer;
}

/* Asserts that a line of standard error is about the URL, and says so. */
static void expect_fault(const char *err, const char *url, const char *phase, const char *words)
{
    char *begin = sup_format("%s: %s: ", url, phase);
    const char *p = err;
    while (p && strncmp(p, url, strlen(url)) != 0) {
        p = strchr(p, '\n');
        p = p && p[1] ? p + 1 : NULL;
    }
    size_t n = p ? strcspn(p, "\n") : 0;
    char *line = p ? strndup(p, n) : NULL;
    if (!line || strncmp(line, begin, strlen(begin)) != 0 || !strstr(line, words))
        fail_msg("the line is not \"%s...%s...\": %s", begin, words, line ? line : err);
    free(line);
    free(begin);
}

static void each_fault_has_its_line_and_the_rest_is_delivered(void **state)
{
    (void)state;
    char *line = sup_format("fetch --max-time 2");
    for (size_t i = 0; i < FAULTS_N; i++) {
        struct fault *f = &faults[i];
        const struct sup_script script = {f->steps, f->steps_n};
        f->server = sup_scripted_start(&script, 1);
        assert_non_null(f->server);
        f->url = sup_format("%s://127.0.0.1:%u/%zu", f->scheme, sup_scripted_port(f->server), i);
        char *page = sup_format("%s/pages/%zu", sup_nginx_base(nginx, SUP_NGINX_HTTP), i);
        add(&line, f->url);
        add(&line, page);
        free(page);
    }
    char *dir = sup_tmpname("pages");
    struct sup_run_result r;
    run(&r, NULL, "%s -o %s", line, dir);
    expect_exit(&r, 1);
    assert_int_equal(count_lines(r.err), FAULTS_N);
    for (size_t i = 0; i < FAULTS_N; i++) {
        expect_fault(r.err, faults[i].url, faults[i].phase, faults[i].words);
        sup_scripted_stop(faults[i].server);
        free(faults[i].url);
        char *name = sup_format("%s/%06zu-127.0.0.1_%u_pages_%zu", dir, 2 * i + 2,
                                sup_nginx_port(nginx, SUP_NGINX_HTTP), i);
        size_t n;
        char *data = sup_file_read(name, &n);
        assert_true(data && sup_page_match((uint32_t)i, data, n));
        free(data);
        free(name);
    }
    const char *const ls[] = {"ls", "-A", dir, NULL}; /* nothing else, no part of a page */
    struct sup_run_result listed;
    assert_true(sup_run(&listed, &(struct sup_run_opts){.argv = ls}));
    assert_int_equal(count_lines(listed.out), FAULTS_N);
    sup_run_result_free(&listed);
    sup_run_result_free(&r);
    free(dir);
    free(line);
}

static void each_bad_certificate_has_its_line(void **state)
{
    (void)state;
    static const struct {
        enum sup_nginx_port port;
        const char *words;
    } bad[] = {
        {SUP_NGINX_EXPIRED, "the certificate expired on 2021-01-01"},
        {SUP_NGINX_NOT_YET, "the certificate is not valid before 2100-01-01"},
        {SUP_NGINX_SELF_SIGNED, "the certificate is self-signed"},
        {SUP_NGINX_WRONG_HOST, "the certificate is for other.test, not 127.0.0.1"},
        {SUP_NGINX_UNKNOWN_CA, "the certificate is signed by an unknown authority"},
        {SUP_NGINX_INCOMPLETE, "the certificate is signed by an unknown authority"},
    };
    size_t bad_n = sizeof(bad) / sizeof(bad[0]);
    char *line = sup_format("fetch --cacert %s", sup_ca_file());
    for (size_t i = 0; i < bad_n; i++) {
        char *url = sup_format("%s/pages/0", sup_nginx_base(nginx, bad[i].port));
        add(&line, url);
        free(url);
    }
    struct sup_run_result r;
    run(&r, NULL, "%s %s/pages/1 %s/pages/2 %s/pages/3", line,
        sup_nginx_base(nginx, SUP_NGINX_HTTPS), sup_nginx_base(nginx, SUP_NGINX_RSA),
        sup_nginx_base(nginx, SUP_NGINX_CHAIN));
    expect_exit(&r, 1);
    assert_int_equal(count_lines(r.err), bad_n);
    assert_int_equal(r.out_bytes, sup_page_size(1) + sup_page_size(2) + sup_page_size(3));
    for (size_t i = 0; i < bad_n; i++) {
        char *url = sup_format("%s/pages/0", sup_nginx_base(nginx, bad[i].port));
        expect_fault(r.err, url, "tls", bad[i].words);
        free(url);
    }
    sup_run_result_free(&r);
    free(line);
}

static void tls_that_is_cut_off_is_told_from_the_end(void **state)
{
    (void)state;
    uint16_t upstream = sup_nginx_port(nginx, SUP_NGINX_HTTPS);
    static const struct {
        enum sup_relay_fault fault;
        uint64_t at_byte;
        const char *phase, *words;
    } cuts[] = {
        {SUP_RELAY_CLOSE, 100, "tls", "closed the connection during the TLS handshake"},
        {SUP_RELAY_RESET, 100, "tls", "reset"},
        {SUP_RELAY_STALL, 100, "tls", "timed out after 1 s (--max-time)"},
        {SUP_RELAY_CORRUPT, 300, "tls", "damaged"},
        {SUP_RELAY_TRUNCATE, 40000, "body", "of 8388608 bytes"},
        {SUP_RELAY_RESET, 40000, "body", "reset"},
        {SUP_RELAY_CORRUPT, 40000, "body", "broke the TLS protocol"},
    };
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        const struct sup_relay_rule rule = {
            .fault = cuts[i].fault, .direction = SUP_TO_CLIENT, .at_byte = cuts[i].at_byte};
        struct sup_relay *relay = sup_relay_start(upstream, &rule, 1);
        assert_non_null(relay);
        char *url = sup_format("https://127.0.0.1:%u/large", sup_relay_port(relay));
        struct sup_run_result r;
        run(&r, NULL, "fetch --max-time 1 --cacert %s %s", sup_ca_file(), url);
        expect_exit(&r, 1);
        assert_int_equal(count_lines(r.err), 1);
        expect_fault(r.err, url, cuts[i].phase, cuts[i].words);
        assert_true(sup_stream_match(SUP_NGINX_LARGE_SEED, 0, r.out, r.out_bytes));
        sup_run_result_free(&r);
        free(url);
        sup_relay_stop(relay);
    }
}

static void connections_that_do_not_come_have_their_lines(void **state)
{
    (void)state;
    uint16_t refusing, deaf;
    int fd = sup_port_refusing(&refusing);
    struct sup_blackhole *hole = sup_blackhole_start(&deaf);
    assert_true(fd >= 0 && hole);
    char *refused = sup_format("http://127.0.0.1:%u/", refusing);
    char *dropped = sup_format("http://127.0.0.1:%u/", deaf);
    struct sup_run_result r;
    run(&r, NULL, "fetch --connect-timeout 0.5 %s %s http://nowhere.invalid/", refused, dropped);
    expect_exit(&r, 1);
    assert_int_equal(count_lines(r.err), 3);
    expect_fault(r.err, refused, "connect", "Connection refused");
    expect_fault(r.err, dropped, "connect", "timed out");
    expect_fault(r.err, "http://nowhere.invalid/", "dns", "");
    assert_true(r.wall_ms < 10000);
    sup_run_result_free(&r);
    free(refused);
    free(dropped);
    close(fd);
    sup_blackhole_stop(hole);
}

/* -- Retries ------------------------------------------------------------------------------------ */

static const struct sup_step says_503[] = {
    GET,
    SUP_SEND("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
             "Content-Length: 4\r\n\r\nbusy"),
    SUP_READ_TO_END};
static const struct sup_step says_ok[] = {GET, SUP_SEND(OK_HEAD "Content-Length: 4\r\n\r\ndone"),
                                          SUP_READ_TO_END};

#define SCRIPT(steps)                                                                              \
    {                                                                                              \
        steps, sizeof(steps) / sizeof((steps)[0])                                                  \
    }

/* Runs with a server whose first connections go wrong in the ways given. */
static void run_retrying(struct sup_run_result *r, const struct sup_script *scripts,
                         size_t scripts_n, const char *options, size_t connections)
{
    struct sup_scripted *s = sup_scripted_start(scripts, scripts_n);
    assert_non_null(s);
    run(r, NULL, "fetch %s http://127.0.0.1:%u/", options, sup_scripted_port(s));
    struct sup_scripted_counts counts;
    sup_scripted_counts(s, &counts);
    assert_int_equal(counts.connections, connections);
    sup_scripted_stop(s);
}

static void a_passing_fault_is_tried_again(void **state)
{
    (void)state;
    const struct sup_script busy[] = {SCRIPT(says_503), SCRIPT(says_ok)};
    struct sup_run_result r;
    run_retrying(&r, busy, 2, "--retry 1", 2);
    expect_exit(&r, 0);
    assert_string_equal(r.out, "done");
    assert_string_equal(r.err, "");
    assert_true(r.wall_ms >= 1000); /* as Retry-After asks */
    sup_run_result_free(&r);

    const struct sup_script lossy[] = {SCRIPT(resets_at_once), SCRIPT(short_body), SCRIPT(says_ok)};
    char *dir = sup_tmpname("pages");
    char *options = sup_format("--retry 5 -o %s", dir);
    run_retrying(&r, lossy, 3, options, 3); /* a part of a file can be taken back */
    expect_exit(&r, 0);
    assert_true(r.wall_ms >= 1500);
    sup_run_result_free(&r);
    free(options);
    free(dir);

    const struct sup_script stalled[] = {SCRIPT(silent), SCRIPT(says_ok)};
    run_retrying(&r, stalled, 2, "--retry 1 --max-time 2", 2);
    expect_exit(&r, 0);
    sup_run_result_free(&r);
}

static void retries_end(void **state)
{
    (void)state;
    const struct sup_script busy[] = {SCRIPT(says_503)};
    struct sup_run_result r;
    run_retrying(&r, busy, 1, "--retry 1", 2);
    expect_exit(&r, 1);
    assert_string_equal(r.out, "busy"); /* the last answer's body, once */
    expect_line(r.err, "http://127.0.0.1:", ": http: 503 Service Unavailable");
    sup_run_result_free(&r);

    run_retrying(&r, busy, 1, "", 1);
    expect_exit(&r, 1);
    sup_run_result_free(&r);

    run_retrying(&r, busy, 1, "--retry 3 -d x", 1); /* POST is not idempotent */
    expect_exit(&r, 1);
    sup_run_result_free(&r);

    const struct sup_script cut[] = {SCRIPT(short_body)};
    run_retrying(&r, cut, 1, "--retry 3", 1); /* standard output cannot be taken back */
    expect_exit(&r, 1);
    assert_string_equal(r.out, "only this");
    sup_run_result_free(&r);

    const struct sup_script foreign[] = {SCRIPT(not_http)};
    run_retrying(&r, foreign, 1, "--retry 3", 1); /* would be the same again */
    expect_exit(&r, 1);
    sup_run_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_line_and_the_rest_is_delivered),
        cmocka_unit_test(each_bad_certificate_has_its_line),
        cmocka_unit_test(tls_that_is_cut_off_is_told_from_the_end),
        cmocka_unit_test(connections_that_do_not_come_have_their_lines),
        cmocka_unit_test(a_passing_fault_is_tried_again),
        cmocka_unit_test(retries_end),
    };
    return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}
