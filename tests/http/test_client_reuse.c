/* SPDX-License-Identifier: MIT */
/* Kept connections that die, requests that are repeated or not, and answers that come before they are asked for. */
#include <unistd.h>

#include "fetching.h"
#include "support/certs.h"
#include "support/nginx.h"
#include "support/scripted.h"

#define REQUEST SUP_EXPECT("\r\n\r\n")
#define OK2 SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

static const thrum_http_request post = {.body = "x", .body_bytes = 1};

struct served {
    struct sup_scripted *server;
    unsigned n;
    const thrum_http_request *request;
    thr_au64 lost;
};

static const char *url_of(char url[64], struct sup_scripted *server)
{
    snprintf(url, 64, "http://127.0.0.1:%u/", sup_scripted_port(server));
    return url;
}

/* ---- The race --------------------------------------------------------------------------------------------------- */

/* One of a thousand requests, of which a few are under way at once. */
static int race_one(thrum_http_client *c, struct served *s)
{
    char url[64];
    struct got g;
    fetch(c, url_of(url, s->server), s->request, &g);
    got_free(&g);
    if (g.err == THRUM_EHTTP_LOST && s->request) {
        thr_fetch_add(&s->lost, 1, THR_RELAXED);
        return 0;
    }
    if (g.err)
        fprintf(stderr, "%d in %s: %s\n", g.err, thrum_http_phase_name(g.info.phase),
                g.info.detail);
    CHECK(g.err == 0 && g.status == 200);
    return 0;
}

struct racer {
    thrum_http_client *client;
    struct served *served;
    unsigned n;
};

static int race_task(void *arg)
{
    struct racer *r = arg;
    int err = 0;
    for (unsigned i = 0; i < r->n && !err; i++)
        err = race_one(r->client, r->served);
    return err;
}

static int race(thrum_http_client *c, void *arg)
{
    struct racer r = {c, arg, ((struct served *)arg)->n / 4};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(thrum_scope_spawn(&scope, race_task, &r) == 0);
    return thrum_scope_close(&scope);
}

/* The server says that it keeps the connection, and closes it: at once, after a moment, with a reset, on the next request. */
static const struct sup_step close_at_once[] = {REQUEST, OK2, SUP_CLOSE};
static const struct sup_step close_soon[] = {REQUEST, OK2, SUP_DELAY(1), SUP_CLOSE};
static const struct sup_step reset_at_once[] = {REQUEST, OK2, SUP_DELAY(1), SUP_RESET};
static const struct sup_step close_on_request[] = {REQUEST, OK2, REQUEST, SUP_CLOSE};
static const struct sup_step reset_on_request[] = {REQUEST, OK2, REQUEST, SUP_RESET};

#define RACE(array)                                                                                \
    {                                                                                              \
        array, THR_COUNT_OF(array)                                                                 \
    }

static void a_server_that_closes_kept_connections_costs_no_get(void **state)
{
    (void)state;
    const struct sup_script scripts[] = {RACE(close_at_once), RACE(close_soon), RACE(reset_at_once),
                                         RACE(close_on_request), RACE(reset_on_request)};
    for (size_t i = 0; i < THR_COUNT_OF(scripts); i++) {
        struct served s = {.server = sup_scripted_start(&scripts[i], 1), .n = i == 0 ? 1000 : 200};
        assert_non_null(s.server);
        thrum_http_stats stats = run_with(race, &s, NULL, NULL, 2);
        assert_int_equal(stats.requests, s.n);
        if (i >= 3)
            assert_true(stats.retries > 0);
        sup_scripted_stop(s.server);
    }
}

static void a_post_is_lost_or_done_but_never_repeated(void **state)
{
    (void)state;
    const struct sup_script scripts[] = {RACE(close_at_once), RACE(close_soon),
                                         RACE(close_on_request), RACE(reset_on_request)};
    for (size_t i = 0; i < THR_COUNT_OF(scripts); i++) {
        struct served s = {
            .server = sup_scripted_start(&scripts[i], 1), .n = 200, .request = &post};
        assert_non_null(s.server);
        thrum_http_stats stats = run_with(race, &s, NULL, NULL, 2);
        struct sup_scripted_counts counts;
        sup_scripted_counts(s.server, &counts);
        assert_int_equal(stats.requests, 200);
        assert_true(counts.requests <= 200); /* each reached the server once at most */
        uint64_t lost = thr_load(&s.lost, THR_RELAXED);
        assert_true(counts.requests >= 200 - lost);
        if (i >= 2)
            assert_true(lost > 0);
        sup_scripted_stop(s.server);
    }
}

