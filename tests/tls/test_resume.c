/* SPDX-License-Identifier: MIT */
/* The sessions that are kept, and who waits for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <thrum/runtime.h>
#include <thrum/task.h>

#include "support/util.h"
#include "tls/resume.h"

#define FOREVER_NS (3600 * THRUM_SECOND)

static bool has(const struct thr_tls_ticket *t, const char *text)
{
    return t->session && t->session->len == strlen(text) &&
           memcmp(t->session->bytes, text, t->session->len) == 0;
}

static struct thr_tls_ticket begin(struct thr_tls_resume *r, const char *host, uint16_t port)
{
    struct thr_tls_ticket t;
    assert_int_equal(thr_tls_resume_begin(r, &t, host, port, 1000, 0), 0); /* does not wait */
    return t;
}

static void store(struct thr_tls_resume *r, const char *host, uint16_t port, const char *text)
{
    struct thr_tls_ticket t = begin(r, host, port);
    thr_tls_resume_store(r, &t, text, strlen(text));
    thr_tls_resume_end(r, &t, false);
}

static void sessions_are_found_by_host_and_port(void **state)
{
    (void)state;
    struct thr_tls_resume r;
    thr_tls_resume_init(&r, 0);
    store(&r, "a.test", 443, "one");
    store(&r, "a.test", 444, "two");
    store(&r, "b.test", 443, "three");
    store(&r, "a.test", 443, "four"); /* the newest is the one */
    static const struct {
        const char *host;
        uint16_t port;
        const char *text;
    } cases[] = {{"a.test", 443, "four"}, {"a.test", 444, "two"}, {"b.test", 443, "three"}};
    for (size_t i = 0; i < 3; i++) {
        struct thr_tls_ticket t = begin(&r, cases[i].host, cases[i].port);
        assert_true(has(&t, cases[i].text));
        assert_false(t.fresh);
        thr_tls_resume_end(&r, &t, false);
    }
    struct thr_tls_ticket none = begin(&r, "c.test", 443);
    assert_null(none.session);
    assert_true(none.fresh);
    thr_tls_resume_end(&r, &none, false);
    thr_tls_resume_fini(&r);
}

static void the_least_recently_used_is_thrown_out(void **state)
{
    (void)state;
    struct thr_tls_resume r;
    char host[16];
    thr_tls_resume_init(&r, 4);
    for (int i = 0; i < 4; i++) {
        snprintf(host, sizeof(host), "h%d", i);
        store(&r, host, 1, host);
    }
    struct thr_tls_ticket t = begin(&r, "h0", 1); /* used again */
    thr_tls_resume_end(&r, &t, false);
    store(&r, "h4", 1, "h4");
    assert_int_equal(r.places_n, 4);
    t = begin(&r, "h0", 1);
    assert_true(has(&t, "h0"));
    thr_tls_resume_end(&r, &t, false);
    t = begin(&r, "h1", 1);
    assert_null(t.session);
    thr_tls_resume_end(&r, &t, false);
    thr_tls_resume_fini(&r);
}

static void places_in_use_are_kept_beyond_the_limit(void **state)
{
    (void)state;
    struct thr_tls_resume r;
    struct thr_tls_ticket t[40];
    char host[16];
    thr_tls_resume_init(&r, 8);
    for (int i = 0; i < 40; i++) {
        snprintf(host, sizeof(host), "h%d", i);
        t[i] = begin(&r, host, 1);
    }
    assert_int_equal(r.places_n, 40);
    for (int i = 0; i < 40; i++)
        thr_tls_resume_end(&r, &t[i], false);
    assert_int_equal(r.places_n, 8);
    thr_tls_resume_fini(&r);
}

static void a_session_that_failed_is_given_up_unless_a_newer_one_came(void **state)
{
    (void)state;
    struct thr_tls_resume r;
    thr_tls_resume_init(&r, 0);
    store(&r, "a", 1, "old");
    struct thr_tls_ticket t = begin(&r, "a", 1);
    store(&r, "a", 1, "new");
    thr_tls_resume_end(&r, &t, true);
    t = begin(&r, "a", 1);
    assert_true(has(&t, "new"));
    thr_tls_resume_end(&r, &t, true);
    t = begin(&r, "a", 1);
    assert_null(t.session);
    thr_tls_resume_end(&r, &t, false);
    memset(&t, 0, sizeof(t));
    thr_tls_resume_store(&r, &t, "x", 1); /* a connection that takes no part */
    thr_tls_resume_settle(&r, &t);
    thr_tls_resume_end(&r, &t, true);
    thr_tls_resume_fini(&r);
}

/* ---- Waiting ---------------------------------------------------------------------------------------------------- */

#define WAITERS 50

struct waiting {
    struct thr_tls_resume r;
    uint64_t wait_ns;
    thrum_wait_group begun;
    unsigned with_session, fresh, failed; /* written by one task at a time: one worker */
    struct thr_tls_ticket first[2];
    int (*then)(struct waiting *w);
};

static int wait_task(void *arg)
{
    struct waiting *w = arg;
    struct thr_tls_ticket t;
    thrum_wait_group_done(&w->begun);
    int err = thr_tls_resume_begin(&w->r, &t, "a", 1, 2, w->wait_ns);
    w->with_session += t.session != NULL;
    w->fresh += t.fresh;
    w->failed += err != 0;
    if (!err)
        thr_tls_resume_end(&w->r, &t, false);
    return 0;
}

