/* SPDX-License-Identifier: MIT */
/* Name servers that fail, lie, or say nothing; and tasks that do not wait for them. */
#include "dns_run.h"
#include "support/dnsserver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { A = 1, AAAA = 28 };

#define MS THRUM_MILLISECOND
#define RULES(rules) rules, sizeof(rules) / sizeof((rules)[0])

/* Asks a server that follows the rules for one name. */
static struct asked ask_scripted(const struct sup_dns_rule *rules, size_t rules_n, size_t *queries)
{
    struct sup_dns *server = sup_dns_start(rules, rules_n);
    struct asked a = ask_alone(sup_dns_address(server), "x.fault.test.");
    if (queries)
        *queries = sup_dns_queries(server, "x.fault.test", 0);
    sup_dns_stop(server);
    return a;
}

static void check_reply(enum sup_dns_reply reply, int want)
{
    const struct sup_dns_rule rules[] = {{.reply = reply}};
    struct asked a = ask_scripted(RULES(rules), NULL);
    assert_int_equal(a.err, want);
    assert_int_equal(a.out.n, 0);
}

/* ---- Errors have their words ---- */

static void what_a_server_refuses_has_its_error(void **state)
{
    (void)state;
    check_reply(SUP_DNS_NXDOMAIN, THRUM_EDNS_NOTFOUND);
    check_reply(SUP_DNS_NODATA, THRUM_EDNS_NODATA);
    check_reply(SUP_DNS_SERVFAIL, THRUM_EDNS_SERVFAIL);
    check_reply(SUP_DNS_REFUSED, THRUM_EDNS_REFUSED);
}

static void silence_is_a_timeout(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_SILENT}};
    size_t queries;
    struct asked a = ask_scripted(RULES(rules), &queries);
    assert_int_equal(a.err, THRUM_EDNS_TIMEOUT);
    assert_true(a.took_ns >= 100 * MS);
    assert_int_equal(queries, 4); /* two tries, two families */
}

static void a_port_that_nobody_listens_at_is_unreachable(void **state)
{
    (void)state;
    struct asked a = ask_alone("127.0.0.1:1", "x.fault.test.");
    assert_int_equal(a.err, THRUM_EDNS_UNREACHABLE);
}

static void answers_to_other_questions_are_not_taken(void **state)
{
    (void)state;
    check_reply(SUP_DNS_WRONG_ID, THRUM_EDNS_TIMEOUT);
    check_reply(SUP_DNS_WRONG_QUESTION, THRUM_EDNS_TIMEOUT);
}

/* What exactly c-ares makes of noise differs between its versions; that it ends, in an error, does not. */
static void noise_is_an_error(void **state)
{
    (void)state;
    static const enum sup_dns_reply noise[] = {
        SUP_DNS_GARBAGE,     SUP_DNS_SHORT,   SUP_DNS_EMPTY,      SUP_DNS_POINTER_LOOP,
        SUP_DNS_HALF_RECORD, SUP_DNS_FORMERR, SUP_DNS_CNAME_LOOP, SUP_DNS_OTHER_TYPE};
    for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
        const struct sup_dns_rule rules[] = {{.reply = noise[i]}};
        struct asked a = ask_scripted(RULES(rules), NULL);
        assert_true(a.err <= THRUM_EDNS_NOTFOUND && a.err > THRUM_ETLS);
        assert_int_not_equal(a.err, THRUM_EDNS_NOTFOUND);
        assert_int_equal(a.out.n, 0);
    }
}

static void an_answer_that_comes_twice_counts_once(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_TWICE, .addresses_n = 2}};
    struct asked a = ask_scripted(RULES(rules), NULL);
    assert_int_equal(a.err, 0);
    assert_string_equal(addrs_text(&a.out), "[::1] 127.0.0.1 [::2] 127.0.0.2");
}

/* ---- Several servers, several tries ---- */

static struct asked ask_first_and_good(const char *first, uint64_t try_timeout_ns)
{
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_ANSWER}};
    struct sup_dns *good = sup_dns_start(RULES(rules));
    char *servers = sup_format("%s,%s", first, sup_dns_address(good));
    struct asked a = {.host = "x.fault.test."};
    struct session s = {
        .opts = {.servers = servers, .hosts_path = "", .try_timeout_ns = try_timeout_ns},
        .asks = &a,
        .asks_n = 1};
    int err = session_run(&s);
    if (err)
        a.err = err;
    sup_dns_stop(good);
    free(servers);
    return a;
}

