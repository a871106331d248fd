/* SPDX-License-Identifier: MIT */
/* What servers do wrong, at each point of a response, and what the client makes of it. */
#include <unistd.h>

#include "fetching.h"
#include "support/certs.h"
#include "support/nginx.h"
#include "support/relay.h"
#include "support/scripted.h"

#define REQUEST SUP_EXPECT("\r\n\r\n")

/* ---- One script, one fetch -------------------------------------------------------------------------------------- */

/* Fetches "/" of a scripted server; expects err in phase, or for err 0 the status and the body. */
struct row {
    const char *name;
    struct sup_step steps[8];
    int err;
    thrum_http_phase phase;
    int status;
    const char *body;
    const char *method;
};

#define HEADER THRUM_HTTP_PHASE_HEADER
#define BODY THRUM_HTTP_PHASE_BODY
#define DONE THRUM_HTTP_PHASE_DONE

/* A gzip member of "hello\n", and where to cut it. */
#define GZIP_HELLO                                                                                 \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06" \
    "\x00\x00\x00"

static const struct row rows[] = {
    /* Framing. */
    {"length",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")},
     0,
     DONE,
     200,
     "hello",
     NULL},
    {"close", {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\n\r\nhello")}, 0, DONE, 200, "hello", NULL},
    {"http/1.0", {REQUEST, SUP_SEND("HTTP/1.0 200 OK\r\n\r\nhello")}, 0, DONE, 200, "hello", NULL},
    {"chunked",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                        "chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: t\r\n\r\n")},
     0,
     DONE,
     200,
     "hello",
     NULL},
    {"empty",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
     0,
     DONE,
     200,
     "",
     NULL},
    {"no reason",
     {REQUEST, SUP_SEND("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")},
     0,
     DONE,
     200,
     "",
     NULL},
    {"head",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")},
     0,
     DONE,
     200,
     "",
     "HEAD"},
    {"204", {REQUEST, SUP_SEND("HTTP/1.1 204 No\r\n\r\n")}, 0, DONE, 204, "", NULL},
    {"304",
     {REQUEST, SUP_SEND("HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n")},
     0,
     DONE,
     304,
     "",
     NULL},
    {"100",
     {REQUEST, SUP_SEND("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
                        "OK\r\nContent-Length: 2\r\n\r\nok")},
     0,
     DONE,
     200,
     "ok",
     NULL},
    {"trickle",
     {REQUEST, SUP_SEND_PIECES("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                               1, 1)},
     0,
     DONE,
     200,
     "hello",
     NULL},
    {"302 without location",
     {REQUEST, SUP_SEND("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nok")},
     0,
     DONE,
     302,
     "ok",
     NULL},
    {"length of a gzip body",
     {REQUEST,
      SUP_SEND(
          "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 26\r\n\r\n" GZIP_HELLO)},
     0,
     DONE,
     200,
     "hello\n",
     NULL},
    {"gzip until close",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" GZIP_HELLO)},
     0,
     DONE,
     200,
     "hello\n",
     NULL},
    {"gzip by the byte",
     {REQUEST,
      SUP_SEND_PIECES("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" GZIP_HELLO, 1, 0)},
     0,
     DONE,
     200,
     "hello\n",
     NULL},
    {"gzip of nothing",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")},
     0,
     DONE,
     200,
     "",
     NULL},
    /* Half answers. */
    {"nothing", {REQUEST, SUP_CLOSE}, THRUM_EHTTP_LOST, HEADER, 0, NULL, NULL},
    {"half a status line",
     {REQUEST, SUP_SEND("HTTP/1.1 20"), SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     HEADER,
     0,
     NULL,
     NULL},
    {"half a header",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nA: b\r\n"), SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     HEADER,
     0,
     NULL,
     NULL},
    {"only 100",
     {REQUEST, SUP_SEND("HTTP/1.1 100 Go\r\n\r\n"), SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     HEADER,
     0,
     NULL,
     NULL},
    {"half a length",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     BODY,
     200,
     NULL,
     NULL},
    {"none of a length",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     BODY,
     200,
     NULL,
     NULL},
    {"half a chunk",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
      SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     BODY,
     200,
     NULL,
     NULL},
    {"no last chunk",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
      SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     BODY,
     200,
     NULL,
     NULL},
    {"no end of trailers",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"),
      SUP_CLOSE},
     THRUM_EHTTP_TRUNCATED,
     BODY,
     200,
     NULL,
     NULL},
    {"half a gzip member",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "
                        "10\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")},
     THRUM_EHTTP_TRUNCATED,
     BODY,
     200,
     NULL,
     NULL},
    /* Resets. */
    {"reset for an answer", {REQUEST, SUP_RESET}, -ECONNRESET, HEADER, 0, NULL, NULL},
    {"reset in the header",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nA"), SUP_DELAY(50), SUP_RESET},
     -ECONNRESET,
     HEADER,
     0,
     NULL,
     NULL},
    {"reset in the body",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), SUP_DELAY(50),
      SUP_RESET},
     -ECONNRESET,
     BODY,
     200,
     NULL,
     NULL},
    {"reset in chunks",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
      SUP_DELAY(50), SUP_RESET},
     -ECONNRESET,
     BODY,
     200,
     NULL,
     NULL},
    /* Not HTTP. */
    {"garbage",
     {REQUEST, SUP_SEND("SSH-2.0-OpenSSH_9.2\r\n"), SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    {"binary",
     {REQUEST, SUP_SEND("\x16\x03\x01\x02"), SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    {"http/2",
     {REQUEST, SUP_SEND("HTTP/2 200\r\n\r\n"), SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    {"folded line",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    {"two lengths",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
      SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    {"bad length",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    {"bad chunk",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     BODY,
     200,
     NULL,
     NULL},
    {"no end of chunk",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd"),
      SUP_STALL},
     THRUM_EHTTP_PROTOCOL,
     BODY,
     200,
     NULL,
     NULL},
    {"endless 1xx",
     {REQUEST, SUP_SEND_FOREVER("HTTP/1.1 100 Go\r\n\r\n")},
     THRUM_EHTTP_PROTOCOL,
     HEADER,
     0,
     NULL,
     NULL},
    /* Too much. */
    {"endless header",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\n"),
      SUP_SEND_FOREVER("A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")},
     THRUM_EHTTP_HEADER_LIMIT,
     HEADER,
     0,
     NULL,
     NULL},
    {"endless line",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nA: "),
      SUP_SEND_FOREVER("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")},
     THRUM_EHTTP_HEADER_LIMIT,
     HEADER,
     0,
     NULL,
     NULL},
    {"endless reason",
     {REQUEST, SUP_SEND("HTTP/1.1 200 "), SUP_SEND_FOREVER("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")},
     THRUM_EHTTP_HEADER_LIMIT,
     HEADER,
     0,
     NULL,
     NULL},
    {"endless body",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\n\r\n"),
      SUP_SEND_FOREVER("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")},
     THRUM_EHTTP_BODY_LIMIT,
     BODY,
     200,
     NULL,
     NULL},
    {"endless chunks",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
      SUP_SEND_FOREVER("4\r\naaaa\r\n")},
     THRUM_EHTTP_BODY_LIMIT,
     BODY,
     200,
     NULL,
     NULL},
    {"a length beyond the limit",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"),
      SUP_SEND_STREAM(1, 2000000), SUP_STALL},
     THRUM_EHTTP_BODY_LIMIT,
     BODY,
     200,
     NULL,
     NULL},
    /* Codings. */
    {"damaged gzip",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "
                        "12\r\n\r\nnot gzip at all")},
     THRUM_EHTTP_ENCODING,
     BODY,
     200,
     NULL,
     NULL},
    {"unknown coding",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nab"),
      SUP_STALL},
     THRUM_EHTTP_ENCODING,
     HEADER,
     0,
     NULL,
     NULL},
    {"unknown transfer coding",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: br, chunked\r\n\r\n"), SUP_STALL},
     THRUM_EHTTP_ENCODING,
     HEADER,
     0,
     NULL,
     NULL},
};