static int twice(thrum_http_client *c, void *arg)
{
    struct sup_scripted *server = arg;
    char url[64];
    struct got g;
    CHECK(fetch_ok(c, url_of(url, server), NULL, 200, &g));
    got_free(&g);
    CHECK(fetch_ok(c, url, NULL, 200, &g)); /* repeated: a GET may be */
    CHECK(!g.info.reused);
    got_free(&g);
    CHECK(fetch_fails(c, url, &post, THRUM_EHTTP_LOST, THRUM_HTTP_PHASE_HEADER, &g));
    CHECK(strstr(g.info.detail, "POST is not repeated"));
    CHECK(g.info.reused);
    return 0;
}

static void what_may_be_repeated_is_repeated_once(void **state)
{
    (void)state;
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(close_on_request));
    assert_non_null(server);
    thrum_http_stats stats = run_with(twice, server, NULL, NULL, 1);
    assert_int_equal(stats.retries, 1);
    assert_int_equal(stats.requests, 3);
    assert_int_equal(stats.connections_reused, 2);
    sup_scripted_stop(server);
}

static const struct sup_step close_unanswered[] = {REQUEST, SUP_CLOSE};

static int once_more_in_vain(thrum_http_client *c, void *arg)
{
    struct sup_scripted *server = arg;
    char url[64];
    struct got g;
    CHECK(fetch_ok(c, url_of(url, server), NULL, 200, &g));
    got_free(&g);
    CHECK(fetch_fails(c, url, NULL, THRUM_EHTTP_LOST, THRUM_HTTP_PHASE_HEADER, &g));
    return 0;
}

static void a_fresh_connection_that_dies_is_not_tried_again(void **state)
{
    (void)state;
    const struct sup_script scripts[] = {RACE(close_on_request), RACE(close_unanswered)};
    struct sup_scripted *server = sup_scripted_start(scripts, 2);
    assert_non_null(server);
    thrum_http_stats stats = run_with(once_more_in_vain, server, NULL, NULL, 1);
    assert_int_equal(stats.connections_opened, 2);
    sup_scripted_stop(server);
}

/* ---- What makes a connection unfit ------------------------------------------------------------------------------ */

static int n_times(thrum_http_client *c, void *arg)
{
    struct served *s = arg;
    for (unsigned i = 0; i < s->n; i++) {
        char url[64];
        struct got g;
        fetch(c, url_of(url, s->server), s->request, &g);
        CHECK(g.err == 0);
        got_free(&g);
        CHECK(thrum_sleep(5 * THRUM_MILLISECOND) == 0);
    }
    return 0;
}