static void the_second_server_answers_for_a_dead_one(void **state)
{
    (void)state;
    struct asked a = ask_first_and_good("127.0.0.1:1", 10 * THRUM_SECOND);
    assert_int_equal(a.err, 0);
    assert_true(a.took_ns < 8 * THRUM_SECOND); /* by its refusal, for both families, not by time */
    assert_string_equal(addrs_text(&a.out), "[::1] 127.0.0.1");
}

static void the_second_server_answers_for_one_that_fails(void **state)
{
    (void)state;
    static const enum sup_dns_reply bad[] = {SUP_DNS_SILENT, SUP_DNS_SERVFAIL, SUP_DNS_REFUSED};
    for (int i = 0; i < 3; i++) {
        const struct sup_dns_rule rules[] = {{.reply = bad[i]}};
        struct sup_dns *first = sup_dns_start(RULES(rules));
        struct asked a = ask_first_and_good(sup_dns_address(first), 200 * MS);
        assert_int_equal(a.err, 0);
        assert_true(sup_dns_queries(first, NULL, 0) > 0);
        sup_dns_stop(first);
    }
}

static void a_lost_question_is_asked_again(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_SILENT, .times = 2},
                                         {.reply = SUP_DNS_ANSWER}};
    struct asked a = ask_scripted(RULES(rules), NULL);
    assert_int_equal(a.err, 0);
    assert_string_equal(addrs_text(&a.out), "[::1] 127.0.0.1");
}

/* ---- TCP ---- */

static void a_truncated_answer_is_fetched_by_tcp(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_TRUNCATED, .addresses_n = 3}};
    struct asked a = ask_scripted(RULES(rules), NULL);
    assert_int_equal(a.err, 0);
    assert_int_equal(a.out.n, 6);
}

static void tcp_that_is_cut_or_deaf_is_an_error(void **state)
{
    (void)state;
    static const enum sup_dns_reply bad[] = {SUP_DNS_TRUNCATED_CUT, SUP_DNS_TRUNCATED_DEAF};
    for (int i = 0; i < 2; i++) {
        const struct sup_dns_rule rules[] = {{.reply = bad[i]}};
        struct asked a = ask_scripted(RULES(rules), NULL);
        assert_true(a.err == THRUM_EDNS_TIMEOUT || a.err == THRUM_EDNS_UNREACHABLE);
    }
}

/* ---- One family ---- */

static void the_family_that_works_is_given(void **state)
{
    (void)state;
    static const enum sup_dns_reply bad[] = {SUP_DNS_SERVFAIL, SUP_DNS_REFUSED, SUP_DNS_NXDOMAIN,
                                             SUP_DNS_NODATA};
    for (int i = 0; i < 4; i++) {
        const struct sup_dns_rule v4[] = {{.type = AAAA, .reply = bad[i]},
                                          {.reply = SUP_DNS_ANSWER}};
        struct asked a = ask_scripted(RULES(v4), NULL);
        assert_int_equal(a.err, 0);
        assert_string_equal(addrs_text(&a.out), "127.0.0.1");
        const struct sup_dns_rule v6[] = {{.type = A, .reply = bad[i]}, {.reply = SUP_DNS_ANSWER}};
        a = ask_scripted(RULES(v6), NULL);
        assert_int_equal(a.err, 0);
        assert_string_equal(addrs_text(&a.out), "[::1]");
    }
}

static void a_failure_counts_more_than_a_no(void **state)
{
    (void)state;
    const struct sup_dns_rule fails[] = {{.type = AAAA, .reply = SUP_DNS_NODATA},
                                         {.reply = SUP_DNS_SERVFAIL}};
    assert_int_equal(ask_scripted(RULES(fails), NULL).err, THRUM_EDNS_SERVFAIL);
    const struct sup_dns_rule exists[] = {{.type = A, .reply = SUP_DNS_NODATA},
                                          {.reply = SUP_DNS_NXDOMAIN}};
    assert_int_equal(ask_scripted(RULES(exists), NULL).err, THRUM_EDNS_NODATA);
}

static struct session session_of(const struct sup_dns *server, struct asked *asks, size_t asks_n)
{
    return (struct session){.opts = {.servers = sup_dns_address(server),
                                     .hosts_path = "",
                                     .try_timeout_ns = 10 * THRUM_SECOND,
                                     .tries = 1},
                            .asks = asks,
                            .asks_n = asks_n};
}