static int fetch_row(thrum_http_client *c, void *arg)
{
    const struct row *row = ((const struct row **)arg)[0];
    struct sup_scripted *server = ((struct sup_scripted **)arg)[1];
    const thrum_http_request request = {.method = row->method};
    char url[64];
    struct got g;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", sup_scripted_port(server));
    if (row->err) {
        CHECK(fetch_fails(c, url, &request, row->err, row->phase, &g));
        char where[32];
        snprintf(where, sizeof(where), "127.0.0.1:%u", sup_scripted_port(server));
        CHECK(strstr(g.info.detail, where));
    } else {
        CHECK(fetch_ok(c, url, &request, row->status, &g));
        CHECK(strcmp(g.body, row->body) == 0 && g.bytes == strlen(row->body));
        CHECK(g.info.detail[0] == '\0');
        got_free(&g);
    }
    return 0;
}

static void each_fault_has_its_error_and_phase(void **state)
{
    (void)state;
    const thrum_http_client_opts opts = {.body_bytes_max = 1000000};
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        const struct sup_script script = {rows[i].steps, THR_COUNT_OF(rows[i].steps)};
        struct sup_scripted *server = sup_scripted_start(&script, 1);
        assert_non_null(server);
        const void *args[] = {&rows[i], server};
        struct with_client w = {.fn = fetch_row, .arg = args, .opts = &opts};
        int result = thrum_run(with_client_task, &w, &(thrum_run_opts){.workers = 2});
        sup_scripted_stop(server);
        if (result)
            fprintf(stderr, "in row \"%s\"\n", rows[i].name);
        assert_int_equal(result, 0);
    }
}

