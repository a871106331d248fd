/* SPDX-License-Identifier: MIT */
/* What goes wrong on the way: resets, cuts, stalls, damage, drips, at many places of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "support/relay.h"
#include "support/scripted.h"

static struct sup_nginx *nginx;

struct attempt {
    struct client c;
    uint64_t timeout_ns; /* 0: none */
    const char *path;
    char *all, *body; /* filled in, as are the rest */
    int opened;       /* of the handshake; 0: it went well */
    ssize_t result;   /* of all */
    int again;        /* what reading says when it is asked once more */
    bool own_time;
};

static int attempt_task(void *arg)
{
    struct attempt *a = arg;
    thrum_timeout limit;
    thrum_timeout_begin(&limit, a->timeout_ns ? a->timeout_ns : THRUM_NEVER);
    a->opened = client_open(&a->c);
    a->result = a->opened;
    if (!a->opened)
        a->result = client_ask(&a->c, a->path ? a->path : "/pages/63");
    if (a->result == 0) {
        a->result = client_answer(&a->c, &a->all, &a->body);
        char byte;
        a->again = (int)thrum_stream_read(a->c.stream, &byte, 1);
    }
    a->own_time = thrum_timeout_end(&limit);
    client_close(&a->c);
    return 0;
}

static void attempt_run(struct attempt *a, uint16_t port, bool tls12)
{
    a->c.port = port;
    a->c.config = client_config((thrum_tls_opts){.tls12_only = tls12});
    assert_int_equal(thrum_run(attempt_task, a, NULL), 0);
    thrum_tls_config_unref(a->c.config);
}

static void attempt_end(struct attempt *a)
{
    free(a->all);
    a->all = NULL;
}

static bool is_page(const struct attempt *a)
{
    return a->result > 0 && sup_page_match(63, a->body, (size_t)a->result);
}

static bool is_reset(ssize_t code)
{
    return code == -ECONNRESET || code == -EPIPE;
}

static bool is_tls(ssize_t code)
{
    return code <= THRUM_ETLS && code > THRUM_ETLS - 100;
}

/* How many bytes come when nothing goes wrong. It differs a little, so tests keep away from the end. */
static uint64_t measure(bool tls12)
{
    struct sup_relay *r = sup_relay_start(sup_nginx_port(nginx, SUP_NGINX_HTTPS), NULL, 0);
    assert_non_null(r);
    struct attempt a = {0};
    attempt_run(&a, sup_relay_port(r), tls12);
    assert_true(is_page(&a));
    uint64_t all = sup_relay_bytes(r, 0, SUP_TO_CLIENT);
    attempt_end(&a);
    sup_relay_stop(r);
    return all;
}

/* Runs one attempt through a relay with one fault. */
static void spoil(struct attempt *a, enum sup_relay_fault fault, enum sup_relay_direction direction,
                  uint64_t at, bool tls12)
{
    struct sup_relay_rule rule = {.fault = fault, .direction = direction, .at_byte = at};
    struct sup_relay *r = sup_relay_start(sup_nginx_port(nginx, SUP_NGINX_HTTPS), &rule, 1);
    assert_non_null(r);
    attempt_run(a, sup_relay_port(r), tls12);
    sup_relay_stop(r);
}

static void a_reset_in_each_phase_is_an_error(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        uint64_t all = measure(tls12);
        const uint64_t at[] = {0, 3, 5, 50, 200, 500, 700, all / 2, all - 100};
        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
            struct attempt a = {0};
            spoil(&a, SUP_RELAY_RESET, SUP_TO_CLIENT, at[i], tls12);
            assert_true(is_reset(a.result));
            if (at[i] > 0 && at[i] < 600) { /* at 0 it may hit the connect already */
                assert_int_equal(a.opened, a.result);
                assert_non_null(strstr(a.c.detail, "(during the TLS handshake)"));
            }
            attempt_end(&a);
        }
    }
}

static void an_end_in_each_phase_is_an_error(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        uint64_t all = measure(tls12);
        const uint64_t at[] = {0, 3, 5, 50, 500, all / 2, all / 2 + 1, all - 100};
        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
            struct attempt a = {0};
            spoil(&a, SUP_RELAY_TRUNCATE, SUP_TO_CLIENT, at[i], tls12);
            if (at[i] < 600) {
                assert_int_equal(a.opened, THRUM_ETLS_HANDSHAKE);
                assert_string_equal(a.c.detail,
                                    "the server closed the connection during the TLS handshake");
            } else {
                assert_int_equal(a.result, THRUM_ETLS_TRUNCATED);
                assert_int_equal(a.again, THRUM_ETLS_TRUNCATED);
            }
            attempt_end(&a);
        }
    }
}