static void a_silent_family_is_not_waited_for(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.type = AAAA, .reply = SUP_DNS_SILENT},
                                         {.reply = SUP_DNS_ANSWER, .ttl = 300}};
    struct sup_dns *server = sup_dns_start(RULES(rules));
    struct asked a[] = {{.host = "x.fault.test."}, {.host = "x.fault.test."}};
    struct session s = session_of(server, a, 2);
    assert_int_equal(session_run(&s), 0);
    assert_int_equal(a[0].err, 0);
    assert_string_equal(addrs_text(&a[0].out), "127.0.0.1");
    assert_true(a[0].took_ns >= 250 * MS && a[0].took_ns < 8 * THRUM_SECOND);
    assert_string_equal(addrs_text(&a[1].out), "127.0.0.1"); /* kept, not waited for again */
    assert_int_equal(sup_dns_queries(server, NULL, 0), 2);
    sup_dns_stop(server);
}

static void a_slow_family_is_added_when_it_comes(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.type = AAAA, .delay_ms = 700, .ttl = 300},
                                         {.reply = SUP_DNS_ANSWER, .ttl = 300}};
    struct sup_dns *server = sup_dns_start(RULES(rules));
    struct asked a[] = {{.host = "x.fault.test."}, {.host = "x.fault.test.", .wait_ns = 1500 * MS}};
    struct session s = session_of(server, a, 2);
    assert_int_equal(session_run(&s), 0);
    assert_string_equal(addrs_text(&a[0].out), "127.0.0.1");
    assert_string_equal(addrs_text(&a[1].out), "[::1] 127.0.0.1");
    assert_int_equal(sup_dns_queries(server, NULL, 0), 2);
    sup_dns_stop(server);
}

/* ---- Tasks that do not wait ---- */

static void a_deadline_ends_the_look_up_and_a_late_answer_is_kept(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.delay_ms = 500, .ttl = 300}};
    struct sup_dns *server = sup_dns_start(RULES(rules));
    struct asked a[] = {{.host = "x.fault.test.", .timeout_ns = 50 * MS},
                        {.host = "x.fault.test.", .timeout_ns = 50 * MS},
                        {.host = "x.fault.test.", .wait_ns = 1500 * MS}};
    struct session s = session_of(server, a, 3);
    assert_int_equal(session_run(&s), 0);
    assert_int_equal(a[0].err, -ETIMEDOUT);
    assert_int_equal(a[0].out.n, 0);
    assert_int_equal(a[1].err, -ETIMEDOUT);
    assert_int_equal(a[2].err, 0);
    assert_int_equal(sup_dns_queries(server, NULL, 0), 2);
    sup_dns_stop(server);
}

/* The server fails, and then works. */
struct mended {
    struct sup_dns *server;
    struct asked failing, kept, mended;
};

static int ask_until_mended(void *arg)
{
    struct mended *m = arg;
    static const struct sup_dns_rule good[] = {{.reply = SUP_DNS_ANSWER}};
    thrum_resolver *r;
    int err = thrum_resolver_new(
        &r, &(thrum_resolver_opts){.servers = sup_dns_address(m->server), .hosts_path = ""});
    if (err)
        return err;
    ask_one(r, &m->failing);
    sup_dns_set_rules(m->server, RULES(good));
    ask_one(r, &m->kept);
    ask_one(r, &m->mended);
    thrum_resolver_free(r);
    return 0;
}

static void a_failing_server_is_asked_again_soon(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_SERVFAIL}};
    struct mended m = {.server = sup_dns_start(RULES(rules)),
                       .failing = {.host = "x.fault.test."},
                       .kept = {.host = "x.fault.test."},
                       .mended = {.host = "x.fault.test.", .wait_ns = 1200 * MS}};
    assert_int_equal(thrum_run(ask_until_mended, &m, &(thrum_run_opts){.workers = 2}), 0);
    assert_int_equal(m.failing.err, THRUM_EDNS_SERVFAIL);
    assert_int_equal(m.kept.err, THRUM_EDNS_SERVFAIL);
    assert_int_equal(m.mended.err, 0);
    sup_dns_stop(m.server);
}

/* Two tasks wait for one name; the scope of the first is cancelled. */
struct two {
    struct sup_dns *server;
    thrum_resolver *r;
    int cancelled_err;
    struct asked cancelled, other;
};