/* ---- The same inside TLS ---------------------------------------------------------------------------------------- */

struct relayed {
    uint16_t port;
    const char *path;
    int err; /* 0: any failure, but never a success */
    thrum_http_phase phase;
};

static int fetch_relayed(thrum_http_client *c, void *arg)
{
    struct relayed *r = arg;
    char url[128];
    struct got g;
    snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", r->port, r->path);
    fetch(c, url, NULL, &g);
    got_free(&g);
    CHECK(g.err < 0 && g.info.phase == r->phase && g.info.detail[0]);
    CHECK(r->err == 0 || g.err == r->err);
    return 0;
}

static void a_tls_connection_cut_off_is_never_a_whole_answer(void **state)
{
    (void)state;
    const struct {
        enum sup_relay_fault fault;
        uint64_t at_byte;
        const char *path;
        int err;
        thrum_http_phase phase;
    } faults[] = {
        {SUP_RELAY_CLOSE, 100, "/large", 0, THRUM_HTTP_PHASE_TLS},
        {SUP_RELAY_RESET, 100, "/large", -ECONNRESET, THRUM_HTTP_PHASE_TLS},
        {SUP_RELAY_CLOSE, 100000, "/large", THRUM_EHTTP_TRUNCATED, BODY},
        {SUP_RELAY_RESET, 100000, "/large", -ECONNRESET, BODY},
        {SUP_RELAY_CORRUPT, 100000, "/large", 0, BODY},
        /* without a length: only the missing goodbye tells that it is not whole */
        {SUP_RELAY_CLOSE, 3500 + sup_page_size(63) / 2, "/until-close/63", THRUM_EHTTP_TRUNCATED,
         BODY},
    };
    struct sup_nginx *nginx = sup_nginx_start(NULL);
    assert_non_null(nginx);
    for (size_t i = 0; i < THR_COUNT_OF(faults); i++) {
        const struct sup_relay_rule rule = {
            .fault = faults[i].fault, .direction = SUP_TO_CLIENT, .at_byte = faults[i].at_byte};
        struct sup_relay *relay = sup_relay_start(sup_nginx_port(nginx, SUP_NGINX_HTTPS), &rule, 1);
        assert_non_null(relay);
        struct relayed r = {sup_relay_port(relay), faults[i].path, faults[i].err, faults[i].phase};
        run_with(fetch_relayed, &r, &(thrum_http_client_opts){.no_decode = true}, sup_ca_file(), 2);
        sup_relay_stop(relay);
    }
    sup_nginx_stop(nginx);
}

static const struct sup_step no_tls[] = {SUP_READ(5), SUP_SEND(SUP_TLS_ALERT_HANDSHAKE_FAILURE),
                                         SUP_CLOSE};
static const struct sup_step plain_answer[] = {SUP_READ(5), SUP_SEND("HTTP/1.1 400 Bad\r\n\r\n"),
                                               SUP_CLOSE};

static int fetch_no_tls(thrum_http_client *c, void *arg)
{
    char url[128];
    struct got g;
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", *(uint16_t *)arg);
    fetch(c, url, NULL, &g);
    CHECK(g.err < 0 && g.info.phase == THRUM_HTTP_PHASE_TLS &&
          strncmp(g.info.detail, "TLS with 127.0.0.1:", 19) == 0);
    return 0;
}

