/* SPDX-License-Identifier: MIT */
/* Many handshakes at once, on few and on many workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "support/scripted.h"

#define MANY 200

static struct sup_nginx *nginx;

struct one {
    struct client c;
    uint32_t page;
    ssize_t result;
    bool right, resumed;
};

struct burst {
    thrum_tls_config *config;
    enum sup_nginx_port port;
    struct one ones[MANY];
    unsigned right, resumed; /* filled in */
};

static int one_task(void *arg)
{
    struct one *o = arg;
    char path[32], *all, *body;
    snprintf(path, sizeof(path), "/pages/%u", o->page);
    o->result = client_get(&o->c, path, &all, &body);
    o->right = o->result > 0 && sup_page_match(o->page, body, (size_t)o->result);
    o->resumed = o->c.tls && thrum_tls_was_resumed(o->c.tls);
    client_close(&o->c);
    free(all);
    return 0;
}

static int burst_task(void *arg)
{
    struct burst *b = arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uint32_t i = 0; i < MANY; i++) {
        b->ones[i] = (struct one){
            .c = {.config = b->config, .port = sup_nginx_port(nginx, b->port)}, .page = i % 100};
        thrum_scope_spawn(&scope, one_task, &b->ones[i]);
    }
    return thrum_scope_close(&scope);
}

static void count(struct burst *b)
{
    for (uint32_t i = 0; i < MANY; i++) {
        if (!b->ones[i].right)
            print_message("%u: %zd %s\n", i, b->ones[i].result, b->ones[i].c.detail);
        b->right += b->ones[i].right;
        b->resumed += b->ones[i].resumed;
    }
}

/* Makes one burst and returns how many of its connections were resumed. */
static unsigned burst(thrum_tls_config *config, enum sup_nginx_port port, unsigned workers)
{
    struct burst *b = calloc(1, sizeof(*b));
    b->config = config;
    b->port = port;
    int64_t begun = sup_now_ms();
    assert_int_equal(thrum_run(burst_task, b, &(thrum_run_opts){.workers = workers}), 0);
    int64_t took = sup_now_ms() - begun;
    count(b);
    print_message("%2u workers, TLS %s: %u of %u resumed, %d ms\n", workers,
                  port == SUP_NGINX_TLS12 ? "1.2" : "1.3", b->resumed, MANY, (int)took);
    assert_int_equal(b->right, MANY);
    unsigned resumed = b->resumed;
    free(b);
    return resumed;
}

static void two_hundred_handshakes_at_once_all_succeed(void **state)
{
    (void)state;
    static const unsigned workers[] = {1, 2, 4, 16};
    int fds = sup_fd_count();
    for (size_t i = 0; i < 8; i++) {
        thrum_tls_config *config = client_config((thrum_tls_opts){0});
        enum sup_nginx_port port = i % 2 ? SUP_NGINX_TLS12 : SUP_NGINX_TLS13;
        unsigned first = burst(config, port, workers[i / 2]);
        assert_true(first <= MANY - 8); /* how many depends on how fast the first few are */
        assert_int_equal(burst(config, port, workers[i / 2]), MANY);
        thrum_tls_config_unref(config);
    }
    assert_true(sup_fd_count_falls_to(fds, SUP_TIMEOUT_MS));
}

static void a_server_without_tickets_delays_nobody(void **state)
{
    (void)state;
    struct sup_nginx *with_tickets = nginx;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.no_tickets = true});
    assert_non_null(nginx);
    for (size_t i = 0; i < 2; i++) {
        thrum_tls_config *config = client_config((thrum_tls_opts){0});
        assert_int_equal(burst(config, i % 2 ? SUP_NGINX_TLS12 : SUP_NGINX_TLS13, 2), 0);
        thrum_tls_config_unref(config);
    }
    assert_true(sup_nginx_stop(nginx));
    nginx = with_tickets;
}

/* ---- Servers that stall ----------------------------------------------------------------------------------------- */

struct stalled {
    struct burst b;
    uint16_t stalled_port;
    struct one alive;
    int64_t alive_ms;
};

static int stalled_task(void *arg)
{
    struct stalled *s = arg;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (uint32_t i = 0; i < MANY; i++) { /* to one host, and to as many */
        s->b.ones[i] = (struct one){.c = {.config = s->b.config,
                                          .port = s->stalled_port,
                                          .as_port = (uint16_t)(i % 2 ? 1000 + i : 999)}};
        thrum_scope_spawn(&scope, one_task, &s->b.ones[i]);
    }
    thrum_sleep(600 * THRUM_MILLISECOND);
    int64_t begun = sup_now_ms();
    s->alive = (struct one){
        .c = {.config = s->b.config, .port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)}, .page = 1};
    one_task(&s->alive);
    s->alive_ms = sup_now_ms() - begun;
    thrum_scope_cancel(&scope);
    (void)thrum_scope_close(&scope);
    return 0;
}

static void servers_that_stall_hold_nobody_up(void **state)
{
    (void)state;
    static const struct sup_step stall[] = {SUP_READ(5), SUP_STALL};
    struct sup_scripted *server = sup_scripted_start(SUP_SCRIPT(stall));
    assert_non_null(server);
    struct stalled *s = calloc(1, sizeof(*s));
    s->b.config = client_config((thrum_tls_opts){0});
    s->stalled_port = sup_scripted_port(server);
    assert_int_equal(thrum_run(stalled_task, s, &(thrum_run_opts){.workers = 2}), 0);
    assert_true(s->alive.right);
    assert_true(s->alive_ms < SUP_TIMEOUT_MS / 10);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(s->b.ones[i].result, -ECANCELED);
    thrum_tls_config_unref(s->b.config);
    free(s);
    sup_scripted_stop(server);
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
        cmocka_unit_test(two_hundred_handshakes_at_once_all_succeed),
        cmocka_unit_test(a_server_without_tickets_delays_nobody),
        cmocka_unit_test(servers_that_stall_hold_nobody_up),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