static void a_flipped_bit_is_never_delivered(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        uint64_t all = measure(tls12);
        for (uint64_t at = 0; at < all; at += at < 1000 ? 61 : all / 12) {
            struct attempt a = {.timeout_ns = 2 * THRUM_SECOND};
            spoil(&a, SUP_RELAY_CORRUPT, SUP_TO_CLIENT, at, tls12);
            /* A damaged length may leave either side waiting for bytes that never come; a damaged middle of TLS 1.3's
             * change-cipher-spec or a session ticket's lifetime hint harms nobody. */
            bool told = is_tls(a.result) || is_reset(a.result) || a.result == -ETIMEDOUT;
            if (!told && !is_page(&a))
                print_message("byte %d: %zd %s\n", (int)at, a.result, a.c.detail);
            assert_true(told || is_page(&a));
            if (at > 1500)
                assert_true(told);
            if (is_tls(a.result) && a.opened == 0)
                assert_int_equal(a.again, a.result); /* for ever */
            attempt_end(&a);
        }
        for (uint64_t at = 0; at < 300; at += 37) {
            struct attempt a = {.timeout_ns = 2 * THRUM_SECOND};
            spoil(&a, SUP_RELAY_CORRUPT, SUP_TO_SERVER, at, tls12);
            assert_true(is_tls(a.result) || is_reset(a.result) || a.result == -ETIMEDOUT ||
                        is_page(&a));
            attempt_end(&a);
        }
    }
}

static void single_bytes_are_enough_in_both_directions(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct attempt a = {0};
        spoil(&a, SUP_RELAY_DRIP, i % 2 ? SUP_TO_CLIENT : SUP_TO_SERVER, 0, i / 2);
        assert_true(is_page(&a));
        assert_int_equal(a.again, 0);
        attempt_end(&a);
    }
}

static void a_stall_ends_by_the_deadline_in_each_phase(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        uint64_t all = measure(tls12);
        const uint64_t at[] = {0, 3, 100, 500, all / 2};
        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
            struct attempt a = {.timeout_ns = 400 * THRUM_MILLISECOND};
            int64_t begun = sup_now_ms();
            spoil(&a, SUP_RELAY_STALL, SUP_TO_CLIENT, at[i], tls12);
            assert_int_equal(a.result, -ETIMEDOUT);
            assert_true(a.own_time);
            assert_true(sup_now_ms() - begun < SUP_TIMEOUT_MS / 2);
            if (at[i] < 600)
                assert_string_equal(a.c.detail, "the TLS handshake was not finished in time");
            else
                assert_int_equal(a.again, -ETIMEDOUT);
            attempt_end(&a);
        }
    }
}

/* ---- Servers that are none -------------------------------------------------------------------------------------- */

static void a_server_that_speaks_no_tls_is_told_apart(void **state)
{
    (void)state;
    struct attempt a = {.timeout_ns = 10 * THRUM_SECOND};
    attempt_run(&a, sup_nginx_port(nginx, SUP_NGINX_HTTP), false);
    assert_int_equal(a.result, THRUM_ETLS_PROTOCOL);
    /* nginx answers rubbish in HTTP/0.9 style, with HTML alone, or in HTTP/1.1 */
    assert_true(strstr(a.c.detail, "plain HTTP") || strstr(a.c.detail, "no TLS record"));
}