static void a_server_without_tls_fails_in_the_tls_phase(void **state)
{
    (void)state;
    struct sup_script scripts[] = {{no_tls, THR_COUNT_OF(no_tls)},
                                   {plain_answer, THR_COUNT_OF(plain_answer)}};
    for (size_t i = 0; i < 2; i++) {
        struct sup_scripted *server = sup_scripted_start(&scripts[i], 1);
        assert_non_null(server);
        uint16_t port = sup_scripted_port(server);
        run_with(fetch_no_tls, &port, NULL, sup_ca_file(), 1);
        sup_scripted_stop(server);
    }
}

/* ---- Connecting ------------------------------------------------------------------------------------------------- */

static int fetch_refused(thrum_http_client *c, void *arg)
{
    uint16_t port = *(uint16_t *)arg;
    char url[128];
    struct got g;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    CHECK(fetch_fails(c, url, NULL, -ECONNREFUSED, THRUM_HTTP_PHASE_CONNECT, &g));
    CHECK(strstr(g.info.detail, "cannot connect to 127.0.0.1:") &&
          strstr(g.info.detail, "(tried 127.0.0.1:"));
    CHECK(g.info.remote.u.sa.sa_family == AF_UNSPEC);
    snprintf(url, sizeof(url), "http://many.test:%u/", port);
    CHECK(fetch_fails(c, url, NULL, -ECONNREFUSED, THRUM_HTTP_PHASE_CONNECT, &g));
    CHECK(strstr(g.info.detail, " and 1 more)"));
    return 0;
}

static void a_refused_connection_says_what_was_tried(void **state)
{
    (void)state;
    uint16_t port;
    int fd = sup_port_refusing(&port);
    assert_true(fd >= 0);
    thrum_http_override o[4];
    for (size_t i = 0; i < 4; i++) {
        o[i] = (thrum_http_override){.host = "many.test", .port = port};
        assert_int_equal(thrum_addr_parse(&o[i].addr, "127.0.0.1", port), 0);
    }
    run_with(fetch_refused, &port, &(thrum_http_client_opts){.overrides = o, .overrides_n = 4},
             NULL, 1);
    close(fd);
}

static int fetch_second(thrum_http_client *c, void *arg)
{
    char url[128];
    struct got g;
    snprintf(url, sizeof(url), "http://two.test:%u/", *(uint16_t *)arg);
    CHECK(fetch_ok(c, url, NULL, 200, &g));
    CHECK(thrum_addr_port(&g.info.remote) == *(uint16_t *)arg);
    got_free(&g);
    return 0;
}

static const struct sup_step say_ok[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), SUP_CLOSE};

static void the_next_address_is_tried_when_one_fails(void **state)
{
    (void)state;
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(say_ok));
    assert_non_null(server);
    uint16_t refusing, silent, port = sup_scripted_port(server);
    int fd = sup_port_refusing(&refusing);
    struct sup_blackhole *hole = sup_blackhole_start(&silent);
    assert_true(fd >= 0 && hole);
    thrum_http_override o[3];
    for (size_t i = 0; i < 3; i++)
        o[i] = (thrum_http_override){.host = "two.test", .port = port};
    assert_int_equal(thrum_addr_parse(&o[0].addr, "127.0.0.1", refusing), 0);
    assert_int_equal(thrum_addr_parse(&o[1].addr, "127.0.0.1", silent), 0);
    assert_int_equal(thrum_addr_parse(&o[2].addr, "127.0.0.1", port), 0);
    run_with(fetch_second, &port,
             &(thrum_http_client_opts){
                 .overrides = o, .overrides_n = 3, .connect_timeout_ns = THRUM_SECOND},
             NULL, 1);
    sup_blackhole_stop(hole);
    close(fd);
    sup_scripted_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_error_and_phase),
        cmocka_unit_test(a_tls_connection_cut_off_is_never_a_whole_answer),
        cmocka_unit_test(a_server_without_tls_fails_in_the_tls_phase),
        cmocka_unit_test(a_refused_connection_says_what_was_tried),
        cmocka_unit_test(the_next_address_is_tried_when_one_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