static int ask_cancelled(void *arg)
{
    struct two *t = arg;
    ask_one(t->r, &t->cancelled);
    return 0;
}

static int ask_other(void *arg)
{
    struct two *t = arg;
    ask_one(t->r, &t->other);
    return 0;
}

static int cancel_one_of_two(void *arg)
{
    struct two *t = arg;
    int err =
        thrum_resolver_new(&t->r, &(thrum_resolver_opts){.servers = sup_dns_address(t->server),
                                                         .hosts_path = "",
                                                         .try_timeout_ns = 10 * THRUM_SECOND});
    if (err)
        return err;
    thrum_scope outer, inner;
    thrum_scope_open(&outer, NULL);
    err = thrum_scope_spawn(&outer, ask_other, t);
    thrum_scope_open(&inner, NULL);
    if (!err)
        err = thrum_scope_spawn(&inner, ask_cancelled, t);
    (void)thrum_sleep(100 * MS);
    thrum_scope_cancel(&inner);
    (void)thrum_scope_close(&inner);
    int outer_err = thrum_scope_close(&outer);
    thrum_resolver_free(t->r);
    return err ? err : outer_err;
}

static void a_cancelled_task_leaves_the_others_waiting(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.delay_ms = 600}};
    struct two t = {.server = sup_dns_start(RULES(rules)),
                    .cancelled = {.host = "x.fault.test."},
                    .other = {.host = "x.fault.test."}};
    assert_int_equal(thrum_run(cancel_one_of_two, &t, &(thrum_run_opts){.workers = 2}), 0);
    assert_int_equal(t.cancelled.err, -ECANCELED);
    assert_int_equal(t.cancelled.out.n, 0);
    assert_int_equal(t.other.err, 0);
    assert_string_equal(addrs_text(&t.other.out), "[::1] 127.0.0.1");
    assert_int_equal(sup_dns_queries(t.server, NULL, 0), 2);
    sup_dns_stop(t.server);
}

static int ask_in_cancelled_scope(void *arg)
{
    struct two *t = arg;
    int err = thrum_resolver_new(&t->r, &(thrum_resolver_opts){.servers = "127.0.0.1:1"});
    if (err)
        return err;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    thrum_scope_cancel(&scope);
    ask_one(t->r, &t->cancelled);
    ask_one(t->r, &t->other);
    thrum_resolver_free(t->r); /* waits for nobody, but must do so in a cancelled scope, too */
    (void)thrum_scope_close(&scope);
    return 0;
}

static void a_cancelled_task_gets_not_even_what_is_at_hand(void **state)
{
    (void)state;
    struct two t = {.cancelled = {.host = "x.fault.test."}, .other = {.host = "127.0.0.1"}};
    assert_int_equal(thrum_run(ask_in_cancelled_scope, &t, &(thrum_run_opts){.workers = 2}), 0);
    assert_int_equal(t.cancelled.err, -ECANCELED);
    assert_int_equal(t.other.err, -ECANCELED);
}

/* ---- The end of the resolver, and of the runtime ---- */

enum { WAITING_N = 100 };

struct waiting {
    struct sup_dns *server;
    thrum_resolver *r;
    struct asked asks[WAITING_N];
    char hosts[WAITING_N][32];
    thrum_wait_group starting; /* tasks that have not got to their look-up yet */
};

struct waiting_arg {
    struct waiting *w;
    size_t i;
};

static int wait_for_nothing(void *arg)
{
    struct waiting_arg *a = arg;
    thrum_wait_group_done(&a->w->starting);
    ask_one(a->w->r, &a->w->asks[a->i]);
    return 0;
}

/* Half of them ask for one name, the others each for its own; only some are under way, the rest is queued. */
static int free_while_they_wait(void *arg)
{
    struct waiting *w = arg;
    int err =
        thrum_resolver_new(&w->r, &(thrum_resolver_opts){.servers = sup_dns_address(w->server),
                                                         .hosts_path = "",
                                                         .try_timeout_ns = 10 * THRUM_SECOND,
                                                         .queries_max = 20});
    if (err)
        return err;
    struct waiting_arg args[WAITING_N];
    thrum_scope scope;
    thrum_wait_group_add(&w->starting, WAITING_N);
    thrum_scope_open(&scope, NULL);
    for (size_t i = 0; i < WAITING_N; i++) {
        snprintf(w->hosts[i], sizeof(w->hosts[i]), "h%zu.fault.test.", i % 2 ? i : 0);
        w->asks[i].host = w->hosts[i];
        args[i] = (struct waiting_arg){w, i};
        (void)thrum_scope_spawn(&scope, wait_for_nothing, &args[i]);
    }
    err = thrum_wait_group_wait(&w->starting);
    (void)thrum_sleep(200 * MS);
    thrum_resolver_free(w->r); /* from here on nobody touches it: the sanitizers see to that */
    int closed = thrum_scope_close(&scope);
    return err ? err : closed;
}

