/* SPDX-License-Identifier: MIT */
/* Many tasks: one name asked of servers once, many names within bounds, cancels in the middle of it. */
#include "dns_run.h"
#include "support/dnsserver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SCALE 10
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SCALE 10
#endif
#endif
#ifndef SCALE
#define SCALE 1
#endif

#define RULES(rules) rules, sizeof(rules) / sizeof((rules)[0])

/* Tasks that look up names_n names in turn. */
struct crowd {
    thrum_resolver_opts opts;
    size_t tasks_n, names_n;
    uint64_t cancel_after_ns; /* 0: never */
    thrum_resolver *r;
    struct member {
        struct crowd *crowd;
        size_t name;
        int err;
        unsigned addrs_n;
    } * members;
};

static int look_up(void *arg)
{
    struct member *m = arg;
    char host[48];
    thrum_addrs out;
    snprintf(host, sizeof(host), "h%zu.load.test.", m->name);
    m->err = thrum_resolve(m->crowd->r, host, 443, &out);
    m->addrs_n = out.n;
    return 0;
}

static int crowd_task(void *arg)
{
    struct crowd *c = arg;
    int err = thrum_resolver_new(&c->r, &c->opts);
    if (err)
        return err;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; !err && i < c->tasks_n; i++) {
        c->members[i] = (struct member){.crowd = c, .name = i % c->names_n, .err = 1};
        err = thrum_scope_spawn(&scope, look_up, &c->members[i]);
    }
    if (c->cancel_after_ns) {
        (void)thrum_sleep(c->cancel_after_ns);
        thrum_scope_cancel(&scope);
    }
    int closed = thrum_scope_close(&scope);
    thrum_resolver_free(c->r);
    return err ? err : c->cancel_after_ns ? 0 : closed;
}

static void crowd_run(struct crowd *c, const struct sup_dns *server, unsigned workers)
{
    c->opts.servers = sup_dns_address(server);
    c->opts.hosts_path = "";
    c->members = calloc(c->tasks_n, sizeof(*c->members));
    assert_non_null(c->members);
    assert_int_equal(thrum_run(crowd_task, c, &(thrum_run_opts){.workers = workers}), 0);
}

static size_t count(const struct crowd *c, int err)
{
    size_t n = 0;
    for (size_t i = 0; i < c->tasks_n; i++)
        n += c->members[i].err == err && (err ? 0 : 2) == c->members[i].addrs_n;
    return n;
}

static const unsigned worker_counts[] = {1, 2, 4, 16};

static void ten_thousand_tasks_that_ask_one_name_cause_two_queries(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.delay_ms = 100, .ttl = 300}};
    for (int i = 0; i < 4; i++) {
        struct sup_dns *server = sup_dns_start(RULES(rules));
        struct crowd c = {
            .opts = {.try_timeout_ns = 30 * THRUM_SECOND}, .tasks_n = 10000, .names_n = 1};
        crowd_run(&c, server, worker_counts[i]);
        assert_int_equal(count(&c, 0), c.tasks_n);
        assert_int_equal(sup_dns_queries(server, NULL, 0), 2);
        free(c.members);
        sup_dns_stop(server);
    }
}

static void many_names_are_all_answered(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.ttl = 300}};
    for (int i = 0; i < 4; i++) {
        struct sup_dns *server = sup_dns_start(RULES(rules));
        size_t names_n = 20000 / SCALE;
        struct crowd c = {.opts = {.queries_max = 300}, .tasks_n = names_n, .names_n = names_n};
        crowd_run(&c, server, worker_counts[i]);
        assert_int_equal(count(&c, 0), c.tasks_n);
        assert_true(sup_dns_queries(server, NULL, 0) >= 2 * names_n);
        free(c.members);
        sup_dns_stop(server);
    }
}

/* No answer ever comes: what the server has seen is what was under way at once. */
static void no_more_questions_are_under_way_than_allowed(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_SILENT}};
    static const unsigned most[] = {1, 2, 3, 100, 0};
    for (int i = 0; i < 5; i++) {
        struct sup_dns *server = sup_dns_start(RULES(rules));
        size_t names_n = 20000 / SCALE;
        struct crowd c = {.opts = {.queries_max = most[i], .try_timeout_ns = 30 * THRUM_SECOND},
                          .tasks_n = names_n,
                          .names_n = names_n,
                          .cancel_after_ns = THRUM_SECOND};
        crowd_run(&c, server, 2);
        assert_int_equal(count(&c, -ECANCELED), c.tasks_n);
        size_t seen = sup_dns_queries(server, NULL, 0);
        assert_true(seen <= (most[i] == 1 ? 2 : most[i] ? most[i] : 2000));
        assert_true(seen > 0);
        free(c.members);
        sup_dns_stop(server);
    }
}

static void cancels_in_the_middle_lose_nothing(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.delay_ms = 3, .ttl = 1}};
    for (int i = 0; i < 12; i++) {
        struct sup_dns *server = sup_dns_start(RULES(rules));
        struct crowd c = {.opts = {.queries_max = 64},
                          .tasks_n = 20000 / SCALE,
                          .names_n = 3000 / SCALE,
                          .cancel_after_ns = (uint64_t)(1 + 7 * i) * THRUM_MILLISECOND};
        crowd_run(&c, server, worker_counts[i % 4]);
        /* A task that never started has still its 1. */
        assert_int_equal(count(&c, 0) + count(&c, -ECANCELED) + count(&c, 1), c.tasks_n);
        free(c.members);
        sup_dns_stop(server);
    }
}

/* Asks for names again and again, while they are forgotten and asked again. */
static int look_up_again(void *arg)
{
    struct member *m = arg;
    thrum_addrs out;
    for (size_t i = 0; i < (SCALE > 1 ? 100 : 200) && m->err >= 0; i++) {
        char host[48];
        snprintf(host, sizeof(host), "h%zu.load.test.",
                 (m->name * 131 + i * 17) % m->crowd->names_n);
        m->err = thrum_resolve(m->crowd->r, host, 443, &out);
        m->addrs_n = out.n;
    }
    return m->err;
}

static int again_task(void *arg)
{
    struct crowd *c = arg;
    int err = thrum_resolver_new(&c->r, &c->opts);
    if (err)
        return err;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; !err && i < c->tasks_n; i++) {
        c->members[i] = (struct member){.crowd = c, .name = i};
        err = thrum_scope_spawn(&scope, look_up_again, &c->members[i]);
    }
    int closed = thrum_scope_close(&scope);
    thrum_resolver_free(c->r);
    return err ? err : closed;
}

static void names_are_forgotten_and_asked_again(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.ttl = 300}};
    struct sup_dns *server = sup_dns_start(RULES(rules));
    struct crowd c = {.opts = {.servers = sup_dns_address(server), .hosts_path = ""},
                      .tasks_n = 100,
                      .names_n = 2048}; /* twice what is kept */
    c.members = calloc(c.tasks_n, sizeof(*c.members));
    assert_non_null(c.members);
    assert_int_equal(thrum_run(again_task, &c, &(thrum_run_opts){.workers = 4}), 0);
    assert_int_equal(count(&c, 0), c.tasks_n);
    assert_true(sup_dns_queries(server, NULL, 0) > 2 * c.names_n);
    free(c.members);
    sup_dns_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_tasks_that_ask_one_name_cause_two_queries),
        cmocka_unit_test(many_names_are_all_answered),
        cmocka_unit_test(no_more_questions_are_under_way_than_allowed),
        cmocka_unit_test(cancels_in_the_middle_lose_nothing),
        cmocka_unit_test(names_are_forgotten_and_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