static const struct sup_step more_than_length[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok?"), SUP_STALL};
static const struct sup_step late_bytes[] = {REQUEST, OK2, SUP_DELAY(1),
                                             SUP_SEND("HTTP/1.1 408 Timeout\r\n\r\n"), SUP_STALL};
static const struct sup_step length_and_chunks[] = {
    REQUEST,
    SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    SUP_STALL};
static const struct sup_step switching[] = {
    REQUEST, SUP_SEND("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), SUP_STALL};
static const struct sup_step says_close[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    SUP_STALL};
static const struct sup_step old_version[] = {
    REQUEST, SUP_SEND("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), SUP_STALL};
static const struct sup_step timeout_0[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n"),
    SUP_STALL};

static void a_connection_in_doubt_is_not_used_again(void **state)
{
    (void)state;
    const struct sup_script scripts[] = {
        RACE(more_than_length), RACE(late_bytes),  RACE(length_and_chunks), RACE(switching),
        RACE(says_close),       RACE(old_version), RACE(timeout_0)};
    for (size_t i = 0; i < THR_COUNT_OF(scripts); i++) {
        struct served s = {.server = sup_scripted_start(&scripts[i], 1), .n = 3};
        assert_non_null(s.server);
        thrum_http_stats stats = run_with(n_times, &s, NULL, NULL, 1);
        if (stats.connections_opened != 3)
            fprintf(stderr, "script %zu\n", i);
        assert_int_equal(stats.connections_opened, 3);
        sup_scripted_stop(s.server);
    }
}

static const struct sup_step timeout_2[] = {
    REQUEST,
    SUP_SEND("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2, max=9\r\nContent-Length: 0\r\n\r\n"),
    SUP_REPEAT(0)};
static const struct sup_step keeps[] = {REQUEST, OK2, SUP_REPEAT(0)};

static int pause_and_again(thrum_http_client *c, void *arg)
{
    struct served *s = arg;
    char url[64];
    struct got g;
    for (int i = 0; i < 2; i++) { /* within the second that is left of two */
        fetch(c, url_of(url, s->server), s->request, &g);
        CHECK(g.err == 0 && g.info.reused == (i > 0));
        got_free(&g);
    }
    CHECK(thrum_sleep(1100 * THRUM_MILLISECOND) == 0);
    fetch(c, url, s->request, &g);
    CHECK(g.err == 0 && !g.info.reused);
    got_free(&g);
    return 0;
}

static void the_servers_idle_time_is_honoured(void **state)
{
    (void)state;
    struct served s = {.server = sup_scripted_start(SUP_SCRIPT(timeout_2))};
    assert_non_null(s.server);
    run_with(pause_and_again, &s, NULL, NULL, 1);
    sup_scripted_stop(s.server);

    /* and a request that cannot be repeated trusts no connection that was idle for a second */
    struct served p = {.server = sup_scripted_start(SUP_SCRIPT(keeps)), .request = &post};
    assert_non_null(p.server);
    run_with(pause_and_again, &p, NULL, NULL, 1);
    sup_scripted_stop(p.server);
}

/* ---- Large requests --------------------------------------------------------------------------------------------- */

#define UPLOAD_BYTES (8u << 20)

static char *upload;

static int send_upload(thrum_http_client *c, void *arg)
{
    struct served *s = arg; /* n: the status wanted */
    const thrum_http_request request = {.body = upload, .body_bytes = UPLOAD_BYTES};
    char url[64];
    struct got g;
    fetch(c, url_of(url, s->server), &request, &g);
    if (g.err || g.status != (int)s->n)
        fprintf(stderr, "%d in %s: %s; status %d\n", g.err, thrum_http_phase_name(g.info.phase),
                g.info.detail, g.status);
    CHECK(g.err == 0 && g.status == (int)s->n);
    got_free(&g);
    return 0;
}

static const struct sup_step takes_all[] = {REQUEST, SUP_READ(UPLOAD_BYTES), OK2, SUP_REPEAT(0)};
static const struct sup_step refuses_and_resets[] = {
    REQUEST, SUP_SEND("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"), SUP_DELAY(300),
    SUP_CLOSE};
static const struct sup_step refuses_and_closes[] = {
    REQUEST, SUP_SEND("HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\nno"), SUP_HALF_CLOSE,
    SUP_DELAY(300), SUP_CLOSE};
static const struct sup_step accepts_early[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), SUP_READ(UPLOAD_BYTES),
    SUP_SEND("ok")};
static const struct sup_step answers_while_reading[] = {
    REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    SUP_SEND_STREAM(7, 16u << 20), SUP_READ(UPLOAD_BYTES)};

static void a_large_body_does_not_drown_an_early_answer(void **state)
{
    (void)state;
    static const struct {
        struct sup_script script;
        unsigned status;
    } rows[] = {
        {RACE(takes_all), 200},
        {RACE(refuses_and_resets), 413},
        {RACE(refuses_and_closes), 413},
        {RACE(accepts_early), 200},
        {RACE(answers_while_reading), 200},
    };
    upload = malloc(UPLOAD_BYTES);
    assert_non_null(upload);
    memset(upload, 'u', UPLOAD_BYTES);
    for (size_t i = 0; i < THR_COUNT_OF(rows); i++) {
        for (unsigned workers = 1; workers <= 2; workers++) {
            struct served s = {.server = sup_scripted_start(&rows[i].script, 1),
                               .n = rows[i].status};
            assert_non_null(s.server);
            run_with(send_upload, &s, NULL, NULL, workers);
            sup_scripted_stop(s.server);
        }
    }
    free(upload);
}

static int small_post(thrum_http_client *c, void *arg)
{
    struct served *s = arg;
    char url[64];
    struct got g;
    fetch(c, url_of(url, s->server), &post, &g);
    CHECK(g.err == 0 && g.status == 408);
    got_free(&g);
    return 0;
}

static void an_answer_before_the_request_is_read_all_the_same(void **state)
{
    (void)state;
    static const struct sup_step says_and_closes[] = {
        SUP_SEND("HTTP/1.1 408 Too slow\r\nConnection: close\r\n\r\n"), SUP_HALF_CLOSE,
        SUP_DELAY(200), SUP_CLOSE};
    struct served s = {.server = sup_scripted_start(SUP_SCRIPT(says_and_closes))};
    assert_non_null(s.server);
    run_with(small_post, &s, NULL, NULL, 1);
    sup_scripted_stop(s.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_closes_kept_connections_costs_no_get),
        cmocka_unit_test(a_post_is_lost_or_done_but_never_repeated),
        cmocka_unit_test(what_may_be_repeated_is_repeated_once),
        cmocka_unit_test(a_fresh_connection_that_dies_is_not_tried_again),
        cmocka_unit_test(a_connection_in_doubt_is_not_used_again),
        cmocka_unit_test(the_servers_idle_time_is_honoured),
        cmocka_unit_test(a_large_body_does_not_drown_an_early_answer),
        cmocka_unit_test(an_answer_before_the_request_is_read_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