static void freeing_the_resolver_ends_all_look_ups(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_SILENT}};
    static const unsigned workers[] = {1, 2, 4, 16};
    for (int n = 0; n < 4; n++) {
        struct waiting *w = calloc(1, sizeof(*w));
        assert_non_null(w);
        w->server = sup_dns_start(RULES(rules));
        thrum_run_opts opts = {.workers = workers[n]};
        assert_int_equal(thrum_run(free_while_they_wait, w, &opts), 0);
        for (size_t i = 0; i < WAITING_N; i++) {
            assert_int_equal(w->asks[i].err, -ECANCELED);
            assert_int_equal(w->asks[i].out.n, 0);
        }
        assert_true(sup_dns_queries(w->server, NULL, 0) <= 20);
        sup_dns_stop(w->server);
        free(w);
    }
}

/* Outlives the first task; it is ended by the end of the runtime, and frees the resolver then. */
static int resolve_to_the_end(void *arg)
{
    struct two *t = arg;
    int err = thrum_resolver_new(
        &t->r, &(thrum_resolver_opts){.servers = sup_dns_address(t->server), .hosts_path = ""});
    if (err)
        return err;
    ask_one(t->r, &t->cancelled);
    ask_one(t->r, &t->other);
    thrum_resolver_free(t->r);
    return 0;
}

static int leave_it_behind(void *arg)
{
    thrum_task *task;
    int err = thrum_spawn(&task, resolve_to_the_end, arg, NULL);
    if (err)
        return err;
    thrum_detach(task);
    return thrum_sleep(100 * MS);
}

static void the_end_of_the_runtime_ends_look_ups(void **state)
{
    (void)state;
    const struct sup_dns_rule rules[] = {{.reply = SUP_DNS_SILENT}};
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct two t = {.server = sup_dns_start(RULES(rules)),
                        .cancelled = {.host = "x.fault.test."},
                        .other = {.host = "y.fault.test."}};
        assert_int_equal(thrum_run(leave_it_behind, &t, &(thrum_run_opts){.workers = workers}), 0);
        assert_int_equal(t.cancelled.err, -ECANCELED);
        assert_int_equal(t.other.err, -ECANCELED);
        sup_dns_stop(t.server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_refuses_has_its_error),
        cmocka_unit_test(silence_is_a_timeout),
        cmocka_unit_test(a_port_that_nobody_listens_at_is_unreachable),
        cmocka_unit_test(answers_to_other_questions_are_not_taken),
        cmocka_unit_test(noise_is_an_error),
        cmocka_unit_test(an_answer_that_comes_twice_counts_once),
        cmocka_unit_test(the_second_server_answers_for_a_dead_one),
        cmocka_unit_test(the_second_server_answers_for_one_that_fails),
        cmocka_unit_test(a_lost_question_is_asked_again),
        cmocka_unit_test(a_truncated_answer_is_fetched_by_tcp),
        cmocka_unit_test(tcp_that_is_cut_or_deaf_is_an_error),
        cmocka_unit_test(the_family_that_works_is_given),
        cmocka_unit_test(a_failure_counts_more_than_a_no),
        cmocka_unit_test(a_silent_family_is_not_waited_for),
        cmocka_unit_test(a_slow_family_is_added_when_it_comes),
        cmocka_unit_test(a_deadline_ends_the_look_up_and_a_late_answer_is_kept),
        cmocka_unit_test(a_failing_server_is_asked_again_soon),
        cmocka_unit_test(a_cancelled_task_leaves_the_others_waiting),
        cmocka_unit_test(a_cancelled_task_gets_not_even_what_is_at_hand),
        cmocka_unit_test(freeing_the_resolver_ends_all_look_ups),
        cmocka_unit_test(the_end_of_the_runtime_ends_look_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