static void alerts_are_named(void **state)
{
    (void)state;
    static const struct sup_step failure[] = {
        SUP_READ(5), SUP_SEND(SUP_TLS_ALERT_HANDSHAKE_FAILURE), SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step version[] = {SUP_READ(5), SUP_SEND(SUP_TLS_ALERT_PROTOCOL_VERSION),
                                              SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step name[] = {SUP_READ(5), SUP_SEND(SUP_TLS_ALERT_UNRECOGNIZED_NAME),
                                           SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step odd[] = {SUP_READ(5), SUP_SEND("\x15\x03\x03\x00\x02\x02\xC8"),
                                          SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct sup_step half[] = {SUP_READ(5), SUP_SEND(SUP_TLS_HALF_RECORD),
                                           SUP_HALF_CLOSE, SUP_READ_TO_END};
    static const struct {
        struct sup_script script;
        int code;
        const char *words;
    } cases[] = {
        {{failure, 4},
         THRUM_ETLS_ALERT,
         "the server ended TLS with the alert \"handshake failure\""},
        {{version, 4},
         THRUM_ETLS_VERSION,
         "the server ended TLS with the alert \"protocol version\""},
        {{name, 4}, THRUM_ETLS_ALERT, "the server ended TLS with the alert \"unrecognized name\""},
        {{odd, 4}, THRUM_ETLS_ALERT, "the server ended TLS with alert number 200"},
        {{half, 4},
         THRUM_ETLS_HANDSHAKE,
         "the server closed the connection during the TLS handshake"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sup_scripted *s = sup_scripted_start(&cases[i].script, 1);
        assert_non_null(s);
        struct attempt a = {.timeout_ns = 10 * THRUM_SECOND};
        attempt_run(&a, sup_scripted_port(s), false);
        assert_int_equal(a.result, cases[i].code);
        assert_string_equal(a.c.detail, cases[i].words);
        sup_scripted_stop(s);
    }
}

/* ---- Cancelling ------------------------------------------------------------------------------------------------- */

struct cancelled {
    struct attempt a;
    struct sup_relay *relay;
    int scope_result;
};

static int cancel_task(void *arg)
{
    struct cancelled *x = arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    int err = thrum_scope_spawn(&scope, attempt_task, &x->a);
    for (int i = 0; i < 3000 && sup_relay_faults(x->relay) == 0; i++)
        thrum_sleep(10 * THRUM_MILLISECOND);
    thrum_sleep(20 * THRUM_MILLISECOND);
    thrum_scope_cancel(&scope);
    x->scope_result = thrum_scope_close(&scope);
    return err;
}

static void a_cancel_ends_a_handshake_and_a_read(void **state)
{
    (void)state;
    int fds = sup_fd_count();
    uint64_t all = measure(false);
    const uint64_t at[] = {0, 500, all / 2};
    for (size_t i = 0; i < 3; i++) {
        struct sup_relay_rule rule = {
            .fault = SUP_RELAY_STALL, .direction = SUP_TO_CLIENT, .at_byte = at[i]};
        struct sup_relay *r = sup_relay_start(sup_nginx_port(nginx, SUP_NGINX_HTTPS), &rule, 1);
        assert_non_null(r);
        struct cancelled x = {.relay = r, .a.c.port = sup_relay_port(r)};
        x.a.c.config = client_config((thrum_tls_opts){0});
        assert_int_equal(thrum_run(cancel_task, &x, NULL), 0);
        assert_int_equal(x.scope_result, -ECANCELED);
        assert_int_equal(x.a.result, -ECANCELED);
        if (i == 2)
            assert_int_equal(x.a.again, -ECANCELED); /* again and again */
        attempt_end(&x.a);
        thrum_tls_config_unref(x.a.c.config);
        sup_relay_stop(r);
    }
    assert_true(sup_fd_count_falls_to(fds, SUP_TIMEOUT_MS));
}

/* The runtime ends while a task is in a handshake that stalls. */
static int abandon_task(void *arg)
{
    struct cancelled *x = arg;
    thrum_task *task;
    int err = thrum_spawn(&task, attempt_task, &x->a, NULL);
    if (err)
        return err;
    thrum_detach(task);
    for (int i = 0; i < 3000 && sup_relay_faults(x->relay) == 0; i++)
        thrum_sleep(10 * THRUM_MILLISECOND);
    return 0;
}

static void the_runtimes_end_ends_a_handshake(void **state)
{
    (void)state;
    int fds = sup_fd_count();
    struct sup_relay_rule rule = {
        .fault = SUP_RELAY_STALL, .direction = SUP_TO_CLIENT, .at_byte = 200};
    struct sup_relay *r = sup_relay_start(sup_nginx_port(nginx, SUP_NGINX_HTTPS), &rule, 1);
    assert_non_null(r);
    struct cancelled x = {.relay = r, .a.c.port = sup_relay_port(r)};
    x.a.c.config = client_config((thrum_tls_opts){0});
    assert_int_equal(thrum_run(abandon_task, &x, NULL), 0);
    assert_int_equal(x.a.result, -ECANCELED);
    thrum_tls_config_unref(x.a.c.config);
    sup_relay_stop(r);
    assert_true(sup_fd_count_falls_to(fds, SUP_TIMEOUT_MS));
}

static int start(void **state)
{
    (void)state;
    nginx = sup_nginx_start(NULL);
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
        cmocka_unit_test(a_reset_in_each_phase_is_an_error),
        cmocka_unit_test(an_end_in_each_phase_is_an_error),
        cmocka_unit_test(a_flipped_bit_is_never_delivered),
        cmocka_unit_test(single_bytes_are_enough_in_both_directions),
        cmocka_unit_test(a_stall_ends_by_the_deadline_in_each_phase),
        cmocka_unit_test(a_server_that_speaks_no_tls_is_told_apart),
        cmocka_unit_test(alerts_are_named),
        cmocka_unit_test(a_cancel_ends_a_handshake_and_a_read),
        cmocka_unit_test(the_runtimes_end_ends_a_handshake),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