static int waiting_task(void *arg)
{
    struct waiting *w = arg;
    for (int i = 0; i < 2; i++) { /* as many as may be under way */
        int err = thr_tls_resume_begin(&w->r, &w->first[i], "a", 1, 2, w->wait_ns);
        if (err || !w->first[i].fresh)
            return -EBADMSG;
    }
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    thrum_wait_group_add(&w->begun, WAITERS);
    for (int i = 0; i < WAITERS; i++)
        thrum_scope_spawn(&scope, wait_task, w);
    int err = thrum_wait_group_wait(&w->begun);
    thrum_sleep(20 * THRUM_MILLISECOND);
    if (!err && w->with_session + w->fresh + w->failed != 0)
        err = -EBADMSG; /* all of them wait */
    if (!err && w->then)
        err = w->then(w);
    int joined = thrum_scope_close(&scope);
    for (int i = 0; i < 2; i++)
        thr_tls_resume_end(&w->r, &w->first[i], false);
    return err ? err : joined;
}

static struct waiting run(int (*then)(struct waiting *w), uint64_t wait_ns)
{
    struct waiting w = {.wait_ns = wait_ns, .then = then};
    thr_tls_resume_init(&w.r, 0);
    assert_int_equal(thrum_run(waiting_task, &w, &(thrum_run_opts){.workers = 1}), 0);
    assert_int_equal(w.failed, 0);
    assert_int_equal(w.with_session + w.fresh, WAITERS);
    thr_tls_resume_fini(&w.r);
    return w;
}

static int then_store(struct waiting *w)
{
    thr_tls_resume_store(&w->r, &w->first[1], "s", 1);
    return 0;
}

static void a_session_lets_all_go_on_with_it(void **state)
{
    (void)state;
    struct waiting w = run(then_store, FOREVER_NS);
    assert_int_equal(w.with_session, WAITERS);
}

static int then_settle(struct waiting *w)
{
    thr_tls_resume_settle(&w->r, &w->first[0]);
    return 0;
}

static void data_without_a_ticket_before_it_lets_all_go_on(void **state)
{
    (void)state;
    struct waiting w = run(then_settle, FOREVER_NS);
    assert_int_equal(w.fresh, WAITERS);
}

static int then_fail(struct waiting *w)
{
    thr_tls_resume_end(&w->r, &w->first[0], true);
    return 0;
}

static void a_failed_handshake_lets_all_go_on(void **state)
{
    (void)state;
    struct waiting w = run(then_fail, FOREVER_NS);
    assert_int_equal(w.fresh, WAITERS);
}

static int then_give_up(struct waiting *w)
{
    thr_tls_resume_end(&w->r, &w->first[0], false); /* cancelled, say */
    return 0;
}

static void one_that_gives_up_lets_one_after_another_go_on(void **state)
{
    (void)state;
    struct waiting w = run(then_give_up, FOREVER_NS);
    assert_int_equal(w.fresh, WAITERS); /* each ends at once, and makes room for the next */
}

static void after_the_limit_all_go_on(void **state)
{
    (void)state;
    int64_t begun = sup_now_ms();
    struct waiting w = run(NULL, 2 * THRUM_SECOND);
    assert_int_equal(w.fresh, WAITERS);
    assert_true(sup_now_ms() - begun >= 180);
}

static int outer_limit_task(void *arg)
{
    struct waiting *w = arg;
    struct thr_tls_ticket t[3];
    thrum_timeout limit;
    for (int i = 0; i < 2; i++)
        w->failed += thr_tls_resume_begin(&w->r, &t[i], "a", 1, 2, FOREVER_NS) != 0;
    thrum_timeout_begin(&limit, 20 * THRUM_MILLISECOND);
    int err = thr_tls_resume_begin(&w->r, &t[2], "a", 1, 2, FOREVER_NS);
    bool own = thrum_timeout_end(&limit);
    bool none = !t[2].place && !t[2].session;
    for (int i = 0; i < 2; i++)
        thr_tls_resume_end(&w->r, &t[i], false);
    return w->failed == 0 && err == -ETIMEDOUT && own && none ? 0 : -EBADMSG;
}

static void an_outer_deadline_ends_the_wait(void **state)
{
    (void)state;
    struct waiting w = {0};
    thr_tls_resume_init(&w.r, 0);
    assert_int_equal(thrum_run(outer_limit_task, &w, &(thrum_run_opts){.workers = 1}), 0);
    thr_tls_resume_fini(&w.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_are_found_by_host_and_port),
        cmocka_unit_test(the_least_recently_used_is_thrown_out),
        cmocka_unit_test(places_in_use_are_kept_beyond_the_limit),
        cmocka_unit_test(a_session_that_failed_is_given_up_unless_a_newer_one_came),
        cmocka_unit_test(a_session_lets_all_go_on_with_it),
        cmocka_unit_test(data_without_a_ticket_before_it_lets_all_go_on),
        cmocka_unit_test(a_failed_handshake_lets_all_go_on),
        cmocka_unit_test(one_that_gives_up_lets_one_after_another_go_on),
        cmocka_unit_test(after_the_limit_all_go_on),
        cmocka_unit_test(an_outer_deadline_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
